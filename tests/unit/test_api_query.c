/* eddy.h from outside: conditions that no event matches (eddy_tx_expect_none). */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t append_of(eddy_store *store, const char *stream, const char *type) {
    eddy_new_event event = {.type = eddy_str(type), .data = eddy_str("data")};
    eddy_result result;
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, &result));
    return result.first_offset;
}

/* Commits a transaction of conditions alone. */
static int ask(eddy_store *store, const eddy_select *select, uint64_t since, eddy_result *result) {
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_expect_none(tx, select, since));
    int rc = eddy_tx_commit(tx, result);
    eddy_tx_free(tx);
    return rc;
}

static int ask_about(eddy_store *store, const char *stream, const char *prefix, const char *type,
                     uint64_t since, eddy_result *result) {
    eddy_select s = EDDY_SELECT_INIT;
    eddy_bytes types[2] = {eddy_str("never"), eddy_str(type)};
    s.stream = eddy_str(stream);
    s.prefix = eddy_str(prefix);
    s.types = types;
    s.type_count = type ? 2 : 0;
    return ask(store, &s, since, result);
}

#define finds(call, offset, name)                                                                  \
    do {                                                                                           \
        gives(call, EDDY_ECONFLICT);                                                               \
        cr_assert_eq(result.actual, offset, "event %llu", (unsigned long long)result.actual);      \
        cr_assert_str_eq(result.stream, name);                                                     \
        cr_assert_eq(result.stream_len, strlen(name));                                             \
        cr_assert_eq(result.expected, EDDY_NONE);                                                  \
        cr_assert_eq(result.first_offset, 0);                                                      \
    } while (0)

Test(api_query, each_part_of_the_select_counts, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    gives(ask(store, NULL, 0, NULL), 0); /* an empty store */
    append_of(store, "order-1", "placed");
    append_of(store, "order-2", "placed");
    append_of(store, "order-1", "paid");
    append_of(store, "user", "");
    finds(ask(store, NULL, 0, &result), 1, "order-1");
    finds(ask(store, NULL, 3, &result), 4, "user");
    gives(ask(store, NULL, 4, &result), 0);
    gives(ask(store, NULL, UINT64_MAX, &result), 0);
    finds(ask_about(store, NULL, NULL, "paid", 0, &result), 3, "order-1");
    gives(ask_about(store, NULL, NULL, "paid", 3, &result), 0);
    gives(ask_about(store, NULL, NULL, "pai", 0, &result), 0);
    gives(ask_about(store, NULL, NULL, "paid ", 0, &result), 0);
    finds(ask_about(store, NULL, NULL, "", 0, &result), 4, "user");
    finds(ask_about(store, "order-1", NULL, NULL, 1, &result), 3, "order-1");
    finds(ask_about(store, "order-1", NULL, "paid", 0, &result), 3, "order-1");
    finds(ask_about(store, "order-2", NULL, NULL, 0, &result), 2, "order-2");
    gives(ask_about(store, "order-2", NULL, NULL, 2, &result), 0);
    gives(ask_about(store, "order-2", NULL, "paid", 0, &result), 0);
    gives(ask_about(store, "order-3", NULL, NULL, 0, &result), 0);
    finds(ask_about(store, NULL, "order-2", NULL, 0, &result), 2, "order-2");
    finds(ask_about(store, NULL, "order-", "paid", 0, &result), 3, "order-1");
    gives(ask_about(store, NULL, "use", "paid", 0, &result), 0);
    gives(ask_about(store, NULL, "order-1x", NULL, 0, &result), 0);
    finds(ask_about(store, "order-1", "order", "placed", 0, &result), 1, "order-1");
    gives(ask_about(store, "order-1", "user", NULL, 0, &result), 0);
    cr_assert_eq(sandbox_head(store), 4);
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.conflicts, 10);
    eddy_close(store);
}

Test(api_query, a_select_that_cannot_be_is_refused_and_changes_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *reader = sandbox_again(store, EDDY_READ_ONLY);
    eddy_tx *tx;
    char text[EDDY_TYPE_MAX + 1] = {0};
    eddy_bytes one[1] = {eddy_mem(text, sizeof text)};
    enum { BAD = 18 };
    eddy_select bad[BAD];
    for (int i = 0; i < BAD; i++) {
        bad[i] = (eddy_select)EDDY_SELECT_INIT;
    }
    bad[0].size = 4;
    bad[1].size = sizeof bad[1] + 8;
    bad[2].flags = EDDY_FOLLOW;
    bad[3].flags = EDDY_BACKWARD;
    bad[4].stream = eddy_mem(text, EDDY_STREAM_MAX + 1);
    bad[5].prefix = eddy_mem(text, EDDY_STREAM_MAX + 1);
    bad[6].types = one;
    bad[6].type_count = 1;
    bad[7].type_count = 1;
    bad[8].after_offset = 1;
    bad[9].to_offset = 1;
    bad[10].stream = eddy_str("s");
    bad[10].after_version = 1;
    bad[11].from_time_ns = 1;
    bad[12].to_time_ns = 1;
    bad[13].from_recorded_ns = 1;
    bad[14].to_recorded_ns = 1;
    bad[15].limit = 1;
    bad[16].before_offset = 1;
    bad[17].stream = eddy_str("s");
    bad[17].before_version = 1;
    append_of(store, "s", "t");
    must(eddy_tx_begin(store, &tx));
    for (int i = 0; i < BAD; i++) {
        gives(eddy_tx_expect_none(tx, &bad[i], 0), EDDY_EINVAL);
    }
    eddy_new_event event = {0};
    must(eddy_tx_append(tx, eddy_str("s"), &event));
    must(eddy_tx_commit(tx, NULL));
    gives(eddy_tx_expect_none(tx, NULL, 0), EDDY_EINVAL);
    must(eddy_tx_reset(tx));
    eddy_tx_free(tx);
    cr_assert_eq(sandbox_head(store), 2);
    eddy_close(reader);
    eddy_close(store);
}

/* The caller's bytes are its own again once the condition is given. */
Test(api_query, what_matters_of_the_select_is_kept, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    char text[3][8] = {"s", "s", "t"};
    eddy_bytes types[1] = {eddy_str(text[2])};
    eddy_select s = EDDY_SELECT_INIT;
    eddy_result result;
    eddy_tx *tx;
    s.stream = eddy_str(text[0]);
    s.prefix = eddy_str(text[1]);
    s.types = types;
    s.type_count = 1;
    append_of(store, "s", "t");
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_expect_none(tx, &s, 0));
    memset(text, 'x', sizeof text);
    memset(types, 0, sizeof types);
    finds(eddy_tx_commit(tx, &result), 1, "s");
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(api_query, the_first_condition_that_fails_is_named_among_all, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select s = EDDY_SELECT_INIT;
    eddy_result result;
    eddy_tx *tx;
    append_of(store, "a", "t");
    append_of(store, "b", "t");
    must(eddy_tx_begin(store, &tx));
    for (uint32_t failing = 0; failing < 600; failing++) {
        must(eddy_tx_reset(tx));
        for (uint32_t i = 0; i < 600; i += 2) {
            s.stream = eddy_str("a");
            must(eddy_tx_expect_none(tx, &s, i >= failing && failing % 2 == 0 ? 0 : 1));
            must(eddy_tx_expect(tx, eddy_str("b"), i + 1 >= failing ? 7 : 1));
        }
        gives(eddy_tx_commit(tx, &result), EDDY_ECONFLICT);
        cr_assert_eq(result.condition, failing, "%u, not %u", result.condition, failing);
        cr_assert_eq(result.actual, 1);
        cr_assert_str_eq(result.stream, failing % 2 ? "b" : "a");
        has_text(eddy_errmsg(), failing % 2 ? "'b'" : "'a'");
    }
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(api_query, the_transactions_own_events_do_not_count, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = {.type = eddy_str("t")};
    eddy_result result;
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("s"), &event));
    must(eddy_tx_expect_none(tx, NULL, 0));
    must(eddy_tx_append(tx, eddy_str("s"), &event));
    must(eddy_tx_commit(tx, &result));
    cr_assert_eq(result.last_offset, 2);
    must(eddy_tx_reset(tx));
    must(eddy_tx_append(tx, eddy_str("r"), &event));
    must(eddy_tx_expect_none(tx, NULL, 1));
    finds(eddy_tx_commit(tx, &result), 2, "s");
    gives(eddy_stream_info(store, eddy_str("r"),
                           &(eddy_stream_facts){.size = sizeof(eddy_stream_facts)}),
          EDDY_ENOENT);
    eddy_tx_free(tx);
    eddy_close(store);
}

/* ---- what is gone ---- */

Test(api_query, events_that_were_removed_do_not_match, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    for (int i = 0; i < 30; i++) {
        append_of(store, i % 2 ? "odd" : "even", "t");
    }
    must(eddy_truncate(store, eddy_str("even"), EDDY_ANY, 14, NULL)); /* but offset 29 */
    finds(ask_about(store, "even", NULL, NULL, 0, &result), 29, "even");
    finds(ask_about(store, NULL, "even", NULL, 5, &result), 29, "even");
    gives(ask_about(store, "even", NULL, NULL, 29, &result), 0);
    must(eddy_delete(store, eddy_str("even"), EDDY_ANY, NULL));
    gives(ask_about(store, "even", NULL, NULL, 0, &result), 0);
    gives(ask_about(store, NULL, "even", NULL, 5, &result), 0);
    finds(ask(store, NULL, 0, &result), 2, "odd");
    must(eddy_forget(store, eddy_str("odd"), NULL));
    gives(ask(store, NULL, 1, &result), 0);
    append_of(store, "odd", "again");
    finds(ask_about(store, "odd", NULL, NULL, 1, &result), 31, "odd");
    must(eddy_maintain(store, 0, NULL));
    finds(ask(store, NULL, 1, &result), 31, "odd");
    gives(ask_about(store, "even", NULL, NULL, 0, &result), 0);
    eddy_close(store);
}

Test(api_query, what_was_dropped_cannot_be_known, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_result result;
    for (int i = 0; i < 200; i++) {
        append_of(store, i % 2 ? "odd" : "even", i < 100 ? "early" : "late");
    }
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = 100;
    must(eddy_limits_set(store, &limits, NULL));
    gives(ask_about(store, NULL, NULL, "early", 0, &result), 0); /* none is there */
    gives(ask_about(store, "odd", NULL, "early", 0, &result), 0);
    gives(ask_about(store, NULL, NULL, "early", 100, &result), 0);
    gives(ask_about(store, NULL, NULL, "early", 99, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.actual, 0);
    cr_assert_eq(result.stream_len, 0);
    cr_assert_str_eq(result.stream, "");
    has_text(eddy_errmsg(), "cannot be known");
    has_text(eddy_errmsg(), "100");
    gives(ask_about(store, "odd", NULL, "early", 1, &result), EDDY_ECONFLICT);
    finds(ask_about(store, "odd", NULL, "late", 0, &result), 102, "odd");
    finds(ask_about(store, NULL, NULL, "late", 150, &result), 151, "even");
    eddy_close(store);
}

/* ---- against a model ---- */

enum { KINDS = 4, NAMES = 6, ROUNDS = 4000 };
struct event_of {
    uint8_t stream;
    uint8_t type;
    bool there;
};

static uint64_t model_find(const struct event_of *events, uint64_t head, int stream, int prefix,
                           int type, uint64_t since) {
    for (uint64_t o = since + 1; o <= head; o++) {
        const struct event_of *e = &events[o];
        if (e->there && (stream < 0 || e->stream == stream) &&
            (prefix < 0 || e->stream / 3 == prefix) && (type < 0 || e->type == type)) {
            return o;
        }
    }
    return 0;
}

static const char *const names[NAMES] = {"x0", "x1", "x2", "y3", "y4", "y5"};
static const char *const types[KINDS] = {"", "t", "tt", "u"};

static void change(eddy_store *store, struct rng *rng, struct event_of *events, uint64_t *head) {
    static const unsigned char data[200 << 10];
    unsigned stream = (unsigned)rng_below(rng, NAMES);
    if (rng_below(rng, 12) == 0) {
        eddy_stream_facts f = {.size = sizeof f};
        if (eddy_stream_info(store, eddy_str(names[stream]), &f) == 0 && f.count > 0) {
            uint64_t upto = f.first_version + rng_below(rng, f.count);
            must(eddy_truncate(store, eddy_str(names[stream]), EDDY_ANY, upto, NULL));
            uint64_t left = upto - f.first_version + 1;
            for (uint64_t o = 1; o <= *head && left > 0; o++) {
                bool goes = events[o].there && events[o].stream == stream;
                events[o].there = events[o].there && !goes;
                left -= goes;
            }
        }
        return;
    }
    unsigned type = (unsigned)rng_below(rng, KINDS);
    eddy_new_event event = {.type = eddy_str(types[type]),
                            .time_ns = (int64_t)rng_below(rng, 2),
                            .data = eddy_mem(data, rng_below(rng, 200) ? 30 : sizeof data)};
    must(eddy_append(store, eddy_str(names[stream]), EDDY_ANY, &event, 1, NULL));
    events[++*head] = (struct event_of){(uint8_t)stream, (uint8_t)type, true};
}

Test(api_query, agrees_with_a_model, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    struct event_of *events = calloc(ROUNDS + 1, sizeof *events);
    struct rng rng = rng_make(7);
    uint64_t head = 0;
    unsigned found = 0;
    for (int i = 0; i < ROUNDS; i++) {
        change(store, &rng, events, &head);
        if (i % 500 == 499) {
            must(eddy_maintain(store, 0, NULL));
        }
        int stream = (int)rng_below(&rng, 2 * NAMES) - NAMES;
        int prefix = (int)rng_below(&rng, 4) - 2;
        int type = (int)rng_below(&rng, 2 * KINDS) - KINDS;
        uint64_t since = rng_below(&rng, 4) ? head - rng_below(&rng, head < 40 ? head + 1 : 40)
                                            : rng_below(&rng, head + 2);
        uint64_t want = model_find(events, head, stream, prefix, type, since);
        const char *p = prefix < 0 ? NULL : prefix == 0 ? "x" : "y";
        eddy_result r;
        int rc = ask_about(store, stream < 0 ? NULL : names[stream], p,
                           type < 0 ? NULL : types[type], since, &r);
        cr_assert_eq(rc, want ? EDDY_ECONFLICT : 0, "%d, not %llu (%s)", rc,
                     (unsigned long long)want, eddy_errmsg());
        if (want) {
            cr_assert_eq(r.actual, want, "%llu, not %llu", (unsigned long long)r.actual,
                         (unsigned long long)want);
            cr_assert_str_eq(r.stream, names[events[want].stream]);
            found++;
        }
    }
    cr_assert_gt(found, ROUNDS / 10);
    cr_assert_lt(found, ROUNDS * 9 / 10);
    free(events);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_query, a_shard_counts, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event events[3] = {{.shard = 7}, {.type = eddy_str("t")}, {.flags = EDDY_SHARD_GIVEN}};
    eddy_select s = EDDY_SELECT_INIT;
    eddy_result result;
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 3, NULL));
    s.flags = EDDY_SHARD;
    finds(ask(store, &s, 0, &result), 3, "s"); /* shard 0, but not who is in none */
    gives(ask(store, &s, 3, &result), 0);
    s.shard = 7;
    finds(ask(store, &s, 0, &result), 1, "s");
    gives(ask(store, &s, 1, &result), 0);
    s.shard = 8;
    gives(ask(store, &s, 0, &result), 0);
    eddy_close(store);
}
