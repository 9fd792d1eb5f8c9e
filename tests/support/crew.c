#include "crew.h"

#include "check.h"
#include "child.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED_OF_WRITERS = 1000000, POLL_MS = 20 };

/* The head of each event's data; filling follows. */
struct crew_data {
    uint64_t tx;
    uint32_t writer;
    uint32_t k; /* which event of its transaction */
    uint32_t n; /* of how many */
    uint32_t stream;
    uint32_t filling;
    uint32_t reserved;
    uint64_t sum;
};

static uint64_t mixed(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t sum_of(const struct crew_data *data) {
    uint64_t hash = mixed(data->tx, data->writer);
    hash = mixed(hash, (uint64_t)data->k << 32 | data->n);
    return mixed(hash, (uint64_t)data->stream << 32 | data->filling);
}

/* ---- writing ---- */

void crew_writer_init(struct crew_writer *writer, eddy_store *store, uint32_t id) {
    *writer = (struct crew_writer){.store = store,
                                   .id = id,
                                   .streams = 64,
                                   .events_max = 8,
                                   .data_max = 200,
                                   .rng = rng_make(SEED_OF_WRITERS + id)};
}

static size_t fill(const struct crew_writer *writer, unsigned char *bytes, uint32_t filling,
                   uint32_t stream, uint32_t k, uint32_t n) {
    struct crew_data data = {.tx = writer->tx + 1,
                             .writer = writer->id,
                             .k = k,
                             .n = n,
                             .stream = stream,
                             .filling = filling};
    data.sum = sum_of(&data);
    memcpy(bytes, &data, sizeof data);
    memset(bytes + sizeof data, (int)(data.sum & 0xff), filling);
    return sizeof data + filling;
}

/* Adds an event, from a copy or in place. */
static void add(struct crew_writer *writer, uint32_t k, uint32_t n) {
    uint32_t stream = (uint32_t)rng_below(&writer->rng, writer->streams);
    uint32_t filling = (uint32_t)rng_below(&writer->rng, writer->data_max + 1);
    char name[16];
    unsigned char bytes[4096];
    snprintf(name, sizeof name, "s%03u", stream);
    eddy_new_event event = {.type = eddy_str(k % 2 ? CREW_TYPE : "even"), .shard = writer->id};
    CHECK(sizeof(struct crew_data) + writer->data_max <= sizeof bytes);
    if (rng_once_in(&writer->rng, 2)) {
        void *place = NULL;
        event.data.len = sizeof(struct crew_data) + filling;
        CHECK_OK(eddy_tx_reserve(writer->open, eddy_str(name), &event, &place));
        fill(writer, place, filling, stream, k, n);
    } else {
        event.data = eddy_mem(bytes, fill(writer, bytes, filling, stream, k, n));
        CHECK_OK(eddy_tx_append(writer->open, eddy_str(name), &event));
    }
}

/* An event by the short form. */
static void append_one(struct crew_writer *writer) {
    uint32_t stream = (uint32_t)rng_below(&writer->rng, writer->streams);
    char name[16];
    unsigned char bytes[sizeof(struct crew_data)];
    snprintf(name, sizeof name, "s%03u", stream);
    eddy_new_event event = {.type = eddy_str("even"), .shard = writer->id};
    event.data = eddy_mem(bytes, fill(writer, bytes, 0, stream, 0, 1));
    CHECK_OK(eddy_append(writer->store, eddy_str(name), EDDY_ANY, &event, 1, NULL));
}

void crew_write(struct crew_writer *writer) {
    uint32_t n = 1 + (uint32_t)rng_below(&writer->rng, writer->events_max);
    if (n == 1) {
        append_one(writer);
    } else {
        if (!writer->open) {
            CHECK_OK(eddy_tx_begin(writer->store, &writer->open));
        } else {
            CHECK_OK(eddy_tx_reset(writer->open));
        }
        for (uint32_t k = 0; k < n; k++) {
            add(writer, k, n);
        }
        eddy_result result;
        CHECK_OK(eddy_tx_commit(writer->open, &result));
        CHECK_EQ(result.last_offset - result.first_offset + 1, n);
    }
    writer->tx++;
    if (writer->progress) {
        atomic_store(writer->progress, writer->tx);
    }
}

void crew_writer_fini(struct crew_writer *writer) {
    eddy_tx_free(writer->open);
    writer->open = NULL;
}

/* ---- seeing ---- */

void crew_view_init(struct crew_view *view, bool all, uint32_t streams, uint32_t writers) {
    *view = (struct crew_view){.all = all, .streams = streams, .writers = writers};
    view->versions = calloc(streams, sizeof(uint64_t));
    view->txs = calloc(writers, sizeof(uint64_t));
    CHECK(view->versions && view->txs);
}

void crew_view_fini(struct crew_view *view) {
    free(view->versions);
    free(view->txs);
}

/* The order of transactions: whole, contiguous, each writer's in its own order. */
static void check_transaction(struct crew_view *view, const eddy_event *event,
                              const struct crew_data *data) {
    CHECK_EQ(event->offset, view->last + 1);
    CHECK_EQ(event->tx_offset + data->k, event->offset);
    CHECK_EQ(view->seen, data->k);
    if (data->k == 0) {
        CHECK_EQ(data->tx, view->txs[data->writer] + 1);
        view->txs[data->writer] = data->tx;
        view->writer = data->writer;
    } else {
        CHECK_EQ(data->writer, view->writer);
        CHECK_EQ(data->tx, view->txs[data->writer]);
    }
    view->seen = data->k + 1 == data->n ? 0 : data->k + 1;
}

void crew_view_event(struct crew_view *view, const eddy_event *event) {
    struct crew_data data;
    CHECK(event->data.len >= sizeof data);
    memcpy(&data, event->data.ptr, sizeof data);
    CHECK_EQ(data.sum, sum_of(&data));
    CHECK_EQ(event->data.len, sizeof data + data.filling);
    const unsigned char *filling = (const unsigned char *)event->data.ptr + sizeof data;
    for (uint32_t i = 0; i < data.filling; i++) {
        CHECK(filling[i] == (data.sum & 0xff));
    }
    char name[16];
    int len = snprintf(name, sizeof name, "s%03u", data.stream);
    CHECK(event->stream.len == (size_t)len && memcmp(event->stream.ptr, name, (size_t)len) == 0);
    CHECK(data.writer < view->writers && data.stream < view->streams);
    CHECK_EQ(event->shard, data.writer);
    CHECK_EQ(event->tx_count, data.n);
    CHECK(event->offset > view->last);
    if (view->all) {
        check_transaction(view, event, &data);
        CHECK_EQ(event->version, view->versions[data.stream] + 1);
    }
    CHECK(event->version > view->versions[data.stream]);
    view->versions[data.stream] = event->version;
    view->last = event->offset;
    view->events++;
    view->hash = mixed(mixed(view->hash, event->offset), data.sum);
}

void crew_view_whole(const struct crew_view *view) {
    CHECK_EQ(view->seen, 0);
}

void crew_read(struct crew_view *view, eddy_store *store, const eddy_select *select) {
    eddy_reader *reader = NULL;
    eddy_event event;
    CHECK_OK(eddy_reader_open(store, select, &reader));
    while (CHECK_OK(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        crew_view_event(view, &event);
    }
    eddy_reader_close(reader);
}

/* ---- following ---- */

static const eddy_bytes filter_types[1] = {{CREW_TYPE, sizeof CREW_TYPE - 1}};

static eddy_select select_of(enum crew_manner manner) {
    eddy_select select = EDDY_SELECT_INIT;
    if (manner == CREW_FILTER) {
        select.prefix = eddy_str(CREW_PREFIX);
        select.types = filter_types;
        select.type_count = 1;
    }
    select.flags = manner == CREW_BORROW ? EDDY_BORROW : 0;
    return select;
}

/* The next event or EDDY_CAUGHT_UP, after a sleep of a moment at most. */
static int next_by(struct crew_follower *follower, eddy_reader *reader, eddy_event *event) {
    if (follower->manner != CREW_POLL) {
        int rc = eddy_reader_wait(reader, eddy_deadline_ms(POLL_MS), event);
        return rc == EDDY_ETIMEDOUT ? EDDY_CAUGHT_UP : rc;
    }
    int rc = eddy_reader_next(reader, event);
    if (rc == EDDY_CAUGHT_UP) {
        struct pollfd f = {.fd = (int)CHECK_OK(eddy_reader_fd(reader)), .events = POLLIN};
        poll(&f, 1, POLL_MS);
        rc = eddy_reader_next(reader, event);
    }
    return rc;
}

void crew_follow(struct crew_follower *follower) {
    eddy_select select = select_of(follower->manner);
    select.flags |= EDDY_FOLLOW;
    eddy_reader *reader = NULL;
    eddy_event event;
    struct crew_view view;
    crew_view_init(&view, follower->manner != CREW_FILTER, follower->streams, follower->writers);
    CHECK_OK(eddy_reader_open(follower->store, &select, &reader));
    for (bool stopped = false;;) {
        int rc = (int)CHECK_OK(next_by(follower, reader, &event));
        if (rc == EDDY_EVENT) {
            crew_view_event(&view, &event);
            CHECK(follower->manner != CREW_BORROW || eddy_reader_holds(reader) == 1);
            atomic_store(&follower->seen, view.last);
            continue;
        }
        CHECK_EQ(rc, EDDY_CAUGHT_UP);
        crew_view_whole(&view);
        if (stopped) {
            break;
        }
        /* What was written before the stop may still be to come: once more round. */
        stopped = atomic_load(follower->stop) != 0;
    }
    follower->events = view.events;
    follower->hash = view.hash;
    eddy_reader_close(reader);
    crew_view_fini(&view);
}

void crew_check_follower(const struct crew_follower *follower) {
    eddy_select select = select_of(follower->manner);
    struct crew_view view;
    crew_view_init(&view, follower->manner != CREW_FILTER, follower->streams, follower->writers);
    crew_read(&view, follower->store, &select);
    crew_view_whole(&view);
    CHECK_EQ(follower->events, view.events);
    CHECK(follower->hash == view.hash);
    crew_view_fini(&view);
}
