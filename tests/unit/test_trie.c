/* trie: every number is found, at the edges of nodes and levels; damage ends in an error. */
#include "trie.h"

#include "unit_support.h"

static int slot_of(struct unit_member *m, uint64_t number, uint64_t *value) {
    struct eddy_view v = unit_view(m);
    eddy_word *slot = NULL;
    eddy_rcu_enter(&m->thread.span);
    int r = eddy_trie_slot(&v, &m->arena->super->offsets_root, number, &slot);
    *value = r == 1 ? eddy_ld_acq(slot) : 0;
    eddy_rcu_leave(&m->thread.span);
    return r;
}

/* Sets numbers through a plan of their own each, applied at once. */
static void set(struct unit_member *m, uint64_t number, uint32_t count, uint64_t base) {
    struct eddy_plan_values v = {.base = base};
    eddy_rcu_enter(&m->thread.span);
    cr_assert_eq(
        eddy_plan_numbers(&m->plan, &m->arena->super->offsets_root, NULL, number, count, v), 0);
    cr_assert_eq(eddy_plan_finish(&m->plan), 0);
    eddy_apply_own(&m->thread, UINT64_MAX - 1, m->plan.sets.at, m->plan.sets.count, 0);
    eddy_plan_done(&m->plan);
    eddy_rcu_leave(&m->thread.span);
}

Test(trie, numbers_are_found_at_every_edge, .timeout = 20) {
    const uint64_t at[] = {0,
                           1,
                           62,
                           63,
                           64,
                           65,
                           4095,
                           4096,
                           4097,
                           262143,
                           262144,
                           262145,
                           262208,
                           UINT64_C(1) << 24,
                           UINT64_C(1) << 47,
                           (UINT64_C(1) << 60) - 1,
                           UINT64_C(1) << 60,
                           UINT64_MAX - 1,
                           UINT64_MAX};
    enum { N = sizeof at / sizeof at[0] };
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    uint64_t value;
    unit_join(&m, a);
    cr_assert_eq(slot_of(&m, 0, &value), 0);
    for (size_t i = 0; i < N; i++) {
        set(&m, at[i], 1, 1000 + i);
        for (size_t k = 0; k < N; k++) {
            int r = slot_of(&m, at[k], &value);
            cr_assert_geq(r, 0);
            cr_assert_eq(value, k <= i ? 1000 + k : 0, "%llu after %llu", (unsigned long long)at[k],
                         (unsigned long long)at[i]);
        }
    }
    unit_leave(&m);
    unit_store_free(a);
}

Test(trie, also_when_the_largest_comes_first, .timeout = 20) {
    const uint64_t at[] = {UINT64_MAX, 0, UINT64_C(1) << 30, 64, 63};
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    uint64_t value;
    unit_join(&m, a);
    for (size_t i = 0; i < 5; i++) {
        set(&m, at[i], 1, 7 + i);
    }
    for (size_t i = 0; i < 5; i++) {
        cr_assert_eq(slot_of(&m, at[i], &value), 1);
        cr_assert_eq(value, 7 + i);
    }
    unit_leave(&m);
    unit_store_free(a);
}

Test(trie, runs_cross_leaves_and_levels, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    uint64_t value;
    unit_join(&m, a);
    set(&m, 60, 4096, 1);
    for (uint64_t i = 0; i < 4096; i++) {
        cr_assert_eq(slot_of(&m, 60 + i, &value), 1);
        cr_assert_eq(value, 1 + i);
    }
    cr_assert_eq(slot_of(&m, 59, &value), 1);
    cr_assert_eq(value, 0);
    cr_assert_eq(slot_of(&m, 4096 + 63, &value), 1);
    cr_assert_eq(value, 0);
    cr_assert_eq(slot_of(&m, 4096 + 64, &value), 0);
    unit_leave(&m);
    unit_store_free(a);
}

Test(trie, a_leaf_that_was_found_before_is_used_as_long_as_it_lives, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct eddy_trie_leaf leaf = {0};
    eddy_word *slot = NULL;
    unit_join(&m, a);
    set(&m, 0, 130, 500);
    struct eddy_view v = unit_view(&m);
    eddy_word *root = &a->super->offsets_root;
    eddy_rcu_enter(&m.thread.span);
    for (uint64_t i = 0; i < 130; i++) {
        cr_assert_eq(eddy_trie_slot_near(&v, root, i, &leaf, &slot), 1);
        cr_assert_eq(eddy_ld_acq(slot), 500 + i);
        cr_assert_eq(leaf.base, i & ~UINT64_C(63));
    }
    /* The leaf's block gets another life: it is looked for again, and not believed. */
    uint64_t state = eddy_ld_acq(unit_word(a, leaf.off));
    eddy_st_rel(unit_word(a, leaf.off), state + (UINT64_C(1) << 32));
    uint64_t tag = leaf.tag;
    cr_assert_eq(eddy_trie_slot_near(&v, root, 128, &leaf, &slot), 1);
    cr_assert_neq(leaf.tag, tag);
    cr_assert_eq(eddy_trie_slot_near(&v, root, 192, &leaf, &slot), 0);
    cr_assert_eq(leaf.off, 0);
    eddy_rcu_leave(&m.thread.span);
    unit_leave(&m);
    unit_store_free(a);
}

Test(trie, a_node_born_after_the_span_raises_it, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct unit_member other;
    uint64_t value;
    unit_join(&m, a);
    unit_join(&other, a);
    eddy_rcu_enter(&m.thread.span);
    uint64_t hi = m.thread.span.hi;
    for (int i = 0; i < 3; i++) {
        eddy_rcu_advance(&a->super->era);
        set(&other, (uint64_t)i * 64, 1, 9);
    }
    cr_assert_eq(slot_of(&m, 0, &value), 1);
    cr_assert_eq(slot_of(&m, 128, &value), 1);
    cr_assert_eq(eddy_ld_acq(&m.thread.slot->hi), hi + 3);
    cr_assert_eq(eddy_ld_acq(&m.thread.slot->lo), hi);
    eddy_rcu_leave(&m.thread.span);
    unit_leave(&m);
    unit_leave(&other);
    unit_store_free(a);
}

Test(trie, shapes_and_references_that_cannot_be_are_refused, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    uint64_t value;
    unit_join(&m, a);
    set(&m, 0, 70, 5);
    uint64_t root = eddy_ld_acq(&a->super->offsets_root);
    struct eddy_shm_node *node = eddy_arena_raw(a, root);
    const uint64_t shapes[] = {
        0,
        UINT64_MAX,
        EDDY_SHAPE(EDDY_BLOCK_STREAM, 6, 6),
        EDDY_SHAPE(EDDY_BLOCK_NODE, 6, 3),
        EDDY_SHAPE(EDDY_BLOCK_NODE, 6, 7),
        EDDY_SHAPE(EDDY_BLOCK_NODE, 5, 6),
        EDDY_SHAPE(EDDY_BLOCK_NODE, 66, 6),
        EDDY_SHAPE(EDDY_BLOCK_NODE, 255, 6),
    };
    uint64_t good = eddy_ld_acq(&node->block.shape);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        eddy_st_rel(&node->block.shape, shapes[i]);
        cr_assert_eq(slot_of(&m, 65, &value), EDDY_ECORRUPT, "shape %zu", i);
    }
    eddy_st_rel(&node->block.shape, good);
    const uint64_t refs[] = {8,      root + 8,    a->extents_off - 64,
                             a->cap, a->cap - 64, UINT64_MAX - 63,
                             root}; /* a circle: its level is no lower than its own */
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        uint64_t was = eddy_ld_acq(&node->slot[1]);
        eddy_st_rel(&node->slot[1], refs[i]);
        cr_assert_eq(slot_of(&m, 65, &value), EDDY_ECORRUPT, "reference %zu", i);
        eddy_st_rel(&node->slot[1], was);
    }
    eddy_st_rel(&node->slot[1], EDDY_TOMB(3));
    cr_assert_eq(slot_of(&m, 65, &value), 0);
    unit_leave(&m);
    unit_store_free(a);
}

Test(trie, linked_is_what_its_home_leads_to, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    set(&m, 0, 64 * 70, 5);
    struct eddy_view v = unit_view(&m);
    uint64_t root = eddy_ld_acq(&a->super->offsets_root);
    struct eddy_shm_node *node = eddy_arena_raw(a, root);
    uint64_t middle = eddy_ld_acq(&node->slot[1]);
    struct eddy_shm_node *below = eddy_arena_raw(a, middle);
    uint64_t leaf = eddy_ld_acq(&below->slot[2]);
    cr_assert(eddy_trie_linked(&v, root));
    cr_assert(eddy_trie_linked(&v, middle));
    cr_assert(eddy_trie_linked(&v, leaf));
    uint64_t loose;
    cr_assert_eq(eddy_block_take(a, &m.thread.blocks, m.thread.member, 9, &loose), 0);
    struct eddy_shm_node *copy = eddy_arena_raw(a, loose);
    struct eddy_shm_node *original = eddy_arena_raw(a, leaf);
    eddy_st_rel(&copy->block.shape, eddy_ld_acq(&original->block.shape));
    eddy_st_rel(&copy->base, eddy_ld_acq(&original->base));
    const uint64_t homes[] = {eddy_ld_acq(&original->home), 0, 4, 8, 4096, a->cap, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof homes / sizeof homes[0]; i++) {
        eddy_st_rel(&copy->home, homes[i]);
        cr_assert_not(eddy_trie_linked(&v, loose), "home %zu", i);
    }
    eddy_st_rel(&below->slot[2], EDDY_TOMB(9));
    cr_assert_not(eddy_trie_linked(&v, leaf));
    unit_leave(&m);
    unit_store_free(a);
}
