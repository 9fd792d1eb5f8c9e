/* Writers and followers on one store: each follower sees each event once, in order, each
 * transaction whole, whatever way it waits.
 *
 * usage: stress_follow [--short] [--threads] [--seed N] [--workers N] [--rounds N]
 *
 * Half of the workers write, half follow; as processes, or with --threads as threads. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/crew.h"
#include "support/options.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum { WORKERS_MAX = 32, STREAMS = 64 };

struct scene {
    eddy_store *store;
    struct stress_options options;
    _Atomic uint32_t stop;
    struct crew_follower followers[WORKERS_MAX];
};

struct worker {
    struct scene *scene;
    uint32_t number;
    pthread_t thread;
    pid_t pid;
};

static void write_all(void *arg) {
    struct worker *worker = arg;
    struct crew_writer writer;
    crew_writer_init(&writer, worker->scene->store, worker->number);
    for (uint64_t i = 0; i < worker->scene->options.rounds; i++) {
        crew_write(&writer);
        if (rng_once_in(&writer.rng, 64)) { /* so that followers fall asleep, too */
            child_linger_us(rng_below(&writer.rng, 400));
        }
    }
    crew_writer_fini(&writer);
}

static void follow_all(void *arg) {
    struct worker *worker = arg;
    crew_follow(&worker->scene->followers[worker->number]);
}

static void *write_as_thread(void *arg) {
    write_all(arg);
    return NULL;
}

static void *follow_as_thread(void *arg) {
    follow_all(arg);
    return NULL;
}

static void start(struct worker *worker, bool writes) {
    if (worker->scene->options.threads) {
        void *(*run)(void *) = writes ? write_as_thread : follow_as_thread;
        CHECK_EQ(pthread_create(&worker->thread, NULL, run, worker), 0);
    } else {
        worker->pid = child_start(writes ? write_all : follow_all, worker);
    }
}

static void end(struct worker *worker) {
    if (worker->scene->options.threads) {
        CHECK_EQ(pthread_join(worker->thread, NULL), 0);
    } else {
        CHECK_EQ(child_end(worker->pid, worker->scene->options.limit_ms), 0);
    }
}

int main(int argc, char **argv) {
    struct scene *scene = child_shared(sizeof *scene);
    struct worker writers[WORKERS_MAX];
    struct worker followers[WORKERS_MAX];
    scene->options = (struct stress_options){.workers = 8, .rounds = 100000, .short_rounds = 2000};
    stress_options_parse(argc, argv, &scene->options);
    uint32_t half = scene->options.workers / 2;
    CHECK(half >= 1 && half <= WORKERS_MAX);
    scene->store = sandbox_anonymous_of(UINT64_C(8) << 30);
    for (uint32_t i = 0; i < half; i++) {
        followers[i] = (struct worker){.scene = scene, .number = i};
        writers[i] = (struct worker){.scene = scene, .number = i};
        scene->followers[i] = (struct crew_follower){.store = scene->store,
                                                     .manner = (enum crew_manner)(i % CREW_MANNERS),
                                                     .streams = STREAMS,
                                                     .writers = half,
                                                     .stop = &scene->stop};
        start(&followers[i], false);
    }
    for (uint32_t i = 0; i < half; i++) {
        start(&writers[i], true);
    }
    for (uint32_t i = 0; i < half; i++) {
        end(&writers[i]);
    }
    atomic_store(&scene->stop, 1);
    for (uint32_t i = 0; i < half; i++) {
        end(&followers[i]);
    }
    for (uint32_t i = 0; i < half; i++) {
        crew_check_follower(&scene->followers[i]);
    }
    sandbox_check(scene->store);
    eddy_counts counts = {.size = sizeof counts};
    CHECK_OK(eddy_stats(scene->store, &counts));
    printf("%" PRIu64 " events seen by %u followers; %" PRIu64 " sleeps, %" PRIu64 " wakes\n",
           counts.events_appended, half, counts.sleeps, counts.wakes);
    eddy_close(scene->store);
    return 0;
}
