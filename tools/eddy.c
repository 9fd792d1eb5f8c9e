/* The program eddy: one subcommand a run. */
#include "cli.h"
#include "tool.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

/* A store must never be opened as descriptor 0, 1 or 2, for then output would be written into it.
 * What was closed becomes a descriptor that cannot be used the way it is meant. */
static void hold_standard_descriptors(void) {
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            int held = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
            (void)held; /* is fd, the lowest that is free; if it fails, nothing better is known */
        }
    }
}

int main(int argc, char **argv) {
    struct args args;
    hold_standard_descriptors();
    signal(SIGPIPE, SIG_IGN); /* a write tells of it, and ends the command in order */
    int code = cli_parse(argc, argv, &args);
    return code >= 0 ? code : args.command->run(&args);
}
