/* Processes of a test. A child never touches Criterion: it runs one function, checks by CHECK, and
 * ends by _exit(); it dies with its parent. The parent reaps it within a time limit and asserts. */
#ifndef CHILD_H
#define CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_LIMIT_MS 60000 /* a child that takes longer hangs */

enum { CHILD_LATE = -1000 };

/* Starts fn(arg) as a process, which ends with 0 when fn returns. Never fails (it checks). */
pid_t child_start(void (*fn)(void *arg), void *arg);

/* Waits for its end and gives its exit code, minus the number of the signal that ended it, or
 * CHILD_LATE after having killed it. */
int child_end(pid_t pid, int64_t limit_ms);

/* Kills and reaps. */
void child_kill(pid_t pid);

/* Sends SIGSTOP and waits until it is stopped: 0; or -1 if it ended instead (and is reaped). */
int child_stop(pid_t pid);
void child_continue(pid_t pid);

/* Both: runs fn(arg) as a process to its end. */
int child_run(void (*fn)(void *arg), void *arg);

/* Memory that is shared with children, zeroed; for the life of the process. */
void *child_shared(size_t bytes);

/* Pipes to shake hands by: one byte, with a time limit of CHILD_LIMIT_MS. */
void child_say(int fd);
void child_hear(int fd);

int64_t child_now_ns(void);
/* Burns or sleeps away some microseconds: to choose a moment by, not to synchronise. */
void child_linger_us(uint64_t us);

#endif
