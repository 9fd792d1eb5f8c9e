/* Open addressing over copies of the names. */
#include "nameset.h"

#include <stdlib.h>
#include <string.h>

struct nameset_slot {
    uint64_t hash;
    size_t len;
    char *name; /* NULL: free */
};

static uint64_t hash_of(eddy_bytes name) {
    const unsigned char *p = name.ptr;
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < name.len; i++) {
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    }
    return hash ^ hash >> 32;
}

/* The slot of the name, or the free one where it belongs. */
static struct nameset_slot *find(const struct nameset *set, uint64_t hash, eddy_bytes name) {
    for (size_t i = hash & (set->room - 1);; i = (i + 1) & (set->room - 1)) {
        struct nameset_slot *slot = &set->slots[i];
        if (!slot->name || (slot->hash == hash && slot->len == name.len &&
                            memcmp(slot->name, name.ptr, name.len) == 0)) {
            return slot;
        }
    }
}

static bool grow(struct nameset *set) {
    struct nameset next = {NULL, set->room ? 2 * set->room : 1024, set->count};
    next.slots = calloc(next.room, sizeof *next.slots);
    if (!next.slots) {
        return false;
    }
    for (size_t i = 0; i < set->room; i++) {
        struct nameset_slot *slot = &set->slots[i];
        if (slot->name) {
            *find(&next, slot->hash, eddy_mem(slot->name, slot->len)) = *slot;
        }
    }
    free(set->slots);
    *set = next;
    return true;
}

bool nameset_add(struct nameset *set, eddy_bytes name) {
    if (set->count * 2 >= set->room && !grow(set)) {
        return false;
    }
    uint64_t hash = hash_of(name);
    struct nameset_slot *slot = find(set, hash, name);
    if (slot->name) {
        return true;
    }
    slot->name = malloc(name.len + 1);
    if (!slot->name) {
        return false;
    }
    memcpy(slot->name, name.ptr, name.len);
    slot->hash = hash;
    slot->len = name.len;
    set->count++;
    return true;
}

void nameset_fini(struct nameset *set) {
    for (size_t i = 0; i < set->room; i++) {
        free(set->slots[i].name);
    }
    free(set->slots);
    memset(set, 0, sizeof *set);
}
