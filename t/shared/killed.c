/*
 * Workers that are killed: processes on one zone, full of people who call one
 * another at random; every few milliseconds one is killed wherever it stands,
 * and another takes its place.  Then nobody is killed any more, and in the end
 * all must be true: who is registered is who is there, each call has two ends
 * that know of it, and nobody is busy with a call that is none.
 */

#include "check.h"
#include "frames.h"
#include "stage.h"
#include "wsig_call.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 3,
    PEOPLE = 6,  /* of each */
    TIME = 4000, /* ms of killing */
    CALM = 3500,
    PATIENCE = 60 /* seconds */
};

enum {
    PLAY,
    REST,
    REPORT,
    STOP
};

typedef struct person_s {
    char name[8];
    bool joined;
    char ring[32]; /* the last call that rings; or "" */
    char call[32]; /* that he dialled or answered; or "" */
    client_t *client;
} person_t;

typedef struct shared_s {
    _Atomic int phase;
    _Atomic int reported;
    _Atomic long calls; /* answered, in all */
    person_t people[WORKERS][PEOPLE];
} shared_t;

static wsig_conf_t conf;
static wsig_zone_t *zone;
static shared_t *shared;

static int64_t
real_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ------------------------------------------------------------ a worker */

static void
hear(person_t *person)
{
    const char *text, *type, *call;

    while (person->client != NULL &&
           (text = client_hears(person->client)) != NULL) {
        type = text_member(text, "type");
        if (strcmp(type, "welcome") == 0) {
            person->joined = true;
        } else if (strcmp(type, "ring") == 0) {
            strcpy(person->ring, text_member(text, "call"));
        } else if (strcmp(type, "calling") == 0 ||
                   strcmp(type, "accepted") == 0) {
            strcpy(person->call, text_member(text, "call"));
            shared->calls += type[0] == 'a';
            if (strcmp(person->call, person->ring) == 0) {
                person->ring[0] = '\0'; /* it rings no more */
            }
        } else if (strcmp(type, "ended") == 0) {
            call = text_member(text, "call");
            if (strcmp(person->call, call) == 0) {
                person->call[0] = '\0';
            }
            if (strcmp(person->ring, call) == 0) {
                person->ring[0] = '\0';
            }
        }
    }
}

static void
leave(person_t *person)
{
    client_free(person->client);
    person->client = NULL;
    person->joined = false;
    person->call[0] = person->ring[0] = '\0';
}

static void
act(host_t *host, person_t *person, uint64_t *seed)
{
    client_t *client = person->client;
    uint32_t other = random_below(seed, WORKERS * PEOPLE);

    if (client != NULL && client->closed) {
        leave(person);
        client = NULL;
    }
    if (client == NULL) {
        client = person->client = client_open(host, person->name, &conf,
                                              WSIG_NATIVE, "example.org", NULL);
        client_says(client, "{'type':'hello','name':'%s'}", person->name);
        return;
    }
    if (shared->phase != PLAY || !person->joined) {
        return;
    }
    switch (random_below(seed, 12)) {
    case 0:
    case 1:
    case 2:
        client_says(client, "{'type':'call','to':'%c%c'}", 'a' + other / PEOPLE,
                    '0' + other % PEOPLE);
        break;
    case 3:
    case 4:
    case 5:
        client_says(client, "{'type':'accept','call':'%s'}", person->ring);
        break;
    case 6:
        client_says(client, "{'type':'decline','call':'%s'}", person->ring);
        hear(person);
        person->ring[0] = '\0';
        break;
    case 7:
        client_says(client, "{'type':'hangup','call':'%s'}", person->call);
        hear(person);
        person->call[0] = '\0';
        break;
    case 8:
    case 9:
        client_says(client, "{'type':'signal','call':'%s','data':[1,2]}",
                    person->call);
        break;
    case 10:
        client_says(client, "{'type':'state','state':'%s'}",
                    other % 2 == 0 ? "away" : "free");
        break;
    default:
        if (other % 4 == 0) {
            leave(person);
        }
    }
}

static void
work(int number)
{
    person_t people[PEOPLE];
    uint64_t seed = host_zone_seed() ^ (uint64_t) getpid() << 20;
    host_t host = {0};
    bool reported = false;
    int i;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(people, 0, sizeof(people));
    for (i = 0; i < PEOPLE; i++) {
        sprintf(people[i].name, "%c%d", 'a' + number, i);
    }
    host_set_clock(real_clock());
    CHECK(host_start(&host, zone) == WSIG_OK);
    while (shared->phase != STOP) {
        host_set_clock(real_clock());
        host_settle((host_t *[]){&host}, 1);
        for (i = 0; i < PEOPLE; i++) {
            hear(&people[i]);
        }
        if (shared->phase == REPORT && !reported) {
            memcpy(shared->people[number], people, sizeof(people));
            reported = true;
            shared->reported++;
        } else if (shared->phase < REPORT) {
            act(&host, &people[random_below(&seed, PEOPLE)], &seed);
        }
        poll(&(struct pollfd){wsig_worker_doorbell(host.worker), POLLIN, 0}, 1,
             random_below(&seed, 3) == 0);
    }
    host_stop(&host);
    exit(0);
}

/* ------------------------------------------------------------ the killer */

static pid_t
start(int number)
{
    pid_t pid = fork();

    CHECK(pid != -1);
    if (pid == 0) {
        work(number);
    }
    return pid;
}

static void
rest(int64_t ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&pause, &pause) == -1 && errno == EINTR) {
    }
}

static int
kill_and_start(pid_t *workers, uint64_t *seed)
{
    int64_t end = real_clock() + TIME;
    int status, i, n;

    for (n = 0; real_clock() < end; n++) {
        rest(5 + random_below(seed, 20));
        i = (int) random_below(seed, WORKERS);
        CHECK(kill(workers[i], SIGKILL) == 0);
        CHECK(waitpid(workers[i], &status, 0) == workers[i]);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
              "a worker ended by itself: %d", status);
        workers[i] = start(i);
    }
    return n;
}

static void
count_peer(void *ctx, uint32_t slot, const wsig_slot_t *peer)
{
    const person_t *person;
    char call[32] = "";
    int *n = ctx;

    (void) slot;
    (*n)++;
    CHECK(peer->name_size == 2);
    person = &shared->people[peer->name[0] - 'a'][peer->name[1] - '0'];
    CHECK(person->joined, "%s is registered, and not there", person->name);
    if (peer->call != 0) {
        sprintf(call, "c%llx", (unsigned long long) peer->call);
    }
    CHECK(strcmp(call, person->call) == 0,
          "%s is registered as in \"%s\", and in \"%s\"", person->name, call,
          person->call);
}

static void
judge(int kills)
{
    uint32_t ringing, answered, ends = 0, together;
    const person_t *all = &shared->people[0][0];
    int i, j, n = 0;

    for (i = 0; i < WORKERS * PEOPLE; i++) {
        CHECK(all[i].joined, "%s did not come in", all[i].name);
        CHECK(all[i].ring[0] == '\0', "%s rings for ever", all[i].name);
        if (all[i].call[0] == '\0') {
            continue;
        }
        ends++;
        for (j = 0, together = 0; j < WORKERS * PEOPLE; j++) {
            together += strcmp(all[i].call, all[j].call) == 0;
        }
        CHECK(together == 2, "%s is in %s with %u", all[i].name, all[i].call,
              together);
    }
    wsig_registry_walk(zone, count_peer, &n);
    CHECK(n == WORKERS * PEOPLE, "%d are registered", n);
    wsig_call_numbers(zone, &ringing, &answered);
    CHECK(ringing == 0 && answered * 2 == ends, "%u, %u, %u", ringing, answered,
          ends);
    if (getenv("WSIG_LOG") != NULL) {
        fprintf(stderr, "%d kills, %ld times accepted, %u calls live\n", kills,
                shared->calls, answered);
    }
    CHECK(kills > 20 && shared->calls > 20, "%d %ld", kills, shared->calls);
}

int
main(void)
{
    uint64_t seed = host_zone_seed();
    pid_t workers[WORKERS];
    int status, i, kills;

    alarm(PATIENCE);
    wsig_conf_merge(&conf, NULL);
    conf.resume = 0; /* whoever is lost is gone */
    conf.ring_timeout = 1000;
    conf.rate = 0;
    zone = host_zone(WSIG_ZONE_MIN);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    for (i = 0; i < WORKERS; i++) {
        workers[i] = start(i);
    }
    kills = kill_and_start(workers, &seed);
    rest(500);
    shared->phase = REST;
    rest(CALM);
    shared->phase = REPORT;
    while (shared->reported < WORKERS) {
        rest(10);
    }
    judge(kills);
    shared->phase = STOP;
    for (i = 0; i < WORKERS; i++) {
        CHECK(waitpid(workers[i], &status, 0) == workers[i] && status == 0);
    }
    zone_is_empty(zone);
    host_zone_remove(zone);
    return 0;
}
