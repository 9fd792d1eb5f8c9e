/* eddy snapshot, verify, restore. */
#include "tools/runs.h"

#include <unistd.h>

TestSuite(snapshot_tool, .init = runs_set_up);

static void make_events(const char *store) {
    SHELL(0, "100 events in ",
          "seq 100 | sed 's/.*/{\"stream\":\"s\",\"data\":&}/' | eddy -S %s import --batch 7",
          store);
}

Test(snapshot_tool, a_store_goes_into_a_file_and_comes_back_as_it_was, .timeout = 60) {
    make_events("a");
    RUNS(0, "gone: 30 events", NULL, "-S", "a", "truncate", "s", "30");
    RUNS(0, "hold", NULL, "-S", "a", "checkpoint", "c", "50", "--hold");
    RUNS(0, "events               70\n", NULL, "-S", "a", "snapshot",
         sandbox_path(&runs_box, "file"));
    RUNS(0, "entries              1\n", NULL, "verify", sandbox_path(&runs_box, "file"));
    SHELL(0, "[1,100,70,1]\n",
          "eddy verify $EDDY_DIR/file -o json | jq -c '[.format,.head,.events,.streams]'");
    RUNS(0, "head                 100\n", NULL, "restore", sandbox_path(&runs_box, "file"), "b");
    SHELL(0, "same\n",
          "for s in a b; do (eddy -S $s read -o jsonl; eddy -S $s streams -o jsonl;"
          " eddy -S $s checkpoint -o jsonl; eddy info $s -o json |"
          " jq -c '[.head,.first,.events,.bytes,.streams,.recorded,.names]') "
          ">$EDDY_DIR/$s; done; cmp $EDDY_DIR/a $EDDY_DIR/b && echo "
          "same");
    RUNS(0, "nothing is wrong: 70 events, 1 streams", NULL, "check", "b");
    RUNS(0, "offset 101 version 101", NULL, "-S", "b", "append", "s", "x");
    RUNS(1, NULL, "such a store already", "restore", sandbox_path(&runs_box, "file"), "b");
    RUNS(0, "101", NULL, "-S", "b", "tail", "-n", "1");
    RUNS(0, "head", NULL, "restore", sandbox_path(&runs_box, "file"), "b", "--replace", "--cap",
         "16M", "--mode", "640");
    SHELL(0, "[100,16777216]\n", "eddy info b -o json | jq -c '[.head,.cap]'");
}

Test(snapshot_tool, what_is_no_whole_snapshot_is_refused_with_file_byte_and_cause, .timeout = 60) {
    make_events("a");
    const char *file = sandbox_path(&runs_box, "file");
    RUNS(0, "format", NULL, "-S", "a", "snapshot", file);
    SHELL(0, "",
          "cd $EDDY_DIR && head -c 3000 file >short && cp file flipped && cp file newer &&"
          " printf x | dd of=flipped bs=1 seek=2000 conv=notrunc status=none &&"
          " printf x | dd of=newer bs=1 seek=8 conv=notrunc status=none && echo text >text");
    for (int i = 0; i < 2; i++) {
        const char *verb = i ? "restore" : "verify";
        RUNS(5, NULL, "short: byte 3000: is cut short", verb, sandbox_path(&runs_box, "short"));
        RUNS(5, NULL, "checksum of block 2 is wrong", verb, sandbox_path(&runs_box, "flipped"));
        RUNS(8, NULL, "byte 8: has format", verb, sandbox_path(&runs_box, "newer"));
        RUNS(5, NULL, "text: byte 0: is no snapshot", verb, sandbox_path(&runs_box, "text"));
        RUNS(3, NULL, "no such file", verb, sandbox_path(&runs_box, "none"));
    }
    SHELL(0, "a\n", "eddy ls -o jsonl | jq -r .name");
    RUNS(1, NULL, "is no snapshot of eddy's", "-S", "a", "snapshot",
         sandbox_path(&runs_box, "text"));
    RUNS(3, NULL, "no such store", "-S", "none", "snapshot", file);
    RUNS(2, NULL, "wants", "restore", file, "b", "--mode", "x");
    RUNS(2, NULL, "eddy help restore", "restore");
}

/* Importers go on until the snapshots are there. */
Test(snapshot_tool, what_is_taken_under_load_exports_as_the_store_did_up_to_there, .timeout = 120) {
    RUNS(0, NULL, NULL, "create", "a");
    SHELL(0, "midway\nsame\nsame\nsame\n",
          "data=$PWD/tests/data/redis-history.jsonl.gz; cd $EDDY_DIR || exit;"
          " head() { eddy info $1 -o json | jq .head; };"
          " load() { n=0; while [ ! -e done ] && [ $n -lt 30 ]; do n=$((n + 1));"
          " eddy -S a import $data >/dev/null; done; };"
          " load & load &"
          " while [ $(head a) -lt 1000 ]; do :; done;"
          " for i in 1 2 3; do eddy -S a snapshot f$i >/dev/null; done; touch done; wait;"
          " for i in 1 2 3; do eddy restore f$i b$i >/dev/null; done;"
          " [ $(head b1) -lt $(head a) ] && echo midway;"
          " for i in 1 2 3; do eddy -S a read -o jsonl -n $(head b$i) >x &&"
          " eddy -S b$i read -o jsonl >y && cmp x y && echo same; done");
}
