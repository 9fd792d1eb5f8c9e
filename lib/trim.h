/* Trimming: giving the memory of free extents back to the system. */
#ifndef EDDY_TRIM_H
#define EDDY_TRIM_H

#include "grace.h"

/* Gives back all free extents but the first `keep` of them; *bytes is how much that was. 0 or an
 * error. Outside the span. What somebody may still look at stays: then nothing happens. */
int eddy_trim(struct eddy_thread *thread, uint64_t keep, uint64_t *bytes);

#endif
