/* Bad input to the program: each kind has its own error, which names the thing, the cause and the
 * cure, and its exit code; nothing is changed and nothing lost. */
#include "eddy.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "support/run.h"
#include "support/sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sandbox box;

static void set_up(void) {
    sandbox_make(&box);
    setenv("EDDY_DIR", box.dir, 1);
    setenv("DIR", box.dir, 1);
    unsetenv("EDDY_STORE");
}

TestSuite(bad_input, .init = set_up);

static void says(struct run *run, int code, const char *const *parts) {
    cr_assert_eq(run->code, code, "exit code %d, not %d: %s%s", run->code, code, run->err,
                 run->out);
    cr_assert_eq(run->out_len, 0, "on stdout: %s", run->out);
    cr_assert_eq(strncmp(run->err, "eddy: ", 6), 0, "%s", run->err);
    for (; *parts; parts++) {
        cr_assert_not_null(strstr(run->err, *parts), "'%s' is not said: %s", *parts, run->err);
    }
    run_free(run);
}

#define SAYS(run_, code, ...)                                                                      \
    do {                                                                                           \
        struct run says_run_ = run_;                                                               \
        says(&says_run_, code, (const char *const[]){__VA_ARGS__, NULL});                          \
    } while (0)

static void make_one(void) {
    struct run run = run_eddy("-S", "one", "append", "s", "first");
    cr_assert_eq(run.code, 0, "%s", run.err);
    run_free(&run);
}

/* The store holds its one event still, and is sound. */
static void one_is_as_it_was(void) {
    struct run run =
        run_shell("eddy -S one read -o raw && eddy check one >/dev/null && eddy info one -o json | "
                  "jq -c '[.head,.streams]'");
    cr_assert_eq(run.code, 0, "%s", run.err);
    cr_assert_str_eq(run.out, "first\n[1,1]\n");
    run_free(&run);
}

Test(bad_input, an_unknown_store, .timeout = 30) {
    SAYS(run_eddy("-S", "unknown", "read"), 3, "unknown", box.dir);
}

Test(bad_input, names_of_stores, .timeout = 30) {
    char long_name[202];
    memset(long_name, 'n', 201);
    long_name[201] = '\0';
    SAYS(run_eddy("create", "a/b"), 2, "a/b", "/");
    SAYS(run_eddy("create", long_name), 2, long_name, "200");
    SAYS(run_eddy("-S", "", "append", "s", "x"), 2, "name");
    SAYS(run_eddy("-S", "fd:77", "read"), 3, "77");
}

Test(bad_input, no_permission, .timeout = 30) {
    if (getuid() != 0) {
        skip_test("needs root, to become somebody else");
    }
    make_one();
    SAYS(run_shell("build=$(mktemp -d) && cp $EDDY_BUILD/eddy $build && chmod 755 $build && "
                   "setpriv --reuid=65534 --regid=65534 --clear-groups $build/eddy -S one read; "
                   "code=$?; rm -r $build; exit $code"),
         7, "one", "ermission");
    one_is_as_it_was();
}

static void write_file(const char *name, const void *bytes, size_t len) {
    int fd = open(sandbox_file(&box, name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, bytes, len), len);
    close(fd);
}

Test(bad_input, a_file_that_is_no_store, .timeout = 30) {
    write_file("notes", "hello\n", 6);
    const char *commands[] = {"info", "check", "rm", "who", "stats"};
    for (size_t i = 0; i < 5; i++) {
        SAYS(run_eddy(commands[i], "notes"), 5, "notes", "not");
    }
    SAYS(run_eddy("-S", "notes", "append", "s", "x"), 5, "notes", "not");
    struct stat facts;
    cr_assert_eq(stat(sandbox_file(&box, "notes"), &facts), 0);
    cr_assert_eq(facts.st_size, 6);
}

Test(bad_input, a_half_written_file, .timeout = 30) {
    make_one();
    SAYS(run_shell("cp $DIR/eddy.one $DIR/eddy.half && truncate -s 100000 $DIR/eddy.half && eddy "
                   "info half"),
         5, "half");
    SAYS(run_shell("head -c 100 $DIR/eddy.one >$DIR/eddy.half && eddy -S half append s x"), 5,
         "half");
    /* As a maker leaves it that died: the magic is written last. */
    SAYS(run_shell("cp $DIR/eddy.one $DIR/eddy.half && dd if=/dev/zero of=$DIR/eddy.half bs=8 "
                   "count=1 conv=notrunc "
                   "status=none && eddy info half"),
         5, "half");
    one_is_as_it_was();
}

/* Changes each 32-bit word of the first 64 bytes until one of them is taken for the version. */
Test(bad_input, another_layout_version, .timeout = 60) {
    make_one();
    bool found = false;
    for (unsigned at = 8; at < 64 && !found; at += 4) {
        struct run run =
            run_shell("cp $DIR/eddy.one $DIR/eddy.other && printf '\\351\\003\\000\\000' | "
                      "dd of=$DIR/eddy.other bs=1 seek=%u conv=notrunc status=none && "
                      "eddy info other",
                      at);
        found = run.code == 8;
        if (found) {
            has_text(run.err, "1001");
            struct run info =
                run_shell("eddy info one -o json | jq -r "
                          "'.layout | \"knows layout \\(./65536|floor).\\(.%%65536)\"' | "
                          "tr -d '\\n'");
            cr_assert_eq(info.code, 0);
            has_text(run.err, info.out);
            has_text(run.err, "other");
            run_free(&info);
        }
        run_free(&run);
    }
    cr_assert(found, "no word of the first 64 bytes gives exit code 8");
    one_is_as_it_was();
}

Test(bad_input, a_cap_below_the_minimum, .timeout = 30) {
    SAYS(run_eddy("create", "small", "--cap", "1M"), 2, "1M", "4M");
    SAYS(run_eddy("info", "small"), 3, "small");
}

Test(bad_input, a_version_that_does_not_match, .timeout = 30) {
    make_one();
    SAYS(run_eddy("-S", "one", "append", "s", "--expect", "5", "x"), 4, "'s'", "version 5",
         "version 1", "nothing was stored");
    one_is_as_it_was();
}

Test(bad_input, names_of_streams, .timeout = 30) {
    char name[257];
    memset(name, 'n', 256);
    name[256] = '\0';
    make_one();
    SAYS(run_eddy("-S", "one", "append", "", "x"), 2, "1 to 255", "0");
    SAYS(run_eddy("-S", "one", "append", name, "x"), 2, "1 to 255", "256");
    one_is_as_it_was();
}

Test(bad_input, a_broken_line_among_good_ones, .timeout = 30) {
    make_one();
    SAYS(run_shell("printf '{\"stream\":\"a\",\"tx\":1}\\n{\"stream\":\"b\",\"tx\":1,}\\n"
                   "{\"stream\":\"c\",\"tx\":1}\\n' | eddy -S one import"),
         1, ":2:22:");
    one_is_as_it_was();
}

Test(bad_input, an_event_larger_than_the_cap, .timeout = 60) {
    SAYS(run_shell("eddy create one --cap 8M && eddy -S one append s first >/dev/null && "
                   "head -c 9000000 /dev/zero | eddy -S one append s -"),
         6, "8388608");
    one_is_as_it_was();
}

Test(bad_input, a_cap_that_is_reached, .timeout = 120) {
    struct run run = run_shell(
        "eddy create one --cap 8M && "
        "yes '{\"stream\":\"s\",\"data\":\"0123456789012345678901234567890123456789\"}' | "
        "head -n 500000 | eddy -S one import");
    cr_assert_eq(run.code, 6, "%d: %s", run.code, run.err);
    has_text(run.err, "eddy: ");
    has_text(run.err, "cap");
    run_free(&run);
    run = run_shell("eddy check one && test $(eddy -S one read -o jsonl | wc -l) = "
                    "$(eddy info one -o json | jq .events) && "
                    "test $(eddy info one -o json | jq .events) -gt 10000");
    cr_assert_eq(run.code, 0, "%s", run.err);
    run_free(&run);
}

Test(bad_input, a_full_file_system, .timeout = 120) {
    struct run run = run_shell("unshare -Urm true");
    bool permitted = run.code == 0;
    run_free(&run);
    if (!permitted) {
        skip_test("no mount namespaces here");
    }
    run = run_shell(
        "mkdir $DIR/small && unshare -Urm sh -c '"
        "mount -t tmpfs -o size=16m none $DIR/small && export EDDY_DIR=$DIR/small && "
        "yes "
        "\"{\\\"stream\\\":\\\"s\\\",\\\"data\\\":\\\"0123456789012345678901234567890123456789\\\"}"
        "\" | "
        "head -n 1000000 | eddy import >&2; echo $?; "
        "eddy append s x >&2; echo $?; "
        "eddy create another >&2; echo $?; "
        "eddy check >&2; echo $?; "
        "test $(eddy read -o jsonl | wc -l) = $(eddy info -o json | jq .events); echo $?; "
        "test $(eddy info -o json | jq .events) -gt 20000; echo $?; ls $DIR/small'");
    cr_assert_eq(run.code, 0, "%s", run.err);
    /* The space for a second store may or may not be left. */
    cr_assert(strcmp(run.out, "6\n6\n6\n0\n0\n0\neddy.default\n") == 0, "%s%s", run.out, run.err);
    has_text(run.err, "--shm-size");
    run_free(&run);
}

/* eddy itself never dies by a signal, whatever size its file may have. */
Test(bad_input, a_limit_on_the_size_of_files, .timeout = 60) {
    struct run run = run_shell("ulimit -f 1000; eddy -S limited append s x");
    cr_assert(run.code == 6 || run.code == 1 || run.code == 0, "exit code %d: %s", run.code,
              run.err);
    run_free(&run);
}
