/* The timers against a plain list, and the table against another. */

#include "alloc.h"
#include "check.h"
#include "frames.h"
#include "wsig.h"
#include "wsig_table.h"
#include "wsig_timers.h"

enum {
    N = 300,
    STEPS = 100000
};

static void
timers_against_a_list(void)
{
    static wsig_timer_t timers[N];
    uint64_t seed = 1;
    wsig_timers_t heap = {0};
    const wsig_timer_t *first;
    int64_t due, soonest;
    int i, j;

    CHECK(wsig_timers_first(&heap) == NULL);
    alloc_fail(1, false);
    CHECK(wsig_timers_reserve(&heap, N) == WSIG_NOMEM);
    alloc_fail(0, false);
    for (i = 1; i <= N; i++) {
        CHECK(wsig_timers_reserve(&heap, (uint32_t) i) == WSIG_OK);
    }
    alloc_fail(1, true); /* from here on nothing may need memory */
    for (i = 0; i < N; i++) {
        timers[i].due = WSIG_NEVER;
    }
    for (i = 0; i < STEPS; i++) {
        j = (int) random_below(&seed, N);
        due = random_below(&seed, 4) == 0 ? WSIG_NEVER
                                          : random_below(&seed, 1000);
        wsig_timers_set(&heap, &timers[j], due);
        soonest = WSIG_NEVER;
        for (j = 0; j < N; j++) {
            CHECK((timers[j].index == 0) == (timers[j].due == WSIG_NEVER));
            soonest = timers[j].due < soonest ? timers[j].due : soonest;
        }
        first = wsig_timers_first(&heap);
        CHECK((first != NULL ? first->due : WSIG_NEVER) == soonest);
    }
    for (soonest = 0; (first = wsig_timers_first(&heap)) != NULL;) {
        CHECK(first->due >= soonest);
        soonest = first->due;
        wsig_timers_set(&heap, (wsig_timer_t *) first, WSIG_NEVER);
    }
    CHECK(alloc_count() == 0);
    alloc_fail(0, false);
    wsig_timers_free(&heap);
}

/* hashes: how many different ones, so that few means long chains. */
static void
table_against_a_list(uint32_t hashes, bool short_of_memory)
{
    static wsig_node_t nodes[N];
    static bool in[N];
    uint64_t seed = 2;
    wsig_table_t table = {0};
    wsig_node_t *node;
    uint32_t hash, n = 0, found, expected;
    int i, j;

    CHECK(wsig_table_find(&table, 7, NULL) == NULL);
    if (short_of_memory) {
        alloc_fail(1, false);
        CHECK(wsig_table_add(&table, &nodes[0], 1) == WSIG_NOMEM);
        CHECK(wsig_table_add(&table, &nodes[0], 1) == WSIG_OK);
        wsig_table_remove(&table, &nodes[0]);
        alloc_fail(1, true); /* it cannot grow, and works */
    }
    for (i = 0; i < STEPS; i++) {
        j = (int) random_below(&seed, N);
        hash = random_below(&seed, hashes) * 0x9e3779b1u;
        if (in[j]) {
            wsig_table_remove(&table, &nodes[j]);
            n--;
        } else {
            CHECK(wsig_table_add(&table, &nodes[j], hash) == WSIG_OK);
            n++;
        }
        in[j] = !in[j];
        CHECK(table.n == n);
        hash = random_below(&seed, hashes) * 0x9e3779b1u;
        for (j = 0, expected = 0; j < N; j++) {
            expected += in[j] && nodes[j].hash == hash;
        }
        for (found = 0, node = NULL;
             (node = wsig_table_find(&table, hash, node)) != NULL; found++) {
            CHECK(node->hash == hash && in[node - nodes]);
        }
        CHECK(found == expected);
    }
    for (j = 0; j < N; j++) {
        if (in[j]) {
            wsig_table_remove(&table, &nodes[j]);
            in[j] = false;
        }
    }
    alloc_fail(0, false);
    wsig_table_free(&table);
}

int
main(void)
{
    timers_against_a_list();
    table_against_a_list(1000, false);
    table_against_a_list(3, false);
    table_against_a_list(1000, true);
    return 0;
}
