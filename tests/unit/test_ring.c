/* ring: words with the tag of their round, headers that are copied and then believed. */
#include "ring.h"

#include "unit_support.h"

#include <string.h>

Test(ring, a_word_says_its_round_and_its_buffer, .timeout = 10) {
    const uint64_t seqs[] = {0, 1, 3, 4, 5, 7, 8, UINT64_C(1) << 40, (UINT64_C(1) << 51) - 1};
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        uint64_t w = eddy_ring_make(seqs[i], 16001);
        cr_assert_eq(eddy_ring_round_of(w), seqs[i] / EDDY_RING_WORDS + 1);
        cr_assert_eq(eddy_ring_buffer_of(w), 16001);
    }
    cr_assert_eq(eddy_ring_buffer(0, 0), 1);
    cr_assert_eq(eddy_ring_buffer(3, 1), 8);
}

Test(ring, a_commit_with_a_stale_empty_word_fails, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    uint64_t stale[EDDY_RING_WORDS];
    for (uint64_t s = 0; s < 3 * EDDY_RING_WORDS; s++) {
        uint64_t empty = eddy_ring_load(a, s);
        /* The same buffer each time: only the round tells the words apart. */
        cr_assert(eddy_ring_commit(a, s, empty, 1));
        cr_assert_not(eddy_ring_commit(a, s, empty, 1));
        cr_assert_not(eddy_ring_commit(a, s, empty, 2));
        if (s >= EDDY_RING_WORDS) {
            cr_assert_not(eddy_ring_commit(a, s - EDDY_RING_WORDS, stale[s % EDDY_RING_WORDS], 1));
        }
        cr_assert_eq(eddy_ring_load(a, s), eddy_ring_make(s, 1));
        cr_assert_neq(empty, eddy_ring_load(a, s));
        stale[s % EDDY_RING_WORDS] = empty;
        eddy_ring_advance(a, s);
        cr_assert_eq(unit_applied(a), s + 1);
    }
    unit_store_free(a);
}

Test(ring, applied_moves_by_one_and_once, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    eddy_ring_advance(a, 1);
    cr_assert_eq(unit_applied(a), 0);
    eddy_ring_advance(a, 0);
    eddy_ring_advance(a, 0);
    cr_assert_eq(unit_applied(a), 1);
    cr_assert(eddy_ring_steady(a, 1));
    cr_assert_not(eddy_ring_steady(a, 0));
    unit_store_free(a);
}

Test(ring, before_the_first_transaction_stands_genesis, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_ring_copy c;
    uint32_t buffer = 7;
    cr_assert_eq(eddy_ring_before(a, 0, &c, &buffer), 1);
    cr_assert_eq(buffer, 0);
    cr_assert_eq(c.next_offset, 1);
    cr_assert_eq(c.streams_in, 0);
    /* Of transaction 1 there is no predecessor: nobody who has helped asks for it. */
    cr_assert_eq(eddy_ring_before(a, 1, &c, &buffer), EDDY_ECORRUPT);
    unit_store_free(a);
}

Test(ring, buffers_that_cannot_be_have_no_header, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    eddy_word *list;
    cr_assert_not_null(eddy_ring_header(a, 2 * UNIT_THREADS, &list));
    cr_assert_null(eddy_ring_header(a, 2 * UNIT_THREADS + 1, &list));
    cr_assert_null(eddy_ring_header(a, (1u << EDDY_BUFFER_BITS) - 1, &list));
    unit_store_free(a);
}

Test(ring, a_predecessor_that_cannot_be_is_damage_unless_it_is_late, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct eddy_ring_copy c;
    uint32_t buffer;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 3, 0), 0);
    cr_assert_eq(eddy_ring_before(a, 1, &c, &buffer), 1);
    cr_assert_eq(eddy_ring_before(a, 0, &c, &buffer), 0, "it has been committed meanwhile");
    struct eddy_shm_redo *h = &m.thread.slot->buffer[0].head;
    struct {
        eddy_word *word;
        uint64_t value;
    } bad[] = {
        {&a->ring->word[0], eddy_ring_make(0, 2 * UNIT_THREADS + 1)},
        {&a->ring->word[0], eddy_ring_make(4, 1)},
        {&a->ring->word[0], 0},
        {&h->seq, 1},
        {&h->next_offset, 0},
        {&h->next_offset, UINT64_MAX},
        {&h->streams_in, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t was = eddy_ld_acq(bad[i].word);
        eddy_st_rel(bad[i].word, bad[i].value);
        cr_assert_eq(eddy_ring_before(a, 1, &c, &buffer), EDDY_ECORRUPT, "case %zu", i);
        eddy_st_rel(bad[i].word, was);
    }
    cr_assert_eq(eddy_ring_before(a, 1, &c, &buffer), 1);
    unit_leave(&m);
    unit_store_free(a);
}

/* ---- a header that is written anew while it is copied ---- */

struct look {
    struct eddy_arena *arena;
    struct unit_member writer;
    struct eddy_ring_copy copy;
    int gave;
};

static void look_before(void *arg) {
    struct look *l = arg;
    uint32_t buffer;
    l->gave = eddy_ring_before(l->arena, 3, &l->copy, &buffer);
}

/* The buffer of transaction 2 is used anew, by transaction 4. */
static bool writer_goes_on(void *arg) {
    struct look *l = arg;
    cr_assert_eq(unit_append(&l->writer, "s", EDDY_ANY, 1, 0), 0);
    cr_assert_eq(unit_append(&l->writer, "t", EDDY_ANY, 1, 0), 0);
    return false;
}

Test(ring, a_copied_header_is_whole_or_not_believed, .timeout = 30) {
    unit_needs_steps();
    unsigned refused = 0;
    for (uint64_t at = 0;; at++) {
        struct look l;
        memset(&l, 0, sizeof l);
        l.arena = unit_store(0);
        unit_join(&l.writer, l.arena);
        for (unsigned i = 0; i < 3; i++) {
            cr_assert_eq(unit_append(&l.writer, "s", EDDY_ANY, 5, 0), 0);
        }
        struct unit_step step = {.arena = l.arena, .at = at, .act = writer_goes_on, .arg = &l};
        bool acted = unit_step(&step, look_before, &l) != 0;
        cr_assert_geq(l.gave, 0);
        if (l.gave) {
            cr_assert_eq(l.copy.seq, 2, "at access %llu", (unsigned long long)at);
            cr_assert_eq(l.copy.next_offset, 16);
            cr_assert_eq(eddy_ring_events(&l.copy), 15);
            cr_assert_eq(l.copy.streams_in, 1);
        } else {
            refused++;
        }
        unit_leave(&l.writer);
        unit_store_free(l.arena);
        if (!acted) {
            break;
        }
    }
    cr_assert_gt(refused, 8);
}
