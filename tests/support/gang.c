#include "gang.h"

#include "check.h"
#include "child.h"
#include "rng.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct start {
    void (*fn)(void *arg);
    void *arg;
};

static void *run_thread(void *arg) {
    struct start start = *(struct start *)arg;
    free(arg);
    start.fn(start.arg);
    return NULL;
}

void gang_start(struct gang *gang, void (*fn)(void *arg), void *arg) {
    CHECK(gang->count < GANG_MAX);
    if (gang->threads) {
        struct start *start = malloc(sizeof *start);
        CHECK(start);
        *start = (struct start){.fn = fn, .arg = arg};
        CHECK_EQ(pthread_create(&gang->thread[gang->count], NULL, run_thread, start), 0);
    } else {
        gang->pid[gang->count] = child_start(fn, arg);
    }
    gang->count++;
}

/* Has it ended? 0 not yet, 1 well, -1 badly. */
static int ended(pid_t pid) {
    int status = 0;
    pid_t got = waitpid(pid, &status, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) {
        return 0;
    }
    if (got == pid && WIFSIGNALED(status)) {
        fprintf(stderr, "process %d was ended by signal %d (%s)\n", (int)pid, WTERMSIG(status),
                strsignal(WTERMSIG(status)));
    }
    return got == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 1 : -1;
}

static void kill_all(struct gang *gang) {
    for (uint32_t i = 0; i < gang->count; i++) {
        if (gang->pid[i] > 0) {
            child_kill(gang->pid[i]);
        }
    }
}

static bool end_processes(struct gang *gang, int64_t limit_ms) {
    int64_t end = child_now_ns() + limit_ms * 1000000;
    for (uint32_t left = gang->count; left > 0;) {
        for (uint32_t i = 0; i < gang->count; i++) {
            int got = gang->pid[i] > 0 ? ended(gang->pid[i]) : 0;
            if (got != 0) {
                gang->pid[i] = 0;
                left--;
            }
            if (got < 0) {
                kill_all(gang);
                return false;
            }
        }
        if (left > 0 && child_now_ns() > end) {
            fprintf(stderr, "%u of %u processes have not ended in %" PRId64 " ms\n", left,
                    gang->count, limit_ms);
            kill_all(gang);
            return false;
        }
        child_linger_us(500);
    }
    return true;
}

bool gang_end(struct gang *gang, int64_t limit_ms) {
    bool good = true;
    if (gang->threads) {
        for (uint32_t i = 0; i < gang->count; i++) {
            CHECK_EQ(pthread_join(gang->thread[i], NULL), 0);
        }
    } else {
        good = end_processes(gang, limit_ms);
    }
    gang->count = 0;
    return good;
}

eddy_facts gang_facts(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(store, &facts));
    return facts;
}

uint64_t gang_used(eddy_store *store) {
    eddy_facts facts = gang_facts(store);
    return facts.reserved - facts.free;
}

void gang_maintain(eddy_store *store) {
    CHECK_OK(eddy_maintain(store, 0, NULL));
    CHECK_OK(eddy_maintain(store, 0, NULL)); /* what the first has freed may free what is above */
}

double gang_mib(uint64_t bytes) {
    return (double)bytes / (1 << 20);
}

_Noreturn void gang_breach(const char *format, ...) {
    va_list list;
    fflush(stdout);
    fprintf(stderr, "BREACH: ");
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fprintf(stderr, "; EDDY_SEED=%" PRIu64 "\n", rng_seed());
    fflush(stderr);
    _exit(1); /* it may be a child, which is not to end what its parent began */
}
