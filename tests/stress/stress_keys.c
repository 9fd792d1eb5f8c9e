/* What is under keys, written again and again by several: states, snapshots of a stream, checkpoints.
 *
 * usage: stress_keys [--short] [--threads] [--seed N] [--workers N] [--rounds N]
 *
 * --rounds: writes of one checkpoint by each worker, 20 million by all of them if nothing is said; of
 * the other kinds a hundredth part. What holds: the arena is behind them what it was behind the first
 * tenth; a state that is read is one that was put, whole; no increment by compare-and-set is lost;
 * what a transaction puts together is seen together; the newest snapshot is there whenever one is.
 */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS = 10, PART = 100, LARGE = 200000, SPARE = 4 << 20, BEHIND = 8 };

struct scene {
    eddy_store *store;
    struct stress_options options;
};

struct worker {
    struct scene *scene;
    uint32_t number;
    uint32_t turn;
    uint64_t done; /* of the other kinds: so many by each worker in the turns before */
    uint64_t count;
};

/* Bytes that follow from a number. */
static void fill(unsigned char *data, size_t len, uint64_t number) {
    memset(data, (int)(number * 131 % 251), len);
}

static void check_whole(const eddy_state *s) {
    const unsigned char *data = s->data.ptr;
    unsigned char want = (unsigned char)(s->version * 131 % 251);
    if (s->data.len != s->version % LARGE) {
        gang_breach("a state of number %" PRIu64 " has %zu bytes", s->version, s->data.len);
    }
    for (size_t i = 0; i < s->data.len; i++) {
        if (data[i] != want) {
            gang_breach("a state of number %" PRIu64 " is not whole at byte %zu", s->version, i);
        }
    }
}

/* One that all write, of any size; and what is read of it. */
static void put_large(struct worker *w, struct rng *rng, eddy_buffer *buffer) {
    static _Thread_local unsigned char data[LARGE];
    eddy_store *store = w->scene->store;
    eddy_state got;
    uint64_t number = rng_next(rng);
    eddy_new_state s = {.data = eddy_mem(data, number % LARGE), .version = number};
    fill(data, number % LARGE, number);
    CHECK_OK(eddy_state_put(store, eddy_str("large"), EDDY_ANY, &s, NULL));
    CHECK_OK(eddy_state_get(store, eddy_str("large"), buffer, &got));
    check_whole(&got);
}

/* A counter that all raise, each if it has not changed since it was read. */
static void raise_counter(struct worker *w, eddy_buffer *buffer) {
    eddy_store *store = w->scene->store;
    eddy_new_state s = {.version = 1};
    eddy_state got;
    int64_t expected = EDDY_NONE;
    int rc;
    do {
        rc = eddy_state_get(store, eddy_str("counter"), buffer, &got);
        CHECK(rc == 0 || rc == EDDY_ENOENT);
        s.version = rc == 0 ? got.version + 1 : 1;
        expected = rc == 0 ? (int64_t)got.revision : EDDY_NONE;
        rc = eddy_state_put(store, eddy_str("counter"), expected, &s, NULL);
    } while (rc == EDDY_ECONFLICT);
    CHECK_OK(rc);
}

/* A projection's step: what it has made, how far it is, and a snapshot, at one instant. */
static void step(struct worker *w, uint64_t n, eddy_tx *tx) {
    char name[32];
    snprintf(name, sizeof name, "projection-%u", w->number);
    eddy_new_state s = {.version = n};
    eddy_new_checkpoint c = {.name = eddy_str(name), .shard = 3, .offset = n};
    CHECK_OK(eddy_tx_reset(tx));
    CHECK_OK(eddy_tx_state(tx, eddy_str(name), n == 1 ? EDDY_NONE : EDDY_EXISTS, &s));
    CHECK_OK(eddy_tx_checkpoint_set(tx, &c, n == 1 ? EDDY_NONE : EDDY_EXISTS));
    CHECK_OK(eddy_tx_snapshot(tx, eddy_str(name), n, EDDY_NONE, &s));
    if (n > BEHIND) {
        CHECK_OK(eddy_tx_snapshot_delete(tx, eddy_str(name), n - BEHIND));
    }
    CHECK_OK(eddy_tx_commit(tx, NULL));
}

/* Another's projection: what is looked at later is not further back. */
static void look(struct worker *w, eddy_buffer *buffer) {
    char name[32];
    eddy_store *store = w->scene->store;
    eddy_checkpoint before;
    eddy_checkpoint after;
    eddy_state made;
    eddy_state snapshot;
    uint32_t other = (w->number + 1) % w->scene->options.workers;
    snprintf(name, sizeof name, "projection-%u", other);
    int rc = eddy_checkpoint_get(store, eddy_str(name), 3, &before);
    if (rc == EDDY_ENOENT) {
        return;
    }
    CHECK_OK(rc);
    CHECK_OK(eddy_state_get(store, eddy_str(name), buffer, &made));
    CHECK_OK(eddy_snapshot_latest(store, eddy_str(name), 0, buffer, &snapshot));
    CHECK_OK(eddy_checkpoint_get(store, eddy_str(name), 3, &after));
    if (made.version < before.offset || snapshot.version < made.version ||
        after.offset < snapshot.version) {
        gang_breach("'%s' is at %" PRIu64 ", has made %" PRIu64 ", has a snapshot of %" PRIu64
                    ", and is at %" PRIu64,
                    name, before.offset, made.version, snapshot.version, after.offset);
    }
}

static void work(void *arg) {
    struct worker *w = arg;
    eddy_store *store = w->scene->store;
    struct rng rng = rng_make(w->turn * 100 + w->number);
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_tx *tx;
    CHECK(buffer);
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (uint64_t i = 1; i <= w->count; i++) {
        CHECK_OK(eddy_checkpoint_put(store, eddy_str("one"), rng_below(&rng, 1000000), 0));
        if (i % PART == 0) {
            put_large(w, &rng, buffer);
            raise_counter(w, buffer);
            step(w, w->done + i / PART, tx);
            look(w, buffer);
        }
    }
    eddy_tx_free(tx);
    eddy_buffer_destroy(buffer);
}

static void check_counter(struct scene *scene, uint64_t wanted) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_state s;
    CHECK_OK(eddy_state_get(scene->store, eddy_str("counter"), buffer, &s));
    if (s.version != wanted) {
        gang_breach("the counter is at %" PRIu64 ", not at %" PRIu64, s.version, wanted);
    }
    eddy_buffer_destroy(buffer);
}

int main(int argc, char **argv) {
    struct scene scene = {
        .options = {.workers = 4, .rounds = 5000000, .short_rounds = 10000, .slower = 10}};
    struct worker workers[GANG_MAX];
    uint64_t done = 0;
    uint64_t first_used = 0;
    uint64_t first_reserved = 0;
    stress_options_parse(argc, argv, &scene.options);
    struct gang gang = {.threads = scene.options.threads};
    uint32_t n = scene.options.workers;
    uint64_t count = scene.options.rounds / TURNS / PART * PART;
    CHECK(n <= GANG_MAX);
    count = count ? count : PART;
    scene.store = sandbox_anonymous_of(UINT64_C(256) << 20);
    for (uint32_t turn = 1; turn <= TURNS; turn++) {
        int64_t start = child_now_ns();
        for (uint32_t i = 0; i < n; i++) {
            workers[i] = (struct worker){
                .scene = &scene, .number = i, .turn = turn, .done = done, .count = count};
            gang_start(&gang, work, &workers[i]);
        }
        if (!gang_end(&gang, scene.options.limit_ms)) {
            gang_breach("a process of turn %u failed", turn);
        }
        done += count / PART;
        int64_t ns = child_now_ns() - start;
        gang_maintain(scene.store);
        check_counter(&scene, done * n);
        uint64_t used = gang_used(scene.store);
        uint64_t reserved = gang_facts(scene.store).reserved;
        first_used = turn == 1 ? used : first_used;
        first_reserved = turn == 1 ? reserved : first_reserved;
        printf("turn %2u: %" PRIu64
               " writes of a checkpoint, reserved %6.1f MiB, in use %6.2f MiB; "
               "%.0f ns a write\n",
               turn, turn * n * count, gang_mib(reserved), gang_mib(used),
               (double)ns / (double)(n * count));
        fflush(stdout);
        if (reserved > first_reserved + SPARE || used > first_used + (SPARE >> 2)) {
            gang_breach("%" PRIu64 " bytes are reserved and %" PRIu64 " in use, %" PRIu64
                        " and %" PRIu64 " were behind the first turn",
                        reserved, used, first_reserved, first_used);
        }
    }
    sandbox_check(scene.store);
    eddy_close(scene.store);
    return 0;
}
