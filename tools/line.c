/* Lines of JSON as events. First the line is checked and cut into the values of its fields, which
 * changes nothing; then they are decoded, each in its place. */
#include "line.h"

#include "cli.h"
#include "json.h"
#include "when.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum field {
    STREAM,
    STREAM_B64,
    TYPE,
    TYPE_B64,
    ID,
    ID_B64,
    TIME,
    SHARD,
    TAGS,
    TAGS_B64,
    METADATA,
    METADATA_B64,
    DATA,
    DATA_B64,
    TX,
    OFFSET, /* from here on: what `eddy read` prints and the store decides anew */
    VERSION,
    RECORDED,
    TX_COUNT,
    FIELDS
};

static const char *const field_names[FIELDS + 1] = {
    "stream", "stream_b64", "type",     "type_b64", "id",           "id_b64", "time",
    "shard",  "tags",       "tags_b64", "metadata", "metadata_b64", "data",   "data_b64",
    "tx",     "offset",     "version",  "recorded", "tx_count",     NULL};

struct cut {
    char *text;
    const char *end;
    struct {
        char *ptr;
        size_t len;
    } values[FIELDS];
    struct line_fault *fault;
};

__attribute__((format(printf, 3, 4))) static bool wrong(struct cut *cut, const char *at,
                                                        const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(cut->fault->why, sizeof cut->fault->why, format, list);
    va_end(list);
    cut->fault->column = (size_t)(at - cut->text) + 1;
    return false;
}

static bool unknown_field(struct cut *cut, const char *at, const char *name, size_t len) {
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), name);
    const char *meant = cli_nearest(word, field_names);
    if (meant) {
        return wrong(cut, at, "there is no field \"%s\"; did you mean \"%s\"?", word, meant);
    }
    return wrong(
        cut, at,
        "there is no field \"%s\"; an event has stream, type, id, time, shard, tags, metadata, "
        "data or data_b64, and tx",
        word);
}

/* Keeps the value of a field, after its name (in quotes, checked) was read. */
static bool keep_value(struct cut *cut, char *name, size_t len, char *value, size_t value_len) {
    const char *bad = NULL;
    const char *at = name - 1;
    long long n = json_unescape(name, len, &bad);
    if (n < 0) {
        return wrong(cut, bad, "half of a surrogate pair stands in a name");
    }
    for (size_t f = 0; f < FIELDS; f++) {
        if (strlen(field_names[f]) != (size_t)n || memcmp(field_names[f], name, (size_t)n) != 0) {
            continue;
        }
        if (cut->values[f].ptr) {
            return wrong(cut, at, "the field \"%s\" is given twice", field_names[f]);
        }
        cut->values[f].ptr = value;
        cut->values[f].len = value_len;
        return true;
    }
    return unknown_field(cut, at, name, (size_t)n);
}

/* One "name": value. Gives what stands behind it; NULL: wrong. */
static char *cut_member(struct cut *cut, char *p) {
    struct json_fault fault;
    const char *end = cut->end;
    p = (char *)json_space(p, end);
    if (p >= end || *p != '"') {
        wrong(cut, p, "a name in quotes is expected");
        return NULL;
    }
    char *name = p + 1;
    p = (char *)json_string(p, end, &fault);
    if (!p) {
        wrong(cut, fault.at, "%s", fault.why);
        return NULL;
    }
    size_t len = (size_t)(p - name) - 1;
    p = (char *)json_space(p, end);
    if (p >= end || *p != ':') {
        wrong(cut, p, "':' is expected");
        return NULL;
    }
    p = (char *)json_space(p + 1, end);
    char *value = p;
    p = (char *)json_value(p, end, &fault);
    if (!p) {
        wrong(cut, fault.at, "%s", fault.why);
        return NULL;
    }
    return keep_value(cut, name, len, value, (size_t)(p - value)) ? p : NULL;
}

static bool cut_line(struct cut *cut) {
    char *p = (char *)json_space(cut->text, cut->end);
    if (p >= cut->end || *p != '{') {
        return wrong(cut, p, "an event is a JSON object in one line, as {\"stream\":\"a\"}");
    }
    p = (char *)json_space(p + 1, cut->end);
    bool more = p >= cut->end || *p != '}';
    while (more) {
        p = cut_member(cut, p);
        if (!p) {
            return false;
        }
        p = (char *)json_space(p, cut->end);
        if (p >= cut->end || (*p != ',' && *p != '}')) {
            return wrong(cut, p, "',' or '}' is expected");
        }
        more = *p == ',';
        p += more;
    }
    p = (char *)json_space(p + 1, cut->end);
    if (p < cut->end) {
        return wrong(cut, p, "something stands behind the event");
    }
    return true;
}

/* ---- values ---- */

/* The inside of a string, decoded in place. */
static bool get_string(struct cut *cut, enum field field, eddy_bytes *bytes) {
    char *ptr = cut->values[field].ptr;
    const char *bad = NULL;
    if (*ptr != '"') {
        return wrong(cut, ptr, "the field \"%s\" is a string", field_names[field]);
    }
    long long n = json_unescape(ptr + 1, cut->values[field].len - 2, &bad);
    if (n < 0) {
        return wrong(cut, bad,
                     "half of a surrogate pair stands in \"%s\"; bytes that are no "
                     "UTF-8 go into \"%s_b64\"",
                     field_names[field], field_names[field]);
    }
    *bytes = eddy_mem(ptr + 1, (size_t)n);
    return true;
}

static bool get_base64(struct cut *cut, enum field field, eddy_bytes *bytes) {
    const char *bad = NULL;
    if (!get_string(cut, field, bytes)) {
        return false;
    }
    long long n = json_unbase64(cut->values[field].ptr + 1, bytes->len, &bad);
    if (n < 0) {
        return wrong(cut, bad, "\"%s\" is no base64 (A-Z a-z 0-9 + / and its = at the end)",
                     field_names[field]);
    }
    bytes->len = (size_t)n;
    return true;
}

/* Bytes that stand either as they are (a string, or any JSON) or as base64 in the next field. */
static bool get_bytes(struct cut *cut, enum field field, bool any_json, eddy_bytes *bytes) {
    enum field b64 = field + 1;
    char *ptr = cut->values[field].ptr;
    if (ptr && cut->values[b64].ptr) {
        char *second = ptr > cut->values[b64].ptr ? ptr : cut->values[b64].ptr;
        return wrong(cut, second, "\"%s\" and \"%s\" are both given", field_names[field],
                     field_names[b64]);
    }
    if (cut->values[b64].ptr) {
        return get_base64(cut, b64, bytes);
    }
    if (!ptr) {
        return true;
    }
    if (!any_json) {
        return get_string(cut, field, bytes);
    }
    *bytes = eddy_mem(ptr, cut->values[field].len);
    return true;
}

static bool get_time(struct cut *cut, eddy_new_event *event) {
    char *ptr = cut->values[TIME].ptr;
    size_t len = cut->values[TIME].len;
    const char *why = NULL;
    if (!ptr) {
        return true;
    }
    if (*ptr == '"') {
        eddy_bytes text = {0};
        if (!get_string(cut, TIME, &text)) {
            return false;
        }
        why = when_parse_rfc3339(text.ptr, text.len, &event->time_ns);
    } else if (*ptr == '-' || (*ptr >= '0' && *ptr <= '9')) {
        why = when_parse_ns(ptr, len, &event->time_ns);
    } else {
        why = "it is a string as \"2009-03-22T09:30:00Z\", or whole nanoseconds since 1970";
    }
    event->flags |= EDDY_TIME_GIVEN;
    return why ? wrong(cut, ptr, "field \"time\": %s", why) : true;
}

static bool get_shard(struct cut *cut, eddy_new_event *event) {
    char *ptr = cut->values[SHARD].ptr;
    char text[24];
    if (!ptr) {
        return true;
    }
    size_t len = cut->values[SHARD].len;
    snprintf(text, sizeof text, "%.*s", len < sizeof text ? (int)len : 0, ptr);
    event->flags |= EDDY_SHARD_GIVEN;
    if (!cli_parse_u64(text, UINT64_MAX, &event->shard)) {
        return wrong(cut, ptr, "the field \"shard\" is a whole number from 0 to 2^64-1");
    }
    return true;
}

/* The next string of an array, decoded in place; *p then is behind it. */
static bool get_tag(struct cut *cut, enum field field, char **p, eddy_bytes *tag) {
    struct json_fault fault;
    const char *bad = NULL;
    char *string = *p;
    if (*string != '"') {
        return wrong(cut, string, "a tag is a string");
    }
    *p = (char *)json_string(string, cut->end, &fault);
    long long n = json_unescape(string + 1, (size_t)(*p - string) - 2, &bad);
    if (n >= 0 && field == TAGS_B64) {
        n = json_unbase64(string + 1, (size_t)n, &bad);
    }
    if (n < 0) {
        return wrong(cut, bad, "%s",
                     field == TAGS ? "half of a surrogate pair stands in a tag; bytes that "
                                     "are no UTF-8 go into \"tags_b64\""
                                   : "a tag is no base64 (A-Z a-z 0-9 + / and its = at "
                                     "the end)");
    }
    *tag = eddy_mem(string + 1, (size_t)n);
    return true;
}

static bool get_tags(struct cut *cut, struct line *line) {
    enum field field = cut->values[TAGS].ptr ? TAGS : TAGS_B64;
    char *p = cut->values[field].ptr;
    uint32_t n = 0;
    if (!p) {
        return true;
    }
    if (field == TAGS && cut->values[TAGS_B64].ptr) {
        return wrong(cut, p, "\"tags\" and \"tags_b64\" are both given");
    }
    if (*p != '[') {
        return wrong(cut, p, "the field \"%s\" is a list of strings", field_names[field]);
    }
    p = (char *)json_space(p + 1, cut->end);
    while (*p != ']') {
        if (n == EDDY_TAGS_MAX) {
            return wrong(cut, p, "an event has %u tags at most", EDDY_TAGS_MAX);
        }
        if (!get_tag(cut, field, &p, &line->tags[n++])) {
            return false;
        }
        p = (char *)json_space(p, cut->end);
        p = *p == ',' ? (char *)json_space(p + 1, cut->end) : p;
    }
    line->event.tags = line->tags;
    line->event.tag_count = n;
    return true;
}

static bool get_tx(struct cut *cut, struct line *line) {
    char *ptr = cut->values[TX].ptr;
    size_t len = cut->values[TX].len;
    if (!ptr) {
        line->tx_known = true;
        return true;
    }
    if (*ptr == '"') {
        line->tx_kind = LINE_TX_STRING;
        line->tx_known = get_string(cut, TX, &line->tx);
        return line->tx_known;
    }
    for (size_t i = *ptr == '-'; i < len; i++) {
        if (ptr[i] < '0' || ptr[i] > '9') {
            return wrong(cut, ptr, "the field \"tx\" is a string or a whole number");
        }
    }
    line->tx_known = true;
    line->tx_kind = LINE_TX_NUMBER;
    line->tx = eddy_mem(ptr, len);
    return true;
}

bool line_parse(char *text, size_t len, struct line *line, struct line_fault *fault) {
    struct cut cut = {.text = text, .end = text + len, .fault = fault};
    memset(line, 0, offsetof(struct line, tags));
    if (!cut_line(&cut)) {
        struct line_fault other;
        cut.fault = &other;
        if (cut.values[TX].ptr) {
            get_tx(&cut, line);
        }
        return false;
    }
    if (!get_tx(&cut, line)) {
        return false;
    }
    if (!cut.values[STREAM].ptr && !cut.values[STREAM_B64].ptr) {
        return wrong(&cut, text, "the field \"stream\" is missing: the name of a stream");
    }
    eddy_new_event *event = &line->event;
    if (!get_bytes(&cut, STREAM, false, &line->stream) ||
        !get_bytes(&cut, TYPE, false, &event->type) || !get_bytes(&cut, ID, false, &event->id) ||
        !get_time(&cut, event) || !get_shard(&cut, event) || !get_tags(&cut, line) ||
        !get_bytes(&cut, METADATA, true, &event->metadata) ||
        !get_bytes(&cut, DATA, true, &event->data)) {
        return false;
    }
    if (line->stream.len == 0 || line->stream.len > EDDY_STREAM_MAX) {
        const char *at =
            cut.values[STREAM].ptr ? cut.values[STREAM].ptr : cut.values[STREAM_B64].ptr;
        return wrong(&cut, at, "the name of a stream has 1 to %u bytes, not %zu", EDDY_STREAM_MAX,
                     line->stream.len);
    }
    return true;
}

bool line_is_blank(const char *text, size_t len) {
    return json_space(text, text + len) == text + len;
}
