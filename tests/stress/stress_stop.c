/* A process that is stopped for ever, anywhere: the others go on, and the store does not fill up by it.
 *
 * usage: stress_stop [--short] [--threads] [--seed N] [--rounds N] [--keep N]
 *
 * --rounds: tries of each way to be stopped; --keep: MiB of the store. In each try the others append
 * ten times what the store holds, of which the oldest go. Then the stopped one goes on, and all is
 * well. Last, what a full store says of who borrows. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 8 }; /* and events in none */
enum { APPENDERS = 2, TIMES = 10, DATA = 400, BATCH = 20, STREAMS = 40, MOMENT_US = 3000 };
enum { LARGEST = 32 /* large events are at most such a part of the store */ };

enum way { READS, FETCHES, GETS, BORROWS, MAINTAINS, REMOVES, APPENDS, TRANSACTS, GROWS, WAYS };
static const char *const way_names[WAYS] = {
    "reads", "fetches", "gets", "borrows", "maintains", "removes", "appends", "transacts", "large"};

struct scene {
    eddy_store *store;
    uint64_t cap;
    uint64_t try;
    enum way way;
    bool by_events; /* the limit is one of events; else only that the oldest go when it is full */
    _Atomic uint64_t progress; /* of who is stopped */
    _Atomic uint32_t holds;    /* it has borrowed */
    _Atomic uint32_t stop;
    _Atomic uint64_t bytes; /* appended by the others */
};

static void fill_data(unsigned char *data, uint64_t tag) {
    for (uint64_t i = 0; i < DATA / 8; i++) {
        uint64_t word = tag * UINT64_C(0x9e3779b97f4a7c15) + i;
        memcpy(data + i * 8, &word, 8);
    }
}

static void check_data(const eddy_event *event) {
    if (event->type.len == 0) { /* by the appenders */
        unsigned char data[DATA];
        fill_data(data, (uint64_t)event->time_ns);
        CHECK_EQ(event->data.len, DATA);
        CHECK(memcmp(event->data.ptr, data, DATA) == 0);
    }
}

static eddy_bytes stream_name(char *text, uint64_t i) {
    snprintf(text, 24, "s-%" PRIu64, i);
    return eddy_str(text);
}

/* ---- the one that is stopped ---- */

static void read_all(struct scene *scene, bool fetch) {
    eddy_reader *reader;
    eddy_position position;
    eddy_event events[32];
    uint64_t next = 0;
    int rc;
    CHECK_OK(eddy_reader_open(scene->store, NULL, &reader));
    do {
        size_t count = 1;
        rc = fetch ? eddy_reader_fetch(reader, events, 32, &count)
                   : eddy_reader_next(reader, events);
        for (size_t i = 0; rc == EDDY_EVENT && i < count; i++) {
            CHECK(next == 0 || events[i].offset == next);
            check_data(&events[i]);
            next = events[i].offset + 1;
        }
        if (rc == EDDY_ELAPPED) {
            CHECK_OK(eddy_reader_position(reader, &position));
            CHECK(next == 0 || position.lapped_from == next);
            next = position.lapped_to + 1;
        }
        atomic_fetch_add(&scene->progress, 1);
    } while ((rc == EDDY_EVENT || rc == EDDY_ELAPPED) && !atomic_load(&scene->stop));
    CHECK(rc >= 0 || rc == EDDY_ELAPPED);
    eddy_reader_close(reader);
}

static void get_some(struct scene *scene, struct rng *rng, eddy_buffer *buffer) {
    eddy_facts facts = gang_facts(scene->store);
    eddy_event event;
    char text[24];
    uint64_t offset = facts.first + rng_below(rng, facts.head - facts.first + 1);
    int rc = offset ? eddy_get(scene->store, offset, buffer, &event) : EDDY_ENOENT;
    if (rc == EDDY_ENOENT) {
        return;
    }
    CHECK_OK(rc);
    check_data(&event);
    rc = eddy_get_version(scene->store, stream_name(text, rng_below(rng, STREAMS)), event.version,
                          buffer, &event);
    CHECK(rc == 0 || rc == EDDY_ENOENT);
}

/* Holds what it has borrowed until it is told; it must hold. */
static void borrow_one(struct scene *scene) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    int rc;
    select.flags = EDDY_BORROW;
    CHECK_OK(eddy_reader_open(scene->store, &select, &reader));
    do {
        rc = eddy_reader_next(reader, &event);
    } while (rc == EDDY_ELAPPED);
    if (rc == EDDY_EVENT) {
        uint64_t until = atomic_load(&scene->progress) + 1000;
        atomic_store(&scene->holds, 1);
        while (atomic_fetch_add(&scene->progress, 1) < until) {
            CHECK_EQ(eddy_reader_holds(reader), 1);
            check_data(&event);
        }
        atomic_store(&scene->holds, 0);
    }
    eddy_reader_close(reader);
}

static void remove_some(struct scene *scene, struct rng *rng) {
    char text[24];
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_bytes name = stream_name(text, rng_below(rng, STREAMS));
    uint64_t how = rng_below(rng, 8);
    if (how > 1 && eddy_stream_info(scene->store, name, &facts) == 0) {
        uint64_t to = facts.version - facts.count + rng_below(rng, facts.count + 1);
        CHECK_OK(eddy_truncate(scene->store, name, EDDY_ANY, to, NULL));
    } else if (how == 1) {
        CHECK_OK(eddy_delete(scene->store, name, EDDY_ANY, NULL));
    } else {
        int rc = eddy_forget(scene->store, name, NULL);
        CHECK(rc == 0 || rc == EDDY_ENOENT);
    }
}

/* Events of a type, whose bytes nobody checks. */
static void append_own(struct scene *scene, struct rng *rng, size_t len) {
    static unsigned char data[1 << 20];
    char text[24];
    len = len < sizeof data ? len : sizeof data;
    eddy_new_event event = {.type = eddy_str("own"), .data = eddy_mem(data, len)};
    CHECK_OK(eddy_append(scene->store, stream_name(text, rng_below(rng, STREAMS)), EDDY_ANY, &event,
                         1, NULL));
}

static void transact(struct scene *scene, struct rng *rng) {
    eddy_new_event event = {.type = eddy_str("own"), .data = eddy_str("of a transaction")};
    eddy_tx *tx;
    char text[24];
    CHECK_OK(eddy_tx_begin(scene->store, &tx));
    for (uint64_t k = rng_below(rng, 30); k-- > 0;) {
        eddy_bytes name = stream_name(text, rng_below(rng, STREAMS));
        CHECK_OK(rng_once_in(rng, 10) ? eddy_tx_truncate(tx, name, rng_below(rng, 1000))
                                      : eddy_tx_append(tx, name, &event));
    }
    CHECK_OK(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
}

static void do_once(struct scene *scene, struct rng *rng, eddy_buffer *buffer) {
    switch (scene->way) {
    case READS:
    case FETCHES:
        read_all(scene, scene->way == FETCHES);
        break;
    case GETS:
        get_some(scene, rng, buffer);
        break;
    case BORROWS:
        borrow_one(scene);
        break;
    case MAINTAINS:
        CHECK_OK(eddy_maintain(scene->store, 0, NULL));
        break;
    case REMOVES:
        remove_some(scene, rng);
        break;
    case APPENDS:
        append_own(scene, rng, rng_below(rng, 300));
        break;
    case TRANSACTS:
        transact(scene, rng);
        break;
    default:
        append_own(scene, rng, rng_below(rng, scene->cap / LARGEST));
    }
}

static void run_stopped(void *arg) {
    struct scene *scene = arg;
    struct rng rng = rng_make(100 + scene->try);
    eddy_buffer *buffer = eddy_buffer_create();
    CHECK(buffer);
    while (!atomic_load(&scene->stop)) {
        do_once(scene, &rng, buffer);
        atomic_fetch_add(&scene->progress, 1);
    }
    eddy_buffer_destroy(buffer);
}

/* ---- the others ---- */

static void append_until(struct scene *scene, struct rng *rng, uint64_t bytes) {
    static _Thread_local unsigned char data[BATCH][DATA];
    eddy_new_event events[BATCH];
    char text[24];
    while (atomic_load(&scene->bytes) < bytes) {
        uint64_t count = rng_once_in(rng, 2) ? 1 : 1 + rng_below(rng, BATCH);
        for (uint64_t k = 0; k < count; k++) {
            uint64_t tag = rng_next(rng);
            fill_data(data[k], tag);
            events[k] = (eddy_new_event){.time_ns = (int64_t)tag,
                                         .flags = EDDY_TIME_GIVEN,
                                         .shard = tag % SHARDS,
                                         .data = eddy_mem(data[k], DATA)};
        }
        int rc = eddy_append(scene->store, stream_name(text, rng_below(rng, STREAMS)), EDDY_ANY,
                             events, count, NULL);
        if (rc < 0) {
            gang_breach("an append fails beside a process that is stopped (it %s): %s",
                        way_names[scene->way], eddy_errmsg());
        }
        atomic_fetch_add(&scene->bytes, count * DATA);
    }
}

static void run_appender(void *arg) {
    struct scene *scene = arg;
    struct rng rng = rng_make((uint64_t)child_now_ns());
    append_until(scene, &rng, scene->cap * TIMES);
}

static void prepare(struct scene *scene) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    struct rng rng = rng_make(scene->try);
    scene->store = sandbox_anonymous_of(scene->cap);
    limits.flags = EDDY_DROP_ALL;
    limits.events = scene->by_events ? scene->cap / 3 / DATA : 0;
    CHECK_OK(eddy_limits_set(scene->store, &limits, NULL));
    append_until(scene, &rng, scene->cap / 4);
    atomic_store(&scene->bytes, 0);
}

static void wait_for(const char *what, _Atomic uint64_t *word, uint64_t above) {
    int64_t end = child_now_ns() + CHILD_LIMIT_MS * INT64_C(1000000);
    while (atomic_load(word) <= above) {
        if (child_now_ns() > end) {
            gang_breach("%s", what);
        }
        child_linger_us(50);
    }
}

/* Begins beside appenders, so that what it is stopped in is in motion, and is stopped there. */
static pid_t start_and_stop(struct scene *scene, struct rng *rng) {
    struct gang before = {0};
    pid_t pid = child_start(run_stopped, scene);
    wait_for("the one to be stopped does not begin", &scene->progress, 0);
    gang_start(&before, run_appender, scene);
    do {
        child_linger_us(rng_below(rng, MOMENT_US));
        CHECK_EQ(child_stop(pid), 0);
        if (scene->way != BORROWS || atomic_load(&scene->holds)) {
            break;
        }
        child_continue(pid);
    } while (atomic_load(&scene->bytes) < scene->cap * TIMES);
    if (!gang_end(&before, CHILD_LIMIT_MS)) {
        gang_breach("an appender failed beside who was stopped (it %s)", way_names[scene->way]);
    }
    return pid;
}

/* The one that was stopped goes on, and comes to its end. */
static void go_on(struct scene *scene, pid_t pid) {
    uint64_t progress = atomic_load(&scene->progress);
    child_continue(pid);
    wait_for("the one that was stopped does not go on", &scene->progress, progress + 2);
    atomic_store(&scene->stop, 1);
    int rc = child_end(pid, CHILD_LIMIT_MS);
    if (rc != 0) {
        gang_breach("the one that was stopped (it %s) ends with %d", way_names[scene->way], rc);
    }
}

static int64_t try_once(uint64_t try, enum way way, uint64_t cap) {
    struct scene *scene = child_shared(sizeof *scene);
    struct rng rng = rng_make(5000 + try);
    struct gang gang = {0};
    *scene = (struct scene){.cap = cap, .try = try, .way = way, .by_events = try % 2};
    prepare(scene);
    pid_t pid = start_and_stop(scene, &rng);
    atomic_store(&scene->bytes, 0);
    int64_t start = child_now_ns();
    for (int i = 0; i < APPENDERS; i++) {
        gang_start(&gang, run_appender, scene);
    }
    if (!gang_end(&gang, CHILD_LIMIT_MS)) {
        gang_breach("an appender failed beside a process that is stopped (it %s)", way_names[way]);
    }
    int64_t took = child_now_ns() - start;
    sandbox_check(scene->store);
    go_on(scene, pid);
    gang_maintain(scene->store);
    sandbox_check(scene->store);
    eddy_close(scene->store);
    return took;
}

/* ---- what a full store says ---- */

static void fill_up(struct scene *scene, pid_t pid) {
    static unsigned char data[DATA];
    eddy_new_event event = {.type = eddy_str("own"), .data = eddy_mem(data, DATA)};
    char text[24];
    int rc;
    do {
        rc = eddy_append(scene->store, eddy_str("fills"), EDDY_ANY, &event, 1, NULL);
    } while (rc == 0);
    CHECK_EQ(rc, EDDY_EFULL);
    snprintf(text, sizeof text, "process %d ", (int)pid);
    if (!strstr(eddy_errmsg(), text)) {
        gang_breach("a full store does not name process %d, which has borrowed: %s", (int)pid,
                    eddy_errmsg());
    }
}

static void try_full(uint64_t cap, bool limits_refuse) {
    struct scene *scene = child_shared(sizeof *scene);
    struct rng rng = rng_make(7);
    *scene = (struct scene){.cap = cap, .way = BORROWS};
    scene->store = sandbox_anonymous_of(cap);
    if (limits_refuse) {
        eddy_limits limits = EDDY_LIMITS_INIT;
        limits.events = UINT64_C(1) << 40;
        limits.streams = UINT64_C(1) << 40;
        CHECK_OK(eddy_limits_set(scene->store, &limits, NULL));
    }
    append_until(scene, &rng, cap / 4);
    pid_t pid = child_start(run_stopped, scene);
    do {
        child_continue(pid);
        wait_for("it does not borrow", &scene->progress, 0);
        CHECK_EQ(child_stop(pid), 0);
    } while (!atomic_load(&scene->holds));
    fill_up(scene, pid);
    printf("full: %s\n", eddy_errmsg());
    fflush(stdout);
    for (uint64_t i = 0; i < STREAMS; i++) {
        char text[24];
        CHECK_OK(eddy_delete(scene->store, stream_name(text, i), EDDY_ANY, NULL));
    }
    fill_up(scene, pid);
    go_on(scene, pid);
    CHECK_OK(eddy_delete(scene->store, eddy_str("fills"), EDDY_ANY, NULL));
    atomic_store(&scene->bytes, 0);
    append_until(scene, &rng, cap / 2);
    sandbox_check(scene->store);
    eddy_close(scene->store);
}

int main(int argc, char **argv) {
    struct stress_options o = {.rounds = 60, .short_rounds = 2, .keep = 16, .short_keep = 4};
    stress_options_parse(argc, argv, &o);
    if (o.threads) {
        printf("skipped: a thread cannot be stopped by itself\n");
        return 0;
    }
    uint64_t cap = o.keep << 20;
    try_full(cap, false);
    try_full(cap, true);
    for (enum way way = READS; way < WAYS; way++) {
        int64_t most = 0;
        int64_t sum = 0;
        for (uint64_t i = 0; i < o.rounds; i++) {
            int64_t took = try_once(i * WAYS + way, way, cap);
            most = took > most ? took : most;
            sum += took;
        }
        printf("stopped while it %s: %.0f ms, at most %.0f ms, for %.0f MiB\n", way_names[way],
               (double)sum / 1e6 / (double)o.rounds, (double)most / 1e6, gang_mib(cap * TIMES));
        fflush(stdout);
    }
    return 0;
}
