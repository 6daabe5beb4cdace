/*
 * Calls, on one worker and on two: each row of the arbitration table, and each
 * pair of things that may happen at the same time, in both orders.  Between the
 * two nothing else happens: no worker learns of what the other did but by the
 * shared memory.
 */

#include "check.h"
#include "stage.h"

#include <string.h>

static stage_t stage;
static client_t *alice, *bob;
static int ref; /* of alice's last call to bob */

static void
begin(size_t n)
{
    stage_begin(&stage, n);
    alice = stage_guest(&stage, 0, "alice");
    bob = stage_guest(&stage, 1, "bob");
}

static void
end(void)
{
    stage_settle(&stage);
    ALL_SILENT(&stage);
    /* whatever happened, both are free again and can call each other */
    stage_end(&stage);
}

/* alice calls bob, whose peers ring; the id of the call. */
static const char *
ring(void)
{
    const char *call;

    client_says(alice,
                "{'type':'call','to':'bob','media':['audio','video'],"
                "'info':{'a':[1]},'ref':'%d'}",
                ++ref);
    stage_settle(&stage);
    call = text_member(EXPECTS(alice,
                               "{'type':'calling','call':'*','to':'bob',"
                               "'ringing':'*','ref':'%d'}",
                               ref),
                       "call");
    EXPECTS(bob,
            "{'type':'ring','call':'%s','from':'alice','media':['audio',"
            "'video'],'info':{'a':[1]},'expires':45}",
            call);
    return call;
}

static void
again(void)
{
    client_says(alice, "{'type':'call','to':'bob','ref':'%d'}", ref);
}

static const char *
answer(void)
{
    const char *call = ring();

    client_says(bob, "{'type':'accept','call':'%s','media':['audio']}", call);
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'accepted','call':'%s','from':'alice'}", call);
    EXPECTS(alice,
            "{'type':'accepted','call':'%s','from':'bob','verified':false,"
            "'media':['audio']}",
            call);
    return call;
}

static void
state_is(client_t *who, const char *name, const char *state)
{
    stage_settle(&stage);
    client_says(who, "{'type':'lookup','name':'%s'}", name);
    EXPECTS(who, "{'type':'user','name':'%s','state':'%s'}", name, state);
}

static void
says(client_t *who, const char *type, const char *call)
{
    client_says(who, "{'type':'%s','call':'%s'}", type, call);
}

static void
ended(client_t *who, const char *call, const char *reason)
{
    EXPECTS(who, "{'type':'ended','call':'%s','reason':'%s'}", call, reason);
}

/* ------------------------------------------------------------ one by one */

static void
a_whole_call(size_t n)
{
    const char *call;
    int i;

    begin(n);
    call = answer();
    state_is(alice, "bob", "busy");
    state_is(bob, "alice", "busy");
    for (i = 0; i < 20; i++) {
        client_says(alice, "{'type':'signal','call':'%s','data':{'n':%d}}",
                    call, i);
        client_says(bob, "{'data':[%d],'type':'signal','call':'%s'}", i, call);
    }
    stage_settle(&stage);
    for (i = 0; i < 20; i++) {
        EXPECTS(bob,
                "{'type':'signal','call':'%s','from':'alice','data':{'n':%d}}",
                call, i);
        EXPECTS(alice, "{'type':'signal','call':'%s','from':'bob','data':[%d]}",
                call, i);
    }
    says(alice, "hangup", call);
    stage_settle(&stage);
    ended(bob, call, "hangup");
    SILENT(alice);
    state_is(alice, "bob", "free");
    state_is(bob, "alice", "free");
    answer(); /* and once more */
    stage_forget(&stage);
    end();
}

static void
nobody_there(size_t n)
{
    begin(n);
    client_says(alice, "{'type':'call','to':'carol','ref':'x'}");
    EXPECTS(alice, "{'type':'error','code':'unreachable','to':'carol',"
                   "'ref':'x'}");
    client_says(alice, "{'type':'call','to':'alice'}");
    EXPECTS(alice, "{'type':'error','code':'unreachable','to':'alice'}");
    /* errors are not remembered */
    stage_guest(&stage, 1, "carol");
    client_says(alice, "{'type':'call','to':'carol','ref':'x'}");
    EXPECTS(alice, "{'type':'calling','to':'carol','ref':'x'}");
    stage_settle(&stage);
    stage_forget(&stage);
    end();
}

static void
malformed(size_t n)
{
    static const char *const texts[] = {
        "{'type':'call'}",
        "{'type':'call','to':7}",
        "{'type':'call','to':'bob','media':'audio'}",
        "{'type':'call','to':'bob','media':[1]}",
        "{'type':'call','to':'bob','media':['12345678901234567']}",
        "{'type':'call','to':'bob','media':['','','','','','','','','']}",
        "{'type':'call','to':'bob','ref':7}",
        "{'type':'accept'}",
        "{'type':'accept','call':7}",
        "{'type':'signal','data':1}",
        "{'type':'signal','call':'c1'}",
        "{'type':'nothing'}",
        "{'type':7}",
        "{}",
        "[]",
        "{'type':'call','type':'call'}",
    };
    char info[1100];
    size_t i;

    begin(n);
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        client_says(alice, "%s", texts[i]);
        EXPECTS(alice, "{'type':'error','code':'bad-message'}");
    }
    memset(info, 'x', sizeof(info));
    client_says(alice, "{'type':'call','to':'bob','info':'%.1023s'}", info);
    EXPECTS(alice, "{'type':'error','code':'bad-message'}");
    client_says(alice, "{'type':'accept','call':'c1'}");
    EXPECTS(alice, "{'type':'error','code':'call-unknown','call':'c1'}");
    client_says(alice, "{'type':'call','to':'bob','info':'%.1022s'}", info);
    EXPECTS(alice, "{'type':'calling'}");
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'ring','info':'%.1022s','media':[]}", info);
    end();
}

static void
only_the_two(size_t n)
{
    const char *call;
    client_t *carol;

    begin(n);
    carol = stage_guest(&stage, 0, "carol");
    call = ring();
    client_says(alice, "{'type':'signal','call':'%s','data':1}", call);
    EXPECTS(alice, "{'type':'error','code':'not-answered','call':'%s'}", call);
    client_says(bob, "{'type':'signal','call':'%s','data':1}", call);
    EXPECTS(bob, "{'type':'error','code':'not-answered','call':'%s'}", call);
    says(alice, "accept", call);
    EXPECTS(alice, "{'type':'error','code':'bad-message','call':'%s'}", call);
    says(carol, "accept", call);
    EXPECTS(carol, "{'type':'error','code':'call-unknown','call':'%s'}", call);
    says(carol, "hangup", call);
    EXPECTS(carol, "{'type':'error','code':'call-unknown','call':'%s'}", call);
    says(bob, "accept", call);
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'accepted'}");
    EXPECTS(alice, "{'type':'accepted','media':[]}");
    client_says(carol, "{'type':'signal','call':'%s','data':1}", call);
    EXPECTS(carol, "{'type':'error','code':'call-unknown','call':'%s'}", call);
    says(bob, "accept", call); /* again */
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'accepted','call':'%s'}", call);
    says(alice, "accept", call);
    EXPECTS(alice, "{'type':'error','code':'bad-message','call':'%s'}", call);
    says(bob, "decline", call); /* of an answered call is to hang up */
    stage_settle(&stage);
    ended(alice, call, "hangup");
    end();
}

static void
busy(size_t n)
{
    const char *call, *other;
    client_t *carol;

    begin(n);
    carol = stage_guest(&stage, 0, "carol");
    call = answer();
    client_says(carol, "{'type':'call','to':'bob','ref':'b'}");
    EXPECTS(carol, "{'type':'ended','call':'*','to':'bob','reason':'busy',"
                   "'ref':'b'}");
    client_says(alice, "{'type':'call','to':'carol'}");
    EXPECTS(alice, "{'type':'error','code':'busy-self'}");
    says(alice, "hangup", call);
    stage_settle(&stage);
    ended(bob, call, "hangup");
    client_says(carol, "{'type':'call','to':'bob','ref':'b'}");
    EXPECTS(carol, "{'type':'ended','reason':'busy','ref':'b'}");
    client_says(carol, "{'type':'call','to':'bob','ref':'c'}");
    other = text_member(EXPECTS(carol, "{'type':'calling','ref':'c'}"), "call");
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'ring','call':'%s','info':'!'}", other);
    /* two ring at bob: in one, the other rings on */
    call = ring();
    says(bob, "accept", call);
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'accepted'}");
    EXPECTS(alice, "{'type':'accepted'}");
    says(bob, "accept", other);
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'error','code':'busy-self','call':'%s'}", other);
    says(bob, "hangup", call);
    says(bob, "accept", other);
    stage_settle(&stage);
    ended(alice, call, "hangup");
    EXPECTS(bob, "{'type':'accepted','call':'%s','from':'carol'}", other);
    EXPECTS(carol, "{'type':'accepted','call':'%s','from':'bob'}", other);
    end();
}

static void
nobody_answers(size_t n)
{
    const char *call;

    begin(n);
    call = ring();
    stage_pass(&stage, 44900);
    ALL_SILENT(&stage);
    stage_pass(&stage, 600);
    ended(alice, call, "no-answer");
    ended(bob, call, "missed");
    /* late requests hear the truth, for 30 s */
    says(bob, "accept", call);
    ended(bob, call, "missed");
    says(bob, "decline", call);
    ended(bob, call, "missed");
    says(alice, "hangup", call);
    ended(alice, call, "no-answer");
    client_says(alice, "{'type':'signal','call':'%s','data':1}", call);
    client_says(bob, "{'type':'signal','call':'%s','data':1}", call);
    again();
    EXPECTS(alice,
            "{'type':'ended','call':'%s','to':'bob','reason':'no-answer',"
            "'ref':'%d'}",
            call, ref);
    ALL_SILENT(&stage);
    stage_pass(&stage, 31000);
    ALL_SILENT(&stage);
    says(bob, "accept", call);
    EXPECTS(bob, "{'type':'error','code':'call-unknown','call':'%s'}", call);
    says(alice, "hangup", call);
    EXPECTS(alice, "{'type':'error','code':'call-unknown','call':'%s'}", call);
    again(); /* a new call */
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'calling','ref':'%d'}", ref);
    EXPECTS(bob, "{'type':'ring'}");
    end();
}

static void
the_same_ref(size_t n)
{
    const char *call;

    begin(n);
    call = ring();
    again();
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'calling','call':'%s','ref':'%d'}", call, ref);
    client_says(alice, "{'type':'call','to':'bob','ref':'2'}");
    EXPECTS(alice, "{'type':'error','code':'busy-self','ref':'2'}");
    SILENT(bob);
    says(bob, "accept", call);
    /* answered, but alice has not heard of it */
    again();
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'accepted'}");
    if (n == 1) {
        EXPECTS(alice, "{'type':'accepted','call':'%s'}", call);
        EXPECTS(alice, "{'type':'calling','call':'%s','ref':'%d'}", call, ref);
    } else {
        EXPECTS(alice, "{'type':'calling','call':'%s','ref':'%d'}", call, ref);
        EXPECTS(alice, "{'type':'accepted','call':'%s'}", call);
    }
    says(bob, "hangup", call);
    again();
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'ended','call':'%s','reason':'hangup'}", call);
    if (n == 1) {
        EXPECTS(alice, "{'type':'ended','call':'%s','ref':'%d'}", call, ref);
    }
    end();
}

static void
devices(size_t n)
{
    client_t *left, *right, *late, *caller;
    const char *call;

    stage_begin(&stage, n);
    caller = alice = stage_user(&stage, 0, "alice");
    left = bob = stage_user(&stage, 0, "bob");
    right = stage_user(&stage, 1, "bob");
    call = ring();
    EXPECTS(right, "{'type':'ring','call':'%s','verified':true}", call);
    /* one more comes while it rings */
    stage_pass(&stage, 10000);
    late = stage_user(&stage, 1, "bob");
    EXPECTS(late, "{'type':'ring','call':'%s','expires':35}", call);
    client_lost(left);
    stage_settle(&stage);
    ALL_SILENT(&stage);
    says(right, "accept", call);
    stage_settle(&stage);
    EXPECTS(right, "{'type':'accepted','call':'%s'}", call);
    ended(late, call, "answered-elsewhere");
    EXPECTS(caller, "{'type':'accepted','verified':true}");
    says(late, "hangup", call);
    stage_settle(&stage);
    ended(late, call, "answered-elsewhere");
    client_says(late, "{'type':'signal','call':'%s','data':1}", call);
    stage_settle(&stage);
    ALL_SILENT(&stage);
    /* a peer of his is free: bob is free, and rings there only */
    state_is(caller, "bob", "free");
    caller = stage_user(&stage, 1, "carol");
    client_says(caller, "{'type':'call','to':'bob'}");
    stage_settle(&stage);
    EXPECTS(caller, "{'type':'calling','ringing':1}");
    EXPECTS(late, "{'type':'ring','from':'carol'}");
    SILENT(right);
    says(right, "hangup", call);
    stage_settle(&stage);
    ended(alice, call, "hangup");
    end();
}

static void
all_ringing_ones_leave(size_t n)
{
    client_t *other;
    const char *call;

    stage_begin(&stage, n);
    alice = stage_user(&stage, 0, "alice");
    bob = stage_user(&stage, 0, "bob");
    other = stage_user(&stage, 1, "bob");
    call = ring();
    EXPECTS(other, "{'type':'ring'}");
    client_lost(bob);
    stage_settle(&stage);
    SILENT(alice);
    client_says(other, "{'type':'bye'}");
    stage_settle(&stage);
    ended(alice, call, "unreachable");
    CHECK(other->code == 1000 && other->closed);
    end();
}

static void
declined_everywhere(size_t n)
{
    client_t *other;
    const char *call;

    stage_begin(&stage, n);
    alice = stage_user(&stage, 0, "alice");
    bob = stage_user(&stage, 0, "bob");
    other = stage_user(&stage, 1, "bob");
    call = ring();
    EXPECTS(other, "{'type':'ring'}");
    says(bob, n == 1 ? "hangup" : "decline", call);
    stage_settle(&stage);
    ended(alice, call, "declined");
    ended(other, call, "declined");
    SILENT(bob);
    end();
}

static void
too_many_ring(size_t n)
{
    static char names[20][8];
    client_t *callers[20];
    int i;

    begin(n);
    for (i = 0; i < 17; i++) {
        sprintf(names[i], "u%d", i);
        callers[i] = stage_guest(&stage, (size_t) i, names[i]);
        client_says(callers[i], "{'type':'call','to':'bob'}");
        if (i < 16) {
            EXPECTS(callers[i], "{'type':'calling'}");
        } else {
            EXPECTS(callers[i], "{'type':'error','code':'limit'}");
        }
    }
    stage_settle(&stage);
    for (i = 0; i < 16; i++) {
        EXPECTS(bob, "{'type':'ring','from':'u%d'}", i);
    }
    /* bob rings at u16, who meets him, whatever else rings at bob */
    client_says(bob, "{'type':'call','to':'u16'}");
    client_says(callers[16], "{'type':'call','to':'bob','ref':'g'}");
    stage_settle(&stage);
    EXPECTS(bob, "{'type':'calling'}");
    EXPECTS(bob, "{'type':'accepted','from':'u16'}");
    if (callers[16]->host == bob->host) {
        EXPECTS(callers[16], "{'type':'ring','from':'bob'}");
    }
    EXPECTS(callers[16], "{'type':'ended','reason':'glare','ref':'g'}");
    EXPECTS(callers[16], "{'type':'accepted','from':'bob'}");
    client_lost(bob);
    stage_settle(&stage);
    ended(callers[16], "*", "gone");
    for (i = 0; i < 16; i++) {
        EXPECTS(callers[i], "{'type':'ended','reason':'unreachable'}");
    }
    end();
}

/* ------------------------------------------------------------ races */

typedef struct race_s {
    const char *what;
    void (*first)(const char *call);
    void (*second)(const char *call);
    bool answered;        /* they meet in an answered call */
    const char *alice[3]; /* what she hears: types, with reasons */
    const char *bob[3];
} race_t;

static void
alice_hangs_up(const char *call)
{
    says(alice, "hangup", call);
}

static void
alice_is_lost(const char *call)
{
    (void) call;
    client_lost(alice);
}

static void
alice_leaves(const char *call)
{
    (void) call;
    client_says(alice, "{'type':'bye'}");
}

static void
alice_signals(const char *call)
{
    client_says(alice, "{'type':'signal','call':'%s','data':1}", call);
}

static void
bob_accepts(const char *call)
{
    says(bob, "accept", call);
}

static void
bob_signals(const char *call)
{
    client_says(bob, "{'type':'signal','call':'%s','data':1}", call);
}

static void
bob_declines(const char *call)
{
    says(bob, "decline", call);
}

static void
bob_hangs_up(const char *call)
{
    says(bob, "hangup", call);
}

static void
bob_is_lost(const char *call)
{
    (void) call;
    client_lost(bob);
}

static void
bob_leaves(const char *call)
{
    (void) call;
    client_says(bob, "{'type':'bye'}");
}

static void
bob_dials(const char *call)
{
    (void) call;
    client_says(bob, "{'type':'call','to':'alice','ref':'g',"
                     "'media':['younger']}");
}

/* The time is up; the worker of alice sees it first, or that of bob. */
static void
time_is_up_at_alice(const char *call)
{
    (void) call;
    host_set_clock(host_clock() + 45250);
    host_timer(alice->host);
}

static void
time_is_up_at_bob(const char *call)
{
    (void) call;
    host_set_clock(host_clock() + 45250);
    host_timer(bob->host);
}

static const race_t races[] = {
    {"accept, cancel",
     bob_accepts,
     alice_hangs_up,
     false,
     {NULL},
     {"accepted", "ended hangup"}},
    {"cancel, accept",
     alice_hangs_up,
     bob_accepts,
     false,
     {NULL},
     {"ended cancelled"}},
    {"decline, cancel",
     bob_declines,
     alice_hangs_up,
     false,
     {"ended declined"},
     {NULL}},
    {"cancel, decline",
     alice_hangs_up,
     bob_declines,
     false,
     {NULL},
     {"ended cancelled"}},
    {"accept, lost",
     bob_accepts,
     alice_is_lost,
     false,
     {NULL},
     {"accepted", "ended gone"}},
    {"lost, accept", alice_is_lost, bob_accepts, false, {NULL}, {"ended gone"}},
    {"accept, bye",
     bob_accepts,
     alice_leaves,
     false,
     {NULL},
     {"accepted", "ended hangup"}},
    {"bye, accept",
     alice_leaves,
     bob_accepts,
     false,
     {NULL},
     {"ended cancelled"}},
    {"decline, lost", bob_declines, alice_is_lost, false, {NULL}, {NULL}},
    {"lost, decline",
     alice_is_lost,
     bob_declines,
     false,
     {NULL},
     {"ended gone"}},
    {"cancel, callee lost", alice_hangs_up, bob_is_lost, false, {NULL}, {NULL}},
    {"callee lost, cancel",
     bob_is_lost,
     alice_hangs_up,
     false,
     {"ended unreachable"},
     {NULL}},
    {"both lost", alice_is_lost, bob_is_lost, false, {NULL}, {NULL}},
    {"both lost, the other way",
     bob_is_lost,
     alice_is_lost,
     false,
     {NULL},
     {NULL}},
    {"accept, time-out",
     bob_accepts,
     time_is_up_at_alice,
     false,
     {"accepted"},
     {"accepted"}},
    {"accept, time-out at his",
     bob_accepts,
     time_is_up_at_bob,
     false,
     {"accepted"},
     {"accepted"}},
    {"time-out, accept",
     time_is_up_at_alice,
     bob_accepts,
     false,
     {"ended no-answer"},
     {"ended missed"}},
    {"time-out at his, accept",
     time_is_up_at_bob,
     bob_accepts,
     false,
     {"ended no-answer"},
     {"ended missed", "ended missed"}},
    {"time-out at his, cancel",
     time_is_up_at_bob,
     alice_hangs_up,
     false,
     {"ended no-answer"},
     {"ended missed"}},
    {"cancel, time-out at his",
     alice_hangs_up,
     time_is_up_at_bob,
     false,
     {NULL},
     {"ended cancelled"}},
    {"cancel, he dials",
     alice_hangs_up,
     bob_dials,
     false,
     {"ring"},
     {"calling", "ended cancelled"}},
    {"time-out, he dials",
     time_is_up_at_alice,
     bob_dials,
     false,
     {"ended no-answer", "ring"},
     {"calling", "ended missed"}},
    {"she is lost, he dials",
     alice_is_lost,
     bob_dials,
     false,
     {NULL},
     {"error unreachable", "ended gone"}},
    {"accept, he dials",
     bob_accepts,
     bob_dials,
     false,
     {"accepted"},
     {"accepted", "error busy-self"}},
    {"he dials, cancel",
     bob_dials,
     alice_hangs_up,
     false,
     {NULL},
     {"ended glare", "accepted", "ended hangup"}},
    {"he dials, accepts",
     bob_dials,
     bob_accepts,
     false,
     {"accepted"},
     {"ended glare", "accepted", "accepted"}},
    {"he dials, she is lost",
     bob_dials,
     alice_is_lost,
     false,
     {NULL},
     {"ended glare", "accepted", "ended gone"}},
    {"accept, he is lost",
     bob_accepts,
     bob_is_lost,
     false,
     {"accepted", "ended gone"},
     {"accepted"}},
    {"accept, he signals",
     bob_accepts,
     bob_signals,
     false,
     {"accepted", "signal"},
     {"accepted"}},
    {"accept, she signals",
     bob_accepts,
     alice_signals,
     false,
     {"accepted"},
     {"accepted", "signal"}},
    {"both hang up",
     alice_hangs_up,
     bob_hangs_up,
     true,
     {NULL},
     {"ended hangup"}},
    {"both hang up, he first",
     bob_hangs_up,
     alice_hangs_up,
     true,
     {"ended hangup"},
     {NULL}},
    {"hang up, lost", alice_hangs_up, bob_is_lost, true, {NULL}, {NULL}},
    {"lost, hang up",
     bob_is_lost,
     alice_hangs_up,
     true,
     {"ended gone"},
     {NULL}},
    {"bye, hang up",
     bob_leaves,
     alice_hangs_up,
     true,
     {"ended hangup"},
     {NULL}},
    {"hang up, signal",
     alice_hangs_up,
     bob_signals,
     true,
     {NULL},
     {"ended hangup"}},
    {"signal, hang up",
     alice_signals,
     alice_hangs_up,
     true,
     {NULL},
     {"signal", "ended hangup"}},
    {"signal, lost",
     alice_signals,
     alice_is_lost,
     true,
     {NULL},
     {"signal", "ended gone"}},
};

static void
heard(const race_t *race, client_t *who, const char *const words[3])
{
    char said[64];
    const char *text;
    int i;

    for (i = 0; (text = client_hears(who)) != NULL; i++) {
        const char *type = text_member(text, "type");

        snprintf(said, sizeof(said), "%s%s%s", type,
                 strcmp(type, "ended") == 0 || strcmp(type, "error") == 0 ? " "
                                                                          : "",
                 strcmp(type, "ended") == 0   ? text_member(text, "reason")
                 : strcmp(type, "error") == 0 ? text_member(text, "code")
                                              : "");
        CHECK(i < 3 && words[i] != NULL && strcmp(said, words[i]) == 0,
              "%s: %s heard %s as number %d", race->what, who->name, said, i);
    }
    CHECK(i == 3 || words[i] == NULL, "%s: %s did not hear %s", race->what,
          who->name, words[i]);
}

static void
race_once(const race_t *race, size_t n)
{
    const char *call, *other;

    begin(n);
    call = race->answered ? answer() : ring();
    race->first(call);
    race->second(call);
    stage_settle(&stage);
    if (n == 1) {
        stage_forget(&stage); /* no race: each heard of the other in time */
    } else {
        heard(race, alice, race->alice);
        heard(race, bob, race->bob);
    }
    /* nothing more comes by itself, and nobody is left busy */
    stage_pass(&stage, 3000);
    ALL_SILENT(&stage);
    if (alice->peer != NULL) {
        other = bob->peer != NULL ? "bob" : NULL;
        says(alice, "hangup", call);
        stage_pass(&stage, 1000);
        stage_forget(&stage);
        if (other != NULL && race->second != bob_dials) {
            state_is(alice, "bob", "free");
            state_is(bob, "alice", "free");
        }
    }
    end();
}

/* Both dial at the same time: the older call is accepted. */
static void
glare(size_t n)
{
    client_t *other, *hers;
    const char *call;

    stage_begin(&stage, n);
    alice = stage_user(&stage, 0, "alice");
    hers = stage_user(&stage, 1, "alice");
    bob = stage_user(&stage, 1, "bob");
    other = stage_user(&stage, 0, "bob");
    client_says(alice, "{'type':'call','to':'bob','ref':'a','media':['m1']}");
    client_says(bob, "{'type':'call','to':'alice','ref':'b','media':['m2']}");
    stage_settle(&stage);
    call = text_member(EXPECTS(alice, "{'type':'calling','ref':'a'}"), "call");
    EXPECTS(alice,
            "{'type':'accepted','call':'%s','from':'bob','media':['m2']}",
            call);
    if (n == 1) {
        EXPECTS(bob, "{'type':'ring','call':'%s'}", call);
    }
    EXPECTS(bob,
            "{'type':'ended','call':'*','to':'alice','reason':'glare',"
            "'into':'%s','ref':'b'}",
            call);
    EXPECTS(bob,
            "{'type':'accepted','call':'%s','from':'alice','media':['m1']}",
            call);
    EXPECTS(other, "{'type':'ring','call':'%s'}", call);
    ended(other, call, "answered-elsewhere");
    SILENT(hers);
    /* the younger's ref is remembered, and the call works */
    client_says(bob, "{'type':'call','to':'alice','ref':'b'}");
    EXPECTS(bob, "{'type':'ended','reason':'glare','into':'%s','ref':'b'}",
            call);
    client_says(bob, "{'type':'signal','call':'%s','data':1}", call);
    client_says(alice, "{'type':'signal','call':'%s','data':2}", call);
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'signal','data':1}");
    EXPECTS(bob, "{'type':'signal','data':2}");
    says(bob, "hangup", call);
    stage_settle(&stage);
    ended(alice, call, "hangup");
    state_is(alice, "bob", "free");
    state_is(bob, "alice", "free");
    end();
}

/* Two devices answer; one answers and one declines. */
static void
two_devices(size_t n, const char *first, const char *second)
{
    bool accepted = strcmp(first, "accept") == 0;
    client_t *other;
    const char *call;

    stage_begin(&stage, n);
    alice = stage_user(&stage, 0, "alice");
    bob = stage_user(&stage, 1, "bob");
    other = stage_user(&stage, 0, "bob");
    call = ring();
    EXPECTS(other, "{'type':'ring'}");
    says(bob, first, call);
    says(other, second, call);
    stage_settle(&stage);
    if (accepted) {
        EXPECTS(bob, "{'type':'accepted'}");
        EXPECTS(alice, "{'type':'accepted'}");
        ended(other, call, "answered-elsewhere");
        if (n == 1) {
            /* told before it asked, and again because it asked */
            ended(other, call, "answered-elsewhere");
        }
        says(bob, "hangup", call);
        stage_settle(&stage);
        ended(alice, call, "hangup");
    } else {
        ended(alice, call, "declined");
        ended(other, call, "declined");
        if (n == 1) {
            ended(other, call, "declined");
        }
    }
    end();
}

/* He leaves as she dials, or joins. */
static void
comings_and_goings(size_t n)
{
    const char *call;

    begin(n);
    client_lost(bob);
    client_says(alice, "{'type':'call','to':'bob'}");
    EXPECTS(alice, "{'type':'error','code':'unreachable'}");

    bob = stage_guest(&stage, 1, "bob");
    client_says(alice, "{'type':'call','to':'bob'}");
    client_lost(bob);
    client_forget(bob); /* on one worker it rang */
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'calling','ringing':1}");
    EXPECTS(alice, "{'type':'ended','reason':'unreachable'}");

    /* he is gone and back under the same name before the note arrives */
    bob = stage_guest(&stage, 1, "bob");
    client_says(alice, "{'type':'call','to':'bob'}");
    call = text_member(EXPECTS(alice, "{'type':'calling'}"), "call");
    client_lost(bob);
    client_forget(bob);
    bob = stage_open(&stage, 1, "bob", NULL);
    client_says(bob, "{'type':'hello','name':'bob','watch':'none'}");
    stage_settle(&stage);
    ended(alice, call, "unreachable");
    EXPECTS(bob, "{'type':'welcome'}");
    end();
}

/* A call answered on the way of a dial to somebody else. */
static void
three_people(size_t n)
{
    const char *call;
    client_t *carol;

    begin(n);
    carol = stage_guest(&stage, 0, "carol");
    client_says(bob, "{'type':'call','to':'carol','ref':'c'}");
    client_says(alice, "{'type':'call','to':'bob','ref':'a'}");
    stage_settle(&stage);
    EXPECTS(alice, "{'type':'ended','reason':'busy','ref':'a'}");
    call = text_member(EXPECTS(bob, "{'type':'calling'}"), "call");
    EXPECTS(carol, "{'type':'ring','from':'bob'}");
    says(bob, "hangup", call);
    client_says(alice, "{'type':'call','to':'bob','ref':'b'}");
    client_says(bob, "{'type':'call','to':'carol','ref':'d'}");
    stage_settle(&stage);
    ended(carol, call, "cancelled");
    call = text_member(EXPECTS(alice, "{'type':'calling','ref':'b'}"), "call");
    EXPECTS(carol, "{'type':'ring'}");
    if (n == 1) {
        EXPECTS(bob, "{'type':'ring'}");
        EXPECTS(bob, "{'type':'calling','ref':'d'}");
    } else {
        EXPECTS(bob, "{'type':'calling','ref':'d'}");
        EXPECTS(bob, "{'type':'ring'}");
    }
    says(bob, "accept", call);
    EXPECTS(bob, "{'type':'error','code':'busy-self'}");
    client_lost(bob);
    stage_settle(&stage);
    ended(alice, call, "unreachable");
    EXPECTS(carol, "{'type':'ended','reason':'gone'}");
    end();
}

/* What the status pages of both servers show. */
static void
numbers(size_t n)
{
    wsig_numbers_t status;
    const char *call;
    client_t *carol;

    begin(n);
    wsig_status_numbers(stage.zone, &status);
    CHECK(status.peers == 2 && status.peers_max == 4096);
    CHECK(status.workers == n);
    CHECK(status.calls_ringing == 0 && status.calls_active == 0);
    call = answer();
    carol = stage_guest(&stage, 0, "carol");
    stage_forget(&stage);
    client_says(carol, "{'type':'call','to':'dave'}");
    stage_settle(&stage);
    EXPECTS(carol, "{'type':'error'}");
    wsig_status_numbers(stage.zone, &status);
    CHECK(status.peers == 3);
    CHECK(status.calls_ringing == 0 && status.calls_active == 1);
    says(alice, "hangup", call);
    stage_settle(&stage);
    stage_forget(&stage);
    ring();
    wsig_status_numbers(stage.zone, &status);
    CHECK(status.calls_ringing == 1 && status.calls_active == 0);
    client_lost(bob);
    stage_settle(&stage);
    wsig_status_numbers(stage.zone, &status);
    CHECK(status.peers == 2 && status.calls_ringing == 0);
    stage_pass(&stage, 200);
    stage_forget(&stage);
    end();
}

int
main(void)
{
    static void (*const tests[])(size_t n) = {
        a_whole_call,
        nobody_there,
        malformed,
        only_the_two,
        busy,
        nobody_answers,
        the_same_ref,
        devices,
        all_ringing_ones_leave,
        too_many_ring,
        declined_everywhere,
        glare,
        three_people,
        comings_and_goings,
        numbers,
    };
    size_t n, i;

    for (n = 1; n <= 2; n++) {
        for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
            tests[i](n);
        }
        for (i = 0; i < sizeof(races) / sizeof(races[0]); i++) {
            race_once(&races[i], n);
        }
        two_devices(n, "accept", "accept");
        two_devices(n, "accept", "decline");
        two_devices(n, "decline", "accept");
        two_devices(n, "decline", "decline");
    }
    return 0;
}
