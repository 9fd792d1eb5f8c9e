/* I1  A page is the lowest names of all that were met: at most `most` of them are kept, the highest on
 *     top of a heap, so that a page takes memory by what it gives, and time by what there is.
 */
#include "entries.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "told.h"
#include "tx.h"
#include "upkeep.h"

int eddy_entries_check_name(eddy_bytes name, const char *of_what) {
    if (name.len == 0 || !name.ptr || name.len > EDDY_STREAM_MAX) {
        return eddy_error_set(EDDY_EINVAL, "%s of %zu bytes: 1 to %u are allowed", of_what,
                              name.len, EDDY_STREAM_MAX);
    }
    return 0;
}

int eddy_entries_check_state(const eddy_new_state *s, struct eddy_batch_put *put) {
    if (!s) {
        return eddy_error_set(EDDY_EINVAL, "there is no state to put");
    }
    if (s->data.len > EDDY_STATE_MAX || s->metadata.len > EDDY_STATE_MAX - s->data.len) {
        return eddy_error_set(EDDY_ELIMIT,
                              "a state of %zu bytes of data and %zu of metadata: the limit "
                              "EDDY_STATE_MAX is %llu",
                              s->data.len, s->metadata.len, (unsigned long long)EDDY_STATE_MAX);
    }
    if ((s->flags & ~EDDY_TIME_GIVEN) || s->reserved) {
        return eddy_error_set(EDDY_EINVAL, "a state has unknown flags (%#x)", s->flags);
    }
    if ((s->data.len && !s->data.ptr) || (s->metadata.len && !s->metadata.ptr)) {
        return eddy_error_set(EDDY_EINVAL, "a state has bytes without a pointer to them");
    }
    *put = (struct eddy_batch_put){.value = s->version,
                                   .aux = s->shard,
                                   .time_ns = s->time_ns,
                                   .timed = s->time_ns != 0 || (s->flags & EDDY_TIME_GIVEN),
                                   .data = s->data,
                                   .metadata = s->metadata};
    return 0;
}

int eddy_entries_change(eddy_store *store, unsigned family, eddy_bytes key,
                        const struct eddy_batch_put *put, int64_t expected, eddy_result *result) {
    struct eddy_context *c;
    eddy_result own;
    result = result ? result : &own;
    eddy_tx_clear_result(result);
    int r = eddy_store_writer(store, &c);
    r = r < 0 ? r : eddy_tx_check_expected(expected);
    if (r < 0) {
        return r;
    }
    struct eddy_batch *b = &c->batch;
    int64_t began = eddy_told_began(store);
    r = eddy_batch_put(b, &store->arena, family, key, put, expected, false);
    r = r < 0 ? r : eddy_upkeep_commit(c, b, eddy_store_now(store), result);
    eddy_batch_clear(b);
    if (r < 0 && r != EDDY_ECONFLICT) {
        eddy_tx_clear_result(result);
    }
    return eddy_told(store, began, EDDY_DID_COMMIT, r, 0, put->data.len + put->metadata.len);
}

int eddy_entries_get(eddy_store *store, unsigned family, eddy_bytes key, struct eddy_key *found,
                     struct eddy_room *room) {
    struct eddy_context *c;
    struct eddy_instant now = {0};
    int taken;
    int r = eddy_store_context(store, false, &c);
    if (r < 0) {
        return r;
    }
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    do {
        taken = eddy_instant_take(&now, &c->thread);
        r = taken == 0 ? eddy_key_find(&now.view, family, key, found) : taken;
        if (r == 1 && room) {
            int got = eddy_key_payload(&now.view, found, room);
            r = got < 0 ? got : 1;
        }
        /* What was found was so at some instant of this call; what was not, at this one. */
    } while (taken == 0 && (r == 1 ? !eddy_instant_sound(&now, &c->thread)
                                   : !eddy_instant_holds(&now, &c->thread)));
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    return r;
}

void eddy_entries_give(const struct eddy_key *found, const struct eddy_room *room, size_t plain,
                       eddy_state *to) {
    const unsigned char *data = room->bytes;
    const unsigned char *metadata = data + found->data_len;
    memset(to, 0, sizeof *to);
    to->size = sizeof *to;
    to->data = eddy_mem(data, found->data_len);
    to->metadata = eddy_mem(metadata, found->meta_len);
    to->key = eddy_mem(metadata + found->meta_len, plain);
    to->version = found->value;
    to->shard = found->aux;
    to->revision = found->revision;
    to->time_ns = found->time_ns;
    to->recorded_ns = found->recorded_ns;
}

/* ---- pages ---- */

int eddy_entries_compare(eddy_bytes a, eddy_bytes b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static eddy_bytes bytes_of(const struct eddy_entries_name *n) {
    return eddy_mem(n->bytes, n->len);
}

struct page {
    eddy_bytes prefix;
    eddy_bytes after;
    size_t most;
    struct eddy_entries_names *names;
};

/* The i-th name is lower than the one above it no more: it goes up. */
static void sift_up(struct eddy_entries_names *l, size_t i) {
    while (i > 0) {
        size_t up = (i - 1) / 2;
        if (eddy_entries_compare(bytes_of(l->at[i]), bytes_of(l->at[up])) <= 0) {
            return;
        }
        struct eddy_entries_name *n = l->at[i];
        l->at[i] = l->at[up];
        l->at[up] = n;
        i = up;
    }
}

static void sift_down(struct eddy_entries_names *l) {
    size_t i = 0;
    for (;;) {
        size_t high = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < l->count; k++) {
            high = eddy_entries_compare(bytes_of(l->at[k]), bytes_of(l->at[high])) > 0 ? k : high;
        }
        if (high == i) {
            return;
        }
        struct eddy_entries_name *n = l->at[i];
        l->at[i] = l->at[high];
        l->at[high] = n;
        i = high;
    }
}

static int no_memory(void) {
    return eddy_error_set(EDDY_ENOMEM, "no memory for a list of keys");
}

static struct eddy_entries_name *name_of(eddy_bytes key) {
    struct eddy_entries_name *n = malloc(sizeof *n + key.len);
    if (n) {
        n->len = (uint32_t)key.len;
        memcpy(n->bytes, key.ptr, key.len);
    }
    return n;
}

static int add(struct page *p, eddy_bytes key) {
    struct eddy_entries_names *l = p->names;
    if (l->count == l->room) {
        size_t room = l->room * 2 + 16;
        struct eddy_entries_name **more = realloc(l->at, room * sizeof *more);
        if (!more) {
            return no_memory();
        }
        l->at = more;
        l->room = room;
    }
    l->at[l->count] = name_of(key);
    if (!l->at[l->count]) {
        return no_memory();
    }
    sift_up(l, l->count++);
    return 0;
}

static int note(void *arg, const struct eddy_key *k) {
    struct page *p = arg;
    struct eddy_entries_names *l = p->names;
    eddy_bytes key = eddy_mem(k->name, k->name_len);
    if (key.len < p->prefix.len ||
        (p->prefix.len > 0 && memcmp(key.ptr, p->prefix.ptr, p->prefix.len) != 0) ||
        eddy_entries_compare(key, p->after) <= 0) {
        return 0;
    }
    if (l->count < p->most) {
        return add(p, key);
    }
    if (eddy_entries_compare(key, bytes_of(l->at[0])) >= 0) {
        return 0;
    }
    struct eddy_entries_name *n = name_of(key);
    if (!n) {
        return no_memory();
    }
    free(l->at[0]);
    l->at[0] = n;
    sift_down(l);
    return 0;
}

static int by_name(const void *a, const void *b) {
    const struct eddy_entries_name *const *x = a;
    const struct eddy_entries_name *const *y = b;
    return eddy_entries_compare(bytes_of(*x), bytes_of(*y));
}

static void empty(struct eddy_entries_names *l) {
    while (l->count > 0) {
        free(l->at[--l->count]);
    }
}

void eddy_entries_free(struct eddy_entries_names *l) {
    empty(l);
    free(l->at);
    *l = (struct eddy_entries_names){0};
}

int eddy_entries_page(eddy_store *store, unsigned family, eddy_bytes prefix, eddy_bytes after,
                      size_t most, struct eddy_entries_names *names) {
    enum { TRIES = 4 }; /* each takes as long as all there is; then an instant is not insisted on */
    struct eddy_context *c;
    struct eddy_instant now = {0};
    struct page p = {.prefix = prefix, .after = after, .most = most, .names = names};
    int taken;
    int r = eddy_store_context(store, false, &c);
    if (r < 0 || most == 0) {
        return r;
    }
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    int tries = 0;
    bool again;
    do {
        empty(names);
        taken = eddy_instant_take(&now, &c->thread);
        r = taken == 0 ? eddy_key_each(&now.view, family, note, &p) : taken;
        again = taken == 0 && !eddy_instant_holds(&now, &c->thread) &&
                (r == EDDY_ECORRUPT || !eddy_instant_sound(&now, &c->thread) || ++tries < TRIES);
    } while (again);
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    if (r == 0 && names->count > 0) {
        qsort(names->at, names->count, sizeof names->at[0], by_name);
    }
    return r;
}
