/* I1  An extent with state OWNED by member m is written by m alone.
 * I2  A generation only grows; FREE has that of the next use, so a compare-and-swap by somebody who
 *     looked before the last use fails. Within one use it may be partial, owned, and partial again.
 * I3  Whoever takes an extent has it by the compare-and-swap of its state word, wherever the number
 *     came from: a map, the fresh mark or a scan.
 * I4  A bit of a map is set after its extent has become what the map is of; who clears one looks at
 *     the state once more, behind a fence, and sets it again if it must. So none is lost, but by a
 *     death between the state and the bit, which a scan mends (eddy_extent_remind()).
 * A death after taking an extent leaves it OWNED by a dead member, which is swept.
 */
#include "extent.h"

#include <string.h>

#include "error.h"

/* Takes the extent if its state is `from`. */
static bool own(struct eddy_arena *a, uint32_t idx, unsigned from, uint32_t member) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.C1] acquire: pairs with [extent.P2], [extent.P3], [extent.P5], [extent.P7], [extent.P8],
     * [extent.P9] */
    uint64_t was = eddy_ld_acq(&e->state);
    if (EDDY_STATE_OF(was) != from) {
        return false;
    }
    unsigned to = from == EDDY_HOLE ? EDDY_EMPTYING : EDDY_OWNED; /* a hole has no memory yet */
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), to, member);
    /* [extent.P1] acq_rel: pairs with [extent.C2], [event.C1], [query.C1], [scan.C3], [block.C4]. It is ours. Death after: swept;
     * nothing that we did not commit is referred to. */
    if (!eddy_cas_ar(&e->state, &was, now)) {
        return false;
    }
    /* [extent.F1] release: pairs with [event.C2]. New bytes are never seen before the new
     * generation: a reader that copied one of them sees the generation changed. */
    eddy_fence_rel();
    return true;
}

/* ---- maps ---- */

static eddy_word *map_word(struct eddy_arena *a, unsigned map, uint64_t word) {
    return a->maps + map * a->map_words + word;
}

/* Sets the bit of an extent, which has just become what the map is of. */
static void put(struct eddy_arena *a, unsigned map, uint32_t idx) {
    /* [extent.P4] acq_rel: pairs with [extent.C4]. Death before: a scan sets it. */
    eddy_or_sc(map_word(a, map, idx / 64), UINT64_C(1) << idx % 64);
    eddy_word *lowest = &a->super->lowest[map];
    /* [extent.R2] relaxed: a hint; the tag makes who raises it beside us look again */
    uint64_t was = eddy_ld_rlx(lowest);
    uint64_t now;
    do {
        uint64_t word = (uint32_t)was < idx / 64 ? (uint32_t)was : idx / 64;
        now = ((was >> 32) + 1) << 32 | word;
    } while (!eddy_cas_ar(lowest, &was, now));
}

/* Clears the bit of an extent that is not in state `from`, or was taken by us. */
static void clear(struct eddy_arena *a, unsigned map, uint32_t idx, unsigned from) {
    /* [extent.R30] relaxed: ordered by the fence below */
    eddy_and_ar(map_word(a, map, idx / 64), ~(UINT64_C(1) << idx % 64));
    /* [extent.F2] seq_cst fence: alone: the store that clears the bit stands before the load of the
     * state; who makes it such sets the bit behind that, so that one of us sets it */
    eddy_fence_sc();
    /* [extent.R3] relaxed: ordered by the fence above */
    if (EDDY_STATE_OF(eddy_ld_rlx(&eddy_extent_line(a, idx)->state)) == from) {
        put(a, map, idx);
    }
}

/* Takes an extent in state `from` that a map says may be had. */
static bool get(struct eddy_arena *a, unsigned map, unsigned from, uint32_t member, uint32_t *idx) {
    eddy_word *lowest = &a->super->lowest[map];
    uint64_t end = (eddy_arena_reserved(a) + 63) / 64;
    /* [extent.R4] relaxed: a hint */
    uint64_t was = eddy_ld_rlx(lowest);
    uint64_t w = (uint32_t)was;
    while (w < end) {
        /* [extent.C4] acquire: pairs with [extent.P4] */
        uint64_t bits = eddy_ld_acq(map_word(a, map, w));
        uint64_t first = bits ? w * 64 + (unsigned)__builtin_ctzll(bits) : UINT64_MAX;
        if (first >= eddy_arena_reserved(a)) {
            w++; /* none, or, in a damaged map, one that there cannot be */
            continue;
        }
        uint32_t at = (uint32_t)first;
        bool got = own(a, at, from, member);
        clear(a, map, at, from);
        if (got) {
            *idx = at;
            break;
        }
    }
    if (w != (uint32_t)was) {
        /* [extent.R20] relaxed: a hint; fails if a bit was set meanwhile */
        (void)eddy_cas_ar(lowest, &was, (was >> 32) << 32 | w);
    }
    return w < end;
}

/* ---- taking and giving ---- */

/* The owner, or who takes over what nothing refers to: back to free, under the next generation. */
static void release(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.R1] relaxed: it is ours (or our sweep's) and nobody else changes it */
    uint64_t was = eddy_ld_rlx(&e->state);
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was) + 1, EDDY_FREE, 0);
    /* [extent.R12] relaxed: ours; so that between its next taking and its next description nobody
     * takes it for what it was */
    eddy_st_rlx(&e->info, 0);
    /* [extent.P2] acq_rel: pairs with [extent.C1], [extent.C8], [event.C1], [query.C1], [follow.C4], [block.C4]. Free. */
    if (EDDY_STATE_OF(was) == EDDY_FREE || !eddy_cas_ar(&e->state, &was, now)) {
        return;
    }
    if (idx >= EDDY_RESERVED_EXTENTS) {
        put(a, EDDY_MAP_FREE, idx);
    }
}

/* n extents above the mark of what was ever taken. 1: yes; 0: no room; or an error of growing. */
static int take_fresh(struct eddy_arena *a, uint32_t member, uint32_t n, uint32_t *idx) {
    for (;;) {
        /* [extent.R5] relaxed: only where to look; the state words decide */
        uint64_t from = eddy_ld_rlx(&a->super->fresh);
        from = from < EDDY_RESERVED_EXTENTS ? EDDY_RESERVED_EXTENTS : from;
        uint64_t reserved = eddy_arena_reserved(a);
        if (from > a->extents_max || n > a->extents_max - from) {
            return 0;
        }
        if (from + n > reserved) {
            int r = eddy_arena_grow(a, (uint32_t)(from + n - reserved));
            if (r < 0) {
                return r;
            }
            continue;
        }
        /* [extent.R6] relaxed: a number that only grows; death after leaves free extents
         * below the mark, which the scan finds */
        uint64_t was = from > EDDY_RESERVED_EXTENTS ? from : eddy_ld_rlx(&a->super->fresh);
        if (was > from || !eddy_cas_ar(&a->super->fresh, &was, from + n)) {
            continue;
        }
        uint32_t got = 0;
        while (got < n && own(a, (uint32_t)from + got, EDDY_FREE, member)) {
            got++;
        }
        if (got == n) {
            *idx = (uint32_t)from;
            return 1;
        }
        while (got > 0) {
            release(a, (uint32_t)from + --got);
        }
    }
}

/* n free extents in a row anywhere, claimed from low to high. */
static bool take_scanned(struct eddy_arena *a, uint32_t member, uint32_t n, uint32_t *idx) {
    uint64_t end = eddy_arena_reserved(a);
    uint32_t got = 0;
    for (uint64_t i = EDDY_RESERVED_EXTENTS; i < end; i++) {
        if (!own(a, (uint32_t)i, EDDY_FREE, member)) {
            while (got > 0) {
                release(a, (uint32_t)i - got--);
            }
            continue;
        }
        clear(a, EDDY_MAP_FREE, (uint32_t)i, EDDY_FREE);
        if (++got == n) {
            *idx = (uint32_t)i + 1 - n;
            return true;
        }
    }
    while (got > 0) {
        release(a, (uint32_t)end - got--);
    }
    return false;
}

/* Is there a run of n bits in the map of free extents? */
static bool has_run(struct eddy_arena *a, uint32_t n) {
    uint64_t end = eddy_arena_reserved(a);
    uint32_t run = 0;
    for (uint64_t i = 0; i < end && run < n; i++) {
        /* [extent.R21] relaxed: a hint whether to look closer */
        uint64_t bits = eddy_ld_rlx(map_word(a, EDDY_MAP_FREE, i / 64));
        if (bits == 0) {
            i |= 63;
            run = 0;
        } else {
            run = bits >> i % 64 & 1 ? run + 1 : 0;
        }
    }
    return run == n;
}

/* An extent without memory, which gets some. 1, 0 if there is none, or an error. */
static int take_hole(struct eddy_arena *a, uint32_t member, uint32_t *idx) {
    if (!get(a, EDDY_MAP_HOLES, EDDY_HOLE, member, idx)) {
        return 0;
    }
    int r = eddy_arena_refill(a, *idx);
    struct eddy_shm_extent *e = eddy_extent_line(a, *idx);
    /* [extent.R22] relaxed: ours */
    uint64_t was = eddy_ld_rlx(&e->state);
    unsigned now = r < 0 ? EDDY_HOLE : EDDY_OWNED;
    /* [extent.P5] acq_rel: pairs with [extent.C1]. It has memory now, or still none. Death before: it
     * was EMPTYING, and is a hole. */
    (void)eddy_cas_ar(&e->state, &was, EDDY_STATE(EDDY_STATE_GEN(was), now, r < 0 ? 0 : member));
    if (r < 0) {
        put(a, EDDY_MAP_HOLES, *idx);
    }
    return r < 0 ? r : 1;
}

static void describe(struct eddy_arena *a, uint32_t idx, unsigned kind, unsigned class_,
                     uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        struct eddy_shm_extent *e = eddy_extent_line(a, idx + i);
        unsigned k = i == 0 ? kind : EDDY_KIND_REST;
        if (kind == EDDY_KIND_NODES) {
            eddy_clear(eddy_arena_raw(a, eddy_arena_extent_off(a, idx + i)), EDDY_EXTENT_SIZE);
        }
        /* [extent.R7] relaxed: ours; a reference to something in here is what publishes it, and
         * that is stored with release */
        eddy_st_rlx(&e->fill, 0);
        eddy_st_rlx(&e->dead, 0);
        eddy_st_rlx(&e->birth, eddy_ld_rlx(&a->super->era));
        eddy_st_rlx(&e->retired, 0);
        /* [extent.P6] release: pairs with [extent.C6], [extent.C9], [scan.C1]. The blocks' states are of this life before
         * the extent says that it has blocks. Death before: kind NONE, the sweep frees it. */
        eddy_st_rel(&e->info, EDDY_INFO(k, class_, i == 0 ? n : i));
    }
}

int eddy_extent_take(struct eddy_arena *a, uint32_t member, unsigned kind, unsigned class_,
                     uint32_t n, uint32_t *idx) {
    if (n == 0 || n > a->extents_max) {
        return eddy_error_set(EDDY_EFULL,
                              "%llu bytes in one piece do not fit in a store whose cap is %llu",
                              (unsigned long long)n * EDDY_EXTENT_SIZE, (unsigned long long)a->cap);
    }
    bool got = n == 1 ? get(a, EDDY_MAP_FREE, EDDY_FREE, member, idx)
                      : has_run(a, n) && take_scanned(a, member, n, idx);
    int r = got ? 1 : n == 1 ? take_hole(a, member, idx) : 0;
    if (r == 0) {
        r = take_fresh(a, member, n, idx);
    }
    if (r <= 0 && !take_scanned(a, member, n, idx)) {
        return r < 0 ? r
                     : eddy_error_set(EDDY_EFULL,
                                      "the store is full: its cap is %llu bytes; make it with "
                                      "a larger cap, or remove events",
                                      (unsigned long long)a->cap);
    }
    describe(a, *idx, kind, class_, n);
    return 0;
}

int eddy_extent_take_reserved(struct eddy_arena *a, uint32_t member, uint32_t *idx) {
    bool got = get(a, EDDY_MAP_FREE, EDDY_FREE, member, idx);
    for (uint32_t i = 0; !got && i < EDDY_RESERVED_EXTENTS; i++) {
        *idx = i;
        got = own(a, i, EDDY_FREE, member);
    }
    if (!got) {
        return eddy_extent_take(a, member, EDDY_KIND_EVENTS, 0, 1, idx);
    }
    describe(a, *idx, EDDY_KIND_EVENTS, 0, 1);
    return 0;
}

void eddy_extent_give(struct eddy_arena *a, uint32_t idx, uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        release(a, idx + i);
    }
}

static void leave_owned(struct eddy_shm_extent *e, uint64_t was, unsigned state) {
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), state, 0);
    /* [extent.P3] acq_rel: pairs with [extent.C1], [extent.C2], [event.C1], [query.C1]. No longer ours: all in
     * it is applied or given up. Death before: the sweep does it. */
    (void)eddy_cas_ar(&e->state, &was, now);
}

void eddy_extent_seal(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.R8] relaxed: ours */
    leave_owned(e, eddy_ld_rlx(&e->state), EDDY_SEALED);
    /* [extent.F4] seq_cst fence: alone: the store that seals it stands before the load of the count of
     * blocks that were freed meanwhile; who frees one raises the count before it looks at the state */
    eddy_fence_sc();
    /* [extent.R29] relaxed: ordered by the fence above */
    if (eddy_ld_rlx(&e->dead) != 0) {
        eddy_extent_reopen(a, idx);
    }
}

/* The map of what is partly filled; EDDY_MAPS: of none. */
static unsigned partial_map(uint64_t info) {
    unsigned kind = EDDY_INFO_KIND(info);
    unsigned nodes = EDDY_MAP_EVENTS + EDDY_INFO_CLASS(info);
    return kind == EDDY_KIND_NODES    ? nodes < EDDY_MAP_HOLES ? nodes : EDDY_MAPS
           : kind == EDDY_KIND_LIST   ? EDDY_MAP_LISTS
           : kind == EDDY_KIND_EVENTS ? EDDY_MAP_EVENTS
                                      : EDDY_MAPS;
}

/* Extents of a redo list, as far as it can be. */
static uint32_t list_run(struct eddy_arena *a, uint32_t idx, uint64_t info) {
    uint32_t run = EDDY_INFO_KIND(info) == EDDY_KIND_LIST ? EDDY_INFO_RUN(info) : 1;
    return run == 0 || run > eddy_arena_reserved(a) - idx ? 1 : run;
}

/* Is this extent, `back` behind the first of a run, still a part of it? After a death it may be free,
 * or something else's. */
static bool is_rest(struct eddy_arena *a, uint32_t idx, uint32_t back) {
    /* [extent.C9] acquire: pairs with [extent.P6] */
    return eddy_ld_acq(&eddy_extent_line(a, idx)->info) == EDDY_INFO(EDDY_KIND_REST, 0, back);
}

void eddy_extent_leave(struct eddy_arena *a, uint32_t idx) {
    /* [extent.R13] relaxed: ours */
    uint64_t info = eddy_ld_rlx(&eddy_extent_line(a, idx)->info);
    unsigned map = partial_map(info);
    for (uint32_t i = list_run(a, idx, info); i-- > 0;) {
        struct eddy_shm_extent *e = eddy_extent_line(a, idx + i);
        if (i == 0 || is_rest(a, idx + i, i)) {
            /* [extent.R15] relaxed: ours */
            leave_owned(e, eddy_ld_rlx(&e->state), EDDY_PARTIAL);
        }
    }
    if (map < EDDY_MAPS) {
        put(a, map, idx);
    }
}

/* Takes a part of a run. What it is is looked at again once it is ours: it may have gone, and be
 * something else's that is in the same state. */
static bool own_rest(struct eddy_arena *a, uint32_t idx, uint32_t back, unsigned from,
                     uint32_t member) {
    if (!is_rest(a, idx, back) || !own(a, idx, from, member)) {
        return false;
    }
    if (!is_rest(a, idx, back)) {
        eddy_extent_return(a, idx, from);
        return false;
    }
    return true;
}

bool eddy_extent_resume_list(struct eddy_arena *a, uint32_t member, uint32_t *idx, uint32_t *run) {
    if (!get(a, EDDY_MAP_LISTS, EDDY_PARTIAL, member, idx)) {
        return false;
    }
    /* [extent.R16] relaxed: ours since it was taken */
    *run = list_run(a, *idx, eddy_ld_rlx(&eddy_extent_line(a, *idx)->info));
    uint32_t got = 1;
    while (got < *run && own_rest(a, *idx + got, got, EDDY_PARTIAL, member)) {
        got++;
    }
    *run = got; /* what is missing was cut off by a death: free, or a part of something else */
    /* [extent.R18] relaxed: ours; so that what is left again is what is ours */
    eddy_st_rlx(&eddy_extent_line(a, *idx)->info, EDDY_INFO(EDDY_KIND_LIST, 0, got));
    return true;
}

bool eddy_extent_resume(struct eddy_arena *a, uint32_t member, unsigned class_, uint32_t *idx) {
    unsigned kind = class_ ? EDDY_KIND_NODES : EDDY_KIND_EVENTS;
    if (!get(a, EDDY_MAP_EVENTS + class_, EDDY_PARTIAL, member, idx)) {
        return false;
    }
    /* [extent.R14] relaxed: ours since it was taken, which acquired what its last owner wrote */
    uint64_t info = eddy_ld_rlx(&eddy_extent_line(a, *idx)->info);
    if (EDDY_INFO_KIND(info) == kind && EDDY_INFO_CLASS(info) == class_) {
        if (kind == EDDY_KIND_NODES) {
            /* [extent.R23] relaxed: a count of blocks that were freed since it was taken up last */
            eddy_st_rlx(&eddy_extent_line(a, *idx)->dead, 0);
        }
        return true;
    }
    eddy_extent_leave(a, *idx);
    return false;
}

void eddy_extent_reopen(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.F3] seq_cst fence: alone: the store of the count of free blocks, by the caller, stands
     * before the load of the state; who seals it looks at the count behind that */
    eddy_fence_sc();
    /* [extent.R24] relaxed: ordered by the fence above */
    uint64_t was = eddy_ld_rlx(&e->state);
    uint64_t info = eddy_ld_rlx(&e->info);
    if (EDDY_STATE_OF(was) == EDDY_SEALED && EDDY_INFO_KIND(info) == EDDY_KIND_NODES &&
        partial_map(info) < EDDY_MAPS &&
        /* [extent.P7] acq_rel: pairs with [extent.C1] */
        eddy_cas_ar(&e->state, &was, EDDY_STATE(EDDY_STATE_GEN(was), EDDY_PARTIAL, 0))) {
        put(a, partial_map(info), idx);
    }
}

/* ---- those that nobody fills ---- */

bool eddy_extent_claim(struct eddy_arena *a, uint32_t idx, uint32_t member, unsigned *from) {
    for (*from = EDDY_PARTIAL; *from <= EDDY_SEALED; ++*from) {
        if (own(a, idx, *from, member)) {
            return true;
        }
    }
    return false;
}

void eddy_extent_return(struct eddy_arena *a, uint32_t idx, unsigned from) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.R25] relaxed: ours */
    uint64_t info = eddy_ld_rlx(&e->info);
    leave_owned(e, eddy_ld_rlx(&e->state), from);
    if (from == EDDY_PARTIAL && partial_map(info) < EDDY_MAPS) {
        put(a, partial_map(info), idx);
    }
}

/* Does this rest of a run belong to one of that kind? */
static bool is_of(const struct eddy_arena *a, uint32_t idx, uint64_t info, unsigned kind) {
    uint32_t back = EDDY_INFO_RUN(info); /* to the first of the run */
    if (back == 0 || back > idx) {
        return false;
    }
    /* [extent.R17] relaxed: of the same dead owner, or of nobody who changes it */
    uint64_t first = eddy_ld_rlx(&eddy_extent_line(a, idx - back)->info);
    return EDDY_INFO_KIND(first) == kind && EDDY_INFO_RUN(first) > back;
}

/* One of the further extents of a run, if it is one still: a former owner, who died on the way, may
 * have given it back, and it is another's by now. False if it is. */
static bool free_rest(struct eddy_arena *a, uint32_t idx, uint32_t back, unsigned from,
                      uint32_t member, uint32_t dead) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    if (!is_rest(a, idx, back)) {
        return false;
    }
    /* [extent.R19] relaxed: a dead member's extents are changed by its sweeper alone */
    uint64_t w = eddy_ld_rlx(&e->state);
    bool of_dead = dead != 0 && EDDY_STATE_OF(w) == EDDY_OWNED && EDDY_STATE_MEMBER(w) == dead;
    if (!of_dead && !own_rest(a, idx, back, from, member)) {
        return false;
    }
    release(a, idx);
    return true;
}

uint32_t eddy_extent_free_run(struct eddy_arena *a, uint32_t idx, uint32_t member, uint32_t dead) {
    /* [extent.R26] relaxed: ours */
    uint64_t info = eddy_ld_rlx(&eddy_extent_line(a, idx)->info);
    uint32_t run = EDDY_INFO_KIND(info) == EDDY_KIND_LARGE ? EDDY_INFO_RUN(info) : 1;
    uint32_t freed = 1;
    for (uint32_t i = 1; i < run && i < eddy_arena_reserved(a) - idx; i++) {
        freed += free_rest(a, idx + i, i, EDDY_SEALED, member, dead);
    }
    release(a, idx); /* last, so that who comes after a death finds the others by it */
    return freed;
}

bool eddy_extent_free_orphan(struct eddy_arena *a, uint32_t idx, uint32_t member) {
    /* [extent.R34] relaxed: looked at again by free_rest() */
    uint64_t info = eddy_ld_rlx(&eddy_extent_line(a, idx)->info);
    uint32_t back = EDDY_INFO_RUN(info);
    return EDDY_INFO_KIND(info) == EDDY_KIND_REST && !is_of(a, idx, info, EDDY_KIND_LARGE) &&
           !is_of(a, idx, info, EDDY_KIND_LIST) &&
           (free_rest(a, idx, back, EDDY_SEALED, member, 0) ||
            free_rest(a, idx, back, EDDY_PARTIAL, member, 0));
}

bool eddy_extent_begin_emptying(struct eddy_arena *a, uint32_t idx, uint32_t member) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.C8] acquire: pairs with [extent.P2] */
    uint64_t was = eddy_ld_acq(&e->state);
    uint64_t mine = EDDY_STATE(EDDY_STATE_GEN(was), EDDY_EMPTYING, member);
    /* [extent.P8] acq_rel: pairs with [extent.C1]. Ours, and from here on it counts as a hole. Death
     * after: the sweep says so. */
    return EDDY_STATE_OF(was) == EDDY_FREE && eddy_cas_ar(&e->state, &was, mine);
}

int eddy_extent_end_emptying(struct eddy_arena *a, uint32_t idx, bool empty) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    int r = empty ? eddy_arena_punch(a, idx) : 0;
    /* [extent.R33] relaxed: ours */
    uint64_t mine = eddy_ld_rlx(&e->state);
    unsigned to = empty ? EDDY_HOLE : EDDY_FREE;
    /* [extent.P9] acq_rel: pairs with [extent.C1]. Free as it was; or whoever wants it reserves its
     * memory first. */
    (void)eddy_cas_ar(&e->state, &mine, EDDY_STATE(EDDY_STATE_GEN(mine), to, 0));
    clear(a, EDDY_MAP_FREE, idx, EDDY_FREE);
    if (empty) {
        put(a, EDDY_MAP_HOLES, idx);
    }
    return r < 0 ? r : empty;
}

void eddy_extent_remind(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.R27] relaxed: for a hint */
    unsigned state = EDDY_STATE_OF(eddy_ld_rlx(&e->state));
    unsigned map = state == EDDY_FREE      ? EDDY_MAP_FREE
                   : state == EDDY_HOLE    ? EDDY_MAP_HOLES
                   : state == EDDY_PARTIAL ? partial_map(eddy_ld_rlx(&e->info))
                                           : EDDY_MAPS;
    if (map >= EDDY_MAPS || (map == EDDY_MAP_FREE && idx < EDDY_RESERVED_EXTENTS)) {
        return;
    }
    /* [extent.R28] relaxed: mostly it is set, and looked for; who set it may have died before he said
     * where to begin to look */
    if (!(eddy_ld_rlx(map_word(a, map, idx / 64)) >> idx % 64 & 1) ||
        (uint32_t)eddy_ld_rlx(&a->super->lowest[map]) > idx / 64) {
        put(a, map, idx);
    }
}

static uint64_t count(struct eddy_arena *a, unsigned state, uint32_t member) {
    uint64_t end = eddy_arena_reserved(a);
    uint64_t n = 0;
    for (uint64_t i = 0; i < end; i++) {
        /* [extent.R9] relaxed: a figure to show */
        uint64_t w = eddy_ld_rlx(&a->extents[i].state);
        n += EDDY_STATE_OF(w) == state && (state != EDDY_OWNED || EDDY_STATE_MEMBER(w) == member);
    }
    return n;
}

uint64_t eddy_extent_count_free(struct eddy_arena *a) {
    uint64_t n = count(a, EDDY_FREE, 0);
    for (uint32_t i = 0; i < EDDY_RESERVED_EXTENTS; i++) {
        /* [extent.R32] relaxed: a figure to show: those are not for everybody */
        n -= EDDY_STATE_OF(eddy_ld_rlx(&a->extents[i].state)) == EDDY_FREE && n > 0;
    }
    return n;
}

uint64_t eddy_extent_count_holes(struct eddy_arena *a) {
    return count(a, EDDY_HOLE, 0);
}

uint64_t eddy_extent_count_owned(struct eddy_arena *a, uint32_t member) {
    return count(a, EDDY_OWNED, member);
}

void eddy_extent_sweep(struct eddy_arena *a, uint32_t member, uint64_t keep_off) {
    uint64_t end = eddy_arena_reserved(a);
    for (uint64_t i = 0; i < end; i++) {
        struct eddy_shm_extent *e = &a->extents[i];
        /* [extent.C2] acquire: pairs with [extent.P1], [extent.P3]: what the dead owner wrote */
        uint64_t w = eddy_ld_acq(&e->state);
        if (EDDY_STATE_MEMBER(w) != member) {
            continue;
        }
        if (EDDY_STATE_OF(w) == EDDY_EMPTYING) {
            leave_owned(e, w, EDDY_HOLE);
            put(a, EDDY_MAP_HOLES, (uint32_t)i);
        }
        if (EDDY_STATE_OF(w) != EDDY_OWNED) {
            continue;
        }
        /* [extent.C6] acquire: pairs with [extent.P6] */
        uint64_t info = eddy_ld_acq(&e->info);
        unsigned kind = EDDY_INFO_KIND(info);
        bool named = keep_off != 0 && keep_off == eddy_arena_extent_off(a, (uint32_t)i);
        if (kind == EDDY_KIND_LIST && named) {
            uint32_t run = list_run(a, (uint32_t)i, info);
            eddy_extent_leave(a, (uint32_t)i);
            i += run - 1;
        } else if (kind == EDDY_KIND_LIST || kind == EDDY_KIND_NONE) {
            release(a, (uint32_t)i);
        } else if (kind == EDDY_KIND_REST && !is_of(a, (uint32_t)i, info, EDDY_KIND_LARGE)) {
            release(a, (uint32_t)i);
        } else if (kind == EDDY_KIND_EVENTS || kind == EDDY_KIND_NODES) {
            eddy_extent_leave(a, (uint32_t)i);
        } else {
            leave_owned(e, w, EDDY_SEALED);
        }
    }
}

uint64_t eddy_extent_check(struct eddy_arena *a, eddy_report_fn report, void *arg) {
    uint64_t end = eddy_arena_reserved(a);
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < end; i++) {
        /* [extent.R11] relaxed: one word, judged alone */
        uint64_t w = eddy_ld_rlx(&a->extents[i].state);
        uint64_t info = eddy_ld_rlx(&a->extents[i].info);
        const char *what = NULL;
        if (EDDY_STATE_OF(w) > EDDY_HOLE) {
            what = "has a state that does not exist";
        } else if (EDDY_STATE_MEMBER(w) >= a->members_max) {
            what = "is owned by a member that cannot be";
        } else if (EDDY_STATE_OF(w) != EDDY_FREE && EDDY_INFO_KIND(info) > EDDY_KIND_LIST) {
            what = "has a kind that does not exist";
        }
        if (what) {
            wrong++;
            report(arg, "extent", "extent %llu %s (state %016llx, info %016llx)",
                   (unsigned long long)i, what, (unsigned long long)w, (unsigned long long)info);
        }
    }
    return wrong;
}

uint64_t eddy_extent_known_free(const struct eddy_arena *a) {
    /* [extent.R31] relaxed: hints, counted */
    uint64_t end = (eddy_ld_rlx(&a->super->reserved) + 63) / 64;
    uint64_t n = 0;
    for (uint64_t w = 0; w < end && w < a->map_words; w++) {
        /* [extent.R35] relaxed: as above */
        uint64_t free = eddy_ld_rlx(&a->maps[EDDY_MAP_FREE * a->map_words + w]);
        uint64_t holes = eddy_ld_rlx(&a->maps[EDDY_MAP_HOLES * a->map_words + w]);
        n += (uint64_t)__builtin_popcountll(free) + (uint64_t)__builtin_popcountll(holes);
    }
    return n;
}
