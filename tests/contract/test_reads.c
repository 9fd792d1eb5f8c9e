/* NV, GS, EV: reading in order of time, and what a store demands of events. A range of times is a select
 * with EDDY_BY_TIME; Replay is a reader of it; Retrieve(from, batch) one with from_time_ns and a limit. */
#include "contract.h"

#define SECOND INT64_C(1000000000)

static eddy_select select_times(int64_t from_ns, int64_t to_ns) {
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = EDDY_BY_TIME;
    select.from_time_ns = from_ns;
    select.to_time_ns = to_ns;
    return select;
}

/* In two streams, not in order of time: stored as c a b, at 300, 100, 200. */
static eddy_store *with_three_times(void) {
    eddy_store *store = sandbox_anonymous();
    put_at(store, "s", "c", 300, 0);
    put_at(store, "t", "a", 100, 0);
    put_at(store, "s", "b", 200, 0);
    return store;
}

/* ---- ranges of times ---- */

Test(contract, NV16_a_range_of_times_goes_by_time_over_all_streams, .timeout = 20) {
    eddy_store *store = with_three_times();
    eddy_select select = select_times(100, 300);
    reads(store, &select, DATA, "a b c");
    select = select_times(50, 1000);
    reads(store, &select, DATA, "a b c");
    select.flags |= EDDY_BACKWARD;
    reads(store, &select, DATA, "c b a");
    eddy_close(store);
}

Test(contract, NV17_both_ends_of_a_range_of_times_are_in_it, .timeout = 20) {
    eddy_store *store = with_three_times();
    eddy_select select = select_times(100, 200);
    reads(store, &select, DATA, "a b");
    select = select_times(101, 199);
    reads(store, &select, DATA, "");
    select = select_times(200, 200);
    reads(store, &select, DATA, "b");
    eddy_close(store);
}

/* A bound of 0 is none. That it is to count is said by a flag. */
Test(contract, NV18_no_bounds_are_everything, .timeout = 20) {
    eddy_store *store = with_three_times();
    eddy_select select = select_times(0, 0);
    eddy_new_event before = {.data = eddy_str("z"), .time_ns = -1};
    eddy_new_event at_0 = {.data = eddy_str("y"), .flags = EDDY_TIME_GIVEN};
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &at_0, 1, NULL));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &before, 1, NULL));
    reads(store, &select, DATA, "z y a b c");
    select.flags = EDDY_BY_TIME | EDDY_FROM_GIVEN;
    reads(store, &select, DATA, "y a b c");
    select.flags = EDDY_BY_TIME | EDDY_TO_GIVEN;
    reads(store, &select, DATA, "z y");
    eddy_close(store);
}

/* Also those of the same time in several streams: in the order in which they were stored. */
Test(contract, NV19_events_of_one_time_keep_their_order, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_times(0, 0);
    for (int i = 0; i < 100; i++) {
        put_at(store, "s", "x", 7, 0);
    }
    put_at(store, "t", "y", 7, 0);
    put_at(store, "s", "x", 7, 0);
    eddy_reader *reader = open_reader(store, &select);
    eddy_event e;
    for (uint64_t offset = 1; offset <= 102; offset++) {
        gives(eddy_reader_next(reader, &e), EDDY_EVENT);
        cr_assert_eq(e.offset, offset);
    }
    gives(eddy_reader_next(reader, &e), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, NV20_an_empty_range_is_no_error, .timeout = 20) {
    eddy_store *store = with_three_times();
    eddy_select select = select_times(301, 0);
    reads(store, &select, DATA, "");
    select = select_times(300, 100);
    reads(store, &select, DATA, "");
    eddy_reader *replay = open_reader(store, &select);
    reads_next(replay, 1, DATA, "end");
    eddy_reader_close(replay);
    eddy_close(store);
}

Test(contract, NV21_a_replay_gives_what_is_in_its_range_and_ends, .timeout = 20) {
    int64_t now = 1000000 * SECOND;
    eddy_store *store = store_with_clock(&now);
    eddy_select select = select_times(now - 3600 * SECOND, now + 3600 * SECOND);
    put(store, "s", "e1");
    now += SECOND;
    put(store, "t", "e2");
    now += SECOND;
    put(store, "s", "e3");
    eddy_reader *replay = open_reader(store, &select);
    reads_next(replay, 4, DATA, "e1 e2 e3 end");
    reads_next(replay, 1, DATA, "end");
    eddy_reader_close(replay);
    eddy_close(store);
}

Test(contract, NV22_what_comes_while_a_replay_runs_is_not_in_it, .timeout = 20) {
    eddy_store *store = with_three_times();
    eddy_select select = select_times(100, 1000);
    eddy_reader *replay = open_reader(store, &select);
    reads_next(replay, 1, DATA, "a");
    put_at(store, "s", "new", 150, 0);
    put_at(store, "s", "new", 500, 0);
    reads_next(replay, 3, DATA, "b c end");
    eddy_reader_close(replay);
    reads(store, &select, DATA, "a new b c new");
    eddy_close(store);
}

Test(contract, NV23_a_replay_ends_at_once_when_it_is_cancelled_or_the_store_closed, .timeout = 20) {
    eddy_store *store = with_three_times();
    eddy_select select = select_times(1, INT64_MAX);
    eddy_reader *cancelled;
    eddy_reader *reader;
    eddy_event event;
    cr_assert_eq(eddy_reader_open(store, &select, &cancelled), 0, "%s", eddy_errmsg());
    cr_assert_eq(eddy_reader_open(store, &select, &reader), 0, "%s", eddy_errmsg());
    cr_assert_eq(eddy_reader_next(cancelled, &event), EDDY_EVENT);
    eddy_reader_close(cancelled);
    cr_assert_eq(eddy_reader_next(reader, &event), EDDY_EVENT);
    cr_assert_eq(eddy_shutdown(store), 0);
    cr_assert_eq(eddy_reader_next(reader, &event), EDDY_ECLOSED);
    eddy_reader_close(reader);
    eddy_close(store);
}

/* ---- Retrieve ---- */

static eddy_select retrieve(int64_t from_ns, uint64_t batch) {
    eddy_select select = select_times(from_ns, 0);
    select.limit = batch;
    return select;
}

Test(contract, GS35_retrieve_gives_them_by_time_ties_as_they_were_stored, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = retrieve(0, 10);
    put_at(store, "a", "2nd", 20, 0);
    put_at(store, "b", "1st", 10, 0);
    put_at(store, "b", "3rd", 20, 0);
    reads(store, &select, DATA, "1st 2nd 3rd");
    eddy_close(store);
}

Test(contract, GS36_retrieve_from_a_time_includes_it, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    for (int i = 1; i <= 4; i++) {
        const char *data[] = {"1", "2", "3", "4"};
        put_at(store, "s", data[i - 1], 10 * i, 0);
    }
    eddy_select select = retrieve(35, 10);
    reads(store, &select, DATA, "4");
    select = retrieve(40, 10);
    reads(store, &select, DATA, "4");
    select = retrieve(41, 10);
    reads(store, &select, DATA, "");
    eddy_close(store);
}

/* Batch 0 is all: as eddy's limit of 0. */
Test(contract, GS37_a_batch_of_3_is_the_first_3_and_of_0_all, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    const char *data[] = {"5", "4", "3", "2", "1"};
    for (int i = 0; i < 5; i++) {
        put_at(store, "s", data[i], 50 - i, 0);
    }
    eddy_select select = retrieve(0, 3);
    reads(store, &select, DATA, "1 2 3");
    select = retrieve(0, 0);
    reads(store, &select, DATA, "1 2 3 4 5");
    eddy_close(store);
}

Test(contract, GS38_what_was_stored_with_falling_times_comes_by_time, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    put_at(store, "s", "new", 3 * SECOND, 0);
    put_at(store, "s", "mid", 2 * SECOND, 0);
    put_at(store, "s", "old", 1 * SECOND, 0);
    eddy_select select = retrieve(0, 0);
    reads(store, &select, DATA, "old mid new");
    select.stream = eddy_str("s");
    reads(store, &select, VERSION, "3 2 1");
    eddy_close(store);
}

/* ---- what a store demands of events ---- */

static int append_three(eddy_store *store, const char *stream, const eddy_new_event *last) {
    const eddy_new_event fine = {
        .id = eddy_str("id"), .type = eddy_str("type"), .flags = EDDY_TIME_GIVEN};
    const eddy_new_event events[3] = {fine, fine, *last};
    return eddy_append(store, eddy_str(stream), EDDY_ANY, events, 3, NULL);
}

/* By default eddy fills in what is missing; a strict store refuses the batch, and names the field. */
Test(contract, NV10_a_strict_store_refuses_what_has_no_id_type_or_time, .timeout = 20) {
    const eddy_new_event bad[] = {
        {.type = eddy_str("type"), .time_ns = 1},
        {.id = eddy_str("id"), .time_ns = 1},
        {.id = eddy_str("id"), .type = eddy_str("type")},
    };
    const char *fields[] = {"no id", "no type", "no time"};
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = EDDY_STRICT;
    must(eddy_limits_set(store, &limits, NULL));
    for (int known = 0; known < 2; known++) { /* a new stream; one that has been written to */
        uint64_t head = facts_of(store).head;
        for (int i = 0; i < 3; i++) {
            gives(append_three(store, "s", &bad[i]), EDDY_EINVAL);
            has_text(eddy_errmsg(), fields[i]);
            has_text(eddy_errmsg(), "event 3 of 3");
            eddy_tx *tx;
            must(eddy_tx_begin(store, &tx));
            must(eddy_tx_append(tx, eddy_str("other"), &bad[i]));
            gives(eddy_tx_commit(tx, NULL), EDDY_EINVAL);
            eddy_tx_free(tx);
        }
        cr_assert_eq(facts_of(store).head, head);
        cr_assert_eq(facts_of(store).streams, (uint64_t)known);
        const eddy_new_event fine = {
            .id = eddy_str("id"), .type = eddy_str("type"), .flags = EDDY_TIME_GIVEN};
        must(append_three(store, "s", &fine)); /* the time 0 that is given is one */
    }
    limits.flags = 0;
    must(eddy_limits_set(store, &limits, NULL));
    for (int i = 0; i < 3; i++) {
        must(append_three(store, "s", &bad[i]));
    }
    eddy_close(store);
}

/* ---- cursors ---- */

static void text_is(const char *stream, uint64_t position, int64_t time_ns, const char *expected) {
    char text[400];
    int n = eddy_cursor_text(text, sizeof text, eddy_str(stream), position, time_ns);
    cr_assert_str_eq(text, expected);
    cr_assert_eq(n, (int)strlen(expected));
}

Test(contract, NV42_a_cursor_as_text, .timeout = 20) {
    char text[8];
    text_is("test-stream", 42, 1672574400 * SECOND,
            "stream:test-stream pos:42 time:2023-01-01T12:00:00Z");
    text_is("", 0, 0, "stream: pos:0 time:1970-01-01T00:00:00Z");
    text_is("s", UINT64_MAX, -1,
            "stream:s pos:18446744073709551615 time:1969-12-31T23:59:59.999999999Z");
    text_is("s", 1, 951782400 * SECOND + 500000000, "stream:s pos:1 time:2000-02-29T00:00:00.5Z");
    text_is("s", 1, 4107542400 * SECOND, "stream:s pos:1 time:2100-03-01T00:00:00Z");
    text_is("s", 1, INT64_MAX, "stream:s pos:1 time:2262-04-11T23:47:16.854775807Z");
    text_is("s", 1, INT64_MIN, "stream:s pos:1 time:1677-09-21T00:12:43.145224192Z");
    cr_assert_eq(eddy_cursor_text(text, sizeof text, eddy_str("a"), 1, 0), 40);
    cr_assert_str_eq(text, "stream:");
    cr_assert_eq(eddy_cursor_text(NULL, 0, eddy_str("a"), 1, 0), 40);
    gives(eddy_cursor_text(text, sizeof text, eddy_mem(text, 256), 1, 0), EDDY_EINVAL);
}
