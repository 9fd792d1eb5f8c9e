/* Shards, for who reads: the list of a shard as a reader goes along it, and what eddy.h declares.
 *
 * A reader of a shard goes by ordinals of its list, as one of a stream goes by versions; the lists may
 * be taken out when all its events are gone, and another be made under the same key. It includes
 * reader.h, whose readers it is a part of.
 */
#ifndef EDDY_SHARD_ROOM_H
#define EDDY_SHARD_ROOM_H

#include "reader.h"

/* The list of the reader's shard: 1, 0 if there is none now, or an error. */
int eddy_shard_find(struct eddy_reader *reader);
/* The offset at an ordinal of it: 1, EDDY_READER_NOTHING, EDDY_READER_GONE, or an error. */
int eddy_shard_offset(struct eddy_reader *reader, uint64_t ordinal, uint64_t *offset);
/* The last ordinal up to which all is gone. 0 or an error. */
int eddy_shard_gone(struct eddy_reader *reader, uint64_t *gone);
/* The last ordinal up to `last` that is not after the select's offset. 0 or an error. */
int eddy_shard_before(struct eddy_reader *reader, uint64_t last, uint64_t *low);
/* Of what eddy_shard_offset() has called gone: is it news, and up to which offset? */
bool eddy_shard_lapse(const struct eddy_reader *reader);
uint64_t eddy_shard_lost(const struct eddy_reader *reader);
/* The list that it went along was taken out, or is another: may it have missed something? Then up to
 * which offset, else 0. */
uint64_t eddy_shard_anew(struct eddy_reader *reader);

#endif
