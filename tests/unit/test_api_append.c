/* eddy.h from outside: appending by the short form, expected versions, bounds of every field. */
#include "eddy.h"
#include "support/check.h"
#include "support/cr_must.h"
#include "support/model.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static eddy_new_event plain(const char *data) {
    return (eddy_new_event){.data = eddy_str(data)};
}

static int append(eddy_store *store, const char *stream, int64_t expected, eddy_result *result) {
    eddy_new_event event = plain("x");
    return eddy_append(store, eddy_str(stream), expected, &event, 1, result);
}

/* Reads the event at an offset; its bytes stay until the next call. */
static eddy_event event_at(eddy_store *store, uint64_t offset) {
    static eddy_buffer *buffer;
    eddy_event event = {0};
    buffer = buffer ? buffer : eddy_buffer_create();
    must(eddy_get(store, offset, buffer, &event));
    return event;
}

Test(api_append, events_get_offsets_and_versions_from_one, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    gives(append(store, "a", EDDY_ANY, &result), 0);
    cr_assert_eq(result.first_offset, 1);
    cr_assert_eq(result.last_offset, 1);
    cr_assert_eq(result.last_version, 1);
    cr_assert_gt(result.recorded_ns, 0);
    gives(append(store, "b", EDDY_ANY, &result), 0);
    cr_assert_eq(result.last_offset, 2);
    cr_assert_eq(result.last_version, 1);
    eddy_new_event three[3] = {plain("1"), plain("2"), plain("3")};
    gives(eddy_append(store, eddy_str("a"), EDDY_ANY, three, 3, &result), 0);
    cr_assert_eq(result.first_offset, 3);
    cr_assert_eq(result.last_offset, 5);
    cr_assert_eq(result.last_version, 4);
    for (uint64_t k = 0; k < 3; k++) {
        eddy_event event = event_at(store, 3 + k);
        cr_assert_eq(event.version, 2 + k);
        cr_assert_eq(event.tx_offset, 3);
        cr_assert_eq(event.tx_count, 3);
        same_bytes(event.data, three[k].data);
        same_bytes(event.stream, eddy_str("a"));
    }
    gives(append(store, "a", EDDY_ANY, NULL), 0);
    cr_assert_eq(sandbox_head(store), 6);
    eddy_close(store);
}

Test(api_append, expected_versions_hold_or_say_what_is_there, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    struct {
        int64_t expected;
        bool holds;
    } tries[] = {
        {EDDY_EXISTS, false}, {1, false}, {7, false}, {EDDY_NONE, true},   {EDDY_NONE, false},
        {0, false},           {2, false}, {1, true},  {EDDY_EXISTS, true}, {EDDY_ANY, true},
        {3, false},           {5, false}, {4, true},  {INT64_MAX, false}};
    uint64_t version = 0;
    for (size_t i = 0; i < sizeof tries / sizeof tries[0]; i++) {
        memset(&result, 0xee, sizeof result);
        int rc = append(store, "stream", tries[i].expected, &result);
        cr_assert_eq(rc, tries[i].holds ? 0 : EDDY_ECONFLICT, "try %zu: %s", i, eddy_errname(rc));
        if (rc == 0) {
            version++;
            cr_assert_eq(result.last_version, version);
            continue;
        }
        cr_assert_eq(result.condition, 0);
        cr_assert_eq(result.expected, tries[i].expected);
        cr_assert_eq(result.actual, version);
        cr_assert_eq(result.stream_len, 6);
        cr_assert_eq(memcmp(result.stream, "stream", 6), 0);
        has_text(eddy_errmsg(), "stream");
    }
    cr_assert_eq(sandbox_head(store), version);
    eddy_close(store);
}

Test(api_append, a_conflict_stores_nothing_and_makes_no_stream, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_stream_facts facts = {.size = sizeof facts};
    eddy_counts before = {.size = sizeof before};
    eddy_counts after = {.size = sizeof after};
    must(eddy_stats(store, &before));
    gives(append(store, "new", 3, NULL), EDDY_ECONFLICT);
    gives(append(store, "new", EDDY_EXISTS, NULL), EDDY_ECONFLICT);
    must(eddy_stats(store, &after));
    cr_assert_eq(eddy_stream_info(store, eddy_str("new"), &facts), EDDY_ENOENT);
    cr_assert_eq(sandbox_head(store), 0);
    cr_assert_eq(after.conflicts - before.conflicts, 2);
    cr_assert_eq(after.events_appended, 0);
    eddy_close(store);
}

Test(api_append, expected_versions_that_are_none_are_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    int64_t bad[] = {-3, -4, -1000, INT64_MIN};
    for (size_t i = 0; i < 4; i++) {
        gives(append(store, "s", bad[i], NULL), EDDY_EINVAL);
    }
    cr_assert_eq(sandbox_head(store), 0);
    eddy_close(store);
}

Test(api_append, no_events_succeed_check_nothing_and_make_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    eddy_stream_facts facts = {.size = sizeof facts};
    memset(&result, 0xee, sizeof result);
    gives(eddy_append(store, eddy_str("s"), 17, NULL, 0, &result), 0);
    cr_assert_eq(result.first_offset, 0);
    cr_assert_eq(result.last_offset, 0);
    cr_assert_eq(result.last_version, 0);
    cr_assert_eq(eddy_stream_info(store, eddy_str("s"), &facts), EDDY_ENOENT);
    eddy_close(store);
}

Test(api_append, a_zeroed_event_is_valid, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = {0};
    eddy_result result;
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, &result));
    eddy_event got = event_at(store, 1);
    cr_assert_eq(got.type.len, 0);
    cr_assert_eq(got.data.len, 0);
    cr_assert_eq(got.metadata.len, 0);
    cr_assert_eq(got.shard, 0);
    cr_assert_eq(got.time_ns, result.recorded_ns);
    cr_assert_eq(got.recorded_ns, result.recorded_ns);
    same_bytes(got.id, eddy_str("s-1"));
    eddy_close(store);
}

Test(api_append, every_field_comes_back, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_event event = {.type = eddy_mem("t\0pe", 4),
                            .id = eddy_mem("i\0d", 3),
                            .data = eddy_mem("\0\1\2\377", 4),
                            .metadata = eddy_mem("\0m", 2),
                            .time_ns = 123456789,
                            .shard = UINT64_MAX};
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    eddy_event got = event_at(store, 1);
    same_bytes(got.type, event.type);
    same_bytes(got.id, event.id);
    same_bytes(got.data, event.data);
    same_bytes(got.metadata, event.metadata);
    cr_assert_eq(got.time_ns, 123456789);
    cr_assert_eq(got.shard, UINT64_MAX);
    eddy_close(store);
}

Test(api_append, times_are_given_or_that_of_recording, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    struct {
        int64_t time_ns;
        uint32_t flags;
    } times[] = {{0, 0}, {0, EDDY_TIME_GIVEN},         {-1, 0},        {-5, EDDY_TIME_GIVEN},
                 {1, 0}, {INT64_MIN, EDDY_TIME_GIVEN}, {INT64_MAX, 0}, {INT64_MIN, 0}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        eddy_new_event event = {.time_ns = times[i].time_ns, .flags = times[i].flags};
        eddy_result result;
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, &result));
        int64_t expected = i == 0 ? result.recorded_ns : times[i].time_ns;
        eddy_event got = event_at(store, i + 1);
        cr_assert_eq(got.time_ns, expected);
        cr_assert_eq(got.recorded_ns, result.recorded_ns);
    }
    eddy_close(store);
}

static int64_t fake_clock(void *arg) {
    static const int64_t times[] = {1000, 5000, 3000, -7, 5000, 6000};
    unsigned *next = arg;
    return times[(*next)++ % 6];
}

Test(api_append, recorded_times_never_go_back, .timeout = 20) {
    unsigned next = 0;
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.clock = fake_clock;
    options.clock_arg = &next;
    eddy_store *store;
    must(eddy_open(&store, NULL, &options));
    int64_t last = INT64_MIN;
    for (unsigned i = 0; i < 30; i++) {
        eddy_result result;
        must(append(store, "s", EDDY_ANY, &result));
        cr_assert_geq(result.recorded_ns, last);
        last = result.recorded_ns;
        eddy_event got = event_at(store, i + 1);
        cr_assert_eq(got.recorded_ns, last);
        cr_assert_eq(got.time_ns, last);
    }
    cr_assert_eq(last, 6000);
    eddy_close(store);
}

Test(api_append, names_are_any_bytes_from_1_to_255, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    char name[257];
    for (int i = 0; i < 257; i++) {
        name[i] = (char)(i * 7);
    }
    size_t good[] = {1, 2, 8, 100, 254, 255};
    for (size_t i = 0; i < 6; i++) {
        eddy_new_event event = plain("x");
        must(eddy_append(store, eddy_mem(name, good[i]), EDDY_NONE, &event, 1, NULL));
        same_bytes(event_at(store, i + 1).stream, eddy_mem(name, good[i]));
    }
    size_t bad[] = {0, 256, 257, SIZE_MAX};
    for (size_t i = 0; i < 4; i++) {
        eddy_new_event event = plain("x");
        gives(eddy_append(store, eddy_mem(name, bad[i]), EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    }
    eddy_new_event event = plain("x");
    gives(eddy_append(store, eddy_mem(name, 256), EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    has_text(eddy_errmsg(), "256");
    has_text(eddy_errmsg(), "255");
    cr_assert_eq(sandbox_head(store), 6);
    /* A default id of the longest name. */
    eddy_event got = event_at(store, 6);
    cr_assert_eq(got.id.len, 257);
    cr_assert_eq(memcmp(got.id.ptr, name, 255), 0);
    cr_assert_eq(memcmp((const char *)got.id.ptr + 255, "-1", 2), 0);
    sandbox_check(store);
    eddy_close(store);
}

Test(api_append, types_and_ids_are_bounded, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    char bytes[1025];
    memset(bytes, 'b', sizeof bytes);
    eddy_new_event event = {.type = eddy_mem(bytes, EDDY_TYPE_MAX),
                            .id = eddy_mem(bytes, EDDY_ID_MAX)};
    must(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
    same_bytes(event_at(store, 1).type, event.type);
    same_bytes(event_at(store, 1).id, event.id);
    event.type.len++;
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    has_text(eddy_errmsg(), "1025");
    event.type.len--;
    event.id.len++;
    gives(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL), EDDY_EINVAL);
    has_text(eddy_errmsg(), "1025");
    cr_assert_eq(sandbox_head(store), 1);
    eddy_close(store);
}

Test(api_append, one_bad_event_among_good_ones_stores_none, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    char bytes[1025];
    memset(bytes, 'b', sizeof bytes);
    for (size_t bad = 0; bad < 3; bad++) {
        eddy_new_event events[3] = {plain("1"), plain("2"), plain("3")};
        events[bad].type = eddy_mem(bytes, 1025);
        gives(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 3, NULL), EDDY_EINVAL);
        events[bad] = plain("x");
        events[bad].tag_count = 1;
        gives(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 3, NULL), EDDY_EINVAL);
        events[bad] = plain("x");
        events[bad].flags = 0x100;
        gives(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 3, NULL), EDDY_EINVAL);
        events[bad] = plain("x");
        events[bad].data = eddy_mem(NULL, 10);
        gives(eddy_append(store, eddy_str("s"), EDDY_ANY, events, 3, NULL), EDDY_EINVAL);
    }
    cr_assert_eq(sandbox_head(store), 0);
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.streams, 0);
    eddy_close(store);
}

Test(api_append, a_read_only_handle_writes_nothing, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *reader = sandbox_again(store, EDDY_READ_ONLY);
    eddy_tx *tx;
    gives(append(reader, "s", EDDY_ANY, NULL), EDDY_EREADONLY);
    gives(eddy_tx_begin(reader, &tx), EDDY_EREADONLY);
    cr_assert_null(tx);
    must(append(store, "s", EDDY_ANY, NULL));
    cr_assert_eq(sandbox_head(reader), 1);
    eddy_close(reader);
    eddy_close(store);
}

Test(api_append, what_is_passed_in_may_be_overwritten_at_once, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    char name[] = "name";
    char data[] = "data";
    eddy_new_event event = {.type = eddy_str(name), .data = eddy_str(data)};
    must(eddy_append(store, eddy_str(name), EDDY_ANY, &event, 1, NULL));
    memset(name, 'X', 4);
    memset(data, 'X', 4);
    same_bytes(event_at(store, 1).stream, eddy_str("name"));
    same_bytes(event_at(store, 1).type, eddy_str("name"));
    same_bytes(event_at(store, 1).data, eddy_str("data"));
    eddy_close(store);
}

Test(api_append, random_appends_are_what_the_model_says, .timeout = 60) {
    eddy_store *store = sandbox_anonymous();
    struct model *model = model_create();
    struct rng rng = rng_make(11);
    struct model_room room = {0};
    for (int i = 0; i < 4000; i++) {
        char name[32];
        eddy_new_event event;
        eddy_result result;
        snprintf(name, sizeof name, "stream-%d", (int)rng_below(&rng, 40));
        model_random_event(&rng, &room, 3000, &event);
        int64_t expected = (int64_t)rng_below(&rng, 6) - 2;
        expected = rng_once_in(&rng, 2) ? expected : (int64_t)model_version(model, eddy_str(name));
        bool holds = model_holds(model, eddy_str(name), expected);
        int rc = eddy_append(store, eddy_str(name), expected, &event, 1, &result);
        cr_assert_eq(rc, holds ? 0 : EDDY_ECONFLICT, "%s (%s)", eddy_errname(rc), eddy_errmsg());
        if (holds) {
            model_append(model, eddy_str(name), &event);
            model_commit(model, result.recorded_ns);
            cr_assert_eq(result.last_offset, model_head(model));
        } else {
            cr_assert_eq(result.actual, model_version(model, eddy_str(name)));
        }
    }
    model_check_store(model, store);
    sandbox_check(store);
    model_destroy(model);
    free(room.bytes);
    eddy_close(store);
}

Test(api_append, a_hundred_thousand_streams_keep_their_own_versions, .timeout = 120) {
    enum { STREAMS = 100000 };
    eddy_store *store = sandbox_anonymous_of(UINT64_C(1) << 30);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < STREAMS; i++) {
            char name[32];
            snprintf(name, sizeof name, "user/%u/profile", i);
            must(append(store, name, (int64_t)round, NULL));
        }
    }
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.streams, STREAMS);
    cr_assert_eq(facts.head, 2 * STREAMS);
    eddy_event got = event_at(store, STREAMS + 1);
    cr_assert_eq(got.version, 2);
    same_bytes(got.stream, eddy_str("user/0/profile"));
    sandbox_check(store);
    eddy_close(store);
}
