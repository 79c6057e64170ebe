"""Lines and commands that broke other servers."""

import base64

import pytest


def test_an_endless_line_is_cut(house):
    """M10: 4 MiB without a line end cost one answer and no memory."""
    before, closed = house.bytes_at_work(), house.closed("line_too_long")
    for listener in ("plain", "pop3s"):
        with house.connect(listener) as client:
            client.line()
            try:
                for _ in range(64):
                    client.send(b"A" * 65536)
            except OSError:
                pass
            assert client.rest() == b"-ERR Line too long\r\n"
    house.check_memory(before, megabytes=8)
    house.wait_for_closed("line_too_long", closed + 2)


def test_a_command_of_255_octets_is_taken(house):
    """M11: RFC 2449 section 4 lets clients send as much."""
    with house.connect() as client:
        client.line()
        client.send(b"USER " + b"x" * 248 + b"\r\n")
        assert client.line() == b"+OK\r\n"
        assert client.command(f"USER {house.user()}") == b"+OK\r\n"
        assert client.command("PASS x") == b"+OK Logged in.\r\n"


@pytest.mark.parametrize("control", [0, 1, 7, 8, 9, 11, 13, 27, 31, 127])
def test_control_bytes_in_credentials_are_refused(house, control):
    """M12, M13, M15: what is routed, logged and forwarded is one string; a NUL or a TAB would make
    two of it."""
    visits = len(house.backend.visits())
    user, byte = house.user().encode(), bytes([control])
    with house.connect() as client:
        client.line()
        assert client.command(b"USER al" + byte + b"ice@example.org").startswith(b"-ERR")
        assert client.command(b"USER " + user + b"\0admin").startswith(b"-ERR")
        assert client.command(b"USER " + user) == b"+OK\r\n"
        assert client.command(b"PASS se" + byte + b"cret").startswith(b"-ERR")
        assert client.command(b"PASS secret").startswith(b"-ERR")  # USER is to be said again
        plain = base64.b64encode(b"\0" + user + b"\0se" + byte + b"cret")
        assert client.command(b"AUTH PLAIN " + plain).startswith(b"-ERR")
    with house.connect() as client:
        client.line()
        plain = base64.b64encode(b"\0us" + byte + b"er@example.org\0secret")
        assert client.command(b"AUTH PLAIN " + plain).startswith(b"-ERR")
        assert client.command(b"AUTH LOGIN").startswith(b"+ ")
        assert client.command(base64.b64encode(user + byte)).startswith(b"-ERR")
    assert len(house.backend.visits()) == visits


def test_a_tab_in_a_password_is_no_field_of_an_auth_protocol(house):
    """M15: Dovecot's CVE-2008-1218."""
    visits = len(house.backend.visits())
    with house.connect() as client:
        client.line()
        assert client.command(f"USER {house.user()}") == b"+OK\r\n"
        answer = client.command("PASS \tmaster_user=root\tskip_password_check=1")
        assert answer.startswith(b"-ERR")
    assert len(house.backend.visits()) == visits


def test_a_bare_cr_ends_no_line(house):
    """M14: two parsers with two line ends are two conversations."""
    with house.connect() as client:
        client.line()
        assert client.command(b"CAPA\rCAPA").startswith(b"-ERR")
        assert client.command("NOOP") == b"+OK\r\n"
        assert client.command(b"\rCAPA").startswith(b"-ERR")
        assert client.command("NOOP") == b"+OK\r\n"


def test_a_bare_lf_is_accepted_and_never_passed_on(house):
    """M14: some clients end lines with LF alone; backends get CRLF."""
    user = house.user()
    with house.connect() as client:
        client.line()
        client.send(f"USER {user}\nPASS a b\n".encode())
        assert client.line() == b"+OK\r\n"
        assert client.line() == b"+OK Logged in.\r\n"
    (visit,) = house.visits_of(user)
    assert b"USER " + user.encode() + b"\r\nPASS a b\r\n" in bytes(visit.clear)


NAMES_THAT_WERE_CODE = [
    "%n%n%s%s", "%{env:PATH}", "%999999999u", "' OR '1'='1", "a*)(uid=*", "../../etc/passwd",
    "${jndi:ldap://127.0.0.1/x}", "$(reboot)", "a;DROP TABLE users", "<script>alert(1)</script>",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES_THAT_WERE_CODE, ids=range(len(NAMES_THAT_WERE_CODE)))
def test_a_name_is_never_code(house, name):
    """M16: unknown names fail plainly; known ones reach the backend as they are."""
    with house.connect() as client:
        client.line()
        assert client.command(f"USER {name}") == b"+OK\r\n"
        assert client.command("PASS wrong") == b"-ERR [AUTH] Authentication failed.\r\n"
        user = f"{name}@example.org"
        assert client.command(f"USER {user}") == b"+OK\r\n"
        assert client.command("PASS %n%s") == b"+OK Logged in.\r\n"
        assert client.command("QUIT") == b"+OK bye\r\n"
    assert house.visits_of(user)[-1].passwords == [b"%n%s"]
    record = house.wait_for_record(user=user.replace('"', "'"))
    assert record["reason"] == "quit"


RUBBISH = [b"\xff\xfe\xfd", b"\xc3", b"\xe2\x80", b"\xf0\x9f\x92", b"\xc0\xaf", b"\x80" * 200]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=range(len(RUBBISH)))
def test_rubbish_in_names_and_passwords_is_an_ordinary_failure(house, rubbish):
    """M17: invalid and truncated UTF-8."""
    with house.connect() as client:
        client.line()
        client.command(b"USER " + rubbish)
        assert client.command(b"PASS " + rubbish).startswith(b"-ERR")
        client.command(b"USER " + rubbish + b"@example.org")
        assert client.command(b"PASS wrong" + rubbish).startswith(b"-ERR")
        plain = base64.b64encode(b"\0" + rubbish + b"\0" + rubbish)
        assert client.command(b"AUTH PLAIN " + plain).startswith(b"-ERR")


ODD_LINES = [
    b"", b" ", b"   ", b"FOO:BAR", b":", b"RETR -1", b"TOP 1 99999999999999999999", b"RETR",
    b"USER", b"PASS", b"APOP", b"AUTH =", b"LIST 0", b"\x00", b"\x7f\x7f", b"\xff", b"CAPA x y",
    b"QUITQUIT", b"XCLIENT ADDR=127.0.0.1", b"HELO x", b"UIDL 18446744073709551617",
]  # fmt: skip


def test_odd_lines_are_answered(house):
    """M18: each of these once made a server assert; before the login and after it."""
    for line in ODD_LINES:
        with house.connect("pop3s") as client:
            client.line()
            client.send(line + b"\r\n")
            assert client.line()[:3] in (b"+OK", b"-ER"), line
        with house.connect("pop3s") as client:
            client.line()
            client.send(line + b"\r\n")  # and gone at once
        with house.log_in("pop3s") as client:
            client.send(line + b"\r\nSTAT\r\n")
            assert client.line()[:3] in (b"+OK", b"-ER"), line


PASSWORDS = {
    "spaces": "a b  c ",
    "leading space": " leading",
    "only spaces": "  ",
    "equals": "=",
    "star": "*",
    "long": "a" * 200,
    "UTF-8": "\u00e4\u20ac\U0001f600",
}


@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS.keys())
def test_every_letter_of_a_password_counts(house, password):
    """M21: spaces, also the last one, by USER/PASS and by SASL."""
    raw = password.encode()
    users = [house.user() for _ in range(3)]
    with house.connect() as client:
        client.line()
        assert client.command(f"USER {users[0]}") == b"+OK\r\n"
        assert client.command(b"PASS " + raw) == b"+OK Logged in.\r\n"
    with house.connect() as client:
        client.line()
        plain = base64.b64encode(b"\0" + users[1].encode() + b"\0" + raw)
        assert client.command(b"AUTH PLAIN " + plain) == b"+OK Logged in.\r\n"
    with house.connect() as client:
        client.line()
        assert client.command("AUTH LOGIN").startswith(b"+ ")
        assert client.command(base64.b64encode(users[2].encode())).startswith(b"+ ")
        assert client.command(base64.b64encode(raw)) == b"+OK Logged in.\r\n"
    for user in users:
        assert [v.passwords for v in house.visits_of(user)] == [[raw]]


def test_the_tenth_bad_command_ends_the_session(house):
    """M22: nobody guesses protocols, or passwords, for long."""
    before = house.closed("too_many_bad_commands")
    with house.connect("pop3s") as client:
        client.line()
        client.send(b"NONSENSE\r\n" * 30)
        answers = client.rest().split(b"\r\n")
        assert len(answers) == 11 and answers[-1] == b""
        assert all(answer.startswith(b"-ERR") for answer in answers[:-1])
    house.wait_for_closed("too_many_bad_commands", before + 1)


def test_refused_logins_are_limited(house):
    """M22: the third refusal is the last word."""
    with house.connect() as client:
        client.line()
        client.send(b"USER u@example.org\r\nPASS wrong\r\n" * 5)
        answers = client.rest().split(b"\r\n")
        assert answers == [b"+OK", b"-ERR [AUTH] Authentication failed."] * 3 + [b""]


def test_mail_commands_need_a_login(house):
    """M23: the state comes first."""
    with house.connect() as client:
        client.line()
        for command in ("STAT", "LIST", "RETR 1", "UIDL", "DELE 1", "TOP 1 0", "RSET", "PASS x"):
            assert client.command(command).startswith(b"-ERR"), command
        assert client.command("CAPA").startswith(b"+OK")
        client.body()
        assert client.command("QUIT").startswith(b"+OK")
        assert client.rest() == b"" and client.end == "fin"


@pytest.mark.parametrize("listener", ["plain", "pop3", "pop3s"])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "DELETE"])
def test_a_browser_gets_nothing_to_show(house, listener, method):
    """M24: ALPACA; an HTTP method ends it, and no byte of the request comes back."""
    before = house.closed("client_not_pop3")
    request = f"{method} /<script>alert(1)</script> HTTP/1.1\r\nHost: x\r\n\r\n<script>\r\n"
    with house.connect(listener) as client:
        client.line()
        client.send(request.encode())
        assert client.rest() == b""
    house.wait_for_closed("client_not_pop3", before + 1)
