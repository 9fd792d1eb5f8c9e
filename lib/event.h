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

/* An event as it stands in its block; the pointers lead into the buffer or, borrowed, the arena. */
struct eddy_event_raw {
    uint64_t offset;
    uint64_t version;
    uint64_t stream; /* offset of its descriptor */
    uint64_t tx_offset;
    uint32_t tx_count;
    uint32_t bytes; /* of its block, if it fits in 32 bits */
    int64_t time_ns;
    int64_t recorded_ns;
    uint64_t shard;
    eddy_bytes type;
    eddy_bytes id;
    eddy_bytes data;
    eddy_bytes metadata;
};

/* Bytes of the block of an event. */
uint64_t eddy_event_size(const eddy_new_event *event);
/* Writes the block at `at`, which is ours; the data only if there is a pointer. Returns where the
 * data belongs. */
void *eddy_event_write(void *at, const eddy_new_event *event, uint16_t index, uint16_t stream,
                       uint16_t step);
/* Says where the part's head is, in bytes from the start of the extent. */
void eddy_event_set_head(void *at, uint64_t head);

static inline uint64_t eddy_event_head_size(uint32_t streams) {
    return sizeof(struct eddy_shm_head) + (uint64_t)streams * sizeof(struct eddy_shm_part);
}

int eddy_room_for(struct eddy_room *buffer, size_t room);

/* Reads the event that *slot, loaded as ref, leads to: 1; 0 if it moved or was removed meanwhile
 * (load the slot again); or an error. buffer NULL: in place, for a caller who pins the extent. */
int eddy_event_read(const struct eddy_view *view, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *buffer, struct eddy_event_raw *out);

/* Whether extent idx may hold events, and its generation. */
static inline bool eddy_event_extent(const struct eddy_arena *a, uint32_t idx, uint32_t *gen) {
    /* [event.C1] acquire: pairs with [extent.P1], [extent.P2], [extent.P3]. The generation first,
     * then the slot once more. */
    uint64_t w = eddy_ld_acq(&a->extents[idx].state);
    *gen = EDDY_STATE_GEN(w);
    return EDDY_STATE_OF(w) >= EDDY_OWNED && EDDY_STATE_OF(w) <= EDDY_SEALED;
}

/* What was copied before this was copied from that generation. */
static inline bool eddy_event_same(const struct eddy_arena *a, uint32_t idx, uint32_t gen) {
    /* [event.C2] acquire fence: pairs with [extent.F1]. The copying stands before this load. */
    eddy_fence_acq();
    /* [event.R1] relaxed: ordered by the fence above */
    return EDDY_STATE_GEN(eddy_ld_rlx(&a->extents[idx].state)) == gen;
}

#endif
