/* Conditions that hold at the instant of the commit, whoever else commits: of several processes that
 * claim one thing, one has it. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RACERS = 6, ROUNDS = 1000 };

struct race {
    eddy_store *store;
    bool by_stream;
    _Atomic uint32_t ready;
    _Atomic uint32_t winners[ROUNDS];
    _Atomic uint64_t won[RACERS];
    _Atomic uint64_t lost[RACERS];
};

struct racer {
    struct race *race;
    uint32_t number;
};

/* "Thing number n is taken" is an event of a type of its own, in a stream of the racer's own, or in one
 * that all share. */
static int claim(const struct racer *racer, eddy_tx *tx, uint32_t thing, uint64_t since,
                 eddy_result *result) {
    char type[32];
    char stream[32];
    snprintf(type, sizeof type, "taken-%u", thing);
    snprintf(stream, sizeof stream, racer->race->by_stream ? "all" : "by-%u", racer->number);
    eddy_bytes types[1] = {eddy_str(type)};
    eddy_new_event event = {.type = types[0]};
    eddy_select select = EDDY_SELECT_INIT;
    select.types = types;
    select.type_count = 1;
    if (racer->race->by_stream) {
        select.stream = eddy_str(stream);
    } else {
        select.prefix = eddy_str("by-");
    }
    CHECK_OK(eddy_tx_reset(tx));
    CHECK_OK(eddy_tx_append(tx, eddy_str(stream), &event));
    CHECK_OK(eddy_tx_expect_none(tx, &select, since));
    return eddy_tx_commit(tx, result);
}

static void race(void *arg) {
    struct racer *racer = arg;
    struct race *race = racer->race;
    eddy_store *store = racer->number % 2 ? sandbox_again(race->store, 0) : race->store;
    eddy_tx *tx;
    uint64_t since = 0;
    CHECK_OK(eddy_tx_begin(store, &tx));
    atomic_fetch_add(&race->ready, 1);
    while (atomic_load(&race->ready) < RACERS) {
    }
    for (uint32_t thing = 0; thing < ROUNDS; thing++) {
        eddy_result result;
        int rc = claim(racer, tx, thing, since, &result);
        CHECK(rc == 0 || rc == EDDY_ECONFLICT);
        /* It is taken in either case: the next one not before this. */
        since = rc == 0 ? result.first_offset : result.actual;
        CHECK(since > 0);
        atomic_fetch_add(&race->winners[thing], rc == 0);
        atomic_fetch_add(rc == 0 ? &race->won[racer->number] : &race->lost[racer->number], 1);
    }
    eddy_tx_free(tx);
    if (store != race->store) {
        eddy_close(store);
    }
}

static void run(bool by_stream) {
    struct race *scene = child_shared(sizeof *scene);
    struct racer racers[RACERS];
    pid_t pids[RACERS];
    scene->store = sandbox_anonymous();
    scene->by_stream = by_stream;
    for (uint32_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){scene, i};
        pids[i] = child_start(race, &racers[i]);
    }
    for (int i = 0; i < RACERS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    uint64_t won = 0;
    uint64_t lost = 0;
    for (int i = 0; i < RACERS; i++) {
        won += atomic_load(&scene->won[i]);
        lost += atomic_load(&scene->lost[i]);
    }
    cr_assert_eq(won, ROUNDS);
    cr_assert_eq(lost, ROUNDS * (RACERS - 1));
    cr_assert_eq(sandbox_head(scene->store), ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        cr_assert_eq(atomic_load(&scene->winners[i]), 1, "thing %d", i);
    }
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_stats(scene->store, &counts));
    cr_assert_eq(counts.conflicts, lost);
    cr_assert_eq(counts.transactions, won);
    sandbox_check(scene->store);
    eddy_close(scene->store);
}

Test(conditions, of_all_who_claim_one_thing_one_has_it, .timeout = 120) {
    run(false);
}

Test(conditions, so_it_is_with_things_of_one_stream, .timeout = 120) {
    run(true);
}
