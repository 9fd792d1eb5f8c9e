/* Who is a member of a store, and who is dead: forks, exec, several handles of one process, and
 * processes that are stopped. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/run.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* ---- fork ---- */

static void append_and_meet(struct guest *guest) {
    look_append(guest->store, "guest");
    guest_meet(guest);
}

Test(members, a_child_that_uses_the_store_is_a_member_of_its_own, .timeout = 60) {
    struct guest guest = {.store = sandbox_anonymous()};
    eddy_member_facts mine;
    eddy_member_facts its;
    look_append(guest.store, "host");
    guest_start(&guest, append_and_meet);
    guest_await(&guest);
    cr_assert(look_member(guest.store, getpid(), &mine));
    cr_assert(look_member(guest.store, guest.pid, &its));
    cr_assert(mine.alive && its.alive);
    cr_assert(mine.self && !its.self);
    cr_assert_neq(mine.slot, its.slot);
    cr_assert_eq(its.threads, 1);
    cr_assert_eq(sandbox_members(guest.store, NULL), 2);
    guest_tell(&guest);
    cr_assert_eq(guest_end(&guest), 0);
    cr_assert_not(look_alive(guest.store, guest.pid), "it ended without closing");
    eddy_close(sandbox_again(guest.store, 0));
    cr_assert_eq(sandbox_members(guest.store, NULL), 1);
    cr_assert(look_alive(guest.store, getpid()));
    sandbox_check(guest.store);
    eddy_close(guest.store);
}

enum { HELD = 8 << 20 }; /* bytes of a transaction that is never committed */

static void hold_much(eddy_store *store) {
    eddy_tx *tx;
    eddy_new_event event = {.data = eddy_mem(NULL, HELD)};
    void *place;
    CHECK_OK(eddy_tx_begin(store, &tx));
    CHECK_OK(eddy_tx_reserve(tx, eddy_str("never"), &event, &place));
    memset(place, 1, HELD);
}

struct family {
    pid_t child;
    struct guest idle; /* its pipes are the test's, made before */
};

/* Has the store open, and a child that never used it. */
static void be_parent_of_an_idle_child(struct guest *guest) {
    struct family *family = guest->more;
    struct guest *idle = &family->idle;
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    hold_much(store);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) { /* outlives its parent; ends when the test does, since it hears no more then */
        close(idle->up[0]);
        close(idle->down[1]);
        family->child = getpid();
        guest_meet(idle);
        for (int i = 0; i < 100; i++) {
            look_append(store, "orphan");
        }
        guest_meet(idle);
        sandbox_check(store);
        eddy_close(store);
        _exit(0);
    }
    guest_meet(guest);
}

Test(members, a_child_that_never_uses_the_store_takes_no_slot_and_keeps_no_parent_alive,
     .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    struct family *family = child_shared(sizeof *family);
    struct guest *idle = &family->idle;
    cr_assert_eq(pipe(idle->up) | pipe(idle->down), 0);
    eddy_store *store = sandbox_open(&box, "store", 0);
    uint64_t free_before = look_facts(store).free;
    struct guest guest = {.box = &box, .more = family};
    guest_start(&guest, be_parent_of_an_idle_child);
    guest_await(&guest);
    guest_await(idle);
    eddy_member_facts parent;
    cr_assert(look_member(store, guest.pid, &parent));
    cr_assert(parent.alive);
    cr_assert_geq(parent.owned, HELD);
    cr_assert_not(look_member(store, family->child, NULL));
    cr_assert_eq(sandbox_members(store, NULL), 2);

    guest_kill(&guest);
    cr_assert_not(look_alive(store, guest.pid), "the child keeps its parent alive");
    look_sweep(&box);
    cr_assert_not(look_member(store, guest.pid, NULL));
    cr_assert_eq(sandbox_members(store, NULL), 1);
    cr_assert_geq(look_facts(store).free, free_before + HELD - (2 << 20));

    child_say(idle->down[1]);
    guest_await(idle);
    cr_assert(look_alive(store, family->child));
    cr_assert_eq(look_version(store, "orphan"), 100);
    look_sweep(&box);
    cr_assert(look_alive(store, family->child));
    child_say(idle->down[1]);
    cr_assert_eq(child_end(family->child, CHILD_LIMIT_MS), 0);
    cr_assert_eq(sandbox_members(store, NULL), 1, "it closed, and left the list");
    sandbox_check(store);
    eddy_close(store);
}

enum { GENERATIONS = 6 };

struct line {
    eddy_store *store;
    int number;
    int up;   /* each says here once */
    int down; /* and hears here once */
    pid_t *pids;
};

/* A child, and its child, and so on; every second one uses the store. */
static void be_in_line(void *arg) {
    struct line next = *(struct line *)arg;
    int number = next.number++;
    next.pids[number] = getpid();
    if (number % 2 == 1) {
        look_append(next.store, "line");
    }
    pid_t child = number + 1 < GENERATIONS ? child_start(be_in_line, &next) : 0;
    child_say(next.up);
    child_hear(next.down);
    look_append(next.store, "line");
    CHECK(!child || child_end(child, CHILD_LIMIT_MS) == 0);
}

Test(members, grandchildren_are_members_of_their_own_whatever_their_parents_did, .timeout = 60) {
    int up[2];
    int down[2];
    cr_assert_eq(pipe(up) | pipe(down), 0);
    struct line line = {.store = sandbox_anonymous(), .up = up[1], .down = down[0]};
    line.pids = child_shared(GENERATIONS * sizeof *line.pids);
    look_append(line.store, "line");
    pid_t first = child_start(be_in_line, &line);
    for (int i = 0; i < GENERATIONS; i++) {
        child_hear(up[0]);
    }
    uint64_t slots = 0;
    for (int i = 0; i < GENERATIONS; i++) {
        eddy_member_facts facts;
        bool there = look_member(line.store, line.pids[i], &facts);
        cr_assert_eq(there, i % 2 == 1, "generation %d", i);
        cr_assert(!there || facts.alive);
        slots |= there ? UINT64_C(1) << facts.slot : 0;
    }
    cr_assert_eq(__builtin_popcountll(slots), GENERATIONS / 2);
    cr_assert_eq(sandbox_members(line.store, NULL), 1 + GENERATIONS / 2);
    for (int i = 0; i < GENERATIONS; i++) {
        child_say(down[1]);
    }
    cr_assert_eq(child_end(first, CHILD_LIMIT_MS), 0);
    cr_assert_eq(look_version(line.store, "line"), 1 + GENERATIONS + GENERATIONS / 2);
    eddy_close(sandbox_again(line.store, 0));
    cr_assert_eq(sandbox_members(line.store, NULL), 1);
    sandbox_check(line.store);
    eddy_close(line.store);
}

/* The allocator of AddressSanitizer itself does not survive a fork amid threads that allocate. */
#if defined(__SANITIZE_ADDRESS__)
#define NOT_WITH_ASAN() return
#else
#define NOT_WITH_ASAN() ((void)0)
#endif

enum { FORKS = 40, EACH = 20 };

struct pair {
    eddy_store *store;
    _Atomic uint32_t stop;
    uint64_t appended;
};

static void *append_without_pause(void *arg) {
    struct pair *pair = arg;
    while (!atomic_load(&pair->stop)) {
        look_append(pair->store, "busy");
        pair->appended++;
    }
    return NULL;
}

static void append_some(void *arg) {
    for (int i = 0; i < EACH; i++) {
        look_append(arg, "child");
    }
    CHECK(look_alive(arg, getpid()));
}

static void *fork_often(void *arg) {
    struct pair *pair = arg;
    for (int i = 0; i < FORKS; i++) {
        CHECK_EQ(child_run(append_some, pair->store), 0);
        CHECK(look_alive(pair->store, getpid()));
    }
    return NULL;
}

Test(members, a_thread_forks_while_another_appends_without_pause, .timeout = 60) {
    NOT_WITH_ASAN();
    struct pair pair = {.store = sandbox_anonymous_of(UINT64_C(2) << 30)};
    pthread_t busy;
    pthread_t forker;
    cr_assert_eq(pthread_create(&busy, NULL, append_without_pause, &pair), 0);
    cr_assert_eq(pthread_create(&forker, NULL, fork_often, &pair), 0);
    cr_assert_eq(pthread_join(forker, NULL), 0);
    atomic_store(&pair.stop, 1);
    cr_assert_eq(pthread_join(busy, NULL), 0);
    cr_assert_eq(look_version(pair.store, "busy"), pair.appended);
    cr_assert_eq(look_version(pair.store, "child"), FORKS * EACH);
    eddy_close(sandbox_again(pair.store, 0));
    uint32_t dead;
    cr_assert_eq(sandbox_members(pair.store, &dead), 1);
    cr_assert_eq(dead, 0);
    sandbox_check(pair.store);
    eddy_close(pair.store);
}

/* A daemon: its parent and its grandparent, which opened the store, are gone. */
static void become_daemon(struct guest *guest) {
    pid_t *pid = guest->more;
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    look_append(store, "daemon");
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        _exit(0);
    }
    CHECK(setsid() > 0);
    pid_t between = getpid();
    child = fork();
    CHECK(child >= 0);
    if (child > 0) {
        _exit(0);
    }
    while (getppid() == between) {
        child_linger_us(100); /* the test becomes its parent */
    }
    *pid = getpid();
    look_append(store, "daemon");
    guest_meet(guest);
    look_append(store, "daemon");
    eddy_close(store);
    _exit(0);
}

Test(members, a_daemon_that_forked_twice_is_the_only_one_alive, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid_t *daemon_pid = child_shared(sizeof *daemon_pid);
    eddy_store *store = sandbox_open(&box, "store", 0);
    struct guest guest = {.box = &box, .more = daemon_pid};
    guest_start(&guest, become_daemon);
    cr_assert_eq(child_end(guest.pid, CHILD_LIMIT_MS), 0);
    guest_await(&guest);
    cr_assert_not(look_alive(store, guest.pid));
    cr_assert(look_alive(store, *daemon_pid));
    look_sweep(&box);
    cr_assert_not(look_member(store, guest.pid, NULL));
    cr_assert(look_alive(store, *daemon_pid));
    guest_tell(&guest);
    cr_assert_eq(child_end(*daemon_pid, CHILD_LIMIT_MS), 0);
    cr_assert_eq(look_version(store, "daemon"), 3);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- exec ---- */

/* Becomes `cat`, which lives until it reads an end. */
static void become_cat(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    hold_much(store);
    guest_meet(guest);
    CHECK(dup2(guest->down[0], 0) == 0 && dup2(guest->up[1], 1) == 1);
    execlp("cat", "cat", (char *)NULL);
    CHECK(0);
}

/* The descriptors of a process that lead to a store. */
static int store_files_of(pid_t pid) {
    struct run run = run_shell("for f in /proc/%d/fd/*; do readlink $f; done | grep -c -E "
                               "'eddy|memfd|eventfd|io_uring'",
                               (int)pid);
    int count = atoi(run.out);
    cr_assert(run.code == 0 || run.code == 1);
    run_free(&run);
    return count;
}

Test(members, exec_ends_the_membership_at_once_though_the_program_lives_on, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = sandbox_open(&box, "store", 0);
    struct guest guest = {.box = &box};
    guest_start(&guest, become_cat);
    guest_await(&guest);
    cr_assert(look_alive(store, guest.pid));
    cr_assert_gt(store_files_of(guest.pid), 0);
    guest_tell(&guest); /* to go on; the byte after it comes back from the other program */
    guest_tell(&guest);
    guest_await(&guest);
    eddy_member_facts facts;
    cr_assert(look_member(store, guest.pid, &facts));
    cr_assert_not(facts.alive, "the other program keeps it alive");
    cr_assert_eq(store_files_of(guest.pid), 0);
    look_sweep(&box);
    cr_assert_not(look_member(store, guest.pid, NULL));
    guest_tell(&guest);
    guest_await(&guest); /* it has been there all the time */
    close(guest.down[1]);
    cr_assert_eq(child_end(guest.pid, CHILD_LIMIT_MS), 0);
    sandbox_check(store);
    eddy_close(store);
}

struct handed {
    eddy_store *store;
    bool on_purpose;
};

static void hand_down(void *arg) {
    const struct handed *handed = arg;
    char name[32];
    int fd = (int)CHECK_OK(eddy_store_fd(handed->store));
    CHECK_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    look_append(handed->store, "before");
    snprintf(name, sizeof name, "fd:%d", fd);
    CHECK_EQ(fcntl(fd, F_SETFD, handed->on_purpose ? 0 : FD_CLOEXEC), 0);
    if (!handed->on_purpose) {
        CHECK_EQ(dup2(open("/dev/null", O_RDWR | O_CLOEXEC), 2), 2); /* it will complain */
    }
    execl(run_path("eddy"), "eddy", "-S", name, "append", "by-exec", "x", (char *)NULL);
    CHECK(0);
}

Test(members, a_descriptor_goes_through_exec_only_on_purpose, .timeout = 60) {
    struct handed handed = {.store = sandbox_anonymous()};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int out = dup(1);
    cr_assert_eq(dup2(null, 1), 1);
    int refused = child_run(hand_down, &handed);
    cr_assert_eq(look_version(handed.store, "by-exec"), 0);
    handed.on_purpose = true;
    int done = child_run(hand_down, &handed);
    cr_assert_eq(dup2(out, 1), 1);
    cr_assert_gt(refused, 0);
    cr_assert_eq(done, 0);
    cr_assert_eq(look_version(handed.store, "by-exec"), 1);
    cr_assert_eq(look_version(handed.store, "before"), 2);
    eddy_close(sandbox_again(handed.store, 0));
    cr_assert_eq(sandbox_members(handed.store, NULL), 1);
    sandbox_check(handed.store);
    eddy_close(handed.store);
}

/* ---- other ways to get a child ---- */

/* Starts `cat` as posix_spawn() does it, by vfork, and is killed while that lives. */
static void spawn_cat(struct guest *guest) {
    struct family *family = guest->more;
    char *const argv[] = {(char[]){"cat"}, NULL};
    posix_spawn_file_actions_t actions;
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    look_append(store, "guest");
    CHECK_EQ(posix_spawn_file_actions_init(&actions), 0);
    CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, family->idle.down[0], 0), 0);
    CHECK_EQ(posix_spawn_file_actions_adddup2(&actions, family->idle.up[1], 1), 0);
    CHECK_EQ(posix_spawnp(&family->child, argv[0], &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    look_append(store, "guest");
    guest_meet(guest);
}

/* Shares the memory of its parent, with all that is mapped there. */
static int be_helper(void *arg) {
    const struct guest *idle = arg;
    char byte;
    return read(idle->down[0], &byte, 1) == 1 && write(idle->up[1], &byte, 1) == 1 ? 0 : 1;
}

static void have_helper(struct guest *guest) {
    enum { STACK = 256 << 10 };
    struct family *family = guest->more;
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    char *stack = malloc(STACK);
    CHECK(stack);
    hold_much(store);
    family->child = clone(be_helper, stack + STACK, CLONE_VM | SIGCHLD, &family->idle);
    CHECK(family->child > 0);
    guest_meet(guest);
}

/* A guest is killed while its child lives: is it dead then? */
static void outlive(void (*fn)(struct guest *guest), bool alive) {
    struct sandbox box;
    sandbox_make(&box);
    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    struct family *family = child_shared(sizeof *family);
    struct guest *idle = &family->idle;
    cr_assert_eq(pipe2(idle->up, O_CLOEXEC) | pipe2(idle->down, O_CLOEXEC), 0);
    eddy_store *store = sandbox_open(&box, "store", 0);
    struct guest guest = {.box = &box, .more = family};
    guest_start(&guest, fn);
    guest_await(&guest);
    cr_assert(look_alive(store, guest.pid));
    guest_kill(&guest);
    cr_assert_eq(look_alive(store, guest.pid), alive);
    look_sweep(&box);
    cr_assert_eq(look_counts(store).sweeps, alive ? 0 : 1);
    child_say(idle->down[1]);
    guest_await(idle); /* it has been there all the time */
    close(idle->down[0]);
    close(idle->down[1]);
    cr_assert_eq(child_end(family->child, CHILD_LIMIT_MS), 0);
    cr_assert_not(look_alive(store, guest.pid));
    look_sweep(&box);
    cr_assert_eq(look_counts(store).sweeps, 1);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    sandbox_check(store);
    eddy_close(store);
}

Test(members, a_program_that_was_spawned_keeps_nobody_alive, .timeout = 60) {
    outlive(spawn_cat, false);
}

/* It could go on writing to what its parent owned: that must not be given to others. */
Test(members, a_helper_that_shares_the_memory_keeps_its_member_alive, .timeout = 60) {
    outlive(have_helper, true);
}

/* ---- two handles ---- */

static void *wait_for_one(void *arg) {
    eddy_event event;
    CHECK_EQ(eddy_reader_wait(arg, eddy_deadline_ms(CHILD_LIMIT_MS), &event), EDDY_EVENT);
    CHECK_EQ(event.version, 1);
    return NULL;
}

struct slots {
    uint64_t alive;
    uint32_t self;
    uint32_t count;
};

static int note_slot(void *arg, const eddy_member_facts *facts) {
    struct slots *slots = arg;
    slots->alive |= facts->alive ? UINT64_C(1) << facts->slot : 0;
    slots->self = facts->self ? facts->slot : slots->self;
    slots->count++;
    return 0;
}

Test(members, two_handles_are_two_members_and_one_closes_while_the_other_waits, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *a = sandbox_open(&box, "store", 0);
    eddy_store *b = sandbox_open(&box, "store", 0);
    struct slots by_a = {0};
    struct slots by_b = {0};
    must(eddy_members(a, note_slot, &by_a));
    must(eddy_members(b, note_slot, &by_b));
    cr_assert_eq(by_a.count, 2);
    cr_assert_eq(__builtin_popcountll(by_a.alive), 2);
    cr_assert_eq(by_a.alive, by_b.alive);
    cr_assert_neq(by_a.self, by_b.self);

    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    pthread_t thread;
    select.flags = EDDY_FOLLOW;
    select.stream = eddy_str("news");
    must(eddy_reader_open(b, &select, &reader));
    uint64_t sleeps = look_counts(b).sleeps;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_one, reader), 0);
    while (look_counts(a).sleeps == sleeps) { /* bounded by the time-out of this test */
        child_linger_us(500);
    }
    look_append(a, "other");
    eddy_close(a);
    struct slots left = {0};
    must(eddy_members(b, note_slot, &left));
    cr_assert_eq(left.count, 1);
    cr_assert_eq(left.alive, UINT64_C(1) << by_b.self);
    look_sweep(&box);
    look_append(b, "news");
    cr_assert_eq(pthread_join(thread, NULL), 0);
    eddy_reader_close(reader);
    sandbox_check(b);
    eddy_close(b);
}

static void look_at_parent(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    CHECK(look_alive(store, getppid()));
    CHECK_EQ(look_counts(store).sweeps, 0);
    CHECK_EQ(sandbox_members(store, NULL), 2);
    eddy_close(store);
}

Test(members, other_descriptors_of_the_file_may_be_locked_and_closed, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = sandbox_open(&box, "store", 0);
    look_append(store, "s");
    for (int i = 0; i < 4; i++) {
        int fd = i % 2 ? open(sandbox_file(&box, "store"), O_RDWR | O_CLOEXEC)
                       : dup((int)CHECK_OK(eddy_store_fd(store)));
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 4096};
        cr_assert_geq(fd, 0);
        cr_assert_eq(fcntl(fd, F_SETLK, &lock), 0);
        close(fd); /* gives up all traditional locks of this process on the file */
        struct guest guest = {.box = &box};
        guest_start(&guest, look_at_parent);
        cr_assert_eq(guest_end(&guest), 0);
        look_append(store, "s");
    }
    sandbox_check(store);
    eddy_close(store);
}

/* ---- stopped ---- */

/* Holds all that a member can: a transaction, a borrowed event, a reader that waits. */
static void hold_all(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_tx *tx;
    eddy_event event;
    eddy_new_event new_event = {.data = eddy_str("begun before the stop")};
    select.flags = EDDY_FOLLOW | EDDY_BORROW;
    select.after_offset = look_facts(store).head - 1;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    CHECK_EQ(eddy_reader_next(reader, &event), EDDY_EVENT);
    CHECK_OK(eddy_tx_begin(store, &tx));
    CHECK_OK(eddy_tx_append(tx, eddy_str("guest"), &new_event));
    guest_meet(guest);
    CHECK_EQ(eddy_reader_holds(reader), 1);
    CHECK_OK(eddy_tx_commit(tx, NULL));
    guest_meet(guest);
}

/* Many come and go, also more than there are slots, so that all look for the dead. */
static void many_open(const struct sandbox *box) {
    eddy_options options = look_options(box, EDDY_MUST_EXIST);
    for (int i = 0; i < 10; i++) {
        eddy_store *stores[8];
        int opened = 0;
        int rc;
        while ((rc = eddy_open(&stores[opened], "store", &options)) == 0) {
            cr_assert_lt(++opened, 8);
        }
        cr_assert_eq(rc, EDDY_ELIMIT, "%s", eddy_errmsg());
        while (opened > 0) {
            eddy_close(stores[--opened]);
        }
    }
}

Test(members, a_stopped_process_is_alive_and_one_killed_while_stopped_is_dead, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = look_options(&box, 0);
    eddy_store *store;
    options.members = 6;
    must(eddy_open(&store, "store", &options));
    for (int kill_it = 0; kill_it < 2; kill_it++) {
        struct guest guest = {.box = &box};
        look_append(store, "host");
        guest_start(&guest, hold_all);
        guest_await(&guest);
        cr_assert_eq(child_stop(guest.pid), 0);
        uint64_t sweeps = look_counts(store).sweeps;
        many_open(&box);
        cr_assert_eq(look_counts(store).sweeps, sweeps);
        eddy_member_facts facts;
        cr_assert(look_member(store, guest.pid, &facts));
        cr_assert(facts.alive);
        cr_assert_gt(facts.owned, 0);
        cr_assert_gt(facts.pinned, 0);
        if (kill_it) {
            guest_kill(&guest);
        } else {
            child_continue(guest.pid);
            guest_tell(&guest);
            guest_await(&guest);
            cr_assert(look_alive(store, guest.pid));
            cr_assert_eq(look_version(store, "guest"), 1);
            guest_tell(&guest);
            cr_assert_eq(guest_end(&guest), 0);
        }
        look_sweep(&box);
        cr_assert_eq(look_counts(store).sweeps, sweeps + 1);
        cr_assert_eq(sandbox_members(store, NULL), 1);
    }
    cr_assert_eq(look_version(store, "guest"), 1);
    sandbox_check(store);
    eddy_close(store);
}
