/* Reading: bytes from a descriptor, through zlib or zstd or straight, cut into lines. */
#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { CHUNK = 256 << 10 };

enum packing { PLAIN, GZIP, ZSTD };

struct input {
    int fd;
    enum packing packing;
    bool ended;     /* nothing more comes from the descriptor */
    bool in_member; /* a packed stream has begun and not ended */
    unsigned char *raw;
    size_t raw_at;
    size_t raw_len;
    z_stream gzip;
    ZSTD_DStream *zstd;
    char *text; /* what has been unpacked: text_at to text_len are not yet given out */
    size_t text_at;
    size_t text_len;
    size_t text_room;
    size_t searched; /* no newline between text_at and here */
    uint64_t lines;
    uint64_t consumed;
    uint64_t size;
    char error[160];
};

static bool fail(struct input *input, const char *why) {
    snprintf(input->error, sizeof input->error, "%s", why);
    return false;
}

/* More raw bytes. False on error; at the end, raw_len stays. */
static bool fill_raw(struct input *input) {
    if (input->raw_at == input->raw_len) {
        input->raw_at = 0;
        input->raw_len = 0;
    }
    while (!input->ended && input->raw_len < CHUNK) {
        ssize_t n = read(input->fd, input->raw + input->raw_len, CHUNK - input->raw_len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return fail(input, strerror(errno));
        }
        input->ended = n == 0;
        input->raw_len += (size_t)n;
        input->consumed += (uint64_t)n;
        if (input->raw_len >= 4) {
            break; /* enough to know the packing by; a pipe need not fill the chunk */
        }
    }
    return true;
}

static bool begin(struct input *input) {
    static const unsigned char zstd_magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    if (!fill_raw(input)) {
        return false;
    }
    if (input->raw_len >= 2 && input->raw[0] == 0x1f && input->raw[1] == 0x8b) {
        input->packing = GZIP;
        if (inflateInit2(&input->gzip, 15 + 16) != Z_OK) {
            input->packing = PLAIN;
            return fail(input, "this process is out of memory");
        }
    } else if (input->raw_len >= 4 && memcmp(input->raw, zstd_magic, 4) == 0) {
        input->packing = ZSTD;
        input->zstd = ZSTD_createDStream();
        if (!input->zstd) {
            return fail(input, "this process is out of memory");
        }
    } else if (input->raw_len >= 3 && memcmp(input->raw, "\xef\xbb\xbf", 3) == 0) {
        input->raw_at = 3; /* a byte order mark, which JSON text does not want */
    }
    return true;
}

struct input *input_open(const char *path, char *why, size_t why_size) {
    struct input *input = calloc(1, sizeof *input);
    struct stat st;
    if (!input) {
        snprintf(why, why_size, "this process is out of memory");
        return NULL;
    }
    input->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    input->raw = malloc(CHUNK);
    if (input->fd < 0 || !input->raw) {
        snprintf(why, why_size, "%s", strerror(input->raw ? errno : ENOMEM));
        input_close(input);
        return NULL;
    }
    if (fstat(input->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        input->size = (uint64_t)st.st_size;
        posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
    if (!begin(input)) {
        snprintf(why, why_size, "%s", input->error);
        input_close(input);
        return NULL;
    }
    return input;
}

void input_close(struct input *input) {
    if (!input) {
        return;
    }
    if (input->packing == GZIP) {
        inflateEnd(&input->gzip);
    }
    ZSTD_freeDStream(input->zstd);
    if (input->fd > STDIN_FILENO) {
        close(input->fd);
    }
    free(input->raw);
    free(input->text);
    free(input);
}

/* ---- unpacking: each takes raw bytes, gives text, and says if it failed ---- */

static bool unpack_plain(struct input *input, char *to, size_t room, size_t *made) {
    size_t n = input->raw_len - input->raw_at;
    n = n < room ? n : room;
    memcpy(to, input->raw + input->raw_at, n);
    input->raw_at += n;
    *made = n;
    return true;
}

static bool unpack_gzip(struct input *input, char *to, size_t room, size_t *made) {
    z_stream *z = &input->gzip;
    if (!input->in_member) {
        if (inflateReset(z) != Z_OK) {
            return fail(input, "zlib failed");
        }
        input->in_member = true;
    }
    z->next_in = input->raw + input->raw_at;
    z->avail_in = (uInt)(input->raw_len - input->raw_at);
    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)room;
    int rc = inflate(z, Z_NO_FLUSH);
    input->raw_at = input->raw_len - z->avail_in;
    *made = room - z->avail_out;
    if (rc == Z_STREAM_END) {
        input->in_member = false; /* another member may follow */
        return true;
    }
    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return fail(input, "the gzip data is damaged");
    }
    return true;
}

static bool unpack_zstd(struct input *input, char *to, size_t room, size_t *made) {
    ZSTD_inBuffer in = {input->raw, input->raw_len, input->raw_at};
    ZSTD_outBuffer out = {to, room, 0};
    size_t rc = ZSTD_decompressStream(input->zstd, &out, &in);
    if (ZSTD_isError(rc)) {
        return fail(input, "the zstd data is damaged");
    }
    input->raw_at = in.pos;
    input->in_member = rc != 0;
    *made = out.pos;
    return true;
}

/* More text behind text_len; *made is 0 at the end. */
static bool unpack(struct input *input, size_t *made) {
    char *to = input->text + input->text_len;
    size_t room = input->text_room - input->text_len;
    room = room < (64 << 20) ? room : (64 << 20);
    *made = 0;
    while (*made == 0) {
        bool ok = true;
        if (input->raw_at == input->raw_len && !fill_raw(input)) {
            return false;
        }
        bool dry = input->raw_at == input->raw_len;
        if (dry && !input->in_member) {
            return true;
        }
        if (input->packing == PLAIN) {
            ok = unpack_plain(input, to, room, made);
        } else if (input->packing == GZIP) {
            ok = unpack_gzip(input, to, room, made);
        } else {
            ok = unpack_zstd(input, to, room, made);
        }
        if (!ok) {
            return false;
        }
        if (dry && *made == 0 && input->in_member) {
            return fail(input, "the packed data ends too early: the file is cut off");
        }
    }
    return true;
}

/* Room for a chunk more: by moving what is left to the front, or by growing. */
static bool make_room(struct input *input) {
    if (input->text_room - input->text_len >= CHUNK) {
        return true;
    }
    size_t left = input->text_len - input->text_at;
    if (input->text_at > 0) { /* all but the line that has begun has been given out */
        memmove(input->text, input->text + input->text_at, left);
        input->searched -= input->text_at;
        input->text_len = left;
        input->text_at = 0;
    }
    if (input->text_room - input->text_len >= CHUNK) {
        return true;
    }
    size_t room = input->text_room ? 2 * input->text_room : 4 * CHUNK;
    size_t most = (size_t)INPUT_LINE_MAX + 2 * CHUNK;
    room = room < most ? room : most;
    if (room - input->text_len < CHUNK) {
        return fail(input, "the line is longer than 1.5 GiB");
    }
    char *text = realloc(input->text, room);
    if (!text) {
        return fail(input, "this process has no memory for so long a line");
    }
    input->text = text;
    input->text_room = room;
    return true;
}

int input_line(struct input *input, char **line, size_t *len) {
    for (;;) {
        char *newline = NULL;
        if (input->searched < input->text_len) {
            newline =
                memchr(input->text + input->searched, '\n', input->text_len - input->searched);
        }
        *line = input->text + input->text_at;
        if (newline) {
            *len = (size_t)(newline - *line);
            input->text_at += *len + 1;
            input->searched = input->text_at;
            input->lines++;
            return 1;
        }
        input->searched = input->text_len;
        size_t made;
        if (!make_room(input) || !unpack(input, &made)) {
            input->lines++;
            return -1;
        }
        if (made == 0) {
            *line = input->text + input->text_at;
            *len = input->text_len - input->text_at;
            input->text_at = input->text_len;
            input->lines += *len > 0;
            return *len > 0;
        }
        input->text_len += made;
    }
}

const char *input_error(const struct input *input) {
    return input->error;
}

uint64_t input_line_number(const struct input *input) {
    return input->lines;
}

uint64_t input_consumed(const struct input *input) {
    return input->consumed;
}

uint64_t input_size(const struct input *input) {
    return input->size;
}

char *input_all(uint64_t max, size_t *len, char *why, size_t why_size) {
    size_t room = 0;
    char *text = NULL;
    *len = 0;
    for (;;) {
        if (room - *len < CHUNK) {
            room = room ? 2 * room : 2 * CHUNK;
            char *more = realloc(text, room);
            if (!more) {
                snprintf(why, why_size, "this process is out of memory");
                break;
            }
            text = more;
        }
        ssize_t n = read(STDIN_FILENO, text + *len, room - *len);
        if (n == 0) {
            return text;
        }
        if (n < 0 && errno != EINTR) {
            snprintf(why, why_size, "%s", strerror(errno));
            break;
        }
        *len += n > 0 ? (size_t)n : 0;
        if (*len > max) {
            snprintf(why, why_size, "it has more than %llu bytes, the limit of an event",
                     (unsigned long long)max);
            break;
        }
    }
    free(text);
    return NULL;
}
