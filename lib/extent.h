/* Extents: 64 KiB each, the unit in which memory changes hands.
 *
 * The state word of an extent is the truth about it and is changed by compare-and-swap only. While
 * it is OWNED, one member fills it, and nobody else writes there; so allocating inside it touches
 * no shared line. Maps of bits say where to look for one: hints, which anybody may set again.
 */
#ifndef EDDY_EXTENT_H
#define EDDY_EXTENT_H

#include "arena.h"

/* Takes n extents in a row for `member`, reserving memory if need be; *idx is the first. The
 * generation has changed, so that no reader of what was there before believes what it reads.
 * EDDY_EFULL says why. */
int eddy_extent_take(struct eddy_arena *arena, uint32_t member, unsigned kind, unsigned class_,
                     uint32_t n, uint32_t *idx);
/* As eddy_extent_take() for one extent of events, for who makes room by it: may take those that are
 * kept for that, so that a full store can be emptied. */
int eddy_extent_take_reserved(struct eddy_arena *arena, uint32_t member, uint32_t *idx);
/* Takes an extent that another member left partly filled, to go on at its fill mark; class_ 0: of
 * events, else of nodes of that class. False if there is none at hand. */
bool eddy_extent_resume(struct eddy_arena *arena, uint32_t member, unsigned class_, uint32_t *idx);
/* The owner leaves it partly filled, for others to go on; a redo list with its whole run. */
void eddy_extent_leave(struct eddy_arena *arena, uint32_t idx);
/* Takes a redo list that another left, and its run. False if there is none at hand. */
bool eddy_extent_resume_list(struct eddy_arena *arena, uint32_t member, uint32_t *idx,
                             uint32_t *run);
/* The owner gives back extents that nothing refers to, or ever did. */
void eddy_extent_give(struct eddy_arena *arena, uint32_t idx, uint32_t n);
/* The owner is done with filling it: from now on others may judge what in it is alive. */
void eddy_extent_seal(struct eddy_arena *arena, uint32_t idx);
/* A sealed extent of nodes has got free blocks: others may go on in it. */
void eddy_extent_reopen(struct eddy_arena *arena, uint32_t idx);

/* Takes an extent that nobody fills, to look whether it may go; *from is the state it was in. */
bool eddy_extent_claim(struct eddy_arena *arena, uint32_t idx, uint32_t member, unsigned *from);
/* Puts it back as it was. */
void eddy_extent_return(struct eddy_arena *arena, uint32_t idx, unsigned from);
/* Gives it back, and of a large event its whole run: what is sealed of it, or owned by a dead member
 * (0: none) whose sweeper the caller is. Returns how many extents are free by this. */
uint32_t eddy_extent_free_run(struct eddy_arena *arena, uint32_t idx, uint32_t member,
                              uint32_t dead);
/* Frees a further extent of a run whose first has gone. False if it is none. */
bool eddy_extent_free_orphan(struct eddy_arena *arena, uint32_t idx, uint32_t member);

/* Takes a free extent, to give its memory back; then does so, when nobody may be able to read there
 * any more, or leaves it as it was: 1, 0, or an error. */
bool eddy_extent_begin_emptying(struct eddy_arena *arena, uint32_t idx, uint32_t member);
int eddy_extent_end_emptying(struct eddy_arena *arena, uint32_t idx, bool empty);
/* Extents without memory, by counting. */
uint64_t eddy_extent_count_holes(struct eddy_arena *arena);
/* Extents that are known to be free, or without memory: a bit each is looked at. */
uint64_t eddy_extent_known_free(const struct eddy_arena *arena);
/* Sets the bit of an extent that may be had, whatever it is; for who looks through all. */
void eddy_extent_remind(struct eddy_arena *arena, uint32_t idx);
/* Extents now free, by counting; and owned by one member. */
uint64_t eddy_extent_count_free(struct eddy_arena *arena);
uint64_t eddy_extent_count_owned(struct eddy_arena *arena, uint32_t member);
/* Clears up what a dead member owned: redo lists are freed, all else is left as partly filled, for
 * others to go on. The caller has made sure that every committed transaction is applied, that the
 * blocks in its node extents were judged, and that nobody else sweeps this member. keep_off is the
 * redo list that the last transaction names, or 0. */
void eddy_extent_sweep(struct eddy_arena *arena, uint32_t member, uint64_t keep_off);

typedef void (*eddy_report_fn)(void *arg, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Is every state word one that can be? Reads only. Returns how many are not. */
uint64_t eddy_extent_check(struct eddy_arena *arena, eddy_report_fn report, void *arg);

static inline struct eddy_shm_extent *eddy_extent_line(const struct eddy_arena *arena,
                                                       uint32_t idx) {
    return arena->extents + idx;
}

#endif
