/* What a process that may be killed at any instruction has written, as it is to be found: a book in
 * shared memory of some streams that it alone writes. Before an operation it says what is to be, behind
 * it that it is so; who looks after its death finds one or the other, whole. */
#ifndef LEDGER_H
#define LEDGER_H

#include "eddy.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { LEDGER_STREAMS = 6, LEDGER_MOST = 300 };

struct ledger_stream {
    uint64_t version; /* the last; 0: it is not known */
    uint64_t gone;    /* versions up to here were removed */
    uint64_t life;    /* how often it was forgotten */
    bool there;
};

struct ledger {
    uint32_t owner;
    _Atomic uint32_t pending; /* an operation is being tried */
    _Atomic uint64_t done;    /* operations */
    struct ledger_stream now[LEDGER_STREAMS];
    struct ledger_stream next[LEDGER_STREAMS];
    char what[64]; /* the operation that was tried last */
};

eddy_bytes ledger_name(const struct ledger *ledger, unsigned i, char *text);

/* An event as it is to be of a version of a stream; its bytes lie in *room, of LEDGER_DATA_MAX. */
#define LEDGER_DATA_MAX ((uint64_t)300 << 10)
void ledger_event(const struct ledger *ledger, unsigned i, uint64_t life, uint64_t version,
                  unsigned char *room, eddy_new_event *event);

/* Around an operation: what is to be was written to ledger->next. */
void ledger_try(struct ledger *ledger, const char *what);
void ledger_done(struct ledger *ledger);

/* What is there is what the book says, each event by its bytes; whichever of the two ways is found is
 * the way it is from now on. lossy: the oldest may have gone by themselves. Ends the process if not. */
void ledger_check(struct ledger *ledger, eddy_store *store, bool lossy);

#endif
