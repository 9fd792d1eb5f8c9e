#include "log.h"

#include <ctype.h>
#include <string.h>

#include "platform.h"

enum { OTHERS = EDDY_ERROR_SLOTS - 1 };

/* A message without what differs: numbers become #, what is in quotes three dots; a path in front goes. */
static void plain(const char *message, char *text) {
    const char *m = message;
    const char *path = m[0] == '/' ? strstr(m, ": ") : NULL;
    size_t n = 0;
    memset(text, 0, EDDY_LOG_TEXT);
    for (m = path ? path + 2 : m; *m && n < EDDY_LOG_TEXT; m++) {
        const char *end = *m == '\'' ? strchr(m + 1, '\'') : NULL;
        if (isdigit((unsigned char)*m)) {
            text[n++] = '#';
            while (isdigit((unsigned char)m[1])) {
                m++;
            }
        } else if (end) {
            static const char dots[] = "'...'";
            size_t some = sizeof dots - 1 < EDDY_LOG_TEXT - n ? sizeof dots - 1 : EDDY_LOG_TEXT - n;
            memcpy(text + n, dots, some);
            n += some;
            m = end;
        } else {
            text[n++] = *m;
        }
    }
}

/* The entry of a text, taken if it is new; or that of all others. */
static struct eddy_shm_error *place_of(struct eddy_arena *a, uint64_t what) {
    struct eddy_shm_error *all = a->super->error;
    for (unsigned i = 0; i < OTHERS; i++) {
        struct eddy_shm_error *e = &all[(what + i) % OTHERS];
        uint64_t is = 0;
        /* [log.P1] acq_rel: alone: who has the entry of a text is the same for all who meet it. Death
         * after: an entry without a code, which the next who meets the error completes. */
        if (eddy_cas_ar(&e->what, &is, what) || is == what) {
            return e;
        }
    }
    return &all[OTHERS];
}

static void describe(struct eddy_shm_error *e, int code, const char *text) {
    uint64_t words[EDDY_LOG_TEXT / 8];
    memcpy(words, text, sizeof words);
    for (unsigned i = 0; i < EDDY_LOG_TEXT / 8; i++) {
        /* [log.R1] relaxed: all who write it write the same; the code stands behind it */
        eddy_st_rlx(&e->text[i], words[i]);
    }
    /* [log.P2] release: pairs with [log.C1]. Death before: the next writes it again. */
    eddy_st_rel(&e->code, (uint64_t)(uint32_t)-code);
}

void eddy_log_add(struct eddy_arena *a, int code, const char *message, int64_t now_ns) {
    char text[EDDY_LOG_TEXT];
    uint64_t none = 0;
    if (a->read_only) {
        return;
    }
    plain(message, text);
    uint64_t what = eddy_platform_hash(text, sizeof text, (uint64_t)(uint32_t)code) | 1;
    struct eddy_shm_error *e = place_of(a, what);
    if (e == &a->super->error[OTHERS]) {
        memset(text, 0, sizeof text);
        memcpy(text, "other errors", 12);
        code = -OTHERS;
    }
    /* [log.R2] relaxed: figures to show; written by all who meet the error. Times are not 0 but in
     * tests. */
    if (eddy_ld_rlx(&e->code) == 0) {
        describe(e, code, text);
    }
    (void)eddy_cas_ar(&e->first_ns, &none, (uint64_t)now_ns);
    eddy_at_max(&e->last_ns, (uint64_t)now_ns);
    (void)eddy_add_ar(&e->count, UINT64_C(1));
}

bool eddy_log_get(struct eddy_arena *a, unsigned place, struct eddy_log_entry *entry) {
    struct eddy_shm_error *e = &a->super->error[place];
    uint64_t words[EDDY_LOG_TEXT / 8];
    /* [log.C1] acquire: pairs with [log.P2] */
    uint64_t code = eddy_ld_acq(&e->code);
    if (code == 0) {
        return false;
    }
    for (unsigned i = 0; i < EDDY_LOG_TEXT / 8; i++) {
        /* [log.R3] relaxed: behind the code */
        words[i] = eddy_ld_rlx(&e->text[i]);
    }
    memcpy(entry->text, words, sizeof words);
    entry->text[EDDY_LOG_TEXT] = 0;
    entry->code = place == OTHERS ? 0 : -(int)(uint32_t)code;
    /* [log.R4] relaxed: figures to show. Whoever died before he counted has met it all the same. */
    uint64_t count = eddy_ld_rlx(&e->count);
    entry->count = count ? count : 1;
    entry->first_ns = (int64_t)eddy_ld_rlx(&e->first_ns);
    entry->last_ns = (int64_t)eddy_ld_rlx(&e->last_ns);
    return true;
}
