/* gone: what the floor and a stream's first version say, and sums on either side of any number. */
#include "gone.h"

#include "reclaim.h"
#include "support/rng.h"
#include "unit_support.h"

#include <string.h>

enum { EVENTS = 400 };

/* Three streams, mixed; offset o has an event of stream[o] and bytes[o]. */
struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    unsigned count;
    unsigned stream[EVENTS + 1];
    uint64_t version[EVENTS + 1];
    uint64_t bytes[EVENTS + 1];
    uint64_t last[3];
};

static const char *const names[] = {"a", "b", "c"};

static void scene_open(struct scene *s, uint64_t which) {
    struct rng rng = rng_make(which);
    memset(s, 0, sizeof *s);
    s->arena = unit_store(0);
    unit_join(&s->m, s->arena);
    while (s->count < EVENTS) {
        unsigned i = (unsigned)rng_below(&rng, 3);
        unsigned n = 1 + (unsigned)rng_below(&rng, 9);
        size_t len = rng_below(&rng, 100);
        for (unsigned k = 0; k < n && s->count < EVENTS; k++) {
            unsigned o = ++s->count;
            s->stream[o] = i;
            s->version[o] = ++s->last[i];
            s->bytes[o] = 32 + (len + 1 + 7) / 8 * 8; /* the type has one byte */
            unit_add(&s->m, names[i], 1, len);
        }
        cr_assert_eq(unit_commit(&s->m), 0);
    }
}

static void scene_close(struct scene *s) {
    unit_leave(&s->m);
    unit_store_free(s->arena);
}

static struct eddy_ring_copy totals(struct scene *s) {
    struct eddy_ring_copy now;
    uint32_t buffer;
    cr_assert_eq(eddy_ring_before(s->arena, unit_help(&s->m), &now, &buffer), 1);
    return now;
}

Test(gone, the_last_version_below_any_floor_is_found, .timeout = 30) {
    for (uint64_t which = 1; which < 4; which++) {
        struct scene s;
        scene_open(&s, which);
        struct eddy_view v = unit_view(&s.m);
        uint64_t below[3] = {0};
        eddy_rcu_enter(&s.m.thread.span);
        for (unsigned floor = 0; floor <= EVENTS; floor++) {
            eddy_st_rel(&s.arena->super->floor, floor);
            below[s.stream[floor]] = floor ? s.version[floor] : 0;
            for (unsigned i = 0; i < 3; i++) {
                struct eddy_shm_stream *d = unit_stream(s.arena, names[i]);
                uint64_t gone = UINT64_MAX;
                cr_assert_eq(eddy_gone_versions(&v, d, &gone), 0);
                cr_assert_eq(gone, below[i], "floor %u", floor);
                /* A first version that lies higher counts. */
                uint64_t first = below[i] + 2 < s.last[i] ? below[i] + 2 : s.last[i];
                eddy_st_rel(&d->first, first);
                cr_assert_eq(eddy_gone_versions(&v, d, &gone), 0);
                cr_assert_eq(gone, first);
                eddy_st_rel(&d->first, below[i] / 2);
                cr_assert_eq(eddy_gone_versions(&v, d, &gone), 0);
                cr_assert_eq(gone, below[i]);
                eddy_st_rel(&d->first, 0);
            }
        }
        eddy_rcu_leave(&s.m.thread.span);
        scene_close(&s);
    }
}

Test(gone, sums_are_right_up_to_any_number, .timeout = 30) {
    for (uint64_t which = 5; which < 8; which++) {
        struct scene s;
        scene_open(&s, which);
        struct eddy_view v = unit_view(&s.m);
        struct eddy_ring_copy now = totals(&s);
        uint64_t sum = 0;
        uint64_t of[3] = {0};
        eddy_rcu_enter(&s.m.thread.span);
        for (unsigned o = 1; o <= EVENTS; o++) {
            uint64_t bytes = 0;
            sum += s.bytes[o];
            of[s.stream[o]] += s.bytes[o];
            cr_assert_eq(eddy_gone_store_bytes(&v, &now, o, &bytes), 0);
            cr_assert_eq(bytes, sum, "offset %u", o);
            struct eddy_shm_stream *d = unit_stream(s.arena, names[s.stream[o]]);
            cr_assert_eq(eddy_gone_stream_bytes(&v, d, s.version[o], &bytes), 0);
            cr_assert_eq(bytes, of[s.stream[o]], "version %llu", (unsigned long long)s.version[o]);
        }
        cr_assert_eq(now.bytes_in, sum);
        eddy_rcu_leave(&s.m.thread.span);
        scene_close(&s);
    }
}

Test(gone, a_mark_says_how_much_has_gone_and_a_missing_leaf_how_far, .timeout = 20) {
    struct scene s;
    scene_open(&s, 9);
    struct eddy_view v = unit_view(&s.m);
    struct eddy_gone_look look;
    eddy_word *slot;
    eddy_rcu_enter(&s.m.thread.span);
    for (unsigned o = 1; o <= EVENTS; o += 13) {
        cr_assert_eq(eddy_gone_look(&v, o, NULL, &look), 1);
        cr_assert_eq(look.bytes, s.bytes[o]);
        cr_assert_eq(look.version, s.version[o]);
        cr_assert_eq(look.stream,
                     eddy_arena_off(s.arena, unit_stream(s.arena, names[s.stream[o]])));
        cr_assert_eq(eddy_trie_slot(&v, &s.arena->super->offsets_root, o, &slot), 1);
        eddy_st_rel(slot, EDDY_TOMB(s.bytes[o]));
        cr_assert_eq(eddy_gone_look(&v, o, NULL, &look), 0);
        cr_assert_eq(look.bytes, s.bytes[o]);
        cr_assert_eq(look.ref, 0);
        cr_assert_eq(look.slot, slot);
    }
    cr_assert_eq(eddy_gone_look(&v, EVENTS + 1, NULL, &look), 0);
    cr_assert_eq(look.bytes, 0);
    cr_assert_eq(eddy_gone_look(&v, 1000000, NULL, &look), EDDY_ECORRUPT, "it never was");
    cr_assert_eq(look.slot, NULL);
    /* The leaf of 64 to 127 has gone. */
    uint64_t top = eddy_ld_acq(&s.arena->super->offsets_root);
    struct eddy_shm_node *root = eddy_arena_raw(s.arena, top);
    eddy_st_rel(&root->slot[1], EDDY_TOMB(0));
    for (unsigned o = 64; o < 128; o++) {
        cr_assert_eq(eddy_gone_look(&v, o, NULL, &look), 0);
        cr_assert_eq(look.slot, NULL);
        cr_assert_eq(look.first, 64);
        cr_assert_eq(look.last, 127);
    }
    eddy_rcu_leave(&s.m.thread.span);
    scene_close(&s);
}

Test(gone, an_event_has_gone_by_the_floor_or_by_its_stream, .timeout = 10) {
    struct scene s;
    scene_open(&s, 10);
    struct eddy_view v = unit_view(&s.m);
    struct eddy_shm_stream *d = unit_stream(s.arena, "a");
    uint64_t off = eddy_arena_off(s.arena, d);
    cr_assert_not(eddy_gone_cuts(&v));
    cr_assert_not(eddy_gone_event(&v, 50, 3, off));
    eddy_st_rel(&s.arena->super->floor, 50);
    cr_assert(eddy_gone_event(&v, 50, 3, off));
    cr_assert_not(eddy_gone_event(&v, 51, 3, off));
    eddy_st_rel(&s.arena->super->cuts, 1);
    eddy_st_rel(&d->first, 3);
    cr_assert(eddy_gone_event(&v, 51, 3, off));
    cr_assert_not(eddy_gone_event(&v, 51, 4, off));
    uint64_t version = eddy_ld_acq(&d->version);
    cr_assert_not(eddy_gone_removed(&v, d));
    eddy_st_rel(&d->removed, version);
    cr_assert_not(eddy_gone_removed(&v, d), "it was written since");
    eddy_st_rel(&d->removed, version + 1);
    cr_assert(eddy_gone_removed(&v, d));
    scene_close(&s);
}

Test(gone, a_missing_event_is_damage_and_not_a_sum, .timeout = 10) {
    struct scene s;
    scene_open(&s, 11);
    struct eddy_view v = unit_view(&s.m);
    struct eddy_ring_copy now = totals(&s);
    eddy_word *slot;
    uint64_t bytes;
    eddy_rcu_enter(&s.m.thread.span);
    cr_assert_eq(eddy_trie_slot(&v, &s.arena->super->offsets_root, 100, &slot), 1);
    eddy_st_rel(slot, 0);
    cr_assert_eq(eddy_gone_store_bytes(&v, &now, 90, &bytes), EDDY_ECORRUPT);
    cr_assert_eq(eddy_gone_store_bytes(&v, &now, 100, &bytes), 0);
    struct eddy_shm_stream *d = unit_stream(s.arena, names[s.stream[100]]);
    eddy_st_rel(&d->root, EDDY_TOMB(0));
    cr_assert_eq(eddy_gone_stream_bytes(&v, d, 9, &bytes), EDDY_ECORRUPT);
    eddy_rcu_leave(&s.m.thread.span);
    scene_close(&s);
}
