/* I1  A table is never freed while a thread of this process is inside
 *     rcu_read_lock(): it is replaced, and freed behind synchronize_rcu().
 * I2  An entry is a hint: it counts only if the block at its offset is still of the life that was
 *     noted, and has the name.
 * The hash table is an array of our own rather than liburcu's, since that starts threads when it
 * grows, and takes two cache misses more for a name.
 */
#include "directory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <urcu-bp.h>

#include "error.h"
#include "streams.h"

struct entry {
    eddy_word hash;
    eddy_word off; /* 0: empty; stored last */
    eddy_word tag;
};

struct table {
    struct table *next_old;
    size_t mask;
    size_t count;
    struct entry entry[];
};

/* A descriptor, of one life. */
struct named {
    uint64_t off;
    uint64_t tag;
};

/* Names in byte order: a large array, and a small one of what came later. Names of descriptors that
 * have gone must not be looked at: they are taken out first (eddy_directory_purge()). */
struct sorted {
    size_t main_count;
    size_t late_count;
    struct named *main;
    struct named *late;
};

struct eddy_directory {
    char told; /* for ThreadSanitizer: an address that nothing else is stored to */
    _Atomic(struct table *) table;
    struct table *old; /* in a forked child */
    bool forked;
    pthread_mutex_t noting; /* only ever tried */
    pthread_mutex_t sorting;
    struct sorted sorted; /* under `sorting`, as is */
    uint64_t known;
    uint64_t forgotten;
};

/* ThreadSanitizer cannot see that liburcu orders a reader's last load before what is done behind
 * synchronize_rcu(): it is told. */
#ifdef EDDY_TSAN
extern void __tsan_acquire(void *at);
extern void __tsan_release(void *at);
#define told_release(at) __tsan_release(at)
#define told_acquire(at) __tsan_acquire(at)
#else
#define told_release(at) ((void)(at))
#define told_acquire(at) ((void)(at))
#endif

/* In a child after a fork nothing is freed before the end, and liburcu is not asked: a lock of its
 * registry may have been held by a thread that only the parent had. */
static inline void read_lock(const struct eddy_directory *d) {
    if (!d->forked) {
        urcu_bp_read_lock();
    }
}

static inline void read_unlock(struct eddy_directory *d) {
    told_release(&d->told);
    if (!d->forked) {
        urcu_bp_read_unlock();
    }
}

/* Waits until no thread of this process is inside a lookup that began before. */
static void synchronize(struct eddy_directory *d) {
    urcu_bp_synchronize_rcu();
    told_acquire(&d->told);
}

static struct table *new_table(size_t room) {
    struct table *t = calloc(1, sizeof *t + room * sizeof t->entry[0]);
    if (t) {
        t->mask = room - 1;
    }
    return t;
}

struct eddy_directory *eddy_directory_create(bool forked) {
    struct eddy_directory *d = calloc(1, sizeof *d);
    struct table *t = new_table(256);
    if (!d || !t) {
        free(d);
        free(t);
        return NULL;
    }
    d->forked = forked;
    /* [directory.R1] relaxed: nobody else has it yet */
    eddy_st_rlx(&d->table, t);
    pthread_mutex_init(&d->noting, NULL);
    pthread_mutex_init(&d->sorting, NULL);
    return d;
}

void eddy_directory_destroy(struct eddy_directory *d) {
    if (d) {
        /* [directory.R2] relaxed: nobody else has it any more */
        free(eddy_ld_rlx(&d->table));
        while (d->old) {
            struct table *t = d->old;
            d->old = t->next_old;
            free(t);
        }
        free(d->sorted.main);
        free(d->sorted.late);
        pthread_mutex_destroy(&d->noting);
        pthread_mutex_destroy(&d->sorting);
        free(d);
    }
}

static bool matches(const struct eddy_view *v, uint64_t off, uint64_t tag, eddy_bytes name) {
    if (!eddy_view_holds(v, off, tag)) {
        return false;
    }
    const struct eddy_shm_stream *s = eddy_arena_raw(v->arena, off);
    eddy_bytes n = eddy_stream_name(s);
    return n.len == name.len && memcmp(n.ptr, name.ptr, n.len) == 0;
}

uint64_t eddy_directory_find(struct eddy_directory *d, const struct eddy_view *v, eddy_bytes name,
                             uint64_t hash) {
    uint64_t found = 0;
    read_lock(d);
    /* [directory.C1] acquire: pairs with [directory.P1] */
    struct table *t = eddy_ld_acq(&d->table);
    for (size_t i = (size_t)hash & t->mask;; i = (i + 1) & t->mask) {
        /* [directory.C2] acquire: pairs with [directory.P2] */
        uint64_t off = eddy_ld_acq(&t->entry[i].off);
        if (off == 0) {
            break;
        }
        /* [directory.R3] relaxed: stored before the offset, which was acquired */
        if (eddy_ld_rlx(&t->entry[i].hash) == hash &&
            matches(v, off, eddy_ld_rlx(&t->entry[i].tag), name)) {
            found = off;
            break;
        }
    }
    read_unlock(d);
    return found;
}

static void insert(struct table *t, uint64_t hash, uint64_t off, uint64_t tag) {
    size_t i = (size_t)hash & t->mask;
    /* [directory.R4] relaxed: one thread at a time inserts */
    while (eddy_ld_rlx(&t->entry[i].off) != 0) {
        /* [directory.R5] relaxed: as above */
        if (eddy_ld_rlx(&t->entry[i].off) == off && eddy_ld_rlx(&t->entry[i].tag) == tag) {
            return;
        }
        i = (i + 1) & t->mask;
    }
    /* [directory.R6] relaxed: published by the offset */
    eddy_st_rlx(&t->entry[i].hash, hash);
    eddy_st_rlx(&t->entry[i].tag, tag);
    /* [directory.P2] release: pairs with [directory.C2] */
    eddy_st_rel(&t->entry[i].off, off);
    t->count++;
}

/* A table with room, without the entries whose blocks have gone. */
static struct table *grown(const struct eddy_view *v, const struct table *old) {
    struct table *t = new_table((old->mask + 1) * 4);
    for (size_t i = 0; t && i <= old->mask; i++) {
        /* [directory.R7] relaxed: one thread at a time writes, and it is we */
        uint64_t off = eddy_ld_rlx(&old->entry[i].off);
        uint64_t tag = eddy_ld_rlx(&old->entry[i].tag);
        if (off != 0 && eddy_view_same(v, off, tag)) {
            /* [directory.R8] relaxed: as above */
            insert(t, eddy_ld_rlx(&old->entry[i].hash), off, tag);
        }
    }
    return t;
}

void eddy_directory_note(struct eddy_directory *d, const struct eddy_view *v, uint64_t hash,
                         uint64_t off) {
    if (pthread_mutex_trylock(&d->noting) != 0) {
        return;
    }
    /* [directory.R9] relaxed: only who holds the mutex changes it */
    struct table *t = eddy_ld_rlx(&d->table);
    struct table *old = NULL;
    if (t->count * 2 > t->mask) {
        struct table *more = grown(v, t);
        if (more) {
            old = t;
            t = more;
            /* [directory.P1] release: pairs with [directory.C1] */
            eddy_st_rel(&d->table, t);
        }
    }
    if (t->count * 2 <= t->mask) {
        insert(t, hash, off, eddy_block_tag(v->arena, off));
    }
    if (old && d->forked) {
        old->next_old = d->old;
        d->old = old;
        old = NULL;
    }
    pthread_mutex_unlock(&d->noting);
    if (old) {
        /* Waits for threads of this process that are inside a lookup: some nanoseconds each. */
        synchronize(d);
        free(old);
    }
}

/* ---- names in byte order ---- */

static int compare(eddy_bytes a, eddy_bytes b) {
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

static eddy_bytes name_at(const struct eddy_arena *a, uint64_t off) {
    return eddy_stream_name(eddy_arena_raw(a, off));
}

static int by_name(const void *x, const void *y, void *arena) {
    const struct named *a = x;
    const struct named *b = y;
    return compare(name_at(arena, a->off), name_at(arena, b->off));
}

static struct named *merge(const struct eddy_arena *a, const struct named *x, size_t nx,
                           const struct named *y, size_t ny) {
    struct named *out = malloc((nx + ny + 1) * sizeof *out);
    size_t i = 0;
    size_t k = 0;
    for (size_t at = 0; out && at < nx + ny; at++) {
        bool first =
            k == ny || (i < nx && compare(name_at(a, x[i].off), name_at(a, y[k].off)) <= 0);
        out[at] = first ? x[i++] : y[k++];
    }
    return out;
}

uint64_t eddy_directory_known(struct eddy_directory *d) {
    return d->known;
}

void eddy_directory_lock(struct eddy_directory *d) {
    pthread_mutex_lock(&d->sorting);
}

void eddy_directory_unlock(struct eddy_directory *d) {
    pthread_mutex_unlock(&d->sorting);
}

static int no_memory(void) {
    return eddy_error_set(EDDY_ENOMEM, "no memory for the list of streams");
}

/* Moves the late names to the others once they are many. */
static int settle(struct eddy_directory *d, const struct eddy_arena *a) {
    struct sorted *s = &d->sorted;
    if (s->late_count <= 1024 + s->main_count / 8) {
        return 0;
    }
    struct named *main = merge(a, s->main, s->main_count, s->late, s->late_count);
    if (!main) {
        return no_memory();
    }
    free(s->main);
    s->main = main;
    s->main_count += s->late_count;
    s->late_count = 0;
    return 0;
}

int eddy_directory_add(struct eddy_directory *d, const struct eddy_view *v, const uint64_t *offs,
                       size_t count, uint64_t known) {
    struct sorted *s = &d->sorted;
    struct named *new = malloc((count + 1) * sizeof *new);
    if (!new) {
        return no_memory();
    }
    for (size_t i = 0; i < count; i++) {
        new[i] = (struct named){.off = offs[i], .tag = eddy_block_tag(v->arena, offs[i])};
    }
    qsort_r(new, count, sizeof *new, by_name, v->arena);
    struct named *late = merge(v->arena, s->late, s->late_count, new, count);
    free(new);
    if (!late) {
        return no_memory();
    }
    free(s->late);
    s->late = late;
    s->late_count += count;
    d->known = known;
    return settle(d, v->arena);
}

void eddy_directory_unsort(struct eddy_directory *d) {
    d->sorted.main_count = 0;
    d->sorted.late_count = 0;
    d->known = 0;
}

static size_t keep_those_there(const struct eddy_view *v, struct named *at, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (eddy_view_holds(v, at[i].off, at[i].tag)) {
            at[kept++] = at[i];
        }
    }
    return kept;
}

void eddy_directory_purge(struct eddy_directory *d, const struct eddy_view *v, uint64_t forgotten) {
    struct sorted *s = &d->sorted;
    if (d->forgotten != forgotten) {
        s->main_count = keep_those_there(v, s->main, s->main_count);
        s->late_count = keep_those_there(v, s->late, s->late_count);
        d->forgotten = forgotten;
    }
}

/* The first of a sorted array that comes after `from`, or is it, if inclusive. */
static size_t lower_bound(const struct eddy_arena *a, const struct named *at, size_t n,
                          eddy_bytes from, bool inclusive) {
    size_t low = 0;
    while (low < n) {
        size_t mid = low + (n - low) / 2;
        int c = compare(name_at(a, at[mid].off), from);
        if (c < 0 || (c == 0 && !inclusive)) {
            low = mid + 1;
        } else {
            n = mid;
        }
    }
    return low;
}

static bool begins(eddy_bytes name, eddy_bytes prefix) {
    return name.len >= prefix.len &&
           (prefix.len == 0 || memcmp(name.ptr, prefix.ptr, prefix.len) == 0);
}

/* Grows *offs to hold one more. */
static bool push(uint64_t **offs, size_t *room, size_t count, uint64_t off) {
    if (count == *room) {
        size_t more = *room ? *room * 2 : 64;
        uint64_t *p = realloc(*offs, more * sizeof *p);
        if (!p) {
            return false;
        }
        *offs = p;
        *room = more;
    }
    (*offs)[count] = off;
    return true;
}

int64_t eddy_directory_page(struct eddy_directory *d, const struct eddy_view *v, eddy_bytes prefix,
                            eddy_bytes after, size_t limit, uint64_t **offs) {
    const struct eddy_arena *a = v->arena;
    bool inclusive = after.len == 0 || compare(after, prefix) < 0;
    eddy_bytes from = inclusive ? prefix : after;
    size_t count = 0;
    size_t room = 0;
    *offs = NULL;
    const struct sorted *s = &d->sorted;
    size_t i = lower_bound(a, s->main, s->main_count, from, inclusive);
    size_t k = lower_bound(a, s->late, s->late_count, from, inclusive);
    bool failed = false;
    while (count < limit && (i < s->main_count || k < s->late_count)) {
        bool first = k == s->late_count ||
                     (i < s->main_count &&
                      compare(name_at(a, s->main[i].off), name_at(a, s->late[k].off)) <= 0);
        uint64_t off = first ? s->main[i++].off : s->late[k++].off;
        if (!begins(name_at(a, off), prefix)) {
            break;
        }
        if (!push(offs, &room, count, off)) {
            failed = true;
            break;
        }
        count++;
    }
    if (failed) {
        free(*offs);
        *offs = NULL;
        return no_memory();
    }
    return (int64_t)count;
}
