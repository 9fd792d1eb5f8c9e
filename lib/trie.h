/* The one index: tries of one node type, by the digits of a number or the bits of a hash.
 *
 * Number tries: nodes of 64 slots; the leaf of a number holds its value. A taller root has the old
 * one as its child 0, so levels are only added, and whoever is on his way down finds everything.
 * Hash tries: a cell leads to an entry, or to a node of 8 cells that tells entries apart by the
 * next 3 bits. No table is ever copied to grow.
 */
#ifndef EDDY_TRIE_H
#define EDDY_TRIE_H

#include "block.h"
#include "view.h"

enum {
    EDDY_TRIE_SLOTS = 1 << EDDY_NODE_BITS,
    EDDY_TRIE_CLASS = 9,  /* EDDY_NODE_CLASS(EDDY_NODE_BITS) */
    EDDY_LEAF8_CLASS = 2, /* of a node of 8 slots */
    EDDY_TRIE_SHIFT_MAX = 60
};

/* The node that a cell leads to: 1 and *node, 0 if it is empty or gone (*cell_value says), or
 * EDDY_ECORRUPT. class_: lines that the block must have. */
int eddy_trie_follow(const struct eddy_view *view, const eddy_word *cell, unsigned class_,
                     uint64_t *cell_value, struct eddy_shm_block **block);

/* The leaf slot of a number under the root cell: 1 and *slot, 0 if there is no such leaf, or
 * EDDY_ECORRUPT. The slot itself may still be empty. */
int eddy_trie_slot(const struct eddy_view *view, eddy_word *root, uint64_t number,
                   eddy_word **slot);

/* As eddy_trie_slot(); and where there is no leaf, *gone says how many numbers around it were removed
 * together, a power of two, of which its multiples are the first: or 0 if it is yet to come. */
int eddy_trie_walk(const struct eddy_view *view, eddy_word *root, uint64_t number, eddy_word **slot,
                   uint64_t *gone);

/* The node of a leaf's slot. */
static inline struct eddy_shm_node *eddy_trie_node_of(eddy_word *slot, uint64_t number) {
    return (
        struct eddy_shm_node *)(void *)((unsigned char *)(slot - (number & (EDDY_TRIE_SLOTS - 1))) -
                                        sizeof(struct eddy_shm_node));
}

/* A leaf that was found before, for the next number in it. */
struct eddy_trie_leaf {
    uint64_t off; /* 0: none */
    uint64_t tag;
    uint64_t base;
    uint64_t era; /* in which it was found to hold last: for append.c */
};
/* As eddy_trie_slot(), through the leaf of last time. Inside the span of the call only. */
int eddy_trie_slot_near(const struct eddy_view *view, eddy_word *root, uint64_t number,
                        struct eddy_trie_leaf *leaf, eddy_word **slot);

/* Is the shape of a node one that can be? */
static inline bool eddy_trie_shape_good(uint64_t shape, unsigned above) {
    return EDDY_SHAPE_KIND(shape) == EDDY_BLOCK_NODE && EDDY_SHAPE_BITS(shape) == EDDY_NODE_BITS &&
           EDDY_SHAPE_SHIFT(shape) < above && EDDY_SHAPE_SHIFT(shape) % EDDY_NODE_BITS == 0;
}

static inline uint64_t eddy_trie_shape(const struct eddy_shm_block *block) {
    /* [trie.R1] relaxed: constant since before the block was published */
    return eddy_ld_rlx(&block->shape);
}

/* If a cell still leads to this node of a number trie, turns it into a mark. */
void eddy_trie_unlink(const struct eddy_view *view, uint64_t off);

/* Does the cell where this node belongs lead to it? The edge test of a node of a number trie. */
bool eddy_trie_linked(const struct eddy_view *view, uint64_t off);

#endif
