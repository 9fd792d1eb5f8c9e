/* Reading in order of the events' own times. */
#ifndef EDDY_BYTIME_H
#define EDDY_BYTIME_H

#include "reader.h"

/* For a reader whose select has EDDY_BY_TIME, which it turns into one of offsets. 0 or an error. */
int eddy_bytime_init(struct eddy_reader *reader);
void eddy_bytime_fini(struct eddy_reader *reader);
/* As eddy_reader_next(). */
int eddy_bytime_next(struct eddy_reader *reader, struct eddy_context *context, eddy_event *event);

#endif
