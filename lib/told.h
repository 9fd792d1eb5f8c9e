/* What a call gives back to its caller: an error that says something about the store goes into the
 * store's log, and who brought callbacks is told what was done. Behind the call: outside of spans, with
 * no lock. Success, of a handle without callbacks, costs a look at one word. */
#ifndef EDDY_TOLD_H
#define EDDY_TOLD_H

#include "platform.h"
#include "store.h"

enum eddy_did { EDDY_DID_OTHER, EDDY_DID_COMMIT, EDDY_DID_READ, EDDY_DID_SNAPSHOT };

/* When a call began, if somebody wants to be told how long it took; else 0. */
static inline int64_t eddy_told_began(const struct eddy_store *s) {
    return __builtin_expect(s->told, 0) ? eddy_platform_monotonic_ns() : 0;
}

/* For the general case, behind eddy_told(). */
int eddy_told_all(struct eddy_store *store, int64_t began, enum eddy_did did, int result,
                  uint64_t events, uint64_t bytes);

/* Gives back the result. */
static inline int eddy_told(struct eddy_store *s, int64_t began, enum eddy_did did, int r,
                            uint64_t events, uint64_t bytes) {
    return __builtin_expect(r >= 0 && !s->told, 1) ? r
                                                   : eddy_told_all(s, began, did, r, events, bytes);
}

/* Of a call that reads: only EDDY_EVENT, which it gives with an event, and failures. */
static inline int eddy_told_read(struct eddy_store *s, int64_t began, int r,
                                 const eddy_event *event) {
    if (__builtin_expect((r == EDDY_EVENT && !s->told) || r == EDDY_END || r == EDDY_CAUGHT_UP,
                         1)) {
        return r;
    }
    return eddy_told_all(s, began, EDDY_DID_READ, r, 1,
                         r < 0 ? 0 : event->data.len + event->metadata.len);
}

/* A call that is told of only when it fails. */
static inline int eddy_told_failure(struct eddy_store *s, int r) {
    return __builtin_expect(r >= 0, 1) ? r : eddy_told_all(s, 0, EDDY_DID_OTHER, r, 0, 0);
}

/* Events that are to be appended, in bytes of data and metadata. */
static inline uint64_t eddy_told_bytes(const struct eddy_store *s, const eddy_new_event *events,
                                       size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; __builtin_expect(s->told, 0) && i < count; i++) {
        bytes += events[i].data.len + events[i].metadata.len;
    }
    return bytes;
}

/* A reader that follows was opened, or closed. */
void eddy_told_subscription(struct eddy_store *store, int64_t change);

#endif
