/* Entries under keys: states, snapshots of streams, checkpoints, and what else is kept by name. An entry
 * is a block that never changes; to set it is to swap another into its place, to delete it to take it
 * out. Each family of keys stands in a trie of its own, as the streams' names do.
 *
 * What is to be done is put into a batch (eddy_batch_put()); here it is planned, and looked up.
 */
#ifndef EDDY_KEYS_H
#define EDDY_KEYS_H

#include "commit.h"
#include "event.h"

/* A key that is a name and a number: of a checkpoint and its shard, of a stream and the version of a
 * snapshot. */
struct eddy_key_numbered {
    unsigned char bytes[EDDY_KEY_MAX];
    uint32_t len;
};
enum { EDDY_KEY_NUMBER = 8 }; /* bytes of it, the highest first */

/* The name has at most EDDY_STREAM_MAX bytes. */
void eddy_key_number(struct eddy_key_numbered *key, eddy_bytes name, uint64_t number);
static inline eddy_bytes eddy_key_bytes(const struct eddy_key_numbered *key) {
    return eddy_mem(key->bytes, key->len);
}
/* The number at the end of a key of at least so many bytes. */
uint64_t eddy_key_number_of(const void *key, size_t len);

/* The highest offset that can be: of a checkpoint that holds retention. */
#define EDDY_OFFSET_MAX ((UINT64_C(1) << 62) - 1)

/* What an entry says. */
struct eddy_key {
    uint64_t off; /* where it lies: inside the span in which it was found */
    uint64_t value;
    uint64_t aux;
    uint64_t revision;
    int64_t time_ns;
    int64_t recorded_ns;
    uint32_t flags;
    uint32_t name_len;
    uint32_t data_len;
    uint32_t meta_len;
    char name[EDDY_KEY_MAX + 1]; /* the key, and a zero */
};

/* The entry of a key: 1, 0 if there is none, or EDDY_ECORRUPT. */
int eddy_key_find(const struct eddy_view *view, unsigned family, eddy_bytes name,
                  struct eddy_key *key);
/* Copies its data, its metadata behind that, and its key behind that, into the room: 0 or an error. In
 * the span in which it was found. */
int eddy_key_payload(const struct eddy_view *view, const struct eddy_key *key,
                     struct eddy_room *room);
/* Has a linked entry, in a block of a class, the bytes that it says it has? */
bool eddy_key_whole(const struct eddy_view *view, uint64_t off, unsigned class_);
/* Calls fn for all entries of a family, in no order, until it gives another value than 0, which is
 * returned. */
int eddy_key_each(const struct eddy_view *view, unsigned family,
                  int (*fn)(void *arg, const struct eddy_key *key), void *arg);
/* The same for those under one cell of the family's root. Where others put and delete meanwhile: each that
 * is there all the time is met, unless it gives EDDY_KEY_MOVED: then again. fn does not give that. */
enum { EDDY_KEY_MOVED = 2 };
int eddy_key_each_of_cell(const struct eddy_view *view, unsigned family, unsigned cell,
                          int (*fn)(void *arg, const struct eddy_key *key), void *arg);
/* The entry at off, which is in the span: its family, or EDDY_ECORRUPT. */
int eddy_key_at(const struct eddy_view *view, uint64_t off, struct eddy_key *key);
/* The checkpoint that holds retention furthest back: 1, 0 if none does, or an error. *name is its name,
 * in the key. */
int eddy_key_holder(const struct eddy_view *view, struct eddy_key *key);

/* The revision of what transaction seq puts: never used twice in a store. */
static inline uint64_t eddy_key_revision(const struct eddy_arena *arena, uint64_t seq) {
    return arena->revision_base + seq + 1;
}

/* Which one is meant, for people: "state 'x'", "checkpoint 'x' of shard 3". text has room for 400. */
enum { EDDY_KEY_TEXT = 400 };
void eddy_key_describe(uint64_t hash, eddy_bytes name, char *text);
/* A key without its number, if it has one. */
eddy_bytes eddy_key_plain(uint64_t hash, eddy_bytes name);

/* Plans what the batch is to set and to delete. */
int eddy_key_plan(const struct eddy_committer *committer, struct eddy_batch *batch,
                  struct eddy_attempt *attempt);

/* The steps of that. Each is given its key, and what is there: 0 or an error. */
int eddy_key_plan_set(const struct eddy_committer *committer, eddy_bytes name, uint64_t hash,
                      const struct eddy_batch_put *put, struct eddy_attempt *attempt,
                      struct eddy_key *was);
/* 1 if there was one. What this transaction has put is left. */
int eddy_key_plan_delete(const struct eddy_committer *committer, eddy_bytes name, uint64_t hash,
                         struct eddy_attempt *attempt, struct eddy_key *was);

#endif
