#include "unit_twin.h"

#include "support/cr_must.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_bytes(FILE *to, const char *what, eddy_bytes b) {
    const unsigned char *p = b.ptr;
    fprintf(to, " %s=%zu:", what, b.len);
    for (size_t i = 0; i < b.len; i++) {
        fprintf(to, "%02x", p[i]);
    }
}

static void put_event(FILE *to, const eddy_event *e) {
    fprintf(to,
            "event %" PRIu64 " v%" PRIu64 " time=%" PRId64 " recorded=%" PRId64 " shard=%" PRIu64
            " flags=%u tx=%" PRIu64 "+%u",
            e->offset, e->version, e->time_ns, e->recorded_ns, e->shard, e->flags, e->tx_offset,
            e->tx_count);
    put_bytes(to, "stream", e->stream);
    put_bytes(to, "type", e->type);
    put_bytes(to, "id", e->id);
    put_bytes(to, "data", e->data);
    put_bytes(to, "metadata", e->metadata);
    put_bytes(to, "tags", e->tags);
    fputc('\n', to);
}

static void put_events(FILE *to, eddy_store *store) {
    eddy_reader *reader;
    eddy_event e;
    int got;
    must(eddy_reader_open(store, NULL, &reader));
    while ((got = eddy_reader_next(reader, &e)) == EDDY_EVENT) {
        put_event(to, &e);
    }
    cr_assert_eq(got, EDDY_END, "%s", eddy_errmsg());
    eddy_reader_close(reader);
}

static int put_stream(void *arg, const eddy_stream_facts *f) {
    FILE *to = arg;
    fprintf(to,
            "version=%" PRIu64 " count=%" PRIu64 " first=%" PRIu64 " at %" PRIu64 " last %" PRIu64
            " bytes=%" PRIu64,
            f->version, f->count, f->first_version, f->first_offset, f->last_offset, f->bytes);
    put_bytes(to, "stream", eddy_mem(f->name, f->name_len));
    fputc('\n', to);
    return 0;
}

static int put_checkpoint(void *arg, const eddy_checkpoint *c) {
    FILE *to = arg;
    fprintf(to,
            "offset=%" PRIu64 " revision=%" PRIu64 " time=%" PRId64 " recorded=%" PRId64
            " shard=%" PRIu64 " flags=%u",
            c->offset, c->revision, c->time_ns, c->recorded_ns, c->shard, c->flags);
    put_bytes(to, "checkpoint", eddy_mem(c->name, c->name_len));
    fputc('\n', to);
    return 0;
}

static int put_state(void *arg, const eddy_state *s) {
    FILE *to = arg;
    fprintf(to,
            "version=%" PRIu64 " shard=%" PRIu64 " revision=%" PRIu64 " time=%" PRId64
            " recorded=%" PRId64,
            s->version, s->shard, s->revision, s->time_ns, s->recorded_ns);
    put_bytes(to, "state", s->key);
    put_bytes(to, "data", s->data);
    put_bytes(to, "metadata", s->metadata);
    fputc('\n', to);
    return 0;
}

static int put_shard(void *arg, const eddy_shard_facts *f) {
    fprintf(arg, "shard %" PRIu64 " newest=%" PRId64 " last=%" PRIu64 "\n", f->shard,
            f->newest_time_ns, f->last_offset);
    return 0;
}

struct of_stream {
    FILE *to;
    eddy_store *store;
};

static int put_snapshots(void *arg, const eddy_stream_facts *f) {
    const struct of_stream *o = arg;
    must(eddy_snapshots(o->store, eddy_mem(f->name, f->name_len), 0, SIZE_MAX, put_state, o->to));
    return 0;
}

static void put_facts(FILE *to, eddy_store *store) {
    eddy_facts f = {.size = sizeof f};
    eddy_limits l = EDDY_LIMITS_INIT;
    eddy_counts k = {.size = sizeof k};
    must(eddy_info(store, &f));
    must(eddy_limits_get(store, &l));
    must(eddy_stats(store, &k));
    fprintf(to,
            "head=%" PRIu64 " first=%" PRIu64 " events=%" PRIu64 " bytes=%" PRIu64
            " streams=%" PRIu64 " transactions=%" PRIu64 " recorded=%" PRId64 " names=%" PRIu64
            " held=%" PRIu64 "\n",
            f.head, f.first, f.events, f.bytes, f.streams, f.transactions, f.recorded_ns, f.names,
            f.held);
    fprintf(to,
            "limits %x %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRId64
            " appended=%" PRIu64 " bytes=%" PRIu64 "\n",
            l.flags, l.events, l.bytes, l.streams, l.stream_events, l.names, l.age_ns,
            k.events_appended, k.bytes_appended);
}

static int next_of(eddy_reader *reader, char *text, size_t room) {
    eddy_event e;
    int got = eddy_reader_next(reader, &e);
    FILE *to = fmemopen(text, room, "w");
    cr_assert(got == EDDY_EVENT || got == EDDY_END, "%s", eddy_errmsg());
    if (got == EDDY_EVENT) {
        put_event(to, &e);
    }
    fclose(to);
    return got;
}

void twin_assert_same_events(eddy_store *one, eddy_store *other) {
    enum { ROOM = 1 << 20 };
    static char text[2][ROOM];
    eddy_select select = EDDY_SELECT_INIT;
    eddy_facts f = {.size = sizeof f};
    eddy_reader *reader[2];
    int got;
    must(eddy_info(one, &f));
    select.to_offset = f.head;
    must(eddy_reader_open(one, &select, &reader[0]));
    must(eddy_reader_open(other, &select, &reader[1]));
    do {
        text[0][0] = text[1][0] = 0;
        got = next_of(reader[0], text[0], ROOM);
        if (f.head > 0) {
            cr_assert_eq(next_of(reader[1], text[1], ROOM), got);
        }
        cr_assert_str_eq(text[0], text[1]);
    } while (got == EDDY_EVENT);
    eddy_reader_close(reader[0]);
    eddy_reader_close(reader[1]);
}

char *twin_text(eddy_store *store) {
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    cr_assert_not_null(to);
    put_facts(to, store);
    put_events(to, store);
    must(eddy_streams(store, eddy_str(""), eddy_str(""), SIZE_MAX, put_stream, to));
    must(eddy_checkpoints(store, eddy_str(""), put_checkpoint, to));
    must(eddy_states(store, eddy_str(""), eddy_str(""), SIZE_MAX, put_state, to));
    must(eddy_shards(store, put_shard, to));
    struct of_stream all = {to, store};
    must(eddy_streams(store, eddy_str(""), eddy_str(""), SIZE_MAX, put_snapshots, &all));
    fclose(to);
    return text;
}

void twin_assert_same(eddy_store *one, eddy_store *other) {
    char *a = twin_text(one);
    char *b = twin_text(other);
    size_t at = 0;
    size_t line = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
        at = i + 1;
        line = a[i] == '\n' ? i + 1 : line;
    }
    cr_assert(a[at] == b[at], "one says\n%.300s\nand the other\n%.300s", a + line, b + line);
    free(a);
    free(b);
}
