#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "wsig_dialect.h"

#define TICK 100          /* ms: deltas are made of what happened in it */
#define IDLE_TICK 500     /* ms, without peers */
#define BURY_EVERY 500    /* ms */
#define QUIT_WAIT 500     /* ms for other workers to appear */
#define TRIM_PEERS 256    /* fewer are not worth it */
#define TRIM_WAIT 3000    /* ms; their connections linger */
#define SPREAD_TICKS 100  /* over which the last peers are closed */
#define RECORD_BUDGET 256 /* records taken before others get their turn */
#define SWEEP_BUDGET 4    /* partitions, likewise */
#define LIST_BUDGET (4 * 1024 * 1024) /* bytes of user lists in a tick */

static void wsig_worker_tick(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_trim(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_bury(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_report_deaths(wsig_worker_t *worker, unsigned n);
static void wsig_worker_sweep(wsig_worker_t *worker, uint32_t budget);
static void wsig_worker_flush(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_leave(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_take(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_receive(wsig_worker_t *worker,
                                const wsig_record_t *record, const char *body,
                                wsig_time_t now);
static void wsig_worker_moved(void *ctx, uint32_t slot);
static void wsig_worker_close_some(wsig_worker_t *worker, size_t n,
                                   uint16_t code, const char *why,
                                   wsig_time_t now);

int
wsig_worker_start(wsig_worker_t **result, wsig_zone_t *zone,
                  const wsig_host_t *host, void *host_data, wsig_time_t now)
{
    wsig_worker_t *worker = calloc(1, sizeof(*worker));
    bool died;
    int rc;

    if (worker == NULL) {
        return WSIG_NOMEM;
    }
    worker->zone = zone;
    worker->host = host;
    worker->host_data = host_data;
    worker->relay.zone = zone;
    rc = wsig_place_claim(zone, &worker->place, &worker->epoch, &died);
    if (rc != WSIG_OK) {
        free(worker);
        return rc;
    }
    if (died) {
        wsig_worker_report_deaths(worker, 1);
    }
    worker->doorbell = wsig_mailbox_open(zone, worker->place);
    worker->relay.socket = worker->doorbell;
    wsig_presence_init(&worker->presence, zone, wsig_worker_moved, worker);
    if (worker->doorbell < 0) {
        wsig_worker_free(worker, now);
        return WSIG_ERROR;
    }
    worker->timer_at = WSIG_NEVER;
    worker->tick_at = now.mono;
    worker->bury_at = now.mono;
    wsig_presence_read(&worker->presence);
    (void) wsig_mailbox_arm(zone, worker->place);
    wsig_worker_settle(worker, now);
    *result = worker;
    return WSIG_OK;
}

int
wsig_worker_doorbell(const wsig_worker_t *worker)
{
    return worker->doorbell;
}

size_t
wsig_worker_peers(const wsig_worker_t *worker)
{
    return worker->n_peers;
}

void
wsig_worker_ring(wsig_worker_t *worker, wsig_time_t now)
{
    wsig_mailbox_hush(worker->doorbell);
    wsig_worker_take(worker, now);
    wsig_worker_settle(worker, now);
}

void
wsig_worker_timer(wsig_worker_t *worker, wsig_time_t now)
{
    wsig_timer_t *timer;

    worker->timer_at = WSIG_NEVER;
    worker->again = false;
    wsig_relay_retry(&worker->relay);
    while ((timer = wsig_timers_first(&worker->timers)) != NULL &&
           timer->due <= now.mono) {
        wsig_peer_due(
            (wsig_peer_t *) ((char *) timer - offsetof(wsig_peer_t, timer)),
            now);
    }
    wsig_worker_take(worker, now);
    wsig_worker_sweep(worker, SWEEP_BUDGET);
    if (now.mono >= worker->tick_at) {
        wsig_worker_tick(worker, now);
    }
    wsig_worker_settle(worker, now);
}

static void
wsig_worker_tick(wsig_worker_t *worker, wsig_time_t now)
{
    uint32_t cursor = 0;
    wsig_notes_t notes;

    worker->tick_at = now.mono + (worker->n_peers > 0 ? TICK : IDLE_TICK);
    worker->list_budget = LIST_BUDGET;
    if (worker->quitting) {
        wsig_worker_leave(worker, now);
    }
    wsig_worker_trim(worker, now);
    wsig_worker_bury(worker, now);
    if (wsig_call_sweep_due(worker->zone, now)) {
        while (wsig_call_sweep(worker->zone, &cursor, now, &notes)) {
            wsig_worker_note(worker, &notes, (wsig_address_t){0, 0}, now);
        }
    }
    wsig_presence_read(&worker->presence);
    wsig_worker_flush(worker, now);
}

/* What many peers had stands in pieces all over the heap, which keeps it when
 * they have gone. */
static void
wsig_worker_trim(wsig_worker_t *worker, wsig_time_t now)
{
    if (worker->n_peers > worker->most_peers) {
        worker->most_peers = worker->n_peers;
    }
    if (worker->most_peers < TRIM_PEERS ||
        worker->n_peers > worker->most_peers / 2) {
        worker->trim_at = 0;
    } else if (worker->trim_at == 0) {
        worker->trim_at = now.mono + TRIM_WAIT;
    } else if (now.mono >= worker->trim_at) {
#ifdef __GLIBC__
        malloc_trim(0);
#endif
        worker->most_peers = worker->n_peers;
        worker->trim_at = 0;
    }
}

/* The peers of dead workers are swept a few partitions at a time; the calls
 * they were in end at the next sweep of the calls. */
static void
wsig_worker_bury(wsig_worker_t *worker, wsig_time_t now)
{
    unsigned n;

    if (now.mono < worker->bury_at) {
        return;
    }
    worker->bury_at = now.mono + BURY_EVERY;
    n = wsig_place_bury(worker->zone, worker->place);
    if (n > 0) {
        wsig_worker_report_deaths(worker, n);
        worker->sweep = 0;
    }
}

static void
wsig_worker_report_deaths(wsig_worker_t *worker, unsigned n)
{
    wsig_zone_count(worker->zone, worker->place, WSIG_COUNT_DEATHS, n);
    worker->host->log(worker->host_data, WSIG_LOG_WARN,
                      "a worker died; its peers are removed");
}

/* A few partitions at a time. */
static void
wsig_worker_sweep(wsig_worker_t *worker, uint32_t budget)
{
    uint32_t partitions = worker->zone->shared->partitions;

    for (; budget > 0 && worker->sweep < partitions; budget--) {
        wsig_registry_sweep(worker->zone, worker->sweep++);
    }
    worker->again = worker->again || worker->sweep < partitions;
}

static void
wsig_worker_flush(wsig_worker_t *worker, wsig_time_t now)
{
    wsig_realm_t *realm, *next, *again = NULL;
    int rc;

    while ((realm = wsig_presence_pop(&worker->presence)) != NULL) {
        rc = realm->peers != NULL
                 ? wsig_dialect(realm->peers)->flush(worker, realm, now)
                 : WSIG_OK;
        if (rc != WSIG_NOMEM) {
            wsig_presence_settle(&worker->presence, realm);
        }
        if (rc != WSIG_OK) {
            realm->next_dirty = again;
            again = realm;
        }
    }
    for (realm = again; realm != NULL; realm = next) {
        next = realm->next_dirty;
        wsig_presence_soil(&worker->presence, realm);
    }
}

void
wsig_worker_quit(wsig_worker_t *worker, int64_t drain, bool followed,
                 wsig_time_t now)
{
    if (!worker->quitting) {
        worker->quitting = true;
        worker->drain_until = now.mono + drain;
        worker->alone_at = now.mono;
        worker->tick_at = now.mono + TICK; /* others may be asked just now */
        wsig_place_leave(worker->zone, worker->place);
    }
    worker->followed = followed;
    worker->hurried = worker->hurried || drain < 0;
    if (now.mono + drain < worker->drain_until) {
        worker->drain_until = now.mono + drain;
    }
    wsig_worker_settle(worker, now);
}

/* A stop shows by all others leaving too, be it after a reload. */
static void
wsig_worker_leave(wsig_worker_t *worker, wsig_time_t now)
{
    worker->tick_at = now.mono + TICK;
    if (worker->followed || wsig_place_others(worker->zone, worker->place)) {
        worker->alone_at = 0;
    } else if (worker->alone_at == 0) {
        worker->alone_at = now.mono;
    }
    if (worker->alone_at != 0 && now.mono >= worker->alone_at + QUIT_WAIT) {
        wsig_worker_close_some(worker, worker->n_peers, 1001,
                               "the server is shutting down", now);
    } else if (worker->alone_at == 0 && now.mono >= worker->drain_until) {
        if (worker->hurried) {
            worker->drain_step = worker->n_peers;
        } else if (worker->drain_step == 0) {
            worker->drain_step = worker->n_peers / SPREAD_TICKS + 1;
        }
        wsig_worker_close_some(worker, worker->drain_step, 1012,
                               "this process of the server ends", now);
    }
}

static void
wsig_worker_close_some(wsig_worker_t *worker, size_t n, uint16_t code,
                       const char *why, wsig_time_t now)
{
    wsig_peer_t *peer, *next;

    for (peer = worker->peers; peer != NULL && n > 0; peer = next) {
        next = peer->next; /* closing one takes no other off the list */
        if (peer->stage < WSIG_STAGE_CLOSING) {
            wsig_peer_close(peer, code, why, now);
            n--;
        }
    }
}

void
wsig_worker_free(wsig_worker_t *worker, wsig_time_t now)
{
    char path[WSIG_PATH_MAX + 24];
    wsig_peer_t *peer;

    if (worker == NULL) {
        return;
    }
    wsig_worker_close_some(worker, worker->n_peers, 1001,
                           "the server is shutting down", now);
    while ((peer = worker->peers) != NULL) {
        wsig_peer_drop(peer, now);
    }
    wsig_worker_settle(worker, now);
    wsig_worker_sweep(worker, UINT32_MAX);
    wsig_relay_retry(&worker->relay);
    if (worker->doorbell >= 0) {
        wsig_zone_doorbell(worker->zone, worker->place, path);
        unlink(path);
        close(worker->doorbell);
    }
    wsig_place_release(worker->zone, worker->place);
    wsig_presence_free(&worker->presence);
    wsig_relay_free(&worker->relay);
    wsig_timers_free(&worker->timers);
    wsig_table_free(&worker->by_slot);
    wsig_table_free(&worker->claims);
    free(worker->body);
    free(worker);
}

static void
wsig_worker_take(wsig_worker_t *worker, wsig_time_t now)
{
    wsig_record_t record;
    int i, rc;

    for (i = 0; i < RECORD_BUDGET; i++) {
        rc = wsig_mailbox_take(worker->zone, worker->place, &record,
                               &worker->body, &worker->body_room);
        if (rc == WSIG_NOMEM) {
            return; /* until the next tick */
        }
        if (rc == WSIG_OK) {
            wsig_worker_receive(worker, &record, worker->body, now);
        } else if (wsig_mailbox_arm(worker->zone, worker->place)) {
            return;
        }
    }
    worker->again = true; /* the rest in the next round of the loop */
}

static void
wsig_worker_receive(wsig_worker_t *worker, const wsig_record_t *record,
                    const char *body, wsig_time_t now)
{
    wsig_frame_t *frame;
    wsig_node_t *node;
    wsig_peer_t *peer;

    if (record->kind == WSIG_RECORD_ALIVE) {
        node = wsig_table_find(&worker->claims, record->to.slot, NULL);
        if (node != NULL) {
            wsig_peer_close(
                (wsig_peer_t *) ((char *) node - offsetof(wsig_peer_t, node)),
                4409, "the name is taken", now);
        }
        return;
    }
    peer = wsig_worker_find(worker, record->to);
    if (peer == NULL) {
        return; /* it left meanwhile */
    }
    switch (record->kind) {
    case WSIG_RECORD_TEXT:
        frame = wsig_frame_of(WSIG_WS_OPCODE_TEXT, body, record->size);
        wsig_dialect(peer)->deliver(peer, record->call, frame, now);
        wsig_frame_release(frame);
        break;
    case WSIG_RECORD_CALL:
        wsig_dialect(peer)->note(peer, record->call, now);
        wsig_peer_schedule(peer, now);
        break;
    case WSIG_RECORD_PROBE:
        wsig_peer_probe(peer, record, now);
        break;
    default:
        break;
    }
}

wsig_peer_t *
wsig_worker_find(const wsig_worker_t *worker, wsig_address_t address)
{
    wsig_node_t *node = NULL;
    wsig_peer_t *peer;

    while ((node = wsig_table_find(&worker->by_slot, address.slot, node)) !=
           NULL) {
        peer = (wsig_peer_t *) ((char *) node - offsetof(wsig_peer_t, node));
        if (peer->address.generation == address.generation) {
            return peer;
        }
    }
    return NULL;
}

/* A slot has changed: whoever of ours had it may have lost it. */
static void
wsig_worker_moved(void *ctx, uint32_t slot)
{
    wsig_worker_t *worker = ctx;
    wsig_node_t *node = NULL;
    wsig_peer_t *peer;

    if (slot == WSIG_ALL_SLOTS) {
        for (peer = worker->peers; peer != NULL; peer = peer->next) {
            peer->displaced = true;
            wsig_worker_attend(peer);
        }
        return;
    }
    while ((node = wsig_table_find(&worker->by_slot, slot, node)) != NULL) {
        peer = (wsig_peer_t *) ((char *) node - offsetof(wsig_peer_t, node));
        peer->displaced = true;
        wsig_worker_attend(peer);
    }
}

int
wsig_worker_post(wsig_worker_t *worker, unsigned to, uint32_t epoch,
                 const wsig_record_t *record, const void *body, wsig_time_t now)
{
    if (to == worker->place && epoch == worker->epoch) {
        wsig_worker_receive(worker, record, body, now);
        return WSIG_OK;
    }
    return wsig_relay_post(&worker->relay, to, epoch, record, body);
}

int
wsig_worker_text(wsig_peer_t *from, wsig_address_t to, uint64_t call,
                 wsig_frame_t *frame, wsig_time_t now)
{
    wsig_worker_t *worker = from->worker;
    wsig_record_t record = {.kind = WSIG_RECORD_TEXT, .to = to, .call = call};
    wsig_peer_t *peer;
    wsig_text_t text;
    wsig_slot_t slot;
    int rc;

    peer = wsig_worker_find(worker, to);
    if (peer != NULL) {
        wsig_dialect(peer)->deliver(peer, call, frame, now);
        rc = WSIG_OK;
    } else {
        rc = wsig_registry_get(worker->zone, to, &slot);
        if (rc == WSIG_OK) {
            if (from->behind == 0 ||
                !wsig_relay_is_full(&worker->relay, from->behind - 1u)) {
                from->behind = (uint16_t) (slot.worker + 1);
            } /* else it is behind with another of the same user's */
            text = wsig_frame_text(frame);
            record.size = (uint32_t) text.size;
            rc = wsig_worker_post(worker, slot.worker, slot.epoch, &record,
                                  text.data, now);
            wsig_worker_count(worker, WSIG_COUNT_MAILED);
        }
    }
    if (rc == WSIG_OK) {
        wsig_worker_count(worker, WSIG_COUNT_RELAYED);
    }
    return rc;
}

void
wsig_worker_note(wsig_worker_t *worker, const wsig_notes_t *notes,
                 wsig_address_t but, wsig_time_t now)
{
    wsig_record_t record = {.kind = WSIG_RECORD_CALL, .call = notes->call};
    wsig_slot_t slot;
    int i;

    for (i = 0; i < notes->n; i++) {
        record.to = notes->to[i];
        if (record.to.slot == but.slot &&
            record.to.generation == but.generation) {
            continue;
        }
        if (wsig_registry_get(worker->zone, record.to, &slot) == WSIG_OK) {
            (void) wsig_worker_post(worker, slot.worker, slot.epoch, &record,
                                    NULL, now);
        }
    }
}

void
wsig_worker_log(wsig_worker_t *worker, wsig_level_t level, wsig_buffer_t *line)
{
    wsig_put(line, "", 1);
    if (!line->failed) {
        worker->host->log(worker->host_data, level, line->data);
    }
    free(line->data);
}

void
wsig_worker_attend(wsig_peer_t *peer)
{
    if (!peer->attention) {
        peer->attention = true;
        peer->next_attention = peer->worker->attention;
        peer->worker->attention = peer;
    }
}

/* Everything that could not be done while lists were walked over; then the
 * dead are freed, and the host's timer is set. */
void
wsig_worker_settle(wsig_worker_t *worker, wsig_time_t now)
{
    wsig_timer_t *first;
    wsig_peer_t *peer;
    int64_t due;

    while ((peer = worker->attention) != NULL) {
        worker->attention = peer->next_attention;
        peer->attention = false;
        wsig_peer_attend(peer, now);
    }
    while ((peer = worker->dead) != NULL) {
        worker->dead = peer->next;
        wsig_peer_free(peer);
    }
    if (worker->n_peers > 0 && worker->tick_at > now.mono + TICK) {
        worker->tick_at = now.mono + TICK; /* it was idle until now */
    }
    due = worker->again ? now.mono : worker->tick_at;
    if (worker->relay.bytes > 0 && due > now.mono + WSIG_RELAY_RETRY) {
        due = now.mono + WSIG_RELAY_RETRY;
    }
    first = wsig_timers_first(&worker->timers);
    if (first != NULL && first->due < due) {
        due = first->due;
    }
    if (due != worker->timer_at) {
        worker->timer_at = due;
        worker->host->timer(worker->host_data,
                            due > now.mono ? due - now.mono : 0);
    }
}
