/* What went, in one line. */
#include "removal.h"

#include "out.h"
#include "tool.h"

static void print_text(struct out *out, const struct removal *r, bool dry_run) {
    char size[32];
    out_printf(out, "%s: %llu events", dry_run ? "would go" : "gone",
               (unsigned long long)r->events);
    if (r->what & REMOVAL_BYTES) {
        out_printf(out, ", %s", tool_size(r->bytes, size));
    }
    if (r->what & REMOVAL_STREAMS) {
        out_printf(out, ", %llu streams", (unsigned long long)r->streams);
    }
    if (r->what & REMOVAL_NAMES) {
        out_printf(out, ", %s%llu names", r->names_at_most ? "at most " : "",
                   (unsigned long long)r->names);
    }
    out_char(out, '\n');
}

static void print_json(struct out *out, const struct removal *r, bool dry_run) {
    out_printf(out, "{\"events\":%llu", (unsigned long long)r->events);
    if (r->what & REMOVAL_BYTES) {
        out_printf(out, ",\"bytes\":%llu", (unsigned long long)r->bytes);
    }
    if (r->what & REMOVAL_STREAMS) {
        out_printf(out, ",\"streams\":%llu", (unsigned long long)r->streams);
    }
    if (r->what & REMOVAL_NAMES && r->names_at_most) {
        out_printf(out, ",\"names\":null,\"names_at_most\":%llu", (unsigned long long)r->names);
    } else if (r->what & REMOVAL_NAMES) {
        out_printf(out, ",\"names\":%llu", (unsigned long long)r->names);
    }
    out_printf(out, ",\"dry_run\":%s}\n", dry_run ? "true" : "false");
}

int removal_print(const struct args *args, const struct removal *removal) {
    struct out out;
    int code = out_open(&out);
    if (code != EXIT_OK) {
        return code;
    }
    bool json = args->given[OPT_OUTPUT] && !cli_output_is(args, "text");
    (json ? print_json : print_text)(&out, removal, args->given[OPT_DRY_RUN]);
    return out_close(&out);
}
