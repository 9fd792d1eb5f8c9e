/* Asserting on what a run of the program says: for the bodies of tests. */
#ifndef RUNS_H
#define RUNS_H

#include "support/cr_must.h"
#include "support/run.h"
#include "support/sandbox.h"

/* A directory of its own for the stores of a test, and none named; the time zone is UTC. */
extern struct sandbox runs_box;
void runs_set_up(void);

/* Asserts the exit code, and that the two streams have the given parts (NULL: are empty; "": are
 * anything). Frees the run. */
void runs_expect(struct run *run, int code, const char *out, const char *err, int line);

#define RUNS(code_, out_part, err_part, ...)                                                       \
    do {                                                                                           \
        struct run run_ = run_eddy(__VA_ARGS__);                                                   \
        runs_expect(&run_, code_, out_part, err_part, __LINE__);                                   \
    } while (0)

#define RUNS_WITH(input, code_, out_part, err_part, ...)                                           \
    do {                                                                                           \
        struct run run_ = run_eddy_with(input, __VA_ARGS__);                                       \
        runs_expect(&run_, code_, out_part, err_part, __LINE__);                                   \
    } while (0)

#define SHELL(code_, out_part, ...)                                                                \
    do {                                                                                           \
        struct run run_ = run_shell(__VA_ARGS__);                                                  \
        runs_expect(&run_, code_, out_part, "", __LINE__);                                         \
    } while (0)

#endif
