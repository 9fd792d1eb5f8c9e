/* eddy.h from outside: which events a reader gives. */
#include "eddy.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "support/model.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 3000, STREAMS = 30 };

/* A store with all sorts of events in it, and the same in a model. */
struct world {
    eddy_store *store;
    struct model *model;
    int64_t clock;
    struct rng rng;
};

static int64_t world_clock(void *arg) {
    struct world *world = arg;
    world->clock += (int64_t)rng_below(&world->rng, 2000) - 600;
    return world->clock;
}

static void stream_name(char *name, unsigned i) {
    static const char *const kinds[] = {"user", "user-", "us", "order/", "\xff\xfe"};
    snprintf(name, 32, "%s%u", kinds[i % 5], i);
}

static void make_world(struct world *world, uint64_t seed) {
    struct model_room room = {0};
    eddy_options options = EDDY_OPTIONS_INIT;
    *world = (struct world){.model = model_create(), .clock = 1000000, .rng = rng_make(seed)};
    options.flags = EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.clock = world_clock;
    options.clock_arg = world;
    must(eddy_open(&world->store, NULL, &options));
    eddy_tx *tx;
    must(eddy_tx_begin(world->store, &tx));
    while (model_head(world->model) < EVENTS) {
        must(eddy_tx_reset(tx));
        for (uint64_t n = 1 + rng_below(&world->rng, 5); n > 0; n--) {
            char name[32];
            eddy_new_event event;
            stream_name(name, (unsigned)rng_below(&world->rng, STREAMS));
            model_random_event(&world->rng, &room, 200, &event);
            must(eddy_tx_append(tx, eddy_str(name), &event));
            model_append(world->model, eddy_str(name), &event);
        }
        eddy_result result;
        must(eddy_tx_commit(tx, &result));
        model_commit(world->model, result.recorded_ns);
    }
    eddy_tx_free(tx);
    free(room.bytes);
}

static void end_world(struct world *world) {
    eddy_close(world->store);
    model_destroy(world->model);
}

/* Asserts that a select gives what the model says, in the direction that it asks for. */
static uint64_t compare(struct world *world, eddy_store *store, const eddy_select *select) {
    eddy_reader *reader;
    eddy_event event;
    uint64_t head = model_head(world->model);
    uint64_t given = 0;
    bool backward = (select->flags & EDDY_BACKWARD) != 0;
    must(eddy_reader_open(store, select, &reader));
    for (uint64_t i = 1; i <= head; i++) {
        const eddy_event *expected = model_at(world->model, backward ? head + 1 - i : i);
        if (!model_matches(expected, select) || (select->limit && given == select->limit)) {
            continue;
        }
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        cr_assert(model_same(&event, expected), "offset %llu", (unsigned long long)event.offset);
        given++;
    }
    gives(eddy_reader_next(reader, &event), EDDY_END);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    return given;
}

/* In both directions, copied and borrowed. */
static uint64_t compare_all(struct world *world, eddy_select select) {
    uint64_t given = compare(world, world->store, &select);
    select.flags |= EDDY_BACKWARD;
    cr_assert_eq(compare(world, world->store, &select), given);
    select.flags |= EDDY_BORROW;
    cr_assert_eq(compare(world, world->store, &select), given);
    select.flags &= ~EDDY_BACKWARD;
    cr_assert_eq(compare(world, world->store, &select), given);
    return given;
}

Test(api_select, everything, .timeout = 30) {
    struct world world;
    make_world(&world, 21);
    eddy_select select = EDDY_SELECT_INIT;
    cr_assert_eq(compare_all(&world, select), model_head(world.model));
    model_check_store(world.model, world.store);
    end_world(&world);
}

Test(api_select, a_stream, .timeout = 30) {
    struct world world;
    make_world(&world, 22);
    uint64_t all = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        char name[32];
        eddy_select select = EDDY_SELECT_INIT;
        stream_name(name, i);
        select.stream = eddy_str(name);
        uint64_t version = model_version(world.model, eddy_str(name));
        cr_assert_eq(compare_all(&world, select), version);
        all += version;
        select.after_version = version / 3;
        select.to_version = version - version / 3;
        cr_assert_eq(compare_all(&world, select), select.to_version - select.after_version);
        select.to_version = version + 100;
        compare_all(&world, select);
        select.after_version = version;
        cr_assert_eq(compare_all(&world, select), 0);
        select.after_version = UINT64_MAX;
        select.to_version = 0;
        cr_assert_eq(compare_all(&world, select), 0);
    }
    cr_assert_eq(all, model_head(world.model));
    end_world(&world);
}

Test(api_select, a_shard, .timeout = 30) {
    struct world world;
    make_world(&world, 29);
    for (uint64_t shard = 0; shard < 6; shard++) {
        eddy_select select = EDDY_SELECT_INIT;
        select.flags = EDDY_SHARD;
        select.shard = shard;
        uint64_t all = compare_all(&world, select);
        cr_assert_eq(all == 0, shard == 5);
        select.stream = eddy_str("user0");
        cr_assert(compare_all(&world, select) <= all);
    }
    end_world(&world);
}

Test(api_select, a_prefix, .timeout = 30) {
    struct world world;
    make_world(&world, 23);
    const char *prefixes[] = {"u",    "us",     "user", "user-", "order/",
                              "\xff", "user-1", "none", "usez"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        eddy_select select = EDDY_SELECT_INIT;
        select.prefix = eddy_str(prefixes[i]);
        cr_assert_eq(compare_all(&world, select) == 0, i >= 7);
    }
    eddy_select both = EDDY_SELECT_INIT;
    both.stream = eddy_str("user0");
    both.prefix = eddy_str("us");
    cr_assert_gt(compare_all(&world, both), 0);
    both.prefix = eddy_str("order");
    cr_assert_eq(compare_all(&world, both), 0);
    end_world(&world);
}

Test(api_select, one_type_or_several_or_the_empty_one, .timeout = 30) {
    struct world world;
    make_world(&world, 24);
    eddy_bytes types[4] = {eddy_str("type-1"), eddy_str(""), eddy_str("type-3"), eddy_str("none")};
    uint64_t counts[5];
    for (size_t n = 1; n <= 4; n++) {
        eddy_select select = EDDY_SELECT_INIT;
        select.types = types;
        select.type_count = n;
        counts[n] = compare_all(&world, select);
    }
    cr_assert(0 < counts[1] && counts[1] < counts[2] && counts[2] < counts[3]);
    cr_assert_eq(counts[3], counts[4]);
    eddy_select none = EDDY_SELECT_INIT;
    none.types = &types[3];
    none.type_count = 1;
    cr_assert_eq(compare_all(&world, none), 0);
    eddy_bytes *many = calloc(1000, sizeof *many);
    many[999] = types[0];
    for (size_t i = 0; i < 999; i++) {
        many[i] = types[3];
    }
    none.types = many;
    none.type_count = 1000;
    cr_assert_eq(compare_all(&world, none), counts[1]);
    free(many);
    end_world(&world);
}

Test(api_select, offsets_and_limits_at_their_edges, .timeout = 60) {
    struct world world;
    make_world(&world, 25);
    uint64_t head = model_head(world.model);
    uint64_t edges[] = {0, 1, 2, 16, 17, 64, 65, head - 1, head, head + 1, head * 2, UINT64_MAX};
    for (size_t a = 0; a < sizeof edges / sizeof edges[0]; a++) {
        for (size_t b = 0; b < sizeof edges / sizeof edges[0]; b++) {
            eddy_select select = EDDY_SELECT_INIT;
            select.after_offset = edges[a];
            select.to_offset = edges[b];
            select.limit = (a + b) % 3 ? 0 : 5 + b;
            compare_all(&world, select);
        }
    }
    end_world(&world);
}

Test(api_select, times_of_events_and_of_recording, .timeout = 60) {
    struct world world;
    make_world(&world, 26);
    int64_t last = model_at(world.model, model_head(world.model))->recorded_ns;
    uint64_t matched = 0;
    for (int i = 0; i < 60; i++) {
        eddy_select select = EDDY_SELECT_INIT;
        int64_t bounds[4];
        for (int k = 0; k < 4; k++) {
            bounds[k] = (int64_t)rng_below(&world.rng, (uint64_t)last + 2000000) - 1000000;
        }
        select.from_time_ns = i % 2 ? bounds[0] : 0;
        select.to_time_ns = i % 3 ? bounds[1] : 0;
        select.from_recorded_ns = i % 5 < 2 ? bounds[2] : 0;
        select.to_recorded_ns = i % 7 < 3 ? bounds[3] : 0;
        matched += compare_all(&world, select);
    }
    cr_assert_gt(matched, 0);
    /* The very instant of an event is inside, on both sides. */
    for (uint64_t offset = 1; offset <= EVENTS; offset += 97) {
        const eddy_event *event = model_at(world.model, offset);
        eddy_select select = EDDY_SELECT_INIT;
        select.from_recorded_ns = select.to_recorded_ns = event->recorded_ns;
        cr_assert_gt(compare_all(&world, select), 0);
        eddy_select at = EDDY_SELECT_INIT;
        at.from_time_ns = at.to_time_ns = event->time_ns;
        cr_assert_gt(compare_all(&world, at), 0);
    }
    end_world(&world);
}

static eddy_bytes random_types[3];

static eddy_select random_select(struct world *world, char *name) {
    struct rng *rng = &world->rng;
    uint64_t head = model_head(world->model);
    eddy_select select = EDDY_SELECT_INIT;
    stream_name(name, (unsigned)rng_below(rng, STREAMS + 2));
    if (rng_once_in(rng, 2)) {
        select.stream = eddy_str(name);
        select.after_version = rng_once_in(rng, 3) ? rng_below(rng, 120) : 0;
        select.to_version = rng_once_in(rng, 3) ? rng_below(rng, 150) : 0;
        select.before_version = rng_once_in(rng, 4) ? rng_below(rng, 150) : 0;
    } else if (rng_once_in(rng, 2)) {
        select.prefix = eddy_mem(name, rng_below(rng, 5));
    }
    random_types[0] = eddy_str("type-0");
    random_types[1] = eddy_str("type-4");
    random_types[2] = eddy_str("type-2");
    select.types = random_types;
    select.type_count = rng_once_in(rng, 3) ? rng_below(rng, 4) : 0;
    select.after_offset = rng_once_in(rng, 3) ? rng_below(rng, head + 10) : 0;
    select.to_offset = rng_once_in(rng, 3) ? rng_below(rng, head + 10) : 0;
    select.before_offset = rng_once_in(rng, 6) ? 1 + rng_below(rng, head + 10) : 0;
    select.from_time_ns = rng_once_in(rng, 5) ? (int64_t)rng_below(rng, 2000000) - 1000000 : 0;
    select.to_time_ns = rng_once_in(rng, 5) ? (int64_t)rng_below(rng, 2000000) - 1000000 : 0;
    select.from_recorded_ns = rng_once_in(rng, 5) ? (int64_t)rng_below(rng, 2000000) : 0;
    select.to_recorded_ns = rng_once_in(rng, 5) ? (int64_t)rng_below(rng, 2000000) : 0;
    select.limit = rng_once_in(rng, 3) ? rng_below(rng, 40) : 0;
    select.flags = rng_once_in(rng, 2) ? EDDY_BACKWARD : 0;
    if (rng_once_in(rng, 3)) {
        select.flags |= EDDY_SHARD;
        select.shard = rng_below(rng, 6);
    }
    return select;
}

Test(api_select, a_thousand_random_selects_are_what_the_model_says, .timeout = 60) {
    struct world world;
    make_world(&world, 27);
    eddy_store *read_only = sandbox_again(world.store, EDDY_READ_ONLY);
    for (int i = 0; i < 1000; i++) {
        char name[32];
        eddy_select select = random_select(&world, name);
        uint64_t given = compare(&world, world.store, &select);
        cr_assert_eq(compare(&world, read_only, &select), given);
        select.flags |= EDDY_BORROW;
        cr_assert_eq(compare(&world, world.store, &select), given);
    }
    eddy_close(read_only);
    end_world(&world);
}

Test(api_select, nothing_lies_before_the_first, .timeout = 30) {
    struct world world;
    make_world(&world, 28);
    const eddy_event *first = model_at(world.model, 1);
    for (uint64_t before = 1; before <= 3; before++) {
        eddy_select select = EDDY_SELECT_INIT;
        select.before_offset = before;
        cr_assert_eq(compare_all(&world, select), before - 1);
        select.before_offset = 0;
        select.stream = first->stream;
        select.before_version = before;
        cr_assert_eq(compare_all(&world, select), before - 1);
        select.before_version = UINT64_MAX;
        select.to_version = before;
        cr_assert_eq(compare_all(&world, select), before);
    }
    end_world(&world);
}

/* Who reads nothing is where it began: never at 0, which would be the start. */
Test(api_select, before_the_first_event_the_position_is_where_it_began, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    eddy_select select = EDDY_SELECT_INIT;
    eddy_position position;
    eddy_reader *reader;
    eddy_event event;
    select.after_offset = 77;
    select.flags = EDDY_FOLLOW;
    must(eddy_reader_open(store, &select, &reader));
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    must(eddy_reader_position(reader, &position));
    cr_assert_eq(position.offset, 77);
    cr_assert_eq(position.looked_at, 77);
    eddy_reader_close(reader);
    select.stream = eddy_str("s");
    select.after_version = 5;
    must(eddy_reader_open(store, &select, &reader));
    must(eddy_reader_position(reader, &position));
    cr_assert_eq(position.version, 5);
    cr_assert_eq(position.offset, 77);
    eddy_reader_close(reader);
    select.flags = EDDY_BACKWARD;
    must(eddy_reader_open(store, &select, &reader));
    must(eddy_reader_position(reader, &position));
    cr_assert_eq(position.version, 0);
    cr_assert_eq(position.offset, 0);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_select, what_is_no_select_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *read_only = sandbox_again(store, EDDY_READ_ONLY);
    eddy_reader *reader = (eddy_reader *)&reader;
    eddy_select bad[6];
    for (size_t i = 0; i < 6; i++) {
        bad[i] = (eddy_select)EDDY_SELECT_INIT;
    }
    bad[0].size = 0;
    bad[1].flags = 0x1000;
    bad[2].flags = EDDY_FOLLOW | EDDY_BACKWARD;
    bad[3].after_version = 1;
    bad[4].to_version = 1;
    bad[5].before_version = 1;
    for (size_t i = 0; i < 6; i++) {
        int rc = eddy_reader_open(store, &bad[i], &reader);
        cr_assert_eq(rc, EDDY_EINVAL, "select %zu: %s", i, eddy_errname(rc));
        cr_assert_null(reader);
        cr_assert(eddy_errmsg()[0]);
    }
    eddy_select borrow = EDDY_SELECT_INIT;
    borrow.flags = EDDY_BORROW;
    int rc = eddy_reader_open(read_only, &borrow, &reader);
    cr_assert(rc == EDDY_EINVAL || rc == EDDY_EREADONLY, "%s", eddy_errname(rc));
    eddy_reader_close(NULL);
    eddy_close(read_only);
    eddy_close(store);
}

Test(api_select, an_unknown_stream_is_nothing_or_an_error_as_one_likes, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader;
    eddy_event event;
    eddy_select select = EDDY_SELECT_INIT;
    select.stream = eddy_str("unknown");
    must(eddy_reader_open(store, &select, &reader));
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    select.flags = EDDY_KNOWN;
    gives(eddy_reader_open(store, &select, &reader), EDDY_ENOENT);
    has_text(eddy_errmsg(), "unknown");
    eddy_new_event one = {.data = eddy_str("x")};
    must(eddy_append(store, eddy_str("unknown"), EDDY_ANY, &one, 1, NULL));
    must(eddy_reader_open(store, &select, &reader));
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_select, the_select_is_copied_with_its_bytes, .timeout = 20) {
    struct world world;
    make_world(&world, 28);
    char name[32] = "user0";
    char type[] = "type-1";
    eddy_bytes types[1] = {eddy_str(type)};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    select.stream = eddy_str(name);
    select.types = types;
    select.type_count = 1;
    must(eddy_reader_open(world.store, &select, &reader));
    memset(name, 'X', sizeof name);
    memset(type, 'X', sizeof type);
    types[0].ptr = NULL;
    int count = 0;
    while (eddy_reader_next(reader, &event) == EDDY_EVENT) {
        same_bytes(event.stream, eddy_str("user0"));
        same_bytes(event.type, eddy_str("type-1"));
        count++;
    }
    cr_assert_gt(count, 0);
    eddy_reader_close(reader);
    end_world(&world);
}
