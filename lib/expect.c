/* I1  Conditions are judged before anything of the transaction is planned: nobody's own events or cuts
 *     count.
 */
#include "expect.h"

#include <string.h>

#include "error.h"
#include "keys.h"
#include "query.h"

/* What all conflicts say. */
static void blame(uint32_t i, int64_t expected, uint64_t actual, eddy_bytes name,
                  eddy_result *result) {
    result->first_offset = 0; /* of a try that was lost */
    result->last_offset = 0;
    result->last_version = 0;
    result->recorded_ns = 0;
    result->removed = 0;
    result->revision = 0;
    result->repeated = false;
    result->condition = i;
    result->expected = expected;
    result->actual = actual;
    result->stream_len = (uint32_t)name.len;
    if (name.len > 0) {
        memcpy(result->stream, name.ptr, name.len);
    }
    result->stream[name.len] = 0;
}

/* ---- of a stream ---- */

static int stream_conflict(const struct eddy_batch *b, uint32_t i, eddy_result *result) {
    const struct eddy_batch_condition *k = &b->conditions.at[i];
    blame(i, k->expected, b->streams.at[k->of].base, eddy_batch_name(b, k->of), result);
    unsigned long long actual = (unsigned long long)result->actual;
    if (k->expected == EDDY_EXISTS) {
        return eddy_error_set(EDDY_ECONFLICT, "expected stream '%s' to exist, but it does not",
                              result->stream);
    }
    if (k->expected == EDDY_NONE) {
        return eddy_error_set(EDDY_ECONFLICT,
                              "expected new stream '%s' (version 0) but it is at version %llu",
                              result->stream, actual);
    }
    return eddy_error_set(EDDY_ECONFLICT,
                          "expected version %lld but stream '%s' is at version %llu",
                          (long long)k->expected, result->stream, actual);
}

static int check_stream(const struct eddy_batch *b, uint32_t i, eddy_result *result) {
    const struct eddy_batch_condition *k = &b->conditions.at[i];
    const struct eddy_batch_stream *s = &b->streams.at[k->of];
    return eddy_commit_holds(k->expected, s->base, s->there) ? 0 : stream_conflict(b, i, result);
}

/* ---- of what is under a key ---- */

static int key_conflict(const struct eddy_batch *b, uint32_t i, uint64_t revision,
                        eddy_result *result) {
    const struct eddy_batch_condition *k = &b->conditions.at[i];
    eddy_bytes key = eddy_mem(b->names.at + k->name_at, k->name_len);
    char text[EDDY_KEY_TEXT];
    blame(i, k->expected, revision, eddy_key_plain(k->hash, key), result);
    eddy_key_describe(k->hash, key, text);
    unsigned long long actual = (unsigned long long)revision;
    if (revision == 0) {
        return eddy_error_set(EDDY_ECONFLICT, "expected %s to exist, but it does not", text);
    }
    if (k->expected == EDDY_NONE) {
        return eddy_error_set(EDDY_ECONFLICT, "expected no %s but it is there, of revision %llu",
                              text, actual);
    }
    return eddy_error_set(EDDY_ECONFLICT, "expected revision %lld but %s is of revision %llu",
                          (long long)k->expected, text, actual);
}

static int check_key(const struct eddy_committer *c, const struct eddy_batch *b, uint32_t i,
                     eddy_result *result) {
    const struct eddy_batch_condition *k = &b->conditions.at[i];
    eddy_bytes key = eddy_mem(b->names.at + k->name_at, k->name_len);
    struct eddy_stream_place place;
    int64_t off = eddy_keyed_locate(&c->plan->view, EDDY_BLOCK_ENTRY, key, k->hash, &place);
    if (off < 0) {
        return (int)off;
    }
    const struct eddy_shm_keyed *e = off ? eddy_arena_raw(c->thread->arena, (uint64_t)off) : NULL;
    /* [expect.R1] relaxed: constant since before it was published */
    uint64_t revision = e ? eddy_ld_rlx(&e->number) : 0;
    return eddy_commit_holds(k->expected, revision, e != NULL)
               ? 0
               : key_conflict(b, i, revision, result);
}

/* ---- of what a select would find ---- */

static int check_query(const struct eddy_committer *c, struct eddy_batch *b, uint32_t i,
                       const struct eddy_attempt *t, eddy_result *result) {
    struct eddy_batch_query *q = &b->queries.at[b->conditions.at[i].of];
    struct eddy_query_found found;
    struct eddy_shm_stream *desc = NULL;
    uint64_t since = q->select.after_offset;
    if (since > 0 && since < t->after.floor) {
        blame(i, EDDY_NONE, 0, eddy_mem(NULL, 0), result);
        return eddy_error_set(EDDY_ECONFLICT,
                              "whether an event after offset %llu matches cannot be known: events "
                              "up to %llu are gone",
                              (unsigned long long)since, (unsigned long long)t->after.floor);
    }
    if (q->select.stream.len > 0 && b->streams.at[q->stream].desc != 0) {
        desc = eddy_arena_raw(c->thread->arena, b->streams.at[q->stream].desc);
    }
    int r = eddy_query_look(&c->plan->view, q, desc, &t->after, &found);
    if (r <= 0) {
        return r;
    }
    blame(i, EDDY_NONE, found.offset, eddy_mem(found.stream, found.stream_len), result);
    return eddy_error_set(EDDY_ECONFLICT,
                          "expected no event after offset %llu to match, but event %llu of stream "
                          "'%s' does",
                          (unsigned long long)since, (unsigned long long)found.offset,
                          result->stream);
}

int eddy_expect(const struct eddy_committer *c, struct eddy_batch *b, const struct eddy_attempt *t,
                eddy_result *result) {
    int r = 0;
    for (uint32_t i = 0; r == 0 && i < b->conditions.count; i++) {
        switch (b->conditions.at[i].kind) {
        case EDDY_ON_STREAM:
            r = check_stream(b, i, result);
            break;
        case EDDY_ON_KEY:
            r = check_key(c, b, i, result);
            break;
        default:
            r = check_query(c, b, i, t, result);
            break;
        }
    }
    return r;
}
