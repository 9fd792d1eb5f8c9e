/* eddy who: the processes that have a store open. */
#include "commands.h"
#include "look.h"
#include "tool.h"

#include <pwd.h>

/* The name of a user, or its number if it has none here. text has room for 64. */
static const char *user_name(uint32_t uid, char *text) {
    const struct passwd *user = getpwuid(uid);
    out_format(text, 64, user ? "%s" : "", user ? user->pw_name : "");
    if (!*text) {
        out_format(text, 64, "%u", uid);
    }
    return text;
}

static int member_json(struct look *look, const eddy_member_facts *facts) {
    struct out *out = &look->out;
    char user[64];
    out_printf(out, "{\"slot\":%u,\"generation\":%u,\"pid\":%u,\"pidns\":%llu,\"uid\":%u,",
               facts->slot, facts->generation, facts->pid, (unsigned long long)facts->pidns,
               facts->uid);
    out_json_name(out, "user", eddy_str(user_name(facts->uid, user)));
    out_char(out, ',');
    out_json_name(out, "command", eddy_str(facts->command));
    out_printf(out, ",\"alive\":%s,\"fences\":%s,\"since\":\"", facts->alive ? "true" : "false",
               facts->fences ? "true" : "false");
    look_time(look, facts->since_ns);
    out_printf(out,
               "\",\"threads\":%u,\"inside\":%u,\"readers\":%u,\"position\":%llu,\"pinned\":%llu,"
               "\"owned\":%llu}\n",
               facts->threads, facts->inside, facts->readers, (unsigned long long)facts->position,
               (unsigned long long)facts->pinned, (unsigned long long)facts->owned);
    return out->failed;
}

static int member_one(void *arg, const eddy_member_facts *facts) {
    struct look *look = arg;
    struct out *out = &look->out;
    if (facts->self) {
        return 0;
    }
    if (look->json) {
        return member_json(look, facts);
    }
    if (look->found++ == 0) {
        out_printf(out, "%7s  %10s  %-5s  %-8s  %7s  %6s  %7s  %9s  %9s  %9s  %-29s  %s\n", "pid",
                   "pidns", "state", "user", "threads", "inside", "readers", "position", "pinned",
                   "owned", "since", "command");
    }
    char pinned[32];
    char owned[32];
    char user[64];
    out_printf(out, "%7u  %10llu  %-5s  %-8s  %7u  %6u  %7u  %9llu  %9s  %9s  ", facts->pid,
               (unsigned long long)facts->pidns, facts->alive ? "alive" : "dead",
               user_name(facts->uid, user), facts->threads, facts->inside, facts->readers,
               (unsigned long long)facts->position, tool_size(facts->pinned, pinned),
               tool_size(facts->owned, owned));
    look_time(look, facts->since_ns);
    OUT_LITERAL(out, "  ");
    out_text(out, eddy_str(facts->command));
    out_char(out, '\n');
    return out->failed;
}

int run_who(const struct args *args) {
    struct look look;
    unsigned tries = 0;
    int code = look_open(&look, args, look_store_argument(args));
    if (code != EXIT_OK) {
        return code;
    }
    int rc;
    do {
        rc = eddy_members(look.store, member_one, &look);
    } while (tool_again(rc, &tries));
    return look_close(&look, rc < 0 ? tool_fail(rc) : EXIT_OK);
}
