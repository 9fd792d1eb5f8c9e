#include "wait.h"

#include "platform.h"

uint32_t eddy_wait_mark(struct eddy_arena *a, uint32_t reader, unsigned group) {
    struct eddy_shm_group *g = eddy_arena_group(a, group);
    uint64_t bit = UINT64_C(1) << (reader % 64);
    /* [wait.C1] acquire: pairs with [wait.P2]: read before the ring is looked at, so that a wake
     * after that look changes it */
    uint32_t seen = eddy_ld_acq(&g->futex);
    /* [wait.P1] seq_cst: pairs with [wait.F1]. The store of our bits stands before the load of the
     * commit word. Death after: swept; until then each commit makes a system call too many. */
    eddy_at_max(&a->ring->mask_words, reader / 64 + UINT64_C(1));
    eddy_or_sc(&g->mask[reader / 64], bit);
    eddy_or_sc(&a->waits[reader / 64], bit);
    eddy_fence_sc();
    return seen;
}

void eddy_wait_unmark(struct eddy_arena *a, uint32_t reader, unsigned group) {
    uint64_t bit = UINT64_C(1) << (reader % 64);
    /* [wait.R2] relaxed: alone would do: our own bits, and a wake too many does no harm */
    eddy_and_ar(&eddy_arena_group(a, group)->mask[reader / 64], ~bit);
    eddy_and_ar(&a->waits[reader / 64], ~bit);
}

void eddy_wait_sweep(struct eddy_arena *a, uint32_t reader) {
    for (unsigned g = 0; g < EDDY_WAIT_GROUPS; g++) {
        eddy_wait_unmark(a, reader, g);
    }
}

void eddy_wait_sleep(struct eddy_arena *a, unsigned group, uint32_t seen, int64_t deadline_ns) {
    int64_t recheck = eddy_platform_monotonic_ns() + EDDY_WAIT_RECHECK_NS;
    (void)eddy_platform_futex_wait(&eddy_arena_group(a, group)->futex, seen,
                                   deadline_ns < recheck ? deadline_ns : recheck);
}

void eddy_wait_wake_group(struct eddy_arena *a, unsigned group) {
    struct eddy_shm_group *g = eddy_arena_group(a, group);
    /* [wait.P2] acq_rel: pairs with [wait.C1]. Who read the word before does not fall asleep on it.
     * Death between: the sleeper looks again by itself, in time. */
    eddy_add_ar(&g->futex, 1u);
    (void)eddy_platform_futex_wake(&g->futex);
}

unsigned eddy_wait_wake_groups(struct eddy_arena *a, uint64_t groups) {
    unsigned wakes = 0;
    for (uint64_t left = groups | 1; left != 0; left &= left - 1) {
        unsigned group = (unsigned)__builtin_ctzll(left);
        uint64_t any = 0;
        for (uint32_t i = 0; i < a->wait_words; i++) {
            /* [wait.R3] relaxed: ordered by [wait.F1] */
            any |= eddy_ld_rlx(&eddy_arena_group(a, group)->mask[i]);
        }
        if (any != 0) {
            eddy_wait_wake_group(a, group);
            wakes++;
        }
    }
    return wakes;
}
