/* Entries under keys: checkpoints, by their names. They stand in the trie of the streams' names, as
 * things of another kind, and are replaced whole. */
#ifndef EDDY_KEYS_H
#define EDDY_KEYS_H

#include "commit.h"

/* The hash of an entry's name. */
uint64_t eddy_key_hash(const struct eddy_arena *arena, eddy_bytes name);

/* What an entry says. */
struct eddy_key {
    uint64_t offset;
    uint64_t revision;
    int64_t time_ns;
    uint32_t flags;
    uint32_t name_len;
    char name[256];
};
/* The entry of a name: 1, 0 if there is none, or EDDY_ECORRUPT. */
int eddy_key_find(const struct eddy_view *view, eddy_bytes name, uint64_t hash,
                  struct eddy_key *key);
/* Calls fn for all entries, in no order, until it gives another value than 0, which is returned. */
int eddy_key_each(const struct eddy_view *view, int (*fn)(void *arg, const struct eddy_key *key),
                  void *arg);
/* The one that holds retention furthest back: 1, 0 if none does, or an error. */
int eddy_key_holder(const struct eddy_view *view, struct eddy_key *key);

/* Plans what the batch is to set and to delete. */
int eddy_key_plan(const struct eddy_committer *committer, struct eddy_batch *batch,
                  struct eddy_attempt *attempt);

#endif
