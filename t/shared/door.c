/*
 * The door: who must not enter, what follows a hello while the name is asked
 * for, and the tokens of a rate from the first byte on.
 */

#include "check.h"
#include "frames.h"
#include "stage.h"

#include <string.h>

static stage_t stage;

/* ------------------------------------------------------------ a host whose
 * connections cannot be written to, and which counts */

typedef struct host_of_none_s {
    int writes;
    int closes;
    int64_t delay;
} host_of_none_t;

static host_of_none_t none;

static ssize_t
none_write(void *connection, const void *data, size_t size)
{
    (void) connection;
    (void) data;
    (void) size;
    none.writes++;
    return WSIG_ERROR;
}

static void
none_close(void *connection)
{
    CHECK(connection == &none);
    none.closes++;
}

static void
none_hold(void *connection, bool hold)
{
    (void) connection;
    (void) hold;
}

static void
none_timer(void *host, int64_t delay)
{
    (void) host;
    none.delay = delay;
}

static void
none_log(void *host, wsig_level_t level, const char *text)
{
    (void) host;
    (void) level;
    (void) text;
}

/* Whoever opens a peer has it in hand, and hears of its end later. */
static void
unwanted(wsig_dialect_t dialect, bool speaks)
{
    static const wsig_host_t host = {none_write, none_close, none_hold,
                                     none_timer, none_log};
    wsig_zone_t *zone = host_zone(WSIG_ZONE_MIN);
    wsig_conf_t conf = {0};
    wsig_admission_t admission = {
        .conf = &conf, .dialect = dialect, .realm = WSIG_TEXT("example.org")};
    wsig_time_t now = {1000000, 0};
    frames_t frames = {0};
    wsig_worker_t *worker;
    wsig_peer_t *peer;

    wsig_conf_merge(&conf, NULL);
    conf.resume = 0; /* whoever is lost is gone */
    conf.guests = WSIG_GUESTS_OFF;
    none = (host_of_none_t){.delay = -1};
    CHECK(wsig_worker_start(&worker, zone, &host, NULL, now) == WSIG_OK);
    wsig_worker_timer(worker, now);
    peer = wsig_peer_open(worker, &admission, &none, now);
    CHECK(peer != NULL && wsig_worker_peers(worker) == 1);
    CHECK(none.writes == 0 && none.closes == 0 && none.delay == 0);
    if (speaks) {
        frames_add(&frames, 0x81, "{}", 2, 0x12345678);
        wsig_peer_read(peer, frames.data, frames.size, now);
        free(frames.data);
    } else {
        wsig_peer_writable(peer, now);
        CHECK(none.closes == 0);
        wsig_worker_timer(worker, now);
    }
    CHECK(none.writes == 1 && none.closes == 1);
    CHECK(wsig_worker_peers(worker) == 0);
    wsig_worker_free(worker, now);
    host_zone_remove(zone);
}

static void
unwanted_ones_hear_why(size_t n)
{
    client_t *silent, *client, *user;

    stage_begin(&stage, n);
    stage.conf.guests = WSIG_GUESTS_OFF;
    silent = stage_open(&stage, 0, "silent", NULL);
    CHECK(silent->written == 0);
    client = stage_open(&stage, 1, "bob", NULL);
    client_says(client, "{'type':'hello','name':'bob'}");
    stage_settle(&stage);
    CHECK(client->code == 4403 && client->closed);
    CHECK(silent->code == 4403 && silent->closed);
    SILENT(client);
    user = stage_user(&stage, 1, "bob");
    stage_pass(&stage, 1000);
    CHECK(user->code == 0);
    stage_end(&stage);
}

/* ------------------------------------------------------------ claims */

enum {
    JUMP,       /* all the time at once, one worker after the other */
    JUMP_OTHER, /* the newcomer's worker first */
    STEPS,
    LATE_STEPS, /* of less than the wait, and then all */
    WAYS
};

static void
time_goes_by(int way, size_t n)
{
    int i;

    switch (way) {
    case JUMP:
        host_set_clock(host_clock() + 3000);
        break;
    case JUMP_OTHER:
        host_set_clock(host_clock() + 3000);
        while (host_timer(&stage.hosts[1 % n])) {
        }
        break;
    case STEPS:
        for (i = 0; i < 30; i++) {
            host_set_clock(host_clock() + 100);
            stage_settle(&stage);
        }
        break;
    default:
        for (i = 0; i < 19; i++) {
            host_set_clock(host_clock() + 100);
            stage_settle(&stage);
        }
        host_set_clock(host_clock() + 3000);
    }
    stage_settle(&stage);
}

/* What follows a hello in the same bytes is not looked at before the name is
 * had, and never if it is not. */
static void
pipelined(size_t n, int way, wsig_dialect_t dialect, uint32_t rate)
{
    static const char *const texts[2][3] = {
        {"{\"type\":\"hello\",\"name\":\"alice\",\"watch\":\"none\"}",
         "{\"type\":\"lookup\",\"name\":\"nobody\"}",
         "{\"type\":\"call\",\"to\":\"carol\",\"ref\":\"x\"}"},
        {"{\"nickname\":\"alice\"}", "{\"target\":\"carol\",\"sdp\":\"one\"}",
         "{\"target\":\"carol\",\"sdp\":\"two\"}"},
    };
    client_t *holder, *carol, *second;
    frames_t frames = {0};
    size_t i, size;

    stage_begin(&stage, n);
    stage.conf.rate = rate;
    stage.conf.burst = 1;
    holder = client_open(&stage.hosts[0], "holder", &stage.conf, dialect,
                         "example.org", NULL);
    carol = client_open(&stage.hosts[0], "carol", &stage.conf, dialect,
                        "example.org", NULL);
    client_sends(holder, 0x81, texts[dialect == WSIG_ARTICLE][0],
                 strlen(texts[dialect == WSIG_ARTICLE][0]));
    client_says(carol, dialect == WSIG_ARTICLE
                           ? "{'nickname':'carol'}"
                           : "{'type':'hello','name':'carol',"
                             "'watch':'none'}");
    stage_pass(&stage, 300);
    stage_forget(&stage);
    holder->mute = true;
    second = client_open(&stage.hosts[1 % n], "alice", &stage.conf, dialect,
                         "example.org", NULL);
    for (i = 0; i < 3; i++) {
        size = strlen(texts[dialect == WSIG_ARTICLE][i]);
        frames_add(&frames, 0x81, texts[dialect == WSIG_ARTICLE][i], size,
                   0x9a3c55e1);
    }
    client_sends_bytes(second, frames.data, frames.size);
    free(frames.data);
    stage_settle(&stage);
    CHECK(second->held);
    SILENT(second);
    SILENT(carol);
    time_goes_by(way, n);
    CHECK(holder->code == 1001, "%d", holder->code);
    if (second->code != 0) {
        CHECK(second->code == 4409, "%d %s", second->code, second->why);
        stage_pass(&stage, 3000);
        SILENT(second);
        if (dialect == WSIG_NATIVE) {
            SILENT(carol);
        }
        CHECK(way != STEPS && way != LATE_STEPS);
        stage_end(&stage);
        return;
    }
    stage_pass(&stage, 1000);
    CHECK(second->code == 0 && !second->held);
    if (dialect == WSIG_NATIVE) {
        EXPECTS(second, "{'type':'welcome','name':'alice'}");
        EXPECTS(second, "{'type':'user','name':'nobody'}");
        EXPECTS(second, "{'type':'calling','ref':'x'}");
        EXPECTS(carol, "{'type':'ring','from':'alice'}");
        SILENT(second);
    } else {
        EXPECTS(second, "{'userlist':'*'}");
        for (i = 0; i < 5; i++) { /* lists stand before and between */
            const char *text = client_hears(carol);

            CHECK(text != NULL);
            if (strcmp(text, "one") == 0) {
                i = 10;
            }
        }
        CHECK(i == 11);
    }
    stage_end(&stage);
}

/* Once the name is had, what waited for it waits no longer. */
static void
at_once(size_t n)
{
    client_t *holder, *second;
    int i;

    stage_begin(&stage, n);
    holder = stage_guest(&stage, 0, "alice");
    holder->mute = true;
    second = stage_open(&stage, 1, "alice", NULL);
    client_says(second, "{'type':'hello','name':'alice','watch':'none'}");
    client_says(second, "{'type':'lookup','name':'u'}");
    for (i = 0; i < 22 && second->n_texts == 0; i++) {
        stage_pass(&stage, 100);
    }
    CHECK(holder->code == 1001);
    EXPECTS(second, "{'type':'welcome'}");
    EXPECTS(second, "{'type':'user','name':'u'}");
    CHECK(!second->held);
    stage_end(&stage);
}

/* Who claims a name was let in when there was room: those who come later do
 * not put him out. */
static void
a_full_realm(size_t n)
{
    client_t *holder, *second, *third, *fourth;

    stage_begin(&stage, n);
    stage.conf.max_peers = 2;
    holder = stage_guest(&stage, 0, "alice");
    holder->mute = true;
    second = stage_open(&stage, 1, "alice", NULL);
    client_says(second, "{'type':'hello','name':'alice','watch':'none'}");
    stage_settle(&stage);
    third = stage_guest(&stage, 1, "bob");
    fourth = stage_open(&stage, 1, "carol", NULL);
    client_says(fourth, "{'type':'hello','name':'carol','watch':'none'}");
    stage_settle(&stage);
    CHECK(fourth->code == 1013, "%d", fourth->code);
    stage_pass(&stage, 2500);
    CHECK(holder->code == 1001 && second->code == 0, "%d", second->code);
    EXPECTS(second, "{'type':'welcome','name':'alice'}");
    CHECK(third->code == 0);
    stage_end(&stage);
}

/* ------------------------------------------------------------ tokens */

static int
answers(client_t *client)
{
    int n = 0;

    while (client_hears(client) != NULL) {
        n++;
    }
    return n;
}

static void
no_rate(size_t n)
{
    client_t *alice;
    int i;

    stage_begin(&stage, n);
    stage.conf.rate = 0;
    stage.conf.burst = 0;
    alice = stage_guest(&stage, 0, "alice");
    for (i = 0; i < 3000; i++) {
        client_says(alice, "{'type':'lookup','name':'u'}");
        CHECK(!alice->held && answers(alice) == 1);
    }
    stage_end(&stage);
}

/* A burst and one more pass at once; then one each 100 ms, and after a rest a
 * whole burst again. */
static void
the_edge_of_a_burst(size_t n)
{
    client_t *alice;
    int i;

    stage_begin(&stage, n);
    stage.conf.rate = 10;
    stage.conf.burst = 20;
    alice = stage_guest(&stage, 0, "alice"); /* the first of them */
    for (i = 1; i < 20; i++) {
        client_says(alice, "{'type':'lookup','name':'u'}");
        CHECK(!alice->held && answers(alice) == 1, "%d", i);
    }
    client_says(alice, "{'type':'lookup','name':'u'}");
    CHECK(alice->held && answers(alice) == 1);
    for (i = 0; i < 5; i++) {
        client_says(alice, "{'type':'lookup','name':'u'}");
    }
    for (i = 0; i < 5; i++) {
        stage_pass(&stage, 99);
        CHECK(alice->held && answers(alice) == 0, "%d", i);
        stage_pass(&stage, 1);
        CHECK(answers(alice) == 1, "%d", i);
    }
    stage_pass(&stage, 10000);
    for (i = 0; i < 20; i++) {
        CHECK(!alice->held);
        client_says(alice, "{'type':'lookup','name':'u'}");
        CHECK(answers(alice) == 1);
    }
    CHECK(!alice->held);
    client_says(alice, "{'type':'lookup','name':'u'}");
    CHECK(alice->held && answers(alice) == 1);
    stage_end(&stage);
}

/* What came before the hello has cost its tokens: the hello waits with it, and
 * no longer than all who say none. */
static void
held_before_hello(size_t n)
{
    client_t *alice, *bob;
    int i;

    stage_begin(&stage, n);
    stage.conf.rate = 10;
    stage.conf.burst = 1;
    alice = stage_open(&stage, 0, "alice", NULL);
    bob = stage_open(&stage, 1, "bob", NULL);
    for (i = 0; i < 50; i++) {
        client_sends(alice, 0x89, "", 0);
    }
    for (i = 0; i < 150; i++) {
        client_sends(bob, 0x89, "", 0);
    }
    client_says(alice, "{'type':'hello','name':'alice'}");
    client_says(alice, "{'type':'lookup','name':'u'}");
    client_says(bob, "{'type':'hello','name':'bob'}");
    CHECK(alice->held && bob->held);
    stage_pass(&stage, 4850);
    CHECK(alice->pongs == 50, "%d", alice->pongs);
    SILENT(alice);
    stage_pass(&stage, 100);
    EXPECTS(alice, "{'type':'welcome'}");
    SILENT(alice);
    CHECK(alice->held);
    stage_pass(&stage, 100);
    EXPECTS(alice, "{'type':'user'}");
    stage_pass(&stage, 200);
    CHECK(!alice->held && bob->code == 0);
    stage_pass(&stage, 4749);
    CHECK(bob->code == 0);
    stage_pass(&stage, 2);
    CHECK(bob->code == 4408, "%d", bob->code);
    stage_pass(&stage, 3000);
    CHECK(bob->closed && !bob->held);
    client_forget(alice);
    stage_end(&stage);
}

int
main(void)
{
    size_t n;
    int way;

    unwanted(WSIG_NATIVE, false);
    unwanted(WSIG_NATIVE, true);
    unwanted(WSIG_ARTICLE, false);
    unwanted(WSIG_ARTICLE, true);
    for (n = 1; n <= 2; n++) {
        unwanted_ones_hear_why(n);
        for (way = 0; way < WAYS; way++) {
            pipelined(n, way, WSIG_NATIVE, 0);
            pipelined(n, way, WSIG_NATIVE, 10);
            pipelined(n, way, WSIG_ARTICLE, 0);
            pipelined(n, way, WSIG_ARTICLE, 10);
        }
        at_once(n);
        a_full_realm(n);
        no_rate(n);
        the_edge_of_a_burst(n);
        held_before_hello(n);
    }
    return 0;
}
