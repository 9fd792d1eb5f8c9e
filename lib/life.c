#include "life.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "layout.h"
#include "platform.h"

enum { TRIES_MAX = 1000 };

int eddy_life_begin(int fd) {
    return eddy_platform_lock_share(fd, EDDY_LOCK_HERE);
}

/* ---- ending ---- */

static bool leads_here(const char *path, int fd) {
    struct stat name;
    struct stat file;
    return lstat(path, &name) == 0 && fstat(fd, &file) == 0 && name.st_dev == file.st_dev &&
           name.st_ino == file.st_ino;
}

/* Takes the name away: 0, or why it is still there. Nobody else takes away names of stores that nobody
 * has open without the byte, so it leads here until we have. */
static int unname(int fd, const char *path) {
    char link[4096];
    if (!path || !leads_here(path, fd)) {
        path =
            eddy_platform_name_of(fd, link, sizeof link) == 0 && leads_here(link, fd) ? link : NULL;
    }
    return path && unlink(path) < 0 && errno != ENOENT ? -EACCES : 0;
}

/* With the byte in hand for writing. */
static int end(int fd, const char *path) {
    uint64_t ended = 1;
    int r = eddy_platform_write(fd, &ended, sizeof ended, offsetof(struct eddy_shm_super, ended));
    r = r < 0 ? r : unname(fd, path);
    if (r == -EACCES) {
        /* It stays as a name of nothing; its memory does not. */
        (void)eddy_platform_cut(fd, sizeof(struct eddy_shm_super));
    }
    eddy_platform_unlock(fd, EDDY_LOCK_HERE);
    return r;
}

static int has_ended(int fd) {
    uint64_t ended = 0;
    int64_t r =
        eddy_platform_read(fd, &ended, sizeof ended, offsetof(struct eddy_shm_super, ended));
    return r < 0 ? (int)r : r < (int)sizeof ended || ended != 0;
}

/* Ends it if nobody has it open: 1, 0 if somebody has, or a negative errno. */
static int try_end(int fd, const char *path) {
    int r = eddy_platform_lock_alone(fd, EDDY_LOCK_HERE);
    if (r == 0) {
        r = end(fd, path);
        return r < 0 ? r : 1;
    }
    return r == -EAGAIN ? 0 : r;
}

/* The same by who may not write, or only perhaps. It has ended if nobody has it open, whether he can
 * say so or not. */
static int try_end_reading(int fd, const char *path) {
    if (eddy_platform_lock_held(fd, EDDY_LOCK_HERE) != 0) {
        return 0;
    }
    int own = eddy_platform_reopen(fd, false);
    int r = own < 0 ? 1 : try_end(own, path);
    if (own >= 0) {
        close(own);
    }
    return r == 0 ? 0 : 1;
}

/* ---- opening, closing ---- */

int eddy_life_join(int fd, const char *path, bool read_only) {
    struct timespec nap = {0, 1000000};
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int r = read_only ? try_end_reading(fd, path) : try_end(fd, path);
        if (r != 0) {
            return r < 0 ? r : 0;
        }
        r = eddy_platform_lock_share(fd, EDDY_LOCK_HERE);
        if (r == 0) {
            r = has_ended(fd);
            return r < 0 ? r : r == 0;
        }
        if (r != -EAGAIN) {
            return r;
        }
        nanosleep(&nap, NULL); /* somebody is ending it: that takes microseconds */
    }
    return -EAGAIN;
}

void eddy_life_leave(int fd, const char *path) {
    (void)try_end(fd, path);
}

/* ---- what was left by who was killed ---- */

static bool is_ephemeral(const struct eddy_shm_super *s) {
    /* [life.R1] relaxed: a private copy */
    return eddy_ld_rlx(&s->magic) == EDDY_MAGIC && s->layout >> 16 == EDDY_LAYOUT_MAJOR &&
           (s->flags & EDDY_SUPER_EPHEMERAL) != 0;
}

void eddy_life_sweep(const char *path) {
    struct stat st;
    struct eddy_shm_super s;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
        return;
    }
    int fd = eddy_platform_open(path, false);
    if (fd < 0) {
        return;
    }
    if (eddy_platform_read(fd, &s, sizeof s, 0) == (int)sizeof s && is_ephemeral(&s)) {
        (void)try_end(fd, path);
    }
    close(fd);
}

void eddy_life_sweep_all(const char *dir) {
    char path[4400];
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, "eddy.", 5) == 0 &&
            snprintf(path, sizeof path, "%s/%s", dir, e->d_name) < (int)sizeof path) {
            eddy_life_sweep(path);
        }
    }
    if (d) {
        closedir(d);
    }
}
