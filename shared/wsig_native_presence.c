#include <stdlib.h>

#include "wsig_native.h"

#define DIRECTORY_MAX 1000 /* users in a list */
#define COUNT_EVERY 1000   /* ms between counts to those without a list */

static bool
wsig_watches(const wsig_peer_t *peer, wsig_text_t name)
{
    return peer->names != NULL &&
           bsearch(&name, peer->names->names, peer->names->n, sizeof(name),
                   wsig_compare_texts) != NULL;
}

/* A user in a list for peer, if it is there and not peer itself. */
static void
wsig_put_other(wsig_buffer_t *out, const wsig_peer_t *peer,
               const wsig_user_t *user, const char **comma)
{
    if (user == NULL || user->state == WSIG_ABSENT_STATE ||
        wsig_text_same(wsig_user_name(user), wsig_peer_name(peer))) {
        return;
    }
    wsig_put_words(out, *comma);
    wsig_put_user(out, user);
    *comma = ",";
}

void
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
        wsig_put_words(out, ",\"users\":null,\"count\":");
        wsig_put_number(out, realm->n_users);
        return;
    }
    wsig_put_words(out, ",\"users\":[");
    if (peer->watch == WSIG_WATCH_ALL) {
        peer->listed = true;
        for (user = realm->first; user != NULL; user = user->next) {
            wsig_put_other(out, peer, user, &comma);
        }
    }
    for (i = 0; peer->names != NULL && i < peer->names->n; i++) {
        user = wsig_presence_user(&peer->worker->presence, realm,
                                  peer->names->names[i]);
        wsig_put_other(out, peer, user, &comma);
    }
    wsig_put_words(out, "],\"count\":");
    wsig_put_number(out, realm->n_users);
}

void
wsig_native_watch(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    wsig_buffer_t out = {0};
    wsig_names_t *names;
    wsig_watch_t watch;
    int rc;

    rc = wsig_read_watch(&said->values[WSIG_NAMES], &watch, &names);
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
    wsig_native_begin(&out, "users");
    wsig_put_users(&out, peer);
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

void
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
    if (!wsig_name_read(&said->values[WSIG_NAME], copy, &name)) {
        wsig_native_bad(peer, said, "name is no valid name");
        return;
    }
    wsig_presence_read(&peer->worker->presence);
    user = wsig_presence_user(&peer->worker->presence, peer->realm, name);
    wsig_native_begin(&out, "user");
    wsig_put_member(&out, "name", name);
    wsig_put_words(&out, ",\"state\":\"");
    wsig_put_words(
        &out, wsig_state_word(user != NULL ? user->state : WSIG_ABSENT_STATE));
    wsig_put_words(&out, "\"");
    wsig_put_ref(&out, said);
    wsig_native_end(peer, &out);
}

void
wsig_native_state(wsig_peer_t *peer, wsig_said_t *said, wsig_time_t now)
{
    static const wsig_text_t away = WSIG_TEXT("away"),
                             free_ = WSIG_TEXT("free");
    bool is_away = wsig_string_is(&said->values[WSIG_STATE], away);

    (void) now;
    if (!is_away && !wsig_string_is(&said->values[WSIG_STATE], free_)) {
        wsig_native_bad(peer, said, "state is \\\"away\\\" or \\\"free\\\"");
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
        if (peer != NULL &&
            (wsig_text_same(wsig_user_name(user), wsig_peer_name(peer)) ||
             (peer->watch == WSIG_WATCH_LIST &&
              !wsig_watches(peer, wsig_user_name(user))))) {
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

    wsig_native_begin(&out, "presence");
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

    wsig_native_begin(&out, type);
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
int
wsig_native_flush(wsig_worker_t *worker, wsig_realm_t *realm, wsig_time_t now)
{
    wsig_frame_t *common = NULL, *count = NULL;
    bool news = wsig_native_delta(realm, realm->flushed, NULL, &common);
    bool too_many = realm->n_users > DIRECTORY_MAX;
    bool count_due = realm->counted != realm->names &&
                     now.mono >= realm->counted_at + COUNT_EVERY;
    bool more = false;
    wsig_peer_t *peer;

    (void) worker;
    if (count_due) {
        count = wsig_native_count(realm, "presence",
                                  ",\"joined\":[],\"left\":[],\"changed\":[]");
    }
    if (common == NULL || (count_due && count == NULL)) {
        wsig_frame_release(common);
        wsig_frame_release(count);
        return WSIG_NOMEM;
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
            wsig_peer_send(
                peer, wsig_native_count(realm, "users", ",\"users\":null"));
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
    return more ? WSIG_AGAIN : WSIG_OK;
}
