/* The operations that are stepped through, in groups. */
#ifndef OPERATIONS_H
#define OPERATIONS_H

#include "steps.h"

struct operations {
    const struct steps_op *at;
    size_t count;
};

extern const struct operations operations_append;
extern const struct operations operations_index;
extern const struct operations operations_large;
extern const struct operations operations_read;
extern const struct operations operations_member;
extern const struct operations operations_once;

extern const struct operations operations_keyed;

extern const struct operations operations_removal;
extern const struct operations operations_limit;
extern const struct operations operations_maintain;
extern const struct operations operations_lapse;
extern const struct operations operations_shard;

/* Appends to a stream, `count` events of `size` bytes, in one transaction. */
int operations_put(eddy_store *store, const char *stream, const char *type, uint32_t count,
                   size_t size);
/* Some of what is there before; must succeed. */
void operations_set_up(eddy_store *store, const char *stream, uint32_t count);
/* The name of the i-th of many streams; name has room for 16. */
const char *operations_name(char *name, uint32_t i);
/* Finds a name whose hash agrees with that of "old" in the lowest bits, and not in the next. */
void operations_find_twin(struct steps_stage *stage, unsigned bits, char *name);

/* Removals that others use: of all of "old", whose events fill several extents; of a stream whose
 * descriptor has an extent for itself; of 145 events of "old". */
void operations_prepare_wide(struct steps_stage *stage);
int operations_truncate_all(struct steps_stage *stage);
void operations_prepare_long(struct steps_stage *stage);
int operations_forget_long(struct steps_stage *stage);
int operations_truncate_145(struct steps_stage *stage);

/* What others do while one stands still: a commit to its stream, to another, to a new one; or a
 * hundred of all kinds, read back; or two hundred under a limit that drops what was there, read back,
 * and all memory of what has gone taken back; or names forgotten and used again. */
void operations_same_stream(struct steps_stage *stage);
void operations_other_stream(struct steps_stage *stage);
void operations_new_stream(struct steps_stage *stage);
void operations_hundred(struct steps_stage *stage);
void operations_drop(struct steps_stage *stage);
void operations_forget(struct steps_stage *stage);

#endif
