/* Contract: what is left of a store when the processes that had it open are gone. Processes are real,
 * and end by closing, by exit, by exec and by being killed. */
#include "multi/guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EVENTS = 50 };

static eddy_store *open_store(const struct sandbox *box, uint32_t flags) {
    eddy_options options = look_options(box, flags);
    eddy_store *store;
    CHECK_OK(eddy_open(&store, "store", &options));
    return store;
}

/* ---- what is in a store ---- */

/* Something of each kind. */
static void fill(eddy_store *store) {
    for (int i = 0; i < EVENTS; i++) {
        char stream[16];
        snprintf(stream, sizeof stream, "s-%d", i % 7);
        look_append(store, stream);
    }
    CHECK_OK(eddy_checkpoint_put(store, eddy_str("projection"), 17, 0));
    CHECK_OK(eddy_truncate(store, eddy_str("s-0"), EDDY_ANY, 2, NULL));
}

static int note_name(void *arg, const eddy_stream_facts *facts) {
    (void)facts;
    return ++*(int *)arg > 100;
}

/* None of it: not a name, not a number. */
static void check_empty(eddy_store *store) {
    eddy_facts facts = look_facts(store);
    eddy_checkpoint checkpoint;
    int streams = 0;
    CHECK_EQ(facts.head, 0);
    CHECK_EQ(facts.events, 0);
    CHECK_EQ(facts.streams, 0);
    CHECK_EQ(facts.names, 0);
    CHECK_EQ(facts.transactions, 0);
    CHECK_EQ(eddy_streams(store, eddy_str(""), eddy_str(""), 100, note_name, &streams), 0);
    CHECK_EQ(eddy_checkpoint_get(store, eddy_str("projection"), 0, &checkpoint), EDDY_ENOENT);
}

/* All of it, at the same offsets and versions; and numbers go on behind it. */
static void check_full(eddy_store *store) {
    eddy_facts facts = look_facts(store);
    eddy_checkpoint checkpoint;
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_event event;
    CHECK_EQ(facts.head, EVENTS);
    CHECK_EQ(facts.events, EVENTS - 2);
    CHECK_EQ(facts.streams, 7);
    CHECK_OK(eddy_checkpoint_get(store, eddy_str("projection"), 0, &checkpoint));
    CHECK_EQ(checkpoint.offset, 17);
    CHECK_EQ(eddy_get(store, 1, buffer, &event), EDDY_ENOENT);
    for (uint64_t offset = 9; offset <= EVENTS; offset++) {
        CHECK_OK(eddy_get(store, offset, buffer, &event));
        CHECK_EQ(event.offset, offset);
        CHECK_EQ(event.version, (offset - 1) / 7 + 1);
    }
    CHECK_EQ(look_version(store, "s-3"), 7);
    eddy_buffer_destroy(buffer);
}

/* ---- processes ---- */

static void fill_and_close(struct guest *guest) {
    eddy_store *store = open_store(guest->box, *(uint32_t *)guest->more);
    fill(store);
    check_full(store);
    eddy_close(store);
}

static void fill_and_exit(struct guest *guest) {
    fill(open_store(guest->box, *(uint32_t *)guest->more));
}

static void fill_and_wait(struct guest *guest) {
    fill(open_store(guest->box, *(uint32_t *)guest->more));
    guest_meet(guest);
}

static void fill_and_exec(struct guest *guest) {
    fill(open_store(guest->box, *(uint32_t *)guest->more));
    execlp("true", "true", (char *)NULL);
    CHECK(false);
}

/* A process that has made the store with these flags and filled it, and is gone. */
static void gone(const struct sandbox *box, uint32_t flags, void (*how)(struct guest *guest)) {
    struct guest guest = {.box = box, .more = &flags};
    guest_start(&guest, how);
    if (how == fill_and_wait) {
        guest_await(&guest);
        guest_kill(&guest);
    } else {
        cr_assert_eq(guest_end(&guest), 0);
    }
}

static void (*const ways[])(struct guest *guest) = {fill_and_close, fill_and_exit, fill_and_exec,
                                                    fill_and_wait};
enum { WAYS = sizeof ways / sizeof ways[0] };

static void find_empty(struct guest *guest) {
    eddy_store *store = open_store(guest->box, *(uint32_t *)guest->more);
    check_empty(store);
    eddy_close(store);
}

static void find_full(struct guest *guest) {
    eddy_store *store = open_store(guest->box, *(uint32_t *)guest->more);
    check_full(store);
    eddy_close(store);
}

/* Another process opens it, and finds that. */
static void found(const struct sandbox *box, uint32_t flags, void (*what)(struct guest *guest)) {
    struct guest guest = {.box = box, .more = &flags};
    guest_start(&guest, what);
    cr_assert_eq(guest_end(&guest), 0);
}

/* ---- kept stores ---- */

Test(contract, EV45_OF11_MP05_a_kept_store_is_as_it_was_when_all_processes_are_gone,
     .timeout = 120) {
    for (int way = 0; way < WAYS; way++) {
        struct sandbox box;
        sandbox_make(&box);
        gone(&box, 0, ways[way]);
        found(&box, EDDY_MUST_EXIST | EDDY_READ_ONLY, find_full);
        found(&box, EDDY_EPHEMERAL, find_full); /* the maker alone says what it is */
        found(&box, EDDY_MUST_EXIST, find_full);
    }
}

/* ---- ephemeral stores ---- */

/* No process sees it any more, and nothing is left of it. */
static void check_gone(const struct sandbox *box) {
    eddy_options options = look_options(box, EDDY_MUST_EXIST);
    eddy_store *store;
    gives(EDDY_ENOENT, eddy_open(&store, "store", &options));
    options.flags |= EDDY_READ_ONLY;
    gives(EDDY_ENOENT, eddy_open(&store, "store", &options));
    cr_assert_eq(access(sandbox_file(box, "store"), F_OK), -1);
    found(box, 0, find_empty);
}

Test(contract, EV44_OF12_DS07_an_ephemeral_store_is_gone_with_its_last_process, .timeout = 120) {
    for (int way = 0; way < WAYS; way++) {
        struct sandbox box;
        sandbox_make(&box);
        gone(&box, EDDY_EPHEMERAL, ways[way]);
        if (ways[way] == fill_and_close) {
            cr_assert_eq(access(sandbox_file(&box, "store"), F_OK), -1, "at once");
        }
        check_gone(&box);
    }
}

static int count_found(void *arg, const eddy_found *found) {
    cr_assert_str_neq(found->name, "store");
    ++*(int *)arg;
    return 0;
}

/* Whatever eddy is used for next there. */
Test(contract, EV44_OF12_DS07_what_a_killed_process_leaves_goes_when_eddy_is_next_used,
     .timeout = 120) {
    for (int next = 0; next < 7; next++) {
        struct sandbox box;
        sandbox_make(&box);
        gone(&box, EDDY_EPHEMERAL, fill_and_wait);
        cr_assert_eq(access(sandbox_file(&box, "store"), F_OK), 0);
        eddy_options options = look_options(&box, 0);
        eddy_store *store = NULL;
        int count = 0;
        switch (next) {
        case 0:
            must(eddy_open(&store, "another", &options));
            break;
        case 1:
            must(eddy_list(box.dir, count_found, &count));
            cr_assert_eq(count, 0);
            break;
        case 2:
            gives(EDDY_ENOENT, eddy_unlink("store", &options));
            break;
        case 3:
        case 4:
            options.flags = EDDY_MUST_EXIST | (next == 4 ? EDDY_READ_ONLY : 0);
            gives(EDDY_ENOENT, eddy_open(&store, "store", &options));
            break;
        default:
            options.flags = next == 5 ? EDDY_EXCLUSIVE : EDDY_EPHEMERAL;
            must(eddy_open(&store, "store", &options));
            check_empty(store);
            break;
        }
        eddy_close(store);
        cr_assert_eq(access(sandbox_file(&box, "store"), F_OK), next == 5 ? 0 : -1, "%d", next);
    }
}
