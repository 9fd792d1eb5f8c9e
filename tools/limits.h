/* The limits of a store: as options of the command line, and shown with what of them is used. */
#ifndef LIMITS_H
#define LIMITS_H

#include "look.h"

/* Whether an option that changes a limit was given. */
bool limits_given(const struct args *args);

/* Changes in *limits what the options name, and keeps the rest. False after an error of usage. */
bool limits_change(const struct args *args, eddy_limits *limits);

/* Shows how many names of removed streams are known, the limits that are set with how much of each is
 * used, and the checkpoint that retention waits for: lines, or the members "names", "limits" and
 * "waits_for" of the JSON object. Gives an exit code. */
int limits_show(struct look *look);

#endif
