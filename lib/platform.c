#include "platform.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

enum { RESERVE_STEP = 2 << 20 };

static int or_errno(int r) {
    return r < 0 ? -errno : r;
}

static int fd_path(char *path, size_t size, int fd) {
    return snprintf(path, size, "/proc/self/fd/%d", fd);
}

int eddy_platform_tmpfile(const char *dir, mode_t mode) {
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (fd < 0) {
        return -errno;
    }
    /* Whatever the umask: who shares a store says so. */
    if (fchmod(fd, mode) < 0) {
        int e = errno;
        close(fd);
        return -e;
    }
    return fd;
}

int eddy_platform_publish(int fd, const char *path) {
    char from[64];
    fd_path(from, sizeof from, fd);
    return or_errno(linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW));
}

int eddy_platform_memfd(const char *name) {
    return or_errno(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

int eddy_platform_seal(int fd) {
    return or_errno(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL));
}

int eddy_platform_open(const char *path, bool read_only) {
    return or_errno(
        open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
}

int eddy_platform_follow(const char *path, bool read_only) {
    return or_errno(open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK));
}

int eddy_platform_reopen(int fd, bool read_only) {
    char path[64];
    fd_path(path, sizeof path, fd);
    return eddy_platform_follow(path, read_only);
}

/* Beyond RLIMIT_FSIZE the kernel sends a signal as well as an error: look first. */
static bool too_large(uint64_t end) {
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           end > limit.rlim_cur;
}

int eddy_platform_reserve(int fd, uint64_t off, uint64_t len) {
    if (too_large(off + len)) {
        return -EFBIG;
    }
    while (len > 0) {
        uint64_t step = len < RESERVE_STEP ? len : RESERVE_STEP;
        if (fallocate(fd, 0, (off_t)off, (off_t)step) < 0) {
            if (errno == EINTR) {
                continue; /* steps are small, so that a stream of signals cannot stall it */
            }
            return -errno;
        }
        off += step;
        len -= step;
    }
    return 0;
}

int eddy_platform_punch(int fd, uint64_t off, uint64_t len) {
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return 0;
}

int eddy_platform_map(int fd, uint64_t len, bool read_only, void **out) {
    int prot = read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void *base = mmap(NULL, len, prot, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
        return -errno;
    }
    *out = base;
    return 0;
}

void eddy_platform_unmap(void *base, uint64_t len) {
    munmap(base, len);
}

void eddy_platform_populate(void *at, uint64_t len) {
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
    (void)madvise(at, len, MADV_POPULATE_WRITE);
}

int eddy_platform_cut(int fd, uint64_t len) {
    return or_errno(ftruncate(fd, (off_t)len));
}

int eddy_platform_name_of(int fd, char *path, size_t size) {
    char link[64];
    fd_path(link, sizeof link, fd);
    ssize_t n = readlink(link, path, size);
    if (n < 0 || n >= (ssize_t)size) {
        return n < 0 ? -errno : -ENAMETOOLONG;
    }
    path[n] = 0;
    return 0;
}

int64_t eddy_platform_file_bytes(int fd) {
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : (int64_t)st.st_size;
}

int64_t eddy_platform_read(int fd, void *to, size_t len, uint64_t off) {
    size_t got = 0;
    while (got < len) {
        ssize_t n = pread(fd, (char *)to + got, len - got, (off_t)(off + got));
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return (int64_t)got;
}

int eddy_platform_write(int fd, const void *from, size_t len, uint64_t off) {
    size_t done = 0;
    if (too_large(off + len)) {
        return -EFBIG;
    }
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)from + done, len - done, (off_t)(off + done));
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int eddy_platform_sync(int fd) {
    return or_errno(fsync(fd));
}

int eddy_platform_create(const char *path, mode_t mode) {
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, mode);
    return fd < 0 ? -errno : fd;
}

int eddy_platform_rename(const char *from, const char *to) {
    return or_errno(rename(from, to));
}

char *eddy_platform_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (!slash) {
        return strdup(".");
    }
    return n == 0 ? strdup("/") : strndup(path, n);
}

char *eddy_platform_beside(const char *path) {
    const char *slash = strrchr(path, '/');
    int dir = slash ? (int)(slash - path) + 1 : 0;
    size_t room = strlen(path) + 32;
    char *name = malloc(room);
    if (name) {
        (void)snprintf(name, room, "%.*s.%s.new-%08x", dir, path, path + dir,
                       (unsigned)eddy_platform_random());
    }
    return name;
}

static int lock_byte(int fd, uint64_t byte, short type, int cmd, struct flock *lock) {
    *lock =
        (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    return or_errno(fcntl(fd, cmd, lock));
}

int eddy_platform_lock_take(int fd, uint64_t byte) {
    struct flock lock;
    int own = eddy_platform_reopen(fd, false);
    if (own < 0) {
        return own;
    }
    int r = lock_byte(own, byte, F_WRLCK, F_OFD_SETLK, &lock);
    if (r < 0) {
        close(own);
        return r == -EACCES ? -EAGAIN : r;
    }
    return own;
}

int eddy_platform_life_lock(int own, void **page) {
    long size = sysconf(_SC_PAGESIZE);
    int r = 0;
    void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, own, 0);
    if (p == MAP_FAILED) {
        r = -errno;
    } else if (madvise(p, (size_t)size, MADV_DONTFORK) < 0) {
        r = -errno;
        munmap(p, (size_t)size);
    }
    /* From here on the mapping alone keeps the description, and so the lock, alive. */
    close(own);
    if (r == 0) {
        *page = p;
    }
    return r;
}

void eddy_platform_life_unlock(void *page) {
    munmap(page, (size_t)sysconf(_SC_PAGESIZE));
}

int eddy_platform_lock_held(int fd, uint64_t byte) {
    struct flock lock;
    int r = lock_byte(fd, byte, F_WRLCK, F_OFD_GETLK, &lock);
    return r < 0 ? r : lock.l_type != F_UNLCK;
}

int eddy_platform_lock_share(int fd, uint64_t byte) {
    struct flock lock;
    int r = lock_byte(fd, byte, F_RDLCK, F_OFD_SETLK, &lock);
    return r == -EACCES ? -EAGAIN : r;
}

int eddy_platform_lock_alone(int fd, uint64_t byte) {
    struct flock lock;
    int r = lock_byte(fd, byte, F_WRLCK, F_OFD_SETLK, &lock);
    return r == -EACCES ? -EAGAIN : r;
}

void eddy_platform_unlock(int fd, uint64_t byte) {
    struct flock lock;
    (void)lock_byte(fd, byte, F_UNLCK, F_OFD_SETLK, &lock);
}

int eddy_platform_membarrier_register(void) {
    int commands = (int)syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0 || !(commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED)) {
        return 0;
    }
    return syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
}

int eddy_platform_membarrier(void) {
    return or_errno((int)syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
}

int eddy_platform_futex_wait(eddy_word32 *word, uint32_t expected, int64_t deadline_ns) {
    struct timespec at = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    return or_errno((int)syscall(__NR_futex, word, FUTEX_WAIT_BITSET, expected, &at, NULL,
                                 FUTEX_BITSET_MATCH_ANY));
}

int eddy_platform_futex_wake(eddy_word32 *word) {
    return or_errno((int)syscall(__NR_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0));
}

static int64_t clock_ns(clockid_t id) {
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t eddy_platform_realtime_ns(void) {
    return clock_ns(CLOCK_REALTIME);
}

int64_t eddy_platform_monotonic_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

void *eddy_platform_wiped_page(void) {
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    if (madvise(p, size, MADV_WIPEONFORK) < 0) {
        munmap(p, size);
        return NULL;
    }
    return p;
}

void eddy_platform_unpage(void *page) {
    munmap(page, (size_t)sysconf(_SC_PAGESIZE));
}

uint64_t eddy_platform_random(void) {
    uint64_t r = 0;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r) {
        r = (uint64_t)eddy_platform_realtime_ns() * UINT64_C(0x9e3779b97f4a7c15) ^
            (uint64_t)getpid();
    }
    return r;
}

uint64_t eddy_platform_hash(const void *bytes, size_t len, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, len, seed);
}

uint64_t eddy_platform_pid_namespace(void) {
    struct stat st;
    return stat("/proc/self/ns/pid", &st) < 0 ? 0 : (uint64_t)st.st_ino;
}
