#include "names.h"

#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_room(struct names *names, uint64_t count) {
    *names = (struct names){.room = count};
    names->list = calloc(count, sizeof(*names->list));
    names->versions = calloc(count, sizeof(*names->versions));
    if (names->list && names->versions) {
        return 0;
    }
    names_destroy(names);
    return bench_error("no memory for the names of %llu streams", (unsigned long long)count);
}

/* The text may move while it grows, so places in it are set when it is whole. */
static int add_name(struct names *names, const char *bytes, size_t len) {
    if (names->text_len + len > names->text_room) {
        size_t room = 2 * names->text_room + 4096;
        char *text = realloc(names->text, room);
        if (!text) {
            return -1;
        }
        names->text = text;
        names->text_room = room;
    }
    memcpy(names->text + names->text_len, bytes, len);
    names->text_len += len;
    names->list[names->count++].len = len;
    return 0;
}

static void set_places(struct names *names) {
    size_t at = 0;
    for (uint64_t i = 0; i < names->count; i++) {
        names->list[i].ptr = names->text + at;
        at += names->list[i].len;
    }
}

int names_create(struct names *names, uint64_t count) {
    if (take_room(names, count) != 0) {
        return -1;
    }
    for (uint64_t i = 0; i < count; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "bench-%07llu", (unsigned long long)i);
        if (add_name(names, text, (size_t)len) != 0) {
            names_destroy(names);
            return bench_error("no memory for the names of %llu streams",
                               (unsigned long long)count);
        }
    }
    set_places(names);
    return 0;
}

static int take_name(void *arg, const eddy_stream_facts *facts) {
    struct names *names = arg;
    if (facts->count == 0) {
        return 0;
    }
    names->versions[names->count].first = facts->first_version;
    names->versions[names->count].last = facts->version;
    return add_name(names, facts->name, facts->name_len) != 0 || names->count == names->room;
}

int names_read(struct names *names, eddy_store *store, uint64_t most) {
    if (take_room(names, most) != 0) {
        return -1;
    }
    /* In pages, as any program would that may meet a store of millions of streams. */
    eddy_bytes after = eddy_mem(NULL, 0);
    uint64_t before = 0;
    do {
        before = names->count;
        int64_t got = eddy_streams(store, eddy_mem(NULL, 0), after, 10000, take_name, names);
        if (got < 0) {
            names_destroy(names);
            return bench_error("the store does not tell its streams: %s", eddy_errmsg());
        }
        if (names->count > before) {
            size_t len = names->list[names->count - 1].len;
            after = eddy_mem(names->text + names->text_len - len, len);
        }
    } while (names->count > before && names->count < names->room);
    set_places(names);
    return 0;
}

void names_destroy(struct names *names) {
    free(names->list);
    free(names->versions);
    free(names->text);
    *names = (struct names){.list = NULL};
}
