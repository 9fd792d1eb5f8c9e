/* I1  A slot of a list goes 0, number, number and gone; a leaf goes when all its numbers are gone.
 *     Whoever takes an event away marks its slot before that of its offset, so what leads to no event
 *     any more is marked in its list.
 * I2  `high` and `low` of a node bound the times of the events under it, gone ones too, as of each
 *     transaction.
 * I3  A list in which nothing is left is taken out by a record, which sees that by `reclaimed`.
 */
#include "list.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "gone.h"
#include "names.h"
#include "wait.h"

enum { DEPTH_MAX = 24, CHAIN_MAX = 1 << 20, PIECE = 256, LEVELS = 12 };

/* ---- keys ---- */

struct eddy_list_key eddy_list_key(const struct eddy_arena *a, unsigned kind, uint64_t number) {
    struct eddy_list_key key = {.bytes = {(unsigned char)kind}};
    for (int i = 8; i > 0; i--, number >>= 8) {
        key.bytes[i] = (unsigned char)number;
    }
    key.hash = eddy_keyed_hash(a, EDDY_FAMILY_LIST, eddy_list_name(&key));
    return key;
}

bool eddy_list_is(const struct eddy_shm_stream *d) {
    /* [list.R1] relaxed: constant since before it was published */
    return EDDY_FAMILY(eddy_ld_rlx(&d->hash)) == EDDY_FAMILY_LIST;
}

static uint64_t number_of(const unsigned char *key) {
    uint64_t number = 0;
    for (unsigned i = 1; i < EDDY_LIST_KEY_LEN; i++) {
        number = number << 8 | key[i];
    }
    return number;
}

uint64_t eddy_list_number(const struct eddy_shm_stream *d, unsigned *kind) {
    unsigned char key[EDDY_LIST_KEY_LEN];
    eddy_copy_out(key, d->name, sizeof key);
    *kind = key[0];
    return number_of(key);
}

int64_t eddy_list_find(const struct eddy_view *v, const struct eddy_list_key *key) {
    return eddy_stream_find(v, eddy_list_name(key), key->hash);
}

static int damaged(uint64_t off) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the index of lists is damaged at byte %llu: run "
                          "`eddy check`",
                          (unsigned long long)off);
}

static int each_of_chain(const struct eddy_view *v, uint64_t off,
                         int (*fn)(void *arg, struct eddy_shm_stream *list), void *arg) {
    for (int i = 0; i < CHAIN_MAX; i++) {
        struct eddy_shm_stream *s = eddy_stream_at(v->arena, off);
        struct eddy_shm_block *next;
        if (!s || eddy_stream_name(s).len != EDDY_LIST_KEY_LEN) {
            return damaged(off);
        }
        int r = fn(arg, s);
        if (r != 0) {
            return r;
        }
        r = eddy_trie_follow(v, &s->collision, EDDY_ENTRY_CLASS(0), &off, &next);
        if (r <= 0) {
            return r;
        }
    }
    return damaged(off);
}

static int each_under(const struct eddy_view *v, const eddy_word *cell, unsigned depth,
                      int (*fn)(void *arg, struct eddy_shm_stream *list), void *arg) {
    struct eddy_shm_block *block;
    uint64_t off;
    int r = eddy_trie_follow(v, cell, EDDY_LEAF8_CLASS, &off, &block);
    if (r <= 0) {
        return r;
    }
    if (eddy_keyed_is(block)) {
        return each_of_chain(v, off, fn, arg);
    }
    if (depth == DEPTH_MAX || EDDY_SHAPE_KIND(eddy_trie_shape(block)) != EDDY_BLOCK_NODE) {
        return damaged(off);
    }
    const struct eddy_shm_node *node = (const struct eddy_shm_node *)(const void *)block;
    r = 0;
    for (unsigned i = 0; r == 0 && i < 1u << EDDY_HASH_BITS; i++) {
        r = each_under(v, &node->slot[i], depth + 1, fn, arg);
    }
    return r;
}

int eddy_list_each(const struct eddy_view *v, int (*fn)(void *arg, struct eddy_shm_stream *list),
                   void *arg) {
    const eddy_word *cell = v->arena->names + eddy_family_cell(EDDY_FAMILY_LIST);
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 1u << eddy_family_bits(EDDY_FAMILY_LIST); i++) {
        r = each_under(v, &cell[i], 0, fn, arg);
    }
    return r;
}

/* ---- looking ---- */

/* The slot of an ordinal, or, where none is any more, how many around it went together. */
static int find_slot(const struct eddy_view *v, struct eddy_shm_stream *list, uint64_t ordinal,
                     struct eddy_trie_leaf *near, struct eddy_list_at *at) {
    uint64_t span = 0;
    if (ordinal >= EDDY_TRIE_VERSION) {
        uint64_t n = ordinal - EDDY_TRIE_VERSION;
        int r = near ? eddy_trie_slot_near(v, &list->root, n, near, &at->slot) : 0;
        r = r == 0 ? eddy_trie_walk(v, &list->root, n, &at->slot, &span) : r;
        if (span != 0) {
            at->gone = true;
            at->first = (n & ~(span - 1)) + EDDY_TRIE_VERSION;
            at->last = (n | (span - 1)) + EDDY_TRIE_VERSION;
        }
        return r;
    }
    if (ordinal <= EDDY_INLINE_SLOTS) {
        at->slot = &list->slot[ordinal - 1];
        return 1;
    }
    struct eddy_shm_block *block;
    uint64_t value;
    int r = eddy_trie_follow(v, &list->leaf8, EDDY_LEAF8_CLASS, &value, &block);
    if (r == 1) {
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        at->slot = &node->slot[ordinal - 1 - EDDY_INLINE_SLOTS];
    } else if (r == 0 && value != 0) {
        at->gone = true;
        at->first = EDDY_INLINE_SLOTS + 1;
        at->last = EDDY_TRIE_VERSION - 1;
    }
    return r;
}

int eddy_list_look(const struct eddy_view *v, struct eddy_shm_stream *list, uint64_t ordinal,
                   struct eddy_trie_leaf *near, struct eddy_list_at *at) {
    *at = (struct eddy_list_at){.first = ordinal, .last = ordinal};
    int r = find_slot(v, list, ordinal, near, at);
    if (r <= 0) {
        at->slot = NULL;
        return r;
    }
    uint64_t value = eddy_view_load(v, at->slot);
    at->gone = EDDY_IS_TOMB(value);
    at->number = value >> 1;
    return value != 0 && !at->gone;
}

int eddy_list_before(const struct eddy_view *v, struct eddy_shm_stream *list, uint64_t low,
                     uint64_t high, uint64_t number, uint64_t *found) {
    struct eddy_trie_leaf near = {0};
    while (low < high) {
        struct eddy_list_at at = {.last = low + (high - low + 1) / 2 - 1};
        uint64_t mid = at.last + 1;
        int r;
        do { /* past leaves that have gone */
            r = eddy_list_look(v, list, at.last + 1, &near, &at);
        } while (r == 0 && at.gone && !at.slot && at.last < high);
        if (r < 0) {
            return r;
        }
        if (at.number != 0 && at.number <= number) {
            low = at.last;
        } else {
            high = mid - 1;
        }
    }
    *found = low;
    return 0;
}

int64_t eddy_list_has(const struct eddy_view *v, uint64_t shard, uint64_t offset) {
    struct eddy_list_key key = eddy_list_key(v->arena, EDDY_LIST_SHARD, shard);
    struct eddy_list_at at = {0};
    int64_t off = eddy_list_find(v, &key);
    uint64_t ordinal = 0;
    if (off <= 0) {
        return off;
    }
    struct eddy_shm_stream *list = eddy_arena_raw(v->arena, (uint64_t)off);
    int r = eddy_list_before(v, list, 0, eddy_view_load(v, &list->version), offset, &ordinal);
    r = r == 0 && ordinal > 0 ? eddy_list_look(v, list, ordinal, NULL, &at) : r;
    return r < 0 ? r : r == 1 && at.number == offset ? (int64_t)ordinal : 0;
}

/* ---- checking ---- */

struct list_check {
    const struct eddy_view *view;
    struct eddy_shm_stream *list;
    uint64_t shard;
    eddy_report_fn report;
    void *arg;
};

static void wrong(const struct list_check *k, uint64_t ordinal, const char *what) {
    k->report(k->arg, "list", "number %llu of shard %llu %s", (unsigned long long)ordinal,
              (unsigned long long)k->shard, what);
}

/* Do the nodes above it bound the event's time? */
static void check_zone(const struct list_check *k, uint64_t ordinal, int64_t time_ns) {
    const struct eddy_view *v = k->view;
    uint64_t n = ordinal - EDDY_TRIE_VERSION;
    uint64_t word = eddy_list_time_word(time_ns);
    eddy_word *cell = &k->list->root;
    for (unsigned shift = EDDY_TRIE_SHIFT_MAX; shift > 0;) {
        struct eddy_shm_block *block;
        uint64_t off;
        if (eddy_trie_follow(v, cell, EDDY_TRIE_CLASS, &off, &block) != 1) {
            return; /* it went meanwhile */
        }
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        if (eddy_view_load(v, &node->sum) < word || eddy_view_load(v, &node->low) < ~word) {
            wrong(k, ordinal, "has a time that its index does not know");
            return;
        }
        shift = EDDY_SHAPE_SHIFT(eddy_trie_shape(block));
        cell = &node->slot[n >> shift & (EDDY_TRIE_SLOTS - 1)];
    }
}

/* A number that is not marked: its event is there and in the shard, or it is gone and not yet buried. */
static void check_entry(const struct list_check *k, uint64_t ordinal,
                        const struct eddy_list_at *at) {
    struct eddy_gone_look look;
    const struct eddy_view *v = k->view;
    if (at->number <= eddy_gone_floor(v)) {
        return;
    }
    int r = eddy_gone_look(v, at->number, NULL, &look);
    if (r < 0) {
        wrong(k, ordinal, "leads to an offset that is not there");
    } else if (r == 0 && !EDDY_IS_TOMB(eddy_view_load(v, at->slot))) {
        wrong(k, ordinal, "leads to an event that has no memory any more");
    } else if (r == 1 && !(look.sharded && look.shard == k->shard)) {
        wrong(k, ordinal, "leads to an event that is not in it");
    } else if (r == 1 && ordinal >= EDDY_TRIE_VERSION) {
        check_zone(k, ordinal, look.time_ns);
    }
}

void eddy_list_check(const struct eddy_view *v, struct eddy_shm_stream *list, eddy_report_fn report,
                     void *arg) {
    struct list_check k = {.view = v, .list = list, .report = report, .arg = arg};
    struct eddy_trie_leaf near = {0};
    struct eddy_list_at at;
    unsigned kind;
    uint64_t done = eddy_view_load(v, &list->reclaimed);
    uint64_t last = eddy_view_load(v, &list->version);
    uint64_t before = 0;
    k.shard = eddy_list_number(list, &kind);
    struct eddy_list_key key = eddy_list_key(v->arena, kind, k.shard);
    /* [list.R4] relaxed: constant since it was published */
    if (kind != EDDY_LIST_SHARD || eddy_ld_rlx(&list->hash) != key.hash || done > last) {
        wrong(&k, last, "has a descriptor that is damaged");
        return;
    }
    uint64_t most = eddy_arena_reserved(v->arena) * (EDDY_EXTENT_SIZE / 32);
    for (uint64_t o = done + 1; o <= last && most > 0; o++, most--) {
        int r = eddy_list_look(v, list, o, &near, &at);
        if (r < 0 || (!at.gone && r == 0) || (at.slot && at.number <= before)) {
            wrong(&k, o, "is not in the index, or not in order");
            return;
        }
        before = at.slot ? at.number : before;
        if (r == 1) {
            check_entry(&k, o, &at);
        }
        o = at.last;
    }
}

/* ---- adding ---- */

/* Notes which of the batch's events are in a shard: by shard, in the order of the batch. */
static int compare(const void *a, const void *b) {
    const struct eddy_batch_shard *x = a;
    const struct eddy_batch_shard *y = b;
    return x->shard != y->shard ? (x->shard < y->shard ? -1 : 1) : x->event < y->event ? -1 : 1;
}

static void note_shard(const struct eddy_arena *a, const struct eddy_batch *b, uint32_t event,
                       struct eddy_batch_shard *to) {
    struct eddy_shm_event h;
    const unsigned char *at = eddy_arena_raw(a, b->events.at[event].off);
    eddy_copy_out(&h, at, sizeof h);
    at += sizeof h;
    to->event = event;
    to->timed = (h.flags & EDDY_EVENT_TIME) != 0;
    to->time_ns = 0;
    if (to->timed) {
        eddy_copy_out(&to->time_ns, at, 8);
        at += 8;
    }
    eddy_copy_out(&to->shard, at, 8);
}

static int gather(const struct eddy_arena *a, struct eddy_batch *b) {
    uint32_t n = 0;
    bool sorted = true;
    if (b->shards.count > 0) {
        return 0; /* by a try before */
    }
    if (b->sharded > b->shards.room) {
        struct eddy_batch_shard *at = realloc(b->shards.at, b->sharded * sizeof *at);
        if (!at) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for a transaction's notes");
        }
        b->shards.at = at;
        b->shards.room = b->sharded;
    }
    for (uint32_t i = 0; i < b->events.count && n < b->sharded; i++) {
        struct eddy_shm_event *e = eddy_arena_raw(a, b->events.at[i].off);
        if (eddy_copy_field(&e->flags) & EDDY_EVENT_SHARD) {
            note_shard(a, b, i, &b->shards.at[n]);
            sorted = sorted && (n == 0 || b->shards.at[n - 1].shard <= b->shards.at[n].shard);
            n++;
        }
    }
    b->shards.count = n;
    if (!sorted) {
        qsort(b->shards.at, n, sizeof *b->shards.at, compare);
    }
    return 0;
}

/* The list of a shard as of now, from this thread's notes or the index: 0 in *off if there is none. */
static int find_list(struct eddy_plan *p, const struct eddy_list_key *key, uint64_t *off) {
    struct eddy_plan_known *k = eddy_plan_known_list(p, key->hash);
    if (k->desc != 0 && k->hash == key->hash && eddy_view_holds(&p->view, k->desc, k->desc_tag)) {
        eddy_bytes n = eddy_stream_name(eddy_arena_raw(p->thread->arena, k->desc));
        if (n.len == sizeof key->bytes && memcmp(n.ptr, key->bytes, n.len) == 0) {
            *off = k->desc;
            return 0;
        }
    }
    int64_t found = eddy_list_find(&p->view, key);
    *off = found < 0 ? 0 : (uint64_t)found;
    if (found > 0) {
        eddy_plan_forget_near(p, &k->leaf);
        *k = (struct eddy_plan_known){
            .hash = key->hash, .desc = *off, .desc_tag = eddy_block_tag(p->thread->arena, *off)};
    }
    return found < 0 ? (int)found : 0;
}

/* A new list: a private descriptor, linked by its key. Its number tells it from one that was there
 * before under the same key. */
static int make_list(struct eddy_plan *p, const struct eddy_list_key *key, uint64_t seq,
                     uint64_t count, uint64_t *off) {
    int r = eddy_plan_take(p, EDDY_STREAM_CLASS(EDDY_LIST_KEY_LEN), off);
    if (r < 0) {
        return r;
    }
    struct eddy_shm_stream *d = eddy_arena_raw(p->thread->arena, *off);
    eddy_stream_init(d, eddy_list_name(key), key->hash, seq + 1);
    /* [list.R2] relaxed: private until the record is committed */
    eddy_st_rlx(&d->version, count);
    return eddy_names_add(p, *off, eddy_list_name(key), key->hash);
}

struct zone {
    uint64_t high;
    uint64_t low;
};

static void widen(struct zone *z, uint64_t high, uint64_t low) {
    z->high = z->high > high ? z->high : high;
    z->low = z->low > low ? z->low : low;
}

/* A new node above an older one: what that says counts, too. */
static int widen_by_children(struct eddy_plan *p, struct eddy_shm_node *node, struct zone *z) {
    for (unsigned i = 0; i < EDDY_TRIE_SLOTS; i++) {
        struct eddy_shm_block *block;
        uint64_t value;
        int r = eddy_trie_follow(&p->view, &node->slot[i], EDDY_TRIE_CLASS, &value, &block);
        if (r < 0) {
            return r;
        }
        if (r == 1) {
            struct eddy_shm_node *child = (struct eddy_shm_node *)(void *)block;
            widen(z, eddy_view_load(&p->view, &child->sum), eddy_view_load(&p->view, &child->low));
        }
    }
    return 0;
}

static int raise_zone(struct eddy_plan *p, uint64_t off, struct zone *z) {
    struct eddy_shm_node *node = eddy_arena_raw(p->thread->arena, off);
    int r = 0;
    if (eddy_plan_is_private(p, off)) {
        if (EDDY_SHAPE_SHIFT(eddy_trie_shape(&node->block)) != 0) {
            r = widen_by_children(p, node, z);
        }
        /* [list.R3] relaxed: private until the list is committed */
        widen(z, eddy_ld_rlx(&node->sum), eddy_ld_rlx(&node->low));
        eddy_st_rlx(&node->sum, z->high);
        eddy_st_rlx(&node->low, z->low);
        return r;
    }
    if (z->high > eddy_view_load(&p->view, &node->sum)) {
        r = eddy_plan_max_seen(p, &node->sum, z->high);
    }
    if (r == 0 && z->low > eddy_view_load(&p->view, &node->low)) {
        r = eddy_plan_max_seen(p, &node->low, z->low);
    }
    return r;
}

/* The nodes above an ordinal's slot say that there are such times under them: from below, so that a
 * new one sees what those under it say. */
static int plan_zone(struct eddy_plan *p, struct eddy_shm_stream *list, uint64_t ordinal,
                     struct zone z) {
    uint64_t way[LEVELS];
    unsigned depth = 0;
    uint64_t n = ordinal - EDDY_TRIE_VERSION;
    eddy_word *cell = &list->root;
    unsigned shift = EDDY_TRIE_SHIFT_MAX;
    while (shift > 0 && depth < LEVELS) {
        struct eddy_shm_block *block;
        int r = eddy_trie_follow(&p->view, cell, EDDY_TRIE_CLASS, &way[depth], &block);
        if (r <= 0) {
            return r < 0 ? r : damaged(eddy_arena_off(p->thread->arena, cell));
        }
        struct eddy_shm_node *node = (struct eddy_shm_node *)(void *)block;
        shift = EDDY_SHAPE_SHIFT(eddy_trie_shape(block));
        cell = &node->slot[n >> shift & (EDDY_TRIE_SLOTS - 1)];
        depth++;
    }
    int r = 0;
    while (r == 0 && depth-- > 0) {
        r = raise_zone(p, way[depth], &z);
    }
    return r;
}

/* `count` notes of one shard, at ordinals from `ordinal` on. */
static int add_piece(struct eddy_plan *p, struct eddy_shm_stream *list, uint64_t hash,
                     uint64_t ordinal, const struct eddy_batch_shard *notes, uint32_t count,
                     const struct eddy_attempt *t) {
    uint64_t refs[PIECE];
    for (uint32_t i = 0; i < count; i++) {
        refs[i] = EDDY_LIST_SLOT(t->first_offset + notes[i].event);
    }
    struct eddy_plan_values v = {.refs = refs};
    int r = eddy_plan_versions(p, list, hash, ordinal, count, v);
    for (uint32_t i = 0; r == 0 && i < count;) {
        struct zone z = {0};
        uint64_t at = ordinal + i;
        if (at < EDDY_TRIE_VERSION) {
            i++;
            continue;
        }
        uint64_t end = ((at - EDDY_TRIE_VERSION) | (EDDY_TRIE_SLOTS - 1)) + EDDY_TRIE_VERSION;
        for (; i < count && ordinal + i <= end; i++) {
            int64_t time = notes[i].timed ? notes[i].time_ns : t->after.time_ns;
            widen(&z, eddy_list_time_word(time), ~eddy_list_time_word(time));
        }
        r = plan_zone(p, list, at, z);
    }
    return r;
}

/* The notes of one shard: its list, found or made, and what is added to it. */
static int add_to_list(struct eddy_plan *p, const struct eddy_batch_shard *notes, uint32_t count,
                       struct eddy_attempt *t) {
    struct eddy_list_key key = eddy_list_key(p->thread->arena, EDDY_LIST_SHARD, notes->shard);
    uint64_t base = 0;
    uint64_t off;
    int r = find_list(p, &key, &off);
    bool made = r == 0 && off == 0;
    t->groups |= UINT64_C(1) << eddy_wait_group_of(key.hash);
    if (made) {
        r = make_list(p, &key, t->s, count, &off);
    }
    if (r < 0) {
        return r;
    }
    struct eddy_shm_stream *list = eddy_arena_raw(p->thread->arena, off);
    base = made ? 0 : eddy_view_load(&p->view, &list->version);
    for (uint32_t i = 0; r == 0 && i < count; i += PIECE) {
        uint32_t n = count - i < PIECE ? count - i : PIECE;
        r = add_piece(p, list, key.hash, base + 1 + i, notes + i, n, t);
    }
    return r < 0 || made ? r : eddy_plan_max(p, &list->version, base + count);
}

int eddy_list_plan_shards(const struct eddy_committer *c, struct eddy_batch *b,
                          struct eddy_attempt *t) {
    int r = gather(c->thread->arena, b);
    for (uint32_t i = 0; r == 0 && i < b->shards.count;) {
        const struct eddy_batch_shard *notes = &b->shards.at[i];
        uint32_t n = 1;
        while (i + n < b->shards.count && notes[n].shard == notes->shard) {
            n++;
        }
        r = add_to_list(c->plan, notes, n, t);
        i += n;
    }
    return r;
}

/* ---- taking out ---- */

int eddy_list_plan_empty(const struct eddy_committer *c, struct eddy_batch *b,
                         struct eddy_attempt *t) {
    const struct eddy_view *v = &c->plan->view;
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < b->empty_lists.count; i++) {
        const unsigned char *bytes = b->empty_lists.at[i].key;
        struct eddy_list_key key = eddy_list_key(v->arena, bytes[0], number_of(bytes));
        int64_t off = eddy_list_find(v, &key);
        struct eddy_shm_stream *d = eddy_arena_raw(v->arena, off > 0 ? (uint64_t)off : 0);
        if (off > 0 && eddy_view_load(v, &d->reclaimed) == eddy_view_load(v, &d->version)) {
            r = eddy_names_remove(c->plan, (uint64_t)off, t->s);
        }
        r = off < 0 ? (int)off : r;
    }
    return r;
}
