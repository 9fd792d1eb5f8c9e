/* Several workers at once, as processes or as threads, and what the stress programs say of a store. */
#ifndef GANG_H
#define GANG_H

#include "eddy.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { GANG_MAX = 32 };

struct gang {
    bool threads;
    uint32_t count;
    pthread_t thread[GANG_MAX];
    pid_t pid[GANG_MAX];
};

/* Starts one more: fn(arg), as a process or, if gang->threads is set, as a thread. */
void gang_start(struct gang *gang, void (*fn)(void *arg), void *arg);

/* Waits until all have ended: true if each did so with 0. When one fails, or the time is over (which
 * threads do not look at), the others are killed. The gang is empty then. */
bool gang_end(struct gang *gang, int64_t limit_ms);

/* Facts of a store now. */
eddy_facts gang_facts(eddy_store *store);
/* Bytes that are taken from the file system and not free. */
uint64_t gang_used(eddy_store *store);
/* All there is to take back is taken back. */
void gang_maintain(eddy_store *store);

double gang_mib(uint64_t bytes);

/* Says what does not hold, with the seed, and ends the process with 1. */
_Noreturn void gang_breach(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
