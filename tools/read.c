/* eddy read: events from the store, forward or backward. eddy get: one of them. */
#include "commands.h"
#include "printer.h"
#include "reading.h"
#include "tool.h"

static int print_all(eddy_reader *reader, struct printer *printer) {
    eddy_event event;
    bool lapped = false;
    int rc = EDDY_END;
    while (!printer->out.failed && (rc = reading_next(reader, &event, &lapped)) == EDDY_EVENT) {
        printer_event(printer, &event);
    }
    if (rc < 0) {
        return tool_fail(rc);
    }
    return lapped ? EXIT_LAPPED : EXIT_OK;
}

static int read_store(eddy_store *store, const eddy_select *select, const struct args *args) {
    eddy_reader *reader;
    struct printer printer;
    int rc = eddy_reader_open(store, select, &reader);
    if (rc < 0) {
        return tool_fail(rc);
    }
    int code = printer_open(&printer, args);
    if (code == EXIT_OK) {
        code = print_all(reader, &printer);
        code = printer_close(&printer, code);
    }
    eddy_reader_close(reader);
    return code;
}

/* -n 0, which to the library would be no limit. */
static int read_nothing(const struct args *args) {
    struct printer printer;
    int code = printer_open(&printer, args);
    return code == EXIT_OK ? printer_close(&printer, code) : code;
}

int run_read(const struct args *args) {
    eddy_store *store;
    eddy_select select;
    uint64_t limit = UINT64_MAX;
    int64_t after_ns = 0;
    if (!reading_select(args, &select) || !cli_u64(args, OPT_COUNT_LAST, 0, UINT64_MAX, &limit)) {
        return EXIT_USAGE;
    }
    if (args->given[OPT_AFTER_TIME] &&
        (!shards_by_time_fits(args) || !cli_time(args, OPT_AFTER_TIME, &after_ns))) {
        return EXIT_USAGE;
    }
    if (args->given[OPT_REVERSE]) {
        select.flags |= EDDY_BACKWARD;
    }
    int code = tool_open_read_only(args, args->value[OPT_STORE], &store);
    if (code != EXIT_OK) {
        return code;
    }
    select.limit = args->given[OPT_COUNT_LAST] ? limit : 0;
    code = args->given[OPT_AFTER_TIME]
               ? shards_read_by_time(store, args, select.shard, after_ns, limit)
           : limit ? read_store(store, &select, args)
                   : read_nothing(args);
    eddy_close(store);
    return code;
}

/* The event that the positional arguments name: OFFSET, or STREAM VERSION. */
static int get_event(eddy_store *store, const struct args *args, uint64_t number,
                     eddy_buffer *buffer, eddy_event *event) {
    unsigned tries = 0;
    int rc;
    do {
        rc = args->positional_count == 1
                 ? eddy_get(store, number, buffer, event)
                 : eddy_get_version(store, eddy_str(args->positional[0]), number, buffer, event);
    } while (tool_again(rc, &tries));
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int print_one(const struct args *args, const eddy_event *event) {
    struct printer printer;
    int code = printer_open(&printer, args);
    if (code != EXIT_OK) {
        return code;
    }
    printer.one = true;
    printer_event(&printer, event);
    return printer_close(&printer, code);
}

int run_get(const struct args *args) {
    const char *text = args->positional[args->positional_count - 1];
    uint64_t number;
    eddy_store *store;
    eddy_event event;
    if (!cli_parse_u64(text, UINT64_MAX, &number) || number == 0) {
        return cli_usage(args, "%s is a whole number from 1, not '%s'",
                         args->positional_count == 1 ? "an offset" : "a version", text);
    }
    int code = tool_open_read_only(args, args->value[OPT_STORE], &store);
    if (code != EXIT_OK) {
        return code;
    }
    eddy_buffer *buffer = eddy_buffer_create();
    if (buffer) {
        code = get_event(store, args, number, buffer, &event);
    } else {
        tool_say("this process is out of memory");
        code = EXIT_FAILED;
    }
    if (code == EXIT_OK) {
        code = print_one(args, &event);
    }
    eddy_buffer_destroy(buffer);
    eddy_close(store);
    return code;
}
