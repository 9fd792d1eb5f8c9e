/* eddy truncate, delete, forget, clean, reset: what removes events and streams.
 *
 * A prefix means the streams that are there when the command begins: their names are collected
 * first, so that what was asked about is what goes, and writers that go on make no end of it. Each
 * stream goes in a transaction of its own, which needs no memory of the store. */
#include "commands.h"
#include "expect.h"
#include "removal.h"
#include "tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is named ---- */

struct target {
    eddy_bytes name; /* of a stream, or a prefix */
    bool is_prefix;
};

static struct target target_of(const struct args *args) {
    struct target target = {eddy_str(args->positional_count > 0 ? args->positional[0] : "*"),
                            false};
    const char *text = target.name.ptr;
    if (!args->given[OPT_EXACT] && target.name.len > 0 && text[target.name.len - 1] == '*') {
        target.name.len--;
        target.is_prefix = true;
    }
    return target;
}

/* Opens the store: for looking only, if nothing is to be done. */
static int open_store(const struct args *args, eddy_store **store) {
    uint32_t flags = args->given[OPT_DRY_RUN] ? EDDY_READ_ONLY : 0;
    return tool_open(args, args->value[OPT_STORE], flags | EDDY_MUST_EXIST, store);
}

/* ---- the streams below a prefix ---- */

struct names {
    char *at; /* each a byte of length and the name */
    size_t len;
    size_t room;
    bool empty_only;
    bool no_memory;
    uint64_t streams;
    uint64_t events;
    char last[EDDY_STREAM_MAX]; /* where to go on */
    size_t last_len;
};

static bool names_room(struct names *names, size_t more) {
    if (names->len + more <= names->room) {
        return true;
    }
    size_t room = 2 * names->room + 4096;
    char *at = realloc(names->at, room);
    if (at) {
        names->at = at;
        names->room = room;
    }
    return at != NULL;
}

static int names_take(void *arg, const eddy_stream_facts *facts) {
    struct names *names = arg;
    memcpy(names->last, facts->name, facts->name_len);
    names->last_len = facts->name_len;
    if (names->empty_only && facts->count > 0) {
        return 0;
    }
    if (!names_room(names, 1 + facts->name_len)) {
        names->no_memory = true;
        return 1;
    }
    names->at[names->len] = (char)facts->name_len;
    memcpy(names->at + names->len + 1, facts->name, facts->name_len);
    names->len += 1 + facts->name_len;
    names->streams++;
    names->events += facts->count;
    return 0;
}

/* Collects the streams that are there. Gives an exit code. */
static int names_collect(struct names *names, eddy_store *store, eddy_bytes prefix) {
    unsigned tries = 0;
    int64_t rc;
    do {
        eddy_bytes after = eddy_mem(names->last, names->last_len);
        rc = eddy_streams(store, prefix, after, SIZE_MAX, names_take, names);
    } while (tool_again((int)rc, &tries));
    if (names->no_memory) {
        tool_say("this process is out of memory");
        return EXIT_FAILED;
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

/* ---- danger ---- */

/* All that a prefix means goes only if --yes says so, or a person at a terminal. */
static int check_yes(const struct args *args) {
    if (args->given[OPT_YES] || args->given[OPT_DRY_RUN] ||
        (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))) {
        return EXIT_OK;
    }
    return cli_usage(args,
                     "'%s' may mean many streams, so this wants '--yes' ('--dry-run' shows "
                     "what would go; '--exact' takes the star as part of a name)",
                     args->positional[0]);
}

static int ask(const struct args *args, const struct names *names) {
    char answer[8] = "";
    if (args->given[OPT_YES]) {
        return EXIT_OK;
    }
    fprintf(stderr, "%s %llu streams with %llu events%s? [y/N] ", args->command->name,
            (unsigned long long)names->streams, (unsigned long long)names->events,
            strcmp(args->command->name, "forget") == 0 ? ", and the names of removed ones" : "");
    if (fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y')) {
        return EXIT_OK;
    }
    tool_say("nothing was removed");
    return EXIT_FAILED;
}

/* ---- truncate ---- */

/* How many events of a stream would go, up to a version: of all of them, if it is UINT64_MAX. */
static int preview(const struct args *args, eddy_store *store, int64_t expected, uint64_t version,
                   struct removal *removal) {
    eddy_bytes name = eddy_str(args->positional[0]);
    eddy_stream_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_stream_info(store, name, &facts);
    } while (tool_again(rc, &tries));
    if (rc < 0 && (rc != EDDY_ENOENT || expected == EDDY_EXISTS)) {
        return tool_fail(rc);
    }
    eddy_result result = {.actual = rc < 0 ? 0 : facts.version};
    if ((expected == EDDY_NONE && rc >= 0) ||
        (expected > 0 && (rc < 0 || (uint64_t)expected != facts.version))) {
        return expect_failed(args->positional[0], expected, &result, "removed");
    }
    uint64_t gone = facts.version - facts.count;
    uint64_t to = version < facts.version ? version : facts.version;
    removal->events = rc >= 0 && to > gone ? to - gone : 0;
    removal->streams = rc >= 0;
    return EXIT_OK;
}

/* What a failed removal of one stream says; without --expect it was there that was expected. */
static int fail_one(const struct args *args, int rc, int64_t expected, const eddy_result *result) {
    if (rc != EDDY_ECONFLICT) {
        return tool_fail(rc);
    }
    if (!args->given[OPT_EXPECT]) {
        tool_say("there is no stream '%s'", args->positional[0]);
        return EXIT_NOT_FOUND;
    }
    return expect_failed(args->positional[0], expected, result, "removed");
}

static int truncate_stream(const struct args *args, eddy_store *store, int64_t expected,
                           uint64_t version) {
    struct removal removal = {0};
    eddy_result result = {0};
    int code = EXIT_OK;
    if (args->given[OPT_DRY_RUN]) {
        code = preview(args, store, expected, version, &removal);
    } else {
        int rc = eddy_truncate(store, eddy_str(args->positional[0]), expected, version, &result);
        code = rc < 0 ? fail_one(args, rc, expected, &result) : EXIT_OK;
        removal.events = result.removed;
    }
    return code == EXIT_OK ? removal_print(args, &removal) : code;
}

int run_truncate(const struct args *args) {
    uint64_t version;
    int64_t expected = EDDY_EXISTS;
    eddy_store *store;
    if (!cli_parse_u64(args->positional[1], UINT64_MAX, &version) || version == 0) {
        return cli_usage(args, "a version is a whole number from 1, not '%s'", args->positional[1]);
    }
    if (!expect_parse(args, &expected)) {
        return EXIT_USAGE;
    }
    int code = open_store(args, &store);
    if (code == EXIT_OK) {
        code = truncate_stream(args, store, expected, version);
        eddy_close(store);
    }
    return code;
}

/* ---- delete, forget ---- */

/* Removes one of the streams below a prefix. One that went meanwhile is none of ours. */
static int remove_named(eddy_store *store, eddy_bytes name, bool forget, struct removal *removal) {
    eddy_result result = {0};
    int rc =
        forget ? eddy_forget(store, name, &result) : eddy_delete(store, name, EDDY_EXISTS, &result);
    if (rc == EDDY_ECONFLICT || rc == EDDY_ENOENT) {
        return 0;
    }
    removal->streams += rc >= 0;
    removal->events += rc >= 0 ? result.removed : 0;
    return rc;
}

static int remove_names(eddy_store *store, const struct names *names, eddy_bytes prefix,
                        bool forget, struct removal *removal) {
    int64_t rc = 0;
    for (size_t i = 0; i < names->len && rc >= 0;) {
        size_t len = (unsigned char)names->at[i];
        rc = remove_named(store, eddy_mem(names->at + i + 1, len), forget, removal);
        i += 1 + len;
    }
    if (rc >= 0 && forget) {
        rc = eddy_forget_removed(store, prefix);
        removal->names = rc > 0 ? (uint64_t)rc : 0;
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

/* How many names of removed streams would be forgotten: `sure` of them, and of those that are known
 * already all, or (below a prefix, where nobody has counted them) some. Gives an exit code. */
static int preview_names(eddy_store *store, bool all, uint64_t sure, struct removal *removal) {
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_info(store, &facts);
    } while (tool_again(rc, &tries));
    removal->names = sure + facts.names;
    removal->names_at_most = !all && facts.names > 0;
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int remove_prefix(const struct args *args, eddy_store *store, eddy_bytes prefix, bool forget,
                         struct removal *removal) {
    struct names names = {0};
    int code = names_collect(&names, store, prefix);
    if (code == EXIT_OK && args->given[OPT_DRY_RUN]) {
        removal->streams = names.streams;
        removal->events = names.events;
        code = preview_names(store, prefix.len == 0, 0, removal);
    } else if (code == EXIT_OK) {
        code = ask(args, &names);
        code = code == EXIT_OK ? remove_names(store, &names, prefix, forget, removal) : code;
        if (code != EXIT_OK && removal->streams > 0) {
            tool_say("what went before: %llu events on %llu streams",
                     (unsigned long long)removal->events, (unsigned long long)removal->streams);
        }
    }
    free(names.at);
    return code;
}

/* What would be forgotten of one stream. Whether a name is that of a removed stream, only doing it
 * tells; it cannot be if none is known. */
static int preview_forget(const struct args *args, eddy_store *store, bool there,
                          struct removal *removal) {
    int code = there ? EXIT_OK : preview_names(store, false, 0, removal);
    if (code == EXIT_OK && !there && removal->names == 0) {
        tool_say("there is no stream '%s', and no removed one is known", args->positional[0]);
        return EXIT_NOT_FOUND;
    }
    removal->names = !there;
    return code;
}

/* Of a stream that was removed before, the name is forgotten alone. */
static int forget_stream(const struct args *args, eddy_store *store, struct removal *removal) {
    eddy_bytes name = eddy_str(args->positional[0]);
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_result result = {0};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_stream_info(store, name, &facts);
    } while (tool_again(rc, &tries));
    if (rc < 0 && rc != EDDY_ENOENT) {
        return tool_fail(rc);
    }
    bool there = rc >= 0;
    if (args->given[OPT_DRY_RUN]) {
        removal->streams = there;
        removal->events = there ? facts.count : 0;
        return preview_forget(args, store, there, removal);
    }
    rc = eddy_forget(store, name, &result);
    removal->streams = there;
    removal->names = !there;
    removal->events = result.removed;
    return rc < 0 ? tool_fail(rc) : EXIT_OK;
}

static int delete_stream(const struct args *args, eddy_store *store, int64_t expected,
                         struct removal *removal) {
    eddy_result result = {0};
    if (args->given[OPT_DRY_RUN]) {
        return preview(args, store, expected, UINT64_MAX, removal);
    }
    int rc = eddy_delete(store, eddy_str(args->positional[0]), expected, &result);
    if (rc < 0) {
        return fail_one(args, rc, expected, &result);
    }
    removal->streams = expected != EDDY_NONE;
    removal->events = result.removed;
    return EXIT_OK;
}

static int remove_streams(const struct args *args, bool forget) {
    struct target target = target_of(args);
    struct removal removal = {.what = REMOVAL_STREAMS | (forget ? REMOVAL_NAMES : 0)};
    int64_t expected = EDDY_EXISTS;
    eddy_store *store;
    if (!expect_parse(args, &expected)) {
        return EXIT_USAGE;
    }
    if (target.is_prefix && args->given[OPT_EXPECT]) {
        return cli_usage(args, "option '--expect' is for one stream, not for '%s'",
                         args->positional[0]);
    }
    int code = target.is_prefix ? check_yes(args) : EXIT_OK;
    if (code == EXIT_OK) {
        code = open_store(args, &store);
    }
    if (code != EXIT_OK) {
        return code;
    }
    code = target.is_prefix ? remove_prefix(args, store, target.name, forget, &removal)
           : forget         ? forget_stream(args, store, &removal)
                            : delete_stream(args, store, expected, &removal);
    eddy_close(store);
    return code == EXIT_OK ? removal_print(args, &removal) : code;
}

int run_delete(const struct args *args) {
    return remove_streams(args, false);
}

int run_forget(const struct args *args) {
    return remove_streams(args, true);
}

/* ---- clean ---- */

static int preview_clean(eddy_store *store, eddy_bytes prefix, struct removal *removal) {
    struct names names = {.empty_only = true};
    int code = names_collect(&names, store, prefix);
    removal->streams = names.streams;
    if (code == EXIT_OK && removal->what & REMOVAL_NAMES) { /* those that it removes, too */
        code = preview_names(store, prefix.len == 0, names.streams, removal);
    }
    free(names.at);
    return code;
}

static int clean(eddy_store *store, eddy_bytes prefix, struct removal *removal) {
    int64_t rc = eddy_remove_empty(store, prefix);
    removal->streams = rc > 0 ? (uint64_t)rc : 0;
    if (rc >= 0 && removal->what & REMOVAL_NAMES) {
        rc = eddy_forget_removed(store, prefix);
        removal->names = rc > 0 ? (uint64_t)rc : 0;
    }
    return rc < 0 ? tool_fail((int)rc) : EXIT_OK;
}

/* No event goes, and without --forget no number either: so it asks not. */
int run_clean(const struct args *args) {
    struct target target = target_of(args);
    bool forget = args->given[OPT_FORGET];
    struct removal removal = {.what = REMOVAL_STREAMS | (forget ? REMOVAL_NAMES : 0)};
    eddy_store *store;
    if (!target.is_prefix) {
        return cli_usage(args,
                         "a prefix ends with a star: '%s*' (to remove one stream: eddy delete)",
                         args->positional[0]);
    }
    int code = open_store(args, &store);
    if (code != EXIT_OK) {
        return code;
    }
    code = args->given[OPT_DRY_RUN] ? preview_clean(store, target.name, &removal)
                                    : clean(store, target.name, &removal);
    eddy_close(store);
    return code == EXIT_OK ? removal_print(args, &removal) : code;
}

/* ---- reset ---- */

static int reset(const struct args *args, eddy_store *store) {
    struct removal removal = {.what = REMOVAL_STREAMS | REMOVAL_NAMES};
    eddy_facts facts = {.size = sizeof facts};
    eddy_result result = {0};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_info(store, &facts);
    } while (tool_again(rc, &tries));
    if (rc >= 0 && !args->given[OPT_DRY_RUN]) {
        rc = eddy_reset(store, &result);
    }
    removal.events = args->given[OPT_DRY_RUN] ? facts.events : result.removed;
    removal.streams = facts.streams;
    removal.names = facts.names;
    return rc < 0 ? tool_fail(rc) : removal_print(args, &removal);
}

/* All that is in it goes, so it wants to be told so, and by a person with the store's name. */
int run_reset(const struct args *args) {
    const char *name;
    eddy_store *store;
    const char *given = args->positional_count > 0 ? args->positional[0] : NULL;
    if (!tool_store_name(args, given, &name)) {
        return EXIT_USAGE;
    }
    if (!args->given[OPT_YES] && !args->given[OPT_DRY_RUN]) {
        return cli_usage(args, "all that is in the store goes, so this wants '--yes' ('--dry-run' "
                               "shows what would go)");
    }
    uint32_t flags = args->given[OPT_DRY_RUN] ? EDDY_READ_ONLY : 0;
    int code = tool_open(args, name, flags | EDDY_MUST_EXIST, &store);
    if (code == EXIT_OK) {
        code = reset(args, store);
        eddy_close(store);
    }
    return code;
}
