#include "unit_support.h"

#include "support/check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <urcu-bp.h>

/* ---- stores ---- */

struct eddy_arena *unit_store_of(uint64_t cap, uint32_t hash_keep) {
    struct eddy_arena *a = calloc(1, sizeof *a);
    struct eddy_arena_options o = {.cap = cap,
                                   .mode = 0600,
                                   .members = UNIT_MEMBERS,
                                   .threads = UNIT_THREADS,
                                   .hash_keep = hash_keep};
    CHECK(a != NULL);
    CHECK_OK(eddy_arena_create(a, NULL, &o));
    return a;
}

struct eddy_arena *unit_store(uint32_t hash_keep) {
    return unit_store_of(UNIT_CAP, hash_keep);
}

void unit_store_free(struct eddy_arena *a) {
    eddy_arena_close(a);
    free(a);
}

eddy_store *unit_handle(struct eddy_arena *a, uint32_t flags) {
    char name[32];
    eddy_options o = EDDY_OPTIONS_INIT;
    eddy_store *s = NULL;
    o.flags = flags | EDDY_MUST_EXIST;
    snprintf(name, sizeof name, "fd:%d", a->fd);
    CHECK_OK(eddy_open(&s, name, &o));
    return s;
}

char unit_wrong[512];
char unit_rooms[256];

static void count_wrong(void *arg, const char *room, const char *text) {
    unsigned *n = arg;
    if ((*n)++ == 0) {
        snprintf(unit_wrong, sizeof unit_wrong, "%s: %.400s", room, text);
    }
    size_t len = strlen(unit_rooms);
    if (!strstr(unit_rooms, room)) {
        snprintf(unit_rooms + len, sizeof unit_rooms - len, "%s ", room);
    }
}

unsigned unit_wrongs(struct eddy_arena *a) {
    unsigned n = 0;
    eddy_store *s = unit_handle(a, EDDY_READ_ONLY);
    unit_wrong[0] = 0;
    unit_rooms[0] = 0;
    int r = eddy_check(s, count_wrong, &n);
    eddy_close(s);
    return r < 0 && n == 0 ? 1 : n;
}

/* ---- members ---- */

void unit_join(struct unit_member *m, struct eddy_arena *a) {
    memset(m, 0, sizeof *m);
    m->arena = a;
    int r = 0;
    for (uint32_t i = 1; r == 0 && i < a->members_max; i++) {
        r = eddy_member_join(a, i, &m->member);
    }
    CHECK_EQ(r, 1);
    CHECK_EQ(eddy_thread_join(a, &m->member, &m->thread), 1);
    m->directory = eddy_directory_create(false);
    CHECK(m->directory != NULL);
    eddy_plan_init(&m->plan, &m->thread);
    eddy_batch_init(&m->batch);
}

void unit_leave(struct unit_member *m) {
    eddy_plan_reset(&m->plan);
    eddy_thread_leave(&m->thread);
    eddy_plan_fini(&m->plan);
    eddy_batch_fini(&m->batch);
    eddy_directory_destroy(m->directory);
    eddy_member_leave(m->arena, &m->member);
}

/* What the dead had in private stays reachable: it may have been cut off anywhere. */
static struct grave {
    struct unit_member member;
    struct grave *next;
} * graves;

void unit_die(struct unit_member *m) {
    struct grave *g = malloc(sizeof *g);
    CHECK(g != NULL);
    g->member = *m;
    g->next = graves;
    graves = g;
    eddy_platform_life_unlock(m->member.life);
    m->member.life = NULL;
}

void unit_add(struct unit_member *m, const char *stream, unsigned events, size_t data_len) {
    static const unsigned char data[1 << 18];
    CHECK(data_len <= sizeof data);
    eddy_new_event e = {.type = eddy_str(stream), .data = eddy_mem(data, data_len)};
    int64_t s = CHECK_OK(eddy_batch_stream(&m->batch, m->arena, eddy_str(stream)));
    for (unsigned i = 0; i < events; i++) {
        CHECK_OK(eddy_batch_append(&m->batch, &m->thread, (uint32_t)s, &e, 1, false, NULL));
    }
}

void unit_expect(struct unit_member *m, const char *stream, int64_t expected) {
    int64_t s = CHECK_OK(eddy_batch_stream(&m->batch, m->arena, eddy_str(stream)));
    CHECK_OK(eddy_batch_expect(&m->batch, (uint32_t)s, expected));
}

int unit_commit(struct unit_member *m) {
    struct eddy_committer c = {.thread = &m->thread, .directory = m->directory, .plan = &m->plan};
    memset(&m->result, 0, sizeof m->result);
    int r = eddy_commit(&c, &m->batch, 1000, &m->result);
    eddy_batch_clear(&m->batch);
    return r;
}

int unit_append(struct unit_member *m, const char *stream, int64_t expected, unsigned events,
                size_t data_len) {
    if (expected != EDDY_ANY) {
        unit_expect(m, stream, expected);
    }
    unit_add(m, stream, events, data_len);
    return unit_commit(m);
}

uint64_t unit_help(struct unit_member *m) {
    uint64_t seq = 0;
    uint64_t empty;
    eddy_rcu_enter(&m->thread.span);
    CHECK_OK(eddy_apply_help(&m->thread, &seq, &empty));
    eddy_rcu_leave(&m->thread.span);
    return seq;
}

struct eddy_view unit_view(struct unit_member *m) {
    return (struct eddy_view){.arena = m->arena, .span = &m->thread.span, .overlay = NULL};
}

struct eddy_shm_stream *unit_stream(struct eddy_arena *a, const char *stream) {
    struct eddy_span span = {.slot = NULL, .era = &a->super->era};
    struct eddy_view v = {.arena = a, .span = &span, .overlay = NULL};
    eddy_bytes name = eddy_str(stream);
    int64_t off = CHECK_OK(eddy_stream_find(&v, name, eddy_stream_hash(a, name)));
    return off ? eddy_arena_raw(a, (uint64_t)off) : NULL;
}

uint64_t unit_version(struct eddy_arena *a, const char *stream) {
    struct eddy_shm_stream *s = unit_stream(a, stream);
    return s ? eddy_ld_acq(&s->version) : 0;
}

uint64_t unit_applied(struct eddy_arena *a) {
    return eddy_ring_applied(a);
}

eddy_word *unit_word(struct eddy_arena *a, uint64_t off) {
    return eddy_arena_raw(a, off);
}

int unit_reclaim_block(struct eddy_reclaim *r, uint64_t off) {
    return eddy_reclaim_block(r, off, eddy_block_tag(r->thread->arena, off));
}

int unit_reclaim_stream(struct eddy_reclaim *r, uint64_t desc) {
    return eddy_reclaim_stream(r, desc, eddy_block_tag(r->thread->arena, desc));
}

/* ---- images ---- */

static uint64_t bytes_of(struct eddy_arena *a) {
    return a->extents_off + eddy_arena_reserved(a) * EDDY_EXTENT_SIZE;
}

/* Between the lines of the states and the first extent there may be a hole, which reads as 0. */
struct unit_image unit_image_take(struct eddy_arena *a) {
    struct unit_image i = {.len = bytes_of(a)};
    i.bytes = malloc(i.len);
    CHECK(i.bytes != NULL);
    memcpy(i.bytes, a->base, i.len);
    return i;
}

void unit_image_put(struct eddy_arena *a, const struct unit_image *i) {
    memcpy(a->base, i->bytes, i->len);
}

void unit_image_free(struct unit_image *i) {
    free(i->bytes);
    i->bytes = NULL;
}

uint64_t unit_image_word(const struct unit_image *i, uint64_t off) {
    uint64_t w = 0;
    if (off + sizeof w <= i->len) {
        memcpy(&w, i->bytes + off, sizeof w);
    }
    return w;
}

uint64_t unit_image_differs(const struct unit_image *a, const struct unit_image *b,
                            const struct unit_member *except) {
    uint64_t from = eddy_arena_off(except->arena, except->thread.slot);
    uint64_t to = from + sizeof *except->thread.slot;
    for (uint64_t off = 0; off + 8 <= a->len && off + 8 <= b->len; off += 8) {
        if ((off < from || off >= to) && unit_image_word(a, off) != unit_image_word(b, off)) {
            return off;
        }
    }
    return UINT64_MAX;
}

size_t unit_list(struct eddy_arena *a, uint64_t seq, struct unit_entry *out, size_t max) {
    eddy_word *list;
    struct eddy_shm_redo *h =
        eddy_ring_header(a, eddy_ring_buffer_of(eddy_ring_load(a, seq)), &list);
    CHECK(h != NULL && list != NULL);
    CHECK_EQ(eddy_ld_acq(&h->seq), seq);
    if (eddy_ld_acq(&h->list_off) != 0) {
        list = unit_word(a, eddy_ld_acq(&h->list_off));
    }
    uint64_t words = eddy_ld_acq(&h->words);
    size_t n = 0;
    for (uint64_t i = 0; i < words;) {
        uint64_t head = eddy_ld_acq(&list[i++]);
        unsigned kind = EDDY_REDO_KIND(head);
        uint64_t first = eddy_ld_acq(&list[i]);
        for (unsigned k = 0; k < EDDY_REDO_COUNT(head); k++) {
            CHECK(n < max);
            out[n++] = (struct unit_entry){
                .off = EDDY_REDO_OFF(head) + 8 * (uint64_t)k,
                .kind = kind,
                .old = first,
                .value = kind == EDDY_REDO_RUN    ? first + k
                         : kind == EDDY_REDO_REFS ? eddy_ld_acq(&list[i + k])
                         : kind == EDDY_REDO_SWAP ? eddy_ld_acq(&list[i + 1])
                                                  : first,
            };
        }
        i += kind == EDDY_REDO_REFS ? EDDY_REDO_COUNT(head) : kind == EDDY_REDO_SWAP ? 2 : 1;
    }
    return n;
}

static void store_entry(struct eddy_arena *a, const struct unit_entry *e) {
    eddy_word *w = unit_word(a, e->off);
    uint64_t was = eddy_ld_acq(w);
    bool due = e->kind == EDDY_REDO_SWAP  ? was == e->old
               : e->kind == EDDY_REDO_MAX ? was < e->value
                                          : was == 0;
    if (due) {
        eddy_st_rel(w, e->value);
    }
}

static void own_again(void *arg, uint64_t off, uint64_t state, unsigned class_) {
    const uint64_t *what = arg; /* {image, owner} */
    const struct unit_image *before = (const struct unit_image *)(uintptr_t)what[0];
    (void)class_;
    if (EDDY_STATE_OF(state) == EDDY_LINKED && unit_image_word(before, off) != state) {
        struct eddy_arena *a = (struct eddy_arena *)(uintptr_t)what[2];
        eddy_st_rel(unit_word(a, off), EDDY_STATE(EDDY_STATE_GEN(state), EDDY_OWNED, what[1]));
    }
}

size_t unit_half_applied(struct eddy_arena *a, const struct unit_image *before, size_t done,
                         uint32_t owner) {
    enum { MAX = 1 << 17 };
    struct unit_entry *e = malloc(MAX * sizeof *e);
    uint64_t seq = eddy_ring_applied(a) - 1;
    CHECK(e != NULL);
    size_t n = unit_list(a, seq, e, MAX);
    for (size_t i = 0; i < n; i++) {
        eddy_st_rel(unit_word(a, e[i].off), unit_image_word(before, e[i].off));
    }
    for (size_t i = 0; i < n && i < done; i++) {
        store_entry(a, &e[i]);
    }
    free(e);
    uint64_t what[3] = {(uintptr_t)before, owner, (uintptr_t)a};
    for (uint32_t i = 0; i < eddy_arena_reserved(a); i++) {
        if (EDDY_INFO_KIND(eddy_ld_acq(&a->extents[i].info)) == EDDY_KIND_NODES) {
            eddy_block_each(a, i, own_again, what);
        }
    }
    eddy_st_rel(&a->ring->applied, seq);
    return n;
}

/* ---- steps ---- */

void unit_note_open(fd_set *set) {
    FD_ZERO(set);
    for (int fd = 0; fd < FD_SETSIZE; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            FD_SET(fd, set);
        }
    }
}

void unit_close_others(const fd_set *set) {
    for (int fd = 0; fd < FD_SETSIZE; fd++) {
        if (!FD_ISSET(fd, set)) {
            close(fd);
        }
    }
}

bool unit_act_death(void *arg) {
    (void)arg;
    return true;
}

#if defined(__x86_64__)

enum { TRAP_FLAG = 0x100 };

/* A page that is not to be touched gives a fault; then the access is let through and the page is
 * closed again behind that one instruction. */
static struct {
    const struct unit_step *step;
    unsigned char *from;
    size_t len;
    uint64_t seen;
    bool acted;
    sigjmp_buf end;
} stepper;

static void let(int prot) {
    if (prot != PROT_NONE && stepper.step->arena->read_only) {
        prot = PROT_READ;
    }
    if (mprotect(stepper.from, stepper.len, prot) < 0) {
        _exit(3);
    }
}

static void on_fault(int sig, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    unsigned char *at = info->si_addr;
    if (!stepper.step || at < stepper.from || at >= stepper.from + stepper.len) {
        signal(sig, SIG_DFL); /* not ours: faults again, and ends the test */
        return;
    }
    let(PROT_READ | PROT_WRITE);
    if (stepper.seen++ == stepper.step->at) {
        stepper.acted = true;
        if (stepper.step->act(stepper.step->arg)) {
            siglongjmp(stepper.end, 1);
        }
        return;
    }
    c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_trap(int sig, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)sig;
    (void)info;
    c->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
    let(PROT_NONE);
}

bool unit_can_step(void) {
    return true;
}

uint64_t unit_step(const struct unit_step *step, void (*fn)(void *arg), void *arg) {
    struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct sigaction trap = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    struct sigaction was[2];
    sigaction(SIGSEGV, &fault, &was[0]);
    sigaction(SIGTRAP, &trap, &was[1]);
    stepper.step = step;
    stepper.from = step->arena->base + step->from;
    stepper.len = (step->to ? step->to : bytes_of(step->arena)) - step->from;
    stepper.seen = 0;
    stepper.acted = false;
    if (sigsetjmp(stepper.end, 1) == 0) {
        let(PROT_NONE);
        fn(arg);
    }
    let(PROT_READ | PROT_WRITE);
    stepper.step = NULL;
    sigaction(SIGSEGV, &was[0], NULL);
    sigaction(SIGTRAP, &was[1], NULL);
    while (urcu_bp_read_ongoing()) {
        urcu_bp_read_unlock(); /* it was cut off inside */
    }
    return stepper.acted ? stepper.seen : 0;
}

#else

bool unit_can_step(void) {
    return false;
}

uint64_t unit_step(const struct unit_step *step, void (*fn)(void *arg), void *arg) {
    (void)step;
    (void)fn;
    (void)arg;
    return 0;
}

#endif
