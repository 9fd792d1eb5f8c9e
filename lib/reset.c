/* Emptying a store. All events go in one transaction, which raises the floor to the last offset; then,
 * in transactions of their own, the names of streams, and what is kept under keys. What somebody writes
 * meanwhile is left alone: each of these judges again, as of its instant.
 */
#include <stdlib.h>
#include <string.h>

#include "anchor.h"
#include "error.h"
#include "tidy.h"
#include "told.h"
#include "upkeep.h"

enum { AT_ONCE = 12 }; /* their words fit into a list that needs no memory */

/* All events that are there. */
static int drop_events(struct eddy_context *c, eddy_result *result) {
    c->batch.reset = true;
    int r = eddy_upkeep_commit(c, &c->batch, eddy_store_now(c->store), result);
    eddy_batch_clear(&c->batch);
    return r;
}

/* The streams that there were, as far as nobody has written them since: they are forgotten. */
static int forget_streams(struct eddy_context *c) {
    struct eddy_tidy t = {.kind = EDDY_CUT_FORGET_EMPTY};
    struct eddy_ring_copy now;
    int r = eddy_upkeep_totals(c, &now, NULL);
    while (r == 0 && t.number < now.streams_in) {
        r = eddy_tidy_on(c, &t, UINT64_MAX);
    }
    return r < 0 ? r : 0;
}

/* ---- what is under keys ---- */

struct some {
    unsigned family;
    uint64_t revision; /* of the last that is meant */
    size_t count;
    struct eddy_key *at; /* AT_ONCE of them */
};

static int note(void *arg, const struct eddy_key *key) {
    struct some *s = arg;
    /* Anchors go with the last snapshot. */
    bool anchor = s->family == EDDY_FAMILY_SNAPSHOT &&
                  eddy_key_number_of(key->name, key->name_len) == EDDY_ANCHOR;
    if (key->revision <= s->revision && !anchor) {
        s->at[s->count++] = *key;
    }
    return s->count == AT_ONCE;
}

/* Finds some that are to go. */
static int find_some(struct eddy_context *c, struct some *s) {
    struct eddy_instant now = {0};
    int taken;
    int r;
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    do {
        s->count = 0;
        taken = eddy_instant_take(&now, &c->thread);
        r = taken == 0 ? eddy_key_each(&now.view, s->family, note, s) : taken;
        /* "No more" is to be so; what was found is looked at again by who deletes it. */
    } while (taken == 0 && (r < 0 || s->count == 0) && !eddy_instant_holds(&now, &c->thread));
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    return r < 0 ? r : 0;
}

/* Deletes them in one transaction, if they are as they were found. */
static int delete_some(struct eddy_context *c, unsigned family, const struct eddy_key *keys,
                       size_t count) {
    struct eddy_batch_put put = {.what = EDDY_PUT_DELETE};
    eddy_result result;
    int r = 0;
    memset(&result, 0, sizeof result);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = eddy_batch_put(&c->batch, &c->store->arena, family,
                           eddy_mem(keys[i].name, keys[i].name_len), &put,
                           (int64_t)keys[i].revision, false);
    }
    r = r < 0 ? r : eddy_upkeep_commit(c, &c->batch, eddy_store_now(c->store), &result);
    eddy_batch_clear(&c->batch);
    return r;
}

static int delete_keys(struct eddy_context *c, unsigned family, uint64_t revision) {
    struct some s = {.family = family, .revision = revision};
    s.at = calloc(AT_ONCE, sizeof *s.at);
    int r = s.at ? find_some(c, &s) : eddy_error_set(EDDY_ENOMEM, "no memory for keys");
    while (r == 0 && s.count > 0) {
        r = delete_some(c, family, s.at, s.count);
        for (size_t i = 0; r == EDDY_ECONFLICT && i < s.count; i++) {
            r = delete_some(c, family, &s.at[i], 1);
            r = r == 0 ? EDDY_ECONFLICT : r; /* that one has been set anew, and stays */
        }
        r = r == 0 || r == EDDY_ECONFLICT ? find_some(c, &s) : r;
    }
    free(s.at);
    return r;
}

/* The revision of the last transaction. */
static int last_revision(struct eddy_context *c, uint64_t *revision) {
    struct eddy_instant now = {0};
    eddy_instant_renew(&now, &c->thread);
    eddy_rcu_enter(&c->thread.span);
    int r = eddy_instant_take(&now, &c->thread);
    eddy_rcu_leave(&c->thread.span);
    eddy_instant_fini(&now);
    *revision = c->store->arena.revision_base + now.seq;
    return r;
}

int eddy_reset(eddy_store *store, eddy_result *result) {
    /* Lists go with their events; answers to keys of transactions go by their age. */
    static const unsigned families[] = {EDDY_FAMILY_CHECKPOINT, EDDY_FAMILY_STATE,
                                        EDDY_FAMILY_SNAPSHOT};
    struct eddy_context *c;
    uint64_t revision;
    eddy_result own;
    result = result ? result : &own;
    memset(result, 0, sizeof *result);
    int r = eddy_store_writer(store, &c);
    r = r < 0 ? r : last_revision(c, &revision);
    r = r < 0 ? r : drop_events(c, result);
    for (size_t i = 0; r == 0 && i < sizeof families / sizeof families[0]; i++) {
        r = delete_keys(c, families[i], revision);
    }
    r = r < 0 ? r : forget_streams(c);
    return eddy_told_failure(store, r < 0 ? r : eddy_upkeep_settle(c));
}
