/* eddy.h from outside: reading in order of the events' own times. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/model.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 2000, TIMES = 50 };

/* A store with events in it whose times are few and in disorder, and the same in a model. */
struct world {
    eddy_store *store;
    struct model *model;
    struct rng rng;
};

static void make_world(struct world *world, unsigned events) {
    static const char *const names[] = {"a", "ab", "b"};
    struct model_room room = {0};
    *world =
        (struct world){.store = sandbox_anonymous(), .model = model_create(), .rng = rng_make(1)};
    for (unsigned i = 0; i < events; i++) {
        eddy_bytes name = eddy_str(names[rng_below(&world->rng, 3)]);
        eddy_new_event event;
        eddy_result result;
        model_random_event(&world->rng, &room, 100, &event);
        event.time_ns = (int64_t)rng_below(&world->rng, TIMES) - TIMES / 2;
        event.flags = EDDY_TIME_GIVEN;
        must(eddy_append(world->store, name, EDDY_ANY, &event, 1, &result));
        model_append(world->model, name, &event);
        model_commit(world->model, result.recorded_ns);
    }
    free(room.bytes);
}

static void end_world(struct world *world) {
    eddy_close(world->store);
    model_destroy(world->model);
}

static int by_time(const void *a, const void *b) {
    const eddy_event *x = *(const eddy_event *const *)a;
    const eddy_event *y = *(const eddy_event *const *)b;
    if (x->time_ns != y->time_ns) {
        return x->time_ns < y->time_ns ? -1 : 1;
    }
    return x->offset < y->offset ? -1 : 1;
}

/* Asserts that a select gives what the model says. Gives how many it gave. */
static size_t compare(struct world *world, eddy_store *store, const eddy_select *select) {
    static const eddy_event *expected[EVENTS];
    eddy_reader *reader;
    eddy_event event;
    size_t count = 0;
    for (uint64_t i = 1; i <= model_head(world->model); i++) {
        const eddy_event *e = model_at(world->model, i);
        if (model_matches(e, select)) {
            expected[count++] = e;
        }
    }
    qsort(expected, count, sizeof *expected, by_time);
    size_t given = select->limit && select->limit < count ? select->limit : count;
    must(eddy_reader_open(store, select, &reader));
    for (size_t i = 0; i < given; i++) {
        size_t k = select->flags & EDDY_BACKWARD ? count - 1 - i : i;
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        cr_assert(model_same(&event, expected[k]), "event %zu of %zu", i, given);
        eddy_position position;
        must(eddy_reader_position(reader, &position));
        cr_assert_eq(position.offset, event.offset);
        cr_assert_eq(position.version, event.version);
        cr_assert_leq(position.looked_at, select->after_offset);
    }
    gives(eddy_reader_next(reader, &event), EDDY_END);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    return given;
}

static eddy_select random_select(struct rng *rng, eddy_bytes *type, eddy_bytes *tag) {
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = EDDY_BY_TIME | (rng_once_in(rng, 2) ? EDDY_BACKWARD : 0);
    select.limit = rng_once_in(rng, 2) ? 1 + rng_below(rng, EVENTS / 2) : 0;
    if (rng_once_in(rng, 3)) {
        select.stream = eddy_str(rng_once_in(rng, 2) ? "a" : "b");
        select.after_version = rng_once_in(rng, 2) ? rng_below(rng, 300) : 0;
    } else if (rng_once_in(rng, 3)) {
        select.prefix = eddy_str("a");
    }
    if (rng_once_in(rng, 3)) {
        *type = eddy_str("type-1");
        select.types = type;
        select.type_count = 1;
    }
    if (rng_once_in(rng, 3)) {
        *tag = eddy_str("red");
        select.tags = tag;
        select.tag_count = 1;
    }
    if (rng_once_in(rng, 2)) {
        select.from_time_ns = (int64_t)rng_below(rng, TIMES) - TIMES / 2;
        select.flags |= EDDY_FROM_GIVEN;
    }
    if (rng_once_in(rng, 2)) {
        select.to_time_ns = (int64_t)rng_below(rng, TIMES) - TIMES / 2;
        select.flags |= EDDY_TO_GIVEN;
    }
    select.after_offset = rng_once_in(rng, 4) ? rng_below(rng, EVENTS) : 0;
    select.to_offset = rng_once_in(rng, 4) ? rng_below(rng, EVENTS) : 0;
    return select;
}

Test(api_bytime, what_matches_comes_in_order_of_time_then_of_offset, .timeout = 60) {
    struct world world;
    eddy_bytes type;
    eddy_bytes tag;
    make_world(&world, EVENTS);
    eddy_store *look = sandbox_again(world.store, EDDY_READ_ONLY);
    eddy_select all = EDDY_SELECT_INIT;
    all.flags = EDDY_BY_TIME;
    cr_assert_eq(compare(&world, world.store, &all), EVENTS);
    for (int i = 0; i < 150; i++) {
        eddy_select select = random_select(&world.rng, &type, &tag);
        size_t given = compare(&world, world.store, &select);
        cr_assert_eq(compare(&world, look, &select), given);
    }
    eddy_close(look);
    end_world(&world);
}

Test(api_bytime, each_limit_gives_the_first_so_many, .timeout = 60) {
    struct world world;
    make_world(&world, 200);
    for (uint64_t limit = 1; limit <= 201; limit++) {
        eddy_select select = EDDY_SELECT_INIT;
        select.flags = EDDY_BY_TIME;
        select.limit = limit;
        cr_assert_eq(compare(&world, world.store, &select), limit < 200 ? limit : 200);
        select.flags |= EDDY_BACKWARD;
        (void)compare(&world, world.store, &select);
    }
    end_world(&world);
}

/* ---- what goes on meanwhile ---- */

static void put_at(eddy_store *store, const char *stream, int64_t time_ns) {
    eddy_new_event e = {.time_ns = time_ns, .flags = EDDY_TIME_GIVEN};
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, &e, 1, NULL));
}

static eddy_reader *open_by_time(eddy_store *store, uint32_t flags) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_BY_TIME | flags;
    must(eddy_reader_open(store, &select, &reader));
    return reader;
}

static void next_is(eddy_reader *reader, uint64_t offset) {
    eddy_event e;
    gives(eddy_reader_next(reader, &e), EDDY_EVENT);
    cr_assert_eq(e.offset, offset);
}

Test(api_bytime, what_matches_is_settled_at_the_first_call, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader = open_by_time(store, 0);
    eddy_position position;
    eddy_event e;
    put_at(store, "a", 30);
    put_at(store, "b", 10);
    next_is(reader, 2);
    put_at(store, "a", 20);
    put_at(store, "c", 40);
    next_is(reader, 1);
    gives(eddy_reader_next(reader, &e), EDDY_END);
    must(eddy_reader_position(reader, &position));
    cr_assert_eq(position.looked_at, 2);
    cr_assert_eq(position.head, 4);
    cr_assert(position.caught_up);
    eddy_reader_close(reader);
    reader = open_by_time(store, EDDY_BACKWARD);
    const uint64_t back[] = {4, 1, 3, 2};
    for (int i = 0; i < 4; i++) {
        next_is(reader, back[i]);
    }
    eddy_reader_close(reader);
    eddy_close(store);
}

static void lapses(eddy_reader *reader, uint64_t from, uint64_t to) {
    eddy_position position;
    eddy_event e;
    gives(eddy_reader_next(reader, &e), EDDY_ELAPPED);
    must(eddy_reader_position(reader, &position));
    cr_assert_eq(position.lapped_from, from);
    cr_assert_eq(position.lapped_to, to);
}

Test(api_bytime, what_is_removed_before_it_is_read_is_told, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    const char *names[] = {"x", "a", "x", "a", "b", "x"};
    const int64_t times[] = {1, 6, 3, 2, 5, 4}; /* x a x | x b a by time: offsets 1 4 3 6 5 2 */
    eddy_event e;
    for (int i = 0; i < 6; i++) {
        put_at(store, names[i], times[i]);
    }
    eddy_reader *reader = open_by_time(store, 0);
    eddy_reader *back = open_by_time(store, EDDY_BACKWARD);
    next_is(reader, 1);
    next_is(back, 2);
    must(eddy_delete(store, eddy_str("x"), EDDY_ANY, NULL));
    next_is(reader, 4);
    lapses(reader, 3, 6);
    next_is(reader, 5);
    next_is(back, 5);
    lapses(back, 3, 6);
    must(eddy_delete(store, eddy_str("a"), EDDY_ANY, NULL));
    lapses(reader, 2, 2);
    gives(eddy_reader_next(reader, &e), EDDY_END);
    lapses(back, 1, 4);
    gives(eddy_reader_next(back, &e), EDDY_END);
    eddy_reader_close(reader);
    eddy_reader_close(back);
    eddy_close(store);
}

Test(api_bytime, only_what_is_given_is_counted_as_read, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_counts before = {.size = sizeof before};
    eddy_counts after = {.size = sizeof after};
    for (int i = 0; i < 300; i++) {
        put_at(store, "s", i);
    }
    must(eddy_stats(store, &before));
    eddy_reader *reader = open_by_time(store, EDDY_BACKWARD);
    next_is(reader, 300);
    next_is(reader, 299);
    eddy_reader_close(reader);
    must(eddy_stats(store, &after));
    cr_assert_eq(after.events_read - before.events_read, 2);
    eddy_close(store);
}

Test(api_bytime, what_cannot_be_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_BY_TIME | EDDY_FOLLOW;
    gives(eddy_reader_open(store, &select, &reader), EDDY_EINVAL);
    cr_assert_null(reader);
    select.flags = EDDY_BY_TIME | EDDY_BORROW;
    gives(eddy_reader_open(store, &select, &reader), EDDY_EINVAL);
    select.flags = EDDY_BY_TIME | EDDY_KNOWN;
    select.stream = eddy_str("s");
    gives(eddy_reader_open(store, &select, &reader), EDDY_ENOENT);
    put_at(store, "s", 1);
    must(eddy_reader_open(store, &select, &reader));
    next_is(reader, 1);
    must(eddy_shutdown(store));
    eddy_event e;
    gives(eddy_reader_next(reader, &e), EDDY_ECLOSED);
    eddy_reader_close(reader);
    eddy_close(store);
}
