#include "model.h"

#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ID_ROOM = 300 };

struct model_stream {
    char *name;
    size_t len;
    uint64_t version;
    uint64_t *offsets; /* of versions 1, 2, ... */
    size_t room;
};

struct model {
    eddy_event *events; /* the open transaction's lie behind those that are committed */
    size_t count;
    size_t open;
    size_t room;
    struct model_stream *streams;
    size_t stream_count;
    size_t stream_room;
    uint64_t transactions;
};

static void *grown(void *array, size_t *room, size_t needed, size_t item) {
    if (needed <= *room) {
        return array;
    }
    *room = needed * 2 + 16;
    array = realloc(array, *room * item);
    CHECK(array);
    return array;
}

static eddy_bytes copied(eddy_bytes bytes) {
    if (bytes.len == 0) {
        return eddy_mem(NULL, 0);
    }
    void *copy = malloc(bytes.len);
    CHECK(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    return eddy_mem(copy, bytes.len);
}

static bool same(eddy_bytes a, eddy_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

struct model *model_create(void) {
    struct model *model = calloc(1, sizeof *model);
    CHECK(model);
    return model;
}

static void free_event(eddy_event *event) {
    eddy_bytes *fields[] = {&event->stream, &event->type,     &event->id,
                            &event->data,   &event->metadata, &event->tags};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        free((void *)(uintptr_t)fields[i]->ptr);
    }
}

void model_destroy(struct model *model) {
    if (!model) {
        return;
    }
    model_abandon(model);
    for (size_t i = 0; i < model->count; i++) {
        free_event(&model->events[i]);
    }
    for (size_t i = 0; i < model->stream_count; i++) {
        free(model->streams[i].name);
        free(model->streams[i].offsets);
    }
    free(model->events);
    free(model->streams);
    free(model);
}

static struct model_stream *find_stream(const struct model *model, eddy_bytes name) {
    for (size_t i = 0; i < model->stream_count; i++) {
        struct model_stream *stream = &model->streams[i];
        if (same(eddy_mem(stream->name, stream->len), name)) {
            return stream;
        }
    }
    return NULL;
}

static struct model_stream *make_stream(struct model *model, eddy_bytes name) {
    struct model_stream *stream = find_stream(model, name);
    if (stream) {
        return stream;
    }
    model->streams =
        grown(model->streams, &model->stream_room, model->stream_count + 1, sizeof *model->streams);
    stream = &model->streams[model->stream_count++];
    *stream = (struct model_stream){.len = name.len};
    stream->name = (char *)(uintptr_t)copied(name).ptr;
    return stream;
}

uint64_t model_version(const struct model *model, eddy_bytes stream) {
    const struct model_stream *found = find_stream(model, stream);
    return found ? found->version : 0;
}

bool model_holds(const struct model *model, eddy_bytes stream, int64_t expected) {
    uint64_t version = model_version(model, stream);
    if (expected == EDDY_ANY) {
        return true;
    }
    return expected == EDDY_EXISTS ? version > 0 : version == (uint64_t)expected;
}

uint64_t model_head(const struct model *model) {
    return model->count;
}

uint64_t model_transactions(const struct model *model) {
    return model->transactions;
}

size_t model_streams(const struct model *model) {
    return model->stream_count;
}

/* Tags as a reader gives them. */
static eddy_bytes packed(const eddy_bytes *tags, uint32_t count) {
    size_t len = count;
    for (uint32_t i = 0; i < count; i++) {
        len += tags[i].len;
    }
    unsigned char *to = count ? malloc(len) : NULL;
    eddy_bytes bytes = eddy_mem(to, len);
    for (uint32_t i = 0; i < count; i++) {
        *to++ = (unsigned char)tags[i].len;
        memcpy(to, tags[i].ptr, tags[i].len);
        to += tags[i].len;
    }
    return bytes;
}

void model_append(struct model *model, eddy_bytes stream, const eddy_new_event *event) {
    size_t at = model->count + model->open;
    model->events = grown(model->events, &model->room, at + 1, sizeof *model->events);
    model->events[at] = (eddy_event){.stream = copied(stream),
                                     .type = copied(event->type),
                                     .id = copied(event->id),
                                     .data = copied(event->data),
                                     .metadata = copied(event->metadata),
                                     .tags = packed(event->tags, event->tag_count),
                                     .tag_count = event->tag_count,
                                     .time_ns = event->time_ns,
                                     .shard = event->shard,
                                     .flags = event->flags};
    model->open++;
}

static void place(struct model *model, eddy_event *event, int64_t recorded_ns) {
    struct model_stream *stream = make_stream(model, event->stream);
    stream->offsets = grown(stream->offsets, &stream->room, stream->version + 1, sizeof(uint64_t));
    stream->offsets[stream->version++] = event->offset;
    event->version = stream->version;
    event->recorded_ns = recorded_ns;
    if (event->time_ns == 0 && !(event->flags & EDDY_TIME_GIVEN)) {
        event->time_ns = recorded_ns;
    } else {
        event->flags |= EDDY_TIME_GIVEN;
    }
    event->flags |= event->shard != 0 ? EDDY_SHARD_GIVEN : 0;
    if (event->id.len == 0) {
        char id[ID_ROOM];
        memcpy(id, stream->name, stream->len);
        int n = snprintf(id + stream->len, sizeof id - stream->len, "-%" PRIu64, event->version);
        event->id = copied(eddy_mem(id, stream->len + (size_t)n));
    }
}

void model_commit(struct model *model, int64_t recorded_ns) {
    size_t first = model->count + 1;
    for (size_t k = 0; k < model->open; k++) {
        eddy_event *event = &model->events[first - 1 + k];
        event->offset = first + k;
        event->tx_offset = first;
        event->tx_count = (uint32_t)model->open;
        place(model, event, recorded_ns);
    }
    model->transactions += model->open > 0;
    model->count += model->open;
    model->open = 0;
}

void model_abandon(struct model *model) {
    for (; model->open > 0; model->open--) {
        free_event(&model->events[model->count + model->open - 1]);
    }
}

const eddy_event *model_at(const struct model *model, uint64_t offset) {
    return offset >= 1 && offset <= model->count ? &model->events[offset - 1] : NULL;
}

const eddy_event *model_at_version(const struct model *model, eddy_bytes stream, uint64_t version) {
    const struct model_stream *found = find_stream(model, stream);
    if (!found || version < 1 || version > found->version) {
        return NULL;
    }
    return model_at(model, found->offsets[version - 1]);
}

static bool type_matches(const eddy_event *event, const eddy_select *select) {
    for (size_t i = 0; i < select->type_count; i++) {
        if (same(event->type, select->types[i])) {
            return true;
        }
    }
    return select->type_count == 0;
}

static bool tags_match(const eddy_event *event, const eddy_select *select) {
    size_t found = 0;
    for (size_t i = 0; i < select->tag_count; i++) {
        uint32_t k = 0;
        while (k < event->tag_count && !same(eddy_tag(event, k), select->tags[i])) {
            k++;
        }
        found += k < event->tag_count;
    }
    return found == select->tag_count;
}

bool model_matches(const eddy_event *event, const eddy_select *select) {
    eddy_bytes prefix = select->prefix;
    eddy_bytes begin = event->stream;
    begin.len = begin.len < prefix.len ? begin.len : prefix.len;
    bool named = (select->stream.len == 0 || same(event->stream, select->stream)) &&
                 same(begin, prefix) && type_matches(event, select) && tags_match(event, select);
    bool placed = event->offset > select->after_offset &&
                  (!select->to_offset || event->offset <= select->to_offset) &&
                  event->version > select->after_version &&
                  (!select->to_version || event->version <= select->to_version) &&
                  (!select->before_offset || event->offset < select->before_offset) &&
                  (!select->before_version || event->version < select->before_version);
    bool from = select->from_time_ns || (select->flags & EDDY_FROM_GIVEN);
    bool to = select->to_time_ns || (select->flags & EDDY_TO_GIVEN);
    bool happened = (!from || event->time_ns >= select->from_time_ns) &&
                    (!to || event->time_ns <= select->to_time_ns);
    bool recorded = (!select->from_recorded_ns || event->recorded_ns >= select->from_recorded_ns) &&
                    (!select->to_recorded_ns || event->recorded_ns <= select->to_recorded_ns);
    bool sharded = !(select->flags & EDDY_SHARD) ||
                   (event->shard == select->shard && (event->flags & EDDY_SHARD_GIVEN));
    return named && placed && happened && recorded && sharded;
}

static bool same_number(const char *what, uint64_t offset, uint64_t got, uint64_t expected) {
    if (got != expected) {
        fprintf(stderr, "event %" PRIu64 ": %s is %" PRIu64 " (%" PRId64 "), not %" PRIu64 "\n",
                offset, what, got, (int64_t)got, expected);
    }
    return got == expected;
}

static bool same_field(const char *what, uint64_t offset, eddy_bytes got, eddy_bytes expected) {
    bool equal = same(got, expected);
    if (!equal) {
        fprintf(stderr, "event %" PRIu64 ": %s has %zu bytes '%.*s', not %zu '%.*s'\n", offset,
                what, got.len, (int)(got.len < 60 ? got.len : 60), (const char *)got.ptr,
                expected.len, (int)(expected.len < 60 ? expected.len : 60),
                (const char *)expected.ptr);
    }
    return equal;
}

bool model_same(const eddy_event *got, const eddy_event *expected) {
    uint64_t at = expected->offset;
    bool equal = same_number("offset", at, got->offset, expected->offset);
    equal &= same_number("version", at, got->version, expected->version);
    equal &= same_field("stream", at, got->stream, expected->stream);
    equal &= same_field("type", at, got->type, expected->type);
    equal &= same_field("id", at, got->id, expected->id);
    equal &= same_field("data", at, got->data, expected->data);
    equal &= same_field("metadata", at, got->metadata, expected->metadata);
    equal &= same_number("time", at, (uint64_t)got->time_ns, (uint64_t)expected->time_ns);
    equal &=
        same_number("recorded", at, (uint64_t)got->recorded_ns, (uint64_t)expected->recorded_ns);
    equal &= same_number("tag_count", at, got->tag_count, expected->tag_count);
    equal &= same_field("tags", at, got->tags, expected->tags);
    equal &= same_number("shard", at, got->shard, expected->shard);
    equal &= same_number("flags", at, got->flags, expected->flags);
    equal &= same_number("tx_offset", at, got->tx_offset, expected->tx_offset);
    equal &= same_number("tx_count", at, got->tx_count, expected->tx_count);
    return equal;
}

void model_check_store(const struct model *model, eddy_store *store) {
    eddy_reader *reader = NULL;
    eddy_event event;
    CHECK_OK(eddy_reader_open(store, NULL, &reader));
    for (uint64_t offset = 1; offset <= model->count; offset++) {
        CHECK_EQ(eddy_reader_next(reader, &event), EDDY_EVENT);
        CHECK(model_same(&event, model_at(model, offset)));
    }
    CHECK_EQ(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(store, &facts));
    CHECK_EQ(facts.head, model->count);
    CHECK_EQ(facts.events, model->count);
    CHECK_EQ(facts.streams, model->stream_count);
    CHECK_EQ(facts.transactions, model->transactions);
}

static size_t random_len(struct rng *rng, size_t max) {
    size_t few = max < 40 ? max : 40;
    return rng_once_in(rng, 8) ? rng_below(rng, max + 1) : rng_below(rng, few + 1);
}

void model_random_event(struct rng *rng, struct model_room *room, size_t data_max,
                        eddy_new_event *event) {
    static const char *const tags[] = {"red", "green", "blue", "\xff", "a longer tag: of 24 bytes"};
    size_t data = random_len(rng, data_max);
    size_t metadata = rng_once_in(rng, 3) ? random_len(rng, 60) : 0;
    room->bytes = grown(room->bytes, &room->len, data + metadata, 1);
    rng_fill(rng, room->bytes, data + metadata);
    *event = (eddy_new_event){.data = eddy_mem(room->bytes, data),
                              .metadata = eddy_mem(room->bytes + data, metadata)};
    if (!rng_once_in(rng, 6)) {
        snprintf(room->type, sizeof room->type, "type-%u", (unsigned)rng_below(rng, 5));
        event->type = eddy_str(room->type);
    }
    if (rng_once_in(rng, 2)) {
        snprintf(room->id, sizeof room->id, "id-%016" PRIx64, rng_next(rng));
        event->id = eddy_str(room->id);
    }
    if (rng_once_in(rng, 2)) {
        event->shard = rng_once_in(rng, 8) ? rng_next(rng) : rng_below(rng, 5);
        event->flags = event->shard == 0 ? EDDY_SHARD_GIVEN : 0;
    }
    for (uint32_t n = (uint32_t)rng_below(rng, 8); n > 4; n--) {
        room->tags[event->tag_count++] = eddy_str(tags[rng_below(rng, 5)]);
    }
    event->tags = room->tags;
    uint64_t kind = rng_below(rng, 4);
    if (kind < 2) {
        event->time_ns = (int64_t)rng_below(rng, 2000000) - 1000000;
    }
    event->flags |= kind == 1 ? EDDY_TIME_GIVEN : 0;
}
