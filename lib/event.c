#include "event.h"

#include <stdlib.h>

#include "error.h"

int eddy_room_for(struct eddy_room *b, size_t room) {
    if (room > b->room) {
        if (b->fixed) {
            return EDDY_ELIMIT; /* no sentence: it is only tried */
        }
        size_t more = room < 4096 ? 4096 : room + room / 4;
        unsigned char *bytes = realloc(b->bytes, more);
        if (!bytes) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for an event of %zu bytes", room);
        }
        b->bytes = bytes;
        b->room = more;
    }
    return 0;
}

int eddy_event_check_tags(const eddy_bytes *tags, size_t count) {
    if (count > EDDY_TAGS_MAX || (count > 0 && !tags)) {
        return eddy_error_set(EDDY_EINVAL, "%zu tags (at most %u), or no pointer to them", count,
                              EDDY_TAGS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (tags[i].len - 1 >= EDDY_TAG_MAX || !tags[i].ptr) {
            return eddy_error_set(EDDY_EINVAL,
                                  "tag %zu has %zu bytes, or no pointer to them: a tag has 1 to %u",
                                  i + 1, tags[i].len, EDDY_TAG_MAX);
        }
    }
    return 0;
}

uint64_t eddy_event_tags_size(const eddy_new_event *e) {
    uint64_t bytes = 1 + (uint64_t)e->tag_count;
    for (uint32_t i = 0; i < e->tag_count; i++) {
        bytes += e->tags[i].len;
    }
    return bytes;
}

void eddy_event_put_tags(unsigned char *to, const eddy_new_event *e) {
    unsigned char n = (unsigned char)e->tag_count;
    eddy_copy_in(to++, &n, 1);
    for (uint32_t i = 0; i < e->tag_count; i++) {
        n = (unsigned char)e->tags[i].len;
        eddy_copy_in(to, &n, 1);
        to = eddy_event_put(to + 1, e->tags[i]);
    }
}

void eddy_event_parse_tags(const unsigned char *p, uint64_t rest, eddy_event *out) {
    uint64_t at = 1;
    uint32_t n = eddy_copy_field(p);
    for (uint32_t i = 0; i < n && at < rest; i++) {
        at += 1 + (uint64_t)eddy_copy_field(p + at);
    }
    out->tag_count = n;
    out->tags = eddy_mem(p + 1, (at < rest ? at : rest) - 1);
}

eddy_bytes eddy_tag(const eddy_event *e, uint32_t k) {
    const unsigned char *p = e->tags.ptr;
    const unsigned char *end = p + e->tags.len;
    for (; p < end && (size_t)(end - p) > *p; p += 1 + *p) {
        if (k-- == 0) {
            return eddy_mem(p + 1, *p);
        }
    }
    return eddy_mem(NULL, 0);
}

bool eddy_event_tags_whole(eddy_bytes tags, uint32_t count) {
    const unsigned char *p = tags.ptr;
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (at >= tags.len || p[at] == 0) {
            return false;
        }
        at += 1 + p[at];
    }
    return at == tags.len && count <= EDDY_TAGS_MAX;
}

int eddy_event_damaged(uint64_t ref) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the event at byte %llu of the store is damaged: run "
                          "`eddy check`",
                          (unsigned long long)ref);
}

int eddy_event_read(const struct eddy_view *v, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *room, eddy_event *event, struct eddy_event_more *more) {
    return eddy_event_read_inline(v, slot, ref, room, event, more);
}
