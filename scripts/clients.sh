#!/usr/bin/env bash
# Tests well-known HTTP clients against the direct port and the edge (test/clients/cases.ts). Clients that are
# missing are installed first; Python packages go into the cache folder, checked against the hashes in
# requirements.txt. Also runs the programs of docs/examples, and tries /docs in a browser. `make test` runs the
# same tests with the clients and runtimes that are installed.
#   scripts/clients.sh --install   only installs
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$root/scripts/lib.sh"
cd "$root"

python_home=$(dirname "$(dirname "$SLUICE_CLIENTS_PYTHON")")
"$root/scripts/install.sh"
command -v curl >/dev/null || need_debian "the client suite" curl
command -v perl >/dev/null || need_debian "the client suite" perl
command -v go >/dev/null || need_debian "the client suite" golang-go
command -v javac >/dev/null || need_debian "the client suite" openjdk-17-jdk-headless
command -v jq >/dev/null || need_debian "the examples" jq
command -v openssl >/dev/null || need_debian "the examples" openssl
command -v php >/dev/null || need_debian "the examples" php-cli
command -v python3 >/dev/null || need_debian "the client suite" python3 python3-venv
[ -x "$SLUICE_CLIENTS_PYTHON" ] || step "installing Python's clients" \
  install_python "$python_home" "$root/test/clients/requirements.txt"
install_browser() {
  rm -rf "$SLUICE_CLIENTS_BROWSER" "$SLUICE_CLIENTS_BROWSER.new"
  mkdir -p "$SLUICE_CLIENTS_BROWSER.new"
  cp "$root"/test/clients/browser/package*.json "$SLUICE_CLIENTS_BROWSER.new/"
  npm ci --ignore-scripts --no-audit --no-fund --prefix "$SLUICE_CLIENTS_BROWSER.new"
  mv "$SLUICE_CLIENTS_BROWSER.new" "$SLUICE_CLIENTS_BROWSER"
}
[ -e "$SLUICE_CLIENTS_BROWSER" ] || step "downloading a browser" install_browser
[ "${1:-}" = --install ] && exit 0

export SLUICE_CLIENTS=all
eval "$(bun scripts/test-settings.ts)"
trap './sluice down' EXIT
./sluice up --engines-only
bun test --timeout 120000 ./test/clients/clients.test.ts ./test/clients/examples.test.ts ./test/clients/docs-page.test.ts ./test/integration/webhook.test.ts \
  ./test/integration/door-callbacks.test.ts ./test/integration/door-twilio-lists.test.ts
