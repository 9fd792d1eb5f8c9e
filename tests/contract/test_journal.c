/* EV: the shards of the eGo events store. GetShardEvents is eddy_shard_after_time(), ShardNumbers and
 * ShardOffsets are eddy_shards(). */
#include "contract.h"
#include "support/check.h"

#include <stdlib.h>

enum { MANY = 20000, PAGE = 500 };

/* What GetShardEvents gives: times, and the next offset, which is the last of them, or 0. */
struct page {
    char text[1000];
    int64_t next;
    uint64_t seen;
    bool rising;
};

static int take(void *arg, const eddy_event *event) {
    struct page *p = arg;
    size_t len = strlen(p->text);
    if (len < sizeof p->text - 32) {
        snprintf(p->text + len, sizeof p->text - len, "%s%lld", len ? " " : "",
                 (long long)event->time_ns);
    }
    p->rising = p->rising && event->time_ns > p->next;
    p->next = event->time_ns;
    p->seen++;
    return 0;
}

static struct page shard_events(eddy_store *store, uint64_t shard, int64_t after, size_t limit) {
    struct page p = {.rising = true};
    int64_t n = eddy_shard_after_time(store, shard, after, limit, take, &p);
    cr_assert_eq(n, (int64_t)p.seen, "%s", n < 0 ? eddy_errmsg() : "");
    return p;
}

#define gets(store, shard, after, limit, expected, next_time)                                      \
    do {                                                                                           \
        struct page gets_page_ = shard_events(store, shard, after, limit);                         \
        cr_assert_str_eq(gets_page_.text, expected);                                               \
        cr_assert_eq(gets_page_.next, next_time);                                                  \
    } while (0)

static int take_shard(void *arg, const eddy_shard_facts *facts) {
    char *text = arg;
    size_t len = strlen(text);
    snprintf(text + len, 200 - len, "%s%llu:%lld", len ? " " : "", (unsigned long long)facts->shard,
             (long long)facts->newest_time_ns);
    return 0;
}

/* {shard:newest time} of each. */
#define shards_are(store, expected)                                                                \
    do {                                                                                           \
        char shards_text_[200] = "";                                                               \
        must(eddy_shards(store, take_shard, shards_text_));                                        \
        cr_assert_str_eq(shards_text_, expected);                                                  \
    } while (0)

Test(contract, EV06_the_shard_of_the_only_event_is_listed, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    put_at(store, "persistence-1", "a", 77, 9);
    shards_are(store, "9:77");
    eddy_close(store);
}

static int take_there(void *arg, const eddy_stream_facts *facts) {
    *(unsigned *)arg += facts->count > 0;
    return 0;
}

Test(contract, EV27_what_has_no_event_any_more_is_not_listed, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    unsigned there = 0;
    put_at(store, "p", "a", 77, 9);
    put_at(store, "p", "b", 78, 9);
    must(eddy_truncate(store, eddy_str("p"), EDDY_ANY, 2, NULL));
    shards_are(store, "");
    /* The stream is emptied, and a wrapper passes it by; or it is removed at once. */
    must(eddy_streams(store, eddy_str(""), eddy_str(""), 10, take_there, &there));
    cr_assert_eq(there, 0);
    must(eddy_remove_empty(store, eddy_str("")));
    lists(store, "", "", 10, "");
    eddy_close(store);
}

Test(contract, EV36_the_events_of_a_shard_in_order_of_time, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    put_at(store, "a", "2", 1001, 5);
    put_at(store, "b", "1", 1000, 5);
    put_at(store, "a", "3", 1002, 6);
    gets(store, 5, 0, 10, "1000 1001", 1001);
    eddy_close(store);
}

static eddy_store *with_hundreds(void) {
    eddy_store *store = sandbox_anonymous();
    for (int i = 1; i <= 10; i++) {
        put_at(store, "p", "x", i * 100, 1);
    }
    return store;
}

Test(contract, EV37_the_time_is_an_exclusive_bound, .timeout = 20) {
    eddy_store *store = with_hundreds();
    gets(store, 1, 300, 100, "400 500 600 700 800 900 1000", 1000);
    eddy_close(store);
}

Test(contract, EV38_a_page_is_the_first_by_time, .timeout = 20) {
    eddy_store *store = with_hundreds();
    gets(store, 1, 0, 3, "100 200 300", 300);
    eddy_close(store);
}

Test(contract, EV39_EV40_caught_up_or_unknown_is_empty, .timeout = 20) {
    eddy_store *store = with_hundreds();
    eddy_select select = select_all();
    /* No event, so no next time: who keeps the one it has is where it was. */
    gets(store, 1, 1000, 100, "", 0);
    gets(store, 99, 0, 10, "", 0);
    /* By offset, the position comes back unchanged (decision 12). */
    select.flags = EDDY_SHARD;
    select.shard = 1;
    select.after_offset = 10;
    eddy_reader *reader = open_reader(store, &select);
    reads_next(reader, 1, OFFSET, "end");
    cr_assert_eq(position_of(reader).looked_at, 10);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(contract, EV41_all_of_a_large_shard_are_seen_once_page_by_page, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event *events = calloc(MANY, sizeof *events);
    for (int i = 0; i < MANY; i++) { /* in an order of their own: 7919 is a prime */
        events[i].shard = 3;
        events[i].time_ns = 1 + (int64_t)i * 7919 % MANY;
    }
    must(eddy_append(store, eddy_str("p"), EDDY_ANY, events, MANY, NULL));
    int64_t after = 0;
    uint64_t seen = 0;
    for (;;) {
        struct page p = shard_events(store, 3, after, PAGE);
        if (p.seen == 0) {
            break;
        }
        cr_assert(p.rising);
        cr_assert_eq(p.next, after + (int64_t)p.seen, "all of them, ascending");
        after = p.next;
        seen += p.seen;
    }
    cr_assert_eq(seen, MANY);
    free(events);
    eddy_close(store);
}

/* Pages by time cannot tell them apart; a page that goes on by offset can. */
Test(contract, EV42_events_of_one_time_are_all_seen_by_offset, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = select_all();
    eddy_new_event batch[3] = {
        {.shard = 4, .time_ns = 50}, {.shard = 4, .time_ns = 50}, {.shard = 4, .time_ns = 50}};
    must(eddy_append(store, eddy_str("p"), EDDY_ANY, batch, 3, NULL));
    select.flags = EDDY_SHARD;
    select.shard = 4;
    select.limit = 2;
    reads(store, &select, OFFSET, "1 2");
    select.after_offset = 2;
    reads(store, &select, OFFSET, "3");
    gets(store, 4, 49, 3, "50 50 50", 50);
    eddy_close(store);
}

Test(contract, EV43_the_newest_time_of_each_shard, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    shards_are(store, "");
    put_at(store, "a", "x", 100, 1);
    put_at(store, "a", "x", 200, 1);
    put_at(store, "b", "x", 300, 2);
    shards_are(store, "1:200 2:300");
    eddy_close(store);
}
