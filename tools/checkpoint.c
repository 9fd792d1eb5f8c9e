/* eddy checkpoint: how far readers have come, as the store keeps it under names. */
#include "commands.h"
#include "expect.h"
#include "look.h"
#include "tool.h"

/* The command, understood. */
struct wish {
    eddy_bytes name; /* of a checkpoint, or a prefix */
    enum { WISH_LIST, WISH_SHOW, WISH_SET, WISH_DELETE, WISH_RESET, WISH_WAIT } what;
    eddy_new_checkpoint put;
    int64_t expected;
    int64_t deadline_ns;
};

/* Options that are for some wishes only. */
static bool fits(const struct args *args, const struct wish *wish) {
    bool sets = wish->what == WISH_SET;
    bool changes = sets || wish->what == WISH_DELETE;
    if (args->given[OPT_HOLD] && !sets) {
        cli_usage(args, "option '--hold' is for setting one: eddy checkpoint NAME OFFSET --hold");
    } else if (args->given[OPT_TIME] && !sets) {
        cli_usage(args, "option '--time' is for setting one: eddy checkpoint NAME OFFSET --time T");
    } else if (args->given[OPT_EXPECT] && !changes) {
        cli_usage(args, "option '--expect' is for setting or deleting one");
    } else if (args->given[OPT_TIMEOUT] && wish->what != WISH_WAIT) {
        cli_usage(args, "option '--timeout' is for '--wait'");
    } else if (args->given[OPT_SHARD] && (wish->what == WISH_LIST || wish->what == WISH_RESET)) {
        cli_usage(args, "option '--shard' is for one checkpoint, not for all of them");
    } else {
        return true;
    }
    return false;
}

/* What is asked for, by the options and how many arguments there are. */
static bool choose(const struct args *args, struct wish *wish, bool is_prefix) {
    bool offset = args->positional_count > 1;
    const enum option_id ids[] = {OPT_DELETE, OPT_RESET, OPT_WAIT};
    const int wishes[] = {WISH_DELETE, WISH_RESET, WISH_WAIT};
    int count = 0;
    wish->what = offset ? WISH_SET : is_prefix ? WISH_LIST : WISH_SHOW;
    for (int i = 0; i < 3; i++) {
        if (args->given[ids[i]]) {
            wish->what = wishes[i];
            count++;
        }
    }
    if (count > 1) {
        cli_usage(args, "one of '--delete', '--reset' and '--wait'");
    } else if (offset && wish->what == WISH_DELETE) {
        cli_usage(args, "option '--delete' takes no offset, but there is '%s'",
                  args->positional[1]);
    } else if (count == 1 && args->positional_count == 0) {
        cli_usage(args, "which checkpoint? eddy checkpoint --%s NAME%s",
                  wish->what == WISH_DELETE  ? "delete"
                  : wish->what == WISH_RESET ? "reset"
                                             : "wait",
                  wish->what == WISH_DELETE ? "" : " OFFSET");
    } else if (!offset && (wish->what == WISH_RESET || wish->what == WISH_WAIT)) {
        cli_usage(args, "to which offset? eddy checkpoint %s OFFSET --%s", args->positional[0],
                  wish->what == WISH_RESET ? "reset" : "wait");
    } else {
        return true;
    }
    return false;
}

static bool take_options(const struct args *args, struct wish *wish) {
    wish->expected = EDDY_ANY;
    wish->put.flags = args->given[OPT_TIME] ? EDDY_TIME_GIVEN : 0;
    wish->put.flags |= args->given[OPT_HOLD] ? EDDY_HOLD : 0;
    return expect_parse_revision(args, &wish->expected) &&
           cli_u64(args, OPT_SHARD, 0, UINT64_MAX, &wish->put.shard) &&
           cli_time(args, OPT_TIME, &wish->put.time_ns) && cli_timeout(args, &wish->deadline_ns);
}

static bool understand(const struct args *args, struct wish *wish) {
    const char *text = args->positional_count > 0 ? args->positional[0] : NULL;
    memset(wish, 0, sizeof *wish);
    wish->name = eddy_str(text);
    bool star = text && wish->name.len > 0 && text[wish->name.len - 1] == '*';
    bool is_prefix = !text || (star && !args->given[OPT_EXACT]);
    if (!choose(args, wish, is_prefix) || !fits(args, wish)) {
        return false;
    }
    if (wish->what != WISH_LIST && is_prefix) {
        cli_usage(args,
                  "'%s' is no name of one checkpoint ('--exact' takes the star as part of it)",
                  text);
        return false;
    }
    if (text && !is_prefix && (wish->name.len == 0 || wish->name.len > EDDY_STREAM_MAX)) {
        cli_usage(args, "the name of a checkpoint has 1 to %u bytes, not %zu", EDDY_STREAM_MAX,
                  wish->name.len);
        return false;
    }
    wish->name.len -= is_prefix && text;
    wish->put.name = wish->name;
    return take_options(args, wish);
}

/* The offset to set: a number, or "head", which is then *from_head. */
static bool take_offset(const struct args *args, uint64_t *offset, bool *from_head) {
    const char *text = args->positional[1];
    *from_head = strcmp(text, "head") == 0;
    if (*from_head || cli_parse_u64(text, INT64_MAX, offset)) {
        return true;
    }
    cli_usage(args, "an offset is a whole number from 0 up, or 'head', not '%s'", text);
    return false;
}

/* ---- showing ---- */

struct rows {
    struct look *look;
    uint64_t head; /* as it was before they were looked up */
    bool one;
};

/* How many events it is behind; it may have come further than the head that was seen, or be set to
 * events that are yet to come. */
static uint64_t lag_of(const struct rows *rows, const eddy_checkpoint *c) {
    return rows->head > c->offset ? rows->head - c->offset : 0;
}

static void row_json(const struct rows *rows, const eddy_checkpoint *c) {
    struct look *look = rows->look;
    out_char(&look->out, '{');
    out_json_name(&look->out, "checkpoint", eddy_mem(c->name, c->name_len));
    out_printf(&look->out,
               ",\"shard\":%llu,\"offset\":%llu,\"lag\":%llu,\"revision\":%llu,\"hold\":%s,"
               "\"time\":\"",
               (unsigned long long)c->shard, (unsigned long long)c->offset,
               (unsigned long long)lag_of(rows, c), (unsigned long long)c->revision,
               c->flags & EDDY_HOLD ? "true" : "false");
    look_time(look, c->time_ns);
    OUT_LITERAL(&look->out, "\"}");
}

static void row_text(const struct rows *rows, const eddy_checkpoint *c) {
    struct look *look = rows->look;
    if (look->found == 0) {
        out_printf(&look->out, "%9s %9s %9s %6s  %-4s  %-29s  %s\n", "offset", "lag", "revision",
                   "shard", "hold", "when", "checkpoint");
    }
    out_printf(&look->out, "%9llu %9llu %9llu %6llu  %-4s  ", (unsigned long long)c->offset,
               (unsigned long long)lag_of(rows, c), (unsigned long long)c->revision,
               (unsigned long long)c->shard, c->flags & EDDY_HOLD ? "hold" : "-");
    look_time(look, c->time_ns);
    OUT_LITERAL(&look->out, "  ");
    out_text(&look->out, eddy_mem(c->name, c->name_len));
    out_char(&look->out, '\n');
}

static int show_one(void *arg, const eddy_checkpoint *c) {
    struct rows *rows = arg;
    struct out *out = &rows->look->out;
    bool array = !rows->one && cli_output_is(rows->look->args, "json");
    if (array) {
        out_str(out, rows->look->found ? ",\n" : "[\n");
    }
    (rows->look->json ? row_json : row_text)(rows, c);
    if (rows->look->json && !array) {
        out_char(out, '\n');
    }
    rows->look->found++;
    return out->failed;
}

static int take_head(struct look *look, uint64_t *head) {
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_info(look->store, &facts);
    } while (tool_again(rc, &tries));
    *head = facts.head;
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int list(struct rows *rows, eddy_bytes prefix) {
    struct look *look = rows->look;
    unsigned tries = 0;
    int64_t rc;
    do { /* nothing is shown by a try that fails */
        rc = eddy_checkpoints(look->store, prefix, show_one, rows);
    } while (tool_again((int)rc, &tries));
    if (rc >= 0 && cli_output_is(look->args, "json")) {
        out_str(&look->out, look->found ? "\n]\n" : "[]\n");
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

/* EXIT_NOT_FOUND, and the library says so, if there is none. */
static int get(const struct look *look, const struct wish *wish, eddy_checkpoint *c) {
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_checkpoint_get(look->store, wish->name, wish->put.shard, c);
    } while (tool_again(rc, &tries));
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int show(struct rows *rows, const struct wish *wish) {
    eddy_checkpoint c;
    int code = get(rows->look, wish, &c);
    if (code == EXIT_OK) {
        show_one(rows, &c);
    }
    return code;
}

/* ---- setting ---- */

/* A condition that failed has been told of by the library, in its own words. */
static int set(struct rows *rows, const struct wish *wish) {
    int rc = eddy_checkpoint_set(rows->look->store, &wish->put, wish->expected, NULL);
    return rc < 0 ? tool_fail(rc) : show(rows, wish);
}

static int delete (struct look *look, const struct wish *wish) {
    eddy_checkpoint c;
    int code = get(look, wish, &c); /* to delete one that is not there would be no failure */
    if (code != EXIT_OK) {
        return code;
    }
    int rc = eddy_checkpoint_delete(look->store, wish->name, wish->put.shard, wish->expected);
    if (rc < 0) {
        return tool_fail(rc);
    }
    out_str(&look->out, look->json ? "{\"checkpoints\":1}\n" : "gone: 1 checkpoints\n");
    return EXIT_OK;
}

struct of_name {
    struct rows *rows;
    eddy_bytes name;
};

/* Shows it if it has exactly the name. */
static int show_of_name(void *arg, const eddy_checkpoint *c) {
    struct of_name *of = arg;
    return c->name_len == of->name.len ? show_one(of->rows, c) : 0;
}

/* All shards, and then what they are. */
static int reset(struct rows *rows, const struct wish *wish) {
    struct look *look = rows->look;
    struct of_name of = {.rows = rows, .name = wish->name};
    int rc = eddy_checkpoint_reset(look->store, wish->name, wish->put.offset, NULL);
    int64_t shown = rc < 0 ? rc : eddy_checkpoints(look->store, wish->name, show_of_name, &of);
    if (shown >= 0 && cli_output_is(look->args, "json")) {
        out_str(&look->out, look->found ? "\n]\n" : "[]\n");
    }
    return shown < 0 ? tool_fail((int)shown) : EXIT_OK;
}

static int await(struct rows *rows, const struct wish *wish) {
    eddy_checkpoint c;
    int rc;
    do {
        rc = eddy_checkpoint_wait(rows->look->store, wish->name, wish->put.shard, wish->put.offset,
                                  wish->deadline_ns, &c);
    } while (rc == EDDY_EAGAIN);
    if (rc == 0) {
        show_one(rows, &c);
    }
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int fulfil(struct wish *wish, struct rows *rows, bool from_head) {
    if (wish->what == WISH_DELETE) {
        return delete (rows->look, wish);
    }
    int code = take_head(rows->look, &rows->head);
    if (code != EXIT_OK) {
        return code;
    }
    wish->put.offset = from_head ? rows->head : wish->put.offset;
    switch (wish->what) {
    case WISH_LIST:
        return list(rows, wish->name);
    case WISH_SHOW:
        return show(rows, wish);
    case WISH_RESET:
        return reset(rows, wish);
    case WISH_WAIT:
        return await(rows, wish);
    default:
        return set(rows, wish);
    }
}

int run_checkpoint(const struct args *args) {
    struct wish wish;
    struct look look;
    bool from_head = false;
    if (!understand(args, &wish) ||
        (args->positional_count > 1 && !take_offset(args, &wish.put.offset, &from_head))) {
        return EXIT_USAGE;
    }
    bool writes = wish.what != WISH_LIST && wish.what != WISH_SHOW;
    int code = (writes ? look_open_writing : look_open)(&look, args, NULL);
    if (code != EXIT_OK) {
        return code;
    }
    struct rows rows = {.look = &look, .one = wish.what != WISH_LIST && wish.what != WISH_RESET};
    return look_close(&look, fulfil(&wish, &rows, from_head));
}
