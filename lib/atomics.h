/* The one thin layer through which every atomic access goes.
 *
 * Shared words are `_Atomic uint64_t` (or uint32_t for futexes). The names say the order; a call
 * site carries a label that says why that order is enough (`make check-labels`). Proofs and
 * sanitizers are built by changing this file alone: ThreadSanitizer does not model fences, so under
 * EDDY_TSAN every access is sequentially consistent and the fences are empty.
 */
#ifndef EDDY_ATOMICS_H
#define EDDY_ATOMICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef _Atomic uint64_t eddy_word;
typedef _Atomic uint32_t eddy_word32;

#ifdef EDDY_TSAN
#define EDDY_ORDER(order) memory_order_seq_cst
#else
#define EDDY_ORDER(order) (order)
#endif

#define eddy_ld_rlx(p) atomic_load_explicit((p), EDDY_ORDER(memory_order_relaxed))
#define eddy_ld_acq(p) atomic_load_explicit((p), EDDY_ORDER(memory_order_acquire))
#define eddy_st_rlx(p, v) atomic_store_explicit((p), (v), EDDY_ORDER(memory_order_relaxed))
#define eddy_st_rel(p, v) atomic_store_explicit((p), (v), EDDY_ORDER(memory_order_release))

/* Strong compare-and-swap: *expected is what was found. Release on success, nothing on failure. */
#define eddy_cas_rel(p, expected, v)                                                               \
    atomic_compare_exchange_strong_explicit(                                                       \
        (p), (expected), (v), EDDY_ORDER(memory_order_release), EDDY_ORDER(memory_order_relaxed))
/* Acquire and release on success, acquire on failure. */
#define eddy_cas_ar(p, expected, v)                                                                \
    atomic_compare_exchange_strong_explicit(                                                       \
        (p), (expected), (v), EDDY_ORDER(memory_order_acq_rel), EDDY_ORDER(memory_order_acquire))
#define eddy_xchg_ar(p, v) atomic_exchange_explicit((p), (v), EDDY_ORDER(memory_order_acq_rel))
#define eddy_add_ar(p, v) atomic_fetch_add_explicit((p), (v), EDDY_ORDER(memory_order_acq_rel))
#define eddy_or_sc(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define eddy_and_ar(p, v) atomic_fetch_and_explicit((p), (v), EDDY_ORDER(memory_order_acq_rel))

#ifdef EDDY_TSAN
#define eddy_fence_acq() ((void)0)
#define eddy_fence_rel() ((void)0)
#define eddy_fence_sc() ((void)0)
#define eddy_fence_sc_after_rmw() ((void)0)
#define eddy_fence_compiler() ((void)0)
#else
#define eddy_fence_acq() atomic_thread_fence(memory_order_acquire)
#define eddy_fence_rel() atomic_thread_fence(memory_order_release)
#define eddy_fence_sc() atomic_thread_fence(memory_order_seq_cst)
/* A full fence where a locked instruction has just gone before: on x86-64 that already is one. */
#if defined(__x86_64__)
#define eddy_fence_sc_after_rmw() atomic_signal_fence(memory_order_seq_cst)
#else
#define eddy_fence_sc_after_rmw() atomic_thread_fence(memory_order_seq_cst)
#endif
/* Orders the compiler alone; the partner is a membarrier in the process that looks. */
#define eddy_fence_compiler() atomic_signal_fence(memory_order_seq_cst)
#endif

/* Raises *p to at least v. Ends: each failure means that the word grew. Used where the order of
 * the calls says so: release on success, so that whoever sees v sees what came before it. */
static inline void eddy_at_max(eddy_word *p, uint64_t v) {
    uint64_t x = eddy_ld_rlx(p);
    while (x < v && !eddy_cas_ar(p, &x, v)) {
    }
}

static inline void eddy_at_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* Copies bytes out of shared memory that may be taken away and written anew meanwhile: what was
 * copied counts only if a check of the generation after an acquire fence says so. ThreadSanitizer
 * is shown relaxed loads; elsewhere the barriers keep the compiler from reading twice or late. */
static inline void eddy_copy_out(void *restrict to, const void *restrict from, size_t n) {
#ifdef EDDY_TSAN
    unsigned char *t = to;
    const _Atomic unsigned char *f = from;
    for (size_t i = 0; i < n; i++) {
        t[i] = atomic_load_explicit(f + i, memory_order_relaxed);
    }
#else
    eddy_fence_compiler();
    memcpy(to, from, n);
    eddy_fence_compiler();
#endif
}

/* Loads one field of a struct in shared memory, once: as eddy_copy_out(), it counts only once a
 * check of the generation says so. */
#define eddy_copy_field(p) __atomic_load_n((p), __ATOMIC_RELAXED)

/* Fetches the lines of [at, at + n) for reading, ahead of need. Any address will do. */
static inline void eddy_at_fetch_read(uintptr_t at, size_t n) {
    for (size_t i = 0; i < n; i += 64) {
        __builtin_prefetch((const void *)(at + i), 0, 3);
    }
}

/* Fetches the line of an address for writing, ahead of need. Any address will do. */
static inline void eddy_at_fetch_write(const void *at) {
    __builtin_prefetch(at, 1, 3);
}

/* Writes a struct into shared memory that this member owns: field by field where the compiler can,
 * since a copy by way of the stack would wait for the stores to it. */
#ifdef EDDY_TSAN
#define EDDY_PUT(type, at, ...)                                                                    \
    do {                                                                                           \
        type put_ = __VA_ARGS__;                                                                   \
        eddy_copy_in((at), &put_, sizeof put_);                                                    \
    } while (0)
#else
#define EDDY_PUT(type, at, ...) ((void)(*(type *)(void *)(at) = (type)__VA_ARGS__))
#endif

/* Zeroes whole words of shared memory that this member owns: somebody may still look at what it was,
 * as eddy_copy_out() does. */
static inline void eddy_clear(void *at, size_t n) {
#ifdef EDDY_TSAN
    eddy_word *w = at;
    for (size_t i = 0; i < n / sizeof *w; i++) {
        atomic_store_explicit(w + i, 0, memory_order_relaxed);
    }
#else
    memset(at, 0, n);
#endif
}

/* Copies bytes into shared memory that this member owns. */
static inline void eddy_copy_in(void *restrict to, const void *restrict from, size_t n) {
#ifdef EDDY_TSAN
    _Atomic unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(t + i, f[i], memory_order_relaxed);
    }
#else
    memcpy(to, from, n);
#endif
}

/* The same where mostly few bytes come: no call for up to 16 of them. */
static inline void eddy_copy_in_few(void *restrict to, const void *restrict from, size_t n) {
#ifdef EDDY_TSAN
    eddy_copy_in(to, from, n);
#else
    unsigned char *t = to;
    const unsigned char *f = from;
    if (n > 16) {
        memcpy(t, f, n);
    } else if (n >= 8) {
        uint64_t first, last; /* they overlap */
        memcpy(&first, f, 8);
        memcpy(&last, f + n - 8, 8);
        memcpy(t, &first, 8);
        memcpy(t + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first, last;
        memcpy(&first, f, 4);
        memcpy(&last, f + n - 4, 4);
        memcpy(t, &first, 4);
        memcpy(t + n - 4, &last, 4);
    } else if (n > 0) {
        t[0] = f[0];
        t[n / 2] = f[n / 2];
        t[n - 1] = f[n - 1];
    }
#endif
}

/* Are these n bytes the same? For what is mostly short: no call for up to 16 of them. */
static inline bool eddy_same_few(const void *a, const void *b, size_t n) {
    const unsigned char *x = a;
    const unsigned char *y = b;
    if (n > 16) {
        return memcmp(x, y, n) == 0;
    }
    if (n >= 8) {
        uint64_t p, q, r, s;
        memcpy(&p, x, 8);
        memcpy(&q, y, 8);
        memcpy(&r, x + n - 8, 8);
        memcpy(&s, y + n - 8, 8);
        return ((p ^ q) | (r ^ s)) == 0;
    }
    if (n >= 4) {
        uint32_t p, q, r, s;
        memcpy(&p, x, 4);
        memcpy(&q, y, 4);
        memcpy(&r, x + n - 4, 4);
        memcpy(&s, y + n - 4, 4);
        return ((p ^ q) | (r ^ s)) == 0;
    }
    return n == 0 || (x[0] == y[0] && x[n / 2] == y[n / 2] && x[n - 1] == y[n - 1]);
}

#endif
