/* eddy retain: what a store may hold. eddy maintain, trim: taking memory back at once. */
#include "commands.h"
#include "limits.h"
#include "removal.h"
#include "tool.h"

/* ---- retain ---- */

static int show_limits(const struct args *args) {
    struct look look;
    int code = look_open(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    look_begin(&look);
    code = limits_show(&look);
    look_end(&look);
    return look_close(&look, code);
}

/* Sets the limits as the options say, or looks what would go then. */
static int change_limits(const struct args *args, eddy_store *store) {
    bool dry_run = args->given[OPT_DRY_RUN];
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_dropped dropped = {.size = sizeof dropped};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_limits_get(store, &limits);
    } while (tool_again(rc, &tries));
    if (rc < 0) {
        return tool_fail(rc);
    }
    if (!limits_change(args, &limits)) {
        return EXIT_USAGE;
    }
    tries = 0;
    do {
        rc = dry_run ? eddy_limits_preview(store, &limits, &dropped)
                     : eddy_limits_set(store, &limits, &dropped);
    } while (tool_again(rc, &tries));
    if (rc < 0) {
        return tool_fail(rc);
    }
    struct removal removal = {.what = REMOVAL_BYTES | REMOVAL_STREAMS,
                              .events = dropped.events,
                              .bytes = dropped.bytes,
                              .streams = dropped.streams};
    return removal_print(args, &removal);
}

int run_retain(const struct args *args) {
    eddy_store *store;
    const char *name;
    eddy_limits any = {.size = sizeof any,
                       .events = 1,
                       .bytes = 1,
                       .streams = 1,
                       .stream_events = 1,
                       .names = 1,
                       .age_ns = 1};
    if (!limits_given(args)) {
        return args->given[OPT_DRY_RUN]
                   ? cli_usage(args, "option '--dry-run' wants limits to try, as '--events 1000'")
                   : show_limits(args);
    }
    /* What is wrong in any case is said before the store is opened. */
    if (!tool_store_name(args, look_store_argument(args), &name) || !limits_change(args, &any)) {
        return EXIT_USAGE;
    }
    int code = tool_open(args, name,
                         EDDY_MUST_EXIST | (args->given[OPT_DRY_RUN] ? EDDY_READ_ONLY : 0), &store);
    if (code != EXIT_OK) {
        return code;
    }
    code = change_limits(args, store);
    eddy_close(store);
    return code;
}

/* ---- maintain, trim ---- */

static int maintain(const struct args *args, uint32_t flags) {
    static const struct fact shown[] = {{"dropped", offsetof(eddy_maintained, dropped), FACT_U64},
                                        {"events", offsetof(eddy_maintained, events), FACT_U64},
                                        {"extents", offsetof(eddy_maintained, extents), FACT_U64},
                                        {"nodes", offsetof(eddy_maintained, nodes), FACT_U64},
                                        {"moved", offsetof(eddy_maintained, moved), FACT_U64},
                                        {"members", offsetof(eddy_maintained, members), FACT_U64},
                                        {"trimmed", offsetof(eddy_maintained, trimmed), FACT_BYTES},
                                        {NULL, 0, FACT_U64}};
    struct look look;
    eddy_maintained done = {.size = sizeof done};
    int code = look_open_writing(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    unsigned tries = 0;
    int rc;
    do { /* it cannot trim while somebody reads through a read-only handle */
        rc = eddy_maintain(look.store, flags, &done);
    } while (tool_again(rc, &tries));
    if (rc < 0) {
        code = tool_fail(rc);
    } else {
        look_begin(&look);
        look_facts(&look, shown, &done);
        look_end(&look);
    }
    return look_close(&look, code);
}

int run_maintain(const struct args *args) {
    return maintain(args, args->given[OPT_TRIM] ? EDDY_TRIM : 0);
}

int run_trim(const struct args *args) {
    return maintain(args, EDDY_TRIM);
}
