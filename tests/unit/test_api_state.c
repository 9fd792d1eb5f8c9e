/* eddy.h from outside: states under keys, and snapshots of streams. */
#include "keys.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

/* Bytes that tell where they lie. */
static unsigned char *pattern(uint64_t seed, size_t len) {
    unsigned char *p = malloc(len + 1);
    struct rng rng = rng_make(seed);
    cr_assert_not_null(p);
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = rng_below(&rng, UINT64_MAX);
        memcpy(p + i, &word, len - i < 8 ? len - i : 8);
    }
    return p;
}

static int put_text(eddy_store *store, const char *key, const char *text, int64_t expected) {
    eddy_new_state s = {.data = eddy_str(text)};
    return eddy_state_put(store, eddy_str(key), expected, &s, NULL);
}

static bool is(eddy_bytes b, const char *text) {
    return b.len == strlen(text) && (b.len == 0 || memcmp(b.ptr, text, b.len) == 0);
}

static eddy_buffer *buffer(void) {
    static eddy_buffer *b;
    if (!b) {
        b = eddy_buffer_create();
    }
    return b;
}

static eddy_state get(eddy_store *store, const char *key) {
    eddy_state s;
    memset(&s, 0xff, sizeof s);
    must(eddy_state_get(store, eddy_str(key), buffer(), &s));
    cr_assert_eq(s.size, sizeof s);
    cr_assert_eq(s.flags, 0);
    cr_assert(is(s.key, key));
    return s;
}

static int find(eddy_store *store, const char *key) {
    eddy_state s;
    return eddy_state_get(store, eddy_str(key), buffer(), &s);
}

/* ---- alone ---- */

Test(api_state, what_was_put_last_is_got, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    eddy_new_state s = {.data = eddy_str("data"),
                        .metadata = eddy_str("about it"),
                        .version = 5,
                        .shard = UINT64_MAX,
                        .time_ns = -77};
    gives(find(store, "k"), EDDY_ENOENT);
    has_text(eddy_errmsg(), "'k'");
    must(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, &result));
    eddy_state first = get(store, "k");
    cr_assert(is(first.data, "data"));
    cr_assert(is(first.metadata, "about it"));
    cr_assert_eq(first.version, 5);
    cr_assert_eq(first.shard, UINT64_MAX);
    cr_assert_eq(first.time_ns, -77);
    cr_assert_eq(first.recorded_ns, result.recorded_ns);
    cr_assert_eq(first.revision, result.revision);
    cr_assert_gt(first.revision, 0);
    s = (eddy_new_state){.version = 2, .flags = EDDY_TIME_GIVEN};
    must(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, &result));
    eddy_state second = get(store, "k");
    cr_assert_eq(second.data.len + second.metadata.len, 0);
    cr_assert_eq(second.version, 2, "it is the caller's");
    cr_assert_eq(second.time_ns, 0);
    cr_assert_gt(second.revision, first.revision);
    s.flags = 0;
    must(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, &result));
    cr_assert_eq(get(store, "k").time_ns, result.recorded_ns);
    must(eddy_state_delete(store, eddy_str("k"), EDDY_ANY, &result));
    cr_assert_eq(result.revision, 0);
    gives(find(store, "k"), EDDY_ENOENT);
    must(eddy_state_delete(store, eddy_str("k"), EDDY_ANY, NULL)); /* nothing happens */
    sandbox_check(store);
    eddy_close(store);
}

Test(api_state, what_is_not_allowed_is_refused, .timeout = 10) {
    char name[300];
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    eddy_new_state s = {.data = eddy_str("x")};
    eddy_state got;
    memset(name, 'n', sizeof name);
    gives(eddy_state_put(store, eddy_mem(name, 0), EDDY_ANY, &s, NULL), EDDY_EINVAL);
    gives(eddy_state_put(store, eddy_mem(NULL, 5), EDDY_ANY, &s, NULL), EDDY_EINVAL);
    gives(eddy_state_put(store, eddy_mem(name, 256), EDDY_ANY, &s, NULL), EDDY_EINVAL);
    gives(eddy_state_put(store, eddy_str("k"), EDDY_ANY, NULL, NULL), EDDY_EINVAL);
    gives(eddy_state_put(store, eddy_str("k"), -3, &s, NULL), EDDY_EINVAL);
    gives(eddy_state_get(store, eddy_str(""), buffer(), &got), EDDY_EINVAL);
    gives(eddy_state_delete(store, eddy_str(""), EDDY_ANY, NULL), EDDY_EINVAL);
    s.flags = 2;
    gives(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, NULL), EDDY_EINVAL);
    s = (eddy_new_state){.reserved = 1};
    gives(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, NULL), EDDY_EINVAL);
    s = (eddy_new_state){.data = eddy_mem(NULL, 3)};
    gives(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, NULL), EDDY_EINVAL);
    s = (eddy_new_state){.data = eddy_mem(name, EDDY_STATE_MAX), .metadata = eddy_mem(name, 1)};
    gives(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, NULL), EDDY_ELIMIT);
    s = (eddy_new_state){.metadata = eddy_mem(name, SIZE_MAX)};
    gives(eddy_state_put(store, eddy_str("k"), EDDY_ANY, &s, NULL), EDDY_ELIMIT);
    gives(put_text(look, "k", "x", EDDY_ANY), EDDY_EREADONLY);
    gives(find(store, "k"), EDDY_ENOENT);
    s = (eddy_new_state){.data = eddy_str("x")};
    must(eddy_state_put(store, eddy_mem(name, 255), EDDY_ANY, &s, NULL));
    must(eddy_state_get(look, eddy_mem(name, 255), buffer(), &got));
    cr_assert_eq(got.key.len, 255);
    must(eddy_shutdown(store));
    gives(put_text(store, "k", "x", EDDY_ANY), EDDY_ECLOSED);
    gives(find(store, "k"), EDDY_ECLOSED);
    eddy_close(look);
    eddy_close(store);
}

/* ---- conditions ---- */

Test(api_state, it_is_put_if_it_is_as_expected, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    eddy_new_state s = {.data = eddy_str("1")};
    gives(eddy_state_put(store, eddy_str("k"), EDDY_EXISTS, &s, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.actual, 0);
    cr_assert_eq(result.expected, EDDY_EXISTS);
    cr_assert_str_eq(result.stream, "k");
    has_text(eddy_errmsg(), "state 'k'");
    gives(eddy_state_put(store, eddy_str("k"), 1, &s, &result), EDDY_ECONFLICT);
    must(eddy_state_put(store, eddy_str("k"), EDDY_NONE, &s, &result));
    int64_t first = (int64_t)result.revision;
    gives(eddy_state_put(store, eddy_str("k"), EDDY_NONE, &s, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.actual, (uint64_t)first);
    cr_assert_eq(result.revision, 0);
    s.data = eddy_str("2");
    must(eddy_state_put(store, eddy_str("k"), first, &s, &result));
    gives(eddy_state_put(store, eddy_str("k"), first, &s, &result), EDDY_ECONFLICT);
    cr_assert_neq(result.actual, (uint64_t)first);
    gives(eddy_state_delete(store, eddy_str("k"), first, &result), EDDY_ECONFLICT);
    cr_assert(is(get(store, "k").data, "2"));
    int64_t second = (int64_t)result.actual;
    must(eddy_state_delete(store, eddy_str("k"), second, &result));
    must(put_text(store, "k", "2", EDDY_NONE));
    gives(eddy_state_put(store, eddy_str("k"), second, &s, &result), EDDY_ECONFLICT);
    must(eddy_state_put(store, eddy_str("k"), EDDY_EXISTS, &s, NULL));
    sandbox_check(store);
    eddy_close(store);
}

Test(api_state, all_of_a_transaction_happens_or_nothing, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event e = {.data = eddy_str("x")};
    eddy_new_state s = {.data = eddy_str("new")};
    eddy_checkpoint c;
    eddy_result result;
    eddy_tx *tx;
    char text[8] = "old";
    must(put_text(store, "b", "before", EDDY_ANY));
    int64_t revision = (int64_t)get(store, "b").revision;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_expect(tx, eddy_str("s"), EDDY_NONE));
    must(eddy_tx_append(tx, eddy_str("s"), &e));
    eddy_new_state first = {.data = eddy_str(text)};
    must(eddy_tx_state(tx, eddy_str("a"), EDDY_NONE, &first));
    memset(text, 'z', 3); /* it was copied */
    must(eddy_tx_state_delete(tx, eddy_str("b"), revision));
    must(eddy_tx_expect_state(tx, eddy_str("c"), EDDY_NONE));
    must(eddy_tx_checkpoint(tx, eddy_str("p"), 7, 0));
    must(eddy_tx_snapshot(tx, eddy_str("s"), 1, EDDY_NONE, &s));
    gives(find(store, "a"), EDDY_ENOENT);
    must(eddy_tx_commit(tx, &result));
    cr_assert(is(get(store, "a").data, "old"));
    cr_assert_eq(get(store, "a").revision, result.revision);
    gives(find(store, "b"), EDDY_ENOENT);
    must(eddy_checkpoint_get(store, eddy_str("p"), 0, &c));
    cr_assert_eq(c.revision, result.revision);

    must(eddy_tx_reset(tx));
    must(eddy_tx_expect(tx, eddy_str("s"), 1));
    must(eddy_tx_append(tx, eddy_str("s"), &e));
    must(eddy_tx_state(tx, eddy_str("a"), EDDY_EXISTS, &s));
    must(eddy_tx_state(tx, eddy_str("new"), EDDY_ANY, &s));
    must(eddy_tx_checkpoint_delete(tx, eddy_str("p"), 0, EDDY_ANY));
    must(eddy_tx_expect_checkpoint(tx, eddy_str("p"), 0, (int64_t)result.revision));
    must(eddy_tx_expect_checkpoint(tx, eddy_str("p"), 3, EDDY_EXISTS)); /* which does not hold */
    must(eddy_tx_snapshot_delete(tx, eddy_str("s"), 9));
    gives(eddy_tx_commit(tx, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.condition, 3, "EDDY_ANY is none");
    cr_assert_str_eq(result.stream, "p");
    has_text(eddy_errmsg(), "checkpoint 'p' of shard 3");
    cr_assert(is(get(store, "a").data, "old"));
    gives(find(store, "new"), EDDY_ENOENT);
    must(eddy_checkpoint_get(store, eddy_str("p"), 0, &c));
    eddy_state snapshot;
    must(eddy_snapshot_latest(store, eddy_str("s"), 0, buffer(), &snapshot));
    eddy_tx_free(tx);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_state, each_key_is_set_once_in_a_transaction, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_state s = {.data = eddy_str("x")};
    eddy_tx *tx;
    must(put_text(store, "k", "before", EDDY_ANY));
    must(eddy_tx_begin(store, &tx));
    for (int how = 0; how < 4; how++) {
        must(eddy_tx_reset(tx));
        must(how == 1 ? eddy_tx_state_delete(tx, eddy_str("k"), EDDY_ANY)
                      : eddy_tx_state(tx, eddy_str("k"), EDDY_ANY, &s));
        must(how == 2 ? eddy_tx_state_delete(tx, eddy_str("k"), EDDY_ANY)
                      : eddy_tx_state(tx, eddy_str(how == 3 ? "other" : "k"), EDDY_ANY, &s));
        gives(eddy_tx_commit(tx, NULL), how == 3 ? 0 : EDDY_EINVAL);
        cr_assert(is(get(store, "k").data, how == 3 ? "x" : "before"));
    }
    eddy_tx_free(tx);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- lists ---- */

struct keys {
    char text[4096];
    int64_t stop_at;
    int64_t calls;
};

static int note(void *arg, const eddy_state *s) {
    struct keys *k = arg;
    size_t len = strlen(k->text);
    cr_assert(s->data.len == s->key.len && memcmp(s->data.ptr, s->key.ptr, s->key.len) == 0);
    (void)snprintf(k->text + len, sizeof k->text - len, "%.*s ", (int)s->key.len,
                   (const char *)s->key.ptr);
    return ++k->calls == k->stop_at;
}

static void assert_list(eddy_store *store, const char *prefix, const char *after, size_t limit,
                        const char *keys) {
    struct keys k = {.stop_at = -1};
    int64_t calls = eddy_states(store, eddy_str(prefix), eddy_str(after), limit, note, &k);
    cr_assert_eq(calls, k.calls, "%lld (%s)", (long long)calls, eddy_errmsg());
    cr_assert_str_eq(k.text, keys);
}

Test(api_state, they_are_listed_in_byte_order_by_pages, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    const char *keys[] = {"b/2", "a", "b", "b/10", "\xff", "b/", "B"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        must(put_text(store, keys[i], keys[i], EDDY_NONE));
        must(eddy_checkpoint_put(store, eddy_str(keys[i]), i, 0)); /* which are none of them */
    }
    for (int i = 0; i < 2; i++) {
        eddy_store *s = i ? look : store;
        assert_list(s, "", "", SIZE_MAX, "B a b b/ b/10 b/2 \xff ");
        assert_list(s, "", "", 3, "B a b ");
        assert_list(s, "", "b", 3, "b/ b/10 b/2 ");
        assert_list(s, "", "b/2", 3, "\xff ");
        assert_list(s, "", "\xff", 3, "");
        assert_list(s, "b/", "b/", 9, "b/10 b/2 ");
        assert_list(s, "b/", "a", 1, "b/ ");
        assert_list(s, "", "", 0, "");
    }
    struct keys k = {.stop_at = 2};
    cr_assert_eq(eddy_states(store, eddy_str(""), eddy_str(""), 9, note, &k), 2);
    eddy_close(look);
    eddy_close(store);
}

struct order {
    char last[16];
    int64_t calls;
};

static int in_order(void *arg, const eddy_state *s) {
    struct order *o = arg;
    cr_assert_eq(s->key.len, 6);
    cr_assert_gt(memcmp(s->key.ptr, o->last, 6), 0);
    memcpy(o->last, s->key.ptr, 6);
    o->calls++;
    return 0;
}

Test(api_state, pages_give_each_once, .timeout = 30) {
    enum { MANY = 5000, PAGE = 700 };
    eddy_store *store = sandbox_anonymous();
    struct order o = {.last = ""};
    char key[16];
    for (unsigned i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "%06u", i * 7919 % MANY);
        must(put_text(store, key, "", EDDY_NONE));
    }
    int64_t got;
    do {
        got = eddy_states(store, eddy_str(""), eddy_str(o.last), PAGE, in_order, &o);
        cr_assert_geq(got, 0);
    } while (got == PAGE);
    cr_assert_eq(o.calls, MANY);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- snapshots of streams ---- */

static int snapshot(eddy_store *store, const char *stream, uint64_t version, const char *text) {
    eddy_new_state s = {.data = eddy_str(text), .version = 999};
    return eddy_snapshot_put(store, eddy_str(stream), version, EDDY_ANY, &s, NULL);
}

/* The version of the latest at or below; 0: none. */
static uint64_t latest(eddy_store *store, const char *stream, uint64_t at_or_below) {
    eddy_state s;
    int r = eddy_snapshot_latest(store, eddy_str(stream), at_or_below, buffer(), &s);
    cr_assert(r == 0 || r == EDDY_ENOENT, "%s", eddy_errmsg());
    cr_assert(r != 0 || is(s.key, stream));
    return r == 0 ? s.version : 0;
}

Test(api_state, the_newest_snapshot_at_or_below_a_version_is_found, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_state s;
    eddy_result result;
    cr_assert_eq(latest(store, "s", 0), 0);
    must(snapshot(store, "s", 10, "ten"));
    must(snapshot(store, "s", 3, "three"));
    must(snapshot(store, "s", INT64_MAX, "last"));
    must(snapshot(store, "t", 5, "of another"));
    cr_assert_eq(latest(store, "s", 0), (uint64_t)INT64_MAX);
    cr_assert_eq(latest(store, "s", 2), 0);
    cr_assert_eq(latest(store, "s", 3), 3);
    cr_assert_eq(latest(store, "s", 9), 3);
    cr_assert_eq(latest(store, "s", 10), 10);
    cr_assert_eq(latest(store, "s", UINT64_MAX), (uint64_t)INT64_MAX);
    must(eddy_snapshot_get(store, eddy_str("s"), 10, buffer(), &s));
    cr_assert(is(s.data, "ten"));
    gives(eddy_snapshot_get(store, eddy_str("s"), 9, buffer(), &s), EDDY_ENOENT);
    must(snapshot(store, "s", 10, "again"));
    must(eddy_snapshot_latest(store, eddy_str("s"), 11, buffer(), &s));
    cr_assert(is(s.data, "again"));
    must(eddy_snapshot_delete(store, eddy_str("s"), 10, &result));
    cr_assert_eq(result.removed, 2);
    cr_assert_eq(latest(store, "s", 10), 0);
    cr_assert_eq(latest(store, "s", 0), (uint64_t)INT64_MAX);
    must(eddy_snapshot_delete(store, eddy_str("s"), UINT64_MAX, &result));
    cr_assert_eq(result.removed, 1);
    cr_assert_eq(latest(store, "s", 0), 0);
    must(eddy_snapshot_delete(store, eddy_str("s"), 5, &result));
    cr_assert_eq(result.removed, 0);
    cr_assert_eq(latest(store, "t", 0), 5);
    gives(snapshot(store, "s", 0, "x"), EDDY_EINVAL);
    gives(snapshot(store, "s", UINT64_C(1) << 63, "x"), EDDY_EINVAL);
    gives(snapshot(store, "", 1, "x"), EDDY_EINVAL);
    sandbox_check(store);
    eddy_close(store);
}

static int note_version(void *arg, const eddy_state *s) {
    char *text = arg;
    (void)snprintf(text + strlen(text), 200 - strlen(text), "%llu ",
                   (unsigned long long)s->version);
    return 0;
}

Test(api_state, a_transaction_puts_and_deletes_snapshots_at_once, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_state s = {.data = eddy_str("x")};
    eddy_result result;
    eddy_tx *tx;
    char text[200] = "";
    for (uint64_t v = 1; v <= 9; v++) {
        must(snapshot(store, "s", v, "old"));
    }
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_snapshot(tx, eddy_str("s"), 4, EDDY_EXISTS, &s));
    must(eddy_tx_snapshot(tx, eddy_str("s"), 20, EDDY_NONE, &s));
    must(eddy_tx_snapshot(tx, eddy_str("t"), 2, EDDY_ANY, &s));
    must(eddy_tx_snapshot_delete(tx, eddy_str("s"), 6));
    must(eddy_tx_snapshot(tx, eddy_str("s"), 11, EDDY_ANY, &s));
    must(eddy_tx_snapshot(tx, eddy_str("t"), 1, EDDY_ANY, &s));
    must(eddy_tx_commit(tx, &result));
    cr_assert_eq(eddy_snapshots(store, eddy_str("s"), 0, 99, note_version, text), 6);
    cr_assert_str_eq(text, "4 7 8 9 11 20 ");
    text[0] = 0;
    cr_assert_eq(eddy_snapshots(store, eddy_str("s"), 7, 2, note_version, text), 2);
    cr_assert_str_eq(text, "8 9 ");
    text[0] = 0;
    cr_assert_eq(eddy_snapshots(store, eddy_str("t"), 0, 99, note_version, text), 2);
    cr_assert_str_eq(text, "1 2 ");
    cr_assert_eq(eddy_snapshots(store, eddy_str("u"), 0, 99, note_version, text), 0);
    sandbox_check(store);
    eddy_tx_free(tx);
    eddy_close(store);
}

/* ---- sizes, colliding hashes, and a model ---- */

enum { KEYS = 10 };

struct model {
    eddy_store *store;
    struct rng rng;
    size_t most;
    uint64_t seed[KEYS]; /* 0: none */
    size_t data[KEYS];
    size_t metadata[KEYS];
    bool snapshot[KEYS][4];
};

static void model_put(struct model *m, unsigned i) {
    char key[8];
    size_t data = (size_t)rng_below(&m->rng, m->most);
    size_t metadata = (size_t)rng_below(&m->rng, m->most);
    uint64_t seed = 1 + rng_below(&m->rng, 1000000);
    unsigned char *bytes = pattern(seed, data + metadata);
    eddy_new_state s = {.data = eddy_mem(bytes, data),
                        .metadata = eddy_mem(bytes + data, metadata),
                        .version = seed};
    snprintf(key, sizeof key, "n%u", i);
    must(eddy_state_put(m->store, eddy_str(key), EDDY_ANY, &s, NULL));
    m->seed[i] = seed;
    m->data[i] = data;
    m->metadata[i] = metadata;
    free(bytes);
}

static void model_step(struct model *m) {
    char key[8];
    eddy_result result;
    unsigned i = (unsigned)rng_below(&m->rng, KEYS);
    uint64_t v = rng_below(&m->rng, 4);
    uint64_t there = 0;
    snprintf(key, sizeof key, "n%u", i);
    switch (rng_below(&m->rng, 8)) {
    case 0:
        must(eddy_state_delete(m->store, eddy_str(key), EDDY_ANY, NULL));
        m->seed[i] = 0;
        break;
    case 1:
    case 2:
        must(snapshot(m->store, key, v + 1, key));
        m->snapshot[i][v] = true;
        break;
    case 3:
        must(eddy_snapshot_delete(m->store, eddy_str(key), v + 1, &result));
        for (uint64_t k = 0; k <= v; k++) {
            there += m->snapshot[i][k];
            m->snapshot[i][k] = false;
        }
        cr_assert_eq(result.removed, there);
        break;
    default:
        model_put(m, i);
        break;
    }
}

static void model_compare(struct model *m, eddy_store *store) {
    for (unsigned i = 0; i < KEYS; i++) {
        char key[8];
        snprintf(key, sizeof key, "n%u", i);
        gives(find(store, key), m->seed[i] ? 0 : EDDY_ENOENT);
        if (m->seed[i]) {
            eddy_state s = get(store, key);
            unsigned char *bytes = pattern(m->seed[i], m->data[i] + m->metadata[i]);
            cr_assert_eq(s.version, m->seed[i]);
            cr_assert_eq(s.data.len, m->data[i]);
            cr_assert_eq(s.metadata.len, m->metadata[i]);
            cr_assert_eq(memcmp(s.data.ptr, bytes, s.data.len), 0);
            cr_assert_eq(memcmp(s.metadata.ptr, bytes + m->data[i], s.metadata.len), 0);
            free(bytes);
        }
        uint64_t below = 0;
        for (uint64_t v = 0; v < 4; v++) {
            below = m->snapshot[i][v] ? v + 1 : below;
            cr_assert_eq(latest(store, key, v + 1), below);
        }
    }
}

static void run_model(uint32_t hash_keep, size_t most, int steps) {
    struct eddy_arena *a = unit_store(hash_keep);
    struct model m = {.store = unit_handle(a, 0), .rng = rng_make(hash_keep + most), .most = most};
    eddy_store *look = unit_handle(a, EDDY_READ_ONLY);
    for (int i = 0; i < steps; i++) {
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

Test(api_state, small_ones_are_what_a_model_says, .timeout = 60) {
    run_model(0, 300, 1500);
}

Test(api_state, so_they_are_when_all_hashes_collide, .timeout = 60) {
    run_model(1, 300, 1500);
}

Test(api_state, large_ones_are_what_a_model_says, .timeout = 60) {
    run_model(0, 100000, 600);
}

/* ---- memory ---- */

static eddy_facts facts_of(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

static int put_size(eddy_store *store, const char *key, size_t size, uint64_t seed) {
    unsigned char *bytes = pattern(seed, size);
    eddy_new_state s = {.data = eddy_mem(bytes, size), .version = seed};
    int r = eddy_state_put(store, eddy_str(key), EDDY_ANY, &s, NULL);
    free(bytes);
    return r;
}

static void assert_size(eddy_store *store, const char *key, size_t size, uint64_t seed) {
    unsigned char *bytes = pattern(seed, size);
    eddy_state s = get(store, key);
    cr_assert_eq(s.data.len, size);
    cr_assert_eq(memcmp(s.data.ptr, bytes, size), 0);
    free(bytes);
}

Test(api_state, it_is_of_any_size_up_to_the_limit, .timeout = 60) {
    const size_t block = EDDY_BLOCK_MAX - sizeof(struct eddy_shm_entry) - 1;
    const size_t sizes[] = {0,
                            1,
                            447,
                            448,
                            449,
                            block - 1,
                            block,
                            block + 1,
                            block + EDDY_MORE_BYTES - 1,
                            block + EDDY_MORE_BYTES,
                            block + EDDY_MORE_BYTES + 1,
                            EDDY_STATE_MAX - 1,
                            EDDY_STATE_MAX};
    eddy_store *store = sandbox_anonymous_of(128 * MIB);
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        must(put_size(store, "k", sizes[i], i));
        assert_size(i % 2 ? look : store, "k", sizes[i], i);
    }
    gives(put_size(store, "k", EDDY_STATE_MAX + 1, 1), EDDY_ELIMIT);
    sandbox_check(store);
    eddy_close(look);
    eddy_close(store);
}

Test(api_state, large_ones_replaced_again_and_again_take_no_memory, .timeout = 60) {
    enum { TIMES = 60, SIZE = 3 << 20 };
    eddy_store *store = sandbox_anonymous_of(32 * MIB);
    must(put_size(store, "k", SIZE, 1));
    must(put_size(store, "k", SIZE, 2));
    must(eddy_state_delete(store, eddy_str("k"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    eddy_facts before = facts_of(store);
    for (uint64_t i = 0; i < TIMES; i++) {
        must(put_size(store, "k", SIZE, i));
        must(put_size(store, "small", 100, i));
    }
    assert_size(store, "k", SIZE, TIMES - 1);
    must(eddy_state_delete(store, eddy_str("k"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    eddy_facts after = facts_of(store);
    cr_assert_leq(after.reserved, before.reserved + 4 * MIB, "%llu, were %llu",
                  (unsigned long long)after.reserved, (unsigned long long)before.reserved);
    cr_assert_geq(after.free + 4 * EDDY_EXTENT_SIZE, before.free, "%llu bytes, were %llu",
                  (unsigned long long)after.free, (unsigned long long)before.free);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_state, one_that_does_not_fit_leaves_nothing, .timeout = 60) {
    eddy_store *store = sandbox_anonymous_of(8 * MIB);
    must(put_size(store, "k", 1000, 7));
    must(put_size(store, "l", MIB, 8));
    uint64_t free_before = facts_of(store).free;
    gives(put_size(store, "k", 12 * MIB, 1), EDDY_EFULL);
    eddy_new_state s = {.data = eddy_str("x")};
    gives(eddy_state_put(store, eddy_str("l"), EDDY_NONE, &s, NULL), EDDY_ECONFLICT);
    assert_size(store, "k", 1000, 7);
    assert_size(store, "l", MIB, 8);
    must(eddy_maintain(store, 0, NULL));
    cr_assert_geq(facts_of(store).free + 8 * EDDY_EXTENT_SIZE, free_before);
    for (uint64_t i = 0; i < 50; i++) {
        must(put_size(store, "l", 2 * MIB, i));
    }
    assert_size(store, "l", 2 * MIB, 49);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_state, setting_small_ones_again_and_again_takes_no_memory, .timeout = 60) {
    enum { TIMES = 30000 };
    eddy_store *store = sandbox_anonymous_of(16 * MIB);
    for (uint64_t i = 0; i < TIMES / 10; i++) {
        must(put_size(store, "k", 100, i));
        must(snapshot(store, "s", 7, "x"));
    }
    must(eddy_maintain(store, 0, NULL));
    eddy_facts before = facts_of(store);
    for (uint64_t i = 0; i < TIMES; i++) {
        must(put_size(store, "k", 100, i));
        must(snapshot(store, "s", 7, "x"));
    }
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(facts_of(store).reserved, before.reserved);
    cr_assert_geq(facts_of(store).free, before.free);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- damage ---- */

static struct eddy_shm_entry *entry_of(struct eddy_arena *a, const char *key) {
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_view v = {.arena = a, .span = &span, .overlay = NULL};
    struct eddy_key found;
    cr_assert_eq(eddy_key_find(&v, EDDY_FAMILY_STATE, eddy_str(key), &found), 1);
    return eddy_arena_raw(a, found.off);
}

/* One word is another: that is found, and all calls end, in an answer or an error. */
static void plant(struct eddy_arena *a, eddy_store *store, eddy_word *word, uint64_t value) {
    uint64_t was = eddy_ld_acq(word);
    struct keys k = {.stop_at = 0};
    eddy_st_rel(word, value);
    cr_assert_gt(unit_wrongs(a), 0, "%llx at %llu", (unsigned long long)value,
                 (unsigned long long)eddy_arena_off(a, word));
    (void)find(store, "large");
    (void)eddy_states(store, eddy_str("x"), eddy_str(""), 9, note, &k);
    (void)put_size(store, "large", 100000, 3);
    eddy_st_rel(word, was);
}

Test(api_state, damage_is_found_and_every_call_ends, .timeout = 30) {
    for (int i = 0; i < 7; i++) {
        struct eddy_arena *a = unit_store(0);
        eddy_store *store = unit_handle(a, 0);
        must(put_size(store, "large", 100000, 1));
        unit_assert_sound(a);
        struct eddy_shm_entry *e = entry_of(a, "large");
        struct eddy_shm_more *m = eddy_arena_raw(a, eddy_ld_acq(&e->more));
        switch (i) {
        case 0:
            plant(a, store, &e->more, 0);
            break;
        case 1:
            plant(a, store, &e->more, eddy_arena_off(a, e));
            break;
        case 2:
            plant(a, store, &e->more, a->cap + EDDY_LINE);
            break;
        case 3:
            plant(a, store, &m->next, eddy_arena_off(a, m)); /* a circle */
            break;
        case 4:
            plant(a, store, &m->owner, eddy_arena_off(a, m));
            break;
        case 5:
            plant(a, store, &e->lengths, UINT64_MAX);
            break;
        default:
            plant(a, store, &e->lengths, UINT64_C(4000000) << 32);
            break;
        }
        eddy_close(store);
        unit_store_free(a);
    }
}
