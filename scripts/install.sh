#!/usr/bin/env bash
# Installs whatever is missing to run Sluice: the two runtimes, the npm packages, the librdkafka addon, MySQL,
# the Kafka broker, nginx and wrk. Safe to run at any time, even twice at once; if nothing is missing it
# takes a few milliseconds. Every download is verified: npm and bun by lock files, Maven by strict checksums,
# Debian packages by apt's signatures. Everything it downloads or builds stays in the cache folder
# (scripts/env.sh), never in the clone, except node_modules/.
#   scripts/install.sh            everything
#   scripts/install.sh --tests    everything, and what only the tests use
#   scripts/install.sh --engines  what `./sluice up` runs: everything but wrk, which only benches use
#   scripts/install.sh --edge     only --tools and nginx
#   scripts/install.sh --tools    only runtimes, packages and the addon: enough for `make quick`, the roles, and
#                                 every other command of ./sluice
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$root/scripts/lib.sh"
. "$root/scripts/install-packages.sh"
. "$root/scripts/install-engines.sh"
. "$root/scripts/install-promtool.sh"
. "$root/scripts/install-fuzz.sh"

wanted=${1:-all}
case $wanted in
  all) parts="engines edge benches" ;;
  --tests) parts="engines edge benches tests" ;;
  --engines) parts="engines edge" ;;
  --edge) parts="edge" ;;
  --tools) parts="" ;;
  *) die "usage: scripts/install.sh [--tests | --engines | --edge | --tools]" ;;
esac
wants() { [[ " $parts " == *" $1 "* ]]; }
[ "$(uname -sm)" = "Linux x86_64" ] ||
  die "Sluice's pinned runtimes are for Linux on x86-64; this is $(uname -sm)"

all_there() {
  toolchain_there && packages_there && addon_there || return 1
  ! wants tests || { promtool_there && fuzz_there; } || return 1
  ! wants engines || { kafka_there && mysql_there; } || return 1
  ! wants edge || nginx_there || return 1
  ! wants benches || wrk_there
}
wrk_there() { command -v wrk >/dev/null; }
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
if wants tests; then
  promtool_there || install_promtool
  fuzz_there || install_fuzz
fi
if wants engines; then
  kafka_there || install_kafka
  mysql_there || install_mysql
fi
! wants edge || nginx_there || install_nginx
! wants benches || wrk_there || need_debian "the benches" wrk
say "everything is installed"
