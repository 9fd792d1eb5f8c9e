/* read: a store is filled (or a named one taken), then each reader makes its passes over it. */
#include "commands.h"
#include "machine.h"
#include "measure.h"
#include "names.h"
#include "subject.h"

#include <stdlib.h>
#include <string.h>

#define FILL_BATCH 100u

struct read_bench {
    const struct bench_options *options;
    struct subject subject;
    struct names names;
    eddy_facts facts;
    uint32_t select; /* which of the selects is being measured */
    struct crew *crew;
};

/* ---- filling: event i goes to stream i % streams, so that all of them are mixed. */

static int fill_batch(eddy_tx *tx, const struct read_bench *bench, uint64_t from, uint64_t count,
                      uint8_t *payload) {
    const struct bench_options *options = bench->options;
    for (uint64_t i = from; i < from + count; i++) {
        memcpy(payload, &i, sizeof(i));
        eddy_new_event event = {.data = eddy_mem(payload, options->payload)};
        eddy_bytes name = names_get(&bench->names, i % options->streams);
        if (eddy_tx_append(tx, name, &event) < 0) {
            return -1;
        }
    }
    return eddy_tx_commit(tx, NULL) < 0 || eddy_tx_reset(tx) < 0 ? -1 : 0;
}

static int be_filler(struct crew_seat *seat, void *arg) {
    const struct read_bench *bench = arg;
    uint64_t events = bench->options->events;
    eddy_store *store = NULL;
    eddy_tx *tx = NULL;
    uint8_t *payload = calloc(1, bench->options->payload);
    if (!payload) {
        return crew_fail(seat, "no memory for an event");
    }
    if (subject_join(&bench->subject, seat, &store) != 0) {
        return -1;
    }
    int rc = eddy_tx_begin(store, &tx);
    for (uint64_t i = 0; i < events && rc >= 0; i += FILL_BATCH) {
        uint64_t count = events - i < FILL_BATCH ? events - i : FILL_BATCH;
        rc = fill_batch(tx, bench, i, count, payload);
    }
    if (rc < 0) {
        return crew_fail(seat, "filling the store: %s", eddy_errmsg());
    }
    eddy_tx_free(tx);
    eddy_close(store);
    free(payload);
    return 0;
}

static int fill(struct read_bench *bench) {
    const struct bench_options *options = bench->options;
    struct crew crew = {.shared = NULL};
    if (subject_fits(options->events, options->payload) != 0 ||
        names_create(&bench->names, options->streams) != 0) {
        return -1;
    }
    int rc = crew_run(&crew, options, 1, options->pin, be_filler, bench);
    crew_free(&crew);
    names_destroy(&bench->names);
    return rc;
}

/* ---- passes: each reads and gives the number of events, or -1 with the reason left. The
 * calls of a timed pass are timed one by one. */

struct pass {
    struct crew_seat *seat;
    const struct read_bench *bench;
    eddy_store *store;
    eddy_buffer *buffer;
    uint64_t rng;
    uint64_t sum; /* of a byte of each event: what is read is also looked at */
};

/* As many events of a call as --batch says. */
static int64_t drain_many(struct pass *pass, eddy_reader *reader, size_t batch) {
    eddy_event events[256];
    size_t max = batch < 256 ? batch : 256;
    size_t count = 0;
    int64_t total = 0;
    int rc;
    while ((rc = eddy_reader_fetch(reader, events, max, &count)) == EDDY_EVENT) {
        for (size_t i = 0; i < count; i++) {
            pass->sum += events[i].data.len > 0 ? *(const uint8_t *)events[i].data.ptr : 0;
        }
        total += (int64_t)count;
    }
    return rc == EDDY_END ? total : crew_fail(pass->seat, "reading: %s", eddy_errmsg());
}

static int64_t drain(struct pass *pass, const eddy_select *select, bool timed) {
    eddy_reader *reader = NULL;
    if (eddy_reader_open(pass->store, select, &reader) < 0) {
        return crew_fail(pass->seat, "cannot open a reader: %s", eddy_errmsg());
    }
    int64_t count = 0;
    int rc = 0;
    if (!timed && pass->bench->options->batch > 1) {
        count = drain_many(pass, reader, pass->bench->options->batch);
        eddy_reader_close(reader);
        return count;
    }
    for (;;) {
        eddy_event event;
        uint64_t start = timed ? ticks() : 0;
        rc = eddy_reader_next(reader, &event);
        if (timed) {
            histogram_add(&pass->seat->result->histogram, ticks() - start);
        }
        if (rc != EDDY_EVENT) {
            break;
        }
        pass->sum += event.data.len > 0 ? *(const uint8_t *)event.data.ptr : 0;
        count++;
    }
    eddy_reader_close(reader);
    return rc == EDDY_END ? count : crew_fail(pass->seat, "reading: %s", eddy_errmsg());
}

static int64_t pass_all(struct pass *pass, bool timed) {
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = pass->bench->options->borrow ? EDDY_BORROW : 0;
    return drain(pass, &select, timed);
}

static int64_t pass_stream(struct pass *pass, bool timed) {
    eddy_select select = EDDY_SELECT_INIT;
    int64_t sum = 0;
    select.flags = pass->bench->options->borrow ? EDDY_BORROW : 0;
    for (uint64_t i = 0; i < pass->bench->names.count; i++) {
        select.stream = names_get(&pass->bench->names, i);
        int64_t count = drain(pass, &select, timed);
        if (count < 0) {
            return -1;
        }
        sum += count;
    }
    return sum;
}

static int get_one(struct pass *pass, bool by_version, bool timed) {
    const struct names *names = &pass->bench->names;
    const eddy_facts *facts = &pass->bench->facts;
    eddy_bytes stream = eddy_mem(NULL, 0);
    uint64_t number = 0;
    eddy_event event;
    if (by_version) {
        uint64_t i = rng_below(&pass->rng, names->count);
        uint64_t span = names->versions[i].last - names->versions[i].first + 1;
        stream = names_get(names, i);
        number = names->versions[i].first + rng_below(&pass->rng, span);
    } else {
        number = facts->first + rng_below(&pass->rng, facts->head - facts->first + 1);
    }
    uint64_t start = timed ? ticks() : 0;
    int rc = by_version ? eddy_get_version(pass->store, stream, number, pass->buffer, &event)
                        : eddy_get(pass->store, number, pass->buffer, &event);
    if (timed) {
        histogram_add(&pass->seat->result->histogram, ticks() - start);
    }
    if (rc < 0) {
        return crew_fail(pass->seat, "reading %s %llu: %s", by_version ? "version" : "offset",
                         (unsigned long long)number, eddy_errmsg());
    }
    pass->sum += event.data.len > 0 ? *(const uint8_t *)event.data.ptr : 0;
    return 0;
}

static int64_t pass_single(struct pass *pass, bool by_version, bool timed) {
    uint64_t count = pass->bench->options->events;
    for (uint64_t i = 0; i < count; i++) {
        if (get_one(pass, by_version, timed) != 0) {
            return -1;
        }
    }
    return (int64_t)count;
}

static int64_t pass_offset(struct pass *pass, bool timed) {
    return pass_single(pass, false, timed);
}

static int64_t pass_version(struct pass *pass, bool timed) {
    return pass_single(pass, true, timed);
}

static const struct {
    const char *name;
    int64_t (*fn)(struct pass *pass, bool timed);
    bool whole; /* a pass reads every event once */
} selects[] = {{"all", pass_all, true},
               {"stream", pass_stream, true},
               {"offset", pass_offset, false},
               {"version", pass_version, false}};

#define SELECT_COUNT (sizeof(selects) / sizeof(selects[0]))

/* Lap 0 is the first pass, laps 1 to repeat are warm; the timed pass is no lap. */
static int be_reader(struct crew_seat *seat, void *arg) {
    const struct read_bench *bench = arg;
    struct pass pass = {.seat = seat, .bench = bench};
    pass.rng = UINT64_C(0x9e3779b97f4a7c15) * (seat->index + 1);
    pass.buffer = eddy_buffer_create();
    if (!pass.buffer) {
        return crew_fail(seat, "no memory for a buffer");
    }
    if (subject_join(&bench->subject, seat, &pass.store) != 0) {
        return -1;
    }
    for (uint64_t lap = 0; lap <= bench->options->repeat; lap++) {
        crew_meet(seat);
        crew_lap_begin(seat);
        int64_t count = selects[bench->select].fn(&pass, false);
        if (count < 0) {
            return -1;
        }
        crew_lap_end(seat, (uint64_t)count);
    }
    crew_meet(seat);
    if (selects[bench->select].fn(&pass, true) < 0) {
        return -1;
    }
    __asm__ volatile("" : : "r"(pass.sum)); /* the data was wanted */
    eddy_buffer_destroy(pass.buffer);
    eddy_close(pass.store);
    return 0;
}

/* ---- in the parent */

static int run_readers(void *arg) {
    struct read_bench *bench = arg;
    crew_free(bench->crew); /* of a run that is done again */
    return crew_run(bench->crew, bench->options, (uint32_t)bench->options->readers,
                    bench->options->pin, be_reader, bench);
}

static void lap_report(struct report *report, const char *key, double *ns, size_t count,
                       double faults) {
    double runs[OPTIONS_REPEAT_MAX];
    memcpy(runs, ns, count * sizeof(ns[0]));
    double median = measure_median(ns, count);
    report_open(report, key);
    report_number(report, "events_per_s", median > 0 ? 1e9 / median : 0);
    report_number(report, "ns_per_event", median);
    if (count > 1) {
        report_numbers(report, "runs_ns_per_event", runs, count);
    }
    report_number(report, "minor_faults_per_event", faults);
    report_close(report);
}

/* The cost to one reader: the lap's time by the events that each of them read. */
static void select_report(struct report *report, struct read_bench *bench,
                          const struct machine_distances *distances, struct histogram *latency) {
    uint32_t readers = (uint32_t)bench->options->readers;
    double ns[OPTIONS_REPEAT_MAX];
    uint64_t faults = 0;
    uint64_t events = 0;
    struct crew_lap first = crew_lap_of(bench->crew, 0, readers, 0);
    report_open(report, selects[bench->select].name);
    report_count(report, "events", first.events / readers);
    double first_ns = crew_lap_cost(&first) * readers;
    lap_report(report, "first", &first_ns, 1, (double)first.minor_faults / (double)first.events);
    for (uint32_t i = 0; i < bench->options->repeat; i++) {
        struct crew_lap lap = crew_lap_of(bench->crew, 0, readers, i + 1);
        ns[i] = crew_lap_cost(&lap) * readers;
        faults += lap.minor_faults;
        events += lap.events;
    }
    lap_report(report, "warm", ns, bench->options->repeat, (double)faults / (double)events);
    crew_merge(bench->crew, 0, readers, latency);
    report_histogram(report, "latency", latency);
    machine_distances_report(report, distances);
    report_close(report);
}

/* Did every reader of a store that nobody else writes to get all of it, every time? */
static int check_counts(const struct read_bench *bench) {
    if (bench->options->store || !selects[bench->select].whole) {
        return 0;
    }
    for (uint32_t i = 0; i < bench->options->readers; i++) {
        for (uint32_t lap = 0; lap <= bench->options->repeat; lap++) {
            uint64_t got = bench->crew->shared->results[i].laps[lap].events;
            if (got != bench->options->events) {
                return bench_error("reader %u got %llu events of %llu", i, (unsigned long long)got,
                                   (unsigned long long)bench->options->events);
            }
        }
    }
    return 0;
}

static int measure_select(struct read_bench *bench, struct report *report) {
    struct crew crew = {.shared = NULL};
    struct machine_distances distances = {.count = 0};
    struct histogram *latency = calloc(1, sizeof(*latency));
    if (!latency) {
        return bench_error("no memory for a histogram");
    }
    bench->crew = &crew;
    bool crosses = bench->options->readers > 1;
    int rc = machine_run(bench->options, &distances, crosses, run_readers, bench);
    rc = rc == 0 ? check_counts(bench) : rc;
    if (rc == 0) {
        select_report(report, bench, &distances, latency);
    }
    crew_free(&crew);
    free(latency);
    return rc;
}

static bool is_selected(const struct bench_options *options, const char *name) {
    return !options->select || strcmp(options->select, name) == 0;
}

static int measure_selects(struct read_bench *bench, struct report *report) {
    if (subject_facts(&bench->subject, &bench->facts) != 0 ||
        names_read(&bench->names, bench->subject.store, bench->options->streams) != 0) {
        return -1;
    }
    if (bench->facts.first == 0 || bench->names.count == 0) {
        names_destroy(&bench->names);
        return bench_error("the store has no events to read: append some, or leave out --store");
    }
    int rc = 0;
    for (uint32_t i = 0; i < SELECT_COUNT && rc == 0; i++) {
        bench->select = i;
        if (is_selected(bench->options, selects[i].name)) {
            rc = measure_select(bench, report);
        }
    }
    names_destroy(&bench->names);
    return rc;
}

int command_read(const struct bench_options *options, struct report *report) {
    struct read_bench bench = {.options = options};
    bool known = false;
    for (size_t i = 0; i < SELECT_COUNT; i++) {
        known = known || is_selected(options, selects[i].name);
    }
    if (!known) {
        bench_error("--select %s: there are all, stream, offset and version", options->select);
        return COMMAND_USAGE;
    }
    if (subject_open(&bench.subject, options, true, 0) != 0) {
        return -1;
    }
    int rc = options->store ? 0 : fill(&bench);
    rc = rc == 0 ? measure_selects(&bench, report) : rc;
    subject_close(&bench.subject);
    return rc;
}
