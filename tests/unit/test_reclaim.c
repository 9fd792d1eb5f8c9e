/* reclaim: what is gone gives its memory back, whoever does it, and whoever dies at it. */
#include "reclaim.h"

#include "gone.h"
#include "scan.h"
#include "support/check.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_cut(struct unit_member *m, const char *stream, unsigned kind, uint64_t version) {
    int64_t s = eddy_batch_stream(&m->batch, m->arena, eddy_str(stream));
    cr_assert_geq(s, 0);
    cr_assert_eq(eddy_batch_cut(&m->batch, (uint32_t)s, kind, version), 0);
}

/* By a limit of events, which is taken away again. */
static void raise_floor(struct unit_member *m, uint64_t keep) {
    eddy_limits limits = {.size = sizeof limits, .flags = EDDY_DROP_EVENTS, .events = keep};
    eddy_limits none = {.size = sizeof none};
    for (int i = 0; i < 3; i++) { /* each raises it by some thousands at most */
        m->batch.limits = &limits;
        m->batch.enforce = true;
        cr_assert_eq(unit_commit(m), 0);
    }
    m->batch.limits = &none;
    m->batch.enforce = false;
    cr_assert_eq(unit_commit(m), 0);
    m->batch.limits = NULL;
}

/* Blocks in a state, and free extents but those that have only free blocks. */
static uint64_t blocks_in(struct eddy_arena *a, unsigned from, unsigned to) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        unsigned class_ = EDDY_INFO_CLASS(eddy_ld_acq(&a->extents[i].info));
        if (EDDY_INFO_KIND(eddy_ld_acq(&a->extents[i].info)) != EDDY_KIND_NODES) {
            continue;
        }
        for (uint64_t k = 0; k < EDDY_EXTENT_SIZE / (eddy_class_lines(class_) * EDDY_LINE); k++) {
            unsigned state = eddy_block_state(a, eddy_arena_extent_off(a, i) +
                                                     k * eddy_class_lines(class_) * EDDY_LINE);
            n += state >= from && state <= to;
        }
    }
    return n;
}

/* Extents that hold events. */
static uint64_t event_extents(struct eddy_arena *a) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        unsigned kind = EDDY_INFO_KIND(eddy_ld_acq(&a->extents[i].info));
        n += EDDY_STATE_OF(eddy_ld_acq(&a->extents[i].state)) != EDDY_FREE &&
             (kind == EDDY_KIND_EVENTS || kind == EDDY_KIND_LARGE || kind == EDDY_KIND_REST);
    }
    return n;
}

static void maintain(struct eddy_arena *a) {
    eddy_store *s = unit_handle(a, 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(eddy_maintain(s, 0, NULL), 0, "%s", eddy_errmsg());
    }
    eddy_close(s);
}

/* ---- all of it comes back ---- */

static void remove_all(struct unit_member *m, int how) {
    if (how == 3) {
        raise_floor(m, 1); /* one stays, which is none of "s" */
        return;
    }
    add_cut(m, "s",
            how == 0   ? EDDY_CUT_TRUNCATE
            : how == 1 ? EDDY_CUT_DELETE
                       : EDDY_CUT_FORGET,
            UINT64_MAX);
    cr_assert_eq(unit_commit(m), 0);
}

Test(reclaim, of_many_events_nothing_remains, .timeout = 60) {
    static const unsigned sizes[] = {5, 900, 100000};
    for (int how = 0; how < 4; how++) {
        for (size_t k = 0; k < 3; k++) {
            struct eddy_arena *a = unit_store_of(16 << 20, 0);
            struct unit_member m;
            unit_join(&m, a);
            cr_assert_eq(unit_append(&m, "before", 0, 1, 5), 0);
            cr_assert_eq(unit_append(&m, "s", 0, 1, 5), 0);
            uint64_t linked = blocks_in(a, EDDY_LINKED, EDDY_LINKED);
            unsigned count = k == 0 ? 5000 : k == 1 ? 4000 : 60;
            for (unsigned n = 0; n < count; n += 20) {
                cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 20, sizes[k]), 0);
            }
            cr_assert_eq(unit_append(&m, "before", 1, 1, 5), 0);
            cr_assert_gt(event_extents(a), 3);
            remove_all(&m, how);
            unit_leave(&m); /* so that its extents are nobody's */
            maintain(a);
            cr_assert_leq(event_extents(a), 2, "%d, %zu: %llu", how, k,
                          (unsigned long long)event_extents(a));
            cr_assert_eq(blocks_in(a, EDDY_CONDEMNED, EDDY_RETIRED), 0);
            /* Roots, the ways to the last offset, the leaves at its ends. */
            cr_assert_leq(blocks_in(a, EDDY_LINKED, EDDY_LINKED), linked + 10,
                          "%d, %zu: %llu, before %llu", how, k,
                          (unsigned long long)blocks_in(a, EDDY_LINKED, EDDY_LINKED),
                          (unsigned long long)linked);
            unit_assert_sound(a);
            unit_store_free(a);
        }
    }
}

Test(reclaim, what_is_in_the_way_of_nothing_stays, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct eddy_reclaim r;
    unit_join(&m, a);
    eddy_reclaim_init(&r, &m.thread);
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 10, 50), 0);
        cr_assert_eq(unit_append(&m, "t", EDDY_ANY, 10, 50), 0);
    }
    cr_assert_eq(eddy_reclaim_backlog(a), 0);
    raise_floor(&m, 500);
    cr_assert_eq(eddy_reclaim_backlog(a), 100);
    cr_assert_eq(eddy_reclaim_floor(&r, 30), 0);
    cr_assert_eq(eddy_reclaim_backlog(a), 70);
    cr_assert_eq(r.events, 30);
    unit_assert_sound(a);
    cr_assert_eq(eddy_reclaim_floor(&r, UINT64_MAX), 0);
    cr_assert_eq(eddy_reclaim_backlog(a), 0);
    cr_assert_eq(r.events, 100);
    struct eddy_view v = unit_view(&m);
    struct eddy_gone_look look;
    eddy_rcu_enter(&m.thread.span);
    for (uint64_t o = 1; o <= 600; o++) {
        cr_assert_eq(eddy_gone_look(&v, o, NULL, &look), o > 100);
        cr_assert(o > 100 || look.slot == NULL || look.bytes == 32 + 56);
    }
    eddy_rcu_leave(&m.thread.span);
    /* While somebody is at it the others go on with what they do. */
    raise_floor(&m, 400);
    eddy_st_rel(&a->super->maintainer, EDDY_SLOT(3, 3));
    cr_assert_eq(eddy_reclaim_floor(&r, 30), 0);
    cr_assert_eq(eddy_reclaim_backlog(a), 100);
    cr_assert_eq(eddy_reclaim_floor(&r, UINT64_MAX), 0);
    cr_assert_eq(eddy_reclaim_backlog(a), 0, "who wants all of it goes past who is stopped");
    eddy_st_rel(&a->super->maintainer, 0);
    eddy_reclaim_fini(&r);
    unit_leave(&m);
    unit_store_free(a);
}

Test(reclaim, a_scan_finds_what_was_left_and_says_so, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct eddy_reclaim r;
    unit_join(&m, a);
    eddy_reclaim_init(&r, &m.thread);
    for (int i = 0; i < 30; i++) {
        cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 10, 50), 0);
    }
    add_cut(&m, "s", EDDY_CUT_FORGET, 0);
    cr_assert_eq(unit_commit(&m), 0);
    cr_assert_not(eddy_reclaim_is_due(a));
    eddy_grace_due(a);
    cr_assert(eddy_reclaim_is_due(a));
    int got = 0;
    for (int i = 0; got == 0 && i < 1000; i++) {
        cr_assert(eddy_reclaim_is_due(a));
        got = eddy_scan_slice(&r, 1);
    }
    cr_assert_eq(got, 1);
    cr_assert_not(eddy_reclaim_is_due(a));
    cr_assert_eq(r.events, 300);
    eddy_grace_free(&r.grace, true);
    cr_assert_eq(blocks_in(a, EDDY_CONDEMNED, EDDY_RETIRED), 0);
    eddy_reclaim_fini(&r);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

static void count_free(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    unsigned *n = arg;
    (void)off;
    (void)class_;
    *n += EDDY_STATE_OF(state) == EDDY_FREE;
}

/* Extents of nodes in a state that have blocks that were freed; they come into another. */
static unsigned with_free_blocks(struct eddy_arena *a, unsigned in, unsigned become) {
    unsigned n = 0;
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        uint64_t state = eddy_ld_acq(&a->extents[i].state);
        unsigned free = 0;
        if (EDDY_STATE_OF(state) == in &&
            EDDY_INFO_KIND(eddy_ld_acq(&a->extents[i].info)) == EDDY_KIND_NODES) {
            eddy_block_each(a, i, count_free, &free);
        }
        if (free > 0) {
            n++;
            eddy_st_rel(&a->extents[i].state, EDDY_STATE(EDDY_STATE_GEN(state), become, 0));
        }
    }
    return n;
}

/* Somebody freed blocks, and died before he offered their extents. */
Test(reclaim, free_blocks_that_nobody_offers_are_offered_by_a_scan, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 10, 50), 0);
    cr_assert_eq(unit_append(&m, "t", EDDY_ANY, 10, 50), 0);
    add_cut(&m, "s", EDDY_CUT_FORGET, 0);
    cr_assert_eq(unit_commit(&m), 0);
    unit_leave(&m);
    maintain(a);
    unsigned sealed = with_free_blocks(a, EDDY_PARTIAL, EDDY_SEALED);
    cr_assert_gt(sealed, 0);
    maintain(a);
    cr_assert_eq(with_free_blocks(a, EDDY_SEALED, EDDY_SEALED), 0);
    cr_assert_geq(with_free_blocks(a, EDDY_PARTIAL, EDDY_PARTIAL), sealed);
    unit_assert_sound(a);
    unit_store_free(a);
}

/* ---- deaths, and others at any access ---- */

struct scene {
    struct eddy_arena *arena;
    struct unit_member live;
    struct unit_member second;
    struct eddy_reclaim r;       /* of the second */
    struct eddy_reclaim of_live; /* and of who lives */
    uint64_t condemned[32];      /* pairs: a block and its tag */
    size_t count;
    struct eddy_reclaim_stream streams[3];
};

enum { SCENE_REMOVED = 40 + 100 + 12 };

static void scene_open(struct scene *s) {
    memset(s, 0, sizeof *s);
    s->arena = unit_store(0);
    unit_join(&s->live, s->arena);
    unit_join(&s->second, s->arena);
    struct unit_member *m = &s->live;
    cr_assert_eq(unit_append(m, "old", 0, 40, 700), 0);
    cr_assert_eq(unit_append(m, "s", 0, 150, 700), 0);
    cr_assert_eq(unit_append(m, "forgotten", 0, 12, 700), 0);
    cr_assert_eq(unit_append(m, "stays", 0, 30, 700), 0);
    const char *names[] = {"old", "s", "forgotten"};
    for (int i = 0; i < 3; i++) {
        s->streams[i].desc = eddy_arena_off(s->arena, unit_stream(s->arena, names[i]));
        s->streams[i].tag = eddy_block_tag(s->arena, s->streams[i].desc);
    }
    unit_leave(m); /* its extents are nobody's */
    unit_join(m, s->arena);
    raise_floor(m, 192);
    add_cut(m, "s", EDDY_CUT_TRUNCATE, 100);
    add_cut(m, "forgotten", EDDY_CUT_FORGET, 0);
    cr_assert_eq(unit_commit(m), 0);
    s->count = m->plan.condemned.count;
    cr_assert_leq(s->count, sizeof s->condemned / sizeof s->condemned[0]);
    memcpy(s->condemned, m->plan.condemned.at, s->count * 8);
    eddy_reclaim_init(&s->r, &s->second.thread);
    eddy_reclaim_init(&s->of_live, &s->live.thread);
}

static void reclaim_all(struct scene *s, struct eddy_reclaim *r) {
    CHECK_EQ(eddy_reclaim_floor(r, UINT64_MAX), 0);
    for (size_t i = 0; i + 1 < s->count; i += 2) {
        CHECK_EQ(eddy_reclaim_block(r, s->condemned[i], s->condemned[i + 1]), 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(eddy_reclaim_stream(r, s->streams[i].desc, s->streams[i].tag), 0);
    }
    eddy_grace_free(&r->grace, true);
}

static void by_second(void *arg) {
    struct scene *s = arg;
    reclaim_all(s, &s->r);
}

static bool by_live(void *arg) {
    struct scene *s = arg;
    reclaim_all(s, &s->of_live);
    return false;
}

/* Everything came back, and all that is there is whole. */
static void assert_done(struct scene *s, uint64_t at) {
    eddy_grace_free(&s->of_live.grace, true); /* what could not go while the other was inside */
    eddy_store *h = unit_handle(s->arena, 0);
    eddy_facts facts = {.size = sizeof facts};
    eddy_event e;
    eddy_reader *reader;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(eddy_maintain(h, 0, NULL), 0, "at %llu: %s", (unsigned long long)at,
                     eddy_errmsg());
    }
    cr_assert_eq(blocks_in(s->arena, EDDY_CONDEMNED, EDDY_RETIRED), 0, "at %llu",
                 (unsigned long long)at);
    cr_assert_eq(eddy_info(h, &facts), 0);
    cr_assert_eq(facts.events, 80);
    cr_assert_eq(eddy_reader_open(h, NULL, &reader), 0);
    for (uint64_t o = 141; o <= 232; o++) {
        if (o == 191) {
            o = 203; /* "forgotten" lay here */
        }
        cr_assert_eq(eddy_reader_next(reader, &e), EDDY_EVENT, "%s", eddy_errmsg());
        cr_assert_eq(e.offset, o);
        cr_assert_eq(e.data.len, 700);
    }
    cr_assert_eq(eddy_reader_next(reader, &e), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(h);
    unit_assert_sound(s->arena);
    cr_assert_leq(event_extents(s->arena), 2, "at %llu", (unsigned long long)at);
}

static void scene_close(struct scene *s) {
    eddy_reclaim_fini(&s->of_live);
    unit_leave(&s->live);
    unit_store_free(s->arena);
}

/* From access `first` on each `step`-th. */
static void die_at(uint64_t first, uint64_t step_by) {
    for (uint64_t at = first;; at += step_by) {
        struct scene s;
        scene_open(&s);
        struct unit_step step = {.arena = s.arena, .at = at, .act = unit_act_death};
        fd_set open;
        unit_note_open(&open);
        bool died = unit_step(&step, by_second, &s) != 0;
        unit_close_others(&open);
        unit_die(&s.second);
        free(s.r.empty); /* the memory of a process that died */
        assert_done(&s, at);
        scene_close(&s);
        if (!died) {
            cr_assert_gt(at, 1000);
            break;
        }
    }
}

Test(reclaim, who_dies_at_any_access_is_followed_by_another, .timeout = 200) {
    unit_needs_steps();
    die_at(0, 389);
}

Test(reclaim, two_at_once_do_it_once, .timeout = 200) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 397) {
        struct scene s;
        scene_open(&s);
        struct unit_step step = {.arena = s.arena, .at = at, .act = by_live, .arg = &s};
        bool acted = unit_step(&step, by_second, &s) != 0;
        cr_assert_eq(s.r.events + s.of_live.events, SCENE_REMOVED, "at %llu: %llu and %llu",
                     (unsigned long long)at, (unsigned long long)s.r.events,
                     (unsigned long long)s.of_live.events);
        eddy_reclaim_fini(&s.r);
        unit_leave(&s.second);
        assert_done(&s, at);
        scene_close(&s);
        if (!acted) {
            cr_assert_gt(at, 1000);
            break;
        }
    }
}

/* Others write meanwhile, and use again what has just become free. */
static bool write_on(void *arg) {
    struct scene *s = arg;
    reclaim_all(s, &s->of_live);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(unit_append(&s->live, i ? "new" : "forgotten", EDDY_ANY, 60, 700), 0);
    }
    return false;
}

Test(reclaim, who_comes_late_hurts_nothing_that_is_new, .timeout = 200) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 401) {
        struct scene s;
        scene_open(&s);
        struct unit_step step = {.arena = s.arena, .at = at, .act = write_on, .arg = &s};
        bool acted = unit_step(&step, by_second, &s) != 0;
        eddy_reclaim_fini(&s.r);
        unit_leave(&s.second);
        eddy_grace_free(&s.of_live.grace, true);
        unit_assert_sound(s.arena);
        cr_assert_eq(unit_version(s.arena, "new"), acted ? 120 : 0);
        maintain(s.arena);
        cr_assert_eq(blocks_in(s.arena, EDDY_CONDEMNED, EDDY_RETIRED), 0);
        unit_assert_sound(s.arena);
        scene_close(&s);
        if (!acted) {
            break;
        }
    }
}

/* ---- threads ---- */

struct crew {
    eddy_store *store;
    eddy_word stop;
    uint64_t rounds;
};

static void *write_always(void *arg) {
    struct crew *c = arg;
    static const unsigned char data[900];
    eddy_new_event list[20];
    for (int i = 0; i < 20; i++) {
        list[i] = (eddy_new_event){.data = eddy_mem(data, sizeof data)};
    }
    for (; !eddy_ld_acq(&c->stop); c->rounds++) {
        CHECK_OK(eddy_append(c->store, eddy_str(c->rounds % 3 ? "a" : "b"), EDDY_ANY, list,
                             1 + c->rounds % 20, NULL));
    }
    return NULL;
}

static void *remove_always(void *arg) {
    struct crew *c = arg;
    for (; !eddy_ld_acq(&c->stop); c->rounds++) {
        int r = c->rounds % 5 == 4 ? eddy_forget(c->store, eddy_str("b"), NULL)
                : c->rounds % 5 == 2
                    ? eddy_delete(c->store, eddy_str("a"), EDDY_ANY, NULL)
                    : eddy_truncate(c->store, eddy_str("a"), EDDY_ANY, c->rounds * 20, NULL);
        CHECK(r == 0 || r == EDDY_ENOENT);
    }
    return NULL;
}

static void *maintain_always(void *arg) {
    struct crew *c = arg;
    for (; !eddy_ld_acq(&c->stop); c->rounds++) {
        CHECK_OK(eddy_maintain(c->store, 0, NULL));
    }
    return NULL;
}

static void *read_always(void *arg) {
    struct crew *c = arg;
    eddy_event e;
    for (; !eddy_ld_acq(&c->stop); c->rounds++) {
        eddy_reader *reader;
        uint64_t last = 0;
        int got;
        CHECK_OK(eddy_reader_open(c->store, NULL, &reader));
        while ((got = eddy_reader_next(reader, &e)) == EDDY_EVENT || got == EDDY_ELAPPED) {
            CHECK(got == EDDY_ELAPPED || e.offset > last);
            CHECK(got == EDDY_ELAPPED || e.data.len == 900);
            last = got == EDDY_ELAPPED ? last : e.offset;
        }
        CHECK_EQ(got, EDDY_END);
        eddy_reader_close(reader);
    }
    return NULL;
}

Test(reclaim, threads_write_remove_read_and_take_back_at_once, .timeout = 60) {
    void *(*const fn[])(void *) = {write_always,    write_always,    remove_always,
                                   maintain_always, maintain_always, read_always};
    enum { N = sizeof fn / sizeof fn[0] };
    struct crew crew[N];
    pthread_t thread[N];
    eddy_store *store = sandbox_anonymous_of(16 << 20);
    eddy_store *second = sandbox_again(store, 0);
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = EDDY_DROP_BYTES;
    limits.bytes = 2 << 20;
    cr_assert_eq(eddy_limits_set(store, &limits, NULL), 0);
    memset(crew, 0, sizeof crew);
    for (int i = 0; i < N; i++) {
        crew[i].store = i % 2 ? second : store;
        cr_assert_eq(pthread_create(&thread[i], NULL, fn[i], &crew[i]), 0);
    }
    usleep(3000000);
    for (int i = 0; i < N; i++) {
        eddy_st_rel(&crew[i].stop, 1);
    }
    for (int i = 0; i < N; i++) {
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
        cr_assert_gt(crew[i].rounds, 0);
    }
    sandbox_check(store);
    cr_assert_eq(eddy_maintain(store, 0, NULL), 0);
    sandbox_check(store);
    eddy_close(second);
    eddy_close(store);
}
