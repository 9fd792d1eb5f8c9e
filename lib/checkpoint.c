/* Checkpoints: what eddy.h declares of them. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "keys.h"
#include "tx.h"
#include "upkeep.h"

static int check_name(eddy_bytes name, uint32_t flags) {
    if (name.len == 0 || !name.ptr || name.len > EDDY_STREAM_MAX) {
        return eddy_error_set(EDDY_EINVAL, "a checkpoint's name of %zu bytes: 1 to %u are allowed",
                              name.len, EDDY_STREAM_MAX);
    }
    if (flags & ~EDDY_HOLD) {
        return eddy_error_set(EDDY_EINVAL, "a checkpoint with unknown flags (%#x)", flags);
    }
    return 0;
}

static int check_offset(uint64_t offset) {
    return offset >> 62 == 0 ? 0
                             : eddy_error_set(EDDY_EINVAL,
                                              "a checkpoint at offset %llu: no event "
                                              "will ever have it",
                                              (unsigned long long)offset);
}

int eddy_tx_checkpoint(eddy_tx *tx, eddy_bytes name, uint64_t offset, uint32_t flags) {
    int r = check_name(name, flags);
    r = r < 0 ? r : check_offset(offset);
    struct eddy_batch_put put = {.value = offset, .flags = flags};
    return r < 0 ? r : eddy_tx_put(tx, name, &put);
}

/* One transaction for one of them. */
static int put_alone(eddy_store *store, eddy_bytes name, const struct eddy_batch_put *put) {
    eddy_tx *tx;
    int r = eddy_tx_begin(store, &tx);
    if (r < 0) {
        return r;
    }
    r = eddy_tx_put(tx, name, put);
    r = r < 0 ? r : eddy_tx_commit(tx, NULL);
    eddy_tx_free(tx);
    return r;
}

int eddy_checkpoint_put(eddy_store *store, eddy_bytes name, uint64_t offset, uint32_t flags) {
    int r = check_name(name, flags);
    r = r < 0 ? r : check_offset(offset);
    struct eddy_batch_put put = {.value = offset, .flags = flags};
    return r < 0 ? r : put_alone(store, name, &put);
}

int eddy_checkpoint_delete(eddy_store *store, eddy_bytes name) {
    int r = check_name(name, 0);
    struct eddy_batch_put put = {.gone = true};
    return r < 0 ? r : put_alone(store, name, &put);
}

static void give(const struct eddy_key *key, eddy_checkpoint *to) {
    memset(to, 0, sizeof *to);
    to->size = sizeof *to;
    to->name_len = key->name_len;
    to->offset = key->offset;
    to->revision = key->revision;
    to->time_ns = key->time_ns;
    to->flags = key->flags;
    memcpy(to->name, key->name, key->name_len);
}

int eddy_checkpoint_get(eddy_store *store, eddy_bytes name, eddy_checkpoint *checkpoint) {
    struct eddy_context *c;
    struct eddy_instant now = {0};
    struct eddy_key key;
    int taken;
    int r = check_name(name, 0);
    r = r < 0 ? r : eddy_store_context(store, false, &c);
    if (r < 0) {
        return r;
    }
    uint64_t hash = eddy_key_hash(&store->arena, name);
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    do {
        taken = eddy_instant_take(&now, &c->thread);
        r = taken == 0 ? eddy_key_find(&now.view, name, hash, &key) : taken;
        /* What was found was so at some instant of this call; what was not, at this one. */
    } while (taken == 0 && (r == 1 ? !eddy_instant_sound(&now, &c->thread)
                                   : !eddy_instant_holds(&now, &c->thread)));
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    if (r == 1) {
        give(&key, checkpoint);
    }
    return r == 1   ? 0
           : r == 0 ? eddy_error_set(EDDY_ENOENT, "there is no checkpoint '%.*s'", (int)name.len,
                                     (const char *)name.ptr)
                    : r;
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
    if (key->name_len < l->prefix.len ||
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
    size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
    int c = memcmp(x->name, y->name, n);
    return c != 0 ? c : (x->name_len > y->name_len) - (x->name_len < y->name_len);
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
        r = taken == 0 ? eddy_key_each(&now.view, note, &l) : taken;
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
