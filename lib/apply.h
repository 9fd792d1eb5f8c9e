/* Applying: a loop over the redo list of a committed transaction. It searches nothing, allocates
 * nothing, reads no clock and cannot fail; whoever does it, at once, late or twice, the result is
 * the same. */
#ifndef EDDY_APPLY_H
#define EDDY_APPLY_H

#include "member.h"
#include "ring.h"

/* Applies everything that is committed. Then *seq is the number of the first empty word and *empty
 * its value: the log is exactly [0, *seq) at that instant, and the indexes show it. The caller is
 * inside its span. 0, or EDDY_ECORRUPT. */
int eddy_apply_help(struct eddy_thread *thread, uint64_t *seq, uint64_t *empty);
/* Applies the caller's own transaction, which it has just committed at seq, from its own copy. */
void eddy_apply_own(struct eddy_thread *thread, uint64_t seq, const uint64_t *words, size_t count,
                    uint64_t groups);

#endif
