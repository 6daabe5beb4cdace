#include <stdlib.h>
#include <string.h>

#include "wsig_dialect.h"

#define CLOSE_WAIT 2000 /* ms for the client's Close, or for ours to go */
#define RELAY_WAIT 10   /* ms, while other workers do not keep up */
#define REASON_MAX 123  /* bytes of words in a Close (RFC 6455, 5.5.1) */

static void wsig_peer_input(wsig_peer_t *peer, uint8_t *data, size_t size,
                            wsig_time_t now);
static void wsig_peer_keep(wsig_peer_t *peer, const uint8_t *data, size_t size);
static void wsig_peer_keep_ws(wsig_peer_t *peer, wsig_ws_t *ws);
static void wsig_peer_event(wsig_peer_t *peer, wsig_ws_event_t *event,
                            wsig_time_t now);
static void wsig_peer_heard(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_hold(wsig_peer_t *peer, int64_t wait, wsig_time_t now);
static void wsig_peer_release(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_flush(wsig_peer_t *peer);
static void wsig_peer_doom(wsig_peer_t *peer);
static void wsig_peer_part(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_leave(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_leave_rooms(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_leave_realm(wsig_peer_t *peer);
static void wsig_peer_unlink(wsig_peer_t *peer);
static void wsig_peer_log_end(wsig_peer_t *peer, bool stays, wsig_time_t now);

/* A guest where there are to be none. */
static bool
wsig_peer_is_unwanted(const wsig_peer_t *peer)
{
    return !peer->verified && peer->conf->guests == WSIG_GUESTS_OFF;
}

/* Has it sent more than the worker of the other side takes? */
static bool
wsig_peer_is_ahead(const wsig_peer_t *peer)
{
    return peer->behind != 0 &&
           wsig_relay_is_full(&peer->worker->relay, peer->behind - 1u);
}

wsig_peer_t *
wsig_peer_open(wsig_worker_t *worker, const wsig_admission_t *admission,
               void *connection, wsig_time_t now)
{
    wsig_realm_id_t realm;
    wsig_peer_t *peer;

    if (wsig_realm_id(worker->zone, admission->dialect, admission->realm,
                      &realm) != WSIG_OK) {
        return NULL;
    }
    peer =
        wsig_peer_make(worker, &realm, admission->realm, admission->identity);
    if (peer == NULL) {
        return NULL;
    }
    peer->connection = connection;
    peer->conf = admission->conf;
    peer->dialect = (uint8_t) admission->dialect;
    peer->opened = (uint32_t) (now.mono / 1000);
    peer->heard = now.mono;
    peer->until = now.mono + peer->conf->hello_timeout;
    wsig_worker_count(worker, WSIG_COUNT_CONNECTIONS);
    if (wsig_peer_is_unwanted(peer)) {
        peer->until = now.mono; /* not here: the host has no peer yet */
    }
    wsig_peer_schedule(peer, now);
    wsig_worker_settle(worker, now);
    return peer;
}

wsig_peer_t *
wsig_peer_make(wsig_worker_t *worker, const wsig_realm_id_t *realm,
               wsig_text_t realm_name, wsig_text_t identity)
{
    wsig_peer_t *peer;

    if (wsig_timers_reserve(&worker->timers, (uint32_t) worker->n_peers + 1) !=
        WSIG_OK) {
        return NULL;
    }
    peer = calloc(1, sizeof(*peer) + identity.size);
    if (peer == NULL) {
        return NULL;
    }
    peer->realm = wsig_presence_enter(&worker->presence, realm, realm_name);
    if (peer->realm == NULL) {
        free(peer);
        return NULL;
    }
    peer->identity_size = (uint8_t) identity.size;
    if (identity.size > 0) {
        memcpy(peer->identity, identity.data, identity.size);
    }
    peer->verified = identity.size > 0;
    peer->worker = worker;
    peer->next = worker->peers;
    if (worker->peers != NULL) {
        worker->peers->previous = peer;
    }
    worker->peers = peer;
    worker->n_peers++;
    return peer;
}

void
wsig_peer_read(wsig_peer_t *peer, uint8_t *data, size_t size, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;

    if (peer->stage != WSIG_STAGE_DEAD) {
        wsig_peer_input(peer, data, size, now);
    }
    wsig_worker_settle(worker, now);
}

void
wsig_peer_writable(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;

    if (peer->stage != WSIG_STAGE_DEAD) {
        wsig_peer_flush(peer);
    }
    wsig_worker_settle(worker, now);
}

void
wsig_peer_lost(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;

    peer->held = 0; /* there is nothing to hold */
    if (peer->stage == WSIG_STAGE_RETURNING && peer->ticket->other.epoch != 0 &&
        wsig_peer_keep_conf(peer) == WSIG_OK) {
        peer->connection = NULL; /* or its session would come for nobody */
    } else if (peer->stage != WSIG_STAGE_DEAD) {
        peer->connection = NULL;
        wsig_peer_drop(peer, now);
    }
    wsig_worker_settle(worker, now);
}

static void
wsig_peer_input(wsig_peer_t *peer, uint8_t *data, size_t size, wsig_time_t now)
{
    wsig_ws_t fresh = {0}, *ws = peer->ws != NULL ? peer->ws : &fresh;
    wsig_ws_event_t event;
    int64_t wait;
    size_t n;

    while (size > 0 && !peer->deaf && !peer->doomed &&
           peer->stage != WSIG_STAGE_DEAD) {
        if (peer->held != 0) {
            wsig_peer_keep(peer, data, size);
            break;
        }
        n = wsig_ws_read(ws, data, size, peer->conf->max_message, &event);
        data += n;
        size -= n;
        if (event.kind == WSIG_WS_MORE) {
            continue;
        }
        wsig_peer_event(peer, &event, now);
        wsig_ws_done(ws);
        if (peer->stage >= WSIG_STAGE_CLOSING) {
            continue;
        }
        wait = wsig_bucket_take(&peer->bucket, peer->conf->rate,
                                peer->conf->burst, now.mono);
        if (wait == 0 && wsig_peer_is_ahead(peer)) {
            wait = RELAY_WAIT;
        }
        if (wait > 0 && peer->held == 0) { /* else it waits for its name */
            wsig_peer_hold(peer, wait, now);
        }
    }
    wsig_peer_keep_ws(peer, ws);
}

/* Keep what is not to be looked at yet. */
static void
wsig_peer_keep(wsig_peer_t *peer, const uint8_t *data, size_t size)
{
    uint8_t *rest = malloc(size);

    if (rest == NULL) {
        wsig_peer_doom(peer);
        return;
    }
    memcpy(rest, data, size);
    peer->rest = rest;
    peer->rest_size = (uint32_t) size;
}

/* Keep what came of a frame; most come whole, and then there is nothing. */
static void
wsig_peer_keep_ws(wsig_peer_t *peer, wsig_ws_t *ws)
{
    if (peer->deaf) {
        wsig_ws_free(ws);
    }
    if (wsig_ws_idle(ws)) {
        free(peer->ws);
        peer->ws = NULL;
        return;
    }
    if (peer->ws != NULL) {
        return;
    }
    peer->ws = malloc(sizeof(*ws));
    if (peer->ws == NULL) {
        wsig_ws_free(ws);
        wsig_peer_doom(peer);
        return;
    }
    *peer->ws = *ws;
}

static void
wsig_peer_event(wsig_peer_t *peer, wsig_ws_event_t *event, wsig_time_t now)
{
    bool open = peer->stage < WSIG_STAGE_CLOSING;
    uint8_t code[2];

    switch (event->kind) {
    case WSIG_WS_TEXT:
        if (peer->stage == WSIG_STAGE_HELLO && wsig_peer_is_unwanted(peer)) {
            wsig_peer_close(peer, 4403, "log in first", now);
        } else if (open) {
            wsig_worker_count(peer->worker, WSIG_COUNT_TEXTS_IN);
            if (peer->unproved) {
                peer->unproved = false;
                wsig_registry_heard(peer->worker->zone, peer->address,
                                    wsig_worker_self(peer->worker));
            }
            wsig_peer_heard(peer, now);
            wsig_dialect(peer)->text(
                peer, (wsig_text_t){(char *) event->data, event->size}, now);
        }
        break;
    case WSIG_WS_PING:
        if (open) {
            wsig_peer_send(peer, wsig_frame_of(WSIG_WS_OPCODE_PONG, event->data,
                                               event->size));
        }
        break;
    case WSIG_WS_PONG:
        wsig_peer_heard(peer, now);
        break;
    case WSIG_WS_CLOSE:
        peer->deaf = true;
        if (open) {
            /* Our Close says the same (RFC 6455, 5.5.1). */
            peer->closed = event->code;
            peer->bye = event->code == 1000 || event->code == 1001 ||
                        event->code == 1005;
            wsig_peer_part(peer, now);
            peer->stage = WSIG_STAGE_CLOSING;
            peer->until = now.mono + CLOSE_WAIT;
            code[0] = (uint8_t) (event->code >> 8);
            code[1] = (uint8_t) event->code;
            wsig_peer_send(peer, wsig_frame_of(WSIG_WS_OPCODE_CLOSE, code,
                                               event->code == 1005 ? 0 : 2));
            wsig_peer_schedule(peer, now);
        }
        wsig_peer_flush(peer);
        break;
    case WSIG_WS_FAULT:
        peer->deaf = true;
        if (open) {
            wsig_peer_close(peer, event->code, event->why, now);
        }
        wsig_peer_flush(peer);
        break;
    case WSIG_WS_MORE:
        break;
    }
}

/* A sign of life. */
static void
wsig_peer_heard(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_record_t record = {.kind = WSIG_RECORD_ALIVE};
    wsig_probe_t *probe = peer->probe;

    peer->heard = now.mono;
    peer->unmet = false;
    if (probe == NULL) {
        return;
    }
    peer->probe = NULL;
    record.to.slot = probe->serial;
    (void) wsig_worker_post(peer->worker, probe->by, &record, NULL, now);
    free(probe);
}

static void
wsig_peer_hold(wsig_peer_t *peer, int64_t wait, wsig_time_t now)
{
    wsig_worker_count(peer->worker, WSIG_COUNT_HELD);
    peer->held = now.mono + wait;
    peer->worker->host->hold(peer->connection, true);
    wsig_peer_schedule(peer, now);
}

/* What was kept comes first, and may bring the next hold. */
static void
wsig_peer_release(wsig_peer_t *peer, wsig_time_t now)
{
    uint8_t *rest = peer->rest;
    size_t size = peer->rest_size;

    peer->held = 0;
    peer->rest = NULL;
    peer->rest_size = 0;
    if (rest != NULL) {
        wsig_peer_input(peer, rest, size, now);
        free(rest);
    }
    if (peer->held == 0 && peer->stage != WSIG_STAGE_DEAD) {
        peer->worker->host->hold(peer->connection, false);
    }
}

void
wsig_peer_share(wsig_peer_t *peer, wsig_frame_t *frame)
{
    wsig_text_t text;

    if (peer->doomed || peer->connection == NULL ||
        peer->stage == WSIG_STAGE_DEAD) {
        return;
    }
    if (frame == NULL) {
        wsig_peer_doom(peer);
        return;
    }
    text = wsig_frame_text(frame);
    if (!wsig_queue_empty(&peer->queue) && peer->stage < WSIG_STAGE_CLOSING &&
        peer->queue.bytes + text.size > peer->conf->max_backlog) {
        wsig_worker_count(peer->worker, WSIG_COUNT_SLOW);
        wsig_peer_doom(peer);
        return;
    }
    wsig_peer_repeat(peer, frame);
}

void
wsig_peer_repeat(wsig_peer_t *peer, wsig_frame_t *frame)
{
    bool idle = wsig_queue_empty(&peer->queue);

    if (peer->doomed) {
        return;
    }
    if (wsig_queue_add(&peer->queue, frame) != WSIG_OK) {
        wsig_peer_doom(peer);
        return;
    }
    wsig_worker_count(peer->worker, WSIG_COUNT_FRAMES_OUT);
    if (idle) {
        wsig_peer_flush(peer);
    }
}

void
wsig_peer_send(wsig_peer_t *peer, wsig_frame_t *frame)
{
    wsig_peer_share(peer, frame);
    wsig_frame_release(frame);
}

/* Write what the socket takes. */
static void
wsig_peer_flush(wsig_peer_t *peer)
{
    wsig_text_t next;
    ssize_t n;

    if (peer->broken) {
        return;
    }
    while ((next = wsig_queue_next(&peer->queue)).size > 0) {
        n = peer->worker->host->write(peer->connection, next.data, next.size);
        if (n == WSIG_AGAIN) {
            return;
        }
        if (n <= 0) {
            peer->broken = true;
            wsig_peer_doom(peer);
            return;
        }
        wsig_queue_went(&peer->queue, (size_t) n);
    }
    if (peer->stage == WSIG_STAGE_CLOSING && peer->deaf) {
        wsig_worker_attend(peer); /* all is said */
    }
}

/* Closing it here would change lists that a caller walks over. */
static void
wsig_peer_doom(wsig_peer_t *peer)
{
    peer->doomed = true;
    wsig_worker_attend(peer);
}

void
wsig_peer_attend(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_slot_t slot;

    if (peer->stage == WSIG_STAGE_DEAD) {
        return;
    }
    if (peer->doomed && peer->stage == WSIG_STAGE_LOST) {
        wsig_peer_orphan(peer, now);
        wsig_peer_end(peer);
        return;
    }
    if (peer->doomed) {
        if (peer->broken || peer->stage == WSIG_STAGE_CLOSING) {
            wsig_peer_drop(peer, now);
            return;
        }
        peer->doomed = false;
        wsig_queue_cut(&peer->queue);
        wsig_peer_close(peer, 1013, "too slow, or memory is short", now);
    }
    if (peer->stage == WSIG_STAGE_CLOSING && peer->deaf &&
        wsig_queue_empty(&peer->queue)) {
        wsig_peer_end(peer);
        return;
    }
    if (peer->displaced) {
        peer->displaced = false;
        if (wsig_peer_is_placed(peer) &&
            (wsig_registry_get(peer->worker->zone, peer->address, &slot) !=
                 WSIG_OK ||
             !wsig_slot_is_of(&slot, wsig_worker_self(peer->worker)))) {
            peer->expelled = true;
            wsig_peer_close(peer, 4410, "the place was taken over", now);
        }
    }
}

void
wsig_peer_close(wsig_peer_t *peer, uint16_t code, const char *why,
                wsig_time_t now)
{
    if (peer->stage >= WSIG_STAGE_CLOSING) {
        return;
    }
    peer->closed = code;
    if (peer->connection == NULL) {
        wsig_peer_drop(peer, now);
        return;
    }
    wsig_peer_part(peer, now);
    wsig_peer_shut(peer, code, why, now);
}

void
wsig_peer_shut(wsig_peer_t *peer, uint16_t code, const char *why,
               wsig_time_t now)
{
    uint8_t payload[2 + REASON_MAX];
    size_t size = strlen(why);

    wsig_worker_count(peer->worker, WSIG_COUNT_CLOSES);
    peer->stage = WSIG_STAGE_CLOSING;
    peer->until = now.mono + CLOSE_WAIT;
    if (peer->held != 0) {
        peer->held = 0;
        free(peer->rest);
        peer->rest = NULL;
        peer->worker->host->hold(peer->connection, false);
    }
    if (size > REASON_MAX) {
        size = REASON_MAX;
        while (size > 0 && (why[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    payload[0] = (uint8_t) (code >> 8);
    payload[1] = (uint8_t) code;
    memcpy(payload + 2, why, size);
    wsig_peer_send(peer,
                   wsig_frame_of(WSIG_WS_OPCODE_CLOSE, payload, 2 + size));
    wsig_peer_schedule(peer, now);
}

void
wsig_peer_link(wsig_peer_t *peer)
{
    wsig_realm_t *realm = peer->realm;

    peer->next_in_realm = NULL;
    peer->previous_in_realm = realm->last_peer;
    *(realm->last_peer != NULL ? &realm->last_peer->next_in_realm
                               : &realm->peers) = peer;
    realm->last_peer = peer;
}

static void
wsig_peer_unlink(wsig_peer_t *peer)
{
    wsig_realm_t *realm = peer->realm;

    *(peer->previous_in_realm != NULL ? &peer->previous_in_realm->next_in_realm
                                      : &realm->peers) = peer->next_in_realm;
    *(peer->next_in_realm != NULL ? &peer->next_in_realm->previous_in_realm
                                  : &realm->last_peer) =
        peer->previous_in_realm;
}

void
wsig_peer_to_end(wsig_peer_t *peer)
{
    wsig_peer_unlink(peer);
    wsig_peer_link(peer);
}

/* The connection ends: with the place, or without it. */
static void
wsig_peer_part(wsig_peer_t *peer, wsig_time_t now)
{
    if (!wsig_peer_may_return(peer) || peer->bye || peer->expelled ||
        peer->unmet || !wsig_peer_is_placed(peer)) {
        wsig_peer_leave(peer, now);
    } else if (peer->worker->ending || peer->amiss) {
        wsig_peer_orphan(peer, now);
    } else if (peer->stage == WSIG_STAGE_JOINED) {
        wsig_peer_log_end(peer, true, now);
        wsig_peer_lose(peer, now);
    } else {
        wsig_peer_leave(peer, now); /* its time is up */
    }
}

/* Out of calls, realm and registry. */
static void
wsig_peer_leave(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_owner_t self = wsig_worker_self(worker);
    wsig_notes_t notes;
    wsig_slot_t slot;

    if (peer->stage == WSIG_STAGE_CLAIMING ||
        peer->stage == WSIG_STAGE_RETURNING) {
        wsig_table_remove(&worker->claims, &peer->node);
    }
    if (wsig_peer_is_open(peer)) {
        wsig_peer_log_end(peer, false, now);
    }
    if (wsig_peer_is_placed(peer)) {
        while (wsig_registry_get(worker->zone, peer->address, &slot) ==
                   WSIG_OK &&
               wsig_slot_is_of(&slot, self) &&
               wsig_call_left(worker->zone, peer->address, peer->bye, now,
                              &notes)) {
            wsig_worker_note(worker, &notes, peer->address, now);
        }
        if (wsig_registry_remove(worker->zone, peer->address, self) ==
            WSIG_OK) {
            wsig_peer_leave_rooms(peer, now);
        }
    }
    wsig_peer_step_out(peer);
}

/* Those that its session does not know are left when all are swept. */
static void
wsig_peer_leave_rooms(wsig_peer_t *peer, wsig_time_t now)
{
    const wsig_session_t *session = peer->session;
    int i, n = session != NULL ? session->n_rooms : 0;
    wsig_room_t room;

    for (i = 0; i < n; i++) {
        if (wsig_room_leave_id(peer->worker->zone, session->rooms[i]->room,
                               peer->address, &room) == WSIG_OK) {
            wsig_worker_note_room(peer->worker, &room, peer->address, now);
        }
    }
}

void
wsig_peer_step_out(wsig_peer_t *peer)
{
    if (wsig_peer_is_placed(peer)) {
        wsig_table_remove(&peer->worker->by_slot, &peer->node);
    }
    if (peer->stage == WSIG_STAGE_JOINED) {
        wsig_peer_unlink(peer);
    }
    if (peer->stage < WSIG_STAGE_CLOSING) {
        peer->stage = WSIG_STAGE_CLOSING;
    }
    wsig_peer_leave_realm(peer);
    wsig_session_free(peer->session);
    peer->session = NULL;
    free(peer->names);
    peer->names = NULL;
}

static void
wsig_peer_leave_realm(wsig_peer_t *peer)
{
    if (peer->realm != NULL) {
        wsig_presence_leave(&peer->worker->presence, peer->realm);
        peer->realm = NULL;
    }
}

/* The host gets its connection back, unless it said itself that it is lost. */
void
wsig_peer_end(wsig_peer_t *peer)
{
    wsig_worker_t *worker = peer->worker;

    peer->stage = WSIG_STAGE_DEAD;
    wsig_timers_set(&worker->timers, &peer->timer, WSIG_NEVER);
    if (peer->connection != NULL) {
        worker->host->close(peer->connection);
    }
    *(peer->previous != NULL ? &peer->previous->next : &worker->peers) =
        peer->next;
    if (peer->next != NULL) {
        peer->next->previous = peer->previous;
    }
    worker->n_peers--;
    peer->next = worker->dead;
    worker->dead = peer;
}

void
wsig_peer_drop(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_peer_part(peer, now);
    wsig_peer_end(peer);
}

int
wsig_peer_keep_conf(wsig_peer_t *peer)
{
    const wsig_conf_t *copy =
        peer->owns_conf ? NULL : wsig_conf_copy(peer->conf);

    if (copy != NULL) {
        peer->conf = copy;
        peer->owns_conf = true;
    }
    return peer->owns_conf ? WSIG_OK : WSIG_NOMEM;
}

wsig_session_t *
wsig_peer_session(wsig_peer_t *peer)
{
    if (peer->session == NULL) {
        peer->session = wsig_session_make(peer->token);
        if (peer->session == NULL) {
            peer->amiss = true;
            wsig_peer_doom(peer);
        }
    }
    return peer->session;
}

void
wsig_peer_miss(wsig_peer_t *peer, wsig_time_t now)
{
    if (peer->session != NULL) {
        wsig_session_lose(peer->session);
    } else {
        peer->amiss = true;
    }
    if (peer->stage == WSIG_STAGE_JOINED) {
        wsig_peer_close(peer, wsig_peer_may_return(peer) ? 1012 : 1013,
                        "something was lost", now);
    }
}

void
wsig_peer_free(wsig_peer_t *peer)
{
    if (peer->ws != NULL) {
        wsig_ws_free(peer->ws);
        free(peer->ws);
    }
    wsig_queue_free(&peer->queue);
    free(peer->rest);
    if (peer->name != peer->identity) {
        free(peer->name);
    }
    free(peer->ref);
    free(peer->names);
    wsig_session_free(peer->session);
    if (peer->ticket != NULL) {
        free(peer->ticket->bytes);
        free(peer->ticket);
    }
    free(peer->probe);
    if (peer->owns_conf) {
        free((void *) peer->conf);
    }
    free(peer);
}

static int64_t
wsig_sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void
wsig_peer_schedule(wsig_peer_t *peer, wsig_time_t now)
{
    int64_t due;

    switch (peer->stage) {
    case WSIG_STAGE_JOINED:
        due = wsig_sooner(peer->until, peer->heard + 2 * peer->conf->ping);
        if (peer->probe != NULL) {
            due = wsig_sooner(due, peer->probe->since + WSIG_PROBE_WAIT);
        }
        if (peer->session != NULL) {
            due = wsig_sooner(due, wsig_session_due(peer->session));
        }
        break;
    case WSIG_STAGE_LOST:
        due = peer->until;
        if (peer->quiet) {
            due = wsig_sooner(due, peer->heard + WSIG_MOVE_WAIT);
        }
        if (peer->session != NULL) {
            due = wsig_sooner(due, wsig_session_due(peer->session));
        }
        break;
    case WSIG_STAGE_CLAIMING:
    case WSIG_STAGE_RETURNING:
        due = wsig_sooner(peer->until, now.mono + WSIG_CLAIM_RETRY);
        break;
    case WSIG_STAGE_DEAD:
        return;
    default:
        due = peer->until;
    }
    if (peer->held != 0) {
        due = wsig_sooner(due, peer->held);
    }
    wsig_timers_set(&peer->worker->timers, &peer->timer, due);
}

static void
wsig_peer_due_joined(wsig_peer_t *peer, wsig_time_t now)
{
    bool silent = now.mono >= peer->heard + 2 * peer->conf->ping;

    peer->expelled =
        peer->probe != NULL && now.mono >= peer->probe->since + WSIG_PROBE_WAIT;
    if (silent || peer->expelled) {
        wsig_peer_close(peer, 1001, "no sign of life", now);
        return;
    }
    if (now.mono >= peer->until) {
        peer->until = now.mono + peer->conf->ping;
        wsig_peer_send(peer, wsig_frame_of(WSIG_WS_OPCODE_PING, NULL, 0));
    }
    if (peer->session != NULL && now.mono >= wsig_session_due(peer->session)) {
        wsig_dialect(peer)->due(peer, now);
    }
}

static void
wsig_peer_due_lost(wsig_peer_t *peer, wsig_time_t now)
{
    if (peer->quiet && now.mono >= peer->heard + WSIG_MOVE_WAIT) {
        wsig_peer_admit(peer);
    }
    if (now.mono >= peer->until) {
        wsig_peer_drop(peer, now);
    } else if (peer->session != NULL &&
               now.mono >= wsig_session_due(peer->session)) {
        wsig_dialect(peer)->due(peer, now);
    }
}

void
wsig_peer_due(wsig_peer_t *peer, wsig_time_t now)
{
    if (peer->held != 0 && now.mono >= peer->held &&
        peer->stage != WSIG_STAGE_CLAIMING &&
        peer->stage != WSIG_STAGE_RETURNING) {
        if (wsig_peer_is_ahead(peer)) {
            peer->held = now.mono + RELAY_WAIT;
        } else {
            wsig_peer_release(peer, now);
        }
    }
    switch (peer->stage) {
    case WSIG_STAGE_HELLO:
        if (now.mono >= peer->until) {
            bool unwanted = wsig_peer_is_unwanted(peer);

            wsig_peer_close(peer, unwanted ? 4403 : 4408,
                            unwanted ? "log in first" : "no hello in time",
                            now);
        }
        break;
    case WSIG_STAGE_CLAIMING:
        wsig_peer_try(peer, now);
        if (peer->stage == WSIG_STAGE_CLAIMING && now.mono >= peer->until) {
            wsig_peer_close(peer, 4409, "the name is taken", now);
        }
        break;
    case WSIG_STAGE_RETURNING:
        wsig_peer_seek(peer, now);
        break;
    case WSIG_STAGE_JOINED:
        wsig_peer_due_joined(peer, now);
        break;
    case WSIG_STAGE_LOST:
        wsig_peer_due_lost(peer, now);
        break;
    case WSIG_STAGE_CLOSING:
        if (now.mono >= peer->until) {
            wsig_peer_end(peer);
        }
        break;
    default:
        break;
    }
    wsig_peer_schedule(peer, now);
}

/* `peer "alice" of "example.org" left after 12 s (1000)` */
static void
wsig_peer_log_end(wsig_peer_t *peer, bool stays, wsig_time_t now)
{
    wsig_buffer_t line = {0};

    if (peer->name != NULL) {
        wsig_put_words(&line, "peer ");
        wsig_put_string(&line, wsig_peer_name(peer));
    } else {
        wsig_put_words(&line, "a nameless peer");
    }
    wsig_put_words(&line, " of ");
    wsig_put_string(&line, wsig_peer_realm(peer));
    wsig_put_words(&line, peer->stage == WSIG_STAGE_JOINED
                              ? stays ? " was lost after " : " left after "
                              : " did not come in, after ");
    wsig_put_number(&line, now.mono / 1000 - peer->opened);
    wsig_put_words(&line, " s");
    if (peer->closed != 0) {
        wsig_put_words(&line, " (");
        wsig_put_number(&line, peer->closed);
        wsig_put_words(&line, ")");
    } else {
        wsig_put_words(&line, " (lost)");
    }
    wsig_worker_log(peer->worker, WSIG_LOG_INFO, &line);
}
