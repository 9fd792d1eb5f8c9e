/* eddy_append(). The common one goes in one piece: a few events to one stream that this thread has
 * written to before, with room for them where the last ones went. It is the write path of commit.c
 * with nothing to search and, but for index nodes, nothing to allocate: the same record, the same
 * commit, in a third of the instructions.
 */
#ifndef EDDY_APPEND_H
#define EDDY_APPEND_H

#include "plan.h"

/* 1: appended, *result says where. 0: not in this way (a new stream, another extent, an expectation
 * that does not hold): nothing has happened, eddy_commit() decides. Or EDDY_ECORRUPT.
 * tagged: some of the events may have tags. */
int eddy_append_direct(struct eddy_plan *plan, eddy_bytes stream, int64_t expected,
                       const eddy_new_event *events, size_t count, bool tagged, int64_t now_ns,
                       eddy_result *result);

#endif
