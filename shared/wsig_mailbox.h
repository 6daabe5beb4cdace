/*
 * wsig_mailbox.h: records from worker to worker.
 *
 * Each worker's place has a byte ring in the zone.  Producers write under its
 * lock; storing the tail is the commit, so that a producer that dies leaves
 * nothing behind.  The owner reads without the lock.
 *
 * The doorbell is a named datagram socket: the owner drains, sets `armed` and
 * looks again; a producer publishes, then takes `armed` and rings once.
 */

#ifndef WSIG_MAILBOX_H
#define WSIG_MAILBOX_H

#include "wsig_registry.h"

typedef enum {
    WSIG_RECORD_TEXT,      /* the body is a text for the peer */
    WSIG_RECORD_ROOM_TEXT, /* the same, from a member of a room */
    WSIG_RECORD_CALL,      /* look at the call again */
    WSIG_RECORD_ROOM,      /* look at the room again */
    WSIG_RECORD_PROBE,     /* somebody asks for your name: are you there? */
    WSIG_RECORD_ALIVE,     /* yes; `to` holds what the probe had in `from` */
    WSIG_RECORD_TAKE,      /* who shows token `number` wants its session */
    WSIG_RECORD_SESSION,   /* a piece of it; `to` as in ALIVE */
    WSIG_RECORD_NOTHING    /* there is none; the same */
} wsig_record_kind_t;

/* Records start at multiples of 8 and may wrap around the ring's end. */
typedef struct wsig_record_s {
    uint32_t size; /* of the body */
    uint16_t kind;
    uint16_t copy; /* 1: the sender has it, too; not to be passed on */
    wsig_address_t to;
    uint64_t call;       /* or room; of a piece: how many bytes follow it */
    wsig_address_t from; /* of a probe or take: the newcomer's serial, locally;
                          * of a room's text: the member */
    wsig_owner_t by;     /* and its worker */
    uint32_t stream;     /* of a text: see wsig_flow.h */
    uint32_t number;     /* same; of a take: the newest token that was seen */
    uint32_t entered;    /* of a room's text: the sender's serial in the room */
    uint32_t met;        /* and that of the receiver */
} wsig_record_t;

/* Those for a peer wherever it is by now. */
static inline bool
wsig_record_follows(const wsig_record_t *record)
{
    return record->kind <= WSIG_RECORD_PROBE && !record->copy;
}

/* Those that may not use the reserve of a mailbox. */
static inline bool
wsig_record_is_bulk(const wsig_record_t *record)
{
    return record->kind == WSIG_RECORD_TEXT ||
           record->kind == WSIG_RECORD_ROOM_TEXT ||
           record->kind == WSIG_RECORD_SESSION;
}

/* Append a record.  reserve: bytes of the ring to leave free.  WSIG_AGAIN: the
 * lock is busy or the ring full.  WSIG_ABSENT: that worker is gone. */
int wsig_mailbox_post(wsig_zone_t *zone, unsigned worker, uint32_t epoch,
                      const wsig_record_t *record, const void *body,
                      size_t reserve);

/* Ring if the owner wants to be rung; socket: any datagram socket. */
void wsig_mailbox_ring(wsig_zone_t *zone, unsigned worker, int socket);

/* Take the next record of one's own mailbox; the body is copied into *body,
 * which is grown with realloc (*room).  WSIG_AGAIN: empty.  WSIG_NOMEM: the
 * record stays where it is. */
int wsig_mailbox_take(wsig_zone_t *zone, unsigned self, wsig_record_t *record,
                      char **body, size_t *room);

/* Ask to be rung; false: something has come meanwhile, do not wait. */
bool wsig_mailbox_arm(wsig_zone_t *zone, unsigned self);

/* Make the doorbell; returns the descriptor or WSIG_ERROR. */
int wsig_mailbox_open(wsig_zone_t *zone, unsigned self);

/* Swallow what was rung. */
void wsig_mailbox_hush(int doorbell);

#endif
