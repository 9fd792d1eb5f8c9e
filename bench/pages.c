#include "pages.h"

#include "crew.h"
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PAGES_LEN (UINT64_C(64) << 20)
#define PAGES_RUN (UINT64_C(2) << 20)
#define PAGES_COUNT (PAGES_LEN / PAGES_SIZE)

struct pages_file {
    int fd;
    uint8_t *memory;
};

static int open_file(struct pages_file *file) {
    file->memory = NULL;
    file->fd = memfd_create("eddy-bench-pages", MFD_CLOEXEC);
    if (file->fd < 0 || ftruncate(file->fd, (off_t)PAGES_LEN) != 0) {
        return bench_error("cannot make a file in memory of 64 MiB: %s", strerror(errno));
    }
    void *memory = mmap(NULL, PAGES_LEN, PROT_READ | PROT_WRITE, MAP_SHARED, file->fd, 0);
    if (memory == MAP_FAILED) {
        return bench_error("cannot map 64 MiB: %s", strerror(errno));
    }
    file->memory = memory;
    return 0;
}

static void close_file(struct pages_file *file) {
    if (file->memory) {
        munmap(file->memory, PAGES_LEN);
    }
    if (file->fd >= 0) {
        close(file->fd);
    }
}

static int reserve(const struct pages_file *file, double *ns) {
    uint64_t start = now_ns();
    for (uint64_t at = 0; at < PAGES_LEN; at += PAGES_RUN) {
        if (fallocate(file->fd, 0, (off_t)at, (off_t)PAGES_RUN) != 0) {
            return bench_error("cannot reserve 64 MiB of memory: %s", strerror(errno));
        }
    }
    *ns = (double)(now_ns() - start) / (double)PAGES_COUNT;
    return 0;
}

/* One store into each page. Atomic, so that the compiler does them all. */
static double touch(uint8_t *memory) {
    uint64_t start = now_ns();
    for (uint64_t at = 0; at < PAGES_LEN; at += PAGES_SIZE) {
        atomic_store_explicit((_Atomic uint8_t *)(memory + at), 1, memory_order_relaxed);
    }
    return (double)(now_ns() - start) / (double)PAGES_COUNT;
}

static int measure_bare(struct pages_cost *cost) {
    struct pages_file file;
    int rc = open_file(&file);
    if (rc == 0) {
        cost->bare = touch(file.memory);
    }
    close_file(&file);
    return rc;
}

static int touch_in_child(struct crew_seat *seat, void *arg) {
    crew_lap_begin(seat);
    touch(arg);
    crew_lap_end(seat, PAGES_COUNT);
    return 0;
}

static int measure_reserved(const struct bench_options *options, struct pages_cost *cost) {
    struct pages_file file;
    int rc = open_file(&file);
    rc = rc == 0 ? reserve(&file, &cost->reserve) : rc;
    if (rc == 0) {
        cost->touch = touch(file.memory);
        /* fork() leaves out the page tables of shared memory, so the child meets every page. */
        struct crew crew;
        rc = crew_run(&crew, options, 1, false, touch_in_child, file.memory);
        if (rc == 0) {
            struct crew_lap lap = crew_lap_of(&crew, 0, 1, 0);
            cost->map = crew_lap_cost(&lap);
        }
        crew_free(&crew);
    }
    close_file(&file);
    return rc;
}

static int measure_populate_runs(struct pages_cost *cost) {
    struct pages_file file;
    double ignored = 0;
    int rc = open_file(&file);
    rc = rc == 0 ? reserve(&file, &ignored) : rc;
    if (rc == 0) {
        uint64_t start = now_ns();
        bool had = true;
        for (uint64_t at = 0; at < PAGES_LEN && had; at += PAGES_RUN) {
            had = madvise(file.memory + at, PAGES_RUN, MADV_POPULATE_WRITE) == 0;
        }
        cost->populate = had ? (double)(now_ns() - start) / (double)PAGES_COUNT : 0.0;
    }
    close_file(&file);
    return rc;
}

int pages_measure(const struct bench_options *options, struct pages_cost *cost) {
    *cost = (struct pages_cost){.reserve = 0};
    int rc = measure_bare(cost);
    rc = rc == 0 ? measure_reserved(options, cost) : rc;
    return rc == 0 ? measure_populate_runs(cost) : rc;
}

int pages_median(const struct bench_options *options, struct pages_cost *cost) {
    double values[5][OPTIONS_REPEAT_MAX];
    for (uint64_t i = 0; i < options->repeat; i++) {
        struct pages_cost one;
        if (pages_measure(options, &one) != 0) {
            return -1;
        }
        values[0][i] = one.reserve;
        values[1][i] = one.touch;
        values[2][i] = one.bare;
        values[3][i] = one.populate;
        values[4][i] = one.map;
    }
    *cost = (struct pages_cost){.reserve = measure_median(values[0], options->repeat),
                                .touch = measure_median(values[1], options->repeat),
                                .bare = measure_median(values[2], options->repeat),
                                .populate = measure_median(values[3], options->repeat),
                                .map = measure_median(values[4], options->repeat)};
    return 0;
}
