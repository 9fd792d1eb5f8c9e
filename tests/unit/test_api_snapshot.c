/* eddy.h from outside: a store into a file and back. */
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"
#include "unit_twin.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* The stores of a test have a clock of their own, which both of a pair see alike. */
static int64_t ticking(void *arg) {
    return *(int64_t *)arg += 10;
}

/* No limit that matters; but that some are set makes setting them a transaction. */
static eddy_limits no_limits(void) {
    eddy_limits l = EDDY_LIMITS_INIT;
    l.names = UINT64_C(1) << 40;
    return l;
}

static eddy_store *open_in(const struct sandbox *box, const char *name, int64_t *clock) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.dir = box->dir;
    options.cap = 64 * MIB;
    options.clock = ticking;
    options.clock_arg = clock;
    must(eddy_open(&store, name, &options));
    return store;
}

static eddy_store *make_in(const struct sandbox *box, const char *name, int64_t *clock) {
    eddy_limits l = no_limits();
    eddy_store *store = open_in(box, name, clock);
    must(eddy_limits_set(store, &l, NULL));
    return store;
}

/* The restored store, behind as many transactions as the one that it was taken of: that has had one more,
 * which ended the capture. */
static eddy_store *open_restored(const struct sandbox *box, const char *name, int64_t *clock) {
    int64_t now = *clock;
    eddy_limits l = EDDY_LIMITS_INIT;
    *clock = INT64_MIN / 2; /* it tells no later time than the last */
    eddy_store *store = open_in(box, name, clock);
    must(eddy_limits_get(store, &l));
    must(eddy_limits_set(store, &l, NULL));
    *clock = now;
    return store;
}

static int restore(const struct sandbox *box, const char *file, const char *name, uint32_t flags) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.dir = box->dir;
    options.flags = flags;
    return eddy_snapshot_restore(file, name, &options);
}

static unsigned files_in(const struct sandbox *box) {
    char line[300];
    (void)snprintf(line, sizeof line, "exit $(ls -A '%s' | wc -l)", box->dir);
    int status = system(line);
    return (unsigned)WEXITSTATUS(status);
}

/* ---- random histories ---- */

/* A pair of stores to which the same is done, or one of them alone. */
struct pair {
    eddy_store *store[2];
    unsigned count;
    struct rng rng;
};

static void fill_event(struct rng *rng, eddy_new_event *e) {
    static char bytes[200000];
    static eddy_bytes tags[3];
    tags[0] = eddy_str("a tag");
    tags[1] = eddy_str("\xff");
    tags[2] = eddy_str("another tag");
    static const char *const types[] = {"", "created", "left", "a type that is longer"};
    memset(e, 0, sizeof *e);
    e->type = eddy_str(types[rng_below(rng, 4)]);
    e->data =
        eddy_mem(bytes, rng_once_in(rng, 200) ? rng_below(rng, sizeof bytes) : rng_below(rng, 100));
    e->metadata = eddy_mem(bytes, rng_once_in(rng, 3) ? rng_below(rng, 20) : 0);
    e->id = rng_once_in(rng, 3) ? eddy_str("an id") : eddy_str("");
    e->time_ns = rng_once_in(rng, 2) ? (int64_t)rng_below(rng, 1000) - 500 : 0;
    e->flags = (uint32_t)rng_below(rng, 4); /* the time, the shard was given */
    e->shard = rng_once_in(rng, 2) ? rng_once_in(rng, 20) ? rng_next(rng) : rng_below(rng, 5) : 0;
    e->tags = tags;
    e->tag_count = rng_once_in(rng, 3) ? (uint32_t)rng_below(rng, 4) : 0;
}

static const char *some_stream(struct rng *rng) {
    static char name[32];
    (void)snprintf(name, sizeof name, "stream-%llu", (unsigned long long)rng_below(rng, 12));
    return name;
}

static void append_some(struct pair *p) {
    enum { MOST = 40 };
    eddy_new_event e[MOST];
    char name[MOST][32];
    unsigned n = 1 + (unsigned)rng_below(&p->rng, rng_once_in(&p->rng, 3) ? MOST : 3);
    bool one = rng_once_in(&p->rng, 2);
    for (unsigned i = 0; i < n; i++) {
        fill_event(&p->rng, &e[i]);
        strcpy(name[i], one && i > 0 ? name[0] : some_stream(&p->rng));
    }
    for (unsigned k = 0; k < p->count; k++) {
        eddy_tx *tx;
        must(eddy_tx_begin(p->store[k], &tx));
        for (unsigned i = 0; i < n; i++) {
            must(eddy_tx_append(tx, eddy_str(name[i]), &e[i]));
        }
        int r = eddy_tx_commit(tx, NULL);
        cr_assert(r == 0 || r == EDDY_ELIMIT, "%s", eddy_errmsg());
        eddy_tx_free(tx);
    }
}

static void put_checkpoint(struct pair *p) {
    char name[32];
    uint64_t at = rng_below(&p->rng, 1000);
    uint32_t flags = rng_once_in(&p->rng, 50) ? EDDY_HOLD : 0;
    bool gone = rng_once_in(&p->rng, 3);
    (void)snprintf(name, sizeof name, "checkpoint-%llu", (unsigned long long)rng_below(&p->rng, 5));
    eddy_new_checkpoint new = {.name = eddy_str(name),
                               .shard = rng_below(&p->rng, 3),
                               .offset = at,
                               .time_ns = (int64_t)at - 500,
                               .flags = flags | (at % 3 ? EDDY_TIME_GIVEN : 0)};
    for (unsigned k = 0; k < p->count; k++) {
        must(gone ? eddy_checkpoint_delete(p->store[k], new.name, new.shard, EDDY_ANY)
                  : eddy_checkpoint_set(p->store[k], &new, EDDY_ANY, NULL));
    }
}

static void put_state(struct pair *p) {
    static char bytes[100000];
    char key[32];
    eddy_new_state new = {.data = eddy_mem(bytes, rng_once_in(&p->rng, 20)
                                                      ? rng_below(&p->rng, sizeof bytes)
                                                      : rng_below(&p->rng, 60)),
                          .metadata = eddy_mem("some metadata", rng_below(&p->rng, 10)),
                          .version = rng_next(&p->rng),
                          .shard = rng_below(&p->rng, 3),
                          .time_ns = (int64_t)rng_below(&p->rng, 3)};
    rng_fill(&p->rng, bytes, 200);
    const char *stream = some_stream(&p->rng);
    uint64_t version = 1 + rng_below(&p->rng, 20);
    uint64_t what = rng_below(&p->rng, 8);
    (void)snprintf(key, sizeof key, "state-%llu", (unsigned long long)rng_below(&p->rng, 9));
    for (unsigned k = 0; k < p->count; k++) {
        eddy_store *s = p->store[k];
        if (what < 3) {
            must(eddy_state_put(s, eddy_str(key), EDDY_ANY, &new, NULL));
        } else if (what == 3) {
            must(eddy_state_delete(s, eddy_str(key), EDDY_ANY, NULL));
        } else if (what < 7) {
            must(eddy_snapshot_put(s, eddy_str(stream), version, EDDY_ANY, &new, NULL));
        } else {
            must(eddy_snapshot_delete(s, eddy_str(stream), version, NULL));
        }
    }
}

static void cut_some(struct pair *p) {
    const char *name = some_stream(&p->rng);
    unsigned how = (unsigned)rng_below(&p->rng, 8);
    for (unsigned k = 0; k < p->count; k++) {
        eddy_stream_facts f = {.size = sizeof f};
        if (eddy_stream_info(p->store[k], eddy_str(name), &f) < 0) {
            return;
        }
        if (how == 0) {
            must(eddy_delete(p->store[k], eddy_str(name), EDDY_ANY, NULL));
        } else if (how == 1) {
            must(eddy_forget(p->store[k], eddy_str(name), NULL));
        } else {
            must(eddy_truncate(p->store[k], eddy_str(name), EDDY_ANY,
                               f.version - f.count + f.count / how, NULL));
        }
    }
}

/* Sets limits that let go some of the oldest, and takes them back again, mostly. */
static void limit(struct pair *p) {
    bool stays = rng_once_in(&p->rng, 3);
    for (unsigned k = 0; k < p->count; k++) {
        eddy_limits l = no_limits();
        eddy_facts f = {.size = sizeof f};
        must(eddy_info(p->store[k], &f));
        l.flags = EDDY_DROP_ALL;
        l.events = f.events - f.events / 4;
        int r = eddy_limits_set(p->store[k], &l, NULL);
        cr_assert(r == 0 || r == EDDY_ELIMIT, "%s", eddy_errmsg());
        l.events = stays ? l.events + 100 : 0;
        r = eddy_limits_set(p->store[k], &l, NULL);
        cr_assert(r == 0 || r == EDDY_ELIMIT, "%s", eddy_errmsg());
    }
}

static void maintain(struct pair *p) {
    for (unsigned k = 0; k < p->count; k++) {
        must(eddy_maintain(p->store[k], 0, NULL));
    }
}

static void live_on(struct pair *p, unsigned steps) {
    for (unsigned i = 0; i < steps; i++) {
        uint64_t what = rng_below(&p->rng, 40);
        if (what < 24) {
            append_some(p);
        } else if (what < 30) {
            put_state(p);
        } else if (what < 34) {
            put_checkpoint(p);
        } else if (what < 38) {
            cut_some(p);
        } else if (what == 38 && rng_once_in(&p->rng, 3)) {
            limit(p);
        } else if (what == 39) {
            maintain(p);
        }
    }
}

/* Nothing holds back what is dropped. */
static void let_go(eddy_store *store) {
    for (unsigned i = 0; i < 5; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "checkpoint-%u", i);
        for (uint64_t shard = 0; shard < 3; shard++) {
            must(eddy_checkpoint_delete(store, eddy_str(name), shard, EDDY_ANY));
        }
    }
}

static void empty_and_fill(struct pair *p) {
    for (unsigned k = 0; k < p->count; k++) {
        eddy_limits l = no_limits();
        let_go(p->store[k]);
        must(eddy_limits_set(p->store[k], &l, NULL));
        l.flags = EDDY_DROP_ALL;
        l.events = 1;
        must(eddy_limits_set(p->store[k], &l, NULL));
        must(eddy_maintain(p->store[k], 0, NULL));
        l.events = 0;
        must(eddy_limits_set(p->store[k], &l, NULL));
    }
    twin_assert_same(p->store[0], p->store[1]);
    live_on(p, 30);
}

static void take_and_compare(uint64_t which) {
    struct sandbox box;
    int64_t clock[2] = {1000000, 0};
    struct pair p = {.count = 1, .rng = rng_make(which)};
    eddy_snapshot_facts f = {.size = sizeof f};
    sandbox_make(&box);
    const char *file = sandbox_path(&box, "file");
    p.store[0] = make_in(&box, "one", &clock[0]);
    live_on(&p, (unsigned)rng_below(&p.rng, 400));
    must(eddy_maintain(p.store[0], 0,
                       NULL)); /* so that a look by age, and the like, finds no more */
    must(eddy_snapshot_write(p.store[0], file, NULL, &f));
    must(restore(&box, file, "other", 0));
    clock[1] = clock[0];
    p.store[1] = open_restored(&box, "other", &clock[1]);
    p.count = 2;
    twin_assert_same(p.store[0], p.store[1]);
    live_on(&p, 100);
    twin_assert_same(p.store[0], p.store[1]);
    empty_and_fill(&p);
    twin_assert_same(p.store[0], p.store[1]);
    cr_assert_eq(eddy_check(p.store[0], NULL, NULL), 0, "the old store of history %u is damaged",
                 (unsigned)which);
    cr_assert_eq(eddy_check(p.store[1], NULL, NULL), 0, "the restored one of history %u is damaged",
                 (unsigned)which);
    eddy_close(p.store[0]);
    eddy_close(p.store[1]);
}

Test(api_snapshot, a_restored_store_is_as_the_old_one_was_and_goes_on_like_it, .timeout = 120) {
    for (uint64_t i = 0; i < 25; i++) {
        take_and_compare(i);
    }
}

/* ---- the ends of things ---- */

static void append(eddy_store *store, const char *stream, unsigned count) {
    eddy_new_event e[100];
    memset(e, 0, sizeof e);
    for (unsigned i = 0; i < count; i++) {
        e[i].data = eddy_str("12345678");
    }
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, e, count, NULL));
}

/* The store into a file and back, compared, and then an event for both. */
static void there_and_back(const struct sandbox *box, eddy_store *store, int64_t *clock) {
    const char *file = sandbox_path(box, "file");
    must(eddy_snapshot_write(store, file, NULL, NULL));
    must(restore(box, file, "back", EDDY_REPLACE));
    int64_t other = *clock;
    eddy_store *back = open_restored(box, "back", &other);
    twin_assert_same(store, back);
    append(store, "next", 1);
    append(back, "next", 1);
    *clock = other > *clock ? other : *clock;
    twin_assert_same(store, back);
    sandbox_check(back);
    eddy_close(back);
}

static void drop_all(eddy_store *store) {
    eddy_limits l = no_limits();
    l.flags = EDDY_DROP_ALL;
    l.age_ns = 1;
    must(eddy_limits_set(store, &l, NULL));
    l.age_ns = 0;
    must(eddy_limits_set(store, &l, NULL));
}

Test(api_snapshot, an_empty_store_and_an_emptied_one_come_back, .timeout = 60) {
    struct sandbox box;
    int64_t clock = 1;
    sandbox_make(&box);
    eddy_store *store = make_in(&box, "one", &clock);
    there_and_back(&box, store, &clock);
    append(store, "s", 100);
    append(store, "s", 27); /* the head is the last of its leaf, or the first, or neither */
    there_and_back(&box, store, &clock);
    there_and_back(&box, store, &clock);
    for (unsigned i = 0; i < 200; i += 60) {
        drop_all(store);
        there_and_back(&box, store, &clock);
        append(store, "s", i % 64);
    }
    must(eddy_delete(store, eddy_str("s"), EDDY_ANY, NULL));
    there_and_back(&box, store, &clock);
    must(eddy_forget(store, eddy_str("s"), NULL));
    must(eddy_forget(store, eddy_str("next"), NULL));
    there_and_back(&box, store, &clock);
    eddy_close(store);
}

Test(api_snapshot, holes_of_any_length_come_back, .timeout = 60) {
    struct sandbox box;
    int64_t clock = 1;
    sandbox_make(&box);
    eddy_store *store = make_in(&box, "one", &clock);
    for (unsigned i = 0; i < 12; i++) {
        char name[16];
        append(store, "kept", 1 + i % 3);
        for (unsigned k = 0; k < 1u << i; k += 100) {
            unsigned rest = (1u << i) - k;
            (void)snprintf(name, sizeof name, "gone-%u", i);
            append(store, name, rest < 100 ? rest : 100);
        }
    }
    for (unsigned i = 0; i < 12; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "gone-%u", (i * 5) % 12);
        must(i % 2 ? eddy_forget(store, eddy_str(name), NULL)
                   : eddy_delete(store, eddy_str(name), EDDY_ANY, NULL));
        if (i % 3 == 0) {
            must(eddy_maintain(store, 0, NULL));
        }
        there_and_back(&box, store, &clock);
    }
    eddy_close(store);
}

/* A store whose names' hashes are all alike, or whatever: names with zero bytes and of full length. */
Test(api_snapshot, bytes_of_any_kind_come_back, .timeout = 60) {
    struct sandbox box;
    int64_t clock = INT64_C(1) << 60;
    char name[255];
    sandbox_make(&box);
    eddy_store *store = make_in(&box, "one", &clock);
    memset(name, 0, sizeof name);
    for (size_t len = 1; len <= sizeof name; len += 127) {
        eddy_new_event e = {.type = eddy_mem(name, len),
                            .id = eddy_mem(name, len),
                            .data = eddy_mem(name, len),
                            .metadata = eddy_mem(name, len),
                            .time_ns = INT64_MIN,
                            .shard = UINT64_MAX};
        must(eddy_append(store, eddy_mem(name, len), EDDY_ANY, &e, 1, NULL));
        must(eddy_checkpoint_put(store, eddy_mem(name, len), len, 0));
    }
    there_and_back(&box, store, &clock);
    eddy_close(store);
}

Test(api_snapshot, it_may_be_taken_of_an_anonymous_store_and_restored_smaller, .timeout = 60) {
    struct sandbox box;
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_facts facts = {.size = sizeof facts};
    sandbox_make(&box);
    const char *file = sandbox_path(&box, "file");
    eddy_store *store = sandbox_anonymous();
    for (int i = 0; i < 100; i++) {
        append(store, "s", 100);
    }
    must(eddy_snapshot_write(store, file, NULL, NULL));
    options.dir = box.dir;
    options.cap = 8 * MIB;
    options.members = 3;
    options.threads = 4;
    options.mode = 0640;
    must(eddy_snapshot_restore(file, "small", &options));
    eddy_store *small = sandbox_open(&box, "small", EDDY_MUST_EXIST);
    must(eddy_info(small, &facts));
    cr_assert_eq(facts.cap, 8 * MIB);
    cr_assert_eq(facts.members_max, 3);
    cr_assert_eq(facts.threads_max, 4);
    cr_assert_eq(sandbox_head(small), sandbox_head(store));
    eddy_close(small);
    struct stat st;
    cr_assert_eq(stat(sandbox_file(&box, "small"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640u);
    /* Too small: nothing is left of it. */
    options.cap = EDDY_CAP_MIN;
    for (int i = 0; i < 1500; i++) {
        append(store, "s", 100);
    }
    must(eddy_snapshot_write(store, file, NULL, NULL));
    unsigned files = files_in(&box);
    gives(eddy_snapshot_restore(file, "tiny", &options), EDDY_EFULL);
    cr_assert_eq(files_in(&box), files);
    eddy_close(store);
}

/* ---- names and files ---- */

Test(api_snapshot, nothing_is_replaced_unless_asked_for, .timeout = 60) {
    struct sandbox box;
    int64_t clock = 1;
    sandbox_make(&box);
    char file[300];
    char text[300];
    strcpy(file, sandbox_path(&box, "file"));
    strcpy(text, sandbox_path(&box, "text"));
    eddy_store *store = make_in(&box, "one", &clock);
    append(store, "s", 5);
    must(eddy_snapshot_write(store, file, NULL, NULL));
    append(store, "s", 1);
    gives(restore(&box, file, "one", 0), EDDY_EEXIST);
    cr_assert_eq(sandbox_head(store), 6);
    must(restore(&box, file, "one", EDDY_REPLACE));
    cr_assert_eq(sandbox_head(store), 6); /* who has it open keeps it */
    eddy_store *other = open_in(&box, "one", &clock);
    cr_assert_eq(sandbox_head(other), 5);
    eddy_close(other);
    must(eddy_snapshot_write(store, file, NULL, NULL)); /* over the old one */
    /* What is no store, and no snapshot, stays. */
    FILE *f = fopen(text, "w");
    fputs("precious", f);
    fclose(f);
    gives(eddy_snapshot_write(store, text, NULL, NULL), EDDY_EEXIST);
    gives(eddy_snapshot_restore(file, text, NULL), EDDY_ENOTSTORE);
    gives(restore(&box, file, text, EDDY_REPLACE), EDDY_ENOTSTORE);
    gives(eddy_snapshot_restore(text, "new", NULL), EDDY_ENOTSTORE);
    gives(eddy_snapshot_verify(text, NULL), EDDY_ENOTSTORE);
    struct stat st;
    cr_assert_eq(stat(text, &st), 0);
    cr_assert_eq(st.st_size, 8);
    cr_assert_eq(files_in(&box), 3);
    eddy_close(store);
}

Test(api_snapshot, arguments_that_cannot_be_are_refused, .timeout = 60) {
    struct sandbox box;
    eddy_snapshot_options options = {.size = sizeof options, .flags = 1};
    eddy_snapshot_facts facts = {.size = 7};
    eddy_options open = EDDY_OPTIONS_INIT;
    sandbox_make(&box);
    char file[300];
    strcpy(file, sandbox_path(&box, "file"));
    eddy_store *store = sandbox_anonymous();
    gives(eddy_snapshot_write(store, file, &options, NULL), EDDY_EINVAL);
    options.flags = 0;
    options.mode = 010000;
    gives(eddy_snapshot_write(store, file, &options, NULL), EDDY_EINVAL);
    options.size = 1;
    gives(eddy_snapshot_write(store, file, &options, NULL), EDDY_EINVAL);
    gives(eddy_snapshot_write(store, file, NULL, &facts), EDDY_EINVAL);
    gives(eddy_snapshot_write(store, "/no/such/directory/file", NULL, NULL), EDDY_ENOENT);
    cr_assert_eq(files_in(&box), 0);
    gives(eddy_snapshot_verify(file, NULL), EDDY_ENOENT);
    gives(restore(&box, file, "x", 0), EDDY_ENOENT);
    options = (eddy_snapshot_options){.size = sizeof options, .mode = 0640};
    must(eddy_snapshot_write(store, file, &options, NULL));
    struct stat st;
    cr_assert_eq(stat(file, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0640u);
    gives(eddy_snapshot_verify(file, &facts), EDDY_EINVAL);
    open.flags = EDDY_ANONYMOUS;
    gives(eddy_snapshot_restore(file, "x", &open), EDDY_EINVAL);
    gives(eddy_snapshot_restore(file, "fd:1", NULL), EDDY_EINVAL);
    gives(eddy_snapshot_restore(file, "a/b", NULL), EDDY_EINVAL);
    eddy_store *reading = sandbox_again(store, EDDY_READ_ONLY);
    gives(eddy_snapshot_write(reading, file, NULL, NULL), EDDY_EREADONLY);
    eddy_close(reading);
    eddy_shutdown(store);
    gives(eddy_snapshot_write(store, file, NULL, NULL), EDDY_ECLOSED);
    eddy_close(store);
}

static uint64_t taken(eddy_store *store) {
    eddy_counts k = {.size = sizeof k};
    must(eddy_stats(store, &k));
    return k.snapshots;
}

Test(api_snapshot, they_are_taken_from_time_to_time_by_a_thread_that_is_asked_for, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    char file[300];
    strcpy(file, sandbox_path(&box, "file"));
    eddy_store *store = sandbox_anonymous();
    gives(eddy_snapshot_start(store, NULL, 1000000), EDDY_EINVAL);
    gives(eddy_snapshot_start(store, file, 999), EDDY_EINVAL);
    must(eddy_snapshot_write(store, file, NULL, NULL));
    must(eddy_snapshot_write(store, file, NULL, NULL));
    cr_assert_eq(taken(store), 2);
    append(store, "s", 7);
    must(eddy_snapshot_start(store, file, 2000000));
    while (taken(store) < 6) {
        usleep(1000);
    }
    must(eddy_snapshot_stop(store));
    must(eddy_snapshot_stop(store));
    uint64_t n = taken(store);
    eddy_snapshot_facts f = {.size = sizeof f};
    must(eddy_snapshot_verify(file, &f));
    cr_assert_eq(f.events, 7);
    usleep(20000);
    cr_assert_eq(taken(store), n);
    must(eddy_snapshot_start(store, file, 2000000));
    eddy_close(store);
}

/* ---- damage ---- */

struct bytes {
    unsigned char at[16384];
    size_t len;
};

static void load(const char *file, struct bytes *b) {
    FILE *f = fopen(file, "r");
    cr_assert_not_null(f);
    b->len = fread(b->at, 1, sizeof b->at, f);
    cr_assert(b->len > 0 && b->len < sizeof b->at);
    fclose(f);
}

static void save(const char *file, const struct bytes *b) {
    FILE *f = fopen(file, "w");
    cr_assert_eq(fwrite(b->at, 1, b->len, f), b->len);
    fclose(f);
}

/* The file is refused, for a reason that names it and a byte, and what there is stays. */
static void assert_refused(const struct sandbox *box, const char *file, size_t where) {
    int r = eddy_snapshot_verify(file, NULL);
    cr_assert(r == EDDY_ECORRUPT || r == EDDY_ENOTSTORE || r == EDDY_ELAYOUT, "byte %zu: %s (%s)",
              where, eddy_errname(r), eddy_errmsg());
    cr_assert_eq(r == EDDY_ELAYOUT, where >= 8 && where < 12, "byte %zu: %s", where, eddy_errmsg());
    has_text(eddy_errmsg(), file);
    has_text(eddy_errmsg(), where == SIZE_MAX ? "" : "byte ");
    cr_assert_eq(restore(box, file, "new", 0), r);
    cr_assert_eq(restore(box, file, "one", EDDY_REPLACE), r);
}

static void make_small(const struct sandbox *box, const char *file, eddy_store **store) {
    static int64_t clock = 1;
    *store = make_in(box, "one", &clock);
    append(*store, "s", 4);
    append(*store, "t", 2);
    must(eddy_truncate(*store, eddy_str("s"), EDDY_ANY, 1, NULL));
    must(eddy_checkpoint_put(*store, eddy_str("c"), 3, 0));
    must(eddy_snapshot_write(*store, file, NULL, NULL));
}

Test(api_snapshot, each_byte_that_is_changed_is_found, .timeout = 120) {
    struct sandbox box;
    struct bytes good;
    eddy_store *store;
    struct rng rng = rng_make(1);
    sandbox_make(&box);
    char file[300];
    strcpy(file, sandbox_path(&box, "file"));
    make_small(&box, file, &store);
    load(file, &good);
    for (size_t i = 0; i < good.len; i++) {
        for (unsigned k = 0; k < 2; k++) {
            struct bytes bad = good;
            bad.at[i] ^= (unsigned char)(k ? 1u << rng_below(&rng, 8) : 0xff);
            save(file, &bad);
            assert_refused(&box, file, i);
        }
    }
    save(file, &good);
    must(eddy_snapshot_verify(file, NULL));
    eddy_store *same = open_in(&box, "one", &(int64_t){0});
    twin_assert_same(store, same);
    eddy_close(same);
    eddy_close(store);
    cr_assert_eq(files_in(&box), 2);
}

Test(api_snapshot, each_length_but_the_right_one_is_found, .timeout = 120) {
    struct sandbox box;
    struct bytes good;
    eddy_store *store;
    sandbox_make(&box);
    char file[300];
    strcpy(file, sandbox_path(&box, "file"));
    make_small(&box, file, &store);
    load(file, &good);
    for (size_t n = 0; n < good.len + 80; n++) {
        struct bytes bad = good;
        memset(bad.at + good.len, (int)n, 80);
        bad.len = n;
        if (n != good.len) {
            save(file, &bad);
            assert_refused(&box, file, n == 0 ? SIZE_MAX : 0);
        }
    }
    eddy_close(store);
    cr_assert_eq(files_in(&box), 2);
}

/* Where the blocks of a file begin. */
static unsigned blocks_of(const struct bytes *b, size_t *at, unsigned most) {
    unsigned n = 0;
    for (size_t i = 32; i < b->len && n < most; n++) {
        uint32_t length;
        memcpy(&length, b->at + i + 8, sizeof length);
        at[n] = i;
        i += 32 + length;
    }
    at[n] = b->len;
    return n;
}

Test(api_snapshot, blocks_that_are_lost_swapped_or_of_another_file_are_found, .timeout = 60) {
    struct sandbox box;
    struct bytes good;
    struct bytes other;
    eddy_store *store;
    size_t at[20];
    sandbox_make(&box);
    char file[300];
    strcpy(file, sandbox_path(&box, "file"));
    make_small(&box, file, &store);
    load(file, &good);
    must(eddy_snapshot_write(store, file, NULL, NULL));
    load(file, &other);
    cr_assert_eq(good.len, other.len);
    unsigned n = blocks_of(&good, at, 19);
    cr_assert_eq(n, 5); /* store, entries, streams, events, end */
    for (unsigned i = 0; i < n; i++) {
        struct bytes bad = good;
        size_t len = at[i + 1] - at[i];
        memcpy(bad.at + at[i], other.at + at[i], len); /* of another file */
        save(file, &bad);
        assert_refused(&box, file, SIZE_MAX);
        bad = good;
        memmove(bad.at + at[i], bad.at + at[i + 1], bad.len - at[i + 1]); /* lost */
        bad.len -= len;
        save(file, &bad);
        assert_refused(&box, file, SIZE_MAX);
        bad = good;
        memmove(bad.at + at[i + 1], bad.at + at[i], bad.len - at[i]); /* twice */
        bad.len += len;
        save(file, &bad);
        assert_refused(&box, file, SIZE_MAX);
    }
    eddy_close(store);
}
