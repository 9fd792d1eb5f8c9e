/* eddy tail: the last events, and with -f those that are yet to come. */
#include "commands.h"
#include "interrupt.h"
#include "printer.h"
#include "reading.h"
#include "tool.h"

#include <stdlib.h>
#include <unistd.h>

struct tail {
    const struct args *args;
    eddy_store *store;
    eddy_reader *reader;
    eddy_select select;
    uint64_t last;       /* -n */
    uint64_t stop;       /* -c; 0: never */
    int64_t deadline_ns; /* --timeout */
    bool follow;
    bool polls; /* the handle cannot wait, so it looks again and again */
    bool lapped;
    struct printer printer;
};

/* ---- where to begin ---- */

static int head_of(eddy_store *store, uint64_t *head) {
    eddy_facts facts = {.size = sizeof facts};
    unsigned tries = 0;
    int rc;
    do {
        rc = eddy_info(store, &facts);
    } while (tool_again(rc, &tries));
    *head = facts.head;
    return rc;
}

/* Reads the last -n events that match backward, and begins before the first of them. What comes
 * while it looks is not missed: with none found, it begins behind what was the head before. */
static int find_begin(struct tail *tail) {
    eddy_reader *reader;
    eddy_event event;
    uint64_t head;
    int rc = head_of(tail->store, &head);
    if (rc < 0) {
        return rc;
    }
    uint64_t after = tail->select.after_offset > head ? tail->select.after_offset : head;
    eddy_select backward = tail->select;
    backward.flags |= EDDY_BACKWARD;
    backward.to_offset = head;
    backward.limit = tail->last;
    if (head > 0 && tail->last > 0) {
        rc = eddy_reader_open(tail->store, &backward, &reader);
        if (rc < 0) {
            return rc;
        }
        while ((rc = reading_next(reader, &event, &tail->lapped)) == EDDY_EVENT) {
            after = event.offset - 1;
        }
        eddy_reader_close(reader);
    }
    tail->select.after_offset = after;
    if (!tail->follow && tail->select.to_offset == 0) {
        /* The last, not the last and what came meanwhile. 0 would be no bound. */
        tail->select.to_offset = head ? head : 1;
    }
    return rc < 0 ? rc : 0;
}

/* ---- following ---- */

static int wait_event(struct tail *tail, eddy_event *event) {
    if (!tail->polls) {
        int rc = eddy_reader_wait(tail->reader, tail->deadline_ns, event);
        if (rc != EDDY_EREADONLY) {
            return rc;
        }
        tail->polls = true;
    }
    tool_nap_ms(10);
    return eddy_deadline_ms(0) >= tail->deadline_ns ? EDDY_ETIMEDOUT : EDDY_CAUGHT_UP;
}

/* The next event, waiting for it if need be. */
static int next_event(struct tail *tail, eddy_event *event) {
    for (;;) {
        int rc = reading_next(tail->reader, event, &tail->lapped);
        if (rc != EDDY_CAUGHT_UP || !tail->follow) {
            return rc;
        }
        out_flush(&tail->printer.out);
        if (tail->printer.out.failed || interrupt_seen()) {
            return EDDY_END;
        }
        rc = wait_event(tail, event);
        if (rc == EDDY_EVENT) {
            return rc;
        }
        if (rc == EDDY_ECANCELED || interrupt_seen()) {
            return EDDY_END;
        }
        if (rc == EDDY_ELAPPED) {
            reading_say_lapped();
            tail->lapped = true;
        } else if (rc < 0 && rc != EDDY_EAGAIN) {
            return rc;
        }
    }
}

static int print_tail(struct tail *tail) {
    eddy_event event;
    int rc = EDDY_END;
    while (!tail->printer.out.failed && !interrupt_seen() &&
           (tail->stop == 0 || tail->printer.count < tail->stop) &&
           (rc = next_event(tail, &event)) == EDDY_EVENT) {
        printer_event(&tail->printer, &event);
    }
    if (rc == EDDY_ETIMEDOUT) {
        tool_say("the time given by --timeout is over, after %llu events",
                 (unsigned long long)tail->printer.count);
        return tail->lapped ? EXIT_LAPPED : EXIT_TIMED_OUT;
    }
    if (rc < 0) {
        return tool_fail(rc);
    }
    if (interrupt_seen() == INTERRUPT_SIGNAL && isatty(STDERR_FILENO)) {
        tool_say("interrupted after %llu events", (unsigned long long)tail->printer.count);
    }
    return tail->lapped ? EXIT_LAPPED : EXIT_OK;
}

/* ---- the command ---- */

static int tail_store(struct tail *tail) {
    bool begin_given = tail->args->given[OPT_AFTER_OFFSET] || tail->args->given[OPT_SINCE];
    int rc = 0;
    if (!begin_given || tail->args->given[OPT_COUNT_LAST]) {
        rc = find_begin(tail);
    }
    if (rc >= 0) {
        tail->select.flags |= tail->follow ? EDDY_FOLLOW : 0;
        rc = eddy_reader_open(tail->store, &tail->select, &tail->reader);
    }
    if (rc < 0) {
        return tool_fail(rc);
    }
    if (tail->follow) {
        interrupt_begin(tail->reader);
    }
    int code = printer_open(&tail->printer, tail->args);
    if (code == EXIT_OK) {
        code = print_tail(tail);
        code = printer_close(&tail->printer, code);
    }
    interrupt_end();
    eddy_reader_close(tail->reader);
    return code;
}

/* To wait well, a follower wants to write (its bit among the waiters); it can do without. */
static int open_store(struct tail *tail) {
    const struct args *args = tail->args;
    const char *name = args->value[OPT_STORE];
    if (tail->follow) {
        eddy_options options = EDDY_OPTIONS_INIT;
        options.flags = EDDY_MUST_EXIST;
        options.dir = args->value[OPT_DIR];
        int rc = eddy_open(&tail->store, name, &options);
        if (rc >= 0) {
            return EXIT_OK;
        }
        if (rc != EDDY_EACCESS && rc != EDDY_ELIMIT && rc != EDDY_EFULL && rc != EDDY_ESYS) {
            return tool_fail(rc);
        }
    }
    return tool_open_read_only(args, name, &tail->store);
}

int run_tail(const struct args *args) {
    struct tail tail = {.args = args, .last = 10};
    if (!reading_select(args, &tail.select) ||
        !cli_u64(args, OPT_COUNT_LAST, 0, UINT64_MAX, &tail.last) ||
        !cli_u64(args, OPT_COUNT_STOP, 1, UINT64_MAX, &tail.stop) ||
        !cli_timeout(args, &tail.deadline_ns)) {
        return EXIT_USAGE;
    }
    tail.follow = args->given[OPT_FOLLOW] && !args->given[OPT_UNTIL_CAUGHT_UP];
    int code = open_store(&tail);
    if (code != EXIT_OK) {
        return code;
    }
    code = tail_store(&tail);
    eddy_close(tail.store);
    return code;
}
