/*
 * The article's dialect: names that cannot be, texts that only the server may
 * say, lists for those who may have them and who take them.
 */

#include "check.h"
#include "stage.h"

#include <string.h>

static stage_t stage;

static client_t *
opened(size_t host, const char *name, const char *identity)
{
    return client_open(&stage.hosts[host % stage.n], name, &stage.conf,
                       WSIG_ARTICLE, "example.org", identity);
}

/* With that name, its own list heard and all others told. */
static client_t *
joined(size_t host, const char *name, const char *identity)
{
    client_t *client = opened(host, name, identity);

    client_says(client, "{'nickname':'%s'}", name);
    stage_pass(&stage, 200);
    CHECK(client->code == 0, "%s: %d", name, client->code);
    return client;
}

/* sdp is JSON already, but for the quotes around it. */
static void
to(client_t *client, const char *target, const char *sdp)
{
    char text[4096];

    snprintf(text, sizeof(text), "{\"target\":\"%s\",\"sdp\":\"%s\"}", target,
             sdp);
    client_sends(client, 0x81, text, strlen(text));
    stage_settle(&stage);
}

static void
is_closed(client_t *client, int code, const char *why)
{
    stage_settle(&stage);
    CHECK(client->code == code && client->closed, "%d \"%s\"", client->code,
          client->why);
    CHECK(strcmp(client->why, why) == 0, "\"%s\", not \"%s\"", client->why,
          why);
    client_free(client);
}

static void
hears(client_t *client, const char *text)
{
    const char *heard;

    stage_settle(&stage);
    heard = client_hears(client);
    CHECK(heard != NULL && strcmp(heard, text) == 0, "%s heard %s",
          client->name, heard != NULL ? heard : "nothing");
}

/* ------------------------------------------------------------ names */

static void
nicknames(size_t n)
{
    static const char *const texts[] = {
        "{\"nickname\":\"a<b\"}",
        "{\"nickname\":\"a>b\"}",
        "{\"nickname\":\"a&b\"}",
        "{\"nickname\":\"a\\\"b\"}",
        "{\"nickname\":\"a'b\"}",
        "{\"nickname\":\"a\\\\b\"}",
        "{\"nickname\":\"a\\u003cb\"}",
        "{\"nickname\":\"\"}",
        "{\"nickname\":7}",
        "{\"nickname\":null}",
        "{\"nickname\":[\"a\"]}",
    };
    char text[600];
    client_t *client;
    size_t i;
    int size;

    stage_begin(&stage, n);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        client = opened(i, texts[i], NULL);
        client_sends(client, 0x81, texts[i], strlen(texts[i]));
        is_closed(client, 4400, "not a valid nickname");
    }
    for (size = 64; size < 500; size += size < 66 ? 1 : 50) {
        sprintf(text, "{'nickname':'%0*d'}", size, 7);
        client = opened(i, "long", NULL);
        client_says(client, "%s", text);
        if (size == 64) {
            sprintf(text, "{'userlist':['%064d']}", 7);
            EXPECTS(client, "%s", text);
            client_free(client);
        } else {
            is_closed(client, 4400, "not a valid nickname");
        }
    }
    client = opened(0, "twice", NULL);
    client_says(client, "{'nickname':'a','nickname':'b'}");
    is_closed(client, 4400, "the first text must be a nickname");
    client = opened(0, "first", NULL);
    client_says(client, "{'target':'a','sdp':'b'}");
    is_closed(client, 4401, "the nickname comes first");
    client = joined(0, "a", NULL);
    client_says(client, "{'nickname':'b'}");
    is_closed(client, 4400, "not a target and an sdp");
    client = opened(0, "who", "alice");
    client_says(client, "{'nickname':'bob'}");
    is_closed(client, 4403, "that is not who you are");
    stage_end(&stage);
}

/* What is no name is not quoted; least of all what stood in memory before. */
static void
targets(size_t n)
{
    static const char nobody[] = "nobody has such a name";
    static const char *const names[] = {
        "a<b",    "a>b", "a&b",  "a\\\"b",    "a'b",
        "a\\\\b", "",    " bob", "a\\u0007b", "\\u202ebob",
    };
    static const char *const no_strings[] = {
        "{'target':7,'sdp':'x'}",       "{'target':null,'sdp':'x'}",
        "{'target':['bob'],'sdp':'x'}", "{'target':{'bob':1},'sdp':'x'}",
        "{'target':true,'sdp':'x'}",    "{'sdp':'x'}",
        "{'target':'bob','sdp':{}}",    "{'target':'bob'}",
    };
    static const char *const wrong[] = {
        "{'target':'bob','target':'a','sdp':'x'}",
        "{'target':'bob','sdp':'x','sdp':'y'}",
        "['target']",
        "hello",
    };
    client_t *bob, *client;
    char name[600], why[128];
    size_t i, size;

    stage_begin(&stage, n);
    bob = joined(1, "bob", NULL);
    for (size = 60; size < 600; size += size < 68 ? 1 : 59) {
        client = joined(0, "alice", NULL);
        memset(name, 'n', size);
        name[size] = '\0';
        snprintf(why, sizeof(why), "user \"%.64s\" is not here", name);
        to(client, name, "x");
        is_closed(client, 4404, size <= 64 ? why : nobody);
    }
    /* 65 bytes, 300 bytes, of characters that must not be cut */
    for (size = 66; size <= 300; size += 234) {
        client = joined(0, "alice", NULL);
        for (i = 0; i < size; i += 3) {
            memcpy(name + i, "\xe2\x82\xac", 3);
        }
        name[i] = '\0';
        to(client, name, "x");
        is_closed(client, 4404, nobody);
    }
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        client = joined(0, "alice", NULL);
        to(client, names[i], "x");
        is_closed(client, 4404, nobody);
    }
    for (i = 0; i < sizeof(no_strings) / sizeof(no_strings[0]); i++) {
        client = joined(0, "alice", NULL);
        client_says(client, "%s", no_strings[i]);
        is_closed(client, 4400, "not a target and an sdp");
    }
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        client = joined(0, "alice", NULL);
        client_says(client, "%s", wrong[i]);
        is_closed(client, 4400, "not a JSON object as it should be");
    }
    stage_pass(&stage, 200);
    CHECK(bob->code == 0);
    client_forget(bob);
    client = joined(0, "alice", NULL);
    client_forget(bob);
    to(client, "bob", "\\u20ac");
    hears(bob, "\xe2\x82\xac");
    stage_end(&stage);
}

/* ------------------------------------------------------------ forgeries */

static const char *
nested(int depth, const char *rest)
{
    static char text[2048];
    char *at = text + sprintf(text, "{\\\"a\\\":");

    memset(at, '[', (size_t) depth);
    memset(at + depth, ']', (size_t) depth);
    strcpy(at + 2 * depth, rest);
    return text;
}

static void
forged(client_t **alice, client_t *bob, const char *sdp)
{
    to(*alice, "bob", sdp);
    is_closed(*alice, 4403, "only the server says that");
    SILENT(bob);
    *alice = joined(0, "alice", NULL);
    client_forget(bob);
}

static void
forgeries(size_t n)
{
    static const char *const refused[] = {
        "{\\\"userlist\\\":[]}",
        "{\\\"userlist\\\":null}",
        "{\\\"a\\\":1,\\\"error\\\":0}",
        "{\\\"from\\\":\\\"bob\\\"}",
        "{\\\"from\\\":7}",
        "{\\\"from\\\":[\\\"alice\\\"]}",
        " {\\\"user\\\\u006cist\\\":[]} ",
        /* lone surrogates and NUL, which JSON.parse takes */
        "{\\\"x\\\":\\\"\\\\ud800\\\",\\\"userlist\\\":[]}",
        "{\\\"\\\\udc00\\\":1,\\\"from\\\":\\\"bob\\\"}",
        "{\\\"x\\\":\\\"\\\\u0000\\\",\\\"error\\\":1}",
        "{\\\"from\\\":\\\"\\\\ud800\\\"}",
        /* the last one counts there */
        "{\\\"from\\\":\\\"alice\\\",\\\"from\\\":\\\"bob\\\"}",
        "{\\\"from\\\":\\\"bob\\\",\\\"from\\\":\\\"alice\\\"}",
        "{\\\"userlist\\\":1,\\\"userlist\\\":2}",
    };
    static const char *const passed[][2] = {
        {"v=0\\r\\no=- 1", "v=0\r\no=- 1"},
        {"{\\\"from\\\":\\\"alice\\\"}", "{\"from\":\"alice\"}"},
        {"{\\\"a\\\":{\\\"userlist\\\":[]}}", "{\"a\":{\"userlist\":[]}}"},
        {"[{\\\"userlist\\\":[]}]", "[{\"userlist\":[]}]"},
        {"{\\\"userlist\\\":[]", "{\"userlist\":[]"},
        {"{\\\"x\\\":\\\"\\\\ud800\\\"}", "{\"x\":\"\\ud800\"}"},
    };
    client_t *alice, *bob;
    size_t i;
    int depth;

    stage_begin(&stage, n);
    stage.conf.rate = 0;
    bob = joined(1, "bob", NULL);
    alice = joined(0, "alice", NULL);
    client_forget(bob);
    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        forged(&alice, bob, refused[i]);
    }
    for (depth = 60; depth < 800; depth += depth < 70 ? 1 : 97) {
        forged(&alice, bob, nested(depth, ",\\\"userlist\\\":[]}"));
        forged(&alice, bob, nested(depth, ",\\\"from\\\":\\\"bob\\\"}"));
        to(alice, "bob", nested(depth, "}"));
        CHECK(alice->code == 0 && client_hears(bob) != NULL);
    }
    for (i = 0; i < sizeof(passed) / sizeof(passed[0]); i++) {
        to(alice, "bob", passed[i][0]);
        CHECK(alice->code == 0, "%s", passed[i][0]);
        hears(bob, passed[i][1]);
    }
    stage_end(&stage);
}

/* ------------------------------------------------------------ lists */

static void
lists(size_t n)
{
    client_t *a, *b, *c;

    stage_begin(&stage, n);
    a = opened(0, "a", NULL);
    client_says(a, "{'nickname':'a'}");
    hears(a, "{\"userlist\":[\"a\"]}");
    stage_pass(&stage, 300);
    b = opened(1, "b", NULL);
    client_says(b, "{'nickname':'b'}");
    hears(b, "{\"userlist\":[\"a\",\"b\"]}");
    stage_pass(&stage, 300);
    hears(a, "{\"userlist\":[\"a\",\"b\"]}");
    /* come and gone within a tick, and come: one list */
    c = opened(0, "c", NULL);
    client_says(c, "{'nickname':'c'}");
    client_free(c);
    c = opened(1, "c", NULL);
    client_says(c, "{'nickname':'c'}");
    stage_pass(&stage, 300);
    hears(a, "{\"userlist\":[\"a\",\"b\",\"c\"]}");
    hears(b, "{\"userlist\":[\"a\",\"b\",\"c\"]}");
    hears(c, "{\"userlist\":[\"a\",\"b\",\"c\"]}");
    client_free(b);
    stage_pass(&stage, 300);
    hears(a, "{\"userlist\":[\"a\",\"c\"]}");
    hears(c, "{\"userlist\":[\"a\",\"c\"]}");
    /* a native peer of the same realm is none of theirs */
    stage_guest(&stage, 0, "d");
    stage_pass(&stage, 300);
    ALL_SILENT(&stage);
    stage_end(&stage);
}

static void
guests_who_may_call(size_t n)
{
    client_t *guest, *other, *user, *late;

    stage_begin(&stage, n);
    stage.conf.guests = WSIG_GUESTS_CALL;
    user = joined(0, "user", "user");
    guest = opened(1, "guest", NULL);
    client_says(guest, "{'nickname':'guest'}");
    hears(guest, "{\"userlist\":[\"guest\"]}");
    other = joined(0, "other", NULL);
    hears(other, "{\"userlist\":[\"other\"]}");
    late = joined(1, "late", "late");
    stage_pass(&stage, 300);
    SILENT(guest);
    SILENT(other);
    hears(late, "{\"userlist\":[\"user\",\"guest\",\"other\",\"late\"]}");
    client_free(late);
    stage_pass(&stage, 300);
    SILENT(guest);
    SILENT(other);
    client_forget(user);
    to(guest, "user", "hello");
    hears(user, "hello");
    to(user, "guest", "hello");
    hears(guest, "hello");
    to(guest, "other", "hello");
    SILENT(other);
    is_closed(guest, 4403, "guests may not call them");
    to(other, "nobody", "hello");
    is_closed(other, 4404, "user \"nobody\" is not here");
    stage_end(&stage);
}

/* The list that is on its way, and then the newest. */
static void
slow_reader(size_t n)
{
    static char names[30][8];
    client_t *slow, *others[30];
    char newest[300];
    int i;

    stage_begin(&stage, n);
    slow = joined(0, "slow", NULL);
    client_forget(slow);
    slow->takes = 5;
    for (i = 0; i < 30; i++) {
        sprintf(names[i], "u%d", i);
        others[i] = joined((size_t) i, names[i], NULL);
    }
    client_free(others[3]);
    stage_pass(&stage, 500);
    slow->takes = HOST_UNLIMITED;
    stage_pass(&stage, 300);
    hears(slow, "{\"userlist\":[\"slow\",\"u0\"]}");
    strcpy(newest, "{\"userlist\":[\"slow\"");
    for (i = 0; i < 30; i++) {
        if (i != 3) {
            sprintf(newest + strlen(newest), ",\"u%d\"", i);
        }
    }
    strcat(newest, "]}");
    hears(slow, newest);
    stage_pass(&stage, 1000);
    SILENT(slow);
    stage_end(&stage);
}

/* A list may be longer than the backlog: it is all that waits. */
static void
long_lists(size_t n)
{
    static char names[160][68];
    client_t *slow, *clients[160], *late;
    const char *list;
    int i;

    stage_begin(&stage, n);
    stage.conf.max_backlog = 4096;
    slow = joined(0, "slow", NULL);
    for (i = 0; i < 160; i++) {
        sprintf(names[i], "%064d", i);
        clients[i] = joined((size_t) i, names[i], NULL);
    }
    stage_pass(&stage, 300);
    stage_forget(&stage);
    slow->takes = 100;
    late = opened(1, "late", NULL);
    late->takes = 7;
    client_says(late, "{'nickname':'late'}");
    stage_pass(&stage, 300);
    CHECK(slow->code == 0 && !slow->closed && slow->blocked);
    CHECK(late->code == 0 && !late->closed && late->blocked);
    slow->takes = late->takes = HOST_UNLIMITED;
    late->chunk = 1000;
    stage_pass(&stage, 300);
    list = client_hears(slow);
    CHECK(list != NULL && strlen(list) > 10000);
    SILENT(slow);
    list = client_hears(late);
    CHECK(list != NULL && strlen(list) > 10000);
    SILENT(late);
    for (i = 0; i < 160; i++) {
        list = client_hears(clients[i]);
        CHECK(list != NULL && strlen(list) > 10000);
        SILENT(clients[i]);
    }
    stage_end(&stage);
}

int
main(void)
{
    static void (*const tests[])(size_t n) = {
        nicknames,           targets,     forgeries,  lists,
        guests_who_may_call, slow_reader, long_lists,
    };
    size_t n, i;

    for (n = 1; n <= 2; n++) {
        for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
            tests[i](n);
        }
    }
    return 0;
}
