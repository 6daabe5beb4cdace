/*
 * Memory that is short: two workers play a whole piece, and each allocation of
 * the core fails in turn; then all from it on.  Nobody may crash or leak (the
 * sanitizers look), nobody who does nothing may come to harm, and all must work
 * once there is memory again.
 */

#include "alloc.h"
#include "check.h"
#include "stage.h"
#include "wsig_call.h"

#include <string.h>

static wsig_conf_t conf;
static bool returning; /* the second piece: those who are lost come back */

static client_t *
hello(host_t *host, const char *name, const char *watch)
{
    client_t *client =
        client_open(host, name, &conf, WSIG_NATIVE, "example.org", NULL);

    client_says(client, "{'type':'hello','name':'%s','watch':%s,'ref':'h'}",
                name, watch);
    return client;
}

/* The newest text of a type; NULL: there was none. */
static const char *
heard(const client_t *client, const char *type)
{
    size_t i;

    for (i = client->n_texts; i > 0; i--) {
        if (strcmp(text_member(client->texts[i - 1], "type"), type) == 0) {
            return client->texts[i - 1];
        }
    }
    return NULL;
}

static const char *
call_of(const client_t *client, const char *type)
{
    const char *text = heard(client, type);

    return text != NULL ? text_member(text, "call") : "c1";
}

/* Whoever has no memory may be closed, so nothing is expected here. */
static void
play(host_t *hosts)
{
    host_t *const list[] = {&hosts[0], &hosts[1]};
    static const char big[3000] = {[0 ... 2998] = 'x'};
    client_t *alice, *bob, *carol, *old, *young;
    const char *call;

    alice = hello(&hosts[0], "alice", "'all'");
    bob = hello(&hosts[1], "bob", "['alice','carol']");
    carol = hello(&hosts[1], "carol", "'none'");
    host_pass(list, 2, 200);
    client_says(bob, "{'type':'watch','names':'all','ref':'w'}");
    client_says(carol, "{'type':'lookup','name':'alice'}");
    client_says(carol, "{'type':'state','state':'away'}");
    client_says(carol, "{'type':'ice'}");
    client_says(carol, "{'type':'nothing'}");
    host_pass(list, 2, 200);

    client_says(alice, "{'type':'call','to':'bob','media':['a'],'info':[1],"
                       "'ref':'r'}");
    host_settle(list, 2);
    call = call_of(bob, "ring");
    client_says(bob, "{'type':'accept','call':'%s'}", call);
    host_settle(list, 2);
    client_says(alice, "{'type':'signal','call':'%s','data':'%s'}", call, big);
    client_says(bob, "{'type':'signal','call':'%s','data':'%s'}", call, big);
    host_settle(list, 2);
    client_says(alice, "{'type':'hangup','call':'%s'}", call);
    host_pass(list, 2, 200);

    /* both dial; in two frames; and one does not read for a while */
    client_sends(alice, 0x01, "{\"type\":\"call\",", 15);
    client_sends(alice, 0x80, "\"to\":\"carol\"}", 13);
    client_says(carol, "{'type':'call','to':'alice'}");
    alice->takes = 0;
    host_pass(list, 2, 200);
    alice->takes = HOST_UNLIMITED;
    host_settle(list, 2);
    client_says(carol, "{'type':'hangup','call':'%s'}",
                call_of(carol, "accepted"));
    host_settle(list, 2);

    /* a name that is taken, by one who is there and by one who is not */
    (void) hello(&hosts[0], "carol", "'all'");
    host_settle(list, 2);
    carol->mute = true;
    (void) hello(&hosts[0], "carol", "'all'");
    host_pass(list, 2, 3000);

    old =
        client_open(&hosts[0], "old", &conf, WSIG_ARTICLE, "example.org", NULL);
    young = client_open(&hosts[1], "young", &conf, WSIG_ARTICLE, "example.org",
                        NULL);
    client_says(old, "{'nickname':'old'}");
    client_says(young, "{'nickname':'young'}");
    host_pass(list, 2, 200);
    client_says(old, "{'target':'young','sdp':'%s'}", big);
    client_says(young, "{'target':'old','sdp':'{\\u0022a\\u0022:1}'}");
    client_says(young, "{'target':'nobody','sdp':'x'}");
    host_pass(list, 2, 200);

    client_says(bob, "{'type':'bye'}");
    client_lost(alice);
    client_lost(old);
    host_pass(list, 2, 200);
}

/* The newest token; a made-up one where the welcome did not come. */
static const char *
token_of(const client_t *client)
{
    const char *text = heard(client, "welcome");

    return text != NULL ? text_member(text, "resume") : "r1-1-1-0";
}

static client_t *
comes_back(host_t *host, const client_t *as, int got)
{
    client_t *client =
        client_open(host, as->name, &conf, WSIG_NATIVE, "example.org", NULL);

    client_says(client, "{'type':'hello','resume':'%s','got':%d,'name':'%s'}",
                token_of(as), got, as->name);
    return client;
}

/* In a call: lost and back on each worker, while the old connection lives and
 * while it does not, with signals all the time. */
static void
play_again(host_t *hosts)
{
    host_t *const list[] = {&hosts[0], &hosts[1]};
    client_t *alice, *bob, *before;
    const char *call;
    int i;

    alice = hello(&hosts[0], "alice", "'all'");
    bob = hello(&hosts[1], "bob", "['alice','carol']");
    host_pass(list, 2, 200);
    client_says(alice, "{'type':'call','to':'bob','ref':'r'}");
    host_settle(list, 2);
    call = call_of(bob, "ring");
    client_says(bob, "{'type':'accept','call':'%s'}", call);
    host_settle(list, 2);
    for (i = 0; i < 4; i++) {
        client_says(alice, "{'type':'signal','call':'%s','data':%d}", call, i);
        client_says(bob, "{'type':'signal','call':'%s','data':%d}", call, i);
        before = bob;
        if (i % 2 > 0) {
            client_lost(bob);
        }
        client_says(alice, "{'type':'signal','call':'%s','data':%d}", call, i);
        bob = comes_back(&hosts[i / 2], before, i == 3 ? 99 : 2);
        (void) host_ring(&hosts[0]);
        client_says(alice, "{'type':'signal','call':'%s','data':%d}", call, i);
        host_settle(list, 2);
        client_says(bob, "{'type':'ack','got':2}");
        host_pass(list, 2, 300);
    }
    client_says(alice, "{'type':'hangup','call':'%s'}", call);
    host_pass(list, 2, 2100);
    client_says(bob, "{'type':'bye'}");
    for (i = 0; i < 2; i++) { /* older ones of his too, who had no memory */
        for (before = hosts[i].clients; before != NULL; before = before->next) {
            if (before->peer != NULL && strstr("alice bob", before->name)) {
                client_lost(before);
            }
        }
    }
    host_pass(list, 2, 200);
}

/* With memory again: everybody who is left agrees about who is there. */
static void
works(host_t *hosts)
{
    host_t *const list[] = {&hosts[0], &hosts[1]};
    client_t *dave, *erin;
    char users[2][2048];
    const char *call;
    int i;

    host_pass(list, 2, returning ? 8000 : 3000);
    dave = hello(&hosts[0], "dave", "'all'");
    erin = hello(&hosts[1], "erin", "'none'");
    host_pass(list, 2, 300);
    EXPECTS(dave, "{'type':'welcome','name':'dave'}");
    EXPECTS(erin, "{'type':'welcome','name':'erin'}");
    client_forget(dave);
    client_says(dave, "{'type':'call','to':'erin'}");
    host_settle(list, 2);
    call = text_member(EXPECTS(erin, "{'type':'ring','from':'dave'}"), "call");
    client_says(erin, "{'type':'accept','call':'%s'}", call);
    host_settle(list, 2);
    EXPECTS(erin, "{'type':'accepted'}");
    EXPECTS(dave, "{'type':'calling'}");
    EXPECTS(dave, "{'type':'accepted'}");
    client_says(dave, "{'type':'signal','call':'%s','data':1}", call);
    client_says(erin, "{'type':'signal','call':'%s','data':1}", call);
    host_settle(list, 2);
    EXPECTS(dave, "{'type':'signal','from':'erin'}");
    EXPECTS(erin, "{'type':'signal','from':'dave'}");
    client_says(dave, "{'type':'hangup','call':'%s'}", call);
    host_pass(list, 2, 300);
    EXPECTS(erin, "{'type':'ended','reason':'hangup'}");
    client_forget(dave);
    /* the two workers know the same */
    client_says(dave, "{'type':'watch','names':['alice','bob','carol',"
                      "'idle','far','erin','dave']}");
    client_says(erin, "{'type':'watch','names':['alice','bob','carol',"
                      "'idle','far','erin','dave']}");
    for (i = 0; i < 2; i++) {
        const char *text = EXPECTS(i == 0 ? dave : erin, "{'type':'users'}");

        CHECK(strlen(text) < sizeof(users[i]));
        strcpy(users[i], text);
    }
    CHECK(strcmp(strstr(users[0], "count"), strstr(users[1], "count")) == 0,
          "%s %s", users[0], users[1]);
    CHECK((strstr(users[0], "carol") != NULL) ==
              (strstr(users[1], "carol") != NULL),
          "%s %s", users[0], users[1]);
    CHECK(strstr(users[0], "alice") == NULL && strstr(users[0], "bob") == NULL,
          "%s", users[0]);
}

/* false: the piece is over before the n-th allocation. */
static bool
once(long n, bool onwards, int sparing)
{
    wsig_zone_t *zone = host_zone(WSIG_ZONE_MIN);
    host_t hosts[2] = {{.spared = false}, {.spared = false}};
    client_t *idle, *far;
    bool failed;
    client_t *client;
    int i;

    CHECK(host_start(&hosts[0], zone) == WSIG_OK);
    CHECK(host_start(&hosts[1], zone) == WSIG_OK);
    idle =
        client_open(&hosts[0], "idle", &conf, WSIG_NATIVE, "example.net", NULL);
    far =
        client_open(&hosts[1], "far", &conf, WSIG_NATIVE, "example.net", NULL);
    client_says(idle, "{'type':'hello','name':'idle'}");
    client_says(far, "{'type':'hello','name':'far'}");
    host_pass((host_t *[]){&hosts[0], &hosts[1]}, 2, 300);

    if (sparing >= 0) {
        hosts[sparing].spared = true;
    }
    alloc_fail(n, onwards);
    (returning ? play_again : play)(hosts);
    failed = alloc_failed();
    alloc_fail(0, false);
    CHECK(idle->code == 0 && far->code == 0, "allocation %ld", n);
    for (i = 0; i < 2; i++) {
        for (client = hosts[i].clients; client != NULL; client = client->next) {
            if (failed && i != sparing) {
                CHECK(client->code == 0 || client->code >= 4400 ||
                          client->code == 1013 || client->code == 1012 ||
                          client->code <= 1005,
                      "allocation %ld: %s %d", n, client->name, client->code);
            }
        }
    }
    works(hosts);
    CHECK(idle->code == 0 && far->code == 0, "allocation %ld", n);
    host_stop(&hosts[0]);
    host_stop(&hosts[1]);
    if (returning) { /* their places last longer than the workers */
        CHECK(host_start(&hosts[0], zone) == WSIG_OK);
        host_pass((host_t *[]){&hosts[0]}, 1, 8000);
        host_stop(&hosts[0]);
    }
    zone_is_empty(zone);
    host_zone_remove(zone);
    return failed;
}

static void
starting(void)
{
    wsig_zone_t *zone = host_zone(WSIG_ZONE_MIN);
    host_t host = {0};
    long n = 0;
    int rc;

    do {
        alloc_fail(++n, false);
        rc = host_start(&host, zone);
        CHECK(rc == WSIG_OK || (rc == WSIG_NOMEM && alloc_failed()), "%d", rc);
        CHECK(rc == WSIG_OK || host.worker == NULL);
    } while (rc != WSIG_OK || alloc_failed());
    alloc_fail(0, false);
    CHECK(n > 1);
    host_stop(&host);
    zone_is_empty(zone);
    host_zone_remove(zone);
}

int
main(int argc, char **argv)
{
    long n;

    wsig_conf_merge(&conf, NULL);
    conf.resume = 0; /* whoever is lost is gone */
    if (argc > 4) {
        returning = true;
        conf.resume = 1000;
    }
    if (argc > 3) {
        (void) once(atol(argv[1]), atoi(argv[2]), atoi(argv[3]));
        return 0;
    }
    starting();
    for (n = 1; once(n, false, -1); n++) {
    }
    CHECK(n > 100, "%ld", n);
    for (n = 1; once(n, true, -1); n += 7) {
    }
    for (n = 1; once(n, true, 0); n += 5) {
    }
    for (n = 1; once(n, true, 1); n += 5) {
    }
    returning = true;
    conf.resume = 1000;
    for (n = 1; once(n, false, -1); n++) {
    }
    CHECK(n > 100, "%ld", n);
    for (n = 1; once(n, true, -1); n += 7) {
    }
    for (n = 1; once(n, true, 0); n += 5) {
    }
    for (n = 1; once(n, true, 1); n += 5) {
    }
    return 0;
}
