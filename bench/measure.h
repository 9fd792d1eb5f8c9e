/* measure: time, memory and chance: the small things that every benchmark needs. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

/* Says "eddy-bench: ..." on stderr and returns -1. */
__attribute__((format(printf, 1, 2))) int bench_error(const char *format, ...);

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static inline int64_t realtime_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * INT64_C(1000000000) + (int64_t)t.tv_nsec;
}

/* The timer of single calls. Set by measure_init() before any fork, then constant. */
extern bool measure_timer_is_tsc;

/* Ticks of the timer, the same in all processes of the machine. The fence keeps what is being
 * measured from running past the reading. */
static inline uint64_t ticks(void) {
#if defined(__x86_64__)
    if (measure_timer_is_tsc) {
        _mm_lfence();
        uint64_t t = __rdtsc();
        _mm_lfence();
        return t;
    }
#endif
    return now_ns();
}

static inline void cpu_relax(void) {
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/* xorshift64*: chance that costs a nanosecond and is the same in every run. state is not 0. */
static inline uint64_t rng_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

/* A number from 0 to below - 1. */
static inline uint64_t rng_below(uint64_t *state, uint64_t below) {
    return (uint64_t)(((unsigned __int128)rng_next(state) * below) >> 64);
}

/* Chooses the timer and calibrates it, which takes 20 ms. */
void measure_init(void);
double measure_ticks_to_ns(uint64_t t);

/* The step of the timer, in nanoseconds, of which all its readings are multiples: on some machines
 * it is 10, and no single call can be timed more finely than that. */
double measure_timer_step(void);

/* Sorts the values and gives the median; 0 if there are none. */
double measure_median(double *values, size_t count);

/* Makes this process run on one CPU. 0, or -1. */
int measure_pin(int cpu);

/* Page faults of this process so far that needed no disk. */
uint64_t measure_minor_faults(void);

/* Bytes of memory that can still be had without swapping; 0 if the kernel does not say. */
uint64_t measure_memory_available(void);

/* Memory of zeros that forked children share; NULL if there is none. It is not touched yet. */
void *measure_share(size_t len);

/* Touches all pages of a mapping for writing, without changing what they hold, so that this
 * process has them all mapped. 0, or -1 when the memory cannot be had. */
int measure_populate(void *memory, size_t len);

#endif
