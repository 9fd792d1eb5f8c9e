/* Streams: descriptors, found by name through a hash trie, by number through a number trie; and
 * the index of a stream's versions. */
#ifndef EDDY_STREAMS_H
#define EDDY_STREAMS_H

#include "directory.h"
#include "trie.h"

/* The hash of a name in this store, of which the trie uses the bits. */
uint64_t eddy_stream_hash(const struct eddy_arena *arena, eddy_bytes name);

/* The hash of a name of another family than the streams'. */
uint64_t eddy_keyed_hash(const struct eddy_arena *arena, unsigned family, eddy_bytes name);

/* How many bits of a hash choose the cell of the root, and that cell. */
static inline unsigned eddy_keyed_root_bits(uint64_t hash) {
    return eddy_family_bits(EDDY_FAMILY(hash));
}

static inline eddy_word *eddy_keyed_root(const struct eddy_arena *a, uint64_t hash) {
    return &a->names[eddy_family_cell(EDDY_FAMILY(hash)) +
                     (hash & ((UINT64_C(1) << eddy_keyed_root_bits(hash)) - 1))];
}

/* What has a name: a descriptor, or another entry. */
static inline unsigned eddy_keyed_kind(const struct eddy_shm_keyed *k) {
    return EDDY_SHAPE_KIND(eddy_trie_shape(&k->block));
}

static inline bool eddy_keyed_is(const struct eddy_shm_block *block) {
    unsigned kind = EDDY_SHAPE_KIND(eddy_trie_shape(block));
    return kind == EDDY_BLOCK_STREAM || kind == EDDY_BLOCK_ENTRY;
}

/* The descriptor of a name: its offset, 0 if there is none, or EDDY_ECORRUPT. */
int64_t eddy_stream_find(const struct eddy_view *view, eddy_bytes name, uint64_t hash);

/* The stream of a number that has been given: 1, and the offset of its descriptor; 0 if it was
 * forgotten, and then *number is the last of those that were forgotten together; or EDDY_ECORRUPT. leaf
 * is zeroed at first; then it is where the last one was. */
int eddy_stream_number(const struct eddy_view *view, uint64_t *number, struct eddy_trie_leaf *leaf,
                       uint64_t *off);

/* Where a descriptor goes in. */
struct eddy_stream_place {
    eddy_word *cell; /* that is to lead to it */
    uint64_t in;     /* the block in which the cell lies; 0: the root */
    uint64_t there;  /* what the cell holds now: 0, a mark, or a descriptor with another hash */
    unsigned shift;  /* bits of the hash that are used up */
};

/* What has this name, and is of this kind: its offset, and *place has the cell that leads to it; or
 * 0, and *place says where it would go; or EDDY_ECORRUPT. */
int64_t eddy_keyed_locate(const struct eddy_view *view, unsigned kind, eddy_bytes name,
                          uint64_t hash, struct eddy_stream_place *place);
/* What has a name at off, checked so far that it may be read: NULL if there cannot be anything. */
struct eddy_shm_keyed *eddy_keyed_at(struct eddy_arena *arena, uint64_t off);
eddy_bytes eddy_keyed_name(const struct eddy_shm_keyed *keyed);
/* Further bytes of an entry at off, checked so far that they may be read: NULL if there cannot be any. */
struct eddy_shm_more *eddy_keyed_more(struct eddy_arena *arena, uint64_t off, uint64_t owner);

/* Was the entry replaced or deleted while somebody took a snapshot? Nothing leads to it any more but the
 * list of those (capture.h). */
bool eddy_keyed_was_captured(const struct eddy_view *view, const struct eddy_shm_entry *entry);

/* The descriptor at off, checked so far that it may be read: NULL if there cannot be one. */
struct eddy_shm_stream *eddy_stream_at(struct eddy_arena *arena, uint64_t off);

/* The name in a descriptor. */
static inline eddy_bytes eddy_stream_name(const struct eddy_shm_stream *s) {
    /* [streams.R1] relaxed: constant since before it was published; bounded by who uses it */
    return eddy_mem(s->name, eddy_ld_rlx(&s->name_len) & 0xff);
}

/* Fills a private descriptor. */
void eddy_stream_init(struct eddy_shm_stream *s, eddy_bytes name, uint64_t hash, uint64_t number);

/* The slot of a version: 1 and *slot, 0 if there is none yet, or EDDY_ECORRUPT. */
int eddy_stream_slot(const struct eddy_view *view, struct eddy_shm_stream *s, uint64_t version,
                     struct eddy_trie_leaf *leaf, eddy_word **slot);

/* First number in the trie of versions; before that come the inline slots and the small leaf. */
enum { EDDY_TRIE_VERSION = 1 + EDDY_INLINE_SLOTS + EDDY_LEAF8 };

/* Is the block at off, a node of any trie or a descriptor, reached from where it belongs? The edge
 * test: a block lives if and only if it is. Exact when everything committed is applied. */
bool eddy_stream_block_linked(const struct eddy_view *view, uint64_t off);

#endif
