#include "actor_keys.h"

#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- in transactions ---- */

static int64_t expectation(struct actor *a, uint32_t key) {
    const struct world_key *k = &a->world->keys[key];
    switch (rng_below(a->rng, 6)) {
    case 0:
        return EDDY_NONE;
    case 1:
        return EDDY_EXISTS;
    case 2:
        return 1 + (int64_t)rng_below(a->rng, a->world->revision + 2);
    case 3:
        return k->there ? (int64_t)k->revision : EDDY_NONE;
    default:
        return EDDY_ANY;
    }
}

static bool is_free(const struct op *op, uint32_t key) {
    for (uint32_t i = 0; i < op->put_count; i++) {
        if (op->puts[i].key == key) {
            return false;
        }
    }
    return true;
}

void actor_random_keys(struct actor *a, struct op *op) {
    op->put_count = 0;
    op->snapshot_cut = WORLD_NONE;
    op->snapshot_to = 0;
    uint32_t puts = rng_once_in(a->rng, 3) ? 1 + (uint32_t)rng_below(a->rng, OP_PUTS) : 0;
    if (rng_once_in(a->rng, 30)) {
        op->snapshot_cut = (uint32_t)rng_below(a->rng, WORLD_SNAPSHOTS / WORLD_VERSIONS);
        op->snapshot_to = 1 + rng_below(a->rng, WORLD_VERSIONS + 1);
    }
    for (uint32_t i = 0; i < puts; i++) {
        uint32_t key = (uint32_t)rng_below(a->rng, WORLD_KEYS);
        /* A snapshot is not put where others of its stream go, nor one key twice. */
        if (!is_free(op, key) ||
            (op->snapshot_cut != WORLD_NONE && world_key_kind(key) == KEY_SNAPSHOT)) {
            continue;
        }
        struct world_put *put = &op->puts[op->put_count++];
        world_random_put(a->rng, key, put);
        put->expected = expectation(a, key);
        if (put->deletes && world_key_kind(key) == KEY_SNAPSHOT) {
            put->deletes = false; /* they are deleted up to a version */
        }
    }
    for (uint32_t i = 0; i < op->condition_count; i++) {
        if (rng_once_in(a->rng, 4)) {
            uint32_t key = (uint32_t)rng_below(a->rng, WORLD_STATES + WORLD_CHECKPOINTS);
            op->conditions[i] = (struct op_condition){WORLD_NONE, key, expectation(a, key)};
        }
    }
}

void actor_expect_key(struct actor *a, uint32_t key, int64_t expected) {
    char text[32];
    eddy_bytes name = world_key_name(a->world, key, text);
    if (world_key_kind(key) == KEY_STATE) {
        CHECK_OK(eddy_tx_expect_state(a->tx, name, expected));
    } else {
        CHECK_OK(eddy_tx_expect_checkpoint(a->tx, name, world_key_number(key), expected));
    }
}

static void checkpoint_of(const struct world_put *put, eddy_bytes name, eddy_new_checkpoint *c) {
    *c = (eddy_new_checkpoint){.name = name,
                               .shard = world_key_number(put->key),
                               .offset = put->number,
                               .time_ns = put->time_ns,
                               .flags = put->flags};
}

static void add_put(struct actor *a, const struct world_put *put) {
    char text[32];
    eddy_bytes name = world_key_name(a->world, put->key, text);
    enum key_kind kind = world_key_kind(put->key);
    uint64_t number = world_key_number(put->key);
    eddy_new_checkpoint checkpoint;
    eddy_new_state state;
    if (kind == KEY_CHECKPOINT && put->deletes) {
        CHECK_OK(eddy_tx_checkpoint_delete(a->tx, name, number, put->expected));
    } else if (kind == KEY_CHECKPOINT) {
        checkpoint_of(put, name, &checkpoint);
        CHECK_OK(eddy_tx_checkpoint_set(a->tx, &checkpoint, put->expected));
    } else if (put->deletes) {
        CHECK_OK(eddy_tx_state_delete(a->tx, name, put->expected));
    } else {
        world_put_bytes(put, &a->room, &state);
        CHECK_OK(kind == KEY_STATE ? eddy_tx_state(a->tx, name, put->expected, &state)
                                   : eddy_tx_snapshot(a->tx, name, number, put->expected, &state));
    }
}

void actor_add_keys(struct actor *a, const struct op *op) {
    if (op->snapshot_cut != WORLD_NONE) {
        CHECK_OK(eddy_tx_snapshot_delete(a->tx, world_name(a->world, op->snapshot_cut),
                                         op->snapshot_to));
    }
    for (uint32_t i = 0; i < op->put_count; i++) {
        add_put(a, &op->puts[i]);
    }
}

/* Alone, by the call for it. */
static bool run_put(struct actor *a, const struct world_put *put, struct op_done *done) {
    char text[32];
    eddy_bytes name = world_key_name(a->world, put->key, text);
    enum key_kind kind = world_key_kind(put->key);
    uint64_t number = world_key_number(put->key);
    eddy_new_checkpoint checkpoint;
    eddy_new_state state;
    if (kind == KEY_CHECKPOINT && put->deletes) {
        return false; /* gives no result */
    }
    if (kind == KEY_CHECKPOINT) {
        checkpoint_of(put, name, &checkpoint);
        done->got = eddy_checkpoint_set(a->store, &checkpoint, put->expected, &done->result);
    } else if (put->deletes) {
        done->got = eddy_state_delete(a->store, name, put->expected, &done->result);
    } else {
        world_put_bytes(put, &a->room, &state);
        done->got =
            kind == KEY_STATE
                ? eddy_state_put(a->store, name, put->expected, &state, &done->result)
                : eddy_snapshot_put(a->store, name, number, put->expected, &state, &done->result);
    }
    return true;
}

bool actor_run_key(struct actor *a, const struct op *op, struct op_done *done) {
    uint32_t cuts = op->snapshot_cut != WORLD_NONE;
    if (op->condition_count + op->cut_count + op->event_count > 0 || op->put_count + cuts != 1) {
        return false;
    }
    if (cuts) {
        done->got = eddy_snapshot_delete(a->store, world_name(a->world, op->snapshot_cut),
                                         op->snapshot_to, &done->result);
        return true;
    }
    return run_put(a, &op->puts[0], done);
}

/* ---- looking ---- */

static void look_at_latest(struct actor *a, uint32_t key) {
    char text[32];
    eddy_state state;
    uint64_t upto = rng_below(a->rng, WORLD_VERSIONS + 2);
    uint32_t first = key + 1 - (uint32_t)world_key_number(key);
    uint32_t due = WORLD_NONE;
    for (uint32_t i = 0; i < WORLD_VERSIONS; i++) {
        if (a->world->keys[first + i].there && (upto == 0 || i + 1 <= upto)) {
            due = first + i;
        }
    }
    int got = eddy_snapshot_latest(actor_either(a), world_key_name(a->world, key, text), upto,
                                   a->buffer, &state);
    CHECK_EQ(got, due == WORLD_NONE ? EDDY_ENOENT : 0);
    if (got == 0) {
        world_same_state(a->world, due, &a->room, &state);
    }
}

void actor_look_at_one_key(struct actor *a, uint32_t key) {
    char text[32];
    eddy_bytes name = world_key_name(a->world, key, text);
    eddy_store *store = actor_either(a);
    eddy_checkpoint checkpoint;
    eddy_state state;
    int due = a->world->keys[key].there ? 0 : EDDY_ENOENT;
    switch (world_key_kind(key)) {
    case KEY_CHECKPOINT:
        CHECK_EQ(eddy_checkpoint_get(store, name, world_key_number(key), &checkpoint), due);
        if (due == 0) {
            world_same_checkpoint(a->world, key, &checkpoint);
        }
        return;
    case KEY_STATE:
        CHECK_EQ(eddy_state_get(store, name, a->buffer, &state), due);
        break;
    case KEY_SNAPSHOT:
        CHECK_EQ(eddy_snapshot_get(store, name, world_key_number(key), a->buffer, &state), due);
        break;
    }
    if (due == 0) {
        world_same_state(a->world, key, &a->room, &state);
    }
}

/* A checkpoint is waited for that is there already, or never will be. */
static void wait_for(struct actor *a, uint32_t key) {
    const struct world_key *k = &a->world->keys[key];
    char text[32];
    uint64_t offset = rng_below(a->rng, 100000);
    eddy_checkpoint checkpoint;
    int got = eddy_checkpoint_wait(a->store, world_key_name(a->world, key, text),
                                   world_key_number(key), offset, eddy_deadline_ms(0), &checkpoint);
    bool due = k->there && k->put.number >= offset;
    CHECK_EQ(got, due ? 0 : EDDY_ETIMEDOUT);
    if (due) {
        world_same_checkpoint(a->world, key, &checkpoint);
    }
}

void actor_look_at_key(struct actor *a) {
    uint32_t key = (uint32_t)rng_below(a->rng, WORLD_KEYS);
    enum key_kind kind = world_key_kind(key);
    if (kind == KEY_SNAPSHOT && rng_once_in(a->rng, 2)) {
        look_at_latest(a, key);
    } else if (kind == KEY_CHECKPOINT && rng_once_in(a->rng, 4)) {
        wait_for(a, key);
    } else {
        actor_look_at_one_key(a, key);
    }
}

/* ---- listing ---- */

struct listing {
    struct actor *a;
    enum key_kind kind;
    char last[40]; /* the order's text of the last one */
    char prefix[16];
    uint32_t stream;
    size_t count;
};

/* By what a kind is ordered: bytes of the name, then the number. */
static void order_text(const struct actor *a, uint32_t key, char *text) {
    char name[32];
    eddy_bytes bytes = world_key_name(a->world, key, name);
    snprintf(text, 40, "%.*s%c%c", (int)bytes.len, (const char *)bytes.ptr, 1,
             (int)('0' + (world_key_kind(key) == KEY_STATE ? 0 : world_key_number(key))));
}

static uint32_t next_key(const struct listing *l) {
    uint32_t next = WORLD_NONE;
    char least[40] = "";
    for (uint32_t i = 0; i < WORLD_KEYS; i++) {
        char text[40];
        char name[32];
        order_text(l->a, i, text);
        eddy_bytes of = world_key_name(l->a->world, i, name);
        bool right = world_key_kind(i) == l->kind && l->a->world->keys[i].there &&
                     of.len >= strlen(l->prefix) &&
                     memcmp(of.ptr, l->prefix, strlen(l->prefix)) == 0;
        if (right && strcmp(text, l->last) > 0 && (next == WORLD_NONE || strcmp(text, least) < 0)) {
            next = i;
            strcpy(least, text);
        }
    }
    return next;
}

static int listed_state(void *arg, const eddy_state *state) {
    struct listing *l = arg;
    uint32_t due = next_key(l);
    CHECK(due != WORLD_NONE);
    world_same_state(l->a->world, due, &l->a->room, state);
    order_text(l->a, due, l->last);
    l->count++;
    return 0;
}

static int listed_checkpoint(void *arg, const eddy_checkpoint *checkpoint) {
    struct listing *l = arg;
    uint32_t due = next_key(l);
    CHECK(due != WORLD_NONE);
    world_same_checkpoint(l->a->world, due, checkpoint);
    order_text(l->a, due, l->last);
    l->count++;
    return 0;
}

void actor_list_keys(struct actor *a) {
    static const char *const prefixes[] = {"", "state-", "state-1", "user", "projection-2", "x"};
    struct listing l = {.a = a};
    size_t limit = 1 + rng_below(a->rng, WORLD_STATES + 2);
    int64_t got;
    strcpy(l.prefix, prefixes[rng_below(a->rng, 6)]);
    if (rng_once_in(a->rng, 2)) {
        l.kind = KEY_CHECKPOINT;
        got = eddy_checkpoints(actor_either(a), eddy_str(l.prefix), listed_checkpoint, &l);
        limit = SIZE_MAX;
    } else if (rng_once_in(a->rng, 2)) {
        char after[32] = "";
        uint32_t key = (uint32_t)rng_below(a->rng, WORLD_STATES);
        if (rng_once_in(a->rng, 2)) {
            world_key_name(a->world, key, after);
            order_text(a, key, l.last);
        }
        got = eddy_states(actor_either(a), eddy_str(l.prefix), eddy_str(after), limit, listed_state,
                          &l);
    } else {
        uint32_t stream = (uint32_t)rng_below(a->rng, WORLD_SNAPSHOTS / WORLD_VERSIONS);
        uint64_t after = rng_below(a->rng, WORLD_VERSIONS + 1);
        l.kind = KEY_SNAPSHOT;
        strcpy(l.prefix, a->world->streams[stream].name);
        snprintf(l.last, sizeof l.last, "%s%c%c", l.prefix, 1, (int)('0' + after));
        got = eddy_snapshots(actor_either(a), eddy_str(l.prefix), after, limit, listed_state, &l);
    }
    CHECK_EQ(got, l.count);
    CHECK(l.count == limit || next_key(&l) == WORLD_NONE);
}

/* ---- all of something ---- */

void actor_reset_checkpoints(struct actor *a) {
    char text[32];
    uint32_t first =
        WORLD_STATES + WORLD_SHARDS * (uint32_t)rng_below(a->rng, WORLD_CHECKPOINTS / WORLD_SHARDS);
    eddy_result result;
    uint64_t offset = rng_below(a->rng, 1000);
    CHECK_OK(
        eddy_checkpoint_reset(a->store, world_key_name(a->world, first, text), offset, &result));
    for (uint32_t i = first; i < first + WORLD_SHARDS; i++) {
        struct world_key *k = &a->world->keys[i];
        if (k->there) {
            CHECK(result.revision > k->revision);
            k->put.number = offset;
            k->put.time_ns = 0;
            k->put.flags = 0;
            k->revision = a->world->revision = result.revision;
            k->recorded_ns = a->world->recorded_ns = result.recorded_ns;
        }
    }
}

/* Looks at another store as if it were this one. */
static void look_at_copy(struct actor *a, eddy_store *copy) {
    eddy_store *store = a->store;
    eddy_store *look = a->look;
    a->store = a->look = copy;
    actor_look_at_all(a);
    sandbox_check(copy);
    a->store = store;
    a->look = look;
}

void actor_copy(struct actor *a) {
    eddy_options options = EDDY_OPTIONS_INIT;
    eddy_snapshot_facts facts = {.size = sizeof facts};
    char path[300];
    snprintf(path, sizeof path, "%s", sandbox_path(a->box, "snapshot"));
    options.dir = a->box->dir;
    CHECK_OK(eddy_snapshot_write(a->store, path, NULL, &facts));
    CHECK_EQ(facts.events, a->world->count);
    CHECK_EQ(facts.head, a->world->head);
    CHECK_OK(eddy_snapshot_restore(path, "copy", &options));
    eddy_store *copy = sandbox_open(a->box, "copy", EDDY_MUST_EXIST);
    look_at_copy(a, copy);
    eddy_close(copy);
    CHECK_OK(eddy_unlink("copy", &options));
    CHECK_EQ(unlink(path), 0);
    if (rng_once_in(a->rng, 4)) {
        eddy_result result;
        CHECK_OK(eddy_reset(a->store, &result));
        CHECK_EQ(result.removed, world_reset(a->world));
        actor_look_at_all(a);
    }
}
