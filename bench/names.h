/* names: the names of streams, packed, so that choosing one at random costs few cache lines. */
#ifndef BENCH_NAMES_H
#define BENCH_NAMES_H

#include "eddy.h"

/* Which versions a stream has. */
struct name_versions {
    uint64_t first;
    uint64_t last;
};

struct names {
    eddy_bytes *list; /* into text */
    struct name_versions *versions;
    char *text;
    uint64_t count;
    uint64_t room; /* names that the lists have room for */
    size_t text_len;
    size_t text_room;
};

/* bench-0000000, bench-0000001, ... without versions. 0 or -1. */
int names_create(struct names *names, uint64_t count);

/* Those of the streams of a store that have events, the first `most` in byte order. 0 or -1. */
int names_read(struct names *names, eddy_store *store, uint64_t most);

void names_destroy(struct names *names);

static inline eddy_bytes names_get(const struct names *names, uint64_t i) {
    return names->list[i];
}

#endif
