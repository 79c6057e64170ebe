#!/usr/bin/env bash
# Postern on this machine, in one command: installs what is needed (deploy/install-deps.sh), builds,
# starts three made-up mail stores and the proxy in front of them, and says what to try. Everything
# listens on loopback and ends with Ctrl-C.
#
#   deploy/quickstart.sh                     POP3S on 1995, POP3 with STLS on 1110
#   deploy/quickstart.sh --ports 995,110     on the real ports (as root)
#   deploy/quickstart.sh --smoke             on free ports: one session of a real client through the
#                                            proxy, the metrics compared, everything stopped; exit
#                                            status 0 only if all of it worked
#
# Options: --pop3s-port N, --pop3-port N, --admin-port N (default 9110), --no-install.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"

smoke=false
install=true
pop3s_port=1995
pop3_port=1110
admin_port=9110

usage() {
  sed -n '2,12s/^# \{0,1\}//p' "$0"
  exit "$1"
}
port_number() {
  case "$1" in
    '' | *[!0-9]*) echo "quickstart: \"$1\" is no port number" >&2; exit 2 ;;
  esac
  if [ "$1" -lt 1 ] || [ "$1" -gt 65535 ]; then
    echo "quickstart: ports go from 1 to 65535, not $1" >&2
    exit 2
  fi
  printf '%s' "$1"
}
while [ $# -gt 0 ]; do
  option=$1
  value=${2-}
  case "$option" in
    --*=*) value=${option#*=}; option=${option%%=*} ;;
    --ports | --pop3s-port | --pop3-port | --admin-port)
      [ $# -ge 2 ] || { echo "quickstart: $option needs a value" >&2; exit 2; }
      shift ;;
  esac
  shift
  case "$option" in
    --smoke) smoke=true ;;
    --no-install) install=false ;;
    --ports)
      case "$value" in *,*) ;; *) echo "quickstart: --ports takes two: 995,110" >&2; exit 2 ;; esac
      pop3s_port=$(port_number "${value%%,*}")
      pop3_port=$(port_number "${value#*,}") ;;
    --pop3s-port) pop3s_port=$(port_number "$value") ;;
    --pop3-port) pop3_port=$(port_number "$value") ;;
    --admin-port) admin_port=$(port_number "$value") ;;
    -h | --help) usage 0 ;;
    *) echo "quickstart: unknown option $option" >&2; usage 2 ;;
  esac
done

# --- what happens at the end, and when something goes wrong ---------------------------------------

children=()
state=
cleanup() {
  local status=$?
  trap - EXIT INT TERM
  if [ ${#children[@]} -gt 0 ]; then
    kill -TERM "${children[@]}" 2>/dev/null || true
    # Sessions that are still open would be given half a minute; a demonstration need not wait.
    for _ in $(seq 30); do
      kill -0 "${children[@]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "${children[@]}" 2>/dev/null || true
    wait "${children[@]}" 2>/dev/null || true
  fi
  if [ -n "$state" ]; then rm -rf "$state"; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 0' INT TERM

fail() {  # what went wrong, what to do
  printf '\nquickstart: %s\n' "$1" >&2
  shift
  for line in "$@"; do printf '  %s\n' "$line" >&2; done
  exit 1
}
started=$SECONDS
step() { printf '\n[%d/%d] %s\n' "$1" "$steps" "$2"; }
steps=4
if $smoke; then steps=5; fi

# --- 1, 2: install and build ----------------------------------------------------------------------

step 1 "Packages"
if $install; then
  deploy/install-deps.sh build ||
    fail "the packages could not be installed" "see the message above; deploy/install-deps.sh lists them"
else
  echo "skipped (--no-install)"
fi

step 2 "Build (the first time takes some minutes)"
mkdir -p build
if [ ! -e build/release/build.ninja ]; then
  launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  # The tests want more packages; tests/run.sh turns them on again.
  cmake --preset release -DPOSTERN_TESTS=OFF "${launcher[@]}" >build/quickstart-cmake.log 2>&1 || {
    tail -n 20 build/quickstart-cmake.log >&2
    fail "cmake failed" "all of its output: build/quickstart-cmake.log" \
      "a half-made tree can be in the way: rm -rf build/release"
  }
fi
cmake --build --preset release --target postern postern-maildrop postern-load ||
  fail "the build failed" "see the compiler's message above; a stale tree can be the cause:" \
    "rm -rf build/release, then start this again"
bin=$root/build/release/bin

# --- 3: certificate and configuration -------------------------------------------------------------

step 3 "Certificate and configuration"
state=$(mktemp -d "${TMPDIR:-/tmp}/postern-quickstart.XXXXXX")
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
  -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
  -keyout "$state/key.pem" -out "$state/certificate.pem" 2>"$state/openssl.log" ||
  fail "openssl could not make a certificate: $(tail -n 1 "$state/openssl.log")"
chmod 600 "$state/key.pem"

port_taken() { ss -Hltn "sport = :$1" | grep -q .; }
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 10000))
    case " $chosen " in *" $port "*) continue ;; esac
    port_taken "$port" && continue
    chosen="$chosen $port"
    printf -v "$1" %s "$port"
    return
  done
  fail "no free port was found between 20000 and 29999"
}
chosen=
if $smoke; then
  free_port pop3s_port
  free_port pop3_port
  free_port admin_port
else
  for port in "$pop3s_port" "$pop3_port" "$admin_port"; do
    if port_taken "$port"; then
      fail "port $port is taken: $(ss -Hltnp "sport = :$port" | awk 'NR == 1 { print $NF }')" \
        "stop that program, or choose others: --pop3s-port N --pop3-port N --admin-port N"
    fi
  done
fi

# Waits until `command...` succeeds, or one of the children has died.
wait_for() {  # seconds, what, log, command...
  local seconds=$1 what=$2 log=$3
  shift 3
  for _ in $(seq $((seconds * 10))); do
    if "$@" >/dev/null 2>&1; then return; fi
    for child in "${children[@]}"; do
      kill -0 "$child" 2>/dev/null || break 2
    done
    sleep 0.1
  done
  fail "$what did not start; it said:" "$(tail -n 5 "$log")"
}

# The stores take free ports and say which.
backends=
for store in store1 store2 store3; do
  "$bin/postern-maildrop" --listen 127.0.0.1:0 --name "$store" --samples --messages 6 \
    --sizes uniform:1000-20000 >"$state/$store.log" 2>&1 &
  children+=($!)
  wait_for 20 "$store" "$state/$store.log" grep -q 'is ready on' "$state/$store.log"
  address=$(grep -oE '127\.0\.0\.1:[0-9]+' "$state/$store.log" | head -n 1)
  printf '  %s listens on %s\n' "$store" "$address"
  backends="$backends  { name = \"$store\", address = \"$address\" },"$'\n'
done

printf 'dave@example.org\tstore3\n' >"$state/users.map"
cat >"$state/postern.toml" <<END
hostname = "localhost"

[[listener]]
address = "127.0.0.1:$pop3s_port"
tls = "implicit"
name = "pop3s"

[[listener]]
address = "127.0.0.1:$pop3_port"
tls = "stls"
name = "pop3"

[tls]
certificates = [{ chain = "$state/certificate.pem", key = "$state/key.pem" }]

[[pool]]
name = "mail"
balance = "user-hash"
backends = [
$backends]

# dave is named in this file ...
[[route]]
map = "$state/users.map"

# ... everybody else belongs where a hash of the name says.
[[route]]
users = "*"
pool = "mail"

[log]
sessions = "$state/sessions.log"

[admin]
address = "127.0.0.1:$admin_port"
END
"$bin/postern" check --config "$state/postern.toml" || fail "the configuration above is not accepted"

# --- 4: the proxy ---------------------------------------------------------------------------------

step 4 "Proxy"
"$bin/postern" serve --config "$state/postern.toml" >"$state/postern.log" 2>&1 &
proxy=$!
children+=("$proxy")
wait_for 20 "the proxy" "$state/postern.log" curl -fsS "http://127.0.0.1:$admin_port/readyz"

home_of() {
  "$bin/postern" route --config "$state/postern.toml" "$1" | awk '$1 == "backend" { print $2; exit }'
}

if ! $smoke; then
  cat <<END

Postern is ready after $((SECONDS - started)) s.

  POP3S (TLS)       127.0.0.1:$pop3s_port
  POP3 with STLS    127.0.0.1:$pop3_port
  metrics           http://127.0.0.1:$admin_port/metrics
  status page       http://127.0.0.1:$admin_port/
  configuration     $state/postern.toml
  session log       $state/sessions.log

Any user name has a mailbox; any password but "wrong" is right. Who lives where:

END
  for user in alice bob carol dave erin; do
    printf '  %-20s %s\n' "$user@example.org" "$(home_of "$user@example.org")"
  done
  cat <<END

Try:

  curl -k pop3s://127.0.0.1:$pop3s_port/1 -u alice@example.org:secret
  curl -k --ssl-reqd pop3://127.0.0.1:$pop3_port/ -u bob@example.org:secret
  $bin/postern route --config $state/postern.toml carol@example.org
  $bin/postern-load --target 127.0.0.1:$pop3s_port --tls implicit --script fetch --total 500

Ctrl-C stops everything and removes $state.
END
  wait -n "${children[@]}" || true
  fail "a server ended by itself; the proxy's last words:" "$(tail -n 5 "$state/postern.log")"
fi

# --- 5: the smoke test ----------------------------------------------------------------------------

step 5 "One session of a real client (curl)"
client() { curl -sS --max-time 20 --cacert "$state/certificate.pem" "$@"; }
metric() {  # name and labels as a regular expression: the sum of what matches
  curl -fsS "http://127.0.0.1:$admin_port/metrics" |
    awk -v pattern="^$1" '$0 ~ pattern { sum += $NF } END { printf "%d\n", sum }'
}
good() { printf '  ok    %s\n' "$1"; }
bad() { fail "$1" "${@:2}" "the proxy's log: $(tail -n 3 "$state/postern.log")" \
  "its sessions: $(tail -n 3 "$state/sessions.log" 2>/dev/null)"; }

user=alice@example.org
home=$(home_of "$user")
login=(-u "$user:secret")
pop3s=pop3s://localhost:$pop3s_port
pop3=pop3://localhost:$pop3_port
resolve=(--resolve "localhost:$pop3s_port:127.0.0.1" --resolve "localhost:$pop3_port:127.0.0.1")

before=$(metric 'postern_backend_sessions_total')
list=$(client "${resolve[@]}" "$pop3s/" "${login[@]}") || bad "LIST over TLS failed"
count=$(printf '%s\n' "$list" | grep -cE '^[0-9]+ [0-9]+')
[ "$count" -eq 6 ] || bad "6 messages were expected, LIST says $count"
good "TLS: $user is logged in and sees $count messages"

message=$(client "${resolve[@]}" "$pop3s/1" "${login[@]}") || bad "RETR over TLS failed"
printf '%s' "$message" | grep -q "You are $user" || bad "the first message is somebody else's"
printf '%s' "$message" | grep -q "on $home" ||
  bad "the message does not come from $home, where \`postern route\` says the user lives"
good "TLS: message 1 comes from $home, as \`postern route\` says"

client "${resolve[@]}" -I -X 'DELE 2' "$pop3s/" "${login[@]}" >/dev/null || bad "DELE over TLS failed"
list=$(client "${resolve[@]}" "$pop3s/" "${login[@]}") || bad "LIST after DELE failed"
count=$(printf '%s\n' "$list" | grep -cE '^[0-9]+ [0-9]+')
[ "$count" -eq 5 ] || bad "5 messages were expected after a DELE, LIST says $count"
good "TLS: message 2 is deleted, $count are left"

message=$(client "${resolve[@]}" --ssl-reqd "$pop3/1" -u dave@example.org:secret) ||
  bad "RETR over STLS failed"
printf '%s' "$message" | grep -q 'on store3' || bad "dave@example.org is not on store3 (users.map)"
good "STLS: dave@example.org reads mail on store3, as the map says"

if client "${resolve[@]}" "$pop3s/" -u "$user:wrong" >/dev/null 2>"$state/refused"; then
  bad "a wrong password was accepted"
fi
good "a wrong password is refused"

if client "${resolve[@]}" "$pop3/" "${login[@]}" >/dev/null 2>"$state/refused"; then
  bad "a password was accepted in the clear"
fi
good "a password in the clear is refused"

moved=$(($(metric 'postern_backend_sessions_total') - before))
[ "$moved" -eq 5 ] || bad "5 sessions with backends were expected in the metrics, there are $moved"
retrieved=$(metric 'postern_backend_messages_retrieved_total')
[ "$retrieved" -eq 2 ] || bad "2 fetched messages were expected in the metrics, there are $retrieved"
good "metrics: $moved sessions with backends, $retrieved messages fetched"
good "session log: $(head -n 1 "$state/sessions.log")"

kill -TERM "$proxy"
if ! wait "$proxy"; then bad "the proxy did not end well"; fi
good "SIGTERM: the proxy ended with status 0"
printf '\nAll of it worked (%d s).\n' "$((SECONDS - started))"
