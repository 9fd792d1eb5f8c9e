/* Limits, and taking memory back: limits that are set, appends that they make room for, maintenance
 * of each kind of backlog, and readers of what goes. */
#include "operations.h"

#include "judge.h"
#include "support/check.h"
#include "support/child.h"

#include <string.h>

enum { LIMIT = 100, AGED = 5, KEPT = 128, DROPS = 200, MANY = 80 };

/* ---- limits ---- */

static int limit(eddy_store *store, const eddy_limits *given) {
    eddy_limits limits = *given;
    limits.size = sizeof limits;
    limits.flags |= EDDY_DROP_ALL;
    return eddy_limits_set(store, &limits, NULL);
}

static void prepare_100(struct steps_stage *s) {
    for (int i = 0; i < 2; i++) {
        operations_set_up(s->store, "old", 30);
        operations_set_up(s->store, "other", 20);
    }
}

static void prepare_200(struct steps_stage *s) {
    prepare_100(s);
    prepare_100(s);
}

/* Of what is there, more than a half has gone. */
static void prepare_holes(struct steps_stage *s) {
    prepare_100(s);
    CHECK_OK(eddy_truncate(s->store, eddy_str("old"), EDDY_ANY, 40, NULL));
}

static void prepare_full(struct steps_stage *s) {
    operations_set_up(s->store, "other", 20);
    operations_set_up(s->store, "old", LIMIT - 20);
    CHECK_OK(limit(s->store, &(eddy_limits){.events = LIMIT}));
}

static void prepare_full_streams(struct steps_stage *s) {
    operations_set_up(s->store, "other", LIMIT);
    operations_set_up(s->store, "old", LIMIT);
    CHECK_OK(limit(s->store, &(eddy_limits){.stream_events = LIMIT}));
}

static void prepare_bytes(struct steps_stage *s) {
    eddy_facts facts = {.size = sizeof facts};
    prepare_200(s);
    CHECK_OK(eddy_info(s->store, &facts));
    CHECK_OK(limit(s->store, &(eddy_limits){.bytes = facts.bytes}));
}

static void prepare_names(struct steps_stage *s) {
    char name[16];
    for (uint32_t i = 0; i < 8; i++) {
        operations_set_up(s->store, operations_name(name, i), 9);
    }
    operations_set_up(s->store, "old", 3);
    operations_set_up(s->store, "other", 2);
    CHECK_OK(limit(s->store, &(eddy_limits){.streams = 10}));
}

/* Events that are too old, but nobody has appended since. */
static void prepare_aged(struct steps_stage *s) {
    eddy_new_event events[AGED];
    memset(events, 0, sizeof events);
    CHECK_OK(limit(s->store, &(eddy_limits){.age_ns = STEPS_AGE_NS}));
    for (int i = 0; i < AGED; i++) {
        events[i].type = eddy_str("setup");
        events[i].time_ns = STEPS_NOW_NS - 2 * STEPS_AGE_NS;
    }
    CHECK_OK(eddy_append(s->store, eddy_str("old"), EDDY_ANY, events, AGED, NULL));
}

static int act_limit_events(struct steps_stage *s) {
    return limit(s->mine, &(eddy_limits){.events = 20});
}

static int act_other_limit(struct steps_stage *s) {
    return limit(s->mine, &(eddy_limits){.events = 2 * LIMIT});
}

static int act_one(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 1, 40);
}

static int act_new(struct steps_stage *s) {
    return operations_put(s->mine, "new", "op", 1, 40);
}

static int act_70(struct steps_stage *s) {
    return operations_put(s->mine, "old", "op", 70, 40);
}

static const struct steps_op limit_ops[] = {
    {.name = "limit of events, set",
     .lengthy = true,
     .prepare = prepare_200,
     .act = act_limit_events,
     .commits = 1,
     .removes = 180,
     .alone = true},
    {.name = "limit of events, set over holes",
     .prepare = prepare_holes,
     .act = act_limit_events,
     .commits = 2,
     .removes = 40,
     .streams = -1,
     .alone = true},
    {.name = "another limit",
     .prepare = prepare_full,
     .act = act_other_limit,
     .commits = 1,
     .alone = true},
    {.name = "append under a limit of events",
     .prepare = prepare_full,
     .act = act_one,
     .events = 1,
     .removes = 1},
    {.name = "batch under a limit of events",
     .lengthy = true,
     .prepare = prepare_full,
     .act = act_70,
     .events = 70,
     .removes = 70,
     .alone = true},
    {.name = "append under a limit of a stream's events",
     .prepare = prepare_full_streams,
     .act = act_one,
     .events = 1,
     .removes = 1},
    {.name = "batch under a limit of a stream's events",
     .lengthy = true,
     .prepare = prepare_full_streams,
     .act = act_70,
     .events = 70,
     .removes = 70,
     .alone = true},
    {.name = "append under a limit of bytes",
     .prepare = prepare_bytes,
     .act = act_one,
     .events = 1,
     .removes = 1},
    {.name = "append under a limit of streams",
     .prepare = prepare_names,
     .act = act_new,
     .events = 1,
     .removes = 9,
     .alone = true},
    {.name = "append under a limit of age",
     .prepare = prepare_aged,
     .act = act_one,
     .events = 1,
     .removes = AGED},
};
const struct operations operations_limit = {limit_ops, sizeof limit_ops / sizeof *limit_ops};

/* ---- maintenance ---- */

/* Somebody died behind his commit, with all of the taking back before him. */
static void prepare_floor(struct steps_stage *s) {
    prepare_200(s);
    s->dead[0] = steps_leave_dead(s, act_limit_events, true, 3);
}

static void prepare_cuts(struct steps_stage *s) {
    operations_set_up(s->store, "old", 150);
    s->dead[0] = steps_leave_dead(s, operations_truncate_145, true, 3);
}

/* He was in the middle of it, and had retired leaves. */
static void prepare_retired(struct steps_stage *s) {
    operations_set_up(s->store, "old", 150);
    s->dead[0] = steps_leave_dead(s, operations_truncate_145, true, 300);
}

static void prepare_events_left(struct steps_stage *s) {
    operations_prepare_wide(s);
    s->dead[0] = steps_leave_dead(s, operations_truncate_all, true, 3);
}

static void prepare_condemned(struct steps_stage *s) {
    operations_prepare_long(s);
    s->dead[0] = steps_leave_dead(s, operations_forget_long, true, 3);
}

static int act_victim(struct steps_stage *s) {
    return operations_put(s->mine, "old", "victim", 1, 40);
}

static int act_forget(struct steps_stage *s) {
    return eddy_forget(s->mine, eddy_str("old"), NULL);
}

/* One died when his new leaf was linked, and still his own; then one who had forgotten its stream,
 * before he took it apart. */
static void prepare_orphan(struct steps_stage *s) {
    operations_set_up(s->store, "old", 14);
    operations_set_up(s->store, "other", 13);
    s->dead[0] = steps_leave_dead(s, act_victim, true, 3);
    operations_set_up(s->store, "other", 1);
    s->dead[1] = steps_leave_dead(s, act_forget, true, 2);
}

/* Of many streams a little has been cut off, too little for who did it to take it back. */
static void prepare_little(struct steps_stage *s) {
    char name[16];
    CHECK_OK(limit(s->store, &(eddy_limits){.stream_events = 8}));
    for (uint32_t i = 0; i < MANY; i++) {
        operations_set_up(s->store, operations_name(name, i), 8);
        operations_set_up(s->store, name, 1);
    }
}

/* Has retired leaves itself, too few to be worth a grace period yet. */
static void ready_retired(struct steps_stage *s) {
    s->mine = steps_open(s);
    CHECK_OK(operations_truncate_145(s));
}

static void prepare_150(struct steps_stage *s) {
    operations_set_up(s->store, "old", 150);
}

/* A member that has swept nothing: who joins after a fork does not. */
static void ready_member(struct steps_stage *s) {
    eddy_facts facts = {.size = sizeof facts};
    s->mine = s->store;
    CHECK_OK(eddy_info(s->mine, &facts));
}

static int act_maintain(struct steps_stage *s) {
    return eddy_maintain(s->mine, 0, NULL);
}

static int act_trim(struct steps_stage *s) {
    return eddy_maintain(s->mine, EDDY_TRIM, NULL);
}

static int act_open(struct steps_stage *s) {
    s->mine = steps_open(s);
    return 0;
}

static void ready_not(struct steps_stage *s) {
    s->mine = NULL;
}

static const struct steps_op maintain_ops[] = {
    {.name = "eddy_maintain with nothing to do", .prepare = prepare_150, .act = act_maintain},
    {.name = "eddy_maintain of events below the floor",
     .lengthy = true,
     .prepare = prepare_floor,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of a stream's events",
     .lengthy = true,
     .prepare = prepare_cuts,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of blocks that the dead retired",
     .lengthy = true,
     .prepare = prepare_retired,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of blocks that it retired",
     .prepare = prepare_150,
     .ready = ready_retired,
     .act = act_maintain},
    {.name = "eddy_maintain of extents of events",
     .prepare = prepare_events_left,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of an extent of nodes",
     .prepare = prepare_condemned,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of a leaf that the dead owned",
     .prepare = prepare_orphan,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of a little of many streams",
     .lengthy = true,
     .prepare = prepare_little,
     .ready = ready_member,
     .act = act_maintain},
    {.name = "eddy_maintain of what is too old",
     .prepare = prepare_aged,
     .act = act_maintain,
     .commits = 2,
     .removes = AGED,
     .streams = -1,
     .alone = true},
    {.name = "eddy_maintain that trims",
     .prepare = prepare_events_left,
     .ready = ready_member,
     .act = act_trim},
    {.name = "eddy_open after a death in reclamation",
     .prepare = prepare_retired,
     .ready = ready_not,
     .act = act_open},
};
const struct operations operations_maintain = {maintain_ops,
                                               sizeof maintain_ops / sizeof *maintain_ops};

/* ---- readers of what goes ---- */

static void open_at_first(struct steps_stage *s, uint32_t flags) {
    eddy_event event;
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = flags;
    s->mine = steps_open(s);
    CHECK_OK(eddy_reader_open(s->mine, &select, &s->reader));
    CHECK_EQ(eddy_reader_next(s->reader, &event), EDDY_EVENT);
}

/* What it would read next goes. */
static void ready_lapse(struct steps_stage *s) {
    open_at_first(s, EDDY_FOLLOW);
    CHECK_OK(limit(s->mine, &(eddy_limits){.events = 20}));
}

/* What it has borrowed goes, and its extent with it, as far as it may. */
static void ready_borrowed(struct steps_stage *s) {
    open_at_first(s, EDDY_FOLLOW | EDDY_BORROW);
    CHECK_OK(operations_truncate_all(s));
    CHECK_OK(eddy_maintain(s->mine, 0, NULL));
}

static int act_next(struct steps_stage *s) {
    eddy_event event;
    return eddy_reader_next(s->reader, &event);
}

static int act_holds(struct steps_stage *s) {
    return eddy_reader_holds(s->reader);
}

static int act_close(struct steps_stage *s) {
    eddy_reader_close(s->reader);
    s->reader = NULL;
    return 0;
}

static const struct steps_op lapse_ops[] = {
    {.name = "a reader's lapse",
     .prepare = prepare_200,
     .ready = ready_lapse,
     .act = act_next,
     .rc = EDDY_ELAPPED,
     .alone = true},
    {.name = "does what was borrowed hold?",
     .prepare = operations_prepare_wide,
     .ready = ready_borrowed,
     .act = act_holds,
     .rc = 1},
    {.name = "the next, of one whose borrowed event is gone",
     .prepare = operations_prepare_wide,
     .ready = ready_borrowed,
     .act = act_next,
     .rc = EDDY_EVENT,
     .alone = true},
    {.name = "closing, of one whose borrowed event is gone",
     .prepare = operations_prepare_wide,
     .ready = ready_borrowed,
     .act = act_close},
};
const struct operations operations_lapse = {lapse_ops, sizeof lapse_ops / sizeof *lapse_ops};

/* ---- what others do meanwhile ---- */

/* The last `count` events, one after the other. */
static void read_last(eddy_store *store, uint64_t head, uint64_t count) {
    eddy_event event;
    eddy_reader *reader;
    eddy_select select = EDDY_SELECT_INIT;
    select.after_offset = head - count;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    uint64_t next = head - count + 1;
    int rc;
    while ((rc = eddy_reader_next(reader, &event)) == EDDY_EVENT && event.offset == next) {
        next++;
    }
    if (rc != EDDY_END || next != head + 1) {
        steps_breach("of the last %llu of %llu events, a reader gives %d at %llu (%s)",
                     (unsigned long long)count, (unsigned long long)head, rc,
                     (unsigned long long)next, rc < 0 ? eddy_errmsg() : "");
    }
    eddy_reader_close(reader);
}

void operations_drop(struct steps_stage *s) {
    static const char *const streams[] = {"old", "other", "s1"};
    eddy_event event;
    eddy_maintained m = {.size = sizeof m};
    eddy_facts facts = {.size = sizeof facts};
    eddy_buffer *buffer = eddy_buffer_create();
    int64_t begun = child_now_ns();
    CHECK(buffer);
    s->dropped = true;
    CHECK_OK(limit(s->store, &(eddy_limits){.events = KEPT}));
    for (uint32_t i = 0; i < DROPS; i++) {
        eddy_new_event new_event = {.type = eddy_str("meanwhile"), .data = eddy_mem(&i, sizeof i)};
        eddy_result result;
        CHECK_OK(eddy_append(s->store, eddy_str(streams[i % 3]), EDDY_ANY, &new_event, 1, &result));
        CHECK_OK(eddy_get(s->store, result.first_offset, buffer, &event));
        if (event.data.len != sizeof i || memcmp(event.data.ptr, &i, sizeof i) != 0) {
            steps_breach("offset %llu gives another event",
                         (unsigned long long)result.first_offset);
        }
    }
    CHECK_OK(eddy_info(s->store, &facts));
    if (facts.events != KEPT) {
        steps_breach("%llu events are there under a limit of %u", (unsigned long long)facts.events,
                     KEPT);
    }
    read_last(s->store, facts.head, KEPT);
    int rc = eddy_maintain(s->store, 0, &m);
    if (rc != 0) {
        steps_breach("eddy_maintain gives %s: %s", eddy_errname(rc), eddy_errmsg());
    }
    read_last(s->store, facts.head, KEPT);
    eddy_buffer_destroy(buffer);
    judge_held_up(begun);
}

/* Names get other descriptors, in memory that others have had: twice, so that what was taken back in
 * the first round is used in the second. */
void operations_forget(struct steps_stage *s) {
    static const char *const streams[] = {"old", "other", "s1", "new"};
    eddy_facts facts = {.size = sizeof facts};
    int64_t begun = child_now_ns();
    s->dropped = true;
    for (uint32_t i = 0; i < 8; i++) {
        const char *stream = streams[i % 4];
        int rc = eddy_forget(s->store, eddy_str(stream), NULL);
        if (rc != 0 && rc != EDDY_ENOENT) {
            steps_breach("eddy_forget gives %s: %s", eddy_errname(rc), eddy_errmsg());
        }
        CHECK_OK(operations_put(s->store, stream, "meanwhile", 20, 30));
        CHECK_OK(eddy_truncate(s->store, eddy_str(stream), EDDY_ANY, 15, NULL));
        CHECK_OK(eddy_maintain(s->store, 0, NULL));
    }
    CHECK_OK(operations_put(s->store, "last", "meanwhile", 5, 30));
    CHECK_OK(eddy_info(s->store, &facts));
    read_last(s->store, facts.head, 5);
    judge_check(s->store);
    judge_held_up(begun);
}
