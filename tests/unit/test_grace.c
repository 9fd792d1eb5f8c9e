/* grace: memory that nothing leads to is free when nobody can still see it, and not before. */
#include "grace.h"

#include "reclaim.h"
#include "scan.h"
#include "unit_support.h"

#include <string.h>

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    struct unit_member other;
    struct eddy_reclaim r;
    uint64_t block; /* condemned: limits that were replaced */
};

static void set_limits(struct unit_member *m, uint64_t events) {
    eddy_limits limits = {.size = sizeof limits, .events = events};
    m->batch.limits = &limits;
    cr_assert_eq(unit_commit(m), 0);
    m->batch.limits = NULL;
}

static uint64_t limits_block(struct eddy_arena *a) {
    return eddy_ld_acq(&a->super->limits_root);
}

static void scene_open(struct scene *s) {
    memset(s, 0, sizeof *s);
    s->arena = unit_store(0);
    unit_join(&s->m, s->arena);
    unit_join(&s->other, s->arena);
    eddy_reclaim_init(&s->r, &s->m.thread);
    set_limits(&s->m, 1000);
    s->block = limits_block(s->arena);
    cr_assert_eq(eddy_block_state(s->arena, s->block), EDDY_LINKED);
}

static void scene_close(struct scene *s) {
    eddy_reclaim_fini(&s->r);
    unit_leave(&s->m);
    unit_leave(&s->other);
    unit_assert_sound(s->arena);
    unit_store_free(s->arena);
}

static unsigned state_of(struct scene *s) {
    return eddy_block_state(s->arena, s->block);
}

static void advance(struct scene *s, int n) {
    while (n-- > 0) {
        eddy_rcu_advance(&s->arena->super->era);
    }
}

Test(grace, a_block_is_not_free_while_a_span_touches_its_life, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    eddy_rcu_enter(&s.other.thread.span);
    set_limits(&s.m, 2000);
    cr_assert_eq(state_of(&s), EDDY_CONDEMNED);
    cr_assert_eq(unit_reclaim_block(&s.r, s.block), 0);
    cr_assert_eq(state_of(&s), EDDY_RETIRED);
    for (int i = 0; i < 10; i++) {
        eddy_grace_free(&s.r.grace, true);
        cr_assert_eq(state_of(&s), EDDY_RETIRED, "the other may still see it");
    }
    cr_assert_eq(s.r.grace.freed_blocks, 0);
    eddy_rcu_leave(&s.other.thread.span);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(state_of(&s), EDDY_FREE);
    cr_assert_eq(s.r.grace.freed_blocks, 1);
    cr_assert_eq(s.r.grace.blocks, 0);
    scene_close(&s);
}

Test(grace, who_came_after_it_was_taken_out_is_not_waited_for, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    set_limits(&s.m, 2000);
    cr_assert_eq(unit_reclaim_block(&s.r, s.block), 0);
    advance(&s, 1);
    eddy_rcu_enter(&s.other.thread.span);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(state_of(&s), EDDY_FREE);
    eddy_rcu_leave(&s.other.thread.span);
    scene_close(&s);
}

Test(grace, who_has_stopped_inside_hinders_no_block_that_was_born_later, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    eddy_rcu_enter(&s.other.thread.span); /* and is never heard of again */
    for (uint64_t i = 0; i < 50; i++) {
        advance(&s, 1);
        set_limits(&s.m, 2000 + i);
        uint64_t old = s.block;
        s.block = limits_block(s.arena);
        cr_assert_eq(unit_reclaim_block(&s.r, old), 0);
        eddy_grace_free(&s.r.grace, true);
        cr_assert_eq(eddy_block_state(s.arena, old), i == 0 ? EDDY_RETIRED : EDDY_FREE, "%llu",
                     (unsigned long long)i);
        cr_assert_eq(s.r.grace.blocks, 1, "the one that it may see");
    }
    eddy_rcu_leave(&s.other.thread.span);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(s.r.grace.blocks, 0);
    scene_close(&s);
}

Test(grace, two_eras_pass_in_any_case, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    set_limits(&s.m, 2000);
    uint64_t era = eddy_ld_acq(&s.arena->super->era);
    cr_assert_eq(unit_reclaim_block(&s.r, s.block), 0);
    cr_assert_eq(state_of(&s), EDDY_RETIRED, "one that is little waits for more");
    cr_assert_eq(eddy_ld_acq(&s.arena->super->era), era);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(eddy_ld_acq(&s.arena->super->era), era + 2);
    cr_assert_eq(state_of(&s), EDDY_FREE);
    scene_close(&s);
}

Test(grace, spans_of_many_are_taken_as_one_and_never_forgotten, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    struct eddy_shm_thread *t = &s.arena->threads[UNIT_THREADS - 1];
    eddy_st_rel(&t->hi, eddy_ld_acq(&s.arena->super->era));
    eddy_st_rel(&t->lo, eddy_ld_acq(&s.arena->super->era));
    set_limits(&s.m, 2000);
    cr_assert_eq(unit_reclaim_block(&s.r, s.block), 0);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(state_of(&s), EDDY_RETIRED);
    eddy_st_rel(&t->lo, 0);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(state_of(&s), EDDY_FREE);
    scene_close(&s);
}

Test(grace, who_gives_up_leaves_what_waits_to_others, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    eddy_rcu_enter(&s.other.thread.span);
    set_limits(&s.m, 2000);
    cr_assert_eq(unit_reclaim_block(&s.r, s.block), 0);
    cr_assert_eq(eddy_ld_acq(&s.m.thread.slot->retiring), 1);
    uint64_t dues = eddy_ld_acq(&s.arena->super->dues);
    eddy_reclaim_fini(&s.r);
    cr_assert_eq(eddy_ld_acq(&s.m.thread.slot->retiring), 0);
    cr_assert_eq(state_of(&s), EDDY_CONDEMNED);
    cr_assert_gt(eddy_ld_acq(&s.arena->super->dues), dues);
    eddy_rcu_leave(&s.other.thread.span);
    struct eddy_reclaim heir;
    eddy_reclaim_init(&heir, &s.other.thread);
    while (eddy_scan_slice(&heir, 10) == 0) {
    }
    eddy_grace_free(&heir.grace, true);
    cr_assert_eq(state_of(&s), EDDY_FREE);
    eddy_reclaim_fini(&heir);
    eddy_reclaim_init(&s.r, &s.m.thread);
    scene_close(&s);
}

Test(grace, what_the_dead_had_retired_is_taken_over, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    struct eddy_reclaim dead;
    eddy_reclaim_init(&dead, &s.other.thread);
    eddy_rcu_enter(&s.m.thread.span);
    eddy_rcu_leave(&s.m.thread.span);
    set_limits(&s.m, 2000);
    cr_assert_eq(unit_reclaim_block(&dead, s.block), 0);
    cr_assert_eq(state_of(&s), EDDY_RETIRED);
    cr_assert_eq(EDDY_STATE_MEMBER(eddy_ld_acq(unit_word(s.arena, s.block))),
                 s.other.thread.member);
    unit_die(&s.other);
    cr_assert_eq(eddy_maintain_sweep_dead(&s.m.thread), 1);
    cr_assert_eq(state_of(&s), EDDY_CONDEMNED);
    cr_assert(eddy_reclaim_is_due(s.arena));
    while (eddy_scan_slice(&s.r, 10) == 0) {
    }
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(state_of(&s), EDDY_FREE);
    unit_join(&s.other, s.arena);
    scene_close(&s);
}

Test(grace, a_full_list_leaves_its_oldest_to_others, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    uint32_t was = s.r.grace.blocks;
    set_limits(&s.m, 2000);
    for (uint32_t i = 0; i < EDDY_GRACE_BLOCKS; i++) {
        s.r.grace.block[i] = limits_block(s.arena); /* not to be freed: its life goes on */
    }
    s.r.grace.blocks = EDDY_GRACE_BLOCKS;
    s.r.grace.kept = EDDY_GRACE_BLOCKS;
    s.r.grace.lines = UINT64_C(1) * EDDY_GRACE_BLOCKS * EDDY_LIMITS_CLASS;
    s.r.grace.kept_lines = s.r.grace.lines;
    uint64_t dues = eddy_ld_acq(&s.arena->super->dues);
    eddy_rcu_enter(&s.other.thread.span);
    cr_assert_eq(unit_reclaim_block(&s.r, s.block), 0);
    eddy_rcu_leave(&s.other.thread.span);
    cr_assert_eq(state_of(&s), EDDY_RETIRED);
    cr_assert_eq(s.r.grace.blocks, EDDY_GRACE_BLOCKS / 2 + 1);
    cr_assert_eq(s.r.grace.block[EDDY_GRACE_BLOCKS / 2], s.block);
    cr_assert_gt(eddy_ld_acq(&s.arena->super->dues), dues);
    s.r.grace.blocks = was;
    s.r.grace.lines = 0;
    scene_close(&s);
}

Test(grace, extents_that_are_too_many_to_note_are_looked_at_at_once, .timeout = 10) {
    struct eddy_arena *a = unit_store_of(4 * UNIT_CAP, 0);
    struct unit_member m;
    struct eddy_reclaim r;
    uint32_t idx[EDDY_GRACE_EXTENTS + 5];
    unit_join(&m, a);
    eddy_reclaim_init(&r, &m.thread);
    for (uint32_t i = 0; i < EDDY_GRACE_EXTENTS + 5; i++) { /* of which none has an event */
        cr_assert_eq(eddy_extent_take(a, m.thread.member, EDDY_KIND_EVENTS, 0, 1, &idx[i]), 0);
        eddy_extent_seal(a, idx[i]);
    }
    for (uint32_t i = 0; i < EDDY_GRACE_EXTENTS; i++) {
        eddy_grace_extent(&r.grace, idx[i]);
        eddy_grace_extent(&r.grace, idx[i]);
    }
    cr_assert_eq(r.grace.extents, EDDY_GRACE_EXTENTS);
    for (uint32_t i = EDDY_GRACE_EXTENTS; i < EDDY_GRACE_EXTENTS + 5; i++) {
        eddy_grace_extent(&r.grace, idx[i]);
    }
    cr_assert_eq(r.grace.freed_extents, EDDY_GRACE_EXTENTS);
    cr_assert_eq(r.grace.extents, 5);
    eddy_grace_free(&r.grace, true);
    cr_assert_eq(r.grace.extents, 0);
    eddy_reclaim_fini(&r);
    unit_leave(&m);
    unit_store_free(a);
}

/* Who retires a block loads the era first, and is stopped before its swap; eras pass; another comes
 * in, and finds the block condemned. Its span lies behind the era that was noted first: it is noted
 * once more behind the swap. */
struct late {
    struct eddy_arena *arena;
    struct unit_member m;
    struct unit_member other;
    struct eddy_reclaim r;
    uint64_t block;
    bool saw;
};

static bool other_comes_in(void *arg) {
    struct late *l = arg;
    for (int i = 0; i < 4; i++) {
        eddy_rcu_advance(&l->arena->super->era);
    }
    eddy_rcu_enter(&l->other.thread.span);
    l->saw = eddy_block_state(l->arena, l->block) == EDDY_CONDEMNED;
    return false;
}

static void retire_it(void *arg) {
    struct late *l = arg;
    (void)unit_reclaim_block(&l->r, l->block);
    eddy_grace_free(&l->r.grace, true);
}

Test(grace, a_block_that_somebody_inside_has_seen_condemned_is_not_freed, .timeout = 60) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        static struct late l;
        memset(&l, 0, sizeof l);
        l.arena = unit_store(0);
        unit_join(&l.m, l.arena);
        unit_join(&l.other, l.arena);
        eddy_reclaim_init(&l.r, &l.m.thread);
        eddy_limits limits[2] = {{.size = sizeof limits[0], .events = 1000},
                                 {.size = sizeof limits[0], .events = 2000}};
        for (int i = 0; i < 2; i++) {
            l.block = eddy_ld_acq(&l.arena->super->limits_root);
            l.m.batch.limits = &limits[i];
            cr_assert_eq(unit_commit(&l.m), 0);
        }
        struct unit_step step = {.arena = l.arena, .at = at, .act = other_comes_in, .arg = &l};
        bool acted = unit_step(&step, retire_it, &l) != 0;
        cr_assert(!l.saw || eddy_block_state(l.arena, l.block) != EDDY_FREE, "at access %llu",
                  (unsigned long long)at);
        eddy_rcu_leave(&l.other.thread.span);
        eddy_reclaim_fini(&l.r);
        unit_leave(&l.m);
        unit_leave(&l.other);
        unit_store_free(l.arena);
        if (!acted) {
            break;
        }
    }
}

/* ---- extents of events ---- */

static void remove_events(struct scene *s) {
    int64_t i = eddy_batch_stream(&s->m.batch, s->arena, eddy_str("s"));
    cr_assert_eq(eddy_batch_cut(&s->m.batch, (uint32_t)i, EDDY_CUT_TRUNCATE, UINT64_MAX), 0);
    cr_assert_eq(unit_commit(&s->m), 0);
}

Test(grace, an_extent_is_not_free_while_it_is_pinned_or_filled, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    cr_assert_eq(unit_append(&s.other, "s", 0, 1, 100000), 0); /* a run of its own */
    uint64_t stream = eddy_arena_off(s.arena, unit_stream(s.arena, "s"));
    uint32_t idx = UINT32_MAX;
    for (uint32_t i = 0; i < eddy_arena_reserved(s.arena); i++) {
        idx = EDDY_INFO_KIND(eddy_ld_acq(&s.arena->extents[i].info)) == EDDY_KIND_LARGE ? i : idx;
    }
    cr_assert_neq(idx, UINT32_MAX);
    uint64_t free_before = eddy_extent_count_free(s.arena);
    struct eddy_shm_reader *reader = &s.arena->readers[2];
    eddy_st_rel(&reader->borrows, 1);
    eddy_st_rel(&reader->pin, idx + UINT64_C(1));
    cr_assert(eddy_grace_is_pinned(s.arena, idx));
    cr_assert_not(eddy_grace_is_pinned(s.arena, idx + 1));
    remove_events(&s);
    cr_assert_eq(unit_reclaim_stream(&s.r, stream), 0);
    for (int i = 0; i < 3; i++) {
        eddy_grace_free(&s.r.grace, true);
        cr_assert_eq(EDDY_STATE_OF(eddy_ld_acq(&s.arena->extents[idx].state)), EDDY_SEALED);
        cr_assert_eq(s.r.grace.extents, 1, "it is not forgotten");
    }
    eddy_st_rel(&reader->pin, 0);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(EDDY_STATE_OF(eddy_ld_acq(&s.arena->extents[idx].state)), EDDY_FREE);
    cr_assert_eq(eddy_extent_count_free(s.arena), free_before + 2);
    eddy_st_rel(&reader->borrows, 0);
    scene_close(&s);
}

Test(grace, an_extent_in_which_one_event_lives_is_not_dead, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(unit_append(&s.other, "s", EDDY_ANY, 5, 100), 0);
        cr_assert_eq(unit_append(&s.other, "t", EDDY_ANY, i == 1, 100), 0);
    }
    uint64_t stream = eddy_arena_off(s.arena, unit_stream(s.arena, "s"));
    uint32_t idx = eddy_arena_extent_of(s.arena, s.other.thread.cursor.base);
    struct eddy_view v = unit_view(&s.m);
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_not(eddy_grace_is_dead(&v, idx));
    eddy_rcu_leave(&s.m.thread.span);
    remove_events(&s);
    cr_assert_eq(unit_reclaim_stream(&s.r, stream), 0);
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_not(eddy_grace_is_dead(&v, idx));
    eddy_rcu_leave(&s.m.thread.span);
    int64_t t = eddy_batch_stream(&s.m.batch, s.arena, eddy_str("t"));
    cr_assert_eq(eddy_batch_cut(&s.m.batch, (uint32_t)t, EDDY_CUT_DELETE, 0), 0);
    cr_assert_eq(unit_commit(&s.m), 0);
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_not(eddy_grace_is_dead(&v, idx), "the way to it is still there");
    eddy_rcu_leave(&s.m.thread.span);
    stream = eddy_arena_off(s.arena, unit_stream(s.arena, "t"));
    cr_assert_eq(unit_reclaim_stream(&s.r, stream), 0);
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert(eddy_grace_is_dead(&v, idx));
    eddy_rcu_leave(&s.m.thread.span);
    eddy_grace_extent(&s.r.grace, idx);
    eddy_grace_free(&s.r.grace, true);
    cr_assert_eq(EDDY_STATE_OF(eddy_ld_acq(&s.arena->extents[idx].state)), EDDY_OWNED,
                 "it is being filled");
    scene_close(&s);
}
