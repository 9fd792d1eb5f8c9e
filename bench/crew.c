#include "crew.h"

#include "measure.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- in the processes: on a machine with fewer CPUs than processes, who waits must let others
 * run, or the barrier costs a time slice. */

void crew_meet(struct crew_seat *seat) {
    struct crew_shared *shared = seat->shared;
    uint32_t round = atomic_load_explicit(&shared->round, memory_order_relaxed);
    /* acq_rel: what each did before it arrived is seen by the last one, which opens the round. */
    uint32_t before = atomic_fetch_add_explicit(&shared->arrived, 1, memory_order_acq_rel);
    if (before + 1 == seat->count) {
        atomic_store_explicit(&shared->arrived, 0, memory_order_relaxed);
        /* release: pairs with the acquire below; who leaves sees arrived at 0. */
        atomic_store_explicit(&shared->round, round + 1, memory_order_release);
        return;
    }
    for (uint32_t spins = 1; atomic_load_explicit(&shared->round, memory_order_acquire) == round;
         spins++) {
        cpu_relax();
        if (spins % 512 == 0) {
            sched_yield();
        }
    }
}

void crew_lap_begin(struct crew_seat *seat) {
    struct crew_result *result = seat->result;
    seat->faults_before = measure_minor_faults();
    result->laps[result->lap_count].start_ns = now_ns();
}

void crew_lap_end(struct crew_seat *seat, uint64_t events) {
    struct crew_result *result = seat->result;
    struct crew_lap *lap = &result->laps[result->lap_count];
    lap->end_ns = now_ns();
    lap->minor_faults = measure_minor_faults() - seat->faults_before;
    lap->events = events;
    if (result->lap_count + 1 < CREW_LAPS_MAX) {
        result->lap_count++;
    }
}

int crew_fail(struct crew_seat *seat, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(seat->result->error, sizeof(seat->result->error), format, args);
    va_end(args);
    return -1;
}

struct child_plan {
    const struct bench_options *options;
    crew_job_fn *fn;
    void *arg;
    const sigset_t *mask;
    pid_t parent;
    bool pin;
};

_Noreturn static void be_child(struct crew_seat *seat, const struct child_plan *plan) {
    const struct bench_options *options = plan->options;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->parent) {
        _exit(1); /* the parent died before the line above */
    }
    sigprocmask(SIG_SETMASK, plan->mask, NULL);
    alarm((unsigned)options->timeout_s + 5);
    if (plan->pin && options->cpu_count > 0) {
        int cpu = options->cpus[seat->index % (uint32_t)options->cpu_count];
        if (measure_pin(cpu) != 0) {
            crew_fail(seat, "cannot run on CPU %d: %s; give --pin=LIST with CPUs that may be used",
                      cpu, strerror(errno));
            _exit(1);
        }
    }
    _exit(plan->fn(seat, plan->arg) == 0 ? 0 : 1);
}

/* ---- in the parent */

static void end_all(const pid_t *pids, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (pids[i] > 0) {
            kill(pids[i], SIGKILL);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        while (pids[i] > 0 && waitpid(pids[i], NULL, 0) < 0 && errno == EINTR) {
        }
    }
}

/* One child has ended: 0 if it did well, else -1 with the reason said. */
static int judge_child(const struct crew *crew, uint32_t index, int status) {
    const char *error = crew->shared->results[index].error;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    if (error[0]) {
        return bench_error("process %u of %u: %s", index, crew->count, error);
    }
    if (WIFSIGNALED(status)) {
        return bench_error("process %u of %u was ended by signal %d (%s)", index, crew->count,
                           WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return bench_error("process %u of %u ended with code %d", index, crew->count,
                       WEXITSTATUS(status));
}

/* Takes the children that have ended out of pids. Returns how many there were, or -1. */
static int reap(const struct crew *crew, pid_t *pids) {
    int ended = 0;
    for (uint32_t i = 0; i < crew->count; i++) {
        int status = 0;
        if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i]) {
            continue;
        }
        pids[i] = 0;
        ended++;
        if (judge_child(crew, i, status) != 0) {
            return -1;
        }
    }
    return ended;
}

static int wait_for_all(const struct crew *crew, pid_t *pids, uint64_t timeout_s) {
    uint64_t deadline = now_ns() + timeout_s * UINT64_C(1000000000);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    uint32_t left = crew->count;
    while (left > 0) {
        int ended = reap(crew, pids);
        if (ended < 0) {
            return -1;
        }
        left -= (uint32_t)ended;
        if (left == 0) {
            return 0;
        }
        if (now_ns() >= deadline) {
            return bench_error("not done after %llu seconds, so it was ended: give less --events "
                               "or more --timeout",
                               (unsigned long long)timeout_s);
        }
        struct timespec pause = {.tv_sec = 0, .tv_nsec = 200000000};
        sigtimedwait(&child, NULL, &pause);
    }
    return 0;
}

int crew_run(struct crew *crew, const struct bench_options *options, uint32_t count, bool pin,
             crew_job_fn *fn, void *arg) {
    *crew = (struct crew){.count = count, .shared = measure_share(sizeof(*crew->shared))};
    if (!crew->shared) {
        return bench_error("no memory for the results of %u processes", count);
    }
    sigset_t child;
    sigset_t mask;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &mask);
    struct child_plan plan = {
        .options = options, .fn = fn, .arg = arg, .mask = &mask, .parent = getpid(), .pin = pin};
    pid_t pids[OPTIONS_PROCESSES_MAX] = {0};
    int rc = 0;
    fflush(NULL);
    for (uint32_t i = 0; i < count && rc == 0; i++) {
        struct crew_seat seat = {.shared = crew->shared,
                                 .result = &crew->shared->results[i],
                                 .index = i,
                                 .count = count};
        pids[i] = fork();
        if (pids[i] == 0) {
            be_child(&seat, &plan);
        }
        if (pids[i] < 0) {
            rc = bench_error("fork: %s", strerror(errno));
        }
    }
    rc = rc == 0 ? wait_for_all(crew, pids, options->timeout_s) : rc;
    end_all(pids, count);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return rc;
}

void crew_free(struct crew *crew) {
    if (crew->shared) {
        munmap(crew->shared, sizeof(*crew->shared));
        crew->shared = NULL;
    }
}

struct crew_lap crew_lap_of(const struct crew *crew, uint32_t first, uint32_t count, uint32_t lap) {
    struct crew_lap sum = {.start_ns = UINT64_MAX};
    for (uint32_t i = first; i < first + count; i++) {
        const struct crew_lap *one = &crew->shared->results[i].laps[lap];
        sum.start_ns = one->start_ns < sum.start_ns ? one->start_ns : sum.start_ns;
        sum.end_ns = one->end_ns > sum.end_ns ? one->end_ns : sum.end_ns;
        sum.events += one->events;
        sum.minor_faults += one->minor_faults;
    }
    return sum;
}

double crew_lap_cost(const struct crew_lap *lap) {
    return lap->events == 0 ? 0.0 : (double)(lap->end_ns - lap->start_ns) / (double)lap->events;
}

void crew_merge(const struct crew *crew, uint32_t first, uint32_t count, struct histogram *into) {
    for (uint32_t i = first; i < first + count; i++) {
        histogram_merge(into, &crew->shared->results[i].histogram);
    }
}
