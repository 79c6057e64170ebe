"""Where a comparison happens: a directory, two cores, networks of its own, and every program that
was started there. Nothing of the machine is changed, and `close` leaves nothing behind."""

import ctypes
import itertools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from accounting import listens

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
# The holder of a network ends by itself, whatever happens to us.
LIFETIME_MAX_S = 4 * 3600


class LabError(Exception):
    """Something does not work here; the text is for whoever ran the command."""


class Network:
    """Where addresses and ports are looked up: the machine's own network, or one that this process
    made, with a loopback interface and nothing else."""

    def __init__(self, holder=None):
        self.holder = holder
        self.numbers = itertools.count(10001)
        self.descriptor = os.open(f"/proc/{holder.pid}/ns/net", os.O_RDONLY) if holder else None

    def port(self):
        """A port nobody has."""
        if self.holder:
            return next(self.numbers)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def enter(self):
        """For a child before exec."""
        if self.descriptor is not None and LIBC.setns(self.descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


class Lab:
    def __init__(self, bin_dir, cores):
        self.bin = pathlib.Path(bin_dir)
        self.proxy_core, self.other_core = cores
        self.running = []
        self.serial = itertools.count(1)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="postern-compare-"))
        self.dir.chmod(0o755)  # the workers of some peers are other users
        self.host = Network()
        self.descriptors_max = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for name, key in (("ecdsa", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
                          ("rsa", ["rsa:2048"])):
            self._make_certificate(name, key)

    def _make_certificate(self, name, key):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
             self.dir / f"{name}.key", "-out", self.dir / f"{name}.pem"],
            check=True, capture_output=True)
        both = (self.dir / f"{name}.pem").read_text() + (self.dir / f"{name}.key").read_text()
        (self.dir / f"{name}.both").write_text(both)

    def make_network(self, ethernet):
        """A network of its own. With `ethernet`, packets are no larger than on an Ethernet and the
        interface does not put them together: segments of 1448 bytes, each through the whole stack."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", str(LIFETIME_MAX_S)],
                                  stdin=subprocess.DEVNULL, start_new_session=True)
        self.running.append(holder)
        ours = os.stat("/proc/self/ns/net").st_ino
        for _ in range(100):
            if holder.poll() is not None:
                raise LabError("unshare --net failed: networks of one's own need root")
            if os.stat(f"/proc/{holder.pid}/ns/net").st_ino != ours:
                break
            time.sleep(0.02)
        network = Network(holder)
        commands = [["ip", "link", "set", "lo", "up"],
                    ["sysctl", "-qw", "net.ipv4.ip_local_port_range=20000 65000"]]
        if ethernet:
            commands += [["ip", "link", "set", "lo", "mtu", "1500"],
                         ["ethtool", "-K", "lo", "tso", "off", "gso", "off", "gro", "off"]]
        for command in commands:
            self.run(command, network, self.other_core)
        return network

    def _child_setup(self, network, core, descriptors, urgent=False):
        """`urgent`: before everything else on its core, where we may say so."""
        def setup():
            network.enter()
            os.sched_setaffinity(0, {core})
            if urgent and os.geteuid() == 0:
                try:
                    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
                except OSError:
                    pass
            limit = min(descriptors or self.descriptors_max, self.descriptors_max)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        return setup

    def run(self, command, network, core, timeout=300):
        """Runs a program to its end; its standard output."""
        try:
            done = subprocess.run(
                list(map(str, command)), capture_output=True, text=True, timeout=timeout,
                stdin=subprocess.DEVNULL, preexec_fn=self._child_setup(network, core, None))
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{command[0]} did not end within {timeout} s") from error
        if done.returncode != 0 and not done.stdout.strip():
            raise LabError(f"{command[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def start(self, name, command, network, core, ports, descriptors=None, urgent=False):
        """Starts a server and waits until it listens on all `ports`."""
        log = self.dir / f"{next(self.serial)}-{name}.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=self._child_setup(network, core, descriptors, urgent))
        process.log = log
        self.running.append(process)
        for _ in range(400):
            if process.poll() is not None:
                break
            if all(listens(process.pid, port) for port in ports):
                return process
            time.sleep(0.025)
        self.stop(process)
        raise LabError(f"{name} did not start: {log.read_text(errors='replace').strip()[-2000:]}")

    def stop(self, process):
        """Ends it and whatever it started; what it printed."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
        if process in self.running:
            self.running.remove(process)
        return process.log.read_text(errors="replace") if hasattr(process, "log") else ""

    def load(self, network, *arguments):
        """One run of the load generator; its JSON."""
        return json.loads(self.run(
            [self.bin / "postern-load", "--json", "-", "--quiet", *arguments], network,
            self.other_core))

    def start_idle_load(self, network, *arguments, urgent=False):
        """Starts a run of idle sessions and returns when all of them are silent."""
        load = subprocess.Popen(
            [str(self.bin / "postern-load"), "--json", "-", "--quiet",
             *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            start_new_session=True,
            preexec_fn=self._child_setup(network, self.other_core, None, urgent))
        self.running.append(load)
        # Every session has its timeout, so this line or the end comes.
        line = load.stderr.readline()
        if "sessions are idle" not in line:
            result = self.end_idle_load(load, line)
            failures = [entry["example"] for kind, entry in result["failures"].items()
                        if kind != "stopped"]
            raise LabError(f"the idle sessions were not reached: {(failures or [line])[0]}")
        return load

    def end_idle_load(self, load, said=""):
        """Ends the idle sessions; the run's JSON, in which they are "stopped". `said` is what has
        been read of its errors."""
        # The first signal starts no more sessions, the second ends those under way.
        for _ in range(2):
            if load.poll() is None:
                load.send_signal(signal.SIGTERM)
                time.sleep(0.3)
        try:
            text, errors = load.communicate(timeout=60)
        except subprocess.TimeoutExpired as error:
            self.stop(load)
            raise LabError("postern-load did not end within 60 s") from error
        self.running.remove(load)
        if not text.strip():
            raise LabError(f"postern-load failed: {(said + errors).strip()}")
        return json.loads(text)

    def close(self):
        for process in reversed(list(self.running)):
            self.stop(process)
        shutil.rmtree(self.dir, ignore_errors=True)


class Stores:
    """The two stores behind every proxy: the even users' and the odd users'."""

    NAMES = ("even", "odd")

    def __init__(self, lab, network, options=(), urgent=False):
        self.lab, self.network, self.urgent = lab, network, urgent
        self.ports = {name: network.port() for name in self.NAMES}
        self.options = list(options)
        self.processes = {}

    def start(self):
        for name, port in self.ports.items():
            self.processes[name] = self.lab.start(
                f"store-{name}",
                [self.lab.bin / "postern-maildrop", "--listen", f"127.0.0.1:{port}", "--name", name,
                 *self.options],
                self.network, self.lab.other_core, [port], urgent=self.urgent)

    def stop(self):
        """Ends them; how many sessions each has served."""
        served = {}
        for name, process in self.processes.items():
            text = self.lab.stop(process)
            found = re.search(r"served (\d+) sessions", text)
            if not found:
                raise LabError(f"the store does not say what it served: {text.strip()}")
            served[name] = int(found.group(1))
        self.processes = {}
        return served
