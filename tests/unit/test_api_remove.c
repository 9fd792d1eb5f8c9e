/* eddy.h from outside: removing events, streams and names. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"
#include "unit_removal.h"

#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

/* ---- against the model ---- */

static void random_step(struct removal *r) {
    unsigned stream = (unsigned)rng_below(&r->rng, REMOVAL_STREAMS);
    struct removal_stream *s = &r->streams[stream];
    switch (rng_below(&r->rng, 16)) {
    case 0:
        removal_delete(r, stream);
        break;
    case 1:
        removal_forget(r, stream);
        break;
    case 2:
    case 3:
    case 4:
        removal_truncate(r, stream, rng_below(&r->rng, s->version + 3));
        break;
    case 5:
        removal_keep(r, 1 + rng_below(&r->rng, removal_events(r) + 1));
        break;
    case 6:
        removal_maintain(r);
        break;
    case 7:
        if (rng_below(&r->rng, 2)) {
            removal_remove_empty(r);
        } else {
            removal_forget_removed(r);
        }
        break;
    default:
        removal_append(r, stream, 1 + (unsigned)rng_below(&r->rng, 100), 300);
    }
}

Test(api_remove, anything_in_any_order_is_as_a_dumb_model_says, .timeout = 120) {
    for (uint64_t run = 0; run < 12; run++) {
        struct removal r;
        removal_open(&r, 32 * MIB, 100 + run);
        for (int step = 0; step < 80; step++) {
            random_step(&r);
            if (step % 8 == 7) {
                removal_compare(&r);
            } else {
                removal_compare_quick(&r);
            }
        }
        removal_maintain(&r);
        removal_compare(&r);
        removal_close(&r);
    }
}

Test(api_remove, at_each_boundary_of_a_place_for_versions, .timeout = 60) {
    static const uint64_t cuts[] = {0,  1,  5,   6,   7,   13,  14,  15, 77,
                                    78, 79, 141, 142, 143, 199, 200, 999};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        for (size_t k = i; k < sizeof cuts / sizeof cuts[0]; k++) {
            struct removal r;
            removal_open(&r, 8 * MIB, i * 100 + k);
            for (int n = 0; n < 4; n++) {
                removal_append(&r, 0, 50, 40);
                removal_append(&r, 1, 3, 40);
            }
            removal_truncate(&r, 0, cuts[i]);
            removal_compare_quick(&r);
            removal_truncate(&r, 0, cuts[k]);
            removal_compare(&r);
            removal_append(&r, 0, 5, 40);
            removal_compare_quick(&r);
            removal_close(&r);
        }
    }
}

Test(api_remove, at_each_boundary_of_the_index_of_offsets, .timeout = 60) {
    static const uint64_t keeps[] = {4200 - 63, 4200 - 64, 4200 - 65, 105, 104, 103, 1};
    for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
        struct removal r;
        removal_open(&r, 16 * MIB, 500 + i);
        for (int n = 0; n < 42; n++) {
            removal_append(&r, (unsigned)n % 2, 100, 40);
        }
        removal_truncate(&r, 1, 100 * (i + 1)); /* holes below and above the floor */
        removal_compare_quick(&r);
        removal_keep(&r, keeps[i] < removal_events(&r) ? keeps[i] : 64);
        removal_compare(&r);
        removal_maintain(&r);
        removal_append(&r, 0, 100, 40);
        removal_compare(&r);
        removal_close(&r);
    }
}

/* ---- streams that were removed ---- */

static int append(eddy_store *store, const char *stream, int64_t expected, eddy_result *result) {
    eddy_new_event e = {.data = eddy_str("x")};
    return eddy_append(store, eddy_str(stream), expected, &e, 1, result);
}

Test(api_remove, a_removed_stream_is_none_but_goes_on_at_its_version, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    eddy_stream_facts facts = {.size = sizeof facts};
    for (int i = 0; i < 9; i++) {
        must(append(store, "s", i, NULL));
    }
    gives(eddy_delete(store, eddy_str("s"), 8, &result), EDDY_ECONFLICT);
    must(eddy_delete(store, eddy_str("s"), 9, &result));
    cr_assert_eq(result.removed, 9);
    gives(eddy_stream_info(store, eddy_str("s"), &facts), EDDY_ENOENT);
    gives(append(store, "s", EDDY_EXISTS, &result), EDDY_ECONFLICT);
    gives(append(store, "s", 8, &result), EDDY_ECONFLICT);
    gives(eddy_delete(store, eddy_str("s"), EDDY_EXISTS, &result), EDDY_ECONFLICT);
    must(eddy_delete(store, eddy_str("s"), EDDY_NONE, &result));
    cr_assert_eq(result.removed, 0);
    must(append(store, "s", EDDY_NONE, &result));
    cr_assert_eq(result.last_version, 10);
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_eq(facts.count, 1);
    cr_assert_eq(facts.first_version, 10);
    gives(append(store, "s", EDDY_NONE, &result), EDDY_ECONFLICT);
    must(eddy_delete(store, eddy_str("s"), EDDY_EXISTS, NULL));
    must(append(store, "s", 10, &result)); /* who names the version may go on as well */
    cr_assert_eq(result.last_version, 11);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_remove, a_truncated_stream_stays_there, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    eddy_stream_facts facts = {.size = sizeof facts};
    must(append(store, "s", EDDY_NONE, NULL));
    must(eddy_truncate(store, eddy_str("s"), 1, UINT64_MAX, &result));
    cr_assert_eq(result.removed, 1);
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_eq(facts.count, 0);
    cr_assert_eq(facts.first_version, 0);
    cr_assert_eq(facts.version, 1);
    gives(append(store, "s", EDDY_NONE, &result), EDDY_ECONFLICT);
    must(append(store, "s", EDDY_EXISTS, &result));
    cr_assert_eq(result.last_version, 2);
    must(eddy_truncate(store, eddy_str("never"), EDDY_ANY, 5, &result));
    cr_assert_eq(result.removed, 0);
    gives(eddy_truncate(store, eddy_str("never"), 3, 5, &result), EDDY_ECONFLICT);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_remove, a_forgotten_name_begins_anew, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    must(append(store, "s", EDDY_NONE, NULL));
    must(append(store, "s", 1, NULL));
    must(eddy_forget(store, eddy_str("s"), &result));
    cr_assert_eq(result.removed, 2);
    gives(eddy_forget(store, eddy_str("s"), &result), EDDY_ENOENT);
    gives(append(store, "s", 2, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.actual, 0);
    must(append(store, "s", EDDY_NONE, &result));
    cr_assert_eq(result.last_version, 1);
    cr_assert_eq(result.last_offset, 3);
    must(eddy_delete(store, eddy_str("s"), EDDY_ANY, NULL));
    must(eddy_forget(store, eddy_str("s"), NULL));
    must(append(store, "s", 0, &result));
    cr_assert_eq(result.last_version, 1);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- as parts of a transaction ---- */

Test(api_remove, a_stream_is_removed_and_begun_anew_at_one_instant, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx;
    eddy_result result;
    eddy_new_event e = {.data = eddy_str("new")};
    eddy_stream_facts facts = {.size = sizeof facts};
    for (int i = 0; i < 20; i++) {
        must(append(store, "s", i, NULL));
        must(append(store, "t", i, NULL));
    }
    must(eddy_tx_begin(store, &tx));
    must(
        eddy_tx_append(tx, eddy_str("s"), &e)); /* the order in which things are added is nothing */
    must(eddy_tx_delete(tx, eddy_str("s")));
    must(eddy_tx_truncate(tx, eddy_str("t"), 15));
    must(eddy_tx_append(tx, eddy_str("t"), &e));
    must(eddy_tx_expect(tx, eddy_str("s"), 20));
    must(eddy_tx_commit(tx, &result));
    cr_assert_eq(result.removed, 35);
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_eq(facts.first_version, 21);
    cr_assert_eq(facts.count, 1);
    must(eddy_stream_info(store, eddy_str("t"), &facts));
    cr_assert_eq(facts.first_version, 16);
    cr_assert_eq(facts.count, 6);
    must(eddy_tx_reset(tx));
    must(eddy_tx_forget(tx, eddy_str("s")));
    must(eddy_tx_append(tx, eddy_str("s"), &e));
    gives(eddy_tx_commit(tx, &result), EDDY_EINVAL);
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    cr_assert_eq(facts.version, 21);
    must(eddy_tx_reset(tx));
    must(eddy_tx_forget(tx, eddy_str("s")));
    must(eddy_tx_forget(tx, eddy_str("s")));
    must(eddy_tx_truncate(tx, eddy_str("s"), 3));
    must(eddy_tx_delete(tx, eddy_str("t")));
    must(eddy_tx_delete(tx, eddy_str("t")));
    must(eddy_tx_forget(tx, eddy_str("never")));
    must(eddy_tx_commit(tx, &result));
    cr_assert_eq(result.removed, 7);
    eddy_tx_free(tx);
    eddy_facts all = {.size = sizeof all};
    must(eddy_info(store, &all));
    cr_assert_eq(all.events, 0);
    cr_assert_eq(all.bytes, 0);
    cr_assert_eq(all.streams, 0);
    cr_assert_eq(all.first, 0);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_remove, what_is_done_to_many_streams_is_done_to_those_of_the_prefix, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "%c/%d", i % 3 ? 'a' : 'b', i);
        must(append(store, name, EDDY_NONE, NULL));
        if (i % 2) {
            must(eddy_truncate(store, eddy_str(name), EDDY_ANY, 1, NULL));
        }
    }
    gives(eddy_remove_empty(store, eddy_str("a/")), 100);
    gives(eddy_remove_empty(store, eddy_str("a/")), 0);
    gives(eddy_forget_removed(store, eddy_str("b/")), 0);
    gives(eddy_remove_empty(store, eddy_str("")), 50);
    gives(eddy_forget_removed(store, eddy_str("")), 150);
    gives(eddy_forget_removed(store, eddy_str("")), 0);
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.streams, 150);
    cr_assert_eq(facts.events, 150);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_remove, who_may_only_read_may_not_remove, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    must(append(store, "s", EDDY_NONE, NULL));
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    eddy_limits limits = EDDY_LIMITS_INIT;
    gives(eddy_truncate(look, eddy_str("s"), EDDY_ANY, 1, NULL), EDDY_EREADONLY);
    gives(eddy_delete(look, eddy_str("s"), EDDY_ANY, NULL), EDDY_EREADONLY);
    gives(eddy_forget(look, eddy_str("s"), NULL), EDDY_EREADONLY);
    gives(eddy_remove_empty(look, eddy_str("")), EDDY_EREADONLY);
    gives(eddy_forget_removed(look, eddy_str("")), EDDY_EREADONLY);
    gives(eddy_limits_set(look, &limits, NULL), EDDY_EREADONLY);
    gives(eddy_maintain(look, 0, NULL), EDDY_EREADONLY);
    gives(eddy_maintain(store, 2, NULL), EDDY_EINVAL);
    gives(eddy_delete(store, eddy_str(""), EDDY_ANY, NULL), EDDY_EINVAL);
    gives(eddy_forget(store, eddy_str(""), NULL), EDDY_EINVAL);
    eddy_close(look);
    eddy_close(store);
}

/* ---- memory comes back ---- */

/* A store that is written for ever, of which little is kept, does not grow. */
Test(api_remove, a_stream_that_is_written_and_removed_for_ever_needs_little, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    static unsigned char data[1000];
    eddy_new_event list[50];
    eddy_facts facts = {.size = sizeof facts};
    for (int i = 0; i < 50; i++) {
        list[i] = (eddy_new_event){.data = eddy_mem(data, sizeof data)};
    }
    for (int i = 0; i < 600; i++) {
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, list, 50, NULL));
        must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, UINT64_MAX, NULL));
    }
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.events, 0);
    cr_assert_lt(facts.reserved, 8 * MIB, "%llu KiB", (unsigned long long)facts.reserved / 1024);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_remove, a_forgotten_stream_of_many_leaves_leaves_nothing_behind, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    static eddy_new_event list[60000];
    eddy_facts before = {.size = sizeof before};
    eddy_facts after = {.size = sizeof after};
    eddy_maintained done = {.size = sizeof done};
    must(eddy_append(store, eddy_str("other"), EDDY_ANY, list, 1, NULL));
    must(eddy_info(store, &before));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, list, 60000, NULL));
    must(eddy_forget(store, eddy_str("s"), NULL));
    must(eddy_maintain(store, 0, &done));
    must(eddy_maintain(store, 0, &done));
    must(eddy_info(store, &after));
    sandbox_check(store);
    uint64_t used = after.reserved - after.free;
    cr_assert_lt(used, before.reserved - before.free + 512 * 1024, "%llu KiB are not free",
                 (unsigned long long)used / 1024);
    eddy_close(store);
}
