/* Of the dumb store: what is kept under keys. */
#include "check.h"
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FIRST_CHECKPOINT = WORLD_STATES, FIRST_SNAPSHOT = WORLD_STATES + WORLD_CHECKPOINTS };

enum key_kind world_key_kind(uint32_t key) {
    return key < FIRST_CHECKPOINT ? KEY_STATE
           : key < FIRST_SNAPSHOT ? KEY_CHECKPOINT
                                  : KEY_SNAPSHOT;
}

eddy_bytes world_key_name(const struct world *world, uint32_t key, char *text) {
    if (key >= FIRST_SNAPSHOT) {
        return world_name(world, (key - FIRST_SNAPSHOT) / WORLD_VERSIONS);
    }
    if (key >= FIRST_CHECKPOINT) {
        snprintf(text, 32, "projection-%u", (key - FIRST_CHECKPOINT) / WORLD_SHARDS);
    } else {
        snprintf(text, 32, "%s%u", key % 3 ? "state-" : "user-", key);
    }
    return eddy_str(text);
}

uint64_t world_key_number(uint32_t key) {
    return key >= FIRST_SNAPSHOT ? 1 + (key - FIRST_SNAPSHOT) % WORLD_VERSIONS
                                 : (key - FIRST_CHECKPOINT) % WORLD_SHARDS;
}

void world_random_put(struct rng *rng, uint32_t key, struct world_put *put) {
    uint64_t kind = rng_below(rng, 3);
    *put = (struct world_put){.key = key, .seed = rng_next(rng), .expected = EDDY_ANY};
    put->deletes = rng_once_in(rng, 5);
    if (world_key_kind(key) != KEY_CHECKPOINT) {
        put->data_len =
            (uint32_t)(rng_once_in(rng, 60) ? rng_below(rng, 100000) : rng_below(rng, 200));
        put->metadata_len = rng_once_in(rng, 3) ? (uint32_t)rng_below(rng, 40) : 0;
        put->shard = rng_below(rng, 5);
    }
    put->number = rng_once_in(rng, 9) ? (uint64_t)INT64_MAX : rng_below(rng, 100000);
    put->time_ns = kind == 0 ? 0 : (int64_t)rng_below(rng, 2000000) - 1000000;
    put->flags = kind == 1 ? EDDY_TIME_GIVEN : 0;
}

void world_put_bytes(const struct world_put *put, struct world_room *room, eddy_new_state *state) {
    struct world_new bytes = {
        .seed = put->seed, .data_len = put->data_len, .metadata_len = put->metadata_len};
    eddy_new_event event;
    world_give(&bytes, room, &event);
    *state = (eddy_new_state){.data = event.data,
                              .metadata = event.metadata,
                              .version = put->number,
                              .shard = put->shard,
                              .time_ns = put->time_ns,
                              .flags = put->flags};
}

static bool same(eddy_bytes a, eddy_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static int64_t time_of(const struct world_key *k) {
    bool given = k->put.time_ns != 0 || (k->put.flags & EDDY_TIME_GIVEN);
    return given ? k->put.time_ns : k->recorded_ns;
}

void world_same_state(const struct world *world, uint32_t key, struct world_room *room,
                      const eddy_state *state) {
    const struct world_key *k = &world->keys[key];
    eddy_new_state due;
    char text[32];
    bool snapshot = world_key_kind(key) == KEY_SNAPSHOT;
    CHECK(k->there);
    world_put_bytes(&k->put, room, &due);
    CHECK(same(state->key, world_key_name(world, key, text)));
    CHECK(same(state->data, due.data));
    CHECK(same(state->metadata, due.metadata));
    CHECK_EQ(state->version, snapshot ? world_key_number(key) : due.version);
    CHECK_EQ(state->shard, due.shard);
    CHECK_EQ(state->revision, k->revision);
    CHECK_EQ(state->time_ns, time_of(k));
    CHECK_EQ(state->recorded_ns, k->recorded_ns);
}

void world_same_checkpoint(const struct world *world, uint32_t key,
                           const eddy_checkpoint *checkpoint) {
    const struct world_key *k = &world->keys[key];
    char text[32];
    CHECK(k->there);
    CHECK(same(eddy_mem(checkpoint->name, checkpoint->name_len), world_key_name(world, key, text)));
    CHECK_EQ(checkpoint->shard, world_key_number(key));
    CHECK_EQ(checkpoint->offset, k->put.number);
    CHECK_EQ(checkpoint->revision, k->revision);
    CHECK_EQ(checkpoint->time_ns, time_of(k));
    CHECK_EQ(checkpoint->recorded_ns, k->recorded_ns);
}

uint64_t world_cut_snapshots(struct world *world, uint32_t stream, uint64_t version) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < WORLD_VERSIONS; i++) {
        struct world_key *k = &world->keys[FIRST_SNAPSHOT + stream * WORLD_VERSIONS + i];
        if (k->there && i + 1 <= version) {
            k->there = false;
            n++;
        }
    }
    return n;
}

uint64_t world_reset(struct world *world) {
    uint64_t n = world->count;
    world->count = 0;
    for (uint32_t i = 0; i < WORLD_STREAMS; i++) {
        (void)world_cut(world, CUT_FORGET, i, 0);
    }
    for (uint32_t i = 0; i < WORLD_KEYS; i++) {
        world->keys[i].there = false;
    }
    return n;
}
