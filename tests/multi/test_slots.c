/* Slots of threads, readers and members: taken by those who need them, free again when they have
 * ended, and never lost to the dead. */
#include "guest.h"
#include "store.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static eddy_store *store_of(const struct sandbox *box, uint32_t members, uint32_t threads) {
    eddy_options options = look_options(box, 0);
    eddy_store *store = NULL;
    options.members = members;
    options.threads = threads;
    CHECK_OK(eddy_open(&store, "store", &options));
    return store;
}

static uint32_t threads_of(eddy_store *store, pid_t pid) {
    eddy_member_facts facts;
    CHECK(look_member(store, pid, &facts));
    return facts.threads;
}

/* ---- threads ---- */

static void *append_once(void *arg) {
    look_append(arg, "s");
    return NULL;
}

Test(slots, a_thousand_threads_one_after_the_other_need_one_slot, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    uint64_t reserved = 0;
    look_append(store, "s");
    for (int i = 0; i < 1000; i++) {
        pthread_t thread;
        reserved = i == 100 ? look_facts(store).reserved : reserved;
        cr_assert_eq(pthread_create(&thread, NULL, append_once, store), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_leq(threads_of(store, getpid()), 2, "after %d threads", i + 1);
    }
    cr_assert_eq(look_version(store, "s"), 1001);
    cr_assert_leq(look_facts(store).reserved, reserved + (1 << 20), "each took memory of its own");
    sandbox_check(store);
    eddy_close(store);
}

struct heritage {
    eddy_store *store;
    eddy_tx *tx;
    eddy_reader *reader;
};

static void *open_and_end(void *arg) {
    struct heritage *heritage = arg;
    eddy_select select = EDDY_SELECT_INIT;
    eddy_new_event event = {.data = eddy_mem(NULL, 300000)};
    eddy_event got;
    void *place;
    select.flags = EDDY_FOLLOW | EDDY_BORROW;
    CHECK_OK(eddy_reader_open(heritage->store, &select, &heritage->reader));
    CHECK_EQ(eddy_reader_next(heritage->reader, &got), EDDY_EVENT);
    CHECK_OK(eddy_tx_begin(heritage->store, &heritage->tx));
    CHECK_OK(eddy_tx_append(heritage->tx, eddy_str("tx"), &(eddy_new_event){0}));
    CHECK_OK(eddy_tx_reserve(heritage->tx, eddy_str("tx"), &event, &place));
    memset(place, 'x', 300000);
    return NULL;
}

Test(slots, what_a_thread_leaves_open_when_it_ends_is_taken_on_by_another, .timeout = 60) {
    struct heritage heritage = {.store = sandbox_anonymous()};
    uint64_t reserved = 0;
    look_append(heritage.store, "s");
    for (uint64_t i = 0; i < 50; i++) {
        pthread_t thread;
        eddy_event event;
        cr_assert_eq(pthread_create(&thread, NULL, open_and_end, &heritage), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        gives(eddy_reader_holds(heritage.reader), 1);
        cr_assert_eq(look_version(heritage.store, "tx"), i < 10 ? 2 * i : 20);
        if (i < 10) {
            must(eddy_tx_commit(heritage.tx, NULL));
            do {
                gives(eddy_reader_next(heritage.reader, &event), EDDY_EVENT);
            } while (event.offset < look_facts(heritage.store).head);
            cr_assert_eq(event.data.len, 300000);
            cr_assert_eq(((const char *)event.data.ptr)[299999], 'x');
        }
        eddy_tx_free(heritage.tx);
        eddy_reader_close(heritage.reader);
        reserved = i == 12 ? look_facts(heritage.store).reserved : reserved;
    }
    cr_assert_eq(look_facts(heritage.store).reserved, reserved, "what was given up is used again");
    eddy_member_facts facts;
    cr_assert(look_member(heritage.store, getpid(), &facts));
    cr_assert_eq(facts.readers, 0);
    cr_assert_leq(facts.threads, 2);
    sandbox_check(heritage.store);
    eddy_close(heritage.store);
}

enum { MANY = 12 }; /* threads of a store; one slot goes to who opens it */

struct crowd {
    eddy_store *store;
    pthread_t threads[MANY];
    pthread_barrier_t all_in; /* the threads and who made them */
    pthread_barrier_t leave;
    int count;
};

static void *append_and_stay(void *arg) {
    struct crowd *crowd = arg;
    look_append(crowd->store, "s");
    pthread_barrier_wait(&crowd->all_in);
    pthread_barrier_wait(&crowd->leave);
    look_append(crowd->store, "s");
    return NULL;
}

static void crowd_gather(struct crowd *crowd, eddy_store *store, int count) {
    crowd->store = store;
    crowd->count = count;
    CHECK_EQ(pthread_barrier_init(&crowd->all_in, NULL, (unsigned)count + 1), 0);
    CHECK_EQ(pthread_barrier_init(&crowd->leave, NULL, (unsigned)count + 1), 0);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(pthread_create(&crowd->threads[i], NULL, append_and_stay, crowd), 0);
    }
    pthread_barrier_wait(&crowd->all_in);
}

static void crowd_leave(struct crowd *crowd) {
    pthread_barrier_wait(&crowd->leave);
    for (int i = 0; i < crowd->count; i++) {
        CHECK_EQ(pthread_join(crowd->threads[i], NULL), 0);
    }
}

static void *be_refused(void *arg) {
    CHECK_EQ(look_append_bytes(arg, "s", 8), EDDY_ELIMIT);
    CHECK(strstr(eddy_errmsg(), "all 12 thread slots are taken by living processes"));
    CHECK(strstr(eddy_errmsg(), "use fewer threads"));
    return NULL;
}

Test(slots, more_threads_than_slots_are_refused_until_some_have_ended, .timeout = 60) {
    struct sandbox box;
    struct crowd crowd;
    pthread_t thread;
    sandbox_make(&box);
    eddy_store *store = store_of(&box, 4, MANY);
    for (int i = 0; i < 3; i++) {
        crowd_gather(&crowd, store, MANY - 1);
        cr_assert_eq(threads_of(store, getpid()), MANY);
        cr_assert_eq(pthread_create(&thread, NULL, be_refused, store), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        look_append(store, "s"); /* who has a slot goes on */
        crowd_leave(&crowd);
        cr_assert_eq(pthread_create(&thread, NULL, append_once, store), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    cr_assert_eq(look_version(store, "s"), 3 * (2 * (MANY - 1) + 2));
    sandbox_check(store);
    eddy_close(store);
}

static void have_a_crowd(struct guest *guest) {
    struct crowd crowd;
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    crowd_gather(&crowd, store, MANY - 2);
    guest_meet(guest);
    crowd_leave(&crowd);
    guest_meet(guest);
    eddy_close(store);
}

Test(slots, threads_that_have_ended_in_one_process_leave_their_slots_to_another, .timeout = 60) {
    struct sandbox box;
    struct crowd crowd;
    pthread_t thread;
    sandbox_make(&box);
    eddy_store *store = store_of(&box, 4, MANY);
    struct guest guest = {.box = &box};
    guest_start(&guest, have_a_crowd);
    guest_await(&guest);
    cr_assert_eq(threads_of(store, guest.pid), MANY - 1);
    cr_assert_eq(pthread_create(&thread, NULL, be_refused, store), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    guest_tell(&guest);
    guest_await(&guest); /* its threads have ended, and it lives */
    crowd_gather(&crowd, store, 4);
    crowd_leave(&crowd);
    guest_tell(&guest);
    cr_assert_eq(guest_end(&guest), 0);
    sandbox_check(store);
    eddy_close(store);
}

Test(slots, threads_of_a_killed_process_leave_their_slots_without_any_open, .timeout = 60) {
    struct sandbox box;
    struct crowd crowd;
    sandbox_make(&box);
    eddy_store *store = store_of(&box, 4, MANY);
    for (int i = 0; i < 5; i++) {
        struct guest guest = {.box = &box};
        guest_start(&guest, have_a_crowd);
        guest_await(&guest);
        guest_kill(&guest);
        crowd_gather(&crowd, store, MANY - 1);
        cr_assert_not(look_member(store, guest.pid, NULL));
        crowd_leave(&crowd);
        sandbox_check(store);
        eddy_close(store);
        store = store_of(&box, 4, MANY);
    }
    eddy_close(store);
}

/* A thread ends in a child that forked at the very moment when another thread of the parent was
 * taking a context: nobody gives back in the child what that one held. */
static pthread_key_t end_of_thread;

static void end_process(void *arg) {
    (void)arg;
    _exit(0);
}

struct moment {
    eddy_store *store;
    pthread_barrier_t held; /* the lock is held; the fork was made */
    pid_t child;
};

static void *fork_and_end(void *arg) {
    struct moment *moment = arg;
    look_append(moment->store, "s");
    pthread_barrier_wait(&moment->held);
    pthread_barrier_wait(&moment->held);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) { /* its only thread ends: eddy's notes of it go first, then end_process() */
        CHECK_EQ(pthread_setspecific(end_of_thread, moment), 0);
        pthread_exit(NULL);
    }
    moment->child = pid;
    pthread_barrier_wait(&moment->held);
    return NULL;
}

Test(slots, a_thread_ends_in_a_child_whatever_others_held_when_it_was_forked, .timeout = 60) {
    struct moment moment = {.store = sandbox_anonymous()};
    pthread_t thread;
    look_append(moment.store, "s");
    cr_assert_eq(pthread_key_create(&end_of_thread, end_process), 0);
    cr_assert_eq(pthread_barrier_init(&moment.held, NULL, 2), 0);
    cr_assert_eq(pthread_create(&thread, NULL, fork_and_end, &moment), 0);
    pthread_barrier_wait(&moment.held);
    pthread_mutex_lock(&moment.store->contexts_lock);
    pthread_barrier_wait(&moment.held);
    pthread_barrier_wait(&moment.held);
    pthread_mutex_unlock(&moment.store->contexts_lock);
    cr_assert_eq(child_end(moment.child, 5000), 0, "the child hangs");
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(look_version(moment.store, "s"), 2);
    sandbox_check(moment.store);
    eddy_close(moment.store);
}

/* ---- readers ---- */

static void take_all_readers(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    int rc;
    select.flags = EDDY_FOLLOW;
    do {
        rc = eddy_reader_open(store, &select, &reader);
    } while (rc == 0);
    CHECK_EQ(rc, EDDY_ELIMIT);
    CHECK(strstr(eddy_errmsg(), "reader slots are taken"));
    guest_meet(guest);
}

Test(slots, readers_of_a_killed_process_leave_their_slots_to_who_opens, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *store = store_of(&box, 4, MANY);
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_FOLLOW;
    for (int i = 0; i < 3; i++) {
        struct guest guest = {.box = &box};
        guest_start(&guest, take_all_readers);
        guest_await(&guest);
        gives(eddy_reader_open(store, &select, &reader), EDDY_ELIMIT);
        guest_kill(&guest);
        look_sweep(&box);
        must(eddy_reader_open(store, &select, &reader));
        eddy_reader_close(reader);
    }
    sandbox_check(store);
    eddy_close(store);
}

/* ---- members ---- */

enum { MEMBERS = 6 };

static void open_and_meet(struct guest *guest) {
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    look_append(store, "s");
    guest_meet(guest);
}

static void fill_members(struct guest *guests, const struct sandbox *box) {
    for (int i = 0; i < MEMBERS; i++) {
        guests[i] = (struct guest){.box = box};
        guest_start(&guests[i], open_and_meet);
        guest_await(&guests[i]);
    }
}

static void must_be_full(const struct sandbox *box) {
    eddy_options options = look_options(box, EDDY_MUST_EXIST);
    eddy_store *store;
    gives(eddy_open(&store, "store", &options), EDDY_ELIMIT);
    has_text(eddy_errmsg(), "all 6 member slots are taken by living processes");
    has_text(eddy_errmsg(), "eddy who");
}

Test(slots, members_alive_keep_their_slots_and_dead_ones_lose_them, .timeout = 60) {
    struct sandbox box;
    struct guest guests[MEMBERS];
    sandbox_make(&box);
    eddy_close(store_of(&box, MEMBERS, 64));
    fill_members(guests, &box);
    must_be_full(&box);
    cr_assert_eq(child_stop(guests[2].pid), 0);
    must_be_full(&box);
    guest_kill(&guests[4]);
    look_sweep(&box);
    guest_start(&guests[4], open_and_meet);
    guest_await(&guests[4]);
    must_be_full(&box);
    child_continue(guests[2].pid);
    for (int i = 0; i < MEMBERS; i++) {
        guest_kill(&guests[i]);
    }
    eddy_store *store = sandbox_open(&box, "store", EDDY_MUST_EXIST);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    cr_assert_eq(look_counts(store).sweeps, MEMBERS + 1);
    sandbox_check(store);
    eddy_close(store);
}

/* All wait for one byte, so that they open at once. */
static void open_when_told(struct guest *guest) {
    eddy_store *store;
    eddy_options options = look_options(guest->box, EDDY_MUST_EXIST);
    guest_meet(guest);
    int rc = eddy_open(&store, "store", &options);
    CHECK_SAY(rc == 0, "%s", eddy_errmsg());
    look_append(store, "s");
    guest_meet(guest);
}

Test(slots, as_many_as_find_only_dead_members_all_get_in_at_once, .timeout = 120) {
    struct sandbox box;
    struct guest dead[MEMBERS];
    struct guest guests[MEMBERS];
    sandbox_make(&box);
    eddy_close(store_of(&box, MEMBERS, 64));
    for (int n = 0; n < 30; n++) {
        fill_members(dead, &box);
        for (int i = 0; i < MEMBERS; i++) {
            guests[i] = (struct guest){.box = &box};
            guest_start(&guests[i], open_when_told);
            guest_await(&guests[i]);
        }
        for (int i = 0; i < MEMBERS; i++) {
            guest_kill(&dead[i]);
        }
        for (int i = 0; i < MEMBERS; i++) {
            guest_tell(&guests[i]);
        }
        for (int i = 0; i < MEMBERS; i++) {
            guest_await(&guests[i]);
        }
        must_be_full(&box);
        for (int i = 0; i < MEMBERS; i++) {
            guest_kill(&guests[i]);
        }
    }
    eddy_store *store = sandbox_open(&box, "store", EDDY_MUST_EXIST);
    cr_assert_eq(sandbox_members(store, NULL), 1);
    sandbox_check(store);
    eddy_close(store);
}
