/* I1  An extent with state OWNED by member m is written by m alone.
 * I2  A state word only grows; FREE has the generation of the next use, so a compare-and-swap by
 *     somebody who looked before the last use fails.
 * I3  Whoever takes an extent has it by the compare-and-swap of its state word, wherever the number
 *     came from: the list, the fresh mark or a scan.
 * A death between popping a number and taking the extent loses it from the list only: it is FREE,
 * and the scan finds it. A death after taking leaves it OWNED by a dead member, which is swept.
 */
#include "extent.h"

#include <string.h>

#include "error.h"

/* Takes the extent if its state is `from`. */
static bool own(struct eddy_arena *a, uint32_t idx, unsigned from, uint32_t member) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.C1] acquire: pairs with [extent.P2], [extent.P3] */
    uint64_t was = eddy_ld_acq(&e->state);
    if (EDDY_STATE_OF(was) != from) {
        return false;
    }
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), EDDY_OWNED, member);
    /* [extent.P1] acq_rel: pairs with [extent.C2], [event.C1]. It is ours. Death after: swept;
     * nothing that we did not commit is referred to. */
    if (!eddy_cas_ar(&e->state, &was, now)) {
        return false;
    }
    /* [extent.F1] release: pairs with [event.C2]. New bytes are never seen before the new
     * generation: a reader that copied one of them sees the generation changed. */
    eddy_fence_rel();
    return true;
}

/* Puts an extent on a list. Death before: it is on none, and a scan of the states finds it. */
static void push(struct eddy_arena *a, unsigned list, uint32_t idx) {
    eddy_word *head = &a->super->hint[list];
    /* [extent.C3] acquire: pairs with [extent.P4] */
    uint64_t was = eddy_ld_acq(head);
    uint64_t now;
    do {
        /* [extent.R2] relaxed: published by the swap of the head; a hint, checked when used */
        eddy_st_rlx(&eddy_extent_line(a, idx)->next, was & UINT32_MAX);
        now = ((was >> 32) + 1) << 32 | (idx + UINT64_C(1));
        /* [extent.P4] acq_rel: pairs with [extent.C3], [extent.C4]. On the list, with a new tag */
    } while (!eddy_cas_ar(head, &was, now));
}

/* Takes an extent in state `from` off a list. Bounded: a damaged list may be a circle. */
static bool pop(struct eddy_arena *a, unsigned list, unsigned from, uint32_t member,
                uint32_t *idx) {
    eddy_word *head = &a->super->hint[list];
    /* [extent.C4] acquire: pairs with [extent.P4] */
    uint64_t was = eddy_ld_acq(head);
    for (int tries = 0; tries < 64 && (uint32_t)was != 0; tries++) {
        uint32_t at = (uint32_t)was - 1;
        if (at >= eddy_arena_reserved(a)) {
            return false;
        }
        /* [extent.R3] relaxed: a hint; if it is stale, the tag has changed and the swap fails */
        uint64_t now = eddy_ld_rlx(&eddy_extent_line(a, at)->next) & UINT32_MAX;
        now |= ((was >> 32) + 1) << 32;
        /* [extent.R4] relaxed: the list is a hint, the state word is the truth */
        if (!eddy_cas_ar(head, &was, now)) {
            continue;
        }
        if (own(a, at, from, member)) {
            *idx = at;
            return true;
        }
        was = now;
    }
    return false;
}

/* The owner, or who takes over what nothing refers to: back to free, under the next generation. */
static void release(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.R1] relaxed: it is ours (or our sweep's) and nobody else changes it */
    uint64_t was = eddy_ld_rlx(&e->state);
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was) + 1, EDDY_FREE, 0);
    /* [extent.R12] relaxed: ours; so that between its next taking and its next description nobody
     * takes it for what it was */
    eddy_st_rlx(&e->info, 0);
    /* [extent.P2] acq_rel: pairs with [extent.C1], [event.C1], [reader.C1]. Free. */
    if (EDDY_STATE_OF(was) == EDDY_FREE || !eddy_cas_ar(&e->state, &was, now)) {
        return;
    }
    push(a, EDDY_HINT_FREE, idx);
}

/* n extents above the mark of what was ever taken. 1: yes; 0: no room; or an error of growing. */
static int take_fresh(struct eddy_arena *a, uint32_t member, uint32_t n, uint32_t *idx) {
    for (;;) {
        /* [extent.R5] relaxed: only where to look; the state words decide */
        uint64_t from = eddy_ld_rlx(&a->super->fresh);
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
        if (!eddy_cas_ar(&a->super->fresh, &from, from + n)) {
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

/* The last resort: n free extents in a row anywhere, claimed from low to high. */
static bool take_scanned(struct eddy_arena *a, uint32_t member, uint32_t n, uint32_t *idx) {
    uint64_t end = eddy_arena_reserved(a);
    uint32_t got = 0;
    for (uint64_t i = 0; i < end; i++) {
        if (!own(a, (uint32_t)i, EDDY_FREE, member)) {
            while (got > 0) {
                release(a, (uint32_t)i - got--);
            }
            continue;
        }
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

static void describe(struct eddy_arena *a, uint32_t idx, unsigned kind, unsigned class_,
                     uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        struct eddy_shm_extent *e = eddy_extent_line(a, idx + i);
        unsigned k = i == 0 ? kind : EDDY_KIND_REST;
        if (kind == EDDY_KIND_NODES) {
            memset(eddy_arena_raw(a, eddy_arena_extent_off(a, idx + i)), 0, EDDY_EXTENT_SIZE);
        }
        /* [extent.R7] relaxed: ours; a reference to something in here is what publishes it, and
         * that is stored with release */
        eddy_st_rlx(&e->fill, 0);
        eddy_st_rlx(&e->birth, eddy_ld_rlx(&a->super->era));
        eddy_st_rlx(&e->retired, 0);
        /* [extent.P6] release: pairs with [extent.C6]. The blocks' states are of this life before
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
    if (n > 1 || !pop(a, EDDY_HINT_FREE, EDDY_FREE, member, idx)) {
        int r = take_fresh(a, member, n, idx);
        if (r <= 0 && !take_scanned(a, member, n, idx)) {
            return r < 0 ? r
                         : eddy_error_set(EDDY_EFULL,
                                          "the store is full: its cap is %llu bytes; make it with "
                                          "a larger cap, or remove events",
                                          (unsigned long long)a->cap);
        }
    }
    describe(a, *idx, kind, class_, n);
    return 0;
}

void eddy_extent_give(struct eddy_arena *a, uint32_t idx, uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        release(a, idx + i);
    }
}

void eddy_extent_give_owned(struct eddy_arena *a, uint32_t idx, uint32_t n, uint32_t member) {
    for (uint32_t i = n; i-- > 0;) {
        /* [extent.R19] relaxed: a dead member's extents are changed by its sweeper alone */
        uint64_t w = eddy_ld_rlx(&eddy_extent_line(a, idx + i)->state);
        if (EDDY_STATE_OF(w) == EDDY_OWNED && EDDY_STATE_MEMBER(w) == member) {
            release(a, idx + i);
        }
    }
}

static void leave_owned(struct eddy_shm_extent *e, uint64_t was, unsigned state) {
    uint64_t now = EDDY_STATE(EDDY_STATE_GEN(was), state, 0);
    /* [extent.P3] acq_rel: pairs with [extent.C1], [extent.C2], [event.C1]. No longer ours: all in
     * it is applied or given up. Death before: the sweep does it. */
    (void)eddy_cas_ar(&e->state, &was, now);
}

void eddy_extent_seal(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [extent.R8] relaxed: ours */
    leave_owned(e, eddy_ld_rlx(&e->state), EDDY_SEALED);
}

static unsigned partial_list(uint64_t info) {
    unsigned kind = EDDY_INFO_KIND(info);
    return kind == EDDY_KIND_NODES  ? EDDY_HINT_EVENTS + EDDY_INFO_CLASS(info)
           : kind == EDDY_KIND_LIST ? EDDY_HINT_LISTS
                                    : EDDY_HINT_EVENTS;
}

/* Extents of a redo list, as far as it can be. */
static uint32_t list_run(struct eddy_arena *a, uint32_t idx, uint64_t info) {
    uint32_t run = EDDY_INFO_KIND(info) == EDDY_KIND_LIST ? EDDY_INFO_RUN(info) : 1;
    return run == 0 || run > eddy_arena_reserved(a) - idx ? 1 : run;
}

void eddy_extent_leave(struct eddy_arena *a, uint32_t idx) {
    /* [extent.R13] relaxed: ours */
    uint64_t info = eddy_ld_rlx(&eddy_extent_line(a, idx)->info);
    unsigned list = partial_list(info);
    for (uint32_t i = list_run(a, idx, info); i-- > 0;) {
        struct eddy_shm_extent *e = eddy_extent_line(a, idx + i);
        /* [extent.R15] relaxed: ours */
        leave_owned(e, eddy_ld_rlx(&e->state), EDDY_PARTIAL);
    }
    if (list < EDDY_HINTS) {
        push(a, list, idx);
    }
}

bool eddy_extent_resume_list(struct eddy_arena *a, uint32_t member, uint32_t *idx, uint32_t *run) {
    if (!pop(a, EDDY_HINT_LISTS, EDDY_PARTIAL, member, idx)) {
        return false;
    }
    /* [extent.R16] relaxed: ours since the pop */
    *run = list_run(a, *idx, eddy_ld_rlx(&eddy_extent_line(a, *idx)->info));
    uint32_t got = 1;
    while (got < *run && own(a, *idx + got, EDDY_PARTIAL, member)) {
        got++;
    }
    *run = got; /* what is missing was cut off by a death: free, or a part of something else */
    /* [extent.R18] relaxed: ours; so that what is left again is what is ours */
    eddy_st_rlx(&eddy_extent_line(a, *idx)->info, EDDY_INFO(EDDY_KIND_LIST, 0, got));
    return true;
}

bool eddy_extent_resume(struct eddy_arena *a, uint32_t member, unsigned class_, uint32_t *idx) {
    unsigned kind = class_ ? EDDY_KIND_NODES : EDDY_KIND_EVENTS;
    if (!pop(a, EDDY_HINT_EVENTS + class_, EDDY_PARTIAL, member, idx)) {
        return false;
    }
    /* [extent.R14] relaxed: ours since the pop, which acquired what its last owner wrote */
    uint64_t info = eddy_ld_rlx(&eddy_extent_line(a, *idx)->info);
    if (EDDY_INFO_KIND(info) == kind && EDDY_INFO_CLASS(info) == class_) {
        return true;
    }
    eddy_extent_leave(a, *idx);
    return false;
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
    return count(a, EDDY_FREE, 0);
}

uint64_t eddy_extent_count_owned(struct eddy_arena *a, uint32_t member) {
    return count(a, EDDY_OWNED, member);
}

/* Does this rest of a run belong to a large event? */
static bool is_large(const struct eddy_arena *a, uint32_t idx, uint64_t info) {
    uint32_t back = EDDY_INFO_RUN(info); /* to the first of the run */
    if (back == 0 || back > idx) {
        return false;
    }
    /* [extent.R17] relaxed: of the same dead owner, or sealed */
    uint64_t first = eddy_ld_rlx(&eddy_extent_line(a, idx - back)->info);
    return EDDY_INFO_KIND(first) == EDDY_KIND_LARGE && EDDY_INFO_RUN(first) > back;
}

void eddy_extent_sweep(struct eddy_arena *a, uint32_t member, uint64_t keep_off) {
    uint64_t end = eddy_arena_reserved(a);
    for (uint64_t i = 0; i < end; i++) {
        struct eddy_shm_extent *e = &a->extents[i];
        /* [extent.C2] acquire: pairs with [extent.P1], [extent.P3]: what the dead owner wrote */
        uint64_t w = eddy_ld_acq(&e->state);
        if (EDDY_STATE_OF(w) != EDDY_OWNED || EDDY_STATE_MEMBER(w) != member) {
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
        } else if (kind == EDDY_KIND_REST && !is_large(a, (uint32_t)i, info)) {
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
        if (EDDY_STATE_OF(w) > EDDY_RETIRED) {
            what = "has a state that does not exist";
        } else if (EDDY_STATE_OF(w) == EDDY_OWNED && EDDY_STATE_MEMBER(w) >= a->members_max) {
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
