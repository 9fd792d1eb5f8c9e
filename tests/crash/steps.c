#include "steps.h"

#include "support/check.h"
#include "support/child.h"
#include "support/sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, INSTRUCTIONS_MAX = 3000000, BREACHES_SHOWN = 200, SAME_SHOWN = 4 };

struct steps_report *steps_report;

/* ---- what is said ---- */

extern const char __executable_start[];
extern const char etext[];

static bool ours(uint64_t address) {
    return address >= (uint64_t)(uintptr_t)__executable_start &&
           address < (uint64_t)(uintptr_t)etext;
}

/* The source line of an instruction, as far as it can be told. */
static void say_line(const char *what, uint64_t address) {
    char command[300];
    char line[400] = "";
    if (!ours(address)) {
        Dl_info info;
        bool known = dladdr((void *)(uintptr_t)address, &info) && info.dli_sname;
        fprintf(stderr, "    %s %#llx in %s\n", what, (unsigned long long)address,
                known ? info.dli_sname : "another library");
        return;
    }
    uint64_t off = address - (uint64_t)(uintptr_t)__executable_start;
    snprintf(command, sizeof command, "addr2line -f -i -p -e /proc/%d/exe %#llx 2>/dev/null",
             (int)getpid(), (unsigned long long)off);
    FILE *f = popen(command, "r");
    fprintf(stderr, "    %s +%#llx", what, (unsigned long long)off);
    while (f && fgets(line, sizeof line, f)) {
        fprintf(stderr, " %s", line);
    }
    if (f) {
        pclose(f);
    }
    if (!line[0]) {
        fprintf(stderr, "\n");
    }
}

void steps_at(const struct steps_tracee *t, const char *phase) {
    struct steps_report *r = steps_report;
    snprintf(r->op, sizeof r->op, "%s", t->stage->op->name);
    snprintf(r->phase, sizeof r->phase, "%s", phase);
    r->instruction = t->instructions;
    r->change = t->changes;
    r->at = t->at;
    r->own = t->own;
    r->done = atomic_load(&t->stage->shared->done);
}

void steps_say_place(void) {
    const struct steps_report *r = steps_report;
    fprintf(stderr, "  in '%s' (%s), after instruction %llu, change %llu%s\n", r->op, r->phase,
            (unsigned long long)r->instruction, (unsigned long long)r->change,
            r->done ? ", acknowledged" : "");
    say_line("the instruction:", r->at);
    if (r->own != r->at) {
        say_line("called from behind:", r->own);
    }
}

void steps_breach(const char *format, ...) {
    static const char *last;
    static unsigned same;
    char text[600];
    va_list list;
    same = format == last ? same + 1 : 0;
    last = format;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (++steps_report->breaches <= BREACHES_SHOWN && same < SAME_SHOWN) {
        fprintf(stderr, "BREACH: %s\n", text);
        steps_say_place();
    }
}

/* ---- the stage ---- */

static int64_t now_ns = STEPS_NOW_NS - 3 * STEPS_AGE_NS;

int64_t steps_clock(void *arg) {
    (void)arg;
    return now_ns;
}

eddy_store *steps_open(const struct steps_stage *stage) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = EDDY_MUST_EXIST;
    options.clock = steps_clock;
    eddy_store *store = NULL;
    CHECK_OK(eddy_open(&store, stage->name, &options));
    return store;
}

void steps_stage_make(struct steps_stage *stage, const struct steps_op *op) {
    memset(stage, 0, sizeof *stage);
    stage->op = op;
    stage->shared = child_shared(sizeof *stage->shared);
    struct eddy_arena_options options = {.cap = STEPS_CAP,
                                         .mode = 0600,
                                         .members = (op->members ? op->members : STEPS_MEMBERS) + 1,
                                         .threads = STEPS_THREADS + 1,
                                         .hash_keep = op->hash_keep};
    struct eddy_arena arena;
    CHECK_OK(eddy_arena_create(&arena, NULL, &options));
    snprintf(stage->name, sizeof stage->name, "fd:%d", arena.fd);
    stage->store = steps_open(stage);
    eddy_arena_close(&arena);
    snprintf(stage->name, sizeof stage->name, "fd:%d", (int)CHECK_OK(eddy_store_fd(stage->store)));
    if (op->prepare) {
        op->prepare(stage);
    }
}

void steps_stage_end(struct steps_stage *stage) {
    eddy_close(stage->store);
    munmap(stage->shared, sizeof *stage->shared);
}

size_t steps_file(const struct steps_stage *stage) {
    struct stat facts;
    CHECK_EQ(fstat(stage->store->arena.fd, &facts), 0);
    return (size_t)facts.st_size;
}

/* ---- the stepped process ---- */

struct start {
    struct steps_stage *stage;
    int (*act)(struct steps_stage *stage);
    bool joined; /* it is a member already, by a handle of its own */
};

static void be_stepped(void *arg) {
    struct start *start = arg;
    struct steps_stage *stage = start->stage;
    struct steps_shared *shared = stage->shared;
    now_ns = STEPS_NOW_NS;
    if (stage->op->ready && !start->joined) {
        stage->op->ready(stage);
    } else if (!start->joined) {
        stage->mine = steps_open(stage);
    } else {
        stage->mine = stage->store;
    }
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0) {
        atomic_store(&shared->forbidden, 1);
        _exit(0);
    }
    raise(SIGSTOP);
    int rc = start->act(stage);
    atomic_store(&shared->rc, rc);
    atomic_store(&shared->done, 1);
    eddy_tx_free(stage->tx);
    eddy_reader_close(stage->reader);
    eddy_close(stage->mine);
    atomic_store(&shared->ended, 1);
}

static void map_live(struct steps_tracee *t) {
    t->live = mmap(NULL, STEPS_CAP, PROT_READ, MAP_SHARED, t->stage->store->arena.fd, 0);
    t->last = mmap(NULL, STEPS_CAP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(t->live != MAP_FAILED && t->last != MAP_FAILED);
}

static void unmap_live(struct steps_tracee *t) {
    munmap(t->live, STEPS_CAP);
    munmap(t->last, STEPS_CAP);
}

/* Takes over what is new in [off, off + len). */
static bool sync_bytes(struct steps_tracee *t, size_t off, size_t len) {
    bool changed = false;
    for (size_t at = off; at < off + len; at += PAGE) {
        size_t n = off + len - at < PAGE ? off + len - at : PAGE;
        if (memcmp(t->last + at, t->live + at, n) != 0) {
            memcpy(t->last + at, t->live + at, n);
            changed = true;
        }
    }
    return changed;
}

static bool look(struct steps_tracee *t) {
    const struct eddy_arena *a = &t->stage->store->arena;
    const struct eddy_shm_super *super = (const struct eddy_shm_super *)(void *)t->live;
    uint64_t reserved = eddy_ld_acq(&super->reserved);
    uint64_t states = eddy_arena_off(a, a->extents);
    uint64_t ring = eddy_arena_off(a, a->ring);
    uint64_t states_end = states + reserved * sizeof(struct eddy_shm_extent);
    bool commit = memcmp(t->last + ring, t->live + ring, sizeof(struct eddy_shm_ring)) != 0;
    bool changed = sync_bytes(t, 0, states_end);
    const struct eddy_shm_extent *e = (const struct eddy_shm_extent *)(void *)(t->live + states);
    for (uint64_t i = 0; i < reserved; i++) {
        /* What is free has no contents, and some of it no memory. */
        unsigned state = EDDY_STATE_OF(eddy_ld_acq(&e[i].state));
        if (state != EDDY_FREE && state != EDDY_HOLE) {
            changed |= sync_bytes(t, eddy_arena_extent_off(a, (uint32_t)i), EDDY_EXTENT_SIZE);
        }
    }
    t->reserved = reserved;
    t->commits += commit;
    t->changes += changed;
    return changed;
}

size_t steps_image(const struct steps_tracee *t) {
    return eddy_arena_extent_off(&t->stage->store->arena, (uint32_t)t->reserved);
}

/* Waits until it is stopped; the signal, or -1 if it has ended. */
static int wait_stop(struct steps_tracee *t) {
    int status = 0;
    pid_t got;
    do {
        got = waitpid(t->pid, &status, 0);
    } while (got < 0 && errno == EINTR);
    CHECK_EQ(got, t->pid);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

#if defined(__x86_64__)
static uint64_t address(const struct steps_tracee *t) {
    errno = 0;
    uint64_t rip = (uint64_t)ptrace(PTRACE_PEEKUSER, t->pid,
                                    (void *)offsetof(struct user_regs_struct, rip), NULL);
    CHECK_EQ(errno, 0);
    return rip;
}

/* Bytes of the string instruction with a repeat prefix at an address, or 0. */
static unsigned repeated(const struct steps_tracee *t, uint64_t rip) {
    unsigned char code[4] = {0};
    struct iovec to = {code, sizeof code};
    struct iovec from = {(void *)(uintptr_t)rip, sizeof code};
    if (process_vm_readv(t->pid, &to, 1, &from, 1, 0) != sizeof code ||
        (code[0] != 0xf3 && code[0] != 0xf2)) {
        return 0;
    }
    unsigned at = (code[1] & 0xf0) == 0x40 ? 2 : 1;
    return code[at] >= 0xa4 && code[at] <= 0xaf ? at + 1 : 0;
}

/* Puts a trap at an address; gives what was there. */
static long set_trap(struct steps_tracee *t, uint64_t rip) {
    void *at = (void *)(uintptr_t)rip;
    errno = 0;
    long was = ptrace(PTRACE_PEEKTEXT, t->pid, at, NULL);
    CHECK_EQ(errno, 0);
    CHECK_EQ(ptrace(PTRACE_POKETEXT, t->pid, at, (void *)((was & ~0xffL) | 0xcc)), 0);
    return was;
}

/* Runs until it comes to an address, or to the other. */
static void run_to(struct steps_tracee *t, uint64_t rip, uint64_t other) {
    struct user_regs_struct regs;
    long was = set_trap(t, rip);
    long other_was = other ? set_trap(t, other) : 0;
    CHECK_EQ(ptrace(PTRACE_CONT, t->pid, NULL, NULL), 0);
    CHECK_EQ(wait_stop(t), SIGTRAP);
    if (other) {
        CHECK_EQ(ptrace(PTRACE_POKETEXT, t->pid, (void *)(uintptr_t)other, (void *)other_was), 0);
    }
    CHECK_EQ(ptrace(PTRACE_POKETEXT, t->pid, (void *)(uintptr_t)rip, (void *)was), 0);
    CHECK_EQ(ptrace(PTRACE_GETREGS, t->pid, NULL, &regs), 0);
    regs.rip--; /* behind the trap */
    CHECK(regs.rip == rip || regs.rip == other);
    CHECK_EQ(ptrace(PTRACE_SETREGS, t->pid, NULL, &regs), 0);
}

/* Where a function of another library, at whose first instruction it is, will return to; 0: not to
 * this program. */
static uint64_t return_address(const struct steps_tracee *t) {
    errno = 0;
    uint64_t rsp = (uint64_t)ptrace(PTRACE_PEEKUSER, t->pid,
                                    (void *)offsetof(struct user_regs_struct, rsp), NULL);
    uint64_t to = (uint64_t)ptrace(PTRACE_PEEKDATA, t->pid, (void *)(uintptr_t)rsp, NULL);
    CHECK_EQ(errno, 0);
    return ours(to) ? to : 0;
}
#else
/* Elsewhere nothing is stepped: see start_act(). */
static uint64_t address(const struct steps_tracee *t) {
    (void)t;
    return 0;
}

static unsigned repeated(const struct steps_tracee *t, uint64_t rip) {
    (void)t;
    (void)rip;
    return 0;
}

static void run_to(struct steps_tracee *t, uint64_t rip, uint64_t other) {
    (void)t;
    (void)rip;
    (void)other;
}

static uint64_t return_address(const struct steps_tracee *t) {
    (void)t;
    return 0;
}
#endif

/* Keeps an eye on where it is: away from this program, for how long, and where it will come back.
 */
static void follow_away(struct steps_tracee *t) {
    if (ours(t->at)) {
        t->own = t->at;
        t->away = 0;
        t->back = 0;
    } else if (t->away++ == 0) {
        t->back = return_address(t);
    }
}

static void step(struct steps_tracee *t) {
    uint64_t from = t->at;
    t->at = address(t);
    follow_away(t);
    unsigned len = t->at == from ? repeated(t, t->at) : 0;
    if (t->back && t->away_max && t->away > t->away_max) {
        run_to(t, t->back, 0);
        t->away = 0;
    } else if (len > 0) {
        run_to(t, t->at + len, 0); /* its trap comes after each round of a repeated instruction */
    } else {
        CHECK_EQ(ptrace(PTRACE_SINGLESTEP, t->pid, NULL, NULL), 0);
        int signal = wait_stop(t);
        if (signal != SIGTRAP) {
            steps_at(t, "stepping");
            steps_say_place();
        }
        CHECK_SAY(signal == SIGTRAP, "it was stopped by %d", signal);
    }
    t->instructions++;
    CHECK_SAY(t->instructions < INSTRUCTIONS_MAX, "%s does not end", t->stage->op->name);
}

static bool start_act(struct steps_tracee *t, struct steps_stage *stage, struct start *start) {
#if !defined(__x86_64__)
    /* Stepping through a pair of exclusive load and store would never come to its end. */
    steps_report->forbidden = true;
    return false;
#endif
    uint64_t away_max = t->away_max;
    memset(t, 0, sizeof *t);
    t->away_max = away_max;
    t->stage = stage;
    t->pid = child_start(be_stepped, start);
    int signal = wait_stop(t);
    if (signal != SIGSTOP) {
        CHECK_SAY(atomic_load(&stage->shared->forbidden), "%s did not get ready", stage->op->name);
        steps_report->forbidden = true;
        return false;
    }
    CHECK_EQ(ptrace(PTRACE_SETOPTIONS, t->pid, NULL, (void *)PTRACE_O_EXITKILL), 0);
    map_live(t);
    (void)look(t);
    t->changes = 0;
    t->commits = 0;
    return true;
}

bool steps_start(struct steps_tracee *t, struct steps_stage *stage, uint64_t away_max) {
    t->away_max = away_max;
    struct start start = {.stage = stage, .act = stage->op->act};
    return start_act(t, stage, &start);
}

bool steps_next(struct steps_tracee *t) {
    while (!atomic_load(&t->stage->shared->done)) {
        step(t);
        if (look(t)) {
            return true;
        }
    }
    return false;
}

void steps_run_to(struct steps_tracee *t, uint64_t to, uint64_t other) {
    run_to(t, to, other);
    (void)look(t);
}

void steps_catch_up(struct steps_tracee *t) {
    uint64_t changes = t->changes;
    uint64_t commits = t->commits;
    (void)look(t);
    t->changes = changes;
    t->commits = commits;
}

int steps_finish(struct steps_tracee *t) {
    CHECK_EQ(ptrace(PTRACE_DETACH, t->pid, NULL, NULL), 0);
    unmap_live(t);
    return child_end(t->pid, CHILD_LIMIT_MS);
}

void steps_kill(struct steps_tracee *t) {
    child_kill(t->pid);
    unmap_live(t);
}

pid_t steps_leave_dead(struct steps_stage *stage, int (*act)(struct steps_stage *stage),
                       bool after_commit, uint64_t changes) {
    struct start start = {.stage = stage, .act = act, .joined = true};
    struct steps_tracee t = {.away_max = STEPS_AWAY};
    if (!start_act(&t, stage, &start)) {
        return 0;
    }
    while (steps_next(&t) && (after_commit ? t.commits < 1 : t.changes < changes)) {
    }
    for (uint64_t i = 0; after_commit && i < changes && steps_next(&t); i++) {
    }
    CHECK_SAY(!atomic_load(&stage->shared->done), "it did not die in the middle");
    steps_kill(&t);
    return t.pid;
}
