/*
 * wsig_session.h: what a native peer has besides its name and place: how many
 * counted texts went each way, those that the client has not acknowledged, and
 * what it was told of its calls and rooms.
 *
 * A session is made with the first of these.  It outlives connections, and
 * moves with its peer from worker to worker, as bytes; it dies with a worker
 * that is killed.
 */

#ifndef WSIG_SESSION_H
#define WSIG_SESSION_H

#include "wsig_call.h"
#include "wsig_flow.h"
#include "wsig_room.h"

#define WSIG_ACK_EVERY 16    /* counted texts */
#define WSIG_ACK_WAIT 2000   /* ms after the first one */
#define WSIG_KNOWN_CALLS 255 /* that one peer may know of */
#define WSIG_ROOMS_EACH 8    /* that one peer may be in */

/* A call that the peer has heard of, and what it was told last. */
typedef enum {
    WSIG_TOLD_NOTHING,
    WSIG_TOLD_RINGING, /* `calling` or `ring` */
    WSIG_TOLD_ANSWERED
} wsig_told_t;

typedef struct wsig_known_s {
    uint64_t call;
    wsig_told_t told;
    wsig_flow_t flow; /* of signals, with the other side */
} wsig_known_t;

/* Another member of a room, as the peer was told. */
typedef struct wsig_met_s {
    wsig_address_t at;
    uint32_t serial; /* of its entering */
    bool verified;
    uint8_t name_size;
    char name[WSIG_NAME_MAX];
    wsig_flow_t flow;
} wsig_met_t;

/* A room that the peer is in. */
typedef struct wsig_inside_s {
    uint64_t room;
    uint32_t serial; /* of its own entering */
    uint8_t name_size;
    uint8_t n; /* others that it was told of */
    char name[WSIG_ROOM_NAME_MAX];
    wsig_met_t met[WSIG_ROOM_MAX];
} wsig_inside_t;

typedef struct wsig_session_s {
    uint32_t stream; /* of the texts it sends: see wsig_flow.h */
    uint32_t anew;   /* the token with which the counts began anew; 0: never */
    bool lost;       /* something could not be kept */
    uint8_t n_calls;
    uint8_t n_rooms;
    uint64_t got;      /* counted texts that came */
    uint64_t got_told; /* of them acknowledged */
    uint64_t sent;     /* counted texts that went */
    uint64_t acked;    /* by the client */
    int64_t ack_due;   /* 0: nothing to acknowledge */
    int64_t looked;    /* at its calls and rooms, all of them */
    wsig_queue_t kept; /* the last of those that went */
    uint32_t n_kept;
    wsig_known_t *calls;
    wsig_inside_t *rooms[WSIG_ROOMS_EACH];
} wsig_session_t;

#define WSIG_LOOK_EVERY 1000 /* ms, at calls and rooms: a note may be lost */

/* When there is something to do next; far away: never. */
static inline int64_t
wsig_session_due(const wsig_session_t *session)
{
    int64_t look = session->n_calls > 0 || session->n_rooms > 0
                       ? session->looked + WSIG_LOOK_EVERY
                       : INT64_MAX;

    return session->ack_due != 0 && session->ack_due < look ? session->ack_due
                                                            : look;
}

/* token: the peer's newest one.  NULL: no memory. */
wsig_session_t *wsig_session_make(uint32_t token);
void wsig_session_free(wsig_session_t *session); /* may be NULL */

/* Count a text that goes, and keep it as far as max bytes allow. */
void wsig_session_keep(wsig_session_t *session, wsig_frame_t *frame,
                       size_t max);

/* The client has all up to a number.  WSIG_INVALID: more than were sent. */
int wsig_session_acked(wsig_session_t *session, uint64_t got);

/* The client comes back with a token and has all up to a number: what is kept
 * is the rest.  false: something is lost. */
bool wsig_session_again(wsig_session_t *session, uint32_t token, uint64_t got);

/* All counts begin anew, with this token. */
void wsig_session_begin(wsig_session_t *session, uint32_t token);

/* Something was lost: what is kept is of no use any more. */
void wsig_session_lose(wsig_session_t *session);

/* NULL: not known. */
wsig_known_t *wsig_session_call(const wsig_session_t *session, uint64_t call);

/* Know of a call; sure: nothing of it was lost before.  NULL: too many, or no
 * memory.  What wsig_session_call returned before may have moved. */
wsig_known_t *wsig_session_add_call(wsig_session_t *session, uint64_t call,
                                    bool sure);
void wsig_session_drop_call(wsig_session_t *session, uint64_t call);

wsig_inside_t *wsig_session_room(const wsig_session_t *session, uint64_t room);

/* NULL: too many, or no memory. */
wsig_inside_t *wsig_session_add_room(wsig_session_t *session, uint64_t room);
void wsig_session_drop_room(wsig_session_t *session, uint64_t room);

/* As bytes, for another worker; and from them (NULL: no memory). */
void wsig_session_write(wsig_buffer_t *out, const wsig_session_t *session);
wsig_session_t *wsig_session_read(wsig_text_t bytes);

#endif
