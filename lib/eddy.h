/* eddy: an event store that lives in memory which several processes share.
 *
 * This header is the manual of the C library. What holds for all of it:
 *
 * Words.     A *stream* is a named sequence of events; its events have *versions*, 1, 2, 3, ...
 *            Every event also has an *offset*: 1, 2, 3, ... over the whole store, without a gap.
 *            A *transaction* (tx) appends to any number of streams at one instant, or not at all.
 * Results.   Functions return an int: 0 or more is success, a negative EDDY_E... is not.
 *            eddy_errmsg() has a sentence with the names and numbers, for people.
 * Times.     int64_t nanoseconds since 1970-01-01T00:00:00Z. Deadlines: nanoseconds of
 *            CLOCK_MONOTONIC, see eddy_deadline_ms().
 * Ownership. What is passed in is copied before the call returns. How long something that was
 *            given out stays valid is said at each function.
 * Threads.   eddy_store: any thread, any number at once. eddy_reader, eddy_tx and eddy_buffer: one
 *            thread at a time.
 * Blocking.  Nothing blocks but eddy_reader_wait(); if asked to, an append to a full store
 *            (full_wait_ns), for milliseconds eddy_maintain(EDDY_TRIM), and while somebody is at that,
 *            opening read-only. No call waits for another process: one that
 *            is stopped or killed at any instruction holds up nobody.
 * Fork.      An eddy_store and an eddy_reader work on in the child, which becomes a member of
 *            its own at its first call. An eddy_tx belongs to the process that began it
 *            (EDDY_EFORKED in the child). exec closes everything.
 * Signals.   No function may be called from a signal handler, nor left by longjmp or by
 *            pthread_cancel.
 * Memory.    The library writes no message, installs no signal handler, starts no thread that
 *            was not asked for, and never ends the process. Two things are beyond its reach: a
 *            memory cgroup that kills, and somebody with write access who shrinks the file
 *            under it (impossible for an anonymous store, which is sealed).
 */
#ifndef EDDY_H
#define EDDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define EDDY_API __attribute__((visibility("default")))
#else
#define EDDY_API
#endif

#define EDDY_VERSION_MAJOR 0
#define EDDY_VERSION_MINOR 1
#define EDDY_VERSION_PATCH 0

/* ---- errors -------------------------------------------------------------------------------- */

#define EDDY_EINVAL (-1)     /* an argument is not allowed; nothing was changed */
#define EDDY_ENOENT (-2)     /* there is no such store, stream or event */
#define EDDY_EEXIST (-3)     /* it exists already (a store; a version that is taken) */
#define EDDY_ECONFLICT (-4)  /* a condition of the transaction did not hold; nothing was stored */
#define EDDY_ECORRUPT (-5)   /* the store is damaged; eddy_check() tells more */
#define EDDY_ENOTSTORE (-6)  /* the file is not an eddy store, or was never finished */
#define EDDY_EFULL (-7)      /* no memory left in the store or its file system */
#define EDDY_ELIMIT (-8)     /* a limit would be passed; eddy_errmsg() names it and its value */
#define EDDY_EACCESS (-9)    /* the file's permissions do not allow it */
#define EDDY_ELAYOUT (-10)   /* the store was made by an incompatible version of eddy */
#define EDDY_ETIMEDOUT (-11) /* the deadline passed first */
#define EDDY_ELAPPED (-12)   /* events that were to be read are gone; the position says which */
#define EDDY_ECLOSED (-13)   /* the handle was shut down */
#define EDDY_EFORKED (-14)   /* the transaction belongs to the process that forked this one */
#define EDDY_EREADONLY (-15) /* the handle was opened read-only */
#define EDDY_EAGAIN (-16)    /* a read-only handle found no steady view; try again */
#define EDDY_ENOMEM (-17)    /* this process is out of memory */
#define EDDY_ECANCELED (-18) /* the wait was ended by eddy_reader_wake() */
#define EDDY_ESYS (-19)      /* a system call failed; eddy_errmsg() names it and its reason */

/* One sentence about a code. Static memory, never NULL, any thread. */
EDDY_API const char *eddy_strerror(int code);
/* The code's name, as "EDDY_EFULL": a stable token for scripts. Static memory, never NULL. */
EDDY_API const char *eddy_errname(int code);
/* What the last failed call of this thread had to say: the thing, the cause and the cure. Valid
 * until this thread's next call that fails. Never NULL; "" if none has failed. */
EDDY_API const char *eddy_errmsg(void);

/* "0.1.0". Static memory. */
EDDY_API const char *eddy_version(void);

/* ---- bytes --------------------------------------------------------------------------------- */

/* Some bytes; not ended by a zero. ptr may be NULL when len is 0. */
typedef struct eddy_bytes {
    const void *ptr;
    size_t len;
} eddy_bytes;

static inline eddy_bytes eddy_mem(const void *ptr, size_t len) {
    eddy_bytes b;
    b.ptr = ptr;
    b.len = len;
    return b;
}

/* The bytes of a C string; NULL gives no bytes. */
static inline eddy_bytes eddy_str(const char *s) {
    size_t n = 0;
    while (s && s[n]) {
        n++;
    }
    return eddy_mem(s, n);
}

/* ---- store --------------------------------------------------------------------------------- */

typedef struct eddy_store eddy_store;

#define EDDY_MUST_EXIST 0x1u /* open: EDDY_ENOENT if there is none, rather than make it */
#define EDDY_EXCLUSIVE 0x2u  /* open: EDDY_EEXIST if there is one */
#define EDDY_READ_ONLY 0x4u  /* map for reading only; takes no slot; works on a 0444 file */
#define EDDY_ANONYMOUS 0x8u  /* a new store in a memfd, without a name; the name is ignored */
#define EDDY_EPHEMERAL 0x10u /* make: the store ends with the last process that has it open */

#define EDDY_CAP_DEFAULT (UINT64_C(64) << 30)
#define EDDY_CAP_MIN (UINT64_C(4) << 20)
#define EDDY_CAP_MAX (UINT64_C(1) << 44)

/* For who brings a collector of metrics: what the calls of a handle have done. Each function is called
 * behind the call that it tells of, by the same thread, with no lock held; it may call eddy, but must
 * not close the handle. Any may be NULL; without them nothing is measured. ns: how long the call took. */
typedef struct eddy_metrics {
    uint32_t size; /* sizeof(eddy_metrics) */
    uint32_t reserved;
    void *arg; /* the first argument of each */
    /* A transaction was committed, of so many events (0: of other things) and bytes of data and metadata. */
    void (*commit)(void *arg, uint64_t events, uint64_t bytes, int64_t ns);
    /* A call gave so many events, of so many bytes of data and metadata; 0: there was none. */
    void (*read)(void *arg, uint64_t events, uint64_t bytes, int64_t ns);
    /* A condition did not hold. */
    void (*conflict)(void *arg, int64_t ns);
    /* A call failed otherwise; also EDDY_ENOENT, EDDY_ETIMEDOUT, EDDY_ELAPPED. message: during the call. */
    void (*error)(void *arg, int code, const char *message);
    /* A snapshot of the store was written into a file of so many bytes. */
    void (*snapshot)(void *arg, uint64_t bytes, int64_t ns);
    /* A reader that follows was opened (1) or closed (-1). */
    void (*subscription)(void *arg, int64_t change);
} eddy_metrics;

#define EDDY_METRICS_INIT                                                                          \
    { sizeof(eddy_metrics), 0, 0, 0, 0, 0, 0, 0, 0 }

/* How to open a store. Set size to sizeof(eddy_options); zero in any other field is the default.
 * cap, mode, members, threads, reserve and EDDY_EPHEMERAL count only for the call that makes the
 * store. */
typedef struct eddy_options {
    uint32_t size;
    uint32_t flags;
    uint64_t cap;      /* bytes of address space and, at most, of memory: EDDY_CAP_MIN to
                          EDDY_CAP_MAX; default EDDY_CAP_DEFAULT. Memory is taken as it is needed */
    uint32_t mode;     /* permission bits of the file, whatever the umask; default 0600 */
    uint32_t members;  /* processes at once, 2 to 1024; default 128 */
    uint32_t threads;  /* threads inside the library at once, over all processes, 2 to 8000;
                          default 256 */
    uint32_t reserved; /* must be 0 */
    const char *dir;   /* where names live; default $EDDY_DIR, else /dev/shm */
    int64_t (*clock)(void *arg); /* the time of recording; default CLOCK_REALTIME. Called with no
                                    lock held; must not call eddy */
    void *clock_arg;
    uint64_t reserve;     /* bytes of memory to take at once, when the store is made, rather than as
                         events come; at most cap; default: about a megabyte */
    int64_t full_wait_ns; /* how long a call of this handle that finds the store full may wait for
                             somebody to make room, before it gives EDDY_EFULL; default 0: not at
                             all. Only then does an append block */
    const eddy_metrics *metrics; /* copied; NULL: none */
} eddy_options;

#define EDDY_OPTIONS_INIT                                                                          \
    { sizeof(eddy_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Opens the store `name` and gives its handle in *out, to be closed by eddy_close(). Made if it is
 * missing, unless the flags say otherwise; nobody ever sees a half-made one. Opening is also the
 * recovery after a crash: there is no other. A store may be opened any number of times.
 *
 * A store is kept until it is removed, unless it was made with EDDY_EPHEMERAL: then its name and its
 * memory go when the last handle on it is closed, by eddy_close() or with its process. If that process
 * was killed, they go when eddy is next used there (by opening the store, by making another in that
 * directory, by eddy_list()). Nobody ever sees what was in it: who opens it finds no store, and makes a
 * new one. Any handle keeps it, also a read-only one; so does a fork's child, until it closes the
 * handle, calls exec or ends, and so does whoever was given eddy_store_fd(). An anonymous store is
 * always so, since it has no name: its memory goes at once.
 *
 * name: a name (1 to 200 bytes without '/', kept in the options' dir); a path, which starts with
 * "/", "./" or "../"; "fd:N", an open descriptor (not taken over); "pid:N/fd:M", a descriptor of
 * another process; NULL: $EDDY_STORE, else "default". options may be NULL.
 *
 * Errors: EDDY_EINVAL (name, options), EDDY_ENOENT, EDDY_EEXIST, EDDY_EACCESS, EDDY_ENOTSTORE,
 * EDDY_ELAYOUT, EDDY_ECORRUPT, EDDY_EFULL (the file system), EDDY_ELIMIT (all member slots are
 * taken by living processes), EDDY_EAGAIN (of an ephemeral one: it is being ended, by a process that was
 * stopped in the midst of that), EDDY_ENOMEM, EDDY_ESYS. *out is NULL then. */
EDDY_API int eddy_open(eddy_store **out, const char *name, const eddy_options *options);

/* Closes the handle; NULL is allowed. All its readers and transactions must have been closed, and
 * no other thread may be inside the library with it. The store stays, unless it is ephemeral. */
EDDY_API void eddy_close(eddy_store *store);

/* From now on this handle's calls, also those that wait in other threads, give EDDY_ECLOSED;
 * only eddy_info(), eddy_stats(), eddy_stream_info(), eddy_streams() and closing still work.
 * Does nothing the second time. */
EDDY_API int eddy_shutdown(eddy_store *store);

/* Removes the name. Processes that have the store open keep it, and its memory is freed when the
 * last of them closes it. name and dir as in eddy_open(), but for fd and pid forms (EDDY_EINVAL).
 * Errors: EDDY_ENOENT, EDDY_EACCESS, EDDY_ENOTSTORE (the file is left alone). */
EDDY_API int eddy_unlink(const char *name, const eddy_options *options);

/* A descriptor of the store's file, owned by the handle and valid until it is closed: to be given
 * to another process, which opens it as "fd:N". It is close-on-exec. */
EDDY_API int eddy_store_fd(eddy_store *store);

typedef struct eddy_found {
    const char *name; /* valid during the callback */
    const char *path;
    uint64_t bytes; /* memory in use by the file */
    uint32_t uid;
    uint32_t mode;
    int64_t modified_ns;
    bool ephemeral; /* it goes with the last process that has it open */
} eddy_found;

/* Calls fn for each store in a directory (NULL: the default one), in byte order of names, until
 * it gives a value other than 0, which is returned. Files that are no stores are left out. */
EDDY_API int eddy_list(const char *dir, int (*fn)(void *arg, const eddy_found *found), void *arg);

/* ---- writing ------------------------------------------------------------------------------- */

#define EDDY_ANY INT64_C(-1)    /* expected version: no condition */
#define EDDY_NONE INT64_C(0)    /* there is no such stream: never was, or it was removed */
#define EDDY_EXISTS INT64_C(-2) /* the stream is there */

#define EDDY_STREAM_MAX 255u /* bytes in a stream's name, at least 1 */
#define EDDY_TYPE_MAX 1024u  /* bytes in a type */
#define EDDY_ID_MAX 1024u    /* bytes in an id */
#define EDDY_TAG_MAX 255u    /* bytes in a tag, at least 1 */
#define EDDY_TAGS_MAX 64u    /* tags of an event */
#define EDDY_TX_EVENTS_MAX 65536u
#define EDDY_EVENT_MAX (UINT64_C(1) << 30) /* bytes of data and metadata in an event */

#define EDDY_TIME_GIVEN 0x1u  /* new event: time_ns counts although it is 0 */
#define EDDY_SHARD_GIVEN 0x2u /* new event: it is in its shard, although that is 0 */

/* An event to append. Zero in every field is a valid event. */
typedef struct eddy_new_event {
    eddy_bytes type;
    eddy_bytes id; /* none: reads back as "<stream>-<version>" */
    eddy_bytes data;
    eddy_bytes metadata;
    int64_t time_ns;    /* when it happened; 0 (without EDDY_TIME_GIVEN): the time of recording */
    uint64_t shard;     /* the shard that it is in; 0 (without EDDY_SHARD_GIVEN): it is in none */
    uint32_t flags;     /* EDDY_TIME_GIVEN, EDDY_SHARD_GIVEN */
    uint32_t tag_count; /* at most EDDY_TAGS_MAX */
    const eddy_bytes *tags; /* what it can be selected by: any bytes, 1 to EDDY_TAG_MAX each. They
                               read back in this order, as often as they are given */
} eddy_new_event;

/* What a commit did, or why it did not. Valid as long as its caller keeps it. */
typedef struct eddy_result {
    uint64_t first_offset; /* of the transaction's events; 0 if it had none */
    uint64_t last_offset;
    uint64_t last_version; /* of the stream of the last event; 0 if there was none */
    int64_t recorded_ns;   /* never earlier than that of an earlier transaction */
    uint64_t removed;      /* events that it removed, also those that a limit dropped; and snapshots
                              of streams */
    /* Of a condition that failed (EDDY_ECONFLICT): */
    uint32_t condition; /* which: 0 is the first that was given */
    uint32_t stream_len;
    int64_t expected;
    uint64_t actual; /* the stream's version at that instant; of a key its revision, 0: nothing
                        there; of eddy_tx_expect_none() the offset of an event that matches */
    char stream[256];
    uint64_t revision; /* of what the transaction has put under keys (states, snapshots of streams,
                          checkpoints); 0 if it put nothing */
    bool
        repeated; /* its key had been committed before (eddy_tx_key()): nothing was changed now, and
                          the fields above are those of then */
} eddy_result;

/* Appends count events to one stream as one transaction, if its version is as expected: EDDY_ANY,
 * EDDY_NONE, EDDY_EXISTS, or a version. Makes the stream if it is missing. result may be NULL.
 * With count 0: succeeds, checks nothing, makes nothing.
 * Errors: EDDY_ECONFLICT, EDDY_EINVAL, EDDY_EFULL, EDDY_ELIMIT, EDDY_EREADONLY, EDDY_ECLOSED,
 * EDDY_ECORRUPT, EDDY_ENOMEM; nothing was stored then. */
EDDY_API int eddy_append(eddy_store *store, eddy_bytes stream, int64_t expected,
                         const eddy_new_event *events, size_t count, eddy_result *result);

typedef struct eddy_tx eddy_tx;

/* Begins a transaction: a list of things to write, and of conditions, that is private until it is
 * committed. It holds nobody up, however long it stays open. Ended by eddy_tx_free(). */
EDDY_API int eddy_tx_begin(eddy_store *store, eddy_tx **out);

/* Adds an event to a stream. The bytes are copied into the store's memory at once.
 * Errors: EDDY_EINVAL, EDDY_ELIMIT (EDDY_TX_EVENTS_MAX, EDDY_EVENT_MAX), EDDY_EFULL,
 * EDDY_EFORKED; the transaction is as before then. */
EDDY_API int eddy_tx_append(eddy_tx *tx, eddy_bytes stream, const eddy_new_event *event);

/* As eddy_tx_append(), but event->data gives only the length (its ptr must be NULL): *data is the
 * place, aligned to 8, to write the data to before eddy_tx_commit(), which nobody reads before. */
EDDY_API int eddy_tx_reserve(eddy_tx *tx, eddy_bytes stream, const eddy_new_event *event,
                             void **data);

/* Adds the condition that a stream, written by this transaction or not, is as expected before it:
 * EDDY_ANY, EDDY_NONE, EDDY_EXISTS, or a version (0 and up). */
EDDY_API int eddy_tx_expect(eddy_tx *tx, eddy_bytes stream, int64_t expected);

/* Adds the condition that no event that is there before the transaction, and has an offset beyond
 * `since`, matches a select: so that who has read up to `since` and found nothing to forbid it can
 * commit only if that is still so. Of the select only stream, prefix, types, tags and EDDY_SHARD count
 * (all others must be 0: EDDY_EINVAL); NULL: any event at all. What matters is kept; any number of them, each the index of
 * its own in the order of all conditions.
 * Events that were removed do not match. But if events beyond a since that is not 0 were dropped from
 * the oldest on, it cannot be known, and the condition fails.
 * Costs some 30 ns for each event after `since` (with a stream: for each of that stream's), in each
 * commit; when that is tried again, since others were faster, only what is new is looked at.
 * What fails gives EDDY_ECONFLICT, with the offset of the first such event as result->actual (0: it
 * cannot be known), and its stream's name. Needs memory only in this process.
 * Errors: EDDY_EINVAL, EDDY_ENOMEM, EDDY_EFORKED. */
struct eddy_select; /* below: "reading" */
EDDY_API int eddy_tx_expect_none(eddy_tx *tx, const struct eddy_select *select, uint64_t since);

/* Gives the transaction a key, 1 to 255 bytes chosen by the caller, by which it is committed once only:
 * the answer to it is kept with it, and a later transaction with the same key, of any process, changes
 * nothing, whatever is in it and whatever its conditions, but gets that answer, with result->repeated set.
 * So who does not know whether a commit came to be (since the program died before it was told) does
 * it again with the same key. A transaction that was refused leaves no answer: it may be tried again.
 * Answers are kept for as long, and as many of them, as the limits `keys` and `keys_age_ns` say: 10
 * minutes and 65,536, if nothing else was set. Behind that a key is new again. An answer takes
 * some 200 bytes of the store. Keys are no names of anything else.
 * Errors: EDDY_EINVAL (its length; the transaction has a key), EDDY_ENOMEM, EDDY_EFORKED. */
#define EDDY_KEY_LEN_MAX 255u
EDDY_API int eddy_tx_key(eddy_tx *tx, eddy_bytes key);

/* eddy_append() as a transaction with a key. With count 0 the key is not noted. */
EDDY_API int eddy_append_once(eddy_store *store, eddy_bytes key, eddy_bytes stream,
                              int64_t expected, const eddy_new_event *events, size_t count,
                              eddy_result *result);

/* Commits: all of it happens at one instant, or nothing does. The transaction is spent in either
 * case. result may be NULL. A transaction without events checks its conditions.
 * Errors: as eddy_append(), and EDDY_EFORKED. Lock-free: it is tried again only when somebody
 * else has committed. */
EDDY_API int eddy_tx_commit(eddy_tx *tx, eddy_result *result);

/* Of the k-th event (from 0) of a committed transaction, its offset and its version in its stream.
 * Either pointer may be NULL. EDDY_EINVAL if it was not committed or has no such event. Of one that was
 * repeated (eddy_tx_key()) the offsets are those of then, and versions are not known (EDDY_EINVAL). */
EDDY_API int eddy_tx_placed(const eddy_tx *tx, uint32_t k, uint64_t *offset, uint64_t *version);

/* Makes a transaction empty and new again, as eddy_tx_begin() does; cheaper than a new one. */
EDDY_API int eddy_tx_reset(eddy_tx *tx);

/* Ends the transaction; if it was not committed, nothing of it remains. NULL is allowed. */
EDDY_API void eddy_tx_free(eddy_tx *tx);

/* ---- removing ------------------------------------------------------------------------------ */

/* What is removed is gone at one instant, for all; its memory comes back bit by bit (see
 * eddy_maintain()). Offsets, and versions of a stream that is known, are never used twice: after
 * events were removed, numbers go on where they were. These need no memory of the store, so that a
 * full one can be emptied. Errors, unless said otherwise: those of eddy_append(). */

/* Removes the events of a stream up to a version, inclusive (beyond its last: all of them), if its
 * version is as expected (EDDY_ANY, ...). The stream stays, also with no event left. result may be
 * NULL; result->removed says how many events went. A stream that is not there: nothing happens. */
EDDY_API int eddy_truncate(eddy_store *store, eddy_bytes stream, int64_t expected, uint64_t version,
                           eddy_result *result);

/* Removes a stream with all its events. It is not there any more: it is not listed, EDDY_NONE holds
 * of it. Its name and last version stay known: when it is written again, its versions go on. Until
 * it is forgotten that takes about 200 bytes. A stream that is not there: nothing happens. */
EDDY_API int eddy_delete(eddy_store *store, eddy_bytes stream, int64_t expected,
                         eddy_result *result);

/* Removes a stream, if it is there, and forgets that it ever was: nothing remains of it. The name
 * may be used again, for a stream that begins with version 1. EDDY_ENOENT: not known. */
EDDY_API int eddy_forget(eddy_store *store, eddy_bytes stream, eddy_result *result);

/* Removes all streams that have no event and whose names begin with prefix, some dozens in each
 * transaction. Returns how many. */
EDDY_API int64_t eddy_remove_empty(eddy_store *store, eddy_bytes prefix);
/* Forgets all streams that were removed and whose names begin with prefix. Returns how many. */
EDDY_API int64_t eddy_forget_removed(eddy_store *store, eddy_bytes prefix);

/* The same as parts of a transaction. They act on the stream as it is before the transaction's own
 * events, so that a stream can be removed and begun anew at one instant. eddy_tx_forget() cannot
 * stand with events of the same stream (EDDY_EINVAL at the commit). */
EDDY_API int eddy_tx_truncate(eddy_tx *tx, eddy_bytes stream, uint64_t version);
EDDY_API int eddy_tx_delete(eddy_tx *tx, eddy_bytes stream);
EDDY_API int eddy_tx_forget(eddy_tx *tx, eddy_bytes stream);

/* Removes all that is there when it is called: all events at one instant; then, in further
 * transactions, all checkpoints, states and snapshots, and all streams, which are forgotten. What others
 * write meanwhile stays. Limits stay, counters go on, and so do offsets and revisions; a stream that is
 * written again begins with version 1. result (may be NULL): result->removed says how many events went.
 * After an error, or a death in the midst of it, the events are gone and some of the rest may be there:
 * call it again. */
EDDY_API int eddy_reset(eddy_store *store, eddy_result *result);

/* ---- limits and retention ------------------------------------------------------------------ */

#define EDDY_DROP_EVENTS 0x1u  /* beyond `events`, the oldest go, rather than new be refused */
#define EDDY_DROP_BYTES 0x2u   /* beyond `bytes` */
#define EDDY_DROP_STREAMS 0x4u /* beyond `streams`, the stream goes that was made first */
#define EDDY_DROP_STREAM_EVENTS 0x8u /* beyond `stream_events`, the oldest of the stream */
#define EDDY_DROP_WHEN_FULL 0x10u    /* when there is no memory, the oldest go */
#define EDDY_DROP_ALL 0x1fu
#define EDDY_STRICT                                                                                \
    0x20u /* what is appended must have ids, types and times of its own: events without are refused, \
             with their transaction, by EDDY_EINVAL and a sentence that names event and field */

/* What a store may hold. Zero in a field: no limit. They are the store's, not the handle's: whoever
 * sets them sets them for all, at one instant. What passes a limit is refused whole, with
 * EDDY_ELIMIT and a sentence that names the limit, or makes the oldest go, as the flags say. A
 * transaction that would not fit into the empty store is refused in either case. Streams of which
 * events, bytes or age_ns have left no event are removed, soon after. */
typedef struct eddy_limits {
    uint32_t size;          /* sizeof(eddy_limits) */
    uint32_t flags;         /* EDDY_DROP_..., EDDY_STRICT */
    uint64_t events;        /* of the store */
    uint64_t bytes;         /* of memory, by its events, headers included */
    uint64_t streams;       /* that are there */
    uint64_t stream_events; /* of each stream */
    uint64_t names;         /* of streams that were removed, which are still known: beyond, those go
                               that were made first */
    int64_t age_ns; /* events whose own time is so long ago, or longer, go: in the order of their
                       offsets, so that one waits for those before it */
    uint64_t keys;  /* answers to transactions with keys that are kept, at least: beyond, the
                            oldest go; 0: 65,536 */
    int64_t keys_age_ns; /* and for how long at most; 0: 10 minutes; INT64_MAX: any time */
} eddy_limits;

#define EDDY_LIMITS_INIT                                                                           \
    { sizeof(eddy_limits), 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* What limits let go. */
typedef struct eddy_dropped {
    uint32_t size; /* set by the caller: sizeof(eddy_dropped) */
    uint32_t reserved;
    uint64_t events;
    uint64_t bytes;
    uint64_t streams;
} eddy_dropped;

EDDY_API int eddy_limits_get(eddy_store *store, eddy_limits *limits);
/* Sets them, and then drops what they do not let the store keep; dropped (may be NULL) says what. On
 * an error in the course of that they are set, and the rest goes with later transactions. */
EDDY_API int eddy_limits_set(eddy_store *store, const eddy_limits *limits, eddy_dropped *dropped);
/* What would go now if these were set. Nothing is changed. */
EDDY_API int eddy_limits_preview(eddy_store *store, const eddy_limits *limits,
                                 eddy_dropped *dropped);

/* ---- checkpoints --------------------------------------------------------------------------- */

/* How far somebody has come: an offset under a name and a shard, kept in the store, and set in a
 * transaction together with whatever follows from it. Names are bytes, 1 to 255; they are no streams.
 * Shards are numbers of the caller's; who has none uses 0. A *revision* says which transaction put
 * something under a key: it is never used twice in a store, also not for what was deleted and made
 * anew, so a condition on it cannot be fooled. */
typedef struct eddy_checkpoint {
    uint32_t size; /* sizeof(eddy_checkpoint), set by eddy */
    uint32_t name_len;
    uint64_t offset;
    uint64_t revision;
    int64_t time_ns; /* as it was given, else when it was set */
    uint32_t flags;  /* EDDY_HOLD */
    uint32_t reserved;
    char name[256];
    uint64_t shard;
    int64_t recorded_ns; /* when it was set */
} eddy_checkpoint;

#define EDDY_HOLD                                                                                  \
    0x100u /* limits drop no event behind its offset, until it has come further: an append
                          that would need that is refused (EDDY_ELIMIT; EDDY_EFULL, if it is the
                          store that is full: both name the checkpoint). Removing
                          by hand is not held */

/* A checkpoint to set. Zero in every field but the name is valid. */
typedef struct eddy_new_checkpoint {
    eddy_bytes name;
    uint64_t shard;
    uint64_t offset; /* 0 to INT64_MAX; there need be no such event. With EDDY_HOLD: to 2^62 - 1 */
    int64_t time_ns; /* 0 (without EDDY_TIME_GIVEN): the time of recording */
    uint32_t flags;  /* EDDY_HOLD, EDDY_TIME_GIVEN */
    uint32_t reserved; /* must be 0 */
} eddy_new_checkpoint;

/* Sets it, if what is there is as expected: EDDY_ANY, EDDY_NONE (nothing), EDDY_EXISTS, or its revision.
 * It need not go forward. result (may be NULL) has the revision that it has now; of a conflict it has the
 * name in `stream`, and in `actual` the revision that is there, 0 if there is none. Errors: those of
 * eddy_append(); EDDY_EINVAL for an empty name. */
EDDY_API int eddy_checkpoint_set(eddy_store *store, const eddy_new_checkpoint *checkpoint,
                                 int64_t expected, eddy_result *result);
/* The same for shard 0, whatever is there; flags: 0 or EDDY_HOLD. */
EDDY_API int eddy_checkpoint_put(eddy_store *store, eddy_bytes name, uint64_t offset,
                                 uint32_t flags);
/* EDDY_ENOENT: there is none. */
EDDY_API int eddy_checkpoint_get(eddy_store *store, eddy_bytes name, uint64_t shard,
                                 eddy_checkpoint *checkpoint);
/* One that is not there: nothing happens, unless it was expected. */
EDDY_API int eddy_checkpoint_delete(eddy_store *store, eddy_bytes name, uint64_t shard,
                                    int64_t expected);
/* Sets the checkpoints of a name (this name exactly), of all shards that there are, to an offset and to
 * the time of recording, at one instant; each holds retention as before. A name that is not known:
 * nothing happens. Looks at all checkpoints. result may be NULL. */
EDDY_API int eddy_checkpoint_reset(eddy_store *store, eddy_bytes name, uint64_t offset,
                                   eddy_result *result);
/* Waits until a checkpoint, which need not exist yet, is at an offset or beyond: 0, and *checkpoint (may
 * be NULL) is as it was found; EDDY_ETIMEDOUT, EDDY_ECLOSED (eddy_shutdown()), EDDY_ELIMIT (no reader
 * slot is free), or another error. deadline_ns: see eddy_deadline_ms(). It sleeps; who sets it wakes
 * it. A read-only handle looks every millisecond. */
EDDY_API int eddy_checkpoint_wait(eddy_store *store, eddy_bytes name, uint64_t shard,
                                  uint64_t offset, int64_t deadline_ns,
                                  eddy_checkpoint *checkpoint);
/* Calls fn for those whose names begin with prefix, in byte order of names, then by shard, until fn gives
 * another value than 0. As of one instant; if others commit so fast that none is found in 1,000 tries,
 * each as it was at some instant of the call. Returns how many calls were made. */
EDDY_API int64_t eddy_checkpoints(eddy_store *store, eddy_bytes prefix,
                                  int (*fn)(void *arg, const eddy_checkpoint *checkpoint),
                                  void *arg);

/* The same as parts of a transaction: see eddy_tx_state(). */
EDDY_API int eddy_tx_checkpoint(eddy_tx *tx, eddy_bytes name, uint64_t offset, uint32_t flags);
EDDY_API int eddy_tx_checkpoint_set(eddy_tx *tx, const eddy_new_checkpoint *checkpoint,
                                    int64_t expected);
EDDY_API int eddy_tx_checkpoint_delete(eddy_tx *tx, eddy_bytes name, uint64_t shard,
                                       int64_t expected);
EDDY_API int eddy_tx_expect_checkpoint(eddy_tx *tx, eddy_bytes name, uint64_t shard,
                                       int64_t expected);

/* ---- maintenance --------------------------------------------------------------------------- */

/* Takes back the memory of what is gone: of events that were removed, of processes that died. It is
 * done by whoever appends, in slices of well under a millisecond, so that nobody needs to call this;
 * it does all there is to do at once, and what retention by age asks for. Any process, any number
 * at once. Each is told apart; a process that is stopped in it holds up nobody. */
typedef struct eddy_maintained {
    uint32_t size; /* set by the caller: sizeof(eddy_maintained) */
    uint32_t reserved;
    uint64_t dropped; /* events that had passed the limit of age */
    uint64_t events;  /* events whose memory was given up */
    uint64_t extents; /* extents (64 KiB) that are free again */
    uint64_t nodes;   /* blocks of the indexes that are free again */
    uint64_t moved;   /* events that were moved out of sparse extents */
    uint64_t members; /* dead processes cleared up after */
    uint64_t trimmed; /* bytes given back to the system */
} eddy_maintained;

#define EDDY_TRIM                                                                                  \
    0x1u /* give free memory back to the system as well, but for an eighth of what is used */

/* Errors: EDDY_EAGAIN with EDDY_TRIM, while somebody reads through a read-only handle. With EDDY_TRIM it
 * may sleep for some milliseconds. done may be NULL. */
EDDY_API int eddy_maintain(eddy_store *store, uint32_t flags, eddy_maintained *done);

/* Starts a thread in this process that calls eddy_maintain() with these flags every interval_ns (a
 * millisecond to a day), until eddy_maintain_stop() or eddy_close(). Worth while where a limit of age is to hold
 * although nobody appends. It blocks all signals; it is not in a child after a fork. Not to be called
 * by two threads at once. */
EDDY_API int eddy_maintain_start(eddy_store *store, int64_t interval_ns, uint32_t flags);
EDDY_API int eddy_maintain_stop(eddy_store *store);

/* ---- snapshots of a store ------------------------------------------------------------------- */

/* A snapshot is a file that holds a whole store as it was at one instant: events with their offsets,
 * versions, times, ids and transactions, streams (also names of removed ones, and what was removed of
 * each), checkpoints, limits. It is taken while others go on, and restored as a new store that goes on
 * where the old one was. Each byte of it is under a checksum. It does not depend on the layout of the
 * memory. lib/FORMAT.md has the format. */
typedef struct eddy_snapshot_options {
    uint32_t size;     /* sizeof(eddy_snapshot_options) */
    uint32_t flags;    /* must be 0 */
    uint32_t mode;     /* permission bits of the file, but for those of the umask if its file system
                          has no unnamed files; default 0600 */
    uint32_t reserved; /* must be 0 */
} eddy_snapshot_options;

typedef struct eddy_snapshot_facts {
    uint32_t size; /* set by the caller: sizeof(eddy_snapshot_facts) */
    uint32_t format;
    uint64_t bytes;        /* of the file */
    uint64_t head;         /* the store's last offset at the instant */
    uint64_t events;       /* in it */
    uint64_t event_bytes;  /* of memory, by these */
    uint64_t streams;      /* in it, also those that were removed and are still known */
    uint64_t entries;      /* checkpoints and whatever else stands under a key */
    uint64_t transactions; /* of the store until the instant */
    int64_t recorded_ns;   /* of the last of them */
    int64_t taken_ns;      /* when the snapshot was begun */
    int64_t created_ns;    /* when its store was made */
    uint64_t store_id;     /* tells stores of one name apart */
    uint64_t cap;          /* of the store */
} eddy_snapshot_facts;

/* Writes the store, as it is at one instant of this call, into a file. The file is written beside the
 * path and put into its place when it is whole and on the disk (fsync of file and directory): a
 * reader of the path, a crash, kill -9 meet the old file or the new one. What stands at the path before
 * must be a snapshot, or empty (else EDDY_EEXIST). Nobody waits for it; it waits for up to two seconds for
 * another that is looking at states and the like just now. States, checkpoints and snapshots of streams that
 * are replaced while it looks at them keep their memory for that long. Of this process it takes a bit for
 * each stream and 8 bytes for each entry. What is removed, by hand or by
 * limits, between the instant and the end of the call is not in the file, or is not there when it is
 * restored: events are not held back for a snapshot. options and facts may be NULL. Blocks on the disk.
 * Errors: EDDY_EINVAL, EDDY_EEXIST, EDDY_ENOENT (no such directory), EDDY_EACCESS, EDDY_EFULL,
 * EDDY_EREADONLY, EDDY_EAGAIN (the memory of what was replaced was needed, again and again), EDDY_ECLOSED, EDDY_ECORRUPT, EDDY_ENOMEM,
 * EDDY_ESYS; nothing is left of it then, and the file that was there stays. */
EDDY_API int eddy_snapshot_write(eddy_store *store, const char *path,
                                 const eddy_snapshot_options *options, eddy_snapshot_facts *facts);

/* Starts a thread in this process that writes a snapshot to this path every interval_ns (a millisecond to a
 * day; the first after that time), until eddy_snapshot_stop() or eddy_close(), which wait for one that is
 * being written. Errors of it are met again by the next; eddy_counts.snapshots says how many were written.
 * As eddy_maintain_start() otherwise. */
EDDY_API int eddy_snapshot_start(eddy_store *store, const char *path, int64_t interval_ns);
EDDY_API int eddy_snapshot_stop(eddy_store *store);

/* Reads all of a snapshot and checks it. facts may be NULL. Errors: EDDY_ENOENT, EDDY_ENOTSTORE (it is
 * no snapshot), EDDY_ELAYOUT (of another version of the format), EDDY_ECORRUPT (torn, cut short,
 * damaged), EDDY_EACCESS, EDDY_ENOMEM, EDDY_ESYS; eddy_errmsg() names file, byte and cause. */
EDDY_API int eddy_snapshot_verify(const char *path, eddy_snapshot_facts *facts);

#define EDDY_REPLACE                                                                               \
    0x1000u /* restore: put it in the place of the store of that name, at one instant; \
                                who has that one open keeps it */

/* Makes a store from a snapshot: the same events at the same offsets, and so on; what was removed is not
 * there. It is made aside, checked as by eddy_check(), and gets its name when it is whole: a restore that
 * fails or dies leaves nothing. `name` as in eddy_open(), but for fd and pid forms. options may be
 * NULL: cap, members and threads are those of the store that was written, unless given; of the flags only
 * EDDY_REPLACE is allowed. The store is not opened. Errors: those of eddy_snapshot_verify(), EDDY_EEXIST
 * (there is such a store, without EDDY_REPLACE), EDDY_EFULL (cap or file system), EDDY_EINVAL. */
EDDY_API int eddy_snapshot_restore(const char *path, const char *name, const eddy_options *options);

/* ---- reading ------------------------------------------------------------------------------- */

/* An event that was read. Where its bytes live is said by what gave it. */
typedef struct eddy_event {
    uint64_t offset;
    uint64_t version;
    eddy_bytes stream;
    eddy_bytes type;
    eddy_bytes id;
    eddy_bytes data;
    eddy_bytes metadata;
    int64_t time_ns;
    int64_t recorded_ns;
    uint64_t shard;
    uint64_t tx_offset; /* offset of the first event of its transaction */
    uint32_t tx_count;  /* events in its transaction: tx_offset ... tx_offset + tx_count - 1 */
    uint32_t flags;  /* EDDY_TIME_GIVEN, EDDY_SHARD_GIVEN: it came with a time, it is in a shard */
    eddy_bytes tags; /* of all its tags: before each a byte with its length; see eddy_tag() */
    uint32_t tag_count;
    uint32_t reserved;
} eddy_event;

/* The k-th tag (from 0) of an event that was read; no bytes if it has no such tag. It lives as long as
 * the event's other bytes do. */
EDDY_API eddy_bytes eddy_tag(const eddy_event *event, uint32_t k);

#define EDDY_FOLLOW 0x1u   /* go on with events that are yet to come */
#define EDDY_BACKWARD 0x2u /* from the last to the first; not with EDDY_FOLLOW */
#define EDDY_BORROW 0x4u   /* give data and metadata in place, without a copy; not when read-only */
#define EDDY_KNOWN 0x8u    /* EDDY_ENOENT if the stream does not exist, rather than nothing */
#define EDDY_BY_TIME 0x10u /* in order of the events' own times, see below */
#define EDDY_SHARD 0x20u   /* of one shard only */
#define EDDY_FROM_GIVEN 0x40u /* from_time_ns counts although it is 0 */
#define EDDY_TO_GIVEN 0x80u   /* to_time_ns counts although it is 0 */

/* Which events. Zero in every field: all of them. A bound says whether it is exclusive (after, before)
 * or inclusive (from, to). All that is given must hold.
 *
 * EDDY_BY_TIME: in order of the events' own times, those of the same time in order of their offsets; with
 * EDDY_BACKWARD all of that in reverse. What matches is settled at the first eddy_reader_next(), which
 * looks at all that the bounds of offsets, versions and times of recording let pass; of each event that
 * matches it keeps 16 bytes in this process, with a limit of no more than that many. What is removed
 * before it is read is told by EDDY_ELAPPED, with the lowest and the highest of its offsets. Not with
 * EDDY_FOLLOW, nor with EDDY_BORROW. */
typedef struct eddy_select {
    uint32_t size; /* sizeof(eddy_select) */
    uint32_t flags;
    eddy_bytes stream;       /* of this stream only, if len > 0 */
    eddy_bytes prefix;       /* of streams whose names begin so */
    const eddy_bytes *types; /* of one of these types, if type_count > 0 */
    size_t type_count;
    uint64_t after_offset;    /* exclusive */
    uint64_t to_offset;       /* inclusive; 0: no bound */
    uint64_t after_version;   /* exclusive; with stream only */
    uint64_t to_version;      /* inclusive; 0: no bound; with stream only */
    int64_t from_time_ns;     /* event time, inclusive; 0: no bound, but for EDDY_FROM_GIVEN */
    int64_t to_time_ns;       /* the same; EDDY_TO_GIVEN */
    int64_t from_recorded_ns; /* time of recording, inclusive; 0: no bound */
    int64_t to_recorded_ns;
    uint64_t limit;          /* at most so many events; 0: no limit */
    uint64_t before_offset;  /* exclusive; 0: no bound; with to_offset the lower of both counts */
    uint64_t before_version; /* exclusive; 0: no bound; with stream only */
    uint64_t shard;          /* with EDDY_SHARD: events that are in this shard */
    const eddy_bytes *tags;  /* that have all of these tags, at most EDDY_TAGS_MAX */
    size_t tag_count;
} eddy_select;

#define EDDY_SELECT_INIT                                                                           \
    { sizeof(eddy_select), 0, {0, 0}, {0, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

typedef struct eddy_reader eddy_reader;

#define EDDY_END 0       /* no more events match, and none will */
#define EDDY_EVENT 1     /* an event was given */
#define EDDY_CAUGHT_UP 2 /* no more at present; the reader follows */

/* Opens a reader. select (NULL: everything) is copied, its bytes too. A reader that does not follow
 * ends with the last event there was at its first eddy_reader_next(). A stream need not exist yet.
 * Errors: EDDY_EINVAL, EDDY_ENOENT (with EDDY_KNOWN), EDDY_ELIMIT, EDDY_ECLOSED, EDDY_ENOMEM. */
EDDY_API int eddy_reader_open(eddy_store *store, const eddy_select *select, eddy_reader **out);

/* The next event: EDDY_EVENT, EDDY_END, EDDY_CAUGHT_UP, or an error. Events come in order of their
 * offsets (backward: in reverse; or see EDDY_BY_TIME), each exactly once. event's bytes are valid until the reader's
 * next call. Never blocks.
 * Errors: EDDY_ELAPPED (once; the next call goes on behind the gap, see eddy_reader_position()),
 * EDDY_ECLOSED, EDDY_ECORRUPT, EDDY_EAGAIN, EDDY_ENOMEM. */
EDDY_API int eddy_reader_next(eddy_reader *reader, eddy_event *event);

/* As eddy_reader_next(), for up to max events (at least 1) at once, which costs less an event: with
 * EDDY_EVENT *count events are in events[], in order, and their bytes are valid until the reader's
 * next call; else *count is 0. Gives fewer than max whenever that is easier; not a sign of the end.
 */
EDDY_API int eddy_reader_fetch(eddy_reader *reader, eddy_event *events, size_t max, size_t *count);

/* As eddy_reader_next(), but where that would give EDDY_CAUGHT_UP it waits until there is an event,
 * the deadline has passed (EDDY_ETIMEDOUT), eddy_reader_wake() is called (EDDY_ECANCELED), or the
 * store is shut down (EDDY_ECLOSED). It spins for some microseconds, then sleeps. */
EDDY_API int eddy_reader_wait(eddy_reader *reader, int64_t deadline_ns, eddy_event *event);

/* Ends the wait of another thread in eddy_reader_wait(), or the next one: the only call on a reader
 * that another thread may make. No event is lost by it. */
EDDY_API void eddy_reader_wake(eddy_reader *reader);

/* A descriptor that polls readable when the reader may have more: for poll, epoll and event loops.
 * After it is readable (and once before the first poll), call eddy_reader_next() until it gives
 * EDDY_CAUGHT_UP: that arms it again. It may be readable although there is nothing new. Owned by
 * the reader. Served by io_uring; where the kernel has no futex wait in it, by a thread that this
 * call starts. Not for a read-only handle (EDDY_EREADONLY). Errors: EDDY_ESYS. */
EDDY_API int eddy_reader_fd(eddy_reader *reader);

typedef struct eddy_position {
    uint64_t offset;      /* offset of the last event given; before the first one: where it began,
                             after_offset (backward: 0) */
    uint64_t version;     /* its version; before the first one: after_version (backward: 0) */
    uint64_t looked_at;   /* all matching events up to this offset have been given: a checkpoint. By
                             time: where it began, until the last of all has been given */
    uint64_t head;        /* the store's last offset, now */
    uint64_t lapped_from; /* first and last offset (of a stream: version) that were gone, with */
    uint64_t lapped_to;   /* the last EDDY_ELAPPED */
    bool caught_up;       /* the last call found no more */
} eddy_position;

EDDY_API int eddy_reader_position(eddy_reader *reader, eddy_position *position);

/* A place in a stream (of an event: its version, its time) as a line for logs and people, in UTC, with as
 * many digits behind the second as it has: "stream:a pos:42 time:2023-01-01T12:00:00Z". Into text, as
 * snprintf() does: at most size bytes with the zero at the end; gives the length of the whole. A name's
 * bytes are taken as they are, up to a zero byte. EDDY_EINVAL: the name is too long. */
EDDY_API int eddy_cursor_text(char *text, size_t size, eddy_bytes stream, uint64_t position,
                              int64_t time_ns);

/* Asks of a borrowed event (EDDY_BORROW) whether its bytes still hold: 1 yes, 0 no. */
EDDY_API int eddy_reader_holds(eddy_reader *reader);

EDDY_API void eddy_reader_close(eddy_reader *reader);

/* Memory for what single reads give; it grows as needed and is used again by the next read. */
typedef struct eddy_buffer eddy_buffer;
EDDY_API eddy_buffer *eddy_buffer_create(void); /* NULL if this process is out of memory */
EDDY_API void eddy_buffer_destroy(eddy_buffer *buffer);

/* The event at an offset, or of a version of a stream; valid until the buffer is used again. In
 * constant time. Errors: EDDY_ENOENT (not yet, or not any more), EDDY_EINVAL, EDDY_ECLOSED,
 * EDDY_ECORRUPT, EDDY_EAGAIN, EDDY_ENOMEM. */
EDDY_API int eddy_get(eddy_store *store, uint64_t offset, eddy_buffer *buffer, eddy_event *event);
EDDY_API int eddy_get_version(eddy_store *store, eddy_bytes stream, uint64_t version,
                              eddy_buffer *buffer, eddy_event *event);

/* ---- states and snapshots of streams --------------------------------------------------------- */

#define EDDY_STATE_MAX (UINT64_C(16) << 20) /* bytes of data and metadata under a key */

/* Bytes to keep under a key, in the place of those that are there. Zero in every field is valid. */
typedef struct eddy_new_state {
    eddy_bytes data;
    eddy_bytes metadata;
    uint64_t version;  /* the caller's, any number: it is stored, and not compared with anything */
    uint64_t shard;    /* the same */
    int64_t time_ns;   /* 0 (without EDDY_TIME_GIVEN): the time of recording */
    uint32_t flags;    /* EDDY_TIME_GIVEN */
    uint32_t reserved; /* must be 0 */
} eddy_new_state;

/* What was read. Its bytes are in the buffer that was given, until that is used again. */
typedef struct eddy_state {
    uint32_t size; /* sizeof(eddy_state), set by eddy */
    uint32_t flags;
    eddy_bytes key; /* of a snapshot: the stream */
    eddy_bytes data;
    eddy_bytes metadata;
    uint64_t version;
    uint64_t shard;
    uint64_t revision; /* of the transaction that put it: never used twice, see eddy_checkpoint */
    int64_t time_ns;
    int64_t recorded_ns;
} eddy_state;

/* A *state* is what is kept under a key: bytes, 1 to 255, which are no stream's name. To put it is one
 * transaction, and replaces it whole, if what is there is as expected: EDDY_ANY, EDDY_NONE (nothing),
 * EDDY_EXISTS, or its revision. result (may be NULL) has the revision that it has now; of a conflict
 * (EDDY_ECONFLICT) it has the key in `stream`, and in `actual` the revision that is there, 0 if nothing
 * is. To replace a state takes memory for both for a while. Errors: those of eddy_append(); EDDY_EINVAL
 * for an empty key or a state that is NULL; EDDY_ELIMIT beyond EDDY_STATE_MAX. */
EDDY_API int eddy_state_put(eddy_store *store, eddy_bytes key, int64_t expected,
                            const eddy_new_state *state, eddy_result *result);
/* EDDY_ENOENT: there is none, a plain answer. */
EDDY_API int eddy_state_get(eddy_store *store, eddy_bytes key, eddy_buffer *buffer,
                            eddy_state *state);
/* One that is not there: nothing happens, unless it was expected. */
EDDY_API int eddy_state_delete(eddy_store *store, eddy_bytes key, int64_t expected,
                               eddy_result *result);
/* Calls fn for the states whose keys begin with prefix and come after `after` (exclusive; not necessarily
 * a key), in byte order, at most limit of them, until fn gives another value than 0. Returns how many
 * calls were made. The last key is the `after` of the next page. Each is as it was when fn was called; one
 * that is there all the time is given exactly once. States are not kept in order: a call looks at the keys
 * of all states, once for each 65,536 that it gives, so that one with a high limit costs less than many
 * pages. What fn is given is valid until it returns; it may call eddy, but not eddy_close(). */
EDDY_API int64_t eddy_states(eddy_store *store, eddy_bytes prefix, eddy_bytes after, size_t limit,
                             int (*fn)(void *arg, const eddy_state *state), void *arg);

/* The same as parts of a transaction, in which each key may be set or deleted once (EDDY_EINVAL at the
 * commit). Bytes are copied. Conditions are judged before anything of the transaction happens; a
 * conflict is told as eddy_state_put() tells it, and result->condition says which, of all that were given
 * to the transaction. */
EDDY_API int eddy_tx_state(eddy_tx *tx, eddy_bytes key, int64_t expected,
                           const eddy_new_state *state);
EDDY_API int eddy_tx_state_delete(eddy_tx *tx, eddy_bytes key, int64_t expected);
EDDY_API int eddy_tx_expect_state(eddy_tx *tx, eddy_bytes key, int64_t expected);

/* A *snapshot* of a stream is a state under the stream's name and a version, 1 and up, which need be no
 * version of an event; nor need the stream exist, and snapshots stay when it is removed. They are put as
 * states are, but for state->version, which is ignored. To put a new one costs a copy of 8 bytes for each
 * other snapshot of its stream; there can be EDDY_STATE_MAX / 8 of a stream. */
EDDY_API int eddy_snapshot_put(eddy_store *store, eddy_bytes stream, uint64_t version,
                               int64_t expected, const eddy_new_state *state, eddy_result *result);
/* Of exactly this version; EDDY_ENOENT: there is none. */
EDDY_API int eddy_snapshot_get(eddy_store *store, eddy_bytes stream, uint64_t version,
                               eddy_buffer *buffer, eddy_state *state);
/* The one of the highest version at or below a version (0: of all); EDDY_ENOENT: there is none. */
EDDY_API int eddy_snapshot_latest(eddy_store *store, eddy_bytes stream, uint64_t at_or_below,
                                  eddy_buffer *buffer, eddy_state *state);
/* Deletes those of versions up to this one, inclusive; result->removed says how many. None: nothing
 * happens. */
EDDY_API int eddy_snapshot_delete(eddy_store *store, eddy_bytes stream, uint64_t up_to_version,
                                  eddy_result *result);
/* Calls fn for the snapshots of a stream of versions above after_version, in order, as eddy_states(). */
EDDY_API int64_t eddy_snapshots(eddy_store *store, eddy_bytes stream, uint64_t after_version,
                                size_t limit, int (*fn)(void *arg, const eddy_state *state),
                                void *arg);
/* As parts of a transaction. What is deleted is what is there before it. */
EDDY_API int eddy_tx_snapshot(eddy_tx *tx, eddy_bytes stream, uint64_t version, int64_t expected,
                              const eddy_new_state *state);
EDDY_API int eddy_tx_snapshot_delete(eddy_tx *tx, eddy_bytes stream, uint64_t up_to_version);

/* now + ms as a deadline. Negative: EDDY_FOREVER. */
EDDY_API int64_t eddy_deadline_ms(int64_t ms);
#define EDDY_FOREVER INT64_MAX

/* ---- looking in ---------------------------------------------------------------------------- */

typedef struct eddy_stream_facts {
    uint32_t size; /* set by the caller: sizeof(eddy_stream_facts) */
    uint32_t name_len;
    uint64_t version;       /* the last version there has been */
    uint64_t count;         /* events there now */
    uint64_t first_version; /* of the first event there now; 0: none */
    uint64_t first_offset;
    uint64_t last_offset;
    uint64_t bytes; /* of memory, by the events there now, headers included */
    char name[256];
} eddy_stream_facts;

/* Facts about one stream. EDDY_ENOENT if there is none: a plain answer, not a failure. */
EDDY_API int eddy_stream_info(eddy_store *store, eddy_bytes stream, eddy_stream_facts *facts);

/* Calls fn for the streams whose names begin with prefix and come after `after` (exclusive; not
 * necessarily a stream's name), in byte order, at most limit of them, until fn gives a value other
 * than 0. Returns how many calls were made. The last name is the `after` of the next page; each
 * page costs the same. fn may call eddy, but not eddy_close(). */
EDDY_API int64_t eddy_streams(eddy_store *store, eddy_bytes prefix, eddy_bytes after, size_t limit,
                              int (*fn)(void *arg, const eddy_stream_facts *facts), void *arg);

typedef struct eddy_shard_facts {
    uint32_t size; /* sizeof(eddy_shard_facts), set by eddy */
    uint32_t reserved;
    uint64_t shard;
    int64_t newest_time_ns; /* the latest time of its events there now */
    uint64_t last_offset;   /* of the last of them */
} eddy_shard_facts;

/* Calls fn for each shard that has an event that is there, in order of their numbers, until it gives a
 * value other than 0. Each as of some instant of the call. Returns how many calls were made. fn may call
 * eddy, but not eddy_close(). */
EDDY_API int64_t eddy_shards(eddy_store *store, int (*fn)(void *arg, const eddy_shard_facts *facts),
                             void *arg);

/* Calls fn for the events of a shard whose time is after after_time_ns (exclusive; INT64_MIN: all but
 * those of that very time), in order of (time, offset), at most `limit` of them, until fn gives a value
 * other than 0. Those that were there at one instant of the call; the bytes are valid during fn, which may
 * call eddy, but not eddy_close(). What it costs goes by what it gives, as far as times mostly rise.
 * Returns how many calls were made. To page on by time is sure only where times differ: else go on by
 * offset, with EDDY_SHARD and after_offset of a select. */
EDDY_API int64_t eddy_shard_after_time(eddy_store *store, uint64_t shard, int64_t after_time_ns,
                                       size_t limit, int (*fn)(void *arg, const eddy_event *event),
                                       void *arg);

typedef struct eddy_facts {
    uint32_t size; /* set by the caller: sizeof(eddy_facts) */
    uint32_t layout;
    uint64_t cap;      /* bytes at most */
    uint64_t reserved; /* bytes taken from the file system so far */
    uint64_t free;     /* of them, free for new events and index nodes */
    uint64_t head;     /* the last offset; 0: no event yet */
    uint64_t first;    /* the first offset that is still there; 0: none */
    uint64_t events;   /* there now */
    uint64_t bytes;    /* of memory, by the events there now, headers included */
    uint64_t streams;  /* there now */
    uint64_t transactions;
    int64_t created_ns;
    int64_t recorded_ns; /* of the last transaction */
    uint32_t members_max;
    uint32_t threads_max;
    bool unlinked;  /* the store has no name any more */
    uint64_t names; /* of streams that were removed, still known */
    uint64_t held;  /* 1 + the lowest offset of checkpoints that hold retention; 0: none do */
    bool ephemeral; /* it goes with the last process that has it open */
} eddy_facts;

EDDY_API int eddy_info(eddy_store *store, eddy_facts *facts);

/* Counters since the store was made, over all processes; they only grow, but for `subscriptions`. */
typedef struct eddy_counts {
    uint32_t size; /* set by the caller: sizeof(eddy_counts) */
    uint32_t reserved;
    uint64_t events_appended;
    uint64_t bytes_appended; /* headers included */
    uint64_t transactions;
    uint64_t events_read;
    uint64_t conflicts; /* transactions refused by a condition */
    uint64_t refusals;  /* transactions refused for another reason: limits, no memory */
    uint64_t retries;   /* commits tried again since another came first */
    uint64_t helps;     /* transactions applied by another than who committed them */
    uint64_t wakes;     /* system calls made to wake waiters */
    uint64_t sleeps;    /* waits that slept */
    uint64_t extents_taken;
    uint64_t sweeps;         /* dead members cleared up after */
    uint64_t events_removed; /* by hand, by limits, by age */
    uint64_t streams_made;
    uint64_t lapses;        /* EDDY_ELAPPED, given to readers */
    uint64_t snapshots;     /* of the store, written into files */
    uint64_t errors;        /* in the log: see eddy_errors() */
    uint64_t subscriptions; /* readers that follow, of living processes, open now */
} eddy_counts;

EDDY_API int eddy_stats(eddy_store *store, eddy_counts *counts);

/* How far behind the last event somebody is. */
#define EDDY_LAG_CHECKPOINT 1u
#define EDDY_LAG_READER 2u /* a reader that follows or borrows, not of a read-only handle */

typedef struct eddy_lag {
    uint32_t size;     /* sizeof(eddy_lag), set by eddy */
    uint32_t kind;     /* EDDY_LAG_... */
    uint64_t offset;   /* up to which it has come */
    uint64_t events;   /* offsets behind it that the store still has: some of them may be gone */
    int64_t behind_ns; /* for how long the oldest of these has been there; 0: it is not behind */
    uint64_t shard;    /* of a checkpoint */
    uint32_t slot;     /* of a reader, and its process: */
    uint32_t pid;
    bool alive;
    bool follows;
    uint32_t name_len;
    char name[256]; /* the checkpoint's; of a reader: the command of its process */
} eddy_lag;

/* Calls fn for each checkpoint and then for each reader that has a slot, until fn gives another value
 * than 0. Returns how many calls were made. */
EDDY_API int64_t eddy_lags(eddy_store *store, int (*fn)(void *arg, const eddy_lag *lag), void *arg);

/* A distinct error: those that calls on the store met and that say something about it (EDDY_EFULL,
 * EDDY_ELIMIT, EDDY_ECORRUPT, EDDY_ELAPPED, EDDY_EAGAIN, EDDY_EACCESS, EDDY_ENOMEM, EDDY_ESYS), in any
 * process but through read-only handles. */
typedef struct eddy_error_facts {
    uint32_t size; /* sizeof(eddy_error_facts), set by eddy */
    int32_t code;  /* EDDY_E...; 0: all that came when the log was full, as one */
    uint64_t count;
    int64_t first_ns;
    int64_t last_ns;
    char text[96]; /* the beginning of the message; # for numbers, '...' for names */
} eddy_error_facts;

/* Calls fn for each, at most 23, in no order, until it gives another value than 0, which is returned. */
EDDY_API int eddy_errors(eddy_store *store, int (*fn)(void *arg, const eddy_error_facts *error),
                         void *arg);

typedef struct eddy_member_facts {
    uint32_t slot;
    uint32_t generation;
    bool alive; /* proved by the kernel, not guessed from the pid */
    bool self;
    bool fences;    /* uses fences, since the kernel's membarrier is not to be had */
    uint32_t pid;   /* as in its own PID namespace */
    uint64_t pidns; /* inode of that namespace */
    uint32_t uid;
    char command[17];
    int64_t since_ns;
    uint32_t threads;  /* slots of threads that it holds */
    uint32_t inside;   /* threads that are inside the library now */
    uint32_t readers;  /* open readers that wait or borrow */
    uint64_t position; /* of the reader that is furthest behind; 0: none */
    uint64_t pinned;   /* bytes held by borrowed events */
    uint64_t owned;    /* bytes of extents that it fills */
} eddy_member_facts;

/* Calls fn for each process that has the store open or died with it open, until fn gives a value
 * other than 0, which is returned. Read-only handles are in no list. */
EDDY_API int eddy_members(eddy_store *store, int (*fn)(void *arg, const eddy_member_facts *facts),
                          void *arg);

/* Looks through everything in the store, reading only, in bounded time also if it is damaged, and
 * calls fn for each thing that is wrong. Sound on a store in use. Returns 0, or EDDY_ECORRUPT if
 * anything was wrong. fn may be NULL. room: which part of eddy; text: what and where. */
EDDY_API int eddy_check(eddy_store *store,
                        void (*fn)(void *arg, const char *room, const char *text), void *arg);

#ifdef __cplusplus
}
#endif
#endif
