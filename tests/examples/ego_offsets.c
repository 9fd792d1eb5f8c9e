/* The quick start of eGo's offset store, in eddy: how far a projection has come in a shard is a
 * checkpoint. */
#include "example.h"

static const char *const PROJECTION = "accounts-projection";

/* WriteOffset() */
static void write_offset(eddy_store *store, uint64_t shard, uint64_t value) {
    eddy_new_checkpoint offset = {
        .name = eddy_str(PROJECTION),
        .shard = shard,
        .offset = value,
        .time_ns = INT64_C(1700000000000) * 1000000, /* eGo has milliseconds */
    };
    must(eddy_checkpoint_set(store, &offset, EDDY_ANY, NULL));
}

/* GetCurrentOffset() */
static void current_offset(eddy_store *store, uint64_t shard) {
    eddy_checkpoint offset;
    if (eddy_checkpoint_get(store, eddy_str(PROJECTION), shard, &offset) == EDDY_ENOENT) {
        say("no offset in shard %llu", (unsigned long long)shard);
        return;
    }
    say("current offset in shard %llu: %llu", (unsigned long long)shard,
        (unsigned long long)offset.offset);
}

/* What eGo's store cannot do: an event and the offset that follows from it, at one instant. */
static void project(eddy_store *store) {
    eddy_new_event event = {.type = eddy_str("seen"), .data = eddy_str("{}")};
    eddy_new_checkpoint offset = {.name = eddy_str(PROJECTION), .shard = 1, .offset = 16};
    eddy_tx *tx;
    must(eddy_tx_begin(store, &tx));
    must(eddy_tx_append(tx, eddy_str("view"), &event));
    must(eddy_tx_checkpoint_set(tx, &offset, EDDY_NONE));
    must(eddy_tx_commit(tx, NULL));
    eddy_tx_free(tx);
}

int main(void) {
    eddy_store *store = example_open("ego-offsets");
    current_offset(store, 0);
    write_offset(store, 0, 15);
    current_offset(store, 0);
    project(store);
    current_offset(store, 1);
    must(eddy_checkpoint_reset(store, eddy_str(PROJECTION), 0, NULL)); /* ResetOffset() */
    current_offset(store, 0);
    current_offset(store, 1);
    example_close(store, "ego-offsets");
    return said("no offset in shard 0\n"
                "current offset in shard 0: 15\n"
                "current offset in shard 1: 16\n"
                "current offset in shard 0: 0\n"
                "current offset in shard 1: 0\n");
}
