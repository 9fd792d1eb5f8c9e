/* Committing a batch: help, evaluate, swap the commit word, apply. */
#ifndef EDDY_COMMIT_H
#define EDDY_COMMIT_H

#include "apply.h"
#include "batch.h"
#include "directory.h"
#include "plan.h"
#include "ring.h"

struct eddy_committer {
    struct eddy_thread *thread;
    struct eddy_directory *directory;
    struct eddy_plan *plan;
    /* Called when there is no memory for index nodes or a list, outside the span: true to try again.
     * NULL: not. */
    bool (*make_room)(void *arg);
    void *arg;
};

/* Commits, or says why not: EDDY_ECONFLICT with the facts in *result, and other errors. The batch's
 * memory is kept or given back accordingly; its notes stay, for eddy_batch_clear(). now_ns is the
 * clock's time. *result comes in cleared, and has the offsets. */
int eddy_commit(const struct eddy_committer *committer, struct eddy_batch *batch, int64_t now_ns,
                eddy_result *result);

/* The steps of a commit, for those who evaluate in their own way. */

/* One try, as of s. */
struct eddy_attempt {
    uint64_t s;
    uint64_t empty;
    uint64_t first_offset;       /* of its events */
    struct eddy_ring_copy after; /* the totals: before it; to be made those after it */
    unsigned which;              /* of our buffers */
    uint64_t groups;
    int64_t now_ns;
    uint64_t removed;  /* events, and snapshots of streams, that it removes */
    uint64_t revision; /* of what it puts under keys; 0: nothing */
    bool more;         /* limits want more to be removed than one transaction does */
};

/* Helps, and looks at the state of the store before s. 0 or EDDY_ECORRUPT. Inside the span. */
static inline int eddy_commit_look(struct eddy_thread *thread, int64_t now_ns,
                                   struct eddy_attempt *t) {
    uint32_t tail = 0;
    int r = 0;
    while (r == 0) {
        /* Most of the time there is nothing to help with: [0, s) is applied, and s is empty. */
        t->s = eddy_ring_applied(thread->arena);
        t->empty = eddy_ring_load(thread->arena, t->s);
        if (eddy_ring_round_of(t->empty) != eddy_ring_round(t->s) - 1) {
            r = eddy_apply_help(thread, &t->s, &t->empty);
        }
        if (r == 0) {
            r = eddy_ring_before_inline(thread->arena, t->s, &t->after, &tail);
        }
        if (r < 0) {
            return r;
        }
    }
    t->which = tail == eddy_ring_buffer(thread->idx, 0);
    t->first_offset = t->after.next_offset;
    t->groups = 1;
    t->now_ns = now_ns;
    t->removed = 0;
    t->more = false;
    if (now_ns > t->after.time_ns) {
        t->after.time_ns = now_ns;
    }
    return 0;
}

/* Where a list of at most EDDY_LIST_INLINE words may be written at once. */
static inline eddy_word *eddy_commit_list(const struct eddy_thread *thread,
                                          struct eddy_attempt *attempt) {
    eddy_ring_reuse();
    attempt->after.list_off = 0;
    return thread->slot->buffer[attempt->which].list;
}
/* Commits a list of so many words, which is where the attempt wants it: true, and the caller applies
 * it; false if somebody else was faster. */
static inline bool eddy_commit_written(const struct eddy_thread *thread, struct eddy_attempt *t,
                                       size_t count) {
    t->after.seq = t->s;
    t->after.words = count;
    t->after.groups = t->groups;
    eddy_ring_reuse();
    eddy_ring_write_header(&thread->slot->buffer[t->which].head, &t->after);
    return eddy_ring_commit(thread->arena, t->s, t->empty, eddy_ring_buffer(thread->idx, t->which));
}

/* Writes a list and its header, and commits: 1, and the caller applies it; 0 if somebody else was
 * faster; or an error, if the list needs memory and there is none. */
int eddy_commit_try(struct eddy_thread *thread, struct eddy_attempt *attempt, const uint64_t *words,
                    size_t count);

/* Plans what the batch's events need in the indexes, as of an attempt that says which offsets they get,
 * streams being found, with their versions before. 0 or an error. */
int eddy_commit_plan_events(const struct eddy_committer *committer, struct eddy_batch *batch,
                            struct eddy_attempt *attempt);

/* Does a stream at version `actual` that is there, or not, meet the expectation? One that was
 * removed is a new stream to who expects none, and still at its version to who names that. */
static inline bool eddy_commit_holds(int64_t expected, uint64_t actual, bool there) {
    return expected == EDDY_ANY || (expected == EDDY_EXISTS && there) ||
           (expected == EDDY_NONE && !there) || (expected >= 0 && (uint64_t)expected == actual);
}

#endif
