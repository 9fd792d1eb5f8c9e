/* One thread that polls a signal descriptor and the standard output while the main thread waits for
 * events. */
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { PATIENCE_MS = 2000 };

static struct {
    eddy_reader *reader;
    pthread_t thread;
    int fd; /* readable when SIGINT has come */
    bool begun;
    atomic_int seen; /* enum interrupt */
    atomic_bool over;
} state;

/* Waits for either. interrupt_end() sends the signal, too. */
static enum interrupt wait_for_one(void) {
    /* Of a pipe or socket, only that its other end is closed is asked for: that needs no event. */
    struct pollfd polls[2] = {{state.fd, POLLIN, 0}, {STDOUT_FILENO, 0, 0}};
    for (;;) {
        int n = poll(polls, 2, -1);
        if ((n > 0 && polls[0].revents) || (n < 0 && errno != EINTR)) {
            struct signalfd_siginfo info;
            ssize_t got = read(state.fd, &info, sizeof info); /* a second one is seen for itself */
            (void)got;
            return INTERRUPT_SIGNAL;
        }
        if (n > 0 && polls[1].revents & (POLLERR | POLLHUP)) {
            return INTERRUPT_PIPE;
        }
        polls[1].fd = n > 0 ? -1 : STDOUT_FILENO; /* closed: the write will say so */
    }
}

static void *watch(void *arg) {
    (void)arg;
    enum interrupt what = wait_for_one();
    if (atomic_load(&state.over)) {
        return NULL;
    }
    atomic_store(&state.seen, (int)what);
    eddy_reader_wake(state.reader);
    /* If the main thread cannot come (it may be writing to a pipe that nobody empties), end without
     * it: to the store that is a death like any other, and costs nothing. */
    struct pollfd again = {state.fd, POLLIN, 0};
    poll(&again, 1, PATIENCE_MS);
    if (!atomic_load(&state.over)) {
        _exit(0);
    }
    return NULL;
}

bool interrupt_begin(eddy_reader *reader) {
    sigset_t set;
    sigset_t before;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    /* A shell starts what runs in the background with SIGINT ignored; who sends it means it. */
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_BLOCK, &set, &before);
    state.reader = reader;
    state.fd = signalfd(-1, &set, SFD_CLOEXEC);
    state.begun = state.fd >= 0 && pthread_create(&state.thread, NULL, watch, NULL) == 0;
    if (!state.begun) {
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return state.begun;
}

enum interrupt interrupt_seen(void) {
    return (enum interrupt)atomic_load(&state.seen);
}

void interrupt_end(void) {
    if (state.begun) {
        atomic_store(&state.over, true);
        pthread_kill(state.thread, SIGINT);
        pthread_join(state.thread, NULL);
        close(state.fd);
        state.begun = false;
    }
}
