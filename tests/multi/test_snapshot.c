/* Snapshots of a store on which several processes work: all of it is as of one instant. */
#include "eddy.h"
#include "store.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"
#include "unit/unit_twin.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WRITERS = 3, SLOTS = 500, LARGE = 40000, EACH_LARGE = 50, MOST = 300000 };

/* In memory that the children share. */
struct scene {
    struct sandbox box;
    _Atomic uint32_t stop;
    _Atomic uint64_t done[WRITERS];
    _Atomic uint64_t taken;
    char file[300];
};

struct role {
    struct scene *scene;
    unsigned number;
};

static eddy_store *open_scene(const struct scene *scene) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store;
    options.dir = scene->box.dir;
    options.cap = UINT64_C(1) << 32;
    CHECK_OK(eddy_open(&store, "store", &options));
    return store;
}

/* ---- who writes ---- */

/* What stands in a slot behind n transactions: the number of the last that put it; 0: it was deleted, or
 * never put. */
static uint64_t in_slot(uint64_t n, uint64_t slot) {
    uint64_t m = n < slot ? 0 : n - (n - slot) % SLOTS;
    return m % 7 == 3 ? 0 : m;
}

static void slot_name(char *name, unsigned writer, uint64_t slot) {
    (void)snprintf(name, 32, "slot-%u-%llu", writer, (unsigned long long)slot);
}

/* The n-th transaction of a writer: an event, a state that counts them, a checkpoint, a snapshot of the
 * stream, and one of many states put anew or deleted. */
static void write_one(eddy_store *store, eddy_tx *tx, unsigned writer, uint64_t n) {
    static char bytes[LARGE];
    char name[32];
    char slot[32];
    (void)snprintf(name, sizeof name, "writer-%u", writer);
    slot_name(slot, writer, n % SLOTS);
    eddy_new_event event = {.data = eddy_mem(&n, sizeof n)};
    eddy_new_state count = {.data = eddy_mem(&n, sizeof n), .version = n};
    eddy_new_state filler = {.data = eddy_mem(bytes, n % EACH_LARGE ? n % 300 : LARGE),
                             .version = n,
                             .metadata = event.data};
    eddy_new_checkpoint checkpoint = {.name = eddy_str(name), .shard = writer, .offset = n};
    (void)store;
    CHECK_OK(eddy_tx_reset(tx));
    CHECK_OK(eddy_tx_expect(tx, eddy_str(name), (int64_t)n - 1));
    CHECK_OK(eddy_tx_append(tx, eddy_str(name), &event));
    CHECK_OK(eddy_tx_state(tx, eddy_str(name), EDDY_ANY, &count));
    CHECK_OK(eddy_tx_checkpoint_set(tx, &checkpoint, EDDY_ANY));
    CHECK_OK(eddy_tx_snapshot(tx, eddy_str(name), n % 10 + 1, EDDY_ANY, &count));
    if (n % 7 == 3) {
        CHECK_OK(eddy_tx_state_delete(tx, eddy_str(slot), EDDY_ANY));
    } else {
        CHECK_OK(eddy_tx_state(tx, eddy_str(slot), EDDY_ANY, &filler));
    }
    CHECK_OK(eddy_tx_commit(tx, NULL));
}

static void be_writer(void *arg) {
    const struct role *role = arg;
    struct scene *scene = role->scene;
    eddy_store *store = open_scene(scene);
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (uint64_t n = 1; !atomic_load(&scene->stop); n++) {
        write_one(store, tx, role->number, n);
        atomic_store(&scene->done[role->number], n);
        while (n > MOST && !atomic_load(&scene->stop)) {
            child_linger_us(1000); /* on a machine where the rest of the test is slow */
        }
    }
    eddy_tx_free(tx);
    eddy_close(store);
}

/* ---- what is restored ---- */

static void check_slots(eddy_store *store, eddy_buffer *buffer, unsigned writer, uint64_t n) {
    for (uint64_t slot = 0; slot < SLOTS; slot++) {
        char name[32];
        eddy_state s;
        uint64_t want = in_slot(n, slot);
        slot_name(name, writer, slot);
        int r = eddy_state_get(store, eddy_str(name), buffer, &s);
        if (want == 0) {
            cr_assert_eq(r, EDDY_ENOENT, "%s after %llu: %s", name, (unsigned long long)n,
                         r == 0 ? "is there" : eddy_errmsg());
            continue;
        }
        cr_assert_eq(r, 0, "%s after %llu: %s", name, (unsigned long long)n, eddy_errmsg());
        cr_assert_eq(s.version, want, "%s after %llu: %llu, not %llu", name, (unsigned long long)n,
                     (unsigned long long)s.version, (unsigned long long)want);
        cr_assert_eq(s.data.len, want % EACH_LARGE ? want % 300 : LARGE);
        cr_assert_eq(memcmp(s.metadata.ptr, &want, sizeof want), 0);
    }
}

static void check_writer(eddy_store *store, eddy_buffer *buffer, unsigned writer) {
    char name[32];
    eddy_stream_facts f = {.size = sizeof f};
    eddy_checkpoint c;
    eddy_state s;
    (void)snprintf(name, sizeof name, "writer-%u", writer);
    if (eddy_stream_info(store, eddy_str(name), &f) < 0) {
        return; /* it had not begun */
    }
    uint64_t n = f.version;
    must(eddy_state_get(store, eddy_str(name), buffer, &s));
    cr_assert_eq(s.version, n, "the state counts %llu, there are %llu events",
                 (unsigned long long)s.version, (unsigned long long)n);
    must(eddy_checkpoint_get(store, eddy_str(name), writer, &c));
    cr_assert_eq(c.offset, n);
    for (uint64_t k = n > 10 ? n - 9 : 1; k <= n; k++) {
        must(eddy_snapshot_get(store, eddy_str(name), k % 10 + 1, buffer, &s));
        cr_assert_eq(memcmp(s.data.ptr, &k, sizeof k), 0);
    }
    check_slots(store, buffer, writer, n);
}

/* The file, restored, holds what every transaction leaves, and the events that the store has. */
static void check_file(const struct scene *scene, eddy_store *live) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_buffer *buffer = eddy_buffer_create();
    options.dir = scene->box.dir;
    options.flags = EDDY_REPLACE;
    must(eddy_snapshot_restore(scene->file, "restored", &options));
    eddy_store *store = sandbox_open(&scene->box, "restored", EDDY_MUST_EXIST);
    for (unsigned w = 0; w < WRITERS; w++) {
        check_writer(store, buffer, w);
    }
    twin_assert_same_events(store, live);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

static struct scene *make_scene(void) {
    struct scene *scene = child_shared(sizeof *scene);
    sandbox_make(&scene->box);
    (void)snprintf(scene->file, sizeof scene->file, "%s/file", scene->box.dir);
    return scene;
}

static void start_writers(struct scene *scene, struct role *roles, pid_t *pids) {
    for (unsigned i = 0; i < WRITERS; i++) {
        roles[i] = (struct role){scene, i};
        pids[i] = child_start(be_writer, &roles[i]);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        while (atomic_load(&scene->done[i]) < 3 * SLOTS) {
            child_linger_us(100);
        }
    }
}

static void stop_writers(struct scene *scene, const pid_t *pids) {
    atomic_store(&scene->stop, 1);
    for (unsigned i = 0; i < WRITERS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
}

Test(snapshot, under_full_load_it_is_as_of_one_instant, .timeout = 240) {
    struct scene *scene = make_scene();
    struct role roles[WRITERS];
    pid_t pids[WRITERS];
    eddy_store *store = open_scene(scene);
    start_writers(scene, roles, pids);
    for (int i = 0; i < 6; i++) {
        must(eddy_snapshot_write(store, scene->file, NULL, NULL));
        check_file(scene, store);
    }
    stop_writers(scene, pids);
    must(eddy_snapshot_write(store, scene->file, NULL, NULL));
    check_file(scene, store);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- who dies, or stands still ---- */

static void be_snapshotter(void *arg) {
    struct scene *scene = arg;
    eddy_store *store = open_scene(scene);
    for (;;) {
        int r = eddy_snapshot_write(store, scene->file, NULL, NULL);
        CHECK(r == 0 || r == EDDY_EAGAIN);
        atomic_fetch_add(&scene->taken, 1);
    }
}

static bool capture_is_on(eddy_store *store) {
    return EDDY_CAPTURE_IS_ON(atomic_load((_Atomic uint64_t *)&store->arena.super->captured));
}

static uint64_t reserved(eddy_store *store) {
    eddy_facts f = {.size = sizeof f};
    must(eddy_maintain(store, 0, NULL));
    must(eddy_info(store, &f));
    return f.reserved - f.free;
}

/* Transactions of all kinds that leave no more than there was. */
static void overwrite(eddy_store *store, uint64_t rounds) {
    eddy_tx *tx;
    static uint64_t n;
    must(eddy_tx_begin(store, &tx));
    for (uint64_t i = 0; i < rounds * SLOTS; i++) {
        write_one(store, tx, 9, ++n);
    }
    eddy_tx_free(tx);
    must(eddy_truncate(store, eddy_str("writer-9"), EDDY_ANY, n - 1, NULL));
}

Test(snapshot, killed_at_any_moment_leaves_a_whole_file_and_no_memory, .timeout = 240) {
    struct scene *scene = make_scene();
    struct rng rng = rng_make(7);
    eddy_store *store = open_scene(scene);
    uint64_t before = 0;
    for (int i = 0; i < 60; i++) {
        pid_t pid = child_start(be_snapshotter, scene);
        child_linger_us(rng_below(&rng, 8000));
        overwrite(store, 1);
        if (i % 3 == 0) {
            while (!capture_is_on(store)) {
                child_linger_us(10);
            }
        }
        child_kill(pid);
        overwrite(store, 1);
        int r = eddy_snapshot_verify(scene->file, NULL);
        cr_assert(r == 0 || r == EDDY_ENOENT, "%s", eddy_errmsg());
        uint64_t now = reserved(store);
        cr_assert_not(capture_is_on(store), "maintenance sweeps, and ends it");
        before = i == 10 ? now : before;
        cr_assert(i <= 10 || now < before + before / 8, "%llu bytes, %llu before",
                  (unsigned long long)now, (unsigned long long)before);
    }
    sandbox_check(store);
    must(eddy_snapshot_write(store, scene->file, NULL, NULL));
    check_file(scene, store);
    eddy_close(store);
}

/* So many that to write them down takes a while. */
static void put_many(eddy_store *store) {
    eddy_tx *tx;
    eddy_new_state s = {.data = eddy_str("12345678")};
    must(eddy_tx_begin(store, &tx));
    for (int i = 0; i < 20000; i += 100) {
        must(eddy_tx_reset(tx));
        for (int k = 0; k < 100; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "state-%d", i + k);
            must(eddy_tx_state(tx, eddy_str(name), EDDY_ANY, &s));
        }
        must(eddy_tx_commit(tx, NULL));
    }
    eddy_tx_free(tx);
}

Test(snapshot, stopped_for_ever_holds_back_no_more_than_there_was, .timeout = 240) {
    struct scene *scene = make_scene();
    eddy_store *store = open_scene(scene);
    put_many(store);
    overwrite(store, 2);
    pid_t pid = child_start(be_snapshotter, scene);
    do { /* stop it in the midst */
        child_continue(pid);
        while (!capture_is_on(store)) {
            child_linger_us(10);
        }
        cr_assert_eq(child_stop(pid), 0);
    } while (!capture_is_on(store));
    uint64_t first = reserved(store);
    overwrite(store, 1);
    uint64_t held = reserved(store);
    for (int i = 0; i < 20; i++) {
        overwrite(store, 1);
        uint64_t now = reserved(store);
        cr_assert(now < held + held / 8, "%llu bytes, %llu before, %llu at first",
                  (unsigned long long)now, (unsigned long long)held, (unsigned long long)first);
    }
    sandbox_check(store);
    /* Another one takes over, and the memory comes back; then the first goes on, or begins anew. */
    must(eddy_snapshot_write(store, scene->file, NULL, NULL));
    check_file(scene, store);
    uint64_t taken = atomic_load(&scene->taken);
    child_continue(pid);
    while (atomic_load(&scene->taken) < taken + 2) {
        child_linger_us(100);
    }
    child_kill(pid);
    must(eddy_snapshot_verify(scene->file, NULL));
    cr_assert(reserved(store) < first + first / 4);
    sandbox_check(store);
    eddy_close(store);
}
