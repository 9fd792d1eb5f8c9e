/* eddy maintain, trim: taking memory back at once. */
#include "commands.h"
#include "look.h"
#include "tool.h"

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
