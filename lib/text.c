/* A place in a stream as a line for people. */
#include <stdio.h>

#include "eddy.h"
#include "error.h"

enum { DAY_S = 86400, SECOND_NS = 1000000000 };

struct date {
    int64_t year;
    unsigned month;
    unsigned day;
};

/* The day of that number since 1970-01-01, by the calendar that goes on for ever (as in the paper of H.
 * Hinnant): years begin in March, so that the leap day is the last of one. */
static struct date date_of(int64_t days) {
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned day = (unsigned)(z - era * 146097);
    unsigned year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    unsigned month = (5 * day + 2) / 153;
    day -= (153 * month + 2) / 5;
    month = month < 10 ? month + 3 : month - 9;
    return (struct date){.year = era * 400 + year + (month <= 2), .month = month, .day = day + 1};
}

/* ".5" for half a second, "" for none. */
static void fraction(int64_t ns, char text[16]) {
    int n = ns ? snprintf(text, 16, ".%09d", (int)ns) : 0;
    while (n > 0 && text[n - 1] == '0') {
        n--;
    }
    text[n] = 0;
}

int eddy_cursor_text(char *text, size_t size, eddy_bytes stream, uint64_t position,
                     int64_t time_ns) {
    int64_t ns = time_ns % SECOND_NS;
    int64_t s = time_ns / SECOND_NS - (ns < 0);
    int64_t of_day = s % DAY_S + (s % DAY_S < 0 ? DAY_S : 0);
    struct date d = date_of((s - of_day) / DAY_S);
    char part[16];
    if (stream.len > EDDY_STREAM_MAX || (stream.len > 0 && !stream.ptr)) {
        return eddy_error_set(EDDY_EINVAL, "the name of a stream has at most %u bytes",
                              EDDY_STREAM_MAX);
    }
    fraction(ns < 0 ? ns + SECOND_NS : ns, part);
    return snprintf(text, size, "stream:%.*s pos:%llu time:%04lld-%02u-%02uT%02d:%02d:%02d%sZ",
                    (int)stream.len, stream.len ? (const char *)stream.ptr : "",
                    (unsigned long long)position, (long long)d.year, d.month, d.day,
                    (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60), part);
}
