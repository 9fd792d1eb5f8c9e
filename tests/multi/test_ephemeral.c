/* Ephemeral stores: who keeps one, and who ends it, where processes open, close, fork and are killed at
 * the same time. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static eddy_store *open_in(const struct sandbox *box, uint32_t flags) {
    eddy_options options = look_options(box, flags);
    eddy_store *store;
    CHECK_OK(eddy_open(&store, "store", &options));
    return store;
}

static bool is_there(const struct sandbox *box) {
    return access(sandbox_file(box, "store"), F_OK) == 0;
}

static int try_open(const struct sandbox *box, uint32_t flags) {
    eddy_options options = look_options(box, flags | EDDY_MUST_EXIST);
    eddy_store *store;
    int rc = eddy_open(&store, "store", &options);
    eddy_close(store);
    return rc;
}

/* ---- who keeps it ---- */

/* Has it open from before it says so until it is told. */
static void keep_it(struct guest *guest) {
    eddy_store *store = open_in(guest->box, *(uint32_t *)guest->more);
    if (!(*(uint32_t *)guest->more & EDDY_READ_ONLY)) {
        look_append(store, "keeper");
    }
    guest_meet(guest);
    eddy_close(store);
}

Test(ephemeral, the_last_of_several_ends_it_whoever_made_it, .timeout = 120) {
    for (int last = 0; last < 3; last++) {
        struct sandbox box;
        struct guest guests[3];
        uint32_t flags[3] = {EDDY_EPHEMERAL, EDDY_MUST_EXIST, EDDY_MUST_EXIST | EDDY_READ_ONLY};
        sandbox_make(&box);
        for (int i = 0; i < 3; i++) {
            guests[i] = (struct guest){.box = &box, .more = &flags[i]};
            guest_start(&guests[i], keep_it);
            guest_await(&guests[i]);
        }
        for (int i = 0; i < 3; i++) {
            struct guest *guest = &guests[(last + 1 + i) % 3];
            cr_assert(is_there(&box));
            if (i == 0) {
                guest_kill(guest);
            } else {
                guest_tell(guest);
                cr_assert_eq(guest_end(guest), 0);
            }
            if (i < 2) { /* who else comes and goes does not end it */
                must(try_open(&box, 0));
                must(try_open(&box, EDDY_READ_ONLY));
            }
        }
        cr_assert_not(is_there(&box), "%d was the last", last);
    }
}

static int note_ephemeral(void *arg, const eddy_found *found) {
    *(int *)arg += found->ephemeral ? 1 : 100;
    return 0;
}

Test(ephemeral, info_and_lists_say_so, .timeout = 60) {
    struct sandbox box;
    int seen = 0;
    sandbox_make(&box);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    cr_assert(look_facts(store).ephemeral);
    must(eddy_list(box.dir, note_ephemeral, &seen));
    cr_assert_eq(seen, 1);
    eddy_close(store);
    store = open_in(&box, 0);
    cr_assert_not(look_facts(store).ephemeral);
    must(eddy_list(box.dir, note_ephemeral, &seen));
    cr_assert_eq(seen, 101);
    eddy_close(store);
    cr_assert(is_there(&box));
    store = sandbox_anonymous();
    cr_assert(look_facts(store).ephemeral, "it has no name, so it goes with us");
    eddy_close(store);
}

Test(ephemeral, two_handles_of_one_process_are_two, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *one = open_in(&box, EDDY_EPHEMERAL);
    eddy_store *two = open_in(&box, 0);
    look_append(one, "s");
    eddy_close(one);
    cr_assert(is_there(&box));
    cr_assert_eq(sandbox_head(two), 1);
    eddy_close(two);
    cr_assert_not(is_there(&box));
}

Test(ephemeral, it_ends_where_it_was_made_also_from_another_directory, .timeout = 60) {
    struct sandbox box;
    eddy_store *store;
    eddy_options options = EDDY_OPTIONS_INIT;
    sandbox_make(&box);
    options.flags = EDDY_EPHEMERAL;
    must(chdir(box.dir));
    must(eddy_open(&store, "./plain", &options));
    must(chdir("/"));
    cr_assert_eq(access(sandbox_path(&box, "plain"), F_OK), 0);
    eddy_close(store);
    cr_assert_eq(access(sandbox_path(&box, "plain"), F_OK), -1);
}

/* ---- descriptors ---- */

Test(ephemeral, a_descriptor_that_was_handed_on_keeps_it, .timeout = 60) {
    struct sandbox box;
    eddy_store *again;
    eddy_options options = EDDY_OPTIONS_INIT;
    char name[16];
    sandbox_make(&box);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    look_append(store, "s");
    int fd = dup(eddy_store_fd(store));
    snprintf(name, sizeof name, "fd:%d", fd);
    eddy_close(store);
    cr_assert(is_there(&box));
    must(eddy_open(&again, name, &options));
    cr_assert_eq(sandbox_head(again), 1);
    close(fd);
    must(try_open(&box, 0));
    eddy_close(again);
    cr_assert_not(is_there(&box), "by who never knew its name");
}

Test(ephemeral, a_descriptor_of_one_that_has_ended_is_of_no_store, .timeout = 60) {
    struct sandbox box;
    eddy_store *again;
    eddy_options options = EDDY_OPTIONS_INIT;
    char name[16];
    sandbox_make(&box);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    look_append(store, "s");
    int fd = open(sandbox_file(&box, "store"), O_RDWR | O_CLOEXEC);
    cr_assert_geq(fd, 0);
    snprintf(name, sizeof name, "fd:%d", fd);
    eddy_close(store);
    gives(EDDY_ENOENT, eddy_open(&again, name, &options));
    options.flags = EDDY_READ_ONLY;
    gives(EDDY_ENOENT, eddy_open(&again, name, &options));
    close(fd);
}

Test(ephemeral, a_handle_whose_descriptors_were_all_closed_keeps_it_and_ends_it, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    close(eddy_store_fd(store));
    look_append(store, "s");
    must(try_open(&box, 0));
    cr_assert(is_there(&box));
    eddy_close(store);
    cr_assert_not(is_there(&box));
}

/* ---- fork and exec ---- */

struct fork_story {
    struct guest child; /* its pipes are the test's */
    pid_t pid;
};

/* Makes it, forks, and never comes back: the child has not used its handle yet. */
static void leave_it_to_a_child(struct guest *guest) {
    struct fork_story *story = guest->more;
    eddy_store *store = open_in(guest->box, EDDY_EPHEMERAL);
    look_append(store, "parent");
    story->pid = fork();
    CHECK(story->pid >= 0);
    if (story->pid == 0) {
        close(story->child.up[0]);
        close(story->child.down[1]);
        guest_meet(&story->child);
        CHECK_EQ(sandbox_head(store), 1);
        look_append(store, "child");
        guest_meet(&story->child);
        eddy_close(store);
        guest_say(&story->child);
        guest_hear(&story->child);
        _exit(0);
    }
    guest_meet(guest);
}

Test(ephemeral, a_child_keeps_it_before_its_first_call, .timeout = 60) {
    struct sandbox box;
    struct fork_story *story = child_shared(sizeof *story);
    sandbox_make(&box);
    must(pipe2(story->child.up, O_CLOEXEC));
    must(pipe2(story->child.down, O_CLOEXEC));
    struct guest parent = {.box = &box, .more = story};
    guest_start(&parent, leave_it_to_a_child);
    close(story->child.up[1]);
    close(story->child.down[0]);
    guest_await(&story->child);
    guest_await(&parent);
    guest_kill(&parent);
    must(try_open(&box, 0));
    must(try_open(&box, EDDY_READ_ONLY));
    guest_tell(&story->child);
    guest_await(&story->child);
    eddy_store *store = open_in(&box, EDDY_MUST_EXIST);
    cr_assert_eq(sandbox_head(store), 2);
    eddy_close(store);
    guest_tell(&story->child);
    guest_await(&story->child);
    cr_assert_not(is_there(&box), "the child closed it");
    guest_tell(&story->child);
}

static void close_in_child(struct guest *guest) {
    eddy_close(guest->store);
    guest_meet(guest);
}

Test(ephemeral, a_child_that_closes_its_copy_does_not_end_it, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    struct guest guest = {.store = store};
    guest_start(&guest, close_in_child);
    guest_await(&guest);
    must(try_open(&box, 0));
    look_append(store, "s");
    eddy_close(store);
    cr_assert_not(is_there(&box), "though the child lives");
    guest_tell(&guest);
    cr_assert_eq(guest_end(&guest), 0);
}

/* ---- names ---- */

Test(ephemeral, a_name_that_was_given_anew_is_left_alone, .timeout = 60) {
    struct sandbox box;
    eddy_options options;
    sandbox_make(&box);
    options = look_options(&box, 0);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    look_append(store, "s");
    must(eddy_unlink("store", &options));
    gives(EDDY_ENOENT, try_open(&box, 0));
    eddy_store *other = open_in(&box, EDDY_EXCLUSIVE);
    cr_assert_eq(sandbox_head(other), 0);
    eddy_close(other);
    look_append(store, "s");
    eddy_close(store);
    cr_assert(is_there(&box), "the name is that of the kept one");
    must(try_open(&box, 0));
}

/* Somebody is stopped where he has found that he is the last, and has not ended it. */
Test(ephemeral, who_is_stopped_while_he_ends_it_makes_others_say_so, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    int fd = open(sandbox_file(&box, "store"), O_RDWR | O_CLOEXEC);
    must(link(sandbox_file(&box, "store"), sandbox_path(&box, "eddy.kept")));
    eddy_close(store);
    must(rename(sandbox_path(&box, "eddy.kept"), sandbox_file(&box, "store")));
    struct flock lock = {.l_type = F_WRLCK, .l_start = (INT64_C(1) << 62) - 2, .l_len = 1};
    must(fcntl(fd, F_OFD_SETLK, &lock));
    gives(EDDY_EAGAIN, try_open(&box, 0));
    has_text(eddy_errmsg(), "try again");
    gives(EDDY_EAGAIN, try_open(&box, EDDY_READ_ONLY));
    close(fd);
    gives(EDDY_ENOENT, try_open(&box, 0));
    cr_assert_not(is_there(&box), "it had ended");
}

/* ---- users ---- */

static void make_for_all(struct guest *guest) {
    eddy_options options = look_options(guest->box, EDDY_EPHEMERAL);
    eddy_store *store;
    options.mode = 0666;
    CHECK_OK(eddy_open(&store, "store", &options));
    look_append(store, "s");
    guest_meet(guest);
}

static void find_a_name_of_nothing(struct guest *guest) {
    eddy_options options = look_options(guest->box, EDDY_EPHEMERAL);
    eddy_store *store;
    struct stat st;
    CHECK_EQ(setgroups(0, NULL), 0);
    CHECK_EQ(setgid(65534), 0);
    CHECK_EQ(setuid(65534), 0);
    CHECK_EQ(eddy_open(&store, "store", &options), EDDY_EACCESS);
    CHECK(strstr(eddy_errmsg(), "has ended") != NULL);
    options.flags = EDDY_READ_ONLY;
    CHECK_EQ(eddy_open(&store, "store", &options), EDDY_ENOENT);
    CHECK_EQ(stat(sandbox_file(guest->box, "store"), &st), 0);
    CHECK(st.st_size == 4096);
}

Test(ephemeral, who_may_not_take_the_name_away_takes_the_memory, .timeout = 60) {
    struct sandbox box;
    if (geteuid() != 0) {
        skip_test("only root can be another user");
    }
    sandbox_make(&box);
    must(chmod(box.dir, 01777));
    struct guest guest = {.box = &box};
    guest_start(&guest, make_for_all);
    guest_await(&guest);
    guest_kill(&guest);
    guest_start(&guest, find_a_name_of_nothing);
    cr_assert_eq(guest_end(&guest), 0);
    cr_assert(is_there(&box));
    gives(EDDY_ENOENT, try_open(&box, 0));
    cr_assert_not(is_there(&box), "its owner takes it away");
}

/* ---- races ---- */

enum { RACERS = 6, KILLS = 300 };

/* Opens and closes without end. Whoever has it open finds what he wrote by its name, through another
 * handle, as long as he has it open: there is one store of the name, and it is his. */
static void race(struct guest *guest) {
    struct rng rng = rng_make((uint64_t)getpid());
    for (;;) {
        char stream[40];
        eddy_store *store = open_in(guest->box, EDDY_EPHEMERAL);
        snprintf(stream, sizeof stream, "of-%d-%llx", getpid(), (unsigned long long)rng_next(&rng));
        look_append(store, stream);
        child_linger_us(rng_below(&rng, 300));
        eddy_store *other =
            open_in(guest->box, EDDY_MUST_EXIST | (rng_below(&rng, 3) == 0 ? EDDY_READ_ONLY : 0));
        CHECK_EQ(look_version(other, stream), 1);
        if (rng_below(&rng, 2) == 0) {
            eddy_close(store);
            CHECK_EQ(look_version(other, stream), 1);
            eddy_close(other);
        } else {
            eddy_close(other);
            eddy_close(store);
        }
        child_linger_us(rng_below(&rng, 200));
    }
}

Test(ephemeral, openers_and_closers_and_the_killed_agree_on_one_store, .timeout = 120) {
    struct sandbox box;
    struct rng rng = rng_make(0);
    struct guest guests[RACERS];
    sandbox_make(&box);
    for (int i = 0; i < RACERS; i++) {
        guests[i] = (struct guest){.box = &box};
        guest_start(&guests[i], race);
    }
    for (int killed = 0; killed < KILLS; killed++) {
        struct guest *guest = &guests[rng_below(&rng, RACERS)];
        child_linger_us(rng_below(&rng, 2000));
        cr_assert_eq(waitpid(guest->pid, NULL, WNOHANG), 0, "it found a breach");
        guest_kill(guest);
        guest_start(guest, race);
    }
    for (int i = 0; i < RACERS; i++) {
        cr_assert_eq(waitpid(guests[i].pid, NULL, WNOHANG), 0, "it found a breach");
        guest_kill(&guests[i]);
    }
    gives(EDDY_ENOENT, try_open(&box, 0));
    cr_assert_not(is_there(&box));
    eddy_store *store = open_in(&box, EDDY_EPHEMERAL);
    cr_assert_eq(sandbox_head(store), 0);
    sandbox_check(store);
    eddy_close(store);
}
