"""What an operator sees: metrics, health, the session log, and a real Prometheus reading it all."""

import ctypes
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import urllib.parse
import urllib.request

import pytest

from harness import Pop3Connection, free_port, wait_until
from harness.farm import PASSWORD
from harness.pop3 import client_context
from harness.processes import Process

USER = "mapped1@map.test"
MESSAGE = b"Subject: x\r\n\r\n.\r\nbody\r\n"


def session(proxy, listener="pop3s", tls="implicit", version=None, before_quit=()):
    context = client_context(version=version) if version else None
    with Pop3Connection(proxy.ports[listener], tls, context=context) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        for command in before_quit:
            if command.startswith("RETR"):
                client.multiline(command)
            else:
                client.ok(command)
        address = client.socket.getsockname()
        client.quit()
    return f"{address[0]}:{address[1]}"


def test_metrics_tell_what_happened(start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE, MESSAGE])
    proxy = start_proxy(farm.config())
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, "wrong").startswith(b"-ERR")
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        now = proxy.wait_for_metric(1, "postern_backend_sessions")
        assert now.get("postern_backend_sessions", backend="mail1", pool="mail") == 1
        assert now.get("postern_listener_sessions", listener="plain") == 1
        assert now.get("postern_connections") == 1
        sent = received = 0
        for command in ("STAT", "NOOP", "DELE 2", "RSET", "QUIT"):
            sent += len(command) + 2
            received += len(client.command(command)) + 2
    session(proxy, version=ssl.TLSVersion.TLSv1_2, before_quit=["RETR 1", "RETR 2"])
    session(proxy, "pop3", "stls", version=ssl.TLSVersion.TLSv1_3, before_quit=["RETR 1"])
    # The last that a session counts; the backend's part of it may end earlier than the client's.
    m = proxy.wait_for_metric(3, "postern_listener_sessions_closed_total")

    assert m.labels("postern_listener_connections_total", "listener") == {"plain": 1, "pop3s": 1, "pop3": 1}
    assert m.labels("postern_listener_tls_handshakes_total", "version") == {"TLSv1.2": 1, "TLSv1.3": 1}
    assert m.get("postern_listener_tls_ciphers_total") == 2
    assert m.get("postern_listener_handshake_seconds_count") == 2
    assert m.labels("postern_listener_logins_total", "result") == {"accepted": 3, "refused": 1}
    assert m.get("postern_listener_logins_total", listener="plain", result="refused") == 1
    assert m.get("postern_listener_login_seconds_count") == 3
    assert m.labels("postern_backend_logins_total", "result") == {"accepted": 3, "refused": 1}
    assert m.labels("postern_backend_logins_total", "backend") == {"mail1": 4}
    assert m.get("postern_backend_connects_total", backend="mail1", pool="mail") == 4
    assert m.get("postern_backend_login_seconds_count", backend="mail1") == 4
    assert m.get("postern_backend_sessions_total", backend="mail1") == 3
    assert m.labels("postern_backend_sessions_closed_total", "reason") == {"quit": 3}
    assert m.labels("postern_listener_sessions_closed_total", "reason") == {"quit": 3}
    assert m.get("postern_listener_bytes_total", listener="plain", direction="in") == sent
    assert m.get("postern_listener_bytes_total", listener="plain", direction="out") == received
    total_in = m.get("postern_listener_bytes_total", direction="in")
    assert m.get("postern_backend_bytes_total", direction="to") == total_in
    assert m.labels("postern_backend_commands_total", "verb") == {
        "stat": 1, "noop": 1, "dele": 1, "rset": 1, "retr": 3, "quit": 3,
    }  # fmt: skip
    assert m.get("postern_backend_messages_retrieved_total") == 3
    for gauge in ("postern_backend_sessions", "postern_listener_sessions", "postern_connections"):
        proxy.wait_for_metric_to_fall(0, gauge)
    assert m.get("postern_build_info") == 1 and m.get("postern_workers") == 2
    assert m.get("process_open_fds") > 0 and m.get("process_resident_memory_bytes") > 1e6


def test_descriptors_return(start_proxy, farm):
    proxy = start_proxy(farm.config())
    session(proxy)
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    before = proxy.metrics().get("process_open_fds")
    for _ in range(20):
        session(proxy)
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    proxy.wait_for_metric_to_fall(before, "process_open_fds")


def test_health(start_proxy, farm):
    proxy = start_proxy(farm.config())
    assert proxy.http("/healthz")[0] == 200
    assert proxy.http("/readyz")[0] == 200
    assert proxy.http("/nothing/here")[0] == 404
    status, page = proxy.http("/")
    assert status == 200 and "<html" in page


def parse_logfmt(line):
    """Strict: every byte of the line belongs to a field."""
    fields = {}
    at = 0
    for match in re.finditer(r'([a-z_]+)=(?:"([^"]*)"|([^" =]*))(?: |$)', line):
        assert match.start() == at, f"unparsable at {at}: {line}"
        at = match.end()
        name, quoted, bare = match.groups()
        assert name not in fields, f"{name} stands twice: {line}"
        fields[name] = quoted if quoted is not None else bare
    assert at == len(line), f"unparsable at {at}: {line}"
    return fields


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_the_session_line(form, start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy({**farm.config(), "log": {"format": form}})
    client = session(proxy, version=ssl.TLSVersion.TLSv1_3, before_quit=["STAT", "RETR 1", "DELE 1"])
    (line,) = proxy.session_lines()
    fields = json.loads(line) if form == "json" else parse_logfmt(line)
    text = {name: value if isinstance(value, str) else json.dumps(value) for name, value in fields.items()}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text["time"])
    assert re.fullmatch(r"[0-9a-f]{16}", text["id"])
    expected = {
        "listener": "pop3s", "client": client, "tls": "TLSv1.3", "sni": "localhost",
        "user": USER, "method": "user_pass", "backend": "mail1", "pool": "mail",
        "result": "logged_in", "reason": "quit", "phase": "relay", "resumed": "false",
        "commands": "stat:1 retr:1 dele:1 quit:1", "messages": "1", "quit": "true",
        "bytes_in": str(len("STAT\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n")),
    }  # fmt: skip
    assert {name: text.get(name) for name in expected} == expected
    durations = [float(text[name]) for name in ("handshake_ms", "upstream_ms", "login_ms", "total_ms")]
    assert all(duration > 0 for duration in durations)
    assert float(text["total_ms"]) >= float(text["login_ms"]) >= float(text["upstream_ms"])
    assert int(text["bytes_out"]) > len(MESSAGE)


@pytest.mark.parametrize("form", ["logfmt", "json"])
def test_what_clients_send_cannot_break_the_log(form, start_proxy, farm):
    users = ['a"b c=d@pool.test', "reason=quit user=x@pool.test", "\\n\\x41@pool.test", "ä€@pool.test", "\u202etxt\u2028@pool.test"]
    proxy = start_proxy({**farm.config(), "log": {"format": form}})
    for user in users:
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.login(user, "x").startswith(b"-ERR")
            client.quit()
    with Pop3Connection(proxy.ports["plain"]) as client:
        client.send(b"USER \xff\xfe\x80@pool.test\r\nPASS x\r\nQUIT\r\n")
        while not client.at_end():
            pass
    lines = proxy.session_lines(len(users) + 1)
    assert len(lines) == len(users) + 1
    for line in lines:
        fields = json.loads(line) if form == "json" else parse_logfmt(line)
        assert fields["reason"] == "quit_before_login" and fields["user"].endswith("@pool.test")
        # Letters of any language, but nothing that controls a terminal or reorders text.
        assert line.isprintable(), line


needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Debian's prometheus package is not installed"
)


@needs_prometheus
def test_promtool_finds_nothing_to_mend(start_proxy, farm):
    proxy = start_proxy(farm.config())
    session(proxy)
    text = proxy.wait_for_metric(1, "postern_backend_sessions_closed_total").text
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_prometheus
def test_prometheus_scrapes_it(start_proxy, farm, tmp):
    proxy = start_proxy(farm.config())
    session(proxy)
    proxy.wait_for_metric(1, "postern_backend_sessions_closed_total")
    config = os.path.join(tmp, "prometheus.yml")
    with open(config, "w") as file:
        file.write(
            "global: { scrape_interval: 1s }\nscrape_configs:\n  - job_name: postern\n"
            f"    static_configs: [ {{ targets: ['{proxy.admin}'] }} ]\n"
        )
    port = free_port()
    prometheus = Process(
        [
            "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp}/tsdb",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ],
        os.path.join(tmp, "prometheus.log"),
    )  # fmt: skip

    def query(expression):
        url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(expression)}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    try:
        expression = 'postern_backend_logins_total{backend="mail1",result="accepted"}'
        result = wait_until(lambda: query(expression), 60, prometheus.log, 0.1)
        assert [series["value"][1] for series in result] == ["1"]
        assert result[0]["metric"]["pool"] == "mail"
        (quantile,) = wait_until(lambda: query("histogram_quantile(0.99, sum by (le) (postern_backend_login_seconds_bucket))"))
        assert float(quantile["value"][1]) > 0
    finally:
        prometheus.kill()


class StoppedThread:
    """One thread of another process, stopped where it is; it goes on afterwards."""

    SEIZE, INTERRUPT, DETACH, WAIT_ALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid, name):
        threads = f"/proc/{pid}/task"
        self.thread = next(
            int(thread) for thread in sorted(os.listdir(threads), key=int)
            if pathlib.Path(threads, thread, "comm").read_text().strip() == name
        )  # fmt: skip

    def trace(self, request):
        libc = ctypes.CDLL(None, use_errno=True)
        null = ctypes.c_void_p(0)
        if libc.ptrace(request, self.thread, null, null) != 0:
            pytest.skip(f"no ptrace(2) here: {os.strerror(ctypes.get_errno())}")

    def __enter__(self):
        self.trace(self.SEIZE)
        self.trace(self.INTERRUPT)
        os.waitpid(self.thread, self.WAIT_ALL)

    def __exit__(self, *_):
        self.trace(self.DETACH)


@pytest.mark.skipif(os.environ.get("POSTERN_TEST_IO") == "epoll", reason="once is enough")
def test_a_worker_that_is_stuck_is_seen_from_outside(start_proxy, farm):
    proxy = start_proxy(farm.config())
    assert proxy.http("/healthz")[0] == 200
    with StoppedThread(proxy.pid, "worker-1"):
        wait_until(lambda: proxy.http("/healthz")[0] == 503, timeout=60)
        for path in ("/healthz", "/readyz"):
            status, body = proxy.http(path)
            assert status == 503 and re.search(r"worker 1 has not turned for \d{2,} s", body), body
        assert proxy.metrics().get("postern_workers") == 2
    wait_until(lambda: proxy.http("/healthz")[0] == 200)
