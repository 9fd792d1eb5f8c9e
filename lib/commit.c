/* The write path (PROTOCOL of the ring):
 *
 *   A  help: everything committed is applied; s is the first empty word.
 *   B  copy the header of s - 1: the state of the store before s.
 *   C  evaluate against the indexes, which show exactly [0, s): conditions, versions, offsets,
 * nodes set aside; write the heads of the parts, the redo list, the header of s. D  swap the word
 * of s from empty to our buffer: the commit point, in eddy_ring_commit(). If somebody else was
 * faster, go to A; payloads stay as they are. E  apply, wake, move `applied`.
 *
 * I1  All that a failed condition or an absence was judged by was true at one instant: the word is
 *     looked at once more before the answer is given.
 * I2  A buffer is written only if the word of `applied` - 1 does not name it. A thread has two, so
 *     one is always free.
 * A death before D leaves private memory, which the sweep finds: extents by their owner, blocks by
 * the edge test. A death after D leaves a committed record, which the next to come by applies.
 */
#include "commit.h"

#include <string.h>

#include "apply.h"
#include "cut.h"
#include "error.h"
#include "expect.h"
#include "gone.h"
#include "keys.h"
#include "list.h"
#include "names.h"
#include "once.h"
#include "retain.h"
#include "wait.h"

enum { LIST_WORDS_PER_EXTENT = EDDY_EXTENT_SIZE / 8, VERSION_MAX_BITS = 62 };

/* A descriptor by name: from this thread's own notes, the process's directory, or the index. */
static int find_stream(const struct eddy_committer *c, eddy_bytes name, uint64_t hash,
                       uint64_t *desc) {
    const struct eddy_view *v = &c->plan->view;
    struct eddy_arena *a = v->arena;
    struct eddy_plan_known *k = eddy_plan_known(c->plan, hash);
    if (k->desc != 0 && k->hash == hash && eddy_view_holds(v, k->desc, k->desc_tag)) {
        eddy_bytes n = eddy_stream_name(eddy_arena_raw(a, k->desc));
        if (n.len == name.len && memcmp(n.ptr, name.ptr, n.len) == 0) {
            *desc = k->desc;
            return 0;
        }
    }
    *desc = eddy_directory_find(c->directory, v, name, hash);
    if (*desc == 0) {
        int64_t found = eddy_stream_find(v, name, hash);
        if (found <= 0) {
            return (int)found;
        }
        *desc = (uint64_t)found;
        eddy_directory_note(c->directory, v, hash, *desc);
    }
    *k = (struct eddy_plan_known){.hash = hash,
                                  .desc = *desc,
                                  .desc_tag = eddy_block_tag(a, *desc),
                                  .groups = 1 | UINT64_C(1) << eddy_wait_group_of(hash)};
    return 0;
}

/* Finds the stream as of now: s->desc and s->base. */
static int resolve(const struct eddy_committer *c, struct eddy_batch *b, uint32_t i) {
    struct eddy_batch_stream *s = &b->streams.at[i];
    const struct eddy_view *v = &c->plan->view;
    struct eddy_arena *a = v->arena;
    if (s->desc == 0 || !eddy_view_holds(v, s->desc, s->desc_tag)) {
        int r = find_stream(c, eddy_batch_name(b, i), s->hash, &s->desc);
        if (r < 0) {
            return r;
        }
        s->desc_tag = s->desc ? eddy_block_tag(a, s->desc) : 0;
    }
    s->fresh = 0;
    s->base = 0;
    s->planned = 0;
    s->there = false;
    if (s->desc != 0) {
        struct eddy_shm_stream *d = eddy_arena_raw(a, s->desc);
        s->base = eddy_view_load(v, &d->version);
        s->there = !eddy_gone_removed(v, d);
        if (s->base >> VERSION_MAX_BITS != 0) {
            return eddy_error_set(EDDY_ECORRUPT, "the version of a stream is damaged: run `eddy "
                                                 "check`");
        }
    }
    return 0;
}

/* A new stream: a private descriptor, linked by name and by number. */
static int make_stream(const struct eddy_committer *c, struct eddy_batch *b, uint32_t i,
                       uint64_t number) {
    struct eddy_batch_stream *s = &b->streams.at[i];
    eddy_bytes name = eddy_batch_name(b, i);
    struct eddy_arena *a = c->thread->arena;
    int r = eddy_plan_take(c->plan, EDDY_STREAM_CLASS(name.len), &s->fresh);
    if (r < 0) {
        return r;
    }
    struct eddy_shm_stream *d = eddy_arena_raw(a, s->fresh);
    eddy_stream_init(d, name, s->hash, number);
    /* [commit.R1] relaxed: private until the record is committed */
    eddy_st_rlx(&d->version, s->events);
    eddy_st_rlx(&d->bytes_in, s->bytes);
    r = eddy_names_add(c->plan, s->fresh, name, s->hash);
    if (r == 0) {
        struct eddy_plan_values v = {.refs = &s->fresh};
        r = eddy_plan_numbers(c->plan, &a->super->streams_root, NULL, number, 1, v);
    }
    return r;
}

/* Streams: descriptors for the new ones, versions and bytes for those that are there. */
static int plan_streams(const struct eddy_committer *c, struct eddy_batch *b,
                        struct eddy_attempt *t) {
    struct eddy_arena *a = c->thread->arena;
    for (uint32_t i = 0; i < b->streams.count; i++) {
        struct eddy_batch_stream *s = &b->streams.at[i];
        if (s->events == 0) {
            continue;
        }
        int r;
        t->groups |= UINT64_C(1) << eddy_wait_group_of(s->hash);
        t->after.streams += !s->there;
        t->after.names += s->desc == 0;
        if (s->desc == 0) {
            r = make_stream(c, b, i, ++t->after.streams_in);
        } else {
            struct eddy_shm_stream *d = eddy_arena_raw(a, s->desc);
            r = eddy_plan_max(c->plan, &d->bytes_in,
                              eddy_view_load(&c->plan->view, &d->bytes_in) + s->bytes);
            if (r == 0) {
                r = eddy_plan_max(c->plan, &d->version, s->base + s->events);
            }
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

static uint64_t bytes_of(const struct eddy_batch_event *e, uint32_t n) {
    uint64_t bytes = 0;
    for (uint32_t k = 0; k < n; k++) {
        bytes += e[k].bytes;
    }
    return bytes;
}

/* Offsets lead to blocks, in pieces of as many as fit on the stack. */
static int plan_offsets(const struct eddy_committer *c, const struct eddy_batch *b,
                        uint64_t first_offset, uint64_t bytes_before) {
    enum { PIECE = 256 };
    uint64_t refs[PIECE];
    for (uint32_t i = 0; i < b->events.count;) {
        uint32_t n = b->events.count - i < PIECE ? b->events.count - i : PIECE;
        const struct eddy_batch_event *e = &b->events.at[i];
        for (uint32_t k = 0; k < n; k++) {
            refs[k] = e[k].off;
        }
        struct eddy_plan_values v = {
            .refs = refs, .sum = bytes_before, .bytes = &e->bytes, .step = sizeof *e / 8};
        int r = eddy_plan_numbers(c->plan, &c->thread->arena->super->offsets_root, &c->plan->tail,
                                  first_offset + i, n, v);
        if (r < 0) {
            return r;
        }
        i += n;
        if (i < b->events.count) {
            bytes_before += bytes_of(e, n);
        }
    }
    return 0;
}

/* Versions lead to offsets, in runs of events of one stream. */
static int plan_versions(const struct eddy_committer *c, struct eddy_batch *b,
                         uint64_t first_offset) {
    for (uint32_t i = 0; i < b->events.count;) {
        const struct eddy_batch_event *e = &b->events.at[i];
        struct eddy_batch_stream *s = &b->streams.at[e->stream];
        struct eddy_shm_stream *d = eddy_arena_raw(c->thread->arena, s->desc ? s->desc : s->fresh);
        uint64_t before = s->desc ? eddy_view_load(&c->plan->view, &d->bytes_in) : 0;
        uint32_t n = b->streams.count == 1 ? b->events.count : 1;
        while (i + n < b->events.count && e[n].stream == e->stream) {
            n++;
        }
        struct eddy_plan_values v = {.base = first_offset + i,
                                     .sum = before + s->planned,
                                     .bytes = &e->bytes,
                                     .step = sizeof *e / 8};
        int r = eddy_plan_versions(c->plan, d, s->hash, s->base + e->k + 1, n, v);
        if (r < 0) {
            return r;
        }
        i += n;
        if (i < b->events.count) {
            s->planned += bytes_of(e, n);
        }
    }
    return 0;
}

int eddy_commit_plan_events(const struct eddy_committer *c, struct eddy_batch *b,
                            struct eddy_attempt *t) {
    uint64_t first = t->first_offset;
    int r = plan_offsets(c, b, first, t->after.bytes_in);
    t->after.next_offset += b->events.count;
    t->after.bytes_in += b->bytes;
    if (r == 0) {
        r = plan_streams(c, b, t);
    }
    if (r == 0) {
        r = plan_versions(c, b, first);
    }
    return r == 0 && b->sharded > 0 ? eddy_list_plan_shards(c, b, t) : r;
}

/* Evaluates as of t->s: 1 if it changes something, 0, EDDY_ECONFLICT, or another error. */
static int evaluate(const struct eddy_committer *c, struct eddy_batch *b, struct eddy_attempt *t,
                    eddy_result *result) {
    for (uint32_t i = 0; i < b->streams.count; i++) {
        int r = resolve(c, b, i);
        if (r < 0) {
            return r;
        }
    }
    t->revision = 0;
    int r = b->key_len > 0 ? eddy_once_find(c, b, t, result) : 0;
    if (r != 0) {
        return r < 0 ? r : 0; /* nothing is to be changed, whatever its conditions */
    }
    r = eddy_expect(c, b, t, result);
    if (r == 0 && b->reset) {
        r = eddy_cut_all(c->plan, t);
    }
    if (r == 0 && b->cuts.count > 0) {
        r = eddy_cut_plan(c, b, t);
    }
    if (r == 0 && b->puts.count > 0) {
        r = eddy_key_plan(c, b, t);
    }
    if (r == 0 && b->limits) {
        r = eddy_retain_set(c->plan, b->limits, t->s);
    }
    if (r == 0 && (b->events.count > 0 || b->enforce)) {
        r = eddy_retain_plan(c, b, t);
    }
    if (r == 0 && b->events.count > 0) {
        r = eddy_commit_plan_events(c, b, t);
    }
    if (r == 0 && b->empty_lists.count > 0) {
        r = eddy_list_plan_empty(c, b, t);
    }
    if (r == 0 && b->enforce) {
        r = eddy_once_drop(c, t);
    }
    if (r == 0 && b->key_len > 0) {
        r = eddy_once_plan(c, b, t);
    }
    if (r == 0) {
        r = eddy_plan_finish(c->plan);
    }
    if (r < 0 || c->plan->sets.count == 0) {
        return r;
    }
    eddy_batch_write_heads(b, c->thread->arena, t->first_offset, t->after.time_ns);
    return 1;
}

static void give_list(struct eddy_thread *t, unsigned which) {
    if (t->list_run[which] > 0) {
        eddy_extent_give(t->arena, eddy_arena_extent_of(t->arena, t->list_off[which]),
                         t->list_run[which]);
        t->list_run[which] = 0;
    }
}

/* A list that another thread left: ours, unless the last transaction names it, or it is too small.
 */
static void resume_list(struct eddy_thread *t, unsigned which, uint64_t named, uint32_t run) {
    uint32_t idx;
    uint32_t got;
    if (!eddy_extent_resume_list(t->arena, t->member, &idx, &got)) {
        return;
    }
    uint64_t off = eddy_arena_extent_off(t->arena, idx);
    if (off == named) {
        eddy_extent_leave(t->arena, idx);
    } else if (got < run) {
        eddy_extent_give(t->arena, idx, got);
    } else {
        t->list_off[which] = off;
        t->list_run[which] = got;
    }
}

/* Memory for a list that does not fit in the buffer: a run of extents that goes with the buffer.
 * named: the list of the last transaction. */
static int list_room(struct eddy_thread *t, unsigned which, uint64_t named, size_t words) {
    uint32_t run = (uint32_t)((words + LIST_WORDS_PER_EXTENT - 1) / LIST_WORDS_PER_EXTENT);
    if (words <= EDDY_LIST_INLINE || t->list_run[which] >= run) {
        return 0;
    }
    give_list(t, which);
    resume_list(t, which, named, run);
    if (t->list_run[which] >= run) {
        return 0;
    }
    uint32_t idx;
    int r = eddy_extent_take(t->arena, t->member, EDDY_KIND_LIST, 0, run, &idx);
    if (r == 0) {
        t->list_off[which] = eddy_arena_extent_off(t->arena, idx);
        t->list_run[which] = run;
    }
    return r;
}

/* Writes the list into a buffer that is free to be written, or, if it is long, beside it; named: the
 * list of the last transaction. */
static int write_list(struct eddy_thread *thread, struct eddy_attempt *t, uint64_t named,
                      const uint64_t *words, size_t count) {
    eddy_word *list = thread->slot->buffer[t->which].list;
    int r = list_room(thread, t->which, named, count);
    if (r < 0) {
        return r;
    }
    if (count > EDDY_LIST_INLINE) {
        t->after.list_off = thread->list_off[t->which];
        list = eddy_arena_raw(thread->arena, t->after.list_off);
    }
    eddy_ring_reuse();
    for (size_t i = 0; i < count; i++) {
        /* [commit.R2] relaxed: ours until the commit, which releases it */
        eddy_st_rlx(&list[i], words[i]);
    }
    return 0;
}

int eddy_commit_try(struct eddy_thread *thread, struct eddy_attempt *t, const uint64_t *words,
                    size_t count) {
    uint64_t named = t->after.list_off;
    t->after.list_off = 0;
    int r = write_list(thread, t, named, words, count);
    return r < 0 ? r : eddy_commit_written(thread, t, count);
}

static void answer(const struct eddy_batch *b, const struct eddy_attempt *t, eddy_result *result) {
    result->recorded_ns = t->after.time_ns;
    result->removed = t->removed;
    result->revision = t->revision;
    result->repeated = false;
    if (b->events.count > 0) {
        const struct eddy_batch_event *last = &b->events.at[b->events.count - 1];
        result->first_offset = t->first_offset;
        result->last_offset = t->after.next_offset - 1;
        result->last_version = b->streams.at[last->stream].base + last->k + 1;
    }
}

/* Tries until it is committed or refused. */
static int attempt_all(const struct eddy_committer *c, struct eddy_batch *b, int64_t now_ns,
                       struct eddy_attempt *t, eddy_result *result) {
    struct eddy_thread *thread = c->thread;
    for (uint64_t tries = 0;; tries++) {
        if (tries > 0) {
            eddy_thread_count(thread, EDDY_COUNT_RETRIES, 1);
        }
        eddy_plan_reset(c->plan);
        int r = eddy_commit_look(thread, now_ns, t);
        if (r < 0) {
            return r;
        }
        r = evaluate(c, b, t, result);
        if (r <= 0) {
            /* [commit.F1] acquire fence: alone: the loads of the evaluation stand before the load
             * of the word: what they showed (a failed condition, even damage) was so while the word
             * was empty; else it may be a mixture of two states, which says nothing */
            eddy_fence_acq();
            if (eddy_ring_load(thread->arena, t->s) != t->empty) {
                continue;
            }
            return r;
        }
        answer(b, t, result);
        r = eddy_commit_try(thread, t, c->plan->sets.at, c->plan->sets.count);
        if (r != 0) {
            if (r == 1) {
                eddy_apply_own(thread, t->s, c->plan->sets.at, c->plan->sets.count, t->groups);
            }
            return r;
        }
    }
}

static void note_streams(const struct eddy_committer *c, struct eddy_batch *b) {
    for (uint32_t i = 0; i < b->streams.count; i++) {
        struct eddy_batch_stream *s = &b->streams.at[i];
        if (s->fresh && s->events > 0) {
            eddy_directory_note(c->directory, &c->plan->view, s->hash, s->fresh);
        }
    }
}

int eddy_commit(const struct eddy_committer *c, struct eddy_batch *b, int64_t now_ns,
                eddy_result *result) {
    struct eddy_thread *thread = c->thread;
    struct eddy_attempt t;
    int r = eddy_batch_close(b, thread);
    if (r == 0) {
        eddy_rcu_enter(&thread->span);
        while ((r = attempt_all(c, b, now_ns, &t, result)) == EDDY_EFULL && c->make_room) {
            eddy_plan_reset(c->plan);
            eddy_blocks_thin(thread->arena, &thread->blocks);
            eddy_rcu_leave(&thread->span);
            bool again = c->make_room(c->arg);
            eddy_rcu_enter(&thread->span);
            if (!again) {
                break;
            }
        }
        if (r == 1) {
            eddy_plan_done(c->plan);
            note_streams(c, b);
            eddy_batch_keep(b, thread);
        }
        b->more = r == 1 && t.more;
        eddy_rcu_leave(&thread->span);
    }
    if (r != 1) {
        eddy_plan_reset(c->plan);
        eddy_blocks_thin(thread->arena, &thread->blocks);
        eddy_batch_drop(b, thread);
        if (r < 0) {
            eddy_thread_count(thread,
                              r == EDDY_ECONFLICT ? EDDY_COUNT_CONFLICTS : EDDY_COUNT_REFUSALS, 1);
        }
    }
    return r < 0 ? r : 0;
}
