#include "actor_keys.h"

#include "check.h"
#include "sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t clock_of(void *arg) {
    return atomic_load(&((struct world *)arg)->now);
}

/* ---- a worker's handles ---- */

eddy_store *actor_store(eddy_store *store, struct world *world, uint32_t flags) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *again = NULL;
    char name[32];
    snprintf(name, sizeof name, "fd:%d", (int)CHECK_OK(eddy_store_fd(store)));
    options.flags = flags;
    options.clock = clock_of;
    options.clock_arg = world;
    CHECK_OK(eddy_open(&again, name, &options));
    return again;
}

void actor_open(struct actor *a) {
    a->store = actor_store(a->origin, a->world, 0);
    a->look = actor_store(a->origin, a->world, EDDY_READ_ONLY);
    CHECK_OK(eddy_tx_begin(a->store, &a->tx));
}

void actor_close(struct actor *a) {
    eddy_reader_close(a->follower);
    a->follower = NULL;
    eddy_tx_free(a->tx);
    eddy_close(a->look);
    eddy_close(a->store);
}

/* ---- transactions ---- */

static uint32_t any_stream(struct actor *a) {
    return (uint32_t)rng_below(a->rng, rng_once_in(a->rng, 3) ? 4 : WORLD_STREAMS);
}

/* What to expect of a stream: mostly what is so, as far as this worker can know. */
static int64_t expectation(struct actor *a, uint32_t stream, bool alone) {
    eddy_stream_facts facts = {.size = sizeof facts};
    uint64_t version = 0;
    if (alone) {
        version = a->world->streams[stream].version;
    } else if (eddy_stream_info(a->store, world_name(a->world, stream), &facts) == 0) {
        version = facts.version;
    }
    switch (rng_below(a->rng, 8)) {
    case 0:
        return EDDY_ANY;
    case 1:
        return EDDY_NONE;
    case 2:
        return EDDY_EXISTS;
    case 3:
        return (int64_t)rng_below(a->rng, version + 2);
    default:
        return (int64_t)version;
    }
}

static void random_cut(struct actor *a, struct op_cut *cut) {
    uint32_t stream = any_stream(a);
    uint64_t version = a->world->streams[stream].version;
    uint64_t kind = rng_below(a->rng, 12);
    cut->stream = stream;
    cut->kind = kind < 9 ? CUT_TRUNCATE : kind < 11 ? CUT_DELETE : CUT_FORGET;
    cut->version = cut->kind == CUT_TRUNCATE ? rng_below(a->rng, version + version / 8 + 3) : 0;
}

/* alone: with the turn. Otherwise it has at least one event, whose offset gives it its place. */
void actor_random_op(struct actor *a, struct op *op, bool alone) {
    uint64_t least = alone ? 0 : 1;
    op->event_count = (uint32_t)(least + rng_below(a->rng, OP_EVENTS + 1 - least));
    op->cut_count =
        rng_once_in(a->rng, alone ? 4 : 12) ? 1 + (uint32_t)rng_below(a->rng, OP_CUTS) : 0;
    op->condition_count =
        rng_once_in(a->rng, 3) ? 1 + (uint32_t)rng_below(a->rng, OP_CONDITIONS) : 0;
    if (alone && world_is_full(a->world)) {
        op->event_count = 0;
        op->cut_count = OP_CUTS;
    }
    for (uint32_t i = 0; i < op->event_count; i++) {
        world_random_event(a->rng, any_stream(a), &op->events[i]);
    }
    for (uint32_t i = 0; i < op->cut_count; i++) {
        random_cut(a, &op->cuts[i]);
    }
    for (uint32_t i = 0; i < op->condition_count; i++) {
        uint32_t stream = any_stream(a);
        op->conditions[i] = (struct op_condition){stream, 0, expectation(a, stream, alone)};
    }
    actor_random_keys(a, op);
}

static void add_event(struct actor *a, const struct world_new *event) {
    eddy_new_event given;
    eddy_bytes stream = world_name(a->world, event->stream);
    void *data;
    world_give(event, &a->room, &given);
    if (event->seed % 4 != 0) {
        CHECK_OK(eddy_tx_append(a->tx, stream, &given));
        return;
    }
    eddy_new_event reserved = given;
    reserved.data.ptr = NULL;
    CHECK_OK(eddy_tx_reserve(a->tx, stream, &reserved, &data));
    memcpy(data, given.data.ptr, given.data.len);
}

static void add_cut(struct actor *a, const struct op_cut *cut) {
    eddy_bytes stream = world_name(a->world, cut->stream);
    if (cut->kind == CUT_TRUNCATE) {
        CHECK_OK(eddy_tx_truncate(a->tx, stream, cut->version));
    } else if (cut->kind == CUT_DELETE) {
        CHECK_OK(eddy_tx_delete(a->tx, stream));
    } else {
        CHECK_OK(eddy_tx_forget(a->tx, stream));
    }
}

/* By a transaction, of which nothing is left afterwards but its result. */
static void run_tx(struct actor *a, const struct op *op, struct op_done *done) {
    CHECK_OK(eddy_tx_reset(a->tx));
    for (uint32_t i = 0; i < op->condition_count; i++) {
        const struct op_condition *c = &op->conditions[i];
        if (c->stream == WORLD_NONE) {
            actor_expect_key(a, c->key, c->expected);
        } else {
            CHECK_OK(eddy_tx_expect(a->tx, world_name(a->world, c->stream), c->expected));
        }
    }
    for (uint32_t i = 0; i < op->cut_count; i++) {
        add_cut(a, &op->cuts[i]);
    }
    for (uint32_t i = 0; i < op->event_count; i++) {
        add_event(a, &op->events[i]);
    }
    actor_add_keys(a, op);
    done->got = eddy_tx_commit(a->tx, &done->result);
    for (uint32_t i = 0; i < op->event_count && done->got == 0; i++) {
        uint64_t offset;
        CHECK_OK(eddy_tx_placed(a->tx, i, &offset, NULL));
        CHECK_EQ(offset, done->result.first_offset + i);
    }
}

/* By the calls that do one thing, if it is one. */
static bool run_single(struct actor *a, const struct op *op, struct op_done *done) {
    const struct op_condition *c = op->conditions;
    int64_t expected = op->condition_count ? c->expected : EDDY_ANY;
    eddy_new_event given;
    if (op->put_count + (op->snapshot_cut != WORLD_NONE) > 0) {
        return actor_run_key(a, op, done);
    }
    if (op->condition_count > 1 || op->cut_count + op->event_count != 1) {
        return false;
    }
    uint32_t stream = op->cut_count ? op->cuts[0].stream : op->events[0].stream;
    if (op->condition_count && c->stream != stream) { /* also if it is one of a key */
        return false;
    }
    eddy_bytes name = world_name(a->world, stream);
    if (op->event_count) {
        world_give(&op->events[0], &a->room, &given);
        done->got = eddy_append(a->store, name, expected, &given, 1, &done->result);
    } else if (op->cuts[0].kind == CUT_TRUNCATE) {
        done->got = eddy_truncate(a->store, name, expected, op->cuts[0].version, &done->result);
    } else if (op->cuts[0].kind == CUT_DELETE) {
        done->got = eddy_delete(a->store, name, expected, &done->result);
    } else {
        return false; /* eddy_forget() has no expectation, and gives EDDY_ENOENT */
    }
    return true;
}

void actor_run(struct actor *a, const struct op *op, struct op_done *done) {
    memset(done, 0, sizeof *done);
    done->before = sandbox_head(a->store);
    atomic_fetch_add(&a->world->now, (int64_t)(op->event_count ? op->events[0].seed % 1000 : 7));
    if (!run_single(a, op, done)) {
        run_tx(a, op, done);
    }
    done->after = sandbox_head(a->store);
}

static void transact(struct actor *a) {
    struct op op;
    struct op_done done;
    actor_random_op(a, &op, true);
    actor_run(a, &op, &done);
    if (done.got == 0) {
        world_do(a->world, &op, &done);
    } else {
        CHECK_SAY(world_explains(a->world, &op, &done), "%s", eddy_errname(done.got));
        a->world->refused++;
    }
}

/* ---- other changes ---- */

static void forget_one(struct actor *a) {
    uint32_t stream = any_stream(a);
    eddy_result result;
    bool known = a->world->streams[stream].known;
    int got = eddy_forget(a->store, world_name(a->world, stream), &result);
    CHECK_EQ(got, known ? 0 : EDDY_ENOENT);
    if (known) {
        CHECK_EQ(result.removed, world_cut(a->world, CUT_FORGET, stream, 0));
    }
}

static void tidy(struct actor *a) {
    if (rng_once_in(a->rng, 2)) {
        CHECK_EQ(eddy_remove_empty(a->store, eddy_str("")), world_remove_empty(a->world));
    } else {
        CHECK_EQ(eddy_forget_removed(a->store, eddy_str("")), world_forget_removed(a->world));
    }
}

/* A limit that the oldest go by, and is taken away again. */
static void keep(struct actor *a) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    const eddy_limits none = EDDY_LIMITS_INIT;
    eddy_dropped dropped = {.size = sizeof dropped};
    eddy_dropped preview = {.size = sizeof preview};
    uint32_t count = a->world->count;
    limits.events = 1 + rng_below(a->rng, count + 10);
    limits.flags = EDDY_DROP_EVENTS;
    CHECK_OK(eddy_limits_preview(a->look, &limits, &preview));
    CHECK_OK(eddy_limits_set(a->store, &limits, &dropped));
    CHECK_EQ(dropped.streams, world_keep(a->world, (uint32_t)limits.events));
    CHECK_EQ(dropped.events, count - a->world->count);
    CHECK_EQ(preview.events, dropped.events);
    CHECK_EQ(preview.bytes, dropped.bytes);
    CHECK_EQ(preview.streams, dropped.streams);
    CHECK_OK(eddy_limits_set(a->store, &none, NULL));
}

/* To trim, while somebody reads by a read-only handle, is refused; all else is done then, too. */
static void maintain(struct actor *a) {
    int got = eddy_maintain(a->store, rng_once_in(a->rng, 4) ? EDDY_TRIM : 0, NULL);
    CHECK(got == 0 || got == EDDY_EAGAIN);
}

static void open_anew(struct actor *a) {
    actor_close(a);
    actor_open(a);
}

/* ---- looking ---- */

eddy_store *actor_either(struct actor *a) {
    return rng_once_in(a->rng, 6) ? a->look : a->store;
}

static void same(struct actor *a, const eddy_event *got, const struct world_event *due) {
    eddy_event read;
    world_read(a->world, due, &a->room, &read);
    CHECK_SAY(world_hash(got) == world_hash(&read),
              "offset %" PRIu64 " (%.*s %" PRIu64 ") is not offset %" PRIu64 " (%s %" PRIu64 ")",
              got->offset, (int)got->stream.len, (const char *)got->stream.ptr, got->version,
              due->offset, a->world->streams[due->given.stream].name, due->version);
}

static void get_one(struct actor *a) {
    eddy_event event;
    uint64_t offset = rng_below(a->rng, 3) ? a->world->head - rng_below(a->rng, a->world->head + 1)
                                           : a->world->head + 1 - rng_below(a->rng, 300);
    offset = offset > a->world->head + 1 ? 1 : offset;
    const struct world_event *due = world_at(a->world, offset);
    int got = eddy_get(actor_either(a), offset, a->buffer, &event);
    CHECK_EQ(got, due ? 0 : offset ? EDDY_ENOENT : EDDY_EINVAL);
    if (due) {
        same(a, &event, due);
    }
}

static void get_one_version(struct actor *a) {
    uint32_t stream = any_stream(a);
    eddy_event event;
    uint64_t version = 1 + rng_below(a->rng, a->world->streams[stream].version + 2);
    const struct world_event *due = world_at_version(a->world, stream, version);
    int got =
        eddy_get_version(actor_either(a), world_name(a->world, stream), version, a->buffer, &event);
    CHECK_EQ(got, due ? 0 : EDDY_ENOENT);
    if (due) {
        same(a, &event, due);
    }
}

static void check_facts(const struct world *world, uint32_t stream,
                        const eddy_stream_facts *facts) {
    const struct world_event *first = NULL;
    const struct world_event *last = NULL;
    uint64_t count = 0;
    for (uint32_t i = 0; i < world->count; i++) {
        if (world->live[i].given.stream == stream) {
            first = first ? first : &world->live[i];
            last = &world->live[i];
            count++;
        }
    }
    CHECK_EQ(facts->version, world->streams[stream].version);
    CHECK_EQ(facts->count, count);
    CHECK_EQ(facts->first_version, first ? first->version : 0);
    CHECK_EQ(facts->first_offset, first ? first->offset : 0);
    CHECK(!last || facts->last_offset == last->offset);
    CHECK((facts->bytes > 0) == (count > 0));
    CHECK(strcmp(facts->name, world->streams[stream].name) == 0);
}

static void look_at_one_stream(struct actor *a, uint32_t stream) {
    eddy_stream_facts facts = {.size = sizeof facts};
    int got = eddy_stream_info(actor_either(a), world_name(a->world, stream), &facts);
    CHECK_EQ(got, a->world->streams[stream].there ? 0 : EDDY_ENOENT);
    if (got == 0) {
        check_facts(a->world, stream, &facts);
    }
}

static void look_at_stream(struct actor *a) {
    look_at_one_stream(a, any_stream(a));
}

static void look_at_store(struct actor *a) {
    eddy_facts facts = {.size = sizeof facts};
    uint64_t there = 0;
    uint64_t names = 0;
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        there += a->world->streams[i].there;
        names += a->world->streams[i].known && !a->world->streams[i].there;
    }
    CHECK_OK(eddy_info(actor_either(a), &facts));
    CHECK_EQ(facts.head, a->world->head);
    CHECK_EQ(facts.events, a->world->count);
    CHECK_EQ(facts.first, a->world->count ? a->world->live[0].offset : 0);
    CHECK_EQ(facts.streams, there);
    CHECK_EQ(facts.names, names);
}

struct listing {
    const struct world *world;
    eddy_bytes prefix;
    char last[24];
    size_t count;
    size_t limit;
};

static int compare_names(const char *a, const char *b) {
    return strcmp(a, b); /* of unsigned bytes, as eddy's order */
}

static bool is_listed(const struct listing *l, const struct world_stream *s) {
    return s->there && strncmp(s->name, l->prefix.ptr, l->prefix.len) == 0 &&
           compare_names(s->name, l->last) > 0;
}

/* The next one that should come; NULL: none. */
static const struct world_stream *next_listed(const struct listing *l) {
    const struct world_stream *next = NULL;
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        const struct world_stream *s = &l->world->streams[i];
        if (is_listed(l, s) && (!next || compare_names(s->name, next->name) < 0)) {
            next = s;
        }
    }
    return next;
}

static int listed(void *arg, const eddy_stream_facts *facts) {
    struct listing *l = arg;
    const struct world_stream *due = next_listed(l);
    CHECK(due && strcmp(due->name, facts->name) == 0);
    CHECK_EQ(facts->version, due->version);
    strcpy(l->last, due->name);
    l->count++;
    return 0;
}

static void list_streams(struct actor *a) {
    struct listing l = {.world = a->world, .limit = 1 + rng_below(a->rng, WORLD_STREAMS)};
    static const char *const prefixes[] = {"", "", "us", "user-1", "\xff", "x"};
    l.prefix = eddy_str(prefixes[rng_below(a->rng, 6)]);
    strcpy(l.last, rng_once_in(a->rng, 2) ? "" : a->world->streams[any_stream(a)].name);
    eddy_bytes after = eddy_str(l.last);
    char from[24];
    memcpy(from, l.last, sizeof from);
    after.ptr = from;
    int64_t got = eddy_streams(actor_either(a), l.prefix, after, l.limit, listed, &l);
    CHECK_EQ(got, l.count);
    CHECK(l.count == l.limit || !next_listed(&l));
}

/* ---- reading ---- */

static eddy_bytes random_types[2] = {{"type-1", 6}, {"type-3", 6}};

static uint64_t near_offset(struct actor *a) {
    uint32_t count = a->world->count;
    return count ? a->world->live[rng_below(a->rng, count)].offset : a->world->head;
}

static void random_select(struct actor *a, eddy_select *s, char *name) {
    uint32_t stream = any_stream(a);
    uint64_t version = a->world->streams[stream].version;
    *s = (eddy_select)EDDY_SELECT_INIT;
    strcpy(name, a->world->streams[stream].name);
    if (rng_once_in(a->rng, 2)) {
        s->stream = eddy_str(name);
        s->after_version = rng_once_in(a->rng, 3) ? rng_below(a->rng, version + 2) : 0;
        s->to_version = rng_once_in(a->rng, 4) ? rng_below(a->rng, version + 2) : 0;
        s->before_version = rng_once_in(a->rng, 4) ? rng_below(a->rng, version + 2) : 0;
    } else if (rng_once_in(a->rng, 3)) {
        s->prefix = eddy_mem(name, 1 + rng_below(a->rng, 3));
    }
    s->types = random_types;
    s->type_count = rng_once_in(a->rng, 4) ? 1 + rng_below(a->rng, 2) : 0;
    s->after_offset = rng_once_in(a->rng, 2) ? near_offset(a) : 0;
    s->to_offset = rng_once_in(a->rng, 4) ? near_offset(a) : 0;
    s->before_offset = rng_once_in(a->rng, 6) ? near_offset(a) : 0;
    s->from_time_ns = rng_once_in(a->rng, 6) ? (int64_t)rng_below(a->rng, 2000000) - 1000000 : 0;
    s->to_time_ns = rng_once_in(a->rng, 6) ? (int64_t)rng_below(a->rng, 2000000) - 1000000 : 0;
    s->from_recorded_ns = rng_once_in(a->rng, 8)
                              ? 1 + (int64_t)rng_below(a->rng, (uint64_t)a->world->recorded_ns + 1)
                              : 0;
    s->to_recorded_ns = rng_once_in(a->rng, 8)
                            ? 1 + (int64_t)rng_below(a->rng, (uint64_t)a->world->recorded_ns + 1)
                            : 0;
    s->limit = rng_once_in(a->rng, 2) ? 1 + rng_below(a->rng, 50) : 0;
    s->flags = rng_once_in(a->rng, 3) ? EDDY_BACKWARD : 0;
    if (rng_once_in(a->rng, 4)) {
        s->flags |= EDDY_SHARD;
        s->shard = rng_below(a->rng, 5);
    }
}

/* The next event that a select gives behind (before) the one of an offset; 0: the first. */
static const struct world_event *next_due(const struct world *world, const eddy_select *s,
                                          uint64_t offset) {
    bool back = (s->flags & EDDY_BACKWARD) != 0;
    for (uint32_t n = 0; n < world->count; n++) {
        const struct world_event *e = &world->live[back ? world->count - 1 - n : n];
        bool behind = offset == 0 || (back ? e->offset < offset : e->offset > offset);
        if (behind && world_selects(world, e, s)) {
            return e;
        }
    }
    return NULL;
}

/* All that a select gives. Where numbers are gone that were to be read, it may say so. */
static void read_some(struct actor *a) {
    eddy_store *store = actor_either(a);
    eddy_event list[8];
    eddy_reader *reader;
    eddy_select select;
    char name[24];
    uint64_t at = 0;
    uint64_t given = 0;
    int got;
    random_select(a, &select, name);
    if (store == a->store && rng_once_in(a->rng, 4)) {
        select.flags |= EDDY_BORROW;
    }
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    bool fetches = rng_once_in(a->rng, 2);
    do {
        size_t count = 0;
        got = fetches ? eddy_reader_fetch(reader, list, 8, &count)
                      : eddy_reader_next(reader, &list[0]);
        count = got != EDDY_EVENT ? 0 : fetches ? count : 1;
        for (size_t i = 0; i < count; i++) {
            const struct world_event *due = next_due(a->world, &select, at);
            CHECK_SAY(due, "offset %" PRIu64 " is not due", list[i].offset);
            same(a, &list[i], due);
            at = due->offset;
            given++;
        }
    } while (got == EDDY_EVENT || got == EDDY_ELAPPED || got == EDDY_EAGAIN);
    CHECK_EQ(got, EDDY_END);
    CHECK((select.limit && given == select.limit) || !next_due(a->world, &select, at));
    eddy_reader_close(reader);
}

/* A reader of its own that each worker follows by, over many turns. */
static void follow_anew(struct actor *a) {
    eddy_reader_close(a->follower);
    random_select(a, &a->followed, a->followed_name);
    a->followed.flags = EDDY_FOLLOW | (a->followed.flags & EDDY_SHARD);
    a->followed.to_offset = a->followed.before_offset = 0;
    a->followed.to_version = a->followed.before_version = 0;
    a->followed.after_version =
        0; /* a stream of that name that begins anew is read from its first */
    a->followed.to_recorded_ns = 0;
    a->followed.limit = 0;
    a->followed_to = 0;
    CHECK_OK(eddy_reader_open(a->store, &a->followed, &a->follower));
}

static void follow_on(struct actor *a) {
    eddy_event event;
    int got;
    if (!a->follower || rng_once_in(a->rng, 60)) {
        follow_anew(a);
    }
    while ((got = eddy_reader_next(a->follower, &event)) == EDDY_EVENT || got == EDDY_ELAPPED) {
        if (got == EDDY_EVENT) {
            const struct world_event *due = next_due(a->world, &a->followed, a->followed_to);
            CHECK(due);
            same(a, &event, due);
            a->followed_to = due->offset;
        }
    }
    CHECK_EQ(got, EDDY_CAUGHT_UP);
    CHECK(!next_due(a->world, &a->followed, a->followed_to));
    eddy_position position;
    CHECK_OK(eddy_reader_position(a->follower, &position));
    CHECK_EQ(position.head, a->world->head);
    CHECK(position.looked_at >= a->world->head);
    a->followed_to = a->world->head; /* what was removed meanwhile will not come */
}

/* ---- shards ---- */

struct shard_walk {
    struct actor *a;
    uint64_t shard;
    int64_t time; /* of the last one given, and its offset */
    uint64_t offset;
    uint64_t count;
};

/* The next event of a shard, in order of (time, offset). */
static const struct world_event *next_of_shard(const struct shard_walk *w) {
    const struct world_event *next = NULL;
    const struct world *world = w->a->world;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct world_event *e = &world->live[i];
        int64_t time = world_time(e);
        bool behind = time > w->time || (time == w->time && e->offset > w->offset);
        if (world_in_shard(&e->given) && e->given.shard == w->shard && behind &&
            (!next || time < world_time(next))) {
            next = e;
        }
    }
    return next;
}

static int walk_shard(void *arg, const eddy_event *event) {
    struct shard_walk *w = arg;
    const struct world_event *due = next_of_shard(w);
    CHECK_SAY(due, "offset %" PRIu64 " of shard %" PRIu64 " is not due", event->offset, w->shard);
    same(w->a, event, due);
    w->time = event->time_ns;
    w->offset = event->offset;
    w->count++;
    return 0;
}

static void read_shard(struct actor *a) {
    struct shard_walk w = {.a = a, .shard = rng_below(a->rng, 5), .offset = UINT64_MAX};
    uint64_t limit = 1 + rng_below(a->rng, 30);
    w.time = (int64_t)rng_below(a->rng, 2000000) - 1000000;
    int64_t got = eddy_shard_after_time(actor_either(a), w.shard, w.time, limit, walk_shard, &w);
    CHECK_EQ(got, w.count);
    CHECK(w.count == limit || !next_of_shard(&w));
}

static int walk_shards(void *arg, const eddy_shard_facts *facts) {
    struct shard_walk *w = arg;
    const struct world *world = w->a->world;
    const struct world_event *last = NULL;
    int64_t newest = INT64_MIN;
    for (uint32_t i = 0; i < world->count; i++) {
        const struct world_event *e = &world->live[i];
        if (world_in_shard(&e->given) && e->given.shard == facts->shard) {
            last = e;
            newest = newest > world_time(e) ? newest : world_time(e);
        }
    }
    CHECK(last && (w->count == 0 || facts->shard > w->shard));
    CHECK_EQ(facts->last_offset, last->offset);
    CHECK_EQ(facts->newest_time_ns, newest);
    w->shard = facts->shard;
    w->count++;
    return 0;
}

static void list_shards(struct actor *a) {
    struct shard_walk w = {.a = a};
    uint32_t due = 0; /* a bit for each shard */
    for (uint32_t i = 0; i < a->world->count; i++) {
        const struct world_new *e = &a->world->live[i].given;
        due |= world_in_shard(e) ? 1u << e->shard : 0;
    }
    CHECK_EQ(eddy_shards(actor_either(a), walk_shards, &w), __builtin_popcount(due));
}

static void look_through(struct actor *a) {
    sandbox_check(a->look);
}

/* ---- one operation ---- */

/* All there is, in whatever store the actor has. */
void actor_look_at_all(struct actor *a) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    uint32_t n = 0;
    CHECK_OK(eddy_reader_open(a->store, &select, &reader));
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        CHECK(n < a->world->count);
        same(a, &event, &a->world->live[n++]);
    }
    CHECK_EQ(n, a->world->count);
    eddy_reader_close(reader);
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        look_at_one_stream(a, i);
    }
    for (uint32_t i = 0; i < WORLD_KEYS; i++) {
        actor_look_at_one_key(a, i);
    }
    look_at_store(a);
}

struct kind {
    void (*fn)(struct actor *a);
    uint32_t weight;
};

static const struct kind kinds[] = {
    {transact, 500},
    {get_one, 100},
    {get_one_version, 80},
    {look_at_stream, 60},
    {look_at_store, 40},
    {list_streams, 30},
    {read_shard, 20},
    {list_shards, 10},
    {read_some, 120},
    {follow_on, 80},
    {forget_one, 10},
    {tidy, 8},
    {keep, 6},
    {maintain, 6},
    {actor_look_at_key, 80},
    {actor_list_keys, 20},
    {actor_reset_checkpoints, 6},
    {actor_copy, 1},
    {open_anew, 1},
    {look_through, 1},
};

void actor_operate(struct actor *a) {
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    uint64_t sum = 0;
    for (size_t i = 0; i < KINDS; i++) {
        sum += kinds[i].weight;
    }
    uint64_t pick = rng_below(a->rng, sum);
    size_t i = 0;
    while (pick >= kinds[i].weight) {
        pick -= kinds[i++].weight;
    }
    kinds[i].fn(a);
}
