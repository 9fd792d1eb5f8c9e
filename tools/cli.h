/* The command line: one table of commands and options (commands.c), from which parsing, help and
 * suggestions are made. What is in the table is true of the program; nothing is said twice. */
#ifndef CLI_H
#define CLI_H

#include "eddy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_id {
    OPT_STORE,
    OPT_DIR,
    OPT_HELP,
    OPT_OUTPUT,
    OPT_MUST_EXIST,
    OPT_UTC,
    OPT_TYPE,
    OPT_TAG,
    OPT_COUNT_LAST, /* -n */
    OPT_COUNT_STOP, /* -c */
    OPT_AFTER_OFFSET,
    OPT_TO_OFFSET,
    OPT_FROM,
    OPT_TO,
    OPT_SINCE,
    OPT_REVERSE,
    OPT_BY_TIME,
    OPT_KNOWN,
    OPT_EXACT,
    OPT_FOLLOW,
    OPT_UNTIL_CAUGHT_UP,
    OPT_TIMEOUT,
    OPT_AFTER_NAME,
    OPT_EXPECT,
    OPT_ID,
    OPT_METADATA,
    OPT_TIME,
    OPT_SHARD,
    OPT_AFTER_TIME,
    OPT_BATCH,
    OPT_PART,
    OPT_NO_PROGRESS,
    OPT_CAP,
    OPT_MODE,
    OPT_MEMBERS,
    OPT_THREADS,
    OPT_IF_MISSING,
    OPT_EPHEMERAL,
    OPT_ERRORS,
    OPT_FORCE,
    OPT_YES,
    OPT_DRY_RUN,
    OPT_FORGET,
    OPT_DELETE,
    OPT_HOLD,
    OPT_TRIM,
    OPT_LIMIT_EVENTS,
    OPT_LIMIT_BYTES,
    OPT_LIMIT_STREAMS,
    OPT_LIMIT_STREAM_EVENTS,
    OPT_LIMIT_NAMES,
    OPT_LIMIT_AGE,
    OPT_LIMIT_KEYS,
    OPT_LIMIT_KEYS_AGE,
    OPT_KEY,
    OPT_REFUSE,
    OPT_DROP,
    OPT_DROP_WHEN_FULL,
    OPT_NO_LIMITS,
    OPT_STRICT,
    OPT_REPLACE,
    OPT_EVERY,
    OPT_RESET,
    OPT_WAIT,
    OPT_SNAPSHOT,
    OPT_VERSION,
    OPT_IDS
};

struct option_def {
    enum option_id id;
    char letter;          /* 0: none */
    const char *name;     /* the long name */
    const char *argument; /* what its argument is called; NULL: it takes none */
    const char *choices;  /* what the argument may be, as "text|json"; NULL: anything */
    const char *help;
};

struct args;

struct command {
    const char *name;
    const char *summary;    /* one line, begins with a verb */
    const char *positional; /* as usage shows it; "" if there is none */
    int positional_min;
    int positional_max;
    const struct option_def *options; /* ends with a name of NULL */
    const char *const *examples;      /* ends with NULL */
    int (*run)(const struct args *args);
};

#define CLI_TYPES_MAX 256

/* A command line that was understood. Its strings are those of argv. */
struct args {
    const struct command *command;
    bool given[OPT_IDS];
    const char *value[OPT_IDS];
    eddy_bytes types[CLI_TYPES_MAX];
    size_t type_count;
    eddy_bytes tags[EDDY_TAGS_MAX];
    size_t tag_count;
    char **positional;
    int positional_count;
};

/* The tables; each ends with an entry whose name is NULL. */
extern const struct command cli_commands[];
extern const struct option_def cli_common_options[];

/* Reads argv. Gives -1 if a command is to be run (args says which), else an exit code: help was
 * shown, or an error of usage was said. */
int cli_parse(int argc, char **argv, struct args *args);

/* Help about a command or a topic, on the standard output; NULL: about the program. */
int cli_help(const char *name);

/* Says that an argument is not understood, and how to get help; gives EXIT_USAGE. */
int cli_usage(const struct args *args, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Arguments of options as numbers: *value is left alone if the option was not given. False, after
 * saying why, if it is no number from min to max. */
bool cli_u64(const struct args *args, enum option_id id, uint64_t min, uint64_t max,
             uint64_t *value);
/* The same with a suffix K, M, G or T (of 1024) allowed. */
bool cli_size(const struct args *args, enum option_id id, uint64_t *value);
/* The same for times: RFC 3339, @seconds, nanoseconds, or back from now as "-5m". */
bool cli_time(const struct args *args, enum option_id id, int64_t *ns);
/* The same for durations, as "30s" or "1h30m", or "0". */
bool cli_duration(const struct args *args, enum option_id id, int64_t *ns);

/* The deadline that --timeout gives, or EDDY_FOREVER. */
bool cli_timeout(const struct args *args, int64_t *deadline_ns);

/* A whole number in text; false if it is none or greater than max. */
bool cli_parse_u64(const char *text, uint64_t max, uint64_t *value);

/* Whether -o was given as this. */
bool cli_output_is(const struct args *args, const char *format);

/* The word among those given (ending with NULL) that was probably meant; NULL: none is near. */
const char *cli_nearest(const char *word, const char *const *words);

#endif
