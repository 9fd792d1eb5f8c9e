/* eddy.h from outside: what readers say of events that went before they were read. */
#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <string.h>

static eddy_store *store;
static eddy_reader *reader;
static eddy_event event;

static void append(const char *stream, unsigned count) {
    static eddy_new_event list[5000];
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, list, count, NULL));
}

static void keep(uint64_t events) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_limits none = EDDY_LIMITS_INIT;
    limits.flags = EDDY_DROP_EVENTS;
    limits.events = events;
    must(eddy_limits_set(store, &limits, NULL));
    must(eddy_limits_set(store, &none, NULL));
}

static void open_reader(eddy_store *s, uint32_t flags, const char *stream, const char *prefix) {
    eddy_select select = EDDY_SELECT_INIT;
    select.flags = flags;
    select.stream = eddy_str(stream);
    select.prefix = eddy_str(prefix);
    must(eddy_reader_open(s, &select, &reader));
}

static void reads(uint64_t from, uint64_t to) {
    for (uint64_t o = from; o <= to; o++) {
        gives(eddy_reader_next(reader, &event), EDDY_EVENT);
        cr_assert_eq(event.offset, o, "%llu, not %llu", (unsigned long long)event.offset,
                     (unsigned long long)o);
    }
}

static void lapses(uint64_t from, uint64_t to) {
    eddy_position position;
    char text[64];
    gives(eddy_reader_next(reader, &event), EDDY_ELAPPED);
    snprintf(text, sizeof text, "%llu to %llu", (unsigned long long)from, (unsigned long long)to);
    has_text(eddy_errmsg(), text);
    must(eddy_reader_position(reader, &position));
    cr_assert_eq(position.lapped_from, from);
    cr_assert_eq(position.lapped_to, to, "%llu", (unsigned long long)position.lapped_to);
    cr_assert_not(position.caught_up);
}

Test(api_lapse, who_is_passed_by_the_floor_is_told_once_and_goes_on, .timeout = 20) {
    for (int maintained = 0; maintained < 2; maintained++) {
        for (uint64_t at = 0; at < 500; at += 83) {
            store = sandbox_anonymous();
            append("s", 500);
            open_reader(store, EDDY_FOLLOW, "", "");
            gives(eddy_reader_next(reader, &event), EDDY_EVENT);
            reads(2, at + 1);
            append("s", 300);
            keep(100);
            if (maintained) {
                must(eddy_maintain(store, 0, NULL));
            }
            lapses(at + 2, 700);
            reads(701, 800);
            gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
            append("s", 3);
            keep(1);
            lapses(801, 802);
            reads(803, 803);
            gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
            eddy_reader_close(reader);
            eddy_close(store);
        }
    }
}

Test(api_lapse, who_has_read_all_that_went_is_told_nothing, .timeout = 20) {
    store = sandbox_anonymous();
    append("s", 100);
    open_reader(store, EDDY_FOLLOW, "", "");
    reads(1, 100);
    keep(1);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    append("s", 5);
    keep(5);
    must(eddy_maintain(store, 0, NULL));
    reads(101, 105);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_lapse, who_does_not_follow_ends_where_it_began, .timeout = 20) {
    store = sandbox_anonymous();
    append("s", 100);
    open_reader(store, 0, "", "");
    reads(1, 10);
    append("s", 100);
    keep(50);
    lapses(11, 100);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_lapse, holes_that_were_there_are_passed_in_silence, .timeout = 20) {
    store = sandbox_anonymous();
    append("a", 100);
    append("b", 100);
    append("a", 100);
    append("b", 100);
    must(eddy_delete(store, eddy_str("b"), EDDY_ANY, NULL));
    open_reader(store, EDDY_FOLLOW, "", "");
    reads(1, 100);
    must(eddy_maintain(store, 0, NULL));
    reads(201, 300);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    /* These come and go behind its back. */
    append("b", 10);
    append("a", 10);
    must(eddy_delete(store, eddy_str("b"), EDDY_ANY, NULL));
    lapses(401, 410);
    reads(411, 420);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_lapse, who_reads_a_stream_is_told_its_versions, .timeout = 20) {
    static const uint64_t cuts[] = {4, 6, 7, 13, 14, 15, 77, 78, 79, 142, 143, 150};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        for (int how = 0; how < 3; how++) {
            store = sandbox_anonymous();
            append("t", 7);
            append("s", 150); /* version v has offset 7 + v */
            open_reader(store, EDDY_FOLLOW, "s", "");
            reads(8, 10);
            if (how == 1) {
                keep(150 - cuts[i] ? 150 - cuts[i] : 1);
            } else {
                must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, cuts[i], NULL));
            }
            must(how == 2 ? eddy_maintain(store, 0, NULL) : 0);
            uint64_t gone = how == 1 && cuts[i] == 150 ? 149 : cuts[i];
            lapses(4, gone);
            reads(7 + gone + 1, 157);
            gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
            append("s", 1);
            reads(158, 158);
            eddy_reader_close(reader);
            eddy_close(store);
        }
    }
}

Test(api_lapse, who_names_a_place_that_has_gone_misses_what_lies_behind_it, .timeout = 20) {
    store = sandbox_anonymous();
    append("s", 300);
    keep(100);
    eddy_select select = EDDY_SELECT_INIT;
    select.after_offset = 50;
    must(eddy_reader_open(store, &select, &reader));
    lapses(51, 200);
    reads(201, 300);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    select.after_offset = 0;
    select.stream = eddy_str("s");
    select.after_version = 20;
    must(eddy_reader_open(store, &select, &reader));
    lapses(21, 200);
    reads(201, 300);
    gives(eddy_reader_next(reader, &event), EDDY_END);
    eddy_reader_close(reader);
    select.after_version = 200;
    must(eddy_reader_open(store, &select, &reader));
    reads(201, 300);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_lapse, backward_it_ends_at_the_floor_wherever_that_goes, .timeout = 20) {
    store = sandbox_anonymous();
    append("s", 300);
    keep(250);
    const char *streams[] = {"", "s"};
    for (int i = 0; i < 2; i++) {
        open_reader(store, EDDY_BACKWARD, streams[i], "");
        for (uint64_t o = 300; o > 280; o--) {
            reads(o, o);
        }
        keep(i ? 50 : 100);
        must(eddy_maintain(store, 0, NULL));
        for (uint64_t o = 280; o > (i ? 250u : 200u); o--) {
            reads(o, o);
        }
        gives(eddy_reader_next(reader, &event), EDDY_END);
        eddy_reader_close(reader);
    }
    eddy_close(store);
}

Test(api_lapse, a_filter_changes_nothing_of_that, .timeout = 20) {
    store = sandbox_anonymous();
    append("a/1", 10);
    append("b/1", 200);
    append("a/2", 10);
    open_reader(store, EDDY_FOLLOW, "", "a/");
    reads(1, 10);
    append("a/3", 10);
    keep(15);
    lapses(11, 215);
    reads(216, 230);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    eddy_reader_close(reader);
    eddy_close(store);
}

Test(api_lapse, without_a_slot_the_same_is_seen, .timeout = 20) {
    store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    append("s", 300);
    open_reader(look, EDDY_FOLLOW, "", "");
    reads(1, 30);
    keep(100);
    must(eddy_maintain(store, 0, NULL));
    lapses(31, 200);
    reads(201, 300);
    gives(eddy_reader_next(reader, &event), EDDY_CAUGHT_UP);
    eddy_reader_close(reader);
    open_reader(look, EDDY_FOLLOW, "s", "");
    reads(201, 210);
    must(eddy_truncate(store, eddy_str("s"), EDDY_ANY, 250, NULL));
    lapses(211, 250);
    reads(251, 300);
    eddy_reader_close(reader);
    eddy_close(look);
    eddy_close(store);
}

Test(api_lapse, fetching_many_gives_none_that_has_gone, .timeout = 20) {
    store = sandbox_anonymous();
    eddy_event list[64];
    size_t count;
    append("a", 30);
    append("b", 3);
    append("a", 30);
    append("c", 100);
    open_reader(store, 0, "", "");
    must(eddy_delete(store, eddy_str("b"), EDDY_ANY, NULL));
    uint64_t next = 1;
    int got;
    while ((got = eddy_reader_fetch(reader, list, 64, &count)) == EDDY_EVENT) {
        for (size_t i = 0; i < count; i++) {
            next = next == 31 ? 34 : next;
            cr_assert_eq(list[i].offset, next);
            next++;
        }
        if (next == 64 || next == 65) {
            keep(50);
        }
    }
    cr_assert(got == EDDY_END || got == EDDY_ELAPPED);
    if (got == EDDY_ELAPPED) {
        eddy_position position;
        must(eddy_reader_position(reader, &position));
        cr_assert_eq(position.lapped_from, next);
        cr_assert_eq(position.lapped_to, 113);
    } else {
        cr_assert_eq(next, 164);
    }
    eddy_reader_close(reader);
    eddy_close(store);
}

/* ---- borrowed ---- */

static eddy_facts facts_of(void) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

Test(api_lapse, what_is_borrowed_holds_though_it_has_gone_until_the_reader_goes_on, .timeout = 20) {
    static unsigned char data[1 << 20];
    store = sandbox_anonymous();
    memset(data, 0x3c, sizeof data);
    eddy_new_event big = {.data = eddy_mem(data, sizeof data)};
    append("s", 1);
    for (int i = 0; i < 3; i++) {
        must(eddy_append(store, eddy_str("big"), EDDY_ANY, &big, 1, NULL));
    }
    must(eddy_maintain(store, 0, NULL));
    open_reader(store, EDDY_BORROW | EDDY_FOLLOW, "big", "");
    gives(eddy_reader_next(reader, &event), EDDY_EVENT);
    uint64_t before = facts_of().free;
    must(eddy_delete(store, eddy_str("big"), EDDY_ANY, NULL));
    must(eddy_maintain(store, 0, NULL));
    cr_assert_geq(facts_of().free, before + 2 * sizeof data, "the others went");
    cr_assert_lt(facts_of().free, before + 3 * sizeof data, "this one did not");
    memset(data, 0x77, sizeof data);
    for (int i = 0; i < 2; i++) {
        must(eddy_append(store, eddy_str("other"), EDDY_ANY, &big, 1, NULL));
    }
    cr_assert_eq(eddy_reader_holds(reader), 1);
    for (size_t i = 0; i < sizeof data; i += 4096) {
        cr_assert_eq(((const unsigned char *)event.data.ptr)[i], 0x3c);
    }
    before = facts_of().free;
    gives(eddy_reader_next(reader, &event), EDDY_ELAPPED);
    must(eddy_maintain(store, 0, NULL));
    cr_assert_geq(facts_of().free, before + sizeof data);
    sandbox_check(store);
    eddy_reader_close(reader);
    eddy_close(store);
}
