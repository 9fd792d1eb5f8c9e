/* Random operations of many workers on one store against a model, then sums over everything.
 *
 * usage: stress_append [--short] [--threads] [--seed N] [--workers N] [--rounds N]
 *
 * Workers are processes, some with handles of their own, at other addresses; with --threads they
 * are threads of one process on one handle, which is what ThreadSanitizer can look at. Each worker
 * has streams that it alone writes, and knows by its model exactly what they hold; others are
 * written by all of them, and of those the sums must be right in the end. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/model.h"
#include "support/options.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_STREAMS = 12, SHARED_STREAMS = 8, WORKERS_MAX = 32 };

struct sums {
    _Atomic uint64_t events;
    _Atomic uint64_t transactions;
    _Atomic uint64_t conflicts;
    _Atomic uint64_t shared_events;
    _Atomic uint64_t shared_sum; /* of the shards given to events on shared streams */
};

struct scene {
    eddy_store *store;
    struct stress_options options;
    struct sums sums;
};

struct worker {
    struct scene *scene;
    eddy_store *store;
    uint32_t number;
    struct rng rng;
    struct model *model; /* of its own streams: offsets there are not the store's */
    struct model_room room;
    eddy_tx *tx;
    eddy_buffer *buffer;
};

static eddy_bytes own_name(const struct worker *worker, char *text, unsigned i) {
    snprintf(text, 32, "own-%u-%u", worker->number, i);
    return eddy_str(text);
}

static eddy_bytes random_own(struct worker *worker, char *text) {
    return own_name(worker, text, (unsigned)rng_below(&worker->rng, OWN_STREAMS));
}

/* What is open now, as the sums will have it if it is committed. */
struct pending {
    uint64_t shared_events;
    uint64_t shared_sum;
};

static void add_shared(struct worker *worker, struct pending *pending) {
    char text[32];
    eddy_new_event event;
    model_random_event(&worker->rng, &worker->room, 300, &event);
    snprintf(text, sizeof text, "shared-%u", (unsigned)rng_below(&worker->rng, SHARED_STREAMS));
    CHECK_OK(eddy_tx_append(worker->tx, eddy_str(text), &event));
    pending->shared_events++;
    pending->shared_sum += event.shard;
}

static void add_own(struct worker *worker) {
    char text[32];
    eddy_new_event event;
    eddy_bytes name = random_own(worker, text);
    model_random_event(&worker->rng, &worker->room, 2000, &event);
    if (rng_once_in(&worker->rng, 3)) {
        eddy_new_event reserved = event;
        void *place;
        reserved.data.ptr = NULL;
        CHECK_OK(eddy_tx_reserve(worker->tx, name, &reserved, &place));
        memcpy(place, event.data.len ? event.data.ptr : "", event.data.len);
    } else {
        CHECK_OK(eddy_tx_append(worker->tx, name, &event));
    }
    model_append(worker->model, name, &event);
}

static bool add_condition(struct worker *worker) {
    char text[32];
    eddy_bytes name = random_own(worker, text);
    uint64_t version = model_version(worker->model, name);
    int64_t expected =
        rng_once_in(&worker->rng, 4) ? (int64_t)rng_below(&worker->rng, 6) - 2 : (int64_t)version;
    CHECK_OK(eddy_tx_expect(worker->tx, name, expected));
    return model_holds(worker->model, name, expected);
}

static void try_transaction(struct worker *worker) {
    struct sums *sums = &worker->scene->sums;
    struct pending pending = {0};
    uint64_t count = rng_once_in(&worker->rng, 30) ? 200 : rng_below(&worker->rng, 8);
    bool holds = true;
    CHECK_OK(eddy_tx_reset(worker->tx));
    for (uint64_t k = 0; k < count; k++) {
        if (rng_once_in(&worker->rng, 4)) {
            add_shared(worker, &pending);
        } else {
            add_own(worker);
        }
        holds = (!rng_once_in(&worker->rng, 6) || add_condition(worker)) && holds;
    }
    if (rng_once_in(&worker->rng, 20)) { /* changes its mind */
        model_abandon(worker->model);
        return;
    }
    eddy_result result;
    int rc = eddy_tx_commit(worker->tx, &result);
    CHECK_EQ(rc, holds ? 0 : EDDY_ECONFLICT);
    if (!holds) {
        model_abandon(worker->model);
        atomic_fetch_add(&sums->conflicts, 1);
        return;
    }
    model_commit(worker->model, result.recorded_ns);
    atomic_fetch_add(&sums->events, count);
    atomic_fetch_add(&sums->transactions, count > 0);
    atomic_fetch_add(&sums->shared_events, pending.shared_events);
    atomic_fetch_add(&sums->shared_sum, pending.shared_sum);
    CHECK(count == 0 || result.last_offset - result.first_offset + 1 == count);
}

/* Everything but the places in the store, which the model of one worker does not know. */
static void check_own(const eddy_event *got, const eddy_event *expected) {
    eddy_event placed = *expected;
    placed.offset = got->offset;
    placed.tx_offset = got->tx_offset;
    placed.tx_count = got->tx_count;
    CHECK(model_same(got, &placed));
}

static void look_at_one(struct worker *worker) {
    char text[32];
    eddy_event event;
    eddy_bytes name = random_own(worker, text);
    uint64_t version = model_version(worker->model, name);
    eddy_stream_facts facts = {.size = sizeof facts};
    int rc = eddy_stream_info(worker->store, name, &facts);
    CHECK_EQ(rc, version ? 0 : EDDY_ENOENT);
    if (version) {
        CHECK_EQ(facts.version, version);
        uint64_t any = 1 + rng_below(&worker->rng, version);
        CHECK_OK(eddy_get_version(worker->store, name, any, worker->buffer, &event));
        check_own(&event, model_at_version(worker->model, name, any));
        uint64_t offset = event.offset;
        CHECK_OK(eddy_get(worker->store, offset, worker->buffer, &event));
        CHECK_EQ(event.version, any);
    }
    CHECK_EQ(eddy_get_version(worker->store, name, version + 1, worker->buffer, &event),
             EDDY_ENOENT);
}

static void read_a_stream(struct worker *worker) {
    char text[32];
    eddy_event event;
    eddy_reader *reader;
    eddy_select select = EDDY_SELECT_INIT;
    bool backward = rng_once_in(&worker->rng, 2);
    select.stream = random_own(worker, text);
    select.flags =
        (backward ? EDDY_BACKWARD : 0) | (rng_once_in(&worker->rng, 2) ? EDDY_BORROW : 0);
    uint64_t version = model_version(worker->model, select.stream);
    CHECK_OK(eddy_reader_open(worker->store, &select, &reader));
    for (uint64_t i = 1; i <= version; i++) {
        CHECK_EQ(eddy_reader_next(reader, &event), EDDY_EVENT);
        uint64_t at = backward ? version + 1 - i : i;
        check_own(&event, model_at_version(worker->model, select.stream, at));
    }
    CHECK_EQ(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
}

/* The last few hundred events of the store: no gap, and times of recording that do not go back. */
static void read_the_end(struct worker *worker) {
    eddy_event event;
    eddy_reader *reader;
    eddy_select select = EDDY_SELECT_INIT;
    uint64_t head = sandbox_head(worker->store);
    uint64_t next = head > 300 ? head - 300 : 0;
    int64_t recorded = INT64_MIN;
    select.after_offset = next;
    CHECK_OK(eddy_reader_open(worker->store, &select, &reader));
    while (CHECK_OK(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        CHECK_EQ(event.offset, ++next);
        CHECK(event.recorded_ns >= recorded);
        CHECK(event.tx_offset <= event.offset && event.offset < event.tx_offset + event.tx_count);
        recorded = event.recorded_ns;
    }
    CHECK(next >= head);
    eddy_reader_close(reader);
}

static int count_one(void *arg, const eddy_stream_facts *facts) {
    (void)facts;
    ++*(uint64_t *)arg;
    return 0;
}

static void page_own_streams(struct worker *worker) {
    char prefix[32];
    uint64_t count = 0;
    snprintf(prefix, sizeof prefix, "own-%u-", worker->number);
    CHECK_OK(eddy_streams(worker->store, eddy_str(prefix), eddy_str(""), 1000, count_one, &count));
    CHECK_EQ(count, model_streams(worker->model));
}

static void work(struct worker *worker) {
    worker->rng = rng_make(9000 + worker->number);
    worker->model = model_create();
    worker->buffer = eddy_buffer_create();
    CHECK(worker->buffer);
    CHECK_OK(eddy_tx_begin(worker->store, &worker->tx));
    for (uint64_t i = 0; i < worker->scene->options.rounds; i++) {
        uint64_t what = rng_below(&worker->rng, 100);
        if (what < 70) {
            try_transaction(worker);
        } else if (what < 90) {
            look_at_one(worker);
        } else if (what < 95) {
            read_a_stream(worker);
        } else if (what < 98) {
            read_the_end(worker);
        } else {
            page_own_streams(worker);
        }
    }
    for (unsigned i = 0; i < OWN_STREAMS * 2; i++) {
        read_a_stream(worker);
    }
    eddy_tx_free(worker->tx);
    eddy_buffer_destroy(worker->buffer);
    model_destroy(worker->model);
    free(worker->room.bytes);
}

static void *work_as_thread(void *arg) {
    work(arg);
    return NULL;
}

static void work_as_process(void *arg) {
    struct worker *worker = arg;
    if (worker->number % 3) {
        worker->store = sandbox_again(worker->scene->store, 0);
    }
    work(worker);
    if (worker->number % 3) {
        eddy_close(worker->store);
    }
}

static void check_sums(struct scene *scene) {
    eddy_reader *reader;
    eddy_event event;
    uint64_t events = 0;
    uint64_t transactions = 0;
    uint64_t shared_events = 0;
    uint64_t shared_sum = 0;
    CHECK_OK(eddy_reader_open(scene->store, NULL, &reader));
    while (CHECK_OK(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        CHECK_EQ(event.offset, ++events);
        transactions += event.tx_offset == event.offset;
        if (event.stream.len > 6 && memcmp(event.stream.ptr, "shared", 6) == 0) {
            shared_events++;
            shared_sum += event.shard;
        }
    }
    eddy_reader_close(reader);
    CHECK_EQ(events, atomic_load(&scene->sums.events));
    CHECK_EQ(transactions, atomic_load(&scene->sums.transactions));
    CHECK_EQ(shared_events, atomic_load(&scene->sums.shared_events));
    CHECK_EQ(shared_sum, atomic_load(&scene->sums.shared_sum));
    eddy_counts counts = {.size = sizeof counts};
    CHECK_OK(eddy_stats(scene->store, &counts));
    CHECK_EQ(counts.events_appended, events);
    CHECK_EQ(counts.transactions, transactions);
    CHECK_EQ(counts.conflicts, atomic_load(&scene->sums.conflicts));
    sandbox_check(scene->store);
    printf("%" PRIu64 " events in %" PRIu64 " transactions, %" PRIu64 " refused, %" PRIu64
           " retries, %" PRIu64 " helps\n",
           events, transactions, counts.conflicts, counts.retries, counts.helps);
}

int main(int argc, char **argv) {
    struct scene *scene = child_shared(sizeof *scene);
    struct worker workers[WORKERS_MAX];
    pthread_t threads[WORKERS_MAX];
    pid_t pids[WORKERS_MAX];
    scene->options = (struct stress_options){.workers = 6, .rounds = 60000, .short_rounds = 4000};
    stress_options_parse(argc, argv, &scene->options);
    uint32_t count = scene->options.workers;
    CHECK(count <= WORKERS_MAX);
    scene->store = sandbox_anonymous_of(UINT64_C(8) << 30);
    for (uint32_t i = 0; i < count; i++) {
        workers[i] = (struct worker){.scene = scene, .store = scene->store, .number = i};
        if (scene->options.threads) {
            CHECK_EQ(pthread_create(&threads[i], NULL, work_as_thread, &workers[i]), 0);
        } else {
            pids[i] = child_start(work_as_process, &workers[i]);
        }
    }
    int failed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (scene->options.threads) {
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        } else {
            failed |= child_end(pids[i], scene->options.limit_ms) != 0;
        }
    }
    if (failed) {
        fprintf(stderr, "stress_append: a worker failed; EDDY_SEED=%" PRIu64 "\n", rng_seed());
        return 1;
    }
    check_sums(scene);
    eddy_close(scene->store);
    return 0;
}
