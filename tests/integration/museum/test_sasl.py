"""SASL and APOP."""

import base64
import hashlib
import os
import re

import pytest

USER, SECRET = "apop@example.org", "tanstaaf"


def encoded(text):
    return base64.b64encode(text.encode("latin-1")).decode()


NOT_BASE64 = ["!!!!", "A", "AA=A", "====", "AHVzZXIAcGFzcw=", "AHVzZXIAcGFzcw==x", "\u00e9"]


def test_invalid_base64_disturbs_nobody_else(house):
    """M30: a second login stands between USER and PASS meanwhile."""
    with house.connect("pop3s") as other:
        other.line()
        assert other.command(f"USER {house.user()}") == b"+OK\r\n"
        for text in NOT_BASE64:
            with house.connect("pop3s") as client:
                client.line()
                assert client.command(f"AUTH PLAIN {text}").startswith(b"-ERR"), text
                assert client.command("AUTH PLAIN") == b"+ \r\n"
                assert client.command(text).startswith(b"-ERR"), text
        assert other.command("PASS x") == b"+OK Logged in.\r\n"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_an_exchange_can_be_cancelled(house, mechanism):
    """M31: RFC 5034; the session goes on."""
    with house.connect() as client:
        client.line()
        assert client.command(f"AUTH {mechanism}").startswith(b"+ ")
        assert client.command("*").startswith(b"-ERR")
        assert client.command("NOOP") == b"+OK\r\n"
        assert client.command(f"USER {house.user()}") == b"+OK\r\n"
        assert client.command("PASS x") == b"+OK Logged in.\r\n"


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_clients_that_leave_inside_auth_leave_nothing_behind(house, how):
    """M32: 200 of each kind."""
    house.wait_until_nobody_is_left()
    files = house.open_files()
    for i in range(200):
        client = house.connect("plain")
        client.send(b"AUTH PLAIN\r\n" if i % 2 else b"AUTH LOGIN\r\n")
        client.line()
        assert client.line().startswith(b"+ ")
        if how == "reset":
            client.reset()
        else:
            client.close()
    house.wait_until_nobody_is_left()
    assert house.open_files() <= files + 2


@pytest.mark.parametrize("listener", ["plain", "pop3s"])
def test_an_oversize_response_is_cut(house, listener):
    """M33: 1 MB of base64."""
    before = house.bytes_at_work()
    for initial in (True, False):
        with house.connect(listener) as client:
            client.line()
            try:
                if initial:
                    client.send(b"AUTH PLAIN ")
                else:
                    assert client.command("AUTH PLAIN") == b"+ \r\n"
                for _ in range(16):
                    client.send(b"QUFB" * 16384)
            except OSError:
                pass
            assert client.rest() in (b"-ERR Line too long\r\n", b"")
    house.check_memory(before, megabytes=8)


MECHANISMS = ["NTLM", "GSSAPI", "CRAM-MD5", "XOAUTH2", "X" * 200, "PLAIN,LOGIN", "\u00df", "-"]


@pytest.mark.parametrize("mechanism", MECHANISMS, ids=range(len(MECHANISMS)))
def test_an_unknown_mechanism_is_refused(house, mechanism):
    """M34: and the next login works."""
    with house.connect() as client:
        client.line()
        assert client.command(f"AUTH {mechanism}".encode("latin-1")).startswith(b"-ERR")
        assert client.command(f"AUTH {mechanism} AAAA".encode("latin-1")).startswith(b"-ERR")
        plain = encoded(f"\0{house.user()}\0x")
        assert client.command(f"AUTH PLAIN {plain}") == b"+OK Logged in.\r\n"


MALFORMED_PLAIN = {
    "empty": "",
    "one NUL": "\0",
    "two NULs": "\0\0",
    "no password": "\0u@example.org\0",
    "no user": "\0\0secret",
    "no second NUL": "\0u@example.org",
    "a fourth field": "\0u@example.org\0secret\0more",
    "somebody else": "root\0u@example.org\0secret",
    "3 kB": "\0u@example.org\0" + "p" * 3000,
}


@pytest.mark.parametrize("form", MALFORMED_PLAIN)
def test_a_malformed_plain_message_is_refused(house, form):
    """M35: as initial response and as continuation; nothing of it is left for the next."""
    text = encoded(MALFORMED_PLAIN[form])
    visits = len(house.backend.visits())
    with house.connect() as client:
        client.line()
        assert client.command(f"AUTH PLAIN {text or '='}").startswith(b"-ERR")
        assert client.command("AUTH PLAIN") == b"+ \r\n"
        assert client.command(text).startswith(b"-ERR")
        assert client.command("PASS secret").startswith(b"-ERR")
        assert len(house.backend.visits()) == visits
        good = encoded(f"\0{house.user()}\0x")
        assert client.command("AUTH PLAIN") == b"+ \r\n"
        assert client.command(good) == b"+OK Logged in.\r\n"


# APOP.


@pytest.fixture
def apop_house(build_house, tmp):
    secrets = os.path.join(tmp, "secrets")
    with open(secrets, "w") as file:
        file.write(f"{USER}:{SECRET}\n")
    os.chmod(secrets, 0o600)
    return build_house({"auth": {"apop": True, "secrets": secrets}})


def challenge_of(client):
    greeting = client.line()
    match = re.search(rb" (<\S+>)\r\n$", greeting)
    assert match, greeting
    return match.group(1)


def digest(challenge, secret=SECRET):
    return hashlib.md5(challenge + secret.encode()).hexdigest()


def test_a_failed_apop_leaves_nothing_for_the_next_attempt(apop_house):
    """M40, A20: bad APOP, bad APOP, a mechanism that is off; then the good one works."""
    with apop_house.connect() as client:
        challenge = challenge_of(client)
        for bad in (digest(challenge, "wrong"), "0" * 32):
            assert client.command(f"APOP {USER} {bad}").startswith(b"-ERR")
        assert client.command("AUTH CRAM-MD5").startswith(b"-ERR")
        assert client.command("PASS x").startswith(b"-ERR")
        assert client.command(f"APOP {USER} {digest(challenge)}") == b"+OK Logged in.\r\n"
    (visit,) = apop_house.visits_of(USER)
    assert visit.passwords == [SECRET.encode()]


def test_challenges_have_the_form_clients_check(apop_house):
    """M41: <digits.digits@host>, never twice, with at least 64 random bits."""
    challenges = set()
    for _ in range(50):
        with apop_house.connect() as client:
            challenge = challenge_of(client)
        assert re.fullmatch(rb"<\d+\.\d+@pop\.example\.net>", challenge), challenge
        challenges.add(challenge)
    assert len(challenges) == 50
    digits = [sum(byte in b"0123456789" for byte in c) for c in challenges]
    assert max(digits) >= 20


def test_a_digest_is_good_for_one_connection_only(apop_house):
    """M36, M41: the answer to another connection's challenge is refused."""
    with apop_house.connect() as first, apop_house.connect() as second:
        stolen = digest(challenge_of(first))
        challenge_of(second)
        assert second.command(f"APOP {USER} {stolen}").startswith(b"-ERR")
        assert first.command(f"APOP {USER} {stolen}") == b"+OK Logged in.\r\n"
