/*
 * Workers that are gone without a word (threads that end), and who comes after
 * them: in their place, and under the names of their peers.
 */

#include "check.h"
#include "stage.h"
#include "wsig_call.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* What a dead worker had is lost, of course. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "detect_leaks=0";
}

static stage_t stage;
static client_t *alice;

static void
died(wsig_worker_t *worker)
{
    close(wsig_worker_doorbell(worker));
}

static int
deaths(void)
{
    static const char key[] = "\nwebrtc_signal_worker_deaths_total ";
    char *text, copy[8192];
    const char *at;
    size_t size;
    int n;

    CHECK(wsig_status_text(stage.zone, &text, &size) == WSIG_OK &&
          size < sizeof(copy));
    memcpy(copy, text, size);
    copy[size] = '\0';
    free(text);
    at = strstr(copy, key);
    CHECK(at != NULL && sscanf(at + sizeof(key) - 1, "%d", &n) == 1);
    return n;
}

/* ------------------------------------------------------------ places */

static void *
two_peers(void *arg)
{
    host_t *host = arg;

    CHECK(host_start(host, stage.zone) == WSIG_OK);
    client_says(
        client_open(host, "vic", &stage.conf, WSIG_NATIVE, "example.org", NULL),
        "{'type':'hello','name':'vic','watch':'none'}");
    client_says(client_open(host, "vera", &stage.conf, WSIG_NATIVE,
                            "example.org", "vera"),
                "{'type':'hello','watch':'none'}");
    return arg;
}

static void
lives_and_dies(void *(*how)(void *) )
{
    static host_t victim;
    pthread_t thread;

    victim = (host_t){0};
    CHECK(pthread_create(&thread, NULL, how, &victim) == 0);
    pthread_join(thread, NULL);
    died(victim.worker);
}

/* The only worker dies, and the next takes its place before anybody could
 * look: it is he who tells. */
static void
in_its_place(void)
{
    client_t *vic;
    unsigned i, places = 0;

    stage_begin(&stage, 1);
    host_stop(&stage.hosts[0]);
    for (i = 1; i <= 3; i++) {
        lives_and_dies(two_peers);
        CHECK(wsig_registry_live(stage.zone) == 2);
        CHECK(deaths() == (int) i - 1);
        CHECK(host_start(&stage.hosts[0], stage.zone) == WSIG_OK);
        CHECK(deaths() == (int) i && stage.hosts[0].warnings == 1);
        stage_settle(&stage);
        CHECK(wsig_registry_live(stage.zone) == 0);
        stage_pass(&stage, 2000);
        CHECK(deaths() == (int) i && stage.hosts[0].warnings == 1);
        vic = stage_guest(&stage, 0, "vic");
        client_says(vic, "{'type':'lookup','name':'vera'}");
        EXPECTS(vic, "{'type':'user','name':'vera','state':'absent'}");
        host_stop(&stage.hosts[0]);
        CHECK(wsig_registry_live(stage.zone) == 0);
    }
    for (i = 0; i < WSIG_WORKERS; i++) {
        places += atomic_load(&stage.zone->shared->places[i].epoch) != 0;
    }
    CHECK(places == 1, "%u", places);
    /* one who left in order is no death */
    CHECK(host_start(&stage.hosts[0], stage.zone) == WSIG_OK);
    CHECK(deaths() == 3 && stage.hosts[0].warnings == 0);
    stage_end(&stage);
}

/* Another worker is there and finds it: told once, by him. */
static void
found_by_another(void)
{
    stage_begin(&stage, 1);
    lives_and_dies(two_peers);
    stage_pass(&stage, 1000);
    CHECK(deaths() == 1 && stage.hosts[0].warnings == 1);
    CHECK(wsig_registry_live(stage.zone) == 0);
    stage.n = 2;
    stage.list[1] = &stage.hosts[1];
    CHECK(host_start(&stage.hosts[1], stage.zone) == WSIG_OK);
    stage_pass(&stage, 1000);
    CHECK(deaths() == 1 && stage.hosts[1].warnings == 0);
    stage_end(&stage);
}

/* ------------------------------------------------------------ names */

static char call[64];

static void *
bob_is_there(void *arg)
{
    host_t *host = arg;

    CHECK(host_start(host, stage.zone) == WSIG_OK);
    client_says(client_open(host, "bob", &stage.conf, WSIG_NATIVE,
                            "example.org", "bob"),
                "{'type':'hello','watch':'none'}");
    /* alice is in another thread, which waits */
    client_says(alice, "{'type':'call','to':'bob','ref':'r'}");
    strcpy(call, text_member(EXPECTS(alice, "{'type':'calling','to':'bob'}"),
                             "call"));
    host_settle(&host, 1);
    EXPECTS(host->clients, "{'type':'welcome','verified':true}");
    EXPECTS(host->clients, "{'type':'ring','call':'%s'}", call);
    return arg;
}

/* Who called a proved name gets nobody else of that name. */
static void
a_guest_in_its_place(void)
{
    client_t *guest, *user;
    int64_t sweep_at;

    stage_begin(&stage, 1);
    alice = stage_guest(&stage, 0, "alice");
    lives_and_dies(bob_is_there);
    /* the dead one is found, its calls are not looked at yet */
    sweep_at = atomic_load(&stage.zone->shared->sweep_at);
    atomic_store(&stage.zone->shared->sweep_at, INT64_MAX);
    stage_pass(&stage, 700);
    CHECK(deaths() == 1);
    SILENT(alice);
    guest = stage_guest(&stage, 0, "bob");
    SILENT(guest);
    client_says(guest, "{'type':'accept','call':'%s'}", call);
    EXPECTS(guest, "{'type':'error','code':'call-unknown'}");
    client_says(guest, "{'type':'decline','call':'%s'}", call);
    EXPECTS(guest, "{'type':'error','code':'call-unknown'}");
    client_says(guest, "{'type':'signal','call':'%s','data':1}", call);
    EXPECTS(guest, "{'type':'error','code':'call-unknown'}");
    stage_pass(&stage, 1500);
    SILENT(guest);
    SILENT(alice);
    /* bob himself may */
    user = stage_user(&stage, 0, "bob");
    EXPECTS(user, "{'type':'ring','call':'%s'}", call);
    client_says(user, "{'type':'accept','call':'%s'}", call);
    EXPECTS(user, "{'type':'accepted','call':'%s'}", call);
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'accepted','call':'%s','verified':true}", call);
    atomic_store(&stage.zone->shared->sweep_at, sweep_at);
    stage_pass(&stage, 1000);
    SILENT(alice);
    stage_end(&stage);

    /* and where nobody of that kind comes, it is over */
    stage_begin(&stage, 1);
    alice = stage_guest(&stage, 0, "alice");
    lives_and_dies(bob_is_there);
    atomic_store(&stage.zone->shared->sweep_at, INT64_MAX);
    stage_pass(&stage, 700);
    guest = stage_guest(&stage, 0, "bob");
    atomic_store(&stage.zone->shared->sweep_at, 0);
    stage_pass(&stage, 300);
    EXPECTS(alice, "{'type':'ended','call':'%s','reason':'unreachable'}", call);
    SILENT(guest);
    stage_end(&stage);
}

/* `verified` is of who answered, not of who was dialled. */
static void
who_answered(size_t n)
{
    client_t *guest, *user;

    stage_begin(&stage, n);
    alice = stage_guest(&stage, 0, "alice");
    guest = stage_guest(&stage, 1, "bob");
    client_says(alice, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    strcpy(call, text_member(EXPECTS(alice, "{'type':'calling'}"), "call"));
    EXPECTS(guest, "{'type':'ring','call':'%s'}", call);
    user = stage_open(&stage, 1, "bob", "bob");
    client_says(user, "{'type':'hello','watch':'none'}");
    stage_settle(&stage);
    EXPECTS(user, "{'type':'welcome','verified':true}");
    EXPECTS(user, "{'type':'ring','call':'%s'}", call);
    client_says(user, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'accepted','from':'bob','verified':true}");
    client_says(user, "{'type':'hangup','call':'%s'}", call);
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'ended'}");
    client_free(user);
    stage_pass(&stage, 500);

    guest = stage_guest(&stage, 1, "bob");
    client_says(alice, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    strcpy(call, text_member(EXPECTS(alice, "{'type':'calling'}"), "call"));
    client_says(guest, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'accepted','from':'bob','verified':false}");
    stage_end(&stage);
}

int
main(void)
{
    in_its_place();
    found_by_another();
    a_guest_in_its_place();
    who_answered(1);
    who_answered(2);
    return 0;
}
