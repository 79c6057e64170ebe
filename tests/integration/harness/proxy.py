"""The proxy under test, as a process."""

import copy
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

from .metrics import Metrics
from .ports import free_port
from .processes import Process
from .toml import to_toml
from .waiting import wait_until

_SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:"
    r"|CHECK failed|AddressSanitizer:DEADLYSIGNAL"
)


def build_directory():
    """Where the programs are; the build system says it in POSTERN_BIN_DIR."""
    directory = os.environ.get("POSTERN_BIN_DIR", "")
    assert os.path.exists(os.path.join(directory, "postern")), (
        f"POSTERN_BIN_DIR={directory!r} has no postern; run the tests with ctest, or set it to "
        "the bin directory of a build"
    )
    return directory


def is_sanitized():
    """True for builds with a sanitizer, which are slower and bigger."""
    with open(os.path.join(build_directory(), "postern"), "rb") as program:
        text = program.read()
    return b"__asan_init" in text or b"__tsan_init" in text


def _environment():
    env = dict(os.environ)
    env["ASAN_OPTIONS"] = "exitcode=99:detect_leaks=1:" + env.get("ASAN_OPTIONS", "")
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:" + env.get("UBSAN_OPTIONS", "")
    env["TSAN_OPTIONS"] = "exitcode=99:halt_on_error=1:" + env.get("TSAN_OPTIONS", "")
    return env


def run_postern(*arguments, timeout=60):
    """Runs one verb to its end; the result has returncode, stdout and stderr as text."""
    return subprocess.run(
        [os.path.join(build_directory(), "postern"), *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, env=_environment(),
        encoding="utf-8", errors="replace",
    )  # fmt: skip


class Proxy:
    """`postern serve` on free ports.

    `config` is the configuration as a dict (see toml.py). What it leaves out is filled in so that
    tests only say what they are about:

      listener   "pop3s" (implicit TLS), "pop3" (STLS only) and "plain" (clear text), each on a
                 free port of 127.0.0.1; a listener without `address` gets one
      tls        `certificate` as the only one
      workers    2
      io         what the environment variable POSTERN_TEST_IO says, if anything
      timeouts   refused_delay 50ms, drain 5s, close_linger 1s
      log        sessions to the file `sessions_path`
      admin      a free port of 127.0.0.1

    `ports` has the port of every listener by name. A str as config is taken as it is; it must
    name its listeners, and `admin` and `ports` must be given.

        with Proxy({"pool": [...], "route": [...]}, tmp, certificate=leaf) as proxy:
            ...

    Leaving the block stops the proxy and checks that it ended well.
    """

    def __init__(self, config, directory, certificate=None, admin=None, ports=None, limits=(),
                 start=True, command=()):  # fmt: skip
        """`command` stands before the program, such as ("prlimit", ...)."""
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.config_path = os.path.join(self.directory, "postern.toml")
        self.sessions_path = os.path.join(self.directory, "sessions.log")
        self.certificate = certificate
        self.admin = admin
        self.ports = dict(ports or {})
        self.config = None
        self._limits = limits
        self._command = list(command)
        self._offset = 0
        self.process = None
        self.write_config(config)
        if start:
            self.start()

    # -- configuration

    def write_config(self, config):
        """Writes a new configuration file; `reload()` makes the proxy read it."""
        if isinstance(config, dict):
            self.config = self._complete(copy.deepcopy(config))
            config = to_toml(self.config)
        with open(self.config_path + ".new", "w") as file:
            file.write(config)
        os.replace(self.config_path + ".new", self.config_path)

    def _complete(self, config):
        config.setdefault("hostname", "pop.example.net")
        config.setdefault("workers", 2)
        if os.environ.get("POSTERN_TEST_IO"):
            config.setdefault("io", os.environ["POSTERN_TEST_IO"])
        listeners = config.setdefault(
            "listener",
            [
                {"name": "pop3s", "tls": "implicit"},
                {"name": "pop3", "tls": "stls"},
                {"name": "plain", "tls": "off", "plaintext_logins": True},
            ],
        )
        for listener in listeners:
            name = listener.setdefault("name", f"{listener['tls']}{len(self.ports)}")
            if "address" not in listener:
                port = self.ports.setdefault(name, free_port())
                listener["address"] = f"127.0.0.1:{port}"
            self.ports[name] = int(listener["address"].rsplit(":", 1)[1])
        if self.certificate is not None and "tls" not in config:
            config["tls"] = {
                "certificates": [{"chain": self.certificate.chain, "key": self.certificate.key}]
            }
        timeouts = config.setdefault("timeouts", {})
        for key, value in (("refused_delay", "50ms"), ("drain", "5s"), ("close_linger", "1s")):
            timeouts.setdefault(key, value)
        config.setdefault("log", {}).setdefault("sessions", self.sessions_path)
        if "admin" not in config:
            if self.admin is None:
                self.admin = f"127.0.0.1:{free_port()}"
            config["admin"] = {"address": self.admin}
        self.admin = config["admin"]["address"]
        return config

    # -- process

    def start(self):
        self.process = Process(
            [*self._command, os.path.join(build_directory(), "postern"), "serve", "--config",
             self.config_path],
            os.path.join(self.directory, "postern.log"), env=_environment(), limits=self._limits,
        )  # fmt: skip
        try:
            wait_until(self._is_ready, 60, lambda: f"/readyz; the log says:\n{self.log()}")
        except BaseException:
            self.process.kill()
            raise

    def _is_ready(self):
        assert self.process.alive(), f"the proxy ended at its start:\n{self.log()}"
        return self.http("/readyz")[0] == 200

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        """Everything the process wrote to stderr and stdout."""
        return self.process.log()

    def reload(self):
        """SIGHUP, then waits for the verdict: returns the new text of the log."""
        before = len(self.log())
        self.process.signal(signal.SIGHUP)
        # What is wrong stands in the lines behind the verdict.
        verdict = re.compile(r"is in use\n|stays in use:\n[^\n]+\n")
        wait_until(lambda: verdict.search(self.log()[before:]), 60, self.log)
        return self.log()[before:]

    def check_health(self):
        assert self.process.alive(), f"the proxy is gone:\n{self.log()}"
        trouble = _SANITIZER.search(self.log())
        assert not trouble, self.log()

    def terminate(self):
        self.process.signal(signal.SIGTERM)

    def wait(self, timeout=60):
        """Waits for the end after terminate(), which must be a good one."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the proxy did not end within {timeout} s:\n{self.log()}")
        assert code == 0, f"exit code {code}:\n{self.log()}"
        assert not _SANITIZER.search(self.log()), self.log()

    def stop(self, timeout=60):
        """SIGTERM; asserts exit code 0 and a log without a sanitizer's or a CHECK's words."""
        if self.process is None or self.process.process.returncode is not None:
            return
        assert self.process.alive(), f"the proxy ended by itself:\n{self.log()}"
        self.terminate()
        self.wait(timeout)

    def kill(self):
        if self.process is not None:
            self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill()
            print(f"--- log of the proxy in {self.directory}\n{self.log()[-8000:]}")

    # -- what it says about itself

    def http(self, path, timeout=60):
        """(status, body as text) from the admin endpoint; (0, why) when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def metrics(self):
        status, text = self.http("/metrics")
        assert status == 200, (status, text)
        return Metrics(text)

    def wait_for_metric(self, at_least, name, timeout=60, **labels):
        """Waits until the metric has this value or more; returns the metrics.

        They are read once more: the families before this one in the text were read before it, and
        may miss what was counted in between.
        """

        def reached():
            return self.metrics().get(name, **labels) >= at_least

        wait_until(reached, timeout, lambda: f"{name}{labels} >= {at_least}\n{self.log()}")
        return self.metrics()

    def wait_for_metric_to_fall(self, at_most, name, timeout=60, **labels):
        """Waits until the metric has this value or less; returns the metrics, read once more."""

        def reached():
            return self.metrics().get(name, **labels) <= at_most

        wait_until(reached, timeout, lambda: f"{name}{labels} <= {at_most}\n{self.log()}")
        return self.metrics()

    def session_lines(self, count=1, timeout=60):
        """The lines of the session log, once there are at least `count`."""

        def read():
            try:
                with open(self.sessions_path, encoding="utf-8") as file:
                    lines = file.read().splitlines()
            except FileNotFoundError:
                return None
            return lines if len(lines) >= count else None

        return wait_until(read, timeout, lambda: f"{count} lines in {self.sessions_path}")
