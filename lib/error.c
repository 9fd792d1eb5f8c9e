#include "error.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local char last_message[1024];

const char *eddy_strerror(int code) {
    switch (code) {
#define X(c, sentence)                                                                             \
    case c:                                                                                        \
        return sentence;
        EDDY_ERRORS(X)
#undef X
    default:
        return code >= 0 ? "success" : "unknown error";
    }
}

const char *eddy_errname(int code) {
    switch (code) {
#define X(c, sentence)                                                                             \
    case c:                                                                                        \
        return #c;
        EDDY_ERRORS(X)
#undef X
    default:
        return code >= 0 ? "EDDY_OK" : "EDDY_EUNKNOWN";
    }
}

const char *eddy_errmsg(void) {
    return last_message;
}

const char *eddy_version(void) {
#define TEXT(x) #x
#define VALUE(x) TEXT(x)
    return VALUE(EDDY_VERSION_MAJOR) "." VALUE(EDDY_VERSION_MINOR) "." VALUE(EDDY_VERSION_PATCH);
#undef VALUE
#undef TEXT
}

int eddy_error_set(int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(last_message, sizeof last_message, format, args);
    va_end(args);
    return code;
}
