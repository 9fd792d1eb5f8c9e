/* Assertions on what eddy's functions return; for the body of a test only, never for its
 * children. */
#ifndef CR_MUST_H
#define CR_MUST_H

#include "eddy.h"

#include <criterion/criterion.h>

/* The call succeeds. */
#define must(call)                                                                                 \
    do {                                                                                           \
        long long must_rc_ = (long long)(call);                                                    \
        cr_assert(must_rc_ >= 0, "%s: %s: %s", #call, eddy_errname((int)must_rc_), eddy_errmsg()); \
    } while (0)

/* The call gives exactly this; if it is an error, then there are words about it. */
#define gives(call, value)                                                                         \
    do {                                                                                           \
        long long gives_rc_ = (long long)(call);                                                   \
        cr_assert(gives_rc_ == (long long)(value), "%s gives %lld (%s: %s), not %s", #call,        \
                  gives_rc_, gives_rc_ < 0 ? eddy_errname((int)gives_rc_) : "", eddy_errmsg(),     \
                  #value);                                                                         \
        cr_assert(gives_rc_ >= 0 || eddy_errmsg()[0], "%s: no words", #call);                      \
    } while (0)

/* Two eddy_bytes, or one and a C string, are the same bytes. */
#define same_bytes(a, b)                                                                           \
    do {                                                                                           \
        eddy_bytes same_a_ = (a);                                                                  \
        eddy_bytes same_b_ = (b);                                                                  \
        cr_assert_eq(same_a_.len, same_b_.len, "%s: %zu bytes, not %zu", #a, same_a_.len,          \
                     same_b_.len);                                                                 \
        cr_assert(same_a_.len == 0 || memcmp(same_a_.ptr, same_b_.ptr, same_a_.len) == 0,          \
                  "%s: other bytes than %s", #a, #b);                                              \
    } while (0)

/* Ends a test that cannot be made here. (A test that is skipped leaks memory of Criterion itself,
 * and a leak counts as a failure under AddressSanitizer.) */
#if defined(__SANITIZE_ADDRESS__)
#define skip_test(why) return
#else
#define skip_test(why) cr_skip(why)
#endif

#define has_text(text, part)                                                                       \
    cr_assert(strstr((text), (part)) != NULL, "'%s' does not say '%s'", (text), (part))

#endif
