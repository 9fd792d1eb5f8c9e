/* Who brings callbacks is told what his handle's calls have done; and what goes into the store's log. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

struct told {
    uint64_t commits;
    uint64_t events;
    uint64_t bytes;
    uint64_t reads;
    uint64_t read_bytes;
    uint64_t conflicts;
    uint64_t errors;
    uint64_t snapshots;
    int64_t subscriptions;
    int code;
    char message[200];
    eddy_store *store; /* to be called from within */
};

static void on_commit(void *arg, uint64_t events, uint64_t bytes, int64_t ns) {
    struct told *t = arg;
    t->commits++;
    t->events += events;
    t->bytes += bytes;
    cr_assert_gt(ns, 0);
    if (t->store) { /* eddy may be called */
        eddy_facts facts = {.size = sizeof facts};
        must(eddy_info(t->store, &facts));
    }
}

static void on_read(void *arg, uint64_t events, uint64_t bytes, int64_t ns) {
    struct told *t = arg;
    t->reads += events;
    t->read_bytes += bytes;
    cr_assert_gt(ns, 0);
}

static void on_conflict(void *arg, int64_t ns) {
    ((struct told *)arg)->conflicts++;
    cr_assert_gt(ns, 0);
}

static void on_error(void *arg, int code, const char *message) {
    struct told *t = arg;
    t->errors++;
    t->code = code;
    strncpy(t->message, message, sizeof t->message - 1);
}

static void on_snapshot(void *arg, uint64_t bytes, int64_t ns) {
    cr_assert_gt(bytes, 0);
    cr_assert_gt(ns, 0);
    ((struct told *)arg)->snapshots++;
}

static void on_subscription(void *arg, int64_t change) {
    ((struct told *)arg)->subscriptions += change;
}

static eddy_store *open_told(struct told *t) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_metrics metrics = {.size = sizeof metrics,
                            .arg = t,
                            .commit = on_commit,
                            .read = on_read,
                            .conflict = on_conflict,
                            .error = on_error,
                            .snapshot = on_snapshot,
                            .subscription = on_subscription};
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.metrics = &metrics;
    must(eddy_open(&store, NULL, &options));
    memset(&metrics, 0x55, sizeof metrics); /* it was copied */
    return store;
}

Test(told, each_call_is_told_once_with_its_figures, .timeout = 60) {
    struct told t = {0};
    eddy_new_event events[3] = {{.data = eddy_str("12345"), .metadata = eddy_str("678")},
                                {.data = eddy_str("12")},
                                {.type = eddy_str("t")}};
    eddy_store *store = t.store = open_told(&t);
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 1, NULL));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 3, NULL));
    cr_assert_eq(t.commits, 2);
    cr_assert_eq(t.events, 4);
    cr_assert_eq(t.bytes, 18);
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("a"), &events[0]));
    must(eddy_tx_append(tx, eddy_str("b"), &events[1]));
    cr_assert_eq(t.commits, 2);
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
    cr_assert_eq(t.commits, 3);
    cr_assert_eq(t.events, 6);
    cr_assert_eq(t.bytes, 28);
    eddy_new_state state = {.data = eddy_str("1234")};
    must(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &state, NULL));
    cr_assert_eq(t.commits, 4);
    cr_assert_eq(t.events, 6);
    cr_assert_eq(t.bytes, 32);
    gives(EDDY_ECONFLICT, eddy_append(store, eddy_str("s"), 99, events, 1, NULL));
    gives(EDDY_ECONFLICT, eddy_append(store, eddy_str("s"), EDDY_NONE, events, 3, NULL));
    cr_assert_eq(t.conflicts, 2);
    cr_assert_eq(t.errors, 0);
    cr_assert_eq(t.commits, 4);
    eddy_close(store);
}

Test(told, readers_tell_what_they_gave, .timeout = 60) {
    struct told t = {0};
    eddy_new_event event = {.data = eddy_str("12345")};
    eddy_event got[16];
    eddy_reader *reader;
    eddy_buffer *buffer = eddy_buffer_create();
    size_t count;
    eddy_store *store = open_told(&t);
    for (int i = 0; i < 100; i++) {
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    }
    must(eddy_reader_open(store, NULL, &reader));
    uint64_t n = 0;
    while (eddy_reader_fetch(reader, got, 16, &count) == EDDY_EVENT) {
        n += count;
    }
    eddy_reader_close(reader);
    cr_assert_eq(n, 100);
    cr_assert_eq(t.reads, 100);
    cr_assert_eq(t.read_bytes, 500);
    must(eddy_get(store, 7, buffer, &got[0]));
    must(eddy_get_version(store, eddy_str("s"), 8, buffer, &got[0]));
    cr_assert_eq(t.reads, 102);
    gives(EDDY_ENOENT, eddy_get(store, 777, buffer, &got[0]));
    cr_assert_eq(t.errors, 1);
    cr_assert_eq(t.code, EDDY_ENOENT);
    has_text(t.message, "777");
    eddy_select follow = EDDY_SELECT_INIT;
    follow.flags = EDDY_FOLLOW;
    must(eddy_reader_open(store, &follow, &reader));
    cr_assert_eq(t.subscriptions, 1);
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.subscriptions, 1);
    eddy_reader_close(reader);
    cr_assert_eq(t.subscriptions, 0);
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.subscriptions, 0);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

Test(told, snapshots_are_told_and_counted, .timeout = 60) {
    struct told t = {0};
    struct sandbox box;
    eddy_counts counts = {.size = sizeof counts};
    eddy_new_event event = {.data = eddy_str("12345")};
    sandbox_make(&box);
    eddy_store *store = open_told(&t);
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    must(eddy_snapshot_write(store, sandbox_path(&box, "a"), NULL, NULL));
    must(eddy_snapshot_write(store, sandbox_path(&box, "a"), NULL, NULL));
    cr_assert_eq(t.snapshots, 2);
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.snapshots, 2);
    eddy_close(store);
}

Test(told, no_callback_need_be_there, .timeout = 60) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_metrics metrics = EDDY_METRICS_INIT;
    eddy_new_event event = {.data = eddy_str("12345")};
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.metrics = &metrics;
    must(eddy_open(&store, NULL, &options));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    gives(EDDY_ECONFLICT, eddy_append(store, eddy_str("s"), 99, &event, 1, NULL));
    gives(EDDY_EINVAL, eddy_append(store, eddy_str(""), 99, &event, 1, NULL));
    eddy_close(store);
    metrics.size = 3;
    gives(EDDY_EINVAL, eddy_open(&store, NULL, &options));
}

/* ---- the log ---- */

static int note(void *arg, const eddy_error_facts *error) {
    eddy_error_facts *to = arg;
    cr_assert_eq(error->size, sizeof *error);
    while (to->count) {
        to++;
    }
    *to = *error;
    return 0;
}

Test(told, the_log_has_what_is_about_the_store_and_nothing_else, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_error_facts log[8] = {{0}};
    eddy_counts counts = {.size = sizeof counts};
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_new_event event = {.data = eddy_str("12345")};
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event got;
    eddy_reader *reader;
    limits.events = 3;
    must(eddy_limits_set(store, &limits, NULL));
    for (int i = 0; i < 3; i++) {
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    }
    gives(EDDY_ECONFLICT, eddy_append(store, eddy_str("s"), 99, &event, 1, NULL));
    gives(EDDY_EINVAL, eddy_append(store, eddy_str(""), EDDY_ANY, &event, 1, NULL));
    gives(EDDY_ENOENT, eddy_get(store, 99, buffer, &got));
    must(eddy_errors(store, note, log));
    cr_assert_eq(log[0].count, 0, "questions that were answered are no errors");
    for (int i = 0; i < 5; i++) {
        gives(EDDY_ELIMIT, eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    }
    must(eddy_reader_open(store, NULL, &reader));
    gives(EDDY_EVENT, eddy_reader_next(reader, &got));
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 2, NULL));
    eddy_select after = EDDY_SELECT_INIT;
    after.stream = eddy_str("s");
    after.after_offset = 1;
    eddy_reader_close(reader);
    must(eddy_reader_open(store, &after, &reader));
    gives(EDDY_ELAPPED, eddy_reader_next(reader, &got));
    eddy_reader_close(reader);
    must(eddy_errors(store, note, log));
    uint64_t limit = 0;
    uint64_t lapsed = 0;
    for (int i = 0; i < 8 && log[i].count; i++) {
        limit += log[i].code == EDDY_ELIMIT ? log[i].count : 0;
        lapsed += log[i].code == EDDY_ELAPPED ? log[i].count : 0;
        cr_assert(log[i].code == EDDY_ELIMIT || log[i].code == EDDY_ELAPPED);
        cr_assert_gt(log[i].first_ns, 0);
        cr_assert_leq(log[i].first_ns, log[i].last_ns);
    }
    cr_assert_eq(limit, 5);
    cr_assert_eq(lapsed, 1);
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.errors, 6);
    cr_assert_eq(counts.lapses, 1);
    cr_assert_eq(counts.events_removed, 2);
    cr_assert_eq(counts.streams_made, 1);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}
