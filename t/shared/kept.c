/*
 * Records of calls that ended: how many are kept of whom, which lists they are
 * on, what gives way where all are in use; and the same after somebody died
 * with the lock of the lists.
 */

#include "check.h"
#include "stage.h"
#include "wsig_calls.h"
#include "wsig_worker.h"

#include <pthread.h>
#include <string.h>

static stage_t stage;

/* ------------------------------------------------------------ looking */

typedef struct counts_s {
    int ringing;
    int answered;
    int ended;
} counts_t;

static wsig_realm_id_t
realm(void)
{
    wsig_realm_id_t id;

    CHECK(wsig_realm_id(stage.zone, WSIG_NATIVE,
                        (wsig_text_t) WSIG_TEXT("example.org"),
                        &id) == WSIG_OK);
    return id;
}

static uint32_t
hash_of(const char *name)
{
    wsig_realm_id_t id = realm();
    uint32_t hash;

    CHECK(wsig_name_hash(stage.zone, &id, (wsig_text_t){name, strlen(name)},
                         &hash) == WSIG_OK);
    return hash;
}

static void
count(counts_t *counts, wsig_call_state_t state)
{
    counts->ringing += state == WSIG_CALL_RINGING;
    counts->answered += state == WSIG_CALL_ANSWERED;
    counts->ended += state == WSIG_CALL_ENDED;
    CHECK(state != WSIG_CALL_FREE);
}

static counts_t
of_caller(const char *name)
{
    wsig_calls_view_t view = wsig_calls_lock(stage.zone);
    const wsig_call_t *call = NULL;
    counts_t counts = {0};
    uint32_t hash = hash_of(name);

    while ((call = wsig_calls_next_of_caller(&view, hash, call)) != NULL) {
        if (wsig_text_same(wsig_call_caller(call),
                           (wsig_text_t){name, strlen(name)})) {
            count(&counts, wsig_calls_state(&view, (uint32_t) call->id));
        }
    }
    wsig_calls_unlock(&view);
    return counts;
}

/* Whatever is in the bucket: ringing ones only. */
static int
at_callee(const char *name)
{
    wsig_calls_view_t view = wsig_calls_lock(stage.zone);
    const wsig_call_t *call = NULL;
    uint32_t hash = hash_of(name);
    int n = 0;

    while ((call = wsig_calls_next_of_callee(&view, hash, call)) != NULL) {
        CHECK(wsig_calls_state(&view, (uint32_t) call->id) ==
              WSIG_CALL_RINGING);
        n += wsig_text_same(wsig_call_callee(call),
                            (wsig_text_t){name, strlen(name)});
    }
    wsig_calls_unlock(&view);
    return n;
}

/* Every record, and each that ended on the list of those, once. */
static counts_t
of_all(void)
{
    wsig_calls_view_t view = wsig_calls_lock(stage.zone);
    const wsig_call_t *call;
    counts_t counts = {0};
    wsig_call_state_t state;
    int listed = 0;
    uint32_t i;

    for (i = 0; i < wsig_calls_high(&view); i++) {
        state = wsig_calls_state(&view, i);
        if (state != WSIG_CALL_FREE) {
            count(&counts, state);
        }
    }
    for (call = wsig_calls_first_ended(&view); call != NULL;
         call = call->next_ended != 0 ? &view.records[call->next_ended - 1]
                                      : NULL) {
        CHECK(wsig_calls_state(&view, (uint32_t) call->id) == WSIG_CALL_ENDED);
        CHECK(++listed <= counts.ended);
    }
    CHECK(listed == counts.ended, "%d of %d", listed, counts.ended);
    wsig_calls_unlock(&view);
    return counts;
}

/* ------------------------------------------------------------ dying */

static void *
die_at_work(void *arg)
{
    wsig_calls_view_t view = wsig_calls_lock(stage.zone);
    uint32_t buckets = 1024, i;
    wsig_call_t *call;

    /* all lists in pieces; and each call that rings half answered or ended */
    while (buckets < stage.zone->shared->calls / 2) {
        buckets *= 2;
    }
    memset(view.callees, 0, buckets * sizeof(uint32_t));
    memset(view.callers, 0, buckets * sizeof(uint32_t));
    for (i = 0; i < wsig_calls_high(&view); i++) {
        call = &view.records[i];
        call->next_ended = call->previous_ended = i + 1;
        call->next_callee = call->next_caller = i + 1;
        if (wsig_calls_state(&view, i) == WSIG_CALL_RINGING) {
            call->reason = WSIG_END_HANGUP;
            if (call->n_ringers > 0) {
                call->callee = call->ringers[0].at;
            }
        }
    }
    return arg; /* with the lock */
}

static void
somebody_dies(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, die_at_work, NULL) == 0);
    pthread_join(thread, NULL);
}

/* ------------------------------------------------------------ one user */

/* Whoever comes back again and again, and dials. */
static void
reconnects(size_t n, const char *identity, bool with_ref)
{
    client_t *alice = NULL, *bob;
    char last[64] = "", call[64];
    counts_t counts;
    int i, j;

    stage_begin(&stage, n);
    stage.conf.rate = 0;
    bob = stage_guest(&stage, 1, "bob");
    for (i = 0; i < 200; i++) {
        alice = stage_open(&stage, (size_t) i, "alice", identity);
        client_says(alice, "{'type':'hello','name':'alice','watch':'none'}");
        stage_settle(&stage);
        EXPECTS(alice, "{'type':'welcome'}");
        for (j = 0; j < 16; j++) {
            if (with_ref) {
                client_says(alice, "{'type':'call','to':'bob','ref':'%d'}", j);
            } else {
                client_says(alice, "{'type':'call','to':'bob'}");
            }
            strcpy(call,
                   text_member(EXPECTS(alice, "{'type':'calling'}"), "call"));
            CHECK(strcmp(call, last) != 0);
            strcpy(last, call);
            if (i % 20 == 0) {
                CHECK(at_callee("bob") == 1);
            }
            client_says(alice, "{'type':'hangup','call':'%s'}", call);
            if (i % 20 == 0 || j == 15) {
                CHECK(at_callee("bob") == 0);
                counts = of_caller("alice");
                CHECK(counts.ended <= WSIG_CALLS_KEPT_EACH &&
                          counts.ringing == 0,
                      "%d", counts.ended);
            }
        }
        stage_settle(&stage);
        client_forget(bob);
        if (i % 50 == 30) {
            somebody_dies();
            CHECK(of_all().ended == WSIG_CALLS_KEPT_EACH);
        }
        if (i % 2 == 0) {
            client_says(alice, "{'type':'bye'}");
        }
        client_free(alice);
    }
    counts = of_all();
    CHECK(counts.ended == WSIG_CALLS_KEPT_EACH && counts.ringing == 0);
    CHECK(of_caller("alice").ended == WSIG_CALLS_KEPT_EACH);
    stage_pass(&stage, WSIG_CALL_KEPT + 1000);
    CHECK(of_all().ended == 0 && of_caller("alice").ended == 0);
    stage_end(&stage);
}

/* ------------------------------------------------------------ all records */

enum {
    NEVER = 1000000
};

static wsig_address_t
registered(const char *name)
{
    wsig_slot_t slot = {.realm = realm()}, holder;
    wsig_address_t at, holder_at;

    slot.worker = (uint16_t) stage.hosts[0].worker->place;
    slot.epoch = stage.hosts[0].worker->epoch;
    slot.name_size = (uint8_t) strlen(name);
    memcpy(slot.name, name, slot.name_size);
    CHECK(wsig_registry_add(stage.zone, &slot, &at, &holder, &holder_at) ==
          WSIG_OK);
    return at;
}

static int
dial(wsig_address_t from, const char *to, int64_t mono, uint64_t *id)
{
    wsig_media_t media = {0};
    wsig_dial_t what = {.caller = from,
                        .to = {to, strlen(to)},
                        .media = &media,
                        .ring_timeout = NEVER};
    wsig_notes_t notes;

    return wsig_call_dial(stage.zone, &what, (wsig_time_t){mono, 0}, id,
                          &notes);
}

static void
hang_up(wsig_address_t self, uint64_t id, int64_t mono)
{
    wsig_notes_t notes;
    bool ended;

    CHECK(wsig_call_hangup(stage.zone, id, self, (wsig_time_t){mono, 0}, &ended,
                           &notes) == WSIG_OK &&
          ended);
}

/* All ring: nobody can dial.  All ended: the oldest gives way. */
static void
a_full_table(bool dies)
{
    wsig_slot_t slot;
    static wsig_address_t from[4096];
    static uint64_t ids[4096];
    wsig_address_t late, all[256];
    int64_t mono = host_clock();
    uint32_t calls, i, n, turn;
    wsig_call_t call;
    char name[16];
    uint64_t id;

    stage_begin(&stage, 1);
    calls = stage.zone->shared->calls;
    n = calls / WSIG_CALLS_RINGING;
    CHECK(calls <= 4096 - n && n < 256);
    for (i = 0; i < n; i++) {
        sprintf(name, "to%u", i);
        all[i] = registered(name);
    }
    for (i = 0; i < calls; i++) {
        sprintf(name, "from%u", i);
        from[i] = registered(name);
        sprintf(name, "to%u", i / WSIG_CALLS_RINGING);
        CHECK(dial(from[i], name, mono + i, &ids[i]) == WSIG_OK, "%u", i);
    }
    late = registered("late");
    (void) registered("free");
    if (dies) {
        somebody_dies();
        for (i = 0; i < calls; i++) {
            CHECK(wsig_call_read(stage.zone, ids[i], from[i], &call) ==
                  WSIG_OK);
            CHECK(call.state == WSIG_CALL_RINGING &&
                  call.reason == WSIG_END_NONE && call.callee.generation == 0);
        }
    }
    CHECK(dial(late, "free", mono, &id) == WSIG_FULL);
    CHECK(at_callee("to0") == WSIG_CALLS_RINGING);
    CHECK(of_all().ringing == (int) calls);
    /* in another order than that of the records */
    for (i = 0; i < calls; i++) {
        turn = (i * 5 + 3) % calls;
        hang_up(i % 2 == 0 ? from[turn] : all[turn / WSIG_CALLS_RINGING],
                ids[turn], mono + i);
        CHECK(wsig_call_read(stage.zone, ids[turn], from[turn], &call) ==
              WSIG_OK);
        CHECK(call.state == WSIG_CALL_ENDED);
    }
    CHECK(at_callee("to0") == 0 && of_all().ended == (int) calls);
    for (i = 0; i < 100; i++) {
        if (dies && i == 50) {
            somebody_dies();
            CHECK(of_all().ended == (int) calls);
        }
        CHECK(dial(late, "free", mono + calls + i, &id) == WSIG_OK);
        CHECK(at_callee("free") == 1);
        hang_up(late, id, mono + calls + i);
        CHECK(at_callee("free") == 0);
        CHECK(of_caller("late").ended <= WSIG_CALLS_KEPT_EACH);
        CHECK(of_all().ended <= (int) calls);
        if (i < WSIG_CALLS_KEPT_EACH && (!dies || i < 50)) {
            turn = (i * 5 + 3) % calls;
            CHECK(wsig_call_read(stage.zone, ids[turn], from[turn], &call) ==
                  WSIG_ABSENT);
            turn = ((i + 1) * 5 + 3) % calls;
            CHECK(wsig_call_read(stage.zone, ids[turn], from[turn], &call) ==
                  WSIG_OK);
        }
    }
    stage_pass(&stage, 1 + calls + WSIG_CALL_KEPT + 5000);
    CHECK(of_all().ended == 0);
    CHECK(dial(late, "free", host_clock(), &id) == WSIG_OK);
    hang_up(late, id, host_clock());
    for (i = 0; i < n; i++) {
        CHECK(wsig_registry_get(stage.zone, all[i], &slot) == WSIG_OK);
        CHECK(wsig_registry_remove(stage.zone, all[i],
                                   (wsig_owner_t){slot.worker, slot.epoch}) ==
              WSIG_OK);
    }
    /* the rest go with their worker */
    host_stop(&stage.hosts[0]);
    CHECK(host_start(&stage.hosts[0], stage.zone) == WSIG_OK);
    stage_pass(&stage, 1000);
    stage_end(&stage);
}

int
main(void)
{
    size_t n;

    for (n = 1; n <= 2; n++) {
        reconnects(n, NULL, false);
        reconnects(n, "alice", true);
    }
    a_full_table(false);
    a_full_table(true);
    return 0;
}
