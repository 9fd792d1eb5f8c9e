/* eddy.h from outside: codes, names, sentences, version. */
#include "eddy.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

Test(api_errors, every_code_has_a_name_and_a_sentence_of_its_own, .timeout = 10) {
    for (int a = EDDY_ESYS; a < 0; a++) {
        cr_assert_eq(strncmp(eddy_errname(a), "EDDY_E", 6), 0, "%d is %s", a, eddy_errname(a));
        cr_assert_gt(strlen(eddy_strerror(a)), 5);
        for (int b = EDDY_ESYS; b < a; b++) {
            cr_assert_str_neq(eddy_errname(a), eddy_errname(b));
            cr_assert_str_neq(eddy_strerror(a), eddy_strerror(b));
        }
    }
    cr_assert_str_eq(eddy_errname(EDDY_EFULL), "EDDY_EFULL");
    cr_assert_str_eq(eddy_errname(EDDY_ESYS), "EDDY_ESYS");
}

Test(api_errors, codes_that_are_none_have_words_too, .timeout = 10) {
    int codes[] = {0, 1, -20, -1000, 2147483647, -2147483647 - 1};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        cr_assert_not_null(eddy_errname(codes[i]));
        cr_assert_not_null(eddy_strerror(codes[i]));
    }
}

Test(api_errors, the_version_is_that_of_the_header, .timeout = 10) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", EDDY_VERSION_MAJOR, EDDY_VERSION_MINOR,
             EDDY_VERSION_PATCH);
    cr_assert_str_eq(eddy_version(), text);
}

static void *fail_elsewhere(void *arg) {
    (void)arg;
    CHECK(eddy_errmsg()[0] == '\0');
    eddy_store *none;
    CHECK_EQ(eddy_open(&none, "c/d", NULL), EDDY_EINVAL);
    CHECK(eddy_errmsg()[0]);
    return NULL;
}

Test(api_errors, each_thread_has_its_own_last_words, .timeout = 10) {
    cr_assert_str_eq(eddy_errmsg(), "");
    eddy_store *store = sandbox_anonymous();
    cr_assert_str_eq(eddy_errmsg(), "");
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *none;
    gives(eddy_open(&none, "a/b", &options), EDDY_EINVAL);
    char words[512];
    snprintf(words, sizeof words, "%s", eddy_errmsg());
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, fail_elsewhere, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_str_eq(eddy_errmsg(), words);
    eddy_close(store);
    cr_assert_str_eq(eddy_errmsg(), words);
}

Test(api_errors, deadlines_are_of_the_monotonic_clock, .timeout = 10) {
    struct timespec now;
    cr_assert_eq(eddy_deadline_ms(-1), EDDY_FOREVER);
    cr_assert_eq(eddy_deadline_ms(INT64_MAX), EDDY_FOREVER);
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t before = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    int64_t deadline = eddy_deadline_ms(1000);
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t after = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    cr_assert(deadline >= before + 1000000000 && deadline <= after + 1000000000);
}

Test(api_errors, bytes_of_a_string, .timeout = 10) {
    cr_assert_eq(eddy_str(NULL).len, 0);
    cr_assert_eq(eddy_str("").len, 0);
    cr_assert_eq(eddy_str("abc").len, 3);
    cr_assert_eq(eddy_mem("a\0c", 3).len, 3);
}
