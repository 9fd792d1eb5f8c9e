#include "ring.h"

#include "error.h"

enum { OFFSETS_MAX_BITS = 62 }; /* beyond that a number is damage, not a number of events */

static int damaged(uint64_t seq) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the record before transaction %llu is damaged: run `eddy "
                          "check`",
                          (unsigned long long)seq);
}

int eddy_ring_before(const struct eddy_arena *a, uint64_t seq, struct eddy_ring_copy *copy,
                     uint32_t *buffer) {
    struct eddy_shm_redo *h = NULL;
    eddy_word *list;
    *buffer = 0;
    if (seq > 0) {
        uint64_t p = eddy_ring_load(a, seq - 1);
        if (eddy_ring_round_of(p) == eddy_ring_round(seq - 1)) {
            *buffer = eddy_ring_buffer_of(p);
            h = eddy_ring_header(a, *buffer, &list);
        }
    } else {
        h = eddy_ring_header(a, 0, &list);
    }
    if (h) {
        eddy_ring_copy_header(h, copy);
    }
    if (!eddy_ring_steady(a, seq)) {
        return 0;
    }
    bool good = h && copy->next_offset != 0 && copy->next_offset >> OFFSETS_MAX_BITS == 0 &&
                copy->streams_in >> OFFSETS_MAX_BITS == 0 &&
                copy->floor < copy->next_offset &&
                copy->holes < copy->next_offset - copy->floor && (seq == 0 || copy->seq == seq - 1);
    return good ? 1 : damaged(seq);
}
