"""Health checks: what is down is found, said and passed by; what came back is used again."""

import contextlib
import json
import os
import time

import pytest

from harness import Pop3Connection, free_port
from harness.dovecot import MASTER_PASSWORD, MASTER_USER
from harness.farm import BY_HASH, PASSWORD
from harness.ports import listens
from harness.processes import Process
from harness.waiting import wait_until

CHECKS = {"interval": "200ms", "fast_interval": "100ms", "jitter": "10ms", "timeout": "30s"}
CANARY = "someone@two.test"


class Door:
    """A port in front of a server, which can be shut and opened."""

    def __init__(self, server, directory):
        self.port = free_port()
        self.server = server
        self.directory = directory
        self.process = None

    def open(self):
        self.process = Process(
            ["socat", f"TCP-LISTEN:{self.port},bind=127.0.0.1,fork,reuseaddr", f"TCP:{self.server.address()}"],
            os.path.join(self.directory, f"socat{self.port}.log"),
        )
        wait_until(lambda: listens(self.port), what=lambda: f"socat: {self.process.log()}")

    def shut(self):
        if self.process is not None:
            self.process.kill()
            self.process = None


@pytest.fixture
def doors(farm, tmp):
    with contextlib.ExitStack() as stack:
        made = {}
        for name in ("mail1", "mail2"):
            made[name] = Door(farm.servers[name], tmp)
            made[name].open()
            stack.callback(made[name].shut)
        yield made


def config(doors, failover=False, **health):
    backends = [{"name": name, "address": f"127.0.0.1:{door.port}"} for name, door in doors.items()]
    return {
        "pool": [{"name": "mail", "failover": failover, "backends": backends, "health": {**CHECKS, **health}}],
        "route": [{"users": "*", "pool": "mail"}],
    }


def health_of(proxy, backend):
    status, text = proxy.http("/api/v1/status")
    assert status == 200, text
    return next(row["health"] for row in json.loads(text)["backends"] if row["name"] == backend)


def wait_for_health(proxy, backend, state):
    wait_until(
        lambda: health_of(proxy, backend)["state"] == state, 60,
        lambda: f"{backend} to be {state}: {health_of(proxy, backend)}\n{proxy.log()}",
    )  # fmt: skip


def log_in(proxy, user):
    """(answer, seconds)"""
    with Pop3Connection(proxy.ports["plain"]) as client:
        began = time.monotonic()
        answer = client.login(user, PASSWORD)
        took = time.monotonic() - began
        if answer.startswith(b"+OK"):
            client.quit()
    return answer, took


def homes(proxy):
    """One user of each backend, found by asking while both are up."""
    found = {}
    for count, user in enumerate(BY_HASH, 1):
        log_in(proxy, user)
        line = proxy.session_lines(count)[-1]
        found.setdefault("mail1" if "backend=mail1 " in line else "mail2", user)
    assert set(found) == {"mail1", "mail2"}
    return found


def test_without_failover_users_are_told_at_once(start_proxy, doors):
    proxy = start_proxy(config(doors))
    for name in doors:
        wait_for_health(proxy, name, "up")
    user_of = homes(proxy)
    doors["mail1"].shut()
    wait_for_health(proxy, "mail1", "down")
    assert "Connection refused" in health_of(proxy, "mail1")["reason"]
    connects = proxy.metrics().get("postern_backend_connects_total", backend="mail1")
    answer, took = log_in(proxy, user_of["mail1"])
    assert answer.startswith(b"-ERR [SYS/TEMP]"), answer
    # Nobody asked the backend, and nobody waited for the pause between two tries (100 ms).
    metrics = proxy.metrics()
    assert metrics.get("postern_backend_connects_total", backend="mail1") == connects
    assert metrics.get("postern_backend_errors_total", backend="mail1", reason="out") == 1
    assert metrics.get("postern_listener_logins_total", result="unavailable") == 1
    assert metrics.get("postern_backend_up", backend="mail1") == 0
    assert metrics.get("postern_backend_up", backend="mail2") == 1
    line = wait_until(
        lambda: next((line for line in proxy.session_lines() if "down: connect" in line), None), what=proxy.log
    )
    assert "result=unavailable" in line and "upstream_ms" not in line, line
    assert log_in(proxy, user_of["mail2"])[0].startswith(b"+OK")
    assert "backend mail1: down after 3 bad checks in a row: connect to" in proxy.log()

    doors["mail1"].open()
    wait_for_health(proxy, "mail1", "up")
    assert log_in(proxy, user_of["mail1"])[0].startswith(b"+OK")
    assert "backend mail1: up again after 2 good checks in a row" in proxy.log()
    assert proxy.metrics().get("postern_backend_health_changes_total", backend="mail1") == 3


def test_with_failover_the_other_one_serves(start_proxy, doors):
    proxy = start_proxy(config(doors, failover=True))
    user_of = homes(proxy)
    doors["mail1"].shut()
    wait_for_health(proxy, "mail1", "down")
    refused = proxy.metrics().get("postern_backend_errors_total", backend="mail1", reason="refused")
    for _ in range(3):
        assert log_in(proxy, user_of["mail1"])[0].startswith(b"+OK")
    after = proxy.metrics().get("postern_backend_errors_total", backend="mail1", reason="refused")
    assert after == refused, "a login asked a backend that is down"


def test_failed_logins_eject_without_any_check(start_proxy, doors):
    settings = config(doors, failover=True)
    del settings["pool"][0]["health"]
    settings["pool"][0]["eject"] = {"failures": 2, "time": "10m"}
    proxy = start_proxy(settings)
    user_of = homes(proxy)
    for door in doors.values():
        door.shut()
    # Two attempts of one login: the first backend is out. Then half of the pool is, and no more.
    assert log_in(proxy, user_of["mail1"])[0].startswith(b"-ERR [SYS/TEMP]")
    assert log_in(proxy, user_of["mail2"])[0].startswith(b"-ERR [SYS/TEMP]")
    metrics = proxy.metrics()
    assert metrics.get("postern_backend_ejections_total") == 1
    assert metrics.get("postern_backend_ejected", backend="mail1") == 1
    assert metrics.get("postern_backend_ejected", backend="mail2") == 0
    assert metrics.get("postern_pool_usable_backends", pool="mail") == 1
    assert "backend mail1: ejected for 600000 ms after 2 failed login attempts in a row: " in proxy.log()
    assert health_of(proxy, "mail1")["ejected_seconds_left"] > 500
    doors["mail2"].open()
    wait_until(lambda: log_in(proxy, user_of["mail1"])[0].startswith(b"+OK"), 60, proxy.log)
    assert proxy.metrics().get("postern_backend_connects_total", backend="mail1") == metrics.get(
        "postern_backend_connects_total", backend="mail1"
    )


def test_panic_uses_a_backend_that_answers_wrongly(start_proxy, doors, tmp):
    """A canary whose password has changed must not close the farm."""
    password = os.path.join(tmp, "password")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("not-the-password\n")
    proxy = start_proxy(config(doors, probe="login", user=CANARY, password_file=password, timeout="10s", fall=1))
    for name in doors:
        wait_for_health(proxy, name, "down")
    assert proxy.wait_for_metric(1, "postern_pool_panic", pool="mail")
    for user in BY_HASH:
        assert log_in(proxy, user)[0].startswith(b"+OK")
    wait_until(lambda: "pool mail: panic: none of its 2 backends is well" in proxy.log(), 60, proxy.log)


def test_a_live_session_stays(start_proxy, doors, farm):
    """Checks that fail end no session: here the port is shut and the old connection lives on."""
    proxy = start_proxy(config(doors))
    user_of = homes(proxy)
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(user_of["mail1"], PASSWORD).startswith(b"+OK")
        # socat's child of this connection goes on without its parent.
        doors["mail1"].process.process.terminate()
        wait_for_health(proxy, "mail1", "down")
        assert client.command("NOOP").startswith(b"+OK")
        assert client.quit().startswith(b"+OK")


@pytest.mark.parametrize("tls", ["off", "implicit", "stls"])
@pytest.mark.parametrize("probe", ["tcp", "greeting", "tls", "capa", "login", "master"])
def test_every_probe_with_a_real_server(probe, tls, start_proxy, farm, tmp):
    if probe == "tls" and tls == "off":
        pytest.skip("refused by the configuration")
    server = farm.servers["mail1"]
    health = {**CHECKS, "probe": "login" if probe == "master" else probe}
    backend = {"name": "mail1", "address": server.address(tls == "implicit"), "health": health}
    if tls != "off":
        backend.update(tls=tls, ca=farm.certificate.ca, server_name="mail.farm.test")
    password = os.path.join(tmp, "password")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write((MASTER_PASSWORD if probe == "master" else PASSWORD) + "\n")
    settings = {"backend": [backend], "route": [{"users": "*", "backend": "mail1"}]}
    if probe == "login":
        health.update(user=CANARY, password_file=password)
    if probe == "master":
        health.update(user=CANARY)
        backend.update(login="master", master_user=MASTER_USER, master_password_file=password)
        settings["auth"] = {"secrets": farm.secrets_path}
    proxy = start_proxy(settings)
    proxy.wait_for_metric(4, "postern_backend_checks_total", backend="mail1", result="good")
    assert proxy.metrics().get("postern_backend_checks_total", backend="mail1", result="bad") == 0, proxy.log()
    # A check is no login: nothing of it is counted as one.
    assert proxy.metrics().get("postern_backend_logins_total", backend="mail1") == 0
    if probe in ("login", "master"):
        server.wait_for_log(f"Login: user=<{CANARY}>")
        server.wait_for_log("Logged out")
    for secret in (PASSWORD, MASTER_PASSWORD):
        assert secret not in proxy.log()


def test_a_canary_with_a_wrong_password(start_proxy, farm, tmp):
    password = os.path.join(tmp, "password")
    with open(os.open(password, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("not-the-password\n")
    health = {**CHECKS, "probe": "login", "user": CANARY, "password_file": password, "timeout": "10s"}
    backend = {"name": "mail1", "address": farm.servers["mail1"].address(), "health": health}
    proxy = start_proxy({"backend": [backend], "route": [{"users": "*", "backend": "mail1"}]})
    wait_for_health(proxy, "mail1", "down")
    assert "[AUTH]" in health_of(proxy, "mail1")["reason"]
    assert "not-the-password" not in proxy.log() + proxy.http("/api/v1/status")[1]


def test_a_reload_keeps_what_is_known_and_takes_new_checks(start_proxy, doors):
    settings = config(doors)
    proxy = start_proxy(settings)
    doors["mail1"].shut()
    wait_for_health(proxy, "mail1", "down")
    changes = health_of(proxy, "mail1")["changes"]
    proxy.reload()
    assert health_of(proxy, "mail1")["state"] == "down"
    assert health_of(proxy, "mail1")["changes"] == changes
    del settings["pool"][0]["health"]
    proxy.write_config(settings)
    proxy.reload()
    wait_for_health(proxy, "mail1", "unchecked")
    assert proxy.metrics().get("postern_backend_up", backend="mail1") == 1
