#include "instant.h"

#include <stdlib.h>

#include "error.h"

enum { READ_ONLY_TRIES = 10000 };

void eddy_instant_renew(struct eddy_instant *i, struct eddy_thread *t) {
    i->view = (struct eddy_view){.arena = t->arena, .span = &t->span, .overlay = NULL};
    i->tries = 0;
}

void eddy_instant_begin(struct eddy_instant *i, const struct eddy_thread *t) {
    if (!t->slot) {
        /* [instant.C2] acquire: alone: read before all else, as [instant.C1] */
        i->era = eddy_ld_acq(t->span.era);
    }
}

void eddy_instant_fini(struct eddy_instant *i) {
    eddy_overlay_fini(&i->overlay);
}

/* Copies the record that is committed at s and not applied: 1, 0 if it was applied meanwhile. */
static int lay_over(struct eddy_instant *i, struct eddy_arena *a, uint64_t s, uint32_t buffer) {
    eddy_word *list;
    struct eddy_shm_redo *h = eddy_ring_header(a, buffer, &list);
    if (!h || buffer == 0) {
        return eddy_error_set(EDDY_ECORRUPT, "transaction %llu names no buffer",
                              (unsigned long long)s);
    }
    eddy_ring_copy_header(h, &i->now);
    if (!eddy_ring_steady(a, s)) {
        return 0;
    }
    if (i->now.list_off != 0) {
        list = i->now.list_off % 8 == 0 && i->now.words < UINT32_MAX
                   ? eddy_arena_at(a, i->now.list_off, i->now.words * 8)
                   : NULL;
    }
    if (!list || (i->now.list_off == 0 && i->now.words > EDDY_LIST_INLINE)) {
        return eddy_error_set(EDDY_ECORRUPT, "the record of transaction %llu is damaged",
                              (unsigned long long)s);
    }
    uint64_t *copy = malloc(i->now.words * 8 + 8);
    if (!copy) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for the copy of a record");
    }
    for (uint64_t k = 0; k < i->now.words; k++) {
        /* [instant.R1] relaxed: validated below by eddy_ring_steady() */
        copy[k] = eddy_ld_rlx(&list[k]);
    }
    int r = eddy_ring_steady(a, s);
    if (r == 1) {
        r = eddy_overlay_put_list(&i->overlay, copy, i->now.words);
        r = r < 0 ? r : 1;
    }
    free(copy);
    return r;
}

/* One try of a read-only handle: 1, 0 to try again, or an error. */
static int take_read_only(struct eddy_instant *i, struct eddy_thread *t) {
    struct eddy_arena *a = t->arena;
    uint32_t buffer;
    /* [instant.C1] acquire: alone: read before all else; the check afterwards bounds what could
     * have been used again meanwhile */
    i->era = eddy_ld_acq(t->span.era);
    eddy_overlay_clear(&i->overlay);
    uint64_t s = eddy_ring_applied(a);
    uint64_t w = eddy_ring_load(a, s);
    if (eddy_ring_round_of(w) == eddy_ring_round(s)) {
        int r = lay_over(i, a, s, eddy_ring_buffer_of(w));
        if (r <= 0) {
            return r;
        }
        i->seq = s + 1;
        i->empty = eddy_ring_load(a, i->seq);
        i->view.overlay = &i->overlay;
    } else {
        i->seq = s;
        i->empty = w;
        i->view.overlay = NULL;
        int r = eddy_ring_before(a, s, &i->now, &buffer);
        if (r <= 0) {
            return r;
        }
    }
    return eddy_ring_round_of(i->empty) == eddy_ring_round(i->seq) - 1;
}

int eddy_instant_take(struct eddy_instant *i, struct eddy_thread *t) {
    if (t->slot) {
        uint32_t buffer;
        int r;
        do {
            r = eddy_apply_help(t, &i->seq, &i->empty);
            if (r == 0) {
                r = eddy_ring_before(t->arena, i->seq, &i->now, &buffer);
            }
        } while (r == 0);
        return r < 0 ? r : 0;
    }
    while (i->tries++ < READ_ONLY_TRIES) {
        int r = take_read_only(i, t);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
    }
    return eddy_error_set(EDDY_EAGAIN,
                          "the store changes too fast for a read-only handle: try again");
}

bool eddy_instant_sound(const struct eddy_instant *i, const struct eddy_thread *t) {
    if (t->slot) {
        return true;
    }
    /* [instant.F1] acquire fence: alone: what was loaded before stands before this load of the era;
     * memory is used again two eras after it was unlinked */
    eddy_fence_acq();
    /* [instant.R2] relaxed: ordered by the fence above */
    return eddy_ld_rlx(t->span.era) <= i->era + 1;
}

bool eddy_instant_holds(const struct eddy_instant *i, const struct eddy_thread *t) {
    /* [instant.F2] acquire fence: alone: what was loaded before stands before the load of the word
     */
    eddy_fence_acq();
    return eddy_ring_load(t->arena, i->seq) == i->empty && eddy_instant_sound(i, t);
}
