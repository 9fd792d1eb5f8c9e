/* I1  What is acted on here was made unreachable by a record that is applied: every pass helps to the
 *     end first, and then looks at `floor`, `first` and states.
 * I2  An event's slot has a mark before its extent can be free; a block's one way in has a mark, or
 *     was swapped by a record, before it is retired; a block is free when no span touches its life
 *     and two eras have passed.
 * I3  A retired block is freed by the member in its state word alone, so that nobody's swap can meet
 *     a word of memory in its next use. The dead's are taken over by their sweeper.
 * I4  An extent is given back by who owns it. To look whether it may go, one takes it.
 * A death leaves condemned blocks, which the next scan completes; blocks retired by the dead, which
 * the sweep takes over; extents owned by the dead, which it leaves to others.
 */
#include "reclaim.h"

#include <stdlib.h>

#include "apply.h"
#include "capture.h"
#include "error.h"
#include "event.h"
#include "gone.h"
#include "list.h"
#include "prune.h"

enum { SLICE = 256, STUCK = 8192 };

void eddy_reclaim_init(struct eddy_reclaim *r, struct eddy_thread *t) {
    memset(r, 0, sizeof *r);
    r->thread = t;
    eddy_grace_init(&r->grace, t);
}

void eddy_reclaim_fini(struct eddy_reclaim *r) {
    if (r->moved_to.base != 0) {
        eddy_extent_leave(r->thread->arena,
                          eddy_arena_extent_of(r->thread->arena, r->moved_to.base));
        r->moved_to.base = 0;
    }
    eddy_grace_free(&r->grace, true);
    eddy_grace_fini(&r->grace);
    free(r->empty);
    r->empty = NULL;
    r->empty_count = r->empty_room = 0;
}

struct eddy_view eddy_reclaim_view_of(const struct eddy_reclaim *r) {
    return (struct eddy_view){.arena = r->thread->arena, .span = &r->thread->span, .overlay = NULL};
}

int eddy_reclaim_enter(struct eddy_reclaim *r) {
    uint64_t seq;
    uint64_t empty;
    eddy_rcu_enter(&r->thread->span);
    int got = eddy_apply_help(r->thread, &seq, &empty);
    if (got < 0) {
        eddy_rcu_leave(&r->thread->span);
    }
    return got;
}

/* After something was seen to be condemned: the record that did it may have been committed since we
 * came in, and half of it applied. Now it is, to the end: `first`, and the swaps of the ways in. */
static int settle(struct eddy_reclaim *r) {
    uint64_t seq;
    uint64_t empty;
    return eddy_apply_help(r->thread, &seq, &empty);
}

bool eddy_reclaim_is_still(const struct eddy_reclaim *r, uint64_t off, uint64_t tag) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    const struct eddy_shm_block *b = eddy_arena_raw(v.arena, off);
    return eddy_block_is(v.arena, off, tag, EDDY_CONDEMNED) &&
           (eddy_view_covers(&v, b) ||
            (eddy_block_is(v.arena, off, tag, EDDY_CONDEMNED) && eddy_view_covers(&v, b)));
}

/* Is the version the last of its leaf? */
static bool ends_leaf(uint64_t version) {
    return version == EDDY_TRIE_VERSION - 1 ||
           (version >= EDDY_TRIE_VERSION &&
            (version - EDDY_TRIE_VERSION) % EDDY_TRIE_SLOTS == EDDY_TRIE_SLOTS - 1);
}

/* ---- events ---- */

static void note_dead(struct eddy_reclaim *r, uint64_t ref, uint64_t bytes) {
    struct eddy_arena *a = r->thread->arena;
    uint32_t idx = eddy_arena_extent_of(a, ref);
    struct eddy_shm_extent *e = eddy_extent_line(a, idx);
    uint64_t size = bytes < EDDY_EXTENT_SIZE ? bytes : EDDY_EXTENT_SIZE;
    /* [reclaim.R4] relaxed: a hint for who looks whether the extent may go. Death before: only a scan
     * finds out. */
    uint64_t dead = eddy_add_ar(&e->dead, EDDY_FILL(1, size)) + EDDY_FILL(1, size);
    if (EDDY_FILL_EVENTS(dead) >= EDDY_FILL_EVENTS(eddy_ld_rlx(&e->fill))) {
        eddy_grace_extent(&r->grace, idx);
    }
}

/* A stream, or a list, that seems to have nothing left: whoever removes it looks again. False: there is
 * no more room. */
static bool note_empty(struct eddy_reclaim *r, uint64_t desc) {
    if (r->empty_count == r->empty_room) {
        uint32_t room = r->empty_room ? 2 * r->empty_room : 64;
        struct eddy_reclaim_stream *more =
            room <= EDDY_RECLAIM_EMPTY ? realloc(r->empty, room * sizeof *more) : NULL;
        if (!more) {
            return false;
        }
        r->empty = more;
        r->empty_room = room;
    }
    r->empty[r->empty_count++] =
        (struct eddy_reclaim_stream){.desc = desc, .tag = eddy_block_tag(r->thread->arena, desc)};
    return true;
}

int eddy_reclaim_pass_marks(struct eddy_reclaim *r, struct eddy_shm_stream *list) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    struct eddy_arena *a = v.arena;
    struct eddy_list_at at;
    uint64_t was = eddy_view_load(&v, &list->reclaimed);
    uint64_t last = eddy_view_load(&v, &list->version);
    uint64_t done = was;
    int got = 0;
    for (int i = 0; got == 0 && i < SLICE && done < last; i++) {
        got = eddy_list_look(&v, list, done + 1, NULL, &at);
        if (got == 0 && !at.gone) {
            break;
        }
        done = got == 0 ? at.last : done;
    }
    done = done < last ? done : last;
    if (done > was) {
        /* Death before: done again. */
        eddy_apply_max(&list->reclaimed, done);
    }
    if (got >= 0 && done == last && !note_empty(r, eddy_arena_off(a, list))) {
        eddy_grace_due(a);
    }
    return got < 0 ? got : 0;
}

int eddy_reclaim_prune_list(struct eddy_reclaim *r, struct eddy_shm_stream *list,
                            uint64_t ordinal) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    struct eddy_list_at at;
    if (ordinal <= EDDY_INLINE_SLOTS || eddy_list_look(&v, list, ordinal, NULL, &at) < 0 ||
        !at.slot) {
        return 0;
    }
    if (ordinal >= EDDY_TRIE_VERSION) {
        uint64_t n = ordinal - EDDY_TRIE_VERSION;
        return eddy_prune_all_gone(eddy_trie_node_of(at.slot, n), EDDY_TRIE_SLOTS)
                   ? eddy_prune_number(&r->grace, &list->root, n, false)
                   : 0;
    }
    const eddy_word *first = at.slot - (ordinal - 1 - EDDY_INLINE_SLOTS);
    const struct eddy_shm_node *node =
        (const struct eddy_shm_node *)(const void *)((const unsigned char *)first - sizeof *node);
    return eddy_prune_all_gone(node, EDDY_LEAF8)
               ? eddy_prune_version(&r->grace, list, EDDY_TRIE_VERSION - 1)
               : 0;
}

/* Marks an event that is gone in the list of its shard. If the list is not there, that was done. */
static int mark_in_list(struct eddy_reclaim *r, uint64_t offset,
                        const struct eddy_gone_look *look) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    struct eddy_list_key key = eddy_list_key(v.arena, EDDY_LIST_SHARD, look->shard);
    struct eddy_list_at at;
    int64_t off = eddy_list_find(&v, &key);
    if (off <= 0) {
        return (int)off;
    }
    struct eddy_shm_stream *list = eddy_arena_raw(v.arena, (uint64_t)off);
    uint64_t done = eddy_view_load(&v, &list->reclaimed);
    uint64_t last = eddy_view_load(&v, &list->version);
    uint64_t ordinal = done + 1;
    /* Most go in order. */
    int got = ordinal <= last ? eddy_list_look(&v, list, ordinal, NULL, &at) : 0;
    if (got >= 0 && ordinal <= last && at.number != offset) {
        got = eddy_list_before(&v, list, 0, last, offset, &ordinal);
        got = got == 0 && ordinal > 0 ? eddy_list_look(&v, list, ordinal, NULL, &at) : got;
    }
    if (got <= 0 || at.number != offset) {
        return got < 0 ? got : 0;
    }
    uint64_t is = EDDY_LIST_SLOT(offset);
    /* [reclaim.P5] acq_rel: pairs with [view.C1]. Fails if somebody else was faster. Death after: its
     * leaf, or the list, is found by a scan. */
    (void)eddy_cas_ar(at.slot, &is, EDDY_TOMB(offset));
    got = eddy_reclaim_prune_list(r, list, ordinal);
    return got < 0 ? got : eddy_reclaim_pass_marks(r, list);
}

/* Turns the way to an event that is gone into a mark. *look: what was there. */
static int bury(struct eddy_reclaim *r, uint64_t offset, struct eddy_gone_look *look) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    for (;;) {
        int got = eddy_gone_look(&v, offset, &r->near, look);
        if (got <= 0 || !eddy_gone_event(&v, offset, look->version, look->stream)) {
            return got < 0 ? got : 0;
        }
        uint64_t ref = look->ref;
        got = look->sharded ? mark_in_list(r, offset, look) : 0;
        if (got < 0) {
            return got;
        }
        /* [reclaim.P4] acq_rel: pairs with [view.C1], [event.C1]. Fails if it moved or somebody else
         * was faster. Death after: its extent is not known to have lost it, until a scan. */
        if (eddy_cas_ar(look->slot, &ref, EDDY_TOMB(look->bytes))) {
            r->events++;
            note_dead(r, look->ref, look->bytes);
            return 1;
        }
    }
}

/* The stream of an event that the floor has passed. Those events outlive it: when a stream is
 * forgotten, all below the floor is left to whoever buries that, and by then its descriptor may be in
 * its next use, or without memory. It is this one if its version leads to the event's offset; the
 * ways out of a forgotten one are marks before it is retired. NULL: it is another. */
static struct eddy_shm_stream *passed_stream(struct eddy_reclaim *r, uint64_t offset,
                                             const struct eddy_gone_look *look) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    if (!eddy_block_at(v.arena, look->stream, 1)) {
        return NULL;
    }
    /* [reclaim.R25] relaxed: inside the span an extent that has memory keeps it */
    struct eddy_shm_extent *e =
        eddy_extent_line(v.arena, eddy_arena_extent_of(v.arena, look->stream));
    if (EDDY_STATE_OF(eddy_ld_rlx(&e->state)) > EDDY_SEALED) {
        return NULL;
    }
    struct eddy_shm_stream *s = eddy_stream_at(v.arena, look->stream);
    eddy_word *slot;
    bool same = s &&
                eddy_reclaim_is_still(r, look->stream, eddy_block_tag(v.arena, look->stream)) &&
                eddy_stream_slot(&v, s, look->version, NULL, &slot) == 1 &&
                eddy_view_load(&v, slot) == offset;
    return same ? s : NULL;
}

/* The floor has passed an event: is it the last of a leaf, or of its stream? */
static int passed(struct eddy_reclaim *r, uint64_t offset, const struct eddy_gone_look *look) {
    struct eddy_shm_stream *s = passed_stream(r, offset, look);
    /* [reclaim.R24] relaxed: whoever removes the stream looks again */
    if (s && eddy_ld_rlx(&s->version) == look->version) {
        (void)note_empty(r, look->stream);
    }
    return s && ends_leaf(look->version) ? eddy_prune_version(&r->grace, s, look->version) : 0;
}

static int bury_below(struct eddy_reclaim *r, uint64_t from, uint64_t to, uint64_t *done) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_gone_look look;
    uint64_t o = from;
    int got = 0;
    while (got >= 0 && o < to) {
        o++;
        got = bury(r, o, &look);
        if (got == 1) {
            got = passed(r, o, &look);
        }
        if (got >= 0 && look.slot && (o % EDDY_TRIE_SLOTS == EDDY_TRIE_SLOTS - 1)) {
            got = eddy_prune_number(&r->grace, &a->super->offsets_root, o, false);
        }
        o = look.slot || got < 0 ? o : look.last < to ? look.last : to;
    }
    *done = got < 0 ? o - 1 : o;
    return got < 0 ? got : 0;
}

uint64_t eddy_reclaim_backlog(const struct eddy_arena *a) {
    const struct eddy_shm_super *s = a->super;
    /* [reclaim.R5] relaxed: only whether there is something to do */
    uint64_t done = eddy_ld_rlx(&s->reclaimed);
    uint64_t floor = eddy_ld_rlx(&s->floor);
    return floor > done ? floor - done : 0;
}

bool eddy_reclaim_is_due(const struct eddy_arena *a) {
    /* [reclaim.R10] relaxed: only whether there is something to do */
    return eddy_ld_rlx(&a->super->dues) > eddy_ld_rlx(&a->super->done);
}

/* One at a time is enough; but nobody waits for who has begun, and he is passed by if he does not get
 * on. */
static bool begin(struct eddy_reclaim *r) {
    struct eddy_shm_super *s = r->thread->arena->super;
    uint64_t free = 0;
    uint64_t mine = EDDY_SLOT(r->thread->idx, r->thread->member);
    /* [reclaim.R11] relaxed: it keeps nobody from anything that must not be done twice. Death after:
     * the sweep clears it. */
    return eddy_cas_ar(&s->maintainer, &free, mine) ||
           eddy_reclaim_backlog(r->thread->arena) > STUCK;
}

static void finish(struct eddy_reclaim *r) {
    uint64_t mine = EDDY_SLOT(r->thread->idx, r->thread->member);
    /* [reclaim.R12] relaxed: as above */
    (void)eddy_cas_ar(&r->thread->arena->super->maintainer, &mine, UINT64_C(0));
}

/* One slice inside the span: *n is how many were looked at. */
static int bury_slice(struct eddy_reclaim *r, uint64_t most, uint64_t *n) {
    struct eddy_shm_super *s = r->thread->arena->super;
    int got = eddy_reclaim_enter(r);
    if (got < 0) {
        return got;
    }
    /* [reclaim.R6] relaxed: who is late buries what is buried */
    uint64_t from = eddy_ld_rlx(&s->reclaimed);
    /* [reclaim.C3] acquire: pairs with [apply.P4]: of an applied record */
    uint64_t floor = eddy_ld_acq(&s->floor);
    *n = floor > from ? floor - from : 0;
    *n = *n > most ? most : *n;
    *n = *n > SLICE ? SLICE : *n;
    uint64_t done = from;
    got = bury_below(r, from, from + *n, &done);
    /* [reclaim.R7] relaxed: a maximum; death before: done again */
    eddy_at_max(&s->reclaimed, done);
    eddy_rcu_leave(&r->thread->span);
    return got;
}

int eddy_reclaim_floor(struct eddy_reclaim *r, uint64_t most) {
    int got = 0;
    /* Who wants all of it has no memory left: he goes past who has begun, who may be stopped. */
    if (!begin(r) && most != UINT64_MAX) {
        return 0;
    }
    while (got == 0 && most > 0 && eddy_reclaim_backlog(r->thread->arena) > 0) {
        uint64_t n = 0;
        got = bury_slice(r, most, &n);
        most -= n;
        eddy_grace_free(&r->grace, false);
    }
    finish(r);
    return got;
}

/* Buries up to SLICE versions of a stream: 1 there may be more, 0 all done, or an error. */
static int bury_versions(struct eddy_reclaim *r, struct eddy_shm_stream *s) {
    struct eddy_view v = eddy_reclaim_view_of(r);
    uint64_t done = eddy_view_load(&v, &s->reclaimed);
    uint64_t first = eddy_view_load(&v, &s->first);
    struct eddy_trie_leaf near = {0};
    struct eddy_gone_look look;
    int got = 0;
    for (int i = 0; got >= 0 && i < SLICE && done < first; i++) {
        uint64_t n = done + 1;
        eddy_word *slot;
        got = eddy_stream_slot(&v, s, n, &near, &slot);
        uint64_t offset = got == 1 ? eddy_view_load(&v, slot) : 0;
        if (got >= 0 && offset != 0) {
            got = bury(r, offset, &look);
            if (got >= 0 && look.slot &&
                eddy_prune_all_gone(eddy_trie_node_of(look.slot, offset), EDDY_TRIE_SLOTS)) {
                got = eddy_prune_number(&r->grace, &v.arena->super->offsets_root, offset, false);
            }
        }
        if (got >= 0 && ends_leaf(n)) {
            got = eddy_prune_version(&r->grace, s, n);
        }
        done += got >= 0;
    }
    /* [reclaim.R8] relaxed: a maximum; death before: done again */
    eddy_at_max(&s->reclaimed, done);
    return got < 0 ? got : done < first;
}

/* Is it condemned, and if by a record, is that applied? It says so before the swaps that make it so. */
static bool is_condemned(struct eddy_reclaim *r, uint64_t off) {
    return eddy_block_state(r->thread->arena, off) == EDDY_CONDEMNED && settle(r) == 0;
}

int eddy_reclaim_stream(struct eddy_reclaim *r, uint64_t desc, uint64_t tag) {
    struct eddy_arena *a = r->thread->arena;
    int got;
    do {
        got = eddy_reclaim_enter(r);
        if (got < 0) {
            return got;
        }
        struct eddy_shm_stream *s =
            eddy_reclaim_is_still(r, desc, tag) ? eddy_stream_at(a, desc) : NULL;
        bool condemned = s && is_condemned(r, desc);
        got = s ? bury_versions(r, s) : 0;
        if (got == 0 && condemned) {
            eddy_prune_stream(&r->grace, desc);
            /* [reclaim.R9] relaxed: constant since it was published */
            got = eddy_list_is(s) ? 0
                                  : eddy_prune_number(&r->grace, &a->super->streams_root,
                                                      eddy_ld_rlx(&s->number), false);
        }
        eddy_rcu_leave(&r->thread->span);
        eddy_grace_free(&r->grace, false);
    } while (got == 1);
    return got;
}

/* A condemned block that is no descriptor. By a record: nothing leads to it, since that is applied; by
 * maintenance: perhaps its way in is still there. */
static void complete(struct eddy_reclaim *r, uint64_t off) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_view v = eddy_reclaim_view_of(r);
    const struct eddy_shm_node *node = eddy_arena_raw(a, off);
    bool is_node = EDDY_SHAPE_KIND(eddy_trie_shape(&node->block)) == EDDY_BLOCK_NODE;
    /* [reclaim.R17] relaxed: constant while it lives */
    uint64_t home = is_node ? eddy_ld_rlx(&node->home) : 0;
    if (home != 0 && home != eddy_arena_off(a, a->names)) {
        eddy_trie_unlink(&v, off);
    }
    eddy_prune_retire(&r->grace, off);
}

int eddy_reclaim_block(struct eddy_reclaim *r, uint64_t off, uint64_t tag) {
    int got = eddy_reclaim_enter(r);
    if (got < 0) {
        return got;
    }
    bool still = eddy_reclaim_is_still(r, off, tag);
    bool is_stream =
        still && EDDY_SHAPE_KIND(eddy_trie_shape(eddy_arena_raw(r->thread->arena, off))) ==
                     EDDY_BLOCK_STREAM;
    if (still && !is_stream && is_condemned(r, off)) {
        complete(r, off);
    }
    eddy_rcu_leave(&r->thread->span);
    eddy_grace_free(&r->grace, false);
    return is_stream ? eddy_reclaim_stream(r, off, tag) : 0;
}

/* ---- captured entries ---- */

struct release {
    struct eddy_arena *arena;
    uint64_t *at; /* offsets and tags */
    size_t count;
    size_t room;
    bool left;
};

static void note_released(void *arg, uint64_t off) {
    struct release *k = arg;
    if (k->count == k->room) {
        size_t room = k->room * 2 + 256;
        uint64_t *more = realloc(k->at, room * 2 * sizeof *more);
        if (!more) {
            k->left = true; /* condemned: a scan finds it */
            return;
        }
        k->at = more;
        k->room = room;
    }
    k->at[2 * k->count] = off;
    k->at[2 * k->count++ + 1] = eddy_block_tag(k->arena, off);
}

int eddy_reclaim_capture(struct eddy_reclaim *r, uint64_t id) {
    struct release k = {.arena = r->thread->arena};
    struct eddy_view v = eddy_reclaim_view_of(r);
    uint64_t off = 0;
    eddy_rcu_enter(
        &r->thread->span); /* from before its end, so that nobody takes apart what is in it */
    int got = eddy_capture_end(r->thread, id, &off);
    for (bool more = got == 1; more && !EDDY_IS_TOMB(off);) {
        struct eddy_shm_keyed *e = eddy_keyed_at(v.arena, off);
        more = e && eddy_keyed_kind(e) == EDDY_BLOCK_ENTRY;
        if (more) {
            off = eddy_view_load(&v, &((struct eddy_shm_entry *)(void *)e)->next);
            eddy_capture_condemn(v.arena, (struct eddy_shm_entry *)(void *)e, note_released, &k);
        }
    }
    eddy_rcu_leave(&r->thread->span);
    for (size_t i = 0; i < k.count && got >= 0; i++) {
        int done = eddy_reclaim_block(r, k.at[2 * i], k.at[2 * i + 1]);
        got = done < 0 ? done : got;
    }
    if (k.left || got < 0 || (k.count > 0 && r->grace.blocks == EDDY_GRACE_BLOCKS)) {
        eddy_grace_due(v.arena);
    }
    free(k.at);
    return got;
}

/* ---- the dead ---- */

struct heir {
    struct eddy_arena *arena;
    uint32_t member;
};

/* A block that the dead had retired waits for somebody else to do it. */
static void disown(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    const struct heir *h = arg;
    (void)class_;
    if (EDDY_STATE_OF(state) == EDDY_RETIRED && EDDY_STATE_MEMBER(state) == h->member) {
        eddy_grace_disown(h->arena, off);
    }
}

void eddy_reclaim_sweep(struct eddy_thread *t, uint32_t member) {
    struct eddy_arena *a = t->arena;
    struct heir h = {.arena = a, .member = member};
    bool retiring = false;
    for (uint32_t i = 1; i < a->threads_max; i++) {
        /* [reclaim.C6] acquire: pairs with [member.P3]; of a dead member */
        uint64_t w = eddy_ld_acq(&a->threads[i].state);
        if (EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == member) {
            /* [reclaim.R20] relaxed: its owner is dead */
            retiring = retiring || eddy_ld_rlx(&a->threads[i].retiring) != 0;
        }
    }
    /* [reclaim.R21] relaxed: it keeps nobody from anything */
    uint64_t w = eddy_ld_rlx(&a->super->maintainer);
    bool was_at_it = EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == member;
    if (was_at_it) {
        (void)eddy_cas_ar(&a->super->maintainer, &w, UINT64_C(0));
    }
    uint64_t end = retiring ? eddy_arena_reserved(a) : 0;
    for (uint64_t i = 0; i < end; i++) {
        /* [reclaim.R22] relaxed: blocks' own states are the truth */
        if (EDDY_INFO_KIND(eddy_ld_rlx(&a->extents[i].info)) == EDDY_KIND_NODES &&
            EDDY_STATE_OF(eddy_ld_rlx(&a->extents[i].state)) != EDDY_FREE) {
            eddy_block_each(a, (uint32_t)i, disown, &h);
        }
    }
    eddy_grace_due(a);
}
