/* Resetting a store that others use: what was acknowledged behind the reset is there. And forgetting
 * names that are written again at the same time. */
#include "guest.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/rng.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRITERS = 3, RESETS = 40, STREAMS = 25, FORGETS = 300 };

struct shared {
    _Atomic int stop;
    _Atomic uint64_t appended;
};

/* Writes a few streams over and over. */
static void write_on(struct guest *guest) {
    struct shared *shared = guest->more;
    struct rng rng = rng_make((uint64_t)getpid());
    while (!atomic_load(&shared->stop)) {
        char stream[32];
        snprintf(stream, sizeof stream, "s-%d", (int)rng_below(&rng, STREAMS));
        look_append(guest->store, stream);
        atomic_fetch_add(&shared->appended, 1);
    }
}

/* Every offset from the first to the last is there, and each stream begins with a version of its own
 * and goes on without a gap. */
static void check_no_hole(eddy_store *store) {
    uint64_t next[STREAMS] = {0};
    eddy_facts facts = look_facts(store);
    eddy_reader *reader;
    eddy_event event;
    uint64_t offset = facts.first;
    must(eddy_reader_open(store, NULL, &reader));
    int got;
    while ((got = eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        int stream = 0;
        char name[32] = "";
        memcpy(name, event.stream.ptr, event.stream.len < 31 ? event.stream.len : 31);
        cr_assert_eq(sscanf(name, "s-%d", &stream), 1);
        cr_assert_eq(event.offset, offset);
        cr_assert(next[stream] == 0 || event.version == next[stream]);
        next[stream] = event.version + 1;
        offset++;
    }
    cr_assert_eq(got, EDDY_END);
    cr_assert(facts.head == 0 || offset == facts.head + 1 || facts.events == 0);
    cr_assert_eq(facts.events, facts.events ? facts.head + 1 - facts.first : 0);
    eddy_reader_close(reader);
}

Test(reset, what_is_written_behind_a_reset_stays, .timeout = 120) {
    struct shared *shared = child_shared(sizeof *shared);
    eddy_store *store = sandbox_anonymous();
    struct guest writers[WRITERS];
    eddy_result result;
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct guest){.store = store, .more = shared};
        guest_start(&writers[i], write_on);
    }
    uint64_t removed = 0;
    for (int i = 0; i < RESETS; i++) {
        uint64_t enough = atomic_load(&shared->appended) + 50;
        while (atomic_load(&shared->appended) < enough) {
            child_linger_us(100);
        }
        must(eddy_reset(store, &result));
        removed += result.removed;
    }
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < WRITERS; i++) {
        cr_assert_eq(guest_end(&writers[i]), 0);
    }
    eddy_facts facts = look_facts(store);
    cr_assert_eq(facts.head, atomic_load(&shared->appended));
    cr_assert_eq(removed + facts.events, facts.head, "nothing went but by a reset");
    check_no_hole(store);
    sandbox_check(store);
    eddy_close(store);
}

/* Appends to a stream that is removed, finds its event there, and removes it again. */
static void come_and_go(struct guest *guest) {
    struct shared *shared = guest->more;
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_new_event event = {.type = eddy_str("t")};
    eddy_event there;
    eddy_result result;
    for (int i = 0; !atomic_load(&shared->stop); i++) {
        char stream[32];
        snprintf(stream, sizeof stream, "%d-%d", getpid(), i % 7);
        CHECK_OK(eddy_append(guest->store, eddy_str(stream), EDDY_ANY, &event, 1, &result));
        for (int look = 0; look < 20; look++) {
            CHECK_OK(eddy_get(guest->store, result.last_offset, buffer, &there));
        }
        CHECK_OK(eddy_delete(guest->store, eddy_str(stream), EDDY_EXISTS, NULL));
        atomic_fetch_add(&shared->appended, 1);
    }
    eddy_buffer_destroy(buffer);
}

Test(reset, a_name_that_is_written_again_is_not_forgotten_with_its_events, .timeout = 120) {
    struct shared *shared = child_shared(sizeof *shared);
    eddy_store *store = sandbox_anonymous();
    struct guest guests[WRITERS];
    for (int i = 0; i < WRITERS; i++) {
        guests[i] = (struct guest){.store = store, .more = shared};
        guest_start(&guests[i], come_and_go);
    }
    for (int i = 0; i < FORGETS; i++) {
        uint64_t enough = atomic_load(&shared->appended) + 5;
        while (atomic_load(&shared->appended) < enough) {
            for (int g = 0; g < WRITERS; g++) {
                cr_assert_eq(waitpid(guests[g].pid, NULL, WNOHANG), 0, "its event was gone");
            }
            child_linger_us(10);
        }
        must(eddy_forget_removed(store, eddy_str("")));
    }
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < WRITERS; i++) {
        cr_assert_eq(guest_end(&guests[i]), 0);
    }
    sandbox_check(store);
    eddy_close(store);
}
