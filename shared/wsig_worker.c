#include <stdlib.h>
#include <string.h>
#include <time.h>
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
#define LOST_WAIT 3000 /* ms for the last that were closed to come back */
#define EMPTY_TRIES 20 /* at full mailboxes of others, before the end */
#define SEND_TRIES 3   /* to follow a peer that moves while it is sent to */

static void wsig_worker_tick(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_trim(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_bury(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_report_deaths(wsig_worker_t *worker, unsigned n);
static void wsig_worker_sweep(wsig_worker_t *worker, uint32_t budget,
                              wsig_time_t now);
static void wsig_worker_flush(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_leave(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_shut(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_bid(wsig_worker_t *worker, const char *reason,
                            int64_t within, wsig_time_t now);
static void wsig_worker_leave_lost(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_empty(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_take(wsig_worker_t *worker, wsig_time_t now);
static void wsig_worker_receive(wsig_worker_t *worker,
                                const wsig_record_t *record, const char *body,
                                wsig_time_t now);
static void wsig_worker_moved(void *ctx, uint32_t slot);
static void wsig_worker_again(void *ctx, const wsig_record_t *record,
                              const void *body, wsig_time_t now);
static bool wsig_worker_close_some(wsig_worker_t *worker, size_t n,
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
    worker->relay.gone = wsig_worker_again;
    worker->relay.ctx = worker;
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
    wsig_relay_retry(&worker->relay, now);
    wsig_worker_take(worker, now);
    while ((timer = wsig_timers_first(&worker->timers)) != NULL &&
           timer->due <= now.mono) {
        wsig_peer_due(
            (wsig_peer_t *) ((char *) timer - offsetof(wsig_peer_t, timer)),
            now);
    }
    wsig_worker_sweep(worker, SWEEP_BUDGET, now);
    if (now.mono >= worker->tick_at) {
        wsig_worker_tick(worker, now);
    }
    wsig_worker_settle(worker, now);
}

static void
wsig_worker_tick(wsig_worker_t *worker, wsig_time_t now)
{
    uint32_t calls = 0, rooms = 0;
    wsig_notes_t notes;
    wsig_room_t room;

    worker->tick_at = now.mono + (worker->n_peers > 0 ? TICK : IDLE_TICK);
    worker->list_budget = LIST_BUDGET;
    if (worker->quitting) {
        wsig_worker_leave(worker, now);
    }
    wsig_worker_trim(worker, now);
    wsig_worker_bury(worker, now);
    if (wsig_call_sweep_due(worker->zone, now)) {
        while (wsig_call_sweep(worker->zone, &calls, now, &notes)) {
            wsig_worker_note(worker, &notes, (wsig_address_t){0, 0}, now);
        }
    }
    if (wsig_room_sweep_due(worker->zone, now)) {
        while (wsig_room_sweep(worker->zone, &rooms, &room)) {
            wsig_worker_note_room(worker, &room, (wsig_address_t){0, 0}, now);
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

/* The peers of dead workers, and the lost whose time is up, are swept a few
 * partitions at a time; the calls they were in end at the next sweep of the
 * calls. */
static void
wsig_worker_bury(wsig_worker_t *worker, wsig_time_t now)
{
    int64_t orphans_at = atomic_load(&worker->zone->shared->orphans_at);
    unsigned n;

    if (now.mono >= orphans_at &&
        atomic_compare_exchange_strong(&worker->zone->shared->orphans_at,
                                       &orphans_at, INT64_MAX)) {
        worker->sweep = 0; /* whose time is not up is expected again by it */
    }
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
                      "a worker died; its users are lost, and may come back");
}

/* A few partitions at a time. */
static void
wsig_worker_sweep(wsig_worker_t *worker, uint32_t budget, wsig_time_t now)
{
    uint32_t partitions = worker->zone->shared->partitions;

    for (; budget > 0 && worker->sweep < partitions; budget--) {
        wsig_registry_sweep(worker->zone, worker->sweep++, now.mono);
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
        worker->asked_at = now.mono;
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
    if (worker->alone_at != 0) {
        if (now.mono >= worker->alone_at + QUIT_WAIT) {
            wsig_worker_shut(worker, now);
            wsig_worker_leave_lost(worker, now);
        }
        return;
    }
    if (!worker->bidden && !worker->hurried &&
        now.mono >= worker->asked_at + QUIT_WAIT) {
        wsig_worker_bid(worker, "reload", worker->drain_until - now.mono, now);
    }
    if (now.mono >= worker->drain_until) {
        if (worker->hurried) {
            worker->drain_step = worker->n_peers;
        } else if (worker->drain_step == 0) {
            worker->drain_step = worker->n_peers / SPREAD_TICKS + 1;
        }
        if (wsig_worker_close_some(worker, worker->drain_step, 1012,
                                   "this process of the server ends", now)) {
            worker->closed_at = now.mono;
        }
        if (worker->hurried || now.mono >= worker->closed_at + LOST_WAIT) {
            wsig_worker_leave_lost(worker, now);
        }
    }
}

static void
wsig_worker_shut(wsig_worker_t *worker, wsig_time_t now)
{
    worker->ending = true;
    wsig_worker_bid(worker, "shutdown", SPREAD_TICKS * TICK, now);
    wsig_worker_close_some(worker, worker->n_peers, 1001,
                           "the server is shutting down", now);
}

/* Ask the peers to come again, one after the other, at the pace that all who
 * leave have together, or faster where that would take more than so many ms. */
static void
wsig_worker_bid(wsig_worker_t *worker, const char *reason, int64_t within,
                wsig_time_t now)
{
    int leaving = wsig_place_leaving(worker->zone);
    int64_t pace = WSIG_BID_PACE * (leaving > 0 ? leaving : 1);
    int64_t most = within * 1000 / (int64_t) (worker->n_peers + 1);
    int64_t after = 0; /* us */
    wsig_peer_t *peer;

    pace = pace * 1000 < most ? pace * 1000 : most > 0 ? most : 0;
    worker->bidden = true;
    for (peer = worker->peers; peer != NULL; peer = peer->next) {
        if (peer->stage == WSIG_STAGE_JOINED && wsig_peer_may_return(peer)) {
            after += pace;
            wsig_dialect(peer)->bid(peer, reason, after / 1000, now);
        }
    }
}

/* Was there one? */
static bool
wsig_worker_close_some(wsig_worker_t *worker, size_t n, uint16_t code,
                       const char *why, wsig_time_t now)
{
    wsig_peer_t *peer, *next;
    bool some = false;

    for (peer = worker->peers; peer != NULL && n > 0; peer = next) {
        next = peer->next; /* closing one takes no other off the list */
        if (wsig_peer_is_open(peer) && peer->connection != NULL) {
            wsig_peer_close(peer, code, why, now);
            some = true;
            n--;
        }
    }
    return some;
}

/* Those without a connection; they have their places, but no session. */
static void
wsig_worker_leave_lost(wsig_worker_t *worker, wsig_time_t now)
{
    wsig_peer_t *peer, *next;

    worker->ending = true;
    for (peer = worker->peers; peer != NULL; peer = next) {
        next = peer->next;
        if (peer->connection == NULL) {
            wsig_peer_drop(peer, now);
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
    wsig_worker_shut(worker, now);
    while ((peer = worker->peers) != NULL) {
        wsig_peer_drop(peer, now);
    }
    wsig_worker_settle(worker, now);
    wsig_worker_sweep(worker, UINT32_MAX, now);
    wsig_place_close(worker->zone, worker->place);
    wsig_worker_empty(worker, now);
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

/* Nothing comes any more; what came for those who have moved is passed on. */
static void
wsig_worker_empty(wsig_worker_t *worker, wsig_time_t now)
{
    const struct timespec pause = {0, WSIG_RELAY_RETRY * 1000 * 1000};
    int tries;

    wsig_worker_take(worker, now);
    while (worker->again) {
        worker->again = false;
        wsig_worker_take(worker, now);
    }
    wsig_relay_retry(&worker->relay, now);
    for (tries = 0; worker->relay.bytes > 0 && tries < EMPTY_TRIES; tries++) {
        nanosleep(&pause, NULL);
        wsig_relay_retry(&worker->relay, now);
    }
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

/* A peer of ours that waits for an answer, by the serial of its claim. */
static wsig_peer_t *
wsig_worker_claimant(const wsig_worker_t *worker, uint32_t serial)
{
    wsig_node_t *node = wsig_table_find(&worker->claims, serial, NULL);

    return node != NULL
               ? (wsig_peer_t *) ((char *) node - offsetof(wsig_peer_t, node))
               : NULL;
}

static void
wsig_worker_answer(wsig_worker_t *worker, const wsig_record_t *record,
                   const char *body, wsig_time_t now)
{
    wsig_peer_t *peer = wsig_worker_claimant(worker, record->to.slot);

    if (peer == NULL) {
        return;
    }
    switch (record->kind) {
    case WSIG_RECORD_ALIVE:
        if (peer->stage == WSIG_STAGE_CLAIMING) {
            wsig_peer_close(peer, 4409, "the name is taken", now);
        }
        break;
    case WSIG_RECORD_SESSION:
        wsig_peer_unpack(peer, record, body, now);
        break;
    default:
        wsig_peer_do_without(peer, record->by, now);
        break;
    }
}

/* For a peer that is not here: it has moved, or left.  (Who wants a session
 * follows the registry by himself.) */
static void
wsig_worker_pass_on(wsig_worker_t *worker, const wsig_record_t *record,
                    const char *body, wsig_time_t now)
{
    wsig_owner_t self = wsig_worker_self(worker);
    wsig_record_t nothing = {
        .kind = WSIG_RECORD_NOTHING, .to = record->from, .by = self};
    wsig_slot_t slot;

    if (wsig_registry_get(worker->zone, record->to, &slot) != WSIG_OK) {
        return;
    }
    if (record->kind == WSIG_RECORD_TAKE) {
        if (wsig_slot_is_of(&slot, self)) {
            (void) wsig_worker_post(worker, record->by, &nothing, NULL, now);
        }
    } else if (!wsig_slot_is_of(&slot, self)) {
        (void) wsig_worker_post(worker, (wsig_owner_t){slot.worker, slot.epoch},
                                record, body, now);
    }
}

/* A lost peer whose session another worker has got: that gets what comes as
 * well.  false: the peer here has nothing any more. */
static bool
wsig_worker_copy(wsig_worker_t *worker, wsig_peer_t *lost,
                 const wsig_record_t *record, const char *body, wsig_time_t now)
{
    wsig_record_t copy = *record;
    wsig_slot_t slot;

    if (wsig_registry_get(worker->zone, record->to, &slot) != WSIG_OK ||
        !wsig_slot_is_of(&slot, wsig_worker_self(worker))) {
        wsig_worker_pass_on(worker, record, body, now);
        return false;
    }
    copy.copy = 1;
    if (wsig_relay_is_full(&worker->relay, lost->ticket->other.worker) ||
        wsig_worker_post(worker, lost->ticket->other, &copy, body, now) ==
            WSIG_NOMEM) {
        wsig_peer_orphan(lost, now); /* it does not get all */
        wsig_peer_end(lost);
        return false;
    }
    return true;
}

static void
wsig_worker_receive(wsig_worker_t *worker, const wsig_record_t *record,
                    const char *body, wsig_time_t now)
{
    wsig_frame_t *frame;
    wsig_peer_t *peer;

    if (record->kind == WSIG_RECORD_ALIVE ||
        record->kind == WSIG_RECORD_SESSION ||
        record->kind == WSIG_RECORD_NOTHING) {
        wsig_worker_answer(worker, record, body, now);
        return;
    }
    peer = wsig_worker_find(worker, record->to);
    if (peer == NULL) {
        if (!record->copy) {
            wsig_worker_pass_on(worker, record, body, now);
        }
        return;
    }
    if (peer->ticket != NULL && record->kind != WSIG_RECORD_TAKE &&
        !wsig_worker_copy(worker, peer, record, body, now)) {
        return;
    }
    switch (record->kind) {
    case WSIG_RECORD_TEXT:
    case WSIG_RECORD_ROOM_TEXT:
        frame = wsig_frame_of(WSIG_WS_OPCODE_TEXT, body, record->size);
        if (frame == NULL) {
            wsig_peer_miss(peer, now);
            break;
        }
        wsig_dialect(peer)->deliver(peer, record, frame, now);
        wsig_frame_release(frame);
        break;
    case WSIG_RECORD_CALL:
    case WSIG_RECORD_ROOM:
        wsig_dialect(peer)->note(peer, record, now);
        wsig_peer_schedule(peer, now);
        break;
    case WSIG_RECORD_PROBE:
        wsig_peer_probe(peer, record, now);
        break;
    case WSIG_RECORD_TAKE:
        wsig_peer_hand_over(peer, record, now);
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
wsig_worker_post(wsig_worker_t *worker, wsig_owner_t to,
                 const wsig_record_t *record, const void *body, wsig_time_t now)
{
    if (to.worker == worker->place && to.epoch == worker->epoch) {
        wsig_worker_receive(worker, record, body, now);
        return WSIG_OK;
    }
    return wsig_relay_post(&worker->relay, to.worker, to.epoch, record, body);
}

/* To wherever the peer is; *to is the worker it went to.  If that has ended
 * in the meantime, the registry may name another by now. */
static int
wsig_worker_send(wsig_worker_t *worker, const wsig_record_t *record,
                 const void *body, wsig_owner_t *to, wsig_time_t now)
{
    wsig_slot_t slot;
    int tries, rc = WSIG_ABSENT;

    for (tries = 0; tries < SEND_TRIES && rc == WSIG_ABSENT; tries++) {
        rc = wsig_registry_get(worker->zone, record->to, &slot);
        if (rc != WSIG_OK) {
            break;
        }
        *to = (wsig_owner_t){slot.worker, slot.epoch};
        rc = wsig_worker_post(worker, *to, record, body, now);
    }
    return rc;
}

/* What waited for a worker that has ended: its peers may have moved. */
static void
wsig_worker_again(void *ctx, const wsig_record_t *record, const void *body,
                  wsig_time_t now)
{
    wsig_owner_t to;

    if (wsig_record_follows(record)) {
        (void) wsig_worker_send(ctx, record, body, &to, now);
    }
}

int
wsig_worker_text(wsig_peer_t *from, wsig_record_t *record, wsig_frame_t *frame,
                 wsig_time_t now)
{
    wsig_worker_t *worker = from->worker;
    wsig_peer_t *peer = wsig_worker_find(worker, record->to);
    wsig_text_t text = wsig_frame_text(frame);
    wsig_owner_t to = {0, 0};
    int rc = WSIG_OK;

    record->size = (uint32_t) text.size;
    if (peer != NULL && peer->stage == WSIG_STAGE_JOINED) {
        wsig_dialect(peer)->deliver(peer, record, frame, now);
    } else {
        rc = wsig_worker_send(worker, record, text.data, &to, now);
        if (rc == WSIG_OK) {
            if (from->behind == 0 ||
                !wsig_relay_is_full(&worker->relay, from->behind - 1u)) {
                from->behind = (uint16_t) (to.worker + 1);
            } /* else it is behind with another of the same user's */
            wsig_worker_count(worker, WSIG_COUNT_MAILED);
        }
    }
    if (rc == WSIG_OK) {
        wsig_worker_count(worker, WSIG_COUNT_RELAYED);
    }
    return rc;
}

void
wsig_worker_tell(wsig_worker_t *worker, const wsig_record_t *record,
                 wsig_time_t now)
{
    wsig_owner_t to;

    (void) wsig_worker_send(worker, record, NULL, &to, now);
}

void
wsig_worker_note(wsig_worker_t *worker, const wsig_notes_t *notes,
                 wsig_address_t but, wsig_time_t now)
{
    wsig_record_t record = {.kind = WSIG_RECORD_CALL, .call = notes->call};
    int i;

    for (i = 0; i < notes->n; i++) {
        record.to = notes->to[i];
        if (!wsig_address_same(record.to, but)) {
            wsig_worker_tell(worker, &record, now);
        }
    }
}

void
wsig_worker_note_room(wsig_worker_t *worker, const wsig_room_t *room,
                      wsig_address_t but, wsig_time_t now)
{
    wsig_record_t record = {.kind = WSIG_RECORD_ROOM, .call = room->id};
    uint32_t i;

    for (i = 0; i < room->n; i++) {
        record.to = room->members[i].at;
        if (!wsig_address_same(record.to, but)) {
            wsig_worker_tell(worker, &record, now);
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
