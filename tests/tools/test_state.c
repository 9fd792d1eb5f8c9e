/* eddy state: states under keys, and snapshots of streams. */
#include "tools/runs.h"

TestSuite(state_tool, .init = runs_set_up);

Test(state_tool, states_are_put_shown_listed_and_deleted, .timeout = 60) {
    RUNS(0, NULL, NULL, "create");
    RUNS(3, NULL, "there is no state 'user-1'", "state", "get", "user-1");
    RUNS(0, "revision 1\n", NULL, "state", "put", "user-1", "{\"name\":\"Ada\"}", "-x", "none");
    RUNS(4, NULL, "expected no state 'user-1'", "state", "put", "user-1", "x", "--expect", "none");
    RUNS(4, NULL, "revision 9", "state", "put", "user-1", "x", "--expect", "9");
    RUNS(0, "{\"revision\":2}\n", NULL, "state", "put", "user-1", "{\"name\":\"Eve\"}", "-x", "1",
         "--version", "7", "--shard", "3", "--time", "2009-03-22T09:30:00Z", "-m", "why", "-o",
         "json");
    SHELL(0, "[\"user-1\",7,2,3,\"2009-03-22T09:30:00Z\",\"d2h5\",{\"name\":\"Eve\"}]\n",
          "eddy state get user-1 -o json | "
          "jq -c '[.key,.version,.revision,.shard,.time,.metadata_b64,.data]'");
    RUNS(0, "{\"name\":\"Eve\"}", NULL, "state", "get", "user-1", "-o", "raw");
    RUNS(0, "        7         2  2009-03-22 09:30:00.000+00:00  user-1  {", NULL, "state", "get",
         "user-1");
    SHELL(0, "5\n",
          "printf 'a\\0b\\n\\377' | eddy state put bytes - >/dev/null; "
          "eddy state get bytes -o raw | wc -c");
    RUNS(0, "revision", NULL, "state", "put", "user-2");
    SHELL(0, "[\"bytes\",\"user-1\",\"user-2\"]\n", "eddy state ls -o json | jq -c 'map(.key)'");
    SHELL(0, "[\"user-1\",\"user-2\"]\n", "eddy state ls 'user-*' -o jsonl | jq -sc 'map(.key)'");
    SHELL(0, "[\"user-1\"]\n",
          "eddy state ls --after bytes --lines 1 -o jsonl | jq -sc 'map(.key)'");
    RUNS(0, "[]\n", NULL, "state", "ls", "x*", "-o", "json");
    RUNS(4, NULL, "revision 1 ", "state", "delete", "user-1", "--expect", "1");
    RUNS(0, "gone: 1 states\n", NULL, "state", "delete", "user-1", "--expect", "2");
    RUNS(0, "{\"states\":1}\n", NULL, "state", "delete", "user-2", "-o", "json");
    RUNS(3, NULL, "there is no state 'user-1'", "state", "delete", "user-1");
    RUNS(0, "nothing is wrong", NULL, "check");
}

Test(state_tool, snapshots_of_a_stream_are_kept_by_version, .timeout = 60) {
    RUNS(0, NULL, NULL, "create");
    RUNS(3, NULL, "no snapshot", "state", "get", "orders", "--snapshot", "latest");
    for (int i = 1; i <= 4; i++) {
        SHELL(0, "revision", "eddy state put orders at-%d --snapshot %d", i * 10, i * 10);
    }
    RUNS(0, "at-40", NULL, "state", "get", "orders", "--snapshot", "latest", "-o", "raw");
    RUNS(0, "at-20", NULL, "state", "get", "orders", "--snapshot", "20", "-o", "raw");
    RUNS(3, NULL, "version 21", "state", "get", "orders", "--snapshot", "21");
    RUNS(4, NULL, "snapshot of stream 'orders' at version 20", "state", "put", "orders", "x",
         "--snapshot", "20", "--expect", "none");
    SHELL(0, "[10,20,30,40]\n",
          "eddy state ls orders --snapshot 0 -o json | jq -c 'map(.version)'");
    SHELL(0, "[30]\n",
          "eddy state ls orders --snapshot 20 --lines 1 -o jsonl | jq -sc 'map(.version)'");
    RUNS(0, "gone: 3 snapshots\n", NULL, "state", "delete", "orders", "--snapshot", "30");
    RUNS(0, "gone: 0 snapshots\n", NULL, "state", "delete", "orders", "--snapshot", "30");
    RUNS(0, "{\"snapshots\":1}\n", NULL, "state", "delete", "orders", "--snapshot", "99", "-o",
         "json");
    RUNS(0, NULL, NULL, "state", "ls");
}

Test(state_tool, bad_command_lines_are_told_of_and_change_nothing, .timeout = 60) {
    RUNS(3, NULL, "default", "state", "put", "k", "x"); /* it makes no store */
    RUNS(0, NULL, NULL, "create");
    RUNS(2, NULL, "did you mean 'delete'?", "state", "delet", "k");
    RUNS(2, NULL, "which key?", "state", "put");
    RUNS(2, NULL, "which stream?", "state", "ls", "--snapshot", "1");
    RUNS(2, NULL, "1 to 255 bytes, not 0", "state", "put", "", "x");
    RUNS(2, NULL, "what is 'x' for?", "state", "get", "k", "x");
    RUNS(2, NULL, "any, none, exists or a revision", "state", "put", "k", "x", "--expect", "y");
    RUNS(2, NULL, "is a version, not 'latest'", "state", "put", "k", "x", "--snapshot", "latest");
    RUNS(2, NULL, "is a version or 'latest', not '0'", "state", "get", "k", "--snapshot", "0");
    const char *bad[] = {"get k --version 1",          "ls --expect 1",
                         "delete k --snapshot 1 -x 1", "get k --lines 1",
                         "put k x --after y",          "put k x --snapshot 1 --version 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        SHELL(2, "", "eddy state %s", bad[i]);
    }
    SHELL(6, "", "head -c 16777217 /dev/zero | eddy state put k -");
    RUNS(0, NULL, NULL, "state", "ls");
}
