/* What every subcommand of the program needs: exit codes, messages, opening the store.
 *
 * Messages go to the standard error output and begin with "eddy: "; what they say comes from the
 * library wherever it knows more. A function that returns an exit code has said already what was
 * wrong. */
#ifndef TOOL_H
#define TOOL_H

#include "cli.h"
#include "eddy.h"

enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_NOT_FOUND = 3,
    EXIT_CONDITION = 4,
    EXIT_DAMAGED = 5,
    EXIT_FULL = 6,
    EXIT_PERMISSION = 7,
    EXIT_LAYOUT = 8,
    EXIT_TIMED_OUT = 9,
    EXIT_LAPPED = 10
};

/* Says something, as printf does, with "eddy: " before and a newline behind. */
void tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The exit code for an error of the library. */
int tool_exit_code(int error);

/* Says what the library has to say about its last error, and gives the exit code. */
int tool_fail(int error);

/* The name of the store: the positional argument `name` if there is one, else -S. NULL: let the
 * library choose. Giving both, and different ones, is an error of usage (false). */
bool tool_store_name(const struct args *args, const char *positional, const char **name);

/* Opens a store with --dir and --must-exist as given; flags are EDDY_MUST_EXIST and so on. */
int tool_open(const struct args *args, const char *name, uint32_t flags, eddy_store **out);

/* The same for a command that only looks: without writing, and never making a store. */
int tool_open_read_only(const struct args *args, const char *name, eddy_store **out);

/* A moment on the way to trying again. */
void tool_nap_ms(long ms);

/* Whether to call again: a read-only handle found no steady view, and it is not yet long. *tries
 * begins as 0. */
bool tool_again(int error, unsigned *tries);

/* A text of bytes for people, as "4.0 MiB". text has room for 32. */
const char *tool_size(uint64_t bytes, char *text);

#endif
