/*
 * wsig_zone.h: the memory that the workers of one server share.
 *
 * A file mapping with offsets only: every process, and every generation of
 * processes across a reload, sees the same bytes at another address.
 *
 *   +----------------------+ 0
 *   | wsig_shared_t        |  what it is, hash key, generation, worker slots
 *   +----------------------+ partitions_at
 *   | partition locks      |
 *   +----------------------+ slots_at
 *   | user table           |  one slot of 128 bytes for each peer
 *   +----------------------+ changes_at
 *   | change log           |  ring of slot numbers
 *   +----------------------+ calls_at
 *   | call states, buckets |
 *   +----------------------+ rooms_at
 *   | buckets of rooms     |
 *   +----------------------+ records_at         allocated up to here
 *   | call records         |  sparse: given memory in steps
 *   +----------------------+ room_records_at
 *   | room records         |  same
 *   +----------------------+ rings_at
 *   | mailboxes            |  sparse: given memory when a worker claims one
 *   +----------------------+ file_size
 *
 * Any process may die at any instruction.  So each lock is robust, each change
 * becomes valid by one last store, and who finds a lock's owner dead looks
 * through what that lock guards.  Order of locks: calls or rooms, partition,
 * changes; a mailbox's is taken alone.
 */

#ifndef WSIG_ZONE_H
#define WSIG_ZONE_H

#include <pthread.h>
#include <stdatomic.h>

#include "wsig.h"

#define WSIG_WORKERS 128             /* worker slots */
#define WSIG_RING_SIZE (1024 * 1024) /* a mailbox; a power of two */
#define WSIG_PARTITION_SLOTS 4096
#define WSIG_CALL_SHARE 2 /* one call record for so many slots */
#define WSIG_ROOM_SHARE 4 /* one room record for so many */

#define WSIG_ZONE_PATH (WSIG_PATH_MAX + 10) /* with .LAYOUT behind it */

typedef enum {
    WSIG_COUNT_CONNECTIONS,
    WSIG_COUNT_TEXTS_IN,
    WSIG_COUNT_FRAMES_OUT,
    WSIG_COUNT_RELAYED, /* texts from peer to peer */
    WSIG_COUNT_MAILED,  /* those of them that went to another worker */
    WSIG_COUNT_CALLS,
    WSIG_COUNT_ANSWERED,
    WSIG_COUNT_ERRORS,   /* error texts and refusals */
    WSIG_COUNT_HELD,     /* peers held back over their rate */
    WSIG_COUNT_SLOW,     /* peers closed for not reading */
    WSIG_COUNT_CLOSES,   /* connections that the server closed */
    WSIG_COUNT_DEATHS,   /* workers found dead */
    WSIG_COUNT_RESUMES,  /* lost peers that came back to their place */
    WSIG_COUNT_LOST,     /* those of them that lost texts */
    WSIG_COUNT_GOODBYES, /* clients asked to move to another worker */
    WSIG_COUNTERS
} wsig_counter_t;

/* One worker's place.  Whoever holds life lives; epoch is odd while the place
 * is in use, and rises by one at each claim, release and death. */
typedef struct wsig_place_s {
    pthread_mutex_t life;
    _Atomic uint32_t epoch;
    _Atomic uint32_t leaving; /* 1: its owner was asked to leave */
    pthread_mutex_t producers;
    _Atomic uint64_t head;  /* bytes read from the mailbox, by its owner */
    _Atomic uint64_t tail;  /* bytes written to it; storing it is the commit */
    _Atomic uint32_t armed; /* the owner wants its doorbell rung */
    _Atomic uint64_t counters[WSIG_COUNTERS];
} wsig_place_t;

typedef struct wsig_shared_s {
    uint64_t magic; /* stored last */
    uint32_t layout;
    uint32_t partitions;
    uint32_t calls;
    uint32_t rooms;
    uint32_t changes; /* entries of the log, a power of two */
    uint64_t pid_namespace;
    uint64_t table_size; /* as asked for: of the user table */
    uint64_t file_size;
    uint64_t partitions_at;
    uint64_t slots_at;
    uint64_t changes_at;
    uint64_t calls_at;
    uint64_t rooms_at;
    uint64_t records_at;
    uint64_t room_records_at;
    uint64_t rings_at;
    char instance[128]; /* the server that made it, NUL-terminated */
    uint8_t key[16];
    uint8_t token_key[32];
    _Atomic int64_t sweep_at;   /* when calls are looked through next */
    _Atomic int64_t orphans_at; /* when places of the lost without a worker
                                 * run out next; INT64_MAX: none */
    wsig_place_t places[WSIG_WORKERS];
} wsig_shared_t;

struct wsig_zone_s {
    wsig_shared_t *shared;
    size_t size;
    int file;
    int lock;
    struct evp_mac_st *mac; /* of wsig_zone_hash: fetching it takes 1 us */
    uid_t uid;
    gid_t gid;
    char path[WSIG_ZONE_PATH];
};

static inline void *
wsig_zone_at(const wsig_zone_t *zone, uint64_t offset)
{
    return (char *) zone->shared + offset;
}

/* Give memory to a sparse part, so that full memory is an error here and not
 * a SIGBUS later. */
int wsig_zone_back(wsig_zone_t *zone, uint64_t offset, uint64_t size);

void wsig_mutex_init(pthread_mutex_t *mutex);

/* Take a robust lock.  true: its last owner died with it. */
bool wsig_mutex_lock(pthread_mutex_t *mutex);

/* The keyed 128-bit SipHash of data. */
int wsig_zone_hash(const wsig_zone_t *zone, const void *data, size_t size,
                   uint8_t hash[16]);

/* The doorbell's path of a worker's place. */
void wsig_zone_doorbell(const wsig_zone_t *zone, unsigned place,
                        char path[WSIG_PATH_MAX + 24]);

static inline void
wsig_zone_count(const wsig_zone_t *zone, unsigned place, wsig_counter_t counter,
                uint64_t n)
{
    atomic_fetch_add_explicit(&zone->shared->places[place].counters[counter], n,
                              memory_order_relaxed);
}

/* Claim a place for the calling thread; it stays its own until released or
 * until the thread dies.  *died: the one before died in it, and nobody knew.
 * WSIG_FULL.  (wsig_place.c) */
int wsig_place_claim(wsig_zone_t *zone, unsigned *place, uint32_t *epoch,
                     bool *died);

/* Give it back: nobody posts to its mailbox after close (which release does
 * too), nobody else may have the place before release. */
void wsig_place_close(wsig_zone_t *zone, unsigned place);
void wsig_place_release(wsig_zone_t *zone, unsigned place);

/* Does this worker live, as far as anybody noticed? */
static inline bool
wsig_place_lives(const wsig_zone_t *zone, unsigned place, uint32_t epoch)
{
    return place < WSIG_WORKERS &&
           atomic_load(&zone->shared->places[place].epoch) == epoch;
}

/* Look for dead workers and take their places from them; returns how many
 * were found.  own: the caller's place. */
unsigned wsig_place_bury(wsig_zone_t *zone, unsigned own);

/* The owner of a place was asked to leave. */
void wsig_place_leave(wsig_zone_t *zone, unsigned place);

/* How many live that were. */
int wsig_place_leaving(const wsig_zone_t *zone);

/* Does another worker live that was not? */
bool wsig_place_others(const wsig_zone_t *zone, unsigned own);

#endif
