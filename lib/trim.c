/* The memory of an extent that is free may still be read: by a thread that found a way there before
 * it was free, is slow, and will see by the generation that what it has read is nothing. Such a read
 * of a hole would take memory, and kills if there is none. So
 *
 *   1  the extents are taken (EMPTYING): nobody fills them;
 *   2  a thread inside the library now is waited for: by trying for a while, no longer;
 *   3  read-only handles, whose reading cannot be seen, hold a lock of a byte of the file: while there
 *      is one, nothing is trimmed;
 *   4  their memory goes, and they are holes: whoever takes one reserves memory for it first.
 *
 * A death leaves extents that are EMPTYING, of the dead: holes, for the sweep, whatever they are.
 */
#include "trim.h"

#include <errno.h>
#include <unistd.h>

#include "error.h"
#include "platform.h"

enum { AT_ONCE = 256, TRIES = 20 };

/* Is no thread inside that came in before this era began? */
static bool all_out(const struct eddy_thread *t, uint64_t era) {
    const struct eddy_arena *a = t->arena;
    for (uint32_t i = 0; i < a->threads_max; i++) {
        uint64_t lo;
        uint64_t hi;
        eddy_rcu_peek(&a->threads[i], &lo, &hi);
        if (lo != 0 && lo < era && i != t->idx) {
            return false;
        }
    }
    return true;
}

/* Waits a little for the threads that are inside. */
static bool nobody_looks(struct eddy_thread *t) {
    struct eddy_arena *a = t->arena;
    eddy_rcu_advance(&a->super->era);
    /* [trim.C1] acquire: pairs with [rcu.P2] */
    uint64_t era = eddy_ld_acq(&a->super->era);
    for (int i = 0; i < TRIES; i++) {
        if (eddy_grace_fence(a) && all_out(t, era)) {
            return true;
        }
        usleep(1000);
    }
    return false;
}

/* Takes free extents, from *from on. */
static uint32_t take(struct eddy_thread *t, uint64_t *from, uint64_t *keep, uint32_t *idx) {
    struct eddy_arena *a = t->arena;
    uint64_t end = eddy_arena_reserved(a);
    uint32_t n = 0;
    uint64_t i = *from;
    for (; i < end && n < AT_ONCE; i++) {
        /* [trim.R1] relaxed: looked at again by the swap that takes it */
        bool free = EDDY_STATE_OF(eddy_ld_rlx(&a->extents[i].state)) == EDDY_FREE;
        if (free && *keep > 0) {
            --*keep;
        } else if (free && eddy_extent_begin_emptying(a, (uint32_t)i, t->member)) {
            idx[n++] = (uint32_t)i;
        }
    }
    *from = i;
    return n;
}

static int trim_some(struct eddy_thread *t, const uint32_t *idx, uint32_t n, uint64_t *bytes) {
    bool may = nobody_looks(t);
    int r = may ? 0
                : eddy_error_set(EDDY_EAGAIN, "a thread stands still inside the store, and may be "
                                              "reading what would be given back: try again");
    for (uint32_t i = 0; i < n; i++) {
        int one = eddy_extent_end_emptying(t->arena, idx[i], r == 0);
        r = one < 0 ? one : r;
        *bytes += one == 1 ? EDDY_EXTENT_SIZE : 0;
    }
    return r;
}

int eddy_trim(struct eddy_thread *t, uint64_t keep, uint64_t *bytes) {
    struct eddy_arena *a = t->arena;
    uint32_t idx[AT_ONCE];
    uint64_t from = EDDY_RESERVED_EXTENTS;
    int fd = eddy_arena_fd(a);
    int lock = fd < 0 ? fd : eddy_platform_lock_take(fd, EDDY_LOCK_TRIM);
    if (lock == -EAGAIN) {
        return eddy_error_set(EDDY_EAGAIN, "a read-only handle is open, or somebody else trims: "
                                           "memory is given back only when nobody may be reading");
    }
    if (lock < 0) {
        return eddy_arena_error(lock, "lock for trimming", a->path ? a->path : "descriptor");
    }
    int r = 0;
    uint32_t n;
    *bytes = 0;
    while (r == 0 && (n = take(t, &from, &keep, idx)) > 0) {
        r = trim_some(t, idx, n, bytes);
    }
    close(lock);
    return r;
}
