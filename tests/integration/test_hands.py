"""An operator sees who is here, ends sessions, holds and moves users, with the real command line."""

import json
import os
import re
import socket
import struct
import subprocess
import time

import pytest

from harness import Pop3Connection, free_port, wait_until
from harness.auth_service import AuthService, reply
from harness.census import Census
from harness.proxy import build_directory, run_postern

LOAD = os.path.join(build_directory(), "postern-load")
PASSWORD = "secret"


@pytest.fixture
def census():
    stores = Census()
    yield stores
    stores.stop()


def config(census, tmp, **more):
    """Users live at mail1 by the pool's hash and its weights; nobody comes to mail2 by itself."""
    settings = {
        "pool": [{
            "name": "mail",
            "backends": [
                {"name": "mail1", "address": f"127.0.0.1:{census.ports['mail1']}"},
                {"name": "mail2", "address": f"127.0.0.1:{census.ports['mail2']}", "weight": 0},
            ],
        }],
        "route": [{"users": "*@direct.test", "backend": "mail1"}, {"users": "*", "pool": "mail"}],
        **more,
    }
    token = os.path.join(tmp, "token")
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("a token\n")
    return settings, token


@pytest.fixture
def proxy(start_proxy, census, tmp):
    return launch(start_proxy, census, tmp)


def launch(start_proxy, census, tmp, state_file=False, admin=None, **more):
    settings, token = config(census, tmp, **more)
    settings["admin"] = {"address": admin or f"127.0.0.1:{free_port()}", "token_file": token}
    if state_file:
        settings["admin"]["state_file"] = os.path.join(tmp, "state")
    return start_proxy(settings)


def verb(proxy, *arguments, code=0, timeout=60):
    done = run_postern(arguments[0], "--config", proxy.config_path, *arguments[1:], timeout=timeout)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def begin(proxy, *arguments):
    return subprocess.Popen(
        [os.path.join(build_directory(), "postern"), arguments[0], "--config", proxy.config_path,
         *arguments[1:]], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip


def connect(proxy, user=None, **more):
    client = Pop3Connection(proxy.ports["plain"], **more)
    if user is not None:
        assert client.login(user, PASSWORD).startswith(b"+OK")
    return client


def sessions(proxy, *arguments):
    return json.loads(verb(proxy, "sessions", "--json", *arguments))


def logged(proxy, pattern):
    wait_until(lambda: re.search(pattern, proxy.log()), 60, proxy.log)


def reasons(proxy, count):
    return [re.search(r" reason=(\w+) ", line).group(1) for line in proxy.session_lines(count)]


def test_sessions(proxy):
    with connect(proxy, "a@x.test") as a, connect(proxy, "b@x.test") as b, connect(proxy) as silent:
        assert a.command("NOOP").startswith(b"+OK")
        page = wait_until(
            lambda: (p := sessions(proxy))["matching"] == 3 and p["complete"] and p, 60, proxy.log)
        assert not page["more"]
        rows = {row["user"]: row for row in page["sessions"]}
        assert set(rows) == {"a@x.test", "b@x.test", ""}
        one = rows["a@x.test"]
        assert (one["backend"], one["phase"], one["listener"]) == ("mail1", "relay", "plain")
        assert one["client"] == "127.0.0.1:%d" % a.socket.getsockname()[1]
        assert (one["bytes_in"], one["bytes_out"]) == (6, 5)
        assert 0 <= one["idle_seconds"] <= one["age_seconds"] < 60
        assert rows[""]["phase"] == "login" and rows[""]["backend"] == ""
        # The oldest come first, and the rest is told.
        page = sessions(proxy, "--limit", "2")
        assert len(page["sessions"]) == 2 and page["more"] and page["matching"] == 3
        assert [row["user"] for row in page["sessions"]] == ["a@x.test", "b@x.test"]
        assert "... and more: 3 match, 2 are shown" in verb(proxy, "sessions", "--limit", "2")
        # A name is normalised as at a login.
        assert sessions(proxy, "--user", "a@X.TEST")["matching"] == 1
        assert sessions(proxy, "--user", "*@X.test")["matching"] == 2
        assert sessions(proxy, "--user", "*@y.test")["matching"] == 0
        assert sessions(proxy, "--hash-range", "0-f")["matching"] == 2, "who has no name yet has no hash"
        half = [sessions(proxy, "--hash-range", part)["matching"] for part in ("0-7", "8-f")]
        assert sum(half) == 2
        assert sessions(proxy, "--backend", "mail1")["matching"] == 2
        assert sessions(proxy, "--backend", "mail2")["matching"] == 0
        assert sessions(proxy, "--ip", "127.0.0.0/8")["matching"] == 3
        assert sessions(proxy, "--ip", "192.0.2.1")["matching"] == 0
        assert sessions(proxy, "--session", one["id"])["sessions"][0]["user"] == "a@x.test"
        text = verb(proxy, "sessions", "--user", "b@x.test")
        assert re.fullmatch(r"ID +USER +CLIENT .*\n[0-9a-f]{16}  b@x\.test  127\.0\.0\.1:\d+ +plain"
                            r" +mail1 +relay +\d+ s +\d+ s +0 +0\n", text), text
        assert "no backend mail9" in verb(proxy, "sessions", "--backend", "mail9", code=1)
        assert "no session id" in verb(proxy, "sessions", "--session", "xyz", code=1)
        assert "is no user" in verb(proxy, "sessions", "--user", "@", code=1)
        verb(proxy, "sessions", "--ip", "300.1.1.1", code=1)
        silent.close()
        b.quit()
        a.quit()


def test_many_sessions_are_seen_in_parts(proxy):
    """More than a worker visits in one turn."""
    clients = [connect(proxy, f"u{i}@x.test") for i in range(700)]
    try:
        wait_until(lambda: sessions(proxy)["matching"] == 700, 60, proxy.log)
        page = sessions(proxy, "--limit", "10000")
        assert len({row["user"] for row in page["sessions"]}) == 700 and not page["more"]
        assert "700 sessions" in verb(proxy, "kick", "--backend", "mail1")
        for client in clients:
            assert client.at_end()
    finally:
        for client in clients:
            client.close()
    assert set(reasons(proxy, 700)) == {"kicked"}


def test_capitals_make_no_other_user(start_proxy, census, tmp):
    proxy = launch(start_proxy, census, tmp, users={"lowercase_local": True})
    with connect(proxy, "ALICE@x.test"), connect(proxy, "Alice@X.test"):
        assert sessions(proxy, "--user", "alice@x.test")["matching"] == 2
        verb(proxy, "move", "aLICE@x.test", "--to", "mail2", "--patience", "100ms")
    with connect(proxy, "alicE@x.test") as client:
        assert sessions(proxy, "--backend", "mail2")["matching"] == 1
        client.quit()
    verb(proxy, "hold", "alice@x.test")
    with connect(proxy) as client:
        client.send(b"USER Alice@x.test\r\nPASS " + PASSWORD.encode() + b"\r\n")
        wait_until(lambda: proxy.metrics().get("postern_held_logins") == 1, 10, proxy.log)
        verb(proxy, "release", "ALICE@x.test")
        assert client.line().startswith(b"+OK") and client.line().startswith(b"+OK")


def test_users_come_back_where_they_were(start_proxy, census, tmp):
    backends = [{"name": name, "address": f"127.0.0.1:{port}"} for name, port in census.ports.items()]
    pool = {"name": "mail", "balance": "round-robin", "failover": True, "affinity_for": "1h",
            "backends": backends}  # fmt: skip
    proxy = launch(start_proxy, census, tmp, pool=[pool], route=[{"users": "*", "pool": "mail"}])

    def visit():
        with connect(proxy, "a@x.test") as client:
            client.quit()
        proxy.wait_for_metric_to_fall(0, "postern_listener_sessions", listener="plain")
        return census.of("a@x.test")[-1]

    home = visit()
    assert [visit() for _ in range(5)] == [home] * 5
    assert proxy.metrics().get("postern_remembered_homes") == 1
    # It is a wish: who cannot be there is elsewhere, and is remembered there.
    verb(proxy, "drain", home)
    other = visit()
    assert other != home
    verb(proxy, "undrain", home)
    assert [visit() for _ in range(3)] == [other] * 3
    # One that is being emptied fills itself with nobody.
    verb(proxy, "weight", other, "0")
    assert visit() == home
    verb(proxy, "weight", other, "configured")
    assert visit() == home
    # An operator's word ends it.
    verb(proxy, "move", "a@x.test", "--to", other)
    assert proxy.metrics().get("postern_remembered_homes") == 0
    assert visit() == other
    assert proxy.metrics().get("postern_remembered_homes") == 0


def test_nobody_is_moved_where_nobody_can_log_in(proxy):
    verb(proxy, "drain", "mail2", "--reason", "disks")
    for arguments in (("a@x.test",), ("*@x.test",), ("--hash-range", "0-f"), ("a@x.test", "--dry-run")):
        told = verb(proxy, "move", *arguments, "--to", "mail2", code=1)
        assert re.search(r"backend mail2 is draining, by .*: disks; .*--force", told), told
    assert "moved" in verb(proxy, "move", "a@x.test", "--to", "mail2", "--force")
    verb(proxy, "undrain", "mail2")
    with connect(proxy, "a@x.test") as client:
        assert sessions(proxy, "--backend", "mail2")["matching"] == 1
        client.quit()
    verb(proxy, "move", "b@x.test", "--to", "mail2")


def test_kick(proxy, census):
    with connect(proxy, "a@x.test") as idle, connect(proxy, "a@x.test") as inside, \
            connect(proxy, "b@x.test") as other, connect(proxy) as early:  # fmt: skip
        assert inside.command("TOP 1 0").startswith(b"+OK")
        assert inside.line().startswith(b"Subject")
        assert early.command("USER early@x.test").startswith(b"+OK")
        assert verb(proxy, "kick", "--user", "a@x.test", "--reason", "new\nrules") == "2 sessions\n"
        assert idle.at_end(), "between two responses it ends in order"
        with pytest.raises(ConnectionResetError):
            while inside.receive():
                pass
        assert other.command("NOOP").startswith(b"+OK"), "nobody else is meant"
        assert reasons(proxy, 2) == ["kicked", "kicked"]
        logged(proxy, r"info: kick: 2 sessions of user a@x\.test, by 127\.0\.0\.1:\d+: new\\x0arules")
        # Before the login it is told.
        page = sessions(proxy)
        young = next(row["id"] for row in page["sessions"] if row["phase"] == "login")
        assert verb(proxy, "kick", "--session", young) == "1 session\n"
        assert early.line() == b"-ERR [SYS/TEMP] This session was ended, please try again"
        assert "is no user" in verb(proxy, "kick", "--user", "*", code=2)
        assert "is no user" in verb(proxy, "hold", "*", code=2)
        assert verb(proxy, "kick", "--user", "*@y.test") == "0 sessions\n"
        with connect(proxy, "c@z.test") as third:
            assert verb(proxy, "kick", "--user", "*@z.test") == "1 session\n"
            assert third.at_end()
        assert verb(proxy, "kick", "--ip", "127.0.0.1/32") == "1 session\n"
        assert other.at_end()
        assert reasons(proxy, 5) == ["kicked"] * 5
        assert verb(proxy, "kick", "--user", "a@x.test") == "0 sessions\n"
        verb(proxy, "kick", code=2)
    proxy.wait_for_metric(4, "postern_listener_sessions_closed_total", reason="kicked")
    wait_until(lambda: census.now() == {"mail1": 0, "mail2": 0}, 60)


def test_drain_over_spreads_the_ends(proxy):
    clients = [connect(proxy, f"u{i}@x.test") for i in range(40)]
    try:
        assert clients[0].command("TOP 1 0").startswith(b"+OK")
        proxy.wait_for_metric(40, "postern_backend_sessions", backend="mail1")
        draining = begin(proxy, "drain", "mail1", "--over", "12s", "--wait")
        started = time.monotonic()
        out, _ = draining.communicate(timeout=120)
        assert draining.returncode == 0, out
        assert time.monotonic() - started > 8
        counts = [int(n) for n in re.findall(r"mail1: (\d+) sessions", out)]
        assert out.startswith("mail1: draining\n") and counts[-1] == 0, out
        # Not all at once: they were seen on their way.
        assert len([n for n in counts if 0 < n < 40]) >= 2, counts
        for client in clients[1:]:
            assert client.at_end()
        with pytest.raises(ConnectionResetError):
            while clients[0].receive():
                pass
    finally:
        for client in clients:
            client.close()
    lines = proxy.session_lines(40)
    assert set(reasons(proxy, 40)) == {"drained"}
    # The last to go, as it was inside a response; of two workers one may be behind.
    assert any(" user=u0@x.test " in line for line in lines[-4:]), lines
    logged(proxy, "backend mail1: its sessions end over 12000 ms, as drained")


def test_undrain_ends_no_more(proxy):
    with connect(proxy, "a@x.test") as client:
        verb(proxy, "drain", "mail1", "--over", "1h")
        verb(proxy, "undrain", "mail1")
        verb(proxy, "drain", "mail1")
        assert client.command("NOOP").startswith(b"+OK")
        assert "at most 24h" in verb(proxy, "drain", "mail1", "--over", "soon", code=2)
        client.quit()


def test_sessions_of_a_dead_backend_end(start_proxy, census, tmp):
    settings, token = config(census, tmp)
    # The checks of mail1 look elsewhere: at a port where nobody listens.
    settings["pool"][0]["backends"][0]["health"] = {
        "probe": "login", "user": "canary", "password_file": token, "interval": "100ms",
        "fast_interval": "100ms", "fall": 1, "end_over": "500ms"}
    census.answers["canary"] = []
    proxy = start_proxy(settings)
    with connect(proxy, "a@x.test") as client:
        assert client.command("NOOP").startswith(b"+OK")
        census.answers["canary"] = [b"-ERR [SYS/TEMP] broken\r\n"] * 1000
        assert client.at_end()
    assert reasons(proxy, 1) == ["backend_down"]


def test_a_drain_outlives_a_failure(start_proxy, census, tmp):
    """The backend is found down, whose sessions would end over a day, and well again: the drain goes on."""
    settings, token = config(census, tmp)
    settings["pool"][0]["backends"][0]["health"] = {
        "probe": "login", "user": "canary", "password_file": token, "interval": "100ms",
        "fast_interval": "100ms", "fall": 1, "rise": 1, "end_over": "24h"}
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}", "token_file": token}
    census.answers["canary"] = []
    proxy = start_proxy(settings)
    with connect(proxy, "a@x.test") as one, connect(proxy, "b@x.test") as other:
        assert one.command("NOOP").startswith(b"+OK")
        verb(proxy, "drain", "mail1", "--over", "5s")
        census.answers["canary"] = [b"-ERR [SYS/TEMP] broken\r\n"] * 3
        logged(proxy, "backend mail1: up again")
        assert one.at_end() and other.at_end()
    assert reasons(proxy, 2) == ["drained"] * 2


def test_hold_and_release(start_proxy, census, tmp):
    proxy = launch(start_proxy, census, tmp, timeouts={"hold": "10m", "login": "10m"})
    assert verb(proxy, "hold", "a@X.test", "--reason", "disks") == "a@X.test: on hold\n"
    assert re.search(r"a@x\.test +\d+ s +127\.0\.0\.1:\d+ +disks", verb(proxy, "hold"))
    with connect(proxy) as waits, connect(proxy, "b@x.test") as other:
        waits.command("USER a@x.test")
        waits.send(f"PASS {PASSWORD}\r\n".encode())
        proxy.wait_for_metric(1, "postern_held_logins")
        assert "1 on hold, 1 login waits" in verb(proxy, "status")
        assert census.of("a@x.test") == [], "nothing is sent upstream"
        assert verb(proxy, "release", "a@x.test") == "a@x.test: released\n"
        assert waits.line().startswith(b"+OK")
        assert waits.command("NOOP").startswith(b"+OK")
        assert other.command("NOOP").startswith(b"+OK")
    assert "is not on hold" in verb(proxy, "release", "a@x.test", code=1)
    # By hash: half of all users wait, the others do not.
    user_hash = re.search(r"user hash ([0-9a-f]{16})", verb(proxy, "route", "c@x.test")).group(1)
    verb(proxy, "hold", "--hash-range", f"{user_hash[:4]}-{user_hash[:4]}")
    connect(proxy, "b@x.test").quit()
    with connect(proxy) as client:
        client.command("USER c@x.test")
        client.send(f"PASS {PASSWORD}\r\n".encode())
        proxy.wait_for_metric(1, "postern_held_logins")
        # A held login is a session like others: it can be ended.
        verb(proxy, "kick", "--user", "c@x.test")
        assert client.line().startswith(b"-ERR [SYS/TEMP]")
    verb(proxy, "hold", "--hash-range", "f-0", code=1)
    verb(proxy, "hold", "a", "--hash-range", "0-f", code=2)


def test_a_released_login_asks_again_where_its_user_lives(start_proxy, census, tmp):
    """What a lookup said before the hold may be what the hold was there to change."""
    home = "mail1"
    with AuthService(lambda request: reply(Auth_Server=home)) as service:
        lookup = {"name": "auth", "type": "auth_http", "urls": [service.url()],
                  "cache": {"ttl": "0s", "negative_ttl": "0s"}}  # fmt: skip
        proxy = launch(start_proxy, census, tmp, lookup=[lookup], route=[{"lookup": "auth"}])
        verb(proxy, "hold", "a@x.test")
        with connect(proxy) as waits:
            waits.command("USER a@x.test")
            waits.send(f"PASS {PASSWORD}\r\n".encode())
            proxy.wait_for_metric(1, "postern_held_logins")
            home = "mail2"
            verb(proxy, "release", "a@x.test")
            assert waits.line().startswith(b"+OK")
            waits.quit()
        assert len(service.requests) == 2
    assert census.of("a@x.test") == ["mail2"]


def test_nobody_is_held_for_ever_and_not_too_many_at_once(start_proxy, census, tmp):
    proxy = launch(start_proxy, census, tmp, timeouts={"hold": "8s"}, limits={"held_logins": 2})
    verb(proxy, "hold", "@x.test")
    clients = [connect(proxy) for _ in range(3)]
    for client in clients:
        client.command("USER c@x.test")
    for client in clients[:2]:
        client.send(f"PASS {PASSWORD}\r\n".encode())
    proxy.wait_for_metric(2, "postern_held_logins")
    assert clients[2].command(f"PASS {PASSWORD}").startswith(b"-ERR [SYS/TEMP]")
    for client in clients[:2]:
        assert client.line().startswith(b"-ERR [SYS/TEMP]")
        assert client.at_end()
    for client in clients:
        client.close()
    assert reasons(proxy, 3) == ["held"] * 3
    assert proxy.metrics().get("postern_held_logins") == 0


def test_held_logins_are_no_guesses(start_proxy, census, tmp):
    """A user who waits may wait as often as anybody, and all go on in the end."""
    proxy = launch(start_proxy, census, tmp, timeouts={"hold": "1m", "login": "10m"},
                   guard={"failures": {"user": 3}})  # fmt: skip
    verb(proxy, "hold", "a@x.test")
    clients = [connect(proxy) for _ in range(10)]
    for client in clients:
        client.command("USER a@x.test")
        client.send(f"PASS {PASSWORD}\r\n".encode())
    proxy.wait_for_metric(10, "postern_held_logins")
    verb(proxy, "release", "a@x.test")
    for client in clients:
        assert client.line().startswith(b"+OK")
        client.quit()
    assert proxy.metrics().get("postern_held_logins") == 0


@pytest.mark.parametrize("end", ["closes", "resets"])
def test_who_goes_while_held_makes_room(start_proxy, census, tmp, end):
    proxy = launch(start_proxy, census, tmp, timeouts={"hold": "10m", "login": "10m"})
    verb(proxy, "hold", "a@x.test")
    client = connect(proxy)
    client.command("USER a@x.test")
    client.send(f"PASS {PASSWORD}\r\n".encode())
    proxy.wait_for_metric(1, "postern_held_logins")
    if end == "resets":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    proxy.wait_for_metric_to_fall(0, "postern_held_logins")
    assert reasons(proxy, 1) == ["client_closed" if end == "closes" else "client_reset"]
    # A session that was sent ahead, with its end behind it, still waits.
    with connect(proxy) as ahead:
        ahead.send(f"USER a@x.test\r\nPASS {PASSWORD}\r\nNOOP\r\nQUIT\r\n".encode())
        ahead.socket.shutdown(socket.SHUT_WR)
        proxy.wait_for_metric(1, "postern_held_logins")
        verb(proxy, "release", "a@x.test")
        lines = [ahead.line() for _ in range(4)]
        assert all(line.startswith(b"+OK") for line in lines), lines


@pytest.mark.parametrize("user", ["a@x.test", "a@direct.test"])
def test_move_one_user(proxy, census, user):
    """Whose live session goes on for the patience, while new logins wait."""
    with connect(proxy, user) as client, connect(proxy) as second:
        moving = begin(proxy, "move", user, "--to", "mail2", "--patience", "1h", "--reason", "disks")
        try:
            assert moving.stdout.readline() == f"{user}: on hold, 1 session\n"
            second.command(f"USER {user}")
            second.send(f"PASS {PASSWORD}\r\n".encode())
            proxy.wait_for_metric(1, "postern_held_logins")
            assert client.command("NOOP").startswith(b"+OK")
            client.quit()
            assert moving.stdout.readline() == f"{user}: moved to mail2\n"
            assert moving.wait(60) == 0
        finally:
            moving.kill()
            moving.wait()
            moving.stdout.close()
        assert second.line().startswith(b"+OK")
        assert census.of(user) == ["mail1", "mail2"] and not census.violations
        second.quit()
    logged(proxy, r"move: 1 users to mail2, by 127\.0\.0\.1:\d+: disks")
    logged(proxy, f"user {user} moved to mail2, 0 failed, 0 sessions ended")
    assert re.search(rf"USER +BACKEND\n{user} +mail2\n", verb(proxy, "moves"))
    assert "moved      to backend mail2 by an operator" in verb(proxy, "route", user)
    assert "1 moved user\n" in verb(proxy, "status")
    assert proxy.metrics().get("postern_moved_users") == 1
    assert verb(proxy, "move", user, "--to", "mail2") == f"{user}: is already at mail2\n"
    # A reload forgets nothing.
    proxy.reload()
    connect(proxy, user).quit()
    # Sessions that do not end are ended.
    with connect(proxy, user) as client:
        out = verb(proxy, "move", user, "--back", "--patience", "300ms")
        assert f"{user}: moved to where the routes say" in out, out
        assert client.at_end()
    connect(proxy, user).quit()
    assert census.of(user) == ["mail1", "mail2", "mail2", "mail2", "mail1"]
    assert not census.violations
    assert "kicked" in reasons(proxy, 5)
    assert verb(proxy, "moves") == "USER  BACKEND\n"


def test_a_move_ends_no_login_that_waits(start_proxy, tmp):
    """One that has found its maildrop locked is nowhere; it goes on when the user has moved."""
    stores = Census(locks=True)
    try:
        settings, token = config(stores, tmp)
        settings["pool"][0]["in_use"] = {"wait": "50s"}
        settings["admin"] = {"address": f"127.0.0.1:{free_port()}", "token_file": token}
        proxy = start_proxy(settings)
        user = "a@x.test"
        with connect(proxy, user) as first, connect(proxy) as second:
            second.command(f"USER {user}")
            second.send(f"PASS {PASSWORD}\r\n".encode())
            wait_until(lambda: stores.locked_out, 60, proxy.log)
            out = verb(proxy, "move", user, "--to", "mail2", "--patience", "2s")
            assert f"{user}: moved to mail2" in out, out
            assert first.at_end()
            assert second.line().startswith(b"+OK"), proxy.log()
            second.quit()
        assert stores.of(user) == ["mail1", "mail2"] and not stores.violations
        logged(proxy, f"user {user} moved to mail2, 0 failed, 1 sessions ended")
        assert sorted(reasons(proxy, 2)) == ["kicked", "quit"]
    finally:
        stores.stop()


def test_a_later_order_does_not_undo_an_earlier_one(proxy, census):
    user, other = "a@x.test", "b@x.test"
    with connect(proxy, user) as client:
        moving = begin(proxy, "move", user, "--to", "mail2", "--patience", "1h")
        try:
            assert moving.stdout.readline() == f"{user}: on hold, 1 session\n"
            # "Already where the routes say" would be true for a moment only.
            said = r"a@x\.test: not moved: move 1 to mail2 is in progress, .*"
            assert re.search(said, verb(proxy, "move", user, "--back", code=1))
            assert re.search(said, verb(proxy, "move", user, "--to", "mail1", code=1))
            assert re.search(said, verb(proxy, "move", user, "--back", "--dry-run", code=1))
            assert f"{other}: moved to mail1\n" in verb(proxy, "move", other, "--to", "mail1")
            # The same wish again is no other one.
            again = begin(proxy, "move", user, "--to", "mail2", "--patience", "1h")
            assert again.stdout.readline() == f"{user}: on hold, 1 session\n"
            client.quit()
            for waits in (moving, again):
                assert waits.stdout.readline() == f"{user}: moved to mail2\n"
                assert waits.wait(60) == 0
                waits.stdout.close()
        finally:
            moving.kill()
            moving.wait()
    out = verb(proxy, "move", user, "--back")
    assert f"{user}: moved to where the routes say" in out, out
    connect(proxy, user).quit()
    assert census.of(user) == ["mail1", "mail1"]


@pytest.mark.parametrize("by_hash", [False, True])
def test_move_many_at_once(proxy, census, by_hash):
    """All users of a domain, or of a part of all hashes: those with sessions may go on for the patience."""
    if by_hash:
        user_hash = re.search(r"user hash ([0-9a-f]{16})", verb(proxy, "route", "a@x.test")).group(1)
        who, name = ("--hash-range", f"{user_hash[:4]}-{user_hash[:4]}"), f"hash {user_hash[:4]}-{user_hash[:4]}"
    else:
        who, name = ("*@x.test",), "@x.test"
    connect(proxy, "b@y.test").quit()
    assert verb(proxy, "move", *who, "--to", "mail2", "--dry-run") == (
        f"{name}: from where the routes say to mail2, sessions: 0\n")  # fmt: skip
    with connect(proxy, "a@x.test") as client, connect(proxy) as second, connect(proxy, "b@y.test") as other:
        told = verb(proxy, "move", *who, "--to", "mail2", "--dry-run")
        assert told == f"{name}: from where the routes say to mail2, sessions: 1\n"
        moving = begin(proxy, "move", *who, "--to", "mail2", "--patience", "1h", "--reason", "disks")
        try:
            assert moving.stdout.readline() == f"{name}: on hold, 1 session\n"
            second.command("USER a@x.test")
            second.send(f"PASS {PASSWORD}\r\n".encode())
            proxy.wait_for_metric(1, "postern_held_logins")
            connect(proxy, "b@y.test").quit()
            assert client.command("NOOP").startswith(b"+OK")
            assert "users are being moved to" in verb(proxy, "remove", "mail2", code=1)
            client.quit()
            assert moving.stdout.readline() == f"{name}: moved to mail2\n"
            assert moving.wait(60) == 0
        finally:
            moving.kill()
            moving.wait()
            moving.stdout.close()
        assert second.line().startswith(b"+OK")
        second.quit()
        assert other.command("NOOP").startswith(b"+OK")
        other.quit()
    assert census.of("a@x.test") == ["mail1", "mail2"] and not census.violations
    assert census.of("b@y.test") == ["mail1"] * 3
    logged(proxy, rf"move: {name} to mail2, by 127\.0\.0\.1:\d+: disks")
    logged(proxy, f"all of {name} moved to mail2, 0 failed, 0 sessions ended")
    assert re.search(rf"USER +BACKEND\n{name} +mail2\n", verb(proxy, "moves"))
    assert "a@x.test  mail2" in verb(proxy, "moves", "--user", "a@x.test")
    assert "moved      to backend mail2 by an operator" in verb(proxy, "route", "a@x.test")
    assert f"is where {name} was moved" in verb(proxy, "remove", "mail2", code=1)
    assert verb(proxy, "move", *who, "--to", "mail2") == f"{name}: is already at mail2\n"
    # Who was moved by name stays there.
    verb(proxy, "move", "a@x.test", "--to", "mail1")
    proxy.reload()
    with connect(proxy, "a@x.test") as client:
        told = verb(proxy, "move", *who, "--back")  # "on hold" first, if it is seen to be
        assert told.endswith(f"{name}: moved to where the routes say\n"), told
        assert client.command("NOOP").startswith(b"+OK")
        client.quit()
    verb(proxy, "move", "a@x.test", "--back")
    # Sessions that do not end are ended.
    with connect(proxy, "a@x.test") as client:
        told = verb(proxy, "move", *who, "--to", "mail2", "--patience", "300ms")
        assert told.endswith(f"{name}: moved to mail2\n"), told
        assert client.at_end()
    connect(proxy, "a@x.test").quit()
    assert census.of("a@x.test") == ["mail1", "mail2", "mail1", "mail1", "mail2"]
    assert not census.violations


def test_a_stop_ends_a_move_of_many(start_proxy, census, tmp):
    proxy = launch(start_proxy, census, tmp, timeouts={"drain": "100s"})
    with connect(proxy, "a@x.test") as client:
        moving = begin(proxy, "move", "*@x.test", "--to", "mail2", "--patience", "1h")
        try:
            assert moving.stdout.readline() == "@x.test: on hold, 1 session\n"
            proxy.terminate()
            assert client.command("NOOP").startswith(b"+OK"), "a drain lets sessions go on"
            client.quit()
            proxy.wait()
        finally:
            moving.kill()
            moving.wait()
            moving.stdout.close()


def test_mistakes_of_a_move(proxy):
    assert "is no range of hashes" in verb(proxy, "move", "--hash-range", "f-0", "--to", "mail2", code=1)
    assert "no backend mail9" in verb(proxy, "move", "*@x.test", "--to", "mail9", code=1)
    verb(proxy, "move", "*@x y", "--to", "mail2", code=1)
    verb(proxy, "move", "a@x.test", "--hash-range", "0-f", "--to", "mail2", code=2)
    assert "no backend mail9" in verb(proxy, "move", "a@x.test", "--to", "mail9", code=1)
    assert "is no user" in verb(proxy, "move", "@", "--to", "mail2", code=1)
    verb(proxy, "move", "a@x.test", code=2)
    verb(proxy, "move", "--to", "mail2", code=2)
    verb(proxy, "move", "a@x.test", "--to", "mail2", "--back", code=2)
    assert "cannot read" in verb(proxy, "move", "--file", "/nowhere", "--to", "mail2", code=1)


@pytest.mark.skipif(not os.path.exists(LOAD), reason="built without POSTERN_BENCH")
def test_move_a_thousand_users_under_load(proxy, census, tmp):
    """No login fails, and no user is ever at two backends: the stores count themselves."""
    users = [f"user{i}@x.test" for i in range(1000)]
    path = os.path.join(tmp, "users.txt")
    with open(path, "w") as file:
        file.write("# who moves\n\n" + "".join(f"{user}\n" for user in users))
    out = verb(proxy, "move", "--file", path, "--to", "mail2", "--dry-run")
    assert out.count("from mail1 to mail2, sessions: 0\n") == 1000
    assert proxy.metrics().get("postern_moved_users") == 0
    load = subprocess.Popen(
        [LOAD, "--target", f"127.0.0.1:{proxy.ports['plain']}", "--script", "poll", "--users",
         "user%d@x.test", "--population", "1000", "--rate", "150", "--duration-s", "8",
         "--timeout-s", "90", "--json", "-", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
    try:
        wait_until(lambda: len(census.logins) > 100, 60, proxy.log)
        first = begin(proxy, "move", "--file", path, "--to", "mail2", "--max-parallel", "50")
        # Interrupted and begun anew: who is there already is left alone.
        assert re.match(r"\d+ of 1000: ", first.stdout.readline())
        first.kill()
        first.wait()
        first.stdout.close()
        out = verb(proxy, "move", "--file", path, "--to", "mail2", "--max-parallel", "50", timeout=240)
        done = re.findall(r"1000 of 1000: (\d+) moved, (\d+) there already, 0 failed", out)[-1]
        assert sum(map(int, done)) == 1000
        report, _ = load.communicate(timeout=240)
        assert load.returncode == 0, report
    finally:
        load.kill()
        load.wait()
    report = json.loads(report)
    assert report["failed"] == 0 and report["good"] == report["sessions"] > 500, report
    assert not census.violations
    assert proxy.metrics().get("postern_moved_users") == 1000
    for user in users[:5]:
        connect(proxy, user).quit()
        assert census.of(user)[-1] == "mail2"
    assert {name for _, name in census.logins} == {"mail1", "mail2"}


def test_what_was_said_survives_a_restart(start_proxy, census, tmp):
    proxy = launch(start_proxy, census, tmp, state_file=True, timeouts={"hold": "300ms"})
    verb(proxy, "move", "a@x.test", "--to", "mail2")
    verb(proxy, "move", "*@moved.test", "--to", "mail2")
    verb(proxy, "hold", "*@held.test", "--reason", "disks")
    verb(proxy, "drain", "mail1", "--reason", "old")
    state = os.path.join(tmp, "state")
    assert "moved      to backend mail2" in verb(proxy, "route", "a@x.test")
    proxy.kill()
    again = launch(start_proxy, census, tmp, state_file=True, timeouts={"hold": "300ms"})
    connect(again, "a@x.test").quit()
    connect(again, "c@moved.test").quit()
    assert census.of("a@x.test") == census.of("c@moved.test") == ["mail2"]
    assert "moved      to backend mail2" in verb(again, "route", "c@moved.test")
    assert re.search(r"@held\.test +\d+ s +127\.0\.0\.1:\d+ +disks", verb(again, "hold"))
    assert re.search(r"mail1 +mail +draining .*: old", verb(again, "status"))
    with connect(again) as client:
        assert client.login("b@held.test", PASSWORD).startswith(b"-ERR [SYS/TEMP]")
    assert "moved      to backend mail2" in verb(again, "route", "a@x.test")
    verb(again, "check")
    again.stop()
    # A damaged file must not send users to where their mail is not.
    with open(state, "a") as file:
        file.write("move\tb@x.test\tmail2\n")
    done = run_postern("serve", "--config", again.config_path)
    assert done.returncode == 1
    assert re.search(r"state:\d+: a line behind the end; .*move it away", done.stderr), done.stderr
    assert "a line behind the end" in verb(again, "check", code=1)
    os.remove(state)
    verb(again, "check")


def test_what_could_not_be_saved_is_in_force(start_proxy, census, tmp):
    """Whoever hears of a failure must know that it is not undone."""
    proxy = launch(start_proxy, census, tmp, state_file=True, timeouts={"hold": "300ms"})
    verb(proxy, "hold", "@other.test")
    state = os.path.join(tmp, "state")
    with open(state) as file:
        before = file.read()
    os.mkdir(state + ".new")  # where the next one would be written; root cannot be kept out
    told = "in force, but not saved, and a restart forgets it: "
    changes = {
        "drain": ["drain", "mail1"], "weight": ["weight", "mail1", "7"],
        "hold": ["hold", "a@x.test"], "release": ["release", "@other.test"]}  # fmt: skip
    for arguments in changes.values():
        assert told in verb(proxy, *arguments, code=1)
    # A move is not done by halves.
    assert f"{state}.new" in verb(proxy, "move", "b@x.test", "--to", "mail2", code=1)
    assert verb(proxy, "moves") == "USER  BACKEND\n"
    status = verb(proxy, "status")
    assert re.search(r"mail1 +mail +draining ", status) and "weight 7 by" in status, status
    held = verb(proxy, "hold")
    assert "a@x.test" in held and "@other.test" not in held
    with open(state) as file:
        assert file.read() == before
    # With room again, the next change saves all of it.
    os.rmdir(state + ".new")
    verb(proxy, "undrain", "mail1")
    with open(state) as file:
        after = file.read()
    assert "a@x.test" in after and "other.test" not in after


def test_a_start_in_vain_leaves_the_state_alone(start_proxy, census, tmp):
    """A second server by mistake: the file is the running one's."""
    proxy = launch(start_proxy, census, tmp, state_file=True)
    state = os.path.join(tmp, "state")
    before = os.stat(state)
    done = run_postern("serve", "--config", proxy.config_path)
    assert done.returncode == 1 and "cannot listen" in done.stderr, done.stderr
    after = os.stat(state)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    verb(proxy, "drain", "mail1")
    # A start that has its ports and cannot save is none either.
    proxy.kill()
    os.mkdir(state + ".new")
    done = run_postern("serve", "--config", proxy.config_path)
    assert done.returncode == 1 and f"{state}.new" in done.stderr, done.stderr


def test_route_knows_what_was_done_by_hand(start_proxy, census, tmp):
    proxy = launch(start_proxy, census, tmp)
    login = "login      at 127.0.0.1:%d,"
    told = verb(proxy, "route", "a@x.test")
    assert "running    the server sends the user to mail1\n" in told
    assert login % census.ports["mail1"] in told and "\nnow" not in told and "on hold" not in told
    verb(proxy, "weight", "mail2", "100", "--reason", "it has room")
    verb(proxy, "weight", "mail1", "0")
    told = verb(proxy, "route", "a@x.test")
    assert re.search(r"now +mail1: weight 0 by 127\.0\.0\.1:\d+\n", told), told
    assert re.search(r"now +mail2: weight 100 by 127\.0\.0\.1:\d+: it has room\n", told), told
    assert "the server sends the user to mail2\n" in told
    assert login % census.ports["mail2"] in told
    connect(proxy, "a@x.test").quit()
    assert census.of("a@x.test") == ["mail2"]
    # As a dry run of a move says.
    assert "a@x.test: from mail2 to mail1, " in verb(proxy, "move", "a@x.test", "--to", "mail1", "--dry-run")
    verb(proxy, "hold", "@x.test", "--reason", "disks")
    verb(proxy, "disable", "mail1")
    assert re.search(r"on hold +by 127\.0\.0\.1:\d+: disks; new logins wait\n", verb(proxy, "route", "a@x.test"))
    told = verb(proxy, "route", "a@direct.test")
    assert "on hold" not in told and re.search(r"now +mail1: disabled by .*; weight 0 by ", told), told
    assert "does not send the user to mail1, and to nobody else" in told
    # A backend that the file does not have.
    verb(proxy, "add", "mail3", "--pool", "mail", "--address", f"127.0.0.1:{census.ports['mail1']}")
    verb(proxy, "weight", "mail2", "0")
    told = verb(proxy, "route", "a@x.test")
    assert re.search(r"now +mail3: added by ", told) and "sends the user to mail3\n" in told, told
    assert "login      the file does not have this backend" in told
    proxy.stop()
    told = verb(proxy, "route", "a@x.test")
    assert "running    the above is by the file alone: no answer from the admin endpoint" in told
    assert login % census.ports["mail1"] in told


def test_where_a_user_moves_from(proxy, census):
    """The backend of the user's sessions, then that of a login now."""
    def dry(user, to):
        return verb(proxy, "move", user, "--to", to, "--dry-run")

    with connect(proxy, "a@x.test") as client:
        verb(proxy, "weight", "mail2", "100")
        verb(proxy, "weight", "mail1", "0")
        assert dry("a@x.test", "mail2") == "a@x.test: from mail1 to mail2, sessions: 1\n"
        assert dry("b@x.test", "mail1") == "b@x.test: from mail2 to mail1, sessions: 0\n"
        client.quit()
    verb(proxy, "disable", "mail1")
    assert dry("c@direct.test", "mail2") == "c@direct.test: from mail1 to mail2, sessions: 0\n"


def test_words_for_who_mistypes(proxy):
    for arguments, words in {
        ("weight", "mail1", "99999"): "the weight must be a number from 0 to 10000, or the word configured",
        ("weight", "mail1", "-1"): "",
        ("weight", "mail 1", "5"): '"mail 1" is no name of a backend: ',
        ("drain", ""): '"" is no name of a backend: ',
        ("drain", "mail1", "--over", "25h"): "--over must be a time, such as 90s, 10m or 2h, at most 24h",
        ("drain", "mail1", "--over", "5"): "--over must be a time",
        ("drain", "mail1", "--over", "0s"): "--over must be a time",
        ("remove", "mail1", "--over", "25h"): "--over must be a time",
        ("remove", "mail/1"): '"mail/1" is no name of a backend: ',
        ("add", "m 6"): '"m 6" is no name of a backend: ',
    }.items():
        told = verb(proxy, *arguments, code=2)
        assert words in told and "body" not in told and "page" not in told, told


def test_names_are_for_who_has_the_token(start_proxy, census, tmp):
    settings, _ = config(census, tmp)
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}"}
    proxy = start_proxy(settings)
    for arguments in (["sessions"], ["kick", "--user", "a"], ["hold", "a"], ["hold"], ["moves"],
                      ["move", "a", "--to", "mail2"]):  # fmt: skip
        assert "need a token" in verb(proxy, *arguments, code=1)
    assert proxy.http("/api/v1/sessions")[0] == 403
