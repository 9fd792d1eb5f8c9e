#include "report.h"

#include "measure.h"

#include <stdlib.h>

int report_begin(struct report *report, bool json) {
    *report = (struct report){.json = json, .first = true};
    report->out = open_memstream(&report->text, &report->len);
    if (!report->out) {
        return bench_error("no memory for the report");
    }
    if (json) {
        fputc('{', report->out);
    }
    report->depth = 1;
    return 0;
}

int report_end(struct report *report, bool good) {
    if (report->json) {
        fputs("\n}\n", report->out);
    }
    int rc = fclose(report->out) == 0 ? 0 : -1;
    if (rc == 0 && good) {
        rc = fwrite(report->text, 1, report->len, stdout) == report->len && fflush(stdout) == 0
                 ? 0
                 : bench_error("the report could not be written to the standard output");
    }
    free(report->text);
    return rc;
}

static void put_string(FILE *out, const char *s) {
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            fprintf(out, "\\u%04x", c);
        } else {
            fputc(c, out);
        }
    }
    fputc('"', out);
}

/* The key, and all that has to stand before the value. */
static void put_key(struct report *report, const char *key) {
    if (report->json) {
        fprintf(report->out, "%s\n%*s", report->first ? "" : ",", report->depth * 2, "");
        put_string(report->out, key);
        fputs(": ", report->out);
    } else {
        int indent = (report->depth - 1) * 2;
        fprintf(report->out, "%*s%-*s ", indent, "", 26 - indent, key);
    }
    report->first = false;
}

static void put_end(struct report *report) {
    if (!report->json) {
        fputc('\n', report->out);
    }
}

void report_open(struct report *report, const char *key) {
    if (report->json) {
        put_key(report, key);
        fputc('{', report->out);
    } else {
        fprintf(report->out, "%*s%s\n", (report->depth - 1) * 2, "", key);
    }
    report->depth++;
    report->first = true;
}

void report_close(struct report *report) {
    report->depth--;
    report->first = false;
    if (report->json) {
        fprintf(report->out, "\n%*s}", report->depth * 2, "");
    }
}

void report_text(struct report *report, const char *key, const char *value) {
    if (!value) {
        report_null(report, key);
        return;
    }
    put_key(report, key);
    if (report->json) {
        put_string(report->out, value);
    } else {
        fputs(value, report->out);
    }
    put_end(report);
}

void report_count(struct report *report, const char *key, uint64_t value) {
    put_key(report, key);
    fprintf(report->out, "%llu", (unsigned long long)value);
    put_end(report);
}

/* Small figures need a digit behind the point, ratios two; large ones none. */
static void put_number(FILE *out, double value) {
    fprintf(out, "%.*f", value < 10 ? 3 : value < 10000 ? 1 : 0, value);
}

void report_number(struct report *report, const char *key, double value) {
    put_key(report, key);
    put_number(report->out, value);
    put_end(report);
}

void report_flag(struct report *report, const char *key, bool value) {
    put_key(report, key);
    fputs(report->json ? (value ? "true" : "false") : (value ? "yes" : "no"), report->out);
    put_end(report);
}

void report_null(struct report *report, const char *key) {
    put_key(report, key);
    fputs(report->json ? "null" : "-", report->out);
    put_end(report);
}

void report_numbers(struct report *report, const char *key, const double *values, size_t count) {
    put_key(report, key);
    fputs(report->json ? "[" : "", report->out);
    for (size_t i = 0; i < count; i++) {
        fputs(i == 0 ? "" : report->json ? ", " : " ", report->out);
        put_number(report->out, values[i]);
    }
    fputs(report->json ? "]" : "", report->out);
    put_end(report);
}

void report_histogram(struct report *report, const char *key, const struct histogram *histogram) {
    static const struct {
        const char *key;
        double percent;
    } rows[] = {
        {"p50_ns", 50}, {"p90_ns", 90}, {"p99_ns", 99}, {"p99_9_ns", 99.9}, {"p99_99_ns", 99.99}};
    report_open(report, key);
    report_count(report, "samples", histogram->count);
    report_number(report, "mean_ns", measure_ticks_to_ns(1) * histogram_mean(histogram));
    report_number(report, "min_ns", measure_ticks_to_ns(histogram->min));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = histogram_percentile(histogram, rows[i].percent);
        report_number(report, rows[i].key, measure_ticks_to_ns(value));
    }
    report_number(report, "max_ns", measure_ticks_to_ns(histogram->max));
    report_close(report);
}
