#include "commands.h"
#include "handover.h"
#include "machine.h"
#include "measure.h"
#include "pages.h"
#include "reference.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Nanoseconds of each run of one thing; a null in the report if there are none. */
struct raw_row {
    const char *key;
    double ns[OPTIONS_REPEAT_MAX];
    size_t count;
};

static void put_row(struct report *report, struct raw_row *row) {
    if (row->count == 0) {
        report_null(report, row->key);
    } else {
        report_number(report, row->key, measure_median(row->ns, row->count));
    }
}

#define RAW_CALLS 2000000u

static double cost_of_clock(void) {
    int64_t sum = 0;
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < RAW_CALLS; i++) {
        sum += realtime_ns();
    }
    double ns = (double)(now_ns() - start) / RAW_CALLS;
    __asm__ volatile("" : : "r"(sum)); /* the sum is wanted, so the calls are made */
    return ns;
}

static double cost_of_timer(void) {
    uint64_t sum = 0;
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < RAW_CALLS; i++) {
        sum += ticks();
    }
    double ns = (double)(now_ns() - start) / RAW_CALLS;
    __asm__ volatile("" : : "r"(sum));
    return ns;
}

static int raw_clock(const struct bench_options *options, struct report *report) {
    struct raw_row clock = {.key = "clock_realtime_ns"};
    struct raw_row timer = {.key = "timer_ns"};
    for (uint64_t i = 0; i < options->repeat; i++) {
        clock.ns[clock.count++] = cost_of_clock();
        timer.ns[timer.count++] = cost_of_timer();
    }
    put_row(report, &clock);
    put_row(report, &timer);
    return 0;
}

static int raw_fetchadd(const struct bench_options *options, struct report *report) {
    static _Alignas(64) _Atomic uint64_t word;
    struct raw_row row = {.key = "fetchadd_ns"};
    for (uint64_t run = 0; run < options->repeat; run++) {
        uint64_t start = now_ns();
        for (uint32_t i = 0; i < RAW_CALLS; i++) {
            atomic_fetch_add_explicit(&word, 1, memory_order_relaxed);
        }
        row.ns[row.count++] = (double)(now_ns() - start) / RAW_CALLS;
    }
    put_row(report, &row);
    return 0;
}

static int raw_copy(const struct bench_options *options, struct report *report) {
    struct raw_row row = {.key = "copy_ns"};
    size_t len = options->payload;
    size_t stride = (len + 7) & ~(size_t)7;
    size_t slots = (1u << 20) / stride + 1;
    uint8_t *from = calloc(1, len);
    uint8_t *to = calloc(slots, stride);
    if (!from || !to) {
        free(from);
        free(to);
        return bench_error("no memory to copy to");
    }
    memset(to, 1, slots * stride);
    for (uint64_t run = 0; run < options->repeat; run++) {
        size_t slot = 0;
        uint64_t start = now_ns();
        for (uint32_t i = 0; i < RAW_CALLS; i++) {
            memcpy(to + slot * stride, from, len);
            __asm__ volatile("" : : : "memory"); /* each copy is made */
            slot = slot + 1 == slots ? 0 : slot + 1;
        }
        row.ns[row.count++] = (double)(now_ns() - start) / RAW_CALLS;
    }
    put_row(report, &row);
    free(from);
    free(to);
    return 0;
}

static int raw_touch(const struct bench_options *options, struct report *report) {
    struct pages_cost cost;
    if (pages_median(options, &cost) != 0) {
        return -1;
    }
    report_open(report, "page_4k");
    report_number(report, "reserve_ns", cost.reserve);
    report_number(report, "touch_reserved_ns", cost.touch);
    if (cost.populate > 0) {
        report_number(report, "populate_reserved_ns", cost.populate);
    } else {
        report_null(report, "populate_reserved_ns");
    }
    report_number(report, "touch_bare_ns", cost.bare);
    report_number(report, "map_existing_ns", cost.map);
    report_close(report);
    return 0;
}

static int raw_handover(const struct bench_options *options, struct report *report) {
    struct raw_row line = {.key = "handover_line_ns"};
    struct raw_row bytes = {.key = "handover_payload_ns"};
    struct machine_distances distances = {.count = 0};
    for (uint64_t i = 0; i < options->repeat && options->cpu_count >= 2; i++) {
        distances.before_ns[i] = machine_distance(options);
        if (distances.before_ns[i] < 0 ||
            handover_line(options, 200000, &line.ns[line.count++]) != 0 ||
            handover_bytes(options, 200000, &bytes.ns[bytes.count++]) != 0) {
            return -1;
        }
        distances.after_ns[i] = machine_distance(options);
        if (distances.after_ns[i] < 0) {
            return -1;
        }
        distances.count++;
    }
    put_row(report, &line);
    put_row(report, &bytes);
    machine_distances_report(report, &distances);
    return 0;
}

static int raw_futex(const struct bench_options *options, struct report *report) {
    struct raw_row nobody = {.key = "futex_wake_nobody_ns"};
    struct raw_row sleeper = {.key = "futex_wake_sleeper_ns"};
    for (uint64_t i = 0; i < options->repeat; i++) {
        nobody.ns[nobody.count++] = handover_futex_nobody();
        if (options->cpu_count >= 2 &&
            handover_futex(options, 5000, &sleeper.ns[sleeper.count++]) != 0) {
            return -1;
        }
    }
    put_row(report, &nobody);
    put_row(report, &sleeper);
    return 0;
}

static int raw_log(const struct bench_options *options, struct report *report) {
    struct raw_row row = {.key = "log_ns_per_event"};
    struct reference reference;
    if (reference_create(&reference, options) != 0) {
        return -1;
    }
    int rc = 0;
    for (uint64_t i = 0; i < options->repeat && rc == 0; i++) {
        rc = reference_log(&reference, options, &row.ns[row.count++]);
    }
    put_row(report, &row);
    reference_destroy(&reference);
    return rc;
}

static int raw_trial(const struct bench_options *options, struct report *report) {
    struct raw_row single = {.key = "trial_ns_per_event"};
    struct raw_row batch = {.key = "trial_batch_ns_per_event"};
    struct reference reference;
    if (reference_create(&reference, options) != 0) {
        return -1;
    }
    int rc = 0;
    for (uint64_t i = 0; i < options->repeat && rc == 0; i++) {
        rc = reference_trial(&reference, options, 1, &single.ns[single.count++]);
        rc = rc == 0
                 ? reference_trial(&reference, options, options->batch, &batch.ns[batch.count++])
                 : rc;
    }
    put_row(report, &single);
    put_row(report, &batch);
    reference_destroy(&reference);
    return rc;
}

static const struct {
    const char *name;
    int (*fn)(const struct bench_options *options, struct report *report);
} items[] = {{"clock", raw_clock}, {"fetchadd", raw_fetchadd}, {"copy", raw_copy},
             {"touch", raw_touch}, {"handover", raw_handover}, {"futex", raw_futex},
             {"log", raw_log},     {"trial", raw_trial}};

#define ITEM_COUNT (sizeof(items) / sizeof(items[0]))

static bool is_wanted(const struct bench_options *options, const char *name) {
    for (int i = 0; i < options->item_count; i++) {
        if (strcmp(options->items[i], name) == 0) {
            return true;
        }
    }
    return options->item_count == 0;
}

static int check_items(const struct bench_options *options) {
    for (int i = 0; i < options->item_count; i++) {
        size_t k = 0;
        while (k < ITEM_COUNT && strcmp(items[k].name, options->items[i]) != 0) {
            k++;
        }
        if (k == ITEM_COUNT) {
            bench_error("raw %s: there is no such thing; see eddy-bench raw --help",
                        options->items[i]);
            return COMMAND_USAGE;
        }
    }
    return 0;
}

int command_raw(const struct bench_options *options, struct report *report) {
    if (check_items(options) != 0) {
        return COMMAND_USAGE;
    }
    report_open(report, "raw");
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        if (is_wanted(options, items[i].name) && items[i].fn(options, report) != 0) {
            return -1;
        }
    }
    report_close(report);
    return 0;
}
