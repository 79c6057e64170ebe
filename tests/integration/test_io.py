"""How the kernel is asked: io_uring, and epoll where io_uring is forbidden."""

import errno
import os
import subprocess
import sys

import pytest
from faulty_upstream.pop3_backend import Backend, BackendFarm
from harness import Proxy
from harness.wire import Wire

# Runs a command as a container's seccomp profile would: io_uring_setup(2) fails with an errno.
_FORBID_IO_URING = """
import ctypes, os, struct, sys
IO_URING_SETUP = 425  # the same on every architecture
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in (
    (0x20, 0, 0, 0),               # load the number of the system call
    (0x15, 0, 1, IO_URING_SETUP),
    (0x06, 0, 0, 0x00050000 | int(sys.argv[1])),
    (0x06, 0, 0, 0x7fff0000),      # anything else: allowed
)))
filter = struct.pack("HP", 4, ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, MODE_FILTER, filter):
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def without_io_uring(error):
    return (sys.executable, "-c", _FORBID_IO_URING, str(error))


FORBIDDEN = without_io_uring(errno.EPERM)
EPOLL = 'io = "epoll"'


@pytest.fixture
def backend():
    backend = Backend()
    with BackendFarm([backend]):
        yield backend


def config(backend, io):
    return {
        "io": io,
        "listener": [{"name": "plain", "tls": "off", "plaintext_logins": True}],
        "backend": [{"name": "good", "address": backend.address}],
        "route": [{"users": "*", "backend": "good"}],
    }


def one_session(proxy):
    with Wire(proxy.ports["plain"]) as client:
        assert client.log_in("anna@example.org").startswith(b"+OK")
        assert client.command("STAT").startswith(b"+OK")
        assert client.command("QUIT").startswith(b"+OK")


@pytest.mark.parametrize(("io", "command", "runs_on"), [
    ("auto", (), "uring"),
    ("uring", (), "uring"),
    ("epoll", (), "epoll"),
    ("epoll", FORBIDDEN, "epoll"),
    ("auto", FORBIDDEN, "epoll"),
])  # fmt: skip
def test_serves(backend, tmp_path, leaf, io, command, runs_on):
    with Proxy(config(backend, io), tmp_path, certificate=leaf, command=command) as proxy:
        one_session(proxy)
        assert proxy.metrics().get("postern_io_info", io=runs_on) == 1
        warnings = proxy.log().count("running on epoll")
        assert warnings == (1 if io == "auto" and runs_on == "epoll" else 0), proxy.log()
        if warnings:
            assert "kernel.io_uring_disabled" in proxy.log()


@pytest.mark.parametrize(("error", "cause", "mends"), [
    (errno.EPERM, "io_uring is forbidden here", ["kernel.io_uring_disabled", "seccomp", EPOLL]),
    (errno.ENOMEM, "rings count against the limit of locked memory", ["LimitMEMLOCK", "ulimit -l"]),
    (errno.ENOSYS, "the kernel is too old or built without io_uring", ["Linux 5.19", EPOLL]),
], ids=["EPERM", "ENOMEM", "ENOSYS"])  # fmt: skip
def test_uring_where_there_is_none_does_not_start(backend, tmp_path, leaf, error, cause, mends):
    """I09: one sentence with cause and mend, and exit code 1."""
    proxy = Proxy(config(backend, "uring"), tmp_path, certificate=leaf, start=False)
    ended = subprocess.run(
        [*without_io_uring(error), os.path.join(os.environ["POSTERN_BIN_DIR"], "postern"), "serve",
         "--config", proxy.config_path],
        capture_output=True, stdin=subprocess.DEVNULL, timeout=30, text=True,
    )  # fmt: skip
    assert ended.returncode == 1, ended
    sentences = [line for line in ended.stderr.splitlines() if cause in line]
    assert len(sentences) == 1, ended.stderr
    for mend in mends:
        assert mend in sentences[0]


@pytest.mark.skipif(not os.environ.get("POSTERN_TEST_IO"), reason="this run leaves the choice open")
def test_this_run_is_on_what_it_says(backend, tmp_path, leaf):
    """All of these tests run on epoll, too; this one shows that they do."""
    plain = {key: value for key, value in config(backend, "").items() if key != "io"}
    with Proxy(plain, tmp_path, certificate=leaf) as proxy:
        assert proxy.metrics().get("postern_io_info", io=os.environ["POSTERN_TEST_IO"]) == 1
