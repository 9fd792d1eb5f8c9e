/* An instant: a number of transactions, and the store as exactly these have left it.
 *
 * A positive answer about something that never changes needs none of this. "Not there", "latest
 * is", and whatever is made up of several loads, hold only for an instant at which all that was
 * committed was applied: take one, look, and see that it still holds; else take another.
 *
 * A read-only handle cannot apply: it lays the one record that may be committed and not yet applied
 * over what it loads, and afterwards sees that nothing it may have met was used again meanwhile.
 */
#ifndef EDDY_INSTANT_H
#define EDDY_INSTANT_H

#include "apply.h"
#include "view.h"

struct eddy_instant {
    uint64_t seq;              /* the log is [0, seq) */
    uint64_t empty;            /* the word of seq */
    uint64_t era;              /* when it was taken */
    struct eddy_ring_copy now; /* totals as of seq */
    struct eddy_view view;
    struct eddy_overlay overlay;
    uint32_t tries;
};

void eddy_instant_fini(struct eddy_instant *instant);
/* A new question: no overlay, no tries. */
void eddy_instant_renew(struct eddy_instant *instant, struct eddy_thread *thread);
/* Before loads whose soundness is to be asked for. */
void eddy_instant_begin(struct eddy_instant *instant, const struct eddy_thread *thread);
/* Takes the present instant. The caller is inside its span. 0, EDDY_ECORRUPT, or, read-only and
 * after many tries, EDDY_EAGAIN. */
int eddy_instant_take(struct eddy_instant *instant, struct eddy_thread *thread);
/* Nothing has been committed since, so what was found is exact. */
bool eddy_instant_holds(const struct eddy_instant *instant, const struct eddy_thread *thread);
/* What was loaded was not memory used anew: always so inside a span. */
bool eddy_instant_sound(const struct eddy_instant *instant, const struct eddy_thread *thread);

#endif
