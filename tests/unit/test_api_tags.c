/* eddy.h from outside: events have tags, which read back by every way there is and select them. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_tags(const eddy_event *e, const eddy_bytes *tags, uint32_t count) {
    cr_assert_eq(e->tag_count, count, "offset %llu", (unsigned long long)e->offset);
    for (uint32_t k = 0; k < count; k++) {
        eddy_bytes tag = eddy_tag(e, k);
        cr_assert(tag.len == tags[k].len && memcmp(tag.ptr, tags[k].ptr, tag.len) == 0);
    }
    cr_assert_eq(eddy_tag(e, count).len, 0);
    cr_assert_eq(eddy_tag(e, UINT32_MAX).len, 0);
}

/* As many tags as there may be, each as long as it may be. */
static const eddy_bytes *most_tags(void) {
    static char bytes[EDDY_TAGS_MAX][EDDY_TAG_MAX];
    static eddy_bytes tags[EDDY_TAGS_MAX];
    for (unsigned i = 0; i < EDDY_TAGS_MAX; i++) {
        memset(bytes[i], (int)i, EDDY_TAG_MAX);
        tags[i] = eddy_mem(bytes[i], EDDY_TAG_MAX);
    }
    return tags;
}

/* ---- writing and reading back ---- */

enum { WAYS = 7 };
static const char large[100000];

/* Writes an event by one of the ways there are: gives its offset. */
static uint64_t write_by(eddy_store *store, int way, eddy_new_event *event) {
    eddy_new_event few[3] = {*event, {.data = eddy_str("none")}, *event};
    static eddy_new_event many[100];
    static char key[16];
    eddy_result result;
    void *place;
    eddy_tx *tx;
    (void)snprintf(key, sizeof key, "key %u", event->tag_count);
    switch (way) {
    case 0: /* directly, once the stream is known */
        must(eddy_append(store, eddy_str("one"), EDDY_ANY, event, 1, &result));
        must(eddy_append(store, eddy_str("one"), EDDY_ANY, event, 1, &result));
        return result.last_offset;
    case 1:
        must(eddy_append(store, eddy_str("one"), EDDY_ANY, few, 3, &result));
        return result.last_offset;
    case 2:
        many[98] = *event;
        must(eddy_append(store, eddy_str("one"), EDDY_ANY, many, 100, &result));
        return result.last_offset - 1;
    case 3:
        event->data = eddy_mem(large, sizeof large);
        must(eddy_append(store, eddy_str("large"), EDDY_ANY, event, 1, &result));
        return result.last_offset;
    case 4:
        must(eddy_tx_begin(store, &tx));
        must(eddy_tx_append(tx, eddy_str("two"), &few[1]));
        must(eddy_tx_append(tx, eddy_str("one"), event));
        must(eddy_tx_commit(tx, &result));
        eddy_tx_free(tx);
        return result.last_offset;
    case 5:
        must(eddy_append_once(store, eddy_str(key), eddy_str("one"), EDDY_ANY, few, 3, &result));
        return result.last_offset;
    default:
        event->data = eddy_mem(NULL, 5);
        must(eddy_tx_begin(store, &tx));
        must(eddy_tx_reserve(tx, eddy_str("one"), event, &place));
        memcpy(place, "later", 5);
        must(eddy_tx_commit(tx, &result));
        eddy_tx_free(tx);
        return result.last_offset;
    }
}

static void assert_by_every_way(eddy_store *store, uint64_t offset, const eddy_bytes *tags,
                                uint32_t count) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event e;
    eddy_event many[8];
    must(eddy_get(store, offset, buffer, &e));
    assert_tags(&e, tags, count);
    must(eddy_get_version(store, e.stream, e.version, buffer, &e));
    assert_tags(&e, tags, count);
    for (uint32_t flags = 0; flags <= (EDDY_BACKWARD | EDDY_BORROW); flags += EDDY_BACKWARD) {
        eddy_select select = EDDY_SELECT_INIT;
        eddy_reader *reader;
        select.flags = flags;
        select.after_offset = flags & EDDY_BACKWARD ? 0 : offset - 1;
        select.to_offset = flags & EDDY_BACKWARD ? offset : 0;
        must(eddy_reader_open(store, &select, &reader));
        gives(eddy_reader_next(reader, &e), EDDY_EVENT);
        cr_assert_eq(e.offset, offset);
        assert_tags(&e, tags, count);
        eddy_reader_close(reader);
    }
    eddy_reader *reader;
    size_t n;
    must(eddy_reader_open(store, NULL, &reader));
    do {
        gives(eddy_reader_fetch(reader, many, 8, &n), EDDY_EVENT);
    } while (many[n - 1].offset < offset);
    assert_tags(&many[n - 1 - (many[n - 1].offset - offset)], tags, count);
    eddy_reader_close(reader);
    eddy_buffer_destroy(buffer);
}

Test(api_tags, read_back_by_every_way_whatever_they_are, .timeout = 30) {
    const eddy_bytes some[] = {eddy_str("order"), eddy_mem("\0\xff", 2), eddy_str("order")};
    const struct {
        const eddy_bytes *tags;
        uint32_t count;
    } cases[] = {{some, 1}, {some, 3}, {most_tags(), EDDY_TAGS_MAX}, {NULL, 0}};
    eddy_store *store = sandbox_anonymous();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int way = 0; way < WAYS; way++) {
            eddy_new_event e = {.data = eddy_str("data"),
                                .metadata = eddy_str(way & 1 ? "m" : ""),
                                .type = eddy_str(way & 2 ? "t" : ""),
                                .shard = (uint64_t)way & 4,
                                .tag_count = cases[i].count,
                                .tags = cases[i].tags};
            uint64_t offset = write_by(store, way, &e);
            assert_by_every_way(store, offset, cases[i].tags, cases[i].count);
        }
    }
    must(eddy_check(store, NULL, NULL));
    eddy_close(store);
}

Test(api_tags, what_is_no_tag_is_refused_whole, .timeout = 10) {
    static char bytes[300];
    eddy_store *store = sandbox_anonymous();
    const eddy_bytes tags[] = {eddy_str("fine"), eddy_mem(bytes, 256), eddy_mem("", 0),
                               eddy_mem(NULL, 3)};
    for (unsigned i = 0; i < 5; i++) {
        eddy_bytes given[EDDY_TAGS_MAX + 1];
        for (unsigned k = 0; k <= EDDY_TAGS_MAX; k++) {
            given[k] = tags[0];
        }
        eddy_new_event e[2] = {{.tags = given, .tag_count = 1}, {.tags = given, .tag_count = 2}};
        if (i < 3) {
            given[1] = tags[i + 1];
        } else if (i == 3) {
            e[1].tag_count = EDDY_TAGS_MAX + 1;
        } else {
            e[1].tags = NULL;
        }
        gives(eddy_append(store, eddy_str("s"), EDDY_ANY, e, 2, NULL), EDDY_EINVAL);
        eddy_select select = EDDY_SELECT_INIT;
        eddy_reader *reader;
        select.tags = e[1].tags;
        select.tag_count = e[1].tag_count;
        gives(eddy_reader_open(store, &select, &reader), EDDY_EINVAL);
        cr_assert(strstr(eddy_errmsg(), "tag"), "%s", eddy_errmsg());
    }
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.head, 0);
    cr_assert_eq(facts.streams, 0);
    eddy_close(store);
}

/* ---- selecting ---- */

enum { EVENTS = 300 };
static const char *const words[] = {"three", "four", "five", "seven"};
static const unsigned primes[] = {3, 4, 5, 7};

/* Event k has the tag of each number that divides k. */
static void append_numbered(eddy_store *store, unsigned k) {
    eddy_bytes tags[4];
    eddy_new_event e = {.data = eddy_mem(&k, sizeof k), .tags = tags};
    for (unsigned i = 0; i < 4; i++) {
        if (k % primes[i] == 0) {
            tags[e.tag_count++] = eddy_str(words[i]);
        }
    }
    must(eddy_append(store, eddy_str(k % 2 ? "odd" : "even"), EDDY_ANY, &e, 1, NULL));
}

static bool divides(unsigned mask, unsigned k) {
    for (unsigned i = 0; i < 4; i++) {
        if ((mask & 1u << i) && k % primes[i] != 0) {
            return false;
        }
    }
    return true;
}

static eddy_select select_of(unsigned mask, eddy_bytes *tags) {
    eddy_select select = EDDY_SELECT_INIT;
    for (unsigned i = 0; i < 4; i++) {
        if (mask & 1u << i) {
            tags[select.tag_count++] = eddy_str(words[i]);
        }
    }
    select.tags = tags;
    return select;
}

Test(api_tags, events_that_have_all_of_them_are_selected, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    for (unsigned k = 1; k <= EVENTS; k++) {
        append_numbered(store, k);
    }
    for (unsigned mask = 0; mask < 16; mask++) {
        for (uint32_t flags = 0; flags <= (EDDY_BACKWARD | EDDY_BORROW); flags += EDDY_BACKWARD) {
            eddy_bytes tags[4];
            eddy_select select = select_of(mask, tags);
            eddy_reader *reader;
            eddy_event e;
            bool back = (flags & EDDY_BACKWARD) != 0;
            select.flags = flags;
            must(eddy_reader_open(store, &select, &reader));
            memset(tags, 0, sizeof tags); /* it has its own */
            for (unsigned i = 1; i <= EVENTS; i++) {
                unsigned k = back ? EVENTS + 1 - i : i;
                if (divides(mask, k)) {
                    gives(eddy_reader_next(reader, &e), EDDY_EVENT);
                    cr_assert_eq(e.offset, k);
                }
            }
            gives(eddy_reader_next(reader, &e), EDDY_END);
            eddy_reader_close(reader);
        }
    }
    eddy_bytes unknown[] = {eddy_str("three"), eddy_str("thre")};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event e;
    select.tags = unknown;
    select.tag_count = 2;
    must(eddy_reader_open(store, &select, &reader));
    gives(eddy_reader_next(reader, &e), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_tags, those_that_come_are_followed_and_the_others_passed, .timeout = 30) {
    eddy_store *store = sandbox_anonymous();
    eddy_bytes tags[4];
    eddy_select select = select_of(9, tags); /* three and seven */
    eddy_reader *all;
    eddy_reader *odd;
    eddy_event e;
    eddy_position position;
    select.flags = EDDY_FOLLOW;
    must(eddy_reader_open(store, &select, &all));
    select.stream = eddy_str("odd");
    must(eddy_reader_open(store, &select, &odd));
    for (unsigned k = 1; k <= EVENTS; k++) {
        append_numbered(store, k);
        gives(eddy_reader_next(all, &e), k % 21 ? EDDY_CAUGHT_UP : EDDY_EVENT);
        cr_assert(k % 21 || e.offset == k);
        gives(eddy_reader_next(odd, &e), k % 42 == 21 ? EDDY_EVENT : EDDY_CAUGHT_UP);
        must(eddy_reader_position(all, &position));
        cr_assert_eq(position.looked_at, k);
        cr_assert_eq(position.offset, k / 21 * 21);
    }
    eddy_reader_close(all);
    eddy_reader_close(odd);
    eddy_close(store);
}

/* ---- conditions ---- */

Test(api_tags, a_condition_finds_an_event_by_its_tags, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    const eddy_bytes red = eddy_str("red");
    const eddy_bytes both[] = {eddy_str("large"), red};
    const eddy_new_event e = {.tags = both, .tag_count = 2};
    const eddy_bytes wanted[] = {eddy_str("red"), eddy_str("small")};
    for (uint32_t n = 0; n < 2; n++) { /* red alone is there; red and small is not */
        eddy_select select = EDDY_SELECT_INIT;
        eddy_result result;
        eddy_tx *tx;
        must(eddy_append(store, eddy_str("s"), EDDY_ANY, &e, 1, NULL));
        select.tags = wanted;
        select.tag_count = n + 1;
        must(eddy_tx_begin(store, &tx));
        must(eddy_tx_expect_none(tx, &select, 0));
        must(eddy_tx_append(tx, eddy_str("t"), &e));
        gives(eddy_tx_commit(tx, &result), n == 0 ? EDDY_ECONFLICT : 0);
        cr_assert_eq(result.actual, n == 0 ? 1 : 0);
        eddy_tx_free(tx);
    }
    eddy_close(store);
}
