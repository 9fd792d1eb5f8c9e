/* machine: what the figures were measured on, and how far apart two of its CPUs are. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "options.h"
#include "report.h"

/* Writes the machine, the build and the versions as the object "machine". */
void machine_report(struct report *report);

/* The time, one way, that a cache line takes between the first two CPUs of the options, in
 * nanoseconds, when both sides spin. 0 when there is but one CPU; -1 when it failed. */
double machine_distance(const struct bench_options *options);

/* One way times from here on are called "far". Between cores that share a cache it is some tens of
 * nanoseconds, else some hundreds. */
#define MACHINE_FAR_NS 130.0

/* The distances around the runs of one kind, before and after each. */
struct machine_distances {
    double before_ns[OPTIONS_REPEAT_MAX];
    double after_ns[OPTIONS_REPEAT_MAX];
    uint32_t count;
};

/* "near", "far", or "mixed" if not all were the same; NULL if none was measured. */
const char *machine_distance_name(const struct machine_distances *distances);

/* Does a run that crosses CPUs with the distance probed before and after. When the CPUs came nearer
 * or went away meanwhile the run is done again, up to three times in all. Without `crosses` the run
 * is simply done. */
int machine_run(const struct bench_options *options, struct machine_distances *distances,
                bool crosses, int (*run)(void *arg), void *arg);

void machine_distances_report(struct report *report, const struct machine_distances *distances);

#endif
