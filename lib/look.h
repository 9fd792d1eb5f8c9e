/* Looking in: facts about the store, its streams and its members. */
#ifndef EDDY_LOOK_H
#define EDDY_LOOK_H

#include "store.h"

/* Facts grow with new versions of eddy: a caller that was built with an older header has a smaller
 * struct, and gets that much. */
int eddy_look_give(void *to, uint32_t size, void *from, size_t full, size_t least);
/* The totals as of now: in now->now, for now->seq transactions. */
int eddy_look_totals(struct eddy_store *store, struct eddy_instant *now);
/* The first offset behind `after` that is there, about now: 0 if there is none. */
int eddy_look_first(struct eddy_store *store, const struct eddy_instant *now, uint64_t after,
                    uint64_t *first);

#endif
