/* eddy limits, the limits of create and info, maintain and trim; imports that are refused. */
#include "tools/runs.h"

#include <unistd.h>

TestSuite(limits_tool, .init = runs_set_up);

/* n events on the streams s-0, s-1, s-2. */
static void make_events(int n) {
    SHELL(0, " events in ",
          "for i in $(seq %d); do echo \"{\\\"stream\\\":\\\"s-$((i %% 3))\\\",\\\"data\\\":$i}\"; "
          "done | eddy import",
          n);
}

#define LIMITS(list)                                                                               \
    SHELL(0, list "\n",                                                                            \
          "eddy limits -o json | jq -c '.limits | del(.strict, .keys, .keys_age_ns) | "            \
          "map_values(if type == "                                                                 \
          "\"object\" then "                                                                       \
          "[.limit, .beyond] else . end) | map(.)'")

Test(limits_tool, a_new_store_has_no_limits, .timeout = 60) {
    RUNS(0, NULL, NULL, "create");
    RUNS(0, "limits               none\nwhen_full            new ones are refused\n", NULL,
         "limits");
    LIMITS("[null,null,null,null,null,null,\"refuse\"]");
}

Test(limits_tool, a_strict_store_is_made_and_unmade, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "1");
    RUNS(2, NULL, "on|off", "limits", "--strict", "yes");
    RUNS(0, "gone", NULL, "limits", "--strict", "on");
    RUNS(0, "without id, type or time are refused", NULL, "limits");
    SHELL(0, "true", "eddy limits -o json | jq .limits.strict");
    RUNS(2, NULL, "has no id", "append", "s", "2");
    RUNS(0, "offset 2", NULL, "append", "s", "--id", "i", "-t", "t", "--time", "now", "2");
    RUNS(0, "gone", NULL, "limits", "--strict", "off");
    SHELL(0, "false", "eddy limits -o json | jq .limits.strict");
    RUNS(0, "offset 3", NULL, "append", "s", "3");
}

Test(limits_tool, limits_are_changed_one_by_one, .timeout = 60) {
    RUNS(0, NULL, NULL, "create");
    RUNS(0, "gone: 0 events, 0 B, 0 streams\n", NULL, "limits", "--events", "10");
    LIMITS("[[10,\"drop\"],null,null,null,null,null,\"refuse\"]");
    RUNS(0, "gone", NULL, "limits", "--bytes", "64M", "--refuse", "bytes,events");
    LIMITS("[[10,\"refuse\"],[67108864,\"refuse\"],null,null,null,null,\"refuse\"]");
    RUNS(0, "gone", NULL, "limits", "--events", "20", "--age", "1h30m", "--names", "7");
    LIMITS("[[20,\"refuse\"],[67108864,\"refuse\"],null,null,[7,\"drop\"],[5400000000000,\"drop\"],"
           "\"refuse\"]");
    RUNS(0, "gone", NULL, "limits", "--drop", "events,full", "--bytes", "0", "--age", "0");
    LIMITS("[[20,\"drop\"],null,null,null,[7,\"drop\"],null,\"drop\"]");
    RUNS(0, "gone", NULL, "limits", "--refuse", "full", "--streams", "3", "--stream-events", "2");
    LIMITS("[[20,\"drop\"],null,[3,\"drop\"],[2,\"drop\"],[7,\"drop\"],null,\"refuse\"]");
    RUNS(0, "gone", NULL, "limits", "--none", "--streams", "4", "--drop-when-full");
    LIMITS("[null,null,[4,\"drop\"],null,null,null,\"drop\"]");
    RUNS(0, "gone", NULL, "limits", "--none");
    LIMITS("[null,null,null,null,null,null,\"refuse\"]");
}

Test(limits_tool, what_was_refused_before_and_is_set_anew_drops_again, .timeout = 60) {
    RUNS(0, NULL, NULL, "create", "--events", "5", "--refuse", "events");
    LIMITS("[[5,\"refuse\"],null,null,null,null,null,\"refuse\"]");
    RUNS(0, "gone", NULL, "limits", "--events", "0");
    RUNS(0, "gone", NULL, "limits", "--events", "6");
    LIMITS("[[6,\"drop\"],null,null,null,null,null,\"refuse\"]");
}

Test(limits_tool, durations_and_sizes_are_read_as_people_write_them, .timeout = 60) {
    RUNS(0, NULL, NULL, "create");
    const char *durations[][2] = {{"50ms", "50000000"},      {"30s", "30000000000"},
                                  {"5m", "300000000000"},    {"12h", "43200000000000"},
                                  {"7d", "604800000000000"}, {"1w", "604800000000000"},
                                  {"1d2h", "93600000000000"}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        RUNS(0, "gone", NULL, "limits", "--age", durations[i][0]);
        SHELL(0, durations[i][1], "eddy limits -o json | jq .limits.age_ns.limit");
    }
    RUNS(0, "limit_age            1d2h  ", NULL, "limits");
    RUNS(0, "gone", NULL, "limits", "--bytes", "2G");
    RUNS(0, "limit_bytes          2.0 GiB  (used: 0, 0.0 %)", NULL, "limits");
    const char *bad[][2] = {{"--age", "7x"},       {"--age", "-5m"},       {"--age", "5"},
                            {"--age", ""},         {"--age", "99999999d"}, {"--bytes", "5Q"},
                            {"--events", "few"},   {"--streams", "-1"},    {"--refuse", "age"},
                            {"--refuse", ""},      {"--drop", "all"},      {"--refuse", "events"},
                            {"--refuse", "bytes,"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        RUNS(2, NULL, bad[i][0], "limits", bad[i][0], bad[i][1]);
    }
    RUNS(2, NULL, "to refuse and to drop", "limits", "--drop", "full", "--refuse", "full");
    RUNS(2, NULL, "--dry-run", "limits", "--dry-run");
    RUNS(2, NULL, "--refuse", "create", "other", "--refuse", "streams");
    RUNS(3, NULL, "other", "info", "other");
}

Test(limits_tool, limits_drop_and_the_dry_run_foretells_it, .timeout = 60) {
    make_events(30);
    const char *tries[][2] = {{"--events", "20"}, {"--bytes", "500"}, {"--streams", "2"}};
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        SHELL(0, "true",
              "eddy limits %s %s --dry-run -o json | jq 'del(.dry_run)' >$DIR/a && "
              "test \"$(jq .events <$DIR/a)\" -gt 0 && "
              "eddy limits %s %s -o json | jq 'del(.dry_run)' >$DIR/b && "
              "cmp $DIR/a $DIR/b && echo true",
              tries[i][0], tries[i][1], tries[i][0], tries[i][1]);
    }
    RUNS(0, "nothing is wrong", NULL, "check");
    SHELL(0, "2\n", "eddy streams -o jsonl | wc -l");
}

Test(limits_tool, what_is_appended_beyond_a_limit_makes_the_oldest_go, .timeout = 60) {
    RUNS(0, NULL, NULL, "create", "--events", "10", "--stream-events", "2");
    make_events(40);
    SHELL(0, "[35,36,37,38,39,40]\n", "eddy read -o jsonl | jq -sc 'map(.data)'");
    RUNS(0, "gone", NULL, "limits", "--none", "--events", "4");
    RUNS(0, "offset 41", NULL, "append", "t", "x");
    SHELL(0, "[38,39,40,41]\n", "eddy read -o jsonl | jq -sc 'map(.offset)'");
    SHELL(0, "[4,4,\"drop\"]", "eddy info -o json | jq -c '.limits.events | map(.)'");
    RUNS(0, "limit_events         4  (used: 4, 100.0 %)  beyond: the oldest go", NULL, "info");
}

Test(limits_tool, an_import_that_passes_a_limit_ends_with_6_and_names_it, .timeout = 60) {
    const char *limits[][2] = {
        {"--events", "events"}, {"--streams", "streams"}, {"--stream-events", "stream-events"}};
    for (int i = 0; i < 3; i++) {
        const char *store = limits[i][1];
        RUNS(0, NULL, NULL, "create", store, limits[i][0], "5", "--refuse", limits[i][1]);
        struct run run = run_shell(
            "for i in 1 2 3 4 5 6 7 8; do echo "
            "\"{\\\"tx\\\":$((i / 2)),\\\"stream\\\":\\\"$(test %s = streams && echo s$i || echo s)"
            "\\\",\\\"data\\\":$i}\"; done | eddy -S %s import",
            store, store);
        cr_assert_eq(run.code, 6, "%s: %s", store, run.err);
        cr_assert_eq(run.out_len, 0);
        has_text(run.err, "standard input:6:");
        has_text(run.err, "limit of 5 ");
        has_text(run.err, "what came before is: 5 events in 3 transactions");
        run_free(&run);
        SHELL(0, "[1,2,3,4,5]\n", "eddy -S %s read -o jsonl | jq -sc 'map(.data)'", store);
        RUNS(6, NULL, "limit of 5 ", "append", "-S", store, "s", "x");
    }
}

Test(limits_tool, age_lets_go_and_maintain_does_it_at_once, .timeout = 60) {
    RUNS(0, "offset 1", NULL, "append", "s", "--time", "2000-01-01T00:00:00Z", "old");
    RUNS(0, "offset 2", NULL, "append", "s", "new");
    RUNS(0, "would go: 1 events, 48 B, 0 streams", NULL, "limits", "--age", "1d", "--dry-run");
    RUNS(0, "{\"events\":1,\"bytes\":48,\"streams\":0,\"dry_run\":false}", NULL, "limits", "--age",
         "1d", "-o", "json");
    SHELL(0, "[2]\n", "eddy read -o jsonl | jq -sc 'map(.offset)'");
    SHELL(0, "true", "eddy info -o json | jq '.limits.age_ns.used < 60000000000'");
    RUNS(0, "would go: 1 events, 40 B", NULL, "limits", "--age", "1ms", "--dry-run");
}

Test(limits_tool, maintain_and_trim_say_what_was_done, .timeout = 60) {
    make_events(3000);
    RUNS(0, "gone: ", NULL, "delete", "*", "--yes");
    SHELL(0, "[\"dropped\",\"events\",\"extents\",\"nodes\",\"moved\",\"members\",\"trimmed\"]\n",
          "eddy maintain -o json | jq -c 'del(.store) | keys_unsorted'");
    RUNS(0, "trimmed", NULL, "maintain", "--trim");
    RUNS(0, "members              0", NULL, "trim");
    RUNS(0, "nothing is wrong: 0 events, 0 streams", NULL, "check");
}

Test(limits_tool, a_dead_process_is_told_of_and_cleared_up_after, .timeout = 60) {
    make_events(3);
    SHELL(0, "[\"eddy\",true,1]",
          ": >$DIR/out; eddy tail -f -n 100 >>$DIR/out & "
          "while test $(wc -l <$DIR/out) -lt 3; do eddy who >/dev/null; done; "
          "eddy who -o jsonl | jq -c \"select(.pid == $!) | [.command, .alive, .readers]\"; "
          "eddy who >$DIR/who; kill -KILL $!; wait $! 2>/dev/null; true");
    SHELL(0, "pinned", "grep -e pidns $DIR/who");
    SHELL(0, "[\"eddy\",false]", "eddy who -o jsonl | jq -c '[.command, .alive]'");
    SHELL(0, "true", "test \"$(eddy who -o jsonl | jq -r .user)\" = \"$(id -un)\" && echo true");
    RUNS(0, "members_max", NULL, "info");
    RUNS(0, "store", NULL, "maintain");
    RUNS(0, NULL, NULL, "who");
}

Test(limits_tool, who_may_only_read_sees_limits_and_cannot_set_them, .timeout = 60) {
    make_events(5);
    if (getuid() != 0) {
        skip_test("needs root, to become somebody else");
    }
    SHELL(
        0,
        "names 0 limits none when_full new ones are refused 0 would go: 3 events, 120 B, 1 streams "
        "0 "
        "7 7 7",
        "build=$(mktemp -d) && cp $EDDY_BUILD/eddy $build && chmod 755 $build && "
        "chmod 444 $DIR/eddy.default && chmod 755 $DIR && "
        "as() { setpriv --reuid=65534 --regid=65534 --clear-groups $build/eddy \"$@\"; echo $?; }; "
        "echo $({ as limits; as limits --events 2 --dry-run; as limits --events 2; "
        "as delete s-1; as maintain; } | grep -v '^store'); rm -r $build");
    SHELL(0, "5\n", "eddy info -o json | jq .events");
}
