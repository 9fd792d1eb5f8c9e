/* Limits of a store, and what goes when they are passed: what an evaluation plans for it. */
#ifndef EDDY_RETAIN_H
#define EDDY_RETAIN_H

#include "commit.h"

/* The limits that are set, as the view sees them: all zero if none are. 0 or EDDY_ECORRUPT. */
int eddy_retain_load(const struct eddy_view *view, eddy_limits *limits);
/* Plans to set others. */
int eddy_retain_set(struct eddy_plan *plan, const eddy_limits *limits, uint64_t seq);
/* Plans to drop what a stream at this version has beyond the limit of each stream. */
int eddy_retain_stream(struct eddy_plan *plan, struct eddy_shm_stream *stream, uint64_t version,
                       struct eddy_attempt *attempt);
/* Refuses the batch, or plans to drop, as the limits say. attempt->more: there is more to drop than
 * one transaction does. */
int eddy_retain_plan(const struct eddy_committer *committer, struct eddy_batch *batch,
                     struct eddy_attempt *attempt);

void eddy_retain_start(struct eddy_gone_rise *rise, const struct eddy_ring_copy *now);
/* One event up, or over numbers that have gone together. last: the last offset there is. 0 or an
 * error. */
int eddy_retain_step(const struct eddy_view *view, struct eddy_gone_rise *rise,
                     const struct eddy_ring_copy *now);

/* What an event in a block of ours has not, of what a strict store (EDDY_STRICT) wants: NULL if it has
 * all. */
const char *eddy_retain_lacks(const struct eddy_arena *arena, uint64_t block);
/* For the short way of an append: goes on if the limits, whose block is at `off`, want no more than that
 * a few of the oldest events go, and takes those out of attempt->after. False: in the long way. */
bool eddy_retain_few(struct eddy_plan *plan, uint64_t off, struct eddy_attempt *attempt,
                     uint64_t events, uint64_t bytes);
/* Has the oldest event passed the limit of age? As of the state `now`, or so. */
bool eddy_retain_expired(const struct eddy_view *view, const struct eddy_ring_copy *now,
                         const eddy_limits *limits, int64_t now_ns);
/* What would go if these were the limits: as of the state `now`. 0 or an error. */
int eddy_retain_preview(const struct eddy_view *view, const struct eddy_ring_copy *now,
                        const eddy_limits *limits, int64_t now_ns, eddy_dropped *dropped);

#endif
