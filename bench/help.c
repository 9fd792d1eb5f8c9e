#include "help.h"

#include "options.h"

#include <stdio.h>

static const char general[] =
    "eddy-bench: measures eddy on this machine, with real processes\n"
    "\n"
    "  eddy-bench append --writers 2 --batch 100 --pin --reference\n"
    "  eddy-bench read --readers 2 --streams 1000 --borrow\n"
    "  eddy-bench pingpong --pin\n"
    "  eddy-bench raw\n"
    "  eddy-bench append -o json > append.json\n"
    "\n"
    "  append     writers append to a store, and readers follow them\n"
    "  read       readers read a store: all, one stream, single events at random\n"
    "  pingpong   two processes answer each other: the latency one way\n"
    "  raw        what this machine gives: clock, copy, pages, hand-over, reference programs\n"
    "\n"
    "eddy-bench SUBCOMMAND --help tells the options. How each figure is measured, and what is\n"
    "unfair about it, is told in bench/README.md.\n";

static const char common[] =
    "  --repeat N       runs of each kind; medians are printed       [5]\n"
    "  --pin[=LIST]     pin the processes to CPUs, in turn, as in --pin=0,1\n"
    "  --timeout S      seconds that one run may take; then it is ended, an error [120]\n"
    "  -o text|json     what to print                                [text]\n"
    "  --help           this\n"
    "Numbers may end in k, M or G. Exit code: 0, 1 (it failed, and says why), 2 (wrong usage).\n";

static const char append_help[] =
    "eddy-bench append: writers append to a store, readers follow them\n"
    "\n"
    "  eddy-bench append                                one writer, one event a call\n"
    "  eddy-bench append --batch 100 --reference        ratios to the reference programs\n"
    "  eddy-bench append --writers 2 --readers 1 --pin  what a follower gets, too\n"
    "\n"
    "Phases: 'growing' appends to a new store, whose memory is taken from the kernel on the way;\n"
    "'warm' to a new store whose memory was touched before (not with --store); 'latency' times\n"
    "each call, in passes of their own.\n"
    "\n"
    "  --writers N      processes that append                        [1]\n"
    "  --readers N      processes that follow everything meanwhile   [0]\n"
    "  --events N       events of a run, over all writers            [1M]\n"
    "  --payload BYTES  data of an event, at least 8                 [100]\n"
    "  --batch N        events of a call, all to one stream          [1]\n"
    "  --streams N      streams, each call to one at random          [1]\n"
    "  --reference      the reference programs in the same run, and the ratios to them\n"
    "  --store NAME     append to this store, made if missing, and KEEP IT with the events of all\n"
    "                   runs; else each run has an anonymous one of its own\n";

static const char read_help[] =
    "eddy-bench read: readers read a store\n"
    "\n"
    "  eddy-bench read\n"
    "  eddy-bench read --select stream --streams 1000 --events 10M\n"
    "  eddy-bench read --borrow --readers 2 --pin\n"
    "  eddy-bench read --store NAME                     a store that is there already\n"
    "\n"
    "Each reader makes a first pass, in which its pages are mapped ('first'), the passes that\n"
    "count ('warm'), and one more that times each call ('latency').\n"
    "\n"
    "  --select WHAT    all, stream, offset or version               [each of them]\n"
    "                   all: in order; stream: one stream after the other; offset, version: "
    "single\n"
    "                   events at random, by offset or by (stream, version)\n"
    "  --borrow         read in place instead of copying (all and stream)\n"
    "  --batch N        events of a call, by eddy_reader_fetch (all and stream)  [1]\n"
    "  --readers N      processes that read                          [1]\n"
    "  --events N       events in the store, and single reads a pass [1M]\n"
    "  --streams N      streams the events are spread over, evenly   [1k]\n"
    "  --payload BYTES  data of an event, at least 8                 [100]\n"
    "  --store NAME     read this store, which must exist and is not changed\n";

static const char pingpong_help[] =
    "eddy-bench pingpong: two processes answer each other\n"
    "\n"
    "  eddy-bench pingpong --pin             eddy_reader_wait(), which spins and then sleeps\n"
    "  eddy-bench pingpong --pin --gap 300   so late that the other one sleeps: the way blocking\n"
    "  eddy-bench pingpong --pin --epoll     through the reader's descriptor\n"
    "\n"
    "The time one way: from before the append in one process until the event is in the other's\n"
    "hands. Half of the samples are of each direction.\n"
    "\n"
    "  --events N       round trips of a run                         [20k]\n"
    "  --gap US         microseconds to let pass before each append  [0]\n"
    "  --epoll          wait in epoll_wait() on eddy_reader_fd()\n"
    "  --payload BYTES  data of an event, at least 8                 [100]\n"
    "  --store NAME     use this store, made if missing, and KEEP IT with the events of all runs\n";

static const char raw_help[] =
    "eddy-bench raw: what this machine gives\n"
    "\n"
    "  eddy-bench raw                        all of it\n"
    "  eddy-bench raw touch handover         some of it\n"
    "  eddy-bench raw log trial --writers 2\n"
    "\n"
    "  clock      clock_gettime(CLOCK_REALTIME), and the timer of the latency passes\n"
    "  fetchadd   an atomic fetch-add, alone on its line\n"
    "  copy       a copy of --payload bytes into warm memory\n"
    "  touch      pages of tmpfs: reserving, first touch, in runs, by another process\n"
    "  handover   a cache line, and --payload bytes, to a process that spins on another CPU\n"
    "  futex      a wake with nobody there; a sleeper on another CPU\n"
    "  log        R: a bare log: clock, copy, fetch-add for each event\n"
    "  trial      T: the plain trial of eddy's commit path, singly and in batches\n"
    "\n"
    "  --events N       of log and trial                             [1M]\n"
    "  --writers N      of log and trial                             [1]\n"
    "  --batch N        of trial's batches                           [100]\n"
    "  --payload BYTES  of copy, handover, log and trial, at least 8 [100]\n";

void help_print(unsigned command) {
    const char *own = command == BENCH_APPEND     ? append_help
                      : command == BENCH_READ     ? read_help
                      : command == BENCH_PINGPONG ? pingpong_help
                      : command == BENCH_RAW      ? raw_help
                                                  : NULL;
    if (!own) {
        fputs(general, stdout);
        return;
    }
    fputs(own, stdout);
    fputs(common, stdout);
}
