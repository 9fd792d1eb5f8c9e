/* Waiting for transactions, and waking those who wait.
 *
 * A futex word for each group of streams, and one for the whole store (group 0). A reader that goes
 * to sleep sets a bit of its own, in the group's mask and in the mask of all; only it clears them,
 * or who sweeps it, so no death of somebody else loses a wake-up. Who commits makes a system call
 * only if a bit is set. A wake is a hint; the ring is the truth; and nobody sleeps for longer than
 * EDDY_WAIT_RECHECK_NS without looking, since the one who should wake may die first.
 */
#ifndef EDDY_WAIT_H
#define EDDY_WAIT_H

#include "arena.h"

#define EDDY_WAIT_RECHECK_NS INT64_C(100000000)

/* The group of a stream, by the hash of its name; never 0. */
static inline unsigned eddy_wait_group_of(uint64_t hash) {
    return 1 + (unsigned)((hash >> 40) % (EDDY_WAIT_GROUPS - 1));
}

/* Marks reader slot `reader` as asleep on a group, and gives the futex word's value from before.
 * After this the caller looks at the ring once more, and sleeps only if there was nothing. */
uint32_t eddy_wait_mark(struct eddy_arena *arena, uint32_t reader, unsigned group);
void eddy_wait_unmark(struct eddy_arena *arena, uint32_t reader, unsigned group);
/* Clears all marks of a reader slot; by who sweeps it. */
void eddy_wait_sweep(struct eddy_arena *arena, uint32_t reader);
/* Sleeps until the group is woken or the deadline passes. */
void eddy_wait_sleep(struct eddy_arena *arena, unsigned group, uint32_t seen, int64_t deadline_ns);
/* Wakes one group, whoever asks. */
void eddy_wait_wake_group(struct eddy_arena *arena, unsigned group);
unsigned eddy_wait_wake_groups(struct eddy_arena *arena, uint64_t groups);

/* Wakes who sleeps on one of the groups (a bit each). Called by each who applies a transaction,
 * after its word was seen committed and before `applied` moves. Returns the system calls made. */
static inline unsigned eddy_wait_wake(struct eddy_arena *arena, uint64_t groups) {
    /* [wait.F1] seq_cst: pairs with [wait.P1]. The store of the commit word, by us or seen by us,
     * stands before the load of the masks: either the sleeper sees the word, or we see its bit. */
    eddy_fence_sc_after_rmw();
    uint64_t any = 0;
    /* [wait.R1] relaxed: ordered by the fence above; raised by a sleeper before it sets its bit */
    uint64_t words = eddy_ld_rlx(&arena->ring->mask_words);
    for (uint64_t i = 0; i < words && i < arena->wait_words; i++) {
        /* [wait.R4] relaxed: as above */
        any |= eddy_ld_rlx(&arena->waits[i]);
    }
    return __builtin_expect(any != 0, 0) ? eddy_wait_wake_groups(arena, groups) : 0;
}

#endif
