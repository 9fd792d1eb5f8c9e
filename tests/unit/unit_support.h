/* What the tests of the rooms share: small stores without a handle, several members of one store
 * within this process, their death, images of a store to take words back from, and a stepper that
 * stops a call at each single access to the shared memory. */
#ifndef UNIT_SUPPORT_H
#define UNIT_SUPPORT_H

#include "commit.h"
#include "error.h"
#include "maintain.h"
#include "platform.h"
#include "reclaim.h"
#include "wait.h"

#include <criterion/criterion.h>
#include <sys/select.h>

#define UNIT_CAP (UINT64_C(4) << 20)
enum { UNIT_MEMBERS = 6, UNIT_THREADS = 8 };

/* ---- stores ---- */

/* A store in a memfd of 5 members and 7 threads, of whose names' hashes hash_keep bits are used (0:
 * all). Freed by unit_store_free(). */
struct eddy_arena *unit_store(uint32_t hash_keep);
struct eddy_arena *unit_store_of(uint64_t cap, uint32_t hash_keep);
void unit_store_free(struct eddy_arena *arena);
/* A handle on it. */
eddy_store *unit_handle(struct eddy_arena *arena, uint32_t flags);
/* eddy_check() of a read-only handle, which clears nothing up: how many things it finds wrong. The
 * first goes into unit_wrong, and the rooms that say so into unit_rooms. */
unsigned unit_wrongs(struct eddy_arena *arena);
extern char unit_wrong[512];
extern char unit_rooms[256];
/* Asserts that nothing is wrong. */
#define unit_assert_sound(arena)                                                                   \
    cr_assert_eq(unit_wrongs(arena), 0, "%s (%s)", unit_wrong, eddy_errmsg())

/* ---- members ---- */

/* A member of one thread, and all that a handle has for it. */
struct unit_member {
    struct eddy_arena *arena;
    struct eddy_member member;
    struct eddy_thread thread;
    struct eddy_directory *directory;
    struct eddy_plan plan;
    struct eddy_batch batch;
    eddy_result result; /* of the last commit */
};

/* Joins in the first free slots. */
void unit_join(struct unit_member *m, struct eddy_arena *arena);
void unit_leave(struct unit_member *m);
/* Dies: gives nothing back; the kernel says that it is dead. */
void unit_die(struct unit_member *m);

/* Transactions: events and conditions are added to its batch, then committed. */
void unit_add(struct unit_member *m, const char *stream, unsigned events, size_t data_len);
void unit_expect(struct unit_member *m, const char *stream, int64_t expected);
int unit_commit(struct unit_member *m);
/* The three in one. */
int unit_append(struct unit_member *m, const char *stream, int64_t expected, unsigned events,
                size_t data_len);
/* Help, by this member; gives the number of the first empty word. */
uint64_t unit_help(struct unit_member *m);
/* The version of a stream as the indexes show it now, through no overlay; 0 if it is not there. */
uint64_t unit_version(struct eddy_arena *arena, const char *stream);
uint64_t unit_applied(struct eddy_arena *arena);
struct eddy_view unit_view(struct unit_member *m);
/* Its descriptor, or NULL. */
struct eddy_shm_stream *unit_stream(struct eddy_arena *arena, const char *stream);
eddy_word *unit_word(struct eddy_arena *arena, uint64_t off);
/* eddy_reclaim_block() and eddy_reclaim_stream() of the block that is there now. */
int unit_reclaim_block(struct eddy_reclaim *r, uint64_t off);
int unit_reclaim_stream(struct eddy_reclaim *r, uint64_t desc);

/* ---- images ---- */

/* The bytes of a store. */
struct unit_image {
    unsigned char *bytes;
    uint64_t len;
};

struct unit_image unit_image_take(struct eddy_arena *arena);
void unit_image_put(struct eddy_arena *arena, const struct unit_image *image);
void unit_image_free(struct unit_image *image);
uint64_t unit_image_word(const struct unit_image *image, uint64_t off);
/* The first byte from which two images differ, the slot of one thread left out; UINT64_MAX: none.
 */
uint64_t unit_image_differs(const struct unit_image *a, const struct unit_image *b,
                            const struct unit_member *except);

/* One store into one word, as a redo list has it. */
struct unit_entry {
    uint64_t off;
    uint64_t old; /* of a swap */
    uint64_t value;
    unsigned kind;
};

/* The redo list of transaction seq, word by word, into `out`, which has room for max. */
size_t unit_list(struct eddy_arena *arena, uint64_t seq, struct unit_entry *out, size_t max);
/* Takes back what applying the last transaction has changed, from an image of before it; then does
 * the first `done` of its stores; `applied` stands before it. As its applier's death would leave
 * it; the blocks that it linked are owned by `owner` again. Gives the number of its stores. */
size_t unit_half_applied(struct eddy_arena *arena, const struct unit_image *before, size_t done,
                         uint32_t owner);

/* ---- steps ---- */

/* Stops a call at each access to a part of the shared memory. */
struct unit_step {
    struct eddy_arena *arena;
    uint64_t from; /* bytes, whole pages; to 0: all that is reserved */
    uint64_t to;
    uint64_t at;            /* the access (from 0) at which */
    bool (*act)(void *arg); /* this is called: true if the call is to end there, for ever */
    void *arg;
};

/* Runs fn(arg). Gives the number of accesses up to and including the one at which it acted; or, if
 * there were not so many, 0. */
uint64_t unit_step(const struct unit_step *step, void (*fn)(void *arg), void *arg);
/* False: this machine cannot be stepped. */
bool unit_can_step(void);
#define unit_needs_steps()                                                                         \
    do {                                                                                           \
        if (!unit_can_step()) {                                                                    \
            cr_skip("single steps are known for x86-64 only");                                     \
        }                                                                                          \
    } while (0)
/* An act: the caller is to die there. */
bool unit_act_death(void *arg);
/* What the dead had open the kernel closes: which descriptors there are; and closing all others. */
void unit_note_open(fd_set *set);
void unit_close_others(const fd_set *set);

#endif
