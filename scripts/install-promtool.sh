# Sourced by install.sh: installs promtool, with which `make test` checks what Prometheus would read: each
# process's /metrics and deploy/prometheus/. It is the machine's own if there is one, otherwise the one from
# Debian's package `prometheus`, unpacked into the cache without root or changes to the system. Only tests need it.

promtool_home=$cache/promtool
promtool_there() { command -v promtool >/dev/null || [ -e "$promtool_home/promtool" ]; }

install_promtool() {
  local help="Put promtool (of Prometheus 2.40 or newer) on PATH"
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "no promtool here, and no apt to get one. $help"
  rm -rf "$promtool_home" "$promtool_home.new"
  mkdir -p "$promtool_home.new"
  step "downloading promtool" download_promtool "$promtool_home.new"
  "$promtool_home.new/promtool" --version >/dev/null || die "the unpacked promtool does not start. $help"
  rm -rf "$promtool_home.new/apt"
  mv "$promtool_home.new" "$promtool_home"
}

# Downloads from the machine's own apt sources; apt checks the package's signature. Only one file of it is kept.
download_promtool() {
  local options
  cd "$1" || return 1
  private_apt "$1/apt"
  apt-get "${options[@]}" update
  apt-get "${options[@]}" download prometheus
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --strip-components=3 ./usr/bin/promtool
  rm -f prometheus_*.deb
}
