/* I1  `captured` takes a value never twice: marks are numbered, and an entry is in the list from when it
 *     lost its place until the capture has ended, and linked for as long. So a late swap fails, or its
 *     span holds the entry.
 * I2  While a capture is on, nothing leaves its list.
 * A death after the beginning leaves it on, which costs who replaces entries five words of a record each,
 * until the sweep ends it; after the end, entries in no list, which a scan condemns.
 */
#include "capture.h"

#include "error.h"
#include "prune.h"
#include "retain.h"

static struct eddy_view view_of(struct eddy_thread *t) {
    return (struct eddy_view){.arena = t->arena, .span = &t->span, .overlay = NULL};
}

bool eddy_capture_is_on(const struct eddy_view *v, uint64_t id, uint64_t *head) {
    struct eddy_shm_super *super = v->arena->super;
    /* [capture.F1] acquire fence: alone: what was loaded before stands before these loads */
    eddy_fence_acq();
    *head = eddy_view_load(v, &super->captured);
    return EDDY_CAPTURE_IS_ON(*head) && eddy_view_load(v, &super->capturing) == id;
}

/* Commits a record that changes `captured`, and, if there is one, gives `capturing` its id: 1, 0 if
 * somebody else was faster, or an error. */
static int commit(struct eddy_thread *t, struct eddy_attempt *at, uint64_t was, uint64_t value,
                  uint64_t id) {
    struct eddy_arena *a = t->arena;
    uint64_t words[5];
    size_t n = 0;
    uint64_t off = eddy_arena_off(a, &a->super->captured);
    words[n++] = EDDY_REDO(was ? EDDY_REDO_SWAP : EDDY_REDO_SET, 1, off);
    if (was) {
        words[n++] = was;
    }
    words[n++] = value;
    if (id) {
        words[n++] = EDDY_REDO(EDDY_REDO_MAX, 1, eddy_arena_off(a, &a->super->capturing));
        words[n++] = id;
    }
    at->groups = 0; /* nobody waits for it */
    int r = eddy_commit_try(t, at, words, n);
    if (r == 1) {
        eddy_apply_own(t, at->s, words, n, at->groups);
    }
    return r;
}

int eddy_capture_begin(struct eddy_thread *t, bool force, struct eddy_attempt *at,
                       eddy_limits *limits, uint64_t *id) {
    struct eddy_view v = view_of(t);
    for (;;) {
        int r = eddy_commit_look(t, 0, at);
        r = r < 0 ? r : eddy_retain_load(&v, limits);
        if (r < 0) {
            return r;
        }
        uint64_t was = eddy_view_load(&v, &t->arena->super->captured);
        if (EDDY_CAPTURE_IS_ON(was) && !force) {
            *id = eddy_view_load(&v, &t->arena->super->capturing);
            return 0;
        }
        *id = EDDY_CAPTURING(at->s, t->member);
        r = commit(t, at, was, EDDY_CAPTURE_ON(at->s), *id);
        if (r != 0) {
            return r;
        }
    }
}

int eddy_capture_end(struct eddy_thread *t, uint64_t id, uint64_t *head) {
    struct eddy_view v = view_of(t);
    struct eddy_attempt at;
    for (;;) {
        int r = eddy_commit_look(t, 0, &at);
        if (r < 0) {
            return r;
        }
        uint64_t was = eddy_view_load(&v, &t->arena->super->captured);
        if (!EDDY_CAPTURE_IS_ON(was) ||
            (id != 0 && eddy_view_load(&v, &t->arena->super->capturing) != id)) {
            return 0;
        }
        r = commit(t, &at, was, EDDY_CAPTURE_OFF(at.s), 0);
        if (r == 1 && head) {
            *head = was;
        }
        if (r != 0) {
            return r;
        }
    }
}

int eddy_capture_sweep(struct eddy_thread *t, uint32_t member) {
    struct eddy_view v = view_of(t);
    uint64_t id = eddy_view_load(&v, &t->arena->super->capturing);
    int r = id != 0 && EDDY_CAPTURING_MEMBER(id) == member ? eddy_capture_end(t, id, NULL) : 0;
    return r < 0 ? r : 0;
}

void eddy_capture_condemn(struct eddy_arena *a, struct eddy_shm_entry *e,
                          void (*fn)(void *arg, uint64_t off), void *arg) {
    /* [capture.R1] relaxed: constant since before it was published */
    uint64_t next = eddy_ld_rlx(&e->more);
    for (unsigned i = 0; next != 0 && i <= EDDY_STATE_MAX / EDDY_MORE_BYTES; i++) {
        struct eddy_shm_more *m = eddy_keyed_more(a, next, eddy_arena_off(a, e));
        if (!m) {
            break; /* somebody else was here before */
        }
        /* [capture.R2] relaxed: as above */
        next = eddy_ld_rlx(&m->next);
        if (eddy_prune_condemn(&m->block)) {
            fn(arg, eddy_arena_off(a, m));
        }
    }
    if (eddy_prune_condemn(&e->keyed.block)) {
        fn(arg, eddy_arena_off(a, e));
    }
}
