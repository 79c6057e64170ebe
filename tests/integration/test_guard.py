"""Who is let in: limits, failed logins, lists, rates and login delays, with the real binary.

The loopback network has many addresses, so one machine is many clients. One network of clients is
127.0.N.0/24.
"""

import contextlib
import json
import os
import pathlib
import resource
import selectors
import socket
import time

import pytest
from faulty_upstream.pop3_backend import Backend, BackendFarm
from harness import Pop3Connection
from harness.proxy import run_postern
from harness.waiting import wait_until

FULL = b"-ERR [SYS/TEMP] Too many connections, please try again later"
FAILED_OFTEN = b"-ERR [SYS/TEMP] Too many failed logins, please try again later"
WRONG = b"-ERR [AUTH] Authentication failed."
OWNER = "owner@known.test"


class World:
    """A proxy with a [guard] before one small backend."""

    def __init__(self, start_proxy, backend, guard, **config):
        self.backend = backend
        pool = {"name": "mail", "backends": [{"name": "store", "address": backend.address}]}
        self.config = {
            "pool": [{**pool, **config.pop("pool", {})}],
            "route": [{"users": "*@known.test", "pool": "mail"}],
            "guard": guard,
            **config,
        }
        self.proxy = start_proxy(self.config)
        self.port = self.proxy.ports.get("plain")

    def connect(self, source="127.0.0.1", **more):
        return Pop3Connection(self.port, source=source, **more)

    def log_in(self, source, user=OWNER, password="right"):
        with self.connect(source) as client:
            answer = client.login(user, password)
            if answer.startswith(b"+OK"):
                client.quit()
            return answer

    def passwords(self):
        """How many passwords the backend was offered."""
        return sum(len(visit.passwords) for visit in self.backend.visits())

    def refusals(self, reason, at_least=1):
        """How many, once there are so many."""
        name = "postern_listener_guard_refusals_total"
        return self.proxy.wait_for_metric(at_least, name, reason=reason).get(name, reason=reason)


@pytest.fixture
def world(start_proxy):
    with contextlib.ExitStack() as stack:

        def build(guard, **config):
            backend = Backend()
            stack.enter_context(BackendFarm([backend]))
            return World(start_proxy, backend, guard, **config)

        yield build


class Flood:
    """Connections from `sources`, all opened before any of them is read."""

    def __init__(self, port, sources, say=b""):
        self.sockets = []
        for source in sources:
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind((source, 0))
            sock.connect_ex(("127.0.0.1", port))
            self.sockets.append(sock)
        self.said = {sock: b"" for sock in self.sockets}
        self._say = say

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.sockets:
            sock.close()

    def lines(self, number=1):
        """{line `number` of each connection, or b"" where the end came before: how many}"""
        selector = selectors.DefaultSelector()
        for sock in self.sockets:
            selector.register(sock, selectors.EVENT_READ)
            if self._say:
                selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
        found = {}
        deadline = time.monotonic() + 120
        waiting = len(self.sockets)
        while waiting:
            assert time.monotonic() < deadline, f"{waiting} connections hear nothing"
            for key, events in selector.select(1):
                sock = key.fileobj
                if events & selectors.EVENT_WRITE:
                    with contextlib.suppress(OSError):
                        sock.send(self._say)
                    selector.modify(sock, selectors.EVENT_READ)
                    continue
                try:
                    data = sock.recv(4096)
                except OSError:
                    data = b""
                self.said[sock] += data
                lines = self.said[sock].split(b"\r\n")
                if data and len(lines) <= number:
                    continue
                selector.unregister(sock)
                waiting -= 1
                line = lines[number - 1] if len(lines) > number else b""
                found[line] = found.get(line, 0) + 1
        selector.close()
        return found


def greeted(lines):
    return sum(count for line, count in lines.items() if line.startswith(b"+OK"))


def test_sessions_of_an_address_are_exact_in_a_storm(world):
    here = world({"sessions": {"ip": 20}}, workers=2)
    with Flood(here.port, ["127.0.0.2"] * 500) as flood:
        lines = flood.lines()
        assert greeted(lines) == 20, lines
        assert lines[FULL] == 480, lines
        assert here.refusals("sessions_ip", 480) == 480
        with here.connect("127.0.0.3") as other:
            assert other.greeting.startswith(b"+OK")
        with Flood(here.proxy.ports["pop3s"], ["127.0.0.2"] * 5) as refused:
            assert refused.lines() == {b"": 5}, "with TLS nothing can be said"
    # Whoever leaves makes room.
    assert here.proxy.wait_for_metric_to_fall(0, "postern_guard_table_entries", table="sessions")
    with Flood(here.port, ["127.0.0.2"] * 21) as flood:
        assert greeted(flood.lines()) == 20
    closed = here.proxy.wait_for_metric(486, "postern_listener_sessions_closed_total", reason="admission")
    assert closed.get("postern_listener_sessions_closed_total", reason="admission") == 486
    lines = [line for line in here.proxy.session_lines(480) if "guard=" in line]
    assert len(lines) >= 480 and all(" reason=admission guard=sessions_ip " in line for line in lines)


def test_sessions_of_a_network(world):
    here = world({"sessions": {"prefix": 10}, "exempt": ["127.0.5.7"]})
    with Flood(here.port, [f"127.0.4.{i}" for i in range(1, 101)]) as flood:
        assert greeted(flood.lines()) == 10
        with Flood(here.port, ["127.0.5.7"] * 50) as exempt:
            assert greeted(exempt.lines()) == 50


def test_sessions_of_a_user(world):
    here = world({"sessions": {"user": 3}})
    say = f"USER {OWNER}\r\nPASS right\r\n".encode()
    with Flood(here.port, [f"127.0.1.{i}" for i in range(1, 61)], say) as flood:
        lines = flood.lines(3)
        assert greeted(lines) == 3, lines
        assert all(b"Too many sessions" in line for line in lines if not line.startswith(b"+OK")), lines
        # The code says whether the password was found right: RFC 2449, IN-USE.
        asked = here.passwords()
        assert here.log_in("127.0.9.1") == b"-ERR [IN-USE] Too many sessions, please try again later"
        assert here.passwords() == asked + 1
        # From here the user has logged in: no backend is asked.
        assert here.log_in("127.0.1.99") == b"-ERR [SYS/TEMP] Too many sessions, please try again later"
        assert here.passwords() == asked + 1
        # A stranger learns nothing.
        assert here.log_in("127.0.8.1", password="wrong") == WRONG
        assert here.log_in("127.0.8.1", user="other@known.test").startswith(b"+OK")
    wait_until(lambda: here.log_in("127.0.1.1").startswith(b"+OK"), 60)
    assert here.proxy.metrics().get("postern_listener_logins_total", result="limited") >= 58


FAILURES = {"user": 12, "ip": 0, "prefix": 0, "forget": "1h", "delay": "0s", "delay_max": "0s"}


def test_the_owner_is_not_locked_out(world):
    here = world({"failures": FAILURES})
    assert here.log_in("127.0.0.1").startswith(b"+OK")
    attack = [here.log_in(f"127.0.9.{i}", password=f"wrong{i}") for i in range(1, 31)]
    assert attack == [WRONG] * 12 + [FAILED_OFTEN] * 18
    assert here.passwords() == 1 + 12, "the backend is not asked any more"
    assert here.log_in("127.0.8.1") == FAILED_OFTEN, "nor for who would know the password"
    assert here.log_in("127.0.0.77").startswith(b"+OK"), "the owner's network is open"
    assert here.log_in("127.0.9.1", user="other@known.test").startswith(b"+OK")
    assert here.refusals("failures_user", 19) == 19
    # A reload forgets nothing.
    here.proxy.reload()
    assert here.log_in("127.0.8.1") == FAILED_OFTEN
    assert here.log_in("127.0.0.77").startswith(b"+OK")


def test_many_guesses_at_the_same_time(world):
    here = world({"failures": FAILURES})
    say = f"USER {OWNER}\r\nPASS wrong\r\n".encode()
    with Flood(here.port, [f"127.0.{i % 200 + 1}.1" for i in range(300)], say) as flood:
        lines = flood.lines(3)
    assert lines == {WRONG: 12, FAILED_OFTEN: 288}
    assert here.passwords() == 12


def test_unknown_users_fail_like_known_ones(world):
    here = world({"failures": FAILURES})
    answers = {
        user: [here.log_in("127.0.9.1", user, "wrong") for _ in range(15)]
        for user in (OWNER, "nobody@unknown.test")
    }
    assert answers[OWNER] == answers["nobody@unknown.test"] == [WRONG] * 12 + [FAILED_OFTEN] * 3


def test_addresses_and_networks_that_fail(world):
    here = world({"failures": {**FAILURES, "user": 0, "ip": 5, "prefix": 8}})
    names = iter(f"user{i}@known.test" for i in range(100))
    answers = [here.log_in("127.0.9.1", next(names), "wrong") for _ in range(6)]
    assert answers == [WRONG] * 5 + [FAILED_OFTEN]
    answers = [here.log_in(f"127.0.9.{i}", next(names), "wrong") for i in range(2, 7)]
    assert answers == [WRONG] * 3 + [FAILED_OFTEN] * 2
    assert here.log_in("127.0.10.1", next(names)).startswith(b"+OK")
    assert here.refusals("failures_ip", 1) == 1 and here.refusals("failures_prefix", 2) == 2


def test_what_passes_is_no_failure(world):
    here = world({"failures": FAILURES})
    answers = iter([b"[SYS/TEMP]", b"[IN-USE]", b"[LOGIN-DELAY]", b"[sys/perm]"] * 5)
    here.backend.faults["pass"] = lambda c: c.send(b"-ERR " + next(answers) + b" not now\r\n")
    for _ in range(20):
        assert b"not now" in here.log_in("127.0.9.1")
    del here.backend.faults["pass"]
    assert here.log_in("127.0.9.1").startswith(b"+OK")


def test_delays_grow_and_come_before_the_backend(world):
    rules = {"user": 8, "ip": 0, "prefix": 0, "delay": "100ms", "delay_max": "1600ms"}
    here = world({"failures": rules}, timeouts={"refused_delay": "0s"})

    def seconds(password):
        with here.connect("127.0.9.1") as client:
            client.ok(f"USER {OWNER}")
            started = time.monotonic()
            client.command(f"PASS {password}")
            return time.monotonic() - started

    taken = [seconds("wrong") for _ in range(7)]
    assert taken[2] >= 0.1 and taken[4] >= 0.25 and taken[6] >= 0.6, taken
    assert seconds("right") >= 1, "a right password waits as well: the answer's time tells nothing"
    metrics = here.proxy.metrics()
    assert metrics.get("postern_listener_guard_delays_total") == 6
    assert metrics.get("postern_listener_guard_delay_seconds_total") > 2


def list_file(here, name, text):
    path = os.path.join(here.proxy.directory, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def is_closed(port, source, header=b""):
    """True when the connection ends without a word."""
    with socket.create_connection(("127.0.0.1", port), 60, (source, 0)) as sock:
        try:
            sock.sendall(header)
            return sock.recv(100) == b""
        except ConnectionError:
            return True


def test_lists_and_their_reload(world):
    here = world({"sessions": {"ip": 100}})
    deny = list_file(here, "deny", "# spammers\n127.0.7.0/24\n2001:db8::/32\n")
    allow = list_file(here, "allow", "127.0.7.9 # but this one\n")
    here.config["guard"] = {"deny": [deny], "allow": [allow]}
    here.proxy.write_config(here.config)
    assert "is in use" in here.proxy.reload()
    wait_until(lambda: is_closed(here.port, "127.0.7.1"), 60)
    assert is_closed(here.proxy.ports["pop3s"], "127.0.7.2")
    assert here.log_in("127.0.7.9").startswith(b"+OK")
    assert here.log_in("127.0.6.1").startswith(b"+OK")
    assert here.refusals("denied", 2) >= 2
    assert here.proxy.metrics().get("postern_guard_list_ranges", list="deny") == 2
    # A mistake changes nothing, and says where it is.
    list_file(here, "deny", "127.0.6.0/24\n127.0.7.1/24\n")
    assert f'{deny}:2:1: "127.0.7.1/24" has bits behind its prefix' in here.proxy.reload()
    assert here.log_in("127.0.6.1").startswith(b"+OK")
    assert is_closed(here.port, "127.0.7.1")
    done = run_postern("check", "--config", here.proxy.config_path)
    assert done.returncode == 1 and f"{deny}:2:1: " in done.stderr
    list_file(here, "deny", "127.0.6.0/24\n")
    here.proxy.reload()
    wait_until(lambda: is_closed(here.port, "127.0.6.1"), 60)
    assert here.log_in("127.0.7.1").startswith(b"+OK")


def test_a_reload_that_needs_more_memory_than_there_is(world):
    here = world({"sessions": {"user": 100}})
    pid = here.proxy.pid
    size = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size + 2**30, resource.RLIM_INFINITY))
    before = here.config["guard"]
    here.config["guard"] = {"connections": {"ip": "2/h"}, "entries": 2**28}  # 4 GiB
    here.proxy.write_config(here.config)
    assert "guard: the system has no memory for its tables" in here.proxy.reload()
    for _ in range(5):
        assert here.log_in("127.0.7.1").startswith(b"+OK")
    # Nothing is left of it that the next one would stumble over.
    here.config["guard"] = {**before, "connections": {"ip": "2/h"}, "entries": 4096}
    here.proxy.write_config(here.config)
    assert "is in use" in here.proxy.reload()
    assert here.log_in("127.0.8.1").startswith(b"+OK")


def test_lists_and_limits_behind_a_proxy_header(world, tmp):
    with open(os.path.join(tmp, "deny"), "w") as file:
        file.write("203.0.113.0/24\n")
    listeners = [{"name": "plain", "tls": "off", "proxy_protocol": True,
                  "plaintext_logins": True, "proxy_networks": ["127.0.0.0/8"]}]
    here = world({"deny": [os.path.join(tmp, "deny")], "sessions": {"ip": 2}}, listener=listeners)

    def connect(client):
        sock = socket.create_connection(("127.0.0.1", here.port), 60)
        sock.sendall(f"PROXY TCP4 {client} 192.0.2.1 4711 995\r\n".encode())
        return sock

    with connect("203.0.113.9") as sock:
        assert sock.recv(100) == b""
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            assert stack.enter_context(connect("198.51.100.1")).recv(100).startswith(b"+OK")
        with connect("198.51.100.1") as third:
            assert third.recv(100).startswith(FULL)
        with connect("198.51.100.2") as other:
            assert other.recv(100).startswith(b"+OK")
    assert here.refusals("denied", 1) == 1 and here.refusals("sessions_ip", 1) == 1


def test_lists_and_limits_behind_xclient(world, tmp):
    """Whoever speaks for others is let in; those it names pass the door at their login."""
    with open(os.path.join(tmp, "deny"), "w") as file:
        file.write("203.0.113.0/24\n")
    listeners = [{"name": "plain", "tls": "off", "plaintext_logins": True,
                  "xclient_networks": ["127.0.2.0/24"]}]
    guard = {"deny": [os.path.join(tmp, "deny")], "sessions": {"ip": 2}, "connections": {"ip": "4/h"}}
    here = world(guard, listener=listeners)

    def log_in(client, stack, password="right"):
        front = stack.enter_context(here.connect("127.0.2.1"))
        front.ok(f"XCLIENT ADDR={client} PORT=4711")
        return front, front.login(OWNER, password)

    refused = b"-ERR [SYS/TEMP] Too many sessions, please try again later"
    with contextlib.ExitStack() as stack:
        assert log_in("203.0.113.9", stack)[1] == refused
        front, answer = log_in("198.51.100.1", stack, "wrong")
        assert answer == WRONG
        # One connection, however often it tries.
        assert front.login(OWNER, "right").startswith(b"+OK")
        assert log_in("198.51.100.1", stack)[1].startswith(b"+OK")
        assert log_in("198.51.100.1", stack)[1] == refused
        assert log_in("198.51.100.2", stack)[1].startswith(b"+OK")
    assert here.refusals("denied", 1) == 1 and here.refusals("sessions_ip", 1) == 1
    assert here.refusals("rate_ip", 0) == 0


def test_rates_of_new_connections(world):
    here = world({"connections": {"ip": "20/h", "prefix": "30/h"}})
    with here.connect("127.0.0.1") as client:
        assert client.login(OWNER, "right").startswith(b"+OK")
        with Flood(here.port, ["127.0.3.1"] * 400) as flood:
            client.ok("NOOP")
            assert greeted(flood.lines()) == 20
        with Flood(here.port, [f"127.0.3.{i}" for i in range(2, 50)]) as flood:
            assert greeted(flood.lines()) == 10
        client.ok("STAT")
        assert here.refusals("rate_ip", 380) == 380 and here.refusals("rate_prefix", 38) == 38
        client.quit()
    # The flood has left no lines: twenty, ten, and the one that logged in.
    here.proxy.wait_for_metric_to_fall(0, "postern_listener_sessions")
    assert len(here.proxy.session_lines(31)) == 31


def test_the_rate_of_a_listener(world):
    here = world({"connections": {"listener": "15/h"}})
    with Flood(here.port, [f"127.0.{i}.1" for i in range(1, 100)]) as flood:
        assert greeted(flood.lines()) == 15
    with Pop3Connection(here.proxy.ports["pop3"]) as other:
        assert other.greeting.startswith(b"+OK")


def test_login_delay(world):
    here = world({}, pool={"login_delay": "1h"})
    too_soon = b"-ERR [LOGIN-DELAY] Too soon after the last login, please try again later"
    with here.connect() as client:
        assert "LOGIN-DELAY 3600" in client.capabilities()
    assert here.log_in("127.0.0.1").startswith(b"+OK")
    assert here.log_in("127.0.0.2") == too_soon
    assert here.passwords() == 1, "said without asking the backend"
    assert here.log_in("127.0.9.1", password="wrong") == WRONG, "strangers learn nothing"
    assert here.log_in("127.0.9.1") == too_soon
    assert here.log_in("127.0.0.1", user="other@known.test").startswith(b"+OK")
    assert here.refusals("login_delay", 2) == 2


def test_the_login_delay_is_announced_whatever_is_known_of_the_backends(world):
    """RFC 2449 section 6.5: also once CAPA was learnt, and at a listener with a list of its own."""
    listeners = [
        {"name": "plain", "tls": "off", "plaintext_logins": True},
        {"name": "fixed", "tls": "off", "plaintext_logins": True, "capabilities": ["TOP", "EXPIRE 5"]},
    ]
    here = world({"login_delay": "90s"}, listener=listeners)

    def capabilities(name):
        with Pop3Connection(here.proxy.ports[name]) as client:
            return client.capabilities()

    assert {"RESP-CODES", "LOGIN-DELAY 90"} <= set(capabilities("plain"))
    assert {"EXPIRE 5", "LOGIN-DELAY 90"} <= set(capabilities("fixed"))
    assert here.log_in("127.0.0.1").startswith(b"+OK")
    # The backend has been asked by now: it has no RESP-CODES, nor a LOGIN-DELAY.
    learnt = capabilities("plain")
    assert "RESP-CODES" not in learnt and "UIDL" in learnt and "LOGIN-DELAY 90" in learnt
    assert {"EXPIRE 5", "LOGIN-DELAY 90"} <= set(capabilities("fixed"))


def test_the_login_delay_of_a_route(world):
    routes = [{"users": "owner@known.test", "pool": "mail", "login_delay": "0s"},
              {"users": "*", "pool": "mail"}]
    here = world({"login_delay": "1h"}, route=routes)
    with here.connect() as client:
        assert "LOGIN-DELAY 3600 USER" in client.capabilities()
    for _ in range(3):
        assert here.log_in("127.0.0.1").startswith(b"+OK")
    assert here.log_in("127.0.0.1", "other@known.test").startswith(b"+OK")
    assert here.log_in("127.0.0.1", "other@known.test").startswith(b"-ERR [LOGIN-DELAY]")


def test_logins_at_the_same_time_meet_the_login_delay(world):
    here = world({"login_delay": "1h"})
    say = f"USER {OWNER}\r\nPASS right\r\n".encode()
    with Flood(here.port, [f"127.0.{i}.1" for i in range(1, 51)], say) as flood:
        assert greeted(flood.lines(3)) == 1


def test_what_the_status_says(world):
    here = world({"failures": FAILURES, "sessions": {"ip": 50}, "entries": 5000})
    here.log_in("127.0.9.1", password="wrong")
    status = json.loads(here.proxy.http("/api/v1/status")[1])
    tables = {table["name"]: table for table in status["guard"]["tables"]}
    assert set(tables) == {"sessions", "failures", "known"}
    assert tables["failures"]["capacity"] == 8192 and tables["failures"]["entries"] == 1
    assert tables["failures"]["bytes"] == 8192 * 16
    assert {"guard_refusals", "guard_delays"} <= set(status["listeners"][0])
