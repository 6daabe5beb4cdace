/*
 * wsig_calls.h: where the records of calls lie.
 *
 * The zone has a word for each record (generation and state, stored last, and
 * what can be read without the lock), and the records themselves, which get
 * memory in steps.  Under one lock there are lists of them, each made anew from
 * words and records when somebody died at work on them:
 *
 *   by the caller's name     all but free ones, newest first
 *   by the callee's name     those that ring, newest first
 *   ended                    oldest first: the first to be forgotten
 *   free
 */

#ifndef WSIG_CALLS_H
#define WSIG_CALLS_H

#include "wsig_call.h"

/* A word holds generation and state; the two peers stand while the state is
 * ANSWERED. */
typedef struct wsig_call_word_s {
    _Atomic uint64_t word;
    _Atomic uint64_t caller;
    _Atomic uint64_t callee;
} wsig_call_word_t;

typedef struct wsig_calls_s wsig_calls_t;

typedef struct wsig_calls_view_s {
    wsig_zone_t *zone;
    wsig_calls_t *calls;
    uint32_t *callees; /* the first record of each bucket, plus 1 */
    uint32_t *callers;
    wsig_call_word_t *words;
    wsig_call_t *records;
} wsig_calls_view_t;

#define WSIG_NO_CALL UINT32_MAX

wsig_calls_view_t wsig_calls_view(const wsig_zone_t *zone);

wsig_calls_view_t wsig_calls_lock(wsig_zone_t *zone);
void wsig_calls_unlock(wsig_calls_view_t *view);

/* All the rest is called under the lock. */

/* How many records were ever used: their indexes are below it. */
uint32_t wsig_calls_high(const wsig_calls_view_t *view);

wsig_call_state_t wsig_calls_state(const wsig_calls_view_t *view,
                                   uint32_t index);

/* The record of an id, or NULL. */
wsig_call_t *wsig_calls_find(const wsig_calls_view_t *view, uint64_t id);

/* A record to fill in, with its new id and nothing else; NULL: none is left.
 * Until wsig_calls_put or wsig_calls_return it is nowhere. */
wsig_call_t *wsig_calls_take(wsig_calls_view_t *view);
void wsig_calls_return(wsig_calls_view_t *view, wsig_call_t *call);

/* Enter a filled record: ringing or ended. */
void wsig_calls_put(wsig_calls_view_t *view, wsig_call_t *call,
                    wsig_call_state_t state);

/* The commit of a transition: to ANSWERED (caller and callee are set), or to
 * ENDED. */
void wsig_calls_move(wsig_calls_view_t *view, wsig_call_t *call,
                     wsig_call_state_t state);

/* Forget an ended record. */
void wsig_calls_forget(wsig_calls_view_t *view, wsig_call_t *call);

/* The record that ended first, or NULL. */
wsig_call_t *wsig_calls_first_ended(const wsig_calls_view_t *view);

/* Walk over a bucket: start with call NULL; the hash is the user's. */
wsig_call_t *wsig_calls_next_of_caller(const wsig_calls_view_t *view,
                                       uint32_t hash, const wsig_call_t *call);
wsig_call_t *wsig_calls_next_of_callee(const wsig_calls_view_t *view,
                                       uint32_t hash, const wsig_call_t *call);

/* Of a word. */
static inline uint64_t
wsig_call_word(uint64_t id, wsig_call_state_t state)
{
    return (id >> 32 << 8) | state;
}

#endif
