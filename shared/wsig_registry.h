/*
 * wsig_registry.h: who is there.  A table in the zone, with one slot of 128
 * bytes for each peer; and the change log, by which every worker learns which
 * slots to read again.
 *
 * The table is cut into partitions with a lock each.  A name's hash chooses
 * the partition and where in it the probing begins (open addressing); all
 * peers of one user lie on one probe path.  Readers lock too.
 */

#ifndef WSIG_REGISTRY_H
#define WSIG_REGISTRY_H

#include "wsig_name.h"
#include "wsig_zone.h"

#define WSIG_USER_PEERS 32 /* peers of one user: devices, tabs */

/* Where a peer stands; good on every worker, for as long as the peer is. */
typedef struct wsig_address_s {
    uint32_t slot;
    uint32_t generation; /* never 0 for a peer */
} wsig_address_t;

static inline bool
wsig_address_same(wsig_address_t a, wsig_address_t b)
{
    return a.slot == b.slot && a.generation == b.generation;
}

static inline uint64_t
wsig_address_pack(wsig_address_t at)
{
    return (uint64_t) at.generation << 32 | at.slot;
}

typedef struct wsig_realm_id_s {
    uint8_t bytes[16]; /* keyed hash of dialect and realm */
} wsig_realm_id_t;

enum {
    WSIG_PEER_VERIFIED = 1,
    WSIG_PEER_AWAY = 2
};

enum {
    WSIG_SLOT_EMPTY = 0, /* ends a probe path */
    WSIG_SLOT_LIVE = 1,
    WSIG_SLOT_DEAD = 2 /* free, but a probe path goes on */
};

typedef struct wsig_slot_s {
    uint32_t state; /* stored last when a slot is filled */
    uint32_t generation;
    uint64_t call; /* that it dialled or answered; 0: none */
    wsig_realm_id_t realm;
    int64_t lost_until; /* it is lost, and has its place until then; 0: not */
    uint32_t hash;      /* of realm and name: where probing begins */
    uint32_t epoch;     /* of the worker */
    uint32_t window;    /* ms that a lost one keeps its place; 0: it does not */
    uint32_t token;     /* the number of its newest token (wsig_token.h) */
    uint32_t used;      /* of the one it came back with, until it is heard */
    uint16_t worker;
    uint8_t name_size;
    uint8_t flags;
    char name[WSIG_NAME_MAX];
} wsig_slot_t;

_Static_assert(sizeof(wsig_slot_t) == 128, "what the README counts with");

typedef struct wsig_partition_s {
    pthread_mutex_t lock;
    _Atomic uint32_t live; /* slots; may only be trusted under the lock */
} wsig_partition_t;

static inline wsig_text_t
wsig_slot_name(const wsig_slot_t *slot)
{
    return (wsig_text_t){slot->name, slot->name_size};
}

void wsig_registry_init(wsig_zone_t *zone);

int wsig_realm_id(const wsig_zone_t *zone, wsig_dialect_t dialect,
                  wsig_text_t realm, wsig_realm_id_t *id);

/* Where probing for a name begins; the same for all peers of a user. */
int wsig_name_hash(const wsig_zone_t *zone, const wsig_realm_id_t *realm,
                   wsig_text_t name, uint32_t *hash);

/* Register a peer: realm, name, worker, epoch, window and flags of *peer are
 * filled in by the caller.  WSIG_OK sets *address.  WSIG_TAKEN: a guest asks
 * for a name that somebody has; *holder is a copy of his slot and
 * *holder_at its address.  WSIG_FULL: no room, or too many peers of one user.
 * A proved name takes the place of a guest who has it. */
int wsig_registry_add(wsig_zone_t *zone, const wsig_slot_t *peer,
                      wsig_address_t *address, wsig_slot_t *holder,
                      wsig_address_t *holder_at);

/* A worker, in one of its lives. */
typedef struct wsig_owner_s {
    uint32_t worker;
    uint32_t epoch;
} wsig_owner_t;

static inline bool
wsig_slot_is_of(const wsig_slot_t *slot, wsig_owner_t owner)
{
    return slot->worker == owner.worker && slot->epoch == owner.epoch;
}

/* WSIG_ABSENT: was removed before, or is another worker's now. */
int wsig_registry_remove(wsig_zone_t *zone, wsig_address_t address,
                         wsig_owner_t owner);

/* A peer of owner's is lost; it has its place until then.  WSIG_ABSENT. */
int wsig_registry_lose(wsig_zone_t *zone, wsig_address_t address,
                       wsig_owner_t owner, int64_t until);

/* The same, and the owner has no session (any more): the place is nobody's. */
int wsig_registry_orphan(wsig_zone_t *zone, wsig_address_t address,
                         wsig_owner_t owner, int64_t until);

/* Is this the number of a token that is good now? */
static inline bool
wsig_slot_knows(const wsig_slot_t *slot, uint32_t token)
{
    return token != 0 && (token == slot->token || token == slot->used);
}

/* A token that was shown, and what was the newest number then. */
typedef struct wsig_shown_s {
    uint32_t token;
    uint32_t newest;
} wsig_shown_t;

/* Who has shown a good token takes the place, from the owner that he has seen
 * to another or the same: *peer is the slot then.  until 0: he is back, and
 * there is a new token; else he is lost again, and has his place until then.
 * WSIG_TAKEN: it has another owner.  WSIG_FORBIDDEN: another who has shown it
 * was first.  WSIG_ABSENT: the place is gone, or the token bad. */
int wsig_registry_take(wsig_zone_t *zone, wsig_address_t address,
                       wsig_shown_t shown, wsig_owner_t from, wsig_owner_t to,
                       int64_t until, wsig_slot_t *peer);

/* The client has its new token: the one it came with is no longer good. */
void wsig_registry_heard(wsig_zone_t *zone, wsig_address_t address,
                         wsig_owner_t owner);

/* Copy a peer's slot.  WSIG_ABSENT: it is gone, or its worker is and it had
 * no time to come back. */
int wsig_registry_get(wsig_zone_t *zone, wsig_address_t address,
                      wsig_slot_t *peer);

/* Whatever is in the slot; false: nothing that lives. */
bool wsig_registry_read(wsig_zone_t *zone, uint32_t slot, wsig_slot_t *peer);

/* The peers of a user, oldest place first; returns how many.  WSIG_NOMEM. */
int wsig_registry_find(wsig_zone_t *zone, const wsig_realm_id_t *realm,
                       wsig_text_t name, wsig_slot_t peers[WSIG_USER_PEERS],
                       wsig_address_t at[WSIG_USER_PEERS]);

/* Set and clear flags; or the call, if it is expected now. */
int wsig_registry_flag(wsig_zone_t *zone, wsig_address_t address, uint8_t set,
                       uint8_t clear);
int wsig_registry_set_call(wsig_zone_t *zone, wsig_address_t address,
                           uint64_t expected, uint64_t call);

/* Look through one partition for peers of workers that died: they are lost
 * from now on, and removed when their time is up. */
void wsig_registry_sweep(wsig_zone_t *zone, uint32_t partition, int64_t now);

/* Call visit for each living peer, under the lock of its partition. */
void wsig_registry_walk(wsig_zone_t *zone,
                        void (*visit)(void *ctx, uint32_t slot,
                                      const wsig_slot_t *peer),
                        void *ctx);

/* How many slots are taken. */
uint64_t wsig_registry_live(const wsig_zone_t *zone);

/*
 * The change log: a ring of slot numbers under a lock; the count of all that
 * was ever written is stored last.
 */

size_t wsig_changes_size(uint32_t entries);

/* The cursor of somebody who has read all. */
uint64_t wsig_changes_end(const wsig_zone_t *zone);

/* Read at most room slot numbers after *cursor and move it on; returns how
 * many, or WSIG_FULL: the log has overtaken the reader, or somebody died
 * before he wrote what he changed: all must be read again. */
int wsig_changes_read(const wsig_zone_t *zone, uint64_t *cursor,
                      uint32_t *slots, int room);

#endif
