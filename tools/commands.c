/* The table of commands and options. Help, parsing and suggestions come from it; so do the man
 * pages and the completion. A line of help has at most 80 columns, a page of it 24 lines. */
#include "commands.h"

#define OPTIONS_END                                                                                \
    { OPT_IDS, 0, NULL, NULL, NULL, NULL }

const struct option_def cli_common_options[] = {
    {OPT_STORE, 'S', "store", "STORE", NULL, "a name, a path or fd:N; default $EDDY_STORE"},
    {OPT_DIR, 0, "dir", "DIR", NULL, "where names live; default $EDDY_DIR, else /dev/shm"},
    {OPT_HELP, 'h', "help", NULL, NULL, "show this"},
    OPTIONS_END,
};

/* What create and limits have in common. */
#define LIMIT_OPTIONS                                                                                \
    {OPT_LIMIT_EVENTS, 0, "events", "N", NULL, "events at most; beyond, the oldest go"},             \
        {OPT_LIMIT_BYTES, 0, "bytes", "SIZE", NULL, "memory of events at most, as 64M; the same"},   \
        {OPT_LIMIT_STREAMS, 0, "streams", "N", NULL, "streams at most; the first made go"},          \
        {OPT_LIMIT_STREAM_EVENTS,                                                                    \
         0,                                                                                          \
         "stream-events",                                                                            \
         "N",                                                                                        \
         NULL,                                                                                       \
         "events of each stream at most; its oldest go"},                                            \
        {OPT_LIMIT_NAMES, 0, "names", "N", NULL, "removed streams that stay known, at most"},        \
        {OPT_LIMIT_AGE, 0, "age", "DURATION", NULL, "events go when they are so old: 30s, 12h, 7d"}, \
        {OPT_REFUSE, 0,    "refuse",                                                                 \
         "LIST",     NULL, "at events,bytes,streams,stream-events: refuse new ones"},                \
    {                                                                                                \
        OPT_DROP_WHEN_FULL, 0, "drop-when-full", NULL, NULL, "without memory the oldest go, too"     \
    }

static const struct option_def create_options[] = {
    {OPT_CAP, 0, "cap", "SIZE", NULL, "memory at most, from 4M (default 64G; taken as needed)"},
    {OPT_MODE, 0, "mode", "OCTAL", NULL, "permissions of the file (default 600)"},
    {OPT_MEMBERS, 0, "members", "N", NULL, "processes at once, at most (default 128)"},
    {OPT_THREADS, 0, "threads", "N", NULL, "threads at once, over all of them (default 256)"},
    {OPT_IF_MISSING, 0, "if-missing", NULL, NULL, "do nothing if there is one already"},
    {OPT_EPHEMERAL, 0, "ephemeral", NULL, NULL, "it ends with who has it open: stay until ^C"},
    LIMIT_OPTIONS,
    OPTIONS_END,
};
static const char *const create_examples[] = {
    "eddy create orders --cap 2G --mode 660",
    "eddy create ./orders.eddy --events 100000 --age 7d",
    NULL,
};

static const struct option_def ls_options[] = {
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl", "text (default) or jsonl"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const char *const ls_examples[] = {
    "eddy ls",
    "eddy ls -o jsonl",
    "eddy ls --dir /mnt/stores",
    NULL,
};

static const struct option_def info_options[] = {
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const char *const info_examples[] = {
    "eddy info",
    "eddy info orders -o json",
    "eddy info /dev/shm/orders --utc",
    NULL,
};

static const struct option_def rm_options[] = {
    {OPT_FORCE, 0, "force", NULL, NULL, "also one that is in use; who has it open keeps it"},
    OPTIONS_END,
};
static const char *const rm_examples[] = {
    "eddy rm orders",
    "eddy rm orders --force",
    NULL,
};

static const struct option_def import_options[] = {
    {OPT_BATCH, 0, "batch", "N", NULL, "lines without \"tx\" in one transaction (default 1)"},
    {OPT_PART, 0, "part", "I/N", NULL, "only every Nth transaction, from the Ith (0 is first)"},
    {OPT_MUST_EXIST, 0, "must-exist", NULL, NULL, "fail if there is no store, rather than make it"},
    {OPT_NO_PROGRESS, 0, "no-progress", NULL, NULL, "show no progress on a terminal"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl",
     "form of the summary: text (default) or json"},
    OPTIONS_END,
};
static const char *const import_examples[] = {
    "eddy import events.jsonl.gz",
    "eddy -S a read -o jsonl | eddy -S b import",
    "echo '{\"stream\":\"user-1\",\"data\":{\"name\":\"Ada\"}}' | eddy import",
    NULL,
};

static const struct option_def append_options[] = {
    {OPT_TYPE, 't', "type", "TYPE", NULL, "the event's type"},
    {OPT_EXPECT, 'x', "expect", "VERSION", NULL,
     "any (default), none, exists, or the stream's version"},
    {OPT_KEY, 0, "key", "KEY", NULL, "once only: the same key again gives the first answer"},
    {OPT_ID, 0, "id", "ID", NULL, "the event's id (default STREAM-VERSION)"},
    {OPT_METADATA, 'm', "metadata", "BYTES", NULL, "what goes with the data"},
    {OPT_TIME, 0, "time", "TIME", NULL, "when it happened (default: now)"},
    {OPT_SHARD, 0, "shard", "N", NULL, "the shard that it is in (default: in none)"},
    {OPT_TAG, 0, "tag", "TAG", NULL, "what it can be selected by; may be given again"},
    {OPT_MUST_EXIST, 0, "must-exist", NULL, NULL, "fail if there is no store, rather than make it"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const append_examples[] = {
    "eddy append user-1 --type created '{\"name\":\"Ada\"}'",
    "eddy append user-1 --expect 1 --type left",
    "eddy append files -  < data.bin    (a newline after JSON is left out)",
    NULL,
};

static const struct option_def read_options[] = {
    {OPT_TYPE, 't', "type", "TYPE", NULL, "only events of this type; may be given again"},
    {OPT_TAG, 0, "tag", "TAG", NULL, "only events that have this tag; all, if given again"},
    {OPT_AFTER_OFFSET, 0, "after-offset", "N", NULL, "only events behind this offset"},
    {OPT_TO_OFFSET, 0, "to-offset", "N", NULL, "only events up to this offset"},
    {OPT_FROM, 0, "from", "TIME", NULL, "that happened at this time or later"},
    {OPT_TO, 0, "to", "TIME", NULL, "that happened at this time or earlier"},
    {OPT_SINCE, 0, "since", "TIME", NULL, "that were recorded since: RFC 3339, @seconds or -5m"},
    {OPT_SHARD, 0, "shard", "N", NULL, "only events of this shard"},
    {OPT_AFTER_TIME, 0, "after-time", "TIME", NULL,
     "of a shard: what happened after it, in order of times"},
    {OPT_COUNT_LAST, 'n', "count", "N", NULL, "at most so many events"},
    {OPT_REVERSE, 'r', "reverse", NULL, NULL, "newest first"},
    {OPT_BY_TIME, 0, "by-time", NULL, NULL, "in order of when they happened"},
    {OPT_KNOWN, 0, "known", NULL, NULL, "fail with 3 if there is no such stream"},
    {OPT_EXACT, 0, "exact", NULL, NULL, "a * at the end belongs to the stream's name"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl|json|raw",
     "text (default), jsonl, json, or raw (only the data)"},
    OPTIONS_END,
};
static const char *const read_examples[] = {
    "eddy read 'user-*' --type created --from -1h --by-time",
    "eddy read -o jsonl | gzip > all.jsonl.gz",
    "eddy read --shard 9 --after-time -1h -n 100",
    NULL,
};

static const struct option_def get_options[] = {
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl|json|raw",
     "text (default), jsonl, json, or raw (only the data)"},
    OPTIONS_END,
};
static const char *const get_examples[] = {
    "eddy get 42",
    "eddy get user-1 1 -o json",
    "eddy get 42 -o raw > data.bin",
    NULL,
};

static const struct option_def tail_options[] = {
    {OPT_FOLLOW, 'f', "follow", NULL, NULL, "go on with events that are yet to come"},
    {OPT_COUNT_LAST, 'n', "lines", "N", NULL, "begin with the last N events (default 10)"},
    {OPT_AFTER_OFFSET, 0, "after-offset", "N", NULL,
     "begin behind this offset (0: with the first)"},
    {OPT_SINCE, 0, "since", "TIME", NULL, "begin with what was recorded since: RFC 3339 or -5m"},
    {OPT_TYPE, 't', "type", "TYPE", NULL, "only events of this type; may be given again"},
    {OPT_SHARD, 0, "shard", "N", NULL, "only events of this shard"},
    {OPT_TAG, 0, "tag", "TAG", NULL, "only events that have this tag; all, if given again"},
    {OPT_COUNT_STOP, 'c', "stop-after", "COUNT", NULL, "end after so many events"},
    {OPT_UNTIL_CAUGHT_UP, 'e', "until-caught-up", NULL, NULL,
     "end with what was last at the start"},
    {OPT_TIMEOUT, 0, "timeout", "SECONDS", NULL, "give up after this time, with exit code 9"},
    {OPT_KNOWN, 0, "known", NULL, NULL, "fail with 3 if there is no such stream"},
    {OPT_EXACT, 0, "exact", NULL, NULL, "a * at the end belongs to the stream's name"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl|json|raw",
     "text (default), jsonl, json, or raw (only the data)"},
    OPTIONS_END,
};
static const char *const tail_examples[] = {
    "eddy tail -n 20",
    "eddy tail -f 'user-*'",
    "eddy tail -f --after-offset 0 -o jsonl --timeout 60",
    NULL,
};

static const struct option_def streams_options[] = {
    {OPT_AFTER_NAME, 0, "after", "NAME", NULL, "only names that come after this one"},
    {OPT_COUNT_LAST, 'n', "count", "N", NULL, "at most so many"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl", "text (default) or jsonl"},
    OPTIONS_END,
};
static const char *const streams_examples[] = {
    "eddy streams",
    "eddy streams 'user-*' -n 100",
    "eddy streams 'user-*' -n 100 --after user-99",
    NULL,
};

static const struct option_def shards_options[] = {
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl", "text (default) or jsonl"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const char *const shards_examples[] = {
    "eddy shards",
    "eddy shards orders -o jsonl",
    NULL,
};

static const struct option_def stats_options[] = {
    {OPT_ERRORS, 0, "errors", NULL, NULL, "only the log of distinct errors"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl|openmetrics",
     "text (default), json or openmetrics"},
    OPTIONS_END,
};
static const char *const stats_examples[] = {
    "eddy stats",
    "eddy stats orders -o openmetrics",
    "eddy stats orders --errors",
    NULL,
};

static const struct option_def who_options[] = {
    {OPT_OUTPUT, 'o', "output", "FORM", "text|jsonl", "text (default) or jsonl"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const char *const who_examples[] = {
    "eddy who",
    "eddy who orders -o jsonl",
    NULL,
};

static const struct option_def truncate_options[] = {
    {OPT_EXPECT, 'x', "expect", "VERSION", NULL, "only if this is the stream's version now"},
    {OPT_DRY_RUN, 0, "dry-run", NULL, NULL, "show what would go, and change nothing"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const truncate_examples[] = {
    "eddy truncate user-1 10                (versions 1 to 10 go)",
    "eddy truncate user-1 10 --dry-run",
    "eddy truncate user-1 10 --expect 12",
    NULL,
};

static const struct option_def delete_options[] = {
    {OPT_EXPECT, 'x', "expect", "VERSION", NULL, "only if this is the stream's version now"},
    {OPT_YES, 0, "yes", NULL, NULL, "do it for a prefix without asking"},
    {OPT_DRY_RUN, 0, "dry-run", NULL, NULL, "show what would go, and change nothing"},
    {OPT_EXACT, 0, "exact", NULL, NULL, "a * at the end belongs to the stream's name"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const delete_examples[] = {
    "eddy delete user-1                     (written again, its versions go on)",
    "eddy delete 'user-*' --dry-run",
    "eddy delete 'user-*' --yes",
    NULL,
};

static const struct option_def forget_options[] = {
    {OPT_YES, 0, "yes", NULL, NULL, "do it for a prefix without asking"},
    {OPT_DRY_RUN, 0, "dry-run", NULL, NULL, "show what would go, and change nothing"},
    {OPT_EXACT, 0, "exact", NULL, NULL, "a * at the end belongs to the stream's name"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const forget_examples[] = {
    "eddy forget user-1                     (written again, it begins anew)",
    "eddy forget 'user-*' --dry-run",
    "eddy forget 'user-*' --yes",
    NULL,
};

static const struct option_def clean_options[] = {
    {OPT_FORGET, 0, "forget", NULL, NULL, "then forget all removed streams, of the prefix"},
    {OPT_DRY_RUN, 0, "dry-run", NULL, NULL, "show what would go, and change nothing"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const clean_examples[] = {
    "eddy clean",
    "eddy clean 'user-*' --dry-run",
    "eddy clean --forget",
    NULL,
};

static const struct option_def reset_options[] = {
    {OPT_YES, 0, "yes", NULL, NULL, "do it"},
    {OPT_DRY_RUN, 0, "dry-run", NULL, NULL, "show what would go, and change nothing"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const reset_examples[] = {
    "eddy reset orders --dry-run",
    "eddy reset orders --yes                (offsets go on; limits stay)",
    NULL,
};

static const struct option_def limits_options[] = {
    LIMIT_OPTIONS,
    {OPT_LIMIT_KEYS, 0, "keys", "N", NULL, "answers to --key that are kept (65536)"},
    {OPT_LIMIT_KEYS_AGE, 0, "keys-age", "DURATION", NULL, "and for how long (10m)"},
    {OPT_DROP, 0, "drop", "LIST", NULL, "at these (also: full) the oldest go (the default)"},
    {OPT_STRICT, 0, "strict", "on|off", "on|off", "refuse events without id, type or time"},
    {OPT_NO_LIMITS, 0, "none", NULL, NULL, "no limits, but for those that are given"},
    {OPT_DRY_RUN, 0, "dry-run", NULL, NULL, "show what would go, and change nothing"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const limits_examples[] = {
    "eddy limits                            (shows the limits)",
    "eddy limits --events 100000 --age 7d --dry-run",
    "eddy limits --bytes 64M --refuse bytes; eddy limits --events 0",
    NULL,
};

static const struct option_def checkpoint_options[] = {
    {OPT_SHARD, 0, "shard", "N", NULL, "of this shard (default 0)"},
    {OPT_HOLD, 0, "hold", NULL, NULL, "set it so that limits drop nothing behind it"},
    {OPT_TIME, 0, "time", "TIME", NULL, "set it with this time (default: now)"},
    {OPT_EXPECT, 'x', "expect", "REVISION", NULL, "set or delete it only if it is: none, exists"},
    {OPT_DELETE, 0, "delete", NULL, NULL, "delete it"},
    {OPT_RESET, 0, "reset", NULL, NULL, "set those of all shards that there are"},
    {OPT_WAIT, 0, "wait", NULL, NULL, "wait until it is at the offset, or beyond"},
    {OPT_TIMEOUT, 0, "timeout", "SECONDS", NULL, "give up after this time, with exit code 9"},
    {OPT_EXACT, 0, "exact", NULL, NULL, "a * at the end belongs to the checkpoint's name"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default), json or jsonl"},
    OPTIONS_END,
};
static const char *const checkpoint_examples[] = {
    "eddy checkpoint                        (lists them; 'a*': those that begin so)",
    "eddy checkpoint orders-view -o json",
    "eddy checkpoint orders-view 42 --hold  (without it: holds no more)",
    "eddy checkpoint orders-view head; eddy checkpoint --delete orders-view",
    "eddy checkpoint orders-view 42 --wait --timeout 5",
    NULL,
};

static const struct option_def state_options[] = {
    {OPT_EXPECT, 'x', "expect", "REVISION", NULL, "put or delete it only if it is: none, exists"},
    {OPT_VERSION, 0, "version", "N", NULL, "put it with this number of yours (default 0)"},
    {OPT_SNAPSHOT, 0, "snapshot", "N", NULL, "of stream KEY: that of version N; see below"},
    {OPT_METADATA, 'm', "metadata", "BYTES", NULL, "what goes with the data"},
    {OPT_TIME, 0, "time", "TIME", NULL, "put it with this time (default: now)"},
    {OPT_SHARD, 0, "shard", "N", NULL, "put it with this shard (default 0)"},
    {OPT_COUNT_LAST, 'n', "lines", "N", NULL, "at most N of them"},
    {OPT_AFTER_NAME, 0, "after", "KEY", NULL, "only those that come after this one"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl|raw", "text (default), json, raw"},
    OPTIONS_END,
};
static const char *const state_examples[] = {
    "eddy state put user-1 '{\"name\":\"Ada\"}' --expect none",
    "eddy state get user-1 -o raw; eddy state ls 'user-*'; eddy state delete user-1",
    "eddy state put orders - --snapshot 42 < file; eddy state get orders --snapshot latest",
    "eddy state ls orders --snapshot 0 (above 0); delete orders --snapshot 42 (up to 42)",
    NULL,
};

static const struct option_def maintain_options[] = {
    {OPT_TRIM, 0, "trim", NULL, NULL, "give free memory back to the system as well"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const maintain_examples[] = {
    "eddy maintain",
    "eddy maintain orders --trim",
    NULL,
};

static const struct option_def trim_options[] = {
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    OPTIONS_END,
};
static const char *const trim_examples[] = {
    "eddy trim",
    "eddy trim orders -o json",
    NULL,
};

static const struct option_def snapshot_options[] = {
    {OPT_EVERY, 0, "every", "DURATION", NULL, "again and again, until interrupted: 30s, 5m"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const struct option_def verify_options[] = {
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const char *const snapshot_examples[] = {
    "eddy snapshot -S orders orders.snap    (while others go on)",
    "eddy snapshot -S orders orders.snap --every 5m",
    NULL,
};
static const char *const verify_examples[] = {
    "eddy verify orders.snap                (ends with 0 or 5)",
    NULL,
};

static const struct option_def restore_options[] = {
    {OPT_REPLACE, 0, "replace", NULL, NULL, "in the place of the store of that name"},
    {OPT_CAP, 0, "cap", "SIZE", NULL, "memory at most (default: that of the store)"},
    {OPT_MODE, 0, "mode", "OCTAL", NULL, "permissions of the file (default 600)"},
    {OPT_MEMBERS, 0, "members", "N", NULL, "processes at once, at most"},
    {OPT_THREADS, 0, "threads", "N", NULL, "threads at once, over all of them"},
    {OPT_OUTPUT, 'o', "output", "FORM", "text|json|jsonl", "text (default) or json"},
    {OPT_UTC, 0, "utc", NULL, NULL, "show times in UTC rather than local"},
    OPTIONS_END,
};
static const char *const restore_examples[] = {
    "eddy restore orders.snap orders",
    "eddy restore orders.snap orders --replace --cap 4G",
    NULL,
};

static const char *const check_examples[] = {
    "eddy check",
    "eddy check orders",
    NULL,
};

static const char *const version_examples[] = {
    "eddy version",
    NULL,
};

static const char *const help_examples[] = {
    "eddy help",
    "eddy help append",
    "eddy help exit",
    NULL,
};

static const struct option_def no_options[] = {OPTIONS_END};

const struct command cli_commands[] = {
    {"create", "makes a store", "[STORE]", 0, 1, create_options, create_examples, run_create},
    {"ls", "lists the stores", "", 0, 0, ls_options, ls_examples, run_ls},
    {"info", "shows a store: its size, events, streams, limits", "[STORE]", 0, 1, info_options,
     info_examples, run_info},
    {"rm", "removes a store that no process has open", "[STORE]", 0, 1, rm_options, rm_examples,
     run_rm},
    {"import", "appends the events of JSON lines (plain, gzip or zstd)", "[FILE]...", 0, 100000,
     import_options, import_examples, run_import},
    {"append", "appends an event to a stream", "STREAM [DATA|-]", 1, 2, append_options,
     append_examples, run_append},
    {"read", "prints events, oldest first", "[STREAM|PREFIX*]", 0, 1, read_options, read_examples,
     run_read},
    {"get", "prints one event, by its offset or its version", "OFFSET | STREAM VERSION", 1, 2,
     get_options, get_examples, run_get},
    {"tail", "prints the last events, and follows with -f", "[STREAM|PREFIX*]", 0, 1, tail_options,
     tail_examples, run_tail},
    {"streams", "lists streams in byte order", "[STREAM|PREFIX*]", 0, 1, streams_options,
     streams_examples, run_streams},
    {"shards", "lists the shards that have events", "[STORE]", 0, 1, shards_options,
     shards_examples, run_shards},
    {"truncate", "removes the events of a stream up to a version", "STREAM VERSION", 2, 2,
     truncate_options, truncate_examples, run_truncate},
    {"delete", "removes streams with all their events", "STREAM|PREFIX*", 1, 1, delete_options,
     delete_examples, run_delete},
    {"forget", "removes streams, and that they ever were", "STREAM|PREFIX*", 1, 1, forget_options,
     forget_examples, run_forget},
    {"clean", "removes streams that have no event", "[PREFIX*]", 0, 1, clean_options,
     clean_examples, run_clean},
    {"reset", "removes all that is in a store", "[STORE]", 0, 1, reset_options, reset_examples,
     run_reset},
    {"limits", "shows what a store may hold, or sets it", "[STORE]", 0, 1, limits_options,
     limits_examples, run_limits},
    {"checkpoint", "shows how far readers have come, or sets it", "[NAME [OFFSET|head] | PREFIX*]",
     0, 2, checkpoint_options, checkpoint_examples, run_checkpoint},
    {"state", "shows what is kept under keys, or puts it", "put|get|delete|ls [KEY [DATA|-]]", 1, 3,
     state_options, state_examples, run_state},
    {"maintain", "takes back at once the memory of what is gone", "[STORE]", 0, 1, maintain_options,
     maintain_examples, run_maintain},
    {"trim", "does so, and gives free memory back to the system", "[STORE]", 0, 1, trim_options,
     trim_examples, run_trim},
    {"stats", "shows counters, who is how far behind, and errors", "[STORE]", 0, 1, stats_options,
     stats_examples, run_stats},
    {"who", "lists the processes that have a store open", "[STORE]", 0, 1, who_options,
     who_examples, run_who},
    {"check", "looks for damage in a store; ends with 0 or 5", "[STORE]", 0, 1, no_options,
     check_examples, run_check},
    {"snapshot", "writes a store into a file, as it is at one instant", "FILE", 1, 1,
     snapshot_options, snapshot_examples, run_snapshot},
    {"restore", "makes a store from such a file", "FILE [STORE]", 1, 2, restore_options,
     restore_examples, run_restore},
    {"verify", "looks for damage in such a file; ends with 0 or 5", "FILE", 1, 1, verify_options,
     verify_examples, run_verify},
    {"version", "shows the version of eddy", "", 0, 0, no_options, version_examples, run_version},
    {"help", "helps: eddy help COMMAND", "[COMMAND]", 0, 1, no_options, help_examples, run_help},
    {NULL, NULL, NULL, 0, 0, NULL, NULL, NULL},
};
