/* Runs the built programs as a person or a script does. They are found in $EDDY_BUILD. */
#ifndef RUN_H
#define RUN_H

#include <stddef.h>
#include <stdint.h>

#define RUN_LIMIT_MS 60000

struct run {
    int code;  /* its exit code, minus a signal's number, or CHILD_LATE */
    char *out; /* what it wrote, each ended by a zero byte; freed by run_free() */
    size_t out_len;
    char *err;
    size_t err_len;
};

/* The absolute path of a program, as "eddy". Valid until the next call but three of this thread. */
const char *run_path(const char *program);

/* Starts a program (argv[0] is its name in $EDDY_BUILD) with input as its standard input (NULL:
 * none), to its end. */
struct run run_argv(const char *const argv[], const char *input, size_t input_len);

/* The same for `eddy` and some arguments, the last of which is NULL. */
#define run_eddy(...) run_argv((const char *const[]){"eddy", __VA_ARGS__, NULL}, NULL, 0)
#define run_eddy_with(input, ...)                                                                  \
    run_argv((const char *const[]){"eddy", __VA_ARGS__, NULL}, (input), strlen(input))

/* A line of shell, in which $EDDY_BUILD comes first in PATH and each %-format is filled in. */
struct run run_shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

void run_free(struct run *run);

/* The number of lines of a text. */
size_t run_lines(const char *text);

#endif
