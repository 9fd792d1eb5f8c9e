/* pingpong: each of two processes appends to a stream of its own and follows the other's. The data
 * begins with the timer's reading from before the append; who gets the event subtracts it. */
#include "commands.h"
#include "handover.h"
#include "machine.h"
#include "measure.h"
#include "subject.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WAIT_MS 10000
#define WARM_UP_ROUNDS 1000u

struct pingpong {
    const struct bench_options *options;
    struct subject subject;
    struct crew *crew;
    uint64_t sleeps_before; /* counted in the store before the run */
};

struct side {
    struct crew_seat *seat;
    const struct bench_options *options;
    eddy_store *store;
    eddy_reader *reader;
    eddy_bytes own;
    eddy_bytes other;
    uint8_t *payload;
    uint64_t version; /* of the other's last event that was got */
    int epoll_fd;
};

/* ---- in the processes */

static int open_epoll(struct side *side) {
    int fd = eddy_reader_fd(side->reader);
    if (fd < 0) {
        return crew_fail(side->seat, "the reader has no descriptor: %s", eddy_errmsg());
    }
    struct epoll_event interest = {.events = EPOLLIN};
    side->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (side->epoll_fd < 0 || epoll_ctl(side->epoll_fd, EPOLL_CTL_ADD, fd, &interest) != 0) {
        return crew_fail(side->seat, "epoll does not take the reader's descriptor");
    }
    return 0;
}

static int side_open(struct side *side, const struct pingpong *bench, struct crew_seat *seat) {
    *side = (struct side){.seat = seat, .options = bench->options, .epoll_fd = -1};
    side->own = eddy_str(seat->index == 0 ? "bench-ping" : "bench-pong");
    side->other = eddy_str(seat->index == 0 ? "bench-pong" : "bench-ping");
    side->payload = calloc(1, bench->options->payload);
    if (!side->payload) {
        return crew_fail(seat, "no memory for an event");
    }
    if (subject_join(&bench->subject, seat, &side->store) != 0) {
        return -1;
    }
    eddy_select select = EDDY_SELECT_INIT;
    eddy_stream_facts facts = {.size = sizeof(facts)};
    int rc = eddy_stream_info(side->store, side->other, &facts);
    if (rc < 0 && rc != EDDY_ENOENT) {
        return crew_fail(seat, "stream info: %s", eddy_errmsg());
    }
    select.flags = EDDY_FOLLOW;
    select.stream = side->other;
    side->version = rc == EDDY_ENOENT ? 0 : facts.version;
    select.after_version = side->version;
    if (eddy_reader_open(side->store, &select, &side->reader) < 0) {
        return crew_fail(seat, "cannot open a reader: %s", eddy_errmsg());
    }
    return bench->options->epoll ? open_epoll(side) : 0;
}

static void side_close(struct side *side) {
    if (side->epoll_fd >= 0) {
        close(side->epoll_fd);
    }
    eddy_reader_close(side->reader);
    eddy_close(side->store);
    free(side->payload);
}

static void let_pass(uint64_t us) {
    uint64_t until = now_ns() + us * 1000;
    while (us > 0 && now_ns() < until) {
        cpu_relax();
    }
}

static int send_event(struct side *side) {
    let_pass(side->options->gap_us);
    eddy_new_event event = {.data = eddy_mem(side->payload, side->options->payload)};
    uint64_t start = ticks();
    memcpy(side->payload, &start, sizeof(start));
    int rc = eddy_append(side->store, side->own, EDDY_ANY, &event, 1, NULL);
    return rc < 0 ? crew_fail(side->seat, "append: %s (%s)", eddy_errmsg(), eddy_errname(rc)) : 0;
}

static int next_by_epoll(struct side *side, eddy_event *event) {
    for (;;) {
        int rc = eddy_reader_next(side->reader, event);
        if (rc != EDDY_CAUGHT_UP) {
            return rc;
        }
        struct epoll_event ready;
        if (epoll_wait(side->epoll_fd, &ready, 1, WAIT_MS) == 0) {
            return EDDY_ETIMEDOUT;
        }
    }
}

static int await_event(struct side *side, bool counts) {
    eddy_event event;
    int rc = side->options->epoll
                 ? next_by_epoll(side, &event)
                 : eddy_reader_wait(side->reader, eddy_deadline_ms(WAIT_MS), &event);
    uint64_t now = ticks();
    if (rc == EDDY_ETIMEDOUT) {
        return crew_fail(side->seat, "the other's event did not come within %d ms", WAIT_MS);
    }
    if (rc != EDDY_EVENT || event.data.len != side->options->payload) {
        return crew_fail(side->seat, "waiting: %s (%s)", eddy_errmsg(), eddy_errname(rc));
    }
    if (event.version != ++side->version) {
        return crew_fail(side->seat, "got version %llu instead of %llu",
                         (unsigned long long)event.version, (unsigned long long)side->version);
    }
    uint64_t sent = 0;
    memcpy(&sent, event.data.ptr, sizeof(sent));
    if (counts) {
        histogram_add(&side->seat->result->histogram, now > sent ? now - sent : 0);
    }
    return 0;
}

static int play(struct side *side, uint64_t rounds, bool counts) {
    for (uint64_t i = 0; i < rounds; i++) {
        if (side->seat->index == 0) {
            if (send_event(side) != 0 || await_event(side, counts) != 0) {
                return -1;
            }
        } else if (await_event(side, counts) != 0 || send_event(side) != 0) {
            return -1;
        }
    }
    return 0;
}

static int be_side(struct crew_seat *seat, void *arg) {
    const struct pingpong *bench = arg;
    uint64_t rounds = bench->options->events;
    uint64_t warm_up = rounds / 10 < WARM_UP_ROUNDS ? rounds / 10 : WARM_UP_ROUNDS;
    struct side side;
    if (side_open(&side, bench, seat) != 0) {
        return -1;
    }
    crew_meet(seat);
    if (play(&side, warm_up, false) != 0) {
        return -1;
    }
    crew_meet(seat);
    crew_lap_begin(seat);
    int rc = play(&side, rounds, true);
    crew_lap_end(seat, 2 * rounds);
    side_close(&side);
    return rc;
}

/* ---- in the parent */

struct pingpong_figures {
    struct histogram way[2]; /* back, there: as the first and the second process received */
    struct histogram both;
    double p50[OPTIONS_REPEAT_MAX];
    double p99[OPTIONS_REPEAT_MAX];
    double sleeps[OPTIONS_REPEAT_MAX]; /* an event */
    double handover[OPTIONS_REPEAT_MAX];
    double futex[OPTIONS_REPEAT_MAX];
    struct machine_distances distances;
    size_t count;
};

static uint64_t count_sleeps(const struct pingpong *bench) {
    eddy_counts counts = {.size = sizeof(counts)};
    return eddy_stats(bench->subject.store, &counts) < 0 ? 0 : counts.sleeps;
}

static int run_sides(void *arg) {
    struct pingpong *bench = arg;
    crew_free(bench->crew); /* of a run that is done again */
    bench->sleeps_before = count_sleeps(bench);
    return crew_run(bench->crew, bench->options, 2, bench->options->pin, be_side, bench);
}

static void add_figures(struct pingpong_figures *figures, const struct pingpong *bench,
                        uint64_t sleeps) {
    const struct crew_result *results = bench->crew->shared->results;
    struct histogram run = {.count = 0};
    for (int i = 0; i < 2; i++) {
        histogram_merge(&run, &results[i].histogram);
        histogram_merge(&figures->way[i], &results[i].histogram);
        histogram_merge(&figures->both, &results[i].histogram);
    }
    size_t n = figures->count++;
    figures->p50[n] = measure_ticks_to_ns(histogram_percentile(&run, 50));
    figures->p99[n] = measure_ticks_to_ns(histogram_percentile(&run, 99));
    figures->sleeps[n] = (double)sleeps / (double)(2 * bench->options->events);
}

static int measure_run(struct pingpong *bench, struct pingpong_figures *figures) {
    struct crew crew = {.shared = NULL};
    size_t n = figures->count;
    bench->crew = &crew;
    if (bench->options->cpu_count >= 2 &&
        (handover_bytes(bench->options, 20000, &figures->handover[n]) != 0 ||
         handover_futex(bench->options, 2000, &figures->futex[n]) != 0)) {
        return -1;
    }
    if (subject_open(&bench->subject, bench->options, false, 0) != 0) {
        return -1;
    }
    int rc = machine_run(bench->options, &figures->distances, true, run_sides, bench);
    if (rc == 0) {
        add_figures(figures, bench, count_sleeps(bench) - bench->sleeps_before);
    }
    crew_free(&crew);
    subject_close(&bench->subject);
    return rc;
}

static void figures_report(struct pingpong_figures *figures, const struct bench_options *options,
                           struct report *report) {
    double runs[OPTIONS_REPEAT_MAX];
    size_t n = figures->count;
    memcpy(runs, figures->p50, sizeof(runs));
    double p50 = measure_median(figures->p50, n);
    report_open(report, "one_way");
    report_number(report, "p50_ns", p50);
    report_number(report, "p99_ns", measure_median(figures->p99, n));
    report_numbers(report, "runs_p50_ns", runs, n);
    report_number(report, "p50_there_ns",
                  measure_ticks_to_ns(histogram_percentile(&figures->way[1], 50)));
    report_number(report, "p50_back_ns",
                  measure_ticks_to_ns(histogram_percentile(&figures->way[0], 50)));
    report_number(report, "sleeps_per_event", measure_median(figures->sleeps, n));
    machine_distances_report(report, &figures->distances);
    report_close(report);
    report_histogram(report, "latency", &figures->both);
    report_open(report, "reference");
    if (options->cpu_count >= 2) {
        double handover = measure_median(figures->handover, n);
        double futex = measure_median(figures->futex, n);
        report_number(report, "handover_payload_ns", handover);
        report_number(report, "futex_wake_sleeper_ns", futex);
        report_number(report, "p50_to_handover", p50 / handover);
        report_number(report, "p50_to_futex", p50 / futex);
    } else {
        report_null(report, "handover_payload_ns");
        report_null(report, "futex_wake_sleeper_ns");
    }
    report_close(report);
}

int command_pingpong(const struct bench_options *options, struct report *report) {
    struct pingpong bench = {.options = options};
    struct pingpong_figures *figures = calloc(1, sizeof(*figures));
    if (!figures) {
        return bench_error("no memory for the figures");
    }
    int rc = options->payload > (1u << 16)
                 ? bench_error("--payload %llu: pingpong takes at most 65536 bytes",
                               (unsigned long long)options->payload)
                 : 0;
    for (uint64_t i = 0; i < options->repeat && rc == 0; i++) {
        rc = measure_run(&bench, figures);
    }
    if (rc == 0) {
        figures_report(figures, options, report);
    }
    free(figures);
    return rc;
}
