/* A redo list in the making: what an evaluation wants to change.
 *
 * The evaluator searches, allocates and decides; the list that comes out is addresses and values,
 * so that applying it needs none of that. Index nodes that will be needed are taken and filled in
 * private, and linked by one entry. Entries stand in the order: slots and links, swaps, maxima (the
 * words that make visible come last).
 */
#ifndef EDDY_PLAN_H
#define EDDY_PLAN_H

#include "gone.h"
#include "member.h"

struct eddy_plan_words {
    uint64_t *at;
    size_t count;
    size_t room;
};

struct eddy_plan_taken {
    uint64_t off;
    unsigned class_;
    struct eddy_trie_leaf *near; /* where it is remembered, once it is linked; NULL: nowhere */
};

/* A stream that this thread has written to before: where its descriptor was, and the leaf of its
 * last versions. Hints, checked by their tags before they are used. */
struct eddy_plan_known {
    uint64_t hash;
    uint64_t desc; /* 0: none */
    uint64_t desc_tag;
    uint64_t era;    /* in which it was found to hold last: for append.c */
    uint64_t groups; /* that its appends wake */
    struct eddy_trie_leaf leaf;
};

enum { EDDY_PLAN_KNOWN = 4096, EDDY_PLAN_LISTS = 256 };

struct eddy_plan {
    struct eddy_thread *thread;
    struct eddy_view view; /* the store, seen as if the list were applied */
    struct eddy_overlay own;
    struct eddy_plan_words sets;
    struct eddy_plan_words swaps;
    struct eddy_plan_words maxima;
    struct eddy_plan_words condemned; /* blocks that it condemns, and their tags: until the reset */
    struct eddy_plan_taken *taken;
    size_t taken_count;
    size_t taken_room;
    struct eddy_trie_leaf tail;   /* of the offset trie */
    struct eddy_plan_known *last; /* used last; NULL: none */
    struct eddy_gone_rise rise;   /* of the floor */
    eddy_limits limits;           /* those of the block at limits_off, in its life */
    uint64_t limits_off;
    uint64_t limits_tag;
    uint64_t first_stream; /* no stream up to this number is there: a hint */
    struct eddy_plan_known known[EDDY_PLAN_KNOWN];
    struct eddy_plan_known lists[EDDY_PLAN_LISTS]; /* the same of lists (list.h) */
};

/* Numbers to be set in a row: base + k, or, if refs is not NULL, refs[k]. sum: what a leaf that begins
 * with the first of them says of the bytes before it; bytes[k * step] is how many the k-th one adds to
 * that (NULL: none). */
struct eddy_plan_values {
    uint64_t base;
    const uint64_t *refs;
    uint64_t sum;
    const uint64_t *bytes;
    size_t step;
};

void eddy_plan_init(struct eddy_plan *plan, struct eddy_thread *thread);
void eddy_plan_fini(struct eddy_plan *plan);
/* Begins anew: the nodes that were taken go back. */
void eddy_plan_reset(struct eddy_plan *plan);
/* The list is committed and applied: the nodes belong to the structure. */
void eddy_plan_done(struct eddy_plan *plan);
/* Puts all sections one behind the other into `sets`. */
int eddy_plan_finish(struct eddy_plan *plan);

int eddy_plan_max(struct eddy_plan *plan, eddy_word *word, uint64_t value);
/* Slots [number, number + count) of the number trie under a shared root. near: the leaf that was
 * used last, or NULL. */
int eddy_plan_numbers(struct eddy_plan *plan, eddy_word *root, struct eddy_trie_leaf *near,
                      uint64_t number, uint32_t count, struct eddy_plan_values values);
/* Versions [version, version + count) of a stream, shared or private, whose name has this hash; or
 * ordinals of a list. */
int eddy_plan_versions(struct eddy_plan *plan, struct eddy_shm_stream *stream, uint64_t hash,
                       uint64_t version, uint32_t count, struct eddy_plan_values values);
/* Where a stream with this hash would be noted. */
static inline struct eddy_plan_known *eddy_plan_known(struct eddy_plan *plan, uint64_t hash) {
    return &plan->known[(hash ^ hash >> 32) & (EDDY_PLAN_KNOWN - 1)];
}
static inline struct eddy_plan_known *eddy_plan_known_list(struct eddy_plan *plan, uint64_t hash) {
    return &plan->lists[hash & (EDDY_PLAN_LISTS - 1)];
}
/* The note is of another from now on: a new leaf that was to be remembered in it, once it is linked, is not. */
void eddy_plan_forget_near(struct eddy_plan *plan, const struct eddy_trie_leaf *near);
/* Either, as the hash says. */
static inline struct eddy_plan_known *eddy_plan_known_of(struct eddy_plan *plan, uint64_t hash) {
    return EDDY_FAMILY(hash) ? eddy_plan_known_list(plan, hash) : eddy_plan_known(plan, hash);
}
/* Is the block at off one that this plan took? */
static inline bool eddy_plan_is_private(const struct eddy_plan *plan, uint64_t off) {
    return off != 0 && plan->own.count != 0 && eddy_overlay_over(&plan->own, off, 0) == off;
}
/* A node, private until the list is committed. */
int eddy_plan_node(struct eddy_plan *plan, unsigned bits, unsigned shift, const eddy_word *home,
                   uint64_t base, uint64_t sum, struct eddy_shm_node **node);
/* Makes a cell, which holds `old`, lead to a block: at once, if it is private, else by an entry. */
int eddy_plan_cell(struct eddy_plan *plan, eddy_word *cell, bool private, uint64_t old,
                   uint64_t value);
/* Says of a block that nothing will lead to it. It stands among the sets, before the swaps that make
 * it so: a sweeper that finds a block of the dead owned and without an edge must see that it was no
 * block that was never linked. */
int eddy_plan_condemn(struct eddy_plan *plan, uint64_t off);
/* EDDY_ECORRUPT: a cell that must lead somewhere, or be empty, was left by something that was removed. */
int eddy_plan_damaged(const struct eddy_plan *plan, const eddy_word *cell);
/* As eddy_plan_max(), and seen by who walks on in the plan. */
int eddy_plan_max_seen(struct eddy_plan *plan, eddy_word *word, uint64_t value);
/* Makes a root lead to another block, a private one, or (value 0) to none; what it led to is
 * condemned. */
int eddy_plan_replace(struct eddy_plan *plan, eddy_word *root, uint64_t value, uint64_t seq);
/* Makes a cell lead to a block, or (a mark, with value 0, of transaction seq) nowhere. in: the block in which the cell lies;
 * 0: the superblock. What it led to is not condemned. */
int eddy_plan_link(struct eddy_plan *plan, eddy_word *cell, uint64_t in, uint64_t value,
                   uint64_t seq);
/* Takes a block of a class that is private until the list is committed. */
int eddy_plan_take(struct eddy_plan *plan, unsigned class_, uint64_t *off);

#endif
