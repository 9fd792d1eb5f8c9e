/* Applying: a loop over the redo list of a committed transaction. It searches nothing, allocates
 * nothing, reads no clock and cannot fail; whoever does it, at once, late or twice, the result is
 * the same. */
#ifndef EDDY_APPLY_H
#define EDDY_APPLY_H

#include "member.h"
#include "ring.h"
#include "wait.h"

/* The acts. Each moves its word forward or leaves it; doing it again, or late, changes nothing. */
static inline void eddy_apply_set(eddy_word *word, uint64_t value) {
    /* [apply.R1] relaxed: the swap decides */
    uint64_t was = eddy_ld_rlx(word);
    if (was == 0) {
        /* [apply.P1] release: pairs with [view.C1]. */
        (void)eddy_cas_rel(word, &was, value);
    }
}

static inline void eddy_apply_run(eddy_word *word, unsigned count, uint64_t base) {
    for (unsigned k = 0; k < count; k++) {
        /* [apply.R2] relaxed: all who apply this store the same value, and nobody another */
        if (eddy_ld_rlx(&word[k]) == 0) {
            /* [apply.P2] release: pairs with [view.C1]. Plain is enough: such a slot is never
             * changed by maintenance, its block is retired whole. */
            eddy_st_rel(&word[k], base + k);
        }
    }
}

static inline void eddy_apply_max(eddy_word *word, uint64_t value) {
    /* [apply.P4] acq_rel: pairs with [view.C1], [append.C2], [reclaim.C3]. Whoever sees the version sees its slots. */
    eddy_at_max(word, value);
}

/* Every word of the record is in place: wakes who waits for it, then lets `applied` pass it. In
 * this order, so that whoever finds it unapplied wakes too. */
static inline void eddy_apply_end(struct eddy_thread *thread, uint64_t seq, uint64_t groups) {
    unsigned wakes = eddy_wait_wake(thread->arena, groups);
    if (__builtin_expect(wakes != 0, 0)) {
        eddy_thread_count(thread, EDDY_COUNT_WAKES, wakes);
    }
    eddy_ring_advance(thread->arena, seq);
}

/* Applies everything that is committed. Then *seq is the number of the first empty word and *empty
 * its value: the log is exactly [0, *seq) at that instant, and the indexes show it. The caller is
 * inside its span. 0, or EDDY_ECORRUPT. */
int eddy_apply_help(struct eddy_thread *thread, uint64_t *seq, uint64_t *empty);
/* Acts on a list of the caller's own. Inside the span. */
void eddy_apply_words(struct eddy_thread *thread, const uint64_t *words, size_t count);
/* Applies the caller's own transaction, which it has just committed at seq, from its own copy. */
void eddy_apply_own(struct eddy_thread *thread, uint64_t seq, const uint64_t *words, size_t count,
                    uint64_t groups);

#endif
