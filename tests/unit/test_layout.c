/* layout: the fixed parts of a store of any size lie one behind the other. */
#include "layout.h"

#include <criterion/criterion.h>
#include <string.h>

static struct eddy_shm_super plan_of(uint64_t cap, uint32_t members, uint32_t threads) {
    struct eddy_shm_super s;
    struct eddy_layout_sizes sizes = {cap, members, threads};
    memset(&s, 0, sizeof s);
    eddy_layout_plan(&s, &sizes);
    return s;
}

static void assert_part(uint64_t *end, uint64_t off, uint64_t bytes, uint64_t align) {
    cr_assert_geq(off, *end);
    cr_assert_eq(off % align, 0);
    *end = off + bytes;
}

Test(layout, parts_do_not_overlap_and_fit_in_the_cap, .timeout = 10) {
    static const uint64_t caps[] = {4 << 20, 5000000, 64 << 20, UINT64_C(64) << 30,
                                    UINT64_C(1) << 44};
    static const uint32_t counts[][2] = {{3, 3}, {129, 256}, {1025, 8001}, {3, 64}, {3, 65}};
    for (size_t c = 0; c < 5; c++) {
        for (size_t n = 0; n < 5; n++) {
            struct eddy_shm_super s = plan_of(caps[c], counts[n][0], counts[n][1]);
            if (s.states_off + (2 << 20) > caps[c]) {
                continue; /* refused when it is made */
            }
            uint64_t end = sizeof s;
            assert_part(&end, s.ring_off, sizeof(struct eddy_shm_ring), EDDY_LINE);
            assert_part(&end, s.waits_off,
                        8 * (uint64_t)s.wait_words +
                            EDDY_WAIT_GROUPS * eddy_layout_group_size(s.wait_words),
                        EDDY_LINE);
            assert_part(&end, s.names_off, UINT64_C(8) * EDDY_NAME_CELLS, EDDY_LINE);
            assert_part(&end, s.members_off,
                        (uint64_t)s.members_max * sizeof(struct eddy_shm_member), EDDY_LINE);
            assert_part(&end, s.threads_off,
                        (uint64_t)s.threads_max * sizeof(struct eddy_shm_thread), EDDY_LINE);
            assert_part(&end, s.readers_off,
                        (uint64_t)s.readers_max * sizeof(struct eddy_shm_reader), EDDY_LINE);
            assert_part(&end, s.maps_off, EDDY_MAPS * eddy_layout_map_size(s.extents_max), 4096);
            assert_part(&end, s.states_off, s.extents_max * sizeof(struct eddy_shm_extent), 4096);
            assert_part(&end, s.extents_off, s.extents_max * EDDY_EXTENT_SIZE, EDDY_EXTENT_SIZE);
            cr_assert_leq(end, caps[c]);
            cr_assert_gt(end + 3 * EDDY_EXTENT_SIZE, caps[c] - caps[c] / 512, "little is wasted");
            cr_assert_geq((uint64_t)s.wait_words * 64, s.readers_max);
        }
    }
}

Test(layout, groups_lie_on_lines_of_their_own, .timeout = 10) {
    for (uint32_t words = 1; words <= 126; words++) {
        uint64_t size = eddy_layout_group_size(words);
        cr_assert_eq(size % EDDY_LINE, 0);
        cr_assert_geq(size, sizeof(struct eddy_shm_group) + 8 * (uint64_t)words);
        cr_assert_lt(size, sizeof(struct eddy_shm_group) + 8 * (uint64_t)words + EDDY_LINE);
    }
}

Test(layout, the_fingerprint_is_of_every_size, .timeout = 10) {
    struct eddy_shm_super s = plan_of(64 << 20, 129, 256);
    cr_assert_eq(s.fingerprint, eddy_layout_fingerprint(&s));
    struct eddy_shm_super same = plan_of(64 << 20, 129, 256);
    cr_assert_eq(s.fingerprint, same.fingerprint);
    struct eddy_shm_super others[] = {plan_of(65 << 20, 129, 256), plan_of(64 << 20, 130, 256),
                                      plan_of(64 << 20, 129, 255)};
    for (size_t i = 0; i < 3; i++) {
        cr_assert_neq(others[i].fingerprint, s.fingerprint);
    }
    uint64_t *words[] = {&s.cap,         &s.ring_off,    &s.waits_off,   &s.names_off,
                         &s.members_off, &s.threads_off, &s.readers_off, &s.states_off,
                         &s.extents_off, &s.extents_max, &s.maps_off};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        *words[i] ^= 1;
        cr_assert_neq(eddy_layout_fingerprint(&s), s.fingerprint, "word %zu", i);
        *words[i] ^= 1;
    }
    s.layout++;
    cr_assert_neq(eddy_layout_fingerprint(&s), s.fingerprint);
}

Test(layout, words_are_packed_and_unpacked, .timeout = 10) {
    uint64_t w = EDDY_STATE(UINT32_MAX, EDDY_RETIRED, UINT16_MAX);
    cr_assert_eq(EDDY_STATE_GEN(w), UINT32_MAX);
    cr_assert_eq(EDDY_STATE_OF(w), EDDY_RETIRED);
    cr_assert_eq(EDDY_STATE_MEMBER(w), UINT16_MAX);
    w = EDDY_INFO(EDDY_KIND_LIST, 9, UINT32_MAX);
    cr_assert_eq(EDDY_INFO_KIND(w), EDDY_KIND_LIST);
    cr_assert_eq(EDDY_INFO_CLASS(w), 9);
    cr_assert_eq(EDDY_INFO_RUN(w), UINT32_MAX);
    w = EDDY_REDO(EDDY_REDO_MAX, 64, UINT64_C(0xfffffffffff8));
    cr_assert_eq(EDDY_REDO_KIND(w), EDDY_REDO_MAX);
    cr_assert_eq(EDDY_REDO_COUNT(w), 64);
    cr_assert_eq(EDDY_REDO_OFF(w), UINT64_C(0xfffffffffff8));
    w = EDDY_SHAPE(EDDY_BLOCK_STREAM, 60, 6);
    cr_assert_eq(EDDY_SHAPE_KIND(w), EDDY_BLOCK_STREAM);
    cr_assert_eq(EDDY_SHAPE_SHIFT(w), 60);
    cr_assert_eq(EDDY_SHAPE_BITS(w), 6);
    cr_assert(EDDY_IS_TOMB(EDDY_TOMB(0)));
    cr_assert_not(EDDY_IS_TOMB(UINT64_C(64)));
    cr_assert_eq(EDDY_NODE_CLASS(EDDY_NODE_BITS), 9);
    cr_assert_eq(EDDY_NODE_CLASS(EDDY_HASH_BITS), 2);
    cr_assert_eq(EDDY_STREAM_CLASS(1), 3);
    cr_assert_eq(EDDY_STREAM_CLASS(255), 7);
}
