/*
 * A peer's life, by a clock that the test moves and sockets that take what the
 * test says: time-outs, names that are taken, slow readers, rates, ends.
 */

#include "check.h"
#include "frames.h"
#include "stage.h"
#include "wsig_call.h"
#include "wsig_zone.h"

#include <string.h>
#include <unistd.h>

static stage_t stage;

static client_t *
hello(size_t host, const char *name, const char *identity)
{
    client_t *client = stage_open(&stage, host, name, identity);

    client_says(client, "{'type':'hello','name':'%s','watch':'none'}", name);
    return client;
}

static void
is_closed(client_t *client, int code)
{
    stage_settle(&stage);
    CHECK(client->code == code && client->closed, "%s: %d \"%s\"", client->name,
          client->code, client->why);
    SILENT(client);
}

static void
is_here(client_t *client)
{
    stage_settle(&stage);
    client_says(client, "{'type':'lookup','name':'nobody'}");
    EXPECTS(client, "{'type':'user','name':'nobody','state':'absent'}");
}

/* ------------------------------------------------------------ joining */

static void
first_texts(size_t n)
{
    static const struct {
        const char *text;
        int code;
    } texts[] = {
        {"{'type':'watch','names':'all'}", 4401},
        {"{'type':'bye'}", 4401},
        {"{'type':7}", 4400},
        {"{}", 4400},
        {"[1]", 4400},
        {"hello", 4400},
        {"{'type':'hello'}", 4400},
        {"{'type':'hello','name':''}", 4400},
        {"{'type':'hello','name':' a'}", 4400},
        {"{'type':'hello','name':'a','watch':7}", 4400},
        {"{'type':'hello','name':'a','watch':'some'}", 4400},
        {"{'type':'hello','name':'a','watch':[1]}", 4400},
        {"{'type':'hello','name':'a','ref':1}", 4400},
        {"{'type':'hello','type':'hello','name':'a'}", 4400},
    };
    client_t *client;
    size_t i;

    stage_begin(&stage, n);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        client = stage_open(&stage, i, texts[i].text, NULL);
        client_says(client, "%s", texts[i].text);
        is_closed(client, texts[i].code);
        client_free(client);
    }
    client = hello(0, "alice", NULL);
    EXPECTS(client, "{'type':'welcome','name':'alice','verified':false,"
                    "'realm':'example.org','calls':[],'ping':25,'count':1,"
                    "'users':[],'max_message':65536,'ice':{'ttl':3600}}");
    client_says(client, "{'type':'hello','name':'b','ref':'h'}");
    EXPECTS(client, "{'type':'error','code':'already-joined','ref':'h'}");
    stage_end(&stage);
}

static void
no_hello(size_t n)
{
    client_t *client;

    stage_begin(&stage, n);
    client = stage_open(&stage, 0, "silent", NULL);
    stage_pass(&stage, 9999);
    CHECK(client->code == 0);
    stage_pass(&stage, 1);
    is_closed(client, 4408);
    stage_end(&stage);
}

static void
silence(size_t n)
{
    client_t *well, *dead;

    stage_begin(&stage, n);
    well = hello(0, "well", NULL);
    dead = hello(1, "dead", NULL);
    client_forget(well);
    client_forget(dead);
    dead->mute = true;
    stage_pass(&stage, 49900);
    CHECK(well->pings == 1 && dead->pings == 1 && dead->code == 0);
    stage_pass(&stage, 200);
    CHECK(dead->code != 0 && !dead->closed); /* it is waited for */
    stage_pass(&stage, 2000);
    CHECK(dead->closed);
    is_here(well);
    stage_pass(&stage, 100000);
    CHECK(well->pings >= 5);
    is_here(well);
    stage_end(&stage);
}

/* The holder of a name answers, or not, or is lost. */
static void
a_taken_name(size_t n)
{
    client_t *holder, *second, *third, *loser;

    stage_begin(&stage, n);
    holder = hello(0, "alice", NULL);
    client_forget(holder);
    second = hello(1, "alice", NULL);
    is_closed(second, 4409);
    CHECK(holder->pings == 1);
    is_here(holder);

    holder->mute = true;
    second = hello(1, "alice", NULL);
    third = hello(2, "alice", NULL);
    /* what follows hello waits for the answer */
    client_says(second, "{'type':'lookup','name':'bob'}");
    client_says(third, "{'type':'lookup','name':'bob'}");
    stage_pass(&stage, 1900);
    CHECK(holder->code == 0 && second->code == 0 && third->code == 0);
    SILENT(second);
    stage_pass(&stage, 300);
    CHECK(holder->code == 1001, "%d", holder->code);
    if (third->n_texts > 0) {
        loser = second;
        second = third; /* one of them has it */
        third = loser;
    }
    EXPECTS(second, "{'type':'welcome','name':'alice'}");
    EXPECTS(second, "{'type':'user','name':'bob'}");
    is_here(second);
    stage_pass(&stage, 1000);
    is_closed(third, 4409);

    second->mute = true;
    third = hello(0, "alice", NULL);
    stage_settle(&stage);
    client_lost(second);
    stage_pass(&stage, 200);
    EXPECTS(third, "{'type':'welcome','name':'alice'}");

    /* who asked goes before the answer comes */
    second = hello(1, "alice", NULL);
    client_lost(second);
    stage_pass(&stage, 5000);
    is_here(third);
    stage_end(&stage);
}

/* The hold of a taken name is not lifted by that of the rate. */
static void
a_taken_name_and_a_rate(size_t n)
{
    client_t *holder, *second;
    int i;

    stage_begin(&stage, n);
    stage.conf.rate = 10;
    stage.conf.burst = 3;
    holder = hello(0, "alice", NULL);
    client_forget(holder);
    holder->mute = true;
    second = stage_open(&stage, 1, "alice", NULL);
    for (i = 0; i < 3; i++) {
        client_sends(second, 0x89, "", 0);
    }
    client_says(second, "{'type':'hello','name':'alice'}");
    client_says(second, "{'type':'watch','names':'all'}");
    client_says(second, "{'type':'state','state':'away'}");
    client_says(second, "{'type':'call','to':'bob'}");
    stage_pass(&stage, 1900);
    SILENT(second);
    stage_pass(&stage, 2000);
    EXPECTS(second, "{'type':'welcome'}");
    EXPECTS(second, "{'type':'users'}");
    EXPECTS(second, "{'type':'error','code':'unreachable'}");
    stage_end(&stage);
}

static void
logins(size_t n)
{
    client_t *guest, *caller, *user, *second;
    const char *call;

    stage_begin(&stage, n);
    guest = hello(0, "bob", NULL);
    caller = stage_guest(&stage, 1, "alice");
    client_says(guest, "{'type':'call','to':'alice'}");
    stage_settle(&stage);
    call = text_member(EXPECTS(caller, "{'type':'ring'}"), "call");
    client_says(caller, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    client_forget(guest);
    EXPECTS(caller, "{'type':'accepted','verified':'!'}");
    /* the login that owns a name evicts a guest who sits on it */
    user = stage_open(&stage, 1, "bob", "bob");
    client_says(user, "{'type':'hello','name':'somebody else','watch':'none'}");
    EXPECTS(user, "{'type':'welcome','name':'bob','verified':true}");
    client_says(guest, "{'type':'call','to':'alice'}");
    stage_pass(&stage, 1000);
    CHECK(guest->code == 4410 && guest->closed, "%d", guest->code);
    EXPECTS(caller, "{'type':'ended','call':'%s','reason':'gone'}", call);
    guest = hello(0, "bob", NULL);
    is_closed(guest, 4409);
    second = stage_user(&stage, 0, "bob");
    is_here(second);
    is_here(user);

    stage.conf.guests = WSIG_GUESTS_OFF;
    guest = stage_open(&stage, 0, "carol", NULL);
    client_says(guest, "{'type':'hello','name':'carol'}");
    is_closed(guest, 4403);

    stage.conf.guests = WSIG_GUESTS_CALL;
    guest = stage_open(&stage, 0, "carol", NULL);
    client_says(guest, "{'type':'hello','name':'carol','watch':'all'}");
    EXPECTS(guest, "{'type':'welcome','users':[],'count':1}");
    client_says(guest, "{'type':'lookup','name':'bob'}");
    EXPECTS(guest, "{'type':'error','code':'forbidden'}");
    client_says(guest, "{'type':'call','to':'alice'}");
    EXPECTS(guest, "{'type':'error','code':'forbidden','to':'alice'}");
    client_says(guest, "{'type':'call','to':'bob'}");
    EXPECTS(guest, "{'type':'calling','to':'bob','ringing':2}");
    stage_settle(&stage);
    stage_end(&stage);
}

/* ------------------------------------------------------------ sockets */

/* What a connection takes in every size of bites, cut at every byte. */
static void
short_writes(void)
{
    char whole[300];
    size_t cut, size = 0, step;
    client_t *alice, *bob;

    for (cut = 0; cut == 0 || cut <= size; cut += step) {
        step = cut < 700 ? 1 : 97;
        stage_begin(&stage, 1);
        bob = stage_guest(&stage, 0, "bob");
        alice = stage_open(&stage, 0, "alice", NULL);
        alice->takes = cut == 0 ? HOST_UNLIMITED : cut - 1;
        alice->chunk = 1 + cut % 7;
        client_says(alice, "{'type':'hello','name':'alice','watch':'all'}");
        client_says(alice, "{'type':'call','to':'bob','info':'%.*s'}",
                    (int) (cut % 2 == 0 ? 10 : 300),
                    (char *) memset(whole, 'i', sizeof(whole)));
        client_says(alice, "{'type':'lookup','name':'bob'}");
        stage_settle(&stage);
        if (cut > 0) {
            alice->takes = 3;
            stage_settle(&stage);
            alice->takes = HOST_UNLIMITED;
            stage_settle(&stage);
        } else {
            size = alice->written;
        }
        EXPECTS(alice, "{'type':'welcome'}");
        EXPECTS(alice, "{'type':'calling'}");
        EXPECTS(alice, "{'type':'user','state':'free'}");
        EXPECTS(bob, "{'type':'ring'}");
        stage_end(&stage);
    }
}

/* Who does not read is closed, and what he was offered stays as it was. */
static void
slow_reader(size_t n, size_t taken)
{
    client_t *alice, *bob;
    const char *call;
    char data[1000];
    int i;

    stage_begin(&stage, n);
    stage.conf.max_backlog = 16384;
    stage.conf.rate = 0;
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 1, "bob");
    client_says(alice, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    call = text_member(EXPECTS(bob, "{'type':'ring'}"), "call");
    client_says(bob, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    stage_forget(&stage);
    memset(data, 'd', sizeof(data));
    bob->takes = taken;
    for (i = 0; i < 15; i++) {
        client_says(alice, "{'type':'signal','call':'%s','data':'%.900s'}",
                    call, data);
    }
    stage_settle(&stage);
    SILENT(alice);
    for (i = 0; i < 15; i++) {
        client_says(alice, "{'type':'signal','call':'%s','data':'%.900s'}",
                    call, data);
    }
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'ended','call':'%s','reason':'gone'}", call);
    bob->takes = HOST_UNLIMITED;
    stage_settle(&stage);
    client_forget(bob);
    is_closed(bob, 1013);

    /* the same, and he never reads again */
    bob = stage_guest(&stage, 1, "bob");
    client_says(alice, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    call = text_member(EXPECTS(bob, "{'type':'ring'}"), "call");
    client_says(bob, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    stage_forget(&stage);
    bob->takes = taken;
    for (i = 0; i < 30; i++) {
        client_says(alice, "{'type':'signal','call':'%s','data':'%.900s'}",
                    call, data);
    }
    stage_pass(&stage, 2100);
    CHECK(bob->closed && bob->code == 0);
    stage_forget(&stage);
    stage_end(&stage);
}

static void
broken_connections(size_t n)
{
    client_t *alice, *bob;

    stage_begin(&stage, n);
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 1, "bob");
    bob->broken = true;
    client_says(alice, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'calling'}");
    EXPECTS(alice, "{'type':'ended','reason':'unreachable'}");
    CHECK(bob->closed && bob->code == 0);
    /* broken before anything was said */
    stage.conf.guests = WSIG_GUESTS_OFF;
    bob = stage_open(&stage, 1, "bob", NULL);
    CHECK(!bob->closed); /* whoever opens it must have it in hand first */
    stage_pass(&stage, 1);
    is_closed(bob, 4403);
    is_here(alice);
    stage_end(&stage);
}

static void
rates(size_t n)
{
    client_t *alice;
    int i, heard = 0;

    stage_begin(&stage, n);
    stage.conf.rate = 10;
    stage.conf.burst = 20;
    alice = hello(0, "alice", NULL);
    client_forget(alice);
    for (i = 0; i < 100; i++) {
        client_says(alice, "{'type':'lookup','name':'u%d'}", i);
    }
    CHECK(alice->held);
    for (i = 0; i < 200; i++) {
        stage_pass(&stage, 50);
        while (client_hears(alice) != NULL) {
            heard++;
        }
        CHECK(heard <= 21 + (i + 1) / 2, "%d texts after %d ms", heard,
              (i + 1) * 50);
        CHECK(heard >= 17 + (i + 1) / 2 || heard == 100, "%d texts after %d ms",
              heard, (i + 1) * 50);
    }
    CHECK(heard == 100 && !alice->held);
    client_lost(alice);
    stage_end(&stage);
}

static void
endings(size_t n)
{
    static const uint8_t codes[][2] = {
        {0x03, 0xe8}, {0x03, 0xe9}, {0x0f, 0xa0}};
    client_t *alice, *bob;
    const char *call;
    size_t i;

    for (i = 0; i < 5; i++) {
        stage_begin(&stage, n);
        alice = stage_guest(&stage, 0, "alice");
        bob = stage_guest(&stage, 1, "bob");
        client_says(alice, "{'type':'call','to':'bob'}");
        stage_settle(&stage);
        call = text_member(EXPECTS(bob, "{'type':'ring'}"), "call");
        client_says(bob, "{'type':'accept','call':'%s'}", call);
        stage_settle(&stage);
        stage_forget(&stage);
        alice->mute = true;
        if (i < 3) {
            client_sends(alice, 0x88, codes[i], 2);
        } else if (i == 3) {
            client_sends(alice, 0x88, NULL, 0);
        } else {
            client_sends(alice, 0x82, "binary", 6);
        }
        stage_settle(&stage);
        CHECK(alice->closed);
        CHECK(alice->code == (i < 3    ? codes[i][0] << 8 | codes[i][1]
                              : i == 3 ? 1005
                                       : 1003),
              "%d", alice->code);
        EXPECTS(bob, "{'type':'ended','reason':'%s'}",
                i < 2 || i == 3 ? "hangup" : "gone");
        alice = stage_guest(&stage, 1, "alice"); /* her name is free */
        is_here(alice);
        stage_end(&stage);
    }
    /* our Close, and no answer; then an answer among other things */
    stage_begin(&stage, n);
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 0, "bob");
    alice->mute = bob->mute = true;
    client_says(alice, "{'type':'bye'}");
    client_says(bob, "{'type':'bye'}");
    CHECK(alice->code == 1000 && !alice->closed);
    client_says(alice, "{'type':'lookup','name':'bob'}");
    client_sends(alice, 0x89, "", 0);
    stage_pass(&stage, 100);
    SILENT(alice);
    CHECK(alice->pongs == 0);
    client_sends(bob, 0x88, codes[0], 2);
    CHECK(bob->closed && !alice->closed);
    stage_pass(&stage, 2000);
    CHECK(alice->closed);
    stage_end(&stage);
}

/* ------------------------------------------------------------ workers */

static void
stop(void)
{
    client_t *alice, *bob;

    stage_begin(&stage, 2);
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 1, "bob");
    host_quit(&stage.hosts[0], 3600000, false);
    host_quit(&stage.hosts[1], 3600000, false);
    stage_pass(&stage, 400);
    CHECK(alice->code == 0 && bob->code == 0);
    stage_pass(&stage, 300);
    is_closed(alice, 1001);
    is_closed(bob, 1001);
    CHECK(wsig_worker_peers(stage.hosts[0].worker) == 0);
    stage_end(&stage);
}

/* One worker of two is asked to leave: its peers stay until its time is up. */
static void
one_too_many(void)
{
    static char names[30][8];
    client_t *old[30], *bob;
    int i, left;

    stage_begin(&stage, 2);
    bob = stage_guest(&stage, 1, "bob");
    for (i = 0; i < 30; i++) {
        sprintf(names[i], "u%d", i);
        old[i] = stage_guest(&stage, 0, names[i]);
    }
    host_quit(&stage.hosts[0], 60000, false);
    stage_pass(&stage, 30000);
    host_quit(&stage.hosts[0], 60000, false); /* its time is not longer for that */
    stage_pass(&stage, 29900);
    for (i = 0; i < 30; i++) {
        CHECK(old[i]->code == 0);
    }
    stage_pass(&stage, 10000);
    for (i = 0; i < 30; i++) {
        is_closed(old[i], 1012);
    }
    is_here(bob);
    /* and now all of them, in the midst of it */
    host_stop(&stage.hosts[0]);
    CHECK(host_start(&stage.hosts[0], stage.zone) == WSIG_OK);
    for (i = 0; i < 30; i++) {
        old[i] = stage_guest(&stage, 0, names[i]);
    }
    host_quit(&stage.hosts[0], 60000, false);
    stage_pass(&stage, 20000);
    host_quit(&stage.hosts[0], 0, false); /* that long after all */
    stage_pass(&stage, 1000);
    left = (int) wsig_worker_peers(stage.hosts[0].worker);
    CHECK(left > 10 && left < 25, "%d", left);
    CHECK(bob->code == 0);
    host_quit(&stage.hosts[1], 60000, false);
    stage_pass(&stage, 700);
    CHECK(wsig_worker_peers(stage.hosts[0].worker) == 0);
    is_closed(bob, 1001);
    is_closed(old[0], 1001);
    stage_end(&stage);
}

/* Asked one after the other, nobody hears that others stay. */
static void
stop_without_drain(void)
{
    client_t *alice, *bob;

    stage_begin(&stage, 2);
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 1, "bob");
    host_quit(&stage.hosts[0], 0, false);
    stage_pass(&stage, 50);
    host_quit(&stage.hosts[1], 0, false);
    stage_pass(&stage, 700);
    is_closed(alice, 1001);
    is_closed(bob, 1001);
    stage_end(&stage);
}

/* Those who were promised others wait for them, whoever is told first, until
 * the promise is taken back or the time is up. */
static void
followed(void)
{
    static char names[30][8];
    client_t *alice, *bob, *users[30];
    int i;

    stage_begin(&stage, 2);
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 1, "bob");
    host_quit(&stage.hosts[0], 60000, true);
    stage_pass(&stage, 200);
    host_quit(&stage.hosts[1], 60000, true);
    stage_pass(&stage, 20000);
    is_here(alice);
    is_here(bob);
    host_quit(&stage.hosts[0], 60000, false);
    stage_pass(&stage, 700);
    is_closed(alice, 1001);
    is_here(bob);
    stage_pass(&stage, 39000);
    is_here(bob);
    stage_pass(&stage, 1000);
    is_closed(bob, 1012);
    stage_end(&stage);

    /* whose place is needed does not spread it */
    stage_begin(&stage, 1);
    for (i = 0; i < 30; i++) {
        sprintf(names[i], "u%d", i);
        users[i] = stage_guest(&stage, 0, names[i]);
    }
    host_quit(&stage.hosts[0], 60000, true);
    stage_pass(&stage, 1000);
    is_here(users[0]);
    host_quit(&stage.hosts[0], -1, true);
    stage_pass(&stage, 200);
    for (i = 0; i < 30; i++) {
        is_closed(users[i], 1012);
    }
    stage_end(&stage);

    /* a promise that was kept may be taken back */
    stage_begin(&stage, 1);
    alice = stage_guest(&stage, 0, "alice");
    host_quit(&stage.hosts[0], 60000, true);
    stage_pass(&stage, 4000);
    CHECK(host_start(&stage.hosts[1], stage.zone) == WSIG_OK);
    stage.list[1] = &stage.hosts[1];
    stage.n = 2;
    host_quit(&stage.hosts[0], 60000, false);
    stage_pass(&stage, 55000);
    is_here(alice);
    stage_pass(&stage, 2000);
    is_closed(alice, 1012);
    stage_end(&stage);
}

/* Newer workers come: the old one goes on until its time is up. */
static void
reload(void)
{
    char error[256];
    wsig_zone_options_t options = {.uid = geteuid(), .gid = getegid()};
    static char names[30][8];
    client_t *old[30], *carol;
    wsig_zone_t *newer;
    const char *call;
    int i, left, before = 30;

    stage_begin(&stage, 1);
    options.path = stage.zone->path;
    options.size = WSIG_ZONE_MIN;
    for (i = 0; i < 30; i++) {
        sprintf(names[i], "u%d", i);
        old[i] = stage_guest(&stage, 0, names[i]);
    }
    CHECK(wsig_zone_open(&newer, &options, error, sizeof(error)) == WSIG_OK);
    host_quit(&stage.hosts[0], 60000, false);
    stage_pass(&stage, 200);
    CHECK(host_start(&stage.hosts[1], newer) == WSIG_OK);
    stage.list[1] = &stage.hosts[1];
    stage.n = 2;
    stage_settle(&stage);
    carol = stage_guest(&stage, 1, "carol");
    /* between the generations */
    client_says(carol, "{'type':'call','to':'u3'}");
    stage_settle(&stage);
    call = text_member(EXPECTS(old[3], "{'type':'ring'}"), "call");
    client_says(old[3], "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    EXPECTS(carol, "{'type':'calling'}");
    EXPECTS(carol, "{'type':'accepted'}");
    stage_pass(&stage, 59000);
    for (i = 0; i < 30; i++) {
        CHECK(old[i]->code == 0);
    }
    for (i = 0; i < 10; i++) {
        stage_pass(&stage, 1000);
        left = (int) wsig_worker_peers(stage.hosts[0].worker);
        CHECK(before - left < 25, "all at once");
        before = left;
    }
    CHECK(before == 0);
    for (i = 0; i < 30; i++) {
        CHECK(old[i]->code == 1012, "%d", old[i]->code);
    }
    EXPECTS(carol, "{'type':'ended','reason':'gone'}");
    is_here(carol);
    host_stop(&stage.hosts[0]);
    stage.list[0] = stage.list[1];
    stage.n = 1;
    stage_pass(&stage, 5000);
    is_here(carol);
    host_stop(&stage.hosts[1]);
    wsig_zone_close(newer);
    stage.n = 0;
    stage_end(&stage);
}

static void
no_worker_slot(void)
{
    static host_t hosts[WSIG_WORKERS];
    wsig_zone_t *zone = host_zone(WSIG_ZONE_MIN);
    host_t more = {0};
    int i;

    for (i = 0; i < WSIG_WORKERS; i++) {
        CHECK(host_start(&hosts[i], zone) == WSIG_OK);
    }
    CHECK(host_start(&more, zone) == WSIG_FULL);
    host_stop(&hosts[17]);
    CHECK(host_start(&more, zone) == WSIG_OK);
    host_stop(&more);
    for (i = 0; i < WSIG_WORKERS; i++) {
        if (hosts[i].worker != NULL) {
            host_stop(&hosts[i]);
        }
    }
    host_zone_remove(zone);
}

int
main(void)
{
    static void (*const tests[])(size_t n) = {
        first_texts,
        no_hello,
        silence,
        a_taken_name,
        a_taken_name_and_a_rate,
        logins,
        broken_connections,
        rates,
        endings,
    };
    size_t n, i;

    for (n = 1; n <= 2; n++) {
        for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
            tests[i](n);
        }
        slow_reader(n, 0);
        slow_reader(n, 1);
        slow_reader(n, 950);
        slow_reader(n, 2000);
    }
    stop();
    one_too_many();
    stop_without_drain();
    followed();
    reload();
    no_worker_slot();
    short_writes();
    return 0;
}
