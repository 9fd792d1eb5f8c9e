/* keeper: a thread that does maintenance by the clock, for who has asked for one. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS INT64_C(1000000)
enum { PATIENCE_MS = 10000 };

static _Atomic int64_t now;

static int64_t clock_of(void *arg) {
    (void)arg;
    return atomic_load(&now);
}

/* Events live for a second of a clock that stands still. */
static eddy_store *store_of_a_second(void) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_store *store;
    atomic_store(&now, 1000000 * MS);
    options.flags = EDDY_ANONYMOUS;
    options.cap = UINT64_C(16) << 20;
    options.clock = clock_of;
    CHECK_OK(eddy_open(&store, NULL, &options));
    limits.age_ns = 1000 * MS;
    CHECK_OK(eddy_limits_set(store, &limits, NULL));
    return store;
}

static void append(eddy_store *store, unsigned count) {
    eddy_new_event list[10] = {{.data = eddy_str("x")}};
    CHECK_OK(eddy_append(store, eddy_str("s"), EDDY_ANY, list, count, NULL));
}

/* As somebody sees them who drops nothing by looking. */
static uint64_t events_of(eddy_store *look) {
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(look, &facts));
    return facts.events;
}

/* Waits until there are so many, as long as the keeper may take. */
static bool come_to(eddy_store *look, uint64_t events) {
    for (int ms = 0; ms < PATIENCE_MS && events_of(look) != events; ms++) {
        child_linger_us(1000);
    }
    return events_of(look) == events;
}

/* Calls fn for the threads of this process. Gives their number. */
static int each_task(void (*fn)(const char *tid)) {
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    CHECK(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            n++;
            if (fn) {
                fn(e->d_name);
            }
        }
    }
    closedir(d);
    return n;
}

/* A thread that was joined may be listed for a moment. */
static bool tasks_come_to(int n) {
    for (int ms = 0; ms < PATIENCE_MS && each_task(NULL) != n; ms++) {
        child_linger_us(1000);
    }
    return each_task(NULL) == n;
}

Test(keeper, age_passes_although_nobody_appends, .timeout = 60) {
    eddy_store *store = store_of_a_second();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    append(store, 10);
    atomic_fetch_add(&now, 5000 * MS);
    cr_assert_eq(events_of(look), 10, "nobody has looked since");
    must(eddy_maintain_start(store, MS, 0));
    cr_assert(come_to(look, 0));
    append(store, 7); /* again and again */
    cr_assert_eq(events_of(look), 7);
    atomic_fetch_add(&now, 5000 * MS);
    cr_assert(come_to(look, 0));
    must(eddy_maintain_stop(store));
    sandbox_check(store);
    eddy_close(look);
    eddy_close(store);
}

Test(keeper, there_is_one_thread_until_it_is_stopped, .timeout = 60) {
    int before = each_task(NULL);
    eddy_store *store = store_of_a_second();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    must(eddy_maintain_stop(store)); /* there is none */
    must(eddy_maintain_start(store, MS, 0));
    cr_assert_eq(each_task(NULL), before + 1);
    must(eddy_maintain_start(store, 2 * MS, 0)); /* another interval */
    cr_assert(tasks_come_to(before + 1));
    must(eddy_maintain_start(store, INT64_C(86400) * 1000 * MS, 0));
    must(eddy_maintain_stop(store)); /* it does not wait for the day to end */
    cr_assert(tasks_come_to(before));
    append(store, 3);
    atomic_fetch_add(&now, 5000 * MS);
    cr_assert_eq(events_of(look), 3);
    must(eddy_maintain_stop(store));
    must(eddy_maintain_start(store, MS, 0));
    cr_assert(come_to(look, 0));
    eddy_close(look);
    eddy_close(store); /* which stops it as well */
    cr_assert(tasks_come_to(before));
}

Test(keeper, intervals_that_make_no_sense_are_refused, .timeout = 20) {
    int before = each_task(NULL);
    eddy_store *store = store_of_a_second();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    gives(eddy_maintain_start(store, MS - 1, 0), EDDY_EINVAL);
    gives(eddy_maintain_start(store, 0, 0), EDDY_EINVAL);
    gives(eddy_maintain_start(store, -1, 0), EDDY_EINVAL);
    gives(eddy_maintain_start(store, INT64_C(86400) * 1000 * MS + 1, 0), EDDY_EINVAL);
    gives(eddy_maintain_start(store, MS, EDDY_TRIM << 1), EDDY_EINVAL);
    gives(eddy_maintain_start(look, MS, 0), EDDY_EREADONLY);
    cr_assert_eq(each_task(NULL), before);
    must(eddy_shutdown(store));
    gives(eddy_maintain_start(store, MS, 0), EDDY_ECLOSED);
    cr_assert_eq(each_task(NULL), before);
    eddy_close(look);
    eddy_close(store);
}

Test(keeper, it_gives_memory_back_if_it_is_asked_to, .timeout = 60) {
    static unsigned char data[60000];
    eddy_store *store = store_of_a_second();
    eddy_new_event e = {.data = eddy_mem(data, sizeof data)};
    for (int i = 0; i < 150; i++) {
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &e, 1, NULL));
    }
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    uint64_t before = facts.reserved;
    atomic_fetch_add(&now, 5000 * MS);
    must(eddy_maintain_start(store, MS, EDDY_TRIM));
    for (int ms = 0; ms < PATIENCE_MS && facts.reserved + sizeof data * 100 > before; ms++) {
        child_linger_us(1000);
        must(eddy_info(store, &facts));
    }
    cr_assert_leq(facts.reserved + sizeof data * 100, before);
    append(store, 1);
    sandbox_check(store);
    eddy_close(store);
}

static char own[32];
static unsigned others;
static uint64_t unblocked;

/* Notes which of some signals a thread other than this one lets through. */
static void look_at_mask(const char *tid) {
    char path[64];
    char line[256];
    uint64_t blocked = 0;
    if (strcmp(tid, own) == 0) {
        return;
    }
    (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/status", tid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "SigBlk:", 7) == 0) {
            blocked = strtoull(line + 7, NULL, 16);
        }
    }
    if (f) {
        fclose(f);
    }
    const int signals[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGWINCH};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        unblocked |= ~blocked & UINT64_C(1) << (signals[i] - 1);
    }
    others++;
}

static void start_and_look(void *arg) {
    (void)arg;
    eddy_store *store = store_of_a_second();
    sigset_t before;
    sigset_t after;
    CHECK_EQ(sigprocmask(SIG_BLOCK, NULL, &before), 0);
    CHECK_OK(eddy_maintain_start(store, MS, 0));
    CHECK_EQ(sigprocmask(SIG_BLOCK, NULL, &after), 0);
    for (int s = 1; s < 32; s++) {
        CHECK_EQ(sigismember(&before, s), sigismember(&after, s));
    }
    (void)snprintf(own, sizeof own, "%d", (int)getpid());
    CHECK_EQ(each_task(look_at_mask), 2);
    CHECK_EQ(others, 1);
    CHECK_EQ(unblocked, 0);
    eddy_close(store);
}

Test(keeper, signals_go_to_the_threads_of_the_caller, .timeout = 30) {
    cr_assert_eq(child_run(start_and_look, NULL), 0);
}

struct both {
    eddy_store *store;
    eddy_store *look;
};

static void has_none(void *arg) {
    struct both *b = arg;
    CHECK_EQ(each_task(NULL), 1);
    append(b->store, 2);
    CHECK_OK(eddy_maintain_stop(b->store)); /* not the parent's */
    CHECK_OK(eddy_maintain_start(b->store, MS, 0));
    CHECK_EQ(each_task(NULL), 2);
    CHECK_OK(eddy_maintain_stop(b->store));
    CHECK_OK(eddy_maintain_start(b->store, MS, 0));
    eddy_close(b->look);
    eddy_close(b->store);
}

static void only_closes(void *arg) {
    struct both *b = arg;
    eddy_close(b->store);
}

Test(keeper, a_child_has_none_until_it_asks_for_one, .timeout = 60) {
    struct both b = {.store = store_of_a_second()};
    b.look = sandbox_again(b.store, EDDY_READ_ONLY);
    must(eddy_maintain_start(b.store, MS, 0));
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(child_run(i % 2 ? has_none : only_closes, &b), 0);
    }
    cr_assert_eq(events_of(b.look), 10);
    atomic_fetch_add(&now, 5000 * MS);
    cr_assert(come_to(b.look, 0), "the parent's goes on");
    must(eddy_maintain_stop(b.store));
    sandbox_check(b.store);
    eddy_close(b.look);
    eddy_close(b.store);
}
