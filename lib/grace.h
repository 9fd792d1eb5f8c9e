/* Grace periods: when memory that nothing leads to may be used again.
 *
 * A retired block may, when no thread's span touches its life and two eras have passed (read-only
 * handles, which have no span, rely on that). An extent of events may at once, since its readers
 * copy and validate; but for those that borrow, who pin it.
 */
#ifndef EDDY_GRACE_H
#define EDDY_GRACE_H

#include "member.h"
#include "streams.h"

enum { EDDY_GRACE_BLOCKS = 512, EDDY_GRACE_EXTENTS = 64 };

/* What waits, of one thread. */
struct eddy_grace {
    struct eddy_thread *thread;
    uint64_t block[EDDY_GRACE_BLOCKS]; /* retired, in the name of this member */
    uint32_t blocks;
    uint32_t kept;                       /* of them, that the last attempt could not free */
    uint64_t lines;                      /* of memory that they have, of 64 bytes, and */
    uint64_t kept_lines;                 /* of those that were kept */
    uint32_t calls;                      /* since then, with no room for more */
    uint32_t extent[EDDY_GRACE_EXTENTS]; /* that may have nothing in them any more */
    uint32_t extents;
    uint64_t freed_blocks; /* counts, for who asks */
    uint64_t freed_extents;
};

void eddy_grace_init(struct eddy_grace *grace, struct eddy_thread *thread);
/* What waits is left to others. */
void eddy_grace_fini(struct eddy_grace *grace);
/* Makes sure that there is room to note one more block. Called before it is retired. */
void eddy_grace_room(struct eddy_grace *grace);
/* A retired block of a member that gives up, or is dead, is condemned again, for others. */
void eddy_grace_disown(struct eddy_arena *arena, uint64_t off);
/* A block that has just been retired, in the name of this member. */
void eddy_grace_block(struct eddy_grace *grace, uint64_t off);
/* An extent of which something has gone. */
void eddy_grace_extent(struct eddy_grace *grace, uint32_t idx);
/* Frees what may go. Outside the span; now: also if it is little. */
void eddy_grace_free(struct eddy_grace *grace, bool now);

/* There may be something to be found by looking through all extents: somebody died, or could not
 * note more. */
void eddy_grace_due(struct eddy_arena *arena);

/* Does nothing lead into this extent of events, which the caller owns? Inside the span. */
bool eddy_grace_is_dead(const struct eddy_view *view, uint32_t idx);
/* Is a borrowed event in the extent? Behind a fence that all threads took part in. */
bool eddy_grace_is_pinned(const struct eddy_arena *arena, uint32_t idx);
/* A full fence of all threads of all members: false if it is not to be had. */
bool eddy_grace_fence(struct eddy_arena *arena);

#endif
