#include <stdlib.h>
#include <string.h>

#include "wsig_presence.h"

#define BATCH 256 /* log entries read at a time */

/* What is known of one slot, in 40 bytes. */
struct wsig_entry_s {
    wsig_node_t node;
    wsig_user_t *user;
    wsig_entry_t *next; /* of the same user */
    uint32_t generation;
    uint8_t state;
    uint8_t verified;
    uint8_t round; /* when it was seen last in a reading of all */
};

void
wsig_presence_init(wsig_presence_t *presence, wsig_zone_t *zone,
                   void (*moved)(void *ctx, uint32_t slot), void *ctx)
{
    memset(presence, 0, sizeof(*presence));
    presence->zone = zone;
    presence->moved = moved;
    presence->ctx = ctx;
    presence->stale = true;
}

void
wsig_presence_soil(wsig_presence_t *presence, wsig_realm_t *realm)
{
    if (!realm->is_dirty) {
        realm->is_dirty = true;
        realm->next_dirty = presence->dirty;
        presence->dirty = realm;
    }
}

static void
wsig_user_soil(wsig_presence_t *presence, wsig_user_t *user)
{
    wsig_presence_soil(presence, user->realm);
    if (!user->dirty) {
        user->dirty = true;
        user->next_dirty = user->realm->dirty;
        user->realm->dirty = user;
    }
}

/* It joined or left with the change of the newest number. */
static void
wsig_user_moved(wsig_presence_t *presence, wsig_user_t *user)
{
    wsig_realm_t *realm = user->realm;
    wsig_moves_t *moves = user->moves;
    uint32_t n = moves != NULL ? moves->n : 0;
    uint32_t room = n > 0 ? n * 2 : 2;

    realm->names = realm->number;
    if (moves == NULL || n == moves->room) {
        moves = realloc(moves, sizeof(*moves) + room * sizeof(uint64_t));
        if (moves == NULL) {
            presence->stale = true;
            return;
        }
        moves->room = room;
        user->moves = moves;
    }
    moves->numbers[n] = realm->number;
    moves->n = n + 1;
}

/* The user's state from its peers, and the number of what changed. */
static void
wsig_user_update(wsig_presence_t *presence, wsig_user_t *user)
{
    wsig_realm_t *realm = user->realm;
    const wsig_entry_t *entry;
    uint8_t state = WSIG_ABSENT_STATE;
    bool verified = false;

    for (entry = user->entries; entry != NULL; entry = entry->next) {
        if (entry->state < state) {
            state = entry->state;
        }
        verified = verified || entry->verified;
    }
    if (state == user->state &&
        (verified == user->verified || state == WSIG_ABSENT_STATE)) {
        return;
    }
    realm->number++;
    if (user->state == WSIG_ABSENT_STATE) {
        wsig_user_moved(presence, user);
        realm->n_users++;
    } else if (state == WSIG_ABSENT_STATE) {
        wsig_user_moved(presence, user);
        realm->n_users--;
    } else {
        user->changed = realm->number;
    }
    user->state = state;
    if (state != WSIG_ABSENT_STATE) {
        user->verified = verified;
    }
    wsig_user_soil(presence, user);
}

wsig_user_t *
wsig_realm_user(const wsig_realm_t *realm, wsig_text_t name, uint32_t hash)
{
    wsig_node_t *node = NULL;
    wsig_user_t *user;

    while ((node = wsig_table_find(&realm->users, hash, node)) != NULL) {
        user = (wsig_user_t *) node;
        if (wsig_text_same(wsig_user_name(user), name)) {
            return user;
        }
    }
    return NULL;
}

static wsig_user_t *
wsig_realm_add_user(wsig_realm_t *realm, wsig_text_t name, uint32_t hash)
{
    size_t size = offsetof(wsig_user_t, name) + name.size;
    wsig_user_t *user = calloc(1, size > sizeof(*user) ? size : sizeof(*user));

    if (user == NULL ||
        wsig_table_add(&realm->users, &user->node, hash) != WSIG_OK) {
        free(user);
        return NULL;
    }
    user->realm = realm;
    user->state = WSIG_ABSENT_STATE;
    user->name_size = (uint8_t) name.size;
    memcpy(user->name, name.data, name.size);
    user->previous = realm->last;
    if (realm->last != NULL) {
        realm->last->next = user;
    } else {
        realm->first = user;
    }
    realm->last = user;
    return user;
}

static void
wsig_realm_drop_user(wsig_realm_t *realm, wsig_user_t *user)
{
    wsig_table_remove(&realm->users, &user->node);
    *(user->previous != NULL ? &user->previous->next : &realm->first) =
        user->next;
    *(user->next != NULL ? &user->next->previous : &realm->last) =
        user->previous;
    free(user);
}

static wsig_realm_t *
wsig_presence_realm(wsig_presence_t *presence, const wsig_realm_id_t *id)
{
    wsig_node_t *node = NULL;
    wsig_realm_t *realm;
    uint32_t hash;

    memcpy(&hash, id, sizeof(hash));
    while ((node = wsig_table_find(&presence->realms, hash, node)) != NULL) {
        realm = (wsig_realm_t *) node;
        if (memcmp(&realm->id, id, sizeof(*id)) == 0) {
            return realm;
        }
    }
    realm = calloc(1, sizeof(*realm));
    if (realm == NULL ||
        wsig_table_add(&presence->realms, &realm->node, hash) != WSIG_OK) {
        free(realm);
        return NULL;
    }
    realm->id = *id;
    wsig_presence_soil(presence, realm); /* freed, should nobody come */
    return realm;
}

wsig_realm_t *
wsig_presence_enter(wsig_presence_t *presence, const wsig_realm_id_t *id,
                    wsig_text_t name)
{
    wsig_realm_t *realm = wsig_presence_realm(presence, id);

    if (realm == NULL) {
        return NULL;
    }
    if (realm->name == NULL) {
        realm->name = malloc(name.size);
        if (realm->name == NULL) {
            return NULL;
        }
        memcpy(realm->name, name.data, name.size);
        realm->name_size = (uint16_t) name.size;
    }
    realm->n_peers++;
    return realm;
}

void
wsig_presence_leave(wsig_presence_t *presence, wsig_realm_t *realm)
{
    realm->n_peers--;
    wsig_presence_soil(presence, realm);
}

wsig_user_t *
wsig_presence_user(const wsig_presence_t *presence, const wsig_realm_t *realm,
                   wsig_text_t name)
{
    wsig_user_t *user;
    uint32_t hash;

    if (wsig_name_hash(presence->zone, &realm->id, name, &hash) != WSIG_OK) {
        return NULL;
    }
    user = wsig_realm_user(realm, name, hash);
    return user != NULL && user->state != WSIG_ABSENT_STATE ? user : NULL;
}

static void
wsig_entry_drop(wsig_presence_t *presence, wsig_entry_t *entry)
{
    wsig_user_t *user = entry->user;
    wsig_entry_t **link = &user->entries;

    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    user->realm->n_entries--;
    wsig_user_update(presence, user);
    wsig_table_remove(&presence->entries, &entry->node);
    free(entry);
}

static wsig_entry_t *
wsig_entry_make(wsig_presence_t *presence, uint32_t slot,
                const wsig_slot_t *peer)
{
    wsig_realm_t *realm = wsig_presence_realm(presence, &peer->realm);
    wsig_entry_t *entry;
    wsig_user_t *user;

    if (realm == NULL) {
        return NULL;
    }
    user = wsig_realm_user(realm, wsig_slot_name(peer), peer->hash);
    if (user == NULL) {
        user = wsig_realm_add_user(realm, wsig_slot_name(peer), peer->hash);
        if (user == NULL) {
            return NULL;
        }
        wsig_user_soil(presence, user);
    }
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL ||
        wsig_table_add(&presence->entries, &entry->node, slot) != WSIG_OK) {
        free(entry);
        return NULL;
    }
    entry->user = user;
    entry->generation = peer->generation;
    entry->next = user->entries;
    user->entries = entry;
    realm->n_entries++;
    return entry;
}

/* Take over what a slot says; peer NULL: nobody lives there. */
static void
wsig_presence_apply(wsig_presence_t *presence, uint32_t slot,
                    const wsig_slot_t *peer)
{
    wsig_entry_t *entry =
        (wsig_entry_t *) wsig_table_find(&presence->entries, slot, NULL);

    if (entry != NULL &&
        (peer == NULL || entry->generation != peer->generation)) {
        wsig_entry_drop(presence, entry);
        entry = NULL;
    }
    if (peer == NULL) {
        return;
    }
    if (entry == NULL) {
        entry = wsig_entry_make(presence, slot, peer);
        if (entry == NULL) {
            presence->stale = true;
            return;
        }
    }
    entry->round = presence->round;
    entry->verified = (peer->flags & WSIG_PEER_VERIFIED) != 0;
    entry->state = peer->flags & WSIG_PEER_AWAY || peer->lost_until != 0
                       ? WSIG_AWAY
                   : peer->call != 0 ? WSIG_BUSY
                                     : WSIG_FREE;
    wsig_user_update(presence, entry->user);
}

static void
wsig_presence_visit(void *ctx, uint32_t slot, const wsig_slot_t *peer)
{
    wsig_presence_apply(ctx, slot, peer);
}

/* Drop the entries that the last reading of all did not meet. */
static void
wsig_presence_drop_unmet(wsig_presence_t *presence)
{
    wsig_node_t *node, *next;
    uint32_t i;

    for (i = 0; i < presence->entries.size; i++) {
        for (node = presence->entries.buckets[i]; node != NULL; node = next) {
            next = node->next;
            if (((wsig_entry_t *) node)->round != presence->round) {
                wsig_entry_drop(presence, (wsig_entry_t *) node);
            }
        }
    }
}

static void
wsig_presence_read_all(wsig_presence_t *presence)
{
    presence->stale = false;
    presence->round++;
    presence->cursor = wsig_changes_end(presence->zone);
    wsig_registry_walk(presence->zone, wsig_presence_visit, presence);
    wsig_presence_drop_unmet(presence);
    presence->moved(presence->ctx, WSIG_ALL_SLOTS);
}

void
wsig_presence_read(wsig_presence_t *presence)
{
    uint32_t slots[BATCH];
    wsig_slot_t peer;
    bool lives;
    int i, n;

    if (presence->stale) {
        wsig_presence_read_all(presence);
    }
    do {
        n = wsig_changes_read(presence->zone, &presence->cursor, slots, BATCH);
        if (n == WSIG_FULL) {
            wsig_presence_read_all(presence);
            return;
        }
        for (i = 0; i < n; i++) {
            lives = wsig_registry_read(presence->zone, slots[i], &peer);
            wsig_presence_apply(presence, slots[i], lives ? &peer : NULL);
            presence->moved(presence->ctx, slots[i]);
        }
    } while (n == BATCH);
}

wsig_news_t
wsig_user_news(const wsig_user_t *user, uint64_t since)
{
    const wsig_moves_t *moves = user->moves;
    uint32_t i, n = moves != NULL ? moves->n : 0;
    bool was_there = user->shown;

    for (i = 0; i < n && moves->numbers[i] <= since; i++) {
        was_there = !was_there;
    }
    if (user->state == WSIG_ABSENT_STATE) {
        return was_there ? WSIG_NEWS_LEFT : WSIG_NEWS_NONE;
    }
    /* Gone and back again counts as new. */
    return !was_there || i < n     ? WSIG_NEWS_JOINED
           : user->changed > since ? WSIG_NEWS_CHANGED
                                   : WSIG_NEWS_NONE;
}

wsig_realm_t *
wsig_presence_pop(wsig_presence_t *presence)
{
    wsig_realm_t *realm = presence->dirty;

    if (realm != NULL) {
        presence->dirty = realm->next_dirty;
        realm->is_dirty = false;
    }
    return realm;
}

void
wsig_presence_settle(wsig_presence_t *presence, wsig_realm_t *realm)
{
    wsig_user_t *user, *next;

    for (user = realm->dirty; user != NULL; user = next) {
        next = user->next_dirty;
        user->dirty = false;
        user->shown = user->state != WSIG_ABSENT_STATE;
        free(user->moves);
        user->moves = NULL;
        if (user->state == WSIG_ABSENT_STATE) {
            wsig_realm_drop_user(realm, user);
        }
    }
    realm->dirty = NULL;
    realm->flushed = realm->number;
    if (realm->users.n == 0 && realm->n_peers == 0) {
        wsig_table_remove(&presence->realms, &realm->node);
        wsig_table_free(&realm->users);
        free(realm->name);
        free(realm);
    }
}

void
wsig_presence_free(wsig_presence_t *presence)
{
    wsig_realm_t *realm;

    presence->round++;
    wsig_presence_drop_unmet(presence);
    while ((realm = wsig_presence_pop(presence)) != NULL) {
        wsig_presence_settle(presence, realm);
    }
    wsig_table_free(&presence->realms);
    wsig_table_free(&presence->entries);
}
