"""Passwords leave no trace: not in logs, metrics or the environment, and after the login not in the
memory of the process."""

import base64
import resource
import socket
import threading

import pytest

from harness import Pop3Connection
from harness.farm import PASSWORD
from harness.memory import find_in_core, find_in_memory
from harness.proxy import is_sanitized

USER = "mapped1@map.test"
WRONG = "Not the right one 7f3a91"
TRANSPORTS = (("plain", "off"), ("pop3", "stls"), ("pop3s", "implicit"))


def sasl(user, password):
    return base64.b64encode(f"\0{user}\0{password}".encode())


def traces(password, user=USER):
    """What would betray the password, and in which form."""
    encoded = password.encode()
    return {
        "clear": encoded,
        "AUTH PLAIN": sasl(user, password),
        "AUTH LOGIN": base64.b64encode(encoded),
    }


def log_in(client, method, password, then=b""):
    """`then` is sent in one piece with the password."""
    if method == "user":
        client.ok(f"USER {USER}")
        client.send(b"PASS " + password.encode() + b"\r\n" + then)
    elif method == "plain":
        client.send(b"AUTH PLAIN " + sasl(USER, password) + b"\r\n" + then)
    elif method == "plain-continued":
        assert client.command("AUTH PLAIN").startswith(b"+")
        client.send(sasl(USER, password) + b"\r\n" + then)
    else:
        assert client.command("AUTH LOGIN").startswith(b"+")
        assert client.command(base64.b64encode(USER.encode())).startswith(b"+")
        client.send(base64.b64encode(password.encode()) + b"\r\n" + then)
    return client.line()


METHODS = ("user", "plain", "plain-continued", "login")


class SlowBackend:
    """Keeps the answer to PASS back until it is told to give it."""

    def __init__(self):
        self.got_password = threading.Event()
        self.answer = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        connection, _ = self._socket.accept()
        stream = connection.makefile("rwb")

        def say(line):
            stream.write(line + b"\r\n")
            stream.flush()

        say(b"+OK hello")
        for line in stream:
            if line.startswith(b"CAPA"):
                say(b"+OK\r\n.")
            elif line.startswith(b"PASS"):
                self.got_password.set()
                self.answer.wait(60)
                say(b"+OK logged in")
            else:
                say(b"+OK")
        connection.close()

    def close(self):
        self.answer.set()
        self._socket.close()


@pytest.mark.parametrize("how", ["memory", "core"])
def test_the_search_finds_a_password_that_is_there(how, start_proxy, tmp):
    """The control: while the server thinks about it, the password must still be there."""
    if how == "core" and is_sanitized():
        pytest.skip("a sanitizer's shadow memory is too big for a core")

    def find():
        if how == "core":
            return find_in_core(proxy.pid, tmp, traces(PASSWORD))
        return find_in_memory(proxy.pid, traces(PASSWORD))

    backend = SlowBackend()
    try:
        proxy = start_proxy(
            {
                "backend": [{"name": "slow", "address": f"127.0.0.1:{backend.port}"}],
                "route": [{"users": "*", "backend": "slow"}],
            }
        )
        with Pop3Connection(proxy.ports["pop3s"], "implicit") as client:
            client.ok(f"USER {USER}")
            client.send(f"PASS {PASSWORD}\r\n".encode())
            assert backend.got_password.wait(60)
            assert "clear" in find()
            backend.answer.set()
            assert client.line().startswith(b"+OK")
            assert find() == {}
            client.quit()
    finally:
        backend.close()


# A sanitizer makes the memory of the process ten times as big.
UPSTREAMS = ["user-pass"] if is_sanitized() else ["user-pass", "auth-plain", "implicit", "stls"]


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("listener, tls", TRANSPORTS, ids=[tls for _, tls in TRANSPORTS])
def test_memory_after_the_login(listener, tls, upstream, start_proxy, farm):
    keys = {"mechanism": upstream}
    if upstream in ("implicit", "stls"):
        keys = {"tls": upstream, "ca": farm.certificate.ca}
    proxy = start_proxy({**farm.config(**keys), "workers": 1})
    wanted = {**traces(PASSWORD), **{f"refused {k}": v for k, v in traces(WRONG).items()}}
    for method in METHODS:
        for then in (b"", b"STAT\r\nNOOP\r\n"):
            with Pop3Connection(proxy.ports[listener], tls) as client:
                assert log_in(client, method, WRONG).startswith(b"-ERR")
                assert log_in(client, method, PASSWORD, then).startswith(b"+OK")
                for _ in range(then.count(b"\n")):
                    assert client.line().startswith(b"+OK")
                assert find_in_memory(proxy.pid, wanted) == {}, (method, then)
                client.quit()
    # Clients that leave before the verdict, and credentials that never reach a server.
    for method in METHODS:
        with Pop3Connection(proxy.ports[listener], tls) as client:
            client.send(f"USER {USER}\r\nPASS {WRONG}\r\n".encode())
        with Pop3Connection(proxy.ports[listener], tls) as client:
            client.send(b"AUTH PLAIN " + sasl(USER, WRONG))
    # All of them have come and gone.
    proxy.wait_for_metric(4 * len(METHODS), "postern_listener_sessions_closed_total")
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    assert find_in_memory(proxy.pid, wanted) == {}


def test_no_password_in_logs_metrics_or_environment(start_proxy, farm):
    proxy = start_proxy({**farm.config(), "log": {"level": "debug"}})
    sessions = 0
    for listener, tls in TRANSPORTS:
        for method in METHODS:
            with Pop3Connection(proxy.ports[listener], tls) as client:
                assert log_in(client, method, WRONG).startswith(b"-ERR")
                assert log_in(client, method, PASSWORD).startswith(b"+OK")
                client.quit()
                sessions += 1
    # And typed where a user name belongs, as happens.
    with Pop3Connection(proxy.ports["plain"]) as client:
        client.command(f"PASS {PASSWORD}")
        client.command(f"{PASSWORD}")
        client.command(f"AUTH {PASSWORD}")
        client.command("AUTH PLAIN " + sasl(USER, PASSWORD).decode() + "!")
        client.quit()
    lines = "\n".join(proxy.session_lines(sessions + 1))
    assert lines.count("result=logged_in") == sessions
    with open(f"/proc/{proxy.pid}/environ", "rb") as file:
        environment = file.read()
    with open(f"/proc/{proxy.pid}/cmdline", "rb") as file:
        environment += file.read()
    places = {
        "session log": lines.encode(),
        "log": proxy.log().encode(),
        "metrics": proxy.http("/metrics")[1].encode(),
        "status page": proxy.http("/")[1].encode(),
        "environment": environment,
    }
    for place, text in places.items():
        assert text, place
        for password in (PASSWORD, WRONG):
            for form, trace in traces(password).items():
                assert trace not in text, f"{form} in the {place}"


def test_no_core_holds_a_password(start_proxy, farm):
    """No core file; and a handler behind a pipe, which ignores that limit, gets no memory."""
    allowed = resource.getrlimit(resource.RLIMIT_CORE)[1]
    proxy = start_proxy(farm.config(), limits=[(resource.RLIMIT_CORE, (allowed, allowed))])
    with open(f"/proc/{proxy.pid}/limits") as file:
        (row,) = [line.split() for line in file if line.startswith("Max core file size")]
    assert row[4:6] == ["0", "0"]
    with open(f"/proc/{proxy.pid}/coredump_filter") as file:
        assert int(file.read(), 16) == 0
