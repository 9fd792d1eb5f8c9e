/* Random operations by several processes, each compared with a dumb model in memory that they share.
 *
 * usage: stress_model [--short] [--threads] [--seed N] [--workers N] [--rounds N]
 *
 * --rounds is the number of operations, over all workers. They take turns, by pipes, so that the model
 * knows exactly what each operation must give. Between turns there are bouts in which all work at once:
 * what they did is put in order by the offsets that it got, and judged behind the bout; a refusal must
 * have been so at one instant between its beginning and its end. A follower reads along all the time,
 * and must have seen each event, or have been told that it is gone. Now and then a worker kills itself,
 * and another process goes on in its place. With --threads, workers are threads with handles of their own,
 * and none dies. */
#include "support/actor.h"
#include "support/check.h"
#include "support/child.h"
#include "support/options.h"
#include "support/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS_MAX = 16, BOUT = 150, BOUT_EVERY = 6000, BURST = 24, LAPSED = 1 };

enum token { TURN = 'T', BOUT_BEGINS = 'B', END = 'E' };

struct logged {
    struct op op;
    struct op_done done;
};

/* All that is shared. What is not _Atomic belongs to who has the turn. */
struct scene {
    eddy_store *store;
    struct stress_options options;
    struct world world;
    struct sandbox box;
    uint64_t done; /* operations */
    uint64_t next_bout;
    uint64_t deaths;
    struct rng rng[WORKERS_MAX];
    int pipes[WORKERS_MAX][2];
    _Atomic uint32_t dying; /* 1 + the worker that kills itself, with the turn */
    _Atomic uint32_t in_bout;
    struct logged log[WORKERS_MAX][BOUT];
    uint32_t logged[WORKERS_MAX];
    _Atomic uint64_t stop;     /* the follower: behind this offset */
    uint64_t seen[WORLD_EVER]; /* by the follower: a hash, or LAPSED */
    _Atomic uint64_t looked_at;
};

/* A worker's own. */
struct worker {
    struct scene *scene;
    uint32_t number;
    struct actor actor;
};

/* ---- a bout of all at once ---- */

static void bout(struct worker *w) {
    struct scene *scene = w->scene;
    for (uint32_t i = 0; i < BOUT; i++) {
        struct logged *l = &scene->log[w->number][i];
        actor_random_op(&w->actor, &l->op, false);
        actor_run(&w->actor, &l->op, &l->done);
        CHECK(l->done.got == 0 || l->done.got == EDDY_ECONFLICT || l->done.got == EDDY_EINVAL);
    }
    scene->logged[w->number] = BOUT;
}

static int by_offset(const void *a, const void *b) {
    uint64_t x = (*(struct logged *const *)a)->done.result.first_offset;
    uint64_t y = (*(struct logged *const *)b)->done.result.first_offset;
    return x < y ? -1 : x > y;
}

/* Strikes off the refusals that are explained by what is so now. */
static uint32_t explain(struct scene *scene, struct logged **refused, uint32_t count) {
    for (uint32_t i = 0; i < count;) {
        const struct logged *l = refused[i];
        if (l->done.before <= scene->world.head && scene->world.head <= l->done.after &&
            world_explains(&scene->world, &l->op, &l->done)) {
            refused[i] = refused[--count];
        } else {
            i++;
        }
    }
    return count;
}

/* Puts what all did in order, and compares it with what should have become of it. */
static void judge(struct scene *scene) {
    static struct logged *done[WORKERS_MAX * BOUT];
    static struct logged *refused[WORKERS_MAX * BOUT];
    uint32_t done_count = 0;
    uint32_t refused_count = 0;
    for (uint32_t i = 0; i < scene->options.workers; i++) {
        for (uint32_t k = 0; k < scene->logged[i]; k++) {
            struct logged *l = &scene->log[i][k];
            if (l->done.got == 0) {
                done[done_count++] = l;
            } else {
                refused[refused_count++] = l;
            }
        }
        scene->done += scene->logged[i];
    }
    scene->world.refused += refused_count;
    qsort(done, done_count, sizeof done[0], by_offset);
    refused_count = explain(scene, refused, refused_count);
    for (uint32_t i = 0; i < done_count; i++) {
        world_do(&scene->world, &done[i]->op, &done[i]->done);
        CHECK(done[i]->done.before < done[i]->done.result.first_offset);
        CHECK(done[i]->done.after >= done[i]->done.result.last_offset);
        refused_count = explain(scene, refused, refused_count);
    }
    CHECK_SAY(refused_count == 0, "%u refusals were never so, the first: %s", refused_count,
              eddy_errname(refused[0]->done.got));
}

/* ---- taking turns ---- */

static void tell(struct scene *scene, uint32_t worker, enum token token) {
    char byte = (char)token;
    CHECK_EQ(write(scene->pipes[worker][1], &byte, 1), 1);
}

static enum token hear(struct worker *w) {
    char byte;
    ssize_t n;
    do {
        n = read(w->scene->pipes[w->number][0], &byte, 1);
    } while (n < 0 && errno == EINTR);
    CHECK_EQ(n, 1);
    return (enum token)byte;
}

static void tell_all(struct scene *scene, enum token token) {
    for (uint32_t i = 0; i < scene->options.workers; i++) {
        tell(scene, i, token);
    }
}

/* Ends as a process that is killed: the parent starts another, which has the turn. */
static void die(struct worker *w) {
    if (!w->scene->options.threads) {
        w->scene->deaths++;
        atomic_store(&w->scene->dying, w->number + 1);
        kill(getpid(), SIGKILL);
    }
}

static void take_turn(struct worker *w) {
    struct scene *scene = w->scene;
    for (uint64_t n = 1 + rng_below(w->actor.rng, BURST);
         n > 0 && scene->done < scene->options.rounds; n--) {
        actor_operate(&w->actor);
        scene->done++;
    }
    if (scene->done >= scene->options.rounds) {
        tell_all(scene, END);
    } else if (scene->done >= scene->next_bout) {
        scene->next_bout = scene->done + BOUT_EVERY + scene->options.workers * BOUT;
        atomic_store(&scene->in_bout, scene->options.workers);
        tell_all(scene, BOUT_BEGINS);
    } else {
        if (rng_once_in(w->actor.rng, 500)) {
            die(w);
        }
        tell(scene, (uint32_t)rng_below(w->actor.rng, scene->options.workers), TURN);
    }
}

static void work(void *arg) {
    struct worker *w = arg;
    enum token token;
    w->actor.world = &w->scene->world;
    w->actor.rng = &w->scene->rng[w->number];
    w->actor.buffer = eddy_buffer_create();
    CHECK(w->actor.buffer);
    w->actor.origin = w->scene->store;
    w->actor.box = &w->scene->box;
    actor_open(&w->actor);
    while ((token = hear(w)) != END) {
        if (token == BOUT_BEGINS) {
            bout(w);
            /* The last one judges, and has the turn. */
            if (atomic_fetch_sub(&w->scene->in_bout, 1) != 1) {
                continue;
            }
            judge(w->scene);
        }
        take_turn(w);
    }
    actor_close(&w->actor);
    eddy_buffer_destroy(w->actor.buffer);
    free(w->actor.room.bytes);
}

/* ---- the follower ---- */

static void see(struct scene *scene, eddy_reader *reader, int got, const eddy_event *event) {
    if (got == EDDY_EVENT) {
        CHECK_SAY(scene->seen[event->offset] == 0, "offset %" PRIu64 " twice", event->offset);
        scene->seen[event->offset] = world_hash(event);
        atomic_store(&scene->looked_at, event->offset);
        return;
    }
    eddy_position p;
    CHECK_EQ(got, EDDY_ELAPPED);
    CHECK_OK(eddy_reader_position(reader, &p));
    for (uint64_t o = p.lapped_from; o <= p.lapped_to; o++) {
        CHECK_SAY(scene->seen[o] == 0, "offset %" PRIu64 " is said to be gone after it was read",
                  o);
        scene->seen[o] = LAPSED;
    }
    atomic_store(&scene->looked_at, p.lapped_to);
}

static void follow_all(void *arg) {
    struct scene *scene = arg;
    eddy_store *store = actor_store(scene->store, &scene->world, 0);
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    select.flags = EDDY_FOLLOW;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    while (atomic_load(&scene->looked_at) < atomic_load(&scene->stop)) {
        int got = eddy_reader_wait(reader, eddy_deadline_ms(100), &event);
        if (got != EDDY_ETIMEDOUT) {
            see(scene, reader, got, &event);
        }
    }
    eddy_reader_close(reader);
    eddy_close(store);
}

static void check_follower(const struct scene *scene) {
    const struct world *world = &scene->world;
    uint64_t lapsed = 0;
    for (uint64_t o = 1; o <= world->head; o++) {
        if (scene->seen[o] == LAPSED) {
            CHECK_SAY(!world_at(world, o), "offset %" PRIu64 " is there and was said to be gone",
                      o);
            lapsed++;
        } else {
            CHECK_SAY(scene->seen[o] == world->hashes[o], "offset %" PRIu64 " was read otherwise",
                      o);
        }
    }
    printf("follower: %" PRIu64 " events, of which %" PRIu64 " were gone before it came\n",
           world->head, lapsed);
}

/* ---- all of it ---- */

static struct scene *make_scene(int argc, char **argv) {
    struct scene *scene = child_shared(sizeof *scene);
    scene->options = (struct stress_options){
        .workers = 4, .rounds = 5000000, .short_rounds = 1000000, .slower = 50};
    stress_options_parse(argc, argv, &scene->options);
    CHECK(scene->options.workers >= 1 && scene->options.workers <= WORKERS_MAX);
    scene->store = sandbox_anonymous_of(UINT64_C(1) << 30);
    scene->world.now = 1000000;
    scene->next_bout = BOUT_EVERY;
    scene->stop = UINT64_MAX;
    sandbox_make(&scene->box);
    world_init(&scene->world);
    for (uint32_t i = 0; i < scene->options.workers; i++) {
        scene->rng[i] = rng_make(4000 + i);
        CHECK_EQ(pipe(scene->pipes[i]), 0);
    }
    return scene;
}

static struct worker *new_worker(struct scene *scene, uint32_t number) {
    struct worker *w = calloc(1, sizeof *w);
    CHECK(w);
    w->scene = scene;
    w->number = number;
    return w;
}

/* Reaps all of them. Who has killed itself is followed by another. */
static void reap_processes(struct scene *scene, pid_t *pids) {
    for (uint32_t left = scene->options.workers; left > 0;) {
        int status = 0;
        uint32_t i = 0;
        pid_t pid = wait(&status);
        while (i < scene->options.workers && pids[i] != pid) {
            i++;
        }
        CHECK_SAY(i < scene->options.workers, "the follower has failed (%d)", status);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL &&
            atomic_exchange(&scene->dying, 0) == i + 1) {
            pids[i] = child_start(work, new_worker(scene, i));
            tell(scene, i, TURN);
            continue;
        }
        CHECK_SAY(status == 0, "a worker has failed (%d)", status);
        left--;
    }
}

static void run_processes(struct scene *scene) {
    pid_t pids[WORKERS_MAX];
    pid_t follower = child_start(follow_all, scene);
    for (uint32_t i = 0; i < scene->options.workers; i++) {
        pids[i] = child_start(work, new_worker(scene, i));
    }
    tell(scene, 0, TURN);
    reap_processes(scene, pids);
    atomic_store(&scene->stop, scene->world.head);
    CHECK_EQ(child_end(follower, CHILD_LIMIT_MS), 0);
}

static void *thread_main(void *arg) {
    work(arg);
    free(arg);
    return NULL;
}

static void *follower_main(void *arg) {
    follow_all(arg);
    return NULL;
}

static void run_threads(struct scene *scene) {
    pthread_t threads[WORKERS_MAX];
    pthread_t follower;
    CHECK_EQ(pthread_create(&follower, NULL, follower_main, scene), 0);
    for (uint32_t i = 0; i < scene->options.workers; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, thread_main, new_worker(scene, i)), 0);
    }
    tell(scene, 0, TURN);
    for (uint32_t i = 0; i < scene->options.workers; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    atomic_store(&scene->stop, scene->world.head);
    CHECK_EQ(pthread_join(follower, NULL), 0);
}

int main(int argc, char **argv) {
    struct scene *scene = make_scene(argc, argv);
    int64_t begun = child_now_ns();
    if (scene->options.threads) {
        run_threads(scene);
    } else {
        run_processes(scene);
    }
    check_follower(scene);
    sandbox_check(scene->store);
    printf("%" PRIu64 " operations of %u workers as the model has them, %" PRIu64
           " refused, %" PRIu64 " deaths, %.1f s\n",
           scene->done, scene->options.workers, scene->world.refused, scene->deaths,
           (double)(child_now_ns() - begun) / 1e9);
    eddy_close(scene->store);
    return 0;
}
