/* report: what was measured, as JSON for programs or as lines for people, from the same calls.
 * It is kept until the end, so that a run that fails prints no half a result. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "histogram.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct report {
    FILE *out;
    char *text;
    size_t len;
    bool json;
    bool first; /* nothing stands in the open object yet */
    int depth;
};

/* 0, or -1 when this process is out of memory. */
int report_begin(struct report *report, bool json);

/* Prints it if `good`, and frees it. 0, or -1 if it could not be printed. */
int report_end(struct report *report, bool good);

/* An object within the present one. */
void report_open(struct report *report, const char *key);
void report_close(struct report *report);

void report_text(struct report *report, const char *key, const char *value); /* NULL: null */
void report_count(struct report *report, const char *key, uint64_t value);
void report_number(struct report *report, const char *key, double value);
void report_flag(struct report *report, const char *key, bool value);
void report_null(struct report *report, const char *key);
void report_numbers(struct report *report, const char *key, const double *values, size_t count);

/* Count, mean and percentiles of a histogram of timer ticks, as nanoseconds. */
void report_histogram(struct report *report, const char *key, const struct histogram *histogram);

#endif
