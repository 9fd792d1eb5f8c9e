/* Standard output: buffer, numbers, JSON strings, base64, text that is safe on a terminal. */
#include "out.h"

#include "json.h"
#include "tool.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int out_open(struct out *out) {
    out->len = 0;
    out->failed = 0;
    out->buf = malloc(OUT_ROOM);
    if (!out->buf) {
        tool_say("this process is out of memory");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

static void write_all(struct out *out, const char *ptr, size_t len) {
    while (len && !out->failed) {
        ssize_t n = write(STDOUT_FILENO, ptr, len);
        if (n >= 0) {
            ptr += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            tool_nap_ms(1); /* somebody made the terminal or pipe non-blocking */
        } else if (errno != EINTR) {
            out->failed = errno;
        }
    }
}

void out_flush(struct out *out) {
    write_all(out, out->buf, out->len);
    out->len = 0;
}

int out_close(struct out *out) {
    out_flush(out);
    free(out->buf);
    out->buf = NULL;
    if (out->failed && out->failed != EPIPE) {
        tool_say("writing to the standard output failed: %s", strerror(out->failed));
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

void out_long(struct out *out, const void *ptr, size_t len) {
    if (len >= OUT_ROOM / 2) {
        out_flush(out);
        write_all(out, ptr, len);
        return;
    }
    if (out->len + len > OUT_ROOM) {
        out_flush(out);
    }
    memcpy(out->buf + out->len, ptr, len);
    out->len += len;
}

void out_str(struct out *out, const char *s) {
    out_bytes(out, s, strlen(s));
}

void out_u64(struct out *out, uint64_t value) {
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                "31323334353637383940414243444546474849505152535455565758596061"
                                "62636465666768697071727374757677787980818283848586878889909192"
                                "93949596979899";
    char digits[20];
    size_t at = sizeof digits;
    while (value >= 100) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(digits + at, pairs + 2 * value, 2);
    } else {
        digits[--at] = (char)('0' + value);
    }
    out_bytes(out, digits + at, sizeof digits - at);
}

void out_printf(struct out *out, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int n = vsnprintf(out_room(out, OUT_SMALL), OUT_SMALL, format, list);
    va_end(list);
    if (n > 0) {
        out->len += n < OUT_SMALL ? (size_t)n : OUT_SMALL - 1;
    }
}

int out_format(char *text, size_t size, const char *format, ...) {
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, size, format, list);
    va_end(list);
    return n < (int)size ? n : (int)size - 1;
}

static void out_json_escape(struct out *out, unsigned char c) {
    static const char hex[] = "0123456789abcdef";
    const char *at = strchr("\"\"\\\\\nn\rr\tt\bb\ff", c);
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    if (at && c) {
        text[1] = at[1];
    }
    out_bytes(out, text, at && c ? 2 : 6);
}

void out_json_string(struct out *out, eddy_bytes bytes) {
    const unsigned char *p = bytes.ptr;
    const unsigned char *end = p + bytes.len;
    out_char(out, '"');
    while (p < end) {
        size_t n = json_plain_run(p, end);
        out_bytes(out, p, n);
        p += n;
        if (p < end) {
            if (*p >= 0x80) {
                out_char(out, (char)*p);
            } else {
                out_json_escape(out, *p);
            }
            p++;
        }
    }
    out_char(out, '"');
}

void out_base64(struct out *out, eddy_bytes bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes.ptr;
    size_t left = bytes.len;
    out_char(out, '"');
    while (left) {
        uint32_t n = (uint32_t)p[0] << 16;
        n |= left > 1 ? (uint32_t)p[1] << 8 : 0;
        n |= left > 2 ? p[2] : 0;
        char *to = out_room(out, 4);
        to[0] = digits[n >> 18];
        to[1] = digits[n >> 12 & 63];
        to[2] = left > 1 ? digits[n >> 6 & 63] : '=';
        to[3] = left > 2 ? digits[n & 63] : '=';
        out->len += 4;
        size_t took = left < 3 ? left : 3;
        p += took;
        left -= took;
    }
    out_char(out, '"');
}

void out_json_name(struct out *out, const char *key, eddy_bytes bytes) {
    bool utf8 = json_is_utf8(bytes.ptr, bytes.len);
    out_char(out, '"');
    out_str(out, key);
    if (utf8) {
        OUT_LITERAL(out, "\":");
        out_json_string(out, bytes);
    } else {
        OUT_LITERAL(out, "_b64\":");
        out_base64(out, bytes);
    }
}

void out_text(struct out *out, eddy_bytes bytes) {
    const unsigned char *p = bytes.ptr;
    const unsigned char *end = p + bytes.len;
    while (p < end) {
        const unsigned char *run = p;
        while (p < end && *p >= 0x20 && *p < 0x7f) {
            p++;
        }
        out_bytes(out, run, (size_t)(p - run));
        if (p == end) {
            return;
        }
        size_t n = json_utf8_length(p, end);
        bool control = *p < 0x20 || *p == 0x7f || (*p == 0xc2 && n == 2 && p[1] < 0xa0);
        if (n && !control) {
            out_bytes(out, p, n);
        } else if (*p == '\n' || *p == '\t' || *p == '\r') {
            out_printf(out, "\\%c", *p == '\n' ? 'n' : *p == '\t' ? 't' : 'r');
        } else {
            n = n ? n : 1;
            for (size_t i = 0; i < n; i++) {
                out_printf(out, "\\x%02x", p[i]);
            }
        }
        p += n ? n : 1;
    }
}
