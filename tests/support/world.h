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
    WORLD_NONE = UINT32_MAX,
    /* Keys: so many states, then checkpoints (of names, each in so many shards), then snapshots (of the
     * first streams, each of so many versions). */
    WORLD_STATES = 12,
    WORLD_SHARDS = 3,
    WORLD_CHECKPOINTS = 6 * WORLD_SHARDS,
    WORLD_VERSIONS = 6,
    WORLD_SNAPSHOTS = 4 * WORLD_VERSIONS,
    WORLD_KEYS = WORLD_STATES + WORLD_CHECKPOINTS + WORLD_SNAPSHOTS
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

enum key_kind { KEY_STATE, KEY_CHECKPOINT, KEY_SNAPSHOT };

/* What is put under a key, or that it is deleted. */
struct world_put {
    uint32_t key;
    bool deletes;
    int64_t expected;
    uint64_t seed; /* of its bytes; a checkpoint has none */
    uint32_t data_len;
    uint32_t metadata_len;
    uint64_t number; /* a state's version, a checkpoint's offset */
    uint64_t shard;  /* a state's, a snapshot's */
    int64_t time_ns;
    uint32_t flags;
};

struct world_key {
    struct world_put put;
    bool there;
    uint64_t revision;
    int64_t recorded_ns;
};

struct world {
    struct world_event live[WORLD_LIVE]; /* in order of their offsets */
    uint32_t count;
    struct world_stream streams[WORLD_STREAMS];
    struct world_key keys[WORLD_KEYS];
    uint64_t revision; /* the highest there has been */
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
/* Its own time, or that of recording. */
int64_t world_time(const struct world_event *event);
bool world_in_shard(const struct world_new *event);
/* Of all that there is to read of an event; never 0 nor 1. */
uint64_t world_hash(const eddy_event *event);

/* The event of an offset, or of a version of a stream, that is there; NULL. */
const struct world_event *world_at(const struct world *world, uint64_t offset);
const struct world_event *world_at_version(const struct world *world, uint32_t stream,
                                           uint64_t version);
/* Whether a select gives an event; of the flags EDDY_SHARD alone is looked at, and not the limit. */
bool world_selects(const struct world *world, const struct world_event *event,
                   const eddy_select *select);

/* ---- keys ---- */

enum key_kind world_key_kind(uint32_t key);
/* The name: of a state its key, of a checkpoint its name, of a snapshot its stream. text has room for 32. */
eddy_bytes world_key_name(const struct world *world, uint32_t key, char *text);
/* The shard of a checkpoint, or the version of a snapshot. */
uint64_t world_key_number(uint32_t key);
void world_random_put(struct rng *rng, uint32_t key, struct world_put *put);
/* Its bytes, in the room until its next use. */
void world_put_bytes(const struct world_put *put, struct world_room *room, eddy_new_state *state);
/* Whether what was read is what is there; CHECKs it. */
void world_same_state(const struct world *world, uint32_t key, struct world_room *room,
                      const eddy_state *state);
void world_same_checkpoint(const struct world *world, uint32_t key,
                           const eddy_checkpoint *checkpoint);
/* Snapshots of a stream up to a version: how many go. */
uint64_t world_cut_snapshots(struct world *world, uint32_t stream, uint64_t version);
/* All there is but the limits: how many events go. */
uint64_t world_reset(struct world *world);

/* ---- transactions ---- */

enum { OP_EVENTS = 6, OP_CONDITIONS = 4, OP_CUTS = 3, OP_PUTS = 3 };
enum cut_kind { CUT_TRUNCATE, CUT_DELETE, CUT_FORGET, CUT_KINDS };

struct op_condition {
    uint32_t stream; /* or WORLD_NONE: of a key */
    uint32_t key;
    int64_t expected;
};

struct op_cut {
    enum cut_kind kind;
    uint32_t stream;
    uint64_t version;
};

/* A transaction: conditions, then what is removed, then events, then keys. */
struct op {
    struct op_condition conditions[OP_CONDITIONS];
    struct op_cut cuts[OP_CUTS];
    struct world_new events[OP_EVENTS];
    uint32_t condition_count;
    uint32_t cut_count;
    uint32_t event_count;
    struct world_put puts[OP_PUTS];
    uint32_t put_count;
    uint32_t snapshot_cut; /* snapshots of this stream go, up to a version; or WORLD_NONE */
    uint64_t snapshot_to;
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
