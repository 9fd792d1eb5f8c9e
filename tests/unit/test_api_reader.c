/* eddy.h from outside: readers as they go on: following, positions, borrowing, waiting. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

static void append(eddy_store *store, const char *stream, const char *type) {
    eddy_new_event event = {.type = eddy_str(type), .data = eddy_str("data")};
    CHECK_OK(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
}

static eddy_reader *open_reader(eddy_store *store, uint32_t flags, const char *stream) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader = NULL;
    select.flags = flags;
    select.stream = eddy_str(stream);
    must(eddy_reader_open(store, &select, &reader));
    return reader;
}

static eddy_position position_of(eddy_reader *reader) {
    eddy_position position;
    memset(&position, 0xee, sizeof position);
    must(eddy_reader_position(reader, &position));
    return position;
}

Test(api_reader, a_reader_that_does_not_follow_ends_with_what_was_there, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    append(store, "s", "t");
    eddy_reader *reader = open_reader(store, 0, NULL);
    append(store, "s", "t");
    gives(eddy_reader_next(reader, &event), EDDY_EVENT); /* here it learns the end */
    append(store, "s", "t");
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    cr_assert_eq(event.offset, 2);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    append(store, "s", "t");
    gives(eddy_reader_next(reader, &event), EDDY_END);
    gives(eddy_reader_wait(reader, eddy_deadline_ms(0), &event), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_reader, a_follower_catches_up_and_goes_on_without_a_seam, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    for (int i = 0; i < 100; i++) {
        append(store, "s", "t");
    }
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, NULL);
    uint64_t next = 1;
    for (int round = 0; round < 200; round++) {
        while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
            cr_assert_eq(event.offset, next++);
            if (next % 3 == 0 && sandbox_head(store) < 3000) {
                append(store, "s", "t");
            }
        }
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        cr_assert(position_of(reader).caught_up);
        append(store, "other", "t");
    }
    cr_assert_eq(next, sandbox_head(store));
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_reader, a_follower_ends_where_its_bounds_are, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *readers[3];
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = EDDY_FOLLOW;
    select.to_offset = 3;
    must(eddy_reader_open(store, &select, &readers[0]));
    select.to_offset = 0;
    select.limit = 3;
    must(eddy_reader_open(store, &select, &readers[1]));
    select.limit = 0;
    select.stream = eddy_str("s");
    select.to_version = 3;
    must(eddy_reader_open(store, &select, &readers[2]));
    for (int i = 0; i < 3; i++) {
        for (int r = 0; r < 3; r++) {
            gives(eddy_reader_next(readers[r], &event), EDDY_CAUGHT_UP);
        }
        append(store, "s", "t");
        for (int r = 0; r < 3; r++) {
            gives(eddy_reader_next(readers[r], &event), EDDY_EVENT);
        }
    }
    for (int r = 0; r < 3; r++) {
        gives(eddy_reader_next(readers[r], &event), EDDY_END);
        gives(eddy_reader_wait(readers[r], EDDY_FOREVER, &event), EDDY_END);
        eddy_reader_close(readers[r]);
    }
    eddy_close(store);
}

Test(api_reader, a_stream_may_be_followed_before_it_exists, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, "later");
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    append(store, "now", "t");
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    append(store, "later", "t");
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    cr_assert_eq(event.offset, 2);
    cr_assert_eq(event.version, 1);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_reader, positions_tell_what_was_given_and_looked_at, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, "s");
    eddy_position position = position_of(reader);
    cr_assert_eq(position.offset, 0);
    cr_assert_eq(position.version, 0);
    cr_assert_eq(position.head, 0);
    cr_assert_not(position.caught_up);
    append(store, "s", "t");
    append(store, "other", "t");
    append(store, "s", "t");
    append(store, "other", "t");
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    position = position_of(reader);
    cr_assert_eq(position.offset, 3);
    cr_assert_eq(position.version, 2);
    cr_assert_eq(position.head, 4);
    cr_assert_geq(position.looked_at, 3);
    cr_assert_leq(position.looked_at, 4);
    cr_assert_not(position.caught_up);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    position = position_of(reader);
    cr_assert_eq(position.looked_at, 4);
    cr_assert(position.caught_up);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_reader, looked_at_moves_on_when_nothing_matches, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_select selects[3] = {EDDY_SELECT_INIT, EDDY_SELECT_INIT, EDDY_SELECT_INIT};
    eddy_bytes type = eddy_str("none");
    selects[0].types = &type;
    selects[0].type_count = 1;
    selects[1].stream = eddy_str("none");
    selects[2].prefix = eddy_str("none");
    eddy_reader *readers[3];
    for (int r = 0; r < 3; r++) {
        selects[r].flags = EDDY_FOLLOW;
        must(eddy_reader_open(store, &selects[r], &readers[r]));
    }
    for (uint64_t i = 1; i <= 500; i++) {
        append(store, "s", "t");
        for (int r = 0; i % 50 == 0 && r < 3; r++) {
            gives(eddy_reader_next(readers[r], &event), EDDY_CAUGHT_UP);
            eddy_position position = position_of(readers[r]);
            cr_assert_eq(position.looked_at, i);
            cr_assert_eq(position.offset, 0);
        }
    }
    for (int r = 0; r < 3; r++) {
        eddy_reader_close(readers[r]);
    }
    eddy_close(store);
}

Test(api_reader, a_checkpoint_taken_from_looked_at_goes_on_exactly_there, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    uint64_t checkpoint = 0;
    uint64_t seen = 0;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 7; i++) {
            append(store, i % 3 ? "other" : "s", "t");
        }
        eddy_select select = EDDY_SELECT_INIT;
        select.stream = eddy_str("s");
        select.after_offset = checkpoint;
        eddy_reader *reader;
        must(eddy_reader_open(store, &select, &reader));
        for (int k = 0; k < 2 && eddy_reader_next(reader, &event) == EDDY_EVENT; k++) {
            cr_assert_eq(event.version, ++seen);
        }
        checkpoint = position_of(reader).looked_at;
        eddy_reader_close(reader);
    }
    cr_assert_eq(seen, 100);
    eddy_close(store);
}

Test(api_reader, borrowed_bytes_hold_and_are_those_of_the_store, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event copied, borrowed;
    for (int i = 0; i < 50; i++) {
        append(store, "s", "t");
    }
    eddy_reader *copies = open_reader(store, 0, NULL);
    eddy_reader *borrows = open_reader(store, EDDY_BORROW, NULL);
    for (int i = 0; i < 50; i++) {
        gives(eddy_reader_next(copies, &copied), EDDY_EVENT);
        gives(eddy_reader_next(borrows, &borrowed), EDDY_EVENT);
        append(store, "s", "t");
        same_bytes(borrowed.data, copied.data);
        cr_assert_neq(borrowed.data.ptr, copied.data.ptr);
        gives(eddy_reader_holds(borrows), 1);
    }
    gives(eddy_reader_next(borrows, &borrowed), EDDY_END);
    eddy_reader_close(copies);
    eddy_reader_close(borrows);
    eddy_close(store);
}

Test(api_reader, waiting_ends_at_the_deadline, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, NULL);
    append(store, "s", "t");
    gives(eddy_reader_wait(reader, eddy_deadline_ms(0), &event), EDDY_EVENT);
    gives(eddy_reader_wait(reader, 0, &event), EDDY_ETIMEDOUT);
    gives(eddy_reader_wait(reader, -5, &event), EDDY_ETIMEDOUT);
    int64_t begun = child_now_ns();
    gives(eddy_reader_wait(reader, eddy_deadline_ms(100), &event), EDDY_ETIMEDOUT);
    int64_t took = child_now_ns() - begun;
    cr_assert_geq(took, 100 * 1000000);
    cr_assert_lt(took, INT64_C(5000) * 1000000);
    append(store, "s", "t");
    gives(eddy_reader_wait(reader, EDDY_FOREVER, &event), EDDY_EVENT);
    cr_assert_eq(event.offset, 2);
    eddy_reader_close(reader);
    eddy_close(store);
}

struct ping {
    eddy_store *store;
    int rounds;
};

static void answer_pings(void *arg) {
    struct ping *ping = arg;
    eddy_event event;
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_FOLLOW;
    select.stream = eddy_str("ping");
    CHECK_OK(eddy_reader_open(ping->store, &select, &reader));
    for (int i = 0; i < ping->rounds; i++) {
        CHECK_EQ(eddy_reader_wait(reader, eddy_deadline_ms(20000), &event), EDDY_EVENT);
        append(ping->store, "pong", "t");
    }
    eddy_reader_close(reader);
}

Test(api_reader, a_sleeping_reader_is_woken_by_another_process, .timeout = 60) {
    struct ping ping = {sandbox_anonymous(), 400};
    eddy_event event;
    eddy_reader *reader = open_reader(ping.store, EDDY_FOLLOW, "pong");
    pid_t pid = child_start(answer_pings, &ping);
    int64_t slowest = 0;
    for (int i = 0; i < ping.rounds; i++) {
        if (i % 4 == 0) {
            child_linger_us(500); /* so that it sleeps rather than spins */
        }
        int64_t begun = child_now_ns();
        append(ping.store, "ping", "t");
        gives(eddy_reader_wait(reader, eddy_deadline_ms(20000), &event), EDDY_EVENT);
        int64_t took = child_now_ns() - begun;
        slowest = took > slowest ? took : slowest;
    }
    cr_assert_eq(child_end(pid, CHILD_LIMIT_MS), 0);
    cr_assert_lt(slowest, INT64_C(1000) * 1000000, "a wake-up was lost: %lld ms",
                 (long long)slowest / 1000000);
    eddy_reader_close(reader);
    eddy_close(ping.store);
}

struct waker {
    eddy_reader *reader;
    eddy_store *store;
};

static void *wake_soon(void *arg) {
    struct waker *waker = arg;
    child_linger_us(20000);
    eddy_reader_wake(waker->reader);
    return NULL;
}

static void *shut_soon(void *arg) {
    struct waker *waker = arg;
    child_linger_us(20000);
    CHECK_OK(eddy_shutdown(waker->store));
    return NULL;
}

Test(api_reader, another_thread_wakes_it_and_no_event_is_lost, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, NULL);
    struct waker waker = {reader, store};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wake_soon, &waker), 0);
    gives(eddy_reader_wait(reader, EDDY_FOREVER, &event), EDDY_ECANCELED);
    pthread_join(thread, NULL);
    eddy_reader_wake(reader); /* the next one */
    gives(eddy_reader_wait(reader, EDDY_FOREVER, &event), EDDY_ECANCELED);
    append(store, "s", "t");
    gives(eddy_reader_wait(reader, EDDY_FOREVER, &event), EDDY_EVENT);
    cr_assert_eq(event.offset, 1);
    gives(eddy_reader_wait(reader, eddy_deadline_ms(10), &event), EDDY_ETIMEDOUT);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_reader, shutdown_ends_waits_and_calls_but_not_looking_in, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *other = sandbox_again(store, 0);
    eddy_event event;
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    eddy_buffer *buffer = eddy_buffer_create();
    append(store, "s", "t");
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, NULL);
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    struct waker waker = {reader, store};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, shut_soon, &waker), 0);
    gives(eddy_reader_wait(reader, EDDY_FOREVER, &event), EDDY_ECLOSED);
    pthread_join(thread, NULL);
    gives(eddy_shutdown(store), 0);
    eddy_new_event one = {.data = eddy_str("x")};
    eddy_reader *second;
    gives(eddy_reader_next(reader, &event), EDDY_ECLOSED);
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, &one, 1, NULL), EDDY_ECLOSED);
    gives(eddy_tx_commit(tx, NULL), EDDY_ECLOSED);
    gives(eddy_get(store, 1, buffer, &event), EDDY_ECLOSED);
    gives(eddy_get_version(store, eddy_str("s"), 1, buffer, &event), EDDY_ECLOSED);
    gives(eddy_reader_open(store, NULL, &second), EDDY_ECLOSED);
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_counts counts = {.size = sizeof counts};
    cr_assert_eq(sandbox_head(store), 1);
    must(eddy_stats(store, &counts));
    must(eddy_stream_info(store, eddy_str("s"), &facts));
    append(other, "s", "t"); /* another handle is another matter */
    cr_assert_eq(sandbox_head(other), 2);
    eddy_tx_free(tx);
    eddy_buffer_destroy(buffer);
    eddy_reader_close(reader);
    eddy_close(store);
    eddy_close(other);
}

static void append_when_told(void *arg) {
    struct ping *ping = arg;
    eddy_event event;
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_FOLLOW;
    select.stream = eddy_str("go");
    CHECK_OK(eddy_reader_open(ping->store, &select, &reader));
    for (int i = 0; i < ping->rounds; i++) {
        CHECK_EQ(eddy_reader_wait(reader, eddy_deadline_ms(20000), &event), EDDY_EVENT);
        child_linger_us(300 * (uint64_t)(i % 5));
        append(ping->store, "s", "t");
    }
    eddy_reader_close(reader);
}

Test(api_reader, a_descriptor_serves_epoll, .timeout = 60) {
    struct ping ping = {sandbox_anonymous(), 200};
    eddy_event event;
    eddy_reader *reader = open_reader(ping.store, EDDY_FOLLOW, "s");
    int fd = eddy_reader_fd(reader);
    must(fd);
    cr_assert_eq(eddy_reader_fd(reader), fd);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ready = {.events = EPOLLIN};
    cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ready), 0);
    pid_t pid = child_start(append_when_told, &ping);
    uint64_t version = 0;
    for (int i = 0; i < ping.rounds; i++) {
        int rc = eddy_reader_next(reader, &event);
        cr_assert_eq(rc, EDDY_CAUGHT_UP);
        append(ping.store, "go", "t");
        int64_t end = child_now_ns() + INT64_C(10000000000);
        while ((rc = eddy_reader_next(reader, &event)) == EDDY_CAUGHT_UP) {
            cr_assert_lt(child_now_ns(), end, "round %d: no event comes", i);
            cr_assert_eq(epoll_wait(ep, &ready, 1, 10000), 1, "round %d: not readable", i);
        }
        cr_assert_eq(rc, EDDY_EVENT);
        cr_assert_eq(event.version, ++version);
    }
    cr_assert_eq(child_end(pid, CHILD_LIMIT_MS), 0);
    close(ep);
    eddy_reader_close(reader);
    eddy_close(ping.store);
}

static int64_t cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    int64_t us = (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000;
    return (us + u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

Test(api_reader, waiting_takes_no_processor_time, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *reader = open_reader(store, EDDY_FOLLOW, NULL);
    int64_t before = cpu_ns();
    gives(eddy_reader_wait(reader, eddy_deadline_ms(1000), &event), EDDY_ETIMEDOUT);
    cr_assert_lt(cpu_ns() - before, INT64_C(100) * 1000000);
    struct pollfd f = {.fd = eddy_reader_fd(reader), .events = POLLIN};
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    before = cpu_ns();
    for (int64_t end = child_now_ns() + 500000000; child_now_ns() < end;) {
        if (poll(&f, 1, 100) > 0) {
            gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
        }
    }
    cr_assert_lt(cpu_ns() - before, INT64_C(100) * 1000000);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_reader, a_read_only_handle_reads_and_follows_but_has_no_descriptor, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *read_only = sandbox_again(store, EDDY_READ_ONLY);
    eddy_event event;
    eddy_reader *reader = open_reader(read_only, EDDY_FOLLOW, NULL);
    for (uint64_t i = 1; i <= 100; i++) {
        append(store, "s", "t");
        gives(eddy_reader_wait(reader, eddy_deadline_ms(20000), &event), EDDY_EVENT);
        cr_assert_eq(event.offset, i);
        gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    }
    gives(eddy_reader_fd(reader), EDDY_EREADONLY);
    gives(eddy_reader_wait(reader, eddy_deadline_ms(20), &event), EDDY_ETIMEDOUT);
    cr_assert_eq(sandbox_members(read_only, NULL), 1);
    sandbox_check(read_only);
    eddy_reader_close(reader);
    eddy_close(read_only);
    eddy_close(store);
}

Test(api_reader, a_hundred_readers_at_once_see_the_same, .timeout = 30) {
    enum { READERS = 100 };
    eddy_store *store = sandbox_anonymous();
    eddy_event event;
    eddy_reader *readers[READERS];
    for (int r = 0; r < READERS; r++) {
        readers[r] = open_reader(store, EDDY_FOLLOW | (r % 2 ? EDDY_BORROW : 0), NULL);
    }
    for (uint64_t i = 1; i <= 50; i++) {
        append(store, "s", "t");
        for (int r = 0; r < READERS; r++) {
            gives(eddy_reader_next(readers[r], &event), EDDY_EVENT);
            cr_assert_eq(event.offset, i);
        }
    }
    for (int r = 0; r < READERS; r++) {
        eddy_reader_close(readers[r]);
    }
    eddy_close(store);
}
