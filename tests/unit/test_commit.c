/* commit: one instant, whoever comes between; nothing or all of it, wherever it is cut off. */
#include "commit.h"

#include "unit_support.h"

#include <stdio.h>
#include <string.h>

/* ---- buffers ---- */

struct tail {
    struct unit_member *m;
    uint64_t seq; /* whose header must stay as it is until its successor is applied */
    struct eddy_shm_redo *at;
    unsigned char was[sizeof(struct eddy_shm_redo)];
};

static void tail_note(struct tail *t, struct eddy_arena *a) {
    eddy_word *list;
    t->seq = unit_applied(a) - 1;
    t->at = eddy_ring_header(a, eddy_ring_buffer_of(eddy_ring_load(a, t->seq)), &list);
    memcpy(t->was, t->at, sizeof t->was);
}

static bool tail_is_whole(void *arg) {
    struct tail *t = arg;
    cr_assert(unit_applied(t->m->arena) > t->seq + 1 || memcmp(t->was, t->at, sizeof t->was) == 0);
    return false;
}

static void commit_it(void *arg) {
    struct tail *t = arg;
    cr_assert_eq(unit_append(t->m, "s", EDDY_NONE, 1, 8), EDDY_ECONFLICT);
    cr_assert_eq(unit_append(t->m, "s", EDDY_ANY, 1, 8), 0);
}

/* Asks at each of many accesses of m's next commits that the tail's header stands. */
static void assert_tail_stands(struct unit_member *m) {
    struct tail t = {.m = m};
    for (uint64_t at = 0;; at++) {
        tail_note(&t, m->arena);
        struct unit_step step = {.arena = m->arena, .at = at, .act = tail_is_whole, .arg = &t};
        if (!unit_step(&step, commit_it, &t)) {
            break;
        }
    }
}

Test(commit, the_header_of_the_last_transaction_is_never_written_over, .timeout = 60) {
    unit_needs_steps();
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 1, 8), 0);
    assert_tail_stands(&m);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

Test(commit, nor_by_the_next_owner_of_a_swept_slot, .timeout = 60) {
    unit_needs_steps();
    for (unsigned commits = 1; commits <= 4; commits++) {
        struct eddy_arena *a = unit_store(0);
        struct unit_member dead;
        struct unit_member next;
        struct unit_member other;
        unit_join(&dead, a);
        unit_join(&other, a);
        for (unsigned i = 0; i < commits; i++) {
            cr_assert_eq(unit_append(&dead, "s", EDDY_ANY, 1, 8), 0);
        }
        uint32_t slot = dead.thread.idx;
        unit_die(&dead);
        cr_assert_eq(eddy_maintain_sweep_dead(&other.thread), 1);
        unit_join(&next, a);
        cr_assert_eq(next.thread.idx, slot);
        struct tail t = {.m = &next};
        tail_note(&t, a);
        cr_assert_eq(unit_append(&next, "s", EDDY_ANY, 1, 8), 0);
        cr_assert_eq(memcmp(t.was, t.at, sizeof t.was), 0, "after %u commits", commits);
        unit_assert_sound(a);
        unit_leave(&next);
        unit_leave(&other);
        unit_store_free(a);
    }
}

/* ---- others come between ---- */

struct between {
    struct eddy_arena *arena;
    struct unit_member me;
    struct unit_member other;
    unsigned commits; /* of the other */
    bool both;        /* it writes to "a" and "b" at once */
    int gave;
};

static void between_open(struct between *b, unsigned commits, bool both) {
    memset(b, 0, sizeof *b);
    b->arena = unit_store(0);
    b->commits = commits;
    b->both = both;
    unit_join(&b->me, b->arena);
    unit_join(&b->other, b->arena);
    unit_add(&b->other, "a", 1, 0);
    unit_add(&b->other, "b", 1, 0);
    cr_assert_eq(unit_commit(&b->other), 0);
    cr_assert_eq(unit_append(&b->me, "mine", EDDY_ANY, 62, 0), 0);
}

static void between_close(struct between *b) {
    unit_assert_sound(b->arena);
    unit_leave(&b->me);
    unit_leave(&b->other);
    unit_assert_sound(b->arena);
    unit_store_free(b->arena);
}

static bool other_commits(void *arg) {
    struct between *b = arg;
    for (unsigned i = 0; i < b->commits; i++) {
        unit_add(&b->other, "a", 1, 0);
        if (b->both) {
            unit_add(&b->other, "b", 1, 0);
        }
        cr_assert_eq(unit_commit(&b->other), 0);
    }
    return false;
}

static void append_to_three(void *arg) {
    struct between *b = arg;
    unit_add(&b->me, "mine", 2, 0);
    unit_add(&b->me, "new", 1, 0);
    unit_add(&b->me, "a", 1, 0);
    b->gave = unit_commit(&b->me);
}

/* The other commits at this access of ours: false if there is no such access. */
static bool append_interrupted(uint64_t at, unsigned commits) {
    struct between b;
    between_open(&b, commits, true);
    struct unit_step step = {.arena = b.arena, .at = at, .act = other_commits, .arg = &b};
    bool acted = unit_step(&step, append_to_three, &b) != 0;
    cr_assert_eq(b.gave, 0);
    cr_assert_eq(b.me.result.last_offset - b.me.result.first_offset, 3);
    cr_assert_eq(unit_version(b.arena, "mine"), 64);
    cr_assert_eq(unit_version(b.arena, "new"), 1);
    cr_assert_eq(unit_version(b.arena, "a"), acted ? 2 + commits : 2);
    cr_assert_eq(unit_version(b.arena, "b"), acted ? 1 + commits : 1);
    cr_assert_eq(unit_append(&b.other, "mine", 64, 1, 0), 0);
    between_close(&b);
    return acted;
}

Test(commit, another_commits_between_any_two_accesses, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (append_interrupted(at, 1)) {
        at++;
    }
    cr_assert_gt(at, 100);
}

Test(commit, others_go_round_the_ring_between_any_two_accesses, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (append_interrupted(at, 9)) {
        at++;
    }
    cr_assert_gt(at, 100);
}

static void expect_both(void *arg) {
    struct between *b = arg;
    unit_expect(&b->me, "a", 1);
    unit_expect(&b->me, "b", 1);
    unit_add(&b->me, "mine", 1, 0);
    b->gave = unit_commit(&b->me);
}

/* "a" and "b" only ever change together: a conflict that says that "a" was as expected and "b" was
 * not has seen half of a transaction. */
Test(commit, a_conflict_is_true_of_one_instant, .timeout = 60) {
    unit_needs_steps();
    unsigned conflicts = 0;
    for (uint64_t at = 0;; at++) {
        struct between b;
        between_open(&b, 1, true);
        struct unit_step step = {.arena = b.arena, .at = at, .act = other_commits, .arg = &b};
        bool acted = unit_step(&step, expect_both, &b) != 0;
        cr_assert(b.gave == 0 || b.gave == EDDY_ECONFLICT);
        if (b.gave == EDDY_ECONFLICT) {
            cr_assert_eq(b.me.result.condition, 0, "at access %llu", (unsigned long long)at);
            cr_assert_eq(b.me.result.actual, 2);
            cr_assert_str_eq(b.me.result.stream, "a");
            conflicts++;
        }
        between_close(&b);
        if (!acted) {
            break;
        }
    }
    cr_assert_gt(conflicts, 5);
}

static void expect_none(void *arg) {
    struct between *b = arg;
    unit_expect(&b->me, "mine", 62);
    unit_expect(&b->me, "a", EDDY_NONE);
    b->gave = unit_commit(&b->me);
}

Test(commit, conditions_alone_are_answered_without_a_record, .timeout = 20) {
    struct between b;
    between_open(&b, 1, true);
    expect_none(&b);
    cr_assert_eq(b.gave, EDDY_ECONFLICT);
    cr_assert_eq(b.me.result.condition, 1);
    cr_assert_eq(b.me.result.actual, 1);
    cr_assert_eq(unit_applied(b.arena), 2);
    unit_expect(&b.me, "a", EDDY_EXISTS);
    unit_expect(&b.me, "nobody", EDDY_NONE);
    cr_assert_eq(unit_commit(&b.me), 0);
    cr_assert_eq(unit_applied(b.arena), 2);
    between_close(&b);
}

/* Drops what the limits want, one transaction: is more to go? */
static bool drops_and_has_more(struct unit_member *m) {
    m->batch.enforce = true;
    cr_assert_eq(unit_commit(m), 0);
    return m->batch.more;
}

Test(commit, what_others_have_dropped_is_dropped_by_nobody_again, .timeout = 20) {
    struct between b;
    between_open(&b, 0, true);
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = 1;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(unit_append(&b.me, "a", EDDY_ANY, 3000, 8), 0);
    }
    b.me.batch.limits = &limits;
    cr_assert(drops_and_has_more(&b.me));
    unsigned others = 1;
    while (drops_and_has_more(&b.other)) {
        others++;
    }
    cr_assert_gt(others, 1);
    cr_assert_not(drops_and_has_more(&b.me), "nothing is left, and one would try for ever");
    between_close(&b);
}

/* ---- it is cut off ---- */

struct cut {
    struct eddy_arena *arena;
    struct unit_member me;
    struct unit_member other;
    bool first; /* of the whole store: nothing has been taken yet */
    uint64_t seq;
    uint64_t next;
};

static void cut_commit(void *arg) {
    struct cut *c = arg;
    unit_add(&c->me, "s", 7, 0);
    unit_add(&c->me, "new", 16, 0);
    cr_assert_eq(unit_commit(&c->me), 0);
}

/* The other helps, sweeps, goes on. */
static void assert_survived(struct cut *c, uint64_t at) {
    struct eddy_arena *a = c->arena;
    bool committed = eddy_ring_round_of(eddy_ring_load(a, c->seq)) == eddy_ring_round(c->seq);
    unsigned before = c->first ? 0 : 58;
    unit_assert_sound(a); /* read-only, before anybody clears up */
    unit_die(&c->me);
    cr_assert_eq(eddy_maintain_sweep_dead(&c->other.thread), 1);
    cr_assert_eq(unit_version(a, "s"), before + (committed ? 7 : 0), "%llu",
                 (unsigned long long)at);
    cr_assert_eq(unit_version(a, "new"), committed ? 16 : 0);
    cr_assert_eq(eddy_extent_count_owned(a, c->me.thread.member), 0);
    unit_assert_sound(a);
    cr_assert_eq(eddy_maintain_sweep_dead(&c->other.thread), 0);
    cr_assert_eq(unit_append(&c->other, "s", before + (committed ? 7 : 0), 5, 100), 0);
    cr_assert_eq(c->other.result.first_offset, c->next + (committed ? 23 : 0));
    unit_assert_sound(a);
    struct unit_member heir;
    unit_join(&heir, a);
    cr_assert_eq(heir.thread.idx, c->me.thread.idx);
    cr_assert_eq(unit_append(&heir, "new", committed ? 16 : 0, 3, 100), 0);
    unit_assert_sound(a);
    unit_leave(&heir);
    unit_assert_sound(a);
}

static bool cut_at(uint64_t at, bool first, bool control_only) {
    struct cut c = {.first = first};
    c.arena = unit_store(0);
    unit_join(&c.me, c.arena);
    unit_join(&c.other, c.arena);
    if (!first) {
        cr_assert_eq(unit_append(&c.me, "s", EDDY_ANY, 58, 0), 0);
        cr_assert_eq(unit_append(&c.me, "t", EDDY_ANY, 20, 0), 0);
    }
    c.seq = unit_applied(c.arena);
    c.next = first ? 1 : 79;
    struct unit_step step = {.arena = c.arena,
                             .to = control_only ? c.arena->extents_off : 0,
                             .at = at,
                             .act = unit_act_death};
    bool died = unit_step(&step, cut_commit, &c) != 0;
    assert_survived(&c, at);
    unit_leave(&c.other);
    unit_store_free(c.arena);
    return died;
}

Test(commit, a_death_at_any_access_leaves_all_or_nothing, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (cut_at(at, false, false)) {
        at++;
    }
    cr_assert_gt(at, 200);
}

Test(commit, so_does_one_in_the_first_transaction_ever, .timeout = 120) {
    unit_needs_steps();
    uint64_t at = 0;
    while (cut_at(at, true, true)) {
        at++;
    }
    cr_assert_gt(at, 50);
}

/* Two transactions of so many streams that their lists lie in extents, and a large event. */
static void commit_many(struct unit_member *m) {
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 60; k++) {
            char name[16];
            (void)snprintf(name, sizeof name, "m-%u-%u", k, i / 2);
            unit_add(m, name, 1, 0);
        }
        unit_add(m, "large", 1, i == 1 ? 70000 : 5);
        cr_assert_eq(unit_commit(m), 0);
    }
}

static void cut_many(void *arg) {
    struct cut *c = arg;
    commit_many(&c->me);
}

Test(commit, or_in_one_whose_list_lies_in_extents, .timeout = 120) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 7) {
        struct cut c = {.first = true};
        struct eddy_arena *a = c.arena = unit_store(0);
        unit_join(&c.me, a);
        unit_join(&c.other, a);
        struct unit_step step = {.arena = a, .to = a->extents_off, .at = at, .act = unit_act_death};
        bool died = unit_step(&step, cut_many, &c) != 0;
        unit_assert_sound(a);
        unit_die(&c.me);
        cr_assert_eq(eddy_maintain_sweep_dead(&c.other.thread), 1);
        unit_assert_sound(a);
        uint64_t done = unit_version(a, "large");
        cr_assert_eq(done, unit_applied(a));
        cr_assert_eq(unit_version(a, "m-0-0"), done < 2 ? done : 2);
        cr_assert_eq(unit_version(a, "m-59-0"), done < 2 ? done : 2);
        cr_assert_eq(unit_version(a, "m-59-1"), done == 3);
        cr_assert_eq(eddy_extent_count_owned(a, c.me.thread.member), 0);
        commit_many(&c.other);
        unit_assert_sound(a);
        unit_leave(&c.other);
        unit_assert_sound(a);
        unit_store_free(a);
        if (!died) {
            cr_assert_gt(at, 500);
            break;
        }
    }
}

/* ---- numbers ---- */

Test(commit, batches_cross_every_boundary_of_the_version_index, .timeout = 60) {
    static const unsigned starts[] = {0, 1, 5, 6, 7, 13, 14, 15, 16, 77, 78, 79, 141, 142, 143};
    static const unsigned counts[] = {1, 2, 8, 9, 63, 64, 65, 129};
    struct eddy_arena *a = unit_store_of(UINT64_C(64) << 20, 0);
    struct unit_member m;
    unit_join(&m, a);
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "s-%u-%u", starts[i], counts[k]);
            if (starts[i] > 0) {
                cr_assert_eq(unit_append(&m, name, EDDY_NONE, starts[i], 0), 0);
            }
            cr_assert_eq(unit_append(&m, name, starts[i], counts[k], 0), 0);
            cr_assert_eq(m.result.last_version, starts[i] + counts[k]);
        }
    }
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

Test(commit, a_stream_grows_a_third_level, .timeout = 60) {
    struct eddy_arena *a = unit_store_of(UINT64_C(64) << 20, 0);
    struct unit_member m;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", 0, 14 + 64 * 64 - 1, 0), 0);
    for (unsigned i = 0; i < 130; i++) {
        cr_assert_eq(unit_append(&m, "s", 14 + 64 * 64 - 1 + i, 1, 0), 0);
    }
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

Test(commit, lists_that_do_not_fit_lie_in_extents_and_are_swept_but_the_last, .timeout = 60) {
    struct eddy_arena *a = unit_store_of(UINT64_C(64) << 20, 0);
    struct unit_member m;
    struct unit_member other;
    unit_join(&m, a);
    unit_join(&other, a);
    cr_assert_eq(unit_append(&other, "s", EDDY_ANY, 1, 0), 0);
    for (unsigned i = 0; i < 4; i++) {
        struct unit_image before = unit_image_take(a);
        for (unsigned k = 0; k < 300; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "s-%u", k);
            unit_add(&m, name, 3, 0);
        }
        cr_assert_eq(unit_commit(&m), 0);
        eddy_word *list;
        uint64_t seq = unit_applied(a) - 1;
        struct eddy_shm_redo *h =
            eddy_ring_header(a, eddy_ring_buffer_of(eddy_ring_load(a, seq)), &list);
        cr_assert_neq(eddy_ld_acq(&h->list_off), 0);
        if (i == 3) {
            unit_half_applied(a, &before, 500, m.thread.member);
            unit_assert_sound(a);
            unit_die(&m);
            uint64_t keep = eddy_ld_acq(&h->list_off);
            cr_assert_eq(eddy_maintain_sweep_dead(&other.thread), 1);
            /* The last transaction names one of its two lists: that is left for others to use, the
             * other is free. */
            uint32_t idx = eddy_arena_extent_of(a, keep);
            cr_assert_eq(EDDY_STATE_OF(eddy_ld_acq(&a->extents[idx].state)), EDDY_PARTIAL);
            uint32_t lists = 0;
            for (uint32_t e = 0; e < eddy_arena_reserved(a); e++) {
                lists += EDDY_STATE_OF(eddy_ld_acq(&a->extents[e].state)) != EDDY_FREE &&
                         EDDY_INFO_KIND(eddy_ld_acq(&a->extents[e].info)) == EDDY_KIND_LIST;
            }
            cr_assert_eq(lists, 1);
        }
        unit_assert_sound(a);
        unit_image_free(&before);
    }
    cr_assert_eq(unit_version(a, "s-299"), 12);
    cr_assert_eq(unit_append(&other, "s-299", 12, 1, 0), 0);
    unit_leave(&other);
    unit_assert_sound(a);
    unit_store_free(a);
}

Test(commit, many_rounds_of_the_ring_by_two, .timeout = 60) {
    struct eddy_arena *a = unit_store_of(UINT64_C(64) << 20, 0);
    struct unit_member m[2];
    unit_join(&m[0], a);
    unit_join(&m[1], a);
    for (uint64_t i = 0; i < 5000; i++) {
        struct unit_member *w = &m[i % 7 % 2];
        cr_assert_eq(unit_append(w, "s", (int64_t)i, 1, 8), 0);
        cr_assert_eq(w->result.first_offset, i + 1);
        cr_assert_eq(unit_append(w, "s", (int64_t)i, 1, 8), EDDY_ECONFLICT);
        cr_assert_eq(w->result.actual, i + 1);
    }
    cr_assert_eq(unit_applied(a), 5000);
    cr_assert_eq(eddy_ring_round_of(eddy_ring_load(a, 4999)), 1250);
    unit_assert_sound(a);
    unit_leave(&m[0]);
    unit_leave(&m[1]);
    unit_store_free(a);
}

Test(commit, what_does_not_fit_leaves_everything_as_it_was, .timeout = 60) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    uint64_t n = 0;
    unit_join(&m, a);
    while (true) {
        uint64_t applied = unit_applied(a);
        eddy_new_event e = {.data = eddy_mem(a->base, 10000)};
        int64_t s = eddy_batch_stream(&m.batch, a, eddy_str("s"));
        int r = eddy_batch_append(&m.batch, &m.thread, (uint32_t)s, &e, 1, false, NULL);
        if (r < 0) {
            cr_assert_eq(r, EDDY_EFULL);
            eddy_batch_drop(&m.batch, &m.thread);
            eddy_batch_clear(&m.batch);
            cr_assert_eq(unit_applied(a), applied);
            break;
        }
        r = unit_commit(&m);
        if (r < 0) {
            cr_assert_eq(r, EDDY_EFULL);
            break;
        }
        n++;
    }
    cr_assert_gt(n, 50);
    cr_assert_eq(unit_version(a, "s"), n);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_assert_sound(a);
    unit_store_free(a);
}
