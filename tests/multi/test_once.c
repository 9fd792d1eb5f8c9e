/* Exactly once: writers that are killed before they are told, and that do again, with the same key, what
 * they do not know to have been done. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITERS = 3, KILLS = 400, LINGER_US = 3000 };

/* In memory that the children share, and that outlives them: what each is at. */
struct writer {
    eddy_store *store;
    uint32_t number;
    _Atomic uint64_t at;    /* the work that was begun last, from 1 */
    _Atomic uint64_t known; /* the last of which it is known that it was done */
    _Atomic uint64_t repeats;
};

/* Work number n of a writer: two events, on a stream of its own and on one that all share. */
static void work(struct writer *w, eddy_tx *tx, uint64_t n) {
    char key[32];
    char own[32];
    eddy_result result;
    eddy_new_event event = {.data = eddy_mem(&n, sizeof n)};
    snprintf(key, sizeof key, "%u-%llu", w->number, (unsigned long long)n);
    snprintf(own, sizeof own, "own-%u", w->number);
    CHECK_OK(eddy_tx_reset(tx));
    CHECK_OK(eddy_tx_key(tx, eddy_str(key)));
    CHECK_OK(eddy_tx_append(tx, eddy_str(own), &event));
    CHECK_OK(eddy_tx_append(tx, eddy_str("shared"), &event));
    CHECK_OK(eddy_tx_commit(tx, &result));
    CHECK_EQ(result.last_offset, result.first_offset + 1);
    if (result.repeated) {
        uint64_t offset;
        CHECK_OK(eddy_tx_placed(tx, 1, &offset, NULL));
        CHECK_EQ(offset, result.last_offset);
        atomic_fetch_add(&w->repeats, 1);
    }
}

static void be_writer(void *arg) {
    struct writer *w = arg;
    eddy_store *store = sandbox_again(w->store, 0);
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (;;) {
        uint64_t n = atomic_load(&w->known) + 1;
        atomic_store(&w->at, n);
        work(w, tx, n);
        atomic_store(&w->known, n);
    }
}

static void finish(void *arg) {
    struct writer *w = arg;
    eddy_store *store = sandbox_again(w->store, 0);
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (uint64_t n = atomic_load(&w->known) + 1; n <= atomic_load(&w->at); n++) {
        work(w, tx, n);
        atomic_store(&w->known, n);
    }
    eddy_tx_free(tx);
    eddy_close(store);
}

/* Each of a writer's works is there once, in order. */
static void check_writer(eddy_store *store, const struct writer *w) {
    char own[32];
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    uint64_t n = 0;
    snprintf(own, sizeof own, "own-%u", w->number);
    select.stream = eddy_str(own);
    must(eddy_reader_open(store, &select, &reader));
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        uint64_t said;
        memcpy(&said, event.data.ptr, sizeof said);
        cr_assert_eq(said, ++n, "writer %u has done work %llu %s", w->number,
                     (unsigned long long)said, said < n ? "twice" : "too early");
        cr_assert_eq(event.tx_count, 2);
    }
    cr_assert_eq(n, atomic_load(&w->at));
    eddy_reader_close(reader);
}

Test(once, what_is_done_again_behind_a_kill_is_done_once, .timeout = 300) {
    struct writer *w = child_shared(WRITERS * sizeof *w);
    pid_t pids[WRITERS];
    struct rng rng = rng_make(3);
    uint64_t repeats = 0;
    uint64_t works = 0;
    eddy_store *store = sandbox_anonymous_of(UINT64_C(1) << 30);
    for (uint32_t i = 0; i < WRITERS; i++) {
        w[i].store = store;
        w[i].number = i;
        pids[i] = child_start(be_writer, &w[i]);
    }
    for (int k = 0; k < KILLS; k++) {
        uint32_t i = (uint32_t)rng_below(&rng, WRITERS);
        child_linger_us(rng_below(&rng, LINGER_US));
        child_kill(pids[i]);
        pids[i] = child_start(be_writer, &w[i]);
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        child_kill(pids[i]);
        cr_assert_eq(child_run(finish, &w[i]), 0); /* by another process */
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        check_writer(store, &w[i]);
        repeats += atomic_load(&w[i].repeats);
        works += atomic_load(&w[i].at);
    }
    cr_assert_eq(sandbox_head(store), 2 * works);
    cr_assert_gt(repeats, 0, "no kill hit between commit and answer: the test shows nothing");
    sandbox_check(store);
    eddy_close(store);
}

/* ---- many try the same at once ---- */

enum { RIVALS = 5, THINGS = 1500 };

struct rivals {
    eddy_store *store;
    _Atomic uint32_t ready;
    _Atomic uint64_t first[THINGS]; /* offset that was answered */
    _Atomic uint64_t done[RIVALS];  /* not repeated */
};

struct rival {
    struct rivals *all;
    uint32_t number;
};

static void be_rival(void *arg) {
    struct rival *r = arg;
    eddy_store *store = sandbox_again(r->all->store, 0);
    atomic_fetch_add(&r->all->ready, 1);
    while (atomic_load(&r->all->ready) < RIVALS) {
    }
    for (uint64_t n = 0; n < THINGS; n++) {
        eddy_new_event event = {.data = eddy_mem(&r->number, sizeof r->number)};
        eddy_result result;
        uint64_t none = 0;
        CHECK_OK(eddy_append_once(store, eddy_mem(&n, sizeof n), eddy_str("s"), EDDY_ANY, &event, 1,
                                  &result));
        if (!atomic_compare_exchange_strong(&r->all->first[n], &none, result.first_offset)) {
            CHECK_EQ(none, result.first_offset);
        }
        atomic_fetch_add(&r->all->done[r->number], !result.repeated);
    }
    eddy_close(store);
}

Test(once, of_all_who_do_the_same_at_once_one_does_it, .timeout = 120) {
    struct rivals *all = child_shared(sizeof *all);
    struct rival rivals[RIVALS];
    pid_t pids[RIVALS];
    uint64_t done = 0;
    all->store = sandbox_anonymous();
    for (uint32_t i = 0; i < RIVALS; i++) {
        rivals[i] = (struct rival){all, i};
        pids[i] = child_start(be_rival, &rivals[i]);
    }
    for (uint32_t i = 0; i < RIVALS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
        done += atomic_load(&all->done[i]);
    }
    cr_assert_eq(done, THINGS);
    cr_assert_eq(sandbox_head(all->store), THINGS);
    sandbox_check(all->store);
    eddy_close(all->store);
}
