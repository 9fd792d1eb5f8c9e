#include "ring.h"

#include "error.h"

int eddy_ring_damaged(uint64_t seq) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the record before transaction %llu is damaged: run `eddy "
                          "check`",
                          (unsigned long long)seq);
}

int eddy_ring_before(const struct eddy_arena *a, uint64_t seq, struct eddy_ring_copy *copy,
                     uint32_t *buffer) {
    return eddy_ring_before_inline(a, seq, copy, buffer);
}
