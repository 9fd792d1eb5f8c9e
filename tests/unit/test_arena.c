/* arena: a whole store or none; constants checked once; nothing above the mark is touched. */
#include "arena.h"

#include "support/child.h"
#include "support/sandbox.h"
#include "unit_support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct eddy_arena_options small = {
    .cap = UNIT_CAP, .mode = 0640, .members = 4, .threads = 5};

static struct sandbox box;

static const char *fresh_path(void) {
    sandbox_make(&box);
    return sandbox_path(&box, "store");
}

Test(arena, a_name_leads_to_a_whole_store, .timeout = 20) {
    const char *path = fresh_path();
    struct eddy_arena a;
    struct eddy_arena b;
    struct stat st;
    cr_assert_eq(eddy_arena_create(&a, path, &small), 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0640);
    cr_assert_eq(eddy_arena_create(&b, path, &small), EDDY_EEXIST);
    cr_assert_eq(eddy_arena_open(&b, path, -1, false), 0);
    cr_assert_eq(b.store_id, a.store_id);
    cr_assert_eq(b.hash_seed, a.hash_seed);
    cr_assert_eq(b.members_max, 4);
    cr_assert_eq(b.threads_max, 5);
    cr_assert_neq((void *)b.base, (void *)a.base);
    eddy_st_rel(&a.names[5], 99);
    cr_assert_eq(eddy_ld_acq(&b.names[5]), 99);
    eddy_arena_close(&b);
    cr_assert_eq(eddy_arena_open(&b, NULL, a.fd, true), 0);
    cr_assert(b.read_only);
    eddy_arena_close(&b);
    cr_assert_not(eddy_arena_unlinked(&a));
    cr_assert_eq(unlink(path), 0);
    cr_assert(eddy_arena_unlinked(&a));
    eddy_arena_close(&a);
}

Test(arena, sizes_that_cannot_be_leave_nothing, .timeout = 20) {
    const char *path = fresh_path();
    struct eddy_arena a;
    struct eddy_arena_options o = small;
    o.threads = 2000;
    cr_assert_eq(eddy_arena_create(&a, path, &o), EDDY_EINVAL);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_eq(eddy_arena_open(&a, path, -1, false), EDDY_ENOENT);
}

/* Each word of the first page that is constant, in turn, is something else. */
Test(arena, a_damaged_superblock_is_refused, .timeout = 60) {
    const char *path = fresh_path();
    struct eddy_arena a;
    struct eddy_arena b;
    cr_assert_eq(eddy_arena_create(&a, path, &small), 0);
    /* store_id, hash_seed, created_ns, the bits to ignore and who made it may be anything. */
    const size_t any[] = {24, 32, 56, 152, 160};
    static const uint64_t values[] = {0, 1, UINT64_MAX, 0x7fffffffffffffff};
    for (size_t off = 0; off < 176; off += 8) {
        eddy_word *w = unit_word(&a, off);
        uint64_t was = eddy_ld_acq(w);
        bool ignored = false;
        for (size_t i = 0; i < sizeof any / sizeof any[0]; i++) {
            ignored = ignored || any[i] == off;
        }
        for (size_t v = 0; v < 6; v++) {
            uint64_t value = v < 4 ? values[v] : v == 4 ? was ^ 1 : was + 4096;
            if (value == was || (off == 168 && value != 0)) {
                continue; /* hash_keep is a number of bits */
            }
            eddy_st_rel(w, value);
            int r = eddy_arena_open(&b, path, -1, v % 2);
            if (r == 0) {
                eddy_arena_close(&b);
            }
            cr_assert(ignored ? r == 0
                              : r == EDDY_ECORRUPT || r == EDDY_ENOTSTORE || r == EDDY_ELAYOUT,
                      "word at %zu with %llx: %d", off, (unsigned long long)value, r);
        }
        eddy_st_rel(w, was);
    }
    const uint64_t marks[] = {0, 7, a.extents_max + 1, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        uint64_t was = eddy_ld_acq(&a.super->reserved);
        eddy_st_rel(&a.super->reserved, marks[i]);
        cr_assert_eq(eddy_arena_open(&b, path, -1, false), EDDY_ECORRUPT);
        eddy_st_rel(&a.super->reserved, was);
    }
    cr_assert_eq(eddy_arena_open(&b, path, -1, false), 0);
    eddy_arena_close(&b);
    eddy_arena_close(&a);
}

Test(arena, files_that_are_no_stores_are_told_apart, .timeout = 20) {
    const char *path = fresh_path();
    struct eddy_arena a;
    struct eddy_arena made;
    char page[4096] = "a text";
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(eddy_arena_open(&a, path, -1, false), EDDY_ENOTSTORE); /* empty */
    cr_assert_eq(write(fd, page, 100), 100);
    cr_assert_eq(eddy_arena_open(&a, path, -1, false), EDDY_ENOTSTORE); /* short */
    cr_assert_eq(pwrite(fd, page, sizeof page, 0), (ssize_t)sizeof page);
    cr_assert_eq(eddy_arena_open(&a, path, -1, false), EDDY_ENOTSTORE); /* something else */
    memset(page, 0, sizeof page);
    cr_assert_eq(pwrite(fd, page, sizeof page, 0), (ssize_t)sizeof page);
    cr_assert_eq(eddy_arena_open(&a, path, -1, false), EDDY_ENOTSTORE); /* half written */
    close(fd);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(eddy_arena_open(&a, box.dir, -1, false), EDDY_ENOTSTORE); /* a directory */
    cr_assert_eq(eddy_arena_create(&made, path, &small), 0);
    cr_assert_eq(symlink(path, sandbox_path(&box, "link")), 0);
    cr_assert_eq(eddy_arena_open(&a, sandbox_path(&box, "link"), -1, false), EDDY_ENOTSTORE);
    cr_assert_eq(mkfifo(sandbox_path(&box, "fifo"), 0600), 0);
    cr_assert_eq(eddy_arena_open(&a, sandbox_path(&box, "fifo"), -1, true), EDDY_ENOTSTORE);
    eddy_arena_close(&made);
    cr_assert_eq(truncate(path, (off_t)(64 * 4096)), 0);
    cr_assert_eq(eddy_arena_open(&a, path, -1, false), EDDY_ECORRUPT); /* cut short */
}

Test(arena, at_gives_only_what_lies_below_the_mark, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    uint64_t end = a->extents_off + eddy_arena_reserved(a) * EDDY_EXTENT_SIZE;
    cr_assert_not_null(eddy_arena_at(a, a->extents_off, 1));
    cr_assert_not_null(eddy_arena_at(a, end - 8, 8));
    cr_assert_not_null(eddy_arena_at(a, end, 0));
    cr_assert_null(eddy_arena_at(a, end - 8, 9));
    cr_assert_null(eddy_arena_at(a, end, 1));
    cr_assert_null(eddy_arena_at(a, a->extents_off - 8, 16));
    cr_assert_null(eddy_arena_at(a, a->extents_off, UINT64_MAX));
    cr_assert_null(eddy_arena_at(a, UINT64_MAX, UINT64_MAX));
    cr_assert_null(eddy_arena_at(a, UINT64_MAX - 7, 16));
    /* Another grows it: what was beyond is there at the next look. */
    struct eddy_arena b;
    cr_assert_eq(eddy_arena_open(&b, NULL, a->fd, false), 0);
    cr_assert_eq(eddy_arena_grow(&b, 1), 0);
    cr_assert_not_null(eddy_arena_at(a, end, EDDY_EXTENT_SIZE));
    /* A mark that cannot be is no more than the cap. */
    eddy_st_rel(&a->super->reserved, UINT64_MAX);
    cr_assert_eq(eddy_arena_reserved(a), a->extents_max);
    cr_assert_null(eddy_arena_at(a, a->cap, 8));
    eddy_arena_close(&b);
    unit_store_free(a);
}

Test(arena, grows_to_its_cap_and_no_further, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct stat st;
    uint64_t before = eddy_arena_reserved(a);
    while (eddy_arena_reserved(a) < a->extents_max) {
        cr_assert_eq(eddy_arena_grow(a, 1), 0);
        cr_assert_gt(eddy_arena_reserved(a), before);
        before = eddy_arena_reserved(a);
        cr_assert_eq(fstat(a->fd, &st), 0);
        cr_assert_leq(a->extents_off + before * EDDY_EXTENT_SIZE, (uint64_t)st.st_size);
    }
    cr_assert_eq(eddy_arena_grow(a, 1), EDDY_EFULL);
    unit_store_free(a);
}

Test(arena, reserved_memory_above_the_mark_is_found_again, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    uint64_t mark = eddy_arena_reserved(a);
    cr_assert_eq(eddy_arena_grow(a, 4), 0);
    uint64_t grown = eddy_arena_reserved(a);
    /* Who grew it died before the mark was raised. */
    eddy_st_rel(&a->super->reserved, mark);
    cr_assert_eq(eddy_arena_grow(a, 4), 0);
    cr_assert_eq(eddy_arena_reserved(a), grown);
    unit_store_free(a);
}

Test(arena, a_descriptor_that_was_closed_is_opened_again_by_name, .timeout = 20) {
    const char *path = fresh_path();
    struct eddy_arena a;
    cr_assert_eq(eddy_arena_create(&a, path, &small), 0);
    close(a.fd);
    int other = open("/dev/null", O_RDWR | O_CLOEXEC); /* takes the number */
    cr_assert_not(eddy_arena_is(&a, other));
    int fd = eddy_arena_fd(&a);
    cr_assert_geq(fd, 0);
    cr_assert(eddy_arena_is(&a, fd));
    cr_assert_eq(eddy_arena_grow(&a, 1), 0);
    close(a.fd);
    cr_assert_eq(unlink(path), 0);
    cr_assert_lt(eddy_arena_fd(&a), 0);
    cr_assert_lt(eddy_arena_grow(&a, 1), 0);
    eddy_arena_close(&a);
    cr_assert_geq(fcntl(other, F_GETFD), 0, "a stranger's descriptor is left alone");
    close(other);
}

Test(arena, every_errno_has_words, .timeout = 10) {
    static const int errnos[] = {ENOENT, EEXIST,     EACCES, EPERM,  ELOOP,  EISDIR,
                                 ENXIO,  EOPNOTSUPP, ENOMEM, EMFILE, ENFILE, EIO};
    for (size_t i = 0; i < sizeof errnos / sizeof errnos[0]; i++) {
        cr_assert_lt(eddy_arena_error(-errnos[i], "trying", "/some/path"), 0);
        cr_assert_not_null(strstr(eddy_errmsg(), "/some/path"));
    }
}
