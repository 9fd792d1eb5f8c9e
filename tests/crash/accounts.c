/* What must hold of memory when nobody has the store open: nobody owns anything in it, all that may
 * be had can be found, and all that is gone has come back. */
#include "judge.h"

#include "block.h"
#include "support/check.h"
#include "trie.h"

#include <stdio.h>
#include <string.h>

enum { EXTENTS_MAX = STEPS_CAP / EDDY_EXTENT_SIZE };

struct account {
    struct eddy_arena a;
    bool maintained; /* eddy_maintain() has been at it */
    uint32_t live[EXTENTS_MAX];
    struct judge_memory *memory;
    uint32_t linked; /* blocks in the extent that is looked at */
};

/* ---- slots ---- */

void judge_readers(struct eddy_arena *a) {
    uint64_t bits = 0;
    for (uint32_t i = 0; i < a->readers_max; i++) {
        if (EDDY_SLOT_LIVE(eddy_ld_rlx(&a->readers[i].state)) ||
            eddy_ld_rlx(&a->readers[i].pin) != 0 || eddy_ld_rlx(&a->readers[i].borrows) != 0) {
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
    uint64_t w = eddy_ld_rlx(&a->super->maintainer);
    if (w != 0) {
        steps_breach("%llx stays at maintenance", (unsigned long long)w);
    }
}

/* ---- extents ---- */

static bool has_bit(const struct eddy_arena *a, unsigned map, uint32_t i) {
    return eddy_ld_rlx(&a->maps[map * a->map_words + i / 64]) >> i % 64 & 1;
}

/* No bit of a map lies below where one begins to look for it. */
static void check_maps(struct eddy_arena *a) {
    for (unsigned map = 0; map < EDDY_MAPS; map++) {
        uint32_t lowest = (uint32_t)eddy_ld_rlx(&a->super->lowest[map]);
        for (uint32_t w = 0; w < lowest && w < a->map_words; w++) {
            uint64_t bits = eddy_ld_rlx(&a->maps[map * a->map_words + w]);
            if (bits != 0) {
                steps_breach("map %u is looked at from word %u on, but word %u is %llx", map,
                             lowest, w, (unsigned long long)bits);
            }
        }
    }
}

static unsigned partial_map(uint64_t info) {
    unsigned kind = EDDY_INFO_KIND(info);
    return kind == EDDY_KIND_LIST    ? EDDY_MAP_LISTS
           : kind == EDDY_KIND_NODES ? EDDY_MAP_EVENTS + EDDY_INFO_CLASS(info)
                                     : EDDY_MAP_EVENTS;
}

/* Is an extent that may be had found by who needs one? The rest of a run is found by its first; those
 * kept for evacuation are known by their numbers. */
static void check_found(const struct eddy_arena *a, uint32_t i, unsigned state, uint64_t info) {
    unsigned map = state == EDDY_FREE   ? EDDY_MAP_FREE
                   : state == EDDY_HOLE ? EDDY_MAP_HOLES
                                        : partial_map(info);
    bool kept = state == EDDY_FREE && i < EDDY_RESERVED_EXTENTS;
    bool may = (state == EDDY_FREE && !kept) || state == EDDY_HOLE ||
               (state == EDDY_PARTIAL && EDDY_INFO_KIND(info) != EDDY_KIND_REST);
    if (may && !has_bit(a, map, i)) {
        steps_breach("extent %u (state %u, kind %u, class %u) is not in map %u", i, state,
                     EDDY_INFO_KIND(info), EDDY_INFO_CLASS(info), map);
    }
}

static void count_block(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    struct account *k = arg;
    unsigned s = EDDY_STATE_OF(state);
    (void)class_;
    bool good = s == EDDY_FREE || s == EDDY_LINKED || (s == EDDY_CONDEMNED && !k->maintained);
    if (!good) {
        uint64_t shape = eddy_ld_rlx(&((struct eddy_shm_block *)eddy_arena_raw(&k->a, off))->shape);
        steps_breach("the block at byte %llu (shape %llx) stays in state %u, of member %u",
                     (unsigned long long)off, (unsigned long long)shape, s,
                     EDDY_STATE_MEMBER(state));
    }
    k->linked += s == EDDY_LINKED;
}

/* Has an extent that is not free anything in it? */
static void check_used(struct account *k, uint32_t i, uint64_t info) {
    unsigned kind = EDDY_INFO_KIND(info);
    uint32_t first = kind == EDDY_KIND_REST ? i - EDDY_INFO_RUN(info) : i;
    uint64_t whose = first < i ? eddy_ld_rlx(&k->a.extents[first].info) : info;
    unsigned of = EDDY_INFO_KIND(whose);
    bool within = first <= i && (first == i || EDDY_INFO_RUN(whose) > i - first);
    k->memory->lists += of == EDDY_KIND_LIST;
    if (!within || (first < i && of != EDDY_KIND_LARGE && of != EDDY_KIND_LIST)) {
        steps_breach("extent %u is the rest of nothing (info %llx, of %llx)", i,
                     (unsigned long long)info, (unsigned long long)whose);
    } else if ((of == EDDY_KIND_EVENTS || of == EDDY_KIND_LARGE) && k->live[first] == 0) {
        steps_breach("extent %u (kind %u) has no event in it, and is not free", i, of);
    } else if (of == EDDY_KIND_NODES && k->linked == 0) {
        steps_breach("extent %u has no node of class %u in it, and is not free", i,
                     EDDY_INFO_CLASS(info));
    }
}

static void check_extent(struct account *k, uint32_t i) {
    uint64_t w = eddy_ld_rlx(&k->a.extents[i].state);
    uint64_t info = eddy_ld_rlx(&k->a.extents[i].info);
    unsigned s = EDDY_STATE_OF(w);
    bool free_now = s == EDDY_FREE || s == EDDY_HOLE;
    if (!free_now && s != EDDY_PARTIAL && s != EDDY_SEALED) {
        steps_breach("extent %u (kind %u) stays in state %u, of member %u", i, EDDY_INFO_KIND(info),
                     s, EDDY_STATE_MEMBER(w));
        return;
    }
    k->linked = 0;
    if (!free_now && EDDY_INFO_KIND(info) == EDDY_KIND_NODES) {
        eddy_block_each(&k->a, i, count_block, k);
    }
    k->memory->blocks += k->linked;
    k->memory->used += !free_now;
    if (k->maintained) {
        check_found(&k->a, i, s, info);
    }
    if (k->maintained && !free_now) {
        check_used(k, i, info);
    }
}

/* ---- events ---- */

/* Which extents have events that the index leads to? What is gone is led to no more. */
static void find_events(struct account *k) {
    struct eddy_arena *a = &k->a;
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_view view = {.arena = a, .span = &span, .overlay = NULL};
    uint64_t floor = eddy_ld_rlx(&a->super->floor);
    uint64_t found = 0;
    for (uint64_t o = 1; o <= k->memory->head; o++) {
        eddy_word *slot;
        int r = eddy_trie_slot(&view, &a->super->offsets_root, o, &slot);
        uint64_t ref = r == 1 ? eddy_ld_rlx(slot) : 0;
        if (ref == 0 || EDDY_IS_TOMB(ref)) {
            continue;
        }
        if (ref < a->extents_off || eddy_arena_extent_of(a, ref) >= eddy_arena_reserved(a)) {
            steps_breach("offset %llu leads to byte %llu", (unsigned long long)o,
                         (unsigned long long)ref);
            continue;
        }
        if (k->maintained && o <= floor) {
            steps_breach("offset %llu is below the floor and still leads to an event",
                         (unsigned long long)o);
        }
        k->live[eddy_arena_extent_of(a, ref)]++;
        found++;
    }
    if (k->maintained && found != k->memory->events) {
        steps_breach("the index leads to %llu events, and %llu are there",
                     (unsigned long long)found, (unsigned long long)k->memory->events);
    }
}

static void look_through(const char *name, bool maintained, struct judge_memory *memory) {
    struct account k = {.maintained = maintained, .memory = memory};
    int fd = -1;
    CHECK_EQ(sscanf(name, "fd:%d", &fd), 1);
    CHECK_OK(eddy_arena_open(&k.a, NULL, fd, true));
    check_slots(&k.a);
    judge_readers(&k.a);
    if (maintained) {
        check_maps(&k.a);
    }
    find_events(&k);
    memory->blocks = 0;
    memory->used = 0;
    memory->lists = 0;
    for (uint32_t i = 0; i < eddy_arena_reserved(&k.a); i++) {
        check_extent(&k, i);
    }
    eddy_arena_close(&k.a);
}

/* ---- maintenance ---- */

/* By who has just come; `again`: it must find nothing to do. */
static void maintain(const char *name, bool again, struct judge_memory *memory) {
    eddy_maintained m = {.size = sizeof m};
    eddy_facts facts = {.size = sizeof facts};
    eddy_store *store = judge_open(name);
    if (!store) {
        return;
    }
    int rc = eddy_maintain(store, 0, &m);
    if (rc != 0) {
        steps_breach("eddy_maintain gives %s: %s", eddy_errname(rc), eddy_errmsg());
    }
    if (again && (m.events > 0 || m.nodes > 0 || m.extents > 0 || m.dropped > 0)) {
        steps_breach("a second eddy_maintain took back %llu events, %llu nodes, %llu extents more",
                     (unsigned long long)m.events, (unsigned long long)m.nodes,
                     (unsigned long long)m.extents);
    }
    judge_check(store);
    CHECK_OK(eddy_info(store, &facts));
    memory->head = facts.head;
    memory->events = facts.events;
    eddy_close(store);
}

void judge_accounts(const char *name, struct judge_memory *memory) {
    memset(memory, 0, sizeof *memory);
    look_through(name, false, memory);
    maintain(name, false, memory);
    maintain(name, true, memory);
    look_through(name, true, memory);
}
