/* Emptying a store. All events go in one transaction, which raises the floor to the last offset; then,
 * in transactions of their own, the streams, and what is kept under keys. What somebody writes after
 * the first of these is left alone: each of the others judges again, as of its instant.
 */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "tidy.h"
#include "upkeep.h"

/* All events that are there. */
static int drop_events(struct eddy_context *c, eddy_result *result) {
    c->batch.reset = true;
    int r = eddy_upkeep_commit(c, &c->batch, eddy_store_now(c->store), result);
    eddy_batch_clear(&c->batch);
    return r;
}

/* The streams that there were, as far as nobody has written them since: they are forgotten. */
static int forget_streams(struct eddy_context *c, uint64_t last) {
    struct eddy_tidy t = {.kind = EDDY_CUT_FORGET_EMPTY};
    int r = 0;
    while (r == 0 && t.number < last) {
        r = eddy_tidy_on(c, &t, UINT64_MAX);
    }
    return r < 0 ? r : 0;
}

int eddy_reset(eddy_store *store, eddy_result *result) {
    struct eddy_context *c;
    struct eddy_ring_copy before;
    eddy_result own;
    result = result ? result : &own;
    memset(result, 0, sizeof *result);
    int r = eddy_store_writer(store, &c);
    r = r < 0 ? r : drop_events(c, result);
    r = r < 0 ? r : eddy_upkeep_totals(c, &before, NULL);
    r = r < 0 ? r : forget_streams(c, before.streams_in);
    return r < 0 ? r : eddy_upkeep_settle(c);
}
