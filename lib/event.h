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
};

/* What an event's block says beside the event. */
struct eddy_event_more {
    uint64_t stream; /* offset of its descriptor */
    uint64_t bytes;  /* of its block */
};

static inline unsigned eddy_event_flags(const eddy_new_event *e) {
    return ((e->time_ns != 0 || (e->flags & EDDY_TIME_GIVEN)) ? EDDY_EVENT_TIME : 0u) |
           (e->shard != 0 ? EDDY_EVENT_SHARD : 0u);
}

static inline uint64_t eddy_event_fixed_size(unsigned flags) {
    return sizeof(struct eddy_shm_event) + ((flags & EDDY_EVENT_TIME) ? 8 : 0) +
           ((flags & EDDY_EVENT_SHARD) ? 8 : 0);
}

/* Bytes of the block of an event. */
static inline uint64_t eddy_event_size(const eddy_new_event *e) {
    uint64_t bytes = eddy_event_fixed_size(eddy_event_flags(e)) + e->data.len + e->metadata.len +
                     e->type.len + e->id.len;
    return (bytes + 7) & ~UINT64_C(7);
}

/* Writes the block at `at`, which is ours and has room for its size; the data only if there is a pointer. Returns where the
 * data belongs. */
void *eddy_event_write(void *at, const eddy_new_event *event, uint64_t size, uint16_t index,
                       uint16_t stream, uint16_t step);
/* Says where the part's head is, in bytes from the start of the extent. */
static inline void eddy_event_set_head(void *at, uint64_t head) {
    EDDY_PUT(uint16_t, (unsigned char *)at + offsetof(struct eddy_shm_event, head8),
             (uint16_t)(head / 8));
}

static inline uint64_t eddy_event_head_size(uint32_t streams) {
    return sizeof(struct eddy_shm_head) + (uint64_t)streams * sizeof(struct eddy_shm_part);
}

int eddy_room_for(struct eddy_room *buffer, size_t room);

/* Reads the event that *slot, loaded as ref, leads to, all but its stream's name: 1; 0 if it moved or
 * was removed meanwhile (load the slot again); or an error. Its bytes are in room; or, with NULL, in
 * place, for a caller who pins the extent. */
int eddy_event_read(const struct eddy_view *view, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *room, eddy_event *event, struct eddy_event_more *more);

/* What was copied before this was copied from that generation. */
static inline bool eddy_event_same(const struct eddy_shm_extent *extent, uint32_t gen) {
    /* [event.C2] acquire fence: pairs with [extent.F1]. The copying stands before this load. */
    eddy_fence_acq();
    /* [event.R1] relaxed: ordered by the fence above */
    return EDDY_STATE_GEN(eddy_ld_rlx(&extent->state)) == gen;
}

#endif
