/* maintain: what a dead member leaves is cleared up, at whatever point it died, by as many as like,
 * as often as they like; nothing of the living is touched. */
#include "maintain.h"

#include "support/child.h"
#include "unit_support.h"

#include <string.h>
#include <unistd.h>

struct scene {
    struct eddy_arena *arena;
    struct unit_member dead;
    struct unit_member live;
    uint64_t loose;  /* a block that the dead owned and nothing leads to */
    uint64_t linked; /* one that the index leads to */
    uint32_t reader;
    uint64_t at; /* the access at which a sweeper died */
};

static unsigned state_of(struct eddy_arena *a, uint64_t block) {
    return EDDY_STATE_OF(eddy_ld_acq(unit_word(a, block)));
}

/* The dead has committed a record that is applied up to `done`, and holds: a block that is linked
 * but says OWNED, one that is not, event extents, a reader that sleeps and pins, a node extent that
 * it had not described yet, a transaction that it was still writing. Its byte is not locked. */
static void scene_open(struct scene *s, size_t done) {
    memset(s, 0, sizeof *s);
    struct eddy_arena *a = s->arena = unit_store(0);
    unit_join(&s->dead, a);
    unit_join(&s->live, a);
    cr_assert_eq(unit_append(&s->live, "s", EDDY_ANY, 60, 0), 0);
    cr_assert_eq(unit_append(&s->dead, "s", EDDY_ANY, 1, 0), 0);
    struct unit_image before = unit_image_take(a);
    unit_add(&s->dead, "new", 20, 0);
    unit_add(&s->dead, "s", 4, 0);
    cr_assert_eq(unit_commit(&s->dead), 0);
    s->linked = eddy_arena_off(a, unit_stream(a, "new"));
    cr_assert_eq(eddy_block_take(a, &s->dead.thread.blocks, s->dead.thread.member, 9, &s->loose),
                 0);
    unit_add(&s->dead, "never", 3, 500);
    unit_half_applied(a, &before, done, s->dead.thread.member);
    unit_image_free(&before);

    uint32_t idx;
    cr_assert_eq(eddy_extent_take(a, s->dead.thread.member, EDDY_KIND_NODES, 3, 1, &idx), 0);
    eddy_st_rel(&a->extents[idx].info, 0);
    s->reader = a->readers_max - 2;
    eddy_st_rel(&a->readers[s->reader].state, EDDY_SLOT(7, s->dead.thread.member));
    eddy_st_rel(&a->readers[s->reader].pin, 1);
    (void)eddy_wait_mark(a, s->reader, 5);
    eddy_rcu_enter(&s->dead.thread.span);
    cr_assert_eq(state_of(a, s->linked), EDDY_OWNED);
    cr_assert_eq(state_of(a, s->loose), EDDY_OWNED);
    unit_die(&s->dead);
}

static void assert_cleared(struct scene *s) {
    struct eddy_arena *a = s->arena;
    uint32_t dead = s->dead.thread.member;
    cr_assert_eq(state_of(a, s->linked), EDDY_LINKED, "state %u, at %llu", state_of(a, s->linked),
                 (unsigned long long)s->at);
    cr_assert_eq(state_of(a, s->loose), EDDY_FREE);
    cr_assert_eq(eddy_extent_count_owned(a, dead), 0);
    cr_assert_eq(EDDY_MEMBER_OF(eddy_ld_acq(&a->members[dead].state)), EDDY_MEMBER_FREE);
    cr_assert_not(EDDY_SLOT_LIVE(eddy_ld_acq(&s->dead.thread.slot->state)));
    cr_assert_eq(eddy_ld_acq(&s->dead.thread.slot->lo), 0);
    cr_assert_not(EDDY_SLOT_LIVE(eddy_ld_acq(&a->readers[s->reader].state)));
    cr_assert_eq(EDDY_SLOT_GEN(eddy_ld_acq(&a->readers[s->reader].state)), 7);
    cr_assert_eq(eddy_ld_acq(&a->readers[s->reader].pin), 0);
    cr_assert_eq(eddy_ld_acq(&a->waits[0]), 0);
    cr_assert_eq(eddy_ld_acq(&eddy_arena_group(a, 5)->mask[0]), 0);
    cr_assert_eq(unit_version(a, "s"), 65);
    cr_assert_eq(unit_version(a, "new"), 20);
    cr_assert_eq(unit_version(a, "never"), 0);
    unit_assert_sound(a);
    cr_assert_eq(unit_append(&s->live, "new", 20, 50, 0), 0);
    struct unit_member heir;
    unit_join(&heir, a);
    cr_assert_eq(heir.thread.member, dead);
    cr_assert_eq(unit_append(&heir, "never", 0, 50, 300), 0);
    unit_leave(&heir);
    unit_assert_sound(a);
}

static void scene_close(struct scene *s) {
    unit_leave(&s->live);
    unit_store_free(s->arena);
}

Test(maintain, everything_of_the_dead_is_cleared_up, .timeout = 60) {
    for (size_t done = 0; done <= 16; done++) {
        struct scene s;
        scene_open(&s, done);
        cr_assert_eq(eddy_maintain_sweep_dead(&s.live.thread), 1);
        assert_cleared(&s);
        scene_close(&s);
    }
}

Test(maintain, once_more_changes_nothing, .timeout = 20) {
    struct scene s;
    scene_open(&s, 2);
    cr_assert_eq(eddy_maintain_sweep_dead(&s.live.thread), 1);
    struct unit_image once = unit_image_take(s.arena);
    cr_assert_eq(eddy_maintain_sweep_dead(&s.live.thread), 0);
    struct unit_image twice = unit_image_take(s.arena);
    cr_assert_eq(unit_image_differs(&once, &twice, &s.live), UINT64_MAX);
    unit_image_free(&once);
    unit_image_free(&twice);
    assert_cleared(&s);
    scene_close(&s);
}

static void sweep(void *arg) {
    struct unit_member *m = arg;
    cr_assert_geq(eddy_maintain_sweep_dead(&m->thread), 0);
}

/* A sweeper that is cut off leaves a descriptor that holds a byte, which the kernel would close at
 * its death. */
Test(maintain, a_sweeper_that_dies_at_any_access_is_followed_by_another, .timeout = 120) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        struct scene s;
        struct unit_member second;
        scene_open(&s, 1);
        s.at = at;
        unit_join(&second, s.arena);
        struct unit_step step = {
            .arena = s.arena, .to = s.arena->extents_off, .at = at, .act = unit_act_death};
        fd_set open;
        unit_note_open(&open);
        bool died = unit_step(&step, sweep, &second) != 0;
        unit_close_others(&open);
        unit_assert_sound(s.arena);
        unit_die(&second);
        sweep(&s.live);
        assert_cleared(&s);
        cr_assert_eq(eddy_maintain_sweep_dead(&s.live.thread), 0);
        scene_close(&s);
        if (!died) {
            cr_assert_gt(at, 100);
            break;
        }
    }
}

struct two {
    struct scene s;
    struct unit_member second;
    int swept;
};

static bool sweep_too(void *arg) {
    struct two *t = arg;
    int r = eddy_maintain_sweep_dead(&t->s.live.thread);
    cr_assert_geq(r, 0);
    t->swept += r;
    return false;
}

static void sweep_second(void *arg) {
    struct two *t = arg;
    int r = eddy_maintain_sweep_dead(&t->second.thread);
    cr_assert_geq(r, 0);
    t->swept += r;
}

Test(maintain, of_two_sweepers_one_sweeps, .timeout = 120) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        struct two t;
        memset(&t, 0, sizeof t);
        scene_open(&t.s, 1);
        unit_join(&t.second, t.s.arena);
        struct unit_step step = {.arena = t.s.arena,
                                 .to = t.s.arena->extents_off,
                                 .at = at,
                                 .act = sweep_too,
                                 .arg = &t};
        bool acted = unit_step(&step, sweep_second, &t) != 0;
        cr_assert_eq(t.swept, 1);
        unit_leave(&t.second);
        assert_cleared(&t.s);
        scene_close(&t.s);
        if (!acted) {
            break;
        }
    }
}

/* ---- the living ---- */

Test(maintain, nobody_who_lives_is_swept, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct unit_member idle;
    unit_join(&m, a);
    unit_join(&idle, a);
    uint64_t off;
    cr_assert_eq(eddy_block_take(a, &idle.thread.blocks, idle.thread.member, 1, &off), 0);
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 0);
    cr_assert_eq(state_of(a, off), EDDY_OWNED);
    cr_assert_eq(eddy_maintain_recover(a), 0);
    cr_assert_eq(state_of(a, off), EDDY_OWNED);
    unit_leave(&idle);
    unit_leave(&m);
    unit_store_free(a);
}

static void hold(void *arg) {
    struct {
        struct eddy_arena *arena;
        int say;
        int hear;
    } *h = arg;
    struct unit_member m;
    unit_join(&m, h->arena);
    (void)unit_append(&m, "s", EDDY_ANY, 3, 10);
    child_say(h->say);
    child_hear(h->hear);
}

Test(maintain, a_process_is_swept_when_it_has_been_killed_and_not_before, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    int up[2];
    int down[2];
    unit_join(&m, a);
    cr_assert_eq(pipe(up), 0);
    cr_assert_eq(pipe(down), 0);
    struct {
        struct eddy_arena *arena;
        int say;
        int hear;
    } h = {a, up[1], down[0]};
    pid_t pid = child_start(hold, &h);
    child_hear(up[0]);
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 0);
    cr_assert_eq(child_stop(pid), 0);
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 0);
    cr_assert_gt(eddy_extent_count_owned(a, 2), 0);
    child_kill(pid);
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 1);
    cr_assert_eq(eddy_extent_count_owned(a, 2), 0);
    cr_assert_eq(unit_version(a, "s"), 3);
    unit_assert_sound(a);
    unit_leave(&m);
    unit_store_free(a);
}

static bool second_is_dead(void *arg, uint32_t member) {
    (void)arg;
    return member == 2;
}

Test(maintain, death_can_be_said_by_a_proof, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct unit_member other;
    unit_join(&m, a);
    unit_join(&other, a);
    cr_assert_eq(unit_append(&other, "s", EDDY_ANY, 3, 10), 0);
    a->dead_fn = second_is_dead;
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 1);
    cr_assert_eq(eddy_extent_count_owned(a, 2), 0);
    a->dead_fn = NULL;
    unit_die(&other);
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 0);
    unit_leave(&m);
    unit_store_free(a);
}

Test(maintain, the_recovery_slot_sweeps_when_all_others_are_taken, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m[UNIT_MEMBERS - 1];
    for (int i = 0; i < UNIT_MEMBERS - 1; i++) {
        unit_join(&m[i], a);
        cr_assert_eq(unit_append(&m[i], "s", EDDY_ANY, 1, 0), 0);
    }
    unit_die(&m[1]);
    unit_die(&m[3]);
    struct eddy_member one;
    for (uint32_t i = 1; i < UNIT_MEMBERS; i++) {
        cr_assert_eq(eddy_member_join(a, i, &one), 0); /* also the dead: they are not swept yet */
    }
    cr_assert_eq(eddy_maintain_recover(a), 2);
    cr_assert_eq(eddy_maintain_recover(a), 0);
    cr_assert_eq(eddy_member_join(a, 2, &one), 1);
    eddy_member_leave(a, &one);
    cr_assert_eq(unit_version(a, "s"), UNIT_MEMBERS - 1);
    unit_assert_sound(a);
    unit_leave(&m[0]);
    unit_leave(&m[2]);
    unit_leave(&m[4]);
    unit_store_free(a);
}

Test(maintain, damage_stops_a_sweep_before_it_judges, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    uint64_t list = EDDY_REDO(EDDY_REDO_SET, 1, 0);
    eddy_st_rel(&s.dead.thread.slot->buffer[1].list[0], list);
    cr_assert_eq(eddy_maintain_sweep_dead(&s.live.thread), EDDY_ECORRUPT);
    cr_assert_eq(state_of(s.arena, s.linked), EDDY_OWNED);
    cr_assert_eq(EDDY_MEMBER_OF(eddy_ld_acq(&s.arena->members[1].state)), EDDY_MEMBER_LIVE);
    scene_close(&s);
}

static int forget(struct unit_member *m, const char *stream) {
    int64_t s = eddy_batch_stream(&m->batch, m->arena, eddy_str(stream));
    cr_assert_eq(eddy_batch_cut(&m->batch, (uint32_t)s, EDDY_CUT_FORGET, 0), 0);
    return unit_commit(m);
}

/* Who committed died before it said of its blocks that they are linked; the stream is forgotten; the
 * sweep finds blocks of the dead, owned, whose descriptor is not found by its name, and frees them at
 * once, though the descriptor still leads to them, and who retires it will condemn what they are by
 * then. */
Test(maintain, a_sweep_frees_no_node_that_a_forgotten_descriptor_leads_to, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    struct unit_member dead;
    unit_join(&m, a);
    unit_join(&dead, a);
    cr_assert_eq(unit_append(&m, "s", 0, 1, 10), 0);
    struct eddy_shm_stream *d = unit_stream(a, "s");
    struct unit_image before = unit_image_take(a);
    cr_assert_eq(unit_append(&dead, "s", 1, 20, 10), 0);
    (void)unit_half_applied(a, &before, 1000, dead.thread.member);
    (void)unit_help(&m);
    unit_die(&dead);
    cr_assert_eq(forget(&m, "s"), 0);
    uint64_t leaf = eddy_ld_acq(&d->leaf8);
    uint64_t root = eddy_ld_acq(&d->root);
    cr_assert(leaf != 0 && root != 0);
    cr_assert_eq(eddy_maintain_sweep_dead(&m.thread), 1);
    cr_assert(eddy_ld_acq(&d->leaf8) != leaf || eddy_block_state(a, leaf) != EDDY_FREE);
    cr_assert(eddy_ld_acq(&d->root) != root || eddy_block_state(a, root) != EDDY_FREE);
    unit_image_free(&before);
    unit_leave(&m);
    unit_store_free(a);
}
