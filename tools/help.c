/* Help, made from the table of commands: examples first, and at most 24 lines. */
#include "cli.h"
#include "out.h"
#include "tool.h"

#include <string.h>

static const char *const exit_codes[] = {
    "0   it is done; also when the reader of a pipe went away, or a follower was interrupted",
    "1   it failed: bad input, an input or output error",
    "2   the command line is not understood",
    "3   there is no such store, stream, event, checkpoint or state",
    "4   a condition did not hold (--expect); nothing was stored or removed",
    "5   the store is damaged, or the file is no store",
    "6   no memory is left in the store or its file system, or a limit would be passed (also one\n"
    "    that may drop events, while a checkpoint holds them)",
    "7   permission denied",
    "8   the store was made by an incompatible version of eddy",
    "9   the time was over first (--timeout of tail and checkpoint)",
    "10  events that were to be read are gone",
    NULL};

static void help_program(struct out *out) {
    out_str(out, "Examples:\n"
                 "  eddy append user-1 --type created '{\"name\":\"Ada\"}'\n"
                 "  eddy read user-1\n"
                 "  eddy tail -f 'user-*'\n"
                 "\nUsage: eddy [-S STORE] COMMAND [ARGUMENT]...\n\n");
    for (const struct command *c = cli_commands; c->name; c++) {
        if (strcmp(c->name, "help") != 0) { /* told of below */
            out_printf(out, "  %-12s%s\n", c->name, c->summary);
        }
    }
    out_str(out, "\nThe store: -S STORE, else $EDDY_STORE, else \"default\".\n"
                 "More: eddy help COMMAND; eddy help exit (the exit codes)\n");
}

static void help_option(struct out *out, const struct option_def *def) {
    char left[64];
    int n = out_format(left, sizeof left, "  %c%c%s--%s%s%s", def->letter ? '-' : ' ',
                       def->letter ? def->letter : ' ', def->letter ? ", " : "  ", def->name,
                       def->argument ? " " : "", def->argument ? def->argument : "");
    out_printf(out, "%-*s  %s\n", n > 24 ? n : 24, left, def->help);
}

static void help_command(struct out *out, const struct command *command) {
    out_str(out, "Examples:\n");
    for (const char *const *example = command->examples; *example; example++) {
        out_printf(out, "  %s\n", *example);
    }
    out_printf(out, "\nUsage: eddy %s [OPTION]...%s%s\n", command->name,
               *command->positional ? " " : "", command->positional);
    out_printf(out, "eddy %s %s.\n\n", command->name, command->summary);
    for (const struct option_def *def = command->options; def->name; def++) {
        help_option(out, def);
    }
    for (const struct option_def *def = cli_common_options; def->name; def++) {
        help_option(out, def);
    }
}

int cli_help(const char *name) {
    const struct command *command = cli_commands;
    const char *names[64];
    size_t n = 0;
    for (; name && command->name && strcmp(command->name, name) != 0; command++) {
        names[n++] = command->name;
    }
    names[n++] = "exit";
    names[n] = NULL;
    if (name && !command->name && strcmp(name, "exit") != 0) {
        const char *meant = cli_nearest(name, names);
        tool_say("there is no help on '%s'%s%s%s (see: eddy help)", name,
                 meant ? "; did you mean '" : "", meant ? meant : "", meant ? "'?" : "");
        return EXIT_USAGE;
    }
    struct out out;
    int rc = out_open(&out);
    if (rc != EXIT_OK) {
        return rc;
    }
    if (!name) {
        help_program(&out);
    } else if (command->name) {
        help_command(&out, command);
    } else {
        for (const char *const *line = exit_codes; *line; line++) {
            out_printf(&out, "%s\n", *line);
        }
    }
    return out_close(&out);
}
