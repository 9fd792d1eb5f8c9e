#include "judge.h"

#include "platform.h"
#include "store.h"
#include "support/check.h"
#include "support/child.h"
#include "support/sandbox.h"

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
    const eddy_bytes texts[] = {e->stream, e->type, e->id, e->data, e->metadata, e->tags};
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
    uint64_t last = 0;
    memset(c, 0, sizeof *c);
    select.to_offset = upto;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    int rc = EDDY_END;
    while (upto > 0 && (rc = eddy_reader_next(reader, &event)) == EDDY_EVENT) {
        c->digest = mix_event(c->digest, &event);
        c->events++;
        c->ops += is_op(&event);
        c->txs += is_op(&event) && event.offset == event.tx_offset;
        if (event.offset <= last || event.offset > upto) {
            steps_breach("a reader gave offset %llu after %llu", (unsigned long long)event.offset,
                         (unsigned long long)last);
        }
        last = event.offset;
    }
    if (rc != EDDY_END) {
        steps_breach("a reader ended behind offset %llu of %llu with %d (%s)",
                     (unsigned long long)last, (unsigned long long)upto, rc,
                     rc < 0 ? eddy_errmsg() : "");
    }
    eddy_reader_close(reader);
}

static int mix_state(void *arg, const eddy_state *s) {
    struct judge_content *content = arg;
    const uint64_t numbers[] = {s->version, s->shard, s->revision, (uint64_t)s->time_ns,
                                (uint64_t)s->recorded_ns};
    content->entries = mix(content->entries, numbers, sizeof numbers);
    content->entries = mix(content->entries, s->key.ptr, s->key.len);
    content->entries = mix(content->entries, s->data.ptr, s->data.len);
    content->entries = mix(content->entries, s->metadata.ptr, s->metadata.len);
    return 0;
}

static int mix_checkpoint(void *arg, const eddy_checkpoint *c) {
    struct judge_content *content = arg;
    content->entries = mix(content->entries, c, sizeof *c);
    return 0;
}

/* What is under keys. */
static void read_entries(eddy_store *store, struct judge_content *c) {
    const eddy_bytes all = eddy_mem(NULL, 0);
    if (eddy_states(store, all, all, SIZE_MAX, mix_state, c) < 0 ||
        eddy_checkpoints(store, all, mix_checkpoint, c) < 0 ||
        eddy_snapshots(store, eddy_str("old"), 0, SIZE_MAX, mix_state, c) < 0) {
        steps_breach("what is under keys: %s", eddy_errmsg());
    }
}

/* Transactions, but for one that has ended a capture: whoever sweeps ends that of the dead, and it
 * changes nothing else. */
static uint64_t transactions(eddy_store *store, const eddy_facts *facts) {
    uint64_t captured = eddy_ld_acq(&store->arena.super->captured);
    return facts->transactions - (captured != 0 && !EDDY_CAPTURE_IS_ON(captured));
}

/* The rest of what there is: facts of streams, totals, what is under keys. */
static void read_facts(eddy_store *store, struct judge_content *c) {
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(store, &facts));
    const uint64_t numbers[] = {facts.head,
                                facts.first,
                                facts.events,
                                facts.bytes,
                                facts.streams,
                                transactions(store, &facts),
                                (uint64_t)facts.recorded_ns};
    c->totals = mix(0, numbers, sizeof numbers);
    if (eddy_streams(store, eddy_mem(NULL, 0), eddy_mem(NULL, 0), SIZE_MAX, mix_stream, c) < 0) {
        steps_breach("eddy_streams: %s", eddy_errmsg());
    }
    c->head = facts.head;
    read_entries(store, c);
    if (c->count != facts.streams || c->events != facts.events) {
        steps_breach("%llu streams are listed, %llu counted; %llu events are read, %llu counted",
                     (unsigned long long)c->count, (unsigned long long)facts.streams,
                     (unsigned long long)c->events, (unsigned long long)facts.events);
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

/* A state that is there already, perhaps, and one that is not. */
static void put_and_get(eddy_store *store, eddy_buffer *buffer, const char *fresh) {
    const char *keys[] = {"go on", fresh};
    for (int i = 0; i < 2; i++) {
        eddy_new_state put = {.data = eddy_str(fresh)};
        eddy_state got;
        expect(eddy_state_put(store, eddy_str(keys[i]), EDDY_ANY, &put, NULL) == 0,
               "a state cannot be put");
        expect(eddy_state_get(store, eddy_str(keys[i]), buffer, &got) == 0 &&
                   got.data.len == put.data.len,
               "what was put is not there");
    }
}

/* Streams that were made by going on, in this copy: each copy gets the same ones. */
static uint64_t number;

void judge_go_on(eddy_store *store) {
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
    put_and_get(store, buffer, fresh);
    eddy_buffer_destroy(buffer);
    judge_held_up(begun);
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

eddy_store *judge_open(const char *name) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = EDDY_MUST_EXIST;
    options.clock = steps_clock;
    eddy_store *store = NULL;
    int rc = eddy_open(&store, name, &options);
    if (rc < 0) {
        steps_breach("eddy_open gives %s: %s", eddy_errname(rc), eddy_errmsg());
    }
    return store;
}

static eddy_store *open_copy(struct judge *j) {
    char name[16];
    snprintf(name, sizeof name, "fd:%d", j->fd);
    return judge_open(name);
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
    uint64_t head = 0;
    struct judge_content before = {0};
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
        head = sandbox_head(store);
        judge_read(store, head, &before);
    }
    while (count > 0) {
        close(fds[--count]);
    }
    eddy_store *second = open_copy(j);
    if (store && second) {
        judge_readers(&second->arena);
        judge_read(second, head, &again);
        if (again.digest != before.digest) {
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
        judge_readers(&store->arena);
        judge_check(store);
        judge_read(store, sandbox_head(store), content);
        read_facts(store, content);
        judge_go_on(store);
        judge_check(store);
    }
    eddy_close(store);
}

void judge_copy(struct judge *j, const unsigned char *bytes, size_t image, size_t file, bool alive,
                struct judge_content *content, struct judge_memory *memory) {
    char name[16];
    memset(content, 0, sizeof *content);
    put_copy(j, bytes, image, file);
    number = 0;
    alarm(ALARM_S); /* a judgement that hangs ends the tracer, and its parent says where */
    if (alive) {
        judge_alive(j, content);
    } else {
        judge_dead(j, content);
    }
    snprintf(name, sizeof name, "fd:%d", j->fd);
    judge_accounts(name, memory);
    alarm(0);
    steps_report->judged++;
}
