/* What a plan changes in the trie of names: descriptors and entries go in, in the place of others, and
 * out. One cell leads to each (the edge), and what it led to is condemned by the same record. */
#ifndef EDDY_NAMES_H
#define EDDY_NAMES_H

#include "plan.h"

/* Links a private descriptor by its name, which is not there yet. */
int eddy_names_add(struct eddy_plan *plan, uint64_t stream_off, eddy_bytes name, uint64_t hash);
/* Puts a private entry under its name, where eddy_keyed_locate() has just found `was`, which is
 * condemned, with its further blocks; 0: there is none. */
int eddy_names_put(struct eddy_plan *plan, uint64_t off, uint64_t was,
                   const struct eddy_stream_place *place, uint64_t seq);
/* Takes a descriptor, or an entry, out of the index of names and of numbers, and with it nodes that nothing is
 * under any more; all are condemned. seq: of the transaction. */
int eddy_names_remove(struct eddy_plan *plan, uint64_t stream_off, uint64_t seq);

#endif
