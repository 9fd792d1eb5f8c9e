/* cut: what is removed of single streams goes at one instant; names go out of their index whole. */
#include "cut.h"

#include "gone.h"
#include "unit_support.h"

#include <stdio.h>
#include <string.h>

static void add_cut(struct unit_member *m, const char *stream, unsigned kind, uint64_t version) {
    int64_t s = eddy_batch_stream(&m->batch, m->arena, eddy_str(stream));
    cr_assert_geq(s, 0);
    cr_assert_eq(eddy_batch_cut(&m->batch, (uint32_t)s, kind, version), 0);
}

static int cut(struct unit_member *m, const char *stream, unsigned kind, uint64_t version) {
    add_cut(m, stream, kind, version);
    return unit_commit(m);
}

static const char *name_of(unsigned i) {
    static char name[4][16];
    char *n = name[i % 4];
    snprintf(n, sizeof name[0], "n%u", i);
    return n;
}

static uint64_t blocks_in(struct eddy_arena *a, unsigned from, unsigned to) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        if (EDDY_INFO_KIND(eddy_ld_acq(&a->extents[i].info)) != EDDY_KIND_NODES) {
            continue;
        }
        unsigned class_ = EDDY_INFO_CLASS(eddy_ld_acq(&a->extents[i].info));
        for (uint64_t k = 0; k < EDDY_EXTENT_SIZE / (eddy_class_lines(class_) * EDDY_LINE); k++) {
            uint64_t off = eddy_arena_extent_off(a, i) + k * eddy_class_lines(class_) * EDDY_LINE;
            unsigned state = eddy_block_state(a, off);
            n += state >= from && state <= to;
        }
    }
    return n;
}

/* ---- names ---- */

/* All orders of forgetting some streams of one hash, or of hashes that agree for long. */
static void forget_all_but(uint32_t hash_keep, unsigned count, unsigned first, unsigned step) {
    struct eddy_arena *a = unit_store(hash_keep);
    struct unit_member m;
    bool there[64] = {false};
    unit_join(&m, a);
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(unit_append(&m, name_of(i), 0, 1 + i % 6, 10), 0);
        there[i] = true;
    }
    for (unsigned k = 0; k < count; k++) {
        unsigned i = (first + k * step) % count;
        cr_assert_eq(cut(&m, name_of(i), EDDY_CUT_FORGET, 0), 0);
        cr_assert_eq(m.result.removed, 1 + i % 6);
        there[i] = false;
        for (unsigned n = 0; n < count; n++) {
            cr_assert_eq(unit_stream(a, name_of(n)) != NULL, there[n], "%u of %u after %u", n,
                         count, i);
        }
        unit_assert_sound(a);
        if (k % 5 == 4) { /* one comes again, into a place that was left */
            cr_assert_eq(unit_append(&m, name_of(i), 0, 3, 10), 0);
            cr_assert_eq(unit_version(a, name_of(i)), 3);
            cr_assert_eq(cut(&m, name_of(i), EDDY_CUT_FORGET, 0), 0);
        }
    }
    for (unsigned i = 0; i < EDDY_NAME_CELLS; i++) {
        uint64_t cell = eddy_ld_acq(&a->names[i]);
        cr_assert(cell == 0 || EDDY_IS_TOMB(cell), "nodes in which nothing is go too");
    }
    for (unsigned i = 0; i < count; i++) {
        cr_assert_eq(unit_append(&m, name_of(i), 0, 1, 10), 0);
        cr_assert_eq(unit_version(a, name_of(i)), 1);
    }
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

Test(cut, names_of_one_hash_are_forgotten_in_any_order, .timeout = 60) {
    static const unsigned steps[] = {1, 3, 5, 6};
    for (unsigned first = 0; first < 7; first++) {
        for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
            forget_all_but(1, 7, first, steps[k]);
        }
    }
}

Test(cut, names_of_hashes_that_agree_for_long_are_forgotten_in_any_order, .timeout = 60) {
    for (unsigned first = 0; first < 30; first += 7) {
        forget_all_but(14, 30, first, 1);
        forget_all_but(16, 30, first, 7);
        forget_all_but(20, 30, first, 11);
    }
}

Test(cut, several_of_one_hash_are_forgotten_at_once, .timeout = 30) {
    for (unsigned mask = 1; mask < 32; mask++) {
        struct eddy_arena *a = unit_store(1);
        struct unit_member m;
        unit_join(&m, a);
        for (unsigned i = 0; i < 5; i++) {
            cr_assert_eq(unit_append(&m, name_of(i), 0, 2, 10), 0);
        }
        struct unit_image before = unit_image_take(a);
        for (unsigned i = 0; i < 5; i++) {
            if (mask >> i & 1) {
                add_cut(&m, name_of(i), EDDY_CUT_FORGET, 0);
            }
        }
        cr_assert_eq(unit_commit(&m), 0);
        for (int again = 0; again < 2; again++) {
            for (unsigned i = 0; i < 5; i++) {
                cr_assert_eq(unit_stream(a, name_of(i)) == NULL, (mask >> i & 1) != 0);
            }
            unit_assert_sound(a);
            (void)unit_half_applied(a, &before, mask % 7, m.thread.member);
            (void)unit_help(&m);
        }
        unit_image_free(&before);
        unit_leave(&m);
        unit_store_free(a);
    }
}

/* ---- a death on the way ---- */

struct kind {
    const char *stream;
    unsigned kind;
    uint64_t version;
};

static void plan_kind(struct unit_member *m, const struct kind *k) {
    add_cut(m, k->stream, k->kind, k->version);
    if (k->kind != EDDY_CUT_FORGET) {
        unit_add(m, k->stream, 3, 20);
    }
    unit_add(m, "more", 70, 20);
}

Test(cut, who_comes_after_a_death_does_the_rest, .timeout = 60) {
    static const struct kind kinds[] = {{"s", EDDY_CUT_TRUNCATE, 14},
                                        {"s", EDDY_CUT_TRUNCATE, 78},
                                        {"s", EDDY_CUT_DELETE, 0},
                                        {"u", EDDY_CUT_FORGET, 0},
                                        {"t", EDDY_CUT_FORGET, 0}};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        size_t stores = 1;
        for (size_t done = 0; done < stores; done++) {
            struct eddy_arena *a = unit_store(13);
            struct unit_member m;
            struct unit_member other;
            unit_join(&m, a);
            unit_join(&other, a);
            for (unsigned i = 0; i < 20; i++) {
                cr_assert_eq(unit_append(&m, name_of(i), 0, 1, 10), 0);
            }
            cr_assert_eq(unit_append(&m, "s", 0, 100, 10), 0);
            cr_assert_eq(unit_append(&m, "t", 0, 1, 10), 0);
            cr_assert_eq(unit_append(&m, "u", 0, 6, 10), 0);
            struct unit_image before = unit_image_take(a);
            plan_kind(&m, &kinds[k]);
            cr_assert_eq(unit_commit(&m), 0);
            uint64_t condemned = blocks_in(a, EDDY_CONDEMNED, EDDY_CONDEMNED);
            eddy_store *look = unit_handle(a, EDDY_READ_ONLY);
            stores = unit_half_applied(a, &before, done, m.thread.member) + 1;
            eddy_facts facts = {.size = sizeof facts};
            cr_assert_eq(eddy_info(look, &facts), 0);
            uint64_t events = facts.events;
            eddy_stream_facts one = {.size = sizeof one};
            int found = eddy_stream_info(look, eddy_str(kinds[k].stream), &one);
            cr_assert_eq(found, kinds[k].kind == EDDY_CUT_FORGET ? EDDY_ENOENT : 0);
            (void)unit_help(&other);
            cr_assert_eq(eddy_info(look, &facts), 0);
            cr_assert_eq(facts.events, events);
            cr_assert_eq(blocks_in(a, EDDY_CONDEMNED, EDDY_CONDEMNED), condemned);
            cr_assert_eq(unit_version(a, kinds[k].stream) == 0, found != 0);
            unit_assert_sound(a);
            eddy_close(look);
            unit_image_free(&before);
            unit_leave(&other);
            unit_leave(&m);
            unit_store_free(a);
        }
        cr_assert_gt(stores, 3);
    }
}

/* ---- sums ---- */

/* A stream whose version v has an event of v bytes of data, among others. */
Test(cut, what_a_cut_takes_away_is_what_its_events_had, .timeout = 60) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    uint64_t sum[201] = {0};
    unit_join(&m, a);
    for (unsigned v = 1; v <= 200; v++) {
        cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 1, v), 0);
        cr_assert_eq(unit_append(&m, "t", EDDY_ANY, v % 3 ? 0 : 2, 5), 0);
        sum[v] = sum[v - 1] + (32 + (v + 1 + 7) / 8 * 8); /* the type has one byte */
    }
    struct eddy_shm_stream *d = unit_stream(a, "s");
    struct eddy_view v = unit_view(&m);
    eddy_rcu_enter(&m.thread.span);
    for (uint64_t n = 0; n <= 200; n++) {
        uint64_t bytes = 0;
        cr_assert_eq(eddy_gone_stream_bytes(&v, d, n, &bytes), 0);
        cr_assert_eq(bytes, sum[n], "up to %llu: %llu, not %llu", (unsigned long long)n,
                     (unsigned long long)bytes, (unsigned long long)sum[n]);
    }
    eddy_rcu_leave(&m.thread.span);
    unit_leave(&m);
    unit_store_free(a);
}

/* The nodes of a stream that was forgotten are linked until they are taken back: whoever checks
 * before that must not call it damage (lib/streams.c: eddy_stream_block_linked()). */
Test(cut, nothing_is_wrong_between_forgetting_a_stream_and_taking_its_nodes_back, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", 0, 7, 10), 0);
    cr_assert_eq(cut(&m, "s", EDDY_CUT_FORGET, 0), 0);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}
