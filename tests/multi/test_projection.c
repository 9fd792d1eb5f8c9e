/* One transaction for all that follows from an event: a projection, killed again and again, whose state,
 * checkpoint, snapshot, follow-up event, and truncation of what it has read are exactly once. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { KILLS = 2000, LINGER_US = 4000, AHEAD = 200, SNAPSHOT_EVERY = 16, CUT_EVERY = 50 };

struct scene {
    eddy_store *store;
    _Atomic uint32_t stop;
    _Atomic uint64_t source;  /* events that were written */
    _Atomic uint64_t counted; /* of which so many, or more, have been projected */
};

/* What is kept: how many events, and their sum in order. */
struct total {
    uint64_t count;
    uint64_t digest;
};

static struct total add(struct total t, uint64_t number) {
    t.count++;
    t.digest = (t.digest ^ number) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    return t;
}

static void be_source(void *arg) {
    struct scene *scene = arg;
    eddy_store *store = sandbox_again(scene->store, 0);
    for (uint64_t n = 1; !atomic_load(&scene->stop); n++) {
        eddy_new_event event = {.data = eddy_mem(&n, sizeof n)};
        CHECK_OK(eddy_append(store, eddy_str("source"), EDDY_ANY, &event, 1, NULL));
        atomic_store(&scene->source, n);
        while (n > atomic_load(&scene->counted) + AHEAD && !atomic_load(&scene->stop)) {
            child_linger_us(50);
        }
    }
    eddy_close(store);
}

static struct total load(eddy_store *store, eddy_buffer *buffer, uint64_t *revision) {
    struct total t = {0};
    eddy_state state;
    int r = eddy_state_get(store, eddy_str("total"), buffer, &state);
    CHECK(r == 0 || r == EDDY_ENOENT);
    *revision = r == 0 ? state.revision : 0;
    if (r == 0) {
        CHECK_EQ(state.data.len, sizeof t);
        memcpy(&t, state.data.ptr, sizeof t);
    }
    return t;
}

/* All that follows from one event. */
static int project(eddy_store *store, eddy_tx *tx, eddy_buffer *buffer, const eddy_event *e) {
    uint64_t number;
    uint64_t revision;
    struct total t = load(store, buffer, &revision);
    memcpy(&number, e->data.ptr, sizeof number);
    CHECK_EQ(number, t.count + 1); /* none is missed, none comes twice */
    t = add(t, number);
    eddy_new_state state = {.data = eddy_mem(&t, sizeof t), .version = t.count};
    eddy_new_event follow = {.type = eddy_str("counted"), .data = eddy_mem(&t, sizeof t)};
    eddy_bytes types[1] = {eddy_str("stop")};
    eddy_select none = EDDY_SELECT_INIT;
    none.types = types;
    none.type_count = 1;
    CHECK_OK(eddy_tx_reset(tx));
    CHECK_OK(eddy_tx_state(tx, eddy_str("total"), (int64_t)revision, &state));
    CHECK_OK(eddy_tx_checkpoint(tx, eddy_str("projection"), e->offset, 0));
    CHECK_OK(eddy_tx_expect(tx, eddy_str("counted"), (int64_t)t.count - 1));
    CHECK_OK(eddy_tx_expect(tx, eddy_str("source"), EDDY_EXISTS));
    CHECK_OK(eddy_tx_expect_none(tx, &none, e->offset));
    CHECK_OK(eddy_tx_append(tx, eddy_str("counted"), &follow));
    if (t.count % SNAPSHOT_EVERY == 0) {
        CHECK_OK(eddy_tx_snapshot(tx, eddy_str("counted"), t.count, EDDY_NONE, &state));
    }
    if (t.count % CUT_EVERY == 0) {
        CHECK_OK(eddy_tx_truncate(tx, eddy_str("source"), t.count));
    }
    return eddy_tx_commit(tx, NULL);
}

static void be_projection(void *arg) {
    struct scene *scene = arg;
    eddy_store *store = sandbox_again(scene->store, 0);
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_select select = EDDY_SELECT_INIT;
    eddy_checkpoint at;
    eddy_reader *reader;
    eddy_event e;
    eddy_tx *tx;
    select.stream = eddy_str("source");
    select.flags = EDDY_FOLLOW;
    if (eddy_checkpoint_get(store, eddy_str("projection"), 0, &at) == 0) {
        select.after_offset = at.offset;
    }
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (;;) {
        int r = eddy_reader_wait(reader, eddy_deadline_ms(5), &e);
        if (r == EDDY_ETIMEDOUT && atomic_load(&scene->stop)) {
            break;
        }
        if (r != EDDY_ETIMEDOUT) {
            CHECK_OK(r);
            CHECK_OK(project(store, tx, buffer, &e));
            atomic_store(&scene->counted, e.version);
        }
    }
    eddy_tx_free(tx);
    eddy_reader_close(reader);
    eddy_buffer_destroy(buffer);
    eddy_close(store);
}

/* The follow-up events say the same as the state, each once; so do the snapshots. */
static uint64_t check_all(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_reader *reader;
    eddy_event e;
    struct total want = {0};
    uint64_t revision;
    select.stream = eddy_str("counted");
    must(eddy_reader_open(store, &select, &reader));
    while (eddy_reader_next(reader, &e) == EDDY_EVENT) {
        eddy_state snapshot;
        want = add(want, e.version);
        cr_assert_eq(e.data.len, sizeof want);
        cr_assert_eq(memcmp(e.data.ptr, &want, sizeof want), 0, "event %llu",
                     (unsigned long long)e.version);
        int r = eddy_snapshot_get(store, eddy_str("counted"), e.version, buffer, &snapshot);
        gives(r, e.version % SNAPSHOT_EVERY == 0 ? 0 : EDDY_ENOENT);
        cr_assert(r != 0 || memcmp(snapshot.data.ptr, &want, sizeof want) == 0);
    }
    eddy_reader_close(reader);
    struct total t = load(store, buffer, &revision);
    cr_assert_eq(memcmp(&t, &want, sizeof t), 0);
    eddy_stream_facts facts = {.size = sizeof facts};
    must(eddy_stream_info(store, eddy_str("source"), &facts));
    cr_assert_eq(facts.version - facts.count, t.count / CUT_EVERY * CUT_EVERY);
    eddy_buffer_destroy(buffer);
    return t.count;
}

Test(projection, what_follows_from_an_event_happens_once_and_together_under_kills, .timeout = 300) {
    struct scene *scene = child_shared(sizeof *scene);
    struct rng rng = rng_make(5);
    scene->store = sandbox_anonymous_of(UINT64_C(1) << 30);
    pid_t source = child_start(be_source, scene);
    pid_t projection = child_start(be_projection, scene);
    for (int k = 0; k < KILLS; k++) {
        child_linger_us(rng_below(&rng, LINGER_US));
        child_kill(projection);
        projection = child_start(be_projection, scene);
    }
    atomic_store(&scene->stop, 1);
    cr_assert_eq(child_end(source, CHILD_LIMIT_MS), 0);
    cr_assert_eq(child_end(projection, CHILD_LIMIT_MS), 0);
    cr_assert_eq(check_all(scene->store), atomic_load(&scene->source));
    cr_assert_gt(atomic_load(&scene->source), 100);
    sandbox_check(scene->store);
    eddy_close(scene->store);
}
