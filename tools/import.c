/* eddy import: lines of JSON into the store, a transaction at a time.
 *
 * A transaction is stored when the first line that does not belong to it has been read without
 * error, or when its file ends; so a broken line takes its own transaction with it, and no other.
 */
#include "commands.h"
#include "input.h"
#include "line.h"
#include "nameset.h"
#include "out.h"
#include "tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct importer {
    eddy_store *store;
    eddy_tx *tx;
    uint64_t batch; /* lines without "tx" to one transaction */
    uint64_t part;  /* of the transactions, those whose number modulo `parts` is this */
    uint64_t parts;
    /* The transaction that is being collected. */
    uint64_t tx_number; /* of those in the input, from 0 */
    uint64_t tx_lines;  /* 0: none has begun */
    uint64_t tx_first_line;
    enum line_tx tx_kind;
    char *tx_key;
    size_t tx_key_len;
    size_t tx_key_room;
    /* What has been stored. */
    uint64_t events;
    uint64_t transactions;
    struct nameset streams;
    /* For messages. */
    const char *file;
    struct input *input;
    int64_t begun_ns;
    int64_t shown_ns;
    bool progress;
    bool progress_shown;
};

static int64_t monotonic_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- progress ---- */

static void hide_progress(struct importer *im) {
    if (im->progress_shown) {
        fputs("\r\033[K", stderr);
        im->progress_shown = false;
    }
}

/* On a terminal only, after the first second, five times a second. */
static void show_progress(struct importer *im) {
    int64_t now = monotonic_ns();
    if (now - im->begun_ns < 1000000000 || now - im->shown_ns < 200000000) {
        return;
    }
    im->shown_ns = now;
    im->progress_shown = true;
    double seconds = (double)(now - im->begun_ns) / 1e9;
    fprintf(stderr, "\r\033[K%s: %llu events, %llu transactions, %.0f events/s", im->file,
            (unsigned long long)im->events, (unsigned long long)im->transactions,
            (double)im->events / seconds);
    if (input_size(im->input)) {
        fprintf(stderr, ", %.0f %%",
                100.0 * (double)input_consumed(im->input) / (double)input_size(im->input));
    }
}

/* ---- transactions ---- */

static bool is_mine(const struct importer *im) {
    return im->tx_number % im->parts == im->part;
}

/* Says what stays, after a message about what is wrong. */
static void say_what_stays(struct importer *im) {
    tool_say("nothing of this transaction is stored; what came before is: %llu events in %llu "
             "transactions",
             (unsigned long long)im->events, (unsigned long long)im->transactions);
}

/* An error of the library about the line that was read last. */
static int fail_at_line(struct importer *im, uint64_t line, int error) {
    const char *message = eddy_errmsg();
    hide_progress(im);
    tool_say("%s:%llu: %s", im->file, (unsigned long long)line,
             message[0] ? message : eddy_strerror(error));
    say_what_stays(im);
    return error == EDDY_EINVAL ? EXIT_FAILED : tool_exit_code(error);
}

/* Stores the transaction that was collected, if there is one and it is of this part. */
static int end_transaction(struct importer *im) {
    if (im->tx_lines == 0) {
        return EXIT_OK;
    }
    if (is_mine(im)) {
        int rc = eddy_tx_commit(im->tx, NULL);
        if (rc < 0) {
            return fail_at_line(im, im->tx_first_line, rc);
        }
        im->events += im->tx_lines;
        im->transactions++;
        rc = eddy_tx_reset(im->tx);
        if (rc < 0) {
            hide_progress(im);
            return tool_fail(rc);
        }
    }
    im->tx_number++;
    im->tx_lines = 0;
    if (im->progress) {
        show_progress(im);
    }
    return EXIT_OK;
}

static bool belongs_to_transaction(const struct importer *im, const struct line *line) {
    if (im->tx_lines == 0 || line->tx_kind != im->tx_kind) {
        return false;
    }
    if (line->tx_kind == LINE_NO_TX) {
        return im->tx_lines < im->batch;
    }
    return line->tx.len == im->tx_key_len && memcmp(line->tx.ptr, im->tx_key, im->tx_key_len) == 0;
}

static bool begin_transaction(struct importer *im, const struct line *line) {
    im->tx_kind = line->tx_kind;
    im->tx_first_line = input_line_number(im->input);
    im->tx_key_len = line->tx.len;
    if (line->tx.len == 0) {
        return true;
    }
    if (line->tx.len > im->tx_key_room) {
        char *key = realloc(im->tx_key, line->tx.len);
        if (!key) {
            return false;
        }
        im->tx_key = key;
        im->tx_key_room = line->tx.len;
    }
    memcpy(im->tx_key, line->tx.ptr, line->tx.len);
    return true;
}

static int out_of_memory(struct importer *im) {
    hide_progress(im);
    tool_say("this process is out of memory");
    say_what_stays(im);
    return EXIT_FAILED;
}

static int add_line(struct importer *im, const struct line *line) {
    if (!belongs_to_transaction(im, line)) {
        int rc = end_transaction(im);
        if (rc != EXIT_OK) {
            return rc;
        }
        if (!begin_transaction(im, line)) {
            return out_of_memory(im);
        }
    }
    if (im->tx_lines == EDDY_TX_EVENTS_MAX) {
        hide_progress(im);
        tool_say("%s:%llu: the transaction that began in line %llu has more than %u events, the "
                 "most that one may have",
                 im->file, (unsigned long long)input_line_number(im->input),
                 (unsigned long long)im->tx_first_line, EDDY_TX_EVENTS_MAX);
        say_what_stays(im);
        return EXIT_FULL;
    }
    im->tx_lines++;
    if (is_mine(im)) {
        int rc = eddy_tx_append(im->tx, line->stream, &line->event);
        if (rc < 0) {
            return fail_at_line(im, input_line_number(im->input), rc);
        }
        if (!nameset_add(&im->streams, line->stream)) {
            return out_of_memory(im);
        }
    }
    bool full = line->tx_kind == LINE_NO_TX && im->tx_lines == im->batch;
    return full ? end_transaction(im) : EXIT_OK;
}

/* ---- files ---- */

/* A line that cannot be read. What was collected before it is whole if this line is known to be of
 * another transaction; else it is dropped with it, for part of a transaction must not be stored. */
static int bad_line(struct importer *im, const struct line *line, const struct line_fault *fault) {
    if (line->tx_known && !belongs_to_transaction(im, line)) {
        int rc = end_transaction(im);
        if (rc != EXIT_OK) {
            return rc;
        }
    }
    hide_progress(im);
    tool_say("%s:%llu:%zu: %s", im->file, (unsigned long long)input_line_number(im->input),
             fault->column, fault->why);
    say_what_stays(im);
    return EXIT_FAILED;
}

static int import_lines(struct importer *im) {
    char *text;
    size_t len;
    struct line line;
    struct line_fault fault;
    int rc;
    while ((rc = input_line(im->input, &text, &len)) == 1) {
        if (line_is_blank(text, len)) {
            continue;
        }
        if (!line_parse(text, len, &line, &fault)) {
            return bad_line(im, &line, &fault);
        }
        int code = add_line(im, &line);
        if (code != EXIT_OK) {
            return code;
        }
    }
    if (rc < 0) {
        hide_progress(im);
        tool_say("%s:%llu: %s", im->file, (unsigned long long)input_line_number(im->input),
                 input_error(im->input));
        say_what_stays(im);
        return EXIT_FAILED;
    }
    return end_transaction(im);
}

static int import_file(struct importer *im, const char *path) {
    char why[160];
    im->file = strcmp(path, "-") == 0 ? "standard input" : path;
    im->input = input_open(path, why, sizeof why);
    if (!im->input) {
        hide_progress(im);
        tool_say("%s: %s", im->file, why);
        return EXIT_FAILED;
    }
    int code = import_lines(im);
    hide_progress(im);
    input_close(im->input);
    im->input = NULL;
    return code;
}

static int import_files(struct importer *im, const struct args *args) {
    if (args->positional_count == 0) {
        return import_file(im, "-");
    }
    int code = EXIT_OK;
    for (int i = 0; i < args->positional_count && code == EXIT_OK; i++) {
        code = import_file(im, args->positional[i]);
    }
    return code;
}

/* ---- the command ---- */

static bool parse_part(const struct args *args, struct importer *im) {
    if (!args->given[OPT_PART]) {
        return true;
    }
    char text[48];
    snprintf(text, sizeof text, "%s", args->value[OPT_PART]);
    char *slash = strchr(text, '/');
    if (slash) {
        *slash = '\0';
        if (cli_parse_u64(text, UINT32_MAX, &im->part) &&
            cli_parse_u64(slash + 1, UINT32_MAX, &im->parts) && im->part < im->parts) {
            return true;
        }
    }
    cli_usage(args, "option '--part' wants I/N with I from 0 to N-1, as 0/4, not '%s'",
              args->value[OPT_PART]);
    return false;
}

/* So that neither a store is made nor a file imported when another one cannot be read. */
static bool files_are_there(const struct args *args) {
    for (int i = 0; i < args->positional_count; i++) {
        const char *path = args->positional[i];
        if (strcmp(path, "-") != 0 && access(path, R_OK) != 0) {
            tool_say("%s: %s; nothing was imported", path, strerror(errno));
            return false;
        }
    }
    return true;
}

static int print_summary(const struct importer *im, bool json) {
    struct out out;
    int rc = out_open(&out);
    if (rc != EXIT_OK) {
        return rc;
    }
    double seconds = (double)(monotonic_ns() - im->begun_ns) / 1e9;
    out_printf(&out,
               json ? "{\"events\":%llu,\"transactions\":%llu,\"streams\":%zu,\"seconds\":%.6f}\n"
                    : "%llu events in %llu transactions on %zu streams, %.3f s\n",
               (unsigned long long)im->events, (unsigned long long)im->transactions,
               im->streams.count, seconds);
    return out_close(&out);
}

int run_import(const struct args *args) {
    struct importer im = {.batch = 1, .parts = 1};
    if (!cli_u64(args, OPT_BATCH, 1, EDDY_TX_EVENTS_MAX, &im.batch) || !parse_part(args, &im)) {
        return EXIT_USAGE;
    }
    if (!files_are_there(args)) {
        return EXIT_FAILED;
    }
    im.begun_ns = monotonic_ns();
    im.progress = isatty(STDERR_FILENO) && !args->given[OPT_NO_PROGRESS];
    int code = tool_open(args, args->value[OPT_STORE], 0, &im.store);
    if (code != EXIT_OK) {
        return code;
    }
    int rc = eddy_tx_begin(im.store, &im.tx);
    code = rc < 0 ? tool_fail(rc) : import_files(&im, args);
    if (code == EXIT_OK) {
        code = print_summary(&im, args->given[OPT_OUTPUT] && !cli_output_is(args, "text"));
    }
    eddy_tx_free(im.tx);
    eddy_close(im.store);
    free(im.tx_key);
    nameset_fini(&im.streams);
    return code;
}
