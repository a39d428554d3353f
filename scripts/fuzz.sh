#!/usr/bin/env bash
# Proves the HTTP contract with schemathesis (test/fuzz/run.ts; arguments are its own), which is installed first
# if it is missing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$root"
"$root/scripts/install.sh" --tests
exec bun test/fuzz/run.ts "$@"
