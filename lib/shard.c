/* What is found in a list is true of an instant in the call: a slot says that its number is gone before
 * anything of the event is taken away, and a list goes only when nothing is left in it.
 */
#include "shard.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gone.h"
#include "upkeep.h"

/* ---- a reader's list ---- */

static struct eddy_shm_stream *list_of(const struct eddy_reader *r) {
    return eddy_arena_raw(&r->store->arena, r->desc);
}

int eddy_shard_find(struct eddy_reader *r) {
    const struct eddy_view *v = &r->instant.view;
    if (r->desc != 0 && eddy_view_holds(v, r->desc, r->desc_tag)) {
        return 1;
    }
    int64_t found = eddy_list_find(v, &r->key);
    if (found < 0) {
        return (int)found;
    }
    r->desc = (uint64_t)found;
    r->desc_tag = found ? eddy_block_tag(v->arena, r->desc) : 0;
    r->versions.off = 0;
    /* [shard.R1] relaxed: constant since it was published */
    uint64_t number = found ? eddy_ld_rlx(&list_of(r)->number) : 0;
    if (r->number != 0 && r->number != number && r->started) {
        r->at = 0;
        r->anew = true;
    }
    r->number = number;
    return found > 0;
}

static int gone(struct eddy_reader *r, uint64_t first, uint64_t last, uint64_t offset) {
    r->gone_from = first;
    r->gone_to = last;
    r->gone_offset = offset;
    return EDDY_READER_GONE;
}

int eddy_shard_offset(struct eddy_reader *r, uint64_t ordinal, uint64_t *offset) {
    const struct eddy_view *v = &r->instant.view;
    struct eddy_list_at at;
    int got = eddy_shard_find(r);
    if (got <= 0) {
        return got < 0 ? got : EDDY_READER_NOTHING;
    }
    got = eddy_list_look(v, list_of(r), ordinal, &r->versions, &at);
    if (got < 0) {
        return got;
    }
    *offset = at.number;
    if (at.gone || (got == 1 && at.number <= eddy_gone_floor(v))) {
        return gone(r, at.first, at.last, at.number);
    }
    return got == 1 ? 1 : EDDY_READER_NOTHING;
}

int eddy_shard_gone(struct eddy_reader *r, uint64_t *low) {
    const struct eddy_view *v = &r->instant.view;
    int got = eddy_shard_find(r);
    *low = 0;
    if (got <= 0) {
        return got;
    }
    struct eddy_shm_stream *list = list_of(r);
    uint64_t done = eddy_view_load(v, &list->reclaimed);
    return eddy_list_before(v, list, done, eddy_view_load(v, &list->version), eddy_gone_floor(v),
                            low);
}

int eddy_shard_before(struct eddy_reader *r, uint64_t last, uint64_t *low) {
    if (r->desc == 0) {
        return 0;
    }
    return eddy_list_before(&r->instant.view, list_of(r), 0, last, r->select.after_offset, low);
}

bool eddy_shard_lapse(const struct eddy_reader *r) {
    uint64_t floor = eddy_gone_floor(&r->instant.view);
    return r->gone_offset ? r->gone_offset > r->quiet || r->gone_offset <= floor
                          : floor > r->position.looked_at;
}

uint64_t eddy_shard_lost(const struct eddy_reader *r) {
    uint64_t floor = eddy_gone_floor(&r->instant.view);
    uint64_t lost = r->gone_offset ? r->gone_offset : floor;
    return lost > r->position.looked_at ? lost : r->position.looked_at + 1;
}

uint64_t eddy_shard_anew(struct eddy_reader *r) {
    uint64_t floor = eddy_gone_floor(&r->instant.view);
    r->anew = false;
    if (!(r->select.flags & EDDY_FOLLOW)) {
        r->ended = true; /* what there was when it began is gone */
    }
    return floor > r->position.looked_at ? floor : 0;
}

/* ---- by time ---- */

/* What is still to be looked at, the first first: events, and nodes with what is first in them. */
struct item {
    uint64_t key; /* time word, or its complement if the newest come first */
    uint64_t number;
    bool event; /* number is its offset; else the node's offset in the arena */
};

struct hunt {
    const struct eddy_view *view;
    struct eddy_trie_leaf near; /* of offsets */
    uint64_t head;              /* as of the instant */
    bool newest;                /* backward, from the newest on */
    bool bounded;               /* only events after this time */
    int64_t after_ns;
    struct item *heap;
    size_t count;
    size_t room;
};

static bool is_before(const struct item *a, const struct item *b) {
    return a->key != b->key       ? a->key < b->key
           : a->event != b->event ? !a->event
                                  : a->number < b->number;
}

static int push(struct hunt *k, struct item item) {
    if (k->count == k->room) {
        size_t room = k->room * 2 + 64;
        struct item *heap = realloc(k->heap, room * sizeof *heap);
        if (!heap) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for the events of a shard");
        }
        k->heap = heap;
        k->room = room;
    }
    size_t i = k->count++;
    for (; i > 0 && is_before(&item, &k->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        k->heap[i] = k->heap[(i - 1) / 2];
    }
    k->heap[i] = item;
    return 0;
}

static struct item pop(struct hunt *k) {
    struct item first = k->heap[0];
    struct item last = k->heap[--k->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= k->count) {
            break;
        }
        child += child + 1 < k->count && is_before(&k->heap[child + 1], &k->heap[child]);
        if (!is_before(&k->heap[child], &last)) {
            break;
        }
        k->heap[i] = k->heap[child];
        i = child;
    }
    k->heap[i] = last;
    return first;
}

/* An event of the list, if it is there and its time is in question. */
static int push_event(struct hunt *k, uint64_t value) {
    struct eddy_gone_look look;
    uint64_t offset = value >> 1;
    if (value == 0 || EDDY_IS_TOMB(value) || offset > k->head ||
        offset <= eddy_gone_floor(k->view)) {
        return 0;
    }
    int r = eddy_gone_look(k->view, offset, &k->near, &look);
    if (r != 1 || eddy_gone_event(k->view, offset, look.version, look.stream) ||
        (k->bounded && look.time_ns <= k->after_ns)) {
        return r < 0 ? r : 0;
    }
    uint64_t word = eddy_list_time_word(look.time_ns);
    return push(k, (struct item){k->newest ? ~word : word, offset, true});
}

static int push_node(struct hunt *k, const eddy_word *cell) {
    struct eddy_shm_block *block;
    uint64_t off;
    int r = eddy_trie_follow(k->view, cell, EDDY_TRIE_CLASS, &off, &block);
    if (r <= 0) {
        return r;
    }
    const struct eddy_shm_node *node = (const struct eddy_shm_node *)(const void *)block;
    uint64_t high = eddy_view_load(k->view, &node->sum);
    uint64_t low = ~eddy_view_load(k->view, &node->low);
    if (k->bounded && high <= eddy_list_time_word(k->after_ns)) {
        return 0;
    }
    return push(k, (struct item){k->newest ? ~high : low, off, false});
}

static int open_node(struct hunt *k, uint64_t off) {
    const struct eddy_shm_node *node = eddy_arena_raw(k->view->arena, off);
    uint64_t shape = eddy_trie_shape(&node->block);
    bool leaf = EDDY_SHAPE_SHIFT(shape) == 0;
    int r = eddy_trie_shape_good(shape, EDDY_TRIE_SHIFT_MAX + 1)
                ? 0
                : eddy_error_set(EDDY_ECORRUPT, "the list of a shard is damaged: run `eddy check`");
    for (unsigned i = 0; r >= 0 && i < EDDY_TRIE_SLOTS; i++) {
        r = leaf ? push_event(k, eddy_view_load(k->view, &node->slot[i]))
                 : push_node(k, &node->slot[i]);
    }
    return r;
}

/* What lies in the descriptor and the small leaf is few; then the trie. */
static int open_list(struct hunt *k, struct eddy_shm_stream *list) {
    struct eddy_shm_block *block;
    uint64_t off;
    int r = 0;
    for (unsigned i = 0; r >= 0 && i < EDDY_INLINE_SLOTS; i++) {
        r = push_event(k, eddy_view_load(k->view, &list->slot[i]));
    }
    r = r < 0 ? r : eddy_trie_follow(k->view, &list->leaf8, EDDY_LEAF8_CLASS, &off, &block);
    const struct eddy_shm_node *node = (const struct eddy_shm_node *)(const void *)block;
    for (unsigned i = 0; r == 1 && i < EDDY_LEAF8; i++) {
        int got = push_event(k, eddy_view_load(k->view, &node->slot[i]));
        r = got < 0 ? got : r;
    }
    return r < 0 ? r : push_node(k, &list->root);
}

/* The first event that is left: 1 and *found, 0 if there is none, or an error. */
static int hunt_on(struct hunt *k, struct item *found) {
    while (k->count > 0) {
        *found = pop(k);
        if (found->event) {
            return 1;
        }
        int r = open_node(k, found->number);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- what eddy.h declares ---- */

/* Offsets of at most `limit` events of a shard, in the order of the hunt, as of one instant. Inside the
 * span. Returns how many, or an error; *offsets is to be freed. */
static int64_t collect(struct hunt *k, struct eddy_instant *now, const struct eddy_list_key *key,
                       size_t limit, uint64_t **offsets) {
    size_t n = 0;
    size_t room = 0;
    struct item item;
    int64_t off = eddy_list_find(&now->view, key);
    int r = off > 0 ? 1 : (int)off;
    k->view = &now->view;
    k->head = now->now.next_offset - 1;
    k->count = 0;
    k->near = (struct eddy_trie_leaf){0};
    if (r == 1) {
        r = open_list(k, eddy_arena_raw(now->view.arena, (uint64_t)off));
    }
    while (r >= 0 && n < limit && (r = hunt_on(k, &item)) == 1) {
        if (n == room) {
            room = room * 2 + 64;
            uint64_t *more = realloc(*offsets, room * sizeof *more);
            if (!more) {
                return eddy_error_set(EDDY_ENOMEM, "no memory for the events of a shard");
            }
            *offsets = more;
        }
        (*offsets)[n++] = item.number;
    }
    return r < 0 ? r : (int64_t)n;
}

static int64_t collect_at(struct eddy_context *c, struct hunt *k, uint64_t shard, size_t limit,
                          uint64_t **offsets) {
    struct eddy_list_key key = eddy_list_key(c->thread.arena, EDDY_LIST_SHARD, shard);
    struct eddy_instant now = {0};
    int64_t n;
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    while ((n = eddy_instant_take(&now, &c->thread)) == 0) {
        n = collect(k, &now, &key, limit, offsets);
        if (eddy_instant_sound(&now, &c->thread)) {
            break;
        }
        /* What was seen may have been memory in its next use. */
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    return n;
}

int64_t eddy_shard_after_time(eddy_store *store, uint64_t shard, int64_t after_time_ns,
                              size_t limit, int (*fn)(void *arg, const eddy_event *event),
                              void *arg) {
    struct hunt k = {.bounded = true, .after_ns = after_time_ns};
    struct eddy_context *c;
    uint64_t *offsets = NULL;
    int64_t calls = 0;
    int r = eddy_store_context(store, false, &c);
    r = r < 0 ? r : eddy_upkeep_expire(c);
    if (r < 0) {
        return r;
    }
    int64_t n = collect_at(c, &k, shard, limit, &offsets);
    eddy_buffer *buffer = n > 0 ? eddy_buffer_create() : NULL;
    if (n > 0 && !buffer) {
        n = eddy_error_set(EDDY_ENOMEM, "no memory to read events");
    }
    for (int64_t i = 0; i < n; i++) {
        eddy_event event;
        r = eddy_get(store, offsets[i], buffer, &event);
        if (r == 0) {
            calls++;
            if (fn(arg, &event) != 0) {
                break;
            }
        } else if (r != EDDY_ENOENT) { /* it went meanwhile */
            break;
        }
    }
    eddy_buffer_destroy(buffer);
    free(offsets);
    free(k.heap);
    return n < 0 ? n : r < 0 && r != EDDY_ENOENT ? r : calls;
}

/* The last event that is there: its offset, or 0. */
static int last_there(struct hunt *k, struct eddy_shm_stream *list, uint64_t *last) {
    struct eddy_list_at at;
    struct eddy_gone_look look;
    uint64_t o = eddy_view_load(k->view, &list->version);
    uint64_t done = eddy_view_load(k->view, &list->reclaimed);
    int r = 0;
    *last = 0;
    while (r >= 0 && o > done && *last == 0) {
        r = eddy_list_look(k->view, list, o, NULL, &at);
        if (r == 1 && at.number <= k->head) {
            r = eddy_gone_look(k->view, at.number, &k->near, &look);
            if (r == 1 && !eddy_gone_event(k->view, at.number, look.version, look.stream)) {
                *last = at.number;
            }
        }
        o = at.first - 1;
    }
    return r < 0 ? r : 0;
}

/* The facts of a list: 1, 0 if no event of it is there, or an error. Inside the span. */
static int facts_of(struct hunt *k, struct eddy_instant *now, struct eddy_shm_stream *list,
                    eddy_shard_facts *f) {
    struct item item;
    unsigned kind;
    *f = (eddy_shard_facts){.size = sizeof *f};
    f->shard = eddy_list_number(list, &kind);
    if (kind != EDDY_LIST_SHARD) {
        return 0;
    }
    k->view = &now->view;
    k->head = now->now.next_offset - 1;
    k->count = 0;
    int r = last_there(k, list, &f->last_offset);
    if (r < 0 || f->last_offset == 0) {
        return r;
    }
    r = open_list(k, list);
    r = r < 0 ? r : hunt_on(k, &item);
    f->newest_time_ns = r == 1 ? eddy_list_time(~item.key) : 0;
    return r;
}

struct shards {
    struct hunt hunt;
    struct eddy_instant now;
    eddy_shard_facts *facts;
    size_t count;
    size_t room;
};

static int add_facts(void *arg, struct eddy_shm_stream *list) {
    struct shards *k = arg;
    if (k->count == k->room) {
        size_t room = k->room * 2 + 16;
        eddy_shard_facts *more = realloc(k->facts, room * sizeof *more);
        if (!more) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for the list of shards");
        }
        k->facts = more;
        k->room = room;
    }
    int r = facts_of(&k->hunt, &k->now, list, &k->facts[k->count]);
    k->count += r == 1;
    return r < 0 ? r : 0;
}

static int compare(const void *a, const void *b) {
    const eddy_shard_facts *x = a;
    const eddy_shard_facts *y = b;
    return (x->shard > y->shard) - (x->shard < y->shard);
}

static int all_facts(struct eddy_context *c, struct shards *k) {
    int r;
    eddy_instant_renew(&k->now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    while ((r = eddy_instant_take(&k->now, &c->thread)) == 0) {
        k->count = 0;
        k->hunt.near = (struct eddy_trie_leaf){0};
        r = eddy_list_each(&k->now.view, add_facts, k);
        if (eddy_instant_sound(&k->now, &c->thread)) {
            break;
        }
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&k->now);
    return r;
}

int64_t eddy_shards(eddy_store *store, int (*fn)(void *arg, const eddy_shard_facts *facts),
                    void *arg) {
    struct shards k = {.hunt = {.newest = true}};
    struct eddy_context *c;
    int64_t calls = 0;
    int r = eddy_store_context(store, false, &c);
    r = r < 0 ? r : eddy_upkeep_expire(c);
    r = r < 0 ? r : all_facts(c, &k);
    if (r == 0 && k.count > 0) {
        qsort(k.facts, k.count, sizeof *k.facts, compare);
    }
    for (size_t i = 0; r == 0 && i < k.count; i++) {
        calls++;
        if (fn(arg, &k.facts[i]) != 0) {
            break;
        }
    }
    free(k.facts);
    free(k.hunt.heap);
    return r < 0 ? r : calls;
}
