/* A descriptor that polls readable when a futex word in shared memory changes: what an event loop
 * needs in order to sleep on a subscription together with its sockets.
 *
 * Owns: one eventfd, the only descriptor that is given out, and behind it one wait for the word:
 * an io_uring with a futex wait (Linux 6.7), else a thread that sleeps on the word.
 * Invariant: after eddy_pollfd_arm(p, expected, recheck_ns) succeeded, the descriptor becomes
 * readable once the word is not `expected` and was woken, and in any case within recheck_ns; it
 * stays so until the next arm (level-triggered). It may become readable for no reason.
 *
 * May be called by one thread at a time, any thread, except for eddy_pollfd_kick(). Best is to arm
 * always from the same one: with an io_uring, once a second thread has armed, each wake interrupts
 * the thread that armed last, as a signal would (epoll_wait() there may give EINTR). If the thread
 * that armed ends, the descriptor becomes readable.
 * The word must stay mapped until eddy_pollfd_close(); the mapping must be MAP_SHARED, and may be
 * read-only. Whoever changes the word must wake it with a shared (not private) FUTEX_WAKE.
 *
 * Fork: a child has no part in its parent's wait. There eddy_pollfd_arm() gives -EPERM,
 * eddy_pollfd_kick() does nothing, and eddy_pollfd_close() frees the memory and closes the child's
 * descriptors, so that the owner opens a new one. exec closes everything.
 */
#ifndef EDDY_POLLFD_H
#define EDDY_POLLFD_H

#include <stdbool.h>
#include <stdint.h>

struct eddy_pollfd;

/* Opens, unarmed and not readable, for the futex word at `word`. With force_thread the thread is
 * used although there is an io_uring (for tests). Gives 0, or a negative errno (*out is NULL then):
 * -EINVAL if the word is NULL or not aligned to 4, -EMFILE, -ENFILE, -ENOMEM, -EAGAIN (no thread
 * to be had). */
int eddy_pollfd_open(struct eddy_pollfd **out, uint32_t *word, int force_thread);

/* The descriptor to poll: the same for life, owned by p. Never read it nor write to it. */
int eddy_pollfd_fd(struct eddy_pollfd *p);

/* Whether p is served by a thread rather than by an io_uring. */
bool eddy_pollfd_has_thread(const struct eddy_pollfd *p);

/* Makes the descriptor unreadable, and waits anew: readable at once if the word is not `expected`
 * now, else when it is woken, at the latest after recheck_ns (which bounds the damage if the one
 * who was to wake died first; at most a day counts, and 0 or less fires at once). The wait before
 * is used on, if it has not fired, for this value too, and then this costs one system call; only if
 * this recheck comes sooner than the one it has is it cancelled.
 *
 * A kick that comes while this runs may be cleared by it: whoever kicks sets its own flag first,
 * and the caller looks at that flag after arming.
 * Gives 0, or a negative errno: -EPERM after a fork, -EFAULT if the word is not mapped, what the
 * kernel said if it had no memory or descriptors for a new wait. Nothing is armed then; try again.
 * Waits for no other process; for the thread of this room, if there is one, a moment. */
int eddy_pollfd_arm(struct eddy_pollfd *p, uint32_t expected, int64_t recheck_ns);

/* Makes the descriptor readable now. From any thread, also while another arms. */
void eddy_pollfd_kick(struct eddy_pollfd *p);

/* Ends the wait, armed or not, and frees everything. NULL is allowed. Nobody may kick any more. */
void eddy_pollfd_close(struct eddy_pollfd *p);

#endif
