/* options: what the command line of eddy-bench asks for. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_CPUS_MAX 64
#define OPTIONS_PROCESSES_MAX 64
#define OPTIONS_REPEAT_MAX 25

enum bench_command {
    BENCH_APPEND = 1,
    BENCH_READ = 2,
    BENCH_PINGPONG = 4,
    BENCH_RAW = 8,
};

struct bench_options {
    enum bench_command command;
    const char *command_name;
    const char *store;  /* NULL: an anonymous store of its own for each run */
    const char *select; /* read: NULL: all of them */
    char **items;       /* raw: which; none: all */
    int item_count;
    uint64_t writers;
    uint64_t readers;
    uint64_t payload;
    uint64_t batch;
    uint64_t streams;
    uint64_t events;
    uint64_t repeat;
    uint64_t timeout_s; /* of one run */
    uint64_t gap_us;
    bool pin;
    bool borrow;
    bool epoll;
    bool reference;
    bool json;
    int cpus[OPTIONS_CPUS_MAX]; /* that may be used; with --pin=LIST, in that order */
    int cpu_count;
};

/* Reads the command line. 1: go on; 0: help was asked for and given; -1: it is wrong, and why has
 * been said on stderr. */
int options_parse(struct bench_options *options, int argc, char **argv);

#endif
