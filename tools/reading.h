/* What read and tail have in common: which events are meant, and getting them one by one. */
#ifndef READING_H
#define READING_H

#include "cli.h"

/* Makes a select of the options and of the positional argument (STREAM or PREFIX*). It points into
 * args. False after an error of usage. */
bool reading_select(const struct args *args, eddy_select *select);

/* The next event, as eddy_reader_next() gives it. Events that are gone are told of, and remembered
 * in *lapped; a read-only handle that finds no steady view tries again. */
int reading_next(eddy_reader *reader, eddy_event *event, bool *lapped);

/* Tells of the events that are gone, after EDDY_ELAPPED by this thread's last call. */
void reading_say_lapped(void);

#endif
