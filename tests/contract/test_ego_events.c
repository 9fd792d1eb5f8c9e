/* EV: the eGo events store. A persistence id is a stream, a sequence number a version, DeleteEvents is
 * eddy_truncate(), PersistenceIDs is eddy_streams(). Connect is eddy_open(); a store object that is not
 * connected is here a handle that was shut down (decision 1). */
#include "contract.h"
#include "support/check.h"

#include <stdlib.h>

/* ---- ReplayEvents ---- */

/* ReplayEvents(from, to, limit) as a wrapper writes it: both bounds inclusive, and a limit of 0, or an
 * upper bound of 0, asks for nothing. (In eddy's own select 0 is "no bound": decision 3.) */
static const char *replay(eddy_store *store, const char *pid, uint64_t from, uint64_t to,
                          uint64_t limit) {
    eddy_select select = select_stream(pid);
    select.after_version = from > 0 ? from - 1 : 0;
    select.to_version = to;
    select.limit = limit;
    return limit == 0 || to == 0 ? "" : read_text(store, &select, VERSION);
}

#define replays(store, pid, from, to, limit, text)                                                 \
    cr_assert_str_eq(replay(store, pid, from, to, limit), text)

static eddy_store *with_ten(void) {
    eddy_store *store = sandbox_anonymous();
    put_many(store, "p", 10);
    return store;
}

Test(contract, EV10_replay_has_both_bounds_inclusive, .timeout = 20) {
    eddy_store *store = with_ten();
    replays(store, "p", 3, 6, 6, "3 4 5 6");
    eddy_close(store);
}

Test(contract, EV11_replay_stops_at_the_limit, .timeout = 20) {
    eddy_store *store = with_ten();
    replays(store, "p", 1, 10, 3, "1 2 3");
    eddy_close(store);
}

/* eddy's limit of 0 means that there is none, so a wrapper that is asked for nothing does not ask. A
 * reader that is opened and not read gives nothing either. */
Test(contract, EV12_replay_of_at_most_none_is_empty, .timeout = 20) {
    eddy_store *store = with_ten();
    replays(store, "p", 1, 10, 0, "");
    eddy_select select = select_stream("p");
    eddy_event events[1];
    size_t count = 1;
    eddy_reader *reader = open_reader(store, &select);
    gives(eddy_reader_fetch(reader, events, 0, &count), EDDY_EINVAL);
    reads_next(reader, 10, VERSION, "1 2 3 4 5 6 7 8 9 10");
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, EV13_replay_with_from_above_to_is_empty, .timeout = 20) {
    eddy_store *store = with_ten();
    replays(store, "p", 7, 3, 10, "");
    eddy_close(store);
}

Test(contract, EV14_replay_with_the_widest_bounds_gives_all, .timeout = 20) {
    eddy_store *store = with_ten();
    replays(store, "p", 0, INT64_MAX, INT64_MAX, "1 2 3 4 5 6 7 8 9 10");
    replays(store, "p", 0, UINT64_MAX, UINT64_MAX, "1 2 3 4 5 6 7 8 9 10");
    replays(store, "p", UINT64_MAX, UINT64_MAX, UINT64_MAX, "");
    eddy_close(store);
}

Test(contract, EV15_replay_of_an_unknown_id_is_empty, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    replays(store, "p", 1, 3, 10, "");
    eddy_close(store);
}

/* ---- connecting ---- */

static int no_stream(void *arg, const eddy_stream_facts *facts) {
    (void)arg;
    (void)facts;
    return 1;
}

/* eddy_streams() (PersistenceIDs) still answers on a handle that was shut down: decision 1. */
static void all_closed(eddy_store *store) {
    eddy_new_event event = event_of("type", "data");
    eddy_select select = select_stream("p");
    eddy_reader *reader = NULL;
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event e;
    eddy_tx *tx = NULL;
    gives(eddy_append(store, eddy_str("p"), EDDY_ANY, &event, 1, NULL), EDDY_ECLOSED);
    gives(eddy_tx_begin(store, &tx), EDDY_ECLOSED);
    gives(eddy_reader_open(store, &select, &reader), EDDY_ECLOSED);
    gives(eddy_get(store, 1, buffer, &e), EDDY_ECLOSED);
    gives(eddy_get_version(store, eddy_str("p"), 1, buffer, &e), EDDY_ECLOSED);
    gives(eddy_truncate(store, eddy_str("p"), EDDY_ANY, 1, NULL), EDDY_ECLOSED);
    gives(eddy_delete(store, eddy_str("p"), EDDY_ANY, NULL), EDDY_ECLOSED);
    eddy_buffer_destroy(buffer);
}

static int no_event(void *arg, const eddy_event *event) {
    (void)arg;
    (void)event;
    return 0;
}

static int no_shard(void *arg, const eddy_shard_facts *facts) {
    (void)arg;
    (void)facts;
    return 0;
}

/* A store object that was never connected is a handle that was shut down (decision 1): PersistenceIDs alone,
 * which is eddy_streams(), still answers. */
Test(contract, EV01_what_is_not_connected_answers_to_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_stream("p");
    eddy_reader *reader;
    must(eddy_shutdown(store));
    gives(put_expecting(store, "p", EDDY_ANY, NULL), EDDY_ECLOSED);
    gives(eddy_reader_open(store, &select, &reader), EDDY_ECLOSED);
    gives(eddy_shard_after_time(store, 1, 0, 10, no_event, NULL), EDDY_ECLOSED);
    gives(eddy_shards(store, no_shard, NULL), EDDY_ECLOSED);
    gives(eddy_truncate(store, eddy_str("p"), EDDY_ANY, 1, NULL), EDDY_ECLOSED);
    lists(store, "", "", 9, "");
    cr_assert_eq(facts_of(store).head, 0);
    eddy_close(store);
}

Test(contract, EV02_opening_twice_keeps_the_data, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *first = sandbox_open(&box, "journal", 0);
    put(first, "p", "a");
    eddy_store *second = sandbox_open(&box, "journal", 0);
    put(second, "p", "b");
    eddy_select select = select_stream("p");
    reads(first, &select, DATA, "a b");
    reads(second, &select, DATA, "a b");
    eddy_close(second);
    reads(first, &select, DATA, "a b");
    eddy_close(first);
}

Test(contract, EV03_disconnecting_what_is_not_connected_is_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    must(eddy_shutdown(store));
    must(eddy_shutdown(store));
    eddy_close(store);
    eddy_close(NULL);
}

/* A Ping that connects is eddy_open(), which makes the store if it is missing. */
Test(contract, EV04_ping_connects_and_an_empty_write_succeeds, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = sandbox_open(&box, "journal", 0);
    must(eddy_append(store, eddy_str("p"), EDDY_ANY, NULL, 0, NULL));
    lists(store, "", "", 10, "");
    eddy_close(store);
}

Test(contract, EV46_after_disconnecting_a_write_says_so, .timeout = 20) {
    eddy_store *store = with_ten();
    eddy_store *other = sandbox_again(store, 0);
    must(eddy_shutdown(store));
    all_closed(store);
    cr_assert_eq(eddy_streams(store, eddy_str(""), eddy_str(""), 9, no_stream, NULL), 1);
    replays(other, "p", 1, 99, 99, "1 2 3 4 5 6 7 8 9 10");
    eddy_close(other);
    eddy_close(store);
}

/* ---- WriteEvents, GetLatestEvent ---- */

Test(contract, EV05_the_latest_event_is_the_written_one_field_by_field, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = event_of("type.googleapis.com/acme.AccountOpened", "payload");
    eddy_event got;
    char data[32];
    event.time_ns = INT64_C(1700000000123000000);
    event.shard = 9;
    must(eddy_append(store, eddy_str("persistence-1"), EDDY_ANY, &event, 1, NULL));
    gives(latest(store, "persistence-1", &got, data, sizeof data), EDDY_EVENT);
    cr_assert_eq(got.version, 1);
    cr_assert_eq(got.shard, 9);
    cr_assert_eq(got.time_ns, event.time_ns);
    cr_assert_str_eq(data, "payload");
    eddy_buffer *buffer = eddy_buffer_create();
    gives(eddy_get(store, got.offset, buffer, &got), 0);
    same_bytes(got.stream, eddy_str("persistence-1"));
    same_bytes(got.type, event.type);
    same_bytes(got.data, event.data);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

Test(contract, EV07_the_latest_of_an_unknown_id_is_none, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_stream_facts facts = {.size = sizeof facts};
    char data[8];
    gives(latest(store, "p", &event, data, sizeof data), EDDY_ENOENT);
    gives(eddy_stream_info(store, eddy_str("p"), &facts), EDDY_ENOENT);
    eddy_close(store);
}

Test(contract, EV09_the_latest_of_a_batch_is_its_last, .timeout = 60) {
    for (int i = 0; i < 200; i++) {
        eddy_store *store = sandbox_anonymous_of(EDDY_CAP_MIN);
        eddy_event event;
        char data[8];
        put_many(store, "p", 10);
        gives(latest(store, "p", &event, data, sizeof data), EDDY_EVENT);
        cr_assert_eq(event.version, 10);
        cr_assert_str_eq(data, "10");
        eddy_close(store);
    }
}

Test(contract, EV18_an_empty_id_refuses_the_whole_batch, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = event_of("type", "data");
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("valid"), &event));
    gives(eddy_tx_append(tx, eddy_str(""), &event), EDDY_EINVAL);
    eddy_tx_free(tx);
    cr_assert_eq(facts_of(store).head, 0);
    lists(store, "", "", 10, "");
    eddy_close(store);
}

Test(contract, EV19_an_empty_batch_succeeds_and_does_nothing, .timeout = 20) {
    eddy_store *store = with_ten();
    eddy_tx *tx;
    must(eddy_append(store, eddy_str("q"), EDDY_ANY, NULL, 0, NULL));
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
    lists(store, "", "", 10, "p");
    cr_assert_eq(facts_of(store).head, 10);
    eddy_close(store);
}

Test(contract, EV20_a_batch_of_two_ids_is_one_transaction, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = event_of("type", "data");
    eddy_select select = select_all();
    eddy_event got;
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("a"), &event));
    must(eddy_tx_append(tx, eddy_str("b"), &event));
    must(eddy_tx_append(tx, eddy_str("a"), &event));
    reads(store, &select, PLACE, "");
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
    reads(store, &select, PLACE, "a:1 b:1 a:2");
    eddy_reader *reader = open_reader(store, &select);
    for (int i = 0; i < 3; i++) {
        gives(eddy_reader_next(reader, &got), EDDY_EVENT);
        cr_assert_eq(got.tx_offset, 1);
        cr_assert_eq(got.tx_count, 3);
    }
    eddy_reader_close(reader);
    eddy_close(store);
}

/* What of an eGo event has no field in eddy goes into its metadata, which eddy does not look into: here a
 * letter for each flag, the key's id, and the resulting state. */
#define EGO_METADATA "deleted=1;encrypted=1;key=k;manifest=acme.Opened;state=\x0a\x00\x01"

static void comes_back(const eddy_new_event *event) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_stream("p");
    eddy_event got;
    must(eddy_append(store, eddy_str("p"), EDDY_ANY, event, 1, NULL));
    eddy_reader *reader = open_reader(store, &select);
    gives(eddy_reader_next(reader, &got), EDDY_EVENT);
    same_bytes(got.type, event->type);
    same_bytes(got.data, event->data);
    same_bytes(got.metadata, event->metadata);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, EV21_an_event_without_payload_reads_back_as_empty, .timeout = 20) {
    eddy_new_event event = {.type = eddy_str("type")};
    comes_back(&event);
    comes_back(&(eddy_new_event){.shard = 1});
}

Test(contract, EV22_encryption_key_and_flag_come_back, .timeout = 20) {
    eddy_new_event event = event_of("type", "data");
    event.metadata = eddy_mem(EGO_METADATA, sizeof EGO_METADATA - 1);
    comes_back(&event);
}

/* is_deleted is what the caller says of the event, and no removal: such an event is read like any other. */
Test(contract, EV23_an_event_marked_as_deleted_is_returned_as_such, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = event_of("type", "data");
    event.metadata = eddy_str("deleted=1");
    put(store, "p", "a");
    must(eddy_append(store, eddy_str("p"), EDDY_ANY, &event, 1, NULL));
    put(store, "p", "c");
    replays(store, "p", 1, 99, 99, "1 2 3");
    eddy_close(store);
    comes_back(&event);
}

/* ---- DeleteEvents ---- */

/* Who names a version to begin with that is gone is told so once, and then gets what is there; a wrapper
 * of ReplayEvents goes on. */
Test(contract, EV24_delete_is_inclusive, .timeout = 20) {
    eddy_store *store = with_ten();
    eddy_result result;
    must(eddy_truncate(store, eddy_str("p"), EDDY_ANY, 4, &result));
    cr_assert_eq(result.removed, 4);
    replays(store, "p", 0, 99, 99, "5 6 7 8 9 10");
    replays(store, "p", 3, 99, 99, "(3..4 gone) 5 6 7 8 9 10");
    cr_assert_eq(facts_of(store).events, 6);
    eddy_close(store);
}

Test(contract, EV25_a_bound_beyond_the_end_deletes_all, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    char data[8];
    put(store, "p", "a");
    must(eddy_truncate(store, eddy_str("p"), EDDY_ANY, 2, NULL));
    cr_assert_eq(latest(store, "p", &event, data, sizeof data), EDDY_ENOENT);
    replays(store, "p", 0, 99, 99, "");
    eddy_close(store);
}

Test(contract, EV26_deleting_of_an_unknown_id_is_nothing, .timeout = 20) {
    eddy_store *store = with_ten();
    must(eddy_truncate(store, eddy_str("zzz"), EDDY_ANY, 4, NULL));
    lists(store, "", "", 10, "p");
    eddy_close(store);
}

/* ---- PersistenceIDs: the token is the last name of the page, and the next page's `after` ---- */

static eddy_store *with_five(void) {
    eddy_store *store = sandbox_anonymous();
    static const char *const names[] = {"persistence-3", "persistence-0", "persistence-4",
                                        "persistence-2", "persistence-1"};
    for (int i = 0; i < 5; i++) {
        put(store, names[i], "a");
    }
    return store;
}

Test(contract, EV28_the_first_page_of_ids, .timeout = 20) {
    eddy_store *store = with_five();
    lists(store, "", "", 3, "persistence-0 persistence-1 persistence-2");
    eddy_close(store);
}

Test(contract, EV29_the_token_is_exclusive, .timeout = 20) {
    eddy_store *store = with_five();
    lists(store, "", "persistence-2", 3, "persistence-3 persistence-4");
    eddy_close(store);
}

Test(contract, EV30_there_is_nothing_behind_the_last_id, .timeout = 20) {
    eddy_store *store = with_five();
    lists(store, "", "persistence-4", 3, "");
    eddy_close(store);
}

Test(contract, EV31_an_id_is_listed_once, .timeout = 20) {
    eddy_store *store = with_ten();
    put_many(store, "p", 10);
    lists(store, "", "", 3, "p");
    eddy_close(store);
}

Test(contract, EV32_the_listing_goes_on_behind_an_id_with_many_events, .timeout = 20) {
    eddy_store *store = with_ten();
    put(store, "q", "a");
    lists(store, "", "p", 3, "q");
    eddy_close(store);
}

Test(contract, EV33_a_token_need_not_be_an_id, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    put(store, "z", "a");
    put(store, "a", "a");
    put(store, "m\xff", "a");
    put(store, "ma", "a");
    lists(store, "", "m", 10, "ma m\xff z");
    eddy_close(store);
}

Test(contract, EV34_a_page_of_none_is_empty, .timeout = 20) {
    eddy_store *store = with_five();
    lists(store, "", "", 0, "");
    eddy_close(store);
}

Test(contract, EV35_an_empty_store_lists_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    lists(store, "", "", 10, "");
    eddy_close(store);
}
