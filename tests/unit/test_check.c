/* check: damage that is planted is found and named; and whatever words stand in a store, what is
 * done with it ends, in an error or in good order. */
#include "look.h"

#include "support/check.h"
#include "support/child.h"
#include "support/rng.h"
#include "unit_support.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
};

static void scene_open(struct scene *s, uint32_t hash_keep) {
    s->arena = unit_store(hash_keep);
    unit_join(&s->m, s->arena);
    cr_assert_eq(unit_append(&s->m, "s", EDDY_ANY, 100, 20), 0);
    for (int i = 0; i < 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t-%d", i);
        unit_add(&s->m, name, 3 + 9 * (unsigned)i, 5);
        unit_add(&s->m, "s", 1, 500);
        cr_assert_eq(unit_commit(&s->m), 0);
    }
    cr_assert_eq(unit_append(&s->m, "large", EDDY_ANY, 1, 150000), 0);
    unit_leave(&s->m);
    unit_assert_sound(s->arena);
}

static void scene_close(struct scene *s) {
    unit_store_free(s->arena);
}

/* One word is another: that room says so, and is content again when it is put back. */
static void plant(struct scene *s, eddy_word *word, uint64_t value, const char *room) {
    uint64_t was = eddy_ld_acq(word);
    cr_assert_neq(was, value);
    eddy_st_rel(word, value);
    unsigned n = unit_wrongs(s->arena);
    cr_assert_gt(n, 0, "%016llx at byte %llu is not found (%s)", (unsigned long long)value,
                 (unsigned long long)eddy_arena_off(s->arena, word), room);
    cr_assert_not_null(strstr(unit_rooms, room), "%s: %s (%s)", room, unit_rooms, unit_wrong);
    cr_assert_leq(n, 300, "it stops at some point");
    eddy_st_rel(word, was);
    unit_assert_sound(s->arena);
}

static eddy_word *offset_slot(struct eddy_arena *a, uint64_t offset) {
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_view v = {.arena = a, .span = &span, .overlay = NULL};
    eddy_word *slot = NULL;
    cr_assert_eq(eddy_trie_slot(&v, &a->super->offsets_root, offset, &slot), 1);
    return slot;
}

static uint32_t extent_with(struct eddy_arena *a, unsigned kind) {
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        if (EDDY_STATE_OF(eddy_ld_acq(&a->extents[i].state)) != EDDY_FREE &&
            EDDY_INFO_KIND(eddy_ld_acq(&a->extents[i].info)) == kind) {
            return i;
        }
    }
    cr_assert_fail("no extent of kind %u", kind);
    return 0;
}

Test(check, damaged_extents_are_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    struct eddy_shm_extent *e = &s.arena->extents[extent_with(s.arena, EDDY_KIND_EVENTS)];
    plant(&s, &e->state, EDDY_STATE(0, EDDY_HOLE + 1, 0), "extent");
    plant(&s, &e->state, EDDY_STATE(0, EDDY_OWNED, UNIT_MEMBERS), "extent");
    plant(&s, &e->info, EDDY_INFO(EDDY_KIND_LIST + 1, 0, 1), "extent");
    plant(&s, &e->fill, EDDY_EXTENT_SIZE + 8, "extent");
    plant(&s, &e->fill, eddy_ld_acq(&e->fill) - 8, "event");
    plant(&s, &e->fill, eddy_ld_acq(&e->fill) + 8, "event");
    plant(&s, &e->state, EDDY_STATE(1, EDDY_FREE, 0), "event"); /* with events in it */
    scene_close(&s);
}

Test(check, damaged_blocks_are_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    struct eddy_arena *a = s.arena;
    struct eddy_shm_stream *d = unit_stream(a, "s");
    struct eddy_shm_node *root = eddy_arena_raw(a, eddy_ld_acq(&a->super->offsets_root));
    plant(&s, &d->block.state, EDDY_STATE(0, EDDY_RETIRED + 1, 0), "block");
    plant(&s, &d->block.state, EDDY_STATE(0, EDDY_LINKED, UNIT_MEMBERS), "block");
    plant(&s, &root->block.shape, 0, "block");
    plant(&s, &root->block.shape, EDDY_SHAPE(EDDY_BLOCK_NODE, 6, 3), "block");
    plant(&s, &root->home, 8, "block");
    plant(&s, &a->super->offsets_root, 0, "block");
    plant(&s, &d->root, 0, "block");
    plant(&s, &d->leaf8, 0, "block");
    scene_close(&s);
}

Test(check, a_damaged_index_of_offsets_is_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    eddy_word *slot = offset_slot(s.arena, 77);
    uint64_t other = eddy_ld_acq(offset_slot(s.arena, 78));
    plant(&s, slot, 0, "trie");
    plant(&s, slot, other, "event");
    plant(&s, slot, 8, "event");
    plant(&s, slot, s.arena->cap - 8, "event");
    plant(&s, slot, UINT64_MAX - 7, "event");
    plant(&s, slot, EDDY_TOMB(1), "record");
    scene_close(&s);
}

Test(check, damaged_events_are_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    uint64_t ref = eddy_ld_acq(offset_slot(s.arena, 50));
    eddy_word *words = unit_word(s.arena, ref);
    for (size_t i = 0; i < 4; i++) {
        plant(&s, &words[i], ~eddy_ld_acq(&words[i]), "event");
    }
    const struct eddy_shm_event *h = eddy_arena_raw(s.arena, ref);
    uint64_t base = ref & ~(uint64_t)(EDDY_EXTENT_SIZE - 1);
    eddy_word *head = unit_word(s.arena, base + h->head8 * 8u);
    plant(&s, &head[0], 0, "event");
    plant(&s, &head[1], 5, "event");  /* the transaction's offset */
    plant(&s, &head[4], 64, "event"); /* the stream */
    plant(&s, &head[4], s.arena->cap, "event");
    plant(&s, &head[5], 9, "streams"); /* its first version here */
    scene_close(&s);
}

Test(check, damaged_streams_are_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    struct eddy_arena *a = s.arena;
    struct eddy_shm_stream *d = unit_stream(a, "s");
    struct eddy_shm_stream *t = unit_stream(a, "t-3");
    plant(&s, &d->slot[2], 0, "streams");
    plant(&s, &d->slot[2], 2, "streams");
    plant(&s, &d->slot[2], 99, "streams");
    plant(&s, &d->version, UINT64_MAX, "streams");
    plant(&s, &d->version, eddy_ld_acq(&d->version) + 1, "streams");
    plant(&s, &d->number, 5, "streams");
    struct eddy_shm_node *leaf = eddy_arena_raw(a, eddy_ld_acq(&t->leaf8));
    plant(&s, &leaf->slot[1], 1, "streams");
    uint64_t hash = eddy_ld_acq(&t->hash);
    eddy_word *cell = eddy_keyed_root(a, hash);
    plant(&s, cell, 0, "block");
    /* Of a descriptor whose block does not say that it is linked, only its stream can tell. */
    uint64_t state = eddy_ld_acq(&t->block.state);
    eddy_st_rel(&t->block.state, EDDY_STATE(EDDY_STATE_GEN(state), EDDY_OWNED, 1));
    plant(&s, cell, 0, "streams");
    plant(&s, &t->hash, hash + 1, "streams");
    plant(&s, &t->name_len, 0, "event");
    scene_close(&s);
}

Test(check, wrong_totals_are_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    eddy_word *list;
    struct eddy_shm_redo *h = eddy_ring_header(
        s.arena, eddy_ring_buffer_of(eddy_ring_load(s.arena, unit_applied(s.arena) - 1)), &list);
    plant(&s, &h->next_offset, UINT64_MAX, "r"); /* ring or record */
    plant(&s, &h->next_offset, eddy_ld_acq(&h->next_offset) + 1, "trie");
    plant(&s, &h->bytes_in, eddy_ld_acq(&h->bytes_in) + 1, "record");
    plant(&s, &h->bytes_in, eddy_ld_acq(&h->bytes_in) + 8, "record");
    plant(&s, &h->streams_in, UINT64_MAX, "r");
    plant(&s, &h->streams_in, eddy_ld_acq(&h->streams_in) + 1, "streams");
    scene_close(&s);
}

static void note_room(void *arg, const char *room, const char *text) {
    char *first = arg;
    (void)text;
    if (!*first) {
        (void)snprintf(first, 32, "%s", room);
    }
}

Test(check, a_ring_that_cannot_be_is_found, .timeout = 20) {
    struct scene s;
    scene_open(&s, 0);
    eddy_store *store = unit_handle(s.arena, 0);
    uint64_t seq = unit_applied(s.arena);
    eddy_word *word = &s.arena->ring->word[seq % EDDY_RING_WORDS];
    uint64_t was = eddy_ld_acq(word);
    const uint64_t bad[] = {0, UINT64_MAX, eddy_ring_make(seq, 0), eddy_ring_make(seq, 16000),
                            eddy_ring_make(seq + 40, 1)};
    cr_assert_eq(eddy_check(store, NULL, NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char room[32] = "";
        eddy_st_rel(word, bad[i]);
        cr_assert_eq(eddy_check(store, note_room, room), EDDY_ECORRUPT, "word %zu", i);
        cr_assert_str_eq(room, "ring");
    }
    eddy_st_rel(word, was);
    cr_assert_eq(eddy_check(store, NULL, NULL), 0);
    eddy_close(store);
    scene_close(&s);
}

static bool commit_more(void *arg) {
    struct unit_member *m = arg;
    cr_assert_eq(unit_append(m, "s", EDDY_ANY, 2, 20), 0);
    cr_assert_eq(unit_append(m, "new", EDDY_ANY, 20, 20), 0);
    return false;
}

struct used {
    eddy_store *store;
    int gave;
};

static void check_it(void *arg) {
    struct used *u = arg;
    u->gave = eddy_check(u->store, NULL, NULL);
}

/* Somewhere in the middle of a check others commit; it is stepped through the ring and the states,
 * since all its accesses are too many. */
Test(check, a_store_in_use_is_sound, .timeout = 60) {
    unit_needs_steps();
    for (uint64_t at = 0;; at += 3) {
        struct unit_member m;
        struct eddy_arena *a = unit_store(0);
        unit_join(&m, a);
        cr_assert_eq(unit_append(&m, "s", EDDY_ANY, 9, 20), 0);
        struct used u = {.store = unit_handle(a, 0)};
        struct unit_step step = {.arena = &u.store->arena, .at = at, .act = commit_more, .arg = &m};
        step.to = step.arena->extents_off;
        bool acted = unit_step(&step, check_it, &u) != 0;
        cr_assert_eq(u.gave, 0, "at access %llu: %s", (unsigned long long)at, eddy_errmsg());
        eddy_close(u.store);
        unit_leave(&m);
        unit_store_free(a);
        if (!acted) {
            break;
        }
    }
}

/* ---- whatever words stand in it ---- */

static int stop_after(void *arg, const eddy_stream_facts *facts) {
    unsigned *n = arg;
    (void)facts;
    return ++*n > 10000;
}

static int any_member(void *arg, const eddy_member_facts *facts) {
    (void)arg;
    (void)facts;
    return 0;
}

static void read_all(eddy_store *s, uint32_t flags, const char *stream) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event e;
    volatile unsigned char sum = 0;
    select.flags = flags;
    select.stream = eddy_str(stream);
    if (eddy_reader_open(s, &select, &reader) < 0) {
        return;
    }
    /* More calls than there are events would be needed by a reader that does not move. */
    for (int i = 0; i < 3000; i++) {
        int r = eddy_reader_next(reader, &e);
        if (r == EDDY_EVENT) {
            for (size_t k = 0; k < e.data.len; k += 97) {
                sum = (unsigned char)(sum + ((const unsigned char *)e.data.ptr)[k]);
            }
        } else if (r != EDDY_ELAPPED) {
            break;
        }
    }
    eddy_reader_close(reader);
}

static void use_all(eddy_store *s, bool read_only) {
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_facts facts = {.size = sizeof facts};
    eddy_counts counts = {.size = sizeof counts};
    eddy_stream_facts one = {.size = sizeof one};
    eddy_new_event e = {.data = eddy_str("x")};
    eddy_event got;
    unsigned n = 0;
    (void)eddy_check(s, NULL, NULL);
    (void)eddy_info(s, &facts);
    (void)eddy_stats(s, &counts);
    (void)eddy_stream_info(s, eddy_str("s"), &one);
    (void)eddy_stream_info(s, eddy_str("t-3"), &one);
    (void)eddy_streams(s, eddy_str(""), eddy_str(""), 1000, stop_after, &n);
    (void)eddy_members(s, any_member, NULL);
    for (uint64_t o = 1; o < 300; o += 7) {
        (void)eddy_get(s, o, buffer, &got);
        (void)eddy_get_version(s, eddy_str("s"), o, buffer, &got);
    }
    read_all(s, 0, "");
    read_all(s, EDDY_BACKWARD, "s");
    if (!read_only) {
        read_all(s, EDDY_BORROW | EDDY_FOLLOW, "t-5");
        for (int i = 0; i < 70; i++) {
            (void)eddy_append(s, eddy_str("s"), EDDY_ANY, &e, 1, NULL);
            (void)eddy_append(s, eddy_str(i % 2 ? "t-1" : "new"), EDDY_ANY, &e, 1, NULL);
        }
        read_all(s, 0, "new");
    }
    eddy_buffer_destroy(buffer);
}

static void use_damaged(void *arg) {
    char name[32];
    const struct eddy_arena *a = arg;
    (void)snprintf(name, sizeof name, "fd:%d", a->fd);
    for (int read_only = 1; read_only >= 0; read_only--) {
        eddy_options o = EDDY_OPTIONS_INIT;
        eddy_store *s;
        o.flags = EDDY_MUST_EXIST | (read_only ? EDDY_READ_ONLY : 0);
        if (eddy_open(&s, name, &o) == 0) {
            use_all(s, read_only);
            eddy_close(s);
        }
    }
}

/* A place in a part of the store that is in use. */
static uint64_t place(struct eddy_arena *a, struct rng *rng) {
    const struct eddy_shm_super *s = a->super;
    uint64_t events = extent_with(a, EDDY_KIND_EVENTS);
    const uint64_t parts[][2] = {
        {256, 512 + 16},
        {s->ring_off, s->ring_off + 40},
        {s->waits_off, s->names_off},
        {s->names_off, s->members_off},
        {s->members_off, s->members_off + 3 * sizeof(struct eddy_shm_member)},
        {s->threads_off + sizeof(struct eddy_shm_thread),
         s->threads_off + 2 * sizeof(struct eddy_shm_thread)},
        {s->states_off, s->states_off + 6 * sizeof(struct eddy_shm_extent)},
        {eddy_arena_extent_off(a, (uint32_t)events),
         eddy_arena_extent_off(a, (uint32_t)events) + 12000},
    };
    enum { PARTS = sizeof parts / sizeof parts[0] };
    uint64_t which = rng_below(rng, PARTS + 4);
    if (which < PARTS) {
        return parts[which][0] + rng_below(rng, (parts[which][1] - parts[which][0]) / 8) * 8;
    }
    /* In a block: of a stream, or of an index. */
    uint64_t blocks[4] = {eddy_arena_off(a, unit_stream(a, "s")),
                          eddy_arena_off(a, unit_stream(a, "t-4")),
                          eddy_ld_acq(&a->super->offsets_root), 0};
    struct eddy_shm_node *root = eddy_arena_raw(a, blocks[2]);
    blocks[3] = eddy_ld_acq(&root->slot[rng_below(rng, 3)]);
    return blocks[which - PARTS] + rng_below(rng, which - PARTS < 2 ? 22 : 72) * 8;
}

static uint64_t word_for(struct eddy_arena *a, struct rng *rng, uint64_t was) {
    switch (rng_below(rng, 9)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return was ^ UINT64_C(1) << rng_below(rng, 64);
    case 3:
        return was + 1 + rng_below(rng, 3);
    case 4:
        return a->extents_off + rng_below(rng, 9 * 1024) * 64;
    case 5:
        return eddy_ld_acq(unit_word(a, place(a, rng)));
    case 6:
        return a->cap - rng_below(rng, 9) * 8;
    case 7:
        return rng_below(rng, 4096);
    default:
        return rng_next(rng);
    }
}

static void fuzz(uint64_t which, uint32_t hash_keep, unsigned runs) {
    struct scene s;
    struct rng rng = rng_make(which);
    scene_open(&s, hash_keep);
    struct unit_image good = unit_image_take(s.arena);
    for (unsigned i = 0; i < runs; i++) {
        char text[256] = "";
        uint64_t off[3];
        uint64_t value[3];
        unsigned n = 1 + (unsigned)rng_below(&rng, 3);
        for (unsigned k = 0; k < n; k++) {
            off[k] = place(s.arena, &rng);
            value[k] = word_for(s.arena, &rng, eddy_ld_acq(unit_word(s.arena, off[k])));
            size_t len = strlen(text);
            (void)snprintf(text + len, sizeof text - len, " %llu: %llx", (unsigned long long)off[k],
                           (unsigned long long)value[k]);
        }
        for (unsigned k = 0; k < n; k++) {
            eddy_st_rel(unit_word(s.arena, off[k]), value[k]);
        }
        int r = child_end(child_start(use_damaged, s.arena), 20000);
        cr_assert_eq(r, 0, "run %u gives %d (seed %llu), words:%s", i, r,
                     (unsigned long long)rng_seed(), text);
        unit_image_put(s.arena, &good);
    }
    unit_assert_sound(s.arena);
    unit_image_free(&good);
    scene_close(&s);
}

Test(check, whatever_words_stand_in_it_every_call_ends, .timeout = 120) {
    fuzz(1, 0, 150);
}

Test(check, also_when_names_collide, .timeout = 120) {
    fuzz(2, 1, 75);
    fuzz(3, 15, 75);
}

/* What goes from number to number: under limits, and when there are said to be more numbers than anybody
 * could count to. */
static void count_damaged(void *arg) {
    char name[32];
    const struct eddy_arena *a = arg;
    eddy_store *s;
    eddy_options o = EDDY_OPTIONS_INIT;
    o.flags = EDDY_MUST_EXIST;
    (void)snprintf(name, sizeof name, "fd:%d", a->fd);
    CHECK_OK(eddy_open(&s, name, &o));
    for (int i = 0; i < 3; i++) {
        eddy_limits l = EDDY_LIMITS_INIT;
        eddy_dropped d = {.size = sizeof d};
        l.flags = EDDY_DROP_ALL;
        l.events = i == 0;
        l.streams = i == 1;
        l.stream_events = i == 2;
        (void)eddy_limits_preview(s, &l, &d);
        (void)eddy_limits_set(s, &l, &d);
        (void)eddy_maintain(s, 0, NULL);
        (void)eddy_append(s, eddy_str("s"), EDDY_ANY, &(eddy_new_event){.data = eddy_str("x")}, 1,
                          NULL);
    }
    (void)eddy_remove_empty(s, eddy_str(""));
    (void)eddy_forget_removed(s, eddy_str(""));
    eddy_close(s);
}

Test(check, nobody_counts_numbers_that_are_not_there, .timeout = 60) {
    for (unsigned which = 0; which < 2; which++) {
        struct scene s;
        eddy_word *list;
        scene_open(&s, 0);
        struct eddy_shm_redo *h = eddy_ring_header(
            s.arena, eddy_ring_buffer_of(eddy_ring_load(s.arena, unit_applied(s.arena) - 1)),
            &list);
        eddy_st_rel(which ? &h->next_offset : &h->streams_in, UINT64_C(1) << 60);
        int r = child_end(child_start(count_damaged, s.arena), 20000);
        cr_assert_eq(r, 0, "word %u: it gives %d", which, r);
        scene_close(&s);
    }
}

static int forget(struct unit_member *m, const char *stream) {
    int64_t s = eddy_batch_stream(&m->batch, m->arena, eddy_str(stream));
    cr_assert_eq(eddy_batch_cut(&m->batch, (uint32_t)s, EDDY_CUT_FORGET, 0), 0);
    return unit_commit(m);
}

/* The states of blocks, too, are to be seen through the overlay (lib/check.c: check_block()). */
Test(check, who_only_looks_finds_nothing_wrong_before_a_forgetting_is_applied, .timeout = 20) {
    struct eddy_arena *a = unit_store(0);
    struct unit_member m;
    unit_join(&m, a);
    cr_assert_eq(unit_append(&m, "s", 0, 1, 10), 0);
    struct unit_image before = unit_image_take(a);
    cr_assert_eq(forget(&m, "s"), 0);
    (void)unit_half_applied(a, &before, 0, m.thread.member);
    unit_assert_sound(a);
    unit_image_free(&before);
    unit_leave(&m);
    unit_store_free(a);
}
