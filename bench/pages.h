/* pages: what memory of tmpfs costs before anything is written to it, in nanoseconds a page. */
#ifndef BENCH_PAGES_H
#define BENCH_PAGES_H

#include "options.h"

#define PAGES_SIZE 4096u

struct pages_cost {
    double reserve;  /* fallocate(), in runs of 2 MiB */
    double touch;    /* first touch of a page that was reserved */
    double bare;     /* first touch of a page that was not */
    double populate; /* of reserved pages in runs, by madvise(); 0 where the kernel has it not */
    double map;      /* first touch, in another process, of a page that exists */
};

/* One measurement of each, on 64 MiB. 0 or -1. */
int pages_measure(const struct bench_options *options, struct pages_cost *cost);

/* The medians of options->repeat measurements. 0 or -1. */
int pages_median(const struct bench_options *options, struct pages_cost *cost);

#endif
