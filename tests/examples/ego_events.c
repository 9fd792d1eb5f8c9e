/* The quick start of eGo's events store, in eddy. Connect is eddy_open(), a persistence id a stream, a
 * sequence number a version; the payload's type url is the type, its bytes the data, and the resulting
 * state goes with the metadata. */
#include "example.h"

static const char *const ACCOUNT = "account-42";

/* WriteEvents(): one event of sequence number 1 to an account that is not there yet. */
static void write_events(eddy_store *store) {
    eddy_new_event event = {
        .type = eddy_str("acme.billing.AccountOpened"),
        .data = eddy_str("{\"account_id\":\"account-42\"}"),
        .metadata = eddy_str("{\"state\":{\"balance_cents\":1000}}"),
        .time_ns = INT64_C(1700000000000) * 1000000, /* eGo has milliseconds */
        .shard = 0,
        .flags = EDDY_SHARD_GIVEN, /* it is in shard 0, and not in none */
    };
    must(eddy_append(store, eddy_str(ACCOUNT), EDDY_NONE, &event, 1, NULL));
    for (int i = 0; i < 4; i++) {
        eddy_new_event deposit = {.type = eddy_str("acme.billing.Deposited"),
                                  .data = eddy_str("{\"cents\":50}")};
        must(eddy_append(store, eddy_str(ACCOUNT), EDDY_ANY, &deposit, 1, NULL));
    }
}

/* GetLatestEvent() */
static void latest_event(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    select.stream = eddy_str(ACCOUNT);
    select.flags = EDDY_BACKWARD;
    select.limit = 1;
    must(eddy_reader_open(store, &select, &reader));
    if (must(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        say("last seq number: %llu (%.*s)", (unsigned long long)event.version, SHOW(event.type));
    }
    eddy_reader_close(reader);
}

/* ReplayEvents(from, to, max): both bounds inclusive */
static void replay(eddy_store *store, uint64_t from, uint64_t to, uint64_t max) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    unsigned count = 0;
    select.stream = eddy_str(ACCOUNT);
    select.after_version = from - 1; /* exclusive */
    select.to_version = to;          /* inclusive */
    select.limit = max;
    must(eddy_reader_open(store, &select, &reader));
    while (must(eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        count++;
    }
    eddy_reader_close(reader);
    say("replayed %u events", count);
}

static int say_shard_event(void *arg, const eddy_event *event) {
    (void)arg;
    say("in shard %llu: %.*s", (unsigned long long)event->shard, SHOW(event->type));
    return 0;
}

static int say_shard(void *arg, const eddy_shard_facts *facts) {
    (void)arg;
    say("shard %llu is at offset %llu", (unsigned long long)facts->shard,
        (unsigned long long)facts->last_offset);
    return 0;
}

/* GetShardEvents(shard, after that time, max), ShardNumbers() and ShardOffsets() */
static void shards(eddy_store *store) {
    must((int)eddy_shard_after_time(store, 0, 0, 500, say_shard_event, NULL));
    must((int)eddy_shards(store, say_shard, NULL));
}

static int say_id(void *arg, const eddy_stream_facts *facts) {
    (void)arg;
    say("persistence id: %s", facts->name);
    return 0;
}

int main(void) {
    eddy_store *store = example_open("ego-events");
    write_events(store);
    latest_event(store);
    replay(store, 1, 10, 100);
    shards(store);
    must(eddy_truncate(store, eddy_str(ACCOUNT), EDDY_ANY, 3, NULL)); /* DeleteEvents(ACCOUNT, 3) */
    replay(store, 1, 10, 100);
    must((int)eddy_streams(store, eddy_str(""), eddy_str(""), 10, say_id,
                           NULL)); /* PersistenceIDs */
    example_close(store, "ego-events");
    return said("last seq number: 5 (acme.billing.Deposited)\n"
                "replayed 5 events\n"
                "in shard 0: acme.billing.AccountOpened\n"
                "shard 0 is at offset 1\n"
                "replayed 2 events\n"
                "persistence id: account-42\n");
}
