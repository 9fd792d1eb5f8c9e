/* eddy.h from outside: checkpoints of shards, conditions on them, resets, and waiting for one. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int set(eddy_store *store, const char *name, uint64_t shard, uint64_t offset,
               int64_t expected, eddy_result *result) {
    eddy_new_checkpoint c = {.name = eddy_str(name), .shard = shard, .offset = offset};
    return eddy_checkpoint_set(store, &c, expected, result);
}

static eddy_checkpoint get(eddy_store *store, const char *name, uint64_t shard) {
    eddy_checkpoint c;
    must(eddy_checkpoint_get(store, eddy_str(name), shard, &c));
    cr_assert_eq(c.shard, shard);
    return c;
}

static int note(void *arg, const eddy_checkpoint *c) {
    char *text = arg;
    (void)snprintf(text + strlen(text), 400 - strlen(text), "%s/%llu=%llu ", c->name,
                   (unsigned long long)c->shard, (unsigned long long)c->offset);
    return 0;
}

static void assert_list(eddy_store *store, const char *prefix, const char *list) {
    char text[400] = "";
    cr_assert_geq(eddy_checkpoints(store, eddy_str(prefix), note, text), 0);
    cr_assert_str_eq(text, list);
}

static uint64_t held(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    return facts.held;
}

Test(api_projection, shards_are_apart_and_listed_in_order, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_checkpoint c;
    must(set(store, "p", 256, 1, EDDY_ANY, NULL));
    must(set(store, "p", 2, 2, EDDY_ANY, NULL));
    must(set(store, "p", UINT64_MAX, 3, EDDY_ANY, NULL));
    must(eddy_checkpoint_put(store, eddy_str("p"), 4, 0)); /* of shard 0 */
    must(set(store, "pq", 1, 5, EDDY_ANY, NULL));
    /* A name that ends as another's key does. */
    must(eddy_checkpoint_put(store, eddy_mem("p\0\0\0\0\0\0\0\2", 9), 6, 0));
    cr_assert_eq(get(store, "p", 2).offset, 2);
    gives(eddy_checkpoint_get(store, eddy_str("p"), 3, &c), EDDY_ENOENT);
    must(eddy_checkpoint_delete(store, eddy_mem("p\0\0\0\0\0\0\0\2", 9), 0, EDDY_EXISTS));
    assert_list(store, "", "p/0=4 p/2=2 p/256=1 p/18446744073709551615=3 pq/1=5 ");
    assert_list(store, "pq", "pq/1=5 ");
    must(eddy_checkpoint_delete(store, eddy_str("p"), 2, EDDY_ANY));
    assert_list(store, "p", "p/0=4 p/256=1 p/18446744073709551615=3 pq/1=5 ");
    sandbox_check(store);
    eddy_close(store);
}

Test(api_projection, it_is_set_if_it_is_as_expected, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_result result;
    gives(set(store, "p", 1, 7, EDDY_EXISTS, &result), EDDY_ECONFLICT);
    must(set(store, "p", 1, 7, EDDY_NONE, &result));
    int64_t first = (int64_t)result.revision;
    cr_assert_eq(get(store, "p", 1).revision, result.revision);
    gives(set(store, "p", 1, 8, EDDY_NONE, &result), EDDY_ECONFLICT);
    cr_assert_eq(result.actual, (uint64_t)first);
    cr_assert_str_eq(result.stream, "p");
    has_text(eddy_errmsg(), "checkpoint 'p' of shard 1");
    must(set(store, "p", 1, 8, first, &result));
    gives(eddy_checkpoint_delete(store, eddy_str("p"), 1, first), EDDY_ECONFLICT);
    must(eddy_checkpoint_delete(store, eddy_str("p"), 1, (int64_t)result.revision));
    must(set(store, "p", 1, 8, EDDY_ANY, NULL));
    gives(set(store, "p", 1, 9, (int64_t)result.revision, NULL),
          EDDY_ECONFLICT); /* it is another */
    gives(set(store, "p", 1, 9, -7, NULL), EDDY_EINVAL);
    cr_assert_eq(get(store, "p", 1).offset, 8);
    eddy_close(store);
}

Test(api_projection, a_time_is_kept_as_given, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_checkpoint c = {.name = eddy_str("p"), .time_ns = -5};
    must(eddy_checkpoint_set(store, &c, EDDY_ANY, NULL));
    cr_assert_eq(get(store, "p", 0).time_ns, -5);
    c.time_ns = 0;
    must(eddy_checkpoint_set(store, &c, EDDY_ANY, NULL));
    cr_assert_eq(get(store, "p", 0).time_ns, get(store, "p", 0).recorded_ns);
    c.flags = EDDY_TIME_GIVEN | EDDY_HOLD;
    must(eddy_checkpoint_set(store, &c, EDDY_ANY, NULL));
    cr_assert_eq(get(store, "p", 0).time_ns, 0);
    cr_assert_eq(get(store, "p", 0).flags, EDDY_HOLD);
    gives(eddy_checkpoint_put(store, eddy_str("p"), 1, EDDY_TIME_GIVEN), EDDY_EINVAL);
    eddy_close(store);
}

Test(api_projection, a_reset_goes_on_holding_what_was_held, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_new_checkpoint c = {.name = eddy_str("p"), .shard = 1, .offset = 50, .flags = EDDY_HOLD};
    eddy_result result;
    must(eddy_checkpoint_set(store, &c, EDDY_ANY, NULL));
    must(set(store, "p", 2, 60, EDDY_ANY, NULL));
    must(set(store, "other", 2, 70, EDDY_ANY, NULL));
    cr_assert_eq(held(store), 51);
    must(eddy_checkpoint_reset(store, eddy_str("p"), 10, &result));
    assert_list(store, "", "other/2=70 p/1=10 p/2=10 ");
    cr_assert_eq(get(store, "p", 1).revision, result.revision);
    cr_assert_eq(get(store, "p", 2).revision, result.revision);
    cr_assert_eq(get(store, "p", 1).flags, EDDY_HOLD);
    cr_assert_eq(get(store, "p", 2).flags, 0);
    cr_assert_eq(held(store), 11);
    must(eddy_checkpoint_reset(store, eddy_str("p"), 90, NULL));
    cr_assert_eq(held(store), 91);
    gives(eddy_checkpoint_reset(store, eddy_str("p"), UINT64_C(1) << 62, NULL), EDDY_EINVAL);
    gives(eddy_checkpoint_reset(store, eddy_str(""), 1, NULL), EDDY_EINVAL);
    must(eddy_checkpoint_reset(store, eddy_str("other"), (uint64_t)INT64_MAX, NULL));
    must(eddy_checkpoint_reset(store, eddy_str("unknown"), 1, &result));
    cr_assert_eq(result.revision, 0);
    sandbox_check(store);
    eddy_close(store);
}

/* ---- waiting ---- */

Test(api_projection, who_need_not_wait_is_told_at_once, .timeout = 10) {
    eddy_store *store = sandbox_anonymous();
    eddy_store *look = sandbox_again(store, EDDY_READ_ONLY);
    eddy_checkpoint c;
    int64_t begun = child_now_ns();
    must(set(store, "p", 3, 7, EDDY_ANY, NULL));
    must(eddy_checkpoint_wait(store, eddy_str("p"), 3, 7, 0, &c));
    cr_assert_eq(c.offset, 7);
    must(eddy_checkpoint_wait(look, eddy_str("p"), 3, 1, EDDY_FOREVER, NULL));
    gives(eddy_checkpoint_wait(store, eddy_str("p"), 3, 8, eddy_deadline_ms(20), &c),
          EDDY_ETIMEDOUT);
    has_text(eddy_errmsg(), "'p' of shard 3");
    gives(eddy_checkpoint_wait(look, eddy_str("none"), 3, 0, eddy_deadline_ms(20), &c),
          EDDY_ETIMEDOUT);
    gives(eddy_checkpoint_wait(store, eddy_str(""), 3, 0, EDDY_FOREVER, &c), EDDY_EINVAL);
    cr_assert_lt(child_now_ns() - begun, INT64_C(5000000000));
    eddy_close(look);
    eddy_close(store);
}

/* Two that take turns: each sets its own checkpoint when the other's has come so far. */
struct game {
    eddy_store *store;
    uint64_t rounds;
    uint32_t flags; /* of the handle that waits */
};

static void answer(void *arg) {
    struct game *g = arg;
    eddy_store *waits = g->flags ? sandbox_again(g->store, g->flags) : g->store;
    for (uint64_t i = 1; i <= g->rounds; i++) {
        CHECK_OK(eddy_checkpoint_wait(waits, eddy_str("ping"), 5, i, EDDY_FOREVER, NULL));
        CHECK_OK(eddy_checkpoint_put(g->store, eddy_str("pong"), i, 0));
    }
    if (g->flags) {
        eddy_close(waits);
    }
}

static void serve(struct game *g) {
    for (uint64_t i = 1; i <= g->rounds; i++) {
        must(set(g->store, "ping", 5, i, EDDY_ANY, NULL));
        must(eddy_checkpoint_wait(g->store, eddy_str("pong"), 0, i, EDDY_FOREVER, NULL));
    }
}

Test(api_projection, processes_wait_for_each_other, .timeout = 120) {
    struct game g = {.store = sandbox_anonymous(), .rounds = 500};
    pid_t pid = child_start(answer, &g);
    serve(&g);
    cr_assert_eq(child_end(pid, 60000), 0);
    eddy_close(g.store);
}

Test(api_projection, a_read_only_handle_waits_too, .timeout = 120) {
    struct game g = {.store = sandbox_anonymous(), .rounds = 50, .flags = EDDY_READ_ONLY};
    pid_t pid = child_start(answer, &g);
    serve(&g);
    cr_assert_eq(child_end(pid, 60000), 0);
    eddy_close(g.store);
}

struct waiter {
    eddy_store *store;
    int result;
    int64_t cpu_ns;
    eddy_checkpoint found;
};

static void *wait_for_it(void *arg) {
    struct waiter *w = arg;
    struct timespec cpu;
    w->result = eddy_checkpoint_wait(w->store, eddy_str("later"), 9, 5, EDDY_FOREVER, &w->found);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    w->cpu_ns = cpu.tv_sec * INT64_C(1000000000) + cpu.tv_nsec;
    return NULL;
}

static uint64_t sleeps_of(eddy_store *store) {
    eddy_counts counts = {.size = sizeof counts};
    must(eddy_stats(store, &counts));
    return counts.sleeps;
}

/* Until somebody sleeps: it is marked then, or about to. */
static void await_sleep(eddy_store *store) {
    for (uint64_t before = sleeps_of(store); sleeps_of(store) < before + 2;) {
        child_linger_us(1000);
    }
}

Test(api_projection, who_waits_sleeps_until_it_is_set, .timeout = 60) {
    struct waiter w = {.store = sandbox_anonymous()};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_it, &w), 0);
    await_sleep(w.store); /* it has looked twice: each tenth of a second */
    must(set(w.store, "later", 8, 9, EDDY_ANY, NULL));
    must(set(w.store, "later", 9, 4, EDDY_ANY, NULL));
    int64_t begun = child_now_ns();
    must(set(w.store, "later", 9, 6, EDDY_ANY, NULL));
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_lt(child_now_ns() - begun, INT64_C(20000000000));
    cr_assert_eq(w.result, 0);
    cr_assert_eq(w.found.offset, 6);
    cr_assert_eq(w.found.shard, 9);
    cr_assert_lt(w.cpu_ns, INT64_C(50000000), "%lld ns of the processor", (long long)w.cpu_ns);
    eddy_close(w.store);
}

Test(api_projection, a_shutdown_ends_the_wait, .timeout = 60) {
    struct waiter w = {.store = sandbox_anonymous()};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, wait_for_it, &w), 0);
    await_sleep(w.store);
    must(eddy_shutdown(w.store));
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_eq(w.result, EDDY_ECLOSED);
    eddy_close(w.store);
}

static void wait_in_child(void *arg) {
    struct waiter *w = arg;
    (void)wait_for_it(arg);
    CHECK_EQ(w->result, 0);
    CHECK_EQ(w->found.offset, 5);
}

Test(api_projection, who_waits_in_a_child_is_woken_and_one_that_is_killed_harms_nobody,
     .timeout = 60) {
    struct waiter w = {.store = sandbox_anonymous()};
    uint64_t before = sleeps_of(w.store);
    pid_t waits = child_start(wait_in_child, &w);
    pid_t dies = child_start(wait_in_child, &w);
    while (sleeps_of(w.store) < before + 4) {
        child_linger_us(1000);
    }
    child_kill(dies);
    must(set(w.store, "later", 9, 5, EDDY_ANY, NULL));
    cr_assert_eq(child_end(waits, 30000), 0);
    must(eddy_maintain(w.store, 0, NULL));
    sandbox_check(w.store);
    eddy_close(w.store);
}
