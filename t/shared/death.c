/*
 * A worker that dies: it is a thread, and ends at each point of a whole piece
 * at which it takes or holds a lock.  The two others, in the main thread, have
 * to go on, and to be rid of what it left, within the times promised.
 */

#include "check.h"
#include "death.h"
#include "host.h"
#include "wsig_call.h"

#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <unistd.h>

enum {
    PATIENCE = 120
}; /* seconds, for all */

/* What a dying thread had in its hands is lost, of course. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_leaks=0";
}

static wsig_conf_t conf;
static wsig_zone_t *zone;
static host_t hosts[2];
static host_t *const survivors[] = {&hosts[0], &hosts[1]};
static client_t *alice, *bob;

/* The thread that dies, and what it owns.  It does one thing at a time, when
 * the main thread says so. */
static struct {
    pthread_t thread;
    host_t host;
    client_t *vic;
    client_t *vera;
    long dies_at;
    sem_t go;
    sem_t done;
    void (*what)(void);
    bool dead;
    bool ended;
    long points;
} victim;

static void
victim_ended(void *arg)
{
    (void) arg;
    victim.dead = true;
    victim.points = death_points();
    death_at(0);
    sem_post(&victim.done);
}

static void *
victim_lives(void *arg)
{
    pthread_cleanup_push(victim_ended, NULL);
    death_at(victim.dies_at);
    while (!victim.ended) {
        sem_wait(&victim.go);
        victim.what();
        sem_post(&victim.done);
    }
    victim.points = death_points();
    death_at(0);
    pthread_cleanup_pop(0);
    return arg;
}

static void
let(void (*what)(void))
{
    if (victim.dead) {
        return;
    }
    victim.what = what;
    sem_post(&victim.go);
    sem_wait(&victim.done);
    if (victim.dead) {
        /* only now are its locks given up */
        pthread_join(victim.thread, NULL);
    }
}

static client_t *
hello(host_t *host, const char *name)
{
    client_t *client =
        client_open(host, name, &conf, WSIG_NATIVE, "example.org", NULL);

    client_says(client, "{'type':'hello','name':'%s'}", name);
    return client;
}

static const char *
newest(const client_t *client, const char *type)
{
    size_t i;

    for (i = client->n_texts; i > 0; i--) {
        if (strcmp(text_member(client->texts[i - 1], "type"), type) == 0) {
            return text_member(client->texts[i - 1], "call");
        }
    }
    return "c1";
}

static void
victim_starts(void)
{
    CHECK(host_start(&victim.host, zone) == WSIG_OK);
}

static void
victim_joins(void)
{
    victim.vic = hello(&victim.host, "vic");
    victim.vera = hello(&victim.host, "vera");
}

static void
victim_settles(void)
{
    host_settle((host_t *[]){&victim.host}, 1);
}

static void
vic_calls_alice(void)
{
    client_says(victim.vic, "{'type':'call','to':'alice'}");
}

static void
vic_signals(void)
{
    client_says(victim.vic, "{'type':'signal','call':'%s','data':1}",
                newest(victim.vic, "calling"));
}

static void
vic_hangs_up(void)
{
    client_says(victim.vic, "{'type':'hangup','call':'%s'}",
                newest(victim.vic, "calling"));
}

static void
vic_accepts(void)
{
    client_says(victim.vic, "{'type':'accept','call':'%s'}",
                newest(victim.vic, "ring"));
}

static void
vera_calls_bob(void)
{
    client_says(victim.vera, "{'type':'call','to':'bob'}");
}

static void
vera_goes_away(void)
{
    client_says(victim.vera, "{'type':'state','state':'away'}");
    client_says(victim.vera, "{'type':'lookup','name':'bob'}");
}

static void
vera_leaves(void)
{
    client_says(victim.vera, "{'type':'bye'}");
}

static void
vic_is_lost(void)
{
    client_lost(victim.vic);
}

static void
victim_stops(void)
{
    host_stop(&victim.host);
    victim.ended = true;
}

static void
settle(void)
{
    let(victim_settles);
    host_settle(survivors, 2);
    let(victim_settles);
    host_settle(survivors, 2);
}

/* The victim's clock ticks first, so that it is the one who sweeps. */
static void
pass(int64_t ms)
{
    int64_t end = host_clock() + ms;

    while (host_clock() < end) {
        host_set_clock(host_clock() + 50);
        settle();
    }
}

static void
play(void)
{
    let(victim_starts);
    let(victim_joins);
    pass(200);
    let(vic_calls_alice);
    settle();
    client_says(alice, "{'type':'accept','call':'%s'}", newest(alice, "ring"));
    settle();
    client_says(alice, "{'type':'signal','call':'%s','data':1}",
                newest(alice, "ring"));
    let(vic_signals);
    settle();
    let(vic_hangs_up);
    settle();
    client_says(alice, "{'type':'call','to':'vic'}");
    settle();
    let(vic_accepts);
    let(vera_calls_bob);
    settle();
    let(vera_goes_away);
    pass(600);
    client_says(bob, "{'type':'call','to':'vera'}");
    settle();
    let(vera_leaves);
    pass(100);
    let(vic_is_lost);
    pass(100);
    let(victim_stops);
}

/* Every call that a survivor heard of has ended for it. */
static void
calls_have_ended(client_t *client)
{
    const char *type, *call;
    size_t i, j;
    bool open;

    for (i = 0; i < client->n_texts; i++) {
        type = text_member(client->texts[i], "type");
        if (strcmp(type, "ring") != 0 && strcmp(type, "calling") != 0) {
            continue;
        }
        call = text_member(client->texts[i], "call");
        open = true;
        for (j = i + 1; open && j < client->n_texts; j++) {
            open =
                strcmp(text_member(client->texts[j], "type"), "ended") != 0 ||
                strcmp(text_member(client->texts[j], "call"), call) != 0;
        }
        CHECK(!open, "dying at %ld: %s still has %s", victim.dies_at,
              client->name, client->texts[i]);
    }
}

static void
sees(client_t *client, const char *name, const char *state)
{
    client_forget(client);
    client_says(client, "{'type':'lookup','name':'%s'}", name);
    EXPECTS(client, "{'type':'user','name':'%s','state':'%s'}", name, state);
}

static void
survive(void)
{
    int64_t begin = host_clock();
    client_t *vic = NULL;
    const char *call;

    /* a name is free within 1 s */
    if (victim.dead) {
        host_pass(survivors, 2, 1000);
    }
    vic = hello(&hosts[0], "vic");
    host_settle(survivors, 2);
    EXPECTS(vic, "{'type':'welcome','name':'vic'}");
    /* lists are right, and calls are over, within 2 s */
    host_pass(survivors, 2, begin + 2000 - host_clock());
    calls_have_ended(alice);
    calls_have_ended(bob);
    sees(alice, "vera", "absent");
    sees(bob, "vera", "absent");
    sees(alice, "bob", "free");
    sees(bob, "alice", "free");
    sees(bob, "vic", "free");
    CHECK(wsig_registry_live(zone) == 3, "dying at %ld: %d are left",
          victim.dies_at, (int) wsig_registry_live(zone));
    /* and all goes on */
    client_says(alice, "{'type':'call','to':'bob'}");
    host_settle(survivors, 2);
    client_forget(alice);
    call = newest(bob, "ring");
    client_says(bob, "{'type':'accept','call':'%s'}", call);
    host_settle(survivors, 2);
    EXPECTS(alice, "{'type':'accepted','call':'%s'}", call);
    client_says(bob, "{'type':'signal','call':'%s','data':1}", call);
    host_settle(survivors, 2);
    EXPECTS(alice, "{'type':'signal','call':'%s'}", call);
}

/* false: it lived to its end. */
static bool
once(long dies_at)
{
    bool died;

    memset(&victim, 0, sizeof(victim));
    victim.dies_at = dies_at;
    sem_init(&victim.go, 0, 0);
    sem_init(&victim.done, 0, 0);
    CHECK(host_start(&hosts[0], zone) == WSIG_OK);
    CHECK(host_start(&hosts[1], zone) == WSIG_OK);
    alice = hello(&hosts[0], "alice");
    bob = hello(&hosts[1], "bob");
    CHECK(pthread_create(&victim.thread, NULL, victim_lives, NULL) == 0);
    play();
    died = victim.dead;
    if (!died) {
        pthread_join(victim.thread, NULL);
    } else if (victim.host.worker != NULL) {
        close(wsig_worker_doorbell(victim.host.worker));
    }
    survive();
    host_stop(&hosts[0]);
    host_stop(&hosts[1]);
    CHECK(wsig_registry_live(zone) == 0);
    return died;
}

int
main(int argc, char **argv)
{
    long n;

    alarm(PATIENCE); /* a deadlock is a failure too */
    wsig_conf_merge(&conf, NULL);
    conf.resume = 0; /* whoever is lost is gone */
    zone = host_zone(WSIG_ZONE_MIN);
    if (argc > 1) {
        once(atol(argv[1]));
        return 0;
    }
    CHECK(!once(0));
    CHECK(victim.points > 150, "%ld", victim.points);
    for (n = 1; once(n); n++) {
    }
    CHECK(n >= victim.points, "%ld of %ld", n, victim.points);
    host_zone_remove(zone);
    return 0;
}
