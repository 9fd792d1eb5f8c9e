/* Transactions with keys: the answer to each is kept for a while, under its key, so that who tries one
 * again, since the first answer was lost, gets that answer and changes nothing. */
#ifndef EDDY_ONCE_H
#define EDDY_ONCE_H

#include "commit.h"

/* How many answers are kept, and for how long, if the limits do not say. */
#define EDDY_ONCE_KEYS UINT64_C(65536)
#define EDDY_ONCE_AGE_NS (INT64_C(600) * 1000000000)

/* Has the batch's key been answered? 1 and the answer in *result; 0; or an error. */
int eddy_once_find(const struct eddy_committer *committer, const struct eddy_batch *batch,
                   const struct eddy_attempt *attempt, eddy_result *result);
/* Plans to keep the answer of this one, and to drop some that are no longer kept. Last: the rest is
 * planned. */
int eddy_once_plan(const struct eddy_committer *committer, const struct eddy_batch *batch,
                   struct eddy_attempt *attempt);
/* Plans to drop some; attempt->more if there are more of them. */
int eddy_once_drop(const struct eddy_committer *committer, struct eddy_attempt *attempt);
/* Makes the queue from the answers that are there, in a store that nobody else has. */
int eddy_once_restore(const struct eddy_view *view);

/* Walks the queue. 0; 1 if it is not one whole queue of all answers; or an error. */
int eddy_once_check(const struct eddy_view *view);

#endif
