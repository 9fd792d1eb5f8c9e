/* eddy.h from outside: single events, streams and their pages, facts, counters, members, check. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/model.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t append(eddy_store *store, const char *stream, const char *data) {
    eddy_new_event event = {.data = eddy_str(data)};
    eddy_result result;
    CHECK_OK(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, &result));
    return result.last_offset;
}

Test(api_look, single_events_by_offset_and_by_version, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *read_only = sandbox_again(store, EDDY_READ_ONLY);
    struct model *model = model_create();
    struct rng rng = rng_make(31);
    struct model_room room = {0};
    char name[32];
    for (int i = 0; i < 3000; i++) {
        eddy_new_event event;
        eddy_result result;
        snprintf(name, sizeof name, "s%d", (int)rng_below(&rng, 20));
        model_random_event(&rng, &room, 1000, &event);
        must(eddy_append(store, eddy_str(name), EDDY_ANY, &event, 1, &result));
        model_append(model, eddy_str(name), &event);
        model_commit(model, result.recorded_ns);
    }
    eddy_buffer *buffer = eddy_buffer_create();
    for (int i = 0; i < 6000; i++) {
        eddy_event event;
        eddy_store *by = i % 2 ? store : read_only;
        uint64_t offset = 1 + rng_below(&rng, 3000);
        must(eddy_get(by, offset, buffer, &event));
        cr_assert(model_same(&event, model_at(model, offset)));
        snprintf(name, sizeof name, "s%d", (int)rng_below(&rng, 20));
        uint64_t version = 1 + rng_below(&rng, model_version(model, eddy_str(name)));
        must(eddy_get_version(by, eddy_str(name), version, buffer, &event));
        cr_assert(model_same(&event, model_at_version(model, eddy_str(name), version)));
    }
    eddy_buffer_destroy(buffer);
    model_destroy(model);
    free(room.bytes);
    eddy_close(read_only);
    eddy_close(store);
}

Test(api_look, single_events_that_are_not_there, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event event;
    cr_assert_eq(eddy_get(store, 1, buffer, &event), EDDY_ENOENT);
    append(store, "s", "x");
    must(eddy_get(store, 1, buffer, &event));
    uint64_t none[] = {2, 3, 1000, UINT64_C(1) << 40, UINT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(eddy_get(store, none[i], buffer, &event), EDDY_ENOENT);
        cr_assert_eq(eddy_get_version(store, eddy_str("s"), none[i], buffer, &event), EDDY_ENOENT);
    }
    cr_assert_eq(eddy_get_version(store, eddy_str("t"), 1, buffer, &event), EDDY_ENOENT);
    char name[256] = "";
    gives(eddy_get(store, 0, buffer, &event), EDDY_EINVAL);
    gives(eddy_get_version(store, eddy_str("s"), 0, buffer, &event), EDDY_EINVAL);
    gives(eddy_get_version(store, eddy_mem(name, 0), 1, buffer, &event), EDDY_EINVAL);
    gives(eddy_get_version(store, eddy_mem(name, 256), 1, buffer, &event), EDDY_EINVAL);
    eddy_buffer_destroy(buffer);
    eddy_buffer_destroy(NULL);
    eddy_close(store);
}

Test(api_look, facts_of_a_stream, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_stream_facts facts = {.size = sizeof facts};
    cr_assert_eq(eddy_stream_info(store, eddy_str("s"), &facts), EDDY_ENOENT);
    append(store, "other", "x");
    uint64_t bytes = 0;
    for (uint64_t i = 1; i <= 100; i++) {
        uint64_t last = append(store, "s", "0123456789");
        must(eddy_stream_info(store, eddy_str("s"), &facts));
        cr_assert_eq(facts.version, i);
        cr_assert_eq(facts.count, i);
        cr_assert_eq(facts.first_version, 1);
        cr_assert_eq(facts.first_offset, 2);
        cr_assert_eq(facts.last_offset, last);
        cr_assert_eq(facts.name_len, 1);
        cr_assert_eq(facts.name[0], 's');
        cr_assert_geq(facts.bytes, bytes + 10);
        bytes = facts.bytes;
        append(store, "other", "x");
    }
    gives(eddy_stream_info(store, eddy_str(""), &facts), EDDY_EINVAL);
    facts.size = 0;
    gives(eddy_stream_info(store, eddy_str("s"), &facts), EDDY_EINVAL);
    eddy_close(store);
}

struct page {
    char last[256];
    size_t last_len;
    uint64_t count;
    uint64_t stop_at;
    char first[32];
};

static int page_one(void *arg, const eddy_stream_facts *facts) {
    struct page *page = arg;
    eddy_bytes name = eddy_mem(facts->name, facts->name_len);
    size_t common = name.len < page->last_len ? name.len : page->last_len;
    int order = memcmp(facts->name, page->last, common);
    CHECK(order > 0 || (order == 0 && name.len > page->last_len));
    memcpy(page->last, facts->name, facts->name_len);
    page->last_len = name.len;
    if (page->count++ == 0) {
        snprintf(page->first, sizeof page->first, "%.*s", (int)name.len, facts->name);
    }
    CHECK_EQ(facts->version, facts->count);
    return page->count == page->stop_at ? 7 : 0;
}

static void make_streams(eddy_store *store, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "s%04u", (i * 7919) % count); /* not in order */
        append(store, name, "x");
    }
}

Test(api_look, pages_of_streams_are_in_byte_order_and_complete, .timeout = 30) {
    enum { STREAMS = 2000 };
    eddy_store *store = sandbox_anonymous();
    make_streams(store, STREAMS);
    size_t limits[] = {1, 7, 100, 1999, 2000, 5000};
    for (size_t i = 0; i < 6; i++) {
        struct page page = {0};
        int64_t n;
        uint64_t pages = 0;
        do {
            eddy_bytes after = eddy_mem(page.last, page.last_len);
            char token[256];
            memcpy(token, page.last, page.last_len);
            after.ptr = token;
            uint64_t before = page.count;
            n = eddy_streams(store, eddy_str(""), after, limits[i], page_one, &page);
            must(n);
            cr_assert_eq((uint64_t)n, page.count - before);
            pages++;
        } while (n > 0);
        cr_assert_eq(page.count, STREAMS);
        cr_assert_eq(pages, (STREAMS + limits[i] - 1) / limits[i] + 1);
    }
    eddy_close(store);
}

Test(api_look, pages_take_prefixes_and_tokens_that_are_no_names, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    make_streams(store, 2000);
    struct {
        const char *prefix, *after, *first;
        size_t limit;
        int64_t n;
    } pages[] = {{"", "", "s0000", 5000, 2000},
                 {"s1", "", "s1000", 5000, 1000},
                 {"s10", "s1042", "s1043", 5000, 57},
                 {"s10", "s1042x", "s1043", 5000, 57},
                 {"s10", "a", "s1000", 5000, 100},
                 {"s10", "s2", "", 5000, 0},
                 {"", "s1999", "", 5000, 0},
                 {"", "z", "", 5000, 0},
                 {"x", "", "", 5000, 0},
                 {"", "", "", 0, 0},
                 {"s0007", "", "s0007", 10, 1},
                 {"s0007", "s0007", "", 10, 0},
                 {"", "s00", "s0000", 10, 10}};
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        struct page page = {0};
        int64_t n = eddy_streams(store, eddy_str(pages[i].prefix), eddy_str(pages[i].after),
                                 pages[i].limit, page_one, &page);
        cr_assert_eq(n, pages[i].n, "page %zu has %" PRId64, i, n);
        cr_assert_str_eq(page.first, pages[i].first);
    }
    struct page stop = {.stop_at = 3};
    gives(eddy_streams(store, eddy_str(""), eddy_str(""), 100, page_one, &stop), 3);
    eddy_close(store);
}

static int append_inside(void *arg, const eddy_stream_facts *facts) {
    char name[300];
    snprintf(name, sizeof name, "%.*s-new", (int)facts->name_len, facts->name);
    append(arg, name, "x");
    return 0;
}

Test(api_look, a_page_may_append_as_it_goes, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    make_streams(store, 100);
    int64_t n = eddy_streams(store, eddy_str("s"), eddy_str(""), 150, append_inside, store);
    cr_assert(n >= 100 && n <= 150, "%" PRId64, n);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_look, names_with_all_bytes_are_in_byte_order, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = {0};
    for (int a = 255; a >= 0; a--) {
        unsigned char name[3] = {(unsigned char)a, 0, 255};
        for (size_t len = 1; len <= 3; len++) {
            must(eddy_append(store, eddy_mem(name, len), EDDY_NONE, &event, 1, NULL));
        }
    }
    struct page page = {0};
    gives(eddy_streams(store, eddy_str(""), eddy_str(""), 10000, page_one, &page), 768);
    struct page some = {0};
    gives(eddy_streams(store, eddy_mem("\xff", 1), eddy_mem("\xff\0", 2), 10, page_one, &some), 1);
    cr_assert_eq(some.last_len, 3);
    eddy_close(store);
}

Test(api_look, facts_of_the_store, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.cap, SANDBOX_CAP);
    cr_assert_eq(facts.head, 0);
    cr_assert_eq(facts.first, 0);
    cr_assert_eq(facts.events, 0);
    cr_assert_eq(facts.streams, 0);
    cr_assert_eq(facts.transactions, 0);
    cr_assert_eq(facts.members_max, 128);
    cr_assert_eq(facts.threads_max, 256);
    cr_assert_leq(facts.reserved, 4u << 20);
    cr_assert_gt(facts.created_ns, INT64_C(1500000000) * 1000000000);
    eddy_result result;
    eddy_new_event three[3] = {{.data = eddy_str("abc")}};
    must(eddy_append(store, eddy_str("a"), EDDY_ANY, three, 3, NULL));
    must(eddy_append(store, eddy_str("b"), EDDY_ANY, three, 2, &result));
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.head, 5);
    cr_assert_eq(facts.first, 1);
    cr_assert_eq(facts.events, 5);
    cr_assert_eq(facts.streams, 2);
    cr_assert_eq(facts.transactions, 2);
    cr_assert_eq(facts.recorded_ns, result.recorded_ns);
    cr_assert_geq(facts.recorded_ns, facts.created_ns);
    cr_assert_geq(facts.bytes, 6);
    cr_assert_leq(facts.free, facts.reserved);
    facts.size = 0;
    gives(eddy_info(store, &facts), EDDY_EINVAL);
    eddy_close(store);
}

Test(api_look, counters_count_what_was_done, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_counts counts = {.size = sizeof counts};
    eddy_reader *reader;
    eddy_event event;
    for (int i = 0; i < 100; i++) {
        append(store, "s", "0123456789");
    }
    must(eddy_reader_open(store, NULL, &reader));
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
    }
    eddy_reader_close(reader);
    gives(eddy_append(store, eddy_str("s"), 3, &(eddy_new_event){0}, 1, NULL), EDDY_ECONFLICT);
    must(eddy_stats(store, &counts));
    cr_assert_eq(counts.events_appended, 100);
    cr_assert_eq(counts.transactions, 100);
    cr_assert_geq(counts.bytes_appended, 1000);
    cr_assert_eq(counts.events_read, 100);
    cr_assert_eq(counts.conflicts, 1);
    cr_assert_eq(counts.refusals, 0);
    cr_assert_gt(counts.extents_taken, 0);
    counts.size = 3;
    gives(eddy_stats(store, &counts), EDDY_EINVAL);
    eddy_close(store);
}

struct members_seen {
    int count;
    int self;
    uint32_t pid;
};

static int see_member(void *arg, const eddy_member_facts *facts) {
    struct members_seen *seen = arg;
    seen->count++;
    CHECK(facts->alive);
    CHECK(memchr(facts->command, 0, sizeof facts->command) && facts->command[0]);
    CHECK_EQ(facts->uid, getuid());
    CHECK(facts->since_ns > 0 && facts->pidns != 0);
    if (facts->self) {
        seen->self++;
        CHECK_EQ(facts->pid, getpid());
    } else {
        seen->pid = facts->pid;
    }
    return 0;
}

static int stop_at_once(void *arg, const eddy_member_facts *facts) {
    (void)arg;
    (void)facts;
    return -77;
}

struct guest {
    eddy_store *store;
    int ready[2];
    int done[2];
};

static void be_guest(void *arg) {
    struct guest *guest = arg;
    append(guest->store, "guest", "x");
    child_say(guest->ready[1]);
    child_hear(guest->done[0]);
}

Test(api_look, members_are_the_processes_that_have_it_open, .timeout = 20) {
    struct guest guest = {.store = sandbox_anonymous()};
    cr_assert_eq(pipe(guest.ready) | pipe(guest.done), 0);
    append(guest.store, "host", "x");
    struct members_seen alone = {0};
    gives(eddy_members(guest.store, see_member, &alone), 0);
    cr_assert_eq(alone.count, 1);
    cr_assert_eq(alone.self, 1);
    pid_t pid = child_start(be_guest, &guest);
    child_hear(guest.ready[0]);
    struct members_seen two = {0};
    gives(eddy_members(guest.store, see_member, &two), 0);
    cr_assert_eq(two.count, 2);
    cr_assert_eq(two.self, 1);
    cr_assert_eq(two.pid, (uint32_t)pid);
    cr_assert_eq(eddy_members(guest.store, stop_at_once, NULL), -77);
    child_kill(pid);
    uint32_t dead;
    cr_assert_leq(sandbox_members(guest.store, &dead), 2);
    eddy_store *again = sandbox_again(guest.store, 0);
    append(again, "again", "x");
    sandbox_members(again, &dead);
    cr_assert_eq(dead, 0, "the dead member is still in the list after an open");
    eddy_close(again);
    eddy_close(guest.store);
}

Test(api_look, a_sound_store_is_found_sound_by_every_kind_of_handle, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    sandbox_check(store);
    make_streams(store, 500);
    sandbox_check(store);
    eddy_store *read_only = sandbox_again(store, EDDY_READ_ONLY);
    sandbox_check(read_only);
    gives(eddy_check(store, NULL, NULL), 0);
    eddy_close(read_only);
    eddy_close(store);
}

Test(api_look, info_first_is_an_offset_that_is_there, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    for (int i = 0; i < 5; i++) {
        append(store, "s", "x");
    }
    for (int i = 0; i < 5; i++) {
        append(store, "t", "x");
    }
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 5, NULL));
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.first, 6);
    eddy_close(store);
}
