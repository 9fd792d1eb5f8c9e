/* Clearing up after the dead, by whoever finds it due. */
#ifndef EDDY_MAINTAIN_H
#define EDDY_MAINTAIN_H

#include "apply.h"
#include "streams.h"

/* Sweeps every member that is proved dead. Returns how many, or EDDY_ECORRUPT. */
int eddy_maintain_sweep_dead(struct eddy_thread *thread);
/* The same for a process that has no slot, since all are taken: through the recovery slot. */
int eddy_maintain_recover(struct eddy_arena *arena);

#endif
