#include "check.h"

#include "eddy.h"
#include "rng.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

_Noreturn void check_failed(const char *file, int line, const char *what, const char *format, ...) {
    char more[512] = "";
    char text[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(more, sizeof more, format, list);
    va_end(list);
    int n = snprintf(text, sizeof text,
                     "%s:%d: does not hold: %s %s [eddy: %s; EDDY_SEED=%" PRIu64 ", pid %d]\n",
                     file, line, what, more, eddy_errmsg(), rng_seed(), (int)getpid());
    n = n < (int)sizeof text ? n : (int)sizeof text - 1;
    if (write(STDERR_FILENO, text, (size_t)n) < 0) {
        _exit(2);
    }
    _exit(1);
}

void check_equal(const char *file, int line, const char *what, int64_t a, int64_t b) {
    if (a != b) {
        check_failed(file, line, what, "(%" PRId64 " and %" PRId64 ")", a, b);
    }
}

int64_t check_ok(const char *file, int line, const char *what, int64_t rc) {
    if (rc < 0) {
        check_failed(file, line, what, "(%s)", eddy_errname((int)rc));
    }
    return rc;
}
