#include <stdlib.h>
#include <string.h>

#include "wsig_session.h"

wsig_session_t *
wsig_session_make(uint32_t token)
{
    wsig_session_t *session = calloc(1, sizeof(*session));

    if (session != NULL) {
        session->stream = token;
    }
    return session;
}

void
wsig_session_free(wsig_session_t *session)
{
    if (session == NULL) {
        return;
    }
    wsig_queue_free(&session->kept);
    while (session->n_calls > 0) {
        wsig_session_drop_call(session, session->calls[0].call);
    }
    while (session->n_rooms > 0) {
        wsig_session_drop_room(session, session->rooms[0]->room);
    }
    free(session);
}

void
wsig_session_keep(wsig_session_t *session, wsig_frame_t *frame, size_t max)
{
    session->sent++;
    if (session->lost) {
        return;
    }
    /* One text may be longer than all that is to be kept. */
    if (session->kept.bytes + wsig_frame_text(frame).size > max ||
        wsig_queue_add(&session->kept, frame) != WSIG_OK) {
        wsig_queue_free(&session->kept);
        session->n_kept = 0;
        return;
    }
    session->n_kept++;
}

int
wsig_session_acked(wsig_session_t *session, uint64_t got)
{
    if (got > session->sent) {
        return WSIG_INVALID;
    }
    if (got > session->acked) {
        session->acked = got;
    }
    while (session->n_kept > 0 &&
           session->sent - session->n_kept < session->acked) {
        wsig_queue_drop(&session->kept);
        session->n_kept--;
    }
    return WSIG_OK;
}

/* Who shows an older token than that with which the counts began has not heard
 * that they did. */
bool
wsig_session_again(wsig_session_t *session, uint32_t token, uint64_t got)
{
    if (session->lost ||
        (session->anew != 0 && (int32_t) (token - session->anew) < 0) ||
        got < session->acked || wsig_session_acked(session, got) != WSIG_OK ||
        got != session->sent - session->n_kept) {
        return false;
    }
    session->got_told = session->got;
    session->ack_due = 0;
    return true;
}

void
wsig_session_begin(wsig_session_t *session, uint32_t token)
{
    wsig_session_lose(session);
    session->lost = false;
    session->anew = token;
    session->got = session->got_told = 0;
    session->sent = session->acked = 0;
    session->ack_due = 0;
}

void
wsig_session_lose(wsig_session_t *session)
{
    session->lost = true;
    wsig_queue_free(&session->kept);
    session->n_kept = 0;
}

wsig_known_t *
wsig_session_call(const wsig_session_t *session, uint64_t call)
{
    int i, n = session != NULL ? session->n_calls : 0;

    for (i = 0; i < n; i++) {
        if (session->calls[i].call == call) {
            return &session->calls[i];
        }
    }
    return NULL;
}

wsig_known_t *
wsig_session_add_call(wsig_session_t *session, uint64_t call, bool sure)
{
    wsig_known_t *calls, *known;

    if (session->n_calls == WSIG_KNOWN_CALLS) {
        return NULL;
    }
    calls = realloc(session->calls, (session->n_calls + 1) * sizeof(*calls));
    if (calls == NULL) {
        return NULL;
    }
    session->calls = calls;
    known = &calls[session->n_calls++];
    memset(known, 0, sizeof(*known));
    known->call = call;
    known->flow.due = sure;
    return known;
}

void
wsig_session_drop_call(wsig_session_t *session, uint64_t call)
{
    wsig_known_t *known = wsig_session_call(session, call);

    if (known != NULL) {
        wsig_flow_reset(&known->flow);
        *known = session->calls[--session->n_calls];
        if (session->n_calls == 0) {
            free(session->calls);
            session->calls = NULL;
        }
    }
}

wsig_inside_t *
wsig_session_room(const wsig_session_t *session, uint64_t room)
{
    int i, n = session != NULL ? session->n_rooms : 0;

    for (i = 0; i < n; i++) {
        if (session->rooms[i]->room == room) {
            return session->rooms[i];
        }
    }
    return NULL;
}

wsig_inside_t *
wsig_session_add_room(wsig_session_t *session, uint64_t room)
{
    wsig_inside_t *inside;

    if (session->n_rooms == WSIG_ROOMS_EACH) {
        return NULL;
    }
    inside = calloc(1, sizeof(*inside));
    if (inside != NULL) {
        inside->room = room;
        session->rooms[session->n_rooms++] = inside;
    }
    return inside;
}

void
wsig_session_drop_room(wsig_session_t *session, uint64_t room)
{
    int i, j;

    for (i = 0; i < session->n_rooms && session->rooms[i]->room != room; i++) {
    }
    if (i == session->n_rooms) {
        return;
    }
    for (j = 0; j < session->rooms[i]->n; j++) {
        wsig_flow_reset(&session->rooms[i]->met[j].flow);
    }
    free(session->rooms[i]);
    session->rooms[i] = session->rooms[--session->n_rooms];
}

/*
 * As bytes: the structs as they are in memory, since both workers are of one
 * build (the zone's layout sees to that), and frames by their texts.  Behind
 * each struct stands what it points to; a count in it tells how much.
 */

static void
wsig_frame_write(wsig_buffer_t *out, const wsig_frame_t *frame)
{
    wsig_text_t text = wsig_frame_text(frame);
    uint32_t size = (uint32_t) text.size;

    wsig_put(out, &size, sizeof(size));
    wsig_put(out, text.data, size);
}

static void
wsig_flow_write(wsig_buffer_t *out, const wsig_flow_t *flow)
{
    const wsig_early_t *early;
    uint32_t n = 0;

    for (early = flow->early; early != NULL; early = early->next) {
        n++;
    }
    wsig_put(out, &n, sizeof(n));
    for (early = flow->early; early != NULL; early = early->next) {
        wsig_put(out, &early->number, sizeof(early->number));
        wsig_frame_write(out, early->frame);
    }
}

void
wsig_session_write(wsig_buffer_t *out, const wsig_session_t *session)
{
    const wsig_link_t *position = NULL;
    const wsig_inside_t *inside;
    wsig_frame_t *frame;
    int i, j;

    wsig_put(out, session, sizeof(*session));
    for (i = 0; i < session->n_calls; i++) {
        wsig_put(out, &session->calls[i], sizeof(session->calls[i]));
        wsig_flow_write(out, &session->calls[i].flow);
    }
    for (i = 0; i < session->n_rooms; i++) {
        inside = session->rooms[i];
        wsig_put(out, inside, sizeof(*inside));
        for (j = 0; j < inside->n; j++) {
            wsig_flow_write(out, &inside->met[j].flow);
        }
    }
    while ((frame = wsig_queue_each(&session->kept, &position)) != NULL) {
        wsig_frame_write(out, frame);
    }
}

/* Take so many bytes; false: there are not so many. */
static bool
wsig_bytes_take(wsig_text_t *bytes, void *to, size_t size)
{
    if (bytes->size < size) {
        return false;
    }
    memcpy(to, bytes->data, size);
    bytes->data += size;
    bytes->size -= size;
    return true;
}

static wsig_frame_t *
wsig_frame_read(wsig_text_t *bytes)
{
    wsig_frame_t *frame;
    uint32_t size;

    if (!wsig_bytes_take(bytes, &size, sizeof(size)) || size > bytes->size) {
        return NULL;
    }
    frame = wsig_frame_of(WSIG_WS_OPCODE_TEXT, bytes->data, size);
    bytes->data += size;
    bytes->size -= size;
    return frame;
}

static bool
wsig_flow_read(wsig_text_t *bytes, wsig_flow_t *flow)
{
    wsig_frame_t *frame;
    uint32_t n, number;

    flow->early = NULL;
    flow->early_size = 0;
    if (!wsig_bytes_take(bytes, &n, sizeof(n))) {
        return false;
    }
    for (; n > 0; n--) {
        if (!wsig_bytes_take(bytes, &number, sizeof(number))) {
            return false;
        }
        frame = wsig_frame_read(bytes);
        if (frame == NULL || wsig_flow_keep(flow, number, frame) != WSIG_OK) {
            return false;
        }
    }
    return true;
}

static bool
wsig_session_read_call(wsig_session_t *session, wsig_text_t *bytes)
{
    wsig_known_t copy, *known;

    if (!wsig_bytes_take(bytes, &copy, sizeof(copy))) {
        return false;
    }
    known = wsig_session_add_call(session, copy.call, true);
    if (known == NULL) {
        return false;
    }
    *known = copy;
    return wsig_flow_read(bytes, &known->flow);
}

static bool
wsig_session_read_room(wsig_session_t *session, wsig_text_t *bytes)
{
    wsig_inside_t copy, *inside;
    int i, n;

    if (!wsig_bytes_take(bytes, &copy, sizeof(copy)) ||
        copy.n > WSIG_ROOM_MAX) {
        return false;
    }
    inside = wsig_session_add_room(session, copy.room);
    if (inside == NULL) {
        return false;
    }
    n = copy.n;
    *inside = copy;
    inside->n = 0; /* until their flows are whole */
    for (i = 0; i < n; i++) {
        inside->n++;
        inside->met[i].flow.early = NULL;
        if (!wsig_flow_read(bytes, &inside->met[i].flow)) {
            return false;
        }
    }
    return true;
}

static bool
wsig_session_read_kept(wsig_session_t *session, wsig_text_t *bytes)
{
    wsig_frame_t *frame = wsig_frame_read(bytes);
    int rc;

    if (frame == NULL) {
        return false;
    }
    rc = wsig_queue_add(&session->kept, frame);
    wsig_frame_release(frame);
    session->n_kept += rc == WSIG_OK;
    return rc == WSIG_OK;
}

wsig_session_t *
wsig_session_read(wsig_text_t bytes)
{
    wsig_session_t copy, *session = calloc(1, sizeof(*session));
    bool done;
    uint32_t i;

    if (session == NULL) {
        return NULL;
    }
    done = wsig_bytes_take(&bytes, &copy, sizeof(copy));
    if (done) {
        *session = copy;
        session->n_calls = session->n_rooms = 0;
        session->n_kept = 0;
        session->calls = NULL;
        memset(&session->kept, 0, sizeof(session->kept));
    }
    for (i = 0; done && i < copy.n_calls; i++) {
        done = wsig_session_read_call(session, &bytes);
    }
    for (i = 0; done && i < copy.n_rooms; i++) {
        done = wsig_session_read_room(session, &bytes);
    }
    for (i = 0; done && i < copy.n_kept; i++) {
        done = wsig_session_read_kept(session, &bytes);
    }
    if (!done) {
        wsig_session_free(session);
        return NULL;
    }
    return session;
}
