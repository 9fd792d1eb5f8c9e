/* Streams that come and go under ever new names: the store must not grow by names that it forgot.
 *
 * usage: stress_names [--short] [--threads] [--seed N] [--workers N] [--rounds N]
 *
 * --rounds: streams in each of ten turns, which are made, emptied, deleted and forgotten by several
 * processes at once. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TURNS = 10, IN_TX = 50, SPARE = 1 << 20 };

struct scene {
    eddy_store *store;
    struct stress_options options;
};

struct worker {
    struct scene *scene;
    uint32_t number;
    uint32_t turn;
};

static eddy_bytes name_of(const struct worker *worker, char *text, uint64_t i) {
    snprintf(text, 64, "turn-%u/by-%u/%" PRIx64 "-%" PRIu64, worker->turn, worker->number,
             i * UINT64_C(0x9e3779b97f4a7c15), i);
    return eddy_str(text);
}

/* Makes streams from, from + 1, ... with an event or more each. */
static void make_some(struct worker *worker, struct rng *rng, uint64_t from, uint64_t count) {
    eddy_store *store = worker->scene->store;
    eddy_new_event events[12];
    char text[64];
    for (int k = 0; k < 12; k++) {
        events[k] = (eddy_new_event){.data = eddy_mem("something", rng_below(rng, 10))};
    }
    if (rng_once_in(rng, 2)) {
        for (uint64_t i = from; i < from + count; i++) {
            CHECK_OK(eddy_append(store, name_of(worker, text, i), EDDY_NONE, events,
                                 1 + (rng_once_in(rng, 8) ? rng_below(rng, 12) : 0), NULL));
        }
        return;
    }
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (uint64_t i = from; i < from + count; i++) {
        CHECK_OK(eddy_tx_append(tx, name_of(worker, text, i), &events[i % 12]));
    }
    CHECK_OK(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
}

/* Lets a stream go in one of the ways that there are. */
static void remove_one(struct worker *worker, struct rng *rng, uint64_t i) {
    eddy_store *store = worker->scene->store;
    char text[64];
    eddy_bytes name = name_of(worker, text, i);
    uint64_t how = rng_below(rng, 4);
    if (how <= 2) {
        CHECK_OK(eddy_truncate(store, name, EDDY_EXISTS, UINT64_MAX, NULL));
    }
    if (how <= 1) {
        CHECK_OK(eddy_delete(store, name, EDDY_EXISTS, NULL));
    }
    if (how != 1 && how != 2) {
        CHECK_OK(eddy_forget(store, name, NULL));
    }
}

static void one_turn(void *arg) {
    struct worker *worker = arg;
    eddy_store *store = worker->scene->store;
    uint64_t count = worker->scene->options.rounds / worker->scene->options.workers;
    struct rng rng = rng_make(worker->turn * 100 + worker->number);
    for (uint64_t i = 0; i < count; i += IN_TX) {
        make_some(worker, &rng, i, i + IN_TX < count ? IN_TX : count - i);
    }
    for (uint64_t i = 0; i < count; i++) {
        remove_one(worker, &rng, i);
    }
    char prefix[32];
    snprintf(prefix, sizeof prefix, "turn-%u/by-%u/", worker->turn, worker->number);
    int64_t emptied = CHECK_OK(eddy_remove_empty(store, eddy_str(prefix)));
    int64_t forgotten = CHECK_OK(eddy_forget_removed(store, eddy_str(prefix)));
    if (emptied > forgotten || (count >= 1000 && (emptied == 0 || forgotten == 0))) {
        gang_breach("%lld streams were empty, %lld were forgotten", (long long)emptied,
                    (long long)forgotten);
    }
}

static void say_turn(struct scene *scene, uint32_t turn, int64_t ns, eddy_facts *facts) {
    uint64_t before = gang_used(scene->store);
    gang_maintain(scene->store);
    *facts = gang_facts(scene->store);
    printf(
        "turn %2u: reserved %8.1f MiB, in use %8.1f MiB, behind maintenance %6.2f MiB; %.0f ns a "
        "stream\n",
        turn, gang_mib(facts->reserved), gang_mib(before), gang_mib(facts->reserved - facts->free),
        (double)ns / (double)scene->options.rounds);
    fflush(stdout);
    if (facts->events != 0 || facts->streams != 0) {
        gang_breach("%" PRIu64 " events and %" PRIu64 " streams are there, but all went",
                    facts->events, facts->streams);
    }
}

int main(int argc, char **argv) {
    struct scene scene = {
        .options = {.workers = 2, .rounds = 1000000, .short_rounds = 20000, .slower = 20}};
    struct worker workers[GANG_MAX];
    eddy_facts first = {0};
    eddy_facts facts = {0};
    stress_options_parse(argc, argv, &scene.options);
    struct gang gang = {.threads = scene.options.threads};
    CHECK(scene.options.workers <= GANG_MAX);
    scene.store = sandbox_anonymous_of(UINT64_C(16) << 30);
    for (uint32_t turn = 1; turn <= TURNS; turn++) {
        int64_t start = child_now_ns();
        for (uint32_t i = 0; i < scene.options.workers; i++) {
            workers[i] = (struct worker){.scene = &scene, .number = i, .turn = turn};
            gang_start(&gang, one_turn, &workers[i]);
        }
        if (!gang_end(&gang, scene.options.limit_ms)) {
            gang_breach("a process of turn %u failed", turn);
        }
        say_turn(&scene, turn, child_now_ns() - start, &facts);
        first = turn == 1 ? facts : first;
    }
    sandbox_check(scene.store);
    uint64_t first_used = first.reserved - first.free;
    uint64_t used = facts.reserved - facts.free;
    if (facts.reserved > first.reserved + first.reserved / 10 + SPARE) {
        gang_breach("%" PRIu64 " bytes are reserved behind the last turn, %" PRIu64
                    " were behind the first",
                    facts.reserved, first.reserved);
    }
    if (used > first_used + SPARE) {
        gang_breach("%" PRIu64 " bytes are in use behind the last turn, %" PRIu64
                    " were behind the first",
                    used, first_used);
    }
    eddy_close(scene.store);
    return 0;
}
