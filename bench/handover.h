/* handover: the raw ways from one process to another on another CPU: a cache line, some bytes, a
 * futex. Both are pinned, to the first two CPUs of the options; each gives the time one way. */
#ifndef BENCH_HANDOVER_H
#define BENCH_HANDOVER_H

#include "options.h"

/* Each does `rounds` round trips and gives half a round trip, in nanoseconds. 0 or -1. */
int handover_line(const struct bench_options *options, uint64_t rounds, double *ns);

/* The same, with options->payload bytes copied in before and out after each hand-over. */
int handover_bytes(const struct bench_options *options, uint64_t rounds, double *ns);

/* The same, but each side sleeps on a futex until the other wakes it. */
int handover_futex(const struct bench_options *options, uint64_t rounds, double *ns);

/* One call of futex wake with nobody there. */
double handover_futex_nobody(void);

#endif
