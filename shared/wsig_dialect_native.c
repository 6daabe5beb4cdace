#include <stdlib.h>
#include <string.h>
#include <stdio.h>

#include "wsig_dialect.h"

#define DIRECTORY_MAX 1000 /* users in a list */
#define COUNT_EVERY 1000   /* ms between counts to those without a list */
#define NAMES_MAX 1000     /* that one peer may watch */
#define CALL_TEXT 24       /* room for a call's id as text */

/* The members of a client's texts. */
enum {
    TYPE,
    REF,
    NAME,
    WATCH,
    NAMES,
    TO,
    CALL,
    MEDIA,
    INFO,
    DATA,
    STATE,
    MEMBERS
};

#define KEY(words) {words, sizeof(words) - 1}

static const wsig_text_t wsig_keys[MEMBERS] = {
    [TYPE] = KEY("type"),   [REF] = KEY("ref"),     [NAME] = KEY("name"),
    [WATCH] = KEY("watch"), [NAMES] = KEY("names"), [TO] = KEY("to"),
    [CALL] = KEY("call"),   [MEDIA] = KEY("media"), [INFO] = KEY("info"),
    [DATA] = KEY("data"),   [STATE] = KEY("state"),
};

/* A text as it was read. */
typedef struct {
    wsig_value_t values[MEMBERS];
    uint64_t call; /* 0: none, or none that could exist */
    bool has_ref;
    char ref[WSIG_REF_MAX];
    size_t ref_size;
} wsig_said_t;

static void wsig_native_hello(wsig_peer_t *peer, wsig_said_t *said, int rc,
                              wsig_time_t now);
static void wsig_native_watch(wsig_peer_t *peer, wsig_said_t *said,
                              wsig_time_t now);
static void wsig_native_lookup(wsig_peer_t *peer, wsig_said_t *said,
                               wsig_time_t now);
static void wsig_native_state(wsig_peer_t *peer, wsig_said_t *said,
                              wsig_time_t now);
static void wsig_native_call(wsig_peer_t *peer, wsig_said_t *said,
                             wsig_time_t now);
static void wsig_native_accept(wsig_peer_t *peer, wsig_said_t *said,
                               wsig_time_t now);
static void wsig_native_hangup(wsig_peer_t *peer, wsig_said_t *said,
                               wsig_time_t now);
static void wsig_native_signal(wsig_peer_t *peer, wsig_said_t *said,
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
    {KEY("signal"), wsig_native_signal},
    {KEY("call"), wsig_native_call},
    {KEY("accept"), wsig_native_accept},
    {KEY("decline"), wsig_native_hangup},
    {KEY("hangup"), wsig_native_hangup},
    {KEY("watch"), wsig_native_watch},
    {KEY("lookup"), wsig_native_lookup},
    {KEY("state"), wsig_native_state},
    {KEY("ice"), wsig_native_ice},
    {KEY("bye"), wsig_native_bye},
    {KEY("hello"), wsig_native_hello_again},
};

static const char *const wsig_state_words[] = {
    [WSIG_FREE] = "free",
    [WSIG_BUSY] = "busy",
    [WSIG_AWAY] = "away",
    [WSIG_ABSENT_STATE] = "absent",
};

/* ------------------------------------------------------------ writing */

static void
wsig_begin(wsig_buffer_t *out, const char *type)
{
    wsig_frame_begin(out);
    wsig_put_words(out, "{\"type\":\"");
    wsig_put_words(out, type);
    wsig_put_words(out, "\"");
}

static void
wsig_put_member(wsig_buffer_t *out, const char *key, wsig_text_t value)
{
    wsig_put_words(out, ",\"");
    wsig_put_words(out, key);
    wsig_put_words(out, "\":");
    wsig_put_string(out, value);
}

static void
wsig_put_call(wsig_buffer_t *out, const char *key, uint64_t call)
{
    char text[CALL_TEXT];

    snprintf(text, sizeof(text), "c%llx", (unsigned long long) call);
    wsig_put_words(out, ",\"");
    wsig_put_words(out, key);
    wsig_put_words(out, "\":\"");
    wsig_put_words(out, text);
    wsig_put_words(out, "\"");
}

static void
wsig_put_ref(wsig_buffer_t *out, const wsig_said_t *said)
{
    if (said != NULL && said->has_ref) {
        wsig_put_member(out, "ref", (wsig_text_t){said->ref, said->ref_size});
    }
}

static void
wsig_put_verified(wsig_buffer_t *out, bool verified)
{
    wsig_put_words(out, verified ? ",\"verified\":true" : ",\"verified\":false");
}

static void
wsig_put_media(wsig_buffer_t *out, const wsig_media_t *media)
{
    uint8_t i;

    wsig_put_words(out, ",\"media\":[");
    for (i = 0; i < media->n; i++) {
        wsig_put_words(out, i > 0 ? "," : "");
        wsig_put_string(out,
                        (wsig_text_t){media->texts[i], media->sizes[i]});
    }
    wsig_put_words(out, "]");
}

static void
wsig_put_user(wsig_buffer_t *out, const wsig_user_t *user)
{
    wsig_put_words(out, "{\"name\":");
    wsig_put_string(out, wsig_user_name(user));
    wsig_put_words(out, ",\"state\":\"");
    wsig_put_words(out, wsig_state_words[user->state]);
    wsig_put_words(out, "\"");
    wsig_put_verified(out, user->verified);
    wsig_put_words(out, "}");
}

/* Seconds, with what is behind the point where there is something. */
static void
wsig_put_seconds(wsig_buffer_t *out, int64_t ms)
{
    char text[8];

    wsig_put_number(out, ms / 1000);
    if (ms % 1000 != 0) {
        snprintf(text, sizeof(text), ".%03d", (int) (ms % 1000));
        wsig_put_words(out, text);
    }
}

static void
wsig_native_end(wsig_peer_t *peer, wsig_buffer_t *out)
{
    wsig_put_words(out, "}");
    wsig_peer_send(peer, wsig_frame_end(out, WSIG_WS_OPCODE_TEXT));
}

static void
wsig_native_error(wsig_peer_t *peer, const wsig_said_t *said,
                  const char *code, const char *message)
{
    wsig_buffer_t out = {0};
    const wsig_value_t *value;

    wsig_worker_count(peer->worker, WSIG_COUNT_ERRORS);
    wsig_begin(&out, "error");
    wsig_put_words(&out, ",\"code\":\"");
    wsig_put_words(&out, code);
    wsig_put_words(&out, "\",\"message\":\"");
    wsig_put_words(&out, message);
    wsig_put_words(&out, "\"");
    if (said != NULL) {
        value = &said->values[CALL];
        if (value->kind == WSIG_JSON_STRING && value->raw.size < CALL_TEXT) {
            wsig_put_words(&out, ",\"call\":");
            wsig_put_text(&out, value->raw);
        }
        value = &said->values[TO];
        if (value->kind == WSIG_JSON_STRING
            && value->raw.size <= 6 * WSIG_NAME_MAX + 2) {
            wsig_put_words(&out, ",\"to\":");
            wsig_put_text(&out, value->raw);
        }
    }
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

static void
wsig_native_bad(wsig_peer_t *peer, const wsig_said_t *said,
                const char *message)
{
    wsig_native_error(peer, said, "bad-message", message);
}

/* A guest where guests may only call: he sees nobody. */
static bool
wsig_sees_nobody(const wsig_peer_t *peer)
{
    return !peer->verified && peer->conf->guests == WSIG_GUESTS_CALL;
}

/* {"iceServers":...}: the credentials of guests of a site with logins are for
 * their calls only. */
static void
wsig_put_ice(wsig_buffer_t *out, const wsig_peer_t *peer, bool in_call,
             wsig_time_t now)
{
    wsig_text_t name = wsig_peer_name(peer);
    size_t size;
    char *text;

    if (peer->conf->identity && !peer->verified && !in_call) {
        name.size = 0;
    }
    if (wsig_ice_text(peer->conf, wsig_peer_realm(peer), name, now.wall, &text,
                      &size)
        != WSIG_OK) {
        out->failed = true;
        return;
    }
    wsig_put(out, text, size);
    free(text);
}

static void
wsig_put_call_ice(wsig_buffer_t *out, const wsig_peer_t *peer,
                  wsig_time_t now)
{
    if (peer->conf->identity && !peer->verified) {
        wsig_put_words(out, ",\"ice\":");
        wsig_put_ice(out, peer, true, now);
    }
}

/* ------------------------------------------------------------ reading */

static bool
wsig_is_string(const wsig_value_t *value)
{
    return value->kind == WSIG_JSON_STRING;
}

/* A name out of a string value; false: it cannot be one. */
static bool
wsig_read_name(const wsig_value_t *value, char name[WSIG_NAME_MAX],
               wsig_text_t *text)
{
    char copy[6 * WSIG_NAME_MAX + 2];

    if (!wsig_is_string(value) || value->raw.size > sizeof(copy)) {
        return false;
    }
    text->size = wsig_string_copy(value, copy);
    text->data = name;
    if (text->size > WSIG_NAME_MAX) {
        return false;
    }
    memcpy(name, copy, text->size);
    return wsig_name_valid(*text);
}

static uint64_t
wsig_read_call(const wsig_value_t *value)
{
    char text[CALL_TEXT], canonical[CALL_TEXT];
    uint64_t call = 0;
    size_t size;

    if (!wsig_is_string(value) || value->raw.size >= sizeof(text)) {
        return 0;
    }
    size = wsig_string_copy(value, text);
    text[size] = '\0';
    call = strtoull(size > 0 ? text + 1 : text, NULL, 16);
    snprintf(canonical, sizeof(canonical), "c%llx",
             (unsigned long long) call);
    return strcmp(text, canonical) == 0 ? call : 0;
}

static bool
wsig_read_ref(wsig_said_t *said)
{
    const wsig_value_t *value = &said->values[REF];
    char ref[6 * WSIG_REF_MAX + 2];
    size_t size;

    if (value->kind == WSIG_JSON_NONE) {
        return true;
    }
    if (!wsig_is_string(value) || value->raw.size > sizeof(ref)) {
        return false;
    }
    size = wsig_string_copy(value, ref);
    if (size > WSIG_REF_MAX) {
        return false;
    }
    memcpy(said->ref, ref, size);
    said->ref_size = size;
    said->has_ref = true;
    return true;
}

static bool
wsig_read_media(const wsig_value_t *value, wsig_media_t *media)
{
    char text[6 * WSIG_MEDIA_SIZE + 2];
    wsig_text_t at = value->raw;
    wsig_value_t item;
    size_t size;

    memset(media, 0, sizeof(*media));
    if (value->kind == WSIG_JSON_NONE) {
        return true;
    }
    if (value->kind != WSIG_JSON_ARRAY) {
        return false;
    }
    while (wsig_array_next(&at, &item)) {
        if (!wsig_is_string(&item) || item.raw.size > sizeof(text)
            || media->n == WSIG_MEDIA_MAX) {
            return false;
        }
        size = wsig_string_copy(&item, text);
        if (size > WSIG_MEDIA_SIZE) {
            return false;
        }
        memcpy(media->texts[media->n], text, size);
        media->sizes[media->n++] = (uint8_t) size;
    }
    return true;
}

static int
wsig_compare_texts(const void *left, const void *right)
{
    const wsig_text_t *a = left, *b = right;
    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->data, b->data, size);

    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

/* "all", "none" or a list of names.  WSIG_INVALID, WSIG_NOMEM. */
static int
wsig_read_watch(const wsig_value_t *value, wsig_watch_t *watch,
                wsig_names_t **names)
{
    static const wsig_text_t all = KEY("all"), none = KEY("none");
    wsig_text_t at = value->raw, name;
    wsig_names_t *list;
    wsig_value_t item;
    uint32_t n = 0;
    char *to;

    *names = NULL;
    if (wsig_string_is(value, all) || wsig_string_is(value, none)) {
        *watch = wsig_string_is(value, all) ? WSIG_WATCH_ALL : WSIG_WATCH_NONE;
        return WSIG_OK;
    }
    if (value->kind != WSIG_JSON_ARRAY) {
        return WSIG_INVALID;
    }
    *watch = WSIG_WATCH_LIST;
    while (wsig_array_next(&at, &item)) {
        n++;
    }
    if (n > NAMES_MAX) {
        return WSIG_INVALID;
    }
    list = malloc(sizeof(*list) + n * (sizeof(wsig_text_t) + WSIG_NAME_MAX));
    if (list == NULL) {
        return WSIG_NOMEM;
    }
    to = (char *) &list->names[n];
    list->n = 0;
    at = value->raw;
    while (wsig_array_next(&at, &item)) {
        if (!wsig_read_name(&item, to, &name)) {
            free(list);
            return WSIG_INVALID;
        }
        list->names[list->n++] = name;
        to += name.size;
    }
    if (n > 0) {
        qsort(list->names, n, sizeof(wsig_text_t), wsig_compare_texts);
    }
    *names = list;
    return WSIG_OK;
}

static bool
wsig_watches(const wsig_peer_t *peer, wsig_text_t name)
{
    return peer->names != NULL
           && bsearch(&name, peer->names->names, peer->names->n,
                      sizeof(name), wsig_compare_texts)
                  != NULL;
}

static void
wsig_native_text(wsig_peer_t *peer, wsig_text_t text, wsig_time_t now)
{
    wsig_said_t said;
    size_t i;
    int rc;

    rc = wsig_scan(text, wsig_keys, MEMBERS, said.values);
    said.has_ref = false;
    said.ref_size = 0;
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
    said.call = wsig_read_call(&said.values[CALL]);
    for (i = 0; i < sizeof(wsig_requests) / sizeof(wsig_requests[0]); i++) {
        if (wsig_string_is(&said.values[TYPE], wsig_requests[i].type)) {
            wsig_requests[i].handle(peer, &said, now);
            wsig_peer_schedule(peer, now);
            return;
        }
    }
    wsig_native_bad(peer, &said,
                    wsig_is_string(&said.values[TYPE]) ? "unknown type"
                                                       : "type is no string");
}

/* ------------------------------------------------------------ joining */

static void
wsig_native_hello(wsig_peer_t *peer, wsig_said_t *said, int rc,
                  wsig_time_t now)
{
    static const wsig_text_t hello = KEY("hello");
    char copy[WSIG_NAME_MAX];
    wsig_watch_t watch = WSIG_WATCH_ALL;
    wsig_names_t *names = NULL;
    wsig_text_t name;

    if (rc != WSIG_OK || !wsig_is_string(&said->values[TYPE])) {
        wsig_peer_close(peer, rc == WSIG_NOMEM ? 1013 : 4400,
                        "the first text must be a hello", now);
        return;
    }
    if (!wsig_string_is(&said->values[TYPE], hello)) {
        wsig_peer_close(peer, 4401, "hello comes first", now);
        return;
    }
    name = wsig_peer_identity(peer);
    if (name.size == 0 && !wsig_read_name(&said->values[NAME], copy, &name)) {
        wsig_peer_close(peer, 4400, "hello without a valid name", now);
        return;
    }
    if (!wsig_read_ref(said)) {
        wsig_peer_close(peer, 4400, "ref is no string of at most 64 bytes",
                        now);
        return;
    }
    if (said->values[WATCH].kind != WSIG_JSON_NONE) {
        rc = wsig_read_watch(&said->values[WATCH], &watch, &names);
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

/* ,"users":[...],"count":N: those that are watched and present. */
static void
wsig_put_users(wsig_buffer_t *out, wsig_peer_t *peer)
{
    const wsig_realm_t *realm = peer->realm;
    const wsig_user_t *user;
    const char *comma = "";
    uint32_t i;

    peer->listed = false;
    if (wsig_sees_nobody(peer)) {
        peer->watch = WSIG_WATCH_NONE;
        wsig_put_words(out, ",\"users\":[],\"count\":1");
        return;
    }
    if (peer->watch == WSIG_WATCH_ALL && realm->n_users > DIRECTORY_MAX) {
        wsig_put_words(out, ",\"users\":null");
    } else {
        wsig_put_words(out, ",\"users\":[");
        if (peer->watch == WSIG_WATCH_ALL) {
            peer->listed = true;
            for (user = realm->first; user != NULL; user = user->next) {
                if (user->state != WSIG_ABSENT_STATE
                    && wsig_compare_texts(
                           &(wsig_text_t){user->name, user->name_size},
                           &(wsig_text_t){peer->name, peer->name_size})
                           != 0) {
                    wsig_put_words(out, comma);
                    wsig_put_user(out, user);
                    comma = ",";
                }
            }
        } else if (peer->watch == WSIG_WATCH_LIST) {
            for (i = 0; i < peer->names->n; i++) {
                user = wsig_presence_user(&peer->worker->presence, realm,
                                          peer->names->names[i]);
                if (user != NULL
                    && wsig_compare_texts(
                           &peer->names->names[i],
                           &(wsig_text_t){peer->name, peer->name_size})
                           != 0
                    && (i == 0
                        || wsig_compare_texts(&peer->names->names[i - 1],
                                              &peer->names->names[i])
                               != 0)) {
                    wsig_put_words(out, comma);
                    wsig_put_user(out, user);
                    comma = ",";
                }
            }
        }
        wsig_put_words(out, "]");
    }
    wsig_put_words(out, ",\"count\":");
    wsig_put_number(out, realm->n_users);
}

static void
wsig_native_joined(wsig_peer_t *peer, wsig_time_t now)
{
    uint64_t calls[WSIG_CALLS_RINGING];
    wsig_buffer_t out = {0};
    char text[CALL_TEXT];
    int i, n;

    wsig_begin(&out, "welcome");
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

/* ------------------------------------------------------------ presence */

static void
wsig_native_watch(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_buffer_t out = {0};
    wsig_names_t *names;
    wsig_watch_t watch;
    int rc;

    rc = wsig_read_watch(&said->values[NAMES], &watch, &names);
    if (rc == WSIG_NOMEM) {
        wsig_peer_close(peer, 1013, "memory is short", now);
        return;
    }
    if (rc != WSIG_OK) {
        wsig_native_bad(peer, said,
                        "names is \\\"all\\\", \\\"none\\\" or a list of at "
                        "most 1000 names");
        return;
    }
    free(peer->names);
    peer->names = names;
    peer->watch = (uint8_t) watch;
    wsig_presence_read(&peer->worker->presence);
    peer->since = peer->realm->number;
    wsig_begin(&out, "users");
    wsig_put_users(&out, peer);
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

static void
wsig_native_lookup(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_user_t *user = NULL;
    wsig_buffer_t out = {0};
    char copy[WSIG_NAME_MAX];
    wsig_text_t name;

    (void) now;
    if (wsig_sees_nobody(peer)) {
        wsig_native_error(peer, said, "forbidden", "log in to see others");
        return;
    }
    if (!wsig_read_name(&said->values[NAME], copy, &name)) {
        wsig_native_bad(peer, said, "name is no valid name");
        return;
    }
    wsig_presence_read(&peer->worker->presence);
    user = wsig_presence_user(&peer->worker->presence, peer->realm, name);
    wsig_begin(&out, "user");
    wsig_put_member(&out, "name", name);
    wsig_put_words(&out, ",\"state\":\"");
    wsig_put_words(&out, wsig_state_words[user != NULL ? user->state
                                                       : WSIG_ABSENT_STATE]);
    wsig_put_words(&out, "\"");
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

static void
wsig_native_state(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    static const wsig_text_t away = KEY("away"), free_ = KEY("free");
    bool is_away = wsig_string_is(&said->values[STATE], away);

    (void) now;
    if (!is_away && !wsig_string_is(&said->values[STATE], free_)) {
        wsig_native_bad(peer, said,
                        "state is \\\"away\\\" or \\\"free\\\"");
        return;
    }
    (void) wsig_registry_flag(peer->worker->zone, peer->address,
                              is_away ? WSIG_PEER_AWAY : 0,
                              is_away ? 0 : WSIG_PEER_AWAY);
}

/* Put the users with this news after a number; returns how many. */
static uint32_t
wsig_put_news(wsig_buffer_t *out, const wsig_realm_t *realm, wsig_news_t news,
              uint64_t since, const wsig_peer_t *peer)
{
    const wsig_user_t *user;
    uint32_t n = 0;

    for (user = realm->dirty; user != NULL; user = user->next_dirty) {
        if (wsig_user_news(user, since) != news) {
            continue;
        }
        if (peer != NULL
            && (wsig_compare_texts(&(wsig_text_t){user->name, user->name_size},
                                   &(wsig_text_t){peer->name, peer->name_size})
                    == 0
                || (peer->watch == WSIG_WATCH_LIST
                    && !wsig_watches(peer, wsig_user_name(user))))) {
            continue;
        }
        wsig_put_words(out, n++ > 0 ? "," : "");
        if (news == WSIG_NEWS_LEFT) {
            wsig_put_string(out, wsig_user_name(user));
        } else {
            wsig_put_user(out, user);
        }
    }
    return n;
}

/* What happened after a number, for one peer or (NULL) for all who watch all
 * and are not in it themselves.  false: nothing.  *frame is NULL where memory
 * was short. */
static bool
wsig_native_delta(const wsig_realm_t *realm, uint64_t since,
                  const wsig_peer_t *peer, wsig_frame_t **frame)
{
    wsig_buffer_t out = {0};
    uint32_t n;

    wsig_begin(&out, "presence");
    wsig_put_words(&out, ",\"joined\":[");
    n = wsig_put_news(&out, realm, WSIG_NEWS_JOINED, since, peer);
    wsig_put_words(&out, "],\"left\":[");
    n += wsig_put_news(&out, realm, WSIG_NEWS_LEFT, since, peer);
    wsig_put_words(&out, "],\"changed\":[");
    n += wsig_put_news(&out, realm, WSIG_NEWS_CHANGED, since, peer);
    wsig_put_words(&out, "],\"count\":");
    wsig_put_number(&out, realm->n_users);
    wsig_put_words(&out, "}");
    *frame = wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
    return n > 0;
}

static wsig_frame_t *
wsig_native_count(const wsig_realm_t *realm, const char *type,
                  const char *members)
{
    wsig_buffer_t out = {0};

    wsig_begin(&out, type);
    wsig_put_words(&out, members);
    wsig_put_words(&out, ",\"count\":");
    wsig_put_number(&out, realm->n_users);
    wsig_put_words(&out, "}");
    return wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
}

/* May a peer get the delta that all get? */
static bool
wsig_is_common(const wsig_peer_t *peer)
{
    const wsig_user_t *self;

    if (peer->watch == WSIG_WATCH_LIST || peer->since != peer->realm->flushed) {
        return false;
    }
    self = wsig_realm_user(peer->realm, wsig_peer_name(peer), peer->name_hash);
    return self == NULL || !self->dirty;
}

/* The delta for one peer alone. */
static void
wsig_native_own_delta(wsig_peer_t *peer)
{
    wsig_frame_t *frame;

    if (wsig_native_delta(peer->realm, peer->since, peer, &frame)) {
        wsig_peer_send(peer, frame);
    } else {
        wsig_frame_release(frame);
    }
}

/* Those who watch all get the same frame, as far as they may; those who get no
 * list because there are too many get a count, once a second. */
static bool
wsig_native_flush(wsig_worker_t *worker, wsig_realm_t *realm, wsig_time_t now)
{
    wsig_frame_t *common = NULL, *count = NULL;
    bool news = wsig_native_delta(realm, realm->flushed, NULL, &common);
    bool too_many = realm->n_users > DIRECTORY_MAX;
    bool count_due = realm->counted != realm->names
                     && now.mono >= realm->counted_at + COUNT_EVERY;
    bool more = false;
    wsig_peer_t *peer;

    (void) worker;
    if (count_due) {
        count = wsig_native_count(
            realm, "presence", ",\"joined\":[],\"left\":[],\"changed\":[]");
    }
    for (peer = realm->peers; peer != NULL; peer = peer->next_in_realm) {
        if (peer->watch == WSIG_WATCH_NONE) {
            continue;
        }
        if (peer->watch == WSIG_WATCH_LIST) {
            wsig_native_own_delta(peer);
        } else if (!peer->listed) {
            if (count_due) {
                wsig_peer_share(peer, count);
            }
            more = more || (!count_due && realm->counted != realm->names);
        } else if (too_many) {
            peer->listed = false;
            wsig_peer_send(peer, wsig_native_count(realm, "users",
                                                   ",\"users\":null"));
        } else if (!wsig_is_common(peer)) {
            wsig_native_own_delta(peer);
        } else if (news) {
            wsig_peer_share(peer, common);
        }
        peer->since = realm->number;
    }
    if (count_due) {
        realm->counted = realm->names;
        realm->counted_at = now.mono;
    }
    wsig_frame_release(common);
    wsig_frame_release(count);
    return more;
}

/* ------------------------------------------------------------ calls */

static int
wsig_known_find(const wsig_peer_t *peer, uint64_t call)
{
    int i;

    for (i = 0; i < peer->n_known; i++) {
        if (peer->known[i].call == call) {
            return i;
        }
    }
    return -1;
}

static void
wsig_known_forget(wsig_peer_t *peer, uint64_t call)
{
    int i = wsig_known_find(peer, call);

    if (i >= 0) {
        peer->known[i] = peer->known[--peer->n_known];
    }
    /* Only ever its own: the one who ended the call may have died on it. */
    (void) wsig_registry_set_call(peer->worker->zone, peer->address, call, 0);
}

/* WSIG_NOMEM closes the peer. */
static int
wsig_known_set(wsig_peer_t *peer, uint64_t call, wsig_told_t told)
{
    int i = wsig_known_find(peer, call);
    wsig_known_t *known;

    if (i < 0) {
        if (peer->n_known == UINT8_MAX) {
            return WSIG_NOMEM;
        }
        known = realloc(peer->known, (peer->n_known + 1u) * sizeof(*known));
        if (known == NULL) {
            return WSIG_NOMEM;
        }
        peer->known = known;
        i = peer->n_known++;
        peer->known[i].call = call;
    }
    peer->known[i].told = told;
    return WSIG_OK;
}

static wsig_text_t
wsig_caller_of(const wsig_call_t *call)
{
    return (wsig_text_t){call->caller_name, call->caller_size};
}

static wsig_text_t
wsig_callee_of(const wsig_call_t *call)
{
    return (wsig_text_t){call->callee_name, call->callee_size};
}

static bool
wsig_is_self(const wsig_peer_t *peer, wsig_address_t address)
{
    return peer->address.slot == address.slot
           && peer->address.generation == address.generation;
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
    wsig_begin(&out, "calling");
    wsig_put_call(&out, "call", call->id);
    wsig_put_member(&out, "to", wsig_callee_of(call));
    wsig_put_words(&out, ",\"ringing\":");
    wsig_put_number(&out, ringing);
    wsig_put_call_ice(&out, peer, now);
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

static void
wsig_say_ring(wsig_peer_t *peer, const wsig_call_t *call, wsig_time_t now)
{
    int64_t left = call->deadline - now.mono;
    wsig_buffer_t out = {0};

    wsig_begin(&out, "ring");
    wsig_put_call(&out, "call", call->id);
    wsig_put_member(&out, "from", wsig_caller_of(call));
    wsig_put_verified(&out, call->caller_verified);
    wsig_put_media(&out, &call->caller_media);
    if (call->info_size > 0) {
        wsig_put_words(&out, ",\"info\":");
        wsig_put(&out, call->info, call->info_size);
    }
    wsig_put_words(&out, ",\"expires\":");
    wsig_put_number(&out, left > 0 ? (left + 999) / 1000 : 0);
    wsig_native_end(peer, &out);
}

/* To the caller with what the callee said; to the callee that won, who knows
 * it from `ring` unless both dialled. */
static void
wsig_say_accepted(wsig_peer_t *peer, const wsig_call_t *call,
                  const wsig_said_t *said, bool glare, wsig_time_t now)
{
    bool caller = wsig_is_self(peer, call->caller);
    wsig_buffer_t out = {0};

    wsig_begin(&out, "accepted");
    wsig_put_call(&out, "call", call->id);
    wsig_put_member(&out, "from",
                    caller ? wsig_callee_of(call) : wsig_caller_of(call));
    if (caller || glare) {
        wsig_put_verified(&out, caller ? call->callee_verified
                                       : call->caller_verified);
        wsig_put_media(&out, caller ? &call->callee_media
                                    : &call->caller_media);
    }
    wsig_put_call_ice(&out, peer, now);
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
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

    wsig_begin(&out, "ended");
    wsig_put_call(&out, "call", call->id);
    if (said != NULL && wsig_is_self(peer, call->caller)) {
        wsig_put_member(&out, "to", wsig_callee_of(call));
    }
    wsig_put_words(&out, ",\"reason\":\"");
    wsig_put_words(&out, reason);
    wsig_put_words(&out, "\"");
    if (call->reason == WSIG_END_GLARE) {
        wsig_put_call(&out, "into", call->into);
    }
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

/* Say what the record has and the peer was not told.  said: the request that
 * this answers, or NULL. */
static void
wsig_native_tell(wsig_peer_t *peer, const wsig_call_t *call, wsig_told_t told,
                 const wsig_said_t *said, wsig_time_t now)
{
    bool caller = wsig_is_self(peer, call->caller);
    bool winner = caller
                  || (call->callee.generation != 0
                      && wsig_is_self(peer, call->callee));

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
    if (wsig_known_set(peer, call->id, told) != WSIG_OK) {
        wsig_peer_close(peer, 1013, "memory is short", now);
    }
}

/* Somebody says that the call has changed, or rings. */
static void
wsig_native_note(wsig_peer_t *peer, uint64_t id, wsig_time_t now)
{
    int i = wsig_known_find(peer, id);
    wsig_call_t call;

    if (wsig_call_read(peer->worker->zone, id, peer->address, &call)
        != WSIG_OK) {
        if (i >= 0) {
            /* Forgotten before we could look: it must have been long ago. */
            memset(&call, 0, sizeof(call));
            call.id = id;
            wsig_say_ended(peer, &call, NULL, "gone");
            wsig_known_forget(peer, id);
        }
        return;
    }
    if (i >= 0) {
        wsig_native_tell(peer, &call, peer->known[i].told, NULL, now);
    } else if (call.state == WSIG_CALL_RINGING
               && !wsig_is_self(peer, call.caller)) {
        wsig_native_tell(peer, &call, WSIG_TOLD_NOTHING, NULL, now);
    }
}

/* Answer a dial.  Where it rang (anew), much may have happened since, on other
 * workers: first things are said first. */
static void
wsig_native_dialled(wsig_peer_t *peer, const wsig_call_t *call, bool anew,
                    const wsig_said_t *said, wsig_time_t now)
{
    if (call->reason == WSIG_END_BUSY || call->reason == WSIG_END_GLARE
        || (!anew && call->state == WSIG_CALL_ENDED)) {
        wsig_native_tell(peer, call, WSIG_TOLD_ANSWERED, said, now);
        return;
    }
    wsig_say_calling(peer, call, said, now);
    if (anew) {
        wsig_native_tell(peer, call, WSIG_TOLD_RINGING, NULL, now);
    }
}

static void
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

    if (!wsig_is_string(&said->values[TO])) {
        wsig_native_bad(peer, said, "to is no string");
        return;
    }
    if (!wsig_read_media(&said->values[MEDIA], &media)) {
        wsig_native_bad(peer, said,
                        "media is no list of at most 8 strings of 16 bytes");
        return;
    }
    if (said->values[INFO].raw.size > WSIG_INFO_MAX) {
        wsig_native_bad(peer, said, "info is longer than 1024 bytes");
        return;
    }
    if (!wsig_read_name(&said->values[TO], name, &dial.to)) {
        wsig_native_error(peer, said, "unreachable", "nobody has that name");
        return;
    }
    dial.caller = peer->address;
    dial.media = &media;
    dial.info = said->values[INFO].raw;
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
    if (call.reason == WSIG_END_GLARE && notes.n > 0
        && wsig_call_read(worker->zone, call.into, peer->address, &call)
               == WSIG_OK) {
        wsig_worker_count(worker, WSIG_COUNT_ANSWERED);
        wsig_say_accepted(peer, &call, NULL, true, now);
        wsig_native_tell(peer, &call, WSIG_TOLD_ANSWERED, NULL, now);
    }
    wsig_worker_note(worker, &notes, peer->address, now);
}

static void
wsig_native_unknown(wsig_peer_t *peer, const wsig_said_t *said)
{
    if (wsig_is_string(&said->values[CALL])) {
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

    if (wsig_call_read(peer->worker->zone, said->call, peer->address, &call)
        == WSIG_OK) {
        wsig_native_tell(peer, &call,
                         anew || call.state != WSIG_CALL_ENDED
                             ? WSIG_TOLD_RINGING
                             : WSIG_TOLD_ANSWERED,
                         said, now);
    } else {
        wsig_native_unknown(peer, said);
    }
}

static void
wsig_native_accept(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_notes_t notes;
    wsig_media_t media;

    if (!wsig_read_media(&said->values[MEDIA], &media)) {
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

static void
wsig_native_hangup(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_notes_t notes;
    bool ended;

    if (said->call == 0
        || wsig_call_hangup(peer->worker->zone, said->call, peer->address, now,
                            &ended, &notes)
               != WSIG_OK) {
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
wsig_native_signal(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    const wsig_value_t *data = &said->values[DATA];
    wsig_buffer_t out = {0};
    wsig_address_t other;
    wsig_frame_t *frame;
    wsig_call_t call;

    if (data->kind == WSIG_JSON_NONE) {
        wsig_native_bad(peer, said, "data is missing");
        return;
    }
    if (said->call == 0) {
        wsig_native_unknown(peer, said);
        return;
    }
    if (wsig_call_other(peer->worker->zone, said->call, peer->address, &other)
        == WSIG_OK) {
        wsig_begin(&out, "signal");
        wsig_put_call(&out, "call", said->call);
        wsig_put_member(&out, "from", wsig_peer_name(peer));
        wsig_put_words(&out, ",\"data\":");
        wsig_put_text(&out, data->raw);
        wsig_put_words(&out, "}");
        frame = wsig_frame_end(&out, WSIG_WS_OPCODE_TEXT);
        if (frame == NULL
            || wsig_worker_text(peer->worker, other, said->call, frame, now)
                   == WSIG_NOMEM) {
            wsig_peer_close(peer, 1013, "memory is short", now);
        }
        wsig_frame_release(frame);
        return;
    }
    if (wsig_call_read(peer->worker->zone, said->call, peer->address, &call)
        != WSIG_OK) {
        wsig_native_unknown(peer, said);
    } else if (call.state == WSIG_CALL_RINGING) {
        wsig_native_error(peer, said, "not-answered",
                          "nobody has answered yet");
    }
    /* Else it comes too late, which is nobody's fault: dropped. */
}

/* A signal.  Its call must have been told to be answered, and not ended. */
static void
wsig_native_deliver(wsig_peer_t *peer, uint64_t call, wsig_frame_t *frame,
                    wsig_time_t now)
{
    int i = wsig_known_find(peer, call);

    if (i >= 0 && peer->known[i].told != WSIG_TOLD_ANSWERED) {
        wsig_native_note(peer, call, now);
        i = wsig_known_find(peer, call);
    }
    if (i >= 0 && peer->known[i].told == WSIG_TOLD_ANSWERED) {
        wsig_peer_share(peer, frame);
    }
}

static void
wsig_native_ice(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_buffer_t out = {0};
    wsig_slot_t self;
    size_t begin;
    bool in_call;

    in_call = wsig_registry_get(peer->worker->zone, peer->address, &self)
                  == WSIG_OK
              && self.call != 0;
    wsig_begin(&out, "ice");
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
