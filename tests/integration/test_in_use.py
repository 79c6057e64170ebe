"""Several mail programs of one user, at backends that lock maildrops, where the pool conciliates."""

import os
import re
import socket
import struct
import threading
import time

import pytest

from harness import Pop3Connection
from harness.census import Census
from harness.dovecot import Dovecot
from harness.waiting import wait_until

PASSWORD = "secret"
USER = "anna@x.test"
LOCKED = b"-ERR [IN-USE] locked"


@pytest.fixture
def census():
    stores = Census(names=("mail1",), locks=True)
    yield stores
    stores.stop()


def config(port, in_use):
    pool = {"name": "mail", "backends": [{"name": "mail1", "address": f"127.0.0.1:{port}"}]}
    if in_use is not None:
        pool["in_use"] = in_use
    return {"workers": 4, "pool": [pool], "route": [{"users": "*", "pool": "mail"}]}


def launch(start_proxy, census, in_use):
    return start_proxy(config(census.ports["mail1"], in_use))


def connect(port, user=USER):
    client = Pop3Connection(port)
    assert client.login(user, PASSWORD).startswith(b"+OK")
    return client


def begin(port, user=USER):
    """A login whose answer is still to be read."""
    client = Pop3Connection(port, timeout=60)
    client.ok(f"USER {user}")
    client.send(f"PASS {PASSWORD}\r\n".encode())
    return client


def wait_until_locked_out(census, user=USER, times=1):
    wait_until(
        lambda: census.locked_out.count((user, "mail1")) >= times, 60, lambda: f"{user} at {census.locked_out}"
    )


def waits(proxy, result):
    return proxy.metrics().get("postern_backend_in_use_waits_total", backend="mail1", result=result)


def reason_of(line):
    return re.search(r" reason=(\w+)", line).group(1)


def test_off_by_default(start_proxy, census):
    proxy = launch(start_proxy, census, None)
    with connect(proxy.ports["plain"]) as first, Pop3Connection(proxy.ports["plain"]) as second:
        assert second.login(USER, PASSWORD) == LOCKED
        assert first.command("NOOP").startswith(b"+OK")
    assert len(census.locked_out) == 1
    assert waits(proxy, "gave_up") == 0


def test_the_second_waits_for_the_first(start_proxy, census):
    """Many users, so that the two sessions of some are on different workers."""
    proxy = launch(start_proxy, census, {"wait": "50s"})
    users = [f"user{i}@x.test" for i in range(16)]
    firsts = {user: connect(proxy.ports["plain"], user) for user in users}
    seconds = {user: begin(proxy.ports["plain"], user) for user in users}
    for user in users:
        wait_until_locked_out(census, user)
        assert firsts[user].command("NOOP").startswith(b"+OK")
    for user in users:
        assert firsts[user].quit().startswith(b"+OK")
        assert seconds[user].line().startswith(b"+OK"), user
        assert seconds[user].command("NOOP").startswith(b"+OK")
        seconds[user].quit()
    lines = proxy.session_lines(2 * len(users))
    assert {reason_of(line) for line in lines} == {"quit"}, lines
    # Who waited is not counted as refused, and the log says how long it took.
    assert sum(" in_use_ms=" in line for line in lines) == len(users), lines
    assert not any(" refused=" in line for line in lines), lines
    assert waits(proxy, "logged_in") == len(users)
    metrics = proxy.metrics()
    assert metrics.get("postern_backend_in_use_seconds_count", backend="mail1") == len(users)
    assert metrics.get("postern_listener_logins_total", listener="plain", result="refused") == 0


def test_what_the_backend_says_last_is_told(start_proxy, census):
    proxy = launch(start_proxy, census, {"wait": "1s"})
    with connect(proxy.ports["plain"]) as first, begin(proxy.ports["plain"]) as second:
        assert second.line() == LOCKED
        # It may go on, as after any refusal.
        assert second.command("CAPA").startswith(b"+OK")
        assert first.command("NOOP").startswith(b"+OK")
    assert waits(proxy, "gave_up") == 1
    metrics = proxy.metrics()
    assert metrics.get("postern_backend_logins_total", backend="mail1", result="refused") == 1
    assert proxy.metrics().get("postern_listener_logins_total", listener="plain", result="refused") == 1


def test_an_idle_session_gives_way(start_proxy, census):
    proxy = launch(start_proxy, census, {"wait": "50s", "end_idle": "1s"})
    with connect(proxy.ports["plain"]) as first, connect(proxy.ports["plain"], "bert@x.test") as other:
        with begin(proxy.ports["plain"]) as second:
            assert second.line().startswith(b"+OK")
            assert first.at_end(), "an orderly end"
            second.quit()
        assert other.command("NOOP").startswith(b"+OK"), "whoever is idle as somebody else stays"
        lines = proxy.session_lines(2)
        assert sorted(map(reason_of, lines)) == ["quit", "superseded"], lines
    proxy.wait_for_metric(1, "postern_backend_sessions_closed_total", backend="mail1", reason="superseded")
    assert waits(proxy, "logged_in") == 1


def test_a_name_alone_ends_nobody(start_proxy, census):
    """Only the backend's IN-USE says that the credentials are good."""
    proxy = launch(start_proxy, census, {"wait": "50s", "end_idle": "1s"})
    with connect(proxy.ports["plain"]) as first:
        logged_in = time.monotonic()
        wait_until(lambda: time.monotonic() - logged_in > 2, 60, "a session that is idle for long")
        for _ in range(3):
            census.answers[USER] = [b"-ERR [AUTH] wrong\r\n"]
            with Pop3Connection(proxy.ports["plain"]) as second:
                assert second.login(USER, "guessed") == b"-ERR [AUTH] wrong"
        assert first.command("NOOP").startswith(b"+OK")
    assert waits(proxy, "logged_in") + waits(proxy, "gave_up") + waits(proxy, "other") == 0


def test_nobody_is_ended_in_a_transfer(start_proxy, census):
    """TOP of this store never ends: idle for long, and still in the middle of a response."""
    proxy = launch(start_proxy, census, {"wait": "4s", "end_idle": "1s"})
    with connect(proxy.ports["plain"]) as first:
        assert first.command("TOP 1 0").startswith(b"+OK")
        assert first.line() == b"Subject: x"
        with begin(proxy.ports["plain"]) as second:
            assert second.line() == LOCKED
        # The session is still the same.
        first.send(b"NOOP\r\n")
        assert first.line().startswith(b"+OK")
        first.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert sorted(map(reason_of, proxy.session_lines(2))) == ["client_closed", "client_reset"]


def test_a_session_elsewhere_is_waited_for(start_proxy, census):
    """One that does not go through this proxy: only the backend knows when it is over."""
    proxy = launch(start_proxy, census, {"wait": "50s", "end_idle": "1s"})
    with connect(census.ports["mail1"]) as elsewhere, begin(proxy.ports["plain"]) as client:
        wait_until_locked_out(census, times=3)
        elsewhere.quit()
        assert client.line().startswith(b"+OK")
        client.quit()
    assert waits(proxy, "logged_in") == 1
    # The pauses grow: some ten questions in half a minute.
    assert len(census.locked_out) < 30


def test_programs_that_poll_do_not_end_each_other(start_proxy, census):
    """Two that log in again and again at the same time; with end_idle far below their polling."""
    proxy = launch(start_proxy, census, {"wait": "50s", "end_idle": "10s"})
    rounds, trouble = 15, []

    def poll():
        try:
            for _ in range(rounds):
                with begin(proxy.ports["plain"]) as client:
                    answer = client.line()
                    if not answer.startswith(b"+OK"):
                        trouble.append(answer)
                    client.ok("STAT")
                    client.multiline("UIDL")
                    client.quit()
        except (AssertionError, OSError) as error:
            trouble.append(error)

    programs = [threading.Thread(target=poll) for _ in range(2)]
    for program in programs:
        program.start()
    for program in programs:
        program.join(120)
    assert not any(program.is_alive() for program in programs)
    assert trouble == []
    lines = proxy.session_lines(2 * rounds)
    assert {reason_of(line) for line in lines} == {"quit"}, lines


def test_two_that_never_quit_take_turns(start_proxy, census):
    """Each comes back as soon as it is ended: whoever is in does its work first."""
    proxy = launch(start_proxy, census, {"wait": "50s", "end_idle": "1s"})
    with connect(proxy.ports["plain"]) as client:
        turn = client
        for _ in range(4):
            turn.ok("STAT")
            with_next = begin(proxy.ports["plain"])
            assert with_next.line().startswith(b"+OK")
            assert turn.at_end()
            turn.close()
            turn = with_next
        turn.quit()
    # Lines of two workers may change places.
    reasons = sorted(reason_of(line) for line in proxy.session_lines(5))
    assert reasons == ["quit"] + ["superseded"] * 4, reasons


def test_a_reload_turns_it_on(start_proxy, census):
    proxy = launch(start_proxy, census, None)
    with connect(proxy.ports["plain"]) as first:
        proxy.write_config({**proxy.config, "pool": config(census.ports["mail1"], {"wait": "50s"})["pool"]})
        proxy.reload()
        with begin(proxy.ports["plain"]) as second:
            wait_until_locked_out(census)
            first.quit()
            assert second.line().startswith(b"+OK")
            second.quit()


@pytest.fixture
def dovecot(tmp, certificates):
    server = Dovecot(
        "mail1", os.path.join(tmp, "mail1"), certificates.leaf(("localhost",)), {USER: PASSWORD},
        extra="pop3_lock_session = yes\n",
    )  # fmt: skip
    yield server
    server.stop()


def wait_until_dovecot_refused(dovecot):
    wait_until(lambda: "Couldn't lock POP3 session" in dovecot.log(), 60, dovecot.log)


def test_dovecot_and_an_idle_session(start_proxy, dovecot):
    """Dovecot waits for its lock by itself, and then refuses."""
    dovecot.deliver(USER, [b"Subject: x\r\n\r\nhello\r\n"])
    proxy = start_proxy(config(dovecot.port, {"wait": "50s", "end_idle": "1s"}))
    with connect(proxy.ports["plain"]) as first:
        first.ok("DELE 1")
        with begin(proxy.ports["plain"]) as second:
            assert second.line().startswith(b"+OK"), dovecot.log()
            assert first.at_end()
            # Without a QUIT nothing is deleted.
            assert second.command("STAT").startswith(b"+OK 1 ")
            second.quit()
    assert sorted(map(reason_of, proxy.session_lines(2))) == ["quit", "superseded"]
    wait_until_dovecot_refused(dovecot)


def test_dovecot_and_a_session_elsewhere(start_proxy, dovecot):
    proxy = start_proxy(config(dovecot.port, {"wait": "50s", "end_idle": "1s"}))
    with connect(dovecot.port) as elsewhere, begin(proxy.ports["plain"]) as client:
        wait_until_dovecot_refused(dovecot)
        assert elsewhere.command("NOOP").startswith(b"+OK"), "it is not ours to end"
        elsewhere.quit()
        assert client.line().startswith(b"+OK"), dovecot.log()
        client.quit()
    assert waits(proxy, "logged_in") == 1
