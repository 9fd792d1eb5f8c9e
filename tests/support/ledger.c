#include "ledger.h"

#include "check.h"
#include "gang.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

eddy_bytes ledger_name(const struct ledger *ledger, unsigned i, char *text) {
    snprintf(text, 32, "book-%u-%u", ledger->owner, i);
    return eddy_str(text);
}

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void ledger_event(const struct ledger *ledger, unsigned i, uint64_t life, uint64_t version,
                  unsigned char *room, eddy_new_event *event) {
    uint64_t seed = mix(mix(mix(ledger->owner + 1) + i) + life) + version;
    uint64_t x = mix(seed);
    bool large = x % 61 == 0;
    uint64_t len = large ? 70000 + (x >> 8) % 200000 : (x >> 8) % 300;
    uint64_t at = 0;
    for (; at + 8 <= len; at += 8) {
        uint64_t word = mix(seed + at);
        memcpy(room + at, &word, 8);
    }
    memset(room + at, (int)(x & 0xff), len - at);
    memset(event, 0, sizeof *event);
    event->shard = x;
    event->data = eddy_mem(room, len);
}

void ledger_try(struct ledger *ledger, const char *what) {
    snprintf(ledger->what, sizeof ledger->what, "%s", what);
    atomic_store(&ledger->pending, 1);
}

void ledger_done(struct ledger *ledger) {
    /* A death between the two lines leaves both alike, which is found as it is. */
    memcpy(ledger->now, ledger->next, sizeof ledger->now);
    atomic_store(&ledger->pending, 0);
    atomic_fetch_add(&ledger->done, 1);
}

/* What the store says of a stream of the book. */
static void look(struct ledger *ledger, eddy_store *store, unsigned i, struct ledger_stream *seen) {
    char text[32];
    eddy_stream_facts facts = {.size = sizeof facts};
    int rc = eddy_stream_info(store, ledger_name(ledger, i, text), &facts);
    memset(seen, 0, sizeof *seen);
    if (rc == EDDY_ENOENT) {
        return;
    }
    CHECK_OK(rc);
    seen->there = true;
    seen->version = facts.version;
    seen->gone = facts.version - facts.count;
    CHECK(facts.count == 0 || facts.first_version == seen->gone + 1);
}

static bool agrees(const struct ledger_stream *seen, const struct ledger_stream *said, bool lossy) {
    if (seen->there != said->there) {
        return lossy && !seen->there; /* a stream that retention has emptied is removed */
    }
    return !seen->there || (seen->version == said->version &&
                            (seen->gone == said->gone || (lossy && seen->gone > said->gone)));
}

/* How many streams agree, and whether all of them do. */
static bool agree(const struct ledger_stream *seen, const struct ledger_stream *said, bool lossy) {
    for (unsigned i = 0; i < LEDGER_STREAMS; i++) {
        if (!agrees(&seen[i], &said[i], lossy)) {
            return false;
        }
    }
    return true;
}

_Noreturn static void differs(const struct ledger *ledger, const struct ledger_stream *seen) {
    for (unsigned i = 0; i < LEDGER_STREAMS; i++) {
        const struct ledger_stream *now = &ledger->now[i];
        const struct ledger_stream *next = &ledger->next[i];
        fprintf(stderr,
                "book-%u-%u: there %d, version %" PRIu64 ", gone %" PRIu64 "; said %d, %" PRIu64
                ", %" PRIu64 " or %d, %" PRIu64 ", %" PRIu64 "\n",
                ledger->owner, i, seen[i].there, seen[i].version, seen[i].gone, now->there,
                now->version, now->gone, next->there, next->version, next->gone);
    }
    gang_breach("what is there of book %u is neither what was before nor what was to be after "
                "'%s' (pending: %u)",
                ledger->owner, ledger->what, atomic_load(&ledger->pending));
}

/* Each event that is to be there is, and is as it was written; the next one is not. */
static void check_events(struct ledger *ledger, eddy_store *store, unsigned i, bool lossy) {
    static _Thread_local unsigned char room[LEDGER_DATA_MAX];
    struct ledger_stream *s = &ledger->now[i];
    char text[32];
    eddy_bytes name = ledger_name(ledger, i, text);
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_new_event said;
    eddy_event event;
    uint64_t offset = 0;
    CHECK(buffer);
    for (uint64_t v = s->gone + 1; v <= s->version; v++) {
        int rc = eddy_get_version(store, name, v, buffer, &event);
        if (rc == EDDY_ENOENT && lossy) {
            continue; /* it went since */
        }
        CHECK_OK(rc);
        ledger_event(ledger, i, s->life, v, room, &said);
        if (event.version != v || event.offset <= offset || event.shard != said.shard ||
            event.data.len != said.data.len ||
            (said.data.len && memcmp(event.data.ptr, said.data.ptr, said.data.len) != 0)) {
            gang_breach("version %" PRIu64 " of '%s' is not what was written", v, text);
        }
        offset = event.offset;
    }
    CHECK_EQ(eddy_get_version(store, name, s->version + 1, buffer, &event), EDDY_ENOENT);
    eddy_buffer_destroy(buffer);
}

/* A stream that is not there may be known or not: now it is not. */
static void settle(struct ledger *ledger, eddy_store *store, unsigned i) {
    char text[32];
    int rc = eddy_forget(store, ledger_name(ledger, i, text), NULL);
    if (rc != EDDY_ENOENT) {
        CHECK_OK(rc);
    }
    uint64_t life = ledger->now[i].life + 1;
    ledger->now[i] = (struct ledger_stream){.life = life};
}

void ledger_check(struct ledger *ledger, eddy_store *store, bool lossy) {
    struct ledger_stream seen[LEDGER_STREAMS];
    bool pending = atomic_load(&ledger->pending) != 0;
    bool unsure = false;
    for (unsigned i = 0; i < LEDGER_STREAMS; i++) {
        look(ledger, store, i, &seen[i]);
    }
    if (pending && agree(seen, ledger->next, lossy)) {
        unsure = agree(seen, ledger->now, lossy);
        memcpy(ledger->now, ledger->next, sizeof ledger->now);
    } else if (!agree(seen, ledger->now, lossy)) {
        differs(ledger, seen);
    }
    atomic_store(&ledger->pending, 0);
    for (unsigned i = 0; (unsure || lossy) && i < LEDGER_STREAMS; i++) {
        if (!seen[i].there) {
            settle(ledger, store, i);
        }
    }
    for (unsigned i = 0; i < LEDGER_STREAMS; i++) {
        struct ledger_stream *s = &ledger->now[i];
        if (s->there) {
            s->gone = seen[i].gone;
            check_events(ledger, store, i, lossy);
        }
    }
    memcpy(ledger->next, ledger->now, sizeof ledger->now);
}
