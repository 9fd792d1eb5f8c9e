/* query: conditions that nothing matches, as of the instant of their commit; what was looked at once is
 * not looked at again. */
#include "query.h"

#include "gone.h"
#include "unit_support.h"

#include <stdlib.h>

static void add(struct unit_member *m, const char *stream, const char *type, size_t data_len) {
    static const unsigned char data[100 << 10];
    eddy_new_event e = {.type = eddy_str(type), .data = eddy_mem(data, data_len)};
    int64_t s = eddy_batch_stream(&m->batch, m->arena, eddy_str(stream));
    cr_assert_geq(s, 0);
    cr_assert_eq(eddy_batch_append(&m->batch, &m->thread, (uint32_t)s, &e, 1, false, NULL), 0);
}

static void append_one(struct unit_member *m, const char *stream, const char *type) {
    add(m, stream, type, 20);
    cr_assert_eq(unit_commit(m), 0);
}

/* With a select by stream and type. */
static void expect_none(struct unit_member *m, const char *stream, const char *type,
                        uint64_t since) {
    eddy_bytes types[1] = {eddy_str(type)};
    eddy_select s = EDDY_SELECT_INIT;
    s.stream = eddy_str(stream);
    s.types = types;
    s.type_count = 1;
    s.after_offset = since;
    cr_assert_eq(eddy_batch_expect_none(&m->batch, m->arena, &s), 0);
}

/* ---- what was seen once ---- */

static eddy_word *slot_of(struct unit_member *m, uint64_t offset) {
    struct eddy_view v = unit_view(m);
    eddy_word *slot;
    cr_assert_eq(eddy_trie_slot(&v, &m->arena->super->offsets_root, offset, &slot), 1);
    return slot;
}

static int look(struct unit_member *m, struct eddy_query_found *found) {
    struct eddy_view v = unit_view(m);
    struct eddy_attempt t;
    struct eddy_batch_query *q = &m->batch.queries.at[0];
    eddy_rcu_enter(&m->thread.span);
    cr_assert_eq(eddy_commit_look(&m->thread, 1000, &t), 0);
    struct eddy_shm_stream *desc = q->select.stream.len > 0 ? unit_stream(m->arena, "a") : NULL;
    int r = eddy_query_look(&v, q, desc, &t.after, found);
    eddy_rcu_leave(&m->thread.span);
    return r;
}

static void look_twice(const char *stream) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct unit_member other;
    struct eddy_query_found found;
    unit_join(&m, a);
    unit_join(&other, a);
    for (int i = 0; i < 200; i++) {
        append_one(&other, i % 2 ? "a" : "b", "t");
    }
    expect_none(&m, stream, "no", 3);
    cr_assert_eq(look(&m, &found), 0);
    cr_assert_eq(m.batch.queries.at[0].seen, 200);
    /* What it looks at again would be damaged. */
    uint64_t was[3];
    const uint64_t at[3] = {4, 100, 200};
    for (int i = 0; i < 3; i++) {
        was[i] = eddy_ld_acq(slot_of(&m, at[i]));
        eddy_st_rel(slot_of(&m, at[i]), 0);
    }
    cr_assert_eq(look(&m, &found), 0);
    append_one(&other, "a", "t");
    cr_assert_eq(look(&m, &found), 0);
    cr_assert_eq(m.batch.queries.at[0].seen, 201);
    append_one(&other, "a", "no");
    append_one(&other, "a", "t");
    for (int i = 0; i < 3; i++) { /* as often as it is asked */
        cr_assert_eq(look(&m, &found), 1);
        cr_assert_eq(found.offset, 202);
        cr_assert_str_eq(found.stream, "a");
        cr_assert_eq(m.batch.queries.at[0].seen, 201);
    }
    m.batch.queries.at[0].seen = 0;
    cr_assert_eq(look(&m, &found), EDDY_ECORRUPT); /* it would have been */
    for (int i = 0; i < 3; i++) {
        eddy_st_rel(slot_of(&m, at[i]), was[i]);
    }
    eddy_batch_clear(&m.batch);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_leave(&other);
    unit_store_free(a);
}

Test(query, what_was_looked_at_is_not_looked_at_again, .timeout = 20) {
    look_twice("");
}

Test(query, nor_are_the_versions_of_a_stream, .timeout = 20) {
    look_twice("a");
}

/* ---- somebody comes between ---- */

struct between {
    struct eddy_arena *arena;
    struct unit_member me;
    struct unit_member other;
    const char *stream;
    int gave;
};

static bool other_claims(void *arg) {
    struct between *b = arg;
    append_one(&b->other, "b", "else");
    append_one(&b->other, "a", "claim");
    return false;
}

static void claim(void *arg) {
    struct between *b = arg;
    expect_none(&b->me, b->stream, "claim", 0);
    expect_none(&b->me, "", "claim", 2);
    add(&b->me, "a", "claim", 20);
    b->gave = unit_commit(&b->me);
}

/* Another claims at each access in turn: one of the two has it, never both. */
static bool claim_interrupted(uint64_t at, const char *stream, unsigned *won) {
    struct between b = {.arena = unit_store(0), .stream = stream};
    unit_join(&b.me, b.arena);
    unit_join(&b.other, b.arena);
    for (int i = 0; i < 3; i++) {
        append_one(&b.other, "a", "else");
    }
    struct unit_step step = {.arena = b.arena, .at = at, .act = other_claims, .arg = &b};
    bool acted = unit_step(&step, claim, &b) != 0;
    cr_assert(b.gave == 0 || (acted && b.gave == EDDY_ECONFLICT), "%d at %llu", b.gave,
              (unsigned long long)at);
    if (b.gave == 0) {
        cr_assert_eq(b.me.result.first_offset, 4);
        *won += acted;
    } else {
        cr_assert_eq(b.me.result.condition, 0);
        cr_assert_eq(b.me.result.actual, 5);
        cr_assert_str_eq(b.me.result.stream, "a");
        cr_assert_eq(b.me.result.first_offset, 0);
    }
    unit_assert_sound(b.arena);
    unit_leave(&b.me);
    unit_leave(&b.other);
    unit_store_free(b.arena);
    return acted;
}

static void claim_everywhere(const char *stream) {
    unsigned won = 0;
    uint64_t at = 0;
    while (claim_interrupted(at, stream, &won)) {
        at++;
    }
    cr_assert_gt(at, 50);
    cr_assert_gt(won, 5); /* those behind the commit point */
    cr_assert_lt(won, at - 5);
}

Test(query, another_claims_between_any_two_accesses, .timeout = 120) {
    unit_needs_steps();
    claim_everywhere("");
}

Test(query, so_it_does_where_a_stream_is_looked_through, .timeout = 120) {
    unit_needs_steps();
    claim_everywhere("a");
}

/* ---- indexes ---- */

Test(query, leaves_that_are_gone_are_passed_by, .timeout = 30) {
    struct eddy_arena *a = unit_store_of(UINT64_C(64) << 20, 0);
    struct unit_member m;
    struct eddy_reclaim *r = calloc(1, sizeof *r);
    struct eddy_query_found found;
    unit_join(&m, a);
    eddy_reclaim_init(r, &m.thread);
    append_one(&m, "b", "t");
    for (int i = 0; i < 9000; i++) {
        add(&m, "gone", "claim", 8);
    }
    cr_assert_eq(unit_commit(&m), 0);
    append_one(&m, "b", "t");
    int64_t s = eddy_batch_stream(&m.batch, a, eddy_str("gone"));
    cr_assert_eq(eddy_batch_cut(&m.batch, (uint32_t)s, EDDY_CUT_TRUNCATE, 9000), 0);
    cr_assert_eq(unit_commit(&m), 0);
    uint64_t desc = eddy_arena_off(a, unit_stream(a, "gone"));
    expect_none(&m, "", "claim", 1);
    cr_assert_eq(look(&m, &found), 0); /* their memory is there still */
    cr_assert_eq(unit_reclaim_stream(r, desc), 0);
    eddy_grace_free(&r->grace, true);
    struct eddy_view v = unit_view(&m);
    eddy_word *slot;
    cr_assert_eq(eddy_trie_slot(&v, &a->super->offsets_root, 5000, &slot), 0);
    m.batch.queries.at[0].seen = 0;
    cr_assert_eq(look(&m, &found), 0);
    cr_assert_eq(m.batch.queries.at[0].seen, 9002);
    append_one(&m, "b", "claim");
    eddy_batch_clear(&m.batch);
    expect_none(&m, "", "claim", 1);
    cr_assert_eq(look(&m, &found), 1);
    cr_assert_eq(found.offset, 9003);
    eddy_batch_clear(&m.batch);
    eddy_reclaim_fini(r);
    free(r);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}
