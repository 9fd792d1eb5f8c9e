/* Selects: whether they can be, copies of them, and whether an event matches one. */
#ifndef EDDY_MATCH_H
#define EDDY_MATCH_H

#include <string.h>

#include "eddy.h"

/* What was given, of this version's size or an older one's (NULL: everything), if it can be: flags are
 * those that are allowed. Its bytes are where they were. 0 or EDDY_EINVAL. Whether its stream may be the
 * name of one is for the caller to check. */
int eddy_match_take(const eddy_select *given, uint32_t flags, eddy_select *select);
/* Lets it point to copies of its bytes, in one piece of memory, to be freed: NULL if there is none. */
void *eddy_match_keep(eddy_select *select);

static inline bool eddy_match_same(eddy_bytes a, eddy_bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool eddy_match_type(const eddy_select *s, eddy_bytes type) {
    for (size_t i = 0; i < s->type_count; i++) {
        if (eddy_match_same(s->types[i], type)) {
            return true;
        }
    }
    return s->type_count == 0;
}

enum eddy_match { EDDY_MATCH, EDDY_SKIP, EDDY_PAST };

/* Does the event match; if not, can a later one? */
static inline enum eddy_match eddy_match(const eddy_select *s, const eddy_event *e) {
    bool back = (s->flags & EDDY_BACKWARD) != 0;
    if (s->to_offset && e->offset > s->to_offset) {
        return back ? EDDY_SKIP : EDDY_PAST;
    }
    if (s->to_recorded_ns && e->recorded_ns > s->to_recorded_ns) {
        return back ? EDDY_SKIP : EDDY_PAST;
    }
    if (e->offset <= s->after_offset ||
        (s->from_recorded_ns && e->recorded_ns < s->from_recorded_ns)) {
        return back ? EDDY_PAST : EDDY_SKIP;
    }
    if ((s->from_time_ns && e->time_ns < s->from_time_ns) ||
        (s->to_time_ns && e->time_ns > s->to_time_ns) ||
        (s->prefix.len > 0 && (e->stream.len < s->prefix.len ||
                               memcmp(e->stream.ptr, s->prefix.ptr, s->prefix.len) != 0)) ||
        ((s->flags & EDDY_SHARD) && !(e->shard == s->shard && (e->flags & EDDY_SHARD_GIVEN))) ||
        !eddy_match_type(s, e->type)) {
        return EDDY_SKIP;
    }
    return EDDY_MATCH;
}

#endif
