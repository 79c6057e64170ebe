"""SASL exchanges that go on between the client and the backend: SCRAM with a real Dovecot, OAuth with
a scripted server."""

import base64
import contextlib
import hashlib
import hmac
import os
import shutil
import socket
import tempfile
import threading

import pytest

from harness import Pop3Connection
from harness.dovecot import Dovecot
from harness.farm import PASSWORD

CARRIED = ["scram-sha-1", "scram-sha-256", "xoauth2", "oauthbearer"]
MESSAGE = b"Subject: here\r\n\r\nx\r\n"
# One user with the password in the clear on the server, one with a SCRAM verifier only.
PLAIN_USER = "anna@map.test"
SCRAM_USER = "bert@map.test"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def verifier(password, salt=b"0123456789abcdef", count=4096):
    """What Dovecot stores for the scheme SCRAM-SHA-256."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, count)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client_key).digest()
    return f"{{SCRAM-SHA-256}}{count},{b64(salt)},{b64(stored)},{b64(server_key)}"


class Scram:
    """The client's side of RFC 5802."""

    def __init__(self, user, password, digest="sha256"):
        self.password = password.encode()
        self.digest = digest
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={b64(os.urandom(18))}"

    def first(self, header="n,,"):
        self.header = header
        return b64(header + self.bare)

    def final(self, challenge):
        server_first = base64.b64decode(challenge).decode()
        fields = dict(field.split("=", 1) for field in server_first.split(","))
        assert fields["r"].startswith(self.bare.split(",r=")[1])
        salted = hashlib.pbkdf2_hmac(
            self.digest, self.password, base64.b64decode(fields["s"]), int(fields["i"])
        )
        without_proof = f"c={b64(self.header)},r={fields['r']}"
        message = f"{self.bare},{server_first},{without_proof}".encode()
        client_key = hmac.digest(salted, b"Client Key", self.digest)
        stored = hashlib.new(self.digest, client_key).digest()
        signature = hmac.digest(stored, message, self.digest)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", self.digest)
        self.expected = b"v=" + base64.b64encode(hmac.digest(server_key, message, self.digest))
        return b64(f"{without_proof},p={b64(proof)}")


@pytest.fixture(scope="module")
def dovecot(certificates):
    directory = tempfile.mkdtemp(prefix="postern-it-sasl-")
    os.chmod(directory, 0o755)
    certificate = certificates.leaf(("mail.farm.test",), ca="farm-ca")
    server = Dovecot(
        "mail1", os.path.join(directory, "mail1"), certificate, {PLAIN_USER: PASSWORD},
        extra="\nauth_mechanisms = plain login scram-sha-1 scram-sha-256\n",
    )  # fmt: skip
    with open(os.path.join(server.base, "users"), "a") as file:
        file.write(f"{SCRAM_USER}:{verifier(PASSWORD)}::::::\n")
    for user in (PLAIN_USER, SCRAM_USER):
        server.deliver(user, [MESSAGE])
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def config(address, mechanisms=("plain", "login", *CARRIED), **more):
    return {
        "backend": [{"name": "mail1", "address": address, "login": "sasl"}],
        "route": [{"users": "*", "backend": "mail1"}],
        "auth": {"mechanisms": list(mechanisms)},
        **more,
    }


def scram(client, user, password, digest, initial_response=True, header="n,,"):
    """The whole exchange; the last line of the server, whose signature is checked on success."""
    exchange = Scram(user, password, digest)
    name = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256"}[digest]
    if initial_response:
        line = client.command(f"AUTH {name} {exchange.first(header)}")
    else:
        assert client.command(f"AUTH {name}") == b"+ "
        line = client.command(exchange.first(header))
    if not line.startswith(b"+ "):
        return line
    line = client.command(exchange.final(line[2:]))
    if line.startswith(b"+ "):
        assert base64.b64decode(line[2:]) == exchange.expected
        line = client.command("")
    return line


@pytest.mark.parametrize("initial_response", [True, False], ids=["at once", "two steps"])
@pytest.mark.parametrize(
    "user, digest", [(PLAIN_USER, "sha1"), (PLAIN_USER, "sha256"), (SCRAM_USER, "sha256")]
)
def test_scram_with_dovecot(user, digest, initial_response, start_proxy, dovecot):
    proxy = start_proxy(config(dovecot.address()))
    with Pop3Connection(proxy.ports["pop3s"], "implicit") as client:
        assert "SASL PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2 OAUTHBEARER" in client.capabilities()
        # A wrong password first: the server's own words, and another try.
        assert scram(client, user, "wrong", digest).startswith(b"-ERR [AUTH]")
        assert scram(client, user, PASSWORD, digest, initial_response).startswith(b"+OK")
        assert client.multiline("RETR 1")[1] == MESSAGE
        client.quit()
    (line,) = proxy.session_lines()
    method = {"sha1": "auth_scram_sha_1", "sha256": "auth_scram_sha_256"}[digest]
    assert f"user={user} method={method} " in line and "refused=1" in line and "result=logged_in" in line
    dovecot.wait_for_log(f"method=SCRAM-{digest.upper().replace('SHA', 'SHA-')}, ")


def test_passwords_still_work_where_exchanges_are_carried(start_proxy, dovecot):
    """PLAIN stays PLAIN, also for a user whose password the server does not know; USER and PASS too."""
    proxy = start_proxy(config(dovecot.address()))
    before = dovecot.log().count("method=PLAIN, ")
    for user in (PLAIN_USER, SCRAM_USER):
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.command("AUTH PLAIN " + b64(f"\0{user}\0{PASSWORD}")).startswith(b"+OK")
            client.quit()
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.login(user, PASSWORD).startswith(b"+OK")
            client.quit()
    dovecot.wait_for_log("method=PLAIN, ", before + 2)


def test_one_identity(start_proxy, dovecot):
    """Nobody acts for another, and no name is routed that the server does not see."""
    proxy = start_proxy(config(dovecot.address(), users={"default_domain": "map.test"}))
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = scram(client, PLAIN_USER, PASSWORD, "sha256", header="n,a=bert@map.test,")
        assert answer.startswith(b"-ERR An authorization identity")
        # "anna" would be routed as anna@map.test.
        assert scram(client, "anna", PASSWORD, "sha256") == b"-ERR [AUTH] Authentication failed."
        answer = scram(client, PLAIN_USER, PASSWORD, "sha256", header=f"n,a={PLAIN_USER},")
        assert answer.startswith(b"+OK")
        client.quit()


def test_capitals_make_no_other_name(start_proxy, dovecot):
    """Neither to the server nor, where [users] says so, to us: one name is routed, counted and logged."""
    proxy = start_proxy(config(dovecot.address(), users={"lowercase_local": True}))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert scram(client, PLAIN_USER.upper(), PASSWORD, "sha256").startswith(b"+OK")
        client.quit()
    assert f"user={PLAIN_USER} " in proxy.session_lines()[0]


@pytest.mark.parametrize("said", ["*", "no base64!", "QUIT"])
def test_a_client_that_breaks_off(said, start_proxy, dovecot):
    proxy = start_proxy(config(dovecot.address()))
    with Pop3Connection(proxy.ports["plain"]) as client:
        first = Scram(PLAIN_USER, PASSWORD).first()
        assert client.command(f"AUTH SCRAM-SHA-256 {first}").startswith(b"+ ")
        assert client.command(said).startswith(b"-ERR")
        assert client.login(PLAIN_USER, PASSWORD).startswith(b"+OK")
        client.quit()


def test_a_client_that_leaves_in_the_middle(start_proxy, dovecot):
    proxy = start_proxy(config(dovecot.address(), timeouts={"login": "6s"}))
    first = Scram(PLAIN_USER, PASSWORD).first()
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command(f"AUTH SCRAM-SHA-256 {first}").startswith(b"+ ")
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command(f"AUTH SCRAM-SHA-256 {first}").startswith(b"+ ")
        assert client.line() == b"-ERR [SYS/TEMP] Login took too long"
        assert client.at_end()
    lines = proxy.session_lines(2)
    reasons = {line.split("reason=")[1].split()[0] for line in lines}
    assert reasons == {"client_closed", "login_timeout"}


class Scripted:
    """Accepts one connection after the other; the script says what answers the lines it hears."""

    def __init__(self, *scripts):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listening.getsockname()[1]
        self.heard = []
        self._thread = threading.Thread(target=self._run, args=(scripts,), daemon=True)
        self._thread.start()

    def _run(self, scripts):
        with contextlib.suppress(OSError):  # resets by a proxy that has heard enough
            self._serve(scripts)

    def _serve(self, scripts):
        for script in scripts:
            connection, _ = self.listening.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"+OK scripted\r\n")
                answers = list(script)
                for line in lines:
                    line = line.rstrip(b"\r\n")
                    if line == b"CAPA":
                        connection.sendall(b"-ERR no\r\n")
                        continue
                    self.heard.append(line)
                    if not answers:
                        break
                    connection.sendall(answers.pop(0))

    def close(self):
        self.listening.close()


@pytest.fixture
def scripted():
    servers = []

    def start(*scripts):
        servers.append(Scripted(*scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


USER = "anna@example.org"
TOKEN = "ya29." + "t" * 3000
FIRST = {
    "XOAUTH2": f"user={USER}\x01auth=Bearer {TOKEN}\x01\x01",
    "OAUTHBEARER": f"n,a={USER},\x01host=pop\x01port=110\x01auth=Bearer {TOKEN}\x01\x01",
}


@pytest.mark.parametrize("mechanism", FIRST)
def test_a_token_goes_through_unchanged(mechanism, start_proxy, scripted):
    """More than a command line holds: two steps to the server, whatever the client did."""
    server = scripted([b"+ \r\n", b"+OK logged in\r\n"], [b"+ \r\n", b"+OK logged in\r\n"])
    proxy = start_proxy(config(server.address))
    first = b64(FIRST[mechanism])
    for at_once in (True, False):
        with Pop3Connection(proxy.ports["plain"]) as client:
            if at_once:
                answer = client.command(f"AUTH {mechanism} {first}")
            else:
                assert client.command(f"AUTH {mechanism}") == b"+ "
                answer = client.command(first)
            assert answer == b"+OK logged in"
    assert server.heard == [f"AUTH {mechanism}".encode(), first.encode()] * 2
    assert f"user={USER} method=auth_{mechanism.lower()} " in proxy.session_lines()[0]
    assert TOKEN not in proxy.log() + "".join(proxy.session_lines(2))


def test_a_token_of_twelve_kibibytes(start_proxy, scripted):
    """Base64 makes 16 KiB of it, with the name and the command around it."""
    server = scripted(*[[b"+ \r\n", b"+OK logged in\r\n"]] * 2)
    proxy = start_proxy(config(server.address))
    first = b64(f"user={USER}\x01auth=Bearer {'t' * 12288}\x01\x01")
    assert len(first) > 16384
    for at_once in (True, False):
        with Pop3Connection(proxy.ports["plain"]) as client:
            if not at_once:
                assert client.command("AUTH XOAUTH2") == b"+ "
            answer = client.command(f"AUTH XOAUTH2 {first}" if at_once else first)
            assert answer == b"+OK logged in"
    assert server.heard == [b"AUTH XOAUTH2", first.encode()] * 2


@pytest.mark.parametrize("mechanism", FIRST)
def test_the_reason_of_a_refused_token_reaches_the_client(mechanism, start_proxy, scripted):
    reason = b64('{"status":"invalid_token","scope":"' + "s" * 6000 + '"}').encode()
    answer = b"AQ==" if mechanism == "OAUTHBEARER" else b""
    server = scripted([b"+ \r\n", b"+ " + reason + b"\r\n", b"-ERR [AUTH] token\r\n"])
    proxy = start_proxy(config(server.address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command(f"AUTH {mechanism} {b64(FIRST[mechanism])}") == b"+ " + reason
        assert client.command(answer) == b"-ERR [AUTH] token"
        assert client.command("NOOP") == b"+OK"
    assert server.heard[-1] == answer
    # The operator hears it, too.
    assert "-ERR [AUTH] token" in proxy.session_lines()[0]


BAD_CHALLENGES = {
    "no base64": b"+ <script>\r\n",
    "controls": b"+ YQ==\x1b[2J\r\n",
    "a line too many": b"+ YQ==\r\n+OK logged in\r\n",
    "garbage": b"hello\r\n",
    "without end": b"+ " + b"A" * 20000,
}


@pytest.mark.parametrize("name", BAD_CHALLENGES)
def test_a_challenge_that_is_none_does_not_reach_the_client(name, start_proxy, scripted):
    server = scripted([BAD_CHALLENGES[name]])
    proxy = start_proxy(config(server.address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        first = b64(f"user={USER}\x01auth=Bearer x\x01\x01")
        answer = client.command(f"AUTH XOAUTH2 {first}")
        assert answer == b"-ERR [SYS/TEMP] Account is temporarily unavailable"
        assert client.at_end()
    assert server.heard == [f"AUTH XOAUTH2 {first}".encode()]


def test_an_exchange_is_not_repeated_for_a_maildrop_in_use(start_proxy, scripted):
    """The client has had its part in it: what the backend says is told, however the pool waits."""
    server = scripted(*[[b"+ c2VydmVy\r\n", b"-ERR [IN-USE] locked\r\n"]] * 3)
    settings = config(server.address)
    settings["pool"] = [{"name": "mail", "backends": settings.pop("backend"), "in_use": {"wait": "20s"}}]
    settings["route"] = [{"users": "*", "pool": "mail"}]
    proxy = start_proxy(settings)
    with Pop3Connection(proxy.ports["pop3s"], "implicit") as client:
        first = b64(f"n,,n={USER},r=abcdef")
        assert client.command(f"AUTH SCRAM-SHA-256 {first}") == b"+ c2VydmVy"
        assert client.command(b64("c=biws,r=abcdef,p=AAAA")) == b"-ERR [IN-USE] locked"
    assert [line[:5] for line in server.heard].count(b"AUTH ") == 1


def test_challenges_without_end(start_proxy, scripted):
    server = scripted([b"+ YQ==\r\n"] * 50)
    proxy = start_proxy(config(server.address))
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.command("AUTH XOAUTH2 " + b64(f"user={USER}\x01auth=Bearer x\x01\x01"))
        for _ in range(20):
            if answer != b"+ YQ==":
                break
            answer = client.command("YQ==")
        assert answer == b"-ERR [SYS/TEMP] Account is temporarily unavailable"
    assert "challenges without end" in proxy.session_lines()[0]
