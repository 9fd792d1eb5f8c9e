/* I1  A slot is LIVE from its joiner's store until its owner leaves or its sweeper, who holds its
 *     byte, sets it free. Generations are never used twice.
 * I2  Joiners take only FREE slots, holding the byte; so the sweeper of a slot and a joiner of it
 *     exclude each other.
 * Death between taking the byte and LIVE: the byte is free again, the slot is still FREE.
 */
#include "member.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "platform.h"

static void describe(struct eddy_shm_member *m, bool fences) {
    uint64_t command[2] = {0, 0};
    FILE *f = fopen("/proc/self/comm", "re");
    if (f) {
        size_t n = fread(command, 1, sizeof command, f);
        if (n > 0 && n <= sizeof command && ((char *)command)[n - 1] == '\n') {
            ((char *)command)[n - 1] = 0;
        }
        fclose(f);
    }
    /* [member.R2] relaxed: for people to read; the state is stored behind it */
    eddy_st_rlx(&m->pid, (uint32_t)getpid());
    eddy_st_rlx(&m->uid, (uint32_t)geteuid());
    eddy_st_rlx(&m->pidns, eddy_platform_pid_namespace());
    eddy_st_rlx(&m->since_ns, (uint64_t)eddy_platform_realtime_ns());
    eddy_st_rlx(&m->command[0], command[0]);
    eddy_st_rlx(&m->command[1], command[1]);
    eddy_st_rlx(&m->fences, fences);
}

int eddy_member_lock(struct eddy_arena *a, uint32_t idx) {
    int fd = eddy_arena_fd(a);
    int own = fd < 0 ? fd : eddy_platform_lock_take(fd, EDDY_LOCK_LIFE + idx);
    /* Descriptors may be closed and taken anew behind our back: a lock of another file says
     * nothing. */
    if (own >= 0 && !eddy_arena_is(a, own)) {
        close(own);
        return -EBADF;
    }
    return own;
}

static int take_life(struct eddy_arena *a, uint32_t idx, struct eddy_member *member) {
    int own = eddy_member_lock(a, idx);
    if (own == -EAGAIN) {
        return 0;
    }
    int r = own < 0 ? own : eddy_platform_life_lock(own, &member->life);
    if (r == -ENOENT) {
        return eddy_error_set(EDDY_ESYS, "/proc is not mounted: eddy needs /proc/self/fd");
    }
    if (r < 0) {
        return eddy_arena_error(r, "lock of a member slot", a->path ? a->path : "descriptor");
    }
    member->idx = idx;
    member->fences = !eddy_platform_membarrier_register();
    return 1;
}

static void set_live(struct eddy_arena *a, const struct eddy_member *member) {
    struct eddy_shm_member *m = &a->members[member->idx];
    describe(m, member->fences);
    /* [member.R3] relaxed: we hold the byte, so nobody else changes it */
    uint64_t gen = EDDY_MEMBER_GEN(eddy_ld_rlx(&m->state)) + 1;
    /* [member.P1] release: pairs with [member.C1], [maintain.C2], [look.C2], [grace.C1]. Here from now on.
     * Death before: the slot is as it was; after: swept. */
    eddy_st_rel(&m->state, EDDY_MEMBER_STATE(gen, EDDY_MEMBER_LIVE));
}

int eddy_member_join(struct eddy_arena *a, uint32_t idx, struct eddy_member *member) {
    struct eddy_shm_member *m = &a->members[idx];
    /* [member.C1] acquire: pairs with [member.P1], [member.P2] */
    if (EDDY_MEMBER_OF(eddy_ld_acq(&m->state)) != EDDY_MEMBER_FREE) {
        return 0;
    }
    int r = take_life(a, idx, member);
    if (r <= 0) {
        return r;
    }
    /* [member.C2] acquire: pairs with [member.P2]: looked at again under the byte */
    if (EDDY_MEMBER_OF(eddy_ld_acq(&m->state)) != EDDY_MEMBER_FREE) {
        eddy_platform_life_unlock(member->life);
        return 0;
    }
    set_live(a, member);
    return 1;
}

int eddy_member_join_recovery(struct eddy_arena *a, struct eddy_member *member) {
    int r = take_life(a, 0, member);
    if (r == 1) {
        set_live(a, member); /* who had it before owned no memory */
    }
    return r;
}

void eddy_member_leave(struct eddy_arena *a, struct eddy_member *member) {
    eddy_member_set_free(a, member->idx);
    eddy_platform_life_unlock(member->life);
    member->life = NULL;
}

void eddy_member_set_free(struct eddy_arena *a, uint32_t idx) {
    struct eddy_shm_member *m = &a->members[idx];
    /* [member.R4] relaxed: the caller holds the byte */
    uint64_t gen = EDDY_MEMBER_GEN(eddy_ld_rlx(&m->state));
    /* [member.P2] release: pairs with [member.C1], [member.C2]. All that the member owned has been
     * given back. Death before: swept once more. */
    eddy_st_rel(&m->state, EDDY_MEMBER_STATE(gen, EDDY_MEMBER_FREE));
}

bool eddy_member_dead(struct eddy_arena *a, uint32_t idx) {
    if (a->dead_fn) {
        return a->dead_fn(a->dead_arg, idx);
    }
    int fd = eddy_arena_fd(a);
    return fd >= 0 && eddy_platform_lock_held(fd, EDDY_LOCK_LIFE + idx) == 0;
}

static void init_thread(struct eddy_arena *a, const struct eddy_member *member, uint32_t idx,
                        struct eddy_thread *t) {
    memset(t, 0, sizeof *t);
    t->arena = a;
    t->slot = &a->threads[idx];
    t->idx = idx;
    t->member = member->idx;
    t->span.slot = t->slot;
    t->span.era = &a->super->era;
    t->span.fences = member->fences;
}

int eddy_thread_join(struct eddy_arena *a, const struct eddy_member *member,
                     struct eddy_thread *t) {
    for (uint32_t i = 1; i < a->threads_max; i++) {
        struct eddy_shm_thread *slot = &a->threads[i];
        /* [member.C3] acquire: pairs with [member.P4]: what its last owner left */
        uint64_t was = eddy_ld_acq(&slot->state);
        uint64_t now = EDDY_SLOT(EDDY_SLOT_GEN(was) + 1, member->idx);
        /* [member.P3] acq_rel: pairs with [member.C4], [reclaim.C6]. Ours. Death after: swept with its member. */
        if (!EDDY_SLOT_LIVE(was) && eddy_cas_ar(&slot->state, &was, now)) {
            init_thread(a, member, i, t);
            return 1;
        }
    }
    return 0;
}

void eddy_thread_join_recovery(struct eddy_arena *a, const struct eddy_member *member,
                               struct eddy_thread *t) {
    /* Thread slot 0 goes with member slot 0, whose byte the caller holds. */
    init_thread(a, member, 0, t);
}

void eddy_thread_init_reader(struct eddy_arena *a, struct eddy_thread *t) {
    memset(t, 0, sizeof *t);
    t->arena = a;
    t->span.era = &a->super->era;
}

static void set_thread_free(struct eddy_shm_thread *slot, uint64_t was) {
    eddy_rcu_clear(slot);
    /* [member.P4] release: pairs with [member.C3]. Its buffers may be written by the next owner, by
     * the rule of the ring. */
    eddy_st_rel(&slot->state, (uint64_t)EDDY_SLOT_GEN(was) << 32);
}

void eddy_thread_leave(struct eddy_thread *t) {
    struct eddy_arena *a = t->arena;
    eddy_blocks_leave(a, &t->blocks);
    if (t->cursor.base) {
        eddy_extent_leave(a, eddy_arena_extent_of(a, t->cursor.base));
    }
    for (unsigned i = 0; i < 2; i++) {
        /* The last transaction may name it: whoever takes it looks. */
        if (t->list_run[i] > 0) {
            eddy_extent_leave(a, eddy_arena_extent_of(a, t->list_off[i]));
        }
    }
    /* [member.R5] relaxed: ours */
    set_thread_free(t->slot, eddy_ld_rlx(&t->slot->state));
    eddy_blocks_fini(&t->blocks);
}

void eddy_thread_forget(struct eddy_thread *t) {
    eddy_blocks_fini(&t->blocks);
}

void eddy_member_clear_threads(struct eddy_arena *a, uint32_t member) {
    if (member == 0) {
        eddy_rcu_clear(&a->threads[0]); /* the recovery slot has no state of its own */
    }
    for (uint32_t i = 1; i < a->threads_max; i++) {
        /* [member.C4] acquire: pairs with [member.P3] */
        uint64_t w = eddy_ld_acq(&a->threads[i].state);
        if (EDDY_SLOT_LIVE(w) && EDDY_SLOT_MEMBER(w) == member) {
            set_thread_free(&a->threads[i], w);
        }
    }
}

uint64_t eddy_thread_counted(struct eddy_arena *a, enum eddy_counter c) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < a->threads_max; i++) {
        /* [member.R6] relaxed: a figure to show */
        sum += eddy_ld_rlx(&a->threads[i].counter[c]);
    }
    return sum;
}
