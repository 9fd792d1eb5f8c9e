/* eddy.h from outside: how far readers and checkpoints are behind. */
#include "eddy.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

struct lags {
    size_t count;
    eddy_lag at[16];
};

static int note(void *arg, const eddy_lag *lag) {
    struct lags *l = arg;
    cr_assert_eq(lag->size, sizeof *lag);
    l->at[l->count++] = *lag;
    return l->count == 16;
}

static struct lags lags_of(eddy_store *store) {
    struct lags l = {0};
    int64_t n = eddy_lags(store, note, &l);
    must(n);
    cr_assert_eq(n, (int64_t)l.count);
    return l;
}

static void append(eddy_store *store, const char *stream, int count) {
    eddy_new_event event = {.type = eddy_str("t")};
    for (int i = 0; i < count; i++) {
        must(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
    }
}

static int64_t at_ns;
static int64_t clock_of_test(void *arg) {
    (void)arg;
    return at_ns += 1000;
}

Test(stats, checkpoints_are_behind_by_events_and_by_time, .timeout = 60) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.clock = clock_of_test;
    must(eddy_open(&store, NULL, &options));
    cr_assert_eq(lags_of(store).count, 0);
    append(store, "a", 10);
    must(eddy_checkpoint_put(store, eddy_str("none"), 0, 0));
    must(eddy_checkpoint_put(store, eddy_str("some"), 4, 0));
    must(eddy_checkpoint_put(store, eddy_str("whole"), 10, 0));
    must(eddy_checkpoint_put(store, eddy_str("wild"), INT64_MAX, 0));
    at_ns += 1000000;
    for (int handle = 0; handle < 2; handle++) {
        eddy_store *looks = handle ? sandbox_again(store, EDDY_READ_ONLY) : store;
        struct lags l = lags_of(looks);
        cr_assert_eq(l.count, 4);
        const uint64_t events[] = {10, 6, 0, 0};
        const char *names[] = {"none", "some", "whole", "wild"};
        for (int i = 0; i < 4; i++) {
            cr_assert_eq(l.at[i].kind, EDDY_LAG_CHECKPOINT);
            cr_assert_str_eq(l.at[i].name, names[i]);
            cr_assert_eq(l.at[i].events, events[i], "%s", names[i]);
            cr_assert_eq(l.at[i].behind_ns >= 1000000, events[i] > 0);
        }
        if (handle) {
            eddy_close(looks);
        }
    }
    must(eddy_truncate(store, eddy_str("a"), EDDY_ANY, 7, NULL));
    struct lags l = lags_of(store);
    cr_assert_eq(l.at[0].events, 3, "what is gone is nobody's to read");
    cr_assert_eq(l.at[1].events, 3);
    must(eddy_reset(store, NULL));
    must(eddy_checkpoint_put(store, eddy_str("none"), 0, 0));
    l = lags_of(store);
    cr_assert_eq(l.count, 1);
    cr_assert_eq(l.at[0].events, 0);
    cr_assert_eq(l.at[0].behind_ns, 0);
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.events_read, 0, "looking is no reading");
    eddy_close(store);
}

Test(stats, readers_are_behind_until_they_have_caught_up, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *readers[2];
    eddy_event event;
    append(store, "a", 10);
    select.flags = EDDY_FOLLOW;
    must(eddy_reader_open(store, &select, &readers[0]));
    select.stream = eddy_str("other"); /* to which nobody writes */
    select.after_offset = 3;
    must(eddy_reader_open(store, &select, &readers[1]));
    struct lags l = lags_of(store);
    cr_assert_eq(l.count, 2);
    cr_assert_eq(l.at[0].events, 10);
    cr_assert_eq(l.at[1].events, 7);
    cr_assert(l.at[0].follows && l.at[0].alive);
    cr_assert_eq(l.at[0].kind, EDDY_LAG_READER);
    cr_assert_eq(l.at[0].pid, (uint32_t)getpid());
    for (int i = 0; i < 4; i++) {
        gives(EDDY_EVENT, eddy_reader_next(readers[0], &event));
    }
    gives(EDDY_CAUGHT_UP, eddy_reader_next(readers[1], &event));
    l = lags_of(store);
    cr_assert_eq(l.at[0].offset, 4);
    cr_assert_eq(l.at[0].events, 6);
    cr_assert_gt(l.at[0].behind_ns, 0);
    cr_assert_eq(l.at[1].events, 0, "it has looked at all there is");
    while (eddy_reader_next(readers[0], &event) == EDDY_EVENT) {
    }
    cr_assert_eq(lags_of(store).at[0].events, 0);
    append(store, "a", 1);
    l = lags_of(store);
    cr_assert_eq(l.at[0].events + l.at[1].events, 2);
    eddy_reader_close(readers[0]);
    eddy_reader_close(readers[1]);
    cr_assert_eq(lags_of(store).count, 0);
    eddy_close(store);
}

static void follow_and_die(void *arg) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    select.flags = EDDY_FOLLOW;
    if (eddy_reader_open(arg, &select, &reader) < 0 ||
        eddy_reader_next(reader, &event) != EDDY_EVENT) {
        _exit(1);
    }
    _exit(0);
}

Test(stats, subscriptions_of_the_dead_are_not_counted, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_counts counts = {.size = sizeof counts};
    append(store, "a", 10);
    cr_assert_eq(child_run(follow_and_die, store), 0);
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.subscriptions, 0);
    struct lags l = lags_of(store);
    cr_assert_eq(l.count, 1);
    cr_assert_not(l.at[0].alive);
    cr_assert_eq(l.at[0].events, 9);
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(lags_of(store).count, 0, "swept");
    eddy_close(store);
}
