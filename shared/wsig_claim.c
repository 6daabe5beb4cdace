#include <stdlib.h>
#include <string.h>

#include "wsig_dialect.h"

/*
 * How a peer comes by its name: it is registered at once, or the guest who
 * holds the name is asked whether he is there, and the table is tried again
 * until he is gone or the time is up.
 */

static void wsig_peer_ask(wsig_peer_t *peer, const wsig_slot_t *holder,
                          wsig_address_t at, wsig_time_t now);
static void wsig_peer_give_up(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_rest(wsig_peer_t *peer, wsig_time_t now);

void
wsig_peer_claim(wsig_peer_t *peer, wsig_text_t name, wsig_time_t now)
{
    if (wsig_text_same(name, wsig_peer_identity(peer))) {
        peer->name = peer->identity;
    } else {
        peer->name = malloc(name.size);
        if (peer->name == NULL) {
            wsig_peer_close(peer, 1013, "memory is short", now);
            return;
        }
        memcpy(peer->name, name.data, name.size);
    }
    peer->name_size = (uint8_t) name.size;
    wsig_peer_try(peer, now);
}

void
wsig_peer_start(wsig_peer_t *peer, wsig_text_t name, wsig_time_t now)
{
    if (name.size > 0) {
        wsig_peer_claim(peer, name, now);
    } else {
        wsig_peer_close(peer, 4400, "hello without a valid name", now);
    }
}

void
wsig_peer_try(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_slot_t slot = {0}, holder;
    wsig_address_t holder_at;

    if (peer->conf->max_peers > 0 && peer->stage != WSIG_STAGE_CLAIMING) {
        wsig_presence_read(&worker->presence);
        if (peer->realm->n_entries >= peer->conf->max_peers) {
            wsig_peer_close(peer, 1013, "too many are connected", now);
            return;
        }
    }
    slot.realm = peer->realm->id;
    slot.worker = (uint16_t) worker->place;
    slot.epoch = worker->epoch;
    slot.window =
        wsig_peer_may_return(peer) ? (uint32_t) peer->conf->resume : 0;
    slot.flags = peer->verified ? WSIG_PEER_VERIFIED : 0;
    slot.name_size = peer->name_size;
    memcpy(slot.name, peer->name, peer->name_size);
    switch (wsig_registry_add(worker->zone, &slot, &peer->address, &holder,
                              &holder_at)) {
    case WSIG_OK:
        peer->token = 1;
        wsig_peer_join(peer, now);
        break;
    case WSIG_TAKEN:
        if (holder.lost_until != 0 ||
            !wsig_place_lives(worker->zone, holder.worker, holder.epoch)) {
            wsig_peer_close(peer, 4409, "the name is kept for its owner", now);
        } else if (holder.flags & WSIG_PEER_VERIFIED) {
            wsig_peer_close(peer, 4409, "the name belongs to somebody", now);
        } else if (peer->stage != WSIG_STAGE_CLAIMING) {
            wsig_peer_ask(peer, &holder, holder_at, now);
        }
        break;
    default:
        wsig_peer_close(peer, 1013, "the server is full", now);
    }
}

/* Have the holder asked whether he is there. */
static void
wsig_peer_ask(wsig_peer_t *peer, const wsig_slot_t *holder, wsig_address_t at,
              wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_record_t record = {.kind = WSIG_RECORD_PROBE, .to = at};

    if (wsig_table_add(&worker->claims, &peer->node, ++worker->serial) !=
        WSIG_OK) {
        wsig_peer_close(peer, 1013, "memory is short", now);
        return;
    }
    peer->stage = WSIG_STAGE_CLAIMING;
    peer->until = now.mono + WSIG_CLAIM_WAIT;
    peer->held = peer->until + WSIG_CLAIM_RETRY; /* what follows hello waits */
    worker->host->hold(peer->connection, true);
    wsig_peer_schedule(peer, now);
    record.from.slot = worker->serial;
    record.by = wsig_worker_self(worker);
    (void) wsig_worker_post(worker,
                            (wsig_owner_t){holder->worker, holder->epoch},
                            &record, NULL, now);
}

void
wsig_peer_probe(wsig_peer_t *peer, const wsig_record_t *record, wsig_time_t now)
{
    wsig_record_t alive = {.kind = WSIG_RECORD_ALIVE, .to = record->from};

    if (peer->stage == WSIG_STAGE_LOST) { /* he keeps it */
        (void) wsig_worker_post(peer->worker, record->by, &alive, NULL, now);
        return;
    }
    if (peer->probe != NULL) {
        return; /* the first who asked gets the answer, others their time */
    }
    peer->probe = malloc(sizeof(*peer->probe));
    if (peer->probe == NULL) {
        return; /* who has the name keeps it */
    }
    peer->probe->since = now.mono;
    peer->probe->serial = record->from.slot;
    peer->probe->by = record->by;
    wsig_peer_send(peer, wsig_frame_of(WSIG_WS_OPCODE_PING, NULL, 0));
    wsig_peer_schedule(peer, now);
}

void
wsig_peer_join(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_realm_t *realm = peer->realm;

    if (peer->stage == WSIG_STAGE_CLAIMING ||
        peer->stage == WSIG_STAGE_RETURNING) {
        wsig_table_remove(&worker->claims, &peer->node);
    }
    peer->stage = WSIG_STAGE_HELLO;
    if (peer->name == NULL ||
        wsig_name_hash(worker->zone, &realm->id, wsig_peer_name(peer),
                       &peer->name_hash) != WSIG_OK ||
        wsig_table_add(&worker->by_slot, &peer->node, peer->address.slot) !=
            WSIG_OK) {
        wsig_peer_give_up(peer, now);
        return;
    }
    if (peer->connection == NULL) {
        wsig_peer_rest(peer, now);
        return;
    }
    peer->stage = WSIG_STAGE_JOINED;
    peer->heard = now.mono;
    peer->until = now.mono + peer->conf->ping;
    wsig_peer_link(peer);
    wsig_presence_read(&worker->presence);
    peer->since = realm->number;
    if (peer->held != 0) {
        peer->held = now.mono;
    }
    wsig_dialect(peer)->joined(peer, now);
    if (worker->bidden && wsig_peer_may_return(peer)) {
        wsig_dialect(peer)->bid(peer, "reload", WSIG_BID_PACE, now);
    }
    wsig_peer_schedule(peer, now);
}

/* No memory: a newcomer has no place, who came back keeps his. */
static void
wsig_peer_give_up(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_owner_t self = wsig_worker_self(worker);

    if (peer->ticket != NULL && peer->ticket->back) {
        (void) wsig_registry_orphan(worker->zone, peer->address, self,
                                    now.mono + peer->conf->resume);
    } else {
        (void) wsig_registry_remove(worker->zone, peer->address, self);
    }
    wsig_peer_close(peer, 1013, "memory is short", now);
}

/* It came back, but was lost again before its session was here. */
static void
wsig_peer_rest(wsig_peer_t *peer, wsig_time_t now)
{
    peer->stage = WSIG_STAGE_LOST;
    peer->until = now.mono + peer->conf->resume;
    free(peer->ticket->bytes);
    free(peer->ticket);
    peer->ticket = NULL;
    wsig_peer_schedule(peer, now);
}
