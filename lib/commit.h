/* Committing a batch: help, evaluate, swap the commit word, apply. */
#ifndef EDDY_COMMIT_H
#define EDDY_COMMIT_H

#include "batch.h"
#include "directory.h"
#include "plan.h"

struct eddy_committer {
    struct eddy_thread *thread;
    struct eddy_directory *directory;
    struct eddy_plan *plan;
};

/* Commits, or says why not: EDDY_ECONFLICT with the facts in *result, and other errors. The batch's
 * memory is kept or given back accordingly; its notes stay, for eddy_batch_clear(). now_ns is the
 * clock's time. *result has the offsets. */
int eddy_commit(const struct eddy_committer *committer, struct eddy_batch *batch, int64_t now_ns,
                eddy_result *result);

#endif
