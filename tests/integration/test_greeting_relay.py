"""Listeners that greet in a backend's words: APOP from end to end, without a secret here."""

import hashlib
import json
import os
import shutil
import socket
import tempfile
import threading

import pytest

from harness import Pop3Connection, free_port
from harness.clients import CLIENTS
from harness.dovecot import Dovecot
from harness.farm import PASSWORD
from harness.waiting import wait_until

USER = "anna@map.test"
MESSAGES = [b"Subject: one\r\n\r\nx\r\n", b"Subject: two\r\n\r\n.\r\ny\r\n"]
APOP = "\nauth_mechanisms = plain login apop\n"
AWAY = b"-ERR [SYS/TEMP] The mail server cannot be reached, please try again later"
TRANSPORTS = (("plain", "off"), ("pop3", "stls"), ("pop3s", "implicit"))


def digest(challenge, password=PASSWORD):
    return hashlib.md5(challenge + password.encode()).hexdigest()


def challenge_of(client):
    return b"<" + client.greeting.split(b"<")[1] if b"<" in client.greeting else b""


def apop(client, user=USER, password=PASSWORD):
    return client.command(f"APOP {user} {digest(challenge_of(client), password)}")


@pytest.fixture(scope="module")
def dovecots(certificates):
    """Two servers with APOP, and the same users."""
    directory = tempfile.mkdtemp(prefix="postern-it-apop-")
    os.chmod(directory, 0o755)
    certificate = certificates.leaf(("mail.farm.test", "localhost"), ca="farm-ca")
    servers = {
        name: Dovecot(name, os.path.join(directory, name), certificate, {USER: PASSWORD},
                      extra=APOP + "login_trusted_networks = 127.0.0.1\n")
        for name in ("mail1", "mail2")
    }  # fmt: skip
    for server in servers.values():
        server.deliver(USER, MESSAGES)
    yield servers
    for server in servers.values():
        server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def listeners(**keys):
    return [
        {"name": "pop3s", "tls": "implicit", **keys},
        {"name": "pop3", "tls": "stls", **keys},
        {"name": "plain", "tls": "off", "plaintext_logins": True, **keys},
    ]


def config(address, listener_keys=None, **backend_keys):
    return {
        "listener": listeners(greeting="backend", **(listener_keys or {})),
        "backend": [{"name": "mail1", "address": address, **backend_keys}],
        "route": [{"users": "*", "backend": "mail1"}],
    }


@pytest.mark.parametrize("upstream", ["off", "stls", "implicit"])
@pytest.mark.parametrize("listener, tls", TRANSPORTS, ids=[tls for _, tls in TRANSPORTS])
def test_apop_reaches_the_backend(listener, tls, upstream, start_proxy, dovecots):
    server = dovecots["mail1"]
    keys = {} if upstream == "off" else {"tls": upstream, "ca": server.certificate.ca,
                                         "server_name": "mail.farm.test"}  # fmt: skip
    proxy = start_proxy(config(server.address(upstream == "implicit"), **keys))
    with Pop3Connection(proxy.ports[listener], tls) as client:
        assert client.greeting.startswith(b"+OK mail1 is ready <"), client.greeting
        assert apop(client).startswith(b"+OK"), proxy.log()
        assert client.ok("STAT").startswith(b"+OK 2 ")
        assert client.quit().startswith(b"+OK")
    (line,) = proxy.session_lines()
    assert "method=apop" in line and "backend=mail1" in line and "result=logged_in" in line


# mpop takes no challenge of Dovecot's, whoever says it.
@pytest.mark.parametrize("name", ["curl", "poplib", "fetchmail"])
def test_real_clients(name, start_proxy, dovecots, leaf, tmp):
    client = next(client for client in CLIENTS if client.name == name)
    if not client.installed():
        pytest.skip(f"{name} is not installed")
    proxy = start_proxy({**config(dovecots["mail1"].address()), "auth": {"mechanisms": []}})
    got = client(os.path.join(tmp, name), proxy.ports["pop3s"], "implicit", "apop", USER, PASSWORD,
                 leaf.ca).fetch()  # fmt: skip
    assert len(got) == len(MESSAGES)
    lines = [line for line in proxy.session_lines() if "result=logged_in" in line]
    assert lines and all("method=apop" in line for line in lines)


def test_a_challenge_is_good_for_its_own_connection_only(start_proxy, dovecots):
    """The one who overhears a digest, and the one who gets it wrong at first."""
    proxy = start_proxy(config(dovecots["mail1"].address()))
    port = proxy.ports["plain"]
    with Pop3Connection(port) as victim, Pop3Connection(port) as thief:
        said = f"APOP {USER} {digest(challenge_of(victim))}"
        assert challenge_of(victim) != challenge_of(thief)
        assert thief.command(said).startswith(b"-ERR [AUTH]")
        assert victim.command(said).startswith(b"+OK")
        # Once the first has logged in, too.
        assert thief.command(said).startswith(b"-ERR [AUTH]")
        assert apop(thief).startswith(b"+OK"), proxy.log()
        victim.quit()
        thief.quit()


def test_passwords_use_the_connection_that_greeted(start_proxy, dovecots):
    """USER and PASS, AUTH PLAIN, after a refusal too: one connection to the backend each time."""
    proxy = start_proxy(config(dovecots["mail1"].address()))
    for auth in (lambda c, p: c.login(USER, p), lambda c, p: c.command(f"AUTH PLAIN {plain(p)}")):
        before = connects(proxy)
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert auth(client, "wrong").startswith(b"-ERR [AUTH]")
            assert auth(client, PASSWORD).startswith(b"+OK"), proxy.log()
            client.quit()
        assert connects(proxy) == before + 1


def plain(password):
    import base64

    return base64.b64encode(f"\0{USER}\0{password}".encode()).decode()


def connects(proxy):
    return proxy.metrics().get("postern_backend_connects_total", backend="mail1")


def test_a_name_in_the_handshake_leads_to_its_own_backend(start_proxy, dovecots):
    names = [{"name": f"s{i}.pop.example.net", "backend": f"mail{i}"} for i in (1, 2)]
    proxy = start_proxy(
        {
            "listener": [
                {"name": "pop3s", "tls": "implicit", "greeting": "backend", "server_names": names}
            ],
            "pool": [
                {
                    "name": "mail",
                    "backends": [
                        {"name": name, "address": server.address()}
                        for name, server in dovecots.items()
                    ],
                }
            ],
            "route": [{"users": "*@elsewhere.test", "pool": "mail"}],
        }
    )
    for i in (1, 2):
        with Pop3Connection(proxy.ports["pop3s"], "implicit",
                            server_name=f"S{i}.pop.example.net") as client:  # fmt: skip
            assert client.greeting.startswith(b"+OK mail%d is ready <" % i)
            assert apop(client).startswith(b"+OK"), proxy.log()
            client.quit()
    # Any other name leads where the routes lead, and hears our own words.
    with Pop3Connection(proxy.ports["pop3s"], "implicit", server_name="localhost") as client:
        assert client.greeting == b"+OK pop.example.net POP3 ready"
        assert client.command(f"APOP {USER} {'0' * 32}") == b"-ERR APOP is not offered here"
        assert client.login(USER, PASSWORD).startswith(b"-ERR [AUTH]")
        client.quit()
    # Lines of two workers may change places.
    backends = sorted(line.split("backend=")[1].split()[0] for line in proxy.session_lines(3)
                      if "result=logged_in" in line)  # fmt: skip
    assert backends == ["mail1", "mail2"]


def test_the_backend_hears_who_the_client_is(start_proxy, dovecots):
    """XCLIENT goes out in front of APOP, with what a neighbour's XCLIENT has said."""
    server = dovecots["mail1"]
    proxy = start_proxy(
        config(server.address(), {"xclient_networks": ["127.0.0.1"]}, xclient="on")
    )
    before = server.log().count(" Login: ")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.greeting.startswith(b"+OK [XCLIENT] mail1 is ready <")
        client.ok("XCLIENT ADDR=203.0.113.9 PORT=4711")
        assert apop(client).startswith(b"+OK"), proxy.log()
        client.quit()
    log = server.wait_for_log(" Login: ", before + 1)
    logged = [text for text in log.splitlines() if " Login: " in text][-1]
    assert "method=APOP, rip=203.0.113.9," in logged


class Backend:
    """Says `greeting` to each client, takes any APOP, and keeps count."""

    def __init__(self, greeting, hang_up_after_greeting=False):
        self.greeting = greeting
        self.hang_up_after_greeting = hang_up_after_greeting
        self.connections = 0
        self.open = 0
        self.said = []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open += 1
                number = self.connections
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        try:
            with connection, connection.makefile("rb") as lines:
                connection.sendall(self.greeting.replace(b"%d", b"%d" % number))
                if self.hang_up_after_greeting and number == 1:
                    return
                for line in lines:
                    with self.lock:
                        self.said.append((number, line.rstrip()))
                    answer = b"+OK\r\n.\r\n" if line == b"CAPA\r\n" else b"+OK hello\r\n"
                    connection.sendall(answer)
                    if line == b"QUIT\r\n":
                        return
        except OSError:
            pass
        finally:
            with self.lock:
                self.open -= 1

    def close(self):
        self.listener.close()


@pytest.fixture
def start_backend():
    backends = []

    def start(*arguments, **more):
        backends.append(Backend(*arguments, **more))
        return backends[-1]

    yield start
    for backend in backends:
        backend.close()


GREETINGS = {
    # What the backend says, and what the client hears.
    "too long a challenge": (b"+OK ready <1.%s@h>\r\n" % (b"9" * 400), b"+OK ready"),
    "the longest line": (
        b"+OK %s <1.%%d@h>\r\n" % (b"t" * 900), b"+OK %s <1.1@h>" % (b"t" * (510 - 4 - 8)),
    ),
    "no at sign": (b"+OK ready <1.2>\r\n", b"+OK ready"),
    "two": (b"+OK ready <1@a> <2@b>\r\n", b"+OK ready 1@a 2@b"),
    "a bracket too many": (b"+OK ready <<1.2@h>\r\n", b"+OK ready 1.2@h"),
    "a space inside": (b"+OK ready <1. 2@h>\r\n", b"+OK ready"),
    "control bytes": (b"+OK \x1b[2Jready <1\x07.2@h>\r\n", b"+OK ?[2Jready"),
    "a bare CR": (b"+OK ready <1.2@h>\r+OK\r\n", b"+OK ready ?+OK <1.2@h>"),
    "no challenge": (b"+OK [XCLIENT] ready\r\n", b"+OK ready"),
    "nothing": (b"+OK\r\n", b"+OK pop.example.net POP3 ready"),
}  # fmt: skip


@pytest.mark.parametrize("name", GREETINGS)
def test_odd_greetings(name, start_proxy, start_backend):
    said, heard = GREETINGS[name]
    proxy = start_proxy(config(start_backend(said).address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.greeting == heard
        if b"<" not in heard:
            assert client.command(f"APOP {USER} {'0' * 32}") == b"-ERR APOP is not offered here"
        # Everything else goes on.
        assert client.login(USER, "any").startswith(b"+OK"), proxy.log()
        client.quit()


@pytest.mark.parametrize("greeting", [b"-ERR [SYS/PERM] mail1 is closed\r\n", b"220 smtp <1@h>\r\n",
                                      b"x" * 9000])  # fmt: skip
@pytest.mark.parametrize("listener, tls", [("plain", "off"), ("pop3s", "implicit")])
def test_no_greeting_of_a_mail_server(listener, tls, greeting, start_proxy, start_backend):
    proxy = start_proxy(config(start_backend(greeting).address))
    with Pop3Connection(proxy.ports[listener], tls, greeting=False) as client:
        assert client.line() == AWAY
        assert client.at_end()
    (line,) = proxy.session_lines()
    assert "reason=upstream_unavailable" in line and "backend=mail1" in line


def test_nobody_there(start_proxy, start_backend):
    proxy = start_proxy(config(f"127.0.0.1:{free_port()}"))
    with Pop3Connection(proxy.ports["plain"], greeting=False) as client:
        assert client.line() == AWAY
        assert client.at_end()


def test_a_lost_connection(start_proxy, start_backend):
    """The backend hangs up on who has not logged in yet: a password goes by a fresh connection, a
    digest leads nowhere, and is no wrong one."""
    backend = start_backend(b"+OK ready <1.%d@h>\r\n", hang_up_after_greeting=True)
    proxy = start_proxy(config(backend.address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        wait_until(lambda: backend.open == 0)
        assert client.login(USER, "any").startswith(b"+OK"), proxy.log()
        client.quit()
    assert [number for number, line in backend.said if line == b"PASS any"] == [2]

    backend = start_backend(b"+OK ready <1.%d@h>\r\n", hang_up_after_greeting=True)
    proxy = start_proxy(config(backend.address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        wait_until(lambda: backend.open == 0)
        assert apop(client).startswith(b"-ERR [SYS/TEMP]")
        assert client.at_end()
    assert backend.connections == 1 and not backend.said


def test_it_goes_with_the_client(start_proxy, start_backend):
    backend = start_backend(b"+OK ready <1.%d@h>\r\n")
    limits = {"max_sessions": 2}
    proxy = start_proxy(
        {**config(backend.address, **limits), "timeouts": {"login": "10s", "close_linger": "1s",
                                                           "refused_delay": "50ms"}}
    )  # fmt: skip
    # One leaves, one says nothing until its time is up.
    with Pop3Connection(proxy.ports["plain"]):
        wait_until(lambda: backend.open == 1)
    wait_until(lambda: backend.open == 0)
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.line() == b"-ERR [SYS/TEMP] Login took too long"
    wait_until(lambda: backend.open == 0)
    rows = lambda: json.loads(proxy.http("/api/v1/status")[1])["backends"]  # noqa: E731
    wait_until(lambda: rows()[0]["load"]["seats"] == 0, what=rows)
    # Their places are free again: two more come in, and a third does not.
    with Pop3Connection(proxy.ports["plain"]) as one, Pop3Connection(proxy.ports["plain"]) as two:
        with Pop3Connection(proxy.ports["plain"], greeting=False) as three:
            assert three.line() == AWAY
        assert challenge_of(one) != challenge_of(two)
    assert not backend.said


def test_control_bytes_go_nowhere(start_proxy, start_backend):
    backend = start_backend(b"+OK ready <1.%d@h>\r\n")
    proxy = start_proxy(config(backend.address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        for user in (b"an\rna", b"an\0na", b"an\tna"):
            line = b"APOP %s %s" % (user, b"0" * 32)
            assert client.command(line) == b"-ERR Control characters are not allowed"
        for line in (b"APOP anna", b"APOP anna 00", b"APOP  " + b"0" * 32, b"APOP anna " + b"g" * 32):
            assert client.command(line).startswith(b"-ERR APOP needs")
        client.quit()
    assert not backend.said


@pytest.mark.parametrize("failover", [False, True])
def test_who_was_greeted_waits_for_no_seat(failover, start_proxy, start_backend):
    """The only seat is taken by a connection that greeted; its login stands in no line for one, and
    whoever does stand there gets it afterwards."""
    backend = start_backend(b"+OK ready <1.%d@h>\r\n")
    pool = {"name": "mail", "failover": failover, "queue": {"wait": "50s"},
            "backends": [{"name": "mail1", "address": backend.address, "max_sessions": 1}]}  # fmt: skip
    plain = {"tls": "off", "plaintext_logins": True}
    proxy = start_proxy(
        {
            "listener": [{"name": "relays", "greeting": "backend", **plain}, {"name": "own", **plain}],
            "pool": [pool],
            "route": [{"users": "*", "pool": "mail"}],
        }
    )
    with Pop3Connection(proxy.ports["relays"]) as greeted, Pop3Connection(proxy.ports["own"]) as other:
        other.ok(f"USER {USER}")
        other.send(b"PASS any\r\n")
        proxy.wait_for_metric(1, "postern_pool_waiting_logins", pool="mail")
        # Nobody is greeted while somebody waits for the seat.
        with Pop3Connection(proxy.ports["relays"], greeting=False) as third:
            assert third.line() == AWAY
        assert apop(greeted, user="bert@map.test").startswith(b"+OK"), proxy.log()
        greeted.quit()
        assert other.line().startswith(b"+OK")
        other.quit()


class Picky(Backend):
    """Refuses the USER of `nobody`, and the PASS behind it."""

    def _serve(self, connection, number):
        try:
            with connection, connection.makefile("rb") as lines:
                connection.sendall(self.greeting.replace(b"%d", b"%d" % number))
                bad = False
                for line in lines:
                    with self.lock:
                        self.said.append((number, line.rstrip()))
                    bad = line == b"USER nobody\r\n" or (bad and line.startswith(b"PASS"))
                    if line == b"CAPA\r\n":
                        connection.sendall(b"+OK\r\nPIPELINING\r\n.\r\n")
                    else:
                        connection.sendall(b"-ERR [AUTH] no\r\n" if bad else b"+OK hello\r\n")
        except OSError:
            pass
        finally:
            with self.lock:
                self.open -= 1


def test_an_answer_that_nobody_read_is_nobody_elses(start_proxy, start_backend):
    """USER and PASS go out together; where USER is refused the connection is not used again."""
    backend = Picky(b"+OK ready <1.%d@h>\r\n")
    try:
        proxy = start_proxy(config(backend.address))
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.login("nobody", "any").startswith(b"-ERR [AUTH]")
            assert client.login(USER, "any").startswith(b"+OK"), proxy.log()
            client.quit()
        assert [number for number, line in backend.said if line == b"PASS any"] == [1, 2]
    finally:
        backend.close()
