#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wsig_native.h"

static void wsig_native_hello(wsig_peer_t *peer, wsig_said_t *said, int rc,
                              wsig_time_t now);
static void wsig_native_ice(wsig_peer_t *peer, wsig_said_t *said,
                            wsig_time_t now);
static void wsig_native_bye(wsig_peer_t *peer, wsig_said_t *said,
                            wsig_time_t now);
static void wsig_native_hello_again(wsig_peer_t *peer, wsig_said_t *said,
                                    wsig_time_t now);

static const struct {
    wsig_text_t type;
    void (*handle)(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now);
} wsig_requests[] = {
    {WSIG_TEXT("signal"), wsig_native_signal},
    {WSIG_TEXT("call"), wsig_native_call},
    {WSIG_TEXT("accept"), wsig_native_accept},
    {WSIG_TEXT("decline"), wsig_native_hangup},
    {WSIG_TEXT("hangup"), wsig_native_hangup},
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
    size_t i;
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
    if (!wsig_read_ref(&said)) {
        wsig_native_bad(peer, &said, "ref is no string of at most 64 bytes");
        return;
    }
    said.call = wsig_read_call(&said.values[WSIG_CALL]);
    for (i = 0; i < sizeof(wsig_requests) / sizeof(wsig_requests[0]); i++) {
        if (wsig_string_is(&said.values[WSIG_TYPE], wsig_requests[i].type)) {
            wsig_requests[i].handle(peer, &said, now);
            wsig_peer_schedule(peer, now);
            return;
        }
    }
    wsig_native_bad(peer, &said,
                    wsig_is_string(&said.values[WSIG_TYPE])
                        ? "unknown type"
                        : "type is no string");
}

static void
wsig_native_hello(wsig_peer_t *peer, wsig_said_t *said, int rc, wsig_time_t now)
{
    static const wsig_text_t hello = WSIG_TEXT("hello");
    char copy[WSIG_NAME_MAX];
    wsig_watch_t watch = WSIG_WATCH_ALL;
    wsig_names_t *names = NULL;
    wsig_text_t name;

    if (rc != WSIG_OK || !wsig_is_string(&said->values[WSIG_TYPE])) {
        wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4400,
                        "the first text must be a hello", now);
        return;
    }
    if (!wsig_string_is(&said->values[WSIG_TYPE], hello)) {
        wsig_peer_close(peer, 4401, "hello comes first", now);
        return;
    }
    name = wsig_peer_identity(peer);
    if (name.size > 0
            ? !wsig_is_string(&said->values[WSIG_NAME]) &&
                  said->values[WSIG_NAME].kind != WSIG_JSON_NONE
            : !wsig_name_read(&said->values[WSIG_NAME], copy, &name)) {
        wsig_peer_close(peer, 4400, "hello without a valid name", now);
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
    wsig_peer_claim(peer, name, now);
}

static void
wsig_native_joined(wsig_peer_t *peer, wsig_time_t now)
{
    uint64_t calls[WSIG_CALLS_RINGING];
    wsig_buffer_t out = {0};
    char text[WSIG_CALL_TEXT];
    int i, n;

    wsig_native_begin(&out, "welcome");
    wsig_put_member(&out, "name", wsig_peer_name(peer));
    wsig_put_verified(&out, peer->verified);
    snprintf(text, sizeof(text), "%x-%x", peer->address.slot,
             peer->address.generation);
    wsig_put_words(&out, ",\"peer\":\"p");
    wsig_put_words(&out, text);
    wsig_put_words(&out, "\"");
    wsig_put_member(&out, "realm", wsig_peer_realm(peer));
    wsig_put_users(&out, peer);
    wsig_put_words(&out, ",\"calls\":[],\"ping\":");
    wsig_put_seconds(&out, peer->conf->ping);
    wsig_put_words(&out, ",\"max_message\":");
    wsig_put_number(&out, (int64_t) peer->conf->max_message);
    wsig_put_words(&out, ",\"ice\":");
    wsig_put_ice(&out, peer, false, now);
    wsig_put_words(&out, ",\"features\":[]");
    if (peer->ref != NULL) {
        wsig_put_member(&out, "ref",
                        (wsig_text_t){peer->ref, strlen(peer->ref)});
        free(peer->ref);
        peer->ref = NULL;
    }
    wsig_native_end(peer, &out);

    n = wsig_call_joined(peer->worker->zone, peer->address, calls);
    for (i = 0; i < n; i++) {
        wsig_dialect_native.note(peer, calls[i], now);
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
    wsig_native_text, wsig_native_joined, wsig_native_deliver,
    wsig_native_note, wsig_native_flush,
};
