/* GS: go-simple-eventstore. Append is eddy_append() with an expected version, Load a read of a stream,
 * Fetch and Retrieve reads by offset, whose cursor is the offset; Subscribe is a reader that follows. */
#include "contract.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static eddy_store *with_events(unsigned count) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "S", count);
    return store;
}

/* Appends so many events without an id and a time: what eddy_append() gives. */
static int append(eddy_store *store, const char *stream, size_t count, int64_t expected,
                  eddy_result *result) {
    eddy_new_event events[5] = {{.type = eddy_str("type")}, {.data = eddy_str("data")}};
    return eddy_append(store, eddy_str(stream), expected, events, count, result);
}

/* ---- Append ---- */

Test(contract, GS01_an_append_numbers_names_and_dates_what_it_stores, .timeout = 20) {
    int64_t now = 5000;
    eddy_store *store = store_with_clock(&now);
    eddy_select select = select_stream("S");
    eddy_result result;
    must(append(store, "S", 2, EDDY_ANY, &result));
    cr_assert_eq(result.last_version, 2);
    reads(store, &select, VERSION, "1 2");
    reads(store, &select, ID, "S-1 S-2");
    reads(store, &select, TIME, "5000 5000");
    eddy_close(store);
}

Test(contract, GS02_an_append_goes_on_where_the_last_one_ended, .timeout = 20) {
    eddy_store *store = with_events(2);
    eddy_result result;
    must(append(store, "S", 1, EDDY_ANY, &result));
    cr_assert_eq(result.last_version, 3);
    eddy_close(store);
}

/* The caller's events stay as they are; version, id and time of each follow from the result. */
Test(contract, GS03_the_caller_learns_version_id_and_time_of_each, .timeout = 20) {
    int64_t now = 5000;
    eddy_store *store = store_with_clock(&now);
    eddy_new_event event = event_of("type", "data");
    const eddy_new_event before = event;
    eddy_result result;
    uint64_t offset, version;
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("S"), &event));
    must(eddy_tx_append(tx, eddy_str("T"), &event));
    must(eddy_tx_append(tx, eddy_str("S"), &event));
    must(eddy_tx_commit(tx, &result));
    must(eddy_tx_placed(tx, 2, &offset, &version));
    cr_assert_eq(offset, 3);
    cr_assert_eq(version, 2);
    cr_assert_eq(result.recorded_ns, 5000);
    cr_assert_eq(memcmp(&event, &before, sizeof event), 0);
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(contract, GS04_what_the_caller_gave_is_preserved, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = {.id = eddy_str("my-id"),
                            .type = eddy_str("UserCreated"),
                            .data = eddy_mem("\0\1{\xff}", 5),
                            .metadata = eddy_str("{\"source\":\"user-service\"}"),
                            .time_ns = INT64_C(-1234567890123456789)};
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event got;
    must(eddy_append(store, eddy_str("S"), EDDY_ANY, &event, 1, NULL));
    must(eddy_get_version(store, eddy_str("S"), 1, buffer, &got));
    same_bytes(got.id, event.id);
    same_bytes(got.type, event.type);
    same_bytes(got.data, event.data);
    same_bytes(got.metadata, event.metadata);
    cr_assert_eq(got.time_ns, event.time_ns);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

Test(contract, GS05_an_append_of_nothing_checks_nothing, .timeout = 20) {
    eddy_store *store = with_events(2);
    static const int64_t expected[] = {EDDY_ANY, 0, 1, 2, 5, EDDY_EXISTS};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        eddy_result result = {.last_version = 77};
        must(append(store, "S", 0, expected[i], &result));
        cr_assert_eq(result.last_version, 0);
        must(append(store, "T", 0, expected[i], &result));
    }
    lists(store, "", "", 9, "S");
    eddy_close(store);
}

Test(contract, GS06_expecting_none_makes_the_stream, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(append(store, "S", 1, EDDY_NONE, NULL));
    lists(store, "", "", 9, "S");
    eddy_close(store);
}

/* A refusal says as data which stream, what was expected and what is there, and in words the same. */
static void conflicts(eddy_store *store, int64_t expected, uint64_t actual, const char *words) {
    eddy_result result;
    uint64_t head = facts_of(store).head;
    gives(append(store, "S", 1, expected, &result), EDDY_ECONFLICT);
    cr_assert_str_eq(eddy_errmsg(), words);
    cr_assert_str_eq(result.stream, "S");
    cr_assert_eq(result.expected, expected);
    cr_assert_eq(result.actual, actual);
    cr_assert_eq(facts_of(store).head, head);
}

Test(contract, GS07_expecting_none_where_there_is_a_stream_is_a_conflict, .timeout = 20) {
    eddy_store *store = with_events(1);
    conflicts(store, EDDY_NONE, 1, "expected new stream 'S' (version 0) but it is at version 1");
    eddy_close(store);
}

Test(contract, GS08_expecting_what_is_there_appends, .timeout = 20) {
    eddy_store *store = with_events(1);
    eddy_result result;
    must(append(store, "S", 1, 1, &result));
    cr_assert_eq(result.last_version, 2);
    eddy_close(store);
}

Test(contract, GS09_expecting_more_than_is_there_is_a_conflict, .timeout = 20) {
    eddy_store *store = with_events(1);
    conflicts(store, 2, 1, "expected version 2 but stream 'S' is at version 1");
    conflicts(store, 5, 1, "expected version 5 but stream 'S' is at version 1");
    eddy_close(store);
}

Test(contract, GS10_expecting_a_version_of_no_stream_is_a_conflict, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    conflicts(store, 5, 0, "expected version 5 but stream 'S' is at version 0");
    eddy_close(store);
}

Test(contract, GS11_expecting_a_stale_version_is_a_conflict, .timeout = 20) {
    eddy_store *store = with_events(2);
    conflicts(store, 1, 2, "expected version 1 but stream 'S' is at version 2");
    eddy_close(store);
}

/* Decision 5: what is no expectation is refused, and never "no check". */
Test(contract, GS12_a_senseless_expectation_is_refused, .timeout = 20) {
    eddy_store *store = with_events(2);
    gives(append(store, "S", 1, -7, NULL), EDDY_EINVAL);
    gives(append(store, "S", 1, INT64_MIN, NULL), EDDY_EINVAL);
    cr_assert_eq(facts_of(store).head, 2);
    eddy_close(store);
}

struct race {
    eddy_store *store;
    int64_t expected;
    _Atomic int begun;
    _Atomic int won;
    _Atomic int lost;
};

static void race_main(void *arg) {
    struct race *race = arg;
    atomic_fetch_add(&race->begun, 1);
    while (atomic_load(&race->begun) < 3) {
    }
    int got = put_expecting(race->store, "S", race->expected, NULL);
    CHECK(got == 0 || got == EDDY_ECONFLICT);
    atomic_fetch_add(got == 0 ? &race->won : &race->lost, 1);
}

/* Three appenders at once, as threads and as processes. */
static void race_of_three(eddy_store *store, int64_t expected, int won) {
    struct race *race = child_shared(sizeof *race);
    struct gang gang = {.threads = true};
    *race = (struct race){.store = store, .expected = expected};
    for (int i = 0; i < 3; i++) {
        gang_start(&gang, race_main, race);
    }
    cr_assert(gang_end(&gang, CHILD_LIMIT_MS));
    cr_assert_eq(race->won, won);
    cr_assert_eq(race->lost, 3 - won);
}

Test(contract, GS13_concurrent_appends_without_a_condition_leave_no_gap, .timeout = 60) {
    for (int i = 0; i < 50; i++) {
        eddy_store *store = sandbox_anonymous_of(EDDY_CAP_MIN);
        eddy_select select = select_stream("S");
        race_of_three(store, EDDY_ANY, 3);
        reads(store, &select, VERSION, "1 2 3");
        eddy_close(store);
    }
}

Test(contract, GS14_of_concurrent_appends_with_one_expectation_one_wins, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    for (int64_t version = 0; version < 50; version++) {
        race_of_three(store, version, 1);
        cr_assert_eq(facts_of(store).head, (uint64_t)version + 1);
    }
    eddy_close(store);
}

/* ---- Load ---- */

/* Load(start, limit, desc): start is exclusive in both directions; 0 is none, and so is a negative one,
 * which a wrapper makes 0; the same holds of the limit. */
static const char *load(eddy_store *store, int64_t start, int64_t limit, bool desc) {
    eddy_select select = select_stream("S");
    uint64_t bound = start > 0 ? (uint64_t)start : 0;
    select.flags = desc ? EDDY_BACKWARD : 0;
    select.after_version = desc ? 0 : bound;
    select.before_version = desc ? bound : 0;
    select.limit = limit > 0 ? (uint64_t)limit : 0;
    return read_text(store, &select, VERSION);
}

Test(contract, GS15_a_load_of_an_unknown_stream_is_empty, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    cr_assert_str_eq(load(store, 0, 0, false), "");
    cr_assert_str_eq(load(store, 0, 0, true), "");
    eddy_close(store);
}

Test(contract, GS16_the_start_of_a_load_is_exclusive, .timeout = 20) {
    eddy_store *store = with_events(3);
    cr_assert_str_eq(load(store, 1, 0, false), "2 3");
    eddy_close(store);
}

Test(contract, GS17_a_load_stops_at_its_limit, .timeout = 20) {
    eddy_store *store = with_events(3);
    cr_assert_str_eq(load(store, 0, 2, false), "1 2");
    eddy_close(store);
}

Test(contract, GS18_a_limit_of_0_or_less_is_none, .timeout = 20) {
    eddy_store *store = with_events(3);
    cr_assert_str_eq(load(store, 0, 0, false), "1 2 3");
    cr_assert_str_eq(load(store, 0, -1, false), "1 2 3");
    eddy_close(store);
}

Test(contract, GS19_GS20_backward_from_the_end, .timeout = 20) {
    eddy_store *store = with_events(4);
    cr_assert_str_eq(load(store, 0, 0, true), "4 3 2 1");
    cr_assert_str_eq(load(store, 0, 2, true), "4 3");
    eddy_close(store);
}

Test(contract, GS21_backward_from_strictly_below_the_start, .timeout = 20) {
    eddy_store *store = with_events(4);
    cr_assert_str_eq(load(store, 3, 0, true), "2 1");
    eddy_close(store);
}

Test(contract, GS22_backward_from_below_the_first_is_empty, .timeout = 20) {
    eddy_store *store = with_events(4);
    cr_assert_str_eq(load(store, 1, 0, true), "");
    eddy_close(store);
}

Test(contract, GS23_a_start_beyond_the_end_or_below_0, .timeout = 20) {
    eddy_store *store = with_events(4);
    cr_assert_str_eq(load(store, 99, 0, false), "");
    cr_assert_str_eq(load(store, -9, 0, false), "1 2 3 4");
    cr_assert_str_eq(load(store, 99, 0, true), "4 3 2 1");
    eddy_close(store);
}

Test(contract, GS24_what_was_loaded_is_the_callers, .timeout = 20) {
    eddy_store *store = with_events(3);
    eddy_select select = select_stream("S");
    eddy_event event;
    eddy_reader *reader = open_reader(store, &select);
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    memset((void *)(uintptr_t)event.data.ptr, 'x', event.data.len);
    eddy_reader_close(reader);
    reads(store, &select, DATA, "1 2 3");
    eddy_close(store);
}

/* ---- Fetch, Retrieve: a cursor is an offset ---- */

/* Fetch(cursor, limit): the cursor moves on to the last offset given. A limit of 0 or less asks for nothing,
 * so a wrapper does not ask. */
static const char *fetch(eddy_store *store, uint64_t *cursor, int64_t limit) {
    eddy_select select = select_all();
    if (limit <= 0) {
        return "";
    }
    select.after_offset = *cursor;
    select.limit = (uint64_t)limit;
    eddy_reader *reader = open_reader(store, &select);
    const char *text = next_text(reader, UINT32_MAX, PLACE);
    *cursor = position_of(reader).offset;
    eddy_reader_close(reader);
    return text;
}

static eddy_store *with_two_streams(void) {
    eddy_store *store = sandbox_anonymous();
    put(store, "user-123", "a");
    put(store, "user-456", "b");
    return store;
}

Test(contract, GS25_the_first_cursor_of_an_empty_store_is_0, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    uint64_t cursor = 0;
    cr_assert_str_eq(fetch(store, &cursor, 10), "end");
    cr_assert_eq(cursor, 0);
    put(store, "S", "x");
    cr_assert_str_eq(fetch(store, &cursor, 10), "S:1 end");
    eddy_close(store);
}

/* An envelope's fields: StreamID is the stream, EventID the id, Offset the version, CommitTime the time;
 * Partition "global" is the store. */
Test(contract, GS26_a_fetch_gives_all_streams_in_append_order, .timeout = 20) {
    int64_t now = 5000;
    eddy_store *store = store_with_clock(&now);
    eddy_select select = select_all();
    eddy_new_event event = event_of("UserCreated", "{}");
    must(eddy_append(store, eddy_str("user-123"), EDDY_ANY, &event, 1, NULL));
    must(eddy_append(store, eddy_str("user-456"), EDDY_ANY, &event, 1, NULL));
    reads(store, &select, ID, "user-123-1 user-456-1");
    reads(store, &select, STREAM, "user-123 user-456");
    reads(store, &select, VERSION, "1 1");
    reads(store, &select, TIME, "5000 5000");
    reads(store, &select, DATA, "{} {}");
    eddy_close(store);
}

Test(contract, GS27_fetches_neither_overlap_nor_leave_a_gap, .timeout = 20) {
    eddy_store *store = with_two_streams();
    uint64_t cursor = 0;
    cr_assert_str_eq(fetch(store, &cursor, 1), "user-123:1 end");
    cr_assert_str_eq(fetch(store, &cursor, 1), "user-456:1 end");
    put(store, "user-123", "c");
    cr_assert_str_eq(fetch(store, &cursor, 10), "user-123:2 end");
    eddy_close(store);
}

Test(contract, GS28_a_fetch_stops_at_its_limit, .timeout = 20) {
    eddy_store *store = with_events(5);
    uint64_t cursor = 0;
    cr_assert_str_eq(fetch(store, &cursor, 3), "S:1 S:2 S:3 end");
    cr_assert_eq(cursor, 3);
    eddy_close(store);
}

Test(contract, GS29_who_is_caught_up_stays_where_he_is, .timeout = 20) {
    eddy_store *store = with_events(5);
    uint64_t cursor = 5;
    cr_assert_str_eq(fetch(store, &cursor, 10), "end");
    cr_assert_eq(cursor, 5);
    eddy_close(store);
}

/* A cursor is a number here, and cannot be malformed; a wrapper that decodes one of too few bytes has 0. */
Test(contract, GS30_a_cursor_of_nothing_is_the_start, .timeout = 20) {
    eddy_store *store = with_events(1);
    uint64_t cursor = 0;
    cr_assert_str_eq(fetch(store, &cursor, 10), "S:1 end");
    eddy_close(store);
}

Test(contract, GS31_a_fetch_of_none_is_empty_and_moves_nothing, .timeout = 20) {
    eddy_store *store = with_events(3);
    uint64_t cursor = 1;
    cr_assert_str_eq(fetch(store, &cursor, 0), "");
    cr_assert_str_eq(fetch(store, &cursor, -1), "");
    cr_assert_eq(cursor, 1);
    eddy_close(store);
}

/* Commit has nothing to do in theirs; in eddy a checkpoint keeps the cursor, and changes no event. */
Test(contract, GS32_a_commit_of_a_cursor_succeeds_without_effect_on_events, .timeout = 20) {
    eddy_store *store = with_events(3);
    uint64_t cursor = 2;
    must(eddy_checkpoint_put(store, eddy_str("consumer"), cursor, 0));
    cr_assert_str_eq(fetch(store, &cursor, 10), "S:3 end");
    cr_assert_eq(facts_of(store).head, 3);
    eddy_close(store);
}

Test(contract, GS33_a_cursor_beyond_the_end_comes_back_unchanged, .timeout = 20) {
    eddy_store *store = with_events(3);
    uint64_t cursor = 99;
    cr_assert_str_eq(fetch(store, &cursor, 10), "end");
    cr_assert_eq(cursor, 99);
    eddy_close(store);
}

Test(contract, GS34_each_event_names_its_own_stream, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_all();
    eddy_new_event event = event_of("type", "data");
    event.id = eddy_str("same");
    must(eddy_append(store, eddy_str("a"), EDDY_ANY, &event, 1, NULL));
    must(eddy_append(store, eddy_str("b"), EDDY_ANY, &event, 1, NULL));
    reads(store, &select, PLACE, "a:1 b:1");
    reads(store, &select, ID, "same same");
    eddy_close(store);
}

static eddy_store *with_offsets(void) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "s1", 2);
    put(store, "s2", "c");
    return store;
}

Test(contract, GS47_offsets_are_one_sequence_over_all_streams, .timeout = 20) {
    eddy_store *store = with_offsets();
    eddy_select first = select_stream("s1");
    eddy_select second = select_stream("s2");
    reads(store, &first, OFFSET, "1 2");
    reads(store, &second, OFFSET, "3");
    eddy_close(store);
}

Test(contract, GS48_GS49_from_an_offset_exclusive_and_0_is_from_the_start, .timeout = 20) {
    eddy_store *store = with_offsets();
    eddy_select select = select_all();
    reads(store, &select, OFFSET, "1 2 3");
    select.after_offset = 1;
    reads(store, &select, OFFSET, "2 3");
    eddy_close(store);
}

/* In eddy all that is given must hold, so a wrapper that has an offset gives no time. */
Test(contract, GS51_the_offset_decides_over_the_time, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_all();
    put_at(store, "s", "a", 300, 0);
    put_at(store, "s", "b", 100, 0);
    put_at(store, "s", "c", 200, 0);
    select.after_offset = 1;
    reads(store, &select, DATA, "b c");
    select.from_time_ns = 150;
    reads(store, &select, DATA, "c");
    eddy_close(store);
}

/* ---- Subscribe ---- */

static eddy_reader *follow(eddy_store *store, uint64_t after) {
    eddy_select select = select_all();
    select.flags = EDDY_FOLLOW;
    select.after_offset = after;
    return open_reader(store, &select);
}

static void caught_up(eddy_reader *reader) {
    eddy_event event;
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
}

Test(contract, GS39_a_subscription_from_the_start_gives_what_is_stored, .timeout = 60) {
    eddy_store *store = with_two_streams();
    eddy_reader *reader = follow(store, 0);
    reads_next(reader, 2, PLACE, "user-123:1 user-456:1");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, GS40_a_subscription_on_an_empty_store_gives_what_comes, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader = follow(store, 0);
    caught_up(reader);
    put(store, "a", "x");
    put(store, "b", "y");
    reads_next(reader, 2, PLACE, "a:1 b:1");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

/* "From now" is from the head, or by a time of recording. */
Test(contract, GS41_a_subscription_from_now_gives_only_what_is_new, .timeout = 60) {
    int64_t now = 5000;
    eddy_store *store = store_with_clock(&now);
    eddy_select select = select_all();
    put_many(store, "s", 2);
    now = 6000;
    select.flags = EDDY_FOLLOW;
    select.from_time_ns = 6000;
    eddy_reader *by_time = open_reader(store, &select);
    eddy_reader *by_offset = follow(store, facts_of(store).head);
    caught_up(by_time);
    put(store, "s", "new");
    reads_next(by_time, 1, DATA, "new");
    reads_next(by_offset, 1, DATA, "new");
    eddy_reader_close(by_time);
    eddy_reader_close(by_offset);
    eddy_close(store);
}

Test(contract, GS42_events_of_equal_times_are_each_delivered_once, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_all();
    put_at(store, "s", "before", 99, 0);
    put_at(store, "s", "a", 100, 0);
    put_at(store, "s", "b", 100, 0);
    select.flags = EDDY_FOLLOW;
    select.from_time_ns = 100;
    eddy_reader *reader = open_reader(store, &select);
    reads_next(reader, 2, DATA, "a b");
    caught_up(reader);
    put_at(store, "s", "c", 100, 0);
    reads_next(reader, 1, DATA, "c");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

/* A reader that was closed is gone, and its pointer with it; closing none is allowed. */
Test(contract, GS43_a_subscription_is_closed_and_forgotten, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader = follow(store, 0);
    eddy_reader_close(reader);
    eddy_reader_close(NULL);
    put(store, "s", "x");
    sandbox_check(store);
    eddy_close(store);
}

Test(contract, GS44_a_slow_reader_gets_all_in_batches, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_event events[10];
    uint64_t offset = 0;
    size_t count;
    put_many(store, "s", 250);
    eddy_reader *reader = follow(store, 0);
    while (eddy_reader_fetch(reader, events, 10, &count) == EDDY_EVENT) {
        cr_assert(count >= 1 && count <= 10);
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(events[i].offset, ++offset);
        }
        child_linger_us(100);
    }
    cr_assert_eq(offset, 250);
    eddy_reader_close(reader);
    eddy_close(store);
}

/* Nothing is lost here but what retention takes, which NV29 shows. */
Test(contract, GS45_a_subscriber_that_does_not_read_holds_up_nobody, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader = follow(store, 0);
    for (int i = 0; i < 300; i++) {
        put(store, "s", "x");
    }
    for (uint64_t offset = 1; offset <= 300; offset++) {
        eddy_event event;
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        cr_assert_eq(event.offset, offset);
    }
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

static void append_main(void *arg) {
    eddy_new_event event = event_of("type", "data");
    for (int i = 0; i < 5000; i++) {
        CHECK_OK(eddy_append(arg, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    }
}

static void subscribe_main(void *arg) {
    for (int i = 0; i < 2000; i++) {
        eddy_select select = select_all();
        eddy_reader *reader = NULL;
        eddy_event event;
        select.flags = EDDY_FOLLOW;
        CHECK_OK(eddy_reader_open(arg, &select, &reader));
        int got = eddy_reader_next(reader, &event);
        CHECK(got == EDDY_EVENT || got == EDDY_CAUGHT_UP);
        eddy_reader_close(reader);
    }
}

Test(contract, GS46_subscribing_and_appending_at_once_never_stops, .timeout = 120) {
    eddy_store *store = sandbox_anonymous();
    struct gang gang = {.threads = true};
    gang_start(&gang, append_main, store);
    gang_start(&gang, subscribe_main, store);
    cr_assert(gang_end(&gang, CHILD_LIMIT_MS));
    cr_assert_eq(facts_of(store).head, 5000);
    eddy_close(store);
}

Test(contract, GS50_a_subscription_from_an_offset, .timeout = 60) {
    eddy_store *store = with_events(2);
    eddy_reader *reader = follow(store, 1);
    reads_next(reader, 1, OFFSET, "2");
    put(store, "S", "x");
    reads_next(reader, 1, OFFSET, "3");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}
