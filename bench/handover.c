#include "handover.h"

#include "crew.h"
#include "measure.h"

#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum handover_kind { HANDOVER_LINE, HANDOVER_BYTES, HANDOVER_FUTEX };

struct handover_job {
    enum handover_kind kind;
    uint64_t rounds;
    size_t payload;
};

/* Bytes and word of one direction. They lie apart, as an event and its commit word do. */
struct handover_way {
    _Alignas(64) _Atomic uint32_t word;
    _Alignas(64) uint8_t bytes[];
};

static long futex_wake(_Atomic uint32_t *word) {
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void await_number(struct handover_way *way, uint32_t number, enum handover_kind kind) {
    /* acquire: pairs with the release in hand_over(); the bytes are there when the number is. */
    uint32_t seen = atomic_load_explicit(&way->word, memory_order_acquire);
    while (seen != number) {
        if (kind == HANDOVER_FUTEX) {
            syscall(SYS_futex, &way->word, FUTEX_WAIT, seen, NULL, NULL, 0);
        } else {
            cpu_relax();
        }
        seen = atomic_load_explicit(&way->word, memory_order_acquire);
    }
}

static void hand_over(struct handover_way *way, uint32_t number, enum handover_kind kind) {
    atomic_store_explicit(&way->word, number, memory_order_release);
    if (kind == HANDOVER_FUTEX) {
        futex_wake(&way->word);
    }
}

static int run_side(struct crew_seat *seat, void *arg) {
    const struct handover_job *job = arg;
    struct handover_way *to = (void *)(seat->shared->bytes + (seat->index == 0 ? 0 : 1u << 18));
    struct handover_way *from = (void *)(seat->shared->bytes + (seat->index == 0 ? 1u << 18 : 0));
    uint8_t own[1u << 16] = {1};
    size_t len = job->kind == HANDOVER_BYTES ? job->payload : 0;
    bool first = seat->index == 0;
    if (measure_populate(seat->shared->bytes, sizeof(seat->shared->bytes)) != 0) {
        return crew_fail(seat, "no memory for the hand-over");
    }
    crew_meet(seat);
    crew_lap_begin(seat);
    for (uint64_t i = 1; i <= job->rounds; i++) {
        if (!first) {
            await_number(from, (uint32_t)i, job->kind);
            memcpy(own, from->bytes, len);
        }
        memcpy(to->bytes, own, len);
        hand_over(to, (uint32_t)i, job->kind);
        if (first) {
            await_number(from, (uint32_t)i, job->kind);
            memcpy(own, from->bytes, len);
        }
    }
    crew_lap_end(seat, 2 * job->rounds);
    return 0;
}

static int measure_way(const struct bench_options *options, struct handover_job *job, double *ns) {
    struct crew crew;
    int rc = crew_run(&crew, options, 2, true, run_side, job);
    if (rc == 0) {
        struct crew_lap lap = crew_lap_of(&crew, 0, 1, 0);
        *ns = crew_lap_cost(&lap);
    }
    crew_free(&crew);
    return rc;
}

int handover_line(const struct bench_options *options, uint64_t rounds, double *ns) {
    struct handover_job job = {.kind = HANDOVER_LINE, .rounds = rounds};
    return measure_way(options, &job, ns);
}

int handover_bytes(const struct bench_options *options, uint64_t rounds, double *ns) {
    if (options->payload > (1u << 16)) {
        return bench_error("--payload %llu: raw handover takes at most 65536 bytes",
                           (unsigned long long)options->payload);
    }
    struct handover_job job = {
        .kind = HANDOVER_BYTES, .rounds = rounds, .payload = options->payload};
    return measure_way(options, &job, ns);
}

int handover_futex(const struct bench_options *options, uint64_t rounds, double *ns) {
    struct handover_job job = {.kind = HANDOVER_FUTEX, .rounds = rounds};
    return measure_way(options, &job, ns);
}

double handover_futex_nobody(void) {
    static _Atomic uint32_t word;
    const uint64_t calls = 200000;
    uint64_t start = now_ns();
    for (uint64_t i = 0; i < calls; i++) {
        futex_wake(&word);
    }
    return (double)(now_ns() - start) / (double)calls;
}
