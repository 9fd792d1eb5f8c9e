#include "options.h"

#include "help.h"
#include "measure.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum rule_kind { RULE_NUMBER, RULE_FLAG, RULE_TEXT, RULE_PIN, RULE_OUTPUT, RULE_HELP };

struct rule {
    const char *name;
    enum rule_kind kind;
    unsigned commands;
    size_t where; /* offset of the field in struct bench_options */
    uint64_t min;
    uint64_t max;
};

#define ON_STORE (BENCH_APPEND | BENCH_READ | BENCH_PINGPONG)
#define ON_ALL (ON_STORE | BENCH_RAW)
#define FIELD(name) offsetof(struct bench_options, name)

static const struct rule rules[] = {
    {"store", RULE_TEXT, ON_STORE, FIELD(store), 0, 0},
    {"select", RULE_TEXT, BENCH_READ, FIELD(select), 0, 0},
    {"writers", RULE_NUMBER, BENCH_APPEND | BENCH_RAW, FIELD(writers), 1, 32},
    {"readers", RULE_NUMBER, BENCH_APPEND | BENCH_READ, FIELD(readers), 0, 32},
    {"payload", RULE_NUMBER, ON_ALL, FIELD(payload), 8, 1u << 20},
    {"batch", RULE_NUMBER, BENCH_APPEND | BENCH_RAW | BENCH_READ, FIELD(batch), 1, 65536},
    {"streams", RULE_NUMBER, BENCH_APPEND | BENCH_READ, FIELD(streams), 1, 10000000},
    {"events", RULE_NUMBER, ON_ALL, FIELD(events), 100, UINT64_C(10000000000)},
    {"repeat", RULE_NUMBER, ON_ALL, FIELD(repeat), 1, OPTIONS_REPEAT_MAX},
    {"timeout", RULE_NUMBER, ON_ALL, FIELD(timeout_s), 1, 86400},
    {"gap", RULE_NUMBER, BENCH_PINGPONG, FIELD(gap_us), 0, 1000000},
    {"pin", RULE_PIN, ON_ALL, FIELD(pin), 0, 0},
    {"borrow", RULE_FLAG, BENCH_READ, FIELD(borrow), 0, 0},
    {"epoll", RULE_FLAG, BENCH_PINGPONG, FIELD(epoll), 0, 0},
    {"reference", RULE_FLAG, BENCH_APPEND, FIELD(reference), 0, 0},
    {"output", RULE_OUTPUT, ON_ALL, FIELD(json), 0, 0},
    {"help", RULE_HELP, ON_ALL, 0, 0, 0},
};

#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))
#define RULE_BASE 256

static void *field_of(struct bench_options *options, const struct rule *rule) {
    return (char *)options + rule->where;
}

static int parse_number(const struct rule *rule, const char *text, uint64_t *out) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    uint64_t scale = 1;
    if (*end == 'k' || *end == 'M' || *end == 'G') {
        scale = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : 1000000000;
        end++;
    }
    bool sound = errno == 0 && end != text && *end == 0 && *text >= '0' && *text <= '9';
    if (!sound || value > UINT64_MAX / scale || value * scale < rule->min ||
        value * scale > rule->max) {
        return bench_error(
            "--%s %s: not a number from %llu to %llu (10k, 1M and 1G are understood)", rule->name,
            text, (unsigned long long)rule->min, (unsigned long long)rule->max);
    }
    *out = value * scale;
    return 0;
}

/* The CPUs that this process may run on: what --pin uses when it is given no list. */
static void find_cpus(struct bench_options *options) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return;
    }
    for (size_t cpu = 0; cpu < CPU_SETSIZE && options->cpu_count < OPTIONS_CPUS_MAX; cpu++) {
        if (CPU_ISSET(cpu, &set)) {
            options->cpus[options->cpu_count++] = (int)cpu;
        }
    }
}

static bool cpu_is_allowed(long cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    return cpu >= 0 && cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof(set), &set) == 0 &&
           CPU_ISSET((size_t)cpu, &set);
}

static int parse_pin(struct bench_options *options, const char *list) {
    options->pin = true;
    if (!list) {
        return 0;
    }
    options->cpu_count = 0;
    const char *at = list;
    do {
        char *end = NULL;
        long cpu = strtol(at, &end, 10);
        if (end == at || (*end != ',' && *end != 0) || !cpu_is_allowed(cpu)) {
            return bench_error(
                "--pin=%s: '%s' does not begin with a CPU that this process may use; "
                "give numbers with commas between them, such as --pin=0,1",
                list, at);
        }
        if (options->cpu_count == OPTIONS_CPUS_MAX) {
            return bench_error("--pin=%s: more than %d CPUs", list, OPTIONS_CPUS_MAX);
        }
        options->cpus[options->cpu_count++] = (int)cpu;
        at = *end == ',' ? end + 1 : end;
    } while (*at);
    return 0;
}

static int parse_output(struct bench_options *options, const char *text) {
    if (strcmp(text, "json") != 0 && strcmp(text, "text") != 0) {
        return bench_error("-o %s: there are 'text' and 'json'", text);
    }
    options->json = strcmp(text, "json") == 0;
    return 0;
}

static int apply_rule(struct bench_options *options, const struct rule *rule, const char *text) {
    if (!(rule->commands & (unsigned)options->command)) {
        return bench_error("--%s is no option of '%s'; see eddy-bench %s --help", rule->name,
                           options->command_name, options->command_name);
    }
    switch (rule->kind) {
    case RULE_NUMBER:
        return parse_number(rule, text, field_of(options, rule));
    case RULE_FLAG:
        *(bool *)field_of(options, rule) = true;
        return 0;
    case RULE_TEXT:
        *(const char **)field_of(options, rule) = text;
        return 0;
    case RULE_PIN:
        return parse_pin(options, text);
    case RULE_OUTPUT:
        return parse_output(options, text);
    case RULE_HELP:
        help_print((unsigned)options->command);
        return 1;
    }
    return 0;
}

static int parse_command(struct bench_options *options, int argc, char **argv) {
    static const struct {
        const char *name;
        enum bench_command command;
    } commands[] = {{"append", BENCH_APPEND},
                    {"read", BENCH_READ},
                    {"pingpong", BENCH_PINGPONG},
                    {"raw", BENCH_RAW}};
    if (argc < 2) {
        help_print(0);
        return bench_error("no subcommand: there are append, read, pingpong and raw");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        help_print(0);
        return 1;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            options->command = commands[i].command;
            options->command_name = commands[i].name;
            return 0;
        }
    }
    return bench_error("'%s' is no subcommand: there are append, read, pingpong and raw", argv[1]);
}

static void set_defaults(struct bench_options *options) {
    options->writers = 1;
    options->readers = options->command == BENCH_READ ? 1 : 0;
    options->payload = 100;
    options->batch = options->command == BENCH_RAW ? 100 : 1;
    options->streams = options->command == BENCH_READ ? 1000 : 1;
    options->events = options->command == BENCH_PINGPONG ? 20000 : 1000000;
    options->repeat = 5;
    options->timeout_s = 120;
}

/* What only shows when all options are known. */
static int check_together(const struct bench_options *options, int argc) {
    if (options->command != BENCH_RAW && optind < argc) {
        return bench_error("'%s' is too much: %s takes options only", options->items[0],
                           options->command_name);
    }
    if (options->command == BENCH_READ && options->readers == 0) {
        return bench_error("--readers 0: read needs at least one reader");
    }
    if (options->events / options->writers < options->batch) {
        return bench_error("--events %llu: less than a batch of %llu for each of %llu writers",
                           (unsigned long long)options->events, (unsigned long long)options->batch,
                           (unsigned long long)options->writers);
    }
    if (options->payload * options->batch > (UINT64_C(1) << 28)) {
        return bench_error("--payload %llu --batch %llu: more than 256 MiB in a transaction",
                           (unsigned long long)options->payload,
                           (unsigned long long)options->batch);
    }
    return 0;
}

int options_parse(struct bench_options *options, int argc, char **argv) {
    memset(options, 0, sizeof(*options));
    int rc = parse_command(options, argc, argv);
    if (rc != 0) {
        return rc == 1 ? 0 : -1;
    }
    set_defaults(options);
    find_cpus(options);

    struct option table[RULE_COUNT + 1];
    memset(table, 0, sizeof(table));
    for (size_t i = 0; i < RULE_COUNT; i++) {
        bool bare = rules[i].kind == RULE_FLAG || rules[i].kind == RULE_HELP;
        table[i].name = rules[i].name;
        table[i].has_arg = bare                        ? no_argument
                           : rules[i].kind == RULE_PIN ? optional_argument
                                                       : required_argument;
        table[i].val = RULE_BASE + (int)i;
    }
    int c = 0;
    optind = 2;
    while ((c = getopt_long(argc, argv, "o:h", table, NULL)) != -1) {
        if (c == '?') {
            return -1; /* getopt has said what is wrong */
        }
        rc = c == 'o'   ? parse_output(options, optarg)
             : c == 'h' ? (help_print((unsigned)options->command), 1)
                        : apply_rule(options, &rules[c - RULE_BASE], optarg);
        if (rc != 0) {
            return rc == 1 ? 0 : -1;
        }
    }
    options->items = argv + optind;
    options->item_count = argc - optind;
    return check_together(options, argc) == 0 ? 1 : -1;
}
