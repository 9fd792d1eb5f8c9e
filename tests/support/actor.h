/* Who does random operations on a store and compares each with a dumb model: one of the workers of the model
 * test, with handles of its own. */
#ifndef ACTOR_H
#define ACTOR_H

#include "sandbox.h"
#include "world.h"

struct actor {
    struct world *world;
    struct rng *rng;
    eddy_store *origin; /* whose store it opens by its descriptor */
    eddy_store *store;
    eddy_store *look; /* read-only */
    eddy_buffer *buffer;
    eddy_tx *tx;
    eddy_reader *follower;
    eddy_select followed;
    char followed_name[24];
    uint64_t followed_to; /* the last offset that it gave */
    struct world_room room;
    struct sandbox *box; /* where it may keep files and stores for a while */
};

/* Another handle on a store, whose clock is the world's. */
eddy_store *actor_store(eddy_store *store, struct world *world, uint32_t flags);
/* Opens and closes what it needs, but for the buffer. */
void actor_open(struct actor *actor);
void actor_close(struct actor *actor);

/* One operation, alone: CHECKs that all it gives is what the model says. */
void actor_operate(struct actor *actor);

/* For a bout, in which all act at once: a transaction that has at least one event (or, alone, any), and the
 * doing of it. */
void actor_random_op(struct actor *actor, struct op *op, bool alone);
void actor_run(struct actor *actor, const struct op *op, struct op_done *done);

#endif
