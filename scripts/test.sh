#!/usr/bin/env bash
# All checks, cheapest first: types, lint, format, structure, then unit tests beside integration tests on
# separate engines (src/stack/test-env.ts), four files at a time, which are started for them and always stopped
# at the end. Continues after a failure and tells at the end what failed and why. The last line is `N passed, N failed`, the sum over
# everything; each check counts as one test.
#   scripts/test.sh            everything
#   scripts/test.sh --quick    without engines, about a minute
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root" || exit 1
quick=${1:-}
passed=0
failed=0
failures=()
reasons="" # what was printed of each test that failed
started=$SECONDS

"$root/scripts/install.sh" "$([ -n "$quick" ] && echo --tools || echo --tests)" || exit 1

note() { printf '\n== %s (%s s)\n' "$1" "$((SECONDS - started))"; }

# check LABEL COMMAND…: one test.
check() {
  local label=$1
  shift
  note "$label"
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    failures+=("$label")
  fi
}

# tests LABEL ARGUMENT…: a run of bun test.
tests() {
  local label=$1 log
  shift
  note "$label"
  log=$(mktemp)
  bun test "$@" 2>&1 </dev/null | tee "$log"
  count "$label" "$log" "${PIPESTATUS[0]}"
}

# reason LOG: the last lines before each test that failed, or before the end of a run that died.
reason() {
  awk '
    function tell(  at) { for (at = n > 40 ? n - 40 : 0; at < n; at++) print lines[at]; failed = 1 }
    { lines[n++] = $0 }
    /^\(fail\)/ { tell() }
    /^\((pass|fail|skip)\)/ { n = 0 }
    END { if (!failed) tell() }' "$1"
}

# count LABEL LOG STATUS: adds what a run of bun test printed, which ends with lines ` N pass` and ` N fail`. A
# run that dies without them counts as a failure. Removes the log.
count() {
  local label=$1 log=$2 status=$3 pass fail
  pass=$(sed -n 's/^ *\([0-9]*\) pass$/\1/p' "$log" | tail -n 1)
  fail=$(sed -n 's/^ *\([0-9]*\) fail$/\1/p' "$log" | tail -n 1)
  [ "$status" = 0 ] || reasons+=$(printf '\n== %s\n' "$label" && reason "$log")$'\n'
  rm -f "$log"
  passed=$((passed + ${pass:-0}))
  failed=$((failed + ${fail:-0}))
  [ "$status" = 0 ] && return
  failures+=("$label")
  [ "${fail:-0}" -gt 0 ] || failed=$((failed + 1))
}

format_check() { bun run biome format --reporter=summary; }
shell_check() {
  local file
  for file in sluice .ci/run scripts/*.sh; do bash -n "$file" || return 1; done
}

check "types" bun run tsc --noEmit
check "lint" bun run oxlint --type-aware --deny-warnings
check "exports that nobody uses" bun run knip --no-progress
check "format" format_check
check "shell scripts" shell_check
[ -e test/tidy.test.ts ] && tests "structure" --timeout 120000 ./test/tidy.test.ts
# Integration tests: all of test/ and bench/, and unit tests that need a database.
mapfile -t with_engines < <({
  find test bench -name '*.test.ts' ! -name tidy.test.ts
  grep -rlE 'createTestDatabase|testEnv\(\)' --include='*.test.ts' src
} 2>/dev/null | sort)
mapfile -t without < <(find src clients -name '*.test.ts' -not -path '*/node_modules/*' | sort | grep -vxF -f <(printf '%s\n' "${with_engines[@]}"))
[ -z "$quick" ] || tests "unit tests" "${without[@]/#/./}"

# The files that need engines are shared by four lanes, as tests wait more than they work: each takes the next
# file when it has finished one, and has engines of its own. Two lanes begin with what only one lane at a time
# may run: what takes all of a core, and whole gateways with their own engines, two of which at once would start
# too slowly. One run per file: each starts clean, and a crash ends only its own file.
busy=(test/faults/faults.test.ts test/simulation/simulation.test.ts)
gateways=(bench/recovery.test.ts test/integrity/{edge,lost-disk,recovery,unread-partitions,whole-path}.test.ts)

# run LABEL FILE…: runs them, prints what they printed when they are over, and leaves log and status in $logs.
# In a session of its own: where the kernel shares the CPUs between sessions (sched_autogroup), all lanes would
# otherwise have one share together, and what a test waits for would stand still beside a busy test for seconds.
run() {
  local label=$1 log=$logs/${1//\//-} from=$((SECONDS - started)) session
  shift
  setsid bun test --timeout 120000 "${@/#/./}" >"$log" 2>&1 </dev/null &
  session=$!
  echo "$session" >>"$logs/sessions"
  wait "$session"
  echo "$?" >"$log.status"
  (
    flock 7
    printf '\n== %s (from %s s to %s s)\n' "$label" "$from" "$((SECONDS - started))"
    cat "$log"
  ) 7>"$logs/printing"
}

# next: the next file that no lane has taken; fails when there is none.
next() {
  (
    flock 7
    read -r n <"$logs/taken" && [ "$n" -lt "${#shared[@]}" ] || exit 1
    echo $((n + 1)) >"$logs/taken"
    echo "${shared[n]}"
  ) 7>"$logs/taking"
}

# lane NUMBER PORTS FILE…: first these files, then shared ones, on engines of its own, whose ports are moved by
# PORTS. Ends its engines however it ends.
lane() {
  local number=$1 ports=$2 file
  shift 2
  trap 'exit 1' TERM INT
  for file in "$@"; do run "$file" "$file"; done
  export SLUICE_TEST_PORTS=$((${SLUICE_TEST_PORTS:-10000} + ports)) SLUICE_TEST_STATE=.sluice-test-$number
  eval "$(bun scripts/test-settings.ts)"
  trap './sluice down; exit 1' TERM INT
  ./sluice down >/dev/null && rm -rf "$SLUICE_STATE"
  if ! ./sluice up --engines-only >"$logs/engines-$number" 2>&1; then
    cat "$logs/engines-$number"
    ./sluice down
    return 1
  fi
  while file=$(next); do run "$file" "$file"; done
  ./sluice down >/dev/null
}

# interrupted: ends the lanes with their engines, the tests, and what the tests started in sessions of its own:
# a gateway's launcher then stops its gateway.
interrupted() {
  local sessions
  kill "${lanes[@]}" 2>/dev/null
  sessions=$(paste -sd, "$logs/sessions")
  pkill -P "$(pgrep -d, -s "$sessions")"
  pkill -s "$sessions"
  wait
}

if [ -z "$quick" ]; then
  # Two runs at once would use the same ports. Processes started below must not keep the lock after this script.
  exec 8>"$cache/test.lock"
  flock -n 8 || { echo "waiting for another run of the tests to end" && flock 8; }
  logs=$(mktemp -d)
  echo 0 >"$logs/taken"
  # The longest are among the first, so that no lane is left alone with one at the end.
  mapfile -t shared < <({ echo test/clients/examples.test.ts; printf '%s\n' "${with_engines[@]}" | sort -r; } | awk '!seen[$0]++' | grep -vxF -f <(printf '%s\n' "${busy[@]}" "${gateways[@]}"))
  # Unit tests need one core for a minute, in which the lanes mostly wait for engines to start.
  run "unit tests" "${without[@]}" 8>&- &
  lanes=("$!")
  lane 1 0 8>&- &
  lanes+=("$!")
  lane 2 350 "${busy[@]}" 8>&- &
  lanes+=("$!")
  lane 3 -450 "${gateways[@]}" 8>&- &
  lanes+=("$!")
  lane 4 -1000 8>&- &
  lanes+=("$!")
  trap interrupted EXIT
  for lane in "${lanes[@]}"; do
    wait "$lane" || { failed=$((failed + 1)) && failures+=("engines of the tests"); }
  done
  trap - EXIT
  for file in "unit tests" "${busy[@]}" "${gateways[@]}" "${shared[@]}"; do
    log=$logs/${file//\//-}
    count "$file" "$log" "$(cat "$log.status" 2>/dev/null || echo 1)"
  done
  rm -rf "$logs"
fi

printf '%s\n' "$reasons"
for label in "${failures[@]}"; do printf 'FAILED: %s\n' "$label"; done
printf '%s s\n%s passed, %s failed\n' "$((SECONDS - started))" "$passed" "$failed"
[ "$failed" = 0 ]
