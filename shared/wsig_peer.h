/*
 * wsig_peer.h: one connected browser, from the 101 to its end.
 *
 *   HELLO --> CLAIMING ---> JOINED ----------> CLOSING --> DEAD
 *     |   \                 ^  |                  ^          ^
 *     |    +-> RETURNING --+   +- - > LOST ------ | ---------+
 *     |    (too late: CLAIMING; its connection gone: LOST)
 *     |                                           |
 *     +-------------------------------------------+
 *
 * In CLAIMING the name it wants is held by a guest who is asked whether he is
 * still there; in RETURNING it has shown a token, and its session is on its way
 * from another worker.  From CLOSING on nothing that it says counts; DEAD ones
 * are freed at the end of the entry point.
 *
 * A peer whose connection ends and who may come back leaves another one behind,
 * which is LOST: it has no connection, but place and session.  While it comes
 * back on another worker that has a copy of the session; what comes for the
 * peer is passed on there as well, until the registry names that worker, and
 * what is left here has nothing any more.
 */

#ifndef WSIG_PEER_H
#define WSIG_PEER_H

#include "wsig_call.h"
#include "wsig_frame.h"
#include "wsig_limit.h"
#include "wsig_mailbox.h"
#include "wsig_presence.h"
#include "wsig_session.h"
#include "wsig_timers.h"
#include "wsig_ws.h"

typedef enum {
    WSIG_STAGE_HELLO,
    WSIG_STAGE_CLAIMING,
    WSIG_STAGE_RETURNING,
    WSIG_STAGE_JOINED,
    WSIG_STAGE_LOST,
    WSIG_STAGE_CLOSING,
    WSIG_STAGE_DEAD
} wsig_stage_t;

typedef enum {
    WSIG_WATCH_ALL,
    WSIG_WATCH_NONE,
    WSIG_WATCH_LIST
} wsig_watch_t;

/* Names, sorted, in one allocation. */
typedef struct wsig_names_s {
    uint32_t n;
    wsig_text_t names[];
} wsig_names_t;

/* Somebody asks whether it is there. */
typedef struct wsig_probe_s {
    int64_t since;
    uint32_t serial; /* of his claim */
    wsig_owner_t by;
} wsig_probe_t;

/* It has shown a token; or, of a LOST one, who else has. */
typedef struct wsig_return_s {
    wsig_address_t place;
    wsig_shown_t shown; /* token 0: it is of no use */
    wsig_owner_t other; /* worker that was asked for the session, or got it */
    int64_t since;      /* when it got it */
    uint64_t got;       /* counted texts, it says */
    bool watches;       /* it said what it watches */
    bool back;          /* it has its place */
    bool lost;          /* but not all that belonged to it */
    char *bytes;        /* of the session, as far as they came */
    size_t size;
    uint8_t name_size;
    char name[WSIG_NAME_MAX]; /* it wants where the token is of no use */
} wsig_return_t;

/* What moves from peer to peer when one takes the place of another. */
typedef struct wsig_parcel_s {
    wsig_session_t *session;
    wsig_names_t *names;
    wsig_watch_t watch;
} wsig_parcel_t;

/* In order of size, and without what is not there while it is idle: so it
 * takes 272 bytes of the heap. */
struct wsig_peer_s {
    wsig_worker_t *worker;
    void *connection;
    const wsig_conf_t *conf;
    wsig_peer_t *next; /* of the worker's; of the dead */
    wsig_peer_t *previous;
    wsig_peer_t *next_attention; /* of those to look at before we return */
    wsig_peer_t *next_in_realm;
    wsig_peer_t *previous_in_realm;
    wsig_node_t node; /* by the serial of its claim; by slot, once it has one */
    wsig_timer_t timer;
    wsig_ws_t *ws; /* in the midst of a frame or text; NULL: it is not */
    wsig_queue_t queue;
    wsig_bucket_t bucket;
    uint8_t *rest;       /* what came and is held back */
    wsig_realm_t *realm; /* until it leaves */
    wsig_address_t address;
    uint64_t since; /* it knows the changes of the realm up to this number */
    wsig_session_t *session; /* NULL: it had no need of one */
    wsig_return_t *ticket;   /* while it comes back, or has moved */
    wsig_probe_t *probe;     /* that it has to answer; NULL: none */
    wsig_names_t *names;     /* it watches */
    char *name;              /* its own or identity; NULL before hello */
    char *ref;               /* of hello, until it is answered; NULL: none */
    int64_t heard;           /* the last text or pong */
    int64_t until;           /* of the stage; of JOINED: the next ping */
    int64_t held;            /* until then; 0: not */
    uint32_t opened;         /* seconds */
    uint32_t token;          /* the number of its newest one */
    uint32_t rest_size;
    uint32_t name_hash;
    uint16_t behind; /* the worker that its last text went to, plus 1 */
    uint16_t closed; /* the code it was closed with; 0: lost */
    uint8_t stage;
    uint8_t dialect;
    uint8_t watch;
    bool verified : 1;
    bool listed : 1;    /* it got a list, so it gets deltas */
    bool deaf : 1;      /* what it sends cannot be read any more */
    bool attention : 1; /* it is on that list */
    bool displaced : 1; /* its slot must be looked at */
    bool doomed : 1;    /* it has to be closed before we return */
    bool broken : 1;    /* it cannot be written to */
    bool bye : 1;       /* it said so, or closed as one who leaves for good */
    bool expelled : 1;  /* it must not come back */
    bool unproved : 1;  /* it came back, and was not heard since */
    bool unmet : 1;     /* new, and it may not have its welcome yet */
    bool quiet : 1; /* lost, but it seems to move: not yet told to be away */
    bool amiss : 1; /* something is lost, and there is no session to say so */
    bool owns_conf : 1; /* a copy: there is no host that keeps it */
    uint8_t name_size;
    uint8_t identity_size;
    char identity[]; /* which becomes its name */
};

static inline wsig_text_t
wsig_peer_name(const wsig_peer_t *peer)
{
    return (wsig_text_t){peer->name, peer->name_size};
}

static inline wsig_text_t
wsig_peer_realm(const wsig_peer_t *peer)
{
    return wsig_realm_name(peer->realm);
}

static inline wsig_text_t
wsig_peer_identity(const wsig_peer_t *peer)
{
    return (wsig_text_t){peer->identity, peer->identity_size};
}

static inline bool
wsig_peer_is_open(const wsig_peer_t *peer)
{
    return peer->stage <= WSIG_STAGE_JOINED;
}

/* Has it a place in the registry, and it alone? */
static inline bool
wsig_peer_is_placed(const wsig_peer_t *peer)
{
    return peer->stage == WSIG_STAGE_JOINED || peer->stage == WSIG_STAGE_LOST;
}

/* May its texts be counted, and its place be kept for it? */
static inline bool
wsig_peer_may_return(const wsig_peer_t *peer)
{
    return peer->dialect == WSIG_NATIVE && peer->conf->resume > 0;
}

/* Send a frame and give it away; NULL: memory was short.  Where it cannot be
 * sent the peer is doomed: closed before the entry point returns, 1013. */
void wsig_peer_send(wsig_peer_t *peer, wsig_frame_t *frame);

/* Send one that others get too. */
void wsig_peer_share(wsig_peer_t *peer, wsig_frame_t *frame);

/* Send one that was kept: however much waits. */
void wsig_peer_repeat(wsig_peer_t *peer, wsig_frame_t *frame);

/* Into the peers of its realm on this worker; and to their end. */
void wsig_peer_link(wsig_peer_t *peer);
void wsig_peer_to_end(wsig_peer_t *peer);

/* Close with a code and words; the peer leaves the realm at once. */
void wsig_peer_close(wsig_peer_t *peer, uint16_t code, const char *why,
                     wsig_time_t now);

#define WSIG_PROBE_WAIT 2000 /* ms that an asked holder has */
#define WSIG_CLAIM_WAIT 2600 /* ms until the newcomer gives up: a bit more */
#define WSIG_CLAIM_RETRY 100 /* ms */

/* Ask for a valid name.  The dialect's joined is called when it is had; the
 * peer is closed where it is not. */
void wsig_peer_claim(wsig_peer_t *peer, wsig_text_t name, wsig_time_t now);

/* The same for a name that may be missing (size 0). */
void wsig_peer_start(wsig_peer_t *peer, wsig_text_t name, wsig_time_t now);

/* Claiming: try again. */
void wsig_peer_try(wsig_peer_t *peer, wsig_time_t now);

/* It has its name: into registry and realm, and welcome. */
void wsig_peer_join(wsig_peer_t *peer, wsig_time_t now);

/* It has shown a good token, in peer->ticket: take its place.  Joined is called
 * when it has it; wsig_peer_claim, where it is too late.  (wsig_resume.c) */
void wsig_peer_return(wsig_peer_t *peer, wsig_time_t now);

/* Returning: look again; a piece of its session came; or there is none. */
void wsig_peer_seek(wsig_peer_t *peer, wsig_time_t now);
void wsig_peer_unpack(wsig_peer_t *peer, const wsig_record_t *record,
                      const char *body, wsig_time_t now);
void wsig_peer_do_without(wsig_peer_t *peer, wsig_owner_t owner,
                          wsig_time_t now);

/* Somebody has shown its token on another worker, or on this one: it gives
 * away what it has, and its connection is closed. */
void wsig_peer_hand_over(wsig_peer_t *peer, const wsig_record_t *record,
                         wsig_time_t now);

/* Its connection ends, but it has its place until the window is over: to
 * another peer, which is LOST.  Where there is no memory for that only the
 * place is kept. */
void wsig_peer_lose(wsig_peer_t *peer, wsig_time_t now);

/* It did not move: tell that it is lost. */
void wsig_peer_admit(wsig_peer_t *lost);

#define WSIG_MOVE_WAIT 300 /* ms for who has a copy of a session to take it */

/* The same without a session, since the worker ends. */
void wsig_peer_orphan(wsig_peer_t *peer, wsig_time_t now);

/* Somebody asks whether it is there. */
void wsig_peer_probe(wsig_peer_t *peer, const wsig_record_t *record,
                     wsig_time_t now);

/* Its timer has fired. */
void wsig_peer_due(wsig_peer_t *peer, wsig_time_t now);

/* Set the timer to what is due next. */
void wsig_peer_schedule(wsig_peer_t *peer, wsig_time_t now);

/* Do what was put off: see wsig_worker_attend. */
void wsig_peer_attend(wsig_peer_t *peer, wsig_time_t now);

/* The session, made if there was none; NULL: no memory, the peer is doomed. */
wsig_session_t *wsig_peer_session(wsig_peer_t *peer);

/* A text of its session is lost: it has to come again to be told so. */
void wsig_peer_miss(wsig_peer_t *peer, wsig_time_t now);

/* Out of the realm's and the worker's lists, but not of the registry. */
void wsig_peer_step_out(wsig_peer_t *peer);

/* Its own copy of its settings, since the host may free them.  WSIG_NOMEM. */
int wsig_peer_keep_conf(wsig_peer_t *peer);

/* A new one in the worker's list, in a realm; NULL: no memory. */
wsig_peer_t *wsig_peer_make(wsig_worker_t *worker, const wsig_realm_id_t *realm,
                            wsig_text_t realm_name, wsig_text_t identity);

/* Say Close, and wait for the client's; it has left before. */
void wsig_peer_shut(wsig_peer_t *peer, uint16_t code, const char *why,
                    wsig_time_t now);

/* It ends here; a connection goes back to the host. */
void wsig_peer_end(wsig_peer_t *peer);

/* Out at once, without a Close; the host gets its connection back. */
void wsig_peer_drop(wsig_peer_t *peer, wsig_time_t now);

void wsig_peer_free(wsig_peer_t *peer);

#endif
