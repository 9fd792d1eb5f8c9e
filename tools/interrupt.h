/* What ends a wait for events: SIGINT, or that nobody reads the standard output any more. A thread
 * looks out for both and wakes the reader, since no function of the library may be called by a
 * signal handler, and a process that waits would not notice a pipe that is gone. */
#ifndef INTERRUPT_H
#define INTERRUPT_H

#include "eddy.h"

enum interrupt { INTERRUPT_NONE, INTERRUPT_SIGNAL, INTERRUPT_PIPE };

/* From now on both are noted, and end waits of the reader. False if that cannot be had: SIGINT then
 * ends the process as it always does. */
bool interrupt_begin(eddy_reader *reader);
/* What has happened. */
enum interrupt interrupt_seen(void);
/* To be called before the reader is closed. */
void interrupt_end(void);

#endif
