/* The built program `eddy`, as people and scripts use it. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "tools/runs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(tools, .init = runs_set_up);

Test(tools, append_and_read_work_at_once_with_nothing_set_up, .timeout = 60) {
    RUNS(0, "offset 1 version 1", NULL, "append", "user-1", "--type", "created",
         "{\"name\":\"Ada\"}");
    RUNS(0, "{\"name\":\"Ada\"}", NULL, "read", "user-1");
    RUNS(0, "default", NULL, "ls");
    RUNS(0, "offset 2 version 2", NULL, "append", "user-1", "x");
    RUNS(0, "offset 3 version 1", NULL, "append", "user-2", "x");
    RUNS(0, "\"version\":1", NULL, "append", "user-3", "-o", "json");
}

Test(tools, the_store_is_named_by_flag_variable_or_argument, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "-S", "one", "append", "s", "x");
    RUNS(0, "offset 2", NULL, "append", "-S", "one", "s", "x");
    RUNS(0, "offset 3", NULL, "append", "s", "x", "-S", "one");
    setenv("EDDY_STORE", "one", 1);
    RUNS(0, "offset 4", NULL, "append", "s", "x");
    RUNS(0, "offset 1", NULL, "-S", "two", "append", "s", "x");
    unsetenv("EDDY_STORE");
    SHELL(0, "4", "eddy info one -o json | jq .head");
    SHELL(0, "1", "eddy -S two info -o json | jq .head");
    RUNS(3, NULL, "default", "info");
    RUNS(0, "nothing is wrong", NULL, "check", "one");
    RUNS(2, NULL, "two", "info", "one", "-S", "two");
    RUNS(0, "offset 1", NULL, "-S", sandbox_path(&runs_box, "by-path"), "append", "s", "x");
    RUNS(0, "by-path", NULL, "-S", sandbox_path(&runs_box, "by-path"), "info");
    RUNS(0, "one", NULL, "info", "one", "--dir", runs_box.dir);
    RUNS(3, NULL, "one", "info", "one", "--dir", "/");
}

Test(tools, a_store_is_given_to_a_program_by_its_descriptor, .timeout = 60) {
    char name[16];
    eddy_store *store = sandbox_anonymous();
    RUNS(0, "offset 1", NULL, "-S", sandbox_fd_name(store, name), "append", "s", "x");
    eddy_new_event event = {.data = eddy_str("from-parent")};
    must(eddy_append(store, eddy_str("s"), 1, &event, 1, NULL));
    RUNS(0, "from-parent", NULL, "-S", name, "read");
    eddy_close(store);
}

Test(tools, what_reads_says_that_there_is_no_store, .timeout = 60) {
    const char *commands[] = {"read", "tail", "streams", "info", "stats", "who", "check"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        RUNS(3, NULL, "none", commands[i], "-S", "none");
    }
    RUNS(3, NULL, "none", "get", "-S", "none", "1");
    RUNS(3, NULL, "none", "rm", "none");
    RUNS(3, NULL, "none", "append", "--must-exist", "-S", "none", "s", "x");
    RUNS_WITH("", 3, NULL, "none", "import", "--must-exist", "-S", "none");
    RUNS(0, NULL, NULL, "ls");
}

Test(tools, create_makes_and_rm_removes, .timeout = 60) {
    RUNS(0, NULL, NULL, "create", "one", "--cap", "16M", "--mode", "640", "--members", "7",
         "--threads", "9");
    struct stat facts;
    cr_assert_eq(stat(sandbox_file(&runs_box, "one"), &facts), 0);
    cr_assert_eq(facts.st_mode & 07777, 0640);
    SHELL(0, "[16777216,7,9]", "eddy info one -o json | jq -c '[.cap,.members_max,.threads_max]'");
    RUNS(1, NULL, "one", "create", "one");
    RUNS(0, NULL, NULL, "create", "one", "--if-missing");
    RUNS(2, NULL, "4M", "create", "two", "--cap", "4194303");
    RUNS(2, NULL, "17T", "create", "two", "--cap", "17T");
    RUNS(2, NULL, "1025", "create", "two", "--members", "1025");
    RUNS(2, NULL, "999", "create", "two", "--mode", "999");
    RUNS(2, NULL, "lots", "create", "two", "--cap", "lots");
    RUNS(2, NULL, "a/b", "create", "a/b");
    RUNS(0, NULL, NULL, "rm", "one");
    RUNS(3, NULL, "one", "rm", "one");
    RUNS(2, NULL, "which store", "rm");
    RUNS(0, NULL, NULL, "ls");
}

Test(tools, rm_leaves_a_store_that_is_in_use_unless_forced, .timeout = 60) {
    eddy_store *store = sandbox_open(&runs_box, "one", 0);
    eddy_new_event event = {0};
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    RUNS(1, NULL, pid, "rm", "one");
    RUNS(0, pid, NULL, "who", "one");
    SHELL(0, pid, "eddy who one -o jsonl | jq -c 'select(.alive) | .pid'");
    RUNS(0, NULL, NULL, "rm", "one", "--force");
    must(eddy_append(store, eddy_str("s"), 1, &event, 1, NULL));
    RUNS(3, NULL, "one", "info", "one");
    eddy_close(store);
}

Test(tools, append_takes_every_field_and_gives_it_back, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "--type", "t", "--id", "i", "--metadata", "{\"m\":1}",
         "--time", "2009-03-22T09:30:00.000000001Z", "--shard", "18446744073709551615",
         "{\"d\": [1, 2]}");
    SHELL(0, "{\"d\":[1,2]}", "eddy read -o jsonl | jq -c .data");
    SHELL(0, "[\"s\",1,\"t\",\"i\",\"2009-03-22T09:30:00.000000001Z\",{\"m\":1},1]",
          "eddy read -o jsonl | jq -c '[.stream,.version,.type,.id,.time,.metadata,.offset]'");
    SHELL(0, "18446744073709551615", "eddy read -o jsonl");
    SHELL(0, "{\"d\": [1, 2]}\n", "eddy read -o raw");
    /* Bytes that are no JSON. */
    SHELL(0, "offset 2", "printf '\\377\\000\\n' | eddy append s -");
    SHELL(0, "/wAK", "eddy get 2 -o json | jq -r .data_b64");
    SHELL(0, "ff000a", "eddy get 2 -o raw | od -An -tx1 | tr -d ' \\n'");
    SHELL(0, "offset 3", "echo '{\"a\":1}' | eddy append s -");
    SHELL(0, "{\"a\":1}", "eddy get s 3 -o raw");
    RUNS(0, "offset 4", NULL, "append", "s");
    SHELL(0, "false", "eddy get 4 -o json | jq 'has(\"data\") or has(\"data_b64\")'");
    SHELL(0, "s-4", "eddy get 4 -o json | jq -r .id");
}

Test(tools, tags_are_given_shown_and_selected_by, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "--tag", "red", "--tag", "a \"b\"", "1");
    RUNS(0, "offset 2", NULL, "append", "s", "--tag", "red", "2");
    RUNS(0, "offset 3", NULL, "append", "t", "3");
    RUNS(0, "offset 4", NULL, "append", "t", "--tag", "\xff", "--tag", "red", "4");
    SHELL(0, "[[\"red\",\"a \\\"b\\\"\"],[\"red\"],null,null]",
          "eddy read -o jsonl | jq -sc 'map(.tags)'");
    SHELL(0, "[\"/w==\",\"cmVk\"]", "eddy get 4 -o json | jq -c .tags_b64");
    SHELL(0, "[1,2,4]", "eddy read --tag red -o jsonl | jq -sc 'map(.offset)'");
    SHELL(0, "[1]", "eddy read --tag red --tag 'a \"b\"' -o jsonl | jq -sc 'map(.offset)'");
    SHELL(0, "[2]", "eddy read s -r -n 1 --tag red -o jsonl | jq -sc 'map(.offset)'");
    SHELL(0, "[2,4]", "eddy tail -n 2 --tag red -o jsonl | jq -sc 'map(.offset)'");
    SHELL(0, "4\n",
          "eddy tail -f -n 0 -c 1 --tag new -o raw & sleep 0.3; eddy append s --tag old 3 "
          ">/dev/null; eddy append s --tag new 4 >/dev/null; wait $!");
    RUNS(2, NULL, "1 to 255", "append", "s", "--tag", "", "1");
    SHELL(2, "more than 64 times", "eddy append s $(seq -f '--tag %%g' 65) 2>&1");
}

Test(tools, read_goes_by_time_when_it_is_to, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "--time", "@30", "1");
    RUNS(0, "offset 2", NULL, "append", "t", "--time", "@0", "2");
    RUNS(0, "offset 3", NULL, "append", "s", "--time", "@30", "3");
    RUNS(0, "offset 4", NULL, "append", "s", "--time", "1969-12-31T23:59:59Z", "4");
    SHELL(0, "[4,2,1,3]", "eddy read -o jsonl --by-time | jq -sc 'map(.offset)'");
    SHELL(0, "[3,1]", "eddy read -o jsonl --by-time -r -n 2 | jq -sc 'map(.offset)'");
    SHELL(0, "[2,1,3]", "eddy read -o jsonl --by-time --from @0 | jq -sc 'map(.offset)'");
    SHELL(0, "[4,2]", "eddy read -o jsonl --by-time --to @0 | jq -sc 'map(.offset)'");
    SHELL(0, "[4,1]", "eddy read s -o jsonl --by-time -n 2 | jq -sc 'map(.offset)'");
}

Test(tools, append_under_a_condition_says_what_is_there, .timeout = 60) {
    RUNS(4, NULL, "actual version 0", "append", "s", "--expect", "exists", "x");
    RUNS(0, "version 1", NULL, "append", "s", "--expect", "none", "x");
    RUNS(4, NULL, "actual version 1", "append", "s", "--expect", "none", "x");
    RUNS(4, NULL, "expected version 7, actual version 1", "append", "s", "--expect", "7", "x");
    RUNS(0, "version 2", NULL, "append", "s", "--expect", "1", "x");
    RUNS(0, "version 3", NULL, "append", "s", "--expect", "exists", "x");
    RUNS(0, "version 4", NULL, "append", "s", "--expect", "any", "x");
    RUNS(2, NULL, "many", "append", "s", "--expect", "many", "x");
    RUNS(2, NULL, "-1", "append", "s", "--expect", "-1", "x");
    SHELL(0, "4", "eddy info -o json | jq .head");
}

/* Ten events on five streams, types a and b by turns, a minute apart. */
static void make_ten(void) {
    SHELL(0, "10 events in 10 transactions on 5 streams",
          "for i in 0 1 2 3 4 5 6 7 8 9; do printf "
          "'{\"stream\":\"s/"
          "%%d\",\"type\":\"%%s\",\"time\":\"2020-01-01T00:0%%d:00Z\",\"data\":%%d}\\n'"
          " $((i %% 5)) $(test $((i %% 2)) = 0 && echo a || echo b) $i $i; done | eddy import");
}

#define READS(list, options)                                                                       \
    SHELL(0, list "\n", "eddy read -o jsonl " options " | jq -sc 'map(.data)'")

Test(tools, read_selects, .timeout = 60) {
    make_ten();
    READS("[0,1,2,3,4,5,6,7,8,9]", "");
    READS("[9,8,7,6,5,4,3,2,1,0]", "--reverse");
    READS("[2,7]", "s/2");
    READS("[0,1,2,3,4,5,6,7,8,9]", "'s/*'");
    READS("[]", "'t/*'");
    READS("[]", "'s/*' --exact");
    READS("[0,2,4,6,8]", "--type a");
    READS("[0,1,2,3,4,5,6,7,8,9]", "--type a --type b");
    READS("[8,9]", "--after-offset 8");
    READS("[0,1]", "--to-offset 2");
    READS("[3,4,5]", "--from 2020-01-01T00:03:00Z --to 2020-01-01T00:05:00Z");
    READS("[0,1,2]", "-n 3");
    READS("[9,8]", "-n 2 --reverse");
    READS("[]", "-n 0");
    READS("[0,1,2,3,4,5,6,7,8,9]", "--since -1h");
    READS("[]", "unknown");
    RUNS(3, NULL, "unknown", "read", "unknown", "--known");
    SHELL(0, "10", "eddy read -o json | jq length");
    SHELL(0, "10", "eddy read | wc -l");
    SHELL(0, "0\n1\n2\n", "eddy read -o raw");
}

Test(tools, get_prints_one_event, .timeout = 60) {
    make_ten();
    SHELL(0, "[7,\"s/1\",2]", "eddy get 7 -o json | jq -c '[.offset,.stream,.version]'");
    SHELL(0, "7", "eddy get s/1 2 -o jsonl | jq .offset");
    RUNS(3, NULL, "11", "get", "11");
    RUNS(3, NULL, "s/1", "get", "s/1", "3");
    RUNS(3, NULL, "none", "get", "none", "1");
    RUNS(2, NULL, "0", "get", "0");
    RUNS(2, NULL, "x", "get", "x");
}

Test(tools, tail_shows_the_end_and_follows, .timeout = 60) {
    make_ten();
    SHELL(0, "[8,9]\n", "eddy tail -n 2 -o jsonl | jq -sc 'map(.data)'");
    SHELL(0, "10", "eddy tail -n 100 | wc -l");
    SHELL(0, "[3,8]\n", "eddy tail s/3 -o jsonl | jq -sc 'map(.data)'");
    SHELL(0, "[8,9]\n", "eddy tail -f -n 2 -c 2 -o jsonl | jq -sc 'map(.data)'");
    SHELL(0, "[9]\n", "eddy tail -f -n 1 --until-caught-up -o jsonl | jq -sc 'map(.data)'");
    RUNS(9, "", "timeout", "tail", "-f", "-n", "0", "--timeout", "0.05");
    /* It follows: what is appended after it began comes out. */
    SHELL(0, "[9,10,11]\n",
          "eddy tail -f -n 1 -c 3 -o jsonl >%s/out & "
          "while ! test -s %s/out; do eddy who >/dev/null; done; "
          "eddy append new 10 >/dev/null; eddy append new 11 >/dev/null; wait $!; "
          "jq -sc 'map(.data)' <%s/out",
          runs_box.dir, runs_box.dir, runs_box.dir);
}

Test(tools, a_follower_ends_well_when_interrupted, .timeout = 60) {
    make_ten();
    SHELL(0, "0 10",
          ": >%s/out; eddy tail -f -n 100 >>%s/out & "
          "while test $(wc -l <%s/out) -lt 10; do eddy who >/dev/null; done; "
          "kill -INT $!; wait $!; echo $? $(wc -l <%s/out)",
          runs_box.dir, runs_box.dir, runs_box.dir, runs_box.dir);
    SHELL(0, "143 10",
          ": >%s/out2; eddy tail -f -n 100 >>%s/out2 & "
          "while test $(wc -l <%s/out2) -lt 10; do eddy who >/dev/null; done; "
          "kill -TERM $!; wait $!; echo $? $(wc -l <%s/out2)",
          runs_box.dir, runs_box.dir, runs_box.dir, runs_box.dir);
}

Test(tools, streams_are_listed_by_pages, .timeout = 60) {
    make_ten();
    SHELL(0, "[\"s/0\",\"s/1\",\"s/2\",\"s/3\",\"s/4\"]",
          "eddy streams -o jsonl | jq -sc 'map(.stream)'");
    SHELL(0,
          "{\"stream\":\"s/2\",\"version\":2,\"count\":2,\"first_version\":1,\"first_offset\":3,"
          "\"last_offset\":8}",
          "eddy streams s/2 -o jsonl | jq -c 'del(.bytes)'");
    SHELL(0, "[\"s/2\",\"s/3\"]",
          "eddy streams 's/*' --after s/1 -n 2 -o jsonl | "
          "jq -sc 'map(.stream)'");
    SHELL(0, "true", "eddy streams -o jsonl | jq -s 'all(.bytes > 0)'");
    SHELL(0, "0", "eddy streams 'x*' -o jsonl | wc -l");
}

Test(tools, facts_and_counters_are_json, .timeout = 60) {
    make_ten();
    SHELL(0, "[10,1,10,5,10,false]",
          "eddy info -o json | jq -c '[.head,.first,.events,.streams,.transactions,.unlinked]'");
    SHELL(0, "[10,10]", "eddy stats -o json | jq -c '[.events_appended,.transactions]'");
    SHELL(0, "10", "eddy info");
    SHELL(0, "10", "eddy stats");
    SHELL(0, "default", "eddy ls -o jsonl | jq -r .name");
    SHELL(0, "0", "eddy who -o jsonl | jq -s 'map(select(.alive | not)) | length'");
    RUNS(0, EDDY_VERSION_MAJOR ? "1" : "0.1.0", NULL, "version");
    RUNS(0, "0.1.0", NULL, "--version");
}

Test(tools, help_is_short_and_begins_with_examples, .timeout = 60) {
    const char *commands[] = {"create",   "ls",     "info",    "rm",         "import",   "append",
                              "read",     "get",    "tail",    "streams",    "stats",    "who",
                              "truncate", "delete", "forget",  "clean",      "limits",   "maintain",
                              "trim",     "check",  "version", "checkpoint", "snapshot", "restore",
                              "verify",   "help"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct run by_flag = run_eddy(commands[i], "--help");
        struct run by_word = run_eddy("help", commands[i]);
        cr_assert_eq(by_flag.code, 0);
        cr_assert_eq(by_word.code, 0);
        cr_assert_str_eq(by_flag.out, by_word.out, "%s", commands[i]);
        cr_assert_leq(run_lines(by_flag.out), 28, "help %s has %zu lines", commands[i],
                      run_lines(by_flag.out));
        cr_assert_eq(strncmp(by_flag.out, "Examples:\n", 10), 0);
        has_text(by_flag.out, commands[i]);
        for (const char *line = by_flag.out; *line; line += strcspn(line, "\n") + 1) {
            cr_assert_leq(strcspn(line, "\n"), 80, "help %s: %.90s", commands[i], line);
        }
        run_free(&by_flag);
        run_free(&by_word);
    }
    struct run all = run_eddy("help");
    cr_assert_eq(all.code, 0);
    cr_assert_leq(run_lines(all.out), 40);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        has_text(all.out, commands[i]);
    }
    run_free(&all);
    RUNS(0, "10", NULL, "help", "exit");
}

Test(tools, what_is_not_understood_is_named_and_what_was_meant_is_guessed, .timeout = 60) {
    RUNS(2, NULL, "did you mean 'append'", "apend", "s");
    RUNS(2, NULL, "did you mean 'streams'", "steams");
    RUNS(2, NULL, "read", "cat");
    RUNS(2, NULL, "xyzzy", "xyzzy");
    RUNS(2, NULL, "--reverse", "read", "--revese");
    RUNS(2, NULL, "'-q'", "read", "-q");
    RUNS(2, NULL, "--type", "read", "--type");
    RUNS(2, NULL, "jsnl", "read", "-o", "jsnl");
    RUNS(2, NULL, "three", "read", "-n", "three");
    RUNS(2, NULL, "yesterday", "read", "--from", "yesterday");
    RUNS(2, NULL, "extra", "read", "s", "extra");
    RUNS(2, NULL, "STREAM", "append");
    RUNS(2, NULL, "which command", "-S", "one");
    RUNS(0, NULL, NULL, "ls");
}

Test(tools, a_reader_of_a_pipe_that_goes_away_is_no_failure, .timeout = 60) {
    SHELL(0, "100000 events",
          "seq 100000 | sed 's/.*/{\"stream\":\"s\",\"data\":&}/' | "
          "eddy import --batch 1000");
    SHELL(1, "", "eddy read >/dev/full");
    const char *commands[] = {"read", "read -o jsonl", "tail -n 90000", "tail -f -n 90000",
                              "read -o raw"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct run run = run_shell("{ eddy %s; echo $? >%s/code; } | head -n 1; cat %s/code",
                                   commands[i], runs_box.dir, runs_box.dir);
        cr_assert_eq(run.err_len, 0, "eddy %s: %s", commands[i], run.err);
        cr_assert_eq(run_lines(run.out), 2);
        cr_assert(strcmp(run.out + run.out_len - 3, "\n0\n") == 0 ||
                      strcmp(run.out + run.out_len - 5, "\n141\n") == 0,
                  "eddy %s: %s", commands[i], run.out);
        run_free(&run);
    }
}

Test(tools, an_ephemeral_store_is_there_as_long_as_its_maker_stays, .timeout = 60) {
    SHELL(0, "true\n(ephemeral)\ntrue\n0\n3\n",
          "eddy create jobs --ephemeral & until eddy -S jobs info >/dev/null 2>&1; do sleep 0.02; "
          "done; "
          "eddy ls -o jsonl | jq .ephemeral; eddy ls | grep -o '(ephemeral)'; "
          "eddy info jobs -o json | jq .ephemeral; kill -INT $!; wait $!; echo $?; "
          "eddy info jobs 2>/dev/null; echo $?");
    SHELL(0, "1\n0\n",
          "eddy create jobs --ephemeral & until eddy -S jobs info >/dev/null 2>&1; do sleep 0.02; "
          "done; "
          "kill -KILL $!; wait $! 2>/dev/null; ls $EDDY_DIR | wc -l; eddy ls | wc -l");
    RUNS(0, NULL, NULL, "create", "kept");
    SHELL(0, "kept false\n", "eddy ls -o jsonl | jq -r '[.name, .ephemeral] | join(\" \")'");
}
