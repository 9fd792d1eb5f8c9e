/* block: private until linked, of one life at a time. */
#include "block.h"

#include "unit_support.h"

#include <string.h>

enum { ME = 1, YOU = 2 };

static uint64_t state_of(struct eddy_arena *a, uint64_t off) {
    return eddy_ld_acq(unit_word(a, off));
}

static uint64_t take(struct eddy_arena *a, struct eddy_blocks *b, uint32_t member,
                     unsigned class_) {
    uint64_t off = 0;
    cr_assert_eq(eddy_block_take(a, b, member, class_, &off), 0, "%s", eddy_errmsg());
    return off;
}

Test(block, is_owned_and_zeroed_behind_its_header, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    for (unsigned class_ = 1; class_ <= EDDY_CLASS_MAX; class_++) {
        uint64_t off = take(a, &b, ME, class_);
        cr_assert_eq(state_of(a, off), EDDY_STATE(0, EDDY_OWNED, ME));
        memset(unit_word(a, off + 24), 0xee, eddy_class_lines(class_) * EDDY_LINE - 24);
        uint64_t next = take(a, &b, ME, class_);
        cr_assert_eq(next, off + eddy_class_lines(class_) * EDDY_LINE, "low ones first");
        eddy_block_give(a, &b, off, class_);
        cr_assert_eq(take(a, &b, ME, class_), off, "given back last, taken first");
        cr_assert_eq(state_of(a, off), EDDY_STATE(0, EDDY_OWNED, ME), "nobody else ever saw it");
        for (unsigned i = 3; i < eddy_class_lines(class_) * EDDY_LINE / 8; i++) {
            cr_assert_eq(eddy_ld_acq(unit_word(a, off + 8 * i)), 0);
        }
    }
    eddy_blocks_leave(a, &b);
    eddy_blocks_fini(&b);
    unit_store_free(a);
}

Test(block, a_free_one_has_another_generation_when_it_is_taken_again, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    uint64_t off = take(a, &b, ME, 9);
    uint64_t tag = eddy_block_tag(a, off);
    eddy_block_free(a, off, state_of(a, off));
    cr_assert_eq(state_of(a, off), EDDY_STATE(1, EDDY_FREE, 0));
    cr_assert_neq(eddy_block_tag(a, off), tag);
    eddy_block_free(a, off, EDDY_STATE(0, EDDY_OWNED, ME)); /* somebody late */
    cr_assert_eq(state_of(a, off), EDDY_STATE(1, EDDY_FREE, 0));
    unit_word(a, off)[5] = 77; /* what its last life left */
    eddy_blocks_leave(a, &b);
    struct eddy_blocks c = {0};
    cr_assert_eq(take(a, &c, YOU, 9), off);
    cr_assert_eq(state_of(a, off), EDDY_STATE(1, EDDY_OWNED, YOU));
    cr_assert_eq(eddy_ld_acq(unit_word(a, off + 40)), 0);
    eddy_blocks_fini(&b);
    eddy_blocks_fini(&c);
    unit_store_free(a);
}

Test(block, the_next_owner_of_an_extent_goes_on_behind_what_is_linked, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    uint64_t linked = take(a, &b, ME, 4);
    uint64_t loose = take(a, &b, ME, 4);
    eddy_block_link(a, linked);
    cr_assert_eq(state_of(a, linked), EDDY_STATE(0, EDDY_LINKED, 0));
    eddy_block_link(a, linked);
    eddy_block_give(a, &b, loose, 4);
    eddy_blocks_leave(a, &b);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 0);
    struct eddy_blocks c = {0};
    cr_assert_eq(take(a, &c, YOU, 4), loose);
    cr_assert_eq(state_of(a, loose), EDDY_STATE(1, EDDY_OWNED, YOU));
    cr_assert_eq(state_of(a, linked), EDDY_STATE(0, EDDY_LINKED, 0));
    eddy_blocks_leave(a, &c);
    eddy_blocks_fini(&b);
    eddy_blocks_fini(&c);
    unit_store_free(a);
}

Test(block, linking_does_not_bring_back_what_was_condemned, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    uint64_t off = take(a, &b, ME, 1);
    for (unsigned s = EDDY_SEALED; s <= EDDY_RETIRED; s++) {
        eddy_st_rel(unit_word(a, off), EDDY_STATE(3, s, 0));
        eddy_block_link(a, off);
        cr_assert_eq(state_of(a, off), EDDY_STATE(3, s, 0));
    }
    eddy_blocks_fini(&b);
    unit_store_free(a);
}

Test(block, settling_seals_extents_that_are_used_up, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    uint32_t n = EDDY_EXTENT_SIZE / (9 * EDDY_LINE);
    for (uint32_t i = 0; i < n + 1; i++) {
        uint64_t off = take(a, &b, ME, 9);
        cr_assert_eq(eddy_extent_count_owned(a, ME), i < n ? 1 : 2, "owned while any is private");
        eddy_block_link(a, off);
    }
    eddy_blocks_settle(a, &b);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 1);
    eddy_blocks_leave(a, &b);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 0);
    eddy_blocks_fini(&b);
    unit_store_free(a);
}

Test(block, at_gives_only_what_lies_whole_in_the_extents, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint64_t end = a->extents_off + eddy_arena_reserved(a) * EDDY_EXTENT_SIZE;
    cr_assert_not_null(eddy_block_at(a, a->extents_off, 9));
    cr_assert_not_null(eddy_block_at(a, end - 64, 1));
    cr_assert_null(eddy_block_at(a, end - 64, 2));
    cr_assert_null(eddy_block_at(a, end, 1));
    cr_assert_null(eddy_block_at(a, a->extents_off + 8, 1));
    cr_assert_null(eddy_block_at(a, 0, 1));
    cr_assert_null(eddy_block_at(a, a->extents_off - 64, 1));
    cr_assert_null(eddy_block_at(a, a->cap - 64, 1));
    cr_assert_null(eddy_block_at(a, UINT64_MAX & ~UINT64_C(63), 1));
    unit_store_free(a);
}

static void count(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    unsigned *n = arg;
    (void)off;
    (void)state;
    (void)class_;
    ++*n;
}

Test(block, each_is_bounded_whatever_the_extent_says_of_itself, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    unsigned n = 0;
    uint64_t off = take(a, &b, ME, 9);
    (void)take(a, &b, ME, 9);
    uint32_t idx = eddy_arena_extent_of(a, off);
    eddy_block_each(a, idx, count, &n);
    cr_assert_eq(n, 2);
    for (unsigned class_ = 0; class_ < 256; class_++) {
        eddy_st_rel(&a->extents[idx].info, EDDY_INFO(EDDY_KIND_NODES, class_, 1));
        n = 0;
        eddy_block_each(a, idx, count, &n);
        cr_assert_leq(n, EDDY_EXTENT_SIZE / EDDY_LINE);
        cr_assert(n == 0 || (class_ >= 1 && class_ <= EDDY_CLASS_MAX));
    }
    eddy_blocks_fini(&b);
    unit_store_free(a);
}

Test(block, lists_of_extents_that_have_no_room_end_in_an_error, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_blocks b = {0};
    uint64_t off;
    int r = 0;
    /* Every free extent that is taken comes back to its list full, as long as there are any. */
    for (int i = 0; r == 0 && i < 100000; i++) {
        r = eddy_block_take(a, &b, ME, 9, &off);
    }
    cr_assert_eq(r, EDDY_EFULL);
    cr_assert_eq(eddy_extent_count_owned(a, ME), a->extents_max - EDDY_RESERVED_EXTENTS);
    eddy_blocks_leave(a, &b);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 0);
    eddy_blocks_fini(&b);
    unit_store_free(a);
}
