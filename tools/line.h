/* One line of JSON as an event to append: which fields there are, and what they mean.
 *
 * Names are decoded where they lie; data and metadata that are JSON stay as the bytes that they
 * are. All that is given out points into the line. */
#ifndef LINE_H
#define LINE_H

#include "eddy.h"

enum line_tx { LINE_NO_TX, LINE_TX_STRING, LINE_TX_NUMBER };

struct line {
    eddy_bytes stream;
    eddy_new_event event;
    bool tx_known; /* what follows is right, also when the line as a whole is wrong */
    enum line_tx tx_kind;
    eddy_bytes tx;                  /* lines in a row with the same one are one transaction */
    eddy_bytes tags[EDDY_TAGS_MAX]; /* where event.tags leads */
};

struct line_fault {
    size_t column; /* byte of the line, from 1 */
    char why[400];
};

/* Reads a line; false if it is wrong (then only line->tx... may be looked at). Its bytes are
 * changed. */
bool line_parse(char *text, size_t len, struct line *line, struct line_fault *fault);

/* Whether there is nothing but white space. */
bool line_is_blank(const char *text, size_t len);

#endif
