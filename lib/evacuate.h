/* Evacuation: a few events that live on keep whole extents from being used again. They are moved
 * together, and the extents are free.
 */
#ifndef EDDY_EVACUATE_H
#define EDDY_EVACUATE_H

#include "reclaim.h"

/* Moves the events that are there out of sparse extents, among the next `most` extents. Of what a
 * sparse one held at least the part-th part is gone (2: half of it). Outside the span. 1: that was all
 * of them; 0; or an error. */
int eddy_evacuate(struct eddy_reclaim *reclaim, uint64_t most, unsigned part);
/* Do extents hold much more than what is there, so that evacuating pays? */
bool eddy_evacuate_pays(const struct eddy_arena *arena, const struct eddy_ring_copy *now);

#endif
