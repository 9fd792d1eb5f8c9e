/* Reading a select.
 *
 * I1  A positive answer (here is the event of this number) needs no look at the ring. "No more" is
 *     given only as of an instant.
 * I2  Numbers are looked at one after the other; a reader never goes past one that is not there.
 * I3  Events are copied out and validated; borrowed ones are pinned first: the pin is stored, then
 *     the slot and the generation are looked at again, so that who frees the extent sees the pin,
 *     or we see that it was freed.
 */
#include "reader.h"

#include <stdlib.h>
#include <string.h>

#include "bytime.h"
#include "error.h"
#include "gone.h"
#include "match.h"
#include "platform.h"
#include "shard.h"
#include "told.h"
#include "wait.h"

enum { AGAIN = 0, NOTHING = EDDY_READER_NOTHING, GONE = EDDY_READER_GONE };
enum { LOOKS_MAX = 10000 };

/* ---- one event ---- */

static void pin(struct eddy_reader *r, struct eddy_context *c, uint32_t idx) {
    struct eddy_arena *a = &r->store->arena;
    /* [reader.R1] relaxed: ordered before the looks that follow by eddy_rcu_order(), whose partner
     * is the fence of who frees extents. Death after: swept. */
    eddy_st_rlx(&a->readers[r->slot].pin, idx + UINT64_C(1));
    eddy_rcu_order(&c->thread.span);
    r->pinned = idx + 1;
    /* [reader.R2] relaxed: looked at again behind the pin by eddy_event_read() */
    r->pinned_gen = EDDY_STATE_GEN(eddy_ld_rlx(&a->extents[idx].state));
}

static void unpin(struct eddy_reader *r) {
    if (r->pinned) {
        /* [reader.P2] release: pairs with [grace.C4]: the caller's loads of the borrowed bytes stand before it */
        eddy_st_rel(&r->store->arena.readers[r->slot].pin, 0);
        r->pinned = 0;
    }
}

/* The stream's name, from the cache or the descriptor. */
static inline int name_of(struct eddy_reader *r, struct eddy_arena *a, uint64_t desc) {
    struct eddy_reader_name *n = &r->name;
    if (n->desc == desc && desc != 0 && eddy_block_tag(a, desc) == n->tag) {
        return 0;
    }
    n->desc = 0;
    struct eddy_shm_stream *s = eddy_stream_at(a, desc);
    if (!s) {
        return eddy_error_set(EDDY_ECORRUPT, "an event's stream is damaged: run `eddy check`");
    }
    /* Before the name: if the descriptor is used again meanwhile, what is noted is of no life. */
    n->tag = eddy_block_tag(a, desc);
    eddy_bytes name = eddy_stream_name(s);
    eddy_copy_out(n->bytes, name.ptr, name.len);
    memcpy(r->id, n->bytes, name.len);
    r->id_version = 0;
    n->len = (uint32_t)name.len;
    n->desc = desc;
    return 0;
}

/* "<stream>-<version>": what an event without an id is called. The name stands there already, and
 * perhaps the number before. */
static inline eddy_bytes default_id(struct eddy_reader *r, uint64_t version) {
    char *end = r->id + r->id_len;
    if (version == r->id_version + 1 && r->id_version != 0 && end[-1] != '9') {
        ++end[-1];
    } else {
        r->id[r->name.len] = '-';
        r->id_len = r->name.len + 1 + eddy_reader_write_number(r->id + r->name.len + 1, version);
    }
    r->id_version = version;
    return eddy_mem(r->id, r->id_len);
}

static inline void give_name(struct eddy_reader *r, eddy_event *event) {
    event->stream = eddy_mem(r->name.bytes, r->name.len);
    if (event->id.len == 0) {
        event->id = default_id(r, event->version);
    }
}

/* The event that a slot of the offset trie leads to: 1, AGAIN, or an error. */
static inline int load_event(struct eddy_reader *r, struct eddy_context *c, const eddy_word *slot,
                             uint64_t ref, eddy_event *event) {
    struct eddy_arena *a = &r->store->arena;
    struct eddy_event_more more;
    if (r->borrow) {
        if (!eddy_arena_at(a, ref, 8)) {
            return eddy_error_set(EDDY_ECORRUPT, "an offset leads to byte %llu, where nothing is",
                                  (unsigned long long)ref);
        }
        pin(r, c, eddy_arena_extent_of(a, ref));
    }
    int got =
        eddy_event_read(&r->instant.view, slot, ref, r->borrow ? NULL : &r->buffer, event, &more);
    if (got != 1) {
        return got;
    }
    int n = name_of(r, a, more.stream);
    if (n == 0) {
        give_name(r, event);
    }
    bool gone = eddy_gone_event(&r->instant.view, event->offset, event->version, more.stream);
    /* [reader.F1] acquire fence: alone: the name and `first` were loaded before the slot is looked at
     * once more: its stream is what it was as long as the event has its memory */
    eddy_fence_acq();
    if (eddy_view_load(&r->instant.view, slot) != ref) {
        return AGAIN;
    }
    return gone ? GONE : n < 0 ? n : 1;
}

/* ---- numbers ---- */

static struct eddy_shm_stream *stream_of(struct eddy_reader *r) {
    return eddy_arena_raw(&r->store->arena, r->desc);
}

/* The selected stream's descriptor: 1, 0 if it is not there, or an error. */
static int find_stream(struct eddy_reader *r) {
    const struct eddy_view *v = &r->instant.view;
    struct eddy_arena *a = v->arena;
    if (r->listed) {
        return eddy_shard_find(r);
    }
    if (r->desc != 0 && eddy_view_holds(v, r->desc, r->desc_tag)) {
        return 1;
    }
    uint64_t off = eddy_directory_find(r->store->directory, v, r->select.stream, r->hash);
    if (off == 0) {
        int64_t found = eddy_stream_find(v, r->select.stream, r->hash);
        if (found <= 0) {
            return (int)found;
        }
        off = (uint64_t)found;
        /* What was found under an overlay is not yet linked, and not to be noted. */
        if (!v->overlay) {
            eddy_directory_note(r->store->directory, v, r->hash, off);
        }
    }
    r->desc = off;
    r->desc_tag = eddy_block_tag(a, off);
    r->versions.off = 0; /* that leaf is of another stream, though it may be there still */
    /* [reader.R6] relaxed: constant since it was published */
    uint64_t number = eddy_ld_rlx(&stream_of(r)->number);
    if (r->number != 0 && r->number != number && r->started && !(r->select.flags & EDDY_BACKWARD)) {
        r->at = 0; /* it was forgotten, and begins anew */
    }
    r->number = number;
    return 1;
}

/* Says which numbers are gone. */
static int gone(struct eddy_reader *r, uint64_t from, uint64_t to) {
    r->gone_from = from;
    r->gone_to = to;
    return GONE;
}

/* The slot of an offset and what it leads to: 1, NOTHING, GONE, or an error. */
static int offset_slot(struct eddy_reader *r, uint64_t offset, eddy_word **slot, uint64_t *ref) {
    const struct eddy_view *v = &r->instant.view;
    eddy_word *root = &v->arena->super->offsets_root;
    uint64_t span = 0;
    int got = eddy_trie_slot_near(v, root, offset, &r->offsets, slot);
    if (got == 1) {
        *ref = eddy_view_load(v, *slot);
        return *ref == 0 ? NOTHING : EDDY_IS_TOMB(*ref) ? gone(r, offset, offset) : 1;
    }
    got = got == 0 ? eddy_trie_walk(v, root, offset, slot, &span) : got;
    if (got == 1) {
        return AGAIN;
    }
    return got < 0 ? got : span ? gone(r, offset & ~(span - 1), offset | (span - 1)) : NOTHING;
}

/* The offset of a version of the selected stream: 1, NOTHING, GONE, or an error. */
static int version_offset(struct eddy_reader *r, uint64_t version, uint64_t *offset) {
    const struct eddy_view *v = &r->instant.view;
    eddy_word *slot;
    int got = find_stream(r);
    if (got <= 0) {
        return got < 0 ? got : NOTHING;
    }
    struct eddy_shm_stream *s = stream_of(r);
    uint64_t first = eddy_view_load(v, &s->first);
    if (version <= first) {
        return gone(r, 1, first);
    }
    got = eddy_stream_slot(v, s, version, &r->versions, &slot);
    *offset = got == 1 ? eddy_view_load(v, slot) : 0;
    if (got < 0 || *offset > eddy_gone_floor(v)) {
        return got < 0 ? got : 1;
    }
    /* Nothing there: it is yet to come, or it went with what is below the floor. */
    uint64_t last = eddy_view_load(v, &s->version);
    got = version <= last ? eddy_gone_versions(v, s, &first) : 0;
    if (got < 0 || version > last) {
        return got < 0 ? got : NOTHING;
    }
    return version <= first ? gone(r, 1, first) : AGAIN;
}

/* The event at an offset that is above the floor. */
static inline int try_offset(struct eddy_reader *r, struct eddy_context *c, uint64_t offset,
                             eddy_event *event) {
    uint64_t ref = 0;
    eddy_word *slot;
    int got = offset_slot(r, offset, &slot, &ref);
    if (got == 1) {
        got = load_event(r, c, slot, ref, event);
        if (got == 1 && event->offset != offset) {
            return eddy_error_set(EDDY_ECORRUPT, "offset %llu leads to another event",
                                  (unsigned long long)offset);
        }
        if (got == GONE) {
            (void)gone(r, offset, offset);
        }
    }
    return got;
}

static inline int try_look_at(struct eddy_reader *r, struct eddy_context *c, uint64_t number,
                              eddy_event *event) {
    uint64_t offset;
    if (!r->indexed) {
        uint64_t floor = eddy_gone_floor(&r->instant.view);
        return number <= floor ? gone(r, 1, floor) : try_offset(r, c, number, event);
    }
    int got =
        r->listed ? eddy_shard_offset(r, number, &offset) : version_offset(r, number, &offset);
    if (got == 1) {
        got = try_offset(r, c, offset, event);
        if (got == GONE && r->listed) {
            r->gone_offset = offset;
            return gone(r, number, number);
        }
        if (got == GONE) {
            return AGAIN; /* it went meanwhile, and the stream's words say so now */
        }
        if (got == 1 && !r->listed && event->version != number) {
            return eddy_error_set(EDDY_ECORRUPT, "version %llu leads to another event",
                                  (unsigned long long)number);
        }
    }
    return got;
}

/* The event of a number: 1, NOTHING if there is none yet (as far as the indexes show), GONE, or an
 * error. */
static inline int look_at(struct eddy_reader *r, struct eddy_context *c, uint64_t number,
                          eddy_event *event) {
    for (uint32_t tries = 0;; tries++) {
        eddy_instant_begin(&r->instant, &c->thread);
        int got = try_look_at(r, c, number, event);
        if (!eddy_instant_sound(&r->instant, &c->thread)) {
            got = AGAIN; /* what was seen may have been memory in its next use, damage included */
        }
        if (got != AGAIN) {
            return got;
        }
        if (tries == LOOKS_MAX) {
            return eddy_error_set(c->thread.slot ? EDDY_ECORRUPT : EDDY_EAGAIN,
                                  "event %llu is being moved all the time: try again",
                                  (unsigned long long)number);
        }
    }
}

/* The next offset's event, if it lies in the leaf of the last one: 1, else 0, for the general way,
 * which also says what is wrong. */
static inline __attribute__((always_inline)) int look_near(struct eddy_reader *r, uint64_t number,
                                                           eddy_event *event) {
    const struct eddy_view *v = &r->instant.view;
    struct eddy_arena *a = v->arena;
    const struct eddy_trie_leaf *leaf = &r->offsets;
    uint64_t k = number & (EDDY_TRIE_SLOTS - 1);
    if (leaf->off == 0 || leaf->base != number - k || number > r->bound ||
        !eddy_view_holds(v, leaf->off, leaf->tag)) {
        return 0;
    }
    const struct eddy_shm_node *node = eddy_arena_raw(a, leaf->off);
    const eddy_word *slot = &node->slot[k];
    uint64_t ref = eddy_view_load(v, slot);
    struct eddy_event_more more = {0};
    if (k + 2 < EDDY_TRIE_SLOTS) {
        /* [reader.R4] relaxed: where the event after the next will be looked for */
        eddy_at_fetch_read((uintptr_t)a->base + eddy_ld_rlx(slot + 2), EDDY_READER_AHEAD);
    }
    /* A borrowed event needs a pin: that of the last one does for the same extent. */
    if (ref == 0 || EDDY_IS_TOMB(ref) ||
        (r->borrow && r->pinned != eddy_arena_extent_of(a, ref) + 1) ||
        eddy_event_read_inline(v, slot, ref, r->borrow ? NULL : &r->buffer, event, &more) != 1 ||
        event->offset != number || name_of(r, a, more.stream) < 0 ||
        eddy_gone_event(v, number, event->version, more.stream)) {
        return 0;
    }
    give_name(r, event);
    /* [reader.F2] acquire fence: alone: as [reader.F1] */
    eddy_fence_acq();
    return eddy_view_load(v, slot) == ref;
}

/* The last number there is, as of the instant. */
static int last_number(struct eddy_reader *r, uint64_t *last) {
    *last = r->instant.now.next_offset - 1;
    if (r->indexed) {
        int got = find_stream(r);
        if (got < 0) {
            return got;
        }
        *last = got == 1 ? eddy_view_load(&r->instant.view, &stream_of(r)->version) : 0;
    }
    return 0;
}

/* ---- starting ---- */

/* The first number from `mid` to high that is there, and its event: 1, 0 if there is none, or an
 * error. */
static int look_upward(struct eddy_reader *r, struct eddy_context *c, uint64_t *mid, uint64_t high,
                       eddy_event *e) {
    int got;
    while ((got = look_at(r, c, *mid, e)) == GONE && r->gone_to < high) {
        *mid = r->gone_to + 1;
    }
    return got == GONE ? 0 : got;
}

/* The last number in [low, high] of those below the wanted value, low being so by itself: the
 * wanted ones come after it. The values are offsets or times of recording, which grow with the
 * number. */
static int search(struct eddy_reader *r, struct eddy_context *c, uint64_t low, uint64_t high,
                  bool by_time, uint64_t *found) {
    eddy_event e;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2 + ((high - low) & 1);
        uint64_t at = mid;
        int got = look_upward(r, c, &at, high, &e);
        if (got < 0) {
            return got;
        }
        bool below = got == 1 && (by_time ? e.recorded_ns < r->select.from_recorded_ns
                                          : e.offset <= r->select.after_offset);
        if (below) {
            low = at;
        } else {
            high = mid - 1;
        }
    }
    *found = low;
    return 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* The last number that is gone. */
static int last_gone(struct eddy_reader *r, uint64_t *gone) {
    *gone = r->indexed ? 0 : r->instant.now.floor;
    if (!r->indexed || r->listed) {
        return r->listed ? eddy_shard_gone(r, gone) : 0;
    }
    int got = find_stream(r);
    return got == 1 ? eddy_gone_versions(&r->instant.view, stream_of(r), gone) : got;
}

/* Of the versions up to `gone`, those behind the wanted offset are missed: *low is raised to the last
 * one before them, as far as their slots are still there. */
static int before_gone(struct eddy_reader *r, uint64_t gone, uint64_t *low) {
    const struct eddy_view *v = &r->instant.view;
    struct eddy_trie_leaf near = {0};
    for (uint64_t n = gone; n > *low; n--) {
        eddy_word *slot;
        int got = eddy_stream_slot(v, stream_of(r), n, &near, &slot);
        uint64_t offset = got == 1 ? eddy_view_load(v, slot) : 0;
        if (got < 0) {
            return got;
        }
        if (offset <= r->select.after_offset) {
            *low = n;
        }
    }
    return 0;
}

/* Where to begin and to end, as of the instant that was taken: 0, 1 to take another, or an error. */
static int start(struct eddy_reader *r, struct eddy_context *c) {
    const eddy_select *s = &r->select;
    bool by_stream = s->stream.len > 0;
    uint64_t last;
    uint64_t low = by_stream ? s->after_version : r->listed ? 0 : s->after_offset;
    uint64_t to = by_stream ? s->to_version : r->listed ? 0 : s->to_offset;
    uint64_t gone;
    int got = last_number(r, &last);
    if (got == 0) {
        got = last_gone(r, &gone);
    }
    if (!eddy_instant_sound(&r->instant, &c->thread)) {
        return 1; /* it may have been memory in its next use, damage included */
    }
    if (got < 0) {
        return got;
    }
    /* Who names a place to begin with misses what is gone behind it; else it begins with what is
     * there. */
    if ((s->after_offset == 0 && low == 0) || (s->flags & EDDY_BACKWARD)) {
        low = low < gone ? gone : low;
    }
    if (r->listed && s->after_offset > 0) {
        got = eddy_shard_before(r, last, &low);
    } else if (by_stream && s->after_offset > 0 && low < gone) {
        got = before_gone(r, gone, &low);
    }
    if (got < 0) {
        return got;
    }
    r->quiet = r->instant.now.next_offset - 1;
    uint64_t end = (s->flags & EDDY_FOLLOW) ? UINT64_MAX : last;
    r->bound = to ? min_u64(to, end) : end;
    if (by_stream && s->after_offset > 0 && low < last) {
        uint64_t found;
        got = search(r, c, low, last, false, &found);
        low = got < 0 ? low : found;
    }
    if (got == 0 && s->from_recorded_ns != 0 && low < last) {
        uint64_t found;
        got = search(r, c, low, last, true, &found);
        low = got < 0 ? low : found;
    }
    if (got < 0) {
        return got;
    }
    r->at = low < UINT64_MAX ? low : UINT64_MAX - 1; /* so that it has a next */
    if (s->flags & EDDY_BACKWARD) {
        r->at = r->bound + 1;
        r->bound = low; /* exclusive */
        r->ended = r->ended || r->at <= r->bound + 1;
    }
    r->position.looked_at = r->indexed ? s->after_offset : low;
    r->started = true;
    return 0;
}

static int begin(struct eddy_reader *r, struct eddy_context *c) {
    int got;
    do {
        got = eddy_instant_take(&r->instant, &c->thread);
        got = got == 0 ? start(r, c) : got;
    } while (got == 1); /* a read-only handle's tries are counted */
    return got;
}

/* ---- going on ---- */

static int end(struct eddy_reader *r) {
    r->ended = true;
    r->position.caught_up = true;
    return EDDY_END;
}

/* There is no event of the next number: as of an instant, or look again. 1: look again. */
static int no_more(struct eddy_reader *r, struct eddy_context *c, uint64_t number) {
    int got = eddy_instant_take(&r->instant, &c->thread);
    uint64_t last = 0;
    uint64_t at = r->at;
    if (got < 0) {
        return got;
    }
    got = last_number(r, &last);
    if (got < 0) {
        /* Read-only: it may have been memory in its next use. */
        return eddy_instant_sound(&r->instant, &c->thread) ? got : 1;
    }
    if (r->at != at) {
        return 1; /* the stream was forgotten, and begins anew */
    }
    /* The stream's version was loaded behind the instant, and only grows: so at the instant, too,
     * there was no such number, and everything up to the head was in place. */
    if (number <= last || !eddy_instant_sound(&r->instant, &c->thread)) {
        return 1;
    }
    r->position.head = r->instant.now.next_offset - 1;
    const eddy_select *s = &r->select;
    if ((s->to_offset && r->position.head >= s->to_offset) ||
        (s->to_recorded_ns && r->instant.now.time_ns > s->to_recorded_ns)) {
        return end(r); /* what is yet to come lies beyond */
    }
    if (r->position.looked_at < r->position.head) {
        r->position.looked_at = r->position.head;
    }
    eddy_reader_show(r, r->position.looked_at);
    r->position.caught_up = true;
    return EDDY_CAUGHT_UP;
}

int eddy_reader_at(struct eddy_reader *r, struct eddy_context *c, uint64_t number,
                   eddy_event *event) {
    eddy_instant_renew(&r->instant, &c->thread);
    int got = look_at(r, c, number, event);
    if (got == NOTHING) {
        got = no_more(r, c, number);
        got = got == 1 ? look_at(r, c, number, event) : got < 0 ? got : NOTHING;
    }
    return got == NOTHING || got == GONE ? 0 : got;
}

/* Is it news to this reader that the numbers from this one to r->gone_to are gone? */
static bool is_lapse(const struct eddy_reader *r, uint64_t number) {
    bool lapse = r->select.stream.len > 0 || number > r->quiet ||
                 number <= eddy_gone_floor(&r->instant.view);
    return r->listed ? eddy_shard_lapse(r) : lapse;
}

/* Numbers that are gone are passed by; *from is the first of those that are missed. */
static void pass_by(struct eddy_reader *r, uint64_t number, uint64_t *from) {
    if (r->select.flags & EDDY_BACKWARD) {
        r->at = r->gone_from < number ? r->gone_from : number;
        return;
    }
    if (*from == 0 && is_lapse(r, number)) {
        *from = r->listed ? r->position.looked_at + 1 : number;
    }
    r->at = min_u64(r->gone_to, r->bound);
    if (*from != 0) {
        r->position.lapped_to = r->listed ? eddy_shard_lost(r) : r->at;
    }
}

static int lapsed(struct eddy_reader *r, uint64_t from) {
    r->position.lapped_from = from;
    r->position.caught_up = false;
    if (r->select.stream.len == 0) {
        r->position.looked_at = r->position.lapped_to;
    }
    return eddy_error_set(EDDY_ELAPPED, "%s %llu to %llu are gone: removed before they were read",
                          r->select.stream.len ? "versions" : "events", (unsigned long long)from,
                          (unsigned long long)r->position.lapped_to);
}

/* There is nothing yet at this number. `missing` counts how often that was no answer. */
static int nothing(struct eddy_reader *r, struct eddy_context *c, uint64_t number,
                   uint64_t *missing) {
    int more = no_more(r, c, number);
    if (more == 1 && ((*missing)++ == 1000 || (*missing > 1 && !c->thread.slot))) {
        return eddy_error_set(c->thread.slot ? EDDY_ECORRUPT : EDDY_EAGAIN,
                              "number %llu is missing in the index", (unsigned long long)number);
    }
    return more;
}

/* Goes on to an event: is it one to be given? */
static bool take(struct eddy_reader *r, uint64_t number, const eddy_event *event) {
    enum eddy_match m = r->filters ? eddy_match(&r->select, event) : EDDY_MATCH;
    if (m == EDDY_PAST) {
        r->ended = true;
        return false;
    }
    r->at = number;
    r->position.looked_at = event->offset;
    if (m == EDDY_MATCH) {
        eddy_reader_note(r, event);
        r->given++;
        r->ended = r->select.limit != 0 && r->given == r->select.limit;
    }
    return m == EDDY_MATCH;
}

static int step(struct eddy_reader *r, struct eddy_context *c, eddy_event *event) {
    bool back = (r->select.flags & EDDY_BACKWARD) != 0;
    uint64_t missing = 0;
    uint64_t lapse = 0;
    while (!r->ended) {
        uint64_t number = back ? r->at - 1 : r->at + 1;
        bool beyond = back ? number <= r->bound : number > r->bound;
        int got = beyond ? NOTHING : look_at(r, c, number, event);
        if (__builtin_expect(r->anew, 0)) {
            r->position.lapped_to = eddy_shard_anew(r);
            if (r->position.lapped_to != 0) {
                return lapsed(r, r->position.looked_at + 1);
            }
            continue;
        }
        if (!back && r->at + 1 != number) {
            continue; /* the stream was forgotten, and begins anew: with its first number */
        }
        if (got == GONE) {
            pass_by(r, number, &lapse);
            continue;
        }
        if (lapse != 0) {
            return lapsed(r, lapse);
        }
        if (!back && r->at + 1 != number) {
            continue; /* the stream was forgotten: another of its name begins anew */
        }
        if (beyond) {
            return end(r);
        }
        if (got == NOTHING) {
            got = nothing(r, c, number, &missing);
            if (got == 1) {
                continue;
            }
        }
        if (got != 1) {
            return got;
        }
        missing = 0;
        if (take(r, number, event)) {
            return EDDY_EVENT;
        }
    }
    return end(r);
}

static int next_inside(struct eddy_reader *r, struct eddy_context *c, eddy_event *event) {
    if (r->instant.view.span != &c->thread.span || !c->thread.slot) {
        eddy_instant_renew(&r->instant, &c->thread);
    }
    if (!r->started) {
        int got = begin(r, c);
        if (got < 0) {
            return got;
        }
    }
    r->easy = r->by_offset && !r->filters && !r->store->told;
    eddy_thread_count(&c->thread, EDDY_COUNT_READ, r->given - r->counted);
    r->counted = r->given;
    return step(r, c, event);
}

/* The next event the easy way: true, or nothing has happened. */
static inline bool next_easy(struct eddy_reader *r, eddy_event *event) {
    struct eddy_context *c = r->last;
    if (!r->easy || !eddy_store_same_context(r->store, c) ||
        r->instant.view.span != &c->thread.span) {
        return false;
    }
    eddy_rcu_enter(&c->thread.span);
    bool got = look_near(r, r->at + 1, event);
    eddy_rcu_leave(&c->thread.span);
    if (got) {
        r->at++;
        r->given++;
        r->position.looked_at = event->offset;
        eddy_reader_note(r, event);
    }
    return got;
}

/* The general way. */
static int next(struct eddy_reader *r, eddy_event *event) {
    struct eddy_context *c;
    int got = eddy_reader_enter(r, &c);
    if (got < 0) {
        return got;
    }
    if (r->by_time) {
        return eddy_bytime_next(r, c, event);
    }
    unpin(r);
    eddy_rcu_enter(&c->thread.span);
    got = next_inside(r, c, event);
    if (got == EDDY_CAUGHT_UP && r->pollfd) {
        /* Arm, then look once more: what came before the arming would wake nobody. */
        r->seen = eddy_wait_mark(&r->store->arena, r->slot, r->group);
        r->marked = true;
        got = next_inside(r, c, event);
    }
    eddy_rcu_leave(&c->thread.span);
    if (got != EDDY_EVENT) {
        unpin(r);
    }
    if (got == EDDY_ELAPPED) {
        eddy_thread_count(&c->thread, EDDY_COUNT_LAPSES, 1);
    }
    return got == EDDY_CAUGHT_UP && r->pollfd ? eddy_reader_arm(r) : got;
}

int eddy_reader_next(eddy_reader *r, eddy_event *event) {
    if (__builtin_expect(next_easy(r, event), 1)) {
        return EDDY_EVENT;
    }
    int64_t began = eddy_told_began(r->store);
    return eddy_told_read(r->store, began, next(r, event), event);
}
