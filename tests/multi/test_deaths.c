/* A member is killed at a chosen point of its life, 60 times: after the next open only the living
 * are in the list, the store is sound, and it takes no more memory than before. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    WARM_UP = 10,
    DEATHS = 60,
    SLACK = 1 << 20, /* the store grows by steps of so much */
    HELD = 3 << 20,
    LIMIT_MS = 10000,
    LARGE_EXTENTS = 256 << 10,
    LARGE = LARGE_EXTENTS - 50000 /* with its heads it fills so many bytes of extents */
};

static eddy_store *guest_opens(struct guest *guest) {
    return sandbox_open(guest->box, "store", EDDY_MUST_EXIST);
}

static void only_opens(struct guest *guest) {
    guest_opens(guest);
    guest_meet(guest);
}

/* Two large events, a page of small ones in new streams, and conditions; never committed. */
static void is_inside_a_transaction(struct guest *guest) {
    eddy_tx *tx;
    eddy_new_event large = {.data = eddy_mem(NULL, HELD / 2)};
    eddy_new_event small = {.data = eddy_str("small")};
    char name[32];
    void *place;
    CHECK_OK(eddy_tx_begin(guest_opens(guest), &tx));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(eddy_tx_reserve(tx, eddy_str("large"), &large, &place));
        memset(place, 'x', HELD / 2);
    }
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "never-%d", i);
        CHECK_OK(eddy_tx_append(tx, eddy_str(name), &small));
    }
    CHECK_OK(eddy_tx_expect(tx, eddy_str("large"), EDDY_NONE));
    guest_meet(guest);
}

static eddy_reader *follows(eddy_store *store, uint32_t flags, uint64_t after) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    select.flags = EDDY_FOLLOW | flags;
    select.after_offset = after;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    return reader;
}

static void waits(struct guest *guest) {
    eddy_store *store = guest_opens(guest);
    eddy_event event;
    eddy_reader *reader = follows(store, 0, look_facts(store).head);
    guest_say(guest);
    (void)eddy_reader_wait(reader, EDDY_FOREVER, &event);
    CHECK(0);
}

static void borrows(struct guest *guest) {
    eddy_store *store = guest_opens(guest);
    eddy_event event;
    eddy_reader *reader = follows(store, EDDY_BORROW, 0);
    CHECK_EQ(eddy_reader_next(reader, &event), EDDY_EVENT);
    CHECK_EQ(eddy_reader_holds(reader), 1);
    guest_meet(guest);
}

/* ---- what is left ---- */

struct grave {
    struct sandbox box;
    eddy_store *store;
    struct rng rng;
    uint64_t reserved; /* after the warm-up */
    uint64_t used;
    const char *name; /* of the test */
};

static void grave_open(struct grave *grave, const char *name) {
    sandbox_make(&grave->box);
    grave->store = sandbox_open(&grave->box, "store", 0);
    grave->rng = rng_make(4000);
    grave->name = name;
    for (int i = 0; i < 5; i++) {
        look_append(grave->store, "host");
    }
}

/* What is reserved beside the large events, each of which fills whole extents. */
static uint64_t beside_large(struct grave *grave, const eddy_facts *facts) {
    return facts->reserved - look_version(grave->store, "large") * LARGE_EXTENTS;
}

static void after_a_death(struct grave *grave, pid_t pid, int n) {
    eddy_store *again = sandbox_open(&grave->box, "store", EDDY_MUST_EXIST);
    uint32_t dead;
    cr_assert_not(look_member(again, pid, NULL), "death %d", n);
    cr_assert_eq(sandbox_members(again, &dead), 2, "death %d", n);
    cr_assert_eq(dead, 0, "death %d", n);
    sandbox_check(again);
    eddy_close(again);
    look_append(grave->store, "host");
    eddy_facts facts = look_facts(grave->store);
    if (n == WARM_UP) {
        grave->reserved = beside_large(grave, &facts);
        grave->used = grave->reserved - facts.free;
    }
}

static void grave_close(struct grave *grave) {
    eddy_facts facts = look_facts(grave->store);
    uint64_t reserved = beside_large(grave, &facts);
    fprintf(
        stderr,
        "%s: %d deaths: beside large events %llu KiB reserved, of them %llu used; after %d it was "
        "%llu and %llu\n",
        grave->name, DEATHS, (unsigned long long)reserved >> 10,
        (unsigned long long)(reserved - facts.free) >> 10, WARM_UP,
        (unsigned long long)grave->reserved >> 10, (unsigned long long)grave->used >> 10);
    cr_assert_leq(reserved, grave->reserved + SLACK, "each death costs memory");
    cr_assert_leq(reserved - facts.free, grave->used + SLACK / 4, "each death uses up memory");
    cr_assert_eq(look_counts(grave->store).sweeps, DEATHS);
    cr_assert_eq(look_version(grave->store, "host"), 5 + DEATHS);
    cr_assert_eq(sandbox_members(grave->store, NULL), 1);
    sandbox_check(grave->store);
    eddy_close(grave->store);
}

static void die_often(const char *name, void (*fn)(struct guest *guest), bool asleep) {
    struct grave grave;
    grave_open(&grave, name);
    for (int n = 1; n <= DEATHS; n++) {
        struct guest guest = {.box = &grave.box};
        guest_start(&guest, fn);
        guest_await(&guest);
        if (asleep) {
            guest_await_sleep(guest.pid);
        }
        cr_assert(look_alive(grave.store, guest.pid));
        guest_kill(&guest);
        cr_assert_not(look_alive(grave.store, guest.pid));
        after_a_death(&grave, guest.pid, n);
    }
    grave_close(&grave);
}

Test(deaths, just_after_an_open, .timeout = 60) {
    die_often("just_after_an_open", only_opens, false);
}

Test(deaths, inside_a_transaction_with_large_payloads, .timeout = 60) {
    die_often("inside_a_transaction_with_large_payloads", is_inside_a_transaction, false);
}

Test(deaths, while_waiting, .timeout = 60) {
    die_often("while_waiting", waits, true);
}

Test(deaths, with_a_borrowed_event_held, .timeout = 60) {
    die_often("with_a_borrowed_event_held", borrows, false);
}

/* ---- growing ---- */

struct growth {
    _Atomic uint64_t appended;
    _Atomic uint64_t allowed; /* so that a test that is slow to kill does not fill the store */
};

/* Each of its appends makes the file larger. */
static void grows(struct guest *guest) {
    struct growth *growth = guest->more;
    eddy_store *store = guest_opens(guest);
    guest_say(guest);
    for (;;) {
        if (atomic_load(&growth->appended) < atomic_load(&growth->allowed)) {
            CHECK_OK(look_append_bytes(store, "large", LARGE));
            atomic_fetch_add(&growth->appended, 1);
        }
    }
}

Test(deaths, in_the_midst_of_growing_the_file, .timeout = 60) {
    struct grave grave;
    struct growth *growth = child_shared(sizeof *growth);
    grave_open(&grave, "in_the_midst_of_growing_the_file");
    uint64_t reserved = look_facts(grave.store).reserved;
    for (int n = 1; n <= DEATHS; n++) {
        struct guest guest = {.box = &grave.box, .more = growth};
        uint64_t until = atomic_load(&growth->appended) + 2 + rng_below(&grave.rng, 4);
        int64_t end = child_now_ns() + INT64_C(1000000) * LIMIT_MS;
        atomic_store(&growth->allowed, until + 4);
        guest_start(&guest, grows);
        guest_await(&guest);
        while (atomic_load(&growth->appended) < until) {
            cr_assert_lt(child_now_ns(), end, "it does not append");
            child_linger_us(20);
        }
        child_linger_us(rng_below(&grave.rng, 200));
        guest_kill(&guest);
        uint64_t acknowledged = atomic_load(&growth->appended);
        uint64_t there = look_version(grave.store, "large");
        cr_assert(there >= acknowledged && there <= acknowledged + 1,
                  "%llu there, %llu of them "
                  "acknowledged",
                  (unsigned long long)there, (unsigned long long)acknowledged);
        atomic_store(&growth->appended, there);
        after_a_death(&grave, guest.pid, n);
    }
    cr_assert_gt(look_facts(grave.store).reserved, reserved + (uint64_t)DEATHS * 2 * LARGE);
    grave_close(&grave);
}
