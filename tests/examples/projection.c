/* A projection: it follows the events of all orders, keeps a total for each customer, and says so when one
 * has spent enough. Its state, its follow-up event and how far it has come change at one instant, so each
 * order counts exactly once, whenever the program is killed and begun again. */
#include "example.h"

enum { LARGE = 100 };

/* What is to be counted. */
static void place_order(eddy_store *store, const char *customer, const char *amount) {
    char stream[64];
    snprintf(stream, sizeof stream, "order-%s", customer);
    eddy_new_event event = {.type = eddy_str("placed"), .data = eddy_str(amount)};
    must(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
}

static long total_of(eddy_store *store, eddy_bytes customer, eddy_buffer *buffer) {
    eddy_state state;
    int got = eddy_state_get(store, customer, buffer, &state);
    char text[32] = "0";
    if (got != EDDY_ENOENT) {
        must(got);
        snprintf(text, sizeof text, "%.*s", SHOW(state.data));
    }
    return atol(text);
}

/* One event: the new total, perhaps an event, and the offset, all or nothing. */
static int project(eddy_store *store, const eddy_event *e, eddy_tx *tx, eddy_buffer *buffer) {
    char amount[32];
    char text[32];
    eddy_bytes customer = e->stream;
    snprintf(amount, sizeof amount, "%.*s", SHOW(e->data));
    long before = total_of(store, customer, buffer);
    long after = before + atol(amount);
    snprintf(text, sizeof text, "%ld", after);
    eddy_new_state state = {.data = eddy_str(text), .version = e->version};
    must(eddy_tx_reset(tx));
    must(eddy_tx_state(tx, customer, EDDY_ANY, &state));
    if (before < LARGE && after >= LARGE) {
        eddy_new_event large = {.type = eddy_str("large customer"), .data = customer};
        must(eddy_tx_append(tx, eddy_str("customers"), &large));
    }
    /* Two that run at once (the old one was not dead after all): one of them conflicts. */
    eddy_checkpoint at;
    int known = eddy_checkpoint_get(store, eddy_str("totals"), 0, &at);
    eddy_new_checkpoint next = {.name = eddy_str("totals"), .offset = e->offset};
    must(eddy_tx_checkpoint_set(tx, &next, known < 0 ? EDDY_NONE : (int64_t)at.revision));
    return eddy_tx_commit(tx, NULL);
}

/* Begins where it was, and goes on as long as there is something, or for so many events. */
static void run(eddy_store *store, int events) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_buffer *buffer = eddy_buffer_create();
    eddy_checkpoint at;
    eddy_reader *reader;
    eddy_event e;
    eddy_tx *tx;
    select.prefix = eddy_str("order-");
    if (eddy_checkpoint_get(store, eddy_str("totals"), 0, &at) == 0) {
        select.after_offset = at.offset;
    }
    say("begins behind %llu", (unsigned long long)select.after_offset);
    must(eddy_reader_open(store, &select, &reader));
    must(eddy_tx_begin(store, &tx));
    while (events-- > 0 && must(eddy_reader_next(reader, &e)) == EDDY_EVENT) {
        must(project(store, &e, tx, buffer));
    }
    eddy_tx_free(tx);
    eddy_reader_close(reader);
    eddy_buffer_destroy(buffer);
}

static void show(eddy_store *store, const char *stream) {
    eddy_buffer *buffer = eddy_buffer_create();
    say("%s: %ld", stream, total_of(store, eddy_str(stream), buffer));
    eddy_buffer_destroy(buffer);
}

static int show_event(eddy_store *store) {
    eddy_select select = EDDY_SELECT_INIT;
    eddy_reader *reader;
    eddy_event e;
    int count = 0;
    select.stream = eddy_str("customers");
    must(eddy_reader_open(store, &select, &reader));
    while (must(eddy_reader_next(reader, &e)) == EDDY_EVENT) {
        say("%.*s: %.*s", SHOW(e.type), SHOW(e.data));
        count++;
    }
    eddy_reader_close(reader);
    return count;
}

int main(void) {
    eddy_store *store = example_open("projection");
    place_order(store, "ada", "60");
    place_order(store, "bob", "30");
    run(store, 1); /* and is ended */
    place_order(store, "ada", "50");
    run(store, 100);
    place_order(store, "ada", "5");
    run(store, 100);
    show(store, "order-ada");
    show(store, "order-bob");
    show_event(store);
    example_close(store, "projection");
    return said("begins behind 0\n"
                "begins behind 1\n"
                "begins behind 3\n"
                "order-ada: 115\n"
                "order-bob: 30\n"
                "large customer: order-ada\n");
}
