#include "options.h"

#include "rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT_SHORT_MS = 120000, LIMIT_MS = 3600000 };

static uint64_t number(int argc, char **argv, int *i) {
    char *end = NULL;
    uint64_t value = *i + 1 < argc ? strtoull(argv[*i + 1], &end, 10) : 0;
    if (!end || *end || end == argv[*i + 1]) {
        fprintf(stderr, "%s: %s wants a number\n", argv[0], argv[*i]);
        exit(2);
    }
    ++*i;
    return value;
}

void stress_options_parse(int argc, char **argv, struct stress_options *options) {
    uint64_t rounds = 0;
    uint64_t keep = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--short") == 0) {
            options->is_short = true;
        } else if (strcmp(argv[i], "--threads") == 0) {
            options->threads = true;
        } else if (strcmp(argv[i], "--seed") == 0) {
            rng_set_seed(number(argc, argv, &i));
        } else if (strcmp(argv[i], "--workers") == 0) {
            options->workers = (uint32_t)number(argc, argv, &i);
        } else if (strcmp(argv[i], "--rounds") == 0) {
            rounds = number(argc, argv, &i);
        } else if (strcmp(argv[i], "--keep") == 0) {
            keep = number(argc, argv, &i);
        } else if (strcmp(argv[i], "--bound") == 0) {
            options->bound = number(argc, argv, &i);
        } else {
            fprintf(stderr,
                    "%s: what is %s? usage: %s [--short] [--threads] [--seed N] [--workers N] "
                    "[--rounds N] [--keep N] [--bound N]\n",
                    argv[0], argv[i], argv[0]);
            exit(2);
        }
    }
    if (rounds) {
        options->rounds = rounds;
    } else if (options->is_short) {
        options->rounds = options->short_rounds;
        options->rounds /= options->threads && options->slower ? options->slower : 1;
    }
    if (keep) {
        options->keep = keep;
    } else if (options->is_short) {
        options->keep = options->short_keep;
    }
    options->limit_ms = options->is_short ? LIMIT_SHORT_MS : LIMIT_MS;
    printf("seed %" PRIu64 "\n", rng_seed());
    fflush(stdout);
}
