/* What may be found in a store that was left in the middle of something. */
#ifndef JUDGE_H
#define JUDGE_H

#include "steps.h"

/* What there is in a store. */
struct judge_content {
    uint64_t head;    /* the last offset */
    uint64_t events;  /* that are there */
    uint64_t digest;  /* of them */
    uint64_t streams; /* a digest of their facts */
    uint64_t count;   /* of streams */
    uint64_t totals;
    uint64_t entries; /* a digest of what is under keys */
    uint64_t ops;     /* events of type "op" */
    uint64_t txs;     /* transactions that these are of */
};

/* What of memory must not depend on who died where; when nobody has the store open. */
struct judge_memory {
    uint64_t head;
    uint64_t events;
    uint64_t blocks; /* nodes and descriptors */
    uint64_t used;   /* extents that are not free */
    uint64_t lists;  /* of them, of redo lists */
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
                bool alive, struct judge_content *content, struct judge_memory *memory);
/* Opens a store, which must succeed. */
eddy_store *judge_open(const char *name);

/* Others go on: append, read and follow, at once. */
void judge_go_on(eddy_store *store);
/* It must not take long, whoever stands still: else a breach. */
void judge_held_up(int64_t begun_ns);
/* eddy_check() finds nothing. */
void judge_check(eddy_store *store);
/* No reader is open: nothing is pinned, and nobody is marked as asleep. */
void judge_readers(struct eddy_arena *arena);
/* Nobody has the store open: then nobody owns anything in it; and after maintenance all memory of
 * what is gone has come back, and all that may be had is found. */
void judge_accounts(const char *name, struct judge_memory *memory);

#endif
