/* eddy checkpoint; retention that waits for one, as info, limits, append and import tell of it. */
#include "tools/runs.h"

#include <unistd.h>

TestSuite(checkpoint_tool, .init = runs_set_up);

/* Events 1 to n, on the stream s. */
static void make_events(int n) {
    SHELL(0, " events in ",
          "seq %d | sed 's/.*/{\"stream\":\"s\",\"data\":&}/' | eddy import --batch 10", n);
}

/* What there is, as [name, shard, offset, lag, revision, hold]. */
#define CHECKPOINTS(list)                                                                          \
    SHELL(0, list "\n",                                                                            \
          "eddy checkpoint -o jsonl | "                                                            \
          "jq -sc 'map([.checkpoint, .shard, .offset, .lag, .revision, .hold])'")

Test(checkpoint_tool, checkpoints_are_set_shown_and_deleted, .timeout = 60) {
    make_events(10);
    CHECKPOINTS("[]");
    RUNS(0, NULL, NULL, "checkpoint");
    RUNS(0, "        4         6         2      0  -     ", NULL, "checkpoint", "b", "4");
    RUNS(0, "       10         0         3      0  hold  ", NULL, "checkpoint", "a", "head",
         "--hold");
    RUNS(0, "        0        10         4      0  -     ", NULL, "checkpoint", "a2", "0");
    CHECKPOINTS("[[\"a\",0,10,0,3,true],[\"a2\",0,0,10,4,false],[\"b\",0,4,6,2,false]]");
    RUNS(0, "        7         3         5      0  hold  ", NULL, "checkpoint", "b", "7", "--hold");
    RUNS(0, "  b\n", NULL, "checkpoint", "b");
    RUNS(0, "         6      0  -     ", NULL, "checkpoint", "a", "10");
    CHECKPOINTS("[[\"a\",0,10,0,6,false],[\"a2\",0,0,10,4,false],[\"b\",0,7,3,5,true]]");
    RUNS(0, "gone: 1 checkpoints\n", NULL, "checkpoint", "a2", "--delete");
    RUNS(0, "{\"checkpoints\":1}\n", NULL, "checkpoint", "--delete", "a", "-o", "json");
    CHECKPOINTS("[[\"b\",0,7,3,5,true]]");
    RUNS(0, "         9      0  -     ", NULL, "checkpoint", "a", "99");
    CHECKPOINTS("[[\"a\",0,99,0,9,false],[\"b\",0,7,3,5,true]]");
    RUNS(0, "nothing is wrong: 10 events, 1 streams", NULL, "check");
}

Test(checkpoint_tool, every_form_of_output_is_what_it_says, .timeout = 60) {
    make_events(3);
    RUNS(0, "[]\n", NULL, "checkpoint", "-o", "json");
    RUNS(0, NULL, NULL, "checkpoint", "-o", "jsonl");
    SHELL(0, "2\n", "eddy checkpoint p-1 1 -o json | jq -c .revision");
    SHELL(0, "3\n", "eddy checkpoint p-1 2 -o jsonl | jq -c .revision");
    RUNS(0, "checkpoint", NULL, "checkpoint", "p-2", "3");
    RUNS(0, "checkpoint", NULL, "checkpoint", "q", "3");
    SHELL(0, "[\"p-1\",\"p-2\"]\n", "eddy checkpoint 'p-*' -o json | jq -c 'map(.checkpoint)'");
    SHELL(0, "[\"p-1\",\"p-2\"]\n", "eddy checkpoint 'p-*' -o jsonl | jq -sc 'map(.checkpoint)'");
    SHELL(0, "[\"p-1\",\"p-2\",\"q\"]\n", "eddy checkpoint '*' -o json | jq -c 'map(.checkpoint)'");
    SHELL(0, "[]\n", "eddy checkpoint 'x*' -o json");
    SHELL(0, "[\"checkpoint\",\"shard\",\"offset\",\"lag\",\"revision\",\"hold\",\"time\"]\n",
          "eddy checkpoint q -o json | jq -c keys_unsorted");
    SHELL(0, "true\n",
          "eddy checkpoint q -o json | "
          "jq '.time | sub(\"\\\\.[0-9]+Z\"; \"Z\") | fromdate | (now - . | . >= 0 and . < 60)'");
    SHELL(0, "4\n", "eddy checkpoint | wc -l");
    RUNS(0, "offset       lag  revision  shard  hold  when", NULL, "checkpoint", "--utc");
}

Test(checkpoint_tool, names_may_be_any_bytes, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "x");
    SHELL(0, "b\\n\\xff\n", "eddy checkpoint \"$(printf 'b\\n\\377')\" 1");
    SHELL(0, "\"Ygr/\"\n", "eddy checkpoint -o jsonl | jq -c .checkpoint_b64");
    RUNS(2, NULL, "'--exact'", "checkpoint", "p*", "1");
    RUNS(2, NULL, "'--exact'", "checkpoint", "--delete", "p*");
    RUNS(0, "  p*\n", NULL, "checkpoint", "p*", "1", "--exact");
    RUNS(0, "  p1\n", NULL, "checkpoint", "p1", "1");
    SHELL(0, "2\n", "eddy checkpoint 'p*' -o jsonl | wc -l");
    SHELL(0, "1\n", "eddy checkpoint 'p*' --exact -o jsonl | wc -l");
    RUNS(0, "gone: 1", NULL, "checkpoint", "--delete", "p*", "--exact");
    SHELL(0, "[\"p1\"]\n", "eddy checkpoint 'p*' -o json | jq -c 'map(.checkpoint)'");
}

Test(checkpoint_tool, what_is_not_there_ends_with_3, .timeout = 60) {
    RUNS(3, NULL, "default", "checkpoint");
    RUNS(3, NULL, "default", "checkpoint", "p", "1"); /* it makes no store */
    RUNS(0, "offset 1", NULL, "append", "s", "x");
    RUNS(3, NULL, "there is no checkpoint 'p'", "checkpoint", "p");
    RUNS(3, NULL, "there is no checkpoint 'p'", "checkpoint", "p", "--delete");
    RUNS(3, NULL, "there is no checkpoint 's'", "checkpoint", "s"); /* which is a stream */
    RUNS(0, "revision", NULL, "checkpoint", "p", "1");
    RUNS(3, NULL, "'p'", "read", "p", "--known"); /* nor is this one */
    RUNS(0, NULL, NULL, "checkpoint", "x*");
}

Test(checkpoint_tool, bad_command_lines_are_told_of_and_change_nothing, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "x");
    const char *offsets[] = {
        "x", "", "-1", "1x", "Head", "9223372036854775808", "99999999999999999999"};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        RUNS(2, NULL, "whole number from 0 up, or 'head'", "checkpoint", "p", "--", offsets[i]);
    }
    RUNS(2, NULL, "1 to 255 bytes, not 0", "checkpoint", "", "1");
    RUNS(2, NULL, "1 to 255 bytes, not 0", "checkpoint", "");
    SHELL(2, "", "eddy checkpoint $(printf %%0256d 0) 1");
    RUNS(2, NULL, "'--hold' is for setting", "checkpoint", "p", "--hold");
    RUNS(2, NULL, "'--hold' is for setting", "checkpoint", "p", "--delete", "--hold");
    RUNS(2, NULL, "takes no offset", "checkpoint", "p", "1", "--delete");
    RUNS(2, NULL, "which checkpoint?", "checkpoint", "--delete");
    RUNS(2, NULL, "what is '2' for?", "checkpoint", "p", "1", "2");
    RUNS(2, NULL, "text|json|jsonl", "checkpoint", "-o", "raw");
    RUNS(2, NULL, "did you mean 'checkpoint'?", "cursor");
    RUNS(2, NULL, "did you mean 'checkpoint'?", "chekpoint");
    CHECKPOINTS("[]");
    SHELL(0, "0\n", "eddy checkpoint $(printf %%0255d 0) 4611686018427387903 -o json | jq .lag");
}

Test(checkpoint_tool, shards_conditions_resets_and_waits, .timeout = 60) {
    make_events(3);
    RUNS(0, "  p\n", NULL, "checkpoint", "p", "7", "--shard", "3", "--expect", "none");
    RUNS(0, "  p\n", NULL, "checkpoint", "p", "8", "--shard", "18446744073709551615", "--hold");
    RUNS(4, NULL, "checkpoint 'p' of shard 3", "checkpoint", "p", "9", "--shard", "3", "-x",
         "none");
    RUNS(4, NULL, "revision 77", "checkpoint", "p", "9", "--shard", "3", "--expect", "77");
    RUNS(0, "  p\n", NULL, "checkpoint", "p", "9", "--shard", "3", "--expect", "2");
    RUNS(3, NULL, "there is no checkpoint 'p' of shard 0", "checkpoint", "p");
    CHECKPOINTS("[[\"p\",3,9,0,4,false],[\"p\",18446744073709552000,8,0,3,true]]");
    RUNS(0, "  pq\n", NULL, "checkpoint", "pq", "1", "--time", "2009-03-22T09:30:00Z");
    SHELL(0, "\"2009-03-22T09:30:00Z\"\n", "eddy checkpoint pq -o json | jq .time");
    SHELL(0, "[[3,1],[18446744073709552000,1]]\n",
          "eddy checkpoint p 1 --reset -o json | jq -c 'map([.shard, .offset])'");
    RUNS(0, NULL, NULL, "checkpoint", "unknown", "1", "--reset");
    RUNS(9, NULL, "deadline", "checkpoint", "p", "2", "--shard", "3", "--wait", "--timeout", "0.1");
    RUNS(0, "  p\n", NULL, "checkpoint", "p", "1", "--shard", "3", "--wait");
    SHELL(0, "5\n",
          "eddy checkpoint later 5 --wait -o json | jq .offset & "
          "eddy checkpoint later 5 >/dev/null; wait");
    RUNS(4, NULL, "revision 1 ", "checkpoint", "p", "--delete", "--shard", "3", "-x", "1");
    RUNS(0, "gone: 1", NULL, "checkpoint", "p", "--delete", "--shard", "3");
    const char *bad[] = {"p 1 --delete --reset",
                         "--wait",
                         "p --wait",
                         "p --reset",
                         "p 1 --timeout 1",
                         "p --expect none",
                         "p 1 --reset --shard 1",
                         "'*' --shard 1",
                         "p 1 --wait --expect 1",
                         "p 1 --wait --time now"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        SHELL(2, "", "eddy checkpoint %s", bad[i]);
    }
}

/* ---- retention that waits ---- */

static void let_go(void) {
    RUNS(0, "hold", NULL, "checkpoint", "view", "5", "--hold");
    RUNS(0, "offset 6 version", NULL, "append", "s", "x");
    RUNS(0, "offset 7 version", NULL, "append", "s", "x");
    SHELL(0, "[3,4,5,6,7]\n", "eddy read -o jsonl | jq -sc 'map(.offset)'");
}

Test(checkpoint_tool, an_append_beyond_what_is_held_ends_with_6_and_names_it, .timeout = 60) {
    RUNS(0, NULL, NULL, "create", "--events", "5");
    make_events(5);
    RUNS(0, "hold", NULL, "checkpoint", "view", "0", "--hold");
    RUNS(0, "hold", NULL, "checkpoint", "faster", "4", "--hold");
    RUNS(0, "-", NULL, "checkpoint", "idle", "0");
    RUNS(6, NULL,
         "the store has reached its limit of 5 events, and retention waits for checkpoint 'view', "
         "which is at offset 0: advance or delete that, or change the limit\n",
         "append", "s", "x");
    SHELL(6, "",
          "for i in 1 2; do echo '{\"stream\":\"s\",\"data\":1}'; done | eddy import 2>$DIR/err");
    SHELL(0, "checkpoint 'view', which is at offset 0", "grep standard.input:1: $DIR/err");
    SHELL(0, "[1,2,3,4,5]\n", "eddy read -o jsonl | jq -sc 'map(.offset)'");
    RUNS(0, "gone: 1 checkpoints", NULL, "checkpoint", "faster", "--delete");
    let_go();
    RUNS(0, "nothing is wrong: 5 events", NULL, "check");
}

Test(checkpoint_tool, an_append_goes_on_when_nothing_holds_any_more, .timeout = 60) {
    const char *ends[] = {"checkpoint view 0", "checkpoint --delete view", "checkpoint view head",
                          "limits --events 6", "limits --events 0"};
    for (int i = 0; i < 5; i++) {
        SHELL(0, "1 0 offset 6 version 6",
              "export EDDY_STORE=s%d; eddy create --events 5; "
              "seq 5 | sed 's/.*/{\"stream\":\"s\"}/' | eddy import >/dev/null; "
              "eddy checkpoint view 0 --hold >/dev/null; "
              "eddy append s x 2>/dev/null || echo 1 $(eddy %s >/dev/null; echo $?) "
              "$(eddy append s x)",
              i, ends[i]);
    }
}

Test(checkpoint_tool, info_and_retain_tell_what_retention_waits_for, .timeout = 60) {
    const char *commands[] = {"info", "limits"};
    make_events(9);
    for (int i = 0; i < 2; i++) {
        SHELL(0, "null\n", "eddy %s -o json | jq -c .waits_for", commands[i]);
        SHELL(1, "0\n", "eddy %s | grep -c waits_for", commands[i]);
    }
    RUNS(0, "-", NULL, "checkpoint", "a", "1");
    RUNS(0, "hold", NULL, "checkpoint", "b", "7", "--hold");
    RUNS(0, "hold", NULL, "checkpoint", "c", "3", "--hold");
    RUNS(0, "hold", NULL, "checkpoint", "d", "5", "--hold");
    for (int i = 0; i < 2; i++) {
        SHELL(0, "{\"checkpoint\":\"c\",\"offset\":3}\n", "eddy %s -o json | jq -c .waits_for",
              commands[i]);
        RUNS(0, "waits_for            checkpoint c at offset 3: ", NULL, commands[i]);
    }
    RUNS(0, "hold", NULL, "checkpoint", "c", "8", "--hold");
    RUNS(0, "waits_for            checkpoint d at offset 5: ", NULL, "limits");
    RUNS(0, "would go: 5 events", NULL, "limits", "--events", "2", "--dry-run");
    RUNS(0, "gone: 5 events", NULL, "limits", "--events", "2");
    SHELL(0, "[6,7,8,9]\n", "eddy read -o jsonl | jq -sc 'map(.offset)'");
    RUNS(0, "gone: 2 events", NULL, "truncate", "s", "7"); /* by hand it is not held */
}

Test(checkpoint_tool, names_of_removed_streams_are_counted, .timeout = 60) {
    SHELL(0, " events in ", "seq 6 | sed 's/.*/{\"stream\":\"s-&\"}/' | eddy import");
    SHELL(0, "[0,0]\n", "{ eddy info -o json; eddy limits -o json; } | jq -sc 'map(.names)'");
    RUNS(3, NULL, "no removed one is known", "forget", "t", "--dry-run");
    RUNS(0, "would go: 0 events, 0 streams, 0 names\n", NULL, "forget", "t*", "--dry-run");
    RUNS(0, "gone: 6 events, 6 streams", NULL, "delete", "s-*", "--yes");
    SHELL(0, "[6,6]\n", "{ eddy info -o json; eddy limits -o json; } | jq -sc 'map(.names)'");
    RUNS(0, "names                6\nlimits               none\n", NULL, "limits");
    RUNS(0, "gone: 0 events", NULL, "limits", "--names", "8");
    RUNS(0, "limit_names          8  (used: 6, 75.0 %)  beyond: the oldest go\n", NULL, "limits");
    SHELL(0, "[8,6]\n", "eddy info -o json | jq -c '.limits.names | [.limit, .used]'");
}

/* Foretold, and then done. */
static void foretold(const char *command, const char *json) {
    SHELL(0, json, "eddy %s --dry-run -o json | jq -c 'del(.dry_run)'", command);
    SHELL(0, json,
          "eddy %s $(test '%s' = 'clean --forget' || echo --yes) -o json | "
          "jq -c 'del(.dry_run)'",
          command, command);
}

Test(checkpoint_tool, dry_runs_of_forget_and_clean_tell_how_many_names, .timeout = 60) {
    SHELL(0, " events in ",
          "for s in a-1 a-2 a-3 b-1 b-2 b-3 b-4; do echo \"{\\\"stream\\\":\\\"$s\\\"}\"; done | "
          "eddy import");
    RUNS(0, "gone: 1 events", NULL, "delete", "a-1");
    RUNS(0, "gone: 1 events", NULL, "delete", "b-1");
    RUNS(0, "gone: 1 events", NULL, "truncate", "a-2", "1");
    RUNS(0, "would go: 1 events, 2 streams, at most 2 names\n", NULL, "forget", "a-*", "--dry-run");
    RUNS(0, "\"names\":null,\"names_at_most\":2,", NULL, "forget", "a-*", "--dry-run", "-o",
         "json");
    RUNS(0, "would go: 0 events, 0 streams, at most 1 names\n", NULL, "forget", "a-1", "--dry-run");
    RUNS(0, "would go: 0 events, 1 streams, 0 names\n", NULL, "forget", "a-2", "--dry-run");
    RUNS(0, "would go: 0 events, 1 streams\n", NULL, "clean", "--dry-run");
    RUNS(0, "would go: 0 events, 1 streams, at most 3 names\n", NULL, "clean", "a*", "--forget",
         "--dry-run");
    foretold("clean --forget", "{\"events\":0,\"streams\":1,\"names\":3}\n");
    RUNS(0, "gone: 1 events", NULL, "delete", "b-2");
    foretold("forget \\*", "{\"events\":3,\"streams\":3,\"names\":1}\n");
    foretold("forget b-\\*", "{\"events\":0,\"streams\":0,\"names\":0}\n");
    RUNS(0, "names                0\n", NULL, "info");
    RUNS(0, "nothing is wrong: 0 events, 0 streams", NULL, "check");
}

Test(checkpoint_tool, who_may_only_read_sees_checkpoints_and_cannot_set_them, .timeout = 60) {
    make_events(5);
    RUNS(0, "hold", NULL, "checkpoint", "p", "2", "--hold");
    if (getuid() != 0) {
        skip_test("needs root, to become somebody else");
    }
    SHELL(0, "[2,3] p 7 7",
          "build=$(mktemp -d) && cp $EDDY_BUILD/eddy $build && chmod 755 $build && "
          "chmod 444 $DIR/eddy.default && chmod 755 $DIR && "
          "as() { setpriv --reuid=65534 --regid=65534 --clear-groups $build/eddy \"$@\"; }; "
          "echo $(as checkpoint p -o json | jq -c '[.offset, .lag]') "
          "$(as limits -o json | jq -r .waits_for.checkpoint) "
          "$(as checkpoint p 3; echo $?) $(as checkpoint --delete p; echo $?); rm -r $build");
    CHECKPOINTS("[[\"p\",0,2,3,2,true]]");
}

/* A reader that sees many come and go lists each name once, in order. */
Test(checkpoint_tool, a_list_is_sound_while_others_set_them, .timeout = 60) {
    make_events(3);
    SHELL(0, "0\n",
          "(for i in $(seq 60); do eddy checkpoint p-$((i %% 7)) $i; "
          "eddy checkpoint p-$((i * 3 %% 7)) --delete; done) >/dev/null 2>&1 & "
          "bad=0; while kill -0 $! 2>/dev/null; do eddy checkpoint -o json >$DIR/list || "
          "bad=$((bad + 1)); jq -e 'map(.checkpoint) | . == unique' <$DIR/list >/dev/null || "
          "bad=$((bad + 1)); done; echo $bad");
}
