/* eddy.h from outside: transactions over many streams and their conditions. */
#include "eddy.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "support/model.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const eddy_new_event nothing;

static eddy_tx *begin(eddy_store *store) {
    eddy_tx *tx = NULL;
    must(eddy_tx_begin(store, &tx));
    return tx;
}

static void put(eddy_tx *tx, const char *stream, const char *data) {
    eddy_new_event event = {.data = eddy_str(data)};
    must(eddy_tx_append(tx, eddy_str(stream), &event));
}

static void append_one(eddy_store *store, const char *stream) {
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, &nothing, 1, NULL));
}

static uint64_t version_of(eddy_store *store, const char *stream) {
    eddy_stream_facts facts = {.size = sizeof facts};
    int rc = eddy_stream_info(store, eddy_str(stream), &facts);
    return rc == EDDY_ENOENT ? 0 : facts.version;
}

Test(api_tx, events_on_many_streams_commit_together, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    append_one(store, "b");
    eddy_tx *tx = begin(store);
    put(tx, "a", "1");
    put(tx, "b", "2");
    put(tx, "a", "3");
    cr_assert_eq(sandbox_head(store), 1);
    cr_assert_eq(version_of(store, "a"), 0);
    eddy_result result;
    gives(eddy_tx_commit(tx, &result), 0);
    cr_assert_eq(result.first_offset, 2);
    cr_assert_eq(result.last_offset, 4);
    cr_assert_eq(result.last_version, 2);
    uint64_t expected[3][2] = {{2, 1}, {3, 2}, {4, 2}};
    for (uint32_t k = 0; k < 3; k++) {
        uint64_t offset, version;
        gives(eddy_tx_placed(tx, k, &offset, &version), 0);
        cr_assert_eq(offset, expected[k][0]);
        cr_assert_eq(version, expected[k][1]);
        gives(eddy_tx_placed(tx, k, NULL, NULL), 0);
    }
    gives(eddy_tx_placed(tx, 3, NULL, NULL), EDDY_EINVAL);
    gives(eddy_tx_placed(tx, UINT32_MAX, NULL, NULL), EDDY_EINVAL);
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(api_tx, a_transaction_is_spent_by_its_commit, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx = begin(store);
    put(tx, "a", "1");
    gives(eddy_tx_placed(tx, 0, NULL, NULL), EDDY_EINVAL);
    must(eddy_tx_commit(tx, NULL));
    gives(eddy_tx_commit(tx, NULL), EDDY_EINVAL);
    gives(eddy_tx_append(tx, eddy_str("a"), &nothing), EDDY_EINVAL);
    gives(eddy_tx_expect(tx, eddy_str("a"), 1), EDDY_EINVAL);
    cr_assert_eq(sandbox_head(store), 1);
    must(eddy_tx_reset(tx));
    put(tx, "a", "2");
    must(eddy_tx_expect(tx, eddy_str("a"), 7));
    gives(eddy_tx_commit(tx, NULL), EDDY_ECONFLICT);
    gives(eddy_tx_commit(tx, NULL), EDDY_EINVAL);
    gives(eddy_tx_placed(tx, 0, NULL, NULL), EDDY_EINVAL);
    must(eddy_tx_reset(tx));
    put(tx, "a", "3");
    must(eddy_tx_commit(tx, NULL));
    cr_assert_eq(sandbox_head(store), 2);
    eddy_tx_free(tx);
    eddy_tx_free(NULL);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, what_was_not_committed_leaves_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    for (int i = 0; i < 2000; i++) {
        eddy_tx *tx = begin(store);
        put(tx, "a", "gone");
        put(tx, "b", "gone");
        if (i % 2) {
            must(eddy_tx_reset(tx));
            put(tx, "c", "gone");
        }
        eddy_tx_free(tx);
    }
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.head, 0);
    cr_assert_eq(facts.streams, 0);
    cr_assert_eq(facts.transactions, 0);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, memory_of_abandoned_and_refused_transactions_is_used_again, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    char *data = calloc(1, 100000);
    eddy_new_event event = {.data = eddy_mem(data, 100000)};
    for (int i = 0; i < 10000; i++) { /* 1 GB through a store of 256 MiB */
        eddy_tx *tx = begin(store);
        must(eddy_tx_append(tx, eddy_str("a"), &event));
        if (i % 2) {
            must(eddy_tx_expect(tx, eddy_str("a"), 5));
            gives(eddy_tx_commit(tx, NULL), EDDY_ECONFLICT);
        }
        eddy_tx_free(tx);
    }
    cr_assert_eq(sandbox_head(store), 0);
    must(eddy_append(store, eddy_str("a"), EDDY_NONE, &event, 1, NULL));
    free(data);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, conditions_hold_for_streams_that_are_not_written, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    append_one(store, "seen");
    struct {
        const char *stream;
        int64_t expected;
        int rc;
    } tries[] = {{"seen", 1, 0},
                 {"seen", 2, EDDY_ECONFLICT},
                 {"seen", EDDY_NONE, EDDY_ECONFLICT},
                 {"seen", EDDY_EXISTS, 0},
                 {"seen", EDDY_ANY, 0},
                 {"unseen", EDDY_NONE, 0},
                 {"unseen", EDDY_EXISTS, EDDY_ECONFLICT},
                 {"unseen", 1, EDDY_ECONFLICT},
                 {"unseen", EDDY_ANY, 0}};
    uint64_t head = 1;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        eddy_tx *tx = begin(store);
        put(tx, "written", "x");
        must(eddy_tx_expect(tx, eddy_str(tries[i].stream), tries[i].expected));
        int rc = eddy_tx_commit(tx, NULL);
        cr_assert_eq(rc, tries[i].rc, "try %zu: %s", i, eddy_errname(rc));
        head += rc == 0;
        eddy_tx_free(tx);
    }
    cr_assert_eq(sandbox_head(store), head);
    cr_assert_eq(version_of(store, "unseen"), 0);
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.streams, 2);
    eddy_close(store);
}

Test(api_tx, conditions_see_the_streams_as_before_the_transaction, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx = begin(store);
    put(tx, "a", "1");
    must(eddy_tx_expect(tx, eddy_str("a"), EDDY_NONE));
    put(tx, "a", "2");
    must(eddy_tx_expect(tx, eddy_str("a"), 0));
    gives(eddy_tx_commit(tx, NULL), 0);
    must(eddy_tx_reset(tx));
    must(eddy_tx_expect(tx, eddy_str("a"), 2));
    put(tx, "a", "3");
    gives(eddy_tx_commit(tx, NULL), 0);
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(api_tx, the_first_condition_that_fails_is_told_with_its_number, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    append_one(store, "a");
    append_one(store, "b");
    append_one(store, "b");
    eddy_tx *tx = begin(store);
    put(tx, "c", "x");
    must(eddy_tx_expect(tx, eddy_str("a"), 1));
    must(eddy_tx_expect(tx, eddy_mem("zero\0", 5), EDDY_NONE));
    must(eddy_tx_expect(tx, eddy_str("b"), 1));
    must(eddy_tx_expect(tx, eddy_str("a"), 9));
    eddy_result result;
    gives(eddy_tx_commit(tx, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.condition, 2);
    cr_assert_eq(result.expected, 1);
    cr_assert_eq(result.actual, 2);
    cr_assert_eq(result.stream_len, 1);
    cr_assert_eq(result.stream[0], 'b');
    has_text(eddy_errmsg(), "b");
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(api_tx, without_events_it_checks_its_conditions, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx = begin(store);
    eddy_result result;
    gives(eddy_tx_commit(tx, &result), 0);
    cr_assert_eq(result.first_offset, 0);
    cr_assert_eq(result.last_version, 0);
    append_one(store, "a");
    must(eddy_tx_reset(tx));
    must(eddy_tx_expect(tx, eddy_str("a"), 1));
    gives(eddy_tx_commit(tx, &result), 0);
    cr_assert_eq(result.first_offset, 0);
    must(eddy_tx_reset(tx));
    must(eddy_tx_expect(tx, eddy_str("a"), 2));
    gives(eddy_tx_commit(tx, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.actual, 1);
    cr_assert_eq(sandbox_head(store), 1);
    eddy_tx_free(tx);
    append_one(store, "a");
    cr_assert_eq(sandbox_head(store), 2);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, bad_arguments_leave_the_transaction_as_it_was, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    char bytes[1025];
    memset(bytes, 'b', sizeof bytes);
    eddy_new_event bad_type = {.type = eddy_mem(bytes, 1025)};
    eddy_new_event too_large = {.data = eddy_mem(bytes, EDDY_EVENT_MAX + 1)};
    void *place;
    eddy_tx *tx = begin(store);
    put(tx, "a", "1");
    gives(eddy_tx_append(tx, eddy_mem(bytes, 0), &nothing), EDDY_EINVAL);
    gives(eddy_tx_append(tx, eddy_mem(bytes, 256), &nothing), EDDY_EINVAL);
    gives(eddy_tx_append(tx, eddy_str("a"), &bad_type), EDDY_EINVAL);
    gives(eddy_tx_append(tx, eddy_str("a"), &too_large), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "1073741824");
    too_large.data = eddy_mem(bytes, 1);
    gives(eddy_tx_reserve(tx, eddy_str("a"), &too_large, &place), EDDY_EINVAL);
    too_large.data = eddy_mem(NULL, EDDY_EVENT_MAX + 1);
    gives(eddy_tx_reserve(tx, eddy_str("a"), &too_large, &place), EDDY_ELIMIT);
    gives(eddy_tx_expect(tx, eddy_mem(bytes, 0), 1), EDDY_EINVAL);
    gives(eddy_tx_expect(tx, eddy_mem(bytes, 256), 1), EDDY_EINVAL);
    gives(eddy_tx_expect(tx, eddy_str("a"), -3), EDDY_EINVAL);
    put(tx, "a", "2");
    eddy_result result;
    gives(eddy_tx_commit(tx, &result), 0);
    cr_assert_eq(result.last_offset, 2);
    eddy_tx_free(tx);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, data_may_be_filled_in_place, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_buffer *buffer = eddy_buffer_create();
    size_t sizes[] = {0, 1, 7, 8, 100, 5000, 70000, 300000};
    eddy_tx *tx = begin(store);
    void *places[8];
    for (size_t i = 0; i < 8; i++) {
        eddy_new_event event = {
            .data = eddy_mem(NULL, sizes[i]), .type = eddy_str("t"), .metadata = eddy_str("meta")};
        must(eddy_tx_reserve(tx, eddy_str("s"), &event, &places[i]));
        cr_assert(sizes[i] == 0 || places[i] != NULL);
        cr_assert_eq((uintptr_t)places[i] % 8, 0);
    }
    for (size_t i = 0; i < 8; i++) { /* not before all have been reserved */
        memset(places[i], (int)i + 1, sizes[i]);
    }
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
    for (size_t i = 0; i < 8; i++) {
        eddy_event event;
        must(eddy_get(store, i + 1, buffer, &event));
        cr_assert_eq(event.data.len, sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++) {
            cr_assert(((const unsigned char *)event.data.ptr)[at] == i + 1);
        }
        same_bytes(event.metadata, eddy_str("meta"));
        same_bytes(event.type, eddy_str("t"));
    }
    eddy_buffer_destroy(buffer);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, an_open_transaction_holds_up_nobody_and_others_hold_not_it, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *slow = begin(store);
    put(slow, "a", "slow");
    eddy_tx *other = begin(store);
    put(other, "a", "other");
    for (int i = 0; i < 5000; i++) {
        append_one(store, "a");
    }
    eddy_result result;
    must(eddy_tx_commit(other, &result));
    cr_assert_eq(result.last_version, 5001);
    must(eddy_tx_commit(slow, &result));
    cr_assert_eq(result.last_version, 5002);
    cr_assert_eq(result.last_offset, 5002);
    eddy_tx_free(other);
    eddy_tx_free(slow);
    eddy_close(store);
}

Test(api_tx, takes_65536_events_and_no_more, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx = begin(store);
    for (unsigned i = 0; i < EDDY_TX_EVENTS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%u", i % 3000);
        put(tx, name, "x");
    }
    gives(eddy_tx_append(tx, eddy_str("s"), &nothing), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "65536");
    eddy_result result;
    must(eddy_tx_commit(tx, &result));
    cr_assert_eq(result.last_offset, EDDY_TX_EVENTS_MAX);
    uint64_t offset, version;
    must(eddy_tx_placed(tx, EDDY_TX_EVENTS_MAX - 1, &offset, &version));
    cr_assert_eq(offset, EDDY_TX_EVENTS_MAX);
    cr_assert_eq(version, 22);
    eddy_tx_free(tx);
    eddy_new_event *many = calloc(EDDY_TX_EVENTS_MAX + 1, sizeof *many);
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, many, EDDY_TX_EVENTS_MAX + 1, NULL),
          EDDY_ELIMIT);
    gives(eddy_append(store, eddy_str("s"), EDDY_NONE, many, EDDY_TX_EVENTS_MAX, &result), 0);
    cr_assert_eq(result.last_version, EDDY_TX_EVENTS_MAX);
    free(many);
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.head, 2 * EDDY_TX_EVENTS_MAX);
    cr_assert_eq(facts.transactions, 2);
    cr_assert_eq(facts.streams, 3001);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_tx, many_conditions_are_all_looked_at, .timeout = 60) {
    enum { STREAMS = 3000 };
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx = begin(store);
    char name[32];
    for (unsigned round = 0; round < 2; round++) {
        must(eddy_tx_reset(tx));
        for (unsigned i = 0; i < STREAMS; i++) {
            snprintf(name, sizeof name, "s%u", i);
            put(tx, name, "x");
            must(eddy_tx_expect(tx, eddy_str(name), (int64_t)round));
        }
        must(eddy_tx_commit(tx, NULL));
    }
    must(eddy_tx_reset(tx));
    for (unsigned i = 0; i < STREAMS; i++) {
        snprintf(name, sizeof name, "s%u", i);
        must(eddy_tx_expect(tx, eddy_str(name), i == STREAMS - 1 ? 1 : 2));
    }
    eddy_result result;
    gives(eddy_tx_commit(tx, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.condition, STREAMS - 1);
    eddy_tx_free(tx);
    eddy_close(store);
}

/* One random transaction, against the model. */
static void try_one(struct model *model, eddy_tx *tx, struct rng *rng, struct model_room *room) {
    uint64_t count = rng_once_in(rng, 20) ? rng_below(rng, 300) : rng_below(rng, 6);
    bool holds = true;
    must(eddy_tx_reset(tx));
    for (uint64_t k = 0; k < count; k++) {
        char name[32];
        eddy_new_event event;
        snprintf(name, sizeof name, "s%u", (unsigned)rng_below(rng, 60));
        model_random_event(rng, room, 500, &event);
        must(eddy_tx_append(tx, eddy_str(name), &event));
        model_append(model, eddy_str(name), &event);
        if (rng_once_in(rng, 8)) {
            snprintf(name, sizeof name, "s%u", (unsigned)rng_below(rng, 70));
            int64_t expected = rng_once_in(rng, 6) ? (int64_t)rng_below(rng, 5) - 2
                                                   : (int64_t)model_version(model, eddy_str(name));
            must(eddy_tx_expect(tx, eddy_str(name), expected));
            holds = holds && model_holds(model, eddy_str(name), expected);
        }
    }
    eddy_result result;
    int rc = eddy_tx_commit(tx, &result);
    cr_assert_eq(rc, holds ? 0 : EDDY_ECONFLICT, "%s (%s)", eddy_errname(rc), eddy_errmsg());
    if (!holds) {
        model_abandon(model);
        return;
    }
    uint64_t head = model_head(model);
    model_commit(model, result.recorded_ns);
    for (uint32_t k = 0; k < count; k++) {
        uint64_t offset, version;
        must(eddy_tx_placed(tx, k, &offset, &version));
        cr_assert_eq(offset, head + 1 + k);
        cr_assert_eq(version, model_at(model, offset)->version);
    }
}

Test(api_tx, random_transactions_are_what_the_model_says, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    struct model *model = model_create();
    struct rng rng = rng_make(12);
    struct model_room room = {0};
    eddy_tx *tx = begin(store);
    for (int i = 0; i < 3000; i++) {
        try_one(model, tx, &rng, &room);
    }
    eddy_tx_free(tx);
    model_check_store(model, store);
    sandbox_check(store);
    model_destroy(model);
    free(room.bytes);
    eddy_close(store);
}
