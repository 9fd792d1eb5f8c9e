/* What is gone: which events are there no more, though their memory may be, and how many bytes lie
 * on either side of a number.
 *
 * An event is gone if its offset is not above the store's floor, or its version not above its
 * stream's `first`. Records move these words, at one instant; the memory follows (reclaim.h), and
 * what has no memory any more has a mark (TOMB) in its slot, or no leaf. So each word is looked at
 * first, and the index tells no more than it must.
 */
#ifndef EDDY_GONE_H
#define EDDY_GONE_H

#include "event.h"
#include "ring.h"
#include "streams.h"

/* Offsets up to this one are gone. */
static inline uint64_t eddy_gone_floor(const struct eddy_view *view) {
    return eddy_view_load(view, &view->arena->super->floor);
}

/* Have single streams ever lost events? */
static inline bool eddy_gone_cuts(const struct eddy_view *view) {
    return eddy_view_load(view, &view->arena->super->cuts) != 0;
}

/* Was the stream removed, and not written since? */
static inline bool eddy_gone_removed(const struct eddy_view *view, struct eddy_shm_stream *s) {
    uint64_t removed = eddy_view_load(view, &s->removed);
    return removed != 0 && removed == eddy_view_load(view, &s->version) + 1;
}

/* The last version that is gone, floor included: 0 or more in *gone. 0, or EDDY_ECORRUPT. */
int eddy_gone_versions(const struct eddy_view *view, struct eddy_shm_stream *stream,
                       uint64_t *gone);
/* The last version that is gone, or lies at or below an offset, which is not below the floor. */
int eddy_gone_before(const struct eddy_view *view, struct eddy_shm_stream *stream, uint64_t offset,
                     uint64_t *version);

/* Is the event at this offset, whose slot leads to it, gone? Its descriptor is of the event. */
static inline bool eddy_gone_event(const struct eddy_view *view, uint64_t offset, uint64_t version,
                                   uint64_t desc) {
    if (offset <= eddy_gone_floor(view)) {
        return true;
    }
    if (__builtin_expect(eddy_gone_cuts(view), 0)) {
        struct eddy_shm_stream *s = eddy_stream_at(view->arena, desc);
        return s && version <= eddy_view_load(view, &s->first);
    }
    return false;
}

/* What an offset's slot leads to, without its bytes. */
struct eddy_gone_look {
    eddy_word *slot; /* NULL: no leaf */
    uint64_t ref;    /* 0: it leads to nothing any more */
    uint64_t bytes;  /* of the event's block, also if it has gone */
    uint64_t version;
    uint64_t stream; /* offset of its descriptor */
    int64_t time_ns;
    uint64_t shard;
    bool sharded;   /* it is in that shard */
    uint64_t first; /* this offset, or, if there is no leaf, all that is known to have gone */
    uint64_t last;
};
/* Of an offset up to the head: 1 its event's memory is there, 0 it is gone; or an error. */
int eddy_gone_look(const struct eddy_view *view, uint64_t offset, struct eddy_trie_leaf *near,
                   struct eddy_gone_look *look);

/* The floor on its way up: what it would be, and what there would be above it (retain.h). */
struct eddy_gone_rise {
    uint64_t floor;
    uint64_t bytes;
    uint64_t holes;
    uint64_t holes_bytes;
    uint64_t looked_at;         /* floor + 1, if that was looked at */
    struct eddy_gone_look look; /* what was found there */
    struct eddy_trie_leaf near;
    /* Events that are there count as holes if this says so: for previews. NULL: none do. */
    bool (*would_go)(void *arg, const struct eddy_gone_look *look);
    void *arg;
};

/* Bytes of all events of the stream up to version v, which is not below its last one that is gone.
 * 0 or an error. */
int eddy_gone_stream_bytes(const struct eddy_view *view, struct eddy_shm_stream *stream, uint64_t v,
                           uint64_t *bytes);
/* Bytes of its events of versions (from, to]. */
int eddy_gone_stream_between(const struct eddy_view *view, struct eddy_shm_stream *stream,
                             uint64_t from, uint64_t to, uint64_t *bytes);
/* Bytes of all events of the store up to an offset, which is not below the floor; `now` is the
 * state of the store, which has no holes. 0 or an error. */
int eddy_gone_store_bytes(const struct eddy_view *view, const struct eddy_ring_copy *now,
                          uint64_t offset, uint64_t *bytes);

#endif
