/* Lists: numbers under ordinals 1, 2, 3, ..., under a key that is no stream's name.
 *
 * A list is a descriptor in a family of names of its own, and the index of a stream's versions below
 * it. It is not numbered among the streams. In the list of a shard the numbers are the offsets of its
 * events, so they rise.
 */
#ifndef EDDY_LIST_H
#define EDDY_LIST_H

#include "batch.h"
#include "commit.h"
#include "plan.h"

enum { EDDY_LIST_KEY_LEN = 9, EDDY_LIST_SHARD = 'S' };

struct eddy_list_key {
    uint64_t hash;
    unsigned char bytes[EDDY_LIST_KEY_LEN]; /* kind, number: big-endian */
};

struct eddy_list_key eddy_list_key(const struct eddy_arena *arena, unsigned kind, uint64_t number);
static inline eddy_bytes eddy_list_name(const struct eddy_list_key *key) {
    return eddy_mem(key->bytes, sizeof key->bytes);
}
/* Is this descriptor one of a list; and of what? */
bool eddy_list_is(const struct eddy_shm_stream *d);
uint64_t eddy_list_number(const struct eddy_shm_stream *d, unsigned *kind);
/* The descriptor of a list: its offset, 0 if there is none, or EDDY_ECORRUPT. */
int64_t eddy_list_find(const struct eddy_view *view, const struct eddy_list_key *key);
/* Calls fn for each list, until it gives another value than 0, which is returned. */
int eddy_list_each(const struct eddy_view *view, int (*fn)(void *arg, struct eddy_shm_stream *list),
                   void *arg);

/* What stands at an ordinal. A slot holds its number times two, and one more once that is gone. */
struct eddy_list_at {
    eddy_word *slot; /* NULL: there is none, any more or yet */
    uint64_t number; /* 0: not known */
    bool gone;
    uint64_t first; /* the ordinals that are known to be gone together, this one among them */
    uint64_t last;
};
#define EDDY_LIST_SLOT(number) ((uint64_t)(number) << 1)
/* 1 it is there, 0 it is gone (at->gone) or yet to come, or an error. near may be NULL. */
int eddy_list_look(const struct eddy_view *view, struct eddy_shm_stream *list, uint64_t ordinal,
                   struct eddy_trie_leaf *near, struct eddy_list_at *at);
/* The last ordinal in [low, high] whose number is known and at most `number`; else low, or the last of
 * those from low on that are gone together. */
int eddy_list_before(const struct eddy_view *view, struct eddy_shm_stream *list, uint64_t low,
                     uint64_t high, uint64_t number, uint64_t *found);

/* The ordinal of an event in the list of a shard: 0 if it is not there or marked, or an error. */
int64_t eddy_list_has(const struct eddy_view *view, uint64_t shard, uint64_t offset);
/* Reports what is wrong in a list, as of the instant of the view. Reads only, and bounded. */
void eddy_list_check(const struct eddy_view *view, struct eddy_shm_stream *list,
                     eddy_report_fn report, void *arg);

/* Adds the batch's events of shards to their lists; after its offsets are known. */
int eddy_list_plan_shards(const struct eddy_committer *committer, struct eddy_batch *batch,
                          struct eddy_attempt *attempt);
/* Takes lists out in which nothing is left. */
int eddy_list_plan_empty(const struct eddy_committer *committer, struct eddy_batch *batch,
                         struct eddy_attempt *attempt);

/* The times of the events below a node of a shard's list: as words that only rise. */
static inline uint64_t eddy_list_time_word(int64_t time_ns) {
    return (uint64_t)time_ns ^ UINT64_C(1) << 63;
}
static inline int64_t eddy_list_time(uint64_t word) {
    return (int64_t)(word ^ UINT64_C(1) << 63);
}

#endif
