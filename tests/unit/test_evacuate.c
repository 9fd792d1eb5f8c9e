/* evacuate: a few events that hold whole extents are moved together. Nobody can tell by them, and the
 * extents come back. */
#include "evacuate.h"
#include "store.h"

#include "support/check.h"
#include "support/cr_must.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
enum { ROUNDS = 400, BIG = 1200 };

/* ---- what it says ---- */

struct copy {
    eddy_event event; /* its bytes are in `bytes` */
    unsigned char *bytes;
};

static void add_bytes(struct copy *c, size_t *at, eddy_bytes *b) {
    if (b->len > 0) {
        memcpy(c->bytes + *at, b->ptr, b->len);
    }
    b->ptr = c->bytes + *at;
    *at += b->len;
}

static struct copy copy_of(const eddy_event *e) {
    struct copy c = {.event = *e};
    size_t at = 0;
    c.bytes = malloc(e->stream.len + e->type.len + e->id.len + e->data.len + e->metadata.len +
                     e->tags.len + 1);
    cr_assert_not_null(c.bytes);
    add_bytes(&c, &at, &c.event.stream);
    add_bytes(&c, &at, &c.event.type);
    add_bytes(&c, &at, &c.event.id);
    add_bytes(&c, &at, &c.event.data);
    add_bytes(&c, &at, &c.event.metadata);
    add_bytes(&c, &at, &c.event.tags);
    return c;
}

static void assert_same(const eddy_event *a, const eddy_event *b) {
    cr_assert_eq(a->offset, b->offset);
    cr_assert_eq(a->version, b->version);
    cr_assert_eq(a->time_ns, b->time_ns);
    cr_assert_eq(a->recorded_ns, b->recorded_ns);
    cr_assert_eq(a->shard, b->shard);
    cr_assert_eq(a->tx_offset, b->tx_offset);
    cr_assert_eq(a->tx_count, b->tx_count);
    same_bytes(a->stream, b->stream);
    same_bytes(a->type, b->type);
    same_bytes(a->id, b->id);
    same_bytes(a->data, b->data);
    same_bytes(a->metadata, b->metadata);
    cr_assert_eq(a->tag_count, b->tag_count);
    same_bytes(a->tags, b->tags);
}

/* Transactions of 4 events; what goes is large, what stays is small and of all kinds. */
static void write_round(eddy_store *store, unsigned i) {
    static unsigned char big[BIG];
    const eddy_bytes tags[] = {eddy_str("a tag"), eddy_str("another")};
    char stays[16];
    char id[16];
    eddy_tx *tx;
    eddy_new_event goes = {.data = eddy_mem(big, sizeof big)};
    (void)snprintf(stays, sizeof stays, "stays-%u", i % 5);
    (void)snprintf(id, sizeof id, "id-%u", i);
    eddy_new_event e = {.data = eddy_mem(big, i % 40), .type = eddy_str("kind")};
    if (i % 2) {
        e.id = eddy_str(id);
        e.metadata = eddy_str("{\"a\": 1}");
        e.time_ns = 1000 + i;
        e.shard = i * 7;
        e.tags = tags;
        e.tag_count = i % 3;
    }
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("goes"), &goes));
    must(eddy_tx_append(tx, eddy_str(stays), &e));
    must(eddy_tx_append(tx, eddy_str("goes"), &goes));
    must(eddy_tx_append(tx, eddy_str("stays-0"), &e));
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
}

static unsigned read_copies(eddy_store *store, struct copy *copies) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event e;
    unsigned n = 0;
    select.prefix = eddy_str("stays");
    must(eddy_reader_open(store, &select, &reader));
    while (eddy_reader_next(reader, &e) == EDDY_EVENT) {
        cr_assert_lt(n, 2 * ROUNDS);
        copies[n++] = copy_of(&e);
    }
    eddy_reader_close(reader);
    return n;
}

/* By every way there is. */
static void assert_all_same(eddy_store *store, const struct copy *copies, unsigned n) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event e;
    for (unsigned i = 0; i < n; i++) {
        const eddy_event *was = &copies[i].event;
        must(eddy_get(store, was->offset, buffer, &e));
        assert_same(&e, was);
        must(eddy_get_version(store, was->stream, was->version, buffer, &e));
        assert_same(&e, was);
    }
    eddy_buffer_destroy(buffer);
    for (uint32_t flags = 0; flags <= EDDY_BACKWARD; flags += EDDY_BACKWARD) {
        eddy_select select = EDDY_SELECT_INIT;
        eddy_reader *reader;
        select.flags = flags;
        must(eddy_reader_open(store, &select, &reader));
        for (unsigned i = 0; i < n; i++) {
            gives(eddy_reader_next(reader, &e), EDDY_EVENT);
            assert_same(&e, &copies[flags ? n - 1 - i : i].event);
        }
        gives(eddy_reader_next(reader, &e), EDDY_END);
        eddy_reader_close(reader);
    }
}

static eddy_facts facts_of(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

Test(evacuate, events_that_were_moved_say_what_they_said, .timeout = 60) {
    static struct copy copies[2 * ROUNDS];
    eddy_store *store = sandbox_anonymous_of(32 * MIB);
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    eddy_maintained done = {.size = sizeof done};
    for (unsigned i = 0; i < ROUNDS; i++) {
        write_round(store, i);
    }
    unsigned n = read_copies(store, copies);
    cr_assert_eq(n, 2 * ROUNDS);
    must(eddy_delete(store, eddy_str("goes"), EDDY_ANY, NULL));
    eddy_facts before = facts_of(store);
    must(eddy_maintain(store, 0, &done));
    cr_assert_gt(done.moved, 2 * ROUNDS - 200, "%llu", (unsigned long long)done.moved);
    cr_assert_gt(done.extents, 2 * ROUNDS * BIG / EDDY_EXTENT_SIZE - 3, "%llu",
                 (unsigned long long)done.extents);
    eddy_facts after = facts_of(store);
    cr_assert_eq(after.events, before.events);
    cr_assert_eq(after.bytes, before.bytes);
    cr_assert_eq(after.first, before.first);
    cr_assert_geq(after.free, before.free + (done.extents - 3) * EDDY_EXTENT_SIZE);
    assert_all_same(store, copies, n);
    assert_all_same(look, copies, n);
    sandbox_check(store);
    sandbox_check(look);
    must(eddy_maintain(store, 0, &done)); /* there is nothing left to be moved */
    cr_assert_eq(done.moved, 0);
    /* What was moved can go, and be moved once more. */
    for (unsigned i = 1; i < 5; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "stays-%u", i);
        must(eddy_delete(store, eddy_str(name), EDDY_ANY, NULL));
    }
    must(eddy_maintain(store, 0, NULL));
    sandbox_check(store);
    must(eddy_delete(store, eddy_str("stays-0"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(facts_of(store).events, 0);
    sandbox_check(store);
    for (unsigned i = 0; i < n; i++) {
        free(copies[i].bytes);
    }
    eddy_close(look);
    eddy_close(store);
}

Test(evacuate, what_is_borrowed_stays_where_it_is_until_it_is_released, .timeout = 30) {
    eddy_store *store = sandbox_anonymous_of(32 * MIB);
    eddy_maintained done = {.size = sizeof done};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event e;
    unsigned char data[40];
    for (unsigned i = 0; i < ROUNDS; i++) {
        write_round(store, i);
    }
    select.flags = EDDY_BORROW;
    select.stream = eddy_str("stays-4");
    must(eddy_reader_open(store, &select, &reader));
    for (int i = 0; i < 8; i++) {
        gives(eddy_reader_next(reader, &e), EDDY_EVENT);
    }
    cr_assert_gt(e.data.len, 0);
    memcpy(data, e.data.ptr, e.data.len);
    const void *at = e.data.ptr;
    must(eddy_delete(store, eddy_str("goes"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, &done));
    cr_assert_gt(done.moved, 0);
    uint64_t free_now = facts_of(store).free;
    for (unsigned i = 0; i < 200; i++) { /* which uses what is free */
        write_round(store, i);
    }
    cr_assert_eq(eddy_reader_holds(reader), 1);
    cr_assert_eq(memcmp(at, data, e.data.len), 0);
    must(eddy_delete(store, eddy_str("goes"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    cr_assert_eq(eddy_reader_holds(reader), 1);
    gives(eddy_reader_next(reader, &e), EDDY_EVENT); /* it goes on behind */
    cr_assert_eq(e.version, 9);
    eddy_reader_close(reader);
    must(eddy_maintain(store, 0, &done));
    cr_assert_geq(done.extents, 1);
    cr_assert_geq(facts_of(store).free + 2 * (uint64_t)EDDY_EXTENT_SIZE, free_now);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- room ---- */

/* Of every extent the half goes; no extent is free by that alone. */
Test(evacuate, a_full_store_has_room_again_when_half_of_each_extent_goes, .timeout = 60) {
    eddy_store *store = sandbox_anonymous_of(4 * MIB);
    static unsigned char data[700];
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    unsigned n = 0;
    while (eddy_append(store, eddy_str(n % 2 ? "goes" : "stays"), EDDY_ANY, &e, 1, NULL) == 0) {
        n++;
    }
    cr_assert_gt(n, 2000);
    must(eddy_delete(store, eddy_str("goes"), EDDY_ANY, NULL));
    unsigned more = 0;
    while (eddy_append(store, eddy_str("stays"), EDDY_ANY, &e, 1, NULL) == 0) {
        more++;
    }
    cr_assert_gt(more, n * 4 / 10, "%u, and there were %u", more, n);
    eddy_facts facts = facts_of(store);
    cr_assert_eq(facts.events, (n + 1) / 2 + more);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- deaths, and others at any access ---- */

enum { SMALL = 60 };

struct scene {
    struct eddy_arena *arena;
    struct unit_member live;
    struct unit_member mover;
    struct eddy_reclaim of_live;
    struct eddy_reclaim r; /* of the mover */
    uint32_t idx;          /* the extent that is sparse */
};

static int del(struct unit_member *m, const char *stream) {
    int64_t s = CHECK_OK(eddy_batch_stream(&m->batch, m->arena, eddy_str(stream)));
    CHECK_OK(eddy_batch_cut(&m->batch, (uint32_t)s, EDDY_CUT_DELETE, 0));
    return unit_commit(m);
}

static int bury(struct scene *s, const char *stream) {
    uint64_t desc = eddy_arena_off(s->arena, unit_stream(s->arena, stream));
    return unit_reclaim_stream(&s->of_live, desc);
}

/* An extent of which all but three events have gone; and another, which is being filled. */
static void scene_open(struct scene *s) {
    memset(s, 0, sizeof *s);
    s->arena = unit_store(0);
    unit_join(&s->live, s->arena);
    unit_join(&s->mover, s->arena);
    eddy_reclaim_init(&s->of_live, &s->live.thread);
    eddy_reclaim_init(&s->r, &s->mover.thread);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(unit_append(&s->live, "goes", EDDY_ANY, 3, 6000), 0);
        unit_add(&s->live, "stays", 1, SMALL);
        unit_add(&s->live, i == 1 ? "later" : "stays", 1, SMALL);
        cr_assert_eq(unit_commit(&s->live), 0);
    }
    s->idx = eddy_arena_extent_of(s->arena, s->live.thread.cursor.base);
    while (eddy_arena_extent_of(s->arena, s->live.thread.cursor.base) == s->idx) {
        cr_assert_eq(unit_append(&s->live, "goes", EDDY_ANY, 1, 6000), 0);
    }
    unsigned from; /* others might go on in it */
    cr_assert(eddy_extent_claim(s->arena, s->idx, s->live.thread.member, &from));
    eddy_extent_return(s->arena, s->idx, EDDY_SEALED);
    cr_assert_eq(del(&s->live, "goes"), 0);
    cr_assert_eq(bury(s, "goes"), 0);
}

static void scene_close(struct scene *s) {
    eddy_reclaim_fini(&s->of_live);
    unit_leave(&s->live);
    unit_store_free(s->arena);
}

static void move_all(void *arg) {
    struct scene *s = arg;
    CHECK_OK(eddy_evacuate(&s->r, 1000, 2));
}

static void assert_stays(struct scene *s, uint64_t at) {
    eddy_store *store = unit_handle(s->arena, EDDY_READ_ONLY);
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event e;
    for (uint64_t v = 1; v <= 5; v++) {
        int r = eddy_get_version(store, eddy_str("stays"), v, buffer, &e);
        cr_assert_eq(r, 0, "version %llu at access %llu: %s", (unsigned long long)v,
                     (unsigned long long)at, eddy_errmsg());
        cr_assert_eq(e.version, v);
        cr_assert_eq(e.data.len, SMALL);
        same_bytes(e.type, eddy_str("stays"));
        cr_assert_eq(e.tx_count, 2);
    }
    eddy_buffer_destroy(buffer);
    eddy_close(store);
    unit_assert_sound(s->arena);
}

Test(evacuate, the_extent_is_free_when_all_has_been_moved, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    move_all(&s);
    cr_assert_eq(s.r.moved, 6);
    cr_assert_eq(EDDY_STATE_OF(eddy_ld_acq(&s.arena->extents[s.idx].state)), EDDY_FREE);
    assert_stays(&s, 0);
    eddy_reclaim_fini(&s.r);
    unit_leave(&s.mover);
    scene_close(&s);
}

/* Whoever is next brings it to its end. */
Test(evacuate, who_dies_in_it_loses_nothing, .timeout = 120) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 13) {
        static struct scene s;
        scene_open(&s);
        struct unit_step step = {.arena = s.arena, .at = at, .act = unit_act_death};
        fd_set open;
        unit_note_open(&open);
        bool died = unit_step(&step, move_all, &s) != 0;
        unit_close_others(&open);
        unit_die(&s.mover);
        assert_stays(&s, at);
        cr_assert_eq(eddy_maintain_sweep_dead(&s.live.thread), 1);
        assert_stays(&s, at);
        eddy_store *store = unit_handle(s.arena, 0);
        must(eddy_maintain(store, 0, NULL));
        eddy_close(store);
        assert_stays(&s, at);
        cr_assert_eq(del(&s.live, "stays"), 0);
        cr_assert_eq(bury(&s, "stays"), 0);
        cr_assert_eq(del(&s.live, "later"), 0);
        cr_assert_eq(bury(&s, "later"), 0);
        store = unit_handle(s.arena, 0);
        must(eddy_maintain(store, 0, NULL));
        eddy_close(store);
        cr_assert_eq(EDDY_STATE_OF(eddy_ld_acq(&s.arena->extents[s.idx].state)), EDDY_FREE,
                     "at %llu", (unsigned long long)at);
        unit_assert_sound(s.arena);
        scene_close(&s);
        if (!died) {
            cr_assert_gt(at, 100);
            break;
        }
    }
}

/* An event goes while it is being moved: it does not come back. */
static bool later_goes(void *arg) {
    struct scene *s = arg;
    cr_assert_eq(del(&s->live, "later"), 0);
    cr_assert_eq(bury(s, "later"), 0);
    cr_assert_eq(unit_append(&s->live, "goes", EDDY_ANY, 2, 100), 0);
    return false;
}

Test(evacuate, what_goes_meanwhile_does_not_come_back, .timeout = 120) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 13) {
        static struct scene s;
        scene_open(&s);
        struct unit_step step = {.arena = s.arena, .at = at, .act = later_goes, .arg = &s};
        bool acted = unit_step(&step, move_all, &s) != 0;
        assert_stays(&s, at);
        cr_assert_eq(unit_version(s.arena, "goes"),
                     eddy_ld_acq(&unit_stream(s.arena, "goes")->version));
        eddy_reclaim_fini(&s.r);
        unit_leave(&s.mover);
        eddy_store *store = unit_handle(s.arena, 0);
        eddy_stream_facts facts = {.size = sizeof facts};
        gives(eddy_stream_info(store, eddy_str("later"), &facts), acted ? EDDY_ENOENT : 0);
        must(eddy_maintain(store, 0, NULL));
        eddy_close(store);
        assert_stays(&s, at);
        scene_close(&s);
        if (!acted) {
            break;
        }
    }
}

/* Who reads an event is stopped anywhere; it is moved, and where it was is used anew. */
struct read {
    struct scene *s;
    eddy_store *store;
    eddy_buffer *buffer;
    uint64_t version;
};

static void get_it(void *arg) {
    struct read *r = arg;
    eddy_event e;
    CHECK_OK(eddy_get_version(r->store, eddy_str("stays"), r->version, r->buffer, &e));
    CHECK_EQ(e.version, r->version);
    CHECK_EQ(e.data.len, SMALL);
    CHECK(e.type.len == 5 && memcmp(e.type.ptr, "stays", 5) == 0);
    for (size_t i = 0; i < SMALL; i++) {
        CHECK_EQ(((const unsigned char *)e.data.ptr)[i], 0);
    }
}

static bool move_and_use(void *arg) {
    static unsigned char data[60000];
    struct read *r = arg;
    eddy_store *other = unit_handle(r->s->arena, 0);
    memset(data, 0xa5, sizeof data);
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    move_all(r->s);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(eddy_append(other, eddy_str("use"), EDDY_ANY, &e, 1, NULL));
    }
    eddy_close(other);
    return false;
}

Test(evacuate, who_reads_meanwhile_reads_what_was_there, .timeout = 120) {
    unit_needs_steps();
    for (uint64_t version = 1; version <= 5; version += 2) {
        for (uint64_t at = 0;; at++) {
            static struct scene s;
            scene_open(&s);
            struct read r = {.s = &s, .store = unit_handle(s.arena, 0), .version = version};
            r.buffer = eddy_buffer_create();
            struct unit_step step = {.arena = &r.store->arena, .at = at, .act = move_and_use};
            step.arg = &r;
            bool acted = unit_step(&step, get_it, &r) != 0;
            get_it(&r);
            eddy_buffer_destroy(r.buffer);
            eddy_close(r.store);
            eddy_reclaim_fini(&s.r);
            unit_leave(&s.mover);
            scene_close(&s);
            if (!acted) {
                cr_assert_gt(at, 10);
                break;
            }
        }
    }
}

/* ---- threads ---- */

struct crew {
    eddy_store *store;
    _Atomic bool stop;
    uint64_t reads;
};

static void *read_on(void *arg) {
    struct crew *c = arg;
    while (!atomic_load(&c->stop)) {
        eddy_select select = EDDY_SELECT_INIT;
        eddy_reader *reader;
        eddy_event e;
        uint64_t last = 0;
        int r;
        select.stream = eddy_str("stays-0");
        CHECK_OK(eddy_reader_open(c->store, &select, &reader));
        while ((r = eddy_reader_next(reader, &e)) == EDDY_EVENT) {
            CHECK_EQ(e.version, last + 1);
            CHECK(e.type.len == 4 && memcmp(e.type.ptr, "kind", 4) == 0);
            last = e.version;
        }
        CHECK_EQ(r, EDDY_END);
        eddy_reader_close(reader);
        c->reads += last;
    }
    return NULL;
}

Test(evacuate, readers_miss_nothing_while_it_goes_on, .timeout = 60) {
    struct crew c = {.store = sandbox_anonymous_of(32 * MIB)};
    pthread_t thread;
    uint64_t moved = 0;
    write_round(c.store, 0);
    cr_assert_eq(pthread_create(&thread, NULL, read_on, &c), 0);
    for (int round = 0; round < 12; round++) {
        eddy_maintained done = {.size = sizeof done};
        for (unsigned i = 0; i < ROUNDS / 2; i++) {
            write_round(c.store, i);
        }
        must(eddy_delete(c.store, eddy_str("goes"), EDDY_ANY, NULL));
        must(eddy_maintain(c.store, 0, &done));
        moved += done.moved;
    }
    atomic_store(&c.stop, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_gt(moved, 0);
    cr_assert_gt(c.reads, 0);
    sandbox_check(c.store);
    eddy_close(c.store);
}
