/* A set of names, to count how many different ones there were. */
#ifndef NAMESET_H
#define NAMESET_H

#include "eddy.h"

struct nameset {
    struct nameset_slot *slots;
    size_t room; /* a power of two, or 0 */
    size_t count;
};

/* Adds a name (it is copied); false if memory ran out. Begins as all zeros. */
bool nameset_add(struct nameset *set, eddy_bytes name);
void nameset_fini(struct nameset *set);

#endif
