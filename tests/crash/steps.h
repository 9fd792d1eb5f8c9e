/* Death, and standing still, at every instruction: a process is single-stepped (ptrace) through one
 * operation on a real store, and what it leaves after each instruction is judged.
 *
 * A *walk* takes a copy of the arena wherever an instruction has changed it. Nobody holds a lock on
 * the copy, so whoever opens it finds everybody dead, exactly as after SIGKILL there. A *visit*
 * stops the process at one of those points for real, lets others work on the same store, and then
 * lets it go on, or kills it.
 */
#ifndef STEPS_H
#define STEPS_H

#include "eddy.h"
#include "store.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { STEPS_CAP = 8 << 20, STEPS_MEMBERS = 6, STEPS_THREADS = 8, STEPS_AWAY = 400 };

/* The time in the stepped process. In the others it is long before: what is too old for that one is
 * not for who looks, since it would go when he does. */
#define STEPS_NOW_NS INT64_C(1000000000000000000)
#define STEPS_AGE_NS INT64_C(1000000000000) /* a limit of age */

/* Words between the stepped process and its tracer. */
struct steps_shared {
    _Atomic uint32_t done;      /* the operation has returned, and */
    _Atomic int32_t rc;         /* what it gave */
    _Atomic uint32_t ended;     /* it went on to its end, and all was well */
    _Atomic uint32_t forbidden; /* ptrace is not permitted */
};

/* One store, with one process that does one thing to it. */
struct steps_stage {
    const struct steps_op *op;
    eddy_store *store; /* of the tracer, a member that lives */
    eddy_store *mine;  /* of the stepped process */
    eddy_tx *tx;
    eddy_reader *reader;
    struct steps_shared *shared;
    char name[16];   /* of the store: "fd:N" */
    char key[2][32]; /* names of streams that the operation chose */
    pid_t dead[2];
    bool dropped; /* others have dropped what was there: it may give something else */
};

/* An operation. Its events have the type "op". */
struct steps_op {
    const char *name;
    void (*prepare)(struct steps_stage *stage); /* in the tracer, with stage->store */
    void (*ready)(struct steps_stage *stage);   /* in the process, before it is stepped */
    int (*act)(struct steps_stage *stage);      /* is stepped */
    int rc;                                     /* what it gives */
    uint32_t events;                            /* that it appends */
    uint32_t removes;                           /* events that it removes */
    int32_t streams;                            /* that it makes, or removes */
    uint32_t commits;                           /* transactions, if not one that appends */
    uint32_t hash_keep;                         /* bits of the hash of names; 0: all */
    uint32_t members;                           /* 0: STEPS_MEMBERS */
    bool crowded; /* nobody can come while those who are there stand still */
    bool lengthy; /* in the long form only */
    bool alone;   /* nobody else may interfere: its result depends on the state before */
};

/* ---- the stepped process ---- */

struct steps_tracee {
    struct steps_stage *stage;
    pid_t pid;
    unsigned char *live; /* the arena as it is */
    unsigned char *last; /* and as it was when it was looked at last */
    uint64_t reserved;   /* extents, at that time */
    uint64_t instructions;
    uint64_t changes;
    uint64_t at;       /* address of the instruction that was executed last */
    uint64_t own;      /* of the last one that was eddy's */
    uint64_t commits;  /* changes of the ring */
    uint64_t away;     /* instructions since it left this program for another library */
    uint64_t away_max; /* after so many it runs to its return; 0: never */
    uint64_t back;     /* where that is */
};

void steps_stage_make(struct steps_stage *stage, const struct steps_op *op);
void steps_stage_end(struct steps_stage *stage);
/* The clock of all handles. */
int64_t steps_clock(void *arg);
/* Opens the stage's store once more; every handle on a stage has the same clock, which stands. */
eddy_store *steps_open(const struct steps_stage *stage);
/* Starts the process and lets it get ready. False if ptrace is not permitted. Functions of the C
 * library of more than away_max instructions (memset of an extent) are run to their end; 0: not. */
bool steps_start(struct steps_tracee *tracee, struct steps_stage *stage, uint64_t away_max);
/* Goes on to the next instruction that changes the arena: true, or false if the operation has
 * returned. */
bool steps_next(struct steps_tracee *tracee);
/* Runs to one of two instructions of this program, to one of which it must come. */
void steps_run_to(struct steps_tracee *tracee, uint64_t address, uint64_t other);
/* Takes over what others have changed. */
void steps_catch_up(struct steps_tracee *tracee);
/* Bytes of the arena that `last` has. */
size_t steps_image(const struct steps_tracee *tracee);
size_t steps_file(const struct steps_stage *stage);
/* Lets it run to its end and reaps it. Its exit code, or minus a signal. */
int steps_finish(struct steps_tracee *tracee);
void steps_kill(struct steps_tracee *tracee);
/* Makes a process that steps through `act` die `changes` changes after the ring first changed, or,
 * with after_commit false, after so many changes at all. It joins through stage->store. */
pid_t steps_leave_dead(struct steps_stage *stage, int (*act)(struct steps_stage *stage),
                       bool after_commit, uint64_t changes);

/* ---- what is said ---- */

struct steps_report {
    char op[64];
    char phase[64];
    uint64_t instruction;
    uint64_t change;
    uint64_t at;
    uint64_t own;
    uint32_t done;
    bool forbidden;
    /* sums */
    uint64_t operations;
    uint64_t instructions;
    uint64_t changes;
    uint64_t judged;
    uint64_t visited;
    uint64_t killed;
    uint64_t breaches;
};

/* In memory that is shared with the Criterion test, which says where it was if the tracer dies. */
extern struct steps_report *steps_report;
/* Notes where the tracee is. */
void steps_at(const struct steps_tracee *tracee, const char *phase);
/* Something that must not be: said with the place, and counted. */
void steps_breach(const char *format, ...) __attribute__((format(printf, 1, 2)));
void steps_say_place(void);

/* ---- the runs ---- */

struct steps_plan {
    uint64_t first;    /* the first so many changes are judged, and then */
    uint64_t stride;   /* one in so many; those about the commit always */
    uint64_t away_max; /* see steps_start() */
    bool both;         /* judge each state in both ways: all die at once, or stand still first */
};

/* Judges a copy after every change; returns how many changes there were. */
uint64_t steps_walk(const struct steps_op *op, const struct steps_plan *plan);
/* Where a visit stops the process: at change number `from`, and then every `stride` changes. Before
 * its commit, each stop in which others commit makes it try again. */
struct steps_points {
    bool committed; /* counted from its commit on */
    uint64_t from;
    uint64_t stride;
    uint64_t count;
};
/* Stops at these points, has the visitor (NULL: nobody) work at each, and after the last one kills
 * it, or lets it go on to its end. True if the operation returned before it came to the last. */
typedef void (*steps_visitor)(struct steps_stage *stage);
bool steps_visit(const struct steps_op *op, const struct steps_points *points,
                 steps_visitor visitor, bool killed);

#endif
