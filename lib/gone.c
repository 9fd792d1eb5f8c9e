/* Sums come from the leaves: each says how many bytes come before its first number, so that a sum is
 * that of the next leaf, less what lies between. Only numbers that are not gone are looked at, and
 * marks, which have the size of what was there.
 */
#include "gone.h"

#include "error.h"

static int missing(uint64_t offset) {
    return eddy_error_set(EDDY_ECORRUPT, "event %llu is missing in the index: run `eddy check`",
                          (unsigned long long)offset);
}

/* The offset of a version; 0: its slot has gone. */
static int offset_of(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t version,
                     uint64_t *offset) {
    eddy_word *slot;
    int r = eddy_stream_slot(v, s, version, NULL, &slot);
    *offset = r == 1 ? eddy_view_load(v, slot) : 0;
    return r < 0 ? r : 0;
}

int eddy_gone_versions(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t *gone) {
    return eddy_gone_before(v, s, eddy_gone_floor(v), gone);
}

int eddy_gone_before(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t bound,
                     uint64_t *version) {
    uint64_t low = eddy_view_load(v, &s->first);
    uint64_t high = eddy_view_load(v, &s->version);
    uint64_t offset;
    int r = 0;
    if (bound > 0 && low < high) {
        /* Most of the time all or nothing of it is above the bound. */
        r = offset_of(v, s, low + 1, &offset);
        if (r < 0 || offset > bound) {
            *version = low;
            return r;
        }
        r = offset_of(v, s, high, &offset);
        low = r == 0 && offset <= bound ? high : low + 1;
        high = low < high ? high - 1 : high;
    } else {
        high = low;
    }
    while (r == 0 && low < high) {
        uint64_t mid = low + (high - low + 1) / 2;
        r = offset_of(v, s, mid, &offset);
        if (offset <= bound) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    *version = low;
    return r;
}

int eddy_gone_look(const struct eddy_view *v, uint64_t offset, struct eddy_trie_leaf *near,
                   struct eddy_gone_look *look) {
    struct eddy_event_more more;
    eddy_event event;
    eddy_word *root = &v->arena->super->offsets_root;
    *look = (struct eddy_gone_look){.first = offset, .last = offset};
    for (;;) {
        uint64_t gone;
        int r = near ? eddy_trie_slot_near(v, root, offset, near, &look->slot)
                     : eddy_trie_slot(v, root, offset, &look->slot);
        if (r == 0) {
            r = eddy_trie_walk(v, root, offset, &look->slot, &gone);
        }
        if (r <= 0) {
            look->slot = NULL;
            look->first = r == 0 && gone ? offset & ~(gone - 1) : offset;
            look->last = r == 0 && gone ? offset | (gone - 1) : offset;
            return r == 0 && gone == 0 ? missing(offset) : r;
        }
        uint64_t ref = eddy_view_load(v, look->slot);
        if (ref == 0 || EDDY_IS_TOMB(ref)) {
            look->bytes = EDDY_TOMB_OF(ref);
            look->ref = 0;
            return 0;
        }
        r = eddy_event_read(v, look->slot, ref, NULL, &event, &more);
        if (r == 1) {
            look->ref = ref;
            look->bytes = more.bytes;
            look->version = event.version;
            look->stream = more.stream;
            look->time_ns = event.time_ns;
            look->shard = event.shard;
            look->sharded = (event.flags & EDDY_SHARD_GIVEN) != 0;
        }
        if (r != 0) {
            return r;
        }
        /* It moved or went meanwhile: its slot says so now. */
    }
}

/* Adds the sizes of offsets (from, to]. */
static int add_offsets(const struct eddy_view *v, uint64_t from, uint64_t to, uint64_t *bytes) {
    struct eddy_trie_leaf near = {0};
    struct eddy_gone_look look;
    for (uint64_t o = from + 1; o <= to; o++) {
        int r = eddy_gone_look(v, o, &near, &look);
        if (r < 0 || look.bytes == 0) {
            return r < 0 ? r : missing(o);
        }
        *bytes += look.bytes;
    }
    return 0;
}

/* The sum of the leaf under root that begins with this number. */
static int sum_of(const struct eddy_view *v, eddy_word *root, uint64_t number, uint64_t *sum) {
    eddy_word *slot;
    int r = eddy_trie_slot(v, root, number, &slot);
    if (r == 1) {
        /* [gone.R1] relaxed: constant since before the leaf was published */
        *sum = eddy_ld_rlx(&eddy_trie_node_of(slot, number)->sum);
    }
    return r == 0 ? eddy_error_set(EDDY_ECORRUPT, "a leaf of an index is missing: run `eddy check`")
                  : r;
}

int eddy_gone_store_bytes(const struct eddy_view *v, const struct eddy_ring_copy *now,
                          uint64_t offset, uint64_t *bytes) {
    uint64_t last = now->next_offset - 1;
    uint64_t end = offset | (EDDY_TRIE_SLOTS - 1); /* the last number of its leaf */
    uint64_t after = 0;
    uint64_t sum = now->bytes_in;
    int r = 0;
    if (end < last) {
        r = sum_of(v, &v->arena->super->offsets_root, end + 1, &sum);
    } else {
        end = last;
    }
    if (r >= 0) {
        r = add_offsets(v, offset, end, &after);
    }
    *bytes = sum - after;
    return r < 0 ? r : 0;
}

/* Adds the sizes of versions (from, to]. */
static int add_versions(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t from,
                        uint64_t to, uint64_t *bytes) {
    struct eddy_gone_look look;
    for (uint64_t n = from + 1; n <= to; n++) {
        uint64_t offset;
        int r = offset_of(v, s, n, &offset);
        if (r == 0) {
            r = offset ? eddy_gone_look(v, offset, NULL, &look) : missing(n);
        }
        if (r < 0 || look.bytes == 0) {
            return r < 0 ? r : missing(offset);
        }
        *bytes += look.bytes;
    }
    return 0;
}

/* The last version of the place in which v + 1 lies: the descriptor, the small leaf, a leaf. */
static uint64_t place_end(uint64_t v) {
    const uint64_t small = EDDY_TRIE_VERSION - 1;
    return v < EDDY_INLINE_SLOTS ? EDDY_INLINE_SLOTS
           : v < small           ? small
                                 : small + ((v - small) | (EDDY_TRIE_SLOTS - 1)) + 1;
}

/* Bytes before version n, with which a leaf begins. */
static int leaf_sum(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t n,
                    uint64_t *sum) {
    if (n >= EDDY_TRIE_VERSION) {
        return sum_of(v, &s->root, n - EDDY_TRIE_VERSION, sum);
    }
    struct eddy_shm_block *block;
    uint64_t value;
    int r = eddy_trie_follow(v, &s->leaf8, EDDY_LEAF8_CLASS, &value, &block);
    if (r == 1) {
        /* [gone.R2] relaxed: constant since before the leaf was published */
        *sum = eddy_ld_rlx(&((struct eddy_shm_node *)(void *)block)->sum);
    }
    return r == 0 ? eddy_error_set(EDDY_ECORRUPT, "a leaf of a stream is missing: run `eddy check`")
                  : r;
}

int eddy_gone_stream_bytes(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t version,
                           uint64_t *bytes) {
    uint64_t last = eddy_view_load(v, &s->version);
    uint64_t end = place_end(version);
    uint64_t after = 0;
    uint64_t sum = eddy_view_load(v, &s->bytes_in);
    int r = 0;
    if (version == 0 || version >= last) {
        *bytes = version == 0 ? 0 : sum;
        return 0;
    }
    if (end < last) {
        r = leaf_sum(v, s, end + 1, &sum);
    } else {
        end = last;
    }
    if (r >= 0) {
        r = add_versions(v, s, version, end, &after);
    }
    *bytes = sum - after;
    return r < 0 ? r : 0;
}

int eddy_gone_stream_between(const struct eddy_view *v, struct eddy_shm_stream *s, uint64_t from,
                             uint64_t to, uint64_t *bytes) {
    uint64_t before;
    *bytes = 0;
    if (to - from <= EDDY_TRIE_SLOTS) {
        return add_versions(v, s, from, to, bytes);
    }
    int r = eddy_gone_stream_bytes(v, s, from, &before);
    if (r == 0) {
        r = eddy_gone_stream_bytes(v, s, to, bytes);
        *bytes -= before;
    }
    return r;
}
