/* eddy limits: what a store may hold. One table of limits, by which they are read from options and shown. */
#include "limits.h"

#include "commands.h"
#include "reading.h"
#include "removal.h"
#include "tool.h"

#include <stddef.h>
#include <time.h>

struct limit {
    const char *name; /* in lists and output; with '-' rather than '_' in lists */
    enum option_id option;
    size_t at;          /* where in eddy_limits; NO_FIELD: it is a flag alone */
    uint32_t drop_flag; /* 0: beyond, the oldest go in any case */
    enum { LIMIT_COUNT, LIMIT_SIZE, LIMIT_AGE } kind;
};

#define NO_FIELD SIZE_MAX

static const struct limit limits_known[] = {
    {"events", OPT_LIMIT_EVENTS, offsetof(eddy_limits, events), EDDY_DROP_EVENTS, LIMIT_COUNT},
    {"bytes", OPT_LIMIT_BYTES, offsetof(eddy_limits, bytes), EDDY_DROP_BYTES, LIMIT_SIZE},
    {"streams", OPT_LIMIT_STREAMS, offsetof(eddy_limits, streams), EDDY_DROP_STREAMS, LIMIT_COUNT},
    {"stream_events", OPT_LIMIT_STREAM_EVENTS, offsetof(eddy_limits, stream_events),
     EDDY_DROP_STREAM_EVENTS, LIMIT_COUNT},
    {"names", OPT_LIMIT_NAMES, offsetof(eddy_limits, names), 0, LIMIT_COUNT},
    {"age", OPT_LIMIT_AGE, offsetof(eddy_limits, age_ns), 0, LIMIT_AGE},
    {"keys", OPT_LIMIT_KEYS, offsetof(eddy_limits, keys), 0, LIMIT_COUNT},
    {"keys_age", OPT_LIMIT_KEYS_AGE, offsetof(eddy_limits, keys_age_ns), 0, LIMIT_AGE},
    {"full", OPT_DROP_WHEN_FULL, NO_FIELD, EDDY_DROP_WHEN_FULL, LIMIT_COUNT},
};

#define EACH_LIMIT(limit)                                                                          \
    const struct limit *limit = limits_known;                                                      \
    limit < limits_known + sizeof limits_known / sizeof limits_known[0];                           \
    limit++

/* All limits are 64 bits wide; the age is signed, but never negative. */
static uint64_t get(const eddy_limits *limits, const struct limit *limit) {
    uint64_t value = 0;
    if (limit->at != NO_FIELD) {
        memcpy(&value, (const char *)limits + limit->at, sizeof value);
    }
    return value;
}

static void set(eddy_limits *limits, const struct limit *limit, uint64_t value) {
    memcpy((char *)limits + limit->at, &value, sizeof value);
}

/* ---- options ---- */

bool limits_given(const struct args *args) {
    for (EACH_LIMIT(limit)) {
        if (args->given[limit->option]) {
            return true;
        }
    }
    return args->given[OPT_REFUSE] || args->given[OPT_DROP] || args->given[OPT_NO_LIMITS] ||
           args->given[OPT_STRICT];
}

/* A limit that is new lets the oldest go, unless --refuse says otherwise. */
static bool take_value(const struct args *args, const struct limit *limit, eddy_limits *limits) {
    uint64_t value = 0;
    int64_t ns = 0;
    bool understood = limit->kind == LIMIT_SIZE ? cli_size(args, limit->option, &value)
                      : limit->kind == LIMIT_AGE
                          ? cli_duration(args, limit->option, &ns)
                          : cli_u64(args, limit->option, 0, UINT64_MAX, &value);
    if (!understood || !args->given[limit->option]) {
        return understood;
    }
    if (get(limits, limit) == 0) {
        limits->flags |= limit->drop_flag;
    }
    set(limits, limit, limit->kind == LIMIT_AGE ? (uint64_t)ns : value);
    if (get(limits, limit) == 0) {
        limits->flags &= ~limit->drop_flag;
    }
    return true;
}

static const struct limit *find_word(const char *word, size_t len) {
    for (EACH_LIMIT(limit)) {
        size_t i = 0;
        while (i < len && limit->name[i] == (word[i] == '-' ? '_' : word[i])) {
            i++;
        }
        if (i == len && !limit->name[len]) {
            return limit;
        }
    }
    return NULL;
}

/* One word of --refuse or --drop: gives its flag, or 0 after saying what is wrong. */
static uint32_t take_word(const struct args *args, const char *option, const char *word, size_t len,
                          const eddy_limits *limits) {
    const struct limit *limit = find_word(word, len);
    if (!limit) {
        cli_usage(args,
                  "option '--%s' wants some of events,bytes,streams,stream-events,full, not "
                  "'%.*s'",
                  option, (int)len, word);
        return 0;
    }
    if (!limit->drop_flag) {
        cli_usage(args, "option '--%s': beyond the limit of %s the oldest go in any case", option,
                  limit->name);
        return 0;
    }
    if (limit->at != NO_FIELD && get(limits, limit) == 0) {
        cli_usage(args, "option '--%s': there is no limit of %.*s; set it by '--%.*s' as well",
                  option, (int)len, word, (int)len, word);
        return 0;
    }
    return limit->drop_flag;
}

/* The flags of a list as "events,bytes". */
static bool take_list(const struct args *args, enum option_id id, const char *option,
                      const eddy_limits *limits, uint32_t *flags) {
    const char *at = args->value[id];
    *flags = 0;
    while (args->given[id]) {
        size_t len = strcspn(at, ",");
        uint32_t flag = take_word(args, option, at, len, limits);
        if (!flag) {
            return false;
        }
        *flags |= flag;
        if (!at[len]) {
            break;
        }
        at += len + 1;
    }
    return true;
}

bool limits_change(const struct args *args, eddy_limits *limits) {
    uint32_t refuse;
    uint32_t drop;
    if (args->given[OPT_NO_LIMITS]) {
        *limits = (eddy_limits)EDDY_LIMITS_INIT;
    }
    for (EACH_LIMIT(limit)) {
        if (limit->at != NO_FIELD && !take_value(args, limit, limits)) {
            return false;
        }
    }
    if (!take_list(args, OPT_REFUSE, "refuse", limits, &refuse) ||
        !take_list(args, OPT_DROP, "drop", limits, &drop)) {
        return false;
    }
    drop |= args->given[OPT_DROP_WHEN_FULL] ? EDDY_DROP_WHEN_FULL : 0;
    if (refuse & drop) {
        cli_usage(args, "the same limit is to refuse and to drop");
        return false;
    }
    limits->flags = (limits->flags | drop) & ~refuse;
    if (args->given[OPT_STRICT]) {
        bool on = strcmp(args->value[OPT_STRICT], "on") == 0;
        limits->flags = on ? limits->flags | EDDY_STRICT : limits->flags & ~EDDY_STRICT;
    }
    return true;
}

/* ---- showing ---- */

enum { USED_UNKNOWN = -1 };

/* How long ago the event happened that would go first; USED_UNKNOWN if there is none. */
static int64_t oldest_age(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    struct timespec now;
    int64_t age = USED_UNKNOWN;
    bool lapped = false;
    select.limit = 1;
    if (eddy_reader_open(store, &select, &reader) < 0) {
        return age;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    if (reading_next(reader, &event, &lapped) == EDDY_EVENT &&
        !__builtin_sub_overflow((int64_t)now.tv_sec * 1000000000 + now.tv_nsec, event.time_ns,
                                &age)) {
        age = age < 0 ? 0 : age;
    }
    eddy_reader_close(reader);
    return age;
}

static int64_t used_of(struct look *look, const struct limit *limit, const eddy_facts *facts) {
    switch (limit->option) {
    case OPT_LIMIT_EVENTS:
        return (int64_t)facts->events;
    case OPT_LIMIT_BYTES:
        return (int64_t)facts->bytes;
    case OPT_LIMIT_STREAMS:
        return (int64_t)facts->streams;
    case OPT_LIMIT_NAMES:
        return (int64_t)facts->names;
    case OPT_LIMIT_AGE:
        return oldest_age(look->store);
    default:
        return USED_UNKNOWN;
    }
}

static void put_value(struct look *look, const struct limit *limit, uint64_t value, bool round) {
    char text[WHEN_ROOM];
    char size[32];
    if (limit->kind == LIMIT_AGE) {
        int64_t ns = (int64_t)value;
        int64_t unit = ns > 1000000000 ? 1000000000 : 1000000;
        when_duration(round ? ns - ns % unit : ns, text);
        out_str(&look->out, text);
    } else if (limit->kind == LIMIT_SIZE && value >= 1024) {
        out_str(&look->out, tool_size(value, size));
    } else {
        out_u64(&look->out, value);
    }
}

static void show_text(struct look *look, const struct limit *limit, const eddy_limits *limits,
                      int64_t used) {
    char name[32];
    bool drops = !limit->drop_flag || (limits->flags & limit->drop_flag);
    uint64_t value = get(limits, limit);
    out_format(name, sizeof name, "limit_%s", limit->name);
    look_name(look, name);
    put_value(look, limit, value, false);
    if (used != USED_UNKNOWN) {
        OUT_LITERAL(&look->out, "  (used: ");
        put_value(look, limit, (uint64_t)used, true);
        out_printf(&look->out, ", %.1f %%)", 100.0 * (double)used / (double)value);
    }
    out_str(&look->out, drops ? "  beyond: the oldest go\n" : "  beyond: new ones are refused\n");
}

static void show_json(struct look *look, const struct limit *limit, const eddy_limits *limits,
                      int64_t used) {
    bool drops = !limit->drop_flag || (limits->flags & limit->drop_flag);
    uint64_t value = get(limits, limit);
    out_printf(&look->out, "\"%s%s\":", limit->name, limit->kind == LIMIT_AGE ? "_ns" : "");
    if (value == 0) {
        OUT_LITERAL(&look->out, "null,");
        return;
    }
    out_printf(&look->out, "{\"limit\":%llu,\"used\":", (unsigned long long)value);
    if (used == USED_UNKNOWN) {
        OUT_LITERAL(&look->out, "null");
    } else {
        out_printf(&look->out, "%lld", (long long)used);
    }
    out_printf(&look->out, ",\"beyond\":\"%s\"},", drops ? "drop" : "refuse");
}

/* The checkpoint that holds, and where. */
struct holder {
    eddy_checkpoint lowest;
    bool any;
};

static int note_holder(void *arg, const eddy_checkpoint *checkpoint) {
    struct holder *holder = arg;
    if ((checkpoint->flags & EDDY_HOLD) &&
        (!holder->any || checkpoint->offset < holder->lowest.offset)) {
        holder->lowest = *checkpoint;
        holder->any = true;
    }
    return 0;
}

static void put_holder(struct look *look, const eddy_checkpoint *lowest) {
    eddy_bytes name = eddy_mem(lowest->name, lowest->name_len);
    look_name(look, "waits_for");
    if (look->json) {
        out_char(&look->out, '{');
        out_json_name(&look->out, "checkpoint", name);
        out_printf(&look->out, ",\"offset\":%llu}", (unsigned long long)lowest->offset);
    } else {
        OUT_LITERAL(&look->out, "checkpoint ");
        out_text(&look->out, name);
        out_printf(&look->out, " at offset %llu: no limit drops an event behind that\n",
                   (unsigned long long)lowest->offset);
    }
}

/* What retention waits for: the lowest checkpoint that holds, if one does. */
static int show_holder(struct look *look, const eddy_facts *facts) {
    struct holder holder = {.any = false};
    unsigned tries = 0;
    int64_t rc = 0;
    do { /* facts tell without a look at all checkpoints whether there is one */
        rc = facts->held ? eddy_checkpoints(look->store, eddy_str(NULL), note_holder, &holder) : 0;
    } while (tool_again((int)rc, &tries));
    if (rc < 0) {
        return tool_fail((int)rc);
    }
    if (holder.any) {
        put_holder(look, &holder.lowest);
    } else if (look->json) {
        look_name(look, "waits_for");
        OUT_LITERAL(&look->out, "null");
    }
    return EXIT_OK;
}

static void show_limits(struct look *look, const eddy_limits *limits, const eddy_facts *facts) {
    bool when_full = (limits->flags & EDDY_DROP_WHEN_FULL) != 0;
    bool strict = (limits->flags & EDDY_STRICT) != 0;
    bool any = false;
    out_str(&look->out, look->json ? ",\"limits\":{" : "");
    for (EACH_LIMIT(limit)) {
        bool is_set = limit->at != NO_FIELD && get(limits, limit) != 0;
        int64_t used = is_set ? used_of(look, limit, facts) : USED_UNKNOWN;
        any = any || is_set;
        if (look->json && limit->at != NO_FIELD) {
            show_json(look, limit, limits, used);
        } else if (is_set) {
            show_text(look, limit, limits, used);
        }
    }
    if (look->json) {
        out_printf(&look->out, "\"full\":\"%s\",\"strict\":%s}", when_full ? "drop" : "refuse",
                   strict ? "true" : "false");
        return;
    }
    if (!any) {
        look_name(look, "limits");
        OUT_LITERAL(&look->out, "none\n");
    }
    look_name(look, "when_full");
    out_str(&look->out, when_full ? "the oldest go\n" : "new ones are refused\n");
    if (strict) {
        look_name(look, "strict");
        OUT_LITERAL(&look->out, "events without id, type or time are refused\n");
    }
}

int limits_show(struct look *look) {
    static const struct fact names[] = {{"names", offsetof(eddy_facts, names), FACT_U64},
                                        {NULL, 0, FACT_U64}};
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_limits_get(look->store, &limits);
        rc = rc < 0 ? rc : eddy_info(look->store, &facts);
    } while (tool_again(rc, &tries));
    if (rc < 0) {
        return tool_fail(rc);
    }
    look_facts(look, names, &facts); /* of removed streams */
    show_limits(look, &limits, &facts);
    return show_holder(look, &facts);
}

/* ---- eddy limits ---- */

static int show_of_store(const struct args *args) {
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

int run_limits(const struct args *args) {
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
                   : show_of_store(args);
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
