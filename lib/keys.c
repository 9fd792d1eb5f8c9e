/* I1  An entry never changes: to set it is to swap another into its place.
 * I2  The header's `hold` is one more than the lowest offset of the checkpoints that hold retention, as
 *     of each transaction: it is found anew by the one that sets or deletes the lowest.
 * I3  Who has an entry in its span has its further blocks: the entry was born last, and all of them are
 *     condemned with it.
 */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anchor.h"
#include "error.h"
#include "names.h"

enum { DEPTH_MAX = 24 };

void eddy_key_number(struct eddy_key_numbered *key, eddy_bytes name, uint64_t number) {
    memcpy(key->bytes, name.ptr, name.len);
    for (unsigned i = 0; i < EDDY_KEY_NUMBER; i++) {
        key->bytes[name.len + i] = (unsigned char)(number >> (56 - 8 * i));
    }
    key->len = (uint32_t)name.len + EDDY_KEY_NUMBER;
}

uint64_t eddy_key_number_of(const void *key, size_t len) {
    const unsigned char *at = (const unsigned char *)key + len - EDDY_KEY_NUMBER;
    uint64_t number = 0;
    for (unsigned i = 0; i < EDDY_KEY_NUMBER; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

static bool has_number(uint64_t hash, eddy_bytes name) {
    unsigned family = EDDY_FAMILY(hash);
    return (family == EDDY_FAMILY_CHECKPOINT || family == EDDY_FAMILY_SNAPSHOT) &&
           name.len > EDDY_KEY_NUMBER;
}

eddy_bytes eddy_key_plain(uint64_t hash, eddy_bytes name) {
    return eddy_mem(name.ptr, has_number(hash, name) ? name.len - EDDY_KEY_NUMBER : name.len);
}

void eddy_key_describe(uint64_t hash, eddy_bytes name, char *text) {
    eddy_bytes plain = eddy_key_plain(hash, name);
    unsigned long long number =
        has_number(hash, name) ? (unsigned long long)eddy_key_number_of(name.ptr, name.len) : 0;
    int len = (int)plain.len;
    switch (EDDY_FAMILY(hash)) {
    case EDDY_FAMILY_CHECKPOINT:
        (void)snprintf(text, EDDY_KEY_TEXT, "checkpoint '%.*s' of shard %llu", len,
                       (const char *)plain.ptr, number);
        break;
    case EDDY_FAMILY_SNAPSHOT:
        (void)snprintf(text, EDDY_KEY_TEXT, "snapshot of stream '%.*s' at version %llu", len,
                       (const char *)plain.ptr, number);
        break;
    case EDDY_FAMILY_STATE:
        (void)snprintf(text, EDDY_KEY_TEXT, "state '%.*s'", len, (const char *)plain.ptr);
        break;
    default:
        (void)snprintf(text, EDDY_KEY_TEXT, "key '%.*s'", len, (const char *)plain.ptr);
        break;
    }
}

/* ---- looking ---- */

static void load(const struct eddy_arena *a, const struct eddy_shm_entry *e, struct eddy_key *key) {
    eddy_bytes name = eddy_keyed_name(&e->keyed);
    key->off = eddy_arena_off(a, e);
    /* [keys.R1] relaxed: constant since before it was published */
    key->value = eddy_ld_rlx(&e->value);
    key->aux = eddy_ld_rlx(&e->aux);
    key->revision = eddy_ld_rlx(&e->keyed.number);
    key->time_ns = (int64_t)eddy_ld_rlx(&e->time_ns);
    key->recorded_ns = (int64_t)eddy_ld_rlx(&e->recorded_ns);
    key->flags = (uint32_t)eddy_ld_rlx(&e->flags);
    uint64_t lengths = eddy_ld_rlx(&e->lengths);
    key->data_len = (uint32_t)(lengths >> 32);
    key->meta_len = (uint32_t)lengths;
    key->name_len = name.len <= EDDY_KEY_MAX ? (uint32_t)name.len : 0;
    eddy_copy_out(key->name, name.ptr, key->name_len);
    key->name[key->name_len] = 0;
}

int eddy_key_find(const struct eddy_view *v, unsigned family, eddy_bytes name,
                  struct eddy_key *key) {
    struct eddy_stream_place place;
    uint64_t hash = eddy_keyed_hash(v->arena, family, name);
    int64_t found = eddy_keyed_locate(v, EDDY_BLOCK_ENTRY, name, hash, &place);
    if (found > 0) {
        load(v->arena, eddy_arena_raw(v->arena, (uint64_t)found), key);
    }
    return found < 0 ? (int)found : found > 0;
}

static int damaged(uint64_t off) {
    return eddy_error_set(EDDY_ECORRUPT, "an entry is damaged at byte %llu: run `eddy check`",
                          (unsigned long long)off);
}

/* Bytes of an entry that lie in its own block. */
static uint64_t bytes_inside(uint64_t name_len, uint64_t bytes) {
    uint64_t room = EDDY_BLOCK_MAX - sizeof(struct eddy_shm_entry) - name_len;
    return bytes < room ? bytes : room;
}

int eddy_key_payload(const struct eddy_view *v, const struct eddy_key *key,
                     struct eddy_room *room) {
    uint64_t bytes = (uint64_t)key->data_len + key->meta_len;
    uint64_t n = bytes_inside(key->name_len, bytes);
    const struct eddy_shm_entry *e =
        eddy_arena_at(v->arena, key->off, sizeof *e + key->name_len + n);
    if (bytes > EDDY_STATE_MAX || !e) {
        return damaged(key->off);
    }
    int r = eddy_room_for(room, bytes + key->name_len);
    if (r < 0) {
        return r;
    }
    eddy_copy_out(room->bytes, e->name + key->name_len, n);
    /* [keys.R3] relaxed: constant since before it was published */
    uint64_t next = eddy_ld_rlx(&e->more);
    for (uint64_t done = n; done < bytes; done += n) {
        const struct eddy_shm_more *m = eddy_keyed_more(v->arena, next, key->off);
        n = bytes - done < EDDY_MORE_BYTES ? bytes - done : EDDY_MORE_BYTES;
        if (!m || !eddy_arena_at(v->arena, next, sizeof *m + n)) {
            return damaged(next);
        }
        eddy_copy_out(room->bytes + done, m->bytes, n);
        /* [keys.R4] relaxed: as above */
        next = eddy_ld_rlx(&m->next);
    }
    memcpy(room->bytes + bytes, key->name, key->name_len);
    return 0;
}

bool eddy_key_whole(const struct eddy_view *v, uint64_t off, unsigned class_) {
    struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
    if (!k) {
        return false;
    }
    const struct eddy_shm_entry *e = (const struct eddy_shm_entry *)(const void *)k;
    /* [keys.R7] relaxed: constant since before it was published */
    uint64_t lengths = eddy_ld_rlx(&e->lengths);
    uint64_t bytes = (lengths >> 32) + (lengths & UINT32_MAX);
    uint64_t name_len = eddy_ld_rlx(&k->name_len);
    uint64_t inside = bytes_inside(name_len, bytes);
    uint64_t next = eddy_ld_rlx(&e->more);
    if (bytes > EDDY_STATE_MAX ||
        sizeof *e + name_len + inside > (uint64_t)eddy_class_lines(class_) * EDDY_LINE) {
        return false;
    }
    for (uint64_t left = bytes - inside; left > 0;) {
        const struct eddy_shm_more *m = eddy_keyed_more(v->arena, next, off);
        if (!m) {
            return false;
        }
        /* [keys.R8] relaxed: as above */
        next = eddy_ld_rlx(&m->next);
        left -= left < EDDY_MORE_BYTES ? left : EDDY_MORE_BYTES;
    }
    return next == 0;
}

/* Those of one hash. */
static int each_of_chain(const struct eddy_view *v, uint64_t off,
                         int (*fn)(void *arg, const struct eddy_key *key), void *arg) {
    struct eddy_key key;
    for (uint64_t left = eddy_arena_reserved(v->arena) * 1024; left > 0; left--) {
        struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
        if (!k) {
            return damaged(off);
        }
        if (eddy_keyed_kind(k) == EDDY_BLOCK_ENTRY) {
            load(v->arena, (const struct eddy_shm_entry *)(const void *)k, &key);
            int r = fn(arg, &key);
            if (r != 0) {
                return r;
            }
        }
        struct eddy_shm_block *next;
        int r = eddy_trie_follow(v, &k->collision, EDDY_ENTRY_CLASS(0), &off, &next);
        if (r <= 0) {
            return r < 0 || off == 0 ? r : EDDY_KEY_MOVED;
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

int eddy_key_each_of_cell(const struct eddy_view *v, unsigned family, unsigned cell,
                          int (*fn)(void *arg, const struct eddy_key *key), void *arg) {
    return each_under(v, v->arena->names + eddy_family_cell(family) + cell, 0, fn, arg);
}

int eddy_key_each(const struct eddy_view *v, unsigned family,
                  int (*fn)(void *arg, const struct eddy_key *key), void *arg) {
    int r = 0;
    for (unsigned i = 0; r == 0 && i < 1u << eddy_family_bits(family); i++) {
        r = eddy_key_each_of_cell(v, family, i, fn, arg);
        r = r == EDDY_KEY_MOVED ? 0 : r; /* it is no instant, and the caller will find that */
    }
    return r;
}

int eddy_key_at(const struct eddy_view *v, uint64_t off, struct eddy_key *key) {
    struct eddy_shm_keyed *k = eddy_keyed_at(v->arena, off);
    if (!k || eddy_keyed_kind(k) != EDDY_BLOCK_ENTRY) {
        return damaged(off);
    }
    load(v->arena, (const struct eddy_shm_entry *)(const void *)k, key);
    /* [keys.R10] relaxed: constant since before it was published */
    return (int)EDDY_FAMILY(eddy_ld_rlx(&k->hash));
}

static int note_holder(void *arg, const struct eddy_key *key) {
    struct eddy_key *lowest = arg;
    if ((key->flags & EDDY_HOLD) && (lowest->name_len == 0 || key->value < lowest->value)) {
        *lowest = *key;
    }
    return 0;
}

int eddy_key_holder(const struct eddy_view *v, struct eddy_key *key) {
    memset(key, 0, sizeof *key);
    int r = eddy_key_each(v, EDDY_FAMILY_CHECKPOINT, note_holder, key);
    if (r == 0 && key->name_len > EDDY_KEY_NUMBER) {
        key->name_len -= EDDY_KEY_NUMBER;
        key->name[key->name_len] = 0;
        return 1;
    }
    return r;
}

/* ---- planning ---- */

/* Bytes [at, at + n) of data and metadata, one behind the other. */
static void write_bytes(unsigned char *to, const struct eddy_batch_put *put, uint64_t at,
                        uint64_t n) {
    if (at < put->data.len) {
        uint64_t k = put->data.len - at < n ? put->data.len - at : n;
        eddy_copy_in(to, (const unsigned char *)put->data.ptr + at, k);
        to += k;
        at += k;
        n -= k;
    }
    if (n > 0) {
        eddy_copy_in(to, (const unsigned char *)put->metadata.ptr + (at - put->data.len), n);
    }
}

/* The bytes from the done-th on, in further blocks. */
static int write_more(struct eddy_plan *p, struct eddy_shm_entry *e,
                      const struct eddy_batch_put *put, uint64_t done, uint64_t bytes) {
    struct eddy_arena *a = p->thread->arena;
    eddy_word *link = &e->more;
    while (done < bytes) {
        uint64_t n = bytes - done < EDDY_MORE_BYTES ? bytes - done : EDDY_MORE_BYTES;
        uint64_t off;
        int r = eddy_plan_take(p, eddy_class_for(sizeof(struct eddy_shm_more) + n), &off);
        if (r < 0) {
            return r;
        }
        struct eddy_shm_more *m = eddy_arena_raw(a, off);
        /* [keys.R5] relaxed: private until the record is committed */
        eddy_st_rlx(&m->block.shape, EDDY_SHAPE(EDDY_BLOCK_MORE, 0, 0));
        eddy_st_rlx(&m->owner, eddy_arena_off(a, e));
        eddy_st_rlx(link, off);
        write_bytes(m->bytes, put, done, n);
        link = &m->next;
        done += n;
    }
    /* [keys.R6] relaxed: private; it is the youngest, so whose span has it has the others */
    eddy_st_rlx(&e->keyed.block.birth, eddy_ld_rlx(&a->super->era));
    return 0;
}

/* A private entry: its offset, or an error. */
static int64_t make(struct eddy_plan *p, const struct eddy_batch_put *put, eddy_bytes name,
                    uint64_t hash, const struct eddy_attempt *t) {
    uint64_t bytes = put->data.len + put->metadata.len;
    uint64_t inside = bytes_inside(name.len, bytes);
    uint64_t off;
    int r =
        eddy_plan_take(p, eddy_class_for(sizeof(struct eddy_shm_entry) + name.len + inside), &off);
    if (r < 0) {
        return r;
    }
    struct eddy_shm_entry *e = eddy_arena_raw(p->thread->arena, off);
    uint64_t recorded = (uint64_t)t->after.time_ns;
    /* [keys.R2] relaxed: private until the record is committed */
    eddy_st_rlx(&e->keyed.block.shape, EDDY_SHAPE(EDDY_BLOCK_ENTRY, 0, 0));
    eddy_st_rlx(&e->keyed.hash, hash);
    eddy_st_rlx(&e->keyed.name_len, name.len);
    eddy_st_rlx(&e->keyed.number, eddy_key_revision(p->thread->arena, t->s));
    eddy_st_rlx(&e->value, put->value);
    eddy_st_rlx(&e->aux, put->aux);
    eddy_st_rlx(&e->time_ns, put->timed ? (uint64_t)put->time_ns : recorded);
    eddy_st_rlx(&e->recorded_ns, recorded);
    eddy_st_rlx(&e->flags, put->flags);
    eddy_st_rlx(&e->lengths, (uint64_t)put->data.len << 32 | put->metadata.len);
    eddy_copy_in(e->name, name.ptr, name.len);
    write_bytes(e->name + name.len, put, 0, inside);
    r = inside < bytes ? write_more(p, e, put, inside, bytes) : 0;
    return r < 0 ? r : (int64_t)off;
}

static int twice(uint64_t hash, eddy_bytes name) {
    char text[EDDY_KEY_TEXT];
    eddy_key_describe(hash, name, text);
    return eddy_error_set(EDDY_EINVAL, "a transaction sets or deletes %s twice", text);
}

int eddy_key_plan_set(const struct eddy_committer *c, eddy_bytes name, uint64_t hash,
                      const struct eddy_batch_put *put, struct eddy_attempt *t,
                      struct eddy_key *was) {
    struct eddy_plan *p = c->plan;
    struct eddy_stream_place place;
    int64_t found = eddy_keyed_locate(&p->view, EDDY_BLOCK_ENTRY, name, hash, &place);
    was->revision = 0;
    was->flags = 0;
    if (found < 0) {
        return (int)found;
    }
    if (found > 0) {
        if (eddy_plan_is_private(p, (uint64_t)found)) {
            return twice(hash, name);
        }
        load(p->thread->arena, eddy_arena_raw(p->thread->arena, (uint64_t)found), was);
    }
    int64_t off = make(p, put, name, hash, t);
    t->revision = eddy_key_revision(p->thread->arena, t->s);
    return off < 0 ? (int)off : eddy_names_put(p, (uint64_t)off, (uint64_t)found, &place, t->s);
}

int eddy_key_plan_delete(const struct eddy_committer *c, eddy_bytes name, uint64_t hash,
                         struct eddy_attempt *t, struct eddy_key *was) {
    struct eddy_plan *p = c->plan;
    struct eddy_stream_place place;
    int64_t found = eddy_keyed_locate(&p->view, EDDY_BLOCK_ENTRY, name, hash, &place);
    was->revision = 0;
    was->flags = 0;
    if (found <= 0) {
        return (int)found;
    }
    if (eddy_plan_is_private(p, (uint64_t)found)) {
        return twice(hash, name);
    }
    load(p->thread->arena, eddy_arena_raw(p->thread->arena, (uint64_t)found), was);
    int r = eddy_names_remove(p, (uint64_t)found, t->s);
    return r < 0 ? r : 1;
}

/* What holds retention: what is set now may be further back; what has held it until now may not any
 * more, and then the others must be looked at. */
struct hold {
    uint64_t was;
    uint64_t now;
    bool look;
};

static void hold_no_more(struct hold *h, const struct eddy_key *was) {
    if ((was->flags & EDDY_HOLD) && was->value + 1 == h->was) {
        h->look = true;
    }
}

static void hold_from_now(struct hold *h, const struct eddy_batch_put *now) {
    if ((now->flags & EDDY_HOLD) && (h->now == 0 || now->value + 1 < h->now)) {
        h->now = now->value + 1;
    }
}

static int plan_set(const struct eddy_committer *c, eddy_bytes name, uint64_t hash,
                    const struct eddy_batch_put *put, struct eddy_attempt *t, struct hold *hold) {
    struct eddy_key was;
    int r = eddy_key_plan_set(c, name, hash, put, t, &was);
    if (r == 0 && EDDY_FAMILY(hash) == EDDY_FAMILY_CHECKPOINT) {
        hold_no_more(hold, &was);
        hold_from_now(hold, put);
        t->groups |= UINT64_C(1) << eddy_wait_group_of(hash);
    }
    return r;
}

/* The checkpoints of a name, of all shards. */
struct of_name {
    eddy_bytes name;
    struct eddy_key *at;
    size_t count;
    size_t room;
};

static int note_of_name(void *arg, const struct eddy_key *key) {
    struct of_name *l = arg;
    if (key->name_len != l->name.len + EDDY_KEY_NUMBER ||
        memcmp(key->name, l->name.ptr, l->name.len) != 0) {
        return 0;
    }
    if (l->count == l->room) {
        size_t room = l->room * 2 + 16;
        struct eddy_key *more = realloc(l->at, room * sizeof *more);
        if (!more) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for a list of checkpoints");
        }
        l->at = more;
        l->room = room;
    }
    l->at[l->count++] = *key;
    return 0;
}

/* Sets all that have the name; each goes on holding retention, or not. */
static int plan_reset(const struct eddy_committer *c, eddy_bytes name,
                      const struct eddy_batch_put *put, struct eddy_attempt *t, struct hold *hold) {
    struct of_name l = {.name = name};
    int r = eddy_key_each(&c->plan->view, EDDY_FAMILY_CHECKPOINT, note_of_name, &l);
    for (size_t i = 0; r == 0 && i < l.count; i++) {
        eddy_bytes one = eddy_mem(l.at[i].name, l.at[i].name_len);
        struct eddy_batch_put set = *put;
        set.flags = l.at[i].flags;
        set.aux = l.at[i].aux;
        if ((set.flags & EDDY_HOLD) && put->value > EDDY_OFFSET_MAX) {
            r = eddy_error_set(EDDY_EINVAL,
                               "a checkpoint that holds at offset %llu: no event will "
                               "ever have it",
                               (unsigned long long)put->value);
            break;
        }
        r = plan_set(c, one, eddy_keyed_hash(c->thread->arena, EDDY_FAMILY_CHECKPOINT, one), &set,
                     t, hold);
    }
    free(l.at);
    return r;
}

static int plan_delete(const struct eddy_committer *c, eddy_bytes name, uint64_t hash,
                       struct eddy_attempt *t, struct hold *hold) {
    struct eddy_key was;
    int r = eddy_key_plan_delete(c, name, hash, t, &was);
    if (r == 1 && EDDY_FAMILY(hash) == EDDY_FAMILY_CHECKPOINT) {
        hold_no_more(hold, &was);
    }
    return r;
}

/* What is set comes before what is deleted: who does both to one key is met in private. */
static int plan_all(const struct eddy_committer *c, const struct eddy_batch *b, bool deletes,
                    struct eddy_attempt *t, struct hold *hold) {
    int r = 0;
    for (uint32_t i = 0; r >= 0 && i < b->puts.count; i++) {
        const struct eddy_batch_put *put = &b->puts.at[i];
        eddy_bytes name = eddy_mem(b->names.at + put->name_at, put->name_len);
        if (put->what == EDDY_PUT_DELETE) {
            r = deletes ? plan_delete(c, name, put->hash, t, hold) : 0;
        } else if (deletes) {
            continue;
        } else if (put->what == EDDY_PUT_SET) {
            r = plan_set(c, name, put->hash, put, t, hold);
        } else if (put->what == EDDY_PUT_RESET) {
            r = plan_reset(c, name, put, t, hold);
        }
    }
    return r < 0 ? r : 0;
}

int eddy_key_plan(const struct eddy_committer *c, struct eddy_batch *b, struct eddy_attempt *t) {
    struct hold hold = {.was = t->after.hold, .now = t->after.hold};
    struct eddy_key lowest;
    int r = plan_all(c, b, false, t, &hold);
    r = r < 0 ? r : plan_all(c, b, true, t, &hold);
    r = r < 0 ? r : eddy_anchor_plan(c, b, t);
    if (r == 0 && hold.look) {
        r = eddy_key_holder(&c->plan->view, &lowest);
        hold.now = r == 1 ? lowest.value + 1 : 0;
    }
    t->after.hold = r < 0 ? t->after.hold : hold.now;
    return r < 0 ? r : 0;
}
