/* Selecting events by the command line, and reading on over what is in the way. */
#include "reading.h"

#include "tool.h"

/* "users-*" is a prefix, "users-1" a stream; with --exact the last star is part of the name. */
static void take_stream(const struct args *args, eddy_select *select) {
    if (args->positional_count == 0) {
        return;
    }
    eddy_bytes name = eddy_str(args->positional[0]);
    const char *text = name.ptr;
    if (!args->given[OPT_EXACT] && name.len > 0 && text[name.len - 1] == '*') {
        name.len--;
        select->prefix = name;
    } else {
        select->stream = name;
    }
}

static bool take_times(const struct args *args, eddy_select *select) {
    int64_t from = 0;
    int64_t to = 0;
    int64_t since = 0;
    if (!cli_time(args, OPT_FROM, &from) || !cli_time(args, OPT_TO, &to) ||
        !cli_time(args, OPT_SINCE, &since)) {
        return false;
    }
    select->flags |= (args->given[OPT_FROM] ? EDDY_FROM_GIVEN : 0) |
                     (args->given[OPT_TO] ? EDDY_TO_GIVEN : 0) |
                     (args->given[OPT_BY_TIME] ? EDDY_BY_TIME : 0);
    select->from_time_ns = from;
    select->to_time_ns = to;
    /* 0 would mean no bound: the nanosecond before it is the nearest that can be said. */
    select->from_recorded_ns = args->given[OPT_SINCE] && since == 0 ? -1 : since;
    return true;
}

bool reading_select(const struct args *args, eddy_select *select) {
    *select = (eddy_select)EDDY_SELECT_INIT;
    take_stream(args, select);
    if (args->positional_count > 0 && args->positional[0][0] == '\0') {
        cli_usage(args, "the name of a stream has at least one byte");
        return false;
    }
    select->types = args->types;
    select->type_count = args->type_count;
    if (args->given[OPT_SHARD]) {
        select->flags |= EDDY_SHARD;
    }
    select->tags = args->tags;
    select->tag_count = args->tag_count;
    if (args->given[OPT_KNOWN]) {
        select->flags |= EDDY_KNOWN;
    }
    return take_times(args, select) && cli_u64(args, OPT_SHARD, 0, UINT64_MAX, &select->shard) &&
           cli_u64(args, OPT_AFTER_OFFSET, 0, UINT64_MAX, &select->after_offset) &&
           cli_u64(args, OPT_TO_OFFSET, 1, UINT64_MAX, &select->to_offset);
}

void reading_say_lapped(void) {
    tool_say("%s; going on behind them", eddy_errmsg());
}

int reading_next(eddy_reader *reader, eddy_event *event, bool *lapped) {
    unsigned tries = 0;
    for (;;) {
        int rc = eddy_reader_next(reader, event);
        if (rc == EDDY_ELAPPED) {
            reading_say_lapped();
            *lapped = true;
        } else if (!tool_again(rc, &tries)) {
            return rc;
        }
    }
}
