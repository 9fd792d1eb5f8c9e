/* Random numbers that can be had again: all of them come from one seed, which is EDDY_SEED or, if
 * that is not set, taken from the clock once for the whole run. */
#ifndef RNG_H
#define RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* The seed of this run. It is put into the environment, so that programs started by this one take
 * the same. */
uint64_t rng_seed(void);
void rng_set_seed(uint64_t seed);

/* A sequence of its own for each number: of the seed and `which`, so that processes and runs
 * differ from each other, and one of them can be done again. */
struct rng rng_make(uint64_t which);

uint64_t rng_next(struct rng *rng);
/* From 0 to below - 1; 0 if below is 0. */
uint64_t rng_below(struct rng *rng, uint64_t below);
/* True once in `in` times. */
bool rng_once_in(struct rng *rng, uint64_t in);
void rng_fill(struct rng *rng, void *bytes, size_t len);

#endif
