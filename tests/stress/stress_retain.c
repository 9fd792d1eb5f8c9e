/* Retention: a store that may hold so many events, through which many more go.
 *
 * usage: stress_retain [--short] [--threads] [--seed N] [--workers N] [--rounds N] [--keep N]
 *
 * --keep: the limit; --rounds: events to append in all. What holds: memory stays what it was when the
 * limit was reached first; each follower is given every number once, or told once that it is gone;
 * in the end exactly as many events are there as may be. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { SHARDS = 8 }; /* and events in none */
enum { STREAMS = 1000, BATCH_MAX = 100, DATA_MAX = 200, TENTHS = 10, FOLLOWERS = 4 };

enum manner { WAITS, FETCHES, SLOW, ONE_STREAM };

struct scene {
    eddy_store *store;
    struct stress_options options;
    _Atomic uint64_t appended;
    _Atomic int64_t tenth_ns[TENTHS + 1]; /* when so many tenths had been appended */
    _Atomic uint64_t most;                /* bytes that were reserved at most */
    _Atomic uint32_t stop;
    _Atomic uint64_t given[FOLLOWERS];
    _Atomic uint64_t lapsed[FOLLOWERS];
    _Atomic uint64_t lapses[FOLLOWERS];
};

struct worker {
    struct scene *scene;
    uint32_t number;
};

static eddy_bytes stream_name(char *text, uint64_t i) {
    snprintf(text, 24, "s-%" PRIu64, i);
    return eddy_str(text);
}

/* An event that tells its own length and bytes. */
static eddy_new_event make_event(struct rng *rng, unsigned char *data) {
    uint64_t tag = rng_next(rng);
    uint64_t len = tag % (DATA_MAX + 1);
    eddy_new_event event = {
        .time_ns = (int64_t)tag, .flags = EDDY_TIME_GIVEN, .shard = tag % SHARDS};
    memset(data, (unsigned char)(tag >> 32), len);
    event.data = eddy_mem(data, len);
    return event;
}

static void check_event(const eddy_event *event) {
    const unsigned char *data = event->data.ptr;
    uint64_t tag = (uint64_t)event->time_ns;
    CHECK_EQ(event->data.len, tag % (DATA_MAX + 1));
    CHECK_EQ(event->shard, tag % SHARDS);
    for (size_t i = 0; i < event->data.len; i++) {
        CHECK(data[i] == (unsigned char)(tag >> 32));
    }
    CHECK(event->tx_offset <= event->offset && event->offset < event->tx_offset + event->tx_count);
}

/* Appends count events, in one transaction, to one stream or to several. */
static void append(eddy_store *store, struct rng *rng, uint64_t count) {
    static _Thread_local unsigned char data[BATCH_MAX][DATA_MAX];
    eddy_new_event events[BATCH_MAX];
    char text[24];
    for (uint64_t k = 0; k < count; k++) {
        events[k] = make_event(rng, data[k]);
    }
    if (count < 3 || rng_once_in(rng, 2)) {
        CHECK_OK(eddy_append(store, stream_name(text, rng_below(rng, STREAMS)), EDDY_ANY, events,
                             count, NULL));
        return;
    }
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (uint64_t k = 0; k < count; k++) {
        CHECK_OK(eddy_tx_append(tx, stream_name(text, rng_below(rng, STREAMS)), &events[k]));
    }
    CHECK_OK(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
}

static void note_progress(struct scene *scene, eddy_store *store, uint64_t count) {
    uint64_t before = atomic_fetch_add(&scene->appended, count);
    uint64_t tenth = scene->options.rounds / TENTHS + 1;
    if (before / tenth != (before + count) / tenth) {
        atomic_store(&scene->tenth_ns[(before + count) / tenth], child_now_ns());
    }
    if (before / 4096 != (before + count) / 4096) {
        uint64_t now = gang_facts(store).reserved;
        uint64_t was = atomic_load(&scene->most);
        while (now > was && !atomic_compare_exchange_weak(&scene->most, &was, now)) {
        }
    }
}

/* Odd ones append singly, even ones in batches. */
static void write_events(void *arg) {
    struct worker *worker = arg;
    struct scene *scene = worker->scene;
    struct rng rng = rng_make(100 + worker->number);
    while (atomic_load(&scene->appended) < scene->options.rounds) {
        uint64_t count = worker->number % 2 ? 1 : 1 + rng_below(&rng, BATCH_MAX);
        append(scene->store, &rng, count);
        note_progress(scene, scene->store, count);
    }
}

/* What a follower has seen: of the store offsets, of a stream versions. */
struct seen {
    uint64_t next;   /* 0: nothing was said yet */
    uint64_t before; /* what was gone before it began is not told */
    uint64_t given;
    uint64_t lapsed;
    uint64_t lapses;
    bool versions;
};

static void see_first(struct seen *seen, uint64_t number) {
    if (seen->next == 0) {
        seen->next = number;
        seen->before = number - 1;
    }
}

static void see_event(struct seen *seen, const eddy_event *event) {
    uint64_t number = seen->versions ? event->version : event->offset;
    see_first(seen, number);
    if (number != seen->next) {
        gang_breach("a follower was given number %" PRIu64 ", but the next is %" PRIu64, number,
                    seen->next);
    }
    check_event(event);
    seen->next++;
    seen->given++;
}

static void see_lapse(struct seen *seen, eddy_reader *reader) {
    eddy_position position;
    CHECK_OK(eddy_reader_position(reader, &position));
    see_first(seen, position.lapped_from);
    if (position.lapped_from != seen->next || position.lapped_to < position.lapped_from) {
        gang_breach("a follower was told that %" PRIu64 " to %" PRIu64
                    " are gone, but the next is %" PRIu64,
                    position.lapped_from, position.lapped_to, seen->next);
    }
    seen->lapsed += position.lapped_to - position.lapped_from + 1;
    seen->lapses++;
    seen->next = position.lapped_to + 1;
}

/* One call: what it gave. */
static int follow_once(struct seen *seen, eddy_reader *reader, enum manner manner) {
    eddy_event events[64];
    size_t count = 1;
    int rc;
    if (manner == FETCHES) {
        rc = eddy_reader_fetch(reader, events, 64, &count);
        if (rc == EDDY_CAUGHT_UP) {
            rc = eddy_reader_wait(reader, eddy_deadline_ms(5), events);
            count = 1;
        }
    } else {
        rc = eddy_reader_wait(reader, eddy_deadline_ms(5), events);
    }
    if (rc == EDDY_EVENT) {
        for (size_t i = 0; i < count; i++) {
            see_event(seen, &events[i]);
        }
    } else if (rc == EDDY_ELAPPED) {
        see_lapse(seen, reader);
    } else {
        CHECK_EQ(rc, EDDY_ETIMEDOUT);
    }
    return rc;
}

static void follow(void *arg) {
    struct worker *worker = arg;
    struct scene *scene = worker->scene;
    enum manner manner = (enum manner)worker->number;
    struct rng rng = rng_make(200 + worker->number);
    struct seen seen = {.versions = manner == ONE_STREAM};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    char text[24];
    select.flags = EDDY_FOLLOW;
    if (manner == ONE_STREAM) {
        select.stream = stream_name(text, 7);
    }
    CHECK_OK(eddy_reader_open(scene->store, &select, &reader));
    for (;;) {
        bool last = atomic_load(&scene->stop) != 0;
        int rc = follow_once(&seen, reader, manner);
        if (rc == EDDY_ETIMEDOUT && last) {
            break;
        }
        if (manner == SLOW && !last && rng_once_in(&rng, 1000)) {
            child_linger_us(rng_below(&rng, 20000));
        }
    }
    eddy_stream_facts facts = {.size = sizeof facts};
    uint64_t head = sandbox_head(scene->store);
    if (seen.versions && eddy_stream_info(scene->store, select.stream, &facts) == 0) {
        head = facts.version;
    }
    if (seen.next != head + 1 || seen.before + seen.given + seen.lapsed != head) {
        gang_breach("a follower came to %" PRIu64 " of %" PRIu64 ": %" PRIu64 " before it, %" PRIu64
                    " given, %" PRIu64 " gone",
                    seen.next - 1, head, seen.before, seen.given, seen.lapsed);
    }
    atomic_store(&scene->given[worker->number], seen.given);
    atomic_store(&scene->lapsed[worker->number], seen.lapsed);
    atomic_store(&scene->lapses[worker->number], seen.lapses);
    eddy_reader_close(reader);
}

static void check_end(struct scene *scene) {
    eddy_reader *reader;
    eddy_event event;
    uint64_t keep = scene->options.keep;
    eddy_facts facts = gang_facts(scene->store);
    uint64_t next = facts.first;
    if (facts.events != keep || facts.head - facts.first + 1 != keep) {
        gang_breach("%" PRIu64 " events are there (%" PRIu64 " to %" PRIu64 "), not %" PRIu64,
                    facts.events, facts.first, facts.head, keep);
    }
    CHECK_OK(eddy_reader_open(scene->store, NULL, &reader));
    while (CHECK_OK(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        CHECK_EQ(event.offset, next++);
        check_event(&event);
    }
    CHECK_EQ(next, facts.head + 1);
    eddy_reader_close(reader);
    sandbox_check(scene->store);
}

static void say_figures(struct scene *scene, uint64_t base, uint64_t bound) {
    static const char *const manners[] = {"waits", "fetches", "slow", "one stream"};
    uint64_t tenth = scene->options.rounds / TENTHS + 1;
    printf("ns an event, by tenths:");
    for (int i = 1; i <= TENTHS; i++) {
        int64_t ns = atomic_load(&scene->tenth_ns[i]) - atomic_load(&scene->tenth_ns[i - 1]);
        if (ns > 0) {
            printf(" %.0f", (double)ns / (double)tenth);
        }
    }
    printf("\nreserved: %.1f MiB when the limit was reached, %.1f MiB at most (%.2f times; bound "
           "%.1f MiB)\n",
           gang_mib(base), gang_mib(atomic_load(&scene->most)),
           (double)atomic_load(&scene->most) / (double)base, gang_mib(bound));
    for (int i = 0; i < FOLLOWERS; i++) {
        printf("follower (%s): %" PRIu64 " given, %" PRIu64 " gone in %" PRIu64 " gaps\n",
               manners[i], atomic_load(&scene->given[i]), atomic_load(&scene->lapsed[i]),
               atomic_load(&scene->lapses[i]));
    }
}

/* Fills it up to its limit: what that takes is the measure. */
static uint64_t warm_up(struct scene *scene) {
    struct rng rng = rng_make(1);
    eddy_limits limits = EDDY_LIMITS_INIT;
    uint64_t keep = scene->options.keep;
    limits.events = keep;
    limits.flags = EDDY_DROP_EVENTS;
    CHECK_OK(eddy_limits_set(scene->store, &limits, NULL));
    for (uint64_t done = 0; done < keep;) {
        uint64_t count = rng_once_in(&rng, 2) ? 1 : 1 + rng_below(&rng, BATCH_MAX);
        count = count < keep - done ? count : keep - done;
        append(scene->store, &rng, count);
        done += count;
    }
    atomic_store(&scene->tenth_ns[0], child_now_ns());
    return gang_facts(scene->store).reserved;
}

int main(int argc, char **argv) {
    struct scene *scene = child_shared(sizeof *scene);
    struct worker workers[GANG_MAX];
    struct worker followers[FOLLOWERS];
    scene->options = (struct stress_options){.workers = 3,
                                             .rounds = 200000000,
                                             .short_rounds = 1000000,
                                             .slower = 8,
                                             .keep = 1000000,
                                             .short_keep = 20000};
    stress_options_parse(argc, argv, &scene->options);
    struct stress_options *o = &scene->options;
    struct gang writing = {.threads = o->threads};
    struct gang following = {.threads = o->threads};
    CHECK(o->workers <= GANG_MAX);
    scene->store = sandbox_anonymous_of(UINT64_C(16) << 30);
    uint64_t base = warm_up(scene);
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        followers[i] = (struct worker){.scene = scene, .number = i};
        gang_start(&following, follow, &followers[i]);
    }
    for (uint32_t i = 0; i < o->workers; i++) {
        workers[i] = (struct worker){.scene = scene, .number = i};
        gang_start(&writing, write_events, &workers[i]);
    }
    if (!gang_end(&writing, o->limit_ms)) {
        gang_breach("a writer failed");
    }
    atomic_store(&scene->stop, 1);
    if (!gang_end(&following, o->limit_ms)) {
        gang_breach("a follower failed");
    }
    /* Each process has some extents of its own, of each kind. */
    uint64_t bound = base + base * 3 / 10 + (o->workers + 1) * (UINT64_C(1) << 20);
    say_figures(scene, base, bound);
    if (atomic_load(&scene->most) > bound) {
        gang_breach("%" PRIu64 " bytes were reserved, more than %" PRIu64,
                    atomic_load(&scene->most), bound);
    }
    check_end(scene);
    eddy_close(scene->store);
    return 0;
}
