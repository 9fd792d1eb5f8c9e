/* What is under keys, for those who offer it: one change as a transaction of its own, one look as of an
 * instant, and names in byte order. */
#ifndef EDDY_ENTRIES_H
#define EDDY_ENTRIES_H

#include "keys.h"
#include "store.h"

/* One change to one key, with a condition on it unless expected is EDDY_ANY. result may be NULL. */
int eddy_entries_change(eddy_store *store, unsigned family, eddy_bytes key,
                        const struct eddy_batch_put *put, int64_t expected, eddy_result *result);

/* What is there: 1, 0 (as of an instant), or an error. room: its bytes, see eddy_key_payload(); NULL:
 * they are not wanted. */
int eddy_entries_get(eddy_store *store, unsigned family, eddy_bytes key, struct eddy_key *found,
                     struct eddy_room *room);

/* Some keys of a family, in byte order. */
struct eddy_entries_name {
    uint32_t len;
    unsigned char bytes[];
};
struct eddy_entries_names {
    struct eddy_entries_name **at;
    size_t count;
    size_t room;
};
/* The first `most` keys that begin with prefix and come after `after`: of an instant, or, if others
 * commit all the time, each was there at some instant of the call. 0 or an error. */
int eddy_entries_page(eddy_store *store, unsigned family, eddy_bytes prefix, eddy_bytes after,
                      size_t most, struct eddy_entries_names *names);
void eddy_entries_free(struct eddy_entries_names *names);

/* How keys compare: as bytes. */
int eddy_entries_compare(eddy_bytes a, eddy_bytes b);

/* A name that is a key, or a part of one: what is it the name of? */
int eddy_entries_check_name(eddy_bytes name, const char *of_what);
/* Checks what is to be put, and says it. */
int eddy_entries_check_state(const eddy_new_state *given, struct eddy_batch_put *put);
/* Gives what was found; its bytes are in the room. plain: bytes of the key that are shown. */
void eddy_entries_give(const struct eddy_key *found, const struct eddy_room *room, size_t plain,
                       eddy_state *to);

#endif
