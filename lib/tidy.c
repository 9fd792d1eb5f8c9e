/* What is to be done is judged twice: here, by the facts of now, and by the transaction that does it,
 * as of its instant: a stream that is written meanwhile stays.
 */
#include "tidy.h"

#include <string.h>

#include "error.h"
#include "gone.h"
#include "list.h"
#include "upkeep.h"

enum { PAGE = 14, LOOKS = 4096 };

struct name {
    uint32_t len;
    unsigned char bytes[EDDY_STREAM_MAX];
};

/* Is it to be done for this stream? */
static bool wanted(const struct eddy_view *v, struct eddy_shm_stream *d,
                   const struct eddy_tidy *t) {
    uint64_t gone;
    eddy_bytes name = eddy_stream_name(d);
    if (name.len < t->prefix.len ||
        (t->prefix.len > 0 && memcmp(name.ptr, t->prefix.ptr, t->prefix.len) != 0)) {
        return false;
    }
    bool removed = eddy_gone_removed(v, d);
    if (t->kind == EDDY_CUT_FORGET_REMOVED || removed) {
        return removed && t->kind >= EDDY_CUT_FORGET;
    }
    uint64_t version = eddy_view_load(v, &d->version);
    return t->kind == EDDY_CUT_LIMIT || (eddy_gone_versions(v, d, &gone) == 0 && gone == version &&
                                         !(t->by_floor && eddy_view_load(v, &d->first) == version));
}

static void take_name(struct name *to, const struct eddy_shm_stream *d) {
    eddy_bytes name = eddy_stream_name(d);
    to->len = (uint32_t)name.len;
    eddy_copy_out(to->bytes, name.ptr, name.len);
}

/* Looks at the stream of the present number: 1 and its name, if it is wanted. */
static int look_at(const struct eddy_view *v, struct eddy_trie_leaf *near, struct eddy_tidy *t,
                   struct name *name) {
    uint64_t off;
    int r = eddy_stream_number(v, &t->number, near, &off);
    struct eddy_shm_stream *d = eddy_arena_raw(v->arena, off);
    if (r != 1 || !wanted(v, d, t)) {
        return r < 0 ? r : 0;
    }
    take_name(name, d);
    return 1;
}

/* One transaction for all of the names. */
static int do_names(struct eddy_context *c, const struct name *names, size_t count, unsigned kind) {
    struct eddy_batch b;
    eddy_result result;
    int r = 0;
    memset(&result, 0, sizeof result);
    eddy_batch_init(&b);
    for (size_t i = 0; r == 0 && i < count; i++) {
        int64_t s = eddy_batch_stream(&b, &c->store->arena, eddy_mem(names[i].bytes, names[i].len));
        r = s < 0 ? (int)s : eddy_batch_cut(&b, (uint32_t)s, kind, 0);
    }
    if (r == 0 && count > 0) {
        r = eddy_upkeep_commit(c, &b, eddy_store_now(c->store), &result);
    }
    eddy_batch_fini(&b);
    return r;
}

/* As many as the list of a transaction has room for without memory of the store. */
static size_t at_once(unsigned kind) {
    return kind >= EDDY_CUT_FORGET ? 5 : PAGE;
}

int eddy_tidy_on(struct eddy_context *c, struct eddy_tidy *t, uint64_t most) {
    struct name names[PAGE];
    struct eddy_instant now = {0};
    struct eddy_trie_leaf near = {0};
    size_t n = 0;
    most = most < at_once(t->kind) ? most : at_once(t->kind);
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    int r = eddy_instant_take(&now, &c->thread);
    uint64_t last = now.now.streams_in;
    for (int i = 0; r >= 0 && i < LOOKS && n < most && t->number < last; i++) {
        t->number++;
        r = look_at(&now.view, &near, t, &names[n]);
        n += r == 1;
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    r = r < 0 ? r : do_names(c, names, n, t->kind);
    t->done += r == 0 ? n : 0;
    return r < 0 ? r : t->number >= last;
}

/* The streams, or the lists, among them: as many as go into one transaction, from *at on. */
static size_t take_some(struct eddy_context *c, const struct eddy_reclaim_stream *streams,
                        size_t count, bool lists, size_t *at, struct name *names) {
    struct eddy_view v = {.arena = &c->store->arena, .span = &c->thread.span, .overlay = NULL};
    size_t most = lists ? at_once(EDDY_CUT_FORGET) : PAGE;
    size_t n = 0;
    eddy_rcu_enter(&c->thread.span);
    for (; *at < count && n < most; ++*at) {
        const struct eddy_reclaim_stream *s = &streams[*at];
        struct eddy_shm_stream *d =
            eddy_view_holds(&v, s->desc, s->tag) ? eddy_stream_at(v.arena, s->desc) : NULL;
        if (d && eddy_list_is(d) == lists) {
            take_name(&names[n++], d);
        }
    }
    eddy_rcu_leave(&c->thread.span);
    return n;
}

/* One transaction for all of these lists. */
static int do_lists(struct eddy_context *c, const struct name *names, size_t count) {
    struct eddy_batch b;
    eddy_result result;
    int r = 0;
    memset(&result, 0, sizeof result);
    eddy_batch_init(&b);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = eddy_batch_empty_list(&b, names[i].bytes);
    }
    if (r == 0 && count > 0) {
        r = eddy_upkeep_commit(c, &b, eddy_store_now(c->store), &result);
    }
    eddy_batch_fini(&b);
    return r;
}

int eddy_tidy_empty(struct eddy_context *c, const struct eddy_reclaim_stream *streams,
                    size_t count) {
    struct name names[PAGE];
    int r = 0;
    for (int lists = 0; lists < 2; lists++) {
        for (size_t i = 0; r == 0 && i < count;) {
            size_t n = take_some(c, streams, count, lists != 0, &i, names);
            r = lists ? do_lists(c, names, n) : do_names(c, names, n, EDDY_CUT_EMPTY);
        }
    }
    return r;
}
