/* Understanding the command line by the table of commands, and saying what is wrong with it. */
#include "cli.h"

#include "tool.h"
#include "when.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 40, WORDS_MAX = 64, LONG_BASE = 256 };

/* What getopt_long wants, made from the table. */
struct getopt_form {
    char letters[2 * OPTIONS_MAX + 4];
    struct option longs[OPTIONS_MAX + 1];
    const struct option_def *defs[OPTIONS_MAX];
    size_t count;
};

static void form_add(struct getopt_form *form, const struct option_def *defs) {
    for (; defs->name && form->count < OPTIONS_MAX; defs++) {
        struct option *one = &form->longs[form->count];
        one->name = defs->name;
        one->has_arg = defs->argument ? required_argument : no_argument;
        one->val = LONG_BASE + (int)form->count;
        form->defs[form->count++] = defs;
        if (defs->letter) {
            size_t n = strlen(form->letters);
            form->letters[n] = defs->letter;
            form->letters[n + 1] = defs->argument ? ':' : '\0';
        }
    }
}

static const struct option_def *form_find(const struct getopt_form *form, int val) {
    for (size_t i = 0; i < form->count; i++) {
        if (val == LONG_BASE + (int)i || val == form->defs[i]->letter) {
            return form->defs[i];
        }
    }
    return NULL;
}

/* ---- what was probably meant ---- */

/* Edits (change, leave out, add, swap neighbours) between two words, as far as 24 bytes go. */
static size_t edits_between(const char *a, const char *b) {
    enum { N = 24 };
    size_t d[N + 1][N + 1];
    size_t na = strnlen(a, N);
    size_t nb = strnlen(b, N);
    for (size_t i = 0; i <= na; i++) {
        for (size_t j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = d[i - 1][j] + 1 < best ? d[i - 1][j] + 1 : best;
            best = d[i][j - 1] + 1 < best ? d[i][j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best) {
                best = d[i - 2][j - 2] + 1;
            }
            d[i][j] = best;
        }
    }
    return d[na][nb];
}

const char *cli_nearest(const char *word, const char *const *words) {
    const char *best = NULL;
    size_t best_edits = strlen(word) <= 3 ? 2 : 3;
    for (; *words; words++) {
        size_t edits = edits_between(word, *words);
        if (edits < best_edits) {
            best = *words;
            best_edits = edits;
        }
    }
    return best;
}

/* Words that other tools use. */
static const char *const other_words[][2] = {{"cat", "read"},
                                             {"dump", "read"},
                                             {"export", "read -o jsonl"},
                                             {"list", "ls"},
                                             {"remove", "rm STORE' or 'delete STREAM"},
                                             {"write", "append"},
                                             {"put", "append"},
                                             {"publish", "append"},
                                             {"follow", "tail -f"},
                                             {"watch", "tail -f"},
                                             {"verify", "check"},
                                             {"members", "who"},
                                             {"show", "info"},
                                             {"load", "import"},
                                             {"new", "create"},
                                             {"subscribe", "tail -f"},
                                             {"retain", "limits"},
                                             {"expire", "limits"},
                                             {"purge", "delete"},
                                             {"empty", "reset"},
                                             {"clear", "reset"},
                                             {"vacuum", "maintain"},
                                             {"compact", "maintain"},
                                             {"gc", "maintain"},
                                             {"tombstone", "delete"},
                                             {"checkpoints", "checkpoint"},
                                             {"states", "state"},
                                             {"snapshots", "state"},
                                             {"offset", "checkpoint"},
                                             {"cursor", "checkpoint"},
                                             {"position", "checkpoint"}};

static int unknown_command(const char *word) {
    const char *names[WORDS_MAX];
    size_t n = 0;
    for (const struct command *c = cli_commands; c->name && n + 1 < WORDS_MAX; c++) {
        names[n++] = c->name;
    }
    names[n] = NULL;
    const char *meant = NULL;
    for (size_t i = 0; i < sizeof other_words / sizeof other_words[0]; i++) {
        if (strcmp(word, other_words[i][0]) == 0) {
            meant = other_words[i][1];
        }
    }
    meant = meant ? meant : cli_nearest(word, names);
    if (meant) {
        tool_say("there is no command '%s'; did you mean '%s'? (see: eddy help)", word, meant);
    } else {
        tool_say("there is no command '%s' (see: eddy help)", word);
    }
    return EXIT_USAGE;
}

static int unknown_option(const struct getopt_form *form, const char *word,
                          const struct command *command) {
    const char *names[OPTIONS_MAX + 1];
    char plain[64];
    for (size_t i = 0; i < form->count; i++) {
        names[i] = form->defs[i]->name;
    }
    names[form->count] = NULL;
    snprintf(plain, sizeof plain, "%s", word + strspn(word, "-"));
    plain[strcspn(plain, "=")] = '\0';
    const char *meant = strncmp(word, "--", 2) == 0 ? cli_nearest(plain, names) : NULL;
    const char *name = command ? command->name : "";
    if (meant) {
        tool_say("there is no option '%s'; did you mean '--%s'? (see: eddy help %s)", word, meant,
                 name);
    } else {
        tool_say("there is no option '%s' (see: eddy help %s)", word, name);
    }
    return EXIT_USAGE;
}

/* ---- parsing ---- */

/* Names the option that getopt_long did not like. */
static int bad_option(const struct getopt_form *form, int letter, char **argv,
                      const struct args *args) {
    char word[256] = {'-', (char)optopt, '\0'};
    bool is_long = optopt == 0 || optopt >= LONG_BASE;
    if (is_long && optind > 0) {
        snprintf(word, sizeof word, "%s", argv[optind - 1]);
    }
    if (letter == ':') {
        const struct option_def *def = form_find(form, optopt);
        return cli_usage(args, "option '%s' wants an argument: %s", word,
                         def ? def->argument : "a value");
    }
    const struct option_def *def = is_long && optopt ? form_find(form, optopt) : NULL;
    if (def) {
        return cli_usage(args, "option '--%s' takes no argument", def->name);
    }
    size_t matches = 0;
    size_t len = strcspn(word, "=");
    for (size_t i = 0; is_long && len > 2 && i < form->count; i++) {
        matches += strncmp(word + 2, form->defs[i]->name, len - 2) == 0;
    }
    if (matches > 1) {
        return cli_usage(args, "option '%s' could be one of %zu; write more of it", word, matches);
    }
    return unknown_option(form, word, args->command);
}

static bool is_choice(const char *choices, const char *value) {
    size_t len = strlen(value);
    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (len == strcspn(at, "|") && memcmp(at, value, len) == 0) {
            return true;
        }
    }
    return false;
}

/* One more of an option that may be given again. */
static int take_another(const struct args *args, const struct option_def *def, eddy_bytes *list,
                        size_t *count, size_t max) {
    if (*count == max) {
        return cli_usage(args, "option '--%s' is given more than %zu times", def->name, max);
    }
    list[(*count)++] = eddy_str(optarg);
    return -1;
}

static int take_option(struct args *args, const struct option_def *def) {
    if (def->choices && !is_choice(def->choices, optarg)) {
        return cli_usage(args, "option '--%s' is one of %s, not '%s'", def->name, def->choices,
                         optarg);
    }
    args->given[def->id] = true;
    args->value[def->id] = def->argument ? optarg : "";
    if (def->id == OPT_TYPE) {
        return take_another(args, def, args->types, &args->type_count, CLI_TYPES_MAX);
    }
    if (def->id == OPT_TAG) {
        if (!*optarg || strlen(optarg) > EDDY_TAG_MAX) {
            return cli_usage(args, "a tag has 1 to %u bytes, not %zu", EDDY_TAG_MAX,
                             strlen(optarg));
        }
        return take_another(args, def, args->tags, &args->tag_count, EDDY_TAGS_MAX);
    }
    return -1;
}

/* Takes the options that the form knows; stops at the first other word if it begins with '+'. */
static int take_options(int argc, char **argv, const struct getopt_form *form, struct args *args) {
    opterr = 0;
    for (;;) {
        int val = getopt_long(argc, argv, form->letters, form->longs, NULL);
        if (val == -1) {
            return -1;
        }
        if (val == '?' || val == ':') {
            return bad_option(form, val, argv, args);
        }
        int rc = take_option(args, form_find(form, val));
        if (rc >= 0) {
            return rc;
        }
    }
}

static const struct command *find_command(const char *name) {
    for (const struct command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static int take_command(int argc, char **argv, struct args *args) {
    struct getopt_form form = {.letters = ":"};
    form_add(&form, args->command->options);
    form_add(&form, cli_common_options);
    optind = 0;
    int rc = take_options(argc, argv, &form, args);
    if (rc >= 0) {
        return rc;
    }
    if (args->given[OPT_HELP]) {
        return cli_help(args->command->name);
    }
    args->positional = argv + optind;
    args->positional_count = argc - optind;
    if (args->positional_count < args->command->positional_min) {
        return cli_usage(args, "something is missing: eddy %s %s", args->command->name,
                         args->command->positional);
    }
    if (args->positional_count > args->command->positional_max) {
        return cli_usage(args, "what is '%s' for? eddy %s %s",
                         args->positional[args->command->positional_max], args->command->name,
                         args->command->positional);
    }
    return -1;
}

int cli_parse(int argc, char **argv, struct args *args) {
    memset(args, 0, sizeof *args);
    struct getopt_form form = {.letters = "+:"};
    form_add(&form, cli_common_options);
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        args->command = find_command("version");
        args->positional = argv + 2;
        return -1;
    }
    int rc = take_options(argc, argv, &form, args);
    if (rc >= 0) {
        return rc;
    }
    if (args->given[OPT_HELP]) {
        return cli_help(optind < argc ? argv[optind] : NULL);
    }
    if (optind >= argc) {
        tool_say("which command? (see: eddy help)");
        return EXIT_USAGE;
    }
    args->command = find_command(argv[optind]);
    if (!args->command) {
        return unknown_command(argv[optind]);
    }
    return take_command(argc - optind, argv + optind, args);
}

int cli_usage(const struct args *args, const char *format, ...) {
    char text[1024];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    const char *name = args->command ? args->command->name : "";
    tool_say("%s (see: eddy help%s%s)", text, *name ? " " : "", name);
    return EXIT_USAGE;
}

/* ---- arguments of options ---- */

static const char *option_name(const struct args *args, enum option_id id) {
    for (const struct option_def *def = args->command->options; def->name; def++) {
        if (def->id == id) {
            return def->name;
        }
    }
    return "";
}

bool cli_parse_u64(const char *text, uint64_t max, uint64_t *value) {
    char *end = NULL;
    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end || n > max) {
        return false;
    }
    *value = n;
    return true;
}

bool cli_u64(const struct args *args, enum option_id id, uint64_t min, uint64_t max,
             uint64_t *value) {
    const char *text = args->value[id];
    if (!args->given[id]) {
        return true;
    }
    if (cli_parse_u64(text, max, value) && *value >= min) {
        return true;
    }
    if (max == UINT64_MAX) {
        cli_usage(args, "option '--%s' wants a whole number from %llu up, not '%s'",
                  option_name(args, id), (unsigned long long)min, text);
    } else {
        cli_usage(args, "option '--%s' wants a whole number from %llu to %llu, not '%s'",
                  option_name(args, id), (unsigned long long)min, (unsigned long long)max, text);
    }
    return false;
}

bool cli_size(const struct args *args, enum option_id id, uint64_t *value) {
    const char *text = args->value[id];
    if (!args->given[id]) {
        return true;
    }
    char digits[32];
    size_t n = strspn(text, "0123456789");
    static const char suffixes[] = "KMGT";
    unsigned shift = 0;
    const char *suffix = text[n] ? strchr(suffixes, text[n] & ~0x20) : NULL;
    const char *rest = text + n;
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        rest++;
        rest += strcmp(rest, "iB") == 0 ? 2 : 0;
    }
    uint64_t number = 0;
    if (n > 0 && n < sizeof digits && !*rest) {
        memcpy(digits, text, n);
        digits[n] = '\0';
        if (cli_parse_u64(digits, UINT64_MAX >> shift, &number)) {
            *value = number << shift;
            return true;
        }
    }
    cli_usage(args, "option '--%s' wants a size as 4194304, 64M or 2G, not '%s'",
              option_name(args, id), text);
    return false;
}

bool cli_time(const struct args *args, enum option_id id, int64_t *ns) {
    if (!args->given[id]) {
        return true;
    }
    const char *why = when_parse_option(args->value[id], ns);
    if (why) {
        cli_usage(args, "option '--%s': '%s': %s", option_name(args, id), args->value[id], why);
    }
    return !why;
}

bool cli_timeout(const struct args *args, int64_t *deadline_ns) {
    *deadline_ns = EDDY_FOREVER;
    if (!args->given[OPT_TIMEOUT]) {
        return true;
    }
    char *end = NULL;
    const char *text = args->value[OPT_TIMEOUT];
    double seconds = strtod(text, &end);
    if (!*text || *end || !(seconds >= 0) || seconds > 1e9) {
        cli_usage(args, "option '--timeout' wants seconds, as 5 or 0.5, not '%s'", text);
        return false;
    }
    *deadline_ns = eddy_deadline_ms((int64_t)(seconds * 1000));
    return true;
}

bool cli_duration(const struct args *args, enum option_id id, int64_t *ns) {
    if (!args->given[id] || when_parse_duration(args->value[id], ns)) {
        return true;
    }
    cli_usage(args, "option '--%s' wants a duration as 50ms, 30s, 5m, 12h, 7d or 1h30m, not '%s'",
              option_name(args, id), args->value[id]);
    return false;
}

bool cli_output_is(const struct args *args, const char *format) {
    return args->given[OPT_OUTPUT] && strcmp(args->value[OPT_OUTPUT], format) == 0;
}
