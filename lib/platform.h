/* What eddy asks of the kernel, and nothing of eddy itself: files in memory, locks of open file
 * descriptions, futexes, membarrier, clocks, a word that fork wipes.
 *
 * Functions give 0 or more, or a negative errno: the rooms above turn that into words.
 * Every system call goes through here (and through pollfd), so that faults can be injected.
 */
#ifndef EDDY_PLATFORM_H
#define EDDY_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "atomics.h"

/* A file without a name on the file system of dir, to be linked into place when it is whole. */
int eddy_platform_tmpfile(const char *dir, mode_t mode);
/* Gives it a name; -EEXIST if somebody else was faster. */
int eddy_platform_publish(int fd, const char *path);
int eddy_platform_memfd(const char *name);
/* Seals a memfd against shrinking, for ever. */
int eddy_platform_seal(int fd);
/* Opens an existing file; never follows a symbolic link in its last component. */
int eddy_platform_open(const char *path, bool read_only);
/* The same through a link, as those of /proc are. */
int eddy_platform_follow(const char *path, bool read_only);
/* A second open file description of the same file, also of a memfd or an unlinked file. */
int eddy_platform_reopen(int fd, bool read_only);
/* Reserves memory for [off, off + len): after that, touching it cannot fail. */
int eddy_platform_reserve(int fd, uint64_t off, uint64_t len);
/* Gives the memory of [off, off + len) back: it reads as zeros, and touching it may fail. */
int eddy_platform_punch(int fd, uint64_t off, uint64_t len);
/* Maps [0, len) shared. */
int eddy_platform_map(int fd, uint64_t len, bool read_only, void **out);
void eddy_platform_unmap(void *base, uint64_t len);
/* Makes the pages present for writing; a hint. */
void eddy_platform_populate(void *at, uint64_t len);
int64_t eddy_platform_file_bytes(int fd);
/* Shortens it. */
int eddy_platform_cut(int fd, uint64_t len);
/* The path by which it was opened, as the kernel says; perhaps it leads elsewhere by now. */
int eddy_platform_name_of(int fd, char *path, size_t size);

/* Files on a disk. Reads up to len bytes at off: fewer only at the end of the file. Writes all of
 * them, or fails. */
int64_t eddy_platform_read(int fd, void *to, size_t len, uint64_t off);
int eddy_platform_write(int fd, const void *from, size_t len, uint64_t off);
/* The data is on the disk; of a directory, the names in it. */
int eddy_platform_sync(int fd);
/* A new file; -EEXIST if there is one. */
int eddy_platform_create(const char *path, mode_t mode);
/* Puts a file into the place of another, if there is one, at one instant. */
int eddy_platform_rename(const char *from, const char *to);
/* The directory that a path lies in, to be freed by the caller; NULL: no memory. */
char *eddy_platform_parent(const char *path);
/* A hidden name in the same directory that nobody else has; likewise. */
char *eddy_platform_beside(const char *path);

/* A lock that lives exactly as long as this process's memory: the byte of a description of its
 * own, of which one page is mapped (not into a fork's child) and whose descriptor is closed. It
 * survives close_range() and SIGSTOP and ends at death or exec, after the last store of the last
 * thread. `own` holds the lock (eddy_platform_lock_take()) and is closed in any case; *page is what
 * to unmap to give it up. */
int eddy_platform_life_lock(int own, void **page);
void eddy_platform_life_unlock(void *page);
/* Whether somebody holds the byte: 1, 0, or -errno. Own mappings' descriptions count as somebody.
 */
int eddy_platform_lock_held(int fd, uint64_t byte);
/* Takes the byte with a description made for this alone; closing the descriptor gives it up. */
int eddy_platform_lock_take(int fd, uint64_t byte);

/* Locks the byte for reading with this description, for as long as it lives (also by a mapping of
 * it): 0, -EAGAIN, or another negative errno. */
int eddy_platform_lock_share(int fd, uint64_t byte);
/* The same for writing: nobody else has it then. What it had for reading it keeps, if that fails. */
int eddy_platform_lock_alone(int fd, uint64_t byte);
/* Gives up what this description has of the byte, also if a fork's child has a copy of it. */
void eddy_platform_unlock(int fd, uint64_t byte);

/* 1 if this process may rely on eddy_platform_membarrier() of others, else 0. */
int eddy_platform_membarrier_register(void);
int eddy_platform_membarrier(void);

/* Sleeps while *word == expected, until the deadline (CLOCK_MONOTONIC) at most. */
int eddy_platform_futex_wait(eddy_word32 *word, uint32_t expected, int64_t deadline_ns);
/* Wakes all who sleep on the word, in any process. */
int eddy_platform_futex_wake(eddy_word32 *word);

int64_t eddy_platform_realtime_ns(void);
int64_t eddy_platform_monotonic_ns(void);

/* A page of private memory that reads as zeros in a child after fork or clone. */
void *eddy_platform_wiped_page(void);
void eddy_platform_unpage(void *page);

uint64_t eddy_platform_random(void);
uint64_t eddy_platform_hash(const void *bytes, size_t len, uint64_t seed);
uint64_t eddy_platform_pid_namespace(void);

#endif
