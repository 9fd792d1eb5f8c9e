/* I1  A block that this plan took is private: it is in `own` under its own offset, and is written
 *     plainly. Everything else is shared, and is only ever named in the list.
 * I2  Whoever walks on in the plan sees the list so far: links that it makes are in `own` too.
 * I3  A word may have several entries: they are applied in the order in which they were made, and
 *     each moves it forward only, so applying them again changes nothing.
 */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static int no_memory(void) {
    return eddy_error_set(EDDY_ENOMEM, "no memory for a transaction's notes");
}

static int widen(struct eddy_plan_words *w, size_t more) {
    size_t room = w->room * 2 + more + 64;
    uint64_t *at = realloc(w->at, room * sizeof *at);
    if (!at) {
        return no_memory();
    }
    w->at = at;
    w->room = room;
    return 0;
}

static inline int room_for(struct eddy_plan_words *w, size_t more) {
    return __builtin_expect(w->count + more <= w->room, 1) ? 0 : widen(w, more);
}

void eddy_plan_init(struct eddy_plan *p, struct eddy_thread *t) {
    memset(p, 0, sizeof *p);
    p->thread = t;
    p->view = (struct eddy_view){.arena = t->arena, .span = &t->span, .overlay = &p->own};
}

void eddy_plan_fini(struct eddy_plan *p) {
    free(p->sets.at);
    free(p->swaps.at);
    free(p->maxima.at);
    free(p->condemned.at);
    free(p->taken);
    eddy_overlay_fini(&p->own);
}

static inline void clear(struct eddy_plan *p) {
    p->sets.count = 0;
    p->swaps.count = 0;
    p->maxima.count = 0;
    p->taken_count = 0;
    if (p->own.count > 0) {
        eddy_overlay_clear(&p->own);
    }
}

void eddy_plan_reset(struct eddy_plan *p) {
    while (p->taken_count > 0) {
        struct eddy_plan_taken *t = &p->taken[--p->taken_count];
        eddy_block_give(p->thread->arena, &p->thread->blocks, t->off, t->class_);
    }
    p->condemned.count = 0;
    clear(p);
}

static void remember(const struct eddy_arena *a, struct eddy_trie_leaf *near, uint64_t off) {
    const struct eddy_shm_node *leaf = eddy_arena_raw(a, off);
    near->off = off;
    near->tag = eddy_block_tag(a, off);
    /* [plan.R12] relaxed: constant since before the leaf was linked */
    near->base = eddy_ld_rlx(&leaf->base);
    near->era = 0;
}

void eddy_plan_forget_near(struct eddy_plan *p, const struct eddy_trie_leaf *near) {
    for (size_t i = 0; i < p->taken_count; i++) {
        if (p->taken[i].near == near) {
            p->taken[i].near = NULL;
        }
    }
}

void eddy_plan_done(struct eddy_plan *p) {
    for (size_t i = 0; i < p->taken_count; i++) {
        const struct eddy_plan_taken *t = &p->taken[i];
        eddy_block_link(p->thread->arena, t->off);
        if (t->near) {
            remember(p->thread->arena, t->near, t->off);
        }
    }
    if (p->taken_count > 0) {
        eddy_blocks_settle(p->thread->arena, &p->thread->blocks);
    }
    clear(p);
}

int eddy_plan_finish(struct eddy_plan *p) {
    struct eddy_plan_words *w = &p->sets;
    int r = room_for(w, p->swaps.count + p->maxima.count);
    if (r < 0) {
        return r;
    }
    for (size_t i = 0; i < p->swaps.count; i++) {
        w->at[w->count++] = p->swaps.at[i];
    }
    for (size_t i = 0; i < p->maxima.count; i++) {
        w->at[w->count++] = p->maxima.at[i];
    }
    return 0;
}

static inline uint64_t off_of(const struct eddy_plan *p, const void *at) {
    return eddy_arena_off(p->thread->arena, at);
}

int eddy_plan_take(struct eddy_plan *p, unsigned class_, uint64_t *off) {
    if (p->taken_count == p->taken_room) {
        size_t room = p->taken_room * 2 + 16;
        struct eddy_plan_taken *more = realloc(p->taken, room * sizeof *more);
        if (!more) {
            return no_memory();
        }
        p->taken = more;
        p->taken_room = room;
    }
    struct eddy_thread *t = p->thread;
    int r = eddy_block_take(t->arena, &t->blocks, t->member, class_, off);
    if (r < 0) {
        return r;
    }
    p->taken[p->taken_count++] = (struct eddy_plan_taken){.off = *off, .class_ = class_};
    return eddy_overlay_put(&p->own, *off, *off, false);
}

int eddy_plan_node(struct eddy_plan *p, unsigned bits, unsigned shift, const eddy_word *home,
                   uint64_t base, uint64_t sum, struct eddy_shm_node **node) {
    uint64_t off;
    int r = eddy_plan_take(p, EDDY_NODE_CLASS(bits), &off);
    if (r < 0) {
        return r;
    }
    *node = eddy_arena_raw(p->thread->arena, off);
    /* [plan.R1] relaxed: private until the list is committed */
    eddy_st_rlx(&(*node)->block.shape, EDDY_SHAPE(EDDY_BLOCK_NODE, shift, bits));
    eddy_st_rlx(&(*node)->home, off_of(p, home));
    eddy_st_rlx(&(*node)->base, base);
    eddy_st_rlx(&(*node)->sum, sum);
    return 0;
}

int eddy_plan_cell(struct eddy_plan *p, eddy_word *cell, bool private, uint64_t old,
                   uint64_t value) {
    if (private) {
        /* [plan.R2] relaxed: private until the list is committed */
        eddy_st_rlx(cell, value);
        return 0;
    }
    uint64_t off = off_of(p, cell);
    struct eddy_plan_words *w = old ? &p->swaps : &p->sets;
    int r = room_for(w, 3);
    if (r < 0) {
        return r;
    }
    w->at[w->count++] = EDDY_REDO(old ? EDDY_REDO_SWAP : EDDY_REDO_SET, 1, off);
    if (old) {
        w->at[w->count++] = old;
    }
    w->at[w->count++] = value;
    return eddy_overlay_put(&p->own, off, value, false);
}

int eddy_plan_max(struct eddy_plan *p, eddy_word *word, uint64_t value) {
    struct eddy_plan_words *w = &p->maxima;
    int r = room_for(w, 2);
    if (r == 0) {
        w->at[w->count++] = EDDY_REDO(EDDY_REDO_MAX, 1, off_of(p, word));
        w->at[w->count++] = value;
    }
    return r;
}

/* ---- number tries ---- */

/* A shift at which a node covers `number` from 0 on. */
static unsigned covering(uint64_t number, unsigned shift) {
    while (shift + EDDY_NODE_BITS < 64 && number >> (shift + EDDY_NODE_BITS) != 0) {
        shift += EDDY_NODE_BITS;
    }
    return shift;
}

int eddy_plan_damaged(const struct eddy_plan *p, const eddy_word *cell) {
    return eddy_error_set(EDDY_ECORRUPT, "an index is damaged at byte %llu: run `eddy check`",
                          (unsigned long long)off_of(p, cell));
}

/* Makes the root tall enough for a number: an empty one gets a node, a low one a new root above. */
static int raise_root(struct eddy_plan *p, eddy_word *root, bool private, uint64_t number,
                      uint64_t sum) {
    struct eddy_shm_block *block;
    struct eddy_shm_node *node;
    uint64_t value;
    int r = eddy_trie_follow(&p->view, root, EDDY_TRIE_CLASS, &value, &block);
    if (r < 0) {
        return r;
    }
    if (r == 0 && value != 0) {
        return eddy_plan_damaged(p, root);
    }
    unsigned shift = r == 1 ? EDDY_SHAPE_SHIFT(eddy_trie_shape(block)) : 0;
    unsigned want = covering(number, shift);
    if (r == 0) {
        r = eddy_plan_node(p, EDDY_NODE_BITS, want, root, 0, want == 0 ? sum : 0, &node);
        return r < 0 ? r : eddy_plan_cell(p, root, private, 0, off_of(p, node));
    }
    while (shift < want) {
        shift += EDDY_NODE_BITS;
        r = eddy_plan_node(p, EDDY_NODE_BITS, shift, root, 0, 0, &node);
        if (r < 0) {
            return r;
        }
        /* [plan.R3] relaxed: private; the old root stays reachable as its child 0 */
        eddy_st_rlx(&node->slot[0], value);
        r = eddy_plan_cell(p, root, private, value, off_of(p, node));
        if (r < 0) {
            return r;
        }
        value = off_of(p, node);
    }
    return 0;
}

/* The leaf of a number, found or made. */
static int leaf_of(struct eddy_plan *p, eddy_word *root, bool private, uint64_t number,
                   uint64_t sum, struct eddy_shm_node **leaf, bool *leaf_private) {
    int r = raise_root(p, root, private, number, sum);
    eddy_word *cell = root;
    unsigned above = EDDY_TRIE_SHIFT_MAX + 1;
    while (r >= 0) {
        struct eddy_shm_block *block;
        uint64_t value;
        r = eddy_trie_follow(&p->view, cell, EDDY_TRIE_CLASS, &value, &block);
        if (r < 0) {
            return r;
        }
        if (r == 0 && value != 0) {
            return eddy_plan_damaged(p, cell);
        }
        if (r == 0) {
            unsigned shift = above - EDDY_NODE_BITS;
            uint64_t base = number >> shift >> EDDY_NODE_BITS << shift << EDDY_NODE_BITS;
            r = eddy_plan_node(p, EDDY_NODE_BITS, shift, root, base, shift == 0 ? sum : 0, leaf);
            if (r < 0) {
                return r;
            }
            value = off_of(p, *leaf);
            r = eddy_plan_cell(p, cell, private, 0, value);
            block = &(*leaf)->block;
        }
        private = eddy_plan_is_private(p, value);
        *leaf = (struct eddy_shm_node *)(void *)block;
        *leaf_private = private;
        uint64_t shape = eddy_trie_shape(block);
        if (!eddy_trie_shape_good(shape, above)) {
            return eddy_error_set(EDDY_ECORRUPT, "an index is damaged at byte %llu",
                                  (unsigned long long)value);
        }
        above = EDDY_SHAPE_SHIFT(shape);
        if (above == 0) {
            return r < 0 ? r : 0;
        }
        cell = &(*leaf)->slot[number >> above & (EDDY_TRIE_SLOTS - 1)];
    }
    return r;
}

/* The values from the n-th on. */
static inline struct eddy_plan_values values_from(struct eddy_plan_values v, uint32_t n) {
    v.base += n;
    v.refs = v.refs ? v.refs + n : NULL;
    for (uint32_t k = 0; v.bytes && k < n; k++) {
        v.sum += *v.bytes;
        v.bytes += v.step;
    }
    return v;
}

/* The values are a copy, as each store to a slot might else be one to them. */
static inline void fill_private(eddy_word *slot, uint32_t count, struct eddy_plan_values v) {
    if (v.refs) {
        for (uint32_t k = 0; k < count; k++) {
            /* [plan.R4] relaxed: private until the list is committed */
            eddy_st_rlx(&slot[k], v.refs[k]);
        }
    } else {
        for (uint32_t k = 0; k < count; k++) {
            /* [plan.R10] relaxed: as above */
            eddy_st_rlx(&slot[k], v.base + k);
        }
    }
}

/* Entries for `count` slots in a row of one shared leaf. */
static inline int fill_shared(struct eddy_plan *p, const eddy_word *slot, uint32_t count,
                              const struct eddy_plan_values *v) {
    struct eddy_plan_words *w = &p->sets;
    int r = room_for(w, 2 * (size_t)count + 2);
    if (r < 0) {
        return r;
    }
    uint64_t off = off_of(p, slot);
    if (!v->refs) {
        w->at[w->count++] = EDDY_REDO(EDDY_REDO_RUN, count, off);
        w->at[w->count++] = v->base;
        return 0;
    }
    const uint64_t *refs = v->refs;
    uint64_t *at = &w->at[w->count];
    for (uint32_t k = 0; k < count;) {
        uint32_t n = count - k < EDDY_REDO_REFS_MAX ? count - k : EDDY_REDO_REFS_MAX;
        *at++ = EDDY_REDO(EDDY_REDO_REFS, n, off + 8 * (uint64_t)k);
        for (uint32_t i = 0; i < n; i++) {
            *at++ = refs[k + i];
        }
        k += n;
    }
    w->count = (size_t)(at - w->at);
    return 0;
}

static inline int fill_slots(struct eddy_plan *p, eddy_word *slot, bool private, uint32_t count,
                             const struct eddy_plan_values *v) {
    if (private) {
        fill_private(slot, count, *v);
        return 0;
    }
    return fill_shared(p, slot, count, v);
}

/* The leaf that was used last, if the number lies in it and it still is. */
static inline bool is_near(struct eddy_plan *p, const struct eddy_trie_leaf *near, uint64_t number,
                           struct eddy_shm_node **leaf) {
    if (!near || near->off == 0 || near->base != (number & ~(uint64_t)(EDDY_TRIE_SLOTS - 1)) ||
        !eddy_view_holds(&p->view, near->off, near->tag)) {
        return false;
    }
    *leaf = eddy_arena_raw(p->thread->arena, near->off);
    return true;
}

/* Remembers the leaf: at once, or, if it was made just now, when it is linked. */
static void note_near(struct eddy_plan *p, struct eddy_trie_leaf *near,
                      const struct eddy_shm_node *leaf, bool private) {
    uint64_t off = off_of(p, leaf);
    if (!private) {
        remember(p->thread->arena, near, off);
    } else if (p->taken[p->taken_count - 1].off == off) {
        p->taken[p->taken_count - 1].near = near;
    }
}

static int numbers_under(struct eddy_plan *p, eddy_word *root, bool root_private,
                         struct eddy_trie_leaf *near, uint64_t number, uint32_t count,
                         struct eddy_plan_values v) {
    while (count > 0) {
        uint32_t at = (uint32_t)(number & (EDDY_TRIE_SLOTS - 1));
        uint32_t n = EDDY_TRIE_SLOTS - at < count ? EDDY_TRIE_SLOTS - at : count;
        struct eddy_shm_node *leaf;
        bool private = false;
        if (!is_near(p, near, number, &leaf)) {
            int r = leaf_of(p, root, root_private, number, v.sum, &leaf, &private);
            if (r < 0) {
                return r;
            }
            if (near) {
                note_near(p, near, leaf, private);
            }
        }
        int r = fill_slots(p, &leaf->slot[at], private, n, &v);
        if (r < 0) {
            return r;
        }
        number += n;
        count -= n;
        v = count > 0 ? values_from(v, n) : v;
    }
    return 0;
}

int eddy_plan_numbers(struct eddy_plan *p, eddy_word *root, struct eddy_trie_leaf *near,
                      uint64_t number, uint32_t count, struct eddy_plan_values values) {
    return numbers_under(p, root, false, near, number, count, values);
}

/* The small leaf of a stream, found or made. */
static int leaf8_of(struct eddy_plan *p, struct eddy_shm_stream *s, bool private, uint64_t sum,
                    struct eddy_shm_node **leaf, bool *leaf_private) {
    struct eddy_shm_block *block;
    uint64_t value;
    int r = eddy_trie_follow(&p->view, &s->leaf8, EDDY_LEAF8_CLASS, &value, &block);
    if (r == 1) {
        *leaf = (struct eddy_shm_node *)(void *)block;
        *leaf_private = eddy_plan_is_private(p, value);
        return 0;
    }
    if (r == 0 && value != 0) {
        return eddy_plan_damaged(p, &s->leaf8);
    }
    if (r == 0) {
        r = eddy_plan_node(p, 3, 0, &s->leaf8, 1 + EDDY_INLINE_SLOTS, sum, leaf);
    }
    *leaf_private = true;
    return r < 0 ? r : eddy_plan_cell(p, &s->leaf8, private, 0, off_of(p, *leaf));
}

/* As many of the versions as lie in one place: the descriptor, the small leaf, or the trie. */
static int versions_in(struct eddy_plan *p, struct eddy_shm_stream *s, bool private,
                       struct eddy_trie_leaf *near, uint64_t version, uint32_t n,
                       struct eddy_plan_values v) {
    if (version >= EDDY_TRIE_VERSION) {
        return numbers_under(p, &s->root, private, near, version - EDDY_TRIE_VERSION, n, v);
    }
    if (version <= EDDY_INLINE_SLOTS) {
        return fill_slots(p, &s->slot[version - 1], private, n, &v);
    }
    struct eddy_shm_node *leaf = NULL;
    bool leaf_private = false;
    int r = leaf8_of(p, s, private, v.sum, &leaf, &leaf_private);
    return r < 0 ? r
                 : fill_slots(p, &leaf->slot[version - 1 - EDDY_INLINE_SLOTS], leaf_private, n, &v);
}

int eddy_plan_versions(struct eddy_plan *p, struct eddy_shm_stream *s, uint64_t hash,
                       uint64_t version, uint32_t count, struct eddy_plan_values v) {
    bool private = eddy_plan_is_private(p, off_of(p, s));
    struct eddy_plan_known *known = eddy_plan_known_of(p, hash);
    struct eddy_trie_leaf *near = !private && known->desc == off_of(p, s) ? &known->leaf : NULL;
    while (count > 0) {
        uint64_t end = version >= EDDY_TRIE_VERSION   ? UINT64_MAX
                       : version <= EDDY_INLINE_SLOTS ? EDDY_INLINE_SLOTS + 1
                                                      : EDDY_TRIE_VERSION;
        uint32_t n = end - version < count ? (uint32_t)(end - version) : count;
        int r = versions_in(p, s, private, near, version, n, v);
        if (r < 0) {
            return r;
        }
        version += n;
        count -= n;
        v = count > 0 ? values_from(v, n) : v;
    }
    return 0;
}

int eddy_plan_condemn(struct eddy_plan *p, uint64_t off) {
    struct eddy_shm_block *b = eddy_arena_raw(p->thread->arena, off);
    struct eddy_plan_words *w = &p->sets;
    /* [plan.R8] relaxed: its generation cannot change while it is linked */
    uint64_t gen = EDDY_STATE_GEN(eddy_ld_rlx(&b->state));
    int r = room_for(w, 2);
    r = r < 0 ? r : room_for(&p->condemned, 2);
    if (r == 0) {
        p->condemned.at[p->condemned.count++] = off;
        p->condemned.at[p->condemned.count++] = eddy_block_tag(p->thread->arena, off);
        w->at[w->count++] = EDDY_REDO(EDDY_REDO_MAX, 1, off_of(p, &b->state));
        w->at[w->count++] = EDDY_STATE(gen, EDDY_CONDEMNED, 0);
    }
    return r;
}

int eddy_plan_max_seen(struct eddy_plan *p, eddy_word *word, uint64_t value) {
    int r = eddy_plan_max(p, word, value);
    return r < 0 ? r : eddy_overlay_put(&p->own, off_of(p, word), value, true);
}

int eddy_plan_replace(struct eddy_plan *p, eddy_word *root, uint64_t value, uint64_t seq) {
    uint64_t old = eddy_view_load(&p->view, root);
    bool there = old != 0 && !EDDY_IS_TOMB(old);
    int r = there ? eddy_plan_condemn(p, old) : 0;
    if (r < 0 || (!there && value == 0)) {
        return r;
    }
    return eddy_plan_cell(p, root, false, old, value ? value : EDDY_TOMB(seq));
}

int eddy_plan_link(struct eddy_plan *p, eddy_word *cell, uint64_t in, uint64_t value,
                   uint64_t seq) {
    uint64_t old = eddy_view_load(&p->view, cell);
    return eddy_plan_cell(p, cell, eddy_plan_is_private(p, in), old,
                          value ? value : EDDY_TOMB(seq));
}
