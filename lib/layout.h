/* Everything that lives in shared memory, drawn, asserted and versioned: nothing shared is declared
 * anywhere else. Little-endian; every word is 8 bytes and aligned, futex words 4. Offsets are bytes
 * from the start of the arena; a shared word never holds a pointer, a pid or a descriptor that
 * means anything to another process.
 *
 *   0          superblock            4096
 *   ring       applied and N words   64
 *   waits      who sleeps            one mask for all, then groups {futex, mask}
 *   names      cells of the name trie's root
 *   members    slots of processes
 *   threads    slots of threads, each with two redo buffers
 *   readers    slots of readers that wait or borrow
 *   maps       bits for extents that may be had: hints (reserved as far as the mark)
 *   states     one line for each extent that there may be (reserved as far as the mark)
 *   extents    64 KiB each          (reserved as far as the mark)
 *
 * When something here changes, LAYOUT_MAJOR or _MINOR changes with it, in the same commit.
 */
#ifndef EDDY_LAYOUT_H
#define EDDY_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "atomics.h"

#define EDDY_MAGIC UINT64_C(0x31304552594444E5) /* not text, so that no text file is a store */
#define EDDY_LAYOUT_MAJOR 3u
#define EDDY_LAYOUT_MINOR 0u

enum {
    EDDY_EXTENT_BITS = 16,
    EDDY_EXTENT_SIZE = 1 << EDDY_EXTENT_BITS,
    EDDY_RESERVED_EXTENTS = 2, /* the first ones: for events that are moved to make room */
    EDDY_LINE = 64,
    EDDY_RING_WORDS = 4,
    EDDY_NAME_ROOT_BITS = 12, /* the name trie's root has 4,096 cells for streams, */
    EDDY_NAME_CELLS = 4096 + 64 + 512 + 512 + 64 + 512 + 64 + 64, /* of all families, below */
    EDDY_WAIT_GROUPS = 64, /* group 0 wakes for every transaction, the others by stream */
    EDDY_COUNTERS = 16,
    EDDY_CLASS_MAX = 15, /* of blocks: eddy_class_lines() */
    EDDY_MAPS = 20,
    EDDY_MAP_FREE = 0,
    EDDY_MAP_EVENTS = 1, /* and EDDY_MAP_EVENTS + class for nodes: 2 to 16 */
    EDDY_MAP_HOLES = 17,
    EDDY_MAP_LISTS = 18,
    EDDY_INLINE_SLOTS = 6, /* offsets of a stream's first versions, in its descriptor */
    EDDY_LEAF8 = 8,        /* the next ones, in a small leaf; then the trie of its versions */
    EDDY_NODE_BITS = 6,    /* slots of a node of a number trie: 64 */
    EDDY_HASH_BITS = 3,    /* cells of a node of a hash trie: 8 */
    EDDY_LIST_INLINE = 112 /* words of a redo list that lie in the buffer itself */
};

/* What a name is the name of. The upper bits of its hash say so, and choose among the cells of the
 * root: each family has cells of its own, so that to walk one is not to meet the others. */
enum {
    EDDY_FAMILY_STREAM = 0,
    EDDY_FAMILY_CHECKPOINT = 1,
    EDDY_FAMILY_STATE = 2,
    EDDY_FAMILY_SNAPSHOT = 3,
    EDDY_FAMILY_LIST = 4,
    EDDY_FAMILY_TXKEY = 5,
    EDDY_FAMILIES = 8,
    EDDY_FAMILY_SHIFT = 61
};
#define EDDY_FAMILY(hash) ((unsigned)((hash) >> EDDY_FAMILY_SHIFT))
#define EDDY_FAMILY_HASH(family) ((uint64_t)(family) << EDDY_FAMILY_SHIFT)

/* Bits of a hash that choose a cell of its family, and where that family's cells begin. */
static inline unsigned eddy_family_bits(unsigned family) {
    static const unsigned char bits[EDDY_FAMILIES] = {EDDY_NAME_ROOT_BITS, 6, 9, 9, 6, 9, 6, 6};
    return bits[family];
}
static inline unsigned eddy_family_cell(unsigned family) {
    static const unsigned short first[EDDY_FAMILIES] = {0,    4096, 4160, 4672,
                                                        5184, 5248, 5760, 5824};
    return first[family];
}

/* The locked byte of the file, beyond any data, that says that member slot i lives. Slot 0, and
 * thread slot 0, are the recovery slot: taken only to sweep the dead when all others are taken. */
#define EDDY_LOCK_LIFE (UINT64_C(1) << 62)
/* The byte that read-only handles lock for reading, and who gives memory back for writing. */
#define EDDY_LOCK_TRIM ((UINT64_C(1) << 62) - 1)
/* The byte that all who have an ephemeral store open lock for reading, and who ends it for writing. */
#define EDDY_LOCK_HERE ((UINT64_C(1) << 62) - 2)

/* ---- superblock ----------------------------------------------------------------------------
 *
 *      0  magic             written last by who makes the store; constant from then on, as is
 *      8  layout            major << 16 | minor                                   all of this line
 *     12  page_size         and the next
 *     16  fingerprint       of every size and offset in this header
 *     24  feature_compat    bits that an older eddy may ignore
 *     32  feature_ro        bits that an older eddy may ignore when it only reads
 *     40  feature_incompat  bits that it must know
 *     48  cap               bytes
 *     56  store_id          random, tells two stores of one name apart
 *     64  members_max, threads_max, readers_max, wait_words      (u32 each)
 *     80  ring_off   88 waits_off   96 names_off   104 members_off   112 threads_off
 *    120  readers_off 128 states_off 136 extents_off 144 extents_max 152 hash_seed
 *    160  created_ns 168 hash_keep  (bits of a name's hash that are used; less than 64 in tests)
 *    176  writer     (char[56]: the version of eddy that made it)
 *    232  flags      EDDY_SUPER_EPHEMERAL
 *    240  maps_off
 *    248  revision_base     of entries: revision = this + number of the transaction + 1
 *    256  reserved          extents that are reserved: only grows (maximum)
 *    264  fresh             extents that were ever taken: only grows (by one at a time, CAS)
 *    320  era               only grows
 *    512  offsets_root      cell: trie of offset -> event
 *    520  streams_root      cell: trie of stream number -> descriptor
 *    528  limits_root       cell: the limits that are set, a block
 *    536  keys_first        cell: the oldest answer that is kept for a key of a transaction
 *    544  keys_last         cell: the newest
 *    552  captured          cell: entries that were replaced or deleted while somebody takes a
 *                           snapshot of the store: the last one, which leads to the one before it;
 *                           a mark: EDDY_CAPTURE_ON there are none yet, else nobody does
 *    560  capturing         {1 + number of the transaction that began it:48, member:16}: maximum
 *    576  genesis           redo header of the state before the first transaction: constant
 *    704  floor             events up to this offset are gone: maximum          by records only
 *    712  cuts              1 + number of the last transaction that removed events of single
 *                           streams, 0 if there was none: maximum               by records only
 *    768  reclaimed         offsets up to this one lead to nothing any more: maximum
 *    776  dues              +1 by who left something to be found by looking at all extents
 *    784  done              of dues: maximum, by who has looked at all of them since
 *    792  maintainer        {thread:32, member:16, LIVE:16} who is at maintenance, 0 nobody: a hint
 *    800  ended             1: an ephemeral store that the last process has left: written into the
 *                           file by who then takes its name away (life.c)
 *    832  lowest[20]        {tag:32, word:32} of each map: no bit is set in the words before it; a
 *                           new tag with each bit that is set: a hint
 *   1152  error[23]         distinct errors, below
 *
 * Events that are there now are those above the floor, but for `holes`.
 */
struct eddy_shm_redo {
    eddy_word seq;         /*  0 number of the transaction */
    eddy_word next_offset; /*  8 the offset after its last event */
    eddy_word time_ns;     /* 16 of recording, never earlier than its predecessor's */
    eddy_word bytes_in;    /* 24 totals, absolute: of all events ever appended */
    eddy_word floor;       /* 32 events up to this offset are gone */
    eddy_word floor_bytes; /* 40 bytes_in as it was when that offset was the last */
    eddy_word holes;       /* 48 events above the floor that are gone */
    eddy_word holes_bytes; /* 56 */
    eddy_word streams_in;  /* 64 streams ever made: the last stream number */
    eddy_word streams;     /* 72 streams there now */
    eddy_word names;       /* 80 names known, of removed streams too */
    eddy_word groups;      /* 88 wait groups it touches, a bit each */
    eddy_word words;       /* 96 length of the list, in words */
    eddy_word list_off;    /* 104 where it lies, if not inline: 0 */
    eddy_word hold;        /* 112 1 + lowest offset of checkpoints that hold retention; 0: none */
    eddy_word spare[1];    /* 120 */
};
static_assert(sizeof(struct eddy_shm_redo) == 128, "redo header");
static_assert(offsetof(struct eddy_shm_redo, groups) == 88, "redo header");

/* A distinct error.
 *
 *      0  what    hash of code and text; 0: free. Set once
 *      8  code    as a positive number, and once the text is whole: so it comes last
 *     16  count   24  first_ns   32  last_ns
 *     40  text    cut to 88 bytes
 */
struct eddy_shm_error {
    eddy_word what;
    eddy_word code;
    eddy_word count;
    eddy_word first_ns;
    eddy_word last_ns;
    eddy_word text[11];
};
static_assert(sizeof(struct eddy_shm_error) == 128, "error");
enum { EDDY_ERROR_SLOTS = 23 };
enum { EDDY_SUPER_EPHEMERAL = 1 };

struct eddy_shm_super {
    eddy_word magic;
    uint32_t layout;
    uint32_t page_size;
    uint64_t fingerprint;
    uint64_t feature_compat;
    uint64_t feature_ro;
    uint64_t feature_incompat;
    uint64_t cap;
    uint64_t store_id;
    uint32_t members_max;
    uint32_t threads_max;
    uint32_t readers_max;
    uint32_t wait_words;
    uint64_t ring_off;
    uint64_t waits_off;
    uint64_t names_off;
    uint64_t members_off;
    uint64_t threads_off;
    uint64_t readers_off;
    uint64_t states_off;
    uint64_t extents_off;
    uint64_t extents_max;
    uint64_t hash_seed;
    int64_t created_ns;
    uint64_t hash_keep;
    char writer[56];
    uint64_t flags;
    uint64_t maps_off;
    uint64_t revision_base;
    eddy_word reserved; /* 256: by whoever grows the store; read by all who take extents */
    eddy_word fresh;
    uint64_t pad1[6];
    eddy_word era; /* 320: by maintenance; read at every entry */
    uint64_t pad2[23];
    eddy_word offsets_root; /* 512: by records only */
    eddy_word streams_root;
    eddy_word limits_root;
    eddy_word keys_first;
    eddy_word keys_last;
    eddy_word captured;
    eddy_word capturing;
    uint64_t pad3[1];
    struct eddy_shm_redo genesis;
    eddy_word floor; /* 704: by records; read by all who read */
    eddy_word cuts;
    uint64_t pad4[6];
    eddy_word reclaimed; /* 768: by maintenance */
    eddy_word dues;
    eddy_word done;
    eddy_word maintainer;
    eddy_word ended; /* 800: once */
    uint64_t pad5[3];
    eddy_word lowest[EDDY_MAPS]; /* 832: by whoever frees or takes */
    uint64_t pad6[20];
    struct eddy_shm_error error[EDDY_ERROR_SLOTS]; /* 1152: by who meets one */
};
static_assert(sizeof(struct eddy_shm_super) == 4096, "superblock");
static_assert(offsetof(struct eddy_shm_super, members_max) == 64, "superblock");
static_assert(offsetof(struct eddy_shm_super, writer) == 176, "superblock");
static_assert(offsetof(struct eddy_shm_super, reserved) == 256, "superblock");
static_assert(offsetof(struct eddy_shm_super, era) == 320, "superblock");
static_assert(offsetof(struct eddy_shm_super, flags) == 232, "superblock");
static_assert(offsetof(struct eddy_shm_super, lowest) == 832, "superblock");
static_assert(offsetof(struct eddy_shm_super, ended) == 800, "superblock");
static_assert(offsetof(struct eddy_shm_super, error) == 1152, "superblock");
static_assert(offsetof(struct eddy_shm_super, captured) == 552, "superblock");
static_assert(offsetof(struct eddy_shm_super, maps_off) == 240, "superblock");
static_assert(offsetof(struct eddy_shm_super, offsets_root) == 512, "superblock");
static_assert(offsetof(struct eddy_shm_super, genesis) == 576, "superblock");
static_assert(offsetof(struct eddy_shm_super, floor) == 704, "superblock");
static_assert(offsetof(struct eddy_shm_super, reclaimed) == 768, "superblock");

/* ---- ring ----------------------------------------------------------------------------------
 *
 *      0  applied   every transaction below is in the indexes; +1 at a time, by who applied it
 *      8  word[4]   {round:50, buffer:14}: round(s) = s / 4 + 1; 0 at first. The word of
 *                   transaction s is word[s % 4]; it is empty as long as it holds the round before
 *     40  mask_words  words of the masks of waiters that were ever used: maximum, by who waits
 */
struct eddy_shm_ring {
    eddy_word applied;
    eddy_word word[EDDY_RING_WORDS];
    eddy_word mask_words;
    uint64_t pad[2];
};
static_assert(sizeof(struct eddy_shm_ring) == EDDY_LINE, "ring");

/* ---- waits ---------------------------------------------------------------------------------
 *
 * wait_words words: a bit for each reader slot, set while that reader sleeps on any group; then for
 * each group a line with its futex word and wait_words words, the same bits. A bit is set and
 * cleared by the reader that owns it, or by who sweeps it. Each part starts on a line of its own.
 */
struct eddy_shm_group {
    eddy_word32 futex; /* only ever added to */
    uint32_t pad;
    eddy_word mask[]; /* wait_words of them */
};

/* ---- member --------------------------------------------------------------------------------
 *
 *      0  state      {generation:48, state:16}; generation + 1 by who joins, FREE by who sweeps
 *      8  pid        as in its own namespace: for people to read
 *     12  uid
 *     16  pidns      inode of the namespace
 *     24  since_ns
 *     32  command    char[16]
 *     48  fences     1: its threads fence, since they cannot rely on membarrier
 *     56  (zero to 128)
 */
enum { EDDY_MEMBER_FREE = 0, EDDY_MEMBER_LIVE = 1 };
struct eddy_shm_member {
    eddy_word state;
    eddy_word32 pid;
    eddy_word32 uid;
    eddy_word pidns;
    eddy_word since_ns;
    eddy_word command[2];
    eddy_word fences;
    uint64_t pad[9];
};
static_assert(sizeof(struct eddy_shm_member) == 128, "member");
static_assert(offsetof(struct eddy_shm_member, command) == 32, "member");

/* ---- thread --------------------------------------------------------------------------------
 *
 *      0  state      {generation:32, member:16, LIVE:16}; 0 in the low half: free
 *      8  lo, hi     eras that this thread may see into; lo 0: it is outside
 *     24  retiring   1: there may be blocks that are retired in this member's name, by this thread
 *     64  counters   16, by the owner alone; they outlive the owner, and are summed when asked for
 *    192  buffer 0   redo header (128) and 112 words of list
 *   1216  buffer 1
 *   2240  (to 2304)
 * A buffer is written by the owner, and only while the word of transaction applied - 1 does not
 * name it. It is of one kind for ever, and never swept.
 */
struct eddy_shm_buffer {
    struct eddy_shm_redo head;
    eddy_word list[EDDY_LIST_INLINE];
};
static_assert(sizeof(struct eddy_shm_buffer) == 1024, "buffer");
struct eddy_shm_thread {
    eddy_word state;
    eddy_word lo;
    eddy_word hi;
    eddy_word retiring;
    uint64_t pad0[4];
    eddy_word counter[EDDY_COUNTERS];
    struct eddy_shm_buffer buffer[2];
    uint64_t pad1[8];
};
static_assert(sizeof(struct eddy_shm_thread) == 2304, "thread");
static_assert(offsetof(struct eddy_shm_thread, counter) == 64, "thread");
static_assert(offsetof(struct eddy_shm_thread, buffer) == 192, "thread");

/* ---- reader --------------------------------------------------------------------------------
 *
 *      0  state      {generation:32, member:16, LIVE:16}
 *      8  position   the last offset looked at
 *     16  pin        index of the extent of a borrowed event, + 1; 0: none
 *     24  borrows    1: it may pin
 *     32  follows    1: it follows
 *     40  (to 64: zero)
 */
struct eddy_shm_reader {
    eddy_word state;
    eddy_word position;
    eddy_word pin;
    eddy_word borrows;
    eddy_word follows;
    uint64_t pad[3];
};
static_assert(sizeof(struct eddy_shm_reader) == EDDY_LINE, "reader");

/* ---- maps ----------------------------------------------------------------------------------
 *
 * For each kind of extent that may be had, a bit for each extent: free ones, partly filled ones of
 * events, of nodes of class 1, 2, ..., those without memory, redo lists that were left. A bit says
 * where to look; the state word says what is there. Set by who makes the extent so, cleared by who
 * takes it, or finds that it is not so. Each map takes whole pages.
 */

/* ---- extent states -------------------------------------------------------------------------
 *
 *      0  state  {generation:32, state:8, 0:8, member:16}: FREE (under the generation of its next
 *                use) -> OWNED -> PARTIAL -> OWNED ... -> SEALED -> OWNED -> FREE. A partial
 *                extent has contents and room, and nobody fills it at present.
 *      8  info   {kind:8, class:8, run:32}: by the owner, after it took the extent
 *     16  fill   {events:32, bytes:32} whole blocks in it (event extents): by the owner, after the
 *                block
 *     24  (zero)
 *     32  birth, retired   eras
 *     48  dead   {events:32, bytes:32} of those, events that nothing leads to any more: added by who
 *                removed the last way to them: a hint. In extents of nodes: blocks that are retired
 *                or free again
 *     56  (zero)
 */
enum {
    EDDY_FREE = 0,
    EDDY_OWNED = 1,
    EDDY_LINKED = 2,  /* blocks: a record refers to it */
    EDDY_PARTIAL = 2, /* extents */
    EDDY_SEALED = 3,
    EDDY_CONDEMNED = 4, /* blocks: nothing will lead to it */
    EDDY_RETIRED = 5,   /* blocks: nothing does; waits for who may still see it */
    EDDY_EMPTYING = 6,  /* extents: a member gives its memory to the system, or takes it back */
    EDDY_HOLE = 7       /* extents: without memory; free under the generation of its next use */
};
enum {
    EDDY_KIND_NONE = 0,
    EDDY_KIND_EVENTS = 1, /* event blocks and heads, one after the other */
    EDDY_KIND_NODES = 2,  /* blocks of one class: eddy_class_lines() each */
    EDDY_KIND_LARGE = 3,  /* one head and one event, in `run` extents */
    EDDY_KIND_REST = 4,   /* the other extents of a run */
    EDDY_KIND_LIST = 5    /* a redo list, in `run` extents */
};
struct eddy_shm_extent {
    eddy_word state;
    eddy_word info;
    eddy_word fill;
    uint64_t pad0;
    eddy_word birth;
    eddy_word retired;
    eddy_word dead;
    uint64_t pad1;
};
static_assert(sizeof(struct eddy_shm_extent) == EDDY_LINE, "extent state");
#define EDDY_FILL(events, bytes) ((uint64_t)(events) << 32 | (uint64_t)(bytes))
#define EDDY_FILL_EVENTS(w) ((uint32_t)((w) >> 32))
#define EDDY_FILL_BYTES(w) ((uint32_t)(w))

#define EDDY_STATE(gen, state, member)                                                             \
    ((uint64_t)(gen) << 32 | (uint64_t)(state) << 24 | (uint64_t)(member))
#define EDDY_STATE_GEN(w) ((uint32_t)((w) >> 32))
#define EDDY_STATE_OF(w) ((unsigned)((w) >> 24 & 0xff))
#define EDDY_STATE_MEMBER(w) ((uint32_t)((w)&0xffff))
#define EDDY_INFO(kind, class, run)                                                                \
    ((uint64_t)(kind) << 56 | (uint64_t)(class) << 48 | (uint64_t)(run))
#define EDDY_INFO_KIND(w) ((unsigned)((w) >> 56))
#define EDDY_INFO_CLASS(w) ((unsigned)((w) >> 48 & 0xff))
#define EDDY_INFO_RUN(w) ((uint32_t)(w))

/* ---- node ----------------------------------------------------------------------------------
 *
 * A block of an extent of kind NODES: a node of a trie, or a descriptor of a stream.
 *
 *      0  state    {generation:32, state:8, 0:8, member:16}: FREE -> OWNED -> LINKED -> CONDEMNED
 *                  -> RETIRED -> FREE of the next generation: only grows
 *      8  birth, retired
 *     24  shape    {kind:8, shift:8, bits:8}: constant while it lives
 *     32  home     the cell that is the root of its trie
 *     40  base     the first number under it (number trie), or a hash under it (hash trie)
 *     48  sum      leaves of offsets and of versions: bytes of all events of the store, or of the
 *                  stream, that come before its first number: constant while it lives. In the list
 *                  of a shard: the highest event time that there was under it, sign flipped: maximum
 *     56  low      in the list of a shard: the complement of the lowest: maximum
 *     64  slot     1 << bits of them
 *
 * A cell or slot holds 0, then a reference (the offset of a block), then perhaps others, or a mark
 * (odd: TOMB), never an earlier value again while its block lives. Leaves of version tries
 * hold offsets of events; leaves of the offset trie hold references to event blocks, and at last
 * TOMB of the block's size, so that it is known how much has gone. Cells that records change hold
 * TOMB of the record's number. Slots of lists hold twice a number; in the list of a shard at last
 * TOMB of it.
 */
enum {
    EDDY_BLOCK_NODE = 1,
    EDDY_BLOCK_STREAM = 2,
    EDDY_BLOCK_LIMITS = 3,
    EDDY_BLOCK_ENTRY = 4,
    EDDY_BLOCK_MORE = 5 /* of an entry's bytes */
};
struct eddy_shm_block {
    eddy_word state;
    eddy_word birth;
    eddy_word retired;
    eddy_word shape;
};
struct eddy_shm_node {
    struct eddy_shm_block block;
    eddy_word home;
    eddy_word base;
    eddy_word sum;
    eddy_word low;
    eddy_word slot[];
};
static_assert(sizeof(struct eddy_shm_node) == 64, "node");
#define EDDY_SHAPE(kind, shift, bits)                                                              \
    ((uint64_t)(kind) << 56 | (uint64_t)(shift) << 48 | (uint64_t)(bits) << 40)
#define EDDY_SHAPE_KIND(w) ((unsigned)((w) >> 56))
#define EDDY_SHAPE_SHIFT(w) ((unsigned)((w) >> 48 & 0xff))
#define EDDY_SHAPE_BITS(w) ((unsigned)((w) >> 40 & 0xff))
#define EDDY_NODE_CLASS(bits) ((unsigned)(1 + ((1u << (bits)) + 7) / 8))
#define EDDY_TOMB(seq) ((uint64_t)(seq) << 1 | 1)
#define EDDY_IS_TOMB(cell) (((cell)&1) != 0)
#define EDDY_TOMB_OF(cell) ((cell) >> 1)

/* ---- stream descriptor ---------------------------------------------------------------------
 *
 *      0  block      shape {kind, 0, 0}
 *     32  hash       of the name
 *     40  name_len
 *     48  number     of the stream, from 1
 *     56  collision  the next descriptor with the same hash, or a mark
 *     64  version    the last there has been: maximum
 *     72  bytes_in   of its events, ever: maximum
 *     80  first      versions up to this one were removed: maximum. Those that lie below the
 *                    store's floor are gone too, and are not counted here
 *     88  removed    1 + the version at which the stream was removed: maximum. It is there no
 *                    more as long as that is 1 + its version
 *     96  reclaimed  versions up to this one lead to nothing any more: maximum, by maintenance
 *    104  leaf8      cell: versions 7 to 14
 *    112  root       cell: trie of versions from 15, by version - 15
 *    120  (zero)
 *    128  slot       offsets of versions 1 to 6
 *    176  name       up to 255 bytes
 *
 * The descriptor of a list has the same form. Its name is {kind (1), number (8, big-endian)}, its hash
 * of the family LIST, its number that of the transaction that made it, plus 1; its version is the last
 * ordinal, and `reclaimed` the one up to which all are marks; bytes_in, first and removed stay 0.
 */
struct eddy_shm_stream {
    struct eddy_shm_block block;
    eddy_word hash;
    eddy_word name_len;
    eddy_word number;
    eddy_word collision;
    eddy_word version;
    eddy_word bytes_in;
    eddy_word first;
    eddy_word removed;
    eddy_word reclaimed;
    eddy_word leaf8;
    eddy_word root;
    uint64_t pad;
    eddy_word slot[EDDY_INLINE_SLOTS];
    unsigned char name[];
};
static_assert(offsetof(struct eddy_shm_stream, version) == 64, "descriptor");
static_assert(offsetof(struct eddy_shm_stream, leaf8) == 104, "descriptor");
static_assert(offsetof(struct eddy_shm_stream, slot) == 128, "descriptor");
static_assert(offsetof(struct eddy_shm_stream, name) == 176, "descriptor");
#define EDDY_STREAM_CLASS(name_len) ((unsigned)((176 + (name_len) + 63) / 64))

/* ---- entries -------------------------------------------------------------------------------
 *
 * What stands under a key, in a trie like that of the streams: an immutable block, replaced whole by
 * the record that puts another. Its beginning is that of a descriptor, up to `collision`.
 *
 *      0  block        shape {kind, 0, 0}
 *     32  hash         of the key; its family says what it is
 *     40  name_len
 *     48  revision
 *     56  collision    the next entry with the same hash, or a mark
 *     64  value        of a checkpoint its offset; of a state or a snapshot its version
 *     72  time_ns      given by who put it, else of recording
 *     80  recorded_ns
 *     88  flags        EDDY_HOLD of the interface
 *     96  aux          shard
 *    104  lengths      {data:32, metadata:32}
 *    112  more         the next block of its data: 0 if all is in this one
 *    120  next         0, then once the next one in a list that it is in: of a key of a transaction
 *                      the next younger one; of others, once they are captured, what was `captured`
 *                      before
 *    128  name         up to 264 bytes; then data and metadata, as far as they fit
 *
 * The key of a checkpoint is its name and its shard, that of a stream's snapshot the stream's name and
 * the version: numbers of 8 bytes, the highest first. Under a stream's name and 2^64 - 1 stands a
 * list of the versions of its snapshots, 8 bytes each, in order.
 */
struct eddy_shm_keyed {
    struct eddy_shm_block block;
    eddy_word hash;
    eddy_word name_len;
    eddy_word number;
    eddy_word collision;
};
static_assert(sizeof(struct eddy_shm_keyed) == 64, "what has a name");
static_assert(offsetof(struct eddy_shm_stream, collision) ==
                  offsetof(struct eddy_shm_keyed, collision),
              "descriptors have names");
struct eddy_shm_entry {
    struct eddy_shm_keyed keyed;
    eddy_word value;
    eddy_word time_ns;
    eddy_word recorded_ns;
    eddy_word flags;
    eddy_word aux;
    eddy_word lengths;
    eddy_word more;
    eddy_word next;
    unsigned char name[];
};
static_assert(offsetof(struct eddy_shm_entry, name) == 128, "entry");

/* The answer to a transaction that had a key: an entry under that key, and one of a queue, from the oldest
 * (`keys_first`) to the newest (`keys_last`), in the order of their times. As an entry, but for
 *
 *     64  number       in the queue: one more than that of the one before it, when it was put
 *     72  after        cell: the next newer one; 0 or a mark: it is the newest
 *     96  before       cell: the next older one; 0 or a mark: it is the oldest
 *
 * Its data is what was answered: struct eddy_shm_answered.
 */
struct eddy_shm_answer {
    struct eddy_shm_keyed keyed;
    eddy_word number;
    eddy_word after;
    eddy_word recorded_ns;
    eddy_word flags;
    eddy_word before;
    eddy_word lengths;
    eddy_word more;
    eddy_word next;
    unsigned char name[];
};
static_assert(sizeof(struct eddy_shm_answer) == sizeof(struct eddy_shm_entry), "answer");
static_assert(offsetof(struct eddy_shm_answer, number) == offsetof(struct eddy_shm_entry, value),
              "answer");
static_assert(offsetof(struct eddy_shm_answer, after) == offsetof(struct eddy_shm_entry, time_ns),
              "answer");
static_assert(offsetof(struct eddy_shm_answer, recorded_ns) ==
                  offsetof(struct eddy_shm_entry, recorded_ns),
              "answer");
static_assert(offsetof(struct eddy_shm_answer, before) == offsetof(struct eddy_shm_entry, aux),
              "answer");
struct eddy_shm_answered {
    uint64_t first_offset;
    uint64_t events; /* of the transaction */
    uint64_t last_version;
    uint64_t removed;
    uint64_t revision;
};
static_assert(sizeof(struct eddy_shm_answered) == 40, "answered");
enum { EDDY_KEY_MAX = 264 };
/* What `captured` holds: a mark of the record that began or ended it, or an entry. */
#define EDDY_CAPTURE_ON(seq) EDDY_TOMB((uint64_t)(seq) << 1 | 1)
#define EDDY_CAPTURE_OFF(seq) EDDY_TOMB((uint64_t)(seq) << 1)
#define EDDY_CAPTURE_IS_ON(w) ((w) != 0 && (!EDDY_IS_TOMB(w) || (EDDY_TOMB_OF(w) & 1) != 0))
#define EDDY_CAPTURING(seq, member) (((uint64_t)(seq) + 1) << 16 | (uint64_t)(member))
#define EDDY_CAPTURING_SEQ(w) (((w) >> 16) - 1)
#define EDDY_CAPTURING_MEMBER(w) ((uint32_t)((w)&0xffff))

/* Further bytes of an entry, which do not fit into its own block of 32 KiB: a block of as many, and the
 * last one as small as will do. Made, condemned and freed with the entry.
 *
 *      0  block   shape {kind, 0, 0}
 *     32  owner   offset of the entry
 *     40  next    the next such block, or 0
 *     48  (zero)
 *     64  bytes
 */
struct eddy_shm_more {
    struct eddy_shm_block block;
    eddy_word owner;
    eddy_word next;
    uint64_t pad[2];
    unsigned char bytes[];
};
static_assert(sizeof(struct eddy_shm_more) == 64, "further bytes");
enum {
    EDDY_BLOCK_MAX = EDDY_EXTENT_SIZE / 2,
    EDDY_MORE_BYTES = EDDY_BLOCK_MAX - (int)sizeof(struct eddy_shm_more)
};
#define EDDY_ENTRY_CLASS(name_len) ((unsigned)((128 + (name_len) + 63) / 64))

/* ---- limits --------------------------------------------------------------------------------
 *
 * What the store may hold: an immutable block, replaced whole by the record that sets others.
 *
 *      0  block      shape {kind, 0, 0}
 *     32  flags      EDDY_DROP_... of the interface
 *     40  events, bytes, streams, stream_events, names, age_ns     0: no limit
 *     88  keys, keys_age_ns    0: what is usual
 *    104  (zero to 128)
 */
struct eddy_shm_limits {
    struct eddy_shm_block block;
    eddy_word flags;
    eddy_word events;
    eddy_word bytes;
    eddy_word streams;
    eddy_word stream_events;
    eddy_word names;
    eddy_word age_ns;
    eddy_word keys;
    eddy_word keys_age_ns;
    uint64_t pad[3];
};
static_assert(sizeof(struct eddy_shm_limits) == 128, "limits");
enum { EDDY_LIMITS_CLASS = 2 };

/* ---- events --------------------------------------------------------------------------------
 *
 * In an extent of kind EVENTS or LARGE, blocks lie one after the other, each a multiple of 8 bytes.
 * A transaction's events in one extent are a *part*; each part has a head, which says what all of
 * them share, and is all that is written anew when a commit is tried again.
 *
 *   head    0  size      bytes, whole block (u32)
 *           4  kind      HEAD (u16)   6 streams (u16)
 *           8  tx_offset offset of the transaction's first event
 *          16  recorded_ns
 *          24  first     index in the transaction of the part's first event (u32)
 *          28  tx_count  events in the transaction (u32)
 *          32  {stream, version} for each stream of the part: its descriptor, and the version of
 *              its first event here
 *
 *   event   0  size      in units of 8 bytes (u32)
 *           4  kind      EVENT (u16)   6 flags (u16)
 *           8  data_len  (u32)        12 meta_len (u32)
 *          16  head      of its part, from the start of the extent, in units of 8 bytes (u16)
 *          18  index     in the part (u16)
 *          20  stream    which of the head's (u16)   22 step  versions after the head's (u16)
 *          24  type_len  (u16)        26 id_len (u16)   28 (zero)
 *          32  [time_ns] [shard]     as the flags say; then data, metadata, type, id
 */
enum { EDDY_BLOCK_HEAD = 0x4845, EDDY_BLOCK_EVENT = 0x4556 };
enum { EDDY_EVENT_TIME = 1, EDDY_EVENT_SHARD = 2, EDDY_EVENT_FLAGS = 3 };
struct eddy_shm_part {
    uint64_t stream;
    uint64_t version;
};
struct eddy_shm_head {
    uint32_t size;
    uint16_t kind;
    uint16_t streams;
    uint64_t tx_offset;
    int64_t recorded_ns;
    uint32_t first;
    uint32_t tx_count;
    struct eddy_shm_part part[];
};
static_assert(sizeof(struct eddy_shm_head) == 32, "head");
struct eddy_shm_event {
    uint32_t size8;
    uint16_t kind;
    uint16_t flags;
    uint32_t data_len;
    uint32_t meta_len;
    uint16_t head8;
    uint16_t index;
    uint16_t stream;
    uint16_t step;
    uint16_t type_len;
    uint16_t id_len;
    uint32_t zero;
};
static_assert(sizeof(struct eddy_shm_event) == 32, "event");

/* ---- redo list -----------------------------------------------------------------------------
 *
 * Entries of a head word {kind:8, count:8, offset of the word to change:48} and operands:
 *   SET   value           0 -> value
 *   RUN   base            slot k: 0 -> base + k, k < count; slots that maintenance never changes
 *   REFS  values[count]   as SET, for count slots one after the other (at most 7)
 *   SWAP  old, value      cells that lead to nodes and descriptors
 *   MAX   value           at least value; of a block's state: it is condemned
 */
enum {
    EDDY_REDO_SET = 1,
    EDDY_REDO_RUN = 2,
    EDDY_REDO_REFS = 3,
    EDDY_REDO_SWAP = 4,
    EDDY_REDO_MAX = 5
};
enum { EDDY_REDO_REFS_MAX = 7 };
#define EDDY_REDO(kind, count, off)                                                                \
    ((uint64_t)(kind) << 56 | (uint64_t)(count) << 48 | (uint64_t)(off))
#define EDDY_REDO_KIND(w) ((unsigned)((w) >> 56))
#define EDDY_REDO_COUNT(w) ((unsigned)((w) >> 48 & 0xff))
#define EDDY_REDO_OFF(w) ((w)&UINT64_C(0xffffffffffff))

/* Blocks of classes 1 to 9 have so many lines; of 10 to 15: 16, 32, ... 512, so up to half an extent. */
static inline uint32_t eddy_class_lines(unsigned class_) {
    unsigned steps = class_ < EDDY_CLASS_MAX ? class_ - 10 : EDDY_CLASS_MAX - 10;
    return class_ <= 9 ? class_ : UINT32_C(16) << steps;
}
/* The smallest class of blocks of at least so many bytes, which are at most 32 KiB. */
static inline unsigned eddy_class_for(uint64_t bytes) {
    unsigned class_ =
        bytes <= UINT64_C(9) * EDDY_LINE ? (unsigned)((bytes + EDDY_LINE - 1) / EDDY_LINE) : 10;
    while (class_ >= 10 && class_ < EDDY_CLASS_MAX &&
           (uint64_t)eddy_class_lines(class_) * EDDY_LINE < bytes) {
        class_++;
    }
    return class_ ? class_ : 1;
}

/* Where the fixed parts lie, computed from the options when a store is made, and again to check
 * when one is opened. */
struct eddy_layout_sizes {
    uint64_t cap;
    uint32_t members;
    uint32_t threads;
};
/* Fills in the constant fields of a superblock (all but magic, ids, times). */
void eddy_layout_plan(struct eddy_shm_super *super, const struct eddy_layout_sizes *sizes);
uint64_t eddy_layout_fingerprint(const struct eddy_shm_super *super);
/* Bytes of a map, of so many extents. */
uint64_t eddy_layout_map_size(uint64_t extents_max);
/* Bytes of a group's line or lines. */
uint64_t eddy_layout_group_size(uint32_t wait_words);

#endif
