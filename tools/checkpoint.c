/* eddy checkpoint: how far readers have come, as the store keeps it under names. */
#include "commands.h"
#include "look.h"
#include "tool.h"

/* The command, understood. */
struct wish {
    eddy_bytes name; /* of a checkpoint, or a prefix */
    enum { WISH_LIST, WISH_SHOW, WISH_SET, WISH_DELETE } what;
};

static bool understand(const struct args *args, struct wish *wish) {
    const char *text = args->positional_count > 0 ? args->positional[0] : NULL;
    bool sets = args->positional_count > 1;
    bool deletes = args->given[OPT_DELETE];
    wish->name = eddy_str(text);
    bool star = text && wish->name.len > 0 && text[wish->name.len - 1] == '*';
    bool is_prefix = !text || (star && !args->given[OPT_EXACT]);
    wish->what = sets ? WISH_SET : deletes ? WISH_DELETE : is_prefix ? WISH_LIST : WISH_SHOW;
    if (sets && deletes) {
        cli_usage(args, "option '--delete' takes no offset, but there is '%s'",
                  args->positional[1]);
    } else if (args->given[OPT_HOLD] && !sets) {
        cli_usage(args, "option '--hold' is for setting one: eddy checkpoint NAME OFFSET --hold");
    } else if (deletes && !text) {
        cli_usage(args, "which checkpoint? eddy checkpoint --delete NAME");
    } else if ((sets || deletes) && is_prefix) {
        cli_usage(args,
                  "'%s' is no name of one checkpoint ('--exact' takes the star as part of it)",
                  text);
    } else if (text && !is_prefix && (wish->name.len == 0 || wish->name.len > EDDY_STREAM_MAX)) {
        cli_usage(args, "the name of a checkpoint has 1 to %u bytes, not %zu", EDDY_STREAM_MAX,
                  wish->name.len);
    } else {
        wish->name.len -= is_prefix && text;
        return true;
    }
    return false;
}

/* The offset to set: a number, or "head", which is then *from_head. */
static bool take_offset(const struct args *args, uint64_t *offset, bool *from_head) {
    const char *text = args->positional[1];
    *from_head = strcmp(text, "head") == 0;
    if (*from_head || cli_parse_u64(text, UINT64_MAX >> 2, offset)) {
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
               ",\"offset\":%llu,\"lag\":%llu,\"revision\":%llu,\"hold\":%s,\"time\":\"",
               (unsigned long long)c->offset, (unsigned long long)lag_of(rows, c),
               (unsigned long long)c->revision, c->flags & EDDY_HOLD ? "true" : "false");
    look_time(look, c->time_ns);
    OUT_LITERAL(&look->out, "\"}");
}

static void row_text(const struct rows *rows, const eddy_checkpoint *c) {
    struct look *look = rows->look;
    if (look->found == 0) {
        out_printf(&look->out, "%9s %9s %9s  %-4s  %-29s  %s\n", "offset", "lag", "revision",
                   "hold", "when", "checkpoint");
    }
    out_printf(&look->out, "%9llu %9llu %9llu  %-4s  ", (unsigned long long)c->offset,
               (unsigned long long)lag_of(rows, c), (unsigned long long)c->revision,
               c->flags & EDDY_HOLD ? "hold" : "-");
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
static int get(const struct look *look, eddy_bytes name, eddy_checkpoint *c) {
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_checkpoint_get(look->store, name, 0, c);
    } while (tool_again(rc, &tries));
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int show(struct rows *rows, eddy_bytes name) {
    eddy_checkpoint c;
    int code = get(rows->look, name, &c);
    if (code == EXIT_OK) {
        show_one(rows, &c);
    }
    return code;
}

/* ---- setting ---- */

static int set(struct rows *rows, eddy_bytes name, uint64_t offset) {
    uint32_t flags = rows->look->args->given[OPT_HOLD] ? EDDY_HOLD : 0;
    int rc = eddy_checkpoint_put(rows->look->store, name, offset, flags);
    return rc < 0 ? tool_fail(rc) : show(rows, name);
}

static int delete (struct look *look, eddy_bytes name) {
    eddy_checkpoint c;
    int code = get(look, name, &c); /* to delete one that is not there would be no failure */
    if (code != EXIT_OK) {
        return code;
    }
    int rc = eddy_checkpoint_delete(look->store, name, 0, EDDY_ANY);
    if (rc < 0) {
        return tool_fail(rc);
    }
    out_str(&look->out, look->json ? "{\"checkpoints\":1}\n" : "gone: 1 checkpoints\n");
    return EXIT_OK;
}

static int fulfil(const struct wish *wish, struct rows *rows, uint64_t offset, bool from_head) {
    if (wish->what == WISH_DELETE) {
        return delete (rows->look, wish->name);
    }
    int code = take_head(rows->look, &rows->head);
    if (code != EXIT_OK) {
        return code;
    }
    return wish->what == WISH_LIST   ? list(rows, wish->name)
           : wish->what == WISH_SHOW ? show(rows, wish->name)
                                     : set(rows, wish->name, from_head ? rows->head : offset);
}

int run_checkpoint(const struct args *args) {
    struct wish wish;
    struct look look;
    uint64_t offset = 0;
    bool from_head = false;
    if (!understand(args, &wish) ||
        (wish.what == WISH_SET && !take_offset(args, &offset, &from_head))) {
        return EXIT_USAGE;
    }
    bool writes = wish.what == WISH_SET || wish.what == WISH_DELETE;
    int code = (writes ? look_open_writing : look_open)(&look, args, NULL);
    if (code != EXIT_OK) {
        return code;
    }
    struct rows rows = {.look = &look, .one = wish.what != WISH_LIST};
    return look_close(&look, fulfil(&wish, &rows, offset, from_head));
}
