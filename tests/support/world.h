/* A dumb store in memory that processes share, for the model test: what every call should give, by the
 * simplest means. Who changes it has the turn, or is alone; it guards nothing itself. Events are kept in a
 * list of those that are there, and their bytes are made of a seed whenever they are wanted. */
#ifndef WORLD_H
#define WORLD_H

#include "eddy.h"
#include "rng.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    WORLD_STREAMS = 40,
    WORLD_LIVE = 6000, /* events that are there at once; world_is_full() says when to remove some */
    WORLD_EVER = 1 << 24,
    WORLD_TYPES = 5,
    WORLD_NONE = UINT32_MAX
};

/* What of an event its writer chooses. */
struct world_new {
    uint64_t seed; /* of its bytes */
    uint32_t stream;
    uint32_t data_len;
    uint32_t metadata_len;
    uint32_t type; /* 0: none */
    bool id;
    uint32_t flags;
    uint64_t shard;
    int64_t time_ns;
};

struct world_event {
    struct world_new given;
    uint64_t offset;
    uint64_t version;
    uint64_t tx_offset;
    uint32_t tx_count;
    int64_t recorded_ns;
};

struct world_stream {
    char name[24];
    uint64_t version;
    uint64_t cut; /* versions up to here were removed by hand */
    bool known;
    bool there;
};

struct world {
    struct world_event live[WORLD_LIVE]; /* in order of their offsets */
    uint32_t count;
    struct world_stream streams[WORLD_STREAMS];
    uint64_t head;
    _Atomic int64_t now;         /* the store's clock */
    uint64_t refused;            /* transactions */
    int64_t recorded_ns;         /* of the last transaction */
    uint64_t hashes[WORLD_EVER]; /* world_hash() of each event there has been, by its offset */
};

void world_init(struct world *world);
bool world_is_full(const struct world *world);
eddy_bytes world_name(const struct world *world, uint32_t stream);

/* ---- events ---- */

/* Memory for the bytes of one event. */
struct world_room {
    unsigned char *bytes;
    size_t len;
    char type[16];
    char id[64];
};

void world_random_event(struct rng *rng, uint32_t stream, struct world_new *event);
/* As it is appended, and as it is read; the bytes are in the room until its next use. */
void world_give(const struct world_new *event, struct world_room *room, eddy_new_event *given);
void world_read(const struct world *world, const struct world_event *event, struct world_room *room,
                eddy_event *read);
/* Of all that there is to read of an event; never 0 nor 1. */
uint64_t world_hash(const eddy_event *event);

/* The event of an offset, or of a version of a stream, that is there; NULL. */
const struct world_event *world_at(const struct world *world, uint64_t offset);
const struct world_event *world_at_version(const struct world *world, uint32_t stream,
                                           uint64_t version);
/* Whether a select gives an event; flags and limit are not looked at. */
bool world_selects(const struct world *world, const struct world_event *event,
                   const eddy_select *select);

/* ---- transactions ---- */

enum { OP_EVENTS = 6, OP_CONDITIONS = 4, OP_CUTS = 3 };
enum cut_kind { CUT_TRUNCATE, CUT_DELETE, CUT_FORGET, CUT_KINDS };

struct op_condition {
    uint32_t stream;
    int64_t expected;
};

struct op_cut {
    enum cut_kind kind;
    uint32_t stream;
    uint64_t version;
};

/* A transaction: conditions, then what is removed, then events. */
struct op {
    struct op_condition conditions[OP_CONDITIONS];
    struct op_cut cuts[OP_CUTS];
    struct world_new events[OP_EVENTS];
    uint32_t condition_count;
    uint32_t cut_count;
    uint32_t event_count;
};

/* What it gave. */
struct op_done {
    int got;
    eddy_result result;
    uint64_t before; /* the head before and behind the call */
    uint64_t after;
};

/* What it should give now: 0, EDDY_ECONFLICT (with *condition), or EDDY_EINVAL. */
int world_judge(const struct world *world, const struct op *op, uint32_t *condition);
/* Does a refusal say what is so now? */
bool world_explains(const struct world *world, const struct op *op, const struct op_done *done);
/* CHECKs a transaction that succeeded against what should become of it now, and does it. */
void world_do(struct world *world, const struct op *op, const struct op_done *done);

/* ---- removing; each gives the number of events, or of streams, that go ---- */

uint64_t world_cut(struct world *world, enum cut_kind kind, uint32_t stream, uint64_t version);
uint64_t world_remove_empty(struct world *world);
uint64_t world_forget_removed(struct world *world);
/* A limit that leaves so many events: the number of streams that it leaves empty, and removes. */
uint64_t world_keep(struct world *world, uint32_t events);

#endif
