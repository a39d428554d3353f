#!/usr/bin/env bash
# Four of the benches that the README quotes, one after the other, against the running gateway: ingest,
# end-to-end, hot-wallet and replays. If none is running, starts one and stops it afterwards. Arguments go to
# all of them but replays: such as all three know (--seconds, --warmup, --connections).
# Exits 1 if one of them misses its target.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root" || exit 1

ready() { ./sluice status --json | grep -q '^{"ready":true'; }

if ! ready; then
  echo "starting the gateway for the benches …"
  log=$(mktemp)
  ./sluice up >"$log" 2>&1 </dev/null &
  launcher=$!
  trap 'kill -TERM "$launcher" 2>/dev/null; wait "$launcher"; rm -f "$log"' EXIT
  until ready; do
    kill -0 "$launcher" 2>/dev/null || {
      cat "$log" >&2
      exit 1
    }
    sleep 1
  done
fi

failed=0
for bench in bench/ingest.ts bench/end-to-end.ts bench/hot-wallet.ts; do
  printf '\n== %s\n' "$bench"
  bun "$bench" "$@" </dev/null || failed=1
done
printf '\n== bench/replays.ts\n'
bun bench/replays.ts </dev/null || failed=1
exit "$failed"
