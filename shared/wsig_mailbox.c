#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "wsig_mailbox.h"

#define TRIES 20 /* for a busy lock, before it is left for later */

static char *
wsig_ring(const wsig_zone_t *zone, unsigned worker)
{
    return wsig_zone_at(zone, zone->shared->rings_at +
                                  (uint64_t) worker * WSIG_RING_SIZE);
}

static void
wsig_ring_write(char *ring, uint64_t at, const void *data, size_t size)
{
    size_t offset = at & (WSIG_RING_SIZE - 1);
    size_t first = WSIG_RING_SIZE - offset;

    if (size == 0) {
        return; /* data may be NULL then */
    }
    if (size <= first) {
        memcpy(ring + offset, data, size);
        return;
    }
    memcpy(ring + offset, data, first);
    memcpy(ring, (const char *) data + first, size - first);
}

static void
wsig_ring_read(const char *ring, uint64_t at, void *data, size_t size)
{
    size_t offset = at & (WSIG_RING_SIZE - 1);
    size_t first = WSIG_RING_SIZE - offset;

    if (size == 0) {
        return;
    }
    if (size <= first) {
        memcpy(data, ring + offset, size);
        return;
    }
    memcpy(data, ring + offset, first);
    memcpy((char *) data + first, ring, size - first);
}

static uint64_t
wsig_record_span(uint32_t size)
{
    return (sizeof(wsig_record_t) + size + 7) & ~UINT64_C(7);
}

static bool
wsig_producers_lock(wsig_place_t *place)
{
    int i, rc;

    for (i = 0; i < TRIES; i++) {
        rc = pthread_mutex_trylock(&place->producers);
        if (rc == 0) {
            return true;
        }
        if (rc == EOWNERDEAD) {
            /* What he wrote lies behind the tail: it never was. */
            pthread_mutex_consistent(&place->producers);
            return true;
        }
    }
    return false;
}

int
wsig_mailbox_post(wsig_zone_t *zone, unsigned worker, uint32_t epoch,
                  const wsig_record_t *record, const void *body, size_t reserve)
{
    wsig_place_t *place = &zone->shared->places[worker];
    char *ring = wsig_ring(zone, worker);
    uint64_t head, tail, span = wsig_record_span(record->size);
    int rc = WSIG_OK;

    if (!wsig_producers_lock(place)) {
        return WSIG_AGAIN;
    }
    head = atomic_load_explicit(&place->head, memory_order_acquire);
    tail = atomic_load_explicit(&place->tail, memory_order_relaxed);
    if (atomic_load(&place->epoch) != epoch) {
        rc = WSIG_ABSENT;
    } else if (tail - head + span + reserve > WSIG_RING_SIZE) {
        rc = WSIG_AGAIN;
    } else {
        wsig_ring_write(ring, tail, record, sizeof(*record));
        wsig_ring_write(ring, tail + sizeof(*record), body, record->size);
        atomic_store(&place->tail, tail + span);
    }
    pthread_mutex_unlock(&place->producers);
    return rc;
}

void
wsig_mailbox_ring(wsig_zone_t *zone, unsigned worker, int socket)
{
    wsig_place_t *place = &zone->shared->places[worker];
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    if (atomic_load(&place->armed) == 0 ||
        atomic_exchange(&place->armed, 0) == 0) {
        return;
    }
    wsig_zone_doorbell(zone, worker, to.sun_path);
    /* EAGAIN: one is pending.  Any other failure means that nobody is there;
     * and should a byte be lost, the owner looks on its next tick. */
    (void) sendto(socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (struct sockaddr *) &to, sizeof(to));
}

int
wsig_mailbox_take(wsig_zone_t *zone, unsigned self, wsig_record_t *record,
                  char **body, size_t *room)
{
    wsig_place_t *place = &zone->shared->places[self];
    const char *ring = wsig_ring(zone, self);
    uint64_t head = atomic_load_explicit(&place->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&place->tail, memory_order_acquire);
    char *grown;

    if (head == tail) {
        return WSIG_AGAIN;
    }
    wsig_ring_read(ring, head, record, sizeof(*record));
    if (record->size > *room) {
        grown = realloc(*body, record->size);
        if (grown == NULL) {
            return WSIG_NOMEM; /* it stays in the ring for a better time */
        }
        *body = grown;
        *room = record->size;
    }
    wsig_ring_read(ring, head + sizeof(*record), *body, record->size);
    head += wsig_record_span(record->size);
    atomic_store_explicit(&place->head, head, memory_order_release);
    return WSIG_OK;
}

bool
wsig_mailbox_arm(wsig_zone_t *zone, unsigned self)
{
    wsig_place_t *place = &zone->shared->places[self];

    atomic_store(&place->armed, 1);
    if (atomic_load(&place->tail) == atomic_load(&place->head)) {
        return true;
    }
    atomic_store(&place->armed, 0);
    return false;
}

int
wsig_mailbox_open(wsig_zone_t *zone, unsigned self)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd;

    wsig_zone_doorbell(zone, self, at.sun_path);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        return WSIG_ERROR;
    }
    unlink(at.sun_path);
    if (bind(fd, (struct sockaddr *) &at, sizeof(at)) == -1) {
        close(fd);
        return WSIG_ERROR;
    }
    return fd;
}

void
wsig_mailbox_hush(int doorbell)
{
    char bytes[64];

    while (recv(doorbell, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
    }
}
