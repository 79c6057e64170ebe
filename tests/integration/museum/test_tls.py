"""TLS as attackers and broken clients speak it."""

import os
import random
import re
import ssl
import subprocess
import time
import warnings

import pytest
from harness import wait_until
from harness.pop3 import client_context
from harness.wire import Wire


def context(version=None, alpn=None):
    made = client_context()
    if version is not None:
        made.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.minimum_version = made.maximum_version = version
    if alpn:
        made.set_alpn_protocols(alpn)
    return made


def handshake_fails(client):
    with pytest.raises((ssl.SSLError, OSError)) as caught:
        client.handshake()
    return str(caught.value)


@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
@pytest.mark.parametrize(
    ("offered", "selected"),
    [(["pop3"], "pop3"), (["http/1.1", "pop3"], "pop3"), (None, None), (["http/1.1"], "alert"),
     (["h2", "imap"], "alert"), (["pop"], "alert"), (["POP3"], "alert")],
    ids=lambda value: "-".join(value).replace("/", "") if isinstance(value, list) else str(value),
)  # fmt: skip
def test_only_pop3_is_spoken_here(house, listener, offered, selected):
    """M50: ALPACA; a client that offers only other protocols gets no_application_protocol."""
    with house.connect(listener, tls=False, context=context(alpn=offered)) as client:
        if listener == "pop3":
            client.line()
            assert client.command("STLS").startswith(b"+OK")
        if selected == "alert":
            assert "no application protocol" in handshake_fails(client).lower().replace("_", " ")
        else:
            client.handshake()
            assert client.tls.selected_alpn_protocol() == selected
            client.send(b"NOOP\r\n")
            assert client.receive(3) == b"+OK"


@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"])
def test_old_versions_are_refused(house, listener, version):
    """M51: TLS 1.2 and 1.3 only, on both ways in."""
    wanted = context(version=getattr(ssl.TLSVersion, version))
    with house.connect(listener, tls=False, context=wanted) as client:
        if listener == "pop3":
            client.line()
            assert client.command("STLS").startswith(b"+OK")
        if version in ("TLSv1_2", "TLSv1_3"):
            client.handshake()
            client.send(b"NOOP\r\n")
            assert client.receive(3) == b"+OK"
        else:
            assert "protocol version" in handshake_fails(client).lower().replace("_", " ")


@pytest.mark.parametrize("ciphers", ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE+AES+SHA", "DHE"])
def test_weak_key_exchange_is_not_negotiated(house, ciphers):
    """T14: only ECDHE with AEAD; no finite-field DH, so no D(HE)at."""
    wanted = client_context()
    wanted.maximum_version = ssl.TLSVersion.TLSv1_2
    wanted.set_ciphers(ciphers + ":@SECLEVEL=0")
    with house.connect("pop3s", tls=False, context=wanted) as client:
        if ciphers == "ECDHE+AES+SHA":
            wanted.set_ciphers("ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0")
        assert "handshake failure" in handshake_fails(client).lower().replace("_", " ")


@pytest.mark.parametrize("bytes_sent", [b"CAPA\r\n", b"QUIT\r\n" * 2, b"GET / HTTP/1.0\r\n\r\n"])
def test_plaintext_on_the_tls_port_is_not_answered_in_pop3(house, bytes_sent):
    """M52: an alert or nothing."""
    with house.connect("pop3s", tls=False) as client:
        client.send_raw(bytes_sent)
        answer = client.rest()
        assert b"+OK" not in answer and b"-ERR" not in answer and len(answer) < 16


class s_client:
    """The openssl program as a client, where Python's TLS does not go."""

    def __init__(self, house, *arguments):
        self.child = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{house.proxy.ports['pop3s']}",
             "-servername", "localhost", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        )  # fmt: skip
        os.set_blocking(self.child.stdout.fileno(), False)
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()
        self.child.stdin.close()

    def write(self, line):
        """False when the program is gone."""
        try:
            self.child.stdin.write(line)
            return True
        except BrokenPipeError:
            return False

    def read(self):
        self.text += self.child.stdout.read() or b""
        return self.text

    def over(self):
        return self.child.poll() is not None

    def wait_for(self, mark, times=1, or_end=False):
        wait_until(
            lambda: self.read().count(mark) >= times or (or_end and self.over()),
            60, lambda: self.text[-2000:],
        )  # fmt: skip


def test_renegotiation_is_refused(house):
    """M53: CVE-2009-3555, CVE-2011-1473; a second handshake never happens."""
    metric = "postern_listener_tls_handshakes_total"
    with s_client(house, "-tls1_2") as client:
        client.wait_for(b"POP3 ready")
        before = house.count(metric)
        client.write(b"R\n")
        client.wait_for(b"RENEGOTIATING")
        wait_until(client.over, 60, "the client to give up")
        assert client.child.returncode != 0
        assert house.count(metric) == before


def test_a_hundred_key_updates(house):
    """M53: they are answered, or the session ends; nothing grows and nobody else waits."""
    before = house.bytes_at_work()
    with s_client(house, "-tls1_3") as client:
        client.wait_for(b"POP3 ready")
        for i in range(100):
            if not client.write(b"K\n"):
                break
            client.wait_for(b"KEYUPDATE", times=i + 1, or_end=True)
        assert client.over() or (client.write(b"NOOP\n") and client.wait_for(b"\n+OK") is None)
    house.check_memory(before, megabytes=4)
    house.wait_until_nobody_is_left()


def test_key_updates_while_mail_is_read(house):
    """M53: a joined session whose keys change between the commands."""
    with s_client(house, "-tls1_3") as client:
        client.wait_for(b"POP3 ready")
        client.write(f"USER {house.user()}\nPASS x\n".encode())
        client.wait_for(b"Logged in.")
        for i in range(20):
            client.write(b"K\n")
            client.wait_for(b"KEYUPDATE", times=i + 1)
            client.write(b"STAT\n")
            client.wait_for(b"+OK 2 ", times=i + 1)
        client.write(b"quit\n")  # "Q" alone would end the program
        client.wait_for(b"+OK bye")


def client_hello(server_name="localhost"):
    flights = []
    wire = Wire.__new__(Wire)
    wire.context, wire.server_name = None, server_name
    wire.start_engine()
    try:
        wire.tls.do_handshake()
    except ssl.SSLWantReadError:
        flights.append(wire._outgoing.read())
    return flights[0]


def test_resets_at_every_byte_of_the_hello(house):
    """M54, F01: about 300 broken handshakes, by reset and by FIN."""
    hello = client_hello()
    for cut in range(len(hello)):
        client = house.connect("pop3s", tls=False)
        client.send_raw(hello[:cut])
        if cut % 2:
            client.reset()
        else:
            client.close()
    house.wait_until_nobody_is_left()


def test_an_unclean_end_is_one_sessions_alone(house):
    """M59: a FIN without close_notify, a broken record, in the middle of everything; no session
    after it is blamed for its error."""
    for spoil in (b"", b"\x17\x03\x03\x00\x20" + b"\xee" * 32, b"\x15\x03\x03\x00\x02\x02\x50"):
        client = house.log_in("pop3s")
        client.send(b"RETR 1\r\n")
        assert client.line().startswith(b"+OK")
        client.send_raw(spoil)
        client.half_close()
        client.rest()
        client.close()
        user = house.user()
        for listener in ("pop3s", "plain"):
            with house.log_in(listener, user) as good:
                assert good.command("QUIT") == b"+OK bye\r\n"
        wait_until(lambda who=user: len(house.log_records(user=who)) == 2, 60, "two records")
        for record in house.log_records(user=user):
            assert record["reason"] == "quit" and "tls_error" not in record


def test_idle_handshakes_take_nobodys_place(house):
    """M55: 300 of them, and a login at once."""
    idle = [house.connect("pop3s", tls=False) for _ in range(300)]
    house.check_alive()
    for client in idle:
        client.close()
    house.wait_until_nobody_is_left()


def test_the_handshake_has_a_deadline(build_house):
    """M56: the idle, the dripping and the one that stops half way end at the same time."""
    house = build_house({"timeouts": {"handshake": "700ms"}})
    hello = client_hello()
    for way in ("idle", "drip", "half"):
        started = time.monotonic()
        with house.connect("pop3s", tls=False) as client:
            if way == "half":
                client.send_raw(hello[: len(hello) // 2])
            if way == "drip":
                client.sock.settimeout(0.25)
                for byte in hello:
                    try:
                        client.send_raw(bytes([byte]))
                        if client.sock.recv(100) == b"":
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
            else:
                assert client.rest() == b""
        # Dripping the whole hello takes a minute and more.
        assert 0.6 < time.monotonic() - started < 40, way
    house.wait_for_closed("handshake_timeout", 3)


# Names and sessions.


def test_a_session_is_not_resumed_under_another_name(build_house, certificates):
    """T10: a ticket of one certificate's name means a full handshake under another's."""
    first = certificates.leaf(("first.test",), kind="rsa")
    second = certificates.leaf(("second.test",), kind="rsa")
    pairs = [{"chain": c.chain, "key": c.key} for c in (first, second)]
    house = build_house({"tls": {"certificates": pairs, "tickets_rsa": 1}})
    shared = client_context()

    def connect(name, session=None):
        client = house.connect("pop3s", tls=False, context=shared, server_name=name)
        client.start_engine(session)
        client.handshake()
        assert client.line().startswith(b"+OK")
        # The greeting came with the server's half of the handshake, a ticket comes behind ours.
        assert client.command("QUIT").startswith(b"+OK")
        der = client.tls.getpeercert(binary_form=True)
        reused, session = client.tls.session_reused, client.tls.session
        client.close()
        return der, reused, session

    own, reused, session = connect("first.test")
    assert not reused
    assert connect("first.test", session)[:2] == (own, True)
    _, _, session = connect("first.test")
    other, reused, _ = connect("second.test", session)
    assert not reused and other != own


def test_a_thousand_names_leave_no_trace(house):
    """T12: long, dotted, strange and NUL-ridden server names; memory stays."""
    chance = random.Random(995)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789-"

    def name(length):
        labels = ["".join(chance.choice(letters[:36]) for _ in range(length)) for _ in range(3)]
        return ".".join(labels)

    for _ in range(40):
        with house.connect("pop3s", server_name=name(12)) as client:
            assert client.line().startswith(b"+OK")
    before = house.bytes_at_work()
    for i in range(1000):
        wanted = name(chance.randint(1, 60)) + ".test"
        hello = client_hello(wanted)
        strange = bytes(chance.choice(b"\0.\xff\n\x1b*/") for _ in wanted)
        client = house.connect("pop3s", tls=False)
        client.send_raw(hello.replace(wanted.encode(), strange) if i % 2 else hello)
        client.sock.recv(1)  # the server's answer, an alert or its flight
        client.close()
    house.wait_until_nobody_is_left()
    house.check_memory(before, megabytes=4)


def test_early_data_is_never_offered(build_house, certificates, tmp):
    """T13: a ticket that allows 0-RTT would allow replays."""
    house = build_house(certificate=certificates.leaf(kind="rsa"))
    ticket = os.path.join(tmp, "ticket.pem")
    with s_client(house, "-tls1_3", "-sess_out", ticket) as client:
        client.wait_for(b"POP3 ready")
        wait_until(lambda: os.path.exists(ticket) and os.path.getsize(ticket), 60, "a ticket")
        shown = subprocess.run(
            ["openssl", "sess_id", "-in", ticket, "-noout", "-text"], capture_output=True
        ).stdout
        assert re.findall(rb"Max Early Data: (\d+)", shown) == [b"0"]


@pytest.mark.parametrize(
    "storm",
    [
        b"\x15\x03\x03\x00\x02\x01\x5a" * 5000,  # warning alerts
        b"\x16\x03\x03\x00\x00" * 5000,  # empty records
        b"\x14\x03\x03\x00\x01\x01" * 5000,  # change cipher spec
        b"\x17\x03\x03\xff\xff" + b"x" * 70000,  # a record over its limit
        b"\x80\x2e\x01\x00\x02" + b"\0" * 1000,  # SSLv2
    ],
    ids=["alerts", "empty", "ccs", "oversize", "sslv2"],
)
def test_a_storm_of_records_ends_the_handshake(house, storm):
    """T14: CVE-2016-8610 and its kind."""
    with house.connect("pop3s", tls=False) as client:
        try:
            client.send_raw(storm)
        except OSError:
            pass
        assert b"+OK" not in client.rest()


def test_a_hello_in_records_of_one_byte(house):
    """T14, U18: legal, if odd; it ends well or in order."""
    hello = client_hello()
    body = hello[5:]
    records = b"".join(b"\x16\x03\x01\x00\x01" + bytes([byte]) for byte in body)
    with house.connect("pop3s", tls=False) as client:
        client.send_raw(records)
        client.sock.recv(1)
    house.wait_until_nobody_is_left()
