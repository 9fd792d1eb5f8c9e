/* The descriptor is an eventfd; what writes to it when the word changes is one of two:
 *
 * ring     An io_uring with the eventfd registered, and in it one *unit*: a futex wait with a
 *          linked time-out. Why the ring's own descriptor is not what is polled: a completion must
 *          be finished by the thread that submitted the wait, and a plain ring gets that done by
 *          interrupting it, so that its epoll_wait() ends with EINTR at every event, as if by a
 *          signal. With IORING_SETUP_DEFER_TASKRUN the kernel leaves the thread alone and keeps the
 *          completion until somebody enters the ring, but then wakes no poller of the ring; the
 *          eventfd it does signal. Such a ring belongs to the first thread that arms. If another
 *          one comes later, a plain ring replaces it for good, and EINTR is the price.
 * watcher  Where there is no futex wait in io_uring (before Linux 6.7, or forbidden, as containers
 *          do): a thread that sleeps in futex(2) on the word, and at rest on a condition variable.
 *
 * I1  At most one unit, or one sleep, waits for the word; a cancelled one may linger until its
 *     completion is collected, which the next arm does. Completions bear their unit's number.
 * I2  Arm empties the eventfd first and looks for completions after that. A completion between the
 *     two is seen by the look, which makes the eventfd readable again; one after it signals by
 *     itself. So none is lost. A late signal of an old one only makes it readable for no reason.
 * I3  IORING_SQ_TASKRUN says only that entering the ring may be of use: the kernel may set it late,
 *     with nothing behind it. What fired is decided by the completion queue alone.
 * I4  Only the process that opened touches ring, thread and eventfd, but for closing them.
 *
 * Nothing here is in shared memory; a death at any step leaves nothing behind. */
#include "pollfd.h"

#include "atomics.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<linux/io_uring.h>)
#define HAVE_RING 1
#include <linux/io_uring.h>
#endif
#endif
#ifndef HAVE_RING
#define HAVE_RING 0
#endif

#define RECHECK_MAX_NS (INT64_C(86400) * 1000000000)
#define WATCHER_STACK_BYTES (64u << 10)

#if HAVE_RING
/* Of kernels newer than the headers may be. */
#define OP_FUTEX_WAIT 51
#ifndef FUTEX2_SIZE_U32
#define FUTEX2_SIZE_U32 0x02
#endif
#ifndef IORING_SETUP_R_DISABLED
#define IORING_SETUP_R_DISABLED (1U << 6)
#endif
#ifndef IORING_SETUP_TASKRUN_FLAG
#define IORING_SETUP_TASKRUN_FLAG (1U << 9)
#endif
#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif
#ifndef IORING_SQ_CQ_OVERFLOW
#define IORING_SQ_CQ_OVERFLOW (1U << 1)
#endif
#ifndef IORING_SQ_TASKRUN
#define IORING_SQ_TASKRUN (1U << 2)
#endif

/* A ring that no thread interrupts: see the top. It is enabled, and thereby bound to a thread, by
 * the first arm. */
#define RING_QUIET                                                                                 \
    (IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |           \
     IORING_SETUP_TASKRUN_FLAG)
#define RING_ANY_THREAD 0u

/* An arm submits at most a cancellation and a unit of two: three completions, and two of the unit
 * before, which are fewer than the eight that the completion queue of four entries has. */
#define RING_ENTRIES 4u
#define RING_PROBE_OPS 64u
#define SQE_ADDR3_BYTE 48 /* of the field addr3, which older headers do not name */

enum cqe_kind { CQE_WAIT, CQE_TIMEOUT, CQE_CANCEL };
#endif

struct ring {
    int fd; /* -1: there is none */
    uint32_t flags;
    bool enabled;
    void *map;
    size_t map_len;
#if HAVE_RING
    struct io_uring_sqe *sqes;
    size_t sqes_len;
    uint32_t *sq_array;
    const struct io_uring_cqe *cqes;
    _Atomic uint32_t *sq_tail;
    _Atomic uint32_t *sq_flags;
    _Atomic uint32_t *cq_head;
    _Atomic uint32_t *cq_tail;
    uint32_t sq_mask;
    uint32_t cq_mask;
    uint32_t tail; /* ours of the submission queue, of which only we write the shared one */
    uint32_t head; /* ours of the completion queue, the same */
#endif
    /* The unit. */
    bool live; /* it was submitted and its wait has not completed */
    uint64_t unit_seq;
    int64_t recheck_ns;
    int error; /* what the wait failed with, if the kernel did not like it */
};

/* All under the lock, but for the thread's name. */
struct watcher {
    bool running;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool stop;
    bool armed;
    uint32_t expected;
    int64_t deadline_ns;
    int64_t asleep_until_ns; /* when its sleep on the word ends at the latest; 0: it is awake */
};

struct eddy_pollfd {
    _Atomic uint32_t *word;
    int event_fd;
    pid_t pid;      /* who opened, if the kernel cannot wipe the mark */
    uint32_t *mark; /* 1 in who opened, 0 in a forked child; NULL: compare pid */
    size_t mark_len;
    struct ring ring;
    struct watcher watcher;
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t word_now(const struct eddy_pollfd *p) {
    /* [pollfd.A1] acquire: alone: the value is only compared with what the caller saw; what it
     * announces, the caller reads with its own orders after it was polled. */
    return eddy_ld_acq(p->word);
}

static void event_set(struct eddy_pollfd *p) {
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(p->event_fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
    /* EAGAIN: the counter is full, so it is readable. */
}

static void event_clear(struct eddy_pollfd *p) {
    uint64_t count;
    ssize_t n;
    do {
        n = read(p->event_fd, &count, sizeof count);
    } while (n < 0 && errno == EINTR);
    /* EAGAIN: it was clear. */
}

/* A page that the kernel empties in a child tells the two apart without a system call, and is not
 * mistaken when a pid comes round again. */
static void mark_owner(struct eddy_pollfd *p) {
    p->pid = getpid();
    p->mark_len = (size_t)sysconf(_SC_PAGESIZE);
    void *page =
        mmap(NULL, p->mark_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return;
    }
    if (madvise(page, p->mark_len, MADV_WIPEONFORK) != 0) {
        munmap(page, p->mark_len);
        return;
    }
    p->mark = page;
    *p->mark = 1;
}

static bool is_owner(const struct eddy_pollfd *p) {
    return p->mark ? *p->mark == 1 : p->pid == getpid();
}

#if HAVE_RING
static int ring_register(const struct ring *r, unsigned what, void *arg, unsigned count) {
    return syscall(SYS_io_uring_register, r->fd, what, arg, count) < 0 ? -errno : 0;
}

/* Submits, and lets the kernel finish what is pending; waits for nothing. */
static int ring_enter(const struct ring *r, unsigned submit_count) {
    long n;
    do {
        n = syscall(SYS_io_uring_enter, r->fd, submit_count, 0, IORING_ENTER_GETEVENTS, NULL, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return -errno;
    }
    return (unsigned)n == submit_count ? 0 : -EAGAIN;
}

static void ring_close(struct ring *r) {
    if (r->sqes) {
        munmap(r->sqes, r->sqes_len);
    }
    if (r->map) {
        munmap(r->map, r->map_len);
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    uint64_t seq = r->unit_seq;
    memset(r, 0, sizeof *r);
    r->fd = -1;
    r->unit_seq = seq;
}

static int ring_map(struct ring *r, const struct io_uring_params *params) {
    size_t sq_len = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t cq_len = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    size_t map_len = sq_len > cq_len ? sq_len : cq_len;
    size_t sqes_len = params->sq_entries * sizeof(struct io_uring_sqe);
    int prot = PROT_READ | PROT_WRITE;
    int how = MAP_SHARED | MAP_POPULATE;
    uint8_t *map = mmap(NULL, map_len, prot, how, r->fd, IORING_OFF_SQ_RING);
    if (map == MAP_FAILED) {
        return -errno;
    }
    r->map = map;
    r->map_len = map_len;
    void *sqes = mmap(NULL, sqes_len, prot, how, r->fd, IORING_OFF_SQES);
    if (sqes == MAP_FAILED) {
        return -errno;
    }
    r->sqes = sqes;
    r->sqes_len = sqes_len;
    r->sq_array = (uint32_t *)(void *)(map + params->sq_off.array);
    r->cqes = (const struct io_uring_cqe *)(void *)(map + params->cq_off.cqes);
    r->sq_tail = (_Atomic uint32_t *)(void *)(map + params->sq_off.tail);
    r->sq_flags = (_Atomic uint32_t *)(void *)(map + params->sq_off.flags);
    r->cq_head = (_Atomic uint32_t *)(void *)(map + params->cq_off.head);
    r->cq_tail = (_Atomic uint32_t *)(void *)(map + params->cq_off.tail);
    r->sq_mask = params->sq_entries - 1;
    r->cq_mask = params->cq_entries - 1;
    return 0;
}

/* Does this kernel wait for futexes in a ring? */
static int ring_probe(const struct ring *r) {
    union {
        struct io_uring_probe probe;
        uint8_t
            room[sizeof(struct io_uring_probe) + RING_PROBE_OPS * sizeof(struct io_uring_probe_op)];
    } u;
    memset(&u, 0, sizeof u);
    int rc = ring_register(r, IORING_REGISTER_PROBE, &u.probe, RING_PROBE_OPS);
    if (rc != 0) {
        return rc;
    }
    struct io_uring_probe_op op;
    memcpy(&op, u.room + sizeof u.probe + OP_FUTEX_WAIT * sizeof op, sizeof op);
    bool has = u.probe.last_op >= OP_FUTEX_WAIT && (op.flags & IO_URING_OP_SUPPORTED) != 0;
    return has ? 0 : -EOPNOTSUPP;
}

static int ring_open(struct eddy_pollfd *p, uint32_t flags) {
    struct ring *r = &p->ring;
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    params.flags = flags;
    long fd = syscall(SYS_io_uring_setup, RING_ENTRIES, &params); /* close-on-exec by itself */
    if (fd < 0) {
        return -errno;
    }
    r->fd = (int)fd;
    r->flags = flags;
    r->enabled = (flags & IORING_SETUP_R_DISABLED) == 0;
    int rc = (params.features & IORING_FEAT_SINGLE_MMAP) ? ring_map(r, &params) : -EOPNOTSUPP;
    if (rc == 0) {
        rc = ring_probe(r);
    }
    if (rc == 0) {
        rc = ring_register(r, IORING_REGISTER_EVENTFD, &p->event_fd, 1);
    }
    if (rc != 0) {
        ring_close(r);
    }
    return rc;
}

static void ring_take(struct ring *r, const struct io_uring_cqe *cqe) {
    if (!r->live || cqe->user_data >> 2 != r->unit_seq) {
        return; /* of a unit that is no more */
    }
    unsigned kind = cqe->user_data & 3;
    if (kind == CQE_TIMEOUT && cqe->res != -ECANCELED) {
        /* It fired (kernels differ in the result: -ETIME, or how many waits it cancelled). The
         * wait is ending, and will say so itself a little later. */
        r->live = false;
    }
    if (kind == CQE_WAIT) {
        r->live = false;
        /* Woken; not as expected; timed out, or its thread ended. All else is an error. */
        bool good = cqe->res >= 0 || cqe->res == -EAGAIN || cqe->res == -ECANCELED ||
                    cqe->res == -EINTR || cqe->res == -ETIMEDOUT;
        r->error = good ? 0 : cqe->res;
    }
}

/* Collects what has completed; enters the kernel only if it holds something back. */
static int ring_collect(struct ring *r) {
    /* [pollfd.F1] acquire: alone: the kernel sets the flag before it signals the eventfd */
    uint32_t flags = eddy_ld_acq(r->sq_flags);
    if (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) {
        int rc = ring_enter(r, 0);
        if (rc != 0) {
            return rc;
        }
    }
    /* [pollfd.C1] acquire: alone: the kernel's release of the tail, after it wrote the entries */
    uint32_t tail = eddy_ld_acq(r->cq_tail);
    while (r->head != tail) {
        ring_take(r, &r->cqes[r->head & r->cq_mask]);
        r->head++;
    }
    /* [pollfd.C2] release: alone: the kernel's acquire of the head; it may use the entries anew */
    eddy_st_rel(r->cq_head, r->head);
    return 0;
}

static struct io_uring_sqe *ring_next(struct ring *r, uint8_t opcode, enum cqe_kind kind) {
    uint32_t at = r->tail & r->sq_mask;
    struct io_uring_sqe *sqe = &r->sqes[at];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = opcode;
    sqe->fd = -1;
    sqe->user_data = r->unit_seq << 2 | (uint64_t)kind;
    r->sq_array[at] = at;
    r->tail++;
    return sqe;
}

/* Puts a new unit in place of the one before. */
static int ring_submit(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns) {
    struct ring *r = &p->ring;
    uint32_t before = r->tail;
    if (r->live) {
        struct io_uring_sqe *cancel = ring_next(r, IORING_OP_ASYNC_CANCEL, CQE_CANCEL);
        cancel->addr = r->unit_seq << 2 | (uint64_t)CQE_WAIT;
    }
    r->unit_seq++;
    struct io_uring_sqe *wait = ring_next(r, OP_FUTEX_WAIT, CQE_WAIT);
    uint64_t mask = FUTEX_BITSET_MATCH_ANY;
    wait->fd = FUTEX2_SIZE_U32; /* the field holds the flags of the futex; not private */
    wait->addr = (uint64_t)(uintptr_t)p->word;
    wait->addr2 = expected;
    memcpy((uint8_t *)wait + SQE_ADDR3_BYTE, &mask, sizeof mask);
    wait->flags = IOSQE_IO_LINK;

    struct __kernel_timespec span = {.tv_sec = recheck_ns / 1000000000,
                                     .tv_nsec = recheck_ns % 1000000000};
    struct io_uring_sqe *timeout = ring_next(r, IORING_OP_LINK_TIMEOUT, CQE_TIMEOUT);
    timeout->addr = (uint64_t)(uintptr_t)&span; /* copied when it is submitted */
    timeout->len = 1;

    r->live = true;
    r->error = 0;
    r->recheck_ns = recheck_ns;
    /* [pollfd.S1] release: alone: the kernel's acquire of the tail, before it reads the entries */
    eddy_st_rel(r->sq_tail, r->tail);
    return ring_enter(r, r->tail - before);
}

static int ring_try(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns) {
    struct ring *r = &p->ring;
    int rc = r->enabled ? 0 : ring_register(r, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (rc == 0) {
        r->enabled = true;
        rc = ring_collect(r);
    }
    /* A unit of the past serves, if its time-out is no longer than this one's, also if it began
     * with another value: the kernel compares only when the wait begins, and any wake ends it. */
    bool serves = r->live && r->recheck_ns <= recheck_ns;
    if (rc == 0 && !serves) {
        rc = ring_submit(p, expected, recheck_ns);
    }
    if (rc != 0) {
        return rc;
    }
    event_clear(p);
    rc = ring_collect(r); /* I2 */
    if (rc != 0 || r->error != 0) {
        return rc != 0 ? rc : r->error;
    }
    if (!r->live || word_now(p) != expected) { /* a change after this wakes the unit */
        event_set(p);
    }
    return 0;
}

static int ring_arm(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns) {
    struct ring *r = &p->ring;
    int rc = r->fd >= 0 ? 0 : ring_open(p, RING_QUIET);
    if (rc == 0) {
        rc = ring_try(p, expected, recheck_ns);
    }
    if (rc == -EEXIST && r->flags != RING_ANY_THREAD) {
        ring_close(r); /* it belongs to another thread */
        rc = ring_open(p, RING_ANY_THREAD);
        if (rc == 0) {
            rc = ring_try(p, expected, recheck_ns);
        }
    }
    if (rc != 0) {
        ring_close(r); /* whatever it holds; the next arm makes a new one */
    }
    return rc;
}
#else
static int ring_open(struct eddy_pollfd *p, uint32_t flags) {
    (void)p;
    (void)flags;
    return -ENOSYS;
}

static int ring_arm(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns) {
    (void)p;
    (void)expected;
    (void)recheck_ns;
    return -ENOSYS;
}

static void ring_close(struct ring *r) {
    r->fd = -1;
}
#define RING_QUIET 0u
#endif

/* Sleeps on the word while it is `expected`, until the deadline (of CLOCK_MONOTONIC). */
static void watcher_sleep(struct eddy_pollfd *p, uint32_t expected, int64_t deadline_ns) {
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
    syscall(SYS_futex, p->word, FUTEX_WAIT_BITSET, expected, &until, NULL, FUTEX_BITSET_MATCH_ANY);
    /* Woken, timed out, another value, a stray EINTR: the caller looks at the word again. */
}

static void *watcher_main(void *arg) {
    struct eddy_pollfd *p = arg;
    struct watcher *w = &p->watcher;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        if (!w->armed) {
            pthread_cond_wait(&w->cond, &w->lock);
            continue;
        }
        if (word_now(p) != w->expected || now_ns() >= w->deadline_ns) {
            w->armed = false;
            event_set(p);
            continue;
        }
        uint32_t expected = w->expected;
        int64_t deadline_ns = w->deadline_ns;
        w->asleep_until_ns = deadline_ns;
        pthread_mutex_unlock(&w->lock);
        watcher_sleep(p, expected, deadline_ns);
        pthread_mutex_lock(&w->lock);
        w->asleep_until_ns = 0;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Gets the thread out of a sleep that is too long; unlocks meanwhile. The thread may be just before
 * its sleep, where a wake goes by it: so wake until it has looked up. This also wakes others who
 * wait for the word, for nothing, which they bear; it is done when closing, and when an arm asks
 * for an earlier look than the one before, and at no other time. */
static void watcher_rouse_locked(struct eddy_pollfd *p) {
    struct watcher *w = &p->watcher;
    int64_t pause_ns = 1000;
    while (w->asleep_until_ns > (w->stop ? 0 : w->deadline_ns)) {
        pthread_mutex_unlock(&w->lock);
        syscall(SYS_futex, p->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
        struct timespec pause = {.tv_nsec = pause_ns};
        nanosleep(&pause, NULL);
        pause_ns = pause_ns < 1000000 ? pause_ns * 2 : pause_ns;
        pthread_mutex_lock(&w->lock);
    }
}

static int watcher_create_thread(struct eddy_pollfd *p) {
    struct watcher *w = &p->watcher;
    pthread_attr_t attr;
    int rc = pthread_attr_init(&attr);
    if (rc != 0) {
        return -rc;
    }
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the host's signals are none of its business */
    rc = pthread_attr_setstacksize(&attr, WATCHER_STACK_BYTES);
    if (rc == 0) {
        rc = pthread_create(&w->thread, &attr, watcher_main, p);
    }
    if (rc == EINVAL) { /* a program whose thread-local variables need more */
        rc = pthread_create(&w->thread, NULL, watcher_main, p);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}

static int watcher_start(struct eddy_pollfd *p) {
    struct watcher *w = &p->watcher;
    int rc = -pthread_mutex_init(&w->lock, NULL);
    if (rc != 0) {
        return rc;
    }
    rc = -pthread_cond_init(&w->cond, NULL);
    if (rc != 0) {
        goto out_lock;
    }
    rc = watcher_create_thread(p);
    if (rc != 0) {
        goto out_cond;
    }
    w->running = true;
    return 0;
out_cond:
    pthread_cond_destroy(&w->cond);
out_lock:
    pthread_mutex_destroy(&w->lock);
    return rc;
}

static int watcher_arm(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns) {
    struct watcher *w = &p->watcher;
    pthread_mutex_lock(&w->lock);
    event_clear(p);
    w->armed = word_now(p) == expected;
    w->expected = expected;
    w->deadline_ns = now_ns() + recheck_ns;
    if (!w->armed) {
        event_set(p);
    } else if (w->asleep_until_ns == 0) {
        pthread_cond_signal(&w->cond);
    } else if (w->deadline_ns < w->asleep_until_ns) {
        watcher_rouse_locked(p);
    }
    /* Else it sleeps on the word already. It does not matter for which value: a wake of the word
     * wakes it, and then it compares with the new one. */
    pthread_mutex_unlock(&w->lock);
    return 0;
}

static void watcher_stop(struct eddy_pollfd *p) {
    struct watcher *w = &p->watcher;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->cond);
    watcher_rouse_locked(p);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->lock);
}

int eddy_pollfd_open(struct eddy_pollfd **out, uint32_t *word, int force_thread) {
    *out = NULL;
    if (!word || (uintptr_t)word % sizeof *word != 0) {
        return -EINVAL;
    }
    struct eddy_pollfd *p = calloc(1, sizeof *p);
    if (!p) {
        return -ENOMEM;
    }
    p->word = (_Atomic uint32_t *)word;
    p->ring.fd = -1;
    int rc;
    p->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->event_fd < 0) {
        rc = -errno;
        goto out_free;
    }
    /* Whatever a ring fails for, the thread may still do: that includes being forbidden. */
    rc = force_thread ? -ENOSYS : ring_open(p, RING_QUIET);
    if (rc != 0) {
        rc = watcher_start(p);
    }
    if (rc != 0) {
        goto out_event;
    }
    mark_owner(p);
    *out = p;
    return 0;
out_event:
    close(p->event_fd);
out_free:
    free(p);
    return rc;
}

int eddy_pollfd_fd(struct eddy_pollfd *p) {
    return p->event_fd;
}

bool eddy_pollfd_has_thread(const struct eddy_pollfd *p) {
    return p->watcher.running;
}

int eddy_pollfd_arm(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns) {
    if (!is_owner(p)) {
        return -EPERM;
    }
    int64_t span_ns = recheck_ns < 1 ? 1 : recheck_ns;
    span_ns = span_ns > RECHECK_MAX_NS ? RECHECK_MAX_NS : span_ns;
    return p->watcher.running ? watcher_arm(p, expected, span_ns) : ring_arm(p, expected, span_ns);
}

void eddy_pollfd_kick(struct eddy_pollfd *p) {
    if (is_owner(p)) {
        event_set(p);
    }
}

void eddy_pollfd_close(struct eddy_pollfd *p) {
    if (!p) {
        return;
    }
    if (p->watcher.running && is_owner(p)) {
        watcher_stop(p); /* a forked child has no such thread, and perhaps a lock that nobody has */
    }
    ring_close(&p->ring);
    close(p->event_fd);
    if (p->mark) {
        munmap(p->mark, p->mark_len);
    }
    free(p);
}
