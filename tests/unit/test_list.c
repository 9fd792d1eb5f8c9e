/* Lists: what they say of what has gone, and damage in them. */
#include "list.h"
#include "support/cr_must.h"
#include "unit_support.h"

enum { SHARD = 7, EVENTS = 400 };

static struct eddy_arena *arena;
static eddy_store *store;
static struct unit_member me;

/* EVENTS events, each second one of the shard, so that ordinal k has offset 2 * k. */
static void open_store(void) {
    arena = unit_store(0);
    store = unit_handle(arena, 0);
    unit_join(&me, arena);
    for (unsigned i = 1; i <= EVENTS; i++) {
        eddy_new_event event = {.shard = i % 2 ? 0 : SHARD, .time_ns = (int64_t)i};
        must(eddy_append(store, eddy_str(i % 2 ? "odd" : "even"), EDDY_ANY, &event, 1, NULL));
    }
    eddy_rcu_enter(&me.thread.span);
}

static void close_store(void) {
    eddy_rcu_leave(&me.thread.span);
    unit_leave(&me);
    eddy_close(store);
    unit_store_free(arena);
}

static struct eddy_shm_stream *the_list(void) {
    struct eddy_view v = unit_view(&me);
    struct eddy_list_key key = eddy_list_key(arena, EDDY_LIST_SHARD, SHARD);
    int64_t off = eddy_list_find(&v, &key);
    cr_assert_gt(off, 0);
    return eddy_arena_raw(arena, (uint64_t)off);
}

static int count_lists(void *arg, struct eddy_shm_stream *list) {
    unsigned kind;
    cr_assert_eq(eddy_list_number(list, &kind), SHARD);
    cr_assert_eq(kind, EDDY_LIST_SHARD);
    cr_assert(eddy_list_is(list));
    ++*(int *)arg;
    return 0;
}

Test(list, ordinals_lead_to_the_offsets_of_the_shard, .timeout = 20) {
    open_store();
    struct eddy_view v = unit_view(&me);
    struct eddy_shm_stream *list = the_list();
    struct eddy_list_at at;
    int lists = 0;
    for (uint64_t k = 1; k <= EVENTS / 2; k++) {
        uint64_t found;
        cr_assert_eq(eddy_list_look(&v, list, k, NULL, &at), 1);
        cr_assert_eq(at.number, 2 * k);
        cr_assert_eq(eddy_list_before(&v, list, 0, EVENTS / 2, 2 * k + 1, &found), 0);
        cr_assert_eq(found, k);
        cr_assert_eq(eddy_list_has(&v, SHARD, 2 * k), (int64_t)k);
        cr_assert_eq(eddy_list_has(&v, SHARD, 2 * k - 1), 0);
    }
    cr_assert_eq(eddy_list_look(&v, list, EVENTS / 2 + 1, NULL, &at), 0);
    cr_assert_not(at.gone);
    cr_assert_eq(eddy_list_each(&v, count_lists, &lists), 0);
    cr_assert_eq(lists, 1);
    cr_assert_not(eddy_list_is(unit_stream(arena, "even")));
    unit_assert_sound(arena);
    close_store();
}

Test(list, what_has_gone_is_marked_and_its_leaves_go, .timeout = 20) {
    open_store();
    enum { GONE = 150 };
    struct eddy_view v = unit_view(&me);
    struct eddy_list_at at;
    uint64_t found;
    eddy_rcu_leave(&me.thread.span);
    must(eddy_truncate(store, eddy_str("even"), EDDY_ANY, GONE, NULL));
    eddy_rcu_enter(&me.thread.span);
    struct eddy_shm_stream *list = the_list();
    cr_assert_eq(eddy_view_load(&v, &list->reclaimed), GONE);
    for (uint64_t k = 1; k <= GONE; k++) {
        cr_assert_eq(eddy_list_look(&v, list, k, NULL, &at), 0);
        cr_assert(at.gone);
        cr_assert(at.slot == NULL || at.number == 2 * k);
        cr_assert(at.first <= k && k <= at.last);
    }
    /* The small leaf has gone, and two whole ones behind it. */
    cr_assert_eq(eddy_list_look(&v, list, 10, NULL, &at), 0);
    cr_assert(at.slot == NULL && at.first == 7 && at.last == 14);
    cr_assert_eq(eddy_list_look(&v, list, 100, NULL, &at), 0);
    cr_assert(at.slot == NULL && at.first == 79 && at.last == 142);
    cr_assert_eq(eddy_list_before(&v, list, 0, EVENTS / 2, 2 * GONE + 3, &found), 0);
    cr_assert_eq(found, GONE + 1);
    cr_assert_eq(eddy_list_before(&v, list, 0, EVENTS / 2, 2 * GONE - 1, &found), 0);
    cr_assert_eq(found, GONE - 1, "a mark says what it was of");
    unit_assert_sound(arena);
    close_store();
}

/* Damages a word, sees that it is found, and mends it. */
static void is_found(eddy_word *word, uint64_t value) {
    uint64_t was = eddy_ld_rlx(word);
    eddy_st_rlx(word, value);
    cr_assert_gt(unit_wrongs(arena), 0);
    has_text(unit_rooms, "list");
    eddy_st_rlx(word, was);
    unit_assert_sound(arena);
}

Test(list, damage_is_found, .timeout = 60) {
    open_store();
    struct eddy_view v = unit_view(&me);
    struct eddy_shm_stream *list = the_list();
    struct eddy_list_at at;
    cr_assert_eq(eddy_list_look(&v, list, 100, NULL, &at), 1);
    struct eddy_shm_node *leaf = eddy_trie_node_of(at.slot, 100 - EDDY_TRIE_VERSION);
    is_found(at.slot, 0);
    is_found(at.slot, EDDY_LIST_SLOT(199));
    is_found(at.slot, EDDY_LIST_SLOT(201));
    is_found(at.slot, EDDY_TOMB(200));
    is_found(&leaf->sum, 1);
    is_found(&leaf->low, 1);
    is_found(&list->version, EVENTS / 2 + 1);
    is_found(&list->version, EVENTS / 2 - 1);
    is_found(&list->reclaimed, EVENTS);
    is_found(&list->slot[2], EDDY_LIST_SLOT(7));
    close_store();
}
