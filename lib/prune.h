/* Taking nodes out of number tries, when nothing is under them any more. Inside the span, with
 * everything that was committed applied.
 */
#ifndef EDDY_PRUNE_H
#define EDDY_PRUNE_H

#include "grace.h"

/* Says of a block that it is going to go. False: it went already. */
bool eddy_prune_condemn(struct eddy_shm_block *block);
/* A condemned block without a way in is retired, in the name of this member. */
void eddy_prune_retire(struct eddy_grace *grace, uint64_t off);
/* Are all ways out of a node of so many slots, of offsets, numbers or a list, marks? */
bool eddy_prune_all_gone(const struct eddy_shm_node *node, unsigned slots);
/* Takes out the nodes on the way to a number that are dead, from below: 0 or an error. leaf_dead: its
 * leaf is, whatever its slots hold. */
int eddy_prune_number(struct eddy_grace *grace, eddy_word *root, uint64_t number, bool leaf_dead);
/* The leaf of a version, all of whose versions are gone and lead to nothing any more. */
int eddy_prune_version(struct eddy_grace *grace, struct eddy_shm_stream *stream, uint64_t version);
/* A condemned descriptor that nothing leads to, with all that is left of its versions' index. */
void eddy_prune_stream(struct eddy_grace *grace, uint64_t desc);

#endif
