/* Checks for the children of tests, their threads, and programs without Criterion: what fails is
 * said on stderr with its place, the last words of the library and the seed, and the process ends
 * by _exit(1). The parent sees that and asserts. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>

#define CHECK(condition)                                                                           \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition, "%s", ""))

/* The same, with more to say: a format and its arguments. */
#define CHECK_SAY(condition, ...)                                                                  \
    ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))

/* Two whole numbers are equal. */
#define CHECK_EQ(a, b) check_equal(__FILE__, __LINE__, #a " == " #b, (int64_t)(a), (int64_t)(b))

/* The value of a call that must succeed (0 or more). */
#define CHECK_OK(call) check_ok(__FILE__, __LINE__, #call, (int64_t)(call))

_Noreturn void check_failed(const char *file, int line, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void check_equal(const char *file, int line, const char *what, int64_t a, int64_t b);
int64_t check_ok(const char *file, int line, const char *what, int64_t rc);

#endif
