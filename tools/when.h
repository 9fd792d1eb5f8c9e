/* Times in text: RFC 3339 in JSON, local or UTC for people, and what options may say.
 *
 * A time is int64_t nanoseconds since 1970 (years 1677 to 2262). In JSON it has as many digits
 * after the point as it needs, so that text that was imported comes out as it went in. */
#ifndef WHEN_H
#define WHEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WHEN_ROOM = 48 };

/* The last second that was formatted: events come in crowds. Begins as all zeros. */
struct when_cache {
    int64_t second;
    bool valid;
    size_t len;  /* of the text up to the seconds */
    size_t zone; /* where in the text the zone begins, ending with a zero */
    char text[WHEN_ROOM];
};

/* "2009-03-22T09:30:00.5Z" into text; gives its length. */
size_t when_json(struct when_cache *cache, int64_t ns, char text[WHEN_ROOM]);
/* "2009-03-22 09:30:00.500+00:00" in local time, or with Z in UTC. */
size_t when_text(struct when_cache *cache, int64_t ns, bool utc, char text[WHEN_ROOM]);

/* Reads RFC 3339. NULL, or what is wrong with it. */
const char *when_parse_rfc3339(const char *text, size_t len, int64_t *ns);
/* Reads whole nanoseconds. */
const char *when_parse_ns(const char *text, size_t len, int64_t *ns);
/* Reads what options take: RFC 3339, "@seconds", nanoseconds, "now", or "-5m". */
const char *when_parse_option(const char *text, int64_t *ns);

/* Reads a duration, as "50ms", "7d" or "1h30m"; "0" is none. */
bool when_parse_duration(const char *text, int64_t *ns);
/* Writes one so, in days and less. */
void when_duration(int64_t ns, char text[WHEN_ROOM]);

#endif
