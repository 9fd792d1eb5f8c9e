/* A thread that does maintenance from time to time, or one that writes snapshots, for who asks for one.
 *
 * It belongs to one handle and one process. A child after a fork has none until it asks for one.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "store.h"

enum { MAINTAIN = 0, SNAPSHOT = 1 };

struct eddy_keeper {
    eddy_store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int64_t interval_ns;
    uint32_t flags;
    char *path; /* of the snapshots; NULL: it does maintenance */
    uint64_t life;
    bool stop; /* under the lock */
};

/* Sleeps until the next time: false if it is to stop. */
static bool sleep_on(struct eddy_keeper *k) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t ns = at.tv_nsec + k->interval_ns;
    at.tv_sec += ns / 1000000000;
    at.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&k->lock);
    int r = 0;
    while (!k->stop && r != ETIMEDOUT) {
        r = pthread_cond_timedwait(&k->wake, &k->lock, &at);
    }
    bool go = !k->stop;
    pthread_mutex_unlock(&k->lock);
    return go;
}

static void *keep(void *arg) {
    struct eddy_keeper *k = arg;
    while (sleep_on(k)) { /* an error is met again by who works on the store, or by the next */
        (void)(k->path ? eddy_snapshot_write(k->store, k->path, NULL, NULL)
                       : eddy_maintain(k->store, k->flags, NULL));
    }
    return NULL;
}

static void init(struct eddy_keeper *k, eddy_store *s, int64_t interval_ns, uint32_t flags) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->wake, &attr);
    pthread_condattr_destroy(&attr);
    k->store = s;
    k->interval_ns = interval_ns;
    k->flags = flags;
    k->life = s->life;
}

static void fini(struct eddy_keeper *k) {
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    free(k->path);
    free(k);
}

static void stop(struct eddy_store *s, unsigned which) {
    struct eddy_keeper *k = s->keeper[which];
    s->keeper[which] = NULL;
    /* [keeper.R1] relaxed: in a child it says so: the thread is the parent's then */
    if (k && k->life == s->life && eddy_ld_rlx(s->guard) == EDDY_GUARD_READY) {
        pthread_mutex_lock(&k->lock);
        k->stop = true;
        pthread_cond_signal(&k->wake);
        pthread_mutex_unlock(&k->lock);
        pthread_join(k->thread, NULL);
        fini(k);
    }
}

static int start(eddy_store *s, unsigned which, int64_t interval_ns, uint32_t flags,
                 const char *path) {
    struct eddy_context *c;
    int r = eddy_store_writer(s, &c);
    if (r < 0) {
        return r;
    }
    if (interval_ns < 1000000 || interval_ns > INT64_C(86400000000000)) {
        return eddy_error_set(EDDY_EINVAL, "%s every %lld ns: must be a millisecond to a day",
                              path ? "a snapshot" : "maintenance", (long long)interval_ns);
    }
    stop(s, which);
    struct eddy_keeper *k = calloc(1, sizeof *k);
    char *copy = path ? strdup(path) : NULL;
    if (!k || (path && !copy)) {
        free(k);
        free(copy);
        return eddy_error_set(EDDY_ENOMEM, "no memory for a thread");
    }
    init(k, s, interval_ns, flags);
    k->path = copy;
    /* Signals are the caller's threads' business. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&k->thread, NULL, keep, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        fini(k);
        return eddy_error_set(EDDY_ESYS, "a thread: error %d", r);
    }
    s->keeper[which] = k;
    s->stop_keeper = stop;
    return 0;
}

int eddy_maintain_start(eddy_store *s, int64_t interval_ns, uint32_t flags) {
    if (flags & ~EDDY_TRIM) {
        return eddy_error_set(EDDY_EINVAL, "eddy_maintain_start() has unknown flags (%#x)",
                              flags & ~EDDY_TRIM);
    }
    return start(s, MAINTAIN, interval_ns, flags, NULL);
}

int eddy_maintain_stop(eddy_store *s) {
    stop(s, MAINTAIN);
    return 0;
}

int eddy_snapshot_start(eddy_store *s, const char *path, int64_t interval_ns) {
    return path && *path ? start(s, SNAPSHOT, interval_ns, 0, path)
                         : eddy_error_set(EDDY_EINVAL, "snapshots want a path");
}

int eddy_snapshot_stop(eddy_store *s) {
    stop(s, SNAPSHOT);
    return 0;
}
