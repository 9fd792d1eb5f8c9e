/* I1  At most one transaction is committed and not yet applied: nobody commits at s before
 *     `applied` is s, and `applied` moves to s + 1 only after every entry of s was acted on.
 * I2  An entry is acted on only after `applied` was seen not to have passed its record, behind the
 *     load of the entry: then the list was not yet written anew, so the entry is genuine; and no
 *     record after it was committed, so nothing that it names was retired. Our span covers what it
 *     names from then on, however late we act; and if it was applied meanwhile, the act changes
 *     nothing: a word never takes an earlier value again.
 * A death anywhere leaves a committed word that the next to come by applies from the start.
 */
#include "apply.h"

#include "error.h"

static int corrupt(uint64_t seq) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the record of transaction %llu is damaged: run `eddy "
                          "check`",
                          (unsigned long long)seq);
}

/* The words that a record may change: cells of roots, floor and cuts, and what lies in extents. */
static eddy_word *target(struct eddy_arena *a, uint64_t off, unsigned count) {
    if (off % 8 != 0) {
        return NULL;
    }
    if (off >= a->extents_off) {
        return eddy_arena_at(a, off, 8 * (uint64_t)count);
    }
    uint64_t names = eddy_arena_off(a, a->names);
    uint64_t roots = offsetof(struct eddy_shm_super, offsets_root);
    uint64_t maxima = offsetof(struct eddy_shm_super, floor);
    bool in_names =
        off >= names && off + 8 * (uint64_t)count <= names + UINT64_C(8) * EDDY_NAME_CELLS;
    bool in_roots = off >= roots && off + 8 * (uint64_t)count <= roots + 56;
    bool in_maxima = off >= maxima && off + 8 * (uint64_t)count <= maxima + 16;
    return in_names || in_roots || in_maxima ? eddy_arena_raw(a, off) : NULL;
}

/* One entry, whole and checked. */
static inline void act(eddy_word *word, unsigned kind, unsigned count, const uint64_t *operand) {
    switch (kind) {
    case EDDY_REDO_SET:
        eddy_apply_set(word, operand[0]);
        break;
    case EDDY_REDO_RUN:
        eddy_apply_run(word, count, operand[0]);
        break;
    case EDDY_REDO_REFS:
        for (unsigned k = 0; k < count; k++) {
            eddy_apply_set(&word[k], operand[k]);
        }
        break;
    case EDDY_REDO_SWAP: {
        uint64_t old = operand[0];
        /* [apply.P3] release: pairs with [view.C1], [append.C2]. */
        (void)eddy_cas_rel(word, &old, operand[1]);
        break;
    }
    default:
        eddy_apply_max(word, operand[0]);
        break;
    }
}

static unsigned operands_of(unsigned kind, unsigned count) {
    return kind == EDDY_REDO_REFS ? count : kind == EDDY_REDO_SWAP ? 2 : 1;
}

static bool can_be(unsigned kind, unsigned count) {
    return kind >= EDDY_REDO_SET && kind <= EDDY_REDO_MAX && count >= 1 && count <= 64 &&
           (kind != EDDY_REDO_REFS || count <= EDDY_REDO_REFS_MAX) &&
           (kind == EDDY_REDO_RUN || kind == EDDY_REDO_REFS || count == 1);
}

/* Acts on the entries of record seq: 1 done, 0 it was applied by others meanwhile, or an error. */
static int act_list(struct eddy_thread *t, uint64_t seq, const eddy_word *list, uint64_t words) {
    struct eddy_arena *a = t->arena;
    for (uint64_t i = 0; i < words;) {
        uint64_t operand[8];
        /* [apply.R3] relaxed: validated by eddy_ring_steady() before it is used */
        uint64_t head = eddy_ld_rlx(&list[i]);
        unsigned kind = EDDY_REDO_KIND(head);
        unsigned count = EDDY_REDO_COUNT(head);
        unsigned n = can_be(kind, count) ? operands_of(kind, count) : 0;
        for (unsigned k = 0; k < n && i + 1 + k < words; k++) {
            /* [apply.R4] relaxed: as above */
            operand[k] = eddy_ld_rlx(&list[i + 1 + k]);
        }
        if (!eddy_ring_steady(a, seq)) {
            return 0;
        }
        eddy_word *word = n ? target(a, EDDY_REDO_OFF(head), count) : NULL;
        if (!word || i + 1 + n > words) {
            return corrupt(seq);
        }
        act(word, kind, count, operand);
        i += 1 + n;
    }
    return 1;
}

/* 1: applied by us; 0: by others; or an error. */
static int apply(struct eddy_thread *t, uint64_t seq, uint32_t buffer) {
    struct eddy_arena *a = t->arena;
    struct eddy_ring_copy c;
    eddy_word *list;
    struct eddy_shm_redo *h = eddy_ring_header(a, buffer, &list);
    if (!h || buffer == 0) {
        return corrupt(seq);
    }
    eddy_ring_copy_header(h, &c);
    if (!eddy_ring_steady(a, seq)) {
        return 0;
    }
    if (c.list_off != 0) {
        list = c.list_off % 8 == 0 && c.words < UINT32_MAX
                   ? eddy_arena_at(a, c.list_off, c.words * 8)
                   : NULL;
    } else if (c.words > EDDY_LIST_INLINE) {
        list = NULL;
    }
    if (!list || c.seq != seq) {
        return corrupt(seq);
    }
    int r = act_list(t, seq, list, c.words);
    if (r == 1) {
        eddy_apply_end(t, seq, c.groups);
    }
    return r;
}

int eddy_apply_help(struct eddy_thread *t, uint64_t *seq, uint64_t *empty) {
    struct eddy_arena *a = t->arena;
    for (;;) {
        uint64_t s = eddy_ring_applied(a);
        uint64_t w = eddy_ring_load(a, s);
        uint64_t round = eddy_ring_round_of(w);
        if (__builtin_expect(round == eddy_ring_round(s) - 1, 1)) {
            *seq = s;
            *empty = w;
            return 0;
        }
        if (round != eddy_ring_round(s)) {
            if (eddy_ring_steady(a, s)) {
                return corrupt(s);
            }
            continue; /* we were late: others have gone on */
        }
        eddy_rcu_raise(&t->span);
        int r = apply(t, s, eddy_ring_buffer_of(w));
        if (r < 0) {
            return r;
        }
        if (r == 1) {
            eddy_thread_count(t, EDDY_COUNT_HELPS, 1);
        }
    }
}

void eddy_apply_words(struct eddy_thread *t, const uint64_t *words, size_t count) {
    struct eddy_arena *a = t->arena;
    eddy_rcu_raise(&t->span);
    for (size_t i = 0; i < count;) {
        unsigned kind = EDDY_REDO_KIND(words[i]);
        unsigned n = EDDY_REDO_COUNT(words[i]);
        act(eddy_arena_raw(a, EDDY_REDO_OFF(words[i])), kind, n, &words[i + 1]);
        i += 1 + operands_of(kind, n);
    }
}

void eddy_apply_own(struct eddy_thread *t, uint64_t seq, const uint64_t *words, size_t count,
                    uint64_t groups) {
    eddy_apply_words(t, words, count);
    eddy_apply_end(t, seq, groups);
}
