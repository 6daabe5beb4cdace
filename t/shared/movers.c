/*
 * Several workers at the same time, and people in calls who move from one to
 * another all the time, with their tokens: whatever the workers do in the
 * meantime, each number arrives once and in order, and nothing is lost.
 * (Built with TSan, too: make tsan.)
 */

#include "check.h"
#include "frames.h"
#include "stage.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wsig_worker.h"

enum {
    WORKERS = 3,
    PEOPLE = 4,    /* of each, at first */
    TIME = 2000,   /* ms */
    SETTLE = 4000, /* ms, far above what it takes for all to be back */
    KEPT = 4096
};

typedef struct person_s {
    struct person_s *next_mover;
    char name[8];
    client_t *client;
    bool returning;
    char token[80];
    int got;   /* counted texts that came */
    int said;  /* that were sent */
    char (*texts)[96];
    char ring[32];
    char call[32];
    int next; /* of the numbers it sends in this call */
    int last; /* that it got */
} person_t;

static wsig_zone_t *zone;
static wsig_conf_t conf;
static person_t people[WORKERS * PEOPLE];
static _Atomic int moves, signals, back;

/* Those who are on their way to a worker. */
static struct {
    pthread_mutex_t lock;
    person_t *first;
} arrivals[WORKERS];

static int64_t
real_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Say a counted text, and keep it. */
static void
says(person_t *person, const char *text)
{
    CHECK(person->said < KEPT);
    strcpy(person->texts[person->said++], text);
    client_says(person->client, "%s", text);
}

static void
welcomed(person_t *person, const char *text)
{
    int i;

    CHECK(strstr(text, "\"resumed\":true") != NULL, "%s: %s", person->name,
          text);
    CHECK(strstr(text, "\"lost\"") == NULL, "%s: %s", person->name, text);
    strcpy(person->token, text_member(text, "resume"));
    i = atoi(strstr(text, "\"got\":") + 6);
    CHECK(i <= person->said, "%s: %d of %d", person->name, i, person->said);
    person->returning = false;
    back++;
    for (; i < person->said; i++) {
        client_says(person->client, "%s", person->texts[i]);
    }
}

static void
hear(person_t *person)
{
    const char *text, *type, *call;
    int number;

    while ((text = client_hears(person->client)) != NULL) {
        type = text_member(text, "type");
        if (strcmp(type, "welcome") == 0) {
            welcomed(person, text);
            continue;
        }
        if (strstr(text, ",\"call\":\"") == NULL) {
            continue;
        }
        CHECK(!person->returning, "%s: %s", person->name, text);
        person->got++;
        call = text_member(text, "call");
        if (strcmp(type, "ring") == 0) {
            strcpy(person->ring, call);
        } else if (strcmp(type, "calling") == 0 ||
                   strcmp(type, "accepted") == 0) {
            if (strcmp(person->call, call) != 0) {
                strcpy(person->call, call);
                person->last = 0;
                person->next = 0;
            }
        } else if (strcmp(type, "signal") == 0) {
            number = atoi(strstr(text, "\"data\":") + 7);
            CHECK(strcmp(call, person->call) == 0, "%s in %s hears %s",
                  person->name, person->call, text);
            CHECK(number == person->last + 1, "%s hears %s after %d",
                  person->name, text, person->last);
            person->last = number;
            signals++;
        } else if (strcmp(type, "ended") == 0 &&
                   strcmp(person->call, call) == 0) {
            person->call[0] = '\0';
        }
    }
}

/* Among what came and was not read yet. */
static bool
refused(const client_t *client)
{
    size_t i;

    for (i = client->n_read; i < client->n_texts; i++) {
        if (strstr(client->texts[i], "not-answered") != NULL) {
            return true;
        }
    }
    return false;
}

static void
act(person_t *person, uint64_t *seed)
{
    const person_t *other = &people[random_below(seed, WORKERS * PEOPLE)];
    bool busy = person->call[0] != '\0';
    char text[96];

    switch (random_below(seed, 12)) {
    case 0:
        if (!busy) {
            client_says(person->client, "{'type':'call','to':'%s'}",
                        other->name);
        }
        break;
    case 1:
    case 2:
        if (!busy && person->ring[0] != '\0') {
            sprintf(text, "{'type':'accept','call':'%s'}", person->ring);
            says(person, text);
        }
        break;
    case 3:
        if (busy && random_below(seed, 8) == 0) {
            sprintf(text, "{'type':'hangup','call':'%s'}", person->call);
            says(person, text);
            hear(person);
            person->call[0] = '\0';
        }
        break;
    case 4:
        client_says(person->client, "{'type':'ack','got':%d}", person->got);
        break;
    default:
        if (busy) {
            sprintf(text, "{'type':'signal','call':'%s','data':%d}",
                    person->call, person->next + 1);
            says(person, text);
            person->next += !refused(person->client);
        }
    }
    hear(person);
}

/* Off to another worker, or to the same; the old connection breaks, or lives
 * on until the token is shown. */
static void
move(person_t *person, uint64_t *seed)
{
    uint32_t to = random_below(seed, WORKERS);

    if (random_below(seed, 2) == 0) {
        client_free(person->client);
    }
    person->returning = true;
    moves++;
    pthread_mutex_lock(&arrivals[to].lock);
    person->next_mover = arrivals[to].first;
    arrivals[to].first = person;
    pthread_mutex_unlock(&arrivals[to].lock);
}

static person_t *
next_arrival(int number)
{
    person_t *person;

    pthread_mutex_lock(&arrivals[number].lock);
    person = arrivals[number].first;
    if (person != NULL) {
        arrivals[number].first = person->next_mover;
    }
    pthread_mutex_unlock(&arrivals[number].lock);
    return person;
}

static void
arrive(host_t *host, person_t *person)
{
    person->client = client_open(host, person->name, &conf, WSIG_NATIVE,
                                 "example.org", NULL);
    client_says(person->client,
                "{'type':'hello','resume':'%s','got':%d,'watch':'none'}",
                person->token, person->got);
}

static void
begin(host_t *host, person_t *person)
{
    person->texts = calloc(KEPT, sizeof(*person->texts));
    person->client = client_open(host, person->name, &conf, WSIG_NATIVE,
                                 "example.org", NULL);
    client_says(person->client, "{'type':'hello','name':'%s','watch':'none'}",
                person->name);
    strcpy(person->token,
           text_member(EXPECTS(person->client, "{'type':'welcome'}"),
                       "resume"));
}

static void *
work(void *arg)
{
    int number = *(int *) arg, n = PEOPLE, i;
    uint64_t seed = host_zone_seed() + (uint64_t) number * 7919;
    int64_t start = real_clock();
    person_t *here[WORKERS * PEOPLE], *person;
    host_t host = {0};

    CHECK(host_start(&host, zone) == WSIG_OK);
    for (i = 0; i < PEOPLE; i++) {
        here[i] = &people[number * PEOPLE + i];
        begin(&host, here[i]);
    }
    while (real_clock() < start + TIME + SETTLE) {
        if (number == 0) {
            host_set_clock(real_clock());
        }
        while ((person = next_arrival(number)) != NULL) {
            here[n++] = person;
            arrive(&host, person);
        }
        host_settle((host_t *[]){&host}, 1);
        for (i = 0; i < n; i++) {
            CHECK(here[i]->client->peer != NULL || here[i]->returning,
                  "%s: %d %s", here[i]->name, here[i]->client->code,
                  here[i]->client->why);
            hear(here[i]);
        }
        i = n > 0 ? (int) random_below(&seed, (uint32_t) n) : 0;
        if (n == 0 || real_clock() >= start + TIME) {
            poll(&(struct pollfd){wsig_worker_doorbell(host.worker), POLLIN, 0},
                 1, 1);
        } else if (!here[i]->returning && random_below(&seed, 20) == 0) {
            move(here[i], &seed);
            here[i] = here[--n];
        } else if (!here[i]->returning && here[i]->said < KEPT) {
            act(here[i], &seed);
        }
    }
    for (i = 0; i < n; i++) {
        CHECK(!here[i]->returning, "%s: %d %s", here[i]->name,
              here[i]->client->code, here[i]->client->why);
        client_says(here[i]->client, "{'type':'bye'}");
        free(here[i]->texts);
    }
    host_stop(&host);
    return NULL;
}

int
main(void)
{
    pthread_t threads[WORKERS];
    int numbers[WORKERS], i;

    wsig_conf_merge(&conf, NULL);
    conf.ring_timeout = 1000;
    conf.rate = 0;
    zone = host_zone(WSIG_ZONE_MIN);
    host_set_clock(real_clock());
    for (i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        pthread_mutex_init(&arrivals[i].lock, NULL);
    }
    for (i = 0; i < WORKERS * PEOPLE; i++) {
        sprintf(people[i].name, "%c%d", 'a' + i / PEOPLE, i % PEOPLE);
    }
    for (i = 0; i < WORKERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(moves > 50 && back == moves && signals > 100,
          "%d moves, %d back, %d signals", moves, back, signals);
    host_zone_remove(zone);
    return 0;
}
