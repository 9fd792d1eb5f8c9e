/* Looking through all extents for what was left undone: by who died, or could not go on. It is begun
 * when somebody has said that there may be something (eddy_grace_due()), and goes on in slices. */
#ifndef EDDY_SCAN_H
#define EDDY_SCAN_H

#include "reclaim.h"

/* Looks through the next `most` extents for what was left undone. 1: that was all of them. */
int eddy_scan_slice(struct eddy_reclaim *reclaim, uint64_t most);

#endif
