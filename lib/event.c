#include "event.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static uint64_t up8(uint64_t n) {
    return (n + 7) & ~UINT64_C(7);
}

static uint16_t flags_of(const eddy_new_event *e) {
    unsigned flags = 0;
    if (e->time_ns != 0 || (e->flags & EDDY_TIME_GIVEN)) {
        flags |= EDDY_EVENT_TIME;
    }
    if (e->shard != 0) {
        flags |= EDDY_EVENT_SHARD;
    }
    return (uint16_t)flags;
}

static uint64_t fixed_size(unsigned flags) {
    return sizeof(struct eddy_shm_event) + ((flags & EDDY_EVENT_TIME) ? 8 : 0) +
           ((flags & EDDY_EVENT_SHARD) ? 8 : 0);
}

uint64_t eddy_event_size(const eddy_new_event *e) {
    return up8(fixed_size(flags_of(e)) + e->data.len + e->metadata.len + e->type.len + e->id.len);
}

static unsigned char *put(unsigned char *at, eddy_bytes b) {
    if (b.len > 0 && b.ptr) {
        eddy_copy_in(at, b.ptr, b.len);
    }
    return at + b.len;
}

void *eddy_event_write(void *at, const eddy_new_event *e, uint16_t index, uint16_t stream,
                       uint16_t step) {
    unsigned flags = flags_of(e);
    uint64_t size = up8(fixed_size(flags) + e->data.len + e->metadata.len + e->type.len +
                        e->id.len);
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

void eddy_event_set_head(void *at, uint64_t head) {
    EDDY_PUT(uint16_t, (unsigned char *)at + offsetof(struct eddy_shm_event, head8),
             (uint16_t)(head / 8));
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
static bool plausible(const struct eddy_shm_event *h, uint64_t within, uint64_t size) {
    uint64_t need = fixed_size(h->flags) + (uint64_t)h->data_len + h->meta_len + h->type_len +
                    h->id_len;
    uint64_t bytes = (uint64_t)h->size8 * 8;
    return h->kind == EDDY_BLOCK_EVENT && h->flags <= EDDY_EVENT_FLAGS && bytes == up8(need) &&
           bytes <= size - within && (uint64_t)h->head8 * 8 + sizeof(struct eddy_shm_head) <= size;
}

/* Fills in what the block says; p is behind its fixed header, in a copy or in place. */
static void parse(const struct eddy_shm_event *h, const unsigned char *p,
                  struct eddy_event_raw *out) {
    out->time_ns = out->recorded_ns;
    out->shard = 0;
    if (h->flags & EDDY_EVENT_TIME) {
        memcpy(&out->time_ns, p, 8);
        p += 8;
    }
    if (h->flags & EDDY_EVENT_SHARD) {
        memcpy(&out->shard, p, 8);
        p += 8;
    }
    out->bytes = h->size8 < UINT32_MAX / 8 ? h->size8 * 8 : UINT32_MAX;
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

/* The memory that a block at ref may use: its extent, or its run of extents. */
static bool piece_of(struct eddy_arena *a, uint64_t ref, uint32_t *idx, uint64_t *base,
                     uint64_t *size) {
    if (ref % 8 != 0 || !eddy_arena_at(a, ref, sizeof(struct eddy_shm_event))) {
        return false;
    }
    *idx = eddy_arena_extent_of(a, ref);
    *base = eddy_arena_extent_off(a, *idx);
    *size = EDDY_EXTENT_SIZE;
    /* [event.R2] relaxed: written before the state that the caller acquired; checked here */
    uint64_t info = eddy_ld_rlx(&a->extents[*idx].info);
    if (EDDY_INFO_KIND(info) == EDDY_KIND_LARGE) {
        *size = (uint64_t)EDDY_INFO_RUN(info) * EDDY_EXTENT_SIZE;
    }
    return ref - *base + sizeof(struct eddy_shm_event) <= *size &&
           eddy_arena_at(a, *base, *size) != NULL;
}

static bool read_head(const unsigned char *base, uint64_t size, const struct eddy_shm_event *h,
                      struct eddy_event_raw *out) {
    struct eddy_shm_head head;
    struct eddy_shm_part part;
    const unsigned char *at = base + (uint64_t)h->head8 * 8;
    uint64_t off = (uint64_t)h->head8 * 8 + eddy_event_head_size(h->stream);
    if (off + sizeof part > size) {
        return false;
    }
    eddy_copy_out(&head, at, sizeof head);
    eddy_copy_out(&part, base + off, sizeof part);
    out->tx_offset = head.tx_offset;
    out->tx_count = head.tx_count;
    out->offset = head.tx_offset + head.first + h->index;
    out->recorded_ns = head.recorded_ns;
    out->stream = part.stream;
    out->version = part.version + h->step;
    return head.kind == EDDY_BLOCK_HEAD && h->stream < head.streams;
}

int eddy_event_read(const struct eddy_view *v, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *buffer, struct eddy_event_raw *out) {
    struct eddy_arena *a = v->arena;
    struct eddy_shm_event h;
    uint32_t idx;
    uint32_t gen;
    uint64_t base_off;
    uint64_t size;
    if (!eddy_arena_at(a, ref, sizeof h)) {
        return damaged(ref);
    }
    bool live = eddy_event_extent(a, eddy_arena_extent_of(a, ref), &gen);
    /* The slot again, now that we have the generation: so that it is that of this event. */
    if (eddy_view_load(v, slot) != ref) {
        return 0;
    }
    if (!live || !piece_of(a, ref, &idx, &base_off, &size)) {
        return damaged(ref);
    }
    const unsigned char *base = eddy_arena_raw(a, base_off);
    const unsigned char *at = eddy_arena_raw(a, ref);
    eddy_copy_out(&h, at, sizeof h);
    bool good = plausible(&h, ref - base_off, size) && read_head(base, size, &h, out);
    const unsigned char *body = at + sizeof h;
    if (good && buffer) {
        size_t rest = (size_t)h.size8 * 8 - sizeof h;
        int r = eddy_room_for(buffer, rest);
        if (r < 0) {
            return r;
        }
        eddy_copy_out(buffer->bytes, body, rest);
        body = buffer->bytes;
    }
    if (!eddy_event_same(a, idx, gen)) {
        return 0;
    }
    if (!good) {
        return damaged(ref);
    }
    parse(&h, body, out);
    return 1;
}
