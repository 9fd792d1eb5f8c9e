/* The memory, by offsets from its beginning; no pointer is stored in it:
 *
 *   trial_shared | offset index | version index | events of writer 0 | of writer 1 | ...
 *
 * I1  Word p of the ring is empty, for the transaction p, while its tag is older than p's round.
 * I2  All transactions up to `applied` are in both indexes; at most one that is committed is not.
 * I3  A redo list is written only by its owner, and only when its last transaction was applied.
 *
 * The memory is of zeros between runs, so tags begin at 1. */
#include "trial.h"

#include "measure.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#define TRIAL_RING 1024u
#define TRIAL_WRITERS_MAX 32u
#define TRIAL_TAG_SHIFT 44u /* below it: the record's offset divided by 8 */

enum trial_kind { TRIAL_SET_ONCE = 1, TRIAL_MAXIMUM = 2 };

/* count words from target_off on get value, value + step, ... Words are atomic since a late helper
 * may read them while the owner writes the next list; it finds out before it acts. */
struct trial_redo {
    _Atomic uint64_t kind;
    _Atomic uint64_t target_off;
    _Atomic uint64_t value;
    _Atomic uint64_t step;
    _Atomic uint64_t count;
};

#define TRIAL_REDO_COUNT 3

struct trial_list {
    _Alignas(64) struct trial_redo entries[TRIAL_REDO_COUNT];
};

/* In front of a transaction's events: what depends on its place in the log, so that a commit that
 * was tried in vain has little to write anew. */
struct trial_record {
    uint64_t offset; /* of its first event */
    uint64_t version;
    int64_t recorded_ns;
    uint32_t count;
    uint32_t writer;
};

/* In front of every event. Its offset and version are those of its record, and k more. */
struct trial_event {
    uint64_t record_off;
    uint32_t len;
    uint32_t k;
};

struct trial_shared {
    _Alignas(64) uint64_t offsets_off;
    uint64_t versions_off;
    uint64_t events_off;
    uint64_t writer_len; /* bytes of events of each writer */
    uint64_t stride;
    uint64_t payload;
    _Alignas(64) _Atomic uint64_t applied; /* the last transaction in the indexes */
    _Alignas(64) _Atomic uint64_t version; /* of the one stream */
    struct trial_list lists[TRIAL_WRITERS_MAX];
    _Alignas(64) _Atomic uint64_t ring[TRIAL_RING];
};

static uint64_t stride_of(uint64_t payload) {
    return (sizeof(struct trial_event) + payload + 7) & ~UINT64_C(7);
}

static void *at_off(struct trial_shared *shared, uint64_t off) {
    return (char *)shared + off;
}

static uint64_t round_of(uint64_t tx) {
    return tx / TRIAL_RING + 1;
}

static uint64_t record_off_of(uint64_t word) {
    return (word & ((UINT64_C(1) << TRIAL_TAG_SHIFT) - 1)) * 8;
}

uint64_t trial_size(uint64_t events, uint64_t payload, uint32_t writers) {
    /* A writer's share is rounded down; one more each covers the rest. */
    return sizeof(struct trial_shared) + 2 * (events + 1) * sizeof(uint64_t) +
           (events + writers) * (stride_of(payload) + sizeof(struct trial_record));
}

void trial_init(void *memory, uint64_t events, uint64_t payload, uint32_t writers) {
    struct trial_shared *shared = memory;
    memset(shared, 0, sizeof(*shared));
    shared->stride = stride_of(payload);
    shared->payload = payload;
    shared->offsets_off = sizeof(*shared);
    shared->versions_off = shared->offsets_off + (events + 1) * sizeof(uint64_t);
    shared->events_off = shared->versions_off + (events + 1) * sizeof(uint64_t);
    shared->writer_len = (events / writers + 1) * (shared->stride + sizeof(struct trial_record));
    memset(at_off(shared, shared->offsets_off), 0, 2 * (events + 1) * sizeof(uint64_t));
}

void trial_writer_init(struct trial_writer *writer, void *memory, uint32_t index) {
    struct trial_shared *shared = memory;
    *writer = (struct trial_writer){
        .shared = shared,
        .index = index,
        .next_off = shared->events_off + index * shared->writer_len,
    };
}

/* Writes entry n of the list. release: a late helper that sees any of it also sees that `applied`
 * had passed the transaction before; pairs with the loads in read_redo(). */
static void write_redo(struct trial_redo *redo, enum trial_kind kind, uint64_t target_off,
                       uint64_t value, uint64_t step, uint64_t count) {
    atomic_store_explicit(&redo->kind, kind, memory_order_release);
    atomic_store_explicit(&redo->target_off, target_off, memory_order_release);
    atomic_store_explicit(&redo->value, value, memory_order_release);
    atomic_store_explicit(&redo->step, step, memory_order_release);
    atomic_store_explicit(&redo->count, count, memory_order_release);
}

struct redo_copy {
    uint64_t kind;
    uint64_t target_off;
    uint64_t value;
    uint64_t step;
    uint64_t count;
};

/* Reads an entry of transaction tx; false when tx has been applied meanwhile, and the entry may
 * therefore be another's. */
static bool read_redo(struct trial_shared *shared, const struct trial_redo *redo, uint64_t tx,
                      struct redo_copy *copy) {
    /* acquire: pairs with the releases in write_redo(), and `applied` is read after them. */
    copy->kind = atomic_load_explicit(&redo->kind, memory_order_acquire);
    copy->target_off = atomic_load_explicit(&redo->target_off, memory_order_acquire);
    copy->value = atomic_load_explicit(&redo->value, memory_order_acquire);
    copy->step = atomic_load_explicit(&redo->step, memory_order_acquire);
    copy->count = atomic_load_explicit(&redo->count, memory_order_acquire);
    return atomic_load_explicit(&shared->applied, memory_order_relaxed) < tx;
}

static void apply_redo(struct trial_shared *shared, const struct redo_copy *redo) {
    _Atomic uint64_t *words = at_off(shared, redo->target_off);
    if (redo->kind == TRIAL_SET_ONCE) {
        for (uint64_t i = 0; i < redo->count; i++) {
            /* Looked at first: what another has done already need not become our cache line. */
            uint64_t seen = atomic_load_explicit(&words[i], memory_order_relaxed);
            if (seen == 0) {
                atomic_compare_exchange_strong_explicit(&words[i], &seen,
                                                        redo->value + i * redo->step,
                                                        memory_order_release, memory_order_relaxed);
            }
        }
        return;
    }
    uint64_t largest = atomic_load_explicit(words, memory_order_relaxed);
    while (largest < redo->value &&
           !atomic_compare_exchange_weak_explicit(words, &largest, redo->value,
                                                  memory_order_release, memory_order_relaxed)) {
    }
}

/* Applies the committed transaction tx, whose record is at record_off. Idempotent. */
static void apply(struct trial_shared *shared, uint64_t tx, uint64_t record_off) {
    const struct trial_record *record = at_off(shared, record_off);
    struct trial_list *list = &shared->lists[record->writer];
    for (uint32_t i = 0; i < TRIAL_REDO_COUNT; i++) {
        struct redo_copy copy;
        if (!read_redo(shared, &list->entries[i], tx, &copy)) {
            return;
        }
        apply_redo(shared, &copy);
    }
    uint64_t before = tx - 1;
    /* release: who sees `applied` sees the indexes; pairs with the acquire in find_end(). */
    atomic_compare_exchange_strong_explicit(&shared->applied, &before, tx, memory_order_release,
                                            memory_order_relaxed);
}

/* Helps until everything that is committed is applied. Gives the number of the next transaction and
 * the word that stands for it now, which is empty. */
static uint64_t find_end(struct trial_shared *shared, uint64_t *word) {
    for (;;) {
        /* acquire: pairs with the release in apply(). */
        uint64_t tx = atomic_load_explicit(&shared->applied, memory_order_acquire) + 1;
        /* acquire: pairs with the commit; the record is whole. */
        *word = atomic_load_explicit(&shared->ring[tx % TRIAL_RING], memory_order_acquire);
        uint64_t tag = *word >> TRIAL_TAG_SHIFT;
        if (tag < round_of(tx)) {
            return tx;
        }
        if (tag == round_of(tx)) {
            apply(shared, tx, record_off_of(*word));
        }
    }
}

/* What depends on the place in the log: offsets, versions, the time, and the redo list. */
static void evaluate(struct trial_writer *writer, uint64_t record_off, uint64_t batch,
                     uint64_t tx) {
    struct trial_shared *shared = writer->shared;
    uint64_t offset = 1;
    int64_t recorded_ns = realtime_ns();
    if (tx > 1) {
        uint64_t last =
            atomic_load_explicit(&shared->ring[(tx - 1) % TRIAL_RING], memory_order_acquire);
        const struct trial_record *record = at_off(shared, record_off_of(last));
        offset = record->offset + record->count;
        recorded_ns = recorded_ns > record->recorded_ns ? recorded_ns : record->recorded_ns;
    }
    uint64_t version = atomic_load_explicit(&shared->version, memory_order_relaxed) + 1;
    struct trial_record *own = at_off(shared, record_off);
    own->offset = offset;
    own->version = version;
    own->recorded_ns = recorded_ns;
    struct trial_redo *redo = shared->lists[writer->index].entries;
    write_redo(&redo[0], TRIAL_SET_ONCE, shared->offsets_off + offset * sizeof(uint64_t),
               record_off + sizeof(struct trial_record), shared->stride, batch);
    write_redo(&redo[1], TRIAL_SET_ONCE, shared->versions_off + version * sizeof(uint64_t), offset,
               1, batch);
    write_redo(&redo[2], TRIAL_MAXIMUM, offsetof(struct trial_shared, version), version + batch - 1,
               0, 1);
}

static void append(struct trial_writer *writer, uint64_t batch, const uint8_t *payload) {
    struct trial_shared *shared = writer->shared;
    uint64_t record_off = writer->next_off;
    uint64_t events_off = record_off + sizeof(struct trial_record);
    writer->next_off = events_off + batch * shared->stride;
    struct trial_record *own = at_off(shared, record_off);
    own->count = (uint32_t)batch;
    own->writer = writer->index;
    for (uint64_t i = 0; i < batch; i++) {
        struct trial_event *event = at_off(shared, events_off + i * shared->stride);
        event->record_off = record_off;
        event->len = (uint32_t)shared->payload;
        event->k = (uint32_t)i;
        memcpy(event + 1, payload, shared->payload);
    }
    for (;;) {
        uint64_t word = 0;
        uint64_t tx = find_end(shared, &word);
        evaluate(writer, record_off, batch, tx);
        uint64_t record = (round_of(tx) << TRIAL_TAG_SHIFT) | record_off / 8;
        /* COMMIT POINT. release: pairs with the acquire in find_end(). */
        if (atomic_compare_exchange_strong_explicit(&shared->ring[tx % TRIAL_RING], &word, record,
                                                    memory_order_acq_rel, memory_order_relaxed)) {
            apply(shared, tx, record_off);
            return;
        }
    }
}

uint64_t trial_run(struct trial_writer *writer, uint64_t count, uint64_t batch,
                   const uint8_t *payload) {
    for (uint64_t i = 0; i < count; i++) {
        append(writer, batch, payload);
    }
    return count * batch;
}

int trial_check(void *memory, uint64_t events) {
    struct trial_shared *shared = memory;
    const uint64_t *offsets = at_off(shared, shared->offsets_off);
    const uint64_t *versions = at_off(shared, shared->versions_off);
    if (atomic_load_explicit(&shared->version, memory_order_relaxed) != events) {
        return -1;
    }
    for (uint64_t i = 1; i <= events; i++) {
        const struct trial_event *event = at_off(shared, offsets[i]);
        const struct trial_record *record = at_off(shared, event->record_off);
        bool placed = offsets[i] != 0 && record->offset + event->k == i &&
                      record->version + event->k == i && versions[i] == i;
        if (!placed) {
            return -1;
        }
    }
    return 0;
}
