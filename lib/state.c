/* States: what eddy.h declares of them. */
#include <string.h>

#include "entries.h"
#include "error.h"
#include "reader.h"
#include "tx.h"

enum { PAGE = 65536 };

static int check_key(eddy_bytes key) {
    return eddy_entries_check_name(key, "a state's key");
}

int eddy_state_put(eddy_store *store, eddy_bytes key, int64_t expected, const eddy_new_state *state,
                   eddy_result *result) {
    struct eddy_batch_put put;
    int r = check_key(key);
    r = r < 0 ? r : eddy_entries_check_state(state, &put);
    return r < 0 ? r : eddy_entries_change(store, EDDY_FAMILY_STATE, key, &put, expected, result);
}

int eddy_state_delete(eddy_store *store, eddy_bytes key, int64_t expected, eddy_result *result) {
    struct eddy_batch_put put = {.what = EDDY_PUT_DELETE};
    int r = check_key(key);
    return r < 0 ? r : eddy_entries_change(store, EDDY_FAMILY_STATE, key, &put, expected, result);
}

int eddy_tx_state(eddy_tx *tx, eddy_bytes key, int64_t expected, const eddy_new_state *state) {
    struct eddy_batch_put put;
    int r = check_key(key);
    r = r < 0 ? r : eddy_entries_check_state(state, &put);
    return r < 0 ? r : eddy_tx_put(tx, EDDY_FAMILY_STATE, key, &put, expected);
}

int eddy_tx_state_delete(eddy_tx *tx, eddy_bytes key, int64_t expected) {
    struct eddy_batch_put put = {.what = EDDY_PUT_DELETE};
    int r = check_key(key);
    return r < 0 ? r : eddy_tx_put(tx, EDDY_FAMILY_STATE, key, &put, expected);
}

int eddy_tx_expect_state(eddy_tx *tx, eddy_bytes key, int64_t expected) {
    int r = check_key(key);
    return r < 0 ? r : eddy_tx_expect_key(tx, EDDY_FAMILY_STATE, key, expected);
}

static int find(eddy_store *store, eddy_bytes key, eddy_buffer *buffer, eddy_state *state) {
    struct eddy_key found;
    struct eddy_room *room = eddy_buffer_room(buffer);
    int r = eddy_entries_get(store, EDDY_FAMILY_STATE, key, &found, room);
    if (r == 1) {
        eddy_entries_give(&found, room, found.name_len, state);
    }
    return r;
}

int eddy_state_get(eddy_store *store, eddy_bytes key, eddy_buffer *buffer, eddy_state *state) {
    int r = check_key(key);
    r = r < 0 ? r : find(store, key, buffer, state);
    return r == 1   ? 0
           : r == 0 ? eddy_error_set(EDDY_ENOENT, "there is no state '%.*s'", (int)key.len,
                                     (const char *)key.ptr)
                    : r;
}

/* Calls fn for the states of a page, as they are now: as eddy_states(), but 1 if fn wants no more. */
static int give_page(eddy_store *store, const struct eddy_entries_names *page, eddy_buffer *buffer,
                     int (*fn)(void *arg, const eddy_state *state), void *arg, int64_t *calls) {
    for (size_t i = 0; i < page->count; i++) {
        eddy_state state;
        int r = find(store, eddy_mem(page->at[i]->bytes, page->at[i]->len), buffer, &state);
        if (r < 0) {
            return r;
        }
        *calls += r;
        if (r == 1 && fn(arg, &state) != 0) {
            return 1;
        }
    }
    return 0;
}

int64_t eddy_states(eddy_store *store, eddy_bytes prefix, eddy_bytes after, size_t limit,
                    int (*fn)(void *arg, const eddy_state *state), void *arg) {
    unsigned char last[EDDY_KEY_MAX];
    struct eddy_entries_names page = {0};
    int64_t calls = 0;
    int r = 0;
    eddy_buffer *buffer = eddy_buffer_create();
    if (!buffer) {
        return eddy_error_set(EDDY_ENOMEM, "no memory for a list of states");
    }
    bool more = true;
    while (r == 0 && more && (uint64_t)calls < limit) {
        size_t most = limit - (size_t)calls < PAGE ? limit - (size_t)calls : PAGE;
        r = eddy_entries_page(store, EDDY_FAMILY_STATE, prefix, after, most, &page);
        r = r < 0 ? r : give_page(store, &page, buffer, fn, arg, &calls);
        more = r == 0 && page.count == most;
        if (more) {
            const struct eddy_entries_name *n = page.at[page.count - 1];
            memcpy(last, n->bytes, n->len);
            after = eddy_mem(last, n->len);
        }
    }
    eddy_entries_free(&page);
    eddy_buffer_destroy(buffer);
    return r < 0 ? r : calls;
}
