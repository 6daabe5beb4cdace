/*
 * wsig_dialect.h: what a dialect does with the texts of its peers.
 */

#ifndef WSIG_DIALECT_H
#define WSIG_DIALECT_H

#include "wsig_worker.h"

/* A guest where guests may only call proved names: he sees nobody. */
static inline bool
wsig_sees_nobody(const wsig_peer_t *peer)
{
    return !peer->verified && peer->conf->guests == WSIG_GUESTS_CALL;
}

typedef struct wsig_dialect_ops_s {
    /* A text came. */
    void (*text)(wsig_peer_t *peer, wsig_text_t text, wsig_time_t now);

    /* The name is had: say welcome. */
    void (*joined)(wsig_peer_t *peer, wsig_time_t now);

    /* Another peer's text, rendered; the frame stays the caller's. */
    void (*deliver)(wsig_peer_t *peer, const wsig_record_t *record,
                    wsig_frame_t *frame, wsig_time_t now);

    /* Look at a call, or a room, again. */
    void (*note)(wsig_peer_t *peer, const wsig_record_t *record,
                 wsig_time_t now);

    /* Do what the session has to do by now; NULL: there are no sessions. */
    void (*due)(wsig_peer_t *peer, wsig_time_t now);

    /* Ask it to come again after ms, since this worker ends; NULL: cannot. */
    void (*bid)(wsig_peer_t *peer, const char *reason, int64_t ms,
                wsig_time_t now);

    /* Tell this worker's peers of a realm what changed.  WSIG_AGAIN: there is
     * more to tell later.  WSIG_NOMEM: nobody was told anything. */
    int (*flush)(wsig_worker_t *worker, wsig_realm_t *realm, wsig_time_t now);
} wsig_dialect_ops_t;

extern const wsig_dialect_ops_t wsig_dialect_native;
extern const wsig_dialect_ops_t wsig_dialect_article;

static inline const wsig_dialect_ops_t *
wsig_dialect(const wsig_peer_t *peer)
{
    return peer->dialect == WSIG_ARTICLE ? &wsig_dialect_article
                                         : &wsig_dialect_native;
}

#endif
