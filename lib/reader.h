/* Readers: a select being read, and single reads. */
#ifndef EDDY_READER_H
#define EDDY_READER_H

#include "event.h"
#include "list.h"
#include "pollfd.h"
#include "store.h"

/* What the name of an event's stream was, for the next event of it. */
struct eddy_reader_name {
    uint64_t desc;
    uint64_t tag;
    uint32_t len;
    char bytes[256];
};

struct eddy_reader {
    struct eddy_store *store;
    uint64_t life;
    eddy_select select; /* its bytes are in own memory */
    unsigned char *bytes;
    struct eddy_context *last; /* of the last call: a hint */
    uint64_t hash;             /* of select.stream */
    struct eddy_list_key key;  /* of the list of select.shard, if it goes along that */
    unsigned group;
    /* Where it is. In numbers: offsets; versions if select.stream is given; else ordinals of the list of
     * a shard, if that is. */
    uint64_t at;    /* the last number looked at; backward: the next one to look at, + 1 */
    uint64_t bound; /* the last number to look at; 0: not known yet, UINT64_MAX: none */
    uint64_t given;
    uint64_t counted; /* of them, in the counters */
    bool indexed;     /* by versions or ordinals */
    bool listed;      /* by ordinals: see shard.h */
    bool anew;        /* another list than it went along */
    bool by_offset;   /* all offsets in order, by a handle with slots: the common case */
    bool borrow;
    bool filters; /* something beside the numbers decides which events match */
    bool easy;    /* by offset, no filters, and started: look_near() may do */
    bool started;
    bool ended;
    uint64_t quiet;     /* holes up to this offset are no news: they were there when it began */
    uint64_t gone_from; /* of a number that is gone: first and last that are known to be so */
    uint64_t gone_to;
    uint64_t gone_offset; /* by ordinals: the offset of the last of them, if it is known */
    eddy_position position;
    /* Caches, checked before they are used. */
    uint64_t desc;
    uint64_t desc_tag;
    uint64_t number; /* of the selected stream; 0: not met yet */
    struct eddy_trie_leaf offsets;
    struct eddy_trie_leaf versions;
    struct eddy_reader_name name;
    struct eddy_room buffer;
    struct eddy_room more;         /* of eddy_reader_fetch(): events after the first */
    char id[EDDY_STREAM_MAX + 24]; /* "<stream>-<version>" */
    uint32_t id_len;
    uint64_t id_version; /* 0: none */
    struct eddy_instant instant;
    /* Waiting. */
    uint32_t slot; /* UINT32_MAX: none */
    bool marked;
    uint32_t seen;
    int64_t spin_ns;
    eddy_word32 woken; /* calls of eddy_reader_wake() */
    uint32_t answered; /* of them, by eddy_reader_wait() */
    uint32_t kicked;   /* of them, by the descriptor */
    struct eddy_pollfd *pollfd;
    /* A borrowed event. */
    uint32_t pinned; /* extent + 1 */
    uint32_t pinned_gen;
};

/* There is nothing yet at a number; or it is gone, and the reader says which are. */
enum { EDDY_READER_NOTHING = 2, EDDY_READER_GONE = 3 };

/* Prepares a reader in memory that is zeroed: copies the select. */
int eddy_reader_init(struct eddy_reader *reader, struct eddy_store *store,
                     const eddy_select *select);
void eddy_reader_fini(struct eddy_reader *reader);
/* The room of a buffer. */
struct eddy_room *eddy_buffer_room(eddy_buffer *buffer);
/* Comes in: a reader slot, if it needs one, anew after a fork. */
int eddy_reader_enter_slow(struct eddy_reader *reader, struct eddy_context **context);

static inline int eddy_reader_enter(struct eddy_reader *reader, struct eddy_context **context) {
    if (eddy_store_same_context(reader->store, reader->last) &&
        reader->life == reader->store->life) {
        *context = reader->last;
        return 0;
    }
    return eddy_reader_enter_slow(reader, context);
}

/* Arms the descriptor of a reader that has caught up: EDDY_CAUGHT_UP or an error. */
int eddy_reader_arm(struct eddy_reader *reader);

/* The event of a number (an offset, or a version of the selected stream): 1, 0 if there was none at
 * an instant of this call, or an error. Inside the span. */
int eddy_reader_at(struct eddy_reader *reader, struct eddy_context *context, uint64_t number,
                   eddy_event *event);

/* Bytes of an event that is yet to come, to be fetched into the cache. */
enum { EDDY_READER_AHEAD = 192 };

/* Decimal digits of a number, at `to`; returns how many. */
static inline unsigned eddy_reader_write_number(char *to, uint64_t number) {
    char digits[20];
    unsigned n = sizeof digits;
    while (__builtin_expect(number >= 10, 1)) {
        digits[--n] = (char)('0' + number % 10);
        number /= 10;
    }
    digits[--n] = (char)('0' + number);
    for (unsigned i = n; i < sizeof digits; i++) {
        *to++ = digits[i];
    }
    return (unsigned)sizeof digits - n;
}

/* How far it has come. */
static inline void eddy_reader_show(const struct eddy_reader *r, uint64_t offset) {
    if (r->slot != UINT32_MAX) {
        /* [reader.R3] relaxed: for people to look at */
        eddy_st_rlx(&r->store->arena.readers[r->slot].position, offset);
    }
}

/* An event was given. */
static inline void eddy_reader_note(struct eddy_reader *r, const eddy_event *e) {
    r->position.offset = e->offset;
    r->position.version = e->version;
    r->position.caught_up = false;
    eddy_reader_show(r, e->offset);
}

#endif
