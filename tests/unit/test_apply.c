/* apply: whoever acts on a record, from whichever point another left it, once, twice or late, ends
 * at the same store. Half-applied records are built by hand, word by word. */
#include "apply.h"

#include "unit_support.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 512 };

/* A store in which all kinds of entries come together: with one bit of hash, names collide. */
struct scene {
    struct eddy_arena *arena;
    struct unit_member writer;
    struct unit_member other;
};

static void scene_open(struct scene *s) {
    s->arena = unit_store(13);
    unit_join(&s->writer, s->arena);
    unit_join(&s->other, s->arena);
    cr_assert_eq(unit_append(&s->other, "warm", EDDY_ANY, 1, 0), 0);
}

static void scene_close(struct scene *s) {
    unit_leave(&s->other);
    unit_store_free(s->arena);
}

/* Runs over inline slots, the small leaf and the trie, references, new roots by swap, maxima. */
static void big_transaction(struct unit_member *m) {
    unit_add(m, "warm", 20, 16);
    unit_add(m, "n1", 1, 0);
    unit_add(m, "n2", 70, 0);
    unit_add(m, "n3", 7, 0);
    cr_assert_eq(unit_commit(m), 0);
}

static void assert_big_is_there(struct eddy_arena *a) {
    cr_assert_eq(unit_version(a, "warm"), 21);
    cr_assert_eq(unit_version(a, "n1"), 1);
    cr_assert_eq(unit_version(a, "n2"), 70);
    cr_assert_eq(unit_version(a, "n3"), 7);
    unit_assert_sound(a);
}

Test(apply, a_record_is_completed_from_wherever_its_applier_died, .timeout = 60) {
    size_t n = SIZE_MAX;
    for (size_t done = 0; n == SIZE_MAX || done <= n; done++) {
        struct scene s;
        scene_open(&s);
        struct unit_image before = unit_image_take(s.arena);
        big_transaction(&s.writer);
        n = unit_half_applied(s.arena, &before, done, s.writer.thread.member);
        unit_image_free(&before);
        unit_die(&s.writer);
        cr_assert_eq(unit_applied(s.arena), 1);
        unit_assert_sound(s.arena); /* through the overlay of a read-only handle */
        cr_assert_eq(unit_help(&s.other), 2);
        cr_assert_eq(unit_applied(s.arena), 2);
        assert_big_is_there(s.arena);
        scene_close(&s);
    }
    cr_assert_gt(n, 20);
}

Test(apply, doing_it_again_changes_nothing, .timeout = 20) {
    struct scene s;
    scene_open(&s);
    big_transaction(&s.writer);
    unit_leave(&s.writer);
    struct unit_image once = unit_image_take(s.arena);
    /* All applied, but `applied` not moved: as a death just before that leaves it. */
    eddy_st_rel(&s.arena->ring->applied, 1);
    cr_assert_eq(unit_help(&s.other), 2);
    struct unit_image twice = unit_image_take(s.arena);
    cr_assert_eq(unit_image_differs(&once, &twice, &s.other), UINT64_MAX);
    unit_image_free(&once);
    unit_image_free(&twice);
    scene_close(&s);
}

/* ---- late helpers ---- */

struct late {
    struct scene s;
    struct unit_member third;
    struct unit_image after;
    unsigned bulk; /* events that the others append at last */
};

/* While the helper stands still: the record is applied by others, who go on for more than a round
 * of the ring, use both buffers anew, and change the same words: roots grow, versions rise, a
 * name's cell is split. */
static bool others_go_on(void *arg) {
    struct late *l = arg;
    cr_assert_geq(unit_help(&l->s.other), 1);
    for (unsigned i = 0; i < 5; i++) {
        char name[] = "later-0";
        name[6] = (char)('0' + i);
        cr_assert_eq(unit_append(&l->s.other, "warm", EDDY_ANY, 30, 0), 0);
        cr_assert_eq(unit_append(&l->third, name, EDDY_ANY, 1 + 20 * i, 0), 0);
    }
    cr_assert_eq(unit_append(&l->third, "bulk", EDDY_ANY, l->bulk, 0), 0);
    l->after = unit_image_take(l->s.arena);
    return false;
}

static void help_late(void *arg) {
    struct late *l = arg;
    uint64_t seq = 0;
    uint64_t empty = 0;
    eddy_rcu_enter(&l->s.writer.thread.span);
    cr_assert_eq(eddy_apply_help(&l->s.writer.thread, &seq, &empty), 0, "%s", eddy_errmsg());
    eddy_rcu_leave(&l->s.writer.thread.span);
    cr_assert_leq(seq, eddy_ring_applied(l->s.arena));
}

/* Committed by `third`, not applied; the helper is `writer`. hash_keep: how names collide. */
static bool late_at(uint64_t at, uint32_t hash_keep, bool first_ever) {
    struct late l;
    memset(&l, 0, sizeof l);
    l.bulk = first_ever ? 1 : 64 * 64; /* a root that was swapped is swapped again */
    l.s.arena = unit_store(hash_keep);
    unit_join(&l.s.writer, l.s.arena);
    unit_join(&l.s.other, l.s.arena);
    unit_join(&l.third, l.s.arena);
    if (!first_ever) {
        cr_assert_eq(unit_append(&l.s.other, "warm", EDDY_ANY, 60, 0), 0);
    }
    struct unit_image before = unit_image_take(l.s.arena);
    unit_add(&l.third, "warm", 9, 0);
    unit_add(&l.third, "late", 3, 0);
    cr_assert_eq(unit_commit(&l.third), 0);
    unit_half_applied(l.s.arena, &before, 0, 0);
    unit_image_free(&before);
    struct unit_step step = {.arena = l.s.arena, .at = at, .act = others_go_on, .arg = &l};
    bool acted = unit_step(&step, help_late, &l) != 0;
    if (acted) {
        struct unit_image now = unit_image_take(l.s.arena);
        uint64_t off = unit_image_differs(&l.after, &now, &l.s.writer);
        cr_assert_eq(off, UINT64_MAX, "late from its access %llu on, the helper changed byte %llu",
                     (unsigned long long)at, (unsigned long long)off);
        unit_image_free(&now);
        unit_image_free(&l.after);
        unit_assert_sound(l.s.arena);
    }
    unit_leave(&l.s.writer);
    unit_leave(&l.s.other);
    unit_leave(&l.third);
    unit_store_free(l.s.arena);
    return acted;
}

Test(apply, a_helper_that_is_late_at_any_access_changes_nothing, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (late_at(at, 64, false)) {
        at++;
    }
    cr_assert_gt(at, 30);
}

Test(apply, a_late_helper_does_not_undo_the_growth_of_a_root, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (late_at(at, 1, true)) {
        at++;
    }
    cr_assert_gt(at, 30);
}

Test(apply, a_late_helper_does_not_undo_the_splitting_of_a_cell, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (late_at(at, 16, true)) {
        at++;
    }
    cr_assert_gt(at, 30);
}

/* ---- words that no writer wrote ---- */

static void assert_corrupt_or_harmless(struct scene *s, const char *what) {
    uint64_t seq = 0;
    uint64_t empty = 0;
    eddy_rcu_enter(&s->other.thread.span);
    int r = eddy_apply_help(&s->other.thread, &seq, &empty);
    eddy_rcu_leave(&s->other.thread.span);
    cr_assert(r == 0 || r == EDDY_ECORRUPT, "%s: %d", what, r);
}

Test(apply, entries_that_cannot_be_are_refused, .timeout = 20) {
    struct scene s;
    scene_open(&s);
    struct unit_image before = unit_image_take(s.arena);
    big_transaction(&s.writer);
    unit_half_applied(s.arena, &before, 0, s.writer.thread.member);
    unit_image_free(&before);
    uint64_t good = eddy_arena_off(s.arena, s.arena->names);
    uint64_t end = s.arena->extents_off + eddy_arena_reserved(s.arena) * EDDY_EXTENT_SIZE;
    const uint64_t heads[] = {
        0,
        UINT64_MAX,
        EDDY_REDO(EDDY_REDO_SET, 0, good),
        EDDY_REDO(EDDY_REDO_SET, 2, good),
        EDDY_REDO(EDDY_REDO_MAX, 2, good),
        EDDY_REDO(EDDY_REDO_SWAP, 2, good),
        EDDY_REDO(EDDY_REDO_RUN, 65, good),
        EDDY_REDO(EDDY_REDO_REFS, 8, good),
        EDDY_REDO(EDDY_REDO_MAX + 1, 1, good),
        EDDY_REDO(EDDY_REDO_SET, 1, good + 4),                 /* not aligned */
        EDDY_REDO(EDDY_REDO_SET, 1, 0),                        /* the magic */
        EDDY_REDO(EDDY_REDO_MAX, 1, 320),                      /* the era */
        EDDY_REDO(EDDY_REDO_MAX, 1, s.arena->super->ring_off), /* `applied` itself */
        EDDY_REDO(EDDY_REDO_MAX, 1, s.arena->super->threads_off),
        EDDY_REDO(EDDY_REDO_SET, 1, s.arena->super->states_off),
        EDDY_REDO(EDDY_REDO_RUN, 64, good + 8 * EDDY_NAME_CELLS - 8), /* over the end */
        EDDY_REDO(EDDY_REDO_RUN, 9, offsetof(struct eddy_shm_super, offsets_root)),
        EDDY_REDO(EDDY_REDO_MAX, 1, offsetof(struct eddy_shm_super, floor) - 8),
        EDDY_REDO(EDDY_REDO_MAX, 1, offsetof(struct eddy_shm_super, cuts) + 8),
        EDDY_REDO(EDDY_REDO_MAX, 1, offsetof(struct eddy_shm_super, reclaimed)),
        EDDY_REDO(EDDY_REDO_MAX, 1, s.arena->super->maps_off),
        EDDY_REDO(EDDY_REDO_SET, 1, end),
        EDDY_REDO(EDDY_REDO_RUN, 2, end - 8),
        EDDY_REDO(EDDY_REDO_SET, 1, UINT64_C(0xfffffffffff8)),
    };
    eddy_word *list = s.writer.thread.slot->buffer[0].list;
    uint64_t was = eddy_ld_acq(&list[0]);
    struct unit_image half = unit_image_take(s.arena);
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        uint64_t seq;
        uint64_t empty;
        eddy_st_rel(&list[0], heads[i]);
        cr_assert_eq(eddy_apply_help(&s.other.thread, &seq, &empty), EDDY_ECORRUPT, "head %zu", i);
        cr_assert_eq(unit_applied(s.arena), 1);
        eddy_st_rel(&list[0], was);
        struct unit_image now = unit_image_take(s.arena);
        cr_assert_eq(unit_image_differs(&half, &now, &s.other), UINT64_MAX, "head %zu", i);
        unit_image_free(&now);
    }
    unit_image_free(&half);
    cr_assert_eq(unit_help(&s.other), 2);
    assert_big_is_there(s.arena);
    unit_leave(&s.writer);
    scene_close(&s);
}

Test(apply, headers_that_cannot_be_are_refused, .timeout = 20) {
    struct scene s;
    scene_open(&s);
    struct unit_image before = unit_image_take(s.arena);
    big_transaction(&s.writer);
    unit_half_applied(s.arena, &before, 0, s.writer.thread.member);
    unit_image_free(&before);
    struct eddy_shm_redo *h = &s.writer.thread.slot->buffer[0].head;
    struct {
        eddy_word *word;
        uint64_t value;
    } bad[] = {
        {&h->seq, 0},
        {&h->seq, 2},
        {&h->words, EDDY_LIST_INLINE + 1},
        {&h->words, UINT64_MAX},
        {&h->words, eddy_ld_acq(&h->words) - 1}, /* cuts an entry in two */
        {&h->list_off, 4},
        {&h->list_off, UINT64_MAX - 7},
        {&h->list_off, s.arena->cap},
        {&s.arena->ring->word[1], eddy_ring_make(1, 0)}, /* genesis */
        {&s.arena->ring->word[1], eddy_ring_make(1, 2 * UNIT_THREADS + 1)},
        {&s.arena->ring->word[1], eddy_ring_make(1, (1 << EDDY_BUFFER_BITS) - 1)},
        {&s.arena->ring->word[1], eddy_ring_make(5, 1)}, /* a round that was not yet */
        {&s.arena->ring->word[1], UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t seq;
        uint64_t empty;
        uint64_t was = eddy_ld_acq(bad[i].word);
        eddy_st_rel(bad[i].word, bad[i].value);
        cr_assert_eq(eddy_apply_help(&s.other.thread, &seq, &empty), EDDY_ECORRUPT, "case %zu", i);
        eddy_st_rel(bad[i].word, was);
    }
    /* A list elsewhere, whose words are not entries. */
    eddy_st_rel(&h->list_off, s.arena->extents_off);
    eddy_st_rel(&h->words, 1 << 16);
    assert_corrupt_or_harmless(&s, "a list in an extent of others");
    unit_die(&s.writer);
    scene_close(&s);
}

/* ---- waking ---- */

struct sleeper {
    struct eddy_arena *arena;
    struct unit_member helper;
};

static void help_it(void *arg) {
    struct sleeper *s = arg;
    uint64_t seq;
    uint64_t empty;
    eddy_rcu_enter(&s->helper.thread.span);
    cr_assert_eq(eddy_apply_help(&s->helper.thread, &seq, &empty), 0);
    eddy_rcu_leave(&s->helper.thread.span);
}

Test(apply, nobody_sees_it_applied_before_the_sleepers_are_woken, .timeout = 60) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        struct sleeper s;
        struct unit_member writer;
        s.arena = unit_store(0);
        unit_join(&writer, s.arena);
        unit_join(&s.helper, s.arena);
        struct unit_image before = unit_image_take(s.arena);
        cr_assert_eq(unit_append(&writer, "s", EDDY_ANY, 1, 0), 0);
        unit_half_applied(s.arena, &before, 0, writer.thread.member);
        unit_image_free(&before);
        uint32_t seen = eddy_wait_mark(s.arena, 3, 0);
        struct unit_step step = {.arena = s.arena, .at = at, .act = unit_act_death};
        bool died = unit_step(&step, help_it, &s) != 0;
        bool woken = eddy_ld_acq(&eddy_arena_group(s.arena, 0)->futex) != seen;
        cr_assert(woken || unit_applied(s.arena) == 0, "died at access %llu",
                  (unsigned long long)at);
        if (died) {
            unit_die(&s.helper);
        } else {
            cr_assert(woken);
            cr_assert_eq(unit_applied(s.arena), 1);
            unit_leave(&s.helper);
        }
        unit_leave(&writer);
        unit_store_free(s.arena);
        if (!died) {
            break;
        }
    }
}
