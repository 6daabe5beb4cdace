#include <stdlib.h>
#include <string.h>

#include "wsig_dialect.h"

/*
 * How a peer comes back to its place.  The one that has shown the token seeks
 * the worker that has the place, as the registry names it, and asks it for the
 * session; until that has come, or it is clear that it cannot come, it waits.
 * Whose is the place is decided in the registry alone, under its lock, by the
 * one who comes back: so a worker that dies on the way, or hangs and wakes up,
 * changes nothing but that the session is lost.
 *
 * The worker that has the session sends a copy in pieces, and behind them what
 * else comes for that peer.  It keeps its own until the registry names another:
 * whoever asked may be gone when the copy arrives.  If it cannot go on with
 * that (it ends, or memory is short) it disowns the place, so that the copy,
 * which may not be whole then, is of no use.
 */

#define RETURN_WAIT 2600 /* ms for the session; then it is lost */
#define PIECE (32 * 1024)

static void wsig_peer_take_place(wsig_peer_t *peer, wsig_owner_t from,
                                 wsig_parcel_t *parcel, wsig_time_t now);
static void wsig_peer_clear_place(wsig_worker_t *worker, wsig_address_t place,
                                  wsig_time_t now);
static void wsig_peer_overtaken(wsig_peer_t *peer, wsig_time_t now);
static void wsig_peer_too_late(wsig_peer_t *peer, wsig_time_t now);
static wsig_peer_t *wsig_peer_detach(wsig_peer_t *peer, wsig_time_t now);
static void wsig_parcel_take(wsig_parcel_t *parcel, wsig_peer_t *from);
static void wsig_parcel_free(wsig_parcel_t *parcel);
static void wsig_peer_post_pieces(wsig_worker_t *worker,
                                  const wsig_record_t *take,
                                  const wsig_buffer_t *parcel, wsig_time_t now);
static void wsig_parcel_write(wsig_buffer_t *out, const wsig_peer_t *peer);
static bool wsig_parcel_read(wsig_parcel_t *parcel, wsig_text_t bytes);

void
wsig_peer_return(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;

    if (wsig_table_add(&worker->claims, &peer->node, ++worker->serial) !=
        WSIG_OK) {
        wsig_peer_close(peer, 1013, "memory is short", now);
        return;
    }
    peer->stage = WSIG_STAGE_RETURNING;
    peer->until = now.mono + RETURN_WAIT;
    wsig_peer_seek(peer, now);
    if (peer->stage == WSIG_STAGE_RETURNING) {
        peer->held = peer->until + WSIG_CLAIM_RETRY; /* what follows waits */
        worker->host->hold(peer->connection, true);
        wsig_peer_schedule(peer, now);
    }
}

void
wsig_peer_seek(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_return_t *ticket = peer->ticket;
    wsig_record_t record = {.kind = WSIG_RECORD_TAKE, .to = ticket->place};
    wsig_parcel_t parcel = {0};
    wsig_peer_t *here;
    wsig_owner_t owner;
    wsig_slot_t slot;

    if (wsig_registry_get(worker->zone, ticket->place, &slot) != WSIG_OK ||
        !wsig_slot_knows(&slot, ticket->shown.token)) {
        wsig_peer_too_late(peer, now);
        return;
    }
    if (ticket->shown.newest == 0) {
        ticket->shown.newest = slot.token;
    }
    if (ticket->shown.newest != slot.token) {
        wsig_peer_overtaken(peer, now);
        return;
    }
    owner = (wsig_owner_t){slot.worker, slot.epoch};
    here = wsig_worker_find(worker, ticket->place);
    if (wsig_slot_is_of(&slot, wsig_worker_self(worker)) && here != NULL) {
        if (here->stage == WSIG_STAGE_JOINED) {
            here = wsig_peer_detach(here, now);
        }
        if (here != NULL) {
            wsig_parcel_take(&parcel, here);
            wsig_peer_step_out(here);
            wsig_peer_end(here);
        }
        wsig_peer_take_place(peer, owner, here != NULL ? &parcel : NULL, now);
        return;
    }
    if (now.mono >= peer->until ||
        !wsig_place_lives(worker->zone, owner.worker, owner.epoch)) {
        wsig_peer_take_place(peer, owner, NULL, now);
        return;
    }
    ticket->other = owner;
    record.number = slot.token;
    record.from.slot = peer->node.hash;
    record.by = wsig_worker_self(worker);
    (void) wsig_worker_post(worker, owner, &record, NULL, now);
}

/* Nobody has the session. */
void
wsig_peer_do_without(wsig_peer_t *peer, wsig_owner_t owner, wsig_time_t now)
{
    if (peer->stage == WSIG_STAGE_RETURNING) {
        wsig_peer_take_place(peer, owner, NULL, now);
    }
}

void
wsig_peer_unpack(wsig_peer_t *peer, const wsig_record_t *record,
                 const char *body, wsig_time_t now)
{
    wsig_return_t *ticket = peer->ticket;
    wsig_parcel_t parcel;
    char *bytes;

    if (peer->stage != WSIG_STAGE_RETURNING) {
        return;
    }
    if (record->number == 0) {
        ticket->size = 0; /* whatever another has sent before */
    } else if (record->number != ticket->size) {
        return;
    }
    bytes = realloc(ticket->bytes, ticket->size + record->size);
    if (bytes == NULL) {
        wsig_peer_take_place(peer, record->by, NULL, now);
        return;
    }
    memcpy(bytes + ticket->size, body, record->size);
    ticket->bytes = bytes;
    ticket->size += record->size;
    if (record->call > 0) {
        return; /* so much is still to come */
    }
    if (wsig_parcel_read(&parcel, (wsig_text_t){ticket->bytes, ticket->size})) {
        wsig_peer_take_place(peer, record->by, &parcel, now);
    } else {
        wsig_peer_take_place(peer, record->by, NULL, now);
    }
}

/* The place as it was, with what belonged to it (NULL: that is lost), unless
 * somebody else has it by now: then it is sought again. */
static void
wsig_peer_take_place(wsig_peer_t *peer, wsig_owner_t from,
                     wsig_parcel_t *parcel, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_return_t *ticket = peer->ticket;
    int64_t until = 0;
    wsig_slot_t slot;
    int rc;

    if (peer->connection == NULL && parcel == NULL) {
        wsig_peer_drop(peer, now); /* neither client nor session */
        return;
    }
    if (peer->connection == NULL) { /* lost again in the meantime */
        until = now.mono + peer->conf->resume;
    }
    rc = wsig_registry_take(worker->zone, ticket->place, ticket->shown, from,
                            wsig_worker_self(worker), until, &slot);
    if (rc != WSIG_OK) {
        if (parcel != NULL) {
            wsig_parcel_free(parcel);
        }
        if (rc == WSIG_ABSENT) {
            wsig_peer_too_late(peer, now);
        } else if (rc == WSIG_FORBIDDEN) {
            wsig_peer_overtaken(peer, now);
        }
        return;
    }
    wsig_peer_clear_place(worker, ticket->place, now);
    ticket->back = true;
    ticket->lost = parcel == NULL;
    peer->address = ticket->place;
    peer->token = slot.token;
    peer->unproved = true;
    peer->name_size = slot.name_size;
    if (parcel != NULL) {
        peer->session = parcel->session;
        if (!ticket->watches) {
            free(peer->names);
            peer->names = parcel->names;
            peer->watch = (uint8_t) parcel->watch;
            parcel->names = NULL;
        }
        free(parcel->names);
    }
    if (peer->identity_size > 0) {
        peer->name = peer->identity;
    } else {
        peer->name = malloc(slot.name_size);
        if (peer->name != NULL) {
            memcpy(peer->name, slot.name, slot.name_size);
        }
    }
    if (peer->connection != NULL) {
        wsig_worker_count(worker, WSIG_COUNT_RESUMES);
    }
    wsig_peer_join(peer, now);
}

/* What is left here of earlier times in this place, which did not notice yet
 * that it was another worker's in between. */
static void
wsig_peer_clear_place(wsig_worker_t *worker, wsig_address_t place,
                      wsig_time_t now)
{
    wsig_peer_t *old;

    while ((old = wsig_worker_find(worker, place)) != NULL) {
        wsig_peer_step_out(old);
        if (old->connection != NULL) {
            wsig_peer_shut(old, 4410, "its place was taken with its token",
                           now);
        } else {
            wsig_peer_end(old);
        }
    }
}

/* The token is of no use any more: it is a newcomer like others. */
static void
wsig_peer_too_late(wsig_peer_t *peer, wsig_time_t now)
{
    const wsig_return_t *ticket = peer->ticket;

    wsig_table_remove(&peer->worker->claims, &peer->node);
    peer->stage = WSIG_STAGE_HELLO;
    if (peer->connection == NULL) {
        wsig_peer_drop(peer, now);
        return;
    }
    if (peer->held != 0) {
        peer->held = now.mono;
    }
    wsig_peer_start(peer, (wsig_text_t){ticket->name, ticket->name_size}, now);
    wsig_peer_schedule(peer, now);
}

/* The same token was shown on another connection too, and that one was first.
 * Which of them the client still has is its own secret: the one that comes
 * again is that. */
static void
wsig_peer_overtaken(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_peer_close(peer, 1012, "its token was shown twice", now);
}

/* Into another peer, which is LOST.  NULL: no memory, only the place is kept.
 * The first is out of all lists, and has nothing any more. */
static wsig_peer_t *
wsig_peer_part_with(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_peer_t *lost;

    lost = wsig_peer_make(worker, &peer->realm->id, wsig_peer_realm(peer),
                          wsig_peer_identity(peer));
    if (lost == NULL) {
        wsig_peer_orphan(peer, now);
        return NULL;
    }
    lost->conf = peer->conf;
    lost->dialect = peer->dialect;
    if (wsig_peer_keep_conf(lost) != WSIG_OK ||
        wsig_table_add(&worker->by_slot, &lost->node, peer->address.slot) !=
            WSIG_OK) {
        wsig_peer_step_out(lost);
        wsig_peer_end(lost);
        wsig_peer_orphan(peer, now);
        return NULL;
    }
    lost->stage = WSIG_STAGE_LOST;
    lost->until = now.mono + lost->conf->resume;
    lost->opened = peer->opened;
    lost->address = peer->address;
    lost->token = peer->token;
    lost->name_hash = peer->name_hash;
    lost->name_size = peer->name_size;
    lost->name = lost->identity;
    if (peer->name != peer->identity) {
        lost->name = peer->name;
        peer->name = NULL;
    }
    lost->watch = peer->watch;
    lost->names = peer->names;
    lost->session = peer->session;
    peer->names = NULL;
    peer->session = NULL;
    wsig_peer_step_out(peer);
    wsig_peer_schedule(lost, now);
    return lost;
}

void
wsig_peer_lose(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_record_t record = {.kind = WSIG_RECORD_ALIVE};

    if (peer->probe != NULL) { /* who asks for its name is answered: no */
        record.to.slot = peer->probe->serial;
        (void) wsig_worker_post(peer->worker, peer->probe->by, &record, NULL,
                                now);
    }
    peer = wsig_peer_part_with(peer, now);
    if (peer != NULL) {
        wsig_peer_admit(peer);
    }
}

void
wsig_peer_admit(wsig_peer_t *lost)
{
    lost->quiet = false;
    (void) wsig_registry_lose(lost->worker->zone, lost->address,
                              wsig_worker_self(lost->worker), lost->until);
}

void
wsig_peer_orphan(wsig_peer_t *peer, wsig_time_t now)
{
    int64_t until = peer->stage == WSIG_STAGE_LOST
                        ? peer->until
                        : now.mono + peer->conf->resume;

    (void) wsig_registry_orphan(peer->worker->zone, peer->address,
                                wsig_worker_self(peer->worker), until);
    wsig_peer_step_out(peer);
}

/* Its connection is closed, since another has its token. */
static wsig_peer_t *
wsig_peer_detach(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_peer_t *lost = wsig_peer_part_with(peer, now);

    if (lost != NULL) { /* who moves is not away in between */
        lost->quiet = true;
        lost->heard = now.mono;
        wsig_peer_schedule(lost, now);
    }
    peer->closed = 4410;
    wsig_peer_shut(peer, 4410, "its place was taken with its token", now);
    return lost;
}

void
wsig_peer_hand_over(wsig_peer_t *peer, const wsig_record_t *record,
                    wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_buffer_t out = {0};
    wsig_slot_t slot;

    if (wsig_registry_get(worker->zone, peer->address, &slot) != WSIG_OK ||
        !wsig_slot_is_of(&slot, wsig_worker_self(worker)) ||
        slot.token != record->number) {
        return; /* who asks finds out by himself */
    }
    if (peer->stage == WSIG_STAGE_JOINED) {
        peer = wsig_peer_detach(peer, now);
    }
    if (peer == NULL || (peer->ticket != NULL &&
                         now.mono < peer->ticket->since + WSIG_MOVE_WAIT)) {
        return; /* he asks again */
    }
    if (peer->ticket == NULL) {
        peer->ticket = calloc(1, sizeof(*peer->ticket));
    }
    wsig_parcel_write(&out, peer);
    if (peer->ticket != NULL && !out.failed) {
        peer->ticket->other = record->by;
        peer->ticket->since = now.mono;
        wsig_peer_post_pieces(worker, record, &out, now);
    }
    free(out.data);
}

static void
wsig_peer_post_pieces(wsig_worker_t *worker, const wsig_record_t *take,
                      const wsig_buffer_t *parcel, wsig_time_t now)
{
    wsig_record_t piece = {.kind = WSIG_RECORD_SESSION,
                           .to = take->from,
                           .by = wsig_worker_self(worker)};
    size_t at, left;

    for (at = 0; at < parcel->size; at += piece.size) {
        left = parcel->size - at;
        piece.number = (uint32_t) at;
        piece.size = (uint32_t) (left < PIECE ? left : PIECE);
        piece.call = left - piece.size;
        (void) wsig_worker_post(worker, take->by, &piece, parcel->data + at,
                                now);
    }
}

static void
wsig_parcel_take(wsig_parcel_t *parcel, wsig_peer_t *from)
{
    parcel->session = from->session;
    parcel->names = from->names;
    parcel->watch = (wsig_watch_t) from->watch;
    from->session = NULL;
    from->names = NULL;
}

static void
wsig_parcel_free(wsig_parcel_t *parcel)
{
    wsig_session_free(parcel->session);
    free(parcel->names);
}

/* One byte tells what it watches, one whether there is a session; a list of
 * names is their number, sizes and bytes; the session is the rest. */
static void
wsig_parcel_write(wsig_buffer_t *out, const wsig_peer_t *peer)
{
    const uint8_t head[] = {peer->watch, peer->session != NULL};
    uint32_t n = peer->names != NULL ? peer->names->n : 0, i;
    uint8_t size;

    wsig_put(out, head, sizeof(head));
    wsig_put(out, &n, sizeof(n));
    for (i = 0; i < n; i++) {
        size = (uint8_t) peer->names->names[i].size;
        wsig_put(out, &size, 1);
        wsig_put(out, peer->names->names[i].data, size);
    }
    if (peer->session != NULL) {
        wsig_session_write(out, peer->session);
    }
}

static wsig_names_t *
wsig_names_unpack(wsig_text_t *bytes, uint32_t n)
{
    wsig_names_t *names;
    char *to;
    uint32_t i;
    uint8_t size;

    names = malloc(sizeof(*names) + n * (sizeof(wsig_text_t) + WSIG_NAME_MAX));
    if (names == NULL) {
        return NULL;
    }
    to = (char *) &names->names[n];
    for (i = 0; i < n && bytes->size > 0; i++) {
        size = (uint8_t) bytes->data[0];
        if (size > WSIG_NAME_MAX || size >= bytes->size) {
            break;
        }
        memcpy(to, bytes->data + 1, size);
        names->names[i] = (wsig_text_t){to, size};
        to += size;
        bytes->data += 1 + size;
        bytes->size -= 1u + size;
    }
    names->n = i;
    return names;
}

static bool
wsig_parcel_read(wsig_parcel_t *parcel, wsig_text_t bytes)
{
    bool has_session;
    uint32_t n;

    memset(parcel, 0, sizeof(*parcel));
    if (bytes.size < 2 + sizeof(n)) {
        return false;
    }
    parcel->watch = (wsig_watch_t) bytes.data[0];
    has_session = bytes.data[1];
    memcpy(&n, bytes.data + 2, sizeof(n));
    bytes.data += 2 + sizeof(n);
    bytes.size -= 2 + sizeof(n);
    if (parcel->watch == WSIG_WATCH_LIST) {
        parcel->names = wsig_names_unpack(&bytes, n);
        if (parcel->names == NULL) {
            return false;
        }
    }
    if (has_session) {
        parcel->session = wsig_session_read(bytes);
        if (parcel->session == NULL) {
            wsig_parcel_free(parcel);
            return false;
        }
    }
    return true;
}
