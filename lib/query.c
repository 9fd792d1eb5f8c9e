/* I1  What was seen to be gone, or not to match, stays so. So a query keeps how far it has looked
 *     (`seen`), whether or not the commit for which it looked came to be; and a commit that is tried
 *     again looks only at what has come since.
 * I2  Events are looked at in place; what was seen of one counts only if its extent has the generation
 *     that it had before, and its slot still leads to it.
 */
#include "query.h"

#include <string.h>

#include "error.h"
#include "match.h"

enum { AGAIN = 2, TRIES_MAX = 10000, AHEAD_BYTES = 128 };

struct look {
    const struct eddy_view *view;
    const eddy_select *select;
    struct eddy_query_found *found;
    struct eddy_trie_leaf near;
    unsigned char type[EDDY_TYPE_MAX];
    unsigned char tags[EDDY_TAGS_MAX * (EDDY_TAG_MAX + 1)];
};

static int missing(uint64_t offset) {
    return eddy_error_set(EDDY_ECORRUPT, "event %llu is missing in the index: run `eddy check`",
                          (unsigned long long)offset);
}

/* Copies the stream's name. */
static void name_of(struct look *k, uint64_t desc) {
    struct eddy_shm_stream *s = eddy_stream_at(k->view->arena, desc);
    eddy_bytes name = s ? eddy_stream_name(s) : eddy_mem(NULL, 0);
    k->found->stream_len = (uint32_t)name.len;
    if (name.len > 0) {
        eddy_copy_out(k->found->stream, name.ptr, name.len);
    }
    k->found->stream[name.len] = 0;
}

/* Does an event in place match, as far as it is one? */
static bool matches(struct look *k, const eddy_event *in_place, uint64_t desc) {
    eddy_event e = *in_place;
    if (k->select->prefix.len > 0) {
        name_of(k, desc);
        e.stream = eddy_mem(k->found->stream, k->found->stream_len);
    }
    if (k->select->type_count > 0 && e.type.len > 0) {
        if (e.type.len > sizeof k->type) {
            return false;
        }
        eddy_copy_out(k->type, e.type.ptr, e.type.len);
        e.type.ptr = k->type;
    }
    if (k->select->tag_count > 0 && e.tags.len > 0) {
        if (e.tags.len > sizeof k->tags) {
            return false;
        }
        eddy_copy_out(k->tags, e.tags.ptr, e.tags.len);
        e.tags.ptr = k->tags;
    }
    return eddy_match(k->select, &e) == EDDY_MATCH;
}

/* The event that a slot leads to: 1 it is there and matches, 0 it is not, or does not, or an error; or
 * AGAIN. */
static int look_once(struct look *k, const eddy_word *slot, uint64_t offset) {
    const struct eddy_view *v = k->view;
    struct eddy_arena *a = v->arena;
    eddy_event event;
    struct eddy_event_more more;
    uint64_t ref = eddy_view_load(v, slot);
    if (ref == 0 || EDDY_IS_TOMB(ref)) {
        return ref == 0 ? missing(offset) : 0;
    }
    if (!eddy_arena_at(a, ref, 8)) {
        return eddy_event_damaged(ref);
    }
    const struct eddy_shm_extent *e = &a->extents[eddy_arena_extent_of(a, ref)];
    /* [query.C1] acquire: pairs with [extent.P1], [extent.P2], [extent.P3]. The generation first: so that
     * all that is read from here on is of it, if it still is in the end. */
    uint32_t gen = EDDY_STATE_GEN(eddy_ld_acq(&e->state));
    int r = eddy_event_read(v, slot, ref, NULL, &event, &more);
    if (r != 1) {
        return r == 0 ? AGAIN : r;
    }
    if (event.offset != offset) {
        return eddy_error_set(EDDY_ECORRUPT, "offset %llu leads to another event",
                              (unsigned long long)offset);
    }
    bool yes =
        !eddy_gone_event(v, offset, event.version, more.stream) && matches(k, &event, more.stream);
    if (yes) {
        name_of(k, more.stream);
        k->found->offset = offset;
    }
    /* Its extent was not used again, and (behind the same fence) its slot has not been buried: nor then
     * has its stream's descriptor been. */
    return eddy_event_same(e, gen) && eddy_view_load(v, slot) == ref ? yes : AGAIN;
}

static int look_at(struct look *k, const eddy_word *slot, uint64_t offset) {
    int r = AGAIN;
    for (int i = 0; r == AGAIN && i < TRIES_MAX; i++) {
        r = look_once(k, slot, offset);
    }
    return r == AGAIN ? eddy_error_set(EDDY_ECORRUPT, "event %llu is being moved all the time",
                                       (unsigned long long)offset)
                      : r;
}

/* The leaf's slot of an offset: 1; 0 if there is none any more, and *offset is the last that went with
 * it; or an error. */
static int slot_of(struct look *k, uint64_t *offset, eddy_word **slot) {
    const struct eddy_view *v = k->view;
    eddy_word *root = &v->arena->super->offsets_root;
    uint64_t gone = 0;
    int r = eddy_trie_slot_near(v, root, *offset, &k->near, slot);
    if (r == 0) {
        r = eddy_trie_walk(v, root, *offset, slot, &gone);
    }
    if (r == 0 && gone == 0) {
        return missing(*offset);
    }
    *offset |= r == 0 ? gone - 1 : 0;
    return r;
}

/* Looks at offsets from `from` to the end of their leaf, or to `last`. *seen: up to there none matched. */
static int along_leaf(struct look *k, uint64_t from, uint64_t last, uint64_t *seen) {
    const struct eddy_arena *a = k->view->arena;
    uint64_t end = from | (EDDY_TRIE_SLOTS - 1);
    uint64_t at = from;
    eddy_word *slot;
    int r = slot_of(k, &at, &slot);
    if (r <= 0) {
        *seen = r == 0 ? (at < last ? at : last) : *seen;
        return r;
    }
    end = end < last ? end : last;
    for (r = 0; r == 0 && at <= end; at++, slot++) {
        if (at + 2 <= end) {
            /* [query.R1] relaxed: where the event after the next will be looked for */
            eddy_at_fetch_read((uintptr_t)a->base + eddy_ld_rlx(slot + 2), AHEAD_BYTES);
        }
        r = look_at(k, slot, at);
        *seen = r == 0 ? at : *seen;
    }
    return r;
}

static int along_offsets(struct look *k, struct eddy_batch_query *q, uint64_t last) {
    int r = 0;
    while (r == 0 && q->seen < last) {
        r = along_leaf(k, q->seen + 1, last, &q->seen);
    }
    return r;
}

static int along_stream(struct look *k, struct eddy_batch_query *q, struct eddy_shm_stream *s) {
    const struct eddy_view *v = k->view;
    uint64_t last = eddy_view_load(v, &s->version);
    uint64_t version = 0;
    struct eddy_trie_leaf near = {0};
    int r = eddy_gone_before(v, s, q->seen, &version);
    while (r == 0 && version < last) {
        eddy_word *slot;
        r = eddy_stream_slot(v, s, ++version, &near, &slot);
        uint64_t offset = r == 1 ? eddy_view_load(v, slot) : 0;
        if (r < 0 || offset == 0) {
            return r < 0 ? r : missing(version);
        }
        uint64_t at = offset;
        r = slot_of(k, &at, &slot);
        r = r == 1 ? look_at(k, slot, offset) : r;
        q->seen = r == 0 ? offset : q->seen;
    }
    return r;
}

int eddy_query_look(const struct eddy_view *v, struct eddy_batch_query *q,
                    struct eddy_shm_stream *desc, const struct eddy_ring_copy *now,
                    struct eddy_query_found *found) {
    struct look k = {.view = v, .select = &q->select, .found = found};
    uint64_t last = now->next_offset - 1;
    q->seen = q->seen < q->select.after_offset ? q->select.after_offset : q->seen;
    q->seen = q->seen < now->floor ? now->floor : q->seen;
    if (q->seen >= last) {
        return 0;
    }
    int r = q->select.stream.len == 0 ? along_offsets(&k, q, last)
            : desc                    ? along_stream(&k, q, desc)
                                      : 0;
    q->seen = r == 0 ? last : q->seen;
    return r;
}
