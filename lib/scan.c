#include "scan.h"

#include "capture.h"
#include "gone.h"
#include "list.h"
#include "prune.h"

enum { SCAN_ROUNDS = 8 };

/* The first and last number of a node of a number trie. */
static uint64_t last_under(const struct eddy_shm_node *node) {
    /* [scan.R1] relaxed: constant while it lives */
    unsigned shift = EDDY_SHAPE_SHIFT(eddy_trie_shape(&node->block)) + EDDY_NODE_BITS;
    return eddy_ld_rlx(&node->base) | ((UINT64_C(1) << shift) - 1);
}

/* A linked node of a stream's versions. */
static int scan_versions(struct eddy_reclaim *r, struct eddy_shm_node *node, uint64_t home,
                         uint64_t shape) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_view v = eddy_reclaim_view_of(r);
    bool small = EDDY_SHAPE_BITS(shape) != EDDY_NODE_BITS;
    struct eddy_shm_stream *s =
        eddy_stream_at(a, home - (small ? offsetof(struct eddy_shm_stream, leaf8)
                                        : offsetof(struct eddy_shm_stream, root)));
    uint64_t gone = 0;
    if (!s) {
        return 0;
    }
    if (EDDY_SHAPE_SHIFT(shape) != 0) {
        return eddy_prune_all_gone(node, EDDY_TRIE_SLOTS)
                   ? eddy_prune_number(&r->grace, &s->root, last_under(node), false)
                   : 0;
    }
    if (eddy_list_is(s)) {
        return eddy_reclaim_prune_list(
            r, s, small ? EDDY_TRIE_VERSION - 1 : last_under(node) + EDDY_TRIE_VERSION);
    }
    /* Its versions lead to nothing any more: the stream's were buried, or lie below what is. */
    if (eddy_gone_versions(&v, s, &gone) < 0) {
        return 0;
    }
    uint64_t version = small ? EDDY_TRIE_VERSION - 1 : last_under(node) + EDDY_TRIE_VERSION;
    /* [scan.R2] relaxed: numbers that only grow */
    uint64_t last = eddy_ld_rlx(&node->slot[small ? EDDY_LEAF8 - 1 : EDDY_TRIE_SLOTS - 1]);
    bool buried = version <= eddy_view_load(&v, &s->reclaimed) ||
                  (last != 0 && last <= eddy_ld_rlx(&a->super->reclaimed));
    return version <= gone && buried ? eddy_prune_version(&r->grace, s, version) : 0;
}

/* A linked node: is it one under which all is gone? Then it goes, as it should have gone. */
static int scan_node(struct eddy_reclaim *r, struct eddy_shm_node *node) {
    struct eddy_arena *a = r->thread->arena;
    /* [scan.R3] relaxed: constant while it lives */
    uint64_t home = eddy_ld_rlx(&node->home);
    uint64_t shape = eddy_trie_shape(&node->block);
    if (home == eddy_arena_off(a, a->names)) {
        return 0;
    }
    if (home >= a->extents_off) {
        return scan_versions(r, node, home, shape);
    }
    return eddy_prune_all_gone(node, EDDY_TRIE_SLOTS)
               ? eddy_prune_number(&r->grace, eddy_arena_raw(a, home), last_under(node), false)
               : 0;
}

struct scan {
    struct eddy_reclaim *r;
    uint64_t noted[64]; /* blocks with which something is to be done, and */
    uint64_t tags[64];
    uint64_t life; /* generation of the extent */
    unsigned count;
    unsigned taken; /* blocks that are not free */
    unsigned free;
    bool left; /* there is more to do than can be done now */
    int result;
};

static bool is_full(const struct scan *k) {
    return k->count == sizeof k->noted / sizeof k->noted[0];
}

/* Has a linked descriptor anything under it that was cut off and not yet buried? */
static bool has_cut(const struct eddy_shm_stream *s) {
    /* [scan.R4] relaxed: looked at again by who does it */
    return eddy_ld_rlx(&s->first) > eddy_ld_rlx(&s->reclaimed);
}

/* A block with which something is to be done. */
static void note(void *arg, uint64_t off) {
    struct scan *k = arg;
    struct eddy_arena *a = k->r->thread->arena;
    if (!is_full(k)) {
        k->tags[k->count] = eddy_block_tag(a, off);
        k->noted[k->count++] = off;
    }
}

/* An entry that was wanted for a snapshot, by somebody who died, or had to give up: nothing leads to it
 * any more. While a capture is on, it may be one of that. */
static void scan_entry(struct scan *k, struct eddy_shm_entry *e) {
    struct eddy_view v = eddy_reclaim_view_of(k->r);
    if (eddy_keyed_was_captured(&v, e) &&
        !EDDY_CAPTURE_IS_ON(eddy_view_load(&v, &v.arena->super->captured))) {
        eddy_capture_condemn(v.arena, e, note, k);
    }
}

/* What is condemned may be so by a record that is being applied just now, and still be led to: it is
 * only noted, and done when that has been helped to its end. */
static void scan_block(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    struct scan *k = arg;
    struct eddy_shm_block *b = eddy_arena_raw(k->r->thread->arena, off);
    unsigned kind = EDDY_SHAPE_KIND(eddy_trie_shape(b));
    bool linked = EDDY_STATE_OF(state) == EDDY_LINKED;
    (void)class_;
    k->taken += EDDY_STATE_OF(state) != EDDY_FREE;
    k->free += EDDY_STATE_OF(state) == EDDY_FREE;
    if (k->result < 0 || (!linked && EDDY_STATE_OF(state) != EDDY_CONDEMNED) ||
        !eddy_reclaim_is_still(k->r, off, k->life << 32 | EDDY_STATE_GEN(state))) {
        return;
    }
    bool cut = kind == EDDY_BLOCK_STREAM && has_cut((const struct eddy_shm_stream *)(void *)b);
    if (!linked && !cut && k->r->grace.blocks == EDDY_GRACE_BLOCKS) {
        k->left = true; /* it could not be retired, since somebody is stopped */
    } else if (!linked || cut) {
        if (!is_full(k)) {
            k->tags[k->count] = k->life << 32 | EDDY_STATE_GEN(state);
            k->noted[k->count++] = off;
        }
    } else if (kind == EDDY_BLOCK_STREAM) {
        struct eddy_shm_stream *s = (struct eddy_shm_stream *)(void *)b;
        k->result = eddy_list_is(s) ? eddy_reclaim_pass_marks(k->r, s) : 0;
    } else if (kind == EDDY_BLOCK_ENTRY) {
        scan_entry(k, (struct eddy_shm_entry *)(void *)b);
    } else if (kind == EDDY_BLOCK_NODE) {
        k->result = scan_node(k->r, (struct eddy_shm_node *)(void *)b);
    }
}

/* An extent of nodes. */
static int scan_nodes(struct eddy_reclaim *r, uint32_t idx) {
    struct scan k;
    int rounds = 0;
    do {
        k = (struct scan){.r = r};
        k.result = eddy_reclaim_enter(r);
        if (k.result < 0) {
            return k.result;
        }
        /* [scan.C3] acquire: pairs with [extent.P1]: what is seen of its blocks is of this life, or
         * is seen to be of another */
        k.life = EDDY_STATE_GEN(eddy_ld_acq(&eddy_extent_line(r->thread->arena, idx)->state));
        eddy_block_each(r->thread->arena, idx, scan_block, &k);
        eddy_rcu_leave(&r->thread->span);
        for (unsigned i = 0; i < k.count && k.result >= 0; i++) {
            k.result = eddy_reclaim_block(r, k.noted[i], k.tags[i]);
        }
    } while (k.result >= 0 && is_full(&k) && ++rounds < SCAN_ROUNDS);
    if (k.left) {
        eddy_grace_due(r->thread->arena);
    }
    if (k.taken == 0) {
        /* Its blocks were freed by the sweep of who died, or are not counted any more. */
        eddy_grace_extent(&r->grace, idx);
    } else if (k.free > 0) {
        eddy_extent_reopen(r->thread->arena, idx); /* who freed them died before he did */
    }
    eddy_grace_free(&r->grace, false);
    return k.result;
}

static int scan_extent(struct eddy_reclaim *r, uint32_t idx) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    /* [scan.C1] acquire: pairs with [extent.P6] */
    unsigned kind = EDDY_INFO_KIND(eddy_ld_acq(&e->info));
    /* [scan.R5] relaxed: who takes it looks again */
    unsigned state = EDDY_STATE_OF(eddy_ld_rlx(&e->state));
    eddy_extent_remind(a, idx);
    if (state == EDDY_FREE || state > EDDY_SEALED) {
        return 0;
    }
    if (kind == EDDY_KIND_NODES) {
        return scan_nodes(r, idx);
    }
    if ((kind == EDDY_KIND_EVENTS || kind == EDDY_KIND_LARGE) && state != EDDY_OWNED) {
        eddy_grace_extent(&r->grace, idx);
        eddy_grace_free(&r->grace, false);
    } else if (kind == EDDY_KIND_REST && state != EDDY_OWNED) {
        (void)eddy_extent_free_orphan(a, idx, r->thread->member);
    }
    return 0;
}

int eddy_scan_slice(struct eddy_reclaim *r, uint64_t most) {
    struct eddy_arena *a = r->thread->arena;
    uint64_t end = eddy_arena_reserved(a);
    int got = 0;
    if (r->scan_at == 0) {
        /* [scan.C2] acquire: pairs with [grace.P1]: what was due before is found */
        r->scan_dues = eddy_ld_acq(&a->super->dues);
    }
    for (; got >= 0 && most > 0 && r->scan_at < end; most--) {
        got = scan_extent(r, (uint32_t)r->scan_at++);
    }
    if (got < 0 || r->scan_at < end) {
        return got < 0 ? got : 0;
    }
    r->scan_at = 0;
    /* [scan.R6] relaxed: a hint */
    eddy_at_max(&a->super->done, r->scan_dues);
    return 1;
}
