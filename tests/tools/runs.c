#include "tools/runs.h"

#include <stdlib.h>
#include <string.h>

struct sandbox runs_box;

void runs_set_up(void) {
    sandbox_make(&runs_box);
    setenv("EDDY_DIR", runs_box.dir, 1);
    setenv("DIR", runs_box.dir, 1);
    unsetenv("EDDY_STORE");
    setenv("TZ", "UTC", 1);
}

void runs_expect(struct run *run, int code, const char *out, const char *err, int line) {
    cr_assert_eq(run->code, code, "line %d: exit code %d, not %d; it says: %s%s", line, run->code,
                 code, run->err, run->out);
    cr_assert(out ? strstr(run->out, out) != NULL : run->out_len == 0,
              "line %d: '%s' is not on stdout: %s", line, out ? out : "(nothing)", run->out);
    cr_assert(err ? strstr(run->err, err) != NULL : run->err_len == 0,
              "line %d: '%s' is not on stderr: %s", line, err ? err : "(nothing)", run->err);
    run_free(run);
}
