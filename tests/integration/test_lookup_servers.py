"""Logins whose home a server knows: the real binary in front of a real Redis and two real Dovecots.

The other types are asked in the same way; tests/lookup_sources has each of them with its server.
"""

import os
import socket

import pytest

from harness import Pop3Connection
from harness.farm import BY_HASH, MAPPED, PASSWORD
from harness.processes import Process
from harness.proxy import run_postern
from harness.waiting import wait_until

USER = "mapped1@map.test"  # has its mail at both servers
REFUSED = b"-ERR [AUTH] Authentication failed."
REDIS_PASSWORD = "only the proxy knows"


class Redis:
    def __init__(self, directory):
        self.socket = os.path.join(directory, "redis.sock")
        self.arguments = [
            "redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir",
            directory, "--requirepass", REDIS_PASSWORD,
        ]  # fmt: skip
        self.log = os.path.join(directory, "redis.log")
        self.start()

    def start(self):
        self.process = Process(self.arguments, self.log)
        wait_until(self._answers, 60, lambda: self.process.log())

    def _answers(self):
        try:
            return self.ask("PING") == b"+PONG\r\n"
        except OSError:
            return False

    def ask(self, *words):
        """The first line of the answer."""
        return self.ask_all(words)

    def ask_all(self, *commands):
        """The first line of the last answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(self.socket)
            for command in (("AUTH", REDIS_PASSWORD), *commands):
                parts = "".join(f"${len(w.encode())}\r\n{w}\r\n" for w in command)
                client.sendall(f"*{len(command)}\r\n{parts}".encode())
                answer = client.makefile("rb").readline()
            return answer

    def stop(self):
        self.process.kill()


@pytest.fixture
def redis(tmp):
    server = Redis(str(tmp))
    yield server
    server.stop()


def write_password(tmp, password):
    path = os.path.join(tmp, "redis.password")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password + "\n")
    return path


def config(farm, redis, tmp, **lookup):
    password_file = write_password(tmp, REDIS_PASSWORD)
    table = {
        "name": "homes", "type": "redis", "servers": [f"unix:{redis.socket}"], "timeout": "30s",
        "password_file": password_file, "key": "home:{user}", **lookup,
    }  # fmt: skip
    return {
        "pool": farm.config()["pool"],
        "lookup": [table],
        "route": [{"lookup": "homes"}, {"map": farm.map_path}],
    }


def log_in(proxy, user=USER, password=PASSWORD):
    with Pop3Connection(proxy.ports["plain"]) as client:
        answer = client.login(user, password)
        if answer.startswith(b"+OK"):
            client.quit()
    return answer


def test_redis_says_where_users_live(start_proxy, farm, tmp, redis):
    redis.ask("SET", f"home:{USER}", "mail2")
    redis.ask("SET", f"home:{BY_HASH[0]}", "mail")
    redis.ask("SET", f"home:{BY_HASH[1]}", "")
    redis.ask("SET", f"home:{BY_HASH[2]}", "nowhere")
    proxy = start_proxy(config(farm, redis, str(tmp)))
    assert log_in(proxy).startswith(b"+OK")
    assert MAPPED[USER] == "mail1"
    assert "backend=mail2" in proxy.session_lines()[0]
    assert log_in(proxy, BY_HASH[0]).startswith(b"+OK")
    # Not in Redis: the next route knows.
    assert log_in(proxy, "mapped2@map.test").startswith(b"+OK")
    # An empty value forbids, in the words of a wrong password.
    assert log_in(proxy, BY_HASH[1]).startswith(REFUSED)
    assert log_in(proxy, USER, "wrong").startswith(b"-ERR")
    assert log_in(proxy, BY_HASH[2]).startswith(b"-ERR [SYS/TEMP]")
    metrics = proxy.metrics()
    assert metrics.get("postern_lookup_questions_total", lookup="homes", result="found") == 3
    assert metrics.get("postern_lookup_questions_total", lookup="homes", result="unknown") == 1
    told = run_postern("route", "--config", proxy.config_path, USER)
    assert told.returncode == 0 and 'lookup "homes"' in told.stdout and "mail2" in told.stdout
    assert REDIS_PASSWORD not in told.stdout + told.stderr + proxy.log()


def test_redis_may_go_and_come_back(start_proxy, farm, tmp, redis):
    redis.ask("SET", f"home:{USER}", "mail2")
    cache = {"ttl": "0s", "stale": "0s"}
    proxy = start_proxy(config(farm, redis, str(tmp), cache=cache))
    assert log_in(proxy).startswith(b"+OK")
    redis.stop()
    assert log_in(proxy).startswith(b"-ERR [SYS/TEMP]")
    redis.start()
    redis.ask("SET", f"home:{USER}", "mail2")
    wait_until(lambda: log_in(proxy).startswith(b"+OK"), 60, proxy.log)


def test_a_reload_reads_the_password_again(start_proxy, farm, tmp, redis):
    redis.ask("SET", f"home:{USER}", "mail2")
    cache = {"ttl": "0s", "stale": "0s"}
    proxy = start_proxy(config(farm, redis, str(tmp), cache=cache))
    assert log_in(proxy).startswith(b"+OK")
    changed = redis.ask_all(
        ("CONFIG", "SET", "requirepass", "another one"),
        ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"),
    )
    assert changed.startswith(b":")
    wait_until(lambda: log_in(proxy).startswith(b"-ERR [SYS/TEMP]"), 60, proxy.log)
    write_password(str(tmp), "another one")
    assert "is in use" in proxy.reload()
    # The breaker lets one question a second through.
    wait_until(lambda: log_in(proxy).startswith(b"+OK"), 60, proxy.log)


def test_a_password_file_that_others_may_read_is_refused(start_proxy, farm, tmp, redis):
    proxy = start_proxy(config(farm, redis, str(tmp)))
    table = config(farm, redis, str(tmp), timeout="3s")
    os.chmod(os.path.join(str(tmp), "redis.password"), 0o644)
    proxy.write_config(table)
    text = proxy.reload()
    assert "stays in use" in text and "redis.password" in text and "chmod 600" in text
