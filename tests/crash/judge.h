/* What may be found in a store that was left in the middle of something. */
#ifndef JUDGE_H
#define JUDGE_H

#include "steps.h"

/* What there is in a store. */
struct judge_content {
    uint64_t events;  /* all of them: the last offset */
    uint64_t digest;  /* of them */
    uint64_t streams; /* a digest of their facts */
    uint64_t count;   /* of streams */
    uint64_t totals;
    uint64_t ops; /* events of type "op" */
    uint64_t txs; /* transactions that these are of */
};

/* Reads everything up to an offset. */
void judge_read(eddy_store *store, uint64_t upto, struct judge_content *content);

/* A file that copies are put into. */
struct judge {
    int fd;
    unsigned char *base;
    size_t bytes;
};

void judge_init(struct judge *judge);
void judge_fini(struct judge *judge);
/* Judges a copy, of which `image` bytes are known and which is `file` bytes long. With `alive`,
 * those who had it open are first taken for alive, but standing still, and dead only then. */
void judge_copy(struct judge *judge, const unsigned char *bytes, size_t image, size_t file,
                bool alive, struct judge_content *content);

/* Others go on: append, read and follow, at once. */
void judge_go_on(eddy_store *store);
/* It must not take long, whoever stands still: else a breach. */
void judge_held_up(int64_t begun_ns);
/* eddy_check() finds nothing. */
void judge_check(eddy_store *store);
/* Nobody has the store open: then nobody owns anything in it. */
void judge_accounts(const char *name);

#endif
