#include <stdlib.h>
#include <string.h>

#include "wsig_relay.h"

#define RESERVE (WSIG_RING_SIZE / 8) /* of a mailbox, for all but texts */

struct wsig_waiting_s {
    wsig_waiting_t *next;
    uint32_t epoch;
    wsig_record_t record;
    char body[];
};

static int
wsig_relay_try(wsig_relay_t *relay, unsigned worker, uint32_t epoch,
               const wsig_record_t *record, const void *body)
{
    int rc;

    rc = wsig_mailbox_post(relay->zone, worker, epoch, record, body,
                           wsig_record_is_bulk(record) ? RESERVE : 0);
    if (rc == WSIG_OK) {
        wsig_mailbox_ring(relay->zone, worker, relay->socket);
    }
    return rc;
}

int
wsig_relay_post(wsig_relay_t *relay, unsigned worker, uint32_t epoch,
                const wsig_record_t *record, const void *body)
{
    wsig_waiting_t *waiting;
    int rc;

    if (relay->outbox[worker].first == NULL) {
        rc = wsig_relay_try(relay, worker, epoch, record, body);
        if (rc != WSIG_AGAIN) {
            return rc;
        }
    }
    waiting = malloc(sizeof(*waiting) + record->size);
    if (waiting == NULL) {
        return WSIG_NOMEM;
    }
    waiting->next = NULL;
    waiting->epoch = epoch;
    waiting->record = *record;
    if (record->size > 0) {
        memcpy(waiting->body, body, record->size);
    }
    if (relay->outbox[worker].first == NULL) {
        relay->outbox[worker].first = waiting;
    } else {
        relay->outbox[worker].last->next = waiting;
    }
    relay->outbox[worker].last = waiting;
    relay->bytes += sizeof(*waiting) + record->size;
    relay->outbox[worker].bytes += sizeof(*waiting) + record->size;
    return WSIG_OK;
}

/* Take the first off the list; the caller frees it. */
static wsig_waiting_t *
wsig_relay_first(wsig_relay_t *relay, unsigned worker)
{
    wsig_waiting_t *waiting = relay->outbox[worker].first;

    if (waiting != NULL) {
        relay->outbox[worker].first = waiting->next;
        relay->bytes -= sizeof(*waiting) + waiting->record.size;
        relay->outbox[worker].bytes -= sizeof(*waiting) + waiting->record.size;
    }
    return waiting;
}

void
wsig_relay_retry(wsig_relay_t *relay, wsig_time_t now)
{
    wsig_waiting_t *waiting;
    unsigned worker;
    int rc;

    for (worker = 0; worker < WSIG_WORKERS && relay->bytes > 0; worker++) {
        while ((waiting = relay->outbox[worker].first) != NULL) {
            rc = wsig_relay_try(relay, worker, waiting->epoch, &waiting->record,
                                waiting->body);
            if (rc == WSIG_AGAIN) {
                break;
            }
            (void) wsig_relay_first(relay, worker);
            if (rc == WSIG_ABSENT) {
                relay->gone(relay->ctx, &waiting->record, waiting->body, now);
            }
            free(waiting);
        }
    }
}

void
wsig_relay_free(wsig_relay_t *relay)
{
    wsig_waiting_t *waiting;
    unsigned worker;

    for (worker = 0; worker < WSIG_WORKERS; worker++) {
        while ((waiting = wsig_relay_first(relay, worker)) != NULL) {
            free(waiting);
        }
    }
}
