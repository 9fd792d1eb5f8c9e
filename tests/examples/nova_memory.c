/* The quick starts of nova's memory store, in eddy: limits, append, cursors, time ranges, subscriptions,
 * figures. */
#include "example.h"

#include <pthread.h>

#define HOUR (INT64_C(3600) * 1000000000)

static eddy_new_event event_of(const char *id, const char *type) {
    return (eddy_new_event){
        .id = eddy_str(id), .type = eddy_str(type), .data = eddy_str("{\"name\":\"Ada\"}")};
}

/* New(Config{...}) */
static eddy_store *make_store(void) {
    eddy_store *store = example_open("nova");
    eddy_limits limits = EDDY_LIMITS_INIT;
    limits.stream_events = 100000; /* MaxEventsPerStream: an append beyond is refused */
    limits.streams = 10000;        /* MaxStreams */
    limits.age_ns = 24 * HOUR;     /* RetentionDuration */
    must(eddy_limits_set(store, &limits, NULL));
    return store;
}

static void append(eddy_store *store) {
    eddy_new_event events[] = {event_of("evt-1", "user.created"), event_of("evt-2", "user.updated"),
                               event_of("evt-3", "user.updated")};
    eddy_new_event order = event_of("evt-4", "order.created");
    must(eddy_append(store, eddy_str("user-stream"), EDDY_ANY, events, 3, NULL));
    must(eddy_append(store, eddy_str("order-stream"), EDDY_ANY, &order, 1, NULL));
}

/* Read(cursor, limit): the position to go on from is that of the reader. */
static uint64_t read_from(eddy_store *store, uint64_t position, uint64_t limit) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_position now;
    eddy_reader *reader;
    eddy_event event;
    unsigned count = 0;
    select.flags = EDDY_KNOWN; /* an unknown stream is an error, EDDY_ENOENT */
    select.stream = eddy_str("user-stream");
    select.after_version = position;
    select.limit = limit;
    must(eddy_reader_open(store, &select, &reader));
    while (must(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        count++;
    }
    must(eddy_reader_position(reader, &now));
    eddy_reader_close(reader);
    say("read %u events, new position: %llu", count, (unsigned long long)now.version);
    return now.version;
}

/* ReadTimeRange(from, to): both inclusive, over all streams. */
static void read_time_range(eddy_store *store, int64_t from, int64_t to) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    unsigned count = 0;
    select.from_time_ns = from;
    select.to_time_ns = to;
    must(eddy_reader_open(store, &select, &reader));
    while (must(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        count++;
    }
    eddy_reader_close(reader);
    say("found %u events in that time", count);
}

struct subscription {
    eddy_reader *reader;
    unsigned seen;
    int ended_by;
};

/* Subscribe(): the history behind the cursor, then what comes, until it is cancelled. */
static void *listen_live(void *arg) {
    struct subscription *s = arg;
    eddy_event event;
    while ((s->ended_by = eddy_reader_wait(s->reader, EDDY_FOREVER, &event)) == EDDY_EVENT) {
        s->seen++;
    }
    return NULL;
}

static void subscribe(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    struct subscription s = {0};
    eddy_new_event event = event_of("evt-5", "user.updated");
    pthread_t thread;
    select.flags = EDDY_FOLLOW;
    select.stream = eddy_str("user-stream");
    select.after_version = 1;
    must(eddy_reader_open(store, &select, &s.reader));
    if (pthread_create(&thread, NULL, listen_live, &s) != 0) {
        exit(1);
    }
    must(eddy_append(store, eddy_str("user-stream"), EDDY_ANY, &event, 1, NULL));
    eddy_reader_wake(s.reader); /* the context is cancelled: after all there is has been given */
    pthread_join(thread, NULL);
    say("subscription saw %u events, and ended with %s", s.seen, eddy_errname(s.ended_by));
    eddy_reader_close(s.reader);
}

static int say_stream(void *arg, const eddy_stream_facts *facts) {
    (void)arg;
    say("%s: %llu events, last position %llu", facts->name, (unsigned long long)facts->count,
        (unsigned long long)facts->version);
    return 0;
}

/* Stats() and GetStreams() */
static void figures(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_info(store, &facts));
    must(eddy_stats(store, &counts));
    say("total events: %llu, streams: %llu, appended: %llu", (unsigned long long)facts.events,
        (unsigned long long)facts.streams, (unsigned long long)counts.events_appended);
    must((int)eddy_streams(store, eddy_str(""), eddy_str(""), 100, say_stream, NULL));
}

int main(void) {
    eddy_store *store = make_store();
    struct timespec clock;
    append(store);
    uint64_t position = read_from(store, 0, 2);
    position = read_from(store, position, 100);
    read_from(store, position, 100);
    clock_gettime(CLOCK_REALTIME, &clock);
    int64_t now = (int64_t)clock.tv_sec * 1000000000 + clock.tv_nsec;
    read_time_range(store, now - HOUR, now);
    read_time_range(store, now - 2 * HOUR, now - HOUR);
    subscribe(store);
    figures(store);
    must(eddy_shutdown(
        store)); /* Close(): all other calls give EDDY_ECLOSED, also those that wait */
    example_close(store, "nova");
    return said("read 2 events, new position: 2\n"
                "read 1 events, new position: 3\n"
                "read 0 events, new position: 3\n"
                "found 4 events in that time\n"
                "found 0 events in that time\n"
                "subscription saw 3 events, and ended with EDDY_ECANCELED\n"
                "total events: 5, streams: 2, appended: 5\n"
                "order-stream: 1 events, last position 1\n"
                "user-stream: 4 events, last position 4\n");
}
