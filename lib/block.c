/* I1  A block OWNED by a member is written by it alone; LINKED, it belongs to the structure and is
 *     changed by records and maintenance.
 * I2  A block's state word starts at 0 (free) in every life of its extent, which is zeroed before
 *     it says that it holds blocks.
 * Death of an owner: its OWNED blocks are judged by the edge test after everything committed is
 * applied: linked if the one cell that would lead to it does, else free.
 */
#include "block.h"

#include <stdlib.h>

#include "error.h"

static struct eddy_shm_block *block_of(const struct eddy_arena *a, uint64_t off) {
    return eddy_arena_raw(a, off);
}

static bool spare_push(struct eddy_blocks_class *c, uint64_t off) {
    if (c->spare_count == c->spare_room) {
        uint32_t room = c->spare_room ? c->spare_room * 2 : 64;
        uint64_t *more = realloc(c->spare, room * sizeof *more);
        if (!more) {
            return false;
        }
        c->spare = more;
        c->spare_room = room;
    }
    c->spare[c->spare_count++] = off;
    return true;
}

static bool extent_push(struct eddy_blocks_class *c, uint32_t idx) {
    if (c->extent_count == c->extent_room) {
        uint32_t room = c->extent_room ? c->extent_room * 2 : 4;
        uint32_t *more = realloc(c->extent, room * sizeof *more);
        if (!more) {
            return false;
        }
        c->extent = more;
        c->extent_room = room;
    }
    c->extent[c->extent_count++] = idx;
    return true;
}

static void wipe(struct eddy_arena *a, uint64_t off, unsigned class_) {
    eddy_word *word = eddy_arena_raw(a, off);
    for (unsigned i = sizeof(struct eddy_shm_block) / 8 - 1;
         i < eddy_class_lines(class_) * EDDY_LINE / 8; i++) {
        /* [block.R2] relaxed: in an extent of ours, and referred to by nobody */
        eddy_st_rlx(&word[i], 0);
    }
}

/* Makes the free blocks of an extent of ours spare ones; those of low offsets are taken first. */
static uint32_t stock(struct eddy_arena *a, struct eddy_blocks_class *c, uint32_t idx,
                      unsigned class_, bool fresh) {
    uint32_t before = c->spare_count;
    uint32_t n = EDDY_EXTENT_SIZE / (eddy_class_lines(class_) * EDDY_LINE);
    uint64_t off = eddy_arena_extent_off(a, idx);
    for (uint32_t i = n; i-- > 0;) {
        uint64_t at = off + (uint64_t)i * eddy_class_lines(class_) * EDDY_LINE;
        /* [block.R6] relaxed: free blocks are taken by the owner of their extent alone: us */
        if (EDDY_STATE_OF(eddy_ld_rlx(&block_of(a, at)->state)) == EDDY_FREE) {
            if (!fresh) {
                wipe(a, at, class_);
            }
            (void)spare_push(c, at); /* no memory: the block stays free for a later owner */
        }
    }
    return c->spare_count - before;
}

static int refill(struct eddy_arena *a, struct eddy_blocks_class *c, uint32_t member,
                  unsigned class_) {
    uint32_t idx;
    bool fresh = !eddy_extent_resume(a, member, class_, &idx);
    if (fresh) {
        int r = eddy_extent_take(a, member, EDDY_KIND_NODES, class_, 1, &idx);
        if (r < 0) {
            return r;
        }
    }
    if (!extent_push(c, idx)) {
        eddy_extent_leave(a, idx);
        return eddy_error_set(EDDY_ENOMEM, "no memory for a list of extents");
    }
    if (stock(a, c, idx, class_, fresh) == 0) {
        /* One that a dead member left is full: nobody needs to look at it again. */
        c->extent_count--;
        eddy_extent_seal(a, idx);
    }
    return 0;
}

int eddy_block_take(struct eddy_arena *a, struct eddy_blocks *blocks, uint32_t member,
                    unsigned class_, uint64_t *off) {
    struct eddy_blocks_class *c = &blocks->of[class_];
    /* Extents that were left partly filled may turn out to be full; each is met once. */
    uint64_t most = eddy_arena_reserved(a) + 64;
    for (uint64_t tries = 0; c->spare_count == 0; tries++) {
        int r = tries < most ? refill(a, c, member, class_)
                             : eddy_error_set(EDDY_ECORRUPT, "extents of nodes have no free block");
        if (r < 0) {
            return r;
        }
    }
    *off = c->spare[--c->spare_count];
    struct eddy_shm_block *b = block_of(a, *off);
    /* [block.R1] relaxed: ours alone until a record links it */
    uint64_t was = eddy_ld_rlx(&b->state);
    eddy_st_rlx(&b->birth, eddy_ld_rlx(&a->super->era));
    eddy_st_rlx(&b->retired, 0);
    /* [block.P1] release: pairs with [block.C1], [block.C2], [block.C3], [block.C5]. Ours. Death after: the sweep finds no
     * edge to it. */
    eddy_st_rel(&b->state, EDDY_STATE(EDDY_STATE_GEN(was), EDDY_OWNED, member));
    return 0;
}

void eddy_block_give(struct eddy_arena *a, struct eddy_blocks *blocks, uint64_t off,
                     unsigned class_) {
    wipe(a, off, class_);
    /* No memory for the note: it stays owned by us, and is swept when we are gone. */
    (void)spare_push(&blocks->of[class_], off);
}

void eddy_block_free(struct eddy_arena *a, uint64_t off, uint64_t state) {
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(state) + 1, EDDY_FREE, 0);
    /* [block.R7] relaxed: nothing refers to it; who takes it next owns its extent, which it
     * acquired. Death before: done by who sweeps next. */
    (void)eddy_cas_ar(&block_of(a, off)->state, &state, now);
}

static bool has_spare(const struct eddy_arena *a, const struct eddy_blocks_class *c, uint32_t idx) {
    for (uint32_t i = 0; i < c->spare_count; i++) {
        if (eddy_arena_extent_of(a, c->spare[i]) == idx) {
            return true;
        }
    }
    return false;
}

void eddy_blocks_settle(struct eddy_arena *a, struct eddy_blocks *blocks) {
    for (unsigned i = 1; i <= EDDY_CLASS_MAX; i++) {
        struct eddy_blocks_class *c = &blocks->of[i];
        uint32_t kept = 0;
        for (uint32_t k = 0; c->extent_count > 1 && k < c->extent_count; k++) {
            uint32_t idx = c->extent[k];
            if (k + 1 == c->extent_count || has_spare(a, c, idx)) {
                c->extent[kept++] = idx;
            } else {
                eddy_extent_seal(a, idx);
            }
        }
        c->extent_count = kept ? kept : c->extent_count;
    }
}

/* Takes the spare blocks of an extent out of the list, if all of its blocks are among them. */
static bool take_all_of(const struct eddy_arena *a, struct eddy_blocks_class *c, uint32_t idx,
                        unsigned class_) {
    uint32_t all = EDDY_EXTENT_SIZE / (eddy_class_lines(class_) * EDDY_LINE);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->spare_count; i++) {
        all -= eddy_arena_extent_of(a, c->spare[i]) == idx;
    }
    for (uint32_t i = 0; all == 0 && i < c->spare_count; i++) {
        if (eddy_arena_extent_of(a, c->spare[i]) != idx) {
            c->spare[kept++] = c->spare[i];
        }
    }
    c->spare_count = all == 0 ? kept : c->spare_count;
    return all == 0;
}

void eddy_blocks_thin(struct eddy_arena *a, struct eddy_blocks *blocks) {
    enum { KEEP = 4 };
    for (unsigned i = 10; i <= EDDY_CLASS_MAX; i++) {
        struct eddy_blocks_class *c = &blocks->of[i];
        for (uint32_t k = c->extent_count; k-- > 0 && c->extent_count > KEEP;) {
            if (take_all_of(a, c, c->extent[k], i)) {
                eddy_extent_give(a, c->extent[k], 1);
                c->extent[k] = c->extent[--c->extent_count];
            }
        }
    }
}

void eddy_blocks_leave(struct eddy_arena *a, struct eddy_blocks *blocks) {
    for (unsigned i = 1; i <= EDDY_CLASS_MAX; i++) {
        struct eddy_blocks_class *c = &blocks->of[i];
        bool any = c->spare_count > 0;
        while (c->spare_count > 0) {
            uint64_t off = c->spare[--c->spare_count];
            /* [block.R8] relaxed: ours */
            uint64_t state = eddy_ld_rlx(&block_of(a, off)->state);
            if (EDDY_STATE_OF(state) == EDDY_OWNED) {
                eddy_block_free(a, off, state);
            }
        }
        while (c->extent_count > 0) {
            uint32_t idx = c->extent[--c->extent_count];
            if (any) {
                eddy_extent_leave(a, idx);
            } else {
                eddy_extent_seal(a, idx);
            }
        }
    }
}

void eddy_block_link(struct eddy_arena *a, uint64_t off) {
    struct eddy_shm_block *b = block_of(a, off);
    /* [block.C2] acquire: pairs with [block.P1] */
    uint64_t was = eddy_ld_acq(&b->state);
    if (EDDY_STATE_OF(was) == EDDY_OWNED) {
        uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), EDDY_LINKED, 0);
        /* [block.R3] relaxed: alone: only its state is said, its contents are published by the
         * edge. Fails if a record has condemned it already. Death before: the sweep does it. */
        (void)eddy_cas_ar(&b->state, &was, now);
    }
}

void eddy_blocks_fini(struct eddy_blocks *blocks) {
    for (unsigned i = 0; i <= EDDY_CLASS_MAX; i++) {
        free(blocks->of[i].spare);
        free(blocks->of[i].extent);
        blocks->of[i] = (struct eddy_blocks_class){0};
    }
}

void eddy_block_each(struct eddy_arena *a, uint32_t idx,
                     void (*fn)(void *arg, uint64_t off, uint64_t state, unsigned class_),
                     void *arg) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [block.R4] relaxed: judged below; of a slab in use, later blocks may appear meanwhile */
    unsigned class_ = EDDY_INFO_CLASS(eddy_ld_rlx(&e->info));
    if (class_ == 0 || class_ > EDDY_CLASS_MAX) {
        return;
    }
    uint64_t off = eddy_arena_extent_off(a, idx);
    for (uint32_t i = 0; i < EDDY_EXTENT_SIZE / (eddy_class_lines(class_) * EDDY_LINE); i++) {
        uint64_t at = off + (uint64_t)i * eddy_class_lines(class_) * EDDY_LINE;
        /* [block.R5] relaxed: as above */
        uint64_t state = eddy_ld_rlx(&block_of(a, at)->state);
        if (state != 0) {
            fn(arg, at, state, class_);
        }
    }
}
