#include "sandbox.h"

#include "check.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *at) {
    (void)facts;
    (void)kind;
    (void)at;
    remove(path);
    return 0;
}

/* Waits for the end of the process that owner stands for, and removes the directory then. It holds
 * nothing of the test open, and is in no session that a ^C ends. */
static void janitor(int owner, const char *dir) {
    setsid();
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && null >= 0; fd++) {
        dup2(null, fd);
    }
    if (owner != 3) {
        dup2(owner, 3);
    }
    syscall(SYS_close_range, 4u, ~0u, 0u);
    struct pollfd f = {.fd = 3, .events = POLLIN};
    while (poll(&f, 1, -1) < 0) {
    }
    nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void sandbox_make(struct sandbox *sandbox) {
    const char *base = getenv("TMPDIR");
    base = base && *base ? base : "/dev/shm";
    snprintf(sandbox->dir, sizeof sandbox->dir, "%s/eddy-test-XXXXXX", base);
    CHECK(mkdtemp(sandbox->dir));
    CHECK_EQ(chmod(sandbox->dir, 0711), 0);
    int owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
    CHECK(owner >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        /* Twice, so that the janitor is nobody's child to reap. */
        if (fork() == 0) {
            janitor(owner, sandbox->dir);
        }
        _exit(0);
    }
    CHECK(pid > 0);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    close(owner);
}

const char *sandbox_path(const struct sandbox *sandbox, const char *name) {
    static _Thread_local char paths[8][512];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", sandbox->dir, name);
    return path;
}

const char *sandbox_file(const struct sandbox *sandbox, const char *name) {
    char file[300];
    snprintf(file, sizeof file, "eddy.%s", name);
    return sandbox_path(sandbox, file);
}

eddy_store *sandbox_open(const struct sandbox *sandbox, const char *name, uint32_t flags) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = flags;
    options.cap = SANDBOX_CAP;
    options.dir = sandbox->dir;
    eddy_store *store = NULL;
    CHECK_OK(eddy_open(&store, name, &options));
    return store;
}

eddy_store *sandbox_anonymous_of(uint64_t cap) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = EDDY_ANONYMOUS;
    options.cap = cap;
    eddy_store *store = NULL;
    CHECK_OK(eddy_open(&store, NULL, &options));
    return store;
}

eddy_store *sandbox_anonymous(void) {
    return sandbox_anonymous_of(SANDBOX_CAP);
}

eddy_store *sandbox_again(eddy_store *store, uint32_t flags) {
    char name[32];
    snprintf(name, sizeof name, "fd:%d", (int)CHECK_OK(eddy_store_fd(store)));
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = flags;
    eddy_store *again = NULL;
    CHECK_OK(eddy_open(&again, name, &options));
    return again;
}

const char *sandbox_fd_name(eddy_store *store, char *text) {
    int fd = dup((int)CHECK_OK(eddy_store_fd(store)));
    CHECK(fd >= 0);
    snprintf(text, 16, "fd:%d", fd);
    return text;
}

static void say_wrong(void *arg, const char *room, const char *text) {
    (void)arg;
    dprintf(STDERR_FILENO, "eddy_check: %s: %s\n", room, text);
}

void sandbox_check(eddy_store *store) {
    CHECK_EQ(eddy_check(store, say_wrong, NULL), 0);
}

struct member_count {
    uint32_t all;
    uint32_t dead;
};

static int count_member(void *arg, const eddy_member_facts *facts) {
    struct member_count *count = arg;
    count->all++;
    count->dead += !facts->alive;
    return 0;
}

uint32_t sandbox_members(eddy_store *store, uint32_t *dead) {
    struct member_count count = {0};
    CHECK_EQ(eddy_members(store, count_member, &count), 0);
    if (dead) {
        *dead = count.dead;
    }
    return count.all;
}

uint64_t sandbox_head(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(store, &facts));
    return facts.head;
}
