/*
 * Who is there, as the watchers of two workers hear it, against what is true:
 * people come, go, return and change at random, several times in one tick and
 * while newcomers get their list; lists and deltas must add up, and never
 * contradict each other.
 */

#include "check.h"
#include "frames.h"
#include "stage.h"
#include "wsig_presence.h"
#include "wsig_zone.h"

#include <jansson.h>
#include <string.h>

enum {
    PEOPLE = 12,
    WATCHERS = 8,
#ifdef __SANITIZE_ADDRESS__
    STEPS = 4000
#else
    STEPS = 20000
#endif
};

static stage_t stage;

/* What a watcher knows: a state for each of the people, NULL: absent. */
typedef struct watcher_s {
    client_t *client;
    bool listed;
    bool some; /* watches the even ones only */
    json_int_t count;
    char *states[PEOPLE + WATCHERS];
} watcher_t;

static char names[PEOPLE + WATCHERS][8];
static client_t *people[PEOPLE];
static bool away[PEOPLE];
static watcher_t watchers[WATCHERS];
static long deltas;

static int
number_of(const char *name)
{
    int i;

    for (i = 0; i < PEOPLE + WATCHERS; i++) {
        if (strcmp(names[i], name) == 0) {
            return i;
        }
    }
    CHECK(false, "who is %s?", name);
    return -1;
}

static void
learn(watcher_t *watcher, json_t *user, bool known, const char *text)
{
    int i = number_of(json_string_value(json_object_get(user, "name")));

    CHECK(!known || watcher->states[i] != NULL, "%s: changed unseen: %s",
          watcher->client->name, text);
    CHECK(strcmp(names[i], watcher->client->name) != 0, "told of oneself");
    CHECK(!watcher->some || i % 2 == 0, "told of %s", names[i]);
    free(watcher->states[i]);
    watcher->states[i] =
        strdup(json_string_value(json_object_get(user, "state")));
}

static void
forget(watcher_t *watcher)
{
    int i;

    for (i = 0; i < PEOPLE + WATCHERS; i++) {
        free(watcher->states[i]);
        watcher->states[i] = NULL;
    }
}

/* At most once in a delta. */
static void
once_each(json_t *delta, const char *text)
{
    static const char *const parts[] = {"joined", "left", "changed"};
    bool seen[PEOPLE + WATCHERS] = {false};
    json_t *item;
    size_t i, j;
    int n;

    for (i = 0; i < 3; i++) {
        json_array_foreach(json_object_get(delta, parts[i]), j, item)
        {
            n = number_of(json_string_value(
                i == 1 ? item : json_object_get(item, "name")));
            CHECK(!seen[n], "%s twice in %s", names[n], text);
            seen[n] = true;
        }
    }
    CHECK(json_array_size(json_object_get(delta, "joined")) +
                  json_array_size(json_object_get(delta, "left")) +
                  json_array_size(json_object_get(delta, "changed")) >
              0,
          "nothing in %s", text);
}

static void
hear(watcher_t *watcher)
{
    const char *text, *type;
    json_t *root, *users, *item;
    size_t i;
    int n;

    while (watcher->client != NULL &&
           (text = client_hears(watcher->client)) != NULL) {
        root = json_loads(text, 0, NULL);
        CHECK(root != NULL, "%s", text);
        type = json_string_value(json_object_get(root, "type"));
        users = json_object_get(root, "users");
        if (users != NULL) {
            forget(watcher);
            watcher->listed = true;
            json_array_foreach(users, i, item)
            {
                learn(watcher, item, false, text);
            }
        } else if (strcmp(type, "presence") == 0) {
            CHECK(watcher->listed, "a delta without a list");
            once_each(root, text);
            deltas++;
            json_array_foreach(json_object_get(root, "joined"), i, item)
            {
                learn(watcher, item, false, text);
            }
            json_array_foreach(json_object_get(root, "changed"), i, item)
            {
                learn(watcher, item, true, text);
            }
            json_array_foreach(json_object_get(root, "left"), i, item)
            {
                n = number_of(json_string_value(item));
                CHECK(watcher->states[n] != NULL, "%s: left unseen: %s",
                      watcher->client->name, text);
                free(watcher->states[n]);
                watcher->states[n] = NULL;
            }
        }
        if (json_object_get(root, "count") != NULL) {
            watcher->count = json_integer_value(json_object_get(root, "count"));
        }
        json_decref(root);
    }
}

static void
hear_all(void)
{
    int i;

    for (i = 0; i < WATCHERS; i++) {
        hear(&watchers[i]);
    }
}

/* All has been told: everybody knows the truth. */
static void
compare(void)
{
    const char *true_state;
    json_int_t count = 0;
    int i, j;

    stage_pass(&stage, 350);
    hear_all();
    for (j = 0; j < PEOPLE; j++) {
        count += people[j] != NULL;
    }
    for (j = 0; j < WATCHERS; j++) {
        count += watchers[j].client != NULL;
    }
    for (i = 0; i < WATCHERS; i++) {
        if (watchers[i].client == NULL) {
            continue;
        }
        CHECK(watchers[i].some || watchers[i].count == count);
        for (j = 0; j < PEOPLE + WATCHERS; j++) {
            true_state = j < PEOPLE ? (people[j] == NULL ? "absent"
                                       : away[j]         ? "away"
                                                         : "free")
                         : watchers[j - PEOPLE].client != NULL ? "free"
                                                               : "absent";
            if (j - PEOPLE == i || (watchers[i].some && j % 2 == 1)) {
                true_state = "absent"; /* of those one is not told */
            }
            CHECK(strcmp(watchers[i].states[j] != NULL ? watchers[i].states[j]
                                                       : "absent",
                         true_state) == 0,
                  "%s takes %s for %s, who is %s", watchers[i].client->name,
                  names[j],
                  watchers[i].states[j] != NULL ? watchers[i].states[j]
                                                : "absent",
                  true_state);
        }
    }
}

static void
leave(client_t **client, bool bye)
{
    if (bye) {
        client_says(*client, "{'type':'bye'}");
    }
    client_free(*client);
    *client = NULL;
}

static void
somebody(uint64_t *seed)
{
    int i = (int) random_below(seed, PEOPLE);

    if (people[i] == NULL) {
        people[i] = stage_open(&stage, random_below(seed, 2), names[i], NULL);
        client_says(people[i], "{'type':'hello','name':'%s','watch':'none'}",
                    names[i]);
        EXPECTS(people[i], "{'type':'welcome'}");
        away[i] = false;
    } else if (random_below(seed, 3) == 0) {
        away[i] = !away[i];
        client_says(people[i], "{'type':'state','state':'%s'}",
                    away[i] ? "away" : "free");
    } else {
        leave(&people[i], random_below(seed, 2) == 0);
    }
}

static const char *
even_ones(void)
{
    static char list[512];
    int i;

    strcpy(list, "[");
    for (i = 0; i < PEOPLE + WATCHERS; i += 2) {
        sprintf(list + strlen(list), "%s'%s'", i > 0 ? "," : "", names[i]);
    }
    return strcat(list, "]");
}

static void
a_watcher(uint64_t *seed)
{
    uint32_t i = random_below(seed, WATCHERS);
    watcher_t *watcher = &watchers[i];

    if (watcher->client == NULL) {
        watcher->client =
            stage_open(&stage, random_below(seed, 2), names[PEOPLE + i], NULL);
        watcher->some = random_below(seed, 2) == 0;
        client_says(watcher->client, "{'type':'hello','name':'%s','watch':%s}",
                    names[PEOPLE + i], watcher->some ? even_ones() : "'all'");
    } else if (random_below(seed, 2) == 0) {
        hear(watcher);
        watcher->some = !watcher->some;
        client_says(watcher->client, "{'type':'watch','names':%s}",
                    watcher->some ? even_ones() : "'all'");
    } else {
        hear(watcher);
        forget(watcher);
        watcher->listed = false;
        leave(&watcher->client, false);
    }
    hear(watcher);
}

static void
churn(size_t n, uint64_t seed)
{
    int step, i;

    stage_begin(&stage, n);
    stage.conf.rate = 0;
    for (step = 0; step < STEPS; step++) {
        switch (random_below(&seed, 16)) {
        case 0:
            a_watcher(&seed);
            break;
        case 1:
        case 2:
            stage_pass(&stage, random_below(&seed, 150));
            hear_all();
            break;
        case 3:
            host_timer(&stage.hosts[random_below(&seed, (uint32_t) n)]);
            break;
        default:
            somebody(&seed);
        }
        if (step % 50 == 49) {
            compare();
        }
    }
    for (i = 0; i < PEOPLE; i++) {
        people[i] = NULL;
    }
    for (i = 0; i < WATCHERS; i++) {
        forget(&watchers[i]);
        watchers[i] = (watcher_t){0};
    }
    stage_end(&stage);
}

/* So much happens that the log runs over before a worker has read it. */
static void
overrun(void)
{
    uint32_t i, times;
    client_t *client;

    stage_begin(&stage, 2);
    stage.conf.rate = 0;
    people[0] = stage_guest(&stage, 1, names[0]);
    watchers[0].client = stage_open(&stage, 0, names[PEOPLE], NULL);
    client_says(watchers[0].client, "{'type':'hello','name':'%s'}",
                names[PEOPLE]);
    stage_settle(&stage);
    hear_all();
    times = stage.zone->shared->changes / 2 + 100;
    for (i = 0; i < times; i++) {
        client = stage_open(&stage, 1, names[1], NULL);
        client_says(client, "{'type':'hello','name':'%s','watch':'none'}",
                    names[1]);
        client_free(client);
    }
    people[1] = stage_guest(&stage, 1, names[1]);
    leave(&people[0], true);
    compare();
    people[1] = NULL;
    forget(&watchers[0]);
    watchers[0] = (watcher_t){0};
    stage_end(&stage);
}

int
main(void)
{
    int i;

    for (i = 0; i < PEOPLE + WATCHERS; i++) {
        sprintf(names[i], "%c%d", i < PEOPLE ? 'p' : 'w', i);
    }
    churn(1, host_zone_seed());
    churn(2, host_zone_seed() + 1);
    CHECK(deltas > 1000);
    overrun();
    return 0;
}
