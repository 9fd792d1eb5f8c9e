/* Tidying up among streams: those without events are removed, removed ones forgotten, a few in each
 * transaction. */
#ifndef EDDY_TIDY_H
#define EDDY_TIDY_H

#include "store.h"

/* Going through all streams by their numbers. */
struct eddy_tidy {
    eddy_bytes prefix; /* of the names of those that are meant */
    unsigned kind;     /* EDDY_CUT_EMPTY, _LIMIT, _FORGET_REMOVED or _FORGET_EMPTY */
    bool by_floor;   /* EDDY_CUT_EMPTY: only of those that the floor has emptied, not their users */
    uint64_t number; /* the last one that was looked at */
    uint64_t done;   /* streams for which it was done */
};

/* Looks at the next ones and does what is to be done for at most `most` of them: 1 that was all of
 * them, 0 there are more, or an error. Outside the span. */
int eddy_tidy_on(struct eddy_context *context, struct eddy_tidy *tidy, uint64_t most);
/* Removes those of these descriptors whose streams have no event. 0 or an error. */
int eddy_tidy_empty(struct eddy_context *context, const struct eddy_reclaim_stream *streams,
                    size_t count);

#endif
