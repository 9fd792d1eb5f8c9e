/* plan: what an evaluation wants is a list of addresses and values, and private blocks. */
#include "plan.h"

#include "unit_support.h"

#include <string.h>

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    struct eddy_plan *plan;
    eddy_word *root;
};

static void scene_open(struct scene *s) {
    s->arena = unit_store(0);
    unit_join(&s->m, s->arena);
    s->plan = &s->m.plan;
    s->root = &s->arena->super->offsets_root;
    eddy_rcu_enter(&s->m.thread.span);
}

static void scene_close(struct scene *s) {
    eddy_rcu_leave(&s->m.thread.span);
    unit_leave(&s->m);
    cr_assert_eq(eddy_extent_count_owned(s->arena, 1), 0);
    unit_store_free(s->arena);
}

static void numbers(struct scene *s, uint64_t number, uint32_t count, const uint64_t *refs) {
    struct eddy_plan_values v = {.base = 100 + number, .refs = refs};
    cr_assert_eq(eddy_plan_numbers(s->plan, s->root, &s->plan->tail, number, count, v), 0);
}

static size_t entries(const struct eddy_plan *p, unsigned kind) {
    size_t n = 0;
    for (size_t i = 0; i < p->sets.count;) {
        unsigned k = EDDY_REDO_KIND(p->sets.at[i]);
        n += k == kind;
        i += 1 + (k == EDDY_REDO_REFS   ? EDDY_REDO_COUNT(p->sets.at[i])
                  : k == EDDY_REDO_SWAP ? 2u
                                        : 1u);
    }
    return n;
}

static void apply(struct scene *s) {
    cr_assert_eq(eddy_plan_finish(s->plan), 0);
    eddy_apply_own(&s->m.thread, UINT64_MAX - 1, s->plan->sets.at, s->plan->sets.count, 0);
    eddy_plan_done(s->plan);
}

static uint64_t value_of(struct scene *s, const struct eddy_view *v, uint64_t number) {
    eddy_word *slot = NULL;
    int r = eddy_trie_slot(v, s->root, number, &slot);
    cr_assert_geq(r, 0);
    return r ? eddy_view_load(v, slot) : 0;
}

Test(plan, a_new_leaf_is_filled_in_private_and_linked_by_one_entry, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    struct eddy_view shared = unit_view(&s.m);
    numbers(&s, 3, 40, NULL);
    cr_assert_eq(s.plan->taken_count, 1);
    cr_assert_eq(value_of(&s, &s.plan->view, 3), 103, "the plan sees it,");
    cr_assert_eq(value_of(&s, &shared, 3), 0, "and nobody else");
    cr_assert_eq(eddy_plan_finish(s.plan), 0);
    cr_assert_eq(s.plan->sets.count, 2);
    cr_assert_eq(entries(s.plan, EDDY_REDO_SET), 1);
    apply(&s);
    cr_assert_eq(value_of(&s, &shared, 42), 142);
    cr_assert_eq(value_of(&s, &shared, 43), 0);
    scene_close(&s);
}

Test(plan, slots_of_a_shared_leaf_are_runs_and_references, .timeout = 10) {
    struct scene s;
    uint64_t refs[30];
    scene_open(&s);
    for (uint64_t i = 0; i < 30; i++) {
        refs[i] = 8 * (i + 1);
    }
    numbers(&s, 0, 1, NULL);
    apply(&s);
    numbers(&s, 1, 20, NULL);
    cr_assert_eq(entries(s.plan, EDDY_REDO_RUN), 1);
    cr_assert_eq(s.plan->sets.count, 2);
    apply(&s);
    numbers(&s, 21, 30, refs);
    cr_assert_eq(entries(s.plan, EDDY_REDO_REFS),
                 (30 + EDDY_REDO_REFS_MAX - 1) / EDDY_REDO_REFS_MAX);
    apply(&s);
    struct eddy_view shared = unit_view(&s.m);
    cr_assert_eq(value_of(&s, &shared, 20), 101 + 19);
    for (uint64_t i = 0; i < 30; i++) {
        cr_assert_eq(value_of(&s, &shared, 21 + i), refs[i]);
    }
    scene_close(&s);
}

Test(plan, one_plan_raises_a_root_several_times, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    struct eddy_view shared = unit_view(&s.m);
    numbers(&s, 5, 1, NULL);
    apply(&s);
    numbers(&s, 64, 1, NULL);
    numbers(&s, 5000, 1, NULL);
    numbers(&s, 300000, 1, NULL);
    cr_assert_eq(eddy_plan_finish(s.plan), 0);
    cr_assert_eq(entries(s.plan, EDDY_REDO_SWAP), 3);
    /* Again from any point on: each swap moves the root forward only. */
    for (int again = 0; again < 3; again++) {
        eddy_apply_own(&s.m.thread, UINT64_MAX - 1, s.plan->sets.at, s.plan->sets.count, 0);
        cr_assert_eq(value_of(&s, &shared, 5), 105);
        cr_assert_eq(value_of(&s, &shared, 64), 164);
        cr_assert_eq(value_of(&s, &shared, 5000), 5100);
        cr_assert_eq(value_of(&s, &shared, 300000), 300100);
    }
    eddy_plan_done(s.plan);
    scene_close(&s);
}

Test(plan, maxima_come_last_and_swaps_before_them, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    numbers(&s, 0, 1, NULL);
    apply(&s);
    struct eddy_shm_stream *any = eddy_arena_raw(s.arena, s.arena->extents_off);
    cr_assert_eq(eddy_plan_max(s.plan, &any->version, 7), 0);
    numbers(&s, 64, 2, NULL);
    numbers(&s, 1, 2, NULL);
    cr_assert_eq(eddy_plan_finish(s.plan), 0);
    unsigned last = 0;
    for (size_t i = 0; i < s.plan->sets.count;) {
        unsigned kind = EDDY_REDO_KIND(s.plan->sets.at[i]);
        unsigned rank = kind == EDDY_REDO_MAX ? 2 : kind == EDDY_REDO_SWAP ? 1 : 0;
        cr_assert_geq(rank, last);
        last = rank;
        i += 1 + (kind == EDDY_REDO_REFS   ? EDDY_REDO_COUNT(s.plan->sets.at[i])
                  : kind == EDDY_REDO_SWAP ? 2u
                                           : 1u);
    }
    cr_assert_eq(last, 2);
    eddy_plan_reset(s.plan);
    scene_close(&s);
}

Test(plan, a_reset_leaves_nothing_behind, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    numbers(&s, 0, 3, NULL);
    apply(&s);
    struct unit_image before = unit_image_take(s.arena);
    for (int i = 0; i < 50; i++) {
        numbers(&s, 3, 5000, NULL);
        cr_assert_gt(s.plan->taken_count, 70);
        eddy_plan_reset(s.plan);
        cr_assert_eq(s.plan->taken_count, 0);
        cr_assert_eq(s.plan->sets.count, 0);
    }
    struct eddy_view shared = unit_view(&s.m);
    cr_assert_eq(eddy_ld_acq(s.root), unit_image_word(&before, eddy_arena_off(s.arena, s.root)));
    cr_assert_eq(value_of(&s, &shared, 3), 0);
    cr_assert_leq(eddy_extent_count_owned(s.arena, 1), 2, "the same blocks each time");
    unit_image_free(&before);
    scene_close(&s);
}

Test(plan, a_leaf_of_last_time_is_not_believed_in_another_life, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    numbers(&s, 0, 1, NULL);
    apply(&s);
    numbers(&s, 1, 1, NULL);
    apply(&s);
    cr_assert_neq(s.plan->tail.off, 0);
    /* Nothing leads to the leaf any more, and its block has another life. */
    uint64_t leaf = s.plan->tail.off;
    eddy_st_rel(s.root, 0);
    eddy_st_rel(unit_word(s.arena, leaf),
                eddy_ld_acq(unit_word(s.arena, leaf)) + (UINT64_C(1) << 32));
    numbers(&s, 2, 1, NULL);
    cr_assert_eq(s.plan->taken_count, 1, "a leaf of its own");
    eddy_plan_reset(s.plan);
    scene_close(&s);
}

static int versions(struct scene *s, struct eddy_shm_stream *d, uint64_t version, uint32_t count,
                    uint64_t offset) {
    const uint64_t each = 1000;
    struct eddy_plan_values v = {.base = offset, .sum = each * version, .bytes = &each};
    return eddy_plan_versions(s->plan, d, eddy_ld_acq(&d->hash), version, count, v);
}

/* What the leaf of a version says of the bytes before it. */
static uint64_t sum_at(const struct eddy_view *v, struct eddy_shm_stream *d, uint64_t version) {
    eddy_word *slot = NULL;
    cr_assert_eq(eddy_stream_slot(v, d, version, NULL, &slot), 1);
    return eddy_ld_acq(&((struct eddy_shm_node *)(void *)((char *)slot - 64))->sum);
}

Test(plan, versions_fill_slots_then_a_small_leaf_then_a_trie, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 1, 0), 0);
    struct eddy_shm_stream *d = unit_stream(s.arena, "s");
    cr_assert_eq(versions(&s, d, 2, 5, 50), 0);
    cr_assert_eq(s.plan->taken_count, 0);
    cr_assert_eq(versions(&s, d, 7, 1, 55), 0);
    cr_assert_eq(s.plan->taken_count, 1);
    cr_assert_eq(versions(&s, d, 8, 7, 56), 0);
    cr_assert_eq(s.plan->taken_count, 1);
    cr_assert_eq(versions(&s, d, 15, 64, 63), 0);
    cr_assert_eq(s.plan->taken_count, 2);
    cr_assert_eq(versions(&s, d, 79, 1, 127), 0);
    cr_assert_eq(s.plan->taken_count, 4);
    apply(&s);
    struct eddy_view shared = unit_view(&s.m);
    for (uint64_t v = 2; v <= 79; v++) {
        eddy_word *slot = NULL;
        cr_assert_eq(eddy_stream_slot(&shared, d, v, NULL, &slot), 1);
        cr_assert_eq(eddy_ld_acq(slot), 48 + v);
    }
    cr_assert_eq(sum_at(&shared, d, 7), 7000);
    cr_assert_eq(sum_at(&shared, d, 15), 15000);
    cr_assert_eq(sum_at(&shared, d, 79), 79000);
    scene_close(&s);
}

Test(plan, no_memory_ends_in_an_error_and_leaves_nothing, .timeout = 20) {
    struct scene s;
    scene_open(&s);
    struct eddy_plan_values v = {.base = 1};
    cr_assert_eq(eddy_plan_numbers(s.plan, s.root, NULL, 0, 64 * 20000, v), EDDY_EFULL);
    eddy_plan_reset(s.plan);
    cr_assert_eq(eddy_ld_acq(s.root), 0);
    numbers(&s, 0, 64 * 1000, NULL);
    apply(&s);
    scene_close(&s);
}
