/*
 * A worker that hangs: its mailbox is not read.  Who sends to it is held back,
 * nobody else is, and memory stays bounded; when it goes on, everything arrives
 * in order.
 */

#include "check.h"
#include "stage.h"
#include "wsig_worker.h"

#include <string.h>

enum {
    SIZE = 40000,
    TEXTS = 60, /* of each: more than a mailbox and a full relay hold */
    SENDERS = 3,
    /* one text of each beyond the limit, and the little around them */
    MOST = WSIG_RELAY_FULL + SENDERS * (SIZE + 1000)
};

static stage_t stage;
static host_t *others[2]; /* all but the one that hangs, which is 1 */
static char data[SIZE];

static void
settle_others(void)
{
    host_settle(others, 2);
}

static void
begin(void)
{
    stage_begin(&stage, 3);
    stage.conf.rate = 0;
    others[0] = stage.list[0];
    others[1] = stage.list[2];
    memset(data, 'd', sizeof(data));
}

static size_t
waiting(void)
{
    return stage.hosts[0].worker->relay.bytes;
}

static void
connect(client_t *from, client_t *to, char call[64])
{
    client_says(from, "{'type':'call','to':'%s'}", to->name);
    stage_settle(&stage);
    strcpy(call, text_member(EXPECTS(to, "{'type':'ring'}"), "call"));
    client_says(to, "{'type':'accept','call':'%s'}", call);
    stage_settle(&stage);
    client_forget(from);
    client_forget(to);
}

static void
signals(client_t *from, const char *call, int number, size_t size)
{
    client_says(from, "{'type':'signal','call':'%s','data':[%d,'%.*s']}", call,
                number, (int) size, data);
}

static void
in_order(client_t *to, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        const char *text = client_hears(to), *at;

        CHECK(text != NULL, "%s heard %d of %d", to->name, i, n);
        at = strstr(text, "\"data\":[");
        CHECK(at != NULL && atoi(at + 8) == i, "%s: %.100s, not %d", to->name,
              text, i);
    }
    SILENT(to);
}

static void
calls(void)
{
    static char to_them[SENDERS][8], names[SENDERS][8], ids[SENDERS][64];
    client_t *from[SENDERS], *to[SENDERS], *carol, *dave, *eve, *frank;
    char near[64], far[64];
    int i, j;

    begin();
    for (i = 0; i < SENDERS; i++) {
        sprintf(names[i], "from%d", i);
        sprintf(to_them[i], "to%d", i);
        from[i] = stage_guest(&stage, 0, names[i]);
        to[i] = stage_guest(&stage, 1, to_them[i]);
        connect(from[i], to[i], ids[i]);
    }
    carol = stage_guest(&stage, 0, "carol");
    dave = stage_guest(&stage, 0, "dave");
    connect(carol, dave, near);
    eve = stage_guest(&stage, 0, "eve");
    frank = stage_guest(&stage, 2, "frank");
    connect(eve, frank, far);

    for (i = 0; i < TEXTS; i++) {
        for (j = 0; j < SENDERS; j++) {
            signals(from[j], ids[j], i, SIZE);
            settle_others();
            CHECK(waiting() <= MOST, "%zu", waiting());
        }
        signals(carol, near, i, 1000);
        signals(eve, far, i, 1000);
        settle_others();
        CHECK(!carol->held && !eve->held && !dave->held && !frank->held);
    }
    in_order(dave, TEXTS);
    in_order(frank, TEXTS);
    CHECK(waiting() > WSIG_RELAY_FULL);
    for (j = 0; j < SENDERS; j++) {
        CHECK(from[j]->held && from[j]->out_size > 0);
    }
    /* time alone makes nothing of it */
    host_pass(others, 2, 3000);
    CHECK(waiting() <= MOST && waiting() > WSIG_RELAY_FULL);
    for (j = 0; j < SENDERS; j++) {
        CHECK(from[j]->held && from[j]->code == 0);
    }
    signals(carol, near, 0, 1000);
    signals(eve, far, 0, 1000);
    settle_others();
    in_order(dave, 1);
    in_order(frank, 1);

    stage_pass(&stage, 2000);
    CHECK(waiting() == 0);
    for (j = 0; j < SENDERS; j++) {
        CHECK(!from[j]->held && from[j]->code == 0 && to[j]->code == 0);
        in_order(to[j], TEXTS);
    }
    stage_end(&stage);
}

/* A user with devices at a worker that hangs and at one that does not. */
static void
devices(void)
{
    client_t *alice, *users[2], *other;
    int i, j, n;

    begin();
    alice = client_open(&stage.hosts[0], "alice", &stage.conf, WSIG_ARTICLE,
                        "example.org", NULL);
    client_says(alice, "{'nickname':'alice'}");
    for (i = 0; i < 2; i++) {
        users[i] = client_open(&stage.hosts[i + 1], "bob", &stage.conf,
                               WSIG_ARTICLE, "example.org", "bob");
        client_says(users[i], "{'nickname':'bob'}");
    }
    other = client_open(&stage.hosts[0], "carol", &stage.conf, WSIG_ARTICLE,
                        "example.org", NULL);
    client_says(other, "{'nickname':'carol'}");
    stage_pass(&stage, 300);
    stage_forget(&stage);
    for (i = 0; i < 4 * TEXTS; i++) {
        client_says(alice, "{'target':'bob','sdp':'%d %.*s'}", i, SIZE, data);
        settle_others();
        CHECK(waiting() <= WSIG_RELAY_FULL + SIZE + 1000, "%zu", waiting());
    }
    CHECK(alice->held && !other->held);
    client_says(other, "{'target':'alice','sdp':'hello'}");
    settle_others();
    CHECK(strcmp(client_hears(alice), "hello") == 0);
    stage_pass(&stage, 5000);
    CHECK(waiting() == 0 && !alice->held && alice->code == 0);
    for (j = 0; j < 2; j++) {
        for (i = 0; i < 4 * TEXTS; i++) {
            const char *text = client_hears(users[j]);

            CHECK(text != NULL && sscanf(text, "%d ", &n) == 1 && n == i);
        }
        SILENT(users[j]);
    }
    stage_end(&stage);
}

int
main(void)
{
    calls();
    devices();
    return 0;
}
