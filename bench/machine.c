#include "machine.h"

#include "crew.h"
#include "eddy.h"
#include "handover.h"
#include "measure.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef EDDY_COMMIT
#define EDDY_COMMIT "unknown"
#endif

/* The first line of a file, without its end; NULL if it cannot be read. */
static const char *first_line(const char *path, char *line, int len) {
    FILE *f = fopen(path, "re");
    const char *found = f ? fgets(line, len, f) : NULL;
    if (f) {
        fclose(f);
    }
    if (found) {
        line[strcspn(line, "\n")] = 0;
    }
    return found;
}

/* Of a line such as "always [madvise] never", what is in the brackets. */
static const char *chosen(const char *path, char *line, int len) {
    if (!first_line(path, line, len)) {
        return NULL;
    }
    char *from = strchr(line, '[');
    char *to = from ? strchr(from, ']') : NULL;
    if (!to) {
        return line;
    }
    *to = 0;
    return from + 1;
}

static const char *cpu_model(char *line, int len) {
    const char *found = NULL;
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && !found && fgets(line, len, f)) {
        char *colon = strchr(line, ':');
        if (colon && strncmp(line, "model name", 10) == 0) {
            line[strcspn(line, "\n")] = 0;
            found = colon + 1 + strspn(colon + 1, " ");
        }
    }
    if (f) {
        fclose(f);
    }
    return found;
}

void machine_report(struct report *report) {
    char line[1024];
    char kernel[256] = "unknown";
    struct utsname name;
    if (uname(&name) == 0) {
        snprintf(kernel, sizeof(kernel), "%s %s %s", name.sysname, name.release, name.machine);
    }
    long pages = sysconf(_SC_PHYS_PAGES);
    report_open(report, "machine");
    report_text(report, "cpu", cpu_model(line, sizeof(line)));
    report_count(report, "cores", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    report_count(report, "memory_mib",
                 pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) >> 20 : 0);
    report_text(report, "kernel", kernel);
    report_text(report, "compiler", __VERSION__);
    report_text(
        report, "governor",
        first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line, sizeof(line)));
    report_text(report, "huge_pages",
                chosen("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line)));
    report_text(report, "huge_pages_shmem",
                chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled", line, sizeof(line)));
    report_text(report, "clocksource",
                first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", line,
                           sizeof(line)));
    report_text(report, "timer", measure_timer_is_tsc ? "tsc" : "clock_gettime");
    report_number(report, "timer_step_ns", measure_timer_step());
    report_text(report, "eddy", eddy_version());
    report_text(report, "commit", EDDY_COMMIT);
    report_close(report);
}

double machine_distance(const struct bench_options *options) {
    if (options->cpu_count < 2) {
        return 0.0;
    }
    double ns = 0.0;
    return handover_line(options, 10000, &ns) == 0 ? ns : -1.0;
}

const char *machine_distance_name(const struct machine_distances *distances) {
    uint32_t far = 0;
    for (uint32_t i = 0; i < distances->count; i++) {
        far += distances->before_ns[i] >= MACHINE_FAR_NS;
        far += distances->after_ns[i] >= MACHINE_FAR_NS;
    }
    if (distances->count == 0) {
        return NULL;
    }
    return far == 0 ? "near" : far == 2 * distances->count ? "far" : "mixed";
}

int machine_run(const struct bench_options *options, struct machine_distances *distances,
                bool crosses, int (*run)(void *arg), void *arg) {
    if (!crosses || options->cpu_count < 2 || distances->count == OPTIONS_REPEAT_MAX) {
        return run(arg);
    }
    uint32_t n = distances->count;
    for (int tries = 0; tries < 3; tries++) {
        distances->before_ns[n] = machine_distance(options);
        if (distances->before_ns[n] < 0 || run(arg) != 0) {
            return -1;
        }
        distances->after_ns[n] = machine_distance(options);
        if (distances->after_ns[n] < 0) {
            return -1;
        }
        bool was_far = distances->before_ns[n] >= MACHINE_FAR_NS;
        if (was_far == (distances->after_ns[n] >= MACHINE_FAR_NS)) {
            break;
        }
    }
    distances->count++;
    return 0;
}

void machine_distances_report(struct report *report, const struct machine_distances *distances) {
    if (distances->count == 0) {
        return;
    }
    report_text(report, "distance", machine_distance_name(distances));
    report_numbers(report, "distance_before_ns", distances->before_ns, distances->count);
    report_numbers(report, "distance_after_ns", distances->after_ns, distances->count);
}
