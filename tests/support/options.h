/* The command line of the stress programs. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct stress_options {
    bool is_short;         /* --short: a run for `make check` */
    bool threads;          /* --threads: threads rather than processes */
    uint32_t workers;      /* --workers N */
    uint64_t rounds;       /* --rounds N, of each worker */
    uint64_t short_rounds; /* with --short */
    uint64_t slower; /* with --short and --threads, which ThreadSanitizer looks at: so many times
                              fewer rounds; 0: as many */
    uint64_t keep;   /* --keep N: how many are to be kept, where a program asks for that */
    uint64_t short_keep; /* with --short */
    uint64_t bound;      /* --bound N: per cent that are allowed; 0: only said */
    int64_t limit_ms;    /* for a worker that is a process */
};

/* Takes what is in *options as defaults. Says the seed. Ends the process if it does not understand
 * an argument. */
void stress_options_parse(int argc, char **argv, struct stress_options *options);

#endif
