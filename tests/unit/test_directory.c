/* directory: what this process knows of names is a hint, and is in byte order. */
#include "directory.h"

#include "unit_support.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct eddy_arena *arena;
    struct unit_member m;
    struct eddy_view view;
};

static void scene_open(struct scene *s) {
    s->arena = unit_store_of(UINT64_C(64) << 20, 0);
    unit_join(&s->m, s->arena);
    s->view = unit_view(&s->m);
}

static void scene_close(struct scene *s) {
    unit_leave(&s->m);
    unit_store_free(s->arena);
}

/* A private descriptor with a name. */
static uint64_t make(struct scene *s, const char *name, uint64_t *hash) {
    uint64_t off;
    eddy_bytes n = eddy_str(name);
    *hash = eddy_stream_hash(s->arena, n);
    cr_assert_eq(eddy_block_take(s->arena, &s->m.thread.blocks, 1, EDDY_STREAM_CLASS(n.len), &off),
                 0);
    eddy_stream_init(eddy_arena_raw(s->arena, off), n, *hash, 1);
    return off;
}

Test(directory, what_was_noted_is_found, .timeout = 20) {
    struct scene s;
    scene_open(&s);
    struct eddy_directory *d = eddy_directory_create(false);
    for (int i = 0; i < 5000; i++) {
        char name[32];
        uint64_t hash;
        (void)snprintf(name, sizeof name, "name-%d", i);
        uint64_t off = make(&s, name, &hash);
        cr_assert_eq(eddy_directory_find(d, &s.view, eddy_str(name), hash), 0);
        eddy_directory_note(d, &s.view, hash, off);
        eddy_directory_note(d, &s.view, hash, off);
        cr_assert_eq(eddy_directory_find(d, &s.view, eddy_str(name), hash), off);
        /* The same hash, another name. */
        cr_assert_eq(eddy_directory_find(d, &s.view, eddy_str("other"), hash), 0);
    }
    char name[32];
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "name-%d", i);
        eddy_bytes n = eddy_str(name);
        cr_assert_neq(eddy_directory_find(d, &s.view, n, eddy_stream_hash(s.arena, n)), 0);
    }
    eddy_directory_destroy(d);
    scene_close(&s);
}

Test(directory, a_block_of_another_life_is_not_believed, .timeout = 20) {
    struct scene s;
    uint64_t hash;
    scene_open(&s);
    struct eddy_directory *d = eddy_directory_create(false);
    uint64_t off = make(&s, "s", &hash);
    eddy_directory_note(d, &s.view, hash, off);
    eddy_word *state = unit_word(s.arena, off);
    uint64_t was = eddy_ld_acq(state);
    eddy_st_rel(state, was + (UINT64_C(1) << 32));
    cr_assert_eq(eddy_directory_find(d, &s.view, eddy_str("s"), hash), 0);
    eddy_directory_note(d, &s.view, hash, off);
    cr_assert_eq(eddy_directory_find(d, &s.view, eddy_str("s"), hash), off);
    /* Its extent was given back and taken again. */
    eddy_word *extent = &s.arena->extents[eddy_arena_extent_of(s.arena, off)].state;
    eddy_st_rel(extent, eddy_ld_acq(extent) + (UINT64_C(1) << 32));
    cr_assert_eq(eddy_directory_find(d, &s.view, eddy_str("s"), hash), 0);
    eddy_directory_destroy(d);
    scene_close(&s);
}

static void expect_page(struct scene *s, struct eddy_directory *d, const char *prefix,
                        const char *after, size_t limit, const char *expected) {
    uint64_t *offs;
    char text[512] = "";
    int64_t n = eddy_directory_page(d, &s->view, eddy_str(prefix), eddy_str(after), limit, &offs);
    cr_assert_geq(n, 0);
    for (int64_t i = 0; i < n; i++) {
        eddy_bytes name = eddy_stream_name(eddy_arena_raw(s->arena, offs[i]));
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s ", (int)name.len,
                       (const char *)name.ptr);
    }
    free(offs);
    cr_assert_str_eq(text, expected, "prefix '%s' after '%s': %s", prefix, after, text);
}

Test(directory, pages_are_in_byte_order, .timeout = 20) {
    static const char *const names[] = {"b",  "a", "ab", "a\xff", "abc", "B",
                                        "aa", "c", "ba", "abd",   "a b", "\xc3\xa4"};
    struct scene s;
    uint64_t offs[12];
    uint64_t hash;
    scene_open(&s);
    struct eddy_directory *d = eddy_directory_create(false);
    for (int i = 0; i < 12; i++) {
        offs[i] = make(&s, names[i], &hash);
    }
    expect_page(&s, d, "", "", 100, "");
    eddy_directory_lock(d);
    cr_assert_eq(eddy_directory_add(d, &s.view, offs, 5, 5), 0);
    cr_assert_eq(eddy_directory_add(d, &s.view, offs + 5, 7, 12), 0);
    eddy_directory_unlock(d);
    cr_assert_eq(eddy_directory_known(d), 12);
    expect_page(&s, d, "", "", 100, "B a a b aa ab abc abd a\xff b ba c \xc3\xa4 ");
    expect_page(&s, d, "a", "", 100, "a a b aa ab abc abd a\xff ");
    expect_page(&s, d, "ab", "", 2, "ab abc ");
    expect_page(&s, d, "ab", "abc", 2, "abd ");
    expect_page(&s, d, "a", "aaa", 2, "ab abc ");
    expect_page(&s, d, "b", "a", 100, "b ba ");
    expect_page(&s, d, "b", "c", 100, "");
    expect_page(&s, d, "", "c", 100, "\xc3\xa4 ");
    expect_page(&s, d, "abcd", "", 100, "");
    expect_page(&s, d, "", "", 0, "");
    eddy_directory_destroy(d);
    scene_close(&s);
}

Test(directory, late_names_are_merged_in, .timeout = 30) {
    struct scene s;
    uint64_t hash;
    scene_open(&s);
    struct eddy_directory *d = eddy_directory_create(false);
    enum { N = 4000 };
    for (uint64_t i = 0; i < N;) {
        uint64_t offs[300];
        size_t n = 0;
        for (; n < 300 && i < N; n++, i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%05llu", (unsigned long long)(i * 7919 % N));
            offs[n] = make(&s, name, &hash);
        }
        cr_assert_eq(eddy_directory_add(d, &s.view, offs, n, i), 0);
        cr_assert_eq(eddy_directory_known(d), i);
    }
    char after[32] = "";
    uint64_t seen = 0;
    for (;;) {
        uint64_t *offs;
        int64_t n = eddy_directory_page(d, &s.view, eddy_str(""), eddy_str(after), 77, &offs);
        for (int64_t i = 0; i < n; i++) {
            char name[32];
            (void)snprintf(name, sizeof name, "%05llu", (unsigned long long)seen++);
            eddy_bytes got = eddy_stream_name(eddy_arena_raw(s.arena, offs[i]));
            cr_assert(got.len == 5 && memcmp(got.ptr, name, 5) == 0);
            memcpy(after, name, 6);
        }
        free(offs);
        if (n == 0) {
            break;
        }
    }
    cr_assert_eq(seen, N);
    eddy_directory_destroy(d);
    scene_close(&s);
}

/* ---- threads ---- */

struct seeker {
    struct scene *s;
    struct eddy_directory *d;
    eddy_word32 stop;
    uint64_t found;
};

static void *seek(void *arg) {
    struct seeker *k = arg;
    uint64_t hash = eddy_stream_hash(k->s->arena, eddy_str("first"));
    while (!eddy_ld_acq(&k->stop)) {
        uint64_t *offs = NULL;
        k->found += eddy_directory_find(k->d, &k->s->view, eddy_str("first"), hash) != 0;
        eddy_directory_lock(k->d);
        (void)eddy_directory_page(k->d, &k->s->view, eddy_str(""), eddy_str(""), 5, &offs);
        eddy_directory_unlock(k->d);
        free(offs);
    }
    return NULL;
}

Test(directory, is_read_while_it_grows, .timeout = 30) {
    struct scene s;
    scene_open(&s);
    struct seeker k = {.s = &s, .d = eddy_directory_create(false)};
    uint64_t hash;
    uint64_t off = make(&s, "first", &hash);
    eddy_directory_note(k.d, &s.view, hash, off);
    pthread_t t;
    cr_assert_eq(pthread_create(&t, NULL, seek, &k), 0);
    for (uint64_t i = 0; i < 2000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "name-%llu", (unsigned long long)i);
        off = make(&s, name, &hash);
        eddy_directory_note(k.d, &s.view, hash, off);
        if (i % 100 == 0) {
            eddy_directory_lock(k.d);
            cr_assert_eq(eddy_directory_add(k.d, &s.view, &off, 1, i + 1), 0);
            eddy_directory_unlock(k.d);
        }
    }
    eddy_st_rel(&k.stop, 1);
    pthread_join(t, NULL);
    eddy_directory_destroy(k.d);
    scene_close(&s);
}
