#!/usr/bin/env bash
# Installs what Postern needs on a bare Debian 12 or 13, from Debian's own archive and nowhere else.
#
#   deploy/install-deps.sh build            to compile it and to run deploy/quickstart.sh
#   deploy/install-deps.sh build test       to run tests/run.sh, too
#   deploy/install-deps.sh build compare    to measure it and its peers side by side (bench/)
#
# Asks dpkg first: with nothing missing it changes nothing, needs no network and no root, and ends
# in a blink. Some of the packages for tests are servers (Dovecot, HAProxy, Prometheus, nginx,
# databases): they are not started, and the tests run them with configurations and ports of their own.
set -euo pipefail

build=(
  g++ cmake ninja-build pkgconf
  libssl-dev liburing-dev libabsl-dev libspdlog-dev nlohmann-json3-dev libcli11-dev
  libtomlplusplus-dev libcpp-httplib-dev prometheus-cpp-dev libxxhash-dev
  # Where users live: an HTTP service, constant databases, rules, and the servers that may know.
  libcurl4-openssl-dev libcdb-dev libre2-dev libpq-dev libmariadb-dev libldap-dev libhiredis-dev
  # Names of backends.
  libc-ares-dev
  # DIGEST-MD5.
  libgsasl-dev
  # quickstart: a certificate, a client, ss.
  openssl curl ca-certificates iproute2 procps
)
test=(
  # Sanitizers and fuzzers need a clang whose coroutines work.
  clang-19 libclang-rt-19-dev llvm-19 ccache
  libgtest-dev libgmock-dev libbenchmark-dev
  # Real servers and real clients.
  dovecot-core dovecot-pop3d haproxy curl openssl fetchmail mpop getmail6 socat testssl.sh tinycdb
  # What drops packets for bench/faults.
  nftables
  nginx-light libnginx-mod-mail
  # Servers that know where users live.
  postgresql mariadb-server slapd redis-server dnsmasq-base
  # Whatever drives them.
  python3 python3-pytest python3-pytest-xdist git gdb procps iproute2 man-db shellcheck
  # promtool checks the alert rules; systemd-analyze checks the unit.
  prometheus systemd
)
compare=(
  # The peers, and what a network namespace with Ethernet's segments needs.
  nginx-light libnginx-mod-mail haproxy dovecot-core dovecot-pop3d perdition
  openssl ethtool iproute2 util-linux procps python3
  # bench/README.md: micro-benchmarks, /usr/bin/time, the manual pages.
  libbenchmark-dev time man-db
)

usage() {
  sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

[ $# -gt 0 ] || usage
wanted=()
for group in "$@"; do
  case "$group" in
    build) wanted+=("${build[@]}") ;;
    test) wanted+=("${test[@]}") ;;
    compare) wanted+=("${compare[@]}") ;;
    *) usage ;;
  esac
done

is_installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

missing=()
for package in "${wanted[@]}"; do
  is_installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install-deps: nothing is missing"
  exit 0
fi

if ! command -v apt-get >/dev/null; then
  echo "install-deps: this is no Debian (no apt-get); install these by hand: ${missing[*]}" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

# Servers that come with a package must not take ports of this machine: while policy-rc.d says 101,
# Debian's packages start nothing. One that is there already is the administrator's, and stays.
policy=/usr/sbin/policy-rc.d
forbid_services() {
  [ ! -e "$policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
}

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=3 "$@"
}

echo "install-deps: installing ${missing[*]}"
forbid_services
apt update -qq || echo "install-deps: apt-get update failed; trying with the lists at hand" >&2
if ! apt install -y -qq --no-install-recommends "${missing[@]}"; then
  echo "install-deps: apt-get could not install all of: ${missing[*]}" >&2
  echo "  Debian 12 and 13 have them in \"main\"; look at /etc/apt/sources.list and the network." >&2
  exit 1
fi
