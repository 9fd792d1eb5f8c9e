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

#endif
