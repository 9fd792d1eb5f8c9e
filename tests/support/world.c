#include "world.h"

#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FULL = WORLD_LIVE - 64 };

void world_init(struct world *world) {
    static const char *const kinds[] = {"user-", "order/", "us", "\xff", "s"};
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        snprintf(world->streams[i].name, sizeof world->streams[i].name, "%s%u", kinds[i % 5], i);
    }
}

bool world_is_full(const struct world *world) {
    return world->count > FULL / 2;
}

eddy_bytes world_name(const struct world *world, uint32_t stream) {
    return eddy_str(world->streams[stream].name);
}

/* ---- events ---- */

void world_random_event(struct rng *rng, uint32_t stream, struct world_new *event) {
    uint64_t kind = rng_below(rng, 4);
    *event = (struct world_new){.seed = rng_next(rng), .stream = stream};
    event->data_len = (uint32_t)(rng_once_in(rng, 400)  ? rng_below(rng, 30000)
                                 : rng_once_in(rng, 20) ? rng_below(rng, 1000)
                                                        : rng_below(rng, 40));
    event->metadata_len = rng_once_in(rng, 3) ? (uint32_t)rng_below(rng, 40) : 0;
    event->type = (uint32_t)rng_below(rng, WORLD_TYPES);
    event->id = rng_once_in(rng, 3);
    event->shard = rng_once_in(rng, 2) ? rng_below(rng, 4) : 0;
    event->time_ns = kind < 2 ? (int64_t)rng_below(rng, 2000000) - 1000000 : 0;
    event->flags = (kind == 1 ? EDDY_TIME_GIVEN : 0) | (rng_once_in(rng, 3) ? EDDY_SHARD_GIVEN : 0);
}

void world_give(const struct world_new *event, struct world_room *room, eddy_new_event *given) {
    struct rng bytes = {.state = event->seed};
    size_t len = (size_t)event->data_len + event->metadata_len;
    if (room->len < len) {
        room->len = len * 2;
        room->bytes = realloc(room->bytes, room->len);
        CHECK(room->bytes);
    }
    rng_fill(&bytes, room->bytes, len);
    *given =
        (eddy_new_event){.data = eddy_mem(room->bytes, event->data_len),
                         .metadata = eddy_mem(room->bytes + event->data_len, event->metadata_len),
                         .time_ns = event->time_ns,
                         .shard = event->shard,
                         .flags = event->flags};
    if (event->type) {
        snprintf(room->type, sizeof room->type, "type-%u", event->type);
        given->type = eddy_str(room->type);
    }
    if (event->id) {
        snprintf(room->id, sizeof room->id, "id-%016" PRIx64, event->seed);
        given->id = eddy_str(room->id);
    }
}

void world_read(const struct world *world, const struct world_event *event, struct world_room *room,
                eddy_event *read) {
    eddy_new_event given;
    world_give(&event->given, room, &given);
    if (!event->given.id) {
        snprintf(room->id, sizeof room->id, "%s-%" PRIu64, world->streams[event->given.stream].name,
                 event->version);
        given.id = eddy_str(room->id);
    }
    bool has_time = given.time_ns != 0 || (given.flags & EDDY_TIME_GIVEN);
    bool in_shard = world_in_shard(&event->given);
    *read = (eddy_event){.offset = event->offset,
                         .version = event->version,
                         .stream = world_name(world, event->given.stream),
                         .type = given.type,
                         .id = given.id,
                         .data = given.data,
                         .metadata = given.metadata,
                         .time_ns = has_time ? given.time_ns : event->recorded_ns,
                         .recorded_ns = event->recorded_ns,
                         .shard = given.shard,
                         .flags =
                             (has_time ? EDDY_TIME_GIVEN : 0u) | (in_shard ? EDDY_SHARD_GIVEN : 0u),
                         .tx_offset = event->tx_offset,
                         .tx_count = event->tx_count};
}

static uint64_t hash_bytes(uint64_t h, const void *ptr, size_t len) {
    const unsigned char *at = ptr;
    for (size_t i = 0; i < len; i++) {
        h = (h ^ at[i]) * UINT64_C(0x100000001b3);
    }
    return h ^ len;
}

int64_t world_time(const struct world_event *event) {
    bool given = event->given.time_ns != 0 || (event->given.flags & EDDY_TIME_GIVEN);
    return given ? event->given.time_ns : event->recorded_ns;
}

bool world_in_shard(const struct world_new *event) {
    return event->shard != 0 || (event->flags & EDDY_SHARD_GIVEN);
}

uint64_t world_hash(const eddy_event *e) {
    const uint64_t numbers[] = {
        e->offset, e->version,   (uint64_t)e->time_ns, (uint64_t)e->recorded_ns,
        e->shard,  e->tx_offset, e->tx_count,          e->flags};
    const eddy_bytes bytes[] = {e->stream, e->type, e->id, e->data, e->metadata};
    uint64_t h = hash_bytes(UINT64_C(0xcbf29ce484222325), numbers, sizeof numbers);
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        h = hash_bytes(h, bytes[i].ptr, bytes[i].len);
    }
    return h < 2 ? 2 : h;
}

/* The first event that is there from an offset on. */
static uint32_t from_offset(const struct world *world, uint64_t offset) {
    uint32_t low = 0;
    uint32_t high = world->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (world->live[mid].offset < offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const struct world_event *world_at(const struct world *world, uint64_t offset) {
    uint32_t i = from_offset(world, offset);
    return i < world->count && world->live[i].offset == offset ? &world->live[i] : NULL;
}

const struct world_event *world_at_version(const struct world *world, uint32_t stream,
                                           uint64_t version) {
    for (uint32_t i = 0; i < world->count; i++) {
        const struct world_event *e = &world->live[i];
        if (e->given.stream == stream && e->version == version) {
            return e;
        }
    }
    return NULL;
}

static bool has_type(const struct world_new *event, const eddy_select *select) {
    char type[16] = "";
    if (event->type) {
        snprintf(type, sizeof type, "type-%u", event->type);
    }
    for (size_t i = 0; i < select->type_count; i++) {
        if (select->types[i].len == strlen(type) &&
            memcmp(select->types[i].ptr, type, select->types[i].len) == 0) {
            return true;
        }
    }
    return select->type_count == 0;
}

static bool is_named(eddy_bytes name, const eddy_select *s) {
    if (s->stream.len > 0 &&
        (s->stream.len != name.len || memcmp(s->stream.ptr, name.ptr, name.len) != 0)) {
        return false;
    }
    return s->prefix.len <= name.len &&
           (s->prefix.len == 0 || memcmp(s->prefix.ptr, name.ptr, s->prefix.len) == 0);
}

static bool within(int64_t time, int64_t from, int64_t to) {
    return (from == 0 || time >= from) && (to == 0 || time <= to);
}

bool world_selects(const struct world *world, const struct world_event *e, const eddy_select *s) {
    int64_t time = world_time(e);
    if ((s->flags & EDDY_SHARD) && (!world_in_shard(&e->given) || e->given.shard != s->shard)) {
        return false;
    }
    return e->offset > s->after_offset && (s->to_offset == 0 || e->offset <= s->to_offset) &&
           (s->before_offset == 0 || e->offset < s->before_offset) &&
           e->version > s->after_version && (s->to_version == 0 || e->version <= s->to_version) &&
           (s->before_version == 0 || e->version < s->before_version) &&
           within(time, s->from_time_ns, s->to_time_ns) &&
           within(e->recorded_ns, s->from_recorded_ns, s->to_recorded_ns) &&
           is_named(world_name(world, e->given.stream), s) && has_type(&e->given, s);
}

/* ---- removing ---- */

/* Of a stream (WORLD_NONE: of all), the events up to a version; at most `most` of them. */
static uint64_t drop(struct world *world, uint32_t stream, uint64_t version, uint64_t most) {
    uint32_t kept = 0;
    uint64_t n = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct world_event *e = &world->live[i];
        if (n < most && (stream == WORLD_NONE || e->given.stream == stream) &&
            e->version <= version) {
            n++;
        } else {
            world->live[kept++] = *e;
        }
    }
    world->count = kept;
    return n;
}

static bool has_events(const struct world *world, uint32_t stream) {
    for (uint32_t i = 0; i < world->count; i++) {
        if (world->live[i].given.stream == stream) {
            return true;
        }
    }
    return false;
}

uint64_t world_cut(struct world *world, enum cut_kind kind, uint32_t stream, uint64_t version) {
    struct world_stream *s = &world->streams[stream];
    uint64_t upto = kind == CUT_TRUNCATE && version < s->version ? version : s->version;
    uint64_t n = s->known ? drop(world, stream, upto, UINT64_MAX) : 0;
    s->cut = s->cut > upto ? s->cut : upto;
    if (kind != CUT_TRUNCATE) {
        s->there = false;
    }
    if (kind == CUT_FORGET) {
        s->known = false;
        s->version = 0;
        s->cut = 0;
    }
    return n;
}

uint64_t world_remove_empty(struct world *world) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        if (world->streams[i].there && !has_events(world, i)) {
            (void)world_cut(world, CUT_DELETE, i, 0);
            n++;
        }
    }
    return n;
}

uint64_t world_forget_removed(struct world *world) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        if (world->streams[i].known && !world->streams[i].there) {
            (void)world_cut(world, CUT_FORGET, i, 0);
            n++;
        }
    }
    return n;
}

uint64_t world_keep(struct world *world, uint32_t events) {
    uint64_t n = 0;
    if (world->count > events) {
        (void)drop(world, WORLD_NONE, UINT64_MAX, world->count - events);
    }
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        struct world_stream *s = &world->streams[i];
        /* What its user has emptied is to stay. */
        if (s->there && s->cut < s->version && !has_events(world, i)) {
            s->there = false;
            n++;
        }
    }
    return n;
}

/* ---- transactions ---- */

static bool holds(const struct world_stream *s, int64_t expected) {
    return expected == EDDY_ANY || (expected == EDDY_EXISTS && s->there) ||
           (expected == EDDY_NONE && !s->there) ||
           (expected >= 0 && (uint64_t)expected == s->version);
}

/* A stream cannot be forgotten and appended to in one, if it is known. */
static bool is_absurd(const struct world *world, const struct op *op) {
    for (uint32_t i = 0; i < op->cut_count; i++) {
        if (op->cuts[i].kind != CUT_FORGET || !world->streams[op->cuts[i].stream].known) {
            continue;
        }
        for (uint32_t k = 0; k < op->event_count; k++) {
            if (op->events[k].stream == op->cuts[i].stream) {
                return true;
            }
        }
    }
    return false;
}

static bool key_holds(const struct world_key *k, int64_t expected) {
    return expected == EDDY_ANY || (expected == EDDY_EXISTS && k->there) ||
           (expected == EDDY_NONE && !k->there) ||
           (expected > 0 && k->there && (uint64_t)expected == k->revision);
}

/* The condition of an index; those of what is put come after the others, if they are any. False: there is
 * no such. */
static bool condition_at(const struct op *op, uint32_t index, struct op_condition *c) {
    if (index < op->condition_count) {
        *c = op->conditions[index];
        return true;
    }
    index -= op->condition_count;
    for (uint32_t i = 0; i < op->put_count; i++) {
        const struct world_put *p = &op->puts[i];
        if (p->expected != EDDY_ANY && index-- == 0) {
            *c = (struct op_condition){WORLD_NONE, p->key, p->expected};
            return true;
        }
    }
    return false;
}

int world_judge(const struct world *world, const struct op *op, uint32_t *condition) {
    struct op_condition c;
    for (uint32_t i = 0; condition_at(op, i, &c); i++) {
        if (c.stream != WORLD_NONE ? !holds(&world->streams[c.stream], c.expected)
                                   : !key_holds(&world->keys[c.key], c.expected)) {
            *condition = i;
            return EDDY_ECONFLICT;
        }
    }
    return is_absurd(world, op) ? EDDY_EINVAL : 0;
}

bool world_explains(const struct world *world, const struct op *op, const struct op_done *done) {
    uint32_t condition = 0;
    int due = world_judge(world, op, &condition);
    if (due != done->got || due != EDDY_ECONFLICT) {
        return due == done->got;
    }
    struct op_condition c = {0};
    char text[32];
    (void)condition_at(op, condition, &c);
    bool of_key = c.stream == WORLD_NONE;
    const struct world_key *k = &world->keys[c.key];
    uint64_t actual = of_key ? (k->there ? k->revision : 0) : world->streams[c.stream].version;
    eddy_bytes name = of_key ? world_key_name(world, c.key, text) : world_name(world, c.stream);
    const eddy_result *r = &done->result;
    return r->condition == condition && r->expected == c.expected && r->actual == actual &&
           r->stream_len == name.len && memcmp(r->stream, name.ptr, name.len) == 0 &&
           r->first_offset == 0 && r->last_offset == 0 && r->removed == 0;
}

static void place(struct world *world, const struct op *op, uint32_t k, const eddy_result *r) {
    struct world_event *e = &world->live[world->count++];
    struct world_stream *s = &world->streams[op->events[k].stream];
    static struct world_room room;
    eddy_event read;
    CHECK(world->count <= WORLD_LIVE && world->head + 1 < WORLD_EVER);
    s->known = true;
    s->there = true;
    *e = (struct world_event){.given = op->events[k],
                              .offset = ++world->head,
                              .version = ++s->version,
                              .tx_offset = r->first_offset,
                              .tx_count = op->event_count,
                              .recorded_ns = r->recorded_ns};
    world_read(world, e, &room, &read);
    world->hashes[e->offset] = world_hash(&read);
}

static void put_key(struct world *world, const struct world_put *put, const eddy_result *r) {
    struct world_key *k = &world->keys[put->key];
    k->there = !put->deletes;
    if (!put->deletes) {
        k->put = *put;
        k->revision = r->revision;
        k->recorded_ns = r->recorded_ns;
    }
}

/* Under keys; gives how many snapshots went. */
static uint64_t do_keys(struct world *world, const struct op *op, const eddy_result *r) {
    uint64_t removed = op->snapshot_cut == WORLD_NONE
                           ? 0
                           : world_cut_snapshots(world, op->snapshot_cut, op->snapshot_to);
    bool puts = false;
    for (uint32_t i = 0; i < op->put_count; i++) {
        put_key(world, &op->puts[i], r);
        puts |= !op->puts[i].deletes;
    }
    CHECK(puts ? r->revision != 0 : removed > 0 || r->revision == 0);
    if (puts) {
        CHECK(r->revision > world->revision);
        CHECK(r->recorded_ns >= world->recorded_ns);
        world->revision = r->revision;
        world->recorded_ns = r->recorded_ns;
    }
    return removed;
}

void world_do(struct world *world, const struct op *op, const struct op_done *done) {
    const eddy_result *r = &done->result;
    uint32_t condition = 0;
    uint64_t removed = 0;
    CHECK_EQ(world_judge(world, op, &condition), 0);
    for (uint32_t i = 0; i < op->cut_count; i++) {
        removed += world_cut(world, op->cuts[i].kind, op->cuts[i].stream, op->cuts[i].version);
    }
    removed += do_keys(world, op, r);
    CHECK_EQ(r->removed, removed);
    if (op->event_count == 0) {
        CHECK_EQ(r->first_offset, 0);
        CHECK_EQ(r->last_offset, 0);
        return;
    }
    CHECK_EQ(r->first_offset, world->head + 1);
    CHECK(r->recorded_ns >= world->recorded_ns);
    world->recorded_ns = r->recorded_ns;
    for (uint32_t k = 0; k < op->event_count; k++) {
        place(world, op, k, r);
    }
    CHECK_EQ(r->last_offset, world->head);
    CHECK_EQ(r->last_version, world->live[world->count - 1].version);
}
