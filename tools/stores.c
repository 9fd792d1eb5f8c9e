/* eddy create, ls, rm: stores as a whole. eddy version, help. */
#include "commands.h"
#include "json.h"
#include "limits.h"
#include "out.h"
#include "tool.h"
#include "when.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *first_positional(const struct args *args) {
    return args->positional_count > 0 ? args->positional[0] : NULL;
}

/* ---- create ---- */

static bool parse_mode(const struct args *args, uint32_t *mode) {
    const char *text = args->value[OPT_MODE];
    char *end = NULL;
    if (!args->given[OPT_MODE]) {
        return true;
    }
    unsigned long value = strtoul(text, &end, 8);
    if (*text < '0' || *text > '7' || *end || value > 0777 || value == 0) {
        cli_usage(args, "option '--mode' wants permission bits in octal, as 660, not '%s'", text);
        return false;
    }
    *mode = (uint32_t)value;
    return true;
}

/* A store that is new gets its limits at once. */
static int limit_new(const struct args *args, eddy_store *store) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    if (!limits_given(args)) {
        return EXIT_OK;
    }
    if (!limits_change(args, &limits)) {
        return EXIT_USAGE;
    }
    int rc = eddy_limits_set(store, &limits, NULL);
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

bool stores_make_options(const struct args *args, eddy_options *options) {
    uint64_t members = 0;
    uint64_t threads = 0;
    if (!cli_size(args, OPT_CAP, &options->cap) || !parse_mode(args, &options->mode) ||
        !cli_u64(args, OPT_MEMBERS, 2, 1024, &members) ||
        !cli_u64(args, OPT_THREADS, 2, 8000, &threads)) {
        return false;
    }
    if (args->given[OPT_CAP] && (options->cap < EDDY_CAP_MIN || options->cap > EDDY_CAP_MAX)) {
        cli_usage(args, "option '--cap' is from 4M to 16T, not '%s'", args->value[OPT_CAP]);
        return false;
    }
    options->dir = args->value[OPT_DIR];
    options->members = (uint32_t)members;
    options->threads = (uint32_t)threads;
    return true;
}

static bool create_options_of(const struct args *args, eddy_options *options) {
    eddy_limits limits = EDDY_LIMITS_INIT; /* only to say what is wrong before a store is made */
    options->flags = EDDY_EXCLUSIVE | (args->given[OPT_EPHEMERAL] ? EDDY_EPHEMERAL : 0);
    return stores_make_options(args, options) && limits_change(args, &limits);
}

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};

/* What ends the program is to wait, from now on, until it is asked for. */
static void block(sigset_t *set) {
    sigemptyset(set);
    for (size_t i = 0; i < sizeof ending / sizeof ending[0]; i++) {
        signal(ending[i], SIG_DFL); /* a shell has some ignored; who sends it means it */
        sigaddset(set, ending[i]);
    }
    sigprocmask(SIG_BLOCK, set, NULL);
}

/* An ephemeral store is there as long as somebody has it open. */
static void stay(const sigset_t *set) {
    int got;
    if (isatty(STDERR_FILENO)) {
        tool_say("the store is there until this is interrupted, and nobody else has it open");
    }
    sigwait(set, &got);
}

int run_create(const struct args *args) {
    eddy_options options = EDDY_OPTIONS_INIT;
    const char *name;
    eddy_store *store;
    sigset_t set;
    if (!tool_store_name(args, first_positional(args), &name) ||
        !create_options_of(args, &options)) {
        return EXIT_USAGE;
    }
    if (args->given[OPT_EPHEMERAL]) {
        block(&set);
    }
    int rc = eddy_open(&store, name, &options);
    bool there = rc == EDDY_EEXIST && args->given[OPT_IF_MISSING];
    if (there) {
        options.flags = EDDY_MUST_EXIST; /* is it one that can be used? */
        rc = eddy_open(&store, name, &options);
    }
    if (rc < 0) {
        return tool_fail(rc);
    }
    int code = there ? EXIT_OK : limit_new(args, store);
    if (code == EXIT_OK && args->given[OPT_EPHEMERAL]) {
        stay(&set);
    }
    eddy_close(store);
    return code;
}

/* ---- ls ---- */

struct listing {
    struct out out;
    bool json;
    bool utc;
    struct when_cache cache;
};

static int list_json(struct listing *listing, const eddy_found *found) {
    struct out *out = &listing->out;
    char text[WHEN_ROOM];
    size_t n = when_json(&listing->cache, found->modified_ns, text);
    out_char(out, '{');
    out_json_name(out, "name", eddy_str(found->name));
    out_char(out, ',');
    out_json_name(out, "path", eddy_str(found->path));
    out_printf(out,
               ",\"bytes\":%llu,\"uid\":%u,\"mode\":\"%04o\",\"modified\":\"%.*s\","
               "\"ephemeral\":%s}\n",
               (unsigned long long)found->bytes, found->uid, found->mode & 07777, (int)n, text,
               found->ephemeral ? "true" : "false");
    return out->failed;
}

static int list_one(void *arg, const eddy_found *found) {
    struct listing *listing = arg;
    struct out *out = &listing->out;
    if (listing->json) {
        return list_json(listing, found);
    }
    char text[WHEN_ROOM];
    char size[32];
    size_t n = when_text(&listing->cache, found->modified_ns, listing->utc, text);
    out_printf(out, "%10s  %04o  %5u  %.*s  ", tool_size(found->bytes, size), found->mode & 07777,
               found->uid, (int)n, text);
    out_text(out, eddy_str(found->name));
    out_str(out, found->ephemeral ? "  (ephemeral)\n" : "\n");
    return out->failed;
}

int run_ls(const struct args *args) {
    struct listing listing = {.json = cli_output_is(args, "jsonl"), .utc = args->given[OPT_UTC]};
    int code = out_open(&listing.out);
    if (code != EXIT_OK) {
        return code;
    }
    int rc = eddy_list(args->value[OPT_DIR], list_one, &listing);
    if (rc < 0) {
        code = tool_fail(rc);
    }
    int written = out_close(&listing.out);
    return code == EXIT_OK ? written : code;
}

/* ---- rm ---- */

struct holders {
    unsigned count;
};

static int count_holder(void *arg, const eddy_member_facts *facts) {
    struct holders *holders = arg;
    if (!facts->alive || facts->self) {
        return 0;
    }
    if (holders->count++ == 0) {
        tool_say("the store is in use, so it was not removed (--force removes it all the same: "
                 "these keep what they have open, others find no store). It is open in:");
    }
    fprintf(stderr, "  pid %u  %s  (uid %u)\n", facts->pid, facts->command, facts->uid);
    return 0;
}

/* EXIT_OK if no living process has the store open. */
static int refuse_if_used(const struct args *args, const char *name) {
    struct holders holders = {0};
    eddy_store *store;
    unsigned tries = 0;
    int code = tool_open_read_only(args, name, &store);
    if (code != EXIT_OK) {
        if (code != EXIT_NOT_FOUND) {
            tool_say("it was not removed: nobody can tell whether it is in use (--force asks not)");
        }
        return code;
    }
    int rc;
    do {
        rc = eddy_members(store, count_holder, &holders);
    } while (tool_again(rc, &tries));
    code = rc < 0 ? tool_fail(rc) : holders.count ? EXIT_FAILED : EXIT_OK;
    eddy_close(store);
    return code;
}

int run_rm(const struct args *args) {
    eddy_options options = EDDY_OPTIONS_INIT;
    const char *name;
    const char *variable = getenv("EDDY_STORE");
    if (!tool_store_name(args, first_positional(args), &name)) {
        return EXIT_USAGE;
    }
    if (!name && (!variable || !*variable)) { /* nothing is removed that was not named */
        return cli_usage(args, "which store? eddy rm STORE");
    }
    if (!args->given[OPT_FORCE]) {
        int code = refuse_if_used(args, name);
        if (code != EXIT_OK) {
            return code;
        }
    }
    options.dir = args->value[OPT_DIR];
    int rc = eddy_unlink(name ? name : variable, &options);
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

/* ---- version, help ---- */

int run_version(const struct args *args) {
    struct out out;
    (void)args;
    int code = out_open(&out);
    if (code == EXIT_OK) {
        out_printf(&out, "eddy %s\n", eddy_version());
        code = out_close(&out);
    }
    return code;
}

int run_help(const struct args *args) {
    return cli_help(first_positional(args));
}
