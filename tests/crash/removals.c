/* Removing: truncation, deletion, forgetting, alone and many at once; of events in the descriptor,
 * in leaves, in extents of their own. */
#include "operations.h"

#include "support/check.h"

#include <stdio.h>
#include <string.h>

enum { LARGE = 300 << 10, WIDE = 9000, EMPTY = 16, REMOVED = 7, CHAIN = 6 };

/* ---- what is there before ---- */

static void two(struct steps_stage *s, uint32_t count) {
    operations_set_up(s->store, "old", count);
    operations_set_up(s->store, "other", 2);
}

static void prepare_5(struct steps_stage *s) {
    two(s, 5);
}

static void prepare_20(struct steps_stage *s) {
    two(s, 20);
}

static void prepare_150(struct steps_stage *s) {
    two(s, 150);
}

static void prepare_removed(struct steps_stage *s) {
    two(s, 20);
    CHECK_OK(eddy_delete(s->store, eddy_str("old"), EDDY_ANY, NULL));
}

/* By somebody who has left, so that nobody fills the extents in which it lies. */
static void left(struct steps_stage *s, const char *stream, uint32_t count, size_t size) {
    eddy_store *store = steps_open(s);
    CHECK_OK(operations_put(store, stream, "setup", count, size));
    eddy_close(store);
}

static void prepare_large(struct steps_stage *s) {
    left(s, "old", 1, LARGE);
    operations_set_up(s->store, "other", 2);
}

void operations_prepare_wide(struct steps_stage *s) {
    left(s, "old", 16, WIDE);
    operations_set_up(s->store, "other", 2);
}

static const char *long_name(char *name) {
    memset(name, 'n', EDDY_STREAM_MAX);
    name[EDDY_STREAM_MAX] = 0;
    return name;
}

/* The only descriptor in its extent. */
void operations_prepare_long(struct steps_stage *s) {
    char name[EDDY_STREAM_MAX + 1];
    left(s, long_name(name), 1, 20);
    two(s, 3);
}

static void prepare_chain(struct steps_stage *s) {
    char name[16];
    two(s, 3);
    for (uint32_t i = 0; i < CHAIN; i++) {
        operations_set_up(s->store, operations_name(name, i), 2);
    }
}

static void prepare_twin(struct steps_stage *s) {
    two(s, 3);
    operations_find_twin(s, 18, s->key[0]);
    operations_set_up(s->store, s->key[0], 3);
}

static void prepare_empty(struct steps_stage *s) {
    char name[16];
    two(s, 3);
    for (uint32_t i = 0; i < EMPTY; i++) {
        operations_set_up(s->store, operations_name(name, i), 1);
        CHECK_OK(eddy_truncate(s->store, eddy_str(name), EDDY_ANY, 1, NULL));
    }
}

static void prepare_many_removed(struct steps_stage *s) {
    char name[16];
    two(s, 3);
    for (uint32_t i = 0; i < REMOVED; i++) {
        operations_set_up(s->store, operations_name(name, i), 9);
        CHECK_OK(eddy_delete(s->store, eddy_str(name), EDDY_ANY, NULL));
    }
}

/* ---- removing ---- */

static int truncate_to(struct steps_stage *s, uint64_t version) {
    return eddy_truncate(s->mine, eddy_str("old"), EDDY_ANY, version, NULL);
}

static int act_truncate_3(struct steps_stage *s) {
    return truncate_to(s, 3);
}

static int act_truncate_16(struct steps_stage *s) {
    return truncate_to(s, 16);
}

int operations_truncate_145(struct steps_stage *s) {
    return truncate_to(s, 145);
}

int operations_truncate_all(struct steps_stage *s) {
    return truncate_to(s, UINT64_MAX);
}

static int act_delete(struct steps_stage *s) {
    return eddy_delete(s->mine, eddy_str("old"), EDDY_ANY, NULL);
}

static int act_begin_anew(struct steps_stage *s) {
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_str("anew")};
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    CHECK_OK(eddy_tx_delete(s->tx, eddy_str("old")));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(eddy_tx_append(s->tx, eddy_str("old"), &event));
    }
    return eddy_tx_commit(s->tx, NULL);
}

static int act_append(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 1, 20);
}

static int act_forget(struct steps_stage *s) {
    return eddy_forget(s->mine, eddy_str("old"), NULL);
}

static int act_forget_chained(struct steps_stage *s) {
    return eddy_forget(s->mine, eddy_str("s2"), NULL);
}

static int act_forget_twins(struct steps_stage *s) {
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    CHECK_OK(eddy_tx_forget(s->tx, eddy_str("old")));
    CHECK_OK(eddy_tx_forget(s->tx, eddy_str(s->key[0])));
    return eddy_tx_commit(s->tx, NULL);
}

int operations_forget_long(struct steps_stage *s) {
    char name[EDDY_STREAM_MAX + 1];
    return eddy_forget(s->mine, eddy_str(long_name(name)), NULL);
}

static int act_remove_empty(struct steps_stage *s) {
    return (int)eddy_remove_empty(s->mine, eddy_str("s"));
}

static int act_forget_removed(struct steps_stage *s) {
    return (int)eddy_forget_removed(s->mine, eddy_str("s"));
}

static const struct steps_op removal_ops[] = {
    {.name = "truncation in the descriptor",
     .prepare = prepare_5,
     .act = act_truncate_3,
     .commits = 1,
     .removes = 3},
    {.name = "truncation over the small leaf",
     .prepare = prepare_20,
     .act = act_truncate_16,
     .commits = 1,
     .removes = 16},
    {.name = "truncation over several leaves",
     .lengthy = true,
     .prepare = prepare_150,
     .act = operations_truncate_145,
     .commits = 1,
     .removes = 145},
    {.name = "truncation of all",
     .prepare = prepare_20,
     .act = operations_truncate_all,
     .commits = 1,
     .removes = 20},
    {.name = "truncation of events in several extents",
     .prepare = operations_prepare_wide,
     .act = operations_truncate_all,
     .commits = 1,
     .removes = 16},
    {.name = "truncation of a large event",
     .prepare = prepare_large,
     .act = operations_truncate_all,
     .commits = 1,
     .removes = 1},
    {.name = "deletion",
     .prepare = prepare_20,
     .act = act_delete,
     .commits = 1,
     .removes = 20,
     .streams = -1},
    {.name = "deletion and events at one instant",
     .prepare = prepare_20,
     .act = act_begin_anew,
     .events = 3,
     .removes = 20},
    {.name = "append to a stream that was removed",
     .prepare = prepare_removed,
     .act = act_append,
     .events = 1,
     .streams = 1},
    {.name = "forgetting",
     .prepare = prepare_5,
     .act = act_forget,
     .commits = 1,
     .removes = 5,
     .streams = -1,
     .alone = true},
    {.name = "forgetting what was removed",
     .prepare = prepare_removed,
     .act = act_forget,
     .commits = 1,
     .alone = true},
    {.name = "forgetting one of many of one hash",
     .hash_keep = 1,
     .prepare = prepare_chain,
     .act = act_forget_chained,
     .commits = 1,
     .removes = 2,
     .streams = -1},
    {.name = "forgetting all under some nodes",
     .prepare = prepare_twin,
     .act = act_forget_twins,
     .commits = 1,
     .removes = 6,
     .streams = -2},
    {.name = "forgetting the last in an extent",
     .prepare = operations_prepare_long,
     .act = operations_forget_long,
     .commits = 1,
     .removes = 1,
     .streams = -1},
    {.name = "eddy_remove_empty of 16",
     .prepare = prepare_empty,
     .act = act_remove_empty,
     .rc = EMPTY,
     .commits = 2,
     .streams = -EMPTY,
     .alone = true},
    {.name = "eddy_forget_removed of 7",
     .prepare = prepare_many_removed,
     .act = act_forget_removed,
     .rc = REMOVED,
     .commits = 2,
     .alone = true},
};
const struct operations operations_removal = {removal_ops,
                                              sizeof removal_ops / sizeof *removal_ops};
