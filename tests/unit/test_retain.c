/* retain: limits are a block that is replaced whole; the floor rises over what is there and over
 * holes, and its totals stay true. */
#include "retain.h"

#include "gone.h"
#include "reclaim.h"
#include "unit_support.h"

#include <string.h>
#include <unistd.h>

enum { EVENTS = 600 };

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    struct eddy_reclaim r;
};

static void scene_open(struct scene *s) {
    memset(s, 0, sizeof *s);
    s->arena = unit_store(0);
    unit_join(&s->m, s->arena);
    eddy_reclaim_init(&s->r, &s->m.thread);
}

static void scene_close(struct scene *s) {
    eddy_reclaim_fini(&s->r);
    unit_leave(&s->m);
    unit_store_free(s->arena);
}

static int set_limits(struct scene *s, const eddy_limits *limits, bool enforce) {
    s->m.batch.limits = limits;
    s->m.batch.enforce = enforce;
    int r = unit_commit(&s->m);
    s->m.batch.limits = NULL;
    s->m.batch.enforce = false;
    return r;
}

static struct eddy_ring_copy totals(struct scene *s) {
    struct eddy_ring_copy now;
    uint32_t buffer;
    cr_assert_eq(eddy_ring_before(s->arena, unit_help(&s->m), &now, &buffer), 1);
    return now;
}

static void truncate_to(struct scene *s, const char *stream, uint64_t version) {
    int64_t i = eddy_batch_stream(&s->m.batch, s->arena, eddy_str(stream));
    cr_assert_eq(eddy_batch_cut(&s->m.batch, (uint32_t)i, EDDY_CUT_TRUNCATE, version), 0);
    cr_assert_eq(unit_commit(&s->m), 0);
}

Test(retain, limits_are_loaded_as_they_were_set, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    struct eddy_view v = unit_view(&s.m);
    eddy_limits got;
    eddy_limits limits = {.size = sizeof limits, .flags = EDDY_DROP_ALL, .age_ns = 77};
    limits.events = UINT64_MAX;
    limits.bytes = 2;
    limits.streams = 3;
    limits.stream_events = 4;
    limits.names = 5;
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_eq(eddy_retain_load(&v, &got), 0);
    cr_assert_eq(got.size, sizeof got);
    cr_assert_eq(got.events | got.flags, 0);
    eddy_rcu_leave(&s.m.thread.span);
    cr_assert_eq(set_limits(&s, &limits, false), 0);
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_eq(eddy_retain_load(&v, &got), 0);
    cr_assert_eq(memcmp(&got, &limits, sizeof got), 0);
    eddy_rcu_leave(&s.m.thread.span);
    uint64_t block = eddy_ld_acq(&s.arena->super->limits_root);
    eddy_limits none = {.size = sizeof none};
    cr_assert_eq(set_limits(&s, &none, false), 0);
    cr_assert(EDDY_IS_TOMB(eddy_ld_acq(&s.arena->super->limits_root)));
    cr_assert_eq(eddy_block_state(s.arena, block), EDDY_CONDEMNED);
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_eq(eddy_retain_load(&v, &got), 0);
    cr_assert_eq(memcmp(&got, &none, sizeof got), 0);
    eddy_rcu_leave(&s.m.thread.span);
    cr_assert_eq(set_limits(&s, &none, false), 0, "none again, and nothing to replace");
    cr_assert_eq(set_limits(&s, &limits, false), 0);
    cr_assert_neq(eddy_ld_acq(&s.arena->super->limits_root), block, "it is not free yet");
    unit_assert_sound(s.arena);
    scene_close(&s);
}

Test(retain, damaged_limits_are_damage, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    eddy_limits limits = {.size = sizeof limits, .events = 7};
    cr_assert_eq(set_limits(&s, &limits, false), 0);
    uint64_t block = eddy_ld_acq(&s.arena->super->limits_root);
    struct eddy_shm_block *b = eddy_arena_raw(s.arena, block);
    eddy_st_rel(&b->shape, EDDY_SHAPE(EDDY_BLOCK_STREAM, 0, 0));
    cr_assert_eq(unit_append(&s.m, "s", 0, 1, 0), EDDY_ECORRUPT);
    eddy_st_rel(&b->shape, EDDY_SHAPE(EDDY_BLOCK_LIMITS, 0, 0));
    cr_assert_eq(unit_append(&s.m, "s", 0, 1, 0), 0);
    scene_close(&s);
}

/* The floor rises step by step, over holes that were taken back and over holes that were not. */
Test(retain, the_totals_are_true_at_each_step_of_the_floor, .timeout = 30) {
    for (int taken_back = 0; taken_back < 2; taken_back++) {
        struct scene s;
        uint64_t sum[EVENTS + 1] = {0};
        bool hole[EVENTS + 1] = {false};
        scene_open(&s);
        for (unsigned o = 1; o <= EVENTS; o++) {
            /* "s" has 1 to 300, "t" has 301 to 500, and "s" the others. */
            bool t = o > 300 && o <= 500;
            cr_assert_eq(unit_append(&s.m, t ? "t" : "s", EDDY_ANY, 1, o % 50), 0);
            sum[o] = sum[o - 1] + 32 + (o % 50 + 1 + 7) / 8 * 8;
            hole[o] = (t && o <= 450) || o == 20;
        }
        truncate_to(&s, "t", 150);
        hole[20] = false;
        if (taken_back) {
            uint64_t t = eddy_arena_off(s.arena, unit_stream(s.arena, "t"));
            cr_assert_eq(unit_reclaim_stream(&s.r, t), 0);
        }
        struct eddy_view v = unit_view(&s.m);
        struct eddy_ring_copy now = totals(&s);
        struct eddy_gone_rise rise;
        memset(&rise, 0, sizeof rise);
        cr_assert_eq(now.holes, 150);
        eddy_retain_start(&rise, &now);
        eddy_rcu_enter(&s.m.thread.span);
        while (rise.floor < EVENTS) {
            uint64_t was = rise.floor;
            cr_assert_eq(eddy_retain_step(&v, &rise, &now), 0, "%s", eddy_errmsg());
            cr_assert_gt(rise.floor, was);
            cr_assert_eq(rise.bytes, sum[rise.floor], "floor %llu", (unsigned long long)rise.floor);
            uint64_t holes = 0;
            uint64_t bytes = 0;
            for (uint64_t o = rise.floor + 1; o <= EVENTS; o++) {
                holes += hole[o];
                bytes += hole[o] ? sum[o] - sum[o - 1] : 0;
            }
            cr_assert_eq(rise.holes, holes);
            cr_assert_eq(rise.holes_bytes, bytes);
        }
        eddy_rcu_leave(&s.m.thread.span);
        scene_close(&s);
    }
}

Test(retain, totals_that_cannot_be_are_damage, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    cr_assert_eq(unit_append(&s.m, "s", 0, 100, 10), 0);
    cr_assert_eq(unit_append(&s.m, "t", 0, 100, 10), 0);
    truncate_to(&s, "s", 50);
    struct eddy_view v = unit_view(&s.m);
    struct eddy_ring_copy now = totals(&s);
    struct eddy_gone_rise rise;
    eddy_rcu_enter(&s.m.thread.span);
    now.holes = 3;
    memset(&rise, 0, sizeof rise);
    eddy_retain_start(&rise, &now);
    int r = 0;
    for (int i = 0; r == 0 && i < 60; i++) {
        r = eddy_retain_step(&v, &rise, &now);
    }
    cr_assert_eq(r, EDDY_ECORRUPT);
    eddy_rcu_leave(&s.m.thread.span);
    scene_close(&s);
}

Test(retain, one_transaction_looks_at_so_many_and_says_that_there_is_more, .timeout = 30) {
    struct scene s;
    scene_open(&s);
    for (int i = 0; i < 60; i++) {
        cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 100, 0), 0);
    }
    eddy_limits limits = {.size = sizeof limits, .flags = EDDY_DROP_EVENTS, .events = 10};
    s.m.batch.limits = &limits;
    s.m.batch.enforce = true;
    struct eddy_committer c = {
        .thread = &s.m.thread, .directory = s.m.directory, .plan = &s.m.plan};
    memset(&s.m.result, 0, sizeof s.m.result);
    cr_assert_eq(eddy_commit(&c, &s.m.batch, 1000, &s.m.result), 0);
    cr_assert(s.m.batch.more);
    cr_assert_eq(s.m.result.removed, 4096);
    s.m.batch.limits = NULL;
    memset(&s.m.result, 0, sizeof s.m.result);
    cr_assert_eq(eddy_commit(&c, &s.m.batch, 1000, &s.m.result), 0);
    cr_assert_not(s.m.batch.more);
    cr_assert_eq(s.m.result.removed, 6000 - 10 - 4096);
    eddy_batch_clear(&s.m.batch);
    struct eddy_ring_copy now = totals(&s);
    cr_assert_eq(eddy_ring_events(&now), 10);
    cr_assert_eq(eddy_ring_bytes(&now), 10 * 40);
    cr_assert_eq(eddy_ld_acq(&s.arena->super->floor), 5990);
    unit_assert_sound(s.arena);
    scene_close(&s);
}

/* What commits beside it makes it look again: nothing goes that need not. */
struct race {
    struct scene s;
    struct unit_member other;
};

static bool other_truncates(void *arg) {
    struct race *r = arg;
    int64_t i = eddy_batch_stream(&r->other.batch, r->s.arena, eddy_str("s"));
    if (eddy_batch_cut(&r->other.batch, (uint32_t)i, EDDY_CUT_TRUNCATE, 30) < 0 ||
        unit_commit(&r->other) < 0) {
        _exit(9);
    }
    return false;
}

static void append_ten(void *arg) {
    struct race *r = arg;
    if (unit_append(&r->s.m, "t", EDDY_ANY, 10, 10) < 0) {
        _exit(9);
    }
}

Test(retain, who_is_overtaken_looks_again, .timeout = 60) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 5) {
        struct race r;
        memset(&r, 0, sizeof r);
        scene_open(&r.s);
        unit_join(&r.other, r.s.arena);
        eddy_limits limits = {.size = sizeof limits, .flags = EDDY_DROP_EVENTS, .events = 100};
        cr_assert_eq(set_limits(&r.s, &limits, false), 0);
        cr_assert_eq(unit_append(&r.s.m, "s", 0, 60, 10), 0);
        cr_assert_eq(unit_append(&r.s.m, "t", 0, 40, 10), 0);
        cr_assert_eq(unit_append(&r.other, "u", 0, 0, 10), 0);
        struct unit_step step = {.arena = r.s.arena, .at = at, .act = other_truncates, .arg = &r};
        bool acted = unit_step(&step, append_ten, &r) != 0;
        struct eddy_ring_copy now = totals(&r.s);
        uint64_t events = eddy_ring_events(&now);
        /* First the cut of 30, and room for 10; or first the ten oldest, then 20 more. */
        cr_assert(acted ? events == 80 : events == 100, "at %llu: %llu", (unsigned long long)at,
                  (unsigned long long)events);
        cr_assert(!acted || now.floor == 0 || now.floor == 10, "at %llu: floor %llu",
                  (unsigned long long)at, (unsigned long long)now.floor);
        unit_assert_sound(r.s.arena);
        unit_leave(&r.other);
        scene_close(&r.s);
        if (!acted) {
            cr_assert_gt(at, 100);
            break;
        }
    }
}
