/* The subcommands. Each takes a command line that was understood, and gives an exit code. */
#ifndef COMMANDS_H
#define COMMANDS_H

#include "cli.h"

/* stores.c */
int run_create(const struct args *args);
int run_ls(const struct args *args);
int run_rm(const struct args *args);
int run_version(const struct args *args);
int run_help(const struct args *args);
/* The options of a store that is to be made: false, after saying why, if one is wrong. */
bool stores_make_options(const struct args *args, eddy_options *options);
/* facts.c */
int run_info(const struct args *args);
int run_check(const struct args *args);
int run_streams(const struct args *args);
/* stats.c */
int run_stats(const struct args *args);
/* who.c */
int run_who(const struct args *args);
/* remove.c */
int run_truncate(const struct args *args);
int run_delete(const struct args *args);
int run_forget(const struct args *args);
int run_clean(const struct args *args);
int run_reset(const struct args *args);
/* checkpoint.c */
int run_checkpoint(const struct args *args);
/* state.c */
int run_state(const struct args *args);
/* snapshot.c */
int run_snapshot(const struct args *args);
int run_restore(const struct args *args);
int run_verify(const struct args *args);
/* limits.c */
int run_limits(const struct args *args);
/* maintain.c */
int run_maintain(const struct args *args);
int run_trim(const struct args *args);
/* import.c, append.c, read.c, tail.c */
int run_import(const struct args *args);
int run_append(const struct args *args);
int run_read(const struct args *args);
int run_get(const struct args *args);
int run_tail(const struct args *args);

#endif
