/* The life of an ephemeral store: it ends with the last process that has it open, also if that was
 * killed. On the level of files; who asks is the arena.
 *
 * Whoever has such a store open holds byte EDDY_LOCK_HERE for reading, by the description of its file
 * that is mapped: so for as long as the mapping lives, in a fork's child too, and never longer than the
 * processes. Who can have that byte for writing knows that nobody has it open: he alone may end it. To
 * end it is to say so in the superblock (`ended`), and then to take the name away. Who opens it holds
 * the byte first and looks at `ended` behind that.
 * Death before `ended`: nothing happened; the next who looks ends it. Between that and the name: the name
 * leads to a store that has ended, and the next who looks takes it away.
 */
#ifndef EDDY_LIFE_H
#define EDDY_LIFE_H

#include <stdbool.h>

/* This description keeps the store alive from now on: 0 or a negative errno. By who makes it, before
 * it has a name. */
int eddy_life_begin(int fd);
/* The same by who opens it: 1; 0 if nobody has kept it, and so it has ended; or a negative errno:
 * -EAGAIN if somebody is about to end it and does not come to that, -EACCES if it has ended and keeps
 * its name, since that is not ours to take away. path may be NULL. */
int eddy_life_join(int fd, const char *path, bool read_only);
/* After all else was closed, with a description of its own, open for writing: ends the store, if nobody
 * has it open. */
void eddy_life_leave(int fd, const char *path);
/* Ends the store at a path, if it is an ephemeral one that nobody has open; and all such stores in a
 * directory. */
void eddy_life_sweep(const char *path);
void eddy_life_sweep_all(const char *dir);

#endif
