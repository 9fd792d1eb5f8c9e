/* The quick starts of go-simple-eventstore, in eddy: Append, Load, Retrieve and Subscribe. */
#include "example.h"

/* Append(): -1 is EDDY_ANY, 0 is EDDY_NONE, else the version. */
static void append(eddy_store *store, const char *stream, const char *type, int64_t expected) {
    eddy_new_event event = {
        .type = eddy_str(type),
        .data = eddy_str("{\"user_id\": \"123\", \"name\": \"John Doe\"}"),
        .metadata = eddy_str("{\"source\":\"user-service\"}"),
    };
    eddy_result result;
    if (eddy_append(store, eddy_str(stream), expected, &event, 1, &result) == EDDY_ECONFLICT) {
        say("%s", eddy_errmsg());
    } else {
        say("appended version %llu", (unsigned long long)result.last_version);
    }
}

/* Gives all that a select gives, and closes the reader. */
static void print_all(eddy_store *store, const eddy_select *select) {
    eddy_reader *reader;
    eddy_event event;
    must(eddy_reader_open(store, select, &reader));
    while (must(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        say("  %llu %.*s %.*s", (unsigned long long)event.offset, SHOW(event.id), SHOW(event.type));
    }
    eddy_reader_close(reader);
}

/* Load(): the start is exclusive in both directions. */
static void load(eddy_store *store, uint64_t start, uint64_t limit, bool desc) {
    eddy_select select = EDDY_SELECT_INIT;
    select.stream = eddy_str("user-123");
    select.flags = desc ? EDDY_BACKWARD : 0;
    select.after_version = desc ? 0 : start;
    select.before_version = desc ? start : 0;
    select.limit = limit;
    say("load%s", desc ? ", newest first:" : ":");
    print_all(store, &select);
}

/* Retrieve() by offset, and by time: whole store, in order of append. */
static void retrieve(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    select.after_offset = 2; /* FromOffset: exclusive */
    select.limit = 100;      /* BatchSize */
    say("retrieve from offset 2:");
    print_all(store, &select);
    select = (eddy_select)EDDY_SELECT_INIT;
    select.from_time_ns = INT64_C(4000000000) * 1000000000; /* FromTimestamp: inclusive; in 2096 */
    say("retrieve from a time to come:");
    print_all(store, &select);
}

/* Subscribe(), from an offset: what is there, and what comes. */
static void subscribe(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    select.flags = EDDY_FOLLOW;
    select.after_offset = 3;
    must(eddy_reader_open(store, &select, &reader));
    append(store, "user-123", "UserRemoved", 3);
    while (must(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        say("received: %.*s (offset: %llu)", SHOW(event.type), (unsigned long long)event.offset);
    }
    /* Another thread or process appends while this one waits; here nobody does. */
    if (eddy_reader_wait(reader, eddy_deadline_ms(10), &event) == EDDY_ETIMEDOUT) {
        say("no more for now");
    }
    eddy_reader_close(reader); /* Close() */
}

int main(void) {
    eddy_store *store = example_open("go-simple");
    append(store, "user-123", "UserCreated", EDDY_NONE);
    append(store, "user-123", "UserRenamed", 1);
    append(store, "user-123", "UserRenamed", 1);
    append(store, "user-456", "UserCreated", EDDY_ANY);
    load(store, 0, 10, false);
    load(store, 0, 1, true);
    retrieve(store);
    append(store, "user-123", "UserMoved", EDDY_EXISTS);
    subscribe(store);
    example_close(store, "go-simple");
    return said("appended version 1\n"
                "appended version 2\n"
                "expected version 1 but stream 'user-123' is at version 2\n"
                "appended version 1\n"
                "load:\n"
                "  1 user-123-1 UserCreated\n"
                "  2 user-123-2 UserRenamed\n"
                "load, newest first:\n"
                "  2 user-123-2 UserRenamed\n"
                "retrieve from offset 2:\n"
                "  3 user-456-1 UserCreated\n"
                "retrieve from a time to come:\n"
                "appended version 3\n"
                "appended version 4\n"
                "received: UserMoved (offset: 4)\n"
                "received: UserRemoved (offset: 5)\n"
                "no more for now\n");
}
