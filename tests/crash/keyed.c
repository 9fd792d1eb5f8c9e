/* What is under keys: put, replaced, deleted; small, and in several blocks; with events at one instant. */
#include "operations.h"

#include "capture.h"
#include "reclaim.h"
#include "store.h"
#include "support/check.h"

#include <string.h>

enum { SMALL = 100, LARGE = 100 << 10, HUGE = 1 << 20 };

static unsigned char filling[HUGE];

static int put(eddy_store *store, const char *key, size_t size) {
    eddy_new_state state = {.data = eddy_mem(filling, size), .metadata = eddy_str("meta")};
    return eddy_state_put(store, eddy_str(key), EDDY_ANY, &state, NULL);
}

static int snapshot(eddy_store *store, uint64_t version) {
    eddy_new_state state = {.data = eddy_mem(filling, SMALL)};
    return eddy_snapshot_put(store, eddy_str("old"), version, EDDY_ANY, &state, NULL);
}

static void prepare_events(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    operations_set_up(s->store, "other", 2);
}

static void prepare_small(struct steps_stage *s) {
    prepare_events(s);
    CHECK_OK(put(s->store, "key", SMALL));
    CHECK_OK(put(s->store, "another", SMALL));
}

static void prepare_large(struct steps_stage *s) {
    prepare_events(s);
    CHECK_OK(put(s->store, "key", LARGE));
}

static void prepare_chain(struct steps_stage *s) {
    prepare_events(s);
    CHECK_OK(put(s->store, "a", SMALL));
    CHECK_OK(put(s->store, "key", SMALL));
    CHECK_OK(put(s->store, "b", SMALL));
    CHECK_OK(put(s->store, "c", SMALL));
}

static void prepare_snapshots(struct steps_stage *s) {
    prepare_events(s);
    for (uint64_t version = 1; version <= 4; version++) {
        CHECK_OK(snapshot(s->store, version));
    }
}

static void prepare_checkpoints(struct steps_stage *s) {
    prepare_events(s);
    for (uint64_t shard = 0; shard < 3; shard++) {
        eddy_new_checkpoint c = {.name = eddy_str("projection"), .shard = shard, .offset = shard};
        CHECK_OK(eddy_checkpoint_set(s->store, &c, EDDY_ANY, NULL));
    }
}

/* While somebody takes a snapshot: what was there is wanted still. */
static void begin_capture(eddy_store *store) {
    struct eddy_context *c;
    struct eddy_attempt at;
    eddy_limits limits;
    uint64_t id;
    CHECK_OK(eddy_store_writer(store, &c));
    eddy_rcu_enter(&c->thread.span);
    CHECK_EQ(eddy_capture_begin(&c->thread, false, &at, &limits, &id), 1);
    eddy_rcu_leave(&c->thread.span);
}

static void prepare_captured(struct steps_stage *s) {
    prepare_small(s);
    begin_capture(s->store);
}

static void prepare_captured_large(struct steps_stage *s) {
    prepare_large(s);
    begin_capture(s->store);
}

static void prepare_captured_chain(struct steps_stage *s) {
    prepare_chain(s);
    begin_capture(s->store);
}

static int act_small(struct steps_stage *s) {
    return put(s->mine, "key", SMALL);
}

static int act_large(struct steps_stage *s) {
    return put(s->mine, "key", LARGE);
}

static int act_huge(struct steps_stage *s) {
    return put(s->mine, "key", HUGE);
}

static int act_delete(struct steps_stage *s) {
    return eddy_state_delete(s->mine, eddy_str("key"), EDDY_EXISTS, NULL);
}

static int act_conflict(struct steps_stage *s) {
    eddy_new_state state = {.data = eddy_mem(filling, SMALL)};
    return eddy_state_put(s->mine, eddy_str("key"), EDDY_NONE, &state, NULL);
}

static int act_snapshot(struct steps_stage *s) {
    return snapshot(s->mine, 5);
}

static int act_snapshots_deleted(struct steps_stage *s) {
    return eddy_snapshot_delete(s->mine, eddy_str("old"), 3, NULL);
}

static int act_reset(struct steps_stage *s) {
    return eddy_checkpoint_reset(s->mine, eddy_str("projection"), 2, NULL);
}

/* All that a projection does at once. */
static int act_all(struct steps_stage *s) {
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_mem(filling, 40)};
    eddy_new_state state = {.data = eddy_mem(filling, SMALL)};
    eddy_new_checkpoint c = {.name = eddy_str("projection"), .shard = 1, .offset = 5};
    eddy_tx *tx;
    int rc = eddy_tx_begin(s->mine, &tx);
    rc = rc < 0 ? rc : eddy_tx_append(tx, eddy_str("old"), &event);
    rc = rc < 0 ? rc : eddy_tx_state(tx, eddy_str("key"), EDDY_EXISTS, &state);
    rc = rc < 0 ? rc : eddy_tx_state_delete(tx, eddy_str("another"), EDDY_EXISTS);
    rc = rc < 0 ? rc : eddy_tx_checkpoint_set(tx, &c, EDDY_NONE);
    rc = rc < 0 ? rc : eddy_tx_snapshot(tx, eddy_str("old"), 4, EDDY_NONE, &state);
    rc = rc < 0 ? rc : eddy_tx_commit(tx, NULL);
    eddy_tx_free(tx);
    return rc;
}

/* What a snapshot of the store does in its memory, while others replace something. */
static int act_capture(struct steps_stage *s) {
    struct eddy_context *c;
    struct eddy_attempt at;
    eddy_limits limits;
    uint64_t id;
    int rc = eddy_store_writer(s->mine, &c);
    if (rc < 0) {
        return rc;
    }
    eddy_rcu_enter(&c->thread.span);
    rc = eddy_capture_begin(&c->thread, true, &at, &limits, &id);
    eddy_rcu_leave(&c->thread.span);
    rc = rc < 0 ? rc : put(s->mine, "key", SMALL);
    rc = rc < 0 ? rc : eddy_reclaim_capture(&c->reclaim, id);
    return rc < 0 ? rc : 0;
}

static const struct steps_op keyed_ops[] = {
    {.name = "a new state", .prepare = prepare_events, .act = act_small, .commits = 1},
    {.name = "a state replaced", .prepare = prepare_small, .act = act_small, .commits = 1},
    {.name = "a state deleted",
     .prepare = prepare_small,
     .act = act_delete,
     .commits = 1,
     .alone = true},
    {.name = "a state replaced among many of one hash",
     .hash_keep = 1,
     .prepare = prepare_chain,
     .act = act_small,
     .commits = 1},
    {.name = "a state deleted among many of one hash",
     .hash_keep = 1,
     .prepare = prepare_chain,
     .act = act_delete,
     .commits = 1,
     .alone = true},
    {.name = "a state that is not as expected",
     .prepare = prepare_small,
     .act = act_conflict,
     .rc = EDDY_ECONFLICT,
     .alone = true},
    {.name = "a new state of several blocks",
     .prepare = prepare_events,
     .act = act_large,
     .commits = 1},
    {.name = "a state of several blocks replaced",
     .prepare = prepare_large,
     .act = act_large,
     .commits = 1},
    {.name = "a state of very many blocks replaced",
     .lengthy = true,
     .prepare = prepare_large,
     .act = act_huge,
     .commits = 1},
    {.name = "a state of several blocks deleted",
     .prepare = prepare_large,
     .act = act_delete,
     .commits = 1,
     .alone = true},
    {.name = "a state replaced that a snapshot wants",
     .prepare = prepare_captured,
     .act = act_small,
     .commits = 1},
    {.name = "a state of several blocks deleted that a snapshot wants",
     .prepare = prepare_captured_large,
     .act = act_delete,
     .commits = 1,
     .alone = true},
    {.name = "a state deleted among many of one hash that a snapshot wants",
     .hash_keep = 1,
     .prepare = prepare_captured_chain,
     .act = act_delete,
     .commits = 1,
     .alone = true},
    {.name = "a capture of entries", .prepare = prepare_large, .act = act_capture, .commits = 2},
    {.name = "a snapshot of a stream",
     .prepare = prepare_snapshots,
     .act = act_snapshot,
     .commits = 1},
    {.name = "snapshots of a stream deleted",
     .prepare = prepare_snapshots,
     .act = act_snapshots_deleted,
     .commits = 1},
    {.name = "checkpoints of all shards reset",
     .prepare = prepare_checkpoints,
     .act = act_reset,
     .commits = 1},
    {.name = "events, states, a snapshot and a checkpoint at one instant",
     .prepare = prepare_small,
     .act = act_all,
     .events = 1,
     .alone = true},
};
const struct operations operations_keyed = {keyed_ops, sizeof keyed_ops / sizeof *keyed_ops};
