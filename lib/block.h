/* Blocks: the memory of index nodes and stream descriptors, in extents of one class each.
 *
 * A block is a multiple of 64 bytes, from one line to half an extent. A thread takes blocks from extents that its member owns, fills
 * them in private, and gives back those that were not needed after all; a block that a record
 * linked belongs to the structure. Each block has a state word of its own, as an extent has.
 */
#ifndef EDDY_BLOCK_H
#define EDDY_BLOCK_H

#include "extent.h"

struct eddy_blocks_class {
    uint64_t *spare; /* blocks in extents that are ours: free, or taken and given back; zeroed */
    uint32_t spare_count;
    uint32_t spare_room;
    uint32_t *extent; /* extents that are ours */
    uint32_t extent_count;
    uint32_t extent_room;
};

/* A thread's source of blocks. */
struct eddy_blocks {
    struct eddy_blocks_class of[EDDY_CLASS_MAX + 1];
};

/* Takes a block of a class: owned by member, zeroed behind its header. 0 and *off, or an
 * error. */
int eddy_block_take(struct eddy_arena *arena, struct eddy_blocks *blocks, uint32_t member,
                    unsigned class_, uint64_t *off);
/* Gives back a block that nobody but its owner ever saw. */
void eddy_block_give(struct eddy_arena *arena, struct eddy_blocks *blocks, uint64_t off,
                     unsigned class_);
/* The record that refers to it is committed: it belongs to the structure. */
void eddy_block_link(struct eddy_arena *arena, uint64_t off);
/* After a commit, when no block is private any more: leaves the extents that are used up. Until
 * then they stay owned, so that a sweep finds every private block in an extent of its dead owner.
 */
void eddy_blocks_settle(struct eddy_arena *arena, struct eddy_blocks *blocks);
/* After a commit or none: gives back extents of large blocks that are ours, but for a few. What was taken
 * for a large entry that came to nothing would else stay ours. */
void eddy_blocks_thin(struct eddy_arena *arena, struct eddy_blocks *blocks);
/* Leaves the extents to others; the blocks that were not used are free again. */
void eddy_blocks_leave(struct eddy_arena *arena, struct eddy_blocks *blocks);
/* Forgets everything, without touching shared memory. */
void eddy_blocks_fini(struct eddy_blocks *blocks);
/* Sets a block free that a dead member owned and nothing refers to. */
void eddy_block_free(struct eddy_arena *arena, uint64_t off, uint64_t state);

/* The address of a whole block of at least so many lines at off, or NULL if there cannot be one. */
static inline void *eddy_block_at(struct eddy_arena *arena, uint64_t off, unsigned lines) {
    return off % EDDY_LINE == 0 ? eddy_arena_at(arena, off, (uint64_t)lines * EDDY_LINE) : NULL;
}

/* The state a block is in now. */
static inline unsigned eddy_block_state(const struct eddy_arena *arena, uint64_t off) {
    const struct eddy_shm_block *b = eddy_arena_raw(arena, off);
    /* [block.C3] acquire: pairs with [block.P1], [prune.P1], [prune.P2] */
    return EDDY_STATE_OF(eddy_ld_acq(&b->state));
}

/* Which life of which block this is: the generations of the extent and of the block. A cached
 * offset means the same block as long as its tag is the same. The block must lie in the arena. */
static inline uint64_t eddy_block_tag(const struct eddy_arena *arena, uint64_t off) {
    const struct eddy_shm_block *b = eddy_arena_raw(arena, off);
    const struct eddy_shm_extent *e = arena->extents + eddy_arena_extent_of(arena, off);
    /* [block.C1] acquire: pairs with [block.P1]: of the life that these generations name, we see
     * everything up to its publication */
    uint64_t gen = EDDY_STATE_GEN(eddy_ld_acq(&b->state));
    return (uint64_t)EDDY_STATE_GEN(eddy_ld_acq(&e->state)) << 32 | gen;
}

/* Is the block at off of this life, taken, and in no later state? The extent's generation comes first:
 * the memory of an extent that has none is not looked at; and once more behind the look at the block:
 * what that has shown may be memory of the extent's next use. */
static inline bool eddy_block_is(const struct eddy_arena *arena, uint64_t off, uint64_t tag,
                                 unsigned state) {
    const struct eddy_shm_extent *e = arena->extents + eddy_arena_extent_of(arena, off);
    const struct eddy_shm_block *b = eddy_arena_raw(arena, off);
    /* [block.C4] acquire: pairs with [extent.P1], [extent.P2] */
    if (EDDY_STATE_GEN(eddy_ld_acq(&e->state)) != (uint32_t)(tag >> 32)) {
        return false;
    }
    /* [block.C5] acquire: pairs with [block.P1]: of the life that the generations name, we see
     * everything up to its publication */
    uint64_t w = eddy_ld_acq(&b->state);
    /* [block.R9] relaxed: ordered by the acquire above; new bytes are never seen before the new
     * generation: [extent.F1] */
    return EDDY_STATE_GEN(w) == (uint32_t)tag && EDDY_STATE_OF(w) >= EDDY_OWNED &&
           EDDY_STATE_OF(w) <= state && EDDY_STATE_GEN(eddy_ld_rlx(&e->state)) == tag >> 32;
}

/* Calls fn for each block that was ever taken in the node extent idx. */
void eddy_block_each(struct eddy_arena *arena, uint32_t idx,
                     void (*fn)(void *arg, uint64_t off, uint64_t state, unsigned class_),
                     void *arg);

#endif
