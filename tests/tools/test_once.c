/* eddy append --key: once only. */
#include "runs.h"

#include <string.h>

TestSuite(tools_once, .init = runs_set_up);

Test(tools_once, an_append_with_a_key_happens_once, .timeout = 60) {
    char key[300];
    memset(key, 'k', sizeof key);
    key[256] = 0;
    RUNS(0, "offset 1 version 1\n", NULL, "append", "s", "x", "--key", "a");
    RUNS(0, "offset 1 version 1, as before\n", NULL, "append", "s", "x", "--key", "a");
    RUNS(0, "\"repeated\":true}", NULL, "append", "t", "y", "--key", "a", "-o", "json");
    RUNS(0, "{\"offset\":2,\"version\":2,\"repeated\":false}", NULL, "append", "s", "x", "--key",
         "b", "-o", "json");
    RUNS(0, "{\"offset\":3,\"version\":3}", NULL, "append", "s", "x", "-o", "json");
    RUNS(0, "as before", NULL, "append", "s", "x", "--key", "a", "--expect", "none");
    RUNS(4, NULL, "", "append", "s", "x", "--key", "c", "--expect", "none");
    RUNS(0, "offset 4", NULL, "append", "s", "x", "--key", "c", "--expect", "3");
    RUNS(2, NULL, "1 to 255 bytes", "append", "s", "x", "--key", "");
    RUNS(2, NULL, "1 to 255 bytes", "append", "s", "x", "--key", key);
    RUNS(0, "gone: 0 events", NULL, "limits", "--keys", "1", "--keys-age", "1h");
    RUNS(0, "limit_keys_age", NULL, "limits");
    RUNS(0, "offset 5", NULL, "append", "s", "x", "--key", "d");
    RUNS(0, "offset 6", NULL, "append", "s", "x", "--key", "c");
    RUNS(0, "offset 6", NULL, "append", "s", "x", "--key", "c");
}
