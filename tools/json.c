/* A strict check of JSON text, by the grammar of RFC 8259. Objects and arrays nest by a bit each
 * (1: object) rather than by recursion, so depth costs no stack. */
#include "json.h"

#include <stdint.h>
#include <string.h>

#define ONES UINT64_C(0x0101010101010101)
#define TOPS UINT64_C(0x8080808080808080)

/* Top bits of the bytes that are zero; bits above the lowest one set may be wrong. */
static inline uint64_t zero_bytes(uint64_t x) {
    return (x - ONES) & ~x & TOPS;
}

size_t json_plain_run(const unsigned char *p, const unsigned char *end) {
    const unsigned char *from = p;
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        uint64_t special = (x & TOPS) | ((x - ONES * 0x20) & ~x & TOPS) |
                           zero_bytes(x ^ ONES * '"') | zero_bytes(x ^ ONES * '\\');
        if (special) {
            break;
        }
        p += 8;
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }
    return (size_t)(p - from);
}

static bool is_continuation(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

size_t json_utf8_length(const unsigned char *p, const unsigned char *end) {
    size_t left = (size_t)(end - p);
    if (left == 0) {
        return 0;
    }
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] < 0xc2 || left < 2 || !is_continuation(p[1])) {
        return 0;
    }
    if (p[0] < 0xe0) {
        return 2;
    }
    if (left < 3 || !is_continuation(p[2])) {
        return 0;
    }
    if (p[0] < 0xf0) {
        bool overlong = p[0] == 0xe0 && p[1] < 0xa0;
        bool surrogate = p[0] == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (p[0] > 0xf4 || left < 4 || !is_continuation(p[3])) {
        return 0;
    }
    bool overlong = p[0] == 0xf0 && p[1] < 0x90;
    bool beyond = p[0] == 0xf4 && p[1] >= 0x90;
    return overlong || beyond ? 0 : 4;
}

bool json_is_utf8(const void *ptr, size_t len) {
    const unsigned char *p = ptr;
    const unsigned char *end = p + len;
    while (p < end) {
        uint64_t x = TOPS;
        if (end - p >= 8) {
            memcpy(&x, p, 8);
        }
        size_t n = x & TOPS ? json_utf8_length(p, end) : 8;
        if (n == 0) {
            return false;
        }
        p += n;
    }
    return true;
}

const char *json_space(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')) {
        p++;
    }
    return p;
}

static const char *wrong(struct json_fault *fault, const char *at, const char *why) {
    fault->at = at;
    fault->why = why;
    return NULL;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static const char *check_escape(const char *p, const char *end, struct json_fault *fault) {
    if (end - p < 2) {
        return wrong(fault, end, "the text ends in a string");
    }
    if (p[1] != 'u') {
        return p[1] && strchr("\"\\/bfnrt", p[1])
                   ? p + 2
                   : wrong(fault, p, "there is no such escape in JSON");
    }
    for (int i = 2; i < 6; i++) {
        if (p + i >= end) {
            return wrong(fault, end, "the text ends in a string");
        }
        if (hex_digit(p[i]) < 0) {
            return wrong(fault, p, "\\u wants four hexadecimal digits");
        }
    }
    return p + 6;
}

const char *json_string(const char *p, const char *end, struct json_fault *fault) {
    if (p >= end || *p != '"') {
        return wrong(fault, p, "a string is expected");
    }
    p++;
    for (;;) {
        p += json_plain_run((const unsigned char *)p, (const unsigned char *)end);
        if (p >= end) {
            return wrong(fault, end, "the text ends in a string");
        }
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            return p + 1;
        }
        if (c == '\\') {
            p = check_escape(p, end, fault);
            if (!p) {
                return NULL;
            }
        } else if (c >= 0x80) {
            size_t n = json_utf8_length((const unsigned char *)p, (const unsigned char *)end);
            if (n == 0) {
                return wrong(fault, p, "these bytes are no UTF-8");
            }
            p += n;
        } else {
            return wrong(fault, p, "a control byte stands in a string (write it as \\u00XX)");
        }
    }
}

static const char *digits(const char *p, const char *end) {
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

static const char *check_number(const char *p, const char *end, struct json_fault *fault) {
    p += *p == '-';
    const char *from = p;
    p = digits(p, end);
    if (p == from) {
        return wrong(fault, p, "a digit is expected");
    }
    if (*from == '0' && p - from > 1) {
        return wrong(fault, from, "a number does not begin with 0");
    }
    if (p < end && *p == '.') {
        from = ++p;
        p = digits(p, end);
        if (p == from) {
            return wrong(fault, p, "a digit is expected after the point");
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        from = p;
        p = digits(p, end);
        if (p == from) {
            return wrong(fault, p, "a digit is expected in the exponent");
        }
    }
    return p;
}

static const char *check_scalar(const char *p, const char *end, struct json_fault *fault) {
    static const char *const words[] = {"true", "false", "null"};
    if (p >= end) {
        return wrong(fault, end, "the text ends where a value is expected");
    }
    if (*p == '"') {
        return json_string(p, end, fault);
    }
    if (*p == '-' || (*p >= '0' && *p <= '9')) {
        return check_number(p, end, fault);
    }
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - p) >= n && memcmp(p, words[i], n) == 0) {
            return p + n;
        }
    }
    return wrong(fault, p, "a value is expected");
}

/* "key" : and what stands around them. */
static const char *check_key(const char *p, const char *end, struct json_fault *fault) {
    p = json_space(p, end);
    if (p >= end || *p != '"') {
        return wrong(fault, p, "a name in quotes is expected");
    }
    p = json_string(p, end, fault);
    if (!p) {
        return NULL;
    }
    p = json_space(p, end);
    if (p >= end || *p != ':') {
        return wrong(fault, p, "':' is expected");
    }
    return json_space(p + 1, end);
}

struct nest {
    uint64_t is_object[JSON_DEPTH_MAX / 64];
    size_t depth;
};

static bool in_object(const struct nest *nest) {
    size_t top = nest->depth - 1;
    return nest->is_object[top / 64] >> (top % 64) & 1;
}

static void nest_push(struct nest *nest, bool object) {
    uint64_t bit = UINT64_C(1) << (nest->depth % 64);
    uint64_t *word = &nest->is_object[nest->depth / 64];
    uint64_t below = nest->depth % 64 ? *word & (bit - 1) : 0;
    *word = object ? below | bit : below;
    nest->depth++;
}

/* Behind a value: closes what ends, and goes to where the next value begins. *done: none is left
 * that is open. */
static const char *after_value(const char *p, const char *end, struct nest *nest, bool *done,
                               struct json_fault *fault) {
    while (nest->depth) {
        p = json_space(p, end);
        bool object = in_object(nest);
        if (p < end && *p == ',') {
            return object ? check_key(p + 1, end, fault) : json_space(p + 1, end);
        }
        if (p >= end || *p != (object ? '}' : ']')) {
            return wrong(fault, p, object ? "',' or '}' is expected" : "',' or ']' is expected");
        }
        p++;
        nest->depth--;
    }
    *done = true;
    return p;
}

/* At a value: opens what it opens, and goes to the first scalar, or behind what is empty (*empty).
 */
static const char *open_value(const char *p, const char *end, struct nest *nest, bool *empty,
                              struct json_fault *fault) {
    while (p < end && (*p == '{' || *p == '[')) {
        bool object = *p == '{';
        if (nest->depth == JSON_DEPTH_MAX) {
            return wrong(fault, p, "it is nested more than 32768 deep");
        }
        nest_push(nest, object);
        p = json_space(p + 1, end);
        if (p < end && *p == (object ? '}' : ']')) {
            nest->depth--;
            *empty = true;
            return p + 1;
        }
        if (object) {
            p = check_key(p, end, fault);
            if (!p) {
                return NULL;
            }
        }
    }
    return p;
}

const char *json_value(const char *p, const char *end, struct json_fault *fault) {
    struct nest nest;
    nest.depth = 0;
    bool done = false;
    while (!done) {
        bool empty = false;
        p = open_value(p, end, &nest, &empty, fault);
        if (p && !empty) {
            p = check_scalar(p, end, fault);
        }
        if (p) {
            p = after_value(p, end, &nest, &done, fault);
        }
        if (!p) {
            return NULL;
        }
    }
    return p;
}

static uint32_t hex4(const char *p) {
    uint32_t n = 0;
    for (int i = 0; i < 4; i++) {
        n = n << 4 | (uint32_t)hex_digit(p[i]);
    }
    return n;
}

/* At "\uXXXX": gives the bytes read, or 0 if it is half a pair. */
static size_t unescape_u(const char *p, const char *end, uint32_t *c) {
    *c = hex4(p + 2);
    if (*c < 0xd800 || *c > 0xdfff) {
        return 6;
    }
    if (*c > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u') {
        return 0;
    }
    uint32_t low = hex4(p + 8);
    if (low < 0xdc00 || low > 0xdfff) {
        return 0;
    }
    *c = 0x10000 + ((*c - 0xd800) << 10) + (low - 0xdc00);
    return 12;
}

/* Of text that json_value() has accepted: whether an escape is half of a surrogate pair. The
 * grammar allows that, but many readers of JSON do not. */
static bool has_half_pair(const char *p, const char *end) {
    while ((p = memchr(p, '\\', (size_t)(end - p)))) {
        uint32_t c;
        size_t n = p[1] == 'u' ? unescape_u(p, end, &c) : 2;
        if (n == 0) {
            return true;
        }
        p += n;
    }
    return false;
}

bool json_is_bare_value(const void *ptr, size_t len) {
    const char *p = ptr;
    struct json_fault fault;
    if (len == 0 || json_value(p, p + len, &fault) != p + len) {
        return false;
    }
    return !memchr(p, '\n', len) && !memchr(p, '\r', len) && !has_half_pair(p, p + len);
}

/* ---- decoding in place ---- */

static size_t put_utf8(char *to, uint32_t c) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

long long json_unescape(char *text, size_t len, const char **bad) {
    char *to = memchr(text, '\\', len);
    if (!to) {
        return (long long)len;
    }
    const char *end = text + len;
    for (const char *p = to; p < end;) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        if (p[1] == 'u') {
            uint32_t c;
            size_t n = unescape_u(p, end, &c);
            if (n == 0) {
                *bad = p;
                return -1;
            }
            to += put_utf8(to, c);
            p += n;
            continue;
        }
        static const char from[] = "\"\\/bfnrt";
        *to++ = "\"\\/\b\f\n\r\t"[strchr(from, p[1]) - from];
        p += 2;
    }
    return to - text;
}

static int base64_digit(char c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long long json_unbase64(char *text, size_t len, const char **bad) {
    size_t padding = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=') {
        padding++;
    }
    size_t count = len - padding;
    if (len % 4 != 0) {
        *bad = text + len;
        return -1;
    }
    char *to = text;
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            *bad = text + i;
            return -1;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0) {
            *to++ = (char)(bits >> (6 - 2 * (i % 4)));
        }
    }
    if (count % 4 != 0 && bits & (count % 4 == 2 ? 15u : 3u)) {
        *bad = text + count - 1;
        return -1;
    }
    return to - text;
}
