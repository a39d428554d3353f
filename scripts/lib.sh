# Sourced by the install scripts: messages, long steps with progress output, and Debian packages. All messages go
# to stderr, because `./sluice … --json` promises that stdout carries only JSON.

say() { printf 'install: %s\n' "$*" >&2; }
die() {
  printf 'install: error: %s\n' "$*" >&2
  exit 1
}

# step LABEL COMMAND…: runs the command with its output in a log file, reports every 10 s that it is still
# running, and shows the end of the log if it fails. The command must not read stdin.
step() {
  local label=$1 log started pid waited=0
  shift
  mkdir -p "$cache/logs"
  log=$cache/logs/$(printf '%s' "$label" | tr -c 'a-zA-Z0-9' '-' | cut -c1-60).log
  say "$label …"
  started=$SECONDS
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    waited=$((SECONDS - started))
    if [ "$waited" -gt 0 ] && [ $((waited % 10)) -eq 0 ] && [ "${said:-0}" != "$waited" ]; then
      said=$waited
      say "  … ${waited} s"
    fi
  done
  if ! wait "$pid"; then
    tail -n 30 "$log" >&2
    die "$label failed; the whole output is in $log"
  fi
  say "  done in $((SECONDS - started)) s"
}

# need_debian WHAT PACKAGE…: installs the packages that are missing. Without root, it stops and says which
# command to run.
need_debian() {
  local what=$1 missing=() name
  shift
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  command -v apt-get >/dev/null || die "$what needs ${missing[*]} (names in Debian); install them first"
  [ "$(id -u)" = 0 ] ||
    die "$what needs packages that only root can install. Run: sudo apt-get install ${missing[*]}"
  step "installing for $what: ${missing[*]}" apt_install "${missing[@]}"
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" || {
    apt-get update && apt-get install -y --no-install-recommends "$@"
  }
}

# install_python FOLDER REQUIREMENTS: a virtual environment with these packages, as wheels, checked against
# their hashes; only its bin/python is for use. It is there whole, or not at all.
install_python() {
  rm -rf "$1" "$1.new"
  python3 -m venv --copies "$1.new" || return 1
  "$1.new/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    --require-hashes -r "$2" || return 1
  mv "$1.new" "$1"
}
