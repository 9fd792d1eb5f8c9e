/* Checkpoints: what eddy.h declares of them. */
#include <stdlib.h>
#include <string.h>

#include "entries.h"
#include "error.h"
#include "reader.h"
#include "tx.h"
#include "wait.h"

enum { POLL_NS = 1000000 };

static int check_name(eddy_bytes name) {
    return eddy_entries_check_name(name, "a checkpoint's name");
}

static int check_offset(uint64_t offset, uint32_t flags) {
    if (offset > (uint64_t)INT64_MAX || ((flags & EDDY_HOLD) && offset > EDDY_OFFSET_MAX)) {
        return eddy_error_set(EDDY_EINVAL,
                              "a checkpoint at offset %llu: at most %lld is allowed, and, for one "
                              "that holds, %llu",
                              (unsigned long long)offset, (long long)INT64_MAX,
                              (unsigned long long)EDDY_OFFSET_MAX);
    }
    return 0;
}

/* What is to be put, and its key. */
static int check(const eddy_new_checkpoint *n, struct eddy_key_numbered *key,
                 struct eddy_batch_put *put) {
    if (!n) {
        return eddy_error_set(EDDY_EINVAL, "there is no checkpoint to set");
    }
    int r = check_name(n->name);
    r = r < 0 ? r : check_offset(n->offset, n->flags);
    if (r == 0 && ((n->flags & ~(EDDY_HOLD | EDDY_TIME_GIVEN)) || n->reserved)) {
        r = eddy_error_set(EDDY_EINVAL, "a checkpoint with unknown flags (%#x)", n->flags);
    }
    if (r == 0) {
        eddy_key_number(key, n->name, n->shard);
        *put = (struct eddy_batch_put){.value = n->offset,
                                       .aux = n->shard,
                                       .flags = n->flags & EDDY_HOLD,
                                       .time_ns = n->time_ns,
                                       .timed = n->time_ns != 0 || (n->flags & EDDY_TIME_GIVEN)};
    }
    return r;
}

int eddy_checkpoint_set(eddy_store *store, const eddy_new_checkpoint *checkpoint, int64_t expected,
                        eddy_result *result) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put;
    int r = check(checkpoint, &key, &put);
    return r < 0 ? r
                 : eddy_entries_change(store, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key), &put,
                                       expected, result);
}

int eddy_checkpoint_put(eddy_store *store, eddy_bytes name, uint64_t offset, uint32_t flags) {
    eddy_new_checkpoint n = {.name = name, .offset = offset, .flags = flags};
    return flags & EDDY_TIME_GIVEN
               ? eddy_error_set(EDDY_EINVAL, "a checkpoint with unknown flags (%#x)", flags)
               : eddy_checkpoint_set(store, &n, EDDY_ANY, NULL);
}

int eddy_tx_checkpoint_set(eddy_tx *tx, const eddy_new_checkpoint *checkpoint, int64_t expected) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put;
    int r = check(checkpoint, &key, &put);
    return r < 0 ? r
                 : eddy_tx_put(tx, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key), &put, expected);
}

int eddy_tx_checkpoint(eddy_tx *tx, eddy_bytes name, uint64_t offset, uint32_t flags) {
    eddy_new_checkpoint n = {.name = name, .offset = offset, .flags = flags};
    return flags & EDDY_TIME_GIVEN
               ? eddy_error_set(EDDY_EINVAL, "a checkpoint with unknown flags (%#x)", flags)
               : eddy_tx_checkpoint_set(tx, &n, EDDY_ANY);
}

int eddy_checkpoint_delete(eddy_store *store, eddy_bytes name, uint64_t shard, int64_t expected) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put = {.what = EDDY_PUT_DELETE};
    int r = check_name(name);
    if (r < 0) {
        return r;
    }
    eddy_key_number(&key, name, shard);
    return eddy_entries_change(store, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key), &put, expected,
                               NULL);
}

int eddy_tx_checkpoint_delete(eddy_tx *tx, eddy_bytes name, uint64_t shard, int64_t expected) {
    struct eddy_key_numbered key;
    struct eddy_batch_put put = {.what = EDDY_PUT_DELETE};
    int r = check_name(name);
    if (r < 0) {
        return r;
    }
    eddy_key_number(&key, name, shard);
    return eddy_tx_put(tx, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key), &put, expected);
}

int eddy_tx_expect_checkpoint(eddy_tx *tx, eddy_bytes name, uint64_t shard, int64_t expected) {
    struct eddy_key_numbered key;
    int r = check_name(name);
    if (r < 0) {
        return r;
    }
    eddy_key_number(&key, name, shard);
    return eddy_tx_expect_key(tx, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key), expected);
}

int eddy_checkpoint_reset(eddy_store *store, eddy_bytes name, uint64_t offset,
                          eddy_result *result) {
    struct eddy_batch_put put = {.what = EDDY_PUT_RESET, .value = offset};
    int r = check_name(name);
    r = r < 0 ? r : check_offset(offset, 0);
    return r < 0 ? r
                 : eddy_entries_change(store, EDDY_FAMILY_CHECKPOINT, name, &put, EDDY_ANY, result);
}

static void give(const struct eddy_key *key, eddy_checkpoint *to) {
    uint32_t len = key->name_len > EDDY_KEY_NUMBER ? key->name_len - EDDY_KEY_NUMBER : 0;
    memset(to, 0, sizeof *to);
    to->size = sizeof *to;
    to->name_len = len;
    to->offset = key->value;
    to->shard = key->aux;
    to->revision = key->revision;
    to->time_ns = key->time_ns;
    to->recorded_ns = key->recorded_ns;
    to->flags = key->flags;
    memcpy(to->name, key->name, len < sizeof to->name ? len : 0);
}

/* 1, 0 if there is none, or an error. */
static int find(eddy_store *store, eddy_bytes name, uint64_t shard, eddy_checkpoint *checkpoint) {
    struct eddy_key_numbered key;
    struct eddy_key found;
    int r = check_name(name);
    if (r < 0) {
        return r;
    }
    eddy_key_number(&key, name, shard);
    r = eddy_entries_get(store, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key), &found, NULL);
    if (r == 1) {
        give(&found, checkpoint);
    }
    return r;
}

int eddy_checkpoint_get(eddy_store *store, eddy_bytes name, uint64_t shard,
                        eddy_checkpoint *checkpoint) {
    int r = find(store, name, shard, checkpoint);
    return r == 1 ? 0
           : r == 0
               ? eddy_error_set(EDDY_ENOENT, "there is no checkpoint '%.*s' of shard %llu",
                                (int)name.len, (const char *)name.ptr, (unsigned long long)shard)
               : r;
}

/* ---- waiting ---- */

/* What is waited for. */
struct wish {
    eddy_store *store;
    eddy_bytes name;
    uint64_t shard;
    uint64_t offset;
    eddy_checkpoint *to;
};

/* 1 if it has come so far, 0 or an error. */
static int reached(const struct wish *w) {
    int r = find(w->store, w->name, w->shard, w->to);
    return r < 0 ? r : r == 1 && w->to->offset >= w->offset;
}

/* Sleeps until somebody sets a checkpoint of the same group, or for a while: as reached(). */
static int sleep_once(const struct wish *w, const struct eddy_reader *r, int64_t deadline_ns) {
    struct eddy_arena *a = &w->store->arena;
    struct eddy_context *c;
    if (a->read_only) {
        /* It can set no bit, so nobody would wake it. */
        struct eddy_shm_group *g = eddy_arena_group(a, r->group);
        int64_t poll = eddy_platform_monotonic_ns() + POLL_NS;
        /* [checkpoint.R1] relaxed: a hint; the sleep is short */
        (void)eddy_platform_futex_wait(&g->futex, eddy_ld_rlx(&g->futex),
                                       deadline_ns < poll ? deadline_ns : poll);
        return reached(w);
    }
    uint32_t seen = eddy_wait_mark(a, r->slot, r->group);
    int got = reached(w); /* behind the mark */
    if (got == 0) {
        eddy_wait_sleep(a, r->group, seen, deadline_ns);
        if (eddy_store_context(w->store, true, &c) == 0) {
            eddy_thread_count(&c->thread, EDDY_COUNT_SLEEPS, 1);
        }
        got = reached(w);
    }
    eddy_wait_unmark(a, r->slot, r->group);
    return got;
}

static int wait_for(const struct wish *w, const struct eddy_reader *r, int64_t deadline_ns) {
    int got = 0;
    while (got == 0) {
        if (eddy_platform_monotonic_ns() >= deadline_ns) {
            return eddy_error_set(EDDY_ETIMEDOUT,
                                  "checkpoint '%.*s' of shard %llu was not at %llu before the "
                                  "deadline",
                                  (int)w->name.len, (const char *)w->name.ptr,
                                  (unsigned long long)w->shard, (unsigned long long)w->offset);
        }
        got = sleep_once(w, r, deadline_ns);
    }
    return got;
}

int eddy_checkpoint_wait(eddy_store *store, eddy_bytes name, uint64_t shard, uint64_t offset,
                         int64_t deadline_ns, eddy_checkpoint *checkpoint) {
    eddy_checkpoint own;
    struct eddy_key_numbered key;
    struct wish w = {.store = store,
                     .name = name,
                     .shard = shard,
                     .offset = offset,
                     .to = checkpoint ? checkpoint : &own};
    int got = reached(&w);
    if (got != 0) {
        return got < 0 ? got : 0;
    }
    /* Only its slot is wanted: a place for the mark of who sleeps. */
    struct eddy_reader *r = calloc(1, sizeof *r);
    eddy_select select = EDDY_SELECT_INIT;
    if (!r) {
        return eddy_error_set(EDDY_ENOMEM, "no memory to wait for a checkpoint");
    }
    select.flags = EDDY_FOLLOW;
    got = eddy_reader_init(r, store, &select);
    if (got == 0) {
        eddy_key_number(&key, name, shard);
        r->group = eddy_wait_group_of(
            eddy_keyed_hash(&store->arena, EDDY_FAMILY_CHECKPOINT, eddy_key_bytes(&key)));
        got = wait_for(&w, r, deadline_ns);
    }
    eddy_reader_fini(r);
    free(r);
    return got < 0 ? got : 0;
}

/* ---- all of them ---- */

struct list {
    eddy_bytes prefix;
    eddy_checkpoint *at;
    size_t count;
    size_t room;
};

static int note(void *arg, const struct eddy_key *key) {
    struct list *l = arg;
    if (key->name_len < l->prefix.len + EDDY_KEY_NUMBER ||
        (l->prefix.len > 0 && memcmp(key->name, l->prefix.ptr, l->prefix.len) != 0)) {
        return 0;
    }
    if (l->count == l->room) {
        size_t room = l->room * 2 + 16;
        eddy_checkpoint *more = realloc(l->at, room * sizeof *more);
        if (!more) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for a list of checkpoints");
        }
        l->at = more;
        l->room = room;
    }
    give(key, &l->at[l->count++]);
    return 0;
}

static int by_name(const void *a, const void *b) {
    const eddy_checkpoint *x = a;
    const eddy_checkpoint *y = b;
    int c = eddy_entries_compare(eddy_mem(x->name, x->name_len), eddy_mem(y->name, y->name_len));
    return c != 0 ? c : (x->shard > y->shard) - (x->shard < y->shard);
}

int64_t eddy_checkpoints(eddy_store *store, eddy_bytes prefix,
                         int (*fn)(void *arg, const eddy_checkpoint *checkpoint), void *arg) {
    enum { TRIES = 1000 }; /* each as short as a list of them takes */
    struct eddy_context *c;
    struct eddy_instant now = {0};
    struct list l = {.prefix = prefix};
    int taken = 0;
    int r = eddy_store_context(store, false, &c);
    if (r < 0) {
        return r;
    }
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    int tries = 0;
    do {
        l.count = 0;
        taken = eddy_instant_take(&now, &c->thread);
        r = taken == 0 ? eddy_key_each(&now.view, EDDY_FAMILY_CHECKPOINT, note, &l) : taken;
    } while (taken == 0 && !eddy_instant_holds(&now, &c->thread) && ++tries < TRIES);
    if (r == EDDY_ECORRUPT && tries == TRIES) {
        r = eddy_error_set(EDDY_EAGAIN, "checkpoints change too fast to be listed: try again");
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    int64_t calls = 0;
    if (r == 0 && l.count > 0) {
        qsort(l.at, l.count, sizeof *l.at, by_name);
    }
    for (; r == 0 && calls < (int64_t)l.count; calls++) {
        r = fn(arg, &l.at[calls]) != 0;
    }
    free(l.at);
    return r < 0 ? r : calls;
}
