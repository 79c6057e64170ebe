"""Every fault of a backend: what the client sees, what the metrics say, what the backend was told.

The table EXPECTED has one row per fault. The tests run it over plain, STLS and TLS backends, with
clients that wait and clients that leave.
"""

import dataclasses
import time

import pytest
from harness import wait_until
from harness.wire import Wire

from .faulty_upstream import ALL_MODES, CUT, CUT_AT_LINE_END, FAULTS, GOODBYE, HIDDEN, SILENT
from .pop3_backend import default_messages, dot_stuffed
from .world import STEP_SECONDS, cells

UNAVAILABLE = b"-ERR [SYS/TEMP] Account is temporarily unavailable\r\n"
PASSWORD = "open sesame  with spaces "


@dataclasses.dataclass(frozen=True)
class Works:
    """Odd, but good."""


@dataclasses.dataclass(frozen=True)
class Unavailable:
    """No verdict on the credentials: [SYS/TEMP], never [AUTH]."""

    reason: str
    tries: int = 2
    password: bool = False  # the backend has been given it


@dataclasses.dataclass(frozen=True)
class Refused:
    """The backend judged: its words reach the client, cleaned."""

    reply: bytes
    password: bool = True


@dataclasses.dataclass(frozen=True)
class Breaks:
    """The login works; `command` then gets `answer` and the connection ends: with a reset when
    inside a response, in order when between two."""

    command: bytes
    answer: bytes
    inside: bool
    closed: str


def unavailable_with_password(reason):
    return Unavailable(reason, tries=1, password=True)


EXPECTED = {
    # Odd, but good.
    "none": Works(),
    "slow-greeting": Works(),
    "slow-pass": Works(),
    "drip-everything": Works(),
    "split-greeting": Works(),
    "greeting-lf-only": Works(),
    "capa-refused": Works(),
    # Connecting and greeting: asked twice, and no credentials were shown.
    "refuse": Unavailable("refused"),
    "blackhole": Unavailable("connect_timeout"),
    "no-greeting": Unavailable("greeting_timeout"),
    "drip-greeting-forever": Unavailable("greeting_timeout"),
    "err-greeting": Unavailable("bad_greeting"),
    "garbage-greeting": Unavailable("bad_greeting"),
    "http-greeting": Unavailable("bad_greeting"),
    "nul-greeting": Unavailable("bad_greeting"),
    "long-greeting": Unavailable("bad_greeting"),
    "multi-greeting": Unavailable("extra_lines"),
    "close-before-greeting": Unavailable("closed"),
    "reset-before-greeting": Unavailable("closed"),
    "close-in-greeting": Unavailable("closed"),
    # TLS: a wrong certificate does not get better by asking again.
    "stls-refuse": Unavailable("stls_refused", tries=1),
    "stls-garbage": Unavailable("stls_refused", tries=1),
    "stls-inject": Unavailable("extra_lines"),
    "stls-plaintext-later": Unavailable("tls", tries=1),
    "stls-stall": Unavailable("greeting_timeout"),
    "stls-handshake-stall": Unavailable("greeting_timeout"),
    "stls-close": Unavailable("closed"),
    "plaintext-on-tls": Unavailable("tls", tries=1),
    "handshake-stall": Unavailable("greeting_timeout"),
    "handshake-close": Unavailable("closed"),
    "handshake-reset": Unavailable("closed"),
    "certificate-expired": Unavailable("tls", tries=1),
    "certificate-wrong-name": Unavailable("tls", tries=1),
    "certificate-unknown-ca": Unavailable("tls", tries=1),
    "certificate-self-signed": Unavailable("tls", tries=1),
    "tls-1.1-only": Unavailable("tls", tries=1),
    # The login: once the password is out, nobody else is asked.
    "no-capa-reply": Unavailable("login_timeout"),
    "capa-garbage": Unavailable("bad_reply"),
    "capa-without-end": Unavailable("login_timeout"),
    "capa-long-line": Unavailable("bad_reply"),
    "capa-and-more": Unavailable("extra_lines"),
    "capa-flood": Unavailable("bad_reply"),
    "no-user-reply": Unavailable("login_timeout"),
    "user-and-more": Unavailable("extra_lines"),
    "user-long-reply": Unavailable("bad_reply"),
    "close-after-user": Unavailable("closed"),
    "no-pass-reply": unavailable_with_password("login_timeout"),
    "drip-pass-forever": unavailable_with_password("login_timeout"),
    "garbage-pass": unavailable_with_password("bad_reply"),
    "continue-pass": unavailable_with_password("bad_reply"),
    "okay-pass": unavailable_with_password("bad_reply"),
    "nul-pass": unavailable_with_password("bad_reply"),
    "err-pass-long": unavailable_with_password("bad_reply"),
    "close-after-pass": unavailable_with_password("closed"),
    "reset-after-pass": unavailable_with_password("closed"),
    "close-in-pass-reply": unavailable_with_password("closed"),
    "pipelined-close": unavailable_with_password("closed"),
    # Judged: the backend's own words and codes.
    "err-user": Refused(b"-ERR [AUTH] no such mailbox\r\n", password=False),
    "pipelined-err-user": Refused(b"-ERR [AUTH] no such mailbox\r\n"),
    "err-pass": Refused(b"-ERR [AUTH] Authentication failed.\r\n"),
    "err-in-use": Refused(b"-ERR [IN-USE] Mailbox is locked by another session\r\n"),
    "err-sys-temp": Refused(b"-ERR [SYS/TEMP] Come back later\r\n"),
    "err-login-delay": Refused(b"-ERR [LOGIN-DELAY] Not more than once a minute\r\n"),
    "err-format": Refused(b"-ERR %n%n%s %{env:PATH} ${jndi:ldap://x}\r\n"),
    "err-pass-2000": Refused(b"-ERR [AUTH] " + b"m" * (512 - 12 - 2) + b"\r\n"),
    "err-pass-controls": Refused(b"-ERR [AUTH] no?[31m???+OK \xe2\x80\xaein?\r\n"),
    "err-pass-and-more": Refused(b"-ERR [AUTH] no\r\n"),
    # After the login.
    # What answers what is unknown from then on, so no end can be taken for a clean one.
    "extra-after-pass": Breaks(b"QUI", b"+OK extra\r\n", True, "upstream_truncated"),
    "fin-after-login": Breaks(b"", b"", False, "upstream_closed"),
    "reset-after-login": Breaks(b"", b"", False, "upstream_closed"),
    "fin-mid-retr": Breaks(b"RETR 1\r\n", CUT, True, "upstream_truncated"),
    "fin-mid-retr-at-line-end": Breaks(
        b"RETR 1\r\n", CUT_AT_LINE_END, True, "upstream_truncated"
    ),
    "fin-mid-status": Breaks(b"STAT\r\n", b"+OK 2 1", True, "upstream_truncated"),
    "close-notify-mid-retr": Breaks(b"RETR 1\r\n", CUT, True, "upstream_truncated"),
    "reset-mid-retr": Breaks(b"RETR 1\r\n", CUT, True, "upstream_truncated"),
    "broken-record-mid-retr": Breaks(b"RETR 1\r\n", CUT, True, "upstream_truncated"),
    "stall-mid-retr": Breaks(b"RETR 1\r\n", CUT, True, "idle_timeout"),
    "line-without-end": Breaks(
        b"RETR 1\r\n", b"+OK\r\n" + b"e" * (128 * 65536), True, "upstream_truncated"
    ),
    "goodbye": Breaks(b"NOOP\r\n", GOODBYE, False, "upstream_closed"),
    "fin-between-responses": Breaks(b"NOOP\r\n", b"+OK\r\n", False, "upstream_closed"),
    "close-notify-between-responses": Breaks(b"NOOP\r\n", b"+OK\r\n", False, "upstream_closed"),
    "reset-between-responses": Breaks(b"NOOP\r\n", b"+OK\r\n", False, "upstream_closed"),
    "fin-instead-of-response": Breaks(b"NOOP\r\n", b"", False, "upstream_closed"),
    "fin-on-quit": Breaks(b"QUIT\r\n", b"", False, "upstream_closed"),
    "reset-on-quit": Breaks(b"QUIT\r\n", b"", False, "upstream_closed"),
    "stall-on-quit": Breaks(b"QUIT\r\n", b"", False, "idle_timeout"),
}


def faults(kind):
    return [name for name, expected in EXPECTED.items() if isinstance(expected, kind)]


def each_cell(kind):
    return pytest.mark.parametrize(
        ("fault", "mode"), cells(faults(kind)), ids=lambda value: str(value)
    )


def check_what_the_backend_was_told(world, cell, password):
    """The password at most once and only to this backend, nothing in the clear that belongs
    inside TLS, and no QUIT that no client said."""
    visits = world.finished_visits(cell)
    offered = [p for visit in visits for p in visit.passwords]
    assert offered == ([PASSWORD.encode()] if password else [])
    for visit in visits:
        assert not visit.quit
        if world.backends[cell].mode == "stls":
            assert b"USER" not in visit.clear.upper() and b"PASS" not in visit.clear.upper()
            assert b"sesame" not in visit.clear
        if world.backends[cell].mode == "tls":
            assert visit.clear[:1] in (b"", b"\x16"), "something other than TLS was sent"
    return visits


def test_there_is_a_row_for_every_fault():
    assert sorted(EXPECTED) == sorted(FAULTS)
    assert len(FAULTS) >= 25


def test_what_only_a_deadline_ends_is_known():
    reasons = {name: getattr(row, "reason", getattr(row, "closed", "")) for name, row in EXPECTED.items()}
    assert {name for name, reason in reasons.items() if "timeout" in reason} == SILENT


@each_cell(Works)
def test_odd_backends_are_good_enough(world, fault, mode):
    """F07: a slow greeting is a greeting; dripped, split and LF-only replies are replies."""
    cell = f"{fault}.{mode}"
    world.begin(cell)
    user = f"bert@{cell}.direct"
    with Wire(world.port("pop3s"), tls=True) as client:
        assert client.log_in(user, PASSWORD) == b"+OK Logged in.\r\n"
        message = default_messages(user)[0]
        assert client.command("RETR 1") == b"+OK %d octets\r\n" % len(message)
        assert client.body() == dot_stuffed(message) + b".\r\n"
        assert client.command("QUIT") == b"+OK bye\r\n"
        assert client.rest() == b"" and client.end == "close_notify"
    visits = world.finished_visits(cell)
    assert [v.passwords for v in visits] == [[PASSWORD.encode()]]
    assert visits[0].quit
    world.wait_until_nobody_is_left()
    assert world.errors(cell) == {}
    assert world.closed() == {"quit": 1}


@each_cell(Unavailable)
def test_a_backend_without_a_verdict_is_a_passing_trouble(world, fault, mode):
    """F05, F06, F07, F08, F09, F13, U01-U05, U10, U11, U14."""
    cell, expected = f"{fault}.{mode}", EXPECTED[fault]
    world.begin(cell)
    started = time.monotonic()
    with Wire(world.port("plain")) as client:
        assert client.log_in(f"bert@{cell}.direct", PASSWORD) == UNAVAILABLE
        assert client.rest() == b"" and client.end == "fin"
    took = time.monotonic() - started
    # The steps' own deadlines ended it, not the 100 s that the client has in all.
    assert took < expected.tries * (2 * STEP_SECONDS + 0.1) + 60
    check_what_the_backend_was_told(world, cell, expected.password)
    world.wait_until_nobody_is_left()
    assert world.errors(cell) == {expected.reason: expected.tries}
    assert world.closed() == {"upstream_unavailable": 1}
    assert world.changes("postern_backend_logins_total", "result", backend=cell) == {
        "unavailable": 1
    }


@each_cell(Refused)
def test_a_refusal_keeps_the_words_of_the_backend(world, fault, mode):
    """F10, U13: codes pass through; one line, printable, at most 512 octets; and the next login
    of the same session is a new question."""
    cell, expected = f"{fault}.{mode}", EXPECTED[fault]
    world.begin(cell)
    with Wire(world.port("plain")) as client:
        answer = client.log_in(f"bert@{cell}.direct", PASSWORD)
        assert answer == expected.reply
        assert len(answer) <= 512 and answer.startswith(b"-ERR")
        check_what_the_backend_was_told(world, cell, expected.password)
        # Not an answer that was left over from the first question.
        assert client.command(f"USER carla@none.{mode}.direct") == b"+OK\r\n"
        assert client.command("PASS x") == b"+OK Logged in.\r\n"
        assert client.command("QUIT") == b"+OK bye\r\n"
    world.wait_until_nobody_is_left()
    assert world.errors(cell) == {}
    # Trouble of the backend's own is told from wrong passwords.
    result = "sys" if fault == "err-sys-temp" else "refused"
    assert world.changes("postern_backend_logins_total", "result", backend=cell) == {result: 1}


@pytest.mark.parametrize(
    ("fault", "mode"), cells(["err-sys-temp"]), ids=lambda value: str(value)
)
def test_trouble_of_the_backend_is_no_wrong_password(world, fault, mode):
    """A refused login in between does not count with it; as many of them end the session."""
    cell = f"{fault}.{mode}"
    world.begin(cell)
    with Wire(world.port("plain")) as client:
        for number, user in enumerate((cell, cell, f"err-pass.{mode}", cell)):
            answer = client.log_in(f"bert@{user}.direct", PASSWORD, greeted=number > 0)
            assert answer.startswith(b"-ERR ["), answer
        assert client.rest() == b"" and client.end == "fin"
    world.wait_until_nobody_is_left()
    assert world.closed() == {"upstream_unavailable": 1}
    assert world.changes("postern_backend_logins_total", "result", backend=cell) == {"sys": 3}
    assert world.changes("postern_listener_logins_total", "result") == {"sys": 3, "refused": 1}


@pytest.mark.parametrize("client_tls", [False, True], ids=["client-plain", "client-tls"])
@each_cell(Breaks)
def test_a_backend_lost_after_the_login_is_never_a_silent_truncation(
    world, fault, mode, client_tls
):
    """F11, F12: what arrived is delivered; then a reset inside a response, also on TLS and without
    close_notify, and an orderly end between two."""
    cell, expected = f"{fault}.{mode}", EXPECTED[fault]
    world.begin(cell)
    with Wire(world.port("pop3s" if client_tls else "plain"), tls=client_tls) as client:
        assert client.log_in(f"bert@{cell}.direct", PASSWORD) == b"+OK Logged in.\r\n"
        client.send(expected.command)
        answer = client.receive(len(expected.answer))
        if fault == "extra-after-pass":
            client.half_close()
        answer += client.rest()
        if len(expected.answer) < 65536:
            assert answer == expected.answer
        else:
            # A reset overtakes what the client's kernel has not taken yet.
            assert expected.answer.startswith(answer)
        if expected.inside:
            assert client.end == "reset"
        else:
            assert client.end == ("close_notify" if client_tls else "fin")
    visits = world.finished_visits(cell)
    assert len(visits) == 1 and visits[0].passwords == [PASSWORD.encode()]
    assert visits[0].quit == (expected.command == b"QUIT\r\n")
    world.wait_until_nobody_is_left()
    assert world.closed() == {expected.closed: 1}
    assert world.changes("postern_backend_sessions_closed_total", "reason", backend=cell) == {
        expected.closed: 1
    }
    assert world.errors(cell) == {}


@pytest.mark.parametrize(
    ("fault", "mode", "how"),
    [(*cell, how) for cell in cells(faults((Unavailable, Refused))) for how in ("reset", "fin")
     if how == "reset" or cell[1] == "plain"],
)  # fmt: skip
def test_a_client_that_leaves_during_the_login_leaves_nothing_behind(world, fault, mode, how):
    """U10, A05: the upstream is given up without a QUIT; every gauge returns to zero; exactly one
    reason is counted."""
    cell = f"{fault}.{mode}"
    world.begin(cell)
    client = Wire(world.port("pop3s"), tls=True)
    client.line()
    client.send(f"USER bert@{cell}.direct\r\nPASS {PASSWORD}\r\n".encode())
    if FAULTS[fault].listening == "yes":
        world.wait_for_visits(cell)
    if how == "reset":
        client.reset()
    else:
        client.half_close()
    world.wait_until_nobody_is_left()
    client.close()
    visits = world.finished_visits(cell)
    assert sum(len(visit.passwords) for visit in visits) <= 1
    assert not any(visit.quit for visit in visits)
    assert sum(world.closed().values()) == 1


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_login_that_ends_in_an_empty_chair_ends_without_quit(world, mode, how):
    """U10, F36: the backend says +OK to a client that has gone meanwhile."""
    cell = f"slow-pass.{mode}"
    world.begin(cell)
    client = Wire(world.port("pop3s"), tls=True)
    client.line()
    client.send(f"USER bert@{cell}.direct\r\nPASS x\r\nDELE 1\r\nQUI".encode())
    world.wait_for_visits(cell)
    getattr(client, how)()
    world.wait_until_nobody_is_left()
    (visit,) = world.finished_visits(cell)
    assert not visit.quit
    assert world.backends[cell].maildrops.deletions(f"bert@{cell}.direct") == []
    assert sum(world.closed().values()) == 1


@pytest.mark.parametrize("client_tls", [False, True], ids=["client-plain", "client-tls"])
@pytest.mark.parametrize("mode", ALL_MODES)
def test_a_session_sent_ahead_waits_for_a_slow_backend(world, mode, client_tls):
    """U17, F37: everything up to QUIT and the end of the client's direction, before the backend has
    even answered; all of it is delivered and answered."""
    cell = f"slow-pass.{mode}"
    world.begin(cell)
    user = f"ahead{client_tls}@{cell}.direct"
    with Wire(world.port("pop3s" if client_tls else "plain"), tls=client_tls) as client:
        assert client.line().startswith(b"+OK")
        client.send(f"USER {user}\r\nPASS x\r\nDELE 1\r\nNOOP\r\nQUIT\r\n".encode())
        if client_tls:
            client.send_raw(client.raw_close_notify())
        client.half_close()
        expected = b"+OK\r\n+OK Logged in.\r\n+OK\r\n+OK\r\n+OK bye\r\n"
        assert client.rest() == expected
        assert client.end == ("close_notify" if client_tls else "fin")
    world.finished_visits(cell)
    assert world.backends[cell].maildrops.deletions(user) == [(user, 1)]


def before_and_after_the_password():
    modes = {name: ("plain" if "plain" in FAULTS[name].modes else FAULTS[name].modes[0])
             for name in faults((Unavailable, Refused))}  # fmt: skip
    return sorted(modes.items())


@pytest.mark.parametrize(("fault", "mode"), before_and_after_the_password())
def test_another_backend_is_tried_only_while_the_password_is_ours(world, fault, mode):
    """F38 and invariant 6: a password goes to the next backend only if the first never got it, and
    nobody is asked again after a verdict."""
    cell, expected = f"{fault}.{mode}", EXPECTED[fault]
    world.begin(cell)
    with Wire(world.port("plain")) as client:
        answer = client.log_in(f"bert@{cell}.failover", PASSWORD)
        if isinstance(expected, Refused):
            assert answer == expected.reply
        elif expected.password:
            assert answer == UNAVAILABLE
        else:
            assert answer == b"+OK Logged in.\r\n"
            assert client.command("QUIT") == b"+OK bye\r\n"
            assert [v.passwords for v in world.spare.visits()] == [[PASSWORD.encode()]]
            assert sum(len(v.passwords) for v in world.finished_visits(cell)) == 0
            return
        assert world.spare.visits() == []
    assert sum(len(v.passwords) for v in world.finished_visits(cell)) <= 1


@pytest.mark.parametrize(
    ("fault", "mode"),
    [("stls-inject", "stls"), ("plaintext-on-tls", "tls"), ("multi-greeting", "plain")],
)
def test_no_byte_of_an_injection_reaches_a_client(world, fault, mode):
    """U01, U02, U14: what a backend says out of turn is never shown to anybody."""
    with Wire(world.port("plain")) as client:
        greeting = client.line()
        assert greeting.startswith(b"+OK") and greeting not in HIDDEN
        client.send(f"USER bert@{fault}.{mode}.direct\r\nPASS x\r\n".encode())
        assert client.rest() == b"+OK\r\n" + UNAVAILABLE


@pytest.mark.parametrize("mode", ["stls", "tls"])
@pytest.mark.parametrize(
    ("kind", "word"),
    [("expired", "expired"), ("wrong-name", "mismatch"), ("unknown-ca", "issuer"),
     ("self-signed", "self")],
)  # fmt: skip
def test_a_certificate_error_is_named_in_the_log_and_not_to_the_client(world, mode, kind, word):
    """U11: each kind of wrong certificate has its own words in the session log."""
    user = f"named@certificate-{kind}.{mode}.direct"
    with Wire(world.port("plain")) as client:
        assert client.log_in(user) == UNAVAILABLE

    def logged():
        return [line for line in world.proxy.session_lines() if f"user={user}" in line]

    line = wait_until(logged, 60, f"a log line for {user}")[0]
    assert word in line.lower(), line
    assert "reason=upstream_unavailable" in line
    assert "secret" not in line


def test_every_mode_knows_every_general_fault():
    general = [name for name, spec in FAULTS.items() if spec.modes == ALL_MODES]
    assert len(general) >= 25
