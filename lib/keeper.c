/* A thread that does maintenance from time to time, for who asks for one.
 *
 * It belongs to one handle and one process. A child after a fork has none until it asks for one.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "error.h"
#include "store.h"

struct eddy_keeper {
    eddy_store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    int64_t interval_ns;
    uint32_t flags;
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
    while (sleep_on(k)) {
        (void)eddy_maintain(k->store, k->flags,
                            NULL); /* an error is met again by who works on the store */
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
    free(k);
}

static void stop(struct eddy_store *s) {
    struct eddy_keeper *k = s->keeper;
    s->keeper = NULL;
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

int eddy_maintain_start(eddy_store *s, int64_t interval_ns, uint32_t flags) {
    struct eddy_context *c;
    int r = eddy_store_writer(s, &c);
    if (r < 0) {
        return r;
    }
    if (flags & ~EDDY_TRIM) {
        return eddy_error_set(EDDY_EINVAL, "eddy_maintain_start() has unknown flags (%#x)",
                              flags & ~EDDY_TRIM);
    }
    if (interval_ns < 1000000 || interval_ns > INT64_C(86400000000000)) {
        return eddy_error_set(EDDY_EINVAL,
                              "maintenance every %lld ns: must be a millisecond to a day",
                              (long long)interval_ns);
    }
    stop(s);
    struct eddy_keeper *k = calloc(1, sizeof *k);
    if (!k) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a thread of maintenance");
    }
    init(k, s, interval_ns, flags);
    /* Signals are the caller's threads' business. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&k->thread, NULL, keep, k);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0) {
        fini(k);
        return eddy_error_set(EDDY_ESYS, "a thread for maintenance: error %d", r);
    }
    s->keeper = k;
    s->stop_keeper = stop;
    return 0;
}

int eddy_maintain_stop(eddy_store *s) {
    stop(s);
    return 0;
}
