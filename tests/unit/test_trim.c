/* trim: free memory goes back to the system, unless somebody may be reading there; and comes back
 * when it is wanted. */
#include "trim.h"

#include "support/check.h"
#include "support/cr_must.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <string.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)

static uint64_t bytes_on_disk(int fd) {
    struct stat facts;
    cr_assert_eq(fstat(fd, &facts), 0);
    return (uint64_t)facts.st_blocks * 512;
}

static int fill(eddy_store *store, const char *stream, unsigned count) {
    static unsigned char data[1000];
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    int r = 0;
    for (unsigned i = 0; r == 0 && i < count; i++) {
        memset(data, (int)(i % 251 + 1), sizeof data);
        r = eddy_append(store, eddy_str(stream), EDDY_ANY, &e, 1, NULL);
    }
    return r;
}

static void assert_filled(eddy_store *store, const char *stream, unsigned count) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event e;
    select.stream = eddy_str(stream);
    must(eddy_reader_open(store, &select, &reader));
    for (unsigned i = 0; i < count; i++) {
        gives(eddy_reader_next(reader, &e), EDDY_EVENT);
        cr_assert_eq(e.data.len, 1000);
        const unsigned char *at = e.data.ptr;
        cr_assert(at[0] == i % 251 + 1 && at[999] == i % 251 + 1, "event %u", i);
    }
    gives(eddy_reader_next(reader, &e), EDDY_END);
    eddy_reader_close(reader);
}

static int trim(eddy_store *store, eddy_maintained *done) {
    *done = (eddy_maintained){.size = sizeof *done};
    return eddy_maintain(store, EDDY_TRIM, done);
}

/* A store with 16 MiB that are free again, and a few events. */
static eddy_store *emptied_store(void) {
    eddy_store *store = sandbox_anonymous_of(64 * MIB);
    must(fill(store, "stays", 50));
    must(fill(store, "goes", 16000));
    must(eddy_delete(store, eddy_str("goes"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    return store;
}

Test(trim, memory_really_goes_and_comes_back, .timeout = 60) {
    eddy_store *store = emptied_store();
    int fd = eddy_store_fd(store);
    eddy_maintained done;
    for (int round = 0; round < 3; round++) {
        uint64_t before = bytes_on_disk(fd);
        must(trim(store, &done));
        uint64_t after = bytes_on_disk(fd);
        cr_assert_geq(done.trimmed, 14 * MIB);
        cr_assert_eq(before - after, done.trimmed);
        must(trim(store, &done));
        cr_assert_eq(done.trimmed, 0, "there is no more");
        assert_filled(store, "stays", 50);
        sandbox_check(store);
        must(fill(store, "again", 16000));
        cr_assert_geq(bytes_on_disk(fd), after + 14 * MIB);
        assert_filled(store, "again", 16000);
        sandbox_check(store);
        must(eddy_forget(store, eddy_str("again"), NULL));
        must(eddy_maintain(store, 0, NULL));
    }
    gives(eddy_maintain(store, 2, &done), EDDY_EINVAL);
    eddy_close(store);
}

Test(trim, what_comes_back_is_zeroes, .timeout = 20) {
    struct eddy_arena *a = unit_store_of(8 * MIB, 0);
    struct unit_member m;
    uint32_t idx;
    uint64_t bytes;
    unit_join(&m, a);
    uint64_t n = 0;
    while (eddy_extent_take(a, 1, EDDY_KIND_EVENTS, 0, 1, &idx) == 0) {
        memset(eddy_arena_raw(a, eddy_arena_extent_off(a, idx)), 0x5a, EDDY_EXTENT_SIZE);
        n++;
    }
    for (uint32_t i = EDDY_RESERVED_EXTENTS; i < a->extents_max; i++) {
        eddy_extent_give(a, i, 1);
    }
    uint64_t before = bytes_on_disk(a->fd);
    must(eddy_trim(&m.thread, 3, &bytes));
    cr_assert_eq(bytes, (n - 3) * EDDY_EXTENT_SIZE);
    cr_assert_eq(before - bytes_on_disk(a->fd), bytes);
    cr_assert_eq(eddy_extent_count_holes(a), n - 3);
    cr_assert_eq(eddy_extent_count_free(a), 3);
    for (uint64_t k = 0; k < n; k++) {
        cr_assert_eq(eddy_extent_take(a, 1, EDDY_KIND_EVENTS, 0, 1, &idx), 0);
        uint64_t sum = 0;
        for (uint64_t i = 0; i < EDDY_EXTENT_SIZE / 8; i++) {
            sum |= eddy_ld_acq(unit_word(a, eddy_arena_extent_off(a, idx) + i * 8));
        }
        cr_assert_eq(sum, k < 3 ? UINT64_C(0x5a5a5a5a5a5a5a5a) : 0, "extent %u", idx);
    }
    cr_assert_eq(eddy_extent_count_holes(a), 0);
    unit_leave(&m);
    unit_store_free(a);
}

Test(trim, a_read_only_handle_keeps_it_all, .timeout = 30) {
    eddy_store *store = emptied_store();
    int fd = eddy_store_fd(store);
    eddy_maintained done;
    eddy_store *look[2];
    for (int i = 0; i < 2; i++) {
        look[i] = sandbox_again(store, EDDY_READ_ONLY);
    }
    uint64_t before = bytes_on_disk(fd);
    for (int i = 0; i < 2; i++) {
        gives(trim(store, &done), EDDY_EAGAIN);
        has_text(eddy_errmsg(), "read-only");
        cr_assert_eq(bytes_on_disk(fd), before);
        must(fill(store, "more", 20));
        must(eddy_maintain(store, 0, NULL));
        eddy_close(look[i]);
    }
    must(trim(store, &done));
    cr_assert_gt(done.trimmed, 0);
    cr_assert_lt(bytes_on_disk(fd), before);
    look[0] = sandbox_again(store, EDDY_READ_ONLY); /* opened behind it */
    assert_filled(look[0], "stays", 50);
    sandbox_check(look[0]);
    eddy_close(look[0]);
    eddy_close(store);
}

Test(trim, a_thread_that_stands_still_inside_keeps_it_all, .timeout = 30) {
    struct eddy_arena *a = unit_store_of(16 * MIB, 0);
    struct unit_member other;
    eddy_maintained done;
    unit_join(&other, a);
    eddy_store *store = unit_handle(a, 0);
    must(fill(store, "goes", 8000));
    must(eddy_delete(store, eddy_str("goes"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    uint64_t before = bytes_on_disk(a->fd);
    uint64_t free_before = eddy_extent_count_free(a);
    eddy_rcu_enter(&other.thread.span); /* and is not heard of for a while */
    gives(trim(store, &done), EDDY_EAGAIN);
    has_text(eddy_errmsg(), "inside");
    cr_assert_eq(bytes_on_disk(a->fd), before);
    cr_assert_eq(eddy_extent_count_holes(a), 0);
    cr_assert_eq(eddy_extent_count_free(a), free_before, "they are free as they were");
    must(fill(store, "more", 1000)); /* nobody else is held up */
    assert_filled(store, "more", 1000);
    eddy_rcu_leave(&other.thread.span);
    must(trim(store, &done));
    cr_assert_eq(before - bytes_on_disk(a->fd), done.trimmed);
    cr_assert_gt(done.trimmed, 0);
    unit_assert_sound(a);
    eddy_close(store);
    unit_leave(&other);
    unit_store_free(a);
}

Test(trim, many_extents_go_some_at_a_time, .timeout = 30) {
    struct eddy_arena *a = unit_store_of(64 * MIB, 0);
    struct unit_member m;
    uint64_t bytes;
    uint32_t idx;
    unit_join(&m, a);
    while (eddy_extent_take(a, 1, EDDY_KIND_EVENTS, 0, 1, &idx) == 0) {
    }
    for (uint32_t i = EDDY_RESERVED_EXTENTS; i < a->extents_max; i++) {
        eddy_extent_give(a, i, 1);
    }
    cr_assert_gt(a->extents_max, 3 * 256, "some are done at once");
    uint64_t before = bytes_on_disk(a->fd);
    must(eddy_trim(&m.thread, 0, &bytes));
    cr_assert_eq(bytes, (a->extents_max - EDDY_RESERVED_EXTENTS) * EDDY_EXTENT_SIZE);
    cr_assert_eq(before - bytes_on_disk(a->fd), bytes);
    unit_leave(&m);
    unit_store_free(a);
}

/* ---- deaths, and others at any access ---- */

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    struct unit_member other;
    uint64_t bytes;
};

static void scene_open(struct scene *s) {
    memset(s, 0, sizeof *s);
    s->arena = unit_store(0);
    unit_join(&s->m, s->arena);
    unit_join(&s->other, s->arena);
    cr_assert_eq(unit_append(&s->other, "s", EDDY_ANY, 5, 500), 0);
    uint32_t idx;
    for (int i = 0; i < 12; i++) {
        cr_assert_eq(eddy_extent_take(s->arena, s->m.thread.member, EDDY_KIND_EVENTS, 0, 1, &idx),
                     0);
        eddy_extent_give(s->arena, idx, 1);
        eddy_extent_remind(s->arena, idx);
    }
}

static void trim_all(void *arg) {
    struct scene *s = arg;
    CHECK_OK(eddy_trim(&s->m.thread, 0, &s->bytes));
}

static bool append_much(void *arg) {
    struct scene *s = arg;
    cr_assert_eq(unit_append(&s->other, "s", EDDY_ANY, 3, 50000), 0);
    return false;
}

/* Extents that anybody can still have, by taking all of them. */
static uint64_t can_be_had(struct eddy_arena *a) {
    uint32_t idx;
    uint64_t n = 0;
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        eddy_extent_remind(a, i); /* as a scan does: between state and bit somebody may have died */
    }
    while (eddy_extent_take(a, 1, EDDY_KIND_EVENTS, 0, 1, &idx) == 0) {
        eddy_st_rel(unit_word(a, eddy_arena_extent_off(a, idx)), 1); /* it has memory */
        n++;
    }
    return n;
}

static void step_through(bool (*act)(void *arg)) {
    uint64_t had = 0;
    for (uint64_t at = 0;; at++) {
        static struct scene s;
        scene_open(&s);
        struct unit_step step = {.arena = s.arena, .at = at, .act = act, .arg = &s};
        step.to = s.arena->extents_off;
        fd_set open;
        unit_note_open(&open);
        bool acted = unit_step(&step, trim_all, &s) != 0;
        unit_close_others(&open);
        if (acted && act == unit_act_death) {
            unit_die(&s.m);
            cr_assert_eq(eddy_maintain_sweep_dead(&s.other.thread), 1);
        } else {
            unit_leave(&s.m);
        }
        cr_assert_eq(unit_version(s.arena, "s"), acted && act == append_much ? 8 : 5);
        unit_assert_sound(s.arena);
        uint64_t n = can_be_had(s.arena);
        cr_assert(at == 0 || act == append_much || n == had, "at %llu: %llu extents, not %llu",
                  (unsigned long long)at, (unsigned long long)n, (unsigned long long)had);
        had = n;
        unit_leave(&s.other);
        unit_store_free(s.arena);
        if (!acted) {
            cr_assert_gt(at, 20);
            break;
        }
    }
}

Test(trim, who_dies_in_it_leaves_holes_that_are_had_again, .timeout = 60) {
    unit_needs_steps();
    step_through(unit_act_death);
}

Test(trim, who_appends_meanwhile_is_hurt_by_nothing, .timeout = 60) {
    unit_needs_steps();
    step_through(append_much);
}
