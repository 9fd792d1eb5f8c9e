/* Stores that are full: by their cap, and by their file system.
 *
 * usage: stress_full [--short] [--threads] [--seed N] [--rounds N] [--keep N]
 *
 * On a tmpfs of --keep MiB of its own, in a name space of its own (without the right to make one the
 * program says so, and ends well). --rounds: how many times its size is appended. What holds: where the
 * oldest may go an append never fails, nor does anybody get a SIGBUS, also when somebody else takes the
 * file system's memory; where they may not, EDDY_EFULL, behind which removing makes room; and who waits
 * for room gets it when another makes some. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORKERS = 2, STREAMS = 30, DATA_MAX = 2000, BATCH_MAX = 30, CYCLES = 5 };
/* Events that stay beside those that were removed keep some of their memory from being used again. */
enum { ROOM_AT_LEAST = 25 };
enum { SECOND_MS = 1000, WAIT_MS = 20000, SHORT_WAIT_MS = 60 };

struct scene {
    eddy_store *store;
    const char *what;
    uint64_t bytes; /* of data to append */
    _Atomic uint64_t appended;
};

struct worker {
    struct scene *scene;
    uint32_t number;
};

static char room_dir[64];

/* ---- a small file system ---- */

static bool write_to(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

/* A name space in which this process may mount: its own, or one of a user name space. */
static bool enter_namespace(void) {
    char map[64];
    uid_t uid = getuid();
    gid_t gid = getgid();
    if (unshare(CLONE_NEWNS) == 0) {
        return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    }
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return false;
    }
    (void)write_to("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", (unsigned)uid);
    bool good = write_to("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", (unsigned)gid);
    return write_to("/proc/self/gid_map", map) && good;
}

static bool mount_small(uint64_t mib) {
    char data[64];
    snprintf(room_dir, sizeof room_dir, "/dev/shm");
    snprintf(data, sizeof data, "size=%" PRIu64 "m,mode=0700", mib);
    return enter_namespace() && mount("eddy-test", room_dir, "tmpfs", 0, data) == 0;
}

static eddy_store *make_store(const char *name, uint64_t cap, int64_t full_wait_ns) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store = NULL;
    options.dir = room_dir;
    options.cap = cap;
    options.full_wait_ns = full_wait_ns;
    CHECK_OK(eddy_open(&store, name, &options));
    return store;
}

static void end_store(eddy_store *store, const char *name) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.dir = room_dir;
    sandbox_check(store);
    eddy_close(store);
    CHECK_OK(eddy_unlink(name, &options));
}

/* ---- appending ---- */

static int append_some(eddy_store *store, struct rng *rng, uint64_t *bytes) {
    static const unsigned char data[DATA_MAX];
    eddy_new_event events[BATCH_MAX];
    char name[24];
    uint64_t count = rng_once_in(rng, 2) ? 1 : 1 + rng_below(rng, BATCH_MAX);
    *bytes = 0;
    for (uint64_t k = 0; k < count; k++) {
        uint64_t len = rng_below(rng, DATA_MAX);
        events[k] = (eddy_new_event){.data = eddy_mem(data, len)};
        *bytes += len;
    }
    snprintf(name, sizeof name, "s-%u", (unsigned)rng_below(rng, STREAMS));
    return eddy_append(store, eddy_str(name), EDDY_ANY, events, count, NULL);
}

static void append_on(void *arg) {
    struct worker *worker = arg;
    struct scene *scene = worker->scene;
    struct rng rng = rng_make(10 + worker->number);
    uint64_t bytes;
    while (atomic_load(&scene->appended) < scene->bytes) {
        if (append_some(scene->store, &rng, &bytes) < 0) {
            gang_breach("%s: an append fails, although the oldest may go: %s", scene->what,
                        eddy_errmsg());
        }
        atomic_fetch_add(&scene->appended, bytes);
    }
}

static void append_all(struct scene *scene, bool threads) {
    struct worker workers[WORKERS];
    struct gang gang = {.threads = threads};
    int64_t start = child_now_ns();
    for (uint32_t i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.scene = scene, .number = i};
        gang_start(&gang, append_on, &workers[i]);
    }
    if (!gang_end(&gang, 10 * CHILD_LIMIT_MS)) {
        gang_breach("%s: an appender failed", scene->what);
    }
    eddy_facts facts = gang_facts(scene->store);
    printf("%s: %.0f MiB through %.1f MiB reserved (%.1f MiB of events), %.0f ns a KiB\n",
           scene->what, gang_mib(atomic_load(&scene->appended)), gang_mib(facts.reserved),
           gang_mib(facts.bytes),
           (double)(child_now_ns() - start) / (double)atomic_load(&scene->appended) * 1024);
    fflush(stdout);
}

/* ---- the oldest go ---- */

static void drop_when_full(const char *what, uint64_t cap, uint64_t bytes, bool threads) {
    struct scene *scene = child_shared(sizeof *scene);
    eddy_limits limits = EDDY_LIMITS_INIT;
    scene->what = what;
    scene->bytes = bytes;
    scene->store = make_store("drops", cap, 0);
    limits.flags = EDDY_DROP_WHEN_FULL;
    CHECK_OK(eddy_limits_set(scene->store, &limits, NULL));
    append_all(scene, threads);
    end_store(scene->store, "drops");
}

/* Somebody else takes what is left of the file system, while the store is small. */
static void drop_beside_others(uint64_t mib, bool threads) {
    struct scene *scene = child_shared(sizeof *scene);
    eddy_limits limits = EDDY_LIMITS_INIT;
    char path[100];
    scene->what = "a file system that others fill";
    scene->bytes = (mib << 20) / 4;
    scene->store = make_store("beside", UINT64_C(1) << 30, 0);
    limits.flags = EDDY_DROP_WHEN_FULL;
    CHECK_OK(eddy_limits_set(scene->store, &limits, NULL));
    append_all(scene, threads);
    snprintf(path, sizeof path, "%s/other", room_dir);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    off_t at = 0;
    while (posix_fallocate(fd, at, 4096) == 0) {
        at += 4096;
    }
    scene->bytes *= 4;
    append_all(scene, threads);
    close(fd);
    CHECK_EQ(unlink(path), 0);
    end_store(scene->store, "beside");
}

/* ---- nothing goes by itself ---- */

static void remove_half(eddy_store *store, uint64_t cycle) {
    char name[24];
    for (uint64_t i = cycle % 2; i < STREAMS; i += 2) {
        snprintf(name, sizeof name, "s-%" PRIu64, i);
        if (cycle % 3 == 0) {
            CHECK_OK(eddy_truncate(store, eddy_str(name), EDDY_ANY, UINT64_MAX, NULL));
        } else {
            CHECK_OK(eddy_delete(store, eddy_str(name), EDDY_ANY, NULL));
        }
    }
}

static uint64_t fill_up(eddy_store *store, struct rng *rng) {
    uint64_t sum = 0;
    uint64_t bytes;
    int rc;
    while ((rc = append_some(store, rng, &bytes)) == 0) {
        sum += bytes;
    }
    CHECK_EQ(rc, EDDY_EFULL);
    CHECK(eddy_errmsg()[0]);
    return sum;
}

/* Full, half of it removed, full again: each time there is room again. */
static void refuse_when_full(const char *what, uint64_t cap) {
    struct rng rng = rng_make(20);
    eddy_store *store = make_store("refuses", cap, 0);
    uint64_t first = fill_up(store, &rng);
    printf("%s: %.1f MiB, then", what, gang_mib(first));
    for (uint64_t cycle = 0; cycle < CYCLES; cycle++) {
        eddy_facts before = gang_facts(store);
        remove_half(store, cycle);
        eddy_facts facts = gang_facts(store);
        uint64_t again = fill_up(store, &rng);
        uint64_t gone = before.bytes - facts.bytes;
        printf(" %.1f of %.1f", gang_mib(again), gang_mib(gone));
        fflush(stdout);
        if (again < gone / ROOM_AT_LEAST) {
            gang_breach("%s: %" PRIu64 " bytes were removed, but there is room for %" PRIu64, what,
                        gone, again);
        }
    }
    printf(" MiB; %s\n", eddy_errmsg());
    CHECK_OK(eddy_delete(store, eddy_str("s-0"), EDDY_ANY, NULL));
    end_store(store, "refuses");
}

/* ---- waiting for room ---- */

struct waiter {
    eddy_store *store;
    _Atomic uint32_t begun;
    _Atomic int64_t took_ns;
};

static void wait_for_room(void *arg) {
    struct waiter *waiter = arg;
    static const unsigned char data[DATA_MAX * 40];
    eddy_new_event event = {.data = eddy_mem(data, sizeof data)};
    eddy_store *store = make_store("waits", 0, WAIT_MS * INT64_C(1000000));
    int64_t start = child_now_ns();
    atomic_store(&waiter->begun, 1);
    CHECK_OK(eddy_append(store, eddy_str("waited"), EDDY_ANY, &event, 1, NULL));
    atomic_store(&waiter->took_ns, child_now_ns() - start);
    eddy_close(store);
}

/* One waits in vain, for as long as it said; another until there is room. */
static void wait_when_full(uint64_t cap) {
    struct waiter *waiter = child_shared(sizeof *waiter);
    struct rng rng = rng_make(30);
    waiter->store = make_store("waits", cap, 0);
    (void)fill_up(waiter->store, &rng);
    eddy_store *impatient = make_store("waits", 0, SHORT_WAIT_MS * INT64_C(1000000));
    static const unsigned char data[DATA_MAX * 40];
    eddy_new_event event = {.data = eddy_mem(data, sizeof data)};
    int64_t start = child_now_ns();
    CHECK_EQ(eddy_append(impatient, eddy_str("waited"), EDDY_ANY, &event, 1, NULL), EDDY_EFULL);
    int64_t took = child_now_ns() - start;
    if (took < SHORT_WAIT_MS * INT64_C(1000000) || took > INT64_C(30) * SECOND_MS * 1000000) {
        gang_breach("who waits for room for %d ms waits for %" PRId64 " ns", SHORT_WAIT_MS, took);
    }
    eddy_close(impatient);
    pid_t pid = child_start(wait_for_room, waiter);
    while (!atomic_load(&waiter->begun)) {
        child_linger_us(100);
    }
    child_linger_us(SHORT_WAIT_MS * 1000);
    CHECK_EQ(atomic_load(&waiter->took_ns), 0);
    int64_t made = child_now_ns();
    for (uint64_t i = 0; i < STREAMS; i++) {
        char name[24];
        snprintf(name, sizeof name, "s-%" PRIu64, i);
        CHECK_OK(eddy_truncate(waiter->store, eddy_str(name), EDDY_ANY, UINT64_MAX, NULL));
    }
    CHECK_EQ(child_end(pid, CHILD_LIMIT_MS), 0);
    int64_t later = child_now_ns() - made;
    printf("waiting: %.0f ms in vain; %.1f ms in all, %.1f ms behind the first removal\n",
           (double)took / 1e6, (double)atomic_load(&waiter->took_ns) / 1e6, (double)later / 1e6);
    if (later > INT64_C(5) * SECOND_MS * 1000000) {
        gang_breach("who waits for room has it %" PRId64 " ns after it was made", later);
    }
    end_store(waiter->store, "waits");
}

int main(int argc, char **argv) {
    struct stress_options o = {.rounds = 50, .short_rounds = 4, .keep = 64, .short_keep = 32};
    stress_options_parse(argc, argv, &o);
    uint64_t size = o.keep << 20;
    if (!mount_small(o.keep)) {
        printf("skipped: a file system cannot be mounted here (%s)\n", strerror(errno));
        return 0;
    }
    drop_when_full("full by its cap", size / 2, size * o.rounds, o.threads);
    drop_when_full("full by its file system", UINT64_C(1) << 30, size * o.rounds, o.threads);
    drop_beside_others(o.keep, o.threads);
    refuse_when_full("full by its cap, refuses", size / 2);
    refuse_when_full("full by its file system, refuses", UINT64_C(1) << 30);
    wait_when_full(size / 4);
    return 0;
}
