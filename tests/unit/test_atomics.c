/* atomics: the helpers that are more than names. */
#include "atomics.h"

#include <criterion/criterion.h>
#include <pthread.h>

Test(atomics, a_maximum_only_raises, .timeout = 10) {
    eddy_word w = 5;
    eddy_at_max(&w, 4);
    cr_assert_eq(eddy_ld_acq(&w), 5);
    eddy_at_max(&w, 5);
    cr_assert_eq(eddy_ld_acq(&w), 5);
    eddy_at_max(&w, UINT64_MAX);
    cr_assert_eq(eddy_ld_acq(&w), UINT64_MAX);
    eddy_at_max(&w, 0);
    cr_assert_eq(eddy_ld_acq(&w), UINT64_MAX);
}

Test(atomics, few_bytes_are_copied_whole_and_no_others, .timeout = 10) {
    unsigned char from[40];
    for (unsigned i = 0; i < sizeof from; i++) {
        from[i] = (unsigned char)(i + 1);
    }
    for (size_t n = 0; n <= 33; n++) {
        unsigned char to[40] = {0};
        eddy_copy_in_few(to + 1, from, n);
        for (size_t i = 0; i < sizeof to; i++) {
            cr_assert_eq(to[i], i >= 1 && i <= n ? from[i - 1] : 0, "%zu of %zu", i, n);
        }
    }
}

Test(atomics, few_bytes_are_the_same_if_all_are, .timeout = 10) {
    unsigned char a[40] = {0};
    unsigned char b[40] = {0};
    for (size_t n = 0; n <= 33; n++) {
        cr_assert(eddy_same_few(a, b, n));
        for (size_t i = 0; i < sizeof b; i++) {
            b[i] = 0x80;
            cr_assert_eq(eddy_same_few(a, b, n), i >= n, "%zu of %zu", i, n);
            b[i] = 0;
        }
    }
}

enum { ROUNDS = 20000, THREADS = 4 };

struct shared {
    eddy_word max;
    eddy_word sum;
    eddy_word32 added;
    eddy_word bits;
};

static void *hammer(void *arg) {
    struct shared *s = arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        eddy_at_max(&s->max, i * 7 % ROUNDS);
        uint64_t was = eddy_ld_rlx(&s->sum);
        while (!eddy_cas_ar(&s->sum, &was, was + 1)) {
            eddy_at_pause();
        }
        eddy_add_ar(&s->added, 1u);
        eddy_or_sc(&s->bits, UINT64_C(1) << (i % 64));
    }
    return NULL;
}

Test(atomics, nothing_is_lost_between_threads, .timeout = 20) {
    static struct shared s;
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&t[i], NULL, hammer, &s), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
    }
    cr_assert_eq(eddy_ld_acq(&s.max), ROUNDS - 1);
    cr_assert_eq(eddy_ld_acq(&s.sum), THREADS * ROUNDS);
    cr_assert_eq(eddy_ld_acq(&s.added), THREADS * ROUNDS);
    cr_assert_eq(eddy_ld_acq(&s.bits), UINT64_MAX);
    cr_assert_eq(eddy_and_ar(&s.bits, ~UINT64_C(1)), UINT64_MAX);
    cr_assert_eq(eddy_xchg_ar(&s.bits, 3), UINT64_MAX - 1);
}

Test(atomics, a_swap_that_fails_says_what_was_there, .timeout = 10) {
    eddy_word w = 5;
    uint64_t expected = 4;
    cr_assert_not(eddy_cas_rel(&w, &expected, 9));
    cr_assert_eq(expected, 5);
    cr_assert(eddy_cas_rel(&w, &expected, 9));
    cr_assert_eq(eddy_ld_acq(&w), 9);
    cr_assert_not(eddy_cas_ar(&w, &expected, 1));
    cr_assert_eq(expected, 9);
}

Test(atomics, bytes_are_copied_out_and_in_and_put, .timeout = 10) {
    struct pair {
        uint32_t a;
        uint16_t b;
    };
    _Alignas(8) unsigned char shared[64] = {0};
    unsigned char got[64];
    eddy_copy_in(shared + 3, "0123456789", 10);
    eddy_copy_out(got, shared, 64);
    cr_assert_arr_eq(got, shared, 64);
    cr_assert_eq(got[3], '0');
    cr_assert_eq(got[12], '9');
    cr_assert_eq(got[13], 0);
    EDDY_PUT(struct pair, shared + 16, {.a = 77, .b = 8});
    struct pair *p = (struct pair *)(void *)(shared + 16);
    cr_assert_eq(p->a, 77);
    cr_assert_eq(p->b, 8);
    cr_assert_eq(shared[24], 0);
}
