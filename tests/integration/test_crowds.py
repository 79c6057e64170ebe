"""Many clients at once, and not enough descriptors for them."""

import os
import resource
import socket
import time

import pytest

from harness import Pop3Connection, wait_until
from harness.farm import PASSWORD
from harness.proxy import is_sanitized

USER = "mapped1@map.test"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connect_all(port, count, first_bytes=b""):
    sockets = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), 60)
        one.sendall(first_bytes)
        sockets.append(one)
    return sockets


def close_all(sockets):
    for one in sockets:
        one.close()


def fetch(proxy, listener="pop3s", tls="implicit", timeout=60):
    with Pop3Connection(proxy.ports[listener], tls, timeout=timeout) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        assert client.multiline("RETR 1")[1] == MESSAGE
        client.quit()


# Nothing at all, and the start of a ClientHello.
@pytest.mark.parametrize("first_bytes", [b"", b"\x16\x03\x01\x02\x00\x01\x00"], ids=["silent", "begun"])
def test_idle_handshakes_stop_nobody(first_bytes, start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy({**farm.config(), "timeouts": {"handshake": "300s"}})
    crowd = connect_all(proxy.ports["pop3s"], 500, first_bytes)
    try:
        proxy.wait_for_metric(500, "postern_listener_sessions")
        started = time.monotonic()
        fetch(proxy)
        # Behind the crowd it would have waited until the last handshake is given up.
        assert time.monotonic() - started < 100
    finally:
        close_all(crowd)
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")


def test_the_handshake_has_a_deadline(start_proxy, farm):
    proxy = start_proxy({**farm.config(), "timeouts": {"handshake": "300ms"}})
    crowd = connect_all(proxy.ports["pop3s"], 50)
    try:
        for one in crowd:
            assert one.recv(100) == b""
        metrics = proxy.wait_for_metric(50, "postern_listener_sessions_closed_total")
        assert metrics.labels("postern_listener_sessions_closed_total", "reason") == {
            "handshake_timeout": 50
        }
    finally:
        close_all(crowd)


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer needs descriptors of its own")
@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_no_descriptors_left(listener, start_proxy, farm):
    """64 descriptors, 200 clients: alive, not spinning, and well again when they are gone."""
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy(
        {**farm.config(), "workers": 1, "timeouts": {"login": "60s"}},
        limits=[(resource.RLIMIT_NOFILE, (64, 64))],
    )
    crowd = connect_all(proxy.ports[listener], 200)
    try:
        # The admin endpoint has no descriptor for us either: the process itself is the witness.
        wait_until(lambda: len(os.listdir(f"/proc/{proxy.pid}/fd")) == 64, what="64 descriptors")
        before, began = cpu_seconds(proxy.pid), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1.5, 60)
        used = (cpu_seconds(proxy.pid) - before) / (time.monotonic() - began)
        assert used < 0.3, f"{used:.0%} of a CPU"
        proxy.check_health()
    finally:
        close_all(crowd)
    wait_until(lambda: proxy.http("/readyz")[0] == 200, 60, "the admin endpoint")
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions", timeout=60)
    assert proxy.metrics().get("postern_accept_errors_total") > 0
    fetch(proxy)


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer needs descriptors of its own")
def test_no_descriptor_for_the_way_to_the_server(start_proxy, farm):
    """Clients fill the table, then one of them logs in: told to come again, and not the last word."""
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy(
        {**farm.config(), "workers": 1}, limits=[(resource.RLIMIT_NOFILE, (64, 64))]
    )
    crowd = connect_all(proxy.ports["plain"], 100)
    try:
        wait_until(lambda: len(os.listdir(f"/proc/{proxy.pid}/fd")) == 64, what="64 descriptors")
        # A descriptor may still become free (of the admin endpoint, say): who gets it keeps it.
        answers = []
        for client in crowd[:20]:
            client.settimeout(60)
            assert client.recv(100).startswith(b"+OK")
            client.sendall(f"USER {USER}\r\nPASS {PASSWORD}\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                answer += client.recv(200)
            answers.append(answer.split(b"\r\n")[1])
            if not answers[-1].startswith(b"+OK"):
                break
        assert answers[-1].startswith(b"-ERR [SYS/TEMP]"), answers
    finally:
        close_all(crowd)
    wait_until(lambda: proxy.http("/readyz")[0] == 200, 60, "the admin endpoint")
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions", timeout=60)
    assert proxy.metrics().get("postern_backend_errors_total", reason="local") >= 1
    fetch(proxy)


def test_the_limit_of_sessions(start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy({**farm.config(), "workers": 1, "limits": {"sessions": 10}})
    crowd = connect_all(proxy.ports["plain"], 10)
    try:
        proxy.wait_for_metric(10, "postern_listener_sessions")
        with Pop3Connection(proxy.ports["plain"], greeting=False) as client:
            assert client.line().startswith(b"-ERR [SYS/TEMP]")
            assert client.at_end()
    finally:
        close_all(crowd)
    metrics = proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    assert metrics.get("postern_listener_sessions_closed_total", reason="admission") == 1
    fetch(proxy)


def test_many_sessions_at_once(start_proxy, farm):
    """Each hears its own mail only."""
    from concurrent.futures import ThreadPoolExecutor

    from harness.farm import BY_HASH

    def mail_of(user):
        return f"Subject: {user}\r\n\r\n".encode() + user.encode() * 2000 + b"\r\n"

    for user in BY_HASH:
        for server in farm.servers.values():
            server.deliver(user, [mail_of(user)])
    proxy = start_proxy(farm.config())
    transports = (("plain", "off"), ("pop3", "stls"), ("pop3s", "implicit"))

    def one(i):
        user = BY_HASH[i % len(BY_HASH)]
        listener, tls = transports[i % len(transports)]
        with Pop3Connection(proxy.ports[listener], tls, timeout=60) as client:
            assert client.login(user, PASSWORD).startswith(b"+OK")
            for _ in range(5):
                assert client.multiline("RETR 1")[1] == mail_of(user)
            client.quit()

    with ThreadPoolExecutor(24) as threads:
        list(threads.map(one, range(120)))
    metrics = proxy.wait_for_metric(120, "postern_backend_sessions_closed_total", timeout=60)
    assert metrics.labels("postern_backend_sessions_closed_total", "reason") == {"quit": 120}
    assert metrics.get("postern_backend_messages_retrieved_total") == 600
