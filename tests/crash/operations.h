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

/* What others do while one stands still: a commit to its stream, to another, to a new one; or a
 * hundred of all kinds, read back. */
void operations_same_stream(struct steps_stage *stage);
void operations_other_stream(struct steps_stage *stage);
void operations_new_stream(struct steps_stage *stage);
void operations_hundred(struct steps_stage *stage);

#endif
