/* Reading many events at once: further ones of the leaf in which the last one lay, copied one
 * behind the other with the names and ids that they need. What is not easy is left to
 * eddy_reader_next().
 */
#include <string.h>

#include "error.h"
#include "gone.h"
#include "reader.h"

enum {
    FETCH_NAMES = 600,       /* a name and an id */
    FETCH_ROOM = 128 * 1024, /* of all events after the first */
    SHORT = 32,              /* bytes of most ids, and less than FETCH_NAMES */
};

static_assert(EDDY_EXTENT_SIZE % (EDDY_TRIE_CLASS * EDDY_LINE) != 0, "a word behind each leaf");

/* What a fetch has written so far of bytes that must stay: names and ids. */
struct fetch {
    unsigned char *at;
    unsigned char *end;
    uint64_t desc; /* of the last event's stream, and */
    eddy_bytes name;
    eddy_bytes id; /* the last default one, if it is of that stream, and */
    uint64_t version;
};

static bool fetch_name(struct fetch *f, const struct eddy_view *v, uint64_t desc) {
    const struct eddy_shm_stream *s = eddy_stream_at(v->arena, desc);
    /* Covered from now on, so that the name is good for the events that follow; a younger one is left
     * to the general way. */
    if (!s || !eddy_view_covers(v, &s->block)) {
        return false;
    }
    eddy_bytes name = eddy_stream_name(s);
    eddy_copy_out(f->at, name.ptr, name.len);
    f->name = eddy_mem(f->at, name.len);
    f->id = eddy_mem(NULL, 0);
    f->desc = desc;
    f->at += name.len;
    return true;
}

static inline eddy_bytes fetch_id(struct fetch *f, uint64_t version) {
    char *id = (char *)f->at;
    size_t len = f->id.len;
    if (version == f->version + 1 && len > 0 && ((const char *)f->id.ptr)[len - 1] != '9') {
        if (len <= SHORT) {
            char copy[SHORT]; /* a fixed size is no call; the two places may overlap */
            memcpy(copy, f->id.ptr, SHORT);
            memcpy(id, copy, SHORT);
        } else {
            memcpy(id, f->id.ptr, len);
        }
        id[len - 1]++;
    } else {
        len = f->name.len;
        memcpy(id, f->name.ptr, len);
        id[len++] = '-';
        len += eddy_reader_write_number(id + len, version);
    }
    f->at += len;
    f->version = version;
    f->id = eddy_mem(id, len);
    return f->id;
}

/* The event in a slot of the leaf: true, or it is left to the general way. */
static inline bool fetch_one(struct eddy_arena *a, struct eddy_span *span, struct fetch *f,
                             const eddy_word *slot, uint64_t number, eddy_event *event) {
    /* Nothing lies over what is loaded: the handle has slots. */
    const struct eddy_view v = {.arena = a, .span = span, .overlay = NULL};
    struct eddy_event_more more = {0};
    /* [fetch.R1] relaxed: where the event after the next will be looked for. The word behind the leaf's
     * last slot is one of the same extent, which no leaf fills to its end, and any address will do. */
    eddy_at_fetch_read((uintptr_t)a->base + eddy_ld_rlx(slot + 1), EDDY_READER_AHEAD);
    uint64_t ref = eddy_view_load(&v, slot);
    struct eddy_room room = {
        .bytes = f->at, .room = (size_t)(f->end - f->at) - FETCH_NAMES, .fixed = true};
    if (ref == 0 || EDDY_IS_TOMB(ref) ||
        eddy_event_read_inline(&v, slot, ref, &room, event, &more) != 1 ||
        event->offset != number) {
        return false;
    }
    f->at += more.bytes - sizeof(struct eddy_shm_event);
    if ((more.stream != f->desc || f->desc == 0) && !fetch_name(f, &v, more.stream)) {
        return false;
    }
    event->stream = f->name;
    if (event->id.len == 0) {
        event->id = fetch_id(f, event->version);
    }
    bool gone = eddy_gone_event(&v, number, event->version, more.stream);
    /* [fetch.F1] acquire fence: alone: as in load_event() of reader.c */
    eddy_fence_acq();
    return !gone && eddy_view_load(&v, slot) == ref;
}

/* Further events of the leaf in which the last one lay, at most max. */
static size_t fetch_leaf(struct eddy_reader *r, eddy_event *events, size_t max) {
    struct eddy_arena *a = &r->store->arena;
    const struct eddy_trie_leaf *leaf = &r->offsets;
    uint64_t number = r->at + 1;
    uint64_t k = number & (EDDY_TRIE_SLOTS - 1);
    uint64_t left = r->bound - r->at;
    struct fetch f = {.at = r->more.bytes, .end = r->more.bytes + FETCH_ROOM};
    /* Once is enough: inside the span the leaf stays what it is. */
    if (leaf->off == 0 || leaf->base != number - k || r->bound < number ||
        !eddy_view_holds(&r->instant.view, leaf->off, leaf->tag)) {
        return 0;
    }
    max = max < EDDY_TRIE_SLOTS - k ? max : EDDY_TRIE_SLOTS - k;
    max = max < left ? max : left;
    const struct eddy_shm_node *node = eddy_arena_raw(a, leaf->off);
    size_t n = 0;
    while (n < max && f.end - f.at > 2 * FETCH_NAMES &&
           fetch_one(a, r->instant.view.span, &f, &node->slot[k + n], number + n, &events[n])) {
        n++;
    }
    return n;
}

static size_t fetch_more(struct eddy_reader *r, struct eddy_context *c, eddy_event *events,
                         size_t max) {
    if (eddy_room_for(&r->more, FETCH_ROOM) < 0) {
        return 0;
    }
    eddy_rcu_enter(&c->thread.span);
    size_t n = fetch_leaf(r, events, max);
    eddy_rcu_leave(&c->thread.span);
    r->at += n;
    return n;
}

int eddy_reader_fetch(eddy_reader *r, eddy_event *events, size_t max, size_t *count) {
    *count = 0;
    if (max == 0) {
        return eddy_error_set(EDDY_EINVAL, "at least one event must be asked for");
    }
    int got = eddy_reader_next(r, &events[0]);
    if (got != EDDY_EVENT) {
        return got;
    }
    *count = 1;
    struct eddy_context *c = r->last;
    if (max > 1 && r->easy && !r->borrow && r->instant.view.span == &c->thread.span) {
        size_t n = fetch_more(r, c, events + 1, max - 1);
        r->given += n;
        r->position.looked_at = events[n].offset;
        eddy_reader_note(r, &events[n]);
        *count += n;
    }
    return EDDY_EVENT;
}
