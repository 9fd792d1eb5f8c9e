/* I1  The path leads to what was there before, or to a whole file that is on the disk. A death
 *     before that leaves nothing, or, where files cannot be without a name, one called .NAME.new-*.
 * I2  Every byte of a file is under a checksum, and each checksum depends on all before it: so a
 *     block that is lost, moved, or of another file is found, as is one that was changed.
 */
#include "blockfile.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "platform.h"

static_assert(sizeof(struct eddy_blockfile_head) == 32, "head of the file");
static_assert(sizeof(struct eddy_blockfile_block) == 32, "header of a block");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian, as eddy is");

static const uint8_t MAGIC[8] = {0x89, 'e', 'd', 'd', 'y', '\r', '\n', 0x1a};
enum { HEAD = sizeof(struct eddy_blockfile_head), BLOCK = sizeof(struct eddy_blockfile_block) };

static uint64_t hash_of_head(const struct eddy_blockfile_head *h) {
    return eddy_platform_hash(h, offsetof(struct eddy_blockfile_head, hash), 0);
}

/* `block` has its contents behind it. */
static uint64_t hash_of_block(const unsigned char *block, size_t length, uint64_t before) {
    return eddy_platform_hash(block + 8, BLOCK - 8 + length, before);
}

static int failed(int error, const char *what, const char *path) {
    switch (-error) {
    case ENOENT:
        return eddy_error_set(EDDY_ENOENT, "%s: there is no such file, or no directory for it",
                              path);
    case EACCES:
    case EPERM:
    case EROFS:
        return eddy_error_set(EDDY_EACCESS, "%s: %s: %s (uid %u)", path, what, strerror(-error),
                              (unsigned)geteuid());
    case ENOSPC:
    case EDQUOT:
        return eddy_error_set(EDDY_EFULL,
                              "%s: %s: no room is left on its file system: make some, or write the "
                              "snapshot elsewhere",
                              path, what);
    case EFBIG:
        return eddy_error_set(EDDY_EFULL, "%s: %s: the limit on the size of files (ulimit -f)",
                              path, what);
    case ELOOP:
        return eddy_error_set(EDDY_ENOTSTORE, "%s: is a symbolic link, which eddy does not follow",
                              path);
    default:
        return eddy_error_set(EDDY_ESYS, "%s: %s: %s", path, what, strerror(-error));
    }
}

static int no_memory(const char *path) {
    return eddy_error_set(EDDY_ENOMEM, "%s: no memory for a block of it", path);
}

/* ---- writing ---- */

/* What is there may be written over if it is a file of ours, of any format, or empty. */
static int may_replace(const char *path) {
    uint8_t magic[sizeof MAGIC];
    int fd = eddy_platform_open(path, true);
    if (fd == -ENOENT) {
        return 0;
    }
    if (fd < 0) {
        return failed(fd, "open", path);
    }
    int64_t got = eddy_platform_read(fd, magic, sizeof magic, 0);
    close(fd);
    if (got < 0) {
        return failed((int)got, "read", path);
    }
    if (got != 0 && (got != sizeof magic || memcmp(magic, MAGIC, sizeof magic) != 0)) {
        return eddy_error_set(EDDY_EEXIST,
                              "%s: is there, and is no snapshot of eddy's: it is not written over; "
                              "remove it, or choose another name",
                              path);
    }
    return 0;
}

static int open_out(struct eddy_blockfile_out *o, mode_t mode) {
    char *dir = eddy_platform_parent(o->path);
    if (!dir) {
        return no_memory(o->path);
    }
    o->fd = eddy_platform_tmpfile(dir, mode);
    free(dir);
    if (o->fd == -EOPNOTSUPP || o->fd == -EISDIR || o->fd == -EINVAL) {
        o->temporary = eddy_platform_beside(o->path);
        o->fd = o->temporary ? eddy_platform_create(o->temporary, mode) : -ENOMEM;
    }
    return o->fd < 0 ? failed(o->fd, "create", o->path) : 0;
}

int eddy_blockfile_create(struct eddy_blockfile_out *o, const char *path, mode_t mode) {
    struct eddy_blockfile_head head = {.format = EDDY_BLOCKFILE_FORMAT};
    o->fd = -1;
    int r = may_replace(path);
    if (r < 0) {
        return r;
    }
    o->path = strdup(path);
    o->room = BLOCK + EDDY_BLOCKFILE_MOST;
    o->bytes = malloc(o->room);
    r = o->path && o->bytes ? open_out(o, mode) : no_memory(path);
    if (r == 0) {
        memcpy(head.magic, MAGIC, sizeof MAGIC);
        head.id = eddy_platform_random();
        head.hash = hash_of_head(&head);
        o->first = head.hash;
        r = eddy_platform_write(o->fd, &head, sizeof head, 0);
        r = r < 0 ? failed(r, "write", path) : 0;
        eddy_blockfile_restart(o);
    }
    if (r < 0) {
        eddy_blockfile_abandon(o);
    }
    return r;
}

void eddy_blockfile_restart(struct eddy_blockfile_out *o) {
    o->at = HEAD;
    o->chain = o->first;
    o->number = 0;
    o->kind = 0;
    o->records = 0;
    o->len = 0;
}

/* Writes the block that was being filled. */
static int flush(struct eddy_blockfile_out *o) {
    struct eddy_blockfile_block b = {
        .length = (uint32_t)o->len, .records = o->records, .number = o->number, .kind = o->kind};
    if (o->records == 0) {
        return 0;
    }
    memcpy(o->bytes, &b, sizeof b);
    b.hash = hash_of_block(o->bytes, o->len, o->chain);
    memcpy(o->bytes, &b.hash, sizeof b.hash);
    int r = eddy_platform_write(o->fd, o->bytes, BLOCK + o->len, o->at);
    if (r < 0) {
        return failed(r, "write", o->path);
    }
    o->at += BLOCK + o->len;
    o->chain = b.hash;
    o->number++;
    o->records = 0;
    o->len = 0;
    return 0;
}

static int room_for(struct eddy_blockfile_out *o, size_t bytes) {
    if (bytes <= o->room) {
        return 0;
    }
    unsigned char *more = realloc(o->bytes, bytes);
    if (!more) {
        return no_memory(o->path);
    }
    o->bytes = more;
    o->room = bytes;
    return 0;
}

int eddy_blockfile_add(struct eddy_blockfile_out *o, uint16_t kind, const void *fixed, size_t size,
                       const void *rest, size_t rest_size) {
    size_t bytes = size + rest_size;
    int r = kind != o->kind || o->len + bytes > EDDY_BLOCKFILE_MOST ? flush(o) : 0;
    r = r < 0 ? r : room_for(o, BLOCK + o->len + bytes);
    if (r < 0) {
        return r;
    }
    unsigned char *at = o->bytes + BLOCK + o->len;
    memcpy(at, fixed, size);
    if (rest_size > 0) {
        memcpy(at + size, rest, rest_size);
    }
    o->kind = kind;
    o->records++;
    o->len += bytes;
    return 0;
}

/* Puts the finished file into its place. */
static int name_it(struct eddy_blockfile_out *o) {
    int r = 0;
    if (!o->temporary) {
        o->temporary = eddy_platform_beside(o->path);
        r = o->temporary ? eddy_platform_publish(o->fd, o->temporary) : -ENOMEM;
        if (r < 0) {
            free(o->temporary); /* there is nothing of that name, or nothing of ours */
            o->temporary = NULL;
        }
    }
    r = r < 0 ? r : eddy_platform_rename(o->temporary, o->path);
    if (r == 0) {
        free(o->temporary);
        o->temporary = NULL;
    }
    return r < 0 ? failed(r, "rename", o->path) : 0;
}

static int sync_parent(const char *path) {
    char *dir = eddy_platform_parent(path);
    int fd = dir ? eddy_platform_open(dir, true) : -ENOMEM;
    int r = fd < 0 ? fd : eddy_platform_sync(fd);
    if (fd >= 0) {
        close(fd);
    }
    free(dir);
    return r == -EINVAL ? 0 : r; /* some file systems have nothing to do for a directory */
}

int eddy_blockfile_finish(struct eddy_blockfile_out *o, uint64_t *bytes) {
    int r = flush(o);
    *bytes = o->at;
    if (r == 0) {
        r = eddy_platform_cut(o->fd, o->at); /* what was forgotten may have been longer */
        r = r < 0 ? r : eddy_platform_sync(o->fd);
        r = r < 0 ? failed(r, "fsync", o->path) : name_it(o);
    }
    if (r == 0) {
        r = sync_parent(o->path);
        r = r < 0 ? failed(r, "fsync of its directory", o->path) : 0;
    }
    eddy_blockfile_abandon(o);
    return r;
}

void eddy_blockfile_abandon(struct eddy_blockfile_out *o) {
    if (o->temporary) {
        (void)unlink(o->temporary);
    }
    if (o->fd >= 0) {
        close(o->fd);
    }
    free(o->temporary);
    free(o->path);
    free(o->bytes);
    memset(o, 0, sizeof *o);
    o->fd = -1;
}

/* ---- reading ---- */

static int check_head(const struct eddy_blockfile_in *in, const struct eddy_blockfile_head *h,
                      int64_t got) {
    if (got == 0) {
        return eddy_error_set(EDDY_ECORRUPT, "%s: is empty: no snapshot was ever finished there",
                              in->path);
    }
    if (got < (int64_t)sizeof MAGIC || memcmp(h->magic, MAGIC, sizeof MAGIC) != 0) {
        return eddy_error_set(EDDY_ENOTSTORE, "%s: byte 0: is no snapshot of an eddy store",
                              in->path);
    }
    if (got < HEAD) {
        return eddy_error_set(EDDY_ECORRUPT, "%s: byte %lld: is cut short in its head", in->path,
                              (long long)got);
    }
    if (h->format != EDDY_BLOCKFILE_FORMAT) {
        return eddy_error_set(EDDY_ELAYOUT,
                              "%s: byte 8: has format %u; this is eddy %s, which knows format %d: "
                              "use the eddy that wrote it",
                              in->path, h->format, eddy_version(), EDDY_BLOCKFILE_FORMAT);
    }
    if (h->hash != hash_of_head(h)) {
        return eddy_error_set(EDDY_ECORRUPT, "%s: byte 0: its head is damaged", in->path);
    }
    return 0;
}

int eddy_blockfile_open(struct eddy_blockfile_in *in, const char *path) {
    struct eddy_blockfile_head head;
    memset(in, 0, sizeof *in);
    in->path = path;
    in->fd = eddy_platform_follow(path, true);
    if (in->fd < 0) {
        return failed(in->fd, "open", path);
    }
    int64_t size = eddy_platform_file_bytes(in->fd);
    int64_t got = size < 0 ? size : eddy_platform_read(in->fd, &head, sizeof head, 0);
    if (got < 0) {
        return failed((int)got, "read", path);
    }
    int r = check_head(in, &head, got);
    in->size = (uint64_t)size;
    in->chain = head.hash;
    in->next = HEAD;
    return r;
}

void eddy_blockfile_rewind(struct eddy_blockfile_in *in) {
    struct eddy_blockfile_head head;
    if (eddy_platform_read(in->fd, &head, sizeof head, 0) == HEAD) {
        in->chain = head.hash; /* if it is another by now, no block will do */
    }
    in->next = HEAD;
    in->number = 0;
}

void eddy_blockfile_close(struct eddy_blockfile_in *in) {
    if (in->fd >= 0) {
        close(in->fd);
    }
    free(in->bytes);
    in->bytes = NULL;
    in->fd = -1;
}

int eddy_blockfile_damaged(const struct eddy_blockfile_in *in, size_t within, const char *format,
                           ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return eddy_error_set(EDDY_ECORRUPT, "%s: byte %llu: %s", in->path,
                          (unsigned long long)(in->block + BLOCK + within), text);
}

static int torn(const struct eddy_blockfile_in *in, uint64_t end) {
    return eddy_error_set(
        EDDY_ECORRUPT,
        "%s: byte %llu: is cut short: block %llu, which begins at byte %llu, goes "
        "on to byte %llu",
        in->path, (unsigned long long)in->size, (unsigned long long)in->number,
        (unsigned long long)in->block, (unsigned long long)end);
}

/* Header and contents of the block at in->block into in->bytes. */
static int load(struct eddy_blockfile_in *in, struct eddy_blockfile_block *b) {
    uint64_t left = in->size - in->block;
    if (left < BLOCK) {
        return torn(in, in->block + BLOCK);
    }
    int64_t got = eddy_platform_read(in->fd, b, sizeof *b, in->block);
    if (got != BLOCK) {
        return got < 0 ? failed((int)got, "read", in->path) : torn(in, in->block + BLOCK);
    }
    size_t all = BLOCK + (size_t)b->length;
    if (left < all) {
        return torn(in, in->block + all);
    }
    if (in->room < all) {
        unsigned char *more = realloc(in->bytes, all);
        if (!more) {
            return no_memory(in->path);
        }
        in->bytes = more;
        in->room = all;
    }
    got = eddy_platform_read(in->fd, in->bytes, all, in->block);
    return got < 0               ? failed((int)got, "read", in->path)
           : got != (int64_t)all ? torn(in, in->block + all)
                                 : 0;
}

int eddy_blockfile_next(struct eddy_blockfile_in *in) {
    struct eddy_blockfile_block b;
    in->block = in->next;
    if (in->block == in->size) {
        return 0;
    }
    int r = load(in, &b);
    if (r < 0) {
        return r;
    }
    uint64_t hash = hash_of_block(in->bytes, b.length, in->chain);
    if (memcmp(in->bytes, &b, sizeof b) != 0 || b.hash != hash || b.number != in->number) {
        return eddy_error_set(EDDY_ECORRUPT,
                              "%s: byte %llu: the checksum of block %llu is wrong: it is damaged, "
                              "or does not belong there",
                              in->path, (unsigned long long)in->block,
                              (unsigned long long)in->number);
    }
    in->chain = hash;
    in->number++;
    in->next = in->block + BLOCK + b.length;
    in->kind = b.kind;
    in->records = b.records;
    in->contents = in->bytes + BLOCK;
    in->length = b.length;
    return 1;
}
