/*
 * wsig_timers.h: the timers of one worker, a binary heap.  Each peer carries
 * one, set to whatever is due next for it.
 */

#ifndef WSIG_TIMERS_H
#define WSIG_TIMERS_H

#include <stdint.h>

#define WSIG_NEVER INT64_MAX

typedef struct wsig_timer_s {
    int64_t due;    /* ms, monotonic */
    uint32_t index; /* in the heap, plus 1; 0: not set */
} wsig_timer_t;

typedef struct wsig_timers_s {
    wsig_timer_t **heap;
    uint32_t n;
    uint32_t room;
} wsig_timers_t;

/* Make room for one more timer, so that setting it cannot fail. */
int wsig_timers_reserve(wsig_timers_t *timers, uint32_t n);

/* Set, move, or (WSIG_NEVER) clear. */
void wsig_timers_set(wsig_timers_t *timers, wsig_timer_t *timer, int64_t due);

/* The timer that is due first, or NULL. */
wsig_timer_t *wsig_timers_first(const wsig_timers_t *timers);

void wsig_timers_free(wsig_timers_t *timers);

#endif
