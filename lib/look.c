#include "look.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "gone.h"
#include "upkeep.h"

int eddy_look_give(void *to, uint32_t size, void *from, size_t full, size_t least) {
    if (size < least || size > full) {
        return eddy_error_set(EDDY_EINVAL, "facts of %u bytes: size must be set to sizeof, %zu",
                              size, full);
    }
    memcpy(from, &size, sizeof size);
    memcpy(to, from, size);
    return 0;
}

int eddy_look_totals(struct eddy_store *s, struct eddy_instant *now) {
    struct eddy_context *c;
    int r = eddy_store_context(s, true, &c);
    if (r < 0) {
        return r;
    }
    eddy_instant_renew(now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    r = eddy_instant_take(now, &c->thread);
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(now);
    return r;
}

/* What has passed the limit of age is not there any more. */
static int expire(struct eddy_store *s) {
    struct eddy_context *c;
    int r = eddy_store_context(s, true, &c);
    return r < 0 ? r : eddy_upkeep_expire(c);
}

/* Numbers that are gone are passed by, whole leaves of them at once. */
int eddy_look_first(struct eddy_store *s, const struct eddy_instant *now, uint64_t after,
                    uint64_t *first) {
    struct eddy_context *c;
    struct eddy_trie_leaf near = {0};
    struct eddy_gone_look look;
    int r = eddy_store_context(s, true, &c);
    struct eddy_view v = {.arena = &s->arena, .span = &c->thread.span, .overlay = NULL};
    *first = 0;
    if (r < 0 || eddy_ring_events(&now->now) == 0) {
        return r;
    }
    eddy_rcu_enter(&c->thread.span);
    uint64_t o = (now->now.floor > after ? now->now.floor : after) + 1;
    while (r >= 0 && o < now->now.next_offset && *first == 0) {
        r = eddy_gone_look(&v, o, &near, &look);
        if (r == 1 && !eddy_gone_event(&v, o, look.version, look.stream)) {
            *first = o;
        }
        o = look.last + 1;
    }
    eddy_rcu_leave(&c->thread.span);
    if (r < 0 && !c->thread.slot) {
        *first = o; /* what looks damaged may be memory in its next use */
        r = 0;
    }
    return r < 0 ? r : 0;
}

int eddy_info(eddy_store *s, eddy_facts *facts) {
    struct eddy_instant now = {0};
    struct eddy_arena *a = &s->arena;
    int r = expire(s);
    r = r < 0 ? r : eddy_look_totals(s, &now);
    if (r < 0) {
        return r;
    }
    uint64_t reserved = eddy_arena_reserved(a);
    uint64_t first;
    r = eddy_look_first(s, &now, 0, &first);
    if (r < 0) {
        return r;
    }
    eddy_facts f = {
        .layout = a->super->layout,
        .cap = a->cap,
        .reserved = a->fixed + reserved * (EDDY_EXTENT_SIZE + sizeof(struct eddy_shm_extent)) -
                    eddy_extent_count_holes(a) * EDDY_EXTENT_SIZE,
        .free = eddy_extent_count_free(a) * EDDY_EXTENT_SIZE,
        .head = now.now.next_offset - 1,
        .first = first,
        .events = eddy_ring_events(&now.now),
        .bytes = eddy_ring_bytes(&now.now),
        .streams = now.now.streams,
        .transactions = now.seq,
        .created_ns = a->super->created_ns,
        .recorded_ns = now.now.time_ns,
        .members_max = a->members_max - 1,
        .threads_max = a->threads_max - 1,
        .unlinked = eddy_arena_unlinked(a),
        .names = now.now.names - now.now.streams,
        .held = now.now.hold,
        .ephemeral = eddy_arena_is_ephemeral(a),
    };
    return eddy_look_give(facts, facts->size, &f, sizeof f, offsetof(eddy_facts, created_ns));
}

/* ---- streams ---- */

enum { FACTS_TRIES = 1000 };

/* The offset of a version of a stream, or 0. */
static int offset_of(const struct eddy_view *v, struct eddy_shm_stream *d, uint64_t version,
                     uint64_t *offset) {
    eddy_word *slot;
    *offset = 0;
    int r = version ? eddy_stream_slot(v, d, version, NULL, &slot) : 0;
    if (r == 1) {
        *offset = eddy_view_load(v, slot);
    }
    return r < 0 ? r : 0;
}

static int describe(const struct eddy_view *v, uint64_t off, eddy_stream_facts *f) {
    struct eddy_shm_stream *d = eddy_stream_at(v->arena, off);
    if (!d) {
        return eddy_error_set(EDDY_ECORRUPT, "a stream's descriptor is damaged: run `eddy check`");
    }
    eddy_bytes name = eddy_stream_name(d);
    memset(f, 0, sizeof *f);
    f->name_len = (uint32_t)name.len;
    memcpy(f->name, name.ptr, name.len);
    f->version = eddy_view_load(v, &d->version);
    uint64_t gone;
    uint64_t before;
    if (eddy_gone_removed(v, d)) {
        return EDDY_ENOENT;
    }
    int r = eddy_gone_versions(v, d, &gone);
    if (r == 0) {
        r = eddy_gone_stream_bytes(v, d, gone, &before);
    }
    if (r < 0) {
        return r;
    }
    f->count = f->version - gone;
    f->bytes = eddy_view_load(v, &d->bytes_in) - before;
    f->first_version = f->count ? gone + 1 : 0;
    r = offset_of(v, d, f->first_version, &f->first_offset);
    return r < 0 ? r : offset_of(v, d, f->count ? f->version : 0, &f->last_offset);
}

/* Facts of the stream at off, of the life that tag says, or of the name if off is 0: as of one
 * instant. */
static int facts_of(struct eddy_store *s, struct eddy_context *c, eddy_bytes name, uint64_t off,
                    uint64_t tag, eddy_stream_facts *f) {
    struct eddy_instant now = {0};
    uint64_t hash = off ? 0 : eddy_stream_hash(&s->arena, name);
    int r;
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    for (int tries = 0; (r = eddy_instant_take(&now, &c->thread)) == 0; tries++) {
        int64_t found = !off ? eddy_stream_find(&now.view, name, hash)
                        : eddy_view_holds(&now.view, off, tag) ? (int64_t)off
                                                               : 0; /* forgotten */
        r = found < 0    ? (int)found
            : found == 0 ? EDDY_ENOENT
                         : describe(&now.view, (uint64_t)found, f);
        /* Else it may be a mixture of two states, damage included. Where others commit without a
         * pause, numbers that only grow have to do. */
        if (eddy_instant_holds(&now, &c->thread) ||
            (tries > FACTS_TRIES && r == 0 && eddy_instant_sound(&now, &c->thread))) {
            break;
        }
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    return r;
}

int eddy_stream_info(eddy_store *s, eddy_bytes name, eddy_stream_facts *facts) {
    struct eddy_context *c;
    eddy_stream_facts f;
    int r = eddy_store_check_name(name);
    if (r == 0) {
        r = eddy_store_context(s, true, &c);
    }
    r = r < 0 ? r : eddy_upkeep_expire(c);
    if (r == 0) {
        r = facts_of(s, c, name, 0, 0, &f);
    }
    if (r == EDDY_ENOENT) {
        return eddy_error_set(EDDY_ENOENT, "there is no stream '%.*s'", (int)name.len,
                              (const char *)name.ptr);
    }
    return r < 0 ? r
                 : eddy_look_give(facts, facts->size, &f, sizeof f,
                                  offsetof(eddy_stream_facts, first_version));
}

/* Descriptors of the streams numbered from `known` + 1 on. */
static int collect(const struct eddy_view *v, uint64_t known, uint64_t last, uint64_t *offs,
                   size_t most, size_t *count) {
    struct eddy_trie_leaf leaf = {0};
    *count = 0;
    for (uint64_t n = known + 1; n <= last && *count < most; n++) {
        int r = eddy_stream_number(v, &n, &leaf, &offs[*count]);
        if (r < 0) {
            return r;
        }
        *count += r == 1;
    }
    return 0;
}

/* Brings the directory's sorted names up to the streams of the instant. Under its lock. */
static int sort_names(struct eddy_store *s, struct eddy_instant *now) {
    struct eddy_directory *d = s->directory;
    uint64_t last = now->now.streams_in;
    uint64_t known = eddy_directory_known(d);
    uint64_t most = now->now.names; /* numbers that are known; the others have gone */
    size_t count = 0;
    eddy_directory_purge(d, &now->view, last - most);
    if (known >= last) {
        return 0;
    }
    if (most > last || most > s->arena.cap / EDDY_LINE) {
        return eddy_error_set(EDDY_ECORRUPT, "more streams than the store has room for");
    }
    most = most < last - known ? most : last - known;
    uint64_t *offs = malloc((most + 1) * sizeof *offs);
    int r = offs ? collect(&now->view, known, last, offs, most, &count)
                 : eddy_error_set(EDDY_ENOMEM, "no memory for the list of streams");
    if (r == 0) {
        r = eddy_directory_add(d, &now->view, offs, count, last);
    }
    free(offs);
    return r;
}

/* A page of descriptors: their offsets, and behind them the tags of their lives. */
static int64_t page_at(struct eddy_store *s, struct eddy_instant *now, eddy_bytes prefix,
                       eddy_bytes after, size_t limit, uint64_t **offs) {
    int64_t n = sort_names(s, now);
    if (n == 0) {
        n = eddy_directory_page(s->directory, &now->view, prefix, after, limit, offs);
    }
    if (n > 0) {
        uint64_t *both = realloc(*offs, 2 * (size_t)n * sizeof *both);
        if (!both) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for the list of streams");
        }
        *offs = both;
        for (int64_t i = 0; i < n; i++) {
            both[n + i] = eddy_block_tag(&s->arena, both[i]);
        }
    }
    return n;
}

/* A page of descriptors, as of now, and the name of its last one. The lock comes first, so that our
 * span covers all names that others have noted before. */
static int64_t page(struct eddy_store *s, struct eddy_context *c, eddy_bytes prefix,
                    eddy_bytes after, size_t limit, uint64_t **offs, unsigned char *last,
                    eddy_bytes *last_name) {
    struct eddy_instant now = {0};
    unsigned char name[EDDY_STREAM_MAX];
    size_t len = 0;
    int64_t n;
    eddy_directory_lock(s->directory);
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    while ((n = eddy_instant_take(&now, &c->thread)) == 0) {
        n = page_at(s, &now, prefix, after, limit, offs);
        if (n > 0) {
            eddy_bytes of_last = eddy_stream_name(eddy_arena_raw(&s->arena, (*offs)[n - 1]));
            len = of_last.len;
            eddy_copy_out(name, of_last.ptr, len);
        }
        if (eddy_instant_sound(&now, &c->thread)) {
            break;
        }
        /* It may have been memory in its next use. */
        eddy_directory_unsort(s->directory);
        free(*offs);
        *offs = NULL;
    }
    if (n > 0) {
        memcpy(last, name, len);
        *last_name = eddy_mem(last, len);
    }
    eddy_rcu_leave(&c->thread.span);
    eddy_directory_unlock(s->directory);
    eddy_instant_fini(&now);
    return n;
}

/* Calls fn for those of a page that are there. EDDY_END, the number of calls in *calls; or fn's
 * value, if it is not 0; or an error. `after` is the last one's name then. */
static int give_page(struct eddy_store *s, struct eddy_context *c, const uint64_t *offs, int64_t n,
                     int (*fn)(void *arg, const eddy_stream_facts *facts), void *arg,
                     int64_t *calls) {
    for (int64_t i = 0; i < n; i++) {
        eddy_stream_facts f;
        int r = facts_of(s, c, eddy_mem(NULL, 0), offs[i], offs[n + i], &f);
        if (r == EDDY_ENOENT) {
            continue;
        }
        if (r < 0) {
            return r;
        }
        f.size = sizeof f;
        (*calls)++;
        if (fn(arg, &f) != 0) {
            return 1;
        }
    }
    return 0;
}

int64_t eddy_streams(eddy_store *s, eddy_bytes prefix, eddy_bytes after, size_t limit,
                     int (*fn)(void *arg, const eddy_stream_facts *facts), void *arg) {
    struct eddy_context *c;
    unsigned char last[EDDY_STREAM_MAX];
    int64_t calls = 0;
    int r = eddy_store_context(s, true, &c);
    r = r < 0 ? r : eddy_upkeep_expire(c);
    while (r == 0 && (uint64_t)calls < limit) {
        uint64_t *offs = NULL;
        int64_t n = page(s, c, prefix, after, limit - (size_t)calls, &offs, last, &after);
        r = n < 0 ? (int)n : give_page(s, c, offs, n, fn, arg, &calls);
        free(offs);
        if (n == 0) {
            break;
        }
    }
    return r < 0 ? r : calls;
}

/* ---- members ---- */

static void add_threads(struct eddy_arena *a, uint32_t member, eddy_member_facts *f) {
    for (uint32_t i = 1; i < a->threads_max; i++) {
        /* [look.R1] relaxed: figures to show */
        uint64_t w = eddy_ld_rlx(&a->threads[i].state);
        if (EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == member) {
            f->threads++;
            f->inside += eddy_ld_rlx(&a->threads[i].lo) != 0;
        }
    }
}

static void add_readers(struct eddy_arena *a, uint32_t member, eddy_member_facts *f) {
    for (uint32_t i = 0; i < a->readers_max; i++) {
        /* [look.R2] relaxed: figures to show */
        uint64_t w = eddy_ld_rlx(&a->readers[i].state);
        uint64_t at = eddy_ld_rlx(&a->readers[i].position);
        uint64_t pinned = eddy_ld_rlx(&a->readers[i].pin);
        if (EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == member) {
            f->readers++;
            f->pinned += pinned ? EDDY_EXTENT_SIZE : 0;
            if (f->position == 0 || at < f->position) {
                f->position = at;
            }
        }
    }
}

static bool member_facts(struct eddy_store *s, uint32_t idx, eddy_member_facts *f) {
    struct eddy_arena *a = &s->arena;
    struct eddy_shm_member *m = &a->members[idx];
    memset(f, 0, sizeof *f);
    /* [look.C2] acquire: pairs with [member.P1] */
    uint64_t w = eddy_ld_acq(&m->state);
    if (EDDY_MEMBER_OF(w) != EDDY_MEMBER_LIVE) {
        return false;
    }
    f->slot = idx;
    f->generation = (uint32_t)EDDY_MEMBER_GEN(w);
    f->self = !a->read_only && idx == s->member.idx;
    f->alive = f->self || !eddy_member_dead(a, idx);
    /* [look.R3] relaxed: for people to read */
    f->pid = eddy_ld_rlx(&m->pid);
    f->uid = eddy_ld_rlx(&m->uid);
    f->pidns = eddy_ld_rlx(&m->pidns);
    f->since_ns = (int64_t)eddy_ld_rlx(&m->since_ns);
    f->fences = eddy_ld_rlx(&m->fences) != 0;
    uint64_t command[2] = {eddy_ld_rlx(&m->command[0]), eddy_ld_rlx(&m->command[1])};
    memcpy(f->command, command, sizeof command);
    add_threads(a, idx, f);
    add_readers(a, idx, f);
    f->owned = eddy_extent_count_owned(a, idx) * EDDY_EXTENT_SIZE;
    return true;
}

int eddy_members(eddy_store *s, int (*fn)(void *arg, const eddy_member_facts *facts), void *arg) {
    struct eddy_context *c;
    int r = eddy_store_context(s, true, &c);
    for (uint32_t i = 0; r == 0 && i < s->arena.members_max; i++) {
        eddy_member_facts f;
        if (member_facts(s, i, &f)) {
            r = fn(arg, &f);
        }
    }
    return r;
}

/* ---- stores ---- */

static int visible(const struct dirent *e) {
    return strncmp(e->d_name, "eddy.", 5) == 0 && e->d_name[5] != 0;
}

static int by_byte(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int found_one(const char *dir, const char *file, int (*fn)(void *, const eddy_found *),
                     void *arg) {
    char path[4400];
    struct stat st;
    struct eddy_arena a;
    int n = snprintf(path, sizeof path, "%s/%s", dir, file);
    if (n < 0 || n >= (int)sizeof path || lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        return 0;
    }
    int r = eddy_arena_open(&a, path, -1, true);
    bool ephemeral = r == 0 && a.ephemeral;
    if (r == 0) {
        eddy_arena_close(&a);
    } else if (r == EDDY_ENOTSTORE || r == EDDY_ENOENT) {
        return 0;
    }
    eddy_found f = {
        .name = file + 5,
        .path = path,
        .bytes = (uint64_t)st.st_blocks * 512,
        .uid = st.st_uid,
        .mode = st.st_mode & 07777,
        .modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
        .ephemeral = ephemeral,
    };
    return fn(arg, &f);
}

int eddy_list(const char *dir, int (*fn)(void *arg, const eddy_found *found), void *arg) {
    struct dirent **entry;
    dir = eddy_store_dir(dir);
    int n = scandir(dir, &entry, visible, by_byte);
    if (n < 0) {
        return eddy_arena_error(-errno, "list", dir);
    }
    int r = 0;
    for (int i = 0; i < n; i++) {
        if (r == 0) {
            r = found_one(dir, entry[i]->d_name, fn, arg);
        }
        free(entry[i]);
    }
    free(entry);
    return r;
}
