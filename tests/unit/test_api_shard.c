/* eddy.h from outside: events by their shard. */
#include "eddy.h"
#include "list.h"
#include "plan.h"
#include "store.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 5, MOST = 6000 };

/* What was appended: a dumb copy. */
struct known {
    uint64_t shard; /* SHARDS: in none */
    int64_t time_ns;
    unsigned stream;
    bool there;
};
static struct known known[MOST + 1]; /* by offset */
static uint64_t head;
static eddy_store *store;

static eddy_bytes stream_name(unsigned i) {
    static char name[8][16];
    snprintf(name[i % 8], sizeof name[0], "stream-%u", i);
    return eddy_str(name[i % 8]);
}

static void append_one(unsigned stream, uint64_t shard, int64_t time_ns) {
    eddy_new_event e = {.shard = shard % SHARDS,
                        .time_ns = time_ns,
                        .flags = EDDY_TIME_GIVEN | (shard == 0 ? EDDY_SHARD_GIVEN : 0)};
    eddy_result result;
    must(eddy_append(store, stream_name(stream), EDDY_ANY, &e, 1, &result));
    cr_assert_eq(result.first_offset, ++head);
    known[head] =
        (struct known){.shard = shard, .time_ns = time_ns, .stream = stream, .there = true};
}

static void append_many(struct rng *rng, unsigned count, bool rising) {
    static int64_t now = 1000;
    eddy_tx *tx;
    eddy_result result;
    must(eddy_tx_begin(store, &tx));
    for (unsigned i = 0; i < count; i++) {
        now += (int64_t)rng_below(rng, 3);
        struct known k = {.shard = rng_below(rng, SHARDS + 1),
                          .time_ns = rising ? now : (int64_t)rng_below(rng, 2000) - 1000,
                          .stream = (unsigned)rng_below(rng, 4),
                          .there = true};
        eddy_new_event e = {.time_ns = k.time_ns, .flags = EDDY_TIME_GIVEN};
        if (k.shard < SHARDS) {
            e.shard = k.shard;
            e.flags |= k.shard == 0 || rng_once_in(rng, 2) ? EDDY_SHARD_GIVEN : 0;
        }
        must(eddy_tx_append(tx, stream_name(k.stream), &e));
        known[++head] = k;
    }
    must(eddy_tx_commit(tx, &result));
    eddy_tx_free(tx);
    cr_assert_eq(result.last_offset, head);
}

static void gone_before(uint64_t offset) {
    for (uint64_t o = 1; o < offset; o++) {
        known[o].there = false;
    }
}

static void cut(unsigned stream, uint64_t count) {
    eddy_stream_facts facts = {.size = sizeof facts};
    if (eddy_stream_info(store, stream_name(stream), &facts) == EDDY_ENOENT || facts.count == 0) {
        return;
    }
    must(
        eddy_truncate(store, stream_name(stream), EDDY_ANY, facts.first_version + count - 1, NULL));
    for (uint64_t o = 1; o <= head && count > 0; o++) {
        if (known[o].stream == stream && known[o].there) {
            known[o].there = false;
            count--;
        }
    }
}

static void keep(uint64_t events) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_limits none = EDDY_LIMITS_INIT;
    uint64_t there = 0;
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = events;
    must(eddy_limits_set(store, &limits, NULL));
    must(eddy_limits_set(store, &none, NULL));
    uint64_t o = head;
    for (; o > 0 && there < events; o--) {
        there += known[o].there;
    }
    gone_before(o + 1);
}

/* A reader of each shard, in both directions. */
static void compare_readers(eddy_store *s) {
    for (uint64_t shard = 0; shard < SHARDS; shard++) {
        for (int back = 0; back < 2; back++) {
            eddy_select select = EDDY_SELECT_INIT;
            eddy_reader *reader;
            eddy_event event;
            select.flags = EDDY_SHARD | (back ? EDDY_BACKWARD : 0);
            select.shard = shard;
            must(eddy_reader_open(s, &select, &reader));
            for (uint64_t i = 1; i <= head; i++) {
                uint64_t o = back ? head + 1 - i : i;
                if (known[o].there && known[o].shard == shard) {
                    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
                    cr_assert_eq(event.offset, o, "%llu, not %llu",
                                 (unsigned long long)event.offset, (unsigned long long)o);
                    cr_assert_eq(event.shard, shard);
                    cr_assert(event.flags & EDDY_SHARD_GIVEN);
                }
            }
            gives(eddy_reader_next(reader, &event), EDDY_END);
            eddy_reader_close(reader);
        }
    }
}

struct expected {
    uint64_t offset[MOST];
    size_t count;
    size_t given;
    size_t stop; /* behind so many */
};

static int by_time(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return known[x].time_ns != known[y].time_ns ? (known[x].time_ns < known[y].time_ns ? -1 : 1)
                                                : (x > y) - (x < y);
}

static int give(void *arg, const eddy_event *event) {
    struct expected *e = arg;
    CHECK(e->given < e->count);
    CHECK_EQ(event->offset, e->offset[e->given]);
    CHECK_EQ(event->time_ns, known[event->offset].time_ns);
    return ++e->given == e->stop;
}

static void compare_times(eddy_store *s, uint64_t shard, int64_t after, size_t limit) {
    static struct expected e;
    memset(&e, 0, sizeof e);
    for (uint64_t o = 1; o <= head; o++) {
        if (known[o].there && known[o].shard == shard && known[o].time_ns > after) {
            e.offset[e.count++] = o;
        }
    }
    qsort(e.offset, e.count, sizeof *e.offset, by_time);
    e.count = e.count < limit ? e.count : limit;
    gives(eddy_shard_after_time(s, shard, after, limit, give, &e), (int64_t)e.count);
}

static int check_facts(void *arg, const eddy_shard_facts *facts) {
    uint64_t *next = arg;
    uint64_t last = 0;
    int64_t newest = INT64_MIN;
    while (last == 0 && *next < SHARDS) {
        for (uint64_t o = 1; o <= head; o++) {
            if (known[o].there && known[o].shard == *next) {
                last = o;
                newest = known[o].time_ns > newest ? known[o].time_ns : newest;
            }
        }
        ++*next;
    }
    CHECK_EQ(facts->size, sizeof *facts);
    CHECK_EQ(facts->shard, *next - 1);
    CHECK_EQ(facts->last_offset, last);
    CHECK_EQ(facts->newest_time_ns, newest);
    return 0;
}

static void compare_all(eddy_store *s, struct rng *rng) {
    uint64_t next = 0;
    uint64_t there = 0;
    compare_readers(s);
    for (uint64_t shard = 0; shard < SHARDS; shard++) {
        compare_times(s, shard, INT64_MIN, SIZE_MAX);
        compare_times(s, shard, (int64_t)rng_below(rng, 3000) - 1000, rng_below(rng, 100));
        for (uint64_t o = 1; o <= head; o++) {
            if (known[o].there && known[o].shard == shard) {
                there++;
                break;
            }
        }
    }
    gives(eddy_shards(s, check_facts, &next), (int64_t)there);
}

static void open_store(void) {
    store = sandbox_anonymous();
    head = 0;
}

Test(api_shard, what_there_is_of_each_is_found_whatever_was_removed, .timeout = 120) {
    for (int rising = 0; rising < 2; rising++) {
        struct rng rng = rng_make(90 + (uint64_t)rising);
        open_store();
        eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
        compare_all(store, &rng);
        while (head + 300 < MOST) {
            append_many(&rng, 1 + (unsigned)rng_below(&rng, rng_once_in(&rng, 3) ? 300 : 12),
                        rising != 0);
            switch (rng_below(&rng, 12)) {
            case 0:
                cut((unsigned)rng_below(&rng, 4), 1 + rng_below(&rng, 200));
                break;
            case 1:
                keep(rng_below(&rng, 400) + 1);
                break;
            case 2:
                must(eddy_maintain(store, 0, NULL));
                break;
            case 3:
                compare_all(store, &rng);
                compare_all(look, &rng);
                break;
            default:
                break;
            }
        }
        compare_all(store, &rng);
        must(eddy_maintain(store, 0, NULL));
        compare_all(store, &rng);
        sandbox_check(store);
        eddy_close(look);
        eddy_close(store);
    }
}

Test(api_shard, no_shard_shard_0_and_the_largest_are_three_things, .timeout = 20) {
    store = sandbox_anonymous();
    eddy_new_event none = {.data = eddy_str("none")};
    eddy_new_event zero = {.data = eddy_str("zero"), .flags = EDDY_SHARD_GIVEN};
    eddy_new_event most = {.data = eddy_str("most"), .shard = UINT64_MAX};
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event event;
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &none, 1, NULL));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &zero, 1, NULL));
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &most, 1, NULL));
    must(eddy_get(store, 1, buffer, &event));
    cr_assert_eq(event.flags, 0);
    must(eddy_get(store, 2, buffer, &event));
    cr_assert_eq(event.flags, EDDY_SHARD_GIVEN);
    must(eddy_get(store, 3, buffer, &event));
    cr_assert_eq(event.flags, EDDY_SHARD_GIVEN);
    for (int i = 0; i < 2; i++) {
        eddy_select select = EDDY_SELECT_INIT;
        eddy_reader *reader;
        select.flags = EDDY_SHARD;
        select.shard = i ? UINT64_MAX : 0;
        must(eddy_reader_open(store, &select, &reader));
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        same_bytes(event.data, i ? most.data : zero.data);
        gives(eddy_reader_next(reader, &event), EDDY_END);
        eddy_reader_close(reader);
        /* With a stream it is one more filter. */
        select.stream = eddy_str("s");
        must(eddy_reader_open(store, &select, &reader));
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        same_bytes(event.data, i ? most.data : zero.data);
        gives(eddy_reader_next(reader, &event), EDDY_END);
        eddy_reader_close(reader);
    }
    eddy_new_event bad = {.flags = 0x100};
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, &bad, 1, NULL), EDDY_EINVAL);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

static eddy_reader *follow(uint64_t shard, uint64_t after) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_SHARD | EDDY_FOLLOW;
    select.shard = shard;
    select.after_offset = after;
    must(eddy_reader_open(store, &select, &reader));
    return reader;
}

static void gives_offset(eddy_reader *reader, uint64_t offset) {
    eddy_event event;
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    cr_assert_eq(event.offset, offset, "%llu, not %llu", (unsigned long long)event.offset,
                 (unsigned long long)offset);
}

Test(api_shard, a_follower_goes_on_with_its_own_and_knows_how_far_it_has_looked, .timeout = 20) {
    eddy_event event;
    eddy_position position;
    open_store();
    eddy_reader *reader = follow(3, 0);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    for (unsigned i = 0; i < 200; i++) {
        append_one(0, 2, i);
        append_one(1, 3, i);
        gives_offset(reader, 3 * i + 2);
        append_one(2, 4, i);
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        must(eddy_reader_position(reader, &position));
        cr_assert_eq(position.looked_at, head);
        cr_assert_eq(position.offset, head - 1);
    }
    eddy_reader_close(reader);
    for (unsigned i = 0; i < 300; i++) {
        append_one(0, i % SHARDS, i);
    }
    for (uint64_t after = 0; after <= head; after += 37) {
        reader = follow(3, after);
        for (uint64_t o = after + 1; o <= head; o++) {
            if (known[o].shard == 3) {
                gives_offset(reader, o);
            }
        }
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        eddy_reader_close(reader);
    }
    eddy_close(store);
}

static void append_later(void *arg) {
    eddy_new_event event = {.shard = *(uint64_t *)arg};
    child_linger_us(50000);
    CHECK_OK(eddy_append(store, eddy_str("other"), EDDY_ANY, &event, 1, NULL));
}

Test(api_shard, who_waits_for_a_shard_is_woken_by_it, .timeout = 30) {
    uint64_t shard = 77;
    eddy_event event;
    open_store();
    eddy_reader *reader = follow(shard, 0);
    gives(eddy_reader_wait(reader, eddy_deadline_ms(20), &event), EDDY_ETIMEDOUT);
    pid_t child = child_start(append_later, &shard);
    gives(eddy_reader_wait(reader, eddy_deadline_ms(20000), &event), EDDY_EVENT);
    cr_assert_eq(event.shard, shard);
    cr_assert_eq(child_end(child, CHILD_LIMIT_MS), 0);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_shard, who_was_passed_by_is_told_once_up_to_which_offset, .timeout = 30) {
    eddy_event event;
    eddy_position position;
    for (int maintained = 0; maintained < 2; maintained++) {
        open_store();
        for (unsigned i = 0; i < 1000; i++) {
            append_one(i % 3, i % SHARDS, i);
        }
        eddy_reader *reader = follow(2, 0);
        gives_offset(reader, 3);
        keep(100);
        if (maintained) {
            must(eddy_maintain(store, 0, NULL));
        }
        gives(eddy_reader_next(reader, &event), EDDY_ELAPPED);
        must(eddy_reader_position(reader, &position));
        cr_assert_eq(position.lapped_from, 4);
        cr_assert(position.lapped_to >= 898 && position.lapped_to <= 902, "%llu",
                  (unsigned long long)position.lapped_to);
        gives_offset(reader, 903);
        for (uint64_t o = 904; o <= head; o++) {
            if (known[o].shard == 2) {
                gives_offset(reader, o);
            }
        }
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        /* All of it goes, and its list with it; what comes then is given. */
        append_one(0, 2, 1);
        append_one(0, 1, 1);
        keep(1);
        must(eddy_maintain(store, 0, NULL));
        gives(eddy_reader_next(reader, &event), EDDY_ELAPPED);
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        append_one(0, 2, 1);
        gives_offset(reader, head);
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        eddy_reader_close(reader);
        sandbox_check(store);
        eddy_close(store);
    }
}

Test(api_shard, shards_that_come_and_go_leave_nothing_behind, .timeout = 60) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_facts facts = {.size = sizeof facts};
    struct rng rng = rng_make(93);
    store = sandbox_anonymous();
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = 500;
    must(eddy_limits_set(store, &limits, NULL));
    uint64_t used = 0;
    for (unsigned i = 0; i < 40000; i++) {
        eddy_new_event event = {.shard = rng_next(&rng)};
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
        if (i == 5000 || i == 39999) {
            must(eddy_info(store, &facts));
            used = i == 5000 ? facts.reserved - facts.free : used;
        }
    }
    cr_assert_leq(facts.reserved - facts.free, used + (512u << 10), "%llu KiB, %llu KiB before",
                  (unsigned long long)(facts.reserved - facts.free) >> 10,
                  (unsigned long long)used >> 10);
    must(eddy_delete(store, eddy_str("s"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    gives(eddy_shards(store, check_facts, NULL), 0);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_shard, a_snapshot_keeps_them, .timeout = 60) {
    struct sandbox box;
    struct rng rng = rng_make(94);
    eddy_options options = EDDY_OPTIONS_INIT;
    sandbox_make(&box);
    options.dir = box.dir;
    options.cap = SANDBOX_CAP;
    open_store();
    while (head < 1000) {
        append_many(&rng, 1 + (unsigned)rng_below(&rng, 50), false);
    }
    eddy_new_event untimed = {.shard = 99}; /* its time is that of its recording */
    must(eddy_append(store, eddy_str("untimed"), EDDY_ANY, &untimed, 1, NULL));
    known[++head] = (struct known){.shard = 99, .there = true};
    cut(1, 100);
    keep(600);
    const char *file = sandbox_path(&box, "shards.snap");
    must(eddy_snapshot_write(store, file, NULL, NULL));
    must(eddy_snapshot_restore(file, "again", &options));
    eddy_close(store);
    store = sandbox_open(&box, "again", 0);
    compare_readers(store);
    for (uint64_t shard = 0; shard < SHARDS; shard++) {
        compare_times(store, shard, INT64_MIN, SIZE_MAX);
    }
    sandbox_check(store);
    eddy_close(store);
}

static int take_event(void *arg, const eddy_event *event) {
    (void)event;
    return ++*(int *)arg == 3;
}

Test(api_shard, the_callback_may_end_it, .timeout = 20) {
    int calls = 0;
    open_store();
    for (unsigned i = 0; i < 10; i++) {
        append_one(0, 1, i);
    }
    gives(eddy_shard_after_time(store, 1, -1, 100, take_event, &calls), 3);
    cr_assert_eq(calls, 3);
    gives(eddy_shard_after_time(store, 1, -1, 0, take_event, &calls), 0);
    gives(eddy_shard_after_time(store, 99, -1, 10, take_event, &calls), 0);
    must(eddy_shutdown(store));
    gives(eddy_shard_after_time(store, 1, -1, 10, take_event, &calls), EDDY_ECLOSED);
    eddy_close(store);
}

/* Two shards that one note of the planner may stand for. */
static uint64_t same_note(const struct eddy_arena *a, uint64_t shard) {
    uint64_t slot = eddy_list_key(a, EDDY_LIST_SHARD, shard).hash & (EDDY_PLAN_LISTS - 1);
    uint64_t other = shard + 1;
    while ((eddy_list_key(a, EDDY_LIST_SHARD, other).hash & (EDDY_PLAN_LISTS - 1)) != slot) {
        other++;
    }
    return other;
}

/* A new leaf of the first is linked when the note is of the second already, whose next event is not to go
 * there. */
Test(api_shard, two_shards_of_one_note_keep_apart, .timeout = 20) {
    eddy_store *s = sandbox_anonymous();
    uint64_t shards[2] = {1, same_note(&s->arena, 1)};
    for (unsigned i = 0; i < 3 * EDDY_TRIE_SLOTS; i++) {
        eddy_new_event both[2] = {{.shard = shards[0]}, {.shard = shards[1]}};
        must(eddy_append(s, eddy_str("s"), EDDY_ANY, both, 2, NULL));
        must(eddy_append(s, eddy_str("s"), EDDY_ANY, &both[i % 2], 1, NULL));
        sandbox_check(s);
    }
    eddy_close(s);
}
