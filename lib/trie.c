#include "trie.h"

#include "error.h"

static int damaged(const struct eddy_view *v, const eddy_word *cell) {
    return eddy_error_set(EDDY_ECORRUPT, "an index is damaged at byte %llu: run `eddy check`",
                          (unsigned long long)eddy_arena_off(v->arena, cell));
}

int eddy_trie_follow(const struct eddy_view *v, const eddy_word *cell, unsigned class_,
                     uint64_t *cell_value, struct eddy_shm_block **block) {
    for (;;) {
        uint64_t value = eddy_view_load(v, cell);
        *cell_value = value;
        if (value == 0 || EDDY_IS_TOMB(value)) {
            return 0;
        }
        *block = eddy_block_at(v->arena, value, class_);
        if (!*block) {
            return damaged(v, cell);
        }
        uint64_t hi = v->span->hi;
        if (eddy_view_covers(v, *block)) {
            return 1;
        }
        if (v->span->hi == hi) {
            return damaged(v, cell); /* born in an era that is yet to come */
        }
        /* The span has been raised; ends, since eras advance more slowly than we do. */
    }
}

int eddy_trie_walk(const struct eddy_view *v, eddy_word *root, uint64_t number, eddy_word **slot,
                   uint64_t *gone) {
    eddy_word *cell = root;
    unsigned above = EDDY_TRIE_SHIFT_MAX + 1;
    *gone = 0;
    for (;;) {
        struct eddy_shm_block *block;
        uint64_t value;
        int r = eddy_trie_follow(v, cell, EDDY_TRIE_CLASS, &value, &block);
        if (r <= 0) {
            if (r == 0 && value != 0 && cell != root) {
                *gone = UINT64_C(1) << above;
            }
            return r;
        }
        uint64_t shape = eddy_trie_shape(block);
        unsigned shift = EDDY_SHAPE_SHIFT(shape);
        if (!eddy_trie_shape_good(shape, above)) {
            return damaged(v, cell);
        }
        if (cell == root && shift + EDDY_NODE_BITS < 64 && number >> (shift + EDDY_NODE_BITS)) {
            return 0;
        }
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        cell = &node->slot[number >> shift & (EDDY_TRIE_SLOTS - 1)];
        if (shift == 0) {
            *slot = cell;
            return 1;
        }
        above = shift;
    }
}

int eddy_trie_slot(const struct eddy_view *v, eddy_word *root, uint64_t number, eddy_word **slot) {
    uint64_t gone;
    return eddy_trie_walk(v, root, number, slot, &gone);
}

static void remember(const struct eddy_view *v, uint64_t number, const eddy_word *slot,
                     struct eddy_trie_leaf *leaf) {
    uint64_t k = number & (EDDY_TRIE_SLOTS - 1);
    leaf->off = eddy_arena_off(v->arena, slot - k) - sizeof(struct eddy_shm_node);
    leaf->tag = eddy_block_tag(v->arena, leaf->off);
    leaf->base = number - k;
    leaf->era = 0;
}

int eddy_trie_slot_near(const struct eddy_view *v, eddy_word *root, uint64_t number,
                        struct eddy_trie_leaf *leaf, eddy_word **slot) {
    uint64_t k = number & (EDDY_TRIE_SLOTS - 1);
    if (leaf->off != 0 && leaf->base == number - k && eddy_view_holds(v, leaf->off, leaf->tag)) {
        struct eddy_shm_node *node = eddy_arena_raw(v->arena, leaf->off);
        *slot = &node->slot[k];
        return 1;
    }
    leaf->off = 0;
    int r = eddy_trie_slot(v, root, number, slot);
    if (r == 1) {
        remember(v, number, *slot, leaf);
    }
    return r;
}

/* The cell that leads to a node, or NULL. */
static eddy_word *cell_of(const struct eddy_view *v, uint64_t off) {
    struct eddy_shm_node *node = eddy_arena_raw(v->arena, off);
    /* [trie.R2] relaxed: of a private or linked node, constant since it was filled */
    uint64_t home = eddy_ld_rlx(&node->home);
    uint64_t base = eddy_ld_rlx(&node->base);
    if (home % 8 != 0 || home < offsetof(struct eddy_shm_super, offsets_root) ||
        (home >= sizeof(struct eddy_shm_super) && !eddy_arena_at(v->arena, home, 8))) {
        return NULL;
    }
    if (home >= v->arena->extents_off) {
        struct eddy_shm_extent *e =
            eddy_extent_line(v->arena, eddy_arena_extent_of(v->arena, home));
        /* [trie.R3] relaxed: inside the span an extent that has memory keeps it; the descriptor may be
         * gone for long, if this node was left behind */
        if (EDDY_STATE_OF(eddy_ld_rlx(&e->state)) > EDDY_SEALED) {
            return NULL;
        }
    }
    eddy_word *cell = eddy_arena_raw(v->arena, home);
    for (int level = 0; level < 12; level++) {
        struct eddy_shm_block *block;
        uint64_t value;
        if (eddy_trie_follow(v, cell, EDDY_LEAF8_CLASS, &value, &block) <= 0) {
            return NULL;
        }
        if (value == off) {
            return cell;
        }
        uint64_t shape = eddy_trie_shape(block);
        unsigned shift = EDDY_SHAPE_SHIFT(shape);
        if (!eddy_trie_shape_good(shape, EDDY_TRIE_SHIFT_MAX + 1) || shift == 0 ||
            !eddy_block_at(v->arena, value, EDDY_TRIE_CLASS)) {
            return NULL;
        }
        struct eddy_shm_node *parent = (struct eddy_shm_node *)(void *)block;
        cell = &parent->slot[base >> shift & (EDDY_TRIE_SLOTS - 1)];
    }
    return NULL;
}

bool eddy_trie_linked(const struct eddy_view *v, uint64_t off) {
    return cell_of(v, off) != NULL;
}

void eddy_trie_unlink(const struct eddy_view *v, uint64_t off) {
    eddy_word *cell = cell_of(v, off);
    if (cell) {
        /* [trie.P1] acq_rel: pairs with [view.C1]. Fails if somebody else did it. Death before: the
         * block is condemned, and found by a scan. */
        (void)eddy_cas_ar(cell, &off, EDDY_TOMB(0));
    }
}
