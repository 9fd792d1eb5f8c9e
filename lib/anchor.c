/* I1  A stream has an anchor if and only if it has a snapshot; its versions are those of its snapshots,
 *     each greater than the one before: as of each transaction.
 */
#include "anchor.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

int eddy_anchor_load(const struct eddy_view *v, eddy_bytes stream, struct eddy_room *room,
                     size_t *count, uint64_t *revision) {
    struct eddy_key_numbered name;
    struct eddy_key key;
    *count = 0;
    *revision = 0;
    eddy_key_number(&name, stream, EDDY_ANCHOR);
    int r = eddy_key_find(v, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&name), &key);
    if (r <= 0) {
        return r;
    }
    r = eddy_key_payload(v, &key, room);
    *count = key.data_len / 8;
    *revision = key.revision;
    return r < 0 ? r : 1;
}

size_t eddy_anchor_up_to(const struct eddy_room *room, size_t count, uint64_t version) {
    size_t low = 0;
    while (low < count) {
        size_t mid = low + (count - low) / 2;
        if (eddy_anchor_version(room, mid) <= version) {
            low = mid + 1;
        } else {
            count = mid;
        }
    }
    return low;
}

/* What a batch does to the snapshots of one stream. */
struct change {
    eddy_bytes stream;
    uint64_t version;
    const struct eddy_batch_put *put;
};

static int by_name(const struct change *x, const struct change *y) {
    size_t n = x->stream.len < y->stream.len ? x->stream.len : y->stream.len;
    int c = memcmp(x->stream.ptr, y->stream.ptr, n);
    return c != 0 ? c : (x->stream.len > y->stream.len) - (x->stream.len < y->stream.len);
}

static int by_version(const void *a, const void *b) {
    const struct change *x = a;
    const struct change *y = b;
    int c = by_name(x, y);
    return c != 0 ? c : (x->version > y->version) - (x->version < y->version);
}

/* All changes of a batch to snapshots, by stream and version: how many, or an error. */
static int64_t collect(const struct eddy_batch *b, struct change **changes) {
    int64_t n = 0;
    for (uint32_t i = 0; i < b->puts.count; i++) {
        n += EDDY_FAMILY(b->puts.at[i].hash) == EDDY_FAMILY_SNAPSHOT;
    }
    *changes = n ? malloc((size_t)n * sizeof **changes) : NULL;
    if (n == 0 || !*changes) {
        return n == 0 ? 0 : eddy_error_set(EDDY_ENOMEM, "no memory for a transaction's notes");
    }
    n = 0;
    for (uint32_t i = 0; i < b->puts.count; i++) {
        const struct eddy_batch_put *put = &b->puts.at[i];
        eddy_bytes key = eddy_mem(b->names.at + put->name_at, put->name_len);
        if (EDDY_FAMILY(put->hash) == EDDY_FAMILY_SNAPSHOT) {
            (*changes)[n++] = (struct change){.stream = eddy_key_plain(put->hash, key),
                                              .version = eddy_key_number_of(key.ptr, key.len),
                                              .put = put};
        }
    }
    qsort(*changes, (size_t)n, sizeof **changes, by_version);
    return n;
}

/* Deletes the snapshots of the first `n` versions, but for those that this transaction has put. */
static int delete_first(const struct eddy_committer *c, eddy_bytes stream,
                        const struct eddy_room *old, size_t n, struct eddy_attempt *t) {
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        struct eddy_key_numbered key;
        struct eddy_key was;
        struct eddy_stream_place place;
        eddy_key_number(&key, stream, eddy_anchor_version(old, i));
        eddy_bytes name = eddy_key_bytes(&key);
        uint64_t hash = eddy_keyed_hash(c->thread->arena, EDDY_FAMILY_SNAPSHOT, name);
        int64_t found = eddy_keyed_locate(&c->plan->view, EDDY_BLOCK_ENTRY, name, hash, &place);
        if (found > 0 && !eddy_plan_is_private(c->plan, (uint64_t)found)) {
            r = eddy_key_plan_delete(c, name, hash, t, &was);
            t->removed += r == 1;
        }
        r = found < 0 ? (int)found : r;
    }
    return r < 0 ? r : 0;
}

/* The versions that are left, and those that were put: `to` has room for all of them. */
static size_t merge(const struct eddy_room *old, size_t from, size_t count,
                    const struct change *change, size_t changes, uint64_t *to) {
    size_t n = 0;
    size_t i = from;
    for (size_t k = 0; k < changes; k++) {
        uint64_t version = change[k].version;
        while (i < count && eddy_anchor_version(old, i) < version) {
            to[n++] = eddy_anchor_version(old, i++);
        }
        if (change[k].put->what == EDDY_PUT_SET) {
            to[n++] = version;
        }
        bool same = i < count && eddy_anchor_version(old, i) == version;
        i += same && change[k].put->what != EDDY_PUT_UP_TO;
    }
    while (i < count) {
        to[n++] = eddy_anchor_version(old, i++);
    }
    return n;
}

static int replace(const struct eddy_committer *c, eddy_bytes stream, const uint64_t *versions,
                   size_t count, struct eddy_attempt *t) {
    struct eddy_key_numbered key;
    struct eddy_key was;
    eddy_key_number(&key, stream, EDDY_ANCHOR);
    eddy_bytes name = eddy_key_bytes(&key);
    uint64_t hash = eddy_keyed_hash(c->thread->arena, EDDY_FAMILY_SNAPSHOT, name);
    struct eddy_batch_put put = {.data = eddy_mem(versions, 8 * count)};
    if (8 * (uint64_t)count > EDDY_STATE_MAX) {
        return eddy_error_set(EDDY_ELIMIT,
                              "stream '%.*s' would have %zu snapshots: at most %llu are allowed",
                              (int)stream.len, (const char *)stream.ptr, count,
                              (unsigned long long)EDDY_STATE_MAX / 8);
    }
    int r = count > 0 ? eddy_key_plan_set(c, name, hash, &put, t, &was)
                      : eddy_key_plan_delete(c, name, hash, t, &was);
    return r < 0 ? r : 0;
}

/* The changes to one stream. */
static int plan_stream(const struct eddy_committer *c, const struct change *change, size_t changes,
                       struct eddy_room *old, struct eddy_attempt *t) {
    size_t count;
    uint64_t revision;
    size_t from = 0;
    eddy_bytes stream = change->stream;
    int r = eddy_anchor_load(&c->plan->view, stream, old, &count, &revision);
    for (size_t k = 0; r >= 0 && k < changes; k++) {
        if (change[k].put->what == EDDY_PUT_UP_TO) {
            size_t up_to = eddy_anchor_up_to(old, count, change[k].version);
            from = up_to > from ? up_to : from;
        }
    }
    r = r < 0 ? r : delete_first(c, stream, old, from, t);
    uint64_t *now = r < 0 ? NULL : malloc((count + changes) * sizeof *now);
    if (!now) {
        return r < 0 ? r : eddy_error_set(EDDY_ENOMEM, "no memory for a list of snapshots");
    }
    size_t n = merge(old, from, count, change, changes, now);
    bool same = n == count && (n == 0 || memcmp(now, old->bytes, 8 * n) == 0);
    r = same ? 0 : replace(c, stream, now, n, t);
    free(now);
    return r;
}

int eddy_anchor_plan(const struct eddy_committer *c, struct eddy_batch *b, struct eddy_attempt *t) {
    struct change *change;
    struct eddy_room old = {0};
    int64_t n = collect(b, &change);
    int r = n < 0 ? (int)n : 0;
    for (int64_t i = 0; r == 0 && i < n;) {
        int64_t k = 1;
        while (i + k < n && by_name(&change[i], &change[i + k]) == 0) {
            k++;
        }
        r = plan_stream(c, &change[i], (size_t)k, &old, t);
        i += k;
    }
    if (n > 0) {
        free(change);
        free(old.bytes);
    }
    return r;
}
