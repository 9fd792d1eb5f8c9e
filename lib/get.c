/* Single reads: a reader that is used for one number at a time. */
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "reader.h"
#include "told.h"

struct eddy_buffer {
    struct eddy_reader reader;
};

eddy_buffer *eddy_buffer_create(void) {
    return calloc(1, sizeof(eddy_buffer));
}

struct eddy_room *eddy_buffer_room(eddy_buffer *b) {
    return &b->reader.buffer;
}

void eddy_buffer_destroy(eddy_buffer *b) {
    if (b) {
        free(b->reader.buffer.bytes);
        eddy_instant_fini(&b->reader.instant);
        free(b);
    }
}

/* Makes the buffer's reader one of this store, and of this stream or of everything. */
static void turn_to(eddy_buffer *b, eddy_store *store, eddy_bytes stream) {
    struct eddy_reader *r = &b->reader;
    if (r->store != store || r->life != store->life) {
        r->offsets.off = 0;
        r->name.desc = 0;
    }
    r->store = store;
    r->life = store->life;
    r->slot = UINT32_MAX;
    r->desc = 0;
    r->versions.off = 0;
    r->select.stream = stream;
    r->indexed = stream.len > 0;
    r->hash = stream.len ? eddy_stream_hash(&store->arena, stream) : 0;
}

static int get(eddy_store *store, eddy_bytes stream, uint64_t number, eddy_buffer *b,
               eddy_event *event) {
    struct eddy_context *c;
    int got = eddy_store_context(store, false, &c);
    if (got < 0) {
        return got;
    }
    if (number == 0) {
        return eddy_error_set(EDDY_EINVAL, "offsets and versions begin with 1");
    }
    turn_to(b, store, stream);
    eddy_rcu_enter(&c->thread.span);
    got = eddy_reader_at(&b->reader, c, number, event);
    eddy_rcu_leave(&c->thread.span);
    if (got == 1) {
        eddy_thread_count(&c->thread, EDDY_COUNT_READ, 1);
    }
    return got;
}

/* What it gives, and who is to be told of it. */
static int give(eddy_store *store, int64_t began, int got, const eddy_event *event) {
    int r = eddy_told_read(store, began, got, event);
    return r < 0 ? r : 0;
}

int eddy_get(eddy_store *store, uint64_t offset, eddy_buffer *b, eddy_event *event) {
    int64_t began = eddy_told_began(store);
    int got = get(store, eddy_mem(NULL, 0), offset, b, event);
    if (got == 0) {
        got = eddy_error_set(EDDY_ENOENT, "there is no event at offset %llu",
                             (unsigned long long)offset);
    }
    return give(store, began, got, event);
}

int eddy_get_version(eddy_store *store, eddy_bytes stream, uint64_t version, eddy_buffer *b,
                     eddy_event *event) {
    int64_t began = eddy_told_began(store);
    int got = eddy_store_check_name(stream);
    if (got == 0) {
        got = get(store, stream, version, b, event);
        if (got == 0) {
            got = eddy_error_set(EDDY_ENOENT, "stream '%.*s' has no version %llu", (int)stream.len,
                                 (const char *)stream.ptr, (unsigned long long)version);
        }
    }
    return give(store, began, got, event);
}
