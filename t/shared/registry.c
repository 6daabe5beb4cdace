/*
 * The registry against a plain list: people come and go at random in a table
 * that is nearly full, so that probe paths are long, meet and shrink.  And the
 * records of calls, as somebody may leave them who dies.
 */

#include "check.h"
#include "frames.h"
#include "host.h"
#include "wsig_call.h"

#include <pthread.h>
#include <string.h>

enum {
    NAMES = 3600,
    PEERS = 4000,
#ifdef __SANITIZE_ADDRESS__
    STEPS = 40000
#else
    STEPS = 150000
#endif
};

static wsig_zone_t *zone;
static wsig_realm_id_t realms[2];
static unsigned place;
static uint32_t epoch;
static bool died;

typedef struct {
    bool in;
    bool verified;
    int name;
    wsig_address_t at;
} peer_t;

static peer_t peers[PEERS];
static int users[NAMES]; /* peers of each */
static bool verified[NAMES];

static wsig_slot_t
slot_of(int name, bool is_verified)
{
    wsig_slot_t slot = {.realm = realms[name % 2],
                        .worker = (uint16_t) place,
                        .epoch = epoch,
                        .flags = is_verified ? WSIG_PEER_VERIFIED : 0};

    slot.name_size = (uint8_t) sprintf(slot.name, "name %d", name / 2);
    return slot;
}

static void
check_user(int name)
{
    wsig_slot_t slot = slot_of(name, false), found[WSIG_USER_PEERS];
    wsig_address_t at[WSIG_USER_PEERS];
    int i, n;

    n = wsig_registry_find(zone, &slot.realm, wsig_slot_name(&slot), found, at);
    CHECK(n == users[name], "%d: %d, not %d", name, n, users[name]);
    for (i = 0; i < n; i++) {
        CHECK(found[i].name_size == slot.name_size &&
              memcmp(found[i].name, slot.name, slot.name_size) == 0);
        CHECK(wsig_registry_get(zone, at[i], &slot) == WSIG_OK);
    }
}

static wsig_owner_t
self(void)
{
    return (wsig_owner_t){place, epoch};
}

static void
come(peer_t *peer, int name, bool is_verified)
{
    wsig_slot_t slot = slot_of(name, is_verified), holder;
    wsig_address_t holder_at;
    int i, rc;

    rc = wsig_registry_add(zone, &slot, &peer->at, &holder, &holder_at);
    if (!is_verified && users[name] > 0) {
        CHECK(rc == WSIG_TAKEN);
        CHECK(!(holder.flags & WSIG_PEER_VERIFIED) == !verified[name]);
        return;
    }
    if (is_verified && users[name] == WSIG_USER_PEERS) {
        CHECK(rc == WSIG_FULL);
        return;
    }
    if (is_verified && users[name] > 0 && !verified[name]) {
        /* the guest is out */
        for (i = 0; i < PEERS; i++) {
            if (peers[i].in && peers[i].name == name) {
                peers[i].in = false;
                CHECK(wsig_registry_remove(zone, peers[i].at, self()) == WSIG_ABSENT);
            }
        }
        users[name] = 0;
    }
    CHECK(rc == WSIG_OK, "%d", rc);
    peer->in = true;
    peer->name = name;
    users[name]++;
    verified[name] = is_verified;
}

static void
count_one(void *ctx, uint32_t slot, const wsig_slot_t *peer)
{
    (void) slot;
    (void) peer;
    (*(int *) ctx)++;
}

static void
against_a_list(void)
{
    uint64_t seed = host_zone_seed();
    int step, in = 0, i, n;
    peer_t *peer;

    for (step = 0; step < STEPS; step++) {
        peer = &peers[random_below(&seed, PEERS)];
        if (!peer->in) {
            come(peer, (int) random_below(&seed, NAMES),
                 random_below(&seed, 3) == 0);
        } else if (random_below(&seed, 3) == 0) {
            CHECK(wsig_registry_remove(zone, peer->at, self()) == WSIG_OK);
            CHECK(wsig_registry_remove(zone, peer->at, self()) == WSIG_ABSENT);
            peer->in = false;
            users[peer->name]--;
        }
        check_user((int) random_below(&seed, NAMES));
    }
    for (i = 0; i < PEERS; i++) {
        in += peers[i].in;
    }
    CHECK(in > 1500, "%d", in);
    CHECK(wsig_registry_live(zone) == (uint64_t) in);
    n = 0;
    wsig_registry_walk(zone, count_one, &n);
    CHECK(n == in);
    for (i = 0; i < NAMES; i++) {
        check_user(i);
    }
}

/* A slot that is not empty lengthens the look-up of every absent name. */
static void
all_is_empty(void)
{
    const wsig_slot_t *slots = wsig_zone_at(zone, zone->shared->slots_at);
    uint32_t i;

    CHECK(zone->shared->partitions == 1);
    CHECK(wsig_registry_live(zone) == 0);
    for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
        CHECK(slots[i].state == WSIG_SLOT_EMPTY, "slot %u", i);
    }
}

/* Full once, and empty again, whoever goes first: no trace is left. */
static void
full_and_left(int step)
{
    static wsig_address_t at[WSIG_PARTITION_SLOTS];
    wsig_slot_t slot = {.realm = realms[0],
                        .worker = (uint16_t) place,
                        .epoch = epoch},
                holder;
    wsig_address_t holder_at;
    int i;

    for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
        slot.name_size = (uint8_t) sprintf(slot.name, "one of %d", i);
        CHECK(wsig_registry_add(zone, &slot, &at[i], &holder, &holder_at) ==
              WSIG_OK);
    }
    slot.name_size = (uint8_t) sprintf(slot.name, "one more");
    CHECK(wsig_registry_add(zone, &slot, &at[0], &holder, &holder_at) ==
          WSIG_FULL);
    for (i = 0; i < WSIG_PARTITION_SLOTS; i++) {
        CHECK(wsig_registry_remove(
                  zone, at[(i * step) & (WSIG_PARTITION_SLOTS - 1)],
                  self()) == WSIG_OK);
    }
    all_is_empty();
}

/* Nobody more than there is room for; then all of a dead worker's go. */
static void
full_and_swept(void)
{
    wsig_slot_t slot = {.realm = realms[0],
                        .worker = (uint16_t) place,
                        .epoch = epoch},
                holder;
    wsig_address_t at, holder_at;
    int i, rc, n = 0;

    for (i = 0;; i++) {
        slot.name_size = (uint8_t) sprintf(slot.name, "more %d", i);
        rc = wsig_registry_add(zone, &slot, &at, &holder, &holder_at);
        if (rc != WSIG_OK) {
            break;
        }
    }
    CHECK(rc == WSIG_FULL);
    CHECK(wsig_registry_live(zone) == WSIG_PARTITION_SLOTS);
    wsig_place_release(zone, place);
    wsig_registry_walk(zone, count_one, &n);
    CHECK(n == 0);
    CHECK(wsig_registry_get(zone, at, &slot) == WSIG_ABSENT);
    wsig_registry_sweep(zone, 0, 0);
    all_is_empty();
    CHECK(wsig_place_claim(zone, &place, &epoch, &died) == WSIG_OK);
}

/* Whatever stands in a free record, the next call in it has an id of its
 * own. */
static void
half_filled_records(void)
{
    wsig_slot_t caller = slot_of(0, false), callee = slot_of(2, false), holder;
    wsig_address_t from, to, at;
    wsig_dial_t dial = {.media = &(wsig_media_t){0}, .ring_timeout = 1000};
    wsig_call_t *records = wsig_zone_at(zone, zone->shared->records_at);
    wsig_notes_t notes;
    wsig_time_t now = {1000, 0};
    uint32_t cursor, ringing, answered, i;
    uint64_t id, before = 0;
    bool ended;

    CHECK(wsig_registry_add(zone, &caller, &from, &holder, &at) == WSIG_OK);
    CHECK(wsig_registry_add(zone, &callee, &to, &holder, &at) == WSIG_OK);
    dial.caller = from;
    dial.to = wsig_slot_name(&callee);
    for (i = 0; i < 20; i++) {
        CHECK(wsig_call_dial(zone, &dial, now, &id, &notes) == WSIG_OK);
        CHECK(id != before && notes.n == 2);
        before = id;
        CHECK(wsig_call_hangup(zone, id, to, now, &ended, &notes) == WSIG_OK);
        CHECK(ended && notes.n == 2);
        now.mono += WSIG_CALL_KEPT;
        cursor = 0;
        CHECK(!wsig_call_sweep(zone, &cursor, now, &notes));
        CHECK(wsig_call_hangup(zone, id, to, now, &ended, &notes) ==
              WSIG_ABSENT);
        memset(&records[(uint32_t) id], i % 2 == 0 ? 0 : 0xff,
               i * sizeof(*records) / 20);
    }
    wsig_call_numbers(zone, &ringing, &answered);
    CHECK(ringing == 0 && answered == 0);
}

/* Who died as he changed the lists of the calls left them in pieces. */
static void *
tear_lists(void *arg)
{
    enum {
        LISTS = 2 * 1024 * sizeof(uint32_t)
    };
    char *calls = wsig_zone_at(zone, zone->shared->calls_at);

    pthread_mutex_lock((pthread_mutex_t *) calls);
    memset(calls + wsig_calls_size(zone->shared->calls) - LISTS, 0, LISTS);
    return arg;
}

static void
torn_lists(void)
{
    wsig_slot_t caller = slot_of(4, true), callee = slot_of(6, true), holder;
    wsig_address_t from, to, more, at;
    wsig_dial_t dial = {.media = &(wsig_media_t){0}, .ring_timeout = 1000};
    uint64_t id, ids[WSIG_CALLS_RINGING];
    wsig_notes_t notes;
    wsig_time_t now = {1000, 0};
    uint32_t cursor = 0;
    pthread_t thread;

    CHECK(wsig_registry_add(zone, &caller, &from, &holder, &at) == WSIG_OK);
    CHECK(wsig_registry_add(zone, &callee, &to, &holder, &at) == WSIG_OK);
    CHECK(wsig_registry_add(zone, &callee, &more, &holder, &at) == WSIG_OK);
    dial.caller = from;
    dial.to = wsig_slot_name(&callee);
    CHECK(wsig_call_dial(zone, &dial, now, &id, &notes) == WSIG_OK);
    CHECK(notes.n == 3);
    pthread_create(&thread, NULL, tear_lists, NULL);
    pthread_join(thread, NULL);
    CHECK(wsig_call_joined(zone, more, ids) == 1 && ids[0] == id);
    pthread_create(&thread, NULL, tear_lists, NULL);
    pthread_join(thread, NULL);
    now.mono += 1000;
    CHECK(wsig_call_sweep(zone, &cursor, now, &notes) && notes.n == 3);
    now.mono += WSIG_CALL_KEPT;
    cursor = 0;
    CHECK(!wsig_call_sweep(zone, &cursor, now, &notes));
    CHECK(wsig_call_joined(zone, more, ids) == 0);
}

int
main(void)
{
    zone = host_zone(WSIG_ZONE_MIN);
    CHECK(wsig_place_claim(zone, &place, &epoch, &died) == WSIG_OK);
    CHECK(wsig_realm_id(zone, WSIG_NATIVE, (wsig_text_t){"a.org", 5},
                        &realms[0]) == WSIG_OK);
    CHECK(wsig_realm_id(zone, WSIG_NATIVE, (wsig_text_t){"b.org", 5},
                        &realms[1]) == WSIG_OK);
    against_a_list();
    full_and_swept();
    full_and_left(1);
    full_and_left(WSIG_PARTITION_SLOTS - 1);
    full_and_left(1597);
    half_filled_records();
    torn_lists();
    wsig_place_release(zone, place);
    host_zone_remove(zone);
    return 0;
}
