#include <string.h>

#include "wsig_registry.h"

#define ORPHAN_GRACE 5000 /* ms that a living worker is late at most */
#define ORPHAN_STEP 500   /* ms from one look at all to the next, at least */
#define READ_ALL_AGAIN UINT32_MAX /* in the log: trust nothing you know */

typedef struct {
    pthread_mutex_t lock;
    _Atomic uint64_t written;
    _Atomic uint32_t slots[];
} wsig_changes_t;

static wsig_changes_t *
wsig_changes(const wsig_zone_t *zone)
{
    return wsig_zone_at(zone, zone->shared->changes_at);
}

static wsig_partition_t *
wsig_partitions(const wsig_zone_t *zone)
{
    return wsig_zone_at(zone, zone->shared->partitions_at);
}

static wsig_slot_t *
wsig_slots(const wsig_zone_t *zone, uint32_t partition)
{
    return (wsig_slot_t *) wsig_zone_at(zone, zone->shared->slots_at) +
           (size_t) partition * WSIG_PARTITION_SLOTS;
}

static void wsig_changes_add(wsig_zone_t *zone, uint32_t slot);

void
wsig_registry_init(wsig_zone_t *zone)
{
    uint32_t i;

    for (i = 0; i < zone->shared->partitions; i++) {
        wsig_mutex_init(&wsig_partitions(zone)[i].lock);
    }
    wsig_mutex_init(&wsig_changes(zone)->lock);
}

/* A slot that was being filled has not its state yet, so it is free still,
 * and a removed one is so at once.  What may lack is the entry in the log. */
static void
wsig_partition_lock(wsig_zone_t *zone, uint32_t number)
{
    wsig_partition_t *partition = &wsig_partitions(zone)[number];
    const wsig_slot_t *slots = wsig_slots(zone, number);
    uint32_t i, live = 0;

    if (!wsig_mutex_lock(&partition->lock)) {
        return;
    }
    for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
        live += slots[i].state == WSIG_SLOT_LIVE;
    }
    atomic_store(&partition->live, live);
    wsig_changes_add(zone, READ_ALL_AGAIN);
}

static void
wsig_partition_unlock(wsig_zone_t *zone, uint32_t number)
{
    pthread_mutex_unlock(&wsig_partitions(zone)[number].lock);
}

static void
wsig_live_add(wsig_zone_t *zone, uint32_t partition, int n)
{
    atomic_fetch_add_explicit(&wsig_partitions(zone)[partition].live,
                              (uint32_t) n, memory_order_relaxed);
}

int
wsig_realm_id(const wsig_zone_t *zone, wsig_dialect_t dialect,
              wsig_text_t realm, wsig_realm_id_t *id)
{
    uint8_t data[257];

    /* Longer ones are cut down to their hash first. */
    data[0] = (uint8_t) dialect;
    if (realm.size < sizeof(data)) {
        memcpy(data + 1, realm.data, realm.size);
        return wsig_zone_hash(zone, data, 1 + realm.size, id->bytes);
    }
    if (wsig_zone_hash(zone, realm.data, realm.size, data + 1) != WSIG_OK) {
        return WSIG_NOMEM;
    }
    return wsig_zone_hash(zone, data, 17, id->bytes);
}

int
wsig_name_hash(const wsig_zone_t *zone, const wsig_realm_id_t *realm,
               wsig_text_t name, uint32_t *hash)
{
    uint8_t data[sizeof(*realm) + WSIG_NAME_MAX], out[16];

    memcpy(data, realm, sizeof(*realm));
    memcpy(data + sizeof(*realm), name.data, name.size);
    if (wsig_zone_hash(zone, data, sizeof(*realm) + name.size, out) !=
        WSIG_OK) {
        return WSIG_NOMEM;
    }
    memcpy(hash, out, sizeof(*hash));
    return WSIG_OK;
}

static uint32_t
wsig_hash_partition(const wsig_zone_t *zone, uint32_t hash)
{
    return (uint32_t) (((uint64_t) hash * zone->shared->partitions) >> 32);
}

/* The low bits: the high ones have chosen the partition. */
static uint32_t
wsig_hash_start(uint32_t hash)
{
    return hash & (WSIG_PARTITION_SLOTS - 1);
}

/* A peer that may come back lives on without its worker. */
static bool
wsig_slot_lives(const wsig_zone_t *zone, const wsig_slot_t *slot)
{
    return slot->state == WSIG_SLOT_LIVE &&
           (slot->window > 0 ||
            wsig_place_lives(zone, slot->worker, slot->epoch));
}

static bool
wsig_slot_is(const wsig_slot_t *slot, const wsig_realm_id_t *realm,
             wsig_text_t name, uint32_t hash)
{
    return slot->state == WSIG_SLOT_LIVE && slot->hash == hash &&
           memcmp(&slot->realm, realm, sizeof(*realm)) == 0 &&
           wsig_text_same(wsig_slot_name(slot), name);
}

/* Under the lock: free a slot, and shorten the probe paths that end here. */
static void
wsig_slot_free(wsig_zone_t *zone, uint32_t partition, uint32_t at)
{
    wsig_slot_t *slots = wsig_slots(zone, partition);
    uint32_t i, mask = WSIG_PARTITION_SLOTS - 1;

    slots[at].state = WSIG_SLOT_DEAD;
    wsig_live_add(zone, partition, -1);
    wsig_changes_add(zone, partition * WSIG_PARTITION_SLOTS + at);
    if (slots[(at + 1) & mask].state == WSIG_SLOT_EMPTY) {
        while (slots[at].state == WSIG_SLOT_DEAD) {
            slots[at].state = WSIG_SLOT_EMPTY;
            at = (at - 1) & mask;
        }
    } else if (atomic_load(&wsig_partitions(zone)[partition].live) == 0) {
        for (i = 0; i <= mask; i++) {
            slots[i].state = WSIG_SLOT_EMPTY;
        }
    }
}

static wsig_address_t
wsig_slot_address(uint32_t partition, uint32_t at, const wsig_slot_t *slot)
{
    return (wsig_address_t){partition * WSIG_PARTITION_SLOTS + at,
                            slot->generation};
}

int
wsig_registry_add(wsig_zone_t *zone, const wsig_slot_t *peer,
                  wsig_address_t *address, wsig_slot_t *holder,
                  wsig_address_t *holder_at)
{
    wsig_slot_t *slots, *slot;
    wsig_text_t name = wsig_slot_name(peer);
    uint32_t hash, partition, at, i, same = 0, free = UINT32_MAX;
    bool verified = peer->flags & WSIG_PEER_VERIFIED;
    int rc = WSIG_OK;

    if (wsig_name_hash(zone, &peer->realm, name, &hash) != WSIG_OK) {
        return WSIG_NOMEM;
    }
    partition = wsig_hash_partition(zone, hash);
    slots = wsig_slots(zone, partition);
    at = wsig_hash_start(hash);
    wsig_partition_lock(zone, partition);

    for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
        slot = &slots[(at + i) & (WSIG_PARTITION_SLOTS - 1)];
        if (slot->state != WSIG_SLOT_LIVE && free == UINT32_MAX) {
            free = (uint32_t) (slot - slots);
        }
        if (slot->state == WSIG_SLOT_EMPTY) {
            break;
        }
        if (!wsig_slot_is(slot, &peer->realm, name, hash)) {
            continue;
        }
        if (!wsig_slot_lives(zone, slot) ||
            (verified && !(slot->flags & WSIG_PEER_VERIFIED))) {
            wsig_slot_free(zone, partition, (uint32_t) (slot - slots));
            if (free == UINT32_MAX) {
                free = (uint32_t) (slot - slots);
            }
            if (slot->state == WSIG_SLOT_EMPTY) {
                break;
            }
            continue;
        }
        if (!verified) {
            *holder = *slot;
            *holder_at =
                wsig_slot_address(partition, (uint32_t) (slot - slots), slot);
            rc = WSIG_TAKEN;
            goto done;
        }
        same++;
    }
    if (free == UINT32_MAX || same >= WSIG_USER_PEERS) {
        rc = WSIG_FULL;
        goto done;
    }
    slot = &slots[free];
    i = slot->generation + 1;
    memcpy((char *) slot + sizeof(slot->state),
           (const char *) peer + sizeof(slot->state),
           sizeof(*slot) - sizeof(slot->state));
    slot->generation = i != 0 ? i : 1;
    slot->hash = hash;
    slot->call = 0;
    slot->lost_until = 0;
    slot->token = 1;
    slot->used = 0;
    atomic_thread_fence(memory_order_release);
    slot->state = WSIG_SLOT_LIVE;
    *address = wsig_slot_address(partition, free, slot);
    wsig_live_add(zone, partition, 1);
    wsig_changes_add(zone, address->slot);

done:
    wsig_partition_unlock(zone, partition);
    return rc;
}

/* Lock the partition of an address and find its slot; NULL: it is another's
 * now.  Unlock in any case. */
static wsig_slot_t *
wsig_slot_lock(wsig_zone_t *zone, wsig_address_t address, uint32_t *partition)
{
    wsig_slot_t *slot;

    *partition = address.slot / WSIG_PARTITION_SLOTS;
    wsig_partition_lock(zone, *partition);
    slot = &wsig_slots(zone, *partition)[address.slot % WSIG_PARTITION_SLOTS];
    return slot->state == WSIG_SLOT_LIVE &&
                   slot->generation == address.generation
               ? slot
               : NULL;
}

int
wsig_registry_remove(wsig_zone_t *zone, wsig_address_t address,
                     wsig_owner_t owner)
{
    uint32_t partition;
    wsig_slot_t *slot = wsig_slot_lock(zone, address, &partition);
    int rc = WSIG_ABSENT;

    if (slot != NULL && wsig_slot_is_of(slot, owner)) {
        wsig_slot_free(zone, partition, address.slot % WSIG_PARTITION_SLOTS);
        rc = WSIG_OK;
    }
    wsig_partition_unlock(zone, partition);
    return rc;
}

/* Have the places of the lost looked through at this time, if not before; a
 * little late, so that it is done for many at once. */
static void
wsig_orphans_expect(wsig_zone_t *zone, int64_t at)
{
    int64_t before = atomic_load(&zone->shared->orphans_at);

    at += ORPHAN_STEP - at % ORPHAN_STEP;
    while (at < before && !atomic_compare_exchange_weak(
                              &zone->shared->orphans_at, &before, at)) {
    }
}

/* The epoch is stored last, and 0 in between: it is that of no worker. */
static void
wsig_slot_own(wsig_slot_t *slot, wsig_owner_t owner)
{
    slot->epoch = 0;
    atomic_signal_fence(memory_order_release);
    slot->worker = (uint16_t) owner.worker;
    atomic_signal_fence(memory_order_release);
    slot->epoch = owner.epoch;
}

static int
wsig_slot_lose(wsig_zone_t *zone, wsig_address_t address, wsig_owner_t owner,
               int64_t until, bool keeps)
{
    uint32_t partition;
    wsig_slot_t *slot = wsig_slot_lock(zone, address, &partition);
    int rc = WSIG_ABSENT;

    if (slot != NULL && wsig_slot_is_of(slot, owner)) {
        slot->lost_until = until;
        if (!keeps) {
            slot->epoch = 0;
        }
        wsig_changes_add(zone, address.slot);
        rc = WSIG_OK;
    }
    wsig_partition_unlock(zone, partition);
    if (rc == WSIG_OK) {
        wsig_orphans_expect(zone, until + (keeps ? ORPHAN_GRACE : 0));
    }
    return rc;
}

int
wsig_registry_lose(wsig_zone_t *zone, wsig_address_t address,
                   wsig_owner_t owner, int64_t until)
{
    return wsig_slot_lose(zone, address, owner, until, true);
}

int
wsig_registry_orphan(wsig_zone_t *zone, wsig_address_t address,
                     wsig_owner_t owner, int64_t until)
{
    return wsig_slot_lose(zone, address, owner, until, false);
}

int
wsig_registry_take(wsig_zone_t *zone, wsig_address_t address,
                   wsig_shown_t shown, wsig_owner_t from, wsig_owner_t to,
                   int64_t until, wsig_slot_t *peer)
{
    uint32_t partition;
    wsig_slot_t *slot = wsig_slot_lock(zone, address, &partition);
    int rc = WSIG_OK;

    if (slot == NULL || !wsig_slot_knows(slot, shown.token)) {
        rc = WSIG_ABSENT;
    } else if (slot->token != shown.newest) {
        rc = WSIG_FORBIDDEN;
    } else if (!wsig_slot_is_of(slot, from)) {
        rc = WSIG_TAKEN;
    } else {
        if (until == 0) {
            slot->used = shown.token;
            slot->token = slot->token + 1 != 0 ? slot->token + 1 : 1;
        }
        slot->lost_until = until;
        wsig_slot_own(slot, to);
        *peer = *slot;
        wsig_changes_add(zone, address.slot);
    }
    wsig_partition_unlock(zone, partition);
    return rc;
}

void
wsig_registry_heard(wsig_zone_t *zone, wsig_address_t address,
                    wsig_owner_t owner)
{
    uint32_t partition;
    wsig_slot_t *slot = wsig_slot_lock(zone, address, &partition);

    if (slot != NULL && wsig_slot_is_of(slot, owner)) {
        slot->used = 0;
    }
    wsig_partition_unlock(zone, partition);
}

int
wsig_registry_get(wsig_zone_t *zone, wsig_address_t address, wsig_slot_t *peer)
{
    return wsig_registry_read(zone, address.slot, peer) &&
                   peer->generation == address.generation
               ? WSIG_OK
               : WSIG_ABSENT;
}

bool
wsig_registry_read(wsig_zone_t *zone, uint32_t number, wsig_slot_t *peer)
{
    uint32_t partition = number / WSIG_PARTITION_SLOTS;

    wsig_partition_lock(zone, partition);
    *peer = wsig_slots(zone, partition)[number % WSIG_PARTITION_SLOTS];
    wsig_partition_unlock(zone, partition);
    return wsig_slot_lives(zone, peer);
}

int
wsig_registry_find(wsig_zone_t *zone, const wsig_realm_id_t *realm,
                   wsig_text_t name, wsig_slot_t peers[WSIG_USER_PEERS],
                   wsig_address_t at[WSIG_USER_PEERS])
{
    const wsig_slot_t *slots, *slot;
    uint32_t hash, partition, start, i;
    int n = 0;

    if (wsig_name_hash(zone, realm, name, &hash) != WSIG_OK) {
        return WSIG_NOMEM;
    }
    partition = wsig_hash_partition(zone, hash);
    slots = wsig_slots(zone, partition);
    start = wsig_hash_start(hash);
    wsig_partition_lock(zone, partition);
    for (i = 0; i < WSIG_PARTITION_SLOTS && n < WSIG_USER_PEERS; i++) {
        slot = &slots[(start + i) & (WSIG_PARTITION_SLOTS - 1)];
        if (slot->state == WSIG_SLOT_EMPTY) {
            break;
        }
        if (wsig_slot_is(slot, realm, name, hash) &&
            wsig_slot_lives(zone, slot)) {
            peers[n] = *slot;
            at[n] =
                wsig_slot_address(partition, (uint32_t) (slot - slots), slot);
            n++;
        }
    }
    wsig_partition_unlock(zone, partition);
    return n;
}

int
wsig_registry_flag(wsig_zone_t *zone, wsig_address_t address, uint8_t set,
                   uint8_t clear)
{
    uint32_t partition;
    wsig_slot_t *slot = wsig_slot_lock(zone, address, &partition);
    uint8_t flags;

    if (slot != NULL) {
        flags = (uint8_t) ((slot->flags | set) & ~clear);
        if (flags != slot->flags) {
            slot->flags = flags;
            wsig_changes_add(zone, address.slot);
        }
    }
    wsig_partition_unlock(zone, partition);
    return slot != NULL ? WSIG_OK : WSIG_ABSENT;
}

int
wsig_registry_set_call(wsig_zone_t *zone, wsig_address_t address,
                       uint64_t expected, uint64_t call)
{
    uint32_t partition;
    wsig_slot_t *slot = wsig_slot_lock(zone, address, &partition);
    int rc = slot == NULL             ? WSIG_ABSENT
             : slot->call != expected ? WSIG_TAKEN
                                      : WSIG_OK;

    if (rc == WSIG_OK && call != expected) {
        slot->call = call;
        wsig_changes_add(zone, address.slot);
    }
    wsig_partition_unlock(zone, partition);
    return rc;
}

/* What becomes of a slot whose worker died, or whose time is up.  A living
 * worker looks after its own; some time later that has failed. */
static void
wsig_slot_sweep(wsig_zone_t *zone, uint32_t partition, uint32_t at, int64_t now)
{
    wsig_slot_t *slot = &wsig_slots(zone, partition)[at];
    bool orphan = !wsig_place_lives(zone, slot->worker, slot->epoch);
    int64_t until;

    if (orphan && slot->window > 0 && slot->lost_until == 0) {
        slot->lost_until = now + slot->window;
        wsig_changes_add(zone, partition * WSIG_PARTITION_SLOTS + at);
    }
    if (!orphan && slot->lost_until == 0) {
        return;
    }
    until = slot->lost_until + (orphan ? 0 : ORPHAN_GRACE);
    if (now >= until) {
        wsig_slot_free(zone, partition, at);
    } else {
        wsig_orphans_expect(zone, until);
    }
}

void
wsig_registry_sweep(wsig_zone_t *zone, uint32_t partition, int64_t now)
{
    const wsig_slot_t *slots = wsig_slots(zone, partition);
    uint32_t i;

    wsig_partition_lock(zone, partition);
    if (atomic_load(&wsig_partitions(zone)[partition].live) > 0) {
        for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
            if (slots[i].state == WSIG_SLOT_LIVE) {
                wsig_slot_sweep(zone, partition, i, now);
            }
        }
    }
    wsig_partition_unlock(zone, partition);
}

void
wsig_registry_walk(wsig_zone_t *zone,
                   void (*visit)(void *ctx, uint32_t slot,
                                 const wsig_slot_t *peer),
                   void *ctx)
{
    const wsig_slot_t *slots;
    uint32_t partition, i;

    for (partition = 0; partition < zone->shared->partitions; partition++) {
        if (atomic_load(&wsig_partitions(zone)[partition].live) == 0) {
            continue;
        }
        slots = wsig_slots(zone, partition);
        wsig_partition_lock(zone, partition);
        for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
            if (slots[i].state == WSIG_SLOT_LIVE &&
                wsig_slot_lives(zone, &slots[i])) {
                visit(ctx, partition * WSIG_PARTITION_SLOTS + i, &slots[i]);
            }
        }
        wsig_partition_unlock(zone, partition);
    }
}

uint64_t
wsig_registry_live(const wsig_zone_t *zone)
{
    uint64_t live = 0;
    uint32_t i;

    for (i = 0; i < zone->shared->partitions; i++) {
        live += atomic_load(&wsig_partitions(zone)[i].live);
    }
    return live;
}

size_t
wsig_changes_size(uint32_t entries)
{
    return sizeof(wsig_changes_t) + (size_t) entries * sizeof(uint32_t);
}

static void
wsig_changes_add(wsig_zone_t *zone, uint32_t slot)
{
    wsig_changes_t *changes = wsig_changes(zone);
    uint64_t written;

    /* An entry that was not counted yet is written over. */
    (void) wsig_mutex_lock(&changes->lock);
    written = atomic_load_explicit(&changes->written, memory_order_relaxed);
    atomic_store_explicit(
        &changes->slots[written & (zone->shared->changes - 1)], slot,
        memory_order_relaxed);
    atomic_store_explicit(&changes->written, written + 1, memory_order_release);
    pthread_mutex_unlock(&changes->lock);
}

uint64_t
wsig_changes_end(const wsig_zone_t *zone)
{
    return atomic_load_explicit(&wsig_changes(zone)->written,
                                memory_order_acquire);
}

int
wsig_changes_read(const wsig_zone_t *zone, uint64_t *cursor, uint32_t *slots,
                  int room)
{
    const wsig_changes_t *changes = wsig_changes(zone);
    uint32_t size = zone->shared->changes;
    uint64_t end = wsig_changes_end(zone);
    uint64_t at = *cursor;
    int n;

    for (n = 0; n < room && at < end; n++, at++) {
        slots[n] = atomic_load_explicit(&changes->slots[at & (size - 1)],
                                        memory_order_relaxed);
        if (slots[n] == READ_ALL_AGAIN) {
            *cursor = end;
            return WSIG_FULL;
        }
    }
    /* Were any of them written over while we read?  (The one being written
     * now is not counted yet.) */
    atomic_thread_fence(memory_order_acquire);
    end = wsig_changes_end(zone);
    if (end + 1 - *cursor > size) {
        *cursor = end;
        return WSIG_FULL;
    }
    *cursor = at;
    return n;
}
