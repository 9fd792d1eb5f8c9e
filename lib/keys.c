/* I1  An entry never changes: to set it is to swap another into its place.
 * I2  The header's `hold` is one more than the lowest offset of the entries that hold retention, as of
 *     each transaction: it is found anew by the one that sets or deletes the lowest.
 */
#include "keys.h"

#include <string.h>

#include "error.h"

enum { DEPTH_MAX = 24 };

uint64_t eddy_key_hash(const struct eddy_arena *a, eddy_bytes name) {
    return eddy_keyed_hash(a, EDDY_FAMILY_CHECKPOINT, name);
}

static void load(const struct eddy_shm_entry *e, struct eddy_key *key) {
    eddy_bytes name = eddy_keyed_name(&e->keyed);
    /* [keys.R1] relaxed: constant since before it was published */
    key->offset = eddy_ld_rlx(&e->value);
    key->revision = eddy_ld_rlx(&e->keyed.number);
    key->time_ns = (int64_t)eddy_ld_rlx(&e->time_ns);
    key->flags = (uint32_t)eddy_ld_rlx(&e->flags);
    key->name_len = (uint32_t)name.len;
    eddy_copy_out(key->name, name.ptr, name.len);
    key->name[name.len] = 0;
}

int eddy_key_find(const struct eddy_view *v, eddy_bytes name, uint64_t hash, struct eddy_key *key) {
    struct eddy_stream_place place;
    int64_t found = eddy_keyed_locate(v, EDDY_BLOCK_ENTRY, name, hash, &place);
    if (found > 0) {
        load(eddy_arena_raw(v->arena, (uint64_t)found), key);
    }
    return found < 0 ? (int)found : found > 0;
}

/* Those of one hash. */
static int each_of_chain(const struct eddy_view *v, uint64_t off,
                         int (*fn)(void *arg, const struct eddy_key *key), void *arg) {
    struct eddy_key key;
    for (uint64_t left = eddy_arena_reserved(v->arena) * 1024; left > 0; left--) {
        struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
        if (!k) {
            return eddy_error_set(EDDY_ECORRUPT, "an entry is damaged at byte %llu",
                                  (unsigned long long)off);
        }
        if (eddy_keyed_kind(k) == EDDY_BLOCK_ENTRY) {
            load((const struct eddy_shm_entry *)(const void *)k, &key);
            int r = fn(arg, &key);
            if (r != 0) {
                return r;
            }
        }
        struct eddy_shm_block *next;
        int r = eddy_trie_follow(v, &k->collision, EDDY_ENTRY_CLASS(0), &off, &next);
        if (r <= 0) {
            return r;
        }
    }
    return eddy_error_set(EDDY_ECORRUPT, "entries are a circle: run `eddy check`");
}

static int each_under(const struct eddy_view *v, const eddy_word *cell, unsigned depth,
                      int (*fn)(void *arg, const struct eddy_key *key), void *arg) {
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
        return eddy_error_set(EDDY_ECORRUPT, "the index of names is damaged at byte %llu",
                              (unsigned long long)off);
    }
    const struct eddy_shm_node *node = (const struct eddy_shm_node *)(const void *)block;
    for (unsigned i = 0; r >= 0 && i < 1u << EDDY_HASH_BITS; i++) {
        r = each_under(v, &node->slot[i], depth + 1, fn, arg);
        if (r > 0) {
            return r;
        }
    }
    return r;
}

int eddy_key_each(const struct eddy_view *v, int (*fn)(void *arg, const struct eddy_key *key),
                  void *arg) {
    int r = 0;
    const eddy_word *cell = v->arena->names + eddy_family_cell(EDDY_FAMILY_CHECKPOINT);
    for (unsigned i = 0; r == 0 && i < 1u << eddy_family_bits(EDDY_FAMILY_CHECKPOINT); i++) {
        r = each_under(v, &cell[i], 0, fn, arg);
    }
    return r;
}

static int note_holder(void *arg, const struct eddy_key *key) {
    struct eddy_key *lowest = arg;
    if ((key->flags & EDDY_HOLD) && (lowest->name_len == 0 || key->offset < lowest->offset)) {
        *lowest = *key;
    }
    return 0;
}

int eddy_key_holder(const struct eddy_view *v, struct eddy_key *key) {
    memset(key, 0, sizeof *key);
    int r = eddy_key_each(v, note_holder, key);
    return r < 0 ? r : key->name_len > 0;
}

static int put(struct eddy_plan *p, const struct eddy_batch_put *put, eddy_bytes name,
               uint64_t revision, struct eddy_attempt *t) {
    uint64_t off;
    int r = eddy_plan_take(p, EDDY_ENTRY_CLASS(name.len), &off);
    if (r < 0) {
        return r;
    }
    struct eddy_shm_entry *e = eddy_arena_raw(p->thread->arena, off);
    /* [keys.R2] relaxed: private until the record is committed */
    eddy_st_rlx(&e->keyed.block.shape, EDDY_SHAPE(EDDY_BLOCK_ENTRY, 0, 0));
    eddy_st_rlx(&e->keyed.hash, put->hash);
    eddy_st_rlx(&e->keyed.name_len, name.len);
    eddy_st_rlx(&e->keyed.number, revision);
    eddy_st_rlx(&e->value, put->value);
    eddy_st_rlx(&e->time_ns, (uint64_t)t->after.time_ns);
    eddy_st_rlx(&e->flags, put->flags);
    eddy_copy_in(e->name, name.ptr, name.len);
    return eddy_plan_put(p, off, name, put->hash, t->s);
}

/* What holds retention: what is set now may be further back; what has held it until now may not any
 * more, and then the others must be looked at. */
struct hold {
    uint64_t was;
    uint64_t now;
    bool look;
};

static void hold_by(struct hold *h, const struct eddy_key *was, const struct eddy_batch_put *now) {
    if ((was->flags & EDDY_HOLD) && was->offset + 1 == h->was) {
        h->look = true;
    }
    if (!now->gone && (now->flags & EDDY_HOLD) && (h->now == 0 || now->value + 1 < h->now)) {
        h->now = now->value + 1;
    }
}

static int plan_one(struct eddy_plan *p, const struct eddy_batch *b,
                    const struct eddy_batch_put *one, struct eddy_attempt *t, struct hold *hold) {
    struct eddy_key was;
    struct eddy_stream_place place;
    eddy_bytes name = eddy_mem(b->names.at + one->name_at, one->name_len);
    int64_t found = eddy_keyed_locate(&p->view, EDDY_BLOCK_ENTRY, name, one->hash, &place);
    was.flags = 0;
    was.revision = 0;
    if (found > 0) {
        load(eddy_arena_raw(p->thread->arena, (uint64_t)found), &was);
    }
    if (found < 0 || (one->gone && found == 0)) {
        return found < 0 ? (int)found : 0;
    }
    hold_by(hold, &was, one);
    return one->gone ? eddy_plan_unname(p, (uint64_t)found, t->s)
                     : put(p, one, name, was.revision + 1, t);
}

int eddy_key_plan(const struct eddy_committer *c, struct eddy_batch *b, struct eddy_attempt *t) {
    struct hold hold = {.was = t->after.hold, .now = t->after.hold};
    struct eddy_key lowest;
    for (uint32_t i = 0; i < b->puts.count; i++) {
        int r = plan_one(c->plan, b, &b->puts.at[i], t, &hold);
        if (r < 0) {
            return r;
        }
    }
    int r = hold.look ? eddy_key_holder(&c->plan->view, &lowest) : 0;
    if (hold.look) {
        hold.now = r == 1 ? lowest.offset + 1 : 0;
    }
    t->after.hold = r < 0 ? t->after.hold : hold.now;
    return r < 0 ? r : 0;
}
