#include "rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Splitmix64: one word of state, and good enough to choose operations by. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t rng_seed(void) {
    const char *text = getenv("EDDY_SEED");
    if (!text || !*text) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        rng_set_seed(mix((uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec) >> 32);
        text = getenv("EDDY_SEED");
    }
    return strtoull(text, NULL, 10);
}

void rng_set_seed(uint64_t seed) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, seed);
    setenv("EDDY_SEED", text, 1);
}

struct rng rng_make(uint64_t which) {
    return (struct rng){.state = mix(rng_seed() ^ mix(which + 1))};
}

uint64_t rng_next(struct rng *rng) {
    rng->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(rng->state);
}

uint64_t rng_below(struct rng *rng, uint64_t below) {
    return below ? rng_next(rng) % below : 0;
}

bool rng_once_in(struct rng *rng, uint64_t in) {
    return rng_below(rng, in) == 0;
}

void rng_fill(struct rng *rng, void *bytes, size_t len) {
    unsigned char *at = bytes;
    while (len > 0) {
        uint64_t word = rng_next(rng);
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(at, &word, n);
        at += n;
        len -= n;
    }
}
