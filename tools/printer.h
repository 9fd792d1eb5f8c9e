/* Events on the standard output, in one of the forms that -o names. */
#ifndef PRINTER_H
#define PRINTER_H

#include "cli.h"
#include "out.h"
#include "when.h"

enum printer_form { PRINT_TEXT, PRINT_JSONL, PRINT_JSON, PRINT_RAW };

struct printer {
    struct out out;
    enum printer_form form;
    bool utc;
    bool one; /* a single event: raw data without a newline behind it */
    uint64_t count;
    struct when_cache time;
    struct when_cache recorded;
};

/* A field with bytes that may be JSON, which stand as they are then, else as base64: key is as
 * ",\"data". Nothing, if there are none. */
void printer_payload(struct out *out, const char *key, eddy_bytes bytes);
/* Gives an exit code. */
int printer_open(struct printer *printer, const struct args *args);
void printer_event(struct printer *printer, const eddy_event *event);
/* Ends the output; gives `code`, or what went wrong with writing. */
int printer_close(struct printer *printer, int code);

#endif
