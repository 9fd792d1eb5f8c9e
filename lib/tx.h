/* Transactions: the public way to the write path. */
#ifndef EDDY_TX_H
#define EDDY_TX_H

#include "store.h"

enum eddy_tx_state { EDDY_TX_OPEN, EDDY_TX_COMMITTED, EDDY_TX_SPENT };

struct eddy_tx {
    struct eddy_store *store;
    struct eddy_batch batch;
    uint64_t life;
    enum eddy_tx_state state;
    uint64_t first_offset;
    uint64_t last_offset; /* as first_offset: by its commit, or by that which it repeats */
    bool repeated;
    uint64_t payload; /* bytes of data and metadata */
};

/* Adds to an open transaction what it is to remove (enum in batch.h). */
int eddy_tx_cut(eddy_tx *tx, eddy_bytes stream, unsigned kind, uint64_t version);
/* Adds what is to be done under a key (keys.h), and a condition on it unless expected is EDDY_ANY. */
int eddy_tx_put(eddy_tx *tx, unsigned family, eddy_bytes key, const struct eddy_batch_put *put,
                int64_t expected);
/* The condition alone. */
int eddy_tx_expect_key(eddy_tx *tx, unsigned family, eddy_bytes key, int64_t expected);
int eddy_tx_check_expected(int64_t expected);

/* ---- what an append shares with a transaction ---- */

/* What is wrong with an event, or with an append, if anything is. */
int eddy_tx_refuse_event(const eddy_new_event *event, bool with_data);
int eddy_tx_refuse_append(eddy_bytes stream, int64_t expected, size_t count);

/* Both limits at once: none of the numbers has a bit above them. */
static_assert(EDDY_TYPE_MAX == EDDY_ID_MAX, "one comparison");
static_assert((EDDY_EVENT_MAX & (EDDY_EVENT_MAX - 1)) == 0, "a power of two");

static inline int eddy_tx_check_event(const eddy_new_event *e, bool with_data) {
    bool fine = (e->type.len | e->id.len) < EDDY_TYPE_MAX &&
                (e->data.len | e->metadata.len) < EDDY_EVENT_MAX / 2 &&
                (e->flags & ~EDDY_EVENT_GIVEN) == 0 && e->reserved == 0 &&
                (!e->type.len || e->type.ptr) && (!e->id.len || e->id.ptr) &&
                (!e->metadata.len || e->metadata.ptr) &&
                (!with_data || !e->data.len || e->data.ptr);
    return __builtin_expect(fine, 1) ? 0 : eddy_tx_refuse_event(e, with_data);
}

static inline void eddy_tx_clear_result(eddy_result *r) {
    r->first_offset = 0;
    r->last_offset = 0;
    r->last_version = 0;
    r->recorded_ns = 0;
    r->removed = 0;
    r->condition = 0;
    r->stream_len = 0;
    r->expected = 0;
    r->actual = 0;
    r->stream[0] = 0;
    r->revision = 0;
    r->repeated = false;
}

/* A transaction of one append, in the general way. */
int eddy_tx_append_batch(struct eddy_context *context, eddy_bytes key, eddy_bytes stream,
                         int64_t expected, const eddy_new_event *events, size_t count,
                         int64_t now_ns, eddy_result *result);

#endif
