#include <stdlib.h>
#include <string.h>

#include "wsig_native.h"

static void
wsig_known_forget(wsig_peer_t *peer, uint64_t call)
{
    if (peer->session != NULL) {
        wsig_session_drop_call(peer->session, call);
    }
    /* Only ever its own: the one who ended the call may have died on it. */
    (void) wsig_registry_set_call(peer->worker->zone, peer->address, call, 0);
}

/* NULL: no memory, or too many; the peer is told so by its end. */
static wsig_known_t *
wsig_known_set(wsig_peer_t *peer, uint64_t call, wsig_told_t told,
               wsig_time_t now)
{
    wsig_known_t *known = wsig_session_call(peer->session, call);

    if (known == NULL && wsig_peer_session(peer) != NULL) {
        known = wsig_session_add_call(peer->session, call, true);
    }
    if (known == NULL) {
        wsig_peer_miss(peer, now);
        return NULL;
    }
    known->told = told;
    return known;
}

static void
wsig_say_calling(wsig_peer_t *peer, const wsig_call_t *call,
                 const wsig_said_t *said, wsig_time_t now)
{
    wsig_buffer_t out = {0};
    int i, ringing = 0;

    for (i = 0; i < call->n_ringers; i++) {
        ringing += !call->ringers[i].left;
    }
    wsig_native_begin(&out, "calling");
    wsig_put_call_id(&out, "call", call->id);
    wsig_put_member(&out, "to", wsig_call_callee(call));
    wsig_put_words(&out, ",\"ringing\":");
    wsig_put_number(&out, ringing);
    wsig_put_call_ice(&out, peer, now);
    wsig_put_ref(&out, said);
    wsig_native_end_counted(peer, &out);
}

/* The whole seconds for which it rings.  (The clock of the worker that dialled
 * may be some ms ahead of ours.) */
static void
wsig_put_expires(wsig_buffer_t *out, const wsig_call_t *call, wsig_time_t now)
{
    int64_t since = now.mono > call->started ? now.mono : call->started;
    int64_t left = call->deadline - since;

    wsig_put_words(out, ",\"expires\":");
    wsig_put_number(out, left > 0 ? (left + 999) / 1000 : 0);
}

static void
wsig_say_ring(wsig_peer_t *peer, const wsig_call_t *call, wsig_time_t now)
{
    wsig_buffer_t out = {0};

    wsig_native_begin(&out, "ring");
    wsig_put_call_id(&out, "call", call->id);
    wsig_put_member(&out, "from", wsig_call_caller(call));
    wsig_put_verified(&out, call->caller_verified);
    wsig_put_media(&out, &call->caller_media);
    if (call->info_size > 0) {
        wsig_put_words(&out, ",\"info\":");
        wsig_put(&out, call->info, call->info_size);
    }
    wsig_put_expires(&out, call, now);
    wsig_native_end_counted(peer, &out);
}

/* To the caller with what the callee said; to the callee that won, who knows
 * it from `ring` unless both dialled. */
static void
wsig_say_accepted(wsig_peer_t *peer, const wsig_call_t *call,
                  const wsig_said_t *said, bool glare, wsig_time_t now)
{
    bool caller = wsig_address_same(peer->address, call->caller);
    wsig_buffer_t out = {0};

    wsig_native_begin(&out, "accepted");
    wsig_put_call_id(&out, "call", call->id);
    wsig_put_member(&out, "from",
                    caller ? wsig_call_callee(call) : wsig_call_caller(call));
    if (caller || glare) {
        wsig_put_verified(&out, caller ? call->callee_verified
                                       : call->caller_verified);
        wsig_put_media(&out,
                       caller ? &call->callee_media : &call->caller_media);
    }
    wsig_put_call_ice(&out, peer, now);
    wsig_put_ref(&out, said);
    wsig_native_end_counted(peer, &out);
}

static const char *
wsig_end_words(const wsig_call_t *call, bool caller)
{
    switch ((wsig_end_t) call->reason) {
    case WSIG_END_BUSY:
        return "busy";
    case WSIG_END_DECLINED:
        return "declined";
    case WSIG_END_NO_ANSWER:
        return caller ? "no-answer" : "missed";
    case WSIG_END_CANCELLED:
        return "cancelled";
    case WSIG_END_UNREACHABLE:
        return "unreachable";
    case WSIG_END_GLARE:
        return "glare";
    case WSIG_END_HANGUP:
        return "hangup";
    default:
        return "gone";
    }
}

static void
wsig_say_ended(wsig_peer_t *peer, const wsig_call_t *call,
               const wsig_said_t *said, const char *reason)
{
    wsig_buffer_t out = {0};

    wsig_native_begin(&out, "ended");
    wsig_put_call_id(&out, "call", call->id);
    if (said != NULL && wsig_address_same(peer->address, call->caller)) {
        wsig_put_member(&out, "to", wsig_call_callee(call));
    }
    wsig_put_words(&out, ",\"reason\":\"");
    wsig_put_words(&out, reason);
    wsig_put_words(&out, "\"");
    if (call->reason == WSIG_END_GLARE) {
        wsig_put_call_id(&out, "into", call->into);
    }
    wsig_put_ref(&out, said);
    wsig_native_end_counted(peer, &out);
}

/* Say what the record has and the peer was not told.  said: the request that
 * this answers, or NULL. */
static void
wsig_native_tell(wsig_peer_t *peer, const wsig_call_t *call, wsig_told_t told,
                 const wsig_said_t *said, wsig_time_t now)
{
    bool caller = wsig_address_same(peer->address, call->caller);
    bool winner = caller || (call->callee.generation != 0 &&
                             wsig_address_same(peer->address, call->callee));

    if (call->callee.generation != 0 && winner && told == WSIG_TOLD_RINGING) {
        wsig_say_accepted(peer, call, said, false, now);
        told = WSIG_TOLD_ANSWERED;
        said = NULL; /* answered */
    }
    if (call->callee.generation != 0 && !winner) {
        if (told != WSIG_TOLD_NOTHING) {
            wsig_say_ended(peer, call, said, "answered-elsewhere");
        }
        wsig_known_forget(peer, call->id);
        return;
    }
    if (call->state == WSIG_CALL_ENDED) {
        if (told != WSIG_TOLD_NOTHING) {
            wsig_say_ended(peer, call, said, wsig_end_words(call, caller));
        }
        wsig_known_forget(peer, call->id);
        return;
    }
    if (told == WSIG_TOLD_NOTHING) {
        wsig_say_ring(peer, call, now);
        told = WSIG_TOLD_RINGING;
    }
    (void) wsig_known_set(peer, call->id, told, now);
}

/* Somebody says that the call has changed, or rings. */
void
wsig_native_note(wsig_peer_t *peer, uint64_t id, wsig_time_t now)
{
    const wsig_known_t *known = wsig_session_call(peer->session, id);
    wsig_call_t call;

    if (wsig_call_read(peer->worker->zone, id, peer->address, &call) !=
        WSIG_OK) {
        if (known != NULL) {
            /* Forgotten before we could look: it must have been long ago. */
            memset(&call, 0, sizeof(call));
            call.id = id;
            wsig_say_ended(peer, &call, NULL, "gone");
            wsig_known_forget(peer, id);
        }
        return;
    }
    if (known != NULL) {
        wsig_native_tell(peer, &call, known->told, NULL, now);
    } else if (call.state == WSIG_CALL_RINGING &&
               !wsig_address_same(peer->address, call.caller)) {
        wsig_native_tell(peer, &call, WSIG_TOLD_NOTHING, NULL, now);
    }
}

/* Answer a dial.  Where it rang (anew), much may have happened since, on other
 * workers: first things are said first. */
static void
wsig_native_dialled(wsig_peer_t *peer, const wsig_call_t *call, bool anew,
                    const wsig_said_t *said, wsig_time_t now)
{
    if (call->reason == WSIG_END_BUSY || call->reason == WSIG_END_GLARE ||
        (!anew && call->state == WSIG_CALL_ENDED)) {
        wsig_native_tell(peer, call, WSIG_TOLD_ANSWERED, said, now);
        return;
    }
    wsig_say_calling(peer, call, said, now);
    if (anew) {
        wsig_native_tell(peer, call, WSIG_TOLD_RINGING, NULL, now);
    }
}

void
wsig_native_call(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_worker_t *worker = peer->worker;
    char name[WSIG_NAME_MAX];
    wsig_notes_t notes;
    wsig_media_t media;
    wsig_dial_t dial = {0};
    wsig_call_t call;
    uint64_t id;
    int rc;

    if (!wsig_is_string(&said->values[WSIG_TO])) {
        wsig_native_bad(peer, said, "to is no string");
        return;
    }
    if (!wsig_read_media(&said->values[WSIG_MEDIA], &media)) {
        wsig_native_bad(peer, said,
                        "media is no list of at most 8 strings of 16 bytes");
        return;
    }
    if (said->values[WSIG_INFO].raw.size > WSIG_INFO_MAX) {
        wsig_native_bad(peer, said, "info is longer than 1024 bytes");
        return;
    }
    if (!wsig_name_read(&said->values[WSIG_TO], name, &dial.to)) {
        wsig_native_error(peer, said, "unreachable", "nobody has that name");
        return;
    }
    dial.caller = peer->address;
    dial.media = &media;
    dial.info = said->values[WSIG_INFO].raw;
    dial.ref = (wsig_text_t){said->ref, said->ref_size};
    dial.ring_timeout = peer->conf->ring_timeout;
    dial.only_verified = wsig_sees_nobody(peer);
    rc = wsig_call_dial(worker->zone, &dial, now, &id, &notes);
    if (rc == WSIG_OK) {
        rc = wsig_call_read(worker->zone, id, peer->address, &call);
    }
    switch (rc) {
    case WSIG_OK:
        break;
    case WSIG_TAKEN:
        wsig_native_error(peer, said, "busy-self", "you are in a call");
        return;
    case WSIG_FORBIDDEN:
        wsig_native_error(peer, said, "forbidden", "guests may not call them");
        return;
    case WSIG_ABSENT:
        wsig_native_error(peer, said, "unreachable", "nobody is there");
        return;
    default:
        wsig_native_error(peer, said, "limit", "too many calls");
        return;
    }
    if (notes.n > 0 || call.state == WSIG_CALL_ENDED) {
        wsig_worker_count(worker, WSIG_COUNT_CALLS);
    }
    wsig_native_dialled(peer, &call, notes.n > 0, said, now);
    if (call.reason == WSIG_END_GLARE && notes.n > 0 &&
        wsig_call_read(worker->zone, call.into, peer->address, &call) ==
            WSIG_OK) {
        wsig_worker_count(worker, WSIG_COUNT_ANSWERED);
        wsig_say_accepted(peer, &call, NULL, true, now);
        wsig_native_tell(peer, &call, WSIG_TOLD_ANSWERED, NULL, now);
    }
    wsig_worker_note(worker, &notes, peer->address, now);
}

static void
wsig_native_unknown(wsig_peer_t *peer, const wsig_said_t *said)
{
    if (wsig_is_string(&said->values[WSIG_CALL])) {
        wsig_native_error(peer, said, "call-unknown", "no such call of yours");
    } else {
        wsig_native_bad(peer, said, "call is no string");
    }
}

/* Say where self stands in a call: anew if it has just accepted it. */
static void
wsig_native_again(wsig_peer_t *peer, const wsig_said_t *said, bool anew,
                  wsig_time_t now)
{
    wsig_call_t call;

    if (wsig_call_read(peer->worker->zone, said->call, peer->address, &call) ==
        WSIG_OK) {
        wsig_native_tell(peer, &call,
                         anew || call.state != WSIG_CALL_ENDED
                             ? WSIG_TOLD_RINGING
                             : WSIG_TOLD_ANSWERED,
                         said, now);
    } else {
        wsig_native_unknown(peer, said);
    }
}

void
wsig_native_accept(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_notes_t notes;
    wsig_media_t media;

    if (!wsig_read_media(&said->values[WSIG_MEDIA], &media)) {
        wsig_native_bad(peer, said,
                        "media is no list of at most 8 strings of 16 bytes");
        return;
    }
    if (said->call == 0) {
        wsig_native_unknown(peer, said);
        return;
    }
    switch (wsig_call_accept(peer->worker->zone, said->call, peer->address,
                             &media, &notes)) {
    case WSIG_OK:
        if (notes.n > 0) {
            wsig_worker_count(peer->worker, WSIG_COUNT_ANSWERED);
        }
        wsig_native_again(peer, said, notes.n > 0, now);
        wsig_worker_note(peer->worker, &notes, peer->address, now);
        break;
    case WSIG_INVALID:
        wsig_native_bad(peer, said, "it is your own call");
        break;
    case WSIG_TAKEN:
        wsig_native_error(peer, said, "busy-self", "you are in a call");
        break;
    default:
        wsig_native_unknown(peer, said);
    }
}

void
wsig_native_hangup(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_notes_t notes;
    bool ended;

    if (said->call == 0 ||
        wsig_call_hangup(peer->worker->zone, said->call, peer->address, now,
                         &ended, &notes) != WSIG_OK) {
        wsig_native_unknown(peer, said);
        return;
    }
    if (ended) {
        wsig_known_forget(peer, said->call);
        wsig_worker_note(peer->worker, &notes, peer->address, now);
    } else {
        wsig_native_again(peer, said, false, now);
    }
}

static void
wsig_native_pass_on(wsig_peer_t *peer, const wsig_said_t *said,
                    wsig_address_t other, wsig_time_t now)
{
    wsig_record_t record = {
        .kind = WSIG_RECORD_TEXT, .to = other, .call = said->call};
    wsig_known_t *known = wsig_session_call(peer->session, said->call);
    wsig_buffer_t out = {0};
    wsig_frame_t *frame;
    uint32_t before;
    int rc = WSIG_NOMEM;

    if (known == NULL) { /* it was not told of its call */
        known = wsig_known_set(peer, said->call, WSIG_TOLD_ANSWERED, now);
        if (known == NULL) {
            return;
        }
    }
    before = known->flow.sent;
    record.stream = peer->session->stream;
    record.number = wsig_flow_after(before);
    wsig_native_begin(&out, "signal");
    wsig_put_call_id(&out, "call", said->call);
    wsig_put_member(&out, "from", wsig_peer_name(peer));
    wsig_put_words(&out, ",\"data\":");
    wsig_put_text(&out, said->values[WSIG_DATA].raw);
    wsig_put_words(&out, "}");
    frame = wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
    if (frame != NULL) {
        known->flow.sent = record.number;
        rc = wsig_worker_text(peer, &record, frame, now);
    }
    if (rc == WSIG_NOMEM) {
        known = wsig_session_call(peer->session, said->call);
        if (known != NULL) {
            known->flow.sent = before; /* nobody is to wait for it */
        }
        wsig_peer_miss(peer, now);
    }
    wsig_frame_release(frame);
}

void
wsig_native_signal(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_zone_t *zone = peer->worker->zone;
    wsig_address_t other;
    wsig_call_t call;

    if (said->values[WSIG_ROOM].kind != WSIG_JSON_NONE) {
        wsig_native_signal_room(peer, said, now);
        return;
    }
    if (said->values[WSIG_DATA].kind == WSIG_JSON_NONE) {
        wsig_native_bad(peer, said, "data is missing");
        return;
    }
    if (said->call == 0) {
        wsig_native_unknown(peer, said);
        return;
    }
    if (wsig_call_other(zone, said->call, peer->address, &other) == WSIG_OK) {
        wsig_native_pass_on(peer, said, other, now);
    } else if (wsig_call_read(zone, said->call, peer->address, &call) !=
               WSIG_OK) {
        wsig_native_unknown(peer, said);
    } else if (call.state == WSIG_CALL_RINGING) {
        wsig_native_error(peer, said, "not-answered",
                          "nobody has answered yet");
    } else if (wsig_call_other(zone, said->call, peer->address, &other) ==
               WSIG_OK) {
        wsig_native_pass_on(peer, said, other, now); /* answered meanwhile */
    }
    /* Else it comes too late, which is nobody's fault: dropped. */
}

void
wsig_native_arrive(wsig_peer_t *peer, wsig_flow_t *flow,
                   const wsig_record_t *record, wsig_frame_t *frame,
                   wsig_time_t now)
{
    switch (
        wsig_flow_take(flow, record->stream, record->number, frame, now.mono)) {
    case WSIG_OK:
        wsig_native_send_counted(peer, frame);
        while ((frame = wsig_flow_next(flow, now.mono)) != NULL) {
            wsig_native_send_counted(peer, frame);
            wsig_frame_release(frame);
        }
        break;
    case WSIG_AGAIN:
    case WSIG_ABSENT:
        break;
    default:
        wsig_flow_reset(flow);
        wsig_peer_miss(peer, now);
        break;
    }
}

/* A signal.  Its call must have been told to be answered, and not ended. */
void
wsig_native_deliver(wsig_peer_t *peer, const wsig_record_t *record,
                    wsig_frame_t *frame, wsig_time_t now)
{
    wsig_known_t *known = wsig_session_call(peer->session, record->call);

    if (record->kind == WSIG_RECORD_ROOM_TEXT) {
        wsig_native_deliver_room(peer, record, frame, now);
        return;
    }
    if (known != NULL && known->told != WSIG_TOLD_ANSWERED) {
        wsig_native_note(peer, record->call, now);
        known = wsig_session_call(peer->session, record->call);
    }
    if (known != NULL && known->told == WSIG_TOLD_ANSWERED) {
        wsig_native_arrive(peer, &known->flow, record, frame, now);
    }
}

/* One that has ended is taken off, or all as the peer is closed. */
void
wsig_native_look(wsig_peer_t *peer, wsig_time_t now)
{
    wsig_known_t *known;
    int i;

    for (i = peer->session->n_calls; peer->session != NULL && i > 0; i--) {
        if (i > peer->session->n_calls) {
            continue;
        }
        known = &peer->session->calls[i - 1];
        if (wsig_flow_stuck(&known->flow, now.mono)) {
            wsig_flow_reset(&known->flow);
            wsig_peer_miss(peer, now);
        } else {
            wsig_native_note(peer, known->call, now);
        }
    }
}

static void
wsig_put_call(wsig_buffer_t *out, const wsig_peer_t *peer,
              const wsig_call_t *call, wsig_time_t now)
{
    bool caller = wsig_address_same(peer->address, call->caller);
    bool answered = call->state == WSIG_CALL_ANSWERED;

    wsig_put_words(out, "{\"state\":\"");
    wsig_put_words(out, answered ? "answered" : caller ? "calling" : "ringing");
    wsig_put_words(out, "\"");
    wsig_put_call_id(out, "call", call->id);
    wsig_put_member(out, "with",
                    caller ? wsig_call_callee(call) : wsig_call_caller(call));
    wsig_put_media(out, caller && answered ? &call->callee_media
                                           : &call->caller_media);
    if (!answered) {
        wsig_put_expires(out, call, now);
    }
    wsig_put_words(out, "}");
}

void
wsig_put_calls(wsig_buffer_t *out, wsig_peer_t *peer, wsig_time_t now)
{
    uint64_t ids[WSIG_CALLS_RINGING + 1];
    const char *comma = "";
    wsig_known_t *known;
    wsig_call_t call;
    int i, n;

    wsig_put_words(out, ",\"calls\":[");
    n = wsig_call_list(peer->worker->zone, peer->address, ids);
    for (i = 0; i < n; i++) {
        if (wsig_call_read(peer->worker->zone, ids[i], peer->address, &call) !=
                WSIG_OK ||
            call.state == WSIG_CALL_ENDED ||
            (call.state == WSIG_CALL_ANSWERED &&
             !wsig_address_same(peer->address, call.caller) &&
             !wsig_address_same(peer->address, call.callee))) {
            continue; /* it ended just now */
        }
        wsig_put_words(out, comma);
        wsig_put_call(out, peer, &call, now);
        comma = ",";
        if (!peer->ticket->lost || wsig_peer_session(peer) == NULL ||
            wsig_session_call(peer->session, call.id) != NULL) {
            continue;
        }
        known = wsig_session_add_call(peer->session, call.id, false);
        if (known == NULL) {
            out->failed = true;
            break;
        }
        known->told = call.state == WSIG_CALL_ANSWERED ? WSIG_TOLD_ANSWERED
                                                       : WSIG_TOLD_RINGING;
    }
    wsig_put_words(out, "]");
}
