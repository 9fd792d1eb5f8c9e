/* What the tests of the contract share. What a read gives is compared as text, so that a row reads in
 * the test as it does in the list: the versions "3 4 5 6". For the body of a test only. */
#ifndef CONTRACT_H
#define CONTRACT_H

#include "eddy.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <stdio.h>
#include <string.h>

/* ---- stores ---- */

/* A new store whose clock gives *now, which the test sets as it likes; gone with the test. */
eddy_store *store_with_clock(int64_t *now);
eddy_facts facts_of(eddy_store *store);
eddy_counts counts_of(eddy_store *store);

/* ---- writing: what is given as C strings; must succeed ---- */

eddy_new_event event_of(const char *type, const char *data);
/* One event without a type, of that data. */
void put(eddy_store *store, const char *stream, const char *data);
/* The same, of that event time and shard. */
void put_at(eddy_store *store, const char *stream, const char *data, int64_t time_ns,
            uint64_t shard);
/* So many events in one transaction, of the data "1", "2", ... */
void put_many(eddy_store *store, const char *stream, unsigned count);
/* Appends one event if the version is as expected: what eddy_append() gives. */
int put_expecting(eddy_store *store, const char *stream, int64_t expected, eddy_result *result);

/* ---- reading ---- */

/* What is said of each event that a read gives. */
enum what { VERSION, OFFSET, STREAM, DATA, ID, PLACE /* "stream:version" */, TIME };

eddy_select select_all(void);
eddy_select select_stream(const char *stream);

/* All that a select gives now, one word an event. Where events are gone that were to be read, it has
 * "(3..4 gone)"; an error ends it with its name. Valid until the next call but seven. */
const char *read_text(eddy_store *store, const eddy_select *select, enum what what);
/* The same of the next `count` events of a reader that is open, and where it ends, or has no more, before
 * that, "end" or "caught-up". Waits for each for up to half a minute if the reader follows. */
const char *next_text(eddy_reader *reader, unsigned count, enum what what);
/* The names of streams, as eddy_streams() gives them. */
const char *streams_text(eddy_store *store, const char *prefix, const char *after, size_t limit);

#define reads(store, select, what, text)                                                           \
    do {                                                                                           \
        const char *reads_text_ = read_text(store, select, what);                                  \
        cr_assert_str_eq(reads_text_, text, "reads '%s', not '%s'", reads_text_, text);            \
    } while (0)

#define reads_next(reader, count, what, text)                                                      \
    do {                                                                                           \
        const char *reads_text_ = next_text(reader, count, what);                                  \
        cr_assert_str_eq(reads_text_, text, "reads '%s', not '%s'", reads_text_, text);            \
    } while (0)

#define lists(store, prefix, after, limit, text)                                                   \
    do {                                                                                           \
        const char *lists_text_ = streams_text(store, prefix, after, limit);                       \
        cr_assert_str_eq(lists_text_, text, "lists '%s', not '%s'", lists_text_, text);            \
    } while (0)

eddy_reader *open_reader(eddy_store *store, const eddy_select *select);
eddy_position position_of(eddy_reader *reader);
/* The last event of a stream: 1 and the event (in the buffer), EDDY_ENOENT, or another error. */
int latest(eddy_store *store, const char *stream, eddy_event *event, char *data, size_t room);

#endif
