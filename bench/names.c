#include "names.h"

#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_room(struct names *names, uint64_t count) {
    *names = (struct names){.list = calloc(count, sizeof(struct name)), .room = count};
    return names->list ? 0 : -1;
}

int names_create(struct names *names, uint64_t count) {
    if (take_room(names, count) != 0) {
        return -1;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct name *name = &names->list[i];
        name->len = (uint32_t)snprintf(name->bytes, sizeof(name->bytes), "bench-%07llu",
                                       (unsigned long long)i);
    }
    names->count = count;
    return 0;
}

static int take_name(void *arg, const eddy_stream_facts *facts) {
    struct names *names = arg;
    if (facts->count == 0) {
        return 0;
    }
    struct name *name = &names->list[names->count++];
    memcpy(name->bytes, facts->name, facts->name_len);
    name->len = facts->name_len;
    name->first_version = facts->first_version;
    name->version = facts->version;
    return names->count == names->room;
}

int names_read(struct names *names, eddy_store *store, uint64_t most) {
    if (take_room(names, most) != 0) {
        return bench_error("no memory for the names of %llu streams", (unsigned long long)most);
    }
    if (eddy_streams(store, eddy_mem(NULL, 0), eddy_mem(NULL, 0), SIZE_MAX, take_name, names) < 0) {
        bench_error("the store does not tell its streams: %s", eddy_errmsg());
        names_destroy(names);
        return -1;
    }
    return 0;
}

void names_destroy(struct names *names) {
    free(names->list);
    names->list = NULL;
}
