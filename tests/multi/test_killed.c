/* Processes that are killed or stopped at random moments: the others go on, and nothing is lost,
 * torn, or missed. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/crew.h"
#include "support/sandbox.h"

#include <criterion/logging.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    KILLS = 250,         /* in each of four tests */
    VICTIMS = KILLS + 8, /* writers, of which the last is the parent */
    SURVIVOR = VICTIMS - 1,
    FOLLOWERS = 2,
    STREAMS = 64,
    VICTIM_TXS = 300,  /* then it tries in vain, and reads */
    BOUNDED_MS = 10000 /* for what takes a millisecond when nobody holds it up */
};

/* In memory that the children share. */
struct field {
    eddy_store *store;
    _Atomic uint32_t stop;         /* for the followers: nothing more will come */
    _Atomic uint32_t writers_stop; /* for writers that live long */
    _Atomic uint64_t progress[VICTIMS];
    _Atomic uint64_t allowed;
    struct crew_follower followers[FOLLOWERS];
    pid_t follower_pids[FOLLOWERS];
    struct crew_writer survivor;
    struct rng rng;
};

struct victim {
    struct field *field;
    uint32_t number;
    uint32_t timer_us; /* 0: none */
    bool own_handle;
};

static void follow(void *arg) {
    crew_follow(arg);
}

static struct field *make_field(uint64_t seed) {
    struct field *field = child_shared(sizeof *field);
    field->store = sandbox_anonymous_of(UINT64_C(4) << 30);
    field->rng = rng_make(seed);
    crew_writer_init(&field->survivor, field->store, SURVIVOR);
    field->survivor.rng = rng_make(seed + 1);
    for (int i = 0; i < FOLLOWERS; i++) {
        field->followers[i] = (struct crew_follower){.store = field->store,
                                                     .manner = i ? CREW_POLL : CREW_BORROW,
                                                     .streams = STREAMS,
                                                     .writers = VICTIMS,
                                                     .stop = &field->stop};
        field->follower_pids[i] = child_start(follow, &field->followers[i]);
    }
    return field;
}

/* What a victim does once it has written enough: transactions that are refused, and reading. */
static void keep_busy(struct crew_writer *writer) {
    eddy_new_event event = {.data = eddy_str("refused")};
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event got;
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(writer->store, &tx));
    CHECK_OK(eddy_tx_append(tx, eddy_str("s000"), &event));
    CHECK_OK(eddy_tx_append(tx, eddy_str("never"), &event));
    CHECK_OK(eddy_tx_expect(tx, eddy_str("never"), EDDY_EXISTS));
    CHECK_EQ(eddy_tx_commit(tx, NULL), EDDY_ECONFLICT);
    eddy_tx_free(tx);
    for (int i = 0; i < 20; i++) {
        uint64_t head = sandbox_head(writer->store);
        CHECK_OK(eddy_get(writer->store, 1 + rng_below(&writer->rng, head), buffer, &got));
    }
    eddy_buffer_destroy(buffer);
}

static void be_victim(void *arg) {
    const struct victim *victim = arg;
    struct field *field = victim->field;
    if (victim->timer_us) {
        struct itimerval timer = {.it_value.tv_usec = victim->timer_us};
        CHECK_EQ(setitimer(ITIMER_REAL, &timer, NULL), 0); /* SIGALRM ends it */
    }
    struct crew_writer writer;
    crew_writer_init(&writer, victim->own_handle ? sandbox_again(field->store, 0) : field->store,
                     victim->number);
    writer.rng = rng_make(victim->number * 1000 + 7);
    writer.progress = &field->progress[victim->number];
    writer.events_max = victim->number % 5 ? 8 : 100;
    for (;;) {
        if (writer.tx < VICTIM_TXS) {
            crew_write(&writer);
        } else {
            keep_busy(&writer);
        }
    }
}

/* The survivor writes, within bounded time. */
static void go_on(struct field *field, int txs) {
    int64_t begun = child_now_ns();
    uint64_t head = sandbox_head(field->store);
    for (int i = 0; i < txs; i++) {
        crew_write(&field->survivor);
    }
    cr_assert_geq(sandbox_head(field->store), head + (uint64_t)txs);
    cr_assert_lt(child_now_ns() - begun, INT64_C(1000000) * BOUNDED_MS, "held up");
}

/* The followers see what was written, within bounded time. */
static void followers_follow(struct field *field) {
    uint64_t head = sandbox_head(field->store);
    int64_t end = child_now_ns() + INT64_C(1000000) * BOUNDED_MS;
    for (int i = 0; i < FOLLOWERS; i++) {
        while (atomic_load(&field->followers[i].seen) < head) {
            cr_assert_lt(child_now_ns(), end, "follower %d is at %llu of %llu", i,
                         (unsigned long long)atomic_load(&field->followers[i].seen),
                         (unsigned long long)head);
            child_linger_us(400);
        }
    }
}

/* What a death leaves: nothing in the list of members after an open, and a sound store. */
static void open_and_look(struct field *field) {
    eddy_store *again = sandbox_again(field->store, 0);
    eddy_new_event event = {0};
    must(eddy_append(again, eddy_str("s"), EDDY_ANY, &event, 0, NULL));
    uint32_t dead;
    sandbox_members(again, &dead);
    cr_assert_eq(dead, 0, "%u dead members are left after an open", dead);
    sandbox_check(again);
    eddy_close(again);
}

/* Acknowledged: there. Not acknowledged: there whole, or not at all. */
static void end_field(struct field *field) {
    go_on(field, 20);
    crew_writer_fini(&field->survivor);
    atomic_store(&field->stop, 1);
    for (int i = 0; i < FOLLOWERS; i++) {
        cr_assert_eq(child_end(field->follower_pids[i], CHILD_LIMIT_MS), 0, "follower %d", i);
        crew_check_follower(&field->followers[i]);
    }
    struct crew_view view;
    crew_view_init(&view, true, STREAMS, VICTIMS);
    crew_read(&view, field->store, NULL);
    crew_view_whole(&view);
    uint64_t unacknowledged = 0;
    for (uint32_t i = 0; i < SURVIVOR; i++) {
        uint64_t acknowledged = atomic_load(&field->progress[i]);
        cr_assert_geq(view.txs[i], acknowledged, "victim %u lost what was acknowledged", i);
        cr_assert_leq(view.txs[i], acknowledged + 1, "victim %u", i);
        unacknowledged += view.txs[i] - acknowledged;
    }
    cr_assert_eq(view.txs[SURVIVOR], field->survivor.tx);
    crew_view_fini(&view);
    open_and_look(field);
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(field->store, &facts));
    cr_log_info("%llu events, %llu transactions committed and not acknowledged",
                (unsigned long long)facts.head, (unsigned long long)unacknowledged);
    eddy_close(field->store);
    munmap(field, sizeof *field);
}

static void each_time(struct field *field, int i) {
    go_on(field, 5);
    if (i % 50 == 49) {
        followers_follow(field);
        open_and_look(field);
    }
}

Test(killed, writers_at_random_moments_of_their_first_3_milliseconds, .timeout = 120) {
    struct field *field = make_field(100);
    for (uint32_t i = 0; i < KILLS; i++) {
        struct victim victim = {.field = field, .number = i, .own_handle = i % 2};
        pid_t pid = child_start(be_victim, &victim);
        child_linger_us(rng_below(&field->rng, 3000));
        child_kill(pid);
        each_time(field, (int)i);
    }
    end_field(field);
}

Test(killed, writers_after_so_many_transactions, .timeout = 120) {
    struct field *field = make_field(200);
    for (uint32_t i = 0; i < KILLS; i++) {
        struct victim victim = {.field = field, .number = i, .own_handle = i % 3 == 0};
        uint64_t target = 1 + rng_below(&field->rng, 200);
        pid_t pid = child_start(be_victim, &victim);
        int64_t end = child_now_ns() + INT64_C(1000000) * BOUNDED_MS;
        while (atomic_load(&field->progress[i]) < target) {
            cr_assert_lt(child_now_ns(), end, "victim %u is held up", i);
        }
        for (uint64_t n = rng_below(&field->rng, 300); n > 0; n--) {
            atomic_load(&field->stop);
        }
        child_kill(pid);
        each_time(field, (int)i);
    }
    end_field(field);
}

Test(killed, four_writers_at_once_by_timers, .timeout = 120) {
    enum { AT_ONCE = 4 };
    struct field *field = make_field(300);
    for (uint32_t i = 0; i < KILLS; i += AT_ONCE) {
        struct victim victims[AT_ONCE];
        pid_t pids[AT_ONCE];
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            victims[k] = (struct victim){.field = field, .number = i + k, .own_handle = k % 2};
            victims[k].timer_us = 1000 + (uint32_t)rng_below(&field->rng, 9000);
            pids[k] = child_start(be_victim, &victims[k]);
        }
        go_on(field, 20);
        for (uint32_t k = 0; k < AT_ONCE; k++) {
            cr_assert_eq(child_end(pids[k], CHILD_LIMIT_MS), -SIGALRM);
        }
        each_time(field, (int)(i / AT_ONCE));
    }
    end_field(field);
}

Test(killed, writers_that_were_stopped_before, .timeout = 120) {
    struct field *field = make_field(400);
    pid_t stopped[3] = {0};
    struct victim victims[3];
    for (uint32_t i = 0; i < KILLS; i++) { /* up to three lie stopped while others come and go */
        pid_t *pid = &stopped[i % 3];
        if (*pid) {
            child_kill(*pid);
        }
        victims[i % 3] = (struct victim){.field = field, .number = i, .own_handle = i % 2};
        *pid = child_start(be_victim, &victims[i % 3]);
        child_linger_us(200 + rng_below(&field->rng, 3000));
        cr_assert_eq(child_stop(*pid), 0);
        each_time(field, (int)i);
    }
    for (int i = 0; i < 3; i++) {
        child_kill(stopped[i]);
    }
    end_field(field);
}

/* ---- stopped, and continued ---- */

enum { LONG_LIVED = 3, STOPS = 400, SHARE = 30 };

static void be_long_lived(void *arg) {
    const struct victim *victim = arg;
    struct field *field = victim->field;
    struct crew_writer writer;
    crew_writer_init(&writer, victim->own_handle ? sandbox_again(field->store, 0) : field->store,
                     victim->number);
    writer.progress = &field->progress[victim->number];
    while (!atomic_load(&field->writers_stop)) {
        if (writer.tx < atomic_load(&field->allowed)) {
            crew_write(&writer);
        } else {
            keep_busy(&writer);
        }
    }
    crew_writer_fini(&writer);
}

Test(stopped, writers_hold_up_nobody_and_go_on_when_continued, .timeout = 120) {
    struct field *field = make_field(500);
    struct victim victims[LONG_LIVED];
    pid_t pids[LONG_LIVED];
    bool lies[LONG_LIVED] = {false};
    crew_write(&field->survivor);
    for (uint32_t i = 0; i < LONG_LIVED; i++) {
        victims[i] = (struct victim){.field = field, .number = i, .own_handle = i % 2};
        pids[i] = child_start(be_long_lived, &victims[i]);
    }
    for (int n = 0; n < STOPS; n++) {
        int i = (int)rng_below(&field->rng, LONG_LIVED);
        atomic_fetch_add(&field->allowed, SHARE);
        if (lies[i]) {
            child_continue(pids[i]);
        }
        child_linger_us(rng_below(&field->rng, 2000));
        cr_assert_eq(child_stop(pids[i]), 0);
        lies[i] = true;
        go_on(field, 10);
        if (n % 40 == 39) { /* all of them lie */
            for (int k = 0; k < LONG_LIVED; k++) {
                cr_assert(lies[k] || child_stop(pids[k]) == 0);
                lies[k] = true;
            }
            go_on(field, 200);
            followers_follow(field);
            open_and_look(field);
        }
    }
    for (int i = 0; i < LONG_LIVED; i++) {
        child_continue(pids[i]);
    }
    int64_t end = child_now_ns() + INT64_C(1000000) * BOUNDED_MS * 3;
    for (int i = 0; i < LONG_LIVED; i++) {
        while (atomic_load(&field->progress[i]) < (uint64_t)STOPS * SHARE) {
            cr_assert_lt(child_now_ns(), end, "writer %d did not go on", i);
            child_linger_us(400);
        }
    }
    followers_follow(field);
    atomic_store(&field->writers_stop, 1);
    for (int i = 0; i < LONG_LIVED; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    end_field(field);
}

Test(stopped, followers_hold_up_nobody_and_miss_nothing, .timeout = 120) {
    struct field *field = make_field(600);
    for (int n = 0; n < 60; n++) {
        for (int i = 0; i < FOLLOWERS; i++) {
            cr_assert_eq(child_stop(field->follower_pids[i]), 0);
        }
        go_on(field, 100);
        for (int i = 0; i < FOLLOWERS; i++) {
            child_continue(field->follower_pids[i]);
        }
        go_on(field, 5);
        child_linger_us(rng_below(&field->rng, 1500));
    }
    followers_follow(field);
    end_field(field);
}

Test(killed, followers_that_borrow_and_sleep_hold_up_nobody, .timeout = 120) {
    struct field *field = make_field(700);
    for (int n = 0; n < 60; n++) {
        struct crew_follower doomed = {.store = field->store,
                                       .manner = (enum crew_manner)(n % CREW_MANNERS),
                                       .streams = STREAMS,
                                       .writers = VICTIMS,
                                       .stop = &field->stop};
        pid_t pid = child_start(follow, &doomed);
        go_on(field, 30);
        child_linger_us(rng_below(&field->rng, 3000));
        child_kill(pid);
        each_time(field, n);
    }
    end_field(field);
}

/* A process that dies while it makes a store, or opens one. */
static void open_for_ever(void *arg) {
    struct sandbox *box = arg;
    for (;;) {
        eddy_store *store = sandbox_open(box, "store", 0);
        eddy_new_event event = {.data = eddy_str("x")};
        CHECK_OK(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
        eddy_close(store);
    }
}

Test(killed, makers_of_a_store_leave_a_whole_one_or_none, .timeout = 120) {
    struct sandbox box;
    sandbox_make(&box);
    struct rng rng = rng_make(800);
    eddy_options options = EDDY_OPTIONS_INIT;
    options.dir = box.dir;
    for (int n = 0; n < 150; n++) {
        pid_t pid = child_start(open_for_ever, &box);
        child_linger_us(rng_below(&rng, 2500));
        child_kill(pid);
        eddy_store *store = sandbox_open(&box, "store", 0);
        uint32_t dead;
        uint64_t head = sandbox_head(store);
        eddy_new_event event = {.data = eddy_str("x")};
        must(eddy_append(store, eddy_str("s"), (int64_t)head, &event, 1, NULL));
        sandbox_members(store, &dead);
        cr_assert_eq(dead, 0);
        sandbox_check(store);
        eddy_close(store);
        if (n % 3 == 0) {
            must(eddy_unlink("store", &options));
        }
    }
    /* Nothing but the store is left in the directory. */
    eddy_close(sandbox_open(&box, "store", 0));
    char line[300];
    snprintf(line, sizeof line, "test \"$(ls -A '%s')\" = eddy.store", box.dir);
    cr_assert_eq(system(line), 0);
}
