/* Fresh stores that leave nothing behind. */
#ifndef SANDBOX_H
#define SANDBOX_H

#include "eddy.h"

#include <stddef.h>
#include <stdint.h>

#define SANDBOX_CAP (UINT64_C(256) << 20)

/* A private directory below /dev/shm (below $TMPDIR, if that is set), its mode 0711. A process of
 * its own removes it when this one ends, however it ends. */
struct sandbox {
    char dir[200];
};

void sandbox_make(struct sandbox *sandbox);
/* dir/name, and the file of the store `name` in dir. Valid until the next call but seven of this
 * thread. */
const char *sandbox_path(const struct sandbox *sandbox, const char *name);
const char *sandbox_file(const struct sandbox *sandbox, const char *name);
/* Opens a store in it, making it if need be. */
eddy_store *sandbox_open(const struct sandbox *sandbox, const char *name, uint32_t flags);

/* A new store without a name, to be handed to children by fork. */
eddy_store *sandbox_anonymous(void);
eddy_store *sandbox_anonymous_of(uint64_t cap);

/* Another handle on the same store, by its descriptor. */
eddy_store *sandbox_again(eddy_store *store, uint32_t flags);
/* Its name as "fd:N", for a program that is started by exec: the descriptor stays open in it.
 * text has room for 16. */
const char *sandbox_fd_name(eddy_store *store, char *text);

/* Checks that eddy_check() finds nothing wrong. */
void sandbox_check(eddy_store *store);
/* The number of members in the list, and in *dead how many of them are not alive. */
uint32_t sandbox_members(eddy_store *store, uint32_t *dead);
/* The last offset. */
uint64_t sandbox_head(eddy_store *store);

#endif
