/* names: the names of streams, one after the other in one piece of memory. */
#ifndef BENCH_NAMES_H
#define BENCH_NAMES_H

#include "eddy.h"

/* A name, with what a benchmark must know of its stream. */
struct name {
    char bytes[EDDY_STREAM_MAX + 1];
    uint32_t len;
    uint64_t first_version;
    uint64_t version;
};

struct names {
    struct name *list;
    uint64_t count;
    uint64_t room;
};

/* bench-0000000, bench-0000001, ... 0 or -1. */
int names_create(struct names *names, uint64_t count);

/* Those of the streams of a store that have events, the first `most` in byte order. 0 or -1. */
int names_read(struct names *names, eddy_store *store, uint64_t most);

void names_destroy(struct names *names);

static inline eddy_bytes names_get(const struct names *names, uint64_t i) {
    return eddy_mem(names->list[i].bytes, names->list[i].len);
}

#endif
