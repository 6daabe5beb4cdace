#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wsig_native.h"

#define COUNT_DIGITS 16 /* of a number of texts */

static const wsig_text_t wsig_keys[WSIG_MEMBERS] = {
    [WSIG_TYPE] = WSIG_TEXT("type"),     [WSIG_REF] = WSIG_TEXT("ref"),
    [WSIG_NAME] = WSIG_TEXT("name"),     [WSIG_WATCH] = WSIG_TEXT("watch"),
    [WSIG_NAMES] = WSIG_TEXT("names"),   [WSIG_TO] = WSIG_TEXT("to"),
    [WSIG_CALL] = WSIG_TEXT("call"),     [WSIG_MEDIA] = WSIG_TEXT("media"),
    [WSIG_INFO] = WSIG_TEXT("info"),     [WSIG_DATA] = WSIG_TEXT("data"),
    [WSIG_STATE] = WSIG_TEXT("state"),   [WSIG_ROOM] = WSIG_TEXT("room"),
    [WSIG_RESUME] = WSIG_TEXT("resume"), [WSIG_GOT] = WSIG_TEXT("got"),
};

static const char *const wsig_state_words[] = {
    [WSIG_FREE] = "free",
    [WSIG_BUSY] = "busy",
    [WSIG_AWAY] = "away",
    [WSIG_ABSENT_STATE] = "absent",
};

int
wsig_native_read(wsig_text_t text, wsig_said_t *said)
{
    said->call = 0;
    said->has_ref = false;
    said->ref_size = 0;
    return wsig_scan(text, wsig_keys, WSIG_MEMBERS, said->values);
}

bool
wsig_is_string(const wsig_value_t *value)
{
    return value->kind == WSIG_JSON_STRING;
}

static void
wsig_peer_id_text(wsig_address_t at, char text[WSIG_CALL_TEXT])
{
    snprintf(text, WSIG_CALL_TEXT, "p%x-%x", at.slot, at.generation);
}

uint64_t
wsig_read_call(const wsig_value_t *value)
{
    char text[WSIG_CALL_TEXT], canonical[WSIG_CALL_TEXT];
    uint64_t call = 0;
    size_t size;

    if (!wsig_is_string(value) || value->raw.size >= sizeof(text)) {
        return 0;
    }
    size = wsig_string_copy(value, text);
    text[size] = '\0';
    call = strtoull(size > 0 ? text + 1 : text, NULL, 16);
    snprintf(canonical, sizeof(canonical), "c%llx", (unsigned long long) call);
    return strcmp(text, canonical) == 0 ? call : 0;
}

bool
wsig_read_peer_id(const wsig_value_t *value, wsig_address_t *at)
{
    char text[WSIG_CALL_TEXT], canonical[WSIG_CALL_TEXT];
    size_t size;
    char *end;

    if (!wsig_is_string(value) || value->raw.size >= sizeof(text)) {
        return false;
    }
    size = wsig_string_copy(value, text);
    text[size] = '\0';
    at->slot = (uint32_t) strtoul(size > 0 ? text + 1 : text, &end, 16);
    at->generation = (uint32_t) strtoul(*end != '\0' ? end + 1 : end, NULL, 16);
    wsig_peer_id_text(*at, canonical);
    return strcmp(text, canonical) == 0;
}

bool
wsig_read_ref(wsig_said_t *said)
{
    const wsig_value_t *value = &said->values[WSIG_REF];
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

/* Digits alone: what JSON.stringify makes of a number that is in reach. */
bool
wsig_read_count(const wsig_value_t *value, uint64_t *n)
{
    size_t i;

    *n = 0;
    if (value->kind != WSIG_JSON_NUMBER || value->raw.size > COUNT_DIGITS) {
        return false;
    }
    for (i = 0; i < value->raw.size; i++) {
        if (value->raw.data[i] < '0' || value->raw.data[i] > '9') {
            return false;
        }
        *n = *n * 10 + (uint64_t) (value->raw.data[i] - '0');
    }
    return true;
}

bool
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
        if (!wsig_is_string(&item) || item.raw.size > sizeof(text) ||
            media->n == WSIG_MEDIA_MAX) {
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

int
wsig_compare_texts(const void *left, const void *right)
{
    const wsig_text_t *a = left, *b = right;
    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->data, b->data, size);

    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

/* In order, each once. */
static void
wsig_names_sort(wsig_names_t *list)
{
    uint32_t i, n = 0;

    if (list->n == 0) {
        return;
    }
    qsort(list->names, list->n, sizeof(wsig_text_t), wsig_compare_texts);
    for (i = 1; i < list->n; i++) {
        if (!wsig_text_same(list->names[i], list->names[n])) {
            list->names[++n] = list->names[i];
        }
    }
    list->n = n + 1;
}

int
wsig_read_watch(const wsig_value_t *value, wsig_watch_t *watch,
                wsig_names_t **names)
{
    static const wsig_text_t all = WSIG_TEXT("all"), none = WSIG_TEXT("none");
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
    if (n > WSIG_NAMES_MAX) {
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
        if (!wsig_name_read(&item, to, &name)) {
            free(list);
            return WSIG_INVALID;
        }
        list->names[list->n++] = name;
        to += name.size;
    }
    wsig_names_sort(list);
    *names = list;
    return WSIG_OK;
}

void
wsig_native_begin(wsig_buffer_t *out, const char *type)
{
    wsig_frame_begin(out);
    wsig_put_words(out, "{\"type\":\"");
    wsig_put_words(out, type);
    wsig_put_words(out, "\"");
}

void
wsig_put_member(wsig_buffer_t *out, const char *key, wsig_text_t value)
{
    wsig_put_words(out, ",\"");
    wsig_put_words(out, key);
    wsig_put_words(out, "\":");
    wsig_put_string(out, value);
}

void
wsig_put_call_id(wsig_buffer_t *out, const char *key, uint64_t call)
{
    char text[WSIG_CALL_TEXT];

    snprintf(text, sizeof(text), "c%llx", (unsigned long long) call);
    wsig_put_words(out, ",\"");
    wsig_put_words(out, key);
    wsig_put_words(out, "\":\"");
    wsig_put_words(out, text);
    wsig_put_words(out, "\"");
}

void
wsig_put_peer_id(wsig_buffer_t *out, const char *key, wsig_address_t at)
{
    char text[WSIG_CALL_TEXT];

    wsig_peer_id_text(at, text);
    wsig_put_member(out, key, (wsig_text_t){text, strlen(text)});
}

void
wsig_put_ref(wsig_buffer_t *out, const wsig_said_t *said)
{
    if (said != NULL && said->has_ref) {
        wsig_put_member(out, "ref", (wsig_text_t){said->ref, said->ref_size});
    }
}

void
wsig_put_verified(wsig_buffer_t *out, bool verified)
{
    wsig_put_words(out,
                   verified ? ",\"verified\":true" : ",\"verified\":false");
}

void
wsig_put_media(wsig_buffer_t *out, const wsig_media_t *media)
{
    uint8_t i;

    wsig_put_words(out, ",\"media\":[");
    for (i = 0; i < media->n; i++) {
        wsig_put_words(out, i > 0 ? "," : "");
        wsig_put_string(out, (wsig_text_t){media->texts[i], media->sizes[i]});
    }
    wsig_put_words(out, "]");
}

void
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
void
wsig_put_seconds(wsig_buffer_t *out, int64_t ms)
{
    char text[8];

    wsig_put_number(out, ms / 1000);
    if (ms % 1000 != 0) {
        snprintf(text, sizeof(text), ".%03d", (int) (ms % 1000));
        wsig_put_words(out, text);
    }
}

const char *
wsig_state_word(uint8_t state)
{
    return wsig_state_words[state];
}

void
wsig_native_end(wsig_peer_t *peer, wsig_buffer_t *out)
{
    wsig_put_words(out, "}");
    wsig_peer_send(peer, wsig_frame_end(out, WSIG_WS_OPCODE_TEXT));
}

void
wsig_native_end_counted(wsig_peer_t *peer, wsig_buffer_t *out)
{
    wsig_frame_t *frame;

    wsig_put_words(out, "}");
    frame = wsig_frame_end(out, WSIG_WS_OPCODE_TEXT);
    wsig_native_send_counted(peer, frame);
    wsig_frame_release(frame);
}

void
wsig_native_send_counted(wsig_peer_t *peer, wsig_frame_t *frame)
{
    wsig_session_t *session;

    if (wsig_peer_may_return(peer)) {
        session = wsig_peer_session(peer);
        if (session == NULL) {
            return; /* the peer is doomed */
        }
        if (frame != NULL) {
            wsig_session_keep(session, frame, peer->conf->max_backlog);
        } else {
            wsig_session_lose(session);
        }
    }
    wsig_peer_share(peer, frame);
}

void
wsig_native_error(wsig_peer_t *peer, const wsig_said_t *said, const char *code,
                  const char *message)
{
    wsig_buffer_t out = {0};
    const wsig_value_t *value;
    bool counted = false;

    wsig_worker_count(peer->worker, WSIG_COUNT_ERRORS);
    wsig_native_begin(&out, "error");
    wsig_put_words(&out, ",\"code\":\"");
    wsig_put_words(&out, code);
    wsig_put_words(&out, "\",\"message\":\"");
    wsig_put_words(&out, message);
    wsig_put_words(&out, "\"");
    if (said != NULL) {
        value = &said->values[WSIG_CALL];
        if (value->kind == WSIG_JSON_STRING &&
            value->raw.size < WSIG_CALL_TEXT) {
            wsig_put_words(&out, ",\"call\":");
            wsig_put_text(&out, value->raw);
            counted = true;
        }
        value = &said->values[WSIG_ROOM];
        if (value->kind == WSIG_JSON_STRING &&
            value->raw.size <= WSIG_ROOM_NAME_MAX + 2) {
            wsig_put_words(&out, ",\"room\":");
            wsig_put_text(&out, value->raw);
            counted = true;
        }
        value = &said->values[WSIG_TO];
        if (value->kind == WSIG_JSON_STRING &&
            value->raw.size <= 6 * WSIG_NAME_MAX + 2) {
            wsig_put_words(&out, ",\"to\":");
            wsig_put_text(&out, value->raw);
        }
    }
    wsig_put_ref(&out, said);
    if (counted) {
        wsig_native_end_counted(peer, &out);
    } else {
        wsig_native_end(peer, &out);
    }
}

void
wsig_native_bad(wsig_peer_t *peer, const wsig_said_t *said, const char *message)
{
    wsig_native_error(peer, said, "bad-message", message);
}

/* {"iceServers":...}: the credentials of guests of a site with logins are for
 * their calls only. */
void
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
                      &size) != WSIG_OK) {
        out->failed = true;
        return;
    }
    wsig_put(out, text, size);
    free(text);
}

void
wsig_put_call_ice(wsig_buffer_t *out, const wsig_peer_t *peer, wsig_time_t now)
{
    if (peer->conf->identity && !peer->verified) {
        wsig_put_words(out, ",\"ice\":");
        wsig_put_ice(out, peer, true, now);
    }
}
