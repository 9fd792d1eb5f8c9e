/* NV: the nova memory store. A position is a version; a cursor is (stream, version, time), which a reader
 * and its last event give; Subscribe is a reader that follows; Close is eddy_shutdown(). */
#include "contract.h"
#include "support/check.h"
#include "support/child.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static eddy_store *with_three(void) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "s", 3);
    return store;
}

/* ---- figures ---- */

Test(contract, NV01_the_figures_of_a_new_store_are_0, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_facts facts = facts_of(store);
    eddy_counts counts = counts_of(store);
    cr_assert_eq(facts.events, 0);
    cr_assert_eq(facts.streams, 0);
    cr_assert_eq(facts.bytes, 0);
    cr_assert_eq(facts.head, 0);
    cr_assert_eq(counts.events_appended, 0);
    cr_assert_eq(counts.events_read, 0);
    cr_assert_eq(counts.bytes_appended, 0);
    cr_assert_eq(counts.transactions, 0);
    eddy_close(store);
}

static int count_store(void *arg, const eddy_found *found) {
    return ++*(int *)arg && strcmp(found->name, "default") == 0 ? 0 : -1;
}

/* eddy's defaults are those of a zero Config: no limit, no retention, no periodic snapshot; and a store
 * that is not named is "default". */
Test(contract, NV02_the_defaults_are_stated, .timeout = 20) {
    struct sandbox box;
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_limits limits = EDDY_LIMITS_INIT;
    const eddy_limits none = EDDY_LIMITS_INIT;
    eddy_store *store;
    int found = 0;
    sandbox_make(&box);
    unsetenv("EDDY_STORE");
    options.dir = box.dir;
    must(eddy_open(&store, NULL, &options));
    must(eddy_limits_get(store, &limits));
    cr_assert_eq(memcmp(&limits, &none, sizeof none), 0);
    cr_assert_eq(facts_of(store).cap, EDDY_CAP_DEFAULT);
    must(eddy_list(box.dir, count_store, &found));
    cr_assert_eq(found, 1);
    eddy_close(store);
}

Test(contract, NV36_the_facts_of_a_stream, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event event;
    put_at(store, "s", "a", 500,
           0); /* the first and the last stored, not the lowest and the highest */
    put_at(store, "s", "b", 900, 0);
    put_at(store, "s", "c", 700, 0);
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_str_eq(facts.name, "s");
    cr_assert_eq(facts.count, 3);
    cr_assert_eq(facts.version, 3);
    must(eddy_get(store, facts.first_offset, buffer, &event));
    cr_assert_eq(event.time_ns, 500);
    must(eddy_get(store, facts.last_offset, buffer, &event));
    cr_assert_eq(event.time_ns, 700);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

Test(contract, NV37_all_streams_are_listed, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    put(store, "b", "x");
    put_many(store, "c", 3);
    put(store, "a", "x");
    lists(store, "", "", SIZE_MAX, "a b c");
    eddy_close(store);
}

/* Bytes are measured (decision 13): the memory of the events that are there, headers included. */
Test(contract, NV39_figures_count_what_was_done, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event large = {.data = eddy_mem(calloc(1, 10000), 10000)};
    eddy_select select = select_stream("s");
    select.limit = 7;
    put_many(store, "s", 10);
    reads(store, &select, VERSION, "1 2 3 4 5 6 7");
    reads(store, &select, VERSION, "1 2 3 4 5 6 7");
    cr_assert_eq(counts_of(store).events_appended, 10);
    cr_assert_eq(counts_of(store).events_read, 14);
    uint64_t bytes = facts_of(store).bytes;
    cr_assert(bytes >= 10 * 24 && bytes < 10 * 128, "%llu", (unsigned long long)bytes);
    must(eddy_append(store, eddy_str("t"), EDDY_ANY, &large, 1, NULL));
    cr_assert(facts_of(store).bytes >= bytes + 10000);
    cr_assert(facts_of(store).bytes < bytes + 10500);
    must(eddy_delete(store, eddy_str("t"), EDDY_ANY, NULL));
    cr_assert_eq(facts_of(store).bytes, bytes);
    free((void *)(uintptr_t)large.data.ptr);
    eddy_close(store);
}

/* Here a snapshot is one: a file that holds the store. */
Test(contract, NV38_snapshots_are_counted, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = with_three();
    must(eddy_snapshot_write(store, sandbox_path(&box, "snapshot"), NULL, NULL));
    must(eddy_snapshot_write(store, sandbox_path(&box, "snapshot"), NULL, NULL));
    cr_assert_eq(counts_of(store).snapshots, 2);
    eddy_close(store);
}

/* ---- Read, ReadStream ---- */

/* Read(cursor, limit): the position is exclusive. A wrapper makes a negative position 0, and a negative
 * limit 0, which is none. */
static const char *read_from(eddy_store *store, int64_t position, int64_t limit) {
    eddy_select select = select_stream("s");
    select.flags = EDDY_KNOWN;
    select.after_version = position > 0 ? (uint64_t)position : 0;
    select.limit = limit > 0 ? (uint64_t)limit : 0;
    return read_text(store, &select, VERSION);
}

Test(contract, NV03_read_gives_events_in_order_and_the_cursor, .timeout = 20) {
    eddy_store *store = with_three();
    eddy_select select = select_stream("s");
    eddy_event event = {0};
    uint64_t version = 0;
    select.limit = 10;
    eddy_reader *reader = open_reader(store, &select);
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        cr_assert_eq(event.version, ++version);
    }
    cr_assert_eq(position_of(reader).version, 3);
    cr_assert_eq(position_of(reader).offset, 3);
    eddy_reader_close(reader);
    cr_assert_eq(facts_of(store).events, 3);
    cr_assert_eq(facts_of(store).streams, 1);
    eddy_close(store);
}

Test(contract, NV04_the_cursor_is_exclusive, .timeout = 20) {
    eddy_store *store = with_three();
    eddy_select select = select_stream("s");
    select.after_version = 1;
    select.limit = 1;
    eddy_reader *reader = open_reader(store, &select);
    reads_next(reader, 9, VERSION, "2 end");
    cr_assert_eq(position_of(reader).version, 2);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, NV05_beyond_the_end_is_empty_and_the_cursor_stays, .timeout = 20) {
    eddy_store *store = with_three();
    eddy_select select = select_stream("s");
    select.after_version = 99;
    eddy_reader *reader = open_reader(store, &select);
    reads_next(reader, 9, VERSION, "end");
    cr_assert_eq(position_of(reader).version, 99);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, NV06_a_negative_position_is_0_and_a_limit_of_0_is_none, .timeout = 20) {
    eddy_store *store = with_three();
    cr_assert_str_eq(read_from(store, -5, 0), "1 2 3");
    cr_assert_str_eq(read_from(store, 1, -1), "2 3");
    eddy_close(store);
}

Test(contract, NV07_an_unknown_stream_is_an_error_for_who_asks_for_that, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_select select = select_stream("s");
    cr_assert_str_eq(read_from(store, 0, 0), "EDDY_ENOENT");
    gives(eddy_stream_info(store, eddy_str("s"), &facts), EDDY_ENOENT);
    has_text(eddy_errmsg(), "s");
    reads(store, &select, VERSION, ""); /* who does not ask gets nothing (EV15, GS15) */
    eddy_close(store);
}

Test(contract, NV08_a_stream_is_read_from_behind_a_position, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "s", 4);
    cr_assert_str_eq(read_from(store, 2, 0), "3 4");
    eddy_close(store);
}

/* ---- Append ---- */

Test(contract, NV09_an_append_of_nothing_makes_no_stream, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, NULL, 0, NULL));
    cr_assert_eq(facts_of(store).streams, 0);
    eddy_close(store);
}

/* Decision 6: an empty name is refused, so the row does not hold, on purpose. */
Test(contract, NV11_an_empty_name_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    gives(put_expecting(store, "", EDDY_ANY, NULL), EDDY_EINVAL);
    cr_assert_eq(facts_of(store).head, 0);
    cr_assert_eq(facts_of(store).streams, 0);
    eddy_close(store);
}

Test(contract, NV12_ids_are_not_unique, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = event_of("type", "data");
    eddy_select select = select_stream("s");
    event.id = eddy_str("the-same");
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    reads(store, &select, ID, "the-same the-same");
    eddy_close(store);
}

static eddy_store *with_limits(uint64_t stream_events, uint64_t streams) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.stream_events = stream_events;
    limits.streams = streams;
    must(eddy_limits_set(store, &limits, NULL));
    return store;
}

Test(contract, NV13_a_full_stream_refuses_and_names_the_limit, .timeout = 20) {
    eddy_store *store = with_limits(2, 0);
    put_many(store, "s", 2);
    gives(put_expecting(store, "s", EDDY_ANY, NULL), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "'s'");
    has_text(eddy_errmsg(), "limit of 2 events");
    cr_assert_eq(facts_of(store).events, 2);
    eddy_close(store);
}

Test(contract, NV14_a_batch_that_would_pass_the_limit_is_refused_whole, .timeout = 20) {
    eddy_store *store = with_limits(2, 0);
    eddy_new_event three[3] = {0};
    eddy_select select = select_all();
    put(store, "s", "a");
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, three, 3, NULL), EDDY_ELIMIT);
    reads(store, &select, PLACE, "s:1");
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, three, 1, NULL), 0);
    eddy_close(store);
}

Test(contract, NV15_one_stream_too_many_is_refused, .timeout = 20) {
    eddy_store *store = with_limits(0, 1);
    eddy_select select = select_all();
    put(store, "a", "x");
    gives(put_expecting(store, "b", EDDY_ANY, NULL), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "limit of 1 stream");
    reads(store, &select, PLACE, "a:1");
    put(store, "a", "y");
    reads(store, &select, PLACE, "a:1 a:2");
    eddy_close(store);
}

/* ---- Subscribe ---- */

static eddy_reader *follow(eddy_store *store, const char *stream, uint64_t after) {
    eddy_select select = select_stream(stream);
    select.flags = EDDY_FOLLOW;
    select.after_version = after;
    return open_reader(store, &select);
}

static void caught_up(eddy_reader *reader) {
    eddy_event event;
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
}

Test(contract, NV24_a_subscriber_gets_what_is_stored_and_then_what_comes, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "s", 2);
    eddy_reader *reader = follow(store, "s", 0);
    reads_next(reader, 2, VERSION, "1 2");
    caught_up(reader);
    put(store, "s", "c");
    put(store, "s", "d");
    reads_next(reader, 2, PLACE, "s:3 s:4");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, NV25_a_stream_may_be_subscribed_before_it_is_there, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader = follow(store, "s", 0);
    caught_up(reader);
    put(store, "other", "x");
    caught_up(reader);
    put(store, "s", "a");
    reads_next(reader, 1, DATA, "a");
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, NV26_a_subscription_begins_behind_its_position, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "s", 5);
    eddy_reader *reader = follow(store, "s", 3);
    reads_next(reader, 2, VERSION, "4 5");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

/* A subscriber in another process that follows stream "s" from its beginning to a version. */
struct subscriber {
    eddy_store *store;
    uint64_t until;
    uint32_t pause_us; /* behind each event */
};

static void subscriber_main(void *arg) {
    struct subscriber *s = arg;
    eddy_select select = select_stream("s");
    eddy_reader *reader = NULL;
    eddy_event event;
    select.flags = EDDY_FOLLOW;
    CHECK_OK(eddy_reader_open(s->store, &select, &reader));
    for (uint64_t version = 1; version <= s->until; version++) {
        CHECK_EQ(eddy_reader_wait(reader, eddy_deadline_ms(CHILD_LIMIT_MS), &event), EDDY_EVENT);
        CHECK_EQ(event.version, version);
        child_linger_us(s->pause_us);
    }
    CHECK_EQ(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    eddy_reader_close(reader);
}

Test(contract, NV27_each_of_100000_events_is_delivered_once_and_in_order, .timeout = 120) {
    struct subscriber s = {.store = sandbox_anonymous(), .until = 100000};
    eddy_new_event event = event_of("type", "data");
    pid_t pid = child_start(subscriber_main, &s);
    for (uint64_t i = 0; i < s.until; i++) {
        must(eddy_append(s.store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    }
    cr_assert_eq(child_end(pid, CHILD_LIMIT_MS), 0);
    eddy_close(s.store);
}

Test(contract, NV28_a_subscription_that_races_with_appends_misses_none_and_repeats_none,
     .timeout = 120) {
    for (int trial = 0; trial < 50; trial++) {
        struct subscriber s = {.store = sandbox_anonymous_of(EDDY_CAP_MIN), .until = 40};
        pid_t pid = child_start(subscriber_main, &s);
        child_linger_us((uint64_t)trial * 20);
        for (int i = 0; i < 40; i++) {
            put(s.store, "s", "x");
        }
        cr_assert_eq(child_end(pid, CHILD_LIMIT_MS), 0);
        eddy_close(s.store);
    }
}

/* A subscriber that does not read holds up nobody, and loses nothing but what retention takes; of that it
 * is told once, which was lost (decision 11). */
Test(contract, NV29_an_append_never_waits_for_a_subscriber, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_reader *reader = follow(store, "s", 0);
    put(store, "s", "x");
    reads_next(reader, 1, VERSION, "1");
    for (int i = 0; i < 1000; i++) {
        put(store, "s", "x");
    }
    reads_next(reader, 3, VERSION, "2 3 4");
    limits.stream_events = 3;
    limits.flags = EDDY_DROP_STREAM_EVENTS;
    must(eddy_limits_set(store, &limits, NULL));
    put(store, "s", "x");
    reads_next(reader, 3, VERSION, "(5..999 gone) 1000 1001 1002");
    caught_up(reader);
    eddy_reader_close(reader);
    eddy_close(store);
}

struct waiter {
    eddy_reader *reader;
    int got;
    _Atomic int waits;
};

static void *wait_for_event(void *arg) {
    struct waiter *w = arg;
    eddy_event event;
    atomic_store(&w->waits, 1);
    w->got = eddy_reader_wait(w->reader, eddy_deadline_ms(CHILD_LIMIT_MS), &event);
    return NULL;
}

static pthread_t start_waiter(struct waiter *w) {
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_event, w), 0);
    while (!atomic_load(&w->waits)) {
        child_linger_us(100);
    }
    return thread;
}

static int add_readers(void *arg, const eddy_member_facts *facts) {
    *(uint32_t *)arg += facts->readers;
    return 0;
}

static uint32_t subscriptions(eddy_store *store) {
    uint32_t readers = 0;
    must(eddy_members(store, add_readers, &readers));
    return readers;
}

Test(contract, NV30_a_subscription_can_be_cancelled_at_any_time, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    struct waiter w = {.reader = follow(store, "s", 0)};
    eddy_reader *other = follow(store, "s", 0);
    cr_assert_eq(subscriptions(store), 2);
    pthread_t thread = start_waiter(&w);
    put(store, "t", "x");
    eddy_reader_wake(w.reader);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(w.got, EDDY_ECANCELED);
    eddy_reader_close(w.reader);
    cr_assert_eq(subscriptions(store), 1);
    put(store, "s", "x");
    reads_next(other, 1, VERSION, "1");
    eddy_reader_close(other);
    cr_assert_eq(subscriptions(store), 0);
    eddy_close(store);
}

Test(contract, NV31_subscribers_are_independent_of_each_other, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *first = follow(store, "a", 0);
    eddy_reader *second = follow(store, "a", 0);
    eddy_reader *third = follow(store, "b", 0);
    put(store, "a", "x");
    put(store, "b", "y");
    put(store, "a", "z");
    reads_next(first, 2, PLACE, "a:1 a:2");
    reads_next(third, 1, PLACE, "b:1");
    reads_next(second, 2, PLACE, "a:1 a:2");
    caught_up(first);
    caught_up(second);
    caught_up(third);
    eddy_reader_close(first);
    eddy_reader_close(second);
    eddy_reader_close(third);
    eddy_close(store);
}

/* ---- retention ---- */

#define AGE (50 * SECOND / 1000)

static eddy_store *with_age(int64_t *now) {
    eddy_store *store = store_with_clock(now);
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.age_ns = AGE;
    must(eddy_limits_set(store, &limits, NULL));
    return store;
}

Test(contract, NV32_events_and_empty_streams_that_are_too_old_go, .timeout = 20) {
    int64_t now = 1000 * SECOND;
    eddy_store *store = with_age(&now);
    eddy_stream_facts facts = {.size = sizeof facts};
    put_many(store, "s", 3);
    put(store, "t", "x");
    now += AGE + SECOND / 200;
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(facts_of(store).events, 0);
    cr_assert_eq(facts_of(store).streams, 0);
    cr_assert_eq(counts_of(store).events_appended, 4);
    gives(eddy_stream_info(store, eddy_str("s"), &facts), EDDY_ENOENT);
    eddy_close(store);
}

Test(contract, NV33_those_that_stay_keep_their_positions, .timeout = 20) {
    int64_t now = 1000 * SECOND;
    eddy_store *store = with_age(&now);
    eddy_select select = select_stream("s");
    eddy_stream_facts facts = {.size = sizeof facts};
    put_many(store, "s", 3);
    now += AGE / 2;
    put_many(store, "s", 2);
    now += AGE / 2 + 1;
    must(eddy_maintain(store, 0, NULL));
    reads(store, &select, VERSION, "4 5");
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_eq(facts.count, 2);
    cr_assert_eq(facts.version, 5);
    eddy_close(store);
}

/* Decision 9: positions are never used twice. */
Test(contract, NV34_the_positions_of_an_emptied_stream_are_not_used_again, .timeout = 20) {
    int64_t now = 1000 * SECOND;
    eddy_store *store = with_age(&now);
    eddy_select select = select_all();
    put_many(store, "s", 3);
    now += 2 * AGE;
    must(eddy_maintain(store, 0, NULL));
    lists(store, "", "", 9, "");
    put(store, "s", "x");
    reads(store, &select, PLACE, "s:4");
    reads(store, &select, OFFSET, "4");
    eddy_close(store);
}

Test(contract, NV35_retention_goes_by_the_time_of_the_event, .timeout = 20) {
    int64_t now = 1000 * SECOND;
    eddy_store *store = with_age(&now);
    eddy_select select = select_stream("s");
    put_at(store, "s", "older", now - AGE - 1, 0);
    put_at(store, "s", "just as old", now - AGE, 0);
    put_at(store, "s", "newer", now - AGE + 1, 0);
    must(eddy_maintain(store, 0, NULL));
    reads(store, &select, DATA, "newer");
    eddy_close(store);
}

/* ---- Close, cancel ---- */

Test(contract, NV40_a_closed_store_answers_no_more_but_its_figures, .timeout = 20) {
    eddy_store *store = with_three();
    eddy_select select = select_stream("s");
    eddy_select range = select_all();
    eddy_select live = select_stream("s");
    eddy_stream_facts facts = {.size = sizeof facts};
    range.from_time_ns = 1;
    live.flags = EDDY_FOLLOW;
    must(eddy_shutdown(store));
    gives(put_expecting(store, "s", EDDY_ANY, NULL), EDDY_ECLOSED);
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, NULL, 0, NULL), EDDY_ECLOSED);
    reads(store, &select, VERSION, "EDDY_ECLOSED");
    reads(store, &range, VERSION, "EDDY_ECLOSED");
    reads(store, &live, VERSION, "EDDY_ECLOSED");
    must(eddy_shutdown(store));
    cr_assert_eq(facts_of(store).events, 3);
    cr_assert_eq(counts_of(store).events_appended, 3);
    lists(store, "", "", 9, "s");
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_eq(facts.count, 3);
    eddy_close(store);
}

Test(contract, NV41_closing_ends_subscriptions, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    struct waiter w = {.reader = follow(store, "s", 0)};
    pthread_t thread = start_waiter(&w);
    must(eddy_shutdown(store));
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(w.got, EDDY_ECLOSED);
    eddy_reader_close(w.reader);
    eddy_close(store);
}

/* Decision 16: cancelling ends a wait, and no read; what was delivered is delivered. An append does not
 * wait, so there is nothing to cancel in it. */
Test(contract, NV43_cancelling_loses_nothing, .timeout = 60) {
    eddy_store *store = with_three();
    eddy_reader *reader = follow(store, "s", 0);
    reads_next(reader, 1, VERSION, "1");
    eddy_reader_wake(reader);
    reads_next(reader, 9, VERSION, "2 3 EDDY_ECANCELED");
    cr_assert_eq(position_of(reader).version, 3);
    put(store, "s", "x");
    reads_next(reader, 1, VERSION, "4");
    eddy_event event;
    gives(eddy_reader_wait(reader, eddy_deadline_ms(1), &event), EDDY_ETIMEDOUT);
    eddy_reader_close(reader);
    eddy_close(store);
}
