/* Several processes at work on one store: what each of them sees. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/crew.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WRITERS = 4, FOLLOWERS = 4, STREAMS = 64, RUNS = 25 };

/* In memory that the children share. */
struct scene {
    eddy_store *store;
    _Atomic uint32_t stop;
    _Atomic uint32_t go;
    _Atomic uint64_t progress[WRITERS];
    struct crew_follower followers[FOLLOWERS];
    uint32_t next;
    uint32_t txs; /* of each writer */
    uint64_t run;
};

struct role {
    struct scene *scene;
    uint32_t number;
};

static void be_writer(void *arg) {
    const struct role *role = arg;
    struct scene *scene = role->scene;
    /* Half of them use what they inherited, half open it themselves. */
    bool own = role->number % 2;
    eddy_store *store = own ? sandbox_again(scene->store, 0) : scene->store;
    struct crew_writer writer;
    crew_writer_init(&writer, store, role->number);
    writer.rng = rng_make(scene->run * 100 + role->number);
    writer.progress = &scene->progress[role->number];
    writer.events_max = scene->run % 3 ? 8 : 60;
    for (uint32_t i = 0; i < scene->txs; i++) {
        crew_write(&writer);
    }
    crew_writer_fini(&writer);
    if (own) {
        eddy_close(store);
    }
}

static void be_follower(void *arg) {
    const struct role *role = arg;
    struct crew_follower *follower = &role->scene->followers[role->number];
    eddy_store *inherited = follower->store;
    bool read_only = follower->manner == CREW_WAIT && role->scene->run % 2;
    follower->store = sandbox_again(inherited, read_only ? EDDY_READ_ONLY : 0);
    crew_follow(follower);
    eddy_close(follower->store);
    follower->store = inherited;
}

static void run_once(uint64_t run, uint32_t txs) {
    struct scene *scene = child_shared(sizeof *scene);
    struct role roles[WRITERS + FOLLOWERS];
    pid_t pids[WRITERS + FOLLOWERS];
    scene->store = sandbox_anonymous_of(UINT64_C(1) << 30);
    scene->run = run;
    scene->txs = txs;
    for (uint32_t i = 0; i < WRITERS + FOLLOWERS; i++) {
        bool writes = i >= FOLLOWERS;
        roles[i] = (struct role){scene, writes ? i - FOLLOWERS : i};
        if (!writes) {
            scene->followers[i] = (struct crew_follower){.store = scene->store,
                                                         .manner = i % CREW_MANNERS,
                                                         .streams = STREAMS,
                                                         .writers = WRITERS,
                                                         .stop = &scene->stop};
        }
        pids[i] = child_start(writes ? be_writer : be_follower, &roles[i]);
    }
    for (int i = FOLLOWERS; i < WRITERS + FOLLOWERS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0, "run %d: a writer", (int)run);
    }
    atomic_store(&scene->stop, 1);
    for (int i = 0; i < FOLLOWERS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0, "run %d: follower %d", (int)run, i);
    }
    for (int i = 0; i < FOLLOWERS; i++) {
        crew_check_follower(&scene->followers[i]);
    }
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(scene->store, &facts));
    cr_assert_eq(facts.transactions, (uint64_t)txs * WRITERS);
    sandbox_check(scene->store);
    eddy_close(scene->store);
    munmap(scene, sizeof *scene);
}

Test(multi, every_follower_sees_every_event_once_in_order_and_whole, .timeout = 120) {
    const char *runs = getenv("EDDY_RUNS");
    uint64_t count = runs ? strtoull(runs, NULL, 10) : RUNS;
    for (uint64_t run = 0; run < count; run++) {
        run_once(run, 120);
    }
}

Test(multi, a_long_run_is_as_right_as_a_short_one, .timeout = 120) {
    run_once(1001, 8000);
}

/* ---- what was acknowledged is seen at once ---- */

struct handshake {
    eddy_store *store;
    int to_child[2];
    int to_parent[2];
};

enum { SHAKES = 2000 };

static void see_at_once(void *arg) {
    struct handshake *shake = arg;
    eddy_store *store = sandbox_again(shake->store, 0);
    eddy_store *read_only = sandbox_again(shake->store, EDDY_READ_ONLY);
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    eddy_stream_facts facts = {.size = sizeof facts};
    select.flags = EDDY_FOLLOW;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    for (uint64_t i = 1; i <= SHAKES; i++) {
        child_hear(shake->to_child[0]);
        CHECK_EQ(sandbox_head(store), i);
        CHECK_OK(eddy_get(store, i, buffer, &event));
        CHECK_OK(eddy_get(read_only, i, buffer, &event));
        CHECK_OK(eddy_get_version(store, eddy_str("s"), i, buffer, &event));
        CHECK_EQ(event.offset, i);
        CHECK_EQ(eddy_reader_next(reader, &event), EDDY_EVENT);
        CHECK_EQ(event.offset, i);
        CHECK_OK(eddy_stream_info(store, eddy_str("s"), &facts));
        CHECK_EQ(facts.version, i);
        child_say(shake->to_parent[1]);
    }
    eddy_reader_close(reader);
    eddy_buffer_destroy(buffer);
    eddy_close(read_only);
    eddy_close(store);
}

Test(multi, an_acknowledged_event_is_seen_by_another_process_at_once, .timeout = 60) {
    struct handshake shake = {.store = sandbox_anonymous()};
    cr_assert_eq(pipe(shake.to_child) | pipe(shake.to_parent), 0);
    pid_t pid = child_start(see_at_once, &shake);
    for (int i = 0; i < SHAKES; i++) {
        eddy_new_event event = {.data = eddy_str("x")};
        must(eddy_append(shake.store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
        child_say(shake.to_child[1]);
        child_hear(shake.to_parent[0]);
    }
    cr_assert_eq(child_end(pid, CHILD_LIMIT_MS), 0);
    eddy_close(shake.store);
}

/* ---- one winner ---- */

enum { RACERS = 6, ROUNDS = 2000 };

struct race {
    eddy_store *store;
    _Atomic uint32_t ready;
    _Atomic uint32_t winners[ROUNDS];
    _Atomic uint64_t won[RACERS];
};

struct racer {
    struct race *race;
    uint32_t number;
};

static void race(void *arg) {
    struct racer *racer = arg;
    struct race *race = racer->race;
    eddy_new_event event = {.data = eddy_mem(&racer->number, sizeof racer->number)};
    atomic_fetch_add(&race->ready, 1);
    while (atomic_load(&race->ready) < RACERS) {
    }
    for (uint64_t version = 0; version < ROUNDS;) {
        eddy_result result;
        int rc = eddy_append(race->store, eddy_str("prize"), (int64_t)version, &event, 1, &result);
        if (rc == 0) {
            CHECK_EQ(result.last_version, version + 1);
            atomic_fetch_add(&race->winners[version], 1);
            atomic_fetch_add(&race->won[racer->number], 1);
            version++;
            continue;
        }
        CHECK_EQ(rc, EDDY_ECONFLICT);
        CHECK_EQ(result.expected, version);
        CHECK(result.actual > version);
        version = result.actual;
    }
}

Test(multi, a_race_for_a_version_has_one_winner_each_time, .timeout = 60) {
    struct race *scene = child_shared(sizeof *scene);
    struct racer racers[RACERS];
    pid_t pids[RACERS];
    scene->store = sandbox_anonymous();
    for (uint32_t i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){scene, i};
        pids[i] = child_start(race, &racers[i]);
    }
    for (int i = 0; i < RACERS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    uint64_t all = 0;
    for (int i = 0; i < RACERS; i++) {
        all += atomic_load(&scene->won[i]);
    }
    cr_assert_eq(all, ROUNDS);
    cr_assert_eq(sandbox_head(scene->store), ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        cr_assert_eq(atomic_load(&scene->winners[i]), 1, "version %d", i + 1);
    }
    eddy_close(scene->store);
}

/* A transfer between two accounts of which the sum must stay: conditions on what is read. */
enum { ACCOUNTS = 4, TRANSFERS = 400 };

static int64_t balance_of(eddy_store *store, eddy_buffer *buffer, unsigned account,
                          uint64_t *version) {
    char name[16];
    eddy_event event;
    int64_t balance;
    eddy_stream_facts facts = {.size = sizeof facts};
    snprintf(name, sizeof name, "account-%u", account);
    CHECK_OK(eddy_stream_info(store, eddy_str(name), &facts));
    CHECK_OK(eddy_get_version(store, eddy_str(name), facts.version, buffer, &event));
    CHECK_EQ(event.data.len, sizeof balance);
    memcpy(&balance, event.data.ptr, sizeof balance);
    *version = facts.version;
    return balance;
}

static bool transfer(eddy_store *store, eddy_tx *tx, eddy_buffer *buffer, struct rng *rng) {
    unsigned ids[2];
    ids[0] = (unsigned)rng_below(rng, ACCOUNTS);
    ids[1] = (ids[0] + 1 + (unsigned)rng_below(rng, ACCOUNTS - 1)) % ACCOUNTS;
    int64_t amount = (int64_t)rng_below(rng, 100);
    CHECK_OK(eddy_tx_reset(tx));
    for (int i = 0; i < 2; i++) {
        char name[16];
        uint64_t version;
        int64_t balance = balance_of(store, buffer, ids[i], &version);
        balance += i == 0 ? -amount : amount;
        eddy_new_event event = {.data = eddy_mem(&balance, sizeof balance)};
        snprintf(name, sizeof name, "account-%u", ids[i]);
        CHECK_OK(eddy_tx_append(tx, eddy_str(name), &event));
        CHECK_OK(eddy_tx_expect(tx, eddy_str(name), (int64_t)version));
    }
    int rc = eddy_tx_commit(tx, NULL);
    CHECK(rc == 0 || rc == EDDY_ECONFLICT);
    return rc == 0;
}

static void be_bank(void *arg) {
    struct racer *racer = arg;
    eddy_store *store = racer->race->store;
    eddy_buffer *buffer = eddy_buffer_create();
    struct rng rng = rng_make(5000 + racer->number);
    eddy_tx *tx;
    CHECK_OK(eddy_tx_begin(store, &tx));
    for (int done = 0; done < TRANSFERS;) {
        done += transfer(store, tx, buffer, &rng);
    }
    eddy_tx_free(tx);
    eddy_buffer_destroy(buffer);
}

Test(multi, conditions_keep_an_invariant_over_several_streams, .timeout = 60) {
    struct race *scene = child_shared(sizeof *scene);
    struct racer racers[4];
    pid_t pids[4];
    scene->store = sandbox_anonymous();
    int64_t balance = 1000;
    eddy_new_event event = {.data = eddy_mem(&balance, sizeof balance)};
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "account-%u", i);
        must(eddy_append(scene->store, eddy_str(name), EDDY_NONE, &event, 1, NULL));
    }
    for (uint32_t i = 0; i < 4; i++) {
        racers[i] = (struct racer){scene, i};
        pids[i] = child_start(be_bank, &racers[i]);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    eddy_buffer *buffer = eddy_buffer_create();
    int64_t sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        uint64_t version;
        sum += balance_of(scene->store, buffer, i, &version);
    }
    cr_assert_eq(sum, 1000 * ACCOUNTS);
    cr_assert_eq(sandbox_head(scene->store), ACCOUNTS + 4 * TRANSFERS * 2);
    eddy_buffer_destroy(buffer);
    eddy_close(scene->store);
}

/* ---- one store ---- */

enum { MAKERS = 8, STORES = 40 };

struct making {
    struct sandbox box;
    _Atomic uint32_t ready[STORES];
    _Atomic uint32_t made[STORES];
    _Atomic int64_t created_ns[STORES];
};

static void meet(_Atomic uint32_t *ready) {
    atomic_fetch_add(ready, 1);
    while (atomic_load(ready) < MAKERS) {
    }
}

static void make_same_names(void *arg) {
    struct making *making = arg;
    for (int i = 0; i < STORES; i++) {
        char name[16];
        bool exclusive = i % 2;
        eddy_options options = EDDY_OPTIONS_INIT;
        eddy_store *store;
        options.dir = making->box.dir;
        options.cap = SANDBOX_CAP;
        options.flags = exclusive ? EDDY_EXCLUSIVE : 0;
        snprintf(name, sizeof name, "store-%d", i);
        meet(&making->ready[i]);
        int rc = eddy_open(&store, name, &options);
        if (exclusive && rc == EDDY_EEXIST) {
            continue;
        }
        CHECK_OK(rc);
        atomic_fetch_add(&making->made[i], 1);
        eddy_facts facts = {.size = sizeof facts};
        CHECK_OK(eddy_info(store, &facts));
        int64_t none = 0;
        if (!atomic_compare_exchange_strong(&making->created_ns[i], &none, facts.created_ns)) {
            CHECK_EQ(none, facts.created_ns);
        }
        eddy_new_event event = {.data = eddy_str("x")};
        CHECK_OK(eddy_append(store, eddy_str("s"), EDDY_ANY, &event, 1, NULL));
        eddy_close(store);
    }
}

Test(multi, eight_that_make_the_same_name_at_once_get_one_store, .timeout = 60) {
    struct making *making = child_shared(sizeof *making);
    pid_t pids[MAKERS];
    sandbox_make(&making->box);
    for (int i = 0; i < MAKERS; i++) {
        pids[i] = child_start(make_same_names, making);
    }
    for (int i = 0; i < MAKERS; i++) {
        cr_assert_eq(child_end(pids[i], CHILD_LIMIT_MS), 0);
    }
    for (int i = 0; i < STORES; i++) {
        char name[16];
        snprintf(name, sizeof name, "store-%d", i);
        cr_assert_eq(atomic_load(&making->made[i]), i % 2 ? 1 : MAKERS, "%s", name);
        eddy_store *store = sandbox_open(&making->box, name, EDDY_MUST_EXIST);
        cr_assert_eq(sandbox_head(store), i % 2 ? 1 : MAKERS);
        eddy_close(store);
    }
}
