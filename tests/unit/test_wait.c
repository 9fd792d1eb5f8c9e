/* wait: marks are the sleeper's own; who commits wakes those that it concerns. */
#include "wait.h"

#include "support/child.h"
#include "unit_support.h"

static uint32_t futex_of(struct eddy_arena *a, unsigned group) {
    return eddy_ld_acq(&eddy_arena_group(a, group)->futex);
}

static uint64_t mask_of(struct eddy_arena *a, unsigned group) {
    return eddy_ld_acq(&eddy_arena_group(a, group)->mask[0]);
}

Test(wait, marks_are_bits_of_one_reader, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    (void)eddy_wait_mark(a, 1, 5);
    (void)eddy_wait_mark(a, 3, 5);
    (void)eddy_wait_mark(a, 3, 5);
    cr_assert_eq(mask_of(a, 5), 10);
    cr_assert_eq(eddy_ld_acq(&a->waits[0]), 10);
    eddy_wait_unmark(a, 1, 5);
    cr_assert_eq(mask_of(a, 5), 8);
    cr_assert_eq(eddy_ld_acq(&a->waits[0]), 8);
    eddy_wait_unmark(a, 3, 5);
    cr_assert_eq(eddy_ld_acq(&a->waits[0]), 0);
    unit_store_free(a);
}

Test(wait, a_commit_wakes_its_groups_and_group_0_where_somebody_sleeps, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    cr_assert_eq(eddy_wait_wake(a, UINT64_MAX), 0);
    cr_assert_eq(futex_of(a, 5), 0);
    cr_assert_eq(eddy_wait_mark(a, 2, 5), 0);
    cr_assert_eq(eddy_wait_wake(a, 1 | UINT64_C(1) << 6), 0);
    cr_assert_eq(eddy_wait_wake(a, 1 | UINT64_C(1) << 5), 1);
    cr_assert_eq(futex_of(a, 5), 1);
    cr_assert_eq(futex_of(a, 6), 0);
    cr_assert_eq(mask_of(a, 5), 4, "only the sleeper clears its mark");
    cr_assert_eq(eddy_wait_mark(a, 1, 0), 0);
    cr_assert_eq(eddy_wait_wake(a, 0), 1, "group 0 is of every transaction");
    cr_assert_eq(eddy_wait_wake(a, UINT64_MAX), 2);
    cr_assert_eq(eddy_wait_mark(a, 1, 0), 2);
    eddy_wait_wake_group(a, 63);
    cr_assert_eq(futex_of(a, 63), 1);
    unit_store_free(a);
}

Test(wait, a_sweep_clears_all_marks_of_one_reader, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    for (unsigned g = 0; g < EDDY_WAIT_GROUPS; g++) {
        (void)eddy_wait_mark(a, 2, g);
        (void)eddy_wait_mark(a, 4, g);
    }
    eddy_wait_sweep(a, 2);
    for (unsigned g = 0; g < EDDY_WAIT_GROUPS; g++) {
        cr_assert_eq(mask_of(a, g), 16);
    }
    cr_assert_eq(eddy_ld_acq(&a->waits[0]), 16);
    eddy_wait_sweep(a, 4);
    cr_assert_eq(eddy_ld_acq(&a->waits[0]), 0);
    unit_store_free(a);
}

Test(wait, marks_of_many_readers_lie_in_several_words, .timeout = 10) {
    struct eddy_arena a;
    struct eddy_arena_options o = {
        .cap = UINT64_C(8) << 20, .mode = 0600, .members = 3, .threads = 200};
    cr_assert_eq(eddy_arena_create(&a, NULL, &o), 0);
    cr_assert_eq(a.wait_words, 4);
    for (uint32_t r = 0; r < 200; r += 33) {
        (void)eddy_wait_mark(&a, r, 63);
        cr_assert_eq(eddy_ld_acq(&eddy_arena_group(&a, 63)->mask[r / 64]) >> (r % 64) & 1, 1);
        cr_assert_eq(eddy_wait_wake(&a, UINT64_C(1) << 63), 1);
        eddy_wait_sweep(&a, r);
        cr_assert_eq(eddy_wait_wake(&a, UINT64_C(1) << 63), 0);
    }
    eddy_arena_close(&a);
}

Test(wait, groups_of_streams_are_1_to_63, .timeout = 10) {
    bool had[EDDY_WAIT_GROUPS] = {false};
    for (uint64_t h = 0; h < 100000; h++) {
        unsigned g = eddy_wait_group_of(h * UINT64_C(0x9e3779b97f4a7c15));
        cr_assert(g >= 1 && g < EDDY_WAIT_GROUPS);
        had[g] = true;
    }
    for (unsigned g = 1; g < EDDY_WAIT_GROUPS; g++) {
        cr_assert(had[g]);
    }
}

Test(wait, nobody_sleeps_past_a_wake_or_a_deadline_or_the_recheck, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    int64_t start = child_now_ns();
    uint32_t seen = eddy_wait_mark(a, 1, 0);
    cr_assert_eq(eddy_wait_wake(a, 1), 1);
    eddy_wait_sleep(a, 0, seen, INT64_MAX);
    cr_assert_lt(child_now_ns() - start, EDDY_WAIT_RECHECK_NS / 2, "it was woken before it slept");
    start = child_now_ns();
    eddy_wait_sleep(a, 0, seen + 1, start + 10000000);
    cr_assert_geq(child_now_ns() - start, 10000000);
    start = child_now_ns();
    eddy_wait_sleep(a, 0, seen + 1, INT64_MAX);
    cr_assert_geq(child_now_ns() - start, EDDY_WAIT_RECHECK_NS);
    cr_assert_lt(child_now_ns() - start, 50 * EDDY_WAIT_RECHECK_NS);
    unit_store_free(a);
}

static void sleep_until_woken(void *arg) {
    struct eddy_arena *a = arg;
    uint32_t seen = eddy_wait_mark(a, 2, 7);
    while (futex_of(a, 7) == seen) {
        eddy_wait_sleep(a, 7, seen, INT64_MAX);
    }
}

Test(wait, another_process_is_woken, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    pid_t pid = child_start(sleep_until_woken, a);
    while (eddy_wait_wake(a, UINT64_C(1) << 7) == 0) {
    }
    cr_assert_eq(child_end(pid, 5000), 0);
    unit_store_free(a);
}
