/*
 * wsig_presence.h: a worker's own view of who is there.
 *
 * It follows the change log of the zone, at every tick and before each list
 * that is built.  Lists and deltas come from this one view, so they cannot
 * contradict each other: each change of a realm has a number, a list is good
 * as of a number, and the next delta tells what came after it.
 */

#ifndef WSIG_PRESENCE_H
#define WSIG_PRESENCE_H

#include "wsig_registry.h"
#include "wsig_table.h"

typedef enum { /* a user shows the first that one of its peers has */
    WSIG_FREE,
    WSIG_BUSY,
    WSIG_AWAY,
    WSIG_ABSENT_STATE
} wsig_state_t;

typedef struct wsig_entry_s wsig_entry_t;
typedef struct wsig_realm_s wsig_realm_t;

/* Numbers of joins and leaves. */
typedef struct wsig_moves_s {
    uint32_t n;
    uint32_t room;
    uint64_t numbers[];
} wsig_moves_t;

/* Each worker has one for each user of the zone: with a name of up to 14
 * bytes it takes 96 of the heap. */
typedef struct wsig_user_s {
    wsig_node_t node; /* in the realm's table */
    wsig_realm_t *realm;
    struct wsig_user_s *next; /* in order of arrival */
    struct wsig_user_s *previous;
    struct wsig_user_s *next_dirty;
    wsig_entry_t *entries; /* its peers */
    wsig_moves_t *moves;   /* its own since all was told; NULL: none */
    uint64_t changed;
    uint8_t state : 4; /* wsig_state_t */
    bool dirty : 1;
    bool shown : 1; /* it was present when all was told last */
    bool verified : 1;
    uint8_t name_size;
    char name[];
} wsig_user_t;

struct wsig_realm_s {
    wsig_node_t node;
    wsig_realm_id_t id;
    wsig_table_t users;
    wsig_user_t *first;
    wsig_user_t *last;
    wsig_user_t *dirty;
    wsig_realm_t *next_dirty;
    bool is_dirty;
    uint32_t n_users;   /* that are present */
    uint32_t n_entries; /* peers */
    uint64_t number;    /* of the last change */
    uint64_t names;     /* of the last join or leave */
    uint64_t flushed;   /* all changes up to it were told */
    uint32_t n_peers;   /* of this worker, before their hello too */
    uint16_t name_size;
    char *name;                /* NULL while no peer of this worker is in it */
    struct wsig_peer_s *peers; /* those that have joined */
    struct wsig_peer_s *last_peer;
    uint64_t counted;   /* names as of this number were counted for those */
    int64_t counted_at; /* who get no list, at this time */
};

typedef struct wsig_presence_s {
    wsig_zone_t *zone;
    wsig_table_t entries; /* by slot */
    wsig_table_t realms;
    wsig_realm_t *dirty;
    uint64_t cursor;
    uint8_t round;
    bool stale; /* memory was short or the log too fast: read all again */
    void (*moved)(void *ctx, uint32_t slot);
    void *ctx;
} wsig_presence_t;

#define WSIG_ALL_SLOTS UINT32_MAX

/* moved is called for every slot that is read again, or for all at once. */
void wsig_presence_init(wsig_presence_t *presence, wsig_zone_t *zone,
                        void (*moved)(void *ctx, uint32_t slot), void *ctx);
void wsig_presence_free(wsig_presence_t *presence);

/* Catch up with the log. */
void wsig_presence_read(wsig_presence_t *presence);

/* A peer of this worker enters a realm, which is made if nobody is there yet;
 * NULL: no memory.  It lives while it has users or somebody has not left. */
wsig_realm_t *wsig_presence_enter(wsig_presence_t *presence,
                                  const wsig_realm_id_t *id, wsig_text_t name);
void wsig_presence_leave(wsig_presence_t *presence, wsig_realm_t *realm);

static inline wsig_text_t
wsig_realm_name(const wsig_realm_t *realm)
{
    return (wsig_text_t){realm->name, realm->name_size};
}

/* By the hash of wsig_name_hash; NULL: never heard of. */
wsig_user_t *wsig_realm_user(const wsig_realm_t *realm, wsig_text_t name,
                             uint32_t hash);

/* NULL: not present. */
wsig_user_t *wsig_presence_user(const wsig_presence_t *presence,
                                const wsig_realm_t *realm, wsig_text_t name);

static inline wsig_text_t
wsig_user_name(const wsig_user_t *user)
{
    return (wsig_text_t){user->name, user->name_size};
}

typedef enum {
    WSIG_NEWS_NONE,
    WSIG_NEWS_JOINED,
    WSIG_NEWS_LEFT,
    WSIG_NEWS_CHANGED
} wsig_news_t;

/* What to say of a dirty user to somebody who knows all up to a number. */
wsig_news_t wsig_user_news(const wsig_user_t *user, uint64_t since);

/* Take a realm with changes from the list of those; NULL: none. */
wsig_realm_t *wsig_presence_pop(wsig_presence_t *presence);

/* Of a popped realm: all was told, realm->flushed is realm->number.  The realm
 * may be freed. */
void wsig_presence_settle(wsig_presence_t *presence, wsig_realm_t *realm);

/* Put a realm on that list again. */
void wsig_presence_soil(wsig_presence_t *presence, wsig_realm_t *realm);

#endif
