/* What the examples share: they say what they find, and at the end check that they said what they should. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <eddy.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char example_said[4096];

/* Prints a line, and keeps it. */
__attribute__((format(printf, 1, 2))) static inline void say(const char *format, ...) {
    size_t len = strlen(example_said);
    va_list list;
    va_start(list, format);
    vsnprintf(example_said + len, sizeof example_said - len - 1, format, list);
    va_end(list);
    strcat(example_said, "\n");
    fputs(example_said + len, stdout);
}

/* The result of a call that has to succeed: the program ends where it does not. */
static inline int must(int result) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", eddy_errname(result), eddy_errmsg());
        exit(1);
    }
    return result;
}

/* The exit code: 0 if exactly this was said. */
static inline int said(const char *expected) {
    if (strcmp(example_said, expected) != 0) {
        fprintf(stderr, "expected was:\n%s", expected);
        return 1;
    }
    return 0;
}

/* A new store of that name, whatever an earlier run has left. */
static inline eddy_store *example_open(const char *name) {
    eddy_store *store;
    int gone = eddy_unlink(name, NULL);
    must(gone == EDDY_ENOENT ? 0 : gone);
    must(eddy_open(&store, name, NULL));
    return store;
}

/* Leaves it and removes it. */
static inline void example_close(eddy_store *store, const char *name) {
    eddy_close(store);
    must(eddy_unlink(name, NULL));
}

/* printf's "%.*s" of some bytes: SHOW(bytes) gives both arguments. */
#define SHOW(bytes) (int)(bytes).len, (const char *)(bytes).ptr

#endif
