#include "operations.h"

#include "judge.h"
#include "maintain.h"
#include "streams.h"
#include "support/check.h"
#include "support/child.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 100 << 10, MANY = 20, HUNDRED = 100, FEW = 16, SIX = 6, SLEEP_MS = 400 };

static unsigned char filling[400 << 10];

/* ---- what is there before ---- */

int operations_put(eddy_store *store, const char *stream, const char *type, uint32_t count,
                   size_t size) {
    eddy_new_event *events = calloc(count, sizeof *events);
    CHECK(events && size <= sizeof filling);
    for (uint32_t i = 0; i < count; i++) {
        events[i].type = eddy_str(type);
        events[i].data = eddy_mem(filling, size);
    }
    int rc = eddy_append(store, eddy_str(stream), EDDY_ANY, events, count, NULL);
    free(events);
    return rc;
}

void operations_set_up(eddy_store *store, const char *stream, uint32_t count) {
    CHECK_OK(operations_put(store, stream, "setup", count, 40));
}

static void prepare_few(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    operations_set_up(s->store, "other", 2);
}

static void prepare_one(struct steps_stage *s) {
    operations_set_up(s->store, "old", 1);
}

static void prepare_6(struct steps_stage *s) {
    operations_set_up(s->store, "old", 6);
}

static void prepare_14(struct steps_stage *s) {
    operations_set_up(s->store, "old", 14);
}

static void prepare_11(struct steps_stage *s) {
    operations_set_up(s->store, "old", 11);
}

static void prepare_76(struct steps_stage *s) {
    operations_set_up(s->store, "old", 76);
}

static void prepare_78(struct steps_stage *s) {
    operations_set_up(s->store, "old", 78);
}

static void prepare_63(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    operations_set_up(s->store, "other", 60);
}

static void prepare_124(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    operations_set_up(s->store, "other", 121);
}

static void prepare_4095(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    CHECK_OK(operations_put(s->store, "other", "setup", 4092, 8));
}

const char *operations_name(char *name, uint32_t i) {
    snprintf(name, 16, "s%u", i);
    return name;
}

static void prepare_streams(struct steps_stage *s, uint32_t count) {
    char name[16];
    operations_set_up(s->store, "old", 3);
    for (uint32_t i = 0; i < count; i++) {
        operations_set_up(s->store, operations_name(name, i), 1 + i % 7);
    }
}

static void prepare_half(struct steps_stage *s) {
    prepare_streams(s, FEW / 2);
}

static void prepare_many(struct steps_stage *s) {
    prepare_streams(s, MANY);
}

/* Leaves next to no extents that are reserved and were never taken. */
static void prepare_brim(struct steps_stage *s) {
    operations_set_up(s->store, "old", 3);
    struct eddy_arena *a = &s->store->arena;
    while (eddy_ld_rlx(&a->super->fresh) + 2 < eddy_arena_reserved(a)) {
        CHECK_OK(operations_put(s->store, "other", "setup", 1, LARGE));
    }
}

/* ---- getting ready ---- */

/* Has appended to the stream before, so that the next one goes the short way. */
static void ready_warm(struct steps_stage *s) {
    s->mine = steps_open(s);
    operations_set_up(s->mine, "old", 1);
    operations_set_up(s->mine, "old", 1);
}

static void ready_not(struct steps_stage *s) {
    s->mine = NULL;
}

static void ready_forked(struct steps_stage *s) {
    s->mine = s->store;
}

/* ---- appending ---- */

static int act_old(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 1, 100);
}

static int act_new(struct steps_stage *s) {
    return operations_put(s->mine, "new", "op", 1, 100);
}

static int act_new_long(struct steps_stage *s) {
    char name[EDDY_STREAM_MAX + 1];
    memset(name, 'n', EDDY_STREAM_MAX);
    name[EDDY_STREAM_MAX] = 0;
    return operations_put(s->mine, name, "op", 20, 10);
}

static int act_three(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 3, 20);
}

static int act_hundred(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", HUNDRED, 30);
}

static int act_wide(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", FEW, 9000);
}

static int act_conflict(struct steps_stage *s) {
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_str("never")};
    return eddy_append(s->mine, eddy_str("old"), 1, &event, 1, NULL);
}

static int add_all(struct steps_stage *s, uint32_t streams) {
    char name[16];
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_str("one of many")};
    int rc = eddy_tx_begin(s->mine, &s->tx);
    for (uint32_t i = 0; i < streams && rc == 0; i++) {
        rc = eddy_tx_append(s->tx, eddy_str(operations_name(name, i)), &event);
    }
    return rc;
}

static int act_few(struct steps_stage *s) {
    int rc = add_all(s, FEW);
    return rc < 0 ? rc : eddy_tx_commit(s->tx, NULL);
}

static int act_six(struct steps_stage *s) {
    int rc = add_all(s, SIX);
    return rc < 0 ? rc : eddy_tx_commit(s->tx, NULL);
}

static int act_many(struct steps_stage *s) {
    int rc = add_all(s, MANY);
    return rc < 0 ? rc : eddy_tx_commit(s->tx, NULL);
}

static int act_abort(struct steps_stage *s) {
    int rc = add_all(s, 3);
    eddy_tx_free(s->tx);
    s->tx = NULL;
    return rc;
}

static int act_conditions(struct steps_stage *s) {
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_str("never")};
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    CHECK_OK(eddy_tx_append(s->tx, eddy_str("new"), &event));
    CHECK_OK(eddy_tx_append(s->tx, eddy_str("old"), &event));
    CHECK_OK(eddy_tx_expect(s->tx, eddy_str("other"), 2));
    CHECK_OK(eddy_tx_expect(s->tx, eddy_str("old"), EDDY_NONE));
    return eddy_tx_commit(s->tx, NULL);
}

static int act_query(struct steps_stage *s, const char *type) {
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_str("if there is none")};
    eddy_bytes types[1] = {eddy_str(type)};
    eddy_select select = EDDY_SELECT_INIT;
    select.prefix = eddy_str("o");
    select.types = types;
    select.type_count = 1;
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    CHECK_OK(eddy_tx_append(s->tx, eddy_str("old"), &event));
    CHECK_OK(eddy_tx_expect_none(s->tx, &select, 1));
    select.stream = eddy_str("old");
    CHECK_OK(eddy_tx_expect_none(s->tx, &select, 0));
    return eddy_tx_commit(s->tx, NULL);
}

static int act_none_matches(struct steps_stage *s) {
    return act_query(s, "never");
}

static int act_some_match(struct steps_stage *s) {
    return act_query(s, "setup");
}

static const struct steps_op append_ops[] = {
    {.name = "the first append ever", .act = act_new, .events = 1, .streams = 1},
    {.name = "first append to a new stream",
     .prepare = prepare_few,
     .act = act_new,
     .events = 1,
     .streams = 1},
    {.name = "append to an old stream, directly",
     .prepare = prepare_few,
     .ready = ready_warm,
     .act = act_old,
     .events = 1},
    {.name = "three events to an old stream, directly",
     .prepare = prepare_one,
     .ready = ready_warm,
     .act = act_three,
     .events = 3},
    {.name = "append to an old stream, in general",
     .prepare = prepare_few,
     .act = act_old,
     .events = 1},
    {.name = "transaction over 16 streams",
     .prepare = prepare_half,
     .act = act_few,
     .events = FEW,
     .streams = FEW / 2},
    {.name = "batch of 100", .prepare = prepare_few, .act = act_hundred, .events = HUNDRED},
    {.name = "20 events to a new stream with a long name",
     .prepare = prepare_few,
     .act = act_new_long,
     .events = 20,
     .streams = 1},
    {.name = "conflict", .prepare = prepare_few, .act = act_conflict, .rc = EDDY_ECONFLICT},
    {.name = "conditions that do not hold",
     .prepare = prepare_few,
     .act = act_conditions,
     .rc = EDDY_ECONFLICT},
    {.name = "a query that nothing matches",
     .prepare = prepare_few,
     .act = act_none_matches,
     .events = 1},
    {.name = "a query that something matches",
     .prepare = prepare_few,
     .act = act_some_match,
     .rc = EDDY_ECONFLICT},
    {.name = "transaction given up", .prepare = prepare_few, .act = act_abort},
};
const struct operations operations_append = {append_ops, sizeof append_ops / sizeof *append_ops};

/* ---- indexes ---- */

void operations_find_twin(struct steps_stage *s, unsigned bits, char *name) {
    const struct eddy_arena *a = &s->store->arena;
    uint64_t hash = eddy_stream_hash(a, eddy_str("old"));
    uint64_t low = (UINT64_C(1) << bits) - 1;
    for (uint32_t i = 0;; i++) {
        snprintf(name, 32, "twin%u", i);
        uint64_t other = eddy_stream_hash(a, eddy_str(name));
        bool all = other == hash;
        if ((other & low) == (hash & low) && (all || (other >> bits & 7) != (hash >> bits & 7))) {
            return;
        }
    }
}

static void prepare_twin_12(struct steps_stage *s) {
    prepare_few(s);
    operations_find_twin(s, 12, s->key[0]);
}

static void prepare_twin_18(struct steps_stage *s) {
    prepare_few(s);
    operations_find_twin(s, 18, s->key[0]);
}

static int act_twin(struct steps_stage *s) {
    return operations_put(s->mine, s->key[0], "op", 1, 20);
}

static const struct steps_op index_ops[] = {
    {.name = "version 7: the small leaf", .prepare = prepare_6, .act = act_old, .events = 1},
    {.name = "version 15: the trie", .prepare = prepare_14, .act = act_old, .events = 1},
    {.name = "version 79: the trie's second leaf",
     .prepare = prepare_78,
     .act = act_old,
     .events = 1},
    {.name = "offset 64: the second leaf", .prepare = prepare_63, .act = act_old, .events = 1},
    {.name = "offsets 64 to 66", .prepare = prepare_63, .act = act_three, .events = 3},
    {.name = "versions 14 to 16, directly",
     .prepare = prepare_11,
     .ready = ready_warm,
     .act = act_three,
     .events = 3},
    {.name = "version 79, directly",
     .prepare = prepare_76,
     .ready = ready_warm,
     .act = act_old,
     .events = 1},
    {.name = "offsets 127 to 129, directly",
     .prepare = prepare_124,
     .ready = ready_warm,
     .act = act_three,
     .events = 3},
    {.name = "offset 4096: a taller root", .prepare = prepare_4095, .act = act_old, .events = 1},
    {.name = "a name in the same cell",
     .prepare = prepare_twin_12,
     .act = act_twin,
     .events = 1,
     .streams = 1},
    {.name = "a name with the same 18 bits",
     .prepare = prepare_twin_18,
     .act = act_twin,
     .events = 1,
     .streams = 1},
    {.name = "a name with the same hash",
     .hash_keep = 8,
     .prepare = prepare_twin_12,
     .act = act_twin,
     .events = 1,
     .streams = 1},
    {.name = "six streams of one hash or two",
     .hash_keep = 1,
     .prepare = prepare_few,
     .act = act_six,
     .events = SIX,
     .streams = SIX},
};
const struct operations operations_index = {index_ops, sizeof index_ops / sizeof *index_ops};

/* ---- large ---- */

static int act_large(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 1, LARGE);
}

static int act_large_new(struct steps_stage *s) {
    return operations_put(s->mine, "new", "op", 1, LARGE);
}

static int act_larger(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 1, 3 * LARGE);
}

static int act_reserve_abort(struct steps_stage *s) {
    void *place;
    eddy_new_event event = {.type = eddy_str("op"), .data = eddy_mem(NULL, LARGE)};
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    int rc = eddy_tx_reserve(s->tx, eddy_str("old"), &event, &place);
    eddy_tx_free(s->tx);
    s->tx = NULL;
    return rc;
}

/* Its lists have been too long for both of its buffers before. */
static void ready_listed(struct steps_stage *s) {
    s->mine = steps_open(s);
    for (int i = 0; i < 2; i++) {
        eddy_tx *tx;
        char name[16];
        eddy_new_event event = {.type = eddy_str("setup")};
        CHECK_OK(eddy_tx_begin(s->mine, &tx));
        for (uint32_t k = 0; k < MANY; k++) {
            CHECK_OK(eddy_tx_append(tx, eddy_str(operations_name(name, k)), &event));
        }
        CHECK_OK(eddy_tx_commit(tx, NULL));
        eddy_tx_free(tx);
    }
}

static const struct steps_op large_ops[] = {
    {.name = "event of 100 KiB", .prepare = prepare_few, .act = act_large, .events = 1},
    {.name = "event of 100 KiB, to a new stream",
     .prepare = prepare_few,
     .act = act_large_new,
     .events = 1,
     .streams = 1},
    {.name = "growth of the arena", .prepare = prepare_brim, .act = act_larger, .events = 1},
    {.name = "reserved 100 KiB, given up", .prepare = prepare_few, .act = act_reserve_abort},
    {.name = "batch over several extents", .prepare = prepare_few, .act = act_wide, .events = FEW},
    {.name = "list that is too long for the buffer",
     .prepare = prepare_many,
     .act = act_many,
     .events = MANY},
    {.name = "such a list once more",
     .prepare = prepare_many,
     .ready = ready_listed,
     .act = act_many,
     .events = MANY},
    {.name = "append after such a list",
     .prepare = prepare_many,
     .ready = ready_listed,
     .act = act_old,
     .events = 1},
};
const struct operations operations_large = {large_ops, sizeof large_ops / sizeof *large_ops};

/* ---- readers ---- */

static int open_reader(struct steps_stage *s, uint32_t flags, const char *stream) {
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = flags;
    select.stream = eddy_str(stream);
    return eddy_reader_open(s->mine, &select, &s->reader);
}

static void ready_follower(struct steps_stage *s) {
    eddy_event event;
    s->mine = steps_open(s);
    CHECK_OK(open_reader(s, EDDY_FOLLOW, NULL));
    while (eddy_reader_next(s->reader, &event) == EDDY_EVENT) {
    }
}

static void ready_borrower(struct steps_stage *s) {
    eddy_event event;
    s->mine = steps_open(s);
    CHECK_OK(open_reader(s, EDDY_FOLLOW | EDDY_BORROW, "old"));
    CHECK_EQ(eddy_reader_next(s->reader, &event), EDDY_EVENT);
}

static int act_follow(struct steps_stage *s) {
    eddy_event event;
    int rc = open_reader(s, EDDY_FOLLOW, NULL);
    return rc < 0 ? rc : eddy_reader_next(s->reader, &event);
}

/* Long enough that it does come to sleep, one instruction after the other. */
static int act_wait(struct steps_stage *s) {
    eddy_event event;
    return eddy_reader_wait(s->reader, eddy_deadline_ms(SLEEP_MS), &event);
}

static int act_borrow(struct steps_stage *s) {
    eddy_event event;
    int rc = open_reader(s, EDDY_BORROW, "old");
    rc = rc < 0 ? rc : eddy_reader_next(s->reader, &event);
    return rc < 0 ? rc : eddy_reader_holds(s->reader);
}

static int act_next_borrowed(struct steps_stage *s) {
    eddy_event event;
    return eddy_reader_next(s->reader, &event);
}

static int act_close_reader(struct steps_stage *s) {
    eddy_reader_close(s->reader);
    s->reader = NULL;
    return 0;
}

static int act_backward(struct steps_stage *s) {
    eddy_event event;
    int rc = open_reader(s, EDDY_BACKWARD, NULL);
    return rc < 0 ? rc : eddy_reader_next(s->reader, &event);
}

static const struct steps_op read_ops[] = {
    {.name = "a follower's first event",
     .prepare = prepare_few,
     .act = act_follow,
     .rc = EDDY_EVENT},
    {.name = "the last event, backward",
     .prepare = prepare_few,
     .act = act_backward,
     .rc = EDDY_EVENT},
    {.name = "a wait that ends by its deadline",
     .prepare = prepare_few,
     .ready = ready_follower,
     .act = act_wait,
     .rc = EDDY_ETIMEDOUT,
     .alone = true},
    {.name = "a borrowed event", .prepare = prepare_few, .act = act_borrow, .rc = 1},
    {.name = "the next borrowed event",
     .prepare = prepare_few,
     .ready = ready_borrower,
     .act = act_next_borrowed,
     .rc = EDDY_EVENT},
    {.name = "closing a follower that borrows",
     .prepare = prepare_few,
     .ready = ready_borrower,
     .act = act_close_reader},
};
const struct operations operations_read = {read_ops, sizeof read_ops / sizeof *read_ops};

/* ---- members ---- */

static int act_open(struct steps_stage *s) {
    s->mine = steps_open(s);
    return 0;
}

static int act_close(struct steps_stage *s) {
    eddy_close(s->mine);
    s->mine = NULL;
    return 0;
}

static int act_victim(struct steps_stage *s) {
    char name[16];
    eddy_new_event event = {.type = eddy_str("victim"), .data = eddy_str("of a dead one")};
    CHECK_OK(eddy_tx_begin(s->mine, &s->tx));
    for (uint32_t i = 0; i < FEW; i++) {
        CHECK_OK(eddy_tx_append(s->tx, eddy_str(operations_name(name, i)), &event));
    }
    return eddy_tx_commit(s->tx, NULL);
}

static int act_large_victim(struct steps_stage *s) {
    return operations_put(s->mine, "old", "victim", 1, LARGE);
}

/* One who died before it committed; another one while its transaction was being applied. */
static void prepare_dead(struct steps_stage *s) {
    prepare_half(s);
    s->dead[0] = steps_leave_dead(s, act_large_victim, false, 30);
    s->dead[1] = steps_leave_dead(s, act_victim, true, 5);
}

static void prepare_dead_one(struct steps_stage *s) {
    prepare_half(s);
    s->dead[0] = steps_leave_dead(s, act_victim, true, 5);
}

/* A member that has swept nothing: who joins after a fork does not. */
static void ready_member(struct steps_stage *s) {
    s->mine = s->store;
    CHECK_OK(sandbox_head(s->mine));
}

static int act_sweep(struct steps_stage *s) {
    struct eddy_context *c;
    int rc = eddy_store_context(s->mine, false, &c);
    return rc < 0 ? rc : eddy_maintain_sweep_dead(&c->thread);
}

/* Has written, read and waits: all that a handle may own. */
static void ready_busy(struct steps_stage *s) {
    ready_listed(s);
    CHECK_OK(operations_put(s->mine, "busy", "setup", 20, 3000));
    CHECK_EQ(operations_put(s->mine, "old", "setup", 1, LARGE), 0);
}

static const struct steps_op member_ops[] = {
    {.name = "eddy_open", .prepare = prepare_few, .ready = ready_not, .act = act_open},
    {.name = "eddy_open after two deaths",
     .prepare = prepare_dead,
     .ready = ready_not,
     .act = act_open,
     .alone = true},
    {.name = "eddy_open with no slot free",
     .crowded = true,
     .members = 2,
     .prepare = prepare_dead_one,
     .ready = ready_not,
     .act = act_open,
     .alone = true},
    {.name = "a sweep of two dead",
     .prepare = prepare_dead,
     .ready = ready_member,
     .act = act_sweep,
     .rc = 2,
     .alone = true},
    {.name = "eddy_close", .prepare = prepare_few, .ready = ready_warm, .act = act_close},
    {.name = "eddy_close with all there may be",
     .prepare = prepare_many,
     .ready = ready_busy,
     .act = act_close},
    {.name = "first use in a forked child",
     .prepare = prepare_few,
     .ready = ready_forked,
     .act = act_new,
     .events = 1,
     .streams = 1},
};
const struct operations operations_member = {member_ops, sizeof member_ops / sizeof *member_ops};

/* ---- what others do meanwhile ---- */

void operations_same_stream(struct steps_stage *s) {
    CHECK_OK(operations_put(s->store, "old", "meanwhile", 1, 50));
}

void operations_other_stream(struct steps_stage *s) {
    CHECK_OK(operations_put(s->store, "other", "meanwhile", 2, 50));
}

void operations_new_stream(struct steps_stage *s) {
    CHECK_OK(operations_put(s->store, "new", "meanwhile", 1, 50));
    CHECK_OK(operations_put(s->store, "newer", "meanwhile", 1, 50));
}

void operations_hundred(struct steps_stage *s) {
    char name[16];
    eddy_event event;
    eddy_buffer *buffer = eddy_buffer_create();
    int64_t begun = child_now_ns();
    CHECK(buffer);
    for (uint32_t i = 0; i < HUNDRED; i++) {
        eddy_new_event new_event = {.type = eddy_str("meanwhile"), .data = eddy_mem(&i, sizeof i)};
        eddy_result result;
        snprintf(name, sizeof name, "n%u", i);
        const char *streams[] = {"old", "other", "s1", name};
        CHECK_OK(eddy_append(s->store, eddy_str(streams[i % 4]), EDDY_ANY, &new_event, 1, &result));
        CHECK_OK(eddy_get(s->store, result.first_offset, buffer, &event));
        if (event.data.len != sizeof i || memcmp(event.data.ptr, &i, sizeof i) != 0) {
            steps_breach("offset %llu gives another event",
                         (unsigned long long)result.first_offset);
        }
        if (result.first_offset != sandbox_head(s->store)) {
            steps_breach("offset %llu is not the last", (unsigned long long)result.first_offset);
        }
    }
    eddy_buffer_destroy(buffer);
    judge_held_up(begun);
}
