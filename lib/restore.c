/* Restoring a snapshot: a store whose state before its first transaction is that of the file.
 *
 * I1  The file is read to its end, and found whole, before anything is made; and the store that is
 *     made gets its name when eddy_check() has found nothing wrong in it. Until then it is a file without
 *     a name, which goes when this process does.
 * I2  Nothing is committed: what a commit would have planned is planned, and acted on at once, since
 *     nobody else has the store. The totals, which are in the header of the last record elsewhere, are
 *     in that of genesis, and the ring goes on with the number of the next transaction.
 * I3  Offsets and stream numbers that lead to nothing any more are marked as maintenance would have
 *     left them: each mark of an event stands for HOLE bytes, in the sums of the leaves too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockfile.h"
#include "dump.h"
#include "error.h"
#include "keys.h"
#include "names.h"
#include "once.h"
#include "retain.h"
#include "store.h"
#include "upkeep.h"

enum { HOLE = sizeof(struct eddy_shm_event) };

/* What is known once the file was read. */
struct plan_of_file {
    struct eddy_dump_store store;
    struct eddy_dump_end end;
    struct eddy_dump_gone *gone; /* by number */
    size_t gone_count;
    size_t gone_room;
};

struct restoring {
    struct plan_of_file file;
    eddy_store *store;
    struct eddy_context *context;
    struct eddy_committer committer;
    struct eddy_attempt at;    /* where it is: next_offset, and the totals so far */
    uint64_t next_number;      /* of a stream */
    uint64_t live;             /* events that are there */
    uint64_t cut;              /* streams of which events were removed */
    struct eddy_dump_event tx; /* the last event of the batch, */
    uint64_t versions;         /* and how many of its transaction are in there */
    struct eddy_trie_leaf near;
    size_t gone_at;
};

/* ---- reading it first ---- */

static int note_store(void *arg, const struct eddy_dump_store *s) {
    ((struct plan_of_file *)arg)->store = *s;
    return 0;
}

static int note_gone(void *arg, const struct eddy_dump_gone *g) {
    struct plan_of_file *f = arg;
    if (f->gone_count == f->gone_room) {
        size_t room = f->gone_room * 2 + 256;
        struct eddy_dump_gone *more = realloc(f->gone, room * sizeof *more);
        if (!more) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for what is gone of streams");
        }
        f->gone = more;
        f->gone_room = room;
    }
    f->gone[f->gone_count++] = *g;
    return 0;
}

static int note_end(void *arg, const struct eddy_dump_end *e) {
    ((struct plan_of_file *)arg)->end = *e;
    return 0;
}

static int read_first(struct eddy_blockfile_in *in, const char *path, struct plan_of_file *f) {
    static const struct eddy_dump_visitor noting = {
        .store = note_store, .gone = note_gone, .end = note_end};
    int r = eddy_blockfile_open(in, path);
    return r < 0 ? r : eddy_dump_read(in, &noting, f);
}

int eddy_snapshot_verify(const char *path, eddy_snapshot_facts *facts) {
    struct eddy_blockfile_in in;
    struct plan_of_file f = {0};
    int r = eddy_dump_check_facts(facts);
    if (r < 0) {
        return r;
    }
    r = read_first(&in, path, &f);
    if (r == 0 && facts) {
        eddy_dump_give(&f.store, &f.end, in.size, facts);
    }
    eddy_blockfile_close(&in);
    free(f.gone);
    return r;
}

/* ---- what is planned happens ---- */

static struct eddy_plan *plan_of(struct restoring *r) {
    return &r->context->plan;
}

static int settle(struct restoring *r) {
    struct eddy_plan *p = plan_of(r);
    int got = eddy_plan_finish(p);
    if (got == 0) {
        eddy_apply_words(&r->context->thread, p->sets.at, p->sets.count);
        eddy_plan_done(p);
        eddy_plan_reset(p);
    }
    return got;
}

/* ---- what is gone ---- */

/* Marks for numbers in a row of one leaf. sum: bytes before them. */
static int mark_in_leaf(struct restoring *r, eddy_word *root, uint64_t from, uint64_t to,
                        uint64_t sum) {
    static const uint64_t bytes = HOLE;
    uint64_t marks[EDDY_TRIE_SLOTS];
    for (unsigned i = 0; i < EDDY_TRIE_SLOTS; i++) {
        marks[i] = EDDY_TOMB(HOLE);
    }
    struct eddy_plan_values v = {.refs = marks, .sum = sum, .bytes = &bytes, .step = 0};
    return eddy_plan_numbers(plan_of(r), root, NULL, from, (uint32_t)(to - from + 1), v);
}

/* Marks for the numbers from `from` to `to`, but for whole leaves of them: mark_rest() does those. */
static int mark(struct restoring *r, eddy_word *root, uint64_t from, uint64_t to, uint64_t sum) {
    const uint64_t in_leaf = EDDY_TRIE_SLOTS - 1;
    int got = 0;
    if (from <= to && (from & in_leaf) != 0) {
        uint64_t end = (from | in_leaf) < to ? from | in_leaf : to;
        got = mark_in_leaf(r, root, from, end, sum);
        sum += (end - from + 1) * HOLE;
        from = end + 1;
    }
    if (got == 0 && from <= to && (to & in_leaf) != in_leaf) {
        uint64_t begin = to & ~in_leaf;
        got = mark_in_leaf(r, root, begin, to, sum + (begin - from) * HOLE);
    }
    return got;
}

/* Under a node of a number trie: cells that lead to nothing, though all their numbers are below
 * `limit`, are marked. */
static void mark_rest(struct eddy_arena *a, uint64_t off, uint64_t base, uint64_t limit) {
    struct eddy_shm_node *node = eddy_arena_raw(a, off);
    unsigned shift = EDDY_SHAPE_SHIFT(eddy_trie_shape(&node->block));
    for (uint64_t i = 0; shift > 0 && i < EDDY_TRIE_SLOTS; i++) {
        uint64_t first = base + (i << shift);
        /* [restore.R1] relaxed: nobody else has this store */
        uint64_t value = eddy_ld_rlx(&node->slot[i]);
        if (value != 0) {
            mark_rest(a, value, first, limit);
        } else if (first + (UINT64_C(1) << shift) <= limit) {
            /* [restore.R2] relaxed: as above */
            eddy_st_rlx(&node->slot[i], EDDY_TOMB(0));
        }
    }
}

static void mark_all(struct restoring *r, const eddy_word *root, uint64_t limit) {
    /* [restore.R3] relaxed: as above */
    uint64_t value = eddy_ld_rlx(root);
    if (value != 0) {
        mark_rest(&r->store->arena, value, 0, limit);
    }
}

/* Offsets up to this one, exclusive, that the file does not have. */
static int skip_to(struct restoring *r, uint64_t offset) {
    struct eddy_ring_copy *now = &r->at.after;
    uint64_t n = offset - now->next_offset;
    int got = 0;
    if (n > 0) {
        eddy_word *root = &r->store->arena.super->offsets_root;
        got = mark(r, root, now->next_offset, offset - 1, now->bytes_in);
        now->holes += n;
        now->holes_bytes += n * HOLE;
        now->bytes_in += n * HOLE;
        now->next_offset = offset;
    }
    return got;
}

/* ---- entries, streams ---- */

static int put_entry(void *arg, const struct eddy_dump_entry *e, const unsigned char *rest) {
    struct restoring *r = arg;
    struct eddy_arena *a = &r->store->arena;
    struct eddy_key was;
    eddy_bytes key = eddy_mem(rest, e->key_len);
    struct eddy_batch_put put = {.flags = e->flags,
                                 .value = e->value,
                                 .aux = e->aux,
                                 .time_ns = e->time_ns,
                                 .timed = true,
                                 .data = eddy_mem(rest + e->key_len, e->data_len),
                                 .metadata =
                                     eddy_mem(rest + e->key_len + e->data_len, e->meta_len)};
    /* As of the transaction that put it. */
    struct eddy_attempt then = {.s = e->revision - a->revision_base - 1,
                                .after = {.time_ns = e->recorded_ns}};
    int got = eddy_key_plan_set(&r->committer, key, eddy_keyed_hash(a, e->family, key), &put, &then,
                                &was);
    return got < 0 ? got : settle(r);
}

/* What of the stream went while the file was written. False: all of it. */
static bool later(struct restoring *r, struct eddy_dump_stream *s) {
    const struct plan_of_file *f = &r->file;
    while (r->gone_at < f->gone_count && f->gone[r->gone_at].stream < s->number) {
        r->gone_at++;
    }
    if (r->gone_at < f->gone_count && f->gone[r->gone_at].stream == s->number) {
        s->first = f->gone[r->gone_at].first;
        s->removed = f->gone[r->gone_at].removed;
        if (s->first == UINT64_MAX) {
            return false;
        }
    }
    /* What was written after the instant does not count, but that it was removed. */
    s->first = s->first < s->version ? s->first : s->version;
    s->removed = s->removed < s->version + 1 ? s->removed : s->version + 1;
    return true;
}

static int make_stream(struct restoring *r, const struct eddy_dump_stream *s, eddy_bytes name) {
    struct eddy_plan *p = plan_of(r);
    struct eddy_arena *a = &r->store->arena;
    uint64_t off;
    uint64_t hash = eddy_stream_hash(a, name);
    int got = eddy_plan_take(p, EDDY_STREAM_CLASS(name.len), &off);
    if (got < 0) {
        return got;
    }
    struct eddy_shm_stream *d = eddy_arena_raw(a, off);
    eddy_stream_init(d, name, hash, s->number);
    /* [restore.R4] relaxed: nobody else has this store */
    eddy_st_rlx(&d->version, s->version);
    eddy_st_rlx(&d->first, s->first);
    eddy_st_rlx(&d->removed, s->removed);
    eddy_st_rlx(&d->reclaimed, s->first);
    got = eddy_names_add(p, off, name, hash);
    if (got == 0) {
        struct eddy_plan_values v = {.refs = &off};
        got = eddy_plan_numbers(p, &a->super->streams_root, NULL, s->number, 1, v);
    }
    return got < 0 ? got : settle(r);
}

static int put_stream(void *arg, const struct eddy_dump_stream *in_file,
                      const unsigned char *rest) {
    struct restoring *r = arg;
    struct eddy_dump_stream s = *in_file;
    struct eddy_ring_copy *now = &r->at.after;
    if (!later(r, &s)) {
        return 0;
    }
    int got = mark(r, &r->store->arena.super->streams_root, r->next_number, s.number - 1, 0);
    r->next_number = s.number + 1;
    now->names++;
    now->streams += s.removed != s.version + 1;
    r->cut += s.first > 0;
    return got < 0 ? got : make_stream(r, &s, eddy_mem(rest, s.name_len));
}

/* ---- events ---- */

static int wrong(const struct eddy_dump_event *e, const char *what) {
    return eddy_error_set(EDDY_ECORRUPT, "event %llu of the snapshot %s",
                          (unsigned long long)e->offset, what);
}

/* The events in the batch, which belong to one transaction and have offsets without a gap. */
static int put_batch(struct restoring *r) {
    struct eddy_batch *b = &r->context->batch;
    struct eddy_thread *thread = &r->context->thread;
    if (b->events.count == 0) {
        return 0;
    }
    r->at.first_offset = r->at.after.next_offset;
    b->tx_before = (uint32_t)(r->at.first_offset - r->tx.tx_offset);
    b->tx_count = r->tx.tx_count;
    int got = eddy_batch_close(b, thread);
    int64_t last_ns = r->at.after.time_ns;
    r->at.after.time_ns = r->tx.recorded_ns; /* the time of events that came with none */
    got = got < 0 ? got : eddy_commit_plan_events(&r->committer, b, &r->at);
    r->at.after.time_ns = last_ns;
    if (got == 0) {
        eddy_batch_write_heads(b, thread->arena, r->at.first_offset, r->tx.recorded_ns);
        got = settle(r);
    }
    if (got == 0) {
        r->live += b->events.count;
        eddy_batch_keep(b, thread);
        eddy_batch_clear(b);
    }
    return got;
}

/* The event's stream in the batch: its number there; -1: the event is gone, or another error. */
static int64_t find_stream(struct restoring *r, const struct eddy_dump_event *e) {
    struct eddy_arena *a = &r->store->arena;
    const struct eddy_view *v = &plan_of(r)->view;
    struct eddy_batch *b = &r->context->batch;
    uint64_t number = e->stream;
    uint64_t off;
    int got = eddy_stream_number(v, &number, &r->near, &off);
    if (got != 1) {
        return got < 0 ? wrong(e, "is of a stream that is not in it") : INT64_MAX;
    }
    struct eddy_shm_stream *d = eddy_arena_raw(a, off);
    /* [restore.R5] relaxed: nobody else has this store */
    if (e->version <= eddy_ld_rlx(&d->first)) {
        return INT64_MAX;
    }
    if (e->version > eddy_ld_rlx(&d->version)) {
        return wrong(e, "has a version that its stream has not");
    }
    int64_t i = eddy_batch_stream(b, a, eddy_stream_name(d));
    if (i >= 0 && b->streams.at[i].desc == 0) {
        struct eddy_batch_stream *s = &b->streams.at[i];
        s->desc = off;
        s->desc_tag = eddy_block_tag(a, off);
        s->base = e->version - 1;
        s->there = true;
    }
    return i;
}

/* The tags at p, in `tags`, which has room for all there may be. */
static void take_tags(const struct eddy_dump_event *e, const unsigned char *p, eddy_bytes *tags,
                      eddy_new_event *new) {
    if (e->tags_len > 0) {
        const eddy_event packed = {.tags = eddy_mem(p + 1, e->tags_len - 1), .tag_count = *p};
        for (uint32_t k = 0; k < packed.tag_count; k++) {
            tags[k] = eddy_tag(&packed, k);
        }
        new->tags = tags;
        new->tag_count = packed.tag_count;
    }
}

static int put_event(void *arg, const struct eddy_dump_event *e, const unsigned char *rest) {
    struct restoring *r = arg;
    struct eddy_batch *b = &r->context->batch;
    eddy_bytes tags[EDDY_TAGS_MAX];
    eddy_new_event new = {.data = eddy_mem(rest, e->data_len),
                          .metadata = eddy_mem(rest + e->data_len, e->meta_len),
                          .time_ns = e->flags & EDDY_EVENT_TIME ? e->time_ns : 0,
                          .shard = e->shard,
                          .flags = e->flags & EDDY_EVENT_GIVEN};
    const unsigned char *type = rest + e->data_len + e->meta_len;
    new.type = eddy_mem(type, e->type_len);
    new.id = eddy_mem(type + e->type_len, e->id_len);
    take_tags(e, type + e->type_len + e->id_len, tags, &new);
    if (e->offset <= r->file.end.floor) {
        return 0;
    }
    if (b->events.count > 0 && (e->tx_offset != r->tx.tx_offset || e->offset != r->tx.offset + 1)) {
        int got = put_batch(r);
        if (got < 0) {
            return got;
        }
    }
    int64_t s = find_stream(r, e);
    if (s < 0 || s == INT64_MAX) {
        return s < 0 ? (int)s : 0;
    }
    if (b->events.count == 0) {
        int got = skip_to(r, e->offset);
        if (got < 0) {
            return got;
        }
    }
    if (b->streams.at[s].base + b->streams.at[s].events + 1 != e->version) {
        return wrong(e, "does not follow the last one of its stream");
    }
    r->tx = *e;
    return eddy_batch_append(b, &r->context->thread, (uint32_t)s, &new, 1, new.tag_count > 0, NULL);
}

/* ---- the whole ---- */

static int put_limits(struct restoring *r) {
    const uint64_t *l = r->file.store.limits;
    eddy_limits limits = {.size = sizeof limits,
                          .flags = (uint32_t)l[0],
                          .events = l[1],
                          .bytes = l[2],
                          .streams = l[3],
                          .stream_events = l[4],
                          .names = l[5],
                          .age_ns = (int64_t)l[6],
                          .keys = l[7],
                          .keys_age_ns = (int64_t)l[8]};
    int got = eddy_retain_set(plan_of(r), &limits, 0);
    return got < 0 ? got : settle(r);
}

/* As if so many transactions had been, the last of which has this header. */
static void set_ring(struct restoring *r) {
    struct eddy_arena *a = &r->store->arena;
    struct eddy_ring_copy *now = &r->at.after;
    uint64_t n = r->file.store.transactions;
    now->seq = n > 0 ? n - 1 : 0;
    eddy_ring_write_header(&a->super->genesis, now);
    for (uint64_t s = n > EDDY_RING_WORDS ? n - EDDY_RING_WORDS : 0; s < n; s++) {
        /* [restore.R6] relaxed: nobody else has this store; its name publishes all of it */
        eddy_st_rlx(&a->ring->word[s % EDDY_RING_WORDS], eddy_ring_make(s, 0));
    }
    eddy_st_rlx(&a->ring->applied, n);
    eddy_st_rlx(&a->super->floor, now->floor);
    eddy_st_rlx(&a->super->reclaimed, now->floor);
    eddy_st_rlx(&a->super->cuts, r->cut > 0 ? n : 0);
}

/* Where the counts begin: what is below the floor, so that bytes_in comes to what it was. */
static void begin_totals(struct restoring *r) {
    const struct eddy_dump_store *s = &r->file.store;
    const struct eddy_dump_end *e = &r->file.end;
    uint64_t above = e->bytes + (s->head - s->floor - e->events) * HOLE;
    uint64_t floor = e->floor < s->head ? e->floor : s->head;
    uint64_t before = s->bytes_in > above ? s->bytes_in - above : 0;
    r->at.after = (struct eddy_ring_copy){.next_offset = floor + 1,
                                          .floor = floor,
                                          .floor_bytes = before,
                                          .bytes_in = before,
                                          .streams_in = s->streams_in,
                                          .time_ns = s->recorded_ns};
    r->next_number = 1;
}

/* The leaf in which the floor lies has marks up to there, as anywhere else. */
static int put_floor(struct restoring *r) {
    uint64_t floor = r->at.after.floor;
    uint64_t from = floor & ~(uint64_t)(EDDY_TRIE_SLOTS - 1);
    uint64_t sum = r->at.after.bytes_in - (floor - from + 1) * HOLE;
    if (floor == 0) {
        return 0;
    }
    int got = mark(r, &r->store->arena.super->offsets_root, from ? from : 1, floor, sum);
    return got < 0 ? got : settle(r);
}

static int build(struct restoring *r, struct eddy_blockfile_in *in) {
    static const struct eddy_dump_visitor building = {
        .entry = put_entry, .stream = put_stream, .event = put_event};
    struct eddy_arena *a = &r->store->arena;
    struct eddy_key lowest;
    begin_totals(r);
    a->super->revision_base = r->file.store.revision_base;
    a->revision_base = r->file.store.revision_base;
    eddy_blockfile_rewind(in);
    int got = put_floor(r);
    got = got < 0 ? got : eddy_dump_read(in, &building, r);
    got = got < 0 ? got : put_batch(r);
    got = got < 0 ? got : skip_to(r, r->file.store.head + 1);
    got = got < 0 ? got
                  : mark(r, &a->super->streams_root, r->next_number, r->file.store.streams_in, 0);
    got = got < 0 ? got : settle(r);
    got = got < 0 ? got : put_limits(r);
    got = got < 0 ? got : eddy_once_restore(&plan_of(r)->view);
    if (got < 0) {
        return got;
    }
    mark_all(r, &a->super->offsets_root, r->file.store.head + 1);
    mark_all(r, &a->super->streams_root, r->file.store.streams_in + 1);
    got = eddy_key_holder(&plan_of(r)->view, &lowest);
    r->at.after.hold = got == 1 ? lowest.value + 1 : 0;
    set_ring(r);
    return got < 0 ? got : 0;
}

static void note_damage(void *arg, const char *room, const char *text) {
    char *first = arg;
    if (*first == 0) {
        (void)snprintf(first, 400, "%s: %s", room, text);
    }
}

/* Makes it, checks it, and gives it its name. */
static int restore(struct restoring *r, struct eddy_blockfile_in *in, bool replace) {
    char damage[400] = "";
    int got = eddy_store_writer(r->store, &r->context);
    if (got < 0) {
        return got;
    }
    r->committer = (struct eddy_committer){
        .thread = &r->context->thread, .directory = r->store->directory, .plan = &r->context->plan};
    eddy_rcu_enter(&r->context->thread.span);
    got = build(r, in);
    eddy_rcu_leave(&r->context->thread.span);
    if (got < 0) {
        eddy_plan_reset(plan_of(r));
        eddy_batch_drop(&r->context->batch, &r->context->thread);
        return got;
    }
    got = eddy_check(r->store, note_damage, damage);
    if (got < 0) {
        return eddy_error_set(got, "%s: does not make a sound store: %s", in->path, damage);
    }
    return eddy_arena_publish(&r->store->arena, replace);
}

static int check_restore_options(const eddy_options *given, const struct eddy_dump_store *s,
                                 eddy_options *o) {
    memset(o, 0, sizeof *o);
    if (given) {
        if (given->size < offsetof(eddy_options, cap) || given->size > sizeof *o) {
            return eddy_error_set(EDDY_EINVAL,
                                  "options of %u bytes: size must be sizeof(eddy_options), %zu",
                                  given->size, sizeof *o);
        }
        memcpy(o, given, given->size);
    }
    if (o->flags & ~EDDY_REPLACE) {
        return eddy_error_set(EDDY_EINVAL, "a restore has unknown flags (%#x)",
                              o->flags & ~EDDY_REPLACE);
    }
    o->size = sizeof *o;
    o->flags = 0;
    o->cap = o->cap ? o->cap : s->cap;
    o->members = o->members ? o->members : s->members;
    o->threads = o->threads ? o->threads : s->threads;
    return 0;
}

int eddy_snapshot_restore(const char *path, const char *name, const eddy_options *options) {
    struct eddy_blockfile_in in;
    struct restoring r = {0};
    eddy_options o;
    bool replace = options && options->size >= offsetof(eddy_options, cap) &&
                   (options->flags & EDDY_REPLACE) != 0;
    int got = read_first(&in, path, &r.file);
    got = got < 0 ? got : check_restore_options(options, &r.file.store, &o);
    got = got < 0 ? got : eddy_store_vacant(name, o.dir, replace);
    got = got < 0 ? got : eddy_store_make(&r.store, name, &o);
    got = got < 0 ? got : restore(&r, &in, replace);
    eddy_close(r.store);
    eddy_blockfile_close(&in);
    free(r.file.gone);
    return got;
}
