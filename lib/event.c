#include "event.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

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
        if (b->fixed) {
            return EDDY_ELIMIT; /* no sentence: it is only tried */
        }
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

int eddy_event_damaged(uint64_t ref) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the event at byte %llu of the store is damaged: run "
                          "`eddy check`",
                          (unsigned long long)ref);
}

int eddy_event_read(const struct eddy_view *v, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *room, eddy_event *event, struct eddy_event_more *more) {
    return eddy_event_read_inline(v, slot, ref, room, event, more);
}
