/* Processes that are killed at a random moment of a random operation, while others go on.
 *
 * usage: stress_kill [--short] [--threads] [--seed N] [--rounds N] [--keep N]
 *
 * --rounds: how many are killed, in two stores: one in which limits never bite, so that everything
 * that was acknowledged is there, and one that may hold --keep events, of which the oldest go. What
 * holds then: the book of each (support/ledger.h); eddy_check(); the dead leave no member behind; the
 * others never fail; and when all is removed, memory is as free as at first. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/gang.h"
#include "support/ledger.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 3, OTHERS = 2, NOISE = 20, PARTS_MAX = 24, MOMENT_US = 3000, CHECK_EVERY = 50 };
enum { SPARE = 2 << 20 };

struct scene {
    eddy_store *store;
    uint64_t keep;  /* 0: nothing goes by itself */
    uint64_t turns; /* processes started */
    struct ledger ledger[SLOTS];
    _Atomic uint32_t begun[SLOTS];
    _Atomic uint32_t stop;
    _Atomic uint64_t noise;
    _Atomic uint64_t followed;
};

struct victim {
    struct scene *scene;
    eddy_store *store;
    struct ledger *ledger;
    uint32_t slot;
    uint64_t turn;
    struct rng rng;
};

/* ---- what it does ---- */

/* Adds count events of a stream to a transaction, or to what is appended by itself. */
static void add_events(struct victim *v, eddy_tx *tx, unsigned i, uint64_t count) {
    static unsigned char room[LEDGER_DATA_MAX];
    struct ledger_stream *s = &v->ledger->next[i];
    char text[32];
    eddy_bytes name = ledger_name(v->ledger, i, text);
    for (uint64_t k = 0; k < count; k++) {
        eddy_new_event event;
        ledger_event(v->ledger, i, s->life, ++s->version, room, &event);
        CHECK_OK(eddy_tx_append(tx, name, &event));
    }
    s->there = s->there || count > 0;
}

static bool is_full(const struct victim *v, unsigned i) {
    return v->ledger->now[i].version - v->ledger->now[i].gone >= LEDGER_MOST;
}

static void cut(struct ledger_stream *s, uint64_t to) {
    to = to < s->version ? to : s->version;
    s->gone = to > s->gone ? to : s->gone;
}

/* The version that a stream is expected to have; where the oldest go, it may be gone as a whole. */
static int64_t expects(const struct victim *v, int64_t version) {
    return v->scene->keep ? EDDY_ANY : version;
}

static void append_one(struct victim *v) {
    static unsigned char room[LEDGER_DATA_MAX];
    unsigned i = (unsigned)rng_below(&v->rng, LEDGER_STREAMS);
    struct ledger_stream *s = &v->ledger->next[i];
    char text[32];
    eddy_new_event event;
    eddy_result result;
    if (is_full(v, i)) {
        return;
    }
    ledger_event(v->ledger, i, s->life, ++s->version, room, &event);
    int64_t expected = expects(v, s->there ? (int64_t)s->version - 1 : EDDY_NONE);
    s->there = true;
    ledger_try(v->ledger, "append");
    CHECK_OK(eddy_append(v->store, ledger_name(v->ledger, i, text), expected, &event, 1, &result));
    ledger_done(v->ledger);
    CHECK_EQ(result.last_version, s->version);
}

/* Appends to several streams, some of which are cut or removed in the same instant. */
static void transact(struct victim *v) {
    eddy_tx *tx;
    char text[32];
    CHECK_OK(eddy_tx_begin(v->store, &tx));
    for (unsigned i = 0; i < LEDGER_STREAMS; i++) {
        struct ledger_stream *s = &v->ledger->next[i];
        eddy_bytes name = ledger_name(v->ledger, i, text);
        uint64_t what = rng_below(&v->rng, 6);
        if (what == 0 && s->there) {
            uint64_t to = s->gone + rng_below(&v->rng, s->version - s->gone + 1);
            CHECK_OK(eddy_tx_truncate(tx, name, to));
            cut(s, to);
        } else if (what == 1 && s->there) {
            CHECK_OK(eddy_tx_delete(tx, name));
            cut(s, s->version);
            s->there = false;
        }
        if (what != 2 && !is_full(v, i)) {
            add_events(v, tx, i, rng_below(&v->rng, PARTS_MAX));
        }
    }
    ledger_try(v->ledger, "transaction");
    CHECK_OK(eddy_tx_commit(tx, NULL));
    ledger_done(v->ledger);
    eddy_tx_free(tx);
}

static void truncate_one(struct victim *v) {
    unsigned i = (unsigned)rng_below(&v->rng, LEDGER_STREAMS);
    struct ledger_stream *s = &v->ledger->next[i];
    char text[32];
    uint64_t to = s->gone + rng_below(&v->rng, s->version - s->gone + 1);
    if (s->there) {
        cut(s, to);
        ledger_try(v->ledger, "truncate");
        CHECK_OK(eddy_truncate(v->store, ledger_name(v->ledger, i, text),
                               expects(v, (int64_t)s->version), to, NULL));
        ledger_done(v->ledger);
    }
}

static void delete_one(struct victim *v) {
    unsigned i = (unsigned)rng_below(&v->rng, LEDGER_STREAMS);
    struct ledger_stream *s = &v->ledger->next[i];
    char text[32];
    cut(s, s->version);
    s->there = false;
    ledger_try(v->ledger, "delete");
    CHECK_OK(eddy_delete(v->store, ledger_name(v->ledger, i, text), EDDY_ANY, NULL));
    ledger_done(v->ledger);
}

static void forget_one(struct victim *v) {
    unsigned i = (unsigned)rng_below(&v->rng, LEDGER_STREAMS);
    struct ledger_stream *s = &v->ledger->next[i];
    char text[32];
    bool known = s->version > 0;
    *s = (struct ledger_stream){.life = s->life + 1};
    ledger_try(v->ledger, "forget");
    CHECK_EQ(eddy_forget(v->store, ledger_name(v->ledger, i, text), NULL), known ? 0 : EDDY_ENOENT);
    ledger_done(v->ledger);
}

/* Reads from somewhere on, copied or borrowed; what it is given makes sense. */
static void read_on(struct victim *v, uint32_t flags, int most) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    uint64_t head = sandbox_head(v->store);
    uint64_t last = 0;
    int rc = EDDY_EVENT;
    select.flags = flags;
    select.after_offset = head - rng_below(&v->rng, (uint64_t)most < head ? (uint64_t)most : head);
    CHECK_OK(eddy_reader_open(v->store, &select, &reader));
    for (int n = 0; n < most && (rc == EDDY_EVENT || rc == EDDY_ELAPPED); n++) {
        rc = flags & EDDY_FOLLOW ? eddy_reader_wait(reader, eddy_deadline_ms(2), &event)
                                 : eddy_reader_next(reader, &event);
        if (rc == EDDY_EVENT) {
            CHECK(event.offset > last && event.stream.len > 4);
            last = event.offset;
        }
        if (rc == EDDY_EVENT && (flags & EDDY_BORROW) && rng_once_in(&v->rng, 20)) {
            child_linger_us(rng_below(&v->rng, 300));
            CHECK_EQ(eddy_reader_holds(reader), 1);
        }
    }
    CHECK(rc >= 0 || rc == EDDY_ETIMEDOUT || rc == EDDY_ELAPPED);
    eddy_reader_close(reader);
}

/* Limits that are others each time, and let the same be kept. */
static void set_limits(struct scene *scene, eddy_store *store, uint64_t number) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    /* Where the oldest go, streams that are empty are removed as well. */
    limits.flags = EDDY_DROP_STREAMS | EDDY_DROP_STREAM_EVENTS | EDDY_DROP_WHEN_FULL;
    limits.flags |= scene->keep ? EDDY_DROP_EVENTS : 0;
    limits.events = scene->keep ? scene->keep : (UINT64_C(1) << 40) + number;
    limits.stream_events = LEDGER_MOST * 2 + LEDGER_STREAMS * PARTS_MAX;
    limits.streams = 10000 + number;
    limits.bytes = (UINT64_C(1) << 40) + number;
    CHECK_OK(eddy_limits_set(store, &limits, NULL));
}

static void one_operation(struct victim *v) {
    uint64_t what = rng_below(&v->rng, 100);
    memcpy(v->ledger->next, v->ledger->now, sizeof v->ledger->next);
    if (what < 30) {
        append_one(v);
    } else if (what < 50) {
        transact(v);
    } else if (what < 60) {
        truncate_one(v);
    } else if (what < 66) {
        delete_one(v);
    } else if (what < 72) {
        forget_one(v);
    } else if (what < 78) {
        read_on(v, 0, 1000);
    } else if (what < 84) {
        read_on(v, EDDY_BORROW, 200);
    } else if (what < 90) {
        read_on(v, EDDY_FOLLOW | (rng_once_in(&v->rng, 2) ? EDDY_BORROW : 0), 50);
    } else if (what < 94) {
        set_limits(v->scene, v->store, rng_below(&v->rng, 1000));
    } else {
        CHECK_OK(eddy_maintain(v->store, 0, NULL));
    }
}

/* In a store that may hold so many events, a stream of the book is never written by itself: what it
 * expects of it is what is there. */
static void run_victim(void *arg) {
    struct victim *v = arg;
    v->rng = rng_make(1000 + v->turn);
    v->store = v->turn % 3 ? v->scene->store : sandbox_again(v->scene->store, 0);
    atomic_store(&v->scene->begun[v->slot], 1);
    for (;;) {
        one_operation(v);
    }
}

/* ---- what goes on beside it ---- */

static void make_noise(void *arg) {
    static const char data[400];
    struct scene *scene = arg;
    struct rng rng = rng_make(1);
    uint64_t count = 0;
    while (!atomic_load(&scene->stop)) {
        char name[24];
        eddy_new_event event = {.data = eddy_mem(data, rng_below(&rng, sizeof data))};
        snprintf(name, sizeof name, "noise-%u", (unsigned)rng_below(&rng, NOISE));
        uint64_t what = rng_below(&rng, 1000);
        if (what == 0) {
            CHECK_OK(eddy_delete(scene->store, eddy_str(name), EDDY_ANY, NULL));
        } else if (what < 20) {
            CHECK_OK(eddy_truncate(scene->store, eddy_str(name), EDDY_ANY, UINT64_MAX, NULL));
        } else {
            CHECK_OK(eddy_append(scene->store, eddy_str(name), EDDY_ANY, &event, 1, NULL));
            count++;
        }
        if (count % 64 == 0) {
            child_linger_us(50); /* there are fewer cores than processes */
        }
    }
    atomic_store(&scene->noise, count);
}

/* Sees each number once, or that it is gone. */
static void follow_all(void *arg) {
    struct scene *scene = arg;
    eddy_select select = EDDY_SELECT_INIT;
    eddy_position position;
    eddy_reader *reader;
    eddy_event event;
    uint64_t given = 0;
    uint64_t at = sandbox_head(scene->store);
    select.flags = EDDY_FOLLOW;
    select.after_offset = at;
    CHECK_OK(eddy_reader_open(scene->store, &select, &reader));
    for (bool last = false; !last;) {
        last = atomic_load(&scene->stop) != 0;
        int rc = eddy_reader_wait(reader, eddy_deadline_ms(5), &event);
        while (rc == EDDY_EVENT || rc == EDDY_ELAPPED) {
            CHECK_OK(eddy_reader_position(reader, &position));
            if (rc == EDDY_EVENT && event.offset <= at) {
                gang_breach("a follower at %" PRIu64 " was given %" PRIu64, at, event.offset);
            }
            if (rc == EDDY_ELAPPED && position.lapped_from <= at) {
                gang_breach("a follower at %" PRIu64 " was told that %" PRIu64 " is gone", at,
                            position.lapped_from);
            }
            at = rc == EDDY_EVENT ? event.offset : position.lapped_to;
            given += rc == EDDY_EVENT;
            rc = eddy_reader_next(reader, &event);
        }
        CHECK(rc == EDDY_CAUGHT_UP || rc == EDDY_ETIMEDOUT);
    }
    eddy_reader_close(reader);
    atomic_store(&scene->followed, given);
}

/* ---- killing ---- */

/* One process of a slot: from its start to its end, and what it left. */
static void kill_one(struct scene *scene, pid_t *pid, struct victim *victims, uint32_t slot,
                     struct rng *rng) {
    if (*pid > 0) {
        child_kill(*pid);
        ledger_check(&scene->ledger[slot], scene->store, scene->keep != 0);
    }
    atomic_store(&scene->begun[slot], 0);
    victims[slot] = (struct victim){
        .scene = scene, .ledger = &scene->ledger[slot], .slot = slot, .turn = scene->turns++};
    *pid = child_start(run_victim, &victims[slot]);
    for (int64_t end = child_now_ns() + CHILD_LIMIT_MS * INT64_C(1000000);
         !atomic_load(&scene->begun[slot]);) {
        CHECK(child_now_ns() < end);
        child_linger_us(20);
    }
    child_linger_us(rng_below(rng, MOMENT_US));
}

static void kill_many(struct scene *scene, uint64_t rounds) {
    struct victim victims[SLOTS];
    struct gang others = {0};
    pid_t pids[SLOTS] = {0};
    struct rng rng = rng_make(2);
    uint64_t tenth = rounds / 10 + 1;
    gang_start(&others, make_noise, scene);
    gang_start(&others, follow_all, scene);
    printf("in use, MiB, by tenths:");
    for (uint64_t n = 1; n <= rounds; n++) {
        uint32_t slot = (uint32_t)(n % SLOTS);
        kill_one(scene, &pids[slot], victims, slot, &rng);
        if (n % CHECK_EVERY == 0) {
            sandbox_check(scene->store);
        }
        if (n % tenth == 0) {
            CHECK_OK(eddy_maintain(scene->store, 0, NULL));
            printf(" %.1f", gang_mib(gang_used(scene->store)));
            fflush(stdout);
        }
    }
    printf("\n");
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (pids[slot] > 0) {
            child_kill(pids[slot]);
        }
    }
    atomic_store(&scene->stop, 1);
    if (!gang_end(&others, CHILD_LIMIT_MS)) {
        gang_breach("one of those that were not killed failed");
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        ledger_check(&scene->ledger[slot], scene->store, scene->keep != 0);
    }
}

/* ---- what is left ---- */

static int sum_slots(void *arg, const eddy_member_facts *facts) {
    uint64_t *sums = arg;
    sums[0]++;
    sums[1] += !facts->alive;
    sums[2] += facts->threads;
    sums[3] += facts->readers;
    return 0;
}

/* Behind the next opening nothing of the dead is in any slot. */
static void check_slots(struct scene *scene) {
    eddy_store *again = sandbox_again(scene->store, 0);
    uint64_t sums[4] = {0};
    CHECK_OK(eddy_members(again, sum_slots, sums));
    printf("members %" PRIu64 ", dead %" PRIu64 ", threads %" PRIu64 ", readers %" PRIu64 "\n",
           sums[0], sums[1], sums[2], sums[3]);
    if (sums[0] != 2 || sums[1] != 0 || sums[2] > 2 || sums[3] != 0) {
        gang_breach("slots are still taken: there are two handles of one process, nothing else");
    }
    eddy_close(again);
}

static int forget_it(void *arg, const eddy_stream_facts *facts) {
    CHECK_OK(eddy_forget(arg, eddy_str(facts->name), NULL));
    return 0;
}

static void check_memory(struct scene *scene, uint64_t empty) {
    eddy_facts full = gang_facts(scene->store);
    while (CHECK_OK(eddy_streams(scene->store, eddy_str(""), eddy_str(""), 100, forget_it,
                                 scene->store)) > 0) {
    }
    CHECK_OK(eddy_forget_removed(scene->store, eddy_str("")));
    gang_maintain(scene->store);
    sandbox_check(scene->store);
    eddy_facts facts = gang_facts(scene->store);
    uint64_t used = facts.reserved - facts.free;
    printf("reserved %.1f MiB, in use %.1f MiB; emptied, in use %.2f MiB, at first %.2f MiB\n",
           gang_mib(full.reserved), gang_mib(full.reserved - full.free), gang_mib(used),
           gang_mib(empty));
    CHECK_EQ(facts.events, 0);
    CHECK_EQ(facts.streams, 0);
    if (used > empty + SPARE) {
        gang_breach("%" PRIu64 " bytes are in use by an empty store, but %" PRIu64 " at first",
                    used, empty);
    }
}

static void run(uint64_t rounds, uint64_t keep) {
    struct scene *scene = child_shared(sizeof *scene);
    scene->keep = keep;
    scene->store = sandbox_anonymous_of(UINT64_C(2) << 30);
    for (uint32_t i = 0; i < SLOTS; i++) {
        scene->ledger[i].owner = i;
    }
    uint64_t empty = gang_used(scene->store);
    set_limits(scene, scene->store, 0);
    kill_many(scene, rounds);
    sandbox_check(scene->store);
    check_slots(scene);
    eddy_counts counts = {.size = sizeof counts};
    CHECK_OK(eddy_stats(scene->store, &counts));
    uint64_t done = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        done += atomic_load(&scene->ledger[i].done);
    }
    printf("%" PRIu64 " killed, %" PRIu64 " swept; %" PRIu64 " of their operations done, %" PRIu64
           " events of others, %" PRIu64 " followed; %" PRIu64 " helps\n",
           rounds, counts.sweeps, done, atomic_load(&scene->noise), atomic_load(&scene->followed),
           counts.helps);
    check_memory(scene, empty);
    eddy_close(scene->store);
}

int main(int argc, char **argv) {
    struct stress_options o = {
        .rounds = 10000, .short_rounds = 300, .keep = 20000, .short_keep = 5000};
    stress_options_parse(argc, argv, &o);
    if (o.threads) {
        printf("skipped: threads cannot be killed\n");
        return 0;
    }
    run(o.rounds - o.rounds / 2, 0);
    run(o.rounds / 2, o.keep);
    return 0;
}
