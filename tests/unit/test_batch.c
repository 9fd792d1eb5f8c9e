/* batch: payloads in private extents, in parts; kept when it is committed, given back when not. */
#include "batch.h"

#include "unit_support.h"

#include <stdio.h>
#include <string.h>

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
};

static void scene_open(struct scene *s) {
    s->arena = unit_store_of(UINT64_C(64) << 20, 0);
    unit_join(&s->m, s->arena);
}

static void scene_close(struct scene *s) {
    unit_assert_sound(s->arena);
    unit_leave(&s->m);
    unit_assert_sound(s->arena);
    cr_assert_eq(eddy_extent_count_owned(s->arena, 1), 0);
    unit_store_free(s->arena);
}

static unsigned state_of(struct scene *s, uint64_t base) {
    return EDDY_STATE_OF(
        eddy_ld_acq(&s->arena->extents[eddy_arena_extent_of(s->arena, base)].state));
}

static uint64_t fill_of(struct scene *s, uint64_t base) {
    return EDDY_FILL_BYTES(
        eddy_ld_acq(&s->arena->extents[eddy_arena_extent_of(s->arena, base)].fill));
}

static void drop(struct scene *s) {
    eddy_batch_drop(&s->m.batch, &s->m.thread);
    eddy_batch_clear(&s->m.batch);
}

Test(batch, streams_are_numbered_as_they_come_few_or_many, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    for (int round = 0; round < 3; round++) {
        for (int again = 0; again < 2; again++) {
            for (int i = 0; i < 1000; i++) {
                char name[16];
                (void)snprintf(name, sizeof name, "s%d", i);
                cr_assert_eq(eddy_batch_stream(&s.m.batch, s.arena, eddy_str(name)), i);
                eddy_bytes n = eddy_batch_name(&s.m.batch, (uint32_t)i);
                cr_assert(n.len == strlen(name) && memcmp(n.ptr, name, n.len) == 0);
            }
        }
        cr_assert_eq(s.m.batch.streams.count, 1000);
        eddy_batch_clear(&s.m.batch);
    }
    scene_close(&s);
}

Test(batch, what_is_dropped_leaves_the_mark_and_the_cursor_as_they_were, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 1, 100), 0);
    struct eddy_cursor was = s.m.thread.cursor;
    uint64_t fill = fill_of(&s, was.base);
    cr_assert_eq(fill, was.fill);
    unit_add(&s.m, "s", 3, 5000);
    cr_assert_eq(s.m.thread.cursor.base, 0, "the batch has it");
    cr_assert_eq(eddy_batch_close(&s.m.batch, &s.m.thread), 0);
    cr_assert_gt(fill_of(&s, was.base), fill);
    drop(&s);
    cr_assert_eq(memcmp(&s.m.thread.cursor, &was, sizeof was), 0);
    cr_assert_eq(fill_of(&s, was.base), fill);
    cr_assert_eq(eddy_extent_count_owned(s.arena, 1), 2 + 1); /* events, descriptors, nodes */
    scene_close(&s);
}

Test(batch, extents_that_only_it_used_go_back, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 1, 100), 0);
    uint64_t owned = eddy_extent_count_owned(s.arena, 1);
    uint64_t base = s.m.thread.cursor.base;
    unit_add(&s.m, "s", 30, 10000);
    unit_add(&s.m, "s", 2, 200000);
    unit_add(&s.m, "s", 1, 10);
    cr_assert_gt(eddy_extent_count_owned(s.arena, 1), owned + 10);
    drop(&s);
    cr_assert_eq(eddy_extent_count_owned(s.arena, 1), owned);
    cr_assert_eq(s.m.thread.cursor.base, base);
    scene_close(&s);
}

Test(batch, parts_over_several_extents_say_where_each_event_belongs, .timeout = 20) {
    struct scene s;
    scene_open(&s);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 60; i++) {
            unit_add(&s.m, i % 3 ? "a" : "b", 1, i % 7 == 6 ? 130000 : 3000 + 100 * (size_t)i);
            unit_add(&s.m, "c", 2, 8);
        }
        cr_assert_gt(s.m.batch.parts.count, 5);
        cr_assert_eq(unit_commit(&s.m), 0);
        cr_assert_eq(s.m.result.last_offset - s.m.result.first_offset + 1, 180);
        unit_assert_sound(s.arena);
    }
    cr_assert_eq(unit_version(s.arena, "a"), 120);
    cr_assert_eq(unit_version(s.arena, "b"), 60);
    cr_assert_eq(unit_version(s.arena, "c"), 360);
    scene_close(&s);
}

Test(batch, an_event_larger_than_an_extent_has_a_run_of_its_own, .timeout = 20) {
    static const size_t sizes[] = {65536 - 200, 65536 - 97, 65536 - 96,  65536 - 80, 65536 - 64,
                                   65536,       65537,      131072 - 96, 200000};
    struct scene s;
    scene_open(&s);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unit_add(&s.m, "s", 1, 10);
        unit_add(&s.m, "s", 1, sizes[i]);
        unit_add(&s.m, "s", 1, 10);
        cr_assert_eq(unit_commit(&s.m), 0);
        unit_assert_sound(s.arena);
    }
    for (uint32_t i = 0; i < eddy_arena_reserved(s.arena); i++) {
        uint64_t info = eddy_ld_acq(&s.arena->extents[i].info);
        if (EDDY_INFO_KIND(info) == EDDY_KIND_LARGE || EDDY_INFO_KIND(info) == EDDY_KIND_REST) {
            cr_assert_eq(state_of(&s, eddy_arena_extent_off(s.arena, i)), EDDY_SEALED);
        }
    }
    scene_close(&s);
}

Test(batch, the_next_goes_on_where_the_last_ended, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 1, 100), 0);
    struct eddy_cursor c = s.m.thread.cursor;
    cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 1, 100), 0);
    cr_assert_eq(s.m.thread.cursor.base, c.base);
    cr_assert_gt(s.m.thread.cursor.fill, c.fill);
    /* Two open at once: one has the cursor, the other an extent of its own. */
    struct eddy_batch other;
    eddy_batch_init(&other);
    eddy_new_event e = {.data = eddy_str("x")};
    unit_add(&s.m, "s", 1, 10);
    uint32_t n = (uint32_t)eddy_batch_stream(&other, s.arena, eddy_str("s"));
    cr_assert_eq(eddy_batch_append(&other, &s.m.thread, n, &e, 1, false, NULL), 0);
    cr_assert_neq(other.pieces.at[0].base, s.m.batch.pieces.at[0].base);
    cr_assert_eq(unit_commit(&s.m), 0);
    eddy_batch_drop(&other, &s.m.thread);
    eddy_batch_fini(&other);
    scene_close(&s);
}

Test(batch, an_extent_that_another_left_is_filled_on, .timeout = 10) {
    struct scene s;
    struct unit_member other;
    scene_open(&s);
    unit_join(&other, s.arena);
    cr_assert_eq(unit_append(&other, "s", EDDY_ANY, 1, 100), 0);
    uint64_t base = other.thread.cursor.base;
    uint64_t fill = other.thread.cursor.fill;
    unit_leave(&other);
    cr_assert_eq(state_of(&s, base), EDDY_PARTIAL);
    cr_assert_eq(unit_append(&s.m, "s", 1, 1, 100), 0);
    cr_assert_eq(s.m.thread.cursor.base, base);
    cr_assert_gt(s.m.thread.cursor.fill, fill);
    scene_close(&s);
}

Test(batch, marks_that_cannot_be_are_not_filled_on, .timeout = 10) {
    static const uint64_t marks[] = {4, EDDY_EXTENT_SIZE - 8, EDDY_EXTENT_SIZE + 8, UINT64_MAX,
                                     UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        struct scene s;
        scene_open(&s);
        uint32_t idx;
        cr_assert_eq(eddy_extent_take(s.arena, 2, EDDY_KIND_EVENTS, 0, 1, &idx), 0);
        eddy_st_rel(&s.arena->extents[idx].fill, marks[i]);
        eddy_extent_leave(s.arena, idx);
        cr_assert_eq(unit_append(&s.m, "s", EDDY_ANY, 1, 100), 0);
        cr_assert_neq(eddy_arena_extent_of(s.arena, s.m.thread.cursor.base), idx);
        cr_assert_eq(state_of(&s, eddy_arena_extent_off(s.arena, idx)), EDDY_SEALED);
        unit_leave(&s.m);
        unit_store_free(s.arena);
    }
}

Test(batch, heads_can_be_written_again_and_again, .timeout = 10) {
    struct scene s;
    scene_open(&s);
    unit_add(&s.m, "a", 2, 10);
    unit_add(&s.m, "b", 1, 10);
    unit_add(&s.m, "a", 1, 70000);
    cr_assert_eq(eddy_batch_close(&s.m.batch, &s.m.thread), 0);
    s.m.batch.streams.at[0].fresh = 640;
    s.m.batch.streams.at[1].desc = 1280;
    for (uint64_t first = 1; first < 1000; first += 333) {
        s.m.batch.streams.at[0].base = first;
        eddy_batch_write_heads(&s.m.batch, s.arena, first, 5);
        const struct eddy_shm_head *h = eddy_arena_raw(s.arena, s.m.batch.parts.at[0].head);
        cr_assert_eq(h->tx_offset, first);
        cr_assert_eq(h->tx_count, 4);
        cr_assert_eq(h->streams, 2);
        cr_assert_eq(h->part[0].stream, 640);
        cr_assert_eq(h->part[0].version, first + 1);
        cr_assert_eq(h->part[1].stream, 1280);
        cr_assert_eq(h->part[1].version, 1);
        h = eddy_arena_raw(s.arena, s.m.batch.parts.at[1].head);
        cr_assert_eq(h->first, 3);
        cr_assert_eq(h->part[0].version, first + 3);
        cr_assert_eq(s.m.batch.parts.at[1].head, s.m.batch.parts.at[1].base);
    }
    drop(&s);
    scene_close(&s);
}
