/* streams: names are told apart however their hashes collide. */
#include "streams.h"

#include "unit_support.h"

#include <stdio.h>
#include <string.h>

enum { NAMES = 200 };

static char *name_of(int i) {
    static char text[32];
    (void)snprintf(text, sizeof text, "stream-%d", i);
    return text;
}

/* Chains when all bits agree, splits when they differ late, both when few bits are kept. */
Test(streams, every_kind_of_collision_is_told_apart, .timeout = 60) {
    static const uint32_t keeps[] = {1, 2, 5, 11, 12, 13, 14, 15, 16, 18, 21, 64};
    for (size_t k = 0; k < sizeof keeps / sizeof keeps[0]; k++) {
        struct eddy_arena *a = unit_store(keeps[k]);
        struct unit_member m[2];
        unit_join(&m[0], a);
        unit_join(&m[1], a);
        for (int i = 0; i < NAMES; i++) {
            /* One by one, and several new ones in one transaction. */
            unit_add(&m[i % 2], name_of(i), 1, 0);
            if (i % 5 > 2 || i == NAMES - 1) {
                cr_assert_eq(unit_commit(&m[0]), 0);
                cr_assert_eq(unit_commit(&m[1]), 0);
            }
        }
        for (int i = 0; i < NAMES; i++) {
            cr_assert_eq(unit_version(a, name_of(i)), 1, "%s of %u bits", name_of(i), keeps[k]);
        }
        cr_assert_eq(unit_version(a, name_of(NAMES)), 0);
        unit_assert_sound(a);
        unit_leave(&m[0]);
        unit_leave(&m[1]);
        unit_assert_sound(a);
        unit_store_free(a);
    }
}

Test(streams, names_of_all_lengths_are_kept, .timeout = 20) {
    struct eddy_arena *a = unit_store(3);
    struct unit_member m;
    char name[EDDY_STREAM_MAX + 1];
    unit_join(&m, a);
    memset(name, 'x', sizeof name);
    for (size_t n = EDDY_STREAM_MAX; n > 0; n--) {
        name[n] = 0;
        cr_assert_eq(unit_append(&m, name, EDDY_NONE, 1, 0), 0);
        cr_assert_eq(unit_append(&m, name, 1, 1, 0), 0);
    }
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

Test(streams, two_new_streams_of_one_cell_race, .timeout = 20) {
    /* Both evaluate against an empty cell; one commits; the other's answer must not be lost. */
    struct eddy_arena *a = unit_store(1);
    struct unit_member m[2];
    unit_join(&m[0], a);
    unit_join(&m[1], a);
    for (int i = 0; i < 10; i++) {
        unit_add(&m[0], name_of(2 * i), 1, 0);
        unit_add(&m[1], name_of(2 * i + 1), 1, 0);
        unit_add(&m[1], name_of(2 * i), 1, 0);
        cr_assert_eq(unit_commit(&m[i % 2]), 0);
        cr_assert_eq(unit_commit(&m[1 - i % 2]), 0);
        cr_assert_eq(unit_version(a, name_of(2 * i)), 2);
        cr_assert_eq(unit_version(a, name_of(2 * i + 1)), 1);
    }
    unit_assert_sound(a);
    unit_leave(&m[0]);
    unit_leave(&m[1]);
    unit_store_free(a);
}

/* ---- damage ---- */

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    struct eddy_view view;
};

static void scene_open(struct scene *s, uint32_t keep) {
    s->arena = unit_store(keep);
    unit_join(&s->m, s->arena);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(unit_append(&s->m, name_of(i), EDDY_ANY, 9, 0), 0);
    }
    s->view = unit_view(&s->m);
    eddy_rcu_enter(&s->m.thread.span);
}

static void scene_close(struct scene *s) {
    eddy_rcu_leave(&s->m.thread.span);
    unit_leave(&s->m);
    unit_store_free(s->arena);
}

static int64_t find(struct scene *s, const char *name) {
    eddy_bytes n = eddy_str(name);
    return eddy_stream_find(&s->view, n, eddy_stream_hash(s->arena, n));
}

Test(streams, a_chain_that_is_a_circle_ends, .timeout = 20) {
    struct scene s;
    scene_open(&s, 1);
    uint64_t off = (uint64_t)find(&s, name_of(0));
    struct eddy_shm_stream *d = eddy_arena_raw(s.arena, off);
    eddy_st_rel(&d->collision, off);
    uint64_t hash = eddy_ld_acq(&d->hash);
    for (int i = 1; i < 40; i++) {
        if (eddy_stream_hash(s.arena, eddy_str(name_of(i))) == hash) {
            int64_t r = find(&s, name_of(i));
            cr_assert(r == EDDY_ECORRUPT || r > 0, "%lld", (long long)r);
        }
    }
    scene_close(&s);
}

Test(streams, cells_that_lead_nowhere_are_refused, .timeout = 20) {
    struct scene s;
    scene_open(&s, 64);
    uint64_t hash = eddy_stream_hash(s.arena, eddy_str(name_of(0)));
    eddy_word *cell = eddy_keyed_root(s.arena, hash);
    uint64_t was = eddy_ld_acq(cell);
    uint64_t trie = eddy_ld_acq(&s.arena->super->offsets_root);
    const uint64_t refs[] = {8,   was + 8, 4096, s.arena->cap, s.arena->cap - 64, UINT64_MAX - 63,
                             trie};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        eddy_st_rel(cell, refs[i]);
        cr_assert_eq(find(&s, name_of(0)), EDDY_ECORRUPT, "reference %zu", i);
    }
    eddy_st_rel(cell, was);
    struct eddy_shm_stream *d = eddy_arena_raw(s.arena, was);
    const uint64_t lens[] = {0, 256, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        uint64_t len = eddy_ld_acq(&d->name_len);
        eddy_st_rel(&d->name_len, lens[i]);
        cr_assert_eq(find(&s, name_of(0)), EDDY_ECORRUPT, "length %zu", i);
        cr_assert_null(eddy_stream_at(s.arena, was));
        eddy_st_rel(&d->name_len, len);
    }
    cr_assert_eq(find(&s, name_of(0)), (int64_t)was);
    /* A mark says that a name was forgotten. */
    eddy_st_rel(cell, EDDY_TOMB(1));
    cr_assert_eq(find(&s, name_of(0)), 0);
    scene_close(&s);
}

/* Their hashes differ only in bits that stand above the cell: no node can tell them apart. */
Test(streams, a_descriptor_in_a_foreign_cell_is_damage, .timeout = 20) {
    struct scene s;
    scene_open(&s, 64);
    uint64_t hash = eddy_stream_hash(s.arena, eddy_str("new"));
    uint64_t off = (uint64_t)find(&s, name_of(0));
    struct eddy_shm_stream *d = eddy_arena_raw(s.arena, off);
    eddy_st_rel(&d->hash, hash ^ 1);
    eddy_st_rel(eddy_keyed_root(s.arena, hash), off);
    eddy_rcu_leave(&s.m.thread.span);
    cr_assert_eq(unit_append(&s.m, "new", EDDY_ANY, 1, 0), EDDY_ECORRUPT, "%s", eddy_errmsg());
    eddy_rcu_enter(&s.m.thread.span);
    scene_close(&s);
}

Test(streams, the_slots_of_versions_lie_where_they_should, .timeout = 20) {
    struct scene s;
    scene_open(&s, 64);
    cr_assert_eq(unit_append(&s.m, "v", EDDY_ANY, 200, 0), 0);
    uint64_t first = s.m.result.first_offset;
    struct eddy_shm_stream *d = unit_stream(s.arena, "v");
    struct eddy_trie_leaf leaf = {0};
    for (uint64_t v = 1; v <= 200; v++) {
        eddy_word *slot = NULL;
        cr_assert_eq(eddy_stream_slot(&s.view, d, v, v % 3 ? &leaf : NULL, &slot), 1);
        cr_assert_eq(eddy_ld_acq(slot), first + v - 1);
    }
    eddy_word *slot = NULL;
    struct eddy_shm_stream *small = unit_stream(s.arena, name_of(3));
    cr_assert_eq(eddy_stream_slot(&s.view, small, 15, NULL, &slot), 0);
    cr_assert_eq(eddy_stream_slot(&s.view, small, UINT64_MAX, NULL, &slot), 0);
    cr_assert_eq(eddy_stream_slot(&s.view, small, 14, NULL, &slot), 1);
    cr_assert_eq(eddy_ld_acq(slot), 0);
    scene_close(&s);
}

/* ---- the edge test ---- */

static void all_linked(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    struct scene *s = arg;
    (void)class_;
    if (EDDY_STATE_OF(state) == EDDY_LINKED) {
        cr_assert(eddy_stream_block_linked(&s->view, off), "%llu", (unsigned long long)off);
    }
}

Test(streams, a_block_is_linked_if_the_one_cell_leads_to_it, .timeout = 20) {
    static const uint32_t keeps[] = {1, 13, 14, 64};
    for (size_t k = 0; k < sizeof keeps / sizeof keeps[0]; k++) {
        struct scene s;
        scene_open(&s, keeps[k]);
        for (int i = 0; i < 40; i++) {
            cr_assert_eq(unit_append(&s.m, name_of(i), EDDY_ANY, 80, 0), 0);
        }
        for (uint32_t i = 0; i < eddy_arena_reserved(s.arena); i++) {
            eddy_block_each(s.arena, i, all_linked, &s);
        }
        /* A private twin of a descriptor: found by its name is the other. */
        uint64_t twin;
        struct eddy_shm_stream *d = unit_stream(s.arena, name_of(5));
        cr_assert_eq(eddy_block_take(s.arena, &s.m.thread.blocks, 1, EDDY_STREAM_CLASS(8), &twin),
                     0);
        eddy_stream_init(eddy_arena_raw(s.arena, twin), eddy_stream_name(d), eddy_ld_acq(&d->hash),
                         99);
        cr_assert_not(eddy_stream_block_linked(&s.view, twin));
        /* A node under a root in that twin is not linked either, though the twin leads to it. */
        uint64_t node;
        struct eddy_shm_stream *t = eddy_arena_raw(s.arena, twin);
        cr_assert_eq(eddy_block_take(s.arena, &s.m.thread.blocks, 1, EDDY_LEAF8_CLASS, &node), 0);
        struct eddy_shm_node *n = eddy_arena_raw(s.arena, node);
        eddy_st_rel(&n->block.shape, EDDY_SHAPE(EDDY_BLOCK_NODE, 0, 3));
        eddy_st_rel(&n->home, eddy_arena_off(s.arena, &t->leaf8));
        eddy_st_rel(&t->leaf8, node);
        cr_assert_not(eddy_stream_block_linked(&s.view, node));
        /* Nor is a block that was taken and is still all zeros. */
        uint64_t blank;
        cr_assert_eq(eddy_block_take(s.arena, &s.m.thread.blocks, 1, 9, &blank), 0);
        cr_assert_not(eddy_stream_block_linked(&s.view, blank));
        scene_close(&s);
    }
}
