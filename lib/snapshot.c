/* Taking a snapshot: the store as of one instant into a file, while others go on.
 *
 * I1  Offsets up to p, the head of the instant, lead to the same events for ever, or to none any
 *     more. So they are copied one after the other, each as it is met, and nobody is held up.
 * I2  What went since the instant is told behind the events, by the words that say so, loaded behind
 *     the last look at an event: so whatever was not met is below the floor or a stream's `first`.
 * I3  The span is entered for each thing anew, and left before anything is written: a snapshot that
 *     takes long, or is stopped, holds back no memory.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blockfile.h"
#include "capture.h"
#include "dump.h"
#include "error.h"
#include "gone.h"
#include "keys.h"
#include "maintain.h"
#include "reclaim.h"
#include "retain.h"
#include "store.h"
#include "told.h"
#include "upkeep.h"

enum {
    TRIES = 1000,
    PATIENCE_MS = 2000, /* so long somebody else's capture is waited for */
    CAPTURES_MAX = 10,
    CAPTURED_AT_ONCE = 256,
    LOST = 1 /* the capture was ended by somebody else */
};

/* Bytes, one record behind the other. */
struct heap {
    unsigned char *at;
    size_t len;
    size_t room;
};

struct taking {
    struct eddy_store *store;
    struct eddy_context *context;
    struct eddy_blockfile_out out;
    struct eddy_view view;
    uint64_t transactions; /* the instant is behind so many */
    struct eddy_ring_copy then;
    eddy_limits limits;
    int64_t taken_ns;
    uint64_t capture;
    bool forced;          /* somebody else's was taken over */
    struct heap entries;  /* noted, and not yet written */
    struct heap seen;     /* where they lie: all that were noted */
    unsigned family;      /* of those that are looked at */
    unsigned char *known; /* a bit for each stream number that was there */
    struct eddy_trie_leaf near;
    struct eddy_room room;
    struct eddy_dump_store facts;
    struct eddy_dump_end end;
    uint64_t bytes; /* of the finished file */
};

static int no_memory(void) {
    return eddy_error_set(EDDY_ENOMEM, "no memory for a snapshot");
}

static void *heap_add(struct heap *h, size_t bytes) {
    if (h->len + bytes > h->room) {
        size_t room = h->room * 2 + bytes + 4096;
        unsigned char *more = realloc(h->at, room);
        if (!more) {
            return NULL;
        }
        h->at = more;
        h->room = room;
    }
    void *at = h->at + h->len;
    h->len += bytes;
    return at;
}

/* ---- the instant ---- */

/* Begins a capture: its beginning is the instant. Somebody else's is waited for, for a while: it takes as
 * long as writing down the entries takes; then he is stopped, or dead. */
static int take_instant(struct taking *t) {
    struct eddy_thread *thread = &t->context->thread;
    struct eddy_attempt at;
    int r;
    for (unsigned waited = 0;; waited++) {
        bool force = waited >= PATIENCE_MS;
        eddy_rcu_enter(&thread->span);
        r = eddy_capture_begin(thread, force, &at, &t->limits, &t->capture);
        eddy_rcu_leave(&thread->span);
        t->forced = t->forced || (r == 1 && force);
        if (r != 0) {
            break;
        }
        if (eddy_store_is_closed(t->store)) {
            return eddy_error_set(EDDY_ECLOSED, "the handle was shut down");
        }
        r = eddy_maintain_sweep_dead(thread);
        if (r < 0) {
            return r;
        }
        (void)usleep(1000);
    }
    t->transactions = at.s + 1;
    t->then = at.after;
    return r < 0 ? r : 0;
}

static int write_store(struct taking *t) {
    const struct eddy_shm_super *super = t->store->arena.super;
    const eddy_limits *l = &t->limits;
    struct eddy_dump_store s = {.store_id = t->store->arena.store_id,
                                .created_ns = super->created_ns,
                                .taken_ns = t->taken_ns,
                                .transactions = t->transactions,
                                .head = t->then.next_offset - 1,
                                .floor = t->then.floor,
                                .recorded_ns = t->then.time_ns,
                                .bytes_in = t->then.bytes_in,
                                .streams_in = t->then.streams_in,
                                .revision_base = super->revision_base,
                                .cap = t->store->arena.cap,
                                .members = t->store->arena.members_max - 1,
                                .threads = t->store->arena.threads_max - 1,
                                .limits = {l->flags, l->events, l->bytes, l->streams,
                                           l->stream_events, l->names, (uint64_t)l->age_ns, l->keys,
                                           (uint64_t)l->keys_age_ns}};
    memcpy(s.writer, super->writer, sizeof super->writer);
    t->facts = s;
    return eddy_blockfile_add(&t->out, EDDY_DUMP_STORE, &s, sizeof s, NULL, 0);
}

/* ---- entries ---- */

static int note_entry(void *arg, const struct eddy_key *key) {
    struct taking *t = arg;
    struct eddy_dump_entry e = {.family = (uint16_t)t->family,
                                .key_len = (uint16_t)key->name_len,
                                .flags = key->flags,
                                .value = key->value,
                                .time_ns = key->time_ns,
                                .recorded_ns = key->recorded_ns,
                                .aux = key->aux,
                                .revision = key->revision,
                                .data_len = key->data_len,
                                .meta_len = key->meta_len};
    if (key->revision > t->store->arena.revision_base + t->transactions) {
        return 0; /* it came later */
    }
    size_t payload = (size_t)key->data_len + key->meta_len;
    int r = eddy_key_payload(&t->view, key, &t->room);
    unsigned char *at = r < 0 ? NULL : heap_add(&t->entries, sizeof e + key->name_len + payload);
    uint64_t *seen = at ? heap_add(&t->seen, sizeof *seen) : NULL;
    if (!seen) {
        return r < 0 ? r : no_memory();
    }
    memcpy(at, &e, sizeof e);
    memcpy(at + sizeof e, key->name, key->name_len);
    memcpy(at + sizeof e + key->name_len, t->room.bytes, payload);
    *seen = key->off;
    return 0;
}

/* Writes down what was noted. */
static int write_noted(struct taking *t) {
    struct heap *h = &t->entries;
    int r = 0;
    for (size_t i = 0; r == 0 && i < h->len;) {
        struct eddy_dump_entry e;
        memcpy(&e, h->at + i, sizeof e);
        size_t rest = e.key_len + (size_t)e.data_len + e.meta_len;
        r = eddy_blockfile_add(&t->out, EDDY_DUMP_ENTRIES, &e, sizeof e, h->at + i + sizeof e,
                               rest);
        i += sizeof e + rest;
        t->end.entries++;
    }
    h->len = 0;
    return r;
}

/* What stands under a cell of the root. */
static int write_cell(struct taking *t, unsigned cell) {
    struct eddy_span *span = &t->context->thread.span;
    size_t before = t->seen.len;
    int r = EDDY_KEY_MOVED;
    for (int tries = 0; r == EDDY_KEY_MOVED && tries < TRIES; tries++) {
        t->entries.len = 0;
        t->seen.len = before;
        eddy_rcu_enter(span);
        r = eddy_key_each_of_cell(&t->view, t->family, cell, note_entry, t);
        eddy_rcu_leave(span);
    }
    if (r == EDDY_KEY_MOVED) {
        return eddy_error_set(EDDY_EAGAIN, "entries change too fast for a snapshot");
    }
    return r < 0 ? r : write_noted(t);
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Some of those that were captured, from *off on: where they stood, others stand by now, or none. 0, LOST,
 * or an error. */
static int note_captured(struct taking *t, uint64_t *off, size_t seen) {
    uint64_t head;
    if (!eddy_capture_is_on(&t->view, t->capture, &head)) {
        return LOST;
    }
    *off = *off ? *off : head;
    int r = 0;
    for (int i = 0; i < CAPTURED_AT_ONCE && r == 0 && !EDDY_IS_TOMB(*off); i++) {
        struct eddy_key key;
        int family = eddy_key_at(&t->view, *off, &key);
        if (family < 0) {
            return family;
        }
        t->family = (unsigned)family;
        if (!bsearch(off, t->seen.at, seen, sizeof *off, by_number)) {
            r = note_entry(t, &key);
        }
        const struct eddy_shm_entry *e = eddy_arena_raw(t->view.arena, *off);
        *off = eddy_view_load(&t->view, &e->next);
    }
    return r;
}

static int write_captured(struct taking *t) {
    struct eddy_span *span = &t->context->thread.span;
    uint64_t off = 0;
    size_t seen = t->seen.len / sizeof off;
    int r;
    if (seen > 0) {
        qsort(t->seen.at, seen, sizeof off, by_number);
    }
    do {
        eddy_rcu_enter(span);
        r = note_captured(t, &off, seen);
        eddy_rcu_leave(span);
        r = r == 0 ? write_noted(t) : r;
    } while (r == 0 && !EDDY_IS_TOMB(off));
    return r;
}

/* All entries as of the instant: those that stand where they stood, then those that were captured. */
static int write_entries(struct taking *t) {
    static const unsigned families[] = {EDDY_FAMILY_CHECKPOINT, EDDY_FAMILY_STATE,
                                        EDDY_FAMILY_SNAPSHOT, EDDY_FAMILY_TXKEY};
    int r = 0;
    t->seen.len = 0;
    t->end.entries = 0;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (unsigned i = 0; r == 0 && i < 1u << eddy_family_bits(families[f]); i++) {
            t->family = families[f];
            r = write_cell(t, i);
        }
    }
    return r < 0 ? r : write_captured(t);
}

/* The instant, and what has to be looked at while it is kept: anew, if others needed the memory. */
static int write_instant(struct taking *t) {
    int r = LOST;
    for (int tries = 0; r == LOST && tries < CAPTURES_MAX; tries++) {
        eddy_blockfile_restart(&t->out);
        r = take_instant(t);
        if (r == 0) {
            r = write_store(t);
            r = r < 0 ? r : write_entries(t);
            int ended = eddy_reclaim_capture(&t->context->reclaim, t->capture);
            r = r == 0 && ended < 0 ? ended : r;
        }
    }
    if (t->forced) {
        eddy_grace_due(t->view.arena); /* what that one had captured, nobody takes back */
    }
    return r == LOST ? eddy_error_set(EDDY_EAGAIN, "the store has no memory left for a snapshot of "
                                                   "it: the entries are needed as they were")
                     : r;
}

/* ---- streams ---- */

static int offset_of(const struct taking *t, struct eddy_shm_stream *d, uint64_t version,
                     uint64_t *offset) {
    eddy_word *slot;
    int r = eddy_stream_slot(&t->view, d, version, NULL, &slot);
    *offset = r == 1 ? eddy_view_load(&t->view, slot) : 0;
    return r < 0 ? r : 0;
}

/* The stream's version as of the instant: the last that leads to an offset of then. Where all that are
 * there came later, those that are gone are counted as of then. */
static int version_then(const struct taking *t, struct eddy_shm_stream *d, uint64_t *version) {
    uint64_t p = t->then.next_offset - 1;
    uint64_t high = eddy_view_load(&t->view, &d->version);
    uint64_t low;
    uint64_t offset;
    int r = eddy_gone_versions(&t->view, d, &low);
    if (r == 0 && low < high) {
        r = offset_of(t, d, high, &offset);
        low = r == 0 && offset <= p ? high : low;
    }
    while (r == 0 && low < high) {
        uint64_t mid = low + (high - low + 1) / 2;
        r = offset_of(t, d, mid, &offset);
        if (offset <= p) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    *version = low;
    return r;
}

/* What is known of the stream of this number, from then: 1; 0, and *number is the last of those that
 * were forgotten together; or an error. */
static int look_at_stream(struct taking *t, uint64_t *number, struct eddy_dump_stream *s,
                          char *name) {
    uint64_t off;
    int r = eddy_stream_number(&t->view, number, &t->near, &off);
    if (r != 1) {
        return r;
    }
    struct eddy_shm_stream *d = eddy_arena_raw(t->view.arena, off);
    eddy_bytes n = eddy_stream_name(d);
    *s = (struct eddy_dump_stream){.number = *number, .name_len = (uint32_t)n.len};
    memcpy(name, n.ptr, n.len);
    r = version_then(t, d, &s->version);
    s->first = eddy_view_load(&t->view, &d->first);
    s->removed = eddy_view_load(&t->view, &d->removed);
    return r < 0 ? r : 1;
}

static int write_streams(struct taking *t) {
    struct eddy_span *span = &t->context->thread.span;
    uint64_t last = t->then.streams_in;
    t->known = calloc(last / 8 + 1, 1);
    if (!t->known) {
        return no_memory();
    }
    for (uint64_t n = 1; n <= last; n++) {
        struct eddy_dump_stream s;
        char name[256];
        eddy_rcu_enter(span);
        int r = look_at_stream(t, &n, &s, name);
        eddy_rcu_leave(span);
        if (r == 1) {
            r = eddy_blockfile_add(&t->out, EDDY_DUMP_STREAMS, &s, sizeof s, name, s.name_len);
            t->known[n / 8] |= (unsigned char)(1u << n % 8);
            t->end.streams++;
        }
        if (r < 0) {
            return r;
        }
    }
    t->near.off = 0;
    return 0;
}

/* Streams that have lost something since they were written down. */
static int write_gone(struct taking *t) {
    struct eddy_span *span = &t->context->thread.span;
    const eddy_word *cuts = &t->store->arena.super->cuts;
    t->end.floor = eddy_gone_floor(&t->view);
    if (eddy_view_load(&t->view, cuts) <= t->transactions) {
        return 0;
    }
    uint64_t last = t->then.streams_in;
    uint64_t forgotten = 0; /* those up to this number, that are looked at */
    for (uint64_t n = 1; n <= last; n++) {
        struct eddy_dump_stream s = {0};
        char name[256];
        uint64_t to = n;
        int r = 0;
        if (n > forgotten) {
            eddy_rcu_enter(span);
            r = look_at_stream(t, &to, &s, name);
            eddy_rcu_leave(span);
            forgotten = r == 0 ? to : 0;
        }
        struct eddy_dump_gone g = {n, r == 1 ? s.first : UINT64_MAX, r == 1 ? s.removed : 0};
        if ((t->known[n / 8] >> n % 8 & 1) && (r == 0 || (r == 1 && s.first != 0))) {
            r = eddy_blockfile_add(&t->out, EDDY_DUMP_GONE, &g, sizeof g, NULL, 0);
            t->end.gone++;
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* ---- events ---- */

/* The number of the event's stream; and is the event there, and all of it as it was? 1, 0 gone, -1
 * look again. */
static int judge(struct taking *t, const eddy_event *event, const struct eddy_event_more *more,
                 const eddy_word *slot, uint64_t ref, uint64_t *number) {
    struct eddy_shm_stream *d = eddy_stream_at(t->view.arena, more->stream);
    bool gone = eddy_gone_event(&t->view, event->offset, event->version, more->stream);
    /* [snapshot.R1] relaxed: constant since it was published */
    *number = d ? eddy_ld_rlx(&d->number) : 0;
    /* [snapshot.F1] acquire fence: alone: as [reader.F1]: the stream is that of the event as long as the
     * event's slot leads to it */
    eddy_fence_acq();
    return eddy_view_load(&t->view, slot) != ref ? -1 : !gone;
}

/* The event at an offset: 1, with its bytes in t->room; 0, and *offset is the last of those that are
 * gone with it; or an error. */
static int read_event(struct taking *t, uint64_t *offset, eddy_event *event,
                      struct eddy_event_more *more, uint64_t *number) {
    enum { LOOKS_MAX = 10000 };
    eddy_word *root = &t->store->arena.super->offsets_root;
    for (int looks = 0; looks < LOOKS_MAX; looks++) {
        eddy_word *slot;
        uint64_t span = 0;
        int r = eddy_trie_slot_near(&t->view, root, *offset, &t->near, &slot);
        r = r == 0 ? eddy_trie_walk(&t->view, root, *offset, &slot, &span) : r;
        if (r < 0 || span != 0) {
            *offset |= span ? span - 1 : 0;
            return r < 0 ? r : 0;
        }
        uint64_t ref = r == 1 ? eddy_view_load(&t->view, slot) : 0;
        if (ref == 0 || EDDY_IS_TOMB(ref)) {
            return ref != 0 ? 0
                            : eddy_error_set(EDDY_ECORRUPT,
                                             "event %llu is missing in the index: run `eddy check`",
                                             (unsigned long long)*offset);
        }
        r = eddy_event_read(&t->view, slot, ref, &t->room, event, more);
        int there = r == 1 ? judge(t, event, more, slot, ref, number) : -1;
        if (r < 0 || there >= 0) {
            return r < 0 ? r : there;
        }
    }
    return eddy_error_set(EDDY_ECORRUPT, "event %llu is being moved all the time",
                          (unsigned long long)*offset);
}

static int write_event(struct taking *t, const eddy_event *e, const struct eddy_event_more *more,
                       uint64_t number) {
    struct eddy_dump_event d = {.offset = e->offset,
                                .stream = number,
                                .version = e->version,
                                .time_ns = e->time_ns,
                                .recorded_ns = e->recorded_ns,
                                .shard = e->shard,
                                .tx_offset = e->tx_offset,
                                .tx_count = e->tx_count,
                                .data_len = (uint32_t)e->data.len,
                                .meta_len = (uint32_t)e->metadata.len,
                                .type_len = (uint16_t)e->type.len,
                                .id_len = (uint16_t)e->id.len,
                                .flags = more->flags};
    size_t body = e->data.len + e->metadata.len + e->type.len + e->id.len;
    t->end.events++;
    t->end.bytes += more->bytes;
    /* They lie one behind the other in the event's block, too. */
    return eddy_blockfile_add(&t->out, EDDY_DUMP_EVENTS, &d, sizeof d, e->data.ptr, body);
}

static int write_events(struct taking *t) {
    struct eddy_span *span = &t->context->thread.span;
    uint64_t last = t->then.next_offset - 1;
    uint64_t o = t->then.floor + 1;
    int r = 0;
    while (r >= 0 && o <= last) {
        eddy_event e;
        struct eddy_event_more more;
        uint64_t number = 0;
        if (eddy_store_is_closed(t->store)) {
            return eddy_error_set(EDDY_ECLOSED, "the handle was shut down");
        }
        eddy_rcu_enter(span);
        uint64_t floor = eddy_gone_floor(&t->view);
        if (o <= floor) {
            r = 0;
            o = floor;
        } else {
            r = read_event(t, &o, &e, &more, &number);
        }
        eddy_rcu_leave(span);
        if (r == 1) {
            r = write_event(t, &e, &more, number);
        }
        o++;
    }
    return r < 0 ? r : 0;
}

/* ---- all of it ---- */

static int write_end(struct taking *t) {
    int r = eddy_blockfile_add(&t->out, EDDY_DUMP_END, &t->end, sizeof t->end, NULL, 0);
    r = r < 0 ? r : eddy_blockfile_finish(&t->out, &t->bytes);
    return r;
}

static int take(struct taking *t) {
    int r = write_instant(t);
    r = r < 0 ? r : write_streams(t);
    r = r < 0 ? r : write_events(t);
    r = r < 0 ? r : write_gone(t);
    return r < 0 ? r : write_end(t);
}

static int check_options(const eddy_snapshot_options *given, eddy_snapshot_options *o) {
    memset(o, 0, sizeof *o);
    if (given) {
        if (given->size < sizeof given->size || given->size > sizeof *o) {
            return eddy_error_set(EDDY_EINVAL,
                                  "options of %u bytes: size must be "
                                  "sizeof(eddy_snapshot_options), %zu",
                                  given->size, sizeof *o);
        }
        memcpy(o, given, given->size);
    }
    o->mode = o->mode ? o->mode : 0600;
    if (o->flags != 0 || o->mode & ~0777u) {
        return eddy_error_set(EDDY_EINVAL,
                              "a snapshot with unknown flags (%#x), or a mode (%#o) with bits "
                              "that are no permissions",
                              o->flags, o->mode);
    }
    return 0;
}

int eddy_snapshot_write(eddy_store *s, const char *path, const eddy_snapshot_options *options,
                        eddy_snapshot_facts *facts) {
    struct taking t = {.store = s, .out = {.fd = -1}};
    eddy_snapshot_options o;
    int r = check_options(options, &o);
    r = r < 0 ? r : eddy_dump_check_facts(facts);
    r = r < 0 ? r : eddy_store_writer(s, &t.context);
    r = r < 0 ? r : eddy_upkeep_expire(t.context);
    if (r < 0) {
        return r;
    }
    int64_t began = eddy_told_began(s);
    t.view = (struct eddy_view){.arena = &s->arena, .span = &t.context->thread.span};
    t.taken_ns = eddy_store_now(s);
    r = eddy_blockfile_create(&t.out, path, (mode_t)o.mode);
    r = r < 0 ? r : take(&t);
    eddy_blockfile_abandon(&t.out);
    free(t.entries.at);
    free(t.seen.at);
    free(t.known);
    free(t.room.bytes);
    if (r == 0 && facts) {
        eddy_dump_give(&t.facts, &t.end, t.bytes, facts);
    }
    if (r == 0) {
        eddy_thread_count(&t.context->thread, EDDY_COUNT_SNAPSHOTS, 1);
    }
    return eddy_told(s, began, EDDY_DID_SNAPSHOT, r, 0, t.bytes);
}
