/* RCU across processes: which index memory a thread may see.
 *
 * A thread inside the library publishes the span of eras [lo, hi] of the nodes that it may meet.
 * Nodes carry the eras of their birth and retirement; a node's memory is used again only when no
 * span touches its life. So a thread that is stopped inside for ever holds back what lived during
 * its span, and nothing that is born later. After interval-based reclamation (Wen and others,
 * PPoPP 2018), with the span raised at each protected load.
 *
 * Readers pay two plain stores. What keeps those before the loads that follow is the membarrier of
 * who reclaims, which reaches only processes that registered for it: a member that could not says
 * so (`fences`) and pays for a full fence of its own.
 */
#ifndef EDDY_RCU_H
#define EDDY_RCU_H

#include "layout.h"

/* A thread's span, as its owner sees it. slot NULL: a reader that publishes nothing (read-only
 * handles), which checks the era afterwards instead. */
struct eddy_span {
    struct eddy_shm_thread *slot;
    eddy_word *era;
    uint64_t hi;    /* what was published last */
    uint32_t depth; /* entered so often */
    bool fences;
};

static inline void eddy_rcu_order(const struct eddy_span *span) {
    if (span->fences) {
        /* [rcu.F1] seq_cst fence: pairs with [grace.F1]: the store of the span above stands before the load of any
         * node below, for a reclaimer that fences between its retiring and its look at the spans */
        eddy_fence_sc();
    } else {
        /* [rcu.F2] compiler only: alone: the same, the fence being the reclaimer's membarrier */
        eddy_fence_compiler();
    }
}

static inline void eddy_rcu_enter(struct eddy_span *span) {
    if (span->depth++ == 0 && span->slot) {
        /* [rcu.C1] acquire: pairs with [rcu.P2] */
        span->hi = eddy_ld_acq(span->era);
        /* [rcu.R1] relaxed: ordered before all that follows by eddy_rcu_order(); hi first, so that
         * a span that is seen is never empty. Death inside: the sweep clears it. */
        eddy_st_rlx(&span->slot->hi, span->hi);
        eddy_st_rlx(&span->slot->lo, span->hi);
        eddy_rcu_order(span);
    }
}

/* Takes what is born up to now into the span; what was loaded before must be loaded again. */
static inline void eddy_rcu_raise(struct eddy_span *span) {
    if (span->slot) {
        /* [rcu.C2] acquire: pairs with [rcu.P2] */
        uint64_t era = eddy_ld_acq(span->era);
        if (era != span->hi) {
            span->hi = era;
            /* [rcu.R2] relaxed: ordered by eddy_rcu_order() */
            eddy_st_rlx(&span->slot->hi, era);
            eddy_rcu_order(span);
        }
    }
}

static inline void eddy_rcu_leave(struct eddy_span *span) {
    if (--span->depth == 0 && span->slot) {
        /* [rcu.P1] release: pairs with [rcu.C3]. All loads inside come before it. */
        eddy_st_rel(&span->slot->lo, 0);
    }
}

/* What a span of another thread is: lo is 0 if it is outside. */
static inline void eddy_rcu_peek(const struct eddy_shm_thread *slot, uint64_t *lo, uint64_t *hi) {
    /* [rcu.C3] acquire: pairs with [rcu.P1] */
    *lo = eddy_ld_acq(&slot->lo);
    *hi = eddy_ld_acq(&slot->hi);
}

/* A dead thread sees nothing any more; by who sweeps it, after everything committed is applied. */
static inline void eddy_rcu_clear(struct eddy_shm_thread *slot) {
    /* [rcu.R3] relaxed: its owner is dead, and the sweeper orders it by giving the slot free */
    eddy_st_rlx(&slot->lo, 0);
}

/* Moves the era on; by who has retired something. */
static inline void eddy_rcu_advance(eddy_word *era) {
    /* [rcu.R4] relaxed: the swap below decides */
    uint64_t e = eddy_ld_rlx(era);
    /* [rcu.P2] acq_rel: pairs with [rcu.C1], [rcu.C2], [grace.C2], [trim.C1], [append.C1]. Whoever enters in the new era sees what was
     * unlinked in the old one as unlinked. */
    (void)eddy_cas_ar(era, &e, e + 1);
}

#endif
