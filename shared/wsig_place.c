#include <errno.h>

#include "wsig_zone.h"

int
wsig_place_claim(wsig_zone_t *zone, unsigned *number, uint32_t *epoch,
                 bool *died)
{
    wsig_place_t *place;
    unsigned i;
    int rc;

    for (i = 0; i < WSIG_WORKERS; i++) {
        place = &zone->shared->places[i];
        rc = pthread_mutex_trylock(&place->life);
        if (rc == EBUSY) {
            continue;
        }
        if (rc == EOWNERDEAD) {
            pthread_mutex_consistent(&place->life);
        }
        if (wsig_zone_back(
                zone, zone->shared->rings_at + (uint64_t) i * WSIG_RING_SIZE,
                WSIG_RING_SIZE) != WSIG_OK) {
            pthread_mutex_unlock(&place->life);
            return WSIG_NOMEM;
        }
        /* The mailbox starts empty.  Producers look at the epoch under this
         * lock, so that nothing for the one before gets in. */
        wsig_mutex_lock(&place->producers);
        *died = atomic_load(&place->epoch) & 1;
        *epoch = (atomic_load(&place->epoch) + 1) | 1;
        atomic_store(&place->tail, 0);
        atomic_store(&place->head, 0);
        atomic_store(&place->armed, 0);
        atomic_store(&place->leaving, 0);
        atomic_store(&place->epoch, *epoch);
        pthread_mutex_unlock(&place->producers);
        *number = i;
        return WSIG_OK;
    }
    return WSIG_FULL;
}

void
wsig_place_close(wsig_zone_t *zone, unsigned number)
{
    wsig_place_t *place = &zone->shared->places[number];

    (void) wsig_mutex_lock(&place->producers);
    atomic_fetch_add(&place->epoch, 1);
    pthread_mutex_unlock(&place->producers);
}

void
wsig_place_release(wsig_zone_t *zone, unsigned number)
{
    wsig_place_t *place = &zone->shared->places[number];

    if (atomic_load(&place->epoch) & 1) {
        wsig_place_close(zone, number);
    }
    pthread_mutex_unlock(&place->life);
}

unsigned
wsig_place_bury(wsig_zone_t *zone, unsigned own)
{
    wsig_place_t *place;
    unsigned i, found = 0;
    int rc;

    for (i = 0; i < WSIG_WORKERS; i++) {
        place = &zone->shared->places[i];
        if (i == own || !(atomic_load(&place->epoch) & 1)) {
            continue;
        }
        rc = pthread_mutex_trylock(&place->life);
        if (rc == EBUSY) {
            continue;
        }
        if (rc == EOWNERDEAD) {
            pthread_mutex_consistent(&place->life);
        }
        /* Free and yet odd: its owner died as it claimed or released. */
        if (atomic_load(&place->epoch) & 1) {
            atomic_fetch_add(&place->epoch, 1);
            found++;
        }
        pthread_mutex_unlock(&place->life);
    }
    return found;
}

void
wsig_place_leave(wsig_zone_t *zone, unsigned number)
{
    atomic_store(&zone->shared->places[number].leaving, 1);
}

int
wsig_place_leaving(const wsig_zone_t *zone)
{
    const wsig_place_t *place;
    int i, n = 0;

    for (i = 0; i < WSIG_WORKERS; i++) {
        place = &zone->shared->places[i];
        n += (atomic_load(&place->epoch) & 1) && atomic_load(&place->leaving);
    }
    return n;
}

bool
wsig_place_others(const wsig_zone_t *zone, unsigned own)
{
    const wsig_place_t *place;
    unsigned i;

    for (i = 0; i < WSIG_WORKERS; i++) {
        place = &zone->shared->places[i];
        if (i != own && (atomic_load(&place->epoch) & 1) &&
            !atomic_load(&place->leaving)) {
            return true;
        }
    }
    return false;
}
