/* I1  While a batch is open, the extents of its pieces are OWNED by this member and filled by this
 *     batch alone: it takes the thread's cursor with it, and gives it back at its end.
 * I2  The fill mark in shared memory covers whole blocks only, and is raised before the commit, so
 *     that a sweep finds all that was committed.
 */
#include "batch.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "match.h"
#include "streams.h"

enum { FEW = 8, USEFUL_REST = 1024, RESUME_MAX = 4096, AHEAD = 1024 };

static int no_memory(void) {
    return eddy_error_set(EDDY_ENOMEM, "no memory for a transaction's notes");
}

static bool widen(void **at, uint32_t *room, size_t size) {
    uint32_t more = *room ? *room * 2 : 16;
    void *p = realloc(*at, more * size);
    if (!p) {
        return false;
    }
    *at = p;
    *room = more;
    return true;
}

/* Room for one more in a vector. */
#define ROOM(v) ((v).count < (v).room || widen((void **)&(v).at, &(v).room, sizeof *(v).at))

void eddy_batch_init(struct eddy_batch *b) {
    memset(b, 0, sizeof *b);
}

static void forget_puts(struct eddy_batch *b) {
    for (uint32_t i = 0; i < b->puts.count; i++) {
        free(b->puts.at[i].own);
    }
    b->puts.count = 0;
}

static void free_queries(struct eddy_batch *b) {
    for (uint32_t i = 0; i < b->queries.count; i++) {
        free(b->queries.at[i].bytes);
    }
    b->queries.count = 0;
}

void eddy_batch_fini(struct eddy_batch *b) {
    free_queries(b);
    free(b->streams.at);
    free(b->events.at);
    free(b->parts.at);
    free(b->part_streams.at);
    free(b->conditions.at);
    free(b->queries.at);
    free(b->pieces.at);
    free(b->cuts.at);
    forget_puts(b);
    free(b->puts.at);
    free(b->shards.at);
    free(b->empty_lists.at);
    free(b->names.at);
    free(b->table.at);
    memset(b, 0, sizeof *b);
}

void eddy_batch_clear(struct eddy_batch *b) {
    b->streams.count = 0;
    b->events.count = 0;
    b->parts.count = 0;
    b->part_streams.count = 0;
    b->conditions.count = 0;
    free_queries(b);
    b->pieces.count = 0;
    b->cuts.count = 0;
    forget_puts(b);
    b->shards.count = 0;
    b->empty_lists.count = 0;
    b->sharded = 0;
    b->limits = NULL;
    b->enforce = false;
    b->reset = false;
    b->drop = 0;
    b->names.count = 0;
    b->key_len = 0;
    if (b->table.count > 0) {
        memset(b->table.at, 0, b->table.room * sizeof *b->table.at);
        b->table.count = 0;
    }
    b->bytes = 0;
    b->open = false;
    b->tx_before = 0;
    b->tx_count = 0;
}

/* ---- streams ---- */

static bool same(const struct eddy_batch *b, uint32_t i, eddy_bytes name, uint64_t hash) {
    eddy_bytes n = eddy_batch_name(b, i);
    return b->streams.at[i].hash == hash && n.len == name.len &&
           memcmp(n.ptr, name.ptr, n.len) == 0;
}

static uint32_t place_of(const struct eddy_batch *b, eddy_bytes name, uint64_t hash) {
    uint32_t mask = b->table.room - 1;
    uint32_t i = (uint32_t)(hash ^ hash >> 32) & mask;
    while (b->table.at[i] != 0 && !same(b, b->table.at[i] - 1, name, hash)) {
        i = (i + 1) & mask;
    }
    return i;
}

/* Puts all streams into a table twice as large as is needed. */
static int index_streams(struct eddy_batch *b) {
    uint32_t room = b->table.room ? b->table.room : 64;
    while (room < 4 * b->streams.count) {
        room *= 2;
    }
    uint32_t *at = calloc(room, sizeof *at);
    if (!at) {
        return no_memory();
    }
    free(b->table.at);
    b->table.at = at;
    b->table.room = room;
    b->table.count = b->streams.count;
    for (uint32_t i = 0; i < b->streams.count; i++) {
        at[place_of(b, eddy_batch_name(b, i), b->streams.at[i].hash)] = i + 1;
    }
    return 0;
}

static int64_t find(struct eddy_batch *b, eddy_bytes name, uint64_t hash, uint32_t *place) {
    if (b->streams.count <= FEW) {
        for (uint32_t i = 0; i < b->streams.count; i++) {
            if (same(b, i, name, hash)) {
                return i;
            }
        }
        return -1;
    }
    if (b->table.count * 2 >= b->table.room || b->table.count < b->streams.count) {
        int r = index_streams(b);
        if (r < 0) {
            return EDDY_ENOMEM - 1;
        }
    }
    *place = place_of(b, name, hash);
    return (int64_t)b->table.at[*place] - 1;
}

static bool add_name(struct eddy_batch *b, eddy_bytes name) {
    while (b->names.room - b->names.count < name.len) {
        uint32_t room = b->names.room ? b->names.room * 2 : 512;
        unsigned char *p = realloc(b->names.at, room);
        if (!p) {
            return false;
        }
        b->names.at = p;
        b->names.room = room;
    }
    memcpy(b->names.at + b->names.count, name.ptr, name.len);
    return true;
}

int64_t eddy_batch_stream(struct eddy_batch *b, struct eddy_arena *a, eddy_bytes name) {
    uint64_t hash = eddy_stream_hash(a, name);
    uint32_t place = UINT32_MAX;
    int64_t i = find(b, name, hash, &place);
    if (i >= 0) {
        return i;
    }
    if (i < -1 || !ROOM(b->streams) || !add_name(b, name)) {
        return no_memory();
    }
    struct eddy_batch_stream *s = &b->streams.at[b->streams.count];
    memset(s, 0, sizeof *s);
    s->hash = hash;
    s->name_at = b->names.count;
    s->name_len = (uint32_t)name.len;
    b->names.count += (uint32_t)name.len;
    b->streams.count++;
    if (place != UINT32_MAX) {
        b->table.at[place] = b->streams.count;
        b->table.count++;
    }
    return b->streams.count - 1;
}

int eddy_batch_expect(struct eddy_batch *b, uint32_t stream, int64_t expected) {
    if (!ROOM(b->conditions)) {
        return no_memory();
    }
    b->conditions.at[b->conditions.count++] =
        (struct eddy_batch_condition){.kind = EDDY_ON_STREAM, .of = stream, .expected = expected};
    return 0;
}

int eddy_batch_expect_none(struct eddy_batch *b, struct eddy_arena *a, const eddy_select *select) {
    struct eddy_batch_query q = {.select = *select};
    if (!ROOM(b->conditions) || !ROOM(b->queries)) {
        return no_memory();
    }
    if (select->stream.len > 0) {
        int64_t s = eddy_batch_stream(b, a, select->stream);
        if (s < 0) {
            return (int)s;
        }
        q.stream = (uint32_t)s;
    }
    q.bytes = eddy_match_keep(&q.select);
    if (!q.bytes) {
        return EDDY_ENOMEM;
    }
    b->conditions.at[b->conditions.count++] =
        (struct eddy_batch_condition){.kind = EDDY_ON_QUERY, .of = b->queries.count};
    b->queries.at[b->queries.count++] = q;
    return 0;
}

int eddy_batch_key(struct eddy_batch *b, eddy_bytes key) {
    if (!add_name(b, key)) {
        return no_memory();
    }
    b->key_at = b->names.count;
    b->key_len = (uint32_t)key.len;
    b->names.count += b->key_len;
    return 0;
}

int eddy_batch_cut(struct eddy_batch *b, uint32_t stream, uint32_t kind, uint64_t version) {
    if (!ROOM(b->cuts)) {
        return no_memory();
    }
    b->cuts.at[b->cuts.count++] =
        (struct eddy_batch_cut){.stream = stream, .kind = kind, .version = version};
    return 0;
}

int eddy_batch_empty_list(struct eddy_batch *b, const unsigned char *key) {
    if (!ROOM(b->empty_lists)) {
        return no_memory();
    }
    struct eddy_batch_list *l = &b->empty_lists.at[b->empty_lists.count++];
    memcpy(l->key, key, sizeof l->key);
    return 0;
}

/* ---- keys ---- */

static struct eddy_batch_condition on_key(const struct eddy_batch *b, uint64_t hash, eddy_bytes key,
                                          int64_t expected) {
    return (struct eddy_batch_condition){.kind = EDDY_ON_KEY,
                                         .name_at = b->names.count,
                                         .name_len = (uint32_t)key.len,
                                         .hash = hash,
                                         .expected = expected};
}

int eddy_batch_expect_key(struct eddy_batch *b, const struct eddy_arena *a, unsigned family,
                          eddy_bytes key, int64_t expected) {
    if (!ROOM(b->conditions) || !add_name(b, key)) {
        return no_memory();
    }
    b->conditions.at[b->conditions.count++] =
        on_key(b, eddy_keyed_hash(a, family, key), key, expected);
    b->names.count += (uint32_t)key.len;
    return 0;
}

/* Data and metadata, one behind the other, in memory of the batch. */
static bool keep_bytes(struct eddy_batch_put *put) {
    size_t data = put->data.len;
    size_t metadata = put->metadata.len;
    unsigned char *at = malloc(data + metadata + 1);
    if (!at) {
        return false;
    }
    if (data > 0) {
        memcpy(at, put->data.ptr, data);
    }
    if (metadata > 0) {
        memcpy(at + data, put->metadata.ptr, metadata);
    }
    put->own = at;
    put->data.ptr = at;
    put->metadata.ptr = at + data;
    return true;
}

int eddy_batch_put(struct eddy_batch *b, const struct eddy_arena *a, unsigned family,
                   eddy_bytes key, const struct eddy_batch_put *put, int64_t expected, bool keep) {
    if (!ROOM(b->puts) || !ROOM(b->conditions) || !add_name(b, key)) {
        return no_memory();
    }
    struct eddy_batch_put *to = &b->puts.at[b->puts.count];
    *to = *put;
    to->own = NULL;
    if (keep && put->data.len + put->metadata.len > 0 && !keep_bytes(to)) {
        return no_memory();
    }
    to->hash = eddy_keyed_hash(a, family, key);
    to->name_at = b->names.count;
    to->name_len = (uint32_t)key.len;
    if (expected != EDDY_ANY) {
        b->conditions.at[b->conditions.count++] = on_key(b, to->hash, key, expected);
    }
    b->names.count += (uint32_t)key.len;
    b->puts.count++;
    return 0;
}

/* ---- events ---- */

static struct eddy_batch_piece *last_piece(struct eddy_batch *b) {
    return &b->pieces.at[b->pieces.count - 1];
}

static void set_fill(struct eddy_arena *a, const struct eddy_batch_piece *p, uint64_t fill,
                     uint32_t events) {
    struct eddy_shm_extent *e = eddy_extent_line(a, eddy_arena_extent_of(a, p->base));
    /* [batch.P1] release: pairs with [check.C1]. The blocks below the mark are whole. Death after:
     * they are judged by whether the index leads to them. */
    eddy_st_rel(&e->fill, EDDY_FILL(events, fill));
}

/* Places the head behind the part's last event, and tells the events where it is. */
static void close_part(struct eddy_batch *b, struct eddy_thread *t) {
    struct eddy_batch_part *part = &b->parts.at[b->parts.count - 1];
    struct eddy_batch_piece *p = last_piece(b);
    if (part->head == 0) {
        part->head = p->base + p->end;
        p->end += eddy_event_head_size(part->streams);
    }
    /* Whole before the mark covers it: whoever follows the blocks finds its end. */
    EDDY_PUT(struct eddy_shm_head, eddy_arena_raw(t->arena, part->head),
             {
                 .size = (uint32_t)eddy_event_head_size(part->streams),
                 .kind = EDDY_BLOCK_HEAD,
                 .streams = (uint16_t)part->streams,
             });
    for (uint32_t i = 0; i < part->events; i++) {
        uint64_t off = b->events.at[part->first + i].off;
        eddy_event_set_head(eddy_arena_raw(t->arena, off), part->head - part->base);
    }
    set_fill(t->arena, p, p->end, p->end_events);
    b->open = false;
}

static void add_piece(struct eddy_batch *b, struct eddy_cursor c, uint32_t run) {
    b->pieces.at[b->pieces.count++] = (struct eddy_batch_piece){.base = c.base,
                                                                .fill = c.fill,
                                                                .size = c.size,
                                                                .run = run,
                                                                .events = c.events,
                                                                .end = c.fill,
                                                                .end_events = c.events};
}

static void open_part(struct eddy_batch *b) {
    b->parts.at[b->parts.count++] = (struct eddy_batch_part){
        .base = last_piece(b)->base, .first = b->events.count, .streams_at = b->part_streams.count};
    b->open = true;
}

/* An extent that another has left, with room for `need`. */
static bool resume(struct eddy_thread *t, uint64_t need, struct eddy_cursor *c) {
    uint32_t idx;
    if (need > RESUME_MAX || !eddy_extent_resume(t->arena, t->member, 0, &idx)) {
        return false;
    }
    /* [batch.R1] relaxed: ours since it was taken, which acquired it */
    uint64_t mark = eddy_ld_rlx(&eddy_extent_line(t->arena, idx)->fill);
    uint64_t fill = EDDY_FILL_BYTES(mark);
    if (fill % 8 != 0 || fill > EDDY_EXTENT_SIZE || EDDY_EXTENT_SIZE - fill < need) {
        eddy_extent_seal(t->arena, idx);
        return false;
    }
    *c = (struct eddy_cursor){.base = eddy_arena_extent_off(t->arena, idx),
                              .fill = fill,
                              .size = EDDY_EXTENT_SIZE,
                              .events = EDDY_FILL_EVENTS(mark)};
    return true;
}

static void leave_piece(struct eddy_arena *a, uint64_t base, uint64_t fill, uint64_t size) {
    uint32_t idx = eddy_arena_extent_of(a, base);
    if (size - fill >= USEFUL_REST) {
        eddy_extent_leave(a, idx);
    } else {
        eddy_extent_seal(a, idx);
    }
}

/* Finds a new piece with room for `need` bytes, the head of a part with one stream included. */
static int next_piece(struct eddy_batch *b, struct eddy_thread *t, uint64_t need) {
    struct eddy_arena *a = t->arena;
    struct eddy_cursor c = {0};
    uint32_t run = 1;
    if (!ROOM(b->pieces) || !ROOM(b->parts)) {
        return no_memory();
    }
    if (need > EDDY_EXTENT_SIZE) {
        run = (uint32_t)((need + EDDY_EXTENT_SIZE - 1) / EDDY_EXTENT_SIZE);
    } else if (t->cursor.base) {
        c = t->cursor;
        t->cursor.base = 0;
        if (c.size - c.fill < need) {
            leave_piece(a, c.base, c.fill, c.size);
            c.base = 0;
        }
    }
    if (!c.base && (run > 1 || !resume(t, need, &c))) {
        uint32_t idx;
        unsigned kind = run > 1 ? EDDY_KIND_LARGE : EDDY_KIND_EVENTS;
        int r = eddy_extent_take(a, t->member, kind, 0, run, &idx);
        if (r < 0) {
            return r;
        }
        eddy_thread_count(t, EDDY_COUNT_EXTENTS, run);
        c = (struct eddy_cursor){.base = eddy_arena_extent_off(a, idx),
                                 .size = (uint64_t)run * EDDY_EXTENT_SIZE};
    }
    add_piece(b, c, run);
    open_part(b);
    if (run > 1) {
        /* The head of a large event's part comes first: it must lie in the first extent. */
        b->parts.at[b->parts.count - 1].head = c.base;
        last_piece(b)->end = eddy_event_head_size(1);
    }
    return 0;
}

/* Whether an event of `size` bytes of a stream fits into the open part. */
static bool fits(struct eddy_batch *b, const struct eddy_batch_stream *s, uint64_t size) {
    if (!b->open || last_piece(b)->run > 1) {
        return false;
    }
    const struct eddy_batch_part *part = &b->parts.at[b->parts.count - 1];
    const struct eddy_batch_piece *p = last_piece(b);
    uint32_t streams = part->streams + (s->part != b->parts.count);
    return p->end + size + eddy_event_head_size(streams) <= p->size && part->events < UINT16_MAX;
}

/* Makes the stream one of the open part's. */
static int join_part(struct eddy_batch *b, uint32_t stream) {
    struct eddy_batch_stream *s = &b->streams.at[stream];
    struct eddy_batch_part *part = &b->parts.at[b->parts.count - 1];
    if (s->part == b->parts.count) {
        return 0;
    }
    if (!ROOM(b->part_streams)) {
        return no_memory();
    }
    b->part_streams.at[b->part_streams.count++] =
        (struct eddy_batch_part_stream){.stream = stream, .first = s->events};
    s->part = b->parts.count;
    s->part_at = part->streams++;
    s->part_first = s->events;
    return 0;
}

/* Makes sure that the open part has the stream, and room for an event of it. */
static int make_room(struct eddy_batch *b, struct eddy_thread *t, uint32_t stream, uint64_t size) {
    if (!fits(b, &b->streams.at[stream], size)) {
        if (b->open) {
            close_part(b, t);
        }
        int r = next_piece(b, t, size + eddy_event_head_size(1));
        if (r < 0) {
            return r;
        }
    }
    return join_part(b, stream);
}

/* How many of `count` events the open part may take, by their number. */
static size_t at_most(const struct eddy_batch *b, size_t count) {
    const struct eddy_batch_part *part = &b->parts.at[b->parts.count - 1];
    size_t most = b->pieces.at[b->pieces.count - 1].run > 1 ? 1 : UINT16_MAX - part->events;
    size_t room = b->events.room - b->events.count;
    most = most < room ? most : room;
    return count < most ? count : most;
}

/* Writes events into the open part for as long as they fit. Returns how many. Its numbers are in
 * variables meanwhile, since each store to the block might be one to them. */
static inline __attribute__((always_inline)) size_t
fill_part(struct eddy_batch *b, struct eddy_thread *t, uint32_t stream,
          const eddy_new_event *events, size_t count, bool tagged, void **data) {
    struct eddy_batch_stream *s = &b->streams.at[stream];
    struct eddy_batch_part *part = &b->parts.at[b->parts.count - 1];
    struct eddy_batch_piece *p = last_piece(b);
    struct eddy_batch_event *note = &b->events.at[b->events.count];
    unsigned char *base = eddy_arena_raw(t->arena, p->base);
    const uint64_t piece = p->base;
    const uint64_t limit = p->size - (part->head ? 0 : eddy_event_head_size(part->streams));
    const uint32_t index = part->events;
    const uint32_t k = s->events;
    const uint32_t step = k - s->part_first;
    const uint16_t part_at = (uint16_t)s->part_at;
    const size_t most = at_most(b, count);
    uint64_t end = p->end;
    void *at = NULL;
    uint32_t sharded = 0;
    uint32_t n = 0;
    for (; n < most; n++) {
        uint64_t size = eddy_event_size(&events[n], tagged);
        if (size > limit - end) {
            break;
        }
        eddy_at_fetch_write(base + end + AHEAD); /* the processor does not do so across a page */
        at = eddy_event_write(base + end, &events[n], tagged, size, (uint16_t)(index + n), part_at,
                              (uint16_t)(step + n));
        note[n] = (struct eddy_batch_event){
            .off = piece + end, .bytes = size, .stream = stream, .k = k + n};
        end += size;
        sharded += eddy_event_in_shard(&events[n]);
    }
    if (data && n > 0) {
        *data = at;
    }
    b->events.count += n;
    part->events += n;
    s->events += n;
    s->bytes += end - p->end;
    b->bytes += end - p->end;
    b->sharded += sharded;
    p->end = end;
    p->end_events += n;
    return n;
}

int eddy_batch_append(struct eddy_batch *b, struct eddy_thread *t, uint32_t stream,
                      const eddy_new_event *events, size_t count, bool tagged, void **data) {
    for (size_t i = 0; i < count;) {
        if (!ROOM(b->events)) {
            return no_memory();
        }
        int r = make_room(b, t, stream, eddy_event_size(&events[i], tagged));
        if (r < 0) {
            return r;
        }
        i += tagged ? fill_part(b, t, stream, &events[i], count - i, true, data)
                    : fill_part(b, t, stream, &events[i], count - i, false, data);
    }
    return 0;
}

int eddy_batch_close(struct eddy_batch *b, struct eddy_thread *t) {
    if (b->open) {
        close_part(b, t);
    }
    return 0;
}

void eddy_batch_write_heads(struct eddy_batch *b, struct eddy_arena *a, uint64_t first_offset,
                            int64_t recorded_ns) {
    for (uint32_t i = 0; i < b->parts.count; i++) {
        const struct eddy_batch_part *part = &b->parts.at[i];
        unsigned char *at = eddy_arena_raw(a, part->head);
        EDDY_PUT(struct eddy_shm_head, at,
                 {
                     .size = (uint32_t)eddy_event_head_size(part->streams),
                     .kind = EDDY_BLOCK_HEAD,
                     .streams = (uint16_t)part->streams,
                     .tx_offset = first_offset - b->tx_before,
                     .recorded_ns = recorded_ns,
                     .first = part->first + b->tx_before,
                     .tx_count = b->tx_count ? b->tx_count : b->events.count,
                 });
        at += sizeof(struct eddy_shm_head);
        for (uint32_t k = 0; k < part->streams; k++) {
            const struct eddy_batch_part_stream *ps = &b->part_streams.at[part->streams_at + k];
            const struct eddy_batch_stream *s = &b->streams.at[ps->stream];
            EDDY_PUT(struct eddy_shm_part, at,
                     {.stream = s->desc ? s->desc : s->fresh, .version = s->base + ps->first + 1});
            at += sizeof(struct eddy_shm_part);
        }
    }
}

/* ---- ends ---- */

/* The last piece that can be filled on is the thread's cursor again. */
static void give_back(struct eddy_thread *t, const struct eddy_batch_piece *p, uint64_t fill,
                      uint32_t events) {
    if (p->run > 1) {
        eddy_extent_seal(t->arena, eddy_arena_extent_of(t->arena, p->base));
    } else if (t->cursor.base == 0) {
        t->cursor =
            (struct eddy_cursor){.base = p->base, .fill = fill, .size = p->size, .events = events};
    } else {
        leave_piece(t->arena, p->base, fill, p->size);
    }
}

void eddy_batch_keep(struct eddy_batch *b, struct eddy_thread *t) {
    for (uint32_t i = b->pieces.count; i-- > 0;) {
        const struct eddy_batch_piece *p = &b->pieces.at[i];
        for (uint32_t k = 1; k < p->run; k++) {
            eddy_extent_seal(t->arena, eddy_arena_extent_of(t->arena, p->base) + k);
        }
        give_back(t, p, p->end, p->end_events);
    }
    b->pieces.count = 0;
}

void eddy_batch_drop(struct eddy_batch *b, struct eddy_thread *t) {
    for (uint32_t i = b->pieces.count; i-- > 0;) {
        const struct eddy_batch_piece *p = &b->pieces.at[i];
        if (p->fill == 0) {
            eddy_extent_give(t->arena, eddy_arena_extent_of(t->arena, p->base), p->run);
        } else {
            /* The mark goes back before anything is written over what it covered. */
            set_fill(t->arena, p, p->fill, p->events);
            give_back(t, p, p->fill, p->events);
        }
    }
    b->pieces.count = 0;
}
