/* append: the short way says no where it cannot, and is as safe as the long one. */
#include "append.h"

#include "unit_support.h"

#include <string.h>

static int direct(struct unit_member *m, const char *stream, int64_t expected, size_t count,
                  size_t data_len) {
    static const unsigned char data[1 << 16];
    eddy_new_event e[16];
    for (size_t i = 0; i < 16; i++) {
        e[i] = (eddy_new_event){.type = eddy_str(stream), .data = eddy_mem(data, data_len)};
    }
    memset(&m->result, 0, sizeof m->result);
    return eddy_append_direct(&m->plan, eddy_str(stream), expected, e, count, true, 2000,
                              &m->result);
}

struct duo {
    struct eddy_arena *arena;
    struct unit_member me;
    struct unit_member other;
    unsigned commits;
    unsigned version;
    uint64_t seq;
    int gave;
};

/* Has free blocks for leaves at hand, so that no new extent need be cleared, word by word. */
static void stock(struct unit_member *m, unsigned class_) {
    uint64_t off;
    cr_assert_eq(
        eddy_block_take(m->thread.arena, &m->thread.blocks, m->thread.member, class_, &off), 0);
    eddy_block_give(m->thread.arena, &m->thread.blocks, off, class_);
}

/* "s" is at that version, at least 3, known to both; the last offset is the same. */
static void duo_open_at(struct duo *d, unsigned version) {
    d->arena = unit_store(0);
    unit_join(&d->me, d->arena);
    unit_join(&d->other, d->arena);
    cr_assert_eq(unit_append(&d->me, "s", 0, version - 2, 0), 0);
    cr_assert_eq(unit_append(&d->other, "s", version - 2, 1, 0), 0);
    cr_assert_eq(unit_append(&d->me, "s", version - 1, 1, 0), 0);
    stock(&d->me, EDDY_TRIE_CLASS);
    stock(&d->me, EDDY_LEAF8_CLASS);
    d->version = version;
    d->seq = unit_applied(d->arena);
}

/* It is at version 21. */
static void duo_open(struct duo *d) {
    duo_open_at(d, 21);
}

static void duo_close(struct duo *d) {
    unit_leave(&d->other);
    unit_assert_sound(d->arena);
    unit_store_free(d->arena);
}

Test(append, what_is_known_and_has_room_goes_the_short_way, .timeout = 20) {
    struct duo d;
    duo_open(&d);
    cr_assert_eq(direct(&d.me, "s", 21, 3, 50), 1);
    cr_assert_eq(d.me.result.first_offset, 22);
    cr_assert_eq(d.me.result.last_offset, 24);
    cr_assert_eq(d.me.result.last_version, 24);
    cr_assert_geq(d.me.result.recorded_ns, 2000);
    cr_assert_eq(direct(&d.me, "s", EDDY_ANY, EDDY_REDO_REFS_MAX, 0), 1);
    cr_assert_eq(direct(&d.me, "s", EDDY_EXISTS, 1, 0), 1);
    cr_assert_eq(unit_version(d.arena, "s"), 25 + EDDY_REDO_REFS_MAX);
    unit_leave(&d.me);
    duo_close(&d);
}

Test(append, what_it_cannot_do_it_leaves_undone, .timeout = 20) {
    struct duo d;
    duo_open(&d);
    uint64_t fill = d.me.thread.cursor.fill;
    cr_assert_eq(direct(&d.me, "unknown", EDDY_ANY, 1, 0), 0);
    cr_assert_eq(direct(&d.me, "s", 20, 1, 0), 0); /* a conflict */
    cr_assert_eq(direct(&d.me, "s", EDDY_NONE, 1, 0), 0);
    cr_assert_eq(direct(&d.me, "s", EDDY_ANY, EDDY_REDO_REFS_MAX + 1, 0), 0);
    cr_assert_eq(direct(&d.me, "s", EDDY_ANY, 1, 65000), 0); /* no room at the cursor */
    cr_assert_eq(unit_applied(d.arena), d.seq);
    cr_assert_eq(d.me.thread.cursor.fill, fill);
    uint32_t idx = eddy_arena_extent_of(d.arena, d.me.thread.cursor.base);
    uint64_t mark = eddy_ld_acq(&d.arena->extents[idx].fill);
    cr_assert_eq(mark, EDDY_FILL(d.me.thread.cursor.events, fill));
    unit_leave(&d.me);
    duo_close(&d);
}

/* Two events go past the edge of a place where offsets or versions lie: the descriptor, the small leaf,
 * the first leaf of a trie (which gets a taller root), a later one. */
static const unsigned edges[] = {5, 13, 63, 77, 126};
enum { EDGES = sizeof edges / sizeof edges[0] };

static uint64_t free_blocks(struct eddy_thread *t) {
    return t->blocks.of[EDDY_TRIE_CLASS].spare_count;
}

Test(append, it_goes_past_the_edges_of_leaves, .timeout = 20) {
    struct duo d;
    duo_open_at(&d, 3);
    /* Offsets and versions up to several new leaves, by one, two and three. */
    for (unsigned v = 3; v < 400;) {
        unsigned n = 1 + v % 3;
        cr_assert_eq(direct(&d.me, "s", v, n, 0), 1);
        cr_assert_eq(d.me.result.first_offset, v + 1);
        cr_assert_eq(d.me.result.last_version, v + n);
        v += n;
    }
    unit_assert_sound(d.arena);
    cr_assert_eq(unit_append(&d.other, "s", EDDY_ANY, 100, 0), 0);
    unit_leave(&d.me);
    duo_close(&d);
}

Test(append, a_new_leaf_is_the_one_looked_at_next, .timeout = 20) {
    struct duo d;
    duo_open_at(&d, 142);
    uint64_t spare = free_blocks(&d.me.thread);
    cr_assert_eq(direct(&d.me, "s", 142, 1, 0), 1);
    cr_assert_eq(free_blocks(&d.me.thread), spare - 1);
    struct eddy_plan_known *k = d.me.plan.last;
    cr_assert_eq(k->leaf.base, 128);
    cr_assert_eq(eddy_block_state(d.arena, k->leaf.off), EDDY_LINKED);
    cr_assert_eq(k->leaf.tag, eddy_block_tag(d.arena, k->leaf.off));
    unit_leave(&d.me);
    duo_close(&d);
}

Test(append, leaves_that_others_have_made_are_found, .timeout = 20) {
    struct duo d;
    duo_open(&d);
    cr_assert_eq(unit_append(&d.other, "s", 21, 80, 0), 0);
    cr_assert_eq(direct(&d.me, "s", 101, 1, 8), 1);
    cr_assert_eq(direct(&d.me, "s", 102, 2, 8), 1);
    cr_assert_eq(d.me.result.last_version, 104);
    cr_assert_eq(unit_version(d.arena, "s"), 104);
    unit_leave(&d.me);
    duo_close(&d);
}

Test(append, streams_in_turn_are_told_apart, .timeout = 20) {
    struct duo d;
    duo_open(&d);
    cr_assert_eq(unit_append(&d.me, "t", EDDY_NONE, 1, 0), 0);
    cr_assert_eq(unit_append(&d.me, "t", 1, 1, 0), 0);
    for (int64_t i = 0; i < 4; i++) {
        cr_assert_eq(direct(&d.me, "s", 21 + i, 1, 8), 1);
        cr_assert_eq(direct(&d.me, "t", 2 + i, 1, 8), 1);
        cr_assert_eq(direct(&d.me, "st", EDDY_ANY, 1, 8), 0);
    }
    cr_assert_eq(unit_version(d.arena, "s"), 25);
    cr_assert_eq(unit_version(d.arena, "t"), 6);
    unit_leave(&d.me);
    duo_close(&d);
}

static bool other_commits(void *arg) {
    struct duo *d = arg;
    for (unsigned i = 0; i < d->commits; i++) {
        cr_assert_eq(unit_append(&d->other, "s", EDDY_ANY, 1, 0), 0);
        cr_assert_eq(unit_append(&d->other, "t", EDDY_ANY, 1, 0), 0);
    }
    return false;
}

static void append_any(void *arg) {
    struct duo *d = arg;
    d->gave = direct(&d->me, "s", EDDY_ANY, 2, 8);
}

static void append_expected(void *arg) {
    struct duo *d = arg;
    d->gave = direct(&d->me, "s", d->version, 2, 8);
}

static bool interrupted(unsigned version, uint64_t at, unsigned commits,
                        void (*append)(void *arg)) {
    struct duo d;
    duo_open_at(&d, version);
    d.commits = commits;
    struct unit_step step = {.arena = d.arena, .at = at, .act = other_commits, .arg = &d};
    bool acted = unit_step(&step, append, &d) != 0;
    cr_assert(d.gave == 0 || d.gave == 1);
    cr_assert_eq(unit_version(d.arena, "s"), version + (acted ? commits : 0) + (d.gave ? 2 : 0));
    if (d.gave == 1 && append == append_expected) {
        cr_assert_eq(d.me.result.first_offset, version + 1);
    }
    cr_assert(acted || d.gave == 1);
    unit_assert_sound(d.arena);
    unit_leave(&d.me);
    duo_close(&d);
    return acted;
}

Test(append, others_commit_between_any_two_accesses, .timeout = 60) {
    unit_needs_steps();
    for (unsigned commits = 1; commits <= 5; commits += 4) {
        uint64_t at = 0;
        while (interrupted(21, at, commits, append_any)) {
            at++;
        }
        cr_assert_gt(at, 30);
        at = 0;
        while (interrupted(21, at, commits, append_expected)) {
            at++;
        }
    }
}

Test(append, others_commit_while_a_leaf_is_made, .timeout = 120) {
    unit_needs_steps();
    for (unsigned i = 0; i < EDGES; i++) {
        uint64_t at = 0;
        while (interrupted(edges[i], at, at % 2 ? 5 : 1, append_any)) {
            at++;
        }
        cr_assert_gt(at, 30);
    }
}

static void die_at_any_access(unsigned version) {
    for (uint64_t at = 0;; at++) {
        struct duo d;
        duo_open_at(&d, version);
        struct unit_step step = {.arena = d.arena, .at = at, .act = unit_act_death};
        bool died = unit_step(&step, append_any, &d) != 0;
        bool committed =
            eddy_ring_round_of(eddy_ring_load(d.arena, d.seq)) == eddy_ring_round(d.seq);
        unsigned is = committed ? version + 2 : version;
        unit_assert_sound(d.arena);
        unit_die(&d.me);
        cr_assert_eq(eddy_maintain_sweep_dead(&d.other.thread), 1);
        cr_assert_eq(unit_version(d.arena, "s"), is);
        unit_assert_sound(d.arena);
        cr_assert_eq(unit_append(&d.other, "s", is, 1, 0), 0);
        duo_close(&d);
        if (!died) {
            break;
        }
    }
}

Test(append, a_death_at_any_access_leaves_all_or_nothing, .timeout = 60) {
    unit_needs_steps();
    die_at_any_access(21);
}

Test(append, a_death_while_a_leaf_is_made_leaves_all_or_nothing, .timeout = 120) {
    unit_needs_steps();
    for (unsigned i = 0; i < EDGES; i++) {
        die_at_any_access(edges[i]);
    }
}
