#include <string.h>

#include "wsig_calls.h"

#define BACK_STEP 64 /* records given memory at a time */

struct wsig_calls_s {
    pthread_mutex_t lock;
    _Atomic uint32_t high; /* records ever used */
    uint32_t backed;       /* records that have memory */
    uint32_t buckets;      /* a power of two; of callees, and as many of
                            * callers */
    uint32_t free;         /* these three: index plus 1 */
    uint32_t first_ended;
    uint32_t last_ended;
};

static void wsig_calls_repair(wsig_calls_view_t *view);

static uint32_t
wsig_calls_buckets(uint32_t calls)
{
    uint32_t buckets = 1024;

    while (buckets < calls / 2) {
        buckets *= 2;
    }
    return buckets;
}

wsig_calls_view_t
wsig_calls_view(const wsig_zone_t *zone)
{
    wsig_calls_view_t view;

    view.zone = (wsig_zone_t *) zone;
    view.calls = wsig_zone_at(zone, zone->shared->calls_at);
    view.words = (wsig_call_word_t *) (view.calls + 1);
    view.callees = (uint32_t *) (view.words + zone->shared->calls);
    view.callers = view.callees + wsig_calls_buckets(zone->shared->calls);
    view.records = wsig_zone_at(zone, zone->shared->records_at);
    return view;
}

size_t
wsig_calls_size(uint32_t calls)
{
    return sizeof(wsig_calls_t) + calls * sizeof(wsig_call_word_t) +
           (size_t) wsig_calls_buckets(calls) * 2 * sizeof(uint32_t);
}

void
wsig_calls_init(wsig_zone_t *zone)
{
    wsig_calls_view_t view = wsig_calls_view(zone);

    view.calls->buckets = wsig_calls_buckets(zone->shared->calls);
    wsig_mutex_init(&view.calls->lock);
}

wsig_calls_view_t
wsig_calls_lock(wsig_zone_t *zone)
{
    wsig_calls_view_t view = wsig_calls_view(zone);

    if (wsig_mutex_lock(&view.calls->lock)) {
        wsig_calls_repair(&view);
    }
    return view;
}

void
wsig_calls_unlock(wsig_calls_view_t *view)
{
    pthread_mutex_unlock(&view->calls->lock);
}

uint32_t
wsig_calls_high(const wsig_calls_view_t *view)
{
    return atomic_load(&view->calls->high);
}

wsig_call_state_t
wsig_calls_state(const wsig_calls_view_t *view, uint32_t index)
{
    return (wsig_call_state_t) (atomic_load(&view->words[index].word) & 0xff);
}

static uint32_t
wsig_calls_index(const wsig_calls_view_t *view, const wsig_call_t *call)
{
    return (uint32_t) (call - view->records);
}

/* The record of a link, which is its index plus 1. */
static wsig_call_t *
wsig_calls_at(const wsig_calls_view_t *view, uint32_t link)
{
    return link != 0 ? &view->records[link - 1] : NULL;
}

static void
wsig_calls_enter_ended(wsig_calls_view_t *view, wsig_call_t *call)
{
    uint32_t link = wsig_calls_index(view, call) + 1;
    wsig_call_t *last = wsig_calls_at(view, view->calls->last_ended);

    call->next_ended = 0;
    call->previous_ended = view->calls->last_ended;
    *(last != NULL ? &last->next_ended : &view->calls->first_ended) = link;
    view->calls->last_ended = link;
}

static void
wsig_calls_leave_ended(wsig_calls_view_t *view, wsig_call_t *call)
{
    wsig_call_t *previous = wsig_calls_at(view, call->previous_ended);
    wsig_call_t *next = wsig_calls_at(view, call->next_ended);

    *(previous != NULL ? &previous->next_ended : &view->calls->first_ended) =
        call->next_ended;
    *(next != NULL ? &next->previous_ended : &view->calls->last_ended) =
        call->previous_ended;
}

static uint32_t *
wsig_calls_bucket(const wsig_calls_view_t *view, uint32_t *buckets,
                  uint32_t hash)
{
    return &buckets[hash & (view->calls->buckets - 1)];
}

static void
wsig_calls_enter(wsig_calls_view_t *view, wsig_call_t *call,
                 wsig_call_state_t state)
{
    uint32_t link = wsig_calls_index(view, call) + 1;
    uint32_t *bucket;

    bucket = wsig_calls_bucket(view, view->callers, call->caller_hash);
    call->next_caller = *bucket;
    *bucket = link;
    if (state == WSIG_CALL_RINGING) {
        bucket = wsig_calls_bucket(view, view->callees, call->callee_hash);
        call->next_callee = *bucket;
        *bucket = link;
    } else if (state == WSIG_CALL_ENDED) {
        wsig_calls_enter_ended(view, call);
    }
}

static void
wsig_calls_leave_callee(wsig_calls_view_t *view, wsig_call_t *call)
{
    uint32_t *link = wsig_calls_bucket(view, view->callees, call->callee_hash);

    while (wsig_calls_at(view, *link) != call) {
        link = &wsig_calls_at(view, *link)->next_callee;
    }
    *link = call->next_callee;
}

static void
wsig_calls_leave_caller(wsig_calls_view_t *view, wsig_call_t *call)
{
    uint32_t *link = wsig_calls_bucket(view, view->callers, call->caller_hash);

    while (wsig_calls_at(view, *link) != call) {
        link = &wsig_calls_at(view, *link)->next_caller;
    }
    *link = call->next_caller;
}

/* What is not true of a record while it rings was written by somebody who died
 * before he could say so.  (The lists are in another order now, which only
 * costs: ended ones may be forgotten a little late.) */
static void
wsig_calls_repair(wsig_calls_view_t *view)
{
    wsig_calls_t *calls = view->calls;
    wsig_call_state_t state;
    wsig_call_t *call;
    uint32_t i;

    memset(view->callees, 0, calls->buckets * sizeof(uint32_t));
    memset(view->callers, 0, calls->buckets * sizeof(uint32_t));
    calls->free = 0;
    calls->first_ended = 0;
    calls->last_ended = 0;
    for (i = 0; i < calls->high; i++) {
        call = &view->records[i];
        state = wsig_calls_state(view, i);
        if (state == WSIG_CALL_FREE) {
            wsig_calls_return(view, call);
            continue;
        }
        if (state == WSIG_CALL_RINGING) {
            call->callee = (wsig_address_t){0, 0};
            call->reason = WSIG_END_NONE;
        }
        wsig_calls_enter(view, call, state);
    }
}

wsig_call_t *
wsig_calls_find(const wsig_calls_view_t *view, uint64_t id)
{
    uint32_t index = (uint32_t) id;

    if (index >= wsig_calls_high(view) ||
        wsig_calls_state(view, index) == WSIG_CALL_FREE ||
        view->records[index].id != id) {
        return NULL;
    }
    return &view->records[index];
}

/* One never used, where there is one with memory or memory for more. */
static wsig_call_t *
wsig_calls_extend(wsig_calls_view_t *view)
{
    wsig_zone_t *zone = view->zone;
    wsig_calls_t *calls = view->calls;

    if (calls->high == calls->backed && calls->backed < zone->shared->calls &&
        wsig_zone_back(zone,
                       zone->shared->records_at +
                           (uint64_t) calls->backed * sizeof(wsig_call_t),
                       BACK_STEP * sizeof(wsig_call_t)) == WSIG_OK) {
        calls->backed += BACK_STEP;
    }
    return calls->high < calls->backed ? &view->records[calls->high++] : NULL;
}

wsig_call_t *
wsig_calls_take(wsig_calls_view_t *view)
{
    wsig_call_t *call = wsig_calls_at(view, view->calls->free);
    uint32_t index, generation;

    if (call == NULL) {
        call = wsig_calls_extend(view);
    } else {
        view->calls->free = call->next_caller;
    }
    if (call == NULL) {
        call = wsig_calls_first_ended(view);
        if (call == NULL) {
            return NULL;
        }
        wsig_calls_forget(view, call);
        view->calls->free = call->next_caller;
    }
    /* Nothing in a free record can be trusted: somebody may have died as he
     * filled it. */
    index = wsig_calls_index(view, call);
    generation = (uint32_t) (atomic_load(&view->words[index].word) >> 8) + 1;
    memset(call, 0, sizeof(*call));
    call->id = (uint64_t) (generation != 0 ? generation : 1) << 32 | index;
    return call;
}

void
wsig_calls_return(wsig_calls_view_t *view, wsig_call_t *call)
{
    call->next_caller = view->calls->free;
    view->calls->free = wsig_calls_index(view, call) + 1;
}

void
wsig_calls_put(wsig_calls_view_t *view, wsig_call_t *call,
               wsig_call_state_t state)
{
    wsig_calls_enter(view, call, state);
    atomic_store(&view->words[wsig_calls_index(view, call)].word,
                 wsig_call_word(call->id, state));
}

void
wsig_calls_move(wsig_calls_view_t *view, wsig_call_t *call,
                wsig_call_state_t state)
{
    wsig_call_word_t *word = &view->words[wsig_calls_index(view, call)];

    if ((atomic_load(&word->word) & 0xff) == WSIG_CALL_RINGING) {
        wsig_calls_leave_callee(view, call);
    }
    if (state == WSIG_CALL_ENDED) {
        wsig_calls_enter_ended(view, call);
    } else {
        atomic_store(&word->caller, wsig_address_pack(call->caller));
        atomic_store(&word->callee, wsig_address_pack(call->callee));
    }
    atomic_store(&word->word, wsig_call_word(call->id, state));
}

void
wsig_calls_forget(wsig_calls_view_t *view, wsig_call_t *call)
{
    wsig_calls_leave_ended(view, call);
    wsig_calls_leave_caller(view, call);
    atomic_store(&view->words[wsig_calls_index(view, call)].word,
                 wsig_call_word(call->id, WSIG_CALL_FREE));
    wsig_calls_return(view, call);
}

wsig_call_t *
wsig_calls_first_ended(const wsig_calls_view_t *view)
{
    return wsig_calls_at(view, view->calls->first_ended);
}

wsig_call_t *
wsig_calls_next_of_caller(const wsig_calls_view_t *view, uint32_t hash,
                          const wsig_call_t *call)
{
    return wsig_calls_at(
        view, call != NULL ? call->next_caller
                           : *wsig_calls_bucket(view, view->callers, hash));
}

wsig_call_t *
wsig_calls_next_of_callee(const wsig_calls_view_t *view, uint32_t hash,
                          const wsig_call_t *call)
{
    return wsig_calls_at(
        view, call != NULL ? call->next_callee
                           : *wsig_calls_bucket(view, view->callees, hash));
}
