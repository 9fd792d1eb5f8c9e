/* histogram: counts of values in log-linear buckets, as HDR histograms have them.
 *
 * Values below 256 have a bucket each. Above, every power of two is cut into 128 buckets, so that
 * what is read back is never below the value that went in, and at most 1/128 (0.8 %) above it.
 * Values of 2^40 and more are counted in the last bucket; the largest value is kept exactly.
 * Plain memory without pointers: it may lie in shared memory, written by one process at a time. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 7
#define HISTOGRAM_VALUE_BITS 40
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t min; /* 0 if count is 0 */
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Empties it. Memory of zeros is an empty histogram, too. */
void histogram_reset(struct histogram *h);

void histogram_add(struct histogram *h, uint64_t value);

/* Adds all that `from` has counted. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The smallest value, to the stated precision, that at least `percent` (0 to 100) of the values do
 * not exceed; never above the largest value. 0 if it is empty. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* The exact mean; 0 if it is empty. */
double histogram_mean(const struct histogram *h);

/* Which bucket a value is counted in, and the largest value of a bucket. */
uint32_t histogram_bucket(uint64_t value);
uint64_t histogram_bucket_top(uint32_t bucket);

#endif
