/*
 * wsig_call.h: calls.  One record in the zone for each, and its transitions:
 *
 *     dial ----> RINGING ---- accept ----> ANSWERED
 *       |           |                          |
 *       | busy,     | declined, no-answer,     | hangup,
 *       | glare     | cancelled, unreachable,  | gone
 *       v           v gone                     v
 *     ENDED  <------+--------------------------+     kept for 30 s
 *
 * All transitions happen under one lock, so each happens once, whoever tries
 * it.  Nobody is told what happened: who is concerned gets a note "look at
 * this call again", compares the record with what it said last, and says the
 * rest (wsig_native_call.c).  A note that is lost with a killed worker costs
 * only time, since every peer looks at its calls once a second.
 *
 * A peer's slot in the registry names the call that it dialled or answered.
 * Only the peer's own worker sets that; anybody may clear it.
 */

#ifndef WSIG_CALL_H
#define WSIG_CALL_H

#include "wsig_registry.h"

#define WSIG_INFO_MAX 1024
#define WSIG_REF_MAX 64
#define WSIG_MEDIA_MAX 8        /* strings in media */
#define WSIG_MEDIA_SIZE 16      /* bytes in each */
#define WSIG_CALLS_RINGING 16   /* at one user at a time */
#define WSIG_CALL_KEPT 30000    /* ms that a record stays after the end */
#define WSIG_CALLS_KEPT_EACH 16 /* ended records of one caller */

typedef enum {
    WSIG_CALL_FREE,
    WSIG_CALL_RINGING,
    WSIG_CALL_ANSWERED,
    WSIG_CALL_ENDED
} wsig_call_state_t;

typedef enum {
    WSIG_END_NONE,
    WSIG_END_BUSY,
    WSIG_END_DECLINED,
    WSIG_END_NO_ANSWER,
    WSIG_END_CANCELLED,
    WSIG_END_UNREACHABLE,
    WSIG_END_GLARE,
    WSIG_END_HANGUP,
    WSIG_END_GONE
} wsig_end_t;

typedef struct wsig_media_s {
    uint8_t n;
    uint8_t sizes[WSIG_MEDIA_MAX];
    char texts[WSIG_MEDIA_MAX][WSIG_MEDIA_SIZE];
} wsig_media_t;

/* A peer that rings, or rang. */
typedef struct wsig_ringer_s {
    wsig_address_t at;
    uint32_t left; /* 1: it is gone */
} wsig_ringer_t;

typedef struct wsig_call_s {
    uint64_t id;
    wsig_realm_id_t realm;
    uint32_t next_callee; /* of the lists (wsig_calls.h), index plus 1 */
    uint32_t next_caller; /* same; of a free record: the next free one */
    uint32_t next_ended;
    uint32_t previous_ended;
    uint32_t callee_hash;
    uint32_t caller_hash;
    int64_t started;
    int64_t deadline; /* RINGING: no answer; ENDED: forgotten */
    uint64_t into;    /* GLARE: the older call */
    wsig_address_t caller;
    wsig_address_t callee; /* the peer that accepted */
    uint32_t state;        /* in a copy only: wsig_call_state_t */
    uint8_t reason;        /* wsig_end_t */
    bool caller_verified;
    bool callee_verified;
    uint8_t n_ringers;
    uint8_t caller_size;
    uint8_t callee_size;
    uint8_t ref_size;
    uint16_t info_size;
    wsig_media_t caller_media;
    wsig_media_t callee_media;
    char caller_name[WSIG_NAME_MAX];
    char callee_name[WSIG_NAME_MAX];
    char ref[WSIG_REF_MAX];
    char info[WSIG_INFO_MAX]; /* JSON as written */
    wsig_ringer_t ringers[WSIG_USER_PEERS];
} wsig_call_t;

static inline wsig_text_t
wsig_call_caller(const wsig_call_t *call)
{
    return (wsig_text_t){call->caller_name, call->caller_size};
}

static inline wsig_text_t
wsig_call_callee(const wsig_call_t *call)
{
    return (wsig_text_t){call->callee_name, call->callee_size};
}

/* Whom a transition concerns: each is to look at the call again. */
typedef struct wsig_notes_s {
    int n;
    uint64_t call;
    wsig_address_t to[WSIG_USER_PEERS + 2];
} wsig_notes_t;

typedef struct wsig_dial_s {
    wsig_address_t caller;
    wsig_text_t to;
    const wsig_media_t *media;
    wsig_text_t info; /* size 0: absent */
    wsig_text_t ref;  /* size 0: absent */
    int64_t ring_timeout;
    bool only_verified; /* a guest who may call proved names only */
} wsig_dial_t;

size_t wsig_calls_size(uint32_t calls);
void wsig_calls_init(wsig_zone_t *zone);

/* Dial.  WSIG_OK: *id is the call, which may have ended already (busy,
 * glare), or may be an earlier one of the same ref.  WSIG_TAKEN: the caller is
 * in a call.  WSIG_ABSENT: nobody there, or oneself.  WSIG_FORBIDDEN.
 * WSIG_FULL.  WSIG_NOMEM.  In a glare notes are about the older call. */
int wsig_call_dial(wsig_zone_t *zone, const wsig_dial_t *dial, wsig_time_t now,
                   uint64_t *id, wsig_notes_t *notes);

/* WSIG_OK: answered by self, or over for self: look at it.  WSIG_INVALID: self
 * is the caller.  WSIG_TAKEN: self is in another call.  WSIG_ABSENT: unknown,
 * or not a call of self's. */
int wsig_call_accept(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                     const wsig_media_t *media, wsig_notes_t *notes);

/* Hang up, decline or cancel, whichever it is for self.  WSIG_OK: *ended tells
 * whether this ended it (else it was over for self).  WSIG_ABSENT. */
int wsig_call_hangup(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                     wsig_time_t now, bool *ended, wsig_notes_t *notes);

/* self leaves for good (bye) or was lost: its slot still stands in the
 * registry.  Call it until it returns false, and deliver the notes each
 * time. */
bool wsig_call_left(wsig_zone_t *zone, wsig_address_t self, bool bye,
                    wsig_time_t now, wsig_notes_t *notes);

/* self came to its user: it rings for the calls that ring there; returns how
 * many. */
int wsig_call_joined(wsig_zone_t *zone, wsig_address_t self,
                     uint64_t ids[WSIG_CALLS_RINGING]);

/* The calls that self is in: the one that it dialled or answered, and those
 * that ring there; returns how many. */
int wsig_call_list(wsig_zone_t *zone, wsig_address_t self,
                   uint64_t ids[WSIG_CALLS_RINGING + 1]);

/* Copy the record.  WSIG_ABSENT: no such call, or not one of self's. */
int wsig_call_read(wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                   wsig_call_t *call);

/* The other peer of an answered call; takes no lock.  WSIG_AGAIN: not
 * answered (yet, or no longer).  WSIG_ABSENT: no such call, or answered by
 * others. */
int wsig_call_other(const wsig_zone_t *zone, uint64_t id, wsig_address_t self,
                    wsig_address_t *other);

/* Is it time to look through all calls?  Says yes to one worker only. */
bool wsig_call_sweep_due(wsig_zone_t *zone, wsig_time_t now);

/* Look through the calls from *cursor on (0 at first): time-outs, peers of
 * dead workers, records to forget.  true: notes are to be delivered, and it
 * goes on at *cursor. */
bool wsig_call_sweep(wsig_zone_t *zone, uint32_t *cursor, wsig_time_t now,
                     wsig_notes_t *notes);

/* How many ring and are answered. */
void wsig_call_numbers(const wsig_zone_t *zone, uint32_t *ringing,
                       uint32_t *answered);

#endif
