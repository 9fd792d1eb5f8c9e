/* Messages, exit codes and the opening of stores, for all subcommands. */
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void tool_say(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("eddy: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
}

int tool_exit_code(int error) {
    switch (error) {
    case EDDY_EINVAL:
        return EXIT_USAGE;
    case EDDY_ENOENT:
        return EXIT_NOT_FOUND;
    case EDDY_ECONFLICT:
        return EXIT_CONDITION;
    case EDDY_ECORRUPT:
    case EDDY_ENOTSTORE:
        return EXIT_DAMAGED;
    case EDDY_EFULL:
    case EDDY_ELIMIT:
        return EXIT_FULL;
    case EDDY_EACCESS:
    case EDDY_EREADONLY:
        return EXIT_PERMISSION;
    case EDDY_ELAYOUT:
        return EXIT_LAYOUT;
    case EDDY_ETIMEDOUT:
        return EXIT_TIMED_OUT;
    case EDDY_ELAPPED:
        return EXIT_LAPPED;
    default:
        return error >= 0 ? EXIT_OK : EXIT_FAILED;
    }
}

int tool_fail(int error) {
    const char *message = eddy_errmsg();
    tool_say("%s", message[0] ? message : eddy_strerror(error));
    return tool_exit_code(error);
}

bool tool_store_name(const struct args *args, const char *positional, const char **name) {
    const char *flag = args->value[OPT_STORE];
    if (positional && flag && strcmp(positional, flag) != 0) {
        tool_say("the store is given twice: -S %s and %s", flag, positional);
        return false;
    }
    *name = positional ? positional : flag;
    return true;
}

int tool_open(const struct args *args, const char *name, uint32_t flags, eddy_store **out) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = flags;
    options.dir = args->value[OPT_DIR];
    if (args->given[OPT_MUST_EXIST]) {
        options.flags |= EDDY_MUST_EXIST;
    }
    int rc = eddy_open(out, name, &options);
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

int tool_open_read_only(const struct args *args, const char *name, eddy_store **out) {
    return tool_open(args, name, EDDY_READ_ONLY | EDDY_MUST_EXIST, out);
}

void tool_nap_ms(long ms) {
    struct timespec nap = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&nap, NULL);
}

bool tool_again(int error, unsigned *tries) {
    enum { AT_ONCE = 100, MOST = 3000 };
    if (error != EDDY_EAGAIN || *tries == MOST) {
        return false;
    }
    if (++*tries > AT_ONCE) {
        tool_nap_ms(1);
    }
    return true;
}

const char *tool_size(uint64_t bytes, char *text) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(text, 32, "%u B", (unsigned)bytes);
        return text;
    }
    double value = (double)bytes / 1024;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(text, 32, "%.1f %s", value, units[unit]);
    return text;
}
