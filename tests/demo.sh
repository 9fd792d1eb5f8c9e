#!/usr/bin/env bash
# eddy at work, on real input: the history of a repository, imported by four processes at once while
# two others follow. Run by `make demo` from the root of the repository. Ends with 0 if the
# followers saw exactly what is stored. The program may be named by EDDY, the input by INPUT.
set -u

eddy=${EDDY:-${EDDY_BUILD:-build}/eddy}
input=${INPUT:-tests/data/redis-history.jsonl.gz}
store=eddy-demo-$$
writers=4
followers=2
patience=50 # seconds that a follower waits at most
export EDDY_STORE=$store
unset EDDY_DIR

for need in "$eddy" "$input"; do
    if [ ! -r "$need" ]; then
        echo "demo: there is no $need (run it from the root of the repository, after make)" >&2
        exit 1
    fi
done
for need in jq zcat cmp; do
    if ! command -v "$need" >/dev/null; then
        echo "demo: the program $need is missing (make deps installs it)" >&2
        exit 1
    fi
done
work=$(mktemp -d) || exit 1

# Only what this script started is ended, and its own store removed.
clean_up() {
    local started
    started=$(jobs -p)
    if [ -n "$started" ]; then
        # shellcheck disable=SC2086 # a list of numbers
        kill $started 2>/dev/null
        wait 2>/dev/null
    fi
    "$eddy" rm --force "$store" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

failures=0
fail() {
    echo "   FAILED: $*"
    failures=$((failures + 1))
}
title() {
    printf '\n== %s\n' "$*"
}
events_now() {
    "$eddy" info -o json | jq .events
}

title "A store of its own"
"$eddy" create "$store" || exit 1
"$eddy" ls | grep -e "$store"

zcat "$input" >"$work/input.jsonl" || exit 1
events=$(wc -l <"$work/input.jsonl")
transactions=$(jq -c .tx "$work/input.jsonl" | uniq | wc -l)
streams=$(jq -c .stream "$work/input.jsonl" | sort -u | wc -l)
echo "   the input: $events events in $transactions transactions on $streams streams"

title "$followers followers start, each a process, and wait for what is to come"
for i in $(seq "$followers"); do
    "$eddy" tail -f --after-offset 0 -c "$events" --timeout "$patience" -o jsonl \
        >"$work/follower.$i" 2>"$work/follower.$i.err" &
    follower[i]=$!
done

title "$writers processes import at once, each a quarter of the transactions"
for i in $(seq 0 $((writers - 1))); do
    "$eddy" import --part "$i/$writers" "$input" >"$work/import.$i" 2>&1 &
    writer[i]=$!
done

# Progress, until the last writer has ended; and, once, who is there.
still_writing() {
    jobs -rp | grep -q -F -x -f <(printf '%s\n' "${writer[@]}")
}
shown=-1
while still_writing; do
    now=$(events_now)
    if [ "$now" != "$shown" ]; then
        printf '   %6d of %d events are in the store\n' "$now" "$events"
        shown=$now
    fi
    if [ "$now" -gt 0 ] && [ ! -s "$work/who" ]; then
        "$eddy" who >"$work/who"
    fi
    sleep 0.02
done
broken=0
for i in "${!writer[@]}"; do
    wait "${writer[$i]}" || {
        fail "the import of part $i ended with $?"
        broken=1
    }
    printf '   part %d of %d: %s\n' "$((i + 1))" "$writers" "$(cat "$work/import.$i")"
done
printf '   %6d of %d events are in the store\n' "$(events_now)" "$events"

title "Who had it open meanwhile"
if [ -s "$work/who" ]; then
    cat "$work/who"
else
    "$eddy" who
fi
if [ "$broken" = 1 ]; then # then the followers wait for events that will not come
    kill -INT "${follower[@]}"
fi
for i in "${!follower[@]}"; do
    wait "${follower[$i]}" || fail "follower $i ended with $?: $(cat "$work/follower.$i.err")"
done

title "The store"
"$eddy" info | grep -E '^(events|streams|transactions|bytes|reserved|free|cap)'

title "The first streams in byte order, and the busiest of all"
"$eddy" streams -n 3
echo "   ..."
"$eddy" streams -o jsonl >"$work/streams" || fail "eddy streams ended with $?"
jq -r '[.count, .stream] | @tsv' "$work/streams" | sort -rn | head -5 |
    awk -F '\t' '{ printf "   %5d events  %s\n", $1, $2 }'

title "The first and the last events of the busiest stream"
busiest=$(jq -r '[.count, .stream] | @tsv' "$work/streams" | sort -rn | head -1 | cut -f 2)
"$eddy" read "$busiest" --exact --utc -n 2
echo "   ..."
"$eddy" tail "$busiest" --exact --utc -n 2

title "Statistics"
"$eddy" stats

title "Is anything wrong?"
"$eddy" check || fail "eddy check ended with $?"

title "What was seen, what is stored, what was put in"
"$eddy" read -o jsonl >"$work/stored" || fail "eddy read ended with $?"
for i in "${!follower[@]}"; do
    seen=$(wc -l <"$work/follower.$i")
    if cmp -s "$work/follower.$i" "$work/stored"; then
        echo "   follower $i saw $seen events: exactly those that are stored, in their order"
    else
        fail "follower $i saw $seen events, which are not the $(wc -l <"$work/stored") stored"
    fi
done

# Offsets without a gap; versions of each stream without a gap; transactions whole and together.
odd=$(jq -n 'reduce inputs as $e ({n: 0, odd: 0, v: {}, tx: 0, left: 0};
    .n += 1
    | if $e.offset != .n or $e.version != (.v[$e.stream] // 0) + 1 then .odd += 1 else . end
    | if .left == 0 then .tx = $e.tx | .left = $e.tx_count else . end
    | if $e.tx != .tx then .odd += 1 else . end
    | .left -= 1 | .v[$e.stream] = $e.version) | .odd + .left' "$work/stored")
if [ "$odd" = 0 ]; then
    echo "   offsets and versions have no gap, and every transaction lies together"
else
    fail "$odd events have an offset, a version or a transaction that is not as it should be"
fi

# The input, in the order of commit: ids are unique in it.
shape='[.stream, .type, .id, .time, .data]'
jq -c "$shape" "$work/input.jsonl" | sort >"$work/input.sorted"
jq -c "$shape" "$work/stored" | sort >"$work/stored.sorted"
if cmp -s "$work/input.sorted" "$work/stored.sorted"; then
    echo "   the $events events of the input are stored, each once, with all that they say"
else
    fail "$(comm -3 "$work/input.sorted" "$work/stored.sorted" | wc -l) lines differ from the input"
fi
stored_transactions=$(jq .tx "$work/stored" | uniq | wc -l)
stored_streams=$(wc -l <"$work/streams")
if [ "$stored_transactions $stored_streams" = "$transactions $streams" ]; then
    echo "   $stored_transactions transactions, $stored_streams streams: as in the input"
else
    fail "$stored_transactions transactions on $stored_streams streams are stored"
fi

title "Retention: the newest thousand events stay, while a follower looks on"
"$eddy" tail -f -n 1 -o jsonl --timeout "$patience" -c 2 >"$work/looker" 2>"$work/looker.err" &
looker=$!
for _ in $(seq 500); do # until it has seen the last event
    [ -s "$work/looker" ] && break
    sleep 0.01
done
"$eddy" limits --events 1000 --dry-run
"$eddy" limits --events 1000 || fail "eddy limits ended with $?"
"$eddy" info | grep -E '^(first|events|streams|limit)'
"$eddy" append demo/last '{"n":1}' || fail "eddy append ended with $?"
wait "$looker" || fail "the follower ended with $?: $(cat "$work/looker.err")"
now=$("$eddy" info -o json | jq -c '[.events, .first, .head]')
if [ "$now" = "[1000,$((events - 998)),$((events + 1))]" ]; then
    echo "   1000 events are there: $((events - 998)) to $((events + 1))"
else
    fail "[events,first,head] are $now"
fi

title "A checkpoint holds: limits drop nothing behind it until it has come further"
"$eddy" checkpoint projection "$((events - 990))" --hold
"$eddy" limits --events 500 || fail "eddy limits ended with $?"
"$eddy" info | grep -E '^(first|events|limit|waits_for)'
"$eddy" append demo/last '{"n":2}' && fail "an append went beyond what is held"
"$eddy" checkpoint projection head --hold
"$eddy" append demo/last '{"n":2}' || fail "eddy append ended with $?"
now=$("$eddy" info -o json | jq -c '[.events, .head, .waits_for.offset]')
if [ "$now" = "[500,$((events + 2)),$((events + 1))]" ]; then
    echo "   it waited, and went on: 500 events are there"
else
    fail "[events,head,waits_for] are $now"
fi

title "Removing: a stream, then all of them; its name and version are known until it is forgotten"
"$eddy" delete demo/last
"$eddy" append demo/last '{"n":3}'
"$eddy" forget '*' --yes
"$eddy" append demo/last '{"n":4}'
"$eddy" trim | grep -E '^(events|extents|nodes|trimmed)'
"$eddy" ls | grep -e "$store"
"$eddy" check || fail "eddy check ended with $?"
left=$("$eddy" streams -o jsonl | jq -c '[.stream, .version, .count]')
[ "$left" = '["demo/last",1,1]' ] || fail "what is left is $left"

echo
if [ "$failures" -gt 0 ]; then
    echo "demo: $failures things are not as they should be"
    exit 1
fi
echo "demo: all is as it should be ($SECONDS s)"
