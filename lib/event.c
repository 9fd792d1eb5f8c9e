#include "event.h"

#include <stdlib.h>

#include "error.h"

int eddy_room_for(struct eddy_room *b, size_t room) {
    if (room > b->room) {
        if (b->fixed) {
            return EDDY_ELIMIT; /* no sentence: it is only tried */
        }
        size_t more = room < 4096 ? 4096 : room + room / 4;
        unsigned char *bytes = realloc(b->bytes, more);
        if (!bytes) {
            return eddy_error_set(EDDY_ENOMEM, "no memory for an event of %zu bytes", room);
        }
        b->bytes = bytes;
        b->room = more;
    }
    return 0;
}

int eddy_event_damaged(uint64_t ref) {
    return eddy_error_set(EDDY_ECORRUPT,
                          "the event at byte %llu of the store is damaged: run "
                          "`eddy check`",
                          (unsigned long long)ref);
}

int eddy_event_read(const struct eddy_view *v, const eddy_word *slot, uint64_t ref,
                    struct eddy_room *room, eddy_event *event, struct eddy_event_more *more) {
    return eddy_event_read_inline(v, slot, ref, room, event, more);
}
