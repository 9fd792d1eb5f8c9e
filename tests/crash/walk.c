/* Walks and visits: see steps.h. */
#include "commit.h"
#include "judge.h"
#include "steps.h"
#include "support/check.h"
#include "support/child.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NEAR = 4, VISIT_ALARM_S = 60, PARTS_MAX = 8, SPARE_EXTENTS = 2 };

/* ---- walks ---- */

/* What was found so far: the state before, and the one after each of its transactions. */
struct history {
    const struct steps_op *op;
    struct judge_content seen[PARTS_MAX + 1];
    struct judge_memory memory[PARTS_MAX + 1][2]; /* by how it was judged; the first of each */
    bool known[PARTS_MAX + 1][2];
    uint32_t at;    /* the state that is the last of them */
    uint32_t parts; /* transactions of the operation */
};

static bool same(const struct judge_content *a, const struct judge_content *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* Is this what it is to be when all has happened? */
static void judge_last(const struct history *h) {
    const struct steps_op *op = h->op;
    const struct judge_content *b = &h->seen[0];
    const struct judge_content *now = &h->seen[h->at];
    if (now->ops != op->events || now->txs != (op->events > 0) ||
        now->head != b->head + op->events || now->events + op->removes != b->events + op->events ||
        (int64_t)now->count != (int64_t)b->count + op->streams) {
        steps_breach("neither the state before nor the one after: %llu events (%llu before), "
                     "%llu of them new in %llu transactions, %llu streams (%llu before)",
                     (unsigned long long)now->events, (unsigned long long)b->events,
                     (unsigned long long)now->ops, (unsigned long long)now->txs,
                     (unsigned long long)now->count, (unsigned long long)b->count);
    }
}

static void judge_history(struct history *h, const struct judge_content *now, bool done) {
    if (!same(now, &h->seen[h->at])) {
        for (uint32_t i = 0; i < h->at; i++) {
            if (same(now, &h->seen[i])) {
                steps_breach("transaction %u of %u had happened, and now it has not", i + 1,
                             h->parts);
                return;
            }
        }
        if (h->at == h->parts) {
            steps_breach("something else happened: %llu events are there, %llu were; %llu streams, "
                         "%llu were; the last offset is %llu, it was %llu",
                         (unsigned long long)now->events, (unsigned long long)h->seen[h->at].events,
                         (unsigned long long)now->count, (unsigned long long)h->seen[h->at].count,
                         (unsigned long long)now->head, (unsigned long long)h->seen[h->at].head);
            return;
        }
        h->seen[++h->at] = *now;
        if (h->at == h->parts) {
            judge_last(h);
        }
    }
    if (done && h->at < h->parts) {
        steps_breach("it was acknowledged, but %u of %u transactions did not happen",
                     h->parts - h->at, h->parts);
    }
}

/* Where somebody died makes no difference to what comes back in the end. */
static void judge_memory(struct history *h, const struct judge_memory *now, bool alive) {
    struct judge_memory *first = &h->memory[h->at][alive];
    if (!h->known[h->at][alive]) {
        h->known[h->at][alive] = true;
        *first = *now;
    } else if (now->blocks != first->blocks || now->head != first->head ||
               now->events != first->events || now->used > first->used + SPARE_EXTENTS) {
        steps_breach("in the end there are %llu nodes, %llu extents, %llu events of %llu; at "
                     "another point it was %llu, %llu, %llu of %llu",
                     (unsigned long long)now->blocks, (unsigned long long)now->used,
                     (unsigned long long)now->events, (unsigned long long)now->head,
                     (unsigned long long)first->blocks, (unsigned long long)first->used,
                     (unsigned long long)first->events, (unsigned long long)first->head);
    }
}

/* Judges where the tracee stands. */
static void judge_here(struct judge *j, const struct steps_tracee *t, struct history *h,
                       bool alive) {
    struct judge_content now;
    struct judge_memory memory;
    steps_at(t, alive ? "all stand still, then die" : "all are dead");
    judge_copy(j, t->last, steps_image(t), steps_file(t->stage), alive, &now, &memory);
    judge_history(h, &now, atomic_load(&t->stage->shared->done));
    judge_memory(h, &memory, alive);
}

static void check_ended(const struct steps_stage *stage, int code) {
    int rc = atomic_load(&stage->shared->rc);
    if (code != 0 || !atomic_load(&stage->shared->ended)) {
        steps_breach("the process ended with %d", code);
    }
    bool other = stage->dropped && (rc >= 0 || rc == EDDY_ELAPPED || rc == EDDY_ENOENT);
    if (rc != stage->op->rc && !other) {
        steps_breach("it gives %d, not %d", rc, stage->op->rc);
    }
}

static void judge_before(struct judge *j, const struct steps_tracee *t, struct history *h) {
    struct judge_memory memory;
    judge_copy(j, t->last, steps_image(t), steps_file(t->stage), false, &h->seen[0], &memory);
    judge_memory(h, &memory, false);
}

uint64_t steps_walk(const struct steps_op *op, const struct steps_plan *plan) {
    struct steps_stage stage;
    struct steps_tracee t;
    struct judge j;
    steps_stage_make(&stage, op);
    if (!steps_start(&t, &stage, plan->away_max)) {
        steps_stage_end(&stage);
        return 0;
    }
    judge_init(&j);
    struct history h = {.op = op, .parts = op->commits ? op->commits : op->events > 0};
    uint64_t judged = steps_report->judged;
    uint64_t commits = 0;
    uint64_t near = 0; /* changes that are still near the commit */
    uint64_t turn = 0;
    steps_at(&t, "before it");
    CHECK(h.parts <= PARTS_MAX);
    judge_before(&j, &t, &h);
    while (steps_next(&t)) {
        near = t.commits != commits ? NEAR : near - (near > 0);
        commits = t.commits;
        bool odd = ++turn % 2 && !op->crowded;
        if (near > 0 || t.changes <= plan->first || t.changes % plan->stride == 0) {
            judge_here(&j, &t, &h, odd);
            if ((plan->both || near == NEAR) && !op->crowded) {
                judge_here(&j, &t, &h, !odd);
            }
        }
    }
    judge_here(&j, &t, &h, false);
    uint64_t changes = t.changes;
    steps_at(&t, "going on to the end");
    check_ended(&stage, steps_finish(&t));
    steps_report->operations++;
    steps_report->instructions += t.instructions;
    steps_report->changes += changes;
    printf("  %-40s %7llu instructions, %5llu changes, %5llu states judged\n", op->name,
           (unsigned long long)t.instructions, (unsigned long long)changes,
           (unsigned long long)(steps_report->judged - judged));
    fflush(stdout);
    judge_fini(&j);
    steps_stage_end(&stage);
    return changes;
}

/* ---- visits ---- */

/* What a follower that was there all the time has been given: the last offset. Gaps are told of, but
 * for those that were there when it was opened. */
static uint64_t follow_all(eddy_reader *reader, bool all_there) {
    eddy_event event;
    uint64_t last = 0;
    int rc;
    while ((rc = eddy_reader_next(reader, &event)) == EDDY_EVENT ||
           (rc == EDDY_ELAPPED && !all_there)) {
        if (rc == EDDY_ELAPPED) {
            continue;
        }
        if (event.offset <= last || (all_there && event.offset != last + 1)) {
            steps_breach("a follower is given offset %llu after %llu",
                         (unsigned long long)event.offset, (unsigned long long)last);
        }
        last = event.offset;
    }
    if (rc != EDDY_CAUGHT_UP) {
        steps_breach("a follower gets %d (%s)", rc, eddy_errmsg());
    }
    return last;
}

/* Is all or nothing of its events there, unless a limit may have dropped some? */
static void check_happened(const struct steps_stage *stage, eddy_store *store, bool done) {
    const struct steps_op *op = stage->op;
    struct judge_content content;
    eddy_limits limits = EDDY_LIMITS_INIT;
    CHECK_OK(eddy_limits_get(store, &limits));
    judge_read(store, sandbox_head(store), &content);
    if (stage->dropped || (limits.flags & EDDY_DROP_ALL)) {
        return;
    }
    bool happened = content.ops == op->events && content.txs == (op->events > 0);
    bool nothing = content.ops == 0;
    if (!happened && (!nothing || done)) {
        steps_breach("%llu of its %u events are there, in %llu transactions%s",
                     (unsigned long long)content.ops, op->events, (unsigned long long)content.txs,
                     done ? ", though it was acknowledged" : "");
    }
}

static void check_visited(struct steps_stage *stage, eddy_reader *follower, bool done) {
    eddy_facts facts = {.size = sizeof facts};
    eddy_store *again = judge_open(stage->name);
    if (!again) {
        return;
    }
    check_happened(stage, again, done);
    judge_go_on(stage->store);
    judge_go_on(again);
    judge_check(again);
    CHECK_OK(eddy_info(again, &facts));
    uint64_t seen = follow_all(follower, facts.events == facts.head);
    if (seen != facts.head) {
        steps_breach("a follower has been given %llu of %llu events", (unsigned long long)seen,
                     (unsigned long long)facts.head);
    }
    eddy_close(again);
}

/* The store is left by all; nobody may own anything in it then. */
static void leave_stage(struct steps_stage *stage, eddy_reader *follower) {
    char name[16];
    struct judge_memory memory;
    int fd = dup(stage->store->arena.fd);
    CHECK(fd >= 0);
    snprintf(name, sizeof name, "fd:%d", fd);
    eddy_reader_close(follower);
    steps_stage_end(stage);
    judge_accounts(name, &memory);
    close(fd);
}

/* Stops it at the points of a visit. True if it returned before the last of them. */
static bool stop_at_points(struct steps_tracee *t, const struct steps_points *points,
                           steps_visitor visitor) {
    if (points->committed) {
        /* The short way of an append has its commit within itself. */
        steps_run_to(t, (uint64_t)(uintptr_t)&eddy_commit_try, (uint64_t)(uintptr_t)&eddy_append);
    }
    while (points->committed && t->commits == 0 && steps_next(t)) {
    }
    uint64_t next = points->from + (points->committed ? t->changes : 0);
    for (uint64_t n = 0; n < points->count; n++) {
        while (t->changes < next && steps_next(t)) {
        }
        if (atomic_load(&t->stage->shared->done)) {
            return true;
        }
        next = t->changes + points->stride;
        steps_at(t, "standing still while others work");
        if (visitor) {
            visitor(t->stage);
            steps_catch_up(t);
            steps_report->visited++;
        }
    }
    return false;
}

bool steps_visit(const struct steps_op *op, const struct steps_points *points,
                 steps_visitor visitor, bool killed) {
    struct steps_stage stage;
    struct steps_tracee t;
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *follower;
    steps_stage_make(&stage, op);
    select.flags = EDDY_FOLLOW;
    CHECK_OK(eddy_reader_open(stage.store, &select, &follower));
    if (!steps_start(&t, &stage, STEPS_AWAY)) {
        eddy_reader_close(follower);
        steps_stage_end(&stage);
        return true;
    }
    alarm(VISIT_ALARM_S);
    bool over = stop_at_points(&t, points, visitor);
    bool done = atomic_load(&stage.shared->done);
    steps_at(&t, killed ? "killed" : "going on to its end");
    steps_report->instructions += t.instructions;
    if (killed) {
        steps_kill(&t);
        steps_report->killed++;
    } else {
        check_ended(&stage, steps_finish(&t));
        done = true;
    }
    check_visited(&stage, follower, done);
    leave_stage(&stage, follower);
    alarm(0);
    return over;
}
