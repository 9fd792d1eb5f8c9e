#include "guest.h"

#include "support/check.h"
#include "support/child.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLEEP_LIMIT_MS = 20000 };

struct start {
    struct guest *guest;
    void (*fn)(struct guest *guest);
};

static void begin(void *arg) {
    const struct start *start = arg;
    struct guest *guest = start->guest;
    guest->pid = getpid();
    close(guest->up[0]);
    close(guest->down[1]);
    start->fn(guest);
}

void guest_start(struct guest *guest, void (*fn)(struct guest *guest)) {
    struct start start = {guest, fn};
    CHECK_EQ(pipe2(guest->up, O_CLOEXEC), 0);
    CHECK_EQ(pipe2(guest->down, O_CLOEXEC), 0);
    pid_t pid = child_start(begin, &start);
    guest->pid = pid;
    close(guest->up[1]);
    close(guest->down[0]);
}

void guest_say(struct guest *guest) {
    child_say(guest->up[1]);
}

void guest_hear(struct guest *guest) {
    child_hear(guest->down[0]);
}

void guest_meet(struct guest *guest) {
    guest_say(guest);
    guest_hear(guest);
}

void guest_await(struct guest *guest) {
    child_hear(guest->up[0]);
}

void guest_tell(struct guest *guest) {
    child_say(guest->down[1]);
}

static void close_pipes(struct guest *guest) {
    close(guest->up[0]);
    close(guest->down[1]);
}

int guest_end(struct guest *guest) {
    int code = child_end(guest->pid, CHILD_LIMIT_MS);
    close_pipes(guest);
    return code;
}

void guest_kill(struct guest *guest) {
    child_kill(guest->pid);
    close_pipes(guest);
}

void guest_await_sleep(pid_t pid) {
    char path[64];
    char line[512];
    char state = '?';
    int64_t end = child_now_ns() + INT64_C(1000000) * SLEEP_LIMIT_MS;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *file = fopen(path, "re");
        CHECK(file && fgets(line, sizeof line, file));
        fclose(file);
        const char *behind = strrchr(line, ')');
        CHECK(behind);
        state = behind[2];
        CHECK_SAY(child_now_ns() < end, "process %d does not sleep: %c", (int)pid, state);
        child_linger_us(200);
    }
}

pid_t guest_pid_in_proc(void) {
    char text[32] = "";
    CHECK(readlink("/proc/self", text, sizeof text - 1) > 0);
    return (pid_t)atoi(text);
}

/* ---- looking ---- */

void look_append(eddy_store *store, const char *stream) {
    CHECK_OK(look_append_bytes(store, stream, 8));
}

int look_append_bytes(eddy_store *store, const char *stream, size_t len) {
    void *bytes = calloc(1, len);
    CHECK(bytes);
    eddy_new_event event = {.data = eddy_mem(bytes, len)};
    int rc = eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL);
    free(bytes);
    return rc;
}

struct wanted {
    uint32_t pid;
    eddy_member_facts *facts;
};

static int see_member(void *arg, const eddy_member_facts *facts) {
    const struct wanted *wanted = arg;
    if (facts->pid != wanted->pid) {
        return 0;
    }
    *wanted->facts = *facts;
    return 1;
}

bool look_member(eddy_store *store, pid_t pid, eddy_member_facts *facts) {
    eddy_member_facts own;
    struct wanted wanted = {(uint32_t)pid, facts ? facts : &own};
    return CHECK_OK(eddy_members(store, see_member, &wanted)) == 1;
}

bool look_alive(eddy_store *store, pid_t pid) {
    eddy_member_facts facts;
    return look_member(store, pid, &facts) && facts.alive;
}

eddy_options look_options(const struct sandbox *box, uint32_t flags) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = flags;
    options.cap = SANDBOX_CAP;
    options.dir = box->dir;
    return options;
}

void look_sweep(const struct sandbox *box) {
    eddy_close(sandbox_open(box, "store", EDDY_MUST_EXIST));
}

eddy_facts look_facts(eddy_store *store) {
    eddy_facts facts = {.size = sizeof facts};
    CHECK_OK(eddy_info(store, &facts));
    return facts;
}

eddy_counts look_counts(eddy_store *store) {
    eddy_counts counts = {.size = sizeof counts};
    CHECK_OK(eddy_stats(store, &counts));
    return counts;
}

uint64_t look_version(eddy_store *store, const char *stream) {
    eddy_stream_facts facts = {.size = sizeof facts};
    int rc = eddy_stream_info(store, eddy_str(stream), &facts);
    CHECK(rc == 0 || rc == EDDY_ENOENT);
    return rc == 0 ? facts.version : 0;
}
