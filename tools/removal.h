/* What a command removed, or would remove: on the standard output, in the form that -o names. */
#ifndef REMOVAL_H
#define REMOVAL_H

#include "cli.h"

enum { REMOVAL_STREAMS = 1, REMOVAL_NAMES = 2, REMOVAL_BYTES = 4 };

struct removal {
    unsigned what; /* which of these numbers there are, besides events */
    uint64_t events;
    uint64_t bytes;
    uint64_t streams;
    uint64_t names;     /* of removed streams, forgotten */
    bool names_at_most; /* how many exactly is known when it is done */
};

/* Gives an exit code. */
int removal_print(const struct args *args, const struct removal *removal);

#endif
