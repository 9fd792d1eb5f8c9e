/* The format of an event, written into an extent that a member owns, and read back by anybody.
 *
 * Events are not pinned by who reads them: they are copied out, and the copy counts only if the
 * extent still has the generation that it had before (the slot that led there being looked at
 * between). So a reader that is stopped for ever holds back no event.
 */
#ifndef EDDY_EVENT_H
#define EDDY_EVENT_H

#include "arena.h"
#include "view.h"

struct eddy_room {
    unsigned char *bytes;
    size_t room;
    bool fixed; /* a part of something larger: does not grow */
};

/* What an event's block says beside the event. */
struct eddy_event_more {
    uint64_t stream; /* offset of its descriptor */
    uint64_t bytes;  /* of its block */
    uint32_t flags;  /* EDDY_EVENT_... */
};

static inline bool eddy_event_in_shard(const eddy_new_event *e) {
    return e->shard != 0 || (e->flags & EDDY_SHARD_GIVEN);
}

/* Flags of the interface that an event may have, and that it reads back with. */
#define EDDY_EVENT_GIVEN (EDDY_TIME_GIVEN | EDDY_SHARD_GIVEN)
static_assert(EDDY_TIME_GIVEN == EDDY_EVENT_TIME && EDDY_SHARD_GIVEN == EDDY_EVENT_SHARD,
              "flags in the block are those of the interface");

/* Are these tags that an event may have? 0, or EDDY_EINVAL. */
int eddy_event_check_tags(const eddy_bytes *tags, size_t count);
/* The tags in a block: how many bytes; writing them; and finding them behind what comes before. */
uint64_t eddy_event_tags_size(const eddy_new_event *event);
void eddy_event_put_tags(unsigned char *to, const eddy_new_event *event);
void eddy_event_parse_tags(const unsigned char *p, uint64_t rest, eddy_event *out);
/* Are these bytes exactly so many tags? */
bool eddy_event_tags_whole(eddy_bytes tags, uint32_t count);

/* `tagged` is false, as a constant, where it is known that no event has tags: then nothing in writing it
 * asks for them. */
static inline unsigned eddy_event_flags(const eddy_new_event *e, bool tagged) {
    return ((e->time_ns != 0 || (e->flags & EDDY_TIME_GIVEN)) ? EDDY_EVENT_TIME : 0u) |
           (eddy_event_in_shard(e) ? EDDY_EVENT_SHARD : 0u) |
           (tagged && e->tag_count != 0 ? EDDY_EVENT_TAGS : 0u);
}

static inline uint64_t eddy_event_fixed_size(unsigned flags) {
    return sizeof(struct eddy_shm_event) + ((flags & EDDY_EVENT_TIME) ? 8 : 0) +
           ((flags & EDDY_EVENT_SHARD) ? 8 : 0);
}

/* Bytes of the block of an event, whose flags are those. */
static inline uint64_t eddy_event_size_of(const eddy_new_event *e, unsigned flags) {
    uint64_t bytes =
        eddy_event_fixed_size(flags) + e->data.len + e->metadata.len + e->type.len + e->id.len;
    if (flags & EDDY_EVENT_TAGS) {
        bytes += eddy_event_tags_size(e);
    }
    return (bytes + 7) & ~UINT64_C(7);
}

static inline uint64_t eddy_event_size(const eddy_new_event *e, bool tagged) {
    return eddy_event_size_of(e, eddy_event_flags(e, tagged));
}

/* The bytes at b, which are no more than few. */
static inline unsigned char *eddy_event_put(unsigned char *at, eddy_bytes b) {
    if (b.ptr) {
        eddy_copy_in_few(at, b.ptr, b.len);
    }
    return at + b.len;
}

/* Writes the block at `at`, which is ours and has room for its size; the data only if there is a
 * pointer. Returns where the data belongs. */
static inline void *eddy_event_write_flagged(void *at, const eddy_new_event *e, unsigned flags,
                                             uint64_t size, uint16_t index, uint16_t stream,
                                             uint16_t step) {
    EDDY_PUT(struct eddy_shm_event, at,
             {
                 .size8 = (uint32_t)(size / 8),
                 .kind = EDDY_BLOCK_EVENT,
                 .flags = (uint16_t)flags,
                 .data_len = (uint32_t)e->data.len,
                 .meta_len = (uint32_t)e->metadata.len,
                 .index = index,
                 .stream = stream,
                 .step = step,
                 .type_len = (uint16_t)e->type.len,
                 .id_len = (uint16_t)e->id.len,
             });
    unsigned char *p = (unsigned char *)at + sizeof(struct eddy_shm_event);
    if (flags & EDDY_EVENT_TIME) {
        eddy_copy_in(p, &e->time_ns, 8);
        p += 8;
    }
    if (flags & EDDY_EVENT_SHARD) {
        eddy_copy_in(p, &e->shard, 8);
        p += 8;
    }
    unsigned char *data = p;
    p += e->data.len;
    /* The others are often not there. */
    if (e->metadata.len | e->type.len | e->id.len) {
        p = eddy_event_put(p, e->metadata);
        p = eddy_event_put(p, e->type);
        p = eddy_event_put(p, e->id);
    }
    if (flags & EDDY_EVENT_TAGS) {
        eddy_event_put_tags(p, e);
    }
    if (e->data.ptr) {
        eddy_copy_in(data, e->data.ptr, e->data.len);
    }
    return data;
}

static inline void *eddy_event_write(void *at, const eddy_new_event *e, bool tagged, uint64_t size,
                                     uint16_t index, uint16_t stream, uint16_t step) {
    return eddy_event_write_flagged(at, e, eddy_event_flags(e, tagged), size, index, stream, step);
}

/* Says where the part's head is, in bytes from the start of the extent. */
static inline void eddy_event_set_head(void *at, uint64_t head) {
    EDDY_PUT(uint16_t, (unsigned char *)at + offsetof(struct eddy_shm_event, head8),
             (uint16_t)(head / 8));
}

static inline uint64_t eddy_event_head_size(uint32_t streams) {
    return sizeof(struct eddy_shm_head) + (uint64_t)streams * sizeof(struct eddy_shm_part);
}

int eddy_room_for(struct eddy_room *buffer, size_t room);

/* Reads the event that *slot, loaded as ref, leads to, all but its stream's name: 1; 0 if it moved
 * or was removed meanwhile (load the slot again); or an error. Its bytes are in room; or, with
 * NULL, in place, for a caller who pins the extent, or looks at none of them. */
int eddy_event_read(const struct eddy_view *view, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *room, eddy_event *event, struct eddy_event_more *more);

/* What was copied before this was copied from that generation. */
static inline bool eddy_event_same(const struct eddy_shm_extent *extent, uint32_t gen) {
    /* [event.C2] acquire fence: pairs with [extent.F1]. The copying stands before this load. */
    eddy_fence_acq();
    /* [event.R1] relaxed: ordered by the fence above */
    return EDDY_STATE_GEN(eddy_ld_rlx(&extent->state)) == gen;
}

int eddy_event_damaged(uint64_t ref);

/* Is the header one that can stand at `within` bytes in a piece of memory of `size` bytes? */
static inline bool eddy_event_plausible(const struct eddy_shm_event *h, uint64_t within,
                                        uint64_t size) {
    uint64_t need = eddy_event_fixed_size(h->flags) + (uint64_t)h->data_len + h->meta_len +
                    h->type_len + h->id_len;
    uint64_t bytes = (uint64_t)h->size8 * 8;
    if (__builtin_expect(h->flags >= EDDY_EVENT_TAGS, 0)) {
        /* They have the rest of it. */
        need = h->flags <= EDDY_EVENT_FLAGS && need < bytes ? bytes : UINT64_MAX / 2;
    }
    return h->kind == EDDY_BLOCK_EVENT && bytes == ((need + 7) & ~UINT64_C(7)) &&
           bytes <= size - within;
}

/* Fills in what the block says; body is behind its fixed header, in a copy or in place. */
static inline void eddy_event_parse(const struct eddy_shm_event *h, const unsigned char *body,
                                    eddy_event *out) {
    const unsigned char *p = body;
    out->time_ns = out->recorded_ns;
    out->shard = 0;
    out->flags = h->flags & EDDY_EVENT_GIVEN;
    out->tag_count = 0;
    out->tags = eddy_mem(NULL, 0);
    if (h->flags & EDDY_EVENT_TIME) {
        eddy_copy_out(&out->time_ns, p, 8);
        p += 8;
    }
    if (h->flags & EDDY_EVENT_SHARD) {
        eddy_copy_out(&out->shard, p, 8);
        p += 8;
    }
    out->data = eddy_mem(p, h->data_len);
    p += h->data_len;
    out->metadata = eddy_mem(p, h->meta_len);
    p += h->meta_len;
    out->type = eddy_mem(p, h->type_len);
    p += h->type_len;
    out->id = eddy_mem(p, h->id_len);
    if (__builtin_expect(h->flags >= EDDY_EVENT_TAGS, 0)) {
        p += h->id_len;
        eddy_event_parse_tags(p, (uint64_t)h->size8 * 8 - sizeof *h - (uint64_t)(p - body), out);
    }
}

/* The fixed header of the block. */
static inline void eddy_event_load_header(const struct eddy_shm_event *at,
                                          struct eddy_shm_event *h) {
    h->size8 = eddy_copy_field(&at->size8);
    h->kind = eddy_copy_field(&at->kind);
    h->flags = eddy_copy_field(&at->flags);
    h->data_len = eddy_copy_field(&at->data_len);
    h->meta_len = eddy_copy_field(&at->meta_len);
    h->head8 = eddy_copy_field(&at->head8);
    h->index = eddy_copy_field(&at->index);
    h->stream = eddy_copy_field(&at->stream);
    h->step = eddy_copy_field(&at->step);
    h->type_len = eddy_copy_field(&at->type_len);
    h->id_len = eddy_copy_field(&at->id_len);
}

/* What the head of the event's part says. */
static inline bool eddy_event_read_head(const unsigned char *base, uint64_t size,
                                        const struct eddy_shm_event *h, eddy_event *out,
                                        struct eddy_event_more *more) {
    uint64_t at = (uint64_t)h->head8 * 8;
    if (at + eddy_event_head_size(h->stream + 1u) > size) {
        return false;
    }
    const struct eddy_shm_head *head = (const struct eddy_shm_head *)(const void *)(base + at);
    const struct eddy_shm_part *part = &head->part[h->stream];
    out->tx_offset = eddy_copy_field(&head->tx_offset);
    out->tx_count = eddy_copy_field(&head->tx_count);
    out->offset = out->tx_offset + eddy_copy_field(&head->first) + h->index;
    out->recorded_ns = eddy_copy_field(&head->recorded_ns);
    out->version = eddy_copy_field(&part->version) + h->step;
    more->stream = eddy_copy_field(&part->stream);
    return eddy_copy_field(&head->kind) == EDDY_BLOCK_HEAD &&
           h->stream < eddy_copy_field(&head->streams);
}

/* The bytes that a block in the extent may use: the extent's, or those of its run. 0: none. */
static inline uint64_t eddy_event_piece_size(struct eddy_arena *a, const struct eddy_shm_extent *e,
                                             uint64_t base) {
    /* [event.R2] relaxed: written before the state that the caller acquired; checked here */
    uint64_t info = eddy_ld_rlx(&e->info);
    if (__builtin_expect(EDDY_INFO_KIND(info) == EDDY_KIND_LARGE, 0)) {
        uint64_t size = (uint64_t)EDDY_INFO_RUN(info) * EDDY_EXTENT_SIZE;
        return eddy_arena_at(a, base, size) ? size : 0;
    }
    return EDDY_EXTENT_SIZE;
}

/* eddy_event_read(), for the one place where a call would cost as much as the reading. */
static inline __attribute__((always_inline)) int
eddy_event_read_inline(const struct eddy_view *v, const eddy_word *slot, uint64_t ref,
                       struct eddy_room *room, eddy_event *event, struct eddy_event_more *more) {
    struct eddy_arena *a = v->arena;
    struct eddy_shm_event h;
    if (ref % 8 != 0 || !eddy_arena_at(a, ref, sizeof h)) {
        return eddy_event_damaged(ref);
    }
    uint64_t within = (ref - a->extents_off) & (EDDY_EXTENT_SIZE - 1);
    const struct eddy_shm_extent *e = &a->extents[eddy_arena_extent_of(a, ref)];
    /* [event.C1] acquire: pairs with [extent.P1], [extent.P2], [extent.P3], [reclaim.P4], [evacuate.P2]. The
     * generation first,
     * then the slot once more: so that the generation is that of this event. */
    uint64_t state = eddy_ld_acq(&e->state);
    if (eddy_view_load(v, slot) != ref) {
        return 0;
    }
    uint64_t size = eddy_event_piece_size(a, e, ref - within);
    if (EDDY_STATE_OF(state) < EDDY_OWNED || EDDY_STATE_OF(state) > EDDY_SEALED ||
        within + sizeof h > size) {
        /* Or the event has come back to where it was before: the state is of between. */
        return eddy_event_same(e, EDDY_STATE_GEN(state)) ? eddy_event_damaged(ref) : 0;
    }
    const unsigned char *at = eddy_arena_raw(a, ref);
    eddy_event_load_header((const struct eddy_shm_event *)(const void *)at, &h);
    bool good = eddy_event_plausible(&h, within, size) &&
                eddy_event_read_head(at - within, size, &h, event, more);
    const unsigned char *body = at + sizeof h;
    more->bytes = (uint64_t)h.size8 * 8;
    more->flags = h.flags;
    if (good && room) {
        size_t rest = more->bytes - sizeof h;
        int r = rest > room->room ? eddy_room_for(room, rest) : 0;
        if (r < 0) {
            return r;
        }
        if (rest > 0) {
            eddy_copy_out(room->bytes, body, rest);
        }
        body = room->bytes;
    }
    if (good) {
        eddy_event_parse(&h, body, event); /* in place, it reads from there */
    }
    if (!eddy_event_same(e, EDDY_STATE_GEN(state))) {
        return 0;
    }
    return good ? 1 : eddy_event_damaged(ref);
}

#endif
