/* A transaction's batch owns extents of its member: it is dropped by the process that began it only
 * (a child after a fork leaves them alone), and the payloads in it are given back when it fails. */
#include "tx.h"

#include <stdlib.h>

#include "error.h"
#include "match.h"
#include "told.h"
#include "upkeep.h"

int eddy_tx_refuse_event(const eddy_new_event *e, bool with_data) {
    if (e->type.len > EDDY_TYPE_MAX || e->id.len > EDDY_ID_MAX) {
        return eddy_error_set(EDDY_EINVAL,
                              "an event with a type of %zu bytes (at most %u) and an id of %zu (at "
                              "most %u)",
                              e->type.len, EDDY_TYPE_MAX, e->id.len, EDDY_ID_MAX);
    }
    if (e->data.len > EDDY_EVENT_MAX || e->metadata.len > EDDY_EVENT_MAX ||
        e->data.len + e->metadata.len > EDDY_EVENT_MAX) {
        return eddy_error_set(EDDY_ELIMIT,
                              "an event of %zu bytes of data and %zu of metadata: the limit "
                              "EDDY_EVENT_MAX is %llu",
                              e->data.len, e->metadata.len, (unsigned long long)EDDY_EVENT_MAX);
    }
    if (e->flags & ~EDDY_EVENT_GIVEN || e->reserved) {
        return eddy_error_set(EDDY_EINVAL, "an event has unknown flags (%#x)", e->flags);
    }
    if ((e->type.len && !e->type.ptr) || (e->id.len && !e->id.ptr) ||
        (e->metadata.len && !e->metadata.ptr) || (with_data && e->data.len && !e->data.ptr)) {
        return eddy_error_set(EDDY_EINVAL, "an event has bytes without a pointer to them");
    }
    return 0;
}

/* A try that was lost has left its offsets there; an error has none. */
static int refused(int r, eddy_result *result) {
    if (r != EDDY_ECONFLICT) {
        eddy_tx_clear_result(result);
    }
    return r;
}

static int check_expected(int64_t expected) {
    if (expected < EDDY_EXISTS) {
        return eddy_error_set(EDDY_EINVAL,
                              "expected version %lld: must be EDDY_ANY, EDDY_NONE, EDDY_EXISTS, "
                              "a version or a revision",
                              (long long)expected);
    }
    return 0;
}

int eddy_tx_check_expected(int64_t expected) {
    return check_expected(expected);
}

static int add(struct eddy_batch *b, struct eddy_thread *t, uint32_t stream,
               const eddy_new_event *events, size_t count, void **data) {
    if (count > EDDY_TX_EVENTS_MAX - b->events.count) {
        return eddy_error_set(EDDY_ELIMIT,
                              "a transaction of more than %u events (EDDY_TX_EVENTS_MAX): split it",
                              EDDY_TX_EVENTS_MAX);
    }
    return eddy_batch_append(b, t, stream, events, count, data);
}

static int fill(struct eddy_context *c, eddy_bytes stream, int64_t expected,
                const eddy_new_event *events, size_t count) {
    struct eddy_batch *b = &c->batch;
    int64_t s = eddy_batch_stream(b, &c->store->arena, stream);
    int r = s < 0 ? (int)s : 0;
    if (r == 0 && expected != EDDY_ANY) {
        r = eddy_batch_expect(b, (uint32_t)s, expected);
    }
    return r < 0 ? r : add(b, &c->thread, (uint32_t)s, events, count, NULL);
}

static int check_count(size_t count) {
    if (count > EDDY_TX_EVENTS_MAX) {
        return eddy_error_set(EDDY_ELIMIT,
                              "a transaction of %zu events: the limit EDDY_TX_EVENTS_MAX is %u",
                              count, EDDY_TX_EVENTS_MAX);
    }
    return 0;
}

int eddy_tx_refuse_append(eddy_bytes stream, int64_t expected, size_t count) {
    int r = eddy_store_check_name(stream);
    r = r < 0 ? r : check_expected(expected);
    return r < 0 ? r : check_count(count);
}

/* An append as a batch. */
static int append_batch(struct eddy_context *c, eddy_bytes key, eddy_bytes stream, int64_t expected,
                        const eddy_new_event *events, size_t count, int64_t now,
                        eddy_result *result) {
    int r = key.len > 0 ? eddy_batch_key(&c->batch, key) : 0;
    r = r < 0 ? r : fill(c, stream, expected, events, count);
    if (r == 0) {
        r = eddy_upkeep_commit(c, &c->batch, now, result);
    } else {
        eddy_batch_drop(&c->batch, &c->thread);
        eddy_thread_count(&c->thread, EDDY_COUNT_REFUSALS, 1);
    }
    eddy_batch_clear(&c->batch);
    return r;
}

int eddy_tx_append_batch(struct eddy_context *c, eddy_bytes key, eddy_bytes stream,
                         int64_t expected, const eddy_new_event *events, size_t count, int64_t now,
                         eddy_result *result) {
    struct eddy_upkeep_wait wait = {0};
    int r;
    do {
        r = append_batch(c, key, stream, expected, events, count, now, result);
    } while (r == EDDY_EFULL && eddy_upkeep_make_room(c, &wait));
    return r < 0 ? refused(r, result) : r;
}

static int check_key(eddy_bytes key) {
    if (key.len == 0 || key.len > EDDY_KEY_LEN_MAX || !key.ptr) {
        return eddy_error_set(EDDY_EINVAL, "a transaction's key of %zu bytes: 1 to %u are allowed",
                              key.len, EDDY_KEY_LEN_MAX);
    }
    return 0;
}

int eddy_append_once(eddy_store *store, eddy_bytes key, eddy_bytes stream, int64_t expected,
                     const eddy_new_event *events, size_t count, eddy_result *result) {
    struct eddy_context *c;
    eddy_result own;
    result = result ? result : &own;
    eddy_tx_clear_result(result);
    int r = eddy_store_writer(store, &c);
    r = r < 0 ? r : check_key(key);
    r = r < 0 ? r : eddy_tx_refuse_append(stream, expected, count);
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = eddy_tx_check_event(&events[i], true);
    }
    if (r < 0 || count == 0) {
        return eddy_told_failure(store, r);
    }
    int64_t began = eddy_told_began(store);
    r = eddy_tx_append_batch(c, key, stream, expected, events, count, eddy_store_now(store),
                             result);
    return eddy_told(store, began, EDDY_DID_COMMIT, r, result->repeated ? 0 : count,
                     result->repeated ? 0 : eddy_told_bytes(store, events, count));
}

/* ---- transactions ---- */

int eddy_tx_begin(eddy_store *store, eddy_tx **out) {
    struct eddy_context *c;
    *out = NULL;
    int r = eddy_store_writer(store, &c);
    if (r < 0) {
        return r;
    }
    eddy_tx *tx = calloc(1, sizeof *tx);
    if (!tx) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a transaction");
    }
    tx->store = store;
    tx->life = store->life;
    eddy_batch_init(&tx->batch);
    *out = tx;
    return 0;
}

/* The context for working on an open transaction. */
static int enter(eddy_tx *tx, struct eddy_context **c) {
    int r = eddy_store_writer(tx->store, c);
    if (r < 0) {
        return r;
    }
    if (tx->life != tx->store->life) {
        return eddy_error_set(EDDY_EFORKED,
                              "the transaction was begun before this process was forked: begin one "
                              "in the child");
    }
    if (tx->state != EDDY_TX_OPEN) {
        return eddy_error_set(EDDY_EINVAL,
                              "the transaction has been committed or has failed: reset "
                              "it, or begin another");
    }
    return 0;
}

static int append(eddy_tx *tx, eddy_bytes stream, const eddy_new_event *event, void **data) {
    struct eddy_context *c;
    int r = enter(tx, &c);
    if (r == 0) {
        r = eddy_store_check_name(stream);
    }
    if (r == 0) {
        r = eddy_tx_check_event(event, data == NULL);
    }
    if (r < 0) {
        return r;
    }
    int64_t s = eddy_batch_stream(&tx->batch, &tx->store->arena, stream);
    if (s < 0) {
        return (int)s;
    }
    struct eddy_upkeep_wait wait = {0};
    do {
        r = add(&tx->batch, &c->thread, (uint32_t)s, event, 1, data);
    } while (r == EDDY_EFULL && eddy_upkeep_make_room(c, &wait));
    tx->payload += r < 0 ? 0 : event->data.len + event->metadata.len;
    return eddy_told_failure(tx->store, r);
}

int eddy_tx_cut(eddy_tx *tx, eddy_bytes stream, unsigned kind, uint64_t version) {
    struct eddy_context *c;
    int r = enter(tx, &c);
    if (r == 0) {
        r = eddy_store_check_name(stream);
    }
    if (r < 0) {
        return r;
    }
    int64_t s = eddy_batch_stream(&tx->batch, &tx->store->arena, stream);
    return s < 0 ? (int)s : eddy_batch_cut(&tx->batch, (uint32_t)s, kind, version);
}

int eddy_tx_append(eddy_tx *tx, eddy_bytes stream, const eddy_new_event *event) {
    return append(tx, stream, event, NULL);
}

int eddy_tx_reserve(eddy_tx *tx, eddy_bytes stream, const eddy_new_event *event, void **data) {
    if (event->data.ptr) {
        return eddy_error_set(EDDY_EINVAL,
                              "eddy_tx_reserve takes a length of data, but no pointer to it");
    }
    *data = NULL;
    return append(tx, stream, event, data);
}

int eddy_tx_put(eddy_tx *tx, unsigned family, eddy_bytes key, const struct eddy_batch_put *put,
                int64_t expected) {
    struct eddy_context *c;
    int r = enter(tx, &c);
    r = r < 0 ? r : check_expected(expected);
    return r < 0 ? r
                 : eddy_batch_put(&tx->batch, &tx->store->arena, family, key, put, expected, true);
}

int eddy_tx_expect_key(eddy_tx *tx, unsigned family, eddy_bytes key, int64_t expected) {
    struct eddy_context *c;
    int r = enter(tx, &c);
    r = r < 0 ? r : check_expected(expected);
    return r < 0 ? r : eddy_batch_expect_key(&tx->batch, &tx->store->arena, family, key, expected);
}

int eddy_tx_expect(eddy_tx *tx, eddy_bytes stream, int64_t expected) {
    struct eddy_context *c;
    int r = enter(tx, &c);
    if (r == 0) {
        r = eddy_store_check_name(stream);
    }
    if (r == 0) {
        r = check_expected(expected);
    }
    if (r < 0) {
        return r;
    }
    int64_t s = eddy_batch_stream(&tx->batch, &tx->store->arena, stream);
    return s < 0 ? (int)s : eddy_batch_expect(&tx->batch, (uint32_t)s, expected);
}

int eddy_tx_key(eddy_tx *tx, eddy_bytes key) {
    struct eddy_context *c;
    int r = enter(tx, &c);
    r = r < 0 ? r : check_key(key);
    if (r == 0 && tx->batch.key_len > 0) {
        r = eddy_error_set(EDDY_EINVAL, "the transaction has a key already");
    }
    return r < 0 ? r : eddy_batch_key(&tx->batch, key);
}

/* A condition says of which events; where to begin, and how many, is no part of it. */
static int check_query(const eddy_select *s) {
    if (s->after_offset || s->to_offset || s->before_offset || s->after_version || s->to_version ||
        s->before_version || s->from_time_ns || s->to_time_ns || s->from_recorded_ns ||
        s->to_recorded_ns || s->limit) {
        return eddy_error_set(EDDY_EINVAL,
                              "a condition has a select with bounds: only stream, prefix, "
                              "types and a shard may be given");
    }
    return s->stream.len > 0 ? eddy_store_check_name(s->stream) : 0;
}

int eddy_tx_expect_none(eddy_tx *tx, const eddy_select *select, uint64_t since) {
    struct eddy_context *c;
    eddy_select s;
    int r = enter(tx, &c);
    if (r == 0) {
        r = eddy_match_take(select, EDDY_SHARD, &s);
    }
    if (r == 0) {
        r = check_query(&s);
    }
    if (r < 0) {
        return r;
    }
    s.after_offset = since;
    return eddy_batch_expect_none(&tx->batch, &tx->store->arena, &s);
}

int eddy_tx_commit(eddy_tx *tx, eddy_result *result) {
    struct eddy_context *c;
    eddy_result own;
    result = result ? result : &own;
    eddy_tx_clear_result(result);
    int r = enter(tx, &c);
    if (r < 0) {
        return r;
    }
    int64_t began = eddy_told_began(tx->store);
    r = eddy_upkeep_commit(c, &tx->batch, eddy_store_now(tx->store), result);
    tx->state = r < 0 ? EDDY_TX_SPENT : EDDY_TX_COMMITTED;
    tx->first_offset = result->first_offset;
    tx->last_offset = result->last_offset;
    tx->repeated = result->repeated;
    r = r < 0 ? refused(r, result) : r;
    return eddy_told(tx->store, began, EDDY_DID_COMMIT, r,
                     tx->repeated ? 0 : tx->batch.events.count, tx->repeated ? 0 : tx->payload);
}

int eddy_tx_placed(const eddy_tx *tx, uint32_t k, uint64_t *offset, uint64_t *version) {
    uint64_t events = tx->first_offset ? tx->last_offset - tx->first_offset + 1 : 0;
    if (tx->state != EDDY_TX_COMMITTED || k >= events) {
        return eddy_error_set(EDDY_EINVAL, "the transaction was not committed, or has no event %u",
                              k);
    }
    if (tx->repeated && version) {
        return eddy_error_set(EDDY_EINVAL, "the transaction repeats another, of which only the "
                                           "offsets are known: read the event");
    }
    if (offset) {
        *offset = tx->first_offset + k;
    }
    if (version) {
        const struct eddy_batch_event *e = &tx->batch.events.at[k];
        *version = tx->batch.streams.at[e->stream].base + e->k + 1;
    }
    return 0;
}

/* What an open transaction owns goes back; a child of the owner leaves it alone. */
static void give_up(eddy_tx *tx) {
    struct eddy_context *c;
    if (tx->state == EDDY_TX_OPEN && tx->batch.pieces.count > 0 &&
        eddy_store_context(tx->store, true, &c) == 0 && tx->life == tx->store->life) {
        eddy_batch_drop(&tx->batch, &c->thread);
    }
}

int eddy_tx_reset(eddy_tx *tx) {
    struct eddy_context *c;
    give_up(tx);
    eddy_batch_clear(&tx->batch);
    tx->state = EDDY_TX_SPENT;
    int r = eddy_store_writer(tx->store, &c);
    if (r == 0) {
        tx->state = EDDY_TX_OPEN;
        tx->life = tx->store->life;
        tx->payload = 0;
    }
    return r;
}

void eddy_tx_free(eddy_tx *tx) {
    if (tx) {
        give_up(tx);
        eddy_batch_fini(&tx->batch);
        free(tx);
    }
}
