#include "run.h"

#include "check.h"
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *run_path(const char *program) {
    static _Thread_local char paths[4][1024];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 4];
    const char *build = getenv("EDDY_BUILD");
    CHECK_SAY(build && *build, "EDDY_BUILD is not set: it says where the programs are");
    snprintf(path, sizeof paths[0], "%s/%s", build, program);
    return path;
}

struct start {
    const char *path;
    const char *const *argv;
    int fds[3];
};

static void start_program(void *arg) {
    const struct start *start = arg;
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 3; i++) {
        CHECK(dup2(start->fds[i], i) == i);
    }
    execv(start->path, (char *const *)(uintptr_t)start->argv);
    CHECK_SAY(0, "%s cannot be started: %s", start->path, strerror(errno));
}

/* A file in memory, at which no writer ever waits for a reader. */
static int make_file(const char *bytes, size_t len) {
    int fd = memfd_create("eddy-test-run", MFD_CLOEXEC);
    CHECK(fd >= 0);
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        CHECK(n > 0);
        bytes += n;
        len -= (size_t)n;
    }
    CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static char *read_file(int fd, size_t *len) {
    struct stat facts;
    CHECK_EQ(fstat(fd, &facts), 0);
    *len = (size_t)facts.st_size;
    char *bytes = malloc(*len + 1);
    CHECK(bytes);
    for (size_t at = 0; at < *len;) {
        ssize_t n = pread(fd, bytes + at, *len - at, (off_t)at);
        CHECK(n > 0);
        at += (size_t)n;
    }
    bytes[*len] = '\0';
    close(fd);
    return bytes;
}

struct run run_argv(const char *const argv[], const char *input, size_t input_len) {
    struct run run = {0};
    struct start start = {.path = argv[0][0] == '/' ? argv[0] : run_path(argv[0]), .argv = argv};
    start.fds[0] = input ? make_file(input, input_len) : open("/dev/null", O_RDONLY | O_CLOEXEC);
    start.fds[1] = make_file(NULL, 0);
    start.fds[2] = make_file(NULL, 0);
    run.code = child_end(child_start(start_program, &start), RUN_LIMIT_MS);
    close(start.fds[0]);
    run.out = read_file(start.fds[1], &run.out_len);
    run.err = read_file(start.fds[2], &run.err_len);
    return run;
}

struct run run_shell(const char *format, ...) {
    char line[8192];
    int n = snprintf(line, sizeof line, "PATH=$EDDY_BUILD:$PATH; export PATH\n");
    va_list list;
    va_start(list, format);
    int more = vsnprintf(line + n, sizeof line - (size_t)n, format, list);
    va_end(list);
    CHECK(more >= 0 && (size_t)(n + more) < sizeof line);
    return run_argv((const char *const[]){"/bin/sh", "-c", line, NULL}, NULL, 0);
}

void run_free(struct run *run) {
    free(run->out);
    free(run->err);
    *run = (struct run){0};
}

size_t run_lines(const char *text) {
    size_t lines = 0;
    for (; *text; text++) {
        lines += *text == '\n';
    }
    return lines;
}
