/* Lines of a file or of the standard input, which may be packed by gzip or zstd: that is told by
 * its first bytes, not by its name. */
#ifndef INPUT_H
#define INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_LINE_MAX (UINT64_C(3) << 29) /* 1.5 GiB */

struct input;

/* Opens a file; "-" is the standard input. NULL, with the reason in why. */
struct input *input_open(const char *path, char *why, size_t why_size);
void input_close(struct input *input);

/* The next line, without its newline; the caller may change its bytes, which stay until the next
 * call. 1, 0 at the end, or -1 with the reason in input_error(). */
int input_line(struct input *input, char **line, size_t *len);

const char *input_error(const struct input *input);
/* Number of the last line that was given, from 1; after an error, of the line that was to come. */
uint64_t input_line_number(const struct input *input);
/* Bytes of the file read so far, and its size (0: not known). */
uint64_t input_consumed(const struct input *input);
uint64_t input_size(const struct input *input);

/* All bytes of the standard input, at most max of them; to be freed. NULL, with the reason. */
char *input_all(uint64_t max, size_t *len, char *why, size_t why_size);

#endif
