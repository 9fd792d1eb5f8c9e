/* Members whose pids and users mean different things: two PID namespaces, in which all are process
 * 1, and several users who share a store by its group. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/run.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- PID namespaces ---- */

enum { NOT_PERMITTED = 77 };

/* What a guest in a namespace of its own tells in memory that is shared. */
struct isle {
    _Atomic int first; /* its first process, as the test numbers it */
    uint64_t pidns;
};

struct ones {
    uint32_t alive; /* members that are process 1, alive */
    uint32_t dead;
    uint32_t others;
    uint64_t pidns[4]; /* of those alive */
};

static int note_one(void *arg, const eddy_member_facts *facts) {
    struct ones *ones = arg;
    if (facts->pid != 1) {
        ones->others += facts->alive;
    } else if (facts->alive) {
        ones->pidns[ones->alive++ % 4] = facts->pidns;
    } else {
        ones->dead++;
    }
    return 0;
}

static struct ones count_ones(eddy_store *store) {
    struct ones ones = {0};
    CHECK_EQ(eddy_members(store, note_one, &ones), 0);
    return ones;
}

/* Process 1 of its namespace. */
static void be_first(struct guest *guest) {
    struct isle *isle = guest->more;
    struct stat facts;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    CHECK_EQ(getpid(), 1);
    CHECK_EQ(stat("/proc/self/ns/pid", &facts), 0);
    isle->pidns = facts.st_ino;
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    look_append(store, "isle");
    atomic_store(&isle->first, guest_pid_in_proc());
    guest_meet(guest);
    /* The other one has the same number, and is alive. */
    struct ones ones = count_ones(store);
    CHECK_EQ(ones.alive, 2);
    CHECK_EQ(ones.dead, 0);
    CHECK_EQ(ones.others, 1);
    CHECK(ones.pidns[0] != ones.pidns[1]);
    CHECK(ones.pidns[0] == isle->pidns || ones.pidns[1] == isle->pidns);
    look_sweep(guest->box);
    CHECK_EQ(count_ones(store).alive, 2);
    guest_meet(guest);
    look_append(store, "isle");
    CHECK_EQ(count_ones(store).alive, 1);
    eddy_close(store);
    _exit(0);
}

/* Stays outside, and ends as the first process of the new namespace does. */
static void found_isle(struct guest *guest) {
    int status;
    if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
        guest_say(guest);
        _exit(NOT_PERMITTED);
    }
    pid_t pid = fork();
    if (pid == 0) {
        be_first(guest);
    }
    if (pid < 0) { /* some systems only say here that they do not permit it */
        guest_say(guest);
        _exit(NOT_PERMITTED);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 100);
}

static void must_tell_apart(const struct sandbox *box, const struct isle *isles) {
    struct run run = run_shell("eddy -S %s who -o jsonl", sandbox_file(box, "store"));
    char text[64];
    cr_assert_eq(run.code, 0);
    cr_assert_eq(run_lines(run.out), 3);
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "\"pid\":1,\"pidns\":%" PRIu64 ",", isles[i].pidns);
        has_text(run.out, text);
    }
    run_free(&run);
}

Test(namespaces, two_that_are_both_process_1_are_told_apart, .timeout = 60) {
    struct sandbox box;
    struct guest guests[2];
    sandbox_make(&box);
    struct isle *isles = child_shared(2 * sizeof *isles);
    eddy_store *store = sandbox_open(&box, "store", 0);
    for (int i = 0; i < 2; i++) {
        guests[i] = (struct guest){.box = &box, .more = &isles[i]};
        guest_start(&guests[i], found_isle);
        guest_await(&guests[i]);
        if (isles[i].first == 0) {
            int code = guest_end(&guests[i]);
            cr_assert_eq(code, NOT_PERMITTED, "it ended with %d", code);
            fprintf(stderr, "two_that_are_both_process_1_are_told_apart: left out: this system "
                            "permits no namespaces (unshare)\n");
            skip_test("this system permits no namespaces (unshare)");
        }
    }
    struct ones ones = count_ones(store);
    cr_assert_eq(ones.alive, 2);
    cr_assert_neq(isles[0].pidns, isles[1].pidns);
    must_tell_apart(&box, isles);
    for (int i = 0; i < 2; i++) {
        guest_tell(&guests[i]);
        guest_await(&guests[i]);
    }
    uint64_t sweeps = look_counts(store).sweeps;
    cr_assert_eq(sweeps, 0, "somebody was taken for dead");
    cr_assert_eq(kill(isles[0].first, SIGKILL), 0);
    cr_assert_eq(guest_end(&guests[0]), 100);
    ones = count_ones(store);
    cr_assert_eq(ones.alive, 1);
    cr_assert_eq(ones.dead, 1);
    cr_assert_eq(ones.pidns[0], isles[1].pidns);
    look_sweep(&box);
    ones = count_ones(store);
    cr_assert_eq(ones.alive, 1);
    cr_assert_eq(ones.dead, 0);
    guest_tell(&guests[1]);
    cr_assert_eq(guest_end(&guests[1]), 0);
    cr_assert_eq(look_version(store, "isle"), 3);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- users ---- */

enum { GROUP = 54321, FRIEND = 54322, STRANGER = 54323 };

/* Becomes another user, in the shared group or not. */
static void become(uid_t uid, bool in_group) {
    gid_t group = in_group ? GROUP : uid;
    CHECK_EQ(setgroups(in_group ? 1 : 0, &group), 0);
    CHECK_EQ(setresgid(uid, uid, uid), 0);
    CHECK_EQ(setresuid(uid, uid, uid), 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* was forgotten with the rights */
}

/* A directory that the group shares, and a store in it with these permission bits. */
static eddy_store *share_with_group(struct sandbox *box, struct sandbox *shared, uint32_t mode) {
    sandbox_make(box);
    int n = snprintf(shared->dir, sizeof shared->dir, "%s", sandbox_path(box, "shared"));
    CHECK(n > 0 && (size_t)n < sizeof shared->dir);
    CHECK_EQ(mkdir(shared->dir, 0700), 0);
    CHECK_EQ(chown(shared->dir, 0, GROUP), 0);
    CHECK_EQ(chmod(shared->dir, 02775), 0);
    eddy_options options = look_options(shared, EDDY_EXCLUSIVE);
    eddy_store *store = NULL;
    struct stat facts;
    options.mode = mode;
    CHECK_OK(eddy_open(&store, "store", &options));
    CHECK_EQ(stat(sandbox_file(shared, "store"), &facts), 0);
    CHECK_EQ(facts.st_gid, GROUP);
    CHECK_EQ(facts.st_mode & 0777, mode);
    look_append(store, "owner");
    return store;
}

static bool cannot_be_others(void) {
    if (geteuid() == 0 && setgroups(0, NULL) == 0) {
        return false;
    }
    fprintf(stderr, "users: left out: needs root, to become other users\n");
    return true;
}

#define NEEDS_OTHERS()                                                                             \
    if (cannot_be_others()) {                                                                      \
        skip_test("needs root, to become other users");                                            \
    }

static void must_be_refused(const struct sandbox *box, uint32_t flags, uid_t uid) {
    eddy_options options = look_options(box, flags);
    eddy_store *store;
    char who[40];
    CHECK_EQ(eddy_open(&store, "store", &options), EDDY_EACCESS);
    CHECK(!store);
    snprintf(who, sizeof who, "permission denied for uid %u", (unsigned)uid);
    CHECK_SAY(strstr(eddy_errmsg(), who), "%s", eddy_errmsg());
    CHECK_SAY(strstr(eddy_errmsg(), sandbox_file(box, "store")), "%s", eddy_errmsg());
    CHECK_SAY(strstr(eddy_errmsg(), "ask its owner"), "%s", eddy_errmsg());
}

static uint64_t read_all(eddy_store *store) {
    eddy_reader *reader;
    eddy_event event;
    uint64_t count = 0;
    CHECK_OK(eddy_reader_open(store, NULL, &reader));
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        CHECK_EQ(event.offset, ++count);
    }
    eddy_reader_close(reader);
    return count;
}

static void be_friend(struct guest *guest) {
    become(FRIEND, true);
    eddy_store *store = sandbox_open(guest->box, "store", 0);
    for (int i = 0; i < 40; i++) { /* the file grows by them */
        CHECK_OK(look_append_bytes(store, "friend", 100000));
    }
    CHECK_EQ(read_all(store), 41);
    CHECK(look_alive(store, getppid()));
    guest_meet(guest);
    CHECK_EQ(look_version(store, "owner"), 2);
    CHECK_EQ(read_all(store), 42);
    guest_meet(guest);
    look_append(store, "friend"); /* the owner is dead by now, killed with much in hand */
    look_sweep(guest->box);
    CHECK_EQ(sandbox_members(store, NULL), 2);
    sandbox_check(store);
    guest_meet(guest);
}

static void be_stranger(struct guest *guest) {
    become(STRANGER, false);
    must_be_refused(guest->box, 0, STRANGER);
    must_be_refused(guest->box, EDDY_READ_ONLY, STRANGER);
    must_be_refused(guest->box, EDDY_MUST_EXIST, STRANGER);
    eddy_options options = look_options(guest->box, 0);
    CHECK_EQ(eddy_unlink("store", &options), EDDY_EACCESS);
}

static void be_owner(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    CHECK_OK(eddy_tx_append(tx, eddy_str("never"), &(eddy_new_event){0}));
    guest_meet(guest);
}

Test(users, who_is_in_the_group_shares_the_store_and_who_is_not_is_told_so, .timeout = 60) {
    NEEDS_OTHERS();
    struct sandbox box;
    struct sandbox shared;
    eddy_store *store = share_with_group(&box, &shared, 0660);
    struct guest owner = {.box = &shared};
    struct guest friend = {.box = &shared};
    struct guest stranger = {.box = &shared};
    eddy_member_facts facts;
    guest_start(&friend, be_friend);
    guest_await(&friend);
    cr_assert(look_member(store, friend.pid, &facts));
    cr_assert(facts.alive);
    cr_assert_eq(facts.uid, FRIEND);
    look_append(store, "owner");
    guest_start(&stranger, be_stranger);
    cr_assert_eq(guest_end(&stranger), 0);
    guest_tell(&friend);
    guest_await(&friend);
    look_sweep(&shared);
    cr_assert(look_alive(store, friend.pid));

    guest_start(&owner, be_owner);
    guest_await(&owner);
    guest_kill(&owner);
    guest_tell(&friend); /* clears up after a process of another user */
    guest_await(&friend);
    cr_assert_not(look_member(store, owner.pid, NULL));
    guest_kill(&friend);
    cr_assert_not(look_alive(store, friend.pid));
    look_sweep(&shared);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    cr_assert_eq(look_version(store, "friend"), 41);
    sandbox_check(store);
    eddy_close(store);
}

static void be_reader(struct guest *guest) {
    become(FRIEND, true);
    must_be_refused(guest->box, 0, FRIEND);
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_READ_ONLY);
    CHECK_EQ(read_all(store), 1);
    CHECK_EQ(sandbox_members(store, NULL), 1);
    CHECK(look_alive(store, getppid()));
    CHECK_EQ(look_append_bytes(store, "s", 8), EDDY_EREADONLY);
    sandbox_check(store);
    guest_meet(guest);
    CHECK_EQ(read_all(store), 2);
    eddy_close(store);
}

Test(users, who_may_only_read_opens_read_only_and_takes_no_slot, .timeout = 60) {
    NEEDS_OTHERS();
    struct sandbox box;
    struct sandbox shared;
    eddy_store *store = share_with_group(&box, &shared, 0640);
    struct guest reader = {.box = &shared};
    struct guest stranger = {.box = &shared};
    guest_start(&reader, be_reader);
    guest_await(&reader);
    cr_assert_not(look_member(store, reader.pid, NULL));
    look_append(store, "owner");
    guest_tell(&reader);
    cr_assert_eq(guest_end(&reader), 0);
    guest_start(&stranger, be_stranger);
    cr_assert_eq(guest_end(&stranger), 0);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    sandbox_check(store);
    eddy_close(store);
}

static void be_refused_as_child(void *arg) {
    CHECK_EQ(look_append_bytes(arg, "s", 8), EDDY_EACCESS);
    CHECK(strstr(eddy_errmsg(), "permission denied"));
    CHECK_EQ(look_append_bytes(arg, "s", 8), EDDY_EACCESS);
    eddy_close(arg);
}

/* A service that opens what is root's, and gives up its rights then. */
static void give_up_rights(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    become(STRANGER, false);
    for (int i = 0; i < 40; i++) {
        CHECK_OK(look_append_bytes(store, "service", 100000));
    }
    CHECK_EQ(read_all(store), 41);
    guest_meet(guest);
    /* A child would have to be a member of its own, for which it may not open the file. */
    CHECK_EQ(child_run(be_refused_as_child, store), 0);
    look_append(store, "service");
    eddy_close(store);
}

Test(users, who_gave_up_its_rights_goes_on_and_its_children_are_told_why_not, .timeout = 60) {
    NEEDS_OTHERS();
    struct sandbox box;
    struct sandbox shared;
    eddy_store *store = share_with_group(&box, &shared, 0600);
    struct guest guest = {.box = &shared};
    guest_start(&guest, give_up_rights);
    guest_await(&guest);
    look_sweep(&shared);
    cr_assert(look_alive(store, guest.pid));
    guest_tell(&guest);
    cr_assert_eq(guest_end(&guest), 0);
    cr_assert_eq(look_version(store, "service"), 41);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    sandbox_check(store);
    eddy_close(store);
}
