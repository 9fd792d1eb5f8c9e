/* Looking into a store, and showing what it says as lines of text or as one JSON object: what the
 * commands that show facts have in common. */
#ifndef LOOK_H
#define LOOK_H

#include "cli.h"
#include "out.h"
#include "when.h"

struct look {
    const struct args *args;
    eddy_store *store;
    struct out out;
    bool json;
    uint64_t found;         /* rows or faults shown */
    eddy_stream_facts last; /* the last stream shown: where to go on */
    struct when_cache cache;
};

/* Opens the store for looking, and the output. Gives an exit code. */
int look_open(struct look *look, const struct args *args, const char *positional);
/* The same for a command that writes into a store that is there. */
int look_open_writing(struct look *look, const struct args *args, const char *positional);
/* Ends the output and closes the store; gives `code`, or what went wrong with writing. */
int look_close(struct look *look, int code);

/* The positional argument STORE, or NULL. */
const char *look_store_argument(const struct args *args);

/* The line with the name of the store, by which a JSON object begins; and the end of that. */
void look_begin(struct look *look);
void look_end(struct look *look);

/* The beginning of a line, or of a member of the JSON object. */
void look_name(struct look *look, const char *name);
void look_time(struct look *look, int64_t ns);

/* A field of one of the library's structs. */
struct fact {
    const char *name; /* NULL ends a list of them */
    size_t at;        /* where in the struct */
    enum { FACT_U64, FACT_U32, FACT_BYTES, FACT_TIME, FACT_BOOL } kind;
};

void look_facts(struct look *look, const struct fact *facts, const void *base);

#endif
