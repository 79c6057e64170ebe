"""How the kernel is asked: io_uring, and epoll where io_uring is forbidden."""

import os
import subprocess
import sys

import pytest
from faulty_upstream.pop3_backend import Backend, BackendFarm
from harness import Proxy
from harness.wire import Wire

# Runs a command as a container's seccomp profile would: io_uring_setup(2) is EPERM.
_FORBID_IO_URING = """
import ctypes, os, struct, sys
IO_URING_SETUP = 425  # the same on every architecture
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in (
    (0x20, 0, 0, 0),               # load the number of the system call
    (0x15, 0, 1, IO_URING_SETUP),
    (0x06, 0, 0, 0x00050000 | 1),  # EPERM
    (0x06, 0, 0, 0x7fff0000),      # anything else: allowed
)))
filter = struct.pack("HP", 4, ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVS, SET_SECCOMP, MODE_FILTER = 38, 22, 2
if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, MODE_FILTER, filter):
    sys.exit("seccomp: " + os.strerror(ctypes.get_errno()))
os.execv(sys.argv[1], sys.argv[1:])
"""
FORBIDDEN = (sys.executable, "-c", _FORBID_IO_URING)


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


def test_uring_where_it_is_forbidden_does_not_start(backend, tmp_path, leaf):
    proxy = Proxy(config(backend, "uring"), tmp_path, certificate=leaf, start=False)
    ended = subprocess.run(
        [*FORBIDDEN, os.path.join(os.environ["POSTERN_BIN_DIR"], "postern"), "serve", "--config",
         proxy.config_path], capture_output=True, stdin=subprocess.DEVNULL, timeout=30, text=True,
    )  # fmt: skip
    assert ended.returncode == 1, ended
    sentences = [line for line in ended.stderr.splitlines() if "io_uring is forbidden here" in line]
    assert len(sentences) == 1, ended.stderr
    assert "seccomp" in sentences[0] and 'io = "epoll"' in sentences[0]
