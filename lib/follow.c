/* Opening, waiting and closing of readers: what a reader has in shared memory, and how it sleeps.
 *
 * A reader that follows, or borrows, has a slot, which belongs to its member: a bit that says that
 * it sleeps, and a pin. A death leaves them to the sweep of the member.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "maintain.h"
#include "match.h"
#include "platform.h"
#include "reader.h"
#include "told.h"
#include "upkeep.h"
#include "wait.h"

enum { SPIN_MIN_NS = 1000, SPIN_MAX_NS = 30000, READ_ONLY_POLL_NS = 1000000 };

static bool take_free_slot(struct eddy_reader *r, const struct eddy_member *member) {
    struct eddy_arena *a = &r->store->arena;
    for (uint32_t i = 0; i < a->readers_max; i++) {
        struct eddy_shm_reader *slot = &a->readers[i];
        /* [follow.C3] acquire: pairs with [maintain.P1], [follow.P2] */
        uint64_t was = eddy_ld_acq(&slot->state);
        uint64_t now = EDDY_SLOT(EDDY_SLOT_GEN(was) + 1, member->idx);
        /* [follow.P1] acq_rel: pairs with [maintain.C1]. Ours. Death after: swept with its member
         */
        if (!EDDY_SLOT_LIVE(was) && eddy_cas_ar(&slot->state, &was, now)) {
            r->slot = i;
            /* [follow.R5] relaxed: ours; ordered by the fence below */
            eddy_st_rlx(&slot->borrows, r->borrow);
            eddy_st_rlx(&slot->follows, (r->select.flags & EDDY_FOLLOW) != 0);
            eddy_st_rlx(&slot->position,
                        r->started ? r->position.looked_at : r->select.after_offset);
            /* [follow.F1] seq_cst fence: pairs with [grace.F2]: the store that it borrows stands before
             * each load of a slot of an event */
            eddy_fence_sc();
            return true;
        }
    }
    return false;
}

static int take_slot(struct eddy_reader *r, const struct eddy_member *member) {
    struct eddy_arena *a = &r->store->arena;
    if (take_free_slot(r, member)) {
        return 0;
    }
    int got = eddy_maintain_recover(a); /* the dead may have some */
    if (got < 0 || take_free_slot(r, member)) {
        return got < 0 ? got : 0;
    }
    return eddy_error_set(EDDY_ELIMIT,
                          "all %u reader slots are taken: close readers that follow or borrow, or "
                          "make the store with more threads",
                          a->readers_max);
}

static void unmark(struct eddy_reader *r) {
    if (r->marked) {
        eddy_wait_unmark(&r->store->arena, r->slot, r->group);
        r->marked = false;
    }
}

static void give_slot(struct eddy_reader *r) {
    if (r->slot != UINT32_MAX) {
        struct eddy_shm_reader *slot = &r->store->arena.readers[r->slot];
        unmark(r);
        /* [follow.R1] relaxed: ours */
        uint64_t was = eddy_ld_rlx(&slot->state);
        eddy_st_rlx(&slot->pin, 0);
        eddy_st_rlx(&slot->borrows, 0);
        eddy_st_rlx(&slot->follows, 0);
        /* [follow.P2] release: pairs with [follow.C3]. Free. Death before: swept. */
        eddy_st_rel(&slot->state, (uint64_t)EDDY_SLOT_GEN(was) << 32);
        r->slot = UINT32_MAX;
    }
}

static bool needs_slot(const struct eddy_reader *r) {
    return (r->select.flags & (EDDY_FOLLOW | EDDY_BORROW)) && !r->store->arena.read_only;
}

/* In a child after a fork: nothing that the parent had in shared memory is ours. */
static int rejoin(struct eddy_reader *r) {
    r->slot = UINT32_MAX;
    r->marked = false;
    r->pinned = 0;
    eddy_pollfd_close(r->pollfd);
    r->pollfd = NULL;
    int got = needs_slot(r) ? take_slot(r, &r->store->member) : 0;
    if (got == 0) {
        r->life = r->store->life;
    }
    return got;
}

int eddy_reader_enter_slow(struct eddy_reader *r, struct eddy_context **c) {
    int got = eddy_store_context(r->store, false, c);
    if (got == 0 && r->life != r->store->life) {
        got = rejoin(r);
    }
    r->last = got == 0 ? *c : NULL;
    return got;
}

/* ---- open and close ---- */

static int check_select(const struct eddy_store *store, const eddy_select *s) {
    if ((s->flags & EDDY_FOLLOW) && (s->flags & EDDY_BACKWARD)) {
        return eddy_error_set(EDDY_EINVAL, "a select cannot both follow and go backward");
    }
    if ((s->flags & EDDY_BORROW) && store->arena.read_only) {
        return eddy_error_set(EDDY_EREADONLY, "a read-only handle cannot borrow events, since it "
                                              "cannot pin them");
    }
    return s->stream.len > 0 ? eddy_store_check_name(s->stream) : 0;
}

/* An exclusive bound becomes an inclusive one. False: nothing lies below it. */
static bool bound_before(uint64_t *to, uint64_t before) {
    if (before > 1 && (*to == 0 || before - 1 < *to)) {
        *to = before - 1;
    }
    return before != 1;
}

/* What a select says of where to begin and to end. */
static void set_bounds(struct eddy_reader *r) {
    eddy_select *s = &r->select;
    bool some = bound_before(&s->to_offset, s->before_offset);
    some &= bound_before(&s->to_version, s->before_version);
    r->ended = !some;
    if (!(s->flags & EDDY_BACKWARD)) {
        r->position.offset = s->after_offset;
        r->position.version = s->after_version;
    }
}

int eddy_reader_init(struct eddy_reader *r, struct eddy_store *store, const eddy_select *given) {
    eddy_select select;
    r->store = store;
    r->life = store->life;
    r->slot = UINT32_MAX;
    int got = eddy_match_take(
        given, EDDY_FOLLOW | EDDY_BACKWARD | EDDY_BORROW | EDDY_KNOWN | EDDY_SHARD, &select);
    got = got < 0 ? got : check_select(store, &select);
    if (got == 0) {
        r->bytes = eddy_match_keep(&select);
        r->select = select;
        got = r->bytes ? 0 : EDDY_ENOMEM;
    }
    if (got == 0) {
        set_bounds(r);
    }
    r->spin_ns = SPIN_MAX_NS;
    r->listed = select.stream.len == 0 && (select.flags & EDDY_SHARD);
    r->indexed = select.stream.len > 0 || r->listed;
    r->by_offset = !r->indexed && !(select.flags & EDDY_BACKWARD) && !store->arena.read_only;
    r->borrow = (select.flags & EDDY_BORROW) != 0;
    r->filters = select.prefix.len > 0 || select.type_count > 0 || select.after_offset ||
                 select.to_offset || select.before_offset || select.from_time_ns ||
                 select.to_time_ns || select.from_recorded_ns || select.to_recorded_ns ||
                 select.limit || (select.flags & EDDY_SHARD);
    if (got == 0 && select.stream.len > 0) {
        r->hash = eddy_stream_hash(&store->arena, select.stream);
        r->group = eddy_wait_group_of(r->hash);
    }
    if (got == 0 && r->listed) {
        r->key = eddy_list_key(&store->arena, EDDY_LIST_SHARD, select.shard);
        r->group = eddy_wait_group_of(r->key.hash);
    }
    if (got == 0 && needs_slot(r)) {
        got = take_slot(r, &store->member);
    }
    return got;
}

void eddy_reader_fini(struct eddy_reader *r) {
    eddy_pollfd_close(r->pollfd);
    /* [follow.R2] relaxed: the guard says whether this process is still the one that had the slot
     */
    if (r->life == r->store->life && eddy_ld_rlx(r->store->guard) != 0) {
        give_slot(r);
        /* [follow.R4] relaxed: ours only if this thread wrote it */
        if (r->last && eddy_ld_rlx(&r->last->owner) == eddy_store_self()) {
            eddy_thread_count(&r->last->thread, EDDY_COUNT_READ, r->given - r->counted);
        }
    }
    free(r->bytes);
    free(r->buffer.bytes);
    free(r->more.bytes);
    eddy_instant_fini(&r->instant);
}

int eddy_reader_open(eddy_store *store, const eddy_select *select, eddy_reader **out) {
    struct eddy_context *c;
    *out = NULL;
    int got = eddy_store_context(store, false, &c);
    got = got < 0 ? got : eddy_upkeep_expire(c);
    if (got < 0) {
        return got;
    }
    eddy_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a reader");
    }
    got = eddy_reader_init(r, store, select);
    if (got == 0 && (r->select.flags & EDDY_KNOWN)) {
        eddy_stream_facts facts = {.size = sizeof facts};
        got = eddy_stream_info(store, r->select.stream, &facts);
    }
    if (got < 0) {
        eddy_reader_fini(r);
        free(r);
        return got;
    }
    if (r->select.flags & EDDY_FOLLOW) {
        eddy_told_subscription(store, 1);
    }
    *out = r;
    return 0;
}

void eddy_reader_close(eddy_reader *r) {
    if (r) {
        if (r->select.flags & EDDY_FOLLOW) {
            eddy_told_subscription(r->store, -1);
        }
        eddy_reader_fini(r);
        free(r);
    }
}

/* ---- waiting ---- */

/* Looks at the ring for a while: true as soon as there is another transaction. */
static bool spin(struct eddy_reader *r) {
    const struct eddy_arena *a = &r->store->arena;
    int64_t until = eddy_platform_monotonic_ns() + r->spin_ns;
    do {
        for (int i = 0; i < 64; i++) {
            if (eddy_ring_load(a, r->instant.seq) != r->instant.empty) {
                return true;
            }
            eddy_at_pause();
        }
    } while (eddy_platform_monotonic_ns() < until);
    return false;
}

/* Spinning pays or it does not; the time it may take follows. */
static void adapt(struct eddy_reader *r, bool paid) {
    r->spin_ns = paid ? r->spin_ns * 2 : r->spin_ns / 2;
    r->spin_ns = r->spin_ns < SPIN_MIN_NS   ? SPIN_MIN_NS
                 : r->spin_ns > SPIN_MAX_NS ? SPIN_MAX_NS
                                            : r->spin_ns;
}

static int sleep_once(struct eddy_reader *r, int64_t deadline_ns, eddy_event *event) {
    struct eddy_arena *a = &r->store->arena;
    struct eddy_context *c;
    int64_t now = eddy_platform_monotonic_ns();
    if (a->read_only) {
        /* It can set no bit, so nobody would wake it. */
        int64_t poll = now + READ_ONLY_POLL_NS;
        struct eddy_shm_group *g = eddy_arena_group(a, r->group);
        /* [follow.R3] relaxed: a hint; the sleep is short */
        (void)eddy_platform_futex_wait(&g->futex, eddy_ld_rlx(&g->futex),
                                       deadline_ns < poll ? deadline_ns : poll);
        return eddy_reader_next(r, event);
    }
    r->seen = eddy_wait_mark(a, r->slot, r->group);
    r->marked = true;
    int got = eddy_reader_next(r, event);
    /* [follow.C1] acquire: pairs with [follow.P3]: looked at behind the mark */
    if (got == EDDY_CAUGHT_UP && eddy_ld_acq(&r->woken) == r->answered) {
        eddy_wait_sleep(a, r->group, r->seen, deadline_ns);
        adapt(r, eddy_platform_monotonic_ns() - now < SPIN_MAX_NS);
        if (eddy_store_context(r->store, true, &c) == 0) {
            eddy_thread_count(&c->thread, EDDY_COUNT_SLEEPS, 1);
        }
        got = eddy_reader_next(r, event);
    }
    if (!r->pollfd) {
        unmark(r);
    }
    return got;
}

int eddy_reader_wait(eddy_reader *r, int64_t deadline_ns, eddy_event *event) {
    int got = eddy_reader_next(r, event);
    while (got == EDDY_CAUGHT_UP) {
        /* [follow.C2] acquire: pairs with [follow.P3] */
        uint32_t woken = eddy_ld_acq(&r->woken);
        if (woken != r->answered) {
            r->answered = woken;
            return eddy_error_set(EDDY_ECANCELED, "the wait was ended by eddy_reader_wake");
        }
        if (eddy_platform_monotonic_ns() >= deadline_ns) {
            return eddy_error_set(EDDY_ETIMEDOUT, "no event came before the deadline");
        }
        got = spin(r) ? eddy_reader_next(r, event) : sleep_once(r, deadline_ns, event);
    }
    return got;
}

void eddy_reader_wake(eddy_reader *r) {
    /* [follow.P3] acq_rel: pairs with [follow.C1], [follow.C2], [follow.C5]. Before the wake. */
    (void)eddy_add_ar(&r->woken, 1u);
    if (!r->store->arena.read_only) {
        eddy_wait_wake_group(&r->store->arena, r->group);
    }
    if (r->pollfd) {
        eddy_pollfd_kick(r->pollfd);
    }
}

int eddy_reader_arm(struct eddy_reader *r) {
    int armed = eddy_pollfd_arm(r->pollfd, r->seen, EDDY_WAIT_RECHECK_NS);
    if (armed < 0) {
        return eddy_error_set(EDDY_ESYS, "the reader's descriptor: %s", strerror(-armed));
    }
    /* [follow.C5] acquire: pairs with [follow.P3]: a kick that came before this arming was cleared
     * by it */
    uint32_t woken = eddy_ld_acq(&r->woken);
    if (woken != r->kicked) {
        r->kicked = woken;
        eddy_pollfd_kick(r->pollfd);
    }
    return EDDY_CAUGHT_UP;
}

int eddy_reader_fd(eddy_reader *r) {
    struct eddy_context *c;
    int got = eddy_reader_enter(r, &c);
    if (got < 0) {
        return got;
    }
    if (r->store->arena.read_only) {
        return eddy_error_set(EDDY_EREADONLY, "a read-only handle has no descriptor to poll, since "
                                              "nobody would wake it");
    }
    if (!(r->select.flags & EDDY_FOLLOW)) {
        return eddy_error_set(EDDY_EINVAL,
                              "a reader that does not follow has no descriptor to poll");
    }
    if (!r->pollfd) {
        struct eddy_shm_group *g = eddy_arena_group(&r->store->arena, r->group);
        got = eddy_pollfd_open(&r->pollfd, (uint32_t *)(void *)&g->futex, 0);
        if (got == 0) {
            eddy_pollfd_kick(r->pollfd); /* there may be something before it is ever armed */
        } else {
            return eddy_error_set(EDDY_ESYS, "a descriptor to poll: %s", strerror(-got));
        }
    }
    return eddy_pollfd_fd(r->pollfd);
}

int eddy_reader_holds(eddy_reader *r) {
    struct eddy_arena *a = &r->store->arena;
    /* [follow.R6] relaxed: in a child that has not come in yet it says so */
    if (!r->pinned || r->life != r->store->life ||
        eddy_ld_rlx(r->store->guard) != EDDY_GUARD_READY) {
        return 0;
    }
    /* [follow.C4] acquire: pairs with [extent.P2] */
    return EDDY_STATE_GEN(eddy_ld_acq(&a->extents[r->pinned - 1].state)) == r->pinned_gen;
}

int eddy_reader_position(eddy_reader *r, eddy_position *position) {
    struct eddy_context *c;
    int got = eddy_reader_enter(r, &c);
    if (got < 0) {
        return got;
    }
    eddy_rcu_enter(&c->thread.span);
    eddy_instant_renew(&r->instant, &c->thread);
    got = eddy_instant_take(&r->instant, &c->thread);
    eddy_rcu_leave(&c->thread.span);
    if (got == 0) {
        r->position.head = r->instant.now.next_offset - 1;
        *position = r->position;
    }
    return got;
}

int64_t eddy_deadline_ms(int64_t ms) {
    int64_t now = eddy_platform_monotonic_ns();
    return ms < 0 || ms > (EDDY_FOREVER - now) / 1000000 ? EDDY_FOREVER : now + ms * 1000000;
}
