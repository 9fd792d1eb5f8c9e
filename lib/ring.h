/* The ring of commit words, and the headers of the redo buffers that they name.
 *
 * The word of transaction s is word[s % 4] = {round(s):50, buffer:14}. It is empty while it still
 * holds the round before, whatever buffer that names; to commit is to swap it from there to
 * {round(s), buffer}. Nothing is ever recycled, so a swap by somebody who slept over a round fails.
 */
#ifndef EDDY_RING_H
#define EDDY_RING_H

#include "arena.h"

enum { EDDY_BUFFER_BITS = 14 };

static inline uint64_t eddy_ring_round(uint64_t seq) {
    return seq / EDDY_RING_WORDS + 1;
}

static inline uint64_t eddy_ring_round_of(uint64_t word) {
    return word >> EDDY_BUFFER_BITS;
}

static inline uint32_t eddy_ring_buffer_of(uint64_t word) {
    return (uint32_t)(word & ((1u << EDDY_BUFFER_BITS) - 1));
}

static inline uint64_t eddy_ring_make(uint64_t seq, uint32_t buffer) {
    return eddy_ring_round(seq) << EDDY_BUFFER_BITS | buffer;
}

/* Number of a thread slot's buffer; 0 is the genesis header. */
static inline uint32_t eddy_ring_buffer(uint32_t thread, unsigned which) {
    return thread * 2 + which + 1;
}

static inline uint64_t eddy_ring_applied(const struct eddy_arena *arena) {
    /* [ring.C1] acquire: pairs with [ring.P2]. Whoever sees that a transaction is applied sees all
     * that applying it stored. */
    return eddy_ld_acq(&arena->ring->applied);
}

static inline uint64_t eddy_ring_load(const struct eddy_arena *arena, uint64_t seq) {
    /* [ring.C2] acquire: pairs with [ring.P1]. Whoever sees the word sees the header and the list
     * that it names, and the private memory that the list leads to. */
    return eddy_ld_acq(&arena->ring->word[seq % EDDY_RING_WORDS]);
}

/* The one commit point of eddy. `empty` is the word as it was loaded. */
static inline bool eddy_ring_commit(const struct eddy_arena *arena, uint64_t seq, uint64_t empty,
                                    uint32_t buffer) {
    /* [ring.P1] acq_rel: pairs with [ring.C2]. COMMIT POINT. Death before: nothing happened; what
     * was prepared is private and is swept. After: the next to come by applies it. */
    return eddy_cas_ar(&arena->ring->word[seq % EDDY_RING_WORDS], &empty,
                       eddy_ring_make(seq, buffer));
}

/* Everything that transaction seq has changed is in place, by whoever applied it. */
static inline void eddy_ring_advance(const struct eddy_arena *arena, uint64_t seq) {
    /* [ring.P2] acq_rel: pairs with [ring.C1]. Fails if somebody else was faster: the same. Death
     * before: the next to come by applies it once more, which changes nothing. */
    (void)eddy_cas_ar(&arena->ring->applied, &seq, seq + 1);
}

/* The redo header in a buffer, or NULL if the number cannot be. *list is its inline list. */
static inline struct eddy_shm_redo *eddy_ring_header(const struct eddy_arena *arena,
                                                     uint32_t buffer, eddy_word **list) {
    if (buffer == 0) {
        *list = NULL;
        return &arena->super->genesis;
    }
    uint32_t thread = (buffer - 1) / 2;
    if (thread >= arena->threads_max) {
        return NULL;
    }
    struct eddy_shm_buffer *b = &arena->threads[thread].buffer[(buffer - 1) % 2];
    *list = b->list;
    return &b->head;
}

/* A redo header, copied. */
struct eddy_ring_copy {
    uint64_t seq;
    uint64_t next_offset;
    int64_t time_ns;
    uint64_t bytes_in;
    uint64_t floor;
    uint64_t floor_bytes;
    uint64_t holes;
    uint64_t holes_bytes;
    uint64_t streams_in;
    uint64_t streams;
    uint64_t names;
    uint64_t hold;
    uint64_t groups;
    uint64_t words;
    uint64_t list_off;
};

/* Events that are there, and their bytes. */
static inline uint64_t eddy_ring_events(const struct eddy_ring_copy *c) {
    return c->next_offset - 1 - c->floor - c->holes;
}

static inline uint64_t eddy_ring_bytes(const struct eddy_ring_copy *c) {
    return c->bytes_in - c->floor_bytes - c->holes_bytes;
}

/* Copies; what was copied counts only once a check of `applied` behind an acquire fence says that
 * the buffer was not yet written anew. */
static inline void eddy_ring_copy_header(const struct eddy_shm_redo *h, struct eddy_ring_copy *c) {
    /* [ring.R1] relaxed: validated afterwards by the caller: eddy_ring_steady() */
    c->seq = eddy_ld_rlx(&h->seq);
    c->next_offset = eddy_ld_rlx(&h->next_offset);
    c->time_ns = (int64_t)eddy_ld_rlx(&h->time_ns);
    c->bytes_in = eddy_ld_rlx(&h->bytes_in);
    c->floor = eddy_ld_rlx(&h->floor);
    c->floor_bytes = eddy_ld_rlx(&h->floor_bytes);
    c->holes = eddy_ld_rlx(&h->holes);
    c->holes_bytes = eddy_ld_rlx(&h->holes_bytes);
    c->streams_in = eddy_ld_rlx(&h->streams_in);
    c->streams = eddy_ld_rlx(&h->streams);
    c->names = eddy_ld_rlx(&h->names);
    c->hold = eddy_ld_rlx(&h->hold);
    c->groups = eddy_ld_rlx(&h->groups);
    c->words = eddy_ld_rlx(&h->words);
    c->list_off = eddy_ld_rlx(&h->list_off);
}

/* Writes a header into a buffer that is ours to write: published by the commit. */
static inline void eddy_ring_write_header(struct eddy_shm_redo *h, const struct eddy_ring_copy *c) {
    /* [ring.R2] relaxed: ours until the commit, which releases it */
    eddy_st_rlx(&h->seq, c->seq);
    eddy_st_rlx(&h->next_offset, c->next_offset);
    eddy_st_rlx(&h->time_ns, (uint64_t)c->time_ns);
    eddy_st_rlx(&h->bytes_in, c->bytes_in);
    eddy_st_rlx(&h->floor, c->floor);
    eddy_st_rlx(&h->floor_bytes, c->floor_bytes);
    eddy_st_rlx(&h->holes, c->holes);
    eddy_st_rlx(&h->holes_bytes, c->holes_bytes);
    eddy_st_rlx(&h->streams_in, c->streams_in);
    eddy_st_rlx(&h->streams, c->streams);
    eddy_st_rlx(&h->names, c->names);
    eddy_st_rlx(&h->hold, c->hold);
    eddy_st_rlx(&h->groups, c->groups);
    eddy_st_rlx(&h->words, c->words);
    eddy_st_rlx(&h->list_off, c->list_off);
}

/* What was loaded before this was loaded while transaction seq was not yet applied, so from a
 * buffer that nobody may have begun to write anew. */
static inline bool eddy_ring_steady(const struct eddy_arena *arena, uint64_t seq) {
    /* [ring.F1] acquire fence: pairs with [ring.F2]. The loads before stand before the load of
     * `applied`. */
    eddy_fence_acq();
    /* [ring.R3] relaxed: ordered by the fence above */
    return eddy_ld_rlx(&arena->ring->applied) <= seq;
}

/* Before the first store into a buffer that was found free to be written. */
static inline void eddy_ring_reuse(void) {
    /* [ring.F2] release fence: pairs with [ring.F1]. Whoever copied one of the new words sees that
     * `applied` has passed the old record. */
    eddy_fence_rel();
}

enum { EDDY_OFFSETS_MAX_BITS = 62 }; /* beyond that a number is damage, not a number of events */

/* EDDY_ECORRUPT, about the record before transaction seq. */
int eddy_ring_damaged(uint64_t seq);

/* The state of the store before transaction seq: the header of its predecessor. 1; 0 if seq has
 * been committed meanwhile: look again; or EDDY_ECORRUPT. */
int eddy_ring_before(const struct eddy_arena *arena, uint64_t seq, struct eddy_ring_copy *copy,
                     uint32_t *buffer);

/* The same, for the one place where each instruction counts. */
static inline int eddy_ring_before_inline(const struct eddy_arena *a, uint64_t seq,
                                          struct eddy_ring_copy *copy, uint32_t *buffer) {
    struct eddy_shm_redo *h = NULL;
    eddy_word *list;
    *buffer = 0;
    if (__builtin_expect(seq > 0, 1)) {
        uint64_t p = eddy_ring_load(a, seq - 1);
        if (__builtin_expect(eddy_ring_round_of(p) == eddy_ring_round(seq - 1), 1)) {
            *buffer = eddy_ring_buffer_of(p);
            h = eddy_ring_header(a, *buffer, &list);
        }
    } else {
        h = eddy_ring_header(a, 0, &list);
    }
    if (h) {
        eddy_ring_copy_header(h, copy);
    }
    if (!eddy_ring_steady(a, seq)) {
        return 0;
    }
    bool good = h && copy->next_offset != 0 &&
                (copy->next_offset | copy->streams_in | copy->floor | copy->holes) >>
                        EDDY_OFFSETS_MAX_BITS ==
                    0 &&
                copy->floor + copy->holes < copy->next_offset && (seq == 0 || copy->seq == seq - 1);
    return __builtin_expect(good, 1) ? 1 : eddy_ring_damaged(seq);
}

#endif
