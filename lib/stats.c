/* Figures: counters, who is how far behind, and the log of errors. */
#include <stddef.h>
#include <string.h>

#include "error.h"
#include "log.h"
#include "look.h"
#include "reader.h"

/* ---- readers ---- */

/* Of the members, who is dead: each is asked for once. */
struct living {
    unsigned char known[1025]; /* 1: dead, 2: alive */
};

static bool is_alive(struct eddy_store *s, struct living *l, uint32_t member) {
    if (member >= s->arena.members_max || member >= sizeof l->known) {
        return false;
    }
    if (l->known[member] == 0) {
        bool self = !s->arena.read_only && member == s->member.idx;
        l->known[member] = self || !eddy_member_dead(&s->arena, member) ? 2 : 1;
    }
    return l->known[member] == 2;
}

static uint64_t subscriptions(struct eddy_store *s) {
    struct living l = {{0}};
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->arena.readers_max; i++) {
        struct eddy_shm_reader *r = &s->arena.readers[i];
        /* [stats.R1] relaxed: a figure to show */
        uint64_t w = eddy_ld_rlx(&r->state);
        n += EDDY_SLOT_LIVE(w) && eddy_ld_rlx(&r->follows) != 0 &&
             is_alive(s, &l, EDDY_SLOT_MEMBER(w));
    }
    return n;
}

/* ---- counters ---- */

static uint64_t errors(struct eddy_arena *a) {
    struct eddy_log_entry e;
    uint64_t n = 0;
    for (unsigned i = 0; i < EDDY_ERROR_SLOTS; i++) {
        n += eddy_log_get(a, i, &e) ? e.count : 0;
    }
    return n;
}

int eddy_stats(eddy_store *s, eddy_counts *counts) {
    struct eddy_instant now = {0};
    struct eddy_arena *a = &s->arena;
    int r = eddy_look_totals(s, &now);
    if (r < 0) {
        return r;
    }
    eddy_counts k = {
        .events_appended = now.now.next_offset - 1,
        .bytes_appended = now.now.bytes_in,
        .transactions = now.seq,
        .events_read = eddy_thread_counted(a, EDDY_COUNT_READ),
        .conflicts = eddy_thread_counted(a, EDDY_COUNT_CONFLICTS),
        .refusals = eddy_thread_counted(a, EDDY_COUNT_REFUSALS),
        .retries = eddy_thread_counted(a, EDDY_COUNT_RETRIES),
        .helps = eddy_thread_counted(a, EDDY_COUNT_HELPS),
        .wakes = eddy_thread_counted(a, EDDY_COUNT_WAKES),
        .sleeps = eddy_thread_counted(a, EDDY_COUNT_SLEEPS),
        .extents_taken = eddy_thread_counted(a, EDDY_COUNT_EXTENTS),
        .sweeps = eddy_thread_counted(a, EDDY_COUNT_SWEEPS),
        .events_removed = now.now.next_offset - 1 - eddy_ring_events(&now.now),
        .streams_made = now.now.streams_in,
        .lapses = eddy_thread_counted(a, EDDY_COUNT_LAPSES),
        .snapshots = eddy_thread_counted(a, EDDY_COUNT_SNAPSHOTS),
        .errors = errors(a),
        .subscriptions = subscriptions(s),
    };
    return eddy_look_give(counts, counts->size, &k, sizeof k, offsetof(eddy_counts, wakes));
}

/* ---- lag ---- */

struct lags {
    struct eddy_store *store;
    struct eddy_context *context;
    struct eddy_instant now; /* totals */
    struct eddy_reader reader;
    int (*fn)(void *arg, const eddy_lag *lag);
    void *arg;
    int64_t calls;
    int result; /* of what failed in a callback */
    bool stop;
};

/* When the event at an offset was recorded: 0 if it has gone meanwhile. */
static int64_t recorded(struct lags *k, uint64_t offset) {
    eddy_event event;
    eddy_rcu_enter(&k->context->thread.span);
    int r = eddy_reader_at(&k->reader, k->context, offset, &event);
    eddy_rcu_leave(&k->context->thread.span);
    return r == 1 ? event.recorded_ns : 0;
}

/* Fills in how far behind it is, and gives it: 1 to stop. */
static int give_lag(struct lags *k, eddy_lag *lag) {
    uint64_t head = k->now.now.next_offset - 1;
    uint64_t floor = k->now.now.floor;
    uint64_t from = lag->offset > floor ? lag->offset : floor;
    uint64_t first = 0;
    lag->size = sizeof *lag;
    if (from < head) {
        k->result = eddy_look_first(k->store, &k->now, from, &first);
        if (k->result < 0) {
            return 1;
        }
    }
    if (first != 0) {
        int64_t since = recorded(k, first);
        int64_t now = eddy_store_now(k->store);
        lag->events = head - first + 1;
        lag->behind_ns = since != 0 && now > since ? now - since : 1;
    }
    k->calls++;
    k->stop = k->fn(k->arg, lag) != 0;
    return k->stop;
}

static int lag_of_checkpoint(void *arg, const eddy_checkpoint *c) {
    struct lags *k = arg;
    eddy_lag lag = {.kind = EDDY_LAG_CHECKPOINT,
                    .offset = c->offset,
                    .shard = c->shard,
                    .name_len = c->name_len};
    memcpy(lag.name, c->name, c->name_len);
    return give_lag(k, &lag);
}

static void lags_of_readers(struct lags *k) {
    struct eddy_arena *a = &k->store->arena;
    struct living l = {{0}};
    for (uint32_t i = 0; i < a->readers_max && k->result == 0 && !k->stop; i++) {
        struct eddy_shm_reader *r = &a->readers[i];
        /* [stats.R2] relaxed: figures to show */
        uint64_t w = eddy_ld_rlx(&r->state);
        uint32_t member = EDDY_SLOT_MEMBER(w);
        if (!EDDY_SLOT_LIVE(w) || member >= a->members_max) {
            continue;
        }
        struct eddy_shm_member *m = &a->members[member];
        uint64_t command[2] = {eddy_ld_rlx(&m->command[0]), eddy_ld_rlx(&m->command[1])};
        eddy_lag lag = {.kind = EDDY_LAG_READER,
                        .offset = eddy_ld_rlx(&r->position),
                        .follows = eddy_ld_rlx(&r->follows) != 0,
                        .slot = i,
                        .pid = eddy_ld_rlx(&m->pid),
                        .alive = is_alive(k->store, &l, member)};
        memcpy(lag.name, command, sizeof command);
        lag.name_len = (uint32_t)strlen(lag.name);
        (void)give_lag(k, &lag);
    }
}

int64_t eddy_lags(eddy_store *store, int (*fn)(void *arg, const eddy_lag *lag), void *arg) {
    struct lags k = {.store = store, .fn = fn, .arg = arg};
    int64_t r = eddy_store_context(store, true, &k.context);
    r = r < 0 ? r : eddy_look_totals(store, &k.now);
    if (r < 0) {
        return r;
    }
    k.reader.store = store;
    k.reader.life = store->life;
    k.reader.slot = UINT32_MAX;
    r = eddy_checkpoints(store, eddy_mem(NULL, 0), lag_of_checkpoint, &k);
    if (r >= 0 && k.result == 0 && !k.stop) {
        lags_of_readers(&k);
    }
    eddy_reader_fini(&k.reader);
    return r < 0 ? r : k.result < 0 ? k.result : k.calls;
}

/* ---- errors ---- */

int eddy_errors(eddy_store *store, int (*fn)(void *arg, const eddy_error_facts *error), void *arg) {
    struct eddy_log_entry e;
    struct eddy_context *c;
    int r = eddy_store_context(store, true, &c);
    for (unsigned i = 0; r == 0 && i < EDDY_ERROR_SLOTS; i++) {
        if (eddy_log_get(&store->arena, i, &e)) {
            eddy_error_facts facts = {.size = sizeof facts,
                                      .code = e.code,
                                      .count = e.count,
                                      .first_ns = e.first_ns,
                                      .last_ns = e.last_ns};
            memcpy(facts.text, e.text, sizeof e.text);
            r = fn(arg, &facts);
        }
    }
    return r;
}
