/* pollfd: each behaviour is asked of both implementations, the io_uring and the thread. */
#include "pollfd.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FAR_NS (INT64_C(60) * 1000000000) /* a recheck that no test lives to see */
#define SOON_NS (INT64_C(20) * 1000000)
#define PATIENCE_MS 10000
#define HAMMER_CHANGES 20000u

#define BOTH(name)                                                                                 \
    static void name(int force_thread);                                                            \
    Test(pollfd, name##_with_io_uring, .timeout = 30) {                                            \
        name(0);                                                                                   \
    }                                                                                              \
    Test(pollfd, name##_with_a_thread, .timeout = 30) {                                            \
        name(1);                                                                                   \
    }                                                                                              \
    static void name(int force_thread)

/* A word in a file that is mapped shared, as a store's is. */
static uint32_t *make_word(uint32_t value) {
    int fd = memfd_create("eddy-test-pollfd", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert_neq((void *)word, MAP_FAILED);
    close(fd);
    word += 5; /* not at the start of the page */
    *word = value;
    return word;
}

static void set_word(uint32_t *word, uint32_t value) {
    atomic_store((_Atomic uint32_t *)word, value);
}

/* How many waiters it woke. */
static long wake_word(uint32_t *word) {
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static struct eddy_pollfd *open_one(uint32_t *word, int force_thread) {
    struct eddy_pollfd *p;
    cr_assert_eq(eddy_pollfd_open(&p, word, force_thread), 0);
    if (force_thread) {
        cr_assert(eddy_pollfd_has_thread(p));
    } else if (eddy_pollfd_has_thread(p)) {
#if !defined(                                                                                      \
    __SANITIZE_ADDRESS__) /* where Criterion leaks at a skip; the thread is tested again  \
                                    */
        cr_skip("no futex wait in io_uring here");
#endif
    }
    return p;
}

static bool readable(struct eddy_pollfd *p, int timeout_ms) {
    struct pollfd f = {.fd = eddy_pollfd_fd(p), .events = POLLIN};
    int n = poll(&f, 1, timeout_ms);
    cr_assert_geq(n, 0);
    return n == 1 && (f.revents & POLLIN) != 0;
}

/* A thread that armed leaves its late signals behind when it ends; arm until they are gone. */
static void arm_until_quiet(struct eddy_pollfd *p, uint32_t expected) {
    do {
        cr_assert_eq(eddy_pollfd_arm(p, expected, FAR_NS), 0);
    } while (readable(p, 50));
}

/* A child that changes the word once the parent has had time to sleep, and wakes it. It never
 * touches Criterion. */
static pid_t fork_waker(uint32_t *word, uint32_t value, long delay_ns) {
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        struct timespec delay = {.tv_nsec = delay_ns};
        nanosleep(&delay, NULL);
        set_word(word, value);
        _exit(wake_word(word) >= 0 ? 0 : 1);
    }
    cr_assert_gt(pid, 0);
    return pid;
}

static void reap(pid_t pid) {
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), 0);
}

Test(pollfd, a_word_that_is_no_futex_is_refused, .timeout = 10) {
    struct eddy_pollfd *p = (struct eddy_pollfd *)&p;
    uint64_t room = 0;
    cr_assert_eq(eddy_pollfd_open(&p, NULL, 0), -EINVAL);
    cr_assert_null(p);
    cr_assert_eq(eddy_pollfd_open(&p, (uint32_t *)(void *)((char *)&room + 1), 0), -EINVAL);
    cr_assert_null(p);
    eddy_pollfd_close(NULL);
}

BOTH(is_readable_at_once_if_the_word_differs) {
    uint32_t *word = make_word(7);
    struct eddy_pollfd *p = open_one(word, force_thread);
    cr_assert_not(readable(p, 0));
    cr_assert_eq(eddy_pollfd_arm(p, 6, FAR_NS), 0);
    cr_assert(readable(p, 0));
    cr_assert_eq(eddy_pollfd_arm(p, 7, FAR_NS), 0);
    cr_assert_not(readable(p, 20));
    /* A waker that died between its store and its wake: the next arm sees it all the same. */
    set_word(word, 8);
    cr_assert_eq(eddy_pollfd_arm(p, 7, FAR_NS), 0);
    cr_assert(readable(p, 0));
    eddy_pollfd_close(p);
}

BOTH(another_process_wakes_it) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    for (uint32_t i = 0; i < 50; i++) {
        cr_assert_eq(eddy_pollfd_arm(p, i, FAR_NS), 0);
        cr_assert_not(readable(p, 0));
        pid_t pid = fork_waker(word, i + 1, i % 2 ? 0 : 2000000);
        cr_assert(readable(p, PATIENCE_MS));
        reap(pid);
    }
    eddy_pollfd_close(p);
}

BOTH(a_mapping_for_reading_is_enough) {
    int fd = memfd_create("eddy-test-pollfd", MFD_CLOEXEC);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t *view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    cr_assert_neq((void *)word, MAP_FAILED);
    cr_assert_neq((void *)view, MAP_FAILED);
    struct eddy_pollfd *p = open_one(view, force_thread);
    cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
    pid_t pid = fork_waker(word, 1, 0);
    cr_assert(readable(p, PATIENCE_MS));
    reap(pid);
    eddy_pollfd_close(p);
    close(fd);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Arms for a word that nobody changes: readable when the recheck is due, and not before. */
static void see_recheck(struct eddy_pollfd *p, uint32_t expected) {
    int64_t before = now_ns();
    cr_assert_eq(eddy_pollfd_arm(p, expected, SOON_NS), 0);
    cr_assert(readable(p, PATIENCE_MS));
    cr_assert_geq(now_ns() - before, SOON_NS);
}

BOTH(the_recheck_fires_without_a_wake) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    for (int i = 0; i < 5; i++) {
        see_recheck(p, 0);
    }
    /* One that is to come sooner than that of the wait before replaces it. */
    cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
    cr_assert_not(readable(p, 20));
    see_recheck(p, 0);
    /* The bounds of the argument. */
    cr_assert_eq(eddy_pollfd_arm(p, 0, INT64_MAX), 0);
    cr_assert_not(readable(p, 20));
    cr_assert_eq(eddy_pollfd_arm(p, 0, -1), 0);
    cr_assert(readable(p, PATIENCE_MS));
    eddy_pollfd_close(p);
}

static void *kick_main(void *arg) {
    eddy_pollfd_kick(arg);
    return NULL;
}

BOTH(a_kick_from_another_thread_makes_it_readable) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    for (int i = 0; i < 20; i++) {
        pthread_t thread;
        cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
        cr_assert_not(readable(p, 0));
        cr_assert_eq(pthread_create(&thread, NULL, kick_main, p), 0);
        cr_assert(readable(p, PATIENCE_MS));
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert(readable(p, 0));
    }
    cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
    cr_assert_not(readable(p, 0));
    /* Kicked before it was ever armed. */
    eddy_pollfd_close(p);
    p = open_one(word, force_thread);
    eddy_pollfd_kick(p);
    cr_assert(readable(p, 0));
    eddy_pollfd_close(p);
}

BOTH(arming_ten_thousand_times_leaves_one_wait) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    for (uint32_t i = 0; i < 10000; i++) {
        set_word(word, i / 3); /* each value thrice, changed without a wake */
        cr_assert_eq(eddy_pollfd_arm(p, i / 3, FAR_NS), 0);
    }
    cr_assert_not(readable(p, 20));
    set_word(word, 1);
    long woken = wake_word(word);
    cr_assert_leq(woken, 1);
    cr_assert(woken == 1 || force_thread); /* a thread may not have got to its sleep yet */
    cr_assert(readable(p, PATIENCE_MS));
    for (int64_t i = 1; i < 2000; i++) { /* each recheck sooner than the one before */
        cr_assert_eq(eddy_pollfd_arm(p, 1, FAR_NS - i * 1000000), 0);
    }
    cr_assert_not(readable(p, 20));
    set_word(word, 2);
    cr_assert_leq(wake_word(word), 1);
    cr_assert(readable(p, PATIENCE_MS));
    set_word(word, 1);
    for (uint32_t i = 0; i < 10000; i++) { /* each fires at once */
        cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
        cr_assert(readable(p, 0));
    }
    cr_assert_eq(eddy_pollfd_arm(p, 1, FAR_NS), 0);
    cr_assert_not(readable(p, 20));
    for (uint32_t i = 0; i < 1000; i++) { /* woken each time, as a busy store does */
        cr_assert_eq(eddy_pollfd_arm(p, i + 1, FAR_NS), 0);
        set_word(word, i + 2);
        wake_word(word);
        cr_assert(readable(p, PATIENCE_MS));
    }
    eddy_pollfd_close(p);
}

BOTH(no_change_is_missed_while_another_process_hammers) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(1);
        }
        for (uint32_t i = 1; i <= HAMMER_CHANGES; i++) {
            set_word(word, i);
            wake_word(word);
        }
        _exit(0);
    }
    cr_assert_gt(pid, 0);
    uint32_t seen = 0;
    while (seen < HAMMER_CHANGES) {
        cr_assert_eq(eddy_pollfd_arm(p, seen, FAR_NS), 0);
        cr_assert(readable(p, PATIENCE_MS), "stuck at %u", seen);
        seen = atomic_load((_Atomic uint32_t *)word);
    }
    reap(pid);
    eddy_pollfd_close(p);
}

BOTH(closing_while_armed_ends_the_wait) {
    uint32_t *word = make_word(0);
    for (int i = 0; i < 20; i++) {
        struct eddy_pollfd *p = open_one(word, force_thread);
        cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
        if (i % 2) {
            cr_assert_not(readable(p, 2));
        }
        eddy_pollfd_close(p);
    }
    /* The kernel takes an io_uring apart behind our back. */
    long woken = 1;
    for (int i = 0; i < 2000 && woken != 0; i++) {
        struct timespec pause = {.tv_nsec = 5000000};
        nanosleep(&pause, NULL);
        woken = wake_word(word);
    }
    cr_assert_eq(woken, 0);
}

BOTH(epoll_sees_a_level_and_no_interruption) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    cr_assert_geq(ep, 0);
    struct epoll_event event = {.events = EPOLLIN};
    cr_assert_eq(epoll_ctl(ep, EPOLL_CTL_ADD, eddy_pollfd_fd(p), &event), 0);
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(eddy_pollfd_arm(p, i, FAR_NS), 0);
        cr_assert_eq(epoll_wait(ep, &event, 1, 0), 0);
        pid_t pid = fork_waker(word, i + 1, 2000000);
        /* Not EINTR: the thread that waits is the one that armed. */
        cr_assert_eq(epoll_wait(ep, &event, 1, PATIENCE_MS), 1);
        cr_assert_eq(epoll_wait(ep, &event, 1, 0), 1);
        cr_assert_eq(epoll_wait(ep, &event, 1, 0), 1);
        reap(pid);
    }
    cr_assert_eq(eddy_pollfd_arm(p, 20, SOON_NS), 0);
    cr_assert_eq(epoll_wait(ep, &event, 1, PATIENCE_MS), 1);
    cr_assert_eq(eddy_pollfd_arm(p, 20, FAR_NS), 0);
    cr_assert_eq(epoll_wait(ep, &event, 1, 20), 0);
    close(ep);
    eddy_pollfd_close(p);
}

struct armer {
    struct eddy_pollfd *p;
    uint32_t expected;
    int result;
};

static void *arm_main(void *arg) {
    struct armer *a = arg;
    a->result = eddy_pollfd_arm(a->p, a->expected, FAR_NS);
    return NULL;
}

BOTH(any_thread_may_arm_and_end) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    int fd = eddy_pollfd_fd(p);
    for (uint32_t i = 0; i < 10; i++) {
        pthread_t thread;
        struct armer a = {.p = p, .expected = i, .result = -1};
        cr_assert_eq(pthread_create(&thread, NULL, arm_main, &a), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(a.result, 0);
        /* It may be readable, since the thread is gone; what must hold is that it serves again. */
        arm_until_quiet(p, i);
        cr_assert_eq(eddy_pollfd_fd(p), fd);
        pid_t pid = fork_waker(word, i + 1, 1000000);
        cr_assert(readable(p, PATIENCE_MS));
        reap(pid);
    }
    eddy_pollfd_close(p);
}

BOTH(the_end_of_the_thread_that_armed_loses_no_wake) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    pthread_t thread;
    struct armer a = {.p = p, .expected = 0, .result = -1};
    cr_assert_eq(pthread_create(&thread, NULL, arm_main, &a), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(a.result, 0);
    set_word(word, 1);
    wake_word(word);
    cr_assert(readable(p, PATIENCE_MS));
    eddy_pollfd_close(p);
}

/* What a child may do with its parent's, and with its own. Gives 0, or the number of the check that
 * failed. */
static int use_after_fork(struct eddy_pollfd *inherited, uint32_t *word, int force_thread) {
    if (eddy_pollfd_arm(inherited, 1, FAR_NS) != -EPERM) {
        return 1;
    }
    eddy_pollfd_kick(inherited);
    eddy_pollfd_close(inherited);
    struct eddy_pollfd *own;
    if (eddy_pollfd_open(&own, word, force_thread) != 0) {
        return 2;
    }
    struct pollfd f = {.fd = eddy_pollfd_fd(own), .events = POLLIN};
    if (eddy_pollfd_arm(own, 0, FAR_NS) != 0 || poll(&f, 1, 0) != 0) {
        return 3;
    }
    if (eddy_pollfd_arm(own, 0, SOON_NS) != 0 || poll(&f, 1, PATIENCE_MS) != 1) {
        return 4;
    }
    eddy_pollfd_close(own);
    return 0;
}

BOTH(a_forked_child_leaves_its_parent_alone) {
#if defined(__SANITIZE_ADDRESS__)
    /* Its allocator does not survive a fork beside a thread that allocates, as the watcher may. */
    (void)force_thread;
    return;
#endif
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(getppid() == parent ? use_after_fork(p, word, force_thread) : 5);
    }
    cr_assert_gt(pid, 0);
    reap(pid);
    /* Closing a watcher wakes the word, for nothing: that may be seen, and nothing else. */
    arm_until_quiet(p, 0);
    set_word(word, 1);
    wake_word(word);
    cr_assert(readable(p, PATIENCE_MS));
    eddy_pollfd_close(p);
}

static int64_t cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    int64_t us = (int64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000;
    return (us + u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

BOTH(waiting_takes_no_processor_time) {
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), 0);
    int64_t before = cpu_ns();
    cr_assert_not(readable(p, 500));
    cr_assert_lt(cpu_ns() - before, INT64_C(50) * 1000000);
    eddy_pollfd_close(p);
}

static void count_signal(int number) {
    (void)number;
}

BOTH(signals_disturb_nothing) {
    struct sigaction action = {.sa_handler = count_signal};
    sigaction(SIGUSR1, &action, NULL);
    uint32_t *word = make_word(0);
    struct eddy_pollfd *p = open_one(word, force_thread);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(eddy_pollfd_arm(p, i, FAR_NS), 0);
        kill(getpid(), SIGUSR1);
        cr_assert_not(readable(p, 0));
        set_word(word, i + 1);
        wake_word(word);
        cr_assert(readable(p, PATIENCE_MS));
    }
    eddy_pollfd_close(p);
}

BOTH(a_word_that_is_not_mapped_is_an_error) {
    if (force_thread) {
        return; /* the thread's owner reads the word itself */
    }
    uint32_t *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq((void *)word, MAP_FAILED);
    struct eddy_pollfd *p = open_one(word, force_thread);
    munmap(word, 4096);
    cr_assert_eq(eddy_pollfd_arm(p, 0, FAR_NS), -EFAULT);
    eddy_pollfd_close(p);
}
