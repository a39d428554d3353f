#!/usr/bin/env bash
# Proves the way to operators against an SMPP operator that isn't ours, on jSMPP (test/peers/run.ts; arguments are
# its own). A missing JDK and jSMPP are installed first: the jars come from Maven into the cache folder, checked
# against the hashes in test/peers/jars.sha256. `make test` runs a small version of it where this was installed.
#   scripts/peer.sh --install   only installs
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
. "$root/scripts/lib.sh"
cd "$root"

install_jars() {
  rm -rf "$SLUICE_PEER_JARS" "$SLUICE_PEER_JARS.new"
  mvn --batch-mode --strict-checksums --no-transfer-progress \
    -f "$root/test/peers/pom.xml" -Dmaven.repo.local="$cache/maven" \
    dependency:copy-dependencies -DoutputDirectory="$SLUICE_PEER_JARS.new" || return 1
  # These jars and no others.
  (cd "$SLUICE_PEER_JARS.new" && sha256sum -- *) | diff "$root/test/peers/jars.sha256" - || return 1
  mv "$SLUICE_PEER_JARS.new" "$SLUICE_PEER_JARS"
}

"$root/scripts/install.sh"
command -v javac >/dev/null || need_debian "the foreign SMPP operator" openjdk-17-jdk-headless
if [ ! -d "$SLUICE_PEER_JARS" ]; then
  command -v mvn >/dev/null || need_debian "the download of jSMPP" maven
  step "downloading jSMPP" install_jars
fi
[ "${1:-}" = --install ] && exit 0

exec bun test/peers/run.ts "$@"
