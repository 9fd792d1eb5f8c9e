/* A handle: one process's way into a store. What is in here belongs to this process alone.
 *
 * Each thread that comes in gets a context: a thread slot with its buffers, its memory, its notes.
 * When the thread ends it gives up the slot, and the next new thread of the process gets the rest.
 */
#ifndef EDDY_STORE_H
#define EDDY_STORE_H

#include <pthread.h>

#include "batch.h"
#include "commit.h"
#include "directory.h"
#include "instant.h"
#include "member.h"
#include "plan.h"
#include "platform.h"
#include "reclaim.h"

/* A thread's context. */
struct eddy_context {
    struct eddy_store *store;
    struct eddy_thread thread;
    struct eddy_plan plan;
    struct eddy_reclaim reclaim;
    struct eddy_batch batch;   /* of eddy_append() */
    struct eddy_context *next; /* of the idle ones */
    struct eddy_context *next_of_all;
    uint64_t life;
    bool tidying;
    uint64_t forgot;      /* the number of the last stream looked at for that */
    uint64_t taken;       /* extents that it had taken when it last looked what is due */
    uint64_t evacuate_at; /* as many, when it is to look whether events are to be moved */
    eddy_word owner;      /* eddy_store_self() of the thread that has it; 0: idle */
};

enum { EDDY_GUARD_FORKED = 0, EDDY_GUARD_JOINING = 1, EDDY_GUARD_READY = 2 };

struct eddy_store {
    struct eddy_arena arena;
    struct eddy_member member;
    struct eddy_directory *directory;
    eddy_word32 *guard; /* in a page that fork wipes: see store.c */
    eddy_word32 closed;
    uint64_t id;   /* of this handle, never used twice in a process */
    uint64_t life; /* +1 with each fork that this handle went through */
    pthread_key_t key;
    bool keyed;
    pthread_mutex_t contexts_lock;
    struct eddy_context *idle;
    struct eddy_context *all;
    int64_t (*clock)(void *arg);
    void *clock_arg;
    int64_t full_wait_ns;
    bool told; /* there are callbacks: */
    eddy_metrics metrics;
    struct eddy_keeper *keeper[2]; /* of maintenance, of snapshots; NULL: none; see keeper.c */
    void (*stop_keeper)(struct eddy_store *store, unsigned which);
};

/* The last context of the calling thread: a hint, which counts only for the handle of that id. */
struct eddy_store_last {
    uint64_t id;
    struct eddy_context *context;
};
extern _Thread_local struct eddy_store_last eddy_store_last
    __attribute__((tls_model("initial-exec")));

/* The context of this thread, ready to work: closed handles refused (unless `even_closed`), a fork
 * noticed. 0 or an error. */
int eddy_store_context(struct eddy_store *store, bool even_closed, struct eddy_context **context);
static inline int64_t eddy_store_now(const struct eddy_store *store) {
    return store->clock ? store->clock(store->clock_arg) : eddy_platform_realtime_ns();
}

/* The calling thread among those of its process: no other that lives has the same. */
static inline uint64_t eddy_store_self(void) {
    return (uint64_t)(uintptr_t)&eddy_store_last;
}

static inline bool eddy_store_is_closed(const struct eddy_store *store) {
    /* [store.C3] acquire: pairs with [store.P2] */
    return eddy_ld_acq(&store->closed) != 0;
}

/* Is this still the context of the calling thread, with nothing in the way of working on? */
static inline bool eddy_store_same_context(const struct eddy_store *store,
                                           const struct eddy_context *context) {
    /* [store.C4] acquire: pairs with [store.P1] */
    return context && eddy_ld_acq(store->guard) == EDDY_GUARD_READY &&
           !eddy_store_is_closed(store) && context->life == store->life &&
           /* [store.R3] relaxed: it is this thread's only if this thread wrote it */
           eddy_ld_rlx(&context->owner) == eddy_store_self();
}

int eddy_store_read_only(void);
/* As eddy_store_context() for what changes the store. */
static inline int eddy_store_writer(struct eddy_store *s, struct eddy_context **context) {
    if (__builtin_expect(s->arena.read_only, 0)) {
        return eddy_store_read_only();
    }
    const struct eddy_store_last *last = &eddy_store_last;
    if (__builtin_expect(last->id == s->id && eddy_store_same_context(s, last->context), 1)) {
        *context = last->context;
        return 0;
    }
    return eddy_store_context(s, false, context);
}

/* May a new store get this name? What is no store is never replaced. 0 or an error. */
int eddy_store_vacant(const char *name, const char *dir, bool replace);
/* As eddy_open() for a store that is to be made; and it has no name until eddy_arena_publish(). */
int eddy_store_make(eddy_store **out, const char *name, const eddy_options *options);
/* The directory where names live. */
const char *eddy_store_dir(const char *dir);
/* Checks a stream's name. */
int eddy_store_check_name(eddy_bytes name);

#endif
