#include "commands.h"
#include "machine.h"
#include "measure.h"

#include <stddef.h>

static void report_options(struct report *report, const struct bench_options *options) {
    report_open(report, "options");
    report_text(report, "store", options->store ? options->store : "anonymous");
    if (options->command & (BENCH_APPEND | BENCH_RAW)) {
        report_count(report, "writers", options->writers);
        report_count(report, "batch", options->batch);
    }
    if (options->command & (BENCH_APPEND | BENCH_READ)) {
        report_count(report, "readers", options->readers);
        report_count(report, "streams", options->streams);
    }
    if (options->command == BENCH_READ) {
        report_flag(report, "borrow", options->borrow);
    }
    if (options->command == BENCH_PINGPONG) {
        report_count(report, "gap_us", options->gap_us);
        report_flag(report, "epoll", options->epoll);
    }
    report_count(report, "payload", options->payload);
    report_count(report, "events", options->events);
    report_count(report, "repeat", options->repeat);
    report_flag(report, "pinned", options->pin);
    report_close(report);
}

static int run_command(const struct bench_options *options, struct report *report) {
    switch (options->command) {
    case BENCH_APPEND:
        return command_append(options, report);
    case BENCH_READ:
        return command_read(options, report);
    case BENCH_PINGPONG:
        return command_pingpong(options, report);
    case BENCH_RAW:
        return command_raw(options, report);
    }
    return -1;
}

int main(int argc, char **argv) {
    struct bench_options options;
    int rc = options_parse(&options, argc, argv);
    if (rc <= 0) {
        return rc == 0 ? 0 : 2;
    }
    measure_init();
    struct report report;
    if (report_begin(&report, options.json) != 0) {
        return 1;
    }
    report_text(&report, "bench", options.command_name);
    machine_report(&report);
    report_options(&report, &options);
    rc = run_command(&options, &report);
    int ended = report_end(&report, rc == 0);
    return rc == COMMAND_USAGE ? 2 : rc == 0 && ended == 0 ? 0 : 1;
}
