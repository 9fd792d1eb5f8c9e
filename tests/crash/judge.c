#include "judge.h"

#include "block.h"
#include "platform.h"
#include "support/check.h"
#include "support/child.h"
#include "support/sandbox.h"
#include "trie.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GO_ON_LIMIT_MS = 5000, ALARM_S = 30 };

/* ---- contents ---- */

static uint64_t mix(uint64_t digest, const void *bytes, size_t len) {
    digest = (digest ^ len) * UINT64_C(0x9e3779b97f4a7c15);
    return eddy_platform_hash(bytes, len, digest);
}

static uint64_t mix_event(uint64_t digest, const eddy_event *e) {
    const uint64_t numbers[] = {
        e->offset, e->version, (uint64_t)e->time_ns, e->tx_offset, (uint64_t)e->recorded_ns,
        e->shard,  e->tx_count};
    digest = mix(digest, numbers, sizeof numbers);
    const eddy_bytes texts[] = {e->stream, e->type, e->id, e->data, e->metadata};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        digest = mix(digest, texts[i].ptr, texts[i].len);
    }
    return digest;
}

static bool is_op(const eddy_event *e) {
    return e->type.len == 2 && memcmp(e->type.ptr, "op", 2) == 0;
}

static int mix_stream(void *arg, const eddy_stream_facts *f) {
    struct judge_content *content = arg;
    const uint64_t numbers[] = {f->version,      f->count,       f->first_version,
                                f->first_offset, f->last_offset, f->bytes};
    content->streams = mix(content->streams, numbers, sizeof numbers);
    content->streams = mix(content->streams, f->name, f->name_len);
    content->count++;
    return 0;
}

void judge_read(eddy_store *store, uint64_t upto, struct judge_content *c) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    memset(c, 0, sizeof *c);
    select.to_offset = upto;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    int rc = EDDY_END;
    while (upto > 0 && (rc = eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        c->digest = mix_event(c->digest, &event);
        c->events++;
        c->ops += is_op(&event);
        c->txs += is_op(&event) && event.offset == event.tx_offset;
        if (event.offset != c->events) {
            steps_breach("a reader gave offset %llu as number %llu",
                         (unsigned long long)event.offset, (unsigned long long)c->events);
        }
    }
    if (rc != EDDY_END || c->events != upto) {
        steps_breach("a reader ended at offset %llu of %llu with %d (%s)",
                     (unsigned long long)c->events, (unsigned long long)upto, rc,
                     rc < 0 ? eddy_errmsg() : "");
    }
    eddy_reader_close(reader);
}

/* The rest of what there is: facts of streams, totals. */
static void read_facts(eddy_store *store, struct judge_content *c) {
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(store, &facts));
    const uint64_t numbers[] = {facts.head,
                                facts.first,
                                facts.events,
                                facts.bytes,
                                facts.streams,
                                facts.transactions,
                                (uint64_t)facts.recorded_ns};
    c->totals = mix(0, numbers, sizeof numbers);
    if (eddy_streams(store, eddy_mem(NULL, 0), eddy_mem(NULL, 0), SIZE_MAX, mix_stream, c) < 0) {
        steps_breach("eddy_streams: %s", eddy_errmsg());
    }
    if (c->count != facts.streams || facts.head != facts.events) {
        steps_breach("%llu streams are listed, %llu counted; %llu events, the last is %llu",
                     (unsigned long long)c->count, (unsigned long long)facts.streams,
                     (unsigned long long)facts.events, (unsigned long long)facts.head);
    }
}

/* ---- checks ---- */

static void say_wrong(void *arg, const char *room, const char *text) {
    (void)arg;
    steps_breach("eddy_check: %s: %s", room, text);
}

void judge_check(eddy_store *store) {
    int rc = eddy_check(store, say_wrong, NULL);
    if (rc != 0 && rc != EDDY_ECORRUPT) {
        steps_breach("eddy_check gives %s: %s", eddy_errname(rc), eddy_errmsg());
    }
}

static void expect(bool holds, const char *what) {
    if (!holds) {
        steps_breach("going on: %s (%s)", what, eddy_errmsg());
    }
}

static void follow_three(eddy_reader *reader, eddy_buffer *buffer, eddy_store *store,
                         uint64_t head) {
    eddy_event event;
    for (uint64_t i = 1; i <= 3; i++) {
        expect(eddy_reader_next(reader, &event) == EDDY_EVENT && event.offset == head + i,
               "a follower is not given what was appended");
        expect(eddy_get(store, head + i, buffer, &event) == 0 && event.offset == head + i,
               "what was appended is not there");
        uint64_t version = event.version;
        char name[EDDY_STREAM_MAX + 1];
        size_t len = event.stream.len;
        memcpy(name, event.stream.ptr, len);
        expect(eddy_get_version(store, eddy_mem(name, len), version, buffer, &event) == 0 &&
                   event.offset == head + i,
               "what was appended is not there by its version");
    }
    expect(eddy_reader_next(reader, &event) == EDDY_CAUGHT_UP, "a follower is given too much");
}

void judge_held_up(int64_t begun_ns) {
    int64_t took_ms = (child_now_ns() - begun_ns) / 1000000;
    if (took_ms > GO_ON_LIMIT_MS) {
        steps_breach("going on took %lld ms", (long long)took_ms);
    }
}

void judge_go_on(eddy_store *store) {
    static uint64_t number;
    int64_t begun = child_now_ns();
    char fresh[32];
    snprintf(fresh, sizeof fresh, "fresh-%llu", (unsigned long long)++number);
    const char *streams[] = {"old", "other", fresh};
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader = NULL;
    eddy_buffer *buffer = eddy_buffer_create();
    uint64_t head = sandbox_head(store);
    select.flags = EDDY_FOLLOW;
    select.after_offset = head;
    int rc = eddy_reader_open(store, &select, &reader);
    expect(rc == 0, "a follower cannot be opened");
    for (uint64_t i = 0; rc == 0 && i < 3; i++) {
        eddy_new_event event = {.type = eddy_str("other"), .data = eddy_str("more")};
        eddy_result result;
        rc = eddy_append(store, eddy_str(streams[i]), EDDY_ANY, &event, 1, &result);
        expect(rc == 0, "an append fails");
        expect(rc < 0 || result.first_offset == head + i + 1, "an append has another offset");
    }
    if (rc == 0) {
        follow_three(reader, buffer, store, head);
    }
    eddy_reader_close(reader);
    eddy_buffer_destroy(buffer);
    judge_held_up(begun);
}

/* ---- accounts ---- */

static void count_block(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    unsigned s = EDDY_STATE_OF(state);
    (void)arg;
    (void)class_;
    if (s != EDDY_FREE && s != EDDY_LINKED) {
        steps_breach("the block at byte %llu stays in state %u, of member %u",
                     (unsigned long long)off, s, EDDY_STATE_MEMBER(state));
    }
}

enum { ON_FREE = 1, ON_PARTIAL = 2, IN_USE = 4 };

/* Walks a list of extents and marks those that are on it. */
static void walk_list(struct eddy_arena *a, unsigned list, unsigned char *seen) {
    uint32_t at = (uint32_t)eddy_ld_rlx(&a->super->hint[list]);
    for (uint64_t n = 0; at != 0 && n < a->extents_max; n++) {
        if (at > eddy_arena_reserved(a)) {
            steps_breach("list %u of extents leads to extent %u", list, at - 1);
            return;
        }
        seen[at - 1] |= list == EDDY_HINT_FREE ? ON_FREE : ON_PARTIAL;
        at = (uint32_t)eddy_ld_rlx(&a->extents[at - 1].next);
    }
}

/* Marks the extents in which the index finds an event. */
static void mark_used(struct eddy_arena *a, unsigned char *seen) {
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_view view = {.arena = a, .span = &span, .overlay = NULL};
    eddy_word *slot;
    for (uint64_t o = 1; eddy_trie_slot(&view, &a->super->offsets_root, o, &slot) == 1; o++) {
        uint64_t ref = eddy_ld_rlx(slot);
        if (ref >= a->extents_off && ref < a->cap) {
            seen[eddy_arena_extent_of(a, ref)] |= IN_USE;
        }
    }
}

/* Is there a way to an extent for who needs one? What is on no list can still be found by a scan
 * of the free ones, or by maintenance; it is only counted. */
static bool is_lost(const struct eddy_arena *a, uint32_t i, const unsigned char *seen) {
    unsigned state = EDDY_STATE_OF(eddy_ld_rlx(&a->extents[i].state));
    uint64_t info = eddy_ld_rlx(&a->extents[i].info);
    if (state == EDDY_FREE) {
        return i < eddy_ld_rlx(&a->super->fresh) && !(seen[i] & ON_FREE);
    }
    uint32_t first = EDDY_INFO_KIND(info) == EDDY_KIND_REST ? i - EDDY_INFO_RUN(info) : i;
    if (first > i) {
        return true;
    }
    uint64_t kind = EDDY_INFO_KIND(eddy_ld_rlx(&a->extents[first].info));
    return state == EDDY_PARTIAL ? !(seen[first] & ON_PARTIAL)
                                 : kind != EDDY_KIND_NODES && !(seen[first] & IN_USE);
}

static void check_extents(struct eddy_arena *a) {
    unsigned char seen[STEPS_CAP / EDDY_EXTENT_SIZE] = {0};
    for (unsigned i = 0; i < EDDY_HINTS; i++) {
        walk_list(a, i, seen);
    }
    mark_used(a, seen);
    uint64_t fresh = eddy_ld_rlx(&a->super->fresh);
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        uint64_t w = eddy_ld_rlx(&a->extents[i].state);
        uint64_t info = eddy_ld_rlx(&a->extents[i].info);
        unsigned s = EDDY_STATE_OF(w);
        if ((s != EDDY_FREE && s != EDDY_PARTIAL && s != EDDY_SEALED) ||
            (i >= fresh && s != EDDY_FREE)) {
            steps_breach(
                "extent %u (kind %u, %llu were ever taken) stays in state %u, of member %u", i,
                EDDY_INFO_KIND(info), (unsigned long long)fresh, s, EDDY_STATE_MEMBER(w));
        }
        steps_report->lost += is_lost(a, i, seen);
        if (EDDY_INFO_KIND(info) == EDDY_KIND_NODES && s != EDDY_FREE) {
            eddy_block_each(a, i, count_block, NULL);
        }
    }
}

/* No reader is open: nothing is pinned, and nobody is marked as asleep. */
static void check_readers(struct eddy_arena *a) {
    uint64_t bits = 0;
    for (uint32_t i = 0; i < a->readers_max; i++) {
        if (EDDY_SLOT_LIVE(eddy_ld_rlx(&a->readers[i].state)) ||
            eddy_ld_rlx(&a->readers[i].pin) != 0) {
            steps_breach("reader slot %u stays taken, or pins something", i);
        }
    }
    for (uint32_t w = 0; w < a->wait_words; w++) {
        bits |= eddy_ld_rlx(&a->waits[w]);
        for (uint32_t g = 0; g < EDDY_WAIT_GROUPS; g++) {
            bits |= eddy_ld_rlx(&eddy_arena_group(a, g)->mask[w]);
        }
    }
    if (bits != 0) {
        steps_breach("readers %llx stay marked as asleep", (unsigned long long)bits);
    }
}

static void check_slots(struct eddy_arena *a) {
    for (uint32_t i = 1; i < a->members_max; i++) {
        if (EDDY_MEMBER_OF(eddy_ld_rlx(&a->members[i].state)) != EDDY_MEMBER_FREE) {
            steps_breach("member slot %u stays taken", i);
        }
    }
    for (uint32_t i = 0; i < a->threads_max; i++) {
        uint64_t w = eddy_ld_rlx(&a->threads[i].state);
        uint64_t lo = eddy_ld_rlx(&a->threads[i].lo);
        if (EDDY_SLOT_LIVE(w) || lo != 0) {
            steps_breach("thread slot %u stays taken (state %llx, lo %llu)", i,
                         (unsigned long long)w, (unsigned long long)lo);
        }
    }
}

void judge_accounts(const char *name) {
    struct eddy_arena a;
    int fd = -1;
    CHECK_EQ(sscanf(name, "fd:%d", &fd), 1);
    CHECK_OK(eddy_arena_open(&a, NULL, fd, true));
    check_slots(&a);
    check_readers(&a);
    check_extents(&a);
    eddy_arena_close(&a);
}

/* ---- copies ---- */

void judge_init(struct judge *j) {
    j->fd = memfd_create("copy", MFD_CLOEXEC);
    CHECK(j->fd >= 0);
    CHECK_EQ(ftruncate(j->fd, STEPS_CAP), 0);
    j->base = mmap(NULL, STEPS_CAP, PROT_READ | PROT_WRITE, MAP_SHARED, j->fd, 0);
    CHECK(j->base != MAP_FAILED);
    j->bytes = STEPS_CAP;
}

void judge_fini(struct judge *j) {
    munmap(j->base, STEPS_CAP);
    close(j->fd);
}

static void put_copy(struct judge *j, const unsigned char *bytes, size_t image, size_t file) {
    if (j->bytes > file) {
        CHECK_EQ(ftruncate(j->fd, (off_t)file), 0);
    }
    CHECK_EQ(ftruncate(j->fd, (off_t)file), 0);
    j->bytes = file;
    memcpy(j->base, bytes, image);
}

static eddy_store *open_copy(struct judge *j) {
    char name[16];
    snprintf(name, sizeof name, "fd:%d", j->fd);
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = EDDY_MUST_EXIST;
    eddy_store *store = NULL;
    int rc = eddy_open(&store, name, &options);
    if (rc < 0) {
        steps_breach("eddy_open gives %s: %s", eddy_errname(rc), eddy_errmsg());
    }
    return store;
}

/* Locks the bytes of all who had the copy open, as if they lived. Their descriptors. */
static int hold_lives(struct judge *j, const struct eddy_arena *a, int *fds) {
    int count = 0;
    for (uint32_t i = 1; i < a->members_max; i++) {
        const struct eddy_shm_member *m = &a->members[i];
        uint64_t off = eddy_arena_off(a, m);
        const struct eddy_shm_member *copied = (const void *)(j->base + off);
        if (EDDY_MEMBER_OF(eddy_ld_rlx(&copied->state)) == EDDY_MEMBER_LIVE) {
            fds[count] = eddy_platform_lock_take(j->fd, EDDY_LOCK_LIFE + i);
            CHECK(fds[count++] >= 0);
        }
    }
    return count;
}

static bool all_swept(eddy_store *store) {
    uint32_t dead;
    uint32_t members = sandbox_members(store, &dead);
    if (dead > 0) {
        steps_breach("%u of %u members in the list are dead after an open", dead, members);
    }
    return dead == 0;
}

/* While those who had it open stand still: somebody comes, works and stays; and is there still,
 * when they are dead and another comes. */
static void judge_alive(struct judge *j, struct judge_content *content) {
    struct eddy_arena a;
    int fds[STEPS_MEMBERS + 1];
    struct judge_content again;
    CHECK_OK(eddy_arena_open(&a, NULL, j->fd, true));
    int count = hold_lives(j, &a, fds);
    eddy_arena_close(&a);
    eddy_store *store = open_copy(j);
    if (store) {
        judge_read(store, sandbox_head(store), content);
        read_facts(store, content);
        judge_go_on(store);
        judge_check(store);
    }
    while (count > 0) {
        close(fds[--count]);
    }
    eddy_store *second = open_copy(j);
    if (store && second) {
        check_readers(&second->arena);
        judge_read(second, content->events, &again);
        if (again.digest != content->digest) {
            steps_breach("after the sweep, other events are there than before it");
        }
        judge_go_on(store);
        judge_go_on(second);
        judge_check(second);
        (void)all_swept(second);
    }
    eddy_close(store);
    eddy_close(second);
}

static void judge_dead(struct judge *j, struct judge_content *content) {
    eddy_store *store = open_copy(j);
    if (store) {
        (void)all_swept(store);
        check_readers(&store->arena);
        judge_check(store);
        judge_read(store, sandbox_head(store), content);
        read_facts(store, content);
        judge_go_on(store);
        judge_check(store);
    }
    eddy_close(store);
}

void judge_copy(struct judge *j, const unsigned char *bytes, size_t image, size_t file, bool alive,
                struct judge_content *content) {
    char name[16];
    memset(content, 0, sizeof *content);
    put_copy(j, bytes, image, file);
    alarm(ALARM_S); /* a judgement that hangs ends the tracer, and its parent says where */
    if (alive) {
        judge_alive(j, content);
    } else {
        judge_dead(j, content);
    }
    snprintf(name, sizeof name, "fd:%d", j->fd);
    judge_accounts(name);
    alarm(0);
    steps_report->judged++;
}
