/* The versions of a stream's snapshots, in order: an entry of their own, the *anchor*, replaced whole by
 * who adds some or deletes some. By it the newest at or below a version is found.
 */
#ifndef EDDY_ANCHOR_H
#define EDDY_ANCHOR_H

#include "keys.h"

/* The number that makes a stream's name the key of its anchor; versions are lower. */
#define EDDY_ANCHOR UINT64_MAX
#define EDDY_SNAPSHOT_VERSION_MAX ((uint64_t)INT64_MAX)

/* The versions of a stream's snapshots are in the room then, *count of them, and the anchor's revision in
 * *revision: 1; 0 if there is none; or an error. */
int eddy_anchor_load(const struct eddy_view *view, eddy_bytes stream, struct eddy_room *room,
                     size_t *count, uint64_t *revision);
static inline uint64_t eddy_anchor_version(const struct eddy_room *room, size_t i) {
    uint64_t version;
    __builtin_memcpy(&version, room->bytes + 8 * i, sizeof version);
    return version;
}
/* How many of them are at or below a version. */
size_t eddy_anchor_up_to(const struct eddy_room *room, size_t count, uint64_t version);

/* Deletes the snapshots that the batch asks for by a version up to which, and brings the anchors up to
 * what the batch has put and deleted. */
int eddy_anchor_plan(const struct eddy_committer *committer, struct eddy_batch *batch,
                     struct eddy_attempt *attempt);

#endif
