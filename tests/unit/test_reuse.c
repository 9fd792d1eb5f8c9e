/* reuse: memory in its next use, and names that begin anew, met by who knew what was there before. */
#include "reclaim.h"

#include "scan.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "unit_support.h"

#include <stdio.h>
#include <string.h>

enum { ME = 1, YOU = 2 };

static char *name_of(const char *kind, int i) {
    static char text[32];
    (void)snprintf(text, sizeof text, "%s%d", kind, i);
    return text;
}

static void append(eddy_store *s, const char *stream, unsigned count) {
    eddy_new_event events[200];
    for (unsigned i = 0; i < 200; i++) {
        events[i] = (eddy_new_event){.data = eddy_str("x")};
    }
    for (; count > 0; count -= count < 200 ? count : 200) {
        must(eddy_append(s, eddy_str(stream), EDDY_ANY, events, count < 200 ? count : 200, NULL));
    }
}

static void must_be_sound(eddy_store *s) {
    cr_assert_eq(eddy_check(s, NULL, NULL), 0, "%s", eddy_errmsg());
}

/* ---- the floor ---- */

/* All events of a stream lie below the floor, few enough to be left there for a while. It is
 * forgotten, and its descriptor is another stream's when they are buried. */
Test(reuse, the_floor_takes_nothing_from_who_has_the_descriptor_next, .timeout = 60) {
    enum { OLD = 14, MANY = 17000, GONE = 200, NEW = 1000 };
    eddy_store *s;
    eddy_options o = EDDY_OPTIONS_INIT;
    eddy_limits l = {.size = sizeof l, .flags = EDDY_DROP_EVENTS, .events = OLD + MANY + GONE};
    o.flags = EDDY_ANONYMOUS;
    o.cap = UINT64_C(16) << 20;
    must(eddy_open(&s, NULL, &o));
    append(s, "old", OLD);
    append(s, "many", MANY);
    for (int i = 0; i < GONE; i++) {
        append(s, name_of("gone", i), 1);
    }
    must(eddy_limits_set(s, &l, NULL));
    append(s, "many", OLD); /* and the floor passes all that the old one has */
    must(eddy_forget(s, eddy_str("old"), NULL));
    for (int i = 0; i < GONE; i++) {
        must(eddy_forget(s, eddy_str(name_of("gone", i)), NULL));
    }
    must(eddy_truncate(s, eddy_str("many"), EDDY_ANY, MANY + OLD, NULL));
    for (int i = 0; i < NEW; i++) {
        append(s, name_of("new", i), OLD + 2);
    }
    must(eddy_maintain(s, 0, NULL));
    must_be_sound(s);
    eddy_buffer *b = eddy_buffer_create();
    for (int i = 0; i < NEW; i++) {
        for (uint64_t v = 1; v <= OLD + 2; v++) {
            eddy_event e;
            must(eddy_get_version(s, eddy_str(name_of("new", i)), v, b, &e));
        }
    }
    eddy_buffer_destroy(b);
    eddy_close(s);
}

/* ---- a name that begins anew ---- */

/* Forgets a stream; what is to be taken back stays, as if its forgetter had died. */
static void forget(struct unit_member *m, const char *stream) {
    int64_t s = CHECK_OK(eddy_batch_stream(&m->batch, m->arena, eddy_str(stream)));
    must(eddy_batch_cut(&m->batch, (uint32_t)s, EDDY_CUT_FORGET, 0));
    cr_assert_eq(unit_commit(m), 0, "%s", eddy_errmsg());
}

static void reads(eddy_reader *r, uint64_t count) {
    eddy_event e;
    for (uint64_t v = 1; v <= count; v++) {
        cr_assert_eq(eddy_reader_next(r, &e), EDDY_EVENT, "version %llu: %s", (unsigned long long)v,
                     eddy_errmsg());
        cr_assert_eq(e.version, v);
    }
    cr_assert_eq(eddy_reader_next(r, &e), EDDY_CAUGHT_UP);
}

Test(reuse, a_stream_that_begins_anew_is_read_from_its_first_event, .timeout = 60) {
    static const unsigned before[] = {1, 5, 20, 100};
    static const unsigned after[] = {1, 4, 5, 6, 20, 30, 101};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 7; k++) {
            struct eddy_arena *a = unit_store_of(UINT64_C(16) << 20, 0);
            struct unit_member m;
            unit_join(&m, a);
            eddy_store *s = unit_handle(a, 0);
            eddy_select select = EDDY_SELECT_INIT;
            eddy_reader *r;
            select.stream = eddy_str("s");
            select.flags = EDDY_FOLLOW;
            must(eddy_reader_open(s, &select, &r));
            cr_assert_eq(unit_append(&m, "s", EDDY_ANY, before[i], 0), 0);
            reads(r, before[i]);
            forget(&m, "s");
            cr_assert_eq(unit_append(&m, "s", EDDY_ANY, after[k], 0), 0);
            reads(r, after[k]);
            eddy_reader_close(r);
            eddy_close(s);
            unit_leave(&m);
            unit_store_free(a);
        }
    }
}

/* ---- blocks ---- */

Test(reuse, a_retired_descriptor_is_nobody_elses, .timeout = 10) {
    struct eddy_arena *a = unit_store_of(UINT64_C(16) << 20, 0);
    struct unit_member m;
    struct eddy_reclaim k;
    unit_join(&m, a);
    eddy_reclaim_init(&k, &m.thread);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 5, 0), 0);
    struct eddy_shm_stream *s = unit_stream(a, "s");
    uint64_t off = eddy_arena_off(a, s);
    uint64_t tag = eddy_block_tag(a, off);
    forget(&m, "s");
    eddy_st_rel(&s->block.state, EDDY_STATE((uint32_t)tag, EDDY_RETIRED, YOU));
    must(eddy_reclaim_stream(&k, off, tag));
    cr_assert_eq(eddy_ld_acq(&s->reclaimed), 0, "it may be in its next use");
    cr_assert_eq(eddy_block_state(a, off), EDDY_RETIRED);
    eddy_st_rel(&s->block.state, EDDY_STATE((uint32_t)tag, EDDY_CONDEMNED, 0));
    must(eddy_reclaim_stream(&k, off, tag));
    cr_assert_eq(eddy_ld_acq(&s->reclaimed), 5);
    cr_assert_eq(eddy_block_state(a, off), EDDY_RETIRED);
    eddy_reclaim_fini(&k);
    unit_leave(&m);
    unit_store_free(a);
}

struct seen {
    struct eddy_arena *arena;
    uint64_t off;
    uint64_t tag;
    bool is;
};

static void look(void *arg) {
    struct seen *s = arg;
    s->is = eddy_block_is(s->arena, s->off, s->tag, EDDY_LINKED);
}

/* The extent goes, and has events in it; here their bytes are like the state of the block. */
static bool act_next_use(void *arg) {
    struct seen *s = arg;
    struct eddy_shm_extent *e = eddy_extent_line(s->arena, eddy_arena_extent_of(s->arena, s->off));
    uint64_t was = eddy_ld_acq(&e->state);
    eddy_st_rel(&e->state, EDDY_STATE(EDDY_STATE_GEN(was) + 1, EDDY_OWNED, YOU));
    return false;
}

Test(reuse, a_block_is_not_mistaken_for_bytes_in_its_place, .timeout = 20) {
    struct eddy_arena *a = unit_store_of(UINT64_C(16) << 20, 0);
    struct eddy_blocks b = {0};
    struct seen s = {.arena = a};
    must(eddy_block_take(a, &b, ME, 9, &s.off));
    s.tag = eddy_block_tag(a, s.off);
    look(&s);
    cr_assert(s.is);
    eddy_st_rel(unit_word(a, s.off), 0);
    look(&s);
    cr_assert_not(s.is, "zeroes are no block");
    eddy_st_rel(unit_word(a, s.off), EDDY_STATE(0, EDDY_OWNED, ME));
    if (unit_can_step()) {
        struct unit_step step = {.arena = a, .at = 1, .act = act_next_use, .arg = &s};
        cr_assert_eq(unit_step(&step, look, &s), 2);
        cr_assert_not(s.is, "it was free between the two looks");
    }
    eddy_blocks_fini(&b);
    unit_store_free(a);
}

/* ---- runs ---- */

static unsigned extent_state(struct eddy_arena *a, uint32_t idx) {
    return EDDY_STATE_OF(eddy_ld_acq(&a->extents[idx].state));
}

Test(reuse, a_list_that_was_left_takes_no_extent_of_events, .timeout = 10) {
    struct eddy_arena *a = unit_store_of(UINT64_C(16) << 20, 0);
    uint32_t list;
    uint32_t idx;
    uint32_t run;
    must(eddy_extent_take(a, ME, EDDY_KIND_LIST, 0, 4, &list));
    eddy_extent_leave(a, list);
    for (uint32_t i = 0; i < 4; i++) {
        eddy_extent_remind(a, list + i);
    }
    cr_assert_not(eddy_extent_resume(a, ME, 0, &idx), "a part of a list is no extent of events");
    /* The third one was cut off by a death; it has events in it since, and room for more. */
    eddy_st_rel(&a->extents[list + 2].info, EDDY_INFO(EDDY_KIND_EVENTS, 0, 1));
    cr_assert(eddy_extent_resume_list(a, ME, &idx, &run));
    cr_assert_eq(idx, list);
    cr_assert_eq(run, 2);
    cr_assert_eq(extent_state(a, list + 2), EDDY_PARTIAL);
    eddy_extent_leave(a, list);
    cr_assert_eq(extent_state(a, list + 1), EDDY_PARTIAL);
    /* The fourth one belongs to nothing now. */
    cr_assert_not(eddy_extent_free_orphan(a, list + 1, ME));
    cr_assert_not(eddy_extent_free_orphan(a, list + 2, ME));
    cr_assert(eddy_extent_free_orphan(a, list + 3, ME));
    cr_assert_eq(extent_state(a, list + 3), EDDY_FREE);
    unit_store_free(a);
}

/* Who frees a part of a run is stopped behind his look at what it is; meanwhile another frees it, and
 * it is taken for events, which stay. Once it is his, nobody else changes it. */
static bool act_taken_for_events(void *arg) {
    struct seen *s = arg;
    struct eddy_shm_extent *e = &s->arena->extents[s->off];
    uint64_t was = eddy_ld_acq(&e->state);
    s->tag = EDDY_STATE_OF(was) == EDDY_SEALED;
    if (s->tag) {
        eddy_st_rel(&e->info, EDDY_INFO(EDDY_KIND_EVENTS, 0, 1));
        eddy_st_rel(&e->state, EDDY_STATE(EDDY_STATE_GEN(was) + 1, EDDY_SEALED, 0));
    }
    return false;
}

static void free_orphan(void *arg) {
    struct seen *s = arg;
    s->is = eddy_extent_free_orphan(s->arena, (uint32_t)s->off, ME);
}

Test(reuse, who_frees_a_part_of_a_run_late_frees_no_events, .timeout = 30) {
    unit_needs_steps();
    uint64_t at = 0;
    uint64_t changed = 1;
    for (; changed != 0; at++) {
        struct eddy_arena *a = unit_store_of(UINT64_C(16) << 20, 0);
        uint32_t run;
        must(eddy_extent_take(a, ME, EDDY_KIND_LARGE, 0, 3, &run));
        eddy_extent_seal(a, run + 1);
        eddy_st_rel(&a->extents[run].info, 0);
        struct seen s = {.arena = a, .off = run + 1};
        struct unit_step step = {.arena = a, .at = at, .act = act_taken_for_events, .arg = &s};
        changed = unit_step(&step, free_orphan, &s) != 0 ? s.tag : 0;
        cr_assert_eq(s.is, changed == 0, "at access %llu", (unsigned long long)at);
        cr_assert_eq(extent_state(a, run + 1), changed ? EDDY_SEALED : EDDY_FREE);
        unit_store_free(a);
    }
    cr_assert_geq(at, 4);
}

/* ---- who is stopped ---- */

/* A thread that is stopped inside holds what there was when it came in, however much that is, and
 * nothing that is born later. */
Test(reuse, who_is_stopped_holds_back_what_he_may_see_and_no_more, .timeout = 60) {
    enum { OLD = EDDY_GRACE_BLOCKS + 100, ROUNDS = 10, EACH = 200 };
    struct eddy_arena *a = unit_store_of(UINT64_C(16) << 20, 0);
    struct unit_member stopped;
    struct unit_member m;
    struct eddy_reclaim k;
    unit_join(&stopped, a);
    unit_join(&m, a);
    eddy_reclaim_init(&k, &m.thread);
    for (int i = 0; i < OLD; i++) {
        cr_assert_eq(unit_append(&m, name_of("old", i), EDDY_ANY, 1, 0), 0);
    }
    eddy_rcu_enter(&stopped.thread.span);
    for (int i = 0; i < OLD; i++) {
        forget(&m, name_of("old", i));
        for (size_t j = 0; j + 1 < m.plan.condemned.count; j += 2) {
            must(eddy_reclaim_block(&k, m.plan.condemned.at[j], m.plan.condemned.at[j + 1]));
        }
    }
    cr_assert_eq(k.grace.freed_blocks, 0, "he may see them");
    for (int round = 0; round < ROUNDS; round++) {
        eddy_rcu_advance(&a->super->era); /* so that what follows is born in another */
        for (int i = 0; i < EACH; i++) {
            cr_assert_eq(unit_append(&m, name_of("new", i), EDDY_ANY, 1, 0), 0);
        }
        for (int i = 0; i < EACH; i++) {
            forget(&m, name_of("new", i));
            for (size_t j = 0; j + 1 < m.plan.condemned.count; j += 2) {
                must(eddy_reclaim_block(&k, m.plan.condemned.at[j], m.plan.condemned.at[j + 1]));
            }
        }
    }
    eddy_grace_free(&k.grace, true);
    cr_assert_geq(k.grace.freed_blocks, ROUNDS * EACH);
    eddy_rcu_leave(&stopped.thread.span);
    for (int i = 0; i < 4; i++) {
        while (eddy_scan_slice(&k, 64) == 0) {
        }
        eddy_grace_free(&k.grace, true);
    }
    cr_assert_geq(k.grace.freed_blocks, ROUNDS * EACH + OLD);
    eddy_reclaim_fini(&k);
    unit_leave(&m);
    unit_leave(&stopped);
    unit_assert_sound(a);
    unit_store_free(a);
}

/* Between the commit that condemned a block and the taking back of it by who committed, others may
 * have done that, and its memory is an event's by now: whose bytes must stay as they are
 * (eddy_reclaim_block() has a tag for that). */
Test(reuse, who_comes_late_to_a_condemned_block_leaves_its_next_use_alone, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct unit_member other;
    static struct eddy_reclaim late;
    static unsigned char data[60000];
    unit_join(&m, a);
    unit_join(&other, a);
    eddy_reclaim_init(&late, &m.thread);
    cr_assert_eq(unit_append(&other, "other", 0, 1, 10), 0); /* the roots are its */
    char name[200];                                          /* of a class of its own */
    memset(name, 'n', sizeof name);
    name[199] = 0;
    cr_assert_eq(unit_append(&m, name, 0, 1, 10), 0); /* at the start of an extent, and */
    name[0] = 'm';
    cr_assert_eq(unit_append(&m, name, 0, 1, 10), 0); /* behind it */
    name[0] = 'n';
    forget(&m, name);
    name[0] = 'm';
    forget(&m, name);
    cr_assert_geq(m.plan.condemned.count, 1);
    uint64_t off = m.plan.condemned.at[0];
    uint64_t tag = m.plan.condemned.at[1];
    eddy_blocks_leave(a, &m.thread.blocks);
    eddy_store *s = unit_handle(a, 0);
    must(eddy_maintain(s, 0, NULL));
    must(eddy_maintain(s, 0, NULL));
    uint32_t idx = eddy_arena_extent_of(a, off);
    cr_assert_eq(extent_state(a, idx), EDDY_FREE);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = EDDY_CONDEMNED;
    }
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    eddy_buffer *buffer = eddy_buffer_create();
    for (int i = 0; i < 20; i++) {
        must(eddy_append(s, eddy_str("use"), EDDY_ANY, &e, 1, NULL));
    }
    cr_assert_eq(EDDY_INFO_KIND(eddy_ld_acq(&a->extents[idx].info)), EDDY_KIND_EVENTS);
    cr_assert_eq(eddy_reclaim_block(&late, off, tag), 0);
    eddy_event got;
    for (uint64_t v = 1; v <= 20; v++) {
        must(eddy_get_version(s, eddy_str("use"), v, buffer, &got));
        cr_assert_eq(memcmp(got.data.ptr, data, sizeof data), 0, "version %llu has other bytes",
                     (unsigned long long)v);
    }
    eddy_buffer_destroy(buffer);
    eddy_close(s);
    unit_leave(&m);
    unit_leave(&other);
    unit_store_free(a);
}
