#include "ring.h"

bool eddy_ring_before(const struct eddy_arena *a, uint64_t seq, struct eddy_ring_copy *copy,
                      uint32_t *buffer) {
    *buffer = 0;
    if (seq > 0) {
        uint64_t p = eddy_ring_load(a, seq - 1);
        if (eddy_ring_round_of(p) != eddy_ring_round(seq - 1)) {
            return false;
        }
        *buffer = eddy_ring_buffer_of(p);
    }
    eddy_word *list;
    struct eddy_shm_redo *h = eddy_ring_header(a, *buffer, &list);
    if (!h) {
        return false;
    }
    eddy_ring_copy_header(h, copy);
    return eddy_ring_steady(a, seq);
}
