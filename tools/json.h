/* JSON as RFC 8259 has it, strictly: checked where it lies, without building anything.
 *
 * The bytes of a value stay as they are (0.10 and 1e400 too), so what was imported comes out again
 * byte for byte; and what is accepted here is what every JSON reader accepts: UTF-8 without
 * overlong forms and surrogates, no control bytes in strings, no NaN, no comments. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_DEPTH_MAX = 32768 };

/* What is wrong, and where. */
struct json_fault {
    const char *at;
    const char *why;
};

/* Behind white space. */
const char *json_space(const char *p, const char *end);
/* Behind the string (p: its quote) or the value that begins at p; NULL: it is wrong. */
const char *json_string(const char *p, const char *end, struct json_fault *fault);
const char *json_value(const char *p, const char *end, struct json_fault *fault);

/* Whether the bytes are exactly one value, in one line, without white space around it, that every
 * reader of JSON takes: without half a surrogate pair, too. */
bool json_is_bare_value(const void *ptr, size_t len);

/* Decodes, in place, the inside of a string that json_string() has accepted; gives its length, or
 * -1 if it has half of a surrogate pair, which no UTF-8 can say (*bad: where). */
long long json_unescape(char *text, size_t len, const char **bad);

/* Decodes base64 (with its padding) in place; gives the length, or -1 (*bad: where). */
long long json_unbase64(char *text, size_t len, const char **bad);

bool json_is_utf8(const void *ptr, size_t len);
/* Bytes of the UTF-8 character at p; 0: it is none. */
size_t json_utf8_length(const unsigned char *p, const unsigned char *end);
/* How many of the bytes stand for themselves in a JSON string and are ASCII. */
size_t json_plain_run(const unsigned char *p, const unsigned char *end);

#endif
