/* The arena: one file, mapped whole at its cap, addressed by offsets.
 *
 * The room owns the mapping and the constants of the superblock, which are checked once at open
 * and never read from shared memory again. Everything below the reserved mark may be touched; what
 * lies above may not even be read (a read of a hole takes memory, and can kill). Whoever follows
 * an offset that was loaded from shared memory does it through eddy_arena_at().
 */
#ifndef EDDY_ARENA_H
#define EDDY_ARENA_H

#include <sys/types.h>

#include "eddy.h"
#include "layout.h"

struct eddy_arena {
    unsigned char *base;
    struct eddy_shm_super *super;
    struct eddy_shm_ring *ring;
    struct eddy_shm_extent *extents; /* state lines */
    struct eddy_shm_member *members;
    struct eddy_shm_thread *threads;
    struct eddy_shm_reader *readers;
    eddy_word *maps;
    uint64_t map_words;    /* of each */
    eddy_word *names;      /* cells of the name trie's root */
    eddy_word *waits;      /* the mask of all readers that sleep */
    unsigned char *groups; /* wait groups, group_size bytes each */
    eddy_word limit;       /* bytes known to be reserved: a cache of the mark */
    /* Constants of the superblock. */
    uint64_t cap;
    uint64_t fixed; /* bytes before the maps */
    uint64_t extents_off;
    uint64_t extents_max;
    uint64_t hash_seed;
    uint64_t hash_mask;
    uint64_t group_size;
    uint64_t store_id;
    uint64_t revision_base;
    uint32_t members_max;
    uint32_t threads_max;
    uint32_t readers_max;
    uint32_t wait_words;
    bool ephemeral;
    /* The file. */
    int fd;
    bool read_only;
    dev_t dev;
    ino_t ino;
    char *path; /* NULL: a memfd or a descriptor that was handed in */
    /* For proofs: says whether a member is dead, in place of the kernel. */
    bool (*dead_fn)(void *arg, uint32_t member);
    void *dead_arg;
};

struct eddy_arena_options {
    uint64_t cap;
    uint32_t mode;
    uint32_t members;
    uint32_t threads;
    uint64_t reserve;   /* bytes to reserve at once */
    uint32_t hash_keep; /* bits of a name's hash to use, for tests of collisions; 0: all */
    bool ephemeral;     /* it ends with the last who has it open: see life.h */
    bool unnamed;       /* it gets its path later, by eddy_arena_publish() */
};

/* Makes a store and gives it the path when it is whole (NULL: a memfd). EDDY_EEXIST if the path is
 * taken. On failure nothing remains. */
int eddy_arena_create(struct eddy_arena *arena, const char *path,
                      const struct eddy_arena_options *options);
/* Gives it its path, or the place of what has that, at one instant. 0, EDDY_EEXIST (without replace),
 * or another error. */
int eddy_arena_publish(struct eddy_arena *arena, bool replace);
/* Opens the store at path (an ephemeral one that nobody has open is none: EDDY_ENOENT), or, if path is NULL, of a descriptor, which is not taken over. */
int eddy_arena_open(struct eddy_arena *arena, const char *path, int fd, bool read_only);
void eddy_arena_close(struct eddy_arena *arena);
/* Reserves at least n more extents. EDDY_EFULL says why not and what to do. */
int eddy_arena_grow(struct eddy_arena *arena, uint32_t n);
/* Takes the memory of an extent from it, or gives it some again. 0 or an error. */
int eddy_arena_punch(struct eddy_arena *arena, uint32_t idx);
int eddy_arena_refill(struct eddy_arena *arena, uint32_t idx);
/* The descriptor of the file: the one that was opened, or, if something like close_range() took it,
 * a new one by name; or a negative errno. */
int eddy_arena_fd(struct eddy_arena *arena);
/* Is fd a descriptor of this file? */
bool eddy_arena_is(const struct eddy_arena *arena, int fd);
/* Whether the store goes with the last who has it open: it was made so, or never had a name. */
bool eddy_arena_is_ephemeral(const struct eddy_arena *arena);
/* Whether the file has lost its name. */
bool eddy_arena_unlinked(const struct eddy_arena *arena);
/* Turns a negative errno about a path into an error with a sentence. */
int eddy_arena_error(int error, const char *what, const char *path);
/* Extents known to be reserved, from the shared mark. */
uint64_t eddy_arena_reserved(struct eddy_arena *arena);
/* The mark was passed: looks at the shared one again. */
bool eddy_arena_within(struct eddy_arena *arena, uint64_t off, uint64_t len);

static inline void *eddy_arena_raw(const struct eddy_arena *arena, uint64_t off) {
    return arena->base + off;
}

/* The address of [off, off + len) in the extents, or NULL if it does not lie there whole. */
static inline void *eddy_arena_at(struct eddy_arena *arena, uint64_t off, uint64_t len) {
    /* [arena.R1] relaxed: a cache of a number that only grows; a stale one only looks again */
    uint64_t limit = eddy_ld_rlx(&arena->limit);
    if (__builtin_expect(off < arena->extents_off || off > limit || len > limit - off, 0) &&
        !eddy_arena_within(arena, off, len)) {
        return NULL;
    }
    return arena->base + off;
}

static inline uint32_t eddy_arena_extent_of(const struct eddy_arena *arena, uint64_t off) {
    return (uint32_t)((off - arena->extents_off) >> EDDY_EXTENT_BITS);
}

static inline uint64_t eddy_arena_extent_off(const struct eddy_arena *arena, uint32_t idx) {
    return arena->extents_off + ((uint64_t)idx << EDDY_EXTENT_BITS);
}

static inline uint64_t eddy_arena_off(const struct eddy_arena *arena, const void *p) {
    return (uint64_t)((const unsigned char *)p - arena->base);
}

static inline struct eddy_shm_group *eddy_arena_group(const struct eddy_arena *arena,
                                                      uint32_t group) {
    return (struct eddy_shm_group *)(void *)(arena->groups + group * arena->group_size);
}

#endif
