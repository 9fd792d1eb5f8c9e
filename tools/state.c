/* eddy state: what is kept under keys, and snapshots of streams. */
#include "commands.h"
#include "expect.h"
#include "input.h"
#include "json.h"
#include "look.h"
#include "printer.h"
#include "tool.h"

#include <stdlib.h>

/* The command, understood. */
struct wish {
    enum { WISH_PUT, WISH_GET, WISH_DELETE, WISH_LIST } what;
    eddy_bytes key; /* or a prefix, or a stream */
    eddy_new_state put;
    int64_t expected;
    bool snapshot;    /* of the stream, and */
    uint64_t version; /* 0 of WISH_GET: the latest */
    uint64_t limit;
    char *to_free;
};

static const char *const verbs[] = {"put", "get", "delete", "ls", NULL};

static bool take_verb(const struct args *args, struct wish *wish) {
    const char *text = args->positional[0];
    for (int i = 0; verbs[i]; i++) {
        if (strcmp(text, verbs[i]) == 0) {
            wish->what = (unsigned)i;
            return true;
        }
    }
    const char *meant = cli_nearest(text, verbs);
    cli_usage(args, "eddy state put, get, delete or ls, not '%s'%s%s%s", text,
              meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
    return false;
}

static bool take_snapshot(const struct args *args, struct wish *wish) {
    const char *text = args->value[OPT_SNAPSHOT];
    wish->snapshot = args->given[OPT_SNAPSHOT];
    if (!wish->snapshot || (strcmp(text, "latest") == 0 && wish->what == WISH_GET)) {
        return true;
    }
    uint64_t least = wish->what == WISH_LIST ? 0 : 1;
    if (cli_parse_u64(text, INT64_MAX, &wish->version) && wish->version >= least) {
        return true;
    }
    cli_usage(args, "option '--snapshot' is a version%s, not '%s'",
              wish->what == WISH_GET ? " or 'latest'" : "", text);
    return false;
}

/* How many arguments, and options that are for some verbs only. */
static bool fits(const struct args *args, const struct wish *wish) {
    bool puts = wish->what == WISH_PUT;
    int least = wish->what == WISH_LIST && !wish->snapshot ? 1 : 2;
    if (args->positional_count < least) {
        cli_usage(args, "which %s? eddy state %s KEY", wish->snapshot ? "stream" : "key",
                  args->positional[0]);
    } else if (args->positional_count > (puts ? 3 : 2)) {
        cli_usage(args, "what is '%s' for?", args->positional[args->positional_count - 1]);
    } else if (!puts && (args->given[OPT_VERSION] || args->given[OPT_METADATA] ||
                         args->given[OPT_TIME] || args->given[OPT_SHARD])) {
        cli_usage(args, "options '--version', '--metadata', '--time' and '--shard' are for put");
    } else if (args->given[OPT_EXPECT] && (wish->what > WISH_DELETE || wish->what == WISH_GET ||
                                           (wish->what == WISH_DELETE && wish->snapshot))) {
        cli_usage(args, "option '--expect' is for put, and for the deletion of a state");
    } else if (wish->what != WISH_LIST &&
               (args->given[OPT_COUNT_LAST] || args->given[OPT_AFTER_NAME])) {
        cli_usage(args, "options '--lines' and '--after' are for ls");
    } else if (wish->snapshot && args->given[OPT_VERSION]) {
        cli_usage(args, "a snapshot has the version that '--snapshot' says");
    } else {
        return true;
    }
    return false;
}

static bool take_key(const struct args *args, struct wish *wish) {
    wish->key = eddy_str(args->positional_count > 1 ? args->positional[1] : NULL);
    if (wish->what == WISH_LIST && !wish->snapshot) {
        const char *text = wish->key.ptr;
        wish->key.len -= wish->key.len > 0 && text[wish->key.len - 1] == '*';
        return true;
    }
    if (wish->key.len >= 1 && wish->key.len <= EDDY_STREAM_MAX) {
        return true;
    }
    cli_usage(args, "a %s has 1 to %u bytes, not %zu", wish->snapshot ? "stream's name" : "key",
              EDDY_STREAM_MAX, wish->key.len);
    return false;
}

static bool understand(const struct args *args, struct wish *wish) {
    memset(wish, 0, sizeof *wish);
    wish->expected = EDDY_ANY;
    wish->limit = UINT64_MAX;
    wish->put.flags = args->given[OPT_TIME] ? EDDY_TIME_GIVEN : 0;
    wish->put.metadata = eddy_str(args->value[OPT_METADATA]);
    return take_verb(args, wish) && take_snapshot(args, wish) && fits(args, wish) &&
           take_key(args, wish) && expect_parse_revision(args, &wish->expected) &&
           cli_u64(args, OPT_VERSION, 0, UINT64_MAX, &wish->put.version) &&
           cli_u64(args, OPT_SHARD, 0, UINT64_MAX, &wish->put.shard) &&
           cli_u64(args, OPT_COUNT_LAST, 0, UINT64_MAX, &wish->limit) &&
           cli_time(args, OPT_TIME, &wish->put.time_ns);
}

/* The data: as the command line has it, or all of the standard input. */
static int take_data(const struct args *args, struct wish *wish) {
    char why[160];
    size_t len;
    if (wish->what != WISH_PUT || args->positional_count < 3) {
        return EXIT_OK;
    }
    if (strcmp(args->positional[2], "-") != 0) {
        wish->put.data = eddy_str(args->positional[2]);
        return EXIT_OK;
    }
    wish->to_free = input_all(EDDY_STATE_MAX + 1, &len, why, sizeof why);
    if (!wish->to_free) {
        tool_say("standard input: %s", why);
        return EXIT_FAILED;
    }
    /* echo and the like end JSON with a newline, which is no part of it. Other bytes stay. */
    if (len > 0 && wish->to_free[len - 1] == '\n' && json_is_bare_value(wish->to_free, len - 1)) {
        len--;
    }
    wish->put.data = eddy_mem(wish->to_free, len);
    return EXIT_OK;
}

/* ---- showing ---- */

static void state_json(struct look *look, const eddy_state *s) {
    struct out *out = &look->out;
    out_char(out, '{');
    out_json_name(out, "key", s->key);
    out_printf(out, ",\"version\":%llu,\"revision\":%llu,\"shard\":%llu,\"time\":\"",
               (unsigned long long)s->version, (unsigned long long)s->revision,
               (unsigned long long)s->shard);
    look_time(look, s->time_ns);
    OUT_LITERAL(out, "\",\"recorded\":\"");
    look_time(look, s->recorded_ns);
    out_char(out, '"');
    printer_payload(out, ",\"metadata", s->metadata);
    printer_payload(out, ",\"data", s->data);
    out_char(out, '}');
}

static void state_text(struct look *look, const eddy_state *s) {
    struct out *out = &look->out;
    out_printf(out, "%9llu %9llu  ", (unsigned long long)s->version,
               (unsigned long long)s->revision);
    look_time(look, s->time_ns);
    OUT_LITERAL(out, "  ");
    out_text(out, s->key);
    OUT_LITERAL(out, "  ");
    out_text(out, s->data);
    out_char(out, '\n');
}

/* One of many, or the only one. */
struct rows {
    struct look *look;
    bool one;
};

static int show_one(void *arg, const eddy_state *s) {
    const struct rows *rows = arg;
    struct look *look = rows->look;
    struct out *out = &look->out;
    bool array = !rows->one && cli_output_is(look->args, "json");
    if (cli_output_is(look->args, "raw")) {
        out_bytes(out, s->data.ptr, s->data.len);
        out_str(out, rows->one ? "" : "\n");
    } else if (look->json) {
        out_str(out, !array ? "" : look->found ? ",\n" : "[\n");
        state_json(look, s);
        out_str(out, array ? "" : "\n");
    } else {
        state_text(look, s);
    }
    look->found++;
    return out->failed;
}

static int get(struct look *look, const struct wish *wish, eddy_buffer *buffer) {
    struct rows rows = {.look = look, .one = true};
    eddy_state state;
    unsigned tries = 0;
    int rc;
    do {
        rc = !wish->snapshot ? eddy_state_get(look->store, wish->key, buffer, &state)
             : wish->version == 0
                 ? eddy_snapshot_latest(look->store, wish->key, 0, buffer, &state)
                 : eddy_snapshot_get(look->store, wish->key, wish->version, buffer, &state);
    } while (tool_again(rc, &tries));
    if (rc == 0) {
        show_one(&rows, &state);
    }
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int list(struct look *look, const struct wish *wish) {
    struct rows rows = {.look = look};
    eddy_bytes after = eddy_str(look->args->value[OPT_AFTER_NAME]);
    int64_t rc =
        wish->snapshot
            ? eddy_snapshots(look->store, wish->key, wish->version, wish->limit, show_one, &rows)
            : eddy_states(look->store, wish->key, after, wish->limit, show_one, &rows);
    if (rc >= 0 && cli_output_is(look->args, "json")) {
        out_str(&look->out, look->found ? "\n]\n" : "[]\n");
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

/* ---- changing ---- */

static int put(struct look *look, const struct wish *wish) {
    eddy_result result;
    int rc = wish->snapshot
                 ? eddy_snapshot_put(look->store, wish->key, wish->version, wish->expected,
                                     &wish->put, &result)
                 : eddy_state_put(look->store, wish->key, wish->expected, &wish->put, &result);
    if (rc == 0) {
        out_printf(&look->out, look->json ? "{\"revision\":%llu}\n" : "revision %llu\n",
                   (unsigned long long)result.revision);
    }
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

/* To delete one that is not there is no failure to the library; here it ends with 3. */
static int delete (struct look *look, const struct wish *wish) {
    eddy_result result;
    uint64_t gone = 1;
    int rc;
    if (wish->snapshot) {
        rc = eddy_snapshot_delete(look->store, wish->key, wish->version, &result);
        gone = result.removed;
    } else {
        int64_t expected = wish->expected == EDDY_ANY ? EDDY_EXISTS : wish->expected;
        rc = eddy_state_delete(look->store, wish->key, expected, &result);
        if (rc == EDDY_ECONFLICT && wish->expected == EDDY_ANY) {
            tool_say("there is no state '%.*s'", (int)wish->key.len, (const char *)wish->key.ptr);
            return EXIT_NOT_FOUND;
        }
    }
    if (rc < 0) {
        return tool_fail(rc);
    }
    const char *what = wish->snapshot ? "snapshots" : "states";
    if (look->json) {
        out_printf(&look->out, "{\"%s\":%llu}\n", what, (unsigned long long)gone);
    } else {
        out_printf(&look->out, "gone: %llu %s\n", (unsigned long long)gone, what);
    }
    return EXIT_OK;
}

static int fulfil(struct look *look, const struct wish *wish) {
    if (wish->what == WISH_PUT || wish->what == WISH_DELETE) {
        return (wish->what == WISH_PUT ? put : delete)(look, wish);
    }
    if (wish->what == WISH_LIST) {
        return list(look, wish);
    }
    eddy_buffer *buffer = eddy_buffer_create();
    if (!buffer) {
        tool_say("this process is out of memory");
        return EXIT_FAILED;
    }
    int code = get(look, wish, buffer);
    eddy_buffer_destroy(buffer);
    return code;
}

int run_state(const struct args *args) {
    struct wish wish;
    struct look look;
    if (!understand(args, &wish)) {
        return EXIT_USAGE;
    }
    int code = take_data(args, &wish);
    if (code == EXIT_OK) {
        bool writes = wish.what == WISH_PUT || wish.what == WISH_DELETE;
        code = (writes ? look_open_writing : look_open)(&look, args, NULL);
        code = code != EXIT_OK ? code : look_close(&look, fulfil(&look, &wish));
    }
    free(wish.to_free);
    return code;
}
