#include "view.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"

static size_t place_of(const struct eddy_overlay *o, uint64_t off) {
    size_t at = (size_t)((off >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (o->room - 1);
    while (o->entry[at].off != 0 && o->entry[at].off != off) {
        at = (at + 1) & (o->room - 1);
    }
    return at;
}

static int widen(struct eddy_overlay *o) {
    struct eddy_overlay old = *o;
    size_t room = old.room ? old.room * 2 : 64;
    o->entry = calloc(room, sizeof *o->entry);
    if (!o->entry) {
        *o = old;
        return eddy_error_set(EDDY_ENOMEM, "no memory for a transaction's notes");
    }
    o->room = room;
    for (size_t i = 0; i < old.room; i++) {
        if (old.entry[i].off != 0) {
            o->entry[place_of(o, old.entry[i].off)] = old.entry[i];
        }
    }
    free(old.entry);
    return 0;
}

int eddy_overlay_put(struct eddy_overlay *o, uint64_t off, uint64_t value, bool maximum) {
    if (o->count * 2 >= o->room) {
        int r = widen(o);
        if (r < 0) {
            return r;
        }
    }
    struct eddy_overlay_entry *e = &o->entry[place_of(o, off)];
    o->count += e->off == 0;
    *e = (struct eddy_overlay_entry){.off = off, .value = value, .maximum = maximum};
    return 0;
}

int eddy_overlay_put_list(struct eddy_overlay *o, const uint64_t *words, size_t count) {
    size_t i = 0;
    while (i < count) {
        unsigned kind = EDDY_REDO_KIND(words[i]);
        unsigned n = EDDY_REDO_COUNT(words[i]);
        uint64_t off = EDDY_REDO_OFF(words[i]);
        size_t operands = kind == EDDY_REDO_SWAP ? 2 : kind == EDDY_REDO_REFS ? n : 1;
        if (kind < EDDY_REDO_SET || kind > EDDY_REDO_MAX || n == 0 || i + 1 + operands > count) {
            return eddy_error_set(EDDY_ECORRUPT, "a redo list is damaged");
        }
        const uint64_t *operand = &words[i + 1];
        for (unsigned k = 0; k < n; k++) {
            uint64_t value = kind == EDDY_REDO_RUN    ? operand[0] + k
                             : kind == EDDY_REDO_REFS ? operand[k]
                             : kind == EDDY_REDO_SWAP ? operand[1]
                                                      : operand[0];
            int r = eddy_overlay_put(o, off + 8 * (uint64_t)k, value, kind == EDDY_REDO_MAX);
            if (r < 0) {
                return r;
            }
        }
        i += 1 + operands;
    }
    return 0;
}

void eddy_overlay_fini(struct eddy_overlay *o) {
    free(o->entry);
    memset(o, 0, sizeof *o);
}

void eddy_overlay_clear(struct eddy_overlay *o) {
    if (o->room > 4096) {
        eddy_overlay_fini(o); /* a large transaction must not make small ones slow */
    } else if (o->count > 0) {
        memset(o->entry, 0, o->room * sizeof *o->entry);
        o->count = 0;
    }
}

uint64_t eddy_overlay_over(const struct eddy_overlay *o, uint64_t off, uint64_t value) {
    const struct eddy_overlay_entry *e = &o->entry[place_of(o, off)];
    if (e->off == 0 || (e->maximum && value > e->value)) {
        return value;
    }
    return e->value;
}
