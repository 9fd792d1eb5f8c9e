#include "upkeep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "error.h"
#include "evacuate.h"
#include "gone.h"
#include "keys.h"
#include "maintain.h"
#include "platform.h"
#include "reclaim.h"
#include "retain.h"
#include "scan.h"
#include "tidy.h"
#include "told.h"
#include "trim.h"
#include "wait.h"

enum { ENOUGH = 64, SLICE = 256, SCAN_SLICE = 64, SCANS_MAX = 8, ROUNDS_MAX = 64 };
enum { POLL_NS = 10000000, SPARSE_SLICE = 1024, TRIM_KEEP = 8 };

/* How many versions of the stream were removed and are not yet buried. */
static uint64_t waiting(struct eddy_context *c, const struct eddy_batch_stream *s) {
    struct eddy_arena *a = c->thread.arena;
    struct eddy_view v = {.arena = a, .span = &c->thread.span, .overlay = NULL};
    uint64_t waits = 0;
    /* It may be forgotten by now, and its memory be gone. */
    eddy_rcu_enter(&c->thread.span);
    if (s->desc != 0 && eddy_view_holds(&v, s->desc, s->desc_tag)) {
        const struct eddy_shm_stream *d = eddy_arena_raw(a, s->desc);
        /* [upkeep.R1] relaxed: only whether it is much; looked at again by who does it */
        uint64_t done = eddy_ld_rlx(&d->reclaimed);
        uint64_t first = eddy_ld_rlx(&d->first);
        waits = first > done ? first - done : 0;
    }
    eddy_rcu_leave(&c->thread.span);
    return waits;
}

/* What was cut off single streams: what this transaction removed of them, and what gathered. */
static void after_cuts(struct eddy_context *c, const struct eddy_batch *b) {
    int r = 0;
    for (size_t i = 0; r == 0 && i + 1 < c->plan.condemned.count; i += 2) {
        r = eddy_reclaim_block(&c->reclaim, c->plan.condemned.at[i], c->plan.condemned.at[i + 1]);
    }
    for (uint32_t i = 0; r == 0 && i < b->streams.count; i++) {
        const struct eddy_batch_stream *s = &b->streams.at[i];
        uint64_t waits = waiting(c, s);
        if (waits >= ENOUGH || (b->cuts.count > 0 && waits > 0)) {
            r = eddy_reclaim_stream(&c->reclaim, s->desc, s->desc_tag);
        }
    }
}

/* Moves events together, if that pays: to find out costs by the size of the store, so that a large one
 * is looked at less often. */
static void evacuate(struct eddy_context *c, uint64_t taken) {
    struct eddy_ring_copy now;
    if (taken < c->evacuate_at || eddy_upkeep_totals(c, &now, NULL) < 0) {
        return;
    }
    if (eddy_evacuate_pays(c->thread.arena, &now)) {
        (void)eddy_evacuate(&c->reclaim, SPARSE_SLICE, 2);
    } else {
        c->evacuate_at = taken + 1 + eddy_arena_reserved(c->thread.arena) / SPARSE_SLICE;
    }
}

/* Forgets names beyond the limit, those that were made first, at most `most` of them. */
static int forget_names(struct eddy_context *c, uint64_t most) {
    eddy_limits l;
    struct eddy_ring_copy now;
    int circles = 0;
    int r = eddy_upkeep_totals(c, &now, &l);
    while (r >= 0 && l.names != 0 && now.names - now.streams > l.names && most > 0 && circles < 2) {
        struct eddy_tidy t = {.kind = EDDY_CUT_FORGET_REMOVED, .number = c->forgot};
        uint64_t more = now.names - now.streams - l.names;
        r = eddy_tidy_on(c, &t, more < most ? more : most);
        c->forgot = r == 1 ? 0 : t.number;
        circles += r == 1;
        most -= t.done;
        r = r < 0 ? r : eddy_upkeep_totals(c, &now, NULL);
    }
    return r;
}

/* Streams that retention has emptied are removed, and names forgotten. */
static int tidy(struct eddy_context *c, uint64_t most) {
    struct eddy_reclaim *k = &c->reclaim;
    int r = 0;
    if (c->tidying) {
        return 0; /* it commits, too */
    }
    c->tidying = true;
    if (k->empty_count > 0) {
        /* What they commit may note others: in another list. */
        struct eddy_reclaim_stream *empty = k->empty;
        uint32_t count = k->empty_count;
        k->empty = NULL;
        k->empty_count = k->empty_room = 0;
        r = eddy_tidy_empty(c, empty, count);
        free(empty);
    }
    r = r < 0 ? r : forget_names(c, most);
    c->tidying = false;
    return r;
}

/* Something may have been left by who died: a few extents are looked through by each who takes one. */
static void after_growth(struct eddy_context *c) {
    /* [upkeep.R2] relaxed: our own counter */
    uint64_t taken = eddy_ld_rlx(&c->thread.slot->counter[EDDY_COUNT_EXTENTS]);
    if (taken != c->taken) {
        c->taken = taken;
        /* Who can note no more, since somebody is stopped, would find the same each time. */
        bool room = c->reclaim.grace.blocks < EDDY_GRACE_BLOCKS;
        if (room && eddy_reclaim_is_due(c->thread.arena)) {
            (void)eddy_scan_slice(&c->reclaim, SCAN_SLICE);
            if (c->reclaim.empty_count > 0) {
                (void)tidy(c, ENOUGH); /* lists in which nothing is left */
            }
        }
        evacuate(c, taken);
    }
}

/* All streams that have no event, where retention may have left some. */
static int tidy_all(struct eddy_context *c) {
    eddy_limits l;
    struct eddy_ring_copy now;
    struct eddy_tidy t = {.kind = EDDY_CUT_EMPTY, .by_floor = true};
    int r = eddy_upkeep_totals(c, &now, &l);
    bool drops = l.age_ns != 0 || (l.flags & (EDDY_DROP_EVENTS | EDDY_DROP_BYTES));
    while (r == 0 && drops) {
        r = eddy_tidy_on(c, &t, UINT64_MAX);
    }
    return r < 0 ? r : tidy(c, UINT64_MAX);
}

/* A commit that needs room for its index nodes. */
struct need {
    struct eddy_context *context;
    struct eddy_upkeep_wait wait;
};

static bool make_room(void *arg) {
    struct need *n = arg;
    return eddy_upkeep_make_room(n->context, &n->wait);
}

int eddy_upkeep_commit(struct eddy_context *c, struct eddy_batch *b, int64_t now_ns,
                       eddy_result *result) {
    struct need need = {.context = c};
    /* What only removes events needs none; and it is what makes room. */
    bool needs_room = b->events.count + b->puts.count + b->key_len > 0;
    struct eddy_committer committer = {.thread = &c->thread,
                                       .directory = c->store->directory,
                                       .plan = &c->plan,
                                       .make_room = needs_room ? make_room : NULL,
                                       .arg = &need};
    int r = eddy_commit(&committer, b, now_ns, result);
    /* It is committed: an error of what follows is none of it, and is found again by who is next. */
    if (r == 0 && result->repeated) {
        return 0; /* nothing was changed */
    }
    if (r == 0 && (result->removed > 0 || c->plan.condemned.count > 0 || b->cuts.count > 0)) {
        after_cuts(c, b);
        if (b->cuts.count > 0) {
            (void)tidy(c, ENOUGH); /* names that are too many by this */
        }
        eddy_upkeep_dropped(c, result->removed);
    }
    if (r == 0) {
        after_growth(c);
    }
    return r;
}

void eddy_upkeep_dropped(struct eddy_context *c, uint64_t events) {
    if (eddy_reclaim_backlog(c->thread.arena) >= ENOUGH) {
        (void)eddy_reclaim_floor(&c->reclaim, SLICE + events);
        (void)tidy(c, ENOUGH);
    }
}

int eddy_upkeep_backlog(struct eddy_context *c) {
    int r = eddy_reclaim_floor(&c->reclaim, UINT64_MAX);
    eddy_grace_free(&c->reclaim.grace, true);
    return r;
}

int eddy_upkeep_settle(struct eddy_context *c) {
    int r = eddy_upkeep_backlog(c);
    return r < 0 ? r : tidy_all(c);
}

int eddy_upkeep_totals(struct eddy_context *c, struct eddy_ring_copy *now, eddy_limits *limits) {
    struct eddy_instant i = {0};
    int taken;
    int r;
    eddy_instant_renew(&i, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    do {
        taken = eddy_instant_take(&i, &c->thread);
        r = taken == 0 && limits ? eddy_retain_load(&i.view, limits) : taken;
        /* The limits are one block, which is covered; read-only it may have been used again. */
    } while (taken == 0 && !eddy_instant_sound(&i, &c->thread));
    *now = i.now;
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&i);
    return r;
}

/* ---- full ---- */

static uint64_t free_extents(struct eddy_context *c) {
    return eddy_extent_count_free(c->thread.arena);
}

/* All that is dead is taken back; what lives on in sparse extents is moved together. */
static void take_back(struct eddy_context *c) {
    (void)eddy_maintain_sweep_dead(&c->thread);
    (void)eddy_upkeep_backlog(c);
    if (free_extents(c) == 0) {
        c->reclaim.scan_at = 0;
        while (eddy_scan_slice(&c->reclaim, SCAN_SLICE) == 0) {
        }
        eddy_grace_free(&c->reclaim.grace, true);
        for (unsigned part = 2; part <= 32 && free_extents(c) == 0; part *= 4) {
            c->reclaim.sparse_at = 0;
            while (eddy_evacuate(&c->reclaim, SPARSE_SLICE, part) == 0 && free_extents(c) == 0) {
            }
            eddy_grace_free(&c->reclaim.grace, true);
        }
    }
}

/* If the limits say that the oldest go when the store is full: a sixteenth of what there is, and more
 * with each round, since what is wanted may be a long run of extents. */
static bool drop_oldest(struct eddy_context *c, uint32_t rounds) {
    struct eddy_batch b;
    eddy_limits limits;
    eddy_result result;
    struct eddy_ring_copy now;
    if (eddy_upkeep_totals(c, &now, &limits) < 0 || !(limits.flags & EDDY_DROP_WHEN_FULL) ||
        eddy_ring_events(&now) == 0) {
        return false;
    }
    memset(&result, 0, sizeof result);
    eddy_batch_init(&b);
    b.enforce = true;
    b.drop = eddy_ring_events(&now) / 16 * rounds + 1;
    b.drop = b.drop < 4096 * rounds ? b.drop : 4096 * rounds;
    int r = eddy_upkeep_commit(c, &b, eddy_store_now(c->store), &result);
    eddy_batch_fini(&b);
    return r == 0;
}

/* Says who holds memory back by borrowed events, if somebody does. */
static void blame(struct eddy_context *c) {
    struct eddy_arena *a = c->thread.arena;
    uint64_t most = 0;
    uint32_t who = 0;
    for (uint32_t m = 1; m < a->members_max; m++) {
        uint64_t pinned = 0;
        for (uint32_t i = 0; i < a->readers_max; i++) {
            /* [upkeep.R3] relaxed: figures to show */
            uint64_t w = eddy_ld_rlx(&a->readers[i].state);
            pinned += EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == m &&
                      eddy_ld_rlx(&a->readers[i].pin) != 0;
        }
        if (pinned > most) {
            most = pinned;
            who = m;
        }
    }
    if (most > 0) {
        char text[400];
        (void)snprintf(text, sizeof text, "%s", eddy_errmsg());
        /* [upkeep.R4] relaxed: for people to read */
        uint32_t pid = eddy_ld_rlx(&a->members[who].pid);
        (void)eddy_error_set(EDDY_EFULL,
                             "%s; process %u holds %llu KiB back by events that it has borrowed",
                             text, pid, (unsigned long long)most * EDDY_EXTENT_SIZE / 1024);
    }
}

/* Says which checkpoint holds back what would have been dropped, if one does. */
static void blame_checkpoint(struct eddy_context *c) {
    struct eddy_ring_copy now;
    eddy_limits limits;
    struct eddy_key key;
    char text[400];
    (void)snprintf(text, sizeof text, "%s", eddy_errmsg());
    if (eddy_upkeep_totals(c, &now, &limits) < 0 || !(limits.flags & EDDY_DROP_WHEN_FULL) ||
        now.hold == 0) {
        return;
    }
    eddy_rcu_enter(&c->thread.span);
    int r = eddy_key_holder(&c->plan.view, &key);
    eddy_rcu_leave(&c->thread.span);
    if (r == 1) {
        (void)eddy_error_set(EDDY_EFULL,
                             "%s; retention waits for checkpoint '%s', which is at offset %llu",
                             text, key.name, (unsigned long long)key.value);
    } else {
        (void)eddy_error_set(EDDY_EFULL, "%s", text);
    }
}

/* What is held back for a snapshot comes back: who takes that begins anew. */
static bool give_up_capture(struct eddy_context *c) {
    eddy_rcu_enter(&c->thread.span);
    int r = eddy_capture_end(&c->thread, 0, NULL);
    eddy_rcu_leave(&c->thread.span);
    if (r == 1) {
        eddy_grace_due(c->thread.arena);
        take_back(c);
    }
    return r == 1;
}

bool eddy_upkeep_make_room(struct eddy_context *c, struct eddy_upkeep_wait *w) {
    char text[400];
    (void)snprintf(text, sizeof text, "%s", eddy_errmsg());
    int64_t now = eddy_platform_monotonic_ns();
    if (w->deadline_ns == 0) {
        w->deadline_ns =
            c->store->full_wait_ns > INT64_MAX - now ? INT64_MAX : now + c->store->full_wait_ns;
    }
    uint64_t before = free_extents(c);
    if (w->rounds++ < ROUNDS_MAX) {
        take_back(c);
        /* Once also if others have made room meanwhile. What is wanted may be a long run. */
        if (free_extents(c) > before || (w->rounds == 1 && before > 0)) {
            return true;
        }
        if (drop_oldest(c, w->rounds)) {
            take_back(c);
            return true;
        }
    }
    if (give_up_capture(c) && free_extents(c) > before) {
        return true;
    }
    if (now < w->deadline_ns) {
        struct eddy_shm_group *g = eddy_arena_group(c->thread.arena, 0);
        int64_t poll = now + POLL_NS;
        /* [upkeep.R5] relaxed: a hint; the sleep is short */
        (void)eddy_platform_futex_wait(&g->futex, eddy_ld_rlx(&g->futex),
                                       poll < w->deadline_ns ? poll : w->deadline_ns);
        w->rounds = 0;
        return true;
    }
    (void)eddy_error_set(EDDY_EFULL, "%s", text);
    blame(c);
    blame_checkpoint(c);
    return false;
}

/* ---- on request ---- */

/* Drops what has passed the limit of age, or another, since nobody has appended. */
static int enforce(struct eddy_context *c, uint64_t *dropped) {
    struct eddy_batch b;
    eddy_result result;
    int r;
    bool more;
    eddy_batch_init(&b);
    do {
        memset(&result, 0, sizeof result);
        b.enforce = true;
        r = eddy_upkeep_commit(c, &b, eddy_store_now(c->store), &result);
        *dropped += result.removed;
        more = b.more;
        eddy_batch_clear(&b);
    } while (r == 0 && more);
    eddy_batch_fini(&b);
    return r;
}

/* Looks through all extents; again, if that has freed something, since extents that had been looked
 * at before may have nothing in them now. */
static int scan_all(struct eddy_context *c) {
    struct eddy_reclaim *k = &c->reclaim;
    uint64_t before;
    int rounds = 0;
    int r;
    do {
        before = k->events + k->grace.freed_blocks;
        k->scan_at = 0;
        do {
            int tidied = k->empty_count > 0 ? tidy(c, ENOUGH) : 0;
            r = tidied < 0 ? tidied : eddy_scan_slice(k, SCAN_SLICE);
        } while (r == 0);
        eddy_grace_free(&k->grace, true);
    } while (r > 0 && k->events + k->grace.freed_blocks != before && ++rounds < SCANS_MAX);
    return r;
}

/* Free extents that trimming leaves: what is used will change a little. */
static uint64_t to_keep(struct eddy_context *c) {
    struct eddy_arena *a = c->thread.arena;
    uint64_t all = eddy_arena_reserved(a);
    uint64_t free = eddy_extent_known_free(a);
    uint64_t keep = (all > free ? all - free : 0) / 8;
    return keep > TRIM_KEEP ? keep : TRIM_KEEP;
}

static int maintain(eddy_store *store, uint32_t flags, eddy_maintained *done) {
    struct eddy_context *c;
    eddy_maintained m = {.size = sizeof m};
    if (flags & ~EDDY_TRIM) {
        return eddy_error_set(EDDY_EINVAL, "eddy_maintain() has unknown flags (%#x)",
                              flags & ~EDDY_TRIM);
    }
    int r = eddy_store_writer(store, &c);
    if (r < 0) {
        return r;
    }
    struct eddy_reclaim *k = &c->reclaim;
    struct eddy_reclaim before = *k;
    int swept = eddy_maintain_sweep_dead(&c->thread);
    r = swept < 0 ? swept : enforce(c, &m.dropped);
    if (r == 0) {
        r = eddy_upkeep_backlog(c);
    }
    r = r < 0 ? r : tidy_all(c);
    r = r < 0 ? r : scan_all(c);
    r = r < 0 ? r : tidy(c, ENOUGH);
    k->sparse_at = 0;
    while (r >= 0 && (r = eddy_evacuate(k, SPARSE_SLICE, 2)) == 0) {
    }
    eddy_grace_free(&k->grace, true);
    if (r < 0 && r != EDDY_EFULL) {
        return r;
    }
    r = flags & EDDY_TRIM ? eddy_trim(&c->thread, to_keep(c), &m.trimmed) : 0;
    m.events = k->events - before.events;
    m.extents = k->grace.freed_extents - before.grace.freed_extents;
    m.nodes = k->grace.freed_blocks - before.grace.freed_blocks;
    m.moved = k->moved - before.moved;
    m.members = (uint64_t)swept;
    if (done) {
        if (done->size != sizeof m) {
            return eddy_error_set(EDDY_EINVAL,
                                  "eddy_maintained of %u bytes: size must be set to %zu",
                                  done->size, sizeof m);
        }
        *done = m;
    }
    return r < 0 ? r : 0;
}

int eddy_maintain(eddy_store *store, uint32_t flags, eddy_maintained *done) {
    return eddy_told_failure(store, maintain(store, flags, done));
}

int eddy_upkeep_expire(struct eddy_context *c) {
    struct eddy_ring_copy now;
    eddy_limits l;
    uint64_t dropped = 0;
    /* [upkeep.R6] relaxed: mostly there are no limits; who sets some does not wait for us */
    uint64_t root = eddy_ld_rlx(&c->thread.arena->super->limits_root);
    if (root == 0 || EDDY_IS_TOMB(root) || !c->thread.slot) {
        return 0;
    }
    int r = eddy_upkeep_totals(c, &now, &l);
    if (r < 0 || l.age_ns == 0 || eddy_ring_events(&now) == 0) {
        return r;
    }
    eddy_rcu_enter(&c->thread.span);
    bool due = eddy_retain_expired(&c->plan.view, &now, &l, eddy_store_now(c->store));
    eddy_rcu_leave(&c->thread.span);
    if (due) {
        r = enforce(c, &dropped);
        r = r < 0 ? r : eddy_upkeep_backlog(c);
        r = r < 0 ? r : tidy(c, ENOUGH);
    }
    return r;
}
