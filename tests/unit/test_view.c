/* view: a redo list laid over the shared words says what they will be. */
#include "view.h"

#include "unit_support.h"

#include <string.h>

Test(view, an_overlay_answers_for_the_words_that_it_has, .timeout = 10) {
    struct eddy_overlay o = {0};
    for (uint64_t i = 1; i <= 10000; i++) {
        cr_assert_eq(eddy_overlay_put(&o, 8 * i, i * 3, i % 2), 0);
    }
    cr_assert_eq(o.count, 10000);
    for (uint64_t i = 1; i <= 10000; i++) {
        cr_assert_eq(eddy_overlay_over(&o, 8 * i, 0), i * 3);
        /* A maximum that is lower than what is there already is not. */
        cr_assert_eq(eddy_overlay_over(&o, 8 * i, UINT64_MAX), i % 2 ? UINT64_MAX : i * 3);
    }
    cr_assert_eq(eddy_overlay_over(&o, 8 * 10001, 55), 55);
    cr_assert_eq(eddy_overlay_put(&o, 8, 99, false), 0);
    cr_assert_eq(o.count, 10000);
    cr_assert_eq(eddy_overlay_over(&o, 8, 0), 99);
    eddy_overlay_clear(&o);
    cr_assert_eq(o.count, 0);
    cr_assert_eq(eddy_overlay_put(&o, 8, 1, false), 0);
    cr_assert_eq(eddy_overlay_over(&o, 16, 5), 5);
    eddy_overlay_clear(&o);
    cr_assert_eq(eddy_overlay_over(&o, 8, 5), 5);
    eddy_overlay_fini(&o);
    eddy_overlay_clear(&o);
}

Test(view, all_kinds_of_entries_are_laid_over, .timeout = 10) {
    const uint64_t list[] = {
        EDDY_REDO(EDDY_REDO_SET, 1, 80),
        7,
        EDDY_REDO(EDDY_REDO_RUN, 3, 160),
        100,
        EDDY_REDO(EDDY_REDO_REFS, 2, 240),
        11,
        22,
        EDDY_REDO(EDDY_REDO_SWAP, 1, 320),
        5,
        6,
        EDDY_REDO(EDDY_REDO_MAX, 1, 400),
        9,
    };
    struct eddy_overlay o = {0};
    cr_assert_eq(eddy_overlay_put_list(&o, list, sizeof list / 8), 0);
    cr_assert_eq(eddy_overlay_over(&o, 80, 0), 7);
    cr_assert_eq(eddy_overlay_over(&o, 160, 0), 100);
    cr_assert_eq(eddy_overlay_over(&o, 176, 0), 102);
    cr_assert_eq(eddy_overlay_over(&o, 184, 0), 0);
    cr_assert_eq(eddy_overlay_over(&o, 240, 0), 11);
    cr_assert_eq(eddy_overlay_over(&o, 248, 0), 22);
    cr_assert_eq(eddy_overlay_over(&o, 320, 5), 6);
    cr_assert_eq(eddy_overlay_over(&o, 320, 6), 6);
    cr_assert_eq(eddy_overlay_over(&o, 400, 3), 9);
    cr_assert_eq(eddy_overlay_over(&o, 400, 10), 10);
    eddy_overlay_fini(&o);
}

Test(view, a_word_with_several_entries_ends_as_applying_them_does, .timeout = 10) {
    const uint64_t list[] = {
        EDDY_REDO(EDDY_REDO_SWAP, 1, 80),
        1,
        2,
        EDDY_REDO(EDDY_REDO_SWAP, 1, 80),
        2,
        3,
        EDDY_REDO(EDDY_REDO_MAX, 1, 160),
        9,
        EDDY_REDO(EDDY_REDO_MAX, 1, 160),
        12,
    };
    struct eddy_overlay o = {0};
    cr_assert_eq(eddy_overlay_put_list(&o, list, sizeof list / 8), 0);
    cr_assert_eq(eddy_overlay_over(&o, 80, 1), 3);
    cr_assert_eq(eddy_overlay_over(&o, 80, 2), 3);
    cr_assert_eq(eddy_overlay_over(&o, 160, 0), 12);
    eddy_overlay_fini(&o);
}

Test(view, words_that_are_no_entries_are_refused, .timeout = 10) {
    const uint64_t good = EDDY_REDO(EDDY_REDO_SET, 1, 80);
    const struct {
        uint64_t words[3];
        size_t count;
    } bad[] = {
        {{0, 1}, 2},
        {{UINT64_MAX, 1}, 2},
        {{EDDY_REDO(6, 1, 80), 1}, 2},
        {{EDDY_REDO(EDDY_REDO_SET, 0, 80), 1}, 2},
        {{good}, 1},
        {{good, 1, good}, 3},
        {{EDDY_REDO(EDDY_REDO_SWAP, 1, 80), 1}, 2},
        {{EDDY_REDO(EDDY_REDO_REFS, 3, 80), 1, 2}, 3},
        {{EDDY_REDO(EDDY_REDO_REFS, 255, 80), 1, 2}, 3},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct eddy_overlay o = {0};
        cr_assert_eq(eddy_overlay_put_list(&o, bad[i].words, bad[i].count), EDDY_ECORRUPT, "%zu",
                     i);
        eddy_overlay_fini(&o);
    }
}

Test(view, a_load_sees_the_overlay_only_if_there_is_one, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_overlay o = {0};
    struct eddy_view v = {.arena = a, .span = &span, .overlay = NULL};
    eddy_word *cell = &a->names[17];
    eddy_st_rel(cell, 5);
    cr_assert_eq(eddy_view_load(&v, cell), 5);
    v.overlay = &o;
    cr_assert_eq(eddy_view_load(&v, cell), 5);
    cr_assert_eq(eddy_overlay_put(&o, eddy_arena_off(a, cell), 6, false), 0);
    cr_assert_eq(eddy_view_load(&v, cell), 6);
    cr_assert_eq(eddy_view_load(&v, cell + 1), 0);
    eddy_overlay_fini(&o);
    unit_store_free(a);
}

Test(view, a_younger_block_is_covered_at_the_second_look, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    struct eddy_view v = unit_view(&m);
    uint64_t off;
    eddy_rcu_enter(&m.thread.span);
    cr_assert_eq(eddy_block_take(a, &m.thread.blocks, 1, 1, &off), 0);
    struct eddy_shm_block *b = eddy_arena_raw(a, off);
    cr_assert(eddy_view_covers(&v, b));
    eddy_rcu_advance(&a->super->era);
    eddy_st_rel(&b->birth, eddy_ld_acq(&a->super->era));
    cr_assert_not(eddy_view_covers(&v, b));
    cr_assert(eddy_view_covers(&v, b));
    eddy_rcu_leave(&m.thread.span);
    unit_leave(&m);
    unit_store_free(a);
}
