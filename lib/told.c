#include "told.h"

#include "error.h"
#include "log.h"

/* Is it about the store, rather than the answer to a question, or a mistake of the caller? */
static bool is_of_the_store(int code) {
    switch (code) {
    case EDDY_ECORRUPT:
    case EDDY_EFULL:
    case EDDY_ELIMIT:
    case EDDY_EACCESS:
    case EDDY_ELAPPED:
    case EDDY_EAGAIN:
    case EDDY_ENOMEM:
    case EDDY_ESYS:
        return true;
    default:
        return false;
    }
}

static void tell_failure(struct eddy_store *s, int r, int64_t ns) {
    const eddy_metrics *m = &s->metrics;
    if (r == EDDY_ECONFLICT && m->conflict) {
        m->conflict(m->arg, ns);
    } else if (r != EDDY_ECONFLICT && m->error) {
        m->error(m->arg, r, eddy_errmsg());
    }
}

static void tell_success(struct eddy_store *s, int64_t ns, enum eddy_did did, uint64_t events,
                         uint64_t bytes) {
    const eddy_metrics *m = &s->metrics;
    if (did == EDDY_DID_COMMIT && m->commit) {
        m->commit(m->arg, events, bytes, ns);
    } else if (did == EDDY_DID_READ && m->read) {
        m->read(m->arg, events, bytes, ns);
    } else if (did == EDDY_DID_SNAPSHOT && m->snapshot) {
        m->snapshot(m->arg, bytes, ns);
    }
}

int eddy_told_all(struct eddy_store *s, int64_t began, enum eddy_did did, int r, uint64_t events,
                  uint64_t bytes) {
    if (r < 0 && is_of_the_store(r)) {
        eddy_log_add(&s->arena, r, eddy_errmsg(), eddy_store_now(s));
    }
    if (s->told) {
        int64_t ns = began ? eddy_platform_monotonic_ns() - began : 0;
        if (r < 0) {
            tell_failure(s, r, ns);
        } else {
            tell_success(s, ns, did, events, bytes);
        }
    }
    return r;
}

void eddy_told_subscription(struct eddy_store *s, int64_t change) {
    if (s->told && s->metrics.subscription) {
        s->metrics.subscription(s->metrics.arg, change);
    }
}
