/* Times to text and back. Dates are counted here rather than by timegm, since the year and the
 * range are checked anyway, and nothing of it depends on the time zone. */
#include "when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

static const char not_rfc3339[] = "a time is written as 2009-03-22T09:30:00.5Z or with +01:00";
static const char not_in_range[] = "the time is outside of the years 1678 to 2261";

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar. */
static int64_t days_from_date(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void split_ns(int64_t ns, int64_t *second, int64_t *fraction) {
    *second = ns / NS_PER_S;
    *fraction = ns % NS_PER_S;
    if (*fraction < 0) {
        *fraction += NS_PER_S;
        *second -= 1;
    }
}

/* ---- to text ---- */

static void put_zone(struct when_cache *cache, const struct tm *tm, bool utc) {
    char *zone = cache->text + cache->zone;
    size_t room = sizeof cache->text - cache->zone;
    if (utc) {
        snprintf(zone, room, "Z");
        return;
    }
    long offset = tm->tm_gmtoff / 60;
    long minutes = offset < 0 ? -offset : offset;
    snprintf(zone, room, "%c%02d:%02d", offset < 0 ? '-' : '+', (int)(minutes / 60 % 100),
             (int)(minutes % 60));
}

static void fill_cache(struct when_cache *cache, int64_t second, bool utc, char separator) {
    struct tm tm;
    time_t t = (time_t)second;
    memset(&tm, 0, sizeof tm);
    if (utc) {
        gmtime_r(&t, &tm);
    } else {
        localtime_r(&t, &tm);
    }
    int n = snprintf(cache->text, 32, "%04d-%02d-%02d%c%02d:%02d:%02d", tm.tm_year + 1900,
                     tm.tm_mon + 1, tm.tm_mday, separator, tm.tm_hour, tm.tm_min, tm.tm_sec);
    cache->len = (size_t)n;
    cache->zone = cache->len + 1;
    put_zone(cache, &tm, utc);
    cache->second = second;
    cache->valid = true;
}

size_t when_json(struct when_cache *cache, int64_t ns, char text[WHEN_ROOM]) {
    int64_t second;
    int64_t fraction;
    split_ns(ns, &second, &fraction);
    if (!cache->valid || cache->second != second) {
        fill_cache(cache, second, true, 'T');
    }
    size_t n = cache->len;
    memcpy(text, cache->text, n);
    if (fraction) {
        text[n++] = '.';
        for (int64_t unit = NS_PER_S / 10; fraction; unit /= 10) {
            text[n++] = (char)('0' + fraction / unit);
            fraction %= unit;
        }
    }
    text[n++] = 'Z';
    return n;
}

size_t when_text(struct when_cache *cache, int64_t ns, bool utc, char text[WHEN_ROOM]) {
    int64_t second;
    int64_t fraction;
    split_ns(ns, &second, &fraction);
    if (!cache->valid || cache->second != second) {
        fill_cache(cache, second, utc, ' ');
    }
    int n = snprintf(text, WHEN_ROOM, "%.*s.%03d%s", (int)cache->len, cache->text,
                     (int)(fraction / 1000000), cache->text + cache->zone);
    return (size_t)n;
}

/* ---- from text ---- */

/* Exactly n digits at text; -1 if they are not. */
static int64_t number_at(const char *text, size_t n) {
    int64_t value = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

static const char *join(int64_t second, int64_t fraction, int64_t *ns) {
    if (second < 0 && fraction > 0) { /* so that the earliest second does not overflow */
        second++;
        fraction -= NS_PER_S;
    }
    if (__builtin_mul_overflow(second, NS_PER_S, ns) || __builtin_add_overflow(*ns, fraction, ns)) {
        return not_in_range;
    }
    return NULL;
}

/* Digits of a fraction of a second; gives how many there are, 0 if they cannot be kept. */
static size_t fraction_at(const char *text, size_t len, int64_t *fraction) {
    int64_t unit = NS_PER_S / 10;
    size_t n = 0;
    *fraction = 0;
    for (; n < len && text[n] >= '0' && text[n] <= '9'; n++) {
        if (unit == 0 && text[n] != '0') {
            return 0;
        }
        *fraction += (text[n] - '0') * unit;
        unit /= 10;
    }
    return n;
}

/* "Z" or "+01:00": the minutes east of Greenwich. */
static bool zone_at(const char *text, size_t len, int64_t *minutes) {
    if (len == 1 && (text[0] == 'Z' || text[0] == 'z')) {
        *minutes = 0;
        return true;
    }
    if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') {
        return false;
    }
    int64_t hour = number_at(text + 1, 2);
    int64_t minute = number_at(text + 4, 2);
    *minutes = (text[0] == '-' ? -1 : 1) * (hour * 60 + minute);
    return hour >= 0 && hour < 24 && minute >= 0 && minute < 60;
}

static bool date_at(const char *text, int64_t *days) {
    static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year = number_at(text, 4);
    int64_t month = number_at(text + 5, 2);
    int64_t day = number_at(text + 8, 2);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
        (month == 2 && day == 29 && !leap)) {
        return false;
    }
    *days = days_from_date(year, month, day);
    return true;
}

const char *when_parse_rfc3339(const char *text, size_t len, int64_t *ns) {
    int64_t days;
    int64_t fraction = 0;
    int64_t minutes;
    if (len < 20 || text[4] != '-' || text[7] != '-' || !memchr("Tt ", text[10], 3) ||
        text[13] != ':' || text[16] != ':') {
        return not_rfc3339;
    }
    if (!date_at(text, &days)) {
        return "there is no such date";
    }
    int64_t hour = number_at(text + 11, 2);
    int64_t minute = number_at(text + 14, 2);
    int64_t second = number_at(text + 17, 2);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60) {
        return "there is no such time of day";
    }
    size_t at = 19;
    if (text[at] == '.') {
        size_t n = fraction_at(text + at + 1, len - at - 1, &fraction);
        if (n == 0) {
            return "after the point of a time stand digits, and none below a nanosecond";
        }
        at += 1 + n;
    }
    if (!zone_at(text + at, len - at, &minutes)) {
        return not_rfc3339;
    }
    return join(days * 86400 + hour * 3600 + (minute - minutes) * 60 + second, fraction, ns);
}

const char *when_parse_ns(const char *text, size_t len, int64_t *ns) {
    bool negative = len > 0 && text[0] == '-';
    size_t at = negative ? 1 : 0;
    int64_t value = 0;
    if (at == len) {
        return not_rfc3339;
    }
    for (; at < len; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return "a time in nanoseconds is a whole number";
        }
        int64_t digit = negative ? '0' - text[at] : text[at] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, digit, &value)) {
            return not_in_range;
        }
    }
    *ns = value;
    return NULL;
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

static const struct {
    const char *name;
    int64_t ns;
} units[] = {{"w", 7 * 86400 * NS_PER_S}, {"d", 86400 * NS_PER_S},    {"h", 3600 * NS_PER_S},
             {"min", 60 * NS_PER_S},      {"m", 60 * NS_PER_S},       {"s", NS_PER_S},
             {"ms", NS_PER_S / 1000},     {"us", NS_PER_S / 1000000}, {"ns", 1}};
enum { UNITS = sizeof units / sizeof units[0] };

/* The nanoseconds of the unit that a text begins with, up to the next number; 0: there is none. */
static int64_t unit_at(const char *text, size_t *len) {
    *len = strcspn(text, "0123456789");
    for (size_t i = 0; i < UNITS; i++) {
        if (strlen(units[i].name) == *len && memcmp(text, units[i].name, *len) == 0) {
            return units[i].ns;
        }
    }
    return 0;
}

bool when_parse_duration(const char *text, int64_t *ns) {
    int64_t sum = 0;
    if (strcmp(text, "0") == 0) {
        *ns = 0;
        return true;
    }
    do {
        int64_t number;
        size_t digits = strspn(text, "0123456789");
        size_t len;
        int64_t unit = unit_at(text + digits, &len);
        if (digits == 0 || unit == 0 || when_parse_ns(text, digits, &number) != NULL ||
            __builtin_mul_overflow(number, unit, &number) ||
            __builtin_add_overflow(sum, number, &sum)) {
            return false;
        }
        text += digits + len;
    } while (*text);
    *ns = sum;
    return true;
}

void when_duration(int64_t ns, char text[WHEN_ROOM]) {
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < UNITS; i++) {
        bool is_shown = strcmp(units[i].name, "w") != 0 && strcmp(units[i].name, "min") != 0;
        if (is_shown && (ns >= units[i].ns || (ns == 0 && len == 0 && units[i].ns == NS_PER_S))) {
            len += (size_t)snprintf(text + len, WHEN_ROOM - len, "%lld%s",
                                    (long long)(ns / units[i].ns), units[i].name);
            ns %= units[i].ns;
        }
    }
}

/* "-90s": so long before now. */
static bool parse_back(const char *text, int64_t *ns) {
    int64_t back;
    return strcmp(text, "-0") != 0 && when_parse_duration(text + 1, &back) &&
           !__builtin_sub_overflow(now_ns(), back, ns);
}

const char *when_parse_option(const char *text, int64_t *ns) {
    static const char help[] = "a time is 2009-03-22T09:30:00Z, @1237714200 (seconds), nanoseconds,"
                               " -5m (s, m, h, d, w ago) or now";
    size_t len = strlen(text);
    if (strcmp(text, "now") == 0) {
        *ns = now_ns();
        return NULL;
    }
    if (text[0] == '-' && parse_back(text, ns)) {
        return NULL;
    }
    if (text[0] == '@') {
        int64_t second;
        int64_t fraction = 0;
        size_t whole = strcspn(text, ".");
        if (when_parse_ns(text + 1, whole - 1, &second) != NULL ||
            (text[whole] && (fraction_at(text + whole + 1, len - whole - 1, &fraction) == 0 ||
                             strspn(text + whole + 1, "0123456789") != len - whole - 1))) {
            return help;
        }
        if (text[1] == '-' && fraction > 0) {
            second--;
            fraction = NS_PER_S - fraction;
        }
        return join(second, fraction, ns);
    }
    if (strspn(text, "-0123456789") == len) {
        return when_parse_ns(text, len, ns) ? help : NULL;
    }
    return len < 20 ? help : when_parse_rfc3339(text, len, ns);
}
