/* Conditions on a stream's version, as the command line and messages have them. */
#include "expect.h"

#include "out.h"
#include "tool.h"

static bool parse(const struct args *args, const char *what, int64_t *expected) {
    const char *text = args->value[OPT_EXPECT];
    uint64_t version;
    if (!args->given[OPT_EXPECT]) {
        return true;
    }
    if (strcmp(text, "any") == 0) {
        *expected = EDDY_ANY;
        return true;
    }
    if (strcmp(text, "none") == 0) {
        *expected = EDDY_NONE;
        return true;
    }
    if (strcmp(text, "exists") == 0) {
        *expected = EDDY_EXISTS;
        return true;
    }
    if (!cli_parse_u64(text, INT64_MAX, &version)) {
        cli_usage(args, "option '--expect' is any, none, exists or a %s, not '%s'", what, text);
        return false;
    }
    *expected = (int64_t)version;
    return true;
}

bool expect_parse(const struct args *args, int64_t *expected) {
    return parse(args, "version", expected);
}

bool expect_parse_revision(const struct args *args, int64_t *expected) {
    return parse(args, "revision", expected);
}

static const char *expected_text(int64_t expected, char *text, size_t size) {
    if (expected == EDDY_NONE) {
        return "none (version 0)";
    }
    if (expected == EDDY_EXISTS) {
        return "exists (version 1 or more)";
    }
    out_format(text, size, "version %lld", (long long)expected);
    return text;
}

int expect_failed(const char *stream, int64_t expected, const eddy_result *result,
                  const char *done) {
    char text[48];
    tool_say("stream '%s': expected %s, actual version %llu; nothing was %s", stream,
             expected_text(expected, text, sizeof text), (unsigned long long)result->actual, done);
    return EXIT_CONDITION;
}
