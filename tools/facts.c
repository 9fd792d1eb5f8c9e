/* eddy info, stats, who, check, streams: looking in, without writing. */
#include "commands.h"
#include "json.h"
#include "out.h"
#include "tool.h"
#include "when.h"

#include <stdlib.h>

/* What these commands work with. */
struct look {
    const struct args *args;
    eddy_store *store;
    struct out out;
    bool json;
    uint64_t found;         /* rows or faults shown */
    eddy_stream_facts last; /* the last stream shown: where to go on */
    struct when_cache cache;
};

/* Opens the store for looking, and the output. Gives an exit code. */
static int look_open(struct look *look, const struct args *args, const char *positional) {
    const char *name;
    memset(look, 0, sizeof *look);
    look->args = args;
    look->json = args->given[OPT_OUTPUT] && !cli_output_is(args, "text");
    if (!tool_store_name(args, positional, &name)) {
        return EXIT_USAGE;
    }
    int code = tool_open_read_only(args, name, &look->store);
    if (code != EXIT_OK) {
        return code;
    }
    code = out_open(&look->out);
    if (code != EXIT_OK) {
        eddy_close(look->store);
    }
    return code;
}

static int look_close(struct look *look, int code) {
    int written = out_close(&look->out);
    eddy_close(look->store);
    return code == EXIT_OK ? written : code;
}

/* The name that the store was opened by. */
static void put_store_name(struct look *look) {
    const struct args *args = look->args;
    const char *variable = getenv("EDDY_STORE");
    const char *name = args->positional_count > 0 ? args->positional[0] : args->value[OPT_STORE];
    if (!name) {
        name = variable && *variable ? variable : "default";
    }
    if (look->json) {
        OUT_LITERAL(&look->out, "{");
        out_json_name(&look->out, "store", eddy_str(name));
    } else {
        out_printf(&look->out, "%-16s ", "store");
        out_text(&look->out, eddy_str(name));
        out_char(&look->out, '\n');
    }
}

static const char *store_argument(const struct args *args) {
    return args->positional_count > 0 ? args->positional[0] : NULL;
}

static void put_time(struct look *look, int64_t ns) {
    char text[WHEN_ROOM];
    size_t n = look->json ? when_json(&look->cache, ns, text)
                          : when_text(&look->cache, ns, look->args->given[OPT_UTC], text);
    out_bytes(&look->out, text, n);
}

/* ---- numbers with names, as lines or as a JSON object ---- */

struct fact {
    const char *name;
    size_t at; /* where in the struct */
    enum { FACT_U64, FACT_U32, FACT_BYTES, FACT_TIME, FACT_BOOL } kind;
};

static void put_fact(struct look *look, const struct fact *fact, const char *base) {
    const char *p = base + fact->at;
    uint64_t number = 0;
    int64_t ns = 0;
    char size[32];
    if (fact->kind == FACT_TIME) {
        memcpy(&ns, p, sizeof ns);
        out_str(&look->out, look->json && ns ? "\"" : "");
        if (ns) {
            put_time(look, ns);
        } else {
            out_str(&look->out, look->json ? "null" : "-");
        }
        out_str(&look->out, look->json && ns ? "\"" : "");
        return;
    }
    if (fact->kind == FACT_BOOL) {
        out_str(&look->out, *(const bool *)p ? "true" : "false");
        return;
    }
    if (fact->kind == FACT_U32) {
        uint32_t small;
        memcpy(&small, p, sizeof small);
        number = small;
    } else {
        memcpy(&number, p, sizeof number);
    }
    out_u64(&look->out, number);
    if (fact->kind == FACT_BYTES && !look->json && number >= 1024) {
        out_printf(&look->out, "  (%s)", tool_size(number, size));
    }
}

static void put_facts(struct look *look, const struct fact *facts, const void *base) {
    struct out *out = &look->out;
    put_store_name(look);
    for (const struct fact *fact = facts; fact->name; fact++) {
        if (look->json) {
            out_printf(out, ",\"%s\":", fact->name);
        } else {
            out_printf(out, "%-16s ", fact->name);
        }
        put_fact(look, fact, base);
        out_str(out, look->json ? "" : "\n");
    }
    out_str(out, look->json ? "}\n" : "");
}

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
        {NULL, 0, FACT_U64}};
    struct look look;
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int code = look_open(&look, args, store_argument(args));
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
        put_facts(&look, shown, &facts);
    }
    return look_close(&look, code);
}

int run_stats(const struct args *args) {
    static const struct fact shown[] = {
        {"events_appended", offsetof(eddy_counts, events_appended), FACT_U64},
        {"bytes_appended", offsetof(eddy_counts, bytes_appended), FACT_BYTES},
        {"transactions", offsetof(eddy_counts, transactions), FACT_U64},
        {"events_read", offsetof(eddy_counts, events_read), FACT_U64},
        {"conflicts", offsetof(eddy_counts, conflicts), FACT_U64},
        {"refusals", offsetof(eddy_counts, refusals), FACT_U64},
        {"retries", offsetof(eddy_counts, retries), FACT_U64},
        {"helps", offsetof(eddy_counts, helps), FACT_U64},
        {"wakes", offsetof(eddy_counts, wakes), FACT_U64},
        {"sleeps", offsetof(eddy_counts, sleeps), FACT_U64},
        {"extents_taken", offsetof(eddy_counts, extents_taken), FACT_U64},
        {"sweeps", offsetof(eddy_counts, sweeps), FACT_U64},
        {NULL, 0, FACT_U64}};
    struct look look;
    eddy_counts counts = {.size = sizeof counts};
    unsigned tries = 0;
    int code = look_open(&look, args, store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    int rc;
    do {
        rc = eddy_stats(look.store, &counts);
    } while (tool_again(rc, &tries));
    if (rc < 0) {
        code = tool_fail(rc);
    } else {
        put_facts(&look, shown, &counts);
    }
    return look_close(&look, code);
}

/* ---- who ---- */

static int member_json(struct look *look, const eddy_member_facts *facts) {
    struct out *out = &look->out;
    out_printf(out, "{\"slot\":%u,\"generation\":%u,\"pid\":%u,\"pidns\":%llu,\"uid\":%u,",
               facts->slot, facts->generation, facts->pid, (unsigned long long)facts->pidns,
               facts->uid);
    out_json_name(out, "command", eddy_str(facts->command));
    out_printf(out, ",\"alive\":%s,\"fences\":%s,\"since\":\"", facts->alive ? "true" : "false",
               facts->fences ? "true" : "false");
    put_time(look, facts->since_ns);
    out_printf(out,
               "\",\"threads\":%u,\"inside\":%u,\"readers\":%u,\"position\":%llu,\"pinned\":%llu,"
               "\"owned\":%llu}\n",
               facts->threads, facts->inside, facts->readers, (unsigned long long)facts->position,
               (unsigned long long)facts->pinned, (unsigned long long)facts->owned);
    return out->failed;
}

static int member_one(void *arg, const eddy_member_facts *facts) {
    struct look *look = arg;
    struct out *out = &look->out;
    if (facts->self) {
        return 0;
    }
    if (look->json) {
        return member_json(look, facts);
    }
    if (look->found++ == 0) {
        out_printf(out, "%7s  %-5s %5s  %7s %7s  %9s  %10s  %-29s  %s\n", "pid", "state", "uid",
                   "threads", "readers", "position", "owned", "since", "command");
    }
    char size[32];
    out_printf(out, "%7u  %-5s %5u  %7u %7u  %9llu  %10s  ", facts->pid,
               facts->alive ? "alive" : "dead", facts->uid, facts->threads, facts->readers,
               (unsigned long long)facts->position, tool_size(facts->owned, size));
    put_time(look, facts->since_ns);
    OUT_LITERAL(out, "  ");
    out_text(out, eddy_str(facts->command));
    out_char(out, '\n');
    return out->failed;
}

int run_who(const struct args *args) {
    struct look look;
    unsigned tries = 0;
    int code = look_open(&look, args, store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    int rc;
    do {
        rc = eddy_members(look.store, member_one, &look);
    } while (tool_again(rc, &tries));
    return look_close(&look, rc < 0 ? tool_fail(rc) : EXIT_OK);
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
    int code = look_open(&look, args, store_argument(args));
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
               ",\"version\":%llu,\"count\":%llu,\"first_offset\":%llu,\"last_offset\":%llu,"
               "\"bytes\":%llu}\n",
               (unsigned long long)facts->version, (unsigned long long)facts->count,
               (unsigned long long)facts->first_offset, (unsigned long long)facts->last_offset,
               (unsigned long long)facts->bytes);
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
