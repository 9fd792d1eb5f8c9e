/* eddy append: one event to a stream, under a condition if one is given. */
#include "commands.h"
#include "expect.h"
#include "input.h"
#include "json.h"
#include "out.h"
#include "tool.h"

#include <stdlib.h>

/* The data: as the command line has it, or all of the standard input. *to_free is for free(). */
static int take_data(const struct args *args, eddy_bytes *data, char **to_free) {
    char why[160];
    size_t len;
    if (args->positional_count < 2) {
        return EXIT_OK;
    }
    if (strcmp(args->positional[1], "-") != 0) {
        *data = eddy_str(args->positional[1]);
        return EXIT_OK;
    }
    *to_free = input_all(EDDY_EVENT_MAX, &len, why, sizeof why);
    if (!*to_free) {
        tool_say("standard input: %s", why);
        return EXIT_FAILED;
    }
    /* echo and the like end JSON with a newline, which is no part of it. Other bytes stay. */
    if (len > 0 && (*to_free)[len - 1] == '\n' && json_is_bare_value(*to_free, len - 1)) {
        len--;
    }
    *data = eddy_mem(*to_free, len);
    return EXIT_OK;
}

static int print_result(const struct args *args, const eddy_result *result) {
    struct out out;
    int rc = out_open(&out);
    if (rc != EXIT_OK) {
        return rc;
    }
    bool json = args->given[OPT_OUTPUT] && !cli_output_is(args, "text");
    out_printf(&out, json ? "{\"offset\":%llu,\"version\":%llu" : "offset %llu version %llu",
               (unsigned long long)result->last_offset, (unsigned long long)result->last_version);
    if (json && args->given[OPT_KEY]) {
        out_printf(&out, ",\"repeated\":%s", result->repeated ? "true" : "false");
    }
    out_str(&out, json ? "}\n" : result->repeated ? ", as before\n" : "\n");
    return out_close(&out);
}

static bool take_event(const struct args *args, eddy_new_event *event) {
    if (args->type_count > 1) {
        cli_usage(args, "an event has one type, so give '--type' once");
        return false;
    }
    event->type = args->type_count ? args->types[0] : eddy_str(NULL);
    event->tags = args->tags;
    event->tag_count = (uint32_t)args->tag_count;
    event->id = eddy_str(args->value[OPT_ID]);
    event->metadata = eddy_str(args->value[OPT_METADATA]);
    event->flags = (args->given[OPT_TIME] ? EDDY_TIME_GIVEN : 0) |
                   (args->given[OPT_SHARD] ? EDDY_SHARD_GIVEN : 0);
    return cli_time(args, OPT_TIME, &event->time_ns) &&
           cli_u64(args, OPT_SHARD, 0, UINT64_MAX, &event->shard);
}

static int append_event(const struct args *args, const eddy_new_event *event, int64_t expected) {
    const char *stream = args->positional[0];
    eddy_store *store;
    eddy_result result;
    memset(&result, 0, sizeof result);
    int code = tool_open(args, args->value[OPT_STORE], 0, &store);
    if (code != EXIT_OK) {
        return code;
    }
    int rc = args->given[OPT_KEY]
                 ? eddy_append_once(store, eddy_str(args->value[OPT_KEY]), eddy_str(stream),
                                    expected, event, 1, &result)
                 : eddy_append(store, eddy_str(stream), expected, event, 1, &result);
    if (rc == EDDY_ECONFLICT) {
        code = expect_failed(stream, expected, &result, "stored");
    } else {
        code = rc < 0 ? tool_fail(rc) : print_result(args, &result);
    }
    eddy_close(store);
    return code;
}

int run_append(const struct args *args) {
    eddy_new_event event;
    int64_t expected = EDDY_ANY;
    char *to_free = NULL;
    memset(&event, 0, sizeof event);
    if (!expect_parse(args, &expected) || !take_event(args, &event)) {
        return EXIT_USAGE;
    }
    size_t key = args->given[OPT_KEY] ? strlen(args->value[OPT_KEY]) : 1;
    if (key == 0 || key > EDDY_KEY_LEN_MAX) {
        return cli_usage(args, "a key has 1 to %u bytes, not %zu", EDDY_KEY_LEN_MAX, key);
    }
    size_t len = strlen(args->positional[0]);
    if (len == 0 || len > EDDY_STREAM_MAX) { /* before a store is made for it */
        return cli_usage(args, "the name of a stream has 1 to %u bytes, not %zu", EDDY_STREAM_MAX,
                         len);
    }
    int code = take_data(args, &event.data, &to_free);
    if (code == EXIT_OK) {
        code = append_event(args, &event, expected);
    }
    free(to_free);
    return code;
}
