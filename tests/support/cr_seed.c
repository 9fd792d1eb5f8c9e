/* One seed for a whole run of the tests, chosen before the first of them and said when one fails.
 * Each test is a process of its own and inherits it. */
#include "rng.h"

#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <inttypes.h>
#include <stdio.h>

ReportHook(PRE_ALL)(struct criterion_test_set *tests) {
    (void)tests;
    rng_seed();
}

ReportHook(POST_ALL)(struct criterion_global_stats *stats) {
    if (stats->tests_failed > 0 || stats->tests_crashed > 0) {
        fprintf(stderr, "To do it again: EDDY_SEED=%" PRIu64 "\n", rng_seed());
    }
}
