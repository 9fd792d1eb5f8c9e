/* eddy.h from outside: large events, and a store that has no memory left. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define MIB (UINT64_C(1) << 20)

static unsigned char pattern(size_t at) {
    return (unsigned char)(at * 2654435761u >> 13);
}

static void fill(unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i += 61) {
        bytes[i] = pattern(i);
    }
}

static void check_filled(eddy_bytes bytes, size_t len) {
    cr_assert_eq(bytes.len, len);
    for (size_t i = 0; i < len; i += 61) {
        cr_assert(((const unsigned char *)bytes.ptr)[i] == pattern(i), "at byte %zu", i);
    }
}

static bool room_for(uint64_t bytes) {
    struct statvfs facts;
    return statvfs("/dev/shm", &facts) == 0 && facts.f_bavail * facts.f_frsize > bytes;
}

Test(api_full, an_event_of_256_mib_goes_in_and_comes_out, .timeout = 120) {
    size_t len = 256 * MIB;
    if (!room_for(3 * len)) {
        skip_test("not enough shared memory");
    }
    eddy_store *store = sandbox_anonymous_of(1024 * MIB);
    eddy_tx *tx;
    eddy_new_event event = {.data = eddy_mem(NULL, len)};
    void *place;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("s"), &(eddy_new_event){.data = eddy_str("before")}));
    must(eddy_tx_reserve(tx, eddy_str("s"), &event, &place));
    fill(place, len);
    must(eddy_tx_append(tx, eddy_str("s"), &(eddy_new_event){.data = eddy_str("after")}));
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event got;
    select.flags = EDDY_BORROW;
    must(eddy_reader_open(store, &select, &reader));
    gives(eddy_reader_next(reader, &got), EDDY_EVENT);
    same_bytes(got.data, eddy_str("before"));
    gives(eddy_reader_next(reader, &got), EDDY_EVENT);
    check_filled(got.data, len);
    gives(eddy_reader_holds(reader), 1);
    gives(eddy_reader_next(reader, &got), EDDY_EVENT);
    same_bytes(got.data, eddy_str("after"));
    eddy_reader_close(reader);
    eddy_buffer *buffer = eddy_buffer_create();
    must(eddy_get(store, 2, buffer, &got));
    check_filled(got.data, len);
    eddy_buffer_destroy(buffer);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_full, events_of_all_sizes_around_the_extents_come_out, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_buffer *buffer = eddy_buffer_create();
    uint64_t offset = 0;
    unsigned char *bytes = calloc(1, 1100000);
    fill(bytes, 1100000);
    for (size_t around = 1024; around <= 1 << 20; around *= 2) {
        for (size_t len = around - 300; len <= around + 60; len += 12) {
            eddy_new_event event = {.data = eddy_mem(bytes, len)};
            eddy_event got;
            must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
            must(eddy_get(store, ++offset, buffer, &got));
            check_filled(got.data, len);
        }
    }
    free(bytes);
    eddy_buffer_destroy(buffer);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_full, metadata_counts_as_well, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    unsigned char *bytes = calloc(1, 3 * MIB);
    fill(bytes, 3 * MIB);
    eddy_new_event event = {.metadata = eddy_mem(bytes, 3 * MIB), .data = eddy_mem(bytes, 100)};
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event got;
    must(eddy_get(store, 1, buffer, &got));
    check_filled(got.metadata, 3 * MIB);
    check_filled(got.data, 100);
    event.metadata.len = EDDY_EVENT_MAX;
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL), EDDY_ELIMIT);
    event.metadata.len = SIZE_MAX - 10;
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL), EDDY_ELIMIT);
    cr_assert_eq(sandbox_head(store), 1);
    eddy_buffer_destroy(buffer);
    free(bytes);
    eddy_close(store);
}

Test(api_full, an_event_larger_than_the_cap_is_refused_and_nothing_is_lost, .timeout = 60) {
    eddy_store *store = sandbox_anonymous_of(8 * MIB);
    unsigned char *bytes = calloc(1, 16 * MIB);
    eddy_new_event event = {.data = eddy_mem(bytes, 100)};
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    for (int i = 0; i < 20; i++) {
        event.data.len = 16 * MIB;
        int rc = eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL);
        cr_assert(rc == EDDY_EFULL || rc == EDDY_ELIMIT, "%s", eddy_errname(rc));
        cr_assert(eddy_errmsg()[0]);
    }
    event.data.len = 100;
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    cr_assert_eq(sandbox_head(store), 2);
    sandbox_check(store);
    free(bytes);
    eddy_close(store);
}

/* Appends until the store is full; gives the number of events in it. */
static uint64_t fill_up(eddy_store *store, size_t len) {
    unsigned char *bytes = calloc(1, len + 1);
    eddy_new_event event = {.data = eddy_mem(bytes, len)};
    int rc;
    do {
        char name[32];
        snprintf(name, sizeof name, "s%llu", (unsigned long long)sandbox_head(store) % 100);
        rc = eddy_append(store, eddy_str(name), EDDY_ANY, &event, 1, NULL);
    } while (rc == 0);
    cr_assert_eq(rc, EDDY_EFULL, "%s: %s", eddy_errname(rc), eddy_errmsg());
    free(bytes);
    return sandbox_head(store);
}

static void check_still_reads(eddy_store *store, uint64_t head) {
    eddy_reader *reader;
    eddy_event event;
    must(eddy_reader_open(store, NULL, &reader));
    for (uint64_t offset = 1; offset <= head; offset++) {
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        cr_assert_eq(event.offset, offset);
    }
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    sandbox_check(store);
}

Test(api_full, full_is_an_answer_and_the_store_still_reads, .timeout = 120) {
    size_t sizes[] = {10, 1000, 60000, 500000};
    for (size_t i = 0; i < 4; i++) {
        eddy_store *store = sandbox_anonymous_of(8 * MIB);
        uint64_t head = fill_up(store, sizes[i]);
        cr_assert_geq(head * (sizes[i] + 400), 3 * MIB, "only %llu events of %zu bytes",
                      (unsigned long long)head, sizes[i]);
        cr_assert(eddy_errmsg()[0]);
        check_still_reads(store, head);
        cr_assert_eq(fill_up(store, sizes[i]), head);
        eddy_store *again = sandbox_again(store, 0);
        check_still_reads(again, head);
        eddy_close(again);
        eddy_counts counts = {.size = sizeof counts};
        must(eddy_stats(store, &counts));
        cr_assert_geq(counts.refusals, 2);
        eddy_close(store);
    }
}

Test(api_full, a_transaction_that_does_not_fit_leaves_nothing, .timeout = 60) {
    eddy_store *store = sandbox_anonymous_of(8 * MIB);
    unsigned char *bytes = calloc(1, 4000);
    eddy_new_event event = {.data = eddy_mem(bytes, 4000)};
    for (int round = 0; round < 5; round++) {
        eddy_tx *tx;
        int rc = 0;
        must(eddy_tx_begin(store, &tx));
        for (int i = 0; i < 10000 && rc == 0; i++) {
            rc = eddy_tx_append(tx, eddy_str("s"), &event);
        }
        cr_assert_eq(rc, EDDY_EFULL, "%s", eddy_errname(rc));
        eddy_tx_free(tx);
        cr_assert_eq(sandbox_head(store), (uint64_t)round);
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    }
    free(bytes);
    sandbox_check(store);
    eddy_close(store);
}

static void fill_as_child(void *arg) {
    eddy_store *store = arg;
    unsigned char bytes[1000] = {0};
    eddy_new_event event = {.data = eddy_mem(bytes, sizeof bytes)};
    int rc;
    do {
        rc = eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL);
    } while (rc == 0);
    CHECK_EQ(rc, EDDY_EFULL);
}

Test(api_full, four_processes_fill_a_store_and_all_get_the_answer, .timeout = 60) {
    eddy_store *store = sandbox_anonymous_of(8 * MIB);
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = child_start(fill_as_child, store);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    check_still_reads(store, sandbox_head(store));
    eddy_close(store);
}

/* ---- of which the oldest may go ---- */

static eddy_store *full_store(uint64_t cap, size_t len) {
    static unsigned char data[1 << 16];
    eddy_store *store = sandbox_anonymous_of(cap);
    eddy_new_event e = {.data = eddy_mem(data, len)};
    while (eddy_append(store, eddy_str("fill"), EDDY_ANY, &e, 1, NULL) == 0) {
    }
    return store;
}

Test(api_full, in_a_full_store_of_which_the_oldest_may_go_a_large_event_finds_room, .timeout = 60) {
    static unsigned char data[2 * MIB];
    eddy_store *store = full_store(16 * MIB, 100);
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = EDDY_DROP_WHEN_FULL;
    must(eddy_limits_set(store, &limits, NULL));
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    for (int i = 0; i < 30; i++) {
        must(eddy_append(store, eddy_str("large"), EDDY_ANY, &e, 1, NULL));
        must(eddy_append(store, eddy_str("small"), EDDY_ANY, &(eddy_new_event){.shard = 1}, 1,
                         NULL));
    }
    eddy_close(store);
}

Test(api_full, in_a_full_store_of_which_the_oldest_may_go_no_transaction_fails, .timeout = 60) {
    static unsigned char data[3000];
    eddy_store *store = full_store(8 * MIB, 100);
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    eddy_tx *tx;
    char name[16];
    limits.flags = EDDY_DROP_WHEN_FULL;
    must(eddy_limits_set(store, &limits, NULL));
    must(eddy_tx_begin(store, &tx));
    for (int i = 0; i < 3000; i++) {
        must(eddy_tx_reset(tx));
        for (int k = 0; k < 5; k++) {
            snprintf(name, sizeof name, "s%d", (i * 5 + k) % 3000);
            must(eddy_tx_append(tx, eddy_str(name), &e));
        }
        must(eddy_tx_commit(tx, NULL));
    }
    eddy_tx_free(tx);
    eddy_close(store);
}
