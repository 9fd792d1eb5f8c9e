#include "unit_removal.h"

#include "event.h"
#include "support/check.h"
#include "support/sandbox.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- doing ---- */

static int64_t clock_of(void *arg) {
    return ((struct removal *)arg)->now;
}

void removal_open(struct removal *r, uint64_t cap, uint64_t which) {
    memset(r, 0, sizeof *r);
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = EDDY_ANONYMOUS;
    options.cap = cap;
    options.clock = clock_of;
    options.clock_arg = r;
    r->now = 1000000;
    r->rng = rng_make(which);
    r->events = calloc(REMOVAL_EVENTS_MAX, sizeof *r->events);
    CHECK(r->events != NULL);
    CHECK_OK(eddy_open(&r->store, NULL, &options));
    r->look = sandbox_again(r->store, EDDY_READ_ONLY);
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        snprintf(r->streams[i].name, sizeof r->streams[i].name, "%s-%u", i % 2 ? "odd" : "even", i);
    }
}

void removal_close(struct removal *r) {
    eddy_close(r->look);
    eddy_close(r->store);
    free(r->events);
}

static eddy_bytes name_of(const struct removal *r, unsigned stream) {
    return eddy_str(r->streams[stream].name);
}

/* Has a limit left nothing of it? Not its user, who may want it to stay. */
static bool is_emptied(const struct removal *r, unsigned stream) {
    const struct removal_stream *s = &r->streams[stream];
    return s->there && s->first < s->version && removal_events_of(r, stream, NULL, NULL, NULL) == 0;
}

/* Streams that a limit has emptied are removed soon after: are they yet? */
static void ask_emptied(struct removal *r) {
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        eddy_stream_facts facts = {.size = sizeof facts};
        if (is_emptied(r, i)) {
            r->streams[i].there = eddy_stream_info(r->store, name_of(r, i), &facts) == 0;
        }
    }
}

static uint64_t drop_emptied(struct removal *r) {
    uint64_t n = 0;
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        if (is_emptied(r, i)) {
            r->streams[i].there = false;
            n++;
        }
    }
    return n;
}

void removal_maintain(struct removal *r) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    CHECK_OK(eddy_maintain(r->store, 0, NULL));
    CHECK_OK(eddy_limits_get(r->store, &limits));
    if (limits.age_ns || (limits.flags & (EDDY_DROP_EVENTS | EDDY_DROP_BYTES))) {
        (void)drop_emptied(r);
    }
}

void removal_append(struct removal *r, unsigned stream, unsigned events, size_t data_max) {
    static const unsigned char data[1 << 16];
    struct removal_stream *s = &r->streams[stream];
    eddy_new_event list[128];
    eddy_result result;
    CHECK(events <= 128 && r->count + events <= REMOVAL_EVENTS_MAX);
    ask_emptied(r);
    r->now += 10;
    for (unsigned i = 0; i < events; i++) {
        list[i] = (eddy_new_event){.data = eddy_mem(data, rng_below(&r->rng, data_max + 1)),
                                   .time_ns = r->now};
        r->events[r->count + i] = (struct removal_event){.stream = stream,
                                                         .version = s->version + i + 1,
                                                         .bytes = eddy_event_size(&list[i], true),
                                                         .recorded = r->now,
                                                         .time = r->now,
                                                         .there = true};
    }
    int64_t expected = s->there ? (int64_t)s->version : EDDY_NONE;
    CHECK_OK(eddy_append(r->store, name_of(r, stream), expected, list, events, &result));
    CHECK_EQ(result.first_offset, r->count + 1);
    CHECK_EQ(result.last_version, s->version + events);
    r->count += events;
    s->version += events;
    if (!s->known) {
        s->made = ++r->made;
    }
    s->known = true;
    s->there = true;
}

void removal_gone(struct removal *r, uint64_t offset) {
    r->events[offset - 1].there = false;
}

static uint64_t cut_upto(struct removal *r, unsigned stream, uint64_t version) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < r->count; i++) {
        struct removal_event *e = &r->events[i];
        if (e->there && e->stream == stream && e->version <= version) {
            e->there = false;
            n++;
        }
    }
    return n;
}

void removal_truncate(struct removal *r, unsigned stream, uint64_t version) {
    eddy_result result;
    struct removal_stream *s = &r->streams[stream];
    ask_emptied(r);
    uint64_t n = cut_upto(r, stream, version);
    if (s->there && version > s->first) {
        s->first = version < s->version ? version : s->version;
    }
    CHECK_OK(eddy_truncate(r->store, name_of(r, stream), EDDY_ANY, version, &result));
    CHECK_EQ(result.removed, n);
}

void removal_stream_gone(struct removal *r, unsigned stream) {
    (void)cut_upto(r, stream, UINT64_MAX);
    r->streams[stream].there = false;
    r->streams[stream].first = r->streams[stream].version;
}

void removal_delete(struct removal *r, unsigned stream) {
    eddy_result result;
    uint64_t n = cut_upto(r, stream, UINT64_MAX);
    r->streams[stream].there = false;
    r->streams[stream].first = r->streams[stream].version;
    CHECK_OK(eddy_delete(r->store, name_of(r, stream), EDDY_ANY, &result));
    CHECK_EQ(result.removed, n);
}

void removal_forget(struct removal *r, unsigned stream) {
    eddy_result result;
    struct removal_stream *s = &r->streams[stream];
    int got = eddy_forget(r->store, name_of(r, stream), &result);
    CHECK_EQ(got, s->known ? 0 : EDDY_ENOENT);
    if (s->known) {
        CHECK_EQ(result.removed, cut_upto(r, stream, UINT64_MAX));
    }
    s->known = false;
    s->there = false;
    s->version = 0;
    s->first = 0;
    /* Its old events are none of the next stream of that name. */
    for (uint64_t i = 0; i < r->count; i++) {
        if (r->events[i].stream == stream) {
            r->events[i].stream = REMOVAL_STREAMS;
        }
    }
}

void removal_remove_empty(struct removal *r) {
    int64_t n = 0;
    ask_emptied(r);
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        if (r->streams[i].there && removal_events_of(r, i, NULL, NULL, NULL) == 0) {
            r->streams[i].there = false;
            n++;
        }
    }
    CHECK_EQ(eddy_remove_empty(r->store, eddy_str("")), n);
}

void removal_forget_removed(struct removal *r) {
    int64_t n = 0;
    ask_emptied(r);
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        if (r->streams[i].known && !r->streams[i].there) {
            r->streams[i].known = false;
            r->streams[i].version = 0;
            r->streams[i].first = 0;
            n++;
            for (uint64_t k = 0; k < r->count; k++) {
                r->events[k].stream =
                    r->events[k].stream == i ? REMOVAL_STREAMS : r->events[k].stream;
            }
        }
    }
    CHECK_EQ(eddy_forget_removed(r->store, eddy_str("")), n);
}

void removal_keep(struct removal *r, uint64_t events) {
    eddy_limits limits = EDDY_LIMITS_INIT;
    eddy_limits none = EDDY_LIMITS_INIT;
    eddy_dropped dropped = {.size = sizeof dropped};
    eddy_dropped preview = {.size = sizeof preview};
    uint64_t n = 0;
    uint64_t bytes = 0;
    uint64_t there = removal_events(r);
    for (uint64_t i = 0; i < r->count && there - n > events; i++) {
        if (r->events[i].there) {
            r->events[i].there = false;
            bytes += r->events[i].bytes;
            n++;
        }
    }
    limits.events = events;
    limits.flags = EDDY_DROP_EVENTS;
    CHECK_OK(eddy_limits_preview(r->look, &limits, &preview));
    CHECK_OK(eddy_limits_set(r->store, &limits, &dropped));
    CHECK_EQ(preview.events, n);
    CHECK_EQ(preview.bytes, bytes);
    CHECK_EQ(dropped.events, n);
    CHECK_EQ(dropped.bytes, bytes);
    CHECK_EQ(dropped.streams, drop_emptied(r));
    CHECK_EQ(preview.streams, dropped.streams);
    CHECK_OK(eddy_limits_set(r->store, &none, NULL));
}

/* ---- the model ---- */

uint64_t removal_events_of(const struct removal *r, unsigned stream, uint64_t *bytes,
                           uint64_t *first_offset, uint64_t *last_offset) {
    uint64_t n = 0;
    uint64_t sum = 0;
    uint64_t first = 0;
    uint64_t last = 0;
    for (uint64_t i = 0; i < r->count; i++) {
        const struct removal_event *e = &r->events[i];
        if (e->there && (stream == UINT_MAX || e->stream == stream)) {
            first = first ? first : i + 1;
            last = i + 1;
            sum += e->bytes;
            n++;
        }
    }
    if (bytes) {
        *bytes = sum;
    }
    if (first_offset) {
        *first_offset = first;
    }
    if (last_offset) {
        *last_offset = last;
    }
    return n;
}

uint64_t removal_events(const struct removal *r) {
    return removal_events_of(r, UINT_MAX, NULL, NULL, NULL);
}

uint64_t removal_bytes(const struct removal *r) {
    uint64_t bytes;
    (void)removal_events_of(r, UINT_MAX, &bytes, NULL, NULL);
    return bytes;
}

uint64_t removal_streams(const struct removal *r) {
    uint64_t n = 0;
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        n += r->streams[i].there;
    }
    return n;
}

/* ---- comparing ---- */

static void compare_totals(const struct removal *r, eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    uint64_t first;
    uint64_t bytes;
    uint64_t events = removal_events_of(r, UINT_MAX, &bytes, &first, NULL);
    CHECK_OK(eddy_info(store, &facts));
    CHECK_EQ(facts.head, r->count);
    CHECK_EQ(facts.events, events);
    CHECK_EQ(facts.bytes, bytes);
    CHECK_EQ(facts.first, first);
    CHECK_EQ(facts.streams, removal_streams(r));
}

static int count_listed(void *arg, const eddy_stream_facts *facts) {
    (void)facts;
    ++*(uint64_t *)arg;
    return 0;
}

static void compare_streams(const struct removal *r, eddy_store *store) {
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        const struct removal_stream *s = &r->streams[i];
        eddy_stream_facts facts = {.size = sizeof facts};
        int got = eddy_stream_info(store, name_of(r, i), &facts);
        CHECK_EQ(got, s->there ? 0 : EDDY_ENOENT);
        if (!s->there) {
            continue;
        }
        uint64_t bytes;
        uint64_t first;
        uint64_t last;
        uint64_t n = removal_events_of(r, i, &bytes, &first, &last);
        CHECK_EQ(facts.version, s->version);
        CHECK_EQ(facts.count, n);
        CHECK_EQ(facts.bytes, bytes);
        CHECK_EQ(facts.first_offset, first);
        CHECK_EQ(facts.first_version, first ? r->events[first - 1].version : 0);
        if (n > 0) {
            CHECK_EQ(facts.last_offset, last);
        }
    }
    uint64_t listed = 0;
    CHECK_OK(eddy_streams(store, eddy_str(""), eddy_str(""), 1000, count_listed, &listed));
    CHECK_EQ(listed, removal_streams(r));
}

struct want {
    const struct removal *r;
    eddy_select select;
    bool prefix_even;
    unsigned stream; /* or UINT_MAX */
};

static bool wanted(const struct want *w, uint64_t offset) {
    const struct removal_event *e = &w->r->events[offset - 1];
    const eddy_select *s = &w->select;
    return e->there && (w->stream == UINT_MAX || e->stream == w->stream) &&
           (s->prefix.len == 0 || e->stream % 2 == 0) && offset > s->after_offset &&
           (s->to_offset == 0 || offset <= s->to_offset) &&
           (s->stream.len == 0 ||
            (e->version > s->after_version && (!s->to_version || e->version <= s->to_version))) &&
           (s->from_recorded_ns == 0 || e->recorded >= s->from_recorded_ns);
}

/* The next offset after this one, in the reader's direction; 0: none. */
static uint64_t next_wanted(const struct want *w, uint64_t offset, bool back) {
    uint64_t n = w->r->count;
    for (uint64_t o = back ? (offset ? offset - 1 : n) : offset + 1; o >= 1 && o <= n;
         o = back ? o - 1 : o + 1) {
        if (wanted(w, o)) {
            return o;
        }
    }
    return 0;
}

static void compare_event(const struct removal *r, const eddy_event *e, uint64_t offset) {
    const struct removal_event *m = &r->events[offset - 1];
    CHECK_EQ(e->offset, offset);
    CHECK_EQ(e->version, m->version);
    CHECK_EQ(e->recorded_ns, m->recorded);
    CHECK(e->stream.len == strlen(r->streams[m->stream].name) &&
          memcmp(e->stream.ptr, r->streams[m->stream].name, e->stream.len) == 0);
}

/* Who begins at a place that has gone is told so once, if `lapse`; else never. */
static void compare_reader(const struct want *w, eddy_store *store, bool fetch, bool lapse) {
    eddy_reader *reader;
    eddy_event list[32];
    bool back = (w->select.flags & EDDY_BACKWARD) != 0;
    uint64_t at = 0;
    unsigned lapses = 0;
    CHECK_OK(eddy_reader_open(store, &w->select, &reader));
    for (;;) {
        size_t count = 1;
        int got = fetch ? eddy_reader_fetch(reader, list, 32, &count)
                        : eddy_reader_next(reader, &list[0]);
        if (got == EDDY_ELAPPED && lapse && lapses++ == 0 && at == 0) {
            continue;
        }
        uint64_t due = next_wanted(w, at, back);
        CHECK_SAY(got == (due ? EDDY_EVENT : EDDY_END),
                  "gave %d (%s) where offset %llu is due; stream %.*s flags %x", got,
                  got < 0 ? eddy_errmsg() : "", (unsigned long long)due, (int)w->select.stream.len,
                  (const char *)w->select.stream.ptr, w->select.flags);
        if (got == EDDY_END) {
            break;
        }
        for (size_t i = 0; i < count; i++) {
            at = next_wanted(w, at, back);
            CHECK(at != 0);
            compare_event(w->r, &list[i], at);
        }
    }
    eddy_reader_close(reader);
}

static void compare_both_ways(struct want *w, eddy_store *store, bool lapse) {
    w->select.flags = 0;
    compare_reader(w, store, false, lapse);
    compare_reader(w, store, true, lapse);
    w->select.flags = EDDY_BACKWARD;
    compare_reader(w, store, false, false);
    w->select.flags = 0;
}

static struct want want_all(const struct removal *r) {
    struct want w = {.r = r, .stream = UINT_MAX, .select = EDDY_SELECT_INIT};
    return w;
}

static void compare_readers(struct removal *r, eddy_store *store) {
    struct want w = want_all(r);
    compare_both_ways(&w, store, false);
    w.select.prefix = eddy_str("even");
    compare_both_ways(&w, store, false);
    w = want_all(r);
    w.select.after_offset = rng_below(&r->rng, r->count + 1);
    w.select.to_offset = rng_below(&r->rng, r->count + 1);
    compare_both_ways(&w, store, true);
    w = want_all(r);
    w.select.from_recorded_ns = 1000000 + (int64_t)rng_below(&r->rng, (uint64_t)r->now - 999999);
    compare_both_ways(&w, store, false);
    for (unsigned i = 0; i < REMOVAL_STREAMS; i++) {
        w = want_all(r);
        w.stream = i;
        w.select.stream = name_of(r, i);
        compare_both_ways(&w, store, false);
        w.select.after_version = rng_below(&r->rng, r->streams[i].version + 1);
        w.select.to_version = rng_below(&r->rng, r->streams[i].version + 1);
        compare_both_ways(&w, store, true);
        w.select.after_version = 0;
        w.select.to_version = 0;
        w.select.after_offset = rng_below(&r->rng, r->count + 1);
        compare_both_ways(&w, store, true);
    }
}

static void compare_gets(struct removal *r, eddy_store *store) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event e;
    CHECK(buffer != NULL);
    for (int i = 0; i < 60 && r->count > 0; i++) {
        uint64_t offset = 1 + rng_below(&r->rng, r->count);
        const struct removal_event *m = &r->events[offset - 1];
        int got = eddy_get(store, offset, buffer, &e);
        CHECK_EQ(got, m->there ? 0 : EDDY_ENOENT);
        if (m->there) {
            compare_event(r, &e, offset);
        }
        if (m->stream >= REMOVAL_STREAMS) {
            continue;
        }
        got = eddy_get_version(store, name_of(r, m->stream), m->version, buffer, &e);
        CHECK_EQ(got, m->there ? 0 : EDDY_ENOENT);
        if (m->there) {
            compare_event(r, &e, offset);
        }
    }
    CHECK_EQ(eddy_get(store, r->count + 1, buffer, &e), EDDY_ENOENT);
    eddy_buffer_destroy(buffer);
}

void removal_compare_quick(struct removal *r) {
    struct want w = want_all(r);
    ask_emptied(r);
    compare_totals(r, r->store);
    compare_streams(r, r->store);
    compare_reader(&w, r->store, true, false);
}

void removal_compare(struct removal *r) {
    eddy_store *stores[] = {r->store, r->look};
    ask_emptied(r);
    for (int i = 0; i < 2; i++) {
        compare_totals(r, stores[i]);
        compare_streams(r, stores[i]);
        compare_readers(r, stores[i]);
        compare_gets(r, stores[i]);
    }
    sandbox_check(r->store);
}
