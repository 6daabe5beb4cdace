/*
 * The mailbox: order, wrap-around, a full ring, a busy lock, a reader that is
 * gone, the doorbell; and the relay that waits for all that.
 */

#include "check.h"
#include "frames.h"
#include "host.h"
#include "wsig_relay.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static wsig_zone_t *zone;
static unsigned self;
static uint32_t epoch;
static bool died;
static char *body;
static size_t room;

static void
fill(char *data, uint32_t number, size_t size)
{
    size_t i;

    for (i = 0; i < size; i++) {
        data[i] = (char) (number * 31 + i * 7);
    }
}

static int
post(uint32_t number, size_t size, size_t reserve)
{
    static char data[WSIG_RING_SIZE];
    wsig_record_t record = {.size = (uint32_t) size,
                            .kind = WSIG_RECORD_TEXT,
                            .to = {number, ~number},
                            .call = number * 3ull};

    fill(data, number, size);
    return wsig_mailbox_post(zone, self, epoch, &record, size > 0 ? data : NULL,
                             reserve);
}

static void
take(uint32_t number, size_t size)
{
    static char data[WSIG_RING_SIZE];
    wsig_record_t record;

    CHECK(wsig_mailbox_take(zone, self, &record, &body, &room) == WSIG_OK, "%u",
          number);
    CHECK(record.to.slot == number && record.to.generation == ~number &&
              record.call == number * 3ull,
          "%u, not %u", record.to.slot, number);
    CHECK(record.size == size);
    fill(data, number, size);
    CHECK(size == 0 || memcmp(body, data, size) == 0, "%u", number);
}

static void
is_empty(void)
{
    wsig_record_t record;

    CHECK(wsig_mailbox_take(zone, self, &record, &body, &room) == WSIG_AGAIN);
}

/* Every size, so that records are cut by the ring's end at every place. */
static void
order(void)
{
    enum {
        AHEAD = 40
    };
    uint64_t seed = host_zone_seed();
    size_t sizes[AHEAD];
    uint32_t first = 0, next = 0;
    int i;

    for (i = 0; i < 30000; i++) {
        if (next - first < AHEAD && random_below(&seed, 2) == 0) {
            sizes[next % AHEAD] = random_below(&seed, 100) == 0
                                      ? random_below(&seed, 20000)
                                      : random_below(&seed, 300);
            CHECK(post(next, sizes[next % AHEAD], 0) == WSIG_OK);
            next++;
        } else if (first < next) {
            take(first, sizes[first % AHEAD]);
            first++;
        } else {
            is_empty();
        }
    }
    for (; first < next; first++) {
        take(first, sizes[first % AHEAD]);
    }
    is_empty();
}

static void
full(void)
{
    uint32_t first = 0, next = 0;

    while (post(next, 5000, 0) == WSIG_OK) {
        next++;
    }
    CHECK(post(next, 5000, 0) == WSIG_AGAIN);
    CHECK(next == WSIG_RING_SIZE / (5000 + sizeof(wsig_record_t)), "%u", next);
    take(first++, 5000);
    CHECK(post(next, 5000, 8192) == WSIG_AGAIN); /* the reserve */
    CHECK(post(next++, 5000, 0) == WSIG_OK);
    while (first < next) {
        take(first++, 5000);
    }
    is_empty();
    CHECK(post(0, 4 * WSIG_MAX_MESSAGE_LIMIT - 200, 0) == WSIG_OK);
    take(0, 4 * WSIG_MAX_MESSAGE_LIMIT - 200);
    CHECK(wsig_mailbox_post(zone, self, epoch - 2, &(wsig_record_t){.size = 0},
                            NULL, 0) == WSIG_ABSENT);
    is_empty();
}

static void *
hold_and_die(void *arg)
{
    pthread_mutex_lock(&zone->shared->places[self].producers);
    /* as one who died while he copied: what lies behind the tail */
    memset(wsig_zone_at(zone, zone->shared->rings_at), 0x55, 100);
    return arg;
}

static void
a_dead_producer(void)
{
    pthread_t thread;

    CHECK(post(1, 10, 0) == WSIG_OK);
    take(1, 10);
    pthread_create(&thread, NULL, hold_and_die, NULL);
    pthread_join(thread, NULL);
    CHECK(post(2, 10, 0) == WSIG_OK);
    take(2, 10);
    is_empty();
}

/* The lock is busy: what waits is delivered later, in order with the rest. */
static int gone;

static void
one_gone(void *ctx, const wsig_record_t *record, const void *body,
         wsig_time_t now)
{
    (void) ctx;
    (void) record;
    (void) body;
    (void) now;
    gone++;
}

static void
relay(void)
{
    static wsig_relay_t relay;
    char data[4000];
    wsig_record_t record = {.kind = WSIG_RECORD_TEXT, .size = sizeof(data)};
    uint32_t i, n;

    relay.zone = zone;
    relay.socket = -1;
    relay.gone = one_gone;
    for (i = 0; i < 2000; i++) {
        if (i == 10) {
            pthread_mutex_lock(&zone->shared->places[self].producers);
        }
        record.to = (wsig_address_t){i, ~i};
        record.call = i * 3ull;
        fill(data, i, sizeof(data));
        CHECK(wsig_relay_post(&relay, self, epoch, &record, data) == WSIG_OK);
        if (i == 20) {
            CHECK(relay.bytes > 11 * sizeof(data));
            wsig_relay_retry(&relay, (wsig_time_t){0, 0});
            pthread_mutex_unlock(&zone->shared->places[self].producers);
        }
    }
    /* the ring is full long since; the rest waits */
    for (i = 0; i < 2000;) {
        wsig_relay_retry(&relay, (wsig_time_t){0, 0});
        for (n = 0; n < 50 && i < 2000; n++, i++) {
            take(i, sizeof(data));
        }
    }
    is_empty();
    CHECK(relay.bytes == 0);
    /* for one who is gone nothing waits */
    CHECK(wsig_relay_post(&relay, self, epoch + 2, &record, data) ==
          WSIG_ABSENT);
    while (relay.bytes == 0) {
        CHECK(wsig_relay_post(&relay, self, epoch, &record, data) == WSIG_OK);
    }
    wsig_place_release(zone, self);
    wsig_relay_retry(&relay, (wsig_time_t){0, 0});
    CHECK(relay.bytes == 0 && gone > 0, "%d", gone);
    CHECK(wsig_place_claim(zone, &self, &epoch, &died) == WSIG_OK && !died);
    is_empty(); /* a new owner begins with nothing */
    pthread_mutex_lock(&zone->shared->places[self].producers);
    CHECK(wsig_relay_post(&relay, self, epoch, &record, data) == WSIG_OK);
    pthread_mutex_unlock(&zone->shared->places[self].producers);
    wsig_relay_free(&relay);
}

static bool
rings(int bell)
{
    return poll(&(struct pollfd){bell, POLLIN, 0}, 1, 0) == 1;
}

static void
doorbell(void)
{
    int bell = wsig_mailbox_open(zone, self);
    int i;

    CHECK(bell >= 0);
    wsig_mailbox_ring(zone, self, bell);
    CHECK(!rings(bell)); /* not asked for */
    CHECK(wsig_mailbox_arm(zone, self));
    CHECK(post(0, 1, 0) == WSIG_OK);
    wsig_mailbox_ring(zone, self, bell);
    CHECK(rings(bell));
    wsig_mailbox_hush(bell);
    CHECK(!rings(bell));
    wsig_mailbox_ring(zone, self, bell);
    CHECK(!rings(bell));                  /* once */
    CHECK(!wsig_mailbox_arm(zone, self)); /* something is there */
    take(0, 1);
    for (i = 0; i < 1000; i++) { /* more than a socket holds */
        CHECK(wsig_mailbox_arm(zone, self));
        wsig_mailbox_ring(zone, self, bell);
    }
    CHECK(rings(bell));
    wsig_mailbox_hush(bell);
    CHECK(!rings(bell));
    close(bell);
    CHECK(wsig_mailbox_arm(zone, self));
    bell = wsig_mailbox_open(zone, self); /* in place of the old one's */
    wsig_mailbox_ring(zone, self, bell);
    CHECK(rings(bell));
    close(bell);
}

int
main(void)
{
    zone = host_zone(WSIG_ZONE_MIN);
    CHECK(wsig_place_claim(zone, &self, &epoch, &died) == WSIG_OK && !died);
    a_dead_producer();
    order();
    full();
    relay();
    doorbell();
    wsig_place_release(zone, self);
    free(body);
    host_zone_remove(zone);
    return 0;
}
