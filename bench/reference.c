#include "reference.h"

#include "crew.h"
#include "measure.h"
#include "trial.h"

#include <string.h>
#include <sys/mman.h>

struct log_header {
    uint64_t len;
    int64_t recorded_ns;
};

struct log_shared {
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(64) uint8_t bytes[];
};

struct reference_job {
    struct reference *reference;
    const struct bench_options *options;
    uint64_t batch;
    bool trial;
};

static uint64_t log_stride(const struct bench_options *options) {
    return sizeof(struct log_header) + ((options->payload + 7) & ~UINT64_C(7));
}

int reference_create(struct reference *reference, const struct bench_options *options) {
    uint64_t log = sizeof(struct log_shared) + options->events * log_stride(options);
    uint64_t trial = trial_size(options->events, options->payload, (uint32_t)options->writers);
    uint64_t len = log > trial ? log : trial;
    *reference = (struct reference){.len = len, .events = options->events};
    if (len > measure_memory_available() / 2) {
        return bench_error(
            "the reference programs need %llu MiB for %llu events, more than half of "
            "the memory that is free: give less --events",
            (unsigned long long)(len >> 20), (unsigned long long)options->events);
    }
    reference->memory = measure_share(len);
    if (!reference->memory || measure_populate(reference->memory, len) != 0) {
        reference_destroy(reference);
        return bench_error("no memory for the reference programs: %llu MiB",
                           (unsigned long long)(len >> 20));
    }
    return 0;
}

void reference_destroy(struct reference *reference) {
    if (reference->memory) {
        munmap(reference->memory, reference->len);
        reference->memory = NULL;
    }
}

static uint64_t run_log(struct log_shared *log, uint64_t events, const uint8_t *payload,
                        size_t payload_len, uint64_t stride) {
    for (uint64_t i = 0; i < events; i++) {
        struct log_header header = {.len = payload_len, .recorded_ns = realtime_ns()};
        /* relaxed: the bare log has no readers. */
        uint64_t at = atomic_fetch_add_explicit(&log->tail, stride, memory_order_relaxed);
        memcpy(log->bytes + at, &header, sizeof(header));
        memcpy(log->bytes + at + sizeof(header), payload, payload_len);
    }
    return events;
}

static int run_writer(struct crew_seat *seat, void *arg) {
    struct reference_job *job = arg;
    const struct bench_options *options = job->options;
    uint64_t events = options->events / options->writers;
    uint8_t *payload = seat->shared->bytes; /* of a size that the compiler does not know */
    struct trial_writer writer;
    if (measure_populate(job->reference->memory, job->reference->len) != 0) {
        return crew_fail(seat, "no memory for the reference programs");
    }
    if (job->trial) {
        trial_writer_init(&writer, job->reference->memory, seat->index);
    }
    crew_meet(seat);
    crew_lap_begin(seat);
    if (job->trial) {
        events = trial_run(&writer, events / job->batch, job->batch, payload);
    } else {
        run_log(job->reference->memory, events, payload, options->payload, log_stride(options));
    }
    crew_lap_end(seat, events);
    return 0;
}

static int run_job(struct reference_job *job, double *ns) {
    const struct bench_options *options = job->options;
    uint32_t writers = (uint32_t)options->writers;
    struct crew crew;
    int rc = crew_run(&crew, options, writers, options->pin, run_writer, job);
    if (rc == 0) {
        struct crew_lap lap = crew_lap_of(&crew, 0, writers, 0);
        *ns = crew_lap_cost(&lap);
        if (job->trial && trial_check(job->reference->memory, lap.events) != 0) {
            rc = bench_error("the trial lost an event: its figure is worth nothing");
        }
    }
    crew_free(&crew);
    return rc;
}

int reference_log(struct reference *reference, const struct bench_options *options, double *ns) {
    struct reference_job job = {.reference = reference, .options = options, .batch = 1};
    struct log_shared *log = reference->memory;
    atomic_store_explicit(&log->tail, 0, memory_order_relaxed);
    return run_job(&job, ns);
}

int reference_trial(struct reference *reference, const struct bench_options *options,
                    uint64_t batch, double *ns) {
    struct reference_job job = {
        .reference = reference, .options = options, .batch = batch, .trial = true};
    trial_init(reference->memory, options->events, options->payload, (uint32_t)options->writers);
    return run_job(&job, ns);
}
