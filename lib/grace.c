/* I1  A block is freed by the member in its state word alone: nobody else's late swap can meet it in
 *     its next use. A death leaves retired blocks of the dead, which its sweeper takes over.
 * I2  An extent is freed by its owner alone: who wants to free one takes it first, then looks.
 * I3  The look at spans and pins stands behind a fence on all cores, which stands behind the marks on
 *     the ways in.
 */
#include "grace.h"

#include <string.h>

#include "event.h"
#include "platform.h"

enum { FREE_AT = 64, FREE_LINES = 4096, SPANS_MAX = 64 };

void eddy_grace_init(struct eddy_grace *g, struct eddy_thread *t) {
    memset(g, 0, sizeof *g);
    g->thread = t;
}

void eddy_grace_fini(struct eddy_grace *g) {
    for (uint32_t i = 0; i < g->blocks; i++) {
        eddy_grace_disown(g->thread->arena, g->block[i]);
    }
    if (g->blocks + g->extents > 0) {
        eddy_grace_due(g->thread->arena);
    }
    g->blocks = 0;
    g->kept = 0;
    g->lines = 0;
    g->kept_lines = 0;
    g->extents = 0;
    /* [grace.R7] relaxed: ours; nothing is retired in our name any more */
    eddy_st_rlx(&g->thread->slot->retiring, 0);
}

void eddy_grace_disown(struct eddy_arena *a, uint64_t off) {
    struct eddy_shm_block *b = eddy_arena_raw(a, off);
    /* [grace.C5] acquire: pairs with [prune.P2] */
    uint64_t was = eddy_ld_acq(&b->state);
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), EDDY_CONDEMNED, 0);
    /* [grace.P2] acq_rel: pairs with [prune.C2]. Anybody may retire it, later. */
    if (EDDY_STATE_OF(was) == EDDY_RETIRED) {
        (void)eddy_cas_ar(&b->state, &was, now);
    }
}

void eddy_grace_due(struct eddy_arena *a) {
    /* [grace.P1] acq_rel: pairs with [scan.C2]: what was left is there before it is due */
    (void)eddy_add_ar(&a->super->dues, UINT64_C(1));
}

/* Of a block that we have retired. */
static uint32_t lines_of(const struct eddy_arena *a, uint64_t off) {
    /* [grace.R11] relaxed: while one of its blocks is ours, it is an extent of nodes */
    unsigned class_ =
        EDDY_INFO_CLASS(eddy_ld_rlx(&eddy_extent_line(a, eddy_arena_extent_of(a, off))->info));
    return class_ <= EDDY_CLASS_MAX ? eddy_class_lines(class_) : 0;
}

/* Somebody who is stopped may hold all that we have: the oldest half is left to others, else what was
 * born later, which he does not hold, could never be retired. */
static void make_room(struct eddy_grace *g) {
    enum { HALF = EDDY_GRACE_BLOCKS / 2 };
    for (uint32_t i = 0; i < HALF; i++) {
        g->lines -= lines_of(g->thread->arena, g->block[i]);
        eddy_grace_disown(g->thread->arena, g->block[i]);
    }
    g->kept_lines = g->kept_lines < g->lines ? g->kept_lines : g->lines;
    memmove(g->block, g->block + HALF, (g->blocks - HALF) * sizeof g->block[0]);
    g->blocks -= HALF;
    g->kept = g->kept > HALF ? g->kept - HALF : 0;
    eddy_grace_due(g->thread->arena);
}

void eddy_grace_room(struct eddy_grace *g) {
    if (g->blocks == 0) {
        /* [grace.R8] relaxed: ours; before the first block is retired in our name, so that our sweeper
         * looks for them. On the way to that stands a fence. */
        eddy_st_rlx(&g->thread->slot->retiring, 1);
    }
    if (g->blocks == EDDY_GRACE_BLOCKS) {
        make_room(g);
    }
}

void eddy_grace_block(struct eddy_grace *g, uint64_t off) {
    g->block[g->blocks++] = off;
    g->lines += lines_of(g->thread->arena, off);
}

bool eddy_grace_fence(struct eddy_arena *a) {
    bool all_fence = true;
    for (uint32_t i = 0; i < a->members_max; i++) {
        const struct eddy_shm_member *m = &a->members[i];
        /* [grace.C1] acquire: pairs with [member.P1] */
        if (EDDY_MEMBER_OF(eddy_ld_acq(&m->state)) == EDDY_MEMBER_LIVE &&
            /* [grace.R2] relaxed: written before the state */
            eddy_ld_rlx(&m->fences) == 0) {
            all_fence = false;
        }
    }
    /* [grace.F1] seq_cst fence: pairs with [rcu.F1]: the store of marks on the ways in, by the caller,
     * stands before the load of spans and pins; for threads that fence themselves */
    eddy_fence_sc();
    return all_fence || eddy_platform_membarrier() == 0;
}

/* ---- blocks ---- */

struct span {
    uint64_t lo;
    uint64_t hi;
};

/* The spans of all threads that are inside; those that are too many are taken as one. */
static size_t collect_spans(const struct eddy_arena *a, struct span *spans) {
    size_t n = 0;
    for (uint32_t i = 0; i < a->threads_max; i++) {
        uint64_t lo;
        uint64_t hi;
        eddy_rcu_peek(&a->threads[i], &lo, &hi);
        if (lo == 0) {
            continue;
        }
        if (n < SPANS_MAX) {
            spans[n++] = (struct span){.lo = lo, .hi = hi};
            continue;
        }
        struct span *last = &spans[SPANS_MAX - 1];
        last->lo = lo < last->lo ? lo : last->lo;
        last->hi = hi > last->hi ? hi : last->hi;
    }
    return n;
}

static bool is_free(const struct eddy_shm_block *b, const struct span *spans, size_t n,
                    uint64_t era) {
    /* [grace.R3] relaxed: of a block that we have retired */
    uint64_t birth = eddy_ld_rlx(&b->birth);
    uint64_t retired = eddy_ld_rlx(&b->retired);
    if (era < retired + 2) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (spans[i].lo <= retired && spans[i].hi >= birth) {
            return false;
        }
    }
    return true;
}

/* An extent of nodes has got free blocks: others may take it up; or it is free as a whole. */
static void offer_nodes(struct eddy_grace *g, uint64_t off) {
    struct eddy_arena *a = g->thread->arena;
    uint32_t idx = eddy_arena_extent_of(a, off);
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [grace.R4] relaxed: while one of its blocks was ours, it was an extent of nodes */
    unsigned class_ = EDDY_INFO_CLASS(eddy_ld_rlx(&e->info));
    uint64_t free_now = eddy_add_ar(&e->dead, EDDY_FILL(1, 0)) + EDDY_FILL(1, 0);
    eddy_extent_reopen(a, idx);
    if (class_ != 0 &&
        EDDY_FILL_EVENTS(free_now) >= EDDY_EXTENT_SIZE / (eddy_class_lines(class_) * EDDY_LINE)) {
        eddy_grace_extent(g, idx);
    }
}

static void free_blocks(struct eddy_grace *g) {
    struct eddy_arena *a = g->thread->arena;
    struct span spans[SPANS_MAX];
    size_t n = collect_spans(a, spans);
    /* [grace.C2] acquire: pairs with [rcu.P2] */
    uint64_t era = eddy_ld_acq(&a->super->era);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->blocks; i++) {
        struct eddy_shm_block *b = eddy_arena_raw(a, g->block[i]);
        if (!is_free(b, spans, n, era)) {
            g->block[kept++] = g->block[i];
            continue;
        }
        g->lines -= lines_of(a, g->block[i]);
        /* [grace.C3] acquire: pairs with [prune.P2] */
        eddy_block_free(a, g->block[i], eddy_ld_acq(&b->state));
        g->freed_blocks++;
        offer_nodes(g, g->block[i]);
    }
    g->blocks = kept;
    g->kept = kept;
    g->kept_lines = g->lines;
    if (kept == 0) {
        /* [grace.R9] relaxed: ours */
        eddy_st_rlx(&g->thread->slot->retiring, 0);
    }
}

/* ---- extents ---- */

bool eddy_grace_is_pinned(const struct eddy_arena *a, uint32_t idx) {
    for (uint32_t i = 0; i < a->readers_max; i++) {
        /* [grace.C4] acquire: pairs with [reader.P2]: what was borrowed has been read */
        if (eddy_ld_acq(&a->readers[i].pin) == idx + UINT64_C(1)) {
            return true;
        }
    }
    return false;
}

/* Does the index lead to the event at ref? If its block makes no sense, it is left alone. */
static bool is_led_to(const struct eddy_view *v, uint64_t base, uint64_t size, uint64_t ref,
                      struct eddy_trie_leaf *near) {
    struct eddy_shm_event h;
    eddy_event event;
    struct eddy_event_more more;
    eddy_word *slot;
    const unsigned char *at = eddy_arena_raw(v->arena, base);
    eddy_event_load_header((const struct eddy_shm_event *)(const void *)(at + (ref - base)), &h);
    if (!eddy_event_plausible(&h, ref - base, size) ||
        !eddy_event_read_head(at, size, &h, &event, &more)) {
        return true;
    }
    int r = eddy_trie_slot_near(v, &v->arena->super->offsets_root, event.offset, near, &slot);
    return r < 0 || (r == 1 && eddy_view_load(v, slot) == ref);
}

bool eddy_grace_is_dead(const struct eddy_view *v, uint32_t idx) {
    struct eddy_arena *a = v->arena;
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    struct eddy_trie_leaf near = {0};
    uint64_t base = eddy_arena_extent_off(a, idx);
    uint64_t size = eddy_event_piece_size(a, e, base);
    /* [grace.R5] relaxed: ours */
    uint64_t fill = EDDY_FILL_BYTES(eddy_ld_rlx(&e->fill));
    if (EDDY_INFO_KIND(eddy_ld_rlx(&e->info)) == EDDY_KIND_LARGE) {
        return size > 0 && !is_led_to(v, base, size, base + eddy_event_head_size(1), &near);
    }
    for (uint64_t at = 0; at < fill && fill <= EDDY_EXTENT_SIZE;) {
        uint16_t kind;
        uint32_t units;
        const unsigned char *p = eddy_arena_raw(a, base + at);
        eddy_copy_out(&units, p, sizeof units);
        eddy_copy_out(&kind, p + 4, sizeof kind);
        uint64_t bytes = kind == EDDY_BLOCK_EVENT ? (uint64_t)units * 8 : units;
        if (bytes == 0 || bytes > fill - at ||
            (kind == EDDY_BLOCK_EVENT && is_led_to(v, base, EDDY_EXTENT_SIZE, base + at, &near))) {
            return false;
        }
        at += bytes;
    }
    return fill <= EDDY_EXTENT_SIZE;
}

static void count_taken(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    uint32_t *taken = arg;
    (void)off;
    (void)class_;
    *taken += EDDY_STATE_OF(state) != EDDY_FREE;
}

/* Is there nothing in this extent, which we own, that anything leads to? Inside the span. */
static bool nothing_in(const struct eddy_view *v, uint32_t idx) {
    /* [grace.R6] relaxed: ours */
    unsigned kind = EDDY_INFO_KIND(eddy_ld_rlx(&eddy_extent_line(v->arena, idx)->info));
    uint32_t taken = 0;
    if (kind == EDDY_KIND_NODES) {
        eddy_block_each(v->arena, idx, count_taken, &taken);
        return taken == 0;
    }
    return (kind == EDDY_KIND_EVENTS || kind == EDDY_KIND_LARGE) && eddy_grace_is_dead(v, idx);
}

/* Takes those of the extents that may go; the others are given back and forgotten. from[i]: the state
 * that the i-th one was in. */
static void claim_extents(struct eddy_grace *g, unsigned *from) {
    struct eddy_arena *a = g->thread->arena;
    struct eddy_view v = {.arena = a, .span = &g->thread->span, .overlay = NULL};
    uint32_t kept = 0;
    eddy_rcu_enter(&g->thread->span);
    for (uint32_t i = 0; i < g->extents; i++) {
        uint32_t idx = g->extent[i];
        unsigned was;
        if (!eddy_extent_claim(a, idx, g->thread->member, &was)) {
            continue; /* it is being filled, or somebody else is at it */
        }
        if (nothing_in(&v, idx)) {
            g->extent[kept] = idx;
            from[kept++] = was;
        } else {
            eddy_extent_return(a, idx, was);
        }
    }
    eddy_rcu_leave(&g->thread->span);
    g->extents = kept;
}

/* Does any reader borrow? The marks on the ways in stand before this look, and a reader's saying that
 * it borrows before its looks at those. */
static bool anybody_borrows(const struct eddy_arena *a) {
    /* [grace.F2] seq_cst fence: pairs with [follow.F1]: the store of the marks stands before the load of
     * who borrows */
    eddy_fence_sc();
    for (uint32_t i = 0; i < a->readers_max; i++) {
        /* [grace.R10] relaxed: ordered by the fence above */
        if (eddy_ld_rlx(&a->readers[i].borrows) != 0) {
            return true;
        }
    }
    return false;
}

/* Frees what was claimed, but for what is pinned, which is kept for later. */
static void free_extents(struct eddy_grace *g, const unsigned *from) {
    struct eddy_arena *a = g->thread->arena;
    bool borrows = g->extents > 0 && anybody_borrows(a);
    bool blind = borrows && !eddy_grace_fence(a); /* pins cannot be told: nothing goes */
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->extents; i++) {
        uint32_t idx = g->extent[i];
        if (blind || (borrows && eddy_grace_is_pinned(a, idx))) {
            eddy_extent_return(a, idx, from[i]);
            g->extent[kept++] = idx;
        } else {
            g->freed_extents += eddy_extent_free_run(a, idx, g->thread->member, 0);
        }
    }
    g->extents = kept;
}

static void free_noted(struct eddy_grace *g) {
    unsigned from[EDDY_GRACE_EXTENTS];
    claim_extents(g, from);
    free_extents(g, from);
}

void eddy_grace_extent(struct eddy_grace *g, uint32_t idx) {
    for (uint32_t i = 0; i < g->extents; i++) {
        if (g->extent[i] == idx) {
            return;
        }
    }
    if (g->extents == EDDY_GRACE_EXTENTS) {
        free_noted(g);
    }
    if (g->extents == EDDY_GRACE_EXTENTS) {
        /* All of them are pinned: the oldest is left to a scan, so that others may go. */
        g->extents--;
        memmove(g->extent, g->extent + 1, g->extents * sizeof g->extent[0]);
        eddy_grace_due(g->thread->arena);
    }
    g->extent[g->extents++] = idx;
}

/* A fence costs microseconds, and what somebody holds back who is stopped stays for ever: so it is looked
 * at again when as much has come, or, where no more can come, now and then. */
static bool is_worth_it(struct eddy_grace *g) {
    return g->blocks >= g->kept + FREE_AT || g->lines >= g->kept_lines + FREE_LINES ||
           (g->blocks == EDDY_GRACE_BLOCKS && ++g->calls >= FREE_AT);
}

void eddy_grace_free(struct eddy_grace *g, bool now) {
    struct eddy_arena *a = g->thread->arena;
    if ((now && g->blocks > 0) || is_worth_it(g)) {
        eddy_rcu_advance(&a->super->era);
        if (now) {
            eddy_rcu_advance(&a->super->era);
        }
        if (eddy_grace_fence(a)) {
            free_blocks(g);
        }
        g->kept = g->blocks;
        g->kept_lines = g->lines;
        g->calls = 0;
    }
    if (g->extents > 0) {
        free_noted(g);
    }
}
