/* commands: the subcommands. Each measures, then writes into the report. 0, -1, or COMMAND_USAGE
 * when what was asked for does not exist; the reason has been said on stderr. */
#ifndef BENCH_COMMANDS_H
#define BENCH_COMMANDS_H

#include "options.h"
#include "report.h"

#define COMMAND_USAGE (-2)

int command_append(const struct bench_options *options, struct report *report);
int command_read(const struct bench_options *options, struct report *report);
int command_pingpong(const struct bench_options *options, struct report *report);
int command_raw(const struct bench_options *options, struct report *report);

#endif
