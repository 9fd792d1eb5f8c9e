/* Conditions: what a transaction expects of the store as it is before it. */
#ifndef EDDY_EXPECT_H
#define EDDY_EXPECT_H

#include "commit.h"

/* Judges the batch's conditions in the order in which they were given, as of the attempt; its streams have
 * been found. 0; EDDY_ECONFLICT and the first that does not hold in *result; or another error. */
int eddy_expect(const struct eddy_committer *committer, struct eddy_batch *batch,
                const struct eddy_attempt *attempt, eddy_result *result);

#endif
