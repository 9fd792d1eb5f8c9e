/* eddy info, check, streams: looking in, without writing. */
#include "commands.h"
#include "limits.h"
#include "look.h"
#include "tool.h"

int run_info(const struct args *args) {
    static const struct fact shown[] = {
        {"layout", offsetof(eddy_facts, layout), FACT_U32},
        {"cap", offsetof(eddy_facts, cap), FACT_BYTES},
        {"reserved", offsetof(eddy_facts, reserved), FACT_BYTES},
        {"free", offsetof(eddy_facts, free), FACT_BYTES},
        {"head", offsetof(eddy_facts, head), FACT_U64},
        {"first", offsetof(eddy_facts, first), FACT_U64},
        {"events", offsetof(eddy_facts, events), FACT_U64},
        {"bytes", offsetof(eddy_facts, bytes), FACT_BYTES},
        {"streams", offsetof(eddy_facts, streams), FACT_U64},
        {"transactions", offsetof(eddy_facts, transactions), FACT_U64},
        {"created", offsetof(eddy_facts, created_ns), FACT_TIME},
        {"recorded", offsetof(eddy_facts, recorded_ns), FACT_TIME},
        {"members_max", offsetof(eddy_facts, members_max), FACT_U32},
        {"threads_max", offsetof(eddy_facts, threads_max), FACT_U32},
        {"unlinked", offsetof(eddy_facts, unlinked), FACT_BOOL},
        {"ephemeral", offsetof(eddy_facts, ephemeral), FACT_BOOL},
        {NULL, 0, FACT_U64}};
    struct look look;
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int code = look_open(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    int rc;
    do {
        rc = eddy_info(look.store, &facts);
    } while (tool_again(rc, &tries));
    if (rc < 0) {
        code = tool_fail(rc);
    } else {
        look_begin(&look);
        look_facts(&look, shown, &facts);
        code = limits_show(&look);
        look_end(&look);
    }
    return look_close(&look, code);
}

/* ---- check ---- */

static void print_fault(void *arg, const char *room, const char *text) {
    struct look *look = arg;
    out_str(&look->out, room);
    OUT_LITERAL(&look->out, ": ");
    out_text(&look->out, eddy_str(text));
    out_char(&look->out, '\n');
    look->found++;
}

int run_check(const struct args *args) {
    struct look look;
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int code = look_open(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    int rc;
    do {
        rc = eddy_check(look.store, print_fault, &look);
    } while (tool_again(rc, &tries));
    out_flush(&look.out);
    if (rc == EDDY_ECORRUPT) {
        tool_say("the store is damaged: %llu faults", (unsigned long long)look.found);
        code = EXIT_DAMAGED;
    } else if (rc < 0) {
        code = tool_fail(rc);
    } else if (eddy_info(look.store, &facts) >= 0) {
        out_printf(&look.out, "nothing is wrong: %llu events, %llu streams\n",
                   (unsigned long long)facts.events, (unsigned long long)facts.streams);
    }
    return look_close(&look, code);
}

/* ---- streams ---- */

static void stream_json(struct out *out, const eddy_stream_facts *facts) {
    out_char(out, '{');
    out_json_name(out, "stream", eddy_mem(facts->name, facts->name_len));
    out_printf(out,
               ",\"version\":%llu,\"count\":%llu,\"first_version\":%llu,\"first_offset\":%llu,"
               "\"last_offset\":%llu,"
               "\"bytes\":%llu}\n",
               (unsigned long long)facts->version, (unsigned long long)facts->count,
               (unsigned long long)facts->first_version, (unsigned long long)facts->first_offset,
               (unsigned long long)facts->last_offset, (unsigned long long)facts->bytes);
}

static void stream_text(struct out *out, const eddy_stream_facts *facts, bool first) {
    if (first) {
        out_printf(out, "%9s %9s %9s %9s %11s  %s\n", "version", "count", "first", "last", "bytes",
                   "stream");
    }
    out_printf(out, "%9llu %9llu %9llu %9llu %11llu  ", (unsigned long long)facts->version,
               (unsigned long long)facts->count, (unsigned long long)facts->first_offset,
               (unsigned long long)facts->last_offset, (unsigned long long)facts->bytes);
    out_text(out, eddy_mem(facts->name, facts->name_len));
    out_char(out, '\n');
}

static int stream_one(void *arg, const eddy_stream_facts *facts) {
    struct look *look = arg;
    if (look->json) {
        stream_json(&look->out, facts);
    } else {
        stream_text(&look->out, facts, look->found == 0);
    }
    look->found++;
    look->last = *facts;
    return look->out.failed;
}

static int list_streams(struct look *look, eddy_bytes prefix, uint64_t limit) {
    eddy_bytes after = eddy_str(look->args->value[OPT_AFTER_NAME]);
    unsigned tries = 0;
    int64_t rc = 0;
    while (look->found < limit) {
        rc = eddy_streams(look->store, prefix, after, limit - look->found, stream_one, look);
        if (rc >= 0 || !tool_again((int)rc, &tries)) {
            break;
        }
        if (look->found) { /* go on behind what was shown already */
            after = eddy_mem(look->last.name, look->last.name_len);
        }
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

static int show_stream(struct look *look, eddy_bytes name) {
    eddy_stream_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_stream_info(look->store, name, &facts);
    } while (tool_again(rc, &tries));
    if (rc == EDDY_ENOENT) {
        tool_say("there is no stream '%s' (all that begin so: eddy streams '%s*')",
                 look->args->positional[0], look->args->positional[0]);
        return EXIT_NOT_FOUND;
    }
    if (rc < 0) {
        return tool_fail(rc);
    }
    stream_one(look, &facts);
    return EXIT_OK;
}

int run_streams(const struct args *args) {
    struct look look;
    uint64_t limit = SIZE_MAX;
    eddy_bytes name = eddy_str(args->positional_count > 0 ? args->positional[0] : NULL);
    bool is_prefix = name.len == 0 || ((const char *)name.ptr)[name.len - 1] == '*';
    if (!cli_u64(args, OPT_COUNT_LAST, 0, SIZE_MAX, &limit)) {
        return EXIT_USAGE;
    }
    int code = look_open(&look, args, NULL);
    if (code != EXIT_OK) {
        return code;
    }
    name.len -= is_prefix && name.len > 0;
    code = is_prefix ? list_streams(&look, name, limit) : show_stream(&look, name);
    return look_close(&look, code);
}
