#include "layout.h"

#include "platform.h"

static uint64_t round_up(uint64_t x, uint64_t to) {
    return (x + to - 1) / to * to;
}

uint64_t eddy_layout_group_size(uint32_t wait_words) {
    return round_up(sizeof(struct eddy_shm_group) + 8 * (uint64_t)wait_words, EDDY_LINE);
}

uint64_t eddy_layout_map_size(uint64_t extents_max) {
    return round_up((extents_max + 7) / 8, 4096);
}

void eddy_layout_plan(struct eddy_shm_super *super, const struct eddy_layout_sizes *sizes) {
    uint64_t at = sizeof *super;
    super->layout = EDDY_LAYOUT_MAJOR << 16 | EDDY_LAYOUT_MINOR;
    super->page_size = 4096;
    super->cap = sizes->cap;
    super->members_max = sizes->members;
    super->threads_max = sizes->threads;
    super->readers_max = sizes->threads;
    super->wait_words = (sizes->threads + 63) / 64;

    super->ring_off = at;
    at += sizeof(struct eddy_shm_ring);
    super->waits_off = at;
    at += round_up(8 * (uint64_t)super->wait_words, EDDY_LINE);
    at += EDDY_WAIT_GROUPS * eddy_layout_group_size(super->wait_words);
    super->names_off = at;
    at += 8 * EDDY_NAME_CELLS;
    super->members_off = at;
    at += (uint64_t)sizes->members * sizeof(struct eddy_shm_member);
    super->threads_off = at;
    at += (uint64_t)sizes->threads * sizeof(struct eddy_shm_thread);
    super->readers_off = at;
    at += (uint64_t)super->readers_max * sizeof(struct eddy_shm_reader);
    super->maps_off = round_up(at, 4096);
    /* As many extents as fit, each with its state line; none, if not even the rest does. */
    uint64_t room = sizes->cap > super->maps_off ? sizes->cap - super->maps_off : 0;
    uint64_t most = room / (EDDY_EXTENT_SIZE + sizeof(struct eddy_shm_extent) + EDDY_MAPS / 8);
    super->states_off = super->maps_off + EDDY_MAPS * eddy_layout_map_size(most);
    super->extents_off =
        round_up(super->states_off + most * sizeof(struct eddy_shm_extent), EDDY_EXTENT_SIZE);
    uint64_t left = sizes->cap > super->extents_off ? sizes->cap - super->extents_off : 0;
    super->extents_max = left / EDDY_EXTENT_SIZE < most ? left / EDDY_EXTENT_SIZE : most;
    super->fingerprint = eddy_layout_fingerprint(super);
}

uint64_t eddy_layout_fingerprint(const struct eddy_shm_super *super) {
    const uint64_t parts[] = {
        super->layout,
        super->cap,
        (uint64_t)super->members_max << 32 | super->threads_max,
        (uint64_t)super->readers_max << 32 | super->wait_words,
        super->ring_off,
        super->waits_off,
        super->names_off,
        super->members_off,
        super->threads_off,
        super->readers_off,
        super->maps_off,
        super->states_off,
        super->extents_off,
        super->extents_max,
        sizeof(struct eddy_shm_super),
        sizeof(struct eddy_shm_thread),
        sizeof(struct eddy_shm_member),
        sizeof(struct eddy_shm_reader),
        sizeof(struct eddy_shm_extent),
        sizeof(struct eddy_shm_stream),
        sizeof(struct eddy_shm_event),
        EDDY_EXTENT_BITS,
        EDDY_RING_WORDS,
        EDDY_NAME_ROOT_BITS,
        EDDY_NAME_CELLS,
        EDDY_MAPS,
        sizeof(struct eddy_shm_entry),
        EDDY_NODE_BITS,
        EDDY_HASH_BITS,
        EDDY_INLINE_SLOTS,
    };
    return eddy_platform_hash(parts, sizeof parts, 0);
}
