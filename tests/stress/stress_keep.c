/* Few events that stay for ever, strewn among many that go: memory must not be held by them.
 *
 * usage: stress_keep [--short] [--threads] [--seed N] [--rounds N] [--keep N] [--bound N]
 *
 * --rounds: events in all; --keep: how many of them stay, which is also what a stream may hold.
 * --bound: the arena is at most so many per cent of what is alive, plus what a store takes that is
 * empty and what its processes fill; without, the figure is only said. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum { SHARDS = 8 }; /* and events in none */
enum { STREAMS = 50, WRITERS = 2, BATCH = 50, DATA_MAX = 150, TENTHS = 10 };
enum {
    INDEX_EACH = 80,
    SLACK = 5 << 20
}; /* bytes of index for an event; what pays no evacuation */

struct scene {
    eddy_store *store;
    struct stress_options options;
    _Atomic uint64_t appended;
    _Atomic uint64_t kept;
    _Atomic uint64_t used[TENTHS]; /* bytes in use, when so many tenths had been appended */
};

struct worker {
    struct scene *scene;
    uint32_t number;
};

static void keep_one(struct scene *scene, uint64_t number) {
    eddy_new_event event = {.time_ns = (int64_t)number,
                            .flags = EDDY_TIME_GIVEN,
                            .shard = number % SHARDS,
                            .data = eddy_mem(&number, sizeof number)};
    CHECK_OK(eddy_append(scene->store, eddy_str("kept"), EDDY_ANY, &event, 1, NULL));
}

/* Appends a batch of what goes, and now and then one that stays. */
static void write_events(void *arg) {
    static const unsigned char data[DATA_MAX];
    struct worker *worker = arg;
    struct scene *scene = worker->scene;
    struct rng rng = rng_make(worker->number);
    uint64_t each = scene->options.rounds / scene->options.keep;
    uint64_t done;
    while ((done = atomic_fetch_add(&scene->appended, BATCH)) < scene->options.rounds) {
        eddy_new_event events[BATCH];
        char name[24];
        for (int k = 0; k < BATCH; k++) {
            uint64_t len = rng_below(&rng, DATA_MAX);
            events[k] = (eddy_new_event){.shard = len % SHARDS, .data = eddy_mem(data, len)};
        }
        snprintf(name, sizeof name, "goes-%u", (unsigned)rng_below(&rng, STREAMS));
        CHECK_OK(eddy_append(scene->store, eddy_str(name), EDDY_ANY, events, BATCH, NULL));
        uint64_t tenth = done * TENTHS / scene->options.rounds;
        if (tenth != (done + BATCH) * TENTHS / scene->options.rounds) {
            atomic_store(&scene->used[tenth], gang_used(scene->store));
        }
        uint64_t before = done / each;
        if (before != (done + BATCH) / each && before < scene->options.keep) {
            keep_one(scene, before);
            atomic_fetch_add(&scene->kept, 1);
        }
    }
}

/* All that was to stay is there, each once. */
static void check_kept(struct scene *scene) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    uint64_t count = 0;
    uint64_t sum = 0;
    uint64_t kept = atomic_load(&scene->kept);
    select.stream = eddy_str("kept");
    CHECK_OK(eddy_reader_open(scene->store, &select, &reader));
    while (CHECK_OK(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        CHECK_EQ(event.version, ++count);
        CHECK_EQ(event.data.len, sizeof(uint64_t));
        sum += (uint64_t)event.time_ns;
    }
    eddy_reader_close(reader);
    if (count != kept || sum != kept * (kept - 1) / 2) {
        gang_breach("%" PRIu64 " events that were to stay are there, not %" PRIu64, count, kept);
    }
}

static void limit_streams(struct scene *scene) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.stream_events = scene->options.keep;
    limits.flags = EDDY_DROP_STREAM_EVENTS;
    CHECK_OK(eddy_limits_set(scene->store, &limits, NULL));
}

int main(int argc, char **argv) {
    struct scene *scene = child_shared(sizeof *scene);
    struct worker workers[WRITERS];
    scene->options = (struct stress_options){
        .rounds = 100000000, .short_rounds = 1000000, .slower = 8, .keep = 1000, .short_keep = 100};
    stress_options_parse(argc, argv, &scene->options);
    struct stress_options *o = &scene->options;
    struct gang gang = {.threads = o->threads};
    CHECK(o->rounds >= o->keep * BATCH);
    scene->store = sandbox_anonymous_of(UINT64_C(16) << 30);
    uint64_t empty = gang_facts(scene->store).reserved;
    limit_streams(scene);
    int64_t start = child_now_ns();
    for (uint32_t i = 0; i < WRITERS; i++) {
        workers[i] = (struct worker){.scene = scene, .number = i};
        gang_start(&gang, write_events, &workers[i]);
    }
    if (!gang_end(&gang, o->limit_ms)) {
        gang_breach("a writer failed");
    }
    double each_ns = (double)(child_now_ns() - start) / (double)o->rounds;
    eddy_facts at_end = gang_facts(scene->store);
    gang_maintain(scene->store);
    eddy_facts facts = gang_facts(scene->store);
    uint64_t constant = empty + WRITERS * (UINT64_C(1) << 20) + SLACK;
    uint64_t alive = facts.bytes + facts.events * INDEX_EACH;
    uint64_t above = facts.reserved > constant ? facts.reserved - constant : 0;
    double times = (double)above / (double)alive;
    printf("%" PRIu64 " events are alive (%.1f MiB with their index, of them %" PRIu64
           " strewn), %.0f ns an event\n",
           facts.events, gang_mib(alive), atomic_load(&scene->kept), each_ns);
    printf("reserved: %.1f MiB, that is %.1f MiB and %.2f times what is alive\n",
           gang_mib(facts.reserved), gang_mib(constant), times);
    printf("in use, MiB, by tenths:");
    for (int i = 0; i < TENTHS; i++) {
        printf(" %.1f", gang_mib(atomic_load(&scene->used[i])));
    }
    printf("\nin use: %.1f MiB at the end, %.1f MiB behind maintenance\n",
           gang_mib(at_end.reserved - at_end.free), gang_mib(facts.reserved - facts.free));
    check_kept(scene);
    sandbox_check(scene->store);
    if (o->bound && times * 100 > (double)o->bound) {
        gang_breach("the arena is %.2f times what is alive, not %.2f", times,
                    (double)o->bound / 100);
    }
    eddy_close(scene->store);
    return 0;
}
