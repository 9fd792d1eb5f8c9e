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

enum { CHAIN_MAX = 1 << 20 }; /* descriptors of one hash: a bound against damage */

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

static int new_node(struct eddy_plan *p, unsigned bits, unsigned shift, const eddy_word *home,
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

/* Makes a cell lead to a block: at once, if the cell is private, else by an entry. */
static int link_cell(struct eddy_plan *p, eddy_word *cell, bool private, uint64_t old,
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

/* A cell that must lead somewhere, or be empty, was left by something that was removed. */
static int gone(const struct eddy_plan *p, const eddy_word *cell) {
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
        return gone(p, root);
    }
    unsigned shift = r == 1 ? EDDY_SHAPE_SHIFT(eddy_trie_shape(block)) : 0;
    unsigned want = covering(number, shift);
    if (r == 0) {
        r = new_node(p, EDDY_NODE_BITS, want, root, 0, want == 0 ? sum : 0, &node);
        return r < 0 ? r : link_cell(p, root, private, 0, off_of(p, node));
    }
    while (shift < want) {
        shift += EDDY_NODE_BITS;
        r = new_node(p, EDDY_NODE_BITS, shift, root, 0, 0, &node);
        if (r < 0) {
            return r;
        }
        /* [plan.R3] relaxed: private; the old root stays reachable as its child 0 */
        eddy_st_rlx(&node->slot[0], value);
        r = link_cell(p, root, private, value, off_of(p, node));
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
            return gone(p, cell);
        }
        if (r == 0) {
            unsigned shift = above - EDDY_NODE_BITS;
            uint64_t base = number >> shift >> EDDY_NODE_BITS << shift << EDDY_NODE_BITS;
            r = new_node(p, EDDY_NODE_BITS, shift, root, base, shift == 0 ? sum : 0, leaf);
            if (r < 0) {
                return r;
            }
            value = off_of(p, *leaf);
            r = link_cell(p, cell, private, 0, value);
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
    struct eddy_plan_taken *last = &p->taken[p->taken_count - 1];
    if (!private) {
        remember(p->thread->arena, near, off_of(p, leaf));
    } else if (last->off == off_of(p, leaf)) {
        last->near = near;
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
        return gone(p, &s->leaf8);
    }
    if (r == 0) {
        r = new_node(p, 3, 0, &s->leaf8, 1 + EDDY_INLINE_SLOTS, sum, leaf);
    }
    *leaf_private = true;
    return r < 0 ? r : link_cell(p, &s->leaf8, private, 0, off_of(p, *leaf));
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

/* Says of a block that nothing will lead to it. It stands among the sets, before the swaps that make
 * it so: a sweeper that finds a block of the dead owned and without an edge must see that it was no
 * block that was never linked. */
static int condemn(struct eddy_plan *p, uint64_t off) {
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

/* A descriptor; or an entry, with the further blocks of its bytes. */
static int condemn_keyed(struct eddy_plan *p, uint64_t off) {
    struct eddy_arena *a = p->thread->arena;
    const struct eddy_shm_entry *e = eddy_arena_raw(a, off);
    int r = condemn(p, off);
    if (r < 0 || eddy_keyed_kind(&e->keyed) != EDDY_BLOCK_ENTRY) {
        return r;
    }
    /* [plan.R15] relaxed: constant since before it was published */
    uint64_t next = eddy_ld_rlx(&e->more);
    for (unsigned i = 0; r == 0 && next != 0; i++) {
        struct eddy_shm_more *m = eddy_keyed_more(a, next, off);
        if (!m || i > EDDY_STATE_MAX / EDDY_MORE_BYTES) {
            return eddy_error_set(EDDY_ECORRUPT,
                                  "an entry is damaged at byte %llu: run `eddy check`",
                                  (unsigned long long)next);
        }
        r = condemn(p, next);
        /* [plan.R13] relaxed: as above */
        next = eddy_ld_rlx(&m->next);
    }
    return r;
}

/* Was it there at the instant of a snapshot that is being taken? Keys of transactions go only when they
 * are over. */
static bool is_wanted(const struct eddy_plan *p, const struct eddy_shm_entry *e) {
    const struct eddy_arena *a = p->thread->arena;
    /* [plan.R15] relaxed: constant since it was filled */
    if (eddy_keyed_kind(&e->keyed) != EDDY_BLOCK_ENTRY ||
        EDDY_FAMILY(eddy_ld_rlx(&e->keyed.hash)) == EDDY_FAMILY_TXKEY ||
        !EDDY_CAPTURE_IS_ON(eddy_view_load(&p->view, &a->super->captured))) {
        return false;
    }
    uint64_t seq = EDDY_CAPTURING_SEQ(eddy_view_load(&p->view, &a->super->capturing));
    /* [plan.R16] relaxed: as above */
    return eddy_ld_rlx(&e->keyed.number) <= a->revision_base + seq + 1;
}

/* What nothing is to lead to any more: it is condemned; or, if somebody wants it for a snapshot, put into
 * the list of those. */
static int let_go(struct eddy_plan *p, uint64_t off) {
    struct eddy_shm_entry *e = eddy_arena_raw(p->thread->arena, off);
    eddy_word *captured = &p->thread->arena->super->captured;
    if (!is_wanted(p, e)) {
        return condemn_keyed(p, off);
    }
    uint64_t before = eddy_view_load(&p->view, captured);
    int r = link_cell(p, &e->next, false, 0, before);
    return r < 0 ? r : link_cell(p, captured, false, before, off);
}

/* ---- the trie of names ---- */

/* Nodes that tell two descriptors apart by their hashes, from `shift` on, as deep as those agree.
 * *top is the uppermost. */
static int split(struct eddy_plan *p, uint64_t off, uint64_t hash, uint64_t other, unsigned shift,
                 uint64_t *top) {
    struct eddy_arena *a = p->thread->arena;
    struct eddy_shm_keyed *s = eddy_arena_raw(a, other);
    /* [plan.R5] relaxed: constant since it was filled */
    uint64_t other_hash = eddy_ld_rlx(&s->hash);
    eddy_word *cell = NULL;
    const unsigned mask = (1u << EDDY_HASH_BITS) - 1;
    for (;; shift += EDDY_HASH_BITS) {
        struct eddy_shm_node *node;
        if (shift > 63) {
            return gone(p, &s->hash); /* the hashes differ, so they do before they end */
        }
        int r = new_node(p, EDDY_HASH_BITS, shift, a->names, hash, 0, &node);
        if (r < 0) {
            return r;
        }
        if (cell) {
            /* [plan.R6] relaxed: private */
            eddy_st_rlx(cell, off_of(p, node));
        } else {
            *top = off_of(p, node);
        }
        unsigned k = (unsigned)(hash >> shift) & mask;
        unsigned other_k = (unsigned)(other_hash >> shift) & mask;
        cell = &node->slot[k];
        if (k != other_k) {
            /* [plan.R7] relaxed: private */
            eddy_st_rlx(cell, off);
            eddy_st_rlx(&node->slot[other_k], other);
            return 0;
        }
    }
}

/* Puts what has this name, private, where it belongs. */
static int name_at(struct eddy_plan *p, const struct eddy_stream_place *at, uint64_t off,
                   uint64_t hash) {
    struct eddy_stream_place place = *at;
    uint64_t value = off;
    if (place.there != 0 && !EDDY_IS_TOMB(place.there)) {
        int r = split(p, off, hash, place.there, place.shift, &value);
        if (r < 0) {
            return r;
        }
    }
    return link_cell(p, place.cell, eddy_plan_is_private(p, place.in), place.there, value);
}

int eddy_plan_name(struct eddy_plan *p, uint64_t stream_off, eddy_bytes name, uint64_t hash) {
    struct eddy_stream_place place;
    int64_t found = eddy_keyed_locate(&p->view, EDDY_BLOCK_STREAM, name, hash, &place);
    if (found != 0) {
        return found < 0 ? (int)found
                         : eddy_error_set(EDDY_ECORRUPT, "a stream is in the index twice");
    }
    return name_at(p, &place, stream_off, hash);
}

int eddy_plan_put(struct eddy_plan *p, uint64_t off, uint64_t was,
                  const struct eddy_stream_place *at, uint64_t seq) {
    struct eddy_stream_place place = *at;
    struct eddy_shm_keyed *new = eddy_arena_raw(p->thread->arena, off);
    if (was == 0) {
        /* [plan.R14] relaxed: private until the record is committed */
        return name_at(p, &place, off, eddy_ld_rlx(&new->hash));
    }
    struct eddy_shm_keyed *old = eddy_arena_raw(p->thread->arena, was);
    uint64_t next = eddy_view_load(&p->view, &old->collision);
    int r = let_go(p, was);
    if (r == 0 && next != 0 && !EDDY_IS_TOMB(next)) {
        /* [plan.R11] relaxed: private until the record is committed. What comes behind hangs on the
         * new one; one way in is left. */
        eddy_st_rlx(&new->collision, next);
        r = link_cell(p, &old->collision, false, next, EDDY_TOMB(seq));
    }
    return r < 0 ? r : link_cell(p, place.cell, eddy_plan_is_private(p, place.in), was, off);
}

/* ---- taking out ---- */

int eddy_plan_max_seen(struct eddy_plan *p, eddy_word *word, uint64_t value) {
    int r = eddy_plan_max(p, word, value);
    return r < 0 ? r : eddy_overlay_put(&p->own, off_of(p, word), value, true);
}

int eddy_plan_replace(struct eddy_plan *p, eddy_word *root, uint64_t value, uint64_t seq) {
    uint64_t old = eddy_view_load(&p->view, root);
    bool there = old != 0 && !EDDY_IS_TOMB(old);
    int r = there ? condemn(p, old) : 0;
    if (r < 0 || (!there && value == 0)) {
        return r;
    }
    return link_cell(p, root, false, old, value ? value : EDDY_TOMB(seq));
}

int eddy_plan_link(struct eddy_plan *p, eddy_word *cell, uint64_t in, uint64_t value,
                   uint64_t seq) {
    uint64_t old = eddy_view_load(&p->view, cell);
    return link_cell(p, cell, eddy_plan_is_private(p, in), old, value ? value : EDDY_TOMB(seq));
}

/* The nodes on the way to a name, from the root's cell down. */
struct way {
    eddy_word *cell[24]; /* cell[i + 1] lies in node[i] */
    uint64_t node[24];
    unsigned depth;
};

/* The way to the cell that leads to this descriptor, or to the first of its hash. */
static int find_way(struct eddy_plan *p, uint64_t hash, struct way *way) {
    unsigned shift = eddy_keyed_root_bits(hash);
    way->depth = 0;
    way->cell[0] = eddy_keyed_root(p->thread->arena, hash);
    for (;;) {
        struct eddy_shm_block *block;
        eddy_word *cell = way->cell[way->depth];
        uint64_t value;
        int r = eddy_trie_follow(&p->view, cell, EDDY_LEAF8_CLASS, &value, &block);
        if (r <= 0) {
            return r < 0 ? r : gone(p, cell);
        }
        if (eddy_keyed_is(block)) {
            return 0;
        }
        if (shift > 63 || way->depth + 2 > sizeof way->node / sizeof way->node[0]) {
            return gone(p, cell);
        }
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        way->node[way->depth++] = value;
        way->cell[way->depth] = &node->slot[hash >> shift & ((1u << EDDY_HASH_BITS) - 1)];
        shift += EDDY_HASH_BITS;
    }
}

/* Nodes in which there is nothing any more go too, from below. */
static int collapse(struct eddy_plan *p, struct way *way, uint64_t seq) {
    while (way->depth > 0) {
        uint64_t off = way->node[way->depth - 1];
        struct eddy_shm_node *node = eddy_arena_raw(p->thread->arena, off);
        for (unsigned i = 0; i < 1u << EDDY_HASH_BITS; i++) {
            uint64_t value = eddy_view_load(&p->view, &node->slot[i]);
            if (value != 0 && !EDDY_IS_TOMB(value)) {
                return 0;
            }
        }
        way->depth--;
        int r = condemn(p, off);
        if (r == 0) {
            r = link_cell(p, way->cell[way->depth], false, off, EDDY_TOMB(seq));
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* The cell that leads to the descriptor: at the end of the way, or in one of the same hash. */
static int find_cell(struct eddy_plan *p, const struct way *way, uint64_t off, eddy_word **cell) {
    *cell = way->cell[way->depth];
    for (int i = 0; i < CHAIN_MAX; i++) {
        struct eddy_shm_block *block;
        uint64_t value;
        int r = eddy_trie_follow(&p->view, *cell, EDDY_ENTRY_CLASS(0), &value, &block);
        if (r <= 0 || value == off) {
            return r < 0 ? r : r == 0 ? gone(p, *cell) : 0;
        }
        *cell = &((struct eddy_shm_keyed *)(void *)block)->collision;
    }
    return gone(p, *cell);
}

int eddy_plan_unname(struct eddy_plan *p, uint64_t off, uint64_t seq) {
    struct eddy_arena *a = p->thread->arena;
    struct eddy_shm_keyed *s = eddy_arena_raw(a, off);
    struct way way;
    eddy_word *cell = NULL;
    eddy_word *slot;
    /* [plan.R9] relaxed: constant since it was filled */
    uint64_t number = eddy_ld_rlx(&s->number);
    uint64_t hash = eddy_ld_rlx(&s->hash);
    int r = find_way(p, hash, &way);
    if (r == 0) {
        r = find_cell(p, &way, off, &cell);
    }
    if (r == 0) {
        r = let_go(p, off);
    }
    uint64_t next = eddy_view_load(&p->view, &s->collision);
    bool chained = next != 0 && !EDDY_IS_TOMB(next);
    if (r == 0) {
        r = link_cell(p, cell, false, off, chained ? next : EDDY_TOMB(seq));
    }
    if (r == 0 && chained) {
        r = link_cell(p, &s->collision, false, next, EDDY_TOMB(seq));
    }
    if (r == 0) {
        r = collapse(p, &way, seq);
    }
    if (r == 0 && eddy_keyed_kind(s) == EDDY_BLOCK_STREAM && !EDDY_FAMILY(hash)) {
        r = eddy_trie_slot(&p->view, &a->super->streams_root, number, &slot);
        r = r == 1   ? link_cell(p, slot, false, off, EDDY_TOMB(seq))
            : r == 0 ? gone(p, &a->super->streams_root)
                     : r;
    }
    return r;
}
