/* eddy truncate, delete, forget, clean; and what readers say of events that are gone. */
#include "tools/runs.h"

TestSuite(remove_tool, .init = runs_set_up);

/* Streams a-1 and a-2 with five events each, by turns, then b with one. */
static void make_eleven(void) {
    SHELL(
        0, "11 events in 11 transactions on 3 streams",
        "{ for i in 1 2 3 4 5; do printf '{\"stream\":\"a-%%d\",\"data\":%%d}\\n' 1 $i 2 $i; done; "
        "echo '{\"stream\":\"b\",\"data\":1}'; } | eddy import");
}

#define STREAMS(list)                                                                              \
    SHELL(0, list "\n", "eddy streams -o jsonl | jq -sc 'map([.stream,.version,.count])'")

Test(remove_tool, truncate_removes_up_to_a_version, .timeout = 60) {
    make_eleven();
    RUNS(0, "{\"events\":2,\"dry_run\":true}", NULL, "truncate", "a-1", "2", "--dry-run", "-o",
         "json");
    STREAMS("[[\"a-1\",5,5],[\"a-2\",5,5],[\"b\",1,1]]");
    RUNS(0, "gone: 2 events\n", NULL, "truncate", "a-1", "2");
    RUNS(0, "gone: 0 events\n", NULL, "truncate", "a-1", "2");
    RUNS(0, "would go: 1 events\n", NULL, "truncate", "a-1", "3", "--dry-run");
    SHELL(0, "[3,4,5]\n", "eddy read a-1 -o jsonl | jq -sc 'map(.data)'");
    RUNS(3, NULL, "no version 2", "get", "a-1", "2");
    RUNS(0, "{\"events\":3,\"dry_run\":false}\n", NULL, "truncate", "a-1", "99", "-o", "json");
    STREAMS("[[\"a-1\",5,0],[\"a-2\",5,5],[\"b\",1,1]]");
    RUNS(0, "version 6", NULL, "append", "a-1", "x");
    RUNS(0, "nothing is wrong: 7 events, 3 streams", NULL, "check");
}

Test(remove_tool, truncate_and_delete_take_conditions, .timeout = 60) {
    make_eleven();
    RUNS(4, NULL, "expected version 4, actual version 5; nothing was removed", "truncate", "a-1",
         "2", "--expect", "4");
    RUNS(4, NULL, "expected version 4, actual version 5; nothing was removed", "truncate", "a-1",
         "2", "--expect", "4", "--dry-run");
    RUNS(4, NULL, "nothing was removed", "delete", "a-1", "--expect", "4");
    RUNS(4, NULL, "nothing was removed", "delete", "a-1", "--expect", "none", "--dry-run");
    RUNS(4, NULL, "actual version 0", "delete", "c", "--expect", "exists");
    RUNS(0, "gone: 0 events, 0 streams", NULL, "delete", "c", "--expect", "none");
    RUNS(0, "gone: 2 events", NULL, "truncate", "a-1", "2", "-x", "5");
    RUNS(0, "gone: 3 events, 1 streams", NULL, "delete", "a-1", "-x", "5");
    RUNS(2, NULL, "'many'", "delete", "a-2", "--expect", "many");
    RUNS(2, NULL, "for one stream", "delete", "a*", "--expect", "5", "--yes");
    STREAMS("[[\"a-2\",5,5],[\"b\",1,1]]");
}

Test(remove_tool, a_deleted_stream_goes_on_and_a_forgotten_one_begins_anew, .timeout = 60) {
    make_eleven();
    RUNS(0, "would go: 5 events, 1 streams\n", NULL, "delete", "a-1", "--dry-run");
    RUNS(0, "gone: 5 events, 1 streams\n", NULL, "delete", "a-1");
    RUNS(3, NULL, "there is no stream 'a-1'", "delete", "a-1");
    RUNS(3, NULL, "a-1", "read", "a-1", "--known");
    RUNS(0, "version 6", NULL, "append", "a-1", "--expect", "none", "x");
    RUNS(0, "{\"events\":1,\"streams\":1,\"names\":0,\"dry_run\":true}", NULL, "forget", "a-1",
         "--dry-run", "-o", "json");
    RUNS(0, "gone: 1 events, 1 streams, 0 names\n", NULL, "forget", "a-1");
    RUNS(0, "offset 13 version 1\n", NULL, "append", "a-1", "x");
    RUNS(0, "gone: 1 events, 1 streams\n", NULL, "delete", "a-1");
    RUNS(0, "gone: 0 events, 0 streams, 1 names\n", NULL, "forget", "a-1");
    RUNS(3, NULL, "a-1", "forget", "a-1");
}

Test(remove_tool, a_prefix_goes_as_a_whole_and_only_with_yes, .timeout = 60) {
    make_eleven();
    const char *commands[] = {"delete", "forget"};
    for (int i = 0; i < 2; i++) {
        RUNS(2, NULL, "--yes", commands[i], "a-*");
        RUNS_WITH("y\n", 2, NULL, "--yes", commands[i], "*");
    }
    STREAMS("[[\"a-1\",5,5],[\"a-2\",5,5],[\"b\",1,1]]");
    RUNS(0, "{\"events\":10,\"streams\":2,\"dry_run\":true}", NULL, "delete", "a-*", "--dry-run",
         "-o", "json");
    RUNS(0, "gone: 10 events, 2 streams\n", NULL, "delete", "a-*", "--yes");
    RUNS(0, "gone: 0 events, 0 streams\n", NULL, "delete", "a-*", "--yes");
    STREAMS("[[\"b\",1,1]]");
    RUNS(0, "version 6", NULL, "append", "a-2", "x");
    RUNS(0, "would go: 2 events, 2 streams, 1 names\n", NULL, "forget", "*", "--dry-run");
    RUNS(0, "gone: 2 events, 2 streams, 1 names\n", NULL, "forget", "*", "--yes");
    STREAMS("[]");
    RUNS(0, "offset 13 version 1\n", NULL, "append", "a-2", "x");
    RUNS(0, "nothing is wrong: 1 events, 1 streams", NULL, "check");
}

Test(remove_tool, at_a_terminal_a_prefix_is_asked_about, .timeout = 60) {
    make_eleven();
    SHELL(0, "delete 2 streams with 10 events?",
          "echo n | script -qec \"eddy delete 'a-*'\" /dev/null; test $? = 1");
    STREAMS("[[\"a-1\",5,5],[\"a-2\",5,5],[\"b\",1,1]]");
    SHELL(0, "gone: 10 events, 2 streams", "echo y | script -qec \"eddy delete 'a-*'\" /dev/null");
    STREAMS("[[\"b\",1,1]]");
}

Test(remove_tool, a_star_may_be_part_of_a_name, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s*", "x");
    RUNS(0, "offset 2", NULL, "append", "s1", "x");
    RUNS(0, "gone: 1 events, 1 streams", NULL, "delete", "s*", "--exact");
    STREAMS("[[\"s1\",1,1]]");
    RUNS(3, NULL, "'s*'", "delete", "s*", "--exact");
    RUNS(0, "gone: 0 events, 0 streams, 1 names", NULL, "forget", "s*", "--exact");
}

Test(remove_tool, clean_removes_what_is_empty, .timeout = 60) {
    make_eleven();
    RUNS(0, "gone: 5 events", NULL, "truncate", "a-1", "5");
    RUNS(0, "gone: 1 events", NULL, "truncate", "b", "1");
    RUNS(0, "would go: 0 events, 2 streams\n", NULL, "clean", "--dry-run");
    RUNS(0, "gone: 0 events, 1 streams\n", NULL, "clean", "a*");
    STREAMS("[[\"a-2\",5,5],[\"b\",1,0]]");
    RUNS(0, "{\"events\":0,\"streams\":1,\"names\":2,\"dry_run\":false}", NULL, "clean", "--forget",
         "-o", "json");
    STREAMS("[[\"a-2\",5,5]]");
    RUNS(0, "version 1", NULL, "append", "b", "x");
    RUNS(2, NULL, "'b*'", "clean", "b");
}

Test(remove_tool, bad_command_lines_are_told_of_and_change_nothing, .timeout = 60) {
    make_eleven();
    RUNS(2, NULL, "'0'", "truncate", "a-1", "0");
    RUNS(2, NULL, "'x'", "truncate", "a-1", "x");
    RUNS(2, NULL, "STREAM VERSION", "truncate", "a-1");
    RUNS(2, NULL, "STREAM", "delete");
    RUNS(2, NULL, "name", "delete", "");
    RUNS(2, NULL, "--yes", "truncate", "a-1", "1", "--yes");
    RUNS(3, NULL, "'c'", "truncate", "c", "1");
    RUNS(3, NULL, "'c'", "delete", "c");
    RUNS(3, NULL, "'c'", "forget", "c");
    const char *commands[] = {"delete", "forget", "clean", "limits", "maintain", "trim"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        SHELL(3, "", "eddy -S none %s $(test %s = delete -o %s = forget && echo s)", commands[i],
              commands[i], commands[i]);
    }
    SHELL(0, "11\n", "eddy info -o json | jq .events");
    SHELL(0, "1\n", "eddy ls | wc -l");
}

Test(remove_tool, a_full_store_can_be_emptied, .timeout = 60) {
    RUNS(0, NULL, NULL, "create", "--cap", "4M");
    SHELL(6, "", "seq 100000 | sed 's/.*/{\"stream\":\"s-&\",\"data\":\"%0100d\"}/' | eddy import",
          0);
    SHELL(0, "gone: ", "eddy delete '*' --yes");
    SHELL(0, "gone: 0 events, 0 streams, ", "eddy clean --forget");
    RUNS(0, "version 1", NULL, "append", "s-1", "x");
    RUNS(0, "nothing is wrong: 1 events, 1 streams", NULL, "check");
}

Test(remove_tool, a_reader_says_what_is_gone_and_goes_on, .timeout = 60) {
    make_eleven();
    RUNS(0, "gone: 8 events", NULL, "limits", "--events", "3");
    SHELL(0, "[9,10,11]\n", "eddy read -o jsonl | jq -sc 'map(.offset)'");
    RUNS(0, "a-1  5  -  5", NULL, "read");
    RUNS(0, "a-1  5  -  5", NULL, "tail");
    RUNS(0, "a-1  5  -  5", NULL, "tail", "-n", "2", "a*");
    RUNS(0, "a-1  5  -  5", NULL, "read", "-r");
    RUNS(10, "a-1  5  -  5", "events 3 to 8 are gone", "read", "--after-offset", "2");
    RUNS(10, "a-1  5  -  5", "events 3 to 8 are gone", "tail", "--after-offset", "2");
    RUNS(10, "a-1  5  -  5", "events 3 to 8 are gone", "tail", "-f", "--until-caught-up",
         "--after-offset", "2");
    RUNS(10, "a-1  5  -  5", "events 3 to 8 are gone", "tail", "-f", "--after-offset", "2",
         "--timeout", "0.01");
    RUNS(0, "a-1  5  -  5", NULL, "read", "--after-offset", "8");
}

Test(remove_tool, a_follower_that_was_overtaken_goes_on, .timeout = 60) {
    make_eleven();
    SHELL(0, "[1,2,3,4,5,6,7,8,9,10,11,29,30,31] 10",
          ": >$DIR/out; eddy tail -f --after-offset 0 -c 14 -o jsonl >>$DIR/out 2>$DIR/err & "
          "while test $(wc -l <$DIR/out) -lt 11; do eddy who >/dev/null; done; kill -STOP $!; "
          "eddy limits --events 3 >/dev/null; "
          "for i in $(seq 20); do eddy append c $i; done >/dev/null; kill -CONT $!; wait $!; "
          "code=$?; echo $(jq -sc 'map(.offset)' <$DIR/out) $code");
    SHELL(0, "events 12 to 28 are gone", "cat $DIR/err");
}

/* Of each event a follower either says what it is, or that it is gone. */
Test(remove_tool, a_follower_accounts_for_every_event_while_others_remove, .timeout = 120) {
    SHELL(0, "20002 of 20002\n",
          "eddy append begin x >/dev/null; "
          "eddy tail -f --after-offset 0 -o jsonl >$DIR/out 2>$DIR/err & tail=$!; "
          "while ! test -s $DIR/out; do eddy who >/dev/null; done; "
          "seq 10001 30000 | sed 's/\\(.*\\)\\(..\\)$/{\"stream\":\"s-\\2\",\"data\":\"\\1\"}/' | "
          "eddy import --batch 3 >/dev/null & import=$!; "
          "for i in 1 2 3 4 5 6 7 8; do eddy delete 's-1*' --yes; eddy truncate s-22 $((9 * i)); "
          "eddy limits --events $((900 * i)); eddy clean --forget; eddy maintain; done "
          ">/dev/null 2>&1; wait $import; eddy append end x >/dev/null; "
          "while ! grep -q '\"stream\":\"end\"' $DIR/out; do eddy who >/dev/null; done; "
          "kill -INT $tail; wait $tail; "
          "{ jq .offset <$DIR/out; sed -n 's/.* events \\(.*\\) to \\(.*\\) are gone.*/\\1 \\2/p' "
          "$DIR/err | while read from to; do seq $from $to; done; } | sort -n >$DIR/all; "
          "echo $(uniq $DIR/all | wc -l) of $(tail -n 1 $DIR/all); eddy check >&2");
}

Test(remove_tool, a_reset_wants_to_be_meant_and_leaves_nothing, .timeout = 60) {
    SHELL(0, "",
          "for i in 1 2 3 4 5; do eddy append s-$((i %% 3)) $i >/dev/null; done; "
          "eddy checkpoint c 3 >/dev/null; eddy limits --events 100 >/dev/null; "
          "eddy delete s-0 >/dev/null");
    RUNS(2, NULL, "--yes", "reset");
    RUNS(0, "would go: 4 events, 2 streams, 1 names\n", NULL, "reset", "--dry-run");
    RUNS(0, "gone: 4 events, 2 streams, 1 names\n", NULL, "reset", "--yes");
    SHELL(0, "[5,0,0,0,{\"limit\":100,\"used\":0,\"beyond\":\"drop\"}]\n",
          "eddy info -o json | jq -c '[.head, .events, .streams, .names, .limits.events]'");
    SHELL(0, "0\n", "eddy checkpoint -o jsonl | wc -l");
    SHELL(0, "6 1\n",
          "eddy append s-1 again >/dev/null; eddy read -o jsonl | jq -r '\"\\(.offset) "
          "\\(.version)\"'");
    RUNS(3, NULL, "nowhere", "reset", "nowhere", "--yes");
}
