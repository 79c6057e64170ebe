#!/bin/busybox sh
# The first process of the virtual machine: runs the checks, says how they went, turns it off.
# Lines that begin with KERNEL are the result; run.sh looks for the last one.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /tmp
ip link set lo up
# shellcheck disable=SC3045 # busybox has it
ulimit -n 60000
cd /t || exit 1

say() { echo "KERNEL $(uname -r): $*"; }

end() {
  say "$*"
  sync
  poweroff -f
}

fail() {
  for log in /tmp/*.log; do
    echo "== $log"
    tail -40 "$log"
  done
  end "FAILED: $*"
}

configure() { # io
  cat >/tmp/postern.toml <<TOML
hostname = "localhost"
io = "$1"
workers = 2
[[listener]]
address = "127.0.0.1:995"
[tls]
certificates = [{ chain = "/t/cert.pem", key = "/t/key.pem" }]
[[pool]]
name = "mail"
backends = [{ name = "store", address = "127.0.0.1:1110" }]
[[route]]
users = "*"
pool = "mail"
[admin]
address = "127.0.0.1:9110"
[log]
sessions = ""
TOML
}

wait_for() { # file, words
  for _ in $(seq 600); do
    grep -q "$2" "$1" 2>/dev/null && return 0
    sleep 0.1
  done
  fail "nobody said '$2' in $1"
}

through_the_proxy() { # io
  configure "$1"
  ./postern serve --config /tmp/postern.toml >/tmp/serve.log 2>&1 &
  proxy=$!
  wait_for /tmp/serve.log 'is ready'
  for script in login fetch; do
    ./postern-load --target 127.0.0.1:995 --tls implicit --script $script --total 300 --sessions 50 \
      --timeout-s 120 --quiet >/tmp/load.log 2>&1 || fail "postern-load $script, io $1"
  done
  # Beyond what one buffer holds, so that large receives are used.
  ./postern-load --target 127.0.0.1:995 --tls implicit --script fetch --total 20 --sessions 4 \
    --users big%d@example.org --timeout-s 120 --quiet >/tmp/load.log 2>&1 || fail "big, io $1"
  wget -q -O /tmp/metrics http://127.0.0.1:9110/metrics || fail "no metrics"
  logins=$(awk '/^postern_backend_logins_total.*accepted/ { sum += $2 } END { print sum }' /tmp/metrics)
  [ "$logins" = 620 ] || fail "$logins logins instead of 620"
  kill -TERM $proxy
  wait $proxy || fail "the proxy ended with $?"
}

./io_test --gtest_brief=1 >/tmp/io_test.log 2>&1 || fail "io_test"
say "io_test: $(grep -c . /tmp/io_test.log) lines, $(tail -1 /tmp/io_test.log)"

./postern-maildrop --listen 127.0.0.1:1110 --sizes weighted:5000=9,400000=1 --quiet \
  >/tmp/maildrop.log 2>&1 &
wait_for /tmp/maildrop.log .
for io in uring epoll; do
  through_the_proxy $io
  say "620 sessions through the proxy with io = \"$io\""
done

if [ -e /proc/sys/kernel/io_uring_disabled ]; then
  echo 2 >/proc/sys/kernel/io_uring_disabled
  through_the_proxy auto
  grep -q 'epoll' /tmp/serve.log || fail "io = \"auto\" did not say that it took epoll"
  configure uring
  ./postern serve --config /tmp/postern.toml >/tmp/forced.log 2>&1 && fail "io_uring is forbidden"
  grep -q 'kernel.io_uring_disabled' /tmp/forced.log || fail "the sysctl was not named"
  say "kernel.io_uring_disabled = 2: auto takes epoll, uring says why it cannot"
else
  say "no sysctl kernel.io_uring_disabled here"
fi
end "all is well"
