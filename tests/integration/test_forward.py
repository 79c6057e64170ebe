"""XCLIENT's FORWARD: what the operator wants backends to know, and what neighbours have said."""

import base64
import os
import socket
import threading

import pytest

from harness import Pop3Connection
from harness.dovecot import Dovecot, version
from harness.farm import PASSWORD

USER = "mapped1@map.test"


class Backend:
    """Announces XCLIENT, notes each one, and takes any password."""

    def __init__(self, announces=True):
        self.announces = announces
        self.xclients = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"+OK [XCLIENT] ready\r\n" if self.announces else b"+OK ready\r\n")
                for line in lines:
                    if line.startswith(b"XCLIENT"):
                        self.xclients.append(line)
                    connection.sendall(b"+OK\r\n.\r\n" if line == b"CAPA\r\n" else b"+OK\r\n")
        except OSError:
            pass  # the client may end by a reset

    def forwarded(self):
        """The fields of the last one, as they came."""
        line = self.xclients[-1]
        assert len(line) <= 1024
        (word,) = [word for word in line.split() if word.startswith(b"FORWARD=")]
        return base64.b64decode(word[len(b"FORWARD=") :]).split(b"\t")

    def close(self):
        self.listener.close()


@pytest.fixture
def backend():
    server = Backend()
    yield server
    server.close()


def config(backend, **keys):
    trusted = {"xclient_networks": ["127.0.0.1"]}
    return {
        "listener": [
            {"name": "pop3s", "tls": "implicit"},
            {"name": "plain", "tls": "off", "plaintext_logins": True},
            {"name": "trusted", "tls": "off", "plaintext_logins": True, **trusted},
        ],
        "backend": [{"name": "mail1", "address": backend.address, "xclient": "auto", **keys}],
        "route": [{"users": "*", "backend": "mail1"}],
    }


def log_in(port, tls="off", said=None):
    with Pop3Connection(port, tls, server_name="pop.example.net") as client:
        if said is not None:
            client.ok(f"XCLIENT FORWARD={base64.b64encode(said).decode()}")
        assert client.login(USER, "any").startswith(b"+OK")


FORWARD = {
    "site": "ams",
    "at": "{listener} of {hostname}",
    "tls": "{tls_version} {server_name}",
}


def test_what_the_operator_says(start_proxy, backend):
    proxy = start_proxy(config(backend, forward=FORWARD))
    log_in(proxy.ports["pop3s"], "implicit")
    assert backend.forwarded() == [
        b"at=pop3s of pop.example.net", b"site=ams", b"tls=TLSv1.3 pop.example.net",
    ]  # fmt: skip
    log_in(proxy.ports["plain"])
    assert backend.forwarded() == [b"at=plain of pop.example.net", b"site=ams", b"tls= "]


def test_what_a_neighbour_says(start_proxy, backend):
    proxy = start_proxy(config(backend, forward={"site": "ams"}))
    # Ours stands first, and nobody else says it; the rest is carried on as it is.
    log_in(proxy.ports["trusted"], said=b"x=1\tsite=fra\todd=\x01t\x010\tbad name=1\tx=2")
    assert backend.forwarded() == [b"site=ams", b"x=1", b"odd=\x01t\x010"]
    # It is said of one client and is not remembered for another.
    log_in(proxy.ports["trusted"])
    assert backend.forwarded() == [b"site=ams"]
    with Pop3Connection(proxy.ports["trusted"]) as client:
        assert client.command("XCLIENT FORWARD=%") == b"-ERR Invalid parameters"
        client.quit()


def test_more_than_there_is_room_for(start_proxy, backend):
    proxy = start_proxy(config(backend, forward={"site": "ams"}))
    long = b"\t".join(b"f%d=%s" % (i, b"v" * 60) for i in range(10))
    log_in(proxy.ports["trusted"], said=long)
    fields = backend.forwarded()
    assert fields[:2] == [b"site=ams", b"f0=" + b"v" * 60]
    assert 2 < len(fields) <= 11


def test_nothing_to_say(start_proxy, backend):
    proxy = start_proxy(config(backend))
    log_in(proxy.ports["plain"])
    assert b"FORWARD" not in backend.xclients[-1]


def test_strangers_cannot_say_it(start_proxy, backend):
    proxy = start_proxy(config(backend))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command("XCLIENT FORWARD=eD0x") == b"-ERR Unknown command"
        assert client.login(USER, "any").startswith(b"+OK")
    assert b"FORWARD" not in backend.xclients[-1]


def test_only_to_who_announces_it(start_proxy):
    server = Backend(announces=False)
    try:
        proxy = start_proxy(config(server, forward={"site": "ams"}))
        log_in(proxy.ports["plain"])
        assert server.xclients == []
    finally:
        server.close()


def test_dovecot_hears_it(start_proxy, farm, tmp):
    """A receiver that somebody else wrote."""
    extra = "\nlogin_trusted_networks = 127.0.0.1\n"
    if version() < (2, 4):
        extra += "login_log_format_elements = user=<%u> site=<%{passdb:forward_site}>\n"
    else:
        extra += "login_log_format_elements = user=<%{user}> site=<%{passdb:forward_site}>\n"
    server = Dovecot("mail1", os.path.join(tmp, "mail1"), farm.certificate, {USER: PASSWORD}, extra=extra)
    try:
        proxy = start_proxy(
            {
                "backend": [{"name": "mail1", "address": server.address(), "xclient": "on",
                             "forward": {"site": "ams-{listener}"}}],
                "route": [{"users": "*", "backend": "mail1"}],
            }
        )  # fmt: skip
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.login(USER, PASSWORD).startswith(b"+OK"), proxy.log()
            client.quit()
        logged = [text for text in server.wait_for_log(" Login: ").splitlines() if " Login: " in text][-1]
        assert "site=<ams-plain>" in logged
    finally:
        server.stop()
