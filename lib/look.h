/* Looking in: facts about the store, its streams and its members. */
#ifndef EDDY_LOOK_H
#define EDDY_LOOK_H

#include "store.h"

#endif
