/* Large events: up to 1 GiB, the most that one may have, if there is memory for it.
 *
 * usage: stress_large [--short] [--threads] [--seed N]
 *
 * With --short: up to 64 MiB. The memory of what was refused or abandoned must come back. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/options.h"
#include "support/rng.h"
#include "support/sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>

enum { STEP = 4099 };

static unsigned char pattern(uint64_t at, uint64_t seed) {
    return (unsigned char)((at * UINT64_C(0x9e3779b97f4a7c15) + seed) >> 40);
}

static void write_one(eddy_store *store, uint64_t len, uint64_t seed, bool abandon) {
    eddy_tx *tx;
    eddy_new_event event = {.data = eddy_mem(NULL, len)};
    void *place;
    CHECK_OK(eddy_tx_begin(store, &tx));
    CHECK_OK(eddy_tx_reserve(tx, eddy_str("large"), &event, &place));
    for (uint64_t at = 0; at < len; at += STEP) {
        ((unsigned char *)place)[at] = pattern(at, seed);
    }
    ((unsigned char *)place)[len - 1] = pattern(len - 1, seed);
    if (!abandon) {
        CHECK_OK(eddy_tx_commit(tx, NULL));
    }
    eddy_tx_free(tx);
}

static void check_one(eddy_store *store, uint64_t offset, uint64_t len, uint64_t seed) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event event;
    select.flags = EDDY_BORROW;
    select.after_offset = offset - 1;
    CHECK_OK(eddy_reader_open(store, &select, &reader));
    CHECK_EQ(eddy_reader_next(reader, &event), EDDY_EVENT);
    CHECK_EQ(event.data.len, len);
    const unsigned char *bytes = event.data.ptr;
    for (uint64_t at = 0; at < len; at += STEP) {
        CHECK(bytes[at] == pattern(at, seed));
    }
    CHECK(bytes[len - 1] == pattern(len - 1, seed));
    CHECK_EQ(eddy_reader_holds(reader), 1);
    eddy_reader_close(reader);
}

static bool there_is_memory(uint64_t bytes) {
    struct statvfs facts;
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    CHECK(file);
    char line[128];
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) {
            break;
        }
    }
    fclose(file);
    return kib * 1024 > bytes && statvfs("/dev/shm", &facts) == 0 &&
           facts.f_bavail * facts.f_frsize > bytes;
}

int main(int argc, char **argv) {
    struct stress_options options = {.rounds = 12, .short_rounds = 12, .workers = 1};
    stress_options_parse(argc, argv, &options);
    uint64_t most = options.is_short ? UINT64_C(64) << 20 : EDDY_EVENT_MAX;
    if (!there_is_memory(most * 5)) {
        printf("skipped: there is not enough memory\n");
        return 0;
    }
    struct rng rng = rng_make(77);
    eddy_store *store = sandbox_anonymous_of(most * 4);
    uint64_t offset = 0;
    uint64_t written = 0;
    for (uint64_t i = 0; i < options.rounds; i++) {
        uint64_t len = i == 3 ? most : (UINT64_C(1) << 16) + rng_below(&rng, most / 8);
        uint64_t seed = rng_next(&rng);
        write_one(store, len, seed, true);
        write_one(store, len, seed, true);
        write_one(store, len, seed, false);
        check_one(store, ++offset, len, seed);
        written += len;
    }
    sandbox_check(store);
    printf("%" PRIu64 " bytes in %" PRIu64 " events, up to %" PRIu64 "\n", written, offset, most);
    eddy_close(store);
    return 0;
}
