/* I1  The queue is in the order of `recorded_ns`, and numbers rise along it. So what is no longer kept comes
 *     first, and how many come behind one is the difference of two numbers. (An answer that was taken out
 *     of the middle leaves a gap; it was no longer kept, nor were those before the gap.)
 * I2  An answer is in the queue if and only if it is in the trie of keys: both by the same record.
 */
#include "once.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "keys.h"
#include "names.h"
#include "retain.h"

enum { DROPS_MAX = 4 }; /* in one record: so that its list needs no memory */

struct window {
    uint64_t last; /* number of the newest; 0: there is none */
    uint64_t keys;
    int64_t age_ns;
    int64_t now_ns;
};

static int damaged(uint64_t off) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the answers to keys are damaged at byte %llu: run `eddy check`",
                          (unsigned long long)off);
}

/* The answer that a cell leads to: 1, 0 if to none, or an error. */
static int follow(const struct eddy_view *v, const eddy_word *cell,
                  struct eddy_shm_answer **answer) {
    struct eddy_shm_block *block;
    uint64_t off;
    *answer = NULL;
    int r = eddy_trie_follow(v, cell, EDDY_ENTRY_CLASS(0), &off, &block);
    if (r <= 0) {
        return r;
    }
    struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
    /* [once.R1] relaxed: constant since before it was published */
    if (!k || eddy_keyed_kind(k) != EDDY_BLOCK_ENTRY ||
        EDDY_FAMILY(eddy_ld_rlx(&k->hash)) != EDDY_FAMILY_TXKEY) {
        return damaged(off);
    }
    *answer = (struct eddy_shm_answer *)(void *)k;
    return 1;
}

static int load_window(const struct eddy_view *v, const struct eddy_attempt *t, struct window *w) {
    struct eddy_shm_answer *newest;
    eddy_limits l;
    int r = eddy_retain_load(v, &l);
    r = r < 0 ? r : follow(v, &v->arena->super->keys_last, &newest);
    /* [once.R2] relaxed: as above */
    w->last = r == 1 ? eddy_ld_rlx(&newest->number) : 0;
    w->keys = l.keys ? l.keys : EDDY_ONCE_KEYS;
    w->age_ns = l.keys_age_ns ? l.keys_age_ns : EDDY_ONCE_AGE_NS;
    w->now_ns = t->after.time_ns; /* which never goes back */
    return r < 0 ? r : 0;
}

/* Is it no longer kept? */
static bool is_over(const struct eddy_shm_answer *a, const struct window *w) {
    /* [once.R3] relaxed: as above */
    int64_t recorded = (int64_t)eddy_ld_rlx(&a->recorded_ns);
    uint64_t number = eddy_ld_rlx(&a->number);
    return w->last - number >= w->keys ||
           (w->now_ns > recorded &&
            (uint64_t)w->now_ns - (uint64_t)recorded >= (uint64_t)w->age_ns);
}

/* ---- looking ---- */

static eddy_bytes key_of(const struct eddy_batch *b) {
    return eddy_mem(b->names.at + b->key_at, b->key_len);
}

/* The answer to the batch's key, kept or not: 1, 0 or an error. */
static int locate(const struct eddy_view *v, const struct eddy_batch *b,
                  struct eddy_shm_answer **answer) {
    struct eddy_stream_place place;
    eddy_bytes key = key_of(b);
    uint64_t hash = eddy_keyed_hash(v->arena, EDDY_FAMILY_TXKEY, key);
    int64_t off = eddy_keyed_locate(v, EDDY_BLOCK_ENTRY, key, hash, &place);
    *answer = off > 0 ? eddy_arena_raw(v->arena, (uint64_t)off) : NULL;
    return off < 0 ? (int)off : off > 0;
}

static int give(const struct eddy_view *v, const struct eddy_shm_answer *a, eddy_result *result) {
    struct eddy_shm_answered was;
    eddy_bytes key = eddy_keyed_name(&a->keyed);
    /* [once.R4] relaxed: as above */
    uint64_t lengths = eddy_ld_rlx(&a->lengths);
    if (lengths >> 32 != sizeof was ||
        !eddy_arena_at(v->arena, eddy_arena_off(v->arena, a), sizeof *a + key.len + sizeof was)) {
        return damaged(eddy_arena_off(v->arena, a));
    }
    eddy_copy_out(&was, a->name + key.len, sizeof was);
    result->first_offset = was.first_offset;
    result->last_offset = was.events ? was.first_offset + was.events - 1 : 0;
    result->last_version = was.last_version;
    /* [once.R5] relaxed: as above */
    result->recorded_ns = (int64_t)eddy_ld_rlx(&a->recorded_ns);
    result->removed = was.removed;
    result->revision = was.revision;
    result->repeated = true;
    return 1;
}

int eddy_once_find(const struct eddy_committer *c, const struct eddy_batch *b,
                   const struct eddy_attempt *t, eddy_result *result) {
    const struct eddy_view *v = &c->plan->view;
    struct eddy_shm_answer *a;
    struct window w;
    int r = locate(v, b, &a);
    if (r <= 0) {
        return r;
    }
    r = load_window(v, t, &w);
    return r < 0 ? r : is_over(a, &w) ? 0 : give(v, a, result);
}

/* ---- the queue ---- */

/* Takes an answer out of it. */
static int leave(struct eddy_plan *p, struct eddy_shm_answer *a, uint64_t seq) {
    struct eddy_shm_super *super = p->thread->arena->super;
    struct eddy_arena *arena = p->thread->arena;
    uint64_t off = eddy_arena_off(arena, a);
    struct eddy_shm_answer *before;
    struct eddy_shm_answer *after;
    int r = follow(&p->view, &a->before, &before);
    r = r < 0 ? r : follow(&p->view, &a->after, &after);
    if (r < 0) {
        return r;
    }
    eddy_word *to_it = before ? &before->after : &super->keys_first;
    eddy_word *back = after ? &after->before : &super->keys_last;
    if (eddy_view_load(&p->view, to_it) != off || eddy_view_load(&p->view, back) != off) {
        return damaged(off);
    }
    uint64_t was_before = before ? eddy_arena_off(arena, before) : 0;
    uint64_t was_after = after ? eddy_arena_off(arena, after) : 0;
    r = eddy_plan_link(p, to_it, was_before, was_after, seq);
    return r < 0 ? r : eddy_plan_link(p, back, was_after, was_before, seq);
}

/* The private answer at off becomes the newest. */
static int join(struct eddy_plan *p, uint64_t off, uint64_t seq) {
    struct eddy_shm_super *super = p->thread->arena->super;
    struct eddy_shm_answer *a = eddy_arena_raw(p->thread->arena, off);
    struct eddy_shm_answer *newest;
    int r = follow(&p->view, &super->keys_last, &newest);
    uint64_t last = r == 1 ? eddy_arena_off(p->thread->arena, newest) : 0;
    /* [once.R6] relaxed: private until the record is committed */
    eddy_st_rlx(&a->after, 0);
    eddy_st_rlx(&a->before, last);
    if (r >= 0) {
        r = eddy_plan_link(p, last ? &newest->after : &super->keys_first, last, off, seq);
    }
    return r < 0 ? r : eddy_plan_link(p, &super->keys_last, 0, off, seq);
}

/* Drops the oldest, as far as they are no longer kept. 1 if there are more. */
static int drop(struct eddy_plan *p, const struct window *w, uint64_t seq) {
    for (int i = 0;; i++) {
        struct eddy_shm_answer *oldest;
        int r = follow(&p->view, &p->thread->arena->super->keys_first, &oldest);
        if (r <= 0 || !is_over(oldest, w)) {
            return r < 0 ? r : 0;
        }
        if (i == DROPS_MAX) {
            return 1;
        }
        r = leave(p, oldest, seq);
        r = r < 0 ? r : eddy_names_remove(p, eddy_arena_off(p->thread->arena, oldest), seq);
        if (r < 0) {
            return r;
        }
    }
}

int eddy_once_drop(const struct eddy_committer *c, struct eddy_attempt *t) {
    struct window w;
    int r = load_window(&c->plan->view, t, &w);
    r = r < 0 || w.last == 0 ? r : drop(c->plan, &w, t->s);
    t->more |= r == 1;
    return r < 0 ? r : 0;
}

/* ---- planning ---- */

static void answered(const struct eddy_batch *b, const struct eddy_attempt *t,
                     struct eddy_shm_answered *a) {
    *a = (struct eddy_shm_answered){
        .events = b->events.count, .removed = t->removed, .revision = t->revision};
    if (b->events.count > 0) {
        const struct eddy_batch_event *last = &b->events.at[b->events.count - 1];
        a->first_offset = t->first_offset;
        a->last_version = b->streams.at[last->stream].base + last->k + 1;
    }
}

int eddy_once_plan(const struct eddy_committer *c, const struct eddy_batch *b,
                   struct eddy_attempt *t) {
    struct eddy_plan *p = c->plan;
    struct eddy_shm_answered now;
    struct eddy_shm_answer *a;
    struct eddy_key was;
    struct window w;
    eddy_bytes key = key_of(b);
    uint64_t revision = t->revision;
    int r = load_window(&p->view, t, &w);
    r = r < 0 ? r : locate(&p->view, b, &a);
    r = r == 1 ? leave(p, a, t->s) : r; /* it is no longer kept, or this would not be done */
    w.last++;
    r = r < 0 ? r : drop(p, &w, t->s);
    if (r < 0) {
        return r;
    }
    answered(b, t, &now);
    struct eddy_batch_put put = {
        .what = EDDY_PUT_SET, .value = w.last, .data = eddy_mem(&now, sizeof now)};
    uint64_t hash = eddy_keyed_hash(p->thread->arena, EDDY_FAMILY_TXKEY, key);
    r = eddy_key_plan_set(c, key, hash, &put, t, &was);
    t->revision = revision; /* of what the caller put */
    r = r < 0 ? r : locate(&p->view, b, &a);
    return r < 0 ? r : join(p, eddy_arena_off(p->thread->arena, a), t->s);
}

/* ---- all of it ---- */

struct all {
    const struct eddy_view *view;
    struct eddy_shm_answer **at;
    size_t count;
    size_t room;
};

static int note(void *arg, const struct eddy_key *key) {
    struct all *all = arg;
    if (all->count == all->room) {
        size_t room = all->room * 2 + 64;
        struct eddy_shm_answer **more = realloc(all->at, room * sizeof *more);
        if (!more) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for the answers to keys");
        }
        all->at = more;
        all->room = room;
    }
    all->at[all->count++] = eddy_arena_raw(all->view->arena, key->off);
    return 0;
}

static int by_number(const void *a, const void *b) {
    struct eddy_shm_answer *const *x = a;
    struct eddy_shm_answer *const *y = b;
    /* [once.R7] relaxed: constant since before it was published */
    uint64_t n = eddy_ld_rlx(&(*x)->number);
    uint64_t m = eddy_ld_rlx(&(*y)->number);
    return (n > m) - (n < m);
}

int eddy_once_restore(const struct eddy_view *v) {
    struct all all = {.view = v};
    struct eddy_arena *a = v->arena;
    int r = eddy_key_each(v, EDDY_FAMILY_TXKEY, note, &all);
    if (r == 0 && all.count > 0) {
        qsort(all.at, all.count, sizeof *all.at, by_number);
        for (size_t i = 0; i < all.count; i++) {
            /* [once.R8] relaxed: nobody else has this store */
            eddy_st_rlx(&all.at[i]->before, i > 0 ? eddy_arena_off(a, all.at[i - 1]) : 0);
            eddy_st_rlx(&all.at[i]->after,
                        i + 1 < all.count ? eddy_arena_off(a, all.at[i + 1]) : 0);
        }
        /* [once.R9] relaxed: as above */
        eddy_st_rlx(&a->super->keys_first, eddy_arena_off(a, all.at[0]));
        eddy_st_rlx(&a->super->keys_last, eddy_arena_off(a, all.at[all.count - 1]));
    }
    free(all.at);
    return r < 0 ? r : 0;
}

static int count_one(void *arg, const struct eddy_key *key) {
    uint64_t *count = arg;
    (void)key;
    ++*count;
    return 0;
}

int eddy_once_check(const struct eddy_view *v) {
    struct eddy_shm_super *super = v->arena->super;
    uint64_t left = 0;
    uint64_t before = 0;
    uint64_t number = 0;
    int64_t time = INT64_MIN;
    struct eddy_shm_answer *a;
    int r = eddy_key_each(v, EDDY_FAMILY_TXKEY, count_one, &left);
    r = r < 0 ? r : follow(v, &super->keys_first, &a);
    for (; r == 1 && left > 0; left--) {
        uint64_t back = eddy_view_load(v, &a->before);
        /* [once.R10] relaxed: constant since before it was published */
        uint64_t n = eddy_ld_rlx(&a->number);
        int64_t recorded = (int64_t)eddy_ld_rlx(&a->recorded_ns);
        if ((EDDY_IS_TOMB(back) ? 0 : back) != before || n <= number || recorded < time) {
            return 1;
        }
        before = eddy_arena_off(v->arena, a);
        number = n;
        time = recorded;
        r = follow(v, &a->after, &a);
    }
    uint64_t last = eddy_view_load(v, &super->keys_last);
    return r < 0 ? r : r == 1 || left > 0 || (EDDY_IS_TOMB(last) ? 0 : last) != before;
}
