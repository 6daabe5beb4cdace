#include <stdlib.h>
#include <string.h>

#include "wsig_native.h"
#include "wsig_token.h"

static void wsig_native_hello(wsig_peer_t *peer, wsig_said_t *said, int rc,
                              wsig_time_t now);
static void wsig_native_ice(wsig_peer_t *peer, wsig_said_t *said,
                            wsig_time_t now);
static void wsig_native_bye(wsig_peer_t *peer, wsig_said_t *said,
                            wsig_time_t now);
static void wsig_native_hello_again(wsig_peer_t *peer, wsig_said_t *said,
                                    wsig_time_t now);
static void wsig_native_acked(wsig_peer_t *peer, wsig_said_t *said,
                              wsig_time_t now);
static void wsig_native_request(wsig_peer_t *peer, wsig_said_t *said,
                                wsig_time_t now);
static bool wsig_native_came(wsig_peer_t *peer, const wsig_said_t *said,
                             wsig_time_t now);
static void wsig_native_ack(wsig_peer_t *peer);
static bool wsig_native_ticket(wsig_peer_t *peer, const wsig_said_t *said,
                               wsig_text_t name);
static void wsig_native_ticket_free(wsig_peer_t *peer);
static void wsig_native_welcome(wsig_peer_t *peer, wsig_time_t now);

static const struct {
    wsig_text_t type;
    void (*handle)(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
} wsig_requests[] = {
    {WSIG_TEXT("signal"), wsig_native_signal},
    {WSIG_TEXT("ack"), wsig_native_acked},
    {WSIG_TEXT("call"), wsig_native_call},
    {WSIG_TEXT("accept"), wsig_native_accept},
    {WSIG_TEXT("decline"), wsig_native_hangup},
    {WSIG_TEXT("hangup"), wsig_native_hangup},
    {WSIG_TEXT("enter"), wsig_native_enter},
    {WSIG_TEXT("leave"), wsig_native_leave},
    {WSIG_TEXT("watch"), wsig_native_watch},
    {WSIG_TEXT("lookup"), wsig_native_lookup},
    {WSIG_TEXT("state"), wsig_native_state},
    {WSIG_TEXT("ice"), wsig_native_ice},
    {WSIG_TEXT("bye"), wsig_native_bye},
    {WSIG_TEXT("hello"), wsig_native_hello_again},
};

static void
wsig_native_text(wsig_peer_t *peer, wsig_text_t text, wsig_time_t now)
{
    wsig_said_t said;
    int rc;

    rc = wsig_native_read(text, &said);
    if (peer->stage == WSIG_STAGE_HELLO) {
        wsig_native_hello(peer, &said, rc, now);
        return;
    }
    if (rc == WSIG_NOMEM) {
        wsig_peer_close(peer, 1013, "memory is short", now);
        return;
    }
    if (rc != WSIG_OK) {
        wsig_native_bad(peer, NULL, "not a JSON object as it should be");
        return;
    }
    if (!wsig_native_came(peer, &said, now)) {
        return;
    }
    wsig_native_request(peer, &said, now);
    if (peer->stage == WSIG_STAGE_JOINED && peer->session != NULL &&
        peer->session->got - peer->session->got_told >= WSIG_ACK_EVERY) {
        wsig_native_ack(peer);
    }
    wsig_peer_schedule(peer, now);
}

static void
wsig_native_request(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    size_t i;

    if (!wsig_read_ref(said)) {
        wsig_native_bad(peer, said, "ref is no string of at most 64 bytes");
        return;
    }
    said->call = wsig_read_call(&said->values[WSIG_CALL]);
    for (i = 0; i < sizeof(wsig_requests) / sizeof(wsig_requests[0]); i++) {
        if (wsig_string_is(&said->values[WSIG_TYPE], wsig_requests[i].type)) {
            wsig_requests[i].handle(peer, said, now);
            return;
        }
    }
    wsig_native_bad(peer, said,
                    wsig_is_string(&said->values[WSIG_TYPE])
                        ? "unknown type"
                        : "type is no string");
}

/* Count a text that the client counts too.  false: no memory. */
static bool
wsig_native_came(wsig_peer_t *peer, const wsig_said_t *said, wsig_time_t now)
{
    static const wsig_text_t call = WSIG_TEXT("call"),
                             hello = WSIG_TEXT("hello");
    wsig_session_t *session;

    if ((said->values[WSIG_CALL].kind == WSIG_JSON_NONE &&
         said->values[WSIG_ROOM].kind == WSIG_JSON_NONE) ||
        wsig_string_is(&said->values[WSIG_TYPE], call) ||
        wsig_string_is(&said->values[WSIG_TYPE], hello) ||
        !wsig_peer_may_return(peer)) {
        return true;
    }
    session = wsig_peer_session(peer);
    if (session == NULL) {
        return false;
    }
    session->got++;
    if (session->ack_due == 0) {
        session->ack_due = now.mono + WSIG_ACK_WAIT;
    }
    return true;
}

static void
wsig_native_ack(wsig_peer_t *peer)
{
    wsig_session_t *session = peer->session;
    wsig_buffer_t out = {0};

    session->got_told = session->got;
    session->ack_due = 0;
    wsig_native_begin(&out, "ack");
    wsig_put_words(&out, ",\"got\":");
    wsig_put_number(&out, (int64_t) session->got);
    wsig_native_end(peer, &out);
}

static void
wsig_native_acked(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    uint64_t got;

    (void) now;
    if (!wsig_read_count(&said->values[WSIG_GOT], &got)) {
        wsig_native_bad(peer, said, "got is no number of texts");
    } else if (peer->session != NULL
                   ? wsig_session_acked(peer->session, got) != WSIG_OK
                   : got > 0) {
        wsig_native_bad(peer, said, "got is more than was sent");
    }
}

/* What its session has to do by now. */
static void
wsig_native_due(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_session_t *session = peer->session;

    if (session->ack_due != 0 && now.mono >= session->ack_due) {
        if (peer->stage == WSIG_STAGE_JOINED) {
            wsig_native_ack(peer);
        } else {
            session->ack_due = 0; /* the next welcome tells */
        }
    }
    if (now.mono >= session->looked + WSIG_LOOK_EVERY) {
        session->looked = now.mono;
        wsig_native_look(peer, now);
        wsig_native_look_rooms(peer, now);
    }
}

static void
wsig_native_hello(wsig_peer_t *peer, wsig_said_t *said, int rc, wsig_time_t now)
{
    static const wsig_text_t hello = WSIG_TEXT("hello");
    char copy[WSIG_NAME_MAX];
    wsig_watch_t watch = WSIG_WATCH_ALL;
    wsig_names_t *names = NULL;
    wsig_text_t name = {NULL, 0};
    bool resumes, named;
    uint64_t got;

    if (rc != WSIG_OK || !wsig_is_string(&said->values[WSIG_TYPE])) {
        wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4400,
                        "the first text must be a hello", now);
        return;
    }
    if (!wsig_string_is(&said->values[WSIG_TYPE], hello)) {
        wsig_peer_close(peer, 4401, "hello comes first", now);
        return;
    }
    resumes = said->values[WSIG_RESUME].kind != WSIG_JSON_NONE;
    if (peer->identity_size > 0) {
        name = wsig_peer_identity(peer);
        named = said->values[WSIG_NAME].kind == WSIG_JSON_NONE ||
                wsig_is_string(&said->values[WSIG_NAME]);
    } else if (resumes && said->values[WSIG_NAME].kind == WSIG_JSON_NONE) {
        named = true; /* its place has one */
    } else {
        named = wsig_name_read(&said->values[WSIG_NAME], copy, &name);
    }
    if (!named) {
        wsig_peer_close(peer, 4400, "hello without a valid name", now);
        return;
    }
    if (resumes && (!wsig_is_string(&said->values[WSIG_RESUME]) ||
                    (said->values[WSIG_GOT].kind != WSIG_JSON_NONE &&
                     !wsig_read_count(&said->values[WSIG_GOT], &got)))) {
        wsig_peer_close(peer, 4400, "resume is a token, got a number of texts",
                        now);
        return;
    }
    if (!wsig_read_ref(said)) {
        wsig_peer_close(peer, 4400, "ref is no string of at most 64 bytes",
                        now);
        return;
    }
    if (said->values[WSIG_WATCH].kind != WSIG_JSON_NONE) {
        rc = wsig_read_watch(&said->values[WSIG_WATCH], &watch, &names);
        if (rc != WSIG_OK) {
            wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4400,
                            "watch is \"all\", \"none\" or a list of names",
                            now);
            return;
        }
    }
    peer->watch = (uint8_t) watch;
    peer->names = names;
    if (said->has_ref) {
        peer->ref = strndup(said->ref, said->ref_size);
        if (peer->ref == NULL) {
            wsig_peer_close(peer, 1013, "memory is short", now);
            return;
        }
    }
    if (!resumes) {
        wsig_peer_claim(peer, name, now);
    } else if (!wsig_native_ticket(peer, said, name)) {
        wsig_peer_close(peer, 1013, "memory is short", now);
    } else if (peer->ticket->shown.token != 0) {
        wsig_peer_return(peer, now);
    } else {
        wsig_peer_start(peer, name, now);
    }
}

/* What it shows in order to come back; false: no memory. */
static bool
wsig_native_ticket(wsig_peer_t *peer, const wsig_said_t *said, wsig_text_t name)
{
    wsig_bearer_t bearer = {&peer->realm->id, wsig_peer_identity(peer)};
    wsig_return_t *ticket = calloc(1, sizeof(*ticket));
    wsig_text_t raw = said->values[WSIG_RESUME].raw;

    if (ticket == NULL) {
        return false;
    }
    peer->ticket = ticket;
    ticket->watches = said->values[WSIG_WATCH].kind != WSIG_JSON_NONE;
    ticket->name_size = (uint8_t) name.size;
    memcpy(ticket->name, name.size > 0 ? name.data : "", name.size);
    (void) wsig_read_count(&said->values[WSIG_GOT], &ticket->got);
    raw.data++; /* without its quotes; ours have no escapes */
    raw.size -= 2;
    if (!wsig_peer_may_return(peer)) {
        return true;
    }
    switch (wsig_token_read(peer->worker->zone, &bearer, raw, &ticket->place,
                            &ticket->shown.token)) {
    case WSIG_NOMEM:
        return false;
    case WSIG_INVALID:
        ticket->shown.token = 0;
        break;
    default:
        break;
    }
    return true;
}

static void
wsig_native_joined(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_return_t *ticket = peer->ticket;
    const wsig_link_t *position = NULL;
    uint64_t calls[WSIG_CALLS_RINGING];
    wsig_frame_t *frame;
    wsig_record_t ring = {.kind = WSIG_RECORD_CALL};
    int i, n;

    if (ticket != NULL && ticket->back) {
        ticket->lost =
            ticket->lost ||
            (peer->session != NULL
                 ? !wsig_session_again(peer->session, ticket->shown.token,
                                       ticket->got)
                 : ticket->got > 0);
        if (ticket->lost) {
            wsig_worker_count(peer->worker, WSIG_COUNT_LOST);
            if (wsig_peer_session(peer) == NULL) {
                wsig_native_ticket_free(peer);
                return;
            }
            wsig_session_begin(peer->session, peer->token);
        }
    }
    wsig_native_welcome(peer, now);
    if (ticket != NULL && ticket->back) {
        while (peer->session != NULL &&
               (frame = wsig_queue_each(&peer->session->kept, &position)) !=
                   NULL) {
            wsig_peer_repeat(peer, frame);
        }
    } else {
        /* Who was cut off before it had its token would find its own name
         * taken: so it is asked to show that it has it. */
        peer->unmet = wsig_peer_may_return(peer);
        if (peer->unmet) {
            wsig_peer_send(peer, wsig_frame_of(WSIG_WS_OPCODE_PING, NULL, 0));
        }
        n = wsig_call_joined(peer->worker->zone, peer->address, calls);
        for (i = 0; i < n; i++) {
            ring.call = calls[i];
            wsig_dialect_native.note(peer, &ring, now);
        }
    }
    wsig_native_ticket_free(peer);
}

static void
wsig_native_ticket_free(wsig_peer_t *peer)
{
    if (peer->ticket != NULL) {
        free(peer->ticket->bytes);
        free(peer->ticket);
        peer->ticket = NULL;
    }
}

static void
wsig_put_resume(wsig_buffer_t *out, const wsig_peer_t *peer)
{
    wsig_bearer_t bearer = {&peer->realm->id, wsig_peer_identity(peer)};
    char token[WSIG_TOKEN_ROOM];

    if (wsig_token_write(peer->worker->zone, &bearer, peer->address,
                         peer->token, token) != WSIG_OK) {
        out->failed = true;
        return;
    }
    wsig_put_member(out, "resume", (wsig_text_t){token, strlen(token)});
    wsig_put_words(out, ",\"resume_window\":");
    wsig_put_seconds(out, peer->conf->resume);
}

static void
wsig_native_welcome(wsig_peer_t *peer, wsig_time_t now)
{
    const wsig_return_t *ticket = peer->ticket;
    bool back = ticket != NULL && ticket->back;
    wsig_buffer_t out = {0};

    wsig_native_begin(&out, "welcome");
    wsig_put_member(&out, "name", wsig_peer_name(peer));
    wsig_put_verified(&out, peer->verified);
    wsig_put_peer_id(&out, "peer", peer->address);
    wsig_put_member(&out, "realm", wsig_peer_realm(peer));
    wsig_put_users(&out, peer);
    if (back) {
        wsig_put_calls(&out, peer, now);
        wsig_put_words(&out, ticket->lost ? ",\"resumed\":true,\"lost\":true"
                                          : ",\"resumed\":true");
        wsig_put_words(&out, ",\"got\":");
        wsig_put_number(
            &out, peer->session != NULL ? (int64_t) peer->session->got : 0);
    } else {
        wsig_put_words(&out, ",\"calls\":[]");
        wsig_put_words(&out, ticket != NULL ? ",\"resumed\":false" : "");
    }
    if (wsig_peer_may_return(peer)) {
        wsig_put_resume(&out, peer);
    }
    wsig_put_words(&out, ",\"ping\":");
    wsig_put_seconds(&out, peer->conf->ping);
    wsig_put_words(&out, ",\"max_message\":");
    wsig_put_number(&out, (int64_t) peer->conf->max_message);
    wsig_put_words(&out, ",\"ice\":");
    wsig_put_ice(&out, peer, false, now);
    wsig_put_words(&out, wsig_peer_may_return(peer)
                             ? ",\"features\":[\"rooms\",\"resume\"]"
                             : ",\"features\":[\"rooms\"]");
    if (peer->ref != NULL) {
        wsig_put_member(&out, "ref",
                        (wsig_text_t){peer->ref, strlen(peer->ref)});
        free(peer->ref);
        peer->ref = NULL;
    }
    wsig_native_end(peer, &out);
}

static void
wsig_native_bid(wsig_peer_t *peer, const char *reason, int64_t ms,
                wsig_time_t now)
{
    wsig_buffer_t out = {0};

    (void) now;
    if (!wsig_peer_may_return(peer)) {
        return;
    }
    wsig_worker_count(peer->worker, WSIG_COUNT_GOODBYES);
    wsig_native_begin(&out, "goodbye");
    wsig_put_member(&out, "reason", (wsig_text_t){reason, strlen(reason)});
    wsig_put_words(&out, ",\"reconnect\":");
    wsig_put_number(&out, ms);
    wsig_native_end(peer, &out);
}

/* A call has changed, or a room. */
static void
wsig_native_noted(wsig_peer_t *peer, const wsig_record_t *record,
                  wsig_time_t now)
{
    if (record->kind == WSIG_RECORD_ROOM) {
        wsig_native_note_room(peer, record->call, now);
    } else {
        wsig_native_note(peer, record->call, now);
    }
}

static void
wsig_native_hello_again(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    (void) now;
    wsig_native_error(peer, said, "already-joined", "hello was said before");
}

static void
wsig_native_bye(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    (void) said;
    peer->bye = true;
    wsig_peer_close(peer, 1000, "bye", now);
}

static void
wsig_native_ice(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_buffer_t out = {0};
    wsig_slot_t self;
    size_t begin;
    bool in_call;

    in_call = wsig_registry_get(peer->worker->zone, peer->address, &self) ==
                  WSIG_OK &&
              self.call != 0;
    wsig_native_begin(&out, "ice");
    begin = out.size;
    wsig_put_ice(&out, peer, in_call, now);
    if (!out.failed) {
        out.data[begin] = ','; /* {"iceServers":...}: its members are ours */
        out.size--;
    }
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

const wsig_dialect_ops_t wsig_dialect_native = {
    wsig_native_text,  wsig_native_joined, wsig_native_deliver,
    wsig_native_noted, wsig_native_due,    wsig_native_bid,
    wsig_native_flush,
};
