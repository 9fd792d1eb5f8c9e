/* eddy.h from outside: checkpoints, alone, in transactions, and as what holds retention. */
#include "keys.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static int64_t ticking(void *arg) {
    return *(int64_t *)arg += 10;
}

static eddy_store *store_with_clock(int64_t *now) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.cap = 16 * MIB;
    options.clock = ticking;
    options.clock_arg = now;
    must(eddy_open(&store, NULL, &options));
    return store;
}

static int put(eddy_store *store, const char *name, uint64_t offset, uint32_t flags) {
    return eddy_checkpoint_put(store, eddy_str(name), offset, flags);
}

static eddy_checkpoint get(eddy_store *store, const char *name) {
    eddy_checkpoint c;
    memset(&c, 0xff, sizeof c);
    must(eddy_checkpoint_get(store, eddy_str(name), 0, &c));
    cr_assert_eq(c.size, sizeof c);
    cr_assert_eq(c.reserved, 0);
    cr_assert_eq(c.name_len, strlen(name));
    cr_assert_str_eq(c.name, name);
    return c;
}

static int find(eddy_store *store, const char *name) {
    eddy_checkpoint c;
    return eddy_checkpoint_get(store, eddy_str(name), 0, &c);
}

static int append(eddy_store *store, const char *stream, unsigned count) {
    static eddy_new_event list[1000];
    for (unsigned i = 0; i < count; i++) {
        list[i].data = eddy_mem("12345678", 8);
    }
    return eddy_append(store, eddy_str(stream), EDDY_ANY, list, count, NULL);
}

static eddy_facts facts_of(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

/* Their names, one after the other, with a space behind each. */
struct names {
    char text[4096];
    int64_t stop_at;
    int64_t calls;
};

static int note(void *arg, const eddy_checkpoint *c) {
    struct names *n = arg;
    size_t len = strlen(n->text);
    (void)snprintf(n->text + len, sizeof n->text - len, "%s ", c->name);
    return ++n->calls == n->stop_at;
}

static void assert_list(eddy_store *store, const char *prefix, const char *names) {
    struct names n = {.stop_at = -1};
    int64_t calls = eddy_checkpoints(store, eddy_str(prefix), note, &n);
    cr_assert_eq(calls, n.calls, "%lld (%s)", (long long)calls, eddy_errmsg());
    cr_assert_str_eq(n.text, names);
}

/* ---- alone ---- */

Test(api_checkpoint, what_was_put_last_is_got, .timeout = 10) {
    int64_t now = 1000;
    eddy_store *store = store_with_clock(&now);
    gives(find(store, "a"), EDDY_ENOENT);
    has_text(eddy_errmsg(), "'a'");
    must(put(store, "a", 7, 0));
    eddy_checkpoint first = get(store, "a");
    cr_assert_eq(first.offset, 7); /* there need be no such event */
    cr_assert_gt(first.revision, 0);
    cr_assert_eq(first.flags, 0);
    cr_assert_geq(first.time_ns, 1000);
    must(put(store, "a", 3, EDDY_HOLD));
    eddy_checkpoint second = get(store, "a");
    cr_assert_eq(second.offset, 3);
    cr_assert_gt(second.revision, first.revision);
    cr_assert_eq(second.flags, EDDY_HOLD);
    cr_assert_gt(second.time_ns, first.time_ns);
    must(put(store, "a", (UINT64_C(1) << 62) - 1, EDDY_HOLD));
    cr_assert_eq(get(store, "a").offset, (UINT64_C(1) << 62) - 1);
    must(put(store, "a", (uint64_t)INT64_MAX, 0));
    cr_assert_eq(get(store, "a").offset, (uint64_t)INT64_MAX);
    must(put(store, "a", 0, 0));
    cr_assert_eq(get(store, "a").offset, 0);
    uint64_t last = get(store, "a").revision;
    must(eddy_checkpoint_delete(store, eddy_str("a"), 0, EDDY_ANY));
    gives(find(store, "a"), EDDY_ENOENT);
    must(eddy_checkpoint_delete(store, eddy_str("a"), 0, EDDY_ANY)); /* nothing happens */
    must(put(store, "a", 9, 0));
    cr_assert_gt(get(store, "a").revision, last, "it was made anew");
    cr_assert_eq(facts_of(store).events, 0);
    cr_assert_eq(facts_of(store).streams, 0);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_checkpoint, what_is_not_allowed_is_refused, .timeout = 10) {
    char name[300];
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    eddy_checkpoint c;
    memset(name, 'n', sizeof name);
    gives(eddy_checkpoint_put(store, eddy_mem(name, 256), 1, 0), EDDY_EINVAL);
    gives(eddy_checkpoint_put(store, eddy_mem(name, 0), 1, 0), EDDY_EINVAL);
    gives(eddy_checkpoint_put(store, eddy_mem(NULL, 4), 1, 0), EDDY_EINVAL);
    gives(put(store, "a", 1, 2), EDDY_EINVAL);
    gives(put(store, "a", UINT64_C(1) << 62, EDDY_HOLD), EDDY_EINVAL);
    gives(put(store, "a", UINT64_C(1) << 63, 0), EDDY_EINVAL);
    gives(eddy_checkpoint_get(store, eddy_mem(name, 256), 0, &c), EDDY_EINVAL);
    gives(eddy_checkpoint_delete(store, eddy_str(""), 0, EDDY_ANY), EDDY_EINVAL);
    gives(put(look, "a", 1, 0), EDDY_EREADONLY);
    gives(eddy_checkpoint_delete(look, eddy_str("a"), 0, EDDY_ANY), EDDY_EREADONLY);
    assert_list(store, "", "");
    must(eddy_checkpoint_put(store, eddy_mem(name, 255), 1, 0));
    must(eddy_checkpoint_get(look, eddy_mem(name, 255), 0, &c));
    cr_assert_eq(c.name_len, 255);
    cr_assert_eq(memcmp(c.name, name, 255), 0);
    cr_assert_eq(c.name[255], 0);
    must(eddy_checkpoint_put(store, eddy_mem("z\0y", 3), 5, 0)); /* names are bytes */
    gives(find(store, "z"), EDDY_ENOENT);
    must(eddy_checkpoint_get(store, eddy_mem("z\0y", 3), 0, &c));
    cr_assert_eq(c.offset, 5);
    must(eddy_shutdown(store));
    gives(put(store, "a", 1, 0), EDDY_ECLOSED);
    gives(find(store, "a"), EDDY_ECLOSED);
    eddy_close(look);
    eddy_close(store);
}

Test(api_checkpoint, they_are_listed_in_byte_order, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    const char *names[] = {"b/2", "a", "b", "b/10", "\xff", "b/", "B"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        must(put(store, names[i], i, 0));
        must(append(store, names[i], 1)); /* streams are none of them */
    }
    must(append(store, "b/3", 1));
    assert_list(store, "", "B a b b/ b/10 b/2 \xff ");
    assert_list(look, "", "B a b b/ b/10 b/2 \xff ");
    assert_list(look, "b/", "b/ b/10 b/2 ");
    assert_list(store, "b/3", "");
    struct names n = {.stop_at = 3};
    cr_assert_eq(eddy_checkpoints(store, eddy_str(""), note, &n), 3);
    cr_assert_str_eq(n.text, "B a b ");
    must(eddy_checkpoint_delete(store, eddy_str("b/"), 0, EDDY_ANY));
    assert_list(store, "b", "b b/10 b/2 ");
    sandbox_check(store);
    eddy_close(look);
    eddy_close(store);
}

Test(api_checkpoint, a_name_may_be_a_streams_name_too, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_stream_facts stream = {.size = sizeof stream};
    must(put(store, "s", 1, 0));
    gives(eddy_stream_info(store, eddy_str("s"), &stream), EDDY_ENOENT);
    must(append(store, "s", 20));
    must(put(store, "s", 20, 0));
    must(eddy_delete(store, eddy_str("s"), EDDY_ANY, NULL));
    cr_assert_eq(get(store, "s").offset, 20);
    must(eddy_forget(store, eddy_str("s"), NULL));
    cr_assert_eq(get(store, "s").offset, 20);
    must(append(store, "s", 3));
    must(eddy_checkpoint_delete(store, eddy_str("s"), 0, EDDY_ANY));
    must(eddy_stream_info(store, eddy_str("s"), &stream));
    cr_assert_eq(stream.version, 3);
    cr_assert_eq(facts_of(store).streams, 1);
    cr_assert_eq(facts_of(store).names, 0);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- transactions ---- */

Test(api_checkpoint, it_is_set_with_the_events_or_not_at_all, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event e = {.data = eddy_str("x")};
    eddy_result result;
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("out"), &e));
    must(eddy_tx_checkpoint(tx, eddy_str("in"), 11, 0));
    must(eddy_tx_checkpoint(tx, eddy_str("other"), 12, 0));
    gives(find(store, "in"), EDDY_ENOENT);
    must(eddy_tx_commit(tx, &result));
    cr_assert_eq(get(store, "in").offset, 11);
    cr_assert_eq(get(store, "in").time_ns, result.recorded_ns);
    cr_assert_eq(get(store, "other").offset, 12);
    uint64_t revision = get(store, "in").revision;
    cr_assert_eq(result.revision, revision);
    cr_assert_eq(get(store, "other").revision, revision, "of one transaction");

    must(eddy_tx_reset(tx)); /* nothing is left of what it had */
    must(eddy_tx_expect(tx, eddy_str("out"), EDDY_NONE));
    must(eddy_tx_append(tx, eddy_str("out"), &e));
    must(eddy_tx_checkpoint(tx, eddy_str("in"), 99, 0));
    must(eddy_tx_checkpoint(tx, eddy_str("new"), 99, EDDY_HOLD));
    gives(eddy_tx_commit(tx, &result), EDDY_ECONFLICT);
    cr_assert_eq(get(store, "in").offset, 11);
    cr_assert_eq(get(store, "in").revision, revision);
    gives(find(store, "new"), EDDY_ENOENT);
    cr_assert_eq(facts_of(store).events, 1);
    cr_assert_eq(facts_of(store).held, 0);

    must(eddy_tx_reset(tx));
    must(eddy_tx_append(tx, eddy_str("out"), &e));
    must(eddy_tx_checkpoint(tx, eddy_str("in"), 1, 0));
    int r = eddy_tx_checkpoint(tx, eddy_str("in"), 2, 0);
    gives(r < 0 ? r : eddy_tx_commit(tx, NULL), EDDY_EINVAL); /* each name once */
    cr_assert_eq(get(store, "in").offset, 11);
    cr_assert_eq(facts_of(store).events, 1);
    must(eddy_tx_reset(tx));
    gives(eddy_tx_checkpoint(tx, eddy_str(""), 1, 0), EDDY_EINVAL);
    gives(eddy_tx_checkpoint(tx, eddy_str("in"), 1, 8), EDDY_EINVAL);
    gives(eddy_tx_checkpoint(tx, eddy_str("in"), UINT64_MAX, 0), EDDY_EINVAL);
    eddy_tx_free(tx);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_checkpoint, a_condition_can_stand_for_a_checkpoint_alone, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx;
    must(append(store, "s", 2));
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_expect(tx, eddy_str("s"), 2));
    must(eddy_tx_checkpoint(tx, eddy_str("c"), 2, 0));
    must(append(store, "s", 1));
    gives(eddy_tx_commit(tx, NULL), EDDY_ECONFLICT);
    gives(find(store, "c"), EDDY_ENOENT);
    must(eddy_tx_reset(tx));
    must(eddy_tx_expect(tx, eddy_str("s"), 3));
    must(eddy_tx_checkpoint(tx, eddy_str("c"), 3, 0));
    must(eddy_tx_commit(tx, NULL));
    cr_assert_eq(get(store, "c").offset, 3);
    eddy_tx_free(tx);
    eddy_close(store);
}

Test(api_checkpoint, many_are_set_at_one_instant, .timeout = 30) {
    enum { MANY = 500 };
    eddy_store *store = sandbox_anonymous();
    eddy_tx *tx;
    char name[16];
    struct names n = {.stop_at = -1};
    for (uint64_t round = 1; round <= 3; round++) {
        must(eddy_tx_begin(store, &tx));
        for (int i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "c%d", i);
            must(eddy_tx_checkpoint(tx, eddy_str(name), round, 0));
        }
        must(eddy_tx_commit(tx, NULL));
        eddy_tx_free(tx);
        eddy_checkpoint first = get(store, "c0");
        eddy_checkpoint last = get(store, "c499");
        cr_assert_eq(first.offset, round);
        cr_assert_eq(last.revision, first.revision);
        cr_assert_eq(first.time_ns, last.time_ns);
        must(eddy_maintain(store, 0, NULL));
        sandbox_check(store);
    }
    cr_assert_eq(eddy_checkpoints(store, eddy_str("c"), note, &n), MANY);
    eddy_close(store);
}

/* ---- colliding hashes, and a model ---- */

enum { NAMES = 12 };

struct model {
    eddy_store *store;
    struct rng rng;
    uint64_t offset[NAMES];
    uint64_t revision[NAMES]; /* 0: none */
    uint64_t last;            /* revision that was given */
    uint64_t version[NAMES];  /* of the stream of that name */
};

static void model_step(struct model *m) {
    char name[8];
    unsigned i = (unsigned)rng_below(&m->rng, NAMES);
    snprintf(name, sizeof name, "n%u", i);
    switch (rng_below(&m->rng, 6)) {
    case 0:
        must(eddy_checkpoint_delete(m->store, eddy_str(name), 0, EDDY_ANY));
        m->revision[i] = 0;
        break;
    case 1:
        must(append(m->store, name, 1));
        m->version[i]++;
        break;
    case 2:
        gives(eddy_forget(m->store, eddy_str(name), NULL), m->version[i] ? 0 : EDDY_ENOENT);
        m->version[i] = 0;
        break;
    default:
        m->offset[i] = rng_below(&m->rng, 1000);
        must(put(m->store, name, m->offset[i], rng_below(&m->rng, 2) ? EDDY_HOLD : 0));
        cr_assert_gt(get(m->store, name).revision, m->last);
        m->last = m->revision[i] = get(m->store, name).revision;
        break;
    }
}

static void model_compare(struct model *m, eddy_store *store) {
    uint64_t streams = 0;
    uint64_t there = 0;
    struct names n = {.stop_at = -1};
    for (unsigned i = 0; i < NAMES; i++) {
        char name[8];
        eddy_stream_facts facts = {.size = sizeof facts};
        snprintf(name, sizeof name, "n%u", i);
        gives(find(store, name), m->revision[i] ? 0 : EDDY_ENOENT);
        if (m->revision[i]) {
            cr_assert_eq(get(store, name).offset, m->offset[i]);
            cr_assert_eq(get(store, name).revision, m->revision[i]);
        }
        gives(eddy_stream_info(store, eddy_str(name), &facts), m->version[i] ? 0 : EDDY_ENOENT);
        cr_assert_eq(facts.version, m->version[i]);
        streams += m->version[i] != 0;
        there += m->revision[i] != 0;
    }
    cr_assert_eq(facts_of(store).streams, streams);
    cr_assert_eq(eddy_checkpoints(store, eddy_str("n"), note, &n), (int64_t)there);
}

static void collide(uint32_t hash_keep) {
    struct eddy_arena *a = unit_store(hash_keep);
    struct model m = {.store = unit_handle(a, 0), .rng = rng_make(hash_keep)};
    eddy_store *look = unit_handle(a, EDDY_READ_ONLY);
    for (int i = 0; i < 1500; i++) {
        model_step(&m);
        if (i % 10 == 0) {
            model_compare(&m, i % 20 ? look : m.store);
        }
        if (i % 100 == 0) {
            must(eddy_maintain(m.store, 0, NULL));
            sandbox_check(m.store);
        }
    }
    unit_assert_sound(a);
    eddy_close(look);
    eddy_close(m.store);
    unit_store_free(a);
}

Test(api_checkpoint, they_and_streams_do_not_get_in_each_others_way, .timeout = 60) {
    collide(0);
}

Test(api_checkpoint, nor_when_all_hashes_collide, .timeout = 60) {
    collide(1);
}

Test(api_checkpoint, nor_when_they_share_the_root, .timeout = 60) {
    collide(13);
}

/* ---- memory ---- */

Test(api_checkpoint, setting_one_again_and_again_takes_no_memory, .timeout = 60) {
    enum { TIMES = 100000 };
    eddy_store *store = sandbox_anonymous_of(16 * MIB);
    must(append(store, "s", 10));
    for (uint64_t i = 0; i < TIMES / 10; i++) {
        must(put(store, "c", i, 0));
    }
    must(eddy_maintain(store, 0, NULL));
    uint64_t reserved = facts_of(store).reserved;
    uint64_t free_before = facts_of(store).free;
    for (uint64_t i = 0; i < TIMES; i++) {
        must(put(store, "c", i, 0));
    }
    must(eddy_maintain(store, 0, NULL));
    eddy_facts facts = facts_of(store);
    cr_assert_eq(get(store, "c").offset, TIMES - 1);
    cr_assert_eq(facts.reserved, reserved);
    cr_assert_geq(facts.free, free_before, "%llu bytes, were %llu", (unsigned long long)facts.free,
                  (unsigned long long)free_before);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- holding ---- */

enum { EVENT_BYTES = 32 + 8 };

static void must_be_held(eddy_store *store, const char *stream, const char *name) {
    eddy_facts before = facts_of(store);
    gives(append(store, stream, 1), EDDY_ELIMIT);
    has_text(eddy_errmsg(), name);
    eddy_facts after = facts_of(store);
    cr_assert_eq(after.head, before.head);
    cr_assert_eq(after.first, before.first);
    cr_assert_eq(after.events, before.events);
    cr_assert_eq(after.streams, before.streams);
}

Test(api_checkpoint, retention_waits_for_who_holds_it, .timeout = 20) {
    const eddy_limits limits[] = {
        {.size = sizeof(eddy_limits), .flags = EDDY_DROP_EVENTS, .events = 20},
        {.size = sizeof(eddy_limits), .flags = EDDY_DROP_BYTES, .bytes = 20 * EVENT_BYTES},
        {.size = sizeof(eddy_limits), .flags = EDDY_DROP_STREAM_EVENTS, .stream_events = 20},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        eddy_store *store = sandbox_anonymous();
        must(eddy_limits_set(store, &limits[i], NULL));
        must(append(store, "s", 10));
        must(put(store, "slow", 5, EDDY_HOLD));
        must(put(store, "quick", 9, EDDY_HOLD));
        must(put(store, "other", 1, 0)); /* which holds nothing */
        must(append(store, "s", 10));
        must(append(store, "s", 5)); /* it needs what it has read no more */
        cr_assert_eq(facts_of(store).events, 20);
        cr_assert_eq(facts_of(store).first, 6);
        must_be_held(store, "s", "'slow'");
        must(put(store, "slow", 6, EDDY_HOLD));
        must(append(store, "s", 1));
        cr_assert_eq(facts_of(store).first, 7);
        must_be_held(store, "s", "'slow'");
        must(put(store, "slow", 6, 0));
        must(append(store, "s", 3));
        must_be_held(store, "s", "'quick'");
        must(eddy_checkpoint_delete(store, eddy_str("quick"), 0, EDDY_ANY));
        must(append(store, "s", 20));
        cr_assert_eq(facts_of(store).first, 30);
        sandbox_check(store);
        eddy_close(store);
    }
}

Test(api_checkpoint, no_stream_goes_that_has_events_behind_who_holds, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_stream_facts facts = {.size = sizeof facts};
    limits.flags = EDDY_DROP_STREAMS;
    limits.streams = 3;
    must(append(store, "a", 2));
    must(append(store, "b", 2));
    must(append(store, "c", 2));
    must(append(store, "a", 1)); /* at offset 7 */
    must(put(store, "slow", 4, EDDY_HOLD));
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "d", 1)); /* of a and b it is b that can go */
    must(eddy_stream_info(store, eddy_str("a"), &facts));
    gives(eddy_stream_info(store, eddy_str("b"), &facts), EDDY_ENOENT);
    must_be_held(store, "e", "'slow'");
    must(append(store, "d", 1)); /* that makes no stream more */
    must(put(store, "slow", 6, EDDY_HOLD));
    must(append(store, "e", 1));
    gives(eddy_stream_info(store, eddy_str("c"), &facts), EDDY_ENOENT);
    must_be_held(store, "f", "'slow'");
    must(eddy_checkpoint_delete(store, eddy_str("slow"), 0, EDDY_ANY));
    must(append(store, "f", 1));
    gives(eddy_stream_info(store, eddy_str("a"), &facts), EDDY_ENOENT);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_checkpoint, limits_that_are_set_later_drop_nothing_that_is_held, .timeout = 20) {
    for (int each = 0; each < 2; each++) {
        eddy_store *store = sandbox_anonymous();
        eddy_limits limits = EDDY_LIMITS_INIT;
        eddy_dropped preview = {.size = sizeof preview};
        eddy_dropped dropped = {.size = sizeof dropped};
        must(append(store, "s", 100));
        must(put(store, "slow", 30, EDDY_HOLD));
        limits.flags = each ? EDDY_DROP_STREAM_EVENTS : EDDY_DROP_EVENTS;
        limits.events = each ? 0 : 80;
        limits.stream_events = each ? 80 : 0;
        must(eddy_limits_preview(store, &limits, &preview));
        must(eddy_limits_set(store, &limits, &dropped));
        cr_assert_eq(dropped.events, 20);
        cr_assert_eq(preview.events, 20);
        limits.events = each ? 0 : 10;
        limits.stream_events = each ? 10 : 0;
        must(eddy_limits_preview(store, &limits, &preview));
        must(eddy_limits_set(store, &limits, &dropped));
        cr_assert_geq(facts_of(store).events, 70);
        cr_assert_leq(facts_of(store).first, 31);
        cr_assert_eq(preview.events, dropped.events, "%llu, not %llu",
                     (unsigned long long)preview.events, (unsigned long long)dropped.events);
        must_be_held(store, "s", "'slow'");
        must(put(store, "slow", 95, EDDY_HOLD));
        must(append(store, "s", 1));
        cr_assert_eq(facts_of(store).events, 10);
        cr_assert_eq(facts_of(store).first, 92);
        eddy_close(store);
    }
}

static int64_t clock_of(void *arg) {
    return *(int64_t *)arg;
}

Test(api_checkpoint, age_takes_nothing_that_is_held, .timeout = 20) {
    int64_t now = 1000000;
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_maintained done = {.size = sizeof done};
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.cap = 16 * MIB;
    options.clock = clock_of;
    options.clock_arg = &now;
    must(eddy_open(&store, NULL, &options));
    limits.age_ns = 1000;
    must(eddy_limits_set(store, &limits, NULL));
    must(append(store, "s", 10));
    must(put(store, "slow", 4, EDDY_HOLD));
    now += 5000;
    must(eddy_maintain(store, 0, &done));
    cr_assert_eq(done.dropped, 4);
    must(append(store, "s", 1)); /* no limit that it could pass */
    cr_assert_eq(facts_of(store).first, 5);
    cr_assert_eq(facts_of(store).events, 7);
    must(put(store, "slow", 6, EDDY_HOLD));
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(facts_of(store).first, 7);
    must(eddy_checkpoint_delete(store, eddy_str("slow"), 0, EDDY_ANY));
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(facts_of(store).first, 11);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_checkpoint, a_full_store_drops_nothing_that_is_held, .timeout = 60) {
    static unsigned char data[3000];
    eddy_store *store = sandbox_anonymous_of(8 * MIB);
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    eddy_result result;
    int r;
    limits.flags = EDDY_DROP_WHEN_FULL;
    must(eddy_limits_set(store, &limits, NULL));
    must(put(store, "slow", 100, EDDY_HOLD));
    uint64_t last = 0;
    while ((r = eddy_append(store, eddy_str("s"), EDDY_ANY, &e, 1, &result)) == 0) {
        last = result.last_offset;
        cr_assert_lt(last, 10000, "it is 8 MiB");
    }
    cr_assert(r == EDDY_EFULL || r == EDDY_ELIMIT, "%d", r);
    has_text(eddy_errmsg(), "'slow'");
    cr_assert_gt(last, 1000);
    cr_assert_eq(facts_of(store).first, 101);
    cr_assert_eq(facts_of(store).head, last);
    must(put(store, "slow", last, EDDY_HOLD)); /* for which there is room */
    for (int i = 0; i < 1000; i++) {
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &e, 1, &result));
    }
    cr_assert_gt(facts_of(store).first, 101);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_checkpoint, what_is_removed_by_hand_is_not_held, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    must(append(store, "s", 10));
    must(append(store, "t", 10));
    must(append(store, "u", 10));
    must(put(store, "slow", 0, EDDY_HOLD));
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 8, NULL));
    must(eddy_delete(store, eddy_str("t"), EDDY_ANY, NULL));
    must(eddy_forget(store, eddy_str("u"), NULL));
    cr_assert_eq(facts_of(store).events, 2);
    eddy_close(store);
}

Test(api_checkpoint, what_is_held_is_said, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    cr_assert_eq(facts_of(store).held, 0);
    must(put(store, "a", 7, EDDY_HOLD));
    cr_assert_eq(facts_of(look).held, 8);
    must(put(store, "b", 0, EDDY_HOLD));
    cr_assert_eq(facts_of(look).held, 1);
    must(put(store, "c", 3, 0));
    must(put(store, "b", 9, EDDY_HOLD));
    cr_assert_eq(facts_of(store).held, 8);
    must(put(store, "a", 7, 0));
    cr_assert_eq(facts_of(store).held, 10);
    must(append(store, "s", 3)); /* each record inherits it */
    cr_assert_eq(facts_of(look).held, 10);
    must(eddy_checkpoint_delete(store, eddy_str("b"), 0, EDDY_ANY));
    cr_assert_eq(facts_of(store).held, 0);
    eddy_close(look);
    eddy_close(store);
}

/* ---- damage ---- */

static struct eddy_shm_entry *entry_of(struct eddy_arena *a, const char *name) {
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_view v = {.arena = a, .span = &span, .overlay = NULL};
    struct eddy_stream_place place;
    struct eddy_key_numbered key;
    eddy_key_number(&key, eddy_str(name), 0);
    eddy_bytes n = eddy_key_bytes(&key);
    uint64_t hash = eddy_keyed_hash(a, EDDY_FAMILY_CHECKPOINT, n);
    int64_t off = eddy_keyed_locate(&v, EDDY_BLOCK_ENTRY, n, hash, &place);
    cr_assert_gt(off, 0);
    return eddy_arena_raw(a, (uint64_t)off);
}

/* The first of several that have the same hash. */
static struct eddy_shm_entry *first_of_chain(struct eddy_arena *a) {
    for (unsigned i = 0; i < 2; i++) {
        uint64_t off =
            eddy_ld_acq(eddy_keyed_root(a, EDDY_FAMILY_HASH(EDDY_FAMILY_CHECKPOINT) | i));
        struct eddy_shm_entry *e = off ? eddy_arena_raw(a, off) : NULL;
        if (e && eddy_ld_acq(&e->keyed.collision) != 0) {
            return e;
        }
    }
    cr_assert_fail("nothing collides");
    return NULL;
}

/* One word is another: that is found, and all calls end, in an answer or an error. */
static void plant(struct eddy_arena *a, eddy_store *store, eddy_word *word, uint64_t value) {
    uint64_t was = eddy_ld_acq(word);
    eddy_checkpoint c;
    struct names n = {.stop_at = -1};
    eddy_st_rel(word, value);
    cr_assert_gt(unit_wrongs(a), 0, "%llx at %llu", (unsigned long long)value,
                 (unsigned long long)eddy_arena_off(a, word));
    (void)eddy_checkpoint_get(store, eddy_str("c1"), 0, &c);
    (void)eddy_checkpoint_get(store, eddy_str("c2"), 0, &c);
    (void)eddy_checkpoints(store, eddy_str(""), note, &n);
    eddy_st_rel(word, was);
    unit_assert_sound(a);
    cr_assert_eq(get(store, "c1").offset, 1);
}

Test(api_checkpoint, damage_is_found_and_every_call_ends, .timeout = 30) {
    struct eddy_arena *a = unit_store(1);
    eddy_store *store = unit_handle(a, 0);
    must(put(store, "c1", 1, 0));
    must(put(store, "c2", 2, 0));
    must(put(store, "c3", 3, EDDY_HOLD));
    must(put(store, "c4", 4, 0));
    must(put(store, "c5", 5, 0));
    unit_assert_sound(a);
    struct eddy_shm_entry *e = entry_of(a, "c1");
    plant(a, store, &e->keyed.name_len, 0);
    plant(a, store, &e->keyed.name_len, EDDY_KEY_MAX + 1);
    plant(a, store, &e->keyed.name_len, UINT64_MAX);
    plant(a, store, &e->keyed.block.shape, EDDY_SHAPE(EDDY_BLOCK_MORE + 1, 0, 0));
    plant(a, store, &e->keyed.block.state, EDDY_STATE(0, EDDY_RETIRED + 1, 0));
    e = first_of_chain(a);
    uint64_t at = eddy_arena_off(a, e);
    plant(a, store, &e->keyed.collision, at);          /* a circle */
    plant(a, store, &e->keyed.collision, at + 64);     /* no block */
    plant(a, store, &e->keyed.collision, a->cap - 64); /* no memory */
    plant(a, store, eddy_keyed_root(a, eddy_ld_acq(&e->keyed.hash)),
          a->cap + 1000000); /* out of it */
    eddy_close(store);
    unit_store_free(a);
}
