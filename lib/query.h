/* Conditions by query: is there an event that a select matches, as of the instant of a commit? */
#ifndef EDDY_QUERY_H
#define EDDY_QUERY_H

#include "batch.h"
#include "gone.h"

/* The first event that matches. */
struct eddy_query_found {
    uint64_t offset;
    uint32_t stream_len;
    char stream[256];
};

/* Looks at what comes after the query's bound, and what it has not looked at yet, as of the state
 * `now`: 1 and *found; 0: no event that is there matches; or an error. desc: of the query's stream, if it
 * names one, or NULL: there is no such stream. */
int eddy_query_look(const struct eddy_view *view, struct eddy_batch_query *query,
                    struct eddy_shm_stream *desc, const struct eddy_ring_copy *now,
                    struct eddy_query_found *found);

#endif
