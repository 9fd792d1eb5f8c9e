/* A view: how a thread looks at shared cells: its arena, its span, and what it sees already done.
 *
 * An overlay is a record's redo list, laid over the shared words by their addresses: the evaluator
 * sees its own list as if it were applied, and a read-only process sees the one record that is
 * committed and not yet applied.
 */
#ifndef EDDY_VIEW_H
#define EDDY_VIEW_H

#include "block.h"
#include "rcu.h"

struct eddy_overlay_entry {
    uint64_t off; /* of the word; 0: empty */
    uint64_t value;
    bool maximum;
};

/* A hash table, private to its thread. */
struct eddy_overlay {
    struct eddy_overlay_entry *entry;
    size_t count;
    size_t room; /* a power of two, or 0 */
};

struct eddy_view {
    struct eddy_arena *arena;
    struct eddy_span *span;
    struct eddy_overlay *overlay; /* NULL: none */
};

int eddy_overlay_put(struct eddy_overlay *o, uint64_t off, uint64_t value, bool maximum);
/* Puts count words of a redo list. EDDY_ECORRUPT if it is none. */
int eddy_overlay_put_list(struct eddy_overlay *o, const uint64_t *words, size_t count);
void eddy_overlay_clear(struct eddy_overlay *o);
void eddy_overlay_fini(struct eddy_overlay *o);
uint64_t eddy_overlay_over(const struct eddy_overlay *o, uint64_t off, uint64_t value);

/* Loads a shared word of an index. */
static inline uint64_t eddy_view_load(const struct eddy_view *v, const eddy_word *word) {
    /* [view.C1] acquire: pairs with [apply.P1], [apply.P2], [apply.P3], [apply.P4],
     * [prune.P3], [reclaim.P4], [reclaim.P5], [trie.P1], [evacuate.P2]. Whoever sees a
     * cell lead to a block sees the block as it was when the record was committed. */
    uint64_t value = eddy_ld_acq(word);
    if (__builtin_expect(v->overlay != NULL && v->overlay->count != 0, 0)) {
        value = eddy_overlay_over(v->overlay, eddy_arena_off(v->arena, word), value);
    }
    return value;
}

/* Takes a block that was just reached into the span. False: the cell must be loaded again, since
 * the block is younger than what the span covered when the cell was loaded. */
static inline bool eddy_view_covers(const struct eddy_view *v, const struct eddy_shm_block *block) {
    if (!v->span->slot) {
        return true;
    }
    /* [view.R1] relaxed: written before the block was published, and the cell was acquired */
    uint64_t birth = eddy_ld_rlx(&block->birth);
    if (__builtin_expect(birth > v->span->hi, 0)) {
        eddy_rcu_raise(v->span);
        return false;
    }
    return true;
}

/* Is the block at off of the life that was noted, and not condemned? */
static inline bool eddy_view_same(const struct eddy_view *v, uint64_t off, uint64_t tag) {
    return eddy_block_is(v->arena, off, tag, EDDY_LINKED);
}

/* As eddy_view_same(), and then the block is in the span from now on. The tag first, then the span,
 * then the tag again if the span had to be raised: a block that was not yet covered may have gone
 * meanwhile. */
static inline bool eddy_view_holds(const struct eddy_view *v, uint64_t off, uint64_t tag) {
    const struct eddy_shm_block *block = eddy_arena_raw(v->arena, off);
    return eddy_view_same(v, off, tag) &&
           (eddy_view_covers(v, block) ||
            (eddy_view_same(v, off, tag) && eddy_view_covers(v, block)));
}

#endif
