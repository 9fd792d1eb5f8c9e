/* What stands in the blocks of a snapshot of a store: the records, as they lie in the file, one
 * behind the other. FORMAT.md explains them. Little-endian, not aligned.
 *
 * The kinds stand in this order, each in any number of blocks, but for the first and the last.
 */
#ifndef EDDY_DUMP_H
#define EDDY_DUMP_H

#include <assert.h>

#include "blockfile.h"
#include "eddy.h"

enum {
    EDDY_DUMP_STORE = 1,   /* one: facts of the store */
    EDDY_DUMP_ENTRIES = 2, /* what stands under keys */
    EDDY_DUMP_STREAMS = 3, /* by number, from the lowest */
    EDDY_DUMP_EVENTS = 4,  /* by offset, from the lowest */
    EDDY_DUMP_GONE = 5,    /* of streams that lost events while the file was being written */
    EDDY_DUMP_END = 6      /* one: totals */
};

enum { EDDY_DUMP_LIMITS = 12 };
struct eddy_dump_store {
    uint64_t store_id;
    int64_t created_ns;
    int64_t taken_ns; /* when the snapshot was begun */
    uint64_t transactions;
    uint64_t head;       /* its last offset */
    uint64_t floor;      /* offsets up to this one were gone */
    int64_t recorded_ns; /* of its last transaction */
    uint64_t bytes_in;   /* of all events ever */
    uint64_t streams_in; /* streams ever made */
    uint64_t revision_base;
    uint64_t cap;
    uint32_t members;
    uint32_t threads;
    uint64_t
        limits[EDDY_DUMP_LIMITS]; /* flags, events, bytes, streams, stream_events, names, age_ns,
                                     keys, keys_age_ns */
    char writer[64];              /* the version of eddy */
};
static_assert(sizeof(struct eddy_dump_store) == 256, "store");

struct eddy_dump_entry {
    uint16_t family; /* EDDY_FAMILY_... of layout.h */
    uint16_t key_len;
    uint32_t flags;
    uint64_t value;
    int64_t time_ns;
    int64_t recorded_ns;
    uint64_t aux;
    uint64_t revision;
    uint32_t data_len;
    uint32_t meta_len;
    /* key, data, metadata */
};
static_assert(sizeof(struct eddy_dump_entry) == 56, "entry");

struct eddy_dump_stream {
    uint64_t number;
    uint64_t version;
    uint64_t first;   /* versions up to this one were removed */
    uint64_t removed; /* 1 + the version at which the stream was removed, as in its descriptor */
    uint32_t name_len;
    uint32_t zero;
    /* name */
};
static_assert(sizeof(struct eddy_dump_stream) == 40, "stream");

struct eddy_dump_event {
    uint64_t offset;
    uint64_t stream; /* its number */
    uint64_t version;
    int64_t time_ns;
    int64_t recorded_ns;
    uint64_t shard;
    uint64_t tx_offset;
    uint32_t tx_count;
    uint32_t data_len;
    uint32_t meta_len;
    uint16_t type_len;
    uint16_t id_len;
    uint32_t flags; /* EDDY_EVENT_... of layout.h: which of time and shard were given */
    uint32_t tags_len;
    /* data, metadata, type, id, tags: their number (u8), and of each its length (u8) and its bytes */
};
static_assert(sizeof(struct eddy_dump_event) == 80, "event");

struct eddy_dump_gone {
    uint64_t stream; /* its number */
    uint64_t first;  /* versions up to this one are gone; UINT64_MAX: it was forgotten */
    uint64_t removed;
};
static_assert(sizeof(struct eddy_dump_gone) == 24, "gone");

struct eddy_dump_end {
    uint64_t floor; /* offsets up to this one are gone by now */
    uint64_t entries;
    uint64_t streams;
    uint64_t events;
    uint64_t bytes; /* of memory, by these events */
    uint64_t gone;
    uint64_t spare[2];
};
static_assert(sizeof(struct eddy_dump_end) == 64, "end");

/* What is called for each record, with what stands behind its fixed part. NULL: nothing. 0, or an error,
 * which ends the reading. */
struct eddy_dump_visitor {
    int (*store)(void *arg, const struct eddy_dump_store *store);
    int (*entry)(void *arg, const struct eddy_dump_entry *entry, const unsigned char *rest);
    int (*stream)(void *arg, const struct eddy_dump_stream *stream, const unsigned char *rest);
    int (*event)(void *arg, const struct eddy_dump_event *event, const unsigned char *rest);
    int (*gone)(void *arg, const struct eddy_dump_gone *gone);
    int (*end)(void *arg, const struct eddy_dump_end *end);
};
/* Reads all of a file that was opened, or begun again. 0; what a visitor gave; or EDDY_ECORRUPT, with
 * file, byte and cause, if it is not whole, or its records cannot be. */
int eddy_dump_read(struct eddy_blockfile_in *in, const struct eddy_dump_visitor *visitor,
                   void *arg);

/* Facts for the caller of a public function: is its struct of a size that can be (NULL is fine)? */
int eddy_dump_check_facts(const eddy_snapshot_facts *facts);
void eddy_dump_give(const struct eddy_dump_store *store, const struct eddy_dump_end *end,
                    uint64_t bytes, eddy_snapshot_facts *facts);

#endif
