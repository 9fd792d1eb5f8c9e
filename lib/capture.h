/* Capture: entries as they were at one instant, for who takes a snapshot of the store, while others
 * replace and delete them.
 *
 * It begins by a record; the instant is that record. From then on a record that replaces or deletes an
 * entry that was there at the instant does not condemn it but puts it into a list: the entry's `next`
 * leads to what was in the list before, and the root `captured` to the entry. So what was there at
 * the instant is found where it stood, or in the list, until the capture ends, by a record too. Who ends
 * it condemns what is in the list; what he leaves, a scan finds.
 *
 * One at a time; it belongs to a member. The dead's is ended by who sweeps; that of anybody, by who has
 * no memory left. Its list holds no more than there was at the instant.
 */
#ifndef EDDY_CAPTURE_H
#define EDDY_CAPTURE_H

#include "commit.h"

/* All are called inside the span. */

/* Begins one: 1, and attempt->after is the store as of the instant, behind transaction attempt->s; *id says
 * which it is. 0: somebody else has one on, *id says which; with force that is taken over. Or an error. */
int eddy_capture_begin(struct eddy_thread *thread, bool force, struct eddy_attempt *attempt,
                       eddy_limits *limits, uint64_t *id);
/* Is it on still? Then so it was when all was loaded that was loaded before; and what is in the list now
 * stays until this span ends. *head: the last in the list; a mark: none is. */
bool eddy_capture_is_on(const struct eddy_view *view, uint64_t id, uint64_t *head);
/* Ends it (id 0: whichever it is): 1, and *head is its list; 0, it was off; or an error. */
int eddy_capture_end(struct eddy_thread *thread, uint64_t id, uint64_t *head);
/* Ends that of a dead member, if it had one; by its sweeper. 0 or an error. */
int eddy_capture_sweep(struct eddy_thread *thread, uint32_t member);
/* Condemns an entry of the list of a capture that has ended, and its further blocks before it, since they
 * are found by it. fn is told which. */
void eddy_capture_condemn(struct eddy_arena *arena, struct eddy_shm_entry *entry,
                          void (*fn)(void *arg, uint64_t off), void *arg);

#endif
