"""Logins wait for a backend that is full or restarts, and nobody notices; weights change live."""

import collections
import contextlib
import json
import os
import re
import time

import pytest

from harness import Pop3Connection, free_port
from harness.processes import Process
from harness.proxy import build_directory, run_postern
from harness.waiting import wait_until

LOAD = os.path.join(build_directory(), "postern-load")
MAILDROP = os.path.join(build_directory(), "postern-maildrop")
RATE = 200

pytestmark = pytest.mark.skipif(not os.path.exists(LOAD), reason="built without POSTERN_BENCH")

# The session log's words for sessions that a dying backend cuts after the login.
CUT = {"upstream_closed", "upstream_truncated"}


class Store:
    """postern-maildrop on a port that stays its own through restarts."""

    def __init__(self, name, directory, *more):
        self.name = name
        self.port = free_port()
        self.directory = directory
        self.more = more
        self.starts = 0
        self.process = None

    def start(self):
        self.starts += 1
        log = os.path.join(self.directory, f"{self.name}-{self.starts}.log")
        self.process = Process(
            [MAILDROP, "--listen", f"127.0.0.1:{self.port}", "--name", self.name, "--messages", "1", *self.more], log
        )
        wait_until(lambda: "is ready" in self.process.log(), 60, self.process.log)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process = None


@pytest.fixture
def stores(tmp):
    made = [Store(f"store{i}", tmp) for i in range(4)]
    try:
        for store in made:
            store.start()
        yield made
    finally:
        for store in made:
            store.kill()


def config(stores, backend=None, **pool):
    backends = [
        {"name": store.name, "address": f"127.0.0.1:{store.port}", **(backend or {})} for store in stores
    ]
    return {
        "pool": [{"name": "mail", "backends": backends, **pool}],
        "route": [{"users": "*", "pool": "mail"}],
    }


def start_load(proxy, tmp, seconds, *more):
    return Process(
        [LOAD, "--target", f"127.0.0.1:{proxy.ports['plain']}", "--users", "user%d@pool.test", "--population", "2000",
         "--rate", str(RATE), "--duration-s", str(seconds), "--sessions", "3000", "--timeout-s", "90", "--quiet",
         "--json", os.path.join(tmp, "load.json"), *more],
        os.path.join(tmp, "load.log"),
    )  # fmt: skip


def results(load, tmp):
    load.wait(240)
    with open(os.path.join(tmp, "load.json")) as file:
        return json.load(file)


def reasons(proxy):
    counts = collections.Counter()
    for line in proxy.session_lines():
        counts[re.search(r" reason=(\w+)", line).group(1)] += 1
    return counts


def failed_logins(proxy):
    metrics = proxy.metrics()
    return sum(
        metrics.get("postern_listener_logins_total", result=result)
        for result in ("unavailable", "refused", "unknown_user")
    )


def test_a_restart_under_load_is_invisible(start_proxy, stores, tmp):
    """One of four is killed and is back after three seconds, at 200 logins a second."""
    proxy = start_proxy(config(stores, queue={"wait": "50s", "max": 2000}))
    load = start_load(proxy, tmp, 8, "--script", "login")
    proxy.wait_for_metric(300, "postern_listener_logins_total", result="accepted")
    stores[0].kill()
    killed = time.monotonic()
    # Three seconds of waiting logins: a quarter of the users live there.
    proxy.wait_for_metric(3 * RATE / 4 * 0.8, "postern_pool_waiting_logins", pool="mail")
    stores[0].start()
    proxy.wait_for_metric_to_fall(0, "postern_pool_waiting_logins", pool="mail")
    waited = time.monotonic() - killed
    told = results(load, tmp)
    assert told["sessions"] > 5 * RATE, told
    assert failed_logins(proxy) == 0, proxy.metrics().text
    # Who was logged in when the store died has lost the session; nobody else has.
    assert set(reasons(proxy)) <= {"quit", *CUT}, reasons(proxy)
    assert told["failed"] <= sum(reasons(proxy)[word] for word in CUT), told
    metrics = proxy.metrics()
    assert metrics.get("postern_backend_queue_seconds_count", backend="store0") > 50
    assert metrics.get("postern_backend_queue_seconds_count", backend="store1") == 0
    # One asks for all who wait, ten times a second.
    assert metrics.get("postern_backend_errors_total", backend="store0", reason="refused") < 150 + 15 * waited


def with_token(settings, tmp):
    """So that the command line may change something."""
    token = os.path.join(tmp, "token")
    with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("a token\n")
    settings["admin"] = {"address": f"127.0.0.1:{free_port()}", "token_file": token}
    return settings


def verb(proxy, *arguments, code=0):
    done = run_postern(arguments[0], "--config", proxy.config_path, *arguments[1:])
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_draining_one_of_four_under_load(start_proxy, stores, tmp):
    """No login fails and no session is cut, and the drained one runs empty."""
    proxy = start_proxy(with_token(config(stores, failover=True), tmp))
    load = start_load(proxy, tmp, 5, "--script", "idle", "--hold-s", "2")
    proxy.wait_for_metric(30, "postern_backend_sessions", backend="store1")
    assert verb(proxy, "drain", "store1") == "store1: draining\n"
    proxy.wait_for_metric_to_fall(0, "postern_backend_sessions", backend="store1")
    before = proxy.metrics().get("postern_backend_sessions_total", backend="store1")
    told = results(load, tmp)
    assert told["failed"] == 0, told
    assert failed_logins(proxy) == 0
    assert set(reasons(proxy)) == {"quit"}, reasons(proxy)
    # Only users who had a session there were let in once more, and they were gone by then.
    assert proxy.metrics().get("postern_backend_sessions_total", backend="store1") == before


def log_in(proxy, user):
    client = Pop3Connection(proxy.ports["plain"])
    answer = client.login(user, "any")
    return client, answer


def backend_row(proxy, name):
    rows = json.loads(proxy.http("/api/v1/status")[1])["backends"]
    return next(row for row in rows if row["name"] == name)


def test_a_full_backend_is_waited_for(start_proxy, stores):
    settings = config(stores[:1], backend={"max_sessions": 2}, queue={"wait": "50s", "max": 1})
    proxy = start_proxy(settings)
    inside = [log_in(proxy, f"user{i}@pool.test") for i in range(2)]
    assert all(answer.startswith(b"+OK") for _, answer in inside)
    assert backend_row(proxy, "store0")["load"] == {
        "seats": 2, "logins": 0, "sessions_max": 2, "logins_max": 0
    }  # fmt: skip
    waiting = Pop3Connection(proxy.ports["plain"])
    assert waiting.command("USER user3@pool.test").startswith(b"+OK")
    waiting.send(b"PASS any\r\n")
    proxy.wait_for_metric(1, "postern_pool_waiting_logins", pool="mail")
    # The queue is full, too: at once.
    late, answer = log_in(proxy, "user4@pool.test")
    assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
    late.close()
    assert proxy.metrics().get("postern_backend_errors_total", backend="store0", reason="full") == 1
    # A reload disturbs nobody who waits.
    proxy.reload()
    assert proxy.metrics().get("postern_pool_waiting_logins", pool="mail") == 1
    inside[0][0].quit()
    assert waiting.line().startswith(b"+OK")
    waiting.quit()
    inside[1][0].quit()
    wait_until(lambda: backend_row(proxy, "store0")["load"]["seats"] == 0, what="the seats")
    assert proxy.metrics().get("postern_backend_queue_seconds_count", backend="store0") == 1


def test_who_is_held_lets_the_others_pass(start_proxy, stores, tmp):
    """The first in line for a backend that is away is put on hold: the others are served all the same."""
    settings = with_token(config(stores[:1], queue={"wait": "50s"}), tmp)
    proxy = start_proxy({**settings, "timeouts": {"hold": "10m", "login": "10m"}})
    stores[0].kill()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Pop3Connection(proxy.ports["plain"], timeout=60)) for _ in range(4)]
        for number, client in enumerate(clients):
            assert client.command(f"USER user{number}@pool.test").startswith(b"+OK")
            client.send(b"PASS any\r\n")
            proxy.wait_for_metric(number + 1, "postern_pool_waiting_logins", pool="mail")
        verb(proxy, "hold", "user0@pool.test")
        proxy.wait_for_metric(1, "postern_held_logins")
        stores[0].start()
        for client in clients[1:]:
            assert client.line().startswith(b"+OK"), proxy.log()
        verb(proxy, "release", "user0@pool.test")
        assert clients[0].line().startswith(b"+OK")


def test_a_waiting_client_that_goes_gives_its_place_up(start_proxy, stores):
    settings = config(stores[:1], backend={"max_sessions": 1}, queue={"wait": "50s"})
    proxy = start_proxy({**settings, "timeouts": {"drain": "100s"}})
    inside, answer = log_in(proxy, "user0@pool.test")
    assert answer.startswith(b"+OK")
    waiting = [Pop3Connection(proxy.ports["plain"]) for _ in range(2)]
    for number, client in enumerate(waiting):
        assert client.command(f"USER user{number}@pool.test").startswith(b"+OK")
        client.send(b"PASS any\r\n")
        proxy.wait_for_metric(number + 1, "postern_pool_waiting_logins", pool="mail")
    waiting[0].close()
    proxy.wait_for_metric_to_fall(1, "postern_pool_waiting_logins", pool="mail")
    inside.quit()
    assert waiting[1].line().startswith(b"+OK")
    # SIGTERM while somebody waits.
    late = Pop3Connection(proxy.ports["plain"])
    assert late.command("USER user9@pool.test").startswith(b"+OK")
    late.send(b"PASS any\r\n")
    proxy.wait_for_metric(1, "postern_pool_waiting_logins", pool="mail")
    proxy.terminate()
    assert b"[SYS/TEMP] The server is shutting down" in late.line()
    waiting[1].quit()
    proxy.wait()


def test_weights_change_live(start_proxy, stores, tmp):
    proxy = start_proxy(with_token(config(stores[:2], failover=True), tmp))

    def counts():
        metrics = proxy.metrics()
        return [metrics.get("postern_backend_sessions_total", backend=name) for name in ("store0", "store1")]

    def log_many_in():
        before = counts()
        for number in range(20):
            client, answer = log_in(proxy, f"user{number}@pool.test")
            assert answer.startswith(b"+OK")
            client.quit()
        # A user with a live session stays where it is.
        proxy.wait_for_metric_to_fall(0, "postern_backend_sessions")
        return [int(now - then) for now, then in zip(counts(), before)]

    first = log_many_in()
    assert min(first) > 2, first
    assert verb(proxy, "weight", "store0", "0", "--reason", "new disks") == "store0: weight 0\n"
    assert log_many_in() == [0, 20]
    assert re.search(r"info: backend store0: weight 0, by 127\.0\.0\.1:\d+: new disks", proxy.log())
    assert re.search(r"store0 .* weight 0 by 127\.0\.0\.1:\d+: new disks", verb(proxy, "status"))
    assert proxy.metrics().get("postern_backend_weight", backend="store0") == 0
    # A reload forgets nothing.
    proxy.reload()
    assert log_many_in() == [0, 20]
    assert backend_row(proxy, "store0")["weight"]["set"] == 0
    assert "0 to 10000" in verb(proxy, "weight", "store0", "10001", code=2)
    assert "0 to 10000" in verb(proxy, "weight", "store0", "much", code=2)
    assert "no backend store9" in verb(proxy, "weight", "store9", "1", code=1)
    assert verb(proxy, "weight", "store0", "configured") == "store0: weight as configured\n"
    assert log_many_in() == first
    assert proxy.metrics().get("postern_backend_weight", backend="store0") == 100


def test_sessions_are_spread_over_workers(start_proxy, stores):
    """Two workers, one count: the pool stays level to the session."""
    proxy = start_proxy(config(stores, failover=True, balance="least-sessions"))
    clients = []
    for number in range(40):
        client, answer = log_in(proxy, f"user{number}@pool.test")
        assert answer.startswith(b"+OK")
        clients.append(client)
    metrics = proxy.wait_for_metric(40, "postern_backend_sessions")
    assert [metrics.get("postern_backend_sessions", backend=store.name) for store in stores] == [10] * 4
    for client in clients:
        client.quit()


def test_the_backup_serves_when_nobody_else_does(start_proxy, stores):
    settings = config(stores[:2], failover=True)
    settings["pool"][0]["backends"][1]["backup"] = True
    proxy = start_proxy(settings)
    for _ in range(4):
        client, answer = log_in(proxy, "user1@pool.test")
        assert answer.startswith(b"+OK")
        client.quit()
    assert proxy.metrics().get("postern_backend_connects_total", backend="store1") == 0
    proxy.wait_for_metric_to_fall(0, "postern_backend_sessions")
    stores[0].kill()
    client, answer = log_in(proxy, "user1@pool.test")
    assert answer.startswith(b"+OK")
    client.quit()
    assert proxy.metrics().get("postern_backend_sessions_total", backend="store1") == 1


def test_a_dead_pool_answers_at_once(start_proxy, stores):
    """Also where the names of its backends mean nothing."""
    settings = config(stores[:1])
    settings["pool"][0]["backends"][0]["address"] = "no-such-host.invalid:110"
    proxy = start_proxy(settings)
    for _ in range(30):
        client, answer = log_in(proxy, "user1@pool.test")
        client.close()
        assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
    # A pause between two tries takes 100 ms each time; a busy machine is not that slow each time.
    lines = proxy.session_lines(30)
    assert min(int(re.search(r" total_ms=(\d+)", line).group(1)) for line in lines) < 100, lines
