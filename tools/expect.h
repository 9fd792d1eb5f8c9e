/* The option --expect: the version that a stream must have. */
#ifndef EXPECT_H
#define EXPECT_H

#include "cli.h"

/* What the option says; *expected is left alone if it was not given. False after an error of usage.
 */
bool expect_parse(const struct args *args, int64_t *expected);

/* As expect_parse(), for what is under a key, which has a revision. */
bool expect_parse_revision(const struct args *args, int64_t *expected);
/* Says that the condition did not hold, and that nothing was done ("stored", "removed"); gives the exit code. */
int expect_failed(const char *stream, int64_t expected, const eddy_result *result,
                  const char *done);

#endif
