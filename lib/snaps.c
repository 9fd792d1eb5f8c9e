/* Snapshots of a stream: what eddy.h declares of them. */
#include <stdlib.h>

#include "anchor.h"
#include "entries.h"
#include "error.h"
#include "reader.h"
#include "tx.h"

static int check_version(uint64_t version) {
    return version >= 1 && version <= EDDY_SNAPSHOT_VERSION_MAX
               ? 0
               : eddy_error_set(EDDY_EINVAL, "a snapshot at version %llu: versions begin with 1",
                                (unsigned long long)version);
}

static int check(eddy_bytes stream, uint64_t version, struct eddy_key_numbered *key) {
    int r = eddy_store_check_name(stream);
    r = r < 0 ? r : check_version(version);
    if (r == 0) {
        eddy_key_number(key, stream, version);
    }
    return r;
}

static int check_put(eddy_bytes stream, uint64_t version, const eddy_new_state *state,
                     struct eddy_key_numbered *key, struct eddy_batch_put *put) {
    int r = check(stream, version, key);
    r = r < 0 ? r : eddy_entries_check_state(state, put);
    if (r == 0) {
        put->value = version;
    }
    return r;
}

int eddy_snapshot_put(eddy_store *store, eddy_bytes stream, uint64_t version, int64_t expected,
                      const eddy_new_state *state, eddy_result *result) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put;
    int r = check_put(stream, version, state, &key, &put);
    return r < 0 ? r
                 : eddy_entries_change(store, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &put,
                                       expected, result);
}

int eddy_tx_snapshot(eddy_tx *tx, eddy_bytes stream, uint64_t version, int64_t expected,
                     const eddy_new_state *state) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put;
    int r = check_put(stream, version, state, &key, &put);
    return r < 0 ? r : eddy_tx_put(tx, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &put, expected);
}

/* Up to a version, which may be beyond all. */
static int check_up_to(eddy_bytes stream, uint64_t version, struct eddy_key_numbered *key) {
    uint64_t most = EDDY_SNAPSHOT_VERSION_MAX;
    return check(stream, version > most ? most : version, key);
}

int eddy_snapshot_delete(eddy_store *store, eddy_bytes stream, uint64_t up_to,
                         eddy_result *result) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put = {.what = EDDY_PUT_UP_TO};
    int r = check_up_to(stream, up_to, &key);
    return r < 0 ? r
                 : eddy_entries_change(store, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &put,
                                       EDDY_ANY, result);
}

int eddy_tx_snapshot_delete(eddy_tx *tx, eddy_bytes stream, uint64_t up_to) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put = {.what = EDDY_PUT_UP_TO};
    int r = check_up_to(stream, up_to, &key);
    return r < 0 ? r : eddy_tx_put(tx, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &put, EDDY_ANY);
}

static int find(eddy_store *store, eddy_bytes stream, uint64_t version, eddy_buffer *buffer,
                eddy_state *state) {
    struct eddy_key_numbered key;
    struct eddy_key found;
    struct eddy_room *room = eddy_buffer_room(buffer);
    eddy_key_number(&key, stream, version);
    int r = eddy_entries_get(store, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &found, room);
    if (r == 1) {
        eddy_entries_give(&found, room, stream.len, state);
    }
    return r;
}

int eddy_snapshot_get(eddy_store *store, eddy_bytes stream, uint64_t version, eddy_buffer *buffer,
                      eddy_state *state) {
    struct eddy_key_numbered key;
    int r = check(stream, version, &key);
    r = r < 0 ? r : find(store, stream, version, buffer, state);
    return r == 1   ? 0
           : r == 0 ? eddy_error_set(EDDY_ENOENT, "stream '%.*s' has no snapshot at version %llu",
                                     (int)stream.len, (const char *)stream.ptr,
                                     (unsigned long long)version)
                    : r;
}

/* As the store is now, more or less: 1 and what was found, in the room; 0; or an error. *exact: it was so
 * at the instant: what was there then has a revision of then, and, if it is found later, was there all the
 * time. */
static int look_latest(const struct eddy_instant *now, eddy_bytes stream, uint64_t at_or_below,
                       struct eddy_key *found, struct eddy_room *room, bool *exact) {
    struct eddy_key_numbered key;
    size_t count;
    uint64_t revision;
    const uint64_t last = now->view.arena->revision_base + now->seq;
    int r = eddy_anchor_load(&now->view, stream, room, &count, &revision);
    size_t n = r == 1 ? eddy_anchor_up_to(room, count, at_or_below) : 0;
    *exact = false;
    if (r < 0 || n == 0) {
        return r < 0 ? r : 0;
    }
    eddy_key_number(&key, stream, eddy_anchor_version(room, n - 1));
    r = eddy_key_find(&now->view, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), found);
    if (r == 1) {
        *exact = revision <= last && found->revision <= last;
        int got = eddy_key_payload(&now->view, found, room);
        r = got < 0 ? got : 1;
    }
    return r;
}

int eddy_snapshot_latest(eddy_store *store, eddy_bytes stream, uint64_t at_or_below,
                         eddy_buffer *buffer, eddy_state *state) {
    struct eddy_context *c;
    struct eddy_instant now = {0};
    struct eddy_key found;
    struct eddy_room *room = eddy_buffer_room(buffer);
    int r = eddy_store_check_name(stream);
    r = r < 0 ? r : eddy_store_context(store, false, &c);
    if (r < 0) {
        return r;
    }
    uint64_t up_to = at_or_below ? at_or_below : EDDY_SNAPSHOT_VERSION_MAX;
    bool exact;
    int taken;
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    do {
        exact = false;
        taken = eddy_instant_take(&now, &c->thread);
        r = taken == 0 ? look_latest(&now, stream, up_to, &found, room, &exact) : taken;
    } while (taken == 0 && !(r == 1 && exact && eddy_instant_sound(&now, &c->thread)) &&
             !eddy_instant_holds(&now, &c->thread));
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    if (r == 1) {
        eddy_entries_give(&found, room, stream.len, state);
    }
    return r == 1 ? 0
           : r == 0
               ? eddy_error_set(EDDY_ENOENT, "stream '%.*s' has no snapshot%s", (int)stream.len,
                                (const char *)stream.ptr, at_or_below ? " so early" : "")
               : r;
}

/* The versions of a stream's snapshots, as of an instant, in the room: how many, or an error. */
static int64_t versions_of(eddy_store *store, eddy_bytes stream, struct eddy_room *room) {
    struct eddy_key_numbered key;
    struct eddy_key found;
    eddy_key_number(&key, stream, EDDY_ANCHOR);
    int r = eddy_entries_get(store, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &found, room);
    return r == 1 ? (int64_t)(found.data_len / 8) : r;
}

int64_t eddy_snapshots(eddy_store *store, eddy_bytes stream, uint64_t after_version, size_t limit,
                       int (*fn)(void *arg, const eddy_state *state), void *arg) {
    struct eddy_room versions = {0};
    int64_t calls = 0;
    int r = eddy_store_check_name(stream);
    int64_t count = r < 0 ? r : versions_of(store, stream, &versions);
    eddy_buffer *buffer = eddy_buffer_create();
    r = count < 0 ? (int)count
        : !buffer ? eddy_error_set(EDDY_ENOMEM, "no memory for a list of snapshots")
                  : 0;
    size_t i = r == 0 ? eddy_anchor_up_to(&versions, (size_t)count, after_version) : 0;
    for (; r == 0 && i < (size_t)count && (uint64_t)calls < limit; i++) {
        eddy_state state;
        r = find(store, stream, eddy_anchor_version(&versions, i), buffer, &state);
        calls += r == 1;
        r = r == 1 ? fn(arg, &state) != 0 : r;
    }
    free(versions.bytes);
    eddy_buffer_destroy(buffer);
    return r < 0 ? r : calls;
}
