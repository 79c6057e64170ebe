"""DIGEST-MD5 (RFC 2831), verified here against the users' secrets."""

import base64
import hashlib
import os

import pytest

from harness import Pop3Connection
from harness.auth_service import AuthService, reply
from harness.clients import CLIENTS, ClientError
from harness.farm import PASSWORD
from harness.memory import find_in_memory
from harness.proxy import is_sanitized
from harness.waiting import wait_until

USER = "mapped1@map.test"
MESSAGE = b"Subject: here\r\n\r\nx\r\n"
REFUSED = b"-ERR [AUTH] Authentication failed."


def md5(text):
    return hashlib.md5(text if isinstance(text, bytes) else text.encode())


class Digest:
    """The client's side, from the RFC."""

    def __init__(self, client, user=USER, password=PASSWORD, uri="pop/pop.example.net", nc="00000001"):
        line = client.command("AUTH DIGEST-MD5")
        assert line.startswith(b"+ "), line
        self.challenge = base64.b64decode(line[2:]).decode()
        fields = dict(part.strip().split("=", 1) for part in self.challenge.split(","))
        self.realm, self.nonce = fields["realm"].strip('"'), fields["nonce"].strip('"')
        assert fields["qop"] == '"auth"' and fields["algorithm"] == "md5-sess"
        self.user, self.password, self.uri, self.nc = user, password, uri, nc
        self.cnonce = base64.b64encode(os.urandom(12)).decode()

    def digest(self, a2):
        key = md5(f"{self.user}:{self.realm}:{self.password}").digest()
        a1 = md5(key + f":{self.nonce}:{self.cnonce}".encode()).hexdigest()
        return md5(
            f"{a1}:{self.nonce}:{self.nc}:{self.cnonce}:auth:{md5(a2).hexdigest()}"
        ).hexdigest()

    def text(self, more=""):
        return (
            f'username="{self.user}",realm="{self.realm}",nonce="{self.nonce}",'
            f'cnonce="{self.cnonce}",nc={self.nc},qop=auth,digest-uri="{self.uri}",'
            f'response={self.digest("AUTHENTICATE:" + self.uri)},charset=utf-8{more}'
        )

    def answer(self, more=""):
        return base64.b64encode(self.text(more).encode())

    def proof(self):
        return b"+ " + base64.b64encode(f"rspauth={self.digest(':' + self.uri)}".encode())


@pytest.fixture
def start(start_proxy, farm):
    def make(mechanisms=("digest-md5",), **more):
        auth = {"mechanisms": list(mechanisms), "user_pass": False, "secrets": farm.secrets_path}
        return start_proxy({**farm.config(), "auth": auth, **more})

    return make


@pytest.mark.parametrize("name", ["curl", "mpop"])
@pytest.mark.parametrize("tls", ["off", "implicit"])
def test_real_clients(name, tls, start, farm, leaf, tmp):
    client = next(client for client in CLIENTS if client.name == name)
    if not client.installed():
        pytest.skip(f"{name} is not installed")
    farm.servers["mail1"].deliver(USER, [MESSAGE])
    proxy = start()
    port = proxy.ports["pop3s" if tls == "implicit" else "plain"]

    def fetch(password):
        return client(os.path.join(tmp, name), port, tls, "digest-md5", USER, password, leaf.ca).fetch()

    (got,) = fetch(PASSWORD)
    assert got.replace(b"\r\n", b"\n") == MESSAGE.replace(b"\r\n", b"\n")
    with pytest.raises(ClientError):
        fetch("wrong")
    wait_until(
        lambda: [line for line in proxy.session_lines() if "result=refused" in line and " refused=1" in line],
        what=proxy.session_lines,
    )
    lines = [line for line in proxy.session_lines() if "result=logged_in" in line]
    assert lines and all("method=auth_digest_md5 " in line for line in lines)


def test_the_exchange(start):
    proxy = start()
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert "SASL DIGEST-MD5" in client.capabilities()
        exchange = Digest(client)
        assert exchange.realm == "pop.example.net"
        assert client.command(exchange.answer()) == exchange.proof()
        assert client.command("").startswith(b"+OK"), proxy.log()
        client.ok("STAT")
        client.quit()


def test_a_challenge_is_good_for_one_answer(start):
    proxy = start(limits={"logins": 10})
    with Pop3Connection(proxy.ports["plain"]) as first, Pop3Connection(proxy.ports["plain"]) as other:
        exchange, theirs = Digest(first), Digest(other)
        assert exchange.nonce != theirs.nonce
        # Not for another connection, not after a wrong one, and not again.
        assert other.command(exchange.answer()) == REFUSED
        assert first.command("*") == b"-ERR Cancelled"
        assert first.command(exchange.answer()).startswith(b"-ERR Unknown command")
        wrong = Digest(first, password="wrong")
        assert first.command(wrong.answer()) == REFUSED
        wrong.password = PASSWORD
        assert first.command(wrong.answer()).startswith(b"-ERR Unknown command")
        fresh = Digest(first)
        assert first.command(exchange.answer()) == REFUSED
        assert first.command(fresh.answer()).startswith(b"-ERR Unknown command")
        last = Digest(first)
        assert first.command(last.answer()) == last.proof()
        assert first.command("").startswith(b"+OK")
        first.quit()


BAD = {
    "another service": {"uri": "imap/pop.example.net"},
    "another count": {"nc": "00000002"},
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_answers(name, start):
    proxy = start()
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command(Digest(client, **BAD[name]).answer()).startswith(b"-ERR")
        for more, why in ((',username="bert"', b"-ERR Malformed"), (',authzid="bert"', b"-ERR An auth"),
                          (',x="\t"', b"-ERR Malformed")):  # fmt: skip
            assert client.command(Digest(client).answer(more)).startswith(why)
        assert client.command("AUTH DIGEST-MD5 YQ==").startswith(b"-ERR")
        Digest(client)
        assert client.command("*") == b"-ERR Cancelled"
        client.quit()


def test_a_client_that_does_not_believe_the_proof(start):
    proxy = start()
    with Pop3Connection(proxy.ports["plain"]) as client:
        for word in ("*", "YQ=="):
            exchange = Digest(client)
            assert client.command(exchange.answer()) == exchange.proof()
            assert client.command(word) == b"-ERR Cancelled"
            assert client.command("STAT").startswith(b"-ERR")
        exchange = Digest(client)
        assert client.command(exchange.answer()) == exchange.proof()
        assert client.command("").startswith(b"+OK"), proxy.log()
        client.quit()


def test_users_who_have_no_secret_look_the_same(start):
    proxy = start()
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.command(Digest(client, user="nobody@pool.test").answer()) == REFUSED
        assert client.command(Digest(client, user="nobody@nowhere.test").answer()) == REFUSED
        client.quit()


@pytest.mark.skipif(is_sanitized(), reason="a sanitizer's memory is too big")
def test_the_secret_leaves_no_trace(start_proxy, farm):
    """The secrets file holds it for as long as the proxy runs, once; the library sees none of it."""
    auth = {"mechanisms": ["digest-md5"], "secrets": farm.secrets_path}
    proxy = start_proxy({**farm.config(mechanism="auth-plain"), "auth": auth, "workers": 1})
    key = f"{USER}:pop.example.net:{PASSWORD}".encode()
    sent = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode())
    for password in ("wrong", PASSWORD):
        with Pop3Connection(proxy.ports["pop3s"], "implicit") as client:
            exchange = Digest(client, password=password)
            line = client.command(exchange.answer())
            if password == PASSWORD:
                assert line == exchange.proof()
                assert client.command("").startswith(b"+OK")
            assert find_in_memory(proxy.pid, {"what is hashed": key, "what is sent": sent}) == {}
            client.quit()


def test_a_lookup_must_give_the_secret(start_proxy, farm):
    """A service that says OK to whatever it is asked opens no maildrop."""
    answers = {}
    with AuthService(lambda request: reply(Auth_Server="mail1", **answers)) as service:
        proxy = start_proxy(
            {
                "pool": farm.config()["pool"],
                "lookup": [{"name": "auth", "type": "auth_http", "urls": [service.url()]}],
                "route": [{"lookup": "auth", "pool": "mail"}],
                "auth": {"mechanisms": ["digest-md5"]},
            }
        )
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.command(Digest(client).answer()).startswith(b"-ERR [SYS/TEMP]")
        assert service.requests[0].get("Auth-Method") == "digest-md5"
        answers["Auth_Pass"] = PASSWORD
        with Pop3Connection(proxy.ports["plain"]) as client:
            assert client.command(Digest(client, password="wrong").answer()) == REFUSED
            exchange = Digest(client)
            assert client.command(exchange.answer()) == exchange.proof(), proxy.log()
            assert client.command("").startswith(b"+OK"), proxy.log()
            client.quit()
    assert "DIGEST-MD5 needs it" in proxy.log() and PASSWORD not in proxy.log()
