/* Sweeping a dead member, in an order that makes doing it again harmless:
 *
 *   1  take its byte: it is dead, and nobody else sweeps it or joins in its slot
 *   2  help to the end: what it committed is applied, so the edge test is exact
 *   3  its blocks: linked if the index leads to them, else free; its large events likewise
 *   4  its readers: no longer asleep, nothing pinned
 *   5  blocks that it had retired are condemned again, for others; it is not at maintenance any more
 *   6  its extents: left for others to go on; its redo lists freed, but for the one that the last
 *      transaction names
 *   7  its threads outside, their slots free; its slot free; the byte
 *
 * A sweeper that dies at any of these leaves a dead member that is swept again.
 */
#include "maintain.h"

#include <unistd.h>

#include "capture.h"
#include "error.h"
#include "event.h"
#include "reclaim.h"
#include "wait.h"

struct judge {
    const struct eddy_view *view;
    uint32_t member;
};

static void judge_block(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    const struct judge *j = arg;
    (void)class_;
    if (EDDY_STATE_OF(state) != EDDY_OWNED || EDDY_STATE_MEMBER(state) != j->member) {
        return;
    }
    if (eddy_stream_block_linked(j->view, off)) {
        eddy_block_link(j->view->arena, off);
    } else {
        eddy_block_free(j->view->arena, off, state);
    }
}

static void judge_blocks(struct eddy_thread *t, uint32_t member) {
    struct eddy_arena *a = t->arena;
    struct eddy_view view = {.arena = a, .span = &t->span, .overlay = NULL};
    struct judge j = {.view = &view, .member = member};
    uint64_t end = eddy_arena_reserved(a);
    for (uint64_t i = 0; i < end; i++) {
        struct eddy_shm_extent *e = eddy_extent_line(a, (uint32_t)i);
        /* [maintain.R1] relaxed: its owner is dead, and its byte is ours */
        uint64_t w = eddy_ld_rlx(&e->state);
        if (EDDY_STATE_OF(w) == EDDY_OWNED && EDDY_STATE_MEMBER(w) == member &&
            EDDY_INFO_KIND(eddy_ld_rlx(&e->info)) == EDDY_KIND_NODES) {
            eddy_block_each(a, (uint32_t)i, judge_block, &j);
        }
    }
}

/* Does the index lead to the event of this run? */
static bool large_linked(const struct eddy_view *view, uint64_t base) {
    const struct eddy_shm_head *head = eddy_arena_raw(view->arena, base);
    uint64_t offset = eddy_copy_field(&head->tx_offset) + eddy_copy_field(&head->first);
    eddy_word *slot;
    return eddy_trie_slot(view, &view->arena->super->offsets_root, offset, &slot) == 1 &&
           eddy_view_load(view, slot) == base + eddy_event_head_size(1);
}

/* Large events that nothing leads to: the dead member had not committed them, and they are free again;
 * or it was about to free them when they were gone, and somebody may have borrowed one: then that is
 * left to who looks through all. */
static void judge_large(struct eddy_thread *t, uint32_t member) {
    struct eddy_arena *a = t->arena;
    struct eddy_view view = {.arena = a, .span = &t->span, .overlay = NULL};
    uint64_t end = eddy_arena_reserved(a);
    for (uint64_t i = 0; i < end; i++) {
        /* [maintain.R4] relaxed: its owner is dead, and its byte is ours */
        uint64_t w = eddy_ld_rlx(&a->extents[i].state);
        uint64_t info = eddy_ld_rlx(&a->extents[i].info);
        uint32_t run = EDDY_INFO_RUN(info);
        if (EDDY_STATE_OF(w) == EDDY_OWNED && EDDY_STATE_MEMBER(w) == member &&
            EDDY_INFO_KIND(info) == EDDY_KIND_LARGE && run > 0 && run <= end - i &&
            !large_linked(&view, eddy_arena_extent_off(a, (uint32_t)i)) && eddy_grace_fence(a) &&
            !eddy_grace_is_pinned(a, (uint32_t)i)) {
            (void)eddy_extent_free_run(a, (uint32_t)i, t->member, member);
        }
    }
}

static void clear_readers(struct eddy_arena *a, uint32_t member) {
    for (uint32_t i = 0; i < a->readers_max; i++) {
        struct eddy_shm_reader *r = &a->readers[i];
        /* [maintain.C1] acquire: pairs with [follow.P1] */
        uint64_t w = eddy_ld_acq(&r->state);
        if (EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == member) {
            eddy_wait_sweep(a, i);
            /* [maintain.R2] relaxed: its owner is dead */
            eddy_st_rlx(&r->pin, 0);
            eddy_st_rlx(&r->borrows, 0);
            eddy_st_rlx(&r->follows, 0);
            /* [maintain.P1] release: pairs with [follow.C3]. Free. Death before: done again. */
            eddy_st_rel(&r->state, (uint64_t)EDDY_SLOT_GEN(w) << 32);
        }
    }
}

/* The redo list that the last transaction names: it must stay until there is another. */
static uint64_t last_list(struct eddy_arena *a, uint64_t seq) {
    struct eddy_ring_copy c;
    uint32_t buffer;
    return eddy_ring_before(a, seq, &c, &buffer) == 1 ? c.list_off : 0;
}

/* 1 swept, 0 nothing to do, or an error. Inside the span. */
static int sweep_taken(struct eddy_thread *t, uint32_t member) {
    struct eddy_arena *a = t->arena;
    uint64_t seq;
    uint64_t empty;
    /* [maintain.C2] acquire: pairs with [member.P1] */
    if (EDDY_MEMBER_OF(eddy_ld_acq(&a->members[member].state)) != EDDY_MEMBER_LIVE) {
        return 0;
    }
    int r = eddy_capture_sweep(t, member);
    r = r < 0 ? r : eddy_apply_help(t, &seq, &empty);
    if (r < 0) {
        return r;
    }
    judge_blocks(t, member);
    judge_large(t, member);
    clear_readers(a, member);
    eddy_reclaim_sweep(t, member);
    eddy_extent_sweep(a, member, last_list(a, seq));
    eddy_member_clear_threads(a, member);
    eddy_member_set_free(a, member);
    eddy_thread_count(t, EDDY_COUNT_SWEEPS, 1);
    return 1;
}

static int sweep(struct eddy_thread *t, uint32_t member) {
    struct eddy_arena *a = t->arena;
    int fd = -1;
    if (!a->dead_fn) {
        fd = eddy_member_lock(a, member);
        if (fd < 0) {
            return 0; /* it lives, or somebody else is at it */
        }
    }
    eddy_rcu_enter(&t->span);
    int r = sweep_taken(t, member);
    eddy_rcu_leave(&t->span);
    if (fd >= 0) {
        close(fd);
    }
    return r;
}

int eddy_maintain_sweep_dead(struct eddy_thread *t) {
    struct eddy_arena *a = t->arena;
    int swept = 0;
    for (uint32_t i = 0; i < a->members_max; i++) {
        /* [maintain.R3] relaxed: only where to look; looked at again with the byte in hand */
        uint64_t w = eddy_ld_rlx(&a->members[i].state);
        if (i == t->member || EDDY_MEMBER_OF(w) != EDDY_MEMBER_LIVE || !eddy_member_dead(a, i)) {
            continue;
        }
        int r = sweep(t, i);
        if (r < 0) {
            return r;
        }
        swept += r;
    }
    return swept;
}

int eddy_maintain_recover(struct eddy_arena *a) {
    struct eddy_member member;
    struct eddy_thread thread;
    int r = eddy_member_join_recovery(a, &member);
    if (r <= 0) {
        return r;
    }
    eddy_thread_join_recovery(a, &member, &thread);
    r = eddy_maintain_sweep_dead(&thread);
    eddy_member_leave(a, &member);
    return r;
}
