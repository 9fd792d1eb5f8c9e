/* eddy.h from outside: transactions with keys happen once (eddy_tx_key, eddy_append_once). */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t clock_ns = INT64_C(1000000000);

static int64_t tell(void *arg) {
    (void)arg;
    return clock_ns;
}

/* A store whose time stands still; or another handle on one. */
static eddy_store *timed_again(eddy_store *of) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    char name[16];
    options.flags = of ? 0 : EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.clock = tell;
    must(eddy_open(&store, of ? sandbox_fd_name(of, name) : NULL, &options));
    return store;
}

static eddy_store *timed_store(void) {
    return timed_again(NULL);
}

static int once(eddy_store *store, const char *key, const char *stream, int64_t expected,
                size_t count, eddy_result *result) {
    eddy_new_event events[4] = {{.type = eddy_str("t")}, {.data = eddy_str("d")}};
    return eddy_append_once(store, eddy_str(key), eddy_str(stream), expected, events, count,
                            result);
}

static bool same_answer(const eddy_result *a, const eddy_result *b) {
    return a->first_offset == b->first_offset && a->last_offset == b->last_offset &&
           a->last_version == b->last_version && a->recorded_ns == b->recorded_ns &&
           a->removed == b->removed && a->revision == b->revision;
}

static void set_window(eddy_store *store, uint64_t keys, int64_t age_ns) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    must(eddy_limits_get(store, &limits));
    limits.keys = keys;
    limits.keys_age_ns = age_ns;
    must(eddy_limits_set(store, &limits, NULL));
    must(eddy_limits_get(store, &limits));
    cr_assert_eq(limits.keys, keys);
    cr_assert_eq(limits.keys_age_ns, age_ns);
}

Test(api_once, the_same_key_gives_the_first_answer_and_changes_nothing, .timeout = 20) {
    eddy_store *store = timed_store();
    eddy_store *other = timed_again(store);
    eddy_result first;
    eddy_result again;
    gives(once(store, "x", "zero", EDDY_ANY, 3, NULL), 0);
    gives(once(store, "k", "s", EDDY_NONE, 2, &first), 0);
    cr_assert_not(first.repeated);
    cr_assert_eq(first.first_offset, 4);
    cr_assert_eq(first.last_version, 2);
    clock_ns += 1000;
    for (int i = 0; i < 3; i++) {
        /* Whatever is in it, and whatever its conditions. */
        gives(once(i % 2 ? store : other, "k", i == 2 ? "else" : "s", EDDY_NONE, 1 + (size_t)i,
                   &again),
              0);
        cr_assert(again.repeated);
        cr_assert(same_answer(&first, &again));
        cr_assert_eq(again.stream_len, 0);
    }
    cr_assert_eq(sandbox_head(store), 5);
    gives(once(store, "K", "s", 2, 1, &again), 0);
    cr_assert_not(again.repeated);
    cr_assert_eq(again.first_offset, 6);
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.transactions, 3);
    cr_assert_eq(facts.streams, 2);
    sandbox_check(store);
    eddy_close(other);
    eddy_close(store);
}

Test(api_once, what_was_refused_may_be_tried_again, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    gives(once(store, "k", "s", 1, 1, &result), EDDY_ECONFLICT);
    cr_assert_not(result.repeated);
    gives(once(store, "k", "s", EDDY_EXISTS, 1, &result), EDDY_ECONFLICT);
    gives(once(store, "k", "s", EDDY_NONE, 0, &result), 0); /* nothing, and the key is not noted */
    gives(once(store, "k", "s", EDDY_NONE, 1, &result), 0);
    cr_assert_not(result.repeated);
    cr_assert_eq(result.first_offset, 1);
    gives(once(store, "k", "s", EDDY_NONE, 1, &result), 0);
    cr_assert(result.repeated);
    gives(once(store, "l", "s", EDDY_NONE, 1, &result), EDDY_ECONFLICT);
    cr_assert_not(result.repeated);
    eddy_close(store);
}

Test(api_once, keys_have_a_length_and_a_transaction_has_one, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *reader = sandbox_again(store, EDDY_READ_ONLY);
    char text[300];
    eddy_new_event event = {0};
    eddy_result result;
    eddy_tx *tx;
    memset(text, 'k', sizeof text);
    eddy_bytes s = eddy_str("s");
    eddy_bytes none = eddy_mem(text, 0);
    eddy_bytes null = eddy_mem(NULL, 3);
    eddy_bytes long_key = eddy_mem(text, 256);
    gives(eddy_append_once(store, none, s, EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    gives(eddy_append_once(store, null, s, EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    gives(eddy_append_once(store, long_key, s, EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    gives(eddy_append_once(store, s, none, EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    gives(eddy_append_once(store, s, s, -7, &event, 1, NULL), EDDY_EINVAL);
    gives(eddy_append_once(store, s, s, EDDY_ANY, &event, EDDY_TX_EVENTS_MAX + 1, NULL),
          EDDY_ELIMIT);
    gives(eddy_append_once(reader, s, s, EDDY_ANY, &event, 1, NULL), EDDY_EREADONLY);
    must(eddy_tx_begin(store, &tx));
    gives(eddy_tx_key(tx, none), EDDY_EINVAL);
    gives(eddy_tx_key(tx, long_key), EDDY_EINVAL);
    must(eddy_tx_key(tx, eddy_mem(text, 255)));
    gives(eddy_tx_key(tx, s), EDDY_EINVAL);
    must(eddy_tx_append(tx, s, &event));
    must(eddy_tx_commit(tx, NULL));
    gives(eddy_tx_key(tx, s), EDDY_EINVAL);
    must(eddy_tx_reset(tx));
    must(eddy_tx_key(tx, eddy_mem(text, 255)));
    must(eddy_tx_commit(tx, &result));
    cr_assert(result.repeated);
    cr_assert_eq(result.first_offset, 1);
    must(eddy_tx_reset(tx));
    must(eddy_tx_key(tx, eddy_mem(text, 254)));
    must(eddy_tx_commit(tx, &result));
    cr_assert_not(result.repeated); /* empty, but it has a key */
    cr_assert_eq(result.first_offset, 0);
    must(eddy_tx_reset(tx));
    must(eddy_tx_key(tx, eddy_mem("\0\0", 2)));
    must(eddy_tx_commit(tx, &result));
    cr_assert_not(result.repeated);
    must(eddy_tx_reset(tx));
    must(eddy_tx_commit(tx, &result)); /* a new one has none */
    cr_assert_not(result.repeated);
    eddy_tx_free(tx);
    sandbox_check(store);
    eddy_close(reader);
    eddy_close(store);
}

Test(api_once, all_of_a_transaction_happens_once, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = {.data = eddy_str("d")};
    eddy_new_state state = {.data = eddy_str("state")};
    eddy_result first;
    eddy_result again;
    uint64_t offset;
    uint64_t version;
    eddy_tx *tx;
    gives(once(store, "before", "cut", EDDY_ANY, 4, NULL), 0);
    for (int i = 0; i < 2; i++) {
        must(eddy_tx_begin(store, &tx));
        must(eddy_tx_expect(tx, eddy_str("cut"), 4));
        must(eddy_tx_expect_none(tx, NULL, 4));
        must(eddy_tx_append(tx, eddy_str("a"), &event));
        must(eddy_tx_append(tx, eddy_str("b"), &event));
        must(eddy_tx_truncate(tx, eddy_str("cut"), 3));
        must(eddy_tx_state(tx, eddy_str("s"), EDDY_NONE, &state));
        must(eddy_tx_checkpoint(tx, eddy_str("c"), 4, 0));
        must(eddy_tx_key(tx, eddy_str("k")));
        gives(eddy_tx_commit(tx, i ? &again : &first), 0);
        gives(eddy_tx_placed(tx, 1, &offset, NULL), 0);
        cr_assert_eq(offset, 6);
        gives(eddy_tx_placed(tx, 0, &offset, &version), i ? EDDY_EINVAL : 0);
        gives(eddy_tx_placed(tx, 2, &offset, NULL), EDDY_EINVAL);
        eddy_tx_free(tx);
    }
    cr_assert_not(first.repeated);
    cr_assert(again.repeated);
    cr_assert(same_answer(&first, &again));
    cr_assert_eq(first.removed, 3);
    cr_assert_gt(first.revision, 0);
    cr_assert_eq(sandbox_head(store), 6);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- the window ---- */

Test(api_once, answers_go_by_their_age, .timeout = 20) {
    eddy_store *store = timed_store();
    eddy_result result;
    const int64_t minute = INT64_C(60000000000);
    gives(once(store, "a", "s", EDDY_ANY, 1, NULL), 0);
    clock_ns += 10 * minute - 1;
    gives(once(store, "a", "s", EDDY_ANY, 1, &result), 0);
    cr_assert(result.repeated);
    gives(once(store, "b", "s", EDDY_ANY, 1, NULL), 0);
    clock_ns += 1;
    gives(once(store, "a", "s", EDDY_ANY, 1, &result), 0); /* ten minutes: it is new */
    cr_assert_not(result.repeated);
    cr_assert_eq(result.first_offset, 3);
    gives(once(store, "a", "s", EDDY_ANY, 1, &result), 0);
    cr_assert(result.repeated);
    cr_assert_eq(result.first_offset, 3);
    sandbox_check(store);
    set_window(store, 0, INT64_MAX);
    clock_ns += 100000 * minute;
    gives(once(store, "b", "s", EDDY_ANY, 1, &result), 0);
    cr_assert(result.repeated);
    set_window(store, 0, 5);
    gives(once(store, "b", "s", EDDY_ANY, 1, &result), 0);
    cr_assert_not(result.repeated);
    clock_ns -= minute; /* a clock that goes back makes no answer older */
    gives(once(store, "b", "s", EDDY_ANY, 1, &result), 0);
    cr_assert(result.repeated);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_once, as_many_answers_are_kept_as_the_limit_says, .timeout = 60) {
    eddy_store *store = timed_store();
    char key[16];
    eddy_result result;
    for (uint64_t keys = 1; keys <= 40; keys += 13) {
        set_window(store, keys, 0);
        for (int i = 0; i < 100; i++) {
            (void)snprintf(key, sizeof key, "%d-%d", (int)keys, i);
            gives(once(store, key, "s", EDDY_ANY, 1, &result), 0);
            cr_assert_not(result.repeated);
            for (int k = i < (int)keys ? 0 : i - (int)keys + 1; k <= i; k++) {
                (void)snprintf(key, sizeof key, "%d-%d", (int)keys, k);
                gives(once(store, key, "s", EDDY_ANY, 1, &result), 0);
                cr_assert(result.repeated, "%d of %d", k, i);
            }
        }
        (void)snprintf(key, sizeof key, "%d-%d", (int)keys, 99 - (int)keys);
        gives(once(store, key, "s", EDDY_ANY, 1, &result), 0);
        cr_assert_not(result.repeated, "%s is not kept any more", key);
        sandbox_check(store);
    }
    eddy_close(store);
}

/* ---- against a model ---- */

enum { KEYS = 60, ROUNDS = 20000 };

Test(api_once, agrees_with_a_model, .timeout = 60) {
    eddy_store *store = timed_store();
    struct rng rng = rng_make(11);
    struct {
        eddy_result result;
        uint64_t nth; /* 0: never */
    } model[KEYS] = {0};
    uint64_t nth = 0;
    uint64_t keys = 20;
    int64_t age = 500;
    uint64_t repeats = 0;
    set_window(store, keys, age);
    for (int i = 0; i < ROUNDS; i++) {
        clock_ns += (int64_t)rng_below(&rng, 30);
        if (rng_once_in(&rng, 300)) {
            clock_ns += 1000;
        }
        if (rng_once_in(&rng, 500)) {
            /* Only ever narrower, or what was over might be so no more. */
            keys = 1 + rng_below(&rng, 20);
            age = 1 + (int64_t)rng_below(&rng, 500);
            clock_ns += 1000;
            must(eddy_maintain(store, 0, NULL));
            set_window(store, keys, age);
            memset(model, 0, sizeof model);
            sandbox_check(store);
        }
        unsigned k = (unsigned)rng_below(&rng, KEYS);
        char key[16];
        (void)snprintf(key, sizeof key, "key-%u", k);
        bool kept = model[k].nth != 0 && nth - model[k].nth < keys &&
                    clock_ns - model[k].result.recorded_ns < age;
        eddy_result result;
        gives(once(store, key, "s", EDDY_ANY, rng_below(&rng, 3), &result), 0);
        if (result.recorded_ns == 0) {
            continue; /* no event */
        }
        cr_assert_eq(result.repeated, kept, "key %u", k);
        if (kept) {
            cr_assert(same_answer(&result, &model[k].result));
            repeats++;
        } else {
            model[k].result = result;
            model[k].nth = ++nth;
        }
    }
    cr_assert_gt(repeats, ROUNDS / 50);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_once, memory_stays_what_it_was, .timeout = 120) {
    eddy_store *store = sandbox_anonymous_of(UINT64_C(16) << 20);
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_facts facts = {.size = sizeof facts};
    uint64_t reserved = 0;
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = 1000;
    limits.keys = 1000;
    must(eddy_limits_set(store, &limits, NULL));
    for (uint64_t i = 0; i < 300000; i++) {
        eddy_new_event event = {.data = eddy_mem(&i, sizeof i)};
        must(eddy_append_once(store, eddy_mem(&i, sizeof i), eddy_str("s"), EDDY_ANY, &event, 1,
                              NULL));
        if (i == 50000) {
            must(eddy_info(store, &facts));
            reserved = facts.reserved - facts.free;
        }
    }
    must(eddy_info(store, &facts));
    cr_assert_leq(facts.reserved - facts.free, reserved + reserved / 10);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- in a file ---- */

Test(api_once, answers_outlive_a_restore_in_their_order, .timeout = 60) {
    enum { MANY = 300 };
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = EDDY_OPTIONS_INIT;
    options.dir = box.dir;
    options.clock = tell;
    const char *file = sandbox_path(&box, "file");
    eddy_store *store = timed_store();
    eddy_store *copy;
    char key[16];
    eddy_result result;
    set_window(store, MANY, INT64_MAX);
    for (int i = 0; i < 2 * MANY; i++) {
        clock_ns++;
        (void)snprintf(key, sizeof key, "%d", i);
        gives(once(store, key, "s", EDDY_ANY, 1, NULL), 0);
    }
    must(eddy_snapshot_write(store, file, NULL, NULL));
    must(eddy_snapshot_restore(file, "copy", &options));
    options.flags = EDDY_MUST_EXIST;
    must(eddy_open(&copy, "copy", &options));
    sandbox_check(copy);
    for (int i = MANY; i < 2 * MANY; i++) {
        (void)snprintf(key, sizeof key, "%d", i);
        gives(once(copy, key, "s", EDDY_ANY, 1, &result), 0);
        cr_assert(result.repeated);
        cr_assert_eq(result.first_offset, (uint64_t)i + 1);
    }
    for (int i = 0; i < MANY / 2; i++) { /* the oldest go first */
        (void)snprintf(key, sizeof key, "new-%d", i);
        gives(once(copy, key, "s", EDDY_ANY, 1, NULL), 0);
        (void)snprintf(key, sizeof key, "%d", MANY + i + 1);
        gives(once(copy, key, "s", EDDY_ANY, 1, &result), 0);
        cr_assert(result.repeated);
    }
    (void)snprintf(key, sizeof key, "%d", MANY);
    gives(once(copy, key, "s", EDDY_ANY, 1, &result), 0);
    cr_assert_not(result.repeated);
    sandbox_check(copy);
    eddy_close(copy);
    eddy_close(store);
}
