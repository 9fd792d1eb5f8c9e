/* Writers and followers at work on one store, as processes or as threads. What they write tells
 * whose it is and what should stand beside it, so that whoever reads it can check everything: each
 * event once, in order, without a gap; each transaction whole; versions dense. */
#ifndef CREW_H
#define CREW_H

#include "eddy.h"
#include "rng.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A writer: transactions 1, 2, 3, ... of 1 to events_max events on streams of the crew. */
struct crew_writer {
    eddy_store *store;
    uint32_t id;                /* from 0 */
    uint32_t streams;           /* of the crew */
    uint32_t events_max;        /* in a transaction */
    uint32_t data_max;          /* bytes of filling in an event */
    uint64_t tx;                /* the last transaction committed */
    _Atomic uint64_t *progress; /* it is put here, too, once it is acknowledged; may be NULL */
    struct rng rng;
    eddy_tx *open;
};

void crew_writer_init(struct crew_writer *writer, eddy_store *store, uint32_t id);
/* One transaction more. CHECKs that it succeeds. */
void crew_write(struct crew_writer *writer);
void crew_writer_fini(struct crew_writer *writer);

/* What has been seen of a crew's store by one reader, from its beginning on. */
struct crew_view {
    bool all;           /* no event is left out: offsets and transactions are checked, too */
    uint32_t streams;   /* of the crew */
    uint32_t writers;   /* of the crew */
    uint64_t last;      /* offset */
    uint64_t events;    /* seen */
    uint64_t hash;      /* of all that was seen, in order */
    uint64_t *versions; /* of each stream, the last */
    uint64_t *txs;      /* of each writer, the last transaction */
    uint32_t seen;      /* events of the transaction that is being seen */
    uint32_t writer;    /* its writer */
};

void crew_view_init(struct crew_view *view, bool all, uint32_t streams, uint32_t writers);
/* CHECKs an event against what was seen before. */
void crew_view_event(struct crew_view *view, const eddy_event *event);
/* CHECKs that no transaction is half seen. */
void crew_view_whole(const struct crew_view *view);
void crew_view_fini(struct crew_view *view);

/* Reads all that a select (NULL: everything) gives at present into a view. */
void crew_read(struct crew_view *view, eddy_store *store, const eddy_select *select);

enum crew_manner { CREW_WAIT, CREW_POLL, CREW_FILTER, CREW_BORROW, CREW_MANNERS };

/* A follower: sees everything (CREW_FILTER: streams whose names begin with CREW_PREFIX, of type
 * CREW_TYPE) until it has seen all there is after *stop was set. */
#define CREW_PREFIX "s0"
#define CREW_TYPE "odd"
struct crew_follower {
    eddy_store *store;
    enum crew_manner manner;
    uint32_t streams;
    uint32_t writers;
    _Atomic uint32_t *stop;
    _Atomic uint64_t seen; /* the last offset; for others to look at */
    uint64_t events;       /* the result */
    uint64_t hash;
};

void crew_follow(struct crew_follower *follower);
/* CHECKs a follower's result against what the store holds. */
void crew_check_follower(const struct crew_follower *follower);

#endif
