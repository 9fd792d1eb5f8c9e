/* Events in order of (time, offset). Another reader, the source, goes through what matches in order of
 * offsets, once; of each only these two numbers are noted, in memory of this process; then they are put
 * in order, and the events are read one by one. With a limit no more than that many are ever noted: a
 * heap of those that come first, the last of them on top.
 */
#include "bytime.h"

#include <stdlib.h>

#include "error.h"

struct mark {
    int64_t time_ns;
    uint64_t offset;
};

struct eddy_bytime {
    struct eddy_reader source;
    struct mark *at;
    size_t count;
    size_t room;
    size_t given; /* of them, in the order in which they are given */
    bool back;
    bool ready; /* all are noted, and in order of time */
};

/* ---- marks ---- */

static int compare(const void *a, const void *b) {
    const struct mark *x = a;
    const struct mark *y = b;
    if (x->time_ns != y->time_ns) {
        return x->time_ns < y->time_ns ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Is x given before y? */
static bool comes_before(const struct eddy_bytime *b, const struct mark *x, const struct mark *y) {
    return b->back ? compare(x, y) > 0 : compare(x, y) < 0;
}

/* Puts a mark where k was in the heap, or lower, as is its place. */
static void sift(struct eddy_bytime *b, size_t k, struct mark mark) {
    for (;;) {
        size_t child = 2 * k + 1;
        if (child + 1 < b->count && comes_before(b, &b->at[child], &b->at[child + 1])) {
            child++;
        }
        if (child >= b->count || !comes_before(b, &mark, &b->at[child])) {
            b->at[k] = mark;
            return;
        }
        b->at[k] = b->at[child];
        k = child;
    }
}

/* Notes a mark, for which there is room. */
static void note(struct eddy_bytime *b, uint64_t limit, struct mark mark) {
    if (limit != 0 && b->count == limit) {
        if (comes_before(b, &mark, &b->at[0])) {
            sift(b, 0, mark);
        }
        return;
    }
    b->at[b->count++] = mark;
    if (b->count == limit) {
        for (size_t k = b->count / 2; k-- > 0;) {
            sift(b, k, b->at[k]);
        }
    }
}

static int make_room(struct eddy_bytime *b, uint64_t limit) {
    if (b->count < b->room || (limit != 0 && b->count == limit)) {
        return 0;
    }
    size_t room = b->room ? 2 * b->room : 64;
    struct mark *at = realloc(b->at, room * sizeof *at);
    if (!at) {
        return eddy_error_set(EDDY_ENOMEM,
                              "no memory to put %zu events in order of time: set bounds or a limit",
                              room);
    }
    b->at = at;
    b->room = room;
    return 0;
}

/* ---- reading ---- */

/* Notes all that matches. 0, or what the source says; then it can be gone on with. */
static int gather(struct eddy_reader *r, struct eddy_bytime *b) {
    struct eddy_reader *source = &b->source;
    eddy_event e;
    int got;
    do {
        got = make_room(b, r->select.limit);
        if (got < 0) {
            return got;
        }
        got = eddy_reader_next(source, &e);
        source->counted = source->given; /* they are read when they are given */
        if (got == EDDY_EVENT) {
            note(b, r->select.limit, (struct mark){.time_ns = e.time_ns, .offset = e.offset});
        }
    } while (got == EDDY_EVENT);
    if (got == EDDY_ELAPPED) {
        r->position.lapped_from = source->position.lapped_from;
        r->position.lapped_to = source->position.lapped_to;
    }
    if (got < 0) {
        return got;
    }
    if (b->count > 1) {
        qsort(b->at, b->count, sizeof *b->at, compare);
    }
    b->ready = true;
    return 0;
}

static const struct mark *next_mark(const struct eddy_bytime *b) {
    return &b->at[b->back ? b->count - 1 - b->given : b->given];
}

static int read_mark(struct eddy_reader *r, struct eddy_context *c, uint64_t offset,
                     eddy_event *event) {
    eddy_rcu_enter(&c->thread.span);
    int got = eddy_reader_at(r, c, offset, event);
    eddy_rcu_leave(&c->thread.span);
    return got;
}

/* Those that have gone since they were noted: all in a row are told as one. */
static int lapsed(struct eddy_reader *r, uint64_t from, uint64_t to, uint64_t count) {
    r->position.lapped_from = from;
    r->position.lapped_to = to;
    r->position.caught_up = false;
    return eddy_error_set(EDDY_ELAPPED,
                          "%llu events of offsets %llu to %llu are gone: removed before they were "
                          "read",
                          (unsigned long long)count, (unsigned long long)from,
                          (unsigned long long)to);
}

static int end(struct eddy_reader *r, const struct eddy_bytime *b) {
    if (r->select.limit == 0 || b->count < r->select.limit) {
        r->position.looked_at = b->source.quiet; /* the head as it was at the first call */
    }
    r->ended = true;
    r->position.caught_up = true;
    return EDDY_END;
}

int eddy_bytime_next(struct eddy_reader *r, struct eddy_context *c, eddy_event *event) {
    struct eddy_bytime *b = r->by_time;
    int got = b->ready ? 0 : gather(r, b);
    uint64_t from = UINT64_MAX;
    uint64_t to = 0;
    uint64_t missed = 0;
    if (got < 0) {
        return got;
    }
    for (; b->given < b->count; b->given++, missed++) {
        uint64_t offset = next_mark(b)->offset;
        got = read_mark(r, c, offset, event);
        if (got < 0 || (got == 1 && missed == 0)) {
            break;
        }
        if (got == 1) {
            return lapsed(r, from, to, missed); /* and this one the next time */
        }
        from = offset < from ? offset : from;
        to = offset > to ? offset : to;
    }
    if (got < 0) {
        return got;
    }
    if (b->given == b->count) {
        return missed ? lapsed(r, from, to, missed) : end(r, b);
    }
    b->given++;
    r->given++;
    eddy_thread_count(&c->thread, EDDY_COUNT_READ, r->given - r->counted);
    r->counted = r->given;
    eddy_reader_note(r, event);
    return EDDY_EVENT;
}

/* ---- beginning and end ---- */

int eddy_bytime_init(struct eddy_reader *r) {
    eddy_select select = r->select;
    struct eddy_bytime *b = calloc(1, sizeof *b);
    if (!b) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a reader");
    }
    r->by_time = b;
    b->back = (select.flags & EDDY_BACKWARD) != 0;
    select.flags &= ~(EDDY_BY_TIME | EDDY_BACKWARD | EDDY_KNOWN);
    select.limit = 0;
    /* Its numbers are offsets, whatever it selects. */
    r->by_offset = false;
    r->listed = false;
    r->indexed = false;
    r->select.stream.len = 0;
    return eddy_reader_init(&b->source, r->store, &select);
}

void eddy_bytime_fini(struct eddy_reader *r) {
    if (r->by_time) {
        if (r->by_time->source.store) {
            eddy_reader_fini(&r->by_time->source);
        }
        free(r->by_time->at);
        free(r->by_time);
    }
}
