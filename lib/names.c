#include "names.h"

#include "error.h"

enum { CHAIN_MAX = 1 << 20 }; /* of one hash: a bound against damage */

/* A descriptor; or an entry, with the further blocks of its bytes. */
static int condemn_keyed(struct eddy_plan *p, uint64_t off) {
    struct eddy_arena *a = p->thread->arena;
    const struct eddy_shm_entry *e = eddy_arena_raw(a, off);
    int r = eddy_plan_condemn(p, off);
    if (r < 0 || eddy_keyed_kind(&e->keyed) != EDDY_BLOCK_ENTRY) {
        return r;
    }
    /* [names.R1] relaxed: constant since before it was published */
    uint64_t next = eddy_ld_rlx(&e->more);
    for (unsigned i = 0; r == 0 && next != 0; i++) {
        struct eddy_shm_more *m = eddy_keyed_more(a, next, off);
        if (!m || i > EDDY_STATE_MAX / EDDY_MORE_BYTES) {
            return eddy_error_set(EDDY_ECORRUPT,
                                  "an entry is damaged at byte %llu: run `eddy check`",
                                  (unsigned long long)next);
        }
        r = eddy_plan_condemn(p, next);
        /* [names.R2] relaxed: as above */
        next = eddy_ld_rlx(&m->next);
    }
    return r;
}

/* Was it there at the instant of a snapshot that is being taken? Keys of transactions go only when they
 * are over. */
static bool is_wanted(const struct eddy_plan *p, const struct eddy_shm_entry *e) {
    const struct eddy_arena *a = p->thread->arena;
    /* [names.R3] relaxed: constant since it was filled */
    if (eddy_keyed_kind(&e->keyed) != EDDY_BLOCK_ENTRY ||
        EDDY_FAMILY(eddy_ld_rlx(&e->keyed.hash)) == EDDY_FAMILY_TXKEY ||
        !EDDY_CAPTURE_IS_ON(eddy_view_load(&p->view, &a->super->captured))) {
        return false;
    }
    uint64_t seq = EDDY_CAPTURING_SEQ(eddy_view_load(&p->view, &a->super->capturing));
    /* [names.R4] relaxed: as above */
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
    int r = eddy_plan_cell(p, &e->next, false, 0, before);
    return r < 0 ? r : eddy_plan_cell(p, captured, false, before, off);
}

/* ---- the trie of names ---- */

/* Nodes that tell two descriptors apart by their hashes, from `shift` on, as deep as those agree.
 * *top is the uppermost. */
static int split(struct eddy_plan *p, uint64_t off, uint64_t hash, uint64_t other, unsigned shift,
                 uint64_t *top) {
    struct eddy_arena *a = p->thread->arena;
    struct eddy_shm_keyed *s = eddy_arena_raw(a, other);
    /* [names.R5] relaxed: constant since it was filled */
    uint64_t other_hash = eddy_ld_rlx(&s->hash);
    eddy_word *cell = NULL;
    const unsigned mask = (1u << EDDY_HASH_BITS) - 1;
    for (;; shift += EDDY_HASH_BITS) {
        struct eddy_shm_node *node;
        if (shift > 63) {
            return eddy_plan_damaged(p,
                                     &s->hash); /* the hashes differ, so they do before they end */
        }
        int r = eddy_plan_node(p, EDDY_HASH_BITS, shift, a->names, hash, 0, &node);
        if (r < 0) {
            return r;
        }
        if (cell) {
            /* [names.R6] relaxed: private */
            eddy_st_rlx(cell, eddy_arena_off(p->thread->arena, node));
        } else {
            *top = eddy_arena_off(p->thread->arena, node);
        }
        unsigned k = (unsigned)(hash >> shift) & mask;
        unsigned other_k = (unsigned)(other_hash >> shift) & mask;
        cell = &node->slot[k];
        if (k != other_k) {
            /* [names.R7] relaxed: private */
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
    return eddy_plan_cell(p, place.cell, eddy_plan_is_private(p, place.in), place.there, value);
}

int eddy_names_add(struct eddy_plan *p, uint64_t stream_off, eddy_bytes name, uint64_t hash) {
    struct eddy_stream_place place;
    int64_t found = eddy_keyed_locate(&p->view, EDDY_BLOCK_STREAM, name, hash, &place);
    if (found != 0) {
        return found < 0 ? (int)found
                         : eddy_error_set(EDDY_ECORRUPT, "a stream is in the index twice");
    }
    return name_at(p, &place, stream_off, hash);
}

int eddy_names_put(struct eddy_plan *p, uint64_t off, uint64_t was,
                   const struct eddy_stream_place *at, uint64_t seq) {
    struct eddy_stream_place place = *at;
    struct eddy_shm_keyed *new = eddy_arena_raw(p->thread->arena, off);
    if (was == 0) {
        /* [names.R8] relaxed: private until the record is committed */
        return name_at(p, &place, off, eddy_ld_rlx(&new->hash));
    }
    struct eddy_shm_keyed *old = eddy_arena_raw(p->thread->arena, was);
    uint64_t next = eddy_view_load(&p->view, &old->collision);
    int r = let_go(p, was);
    if (r == 0 && next != 0 && !EDDY_IS_TOMB(next)) {
        /* [names.R9] relaxed: private until the record is committed. What comes behind hangs on the
         * new one; one way in is left. */
        eddy_st_rlx(&new->collision, next);
        r = eddy_plan_cell(p, &old->collision, false, next, EDDY_TOMB(seq));
    }
    return r < 0 ? r : eddy_plan_cell(p, place.cell, eddy_plan_is_private(p, place.in), was, off);
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
            return r < 0 ? r : eddy_plan_damaged(p, cell);
        }
        if (eddy_keyed_is(block)) {
            return 0;
        }
        if (shift > 63 || way->depth + 2 > sizeof way->node / sizeof way->node[0]) {
            return eddy_plan_damaged(p, cell);
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
        int r = eddy_plan_condemn(p, off);
        if (r == 0) {
            r = eddy_plan_cell(p, way->cell[way->depth], false, off, EDDY_TOMB(seq));
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
            return r < 0 ? r : r == 0 ? eddy_plan_damaged(p, *cell) : 0;
        }
        *cell = &((struct eddy_shm_keyed *)(void *)block)->collision;
    }
    return eddy_plan_damaged(p, *cell);
}

int eddy_names_remove(struct eddy_plan *p, uint64_t off, uint64_t seq) {
    struct eddy_arena *a = p->thread->arena;
    struct eddy_shm_keyed *s = eddy_arena_raw(a, off);
    struct way way;
    eddy_word *cell = NULL;
    eddy_word *slot;
    /* [names.R10] relaxed: constant since it was filled */
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
        r = eddy_plan_cell(p, cell, false, off, chained ? next : EDDY_TOMB(seq));
    }
    if (r == 0 && chained) {
        r = eddy_plan_cell(p, &s->collision, false, next, EDDY_TOMB(seq));
    }
    if (r == 0) {
        r = collapse(p, &way, seq);
    }
    if (r == 0 && eddy_keyed_kind(s) == EDDY_BLOCK_STREAM && !EDDY_FAMILY(hash)) {
        r = eddy_trie_slot(&p->view, &a->super->streams_root, number, &slot);
        r = r == 1   ? eddy_plan_cell(p, slot, false, off, EDDY_TOMB(seq))
            : r == 0 ? eddy_plan_damaged(p, &a->super->streams_root)
                     : r;
    }
    return r;
}
