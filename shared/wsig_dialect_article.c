#include <stdlib.h>
#include <string.h>

#include "wsig_dialect.h"

enum {
    NICKNAME,
    TARGET,
    SDP,
    MEMBERS
};

static const wsig_text_t wsig_keys[MEMBERS] = {
    [NICKNAME] = WSIG_TEXT("nickname"),
    [TARGET] = WSIG_TEXT("target"),
    [SDP] = WSIG_TEXT("sdp"),
};

/* What the article's client takes for the server's own word, if a peer's text
 * has it. */
enum {
    USERLIST,
    ERROR,
    FROM,
    FORGERIES
};

static const wsig_text_t wsig_forgeries[FORGERIES] = {
    [USERLIST] = WSIG_TEXT("userlist"),
    [ERROR] = WSIG_TEXT("error"),
    [FROM] = WSIG_TEXT("from"),
};

static void wsig_article_hello(wsig_peer_t *peer, wsig_value_t *values, int rc,
                               wsig_time_t now);
static void wsig_article_relay(wsig_peer_t *peer, wsig_value_t *values,
                               wsig_time_t now);

static void
wsig_article_text(wsig_peer_t *peer, wsig_text_t text, wsig_time_t now)
{
    wsig_value_t values[MEMBERS];
    int rc;

    rc = wsig_scan(text, wsig_keys, MEMBERS, values);
    if (peer->stage == WSIG_STAGE_HELLO) {
        wsig_article_hello(peer, values, rc, now);
    } else if (rc != WSIG_OK) {
        wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4400,
                        "not a JSON object as it should be", now);
    } else {
        wsig_article_relay(peer, values, now);
    }
}

/* A string that may be a nickname; the names of others go into innerHTML
 * there.  false: *text is as it was. */
static bool
wsig_read_nickname(const wsig_value_t *value, char name[WSIG_NAME_MAX],
                   wsig_text_t *text)
{
    wsig_text_t nickname;
    size_t i;

    if (!wsig_name_read(value, name, &nickname)) {
        return false;
    }
    for (i = 0; i < nickname.size; i++) {
        if (memchr("<>&\"'\\", name[i], 6) != NULL) {
            return false;
        }
    }
    *text = nickname;
    return true;
}

static void
wsig_article_hello(wsig_peer_t *peer, wsig_value_t *values, int rc,
                   wsig_time_t now)
{
    wsig_text_t identity = wsig_peer_identity(peer);
    char copy[WSIG_NAME_MAX];
    wsig_text_t name;

    if (rc != WSIG_OK) {
        wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4400,
                        "the first text must be a nickname", now);
        return;
    }
    if (values[NICKNAME].kind == WSIG_JSON_NONE) {
        wsig_peer_close(peer, 4401, "the nickname comes first", now);
        return;
    }
    if (!wsig_read_nickname(&values[NICKNAME], copy, &name)) {
        wsig_peer_close(peer, 4400, "not a valid nickname", now);
        return;
    }
    if (identity.size > 0 && !wsig_text_same(identity, name)) {
        wsig_peer_close(peer, 4403, "that is not who you are", now);
        return;
    }
    wsig_peer_claim(peer, name, now);
}

/* All names, or one alone. */
static wsig_frame_t *
wsig_article_list(const wsig_realm_t *realm, const wsig_peer_t *only)
{
    const wsig_user_t *user;
    wsig_buffer_t out = {0};
    const char *comma = "";

    wsig_frame_begin(&out);
    wsig_put_words(&out, "{\"userlist\":[");
    for (user = realm->first; user != NULL; user = user->next) {
        if (user->state != WSIG_ABSENT_STATE &&
            (only == NULL ||
             wsig_text_same(wsig_user_name(user), wsig_peer_name(only)))) {
            wsig_put_words(&out, comma);
            wsig_put_string(&out, wsig_user_name(user));
            comma = ",";
        }
    }
    wsig_put_words(&out, "]}");
    return wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
}

static void
wsig_article_joined(wsig_peer_t *peer, wsig_time_t now)
{
    (void) now;
    wsig_peer_send(
        peer,
        wsig_article_list(peer->realm, wsig_sees_nobody(peer) ? peer : NULL));
}

/* A list for each who has not the newest; who has not yet taken the one before
 * gets it later.  Each list goes to all: so many bytes in a tick, and whoever
 * got his goes to the end. */
static int
wsig_article_flush(wsig_worker_t *worker, wsig_realm_t *realm, wsig_time_t now)
{
    wsig_frame_t *list = NULL;
    wsig_peer_t *peer, *next, *last = realm->last_peer;
    bool more = false;
    size_t size;

    (void) now;
    for (peer = realm->peers; peer != NULL; peer = next) {
        next = peer != last ? peer->next_in_realm : NULL;
        if (peer->since >= realm->names || wsig_sees_nobody(peer)) {
            continue;
        }
        if (!wsig_queue_empty(&peer->queue) || worker->list_budget == 0) {
            more = true;
            continue;
        }
        if (list == NULL) {
            list = wsig_article_list(realm, NULL);
            if (list == NULL) {
                return WSIG_NOMEM;
            }
        }
        wsig_peer_share(peer, list);
        peer->since = realm->number;
        wsig_peer_to_end(peer);
        size = wsig_frame_text(list).size;
        worker->list_budget -=
            size < worker->list_budget ? size : worker->list_budget;
    }
    wsig_frame_release(list);
    return more ? WSIG_AGAIN : WSIG_OK;
}

/* May this text reach the client of another? */
static int
wsig_article_forged(const wsig_peer_t *peer, wsig_text_t text)
{
    wsig_value_t values[FORGERIES];
    int rc;

    rc = wsig_scan_loose(text, wsig_forgeries, FORGERIES, values);
    if (rc == WSIG_INVALID) {
        return WSIG_OK; /* no object: whatever it is */
    }
    if (rc != WSIG_OK) {
        return rc;
    }
    return values[USERLIST].kind != WSIG_JSON_NONE ||
                   values[ERROR].kind != WSIG_JSON_NONE ||
                   (values[FROM].kind != WSIG_JSON_NONE &&
                    !wsig_string_is(&values[FROM], wsig_peer_name(peer)))
               ? WSIG_TAKEN
               : WSIG_OK;
}

static void
wsig_article_absent(wsig_peer_t *peer, wsig_text_t name, wsig_time_t now)
{
    wsig_buffer_t why = {0};

    if (name.size > 0) {
        wsig_put_words(&why, "user ");
        wsig_put_string(&why, name);
        wsig_put_words(&why, " is not here");
    } else {
        wsig_put_words(&why, "nobody has such a name");
    }
    wsig_put(&why, "", 1);
    wsig_peer_close(peer, 4404, why.failed ? "not here" : why.data, now);
    free(why.data);
}

static void
wsig_article_relay(wsig_peer_t *peer, wsig_value_t *values, wsig_time_t now)
{
    wsig_slot_t peers[WSIG_USER_PEERS];
    wsig_address_t at[WSIG_USER_PEERS];
    wsig_record_t record = {.kind = WSIG_RECORD_TEXT};
    wsig_buffer_t out = {0};
    char copy[WSIG_NAME_MAX];
    wsig_frame_t *frame;
    wsig_text_t name, text;
    int i, n, rc;

    if (values[TARGET].kind != WSIG_JSON_STRING ||
        values[SDP].kind != WSIG_JSON_STRING) {
        wsig_peer_close(peer, 4400, "not a target and an sdp", now);
        return;
    }
    text.data = values[SDP].raw.data;
    text.size = wsig_string_copy(&values[SDP], (char *) text.data);
    rc = wsig_article_forged(peer, text);
    if (rc != WSIG_OK) {
        wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4403,
                        "only the server says that", now);
        return;
    }
    name = (wsig_text_t){"", 0};
    n = 0;
    if (wsig_read_nickname(&values[TARGET], copy, &name)) {
        n = wsig_registry_find(peer->worker->zone, &peer->realm->id, name,
                               peers, at);
    }
    if (n > 0 && wsig_sees_nobody(peer) &&
        !(peers[0].flags & WSIG_PEER_VERIFIED)) {
        wsig_peer_close(peer, 4403, "guests may not call them", now);
        return;
    }
    wsig_frame_begin(&out);
    wsig_put_text(&out, text);
    frame = wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
    if (n < 0 || frame == NULL) {
        wsig_frame_release(frame);
        wsig_peer_close(peer, 1013, "memory is short", now);
        return;
    }
    for (i = 0, rc = WSIG_ABSENT; i < n; i++) {
        record.to = at[i];
        if (wsig_worker_text(peer, &record, frame, now) != WSIG_ABSENT) {
            rc = WSIG_OK;
        }
    }
    wsig_frame_release(frame);
    if (rc == WSIG_ABSENT) {
        wsig_article_absent(peer, name, now);
    }
}

static void
wsig_article_deliver(wsig_peer_t *peer, const wsig_record_t *record,
                     wsig_frame_t *frame, wsig_time_t now)
{
    (void) record;
    (void) now;
    wsig_peer_share(peer, frame);
}

/* The article knows no calls. */
static void
wsig_article_note(wsig_peer_t *peer, const wsig_record_t *record,
                  wsig_time_t now)
{
    (void) peer;
    (void) record;
    (void) now;
}

const wsig_dialect_ops_t wsig_dialect_article = {
    wsig_article_text,
    wsig_article_joined,
    wsig_article_deliver,
    wsig_article_note,
    NULL,
    NULL,
    wsig_article_flush,
};
