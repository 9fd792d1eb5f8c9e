#include "subject.h"

#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What an event takes beside its payload, with its share of the indexes, is less than this. */
#define SUBJECT_OVERHEAD 256u

int subject_open(struct subject *subject, const struct bench_options *options, bool must_exist,
                 uint64_t reserve) {
    *subject = (struct subject){.store = NULL};
    eddy_options how = EDDY_OPTIONS_INIT;
    how.flags = !options->store ? EDDY_ANONYMOUS : must_exist ? EDDY_MUST_EXIST : 0;
    how.reserve = reserve;
    int rc = eddy_open(&subject->store, options->store, &how);
    if (rc < 0) {
        return bench_error("cannot open the store: %s (%s)", eddy_errmsg(), eddy_errname(rc));
    }
    if (options->store) {
        snprintf(subject->spec, sizeof(subject->spec), "%s", options->store);
        return 0;
    }
    int fd = eddy_store_fd(subject->store);
    if (fd < 0) {
        subject_close(subject);
        return bench_error("the store has no descriptor: %s", eddy_errmsg());
    }
    snprintf(subject->spec, sizeof(subject->spec), "fd:%d", fd);
    return 0;
}

void subject_close(struct subject *subject) {
    eddy_close(subject->store);
    subject->store = NULL;
}

int subject_join(const struct subject *subject, struct crew_seat *seat, eddy_store **store) {
    eddy_options how = EDDY_OPTIONS_INIT;
    how.flags = EDDY_MUST_EXIST;
    if (eddy_open(store, subject->spec, &how) < 0) {
        return crew_fail(seat, "cannot open the store %s: %s", subject->spec, eddy_errmsg());
    }
    return 0;
}

int subject_fits(uint64_t events, uint64_t payload) {
    uint64_t free_bytes = measure_memory_available();
    uint64_t need = events * (payload + SUBJECT_OVERHEAD);
    if (free_bytes > 0 && need > free_bytes / 2) {
        return bench_error("%llu events of %llu bytes may take %llu MiB, more than half of the "
                           "%llu MiB that are free: give less --events",
                           (unsigned long long)events, (unsigned long long)payload,
                           (unsigned long long)(need >> 20),
                           (unsigned long long)(free_bytes >> 20));
    }
    return 0;
}

int subject_facts(const struct subject *subject, eddy_facts *facts) {
    memset(facts, 0, sizeof(*facts));
    facts->size = sizeof(*facts);
    if (eddy_info(subject->store, facts) < 0) {
        return bench_error("the store tells nothing about itself: %s", eddy_errmsg());
    }
    return 0;
}

int subject_find_parts(const struct subject *subject, struct subject_parts *parts) {
    parts->count = 0;
    int fd = eddy_store_fd(subject->store);
    off_t at = 0;
    while (fd >= 0 && parts->count < SUBJECT_PARTS_MAX) {
        off_t from = lseek(fd, at, SEEK_DATA);
        if (from < 0) {
            return errno == ENXIO ? 0 : bench_error("SEEK_DATA: %s", strerror(errno));
        }
        at = lseek(fd, from, SEEK_HOLE);
        if (at <= from) {
            return bench_error("SEEK_HOLE: %s", strerror(errno));
        }
        parts->parts[parts->count].off = (uint64_t)from;
        parts->parts[parts->count].len = (uint64_t)(at - from);
        parts->count++;
    }
    return fd < 0 ? bench_error("the store has no descriptor: %s", eddy_errmsg()) : 0;
}

uint64_t subject_parts_bytes(const struct subject_parts *parts) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < parts->count; i++) {
        bytes += parts->parts[i].len;
    }
    return bytes;
}

/* A mapping of this process, as a line of /proc/self/maps tells. */
struct mapping {
    uintptr_t from;
    uintptr_t to;
    uint64_t off;
};

/* Is this line a writable, shared mapping of that file? */
static bool parse_mapping(const char *line, const struct stat *file, struct mapping *mapping) {
    unsigned long from = 0;
    unsigned long to = 0;
    unsigned long off = 0;
    unsigned long inode = 0;
    unsigned major_number = 0;
    unsigned minor_number = 0;
    char rights[8] = "";
    if (sscanf(line, "%lx-%lx %7s %lx %x:%x %lu", &from, &to, rights, &off, &major_number,
               &minor_number, &inode) != 7) {
        return false;
    }
    *mapping = (struct mapping){.from = from, .to = to, .off = off};
    return rights[1] == 'w' && rights[3] == 's' && inode == file->st_ino &&
           makedev(major_number, minor_number) == file->st_dev;
}

/* Touches those parts that lie in one mapping. */
static uint64_t populate_mapping(const struct mapping *mapping, const struct subject_parts *parts) {
    uint64_t done = 0;
    uint64_t end = mapping->off + (mapping->to - mapping->from);
    for (uint32_t i = 0; i < parts->count; i++) {
        uint64_t from = parts->parts[i].off;
        uint64_t to = from + parts->parts[i].len;
        from = from > mapping->off ? from : mapping->off;
        to = to < end ? to : end;
        if (from < to &&
            measure_populate((void *)(mapping->from + (from - mapping->off)), to - from) == 0) {
            done += to - from;
        }
    }
    return done;
}

uint64_t subject_populate(eddy_store *store, const struct subject_parts *parts) {
    struct stat file;
    int fd = eddy_store_fd(store);
    FILE *maps = fd >= 0 && fstat(fd, &file) == 0 ? fopen("/proc/self/maps", "re") : NULL;
    if (!maps) {
        return 0;
    }
    /* Collected first: what is read from this file while the mappings change may skip some. */
    struct mapping found[32];
    uint32_t count = 0;
    char line[1024];
    while (count < 32 && fgets(line, sizeof(line), maps)) {
        count += parse_mapping(line, &file, &found[count]);
    }
    fclose(maps);
    uint64_t done = 0;
    for (uint32_t i = 0; i < count; i++) {
        done += populate_mapping(&found[i], parts);
    }
    return done;
}
