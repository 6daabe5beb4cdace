/*
 * The records of rooms, against a plain list of who is where: people enter,
 * leave, are gone and come back at random; all records are used up; memory is
 * short; and somebody dies at each single change of the shared memory, and at
 * each lock.  Then several threads do it at once, and die of it.
 *
 * A worker is only a number here, and has one peer: it is gone when its epoch
 * is another.
 */

#include "alloc.h"
#include "check.h"
#include "death.h"
#include "frames.h"
#include "host.h"
#include "wsig_room.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PEOPLE = 40,
    ROOMS = 16,
    FILLER = 100, /* the worker whose peer uses up what is left */
#ifdef __SANITIZE_ADDRESS__
    STEPS = 20000,
#else
    STEPS = 100000,
#endif
    PATIENCE = 120 /* seconds, for all */
};

static wsig_zone_t *zone;
static wsig_realm_id_t realms[2];

/* ------------------------------------------------------------ people */

static wsig_address_t at[WSIG_WORKERS];

static void
gone(unsigned worker)
{
    atomic_fetch_add(&zone->shared->places[worker].epoch, 1);
}

static void
comes(unsigned worker)
{
    wsig_slot_t slot = {.realm = realms[0], .worker = (uint16_t) worker};
    wsig_slot_t holder;
    wsig_address_t holder_at;

    gone(worker);
    slot.epoch = atomic_load(&zone->shared->places[worker].epoch);
    slot.name_size = (uint8_t) sprintf(slot.name, "peer %u", worker);
    CHECK(wsig_registry_add(zone, &slot, &at[worker], &holder, &holder_at) ==
          WSIG_OK);
}

static void
begin(void)
{
    unsigned i;

    zone = host_zone(WSIG_ZONE_MIN);
    for (i = 0; i < 2; i++) {
        CHECK(wsig_realm_id(zone, WSIG_NATIVE,
                            (wsig_text_t){i == 0 ? "a" : "b", 1},
                            &realms[i]) == WSIG_OK);
    }
    for (i = 0; i < PEOPLE; i++) {
        comes(i);
    }
    comes(FILLER);
}

/* The same name in two realms is two rooms. */
static wsig_text_t
room_name(unsigned room)
{
    static _Thread_local char text[2][32];
    char *name = text[room % 2];

    snprintf(name, sizeof(text[0]), "a-room_of-this-name-%06u", room / 2);
    return (wsig_text_t){name, strlen(name)};
}

static int
enter(unsigned room, unsigned who, wsig_room_t *copy)
{
    return wsig_room_enter(zone, &realms[room % 2], room_name(room), at[who],
                           copy);
}

static int
leave(unsigned room, unsigned who, wsig_room_t *copy)
{
    return wsig_room_leave(zone, &realms[room % 2], room_name(room), at[who],
                           copy);
}

/* All records that are not in use can be used, and one more cannot. */
static void
fills(uint32_t live)
{
    uint32_t n = zone->shared->rooms - live, i;
    wsig_room_t copy;

    CHECK(wsig_rooms_live(zone) == live, "%u, not %u", wsig_rooms_live(zone),
          live);
    for (i = 0; i < n; i++) {
        CHECK(enter(1000 + i, FILLER, &copy) == WSIG_OK && copy.n == 1, "%u",
              i);
    }
    CHECK(wsig_rooms_live(zone) == zone->shared->rooms);
    CHECK(enter(1000 + n, FILLER, &copy) == WSIG_NOMEM);
    for (i = 0; i < n; i++) {
        CHECK(leave(1000 + i, FILLER, &copy) == WSIG_OK && copy.n == 0);
    }
    CHECK(wsig_rooms_live(zone) == live);
}

static void
sweep_all(void)
{
    uint32_t cursor = 0;
    wsig_room_t copy;

    while (wsig_room_sweep(zone, &cursor, &copy)) {
        CHECK(copy.n > 0);
    }
}

static void
end(void)
{
    unsigned i;

    for (i = 0; i < PEOPLE; i++) {
        gone(i);
    }
    sweep_all();
    fills(0);
    host_zone_remove(zone);
}

/* ------------------------------------------------------------ names */

static void
names(void)
{
    static const struct {
        const char *name;
        bool valid;
    } all[] = {
        {"", false},
        {"abcdefghijklmnopqrstu", false},
        {"abcdefghijklmnopqrstuv", true},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789", true},
        {"zaZAabcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwx",
         true},
        {"zaZAabcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxy",
         false},
        {"abcdefghijklmnopqrstu ", false},
        {"abcdefghijklmnopqrstu+", false},
        {"abcdefghijklmnopqrstu/", false},
        {"abcdefghijklmnopqrstu=", false},
        {"abcdefghijklmnopqrstu@", false},
        {"abcdefghijklmnopqrstu[", false},
        {"abcdefghijklmnopqrstu`", false},
        {"abcdefghijklmnopqrstu{", false},
        {"abcdefghijklmnopqrstu:", false},
        {"abcdefghijklmnopqrst\xc3\xa4", false},
    };
    size_t i;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        CHECK(wsig_room_name_valid((wsig_text_t){
                  all[i].name, strlen(all[i].name)}) == all[i].valid,
              "%s", all[i].name);
    }
    CHECK(!wsig_room_name_valid(
        (wsig_text_t){"abcdefghijklmnopqrstu\0v", 23}));
}

/* ------------------------------------------------------------ a plain list */

typedef struct {
    wsig_member_t member;
    unsigned who;
} listed_t;

typedef struct {
    uint64_t id;
    uint32_t n;
    listed_t members[WSIG_ROOM_MAX];
} list_t;

static list_t lists[ROOMS];

static int
listed(const list_t *list, wsig_address_t who)
{
    uint32_t i;

    for (i = 0; i < list->n; i++) {
        if (wsig_address_same(list->members[i].member.at, who)) {
            return (int) i;
        }
    }
    return -1;
}

static bool
stands(const listed_t *entry)
{
    return wsig_address_same(at[entry->who], entry->member.at);
}

static uint32_t
list_clear(list_t *list)
{
    uint32_t i, n = 0;

    for (i = 0; i < list->n;) {
        if (stands(&list->members[i])) {
            i++;
        } else {
            list->members[i] = list->members[--list->n];
            n++;
        }
    }
    return n;
}

static void
same(const list_t *list, const wsig_room_t *copy)
{
    const wsig_member_t *member;
    uint32_t i;

    CHECK(copy->n == list->n, "%u, not %u", copy->n, list->n);
    CHECK(copy->id == list->id);
    for (i = 0; i < list->n; i++) {
        member = wsig_room_member(copy, list->members[i].member.at);
        CHECK(member != NULL &&
              member->serial == list->members[i].member.serial);
    }
}

static void
list_enter(unsigned room, unsigned who, uint32_t *serial)
{
    list_t *list = &lists[room];
    const wsig_member_t *member;
    wsig_room_t copy;
    int rc = enter(room, who, &copy);

    if (listed(list, at[who]) >= 0) {
        CHECK(rc == WSIG_TAKEN);
        same(list, &copy);
        return;
    }
    if (list->n == 0) {
        CHECK(rc == WSIG_OK && copy.id != 0 && copy.id != list->id);
        list->id = copy.id;
    }
    list_clear(list);
    if (list->n == WSIG_ROOM_MAX) {
        CHECK(rc == WSIG_FULL);
        return;
    }
    member = wsig_room_member(&copy, at[who]);
    CHECK(rc == WSIG_OK && member != NULL && member->serial != *serial);
    *serial = member->serial;
    list->members[list->n++] = (listed_t){*member, who};
    same(list, &copy);
}

static void
list_leave(unsigned room, unsigned who, bool by_name)
{
    list_t *list = &lists[room];
    int i = listed(list, at[who]);
    wsig_room_t copy;
    int rc = by_name ? leave(room, who, &copy)
                     : wsig_room_leave_id(zone, list->id, at[who], &copy);

    if (i < 0) {
        CHECK(rc == WSIG_ABSENT);
        return;
    }
    list->members[i] = list->members[--list->n];
    CHECK(rc == WSIG_OK);
    same(list, &copy);
}

static void
list_read(unsigned room)
{
    wsig_room_t copy;

    if (lists[room].n == 0) {
        CHECK(wsig_room_read(zone, lists[room].id, &copy) == WSIG_ABSENT);
    } else {
        CHECK(wsig_room_read(zone, lists[room].id, &copy) == WSIG_OK);
        same(&lists[room], &copy);
    }
}

/* Who is left is to be told, once for each room that lost somebody. */
static void
list_sweep(void)
{
    uint32_t n = 0, cursor = 0, live = 0;
    wsig_room_t copy;
    unsigned room;

    for (room = 0; room < ROOMS; room++) {
        n += list_clear(&lists[room]) > 0 && lists[room].n > 0;
        live += lists[room].n > 0;
    }
    for (; wsig_room_sweep(zone, &cursor, &copy); n--) {
        for (room = 0; lists[room].id != copy.id; room++) {
            CHECK(room + 1 < ROOMS);
        }
        same(&lists[room], &copy);
    }
    CHECK(n == 0, "%u were not told", n);
    CHECK(wsig_rooms_live(zone) == live);
}

static void
against_a_list(void)
{
    uint64_t seed = host_zone_seed();
    uint32_t serial = 0;
    unsigned room, who;
    int step;

    begin();
    memset(lists, 0, sizeof(lists));
    for (step = 0; step < STEPS; step++) {
        /* the first rooms are full most of the time, the last ones empty */
        room = random_below(&seed, 1 + random_below(&seed, ROOMS));
        who = random_below(&seed, PEOPLE);
        switch (random_below(&seed, 32)) {
        case 0:
            gone(who);
            comes(who);
            break;
        case 1:
            list_sweep();
            break;
        case 2:
        case 3:
        case 4:
            list_read(room);
            break;
        case 5:
        case 6:
        case 7:
        case 8:
        case 9:
        case 10:
        case 11:
            list_leave(room, who, true);
            break;
        case 12:
        case 13:
        case 14:
        case 15:
        case 16:
            list_leave(room, who, false);
            break;
        default:
            list_enter(room, who, &serial);
        }
    }
    end();
}

/* ------------------------------------------------------------ bounds */

/* Eight are in it; where one of them is gone, there is room for another. */
static void
eight(void)
{
    wsig_room_t copy;
    unsigned i;

    begin();
    for (i = 0; i < WSIG_ROOM_MAX; i++) {
        CHECK(enter(0, i, &copy) == WSIG_OK && copy.n == i + 1);
    }
    CHECK(enter(0, 8, &copy) == WSIG_FULL);
    CHECK(enter(0, 7, &copy) == WSIG_TAKEN && copy.n == 8);
    CHECK(enter(1, 8, &copy) == WSIG_OK && copy.n == 1);
    gone(3);
    CHECK(enter(0, 7, &copy) == WSIG_TAKEN && copy.n == 8);
    CHECK(enter(0, 8, &copy) == WSIG_OK && copy.n == 8);
    CHECK(wsig_room_member(&copy, at[3]) == NULL);
    CHECK(enter(0, 9, &copy) == WSIG_FULL);
    for (i = 0; i < 9; i++) {
        gone(i);
    }
    CHECK(enter(0, 9, &copy) == WSIG_OK && copy.n == 1);
    end();
}

static void
due(void)
{
    wsig_time_t now = {1000, 0};

    begin();
    CHECK(wsig_room_sweep_due(zone, now));
    CHECK(!wsig_room_sweep_due(zone, now));
    now.mono += 999;
    CHECK(!wsig_room_sweep_due(zone, now));
    now.mono += 1;
    CHECK(wsig_room_sweep_due(zone, now));
    CHECK(!wsig_room_sweep_due(zone, now));
    end();
}

/* Memory that is short whenever more is needed is asked for again. */
static void
short_of_memory(void)
{
    wsig_room_t copy;
    uint32_t i, failed = 0;

    begin();
    CHECK(zone->shared->rooms % 64 == 0);
    for (i = 0; i < zone->shared->rooms; i++) {
        alloc_full(1);
        if (enter(i, 0, &copy) != WSIG_OK) {
            failed++;
            CHECK(i % 64 == 0, "%u", i);
            CHECK(wsig_rooms_live(zone) == i);
            CHECK(i == 0 || (leave(0, 0, &copy) == WSIG_OK &&
                             enter(0, 0, &copy) == WSIG_OK));
            CHECK(enter(i, 0, &copy) == WSIG_OK);
        }
        alloc_full(0);
        CHECK(copy.n == 1 && wsig_rooms_live(zone) == i + 1);
    }
    CHECK(failed == zone->shared->rooms / 64, "%u", failed);
    CHECK(enter(i, 0, &copy) == WSIG_NOMEM);
    /* for a key too, which is malloc's */
    alloc_fail(1, true);
    if (enter(1, 0, &copy) != WSIG_TAKEN) {
        CHECK(alloc_failed());
    }
    alloc_fail(0, false);
    end();
}

/* ------------------------------------------------------------ dying */

/* Room 0 has eight of whom two are gone, room 1 two of whom one is gone, room
 * 2 only one who is gone, room 3 one, and room 4 nobody; of the records with
 * memory two are free. */
enum {
    SPARE = 64 - 4
};

static uint32_t old_serial; /* the last one given in it */

static void
scene(void)
{
    wsig_room_t copy;
    unsigned i;

    begin();
    for (i = 0; i < 8; i++) {
        CHECK(enter(0, i, &copy) == WSIG_OK);
    }
    CHECK(enter(1, 1, &copy) == WSIG_OK);
    CHECK(enter(1, 2, &copy) == WSIG_OK);
    CHECK(enter(2, 3, &copy) == WSIG_OK);
    CHECK(enter(3, 4, &copy) == WSIG_OK);
    for (i = 0; i < SPARE; i++) {
        CHECK(enter(5 + i, 9, &copy) == WSIG_OK);
    }
    old_serial = copy.members[0].serial;
    CHECK(leave(5, 9, &copy) == WSIG_OK);
    CHECK(leave(6, 9, &copy) == WSIG_OK);
    gone(2);
    gone(3);
}

static void
enters_new(void)
{
    wsig_room_t copy;

    CHECK(enter(4, 10, &copy) == WSIG_OK);
}

static void
enters_newest(void)
{
    wsig_room_t copy;

    CHECK(enter(5, 9, &copy) == WSIG_OK);
    CHECK(enter(6, 9, &copy) == WSIG_OK);
    CHECK(enter(4, 10, &copy) == WSIG_OK);
}

static void
enters_full(void)
{
    wsig_room_t copy;

    CHECK(enter(0, 10, &copy) == WSIG_OK && copy.n == 7);
}

static void
enters_among_the_gone(void)
{
    wsig_room_t copy;

    CHECK(enter(2, 10, &copy) == WSIG_OK && copy.n == 1);
}

static void
leaves(void)
{
    wsig_room_t copy;

    CHECK(leave(0, 5, &copy) == WSIG_OK && copy.n == 7);
}

static void
leaves_last(void)
{
    wsig_room_t copy;

    CHECK(leave(3, 4, &copy) == WSIG_OK && copy.n == 0);
}

/* In all rooms: who is there, one bit for each of the people. */
static uint64_t
seen(unsigned room, wsig_room_t *copy)
{
    const wsig_member_t *member;
    uint64_t set = 0;
    unsigned i;
    int rc = enter(room, 20, copy);

    CHECK(rc == WSIG_OK, "%u: %d", room, rc);
    CHECK(leave(room, 20, copy) == WSIG_OK);
    for (i = 0; i < PEOPLE; i++) {
        member = wsig_room_member(copy, at[i]);
        if (member != NULL) {
            set |= UINT64_C(1) << i;
            CHECK(i != 10 || member->serial > old_serial);
        }
    }
    CHECK((uint32_t) __builtin_popcountll(set) == copy->n);
    return set;
}

static const struct {
    void (*what)(void);
    unsigned room;
    uint64_t before; /* in that room */
    uint64_t after;
} deeds[] = {
    {enters_new, 4, 0, 1 << 10},
    {enters_newest, 4, 0, 1 << 10},
    {enters_full, 0, 0xf3, 0xf3 | 1 << 10},
    {enters_among_the_gone, 2, 0, 1 << 10},
    {leaves, 0, 0xf3, 0xf3 & ~(1 << 5)},
    {leaves_last, 3, 1 << 4, 0},
    {sweep_all, 1, 1 << 1, 1 << 1},
};

enum {
    DEEDS = sizeof(deeds) / sizeof(deeds[0])
};

/* After a death in deed i: either it was done or it was not, and all goes on.
 * true: it was done. */
static bool
whole(int deed)
{
    uint64_t members[SPARE + 5] = {0xf3, 1 << 1, 0, 1 << 4, 0}, set;
    uint32_t room, live = 0;
    wsig_room_t copy;
    bool done = false;

    for (room = 0; room < SPARE + 5; room++) {
        set = seen(room, &copy);
        if (room == deeds[deed].room) {
            done = set == deeds[deed].after;
            CHECK(done || set == deeds[deed].before, "%d: %llx", deed,
                  (unsigned long long) set);
        } else if (room == 5 || room == 6) {
            CHECK(set == 0 || (deed == 1 && set == 1 << 9));
        } else {
            CHECK(set == (room > 6 ? 1 << 9 : members[room]), "%d: %u: %llx",
                  deed, room, (unsigned long long) set);
        }
        live += set != 0;
    }
    sweep_all();
    fills(live);
    return done;
}

/* What the workers share of rooms, but for the lock, which comes first.  Of
 * the records only those with memory. */
typedef struct {
    char head[8192];
    char records[128 * sizeof(wsig_room_t)];
} memory_t;

static size_t
head_size(void)
{
    size_t size = wsig_rooms_size(zone->shared->rooms);

    CHECK(size <= sizeof(((memory_t *) 0)->head));
    return size - sizeof(pthread_mutex_t);
}

static char *
head(void)
{
    return (char *) wsig_zone_at(zone, zone->shared->rooms_at) +
           sizeof(pthread_mutex_t);
}

static void *
records(void)
{
    return wsig_zone_at(zone, zone->shared->room_records_at);
}

static void
save(memory_t *memory)
{
    memcpy(memory->head, head(), head_size());
    memcpy(memory->records, records(), sizeof(memory->records));
}

static void
restore(const memory_t *memory)
{
    memcpy(head(), memory->head, head_size());
    memcpy(records(), memory->records, sizeof(memory->records));
}

static bool
changed(const memory_t *memory)
{
    return memcmp(head(), memory->head, head_size()) != 0 ||
           memcmp(records(), memory->records, sizeof(memory->records)) != 0;
}

static void *
die_with_the_lock(void *arg)
{
    CHECK(pthread_mutex_lock(wsig_zone_at(zone, zone->shared->rooms_at)) == 0);
    return arg;
}

static void
somebody_dies(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, die_with_the_lock, NULL) == 0);
    pthread_join(thread, NULL);
}

/* A process does it, instruction by instruction; each state of the memory on
 * the way is one that somebody killed may leave. */
static memory_t *
step_through(void (*what)(void), size_t *n)
{
    memory_t *states = malloc(sizeof(*states));
    pid_t pid = fork();
    int status;

    CHECK(pid != -1 && states != NULL);
    if (pid == 0) {
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        raise(SIGSTOP);
        what();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
    save(&states[0]);
    for (*n = 1; !WIFEXITED(status);) {
        CHECK(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) || WSTOPSIG(status) == SIGTRAP);
        if (changed(&states[*n - 1])) {
            states = realloc(states, (*n + 1) * sizeof(*states));
            CHECK(states != NULL);
            save(&states[(*n)++]);
        }
    }
    CHECK(WEXITSTATUS(status) == 0);
    return states;
}

static void
killed_at_each_store(void)
{
    size_t i, n, done;
    memory_t *states;
    int deed;

    for (deed = 0; deed < DEEDS; deed++) {
        scene();
        states = step_through(deeds[deed].what, &n);
        done = 0;
        for (i = 0; i < n; i++) {
            restore(&states[i]);
            somebody_dies();
            done += whole(deed);
        }
        if (getenv("WSIG_LOG") != NULL) {
            fprintf(stderr, "deed %d: %zu states, done in %zu\n", deed, n,
                    done);
        }
        CHECK(n > 1 && done > 0, "%zu of %zu", done, n);
        CHECK(done < n || deeds[deed].before == deeds[deed].after);
        free(states);
        end();
    }
}

typedef struct {
    int deed;
    long point;
    bool survived;
} victim_t;

static void *
victim(void *arg)
{
    victim_t *self = arg;

    death_at(self->point);
    deeds[self->deed].what();
    death_at(0);
    self->survived = true;
    return NULL;
}

static void
killed_at_each_lock(void)
{
    victim_t self = {0};
    pthread_t thread;

    for (self.deed = 0; self.deed < DEEDS; self.deed++) {
        self.survived = false;
        for (self.point = 1; !self.survived; self.point++) {
            scene();
            CHECK(pthread_create(&thread, NULL, victim, &self) == 0);
            pthread_join(thread, NULL);
            CHECK(whole(self.deed) || !self.survived);
            end();
        }
        CHECK(self.point > 3);
    }
}

/* ------------------------------------------------------------ at once */

enum {
    THREADS = 3,
    PEERS = 5,
    LIVES = 40,
    MEETING = 4 /* rooms for all of them */
};

typedef struct {
    unsigned number;
    uint64_t seed;
    long dies_at;
    long entered;
} player_t;

static _Atomic uint32_t serials; /* the highest seen: they only rise */

static void
play_once(player_t *player)
{
    unsigned who =
        player->number * PEERS + random_below(&player->seed, PEERS);
    unsigned room = random_below(&player->seed, MEETING);
    const wsig_member_t *self;
    wsig_room_t copy;
    uint32_t before = serials, cursor = 0, serial;
    int rc;

    switch (random_below(&player->seed, 16)) {
    case 0:
        sweep_all();
        break;
    case 1:
        CHECK(!wsig_room_sweep(zone, &cursor, &copy) || copy.n > 0);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
        rc = leave(room, who, &copy);
        CHECK(rc == WSIG_OK || rc == WSIG_ABSENT);
        CHECK(rc == WSIG_ABSENT || wsig_room_member(&copy, at[who]) == NULL);
        CHECK(leave(room, who, &copy) == WSIG_ABSENT);
        break;
    default:
        rc = enter(room, who, &copy);
        CHECK(rc == WSIG_OK || rc == WSIG_TAKEN || rc == WSIG_FULL, "%d", rc);
        if (rc == WSIG_FULL) {
            return;
        }
        self = wsig_room_member(&copy, at[who]);
        CHECK(self != NULL && copy.n <= WSIG_ROOM_MAX);
        CHECK(rc == WSIG_TAKEN || self->serial > before);
        serial = self->serial;
        while (before < serial &&
               !atomic_compare_exchange_weak(&serials, &before, serial)) {
        }
        player->entered += rc == WSIG_OK;
        CHECK(wsig_room_read(zone, copy.id, &copy) == WSIG_OK);
        self = wsig_room_member(&copy, at[who]);
        CHECK(self != NULL && self->serial == serial);
    }
}

static void *
play(void *arg)
{
    player_t *player = arg;
    int i;

    death_at(player->dies_at);
    for (i = 0; i < 3000; i++) {
        play_once(player);
    }
    death_at(0);
    return NULL;
}

/* Each of them dies now and then, its peers with it; another comes.  (The
 * others do not stop for that, so a life is longer than it seems.) */
static void *
lives(void *arg)
{
    player_t *player = arg;
    pthread_t thread;
    unsigned i;
    int life;

    for (life = 0; life < LIVES; life++) {
        for (i = 0; i < PEERS; i++) {
            comes(player->number * PEERS + i);
        }
        player->dies_at = life == LIVES - 1
                              ? 0
                              : 1 + random_below(&player->seed, 10000);
        CHECK(pthread_create(&thread, NULL, play, player) == 0);
        pthread_join(thread, NULL);
        for (i = 0; i < PEERS; i++) {
            gone(player->number * PEERS + i);
        }
    }
    return NULL;
}

static void
several_at_once(void)
{
    pthread_t threads[THREADS];
    player_t players[THREADS];
    unsigned i;

    begin();
    for (i = 0; i < PEOPLE; i++) {
        gone(i);
    }
    for (i = 0; i < THREADS; i++) {
        players[i] = (player_t){i, host_zone_seed() + i, 0, 0};
        CHECK(pthread_create(&threads[i], NULL, lives, &players[i]) == 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(players[i].entered > 1000, "%ld", players[i].entered);
    }
    for (i = 0; i < PEOPLE; i++) {
        comes(i); /* for the end, where all are gone */
    }
    end();
}

int
main(void)
{
    alarm(PATIENCE); /* a deadlock is a failure too */
    names();
    against_a_list();
    eight();
    due();
    short_of_memory();
    killed_at_each_store();
    killed_at_each_lock();
    several_at_once();
    return 0;
}
