"""Logging in: what is offered, what is refused and how, and what DELE means without QUIT."""

import base64
import socket
import struct
import time

import pytest

from harness import Pop3Connection
from harness.farm import BY_HASH, PASSWORD

USER = "mapped1@map.test"
LISTENERS = (("plain", "off"), ("pop3", "stls"), ("pop3s", "implicit"))
TRANSPORTS = pytest.mark.parametrize("listener, tls", LISTENERS, ids=[tls for _, tls in LISTENERS])
REFUSED = b"-ERR [AUTH] Authentication failed."


@pytest.fixture
def proxy(start_proxy, farm):
    return start_proxy(farm.config())


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@TRANSPORTS
def test_capabilities_are_those_of_the_state(listener, tls, proxy, leaf):
    with Pop3Connection(proxy.ports[listener], "implicit" if tls == "implicit" else "off") as client:
        before = client.capabilities()
        if tls == "stls":
            assert "STLS" in before and "USER" not in before
            assert not any(line.startswith("SASL") for line in before)
            client.stls()
        after = client.capabilities()
        assert "STLS" not in after and "USER" in after and "SASL PLAIN LOGIN" in after
        client.quit()


def test_credentials_before_stls_are_refused_and_forgotten(proxy, farm):
    with Pop3Connection(proxy.ports["pop3"]) as client:
        for command in (f"USER {USER}", f"PASS {PASSWORD}", f"AUTH PLAIN {b64('x')}"):
            answer = client.command(command)
            assert answer.startswith(b"-ERR") and b"[AUTH]" not in answer
        client.stls()
        assert client.command(f"PASS {PASSWORD}").startswith(b"-ERR")
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()


@TRANSPORTS
@pytest.mark.parametrize("method", ["user", "plain", "plain-continued", "login", "login-initial"])
def test_each_method_reaches_the_server(listener, tls, method, proxy, farm):
    farm.servers["mail1"].deliver(USER, [b"Subject: x\r\n\r\n"])
    with Pop3Connection(proxy.ports[listener], tls) as client:
        if method == "user":
            answer = client.login(USER, PASSWORD)
        elif method == "plain":
            answer = client.command("AUTH PLAIN " + b64(f"\0{USER}\0{PASSWORD}"))
        elif method == "plain-continued":
            assert client.command("AUTH PLAIN").startswith(b"+ ")
            answer = client.command(b64(f"\0{USER}\0{PASSWORD}"))
        else:
            start = "AUTH LOGIN " + b64(USER) if method == "login-initial" else "AUTH LOGIN"
            assert client.command(start).startswith(b"+ ")
            if method == "login":
                assert client.command(b64(USER)).startswith(b"+ ")
            answer = client.command(b64(PASSWORD))
        assert answer.startswith(b"+OK"), answer
        assert client.multiline("LIST")[1] == b"1 14\r\n"
        client.quit()
    assert f"user={USER}" in proxy.session_lines()[0]


def test_a_wrong_password_may_be_tried_again(proxy, farm):
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, "wrong") == REFUSED
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
    metrics = proxy.wait_for_metric(1, "postern_backend_sessions_closed_total", reason="quit")
    for metric in ("postern_listener_logins_total", "postern_backend_logins_total"):
        assert metrics.labels(metric, "result") == {"refused": 1, "accepted": 1}
    assert "refused=1" in proxy.session_lines()[0]


@pytest.mark.parametrize("user", [USER, "nobody@nowhere.test", "nobody@pool.test"])
def test_the_third_refusal_ends_the_session(user, proxy):
    with Pop3Connection(proxy.ports["plain"]) as client:
        for _ in range(3):
            assert client.login(user, "wrong") == REFUSED
        assert client.at_end()
    metrics = proxy.wait_for_metric(1, "postern_listener_sessions_closed_total")
    assert metrics.labels("postern_listener_sessions_closed_total", "reason") == {"too_many_logins": 1}


@pytest.mark.parametrize(("listener", "tls"), [("plain", "off"), ("pop3", "stls"), ("pop3s", "implicit")])
def test_answers_do_not_wait_behind_a_refusal(listener, tls, start_proxy, farm):
    """The delay is for the answer that it delays, not for those in front of it."""
    proxy = start_proxy({**farm.config(), "timeouts": {"refused_delay": "30s"}})
    with Pop3Connection(proxy.ports[listener], tls, timeout=15) as client:
        client.send(b"NOOP\r\nUSER x@nowhere.test\r\nPASS wrong\r\n" * 3)
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")


def test_nobody_learns_who_exists(start_proxy, farm):
    delay = 1.0  # Dovecot's own answer to a wrong password takes half a second
    proxy = start_proxy(
        {**farm.config(), "timeouts": {"refused_delay": "1s"}, "limits": {"logins": 100}}
    )
    attempts = {"exists": USER, "unknown to routes": "x@nowhere.test", "unknown to server": "x@pool.test"}

    def measure():
        took = {who: [] for who in attempts}
        with Pop3Connection(proxy.ports["plain"]) as client:
            for _ in range(5):
                for who, user in attempts.items():
                    client.ok(f"USER {user}")
                    started = time.monotonic()
                    assert client.command("PASS wrong") == REFUSED
                    took[who].append(time.monotonic() - started)
            client.quit()
        return took

    # On a busy machine Dovecot may take longer than our delay; then the round says nothing.
    for last in (*(False,) * 5, True):
        took = measure()
        assert all(min(times) >= delay for times in took.values()), took
        fastest = [min(times) for times in took.values()]
        if max(fastest) - min(fastest) < 0.1 * delay:
            break
        assert not last, took


def test_passwords_pass_as_they_are(start_proxy, farm, tmp, leaf):
    """Spaces inside and at the end, quotes, 8-bit: through USER/PASS and SASL."""
    from harness.dovecot import Dovecot

    password = ' "a  b\\c" äß% '
    server = Dovecot("odd", f"{tmp}/odd", farm.certificate, {"odd@x.test": password})
    try:
        for mechanism in ("user-pass", "auth-plain"):
            backend = {"name": "odd", "address": server.address(), "mechanism": mechanism}
            proxy = start_proxy({"backend": [backend], "route": [{"users": "*", "backend": "odd"}]})
            with Pop3Connection(proxy.ports["plain"]) as client:
                assert client.login("odd@x.test", password).startswith(b"+OK")
                client.quit()
            with Pop3Connection(proxy.ports["plain"]) as client:
                answer = client.command("AUTH PLAIN " + b64(f"\0odd@x.test\0{password}"))
                assert answer.startswith(b"+OK")
                client.quit()
            with Pop3Connection(proxy.ports["plain"]) as client:
                assert client.login("odd@x.test", password.rstrip()) == REFUSED
                client.quit()
    finally:
        server.stop()


@pytest.mark.parametrize("pipelined", [False, True])
@TRANSPORTS
def test_a_whole_session_in_one_segment(listener, tls, pipelined, proxy, farm):
    message = b"Subject: x\r\n\r\n.\r\nbody\r\n"
    farm.servers["mail1"].deliver(USER, [message])
    commands = [f"USER {USER}", f"PASS {PASSWORD}", "STAT", "RETR 1", "DELE 1", "QUIT"]
    with Pop3Connection(proxy.ports[listener], tls) as client:
        if pipelined:
            client.send("".join(f"{command}\r\n" for command in commands).encode())
        answers = []
        for command in commands:
            if not pipelined:
                client.send(f"{command}\r\n".encode())
            answers.append(client.line())
            assert answers[-1].startswith(b"+OK"), (command, answers)
            if command == "RETR 1":
                assert client.body() == message
        assert client.at_end()
    assert farm.servers["mail1"].mail(USER) == []


@pytest.mark.parametrize("end", ["close", "reset", "half-close"])
@TRANSPORTS
def test_without_quit_nothing_is_deleted(listener, tls, end, proxy, farm):
    farm.servers["mail1"].deliver(USER, [b"Subject: keep me\r\n\r\n"])
    client = Pop3Connection(proxy.ports[listener], tls)
    assert client.login(USER, PASSWORD).startswith(b"+OK")
    client.ok("DELE 1")
    if end == "reset":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if end == "half-close":
        client.socket.shutdown(socket.SHUT_WR)
    else:
        client.close()
    metrics = proxy.wait_for_metric(1, "postern_backend_sessions_closed_total")
    (reason,) = metrics.labels("postern_backend_sessions_closed_total", "reason")
    assert reason == ("client_reset" if end == "reset" else "client_closed")
    assert "quit=false" in proxy.session_lines()[0]
    client.close()
    # The next session is the proof that the server's first one has ended and kept the mail.
    with Pop3Connection(proxy.ports[listener], tls) as second:
        assert second.login(USER, PASSWORD).startswith(b"+OK")
        assert second.ok("STAT").startswith(b"+OK 1 ")
        second.quit()
    assert len(farm.servers["mail1"].mail(USER)) == 1


@pytest.mark.parametrize("end", ["with the end of the connection", "alone"])
@TRANSPORTS
def test_quit_deletes_even_when_the_client_leaves_at_once(listener, tls, end, proxy, farm):
    farm.servers["mail1"].deliver(USER, [b"Subject: delete me\r\n\r\n"])
    with Pop3Connection(proxy.ports[listener], tls) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.ok("DELE 1")
        client.send(b"QUIT\r\n")
        if end == "alone":
            assert client.line().startswith(b"+OK")
        else:
            client.socket.shutdown(socket.SHUT_WR)
    metrics = proxy.wait_for_metric(1, "postern_backend_sessions_closed_total")
    assert metrics.labels("postern_backend_sessions_closed_total", "reason") == {"quit": 1}
    assert farm.servers["mail1"].mail(USER) == []


def test_the_hash_sends_each_user_to_one_server_always(start_proxy, farm):
    from harness.proxy import run_postern

    homes = {}
    for name in ("first", "again"):
        proxy = start_proxy(farm.config(), name=name)
        for user in BY_HASH:
            for _ in range(2):
                before = proxy.metrics()
                with Pop3Connection(proxy.ports["plain"]) as client:
                    assert client.login(user, PASSWORD).startswith(b"+OK")
                    client.quit()
                count = before.get("postern_backend_sessions_closed_total") + 1
                after = proxy.wait_for_metric(count, "postern_backend_sessions_closed_total")
                (home,) = [
                    server
                    for server in farm.servers
                    if after.get("postern_backend_logins_total", backend=server)
                    > before.get("postern_backend_logins_total", backend=server)
                ]
                assert homes.setdefault(user, home) == home
            explained = run_postern("route", "--config", proxy.config_path, user)
            assert explained.returncode == 0 and homes[user] in explained.stdout
    assert set(homes.values()) == set(farm.servers), "eight users, and all on one server"
