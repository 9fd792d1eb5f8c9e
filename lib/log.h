/* The log of distinct errors that calls on a store have met: a table in the superblock, for all
 * processes. What is not the same each time (names, numbers) is left out of a text, so that one cause is
 * one entry. The last entry counts what found no place.
 *
 * Whoever meets an error takes the entry of its text or a free one (`what`), writes the text, then the
 * code, then counts. All who meet the same write the same, so a death anywhere leaves an entry that the
 * next one completes; until there is a code it is not shown.
 */
#ifndef EDDY_LOG_H
#define EDDY_LOG_H

#include "arena.h"

enum { EDDY_LOG_TEXT = sizeof(((struct eddy_shm_error *)0)->text) };

/* Notes an error, by its code and message. Lock-free; not with a read-only handle. */
void eddy_log_add(struct eddy_arena *arena, int code, const char *message, int64_t now_ns);

struct eddy_log_entry {
    int code;
    uint64_t count;
    int64_t first_ns;
    int64_t last_ns;
    char text[EDDY_LOG_TEXT + 1];
};
/* The entry in a place: false if there is none. */
bool eddy_log_get(struct eddy_arena *arena, unsigned place, struct eddy_log_entry *entry);

#endif
