/* Where the kernel's membarrier is not to be had, members fence themselves, and say so; memory comes
 * back all the same, and nobody sees what is not there. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LIMIT = 2000, ROUNDS = 30, DATA = 100 };

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

/* Under a limit of events: appends many times as much, to streams that come and go. */
static void churn(eddy_store *store, unsigned who) {
    char name[32];
    char data[DATA] = {0};
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    for (unsigned i = 0; i < ROUNDS * LIMIT; i++) {
        snprintf(name, sizeof name, "s%u-%u", who, i % 7 == 0 ? i : i % 50);
        CHECK_OK(eddy_append(store, eddy_str(name), EDDY_ANY, &e, 1, NULL));
        if (i % 7 == 0) {
            CHECK_OK(eddy_forget(store, eddy_str(name), NULL));
        }
    }
}

static void churns(struct guest *guest) {
    bool denied = guest->more == NULL && deny_membarrier();
    if (guest->more == NULL && !denied) {
        _exit(77);
    }
    eddy_store *store = sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
    eddy_member_facts facts;
    CHECK(look_member(store, getpid(), &facts));
    CHECK(facts.fences == denied);
    guest_meet(guest);
    churn(store, denied ? 0 : 1);
    sandbox_check(store);
    guest_meet(guest);
    eddy_close(store);
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

/* Two at once: both without it, or (mixed) one. */
static void two(bool mixed) {
    struct sandbox box;
    int word = 0;
    sandbox_make(&box);
    limit(&box);
    struct guest a = {.box = &box};
    struct guest b = {.box = &box, .more = mixed ? &word : NULL};
    guest_start(&a, churns);
    guest_await(&a);
    guest_start(&b, churns);
    guest_await(&b);
    guest_tell(&a);
    guest_tell(&b);
    guest_await(&a);
    guest_await(&b);
    eddy_store *store = sandbox_open(&box, "store", 0);
    eddy_facts facts = look_facts(store);
    sandbox_check(store);
    cr_assert_eq(facts.events, LIMIT);
    cr_assert_lt(facts.reserved, UINT64_C(8) << 20, "%llu KiB reserved for %d events",
                 (unsigned long long)facts.reserved >> 10, LIMIT);
    eddy_close(store);
    guest_tell(&a);
    guest_tell(&b);
    cr_assert_eq(guest_end(&a), 0);
    cr_assert_eq(guest_end(&b), 0);
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
