/* Looking in: facts about the store, its streams and its members. */
#ifndef EDDY_LOOK_H
#define EDDY_LOOK_H

#include "store.h"

/* Brings the directory's sorted names up to the streams of the instant. Inside the span. */
int eddy_look_sort(struct eddy_store *store, struct eddy_instant *instant);

#endif
