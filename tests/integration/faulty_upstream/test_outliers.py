"""Backends that answer, but worse than the others of their pool; and a pool that answers nobody. Without checks."""

import contextlib
import json
import threading
import time

import pytest
from harness import Pop3Connection
from harness.waiting import wait_until

from .pop3_backend import Backend, BackendFarm

SLOW_SECONDS = 1.2
# Wide apart, so that a busy machine makes none of the good ones look bad.
RULES = {"slow_factor": 3, "slow_floor": "400ms", "sys_percent": 50, "window": "5s", "logins_min": 5,
         "time": "10m", "time_max": "10m"}  # fmt: skip


def slow_greeting(conversation):
    time.sleep(SLOW_SECONDS)
    conversation.send(b"+OK at last\r\n")


def slow_pass(conversation):
    time.sleep(SLOW_SECONDS)
    conversation.log_in()


def sys_temp(conversation):
    conversation.send(b"-ERR [SYS/TEMP] The disk is away\r\n")


def late_refusal(conversation):
    time.sleep(SLOW_SECONDS)
    conversation.send(b"-ERR [AUTH] Authentication failed.\r\n")


BAD = {
    "slow_greeting": ({"greeting": slow_greeting}, "slow greeting: half of the last "),
    "slow_login": ({"pass": slow_pass}, "slow login: half of the last "),
    "sys_refusals": ({"pass": sys_temp}, "refuses logins: "),
}


class Crowd:
    """Users that log in over and over until the block is left; round robin leads them everywhere."""

    def __init__(self, proxy, password="open-sesame", size=6):
        self.proxy, self.password = proxy, password
        self.logins = 0
        self.failures = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(size)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self.failures, self.failures

    def _run(self, number):
        try:
            while not self._stop.is_set():
                with Pop3Connection(self.proxy.ports["plain"]) as client:
                    if client.login(f"user{number}", self.password).startswith(b"+OK"):
                        client.quit()
                    self.logins += 1
        except Exception as error:  # noqa: BLE001, who started the thread is told
            self.failures.append(repr(error))


def pool_of(backends, **eject):
    return {
        "pool": [{
            "name": "mail", "failover": True, "balance": "round-robin", "affinity": False,
            "eject": {**RULES, **eject},
            "backends": [{"name": f"mail{i}", "address": one.address} for i, one in enumerate(backends, 1)],
        }],
        "route": [{"users": "*", "pool": "mail"}],
        "timeouts": {"refused_delay": "0s"},
    }  # fmt: skip


@contextlib.contextmanager
def served(*faults):
    backends = [Backend(faults=one) for one in faults]
    with BackendFarm(backends):
        yield backends


@pytest.mark.parametrize("reason", BAD)
def test_the_bad_one_of_three_is_ejected(reason, start_proxy):
    faults, words = BAD[reason]
    with served({}, faults, {}) as backends:
        proxy = start_proxy(pool_of(backends))
        with Crowd(proxy):
            proxy.wait_for_metric(1, "postern_backend_ejections_total", backend="mail2", reason=reason,
                                  timeout=60)  # fmt: skip
        metrics = proxy.metrics()
        assert metrics.get("postern_backend_ejections_total") == 1
        assert metrics.get("postern_backend_ejected", backend="mail2") == 1
        status = json.loads(proxy.http("/api/v1/status")[1])
        health = next(row["health"] for row in status["backends"] if row["name"] == "mail2")
        assert health["eject_reason"].startswith(words), health
        assert health["ejected_seconds_left"] > 300
        assert f"backend mail2: ejected for 600000 ms: {words}" in proxy.log()
        before = metrics.get("postern_backend_connects_total", backend="mail2")
        for number in range(6):
            with Pop3Connection(proxy.ports["plain"]) as client:
                assert client.login(f"later{number}", "open-sesame").startswith(b"+OK")
                client.quit()
        assert proxy.metrics().get("postern_backend_connects_total", backend="mail2") == before


@pytest.mark.parametrize("reason", BAD)
def test_a_pool_that_is_bad_as_a_whole_keeps_its_backends(reason, start_proxy):
    faults, _ = BAD[reason]
    with served(faults, faults, faults) as backends:
        proxy = start_proxy(pool_of(backends))
        with Crowd(proxy, size=9) as crowd:
            began = time.monotonic()
            # More than a window, and enough logins in it.
            wait_until(lambda: crowd.logins >= 60 and time.monotonic() > began + 7, 60, proxy.log)
        assert proxy.metrics().get("postern_backend_ejections_total") == 0, proxy.log()


def test_wrong_passwords_eject_nobody(start_proxy):
    """One server answers them late, on purpose."""
    with served({}, {"pass": late_refusal}, {}) as backends:
        proxy = start_proxy(pool_of(backends))
        with Crowd(proxy, password="wrong", size=6) as crowd:
            began = time.monotonic()
            wait_until(lambda: crowd.logins >= 60 and time.monotonic() > began + 7, 60, proxy.log)
        metrics = proxy.metrics()
        assert metrics.get("postern_backend_logins_total", backend="mail2", result="refused") >= 5
        assert metrics.get("postern_backend_ejections_total") == 0, proxy.log()


def test_a_pool_that_is_dead_costs_nobody_a_timeout(start_proxy):
    """No checks: once the first logins have failed, one a second tries, and the others are told at once."""
    with contextlib.ExitStack() as stack:
        backends = [Backend(listening="full") for _ in range(2)]
        stack.enter_context(BackendFarm(backends))
        settings = pool_of(backends, failures=2)
        settings["timeouts"]["upstream_connect"] = "6s"
        proxy = start_proxy(settings)
        with Crowd(proxy, size=4):
            for name in ("mail1", "mail2"):
                wait_until(
                    lambda name=name: proxy.metrics().get(
                        "postern_backend_errors_total", backend=name, reason="connect_timeout") >= 2,
                    180, proxy.log)  # fmt: skip
        times = []
        for number in range(30):
            with Pop3Connection(proxy.ports["plain"]) as client:
                began = time.monotonic()
                answer = client.login(f"late{number}", "open-sesame")
                times.append(time.monotonic() - began)
                assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
        # Some of them tried. A timeout is 6 s, and each try has two.
        assert sorted(times)[len(times) // 2] < 4, times
        assert proxy.metrics().get("postern_backend_errors_total", reason="out") >= 15
