/* I1  A node is condemned before its way in becomes a mark, and retired behind that: whoever finds it
 *     condemned may complete it.
 * I2  The root of a number trie stays, since a record may swap it at any time; so do its levels.
 * A death leaves condemned nodes, with a way in or without, which a scan completes.
 */
#include "prune.h"

#include "error.h"

static struct eddy_view view_of(const struct eddy_grace *g) {
    return (struct eddy_view){.arena = g->thread->arena, .span = &g->thread->span, .overlay = NULL};
}

/* Turns the cell that leads to a block into a mark. */
static void unlink_cell(eddy_word *cell, uint64_t off) {
    /* [prune.P3] acq_rel: pairs with [view.C1]. Fails if somebody else did it. Death before: the
     * block is condemned, and completed by a scan. */
    (void)eddy_cas_ar(cell, &off, EDDY_TOMB(0));
}

bool eddy_prune_condemn(struct eddy_shm_block *b) {
    /* [prune.C1] acquire: pairs with [prune.P1] */
    uint64_t was = eddy_ld_acq(&b->state);
    while (EDDY_STATE_OF(was) == EDDY_OWNED || EDDY_STATE_OF(was) == EDDY_LINKED) {
        /* [prune.P1] acq_rel: pairs with [prune.C1], [prune.C2], [block.C3]. From now on anybody may complete
         * it. Death after: a scan does. */
        if (eddy_cas_ar(&b->state, &was, EDDY_STATE(EDDY_STATE_GEN(was), EDDY_CONDEMNED, 0))) {
            return true;
        }
    }
    return EDDY_STATE_OF(was) == EDDY_CONDEMNED;
}

/* A condemned block without a way in is retired. */
void eddy_prune_retire(struct eddy_grace *g, uint64_t off) {
    struct eddy_arena *a = g->thread->arena;
    struct eddy_shm_block *b = eddy_arena_raw(a, off);
    eddy_grace_room(g);
    /* [prune.C2] acquire: pairs with [prune.P1], [grace.P2] */
    uint64_t was = eddy_ld_acq(&b->state);
    if (EDDY_STATE_OF(was) != EDDY_CONDEMNED) {
        return;
    }
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), EDDY_RETIRED, g->thread->member);
    /* [prune.P2] acq_rel: pairs with [block.C3], [grace.C3], [grace.C5]. Ours to free. Death after: the
     * sweep of us gives it to others, who retire it once more. */
    if (eddy_cas_ar(&b->state, &was, now)) {
        /* [prune.F1] seq_cst fence: alone: the store of the mark on the way in, by us or seen by us,
         * and that of the state stand before the load of the era: who enters in a later one finds the
         * block by no way in, nor by its state. Only we free it, behind this. */
        eddy_fence_sc();
        /* [prune.R1] relaxed: ordered by the fence above */
        eddy_at_max(&b->retired, eddy_ld_rlx(&a->super->era));
        eddy_grace_block(g, off);
    }
}

bool eddy_prune_all_gone(const struct eddy_shm_node *node, unsigned n) {
    /* [prune.R2] relaxed: marks stay, so what is seen of them is true for good */
    if (!EDDY_IS_TOMB(eddy_ld_rlx(&node->slot[n - 1])) ||
        !EDDY_IS_TOMB(eddy_ld_rlx(&node->slot[0]))) {
        return false;
    }
    for (unsigned i = 1; i + 1 < n; i++) {
        /* [prune.R3] relaxed: as above */
        if (!EDDY_IS_TOMB(eddy_ld_rlx(&node->slot[i]))) {
            return false;
        }
    }
    return true;
}

/* The nodes from the root of a number trie down to where a number's leaf is, or was. */
struct path {
    eddy_word *cell[12]; /* that leads to node[i] */
    uint64_t node[12];
    unsigned depth;
};

static int find_path(const struct eddy_view *v, eddy_word *root, uint64_t number,
                     struct path *path) {
    eddy_word *cell = root;
    unsigned above = EDDY_TRIE_SHIFT_MAX + 1;
    for (path->depth = 0; path->depth < 12;) {
        struct eddy_shm_block *block;
        uint64_t value;
        int r = eddy_trie_follow(v, cell, EDDY_TRIE_CLASS, &value, &block);
        if (r <= 0) {
            return r;
        }
        uint64_t shape = eddy_trie_shape(block);
        unsigned shift = EDDY_SHAPE_SHIFT(shape);
        if (!eddy_trie_shape_good(shape, above)) {
            break;
        }
        path->cell[path->depth] = cell;
        path->node[path->depth++] = value;
        if (shift == 0) {
            return 0;
        }
        above = shift;
        cell =
            &((struct eddy_shm_node *)(void *)block)->slot[number >> shift & (EDDY_TRIE_SLOTS - 1)];
    }
    return eddy_error_set(EDDY_ECORRUPT, "an index is damaged at byte %llu: run `eddy check`",
                          (unsigned long long)eddy_arena_off(v->arena, cell));
}

/* Takes the lowest nodes of a path out, as long as they are dead; the leaf is if `leaf_dead`. The
 * root stays, since it may be swapped by a record at any time. */
static void prune(struct eddy_grace *g, const struct path *path, bool leaf_dead) {
    struct eddy_arena *a = g->thread->arena;
    for (unsigned i = path->depth; i-- > 1;) {
        struct eddy_shm_node *node = eddy_arena_raw(a, path->node[i]);
        bool dead = i + 1 == path->depth && leaf_dead;
        if (!(dead || eddy_prune_all_gone(node, EDDY_TRIE_SLOTS)) ||
            !eddy_prune_condemn(&node->block)) {
            return;
        }
        unlink_cell(path->cell[i], path->node[i]);
        eddy_prune_retire(g, path->node[i]);
    }
}

int eddy_prune_number(struct eddy_grace *g, eddy_word *root, uint64_t number, bool leaf_dead) {
    struct eddy_view v = view_of(g);
    struct path path;
    int got = find_path(&v, root, number, &path);
    if (got == 0 && path.depth > 0) {
        uint64_t shape = eddy_trie_shape(eddy_arena_raw(v.arena, path.node[path.depth - 1]));
        prune(g, &path, leaf_dead && EDDY_SHAPE_SHIFT(shape) == 0);
    }
    return got;
}

/* The leaf of a version, all of whose versions are gone and lead to nothing any more. */
int eddy_prune_version(struct eddy_grace *g, struct eddy_shm_stream *s, uint64_t version) {
    struct eddy_view v = view_of(g);
    if (version >= EDDY_TRIE_VERSION) {
        return eddy_prune_number(g, &s->root, version - EDDY_TRIE_VERSION, true);
    }
    struct eddy_shm_block *block;
    uint64_t off;
    int got = version > EDDY_INLINE_SLOTS
                  ? eddy_trie_follow(&v, &s->leaf8, EDDY_LEAF8_CLASS, &off, &block)
                  : 0;
    if (got == 1 && eddy_prune_condemn(block)) {
        unlink_cell(&s->leaf8, off);
        eddy_prune_retire(g, off);
    }
    return got < 0 ? got : 0;
}

/* Nodes of a condemned stream's trie from one down: all of them, below first. Each is lower than the
 * one above it: so a damaged one leads to no more than there can be. */
static void retire_tree(struct eddy_grace *g, eddy_word *cell, unsigned class_, unsigned above) {
    struct eddy_view v = view_of(g);
    struct eddy_shm_block *block;
    uint64_t off;
    if (eddy_trie_follow(&v, cell, class_, &off, &block) != 1) {
        return;
    }
    uint64_t shape = eddy_trie_shape(block);
    unsigned shift = EDDY_SHAPE_SHIFT(shape);
    struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
    bool inner = shift > 0 && eddy_trie_shape_good(shape, above);
    for (unsigned i = 0; inner && i < EDDY_TRIE_SLOTS; i++) {
        retire_tree(g, &node->slot[i], class_, shift);
    }
    if (eddy_prune_condemn(block)) {
        unlink_cell(cell, off);
        eddy_prune_retire(g, off);
    }
}

void eddy_prune_stream(struct eddy_grace *g, uint64_t desc) {
    struct eddy_shm_stream *s = eddy_stream_at(g->thread->arena, desc);
    if (s) {
        retire_tree(g, &s->leaf8, EDDY_LEAF8_CLASS, 0);
        retire_tree(g, &s->root, EDDY_TRIE_CLASS, EDDY_TRIE_SHIFT_MAX + 1);
        eddy_prune_retire(g, desc);
    }
}
