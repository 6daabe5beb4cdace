/*
 * Workers that run at the same time, as threads, and share nothing but the
 * zone: people on them call one another at random for a while, and in the end
 * all is in order.  (For a sanitizer of threads as well.)
 */

#include "check.h"
#include "frames.h"
#include "stage.h"
#include "wsig_call.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum {
    WORKERS = 3,
    PEOPLE = 6,
    TIME = 1500,
    SETTLE = 2500
};

static wsig_conf_t conf;
static wsig_zone_t *zone;
static _Atomic long signals;

typedef struct person_s {
    char name[8];
    client_t *client;
    char ring[32];
    char call[32];
    int next; /* of the numbers it sends in this call */
    int last; /* that it got */
} person_t;

static int64_t
real_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void
hear(person_t *person)
{
    const char *text, *type, *call;
    int number;

    while ((text = client_hears(person->client)) != NULL) {
        type = text_member(text, "type");
        if (strcmp(type, "ring") == 0) {
            strcpy(person->ring, text_member(text, "call"));
        } else if (strcmp(type, "calling") == 0 ||
                   strcmp(type, "accepted") == 0) {
            call = text_member(text, "call");
            if (strcmp(person->call, call) != 0) {
                strcpy(person->call, call);
                person->last = 0;
                person->next = 0;
            }
        } else if (strcmp(type, "signal") == 0) {
            call = text_member(text, "call");
            CHECK(strcmp(call, person->call) == 0, "%s in %s hears %s",
                  person->name, person->call, text);
            number = atoi(strstr(text, "\"data\":") + 7);
            CHECK(number == person->last + 1, "%s hears %s after %d",
                  person->name, text, person->last);
            person->last = number;
            signals++;
        } else if (strcmp(type, "ended") == 0) {
            call = text_member(text, "call");
            if (strcmp(person->call, call) == 0) {
                person->call[0] = '\0';
            }
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
    uint32_t other = random_below(seed, WORKERS * PEOPLE);
    bool answered = person->call[0] != '\0';

    switch (random_below(seed, 10)) {
    case 0:
        if (!answered) {
            client_says(person->client, "{'type':'call','to':'%c%c'}",
                        'a' + other / PEOPLE, '0' + other % PEOPLE);
        }
        break;
    case 1:
    case 2:
        if (!answered) {
            client_says(person->client, "{'type':'accept','call':'%s'}",
                        person->ring);
        }
        break;
    case 3:
        if (other % 4 == 0) {
            client_says(person->client, "{'type':'hangup','call':'%s'}",
                        person->call);
            hear(person);
            person->call[0] = '\0';
        }
        break;
    default:
        if (answered) {
            client_says(person->client,
                        "{'type':'signal','call':'%s','data':%d}", person->call,
                        person->next + 1);
            person->next += !refused(person->client);
        }
    }
    hear(person);
}

static void *
work(void *arg)
{
    int number = *(int *) arg, i;
    uint64_t seed = host_zone_seed() + (uint64_t) number * 7919;
    int64_t begin = real_clock();
    person_t people[PEOPLE];
    host_t host = {0};

    memset(people, 0, sizeof(people));
    CHECK(host_start(&host, zone) == WSIG_OK);
    for (i = 0; i < PEOPLE; i++) {
        sprintf(people[i].name, "%c%d", 'a' + number, i);
        people[i].client = client_open(&host, people[i].name, &conf,
                                       WSIG_NATIVE, "example.org", NULL);
        client_says(people[i].client, "{'type':'hello','name':'%s'}",
                    people[i].name);
        EXPECTS(people[i].client, "{'type':'welcome'}");
    }
    while (real_clock() < begin + TIME + SETTLE) {
        if (number == 0) {
            host_set_clock(real_clock());
        }
        host_settle((host_t *[]){&host}, 1);
        for (i = 0; i < PEOPLE; i++) {
            CHECK(people[i].client->peer != NULL, "%s: %d", people[i].name,
                  people[i].client->code);
            hear(&people[i]);
        }
        if (real_clock() < begin + TIME) {
            act(&people[random_below(&seed, PEOPLE)], &seed);
        } else {
            poll(&(struct pollfd){wsig_worker_doorbell(host.worker), POLLIN, 0},
                 1, 5);
        }
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
    conf.resume = 0; /* whoever is lost is gone */
    conf.ring_timeout = 1000;
    conf.rate = 0;
    zone = host_zone(WSIG_ZONE_MIN);
    host_set_clock(real_clock());
    for (i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(signals > 100, "%ld", signals);
    zone_is_empty(zone);
    host_zone_remove(zone);
    return 0;
}
