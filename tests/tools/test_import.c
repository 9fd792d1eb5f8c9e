/* `eddy import` and export: real input, all of it, and what is wrong with bad input. */
#include "eddy.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "support/run.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HISTORY "tests/data/redis-history.jsonl.gz"

static struct sandbox box;

static void set_up(void) {
    sandbox_make(&box);
    setenv("EDDY_DIR", box.dir, 1);
    setenv("DIR", box.dir, 1);
    setenv("HISTORY", HISTORY, 1);
    unsetenv("EDDY_STORE");
    cr_assert_eq(access(HISTORY, R_OK), 0, "run the tests from the root of the source tree");
}

TestSuite(import, .init = set_up);

static void expect_run(struct run *run, int code, const char *out, const char *err, int line) {
    cr_assert_eq(run->code, code, "line %d: exit code %d, not %d; it says: %s%s", line, run->code,
                 code, run->err, run->out);
    cr_assert(strstr(run->out, out) != NULL, "line %d: '%s' is not on stdout: %s", line, out,
              run->out);
    cr_assert(strstr(run->err, err) != NULL, "line %d: '%s' is not on stderr: %s", line, err,
              run->err);
    run_free(run);
}

#define SHELL(code_, out_part, err_part, ...)                                                      \
    do {                                                                                           \
        struct run run_ = run_shell(__VA_ARGS__);                                                  \
        expect_run(&run_, code_, out_part, err_part, __LINE__);                                    \
    } while (0)

/* What of an exported line is in the input, too, in one order of fields. */
#define AS_INPUT "jq -cS '{stream,type,id,time,data}'"
/* For each transaction its ids in one line. */
#define AS_TRANSACTIONS                                                                            \
    "jq -r '[(.tx|tostring),.id]|@tsv' | "                                                         \
    "awk -F'\\t' '$1!=t{if(NR>1)print l;l=\"\";t=$1}{l=l\" \"$2}END{print l}'"

Test(import, the_history_comes_out_line_by_line_as_it_went_in, .timeout = 120) {
    SHELL(0, "28069 events in 10836 transactions on 2566 streams", "", "eddy import $HISTORY");
    SHELL(0, "same", "",
          "zcat $HISTORY | " AS_INPUT " >$DIR/in; eddy read -o jsonl | " AS_INPUT " >$DIR/out; "
          "cmp $DIR/in $DIR/out && echo same");
    SHELL(0, "same", "",
          "zcat $HISTORY | " AS_TRANSACTIONS " >$DIR/in; "
          "eddy read -o jsonl | " AS_TRANSACTIONS " >$DIR/out; cmp $DIR/in $DIR/out && echo same");
    SHELL(0, "[28069,28069,2566,10836]", "",
          "eddy info -o json | jq -c '[.head,.events,.streams,.transactions]'");
    SHELL(0, "899", "", "eddy streams src/server.c -o jsonl | jq .count");
    SHELL(0, "2566", "", "eddy streams -o jsonl | wc -l");
    SHELL(0, "true", "", "eddy read -o jsonl | jq -s 'map(.offset) == [range(1; 28070)]'");
    SHELL(0, "true", "",
          "eddy read src/server.c -o jsonl | jq -s 'map(.version) == [range(1; 900)]'");
    SHELL(0, "", "", "eddy check");
}

Test(import, four_at_once_lose_nothing_and_tear_nothing, .timeout = 120) {
    SHELL(0, "0000\n", "",
          "eddy create; eddy tail -f --after-offset 0 -c 28069 -o jsonl >$DIR/seen & follower=$!; "
          "pids=; for i in 0 1 2 3; do eddy import --part $i/4 $HISTORY >/dev/null & "
          "pids=\"$pids $!\"; done; for p in $pids; do wait $p; printf $?; done; echo; "
          "wait $follower");
    SHELL(0, "same", "",
          "zcat $HISTORY | " AS_INPUT " | sort >$DIR/in; eddy read -o jsonl | " AS_INPUT
          " | sort >$DIR/out; cmp $DIR/in $DIR/out && echo same");
    SHELL(0, "same", "",
          "zcat $HISTORY | " AS_TRANSACTIONS " | sort >$DIR/in; "
          "eddy read -o jsonl | " AS_TRANSACTIONS
          " | sort >$DIR/out; cmp $DIR/in $DIR/out && echo same");
    SHELL(0, "same", "", "eddy read -o jsonl | cmp - $DIR/seen && echo same");
    SHELL(0, "[28069,2566,10836]", "",
          "eddy info -o json | jq -c '[.events,.streams,.transactions]'");
    SHELL(0, "", "", "eddy check");
}

Test(import, export_and_import_make_an_equal_store, .timeout = 120) {
    SHELL(0, "28069", "", "eddy -S a import $HISTORY");
    SHELL(0, "offset", "",
          "printf '\\377\\000' | eddy -S a append 'bin' - && "
          "eddy -S a append s --time 1969-12-31T23:59:59.999999999Z --shard 7 --metadata m '\"x\"' "
          "&& "
          "eddy -S a append s --type '' --id 'an id' --tag t --tag u '  {\"spaces\" : 1.0e2}' && "
          "eddy -S a append s --tag \"$(printf '\\377')\" --tag u");
    SHELL(0, "28073 events in 10840 transactions on 2568 streams", "",
          "eddy -S a read -o jsonl | eddy -S b import");
    SHELL(0, "same", "",
          "for s in a b; do eddy -S $s read -o jsonl | sed 's/\"recorded\":\"[^\"]*\",//' "
          ">$DIR/$s.out; "
          "done; cmp $DIR/a.out $DIR/b.out && echo same");
    SHELL(0, "same", "",
          "for s in a b; do eddy -S $s streams -o jsonl | jq -c 'del(.bytes)' >$DIR/$s.out; done; "
          "cmp $DIR/a.out $DIR/b.out && echo same");
}

Test(import, takes_plain_gzip_zstd_and_several_files, .timeout = 120) {
    SHELL(0, "", "",
          "cd $DIR; for i in 1 2 3; do echo \"{\\\"stream\\\":\\\"s\\\",\\\"data\\\":$i}\" >$i; "
          "done; "
          "gzip 2; cp 3 3plain; if command -v zstd >/dev/null; then zstd -q --rm 3; else mv 3 "
          "3.zst; fi");
    SHELL(0, "3 events in 3 transactions on 1 streams", "", "cd $DIR; eddy import 1 2.gz 3.zst");
    SHELL(0, "[1,2,3]", "", "eddy read -o jsonl | jq -sc 'map(.data)'");
    SHELL(0, "1 events", "", "cd $DIR; eddy -S other import - <2.gz");
    SHELL(0, "{\"events\":1,\"transactions\":1,\"streams\":1", "",
          "cd $DIR; eddy -S other import 1 -o json | jq -c 'del(.seconds)'");
    SHELL(0, "0 events", "", "eddy -S other import </dev/null");
    SHELL(0, "0 events", "", "printf '\\n  \\n' | eddy -S other import");
}

Test(import, lines_are_made_transactions_by_tx_or_by_batch, .timeout = 60) {
    SHELL(0, "7 events in 4 transactions", "",
          "for t in '\"a\"' '\"a\"' '\"b\"' 3 3 3 '\"a\"'; do "
          "echo \"{\\\"stream\\\":\\\"s\\\",\\\"tx\\\":$t}\"; done | eddy import");
    SHELL(0, "[2,2,1,3,3,3,1]", "", "eddy read -o jsonl | jq -sc 'map(.tx_count)'");
    SHELL(0, "10 events in 4 transactions", "",
          "for i in 0 1 2 3 4 5 6 7 8 9; do echo '{\"stream\":\"s\"}'; done | "
          "eddy -S other import --batch 3");
    SHELL(2, "", "0", "eddy import --batch 0 </dev/null");
    SHELL(2, "", "65537", "eddy import --batch 65537 </dev/null");
    SHELL(2, "", "4/4", "eddy import --part 4/4 </dev/null");
}

/* A bad line in the middle of a stream of them: what was before it stays, it and the rest do not.
 */
struct bad {
    const char *line;
    const char *says;
};

Test(import, a_bad_line_is_told_with_file_line_column_and_reason, .timeout = 120) {
    const struct bad bad[] = {
        {"{\"stream\":\"s\",\"data\":{\"a\":}}", ":2:27: "},
        {"{\"stream\":\"s\",\"data\":{\"a\":1}", ":2:"},
        {"{\"stream\":\"s\"} x", ":2:16: "},
        {"[1]", ":2:1: "},
        {"hello", ":2:1: "},
        {"{\"data\":1}", "stream"},
        {"{\"stream\":\"\"}", "stream"},
        {"{\"stream\":5}", "stream"},
        {"{\"stream\":\"s\",\"stream\":\"t\"}", "stream"},
        {"{\"stream\":\"s\",\"type\":1}", "type"},
        {"{\"stream\":\"s\",\"time\":\"2009-13-01T00:00:00Z\"}", "time"},
        {"{\"stream\":\"s\",\"time\":\"soon\"}", "time"},
        {"{\"stream\":\"s\",\"time\":1.5}", "time"},
        {"{\"stream\":\"s\",\"shard\":-1}", "shard"},
        {"{\"stream\":\"s\",\"shard\":18446744073709551616}", "shard"},
        {"{\"stream\":\"s\",\"tags\":\"t\"}", "list of strings"},
        {"{\"stream\":\"s\",\"tags\":[\"t\",1]}", ":2:27: "},
        {"{\"stream\":\"s\",\"tags\":[\"\"]}", "1 to 255"},
        {"{\"stream\":\"s\",\"tags\":[\"t\",\"\\ud800\"]}", "surrogate"},
        {"{\"stream\":\"s\",\"tags_b64\":[\"?\"]}", "base64"},
        {"{\"stream\":\"s\",\"tags\":[],\"tags_b64\":[]}", "both"},
        {"{\"stream\":\"s\",\"data_b64\":\"?\"}", "data_b64"},
        {"{\"stream\":\"s\",\"data\":1,\"data_b64\":\"AA==\"}", "data"},
        {"{\"stream\":\"s\",\"data\":\"\xff\"}", "UTF-8"},
        {"{\"stream\":\"s\",\"data\":01}", ":2:"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char input[512];
        char name[16];
        int n = snprintf(input, sizeof input,
                         "{\"stream\":\"before\"}\n%s\n{\"stream\":\"after\"}\n", bad[i].line);
        cr_assert(n > 0 && n < (int)sizeof input);
        snprintf(name, sizeof name, "bad-%zu", i);
        struct run run = run_eddy_with(input, "-S", name, "import");
        cr_assert_eq(run.code, 1, "%s: exit code %d: %s", bad[i].line, run.code, run.err);
        cr_assert_not_null(strstr(run.err, ":2:"), "%s: %s", bad[i].line, run.err);
        cr_assert_not_null(strstr(run.err, bad[i].says), "%s: %s", bad[i].line, run.err);
        run_free(&run);
        SHELL(0, "[\"before\"]", "", "eddy -S %s read -o jsonl | jq -sc 'map(.stream)'", name);
    }
}

Test(import, nothing_is_stored_of_a_transaction_with_a_bad_line, .timeout = 60) {
    SHELL(1, "", "file:4:",
          "cd $DIR; printf '{\"stream\":\"a\",\"tx\":1}\\n{\"stream\":\"b\",\"tx\":2}\\n"
          "{\"stream\":\"c\",\"tx\":2}\\n{\"stream\":\"d\",\"tx\":2,\"data\":nope}\\n' >file; "
          "eddy import file");
    SHELL(0, "[\"a\"]", "", "eddy read -o jsonl | jq -sc 'map(.stream)'");
}

Test(import, names_too_long_and_files_that_are_not_there, .timeout = 60) {
    SHELL(1, "", "256", "printf '{\"stream\":\"%%0256d\"}\\n' 0 | eddy import");
    SHELL(0, "1 events", "", "printf '{\"stream\":\"%%0255d\"}\\n' 0 | eddy import");
    SHELL(1, "", "no-such-file", "eddy -S new import no-such-file");
    SHELL(3, "", "new", "eddy info new");
    SHELL(1, "", "cut",
          "zcat $HISTORY | head -n 2000 | gzip | head -c 9000 >$DIR/cut.gz; "
          "eddy -S cut import $DIR/cut.gz");
    SHELL(1, "", "damaged",
          "printf '\\037\\213\\010garbage garbage garbage' >$DIR/bad.gz; "
          "eddy -S cut import $DIR/bad.gz");
}
