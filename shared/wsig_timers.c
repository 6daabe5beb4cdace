#include <stdlib.h>

#include "wsig.h"
#include "wsig_timers.h"

static void
wsig_timers_place(wsig_timers_t *timers, uint32_t i, wsig_timer_t *timer)
{
    timers->heap[i] = timer;
    timer->index = i + 1;
}

static void
wsig_timers_up(wsig_timers_t *timers, uint32_t i, wsig_timer_t *timer)
{
    uint32_t parent;

    while (i > 0) {
        parent = (i - 1) / 2;
        if (timers->heap[parent]->due <= timer->due) {
            break;
        }
        wsig_timers_place(timers, i, timers->heap[parent]);
        i = parent;
    }
    wsig_timers_place(timers, i, timer);
}

static void
wsig_timers_down(wsig_timers_t *timers, uint32_t i, wsig_timer_t *timer)
{
    uint32_t child;

    for (;;) {
        child = 2 * i + 1;
        if (child >= timers->n) {
            break;
        }
        if (child + 1 < timers->n &&
            timers->heap[child + 1]->due < timers->heap[child]->due) {
            child++;
        }
        if (timers->heap[child]->due >= timer->due) {
            break;
        }
        wsig_timers_place(timers, i, timers->heap[child]);
        i = child;
    }
    wsig_timers_place(timers, i, timer);
}

int
wsig_timers_reserve(wsig_timers_t *timers, uint32_t n)
{
    uint32_t room = timers->room > 0 ? timers->room : 16;
    wsig_timer_t **heap;

    if (n <= timers->room) {
        return WSIG_OK;
    }
    while (room < n) {
        room *= 2;
    }
    heap = realloc(timers->heap, room * sizeof(*heap));
    if (heap == NULL) {
        return WSIG_NOMEM;
    }
    timers->heap = heap;
    timers->room = room;
    return WSIG_OK;
}

static void
wsig_timers_clear(wsig_timers_t *timers, wsig_timer_t *timer)
{
    uint32_t i = timer->index - 1;
    wsig_timer_t *last;

    timer->index = 0;
    last = timers->heap[--timers->n];
    if (last == timer) {
        return;
    }
    if (i > 0 && timers->heap[(i - 1) / 2]->due > last->due) {
        wsig_timers_up(timers, i, last);
    } else {
        wsig_timers_down(timers, i, last);
    }
}

void
wsig_timers_set(wsig_timers_t *timers, wsig_timer_t *timer, int64_t due)
{
    if (timer->index != 0 && due == timer->due) {
        return;
    }
    if (timer->index != 0) {
        wsig_timers_clear(timers, timer);
    }
    timer->due = due;
    if (due != WSIG_NEVER) {
        timers->n++;
        wsig_timers_up(timers, timers->n - 1, timer);
    }
}

wsig_timer_t *
wsig_timers_first(const wsig_timers_t *timers)
{
    return timers->n > 0 ? timers->heap[0] : NULL;
}

void
wsig_timers_free(wsig_timers_t *timers)
{
    free(timers->heap);
    *timers = (wsig_timers_t){0};
}
