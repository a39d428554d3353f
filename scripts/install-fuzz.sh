# Sourced by install.sh: installs schemathesis, which proves the HTTP contract (test/fuzz/), from its lock into
# a virtual environment in the cache. Only tests need it.

fuzz_there() { [ -x "$SLUICE_FUZZ_PYTHON" ]; }

install_fuzz() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || need_debian "schemathesis" python3 python3-venv
  step "installing schemathesis" install_python "$(dirname "$(dirname "$SLUICE_FUZZ_PYTHON")")" \
    "$root/test/fuzz/requirements.txt"
}
