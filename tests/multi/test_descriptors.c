/* A process whose descriptors were all closed behind the library's back: it is alive to the others,
 * it goes on, also when the store has to grow, and it dies properly. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PIECE = 256 << 10, PIECES = 60 }; /* more than the store has memory for at first */

/* Keeps the pipes, and nothing else, as descriptors 0 and 1. */
static void close_all(struct guest *guest) {
    CHECK(dup2(guest->down[0], 0) == 0 && dup2(guest->up[1], 1) == 1);
    guest->down[0] = 0;
    guest->up[1] = 1;
    CHECK_EQ(syscall(SYS_close_range, 3u, ~0u, 0u), 0);
}

static void append_as_child(void *arg) {
    look_append(arg, "grandchild");
    CHECK(look_alive(arg, getpid()));
    CHECK(look_alive(arg, getppid()));
}

static void go_on_by_name(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    look_append(store, "guest");
    close_all(guest);
    guest_meet(guest);
    for (int i = 0; i < PIECES; i++) {
        CHECK_OK(look_append_bytes(store, "guest", PIECE));
    }
    CHECK_EQ(child_run(append_as_child, store), 0);
    CHECK_EQ(look_version(store, "guest"), 1 + PIECES);
    guest_meet(guest);
    eddy_close(store);
}

/* Nobody who opens the store takes the guest for dead. */
static void must_live(eddy_store *store, const struct sandbox *box, pid_t pid) {
    uint64_t sweeps = look_counts(store).sweeps;
    cr_assert(look_alive(store, pid));
    look_sweep(box);
    cr_assert_eq(look_counts(store).sweeps, sweeps);
    cr_assert(look_alive(store, pid));
}

Test(descriptors, a_member_without_any_lives_grows_the_store_by_name_and_dies, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = sandbox_open(&box, "store", 0);
    for (int kill_it = 0; kill_it < 2; kill_it++) {
        struct guest guest = {.box = &box};
        uint64_t had = look_version(store, "guest");
        cr_assert(kill_it || look_facts(store).reserved < (uint64_t)PIECES * PIECE);
        guest_start(&guest, go_on_by_name);
        guest_await(&guest);
        must_live(store, &box, guest.pid);
        if (kill_it) {
            guest_kill(&guest);
            cr_assert_not(look_alive(store, guest.pid));
            look_sweep(&box);
            cr_assert_eq(look_version(store, "guest"), had + 1);
        } else {
            guest_tell(&guest);
            guest_await(&guest);
            cr_assert_eq(look_version(store, "guest"), 1 + PIECES);
            cr_assert_eq(look_version(store, "grandchild"), 1);
            cr_assert_geq(look_facts(store).reserved, (uint64_t)PIECES * PIECE);
            look_sweep(&box); /* of the grandchild */
            must_live(store, &box, guest.pid);
            guest_tell(&guest);
            cr_assert_eq(guest_end(&guest), 0);
        }
        cr_assert_not(look_member(store, guest.pid, NULL));
        cr_assert_eq(sandbox_members(store, NULL), 1);
        sandbox_check(store);
    }
    eddy_close(store);
}

/* Appends until the memory that is there is used up, which gives an error with words. */
static void append_until_refused(eddy_store *store) {
    int rc = 0;
    for (int i = 0; rc == 0 && i < 1000; i++) {
        rc = look_append_bytes(store, "guest", PIECE);
    }
    CHECK_SAY(rc == EDDY_EFULL || rc == EDDY_ESYS, "%s: %s", eddy_errname(rc), eddy_errmsg());
    CHECK(eddy_errmsg()[0]);
}

static void go_on_without_a_name(struct guest *guest) {
    eddy_store *store = guest->store;
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event event;
    look_append(store, "guest");
    close_all(guest);
    guest_meet(guest);
    append_until_refused(store);
    CHECK_OK(eddy_get(store, 1, buffer, &event)); /* all else works on */
    CHECK_EQ(look_version(store, "guest"), look_facts(store).head);
    CHECK_EQ(eddy_store_fd(store), EDDY_ESYS);
    guest_meet(guest);
    /* Somebody else has made the store larger: there is memory, and no descriptor is needed. */
    CHECK_OK(look_append_bytes(store, "guest", PIECE));
    sandbox_check(store);
    eddy_buffer_destroy(buffer);
    guest_meet(guest);
}

static bool lives(eddy_store *store, pid_t pid) {
    eddy_close(sandbox_again(store, 0));
    return look_alive(store, pid);
}

/* Leaves free memory in the store: a large transaction that is given up. */
static void make_larger(eddy_store *store) {
    eddy_tx *tx;
    eddy_new_event event = {.data = eddy_mem(NULL, 16 * PIECE)};
    void *place;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_reserve(tx, eddy_str("never"), &event, &place));
    eddy_tx_free(tx);
}

Test(descriptors, without_any_an_anonymous_store_cannot_be_made_larger_and_says_so, .timeout = 60) {
    struct guest guest = {.store = sandbox_anonymous()};
    guest_start(&guest, go_on_without_a_name);
    guest_await(&guest);
    cr_assert(lives(guest.store, guest.pid));
    guest_tell(&guest);
    guest_await(&guest);
    cr_assert(lives(guest.store, guest.pid));
    make_larger(guest.store);
    guest_tell(&guest);
    guest_await(&guest);
    cr_assert(lives(guest.store, guest.pid));
    guest_tell(&guest);
    cr_assert_eq(guest_end(&guest), 0);
    cr_assert_not(lives(guest.store, guest.pid));
    cr_assert_eq(sandbox_members(guest.store, NULL), 1);
    sandbox_check(guest.store);
    eddy_close(guest.store);
}

/* The name leads to another store by now: that one is left alone. */
static void go_on_beside_another(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    look_append(store, "guest");
    close_all(guest);
    guest_meet(guest);
    append_until_refused(store);
    CHECK_EQ(look_version(store, "guest"), look_facts(store).head);
    guest_meet(guest);
    eddy_close(store);
}

Test(descriptors, without_any_a_store_of_the_same_name_is_not_taken_for_the_own, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = look_options(&box, 0);
    eddy_store *old = sandbox_open(&box, "store", 0);
    struct guest guest = {.box = &box};
    guest_start(&guest, go_on_beside_another);
    guest_await(&guest);
    must(eddy_unlink("store", &options));
    eddy_store *store = sandbox_open(&box, "store", EDDY_EXCLUSIVE);
    eddy_facts before = look_facts(store);
    cr_assert(look_alive(old, guest.pid));
    guest_tell(&guest);
    guest_await(&guest);
    eddy_facts after = look_facts(store);
    cr_assert_eq(after.head, 0);
    cr_assert_eq(after.reserved, before.reserved);
    cr_assert_eq(after.free, before.free);
    cr_assert_not(look_member(store, guest.pid, NULL));
    cr_assert(look_alive(old, guest.pid));
    guest_tell(&guest);
    cr_assert_eq(guest_end(&guest), 0);
    cr_assert_not(look_member(old, guest.pid, NULL));
    sandbox_check(old);
    sandbox_check(store);
    eddy_close(old);
    eddy_close(store);
}
