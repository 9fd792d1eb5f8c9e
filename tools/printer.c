/* Events as text, JSON lines, a JSON array, or their data alone. */
#include "printer.h"

#include "json.h"
#include "tool.h"

int printer_open(struct printer *printer, const struct args *args) {
    memset(printer, 0, sizeof *printer);
    printer->utc = args->given[OPT_UTC];
    printer->form = cli_output_is(args, "jsonl")  ? PRINT_JSONL
                    : cli_output_is(args, "json") ? PRINT_JSON
                    : cli_output_is(args, "raw")  ? PRINT_RAW
                                                  : PRINT_TEXT;
    return out_open(&printer->out);
}

static void put_number(struct out *out, const char *key, size_t key_len, uint64_t value) {
    out_bytes(out, key, key_len);
    out_u64(out, value);
}
#define PUT_NUMBER(out, key, value) put_number(out, key, sizeof(key) - 1, value)

static void put_time(struct out *out, struct when_cache *cache, int64_t ns) {
    char text[WHEN_ROOM];
    size_t n = when_json(cache, ns, text);
    out_char(out, '"');
    out_bytes(out, text, n);
    out_char(out, '"');
}

void printer_payload(struct out *out, const char *key, eddy_bytes bytes) {
    if (bytes.len == 0) {
        return;
    }
    out_str(out, key);
    if (json_is_bare_value(bytes.ptr, bytes.len)) {
        OUT_LITERAL(out, "\":");
        out_bytes(out, bytes.ptr, bytes.len);
    } else {
        OUT_LITERAL(out, "_b64\":");
        out_base64(out, bytes);
    }
}

/* All as text, or all as base64. */
static void put_tags(struct out *out, const eddy_event *event) {
    bool utf8 = true;
    for (uint32_t k = 0; k < event->tag_count; k++) {
        eddy_bytes tag = eddy_tag(event, k);
        utf8 = utf8 && json_is_utf8(tag.ptr, tag.len);
    }
    out_str(out, utf8 ? ",\"tags\":[" : ",\"tags_b64\":[");
    for (uint32_t k = 0; k < event->tag_count; k++) {
        if (k > 0) {
            out_char(out, ',');
        }
        if (utf8) {
            out_json_string(out, eddy_tag(event, k));
        } else {
            out_base64(out, eddy_tag(event, k));
        }
    }
    out_char(out, ']');
}

static void print_json(struct printer *printer, const eddy_event *event) {
    struct out *out = &printer->out;
    PUT_NUMBER(out, "{\"offset\":", event->offset);
    out_char(out, ',');
    out_json_name(out, "stream", event->stream);
    PUT_NUMBER(out, ",\"version\":", event->version);
    out_char(out, ',');
    out_json_name(out, "type", event->type);
    out_char(out, ',');
    out_json_name(out, "id", event->id);
    OUT_LITERAL(out, ",\"time\":");
    put_time(out, &printer->time, event->time_ns);
    OUT_LITERAL(out, ",\"recorded\":");
    put_time(out, &printer->recorded, event->recorded_ns);
    if (event->flags & EDDY_SHARD_GIVEN) {
        PUT_NUMBER(out, ",\"shard\":", event->shard);
    }
    if (event->tag_count) {
        put_tags(out, event);
    }
    printer_payload(out, ",\"metadata", event->metadata);
    printer_payload(out, ",\"data", event->data);
    PUT_NUMBER(out, ",\"tx\":", event->tx_offset);
    PUT_NUMBER(out, ",\"tx_count\":", event->tx_count);
    out_char(out, '}');
}

static void print_text(struct printer *printer, const eddy_event *event) {
    struct out *out = &printer->out;
    char time[WHEN_ROOM];
    when_text(&printer->time, event->time_ns, printer->utc, time);
    out_printf(out, "%6llu  %s  ", (unsigned long long)event->offset, time);
    out_text(out, event->stream);
    out_printf(out, "  %llu  ", (unsigned long long)event->version);
    if (event->type.len) {
        out_text(out, event->type);
    } else {
        out_char(out, '-');
    }
    OUT_LITERAL(out, "  ");
    out_text(out, event->data);
    out_char(out, '\n');
}

void printer_event(struct printer *printer, const eddy_event *event) {
    struct out *out = &printer->out;
    switch (printer->form) {
    case PRINT_TEXT:
        print_text(printer, event);
        break;
    case PRINT_JSONL:
        print_json(printer, event);
        out_char(out, '\n');
        break;
    case PRINT_JSON:
        if (!printer->one) {
            out_str(out, printer->count ? ",\n" : "[\n");
        }
        print_json(printer, event);
        break;
    case PRINT_RAW:
        out_bytes(out, event->data.ptr, event->data.len);
        if (!printer->one) {
            out_char(out, '\n');
        }
        break;
    }
    printer->count++;
}

int printer_close(struct printer *printer, int code) {
    if (printer->form == PRINT_JSON) {
        out_str(&printer->out, printer->one     ? printer->count ? "\n" : ""
                               : printer->count ? "\n]\n"
                                                : "[]\n");
    }
    int written = out_close(&printer->out);
    return code == EXIT_OK ? written : code;
}
