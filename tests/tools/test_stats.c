/* eddy stats: text, JSON, and OpenMetrics, which is parsed as its specification (1.0) has it. */
#include "tools/runs.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(stats_tool, .init = runs_set_up);

/* Counters, checkpoints with odd names, a limit that was met. */
static void make_store(void) {
    SHELL(0, "",
          "for i in 1 2 3 4 5; do eddy append s-$((i %% 3)) $i >/dev/null; done; "
          "eddy checkpoint 'p\"q\\r' 2 >/dev/null; eddy checkpoint \"$(printf 'a\\nb\\377')\" 5 "
          ">/dev/null; eddy limits --events 5 --refuse events >/dev/null; "
          "eddy append s-1 6 2>/dev/null; eddy append s-1 7 2>/dev/null; :");
}

/* ---- a parser ---- */

struct family {
    char name[64];
    char type[16];
    char unit[16];
    bool help;
    int samples;
};

static const char *word(const char *at, char *to, size_t size) {
    size_t n = 0;
    while (isalnum((unsigned char)*at) || *at == '_' || *at == ':') {
        cr_assert_lt(n + 1, size);
        to[n++] = *at++;
    }
    to[n] = 0;
    cr_assert_gt(n, 0, "a name is wanted at '%.20s'", at);
    cr_assert_not(isdigit((unsigned char)to[0]));
    return at;
}

/* {name="value",...}: values with \\, \" and \n only. */
static const char *labels(const char *at) {
    char name[64];
    if (*at != '{') {
        return at;
    }
    do {
        at = word(at + 1, name, sizeof name);
        cr_assert_eq(at[0], '=');
        cr_assert_eq(at[1], '"');
        for (at += 2; *at != '"'; at++) {
            cr_assert(*at && *at != '\n');
            cr_assert((unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80);
            if (*at == '\\') {
                at++;
                cr_assert(*at == '\\' || *at == '"' || *at == 'n');
            }
        }
        at++;
    } while (*at == ',');
    cr_assert_eq(*at, '}');
    return at + 1;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text);
    size_t m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* "# TYPE name type" and so on: true if it begins another family. */
static bool metadata(const char *line, struct family *f) {
    char what[8] = "";
    char name[64];
    const char *at = word(line + 2, what, sizeof what);
    cr_assert_eq(*at, ' ');
    at = word(at + 1, name, sizeof name);
    cr_assert_eq(*at, ' ');
    at++;
    bool begins = strcmp(what, "TYPE") == 0;
    if (begins) {
        memset(f, 0, sizeof *f);
        strcpy(f->name, name);
        word(at, f->type, sizeof f->type);
        cr_assert(strcmp(f->type, "counter") == 0 || strcmp(f->type, "gauge") == 0);
        return true;
    }
    cr_assert_str_eq(name, f->name, "metadata of one family stand together");
    cr_assert_eq(f->samples, 0, "metadata come before samples");
    if (strcmp(what, "UNIT") == 0) {
        char unit[32] = "_";
        word(at, f->unit, sizeof f->unit);
        strcat(unit, f->unit);
        cr_assert(ends_with(f->name, unit), "%s ends with its unit, %s", f->name, f->unit);
    } else {
        cr_assert_str_eq(what, "HELP");
        f->help = true;
    }
    return false;
}

static void sample(const char *line, struct family *f) {
    char name[64];
    char own[80];
    char *end;
    const char *at = labels(word(line, name, sizeof name));
    snprintf(own, sizeof own, "%s%s", f->name, strcmp(f->type, "counter") == 0 ? "_total" : "");
    cr_assert_str_eq(name, own);
    cr_assert_eq(*at, ' ');
    double value = strtod(at + 1, &end);
    cr_assert(end > at + 1 && *end == '\n', "a number ends the line: %.80s", line);
    cr_assert(value >= 0);
    cr_assert(f->help);
    f->samples++;
}

/* The whole of it: gives the number of families. */
static int parse(const char *text) {
    struct family f = {{0}, {0}, {0}, false, 0};
    char seen[64][64];
    int families = 0;
    const char *line = text;
    while (strcmp(line, "# EOF\n") != 0) {
        const char *end = strchr(line, '\n');
        cr_assert_not_null(end, "it ends with # EOF");
        if (*line != '#') {
            sample(line, &f);
        } else if (metadata(line, &f)) {
            for (int i = 0; i < families; i++) {
                cr_assert_str_neq(seen[i], f.name, "a family comes once");
            }
            strcpy(seen[families++], f.name);
        }
        line = end + 1;
    }
    return families;
}

Test(stats_tool, openmetrics_is_what_its_specification_says, .timeout = 60) {
    RUNS(0, NULL, NULL, "create");
    struct run run = run_eddy("stats", "-o", "openmetrics");
    cr_assert_eq(run.code, 0);
    cr_assert_gt(parse(run.out), 20);
    run_free(&run);
    make_store();
    run = run_eddy("stats", "-o", "openmetrics");
    cr_assert_eq(run.code, 0, "%s", run.err);
    cr_assert_gt(parse(run.out), 20);
    has_text(run.out, "\neddy_events_appended_total 5\n");
    has_text(run.out, "\neddy_refusals_total 2\n");
    has_text(run.out, "\neddy_checkpoint_lag_events{checkpoint=\"p\\\"q\\\\");
    has_text(run.out, "eddy_checkpoint_lag_events{checkpoint=\"a\\\\nb\\\\xff\",shard=\"0\"} 0\n");
    has_text(run.out, "\neddy_errors_total{error=\"EDDY_ELIMIT\",text=\"");
    run_free(&run);
    run = run_eddy("stats", "-o", "openmetrics", "--errors");
    cr_assert_eq(parse(run.out), 1);
    run_free(&run);
}

Test(stats_tool, json_has_counters_lag_and_errors, .timeout = 60) {
    make_store();
    SHELL(0, "[5,2,2]\n", "eddy stats -o json | jq -c '[.events_appended, .refusals, .errors]'");
    SHELL(0, "[\"checkpoint\",0,0,true]\n",
          "eddy stats -o json | jq -c '.lag[0] | [.kind, .events, .shard, has(\"name_b64\")]'");
    SHELL(0, "[3,true]\n", "eddy stats -o json | jq -c '.lag[1] | [.events, .seconds > 0]'");
    SHELL(0, "[[\"EDDY_ELIMIT\",2]]\n",
          "eddy stats --errors -o json | jq -c '.log | map([.error, .count])'");
    SHELL(0, "[\"log\",\"store\"]\n", "eddy stats --errors -o json | jq -c keys");
}

Test(stats_tool, people_see_who_is_behind_and_what_went_wrong, .timeout = 60) {
    RUNS(0, NULL, NULL, "create", "empty");
    SHELL(0, "0\n", "eddy stats empty | grep -c 'lag of'; :");
    RUNS(0, NULL, NULL, "stats", "empty", "--errors");
    make_store();
    RUNS(0, "lag of           offset       events", NULL, "stats");
    RUNS(0, "        2  EDDY_ELIMIT    ", NULL, "stats", "--errors");
    SHELL(0, "1\n",
          "eddy tail -f --after-offset 0 >/dev/null & "
          "until eddy stats | grep -q '^subscriptions *1$'; do sleep 0.02; done; "
          "eddy stats | grep -c '^reader .* eddy  pid '; kill -INT $!; wait $!");
}
