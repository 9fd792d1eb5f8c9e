/* eddy snapshot, restore, verify: a whole store in a file, and back. */
#include "commands.h"
#include "look.h"
#include "tool.h"

#include <stdlib.h>

/* What is in a file. */
static int show(const struct args *args, const char *file, const eddy_snapshot_facts *facts) {
    static const struct fact shown[] = {
        {"format", offsetof(eddy_snapshot_facts, format), FACT_U32},
        {"bytes", offsetof(eddy_snapshot_facts, bytes), FACT_BYTES},
        {"head", offsetof(eddy_snapshot_facts, head), FACT_U64},
        {"events", offsetof(eddy_snapshot_facts, events), FACT_U64},
        {"event_bytes", offsetof(eddy_snapshot_facts, event_bytes), FACT_BYTES},
        {"streams", offsetof(eddy_snapshot_facts, streams), FACT_U64},
        {"entries", offsetof(eddy_snapshot_facts, entries), FACT_U64},
        {"transactions", offsetof(eddy_snapshot_facts, transactions), FACT_U64},
        {"recorded", offsetof(eddy_snapshot_facts, recorded_ns), FACT_TIME},
        {"taken", offsetof(eddy_snapshot_facts, taken_ns), FACT_TIME},
        {"cap", offsetof(eddy_snapshot_facts, cap), FACT_BYTES},
        {NULL, 0, FACT_U64}};
    struct look look = {.args = args,
                        .json = args->given[OPT_OUTPUT] && !cli_output_is(args, "text")};
    int code = out_open(&look.out);
    if (code != EXIT_OK) {
        return code;
    }
    if (look.json) {
        OUT_LITERAL(&look.out, "{");
        out_json_name(&look.out, "file", eddy_str(file));
    } else {
        look_name(&look, "file");
        out_text(&look.out, eddy_str(file));
        out_char(&look.out, '\n');
    }
    look_facts(&look, shown, facts);
    look_end(&look);
    return out_close(&look.out);
}

int run_snapshot(const struct args *args) {
    eddy_snapshot_facts facts = {.size = sizeof facts};
    const char *file = args->positional[0];
    eddy_store *store;
    int64_t every = 0;
    if (!cli_duration(args, OPT_EVERY, &every)) {
        return EXIT_USAGE;
    }
    int code = tool_open(args, args->value[OPT_STORE], EDDY_MUST_EXIST, &store);
    if (code != EXIT_OK) {
        return code;
    }
    do {
        int rc = eddy_snapshot_write(store, file, NULL, &facts);
        code = rc < 0 ? tool_fail(rc) : show(args, file, &facts);
        if (code == EXIT_OK && every > 0) {
            tool_nap_ms((long)(every / 1000000));
        }
    } while (code == EXIT_OK && every > 0);
    eddy_close(store);
    return code;
}

int run_verify(const struct args *args) {
    eddy_snapshot_facts facts = {.size = sizeof facts};
    int rc = eddy_snapshot_verify(args->positional[0], &facts);
    return rc < 0 ? tool_fail(rc) : show(args, args->positional[0], &facts);
}

int run_restore(const struct args *args) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_snapshot_facts facts = {.size = sizeof facts};
    const char *name;
    const char *file = args->positional[0];
    if (!tool_store_name(args, args->positional_count > 1 ? args->positional[1] : NULL, &name) ||
        !stores_make_options(args, &options)) {
        return EXIT_USAGE;
    }
    options.flags = args->given[OPT_REPLACE] ? EDDY_REPLACE : 0;
    int rc = eddy_snapshot_restore(file, name, &options);
    if (rc == EDDY_EEXIST) {
        int code = tool_fail(rc);
        tool_say("--replace puts the restored store in its place; who has it open keeps it");
        return code;
    }
    rc = rc < 0 ? rc : eddy_snapshot_verify(file, &facts);
    return rc < 0 ? tool_fail(rc) : show(args, file, &facts);
}
