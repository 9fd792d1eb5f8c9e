/* Who is here: a slot for each process that has the store open, a slot for each of its threads.
 *
 * That a member lives is proved by the kernel: its byte of the file is locked by a description that
 * lives as long as the process's memory. No time-out and no pid is ever asked. What a member owns
 * is its own until it is proved dead; a stopped one is alive.
 */
#ifndef EDDY_MEMBER_H
#define EDDY_MEMBER_H

#include "block.h"
#include "rcu.h"

/* This process as a member, of one life. */
struct eddy_member {
    uint32_t idx;
    bool fences;
    void *life; /* the mapping that keeps the byte locked */
};

/* Where the next event block goes: an extent that the member owns. */
struct eddy_cursor {
    uint64_t base; /* offset of the extent; 0: none */
    uint64_t fill; /* bytes */
    uint64_t size;
    uint32_t events;
};

/* Counters of a thread; summed over all slots when asked for. */
enum eddy_counter {
    EDDY_COUNT_READ,
    EDDY_COUNT_CONFLICTS,
    EDDY_COUNT_REFUSALS,
    EDDY_COUNT_RETRIES,
    EDDY_COUNT_HELPS,
    EDDY_COUNT_WAKES,
    EDDY_COUNT_SLEEPS,
    EDDY_COUNT_EXTENTS,
    EDDY_COUNT_SWEEPS,
    EDDY_COUNT_LAPSES,
    EDDY_COUNT_SNAPSHOTS
};

/* A thread inside the library, of one member; or, with slot NULL, of a read-only handle. */
struct eddy_thread {
    struct eddy_arena *arena;
    struct eddy_shm_thread *slot;
    uint32_t idx;
    uint32_t member;
    struct eddy_span span;
    struct eddy_blocks blocks;
    struct eddy_cursor cursor;
    uint64_t list_off[2]; /* redo lists that do not fit in the buffers */
    uint32_t list_run[2]; /* their extents */
};

/* Joins in slot idx, which must be free: -EAGAIN-like 0 if it is not, 1 if joined, or an error. */
int eddy_member_join(struct eddy_arena *arena, uint32_t idx, struct eddy_member *member);
void eddy_member_leave(struct eddy_arena *arena, struct eddy_member *member);
/* Takes the byte of slot idx through a description of its own: its descriptor, -EAGAIN if somebody
 * has it, or another negative errno. Whoever has it may sweep or join the slot; closing it gives it
 * up. */
int eddy_member_lock(struct eddy_arena *arena, uint32_t idx);
/* Whether the member in slot idx is dead. A slot of this process is alive. */
bool eddy_member_dead(struct eddy_arena *arena, uint32_t idx);
/* The recovery slot, whoever had it: 1 if it is ours now, 0 if somebody uses it. */
int eddy_member_join_recovery(struct eddy_arena *arena, struct eddy_member *member);

/* Takes a thread slot: 1, or 0 if all are taken. */
int eddy_thread_join(struct eddy_arena *arena, const struct eddy_member *member,
                     struct eddy_thread *thread);
/* Takes the recovery member's thread slot, whoever had it. */
void eddy_thread_join_recovery(struct eddy_arena *arena, const struct eddy_member *member,
                               struct eddy_thread *thread);
/* A thread that only reads, and takes no slot. */
void eddy_thread_init_reader(struct eddy_arena *arena, struct eddy_thread *thread);
/* Gives up the slot and what it owned. */
void eddy_thread_leave(struct eddy_thread *thread);
/* Forgets the slot without touching it: it belongs to the parent of this process. */
void eddy_thread_forget(struct eddy_thread *thread);

/* Slots of a member that was proved dead, by its sweeper alone: sets its threads free. */
void eddy_member_clear_threads(struct eddy_arena *arena, uint32_t member);
void eddy_member_set_free(struct eddy_arena *arena, uint32_t member);

#define EDDY_SLOT(gen, member) ((uint64_t)(gen) << 32 | (uint64_t)(member) << 16 | 1u)
#define EDDY_SLOT_LIVE(w) (((w)&1u) != 0)
#define EDDY_SLOT_MEMBER(w) ((uint32_t)((w) >> 16 & 0xffff))
#define EDDY_SLOT_GEN(w) ((uint32_t)((w) >> 32))
#define EDDY_MEMBER_STATE(gen, state) ((uint64_t)(gen) << 16 | (uint64_t)(state))
#define EDDY_MEMBER_GEN(w) ((w) >> 16)
#define EDDY_MEMBER_OF(w) ((unsigned)((w)&0xffff))

static inline void eddy_thread_count(struct eddy_thread *thread, enum eddy_counter c, uint64_t n) {
    if (thread->slot) {
        /* [member.R1] relaxed: the owner alone writes it; a figure to show */
        eddy_st_rlx(&thread->slot->counter[c], eddy_ld_rlx(&thread->slot->counter[c]) + n);
    }
}
/* The sum over all slots. */
uint64_t eddy_thread_counted(struct eddy_arena *arena, enum eddy_counter c);

#endif
