#include "measure.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE 4096u

bool measure_timer_is_tsc;
static double ns_per_tick = 1.0;

int bench_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("eddy-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return -1;
}

#if defined(__x86_64__)
/* The time stamp counter is a clock only if it runs at one speed, also while the CPU sleeps, and
 * is the same on all CPUs: the kernel says so by its flags and by using it itself. */
static bool tsc_is_a_clock(void) {
    char line[8192];
    bool flags = false;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !flags && fgets(line, sizeof(line), f)) {
        flags = strncmp(line, "flags", 5) == 0 && strstr(line, " constant_tsc") &&
                strstr(line, " nonstop_tsc");
    }
    if (f) {
        fclose(f);
    }
    f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    bool used = f && fgets(line, sizeof(line), f) &&
                (strncmp(line, "tsc", 3) == 0 || strncmp(line, "kvm-clock", 9) == 0);
    if (f) {
        fclose(f);
    }
    return flags && used;
}
#endif

void measure_init(void) {
#if defined(__x86_64__)
    measure_timer_is_tsc = tsc_is_a_clock();
    if (!measure_timer_is_tsc) {
        return;
    }
    uint64_t ns = now_ns();
    uint64_t from = ticks();
    while (now_ns() - ns < 20000000) {
        cpu_relax();
    }
    uint64_t to = ticks();
    ns_per_tick = (double)(now_ns() - ns) / (double)(to - from);
#endif
}

double measure_ticks_to_ns(uint64_t t) {
    return (double)t * ns_per_tick;
}

double measure_timer_step(void) {
    uint64_t step = 0;
    uint64_t last = ticks();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = ticks();
        uint64_t rest = now > last ? now - last : 0;
        while (rest != 0) { /* the greatest common divisor of all differences */
            uint64_t remainder = step % rest;
            step = rest;
            rest = remainder;
        }
        last = now;
    }
    return measure_ticks_to_ns(step);
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_median(double *values, size_t count) {
    if (count == 0) {
        return 0.0;
    }
    qsort(values, count, sizeof(values[0]), compare_doubles);
    double upper = values[count / 2];
    return count % 2 ? upper : (values[count / 2 - 1] + upper) / 2;
}

int measure_pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof(set), &set);
}

uint64_t measure_minor_faults(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_minflt : 0;
}

uint64_t measure_memory_available(void) {
    unsigned long long kib = 0;
    char line[256];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && kib == 0 && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) != 1) {
            kib = 0;
        }
    }
    if (f) {
        fclose(f);
    }
    return (uint64_t)kib * 1024;
}

void *measure_share(size_t len) {
    void *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int measure_populate(void *memory, size_t len) {
    if (len == 0 || madvise(memory, len, MADV_POPULATE_WRITE) == 0) {
        return 0;
    }
    if (errno != EINVAL) {
        return -1;
    }
    /* A kernel before 5.14. Adding 0 leaves alone what another process writes meanwhile. */
    for (size_t at = 0; at < len; at += PAGE) {
        atomic_fetch_add_explicit((_Atomic uint8_t *)((char *)memory + at), 0,
                                  memory_order_relaxed);
    }
    return 0;
}
