/* crew: a number of real processes that do a job together and hand in what they measured.
 *
 * crew_run() forks them. They meet at barriers in a page that they share, take laps, and end. None
 * outlives the parent (PR_SET_PDEATHSIG), none goes on when one has failed, and none runs longer
 * than the time-out: the parent ends them then, and each ends itself a little later. */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include "histogram.h"
#include "options.h"

#include <stdatomic.h>
#include <stdint.h>

#define CREW_LAPS_MAX 32

struct crew_lap {
    uint64_t start_ns;
    uint64_t end_ns;
    uint64_t events;
    uint64_t minor_faults;
};

/* What one process hands in. Written by it alone; read by the parent when it has ended. */
struct crew_result {
    struct crew_lap laps[CREW_LAPS_MAX];
    uint32_t lap_count;
    char error[512];
    struct histogram histogram; /* of ticks */
};

struct crew_shared {
    _Alignas(64) _Atomic uint32_t arrived;
    _Alignas(64) _Atomic uint32_t round;
    /* For what a job needs to share: each word on a line of its own. */
    struct {
        _Alignas(64) _Atomic uint64_t word;
    } lines[4];
    _Alignas(64) uint8_t bytes[1u << 20];
    struct crew_result results[OPTIONS_PROCESSES_MAX];
};

struct crew {
    struct crew_shared *shared;
    uint32_t count;
};

/* One process's place in the crew. */
struct crew_seat {
    struct crew_shared *shared;
    struct crew_result *result;
    uint32_t index;
    uint32_t count;
    uint64_t faults_before;
};

/* A job: returns 0, or crew_fail(). */
typedef int crew_job_fn(struct crew_seat *seat, void *arg);

/* Runs a job in `count` processes and waits for them. pin: each on a CPU of its own, in turn.
 * 0, or -1 when one of them failed or the time was up, which has been said on stderr. To be
 * followed by crew_free() in either case. */
int crew_run(struct crew *crew, const struct bench_options *options, uint32_t count, bool pin,
             crew_job_fn *fn, void *arg);
void crew_free(struct crew *crew);

/* Of the processes first ... first + count - 1: when the first began lap n until the last ended it,
 * with the sums of their events and faults. */
struct crew_lap crew_lap_of(const struct crew *crew, uint32_t first, uint32_t count, uint32_t lap);
/* Nanoseconds of the lap divided by its events. */
double crew_lap_cost(const struct crew_lap *lap);
/* Adds the histograms of some processes to one. */
void crew_merge(const struct crew *crew, uint32_t first, uint32_t count, struct histogram *into);

/* ---- in the processes */

/* Waits until all of the crew are here. */
void crew_meet(struct crew_seat *seat);
void crew_lap_begin(struct crew_seat *seat);
void crew_lap_end(struct crew_seat *seat, uint64_t events);
/* Leaves a message for the parent to print; returns -1. */
__attribute__((format(printf, 2, 3))) int crew_fail(struct crew_seat *seat, const char *format,
                                                    ...);

#endif
