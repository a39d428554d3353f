# Sourced by install.sh: installs the Kafka broker, MySQL and nginx. The broker's jars come from Maven
# (tools/kafka/pom.xml, strict checksums). MySQL is the machine's own mysqld if it is 8.4 or newer, otherwise
# Debian's package from sid, unpacked into the cache without root or changes to the system. nginx, for the edge,
# is installed in the same way, from the machine's own release. ClickHouse is the npm package chdb and needs
# nothing here.

kafka_home=$cache/kafka-$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' "$root/tools/kafka/pom.xml")
kafka_there() { [ -e "$kafka_home/complete" ] && command -v java >/dev/null; }

install_kafka() {
  command -v java >/dev/null || need_debian "the Kafka broker" openjdk-17-jre-headless
  [ -e "$kafka_home/complete" ] && return
  command -v mvn >/dev/null || need_debian "the download of the Kafka broker" maven
  rm -rf "$kafka_home" "$kafka_home.new"
  step "downloading the Kafka broker" mvn --batch-mode --strict-checksums --no-transfer-progress \
    -f "$root/tools/kafka/pom.xml" -Dmaven.repo.local="$cache/maven" \
    dependency:copy-dependencies -DoutputDirectory="$kafka_home.new/libs"
  touch "$kafka_home.new/complete"
  mv "$kafka_home.new" "$kafka_home"
}

mysql_home=$cache/mysql
mysql_there() { mysql_on_path || [ -e "$mysql_home/complete" ]; }

mysql_on_path() {
  local version
  version=$(mysqld --version 2>/dev/null | sed -n 's/.* Ver \([0-9]*\)\.\([0-9]*\).*/\1 \2/p') || return 1
  # shellcheck disable=SC2086 # two words on purpose
  set -- $version
  mysqld --version 2>/dev/null | grep -q MariaDB && return 1
  [ $# -eq 2 ] && { [ "$1" -gt 8 ] || { [ "$1" -eq 8 ] && [ "$2" -ge 4 ]; }; }
}

install_mysql() {
  local help="Put a mysqld of 8.4 or newer on PATH, or use: ./sluice up --stack compose"
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "no MySQL 8.4 here, and no apt to get one. $help"
  rm -rf "$mysql_home" "$mysql_home.new"
  mkdir -p "$mysql_home.new/root"
  step "downloading MySQL" download_mysql "$mysql_home.new/apt"
  step "unpacking MySQL" unpack_mysql "$mysql_home.new"
  "$mysql_home.new/root/usr/lib64/ld-linux-x86-64.so.2" --version >/dev/null ||
    die "the unpacked MySQL does not start. $help"
  rm -rf "$mysql_home.new/apt"
  touch "$mysql_home.new/complete"
  mv "$mysql_home.new" "$mysql_home"
}

# Downloads from sid, on the mirror that the machine's own apt sources name. It uses separate apt folders, so the
# system's lists and packages stay as they are. apt checks the signature of the release file against Debian's
# keyring, and every package against the release file.
download_mysql() {
  local apt=$1 codename mirror options
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-sid}")
  # shellcheck disable=SC2016 # apt's own variables
  mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" \
      '$2 == "main" && ($1 == codename || $1 ~ /^(stable|testing|unstable|sid)$/) {print $3; exit}')
  [ -n "$mirror" ] || { echo "no Debian mirror in this machine's apt sources"; return 1; }
  private_apt "$apt"
  : >"$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$apt/sources.list"
  options+=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::PreferencesParts=/dev/null -o "Dir::State::status=$apt/status")
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install -y --download-only mysql-server-core
}

# private_apt FOLDER: sets `options` so that apt keeps its lists and packages there and changes nothing elsewhere.
private_apt() {
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  options=(-o "Dir::State::Lists=$1/lists" -o "Dir::Cache=$1/cache"
    -o Acquire::Languages=none -o Debug::NoLocking=1 -o APT::Sandbox::User=root
    -o APT::Install-Recommends=false -o "Dpkg::Post-Invoke=" -o "APT::Update::Post-Invoke=")
}

unpack_mysql() {
  local file
  for file in "$1"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$file" "$1/root" || return 1
  done
  ls "$1"/root/usr/sbin/mysqld
}

# The machine's own nginx is used if there is one. openssl makes the local stack's certificate.
nginx_home=$cache/nginx
nginx_there() {
  [ -e "$nginx_home/complete" ] || { command -v nginx && command -v openssl; } >/dev/null
}

install_nginx() {
  local help="Put nginx (1.20 or newer) and openssl on PATH"
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    die "no nginx here, and no apt to get one. $help"
  rm -rf "$nginx_home" "$nginx_home.new"
  mkdir -p "$nginx_home.new/root"
  step "downloading nginx" download_nginx "$nginx_home.new/apt"
  step "unpacking nginx" unpack_nginx "$nginx_home.new"
  LD_LIBRARY_PATH=$nginx_home.new/root/usr/lib/x86_64-linux-gnu "$nginx_home.new/root/usr/sbin/nginx" -v \
    2>/dev/null || die "the unpacked nginx does not start. $help"
  rm -rf "$nginx_home.new/apt"
  touch "$nginx_home.new/complete"
  mv "$nginx_home.new" "$nginx_home"
}

# Downloads from the machine's own apt sources, without libraries that are already installed. apt doesn't install
# the package, because Debian's nginx would start a server on port 80.
download_nginx() {
  local options
  private_apt "$1"
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install -y --download-only --reinstall nginx openssl
}

unpack_nginx() {
  local file
  for file in "$1"/apt/cache/archives/*.deb; do
    dpkg-deb -x "$file" "$1/root" || return 1
  done
  ls "$1"/root/usr/sbin/nginx
}
