/* Looking through everything: is each room's invariant true? Reads only, and bounded by what the
 * arena has room for, whatever the words in it say.
 *
 * On a store in use what is looked at is the instant at which the check began, and what came later
 * may be there already, or not; only what must hold in any case is judged.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anchor.h"
#include "error.h"
#include "gone.h"
#include "list.h"
#include "look.h"
#include "once.h"
#include "reader.h"

struct check {
    struct eddy_store *store;
    struct eddy_context *context;
    struct eddy_instant now;
    void (*fn)(void *arg, const char *room, const char *text);
    void *arg;
    uint64_t wrong;
    uint64_t events; /* found */
    uint64_t bytes;
};

static void report(void *arg, const char *room, const char *format, ...) {
    struct check *k = arg;
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    k->wrong++;
    if (k->fn) {
        k->fn(k->arg, room, text);
    }
}

/* More than the memory that is reserved has room for. */
static uint64_t most_events(const struct check *k) {
    return eddy_arena_reserved(k->now.view.arena) * (EDDY_EXTENT_SIZE / 32);
}

/* ---- events ---- */

static void check_event(struct check *k, uint64_t offset, const eddy_word *slot, uint64_t ref) {
    struct eddy_room room = {0};
    eddy_event raw;
    struct eddy_event_more more;
    const struct eddy_view *v = &k->now.view;
    int r = eddy_event_read(v, slot, ref, &room, &raw, &more);
    unsigned long long o = (unsigned long long)offset;
    if (r < 0) {
        report(k, "event", "offset %llu: %s", o, eddy_errmsg());
    } else if (r == 1 && raw.offset != offset) {
        report(k, "event", "offset %llu leads to an event of offset %llu", o,
               (unsigned long long)raw.offset);
    } else if (r == 1 && !eddy_gone_event(v, offset, raw.version, more.stream)) {
        struct eddy_shm_stream *d = eddy_stream_at(v->arena, more.stream);
        eddy_word *version = NULL;
        k->events++;
        k->bytes += more.bytes;
        if (!eddy_event_tags_whole(raw.tags, raw.tag_count)) {
            report(k, "event", "offset %llu has tags that make no sense", o);
        }
        int got = d ? eddy_stream_slot(v, d, raw.version ? raw.version : 1, NULL, &version) : -1;
        if (!d) {
            report(k, "event", "offset %llu names no stream", o);
        } else if ((got != 1 || eddy_view_load(v, version) != offset) &&
                   eddy_view_load(v, slot) == ref) {
            report(k, "streams", "version %llu of stream '%.*s' does not lead to offset %llu",
                   (unsigned long long)raw.version, (int)eddy_stream_name(d).len,
                   (const char *)eddy_stream_name(d).ptr, o);
        } else if ((raw.flags & EDDY_SHARD_GIVEN) && eddy_list_has(v, raw.shard, offset) <= 0 &&
                   !eddy_gone_event(v, offset, raw.version, more.stream) &&
                   eddy_view_load(v, slot) == ref) {
            report(k, "list", "offset %llu is not in the list of its shard", o);
        }
    }
    free(room.bytes);
}

static void check_totals(struct check *k) {
    const struct eddy_ring_copy *now = &k->now.now;
    if (k->wrong > 0 || !eddy_instant_holds(&k->now, &k->context->thread)) {
        return; /* it went on meanwhile */
    }
    if (k->events != eddy_ring_events(now)) {
        report(k, "record", "%llu events are there, but the totals say %llu",
               (unsigned long long)k->events, (unsigned long long)eddy_ring_events(now));
    } else if (k->bytes != eddy_ring_bytes(now)) {
        report(k, "record", "events have %llu bytes, but the totals say %llu",
               (unsigned long long)k->bytes, (unsigned long long)eddy_ring_bytes(now));
    }
}

static void check_events(struct check *k) {
    const struct eddy_view *v = &k->now.view;
    eddy_word *root = &v->arena->super->offsets_root;
    struct eddy_trie_leaf leaf = {0};
    uint64_t head = k->now.now.next_offset - 1;
    if (eddy_ring_events(&k->now.now) > most_events(k)) {
        report(k, "record", "there are %llu events: more than there is room for",
               (unsigned long long)eddy_ring_events(&k->now.now));
        return;
    }
    for (uint64_t o = k->now.now.floor + 1; o <= head && k->wrong < 100; o++) {
        eddy_word *slot = NULL;
        uint64_t span = 0;
        int r = eddy_trie_slot_near(v, root, o, &leaf, &slot);
        uint64_t ref = r == 1 ? eddy_view_load(v, slot) : 0;
        if (r == 0) {
            r = eddy_trie_walk(v, root, o, &slot, &span);
        }
        if (span != 0) {
            o |= span - 1; /* removed together */
        } else if (r < 0 || (ref == 0 && o > eddy_gone_floor(v))) {
            report(k, "trie", "offset %llu is not in the index%s%s", (unsigned long long)o,
                   r < 0 ? ": " : "", r < 0 ? eddy_errmsg() : "");
        } else if (ref != 0 && !EDDY_IS_TOMB(ref)) {
            check_event(k, o, slot, ref);
        }
    }
    check_totals(k);
}

/* ---- streams ---- */

/* Does each version that is there lead to an offset, each to a later one? */
static void check_versions(struct check *k, struct eddy_shm_stream *d) {
    const struct eddy_view *v = &k->now.view;
    struct eddy_trie_leaf leaf = {0};
    uint64_t last = eddy_view_load(v, &d->version);
    uint64_t before = 0;
    eddy_bytes name = eddy_stream_name(d);
    uint64_t gone = 0;
    if (eddy_gone_versions(v, d, &gone) < 0 || gone > last || last - gone > most_events(k)) {
        report(k, "streams", "stream '%.*s' is at version %llu: that cannot be", (int)name.len,
               (const char *)name.ptr, (unsigned long long)last);
        return;
    }
    for (uint64_t n = gone + 1; n <= last && k->wrong < 100; n++) {
        eddy_word *slot = NULL;
        int r = eddy_stream_slot(v, d, n, &leaf, &slot);
        uint64_t offset = r == 1 ? eddy_view_load(v, slot) : 0;
        if (offset <= before && (eddy_gone_versions(v, d, &gone) < 0 || n > gone)) {
            report(k, "streams", "version %llu of stream '%.*s' leads to offset %llu, after %llu",
                   (unsigned long long)n, (int)name.len, (const char *)name.ptr,
                   (unsigned long long)offset, (unsigned long long)before);
        }
        before = offset;
    }
}

/* The state of a block, as of the instant. */
static unsigned state_of(const struct eddy_view *v, uint64_t off) {
    const struct eddy_shm_block *b = eddy_arena_raw(v->arena, off);
    return EDDY_STATE_OF(eddy_view_load(v, &b->state));
}

static void check_stream(struct check *k, uint64_t number, struct eddy_shm_stream *d) {
    const struct eddy_view *v = &k->now.view;
    uint64_t off = eddy_arena_off(v->arena, d);
    eddy_bytes name = eddy_stream_name(d);
    uint64_t hash = eddy_stream_hash(v->arena, name);
    /* [check.R1] relaxed: constant since it was published */
    if (eddy_ld_rlx(&d->hash) != hash || eddy_ld_rlx(&d->number) != number) {
        report(k, "streams", "the descriptor of stream '%.*s' is damaged", (int)name.len,
               (const char *)name.ptr);
    } else if (eddy_stream_find(v, name, hash) != (int64_t)off &&
               state_of(v, off) < EDDY_CONDEMNED) {
        report(k, "streams", "stream '%.*s' is not found by its name", (int)name.len,
               (const char *)name.ptr);
    }
    check_versions(k, d);
}

static void check_streams(struct check *k) {
    struct eddy_trie_leaf leaf = {0};
    uint64_t last = k->now.now.streams_in;
    if (k->now.now.names > most_events(k)) {
        report(k, "record", "there are %llu streams: more than there is room for",
               (unsigned long long)k->now.now.names);
        return;
    }
    for (uint64_t n = 1; n <= last && k->wrong < 100; n++) {
        uint64_t off;
        int r = eddy_stream_number(&k->now.view, &n, &leaf, &off);
        if (r < 0) {
            report(k, "streams", "stream number %llu has no descriptor", (unsigned long long)n);
        } else if (r == 1) {
            check_stream(k, n, eddy_arena_raw(k->now.view.arena, off));
        }
    }
}

static int check_list(void *arg, struct eddy_shm_stream *list) {
    struct check *k = arg;
    eddy_list_check(&k->now.view, list, report, k);
    return k->wrong >= 100;
}

static void check_lists(struct check *k) {
    if (eddy_list_each(&k->now.view, check_list, k) < 0) {
        report(k, "list", "%s", eddy_errmsg());
    }
}

/* ---- blocks and members ---- */

static void check_block(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    struct check *k = arg;
    struct eddy_arena *a = k->now.view.arena;
    struct eddy_shm_block *b = eddy_arena_raw(a, off);
    state = eddy_view_load(&k->now.view, &b->state); /* a record may condemn it just now */
    if (EDDY_STATE_OF(state) > EDDY_RETIRED || EDDY_STATE_MEMBER(state) >= a->members_max) {
        report(k, "block", "block at byte %llu has a state that cannot be: %016llx",
               (unsigned long long)off, (unsigned long long)state);
    } else if (EDDY_STATE_OF(state) == EDDY_LINKED) {
        uint64_t shape = eddy_trie_shape(b);
        unsigned kind = EDDY_SHAPE_KIND(shape);
        if (kind < EDDY_BLOCK_NODE || kind > EDDY_BLOCK_MORE ||
            (kind == EDDY_BLOCK_NODE && (EDDY_SHAPE_BITS(shape) > EDDY_NODE_BITS ||
                                         EDDY_NODE_CLASS(EDDY_SHAPE_BITS(shape)) != class_))) {
            report(k, "block", "block at byte %llu has a shape that cannot be: %016llx",
                   (unsigned long long)off, (unsigned long long)shape);
        } else if (!eddy_stream_block_linked(&k->now.view, off) &&
                   state_of(&k->now.view, off) == EDDY_LINKED) {
            report(k, "block", "block at byte %llu is linked, but nothing leads to it",
                   (unsigned long long)off);
        } else if (kind == EDDY_BLOCK_ENTRY && !eddy_key_whole(&k->now.view, off, class_) &&
                   state_of(&k->now.view, off) == EDDY_LINKED) {
            report(k, "keys", "the entry at byte %llu has not the bytes that it says it has",
                   (unsigned long long)off);
        }
    }
}

/* ---- keys ---- */

struct snapshots {
    struct check *check;
    uint64_t listed; /* in anchors */
    uint64_t there;
    uint64_t missing;
};

/* Are there all that an anchor lists? */
static int check_anchor(struct snapshots *s, const struct eddy_key *anchor) {
    const struct eddy_view *v = &s->check->now.view;
    eddy_bytes stream = eddy_mem(anchor->name, anchor->name_len - EDDY_KEY_NUMBER);
    struct eddy_room room = {0};
    int r = eddy_key_payload(v, anchor, &room);
    size_t count = r < 0 ? 0 : anchor->data_len / 8;
    s->listed += count;
    for (size_t i = 0; r >= 0 && i < count; i++) {
        struct eddy_key_numbered key;
        struct eddy_key found;
        eddy_key_number(&key, stream, eddy_anchor_version(&room, i));
        r = eddy_key_find(v, EDDY_FAMILY_SNAPSHOT, eddy_key_bytes(&key), &found);
        s->missing += r == 0;
    }
    free(room.bytes);
    return r < 0 ? r : 0;
}

static int check_snapshot(void *arg, const struct eddy_key *key) {
    struct snapshots *s = arg;
    if (key->name_len <= EDDY_KEY_NUMBER) {
        report(s->check, "keys", "a snapshot's key has %u bytes", key->name_len);
        return 0;
    }
    if (eddy_key_number_of(key->name, key->name_len) == EDDY_ANCHOR) {
        return check_anchor(s, key);
    }
    s->there++;
    return 0;
}

/* Are the versions of a stream's snapshots listed, and does the header know what holds retention? */
static void check_keys(struct check *k) {
    struct snapshots s = {.check = k};
    struct eddy_key lowest;
    int held = eddy_key_holder(&k->now.view, &lowest);
    int r = eddy_key_each(&k->now.view, EDDY_FAMILY_SNAPSHOT, check_snapshot, &s);
    int queue = r < 0 ? 0 : eddy_once_check(&k->now.view);
    r = queue < 0 ? queue : r;
    if (k->wrong > 0 || !eddy_instant_holds(&k->now, &k->context->thread)) {
        return; /* it went on meanwhile */
    }
    if (held < 0 || r < 0) {
        report(k, "keys", "%s", eddy_errmsg());
    } else if (k->now.now.hold != (held == 1 ? lowest.value + 1 : 0)) {
        report(k, "keys", "retention is held at %llu, but the checkpoints say %llu",
               (unsigned long long)k->now.now.hold,
               (unsigned long long)(held == 1 ? lowest.value + 1 : 0));
    } else if (queue != 0) {
        report(k, "once", "the answers to keys of transactions are no whole queue");
    } else if (s.missing != 0 || s.listed != s.there) {
        report(k, "keys", "%llu snapshots of streams are there, %llu are listed",
               (unsigned long long)s.there, (unsigned long long)s.listed);
    }
}

static void check_blocks(struct check *k) {
    struct eddy_arena *a = k->now.view.arena;
    uint64_t end = eddy_arena_reserved(a);
    for (uint64_t i = 0; i < end && k->wrong < 100; i++) {
        /* [check.R2] relaxed: judged by the blocks themselves */
        uint64_t w = eddy_ld_rlx(&a->extents[i].state);
        uint64_t info = eddy_ld_rlx(&a->extents[i].info);
        if (EDDY_STATE_OF(w) != EDDY_FREE && EDDY_INFO_KIND(info) == EDDY_KIND_NODES) {
            eddy_block_each(a, (uint32_t)i, check_block, k);
        }
    }
}

/* Blocks of an event extent must follow one another up to its fill mark: where they do not, or the
 * mark. */
static uint64_t follow_blocks(const unsigned char *base, uint64_t fill) {
    uint64_t at = 0;
    while (at < fill) {
        uint32_t size;
        uint16_t kind;
        eddy_copy_out(&size, base + at, sizeof size);
        eddy_copy_out(&kind, base + at + 4, sizeof kind);
        uint64_t bytes = kind == EDDY_BLOCK_EVENT ? (uint64_t)size * 8 : size;
        if ((kind != EDDY_BLOCK_EVENT && kind != EDDY_BLOCK_HEAD) || bytes < 32 || bytes % 8 != 0 ||
            bytes > fill - at) {
            break;
        }
        at += bytes;
    }
    return at;
}

static void check_fills(struct check *k) {
    struct eddy_arena *a = k->now.view.arena;
    uint64_t end = eddy_arena_reserved(a);
    for (uint64_t i = 0; i < end && k->wrong < 100; i++) {
        struct eddy_shm_extent *e = &a->extents[i];
        /* [check.C1] acquire: pairs with [batch.P1], [append.P1], [evacuate.P1]: blocks below the mark are whole;
         * extents that are being filled are left out, since a batch that failed takes its mark back
         */
        uint64_t mark = eddy_ld_acq(&e->fill);
        uint64_t fill = EDDY_FILL_BYTES(mark);
        uint64_t w = eddy_ld_acq(&e->state);
        uint64_t info = eddy_ld_acq(&e->info);
        bool still = EDDY_STATE_OF(w) == EDDY_PARTIAL || EDDY_STATE_OF(w) == EDDY_SEALED;
        if (!still || EDDY_INFO_KIND(info) != EDDY_KIND_EVENTS) {
            continue;
        }
        if (fill > EDDY_EXTENT_SIZE) {
            report(k, "extent", "extent %llu is filled beyond its end", (unsigned long long)i);
            continue;
        }
        uint64_t at = follow_blocks(eddy_arena_raw(a, eddy_arena_extent_off(a, (uint32_t)i)), fill);
        /* [check.R3] relaxed: behind the loads, by the fence in eddy_event_same(); else it went on
         * meanwhile */
        if (at != fill && eddy_event_same(e, EDDY_STATE_GEN(w)) && eddy_ld_rlx(&e->state) == w &&
            eddy_ld_rlx(&e->fill) == mark) {
            report(k, "event", "extent %llu has no block at byte %llu", (unsigned long long)i,
                   (unsigned long long)at);
        }
    }
}

static void check_all(struct check *k) {
    struct eddy_arena *a = k->now.view.arena;
    (void)eddy_extent_check(a, report, k);
    if (k->wrong == 0) {
        check_blocks(k);
        check_fills(k);
    }
    check_events(k);
    check_streams(k);
    check_keys(k);
    check_lists(k);
}

int eddy_check(eddy_store *s, void (*fn)(void *arg, const char *room, const char *text),
               void *arg) {
    struct eddy_context *c;
    int r = eddy_store_context(s, true, &c);
    if (r < 0) {
        return r;
    }
    struct check k = {.store = s, .context = c, .fn = fn, .arg = arg};
    eddy_instant_renew(&k.now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    r = eddy_instant_take(&k.now, &c->thread);
    if (r == 0) {
        check_all(&k);
        if (!eddy_instant_sound(&k.now, &c->thread)) {
            r = eddy_error_set(EDDY_EAGAIN, "the store changes too fast to be checked read-only");
        }
    } else if (r == EDDY_ECORRUPT) {
        report(&k, "ring", "%s", eddy_errmsg());
        r = 0;
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&k.now);
    if (r == 0 && k.wrong > 0) {
        r = eddy_error_set(EDDY_ECORRUPT, "%llu things are wrong in the store",
                           (unsigned long long)k.wrong);
    }
    return r;
}
