/* The quick start of eGo's durable state store, in eddy: the latest state under a key. And of its snapshot
 * store: states of a stream by version. */
#include "example.h"

static const char *const ACCOUNT = "account-42";

/* WriteState(): an upsert, whatever the version was. */
static uint64_t write_state(eddy_store *store, uint64_t version, const char *data) {
    eddy_new_state state = {
        .data = eddy_str(data),
        .version = version, /* VersionNumber: eGo's own, not compared with anything */
        .time_ns = INT64_C(1700000000000) * 1000000,
    };
    eddy_result result;
    must(eddy_state_put(store, eddy_str(ACCOUNT), EDDY_ANY, &state, &result));
    return result.revision;
}

/* GetLatestState() */
static void latest_state(eddy_store *store, const char *key) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_state state;
    if (eddy_state_get(store, eddy_str(key), buffer, &state) == EDDY_ENOENT) {
        say("%s: no state", key);
    } else {
        say("%s: latest version: %llu, %.*s", key, (unsigned long long)state.version,
            SHOW(state.data));
    }
    eddy_buffer_destroy(buffer);
}

/* What eGo's store cannot do: a state that somebody else has changed meanwhile is not overwritten. */
static void change(eddy_store *store, uint64_t revision) {
    eddy_new_state state = {.data = eddy_str("{\"balance_cents\":0}"), .version = 3};
    int got = eddy_state_put(store, eddy_str(ACCOUNT), (int64_t)revision, &state, NULL);
    say("changed by who has an old revision: %s", got < 0 ? eddy_errname(got) : "yes");
}

/* WriteSnapshot(), GetLatestSnapshot(), DeleteSnapshots() */
static void snapshots(eddy_store *store) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_new_state state = {.data = eddy_str("{\"balance_cents\":4200}")};
    eddy_state latest;
    eddy_result result;
    for (uint64_t version = 10; version <= 30; version += 10) {
        must(eddy_snapshot_put(store, eddy_str(ACCOUNT), version, EDDY_ANY, &state, NULL));
    }
    must(eddy_snapshot_latest(store, eddy_str(ACCOUNT), 0, buffer, &latest));
    say("latest snapshot: %llu", (unsigned long long)latest.version);
    must(eddy_snapshot_latest(store, eddy_str(ACCOUNT), 25, buffer, &latest));
    say("latest up to 25: %llu", (unsigned long long)latest.version);
    must(eddy_snapshot_delete(store, eddy_str(ACCOUNT), 20, &result));
    say("deleted up to 20: %llu", (unsigned long long)result.removed);
    eddy_buffer_destroy(buffer);
}

int main(void) {
    eddy_store *store = example_open("ego-state");
    latest_state(store, ACCOUNT);
    uint64_t revision = write_state(store, 1, "{\"balance_cents\":4200}");
    latest_state(store, ACCOUNT);
    write_state(store, 2, "{\"balance_cents\":4300}");
    change(store, revision);
    latest_state(store, ACCOUNT);
    snapshots(store);
    must(eddy_state_delete(store, eddy_str(ACCOUNT), EDDY_ANY, NULL));
    latest_state(store, ACCOUNT);
    example_close(store, "ego-state");
    return said("account-42: no state\n"
                "account-42: latest version: 1, {\"balance_cents\":4200}\n"
                "changed by who has an old revision: EDDY_ECONFLICT\n"
                "account-42: latest version: 2, {\"balance_cents\":4300}\n"
                "latest snapshot: 30\n"
                "latest up to 25: 20\n"
                "deleted up to 20: 2\n"
                "account-42: no state\n");
}
