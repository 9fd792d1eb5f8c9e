/* upkeep: what comes behind a commit, and what is tried before a store is said to be full. */
#include "upkeep.h"

#include "support/cr_must.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)
static unsigned char data[4 * MIB];

static eddy_store *open_store(uint64_t cap, int64_t full_wait_ns) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.cap = cap;
    options.full_wait_ns = full_wait_ns;
    must(eddy_open(&store, NULL, &options));
    return store;
}

static int append(eddy_store *store, const char *stream, size_t len) {
    eddy_new_event e = {.data = eddy_mem(data, len)};
    return eddy_append(store, eddy_str(stream), EDDY_ANY, &e, 1, NULL);
}

/* As many events as go in. */
static unsigned fill(eddy_store *store, size_t len) {
    unsigned n = 0;
    int r;
    while ((r = append(store, "fill", len)) == 0) {
        n++;
    }
    cr_assert_eq(r, EDDY_EFULL);
    return n;
}

Test(upkeep, who_removes_takes_back_as_much_as_that, .timeout = 30) {
    eddy_store *store = open_store(64 * MIB, 0);
    eddy_facts facts = {.size = sizeof facts};
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = 100;
    must(eddy_limits_set(store, &limits, NULL));
    for (int i = 0; i < 20000; i++) {
        must(append(store, i % 7 ? "s" : "t", 1000));
    }
    must(eddy_info(store, &facts));
    cr_assert_lt(facts.reserved, 4 * MIB, "%llu KiB", (unsigned long long)facts.reserved / 1024);
    cr_assert_leq(eddy_reclaim_backlog(&store->arena), 64);
    sandbox_check(store);
    eddy_close(store);
}

Test(upkeep, the_order_of_removing_and_the_number_of_streams_are_nothing_to_memory, .timeout = 60) {
    eddy_store *store = open_store(64 * MIB, 0);
    eddy_facts facts = {.size = sizeof facts};
    char name[24];
    for (int i = 0; i < 12000; i++) {
        snprintf(name, sizeof name, "stream-%d", i % 300);
        must(append(store, name, 2000));
        if (i >= 300) {
            must(eddy_truncate(store, eddy_str(name), EDDY_ANY, (uint64_t)i / 300, NULL));
        }
    }
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.events, 300);
    cr_assert_lt(facts.reserved, 8 * MIB, "%llu KiB", (unsigned long long)facts.reserved / 1024);
    sandbox_check(store);
    eddy_close(store);
}

Test(upkeep, names_that_come_and_are_forgotten_need_no_more_and_more, .timeout = 60) {
    eddy_store *store = open_store(64 * MIB, 0);
    eddy_facts facts = {.size = sizeof facts};
    char name[64];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "stream-%d-%.*s", i, i % 40,
                 "........................................");
        must(append(store, name, 10));
        must(eddy_forget(store, eddy_str(name), NULL));
    }
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.events, 0);
    cr_assert_eq(facts.streams, 0);
    cr_assert_lt(facts.reserved, 6 * MIB, "%llu KiB", (unsigned long long)facts.reserved / 1024);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- full ---- */

static void *truncate_later(void *arg) {
    usleep(100000);
    return (void *)(intptr_t)eddy_truncate(arg, eddy_str("fill"), EDDY_ANY, UINT64_MAX, NULL);
}

Test(upkeep, who_may_wait_waits_until_somebody_makes_room, .timeout = 30) {
    eddy_store *store = open_store(8 * MIB, 0);
    eddy_store *waits = NULL;
    char name[32];
    eddy_options options = EDDY_OPTIONS_INIT;
    pthread_t thread;
    void *gave;
    snprintf(name, sizeof name, "fd:%d", eddy_store_fd(store));
    options.full_wait_ns = 10000000000;
    must(eddy_open(&waits, name, &options));
    (void)fill(store, 50000);
    int64_t from = eddy_platform_monotonic_ns();
    cr_assert_eq(pthread_create(&thread, NULL, truncate_later, store), 0);
    must(append(waits, "s", 500000));
    int64_t took = eddy_platform_monotonic_ns() - from;
    cr_assert_eq(pthread_join(thread, &gave), 0);
    cr_assert_eq((intptr_t)gave, 0);
    cr_assert(took > 50000000 && took < 5000000000, "%lld ns", (long long)took);
    eddy_close(waits);
    eddy_close(store);
}

Test(upkeep, who_waits_gives_up_in_time, .timeout = 30) {
    eddy_store *store = open_store(4 * MIB, 150000000);
    int64_t from = eddy_platform_monotonic_ns();
    (void)fill(store, 50000);
    int64_t took = eddy_platform_monotonic_ns() - from;
    cr_assert(took >= 150000000 && took < 3000000000, "%lld ns", (long long)took);
    has_text(eddy_errmsg(), "full");
    eddy_close(store);
}

Test(upkeep, the_sentence_names_who_holds_memory_back, .timeout = 30) {
    eddy_store *store = open_store(8 * MIB, 0);
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    char text[64];
    must(append(store, "s", MIB));
    must(append(store, "s", 10));
    select.flags = EDDY_BORROW | EDDY_FOLLOW;
    must(eddy_reader_open(store, &select, &reader));
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    (void)fill(store, 50000);
    snprintf(text, sizeof text, "process %d holds", (int)getpid());
    has_text(eddy_errmsg(), text);
    has_text(eddy_errmsg(), "full");
    must(eddy_delete(store, eddy_str("s"), EDDY_ANY, NULL));
    gives(append(store, "large", MIB), EDDY_EFULL);
    has_text(eddy_errmsg(), text);
    cr_assert_eq(eddy_reader_holds(reader), 1);
    while (eddy_reader_next(reader, &event) == EDDY_ELAPPED) {
    }
    must(append(store, "large", MIB)); /* what was pinned is free now */
    eddy_reader_close(reader);
    (void)fill(store, 50000);
    cr_assert_null(strstr(eddy_errmsg(), "holds"), "%s", eddy_errmsg());
    sandbox_check(store);
    eddy_close(store);
}

Test(upkeep, what_was_lost_by_a_death_is_found_when_the_store_is_full, .timeout = 30) {
    struct eddy_arena *a = unit_store_of(8 << 20, 0);
    static struct unit_member dead;
    unit_join(&dead, a);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(unit_append(&dead, "s", EDDY_ANY, 1, 200000), 0);
    }
    int64_t s = eddy_batch_stream(&dead.batch, a, eddy_str("s"));
    must(eddy_batch_cut(&dead.batch, (uint32_t)s, EDDY_CUT_DELETE, 0));
    cr_assert_eq(unit_commit(&dead), 0);
    unit_die(&dead); /* before it took anything back */
    eddy_store *store = unit_handle(a, 0);
    unsigned n = fill(store, 200000);
    cr_assert_gt(n, 8 * MIB / 200000 / 3 * 2, "%u", n);
    sandbox_check(store);
    eddy_close(store);
    unit_store_free(a);
}

Test(upkeep, maintenance_says_what_it_did, .timeout = 30) {
    eddy_store *store = open_store(16 * MIB, 0);
    eddy_maintained done = {.size = sizeof done};
    for (int i = 0; i < 30; i++) {
        must(append(store, "s", 100000));
    }
    must(eddy_maintain(store, 0, &done));
    cr_assert_eq(done.events | done.extents | done.dropped | done.members, 0);
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 20, NULL));
    eddy_store *second = sandbox_again(store, 0);
    must(eddy_maintain(second, 0, NULL));
    must(eddy_maintain(store, 0, &done));
    cr_assert_eq(done.events, 0, "all of it has been done already");
    done.size = 5;
    gives(eddy_maintain(store, 0, &done), EDDY_EINVAL);
    eddy_close(second);
    eddy_close(store);
}

/* Also of extents of nodes nothing remains, though some of their blocks were never used. */
Test(upkeep, extents_of_nodes_that_have_only_free_blocks_are_free_for_other_uses, .timeout = 60) {
    eddy_store *store = open_store(16 * MIB, 0);
    char name[200];
    eddy_facts facts = {.size = sizeof facts};
    for (int turn = 0; turn < 6; turn++) {
        unsigned len = 10 + 40 * (unsigned)turn;
        len = len > 190 ? 190 : len;
        for (int i = 0; i < 4000; i++) {
            memset(name, 'x', len);
            name[len] = 0;
            snprintf(name, 8, "%06d", i);
            name[6] = 'x';
            must(append(store, name, 10));
            if (i % 2) {
                must(eddy_forget(store, eddy_str(name), NULL));
            }
        }
        must(eddy_maintain(store, 0, NULL));
        for (int i = 0; i < 4000; i += 2) {
            memset(name, 'x', len);
            name[len] = 0;
            snprintf(name, 8, "%06d", i);
            name[6] = 'x';
            must(eddy_forget(store, eddy_str(name), NULL));
        }
    }
    must(eddy_maintain(store, 0, NULL));
    must(eddy_maintain(store, 0, NULL));
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.streams, 0);
    cr_assert_lt(facts.reserved - facts.free, 2 * MIB, "%llu KiB are in use, of nothing",
                 (unsigned long long)(facts.reserved - facts.free) / 1024);
    eddy_close(store);
}
