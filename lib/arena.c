/* Making, opening and growing the file.
 *
 * I1  A name leads to a whole store or to nothing: a store is made in an unnamed file and linked
 *     into place. A death before that leaves nothing.
 * I2  What lies below the reserved mark has memory: the mark is raised after fallocate succeeded.
 *     A death between leaves reserved memory above the mark, which the next to grow finds again.
 * I3  No constant of the superblock is read from shared memory after it was checked at open.
 */
#include "arena.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "error.h"
#include "life.h"
#include "platform.h"

enum { GROW_MIN = 8, GROW_MAX = 16, FIRST_EXTENTS = 8, BITS_PER_PAGE = 4096 * 8 };

static uint64_t page_up(uint64_t x) {
    return (x + 4095) & ~UINT64_C(4095);
}

static const char *shown(const struct eddy_arena *a) {
    return a->path ? a->path : "the anonymous store";
}

int eddy_arena_error(int error, const char *what, const char *path) {
    switch (-error) {
    case ENOENT:
        return eddy_error_set(EDDY_ENOENT, "%s: there is no such store", path);
    case EEXIST:
        return eddy_error_set(EDDY_EEXIST, "%s: exists already", path);
    case EACCES:
    case EPERM:
        return eddy_error_set(EDDY_EACCESS,
                              "%s: permission denied for uid %u: ask its owner to open it with "
                              "another mode, or open it read-only",
                              path, (unsigned)geteuid());
    case ELOOP:
        return eddy_error_set(EDDY_ENOTSTORE, "%s: is a symbolic link, which eddy does not follow",
                              path);
    case EISDIR:
    case ENXIO:
        return eddy_error_set(EDDY_ENOTSTORE, "%s: is not a regular file", path);
    case EOPNOTSUPP:
        return eddy_error_set(EDDY_ESYS,
                              "%s: its file system has no unnamed files (O_TMPFILE); put the store "
                              "on a tmpfs, ext4, xfs or btrfs",
                              path);
    case ENOMEM:
        return eddy_error_set(EDDY_ENOMEM,
                              "%s: %s: no address space; make the store with a smaller cap, or "
                              "raise `ulimit -v`",
                              path, what);
    case EMFILE:
    case ENFILE:
        return eddy_error_set(EDDY_ESYS, "%s: %s: too many open files; raise `ulimit -n`", path,
                              what);
    default:
        return eddy_error_set(EDDY_ESYS, "%s: %s: %s", path, what, strerror(-error));
    }
}

/* Says that the file system has no room for more, and what to do about it. */
static int full(const struct eddy_arena *a, uint64_t asked, int error) {
    struct statfs fs;
    if (error == -EFBIG) {
        return eddy_error_set(EDDY_EFULL,
                              "%s: the limit on the size of files (ulimit -f) leaves no room for "
                              "%llu KiB more: raise it",
                              shown(a), (unsigned long long)(asked >> 10));
    }
    if (error == -EBADF) {
        return eddy_error_set(EDDY_ESYS,
                              "%s: cannot grow: its descriptor was closed behind eddy's back, and "
                              "no name leads to it; open it once more",
                              shown(a));
    }
    if (fstatfs(a->fd, &fs) < 0) {
        memset(&fs, 0, sizeof fs);
    }
    unsigned long long unit = (unsigned long long)fs.f_bsize;
    return eddy_error_set(
        EDDY_EFULL,
        "%s: no memory for %llu KiB more (%s): its file system has %llu KiB free (%llu for this "
        "user) of %llu KiB. Give it more (Docker: --shm-size; compose: shm_size; Kubernetes: "
        "emptyDir with medium Memory; else: mount -o remount,size=), or put the store in another "
        "directory (EDDY_DIR) or in an anonymous file (EDDY_ANONYMOUS)",
        shown(a), (unsigned long long)(asked >> 10), strerror(-error), fs.f_bfree * unit >> 10,
        fs.f_bavail * unit >> 10, fs.f_blocks * unit >> 10);
}

/* Fills in what this process keeps of a superblock, which was checked. */
static void adopt(struct eddy_arena *a, const struct eddy_shm_super *s, void *base) {
    a->base = base;
    a->super = base;
    a->ring = eddy_arena_raw(a, s->ring_off);
    a->extents = eddy_arena_raw(a, s->states_off);
    a->maps = eddy_arena_raw(a, s->maps_off);
    a->map_words = (s->states_off - s->maps_off) / EDDY_MAPS / 8;
    a->members = eddy_arena_raw(a, s->members_off);
    a->threads = eddy_arena_raw(a, s->threads_off);
    a->readers = eddy_arena_raw(a, s->readers_off);
    a->names = eddy_arena_raw(a, s->names_off);
    a->waits = eddy_arena_raw(a, s->waits_off);
    uint64_t masks = (8 * (uint64_t)s->wait_words + EDDY_LINE - 1) / EDDY_LINE * EDDY_LINE;
    a->groups = eddy_arena_raw(a, s->waits_off + masks);
    a->cap = s->cap;
    a->fixed = s->maps_off;
    a->extents_off = s->extents_off;
    a->extents_max = s->extents_max;
    a->hash_seed = s->hash_seed;
    a->hash_mask = s->hash_keep >= EDDY_FAMILY_SHIFT ? EDDY_FAMILY_HASH(1) - 1
                                                     : (UINT64_C(1) << s->hash_keep) - 1;
    a->group_size = eddy_layout_group_size(s->wait_words);
    a->store_id = s->store_id;
    a->revision_base = s->revision_base;
    a->ephemeral = (s->flags & EDDY_SUPER_EPHEMERAL) != 0;
    a->members_max = s->members_max;
    a->threads_max = s->threads_max;
    a->readers_max = s->readers_max;
    a->wait_words = s->wait_words;
    /* [arena.R2] relaxed: nobody else has this arena yet */
    eddy_st_rlx(&a->limit, a->extents_off);
}

/* A path that leads to the same also when the process has gone to another directory. */
static char *absolute(const char *path) {
    char here[4096];
    char *whole;
    if (path[0] == '/' || !getcwd(here, sizeof here)) {
        return strdup(path);
    }
    return asprintf(&whole, "%s/%s", here, path) < 0 ? NULL : whole;
}

static int note_file(struct eddy_arena *a, const char *path) {
    struct stat st;
    if (fstat(a->fd, &st) < 0) {
        return eddy_arena_error(-errno, "fstat", path ? path : "descriptor");
    }
    a->dev = st.st_dev;
    a->ino = st.st_ino;
    if (path) {
        a->path = absolute(path);
        if (!a->path) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for a path");
        }
    }
    return 0;
}

static void init_super(struct eddy_shm_super *s, const struct eddy_shm_super *plan,
                       const struct eddy_arena_options *o) {
    memcpy(s, plan, sizeof *s);
    s->store_id = eddy_platform_random();
    s->hash_seed = eddy_platform_random();
    s->created_ns = eddy_platform_realtime_ns();
    s->hash_keep = o->hash_keep ? o->hash_keep : 64;
    s->flags = o->ephemeral ? EDDY_SUPER_EPHEMERAL : 0;
    (void)snprintf(s->writer, sizeof s->writer, "eddy %s", eddy_version());
    /* [arena.R3] relaxed: the file has no name yet; linking it publishes all of it */
    eddy_st_rlx(&s->era, 1);
    eddy_st_rlx(&s->genesis.next_offset, 1);
    eddy_st_rlx(&s->reserved, 0);
}

/* The kernel tells no name of a file that had none when it was opened. Who gets our descriptor and is
 * the last is to find it: so it is opened once more. */
static void know_name(struct eddy_arena *a, const char *path) {
    int fd = eddy_platform_open(path, false);
    if (fd >= 0 && eddy_arena_is(a, fd) && eddy_life_begin(fd) == 0) {
        close(a->fd);
        a->fd = fd;
    } else if (fd >= 0) {
        close(fd);
    }
}

int eddy_arena_publish(struct eddy_arena *a, bool replace) {
    if (!replace) {
        int r = eddy_platform_publish(a->fd, a->path);
        if (r == 0 && a->ephemeral) {
            know_name(a, a->path);
        }
        return r < 0 ? eddy_arena_error(r, "link", a->path) : 0;
    }
    char *beside = eddy_platform_beside(a->path);
    if (!beside) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a path");
    }
    int r = eddy_platform_publish(a->fd, beside);
    if (r == 0) {
        r = eddy_platform_rename(beside, a->path);
        if (r < 0) {
            (void)unlink(beside);
        }
    }
    free(beside);
    return r < 0 ? eddy_arena_error(r, "rename", a->path) : 0;
}

static int create_in(struct eddy_arena *a, const char *path, const struct eddy_shm_super *plan,
                     const struct eddy_arena_options *o) {
    void *base = NULL;
    int r = eddy_platform_reserve(a->fd, 0, plan->maps_off);
    if (r < 0) {
        return full(a, plan->maps_off, r);
    }
    r = eddy_platform_map(a->fd, plan->cap, false, &base);
    if (r < 0) {
        return eddy_arena_error(r, "mmap of its cap", shown(a));
    }
    init_super(base, plan, o);
    adopt(a, base, base);
    uint64_t first = o->reserve / EDDY_EXTENT_SIZE;
    first = first < FIRST_EXTENTS ? FIRST_EXTENTS : first;
    r = eddy_arena_grow(a, (uint32_t)(first < a->extents_max ? first : a->extents_max));
    if (r < 0) {
        return r;
    }
    /* [arena.P1] release: alone: the link below is what others see it by; the magic comes last so
     * that a copy taken of the unnamed file is no store either */
    eddy_st_rel(&a->super->magic, EDDY_MAGIC);
    if (a->ephemeral) {
        r = eddy_life_begin(a->fd);
        if (r < 0) {
            return eddy_arena_error(r, "lock", shown(a));
        }
    }
    if (path) {
        return o->unnamed ? 0 : eddy_arena_publish(a, false);
    }
    r = eddy_platform_seal(a->fd);
    return r < 0 ? eddy_arena_error(r, "seal", shown(a)) : 0;
}

int eddy_arena_create(struct eddy_arena *a, const char *path, const struct eddy_arena_options *o) {
    struct eddy_shm_super plan;
    struct eddy_layout_sizes sizes = {.cap = o->cap, .members = o->members, .threads = o->threads};
    memset(a, 0, sizeof *a);
    memset(&plan, 0, sizeof plan);
    eddy_layout_plan(&plan, &sizes);
    if (plan.extents_max < FIRST_EXTENTS) {
        return eddy_error_set(EDDY_EINVAL,
                              "cap of %llu bytes is too small for %u members and %u threads, which "
                              "take %llu",
                              (unsigned long long)o->cap, o->members, o->threads,
                              (unsigned long long)plan.states_off);
    }
    if (path) {
        char *dir = eddy_platform_parent(path);
        if (!dir) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for a path");
        }
        /* What was left by who was killed is not to be found, and takes no memory any more. */
        eddy_life_sweep(path);
        eddy_life_sweep_all(dir);
        a->fd = eddy_platform_tmpfile(dir, (mode_t)o->mode);
        int r = a->fd < 0 ? eddy_arena_error(a->fd, "open(O_TMPFILE)", dir) : 0;
        free(dir);
        if (r < 0) {
            return r;
        }
    } else {
        a->fd = eddy_platform_memfd("eddy");
        if (a->fd < 0) {
            return eddy_arena_error(a->fd, "memfd_create", "the anonymous store");
        }
    }
    int r = note_file(a, path);
    if (r == 0) {
        r = create_in(a, path, &plan, o);
    }
    if (r < 0) {
        eddy_arena_close(a);
    }
    return r;
}

static int check_magic(const struct eddy_shm_super *s, const char *path) {
    /* [arena.R4] relaxed: a private copy of the first page */
    uint64_t magic = eddy_ld_rlx(&s->magic);
    if (magic == 0) {
        return eddy_error_set(EDDY_ENOTSTORE,
                              "%s: is a half-written file or an empty one, no eddy store", path);
    }
    if (magic != EDDY_MAGIC) {
        return eddy_error_set(EDDY_ENOTSTORE, "%s: is a file, but no eddy store", path);
    }
    if (s->layout >> 16 != EDDY_LAYOUT_MAJOR || s->feature_incompat != 0) {
        return eddy_error_set(EDDY_ELAYOUT,
                              "%s: has layout %u.%u with features %llx and was made by '%.63s'; "
                              "this is eddy %s, which knows layout %u.%u: use the eddy that made "
                              "it, or export and import it with that",
                              path, s->layout >> 16, s->layout & 0xffff,
                              (unsigned long long)s->feature_incompat, s->writer, eddy_version(),
                              EDDY_LAYOUT_MAJOR, EDDY_LAYOUT_MINOR);
    }
    return 0;
}

static int check_super(const struct eddy_shm_super *s, const char *path, uint64_t file_bytes) {
    if (s->cap < EDDY_CAP_MIN || s->cap > EDDY_CAP_MAX || s->members_max < 2 ||
        s->members_max > 1025 || s->threads_max < 2 || s->threads_max > 8001 || s->hash_keep == 0) {
        return eddy_error_set(EDDY_ECORRUPT, "%s: its superblock is damaged", path);
    }
    struct eddy_shm_super plan;
    struct eddy_layout_sizes sizes = {s->cap, s->members_max, s->threads_max};
    memset(&plan, 0, sizeof plan);
    eddy_layout_plan(&plan, &sizes);
    if (plan.extents_max < FIRST_EXTENTS || s->fingerprint != plan.fingerprint ||
        eddy_layout_fingerprint(s) != plan.fingerprint) {
        return eddy_error_set(EDDY_ECORRUPT,
                              "%s: its superblock is damaged, or was laid out by a differently "
                              "built eddy (fingerprint %016llx, here %016llx)",
                              path, (unsigned long long)s->fingerprint,
                              (unsigned long long)plan.fingerprint);
    }
    /* [arena.R5] relaxed: a private copy */
    uint64_t reserved = eddy_ld_rlx(&s->reserved);
    if (reserved > plan.extents_max || reserved < FIRST_EXTENTS ||
        plan.extents_off + reserved * EDDY_EXTENT_SIZE > file_bytes) {
        return eddy_error_set(EDDY_ECORRUPT,
                              "%s: is cut short: %llu bytes, but %llu extents are in use", path,
                              (unsigned long long)file_bytes, (unsigned long long)reserved);
    }
    return 0;
}

/* A read-only handle cannot write down that it reads: a lock says so, which lives as long as its
 * mapping, and keeps others from taking memory away under it (trim.c). Who does that is at it for
 * some milliseconds. */
static int announce_reader(struct eddy_arena *a, const char *name) {
    int r;
    for (int tries = 0; (r = eddy_platform_lock_share(a->fd, EDDY_LOCK_TRIM)) == -EAGAIN; tries++) {
        if (tries == 1000) {
            return eddy_error_set(EDDY_EAGAIN,
                                  "%s: memory is being given back to the system: try "
                                  "again, or open it for writing",
                                  name);
        }
        usleep(1000);
    }
    return r < 0 ? eddy_arena_error(r, "lock for reading", name) : 0;
}

/* An ephemeral store is there as long as somebody has it open. */
static int join_life(struct eddy_arena *a, const char *path, const char *name) {
    int r = eddy_life_join(a->fd, path, a->read_only);
    switch (r) {
    case 1:
        return 0;
    case 0:
        return eddy_arena_error(-ENOENT, "open", name);
    case -EAGAIN:
        return eddy_error_set(
            EDDY_EAGAIN, "%s: the last process that had it open is ending it: try again", name);
    case -EACCES:
        return eddy_error_set(EDDY_EACCESS,
                              "%s: the store has ended with the last process that had it open, but "
                              "uid %u may not take its name away: its owner can (`eddy ls`)",
                              name, (unsigned)geteuid());
    default:
        return eddy_arena_error(r, "lock", name);
    }
}

static int open_in(struct eddy_arena *a, const char *path, const char *name) {
    struct eddy_shm_super copy;
    struct stat st;
    void *base = NULL;
    if (fstat(a->fd, &st) < 0) {
        return eddy_arena_error(-errno, "fstat", name);
    }
    if (!S_ISREG(st.st_mode)) {
        return eddy_error_set(EDDY_ENOTSTORE, "%s: is not a regular file", name);
    }
    ssize_t got = pread(a->fd, &copy, sizeof copy, 0);
    if (got < 0) {
        return eddy_arena_error(-errno, "read", name);
    }
    if (got < (ssize_t)sizeof copy) {
        return eddy_error_set(EDDY_ENOTSTORE, "%s: has only %lld bytes: no eddy store", name,
                              (long long)st.st_size);
    }
    int r = check_magic(&copy, name);
    if (r == 0 && (copy.flags & EDDY_SUPER_EPHEMERAL)) {
        r = join_life(a, path, name);
    }
    /* Its size behind the copy of what is reserved: others may be growing it. */
    if (r == 0 && fstat(a->fd, &st) < 0) {
        r = eddy_arena_error(-errno, "fstat", name);
    }
    r = r < 0 ? r : check_super(&copy, name, (uint64_t)st.st_size);
    if (r < 0) {
        return r;
    }
    if (a->read_only) {
        r = announce_reader(a, name);
        if (r < 0) {
            return r;
        }
    }
    r = eddy_platform_map(a->fd, copy.cap, a->read_only, &base);
    if (r < 0) {
        return eddy_arena_error(r, "mmap of its cap", name);
    }
    adopt(a, &copy, base);
    return 0;
}

int eddy_arena_open(struct eddy_arena *a, const char *path, int fd, bool read_only) {
    char name[64];
    memset(a, 0, sizeof *a);
    a->read_only = read_only;
    if (!path) {
        (void)snprintf(name, sizeof name, "descriptor %d", fd);
    }
    a->fd = path ? eddy_platform_open(path, read_only) : eddy_platform_reopen(fd, read_only);
    if (a->fd < 0) {
        return eddy_arena_error(a->fd, "open", path ? path : name);
    }
    int r = open_in(a, path, path ? path : name);
    if (r == 0) {
        r = note_file(a, path);
    }
    if (r < 0) {
        eddy_arena_close(a);
    }
    return r;
}

void eddy_arena_close(struct eddy_arena *a) {
    int last = a->ephemeral ? eddy_platform_reopen(eddy_arena_fd(a), false) : -1;
    if (a->base) {
        eddy_platform_unmap(a->base, a->cap);
    }
    /* Somebody may have closed all descriptors; this number may be another file by now. */
    if (a->fd >= 0 && (a->ino == 0 || eddy_arena_is(a, a->fd))) {
        close(a->fd);
    }
    if (last >= 0) {
        eddy_life_leave(last, a->path);
        close(last);
    }
    free(a->path);
    memset(a, 0, sizeof *a);
    a->fd = -1;
}

bool eddy_arena_unlinked(const struct eddy_arena *a) {
    struct stat st;
    return a->path && (stat(a->path, &st) < 0 || st.st_dev != a->dev || st.st_ino != a->ino);
}

bool eddy_arena_is_ephemeral(const struct eddy_arena *a) {
    struct stat st;
    return a->ephemeral || (!a->path && fstat(a->fd, &st) == 0 && st.st_nlink == 0);
}

bool eddy_arena_is(const struct eddy_arena *a, int fd) {
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == a->dev && st.st_ino == a->ino;
}

int eddy_arena_fd(struct eddy_arena *a) {
    if (eddy_arena_is(a, a->fd)) {
        return a->fd;
    }
    if (!a->path) {
        return -EBADF;
    }
    int fd = eddy_platform_open(a->path, a->read_only);
    if (fd >= 0 && !eddy_arena_is(a, fd)) {
        close(fd);
        return -EBADF;
    }
    if (fd >= 0) {
        a->fd = fd;
    }
    return fd;
}

/* Reserves the pages of [from, from + len) of a region. */
static int reserve_pages(int fd, uint64_t from, uint64_t len) {
    uint64_t low = from & ~UINT64_C(4095);
    return eddy_platform_reserve(fd, low, page_up(from + len) - low);
}

static int reserve_extents(struct eddy_arena *a, uint64_t from, uint64_t n) {
    int fd = eddy_arena_fd(a);
    if (fd < 0) {
        return fd;
    }
    uint64_t line = sizeof(struct eddy_shm_extent);
    int r = 0;
    for (unsigned m = 0; r == 0 && m < EDDY_MAPS; m++) {
        uint64_t map = eddy_arena_off(a, a->maps + m * a->map_words);
        /* A page of a map is that of many extents: mostly it is there already. */
        if (from == 0 || (from - 1) / BITS_PER_PAGE != (from + n - 1) / BITS_PER_PAGE) {
            r = reserve_pages(fd, map + from / 8, n / 8 + 1);
        }
    }
    if (r == 0) {
        r = reserve_pages(fd, eddy_arena_off(a, a->extents) + from * line, n * line);
    }
    if (r == 0) {
        r = eddy_platform_reserve(fd, eddy_arena_extent_off(a, (uint32_t)from),
                                  n * EDDY_EXTENT_SIZE);
    }
    return r;
}

int eddy_arena_grow(struct eddy_arena *a, uint32_t n) {
    uint64_t from = eddy_arena_reserved(a);
    uint64_t left = a->extents_max - from;
    if (n > left) {
        return eddy_error_set(EDDY_EFULL,
                              "%s: the store is full: its cap is %llu bytes; make it with a larger "
                              "cap, or remove events",
                              shown(a), (unsigned long long)a->cap);
    }
    uint64_t step = from / 8 < GROW_MIN ? GROW_MIN : from / 8 > GROW_MAX ? GROW_MAX : from / 8;
    step = step < n ? n : step > left ? left : step;
    int r = reserve_extents(a, from, step);
    if (r < 0 && step > n) {
        step = n;
        r = reserve_extents(a, from, step);
    }
    if (r < 0) {
        return full(a, step * EDDY_EXTENT_SIZE, r);
    }
    /* [arena.P2] release: pairs with [arena.C2]. Whoever sees the mark may touch what is below it:
     * it is reserved. Death before: reserved memory above the mark, found again by who grows next;
     * after: as if we had never been. */
    eddy_at_max(&a->super->reserved, from + step);
    eddy_platform_populate(eddy_arena_raw(a, eddy_arena_extent_off(a, (uint32_t)from)),
                           step * EDDY_EXTENT_SIZE);
    return 0;
}

int eddy_arena_punch(struct eddy_arena *a, uint32_t idx) {
    int fd = eddy_arena_fd(a);
    int r = fd < 0 ? fd : eddy_platform_punch(fd, eddy_arena_extent_off(a, idx), EDDY_EXTENT_SIZE);
    return r < 0 ? eddy_arena_error(r, "fallocate(PUNCH_HOLE)", shown(a)) : 0;
}

int eddy_arena_refill(struct eddy_arena *a, uint32_t idx) {
    int fd = eddy_arena_fd(a);
    int r =
        fd < 0 ? fd : eddy_platform_reserve(fd, eddy_arena_extent_off(a, idx), EDDY_EXTENT_SIZE);
    return r < 0 ? full(a, EDDY_EXTENT_SIZE, r) : 0;
}

uint64_t eddy_arena_reserved(struct eddy_arena *a) {
    /* [arena.C2] acquire: pairs with [arena.P2] */
    uint64_t n = eddy_ld_acq(&a->super->reserved);
    return n > a->extents_max ? a->extents_max : n;
}

bool eddy_arena_within(struct eddy_arena *a, uint64_t off, uint64_t len) {
    uint64_t limit = a->extents_off + eddy_arena_reserved(a) * EDDY_EXTENT_SIZE;
    /* A damaged mark must not make us touch what is not there. */
    int fd = eddy_arena_fd(a);
    if (fd >= 0 && eddy_platform_file_bytes(fd) < (int64_t)limit) {
        return false;
    }
    /* [arena.R6] relaxed: a cache; the acquire of the mark itself has just been made */
    eddy_st_rlx(&a->limit, limit);
    return off >= a->extents_off && off <= limit && len <= limit - off;
}
