/* platform: what the kernel is asked for behaves as the rooms above count on. */
#include "platform.h"

#include "support/child.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int new_memfd(uint64_t bytes) {
    int fd = eddy_platform_memfd("test");
    cr_assert_geq(fd, 0);
    cr_assert_eq(eddy_platform_reserve(fd, 0, bytes), 0);
    return fd;
}

Test(platform, a_file_has_its_name_when_it_is_whole, .timeout = 10) {
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof path, "/dev/shm/eddy-test-platform-%d", (int)getpid());
    mode_t was = umask(077);
    int fd = eddy_platform_tmpfile("/dev/shm", 0664);
    umask(was);
    cr_assert_geq(fd, 0);
    cr_assert_eq(eddy_platform_publish(fd, path), 0);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0664, "whatever the umask");
    int other = eddy_platform_tmpfile("/dev/shm", 0600);
    cr_assert_eq(eddy_platform_publish(other, path), -EEXIST);
    int again = eddy_platform_open(path, true);
    cr_assert_geq(again, 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(eddy_platform_open(path, true), -ENOENT);
    cr_assert_eq(eddy_platform_tmpfile("/nowhere", 0600), -ENOENT);
    close(again);
    close(other);
    close(fd);
}

Test(platform, what_was_reserved_can_be_touched, .timeout = 10) {
    int fd = eddy_platform_memfd("test");
    void *base;
    cr_assert_geq(fd, 0);
    cr_assert_eq(eddy_platform_reserve(fd, 4096, 5 << 20), 0);
    cr_assert_eq(eddy_platform_file_bytes(fd), 4096 + (5 << 20));
    cr_assert_eq(eddy_platform_map(fd, 16 << 20, false, &base), 0);
    eddy_platform_populate((char *)base + 4096, 1 << 20);
    memset(base, 1, 4096 + (5 << 20));
    eddy_platform_unmap(base, 16 << 20);
    cr_assert_eq(eddy_platform_seal(fd), 0);
    cr_assert_neq(ftruncate(fd, 0), 0);
    close(fd);
    cr_assert_eq(eddy_platform_reserve(-1, 0, 4096), -EBADF);
}

static void reserve_beyond_a_limit(void *arg) {
    struct rlimit limit = {1 << 20, 1 << 20};
    int fd = eddy_platform_memfd("test");
    (void)arg;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || eddy_platform_reserve(fd, 0, 1 << 20) != 0 ||
        eddy_platform_reserve(fd, 1 << 20, 1) != -EFBIG) {
        _exit(1);
    }
}

Test(platform, a_limit_on_files_is_an_error_and_no_signal, .timeout = 10) {
    cr_assert_eq(child_run(reserve_beyond_a_limit, NULL), 0);
}

Test(platform, a_byte_is_locked_by_one_description, .timeout = 10) {
    int fd = new_memfd(4096);
    cr_assert_eq(eddy_platform_lock_held(fd, 7), 0);
    int own = eddy_platform_lock_take(fd, 7);
    cr_assert_geq(own, 0);
    cr_assert_eq(eddy_platform_lock_take(fd, 7), -EAGAIN);
    cr_assert_eq(eddy_platform_lock_held(fd, 7), 1);
    cr_assert_eq(eddy_platform_lock_held(fd, 8), 0);
    int dup_of_store = dup(fd);
    close(dup_of_store); /* as POSIX locks would be lost by */
    cr_assert_eq(eddy_platform_lock_held(fd, 7), 1);
    close(own);
    cr_assert_eq(eddy_platform_lock_held(fd, 7), 0);
    close(fd);
}

static void fork_child_holds_nothing(void *arg) {
    int *pipes = arg;
    child_hear(pipes[0]);
}

Test(platform, a_life_lock_lives_as_long_as_its_mapping, .timeout = 20) {
    int fd = new_memfd(4096);
    int down[2];
    void *page = NULL;
    int own = eddy_platform_lock_take(fd, 9);
    cr_assert_eq(eddy_platform_life_lock(own, &page), 0);
    cr_assert_lt(fcntl(own, F_GETFD), 0, "its descriptor is closed");
    cr_assert_eq(eddy_platform_lock_held(fd, 9), 1);
    cr_assert_eq(pipe(down), 0);
    pid_t pid = child_start(fork_child_holds_nothing, down);
    eddy_platform_life_unlock(page);
    cr_assert_eq(eddy_platform_lock_held(fd, 9), 0, "the child does not hold it");
    child_say(down[1]);
    cr_assert_eq(child_end(pid, 5000), 0);
    close(fd);
}

Test(platform, a_futex_wait_ends_by_value_wake_or_deadline, .timeout = 10) {
    int fd = new_memfd(4096);
    void *base;
    cr_assert_eq(eddy_platform_map(fd, 4096, false, &base), 0);
    eddy_word32 *word = base;
    cr_assert_eq(eddy_platform_futex_wait(word, 1, INT64_MAX), -EAGAIN);
    int64_t now = eddy_platform_monotonic_ns();
    cr_assert_eq(eddy_platform_futex_wait(word, 0, now + 5000000), -ETIMEDOUT);
    cr_assert_geq(eddy_platform_monotonic_ns(), now + 5000000);
    cr_assert_eq(eddy_platform_futex_wait(word, 0, now), -ETIMEDOUT);
    cr_assert_eq(eddy_platform_futex_wake(word), 0);
    eddy_platform_unmap(base, 4096);
    close(fd);
}

static void expect_zero(void *arg) {
    const uint32_t *page = arg;
    _exit(*page == 0 ? 0 : 1);
}

Test(platform, a_wiped_page_is_zero_in_a_child, .timeout = 10) {
    uint32_t *page = eddy_platform_wiped_page();
    cr_assert_not_null(page);
    *page = 5;
    cr_assert_eq(child_run(expect_zero, page), 0);
    cr_assert_eq(*page, 5);
    eddy_platform_unpage(page);
}

Test(platform, a_second_description_is_of_the_same_file, .timeout = 10) {
    struct stat a;
    struct stat b;
    int fd = new_memfd(4096);
    int again = eddy_platform_reopen(fd, true);
    cr_assert_geq(again, 0);
    cr_assert_eq(fstat(fd, &a), 0);
    cr_assert_eq(fstat(again, &b), 0);
    cr_assert_eq(a.st_ino, b.st_ino);
    cr_assert_eq(fcntl(again, F_GETFL) & O_ACCMODE, O_RDONLY);
    cr_assert_neq(fcntl(again, F_GETFD) & FD_CLOEXEC, 0);
    close(again);
    close(fd);
    cr_assert_lt(eddy_platform_reopen(-1, true), 0);
}

Test(platform, hashes_are_of_bytes_and_seed, .timeout = 10) {
    cr_assert_eq(eddy_platform_hash("abc", 3, 5), eddy_platform_hash("abcd", 3, 5));
    cr_assert_neq(eddy_platform_hash("abc", 3, 5), eddy_platform_hash("abc", 3, 6));
    cr_assert_neq(eddy_platform_hash("abc", 3, 5), eddy_platform_hash("abd", 3, 5));
    (void)eddy_platform_hash(NULL, 0, 5);
    cr_assert_neq(eddy_platform_random(), eddy_platform_random());
}

Test(platform, clocks_run, .timeout = 10) {
    int64_t a = eddy_platform_monotonic_ns();
    int64_t b = eddy_platform_monotonic_ns();
    cr_assert_geq(b, a);
    cr_assert_gt(eddy_platform_realtime_ns(), INT64_C(1600000000000000000));
    cr_assert_gt(eddy_platform_pid_namespace(), 0);
    cr_assert_eq(eddy_platform_membarrier_register(), eddy_platform_membarrier_register());
    (void)eddy_platform_membarrier();
}
