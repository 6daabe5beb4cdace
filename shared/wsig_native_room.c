#include <string.h>

#include "wsig_native.h"

/* What a request says in which room it is to be done. */
typedef struct {
    char data[6 * WSIG_ROOM_NAME_MAX];
    wsig_text_t text;
} wsig_room_name_t;

/* false: it is none, and the peer was told so. */
static bool
wsig_read_room(wsig_peer_t *peer, const wsig_said_t *said,
               wsig_room_name_t *name)
{
    const wsig_value_t *value = &said->values[WSIG_ROOM];

    if (!wsig_is_string(value)) {
        wsig_native_bad(peer, said, "room is no string");
        return false;
    }
    name->text = (wsig_text_t){name->data, 0};
    if (value->raw.size <= sizeof(name->data)) {
        name->text.size = wsig_string_copy(value, name->data);
    }
    if (!wsig_room_name_valid(name->text)) {
        wsig_native_error(peer, said, "room-name",
                          "a room is 22 to 64 characters of base64url");
        return false;
    }
    return true;
}

static wsig_text_t
wsig_inside_name(const wsig_inside_t *inside)
{
    return (wsig_text_t){inside->name, inside->name_size};
}

/* The room of that name that the peer is in, as far as its session knows. */
static wsig_inside_t *
wsig_inside_find(const wsig_peer_t *peer, wsig_text_t name)
{
    const wsig_session_t *session = peer->session;
    int i, n = session != NULL ? session->n_rooms : 0;

    for (i = 0; i < n; i++) {
        if (wsig_text_same(wsig_inside_name(session->rooms[i]), name)) {
            return session->rooms[i];
        }
    }
    return NULL;
}

static wsig_met_t *
wsig_met_find(wsig_inside_t *inside, wsig_address_t at)
{
    int i;

    for (i = 0; i < inside->n; i++) {
        if (wsig_address_same(inside->met[i].at, at)) {
            return &inside->met[i];
        }
    }
    return NULL;
}

/* Is this very membership in the record? */
static bool
wsig_room_has(const wsig_room_t *room, wsig_address_t at, uint32_t serial)
{
    const wsig_member_t *member = wsig_room_member(room, at);

    return member != NULL && member->serial == serial;
}

/* Get to know a member; sure: nothing of what it says was lost before.  NULL:
 * it is gone. */
static wsig_met_t *
wsig_met_add(wsig_peer_t *peer, wsig_inside_t *inside,
             const wsig_member_t *member, bool sure)
{
    wsig_met_t *met = &inside->met[inside->n];
    wsig_slot_t slot;

    if (wsig_registry_get(peer->worker->zone, member->at, &slot) != WSIG_OK) {
        return NULL;
    }
    memset(met, 0, sizeof(*met));
    met->at = member->at;
    met->serial = member->serial;
    met->verified = slot.flags & WSIG_PEER_VERIFIED;
    met->name_size = slot.name_size;
    memcpy(met->name, slot.name, slot.name_size);
    met->flow.due = sure;
    inside->n++;
    return met;
}

static void
wsig_met_remove(wsig_inside_t *inside, int i)
{
    wsig_flow_reset(&inside->met[i].flow);
    inside->met[i] = inside->met[--inside->n];
}

static void
wsig_put_met(wsig_buffer_t *out, const wsig_met_t *met)
{
    wsig_put_peer_id(out, "peer", met->at);
    wsig_put_member(out, "name", (wsig_text_t){met->name, met->name_size});
}

static void
wsig_say_room(wsig_peer_t *peer, const wsig_inside_t *inside,
              const wsig_said_t *said)
{
    wsig_buffer_t out = {0};
    size_t begin;
    int i;

    wsig_native_begin(&out, "room");
    wsig_put_member(&out, "room", wsig_inside_name(inside));
    wsig_put_words(&out, ",\"members\":[");
    for (i = 0; i < inside->n; i++) {
        wsig_put_words(&out, i > 0 ? "," : "");
        begin = out.size;
        wsig_put_met(&out, &inside->met[i]);
        wsig_put_verified(&out, inside->met[i].verified);
        wsig_put_words(&out, "}");
        if (!out.failed) {
            out.data[begin] = '{'; /* in place of the first comma */
        }
    }
    wsig_put_words(&out, "]");
    wsig_put_ref(&out, said);
    wsig_native_end_counted(peer, &out);
}

static void
wsig_say_entered(wsig_peer_t *peer, const wsig_inside_t *inside,
                 const wsig_met_t *met)
{
    wsig_buffer_t out = {0};

    wsig_native_begin(&out, "entered");
    wsig_put_member(&out, "room", wsig_inside_name(inside));
    wsig_put_met(&out, met);
    wsig_put_verified(&out, met->verified);
    wsig_native_end_counted(peer, &out);
}

static void
wsig_say_left(wsig_peer_t *peer, const wsig_inside_t *inside,
              const wsig_met_t *met)
{
    wsig_buffer_t out = {0};

    wsig_native_begin(&out, "left");
    wsig_put_member(&out, "room", wsig_inside_name(inside));
    wsig_put_met(&out, met);
    wsig_native_end_counted(peer, &out);
}

/* Know of a room and all who are in it; sure: it was entered just now.  NULL:
 * no memory. */
static wsig_inside_t *
wsig_inside_add(wsig_peer_t *peer, wsig_text_t name, const wsig_room_t *room,
                bool sure)
{
    const wsig_member_t *self = wsig_room_member(room, peer->address);
    wsig_inside_t *inside = NULL;
    uint32_t i;

    if (wsig_peer_session(peer) != NULL) {
        inside = wsig_session_add_room(peer->session, room->id);
    }
    if (inside == NULL) {
        return NULL;
    }
    inside->serial = self->serial;
    inside->name_size = (uint8_t) name.size;
    memcpy(inside->name, name.data, name.size);
    for (i = 0; i < room->n; i++) {
        if (&room->members[i] != self) {
            (void) wsig_met_add(peer, inside, &room->members[i], sure);
        }
    }
    return inside;
}

void
wsig_native_enter(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    wsig_room_name_t name;
    wsig_inside_t *inside;
    wsig_room_t room;
    int rc;

    if (!wsig_read_room(peer, said, &name)) {
        return;
    }
    if (wsig_sees_nobody(peer)) {
        wsig_native_error(peer, said, "forbidden", "guests may only call");
        return;
    }
    inside = wsig_inside_find(peer, name.text);
    if (inside != NULL) { /* the answer holds no news */
        wsig_native_note_room(peer, inside->room, now);
        inside = wsig_inside_find(peer, name.text);
    }
    if (inside != NULL) {
        wsig_say_room(peer, inside, said);
        return;
    }
    if (peer->session != NULL && peer->session->n_rooms == WSIG_ROOMS_EACH) {
        wsig_native_error(peer, said, "limit", "you are in 8 rooms");
        return;
    }
    rc = wsig_room_enter(worker->zone, &peer->realm->id, name.text,
                         peer->address, &room);
    if (rc == WSIG_FULL) {
        wsig_native_error(peer, said, "room-full", "8 are in that room");
        return;
    }
    if (rc == WSIG_NOMEM) {
        wsig_native_error(peer, said, "limit", "too many rooms");
        return;
    }
    inside = wsig_inside_add(peer, name.text, &room, rc == WSIG_OK);
    if (inside != NULL) {
        wsig_say_room(peer, inside, said);
    } else {
        wsig_peer_miss(peer, now); /* it has to enter again */
    }
    if (rc == WSIG_OK) {
        wsig_worker_note_room(worker, &room, peer->address, now);
    }
}

void
wsig_native_leave(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    const wsig_inside_t *inside;
    wsig_room_name_t name;
    wsig_room_t room;
    int rc;

    if (!wsig_read_room(peer, said, &name)) {
        return;
    }
    inside = wsig_inside_find(peer, name.text);
    if (inside != NULL) {
        rc = wsig_room_leave_id(worker->zone, inside->room, peer->address,
                                &room);
        wsig_session_drop_room(peer->session, inside->room);
    } else { /* its session may be lost */
        rc = wsig_room_leave(worker->zone, &peer->realm->id, name.text,
                             peer->address, &room);
    }
    if (rc == WSIG_OK) {
        wsig_worker_note_room(worker, &room, peer->address, now);
    } else if (rc == WSIG_NOMEM) {
        wsig_peer_close(peer, 1013, "memory is short", now);
    }
}

void
wsig_native_note_room(wsig_peer_t *peer, uint64_t id, wsig_time_t now)
{
    wsig_inside_t *inside = wsig_session_room(peer->session, id);
    const wsig_member_t *member;
    const wsig_met_t *met;
    wsig_room_t room;
    uint32_t i;
    int j;

    (void) now;
    if (inside == NULL) {
        return;
    }
    if (wsig_room_read(peer->worker->zone, id, &room) != WSIG_OK ||
        !wsig_room_has(&room, peer->address, inside->serial)) {
        wsig_session_drop_room(peer->session, id); /* so its place is gone */
        return;
    }
    for (j = inside->n - 1; j >= 0; j--) {
        met = &inside->met[j];
        if (!wsig_room_has(&room, met->at, met->serial)) {
            wsig_say_left(peer, inside, met);
            wsig_met_remove(inside, j);
        }
    }
    for (i = 0; i < room.n; i++) {
        member = &room.members[i];
        if (wsig_address_same(member->at, peer->address) ||
            wsig_met_find(inside, member->at) != NULL) {
            continue;
        }
        met = wsig_met_add(peer, inside, member, true);
        if (met != NULL) {
            wsig_say_entered(peer, inside, met);
        }
    }
}

static void
wsig_room_pass_on(wsig_peer_t *peer, wsig_inside_t *inside, wsig_met_t *met,
                  wsig_text_t data, wsig_time_t now)
{
    wsig_record_t record = {.kind = WSIG_RECORD_ROOM_TEXT,
                            .to = met->at,
                            .call = inside->room,
                            .from = peer->address,
                            .entered = inside->serial,
                            .met = met->serial};
    uint32_t before = met->flow.sent;
    wsig_buffer_t out = {0};
    wsig_frame_t *frame;
    int rc = WSIG_NOMEM;

    record.stream = peer->session->stream;
    record.number = wsig_flow_after(before);
    wsig_native_begin(&out, "signal");
    wsig_put_member(&out, "room", wsig_inside_name(inside));
    wsig_put_peer_id(&out, "from", peer->address);
    wsig_put_words(&out, ",\"data\":");
    wsig_put_text(&out, data);
    wsig_put_words(&out, "}");
    frame = wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
    if (frame != NULL) {
        met->flow.sent = record.number;
        rc = wsig_worker_text(peer, &record, frame, now);
    }
    if (rc == WSIG_NOMEM) {
        inside = wsig_session_room(peer->session, record.call);
        met = inside != NULL ? wsig_met_find(inside, record.to) : NULL;
        if (met != NULL) {
            met->flow.sent = before; /* nobody is to wait for it */
        }
        wsig_peer_miss(peer, now);
    }
    wsig_frame_release(frame);
}

/* The member that the peer was told of, if it still is one. */
static wsig_met_t *
wsig_room_other(wsig_peer_t *peer, wsig_inside_t *inside, wsig_address_t at)
{
    wsig_met_t *met = wsig_met_find(inside, at);
    wsig_room_t room;

    return met != NULL &&
                   wsig_room_read(peer->worker->zone, inside->room, &room) ==
                       WSIG_OK &&
                   wsig_room_has(&room, peer->address, inside->serial) &&
                   wsig_room_has(&room, at, met->serial)
               ? met
               : NULL;
}

void
wsig_native_signal_room(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    const wsig_value_t *data = &said->values[WSIG_DATA];
    wsig_room_name_t name;
    wsig_inside_t *inside;
    wsig_met_t *met = NULL;
    wsig_address_t at;

    if (said->values[WSIG_CALL].kind != WSIG_JSON_NONE) {
        wsig_native_bad(peer, said, "call and room");
        return;
    }
    if (data->kind == WSIG_JSON_NONE) {
        wsig_native_bad(peer, said, "data is missing");
        return;
    }
    if (!wsig_is_string(&said->values[WSIG_TO])) {
        wsig_native_bad(peer, said, "to is no string");
        return;
    }
    if (!wsig_read_room(peer, said, &name)) {
        return;
    }
    inside = wsig_inside_find(peer, name.text);
    if (inside != NULL && wsig_read_peer_id(&said->values[WSIG_TO], &at)) {
        met = wsig_room_other(peer, inside, at);
    }
    if (met != NULL) {
        wsig_room_pass_on(peer, inside, met, data->raw, now);
        return;
    }
    if (inside != NULL) { /* first it hears of what has changed */
        wsig_native_note_room(peer, inside->room, now);
    }
    wsig_native_error(peer, said, "unreachable", "no member of that room");
}

void
wsig_native_deliver_room(wsig_peer_t *peer, const wsig_record_t *record,
                         wsig_frame_t *frame, wsig_time_t now)
{
    wsig_inside_t *inside = wsig_session_room(peer->session, record->call);
    wsig_met_t *met;

    if (inside == NULL || inside->serial != record->met) {
        return; /* to one who left */
    }
    met = wsig_met_find(inside, record->from);
    if (met == NULL || met->serial != record->entered) {
        wsig_native_note_room(peer, record->call, now);
        inside = wsig_session_room(peer->session, record->call);
        met = inside != NULL ? wsig_met_find(inside, record->from) : NULL;
    }
    if (met != NULL && met->serial == record->entered) {
        wsig_native_arrive(peer, &met->flow, record, frame, now);
    }
}

/* A text that is overdue means that the peer is closed, and its session may
 * be gone; a room may be taken off. */
void
wsig_native_look_rooms(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_inside_t *inside;
    bool stuck = false;
    int i, j;

    for (i = 0; peer->session != NULL && i < peer->session->n_rooms; i++) {
        inside = peer->session->rooms[i];
        for (j = 0; j < inside->n; j++) {
            if (wsig_flow_stuck(&inside->met[j].flow, now.mono)) {
                wsig_flow_reset(&inside->met[j].flow);
                stuck = true;
            }
        }
    }
    if (stuck) {
        wsig_peer_miss(peer, now);
    }
    for (i = peer->session != NULL ? peer->session->n_rooms : 0; i > 0; i--) {
        wsig_native_note_room(peer, peer->session->rooms[i - 1]->room, now);
    }
}
