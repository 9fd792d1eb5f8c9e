/* Handles, and what names mean.
 *
 * Fork: the guard word lies in a page that a child sees as zeros. Whoever comes in and finds 0 is
 * in a child that has not joined yet: one thread swaps it to JOINING, joins anew, and sets it to
 * READY; the others of that process wait for that. Nothing that the parent's threads had is
 * touched: contexts of an earlier life are forgotten.
 */
#include "store.h"

#include <ctype.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "maintain.h"
#include "platform.h"
#include "told.h"
#include "wait.h"

enum { NAME_MAX_LEN = 200, ROOM_TRIES_MIN = 50, ROOM_TRIES_MAX = 1000 };

/* ---- names ---- */

struct target {
    char path[4096];
    int fd; /* -1: by path */
};

static int bad_name(const char *name, const char *why) {
    return eddy_error_set(EDDY_EINVAL, "store name '%.220s' %s", name, why);
}

static bool number(const char *s, const char **end, long *out) {
    char *e;
    if (!isdigit((unsigned char)*s)) {
        return false;
    }
    errno = 0;
    *out = strtol(s, &e, 10);
    *end = e;
    return errno == 0 && *out <= INT32_MAX;
}

/* "fd:N" and "pid:N/fd:M": 1 if it is one, 0 if not, or an error. */
static int parse_descriptor(const char *name, struct target *t) {
    long pid;
    long fd;
    const char *end;
    if (strncmp(name, "fd:", 3) == 0) {
        if (!number(name + 3, &end, &fd) || *end != 0) {
            return bad_name(name, "is not of the form fd:N");
        }
        t->fd = (int)fd;
        return 1;
    }
    if (strncmp(name, "pid:", 4) == 0) {
        if (!number(name + 4, &end, &pid) || strncmp(end, "/fd:", 4) != 0 ||
            !number(end + 4, &end, &fd) || *end != 0) {
            return bad_name(name, "is not of the form pid:N/fd:M");
        }
        (void)snprintf(t->path, sizeof t->path, "/proc/%ld/fd/%ld", pid, fd);
        return 1;
    }
    return 0;
}

const char *eddy_store_dir(const char *dir) {
    if (!dir || !*dir) {
        dir = getenv("EDDY_DIR");
    }
    return dir && *dir ? dir : "/dev/shm";
}

static int resolve(const char *name, const char *dir, struct target *t) {
    t->fd = -1;
    if (!name) {
        name = getenv("EDDY_STORE");
        name = name && *name ? name : "default";
    }
    int r = parse_descriptor(name, t);
    if (r != 0) {
        return r;
    }
    if (name[0] == '/' || strncmp(name, "./", 2) == 0 || strncmp(name, "../", 3) == 0) {
        if (strlen(name) >= sizeof t->path) {
            return bad_name(name, "is too long for a path");
        }
        (void)snprintf(t->path, sizeof t->path, "%s", name);
        return 0;
    }
    if (!*name) {
        return bad_name(name, "is empty");
    }
    if (strchr(name, '/')) {
        return bad_name(name, "has a '/': names have none; a path starts with / or ./ or ../");
    }
    if (strlen(name) > NAME_MAX_LEN) {
        return bad_name(name, "is longer than 200 bytes");
    }
    int n = snprintf(t->path, sizeof t->path, "%s/eddy.%s", eddy_store_dir(dir), name);
    return n < (int)sizeof t->path ? 0 : bad_name(name, "lies in a directory with too long a path");
}

/* ---- options ---- */

static int check_options(const eddy_options *given, eddy_options *o) {
    memset(o, 0, sizeof *o);
    if (given) {
        if (given->size < offsetof(eddy_options, cap) || given->size > sizeof *o) {
            return eddy_error_set(EDDY_EINVAL,
                                  "options of %u bytes: size must be sizeof(eddy_options), %zu",
                                  given->size, sizeof *o);
        }
        memcpy(o, given, given->size);
    }
    const uint32_t known =
        EDDY_MUST_EXIST | EDDY_EXCLUSIVE | EDDY_READ_ONLY | EDDY_ANONYMOUS | EDDY_EPHEMERAL;
    if (o->flags & ~known || o->reserved) {
        return eddy_error_set(EDDY_EINVAL, "options have unknown flags (%#x)", o->flags & ~known);
    }
    if ((o->flags & EDDY_EXCLUSIVE && o->flags & (EDDY_MUST_EXIST | EDDY_READ_ONLY)) ||
        (o->flags & EDDY_ANONYMOUS && o->flags & (EDDY_MUST_EXIST | EDDY_READ_ONLY))) {
        return eddy_error_set(EDDY_EINVAL, "options contradict each other (flags %#x)", o->flags);
    }
    o->cap = o->cap ? o->cap : EDDY_CAP_DEFAULT;
    o->mode = o->mode ? o->mode : 0600;
    o->members = o->members ? o->members : 128;
    o->threads = o->threads ? o->threads : 256;
    if (o->cap < EDDY_CAP_MIN || o->cap > EDDY_CAP_MAX) {
        return eddy_error_set(EDDY_EINVAL,
                              "cap of %llu bytes: must be %llu (4 MiB) to %llu (16 TiB)",
                              (unsigned long long)o->cap, (unsigned long long)EDDY_CAP_MIN,
                              (unsigned long long)EDDY_CAP_MAX);
    }
    if (o->members < 2 || o->members > 1024 || o->threads < 2 || o->threads > 8000) {
        return eddy_error_set(EDDY_EINVAL, "members must be 2 to 1024 (%u), threads 2 to 8000 (%u)",
                              o->members, o->threads);
    }
    if (o->reserve > o->cap) {
        return eddy_error_set(EDDY_EINVAL, "reserve of %llu bytes: more than the cap, %llu",
                              (unsigned long long)o->reserve, (unsigned long long)o->cap);
    }
    if (o->metrics && o->metrics->size != sizeof *o->metrics) {
        return eddy_error_set(EDDY_EINVAL, "metrics of %u bytes: size must be %zu",
                              o->metrics->size, sizeof *o->metrics);
    }
    if (o->mode & ~0777u) {
        return eddy_error_set(EDDY_EINVAL, "mode %#o has bits that are no permissions", o->mode);
    }
    return 0;
}

/* ---- opening ---- */

/* "fd:N" and "pid:N/fd:M": a store that exists. */
static int open_descriptor(struct eddy_store *s, const struct target *t, uint32_t flags) {
    bool read_only = (flags & EDDY_READ_ONLY) != 0;
    if (flags & EDDY_EXCLUSIVE) {
        return eddy_error_set(EDDY_EEXIST, "a descriptor is of a store that exists already");
    }
    if (t->fd >= 0) {
        return eddy_arena_open(&s->arena, NULL, t->fd, read_only);
    }
    int fd = eddy_platform_follow(t->path, read_only);
    if (fd < 0) {
        return eddy_arena_error(fd, "open", t->path);
    }
    int r = eddy_arena_open(&s->arena, NULL, fd, read_only);
    close(fd);
    return r;
}

static struct eddy_arena_options make_options(const eddy_options *o) {
    return (struct eddy_arena_options){.cap = o->cap,
                                       .mode = o->mode,
                                       .members = o->members + 1,
                                       .threads = o->threads + 1,
                                       .reserve = o->reserve,
                                       .ephemeral = (o->flags & EDDY_EPHEMERAL) != 0};
}

static int open_arena(struct eddy_store *s, const char *name, const eddy_options *o) {
    struct target t;
    bool read_only = (o->flags & EDDY_READ_ONLY) != 0;
    struct eddy_arena_options make = make_options(o);
    if (o->flags & EDDY_ANONYMOUS) {
        make.ephemeral = false; /* it is so by nature */
        return eddy_arena_create(&s->arena, NULL, &make);
    }
    int r = resolve(name, o->dir, &t);
    if (r != 0) {
        return r < 0 ? r : open_descriptor(s, &t, o->flags);
    }
    for (;;) {
        if (!(o->flags & EDDY_EXCLUSIVE)) {
            r = eddy_arena_open(&s->arena, t.path, -1, read_only);
            if (r != EDDY_ENOENT || o->flags & (EDDY_MUST_EXIST | EDDY_READ_ONLY)) {
                return r;
            }
        }
        r = eddy_arena_create(&s->arena, t.path, &make);
        if (r != EDDY_EEXIST || o->flags & EDDY_EXCLUSIVE) {
            return r;
        }
        /* Somebody else was faster: theirs is whole. */
    }
}

static int join_any(struct eddy_store *s) {
    for (uint32_t i = 1; i < s->arena.members_max; i++) {
        int r = eddy_member_join(&s->arena, i, &s->member);
        if (r != 0) {
            return r;
        }
    }
    return 0;
}

/* Clears up after the dead, for want of a slot: 1 if it is worth while to look again, 0 if not, or
 * an error. Somebody else may be at it just now, and have the slot that sweeps, or the byte of one
 * that is free. Since he may have been stopped, he is given some moments, and not waited for. */
static int make_room(struct eddy_store *s, uint32_t tries) {
    int r = eddy_maintain_recover(&s->arena);
    if (r < 0 || tries == ROOM_TRIES_MAX) {
        return r < 0 ? r : 0;
    }
    if (r == 0 && tries >= ROOM_TRIES_MIN && eddy_member_dead(&s->arena, 0)) {
        return 0;
    }
    (void)sched_yield();
    return 1;
}

static int join(struct eddy_store *s) {
    int room = 1;
    for (uint32_t tries = 0; room > 0; tries++) {
        int r = join_any(s);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
        room = make_room(s, tries);
    }
    if (room < 0) {
        return room;
    }
    return eddy_error_set(EDDY_ELIMIT,
                          "all %u member slots are taken by living processes: close some (`eddy "
                          "who` lists them), or make the store with more members",
                          s->arena.members_max - 1);
}

static void put_idle(struct eddy_store *s, struct eddy_context *c) {
    pthread_mutex_lock(&s->contexts_lock);
    c->next = s->idle;
    s->idle = c;
    pthread_mutex_unlock(&s->contexts_lock);
}

static void context_ended(void *arg) {
    struct eddy_context *c = arg;
    struct eddy_store *s = c->store;
    /* [store.C5] acquire: pairs with [store.P1]. In a child that has not joined yet, another thread
     * of the parent may have had the lock, and nobody gives it back. */
    if (eddy_ld_acq(s->guard) != EDDY_GUARD_READY || c->life != s->life) {
        return; /* the parent's; freed with the handle */
    }
    /* The slot is for whichever thread comes next, of any process. The context stays: readers may
     * know it. */
    if (c->thread.slot) {
        eddy_plan_reset(&c->plan);
        eddy_reclaim_fini(&c->reclaim);
        eddy_thread_leave(&c->thread);
        c->thread.slot = NULL;
    }
    /* [store.R4] relaxed: only compared by a thread with its own */
    eddy_st_rlx(&c->owner, 0);
    put_idle(s, c);
}

static int init_handle(struct eddy_store *s, const eddy_options *o) {
    s->id = eddy_platform_random() | 1;
    s->clock = o->clock;
    s->clock_arg = o->clock_arg;
    s->full_wait_ns = o->full_wait_ns;
    if (o->metrics) {
        s->metrics = *o->metrics;
        s->told = true;
    }
    s->directory = eddy_directory_create(false);
    s->guard = eddy_platform_wiped_page();
    if (!s->directory || !s->guard) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a handle");
    }
    pthread_mutex_init(&s->contexts_lock, NULL);
    if (pthread_key_create(&s->key, context_ended) != 0) {
        return eddy_error_set(EDDY_ELIMIT,
                              "too many handles are open in this process (about 1000)");
    }
    s->keyed = true;
    /* [store.R1] relaxed: nobody else has the handle yet */
    eddy_st_rlx(s->guard, EDDY_GUARD_READY);
    return s->arena.read_only ? 0 : join(s);
}

/* Opening is the recovery: whoever opens clears up after those who died. */
static int recover(struct eddy_store *s) {
    struct eddy_context *c;
    if (s->arena.read_only) {
        return 0;
    }
    int r = eddy_store_context(s, false, &c);
    if (r == 0) {
        r = eddy_maintain_sweep_dead(&c->thread);
    }
    return r < 0 ? r : 0;
}

/* A handle of the store that `arena` opens or makes. */
static int open_with(eddy_store **out, const char *name, const eddy_options *options,
                     int (*arena)(struct eddy_store *, const char *, const eddy_options *)) {
    eddy_options o;
    *out = NULL;
    int r = check_options(options, &o);
    if (r < 0) {
        return r;
    }
    struct eddy_store *s = calloc(1, sizeof *s);
    if (!s) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a handle");
    }
    s->arena.fd = -1;
    r = arena(s, name, &o);
    if (r == 0) {
        r = init_handle(s, &o);
    }
    if (r == 0) {
        r = recover(s);
    }
    if (r < 0) {
        r = s->arena.base ? eddy_told_failure(s, r) : r;
        eddy_close(s);
        return r;
    }
    *out = s;
    return 0;
}

int eddy_open(eddy_store **out, const char *name, const eddy_options *options) {
    return open_with(out, name, options, open_arena);
}

/* The path of a store that is to be made. */
static int resolve_new(const char *name, const char *dir, struct target *t) {
    int r = resolve(name, dir, t);
    return r <= 0 ? r : bad_name(name, "is a descriptor: a new store needs a name or a path");
}

int eddy_store_vacant(const char *name, const char *dir, bool replace) {
    struct target t;
    struct eddy_arena a;
    int r = resolve_new(name, dir, &t);
    if (r < 0) {
        return r;
    }
    r = eddy_arena_open(&a, t.path, -1, true);
    if (r == 0) {
        eddy_arena_close(&a);
    }
    bool store = r == 0 || r == EDDY_ELAYOUT || r == EDDY_ECORRUPT;
    if (store && !replace) {
        return eddy_error_set(EDDY_EEXIST, "%s: there is such a store already", t.path);
    }
    return store || r == EDDY_ENOENT ? 0 : r;
}

static int make_arena(struct eddy_store *s, const char *name, const eddy_options *o) {
    struct target t;
    struct eddy_arena_options make = make_options(o);
    make.unnamed = true;
    int r = resolve_new(name, o->dir, &t);
    return r < 0 ? r : eddy_arena_create(&s->arena, t.path, &make);
}

int eddy_store_make(eddy_store **out, const char *name, const eddy_options *options) {
    return open_with(out, name, options, make_arena);
}

/* ---- contexts ---- */

static void free_context(struct eddy_context *c, bool ours) {
    if (ours && c->thread.slot) {
        eddy_plan_reset(&c->plan);
        eddy_reclaim_fini(&c->reclaim);
        eddy_thread_leave(&c->thread);
    } else {
        eddy_thread_forget(&c->thread);
    }
    eddy_plan_fini(&c->plan);
    eddy_batch_fini(&c->batch);
    free(c);
}

static void free_contexts(struct eddy_store *s, bool ours) {
    while (s->all) {
        struct eddy_context *c = s->all;
        bool of_this_life = ours && c->life == s->life;
        /* [store.R6] relaxed: this thread's only if this thread wrote it */
        uint64_t owner = eddy_ld_rlx(&c->owner);
        s->all = c->next_of_all;
        /* Another thread of the parent may have been in the midst of changing its context when this
         * process was forked: it is left as it is. */
        if (of_this_life || owner == 0 || owner == (uint64_t)pthread_self()) {
            free_context(c, of_this_life);
        }
    }
    s->idle = NULL;
}

void eddy_close(eddy_store *s) {
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < sizeof s->keeper / sizeof s->keeper[0]; i++) {
        if (s->keeper[i]) {
            s->stop_keeper(s, i);
        }
    }
    /* [store.R2] relaxed: nobody else uses the handle any more */
    bool ours = s->guard && eddy_ld_rlx(s->guard) == EDDY_GUARD_READY;
    free_contexts(s, ours);
    if (ours && s->member.life) {
        eddy_member_leave(&s->arena, &s->member);
    }
    if (s->keyed) {
        pthread_key_delete(s->key);
        pthread_mutex_destroy(&s->contexts_lock);
    }
    if (ours || !s->keyed) {
        eddy_directory_destroy(s->directory); /* else as in rejoin() */
    }
    if (s->guard) {
        eddy_platform_unpage(s->guard);
    }
    eddy_arena_close(&s->arena);
    free(s);
}

/* In a child, at its first call: a member of its own, and nothing of the parent's. */
static int rejoin(struct eddy_store *s) {
    s->member.life = NULL; /* was not mapped into the child */
    int r = s->arena.read_only ? 0 : join(s);
    if (r < 0) {
        return r;
    }
    struct eddy_directory *d = eddy_directory_create(true);
    if (!d) {
        if (!s->arena.read_only) {
            eddy_member_leave(&s->arena, &s->member);
        }
        return eddy_error_set(EDDY_ENOMEM, "no memory for a handle");
    }
    /* The old directory may have been in the middle of a change: it is left as it is. */
    s->directory = d;
    pthread_mutex_init(&s->contexts_lock, NULL);
    s->life++;
    s->idle = NULL; /* contexts of the parent's life: freed with the handle */
    return 0;
}

static int check_fork(struct eddy_store *s) {
    for (;;) {
        /* [store.C1] acquire: pairs with [store.P1] */
        uint32_t guard = eddy_ld_acq(s->guard);
        if (__builtin_expect(guard == EDDY_GUARD_READY, 1)) {
            return 0;
        }
        uint32_t forked = EDDY_GUARD_FORKED;
        /* [store.C2] acq_rel: alone: one thread of the child rejoins */
        if (guard == EDDY_GUARD_FORKED && eddy_cas_ar(s->guard, &forked, EDDY_GUARD_JOINING)) {
            int r = rejoin(s);
            /* [store.P1] release: pairs with [store.C1], [store.C4], [store.C5]. Threads that see it see the
             * new slots. */
            eddy_st_rel(s->guard, r < 0 ? EDDY_GUARD_FORKED : EDDY_GUARD_READY);
            return r;
        }
        sched_yield(); /* for another thread of this process, after a fork */
    }
}

static int join_thread(struct eddy_store *s, struct eddy_thread *t) {
    if (s->arena.read_only) {
        eddy_thread_init_reader(&s->arena, t);
        return 0;
    }
    int room = 1;
    for (uint32_t tries = 0; room > 0; tries++) {
        if (eddy_thread_join(&s->arena, &s->member, t)) {
            return 0;
        }
        room = make_room(s, tries);
    }
    if (room < 0) {
        return room;
    }
    return eddy_error_set(
        EDDY_ELIMIT,
        "all %u thread slots are taken by living processes: use fewer threads, or "
        "make the store with more",
        s->arena.threads_max - 1);
}

static int new_context(struct eddy_store *s, struct eddy_context **out) {
    struct eddy_context *c = calloc(1, sizeof *c);
    if (!c) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a thread's context");
    }
    int r = join_thread(s, &c->thread);
    if (r < 0) {
        free(c);
        return r;
    }
    c->store = s;
    c->life = s->life;
    eddy_plan_init(&c->plan, &c->thread);
    eddy_reclaim_init(&c->reclaim, &c->thread);
    eddy_batch_init(&c->batch);
    pthread_mutex_lock(&s->contexts_lock);
    c->next_of_all = s->all;
    s->all = c;
    pthread_mutex_unlock(&s->contexts_lock);
    *out = c;
    return 0;
}

static int find_context(struct eddy_store *s, struct eddy_context **out) {
    pthread_mutex_lock(&s->contexts_lock);
    struct eddy_context *c = s->idle;
    if (c) {
        s->idle = c->next;
    }
    pthread_mutex_unlock(&s->contexts_lock);
    int r = c ? join_thread(s, &c->thread) : new_context(s, &c);
    if (r < 0 && c) {
        put_idle(s, c);
    }
    if (r == 0 && pthread_setspecific(s->key, c) != 0) {
        context_ended(c);
        return eddy_error_set(EDDY_ENOMEM, "no memory for a thread's context");
    }
    if (r == 0) {
        /* [store.R5] relaxed: only compared by a thread with its own */
        eddy_st_rlx(&c->owner, eddy_store_self());
        *out = c;
    }
    return r;
}

_Thread_local struct eddy_store_last eddy_store_last;

int eddy_store_context(struct eddy_store *s, bool even_closed, struct eddy_context **out) {
    if (__builtin_expect(!even_closed && eddy_store_is_closed(s), 0)) {
        return eddy_error_set(EDDY_ECLOSED, "the handle was shut down");
    }
    int r = check_fork(s);
    if (__builtin_expect(r < 0, 0)) {
        return r;
    }
    struct eddy_context *c = pthread_getspecific(s->key);
    if (__builtin_expect(c != NULL && c->life == s->life, 1)) {
        eddy_store_last = (struct eddy_store_last){.id = s->id, .context = c};
        *out = c;
        return 0;
    }
    return find_context(s, out);
}

int eddy_store_read_only(void) {
    return eddy_error_set(EDDY_EREADONLY, "the handle was opened read-only");
}

int eddy_store_check_name(eddy_bytes name) {
    if (name.len == 0 || !name.ptr) {
        return eddy_error_set(EDDY_EINVAL, "a stream's name must not be empty");
    }
    if (name.len > EDDY_STREAM_MAX) {
        return eddy_error_set(EDDY_EINVAL, "a stream's name of %zu bytes: at most %u are allowed",
                              name.len, EDDY_STREAM_MAX);
    }
    return 0;
}

/* ---- the rest ---- */

int eddy_shutdown(eddy_store *s) {
    /* [store.P2] release: pairs with [store.C3] */
    if (eddy_xchg_ar(&s->closed, 1u) == 0 && !s->arena.read_only) {
        for (unsigned g = 0; g < EDDY_WAIT_GROUPS; g++) {
            eddy_wait_wake_group(&s->arena, g);
        }
    }
    return 0;
}

int eddy_store_fd(eddy_store *s) {
    int fd = eddy_arena_fd(&s->arena);
    return fd < 0 ? eddy_error_set(EDDY_ESYS, "the descriptor of the store was closed") : fd;
}

int eddy_unlink(const char *name, const eddy_options *options) {
    struct target t;
    struct eddy_arena a;
    eddy_options o;
    int r = check_options(options, &o);
    if (r == 0) {
        r = resolve(name, o.dir, &t);
    }
    if (r != 0) {
        return r < 0 ? r : bad_name(name ? name : getenv("EDDY_STORE"), "cannot be unlinked");
    }
    /* Nothing but stores is ever removed; one of another layout is a store too. */
    r = eddy_arena_open(&a, t.path, -1, true);
    if (r < 0 && r != EDDY_ELAYOUT && r != EDDY_ECORRUPT) {
        return r;
    }
    bool opened = r == 0;
    r = unlink(t.path) < 0 ? eddy_arena_error(-errno, "unlink", t.path) : 0;
    if (opened) { /* until here: so nobody ends it meanwhile, and another of the name is made */
        eddy_arena_close(&a);
    }
    return r;
}
