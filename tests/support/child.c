#include "child.h"

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINGER_SPIN_US = 300 };

pid_t child_start(void (*fn)(void *arg), void *arg) {
    pid_t parent = getpid();
    int tied[2];
    CHECK_EQ(pipe2(tied, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(tied[0]);
        close(tied[1]);
        if (getppid() == parent) {
            fn(arg);
        }
        _exit(0);
    }
    CHECK_SAY(pid > 0, "fork: errno %d", errno);
    /* A child that is stopped before it is tied to this process would outlive it, for ever. */
    char none;
    close(tied[1]);
    CHECK_EQ(read(tied[0], &none, 1), 0);
    close(tied[0]);
    return pid;
}

static int reap(pid_t pid) {
    int status = 0;
    pid_t got;
    do {
        got = waitpid(pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    CHECK_EQ(got, pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int child_end(pid_t pid, int64_t limit_ms) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    CHECK_SAY(fd >= 0, "pidfd_open: errno %d", errno);
    struct pollfd f = {.fd = fd, .events = POLLIN};
    int64_t end = child_now_ns() + limit_ms * 1000000;
    int n;
    do {
        int64_t left = (end - child_now_ns()) / 1000000;
        n = poll(&f, 1, left > 0 ? (int)left : 0);
    } while (n < 0 && errno == EINTR);
    close(fd);
    if (n == 1) {
        return reap(pid);
    }
    child_kill(pid);
    return CHILD_LATE;
}

void child_kill(pid_t pid) {
    kill(pid, SIGKILL);
    reap(pid);
}

int child_stop(pid_t pid) {
    int status = 0;
    kill(pid, SIGSTOP);
    CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
    return WIFSTOPPED(status) ? 0 : -1;
}

void child_continue(pid_t pid) {
    kill(pid, SIGCONT);
}

int child_run(void (*fn)(void *arg), void *arg) {
    return child_end(child_start(fn, arg), CHILD_LIMIT_MS);
}

void *child_shared(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

void child_say(int fd) {
    char byte = 1;
    CHECK_EQ(write(fd, &byte, 1), 1);
}

void child_hear(int fd) {
    struct pollfd f = {.fd = fd, .events = POLLIN};
    char byte;
    int n;
    do {
        n = poll(&f, 1, CHILD_LIMIT_MS);
    } while (n < 0 && errno == EINTR);
    CHECK_EQ(n, 1);
    CHECK_EQ(read(fd, &byte, 1), 1);
}

int64_t child_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void child_linger_us(uint64_t us) {
    int64_t end = child_now_ns() + (int64_t)us * 1000;
    if (us > LINGER_SPIN_US) {
        struct timespec pause = {.tv_nsec = (long)(us - LINGER_SPIN_US / 2) * 1000};
        nanosleep(&pause, NULL);
    }
    while (child_now_ns() < end) {
    }
}
