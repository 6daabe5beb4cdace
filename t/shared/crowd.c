/*
 * A crowd in a few rooms, on three workers: people enter, leave, signal one
 * another numbers, lose their connections and come back to any worker, or do so
 * while the old connection stands, at random, and the workers do one thing at a
 * time, at random too.  At any time each of them sees members come and go one
 * after the other, and hears each member's numbers in order, from the first;
 * in the end all see the same, and nothing is missing.
 */

#include "check.h"
#include "frames.h"
#include "stage.h"
#include "wsig_room.h"

#include <jansson.h>
#include <string.h>

enum {
    PEOPLE = 10, /* more than a room holds */
    ROOMS = 3,
    WORKERS = 3,
    WINDOW = 15000,
#ifdef __SANITIZE_ADDRESS__
    STEPS = 20000
#else
    STEPS = 80000
#endif
};

typedef struct view_s {
    bool in;
    int entered; /* how often this was */
    struct {
        bool seen;
        int met;   /* how often this was */
        int said;  /* numbers to him since */
        int heard; /* and from him, */
        int whose; /* who says how often he has entered and met us */
    } members[PEOPLE];
} view_t;

typedef struct person_s {
    char name[4];
    char peer[32];
    char token[80];
    client_t *client; /* NULL: lost */
    client_t *old;    /* it moves, but has not heard its welcome yet */
    bool joined;
    int64_t lost;
    int sent; /* counted texts */
    int got;
    bool refused;
    view_t rooms[ROOMS];
} person_t;

static stage_t stage;
static person_t people[PEOPLE];
static long numbers, returns, full;
static uint64_t seed;

static int
below(int n)
{
    return (int) random_below(&seed, (uint32_t) n);
}

static const char *
room_name(int room)
{
    static const char *const names[ROOMS] = {
        "the-first-room-of-them", "the-second-room-of-them",
        "the-third-room-of-them"};

    return names[room];
}

/* ------------------------------------------------------------ hearing */

static const char *
string(const json_t *text, const char *key)
{
    const char *value = json_string_value(json_object_get(text, key));

    return value != NULL ? value : "";
}

static view_t *
view_of(person_t *person, const json_t *text)
{
    int i;

    for (i = 0; strcmp(room_name(i), string(text, "room")) != 0; i++) {
        CHECK(i + 1 < ROOMS);
    }
    return &person->rooms[i];
}

static int
who(const char *peer)
{
    int i;

    for (i = 0; strcmp(people[i].peer, peer) != 0; i++) {
        CHECK(i + 1 < PEOPLE, "%s", peer);
    }
    return i;
}

static void
sees(view_t *view, int other)
{
    view->members[other].seen = true;
    view->members[other].met++;
    view->members[other].said = view->members[other].heard = 0;
}

static void
hears_room(person_t *person, view_t *view, const json_t *text)
{
    bool listed[PEOPLE] = {false}, anew = !view->in;
    const json_t *member;
    size_t i;
    int j;

    view->in = true;
    view->entered += anew;
    json_array_foreach(json_object_get(text, "members"), i, member)
    {
        j = who(string(member, "peer"));
        CHECK(&people[j] != person && !listed[j]);
        CHECK(strcmp(string(member, "name"), people[j].name) == 0);
        listed[j] = true;
    }
    for (j = 0; j < PEOPLE; j++) {
        if (listed[j] && (anew || !view->members[j].seen)) {
            sees(view, j);
        }
        view->members[j].seen = listed[j];
    }
}

static void
hears_signal(person_t *person, view_t *view, const json_t *text)
{
    const json_t *data = json_object_get(text, "data");
    int from = who(string(text, "from"));
    int whose = (int) json_integer_value(json_array_get(data, 0));
    int number = (int) json_integer_value(json_array_get(data, 1));

    CHECK(view->in && view->members[from].seen, "%s from %s", person->name,
          people[from].name);
    CHECK(number == view->members[from].heard + 1, "%s hears %d of %s after %d",
          person->name, number, people[from].name,
          view->members[from].heard);
    CHECK(number == 1 || whose == view->members[from].whose,
          "%s hears %d of %s, from before", person->name, number,
          people[from].name);
    view->members[from].whose = whose;
    view->members[from].heard = number;
    numbers++;
}

static void
hears_welcome(person_t *person, const json_t *text)
{
    bool back = person->token[0] != '\0';

    CHECK(!person->joined);
    person->joined = true;
    strcpy(person->token, string(text, "resume"));
    if (!back) {
        strcpy(person->peer, string(text, "peer"));
        return;
    }
    returns++;
    CHECK(json_is_true(json_object_get(text, "resumed")) &&
          json_object_get(text, "lost") == NULL);
    CHECK(strcmp(person->peer, string(text, "peer")) == 0);
    CHECK(json_integer_value(json_object_get(text, "got")) == person->sent);
    if (person->old != NULL) {
        client_free(person->old);
        person->old = NULL;
    }
}

static void
hears_of_member(view_t *view, const json_t *text, bool enters)
{
    int other = who(string(text, "peer"));

    CHECK(view->in && view->members[other].seen != enters);
    if (enters) {
        sees(view, other);
    }
    view->members[other].seen = enters;
}

static void
hear(person_t *person)
{
    const char *words, *type;
    json_t *text;

    while (person->client != NULL &&
           (words = client_hears(person->client)) != NULL) {
        text = json_loads(words, 0, NULL);
        type = string(text, "type");
        person->got += json_object_get(text, "room") != NULL;
        if (strcmp(type, "welcome") == 0) {
            hears_welcome(person, text);
        } else if (strcmp(type, "room") == 0) {
            hears_room(person, view_of(person, text), text);
        } else if (strcmp(type, "entered") == 0 || strcmp(type, "left") == 0) {
            hears_of_member(view_of(person, text), text, type[0] == 'e');
        } else if (strcmp(type, "signal") == 0) {
            hears_signal(person, view_of(person, text), text);
        } else if (strcmp(type, "error") == 0) {
            person->refused = strcmp(string(text, "code"), "unreachable") == 0;
            CHECK(person->refused ||
                      strcmp(string(text, "code"), "room-full") == 0,
                  "%s hears %s", person->name, words);
            full += !person->refused;
        } else {
            CHECK(strcmp(type, "ack") == 0, "%s hears %s", person->name, words);
        }
        json_decref(text);
    }
    CHECK(person->client == NULL || !person->client->closed, "%s: %d %s",
          person->name, person->client->code, person->client->why);
}

/* ------------------------------------------------------------ doing */

static void
connects(person_t *person)
{
    person->client =
        stage_open(&stage, (size_t) below(WORKERS), person->name, NULL);
    person->joined = false;
    if (person->token[0] == '\0') {
        client_says(person->client,
                    "{'type':'hello','name':'%s','watch':'none'}",
                    person->name);
    } else {
        client_says(person->client,
                    "{'type':'hello','resume':'%s','got':%d,'name':'%s'}",
                    person->token, person->got, person->name);
    }
    hear(person);
}

static void
asks(person_t *person, const char *what, int room)
{
    person->sent++;
    client_says(person->client, "{'type':'%s','room':'%s'}", what,
                room_name(room));
    hear(person);
}

static void
says_number(person_t *person, int room, int other)
{
    view_t *view = &person->rooms[room];
    int met = view->members[other].met;

    if (!view->in || !view->members[other].seen) {
        return;
    }
    person->refused = false;
    person->sent++;
    client_says(person->client,
                "{'type':'signal','room':'%s','to':'%s','data':[%d,%d]}",
                room_name(room), people[other].peer,
                view->entered * 100000 + met,
                view->members[other].said + 1);
    hear(person);
    if (person->refused) {
        CHECK(view->members[other].met != met || !view->members[other].seen);
    } else {
        CHECK(view->members[other].met == met);
        view->members[other].said++;
    }
}

static void
acts(person_t *person)
{
    int room = below(ROOMS), deed = below(40);

    hear(person);
    if (person->client == NULL) {
        if (deed < 4 || host_clock() > person->lost + WINDOW / 2) {
            connects(person);
        }
    } else if (!person->joined || person->client->held) {
        return; /* what it says now is not looked at yet */
    } else if (deed == 0) {
        client_free(person->client);
        person->client = NULL;
        person->lost = host_clock();
    } else if (deed == 1) {
        person->old = person->client;
        connects(person);
    } else if (deed < 7) {
        if (deed < 4) {
            asks(person, "leave", room);
            person->rooms[room].in = false;
        }
        if (deed > 2) {
            asks(person, "enter", room);
        }
    } else {
        says_number(person, room, below(PEOPLE));
    }
}

static void
works(host_t *host)
{
    switch (below(3)) {
    case 0:
        (void) host_ring(host);
        break;
    case 1:
        (void) host_timer(host);
        break;
    default:
        (void) host_sockets(host);
    }
}

/* All are there, and have heard all. */
static void
judge(void)
{
    int i, j, room, n;
    uint32_t live = 0;
    view_t *view;

    for (room = 0; room < ROOMS; room++) {
        for (i = 0, n = 0; i < PEOPLE; i++) {
            view = &people[i].rooms[room];
            n += view->in;
            for (j = 0; view->in && j < PEOPLE; j++) {
                CHECK(view->members[j].seen ==
                          (j != i && people[j].rooms[room].in),
                      "%d %d %d", room, i, j);
                CHECK(!view->members[j].seen ||
                          view->members[j].heard ==
                              people[j].rooms[room].members[i].said,
                      "%s heard %d of %s, who said %d", people[i].name,
                      view->members[j].heard, people[j].name,
                      people[j].rooms[room].members[i].said);
            }
        }
        CHECK(n <= WSIG_ROOM_MAX);
        live += n > 0;
    }
    CHECK(wsig_rooms_live(stage.zone) == live);
}

int
main(void)
{
    int i, step;

    seed = host_zone_seed();
    stage_begin(&stage, WORKERS);
    stage.conf.resume = WINDOW;
    stage.conf.rate = 0;
    for (i = 0; i < PEOPLE; i++) {
        sprintf(people[i].name, "p%d", i);
        connects(&people[i]);
        CHECK(people[i].joined);
        /* whose token may not have arrived does not come back */
        client_says(people[i].client, "{'type':'ack','got':0}");
    }
    for (step = 0; step < STEPS; step++) {
        acts(&people[below(PEOPLE)]);
        for (i = below(6); i > 0; i--) {
            works(&stage.hosts[below(WORKERS)]);
        }
        if (below(8) == 0) {
            host_set_clock(host_clock() + below(30));
        }
        if (step % 4000 == 3999) {
            stage_pass(&stage, 3000);
            for (i = 0; i < PEOPLE; i++) {
                if (people[i].client == NULL) {
                    connects(&people[i]);
                }
            }
            stage_pass(&stage, 3000);
            for (i = 0; i < PEOPLE; i++) {
                hear(&people[i]);
                CHECK(people[i].joined);
            }
            judge();
        }
    }
    if (getenv("WSIG_LOG") != NULL) {
        fprintf(stderr, "%ld numbers, %ld returns, %ld times full\n", numbers,
                returns, full);
    }
    CHECK(numbers > STEPS / 10 && returns > STEPS / 100 && full > 10);
    for (i = 0; i < PEOPLE; i++) {
        client_says(people[i].client, "{'type':'bye'}");
    }
    stage_settle(&stage);
    stage_end(&stage);
    return 0;
}
