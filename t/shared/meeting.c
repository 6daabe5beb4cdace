/*
 * Rooms, as those in them hear of it: on one worker and on two; who enters and
 * leaves, what is refused, signals in their order, and none of an earlier
 * membership.  Where nothing settles in between, no worker knows what the other
 * did but by the shared memory.
 */

#include "alloc.h"
#include "check.h"
#include "stage.h"
#include "wsig_room.h"
#include "wsig_worker.h"

#include <stdatomic.h>
#include <string.h>

#define ROOM "a-room_of_22-characters"
#define OTHER_ROOM "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789abcdefghijklmnopqrstuvwxyz"

enum {
    WINDOW = 15000
};

typedef struct person_s {
    client_t *client;
    char peer[32];
    char token[80];
    int got; /* counted texts, where it may come back */
} person_t;

static stage_t stage;
static person_t alice, bob, carol;
static const wsig_address_t nobody = {0, 99}; /* who has ever been there */

static void
join(person_t *person, size_t host, const char *name, const char *identity)
{
    const char *text;

    memset(person, 0, sizeof(*person));
    person->client = stage_open(&stage, host, name, identity);
    client_says(person->client, "{'type':'hello','name':'%s','watch':'none'}",
                name);
    stage_settle(&stage);
    text = EXPECTS(person->client, "{'type':'welcome','name':'%s'}", name);
    strcpy(person->peer, text_member(text, "peer"));
    if (stage.conf.resume > 0) {
        strcpy(person->token, text_member(text, "resume"));
    }
}

static void
begin(size_t n)
{
    stage_begin(&stage, n);
    join(&alice, 0, "alice", "alice");
    join(&bob, 1, "bob", NULL);
    join(&carol, 2, "carol", NULL);
}

static void
end(void)
{
    stage_settle(&stage);
    ALL_SILENT(&stage);
    stage_end(&stage);
}

static void
enters(const person_t *person, const char *members)
{
    client_says(person->client, "{'type':'enter','room':'" ROOM "','ref':'e'}");
    EXPECTS(person->client,
            "{'type':'room','room':'" ROOM "','ref':'e','members':[%s]}",
            members);
}

static void
leaves(const person_t *person)
{
    client_says(person->client, "{'type':'leave','room':'" ROOM "'}");
}

/* A member, as it stands in a list. */
static const char *
as_member(const person_t *person)
{
    static char texts[8][160];
    static int next;
    char *text = texts[next++ % 8];

    sprintf(text, "{'peer':'%s','name':'%s','verified':%s}", person->peer,
            person->client->name, person == &alice ? "true" : "false");
    return text;
}

static void
hears_entered(const person_t *person, const person_t *who)
{
    EXPECTS(person->client,
            "{'type':'entered','room':'" ROOM "','peer':'%s','name':'%s',"
            "'verified':%s}",
            who->peer, who->client->name, who == &alice ? "true" : "false");
}

static void
hears_left(const person_t *person, const person_t *who, const char *name)
{
    EXPECTS(person->client,
            "{'type':'left','room':'" ROOM "','peer':'%s','name':'%s'}",
            who->peer, name);
}

static void
signals(const person_t *from, const person_t *to, int number)
{
    client_says(from->client,
                "{'type':'signal','room':'" ROOM "','to':'%s','data':[%d]}",
                to->peer, number);
}

static void
hears_signal(const person_t *to, const person_t *from, int number)
{
    EXPECTS(to->client,
            "{'type':'signal','room':'" ROOM "','from':'%s','to':'!',"
            "'data':[%d]}",
            from->peer, number);
}

static void
is_unreachable(const person_t *from, const person_t *to)
{
    EXPECTS(from->client,
            "{'type':'error','code':'unreachable','room':'" ROOM "',"
            "'to':'%s'}",
            to->peer);
}

/* alice and bob are in it, and know it. */
static void
meet(size_t n)
{
    begin(n);
    enters(&alice, "");
    stage_settle(&stage);
    enters(&bob, as_member(&alice));
    stage_settle(&stage);
    hears_entered(&alice, &bob);
}

/* ------------------------------------------------------------ membership */

static void
a_whole_meeting(size_t n)
{
    char both[400];
    int i;

    meet(n);
    sprintf(both, "%s,%s", as_member(&alice), as_member(&bob));
    enters(&carol, both);
    stage_settle(&stage);
    hears_entered(&alice, &carol);
    hears_entered(&bob, &carol);
    ALL_SILENT(&stage);
    /* again: the same, and nobody is told */
    enters(&carol, both);
    stage_settle(&stage);
    ALL_SILENT(&stage);
    for (i = 0; i < 20; i++) {
        signals(&alice, &carol, i);
        signals(&carol, &alice, -i);
        signals(&bob, &carol, 100 + i);
    }
    stage_settle(&stage);
    for (i = 0; i < 20; i++) {
        hears_signal(&alice, &carol, -i);
    }
    for (i = 0; i < 40; i++) { /* in order from each, mixed as they came */
        client_hears(carol.client);
    }
    ALL_SILENT(&stage);
    leaves(&bob);
    stage_settle(&stage);
    hears_left(&alice, &bob, "bob");
    hears_left(&carol, &bob, "bob");
    leaves(&bob); /* nothing happens */
    stage_settle(&stage);
    ALL_SILENT(&stage);
    signals(&bob, &alice, 1);
    is_unreachable(&bob, &alice);
    signals(&alice, &bob, 1);
    is_unreachable(&alice, &bob);
    /* nobody hears of what comes after he left */
    leaves(&alice);
    stage_settle(&stage);
    hears_left(&carol, &alice, "alice");
    leaves(&carol);
    stage_settle(&stage);
    ALL_SILENT(&stage);
    CHECK(wsig_rooms_live(stage.zone) == 0);
    enters(&bob, "");
    end();
}

/* Two rooms at a time have nothing to do with each other. */
static void
two_rooms(size_t n)
{
    meet(n);
    client_says(bob.client, "{'type':'enter','room':'" OTHER_ROOM "'}");
    EXPECTS(bob.client, "{'type':'room','room':'" OTHER_ROOM "','members':[],"
                        "'ref':'!'}");
    client_says(carol.client, "{'type':'enter','room':'" OTHER_ROOM "'}");
    EXPECTS(carol.client, "{'type':'room','members':[%s]}", as_member(&bob));
    stage_settle(&stage);
    EXPECTS(bob.client, "{'type':'entered','room':'" OTHER_ROOM "'}");
    SILENT(alice.client);
    signals(&carol, &bob, 1);
    is_unreachable(&carol, &bob);
    leaves(&bob);
    client_says(bob.client, "{'type':'signal','room':'" OTHER_ROOM "',"
                            "'to':'%s','data':null}",
                carol.peer);
    stage_settle(&stage);
    hears_left(&alice, &bob, "bob");
    EXPECTS(carol.client,
            "{'type':'signal','room':'" OTHER_ROOM "','from':'%s',"
            "'data':null}",
            bob.peer);
    /* written in another way, it is the same */
    client_says(alice.client, "{'type':'enter','room':'\\u0061-room_of_22-"
                              "character\\u0073'}");
    EXPECTS(alice.client, "{'type':'room','room':'" ROOM "','members':[]}");
    end();
}

/* Rooms and calls at the same time. */
static void
with_a_call(size_t n)
{
    const char *call;

    meet(n);
    client_says(alice.client, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    call = text_member(EXPECTS(alice.client, "{'type':'calling'}"), "call");
    EXPECTS(bob.client, "{'type':'ring'}");
    client_says(bob.client, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    EXPECTS(alice.client, "{'type':'accepted'}");
    EXPECTS(bob.client, "{'type':'accepted'}");
    client_says(alice.client,
                "{'type':'signal','call':'%s','room':'" ROOM "','to':'%s',"
                "'data':1}",
                call, bob.peer);
    EXPECTS(alice.client, "{'type':'error','code':'bad-message','call':'%s',"
                          "'room':'" ROOM "','to':'%s'}",
            call, bob.peer);
    client_says(alice.client, "{'type':'signal','call':'%s','data':1}", call);
    signals(&alice, &bob, 2);
    client_says(alice.client, "{'type':'hangup','call':'%s'}", call);
    signals(&alice, &bob, 3);
    stage_settle(&stage);
    EXPECTS(bob.client, "{'type':'signal','call':'%s','data':1}", call);
    hears_signal(&bob, &alice, 2);
    EXPECTS(bob.client, "{'type':'ended','call':'%s'}", call);
    hears_signal(&bob, &alice, 3);
    end();
}

/* ------------------------------------------------------------ refusals */

static void
refused(const char *text, const char *code, const char *members)
{
    client_says(alice.client, "%s", text);
    EXPECTS(alice.client, "{'type':'error','code':'%s'%s}", code, members);
    SILENT(alice.client);
}

static void
malformed(size_t n)
{
    static const char *const names[] = {
        "", "abcdefghijklmnopqrstu", "abcdefghijklmnopqrstu+",
        OTHER_ROOM "x", "abcdefghijklmnopqrst\\u00e4"};
    static const char *const types[] = {"'enter'", "'leave'",
                                        "'signal','to':'p1','data':1"};
    char text[400];
    size_t i, j;

    begin(n);
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (j = 0; j < sizeof(types) / sizeof(types[0]); j++) {
            sprintf(text, "{'type':%s,'room':'%s'}", types[j], names[i]);
            refused(text, "room-name", i == 1 ? ",'room':'*'" : "");
        }
    }
    refused("{'type':'enter'}", "bad-message", ",'room':'!'");
    refused("{'type':'enter','room':7}", "bad-message", ",'room':'!'");
    refused("{'type':'leave','room':null}", "bad-message", ",'room':'!'");
    refused("{'type':'signal','room':[],'to':'p1','data':1}", "bad-message",
            ",'to':'p1'");
    refused("{'type':'signal','room':'" ROOM "','data':1}", "bad-message",
            ",'room':'" ROOM "'");
    refused("{'type':'signal','room':'" ROOM "','to':7,'data':1}",
            "bad-message", ",'room':'" ROOM "','to':'!'");
    refused("{'type':'signal','room':'" ROOM "','to':'p1','ref':'r'}",
            "bad-message", ",'room':'" ROOM "','ref':'r'");
    enters(&alice, "");
    refused("{'type':'signal','room':'" ROOM "','to':'p1','data':1}",
            "unreachable", ",'room':'" ROOM "','to':'p1'");
    refused("{'type':'signal','room':'" ROOM "','to':'','data':1}",
            "unreachable", ",'room':'" ROOM "'");
    sprintf(text, "{'type':'signal','room':'" ROOM "','to':'%s','data':1}",
            alice.peer);
    refused(text, "unreachable", "");
    end();
}

static void
a_full_room(size_t n)
{
    static char names[9][4];
    client_t *members[9];
    int i, j;

    stage_begin(&stage, n);
    for (i = 0; i < 9; i++) {
        sprintf(names[i], "m%d", i);
        members[i] = stage_guest(&stage, (size_t) i, names[i]);
        client_says(members[i], "{'type':'enter','room':'" ROOM "','ref':'f'}");
        if (i < 8) {
            EXPECTS(members[i], "{'type':'room'}");
        } else {
            EXPECTS(members[i],
                    "{'type':'error','code':'room-full','room':'" ROOM "',"
                    "'ref':'f'}");
        }
        stage_settle(&stage);
        for (j = 0; j < i && i < 8; j++) {
            EXPECTS(members[j], "{'type':'entered','name':'m%d'}", i);
        }
    }
    /* one is lost, so there is room */
    client_lost(members[3]);
    client_says(members[8], "{'type':'enter','room':'" ROOM "'}");
    EXPECTS(members[8], "{'type':'room'}");
    stage_settle(&stage);
    for (j = 0; j < 8; j++) {
        if (j != 3) {
            EXPECTS(members[j], "{'type':'left','name':'m3'}");
            EXPECTS(members[j], "{'type':'entered','name':'m8'}");
        }
    }
    end();
}

static void
too_many_rooms(size_t n)
{
    wsig_realm_id_t realm;
    wsig_room_t copy;
    char name[32];
    uint32_t i, rooms;
    int j;

    begin(n);
    for (j = 0; j < 9; j++) {
        client_says(alice.client,
                    "{'type':'enter','room':'abcdefghijklmnopqrstuv%d'}", j);
        if (j < 8) {
            EXPECTS(alice.client, "{'type':'room'}");
        } else {
            EXPECTS(alice.client,
                    "{'type':'error','code':'limit','room':"
                    "'abcdefghijklmnopqrstuv8'}");
        }
    }
    client_says(alice.client,
                "{'type':'enter','room':'abcdefghijklmnopqrstuv3'}");
    EXPECTS(alice.client, "{'type':'room','members':[]}");
    client_says(alice.client,
                "{'type':'leave','room':'abcdefghijklmnopqrstuv3'}");
    client_says(alice.client,
                "{'type':'enter','room':'abcdefghijklmnopqrstuv8'}");
    EXPECTS(alice.client, "{'type':'room','members':[]}");
    /* no record is left */
    CHECK(wsig_realm_id(stage.zone, WSIG_ARTICLE, (wsig_text_t){"x", 1},
                        &realm) == WSIG_OK);
    rooms = stage.zone->shared->rooms - 8;
    for (i = 0; i <= rooms; i++) {
        sprintf(name, "abcdefghijklmnop%06u", i);
        CHECK(wsig_room_enter(stage.zone, &realm, (wsig_text_t){name, 22},
                              nobody, &copy) ==
              (i < rooms ? WSIG_OK : WSIG_NOMEM));
    }
    client_says(bob.client, "{'type':'enter','room':'" ROOM "'}");
    EXPECTS(bob.client, "{'type':'error','code':'limit','room':'" ROOM "'}");
    /* whose place never was there are swept */
    stage_pass(&stage, 1200);
    enters(&bob, "");
    CHECK(wsig_rooms_live(stage.zone) == 9);
    end();
}

static void
guests_who_may_only_call(size_t n)
{
    client_t *guest;

    stage_begin(&stage, n);
    stage.conf.guests = WSIG_GUESTS_CALL;
    join(&alice, 0, "alice", "alice");
    guest = stage_guest(&stage, 1, "guest");
    enters(&alice, "");
    client_says(guest, "{'type':'enter','room':'" ROOM "'}");
    EXPECTS(guest, "{'type':'error','code':'forbidden','room':'" ROOM "'}");
    client_says(guest, "{'type':'leave','room':'" ROOM "'}");
    client_says(guest,
                "{'type':'signal','room':'" ROOM "','to':'%s','data':1}",
                alice.peer);
    EXPECTS(guest, "{'type':'error','code':'unreachable','room':'" ROOM "'}");
    end();
}

/* ------------------------------------------------------------ races */

/* What a newcomer says comes after the news of him, whichever way each goes;
 * what was said to an earlier membership does not come at all. */
static void
earlier_memberships(size_t n)
{
    begin(n);
    enters(&alice, "");
    stage_settle(&stage);
    enters(&bob, as_member(&alice));
    signals(&bob, &alice, 1);
    stage_settle(&stage);
    hears_entered(&alice, &bob);
    hears_signal(&alice, &bob, 1);
    /* bob is another member than the one whom alice signals */
    leaves(&bob);
    enters(&bob, as_member(&alice));
    signals(&alice, &bob, 2);
    if (n > 1) {
        hears_left(&alice, &bob, "bob");
        hears_entered(&alice, &bob);
        is_unreachable(&alice, &bob);
        stage_settle(&stage);
        ALL_SILENT(&stage);
    } else {
        hears_left(&alice, &bob, "bob");
        hears_entered(&alice, &bob);
        hears_signal(&bob, &alice, 2);
    }
    /* what is on its way as bob leaves and comes back */
    signals(&alice, &bob, 3);
    if (n == 1) {
        hears_signal(&bob, &alice, 3);
    }
    leaves(&bob);
    enters(&bob, as_member(&alice));
    signals(&bob, &alice, 4);
    stage_settle(&stage);
    hears_left(&alice, &bob, "bob");
    hears_entered(&alice, &bob);
    hears_signal(&alice, &bob, 4);
    signals(&alice, &bob, 5);
    stage_settle(&stage);
    hears_signal(&bob, &alice, 5);
    /* alice has left: what bob says is dropped, and he learns of it */
    signals(&bob, &alice, 6);
    leaves(&alice);
    stage_settle(&stage);
    if (n == 1) {
        hears_signal(&alice, &bob, 6);
    }
    hears_left(&bob, &alice, "alice");
    /* who enters again has the news before */
    enters(&alice, as_member(&bob));
    leaves(&bob);
    if (n > 1) {
        client_says(alice.client, "{'type':'enter','room':'" ROOM "'}");
        hears_left(&alice, &bob, "bob");
        EXPECTS(alice.client, "{'type':'room','members':[]}");
    } else {
        hears_entered(&bob, &alice);
        hears_left(&alice, &bob, "bob");
    }
    end();
}

/* alice gets a text from eve, as it comes from another worker. */
static void
eve_says(wsig_address_t eve, const wsig_room_t *room, uint32_t entered,
         int number)
{
    wsig_worker_t *worker = alice.client->host->worker;
    wsig_record_t record = {.kind = WSIG_RECORD_ROOM_TEXT,
                            .call = room->id,
                            .from = eve,
                            .stream = 1,
                            .number = (uint32_t) number,
                            .entered = entered};
    char text[64];
    uint32_t i;

    for (i = 0; i < room->n; i++) {
        if (wsig_worker_find(worker, room->members[i].at) == alice.client->peer) {
            record.to = room->members[i].at;
            record.met = room->members[i].serial;
        }
    }
    record.size = (uint32_t) sprintf(text, "{\"type\":\"eve\",\"n\":%d}", number);
    CHECK(wsig_mailbox_post(stage.zone, worker->place, worker->epoch, &record,
                            text, 0) == WSIG_OK);
    wsig_mailbox_ring(stage.zone, worker->place, worker->doorbell);
    stage_settle(&stage);
}

/* A note that was lost costs a second, or comes with the first text. */
static void
a_lost_note(size_t n)
{
    wsig_realm_id_t realm;
    wsig_slot_t slot = {.name_size = 3, .name = "eve"}, holder;
    wsig_address_t at, holder_at;
    wsig_room_t copy;
    wsig_place_t *place;
    uint32_t serial;

    meet(n);
    /* on a worker that is nothing but a number */
    place = &stage.zone->shared->places[WSIG_WORKERS - 1];
    CHECK(wsig_realm_id(stage.zone, WSIG_NATIVE,
                        (wsig_text_t) WSIG_TEXT("example.org"),
                        &realm) == WSIG_OK);
    slot.realm = realm;
    slot.worker = WSIG_WORKERS - 1;
    slot.epoch = 2; /* even: nobody buries it */
    atomic_store(&place->epoch, slot.epoch);
    CHECK(wsig_registry_add(stage.zone, &slot, &at, &holder, &holder_at) ==
          WSIG_OK);
    CHECK(wsig_room_enter(stage.zone, &realm, (wsig_text_t) WSIG_TEXT(ROOM), at,
                          &copy) == WSIG_OK);
    stage_pass(&stage, 1100);
    EXPECTS(alice.client, "{'type':'entered','name':'eve'}");
    EXPECTS(bob.client, "{'type':'entered','name':'eve'}");
    CHECK(wsig_room_leave_id(stage.zone, copy.id, at, &copy) == WSIG_OK);
    CHECK(wsig_room_enter(stage.zone, &realm, (wsig_text_t) WSIG_TEXT(ROOM), at,
                          &copy) == WSIG_OK);
    stage_pass(&stage, 1100);
    EXPECTS(alice.client, "{'type':'left','name':'eve'}");
    EXPECTS(alice.client, "{'type':'entered','name':'eve'}");
    EXPECTS(bob.client, "{'type':'left','name':'eve'}");
    EXPECTS(bob.client, "{'type':'entered','name':'eve'}");
    serial = wsig_room_member(&copy, at)->serial;
    eve_says(at, &copy, serial, 1);
    EXPECTS(alice.client, "{'type':'eve','n':1}");
    CHECK(wsig_room_leave_id(stage.zone, copy.id, at, &copy) == WSIG_OK);
    CHECK(wsig_room_enter(stage.zone, &realm, (wsig_text_t) WSIG_TEXT(ROOM), at,
                          &copy) == WSIG_OK);
    eve_says(at, &copy, wsig_room_member(&copy, at)->serial, 1);
    EXPECTS(alice.client, "{'type':'left','name':'eve'}");
    EXPECTS(alice.client, "{'type':'entered','name':'eve'}");
    EXPECTS(alice.client, "{'type':'eve','n':1}");
    eve_says(at, &copy, serial, 2);
    SILENT(alice.client);
    stage_pass(&stage, 1100);
    EXPECTS(bob.client, "{'type':'left','name':'eve'}");
    EXPECTS(bob.client, "{'type':'entered','name':'eve'}");
    /* its worker dies */
    atomic_store(&place->epoch, 4);
    stage_pass(&stage, 1100);
    EXPECTS(alice.client, "{'type':'left','name':'eve'}");
    EXPECTS(bob.client, "{'type':'left','name':'eve'}");
    wsig_registry_sweep(stage.zone, at.slot / WSIG_PARTITION_SLOTS,
                        host_clock());
    end();
}

/* ------------------------------------------------------------ ends */

static void
who_goes(size_t n)
{
    meet(n);
    client_says(bob.client, "{'type':'bye'}");
    stage_settle(&stage);
    hears_left(&alice, &bob, "bob");
    enters(&carol, as_member(&alice));
    stage_settle(&stage);
    hears_entered(&alice, &carol);
    client_lost(carol.client);
    stage_settle(&stage);
    hears_left(&alice, &carol, "carol");
    /* a guest gives way to who owns the name */
    join(&bob, 1, "bob", NULL);
    enters(&bob, as_member(&alice));
    stage_settle(&stage);
    hears_entered(&alice, &bob);
    stage_user(&stage, 0, "bob");
    stage_pass(&stage, 1200);
    hears_left(&alice, &bob, "bob");
    end();
}

/* The next text that is no ack; counted ones are. */
static const char *
next(person_t *person)
{
    const char *text;

    do {
        text = client_hears(person->client);
    } while (text != NULL && strstr(text, "\"type\":\"ack\"") != NULL);
    if (text != NULL && (strstr(text, ",\"room\":") != NULL)) {
        person->got++;
    }
    return text;
}

static const char *
next_is(person_t *person, const char *type)
{
    const char *text = next(person);

    CHECK(text != NULL && strcmp(text_member(text, "type"), type) == 0,
          "%s: not %s: %s", person->client->name, type,
          text != NULL ? text : "nothing");
    return text;
}

static void
next_numbers(person_t *person, int first, int last)
{
    const char *text;

    for (; first <= last; first++) {
        text = next_is(person, "signal");
        CHECK(atoi(strstr(text, "\"data\":[") + 8) == first, "%d: %s", first,
              text);
    }
}

static void
come_back(person_t *person, size_t host, const char *name)
{
    const char *text;

    person->client = stage_open(&stage, host, name, NULL);
    client_says(person->client,
                "{'type':'hello','resume':'%s','got':%d,'name':'%s'}",
                person->token, person->got, name);
    stage_settle(&stage);
    text = EXPECTS(person->client,
                   "{'type':'welcome','resumed':true,'lost':'!','peer':'%s'}",
                   person->peer);
    strcpy(person->token, text_member(text, "resume"));
}

/* Who may come back is a member until then; others go on, and he hears of it
 * all, and gets every signal once, in order, wherever he comes back. */
static void
lost_and_back(size_t n)
{
    size_t round;
    int i, number = 0;

    stage_begin(&stage, n);
    stage.conf.resume = WINDOW;
    stage.conf.rate = 0;
    join(&bob, 0, "bob", NULL);
    join(&carol, 1, "carol", NULL);
    client_says(bob.client, "{'type':'enter','room':'" ROOM "'}");
    next_is(&bob, "room");
    client_says(carol.client, "{'type':'enter','room':'" ROOM "'}");
    next_is(&carol, "room");
    stage_settle(&stage);
    next_is(&bob, "entered");
    for (round = 0; round < 12; round++) {
        for (i = 0; i < 5; i++) {
            signals(&carol, &bob, ++number);
        }
        if (round % 3 != 0) {
            stage_settle(&stage);
            next_numbers(&bob, number - 4, number);
        }
        client_lost(bob.client);
        if (round % 2 == 0) {
            stage_pass(&stage, 1000);
        }
        for (i = 0; i < 5; i++) {
            signals(&carol, &bob, ++number);
        }
        join(&alice, round, "alice", "alice");
        client_says(alice.client, "{'type':'enter','room':'" ROOM "'}");
        next_is(&alice, "room");
        stage_settle(&stage);
        client_says(alice.client, "{'type':'bye'}");
        stage_settle(&stage);
        signals(&carol, &bob, ++number);
        come_back(&bob, round / 2, "bob");
        next_numbers(&bob, round % 3 != 0 ? number - 5 : number - 10,
                     number - 1);
        next_is(&bob, "entered");
        next_is(&bob, "left");
        next_numbers(&bob, number, number);
        SILENT(bob.client);
        while (next(&carol) != NULL) {
        }
    }
    client_lost(bob.client);
    stage_pass(&stage, WINDOW - 1000);
    CHECK(next(&carol) == NULL);
    stage_pass(&stage, 2000);
    next_is(&carol, "left");
    client_says(carol.client, "{'type':'bye'}");
    stage_settle(&stage);
    CHECK(wsig_rooms_live(stage.zone) == 0);
    stage_forget(&stage);
    end();
}

/* ------------------------------------------------------------ memory */

static bool
heard(const client_t *client, const char *type, const char *peer)
{
    size_t i;

    for (i = 0; i < client->n_texts; i++) {
        if (strstr(client->texts[i], type) != NULL &&
            strstr(client->texts[i], peer) != NULL) {
            return true;
        }
    }
    return false;
}

static void
short_play(void)
{
    client_says(carol.client, "{'type':'enter','room':'" ROOM "'}");
    stage_settle(&stage);
    signals(&alice, &carol, 1);
    signals(&carol, &bob, 2);
    leaves(&bob);
    client_says(bob.client, "{'type':'enter','room':'" ROOM "','ref':'e'}");
    stage_settle(&stage);
    signals(&alice, &bob, 3);
    signals(&bob, &carol, 4);
    leaves(&carol);
    client_says(carol.client, "{'type':'leave','room':'" OTHER_ROOM "'}");
    stage_pass(&stage, 1100);
}

/* Each allocation of a piece fails, or all from it on.  Whoever is still there
 * then knows of a newcomer, and has no ghosts in his room.  false: the piece
 * was over before that. */
static bool
short_of_memory(long n, bool onwards, int64_t window)
{
    const person_t *all[] = {&alice, &bob, &carol};
    wsig_room_t room;
    wsig_realm_id_t realm;
    person_t dave;
    size_t i, there;
    bool failed;

    stage_begin(&stage, 2);
    stage.conf.resume = window;
    join(&alice, 0, "alice", "alice");
    join(&bob, 1, "bob", NULL);
    join(&carol, 0, "carol", NULL);
    enters(&alice, "");
    enters(&bob, as_member(&alice));
    alloc_fail(n, onwards);
    short_play();
    failed = alloc_failed();
    alloc_fail(0, false);
    stage_pass(&stage, window + 8000);
    join(&dave, 1, "dave", NULL);
    client_says(dave.client, "{'type':'enter','room':'" ROOM "'}");
    stage_settle(&stage);
    CHECK(heard(dave.client, "\"type\":\"room\"", ROOM));
    CHECK(wsig_realm_id(stage.zone, WSIG_NATIVE,
                        (wsig_text_t) WSIG_TEXT("example.org"),
                        &realm) == WSIG_OK);
    CHECK(wsig_room_enter(stage.zone, &realm, (wsig_text_t) WSIG_TEXT(ROOM),
                          nobody, &room) == WSIG_OK);
    for (i = 0, there = 0; i < 3; i++) {
        if (heard(dave.client, "\"type\":\"room\"", all[i]->peer)) {
            there++;
            CHECK(all[i]->client->peer != NULL && !all[i]->client->closed,
                  "%ld: %s", n, all[i]->client->name);
            CHECK(heard(all[i]->client, "\"type\":\"entered\"", dave.peer),
                  "%ld: %s", n, all[i]->client->name);
        }
    }
    CHECK(room.n == there + 2);
    for (i = 0; i < 3; i++) {
        client_says(all[i]->client, "{'type':'bye'}");
    }
    stage_settle(&stage);
    client_says(dave.client, "{'type':'bye'}");
    stage_pass(&stage, 1100);
    stage_end(&stage);
    return failed;
}

int
main(void)
{
    size_t n;
    long i;

    for (i = 1; short_of_memory(i, false, 0); i++) {
    }
    CHECK(i > 20, "%ld", i);
    for (i = 1; short_of_memory(i, true, 0); i++) {
    }
    for (i = 1; short_of_memory(i, false, WINDOW); i++) {
    }
    for (i = 1; short_of_memory(i, true, WINDOW); i++) {
    }
    for (n = 1; n <= 3; n++) {
        a_whole_meeting(n);
        two_rooms(n);
        with_a_call(n);
        malformed(n);
        a_full_room(n);
        too_many_rooms(n);
        guests_who_may_only_call(n);
        earlier_memberships(n);
        a_lost_note(n);
        who_goes(n);
        lost_and_back(n);
    }
    return 0;
}
