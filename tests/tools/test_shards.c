/* `eddy shards`, and events by their shard: append, read, tail, import and export. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/run.h"
#include "support/sandbox.h"

#include <stdlib.h>
#include <string.h>

static struct sandbox box;

static void set_up(void) {
    sandbox_make(&box);
    setenv("EDDY_DIR", box.dir, 1);
    unsetenv("EDDY_STORE");
}

TestSuite(tool_shards, .init = set_up);

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

static void append_some(void) {
    SHELL(0, "offset 1", "", "eddy append a --shard 9 --time @300 c");
    SHELL(0, "offset 2", "", "eddy append a --shard 9 --time @100 a");
    SHELL(0, "offset 3", "", "eddy append b --shard 0 --time @400 zero");
    SHELL(0, "offset 4", "", "eddy append b none");
    SHELL(0, "offset 5", "", "eddy append b --shard 9 --time @200 b");
}

Test(tool_shards, they_are_listed_and_read_by_offset_and_by_time, .timeout = 60) {
    append_some();
    SHELL(0, "{\"shard\":0,\"newest\":\"1970-01-01T00:06:40Z\",\"last_offset\":3}\n", "",
          "eddy shards -o jsonl");
    SHELL(0, "9         5  1970-01-01", "", "eddy shards --utc");
    SHELL(0, "c\na\nb\n", "", "eddy read --shard 9 -o raw");
    SHELL(0, "b\na\nc\n", "", "eddy read --shard 9 -r -o raw");
    SHELL(0, "zero\n", "", "eddy read --shard 0 -o raw");
    SHELL(0, "b\n", "", "eddy read b --shard 9 -o raw");
    SHELL(0, "a\nb\nc\n", "", "eddy read --shard 9 --after-time @99 -o raw");
    SHELL(0, "b\n", "", "eddy read --shard 9 --after-time @100 -n 1 -o raw");
    SHELL(0, "c\na\nb\n", "", "eddy tail --shard 9 -o raw");
    SHELL(2, "", "--shard", "eddy read --after-time @1");
    SHELL(2, "", "--reverse", "eddy read --shard 9 --after-time @1 -r");
    SHELL(2, "", "shard", "eddy read --shard x");
}

Test(tool_shards, import_and_export_keep_them_and_whether_they_were_given, .timeout = 60) {
    append_some();
    SHELL(0, "9 9 0 null 9", "", "eddy read -o jsonl | jq .shard | paste -sd ' '");
    SHELL(0, "5 events", "", "eddy read -o jsonl | eddy -S copy import");
    SHELL(0, "9 9 0 null 9", "", "eddy -S copy read -o jsonl | jq .shard | paste -sd ' '");
    SHELL(0, "zero\n", "", "eddy -S copy read --shard 0 -o raw");
    SHELL(0, "a\nb\nc\n", "", "eddy -S copy read --shard 9 --after-time @0 -o raw");
}
