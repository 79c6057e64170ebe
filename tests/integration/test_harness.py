"""The harness itself: a proxy starts, tells about itself and ends."""

import pytest

from harness import Pop3Connection, wait_until

UNREACHABLE = {
    "pool": [{"name": "mail", "backends": [{"name": "b1", "address": "127.0.0.1:1"}]}],
    "route": [{"users": "*", "pool": "mail"}],
}


def test_a_proxy_starts_greets_and_stops(start_proxy):
    proxy = start_proxy(UNREACHABLE)
    for listener, tls in (("pop3s", "implicit"), ("pop3", "stls"), ("plain", "off")):
        with Pop3Connection(proxy.ports[listener], tls) as client:
            assert b"pop.example.net" in client.greeting
            assert client.quit().startswith(b"+OK")
    metrics = proxy.wait_for_metric(3, "postern_listener_sessions_closed_total")
    assert metrics.get("postern_listener_sessions_closed_total", reason="quit_before_login") == 3
    assert len(proxy.session_lines(3)) == 3


def test_waiting_says_what_it_waited_for():
    with pytest.raises(AssertionError, match="the impossible"):
        wait_until(lambda: False, 0.05, "the impossible")
