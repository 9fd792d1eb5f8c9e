#include "append.h"

#include "apply.h"
#include "gone.h"
#include "retain.h"
#include "told.h"
#include "tx.h"
#include "upkeep.h"

#define NO_ERA UINT64_MAX

/* What is going to be written, and where. */
struct direct {
    struct eddy_plan_known *known;
    struct eddy_shm_stream *stream;
    uint64_t at;    /* offset of the first block */
    uint64_t bytes; /* of all blocks */
    uint64_t refs[EDDY_REDO_REFS_MAX];
    uint64_t stream_bytes; /* what its words become */
    uint64_t version;
    uint64_t floor;     /* what the store's becomes; 0: it stays */
    eddy_word *offsets; /* slots */
    eddy_word *versions;
    bool planned; /* the plan has the list; else it is as list() writes it */
    uint64_t era; /* of the span, if it still was that behind its publishing; else NO_ERA */
};

/* As eddy_view_holds(), for what this thread has looked at before. A block that held in an era is not
 * freed before two eras have passed; so it holds as long as the era is the same, looked at behind the
 * publishing of the span (`now`): who frees blocks moves the era on before it looks at the spans.
 * *era: in which it held last, or 0. */
static inline bool holds(const struct eddy_view *v, uint64_t now, uint64_t off, uint64_t tag,
                         uint64_t *era) {
    if (__builtin_expect(*era == now, 1)) {
        return true;
    }
    if (!eddy_view_holds(v, off, tag)) {
        return false;
    }
    *era = v->span->hi;
    return true;
}

/* As eddy_view_load(), where nothing is laid over. */
static inline uint64_t load(const eddy_word *word) {
    /* [append.C2] acquire: pairs with [apply.P4], [apply.P3]: as [view.C1] */
    return eddy_ld_acq(word);
}

/* Is this the stream of that name? If it was removed since, or forgotten, evaluate() sees it. */
static inline bool is_named(const struct eddy_view *v, uint64_t now, struct eddy_plan_known *k,
                            eddy_bytes name) {
    if (!holds(v, now, k->desc, k->desc_tag, &k->era)) {
        return false;
    }
    eddy_bytes n = eddy_stream_name(eddy_arena_raw(v->arena, k->desc));
    return n.len == name.len && eddy_same_few(n.ptr, name.ptr, n.len);
}

/* The stream, if this thread knows it: the one of last time costs no hash. */
static inline bool find(struct eddy_plan *p, eddy_bytes name, struct direct *d) {
    struct eddy_arena *a = p->thread->arena;
    const struct eddy_span *span = &p->thread->span;
    /* [append.C1] acquire: pairs with [rcu.P2]: behind the span; see holds() */
    d->era = eddy_ld_acq(span->era) == span->hi ? span->hi : NO_ERA;
    struct eddy_plan_known *k = p->last;
    if (!k || !is_named(&p->view, d->era, k, name)) {
        uint64_t hash = eddy_stream_hash(a, name);
        k = eddy_plan_known(p, hash);
        if (k->desc == 0 || k->hash != hash || !is_named(&p->view, d->era, k, name)) {
            return false;
        }
        p->last = k;
    }
    d->known = k;
    d->stream = eddy_arena_raw(a, k->desc);
    return true;
}

/* The blocks, behind the cursor; the head of their part comes after them. */
static inline bool write_blocks(struct eddy_thread *t, const eddy_new_event *events, size_t count,
                                struct direct *d) {
    const struct eddy_cursor *c = &t->cursor;
    uint64_t size[EDDY_REDO_REFS_MAX];
    unsigned flags[EDDY_REDO_REFS_MAX];
    d->bytes = 0;
    for (size_t i = 0; i < count; i++) {
        flags[i] = eddy_event_flags(&events[i]);
        if (__builtin_expect((flags[i] & EDDY_EVENT_SHARD) != 0, 0)) {
            return false;
        }
        size[i] = eddy_event_size_of(&events[i], flags[i]);
        d->bytes += size[i];
    }
    uint64_t end = c->fill + d->bytes + eddy_event_head_size(1);
    if (c->base == 0 || end > c->size) {
        return false;
    }
    d->at = c->base + c->fill;
    uint64_t at = d->at;
    for (size_t i = 0; i < count; i++) {
        void *block = eddy_arena_raw(t->arena, at);
        (void)eddy_event_write_flagged(block, &events[i], flags[i], size[i], (uint16_t)i, 0,
                                       (uint16_t)i);
        eddy_event_set_head(block, c->fill + d->bytes);
        d->refs[i] = at;
        at += size[i];
    }
    return true;
}

static inline void set_fill(struct eddy_thread *t, uint64_t fill, uint32_t events) {
    struct eddy_shm_extent *e =
        eddy_extent_line(t->arena, eddy_arena_extent_of(t->arena, t->cursor.base));
    /* [append.P1] release: pairs with [check.C1]. As [batch.P1]: whole blocks below the mark. */
    eddy_st_rel(&e->fill, EDDY_FILL(events, fill));
}

/* As near_slots(), in a leaf that is not known to hold in this era: that of last time, or one that
 * others have made. The one behind that of last time is left to the plan, which mostly has to make it. */
static __attribute__((noinline)) eddy_word *other_slots(const struct eddy_view *v, eddy_word *root,
                                                        struct eddy_trie_leaf *leaf,
                                                        uint64_t number) {
    uint64_t base = number & ~(uint64_t)(EDDY_TRIE_SLOTS - 1);
    eddy_word *slot;
    if (leaf->off != 0 && base == leaf->base + EDDY_TRIE_SLOTS) {
        return NULL;
    }
    leaf->era = 0;
    if (eddy_trie_slot_near(v, root, number, leaf, &slot) != 1) {
        return NULL;
    }
    leaf->era = v->span->hi;
    return slot;
}

/* Slots for `count` numbers in one leaf, which is there, or NULL. Mostly it is the one that was used
 * last, in this era: see holds(). */
static inline eddy_word *near_slots(const struct eddy_view *v, uint64_t now, eddy_word *root,
                                    struct eddy_trie_leaf *leaf, uint64_t number, size_t count) {
    uint64_t k = number & (EDDY_TRIE_SLOTS - 1);
    if (k + count > EDDY_TRIE_SLOTS) {
        return NULL;
    }
    if (__builtin_expect(leaf->era == now && leaf->base == number - k, 1)) {
        struct eddy_shm_node *node = eddy_arena_raw(v->arena, leaf->off);
        return &node->slot[k];
    }
    return other_slots(v, root, leaf, number);
}

static inline eddy_word *version_slots(const struct eddy_view *v, const struct direct *d,
                                       uint64_t version, size_t count) {
    if (version >= EDDY_TRIE_VERSION) {
        return near_slots(v, d->era, &d->stream->root, &d->known->leaf, version - EDDY_TRIE_VERSION,
                          count);
    }
    return version + count - 1 <= EDDY_INLINE_SLOTS ? &d->stream->slot[version - 1] : NULL;
}

/* The list as the long way makes it, where leaves are missing: as list(). Apart, since it is rare: once
 * in 32 appends of one event. */
static __attribute__((noinline)) size_t plan(struct eddy_plan *p, struct direct *d,
                                             const struct eddy_attempt *t, size_t count,
                                             eddy_word *words) {
    uint64_t sizes[EDDY_REDO_REFS_MAX];
    for (size_t i = 0; i < count; i++) {
        sizes[i] = (i + 1 < count ? d->refs[i + 1] : d->at + d->bytes) - d->refs[i];
    }
    struct eddy_shm_super *super = p->thread->arena->super;
    struct eddy_plan_values refs = {
        .refs = d->refs, .sum = t->after.bytes_in - d->bytes, .bytes = sizes, .step = 1};
    struct eddy_plan_values offsets = {
        .base = t->first_offset, .sum = d->stream_bytes - d->bytes, .bytes = sizes, .step = 1};
    uint32_t n = (uint32_t)count;
    d->planned = true;
    int r = eddy_plan_numbers(p, &super->offsets_root, &p->tail, t->first_offset, n, refs);
    if (r == 0) {
        r = eddy_plan_versions(p, d->stream, d->known->hash, d->version - n + 1, n, offsets);
    }
    if (r == 0) {
        r = eddy_plan_max(p, &d->stream->bytes_in, d->stream_bytes);
    }
    if (r == 0) {
        r = eddy_plan_max(p, &d->stream->version, d->version);
    }
    if (r == 0 && d->floor != 0) {
        r = eddy_plan_max(p, &super->floor, d->floor);
    }
    if (r < 0 || eddy_plan_finish(p) < 0 || p->sets.count > EDDY_LIST_INLINE) {
        return 0;
    }
    for (size_t i = 0; i < p->sets.count; i++) {
        /* [append.R5] relaxed: ours until the commit, which releases it */
        eddy_st_rlx(&words[i], p->sets.at[i]);
    }
    return p->sets.count;
}

/* The redo list, all of whose slots are there. Returns its words. */
static inline size_t list(const struct eddy_arena *a, const struct direct *d,
                          const struct eddy_attempt *t, size_t count, eddy_word *words) {
    eddy_word *w = words;
    /* [append.R1] relaxed: ours until the commit, which releases it */
    eddy_st_rlx(w++, EDDY_REDO(EDDY_REDO_REFS, count, eddy_arena_off(a, d->offsets)));
    for (size_t i = 0; i < count; i++) {
        /* [append.R2] relaxed: as above */
        eddy_st_rlx(w++, d->refs[i]);
    }
    /* [append.R3] relaxed: as above */
    eddy_st_rlx(w++, EDDY_REDO(EDDY_REDO_RUN, count, eddy_arena_off(a, d->versions)));
    eddy_st_rlx(w++, t->first_offset);
    eddy_st_rlx(w++, EDDY_REDO(EDDY_REDO_MAX, 1, eddy_arena_off(a, &d->stream->bytes_in)));
    eddy_st_rlx(w++, d->stream_bytes);
    eddy_st_rlx(w++, EDDY_REDO(EDDY_REDO_MAX, 1, eddy_arena_off(a, &d->stream->version)));
    eddy_st_rlx(w++, d->version);
    if (__builtin_expect(d->floor != 0, 0)) {
        /* [append.R4] relaxed: as above */
        eddy_st_rlx(w++, EDDY_REDO(EDDY_REDO_MAX, 1, eddy_arena_off(a, &a->super->floor)));
        eddy_st_rlx(w++, d->floor);
    }
    return (size_t)(w - words);
}

/* The head, the totals and the redo list as of the attempt. Returns the words, or 0: not in this
 * way.
 */
static inline size_t evaluate(struct eddy_plan *p, struct direct *d, int64_t expected, size_t count,
                              struct eddy_attempt *t, eddy_word *words, eddy_result *result) {
    const struct eddy_view *v = &p->view;
    struct eddy_arena *a = p->thread->arena;
    uint64_t base = load(&d->stream->version);
    uint64_t limits = load(&a->super->limits_root);
    uint64_t removed = load(&d->stream->removed);
    if (base >> 62 != 0 || (removed != 0 && removed == base + 1) ||
        !eddy_commit_holds(expected, base, true)) {
        return 0;
    }
    d->floor = 0;
    if (__builtin_expect(limits != 0 && !EDDY_IS_TOMB(limits), 0)) {
        uint64_t floor = t->after.floor;
        if (!eddy_retain_few(p, limits, t, count, d->bytes)) {
            return 0;
        }
        d->floor = t->after.floor != floor ? t->after.floor : 0;
    }
    d->offsets = near_slots(v, d->era, &a->super->offsets_root, &p->tail, t->first_offset, count);
    d->versions = version_slots(v, d, base + 1, count);
    unsigned char *head = eddy_arena_raw(a, d->at + d->bytes);
    EDDY_PUT(struct eddy_shm_head, head,
             {
                 .size = (uint32_t)eddy_event_head_size(1),
                 .kind = EDDY_BLOCK_HEAD,
                 .streams = 1,
                 .tx_offset = t->first_offset,
                 .recorded_ns = t->after.time_ns,
                 .first = 0,
                 .tx_count = (uint32_t)count,
             });
    EDDY_PUT(struct eddy_shm_part, head + sizeof(struct eddy_shm_head),
             {.stream = d->known->desc, .version = base + 1});
    d->version = base + count;
    d->stream_bytes = load(&d->stream->bytes_in) + d->bytes;
    t->after.next_offset += count;
    t->after.bytes_in += d->bytes;
    t->groups = d->known->groups;
    result->first_offset = t->first_offset;
    result->last_offset = t->first_offset + count - 1;
    result->last_version = base + count;
    result->recorded_ns = t->after.time_ns;
    result->removed = t->removed;
    return __builtin_expect(d->offsets && d->versions, 1) ? list(a, d, t, count, words)
                                                          : plan(p, d, t, count, words);
}

/* Applies what list() has written. Nothing that it names is younger than the span: evaluate() has met
 * it all. */
static inline void apply(struct eddy_thread *t, const struct direct *d, size_t count,
                         const struct eddy_attempt *at) {
    for (size_t i = 0; i < count; i++) {
        eddy_apply_set(&d->offsets[i], d->refs[i]);
    }
    eddy_apply_run(d->versions, (unsigned)count, at->first_offset);
    eddy_apply_max(&d->stream->bytes_in, d->stream_bytes);
    eddy_apply_max(&d->stream->version, d->version);
    if (__builtin_expect(d->floor != 0, 0)) {
        eddy_apply_max(&t->arena->super->floor, d->floor);
    }
    eddy_apply_end(t, at->s, at->groups);
}

/* Before another try: the nodes that the last one has taken go back. */
static __attribute__((noinline)) void again(struct eddy_plan *p, struct direct *d) {
    eddy_thread_count(p->thread, EDDY_COUNT_RETRIES, 1);
    if (d->planned) {
        eddy_plan_reset(p);
        d->planned = false;
    }
}

/* Inside the span, with the blocks written: as append(). */
static inline int commit(struct eddy_plan *p, struct direct *d, int64_t expected, size_t count,
                         int64_t now_ns, eddy_result *result) {
    struct eddy_thread *thread = p->thread;
    struct eddy_attempt t;
    for (;;) {
        int r = eddy_commit_look(thread, now_ns, &t);
        if (r < 0) {
            return r;
        }
        size_t n = evaluate(p, d, expected, count, &t, eddy_commit_list(thread, &t), result);
        if (n == 0) {
            return 0;
        }
        set_fill(thread, d->at + d->bytes + eddy_event_head_size(1) - thread->cursor.base,
                 thread->cursor.events + (uint32_t)count);
        if (eddy_commit_written(thread, &t, n)) {
            if (__builtin_expect(d->planned, 0)) {
                eddy_apply_own(thread, t.s, p->sets.at, n, t.groups);
            } else {
                apply(thread, d, count, &t);
            }
            return 1;
        }
        again(p, d);
    }
}

/* The nodes that a plan has taken: they belong to the structure, or they go back. */
static __attribute__((noinline)) void settle(struct eddy_plan *p, bool linked) {
    if (linked) {
        eddy_plan_done(p);
    } else {
        eddy_plan_reset(p);
    }
}

static inline int append(struct eddy_plan *p, eddy_bytes stream, int64_t expected,
                         const eddy_new_event *events, size_t count, int64_t now_ns,
                         eddy_result *result) {
    struct eddy_thread *t = p->thread;
    struct direct d;
    int r = 0;
    d.planned = false;
    eddy_rcu_enter(&t->span);
    if (find(p, stream, &d) && write_blocks(t, events, count, &d)) {
        uint64_t end = t->cursor.fill + d.bytes + eddy_event_head_size(1);
        r = commit(p, &d, expected, count, now_ns, result);
        if (r == 1) {
            t->cursor.fill = end;
            t->cursor.events += (uint32_t)count;
        } else {
            set_fill(t, t->cursor.fill,
                     t->cursor.events); /* before anything is written over the blocks */
        }
        if (__builtin_expect(d.planned, 0)) {
            settle(p, r == 1);
        }
    }
    eddy_rcu_leave(&t->span);
    return r;
}

int eddy_append_direct(struct eddy_plan *p, eddy_bytes stream, int64_t expected,
                       const eddy_new_event *events, size_t count, int64_t now_ns,
                       eddy_result *result) {
    return count == 0 || count > EDDY_REDO_REFS_MAX
               ? 0
               : append(p, stream, expected, events, count, now_ns, result);
}

static inline int check_append(eddy_bytes stream, int64_t expected, const eddy_new_event *events,
                               size_t count) {
    if (__builtin_expect(stream.len - 1 >= EDDY_STREAM_MAX || !stream.ptr ||
                             expected < EDDY_EXISTS || count > EDDY_TX_EVENTS_MAX,
                         0)) {
        return eddy_tx_refuse_append(stream, expected, count);
    }
    for (size_t i = 0; i < count; i++) {
        int r = eddy_tx_check_event(&events[i], true);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* One event is the most common: everything in one function, without loops over events. */
__attribute__((flatten)) int eddy_append(eddy_store *store, eddy_bytes stream, int64_t expected,
                                         const eddy_new_event *events, size_t count,
                                         eddy_result *result) {
    struct eddy_context *c;
    eddy_result own;
    result = result ? result : &own;
    eddy_tx_clear_result(result);
    int r = eddy_store_writer(store, &c);
    if (r == 0) {
        r = check_append(stream, expected, events, count);
    }
    if (__builtin_expect(r < 0 || count == 0, 0)) {
        return eddy_told_failure(store, r);
    }
    int64_t began = eddy_told_began(store);
    int64_t now = eddy_store_now(store);
    r = count == 1 ? append(&c->plan, stream, expected, events, 1, now, result)
                   : eddy_append_direct(&c->plan, stream, expected, events, count, now, result);
    if (__builtin_expect(r == 0, 0)) {
        r = eddy_tx_append_batch(c, eddy_mem(NULL, 0), stream, expected, events, count, now,
                                 result);
    } else if (__builtin_expect(r < 0, 0)) {
        eddy_tx_clear_result(result);
    } else if (__builtin_expect(result->removed != 0, 0)) {
        eddy_upkeep_dropped(c, result->removed);
    }
    return eddy_told(store, began, EDDY_DID_COMMIT, r < 0 ? r : 0, count,
                     eddy_told_bytes(store, events, count));
}
