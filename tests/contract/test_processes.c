/* MP: what several processes add, which none of the five stores has. */
#include "contract.h"
#include "support/check.h"
#include "support/child.h"
#include "support/rng.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROUNDS = 2000, KILLS = 60, PER_TX = 3 };

/* ---- another process reads ---- */

struct shared {
    eddy_store *store;
    _Atomic uint64_t acknowledged; /* the last offset that an append has given */
    _Atomic uint32_t ready;
    _Atomic uint32_t won;
    _Atomic uint32_t lost;
    int64_t expected;
    struct sandbox box;
};

static struct shared *share(eddy_store *store) {
    struct shared *shared = child_shared(sizeof *shared);
    shared->store = store;
    return shared;
}

static void write_rounds(void *arg) {
    struct shared *shared = arg;
    eddy_new_event event = event_of("type", "data");
    for (int i = 0; i < ROUNDS; i++) {
        eddy_result result;
        CHECK_OK(
            eddy_append(shared->store, eddy_str(i % 2 ? "a" : "b"), EDDY_ANY, &event, 1, &result));
        CHECK_EQ(result.last_offset, (uint64_t)i + 1);
        atomic_store(&shared->acknowledged, result.last_offset);
    }
}

/* What was acknowledged before a read began is in what it gives. */
static uint64_t sees_all(struct shared *shared) {
    uint64_t acknowledged = atomic_load(&shared->acknowledged);
    eddy_select select = select_all();
    eddy_event event;
    uint64_t offset = 0;
    eddy_reader *reader = open_reader(shared->store, &select);
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        cr_assert_eq(event.offset, ++offset);
        cr_assert_eq(event.version, (offset + 1) / 2);
        same_bytes(event.stream, eddy_str(offset % 2 ? "b" : "a"));
    }
    eddy_reader_close(reader);
    cr_assert(offset >= acknowledged);
    return offset;
}

Test(contract, MP01_what_one_process_appends_all_others_see_in_the_same_order, .timeout = 120) {
    struct shared *shared = share(sandbox_anonymous());
    eddy_select select = select_all();
    select.flags = EDDY_FOLLOW;
    eddy_reader *follower = open_reader(shared->store, &select);
    pid_t pid = child_start(write_rounds, shared);
    while (sees_all(shared) < ROUNDS) {
    }
    for (uint64_t offset = 1; offset <= ROUNDS; offset++) {
        eddy_event event;
        gives(eddy_reader_next(follower, &event), EDDY_EVENT);
        cr_assert_eq(event.offset, offset);
    }
    cr_assert_eq(child_end(pid, CHILD_LIMIT_MS), 0);
    eddy_reader_close(follower);
    eddy_close(shared->store);
}

/* ---- two processes race ---- */

static void race(void *arg) {
    struct shared *shared = arg;
    eddy_result result;
    atomic_fetch_add(&shared->ready, 1);
    while (atomic_load(&shared->ready) < 2) {
    }
    int got = put_expecting(shared->store, "s", shared->expected, &result);
    CHECK(got == 0 || got == EDDY_ECONFLICT);
    CHECK(got == 0 || result.actual == (uint64_t)shared->expected + 1);
    atomic_fetch_add(got == 0 ? &shared->won : &shared->lost, 1);
}

Test(contract, MP02_of_two_processes_with_one_expectation_one_wins, .timeout = 120) {
    struct shared *shared = share(sandbox_anonymous());
    for (uint32_t i = 1; i <= 100; i++) {
        shared->expected = i - 1;
        atomic_store(&shared->ready, 0);
        pid_t first = child_start(race, shared);
        pid_t second = child_start(race, shared);
        cr_assert_eq(child_end(first, CHILD_LIMIT_MS), 0);
        cr_assert_eq(child_end(second, CHILD_LIMIT_MS), 0);
        cr_assert_eq(shared->won, i);
        cr_assert_eq(shared->lost, i);
        cr_assert_eq(facts_of(shared->store).head, i);
    }
    eddy_close(shared->store);
}

/* ---- a writer is killed ---- */

/* Transactions of PER_TX events on as many streams, for ever. */
static void write_for_ever(void *arg) {
    struct shared *shared = arg;
    static const char *const streams[PER_TX] = {"a", "b", "c"};
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(shared->store, &tx));
    for (;;) {
        eddy_result result;
        for (int i = 0; i < PER_TX; i++) {
            eddy_new_event event = event_of(streams[i], "some data");
            CHECK_OK(eddy_tx_append(tx, eddy_str(streams[i]), &event));
        }
        CHECK_OK(eddy_tx_commit(tx, &result));
        atomic_store(&shared->acknowledged, result.last_offset);
        CHECK_OK(eddy_tx_reset(tx));
    }
}

/* Each transaction whole, each event as it was written; what was acknowledged is there. */
static void is_whole(struct shared *shared) {
    static const char *const streams[PER_TX] = {"a", "b", "c"};
    eddy_select select = select_all();
    eddy_event event;
    uint64_t offset = 0;
    eddy_reader *reader = open_reader(shared->store, &select);
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        const char *name = streams[offset % PER_TX];
        cr_assert_eq(event.offset, ++offset);
        same_bytes(event.stream, eddy_str(name));
        same_bytes(event.type, eddy_str(name));
        same_bytes(event.data, eddy_str("some data"));
        cr_assert_eq(event.version, (offset + PER_TX - 1) / PER_TX);
        cr_assert_eq(event.tx_count, PER_TX);
    }
    eddy_reader_close(reader);
    cr_assert_eq(offset % PER_TX, 0);
    cr_assert(offset >= atomic_load(&shared->acknowledged));
}

Test(contract, MP03_a_writer_that_is_killed_leaves_all_of_a_batch_or_nothing, .timeout = 180) {
    struct shared *shared = share(sandbox_anonymous());
    struct rng rng = rng_make(303);
    eddy_tx *tx;
    must(eddy_tx_begin(shared->store, &tx));
    for (int i = 0; i < KILLS; i++) {
        pid_t pid = child_start(write_for_ever, shared);
        uint64_t before = atomic_load(&shared->acknowledged);
        while (atomic_load(&shared->acknowledged) == before) {
            child_linger_us(50);
        }
        child_linger_us(rng_below(&rng, 500));
        child_kill(pid);
        static const char *const streams[PER_TX] = {"a", "b", "c"};
        for (int k = 0; k < PER_TX; k++) { /* another appends, and is not held up */
            eddy_new_event event = event_of(streams[k], "some data");
            must(eddy_tx_append(tx, eddy_str(streams[k]), &event));
        }
        must(eddy_tx_commit(tx, NULL));
        must(eddy_tx_reset(tx));
    }
    eddy_tx_free(tx);
    is_whole(shared);
    sandbox_check(shared->store);
    eddy_close(shared->store);
}

/* ---- a subscriber is killed ---- */

static void subscribe_for_ever(void *arg) {
    struct shared *shared = arg;
    eddy_select select = select_all();
    eddy_reader *reader = NULL;
    eddy_event event;
    select.flags = EDDY_FOLLOW;
    CHECK_OK(eddy_reader_open(shared->store, &select, &reader));
    for (;;) {
        CHECK_EQ(eddy_reader_wait(reader, EDDY_FOREVER, &event), EDDY_EVENT);
        atomic_store(&shared->ready, 1);
    }
}

static int add_readers(void *arg, const eddy_member_facts *facts) {
    *(uint32_t *)arg += facts->readers;
    return 0;
}

static uint32_t readers_of(eddy_store *store) {
    uint32_t readers = 0;
    must(eddy_members(store, add_readers, &readers));
    return readers;
}

Test(contract, MP04_a_subscriber_that_is_killed_holds_up_nobody_and_leaves_no_slot,
     .timeout = 120) {
    struct shared *shared = share(sandbox_anonymous());
    for (int i = 0; i < 20; i++) {
        uint32_t dead;
        atomic_store(&shared->ready, 0);
        pid_t pid = child_start(subscribe_for_ever, shared);
        put(shared->store, "s", "x");
        while (!atomic_load(&shared->ready)) {
            child_linger_us(50);
        }
        cr_assert_eq(readers_of(shared->store), 1);
        child_kill(pid);
        put_many(shared->store, "s", 100);
        must(eddy_maintain(shared->store, 0, NULL));
        cr_assert_eq(readers_of(shared->store), 0);
        cr_assert_eq(sandbox_members(shared->store, &dead), 1);
        cr_assert_eq(dead, 0);
    }
    eddy_close(shared->store);
}

/* ---- all go, and one comes again ---- */

static void leave_a_store(void *arg) {
    struct shared *shared = arg;
    eddy_store *store = sandbox_open(&shared->box, "kept", 0);
    eddy_new_event event = event_of("type", "data");
    CHECK_OK(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    CHECK_OK(eddy_append(store, eddy_str("gone"), EDDY_ANY, &event, 1, NULL));
    CHECK_OK(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    CHECK_OK(eddy_delete(store, eddy_str("gone"), EDDY_ANY, NULL));
    CHECK_OK(eddy_checkpoint_put(store, eddy_str("projection"), 2, 0));
    if (shared->expected) {
        _exit(0); /* without closing: all the same */
    }
    eddy_close(store);
}

Test(contract, MP05_a_store_that_all_have_left_is_as_it_was, .timeout = 60) {
    for (int unclosed = 0; unclosed < 2; unclosed++) {
        struct shared *shared = share(NULL);
        eddy_select select = select_all();
        sandbox_make(&shared->box);
        shared->expected = unclosed;
        cr_assert_eq(child_run(leave_a_store, shared), 0);
        eddy_store *store = sandbox_open(&shared->box, "kept", EDDY_MUST_EXIST);
        reads(store, &select, PLACE, "s:1 s:2");
        reads(store, &select, OFFSET, "1 3");
        put(store, "gone", "x");
        reads(store, &select, PLACE, "s:1 s:2 gone:2");
        reads(store, &select, OFFSET, "1 3 4");
        eddy_close(store);
    }
}
