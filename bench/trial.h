/* trial: T of reference.h, a plain trial of the commit path in shared memory. */
#ifndef BENCH_TRIAL_H
#define BENCH_TRIAL_H

#include <stddef.h>
#include <stdint.h>

struct trial_shared;

/* One process's way in. */
struct trial_writer {
    struct trial_shared *shared;
    uint64_t next_off; /* of its own memory for events */
    uint32_t index;
};

/* Bytes of memory for a run. */
uint64_t trial_size(uint64_t events, uint64_t payload, uint32_t writers);

/* Makes the memory an empty log; what held the indexes is zero again. Before any writer. */
void trial_init(void *memory, uint64_t events, uint64_t payload, uint32_t writers);

void trial_writer_init(struct trial_writer *writer, void *memory, uint32_t index);

/* Appends count transactions of `batch` events each; returns the number of events. */
uint64_t trial_run(struct trial_writer *writer, uint64_t count, uint64_t batch,
                   const uint8_t *payload);

/* After all writers have ended: is every one of `events` at its offset and version? 0 or -1. */
int trial_check(void *memory, uint64_t events);

#endif
