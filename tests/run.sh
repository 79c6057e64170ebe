#!/usr/bin/env bash
# Installs what is needed, builds, and runs every test. About 20 minutes on 2 cores from nothing.
#
#   tests/run.sh             everything
#   tests/run.sh --quick     the release build and its tests only
#
# Three builds: `release` (g++) runs everything; `fuzz` (clang, address and undefined-behaviour
# sanitizers) runs the unit tests, the simulation and a short search of every fuzzer; `tsan` (clang,
# thread sanitizer) runs what has threads.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=false
for argument in "$@"; do
  case "$argument" in
    --quick) quick=true ;;
    *) echo "usage: tests/run.sh [--quick]" >&2; exit 2 ;;
  esac
done

started=$SECONDS
step() { printf '\n=== %s (%d s)\n' "$1" "$((SECONDS - started))"; }

configure() {  # preset
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake --preset "$1" "${launcher[@]}" >"build/configure-$1.log" 2>&1 || {
    cat "build/configure-$1.log" >&2
    return 1
  }
}

# Another checkout of the same sources finds what this one compiled.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

mkdir -p build
step "install what is needed"
deploy/install-deps.sh build test

step "build: release"
configure release
cmake --build --preset release

if ! $quick; then
  step "build: address and undefined-behaviour sanitizers, fuzzers"
  configure fuzz
  cmake --build --preset fuzz --target sanitized_tests

  step "build: thread sanitizer"
  configure tsan
  cmake --build --preset tsan --target threaded_tests
fi

jobs=$(nproc)
if ! $quick; then
  step "test: address and undefined-behaviour sanitizers, fuzzers"
  ctest --preset fuzz --parallel "$jobs" --exclude-regex '^(integration|docs|tidy)/'

  step "test: thread sanitizer"
  ctest --preset tsan --parallel "$jobs" --tests-regex '^(base|io|metrics|admin|guard|server)/'
fi

# Last, so that its summary closes the output.
step "test: release"
ctest --preset release --parallel "$jobs"
step "all tests passed"
