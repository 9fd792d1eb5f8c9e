/* OF: the eGo offset store, whose offsets are checkpoints of a projection's name and a shard. DS, SN: the
 * eGo durable state store and snapshot store: states, and snapshots of streams. */
#include "contract.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- OF: offsets ---- */

/* WriteOffset */
static int write_offset(eddy_store *store, const char *name, uint64_t shard, uint64_t value,
                        int64_t time_ns) {
    eddy_new_checkpoint checkpoint = {.name = eddy_str(name),
                                      .shard = shard,
                                      .offset = value,
                                      .time_ns = time_ns,
                                      .flags = EDDY_TIME_GIVEN};
    return eddy_checkpoint_set(store, &checkpoint, EDDY_ANY, NULL);
}

/* GetCurrentOffset: the value. */
static uint64_t offset_of(eddy_store *store, const char *name, uint64_t shard) {
    eddy_checkpoint checkpoint;
    must(eddy_checkpoint_get(store, eddy_str(name), shard, &checkpoint));
    cr_assert_str_eq(checkpoint.name, name);
    cr_assert_eq(checkpoint.shard, shard);
    return checkpoint.offset;
}

static int64_t time_of(eddy_store *store, const char *name, uint64_t shard) {
    eddy_checkpoint checkpoint;
    must(eddy_checkpoint_get(store, eddy_str(name), shard, &checkpoint));
    return checkpoint.time_ns;
}

static int no_checkpoint(void *arg, const eddy_checkpoint *checkpoint) {
    (void)arg;
    (void)checkpoint;
    return 0;
}

static int64_t count_checkpoints(eddy_store *store) {
    return eddy_checkpoints(store, eddy_str(""), no_checkpoint, NULL);
}

Test(contract, OF01_what_is_not_connected_has_no_offsets, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *other = sandbox_again(store, 0);
    eddy_checkpoint checkpoint;
    must(write_offset(store, "P", 9, 15, 1));
    must(eddy_shutdown(store));
    gives(write_offset(store, "P", 9, 16, 1), EDDY_ECLOSED);
    gives(eddy_checkpoint_get(store, eddy_str("P"), 9, &checkpoint), EDDY_ECLOSED);
    gives(eddy_checkpoint_reset(store, eddy_str("P"), 100, NULL), EDDY_ECLOSED);
    cr_assert_eq(offset_of(other, "P", 9), 15);
    eddy_close(other);
    eddy_close(store);
}

Test(contract, OF02_the_last_write_wins, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(write_offset(store, "DB_WRITER", 9, 15, 1000));
    must(write_offset(store, "DB_WRITER", 9, 24, 2000));
    cr_assert_eq(offset_of(store, "DB_WRITER", 9), 24);
    cr_assert_eq(time_of(store, "DB_WRITER", 9), 2000);
    eddy_close(store);
}

Test(contract, OF03_an_offset_may_go_back, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(write_offset(store, "P", 0, 5, 1000));
    must(write_offset(store, "P", 0, 3, 500));
    cr_assert_eq(offset_of(store, "P", 0), 3);
    cr_assert_eq(time_of(store, "P", 0), 500);
    eddy_close(store);
}

Test(contract, OF04_an_unknown_offset_is_none, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_checkpoint checkpoint;
    must(write_offset(store, "P", 1, 5, 1));
    gives(eddy_checkpoint_get(store, eddy_str("P"), 2, &checkpoint), EDDY_ENOENT);
    gives(eddy_checkpoint_get(store, eddy_str("Q"), 1, &checkpoint), EDDY_ENOENT);
    eddy_close(store);
}

Test(contract, OF05_OF06_a_reset_is_of_all_shards_and_of_now, .timeout = 20) {
    int64_t now = 1000;
    eddy_store *store = store_with_clock(&now);
    must(write_offset(store, "P", 9, 15, 500));
    must(write_offset(store, "P", 8, 24, 500));
    now = 7000;
    must(eddy_checkpoint_reset(store, eddy_str("P"), 100, NULL));
    cr_assert_eq(offset_of(store, "P", 9), 100);
    cr_assert_eq(offset_of(store, "P", 8), 100);
    cr_assert_eq(time_of(store, "P", 9), 7000);
    cr_assert_eq(time_of(store, "P", 8), 7000);
    eddy_close(store);
}

Test(contract, OF07_a_reset_is_of_the_exact_name, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(write_offset(store, "a", 1, 5, 1));
    must(write_offset(store, "ab", 2, 9, 1));
    must(eddy_checkpoint_reset(store, eddy_str("a"), 100, NULL));
    cr_assert_eq(offset_of(store, "a", 1), 100);
    cr_assert_eq(offset_of(store, "ab", 2), 9);
    eddy_close(store);
}

Test(contract, OF08_a_reset_of_what_is_unknown_makes_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(eddy_checkpoint_reset(store, eddy_str("P"), 100, NULL));
    cr_assert_eq(count_checkpoints(store), 0);
    eddy_close(store);
}

Test(contract, OF09_an_empty_name_or_no_record_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    gives(write_offset(store, "", 9, 15, 1), EDDY_EINVAL);
    gives(eddy_checkpoint_set(store, NULL, EDDY_ANY, NULL), EDDY_EINVAL);
    cr_assert_eq(count_checkpoints(store), 0);
    eddy_close(store);
}

Test(contract, OF10_zeros_are_stored, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(write_offset(store, "P", 0, 0, 0));
    cr_assert_eq(offset_of(store, "P", 0), 0);
    cr_assert_eq(time_of(store, "P", 0), 0);
    eddy_close(store);
}

Test(contract, OF13_many_writes_of_one_offset_take_no_more_memory, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    uint64_t used[2];
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 20000; i++) {
            must(write_offset(store, "P", 9, i, 1));
        }
        must(eddy_maintain(store, 0, NULL));
        eddy_facts facts = facts_of(store);
        used[round] = facts.reserved - facts.free;
    }
    cr_assert_leq(used[1], used[0]);
    cr_assert_leq(facts_of(store).reserved, UINT64_C(2) << 20);
    eddy_close(store);
}

Test(contract, OF14_ping_connects_and_a_write_succeeds, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = sandbox_open(&box, "offsets", 0);
    must(write_offset(store, "P", 9, 15, 1));
    eddy_close(store);
}

/* ---- DS: states ---- */

static int write_state(eddy_store *store, const char *key, uint64_t version, const char *data) {
    eddy_new_state state = {
        .data = eddy_str(data), .version = version, .time_ns = 1000, .shard = 7};
    return eddy_state_put(store, eddy_str(key), EDDY_ANY, &state, NULL);
}

static void state_is(eddy_store *store, const char *key, uint64_t version, const char *data) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_state state;
    must(eddy_state_get(store, eddy_str(key), buffer, &state));
    same_bytes(state.key, eddy_str(key));
    same_bytes(state.data, eddy_str(data));
    cr_assert_eq(state.version, version);
    cr_assert_eq(state.time_ns, 1000);
    cr_assert_eq(state.shard, 7);
    eddy_buffer_destroy(buffer);
}

static int find_state(eddy_store *store, const char *key) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_state state;
    int got = eddy_state_get(store, eddy_str(key), buffer, &state);
    eddy_buffer_destroy(buffer);
    return got;
}

static int no_state(void *arg, const eddy_state *state) {
    (void)arg;
    (void)state;
    return 0;
}

static int64_t count_states(eddy_store *store) {
    return eddy_states(store, eddy_str(""), eddy_str(""), SIZE_MAX, no_state, NULL);
}

Test(contract, DS01_what_is_not_connected_has_no_states, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(eddy_shutdown(store));
    gives(write_state(store, "x", 1, "a"), EDDY_ECLOSED);
    gives(find_state(store, "x"), EDDY_ECLOSED);
    eddy_close(store);
}

Test(contract, DS02_a_state_comes_back, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(write_state(store, "x", 1, "a"));
    state_is(store, "x", 1, "a");
    eddy_close(store);
}

Test(contract, DS03_an_unknown_state_is_none, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    gives(find_state(store, "x"), EDDY_ENOENT);
    eddy_close(store);
}

/* Decision 14: an upsert; but who expects a revision is told when another was faster. */
Test(contract, DS04_a_state_may_go_back_in_version, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_state state = {.data = eddy_str("c"), .version = 3};
    eddy_result first, second;
    must(write_state(store, "x", 5, "a"));
    must(write_state(store, "x", 2, "b"));
    state_is(store, "x", 2, "b");
    must(eddy_state_put(store, eddy_str("x"), EDDY_EXISTS, &state, &first));
    must(eddy_state_put(store, eddy_str("x"), (int64_t)first.revision, &state, &second));
    gives(eddy_state_put(store, eddy_str("x"), (int64_t)first.revision, &state, &first),
          EDDY_ECONFLICT);
    cr_assert_eq(first.actual, second.revision);
    cr_assert_eq(count_states(store), 1);
    eddy_close(store);
}

Test(contract, DS05_what_is_stored_is_a_copy, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_state state;
    char mine[] = "mine";
    must(write_state(store, "x", 1, mine));
    memset(mine, 'X', 4);
    state_is(store, "x", 1, "mine");
    must(eddy_state_get(store, eddy_str("x"), buffer, &state));
    memset((void *)(uintptr_t)state.data.ptr, 'Y', 4);
    state_is(store, "x", 1, "mine");
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

/* Decision 14: refused, neither stored nor ignored. */
Test(contract, DS06_an_empty_key_or_no_state_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    gives(write_state(store, "", 1, "a"), EDDY_EINVAL);
    gives(eddy_state_put(store, eddy_str("x"), EDDY_ANY, NULL, NULL), EDDY_EINVAL);
    cr_assert_eq(count_states(store), 0);
    eddy_close(store);
}

Test(contract, DS08_ping_connects_and_a_write_succeeds, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = sandbox_open(&box, "states", 0);
    must(write_state(store, "x", 1, "a"));
    state_is(store, "x", 1, "a");
    eddy_close(store);
}

/* ---- SN: snapshots ---- */

static void write_snapshot(eddy_store *store, uint64_t version, const char *data) {
    eddy_new_state state = {.data = eddy_str(data)};
    must(eddy_snapshot_put(store, eddy_str("pid"), version, EDDY_ANY, &state, NULL));
}

/* GetLatestSnapshot: its version, and 0 for none; data, if it is not NULL, is what it holds. */
static uint64_t latest_snapshot(eddy_store *store, const char *data) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_state state = {.version = 0};
    int got = eddy_snapshot_latest(store, eddy_str("pid"), 0, buffer, &state);
    cr_assert(got == 0 || got == EDDY_ENOENT);
    if (got == 0 && data) {
        same_bytes(state.data, eddy_str(data));
    }
    eddy_buffer_destroy(buffer);
    return got == 0 ? state.version : 0;
}

Test(contract, SN01_the_latest_snapshot_is_that_of_the_highest_number, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    write_snapshot(store, 1, "one");
    write_snapshot(store, 5, "five");
    write_snapshot(store, 3, "three");
    cr_assert_eq(latest_snapshot(store, "five"), 5);
    eddy_close(store);
}

Test(contract, SN02_where_there_is_no_snapshot_there_is_none, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    cr_assert_eq(latest_snapshot(store, NULL), 0);
    eddy_close(store);
}

Test(contract, SN03_deleting_is_inclusive, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_result result;
    eddy_state state;
    for (uint64_t version = 1; version <= 3; version++) {
        write_snapshot(store, version, "data");
    }
    must(eddy_snapshot_delete(store, eddy_str("pid"), 2, &result));
    cr_assert_eq(result.removed, 2);
    cr_assert_eq(latest_snapshot(store, NULL), 3);
    gives(eddy_snapshot_get(store, eddy_str("pid"), 2, buffer, &state), EDDY_ENOENT);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

Test(contract, SN04_a_snapshot_of_the_same_number_is_replaced, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    write_snapshot(store, 3, "first");
    write_snapshot(store, 3, "second");
    cr_assert_eq(latest_snapshot(store, "second"), 3);
    eddy_close(store);
}
