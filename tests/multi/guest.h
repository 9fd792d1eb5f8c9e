/* A guest: a process beside the test that uses a store, and shakes hands with the test by two
 * pipes. And what the tests of members ask of a store. */
#ifndef GUEST_H
#define GUEST_H

#include "eddy.h"
#include "support/sandbox.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct guest {
    eddy_store *store;         /* given by the test, for it to use as a child; or its own */
    const struct sandbox *box; /* where it opens "store" by name */
    void *more;                /* whatever a test wants to hand over */
    pid_t pid;
    int up[2];   /* the guest says */
    int down[2]; /* the guest hears */
};

/* Starts fn(guest) as a process. What is set in *guest before is there in the process, too. */
void guest_start(struct guest *guest, void (*fn)(struct guest *guest));
/* For the guest. guest_meet(): says, and then hears. */
void guest_say(struct guest *guest);
void guest_hear(struct guest *guest);
void guest_meet(struct guest *guest);
/* For the test. */
void guest_await(struct guest *guest);
void guest_tell(struct guest *guest);
/* Its exit code, and its pipes are closed. */
int guest_end(struct guest *guest);
/* Kills, reaps, and closes the pipes. */
void guest_kill(struct guest *guest);

/* Waits until a process sleeps in the kernel. */
void guest_await_sleep(pid_t pid);
/* Which process a pid stands for in the eyes of this one's /proc: its own number there. */
pid_t guest_pid_in_proc(void);

/* Appends an event to a stream; CHECKs that it succeeds. */
void look_append(eddy_store *store, const char *stream);
/* Appends an event of so many bytes; gives what eddy_append() gives. */
int look_append_bytes(eddy_store *store, const char *stream, size_t len);
/* Fills *facts (may be NULL) with the member of that pid: whether there is one. */
bool look_member(eddy_store *store, pid_t pid, eddy_member_facts *facts);
bool look_alive(eddy_store *store, pid_t pid);
/* Opens the store "store" of a box, which sweeps, and closes it. */
void look_sweep(const struct sandbox *box);
/* Of eddy_info() and eddy_stats(). */
eddy_facts look_facts(eddy_store *store);
eddy_counts look_counts(eddy_store *store);
/* The last version of a stream; 0 if there is none. */
uint64_t look_version(eddy_store *store, const char *stream);

/* Options for a store in a box. */
eddy_options look_options(const struct sandbox *box, uint32_t flags);

#endif
