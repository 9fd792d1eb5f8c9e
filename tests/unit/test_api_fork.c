/* eddy.h from outside: fork, exec, and many threads on one handle. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/crew.h"
#include "support/sandbox.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t append(eddy_store *store, const char *stream) {
    eddy_new_event event = {.data = eddy_str("data")};
    eddy_result result;
    CHECK_OK(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, &result));
    return result.last_offset;
}

struct shared {
    eddy_store *store;
    eddy_reader *reader;
    eddy_tx *tx;
};

static void use_handle(void *arg) {
    struct shared *shared = arg;
    eddy_event event;
    uint64_t before = sandbox_head(shared->store);
    for (int i = 0; i < 200; i++) {
        append(shared->store, "child");
    }
    CHECK_EQ(sandbox_head(shared->store), before + 200);
    for (uint64_t i = 0; i < 200; i++) { /* goes on where the parent's was */
        CHECK_EQ(eddy_reader_next(shared->reader, &event), EDDY_EVENT);
        CHECK_EQ(event.offset, before + 1 + i);
    }
    CHECK_EQ(eddy_reader_next(shared->reader, &event), EDDY_CAUGHT_UP);
    CHECK_EQ(eddy_reader_wait(shared->reader, eddy_deadline_ms(5), &event), EDDY_ETIMEDOUT);
}

Test(api_fork, handle_and_reader_work_on_in_the_child_and_in_the_parent, .timeout = 30) {
    struct shared shared = {.store = sandbox_anonymous()};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_event event;
    select.flags = EDDY_FOLLOW;
    must(eddy_reader_open(shared.store, &select, &shared.reader));
    for (uint64_t round = 0; round < 10; round++) {
        append(shared.store, "parent");
        uint64_t offset = sandbox_head(shared.store);
        while (eddy_reader_next(shared.reader, &event) == EDDY_EVENT) {
        }
        cr_assert_eq(event.offset, offset);
        cr_assert_eq(child_run(use_handle, &shared), 0);
        append(shared.store, "parent");
        for (uint64_t i = 0; i < 201; i++) {
            gives(eddy_reader_next(shared.reader, &event), EDDY_EVENT);
            cr_assert_eq(event.offset, offset + 1 + i);
        }
        gives(eddy_reader_next(shared.reader, &event), EDDY_CAUGHT_UP);
    }
    sandbox_check(shared.store);
    eddy_reader_close(shared.reader);
    eddy_close(shared.store);
}

static void close_all(void *arg) {
    struct shared *shared = arg;
    eddy_reader_close(shared->reader);
    eddy_tx_free(shared->tx);
    eddy_close(shared->store);
}

static void use_then_close_all(void *arg) {
    struct shared *shared = arg;
    append(shared->store, "child");
    close_all(arg);
}

Test(api_fork, what_the_child_closes_stays_open_in_the_parent, .timeout = 30) {
    struct shared shared = {.store = sandbox_anonymous()};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_event event;
    select.flags = EDDY_FOLLOW | EDDY_BORROW;
    must(eddy_reader_open(shared.store, &select, &shared.reader));
    must(eddy_reader_fd(shared.reader));
    must(eddy_tx_begin(shared.store, &shared.tx));
    must(eddy_tx_append(shared.tx, eddy_str("tx"), &(eddy_new_event){.data = eddy_str("tx")}));
    append(shared.store, "parent");
    gives(eddy_reader_next(shared.reader, &event), EDDY_EVENT);
    cr_assert_eq(child_run(close_all, &shared), 0);
    gives(eddy_reader_holds(shared.reader), 1);
    same_bytes(event.data, eddy_str("data"));
    cr_assert_eq(child_run(use_then_close_all, &shared), 0);
    must(eddy_tx_commit(shared.tx, NULL));
    gives(eddy_reader_next(shared.reader, &event), EDDY_EVENT);
    gives(eddy_reader_next(shared.reader, &event), EDDY_EVENT);
    cr_assert_eq(event.offset, 3);
    same_bytes(event.data, eddy_str("tx"));
    uint32_t dead;
    cr_assert_eq(sandbox_members(shared.store, &dead), 1);
    eddy_tx_free(shared.tx);
    eddy_reader_close(shared.reader);
    sandbox_check(shared.store);
    eddy_close(shared.store);
}

static void use_parents_tx(void *arg) {
    struct shared *shared = arg;
    eddy_new_event event = {.data = eddy_str("child")};
    eddy_new_event room = {.data = eddy_mem(NULL, 8)};
    void *place;
    CHECK_EQ(eddy_tx_append(shared->tx, eddy_str("s"), &event), EDDY_EFORKED);
    CHECK(eddy_errmsg()[0]);
    CHECK_EQ(eddy_tx_reserve(shared->tx, eddy_str("s"), &room, &place), EDDY_EFORKED);
    CHECK_EQ(eddy_tx_expect(shared->tx, eddy_str("s"), 0), EDDY_EFORKED);
    CHECK_EQ(eddy_tx_commit(shared->tx, NULL), EDDY_EFORKED);
    eddy_tx *own;
    CHECK_OK(eddy_tx_begin(shared->store, &own));
    CHECK_OK(eddy_tx_append(own, eddy_str("s"), &event));
    CHECK_OK(eddy_tx_commit(own, NULL));
    eddy_tx_free(own);
    eddy_tx_free(shared->tx);
}

Test(api_fork, a_transaction_belongs_to_the_process_that_began_it, .timeout = 30) {
    struct shared shared = {.store = sandbox_anonymous()};
    eddy_result result;
    must(eddy_tx_begin(shared.store, &shared.tx));
    must(eddy_tx_append(shared.tx, eddy_str("s"), &(eddy_new_event){.data = eddy_str("1")}));
    cr_assert_eq(child_run(use_parents_tx, &shared), 0);
    must(eddy_tx_append(shared.tx, eddy_str("s"), &(eddy_new_event){.data = eddy_str("2")}));
    must(eddy_tx_commit(shared.tx, &result));
    cr_assert_eq(result.first_offset, 2);
    cr_assert_eq(result.last_version, 3);
    eddy_tx_free(shared.tx);
    sandbox_check(shared.store);
    eddy_close(shared.store);
}

static void do_nothing(void *arg) {
    (void)arg;
}

Test(api_fork, children_that_never_call_eddy_are_no_members, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    append(store, "s");
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < 300; i++) {
        cr_assert_eq(child_run(do_nothing, NULL), 0);
        append(store, "s");
    }
    uint32_t dead;
    cr_assert_eq(sandbox_members(store, &dead), 1);
    sandbox_check(store);
    eddy_close(store);
}

static void fork_again(void *arg) {
    eddy_store *store = arg;
    append(store, "child");
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(child_run(use_then_close_all, &(struct shared){.store = store}), 0);
        append(store, "child");
    }
}

/* A grandchild whose parent never called eddy. */
static void fork_again_unused(void *arg) {
    CHECK_EQ(child_run(fork_again, arg), 0);
}

Test(api_fork, children_of_children_work_too, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    append(store, "parent");
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(child_run(fork_again, store), 0);
        cr_assert_eq(child_run(fork_again_unused, store), 0);
    }
    cr_assert_eq(sandbox_head(store), 1 + 10 * 7);
    sandbox_check(store);
    eddy_close(store);
}

static void append_many(void *arg) {
    for (int i = 0; i < 300; i++) {
        append(arg, "together");
    }
}

Test(api_fork, parent_and_children_append_at_once_through_one_handle, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    pid_t pids[6];
    for (int i = 0; i < 6; i++) {
        pids[i] = child_start(append_many, store);
    }
    append_many(store);
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    cr_assert_eq(sandbox_head(store), 7 * 300);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- exec ---- */

static int open_files(void) {
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    CHECK(dir);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static void exec_and_count(void *arg) {
    struct shared *shared = arg;
    char script[128];
    append(shared->store, "child");
    /* 3 standard files, the one that ls opens; nothing of eddy's, unless it was given on purpose.
     */
    snprintf(
        script, sizeof script,
        "for f in /proc/$$/fd/*; do readlink $f; done | grep -i -E 'eddy|memfd|eventfd|io_uring' "
        ">&2 && exit 1; exit 0");
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
    CHECK(0);
}

Test(api_fork, exec_closes_everything_and_ends_the_membership, .timeout = 30) {
    struct shared shared = {.store = sandbox_anonymous()};
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = EDDY_FOLLOW;
    append(shared.store, "s");
    must(eddy_reader_open(shared.store, &select, &shared.reader));
    must(eddy_reader_fd(shared.reader));
    cr_assert_eq(child_run(exec_and_count, &shared), 0);
    eddy_close(sandbox_again(shared.store, 0));
    uint32_t dead;
    cr_assert_eq(sandbox_members(shared.store, &dead), 1);
    cr_assert_eq(dead, 0);
    eddy_reader_close(shared.reader);
    eddy_close(shared.store);
}

Test(api_fork, handles_and_readers_leave_no_files_open, .timeout = 30) {
    eddy_store *first = sandbox_anonymous();
    append(first, "s");
    eddy_close(first);
    int before = open_files();
    for (int i = 0; i < 50; i++) {
        eddy_store *store = sandbox_anonymous();
        eddy_store *again = sandbox_again(store, i % 2 ? EDDY_READ_ONLY : 0);
        eddy_select select = EDDY_SELECT_INIT;
        eddy_reader *reader;
        select.flags = EDDY_FOLLOW;
        append(store, "s");
        must(eddy_reader_open(store, &select, &reader));
        must(eddy_reader_fd(reader));
        eddy_reader_close(reader);
        eddy_close(again);
        eddy_close(store);
    }
    cr_assert_eq(open_files(), before);
}

/* ---- threads ---- */

enum { THREADS = 8, THREAD_TXS = 400 };

struct thread {
    pthread_t id;
    eddy_store *store;
    uint32_t number;
    _Atomic uint32_t *stop;
    struct crew_follower follower;
};

static void *thread_write(void *arg) {
    struct thread *thread = arg;
    struct crew_writer writer;
    crew_writer_init(&writer, thread->store, thread->number);
    for (int i = 0; i < THREAD_TXS; i++) {
        crew_write(&writer);
    }
    crew_writer_fini(&writer);
    return NULL;
}

static void *thread_follow(void *arg) {
    struct thread *thread = arg;
    crew_follow(&thread->follower);
    return NULL;
}

Test(api_threads, eight_append_and_read_through_one_handle, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    struct thread threads[THREADS];
    _Atomic uint32_t stop = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.store = store, .number = i, .stop = &stop};
        threads[i].follower = (struct crew_follower){.store = store,
                                                     .manner = i % CREW_MANNERS,
                                                     .streams = 64,
                                                     .writers = THREADS,
                                                     .stop = &stop};
        void *(*run)(void *) = i < THREADS / 2 ? thread_write : thread_follow;
        cr_assert_eq(pthread_create(&threads[i].id, NULL, run, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        if (i == THREADS / 2) {
            atomic_store(&stop, 1);
        }
        cr_assert_eq(pthread_join(threads[i].id, NULL), 0);
    }
    for (int i = THREADS / 2; i < THREADS; i++) {
        crew_check_follower(&threads[i].follower);
    }
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.transactions, THREADS / 2 * THREAD_TXS);
    sandbox_check(store);
    eddy_close(store);
}

static void *thread_once(void *arg) {
    append(arg, "s");
    return NULL;
}

Test(api_threads, threads_that_come_and_go_take_no_slots_for_ever, .timeout = 60) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.threads = 16;
    must(eddy_open(&store, NULL, &options));
    for (int i = 0; i < 500; i++) {
        pthread_t ids[4];
        for (int k = 0; k < 4; k++) {
            cr_assert_eq(pthread_create(&ids[k], NULL, thread_once, store), 0);
        }
        for (int k = 0; k < 4; k++) {
            pthread_join(ids[k], NULL);
        }
    }
    cr_assert_eq(sandbox_head(store), 2000);
    eddy_close(store);
}

/* The allocator of AddressSanitizer itself does not survive a fork amid threads that allocate. */
#if defined(__SANITIZE_ADDRESS__)
#define NOT_WITH_ASAN() return
#else
#define NOT_WITH_ASAN() ((void)0)
#endif

static void *thread_of_a_forker(void *arg) {
    struct thread *thread = arg;
    while (!atomic_load(thread->stop)) {
        append(thread->store, "noise");
    }
    return NULL;
}

Test(api_threads, a_fork_amid_busy_threads_gives_a_child_that_works, .timeout = 60) {
    NOT_WITH_ASAN();
    struct shared shared = {.store = sandbox_anonymous_of(UINT64_C(2) << 30)};
    _Atomic uint32_t stop = 0;
    struct thread threads[3];
    for (int i = 0; i < 3; i++) {
        threads[i] = (struct thread){.store = shared.store, .stop = &stop};
        cr_assert_eq(pthread_create(&threads[i].id, NULL, thread_of_a_forker, &threads[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(child_run(use_then_close_all, &(struct shared){.store = shared.store}), 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i].id, NULL);
    }
    eddy_stream_facts facts = {.size = sizeof facts};
    must(eddy_stream_info(shared.store, eddy_str("child"), &facts));
    cr_assert_eq(facts.version, 50);
    sandbox_check(shared.store);
    eddy_close(shared.store);
}

static int count_stream(void *arg, const eddy_stream_facts *facts) {
    (void)facts;
    ++*(uint64_t *)arg;
    return 0;
}

static void page_new_streams(eddy_store *store, unsigned number) {
    char name[32];
    uint64_t count = 0;
    snprintf(name, sizeof name, "%d-%u", (int)getpid(), number);
    append(store, name);
    CHECK_OK(eddy_streams(store, eddy_str(name), eddy_str(""), 10, count_stream, &count));
    CHECK(count >= 1);
}

static void *thread_of_pages(void *arg) {
    struct thread *thread = arg;
    for (unsigned i = 0; !atomic_load(thread->stop); i++) {
        page_new_streams(thread->store, thread->number * 1000000 + i);
    }
    return NULL;
}

static void page_as_child(void *arg) {
    for (unsigned i = 0; i < 5; i++) {
        page_new_streams(arg, i);
    }
}

/* What the other threads held at the moment of the fork, nobody gives back in the child. */
Test(api_threads, a_child_of_a_fork_amid_threads_that_list_streams_lists_them_too, .timeout = 60) {
    NOT_WITH_ASAN();
    eddy_store *store = sandbox_anonymous_of(UINT64_C(2) << 30);
    _Atomic uint32_t stop = 0;
    struct thread threads[3];
    for (uint32_t i = 0; i < 3; i++) {
        threads[i] = (struct thread){.store = store, .number = i, .stop = &stop};
        cr_assert_eq(pthread_create(&threads[i].id, NULL, thread_of_pages, &threads[i]), 0);
    }
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(child_end(child_start(page_as_child, store), 10000), 0, "child %d", i);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i].id, NULL);
    }
    sandbox_check(store);
    eddy_close(store);
}

Test(api_threads, more_threads_than_slots_get_an_error_and_no_harm, .timeout = 60) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.flags = EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.threads = 2;
    must(eddy_open(&store, NULL, &options));
    append(store, "s");
    eddy_store *again = sandbox_again(store, 0);
    eddy_new_event event = {0};
    int rc = eddy_append(again, eddy_str("s"), EDDY_ANY, &event, 1, NULL);
    cr_assert(rc == 0 || rc == EDDY_ELIMIT, "%s: %s", eddy_errname(rc), eddy_errmsg());
    append(store, "s");
    eddy_close(again);
    append(store, "s");
    sandbox_check(store);
    eddy_close(store);
}
