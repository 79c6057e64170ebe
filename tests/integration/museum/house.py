"""A proxy before one well-behaved backend, and what the tests ask about the process."""

import itertools
import json
import os
import re

from faulty_upstream.pop3_backend import Backend, BackendFarm
from harness import Proxy, wait_until
from harness.proxy import is_sanitized
from harness.wire import Wire

_numbers = itertools.count(1)

LISTENERS = [
    {"name": "pop3s", "tls": "implicit"},
    {"name": "pop3", "tls": "stls"},
    {"name": "open", "tls": "stls", "plaintext_logins": True},
    {"name": "plain", "tls": "off", "plaintext_logins": True},
]


class House:
    """`config` adds to the proxy's configuration, key by key; users of example.org live at
    `backend`, nobody knows any others. `more_backends` are served, too; `limits` are the
    process's (see harness.Proxy). The workers share few receive buffers: the kernel takes them in
    turn, so that all of them come into memory sooner or later, and would hide what sessions hold."""

    def __init__(self, directory, leaf, config=None, backend=None, more_backends=(), limits=()):
        self.backend = backend or Backend()
        self.farm = BackendFarm([self.backend, *more_backends])
        whole = {
            "listener": [dict(listener) for listener in LISTENERS],
            "backend": [{"name": "good", "address": self.backend.address}],
            "route": [{"users": "*@example.org", "backend": "good"}],
            "log": {"format": "json"},
            "limits": {"receive_buffers": 16},
        }
        for key, value in (config or {}).items():
            whole[key] = value
        self.proxy = Proxy(whole, directory, certificate=leaf, start=False, limits=limits)

    def __enter__(self):
        self.farm.__enter__()
        self.proxy.start()
        self.pid = self.proxy.pid
        self.sanitized = is_sanitized()
        return self

    def __exit__(self, kind, value, trace):
        self.proxy.__exit__(kind, value, trace)
        self.farm.__exit__()

    def user(self):
        """A user nobody else in this run is."""
        return f"u{os.getpid()}-{next(_numbers)}@example.org"

    def connect(self, listener="plain", **more):
        """A client of this listener; TLS is done where it is implicit."""
        more.setdefault("tls", listener == "pop3s")
        return Wire(self.proxy.ports[listener], **more)

    def log_in(self, listener="plain", user=None, **more):
        client = self.connect(listener, **more)
        answer = client.log_in(user or self.user())
        assert answer == b"+OK Logged in.\r\n", answer
        return client

    def check_alive(self):
        assert self.proxy.pid == self.pid
        self.proxy.check_health()
        with self.connect("pop3s", timeout=20) as client:
            assert client.log_in("alive@example.org") == b"+OK Logged in.\r\n"
            assert client.command("QUIT") == b"+OK bye\r\n"

    def visits_of(self, user):
        return [v for v in self.backend.visits() if user.encode() in v.users]

    def count(self, name, **labels):
        return self.proxy.metrics().get(name, **labels)

    def closed(self, reason):
        return self.count("postern_listener_sessions_closed_total", reason=reason)

    def wait_for_closed(self, reason, count):
        """Until so many sessions have ended for this reason, and not one more."""
        wait_until(lambda: self.closed(reason) >= count, 60, lambda: f"{reason}: {count}")
        assert self.closed(reason) == count

    def wait_until_nobody_is_left(self, timeout=60):
        def nobody():
            metrics = self.proxy.metrics()
            return (
                metrics.get("postern_connections") == 0
                and metrics.get("postern_listener_sessions") == 0
                and metrics.get("postern_backend_sessions") == 0
            )

        wait_until(nobody, timeout, "all sessions over")

    def resident_bytes(self):
        with open(f"/proc/{self.proxy.pid}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def bytes_at_work(self):
        """resident_bytes() once ordinary sessions no longer add to it: what libraries take at their
        first use, a megabyte for TLS on two workers, is not what a test is about."""
        for _ in range(20):
            before = self.resident_bytes()
            for listener in ("plain", "pop3s") * 4:
                with self.log_in(listener) as client:
                    client.send(b"QUIT\r\n")
                    client.rest()
            self.wait_until_nobody_is_left()
            if self.resident_bytes() <= before + 16384:
                break
        return self.resident_bytes()

    def check_memory(self, before, megabytes):
        """The process has not grown by more since bytes_at_work() said `before`. A sanitizer keeps
        freed memory for a while, so it says nothing about that."""
        if not self.sanitized:
            assert self.resident_bytes() < before + (megabytes << 20)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.proxy.pid}/fd"))

    def wait_for_open_files(self, at_most):
        """Whoever is no longer counted may still be about to be closed, or to be accepted."""
        wait_until(lambda: self.open_files() <= at_most, 60, lambda: f"{self.open_files()} files")

    def cpu_seconds(self):
        with open(f"/proc/{self.proxy.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_records(self, **wanted):
        """Records of the session log that have these fields; every line must be JSON."""
        try:
            with open(self.proxy.sessions_path, encoding="utf-8") as file:
                records = [json.loads(line) for line in file.read().split("\n") if line]
        except FileNotFoundError:
            return []
        return [r for r in records if all(r.get(k) == v for k, v in wanted.items())]

    def wait_for_record(self, timeout=60, **wanted):
        return wait_until(lambda: self.log_records(**wanted), timeout, f"a record {wanted}")[0]
