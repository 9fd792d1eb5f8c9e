/* eddy shards: which shards have events, and how far they have come. eddy read --shard --after-time: the
 * events of one in the order of their times. */
#include "commands.h"
#include "look.h"
#include "printer.h"
#include "tool.h"

/* ---- eddy shards ---- */

static int shard_one(void *arg, const eddy_shard_facts *facts) {
    struct look *look = arg;
    struct out *out = &look->out;
    if (look->json) {
        out_printf(out, "{\"shard\":%llu,\"newest\":\"", (unsigned long long)facts->shard);
        look_time(look, facts->newest_time_ns);
        out_printf(out, "\",\"last_offset\":%llu}\n", (unsigned long long)facts->last_offset);
    } else {
        if (look->found == 0) {
            out_printf(out, "%20s %9s  %s\n", "shard", "last", "newest");
        }
        out_printf(out, "%20llu %9llu  ", (unsigned long long)facts->shard,
                   (unsigned long long)facts->last_offset);
        look_time(look, facts->newest_time_ns);
        out_char(out, '\n');
    }
    look->found++;
    return out->failed;
}

int run_shards(const struct args *args) {
    struct look look;
    unsigned tries = 0;
    int64_t rc;
    int code = look_open(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    do {
        rc = eddy_shards(look.store, shard_one, &look);
    } while (rc < 0 && tool_again((int)rc, &tries));
    return look_close(&look, rc < 0 ? tool_fail((int)rc) : EXIT_OK);
}

/* ---- by time ---- */

static int print_event(void *arg, const eddy_event *event) {
    struct printer *printer = arg;
    printer_event(printer, event);
    return printer->out.failed;
}

bool shards_by_time_fits(const struct args *args) {
    static const struct {
        enum option_id id;
        const char *name;
    } others[] = {{OPT_TYPE, "type"},
                  {OPT_AFTER_OFFSET, "after-offset"},
                  {OPT_TO_OFFSET, "to-offset"},
                  {OPT_FROM, "from"},
                  {OPT_TO, "to"},
                  {OPT_SINCE, "since"},
                  {OPT_REVERSE, "reverse"},
                  {OPT_KNOWN, "known"}};
    if (!args->given[OPT_SHARD] || args->positional_count > 0) {
        cli_usage(args, "'--after-time' goes with '--shard', and without a stream");
        return false;
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (args->given[others[i].id]) {
            cli_usage(args, "'--after-time' cannot go with '--%s'", others[i].name);
            return false;
        }
    }
    return true;
}

int shards_read_by_time(eddy_store *store, const struct args *args, uint64_t shard,
                        int64_t after_ns, uint64_t limit) {
    struct printer printer;
    unsigned tries = 0;
    int64_t rc;
    int code = printer_open(&printer, args);
    if (code != EXIT_OK) {
        return code;
    }
    do {
        rc = eddy_shard_after_time(store, shard, after_ns, limit, print_event, &printer);
    } while (rc < 0 && printer.count == 0 && tool_again((int)rc, &tries));
    return printer_close(&printer, rc < 0 ? tool_fail((int)rc) : EXIT_OK);
}
