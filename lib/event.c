#include "event.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static uint64_t up8(uint64_t n) {
    return (n + 7) & ~UINT64_C(7);
}

static inline unsigned char *put(unsigned char *at, eddy_bytes b) {
    if (b.len > 0 && b.ptr) {
        eddy_copy_in(at, b.ptr, b.len);
    }
    return at + b.len;
}

void *eddy_event_write(void *at, const eddy_new_event *e, uint64_t size, uint16_t index,
                       uint16_t stream, uint16_t step) {
    unsigned flags = eddy_event_flags(e);
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
        p = put(p, eddy_mem(&e->time_ns, 8));
    }
    if (flags & EDDY_EVENT_SHARD) {
        p = put(p, eddy_mem(&e->shard, 8));
    }
    unsigned char *data = p;
    p = put(p, e->data);
    p = put(p, e->metadata);
    p = put(p, e->type);
    (void)put(p, e->id);
    return data;
}

int eddy_room_for(struct eddy_room *b, size_t room) {
    if (room > b->room) {
        size_t more = room < 4096 ? 4096 : room + room / 4;
        unsigned char *bytes = realloc(b->bytes, more);
        if (!bytes) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for an event of %zu bytes", room);
        }
        b->bytes = bytes;
        b->room = more;
    }
    return 0;
}

/* Is the header one that can stand at `within` bytes in a piece of memory of `size` bytes? */
static inline bool plausible(const struct eddy_shm_event *h, uint64_t within, uint64_t size) {
    uint64_t need = eddy_event_fixed_size(h->flags) + (uint64_t)h->data_len + h->meta_len + h->type_len +
                    h->id_len;
    uint64_t bytes = (uint64_t)h->size8 * 8;
    return h->kind == EDDY_BLOCK_EVENT && h->flags <= EDDY_EVENT_FLAGS && bytes == up8(need) &&
           bytes <= size - within;
}

/* Fills in what the block says; p is behind its fixed header, in a copy or in place. */
static inline void parse(const struct eddy_shm_event *h, const unsigned char *p, eddy_event *out) {
    out->time_ns = out->recorded_ns;
    out->shard = 0;
    out->reserved = 0;
    if (h->flags & EDDY_EVENT_TIME) {
        memcpy(&out->time_ns, p, 8);
        p += 8;
    }
    if (h->flags & EDDY_EVENT_SHARD) {
        memcpy(&out->shard, p, 8);
        p += 8;
    }
    out->data = eddy_mem(p, h->data_len);
    p += h->data_len;
    out->metadata = eddy_mem(p, h->meta_len);
    p += h->meta_len;
    out->type = eddy_mem(p, h->type_len);
    p += h->type_len;
    out->id = eddy_mem(p, h->id_len);
}

static int damaged(uint64_t ref) {
    return eddy_error_set(EDDY_ECORRUPT, "the event at byte %llu of the store is damaged: run "
                          "`eddy check`", (unsigned long long)ref);
}

/* The fixed header of the block. */
static inline void load_header(const struct eddy_shm_event *at, struct eddy_shm_event *h) {
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
static inline bool read_head(const unsigned char *base, uint64_t size,
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
static inline uint64_t piece_size(struct eddy_arena *a, const struct eddy_shm_extent *e,
                                  uint64_t base) {
    /* [event.R2] relaxed: written before the state that the caller acquired; checked here */
    uint64_t info = eddy_ld_rlx(&e->info);
    if (__builtin_expect(EDDY_INFO_KIND(info) == EDDY_KIND_LARGE, 0)) {
        uint64_t size = (uint64_t)EDDY_INFO_RUN(info) * EDDY_EXTENT_SIZE;
        return eddy_arena_at(a, base, size) ? size : 0;
    }
    return EDDY_EXTENT_SIZE;
}

int eddy_event_read(const struct eddy_view *v, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *room, eddy_event *event, struct eddy_event_more *more) {
    struct eddy_arena *a = v->arena;
    struct eddy_shm_event h;
    if (ref % 8 != 0 || !eddy_arena_at(a, ref, sizeof h)) {
        return damaged(ref);
    }
    uint64_t within = (ref - a->extents_off) & (EDDY_EXTENT_SIZE - 1);
    const struct eddy_shm_extent *e = &a->extents[eddy_arena_extent_of(a, ref)];
    /* [event.C1] acquire: pairs with [extent.P1], [extent.P2], [extent.P3]. The generation first,
     * then the slot once more: so that the generation is that of this event. */
    uint64_t state = eddy_ld_acq(&e->state);
    if (eddy_view_load(v, slot) != ref) {
        return 0;
    }
    uint64_t size = piece_size(a, e, ref - within);
    if (EDDY_STATE_OF(state) < EDDY_OWNED || EDDY_STATE_OF(state) > EDDY_SEALED ||
        within + sizeof h > size) {
        return damaged(ref);
    }
    const unsigned char *at = eddy_arena_raw(a, ref);
    load_header((const struct eddy_shm_event *)(const void *)at, &h);
    bool good = plausible(&h, within, size) && read_head(at - within, size, &h, event, more);
    const unsigned char *body = at + sizeof h;
    more->bytes = (uint64_t)h.size8 * 8;
    if (good && room) {
        size_t rest = more->bytes - sizeof h;
        int r = rest > room->room ? eddy_room_for(room, rest) : 0;
        if (r < 0) {
            return r;
        }
        eddy_copy_out(room->bytes, body, rest);
        body = room->bytes;
    }
    if (!eddy_event_same(e, EDDY_STATE_GEN(state))) {
        return 0;
    }
    if (!good) {
        return damaged(ref);
    }
    parse(&h, body, event);
    return 1;
}
