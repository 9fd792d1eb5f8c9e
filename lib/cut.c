/* I1  An event is counted as a hole at the one instant at which its stream's `first` passes it, and
 *     only if it lies above the floor; the floor takes it out of the holes when it passes it.
 * I2  All that a cut needs are maxima, and swaps of cells: no memory.
 */
#include "cut.h"

#include "error.h"
#include "gone.h"
#include "names.h"
#include "retain.h"
#include "wait.h"

int eddy_cut_stream(struct eddy_plan *p, struct eddy_shm_stream *d, uint64_t version,
                    struct eddy_attempt *t) {
    const struct eddy_view *v = &p->view;
    uint64_t gone;
    uint64_t bytes = 0;
    int r = eddy_gone_versions(v, d, &gone);
    if (r < 0 || version <= gone) {
        return r;
    }
    r = eddy_gone_stream_between(v, d, gone, version, &bytes);
    if (r == 0) {
        r = eddy_plan_max_seen(p, &d->first, version);
    }
    if (r == 0) {
        r = eddy_plan_max_seen(p, &p->thread->arena->super->cuts, t->s + 1);
    }
    t->after.holes += version - gone;
    t->after.holes_bytes += bytes;
    t->removed += version - gone;
    return r;
}

int eddy_cut_all(struct eddy_plan *p, struct eddy_attempt *t) {
    struct eddy_ring_copy *now = &t->after;
    if (now->floor + 1 == now->next_offset) {
        return 0;
    }
    t->removed += eddy_ring_events(now);
    t->groups |= UINT64_MAX; /* who follows is told what it has missed */
    now->floor = now->next_offset - 1;
    now->floor_bytes = now->bytes_in;
    now->holes = 0;
    now->holes_bytes = 0;
    return eddy_plan_max_seen(p, &p->thread->arena->super->floor, now->floor);
}

int eddy_cut_remove(struct eddy_plan *p, struct eddy_shm_stream *d, struct eddy_attempt *t) {
    uint64_t version = eddy_view_load(&p->view, &d->version);
    int r = eddy_cut_stream(p, d, version, t);
    t->after.streams--;
    return r < 0 ? r : eddy_plan_max_seen(p, &d->removed, version + 1);
}

static int forget(struct eddy_plan *p, struct eddy_batch_stream *s, struct eddy_attempt *t) {
    if (s->events > 0) {
        return eddy_error_set(EDDY_EINVAL, "a transaction cannot append to a stream and forget it");
    }
    int r = eddy_names_remove(p, s->desc, t->s);
    t->after.names--;
    s->desc = 0; /* a second one finds nothing any more */
    return r;
}

static int plan_one(struct eddy_plan *p, struct eddy_batch_stream *s,
                    const struct eddy_batch_cut *cut, struct eddy_attempt *t) {
    struct eddy_shm_stream *d = eddy_arena_raw(p->thread->arena, s->desc);
    uint64_t gone;
    int r = 0;
    if (cut->kind == EDDY_CUT_LIMIT) {
        return eddy_retain_stream(p, d, s->base, t);
    }
    if (cut->kind == EDDY_CUT_TRUNCATE) {
        return eddy_cut_stream(p, d, cut->version < s->base ? cut->version : s->base, t);
    }
    if (cut->kind == EDDY_CUT_FORGET_REMOVED && s->there) {
        return 0; /* it was written meanwhile */
    }
    if (cut->kind == EDDY_CUT_EMPTY || cut->kind == EDDY_CUT_FORGET_EMPTY) {
        r = eddy_gone_versions(&p->view, d, &gone);
        if (r < 0 || gone < s->base) {
            return r; /* it was written meanwhile */
        }
    }
    if (s->there) {
        r = eddy_cut_remove(p, d, t);
        s->there = false;
    }
    return r == 0 && cut->kind >= EDDY_CUT_FORGET ? forget(p, s, t) : r;
}

int eddy_cut_plan(const struct eddy_committer *c, struct eddy_batch *b, struct eddy_attempt *t) {
    for (uint32_t i = 0; i < b->cuts.count; i++) {
        struct eddy_batch_stream *s = &b->streams.at[b->cuts.at[i].stream];
        if (s->desc != 0) {
            t->groups |= UINT64_C(1) << eddy_wait_group_of(s->hash);
            int r = plan_one(c->plan, s, &b->cuts.at[i], t);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}
