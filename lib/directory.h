/* The directory: what this process knows of streams' names, so that the shared trie need not be
 * walked for a name that was seen before, and so that names can be listed in byte order.
 *
 * It is a cache and belongs to one handle. Lookups of a name are protected by liburcu (the -bp
 * flavour, which needs nothing of its callers): the table is replaced whole, by one thread at a
 * time. The sorted names, which only lists need, are under a mutex.
 */
#ifndef EDDY_DIRECTORY_H
#define EDDY_DIRECTORY_H

#include "view.h"

struct eddy_directory;

/* forked: in a child after a fork, where liburcu may still wait for threads that were the parent's:
 * old tables are then kept until the end, which is at most as much again. */
struct eddy_directory *eddy_directory_create(bool forked);
void eddy_directory_destroy(struct eddy_directory *directory);

/* The descriptor of a name that was noted before, or 0. matches says whether a descriptor that was
 * noted under this hash, in this life, has the name. */
uint64_t eddy_directory_find(struct eddy_directory *directory, const struct eddy_view *view,
                             eddy_bytes name, uint64_t hash);
/* Notes a descriptor. A hint: nothing happens if another thread is at it. */
void eddy_directory_note(struct eddy_directory *directory, const struct eddy_view *view,
                         uint64_t hash, uint64_t off);

/* The sorted names. Descriptors up to stream number `known` are in it. */
uint64_t eddy_directory_known(struct eddy_directory *directory);
/* Adds descriptors, by their offsets, in any order; known is then the number of the last. Returns
 * 0, or EDDY_ENOMEM. Under eddy_directory_lock(). */
int eddy_directory_add(struct eddy_directory *directory, const struct eddy_view *view,
                       const uint64_t *offs, size_t count, uint64_t known);
/* Takes out the names that were forgotten, if their number is another than last time. Under
 * eddy_directory_lock(). */
void eddy_directory_purge(struct eddy_directory *directory, const struct eddy_view *view,
                          uint64_t forgotten);
/* Forgets all sorted names: they are collected anew. Under eddy_directory_lock(). */
void eddy_directory_unsort(struct eddy_directory *directory);
void eddy_directory_lock(struct eddy_directory *directory);
void eddy_directory_unlock(struct eddy_directory *directory);
/* Copies up to limit offsets of descriptors whose names come after `after` (not: from, if
 * inclusive) and begin with prefix, in byte order, into a new array, to be freed by the caller.
 * Returns how many, or EDDY_ENOMEM. Under eddy_directory_lock(). */
int64_t eddy_directory_page(struct eddy_directory *directory, const struct eddy_view *view,
                            eddy_bytes prefix, eddy_bytes after, size_t limit, uint64_t **offs);

#endif
