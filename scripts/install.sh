#!/usr/bin/env bash
# Installs whatever is missing to run Sluice: the two runtimes, the npm packages, the librdkafka addon, MySQL,
# the Kafka broker, nginx and wrk. Safe to run at any time, even twice at once; if nothing is missing it
# takes a few milliseconds. Every download is verified: npm and bun by lock files, Maven by strict checksums,
# Debian packages by apt's signatures. Everything it downloads or builds stays in the cache folder
# (scripts/env.sh), never in the clone, except node_modules/.
#   scripts/install.sh            everything
#   scripts/install.sh --tests    everything, and what only the tests use
#   scripts/install.sh --tools    only runtimes, packages and the addon (no engines; enough for `make quick`)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$root/scripts/lib.sh"
. "$root/scripts/install-packages.sh"
. "$root/scripts/install-engines.sh"
. "$root/scripts/install-promtool.sh"
. "$root/scripts/install-fuzz.sh"

wanted=${1:-all}
case $wanted in all | --tests | --tools) ;; *) die "usage: scripts/install.sh [--tests | --tools]" ;; esac
[ "$(uname -sm)" = "Linux x86_64" ] ||
  die "Sluice's pinned runtimes are for Linux on x86-64; this is $(uname -sm)"

all_there() {
  toolchain_there && packages_there && addon_there || return 1
  [ "$wanted" != --tests ] || { promtool_there && fuzz_there; } || return 1
  [ "$wanted" = --tools ] || { kafka_there && mysql_there && nginx_there && command -v wrk >/dev/null; }
}
all_there && exit 0

mkdir -p "$cache"
exec 9>"$cache/install.lock"
if ! flock -n 9; then
  say "waiting for another install to finish"
  flock 9
fi
toolchain_there || install_toolchain
packages_there || install_packages
addon_there || install_addon
if [ "$wanted" = --tests ]; then
  promtool_there || install_promtool
  fuzz_there || install_fuzz
fi
if [ "$wanted" != --tools ]; then
  kafka_there || install_kafka
  mysql_there || install_mysql
  nginx_there || install_nginx
  command -v wrk >/dev/null || need_debian "the benches" wrk
fi
say "everything is installed"
