/*
 * Realms of more users than a list holds, and lists and deltas for which there
 * was no memory.
 */

#include "alloc.h"
#include "check.h"
#include "stage.h"

#include <string.h>

enum {
    DIRECTORY = 1000
};

static stage_t stage;
static char names[DIRECTORY + 200][8];
static client_t *people[DIRECTORY + 200];

static client_t *
watcher(size_t host, const char *name, const char *watch)
{
    client_t *client = stage_open(&stage, host, name, NULL);

    client_says(client, "{'type':'hello','name':'%s','watch':%s}", name, watch);
    return client;
}

static void
comes(int i)
{
    sprintf(names[i], "u%d", i);
    people[i] = stage_guest(&stage, (size_t) i, names[i]);
}

/* Until n users are there, those of the test among them. */
static void
fill(int n, int others)
{
    int i;

    for (i = 0; i < n - others; i++) {
        comes(i);
    }
    stage_pass(&stage, 2000);
    stage_forget(&stage);
}

static const char *
only_a_count(int count)
{
    static char pattern[128];

    sprintf(pattern,
            "{'type':'presence','joined':[],'left':[],'changed':[],"
            "'count':%d}",
            count);
    return pattern;
}

static void
too_many(size_t n)
{
    client_t *listed, *other, *one, *late;
    int i, heard, last;
    const char *text;

    stage_begin(&stage, n);
    stage.conf.rate = 0;
    listed = watcher(0, "listed", "'all'");
    other = watcher(1, "other", "'all'");
    one = watcher(1, "one", "['u1','u1001']");
    fill(DIRECTORY, 3);
    /* the last who fits */
    late = watcher(0, "late", "'none'");
    client_forget(late);
    client_free(late);
    stage_pass(&stage, 1500);
    ALL_SILENT(&stage);

    /* one too many: once, to those with a list */
    late = watcher(1, "late", "'all'");
    stage_settle(&stage);
    EXPECTS(late, "{'type':'welcome','users':null,'count':1001}");
    stage_pass(&stage, 300);
    EXPECTS(listed, "{'type':'users','users':null,'count':1001,'ref':'!'}");
    EXPECTS(other, "{'type':'users','users':null,'count':1001}");
    SILENT(one);
    stage_pass(&stage, 3000);
    while ((text = client_hears(late)) != NULL) {
        CHECK(strstr(text, "\"count\":1001") != NULL, "%s", text);
    }
    while ((text = client_hears(listed)) != NULL) {
        CHECK(strstr(text, "\"presence\"") != NULL, "%s", text);
    }
    client_forget(other);

    /* a count, and no more than one a second */
    for (i = 1000; i < 1100; i++) {
        comes(i);
        stage_pass(&stage, 50);
    }
    stage_pass(&stage, 1100);
    for (heard = 0, last = 1001; (text = client_hears(listed)) != NULL;
         heard++) {
        const char *at = strstr(text, "\"count\":");

        CHECK(strstr(text, "\"presence\"") != NULL &&
                  strstr(text, "\"joined\":[]") != NULL &&
                  strstr(text, "\"left\":[]") != NULL,
              "%s", text);
        CHECK(at != NULL && atoi(at + 8) > last, "%s after %d", text, last);
        last = atoi(at + 8);
    }
    CHECK(heard >= 5 && heard <= 7 && last == 1101, "%d, %d", heard, last);
    text = EXPECTS(one, "{'type':'presence','left':[],'changed':[]}");
    CHECK(strstr(text, "\"joined\":[{\"name\":\"u1001\",") != NULL);
    SILENT(one);
    client_forget(other);
    client_forget(late);
    /* a state is nothing that counts */
    client_says(people[5], "{'type':'state','state':'away'}");
    stage_pass(&stage, 2000);
    ALL_SILENT(&stage);

    /* fewer again: counts go on until somebody asks for the list */
    for (i = 1000; i < 1100; i++) {
        client_free(people[i]);
    }
    client_free(late);
    client_free(people[7]);
    stage_pass(&stage, 2500);
    last = 0;
    while ((text = client_hears(listed)) != NULL) {
        last = atoi(strstr(text, "\"count\":") + 8);
        CHECK(strstr(text, "\"left\":[]") != NULL, "%s", text);
    }
    CHECK(last == 999, "%d", last);
    EXPECTS(one, "{'type':'presence','left':['u1001']}");
    SILENT(one);
    client_forget(other);
    client_says(listed, "{'type':'watch','names':'all','ref':'w'}");
    text = EXPECTS(listed, "{'type':'users','users':'*','count':999,"
                           "'ref':'w'}");
    CHECK(strstr(text, "\"users\":[{") != NULL);
    client_free(people[8]);
    stage_pass(&stage, 1500);
    EXPECTS(listed, "{'type':'presence','left':['u8'],'count':998}");
    EXPECTS(other, "%s", only_a_count(998));
    SILENT(listed);
    SILENT(other);
    stage_end(&stage);
}

/* ------------------------------------------------------------ memory */

/* The delta that all get cannot be made, once (at its first allocation, and
 * when it grows): it comes at the next tick, and nobody is closed. */
static void
short_memory(size_t n, long at)
{
    client_t *a, *b, *newcomers[12];
    static char joined[12][48];
    const char *text;
    int i;

    stage_begin(&stage, n);
    a = watcher(0, "a", "'all'");
    b = watcher(0, "b", "'all'");
    stage_pass(&stage, 1500);
    stage_forget(&stage);
    for (i = 0; i < 12; i++) {
        sprintf(joined[i], "%020d", i);
        newcomers[i] = stage_guest(&stage, 0, joined[i]);
    }
    (void) newcomers;
    alloc_fail(at, false);
    host_set_clock(host_clock() + 100);
    while (host_timer(&stage.hosts[0])) {
    }
    CHECK(alloc_failed());
    alloc_fail(0, false);
    SILENT(a);
    SILENT(b);
    CHECK(a->code == 0 && b->code == 0 && !a->closed && !b->closed);
    stage_pass(&stage, 110);
    for (i = 0; i < 2; i++) {
        text =
            EXPECTS(i == 0 ? a : b, "{'type':'presence','left':[],'changed':[],"
                                    "'count':14}");
        CHECK(strstr(text, joined[0]) != NULL &&
              strstr(text, joined[11]) != NULL);
    }
    stage_pass(&stage, 1000);
    ALL_SILENT(&stage);
    stage_end(&stage);
}

/* The same of the article's list, which is sent again whole. */
static void
short_memory_of_lists(long at)
{
    static char nicknames[12][48];
    client_t *clients[12];
    const char *text;
    int i;

    stage_begin(&stage, 1);
    for (i = 0; i < 12; i++) {
        sprintf(nicknames[i], "%030d", i);
        clients[i] = client_open(&stage.hosts[0], nicknames[i], &stage.conf,
                                 WSIG_ARTICLE, "example.org", NULL);
        client_says(clients[i], "{'nickname':'%s'}", nicknames[i]);
    }
    stage_forget(&stage);
    alloc_fail(at, false);
    host_set_clock(host_clock() + 100);
    while (host_timer(&stage.hosts[0])) {
    }
    CHECK(alloc_failed());
    alloc_fail(0, false);
    ALL_SILENT(&stage);
    stage_pass(&stage, 110);
    for (i = 0; i < 11; i++) {
        CHECK(clients[i]->code == 0);
        text = client_hears(clients[i]);
        CHECK(text != NULL && strstr(text, nicknames[11]) != NULL, "%d", i);
    }
    stage_forget(&stage);
    stage_pass(&stage, 1000);
    ALL_SILENT(&stage);
    stage_end(&stage);
}

/* The count for those without a list. */
static void
short_memory_of_counts(void)
{
    client_t *a;
    long at;

    stage_begin(&stage, 1);
    stage.conf.rate = 0;
    fill(DIRECTORY + 10, 0);
    a = watcher(0, "a", "'all'");
    stage_pass(&stage, 3000);
    client_forget(a);
    comes(DIRECTORY + 100);
    for (at = 1; at <= 2; at++) {
        alloc_fail(at, false);
        host_set_clock(host_clock() + 100);
        while (host_timer(&stage.hosts[0])) {
        }
        CHECK(alloc_failed());
        alloc_fail(0, false);
        SILENT(a);
        CHECK(a->code == 0);
    }
    stage_pass(&stage, 110);
    EXPECTS(a, "%s", only_a_count(DIRECTORY + 12));
    SILENT(a);
    stage_end(&stage);
}

int
main(void)
{
    too_many(1);
    too_many(2);
    short_memory(1, 1);
    short_memory(1, 2);
    short_memory(1, 3);
    short_memory(2, 1);
    short_memory(2, 2);
    short_memory_of_lists(1);
    short_memory_of_lists(2);
    short_memory_of_counts();
    return 0;
}
