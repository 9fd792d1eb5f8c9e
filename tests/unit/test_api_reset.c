/* eddy.h from outside: emptying a store. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void append(eddy_store *store, const char *stream, int count) {
    eddy_new_event event = {.type = eddy_str("t"), .data = eddy_str("some data of an event")};
    for (int i = 0; i < count; i++) {
        must(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
    }
}

static eddy_facts facts_of(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

static void fill(eddy_store *store) {
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "s-%d", i);
        append(store, name, 1 + i * 3);
    }
    must(eddy_delete(store, eddy_str("s-3"), EDDY_ANY, NULL));
    must(eddy_truncate(store, eddy_str("s-4"), EDDY_ANY, 100, NULL));
    must(eddy_truncate(store, eddy_str("s-5"), EDDY_ANY, 5, NULL));
    must(eddy_checkpoint_put(store, eddy_str("c"), 7, EDDY_HOLD));
    must(eddy_checkpoint_put(store, eddy_str("d"), 9, 0));
}

Test(api_reset, nothing_is_left_but_numbers_and_limits, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_checkpoint checkpoint;
    eddy_result result;
    limits.events = 100000;
    must(eddy_limits_set(store, &limits, NULL));
    for (int round = 0; round < 3; round++) {
        fill(store);
        eddy_facts before = facts_of(store);
        cr_assert_eq(before.streams, 39);
        cr_assert_eq(before.names, 1);
        must(eddy_reset(store, &result));
        cr_assert_eq(result.removed, before.events);
        eddy_facts after = facts_of(store);
        cr_assert_eq(after.head, before.head, "offsets go on");
        cr_assert_eq(after.events + after.bytes + after.streams + after.names + after.held, 0);
        gives(EDDY_ENOENT, eddy_checkpoint_get(store, eddy_str("c"), 0, &checkpoint));
        gives(EDDY_ENOENT, eddy_checkpoint_get(store, eddy_str("d"), 0, &checkpoint));
        memset(&limits, 0, sizeof limits);
        limits.size = sizeof limits;
        must(eddy_limits_get(store, &limits));
        cr_assert_eq(limits.events, 100000);
        eddy_new_event event = {.type = eddy_str("t")};
        must(eddy_append(store, eddy_str("s-6"), EDDY_NONE, &event, 1, &result));
        cr_assert_eq(result.last_version, 1);
        cr_assert_eq(result.last_offset, before.head + 1);
        sandbox_check(store);
    }
    eddy_close(store);
}

Test(api_reset, an_empty_store_may_be_reset, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    must(eddy_reset(store, &result));
    cr_assert_eq(result.removed, 0);
    must(eddy_reset(store, NULL));
    cr_assert_eq(facts_of(store).transactions, 0, "nothing was to be done");
    eddy_close(store);
}

Test(api_reset, its_memory_comes_back, .timeout = 60) {
    eddy_store *store = sandbox_anonymous_of(16 << 20);
    char data[4096] = {0};
    eddy_new_event event = {.data = eddy_mem(data, sizeof data)};
    for (int round = 0; round < 6; round++) {
        int rc;
        while ((rc = eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL)) == 0) {
        }
        gives(EDDY_EFULL, rc);
        must(eddy_reset(store, NULL));
        eddy_facts facts = facts_of(store);
        cr_assert_gt(facts.free, facts.reserved / 10 * 8, "%llu of %llu are free",
                     (unsigned long long)facts.free, (unsigned long long)facts.reserved);
        sandbox_check(store);
    }
    eddy_close(store);
}

Test(api_reset, who_follows_is_told_what_went_and_goes_on, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_select all = EDDY_SELECT_INIT;
    eddy_select one = EDDY_SELECT_INIT;
    eddy_reader *readers[2];
    eddy_position at;
    eddy_event event;
    all.flags = one.flags = EDDY_FOLLOW;
    one.stream = eddy_str("s");
    append(store, "s", 3);
    must(eddy_reader_open(store, &all, &readers[0]));
    must(eddy_reader_open(store, &one, &readers[1]));
    for (int i = 0; i < 2; i++) {
        gives(EDDY_EVENT, eddy_reader_next(readers[i], &event));
        cr_assert_eq(event.offset, 1);
    }
    must(eddy_reset(store, NULL));
    append(store, "s", 1);
    gives(EDDY_ELAPPED, eddy_reader_next(readers[0], &event));
    must(eddy_reader_position(readers[0], &at));
    cr_assert_eq(at.lapped_from, 2);
    cr_assert_eq(at.lapped_to, 3);
    for (int i = 0; i < 2; i++) {
        int got = eddy_reader_next(readers[i], &event);
        got = got == EDDY_ELAPPED ? eddy_reader_next(readers[i], &event) : got;
        cr_assert_eq(got, EDDY_EVENT);
        cr_assert_eq(event.offset, 4);
        cr_assert_eq(event.version, 1);
        gives(EDDY_CAUGHT_UP, eddy_reader_next(readers[i], &event));
        eddy_reader_close(readers[i]);
    }
    eddy_close(store);
}

Test(api_reset, who_may_not_write_may_not_reset, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    append(store, "s", 3);
    eddy_store *reader = sandbox_again(store, EDDY_READ_ONLY);
    gives(EDDY_EREADONLY, eddy_reset(reader, NULL));
    cr_assert_eq(facts_of(store).events, 3);
    must(eddy_shutdown(store));
    gives(EDDY_ECLOSED, eddy_reset(store, NULL));
    eddy_close(reader);
    eddy_close(store);
}
