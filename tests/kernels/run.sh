#!/usr/bin/env bash
# Runs the proxy on other kernels than this machine's: Debian's own, in virtual machines.
#
#   tests/kernels/run.sh                  Debian 12's kernel (6.1) and Debian 13's (6.12)
#   tests/kernels/run.sh bookworm         one of them
#
# In each: the contract of io::Io (tests/io) on io_uring and epoll, then logins and fetches through
# the proxy over TLS, every byte compared, on both; where the kernel has the sysctl that forbids
# io_uring, also what the proxy says then. By hand, not part of tests/run.sh: it fetches kernels, and
# without /dev/kvm each takes minutes. Needs build/release, and root or qemu, busybox-static and cpio
# installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=${POSTERN_BIN_DIR:-$PWD/build/release/bin}
mirror=${POSTERN_MIRROR:-http://deb.debian.org/debian}
suites=("$@")
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)
work=$(mktemp -d /tmp/postern-kernels.XXXXXX)
trap 'rm -rf "$work"' EXIT

if ! command -v qemu-system-x86_64 cpio >/dev/null || [ ! -x /bin/busybox ]; then
  apt-get install -qq -y --no-install-recommends qemu-system-x86 busybox-static cpio >/dev/null
fi

# The kernel of a Debian release, checked against the archive's signature, into $work/SUITE.
fetch_kernel() {
  local apt=$work/apt-$1
  mkdir -p "$apt"/{lists/partial,archives/partial} "$work/$1"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" \
    >"$apt/sources.list"
  local options=(-qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache::archives=$apt/archives"
    -o "Dir::Cache::pkgcache=" -o "Dir::Cache::srcpkgcache=" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  local package
  package=$(apt-cache "${options[@]}" depends linux-image-amd64 | awk '/Depends: linux-image/ { print $2; exit }')
  (cd "$apt" && apt-get "${options[@]}" download "$package")
  dpkg-deb -x "$apt/$package"_*.deb "$work/$1"
}

# What the virtual machine boots: busybox, our programs with their libraries, and init.
make_root() {
  local root=$work/root
  mkdir -p "$root"/{bin,dev,proc,sys,tmp,etc,t}
  cp /bin/busybox "$root/bin/"
  cp "$bin"/{postern,postern-load,postern-maildrop,io_test} "$root/t/"
  local library
  for library in $(ldd "$root"/t/* | awk '$3 ~ /^\// { print $3 } $2 ~ /^\(/ && $1 ~ /^\// { print $1 }' | sort -u); do
    mkdir -p "$root/$(dirname "$library")"
    cp -L "$library" "$root/$library"
  done
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$root/t/key.pem" -out "$root/t/cert.pem" 2>/dev/null
  echo 'root:x:0:0:root:/:/bin/sh' >"$root/etc/passwd"
  echo '127.0.0.1 localhost' >"$root/etc/hosts"
  cp tests/kernels/init.sh "$root/init"
  (cd "$root" && find . -print0 | cpio --null --create --format=newc --quiet | gzip -1) \
    >"$work/initrd.gz"
}

make_root
failed=0
for suite in "${suites[@]}"; do
  echo "--- $suite: fetching its kernel"
  fetch_kernel "$suite"
  kernel=$(ls "$work/$suite"/boot/vmlinuz-*)
  echo "--- $suite: booting $(basename "$kernel")"
  timeout 900 qemu-system-x86_64 -machine accel=${POSTERN_QEMU_ACCEL:-kvm:tcg} -cpu max,arch-capabilities=off -smp 2 -m 2048 -nodefaults \
    -display none -no-reboot -kernel "$kernel" -initrd "$work/initrd.gz" \
    -append 'console=ttyS0 panic=-1 mitigations=off' -serial "file:$work/$suite.log" || true
  tr -d '\r' <"$work/$suite.log" | grep -a '^KERNEL' || true
  if ! grep -aq '^KERNEL .*: all is well' "$work/$suite.log"; then
    echo "--- $suite FAILED; the console said:"
    tail -60 "$work/$suite.log"
    failed=1
  fi
done
exit $failed
