/* Transactions with keys: the first, one among others, one that makes old ones go, one whose key is
 * used again, and what is repeated. */
#include "operations.h"

#include "support/check.h"

#include <stdio.h>

static eddy_result result;

static int once(eddy_store *store, const char *key, const char *type) {
    eddy_new_event event = {.type = eddy_str(type), .data = eddy_str("once")};
    return eddy_append_once(store, eddy_str(key), eddy_str("old"), EDDY_ANY, &event, 1, &result);
}

static void keep(struct steps_stage *s, uint64_t keys) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.keys = keys;
    limits.keys_age_ns = INT64_MAX;
    CHECK_OK(eddy_limits_set(s->store, &limits, NULL));
}

static void prepare_none(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    operations_set_up(s->store, "other", 2);
}

static void prepare_some(struct steps_stage *s, int count) {
    char key[16];
    prepare_none(s);
    for (int i = 0; i < count; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        CHECK_OK(once(s->store, key, "setup"));
    }
}

static void prepare_three(struct steps_stage *s) {
    keep(s, 100);
    prepare_some(s, 3);
}

static void prepare_full(struct steps_stage *s) {
    keep(s, 3);
    prepare_some(s, 3);
}

static void prepare_one_kept(struct steps_stage *s) {
    keep(s, 1);
    prepare_some(s, 1);
}

/* The clock of the tracee is long after that of the others: by its own, they all are too old. */
static void prepare_old(struct steps_stage *s) {
    prepare_some(s, 8);
}

static int act_new(struct steps_stage *s) {
    return once(s->mine, "new", "op");
}

static int act_again(struct steps_stage *s) {
    return once(s->mine, "key-5", "op");
}

static int act_repeat(struct steps_stage *s) {
    int rc = once(s->mine, "key-1", "op");
    return rc < 0 ? rc : result.repeated;
}

static const struct steps_op once_ops[] = {
    {.name = "a key: the first", .prepare = prepare_none, .act = act_new, .events = 1},
    {.name = "a key among others", .prepare = prepare_three, .act = act_new, .events = 1},
    {.name = "a key for which another goes", .prepare = prepare_full, .act = act_new, .events = 1},
    {.name = "a key for which the only one goes",
     .prepare = prepare_one_kept,
     .act = act_new,
     .events = 1},
    {.name = "a key among others of one hash",
     .hash_keep = 1,
     .prepare = prepare_full,
     .act = act_new,
     .events = 1},
    {.name = "an old key used again, from among others",
     .prepare = prepare_old,
     .act = act_again,
     .events = 1},
    {.name = "a key that is repeated", .prepare = prepare_three, .act = act_repeat, .rc = 1},
};
const struct operations operations_once = {once_ops, sizeof once_ops / sizeof *once_ops};
