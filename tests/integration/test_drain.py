"""An operator takes backends out of service and back, with the real command line."""

import os
import re
import subprocess

from harness import Pop3Connection, Proxy, free_port
from harness.farm import BY_HASH, PASSWORD
from harness.processes import Process
from harness.proxy import build_directory, run_postern
from harness.waiting import wait_until


def config(farm, tmp, failover=True, **admin):
    backends = [{"name": name, "address": server.address()} for name, server in farm.servers.items()]
    settings = {
        "pool": [{"name": "mail", "failover": failover, "backends": backends}],
        "route": [{"users": "*", "pool": "mail"}],
    }
    if admin:
        token = os.path.join(tmp, "token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            file.write("a token\n")
        settings["admin"] = {"token_file": token, **admin}
    return settings


def start(start_proxy, farm, tmp, **more):
    return start_proxy(config(farm, tmp, address=f"127.0.0.1:{free_port()}", **more))


def verb(proxy, *arguments, code=0):
    done = run_postern(arguments[0], "--config", proxy.config_path, *arguments[1:])
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def log_in(proxy, user):
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.login(user, PASSWORD)
        if answer.startswith(b"+OK"):
            client.quit()
    return answer


def backends_of(proxy, count):
    return [re.search(r" backend=(\w+) ", line).group(1) for line in proxy.session_lines(count)]


def state_of(proxy, backend):
    """(state, sessions, the rest of the line)"""
    for line in verb(proxy, "status").splitlines():
        match = re.match(rf"{backend} +mail +(\w+) +(\d+ \w+|-) +(\d+) *(.*)", line)
        if match:
            return match[1], int(match[3]), match[4]
    raise AssertionError(f"no {backend} in {verb(proxy, 'status')}")


def test_drain_and_undrain(start_proxy, farm, tmp):
    proxy = start(start_proxy, farm, tmp)
    assert state_of(proxy, "mail1") == ("unchecked", 0, "")
    assert verb(proxy, "drain", "mail1", "--reason", "new\ndisks") == "mail1: draining\n"
    for user in BY_HASH:
        assert log_in(proxy, user).startswith(b"+OK")
    assert set(backends_of(proxy, len(BY_HASH))) == {"mail2"}
    assert re.search(
        r"info: backend mail1: draining, was enabled, by 127\.0\.0\.1:\d+: new\\x0adisks", proxy.log()
    ), proxy.log()
    state, _, why = state_of(proxy, "mail1")
    assert state == "draining" and re.fullmatch(r"by 127\.0\.0\.1:\d+: new.*disks", why), why
    assert proxy.metrics().get("postern_backend_out_of_service", backend="mail1") == 1
    # A reload forgets nothing.
    proxy.reload()
    assert state_of(proxy, "mail1")[0] == "draining"
    assert verb(proxy, "undrain", "mail1") == "mail1: enabled\n"
    for user in BY_HASH:
        log_in(proxy, user)
    assert "mail1" in backends_of(proxy, 2 * len(BY_HASH))[len(BY_HASH):]
    assert proxy.metrics().get("postern_backend_out_of_service") == 0


def test_wait_for_the_last_session(start_proxy, farm, tmp):
    proxy = start(start_proxy, farm, tmp)
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(BY_HASH[0], PASSWORD).startswith(b"+OK")
        metrics = proxy.wait_for_metric(1, "postern_backend_sessions")
        busy = "mail1" if metrics.get("postern_backend_sessions", backend="mail1") else "mail2"
        waiting = subprocess.Popen(
            [os.path.join(build_directory(), "postern"), "drain", "--config", proxy.config_path, busy, "--wait"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert waiting.stdout.readline() == f"{busy}: draining\n"
            assert waiting.stdout.readline() == f"{busy}: 1 session\n"
            assert client.command("NOOP").startswith(b"+OK"), "the session goes on"
            assert waiting.poll() is None
            client.quit()
            assert waiting.stdout.readline() == f"{busy}: 0 sessions\n"
            assert waiting.wait(60) == 0
        finally:
            waiting.kill()
            waiting.wait()
            waiting.stdout.close()


def test_a_live_user_stays_at_a_drained_backend(start_proxy, farm, tmp):
    """Until the session is over: a user is never at two backends. A disabled one takes nobody."""
    proxy = start(start_proxy, farm, tmp)
    user = BY_HASH[0]
    with Pop3Connection(proxy.ports["plain"]) as client:
        assert client.login(user, PASSWORD).startswith(b"+OK")
        metrics = proxy.wait_for_metric(1, "postern_backend_sessions")
        home = "mail1" if metrics.get("postern_backend_sessions", backend="mail1") else "mail2"
        verb(proxy, "drain", home)
        assert log_in(proxy, user).startswith(b"+OK")
        assert backends_of(proxy, 1) == [home]
        verb(proxy, "disable", home)
        assert log_in(proxy, user).startswith(b"-ERR [SYS/TEMP]")
        assert "the user has a live session there" in proxy.session_lines(2)[1]
        client.quit()
    proxy.wait_for_metric_to_fall(0, "postern_backend_sessions")
    wait_until(lambda: log_in(proxy, user).startswith(b"+OK"), 60, proxy.log)

    def places():
        return [re.search(r" backend=(\w+) ", line)[1] for line in proxy.session_lines(4)
                if " result=logged_in " in line]  # fmt: skip

    wait_until(lambda: len(places()) == 3, what=lambda: proxy.session_lines())
    # The long one, the one beside it and the last.
    assert places().count(home) == 2, proxy.session_lines()


def test_without_failover_a_drained_backend_has_no_stand_in(start_proxy, farm, tmp):
    proxy = start(start_proxy, farm, tmp, failover=False)
    for name in farm.servers:
        verb(proxy, "disable", name, "--reason", "moving house")
    assert log_in(proxy, BY_HASH[0]).startswith(b"-ERR [SYS/TEMP]")
    line = proxy.session_lines()[0]
    assert "result=unavailable" in line and ": disabled: moving house" in line, line
    for name in farm.servers:
        verb(proxy, "enable", name)
    assert log_in(proxy, BY_HASH[0]).startswith(b"+OK")


def test_a_disabled_backend_is_not_checked(farm, tmp, leaf):
    settings = config(farm, tmp)
    settings["pool"][0]["health"] = {"interval": "100ms", "fast_interval": "100ms"}
    settings["admin"] = {"address": f"unix:{tmp}/admin.sock"}
    # The harness asks over TCP; here the command line does.
    proxy = Proxy(settings, os.path.join(tmp, "proxy"), certificate=leaf, start=False)
    server = Process(
        [os.path.join(build_directory(), "postern"), "serve", "--config", proxy.config_path],
        os.path.join(tmp, "postern.log"),
    )
    try:
        wait_until(lambda: "is ready" in server.log(), 60, server.log)
        wait_until(lambda: state_of(proxy, "mail1")[0] == "up", 60, server.log)
        verb(proxy, "disable", "mail1")
        wait_until(lambda: f"by uid {os.getuid()} (pid " in server.log(), 60, server.log)
        assert state_of(proxy, "mail1")[0] == "disabled"
        before = farm.servers["mail1"].log().count("Disconnected")
        # The other one's checks are the clock.
        other = farm.servers["mail2"].log().count("Disconnected")
        wait_until(lambda: farm.servers["mail2"].log().count("Disconnected") > other + 5, 60, server.log)
        assert farm.servers["mail1"].log().count("Disconnected") <= before + 1
        verb(proxy, "enable", "mail1")
        wait_until(lambda: farm.servers["mail1"].log().count("Disconnected") > before + 3, 60, server.log)
    finally:
        server.signal(15)
        assert server.wait(60) == 0


def test_mistakes_are_told(start_proxy, farm, tmp):
    proxy = start(start_proxy, farm, tmp)
    assert verb(proxy, "drain", "mail9", code=1) == "no backend mail9\n"
    verb(proxy, "drain", code=2)
    proxy.stop()
    assert "is postern serve running" in verb(proxy, "status", code=1)


def test_no_token_no_change(start_proxy, farm, tmp):
    proxy = start_proxy(config(farm, tmp))
    assert "changes over TCP need a token" in verb(proxy, "drain", "mail1", code=1)
    assert state_of(proxy, "mail1")[0] == "unchecked"
