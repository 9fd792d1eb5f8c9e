/* A dumb store in the memory of one process: what eddy should say, by the simplest means. */
#ifndef MODEL_H
#define MODEL_H

#include "eddy.h"
#include "rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;

struct model *model_create(void);
void model_destroy(struct model *model);

/* The last version of a stream; 0 if it has none. */
uint64_t model_version(const struct model *model, eddy_bytes stream);
/* Whether a stream is as expected: a version, EDDY_ANY, EDDY_NONE or EDDY_EXISTS. */
bool model_holds(const struct model *model, eddy_bytes stream, int64_t expected);
uint64_t model_head(const struct model *model);
uint64_t model_transactions(const struct model *model);
size_t model_streams(const struct model *model);

/* Adds an event to the open transaction; model_commit() gives its events their places, and
 * model_abandon() forgets them. */
void model_append(struct model *model, eddy_bytes stream, const eddy_new_event *event);
void model_commit(struct model *model, int64_t recorded_ns);
void model_abandon(struct model *model);

/* The event at an offset, as a reader gives it; NULL if there is none. */
const eddy_event *model_at(const struct model *model, uint64_t offset);
const eddy_event *model_at_version(const struct model *model, eddy_bytes stream, uint64_t version);

/* Whether an event is one of those selected; of the flags only EDDY_SHARD is looked at, and limit is not. */
bool model_matches(const eddy_event *event, const eddy_select *select);
/* Whether two events are equal in everything; says on stderr in what they are not. */
bool model_same(const eddy_event *got, const eddy_event *expected);
/* Both at once: CHECKs that a store holds exactly what the model does. */
void model_check_store(const struct model *model, eddy_store *store);

/* A random event whose bytes lie in the given room (overwritten by the next). Types are "type-0" to
 * "type-4" or none; up to 3 of five tags; ids, metadata, times and shards (mostly 0 to 4) are given or
 * not; data has 0 to data_max bytes,
 * mostly few. */
struct model_room {
    unsigned char *bytes;
    size_t len;
    char type[16];
    char id[40];
    eddy_bytes tags[3];
};
void model_random_event(struct rng *rng, struct model_room *room, size_t data_max,
                        eddy_new_event *event);

#endif
