/* Upkeep: commits, and what comes behind them: taking back memory, and making room when there is
 * none. */
#ifndef EDDY_UPKEEP_H
#define EDDY_UPKEEP_H

#include "store.h"

/* As eddy_commit(), and then takes back some of what was removed, at least as much as this
 * transaction has added to it. */
int eddy_upkeep_commit(struct eddy_context *context, struct eddy_batch *batch, int64_t now_ns,
                       eddy_result *result);
/* Drops what has passed the limit of age, if one is set: before who looks is told what there is.
 * Nothing with a read-only handle. 0 or an error. */
int eddy_upkeep_expire(struct eddy_context *context);
/* Takes back all that waits. 0 or an error. */
int eddy_upkeep_backlog(struct eddy_context *context);
/* The same, and removes the streams that it finds emptied. */
int eddy_upkeep_settle(struct eddy_context *context);

/* The totals of now, and, if limits is not NULL, the limits that are set. Works with any handle. */
int eddy_upkeep_totals(struct eddy_context *context, struct eddy_ring_copy *now,
                       eddy_limits *limits);

/* What a call that finds the store full has tried. */
struct eddy_upkeep_wait {
    int64_t deadline_ns; /* 0: not yet set */
    uint32_t rounds;
};
/* The store was found full: makes room, or waits for it, as the handle says. True: try again. Else
 * the sentence of the error says who holds memory back, if somebody does. */
bool eddy_upkeep_make_room(struct eddy_context *context, struct eddy_upkeep_wait *wait);

#endif
