/* Removing events of single streams, streams, and names: what an evaluation plans for it. */
#ifndef EDDY_CUT_H
#define EDDY_CUT_H

#include "commit.h"

/* Plans what the batch is to remove, as of the attempt. */
int eddy_cut_plan(const struct eddy_committer *committer, struct eddy_batch *batch,
                  struct eddy_attempt *attempt);
/* Removes the events of a stream up to a version. */
int eddy_cut_stream(struct eddy_plan *plan, struct eddy_shm_stream *stream, uint64_t version,
                    struct eddy_attempt *attempt);
/* Removes all events that are there. */
int eddy_cut_all(struct eddy_plan *plan, struct eddy_attempt *attempt);
/* Removes a stream that is there. */
int eddy_cut_remove(struct eddy_plan *plan, struct eddy_shm_stream *stream,
                    struct eddy_attempt *attempt);

#endif
