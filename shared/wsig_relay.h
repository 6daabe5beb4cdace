/*
 * wsig_relay.h: records to other workers, in order, whatever their mailboxes
 * are doing.  What does not fit at once waits in a queue for that worker and
 * is tried again soon.
 */

#ifndef WSIG_RELAY_H
#define WSIG_RELAY_H

#include "wsig_mailbox.h"

#define WSIG_RELAY_RETRY 5 /* ms */

typedef struct wsig_waiting_s wsig_waiting_t;

typedef struct wsig_relay_s {
    wsig_zone_t *zone;
    int socket;   /* to ring with */
    size_t bytes; /* that wait, in all */

    /* Called with each record that waited for a worker that is gone. */
    void (*gone)(void *ctx, const wsig_record_t *record, const void *body,
                 wsig_time_t now);
    void *ctx;
    struct {
        wsig_waiting_t *first;
        wsig_waiting_t *last;
        size_t bytes;
    } outbox[WSIG_WORKERS];
} wsig_relay_t;

/* So much waits for one worker that who sends it texts is to be held back. */
#define WSIG_RELAY_FULL (1024 * 1024)

static inline bool
wsig_relay_is_full(const wsig_relay_t *relay, unsigned worker)
{
    return relay->outbox[worker].bytes > WSIG_RELAY_FULL;
}

/* WSIG_OK: on its way.  WSIG_ABSENT: that worker is gone.  WSIG_NOMEM. */
int wsig_relay_post(wsig_relay_t *relay, unsigned worker, uint32_t epoch,
                    const wsig_record_t *record, const void *body);

/* Try again what waits. */
void wsig_relay_retry(wsig_relay_t *relay, wsig_time_t now);

void wsig_relay_free(wsig_relay_t *relay);

#endif
