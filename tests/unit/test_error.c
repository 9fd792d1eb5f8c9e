/* error: one table of codes, one message a thread. */
#include "error.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const int codes[] = {
#define X(code, sentence) code,
    EDDY_ERRORS(X)
#undef X
};
enum { CODES = sizeof codes / sizeof codes[0] };

Test(error, every_code_has_a_name_and_a_sentence_of_its_own, .timeout = 10) {
    for (int i = 0; i < CODES; i++) {
        cr_assert_eq(codes[i], -1 - i, "dense: bindings count on it");
        cr_assert_eq(strncmp(eddy_errname(codes[i]), "EDDY_E", 6), 0);
        cr_assert_gt(strlen(eddy_strerror(codes[i])), 5);
        for (int k = 0; k < i; k++) {
            cr_assert_str_neq(eddy_errname(codes[i]), eddy_errname(codes[k]));
            cr_assert_str_neq(eddy_strerror(codes[i]), eddy_strerror(codes[k]));
        }
    }
    cr_assert_str_eq(eddy_errname(EDDY_EFULL), "EDDY_EFULL");
}

Test(error, other_numbers_are_named_too, .timeout = 10) {
    const int others[] = {0, 1, INT32_MAX, -1 - CODES, INT32_MIN};
    for (int i = 0; i < 5; i++) {
        cr_assert_str_eq(eddy_errname(others[i]), others[i] >= 0 ? "EDDY_OK" : "EDDY_EUNKNOWN");
        cr_assert_str_eq(eddy_strerror(others[i]), others[i] >= 0 ? "success" : "unknown error");
    }
}

static void *other_thread(void *arg) {
    (void)arg;
    bool empty = eddy_errmsg()[0] == 0;
    (void)eddy_error_set(EDDY_EFULL, "theirs");
    return (void *)(uintptr_t)empty;
}

Test(error, the_message_is_the_threads_own, .timeout = 10) {
    pthread_t t;
    void *empty;
    cr_assert_str_eq(eddy_errmsg(), "");
    cr_assert_eq(eddy_error_set(EDDY_EINVAL, "%s %d", "mine", 5), EDDY_EINVAL);
    cr_assert_eq(pthread_create(&t, NULL, other_thread, NULL), 0);
    pthread_join(t, &empty);
    cr_assert_eq((uintptr_t)empty, 1);
    cr_assert_str_eq(eddy_errmsg(), "mine 5");
}

Test(error, a_long_message_is_cut, .timeout = 10) {
    char text[5000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    (void)eddy_error_set(EDDY_EINVAL, "%s", text);
    cr_assert_gt(strlen(eddy_errmsg()), 500);
    cr_assert_lt(strlen(eddy_errmsg()), 5000);
}

Test(error, the_version_is_that_of_the_header, .timeout = 10) {
    unsigned v[3];
    cr_assert_eq(sscanf(eddy_version(), "%u.%u.%u", &v[0], &v[1], &v[2]), 3);
    cr_assert_eq(v[0], EDDY_VERSION_MAJOR);
    cr_assert_eq(v[1], EDDY_VERSION_MINOR);
    cr_assert_eq(v[2], EDDY_VERSION_PATCH);
}
