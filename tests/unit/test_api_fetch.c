/* eddy_reader_fetch gives exactly what eddy_reader_next gives, whatever the sizes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eddy.h"
#include "support/rng.h"
#include "support/sandbox.h"

enum { EVENTS = 3000, STREAMS = 7 };

static void fill(eddy_store *store, struct rng *rng) {
    static unsigned char data[70000];
    const eddy_bytes tags[] = {eddy_str("a tag"), eddy_str("b")};
    memset(data, 'x', sizeof data);
    for (int i = 0; i < EVENTS;) {
        char name[64];
        char id[32];
        eddy_new_event e[40];
        memset(e, 0, sizeof e);
        size_t n = 1 + rng_below(rng, 40);
        (void)snprintf(id, sizeof id, "id-%d", i);
        for (size_t k = 0; k < n; k++) {
            bool large = rng_below(rng, 300) == 0;
            e[k].data = eddy_mem(data, large ? sizeof data : rng_below(rng, 200));
            e[k].type = eddy_str(rng_below(rng, 2) ? "a" : "bb");
            e[k].id = rng_below(rng, 5) ? eddy_mem(NULL, 0) : eddy_str(id);
            e[k].metadata = eddy_mem(data, rng_below(rng, 3));
            e[k].tags = tags;
            e[k].tag_count = (uint32_t)rng_below(rng, 3);
        }
        (void)snprintf(name, sizeof name, "stream-%d", (int)rng_below(rng, STREAMS));
        cr_assert_eq(eddy_append(store, eddy_str(name), EDDY_ANY, e, n, NULL), 0);
        i += (int)n;
    }
}

static bool same_bytes(eddy_bytes a, eddy_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static bool same_event(const eddy_event *a, const eddy_event *b) {
    return a->offset == b->offset && a->version == b->version && a->time_ns == b->time_ns &&
           a->recorded_ns == b->recorded_ns && a->shard == b->shard &&
           a->tx_offset == b->tx_offset && a->tx_count == b->tx_count &&
           same_bytes(a->stream, b->stream) && same_bytes(a->type, b->type) &&
           same_bytes(a->id, b->id) && same_bytes(a->data, b->data) &&
           same_bytes(a->metadata, b->metadata) && a->tag_count == b->tag_count &&
           same_bytes(a->tags, b->tags);
}

/* Reads a select in both ways, event by event, and says how many there were. */
static uint64_t compare(eddy_store *store, const eddy_select *select, size_t max) {
    eddy_reader *one;
    eddy_reader *many;
    eddy_event event;
    eddy_event *events = calloc(max, sizeof *events);
    uint64_t total = 0;
    size_t count;
    int rc;
    cr_assert_eq(eddy_reader_open(store, select, &one), 0);
    cr_assert_eq(eddy_reader_open(store, select, &many), 0);
    while ((rc = eddy_reader_fetch(many, events, max, &count)) == EDDY_EVENT) {
        cr_assert(count >= 1 && count <= max);
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(eddy_reader_next(one, &event), EDDY_EVENT);
            cr_assert(same_event(&event, &events[i]), "event %zu of a fetch", i);
        }
        eddy_position p;
        eddy_position q;
        cr_assert_eq(eddy_reader_position(one, &p), 0);
        cr_assert_eq(eddy_reader_position(many, &q), 0);
        cr_assert(p.offset == q.offset && p.version == q.version && p.looked_at == q.looked_at);
        total += count;
    }
    cr_assert_eq(count, 0);
    cr_assert_eq(rc, eddy_reader_next(one, &event));
    eddy_reader_close(one);
    eddy_reader_close(many);
    free(events);
    return total;
}

Test(api_fetch, a_fetch_gives_what_next_gives, .timeout = 60) {
    struct rng rng = rng_make(77);
    eddy_store *store = sandbox_anonymous();
    fill(store, &rng);
    eddy_facts facts = {.size = sizeof facts};
    cr_assert_eq(eddy_info(store, &facts), 0);
    static const size_t sizes[] = {1, 2, 7, 64, 1000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        eddy_select all = EDDY_SELECT_INIT;
        cr_assert_eq(compare(store, &all, sizes[i]), facts.events);
        all.flags = EDDY_FOLLOW;
        cr_assert_eq(compare(store, &all, sizes[i]), facts.events);
        eddy_select part = EDDY_SELECT_INIT;
        eddy_bytes type = eddy_str("bb");
        part.types = &type;
        part.type_count = 1;
        part.limit = 100;
        cr_assert_eq(compare(store, &part, sizes[i]), 100);
        eddy_select stream = EDDY_SELECT_INIT;
        stream.stream = eddy_str("stream-3");
        cr_assert_gt(compare(store, &stream, sizes[i]), 0);
        stream.flags = EDDY_BACKWARD | EDDY_BORROW;
        cr_assert_gt(compare(store, &stream, sizes[i]), 0);
        eddy_select some = EDDY_SELECT_INIT;
        some.after_offset = rng_below(&rng, EVENTS);
        some.to_offset = some.after_offset + 100;
        cr_assert_gt(compare(store, &some, sizes[i]), 0);
    }
    eddy_close(store);
}

Test(api_fetch, a_fetch_of_nothing_is_refused, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    eddy_reader *reader;
    eddy_event event;
    size_t count = 9;
    cr_assert_eq(eddy_reader_open(store, NULL, &reader), 0);
    cr_assert_eq(eddy_reader_fetch(reader, &event, 0, &count), EDDY_EINVAL);
    cr_assert_eq(count, 0);
    cr_assert_eq(eddy_reader_fetch(reader, &event, 1, &count), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(store);
}
