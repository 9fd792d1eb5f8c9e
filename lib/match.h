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

/* Has an event this tag? Bytes that are no whole tags are none: a borrowed event may be overwritten. */
static inline bool eddy_match_tag(eddy_bytes tags, eddy_bytes tag) {
    const unsigned char *p = tags.ptr;
    const unsigned char *end = p + tags.len;
    for (; p < end && (size_t)(end - p) > *p; p += 1 + *p) {
        if (eddy_match_same(eddy_mem(p + 1, *p), tag)) {
            return true;
        }
    }
    return false;
}

static inline bool eddy_match_tags(const eddy_select *s, eddy_bytes tags) {
    for (size_t i = 0; i < s->tag_count; i++) {
        if (!eddy_match_tag(tags, s->tags[i])) {
            return false;
        }
    }
    return true;
}

/* Is there such a bound? */
static inline bool eddy_match_from(const eddy_select *s) {
    return s->from_time_ns || (s->flags & EDDY_FROM_GIVEN);
}

static inline bool eddy_match_to(const eddy_select *s) {
    return s->to_time_ns || (s->flags & EDDY_TO_GIVEN);
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
    if ((e->time_ns < s->from_time_ns && eddy_match_from(s)) ||
        (e->time_ns > s->to_time_ns && eddy_match_to(s)) ||
        (s->prefix.len > 0 && (e->stream.len < s->prefix.len ||
                               memcmp(e->stream.ptr, s->prefix.ptr, s->prefix.len) != 0)) ||
        ((s->flags & EDDY_SHARD) && !(e->shard == s->shard && (e->flags & EDDY_SHARD_GIVEN))) ||
        !eddy_match_type(s, e->type) || (s->tag_count > 0 && !eddy_match_tags(s, e->tags))) {
        return EDDY_SKIP;
    }
    return EDDY_MATCH;
}

#endif
