/* reference: the two programs that eddy's appends are compared with.
 *
 * R, the bare log: for each event a reading of CLOCK_REALTIME, a fetch-add that takes the place in
 * the log, and a copy of the payload behind a header of 16 bytes. It has no index, no order of
 * becoming visible and nothing to recover by: the least that any shared log can cost.
 *
 * T, the plain trial: eddy's commit path and nothing around it. A transaction is committed by a
 * compare-and-swap of the next word of a ring and then applied from a redo list: the offset index
 * and the version index (a flat array each) by compare-and-swap of every empty slot, the stream's
 * version as a maximum, `applied` by compare-and-swap. Whoever finds a transaction not yet applied
 * applies it. One stream; no conditions, names, reclamation, waiters, checks of what is read, or
 * members.
 *
 * Both write to memory that was touched before, by as many processes as asked for. */
#ifndef BENCH_REFERENCE_H
#define BENCH_REFERENCE_H

#include "options.h"

#include <stddef.h>

/* Memory for the runs of both, taken once, so that all but the first run find it used. */
struct reference {
    void *memory;
    size_t len;
    uint64_t events; /* of one run, over all writers */
};

/* Takes the memory. 0 or -1. */
int reference_create(struct reference *reference, const struct bench_options *options);
void reference_destroy(struct reference *reference);

/* A run with options->writers processes: nanoseconds an event. 0 or -1. */
int reference_log(struct reference *reference, const struct bench_options *options, double *ns);
int reference_trial(struct reference *reference, const struct bench_options *options,
                    uint64_t batch, double *ns);

#endif
