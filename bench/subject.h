/* subject: the store that is measured, as the parent opens it and the processes find it. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include "crew.h"
#include "eddy.h"
#include "options.h"

struct subject {
    eddy_store *store; /* the parent's handle */
    char spec[512];    /* how the processes of a crew open it: each has a handle of its own */
};

/* Opens options->store, or makes an anonymous store: it ends with the last process that has it,
 * however that process ends, so that nothing is left behind. must_exist: of a named one.
 * 0, or -1 with the reason said. */
int subject_open(struct subject *subject, const struct bench_options *options, bool must_exist,
                 uint64_t reserve);
void subject_close(struct subject *subject);

/* In a process of the crew. 0, or -1 with the reason left for the parent. */
int subject_join(const struct subject *subject, struct crew_seat *seat, eddy_store **store);

/* Refuses to write so many events, each with so many bytes of data, when they would take more than
 * half of the memory that is free. 0 or -1. */
int subject_fits(uint64_t events, uint64_t payload);

int subject_facts(const struct subject *subject, eddy_facts *facts);

/* ---- warm memory. eddy takes memory from the kernel as it grows; a store that has been running
 * for long uses again what it has. Where nothing is used again yet, a benchmark can have the same
 * by touching, before the clock starts, the parts of the file that a run like this one touches. */

#define SUBJECT_PARTS_MAX 256

/* The parts of the store's file that hold data. */
struct subject_parts {
    struct {
        uint64_t off;
        uint64_t len;
    } parts[SUBJECT_PARTS_MAX];
    uint32_t count;
};

/* Which they are, now. 0 or -1. */
int subject_find_parts(const struct subject *subject, struct subject_parts *parts);

/* How many bytes they are. */
uint64_t subject_parts_bytes(const struct subject_parts *parts);

/* Touches those parts of the store in this process, where eddy has mapped it, without changing
 * them. Returns the bytes; 0 if the mapping was not found. */
uint64_t subject_populate(eddy_store *store, const struct subject_parts *parts);

#endif
