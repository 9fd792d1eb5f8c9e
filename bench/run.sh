#!/usr/bin/env bash
# The standard run: some minutes. Each benchmark's JSON goes to build/bench/, and a table in
# Markdown to the standard output. bench/README.md tells how to read it.
#
#   bench/run.sh                    all of it
#   bench/run.sh --quick            a tenth of the events, and fewer runs: to see that all works
#
# EDDY_BUILD  where the build is (build)
# EDDY_BENCH  the program ($EDDY_BUILD/eddy-bench)
# EDDY_OUT    where the JSON goes ($EDDY_BUILD/bench)
# shellcheck disable=SC2016 # the filters of jq have variables of their own
set -euo pipefail

cd "$(dirname "$0")/.."
build=${EDDY_BUILD:-build}
bench=${EDDY_BENCH:-$build/eddy-bench}
out=${EDDY_OUT:-$build/bench}
events=1M rounds=20k sleeps=5k repeat=5

say() { printf 'bench: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

case "${1:-}" in
--quick) events=100k rounds=2k sleeps=500 repeat=2 ;;
-h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
"") ;;
*) say "'$1' is not understood: there is --quick"; exit 2 ;;
esac
[ -x "$bench" ] || die "there is no program $bench: run 'make', or set EDDY_BENCH"
command -v jq >/dev/null || die "jq is missing: apt-get install jq"
mkdir -p "$out"

# The program ends its own processes when it ends, also when this script is interrupted.
failed=0
run() { # NAME SUBCOMMAND OPTION...
    local name=$1
    shift
    say "$name: eddy-bench $*"
    rm -f "$out/$name.json"
    if "$bench" "$@" --pin --repeat "$repeat" -o json >"$out/$name.json.part"; then
        mv "$out/$name.json.part" "$out/$name.json"
    else
        rm -f "$out/$name.json.part"
        say "$name failed; its row is left out"
        failed=1
    fi
}

run raw raw --events "$events"
run append-1 append --events "$events" --reference
run append-100 append --events "$events" --batch 100 --reference
run append-1-1k append --events "$events" --streams 1k
run append-1-100k append --events "$events" --streams 100k
run append-1-2w append --events "$events" --writers 2 --reference
run append-100-2w append --events "$events" --batch 100 --writers 2 --reference
run append-1-follow append --events "$events" --readers 1
run append-100-follow append --events "$events" --batch 100 --readers 1
run read-all read --events "$events"
run read-64 read --events "$events" --batch 64 --select all
run read-borrow read --events "$events" --borrow --select all
run read-2r read --events "$events" --readers 2 --select all
run pingpong pingpong --events "$rounds"
run pingpong-sleep pingpong --events "$sleeps" --gap 300
run pingpong-epoll pingpong --events "$sleeps" --gap 300 --epoll

# Writes cells, rounded to what the spread of the runs allows to be said.
library='
def cell: if . == null then "-" elif . >= 100 then (round | tostring)
          else ((. * 10 | round) / 10 | tostring) end;
def ratio: if . == null then "-" else ((. * 100 | round) / 100 | tostring) end;
def where: .distance // "";
def row: "| " + (map(tostring) | join(" | ")) + " |";
'
table() { # NAME FILTER
    [ ! -e "$out/$1.json" ] || jq -r "$library $2" "$out/$1.json"
}

header=
for file in "$out"/*.json; do
    [ ! -e "$file" ] || header=$file
done
[ -n "$header" ] || die "nothing could be measured"
jq -r '.machine | "\(.cpu), \(.cores) cores, \(.kernel), cc \(.compiler); eddy \(.eddy), \(.commit)"' \
    "$header"

printf '\n| what the machine gives | ns |\n|---|---|\n'
table raw '.raw | . as $r |
  ["clock_gettime(CLOCK_REALTIME)", (.clock_realtime_ns | cell)],
  ["fetch-add, alone", (.fetchadd_ns | cell)],
  ["copy of the payload", (.copy_ns | cell)],
  ["page of 4 KiB: reserve", (.page_4k.reserve_ns | cell)],
  ["page of 4 KiB: first touch when reserved", (.page_4k.touch_reserved_ns | cell)],
  ["line handed over, spinning, \($r | where)", (.handover_line_ns | cell)],
  ["payload handed over, spinning, \($r | where)", (.handover_payload_ns | cell)],
  ["futex wake, nobody there", (.futex_wake_nobody_ns | cell)],
  ["futex wake to the sleeper awake", (.futex_wake_sleeper_ns | cell)],
  ["R, the bare log, an event", (.log_ns_per_event | cell)],
  ["T, the plain trial, an event", (.trial_ns_per_event | cell)],
  ["T in batches of 100, an event", (.trial_batch_ns_per_event | cell)] | row'

printf '\n| append | growing, ns/event | warm, ns/event | warm/R | warm/T | p50 | p99 | p99.9 | max | follower, ns/event | cores |\n'
printf '|---|---|---|---|---|---|---|---|---|---|---|\n'
for name in append-1 append-100 append-1-1k append-1-100k append-1-2w append-100-2w \
    append-1-follow append-100-follow; do
    table "$name" '(.latency // .latency_per_batch) as $l | .options as $o |
      ["writers \($o.writers), batch \($o.batch), streams \($o.streams), followers \($o.readers)",
       (.growing.ns_per_event | cell), (.warm.ns_per_event | cell),
       (.reference.warm_to_log | ratio), (.reference.warm_to_trial | ratio),
       ($l.p50_ns | cell), ($l.p99_ns | cell), ($l.p99_9_ns | cell), ($l.max_ns | cell),
       (.warm.followed_ns_per_event | cell), (.warm | where)] | row'
done

printf '\n| read | first pass, ns/event | warm, ns/event | p50 | p99 | p99.9 | max | cores |\n'
printf '|---|---|---|---|---|---|---|---|\n'
for name in read-all read-64 read-borrow read-2r; do
    table "$name" '.options as $o | to_entries[] | select(.value | type == "object" and has("warm")) |
      ["\(.key), readers \($o.readers)\(if $o.borrow then ", borrowed" else "" end)",
       (.value.first.ns_per_event | cell), (.value.warm.ns_per_event | cell),
       (.value.latency.p50_ns | cell), (.value.latency.p99_ns | cell),
       (.value.latency.p99_9_ns | cell), (.value.latency.max_ns | cell),
       (.value | where)] | row'
done

printf '\n| one way | p50, ns | p99, ns | to the raw hand-over | to the raw futex wake | sleeps/event | cores |\n'
printf '|---|---|---|---|---|---|---|\n'
for name in pingpong pingpong-sleep pingpong-epoll; do
    table "$name" '.options as $o |
      ["gap \($o.gap_us) us\(if $o.epoll then ", epoll" else "" end)",
       (.one_way.p50_ns | cell), (.one_way.p99_ns | cell), (.reference.p50_to_handover | ratio),
       (.reference.p50_to_futex | ratio), (.one_way.sleeps_per_event | ratio),
       (.one_way | where)] | row'
done
printf '\nThe JSON of each is in %s.\n' "$out"
exit "$failed"
