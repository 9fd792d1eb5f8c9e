#include "streams.h"

#include <string.h>

#include "error.h"
#include "platform.h"

enum { CHAIN_MAX = 1 << 20 }; /* descriptors of one hash: a bound against damage */

static int damaged(const struct eddy_view *v, const eddy_word *cell) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the index of streams is damaged at byte %llu: run "
                          "`eddy check`",
                          (unsigned long long)eddy_arena_off(v->arena, cell));
}

uint64_t eddy_stream_hash(const struct eddy_arena *a, eddy_bytes name) {
    return eddy_platform_hash(name.ptr, name.len, a->hash_seed) & a->hash_mask;
}

uint64_t eddy_keyed_hash(const struct eddy_arena *a, unsigned family, eddy_bytes name) {
    uint64_t hash = eddy_platform_hash(name.ptr, name.len, a->hash_seed ^ family);
    return (hash & a->hash_mask) | EDDY_FAMILY_HASH(family);
}

static uint64_t name_at(unsigned kind) {
    return kind == EDDY_BLOCK_STREAM ? offsetof(struct eddy_shm_stream, name)
                                     : offsetof(struct eddy_shm_entry, name);
}

static uint64_t name_max(unsigned kind) {
    return kind == EDDY_BLOCK_STREAM ? EDDY_STREAM_MAX : EDDY_KEY_MAX;
}

struct eddy_shm_keyed *eddy_keyed_at(struct eddy_arena *a, uint64_t off) {
    struct eddy_shm_keyed *k = eddy_block_at(a, off, EDDY_ENTRY_CLASS(0));
    if (!k || !eddy_keyed_is(&k->block)) {
        return NULL;
    }
    /* [streams.R2] relaxed: constant since before it was published */
    uint64_t len = eddy_ld_rlx(&k->name_len);
    return len >= 1 && len <= name_max(eddy_keyed_kind(k)) &&
                   eddy_arena_at(a, off, name_at(eddy_keyed_kind(k)) + len)
               ? k
               : NULL;
}

eddy_bytes eddy_keyed_name(const struct eddy_shm_keyed *k) {
    /* [streams.R8] relaxed: constant since before it was published; bounded by who uses it */
    return eddy_mem((const unsigned char *)k + name_at(eddy_keyed_kind(k)),
                    eddy_ld_rlx(&k->name_len) & 0x1ff);
}

struct eddy_shm_more *eddy_keyed_more(struct eddy_arena *a, uint64_t off, uint64_t owner) {
    struct eddy_shm_more *m = eddy_block_at(a, off, 1);
    /* [streams.R10] relaxed: constant since before it was published */
    return m && EDDY_SHAPE_KIND(eddy_trie_shape(&m->block)) == EDDY_BLOCK_MORE &&
                   eddy_ld_rlx(&m->owner) == owner
               ? m
               : NULL;
}

struct eddy_shm_stream *eddy_stream_at(struct eddy_arena *a, uint64_t off) {
    struct eddy_shm_keyed *k = eddy_keyed_at(a, off);
    return k && eddy_keyed_kind(k) == EDDY_BLOCK_STREAM ? (struct eddy_shm_stream *)(void *)k
                                                        : NULL;
}

static bool named(const struct eddy_shm_keyed *k, unsigned kind, eddy_bytes name) {
    eddy_bytes n = eddy_keyed_name(k);
    return eddy_keyed_kind(k) == kind && n.len == name.len && memcmp(n.ptr, name.ptr, n.len) == 0;
}

/* Along those of one hash, from the one at `off`: the offset of the one with the name, or 0 at the
 * end, when *place is the last one's word for the next. */
static int64_t walk_chain(const struct eddy_view *v, unsigned kind, eddy_bytes name, uint64_t off,
                          struct eddy_stream_place *place) {
    for (int i = 0; i < CHAIN_MAX; i++) {
        struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
        if (!k) {
            return damaged(v, place->cell);
        }
        if (named(k, kind, name)) {
            return (int64_t)off;
        }
        place->cell = &k->collision;
        place->in = off;
        struct eddy_shm_block *next;
        int r = eddy_trie_follow(v, place->cell, EDDY_ENTRY_CLASS(0), &off, &next);
        place->there = off;
        if (r <= 0) {
            return r;
        }
    }
    return damaged(v, place->cell);
}

int64_t eddy_keyed_locate(const struct eddy_view *v, unsigned kind, eddy_bytes name, uint64_t hash,
                          struct eddy_stream_place *place) {
    place->shift = eddy_keyed_root_bits(hash);
    place->cell = eddy_keyed_root(v->arena, hash);
    place->in = 0;
    for (;;) {
        struct eddy_shm_block *block;
        int r = eddy_trie_follow(v, place->cell, EDDY_LEAF8_CLASS, &place->there, &block);
        if (r <= 0) {
            return r;
        }
        if (eddy_keyed_is(block)) {
            struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, place->there);
            if (!k) {
                return damaged(v, place->cell);
            }
            /* [streams.R3] relaxed: constant since before it was published */
            return eddy_ld_rlx(&k->hash) == hash ? walk_chain(v, kind, name, place->there, place)
                                                 : 0;
        }
        uint64_t shape = eddy_trie_shape(block);
        if (EDDY_SHAPE_KIND(shape) != EDDY_BLOCK_NODE || EDDY_SHAPE_BITS(shape) != EDDY_HASH_BITS ||
            EDDY_SHAPE_SHIFT(shape) != place->shift || place->shift > 63) {
            return damaged(v, place->cell);
        }
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        place->in = place->there;
        place->cell = &node->slot[hash >> place->shift & ((1u << EDDY_HASH_BITS) - 1)];
        place->shift += EDDY_HASH_BITS;
    }
}

int64_t eddy_stream_find(const struct eddy_view *v, eddy_bytes name, uint64_t hash) {
    struct eddy_stream_place place;
    return eddy_keyed_locate(v, EDDY_BLOCK_STREAM, name, hash, &place);
}

int eddy_stream_number(const struct eddy_view *v, uint64_t *number, struct eddy_trie_leaf *leaf,
                       uint64_t *off) {
    eddy_word *root = &v->arena->super->streams_root;
    eddy_word *slot;
    uint64_t gone = 0;
    int r = eddy_trie_slot_near(v, root, *number, leaf, &slot);
    if (r == 0) {
        r = eddy_trie_walk(v, root, *number, &slot, &gone);
    }
    *off = r == 1 ? eddy_view_load(v, slot) : 0;
    if (r == 0 && gone != 0) {
        *number |= gone - 1;
        return 0;
    }
    if (r < 0 || EDDY_IS_TOMB(*off)) {
        return r < 0 ? r : 0;
    }
    return eddy_stream_at(v->arena, *off)
               ? 1
               : eddy_error_set(EDDY_ECORRUPT, "stream number %llu is damaged: run `eddy check`",
                                (unsigned long long)*number);
}

void eddy_stream_init(struct eddy_shm_stream *s, eddy_bytes name, uint64_t hash, uint64_t number) {
    /* [streams.R4] relaxed: private until a record links it */
    eddy_st_rlx(&s->block.shape, EDDY_SHAPE(EDDY_BLOCK_STREAM, 0, 0));
    eddy_st_rlx(&s->hash, hash);
    eddy_st_rlx(&s->name_len, name.len);
    eddy_st_rlx(&s->number, number);
    eddy_copy_in(s->name, name.ptr, name.len);
}

int eddy_stream_slot(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t version,
                     struct eddy_trie_leaf *leaf, eddy_word **slot) {
    if (version == 0) {
        return 0;
    }
    if (version <= EDDY_INLINE_SLOTS) {
        *slot = &s->slot[version - 1];
        return 1;
    }
    if (version >= EDDY_TRIE_VERSION) {
        uint64_t number = version - EDDY_TRIE_VERSION;
        return leaf ? eddy_trie_slot_near(v, &s->root, number, leaf, slot)
                    : eddy_trie_slot(v, &s->root, number, slot);
    }
    struct eddy_shm_block *block;
    uint64_t value;
    int r = eddy_trie_follow(v, &s->leaf8, EDDY_LEAF8_CLASS, &value, &block);
    if (r == 1) {
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        *slot = &node->slot[version - 1 - EDDY_INLINE_SLOTS];
    }
    return r;
}

static bool stream_linked(const struct eddy_view *v, uint64_t off) {
    struct eddy_shm_stream *s = eddy_stream_at(v->arena, off);
    if (!s) {
        return false;
    }
    /* [streams.R5] relaxed: of a private or linked descriptor, constant since it was filled */
    uint64_t hash = eddy_ld_rlx(&s->hash);
    return eddy_stream_find(v, eddy_stream_name(s), hash) == (int64_t)off;
}

/* Is it, or was it until it was forgotten? Its nodes are reached from it then. */
static bool stream_was_linked(const struct eddy_view *v, uint64_t off) {
    return eddy_stream_at(v->arena, off) &&
           (eddy_block_state(v->arena, off) >= EDDY_LINKED || stream_linked(v, off));
}

/* Is a node of the name trie reached by the hashes that belong under it? */
static bool name_node_linked(const struct eddy_view *v, uint64_t off, uint64_t hash) {
    eddy_word *cell = eddy_keyed_root(v->arena, hash);
    for (unsigned shift = eddy_keyed_root_bits(hash); shift < 64; shift += EDDY_HASH_BITS) {
        struct eddy_shm_block *block;
        uint64_t value;
        if (eddy_trie_follow(v, cell, EDDY_LEAF8_CLASS, &value, &block) <= 0) {
            return false;
        }
        if (value == off) {
            return true;
        }
        if (EDDY_SHAPE_KIND(eddy_trie_shape(block)) != EDDY_BLOCK_NODE) {
            return false;
        }
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        cell = &node->slot[hash >> shift & ((1u << EDDY_HASH_BITS) - 1)];
    }
    return false;
}

bool eddy_keyed_was_captured(const struct eddy_view *v, const struct eddy_shm_entry *e) {
    /* [streams.R14] relaxed: of a private or linked entry, constant since it was filled */
    return EDDY_FAMILY(eddy_ld_rlx(&e->keyed.hash)) != EDDY_FAMILY_TXKEY &&
           eddy_view_load(v, &e->next) != 0;
}

/* Or is it captured, or was it until its capture ended? Then it is taken apart by who ends that. */
static bool entry_linked(const struct eddy_view *v, uint64_t off) {
    struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
    struct eddy_stream_place place;
    if (!k || eddy_keyed_kind(k) != EDDY_BLOCK_ENTRY) {
        return false;
    }
    /* [streams.R9] relaxed: of a private or linked entry, constant since it was filled */
    return eddy_keyed_was_captured(v, (const struct eddy_shm_entry *)(const void *)k) ||
           eddy_keyed_locate(v, EDDY_BLOCK_ENTRY, eddy_keyed_name(k), eddy_ld_rlx(&k->hash),
                             &place) == (int64_t)off;
}

/* Does its entry lead to a block of further bytes, and something to that? */
static bool more_linked(const struct eddy_view *v, uint64_t off) {
    const struct eddy_shm_more *m = eddy_arena_raw(v->arena, off);
    /* [streams.R11] relaxed: of a private or linked block, constant since it was filled */
    uint64_t owner = eddy_ld_rlx(&m->owner);
    if (!entry_linked(v, owner)) {
        return false;
    }
    const struct eddy_shm_entry *e = eddy_arena_raw(v->arena, owner);
    /* [streams.R12] relaxed: as above */
    uint64_t next = eddy_ld_rlx(&e->more);
    for (unsigned i = 0; next != off && i <= EDDY_STATE_MAX / EDDY_MORE_BYTES; i++) {
        m = eddy_keyed_more(v->arena, next, owner);
        if (!m) {
            return false;
        }
        /* [streams.R13] relaxed: as above */
        next = eddy_ld_rlx(&m->next);
    }
    return next == off;
}

bool eddy_stream_block_linked(const struct eddy_view *v, uint64_t off) {
    struct eddy_arena *a = v->arena;
    struct eddy_shm_node *node = eddy_arena_raw(a, off);
    uint64_t shape = eddy_trie_shape(&node->block);
    if (EDDY_SHAPE_KIND(shape) == EDDY_BLOCK_STREAM) {
        return stream_linked(v, off);
    }
    if (EDDY_SHAPE_KIND(shape) == EDDY_BLOCK_ENTRY) {
        return entry_linked(v, off);
    }
    if (EDDY_SHAPE_KIND(shape) == EDDY_BLOCK_MORE) {
        return more_linked(v, off);
    }
    if (EDDY_SHAPE_KIND(shape) == EDDY_BLOCK_LIMITS) {
        return eddy_view_load(v, &a->super->limits_root) == off;
    }
    /* [streams.R6] relaxed: of a private or linked node, constant since it was filled */
    uint64_t home = eddy_ld_rlx(&node->home);
    if (home == eddy_arena_off(a, a->names)) {
        /* [streams.R7] relaxed: as above */
        return name_node_linked(v, off, eddy_ld_rlx(&node->base));
    }
    if (home >= a->extents_off) {
        /* The root is in a descriptor, which must be linked itself, or was forgotten and is not yet
         * taken apart: by whoever does that its nodes are met, and retired. */
        uint64_t within = home % EDDY_LINE == offsetof(struct eddy_shm_stream, root) % EDDY_LINE
                              ? offsetof(struct eddy_shm_stream, root)
                              : offsetof(struct eddy_shm_stream, leaf8);
        if ((home - within) % EDDY_LINE != 0 || !stream_was_linked(v, home - within)) {
            return false;
        }
    }
    return eddy_trie_linked(v, off);
}
