/* Removing, and limits: what eddy.h declares of them. Each call is a transaction, and behind it, in
 * slices, the taking back of memory.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gone.h"
#include "retain.h"
#include "tidy.h"
#include "told.h"
#include "tx.h"
#include "upkeep.h"

/* ---- one stream ---- */

static int cut(eddy_store *store, eddy_bytes stream, int64_t expected, unsigned kind,
               uint64_t version, eddy_result *result) {
    eddy_tx *tx;
    int r = eddy_tx_begin(store, &tx);
    if (r < 0) {
        return r;
    }
    if (expected != EDDY_ANY) {
        r = eddy_tx_expect(tx, stream, expected);
    }
    if (r == 0) {
        r = eddy_tx_cut(tx, stream, kind, version);
    }
    if (r == 0) {
        r = eddy_tx_commit(tx, result);
    }
    eddy_tx_free(tx);
    return r;
}

int eddy_truncate(eddy_store *store, eddy_bytes stream, int64_t expected, uint64_t version,
                  eddy_result *result) {
    return cut(store, stream, expected, EDDY_CUT_TRUNCATE, version, result);
}

int eddy_delete(eddy_store *store, eddy_bytes stream, int64_t expected, eddy_result *result) {
    return cut(store, stream, expected, EDDY_CUT_DELETE, 0, result);
}

int eddy_tx_truncate(eddy_tx *tx, eddy_bytes stream, uint64_t version) {
    return eddy_tx_cut(tx, stream, EDDY_CUT_TRUNCATE, version);
}

int eddy_tx_delete(eddy_tx *tx, eddy_bytes stream) {
    return eddy_tx_cut(tx, stream, EDDY_CUT_DELETE, 0);
}

int eddy_tx_forget(eddy_tx *tx, eddy_bytes stream) {
    return eddy_tx_cut(tx, stream, EDDY_CUT_FORGET, 0);
}

/* Is the name known, of a stream that is there or not? 1, 0 or an error. */
static int known(eddy_store *store, eddy_bytes stream) {
    struct eddy_context *c;
    struct eddy_instant now = {0};
    int r = eddy_store_check_name(stream);
    if (r == 0) {
        r = eddy_store_writer(store, &c);
    }
    if (r < 0) {
        return r;
    }
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    uint64_t hash = eddy_stream_hash(&store->arena, stream);
    int taken;
    do {
        taken = eddy_instant_take(&now, &c->thread);
        int64_t off = taken == 0 ? eddy_stream_find(&now.view, stream, hash) : taken;
        r = off < 0 ? (int)off : off > 0;
    } while (taken == 0 && !eddy_instant_holds(&now, &c->thread));
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    return r;
}

int eddy_forget(eddy_store *store, eddy_bytes stream, eddy_result *result) {
    int r = known(store, stream);
    if (r == 0) {
        return eddy_error_set(EDDY_ENOENT, "no stream '%.*s' is known", (int)stream.len,
                              (const char *)stream.ptr);
    }
    return r < 0 ? r : cut(store, stream, EDDY_ANY, EDDY_CUT_FORGET, 0, result);
}

/* ---- many streams ---- */

static int64_t many(eddy_store *store, eddy_bytes prefix, unsigned kind) {
    struct eddy_context *c;
    struct eddy_tidy t = {.prefix = prefix, .kind = kind};
    int r = eddy_store_writer(store, &c);
    while (r == 0) {
        r = eddy_tidy_on(c, &t, UINT64_MAX);
    }
    return r < 0 ? r : (int64_t)t.done;
}

int64_t eddy_remove_empty(eddy_store *store, eddy_bytes prefix) {
    return many(store, prefix, EDDY_CUT_EMPTY);
}

int64_t eddy_forget_removed(eddy_store *store, eddy_bytes prefix) {
    return many(store, prefix, EDDY_CUT_FORGET_REMOVED);
}

/* ---- limits ---- */

static int check_limits(const eddy_limits *given, eddy_limits *l) {
    memset(l, 0, sizeof *l);
    if (given->size < offsetof(eddy_limits, names) || given->size > sizeof *l) {
        return eddy_error_set(EDDY_EINVAL,
                              "limits of %u bytes: size must be sizeof(eddy_limits), %zu",
                              given->size, sizeof *l);
    }
    memcpy(l, given, given->size);
    if (l->flags & ~EDDY_DROP_ALL) {
        return eddy_error_set(EDDY_EINVAL, "limits have unknown flags (%#x)",
                              l->flags & ~EDDY_DROP_ALL);
    }
    if (l->age_ns < 0) {
        return eddy_error_set(EDDY_EINVAL, "a limit of age of %lld ns: must not be negative",
                              (long long)l->age_ns);
    }
    if (l->keys_age_ns < 0) {
        return eddy_error_set(EDDY_EINVAL, "a limit of %lld ns to keys: must not be negative",
                              (long long)l->keys_age_ns);
    }
    return 0;
}

static int give_dropped(eddy_dropped *to, const eddy_dropped *d) {
    if (to) {
        uint32_t size = to->size;
        if (size != sizeof *d) {
            return eddy_error_set(EDDY_EINVAL, "eddy_dropped of %u bytes: size must be set to %zu",
                                  size, sizeof *d);
        }
        *to = *d;
        to->size = size;
    }
    return 0;
}

int eddy_limits_get(eddy_store *store, eddy_limits *limits) {
    eddy_limits l;
    struct eddy_ring_copy now;
    uint32_t size = limits->size;
    if (size < offsetof(eddy_limits, names) || size > sizeof l) {
        return eddy_error_set(EDDY_EINVAL,
                              "limits of %u bytes: size must be sizeof(eddy_limits), %zu", size,
                              sizeof l);
    }
    struct eddy_context *c;
    int r = eddy_store_context(store, false, &c);
    if (r == 0) {
        r = eddy_upkeep_totals(c, &now, &l);
    }
    if (r == 0) {
        memcpy(limits, &l, size);
        limits->size = size;
    }
    return r;
}

static int set_limits(eddy_store *store, const eddy_limits *limits, eddy_dropped *dropped) {
    struct eddy_context *c;
    struct eddy_ring_copy before;
    struct eddy_ring_copy after;
    eddy_limits l;
    eddy_result result;
    int r = check_limits(limits, &l);
    if (r == 0) {
        r = eddy_store_writer(store, &c);
    }
    if (r == 0) {
        r = eddy_upkeep_totals(c, &before, NULL);
    }
    if (r < 0) {
        return r;
    }
    eddy_dropped d = {.size = sizeof d};
    c->batch.limits = &l;
    do {
        c->batch.enforce = true;
        memset(&result, 0, sizeof result);
        r = eddy_upkeep_commit(c, &c->batch, eddy_store_now(store), &result);
        d.events += result.removed;
        bool more = c->batch.more;
        eddy_batch_clear(&c->batch);
        if (r < 0 || !more) {
            break;
        }
    } while (true);
    struct eddy_tidy t = {.kind = EDDY_CUT_LIMIT};
    while (r == 0 && l.stream_events != 0 && (l.flags & EDDY_DROP_STREAM_EVENTS)) {
        r = eddy_tidy_on(c, &t, UINT64_MAX);
    }
    r = r < 0 ? r : eddy_upkeep_settle(c);
    if (r == 0) {
        r = eddy_upkeep_totals(c, &after, NULL);
    }
    if (r < 0) {
        return r;
    }
    if (eddy_ring_events(&before) > eddy_ring_events(&after)) {
        d.events = eddy_ring_events(&before) - eddy_ring_events(&after);
    }
    d.bytes = eddy_ring_bytes(&before) > eddy_ring_bytes(&after)
                  ? eddy_ring_bytes(&before) - eddy_ring_bytes(&after)
                  : 0;
    d.streams = before.streams > after.streams ? before.streams - after.streams : 0;
    return give_dropped(dropped, &d);
}

int eddy_limits_set(eddy_store *store, const eddy_limits *limits, eddy_dropped *dropped) {
    return eddy_told_failure(store, set_limits(store, limits, dropped));
}

int eddy_limits_preview(eddy_store *store, const eddy_limits *limits, eddy_dropped *dropped) {
    struct eddy_context *c;
    eddy_limits l;
    eddy_dropped d = {.size = sizeof d};
    struct eddy_instant now = {0};
    int r = check_limits(limits, &l);
    if (r == 0) {
        r = eddy_store_context(store, false, &c);
    }
    if (r < 0) {
        return r;
    }
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    r = eddy_instant_take(&now, &c->thread);
    if (r == 0) {
        r = eddy_retain_preview(&now.view, &now.now, &l, eddy_store_now(store), &d);
    }
    if (r == EDDY_ECORRUPT && !eddy_instant_holds(&now, &c->thread)) {
        r = eddy_error_set(EDDY_EAGAIN, "the store changes too fast for a preview: try again");
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    return r < 0 ? r : give_dropped(dropped, &d);
}
