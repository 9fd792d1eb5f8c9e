/* A batch: what a transaction is going to do, gathered in private. Payloads are written once, where
 * they will stay, into extents that the member owns; offsets and versions are not in them but in
 * the heads of the parts, so that trying a commit again rewrites little.
 */
#ifndef EDDY_BATCH_H
#define EDDY_BATCH_H

#include "event.h"
#include "member.h"

struct eddy_batch_stream {
    uint64_t hash;
    uint64_t desc;     /* descriptor, as far as known; 0: not known or not there */
    uint64_t desc_tag; /* its life */
    uint64_t fresh;    /* the private descriptor that will be linked if it is not there */
    uint64_t base;     /* version before this transaction, as evaluated last */
    uint64_t planned;  /* bytes of its events that were planned so far */
    uint64_t bytes;
    uint32_t name_at; /* in names */
    uint32_t name_len;
    uint32_t events;
    uint32_t part;       /* the last part that has it, + 1 */
    uint32_t part_at;    /* which of that part's streams it is */
    uint32_t part_first; /* events of it before that part */
    bool there;          /* it is there before the transaction's events, as evaluated last */
};

struct eddy_batch_event {
    uint64_t off; /* of its block */
    uint64_t bytes;
    uint32_t stream;
    uint32_t k; /* which of its stream's events here */
};

struct eddy_batch_part {
    uint64_t base;  /* offset of its extent */
    uint64_t head;  /* offset of its head; 0: not placed yet */
    uint32_t first; /* event */
    uint32_t events;
    uint32_t streams_at; /* in part_streams */
    uint32_t streams;
};

struct eddy_batch_part_stream {
    uint32_t stream;
    uint32_t first; /* events of it before this part */
};

/* A condition: of a stream, of what is under a key, or of what a select would find; as it is before the
 * transaction. They stand in the order in which they were given. */
enum { EDDY_ON_STREAM, EDDY_ON_KEY, EDDY_ON_QUERY };
struct eddy_batch_condition {
    uint32_t kind;
    uint32_t of;      /* which stream, or query */
    uint32_t name_at; /* of a key, in names */
    uint32_t name_len;
    uint64_t hash;
    int64_t expected;
};

/* No event that is there is to match this select (after_offset is its bound). */
struct eddy_batch_query {
    eddy_select select;
    void *bytes;     /* its copies */
    uint64_t seen;   /* none up to this offset does: kept for all tries of the commit */
    uint32_t stream; /* which of the batch's, if it names one */
};

/* What is to be removed: of a stream as it is before the transaction's events. */
enum {
    EDDY_CUT_TRUNCATE,
    EDDY_CUT_DELETE,
    EDDY_CUT_EMPTY, /* it is removed, if it has no event */
    EDDY_CUT_LIMIT,
    EDDY_CUT_FORGET,         /* this and what follows forgets it: */
    EDDY_CUT_FORGET_REMOVED, /* if it is not there */
    EDDY_CUT_FORGET_EMPTY    /* if it has no event */
};
struct eddy_batch_cut {
    uint32_t stream;
    uint32_t kind;
    uint64_t version; /* of EDDY_CUT_TRUNCATE: the last to go */
};

/* What is to be done with what is under a key (keys.h). */
enum {
    EDDY_PUT_SET,
    EDDY_PUT_DELETE,
    EDDY_PUT_RESET, /* the checkpoints of a name, of all shards: their name is the key */
    EDDY_PUT_UP_TO  /* the snapshots of a stream, up to the version in the key, are deleted */
};
struct eddy_batch_put {
    unsigned what;
    uint32_t flags; /* EDDY_HOLD */
    uint64_t value;
    uint64_t aux;
    int64_t time_ns; /* if `timed`; else the time of recording */
    bool timed;
    eddy_bytes data;
    eddy_bytes metadata;
    /* By the batch: */
    uint64_t hash;
    uint32_t name_at; /* in names */
    uint32_t name_len;
    void *own; /* a copy of data and metadata; NULL: they are the caller's until the commit */
};

/* An event that is in a shard. */
struct eddy_batch_shard {
    uint64_t shard;
    int64_t time_ns;
    uint32_t event;
    bool timed; /* time_ns was given */
};

/* A list that is to be taken out if nothing is left in it. */
struct eddy_batch_list {
    unsigned char key[9];
};

/* An extent, or a run of them, that the batch has used. */
struct eddy_batch_piece {
    uint64_t base;
    uint64_t fill; /* bytes when the batch came, and */
    uint64_t size; /* bytes it may hold */
    uint32_t run;
    uint32_t events; /* in it when the batch came, and */
    uint64_t end;    /* bytes now */
    uint32_t end_events;
};

#define EDDY_VECTOR(type)                                                                          \
    struct {                                                                                       \
        type *at;                                                                                  \
        uint32_t count;                                                                            \
        uint32_t room;                                                                             \
    }

struct eddy_batch {
    EDDY_VECTOR(struct eddy_batch_stream) streams;
    EDDY_VECTOR(struct eddy_batch_event) events;
    EDDY_VECTOR(struct eddy_batch_part) parts;
    EDDY_VECTOR(struct eddy_batch_part_stream) part_streams;
    EDDY_VECTOR(struct eddy_batch_condition) conditions;
    EDDY_VECTOR(struct eddy_batch_query) queries;
    EDDY_VECTOR(struct eddy_batch_piece) pieces;
    EDDY_VECTOR(struct eddy_batch_cut) cuts;
    EDDY_VECTOR(struct eddy_batch_put) puts;
    EDDY_VECTOR(struct eddy_batch_shard) shards; /* by shard, then event: by the first evaluation */
    EDDY_VECTOR(struct eddy_batch_list) empty_lists;
    EDDY_VECTOR(unsigned char) names;
    EDDY_VECTOR(uint32_t) table; /* hash -> stream + 1; room is a power of two, or none is used */
    uint64_t bytes;              /* of all event blocks */
    uint32_t sharded;            /* events that are in a shard */
    uint32_t key_at;             /* the transaction's key, in names */
    uint32_t key_len;            /* 0: none */
    const eddy_limits *limits;   /* to be set; NULL: none */
    uint64_t drop;               /* events that are to be dropped at least, with `enforce` */
    bool more;                   /* said by its commit: the limits want more to go */
    bool enforce;                /* drop what the limits let nobody keep, events or not */
    bool reset;                  /* all events go that are there before it */
    bool open;                   /* the last piece is being filled, with the last part */
    /* Of a transaction of which this is a part that is written again: */
    uint32_t tx_before; /* its events before these */
    uint32_t tx_count;  /* all its events; 0: these are all */
};

void eddy_batch_init(struct eddy_batch *batch);
void eddy_batch_fini(struct eddy_batch *batch);

/* The number of a stream in the batch, noted if it is new: or EDDY_ENOMEM. */
int64_t eddy_batch_stream(struct eddy_batch *batch, struct eddy_arena *arena, eddy_bytes name);
int eddy_batch_expect(struct eddy_batch *batch, uint32_t stream, int64_t expected);
/* Adds what is to be done under a key, and, unless expected is EDDY_ANY, the condition on it; keep: with
 * a copy of its bytes, else they stay where they are until the commit. */
int eddy_batch_put(struct eddy_batch *batch, const struct eddy_arena *arena, unsigned family,
                   eddy_bytes key, const struct eddy_batch_put *put, int64_t expected, bool keep);
/* The condition alone, that what is under a key is of a revision, EDDY_NONE or EDDY_EXISTS. */
int eddy_batch_expect_key(struct eddy_batch *batch, const struct eddy_arena *arena, unsigned family,
                          eddy_bytes key, int64_t expected);
/* The condition that nothing matches a select, whose bytes it copies. */
int eddy_batch_expect_none(struct eddy_batch *batch, struct eddy_arena *arena,
                           const eddy_select *select);
/* Its key, which it has not got yet. */
int eddy_batch_key(struct eddy_batch *batch, eddy_bytes key);
int eddy_batch_cut(struct eddy_batch *batch, uint32_t stream, uint32_t kind, uint64_t version);
int eddy_batch_empty_list(struct eddy_batch *batch, const unsigned char *key);
/* Adds events, of which some may have tags if they are `tagged`; *data (if not NULL) is where the last
 * one's data is to be, if it has no pointer. */
int eddy_batch_append(struct eddy_batch *batch, struct eddy_thread *thread, uint32_t stream,
                      const eddy_new_event *events, size_t count, bool tagged, void **data);
/* Places the head of the last part: after this nothing is added. */
int eddy_batch_close(struct eddy_batch *batch, struct eddy_thread *thread);
/* Writes the heads: where the events are in the order of all. */
void eddy_batch_write_heads(struct eddy_batch *batch, struct eddy_arena *arena,
                            uint64_t first_offset, int64_t recorded_ns);
/* It is committed: its memory stays. Or it is not, and its memory goes back. Then it is empty. */
void eddy_batch_keep(struct eddy_batch *batch, struct eddy_thread *thread);
void eddy_batch_drop(struct eddy_batch *batch, struct eddy_thread *thread);
/* Makes it empty, touching no shared memory. */
void eddy_batch_clear(struct eddy_batch *batch);

static inline eddy_bytes eddy_batch_name(const struct eddy_batch *b, uint32_t stream) {
    const struct eddy_batch_stream *s = &b->streams.at[stream];
    return eddy_mem(b->names.at + s->name_at, s->name_len);
}

#endif
