/* I1  The floor only rises, by records. What it passes is either an event that was there, or one of
 *     the holes, which are then no longer counted.
 * I2  A transaction looks at a bounded number of events; what is left to drop is dropped by the next.
 */
#include "retain.h"

#include <string.h>

#include "cut.h"
#include "error.h"
#include "gone.h"
#include "keys.h"

enum { FEW = 8, STEPS_MAX = 4096, STREAMS_MAX = 4096, STREAM_COST = STREAMS_MAX / 12 };

int eddy_retain_load(const struct eddy_view *v, eddy_limits *l) {
    uint64_t off;
    struct eddy_shm_block *block;
    memset(l, 0, sizeof *l);
    l->size = sizeof *l;
    int r = eddy_trie_follow(v, &v->arena->super->limits_root, EDDY_LIMITS_CLASS, &off, &block);
    if (r <= 0) {
        return r;
    }
    if (EDDY_SHAPE_KIND(eddy_trie_shape(block)) != EDDY_BLOCK_LIMITS) {
        return eddy_error_set(EDDY_ECORRUPT, "the limits of the store are damaged");
    }
    const struct eddy_shm_limits *s = (const struct eddy_shm_limits *)(void *)block;
    /* [retain.R1] relaxed: constant since before the block was published */
    l->flags = (uint32_t)eddy_ld_rlx(&s->flags);
    l->events = eddy_ld_rlx(&s->events);
    l->bytes = eddy_ld_rlx(&s->bytes);
    l->streams = eddy_ld_rlx(&s->streams);
    l->stream_events = eddy_ld_rlx(&s->stream_events);
    l->names = eddy_ld_rlx(&s->names);
    l->age_ns = (int64_t)eddy_ld_rlx(&s->age_ns);
    l->keys = eddy_ld_rlx(&s->keys);
    l->keys_age_ns = (int64_t)eddy_ld_rlx(&s->keys_age_ns);
    return 0;
}

int eddy_retain_set(struct eddy_plan *p, const eddy_limits *l, uint64_t seq) {
    eddy_word *root = &p->thread->arena->super->limits_root;
    bool none = l->flags == 0 && l->events == 0 && l->bytes == 0 && l->streams == 0 &&
                l->stream_events == 0 && l->names == 0 && l->age_ns == 0 && l->keys == 0 &&
                l->keys_age_ns == 0;
    uint64_t off = 0;
    if (!none) {
        int r = eddy_plan_take(p, EDDY_LIMITS_CLASS, &off);
        if (r < 0) {
            return r;
        }
        struct eddy_shm_limits *s = eddy_arena_raw(p->thread->arena, off);
        /* [retain.R2] relaxed: private until the record is committed */
        eddy_st_rlx(&s->block.shape, EDDY_SHAPE(EDDY_BLOCK_LIMITS, 0, 0));
        eddy_st_rlx(&s->flags, l->flags);
        eddy_st_rlx(&s->events, l->events);
        eddy_st_rlx(&s->bytes, l->bytes);
        eddy_st_rlx(&s->streams, l->streams);
        eddy_st_rlx(&s->stream_events, l->stream_events);
        eddy_st_rlx(&s->names, l->names);
        eddy_st_rlx(&s->age_ns, (uint64_t)l->age_ns);
        eddy_st_rlx(&s->keys, l->keys);
        eddy_st_rlx(&s->keys_age_ns, (uint64_t)l->keys_age_ns);
    }
    return eddy_plan_replace(p, root, off, seq);
}

/* ---- the floor ---- */

void eddy_retain_start(struct eddy_gone_rise *f, const struct eddy_ring_copy *now) {
    f->floor = now->floor;
    f->bytes = now->floor_bytes;
    f->holes = now->holes;
    f->holes_bytes = now->holes_bytes;
    f->looked_at = 0;
}

/* Looks at the event that would go next. */
static int look_next(const struct eddy_view *v, struct eddy_gone_rise *f) {
    if (f->looked_at == f->floor + 1) {
        return 0;
    }
    int r = eddy_gone_look(v, f->floor + 1, &f->near, &f->look);
    f->looked_at = r < 0 ? 0 : f->floor + 1;
    return r < 0 ? r : 0;
}

/* Over numbers that have no leaf any more: all of them were holes. How many bytes they had is known
 * from the next leaf that there is. */
static int step_over(const struct eddy_view *v, struct eddy_gone_rise *f,
                     const struct eddy_ring_copy *now) {
    uint64_t to = f->look.last;
    uint64_t cum = now->bytes_in;
    struct eddy_gone_look look;
    while (to < now->next_offset - 1) {
        int r = eddy_gone_look(v, to + 1, NULL, &look);
        if (r < 0) {
            return r;
        }
        if (look.slot) {
            /* [retain.R3] relaxed: constant since before the leaf was published */
            cum = eddy_ld_rlx(&eddy_trie_node_of(look.slot, to + 1)->sum);
            break;
        }
        to = look.last;
    }
    to = to < now->next_offset - 1 ? to : now->next_offset - 1;
    f->holes -= to - f->floor;
    f->holes_bytes -= cum - f->bytes;
    f->bytes = cum;
    f->floor = to;
    return 0;
}

int eddy_retain_step(const struct eddy_view *v, struct eddy_gone_rise *f,
                     const struct eddy_ring_copy *now) {
    int r = look_next(v, f);
    if (r < 0) {
        return r;
    }
    if (!f->look.slot) {
        r = step_over(v, f, now);
    } else {
        bool hole = f->look.ref == 0 ||
                    eddy_gone_event(v, f->floor + 1, f->look.version, f->look.stream) ||
                    (f->would_go && f->would_go(f->arg, &f->look));
        f->holes -= hole;
        f->holes_bytes -= hole ? f->look.bytes : 0;
        f->bytes += f->look.bytes;
        f->floor++;
    }
    if (r == 0 &&
        (f->holes > now->holes || f->holes_bytes > now->holes_bytes || f->bytes > now->bytes_in)) {
        r = eddy_error_set(EDDY_ECORRUPT, "the totals of the store are damaged: run `eddy check`");
    }
    return r;
}

/* ---- the store's limits ---- */

struct retain {
    const struct eddy_view *view;
    const eddy_limits *limits;
    struct eddy_attempt *t;
    struct eddy_gone_rise *floor;
    uint64_t new_events;
    uint64_t new_bytes;
    uint64_t drop_to; /* offset up to which all goes in any case: so many events, not holes */
};

static uint64_t events_after(const struct retain *k) {
    return k->t->after.next_offset - 1 - k->floor->floor - k->floor->holes + k->new_events;
}

static uint64_t bytes_after(const struct retain *k) {
    return k->t->after.bytes_in - k->floor->bytes - k->floor->holes_bytes + k->new_bytes;
}

static int refuse(const char *what, uint64_t limit, uint64_t have, uint64_t more) {
    return eddy_error_set(EDDY_ELIMIT,
                          "the store has reached its limit of %llu %s (it has %llu, the "
                          "transaction adds %llu): remove some, or change the limit",
                          (unsigned long long)limit, what, (unsigned long long)have,
                          (unsigned long long)more);
}

/* The oldest would go, but a checkpoint holds them. */
static int held(const struct eddy_view *v, const char *what, uint64_t limit) {
    struct eddy_key key;
    int r = eddy_key_holder(v, &key);
    return r < 0 ? r
                 : eddy_error_set(EDDY_ELIMIT,
                                  "the store has reached its limit of %llu %s, and retention waits "
                                  "for checkpoint '%s', which is at offset %llu: advance or delete "
                                  "that, or change the limit",
                                  (unsigned long long)limit, what, r == 1 ? key.name : "?",
                                  (unsigned long long)key.value);
}

/* What must not go on growing, or has to fit even into an empty store. */
static int check_limit(const char *what, uint64_t limit, bool drop, uint64_t after, uint64_t more) {
    if (limit != 0 && more > limit) {
        return eddy_error_set(EDDY_ELIMIT,
                              "a transaction of %llu %s does not fit even into the empty store, "
                              "whose limit is %llu: split it, or change the limit",
                              (unsigned long long)more, what, (unsigned long long)limit);
    }
    return limit != 0 && more > 0 && !drop && after > limit
               ? refuse(what, limit, after - more, more)
               : 0;
}

/* As check_limit(), behind the dropping: is there more than the limit, since a checkpoint holds it? */
static int check_held(const struct eddy_view *v, const struct eddy_attempt *t, const char *what,
                      uint64_t limit, bool drop, uint64_t after, uint64_t more) {
    int r = check_limit(what, limit, drop, after, more);
    return r == 0 && limit != 0 && more > 0 && after > limit && t->after.hold != 0 && !t->more
               ? held(v, what, limit)
               : r;
}

/* Is the event that would go next past the limit of age? 1, 0 or an error. */
static int expired(const struct retain *k) {
    if (k->limits->age_ns == 0) {
        return 0;
    }
    int r = look_next(k->view, k->floor);
    if (r < 0) {
        return r;
    }
    const struct eddy_gone_look *look = &k->floor->look;
    if (!look->slot || look->ref == 0) {
        return 1; /* a hole is no reason to stop */
    }
    return look->time_ns <= k->t->now_ns - k->limits->age_ns;
}

bool eddy_retain_expired(const struct eddy_view *v, const struct eddy_ring_copy *now,
                         const eddy_limits *l, int64_t now_ns) {
    struct eddy_attempt t = {.after = *now, .now_ns = now_ns};
    struct eddy_gone_rise rise = {0};
    struct retain k = {.view = v, .limits = l, .t = &t, .floor = &rise};
    eddy_retain_start(&rise, now);
    return expired(&k) == 1;
}

/* Must the event that would go next go? 1, 0 or an error. */
static int must_go(const struct retain *k) {
    const eddy_limits *l = k->limits;
    uint64_t hold = k->t->after.hold;
    if (k->floor->floor + 1 >= k->t->after.next_offset ||
        (hold != 0 && k->floor->floor + 1 >= hold)) {
        return 0; /* there is none, or a checkpoint has not come so far yet */
    }
    if (k->floor->floor < k->drop_to) {
        return 1;
    }
    if (l->events != 0 && (l->flags & EDDY_DROP_EVENTS) && events_after(k) > l->events) {
        return 1;
    }
    if (l->bytes != 0 && (l->flags & EDDY_DROP_BYTES) && bytes_after(k) > l->bytes) {
        return 1;
    }
    return expired(k);
}

/* The floor as it was found becomes the transaction's. */
static void take_floor(struct retain *k) {
    const struct eddy_gone_rise *f = k->floor;
    struct eddy_ring_copy *now = &k->t->after;
    k->t->removed += f->floor - now->floor - (now->holes - f->holes);
    now->floor = f->floor;
    now->floor_bytes = f->bytes;
    now->holes = f->holes;
    now->holes_bytes = f->holes_bytes;
}

static int raise_floor(struct retain *k, struct eddy_plan *p) {
    uint64_t most = STEPS_MAX + 2 * k->new_events; /* as many as are new can always go */
    uint64_t steps = 0;
    int r;
    while ((r = must_go(k)) == 1) {
        if (steps++ >= most && k->floor->floor >= k->drop_to) {
            k->t->more = true;
            r = 0;
            break;
        }
        uint64_t holes = k->floor->holes;
        r = eddy_retain_step(k->view, k->floor, &k->t->after);
        if (r < 0) {
            break;
        }
        if (k->floor->floor <= k->drop_to) {
            k->drop_to += holes - k->floor->holes; /* what is gone already frees nothing */
        }
    }
    uint64_t floor = k->floor->floor;
    if (r < 0 || floor == k->t->after.floor) {
        return r;
    }
    take_floor(k);
    return eddy_plan_max_seen(p, &p->thread->arena->super->floor, floor);
}

/* ---- streams ---- */

/* Does a checkpoint hold this version of a stream? 1, 0 or an error. */
static int is_held(const struct eddy_view *v, struct eddy_shm_stream *d, uint64_t version,
                   const struct eddy_attempt *t) {
    eddy_word *slot;
    if (t->after.hold == 0) {
        return 0;
    }
    int r = eddy_stream_slot(v, d, version, NULL, &slot);
    return r == 1 ? eddy_view_load(v, slot) >= t->after.hold : r;
}

static int limit_stream(struct eddy_plan *p, const struct eddy_batch *b,
                        const struct eddy_batch_stream *s, const eddy_limits *l,
                        struct eddy_attempt *t) {
    struct eddy_shm_stream *d = eddy_arena_raw(p->thread->arena, s->desc);
    uint64_t gone = 0;
    int r = s->desc ? eddy_gone_versions(&p->view, d, &gone) : 0;
    uint64_t have = s->base - gone;
    if (r < 0 || have + s->events <= l->stream_events) {
        return r;
    }
    if (!(l->flags & EDDY_DROP_STREAM_EVENTS) || s->events > l->stream_events) {
        eddy_bytes name = eddy_mem(b->names.at + s->name_at, s->name_len);
        return eddy_error_set(EDDY_ELIMIT,
                              "stream '%.*s' has reached its limit of %llu events (it has %llu, "
                              "the transaction adds %u): truncate it, or change the limit",
                              (int)name.len, (const char *)name.ptr,
                              (unsigned long long)l->stream_events, (unsigned long long)have,
                              s->events);
    }
    uint64_t to = s->base + s->events - l->stream_events;
    r = is_held(&p->view, d, to, t);
    return r < 0    ? r
           : r == 1 ? held(&p->view, "events of a stream", l->stream_events)
                    : eddy_cut_stream(p, d, to, t);
}

static int limit_each_stream(struct eddy_plan *p, const struct eddy_batch *b, const eddy_limits *l,
                             struct eddy_attempt *t) {
    for (uint32_t i = 0; l->stream_events != 0 && i < b->streams.count; i++) {
        if (b->streams.at[i].events > 0) {
            int r = limit_stream(p, b, &b->streams.at[i], l, t);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

int eddy_retain_stream(struct eddy_plan *p, struct eddy_shm_stream *d, uint64_t version,
                       struct eddy_attempt *t) {
    eddy_limits l;
    int r = eddy_retain_load(&p->view, &l);
    if (r < 0 || l.stream_events == 0 || !(l.flags & EDDY_DROP_STREAM_EVENTS) ||
        version <= l.stream_events) {
        return r;
    }
    r = is_held(&p->view, d, version - l.stream_events, t);
    if (r != 0) {
        return r < 0 ? r : 0; /* it goes when the checkpoint has come so far */
    }
    return eddy_cut_stream(p, d, version - l.stream_events, t);
}

static bool is_written(const struct eddy_batch *b, uint64_t desc) {
    for (uint32_t i = 0; i < b->streams.count; i++) {
        if (b->streams.at[i].desc == desc && b->streams.at[i].events > 0) {
            return true;
        }
    }
    return false;
}

/* Removes the stream that was made first of those that are there and not written now: 1, 0 if there
 * is none, or an error. *number: where to begin to look, and where it was. */
static int drop_first_stream(struct eddy_plan *p, const struct eddy_batch *b,
                             struct eddy_attempt *t, uint64_t *number, int *looks) {
    struct eddy_arena *a = p->thread->arena;
    struct eddy_trie_leaf near = {0};
    while (++*number <= t->after.streams_in) {
        uint64_t off;
        if ((*looks)++ >= STREAMS_MAX) {
            t->more = true;
            return 0;
        }
        int r = eddy_stream_number(&p->view, number, &near, &off);
        if (r < 0) {
            return r;
        }
        struct eddy_shm_stream *d = eddy_arena_raw(a, off);
        if (r == 1 && !eddy_gone_removed(&p->view, d) && !is_written(b, off) &&
            is_held(&p->view, d, eddy_view_load(&p->view, &d->version), t) == 0) {
            *looks += STREAM_COST; /* its words are to fit into a list */
            r = eddy_cut_remove(p, d, t);
            return r < 0 ? r : 1;
        }
    }
    return 0;
}

static uint64_t written_streams(const struct eddy_batch *b) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->streams.count; i++) {
        n += b->streams.at[i].events > 0;
    }
    return n;
}

/* How many streams the batch makes, or makes be there again. */
static uint64_t new_streams(const struct eddy_batch *b) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < b->streams.count; i++) {
        n += b->streams.at[i].events > 0 && !b->streams.at[i].there;
    }
    return n;
}

static int limit_streams(struct eddy_plan *p, const struct eddy_batch *b, const eddy_limits *l,
                         struct eddy_attempt *t) {
    uint64_t more = l->streams != 0 ? new_streams(b) : 0;
    bool drop = (l->flags & EDDY_DROP_STREAMS) != 0;
    uint64_t written = l->streams != 0 ? written_streams(b) : 0;
    int r = written > l->streams ? refuse("streams", l->streams, 0, written) : 0;
    r = r < 0 ? r : check_limit("streams", l->streams, drop, t->after.streams + more, more);
    int looks = 0;
    uint64_t number =
        p->first_stream; /* where the last one stopped, if it had looked at too many */
    uint64_t found = 0;  /* the first that goes: this may not be committed */
    bool all = number == 0;
    p->first_stream = 0;
    while (r == 0 && drop && l->streams != 0 && t->after.streams + more > l->streams) {
        r = drop_first_stream(p, b, t, &number, &looks);
        if (r == 0) {
            p->first_stream = !t->more ? 0 : found ? found - 1 : number - 1;
            /* What is left is written by this transaction, for which there is room, or held. */
            return all && more > 0 && !t->more && t->after.hold != 0
                       ? held(&p->view, "streams", l->streams)
                       : 0;
        }
        found = found ? found : number;
        r = r < 0 ? r : 0;
    }
    return r;
}

const char *eddy_retain_lacks(const struct eddy_arena *a, uint64_t block) {
    struct eddy_shm_event h;
    eddy_event_load_header(eddy_arena_raw(a, block), &h);
    return h.id_len == 0                  ? "id"
           : h.type_len == 0              ? "type"
           : !(h.flags & EDDY_EVENT_TIME) ? "time"
                                          : NULL;
}

/* Refuses what a strict store does not take. */
static int be_strict(const struct eddy_plan *p, const struct eddy_batch *b) {
    for (uint32_t i = 0; i < b->events.count; i++) {
        const struct eddy_batch_event *e = &b->events.at[i];
        const char *lacks = eddy_retain_lacks(p->thread->arena, e->off);
        eddy_bytes name = eddy_batch_name(b, e->stream);
        if (lacks) {
            return eddy_error_set(
                EDDY_EINVAL,
                "event %u of %u, to stream '%.*s', has no %s: this store is strict "
                "(EDDY_STRICT) and wants an id, a type and a time of each",
                i + 1, b->events.count, (int)name.len, (const char *)name.ptr, lacks);
        }
    }
    return 0;
}

int eddy_retain_plan(const struct eddy_committer *c, struct eddy_batch *b, struct eddy_attempt *t) {
    eddy_limits l;
    struct eddy_plan *p = c->plan;
    uint64_t root = eddy_view_load(&p->view, &p->thread->arena->super->limits_root);
    if (root == 0 || EDDY_IS_TOMB(root)) {
        return 0;
    }
    int r = eddy_retain_load(&p->view, &l);
    if (r == 0 && (l.flags & EDDY_STRICT)) {
        r = be_strict(p, b);
    }
    if (r == 0) {
        r = limit_each_stream(p, b, &l, t);
    }
    if (r == 0) {
        r = limit_streams(p, b, &l, t);
    }
    struct retain k = {.view = &p->view,
                       .limits = &l,
                       .t = t,
                       .floor = &p->rise,
                       .new_events = b->events.count,
                       .new_bytes = b->bytes,
                       .drop_to = t->after.floor + b->drop};
    eddy_retain_start(k.floor, &t->after);
    if (r == 0) {
        r = raise_floor(&k, p); /* what has expired is in nobody's way */
    }
    if (r == 0) {
        r = check_held(&p->view, t, "events", l.events, (l.flags & EDDY_DROP_EVENTS) != 0,
                       events_after(&k), k.new_events);
    }
    if (r == 0) {
        r = check_held(&p->view, t, "bytes", l.bytes, (l.flags & EDDY_DROP_BYTES) != 0,
                       bytes_after(&k), k.new_bytes);
    }
    return r;
}

/* ---- the short way ---- */

static bool know_limits(struct eddy_plan *p, uint64_t off) {
    if (p->limits_off != off || !eddy_view_holds(&p->view, off, p->limits_tag)) {
        p->limits_off = 0;
        if (eddy_retain_load(&p->view, &p->limits) < 0) {
            return false;
        }
        p->limits_off = off;
        p->limits_tag = eddy_block_tag(p->thread->arena, off);
    }
    return true;
}

bool eddy_retain_few(struct eddy_plan *p, uint64_t off, struct eddy_attempt *t, uint64_t events,
                     uint64_t bytes) {
    const eddy_limits *l = &p->limits;
    struct retain k = {.view = &p->view,
                       .limits = l,
                       .t = t,
                       .floor = &p->rise,
                       .new_events = events,
                       .new_bytes = bytes};
    int r;
    if (!know_limits(p, off) || l->stream_events != 0) {
        return false;
    }
    eddy_retain_start(k.floor, &t->after);
    for (int steps = 0; (r = must_go(&k)) == 1 && steps < FEW; steps++) {
        if (eddy_retain_step(k.view, k.floor, &t->after) < 0) {
            return false;
        }
    }
    if (r != 0 || (l->events != 0 && events_after(&k) > l->events) ||
        (l->bytes != 0 && bytes_after(&k) > l->bytes)) {
        return false; /* more than a few, or it is to be refused */
    }
    take_floor(&k);
    return true;
}

/* ---- preview ---- */

struct preview {
    const struct eddy_view *view;
    const eddy_limits *limits;
    eddy_dropped *dropped;
    uint64_t streams;    /* to go as a whole, from the first on */
    uint64_t last_to_go; /* number of the last of them */
    uint64_t floor;      /* as it would be then */
    const struct eddy_attempt *t;
};

static bool limits_each(const eddy_limits *l) {
    return l->stream_events != 0 && (l->flags & EDDY_DROP_STREAM_EVENTS) != 0;
}

/* The version up to which a limit of events of each stream would take it. */
static uint64_t beyond_each(const struct preview *k, struct eddy_shm_stream *d, uint64_t version) {
    uint64_t most = k->limits->stream_events;
    bool goes =
        limits_each(k->limits) && version > most && is_held(k->view, d, version - most, k->t) == 0;
    return goes ? version - most : 0;
}

/* Would the event go with its stream, or be beyond the limit of its stream? */
static bool would_go(void *arg, const struct eddy_gone_look *look) {
    const struct preview *k = arg;
    struct eddy_shm_stream *d = eddy_stream_at(k->view->arena, look->stream);
    if (!d) {
        return false;
    }
    uint64_t version = eddy_view_load(k->view, &d->version);
    /* [retain.R4] relaxed: constant since it was published */
    return (eddy_ld_rlx(&d->number) <= k->last_to_go && is_held(k->view, d, version, k->t) == 0) ||
           look->version <= beyond_each(k, d, version);
}

/* What goes of one stream by itself. */
static int preview_stream(struct preview *k, struct eddy_shm_stream *d) {
    const struct eddy_view *v = k->view;
    uint64_t gone;
    uint64_t bytes;
    if (eddy_gone_removed(v, d)) {
        return 0;
    }
    uint64_t version = eddy_view_load(v, &d->version);
    int r = eddy_gone_versions(v, d, &gone);
    bool whole = k->streams > 0 && is_held(v, d, version, k->t) == 0;
    uint64_t to = whole ? version : beyond_each(k, d, version);
    if (whole) {
        k->streams--;
        k->dropped->streams++;
        /* [retain.R5] relaxed: constant since it was published */
        k->last_to_go = eddy_ld_rlx(&d->number);
    }
    if (r == 0 && to > gone) {
        r = eddy_gone_stream_between(v, d, gone, to, &bytes);
        k->dropped->events += to - gone;
        k->dropped->bytes += bytes;
    }
    return r;
}

/* Would the floor have passed all that there is of a stream, so that it is removed? */
static int preview_emptied(struct preview *k, struct eddy_shm_stream *d) {
    const struct eddy_view *v = k->view;
    uint64_t version = eddy_view_load(v, &d->version);
    uint64_t gone;
    eddy_word *slot;
    /* [retain.R6] relaxed: constant since it was published */
    bool whole = eddy_ld_rlx(&d->number) <= k->last_to_go && is_held(v, d, version, k->t) == 0;
    if (whole || eddy_gone_removed(v, d) || eddy_view_load(v, &d->first) == version) {
        return 0;
    }
    int r = eddy_gone_versions(v, d, &gone);
    bool emptied = gone == version;
    if (r == 0 && !emptied) {
        r = eddy_stream_slot(v, d, version, NULL, &slot);
        emptied = r == 1 && eddy_view_load(v, slot) <= k->floor;
    }
    k->dropped->streams += r >= 0 && emptied;
    return r < 0 ? r : 0;
}

static int preview_streams(struct preview *k, const struct eddy_ring_copy *now,
                           int (*fn)(struct preview *k, struct eddy_shm_stream *d)) {
    struct eddy_trie_leaf near = {0};
    int r = 0;
    for (uint64_t n = 1; r >= 0 && n <= now->streams_in; n++) {
        uint64_t off;
        r = eddy_stream_number(k->view, &n, &near, &off);
        r = r == 1 ? fn(k, eddy_arena_raw(k->view->arena, off)) : r;
    }
    return r < 0 ? r : 0;
}

int eddy_retain_preview(const struct eddy_view *v, const struct eddy_ring_copy *now,
                        const eddy_limits *l, int64_t now_ns, eddy_dropped *dropped) {
    struct eddy_attempt t = {.after = *now, .now_ns = now_ns};
    struct eddy_gone_rise rise = {0};
    struct preview p = {.view = v, .limits = l, .dropped = dropped, .t = &t};
    if (l->streams != 0 && (l->flags & EDDY_DROP_STREAMS) && now->streams > l->streams) {
        p.streams = now->streams - l->streams;
    }
    int r = limits_each(l) || p.streams > 0 ? preview_streams(&p, now, preview_stream) : 0;
    /* What goes of single streams is in the way of the others no more. */
    t.after.holes += dropped->events;
    t.after.holes_bytes += dropped->bytes;
    struct retain k = {.view = v, .limits = l, .t = &t, .floor = &rise};
    eddy_retain_start(&rise, &t.after);
    rise.would_go = would_go;
    rise.arg = &p;
    while (r == 0 && (r = must_go(&k)) == 1) {
        uint64_t floor = rise.floor;
        uint64_t holes = rise.holes;
        uint64_t bytes = rise.bytes;
        uint64_t holes_bytes = rise.holes_bytes;
        r = eddy_retain_step(v, &rise, &t.after);
        dropped->events += rise.floor - floor - (holes - rise.holes);
        dropped->bytes += rise.bytes - bytes - (holes_bytes - rise.holes_bytes);
    }
    p.floor = rise.floor;
    if (r == 0 && (l->age_ns != 0 || (l->flags & (EDDY_DROP_EVENTS | EDDY_DROP_BYTES)))) {
        r = preview_streams(&p, now, preview_emptied);
    }
    return r < 0 ? r : 0;
}
