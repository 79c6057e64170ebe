"""The border between plaintext and TLS."""

import pytest


@pytest.mark.parametrize(
    "input",
    [
        b"STLS\r\nCAPA\r\nNOOP\r\n",
        b"STLS\r\nUSER victim@example.org\r\n",
        b"STLS\r\n\r\n",
        b"stls\nCAPA\n",
        b"CAPA\r\nSTLS\r\nQ",
        b"STLS\r\n\x16\x03\x01",
    ],
    ids=["commands", "user", "empty line", "LF", "pipelined", "hello"],
)
def test_bytes_behind_stls_close_the_connection(house, input):
    """M01, M02: what came in the clear behind STLS is never read as if it had come through TLS."""
    before = house.count("postern_listener_stls_injections_total")
    with house.connect("pop3") as client:
        assert client.line().startswith(b"+OK")
        client.send(input)
        answer = client.rest()
        assert b"Begin TLS" not in answer
        assert answer.count(b"+OK") == (1 if input.startswith(b"CAPA") else 0)
    assert house.count("postern_listener_stls_injections_total") == before + 1


def test_a_user_from_before_stls_is_forgotten(house):
    """M03: RFC 3207 4.2 asks the same of SMTP; PASS alone inside TLS is no login."""
    user = house.user()
    with house.connect("open") as client:
        client.line()
        assert client.command(f"USER {user}") == b"+OK\r\n"
        assert client.command("STLS").startswith(b"+OK")
        client.handshake()
        assert client.command("PASS secret").startswith(b"-ERR")
        assert house.visits_of(user) == []
        assert client.command(f"USER {user}") == b"+OK\r\n"
        assert client.command("PASS secret") == b"+OK Logged in.\r\n"


def test_a_sasl_exchange_from_before_stls_is_forgotten(house):
    """M03: an AUTH that waited for its answer does not wait for it inside TLS."""
    with house.connect("open") as client:
        client.line()
        assert client.command("AUTH PLAIN") == b"+ \r\n"
        assert client.command("STLS").startswith(b"-ERR")  # taken for the answer, and refused
        assert client.command("STLS").startswith(b"+OK")
        client.handshake()
        assert client.command("AHUAcA==").startswith(b"-ERR")


@pytest.mark.parametrize("listener", ["pop3s", "pop3"])
def test_tls_inside_tls_is_not_to_be_had(house, listener):
    """M04: no STLS in the capabilities inside TLS, a second STLS is refused, life goes on."""
    with house.connect(listener) as client:
        client.line()
        if listener == "pop3":
            assert client.command("STLS").startswith(b"+OK")
            client.handshake()
        assert client.command("CAPA").startswith(b"+OK")
        assert b"STLS" not in client.body()
        assert client.command("STLS").startswith(b"-ERR")
        assert client.command(f"USER {house.user()}") == b"+OK\r\n"
        assert client.command("PASS x") == b"+OK Logged in.\r\n"


def test_stls_after_the_login_is_refused(house):
    """M05: no second TLS begins on a joined session."""
    for listener in ("pop3s", "open"):
        with house.log_in(listener) as client:
            assert client.command("STLS").startswith(b"-ERR")
            assert client.command("STAT").startswith(b"+OK 2 ")


def test_no_answer_in_the_clear_after_stls(house):
    """M06: after +OK there is TLS or the end, whatever the client says."""
    with house.connect("pop3") as client:
        client.line()
        assert client.command("STLS").startswith(b"+OK")
        client.send(b"CAPA\r\n")
        answer = client.rest()
        assert b"+OK" not in answer and b"-ERR" not in answer
        assert answer[:1] in (b"", b"\x15")  # nothing, or a TLS alert


def test_plaintext_in_front_of_the_handshake_ends_it(house):
    """M02: a late injection, in front of the ClientHello, is no ClientHello."""
    with house.connect("pop3") as client:
        client.line()
        assert client.command("STLS").startswith(b"+OK")
        client.send_raw(b"USER victim@example.org\r\n")
        try:
            client.handshake()
            answer = client.command("PASS x")
        except OSError:
            answer = b""
        assert not answer.startswith(b"+OK")


def test_no_credentials_before_stls(house):
    """T01: where TLS is required every way to log in is refused, and none is announced."""
    user = house.user()
    with house.connect("pop3") as client:
        client.line()
        assert client.command("CAPA").startswith(b"+OK")
        capabilities = client.body().split(b"\r\n")
        assert b"STLS" in capabilities
        assert b"USER" not in capabilities
        assert not any(line.startswith(b"SASL") for line in capabilities)
        for command in (
            f"USER {user}", "PASS x", f"APOP {user} {'0' * 32}", "AUTH", "AUTH PLAIN",
            "AUTH PLAIN AHUAcA==", "AUTH LOGIN",
        ):  # fmt: skip
            assert client.command(command).startswith(b"-ERR"), command
        assert house.visits_of(user) == []
        assert client.command("STLS").startswith(b"+OK")
        client.handshake()
        assert client.command("CAPA").startswith(b"+OK")
        capabilities = client.body().split(b"\r\n")
        assert b"USER" in capabilities and b"SASL PLAIN LOGIN" in capabilities
