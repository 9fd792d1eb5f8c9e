#include "histogram.h"

#include <string.h>

void histogram_reset(struct histogram *h) {
    memset(h, 0, sizeof(*h));
}

uint32_t histogram_bucket(uint64_t value) {
    const uint64_t top = (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1;
    if (value > top) {
        value = top;
    }
    if (value < (UINT64_C(2) << HISTOGRAM_SUB_BITS)) {
        return (uint32_t)value;
    }
    /* The leading HISTOGRAM_SUB_BITS + 1 bits stay; the shift says which power of two it was. */
    uint32_t shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

uint64_t histogram_bucket_top(uint32_t bucket) {
    if (bucket < (2u << HISTOGRAM_SUB_BITS)) {
        return bucket;
    }
    uint32_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t lead = bucket - (shift << HISTOGRAM_SUB_BITS);
    return ((lead + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value) {
    if (h->count == 0 || value < h->min) {
        h->min = value;
    }
    if (value > h->max) {
        h->max = value;
    }
    h->count++;
    h->sum += value;
    h->buckets[histogram_bucket(value)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *from) {
    if (from->count == 0) {
        return;
    }
    if (into->count == 0 || from->min < into->min) {
        into->min = from->min;
    }
    if (from->max > into->max) {
        into->max = from->max;
    }
    into->count += from->count;
    into->sum += from->sum;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_percentile(const struct histogram *h, double percent) {
    if (h->count == 0) {
        return 0;
    }
    double exact = percent / 100.0 * (double)h->count;
    uint64_t rank = exact <= 0 ? 0 : (uint64_t)exact;
    if ((double)rank < exact || rank == 0) {
        rank++;
    }
    if (rank >= h->count) {
        return h->max;
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            uint64_t top = histogram_bucket_top(i);
            return top < h->max ? top : h->max;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h) {
    return h->count == 0 ? 0.0 : (double)h->sum / (double)h->count;
}
