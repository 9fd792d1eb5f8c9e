/* member: slots of processes, proved alive by the kernel, and of their threads. */
#include "member.h"

#include "support/child.h"
#include "unit_support.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static uint64_t state_of(struct eddy_arena *a, uint32_t idx) {
    return eddy_ld_acq(&a->members[idx].state);
}

Test(member, joining_takes_a_free_slot_under_a_new_generation, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    for (uint64_t gen = 1; gen < 4; gen++) {
        cr_assert_eq(eddy_member_join(a, 2, &m), 1);
        cr_assert_eq(state_of(a, 2), EDDY_MEMBER_STATE(gen, EDDY_MEMBER_LIVE));
        cr_assert_eq(eddy_ld_acq(&a->members[2].pid), (uint32_t)getpid());
        cr_assert_not(eddy_member_dead(a, 2));
        struct eddy_member other;
        cr_assert_eq(eddy_member_join(a, 2, &other), 0);
        cr_assert_eq(eddy_member_lock(a, 2), -EAGAIN);
        eddy_member_leave(a, &m);
        cr_assert_eq(state_of(a, 2), EDDY_MEMBER_STATE(gen, EDDY_MEMBER_FREE));
        cr_assert(eddy_member_dead(a, 2));
    }
    unit_store_free(a);
}

Test(member, a_live_slot_whose_byte_is_not_locked_is_for_its_sweeper, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    eddy_platform_life_unlock(m.life);
    cr_assert(eddy_member_dead(a, 1));
    cr_assert_eq(eddy_member_join(a, 1, &m), 0, "nobody joins in it");
    int fd = eddy_member_lock(a, 1);
    cr_assert_geq(fd, 0);
    cr_assert_eq(eddy_member_lock(a, 1), -EAGAIN, "one sweeps");
    cr_assert_not(eddy_member_dead(a, 1), "and to the others it seems alive");
    eddy_member_set_free(a, 1);
    cr_assert_eq(eddy_member_join(a, 1, &m), 0, "not before the byte is given up");
    close(fd);
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    eddy_member_leave(a, &m);
    unit_store_free(a);
}

Test(member, a_death_between_the_byte_and_live_leaves_a_free_slot, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    int fd = eddy_member_lock(a, 1);
    cr_assert_geq(fd, 0);
    cr_assert_eq(eddy_member_join(a, 1, &m), 0);
    close(fd);
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    eddy_member_leave(a, &m);
    unit_store_free(a);
}

Test(member, the_recovery_slot_is_anybodys_but_one_at_a_time, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    struct eddy_member other;
    struct eddy_thread t;
    cr_assert_eq(eddy_member_join_recovery(a, &m), 1);
    eddy_thread_join_recovery(a, &m, &t);
    cr_assert_eq(t.idx, 0);
    cr_assert_eq(eddy_member_join_recovery(a, &other), 0);
    eddy_platform_life_unlock(m.life); /* dies in it: still LIVE, but it owned nothing */
    cr_assert_eq(eddy_member_join_recovery(a, &other), 1);
    eddy_member_leave(a, &other);
    unit_store_free(a);
}

static bool all_dead(void *arg, uint32_t member) {
    (void)arg;
    (void)member;
    return true;
}

Test(member, a_proof_may_say_who_is_dead, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    a->dead_fn = all_dead;
    cr_assert(eddy_member_dead(a, 1));
    a->dead_fn = NULL;
    cr_assert_not(eddy_member_dead(a, 1));
    eddy_member_leave(a, &m);
    unit_store_free(a);
}

/* ---- processes ---- */

struct child {
    struct eddy_arena *arena;
    int say;
    int hear;
};

static void join_close_all_and_wait(void *arg) {
    struct child *c = arg;
    struct unit_member m;
    unit_join(&m, c->arena);
    for (int fd = 3; fd < 200; fd++) {
        if (fd != c->say && fd != c->hear) {
            close(fd);
        }
    }
    child_say(c->say);
    child_hear(c->hear);
    _exit(0);
}

static void do_nothing(void *arg) {
    (void)arg;
}

Test(member, a_process_lives_until_it_ends_whatever_it_closes, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    int up[2];
    int down[2];
    cr_assert_eq(pipe(up), 0);
    cr_assert_eq(pipe(down), 0);
    struct child c = {a, up[1], down[0]};
    pid_t pid = child_start(join_close_all_and_wait, &c);
    child_hear(up[0]);
    cr_assert_not(eddy_member_dead(a, 1));
    cr_assert_eq(child_stop(pid), 0);
    cr_assert_not(eddy_member_dead(a, 1));
    child_continue(pid);
    child_say(down[1]);
    cr_assert_eq(child_end(pid, 5000), 0);
    cr_assert(eddy_member_dead(a, 1));
    cr_assert_eq(EDDY_MEMBER_OF(state_of(a, 1)), EDDY_MEMBER_LIVE);
    unit_store_free(a);
}

static void hear_and_end(void *arg) {
    struct child *c = arg;
    child_hear(c->hear);
}

Test(member, a_child_does_not_keep_its_parent_alive, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    int down[2];
    cr_assert_eq(pipe(down), 0);
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    struct child c = {a, -1, down[0]};
    pid_t pid = child_start(hear_and_end, &c);
    cr_assert_eq(child_run(do_nothing, NULL), 0);
    cr_assert_not(eddy_member_dead(a, 1), "a child that ends takes nothing with it");
    eddy_platform_life_unlock(m.life);
    cr_assert(eddy_member_dead(a, 1), "a child that lives on holds nothing");
    child_say(down[1]);
    cr_assert_eq(child_end(pid, 5000), 0);
    unit_store_free(a);
}

/* ---- threads ---- */

Test(member, threads_have_slots_until_all_are_taken, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    struct eddy_thread t[UNIT_THREADS];
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    for (uint32_t i = 1; i < UNIT_THREADS; i++) {
        cr_assert_eq(eddy_thread_join(a, &m, &t[i]), 1);
        cr_assert_eq(t[i].idx, i);
        cr_assert_eq(eddy_ld_acq(&a->threads[i].state), EDDY_SLOT(1, 1));
    }
    cr_assert_eq(eddy_thread_join(a, &m, &t[0]), 0);
    eddy_thread_leave(&t[3]);
    cr_assert_eq(eddy_thread_join(a, &m, &t[3]), 1);
    cr_assert_eq(t[3].idx, 3);
    cr_assert_eq(eddy_ld_acq(&a->threads[3].state), EDDY_SLOT(2, 1));
    eddy_member_clear_threads(a, 2);
    cr_assert(EDDY_SLOT_LIVE(eddy_ld_acq(&a->threads[3].state)));
    eddy_member_clear_threads(a, 1);
    for (uint32_t i = 1; i < UNIT_THREADS; i++) {
        cr_assert_not(EDDY_SLOT_LIVE(eddy_ld_acq(&a->threads[i].state)));
    }
    eddy_member_leave(a, &m);
    unit_store_free(a);
}

Test(member, counters_outlive_their_threads, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_member m;
    struct eddy_thread t;
    cr_assert_eq(eddy_member_join(a, 1, &m), 1);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(eddy_thread_join(a, &m, &t), 1);
        eddy_thread_count(&t, EDDY_COUNT_READ, i);
        eddy_thread_leave(&t);
    }
    cr_assert_eq(eddy_thread_counted(a, EDDY_COUNT_READ), 6);
    eddy_thread_init_reader(a, &t);
    eddy_thread_count(&t, EDDY_COUNT_READ, 100);
    cr_assert_eq(eddy_thread_counted(a, EDDY_COUNT_READ), 6);
    eddy_member_leave(a, &m);
    unit_store_free(a);
}

Test(member, a_thread_that_leaves_gives_up_what_it_owned, .timeout = 10) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 30, 100), 0);
    cr_assert_gt(eddy_extent_count_owned(a, 1), 2);
    unit_leave(&m);
    cr_assert_eq(eddy_extent_count_owned(a, 1), 0);
    unit_assert_sound(a);
    unit_store_free(a);
}
