/* Reading the records of a snapshot: nothing in them is believed that was not looked at. The blocks
 * have their checksums, so what is refused here was written so. */
#include "dump.h"

#include <string.h>

#include "error.h"
#include "event.h"
#include "layout.h"

enum { NUMBER_BITS = 62 }; /* beyond that it is no number of anything */

struct reading {
    struct eddy_blockfile_in *in;
    const struct eddy_dump_visitor *visitor;
    void *arg;
    size_t at; /* in the present block */
    uint16_t kind;
    struct eddy_dump_store store;
    struct eddy_dump_end end; /* what was counted */
    uint64_t last;            /* number or offset */
};

static int wrong(const struct reading *r, const char *what) {
    return eddy_blockfile_damaged(r->in, r->at, "%s", what);
}

/* The fixed part of the next record. */
static bool fixed(const struct reading *r, void *to, size_t size) {
    if (r->in->length - r->at < size) {
        return false;
    }
    memcpy(to, r->in->contents + r->at, size);
    return true;
}

/* Are so many bytes there behind a fixed part? They are passed by. */
static bool rest(struct reading *r, size_t size, uint64_t bytes, const unsigned char **from) {
    if (r->in->length - r->at - size < bytes) {
        return false;
    }
    *from = r->in->contents + r->at + size;
    r->at += size + (size_t)bytes;
    return true;
}

static int read_store(struct reading *r) {
    struct eddy_dump_store *s = &r->store;
    if (!fixed(r, s, sizeof *s)) {
        return wrong(r, "the facts of the store are cut short");
    }
    if ((s->head | s->floor | s->streams_in | s->transactions) >> NUMBER_BITS != 0 ||
        s->floor > s->head || s->cap < EDDY_CAP_MIN || s->cap > EDDY_CAP_MAX || s->members < 2 ||
        s->members > 1024 || s->threads < 2 || s->threads > 8000) {
        return wrong(r, "facts of a store that cannot be");
    }
    r->at += sizeof *s;
    return r->visitor->store ? r->visitor->store(r->arg, s) : 0;
}

static int read_entry(struct reading *r) {
    struct eddy_dump_entry e;
    const unsigned char *behind;
    if (!fixed(r, &e, sizeof e)) {
        return wrong(r, "an entry is cut short");
    }
    if (e.family == EDDY_FAMILY_STREAM || e.family >= EDDY_FAMILIES || e.key_len < 1 ||
        e.key_len > EDDY_KEY_MAX) {
        return wrong(r, "an entry that cannot be");
    }
    if (!rest(r, sizeof e, (uint64_t)e.key_len + e.data_len + e.meta_len, &behind)) {
        return wrong(r, "an entry is cut short");
    }
    r->end.entries++;
    return r->visitor->entry ? r->visitor->entry(r->arg, &e, behind) : 0;
}

static int read_stream(struct reading *r) {
    struct eddy_dump_stream s;
    const unsigned char *behind;
    if (!fixed(r, &s, sizeof s)) {
        return wrong(r, "a stream is cut short");
    }
    if (s.name_len < 1 || s.name_len > EDDY_STREAM_MAX || s.number <= r->last ||
        s.number > r->store.streams_in || s.version >> NUMBER_BITS != 0) {
        return wrong(r, "a stream that cannot be");
    }
    if (!rest(r, sizeof s, s.name_len, &behind)) {
        return wrong(r, "a stream is cut short");
    }
    r->last = s.number;
    r->end.streams++;
    return r->visitor->stream ? r->visitor->stream(r->arg, &s, behind) : 0;
}

static bool event_can_be(const struct reading *r, const struct eddy_dump_event *e) {
    return e->offset > r->last && e->offset > r->store.floor && e->offset <= r->store.head &&
           e->stream >= 1 && e->stream <= r->store.streams_in && e->version >= 1 &&
           e->version >> NUMBER_BITS == 0 && e->tx_count >= 1 &&
           e->tx_count <= EDDY_TX_EVENTS_MAX && e->tx_offset >= 1 && e->tx_offset <= e->offset &&
           e->offset - e->tx_offset < e->tx_count &&
           (e->flags & ~(uint32_t)EDDY_EVENT_FLAGS) == 0 && e->type_len <= EDDY_TYPE_MAX &&
           e->id_len <= EDDY_ID_MAX && (uint64_t)e->data_len + e->meta_len <= EDDY_EVENT_MAX &&
           e->tags_len <= 1 + EDDY_TAGS_MAX * (1 + EDDY_TAG_MAX);
}

/* Are the tags what the flags and their number say? */
static bool tags_can_be(const struct eddy_dump_event *e, const unsigned char *behind) {
    const unsigned char *tags = behind + e->data_len + e->meta_len + e->type_len + e->id_len;
    if (e->tags_len == 0) {
        return (e->flags & EDDY_EVENT_TAGS) == 0;
    }
    return (e->flags & EDDY_EVENT_TAGS) && *tags > 0 &&
           eddy_event_tags_whole(eddy_mem(tags + 1, e->tags_len - 1), *tags);
}

static int read_event(struct reading *r) {
    struct eddy_dump_event e;
    const unsigned char *behind;
    if (!fixed(r, &e, sizeof e)) {
        return wrong(r, "an event is cut short");
    }
    if (!event_can_be(r, &e)) {
        return wrong(r, "an event that cannot be");
    }
    uint64_t body = (uint64_t)e.data_len + e.meta_len + e.type_len + e.id_len + e.tags_len;
    if (!rest(r, sizeof e, body, &behind)) {
        return wrong(r, "an event is cut short");
    }
    if (!tags_can_be(&e, behind)) {
        return wrong(r, "an event with tags that cannot be");
    }
    r->last = e.offset;
    r->end.events++;
    return r->visitor->event ? r->visitor->event(r->arg, &e, behind) : 0;
}

static int read_gone(struct reading *r) {
    struct eddy_dump_gone g;
    if (!fixed(r, &g, sizeof g) || g.stream <= r->last || g.stream > r->store.streams_in) {
        return wrong(r, "what is gone of a stream cannot be");
    }
    r->at += sizeof g;
    r->last = g.stream;
    r->end.gone++;
    return r->visitor->gone ? r->visitor->gone(r->arg, &g) : 0;
}

static int read_end(struct reading *r) {
    struct eddy_dump_end e;
    if (!fixed(r, &e, sizeof e) || e.entries != r->end.entries || e.streams != r->end.streams ||
        e.events != r->end.events || e.gone != r->end.gone || e.floor < r->store.floor ||
        e.floor > INT64_MAX) {
        return wrong(r, "the totals at its end are not those of what stands before");
    }
    r->at += sizeof e;
    return r->visitor->end ? r->visitor->end(r->arg, &e) : 0;
}

static int read_block(struct reading *r) {
    static int (*const readers[])(struct reading *) = {
        NULL, read_store, read_entry, read_stream, read_event, read_gone, read_end};
    const struct eddy_blockfile_in *in = r->in;
    bool single = in->kind == EDDY_DUMP_STORE || in->kind == EDDY_DUMP_END;
    r->at = 0;
    if (in->kind > EDDY_DUMP_END || in->kind < r->kind || (single && in->kind == r->kind) ||
        (r->kind == 0) != (in->kind == EDDY_DUMP_STORE)) {
        return wrong(r, "a block of a kind that does not belong there");
    }
    r->last = in->kind == r->kind ? r->last : 0;
    r->kind = in->kind;
    int got = 0;
    for (uint32_t i = 0; got == 0 && i < in->records; i++) {
        got = readers[in->kind](r);
    }
    if (got == 0 && (r->at != in->length || (single && in->records != 1))) {
        return wrong(r, "a block has another length than its records");
    }
    return got;
}

int eddy_dump_read(struct eddy_blockfile_in *in, const struct eddy_dump_visitor *visitor,
                   void *arg) {
    struct reading r = {.in = in, .visitor = visitor, .arg = arg};
    int got;
    while ((got = eddy_blockfile_next(in)) == 1) {
        got = read_block(&r);
        if (got != 0) {
            return got;
        }
    }
    if (got == 0 && r.kind != EDDY_DUMP_END) {
        return eddy_error_set(EDDY_ECORRUPT,
                              "%s: byte %llu: is cut short: its last block is missing", in->path,
                              (unsigned long long)in->size);
    }
    return got;
}

/* ---- facts ---- */

int eddy_dump_check_facts(const eddy_snapshot_facts *f) {
    if (f && (f->size < offsetof(eddy_snapshot_facts, created_ns) || f->size > sizeof *f)) {
        return eddy_error_set(EDDY_EINVAL, "facts of %u bytes: size must be set to sizeof, %zu",
                              f->size, sizeof *f);
    }
    return 0;
}

void eddy_dump_give(const struct eddy_dump_store *s, const struct eddy_dump_end *e, uint64_t bytes,
                    eddy_snapshot_facts *facts) {
    eddy_snapshot_facts f = {.size = facts->size,
                             .format = EDDY_BLOCKFILE_FORMAT,
                             .bytes = bytes,
                             .head = s->head,
                             .events = e->events,
                             .event_bytes = e->bytes,
                             .streams = e->streams,
                             .entries = e->entries,
                             .transactions = s->transactions,
                             .recorded_ns = s->recorded_ns,
                             .taken_ns = s->taken_ns,
                             .created_ns = s->created_ns,
                             .store_id = s->store_id,
                             .cap = s->cap};
    memcpy(facts, &f, facts->size);
}
