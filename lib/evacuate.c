/* I1  An extent is evacuated by who has taken it; nobody adds to it meanwhile.
 * I2  The offset index alone says where an event lies. To move one is to swap its slot from the old
 *     place to a copy that is whole: whoever reads finds one or the other, and readers of the old
 *     place see the slot or the generation change.
 * I3  The copy says by itself what it is: its head is its own.
 * A death leaves both extents owned by the dead, with events in either, each of them in one place.
 */
#include "evacuate.h"

#include "error.h"
#include "event.h"
#include "gone.h"

enum { EXTENTS_AT_ONCE = 8 };

/* Room for one more event, behind those that were moved before. */
static int make_room(struct eddy_reclaim *r, uint64_t need) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_cursor *c = &r->moved_to;
    uint32_t idx;
    if (c->base != 0 && c->size - c->fill >= need) {
        return 0;
    }
    if (c->base != 0) {
        eddy_extent_seal(a, eddy_arena_extent_of(a, c->base));
        c->base = 0;
    }
    int got = eddy_extent_take_reserved(a, r->thread->member, &idx);
    if (got == 0) {
        eddy_thread_count(r->thread, EDDY_COUNT_EXTENTS, 1);
        *c = (struct eddy_cursor){.base = eddy_arena_extent_off(a, idx), .size = EDDY_EXTENT_SIZE};
    }
    return got;
}

/* An event of an extent that is ours, as its block says. */
struct found {
    uint64_t ref;
    uint64_t bytes;
    eddy_event event;
    struct eddy_event_more more;
};

/* Writes a copy with a head of its own. Returns its offset. */
static uint64_t copy(struct eddy_reclaim *r, const struct found *f) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_cursor *c = &r->moved_to;
    uint64_t to = c->base + c->fill;
    uint64_t head = c->fill + f->bytes;
    eddy_copy_in(eddy_arena_raw(a, to), eddy_arena_raw(a, f->ref), f->bytes);
    unsigned char *at = eddy_arena_raw(a, to);
    EDDY_PUT(uint16_t, at + offsetof(struct eddy_shm_event, index), 0);
    EDDY_PUT(uint16_t, at + offsetof(struct eddy_shm_event, stream), 0);
    EDDY_PUT(uint16_t, at + offsetof(struct eddy_shm_event, step), 0);
    eddy_event_set_head(at, head);
    at = eddy_arena_raw(a, c->base + head);
    EDDY_PUT(struct eddy_shm_head, at,
             {
                 .size = (uint32_t)eddy_event_head_size(1),
                 .kind = EDDY_BLOCK_HEAD,
                 .streams = 1,
                 .tx_offset = f->event.tx_offset,
                 .recorded_ns = f->event.recorded_ns,
                 .first = (uint32_t)(f->event.offset - f->event.tx_offset),
                 .tx_count = f->event.tx_count,
             });
    EDDY_PUT(struct eddy_shm_part, at + sizeof(struct eddy_shm_head),
             {.stream = f->more.stream, .version = f->event.version});
    c->fill = head + eddy_event_head_size(1);
    c->events++;
    struct eddy_shm_extent *e = eddy_extent_line(a, eddy_arena_extent_of(a, c->base));
    /* [evacuate.P1] release: pairs with [check.C1]. As [batch.P1]: whole blocks below the mark. */
    eddy_st_rel(&e->fill, EDDY_FILL(c->events, c->fill));
    return to;
}

/* Moves an event if it is there: 1, 0 if it is gone, or an error. */
static int move(struct eddy_reclaim *r, const struct eddy_view *v, const struct found *f,
                struct eddy_trie_leaf *near) {
    eddy_word *slot;
    int got = eddy_trie_slot_near(v, &v->arena->super->offsets_root, f->event.offset, near, &slot);
    if (got <= 0 || eddy_view_load(v, slot) != f->ref) {
        return got < 0 ? got : 0;
    }
    got = make_room(r, f->bytes + eddy_event_head_size(1));
    if (got < 0) {
        return got;
    }
    uint64_t old = f->ref;
    uint64_t to = copy(r, f);
    /* [evacuate.P2] acq_rel: pairs with [view.C1], [event.C1]. It is there now. Fails if it was buried
     * meanwhile: then its copy is. Death before: nothing leads to the copy; after: to it alone. */
    if (!eddy_cas_ar(slot, &old, to)) {
        struct eddy_shm_extent *e = eddy_extent_line(v->arena, eddy_arena_extent_of(v->arena, to));
        /* [evacuate.R1] relaxed: a hint */
        (void)eddy_add_ar(&e->dead, EDDY_FILL(1, f->bytes));
        return 0;
    }
    r->moved++;
    return 1;
}

/* The next event of an extent, from *at on: false at the end, or where the blocks make no sense. */
static bool next_event(struct eddy_arena *a, uint64_t base, uint64_t fill, uint64_t *at,
                       struct found *f) {
    const unsigned char *p = eddy_arena_raw(a, base);
    while (*at + sizeof(struct eddy_shm_event) <= fill) {
        struct eddy_shm_event h;
        eddy_event_load_header((const struct eddy_shm_event *)(const void *)(p + *at), &h);
        uint64_t bytes = h.kind == EDDY_BLOCK_EVENT ? (uint64_t)h.size8 * 8 : h.size8;
        if (bytes == 0 || bytes > fill - *at) {
            return false;
        }
        f->ref = base + *at;
        f->bytes = bytes;
        *at += bytes;
        if (h.kind == EDDY_BLOCK_EVENT) {
            return eddy_event_plausible(&h, f->ref - base, EDDY_EXTENT_SIZE) &&
                   eddy_event_read_head(p, EDDY_EXTENT_SIZE, &h, &f->event, &f->more);
        }
    }
    return false;
}

/* Everything that is there in an extent that is ours. */
static int move_all(struct eddy_reclaim *r, uint32_t idx) {
    struct eddy_arena *a = r->thread->arena;
    struct eddy_view v = {.arena = a, .span = &r->thread->span, .overlay = NULL};
    struct eddy_trie_leaf near = {0};
    struct found f;
    /* [evacuate.R2] relaxed: ours */
    uint64_t fill = EDDY_FILL_BYTES(eddy_ld_rlx(&eddy_extent_line(a, idx)->fill));
    uint64_t base = eddy_arena_extent_off(a, idx);
    uint64_t at = 0;
    int got = 0;
    fill = fill < EDDY_EXTENT_SIZE ? fill : EDDY_EXTENT_SIZE;
    eddy_rcu_enter(&r->thread->span);
    while (got >= 0 && next_event(a, base, fill, &at, &f)) {
        got = move(r, &v, &f, &near);
    }
    eddy_rcu_leave(&r->thread->span);
    return got < 0 ? got : 0;
}

static bool is_sparse(const struct eddy_shm_extent *e, unsigned part) {
    /* [evacuate.R3] relaxed: hints; who takes it looks at each event */
    uint64_t fill = eddy_ld_rlx(&e->fill);
    uint64_t dead = eddy_ld_rlx(&e->dead);
    return EDDY_STATE_OF(eddy_ld_rlx(&e->state)) == EDDY_SEALED &&
           EDDY_INFO_KIND(eddy_ld_rlx(&e->info)) == EDDY_KIND_EVENTS &&
           EDDY_FILL_EVENTS(dead) > 0 &&
           EDDY_FILL_EVENTS(dead) * (uint64_t)part >= EDDY_FILL_EVENTS(fill);
}

/* Moves everything out of an extent that nobody fills, whatever there is: 1 it was had, 0, or an
 * error. */
static int move_out(struct eddy_reclaim *r, uint32_t idx) {
    struct eddy_arena *a = r->thread->arena;
    unsigned from;
    if (!eddy_extent_claim(a, idx, r->thread->member, &from)) {
        return 0;
    }
    int got = move_all(r, idx);
    eddy_extent_return(a, idx, from);
    eddy_grace_extent(&r->grace, idx);
    eddy_grace_free(&r->grace, false);
    return got < 0 ? got : 1;
}

/* What had to be moved to the extents that are kept for this goes on to others, now that there are
 * some: or the store, once it is full again, could not be evacuated any more. */
static int clear_reserve(struct eddy_reclaim *r) {
    struct eddy_arena *a = r->thread->arena;
    int got = 0;
    for (uint32_t i = 0; got >= 0 && i < EDDY_RESERVED_EXTENTS && eddy_extent_known_free(a) > 0;
         i++) {
        /* [evacuate.R5] relaxed: a hint; who claims it has it */
        if (EDDY_INFO_KIND(eddy_ld_rlx(&a->extents[i].info)) == EDDY_KIND_EVENTS) {
            got = move_out(r, i);
        }
    }
    return got == EDDY_EFULL || got > 0 ? 0 : got;
}

int eddy_evacuate(struct eddy_reclaim *r, uint64_t most, unsigned part) {
    struct eddy_arena *a = r->thread->arena;
    uint64_t end = eddy_arena_reserved(a);
    int moved = 0;
    int got = 0;
    r->sparse_at = r->sparse_at < end ? r->sparse_at : 0;
    for (; got >= 0 && most > 0 && r->sparse_at < end && moved < EXTENTS_AT_ONCE; most--) {
        uint32_t idx = (uint32_t)r->sparse_at++;
        if (is_sparse(&a->extents[idx], part)) {
            got = move_out(r, idx);
            moved += got > 0;
        }
    }
    got = got < 0 ? got : clear_reserve(r);
    return got < 0 ? got : r->sparse_at >= end;
}

bool eddy_evacuate_pays(const struct eddy_arena *a, const struct eddy_ring_copy *now) {
    enum { SLACK = 16, EVENT_EXTRA = 80, STREAM_EXTRA = 256 };
    if (now->floor == 0 && now->holes == 0) {
        return false; /* nothing has ever been removed */
    }
    uint64_t live =
        eddy_ring_bytes(now) + eddy_ring_events(now) * EVENT_EXTRA + now->names * STREAM_EXTRA;
    /* [evacuate.R4] relaxed: a figure to compare with */
    uint64_t used = eddy_ld_rlx(&a->super->reserved);
    uint64_t free = eddy_extent_known_free(a);
    used = used > free + SLACK ? used - free - SLACK : 0;
    return used * EDDY_EXTENT_SIZE > live + live / 8;
}
