/* The log of distinct errors: one entry for one cause, a bound, and deaths anywhere. */
#include "log.h"

#include "unit_support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct eddy_log_entry only(struct eddy_arena *a) {
    struct eddy_log_entry e;
    struct eddy_log_entry found = {0};
    unsigned n = 0;
    for (unsigned i = 0; i < EDDY_ERROR_SLOTS; i++) {
        if (eddy_log_get(a, i, &e)) {
            found = e;
            n++;
        }
    }
    cr_assert_eq(n, 1, "%u entries", n);
    return found;
}

Test(log, what_differs_each_time_makes_no_entry_of_its_own, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    eddy_log_add(a, EDDY_EFULL, "/dev/shm/eddy.x: no room for 12 KiB of stream 'a-1' (of 300)", 10);
    eddy_log_add(a, EDDY_EFULL, "/tmp/eddy.y: no room for 99999 KiB of stream 'b' (of 1)", 30);
    eddy_log_add(a, EDDY_EFULL, "/x: no room for 1 KiB of stream '' (of 1)", 20);
    struct eddy_log_entry e = only(a);
    cr_assert_eq(e.code, EDDY_EFULL);
    cr_assert_eq(e.count, 3);
    cr_assert_eq(e.first_ns, 10);
    cr_assert_eq(e.last_ns, 30);
    cr_assert_str_eq(e.text, "no room for # KiB of stream '...' (of #)");
    unit_store_free(a);
}

Test(log, long_messages_and_odd_quotes_are_cut, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    char text[300];
    for (size_t n = 0; n < sizeof text; n++) {
        memset(text, 'x', sizeof text);
        text[n] = 0;
        if (n > 2) {
            text[n - 2] = '\'';
        }
        eddy_log_add(a, EDDY_ESYS, text, 1);
    }
    struct eddy_log_entry e;
    for (unsigned i = 0; i < EDDY_ERROR_SLOTS; i++) {
        if (eddy_log_get(a, i, &e)) {
            cr_assert_leq(strlen(e.text), EDDY_LOG_TEXT);
        }
    }
    unit_store_free(a);
}

Test(log, what_finds_no_place_is_counted_as_others, .timeout = 30) {
    struct eddy_arena *a = unit_store(0);
    struct eddy_log_entry e;
    char text[64];
    uint64_t count = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "cause %c%c", 'a' + i % 26, 'a' + i / 26);
        for (int k = 0; k < 3; k++) {
            eddy_log_add(a, EDDY_ECORRUPT, text, 5);
        }
    }
    for (unsigned i = 0; i < EDDY_ERROR_SLOTS; i++) {
        cr_assert(eddy_log_get(a, i, &e));
        count += e.count;
        cr_assert_eq(e.code, i + 1 < EDDY_ERROR_SLOTS ? EDDY_ECORRUPT : 0);
        cr_assert(i + 1 < EDDY_ERROR_SLOTS || strcmp(e.text, "other errors") == 0);
    }
    cr_assert_eq(count, 300);
    unit_store_free(a);
}

static void add_one(void *arg) {
    eddy_log_add(arg, EDDY_EFULL, "there is no memory for any of it, and so it goes", 7);
}

Test(log, a_death_anywhere_leaves_an_entry_that_the_next_completes, .timeout = 60) {
    unit_needs_steps();
    for (uint64_t at = 0;; at++) {
        struct eddy_arena *a = unit_store(0);
        struct unit_step step = {.arena = a, .to = 4096, .at = at, .act = unit_act_death};
        bool acted = unit_step(&step, add_one, a) != 0;
        struct eddy_log_entry e;
        for (unsigned i = 0; i < EDDY_ERROR_SLOTS; i++) {
            cr_assert(!eddy_log_get(a, i, &e) ||
                          strcmp(e.text, "there is no memory for any of it, and so it goes") == 0,
                      "what is shown is whole");
        }
        add_one(a);
        e = only(a);
        cr_assert_eq(e.code, EDDY_EFULL);
        cr_assert(e.count == 1 || e.count == 2);
        cr_assert_eq(e.first_ns, 7);
        cr_assert_eq(e.last_ns, 7);
        cr_assert_str_eq(e.text, "there is no memory for any of it, and so it goes");
        unit_store_free(a);
        if (!acted) {
            cr_assert_gt(at, 10);
            break;
        }
    }
}

enum { THREADS = 4, EACH = 2000, CAUSES = 40 };

static void *add_many(void *arg) {
    char text[64];
    for (int i = 0; i < EACH; i++) {
        snprintf(text, sizeof text, "cause %c%c", 'a' + i % CAUSES % 26, 'a' + i % CAUSES / 26);
        eddy_log_add(arg, EDDY_ELIMIT, text, 1 + i);
    }
    return NULL;
}

Test(log, none_is_lost_where_many_meet_some, .timeout = 60) {
    struct eddy_arena *a = unit_store(0);
    pthread_t threads[THREADS];
    struct eddy_log_entry e;
    uint64_t count = 0;
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, add_many, a), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (unsigned i = 0; i < EDDY_ERROR_SLOTS; i++) {
        count += eddy_log_get(a, i, &e) ? e.count : 0;
    }
    cr_assert_eq(count, THREADS * EACH);
    unit_store_free(a);
}
