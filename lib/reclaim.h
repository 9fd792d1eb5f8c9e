/* Taking memory back: of events that are gone, of index nodes that nothing is under any more, of
 * descriptors that were forgotten.
 *
 * What may go was decided by a record, at one instant, and is applied. What is done here changes no
 * answer: it turns ways to what is gone into marks, and gives the memory to who needs some next.
 * Every step is one compare-and-swap that anybody may do, or do again; no lock makes it right. Who
 * does it is whoever has removed something, or finds memory short.
 */
#ifndef EDDY_RECLAIM_H
#define EDDY_RECLAIM_H

#include "commit.h"
#include "grace.h"

/* A descriptor, of one life. */
struct eddy_reclaim_stream {
    uint64_t desc;
    uint64_t tag;
};

enum { EDDY_RECLAIM_EMPTY = 4096 };

/* What a thread has begun to take back. */
struct eddy_reclaim {
    struct eddy_thread *thread;
    struct eddy_grace grace;
    struct eddy_trie_leaf near;  /* of offsets */
    uint64_t scan_at;            /* of a scan that goes on: the next extent, and */
    uint64_t scan_dues;          /* the dues that it is for */
    struct eddy_cursor moved_to; /* where evacuated events go */
    uint64_t sparse_at;          /* the next extent to be looked at for that */
    /* Streams whose last event the floor has passed, and lists in which nothing is left. */
    struct eddy_reclaim_stream *empty;
    uint32_t empty_count;
    uint32_t empty_room; /* at most EDDY_RECLAIM_EMPTY */
    uint64_t events;     /* counts, for who asks */
    uint64_t moved;
};

void eddy_reclaim_init(struct eddy_reclaim *reclaim, struct eddy_thread *thread);
/* Gives up what waits: it is left to others. */
void eddy_reclaim_fini(struct eddy_reclaim *reclaim);

/* All of the following are called outside the span. 0 or an error. */

/* Events that the floor has passed: at most `most` of them; none if somebody else is at it, but for
 * UINT64_MAX, which takes all there are in any case. */
int eddy_reclaim_floor(struct eddy_reclaim *reclaim, uint64_t most);
/* Events of one stream that were removed; and all of it, if it was forgotten. */
int eddy_reclaim_stream(struct eddy_reclaim *reclaim, uint64_t desc, uint64_t tag);
/* A block that a record has condemned. */
int eddy_reclaim_block(struct eddy_reclaim *reclaim, uint64_t off, uint64_t tag);
/* Ends a capture, and takes back what was captured: 1, 0 if it had ended, or an error. */
int eddy_reclaim_capture(struct eddy_reclaim *reclaim, uint64_t id);
/* Is there something to be found by a scan? */
bool eddy_reclaim_is_due(const struct eddy_arena *arena);
/* How many events wait below the floor. */
uint64_t eddy_reclaim_backlog(const struct eddy_arena *arena);
/* What a dead member had in hand goes to others; by its sweeper. */
void eddy_reclaim_sweep(struct eddy_thread *thread, uint32_t member);

/* ---- what a scan shares with this ---- */

struct eddy_view eddy_reclaim_view_of(const struct eddy_reclaim *reclaim);
/* Comes in, with everything that is committed applied. */
int eddy_reclaim_enter(struct eddy_reclaim *reclaim);
/* Is it still the block that was meant, and not yet retired; then it is in the span from now on, since
 * who retires it notes the era behind that. It may be condemned. */
bool eddy_reclaim_is_still(const struct eddy_reclaim *reclaim, uint64_t off, uint64_t tag);
/* Moves a list's `reclaimed` past the marks that follow it. */
int eddy_reclaim_pass_marks(struct eddy_reclaim *reclaim, struct eddy_shm_stream *list);
/* The leaf of an ordinal, if all its numbers are marks. */
int eddy_reclaim_prune_list(struct eddy_reclaim *reclaim, struct eddy_shm_stream *list,
                            uint64_t ordinal);

#endif
