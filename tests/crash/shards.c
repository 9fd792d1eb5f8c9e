/* Events of shards: their lists made, growing, and gone. */
#include "operations.h"

#include "support/check.h"

#include <string.h>

enum { HERE = 5, NEW = 6, MIXED = 30, MIXED_SHARDS = 4 };

static int put(eddy_store *store, const char *type, uint64_t shard, uint32_t count) {
    eddy_new_event events[160] = {{.data = {0, 0}}};
    CHECK(count <= 160);
    for (uint32_t i = 0; i < count; i++) {
        events[i].type = eddy_str(type);
        events[i].data = eddy_str("sharded");
        events[i].shard = shard;
        events[i].time_ns = 1000 + (i * 7) % 50;
    }
    return eddy_append(store, eddy_str("old"), EDDY_ANY, events, count, NULL);
}

static void prepare(struct steps_stage *s, uint32_t count) {
    CHECK_OK(put(s->store, "setup", HERE, count));
    operations_set_up(s->store, "other", 2);
}

static void prepare_3(struct steps_stage *s) {
    prepare(s, 3);
}

static void prepare_14(struct steps_stage *s) {
    prepare(s, 14);
}

static void prepare_20(struct steps_stage *s) {
    prepare(s, 20);
}

static void prepare_78(struct steps_stage *s) {
    prepare(s, 78);
}

static void prepare_150(struct steps_stage *s) {
    prepare(s, 150);
}

static int act_two(struct steps_stage *s) {
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_str("one")};
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    event.shard = HERE;
    CHECK_OK(eddy_tx_append(s->tx, eddy_str("old"), &event));
    event.shard = NEW;
    CHECK_OK(eddy_tx_append(s->tx, eddy_str("old"), &event));
    return eddy_tx_commit(s->tx, NULL);
}

static int act_one(struct steps_stage *s) {
    return put(s->mine, "op", HERE, 1);
}

static int act_mixed(struct steps_stage *s) {
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    for (uint32_t i = 0; i < MIXED; i++) {
        eddy_new_event event = {.type = eddy_str("op"), .shard = HERE + i % MIXED_SHARDS};
        CHECK_OK(eddy_tx_append(s->tx, eddy_str("old"), &event));
    }
    return eddy_tx_commit(s->tx, NULL);
}

static int act_truncate_16(struct steps_stage *s) {
    return eddy_truncate(s->mine, eddy_str("old"), EDDY_ANY, 16, NULL);
}

static int act_truncate_145(struct steps_stage *s) {
    return eddy_truncate(s->mine, eddy_str("old"), EDDY_ANY, 145, NULL);
}

static int act_delete(struct steps_stage *s) {
    return eddy_delete(s->mine, eddy_str("old"), EDDY_ANY, NULL);
}

static const struct steps_op shard_ops[] = {
    {.name = "events of two shards, one of them new",
     .prepare = prepare_3,
     .act = act_two,
     .events = 2},
    {.name = "number 15 of a shard: the trie", .prepare = prepare_14, .act = act_one, .events = 1},
    {.name = "number 79 of a shard: a taller root",
     .prepare = prepare_78,
     .act = act_one,
     .events = 1},
    {.name = "many events of several shards",
     .prepare = prepare_3,
     .act = act_mixed,
     .events = MIXED},
    {.name = "truncation of events of a shard",
     .prepare = prepare_20,
     .act = act_truncate_16,
     .commits = 1,
     .removes = 16},
    {.name = "truncation over leaves of a shard",
     .lengthy = true,
     .prepare = prepare_150,
     .act = act_truncate_145,
     .commits = 1,
     .removes = 145},
    {.name = "deletion of all there is of a shard",
     .prepare = prepare_20,
     .act = act_delete,
     .commits = 2, /* the list goes by one of its own */
     .removes = 20,
     .streams = -1,
     .alone = true},
};
const struct operations operations_shard = {shard_ops, sizeof shard_ops / sizeof *shard_ops};
