/* append: the phases 'growing', 'warm' and 'latency', and the references beside them.
 *
 * Each run has a new store (or adds to a named one). Its writers first append a little, so that the
 * streams exist and the members have joined, then all meet, then the clock runs. */
#include "commands.h"
#include "machine.h"
#include "measure.h"
#include "names.h"
#include "pages.h"
#include "reference.h"
#include "subject.h"

#include <stdlib.h>
#include <string.h>

#define WARM_UP_CALLS 1000u
#define FOLLOW_TIMEOUT_MS 10000

struct append_run {
    const struct bench_options *options;
    struct subject subject;
    struct names names;
    const struct subject_parts *warm; /* to be touched before; or NULL */
    struct subject_parts *found;      /* to be filled in after; or NULL */
    struct histogram *latency;        /* calls are timed into it; or NULL */
    /* What it gives: */
    struct crew_lap writers;
    struct crew_lap followers;
    uint64_t reserved; /* bytes that the store took from the kernel in the run */
};

static uint64_t calls_of_writer(const struct bench_options *options) {
    return options->events / options->writers / options->batch;
}

static uint64_t events_of_run(const struct bench_options *options) {
    return calls_of_writer(options) * options->batch * options->writers;
}

/* ---- in the processes */

struct writer {
    struct crew_seat *seat;
    const struct append_run *run;
    eddy_store *store;
    eddy_new_event *events;
    uint8_t *payloads;
    uint64_t rng;
};

static int writer_create(struct writer *writer, struct crew_seat *seat,
                         const struct append_run *run) {
    const struct bench_options *options = run->options;
    *writer = (struct writer){.seat = seat, .run = run};
    writer->rng = UINT64_C(0x9e3779b97f4a7c15) * (seat->index + 1);
    writer->events = calloc(options->batch, sizeof(*writer->events));
    writer->payloads = malloc(options->batch * options->payload);
    if (!writer->events || !writer->payloads) {
        return crew_fail(seat, "no memory for a batch");
    }
    memset(writer->payloads, 'e', options->batch * options->payload);
    for (uint64_t i = 0; i < options->batch; i++) {
        writer->events[i].data =
            eddy_mem(writer->payloads + i * options->payload, options->payload);
    }
    if (subject_join(&run->subject, seat, &writer->store) != 0) {
        return -1;
    }
    if (run->warm && subject_populate(writer->store, run->warm) == 0) {
        return crew_fail(seat, "the store's mapping was not found, so its memory cannot be warmed");
    }
    return 0;
}

static inline int append_call(struct writer *writer, uint64_t stream, uint64_t number) {
    /* Each event differs from the last, as real ones do. */
    memcpy(writer->payloads, &number, sizeof(number));
    int rc = eddy_append(writer->store, names_get(&writer->run->names, stream), EDDY_ANY,
                         writer->events, writer->run->options->batch, NULL);
    return rc < 0 ? crew_fail(writer->seat, "append: %s (%s)", eddy_errmsg(), eddy_errname(rc)) : 0;
}

/* Makes this writer's share of the streams, and at least some calls. */
static int warm_up(struct writer *writer) {
    uint64_t streams = writer->run->names.count;
    uint64_t step = writer->run->options->writers;
    uint64_t calls = streams / step + 1;
    calls = calls > WARM_UP_CALLS ? calls : WARM_UP_CALLS;
    uint64_t most = calls_of_writer(writer->run->options) / 10 + streams / step + 1;
    calls = calls < most ? calls : most;
    for (uint64_t i = 0; i < calls; i++) {
        if (append_call(writer, (writer->seat->index + i * step) % streams, i) != 0) {
            return -1;
        }
    }
    return 0;
}

static int append_all(struct writer *writer, uint64_t calls) {
    for (uint64_t i = 0; i < calls; i++) {
        if (append_call(writer, rng_below(&writer->rng, writer->run->names.count), i) != 0) {
            return -1;
        }
    }
    return 0;
}

static int append_all_timed(struct writer *writer, uint64_t calls) {
    for (uint64_t i = 0; i < calls; i++) {
        uint64_t stream = rng_below(&writer->rng, writer->run->names.count);
        uint64_t start = ticks();
        if (append_call(writer, stream, i) != 0) {
            return -1;
        }
        histogram_add(&writer->seat->result->histogram, ticks() - start);
    }
    return 0;
}

static int be_writer(struct crew_seat *seat, const struct append_run *run) {
    struct writer writer;
    uint64_t calls = calls_of_writer(run->options);
    if (writer_create(&writer, seat, run) != 0 || warm_up(&writer) != 0) {
        return -1;
    }
    crew_meet(seat); /* the store holds what the warm-up wrote */
    crew_meet(seat); /* the followers stand at its end */
    crew_lap_begin(seat);
    int rc = run->latency ? append_all_timed(&writer, calls) : append_all(&writer, calls);
    crew_lap_end(seat, calls * run->options->batch);
    eddy_close(writer.store);
    free(writer.events);
    free(writer.payloads);
    return rc;
}

static int follow(struct crew_seat *seat, eddy_reader *reader, uint64_t offset, uint64_t count) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        eddy_event event;
        int rc = eddy_reader_wait(reader, eddy_deadline_ms(FOLLOW_TIMEOUT_MS), &event);
        if (rc != EDDY_EVENT) {
            return crew_fail(seat, "follower at offset %llu: %s (%s)",
                             (unsigned long long)(offset + i), eddy_errmsg(), eddy_errname(rc));
        }
        if (event.offset != offset + 1 + i) {
            return crew_fail(seat, "follower got offset %llu instead of %llu",
                             (unsigned long long)event.offset,
                             (unsigned long long)(offset + 1 + i));
        }
        sum += *(const uint8_t *)event.data.ptr;
    }
    __asm__ volatile("" : : "r"(sum)); /* the data was wanted */
    return 0;
}

static int be_follower(struct crew_seat *seat, const struct append_run *run) {
    eddy_store *store = NULL;
    eddy_reader *reader = NULL;
    eddy_facts facts = {.size = sizeof(facts)};
    eddy_select select = EDDY_SELECT_INIT;
    if (subject_join(&run->subject, seat, &store) != 0) {
        return -1;
    }
    if (run->warm) {
        subject_populate(store, run->warm);
    }
    crew_meet(seat);
    if (eddy_info(store, &facts) < 0) {
        return crew_fail(seat, "info: %s", eddy_errmsg());
    }
    select.flags = EDDY_FOLLOW;
    select.after_offset = facts.head;
    if (eddy_reader_open(store, &select, &reader) < 0) {
        return crew_fail(seat, "cannot open a reader: %s", eddy_errmsg());
    }
    crew_meet(seat);
    crew_lap_begin(seat);
    int rc = follow(seat, reader, facts.head, events_of_run(run->options));
    crew_lap_end(seat, events_of_run(run->options));
    eddy_reader_close(reader);
    eddy_close(store);
    return rc;
}

static int be_process(struct crew_seat *seat, void *arg) {
    const struct append_run *run = arg;
    return seat->index < run->options->writers ? be_writer(seat, run) : be_follower(seat, run);
}

/* ---- in the parent */

static int check_store(struct append_run *run, const struct crew *crew, const eddy_facts *before) {
    uint32_t writers = (uint32_t)run->options->writers;
    uint32_t readers = (uint32_t)run->options->readers;
    eddy_facts after;
    if (subject_facts(&run->subject, &after) != 0) {
        return -1;
    }
    run->writers = crew_lap_of(crew, 0, writers, 0);
    if (readers > 0) {
        run->followers = crew_lap_of(crew, writers, readers, 0);
        run->followers.events /= readers; /* each of them had all */
    }
    run->reserved = after.reserved > before->reserved ? after.reserved - before->reserved : 0;
    if (after.head - before->head < run->writers.events) {
        return bench_error("the store has %llu more events, but %llu were appended",
                           (unsigned long long)(after.head - before->head),
                           (unsigned long long)run->writers.events);
    }
    if (run->latency) {
        crew_merge(crew, 0, writers, run->latency);
    }
    return run->found ? subject_find_parts(&run->subject, run->found) : 0;
}

static int do_run(void *arg) {
    struct append_run *run = arg;
    const struct bench_options *options = run->options;
    eddy_facts before;
    struct crew crew = {.shared = NULL};
    /* A warm run's memory is reserved at once, so that no system call is left in it. */
    uint64_t reserve = run->warm ? subject_parts_bytes(run->warm) : 0;
    if (subject_open(&run->subject, options, false, reserve) != 0) {
        return -1;
    }
    int rc = subject_facts(&run->subject, &before);
    if (rc == 0) {
        rc = crew_run(&crew, options, (uint32_t)(options->writers + options->readers), options->pin,
                      be_process, run);
    }
    rc = rc == 0 ? check_store(run, &crew, &before) : rc;
    crew_free(&crew);
    subject_close(&run->subject);
    return rc;
}

/* The runs of one phase. */
struct phase {
    double ns[OPTIONS_REPEAT_MAX];
    double follow_ns[OPTIONS_REPEAT_MAX];
    double faults[OPTIONS_REPEAT_MAX];   /* an event */
    double reserved[OPTIONS_REPEAT_MAX]; /* bytes an event */
    size_t count;
    struct machine_distances distances;
};

static void phase_add(struct phase *phase, const struct append_run *run) {
    size_t n = phase->count++;
    double events = (double)run->writers.events;
    phase->ns[n] = crew_lap_cost(&run->writers);
    phase->follow_ns[n] = crew_lap_cost(&run->followers);
    phase->faults[n] = (double)run->writers.minor_faults / events;
    phase->reserved[n] = (double)run->reserved / events;
}

struct append_bench {
    const struct bench_options *options;
    struct phase growing;
    struct phase warm;
    struct phase latency_runs;
    struct histogram latency;
    double log_ns[OPTIONS_REPEAT_MAX];
    double trial_ns[OPTIONS_REPEAT_MAX];
    double trial_batch_ns[OPTIONS_REPEAT_MAX];
    struct pages_cost pages;
};

static int phase_run(struct append_bench *bench, struct phase *phase, struct append_run *run) {
    const struct bench_options *options = bench->options;
    bool crosses = options->writers + options->readers > 1;
    if (machine_run(options, &phase->distances, crosses, do_run, run) != 0) {
        return -1;
    }
    phase_add(phase, run);
    return 0;
}

/* One round of everything, so that a machine that changes its pace does so for all alike. */
static int do_round(struct append_bench *bench, const struct names *names,
                    struct reference *reference, uint64_t round) {
    const struct bench_options *options = bench->options;
    struct subject_parts parts = {.count = 0};
    struct append_run run = {.options = options, .names = *names};
    if (options->reference &&
        (reference_log(reference, options, &bench->log_ns[round]) != 0 ||
         reference_trial(reference, options, 1, &bench->trial_ns[round]) != 0 ||
         reference_trial(reference, options, options->batch, &bench->trial_batch_ns[round]) != 0)) {
        return -1;
    }
    run.found = &parts;
    if (phase_run(bench, &bench->growing, &run) != 0) {
        return -1;
    }
    run.found = NULL;
    run.warm = options->store ? NULL : &parts;
    if (!options->store && phase_run(bench, &bench->warm, &run) != 0) {
        return -1;
    }
    run.latency = &bench->latency;
    return phase_run(bench, &bench->latency_runs, &run);
}

/* The median phase's cost an event. */
static double phase_report(struct report *report, const char *key, struct phase *phase,
                           bool followed) {
    double runs[OPTIONS_REPEAT_MAX];
    memcpy(runs, phase->ns, sizeof(runs));
    double ns = measure_median(phase->ns, phase->count);
    report_open(report, key);
    report_number(report, "events_per_s", ns > 0 ? 1e9 / ns : 0);
    report_number(report, "ns_per_event", ns);
    report_number(report, "ns_per_event_best", phase->ns[0]);
    report_number(report, "ns_per_event_worst", phase->ns[phase->count - 1]);
    report_numbers(report, "runs_ns_per_event", runs, phase->count);
    if (followed) {
        double follow_ns = measure_median(phase->follow_ns, phase->count);
        report_number(report, "followed_events_per_s", follow_ns > 0 ? 1e9 / follow_ns : 0);
        report_number(report, "followed_ns_per_event", follow_ns);
    }
    report_number(report, "minor_faults_per_event", measure_median(phase->faults, phase->count));
    report_number(report, "reserved_bytes_per_event",
                  measure_median(phase->reserved, phase->count));
    machine_distances_report(report, &phase->distances);
    return ns;
}

/* What of the growing phase the pages alone can be: those reserved, and those mapped. */
static void pages_report(struct report *report, struct append_bench *bench, double ns) {
    struct phase *phase = &bench->growing;
    double pages = measure_median(phase->reserved, phase->count) / PAGES_SIZE;
    double faults = measure_median(phase->faults, phase->count);
    double touch = bench->pages.touch;
    if (bench->pages.populate > 0 && bench->pages.populate < touch) {
        touch = bench->pages.populate;
    }
    double least = pages * bench->pages.reserve + faults * touch;
    double most = pages * bench->pages.reserve + faults * bench->pages.touch;
    report_number(report, "pages_ns_per_event_least", least);
    report_number(report, "pages_ns_per_event_most", most);
    report_number(report, "pages_share_most", ns > 0 ? most / ns : 0);
}

static void reference_report(struct report *report, struct append_bench *bench, double growing_ns,
                             double warm_ns) {
    size_t n = bench->options->repeat;
    double log = measure_median(bench->log_ns, n);
    double trial = measure_median(bench->trial_ns, n);
    double batch = measure_median(bench->trial_batch_ns, n);
    report_open(report, "reference");
    report_number(report, "log_ns_per_event", log);
    report_number(report, "trial_ns_per_event", trial);
    report_number(report, "trial_batch_ns_per_event", batch);
    report_number(report, "growing_to_log", growing_ns / log);
    report_number(report, "growing_to_trial", growing_ns / batch);
    if (warm_ns > 0) {
        report_number(report, "warm_to_log", warm_ns / log);
        report_number(report, "warm_to_trial", warm_ns / batch);
    }
    report_close(report);
}

static void bench_report(struct append_bench *bench, struct report *report) {
    const struct bench_options *options = bench->options;
    bool followed = options->readers > 0;
    double warm_ns = 0;
    double growing_ns = phase_report(report, "growing", &bench->growing, followed);
    pages_report(report, bench, growing_ns);
    report_close(report);
    if (bench->warm.count > 0) {
        warm_ns = phase_report(report, "warm", &bench->warm, followed);
        report_close(report);
    }
    report_histogram(report, options->batch > 1 ? "latency_per_batch" : "latency", &bench->latency);
    report_open(report, "page_4k");
    report_number(report, "reserve_ns", bench->pages.reserve);
    report_number(report, "touch_reserved_ns", bench->pages.touch);
    report_number(report, "populate_reserved_ns", bench->pages.populate);
    report_close(report);
    if (options->reference) {
        reference_report(report, bench, growing_ns, warm_ns);
    }
}

int command_append(const struct bench_options *options, struct report *report) {
    struct append_bench *bench = calloc(1, sizeof(*bench));
    struct reference reference = {.memory = NULL};
    struct names names;
    int rc = -1;
    if (!bench || names_create(&names, options->streams) != 0) {
        free(bench);
        return -1; /* the names say so; without a page of memory nothing can be said */
    }
    bench->options = options;
    if (subject_fits(options->events + options->streams * options->batch, options->payload) != 0 ||
        pages_median(options, &bench->pages) != 0 ||
        (options->reference && reference_create(&reference, options) != 0)) {
        goto out;
    }
    rc = 0;
    for (uint64_t round = 0; round < options->repeat && rc == 0; round++) {
        rc = do_round(bench, &names, &reference, round);
    }
    if (rc == 0) {
        bench_report(bench, report);
    }
out:
    reference_destroy(&reference);
    names_destroy(&names);
    free(bench);
    return rc;
}
