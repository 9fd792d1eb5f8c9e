/* rcu: what a thread may see is in its slot before it sees it. */
#include "rcu.h"

#include "unit_support.h"

#include <string.h>

struct scene {
    struct eddy_shm_thread slot;
    eddy_word era;
    struct eddy_span span;
};

static void scene_open(struct scene *s, bool fences) {
    memset(s, 0, sizeof *s);
    eddy_st_rel(&s->era, 7);
    s->span = (struct eddy_span){.slot = &s->slot, .era = &s->era, .fences = fences};
}

static void assert_span(struct scene *s, uint64_t lo, uint64_t hi) {
    uint64_t l;
    uint64_t h;
    eddy_rcu_peek(&s->slot, &l, &h);
    cr_assert_eq(l, lo);
    cr_assert(lo == 0 || h == hi);
}

Test(rcu, a_span_is_what_was_entered_and_raised, .timeout = 10) {
    for (int fences = 0; fences < 2; fences++) {
        struct scene s;
        scene_open(&s, fences);
        assert_span(&s, 0, 0);
        eddy_rcu_enter(&s.span);
        assert_span(&s, 7, 7);
        eddy_rcu_advance(&s.era);
        assert_span(&s, 7, 7);
        eddy_rcu_raise(&s.span);
        assert_span(&s, 7, 8);
        eddy_rcu_raise(&s.span);
        assert_span(&s, 7, 8);
        eddy_rcu_leave(&s.span);
        assert_span(&s, 0, 0);
        eddy_rcu_enter(&s.span);
        assert_span(&s, 8, 8);
        eddy_rcu_leave(&s.span);
    }
}

Test(rcu, entering_again_inside_does_not_narrow_it, .timeout = 10) {
    struct scene s;
    scene_open(&s, false);
    eddy_rcu_enter(&s.span);
    eddy_rcu_advance(&s.era);
    eddy_rcu_enter(&s.span);
    assert_span(&s, 7, 7);
    eddy_rcu_leave(&s.span);
    assert_span(&s, 7, 7);
    eddy_rcu_leave(&s.span);
    assert_span(&s, 0, 0);
}

Test(rcu, a_span_without_a_slot_publishes_nothing, .timeout = 10) {
    struct scene s;
    scene_open(&s, false);
    s.span.slot = NULL;
    eddy_rcu_enter(&s.span);
    eddy_rcu_raise(&s.span);
    assert_span(&s, 0, 0);
    eddy_rcu_leave(&s.span);
    cr_assert_eq(s.span.depth, 0);
}

Test(rcu, the_dead_see_nothing, .timeout = 10) {
    struct scene s;
    scene_open(&s, false);
    eddy_rcu_enter(&s.span);
    eddy_rcu_clear(&s.slot);
    assert_span(&s, 0, 0);
}

Test(rcu, the_era_only_grows, .timeout = 10) {
    struct scene s;
    scene_open(&s, false);
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(eddy_ld_acq(&s.era), 7 + i);
        eddy_rcu_advance(&s.era);
    }
}

/* ---- at each access of entering and raising, what is published covers what may be loaded ---- */

struct race {
    struct eddy_arena *arena;
    struct unit_member m;
    uint64_t loaded; /* the era when something is loaded inside */
};

static bool era_moves(void *arg) {
    struct race *r = arg;
    uint64_t lo;
    uint64_t hi;
    eddy_rcu_peek(r->m.thread.slot, &lo, &hi);
    cr_assert(lo == 0 || lo <= hi, "a span that is seen is never empty");
    eddy_rcu_advance(&r->arena->super->era);
    return false;
}

static void enter_and_raise(void *arg) {
    struct race *r = arg;
    eddy_rcu_enter(&r->m.thread.span);
    eddy_rcu_raise(&r->m.thread.span);
    eddy_rcu_raise(&r->m.thread.span);
}

Test(rcu, a_span_is_never_empty_while_the_era_moves, .timeout = 20) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        struct race r = {.arena = unit_store(0)};
        unit_join(&r.m, r.arena);
        struct unit_step step = {.arena = r.arena, .at = at, .act = era_moves, .arg = &r};
        bool acted = unit_step(&step, enter_and_raise, &r) != 0;
        uint64_t lo;
        uint64_t hi;
        eddy_rcu_peek(r.m.thread.slot, &lo, &hi);
        cr_assert(lo >= 1 && lo <= hi);
        cr_assert_eq(hi, r.m.thread.span.hi);
        eddy_rcu_leave(&r.m.thread.span);
        unit_leave(&r.m);
        unit_store_free(r.arena);
        if (!acted) {
            break;
        }
    }
}
