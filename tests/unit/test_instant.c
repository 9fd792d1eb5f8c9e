/* instant: exact answers at one number of transactions, for those who can help and for those who
 * can only look. */
#include "instant.h"

#include "unit_support.h"

#include <stdlib.h>
#include <string.h>

/* ---- a record that nobody has applied, seen read-only ---- */

static void assert_exact(struct eddy_arena *a) {
    eddy_store *s = unit_handle(a, EDDY_READ_ONLY);
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event e;
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_facts all = {.size = sizeof all};
    cr_assert_eq(eddy_info(s, &all), 0, "%s", eddy_errmsg());
    cr_assert_eq(all.head, 85);
    cr_assert_eq(all.streams, 3);
    cr_assert_eq(all.transactions, 2);
    cr_assert_eq(eddy_stream_info(s, eddy_str("old"), &facts), 0);
    cr_assert_eq(facts.version, 77);
    cr_assert_eq(facts.last_offset, 77);
    cr_assert_eq(eddy_stream_info(s, eddy_str("new"), &facts), 0);
    cr_assert_eq(facts.version, 7);
    cr_assert_eq(facts.first_offset, 78);
    cr_assert_eq(eddy_stream_info(s, eddy_str("newer"), &facts), 0);
    cr_assert_eq(eddy_get(s, 85, buffer, &e), 0, "%s", eddy_errmsg());
    cr_assert_eq(e.version, 1);
    cr_assert_eq(e.stream.len, 5);
    cr_assert_eq(eddy_get_version(s, eddy_str("old"), 77, buffer, &e), 0, "%s", eddy_errmsg());
    cr_assert_eq(e.offset, 77);
    cr_assert_eq(eddy_get_version(s, eddy_str("new"), 7, buffer, &e), 0);
    cr_assert_eq(e.offset, 84);
    cr_assert_eq(eddy_get(s, 86, buffer, &e), EDDY_ENOENT);
    cr_assert_eq(eddy_get_version(s, eddy_str("new"), 8, buffer, &e), EDDY_ENOENT);
    cr_assert_eq(eddy_get_version(s, eddy_str("none"), 1, buffer, &e), EDDY_ENOENT);
    cr_assert_eq(eddy_check(s, NULL, NULL), 0, "%s", eddy_errmsg());
    eddy_buffer_destroy(buffer);
    eddy_close(s);
}

static void exact_at_every_prefix(uint32_t hash_keep) {
    size_t n = SIZE_MAX;
    for (size_t done = 0; n == SIZE_MAX || done <= n; done++) {
        struct eddy_arena *a = unit_store(hash_keep);
        struct unit_member m;
        unit_join(&m, a);
        cr_assert_eq(unit_append(&m, "old", EDDY_ANY, 60, 0), 0);
        struct unit_image before = unit_image_take(a);
        unit_add(&m, "old", 17, 0);
        unit_add(&m, "new", 7, 30);
        unit_add(&m, "newer", 1, 0);
        cr_assert_eq(unit_commit(&m), 0);
        n = unit_half_applied(a, &before, done, m.thread.member);
        unit_image_free(&before);
        unit_die(&m);
        struct unit_image half = unit_image_take(a);
        assert_exact(a);
        cr_assert_eq(unit_applied(a), 1);
        cr_assert_eq(memcmp(half.bytes, a->base, half.len), 0, "a read-only handle wrote");
        unit_image_free(&half);
        unit_store_free(a);
    }
    cr_assert_gt(n, 20);
}

Test(instant, read_only_is_exact_over_any_half_applied_record, .timeout = 60) {
    exact_at_every_prefix(0);
}

Test(instant, also_when_all_names_have_one_hash, .timeout = 60) {
    exact_at_every_prefix(1);
}

Test(instant, also_when_hashes_differ_late, .timeout = 60) {
    exact_at_every_prefix(15);
}

/* ---- others commit while we look ---- */

struct look {
    struct eddy_arena *arena; /* of who looks */
    struct eddy_thread thread;
    struct eddy_instant now;
    struct unit_member writer;
    bool unapplied; /* the last record has not been applied */
    uint64_t a;
    uint64_t b;
    int gave;
};

static uint64_t version_at(struct look *l, const char *name) {
    eddy_bytes n = eddy_str(name);
    int64_t off = eddy_stream_find(&l->now.view, n, eddy_stream_hash(l->arena, n));
    if (off <= 0) {
        return 0;
    }
    struct eddy_shm_stream *s = eddy_arena_raw(l->arena, (uint64_t)off);
    return eddy_view_load(&l->now.view, &s->version);
}

static void look_at_both(void *arg) {
    struct look *l = arg;
    eddy_instant_renew(&l->now, &l->thread);
    eddy_rcu_enter(&l->thread.span);
    do {
        l->gave = eddy_instant_take(&l->now, &l->thread);
        if (l->gave < 0) {
            break;
        }
        l->a = version_at(l, "a");
        l->b = version_at(l, "b");
    } while (!eddy_instant_holds(&l->now, &l->thread));
    eddy_rcu_leave(&l->thread.span);
}

/* Each with a redo list of another shape, so that half of one and half of another make none. */
static void write_both(struct look *l) {
    unsigned more = unit_applied(l->writer.arena) < 8 ? 8 : 7;
    unit_add(&l->writer, "c", more, 0);
    unit_add(&l->writer, "a", 1, 0);
    unit_add(&l->writer, "b", 1, 0);
    cr_assert_eq(unit_commit(&l->writer), 0);
}

static bool writer_goes_on(void *arg) {
    struct look *l = arg;
    for (unsigned i = 0; i < 5; i++) {
        write_both(l);
    }
    if (l->unapplied) {
        struct unit_image before = unit_image_take(l->writer.arena);
        write_both(l);
        unit_half_applied(l->writer.arena, &before, 3, l->writer.thread.member);
        unit_image_free(&before);
    }
    return false;
}

static bool consistent_at(uint64_t at, bool read_only, bool unapplied) {
    struct look *l = calloc(1, sizeof *l);
    struct eddy_arena only;
    struct unit_member looker;
    struct eddy_arena *a = unit_store(0);
    unit_join(&l->writer, a);
    l->unapplied = unapplied;
    write_both(l);
    if (unapplied) {
        (void)writer_goes_on(l);
    }
    if (read_only) {
        cr_assert_eq(eddy_arena_open(&only, NULL, a->fd, true), 0);
        eddy_thread_init_reader(&only, &l->thread);
    } else {
        unit_join(&looker, a);
        l->thread = looker.thread;
    }
    l->arena = l->thread.arena;
    struct unit_step step = {.arena = l->arena, .at = at, .act = writer_goes_on, .arg = l};
    bool acted = unit_step(&step, look_at_both, l) != 0;
    cr_assert_eq(l->gave, 0, "%s", eddy_errmsg());
    cr_assert_eq(l->a, l->b, "at access %llu: %llu and %llu", (unsigned long long)at,
                 (unsigned long long)l->a, (unsigned long long)l->b);
    cr_assert_eq(l->a, l->now.seq);
    eddy_instant_fini(&l->now);
    unit_leave(&l->writer);
    if (read_only) {
        eddy_arena_close(&only);
    } else {
        unit_leave(&looker);
    }
    unit_store_free(a);
    free(l);
    return acted;
}

Test(instant, what_it_shows_is_of_one_instant, .timeout = 60) {
    unit_needs_steps();
    for (int mode = 0; mode < 4; mode++) {
        uint64_t at = 0;
        while (consistent_at(at, mode & 1, mode & 2)) {
            at++;
        }
        cr_assert_gt(at, 20);
    }
}

/* ---- what it says of itself ---- */

Test(instant, read_only_is_sound_for_one_era_more, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_thread t;
    struct eddy_instant now;
    memset(&now, 0, sizeof now);
    eddy_thread_init_reader(a, &t);
    eddy_instant_renew(&now, &t);
    cr_assert_eq(eddy_instant_take(&now, &t), 0);
    cr_assert(eddy_instant_holds(&now, &t));
    eddy_rcu_advance(&a->super->era);
    cr_assert(eddy_instant_sound(&now, &t));
    cr_assert(eddy_instant_holds(&now, &t));
    eddy_rcu_advance(&a->super->era);
    cr_assert_not(eddy_instant_sound(&now, &t));
    cr_assert_not(eddy_instant_holds(&now, &t));
    eddy_instant_begin(&now, &t);
    cr_assert(eddy_instant_sound(&now, &t));
    eddy_instant_fini(&now);
    unit_store_free(a);
}

Test(instant, does_not_hold_once_somebody_has_committed, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct eddy_instant now;
    memset(&now, 0, sizeof now);
    unit_join(&m, a);
    eddy_instant_renew(&now, &m.thread);
    eddy_rcu_enter(&m.thread.span);
    cr_assert_eq(eddy_instant_take(&now, &m.thread), 0);
    cr_assert_eq(now.seq, 0);
    cr_assert(eddy_instant_holds(&now, &m.thread));
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 1, 0), 0);
    cr_assert_not(eddy_instant_holds(&now, &m.thread));
    cr_assert(eddy_instant_sound(&now, &m.thread));
    eddy_rcu_leave(&m.thread.span);
    eddy_instant_fini(&now);
    unit_leave(&m);
    unit_store_free(a);
}

Test(instant, words_that_no_writer_wrote_end_in_an_error, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct eddy_thread t;
    struct eddy_instant now;
    memset(&now, 0, sizeof now);
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 1, 0), 0);
    struct unit_image before = unit_image_take(a);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 1, 0), 0);
    unit_half_applied(a, &before, 0, m.thread.member);
    eddy_thread_init_reader(a, &t);
    struct eddy_shm_buffer *b = &m.thread.slot->buffer[1];
    struct {
        eddy_word *word;
        uint64_t value;
        int gives;
    } bad[] = {
        {&b->head.words, EDDY_LIST_INLINE + 1, EDDY_ECORRUPT},
        {&b->head.words, UINT64_MAX, EDDY_ECORRUPT},
        {&b->head.list_off, 12, EDDY_ECORRUPT},
        {&b->head.list_off, a->cap, EDDY_ECORRUPT},
        {&b->list[0], UINT64_MAX, EDDY_ECORRUPT},
        {&b->list[0], 0, EDDY_ECORRUPT},
        {&a->ring->word[1], eddy_ring_make(1, 0), EDDY_ECORRUPT},
        {&a->ring->word[1], eddy_ring_make(1, 9999), EDDY_ECORRUPT},
        {&a->ring->word[1], eddy_ring_make(9, 1), EDDY_EAGAIN},
        {&a->ring->word[2], eddy_ring_make(2, 1), EDDY_EAGAIN},
        {&a->ring->applied, 77, EDDY_ECORRUPT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t was = eddy_ld_acq(bad[i].word);
        eddy_st_rel(bad[i].word, bad[i].value);
        eddy_instant_renew(&now, &t);
        cr_assert_eq(eddy_instant_take(&now, &t), bad[i].gives, "case %zu: %s", i, eddy_errmsg());
        eddy_st_rel(bad[i].word, was);
    }
    eddy_instant_renew(&now, &t);
    cr_assert_eq(eddy_instant_take(&now, &t), 0);
    cr_assert_eq(now.seq, 2);
    eddy_instant_fini(&now);
    unit_image_free(&before);
    unit_leave(&m);
    unit_store_free(a);
}
