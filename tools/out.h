/* Standard output: one large buffer, written with write(2), and every error noticed.
 *
 * After an error nothing more is written; `failed` says so, for loops that can end early, and
 * out_close() turns it into the exit code: 0 and no word if the reader of a pipe went away. */
#ifndef OUT_H
#define OUT_H

#include "eddy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OUT_ROOM = 1 << 20, OUT_SMALL = 512 };

struct out {
    char *buf;
    size_t len;
    int failed; /* errno of the write that failed; 0: none */
};

/* Gives an exit code: not EXIT_OK if there is no memory, which has been said. */
int out_open(struct out *out);
/* Writes what is left, frees the buffer, and gives the exit code. */
int out_close(struct out *out);
void out_flush(struct out *out);

/* Room for at least n bytes (n at most OUT_SMALL), to be filled by the caller, who then adds to
 * len. For what is written for each event. */
static inline char *out_room(struct out *out, size_t n) {
    if (out->len + n > OUT_ROOM) {
        out_flush(out);
    }
    return out->buf + out->len;
}

void out_long(struct out *out, const void *ptr, size_t len);

static inline void out_bytes(struct out *out, const void *ptr, size_t len) {
    if (len <= OUT_SMALL) {
        if (len) {
            memcpy(out_room(out, len), ptr, len);
            out->len += len;
        }
    } else {
        out_long(out, ptr, len);
    }
}

static inline void out_char(struct out *out, char c) {
    *out_room(out, 1) = c;
    out->len++;
}

/* A string that the compiler knows the length of. */
#define OUT_LITERAL(out, s) out_bytes(out, s, sizeof(s) - 1)

void out_str(struct out *out, const char *s);
void out_u64(struct out *out, uint64_t value);
/* At most OUT_SMALL bytes. */
void out_printf(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As snprintf, but gives the length of what is there. */
int out_format(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A JSON string with its quotes. The bytes must be UTF-8. */
void out_json_string(struct out *out, eddy_bytes bytes);
void out_base64(struct out *out, eddy_bytes bytes);
/* "key":"..." or, if the bytes are no UTF-8, "key_b64":"...". */
void out_json_name(struct out *out, const char *key, eddy_bytes bytes);
/* Bytes for people: what would move the cursor or is no UTF-8 appears as \n, \t or \xff. */
void out_text(struct out *out, eddy_bytes bytes);

#endif
