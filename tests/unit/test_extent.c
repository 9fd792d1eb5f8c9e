/* extent: whoever changes the state word has it; maps are hints, and may say anything. */
#include "extent.h"

#include "unit_support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ME = 1, YOU = 2, KEPT = EDDY_RESERVED_EXTENTS };

static uint64_t state_of(struct eddy_arena *a, uint32_t idx) {
    return eddy_ld_acq(&a->extents[idx].state);
}

static uint32_t take(struct eddy_arena *a, uint32_t member, unsigned kind, uint32_t n) {
    uint32_t idx = UINT32_MAX;
    unsigned class_ = kind == EDDY_KIND_NODES ? 9 : 0;
    cr_assert_eq(eddy_extent_take(a, member, kind, class_, n, &idx), 0, "%s", eddy_errmsg());
    return idx;
}

static eddy_word *map_of(struct eddy_arena *a, unsigned map, uint32_t idx) {
    return a->maps + map * a->map_words + idx / 64;
}

static bool has_bit(struct eddy_arena *a, unsigned map, uint32_t idx) {
    return (eddy_ld_acq(map_of(a, map, idx)) >> idx % 64 & 1) != 0 &&
           (uint32_t)eddy_ld_acq(&a->super->lowest[map]) <= idx / 64;
}

static void lose_bit(struct eddy_arena *a, unsigned map, uint32_t idx) {
    eddy_word *w = map_of(a, map, idx);
    eddy_st_rel(w, eddy_ld_acq(w) & ~(UINT64_C(1) << idx % 64));
}

Test(extent, of_those_that_were_freed_the_lowest_is_taken_first, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t idx[5];
    for (int i = 0; i < 5; i++) {
        idx[i] = take(a, ME, EDDY_KIND_EVENTS, 1);
    }
    uint32_t gen = EDDY_STATE_GEN(state_of(a, idx[1]));
    eddy_extent_give(a, idx[1], 1);
    eddy_extent_give(a, idx[4], 1);
    eddy_extent_give(a, idx[0], 1);
    cr_assert_eq(EDDY_STATE_GEN(state_of(a, idx[1])), gen + 1);
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), idx[0]);
    cr_assert_not(has_bit(a, EDDY_MAP_FREE, idx[0]));
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), idx[1]);
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), idx[4]);
    cr_assert_eq(state_of(a, idx[1]), EDDY_STATE(gen + 1, EDDY_OWNED, YOU));
    cr_assert_eq(eddy_extent_count_owned(a, YOU), 3);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 2);
    unit_store_free(a);
}

Test(extent, a_lost_bit_is_set_again_and_the_extent_is_found_without_it, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint64_t all = a->extents_max;
    for (uint64_t i = KEPT; i < all; i++) {
        (void)take(a, ME, EDDY_KIND_EVENTS, 1);
    }
    uint32_t idx;
    cr_assert_eq(eddy_extent_take(a, ME, EDDY_KIND_EVENTS, 0, 1, &idx), EDDY_EFULL);
    eddy_extent_give(a, 17, 1);
    eddy_extent_give(a, 18, 1);
    eddy_extent_leave(a, 19);
    /* Who freed them died before their bits were set. */
    lose_bit(a, EDDY_MAP_FREE, 17);
    lose_bit(a, EDDY_MAP_FREE, 18);
    lose_bit(a, EDDY_MAP_EVENTS, 19);
    cr_assert_eq(eddy_extent_count_free(a), 2);
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), 17);
    cr_assert_not(eddy_extent_resume(a, YOU, 0, &idx));
    for (uint32_t i = 0; i < all; i++) {
        eddy_extent_remind(a, i);
    }
    cr_assert_not(has_bit(a, EDDY_MAP_FREE, 17), "it is taken");
    cr_assert(has_bit(a, EDDY_MAP_FREE, 18));
    cr_assert(eddy_extent_resume(a, YOU, 0, &idx));
    cr_assert_eq(idx, 19);
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), 18);
    cr_assert_eq(eddy_extent_take(a, ME, EDDY_KIND_EVENTS, 0, 1, &idx), EDDY_EFULL);
    unit_store_free(a);
}

Test(extent, one_that_was_owned_but_not_described_is_swept, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t nodes = take(a, ME, EDDY_KIND_NODES, 1);
    uint32_t bare = take(a, ME, EDDY_KIND_EVENTS, 1);
    eddy_extent_give(a, bare, 1);
    cr_assert_eq(eddy_ld_acq(&a->extents[bare].info), 0, "what it was may not outlive it");
    eddy_st_rel(&a->extents[bare].state,
                EDDY_STATE(EDDY_STATE_GEN(state_of(a, bare)), EDDY_OWNED, ME));
    eddy_extent_sweep(a, ME, 0);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, bare)), EDDY_FREE);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, nodes)), EDDY_PARTIAL);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 0);
    struct unit_image once = unit_image_take(a);
    eddy_extent_sweep(a, ME, 0);
    cr_assert_eq(memcmp(once.bytes, a->base, once.len), 0);
    unit_image_free(&once);
    unit_store_free(a);
}

Test(extent, sweeping_frees_lists_but_the_one_to_keep, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t kept = take(a, ME, EDDY_KIND_LIST, 3);
    uint32_t list = take(a, ME, EDDY_KIND_LIST, 2);
    uint32_t large = take(a, ME, EDDY_KIND_LARGE, 2);
    uint32_t events = take(a, ME, EDDY_KIND_EVENTS, 1);
    uint32_t others = take(a, YOU, EDDY_KIND_LIST, 1);
    uint32_t last = take(a, ME, EDDY_KIND_LIST, 2);
    eddy_extent_sweep(a, ME, eddy_arena_extent_off(a, kept));
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(EDDY_STATE_OF(state_of(a, kept + i)), EDDY_PARTIAL);
    }
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(EDDY_STATE_OF(state_of(a, list + i)), EDDY_FREE);
        cr_assert_eq(EDDY_STATE_OF(state_of(a, large + i)), EDDY_SEALED);
        cr_assert_eq(EDDY_STATE_OF(state_of(a, last + i)), EDDY_FREE);
    }
    cr_assert_eq(EDDY_STATE_OF(state_of(a, events)), EDDY_PARTIAL);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, others)), EDDY_OWNED);
    uint32_t idx;
    cr_assert(eddy_extent_resume(a, YOU, 0, &idx));
    cr_assert_eq(idx, events);
    cr_assert_not(eddy_extent_resume(a, YOU, 0, &idx));
    uint32_t run;
    cr_assert(eddy_extent_resume_list(a, YOU, &idx, &run));
    cr_assert_eq(idx, kept);
    cr_assert_eq(run, 3);
    cr_assert_not(eddy_extent_resume_list(a, YOU, &idx, &run));
    unit_store_free(a);
}

Test(extent, of_a_list_that_was_left_only_what_is_still_there_is_taken, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t list = take(a, ME, EDDY_KIND_LIST, 4);
    uint32_t idx;
    uint32_t run;
    eddy_extent_leave(a, list);
    cr_assert_eq(eddy_extent_count_owned(a, ME), 0);
    /* The third was taken on by one who died, and is free. */
    eddy_st_rel(&a->extents[list + 2].state, EDDY_STATE(1, EDDY_FREE, 0));
    cr_assert(eddy_extent_resume_list(a, YOU, &idx, &run));
    cr_assert_eq(idx, list);
    cr_assert_eq(run, 2);
    cr_assert_eq(eddy_extent_count_owned(a, YOU), 2);
    eddy_extent_leave(a, list);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, list + 2)), EDDY_FREE, "it is not ours to leave");
    eddy_st_rel(&a->extents[list].info, EDDY_INFO(EDDY_KIND_LIST, 0, UINT32_MAX));
    cr_assert(eddy_extent_resume_list(a, YOU, &idx, &run));
    cr_assert_leq(run, 2);
    unit_store_free(a);
}

Test(extent, runs_are_taken_in_one_piece_and_found_among_holes, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint64_t all = a->extents_max;
    uint32_t run = take(a, ME, EDDY_KIND_LARGE, 5);
    cr_assert_eq(EDDY_INFO_RUN(eddy_ld_acq(&a->extents[run].info)), 5);
    for (uint32_t i = 1; i < 5; i++) {
        cr_assert_eq(eddy_ld_acq(&a->extents[run + i].info), EDDY_INFO(EDDY_KIND_REST, 0, i));
    }
    for (uint64_t i = KEPT + 5; i < all; i++) {
        (void)take(a, ME, EDDY_KIND_EVENTS, 1);
    }
    eddy_extent_give(a, run, 2);               /* a hole of two, */
    eddy_extent_give(a, run + 7, 3);           /* of three, */
    eddy_extent_give(a, (uint32_t)all - 4, 4); /* and of four at the end */
    uint32_t idx;
    cr_assert_eq(eddy_extent_take(a, YOU, EDDY_KIND_LARGE, 0, 5, &idx), EDDY_EFULL);
    cr_assert_eq(eddy_extent_count_free(a), 9, "what was claimed on the way is free again");
    cr_assert_eq(take(a, YOU, EDDY_KIND_LARGE, 4), all - 4);
    cr_assert_eq(take(a, YOU, EDDY_KIND_LARGE, 3), run + 7);
    cr_assert_eq(take(a, YOU, EDDY_KIND_LARGE, 2), run);
    cr_assert_eq(eddy_extent_take(a, YOU, EDDY_KIND_LARGE, 0, 1, &idx), EDDY_EFULL);
    cr_assert_eq(eddy_extent_take(a, YOU, EDDY_KIND_LARGE, 0, 0, &idx), EDDY_EFULL);
    cr_assert_eq(eddy_extent_take(a, YOU, EDDY_KIND_LARGE, 0, UINT32_MAX, &idx), EDDY_EFULL);
    unit_store_free(a);
}

/* Evacuation needs somewhere to move events to, or a full store could never be made emptier. */
Test(extent, a_full_store_has_some_for_who_makes_room, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t idx;
    uint64_t taken = 0;
    while (eddy_extent_take(a, ME, EDDY_KIND_EVENTS, 0, 1, &idx) == 0) {
        cr_assert_geq(idx, KEPT);
        taken++;
    }
    cr_assert_eq(taken, a->extents_max - KEPT);
    cr_assert_eq(eddy_extent_count_free(a), 0, "they are not for everybody");
    cr_assert_eq(eddy_extent_known_free(a), 0);
    for (uint32_t i = 0; i < KEPT; i++) {
        cr_assert_eq(eddy_extent_take_reserved(a, YOU, &idx), 0);
        cr_assert_lt(idx, KEPT);
        cr_assert_eq(state_of(a, idx), EDDY_STATE(0, EDDY_OWNED, YOU));
        cr_assert_eq(EDDY_INFO_KIND(eddy_ld_acq(&a->extents[idx].info)), EDDY_KIND_EVENTS);
    }
    cr_assert_eq(eddy_extent_take_reserved(a, YOU, &idx), EDDY_EFULL);
    eddy_extent_give(a, 0, 1);
    eddy_extent_remind(a, 0);
    cr_assert_eq(eddy_extent_take(a, ME, EDDY_KIND_EVENTS, 0, 1, &idx), EDDY_EFULL);
    cr_assert_eq(eddy_extent_count_free(a), 0);
    /* Of others the reserve is spared. */
    eddy_extent_give(a, 9, 1);
    cr_assert_eq(eddy_extent_take_reserved(a, YOU, &idx), 0);
    cr_assert_eq(idx, 9);
    cr_assert_eq(eddy_extent_take_reserved(a, YOU, &idx), 0);
    cr_assert_eq(idx, 0);
    unit_store_free(a);
}

Test(extent, partly_filled_ones_go_to_those_who_want_their_kind, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t events = take(a, ME, EDDY_KIND_EVENTS, 1);
    uint32_t nodes = take(a, ME, EDDY_KIND_NODES, 1);
    uint32_t idx;
    eddy_extent_leave(a, events);
    eddy_extent_leave(a, nodes);
    cr_assert_not(eddy_extent_resume(a, YOU, 2, &idx));
    cr_assert(eddy_extent_resume(a, YOU, 9, &idx));
    cr_assert_eq(idx, nodes);
    cr_assert(eddy_extent_resume(a, YOU, 0, &idx));
    cr_assert_eq(idx, events);
    cr_assert_eq(state_of(a, idx), EDDY_STATE(0, EDDY_OWNED, YOU), "its generation stays");
    eddy_extent_seal(a, events);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, events)), EDDY_SEALED);
    unit_store_free(a);
}

Test(extent, a_bit_in_the_wrong_map_is_harmless, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t nodes = take(a, ME, EDDY_KIND_NODES, 1);
    uint32_t idx;
    eddy_extent_leave(a, nodes);
    eddy_st_rel(map_of(a, EDDY_MAP_EVENTS, nodes), UINT64_C(1) << nodes % 64);
    cr_assert_not(eddy_extent_resume(a, YOU, 0, &idx));
    cr_assert(eddy_extent_resume(a, YOU, 9, &idx));
    cr_assert_eq(idx, nodes);
    cr_assert_not(eddy_extent_resume(a, YOU, 9, &idx));
    unit_store_free(a);
}

Test(extent, a_sealed_one_of_nodes_with_free_blocks_is_opened_again, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t nodes = take(a, ME, EDDY_KIND_NODES, 1);
    uint32_t events = take(a, ME, EDDY_KIND_EVENTS, 1);
    uint32_t idx;
    eddy_extent_seal(a, nodes);
    eddy_extent_seal(a, events);
    cr_assert_not(eddy_extent_resume(a, YOU, 9, &idx));
    eddy_extent_reopen(a, nodes);
    eddy_extent_reopen(a, events);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, events)), EDDY_SEALED, "events are never filled up");
    cr_assert(eddy_extent_resume(a, YOU, 9, &idx));
    cr_assert_eq(idx, nodes);
    /* A block was freed while it was ours: it does not stay sealed. */
    eddy_add_ar(&a->extents[nodes].dead, EDDY_FILL(1, 0));
    eddy_extent_seal(a, nodes);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, nodes)), EDDY_PARTIAL);
    cr_assert(eddy_extent_resume(a, ME, 9, &idx));
    cr_assert_eq(eddy_ld_acq(&a->extents[nodes].dead), 0, "counted anew");
    unit_store_free(a);
}

Test(extent, one_is_claimed_by_one_and_given_back_as_it_was, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint32_t sealed = take(a, ME, EDDY_KIND_EVENTS, 1);
    uint32_t partial = take(a, ME, EDDY_KIND_EVENTS, 1);
    uint32_t mine = take(a, ME, EDDY_KIND_EVENTS, 1);
    uint32_t idx;
    unsigned from;
    eddy_extent_seal(a, sealed);
    eddy_extent_leave(a, partial);
    cr_assert_not(eddy_extent_claim(a, mine, YOU, &from), "it is being filled");
    cr_assert(eddy_extent_claim(a, sealed, YOU, &from));
    cr_assert_eq(from, EDDY_SEALED);
    cr_assert_not(eddy_extent_claim(a, sealed, ME, &from));
    eddy_extent_return(a, sealed, EDDY_SEALED);
    cr_assert_eq(EDDY_STATE_OF(state_of(a, sealed)), EDDY_SEALED);
    cr_assert(eddy_extent_claim(a, partial, YOU, &from));
    cr_assert_eq(from, EDDY_PARTIAL);
    cr_assert_not(eddy_extent_resume(a, ME, 0, &idx));
    eddy_extent_return(a, partial, EDDY_PARTIAL);
    cr_assert(eddy_extent_resume(a, ME, 0, &idx));
    cr_assert_eq(idx, partial);
    cr_assert(eddy_extent_claim(a, sealed, YOU, &from));
    cr_assert_eq(eddy_extent_free_run(a, sealed, YOU, 0), 1);
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), sealed);
    unit_store_free(a);
}

Test(extent, the_run_of_a_large_event_goes_whole_and_is_found_again, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint64_t all = a->extents_max;
    unsigned from;
    uint32_t run = take(a, ME, EDDY_KIND_LARGE, 5);
    for (uint64_t i = KEPT + 5; i < all; i++) {
        (void)take(a, ME, EDDY_KIND_EVENTS, 1);
    }
    for (uint32_t i = 0; i < 5; i++) {
        eddy_extent_seal(a, run + i);
    }
    /* A former owner died when it had given back two; one of these is somebody else's now. */
    for (int died = 0; died < 2; died++) {
        cr_assert(eddy_extent_claim(a, run, YOU, &from));
        if (died) {
            cr_assert(eddy_extent_claim(a, run + 3, YOU, &from));
            cr_assert(eddy_extent_claim(a, run + 4, YOU, &from));
            eddy_extent_give(a, run + 3, 2);
            cr_assert_eq(take(a, ME, EDDY_KIND_EVENTS, 1), run + 3);
            eddy_extent_seal(a, run + 3);
        }
        cr_assert_eq(eddy_extent_free_run(a, run, YOU, 0), died ? 3 : 5);
        if (!died) {
            cr_assert_eq(take(a, ME, EDDY_KIND_LARGE, 5), run);
            for (uint32_t i = 0; i < 5; i++) {
                eddy_extent_seal(a, run + i);
            }
        }
    }
    cr_assert_eq(EDDY_STATE_OF(state_of(a, run + 3)), EDDY_SEALED, "it was not of this run");
    cr_assert_eq(eddy_extent_count_free(a), 4);
    cr_assert_eq(take(a, YOU, EDDY_KIND_LARGE, 3), run);
    unit_store_free(a);
}

/* Gives its memory to the system: 1, or 0 if it is not free. */
static int empty(struct eddy_arena *a, uint32_t idx, uint32_t member) {
    return eddy_extent_begin_emptying(a, idx, member) ? eddy_extent_end_emptying(a, idx, true) : 0;
}

Test(extent, one_whose_memory_went_to_the_system_comes_back_with_zeroes, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint64_t all = a->extents_max;
    uint32_t idx = UINT32_MAX;
    for (uint64_t i = KEPT; i < all; i++) {
        (void)take(a, ME, EDDY_KIND_EVENTS, 1);
    }
    memset(eddy_arena_raw(a, eddy_arena_extent_off(a, 7)), 0x5a, EDDY_EXTENT_SIZE);
    cr_assert_eq(empty(a, 7, ME), 0, "it is not free");
    uint32_t gen = EDDY_STATE_GEN(state_of(a, 7));
    eddy_extent_give(a, 7, 1);
    cr_assert_eq(empty(a, 7, ME), 1);
    cr_assert_eq(state_of(a, 7), EDDY_STATE(gen + 1, EDDY_HOLE, 0));
    cr_assert_eq(empty(a, 7, ME), 0);
    cr_assert_not(has_bit(a, EDDY_MAP_FREE, 7));
    cr_assert(has_bit(a, EDDY_MAP_HOLES, 7));
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), 7);
    cr_assert_eq(*(unsigned char *)eddy_arena_raw(a, eddy_arena_extent_off(a, 7)), 0);
    cr_assert_eq(state_of(a, 7), EDDY_STATE(gen + 1, EDDY_OWNED, YOU));
    cr_assert_eq(eddy_extent_take(a, ME, EDDY_KIND_EVENTS, 0, 1, &idx), EDDY_EFULL);
    /* Who emptied one died in it: it counts as a hole. */
    eddy_extent_give(a, 7, 1);
    eddy_st_rel(&a->extents[7].state, EDDY_STATE(gen + 2, EDDY_EMPTYING, ME));
    lose_bit(a, EDDY_MAP_FREE, 7);
    cr_assert_eq(eddy_extent_take(a, YOU, EDDY_KIND_EVENTS, 0, 1, &idx), EDDY_EFULL);
    eddy_extent_sweep(a, ME, 0);
    lose_bit(a, EDDY_MAP_HOLES, 7);
    eddy_extent_remind(a, 7);
    cr_assert_eq(take(a, YOU, EDDY_KIND_EVENTS, 1), 7);
    unit_store_free(a);
}

/* ---- hints that no eddy wrote ---- */

Test(extent, maps_may_say_anything, .timeout = 20) {
    static const uint64_t words[] = {0, 1, 0x4c, 0xff00, UINT64_MAX};
    static const uint64_t lows[] = {0, 1, 2, 1000, UINT32_MAX, UINT64_MAX};
    for (size_t n = 0; n < sizeof words / sizeof words[0]; n++) {
        for (size_t l = 0; l < sizeof lows / sizeof lows[0]; l++) {
            struct eddy_arena *a = unit_store(0);
            for (int i = 0; i < 6; i++) {
                (void)take(a, ME, EDDY_KIND_EVENTS, 1);
            }
            eddy_extent_give(a, KEPT + 2, 3);
            for (unsigned map = 0; map < EDDY_MAPS; map++) {
                for (uint64_t i = 0; i < a->map_words; i++) {
                    eddy_st_rel(a->maps + map * a->map_words + i, words[n]);
                }
                eddy_st_rel(&a->super->lowest[map], lows[l]);
            }
            bool had[64] = {false};
            uint32_t idx;
            cr_assert_not(eddy_extent_resume(a, YOU, 0, &idx));
            uint64_t n_taken = 3;
            while (eddy_extent_take(a, YOU, EDDY_KIND_EVENTS, 0, 1, &idx) == 0) {
                cr_assert(idx < 64 && !had[idx], "taken twice: %u", idx);
                had[idx] = true;
                n_taken += idx >= KEPT; /* the others by a bit that nobody sets */
            }
            cr_assert_eq(n_taken, a->extents_max - KEPT);
            unit_store_free(a);
        }
    }
}

Test(extent, the_fresh_mark_may_be_anywhere, .timeout = 10) {
    static const uint64_t marks[] = {1, 7, 59, 1000, UINT64_MAX};
    for (size_t m = 0; m < sizeof marks / sizeof marks[0]; m++) {
        struct eddy_arena *a = unit_store(0);
        for (int i = 0; i < 3; i++) {
            (void)take(a, ME, EDDY_KIND_EVENTS, 1);
        }
        eddy_st_rel(&a->super->fresh, marks[m]);
        for (int i = 0; i < 3; i++) {
            uint32_t idx = take(a, YOU, EDDY_KIND_EVENTS, 1);
            cr_assert_geq(idx, KEPT + 3);
        }
        cr_assert_eq(eddy_extent_count_owned(a, ME), 3);
        cr_assert_eq(eddy_extent_count_owned(a, YOU), 3);
        unit_store_free(a);
    }
}

static void ignore(void *arg, const char *room, const char *format, ...) {
    unsigned *n = arg;
    (void)format;
    cr_assert_str_eq(room, "extent");
    ++*n;
}

Test(extent, check_finds_states_that_cannot_be, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    unsigned n = 0;
    uint32_t idx = take(a, ME, EDDY_KIND_EVENTS, 1);
    cr_assert_eq(eddy_extent_check(a, ignore, &n), 0);
    uint64_t good = state_of(a, idx);
    const uint64_t bad[] = {EDDY_STATE(0, EDDY_HOLE + 1, ME),
                            EDDY_STATE(0, EDDY_OWNED, UNIT_MEMBERS), UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        eddy_st_rel(&a->extents[idx].state, bad[i]);
        cr_assert_eq(eddy_extent_check(a, ignore, &n), 1);
    }
    eddy_st_rel(&a->extents[idx].state, good);
    eddy_st_rel(&a->extents[idx].info, EDDY_INFO(EDDY_KIND_LIST + 1, 0, 1));
    cr_assert_eq(eddy_extent_check(a, ignore, &n), 1);
    cr_assert_eq(n, 4);
    unit_store_free(a);
}

/* ---- others take and give at any access ---- */

struct race {
    struct eddy_arena *arena;
    uint32_t mine;
    uint32_t theirs;
};

/* The same bit is set again, but of another that comes after it is not. */
static bool take_two_give_one(void *arg) {
    struct race *r = arg;
    uint32_t first = take(r->arena, YOU, EDDY_KIND_EVENTS, 1);
    r->theirs = take(r->arena, YOU, EDDY_KIND_EVENTS, 1);
    eddy_extent_give(r->arena, first, 1);
    return false;
}

static void take_mine(void *arg) {
    struct race *r = arg;
    r->mine = take(r->arena, ME, EDDY_KIND_EVENTS, 1);
}

Test(extent, nothing_is_taken_twice_whatever_comes_between, .timeout = 30) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        struct race r = {.arena = unit_store(0), .theirs = UINT32_MAX};
        struct eddy_arena *a = r.arena;
        for (int i = 0; i < 4; i++) {
            (void)take(a, ME, EDDY_KIND_EVENTS, 1);
        }
        eddy_extent_give(a, KEPT, 3);
        struct unit_step step = {.arena = a, .at = at, .act = take_two_give_one, .arg = &r};
        bool acted = unit_step(&step, take_mine, &r) != 0;
        cr_assert_neq(r.mine, r.theirs);
        cr_assert_eq(EDDY_STATE_MEMBER(state_of(a, r.mine)), ME);
        cr_assert_eq(eddy_extent_count_owned(a, ME), 2);
        cr_assert_eq(eddy_extent_count_owned(a, YOU), acted ? 1 : 0);
        /* No bit was lost: what is free is found. */
        for (uint32_t i = KEPT; i < KEPT + 3; i++) {
            bool is_free = EDDY_STATE_OF(state_of(a, i)) == EDDY_FREE;
            cr_assert(!is_free || has_bit(a, EDDY_MAP_FREE, i), "%u at %llu", i,
                      (unsigned long long)at);
        }
        unit_store_free(a);
        if (!acted) {
            cr_assert_gt(at, 5);
            break;
        }
    }
}

/* ---- threads ---- */

enum { CREW = 3, ROUNDS = 4000 };

struct crew {
    struct eddy_arena *arena;
    uint32_t member;
    unsigned twice;
};

/* Takes, marks as its own, looks whether the mark is still its own, gives back. */
static void *take_and_give(void *arg) {
    struct crew *c = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t idx;
        uint32_t n = i % 5 == 0 ? 3 : 1;
        if (eddy_extent_take(c->arena, c->member, EDDY_KIND_LARGE, 0, n, &idx) < 0) {
            continue;
        }
        for (uint32_t k = 0; k < n; k++) {
            eddy_st_rel(unit_word(c->arena, eddy_arena_extent_off(c->arena, idx + k)), c->member);
        }
        if (n == 1 && i % 3 == 0) {
            unsigned from;
            eddy_extent_seal(c->arena, idx);
            if (!eddy_extent_claim(c->arena, idx, c->member, &from)) {
                c->twice++;
                continue;
            }
        }
        for (uint32_t k = 0; k < n; k++) {
            eddy_word *w = unit_word(c->arena, eddy_arena_extent_off(c->arena, idx + k));
            c->twice += eddy_ld_acq(w) != c->member;
        }
        eddy_extent_give(c->arena, idx, n);
    }
    return NULL;
}

Test(extent, nobody_takes_what_another_has, .timeout = 60) {
    struct eddy_arena *a = unit_store(0);
    struct crew crew[CREW];
    pthread_t thread[CREW];
    uint64_t all = a->extents_max;
    for (uint64_t i = KEPT + 8; i < all; i++) {
        (void)take(a, ME, EDDY_KIND_EVENTS, 1); /* few are left */
    }
    if (eddy_arena_reserved(a) < all) { /* or those that nobody happens to need are not counted */
        cr_assert_eq(eddy_arena_grow(a, (uint32_t)(all - eddy_arena_reserved(a))), 0);
    }
    for (uint32_t i = 0; i < CREW; i++) {
        crew[i] = (struct crew){.arena = a, .member = i + 2};
        cr_assert_eq(pthread_create(&thread[i], NULL, take_and_give, &crew[i]), 0);
    }
    for (int i = 0; i < CREW; i++) {
        cr_assert_eq(pthread_join(thread[i], NULL), 0);
        cr_assert_eq(crew[i].twice, 0);
    }
    cr_assert_eq(eddy_extent_count_free(a), 8);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_lt(take(a, YOU, EDDY_KIND_EVENTS, 1), all, "none was lost");
    }
    unit_store_free(a);
}
