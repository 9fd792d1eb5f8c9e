/* Death, and standing still, at every instruction of every operation (steps.h).
 *
 * The short form, in `make check`, judges each state about the commit and a sample of the others;
 * EDDY_STEPS=long judges every one. */
#include "judge.h"
#include "operations.h"
#include "steps.h"
#include "support/child.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { SHORT_LIMIT_MS = 300000, LONG_LIMIT_MS = 3500000 };

static bool is_long(void) {
    const char *form = getenv("EDDY_STEPS");
    return form && strcmp(form, "long") == 0;
}

/* ---- a tracer is a process of its own, so that whatever ends it is told of ---- */

static void trace(void (*fn)(void *arg), void *arg, const char *title) {
    steps_report = child_shared(sizeof *steps_report);
    printf("%s\n", title);
    fflush(stdout);
    pid_t pid = child_start(fn, arg);
    int code = child_end(pid, is_long() ? LONG_LIMIT_MS : SHORT_LIMIT_MS);
    struct steps_report r = *steps_report;
    if (code != 0) {
        fprintf(stderr, "the tracer ended with %d\n", code);
        steps_say_place();
    }
    munmap(steps_report, sizeof *steps_report);
    if (r.forbidden) {
        printf("%s: skipped: stepping needs ptrace, and x86-64\n", title);
        cr_skip_test("stepping needs ptrace, and x86-64");
    }
    printf("%s: %llu operations, %llu instructions, %llu changes, %llu states judged, %llu visits, "
           "%llu kills, %llu breaches\n",
           title, (unsigned long long)r.operations, (unsigned long long)r.instructions,
           (unsigned long long)r.changes, (unsigned long long)r.judged,
           (unsigned long long)r.visited, (unsigned long long)r.killed,
           (unsigned long long)r.breaches);
    fflush(stdout);
    cr_assert_eq(code, 0, "the tracer ended with %d", code);
    cr_assert_eq(r.breaches, 0, "%llu breaches", (unsigned long long)r.breaches);
}

static bool chosen(const struct steps_op *op) {
    const char *only = getenv("EDDY_STEPS_ONLY");
    return !steps_report->forbidden && (!only || strstr(op->name, only)) &&
           (!op->lengthy || only || is_long());
}

static void walk_group(void *arg) {
    const struct operations *group = arg;
    struct steps_plan plan = {.first = 30, .stride = 12, .away_max = STEPS_AWAY};
    if (is_long()) {
        plan = (struct steps_plan){.stride = 1, .both = true};
    }
    for (size_t i = 0; i < group->count; i++) {
        if (chosen(&group->at[i])) {
            (void)steps_walk(&group->at[i], &plan);
        }
    }
}

static void walk(const struct operations *group, const char *title) {
    struct operations copy = *group;
    trace(walk_group, &copy, title);
}

Test(crash, a_death_at_any_instruction_of_an_append_leaves_all_or_nothing, .timeout = 3600) {
    walk(&operations_append, "appends");
}

Test(crash, a_death_at_any_instruction_of_a_keyed_transaction_leaves_all_or_nothing,
     .timeout = 3600) {
    walk(&operations_once, "keyed transactions");
}

Test(crash, a_death_at_any_instruction_of_a_growing_index_leaves_it_sound, .timeout = 3600) {
    walk(&operations_index, "indexes");
}

Test(crash, a_death_at_any_instruction_of_large_things_leaves_all_or_nothing, .timeout = 3600) {
    walk(&operations_large, "large things");
}

Test(crash, a_death_at_any_instruction_of_what_is_put_under_a_key_leaves_all_or_nothing,
     .timeout = 3600) {
    walk(&operations_keyed, "states, snapshots, checkpoints");
}

Test(crash, a_death_at_any_instruction_of_a_reader_leaves_nothing, .timeout = 3600) {
    walk(&operations_read, "readers");
}

Test(crash, a_death_at_any_instruction_of_joining_leaving_and_sweeping_is_swept, .timeout = 3600) {
    walk(&operations_member, "members");
}

Test(crash, a_death_at_any_instruction_of_a_removal_leaves_all_or_nothing, .timeout = 3600) {
    walk(&operations_removal, "removals");
}

Test(crash, a_death_at_any_instruction_under_limits_leaves_all_or_nothing, .timeout = 3600) {
    walk(&operations_limit, "limits");
}

Test(crash, a_death_at_any_instruction_of_maintenance_loses_no_memory, .timeout = 3600) {
    walk(&operations_maintain, "maintenance");
}

Test(crash, a_death_at_any_instruction_of_a_reader_of_what_goes_leaves_nothing, .timeout = 3600) {
    walk(&operations_lapse, "readers of what goes");
}

Test(crash, a_death_at_any_instruction_with_shards_leaves_all_or_nothing, .timeout = 3600) {
    walk(&operations_shard, "shards");
}

/* ---- on the store itself ---- */

static const struct operations *const groups[] = {
    &operations_append, &operations_index,   &operations_large, &operations_read,
    &operations_member, &operations_removal, &operations_limit, &operations_maintain,
    &operations_lapse,  &operations_keyed,   &operations_shard,
};
enum { GROUPS = sizeof groups / sizeof *groups };

/* In short, at some points before the commit, and some from it on; at length, at each point alone,
 * one run after the other. */
static void visit(const struct steps_op *op, const struct steps_points *sample,
                  steps_visitor visitor, bool killed) {
    struct steps_points points = *sample;
    if (!is_long()) {
        (void)steps_visit(op, &points, visitor, killed);
        points.committed = true;
        points.from = sample->from % 7;
        points.stride = 2;
        points.count = killed ? 1 : sample->count;
        if (op->events > 0 || op->commits > 0) {
            (void)steps_visit(op, &points, visitor, killed);
        }
        return;
    }
    points.count = 1;
    for (points.from = 1; !steps_visit(op, &points, visitor, killed);) {
        points.from += visitor ? 1 : sample->stride;
    }
}

/* Operations that others may interfere with. */
static void visit_groups(steps_visitor visitor, bool killed, const struct steps_points *sample) {
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; i < groups[g]->count; i++) {
            const struct steps_op *op = &groups[g]->at[i];
            struct steps_points points = *sample;
            points.from += is_long() ? i * 3 : i;
            bool turn = is_long() || (i + g) % (visitor ? 4 : 3) == 0;
            if (chosen(op) && turn && !(visitor && op->alone)) {
                visit(op, &points, visitor, killed);
            }
        }
    }
}

static void kill_some(void *arg) {
    (void)arg;
    const struct steps_points sample = {.from = 5, .stride = is_long() ? 7 : 1, .count = 1};
    visit_groups(NULL, true, &sample);
}

Test(crash, really_killed_at_a_sample_of_instructions, .timeout = 3600) {
    trace(kill_some, NULL, "real kills");
}

static void stop_some(void *arg) {
    (void)arg;
    const struct steps_points sample = {.from = 2, .stride = is_long() ? 1 : 7, .count = 3};
    visit_groups(operations_hundred, false, &sample);
}

Test(crash, others_append_a_hundred_while_one_stands_still_anywhere, .timeout = 3600) {
    trace(stop_some, NULL, "stops");
}

struct removers {
    steps_visitor visitor;
    bool killed;
};

/* In short, one operation in six; at length, all, each of its points alone. */
static void remove_some(void *arg) {
    const struct removers *r = arg;
    size_t turn = (r->killed ? 3u : 0u) + (r->visitor == operations_forget ? 1u : 0u);
    for (size_t g = 0; g < GROUPS; g++) {
        for (size_t i = 0; i < groups[g]->count; i++) {
            const struct steps_op *op = &groups[g]->at[i];
            struct steps_points points = {.from = 3 + i, .stride = 9, .count = 2};
            bool mine = turn++ % 6 == 0 || is_long() || getenv("EDDY_STEPS_ONLY");
            if (chosen(op) && !op->crowded && mine) {
                visit(op, &points, r->visitor, r->killed);
            }
        }
    }
}

Test(crash, others_drop_events_while_one_stands_still_anywhere, .timeout = 3600) {
    struct removers removers = {.visitor = operations_drop};
    trace(remove_some, &removers, "stops while others drop");
}

Test(crash, others_drop_events_while_one_stands_still_and_then_dies, .timeout = 3600) {
    struct removers removers = {.visitor = operations_drop, .killed = true};
    trace(remove_some, &removers, "stops while others drop, and a death");
}

Test(crash, others_forget_streams_while_one_stands_still_anywhere, .timeout = 3600) {
    struct removers removers = {.visitor = operations_forget};
    trace(remove_some, &removers, "stops while others forget");
}

Test(crash, others_forget_streams_while_one_stands_still_and_then_dies, .timeout = 3600) {
    struct removers removers = {.visitor = operations_forget, .killed = true};
    trace(remove_some, &removers, "stops while others forget, and a death");
}

/* Commit against commit: one stands at each of its points while another commits. */
static void pair_up(void *arg) {
    static const steps_visitor visitors[] = {operations_same_stream, operations_other_stream,
                                             operations_new_stream};
    bool killed = *(bool *)arg;
    for (size_t i = 0; i < operations_append.count; i++) {
        const struct steps_op *op = &operations_append.at[i];
        for (size_t v = 0; chosen(op) && op->events > 0 && v < 3; v++) {
            if (!is_long() && op->events != 1 && v != (i + killed) % 3) {
                continue; /* what takes long has one visitor then */
            }
            struct steps_points points = {
                .from = 1 + v * 4, .stride = 5, .count = op->events == 1 ? 8 : 3 + v};
            visit(op, &points, visitors[v], killed);
        }
    }
}

Test(crash, a_commit_in_the_middle_of_another_harms_neither, .timeout = 3600) {
    bool killed = false;
    trace(pair_up, &killed, "pairs");
}

Test(crash, a_commit_in_the_middle_of_another_that_then_dies, .timeout = 3600) {
    bool killed = true;
    trace(pair_up, &killed, "pairs with a death");
}
