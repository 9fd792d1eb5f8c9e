/* A select that was kept has all its bytes in one piece: the lists first, then what they lead to. */
#include "match.h"

#include <stddef.h>
#include <stdlib.h>

#include "error.h"
#include "event.h"

enum { TYPES_MAX = 4096 };

static int check(const eddy_select *s, uint32_t flags) {
    if (s->flags & ~flags) {
        return eddy_error_set(EDDY_EINVAL, "a select has unknown flags (%#x)", s->flags & ~flags);
    }
    if (s->stream.len == 0 &&
        (s->after_version || s->to_version || s->before_version || (s->flags & EDDY_KNOWN))) {
        return eddy_error_set(EDDY_EINVAL, "a select by version, or of a known stream, needs a "
                                           "stream");
    }
    if (s->prefix.len > EDDY_STREAM_MAX || s->type_count > TYPES_MAX ||
        (s->type_count > 0 && !s->types)) {
        return eddy_error_set(EDDY_EINVAL,
                              "a select has a prefix of %zu bytes (at most %u), or %zu "
                              "types (at most %u), or no pointer to them",
                              s->prefix.len, EDDY_STREAM_MAX, s->type_count, TYPES_MAX);
    }
    for (size_t i = 0; i < s->type_count; i++) {
        if (s->types[i].len > EDDY_TYPE_MAX || (s->types[i].len > 0 && !s->types[i].ptr)) {
            return eddy_error_set(EDDY_EINVAL, "a type of a select is too long, or has no bytes");
        }
    }
    return eddy_event_check_tags(s->tags, s->tag_count);
}

int eddy_match_take(const eddy_select *given, uint32_t flags, eddy_select *select) {
    *select = (eddy_select)EDDY_SELECT_INIT;
    if (!given) {
        return 0;
    }
    if (given->size < offsetof(eddy_select, stream) || given->size > sizeof *select) {
        return eddy_error_set(EDDY_EINVAL,
                              "a select of %u bytes: size must be sizeof(eddy_select), %zu",
                              given->size, sizeof *select);
    }
    memcpy(select, given, given->size);
    select->size = sizeof *select;
    return check(select, flags);
}

static eddy_bytes keep(unsigned char **at, eddy_bytes b) {
    eddy_bytes kept = eddy_mem(*at, b.len);
    if (b.len > 0) {
        memcpy(*at, b.ptr, b.len);
    }
    *at += b.len;
    return kept;
}

static size_t bytes_of(const eddy_bytes *list, size_t count) {
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += list[i].len;
    }
    return bytes;
}

static void keep_list(unsigned char **at, eddy_bytes *kept, const eddy_bytes *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        kept[i] = keep(at, list[i]);
    }
}

void *eddy_match_keep(eddy_select *s) {
    size_t lists = (s->type_count + s->tag_count) * sizeof(eddy_bytes);
    size_t need = lists + s->stream.len + s->prefix.len + 1;
    need += bytes_of(s->types, s->type_count) + bytes_of(s->tags, s->tag_count);
    unsigned char *bytes = malloc(need);
    if (!bytes) {
        (void)eddy_error_set(EDDY_ENOMEM, "no memory for a select");
        return NULL;
    }
    eddy_bytes *kept = (eddy_bytes *)(void *)bytes;
    unsigned char *at = bytes + lists;
    keep_list(&at, kept, s->types, s->type_count);
    keep_list(&at, kept + s->type_count, s->tags, s->tag_count);
    s->types = kept;
    s->tags = kept + s->type_count;
    s->stream = keep(&at, s->stream);
    s->prefix = keep(&at, s->prefix);
    return bytes;
}
