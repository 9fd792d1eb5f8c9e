/* Of an actor: what it does with states, checkpoints and snapshots, and with copies of the whole store. */
#ifndef ACTOR_KEYS_H
#define ACTOR_KEYS_H

#include "actor.h"

/* The handle, or now and then the read-only one. */
eddy_store *actor_either(struct actor *actor);

/* Parts of a transaction that concern keys. */
void actor_random_keys(struct actor *actor, struct op *op);
void actor_expect_key(struct actor *actor, uint32_t key, int64_t expected);
void actor_add_keys(struct actor *actor, const struct op *op);
/* A transaction that does one thing to one key, by the call for that; false: it is no such. */
bool actor_run_key(struct actor *actor, const struct op *op, struct op_done *done);

/* Operations. */
void actor_look_at_key(struct actor *actor);
void actor_list_keys(struct actor *actor);
void actor_reset_checkpoints(struct actor *actor);
/* To a file and back: what is restored is what is there. Now and then all is reset then. */
void actor_copy(struct actor *actor);

void actor_look_at_one_key(struct actor *actor, uint32_t key);
void actor_look_at_all(struct actor *actor);

#endif
