/* Two stores that must be the same: everything that eddy.h tells of them is compared. */
#ifndef UNIT_TWIN_H
#define UNIT_TWIN_H

#include "eddy.h"

/* Asserts it, line by line of what twin_text() gives. */
void twin_assert_same(eddy_store *one, eddy_store *other);

/* Events (by offset, with their transactions and times), streams with their snapshots, states, checkpoints, limits
 * and totals, as text. To be freed. */
char *twin_text(eddy_store *store);

/* Asserts that all events of the first are those of the other up to the first one's head, without
 * keeping them. */
void twin_assert_same_events(eddy_store *one, eddy_store *other);

#endif
