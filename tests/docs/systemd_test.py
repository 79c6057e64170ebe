#!/usr/bin/env python3
"""The systemd unit: its score, its syntax, and the real binary inside most of its sandbox.

No systemd runs where tests run. So the sandbox is rebuilt from the unit with what every process may
ask of the kernel: an unprivileged user, no new privileges, no capabilities, the unit's limits, its
system call filter, no memory that is writable and executable.
"""

import ctypes
import errno
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

sys.dont_write_bytecode = True
ROOT = os.environ["POSTERN_SOURCE_DIR"]
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

from harness import Certificates, Proxy  # noqa: E402
from harness.ports import free_port  # noqa: E402

UNIT = os.path.join(ROOT, "deploy", "systemd", "postern.service")
PROGRAM = "/usr/local/bin/postern"
SCORE_MAX = 1.6
# A program this test runs of itself: it shuts itself in and becomes the command behind it.
ENCLOSE = "--enclose"

NOBODY = 65534
PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_MDWE = 65
SCMP_ACT_ALLOW = 0x7FFF0000
SCMP_ACT_EPERM = 0x00050000 | errno.EPERM


def unit_values(key):
    """All values of a key, in the order of the file."""
    with open(UNIT, encoding="utf-8") as file:
        return re.findall(rf"^{key}=(.*)$", file.read(), re.MULTILINE)


def group_calls(group, known={}):
    """The system calls of a group such as @system-service."""
    if not known:
        text = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"],
                              capture_output=True, text=True, check=True).stdout
        current = None
        for line in text.splitlines():
            if line.startswith("@"):
                current = known.setdefault(line.strip(), set())
            elif not line.strip():
                current = None
            elif current is not None and not line.strip().startswith("#"):
                current.add(line.strip())
    calls = set()
    for name in known[group]:
        calls |= group_calls(name) if name.startswith("@") else {name}
    return calls


def allowed_calls():
    allowed = set()
    for value in unit_values("SystemCallFilter"):
        names = value.lstrip("~").split()
        calls = set().union(*(group_calls(n) if n.startswith("@") else {n} for n in names))
        allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed | group_calls("@default")


def enclose(arguments):
    """Runs in a process of its own: there is no way back."""
    libc = ctypes.CDLL(None, use_errno=True)
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    seccomp.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    seccomp.seccomp_load.argtypes = [ctypes.c_void_p]
    calls = allowed_calls()
    megabytes = int(re.fullmatch(r"(\d+)M", unit_values("LimitMEMLOCK")[0]).group(1))
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    lock = megabytes << 20 if hard == resource.RLIM_INFINITY else min(megabytes << 20, hard)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (lock, lock))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.getuid() == 0:
        for capability in range(64):
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a new user forgets it
    policy = seccomp.seccomp_init(SCMP_ACT_EPERM)
    for name in sorted(calls):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # the others are no calls of this machine
            assert seccomp.seccomp_rule_add_array(policy, SCMP_ACT_ALLOW, number, 0, None) == 0, name
    libc.prctl(PR_SET_MDWE, 1, 0, 0, 0)  # Linux 6.3; older ones go on without
    assert seccomp.seccomp_load(policy) == 0  # sets no_new_privs, too
    os.execv(arguments[0], arguments)


def io_kinds(proxy):
    return re.findall(r'^postern_io_info{io="([^"]+)"}', proxy.http("/metrics")[1], re.MULTILINE)


class UnitTest(unittest.TestCase):
    def setUp(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze")

    def test_score(self):
        text = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
            capture_output=True, text=True, check=True).stdout
        score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text).group(1))
        self.assertLessEqual(score, SCORE_MAX, text)

    def test_syntax(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "postern.service")
            program = os.path.join(os.environ["POSTERN_BIN_DIR"], "postern")
            with open(UNIT, encoding="utf-8") as source, open(path, "w") as target:
                target.write(source.read().replace(PROGRAM, program))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", path],
                                  capture_output=True, text=True)
        complaints = [line for line in done.stderr.splitlines() if "postern.service" in line]
        self.assertEqual(complaints, [])
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_stop_timeout_is_longer_than_the_drain(self):
        stop = int(re.fullmatch(r"(\d+)s", unit_values("TimeoutStopSec")[0]).group(1))
        with open(os.path.join(ROOT, "deploy/examples/postern.toml"), encoding="utf-8") as file:
            drain = int(re.search(r'^#drain = "(\d+)s"', file.read(), re.MULTILINE).group(1))
        self.assertGreater(stop, drain)

    def test_server_runs_inside(self):
        try:
            ctypes.CDLL("libseccomp.so.2")
        except OSError:
            self.skipTest("no libseccomp")
        self.assertNotIn("setrlimit", allowed_calls())
        self.assertNotIn("ptrace", allowed_calls())
        directory = tempfile.mkdtemp(prefix="postern-unit-")
        try:
            self.run_inside(directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def run_inside(self, directory):
        certificate = Certificates(directory).leaf()
        # Nobody may read the tree of whoever builds.
        shutil.copy(os.path.join(os.environ["POSTERN_BIN_DIR"], "postern"), directory)
        if os.getuid() == 0:
            os.chown(directory, NOBODY, NOBODY)
            for file in os.listdir(directory):
                os.chown(os.path.join(directory, file), NOBODY, NOBODY)
        command = [sys.executable, "-B", os.path.abspath(__file__), ENCLOSE]
        config = {
            "backend": [{"name": "mail1", "address": "127.0.0.1:9"}],  # nobody logs in
            "route": [{"users": "*", "backend": "mail1"}],
            "admin": {"address": f"127.0.0.1:{free_port()}"},
        }
        # Where this machine allows io_uring, the sandbox must, too.
        with Proxy(config, os.path.join(directory, "outside"), certificate=certificate) as proxy:
            kinds = io_kinds(proxy)
        config["admin"] = {"address": f"127.0.0.1:{free_port()}"}
        copied = unittest.mock.patch.dict(os.environ, {"POSTERN_BIN_DIR": directory})
        with copied, Proxy(config, directory, certificate=certificate, command=command) as proxy:
            with open(f"/proc/{proxy.pid}/status", encoding="utf-8") as file:
                status = file.read()
            self.assertEqual(io_kinds(proxy), kinds, proxy.log())
            self.assertRegex(status, r"Seccomp:\s*2")
            self.assertRegex(status, r"NoNewPrivs:\s*1")
            self.assertRegex(status, r"CapEff:\s*0+\n")
            self.assertNotRegex(status, r"Uid:\s*0")
            address = ("127.0.0.1", proxy.ports["plain"])
            with socket.create_connection(address, 10) as client, client.makefile("rb") as lines:
                self.assertTrue(lines.readline().startswith(b"+OK pop.example.net"))
                client.sendall(b"QUIT\r\n")
                self.assertTrue(lines.readline().startswith(b"+OK"))
            proxy.session_lines(1)
            self.assertIn("new configuration is in use", proxy.reload())
            self.assertGreater(proxy.metrics().get("process_open_fds"), 0)


if __name__ == "__main__":
    if sys.argv[1:2] == [ENCLOSE]:
        enclose(sys.argv[2:])
    unittest.main(verbosity=2, warnings="ignore")
