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
};

/* Adds to an open transaction what it is to remove (enum in batch.h). */
int eddy_tx_cut(eddy_tx *tx, eddy_bytes stream, unsigned kind, uint64_t version);
/* Adds what is to be done under a key (keys.h), and a condition on it unless expected is EDDY_ANY. */
int eddy_tx_put(eddy_tx *tx, unsigned family, eddy_bytes key, const struct eddy_batch_put *put,
                int64_t expected);
/* The condition alone. */
int eddy_tx_expect_key(eddy_tx *tx, unsigned family, eddy_bytes key, int64_t expected);
int eddy_tx_check_expected(int64_t expected);
void eddy_tx_clear_result(eddy_result *result);

#endif
