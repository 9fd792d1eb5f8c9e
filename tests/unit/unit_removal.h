/* A dumb model of a store from which things are removed: lists of events and of streams, and what
 * every way to read has to say of them. */
#ifndef UNIT_REMOVAL_H
#define UNIT_REMOVAL_H

#include "eddy.h"
#include "support/rng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REMOVAL_STREAMS = 6, REMOVAL_EVENTS_MAX = 1 << 16 };

struct removal_event {
    unsigned stream;
    uint64_t version;
    uint64_t bytes;
    int64_t recorded;
    int64_t time;
    bool there;
};

struct removal_stream {
    char name[24];
    uint64_t version;
    bool known;
    bool there;
    uint64_t first; /* versions up to this one were removed by hand */
    uint64_t made;  /* the how manieth */
};

struct removal {
    eddy_store *store;
    eddy_store *look; /* read-only */
    struct removal_event *events;
    uint64_t count;
    struct removal_stream streams[REMOVAL_STREAMS];
    uint64_t made;
    int64_t now; /* the store's clock */
    struct rng rng;
};

/* A store of so many bytes, and none of its events. which: of the random numbers. */
void removal_open(struct removal *r, uint64_t cap, uint64_t which);
void removal_close(struct removal *r);

/* Each does it to the store and to the model. */
void removal_append(struct removal *r, unsigned stream, unsigned events, size_t data_max);
void removal_truncate(struct removal *r, unsigned stream, uint64_t version);
void removal_delete(struct removal *r, unsigned stream);
void removal_forget(struct removal *r, unsigned stream);
void removal_remove_empty(struct removal *r);
void removal_forget_removed(struct removal *r);
/* By a limit, which is taken away again: the oldest go until there are so many. */
void removal_keep(struct removal *r, uint64_t events);
/* eddy_maintain(). Streams that limits of events, bytes or age have emptied are away behind it; before
 * that they may be there still, and the model takes either. */
void removal_maintain(struct removal *r);

/* To the model alone. */
void removal_gone(struct removal *r, uint64_t offset);
void removal_stream_gone(struct removal *r, unsigned stream);

/* Of the model. */
uint64_t removal_events(const struct removal *r);
uint64_t removal_bytes(const struct removal *r);
uint64_t removal_streams(const struct removal *r);
/* Events of a stream, or UINT_MAX: of all; and the first of them, 0: none. */
uint64_t removal_events_of(const struct removal *r, unsigned stream, uint64_t *bytes,
                           uint64_t *first_offset, uint64_t *last_offset);

/* Asserts that totals, facts of streams, and every kind of reader say what the model does, for a
 * handle with slots and one without; that eddy_check() finds nothing wrong. */
void removal_compare(struct removal *r);
/* Totals and the walk over offsets alone. */
void removal_compare_quick(struct removal *r);

#endif
