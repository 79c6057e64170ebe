"""SIGTERM and SIGINT: nobody new, last words for those who wait, time for those who work."""

import signal
import socket

import pytest

from harness import Pop3Connection, wait_until
from harness.farm import PASSWORD
from harness.ports import listens

USER = "mapped1@map.test"
MESSAGE = b"Subject: x\r\n\r\nbody\r\n"
TRANSPORTS = (("plain", "off"), ("pop3", "stls"), ("pop3s", "implicit"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_drain(number, start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE, MESSAGE])
    proxy = start_proxy({**farm.config(), "timeouts": {"drain": "300s"}})
    ports = [(proxy.ports[listener], tls) for listener, tls in TRANSPORTS]
    waiting = [Pop3Connection(port, tls) for port, tls in ports]
    waiting[0].ok(f"USER {USER}")
    shaking_hands = socket.create_connection(("127.0.0.1", proxy.ports["pop3s"]))
    working = [Pop3Connection(port, tls) for port, tls in ports]
    # One at a time: Dovecot locks the maildrop of a POP3 user only when asked to.
    for client in working:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
    proxy.wait_for_metric(7, "postern_listener_connections_total")
    proxy.process.signal(number)

    for client in waiting:
        assert client.line().startswith(b"-ERR [SYS/TEMP]")
        assert client.at_end()
        client.close()
    shaking_hands.settimeout(60)
    assert shaking_hands.recv(100) == b""
    shaking_hands.close()
    assert proxy.http("/readyz")[0] == 503
    assert proxy.http("/healthz")[0] == 200
    assert proxy.metrics().get("postern_draining") == 1
    # Each worker closes its own listeners.
    wait_until(lambda: not any(listens(port) for port, _ in ports), what="all listeners to be closed")
    for port, _ in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    for client in working:
        assert client.multiline("RETR 1")[1] == MESSAGE
    working[0].ok("DELE 2")
    for client in working:
        assert client.quit().startswith(b"+OK")
    proxy.wait(60)
    assert farm.servers["mail1"].mail(USER) == [MESSAGE]
    lines = proxy.session_lines(7)
    assert sum("reason=quit " in line for line in lines) == 3
    assert sum("reason=shutdown " in line for line in lines) == 4


def test_the_drain_has_an_end(start_proxy, farm):
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy({**farm.config(), "timeouts": {"drain": "200ms"}})
    with Pop3Connection(proxy.ports["pop3s"], "implicit") as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.ok("DELE 1")
        proxy.terminate()
        proxy.wait(60)
        with pytest.raises((OSError, AssertionError)):
            client.ok("NOOP")
    # Without QUIT nothing is deleted.
    assert farm.servers["mail1"].mail(USER) == [MESSAGE]
    (line,) = proxy.session_lines()
    assert "reason=shutdown" in line and "quit=false" in line


def test_a_login_under_way_is_told_to_come_again(start_proxy):
    """The server has the password and does not answer; the drain begins."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = start_proxy(
            {
                "backend": [{"name": "b", "address": f"127.0.0.1:{silent.getsockname()[1]}"}],
                "route": [{"users": "*", "backend": "b"}],
            }
        )
        with Pop3Connection(proxy.ports["plain"]) as client:
            client.send(b"USER a\r\nPASS b\r\n")
            assert client.line().startswith(b"+OK")
            silent.settimeout(60)
            connection, _ = silent.accept()
            proxy.terminate()
            assert client.line().startswith(b"-ERR [SYS/TEMP]")
            assert client.at_end()
            connection.close()
        proxy.wait(60)


def test_a_second_signal_ends_it_at_once(start_proxy, farm):
    proxy = start_proxy({**farm.config(), "timeouts": {"drain": "300s"}})
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        client.quit()
    proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(USER, PASSWORD).startswith(b"+OK")
        proxy.terminate()
        wait_until(lambda: "draining" in proxy.log(), what="the drain")
        wait_until(lambda: proxy.http("/readyz")[0] == 503, what="the drain")
        proxy.terminate()
        assert proxy.process.wait(60) == 1
    assert proxy.log().count("stopped at once, 1 session cut\n") == 1, proxy.log()
    # What had ended before has its line.
    (line,) = proxy.session_lines()
    assert "reason=quit " in line


def test_after_a_kill_it_starts_again_at_once(start_proxy, farm):
    """Neither a socket nor a file that is left over stands in the way, and no connection goes to
    the dead."""
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start_proxy(farm.config())
    for _ in range(5):
        open_session = Pop3Connection(proxy.ports["pop3s"], "implicit")
        assert open_session.login(USER, PASSWORD).startswith(b"+OK")
        proxy.process.signal(signal.SIGKILL)
        proxy.process.process.wait(60)
        proxy.start()
        for listener, tls in TRANSPORTS * 3:
            with Pop3Connection(proxy.ports[listener], tls) as client:
                assert client.login(USER, PASSWORD).startswith(b"+OK")
                assert client.multiline("RETR 1")[1] == MESSAGE
                client.quit()
        open_session.close()
