/* help: the texts of --help. */
#ifndef BENCH_HELP_H
#define BENCH_HELP_H

/* Prints the help of a subcommand (enum bench_command), or of all with 0, to stdout. */
void help_print(unsigned command);

#endif
