/* A file of blocks, each with a checksum: what a snapshot of a store is written into. FORMAT.md has
 * the format. The blocks' contents are no business of this room.
 *
 * A file is written under another name, or none, and gets its own when it is whole and on the disk:
 * who looks finds the old one or the new one. Reading trusts nothing: a block is given out only if
 * it is whole, has its checksum, and stands where it was written.
 */
#ifndef EDDY_BLOCKFILE_H
#define EDDY_BLOCKFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    EDDY_BLOCKFILE_FORMAT = 1,
    EDDY_BLOCKFILE_MOST = 256 << 10 /* bytes of a block, unless it is one record that is larger */
};

struct eddy_blockfile_head {
    uint8_t magic[8];
    uint32_t format;
    uint32_t zero;
    uint64_t id;   /* random: no two files have the same */
    uint64_t hash; /* of all before */
};

struct eddy_blockfile_block {
    uint64_t hash;   /* of the rest of this header and the contents, seeded with that of the block
                      before; of the first, with the one in the file's head */
    uint32_t length; /* of the contents, in bytes */
    uint32_t records;
    uint64_t number; /* 0, 1, 2 ... */
    uint16_t kind;
    uint16_t zero[3];
};

/* ---- writing ---- */

struct eddy_blockfile_out {
    char *path;
    char *temporary; /* what it is called meanwhile; NULL: it has no name yet */
    int fd;          /* -1: none */
    uint64_t at;     /* bytes written */
    uint64_t first;  /* the hash of the head */
    uint64_t chain;  /* the hash before */
    uint64_t number;
    uint16_t kind; /* of the block that is being filled; 0: none */
    uint32_t records;
    unsigned char *bytes; /* its header and contents */
    size_t len;           /* of the contents, so far */
    size_t room;
};

/* Begins a file for this path; *out is zeroed. What stands there now must be such a file, or empty. 0
 * or an error. Ended by one of the last two. */
int eddy_blockfile_create(struct eddy_blockfile_out *out, const char *path, mode_t mode);
/* Adds a record of this kind: so many bytes and, behind them, so many more. 0 or an error. */
int eddy_blockfile_add(struct eddy_blockfile_out *out, uint16_t kind, const void *fixed,
                       size_t size, const void *rest, size_t rest_size);
/* Forgets all records that were added. */
void eddy_blockfile_restart(struct eddy_blockfile_out *out);
/* Writes all of it to the disk and gives it its name; *bytes is its size. 0, or an error, and then
 * there is nothing. */
int eddy_blockfile_finish(struct eddy_blockfile_out *out, uint64_t *bytes);
/* Nothing remains of it. Does nothing after eddy_blockfile_finish(). */
void eddy_blockfile_abandon(struct eddy_blockfile_out *out);

/* ---- reading ---- */

struct eddy_blockfile_in {
    const char *path;
    int fd;
    uint64_t size;
    uint64_t block; /* where the present one begins */
    uint64_t next;  /* where the next one does */
    uint64_t chain;
    uint64_t number;
    uint16_t kind;
    uint32_t records;
    const unsigned char *contents;
    size_t length;
    unsigned char *bytes;
    size_t room;
};

/* Opens a file; path must live as long. 0; EDDY_ENOENT, EDDY_EACCESS, EDDY_ENOTSTORE (it is no such
 * file), EDDY_ELAYOUT (of another format), EDDY_ECORRUPT. To be closed in any case. */
int eddy_blockfile_open(struct eddy_blockfile_in *in, const char *path);
/* The next block: 1, 0 at the end of the file, or EDDY_ECORRUPT, which names byte and cause. */
int eddy_blockfile_next(struct eddy_blockfile_in *in);
/* Begins again with the first block. */
void eddy_blockfile_rewind(struct eddy_blockfile_in *in);
void eddy_blockfile_close(struct eddy_blockfile_in *in);
/* EDDY_ECORRUPT, about a place in the contents of the present block. */
int eddy_blockfile_damaged(const struct eddy_blockfile_in *in, size_t within, const char *format,
                           ...) __attribute__((format(printf, 3, 4)));

#endif
