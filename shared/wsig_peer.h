/*
 * wsig_peer.h: one connected browser, from the 101 to its end.
 *
 *   HELLO --> CLAIMING --> JOINED --> CLOSING --> DEAD
 *     |          |           |           ^          ^
 *     +----------+-----------+-----------+----------+
 *
 * In CLAIMING the name it wants is held by a guest who is asked whether he is
 * still there.  From CLOSING on nothing that it says counts; DEAD ones are
 * freed at the end of the entry point.
 */

#ifndef WSIG_PEER_H
#define WSIG_PEER_H

#include "wsig_call.h"
#include "wsig_frame.h"
#include "wsig_limit.h"
#include "wsig_mailbox.h"
#include "wsig_presence.h"
#include "wsig_timers.h"
#include "wsig_ws.h"

typedef enum {
    WSIG_STAGE_HELLO,
    WSIG_STAGE_CLAIMING,
    WSIG_STAGE_JOINED,
    WSIG_STAGE_CLOSING,
    WSIG_STAGE_DEAD
} wsig_stage_t;

typedef enum {
    WSIG_WATCH_ALL,
    WSIG_WATCH_NONE,
    WSIG_WATCH_LIST
} wsig_watch_t;

/* A call that the peer has heard of, and what it was told last. */
typedef enum {
    WSIG_TOLD_NOTHING,
    WSIG_TOLD_RINGING, /* `calling` or `ring` */
    WSIG_TOLD_ANSWERED
} wsig_told_t;

typedef struct wsig_known_s {
    uint64_t call;
    wsig_told_t told;
} wsig_known_t;

/* Names, sorted, in one allocation. */
typedef struct wsig_names_s {
    uint32_t n;
    wsig_text_t names[];
} wsig_names_t;

typedef struct wsig_known_calls_s {
    int64_t looked; /* at all of them */
    uint32_t n;
    wsig_known_t calls[];
} wsig_known_calls_t;

/* Somebody asks whether it is there. */
typedef struct wsig_probe_s {
    int64_t since;
    uint32_t serial; /* of his claim */
    uint32_t worker;
    uint32_t epoch;
} wsig_probe_t;

/* In order of size, and without what is not there while it is idle: so it
 * takes 256 bytes of the heap. */
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
    wsig_known_calls_t *known; /* NULL: none */
    wsig_probe_t *probe;       /* that it has to answer; NULL: none */
    wsig_names_t *names;       /* it watches */
    char *name;                /* its own or identity; NULL before hello */
    char *ref;                 /* of hello, until it is answered; NULL: none */
    int64_t heard;             /* the last text or pong */
    int64_t until;             /* of the stage; of JOINED: the next ping */
    int64_t held;              /* until then; 0: not */
    uint32_t opened;           /* seconds */
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

/* Send a frame and give it away; NULL: memory was short.  Where it cannot be
 * sent the peer is doomed: closed before the entry point returns, 1013. */
void wsig_peer_send(wsig_peer_t *peer, wsig_frame_t *frame);

/* Send one that others get too. */
void wsig_peer_share(wsig_peer_t *peer, wsig_frame_t *frame);

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

/* Claiming: try again. */
void wsig_peer_try(wsig_peer_t *peer, wsig_time_t now);

/* Somebody asks whether it is there. */
void wsig_peer_probe(wsig_peer_t *peer, const wsig_record_t *record,
                     wsig_time_t now);

/* Its timer has fired. */
void wsig_peer_due(wsig_peer_t *peer, wsig_time_t now);

/* Set the timer to what is due next. */
void wsig_peer_schedule(wsig_peer_t *peer, wsig_time_t now);

/* Do what was put off: see wsig_worker_attend. */
void wsig_peer_attend(wsig_peer_t *peer, wsig_time_t now);

/* Out at once, without a Close; the host gets its connection back. */
void wsig_peer_drop(wsig_peer_t *peer, wsig_time_t now);

void wsig_peer_free(wsig_peer_t *peer);

#endif
