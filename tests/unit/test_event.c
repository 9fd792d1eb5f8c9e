/* event: what was written is read back, or it is said that it is no event; memory that is used anew
 * under a reader gives nothing. */
#include "event.h"

#include "unit_support.h"

#include <stdlib.h>
#include <string.h>

/* Blocks in an extent of our own: an event, and the head of its part behind it. */
struct piece {
    struct eddy_arena *arena;
    struct eddy_span span;
    struct eddy_view view;
    eddy_word slot;
    uint32_t idx;
    uint64_t off;
    uint64_t head;
    struct eddy_room room;
    eddy_event raw;
    struct eddy_event_more more;
    int gave;
};

static void write_at(struct piece *p, uint64_t off, const eddy_new_event *e, uint64_t offset) {
    uint64_t base = eddy_arena_extent_off(p->arena, p->idx);
    uint64_t size = eddy_event_size(e, true);
    void *at = eddy_arena_raw(p->arena, off);
    (void)eddy_event_write(at, e, true, size, 1, 1, 2);
    p->head = off + size;
    eddy_event_set_head(at, p->head - base);
    unsigned char *h = eddy_arena_raw(p->arena, p->head);
    struct eddy_shm_head head = {.size = (uint32_t)eddy_event_head_size(2),
                                 .kind = EDDY_BLOCK_HEAD,
                                 .streams = 2,
                                 .tx_offset = offset - 4,
                                 .recorded_ns = 77,
                                 .first = 3,
                                 .tx_count = 9};
    struct eddy_shm_part part[2] = {{1000, 5}, {2000, 40}};
    memcpy(h, &head, sizeof head);
    memcpy(h + sizeof head, part, sizeof part);
}

static void piece_open(struct piece *p, const eddy_new_event *e) {
    memset(p, 0, sizeof *p);
    p->arena = unit_store(0);
    p->span.era = &p->arena->super->era;
    p->view = (struct eddy_view){.arena = p->arena, .span = &p->span, .overlay = NULL};
    cr_assert_eq(eddy_extent_take(p->arena, 1, EDDY_KIND_EVENTS, 0, 1, &p->idx), 0);
    p->off = eddy_arena_extent_off(p->arena, p->idx) + 64;
    write_at(p, p->off, e, 100);
    eddy_st_rel(&p->slot, p->off);
}

static void piece_close(struct piece *p) {
    free(p->room.bytes);
    unit_store_free(p->arena);
}

static int read_piece(struct piece *p) {
    return eddy_event_read(&p->view, &p->slot, p->off, &p->room, &p->raw, &p->more);
}

static void assert_bytes(eddy_bytes got, eddy_bytes expected) {
    cr_assert_eq(got.len, expected.len);
    cr_assert(got.len == 0 || memcmp(got.ptr, expected.ptr, got.len) == 0);
}

Test(event, every_combination_of_fields_is_read_back, .timeout = 20) {
    for (unsigned mask = 0; mask < 256; mask++) {
        struct piece p;
        const eddy_bytes tags[] = {eddy_str("tag"), eddy_str("another tag"), eddy_str("3")};
        eddy_new_event e = {
            .data = eddy_str(mask & 1 ? "some data" : ""),
            .metadata = eddy_str(mask & 2 ? "meta" : ""),
            .type = eddy_str(mask & 4 ? "a type" : ""),
            .id = eddy_str(mask & 8 ? "id" : ""),
            .time_ns = mask & 16 ? -5 : 0,
            .shard = mask & 32 ? UINT64_MAX : 0,
            .flags = mask & 64 ? EDDY_TIME_GIVEN : 0,
            .tag_count = mask & 128 ? 3 : 0,
            .tags = tags,
        };
        piece_open(&p, &e);
        cr_assert_eq(eddy_event_size(&e, true) % 8, 0);
        for (int place = 0; place < 2; place++) {
            int r = place ? eddy_event_read(&p.view, &p.slot, p.off, NULL, &p.raw, &p.more)
                          : read_piece(&p);
            cr_assert_eq(r, 1, "%s", eddy_errmsg());
            assert_bytes(p.raw.data, e.data);
            assert_bytes(p.raw.metadata, e.metadata);
            assert_bytes(p.raw.type, e.type);
            assert_bytes(p.raw.id, e.id);
            cr_assert_eq(p.raw.offset, 100);
            cr_assert_eq(p.raw.version, 42);
            cr_assert_eq(p.more.stream, 2000);
            cr_assert_eq(p.raw.tx_offset, 96);
            cr_assert_eq(p.raw.tx_count, 9);
            cr_assert_eq(p.raw.recorded_ns, 77);
            cr_assert_eq(p.raw.time_ns, mask & 16 ? -5 : mask & 64 ? 0 : 77);
            cr_assert_eq(p.raw.shard, e.shard);
            cr_assert_eq(p.more.bytes, eddy_event_size(&e, true));
            cr_assert_eq(p.raw.tag_count, e.tag_count);
            cr_assert(eddy_event_tags_whole(p.raw.tags, p.raw.tag_count));
            for (uint32_t k = 0; k < e.tag_count; k++) {
                assert_bytes(eddy_tag(&p.raw, k), tags[k]);
            }
            cr_assert_eq(eddy_tag(&p.raw, e.tag_count).len, 0);
        }
        piece_close(&p);
    }
}

Test(event, tags_that_make_no_sense_are_read_within_their_block_and_noticed, .timeout = 10) {
    const eddy_bytes tag = eddy_str("some tag");
    eddy_new_event e = {.data = eddy_str("x"), .tags = &tag, .tag_count = 1};
    struct piece p;
    piece_open(&p, &e);
    unsigned char *at = eddy_arena_raw(p.arena, p.off + sizeof(struct eddy_shm_event) + 1);
    cr_assert_eq(at[0], 1);
    for (unsigned i = 0; i < 3; i++) {
        const unsigned char counts[] = {255, 0, 1};
        const unsigned char lens[] = {8, 8, 255};
        at[0] = counts[i];
        at[1] = lens[i];
        for (int place = 0; place < 2; place++) {
            int r = place ? eddy_event_read(&p.view, &p.slot, p.off, NULL, &p.raw, &p.more)
                          : read_piece(&p);
            cr_assert_eq(r, 1);
            const unsigned char *body = place ? at - 1 : p.room.bytes;
            const unsigned char *end = body + p.more.bytes - sizeof(struct eddy_shm_event);
            const unsigned char *tags = p.raw.tags.ptr;
            cr_assert(tags >= body && tags + p.raw.tags.len <= end);
            cr_assert(i == 1 || !eddy_event_tags_whole(p.raw.tags, p.raw.tag_count));
            cr_assert_leq(eddy_tag(&p.raw, 0).len, 8);
        }
    }
    piece_close(&p);
}

Test(event, a_slot_that_leads_elsewhere_by_now_gives_nothing, .timeout = 10) {
    struct piece p;
    eddy_new_event e = {.data = eddy_str("x")};
    piece_open(&p, &e);
    eddy_st_rel(&p.slot, p.off + 64);
    cr_assert_eq(read_piece(&p), 0);
    eddy_st_rel(&p.slot, EDDY_TOMB(1));
    cr_assert_eq(read_piece(&p), 0);
    piece_close(&p);
}

Test(event, headers_that_cannot_be_are_damage, .timeout = 10) {
    struct piece p;
    eddy_new_event e = {.data = eddy_str("some data"), .type = eddy_str("t")};
    piece_open(&p, &e);
    struct eddy_shm_event *h = eddy_arena_raw(p.arena, p.off);
    struct eddy_shm_head *d = eddy_arena_raw(p.arena, p.head);
    const struct eddy_shm_event good = *h;
    const struct eddy_shm_head good_head = *d;
    for (int i = 0; i < 16; i++) {
        *h = good;
        *d = good_head;
        switch (i) {
        case 0:
            h->kind = EDDY_BLOCK_HEAD;
            break;
        case 1:
            h->size8 = 0;
            break;
        case 2:
            h->size8 = UINT32_MAX;
            break;
        case 3:
            h->flags = 8;
            break;
        case 4:
            h->data_len = UINT32_MAX;
            break;
        case 5:
            h->data_len += 8;
            break;
        case 6:
            h->data_len = 1 << 20; /* beyond the extent, and its size says so too */
            h->size8 = (uint32_t)((32 + (1 << 20) + 8) / 8);
            break;
        case 7:
            h->meta_len = UINT32_MAX;
            break;
        case 8:
            h->type_len = UINT16_MAX;
            break;
        case 9:
            h->id_len = UINT16_MAX;
            break;
        case 10:
            h->head8 = 8191; /* no room for a head */
            break;
        case 11:
            h->head8 = UINT16_MAX;
            break;
        case 12:
            h->head8 = 8; /* itself */
            break;
        case 13:
            h->stream = UINT16_MAX;
            break;
        case 14:
            h->stream = 2;
            break;
        default:
            d->kind = 0;
            break;
        }
        cr_assert_eq(read_piece(&p), EDDY_ECORRUPT, "case %d", i);
        cr_assert_eq(eddy_event_read(&p.view, &p.slot, p.off, NULL, &p.raw, &p.more),
                     EDDY_ECORRUPT);
    }
    *h = good;
    *d = good_head;
    cr_assert_eq(read_piece(&p), 1);
    piece_close(&p);
}

Test(event, references_that_cannot_be_are_damage, .timeout = 10) {
    struct piece p;
    eddy_new_event e = {.data = eddy_str("x")};
    piece_open(&p, &e);
    uint64_t end = p.arena->extents_off + eddy_arena_reserved(p.arena) * EDDY_EXTENT_SIZE;
    const uint64_t refs[] = {
        0,       8,        p.off + 4,    p.off + 8,      p.arena->extents_off - 8, end,
        end - 8, end - 32, p.arena->cap, UINT64_MAX - 7, UINT64_MAX - 31};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        p.off = refs[i];
        eddy_st_rel(&p.slot, p.off);
        cr_assert_eq(read_piece(&p), EDDY_ECORRUPT, "reference %zu", i);
    }
    piece_close(&p);
}

Test(event, an_extent_that_holds_no_events_is_damage, .timeout = 10) {
    struct piece p;
    eddy_new_event e = {.data = eddy_str("x")};
    piece_open(&p, &e);
    eddy_word *state = &p.arena->extents[p.idx].state;
    const unsigned bad[] = {EDDY_FREE, EDDY_CONDEMNED, EDDY_RETIRED, 77};
    for (size_t i = 0; i < 4; i++) {
        eddy_st_rel(state, EDDY_STATE(0, bad[i], 1));
        cr_assert_eq(read_piece(&p), EDDY_ECORRUPT);
    }
    for (unsigned s = EDDY_OWNED; s <= EDDY_SEALED; s++) {
        eddy_st_rel(state, EDDY_STATE(0, s, 1));
        cr_assert_eq(read_piece(&p), 1);
    }
    /* A run that says that it is longer than the store. */
    eddy_st_rel(&p.arena->extents[p.idx].info, EDDY_INFO(EDDY_KIND_LARGE, 0, UINT32_MAX));
    cr_assert_eq(read_piece(&p), EDDY_ECORRUPT);
    eddy_st_rel(&p.arena->extents[p.idx].info, EDDY_INFO(EDDY_KIND_LARGE, 0, 0));
    cr_assert_eq(read_piece(&p), EDDY_ECORRUPT);
    piece_close(&p);
}

/* ---- memory that is used anew under the reader ---- */

static const eddy_new_event first = {.data = {"the first event, which was there", 32}};
static const eddy_new_event second = {.data = {"another that came to its place!!", 32}};

static void read_it(void *arg) {
    struct piece *p = arg;
    p->gave = read_piece(p);
}

/* The event is removed; its extent is free, taken anew, and has another event at the same place, to
 * which another slot leads. */
static bool use_anew(void *arg) {
    struct piece *p = arg;
    uint32_t idx;
    eddy_st_rel(&p->slot, EDDY_TOMB(5));
    eddy_extent_give(p->arena, p->idx, 1);
    cr_assert_eq(eddy_extent_take(p->arena, 1, EDDY_KIND_EVENTS, 0, 1, &idx), 0);
    cr_assert_eq(idx, p->idx);
    write_at(p, p->off, &second, 200);
    return false;
}

/* Evacuated: the slot leads to a copy, and the old place is used anew. */
static bool move_away(void *arg) {
    struct piece *p = arg;
    struct piece copy = *p;
    cr_assert_eq(eddy_extent_take(p->arena, 1, EDDY_KIND_EVENTS, 0, 1, &copy.idx), 0);
    uint64_t off = eddy_arena_extent_off(p->arena, copy.idx) + 64;
    write_at(&copy, off, &first, 100);
    use_anew(p);
    eddy_st_rel(&p->slot, off);
    return false;
}

Test(event, memory_used_anew_is_never_taken_for_the_event, .timeout = 30) {
    bool (*const acts[])(void *) = {use_anew, move_away};
    unit_needs_steps();
    for (size_t i = 0; i < 2; i++) {
        unsigned nothing = 0;
        for (uint64_t at = 0;; at++) {
            struct piece p;
            piece_open(&p, &first);
            struct unit_step step = {.arena = p.arena, .at = at, .act = acts[i], .arg = &p};
            bool acted = unit_step(&step, read_it, &p) != 0;
            cr_assert(p.gave == 0 || p.gave == 1, "%d at access %llu: %s", p.gave,
                      (unsigned long long)at, eddy_errmsg());
            if (p.gave == 1) {
                cr_assert_eq(p.raw.offset, 100, "at access %llu", (unsigned long long)at);
                assert_bytes(p.raw.data, first.data);
            }
            nothing += p.gave == 0;
            piece_close(&p);
            if (!acted) {
                break;
            }
        }
        cr_assert_gt(nothing, 3);
    }
}
