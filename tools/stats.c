/* eddy stats: counters since the store was made, how far behind the head checkpoints and readers are, and
 * the log of distinct errors: for people, as JSON, and as OpenMetrics text. */
#include "commands.h"
#include "look.h"
#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>

/* One table for all forms. OpenMetrics: a counter's samples end in _total, a unit stands at the end of
 * the name before that. */
struct figure {
    const char *name; /* in text and JSON */
    size_t at;        /* in eddy_counts */
    enum { COUNT, COUNT_BYTES, GAUGE } kind;
    const char *metric; /* after "eddy_" */
    const char *help;
};

#define AT(field) offsetof(eddy_counts, field)
static const struct figure figures[] = {
    {"events_appended", AT(events_appended), COUNT, "events_appended", "Events appended."},
    {"bytes_appended", AT(bytes_appended), COUNT_BYTES, "appended_bytes",
     "Memory taken by events that were appended, headers included."},
    {"events_removed", AT(events_removed), COUNT, "events_removed",
     "Events removed by hand, by limits or by age."},
    {"streams_made", AT(streams_made), COUNT, "streams_made", "Streams made."},
    {"transactions", AT(transactions), COUNT, "transactions", "Transactions committed."},
    {"events_read", AT(events_read), COUNT, "events_read", "Events given to readers."},
    {"conflicts", AT(conflicts), COUNT, "conflicts", "Transactions refused by a condition."},
    {"refusals", AT(refusals), COUNT, "refusals",
     "Transactions refused for another reason: limits, no memory."},
    {"retries", AT(retries), COUNT, "retries", "Commits tried again since another came first."},
    {"helps", AT(helps), COUNT, "helps",
     "Transactions applied by another than who committed them."},
    {"wakes", AT(wakes), COUNT, "wakes", "System calls made to wake waiters."},
    {"sleeps", AT(sleeps), COUNT, "sleeps", "Waits that slept."},
    {"lapses", AT(lapses), COUNT, "lapses",
     "Times that a reader was told that it had missed events."},
    {"snapshots", AT(snapshots), COUNT, "snapshots", "Snapshots of the store written into files."},
    {"extents_taken", AT(extents_taken), COUNT, "extents_taken", "Extents of 64 KiB taken."},
    {"sweeps", AT(sweeps), COUNT, "sweeps", "Dead processes cleared up after."},
    {"errors", AT(errors), COUNT, NULL, NULL}, /* by their codes: below */
    {"subscriptions", AT(subscriptions), GAUGE, "subscriptions",
     "Readers that follow, open in living processes."},
};
enum { FIGURES = sizeof figures / sizeof figures[0] };

/* ---- what there is to show ---- */

struct stats {
    struct look *look;
    eddy_counts counts;
    eddy_facts facts;
    eddy_lag *lags;
    size_t lag_count;
    size_t lag_room;
    eddy_error_facts errors[32];
    size_t error_count;
    bool no_memory;
};

static int note_lag(void *arg, const eddy_lag *lag) {
    struct stats *s = arg;
    if (s->lag_count == s->lag_room) {
        size_t room = 2 * s->lag_room + 64;
        eddy_lag *more = realloc(s->lags, room * sizeof *more);
        if (!more) {
            s->no_memory = true;
            return 1;
        }
        s->lags = more;
        s->lag_room = room;
    }
    s->lags[s->lag_count++] = *lag;
    return 0;
}

static int note_error(void *arg, const eddy_error_facts *error) {
    struct stats *s = arg;
    s->errors[s->error_count++] = *error;
    return s->error_count == sizeof s->errors / sizeof s->errors[0];
}

/* Gives an exit code. */
static int collect(struct stats *s) {
    eddy_store *store = s->look->store;
    unsigned tries = 0;
    int64_t rc;
    do {
        s->lag_count = 0;
        s->error_count = 0;
        s->counts = (eddy_counts){.size = sizeof s->counts};
        s->facts = (eddy_facts){.size = sizeof s->facts};
        rc = eddy_stats(store, &s->counts);
        rc = rc < 0 ? rc : eddy_info(store, &s->facts);
        rc = rc < 0 ? rc : eddy_lags(store, note_lag, s);
        rc = rc < 0 ? rc : eddy_errors(store, note_error, s);
    } while (tool_again(rc < 0 ? (int)rc : 0, &tries));
    if (s->no_memory) {
        tool_say("this process is out of memory");
        return EXIT_FAILED;
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

static uint64_t value_of(const struct stats *s, const struct figure *f) {
    uint64_t value;
    memcpy(&value, (const char *)&s->counts + f->at, sizeof value);
    return value;
}

static const char *code_of(const eddy_error_facts *e) {
    return e->code ? eddy_errname(e->code) : "others";
}

static const char *kind_of(const eddy_lag *lag) {
    return lag->kind == EDDY_LAG_CHECKPOINT ? "checkpoint" : "reader";
}

static eddy_bytes name_of(const eddy_lag *lag) {
    return eddy_mem(lag->name, lag->name_len);
}

/* ---- text ---- */

static void text_lags(struct stats *s) {
    struct out *out = &s->look->out;
    for (size_t i = 0; i < s->lag_count; i++) {
        const eddy_lag *lag = &s->lags[i];
        if (i == 0) {
            out_printf(out, "\n%-10s %12s %12s %14s  %s\n", "lag of", "offset", "events", "seconds",
                       "name");
        }
        out_printf(out, "%-10s %12" PRIu64 " %12" PRIu64 " %14.6f  ", kind_of(lag), lag->offset,
                   lag->events, (double)lag->behind_ns / 1e9);
        out_text(out, name_of(lag));
        if (lag->kind == EDDY_LAG_READER) {
            out_printf(out, "  pid %u%s", lag->pid, lag->alive ? "" : " (dead)");
        } else if (lag->shard != 0) {
            out_printf(out, "  shard %" PRIu64, lag->shard);
        }
        out_char(out, '\n');
    }
}

static void text_errors(struct stats *s) {
    struct out *out = &s->look->out;
    for (size_t i = 0; i < s->error_count; i++) {
        const eddy_error_facts *e = &s->errors[i];
        out_printf(out, "%9" PRIu64 "  %-14s ", e->count, code_of(e));
        look_time(s->look, e->first_ns);
        OUT_LITERAL(out, "  ");
        look_time(s->look, e->last_ns);
        OUT_LITERAL(out, "  ");
        out_text(out, eddy_str(e->text));
        out_char(out, '\n');
    }
}

static void print_text(struct stats *s) {
    char size[32];
    if (s->look->args->given[OPT_ERRORS]) {
        text_errors(s);
        return;
    }
    look_begin(s->look);
    for (size_t i = 0; i < FIGURES; i++) {
        uint64_t value = value_of(s, &figures[i]);
        look_name(s->look, figures[i].name);
        out_u64(&s->look->out, value);
        if (figures[i].kind == COUNT_BYTES && value >= 1024) {
            out_printf(&s->look->out, "  (%s)", tool_size(value, size));
        }
        out_char(&s->look->out, '\n');
    }
    text_lags(s);
    if (s->error_count > 0) {
        out_printf(&s->look->out, "\n%9s  %-14s %-35s  %-35s  %s\n", "count", "error", "first",
                   "last", "text");
        text_errors(s);
    }
}

/* ---- JSON ---- */

static void json_lags(struct stats *s) {
    struct out *out = &s->look->out;
    for (size_t i = 0; i < s->lag_count; i++) {
        const eddy_lag *lag = &s->lags[i];
        out_printf(out, "%s{\"kind\":\"%s\",", i ? "," : "", kind_of(lag));
        out_json_name(out, "name", name_of(lag));
        out_printf(out, ",\"offset\":%" PRIu64 ",\"events\":%" PRIu64 ",\"seconds\":%.9f",
                   lag->offset, lag->events, (double)lag->behind_ns / 1e9);
        if (lag->kind == EDDY_LAG_READER) {
            out_printf(out, ",\"slot\":%u,\"pid\":%u,\"alive\":%s,\"follows\":%s}", lag->slot,
                       lag->pid, lag->alive ? "true" : "false", lag->follows ? "true" : "false");
        } else {
            out_printf(out, ",\"shard\":%" PRIu64 "}", lag->shard);
        }
    }
}

static void json_errors(struct stats *s) {
    struct out *out = &s->look->out;
    for (size_t i = 0; i < s->error_count; i++) {
        const eddy_error_facts *e = &s->errors[i];
        out_printf(out, "%s{\"error\":\"%s\",\"count\":%" PRIu64 ",\"first\":\"", i ? "," : "",
                   code_of(e), e->count);
        look_time(s->look, e->first_ns);
        OUT_LITERAL(out, "\",\"last\":\"");
        look_time(s->look, e->last_ns);
        OUT_LITERAL(out, "\",");
        out_json_name(out, "text", eddy_str(e->text));
        out_char(out, '}');
    }
}

static void print_json(struct stats *s) {
    struct out *out = &s->look->out;
    look_begin(s->look);
    if (!s->look->args->given[OPT_ERRORS]) {
        for (size_t i = 0; i < FIGURES; i++) {
            look_name(s->look, figures[i].name);
            out_u64(out, value_of(s, &figures[i]));
        }
        look_name(s->look, "lag");
        out_char(out, '[');
        json_lags(s);
        out_char(out, ']');
    }
    look_name(s->look, "log");
    out_char(out, '[');
    json_errors(s);
    out_char(out, ']');
    look_end(s->look);
}

/* ---- OpenMetrics ---- */

/* A value of a label: what is no UTF-8 or moves the cursor appears as \xff, as for people. */
static void label(struct out *out, const char *name, eddy_bytes value) {
    struct out plain;
    out_printf(out, "%s=\"", name);
    if (out_open(&plain) != EXIT_OK) {
        out->failed = 1;
        return;
    }
    out_text(&plain, value);
    for (size_t i = 0; i < plain.len; i++) {
        char c = plain.buf[i];
        if (c == '\\' || c == '"') {
            out_char(out, '\\');
        }
        out_char(out, c);
    }
    plain.len = 0;
    (void)out_close(&plain);
    out_char(out, '"');
}

static void family(struct out *out, const char *name, const char *type, const char *unit,
                   const char *help) {
    out_printf(out, "# TYPE eddy_%s %s\n", name, type);
    if (unit) {
        out_printf(out, "# UNIT eddy_%s %s\n", name, unit);
    }
    out_printf(out, "# HELP eddy_%s %s\n", name, help);
}

static void metric_counts(struct stats *s) {
    struct out *out = &s->look->out;
    for (size_t i = 0; i < FIGURES; i++) {
        const struct figure *f = &figures[i];
        if (f->metric) {
            bool gauge = f->kind == GAUGE;
            family(out, f->metric, gauge ? "gauge" : "counter",
                   f->kind == COUNT_BYTES ? "bytes" : NULL, f->help);
            out_printf(out, "eddy_%s%s %" PRIu64 "\n", f->metric, gauge ? "" : "_total",
                       value_of(s, f));
        }
    }
}

static void metric_facts(struct stats *s) {
    struct out *out = &s->look->out;
    const struct {
        const char *name;
        const char *unit;
        const char *help;
        uint64_t value;
    } gauges[] = {
        {"events", NULL, "Events that are there.", s->facts.events},
        {"streams", NULL, "Streams that are there.", s->facts.streams},
        {"head", NULL, "Offset of the last event.", s->facts.head},
        {"event_bytes", "bytes", "Memory taken by the events that are there.", s->facts.bytes},
        {"reserved_bytes", "bytes", "Memory taken from the file system.", s->facts.reserved},
        {"free_bytes", "bytes", "Of that, free for events to come.", s->facts.free},
        {"cap_bytes", "bytes", "Memory that the store may take.", s->facts.cap},
    };
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        family(out, gauges[i].name, "gauge", gauges[i].unit, gauges[i].help);
        out_printf(out, "eddy_%s %" PRIu64 "\n", gauges[i].name, gauges[i].value);
    }
}

static void lag_labels(struct out *out, const eddy_lag *lag) {
    out_char(out, '{');
    label(out, lag->kind == EDDY_LAG_READER ? "command" : "checkpoint", name_of(lag));
    if (lag->kind == EDDY_LAG_READER) {
        out_printf(out, ",slot=\"%u\",pid=\"%u\"}", lag->slot, lag->pid);
    } else {
        out_printf(out, ",shard=\"%" PRIu64 "\"}", lag->shard);
    }
}

static void metric_lags(struct stats *s, uint32_t kind, const char *name, const char *help) {
    struct out *out = &s->look->out;
    char family_name[64];
    for (int time = 0; time < 2; time++) {
        out_format(family_name, sizeof family_name, "%s_lag_%s", name, time ? "seconds" : "events");
        family(out, family_name, "gauge", time ? "seconds" : NULL, help);
        for (size_t i = 0; i < s->lag_count; i++) {
            if (s->lags[i].kind != kind) {
                continue;
            }
            out_printf(out, "eddy_%s", family_name);
            lag_labels(out, &s->lags[i]);
            if (time) {
                out_printf(out, " %.9f\n", (double)s->lags[i].behind_ns / 1e9);
            } else {
                out_printf(out, " %" PRIu64 "\n", s->lags[i].events);
            }
        }
    }
}

static void metric_errors(struct stats *s) {
    struct out *out = &s->look->out;
    family(out, "errors", "counter", NULL, "Errors that calls on the store have met.");
    for (size_t i = 0; i < s->error_count; i++) {
        out_printf(out, "eddy_errors_total{error=\"%s\",", code_of(&s->errors[i]));
        label(out, "text", eddy_str(s->errors[i].text));
        out_printf(out, "} %" PRIu64 "\n", s->errors[i].count);
    }
}

static void print_metrics(struct stats *s) {
    if (!s->look->args->given[OPT_ERRORS]) {
        metric_counts(s);
        metric_facts(s);
        metric_lags(s, EDDY_LAG_CHECKPOINT, "checkpoint",
                    "How far a checkpoint is behind the head.");
        metric_lags(s, EDDY_LAG_READER, "reader", "How far a reader is behind the head.");
    }
    metric_errors(s);
    OUT_LITERAL(&s->look->out, "# EOF\n");
}

int run_stats(const struct args *args) {
    struct look look;
    struct stats s = {.look = &look};
    int code = look_open(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    code = collect(&s);
    if (code == EXIT_OK && cli_output_is(args, "openmetrics")) {
        print_metrics(&s);
    } else if (code == EXIT_OK) {
        (look.json ? print_json : print_text)(&s);
    }
    free(s.lags);
    return look_close(&look, code);
}
