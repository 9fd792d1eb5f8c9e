/* Error codes, their names and sentences, and the last detailed message of each thread: the only
 * thread-local state of the library that is not bound to a handle. */
#ifndef EDDY_ERROR_H
#define EDDY_ERROR_H

#include "eddy.h"

/* Code, name, sentence: the one table. */
#define EDDY_ERRORS(X)                                                                             \
    X(EDDY_EINVAL, "an argument is not allowed")                                                   \
    X(EDDY_ENOENT, "not found")                                                                    \
    X(EDDY_EEXIST, "exists already")                                                               \
    X(EDDY_ECONFLICT, "a condition did not hold")                                                  \
    X(EDDY_ECORRUPT, "the store is damaged")                                                       \
    X(EDDY_ENOTSTORE, "not an eddy store")                                                         \
    X(EDDY_EFULL, "no memory is left in the store or its file system")                             \
    X(EDDY_ELIMIT, "a limit would be passed")                                                      \
    X(EDDY_EACCESS, "permission denied")                                                           \
    X(EDDY_ELAYOUT, "the store has an incompatible layout")                                        \
    X(EDDY_ETIMEDOUT, "the deadline passed")                                                       \
    X(EDDY_ELAPPED, "events that were to be read are gone")                                        \
    X(EDDY_ECLOSED, "the handle was shut down")                                                    \
    X(EDDY_EFORKED, "the transaction belongs to the parent process")                               \
    X(EDDY_EREADONLY, "the handle is read-only")                                                   \
    X(EDDY_EAGAIN, "no steady view was found; try again")                                          \
    X(EDDY_ENOMEM, "this process is out of memory")                                                \
    X(EDDY_ECANCELED, "the wait was ended by another thread")                                      \
    X(EDDY_ESYS, "a system call failed")

/* Notes a message for this thread and gives back the code, so that `return eddy_error_set(...)`
 * reads well. */
int eddy_error_set(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
