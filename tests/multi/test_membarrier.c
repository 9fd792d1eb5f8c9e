/* Where the kernel's membarrier is not to be had, members fence themselves, and say so; memory comes
 * back all the same, and nobody sees what is not there. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/run.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIMIT = 2000, ROUNDS = 30, FEW = 100, DATA = 100 };

/* From now on the system call gives ENOSYS in this process: false if that cannot be arranged. */
static bool deny_membarrier(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A program that appends what it is given by the pipe. Who uses RCU cannot lose the system call while it
 * runs (liburcu ends such a process): so it is a new one. */
struct program {
    pid_t pid;
    int to[2];
    bool denied;
    const char *file;
};

static void imports(void *arg) {
    struct program *p = arg;
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (quiet < 0 || dup2(quiet, STDOUT_FILENO) < 0 || dup2(p->to[0], STDIN_FILENO) < 0 ||
        (p->denied && !deny_membarrier())) {
        _exit(77);
    }
    execl(run_path("eddy"), "eddy", "-S", p->file, "import", "--batch", "3", (char *)NULL);
    _exit(78);
}

static void program_start(struct program *p, const struct sandbox *box, bool denied) {
    cr_assert_eq(pipe2(p->to, O_CLOEXEC), 0);
    p->denied = denied;
    p->file = sandbox_file(box, "store");
    p->pid = child_start(imports, p);
    close(p->to[0]);
}

/* Appends, to streams that come and go. */
static void program_append(struct program *p, unsigned from, unsigned to) {
    char line[DATA];
    for (unsigned i = from; i < to; i++) {
        int len = snprintf(line, sizeof line, "{\"stream\":\"s%d-%u\",\"data\":\"%032u\"}\n",
                           p->pid, i % 7 == 0 ? i : i % 50, i);
        cr_assert_eq(write(p->to[1], line, (size_t)len), len);
    }
}

static int program_end(struct program *p) {
    close(p->to[1]);
    return child_end(p->pid, CHILD_LIMIT_MS);
}

static void limit(const struct sandbox *box) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_store *store = sandbox_open(box, "store", 0);
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = LIMIT;
    limits.names = 100;
    must(eddy_limits_set(store, &limits, NULL));
    eddy_close(store);
}

/* Waits until it has appended, and asks how it fences. */
static void assert_fences(eddy_store *store, struct program *p) {
    char stream[32];
    eddy_member_facts facts;
    snprintf(stream, sizeof stream, "s%d-1", p->pid);
    int64_t until = child_now_ns() + INT64_C(1000000) * CHILD_LIMIT_MS;
    while (look_version(store, stream) == 0 && child_now_ns() < until) {
        child_linger_us(1000);
    }
    cr_assert(look_member(store, p->pid, &facts));
    cr_assert_eq(facts.fences, p->denied);
}

/* Two at once under a limit of events: both without it, or (mixed) one. */
static void two(bool mixed) {
    struct sandbox box;
    struct program a;
    struct program b;
    sandbox_make(&box);
    limit(&box);
    program_start(&a, &box, true);
    program_start(&b, &box, !mixed);
    eddy_store *store = sandbox_open(&box, "store", 0);
    program_append(&a, 0, FEW);
    program_append(&b, 0, FEW);
    assert_fences(store, &a);
    assert_fences(store, &b);
    for (unsigned i = FEW; i < ROUNDS * LIMIT; i += FEW) {
        program_append(&a, i, i + FEW);
        program_append(&b, i, i + FEW);
    }
    cr_assert_eq(program_end(&a), 0);
    cr_assert_eq(program_end(&b), 0);
    eddy_facts facts = look_facts(store);
    sandbox_check(store);
    cr_assert_eq(facts.events, LIMIT);
    cr_assert_eq(facts.head, 2 * ROUNDS * LIMIT);
    cr_assert_lt(facts.reserved, UINT64_C(8) << 20, "%llu KiB reserved for %d events",
                 (unsigned long long)facts.reserved >> 10, LIMIT);
    eddy_close(store);
}

static void tries(void *arg) {
    (void)arg;
    _exit(deny_membarrier() ? 0 : 77);
}

static void need_seccomp(void) {
    if (child_run(tries, NULL) != 0) {
        cr_skip_test("system calls cannot be denied here");
    }
}

Test(membarrier, without_it_memory_comes_back_too, .timeout = 60) {
    need_seccomp();
    two(false);
}

Test(membarrier, members_with_and_without_it_work_side_by_side, .timeout = 60) {
    need_seccomp();
    two(true);
}
