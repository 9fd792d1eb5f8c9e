/* Opening a store to look into it; facts as lines or as one JSON object. */
#include "look.h"

#include "tool.h"

#include <stdlib.h>

static int open_by(struct look *look, const struct args *args, const char *positional,
                   uint32_t flags) {
    const char *name;
    memset(look, 0, sizeof *look);
    look->args = args;
    look->json = args->given[OPT_OUTPUT] && !cli_output_is(args, "text");
    if (!tool_store_name(args, positional, &name)) {
        return EXIT_USAGE;
    }
    int code = tool_open(args, name, flags | EDDY_MUST_EXIST, &look->store);
    if (code != EXIT_OK) {
        return code;
    }
    code = out_open(&look->out);
    if (code != EXIT_OK) {
        eddy_close(look->store);
    }
    return code;
}

int look_open(struct look *look, const struct args *args, const char *positional) {
    return open_by(look, args, positional, EDDY_READ_ONLY);
}

int look_open_writing(struct look *look, const struct args *args, const char *positional) {
    return open_by(look, args, positional, 0);
}

int look_close(struct look *look, int code) {
    int written = out_close(&look->out);
    eddy_close(look->store);
    return code == EXIT_OK ? written : code;
}

const char *look_store_argument(const struct args *args) {
    return args->positional_count > 0 ? args->positional[0] : NULL;
}

void look_begin(struct look *look) {
    const struct args *args = look->args;
    const char *variable = getenv("EDDY_STORE");
    const char *name = args->positional_count > 0 ? args->positional[0] : args->value[OPT_STORE];
    if (!name) {
        name = variable && *variable ? variable : "default";
    }
    if (look->json) {
        OUT_LITERAL(&look->out, "{");
        out_json_name(&look->out, "store", eddy_str(name));
    } else {
        look_name(look, "store");
        out_text(&look->out, eddy_str(name));
        out_char(&look->out, '\n');
    }
}

void look_end(struct look *look) {
    out_str(&look->out, look->json ? "}\n" : "");
}

void look_name(struct look *look, const char *name) {
    out_printf(&look->out, look->json ? ",\"%s\":" : "%-20s ", name);
}

void look_time(struct look *look, int64_t ns) {
    char text[WHEN_ROOM];
    size_t n = look->json ? when_json(&look->cache, ns, text)
                          : when_text(&look->cache, ns, look->args->given[OPT_UTC], text);
    out_bytes(&look->out, text, n);
}

static void put_fact(struct look *look, const struct fact *fact, const char *base) {
    const char *p = base + fact->at;
    uint64_t number = 0;
    int64_t ns = 0;
    char size[32];
    if (fact->kind == FACT_TIME) {
        memcpy(&ns, p, sizeof ns);
        out_str(&look->out, look->json && ns ? "\"" : "");
        if (ns) {
            look_time(look, ns);
        } else {
            out_str(&look->out, look->json ? "null" : "-");
        }
        out_str(&look->out, look->json && ns ? "\"" : "");
        return;
    }
    if (fact->kind == FACT_BOOL) {
        out_str(&look->out, *(const bool *)p ? "true" : "false");
        return;
    }
    if (fact->kind == FACT_U32) {
        uint32_t small;
        memcpy(&small, p, sizeof small);
        number = small;
    } else {
        memcpy(&number, p, sizeof number);
    }
    out_u64(&look->out, number);
    if (fact->kind == FACT_BYTES && !look->json && number >= 1024) {
        out_printf(&look->out, "  (%s)", tool_size(number, size));
    }
}

void look_facts(struct look *look, const struct fact *facts, const void *base) {
    for (const struct fact *fact = facts; fact->name; fact++) {
        look_name(look, fact->name);
        put_fact(look, fact, base);
        out_str(&look->out, look->json ? "" : "\n");
    }
}
