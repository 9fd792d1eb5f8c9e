#include "contract.h"

#include <inttypes.h>
#include <stdarg.h>

enum { TEXT_ROOM = 4096, WAIT_MS = 30000 };

static int64_t given_clock(void *arg) {
    return *(int64_t *)arg;
}

eddy_store *store_with_clock(int64_t *now) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_store *store = NULL;
    options.flags = EDDY_ANONYMOUS;
    options.cap = SANDBOX_CAP;
    options.clock = given_clock;
    options.clock_arg = now;
    must(eddy_open(&store, NULL, &options));
    return store;
}

eddy_facts facts_of(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts;
}

eddy_counts counts_of(eddy_store *store) {
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_stats(store, &counts));
    return counts;
}

/* ---- writing ---- */

eddy_new_event event_of(const char *type, const char *data) {
    return (eddy_new_event){.type = eddy_str(type), .data = eddy_str(data)};
}

void put(eddy_store *store, const char *stream, const char *data) {
    eddy_new_event event = event_of("", data);
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
}

void put_at(eddy_store *store, const char *stream, const char *data, int64_t time_ns,
            uint64_t shard) {
    eddy_new_event event = event_of("", data);
    event.time_ns = time_ns;
    event.flags = EDDY_TIME_GIVEN;
    event.shard = shard;
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
}

void put_many(eddy_store *store, const char *stream, unsigned count) {
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    for (unsigned i = 1; i <= count; i++) {
        char data[12];
        snprintf(data, sizeof data, "%u", i);
        eddy_new_event event = event_of("", data);
        must(eddy_tx_append(tx, eddy_str(stream), &event));
    }
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
}

int put_expecting(eddy_store *store, const char *stream, int64_t expected, eddy_result *result) {
    eddy_new_event event = event_of("type", "data");
    return eddy_append(store, eddy_str(stream), expected, &event, 1, result);
}

/* ---- reading ---- */

static char *new_text(void) {
    static char texts[8][TEXT_ROOM];
    static unsigned next;
    char *text = texts[next++ % 8];
    text[0] = '\0';
    return text;
}

__attribute__((format(printf, 2, 3))) static void say(char *text, const char *format, ...) {
    size_t len = strlen(text);
    va_list list;
    if (len > 0 && len + 1 < TEXT_ROOM) {
        text[len++] = ' ';
    }
    va_start(list, format);
    int n = vsnprintf(text + len, TEXT_ROOM - len, format, list);
    va_end(list);
    cr_assert(n >= 0 && (size_t)n < TEXT_ROOM - len, "too much to be said as a text");
}

static void say_event(char *text, const eddy_event *e, enum what what) {
    eddy_bytes bytes = what == DATA ? e->data : what == ID ? e->id : e->stream;
    int len = (int)bytes.len;
    const char *ptr = len ? bytes.ptr : "";
    if (what == VERSION || what == OFFSET) {
        say(text, "%" PRIu64, what == VERSION ? e->version : e->offset);
    } else if (what == TIME) {
        say(text, "%" PRId64, e->time_ns);
    } else if (what == PLACE) {
        say(text, "%.*s:%" PRIu64, len, ptr, e->version);
    } else {
        say(text, "%.*s", len, ptr);
    }
}

eddy_select select_all(void) {
    return (eddy_select)EDDY_SELECT_INIT;
}

eddy_select select_stream(const char *stream) {
    eddy_select select = EDDY_SELECT_INIT;
    select.stream = eddy_str(stream);
    return select;
}

eddy_reader *open_reader(eddy_store *store, const eddy_select *select) {
    eddy_reader *reader = NULL;
    must(eddy_reader_open(store, select, &reader));
    return reader;
}

eddy_position position_of(eddy_reader *reader) {
    eddy_position position;
    must(eddy_reader_position(reader, &position));
    return position;
}

static void say_next(char *text, eddy_reader *reader, unsigned count, enum what what) {
    eddy_event event;
    while (count > 0) {
        int got = eddy_reader_wait(reader, eddy_deadline_ms(WAIT_MS), &event);
        if (got == EDDY_EVENT) {
            say_event(text, &event, what);
            count--;
        } else if (got == EDDY_ELAPPED) {
            eddy_position p = position_of(reader);
            say(text, "(%" PRIu64 "..%" PRIu64 " gone)", p.lapped_from, p.lapped_to);
        } else {
            say(text, "%s", got == EDDY_END ? "end" : eddy_errname(got));
            return;
        }
    }
}

const char *next_text(eddy_reader *reader, unsigned count, enum what what) {
    char *text = new_text();
    say_next(text, reader, count, what);
    return text;
}

const char *read_text(eddy_store *store, const eddy_select *select, enum what what) {
    char *text = new_text();
    eddy_reader *reader = NULL;
    int got = eddy_reader_open(store, select, &reader);
    if (got < 0) {
        say(text, "%s", eddy_errname(got));
        return text;
    }
    say_next(text, reader, UINT32_MAX, what);
    eddy_reader_close(reader);
    size_t len = strlen(text);
    if (len >= 3 && strcmp(text + len - 3, "end") == 0) {
        text[len - (len > 3 ? 4 : 3)] = '\0';
    }
    return text;
}

static int say_stream(void *arg, const eddy_stream_facts *facts) {
    say(arg, "%s", facts->name);
    return 0;
}

const char *streams_text(eddy_store *store, const char *prefix, const char *after, size_t limit) {
    char *text = new_text();
    must(eddy_streams(store, eddy_str(prefix), eddy_str(after), limit, say_stream, text));
    return text;
}

int latest(eddy_store *store, const char *stream, eddy_event *event, char *data, size_t room) {
    eddy_select select = select_stream(stream);
    eddy_reader *reader = NULL;
    select.flags = EDDY_BACKWARD | EDDY_KNOWN;
    select.limit = 1;
    int got = eddy_reader_open(store, &select, &reader);
    if (got < 0) {
        return got;
    }
    got = eddy_reader_next(reader, event);
    if (got == EDDY_EVENT) {
        snprintf(data, room, "%.*s", (int)event->data.len, (const char *)event->data.ptr);
        event->data = eddy_str(data);
    }
    eddy_reader_close(reader);
    return got == EDDY_END ? EDDY_ENOENT : got;
}
