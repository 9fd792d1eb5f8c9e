/* eddy.h from outside: what a store may hold, and what goes when it would be more. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"
#include "unit_removal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
enum { EVENT_BYTES = 32 + 8 };

static eddy_limits limits_of(uint32_t flags) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = flags;
    return limits;
}

static eddy_facts facts_of(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

/* Events of EVENT_BYTES + 8 each (type none, data 8 bytes, no time). */
static int append(eddy_store *store, const char *stream, unsigned count, eddy_result *result) {
    static eddy_new_event list[65536];
    for (unsigned i = 0; i < count; i++) {
        list[i].data = eddy_mem("12345678", 8);
    }
    return eddy_append(store, eddy_str(stream), EDDY_ANY, list, count, result);
}

Test(api_limits, what_is_set_is_what_is_got, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    eddy_limits got = EDDY_LIMITS_INIT;
    eddy_limits set = limits_of(EDDY_DROP_ALL);
    must(eddy_limits_get(store, &got));
    cr_assert_eq(got.flags | got.events | got.bytes | got.streams, 0);
    set.events = 1;
    set.bytes = 200000;
    set.streams = 3;
    set.stream_events = 4;
    set.names = 5;
    set.age_ns = 6;
    must(eddy_limits_set(store, &set, NULL));
    memset(&got, 0xff, sizeof got);
    got.size = sizeof got;
    must(eddy_limits_get(look, &got));
    cr_assert_eq(memcmp(&got, &set, sizeof got), 0);
    set.size = offsetof(eddy_limits, names); /* of an older caller */
    must(eddy_limits_set(store, &set, NULL));
    must(eddy_limits_get(store, &got));
    cr_assert_eq(got.stream_events, 4);
    cr_assert_eq(got.names, 0);
    set = limits_of(0);
    must(eddy_limits_set(store, &set, NULL));
    must(eddy_limits_get(store, &got));
    cr_assert_eq(memcmp(&got, &set, sizeof got), 0);
    set.flags = 1u << 9;
    gives(eddy_limits_set(store, &set, NULL), EDDY_EINVAL);
    set = limits_of(0);
    set.age_ns = -1;
    gives(eddy_limits_set(store, &set, NULL), EDDY_EINVAL);
    set = limits_of(0);
    set.size = 7;
    gives(eddy_limits_set(store, &set, NULL), EDDY_EINVAL);
    gives(eddy_limits_get(store, &set), EDDY_EINVAL);
    gives(eddy_limits_preview(store, &set, NULL), EDDY_EINVAL);
    sandbox_check(store);
    eddy_close(look);
    eddy_close(store);
}

/* ---- refusing ---- */

Test(api_limits, what_would_pass_a_limit_is_refused_whole_and_named, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = limits_of(0);
    limits.events = 10;
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "s", 6, NULL));
    gives(append(store, "s", 5, NULL), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "10 events");
    must(append(store, "s", 4, NULL));
    gives(append(store, "s", 1, NULL), EDDY_ELIMIT);
    cr_assert_eq(facts_of(store).head, 10);
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 3, NULL));
    gives(append(store, "s", 4, NULL), EDDY_ELIMIT);
    must(append(store, "s", 3, NULL));
    limits = limits_of(0);
    limits.bytes = 13 * EVENT_BYTES + 39;
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "s", 3, NULL));
    gives(append(store, "s", 1, NULL), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "bytes");
    limits = limits_of(0);
    limits.stream_events = 13;
    must(eddy_limits_set(store, &limits, NULL));
    gives(append(store, "s", 1, NULL), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "'s'");
    must(append(store, "t", 13, NULL));
    gives(append(store, "t", 1, NULL), EDDY_ELIMIT);
    limits = limits_of(0);
    limits.streams = 3;
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "u", 1, NULL));
    gives(append(store, "v", 1, NULL), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "3 streams");
    must(append(store, "u", 1, NULL));
    must(eddy_delete(store, eddy_str("t"), EDDY_ANY, NULL));
    must(append(store, "v", 1, NULL));
    gives(append(store, "t", 1, NULL), EDDY_ELIMIT);
    sandbox_check(store);
    eddy_close(store);
}

/* What was there before the limit stays, and is removed without being refused. */
Test(api_limits, a_limit_that_is_passed_already_hinders_no_removal, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = limits_of(0);
    eddy_dropped dropped = {.size = sizeof dropped};
    must(append(store, "s", 100, NULL));
    limits.events = 10;
    limits.bytes = 10 * EVENT_BYTES;
    limits.streams = 1;
    limits.stream_events = 10;
    must(eddy_limits_set(store, &limits, &dropped));
    cr_assert_eq(dropped.events, 0);
    cr_assert_eq(facts_of(store).events, 100);
    gives(append(store, "s", 1, NULL), EDDY_ELIMIT);
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 95, NULL));
    must(append(store, "s", 5, NULL));
    gives(append(store, "s", 1, NULL), EDDY_ELIMIT);
    eddy_close(store);
}

/* ---- dropping ---- */

Test(api_limits, the_oldest_go_and_no_more_than_must, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = limits_of(EDDY_DROP_EVENTS);
    eddy_result result;
    limits.events = 100;
    must(eddy_limits_set(store, &limits, NULL));
    uint64_t head = 0;
    for (unsigned i = 0; i < 300; i++) {
        unsigned n = i % 7 == 0 ? 100 : i % 13;
        must(append(store, i % 3 ? "s" : "t", n, &result));
        uint64_t had = head < 100 ? head : 100;
        uint64_t want = head + n < 100 ? 0 : had + n - 100;
        cr_assert_eq(result.removed, n ? want : 0);
        head += n;
        eddy_facts facts = facts_of(store);
        cr_assert_eq(facts.events, head < 100 ? head : 100);
        cr_assert_eq(facts.bytes, facts.events * EVENT_BYTES);
        cr_assert_eq(facts.first, head - facts.events + (head > 0));
    }
    gives(append(store, "s", 101, NULL), EDDY_ELIMIT);
    cr_assert_eq(facts_of(store).events, 100);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_limits, of_bytes_as_many_events_go_as_must, .timeout = 30) {
    struct removal r;
    for (uint64_t run = 0; run < 5; run++) {
        removal_open(&r, 16 * MIB, 900 + run);
        eddy_limits limits = limits_of(EDDY_DROP_BYTES);
        limits.bytes = 20000;
        must(eddy_limits_set(r.store, &limits, NULL));
        for (int i = 0; i < 60; i++) {
            if (i % 5 == 4) {
                removal_truncate(&r, (unsigned)i % 3,
                                 rng_below(&r.rng, r.streams[i % 3].version + 1));
            }
            removal_append(&r, (unsigned)i % 3, 1 + (unsigned)rng_below(&r.rng, 20), 500);
            uint64_t bytes = removal_bytes(&r);
            for (uint64_t o = 1; bytes > 20000; o++) {
                bytes -= r.events[o - 1].there ? r.events[o - 1].bytes : 0;
                removal_gone(&r, o);
            }
            removal_compare_quick(&r);
        }
        removal_compare(&r);
        static unsigned char big[20000];
        eddy_new_event e = {.data = eddy_mem(big, sizeof big)};
        gives(eddy_append(r.store, eddy_str("s"), EDDY_ANY, &e, 1, NULL), EDDY_ELIMIT);
        removal_close(&r);
    }
}

Test(api_limits, of_each_stream_the_oldest_go, .timeout = 30) {
    struct removal r;
    removal_open(&r, 16 * MIB, 950);
    eddy_limits limits = limits_of(EDDY_DROP_STREAM_EVENTS);
    limits.stream_events = 20;
    must(eddy_limits_set(r.store, &limits, NULL));
    for (int i = 0; i < 120; i++) {
        unsigned s = (unsigned)rng_below(&r.rng, 3);
        if (i == 50) {
            removal_delete(&r, s);
        }
        removal_append(&r, s, 1 + (unsigned)rng_below(&r.rng, 20), 100);
        uint64_t there = removal_events_of(&r, s, NULL, NULL, NULL);
        for (uint64_t o = 1; there > 20; o++) {
            if (r.events[o - 1].there && r.events[o - 1].stream == s) {
                removal_gone(&r, o);
                there--;
            }
        }
        removal_compare_quick(&r);
    }
    removal_compare(&r);
    gives(append(r.store, "even-0", 21, NULL), EDDY_ELIMIT);
    removal_close(&r);
}

Test(api_limits, the_stream_that_was_made_first_goes, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = limits_of(EDDY_DROP_STREAMS);
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_result result;
    limits.streams = 5;
    must(eddy_limits_set(store, &limits, NULL));
    char name[16];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "s%u", i);
        must(append(store, name, 3, &result));
        cr_assert_eq(result.removed, i < 5 ? 0 : 3);
        cr_assert_eq(facts_of(store).streams, i < 5 ? i + 1 : 5);
        for (unsigned k = 0; k <= i; k++) {
            snprintf(name, sizeof name, "s%u", k);
            gives(eddy_stream_info(store, eddy_str(name), &facts), k + 5 > i ? 0 : EDDY_ENOENT);
        }
    }
    cr_assert_eq(facts_of(store).streams, 5);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- age ---- */

Test(api_limits, what_is_too_old_by_its_own_time_goes_in_order, .timeout = 20) {
    struct removal r;
    removal_open(&r, 16 * MIB, 960);
    eddy_limits limits = limits_of(0);
    limits.age_ns = 100;
    for (int i = 0; i < 30; i++) {
        removal_append(&r, 0, 2, 50); /* the clock goes on by 10 with each */
    }
    eddy_dropped preview = {.size = sizeof preview};
    eddy_dropped dropped = {.size = sizeof dropped};
    must(eddy_limits_preview(r.store, &limits, &preview));
    must(eddy_limits_set(r.store, &limits, &dropped));
    cr_assert_eq(dropped.events, 60 - 20, "an event as old as the limit goes");
    cr_assert_eq(preview.events, dropped.events);
    cr_assert_eq(preview.bytes, dropped.bytes);
    for (uint64_t o = 1; o <= 40; o++) {
        removal_gone(&r, o);
    }
    removal_compare(&r);
    /* One that says it happened later keeps those behind it. */
    eddy_new_event late = {.time_ns = r.now + 1000};
    must(eddy_append(r.store, eddy_str("s"), EDDY_ANY, &late, 1, NULL));
    r.now += 500;
    eddy_maintained done = {.size = sizeof done};
    must(eddy_maintain(r.store, 0, &done));
    cr_assert_eq(done.dropped, 20);
    must(append(r.store, "s", 3, NULL));
    r.now += 500;
    must(eddy_maintain(r.store, 0, &done));
    cr_assert_eq(done.dropped, 0);
    r.now += 100;
    must(eddy_maintain(r.store, 0, &done));
    cr_assert_eq(done.dropped, 4);
    cr_assert_eq(facts_of(r.store).events, 0);
    sandbox_check(r.store);
    removal_close(&r);
}

/* ---- together ---- */

Test(api_limits, with_holes_below_the_floor_the_count_is_still_exact, .timeout = 60) {
    for (uint64_t run = 0; run < 6; run++) {
        struct removal r;
        removal_open(&r, 16 * MIB, 970 + run);
        eddy_limits limits = limits_of(EDDY_DROP_EVENTS | EDDY_DROP_BYTES);
        limits.events = 300;
        limits.bytes = 40000;
        must(eddy_limits_set(r.store, &limits, NULL));
        for (int i = 0; i < 100; i++) {
            unsigned s = (unsigned)rng_below(&r.rng, 4);
            if (i % 3 == 2) {
                removal_truncate(&r, s, rng_below(&r.rng, r.streams[s].version + 1));
            } else if (i % 20 == 19) {
                removal_delete(&r, s);
            }
            removal_append(&r, s, 1 + (unsigned)rng_below(&r.rng, 60), 200);
            uint64_t events = removal_events(&r);
            uint64_t bytes = removal_bytes(&r);
            for (uint64_t o = 1; events > 300 || bytes > 40000; o++) {
                events -= r.events[o - 1].there;
                bytes -= r.events[o - 1].there ? r.events[o - 1].bytes : 0;
                removal_gone(&r, o);
            }
            removal_compare_quick(&r);
        }
        removal_maintain(&r);
        removal_compare(&r);
        removal_close(&r);
    }
}

Test(api_limits, a_preview_says_what_setting_them_then_does, .timeout = 60) {
    for (uint64_t run = 0; run < 20; run++) {
        struct removal r;
        eddy_dropped preview = {.size = sizeof preview};
        eddy_dropped dropped = {.size = sizeof dropped};
        removal_open(&r, 16 * MIB, 1000 + run);
        for (int i = 0; i < 20; i++) {
            unsigned s = (unsigned)rng_below(&r.rng, 5);
            removal_append(&r, s, 1 + (unsigned)rng_below(&r.rng, 60), 200);
            removal_truncate(&r, s, rng_below(&r.rng, r.streams[s].version));
        }
        eddy_limits limits = limits_of(EDDY_DROP_EVENTS | EDDY_DROP_BYTES);
        limits.events = run % 2 ? 1 + rng_below(&r.rng, removal_events(&r)) : 0;
        limits.bytes = run % 3 ? 1 + rng_below(&r.rng, removal_bytes(&r)) : 0;
        limits.age_ns = run % 5 ? 0 : (int64_t)(1 + rng_below(&r.rng, 200));
        uint64_t bytes = removal_bytes(&r);
        uint64_t events = removal_events(&r);
        must(eddy_limits_preview(r.store, &limits, &preview));
        cr_assert_eq(facts_of(r.store).events, events, "nothing was changed");
        must(eddy_limits_set(r.store, &limits, &dropped));
        cr_assert_eq(preview.events, dropped.events, "run %llu", (unsigned long long)run);
        cr_assert_eq(preview.bytes, dropped.bytes);
        cr_assert_eq(preview.streams, dropped.streams);
        cr_assert_eq(facts_of(r.store).events, events - dropped.events);
        cr_assert_eq(facts_of(r.store).bytes, bytes - dropped.bytes);
        sandbox_check(r.store);
        removal_close(&r);
    }
}

/* ---- full ---- */

static eddy_store *full_store(uint64_t cap, size_t len) {
    static unsigned char data[1 << 16];
    eddy_store *store = sandbox_anonymous_of(cap);
    eddy_new_event e = {.data = eddy_mem(data, len)};
    int r;
    do {
        r = eddy_append(store, eddy_str("fill"), EDDY_ANY, &e, 1, NULL);
    } while (r == 0);
    cr_assert_eq(r, EDDY_EFULL);
    return store;
}

Test(api_limits, a_full_store_is_emptied_and_written_again, .timeout = 60) {
    static const size_t sizes[] = {8, 1000, 60000};
    for (size_t i = 0; i < 3; i++) {
        for (int how = 0; how < 4; how++) {
            eddy_store *store = full_store(8 * MIB, sizes[i]);
            eddy_limits limits = limits_of(EDDY_DROP_EVENTS);
            limits.events = 1;
            must(how == 0   ? eddy_truncate(store, eddy_str("fill"), EDDY_ANY, UINT64_MAX, NULL)
                 : how == 1 ? eddy_delete(store, eddy_str("fill"), EDDY_ANY, NULL)
                 : how == 2 ? eddy_forget(store, eddy_str("fill"), NULL)
                            : eddy_limits_set(store, &limits, NULL));
            must(append(store, "again", 1, NULL));
            limits = limits_of(0);
            must(eddy_limits_set(store, &limits, NULL));
            for (int n = 0; n < 50; n++) {
                must(append(store, "again", 100, NULL));
            }
            sandbox_check(store);
            eddy_close(store);
        }
    }
}

Test(api_limits, where_the_oldest_go_when_it_is_full_no_append_fails, .timeout = 120) {
    static unsigned char data[1 << 16];
    static const size_t sizes[] = {0, 100, 3000, 60000};
    for (size_t i = 0; i < 4; i++) {
        eddy_store *store = sandbox_anonymous_of(4 * MIB);
        eddy_limits limits = limits_of(EDDY_DROP_WHEN_FULL);
        must(eddy_limits_set(store, &limits, NULL));
        eddy_new_event e = {.data = eddy_mem(data, sizes[i])};
        eddy_result result;
        uint64_t removed = 0;
        unsigned most = sizes[i] < 1000 ? 120000 : 4000;
        char name[16];
        for (unsigned n = 0; n < most && removed < 40000; n++) {
            snprintf(name, sizeof name, "s%u", n % 50);
            int r = eddy_append(store, eddy_str(name), EDDY_ANY, &e, 1, &result);
            cr_assert_eq(r, 0, "event %u of %zu bytes: %s", n, sizes[i], eddy_errmsg());
            removed = facts_of(store).head - facts_of(store).events;
        }
        cr_assert_gt(removed, 0);
        sandbox_check(store);
        eddy_close(store);
    }
}

/* ---- in particular ---- */

Test(api_limits, setting_a_limit_of_events_of_each_stream_trims_those_that_are_there,
     .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_dropped preview = {.size = sizeof preview};
    eddy_dropped dropped = {.size = sizeof dropped};
    must(append(store, "s", 50, NULL));
    limits.flags = EDDY_DROP_STREAM_EVENTS;
    limits.stream_events = 10;
    must(eddy_limits_preview(store, &limits, &preview));
    cr_assert_eq(preview.events, 40);
    must(eddy_limits_set(store, &limits, &dropped));
    cr_assert_eq(dropped.events, 40);
    eddy_close(store);
}

Test(api_limits, beyond_the_limit_of_names_those_go_that_were_made_first, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_result result;
    char name[16];
    limits.names = 3;
    must(eddy_limits_set(store, &limits, NULL));
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "s%d", i);
        must(append(store, name, 2, NULL));
        must(eddy_delete(store, eddy_str(name), EDDY_ANY, NULL));
    }
    must(eddy_maintain(store, 0, NULL));
    must(append(store, "s5", 1, &result));
    cr_assert_eq(result.last_version, 3);
    must(append(store, "s0", 1, &result));
    cr_assert_eq(result.last_version, 1, "s0 was to be forgotten");
    eddy_close(store);
}

Test(api_limits, streams_that_age_leaves_without_an_event_are_removed, .timeout = 10) {
    struct removal r;
    eddy_limits limits = EDDY_LIMITS_INIT;
    removal_open(&r, 16 * MIB, 1);
    removal_append(&r, 0, 5, 10);
    limits.age_ns = 100;
    must(eddy_limits_set(r.store, &limits, NULL));
    r.now += 1000;
    must(eddy_maintain(r.store, 0, NULL));
    cr_assert_eq(facts_of(r.store).events, 0);
    cr_assert_eq(facts_of(r.store).streams, 0);
    removal_close(&r);
}

Test(api_limits, one_transaction_that_drops_more_than_4096_leaves_no_more_than_the_limit,
     .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = 10000;
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "s", 10000, NULL));
    must(append(store, "s", 10000, NULL));
    cr_assert_leq(facts_of(store).events, 10000, "%llu events",
                  (unsigned long long)facts_of(store).events);
    eddy_close(store);
}

Test(api_limits, a_transaction_on_more_streams_than_the_limit_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_tx *tx;
    eddy_new_event e = {.data = eddy_str("x")};
    limits.flags = EDDY_DROP_STREAMS;
    limits.streams = 2;
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "a", 1, NULL));
    must(append(store, "b", 1, NULL));
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("a"), &e));
    must(eddy_tx_append(tx, eddy_str("b"), &e));
    must(eddy_tx_append(tx, eddy_str("c"), &e));
    gives(eddy_tx_commit(tx, NULL), EDDY_ELIMIT);
    eddy_tx_free(tx);
    cr_assert_eq(facts_of(store).streams, 2);
    eddy_close(store);
}

Test(api_limits, a_preview_of_limits_of_streams_and_of_all_counts_no_event_twice, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_dropped preview = {.size = sizeof preview};
    eddy_dropped dropped = {.size = sizeof dropped};
    static eddy_new_event large[5];
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 5; k++) {
            large[k].data = eddy_mem("1234567812345678", 16);
        }
        must(eddy_append(store, eddy_str("a"), EDDY_ANY, large, 5, NULL));
        must(append(store, "b", 5, NULL));
    }
    limits.flags = EDDY_DROP_STREAMS | EDDY_DROP_EVENTS;
    limits.streams = 1; /* a goes, 50 events; b has 50, of which 20 go */
    limits.events = 30;
    must(eddy_limits_preview(store, &limits, &preview));
    must(eddy_limits_set(store, &limits, &dropped));
    cr_assert_eq(dropped.events, 70);
    cr_assert_eq(preview.events, 70, "%llu", (unsigned long long)preview.events);
    cr_assert_eq(preview.bytes, dropped.bytes);
    eddy_close(store);
}

Test(api_limits, a_removed_stream_that_is_there_again_was_made_first_and_goes_first,
     .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_stream_facts facts = {.size = sizeof facts};
    char name[16];
    limits.flags = EDDY_DROP_STREAMS;
    limits.streams = 5;
    must(eddy_limits_set(store, &limits, NULL));
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "s%u", i);
        must(append(store, name, 3, NULL));
    }
    must(append(store, "s3", 1, NULL)); /* s35 goes */
    gives(eddy_stream_info(store, eddy_str("s35"), &facts), EDDY_ENOENT);
    must(append(store, "new", 1, NULL));
    gives(eddy_stream_info(store, eddy_str("s3"), &facts), EDDY_ENOENT);
    must(eddy_stream_info(store, eddy_str("s36"), &facts));
    eddy_close(store);
}
