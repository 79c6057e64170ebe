#!/usr/bin/env python3
"""Everybody comes back in the same second: what is left of a farm's best speed, and what the rest hear.

  bench/faults/herd.py                        two herds, about 25 seconds
  bench/faults/herd.py --times 5 --seconds 8  one herd of one's own
  bench/faults/herd.py --json report.json

Two made-up stores that need 50 ms for each password, and no more than 20 logins at a time, stand
behind one proxy, where 1,000 more may wait. First as many clients as keep the stores busy log in one
after the other: that is the peak. Then clients come at several times its rate, whatever the proxy does.
Promised: the farm lets in 80 % of the peak or better; whoever is not let in hears [SYS/TEMP], and soon.
A promise that is not kept makes the exit code 1.

It is what a farm that has 50,000 clients waiting and can take 5,000 logins a second goes through, at a
size for two cores and 20,000 open files.
"""

import argparse
import contextlib
import json
import pathlib
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORES = 2
IN_FLIGHT = 20  # of each
PASSWORD_MS = 50
QUEUE = 1000
WAIT_S = 5
SHARE_MIN = 0.8
# A refusal waits for nothing but its turn on a CPU, or for a place in the line.
SLOWEST_S = WAIT_S + 5
PATIENCE_S = 60
HERDS = ((10, 1), (5, 5))  # times the peak, for so many seconds


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Farm:
    """The proxy and its stores."""

    def __init__(self, bin_dir, directory, running):
        self.bin, self.directory, self.running = bin_dir, directory, running
        self.port = free_port()
        self.admin = directory / "admin"
        backends = ""
        for number in range(STORES):
            port = free_port()
            self.start("postern-maildrop", "--listen", f"127.0.0.1:{port}", "--messages", "1",
                       "--latency-pass-ms", PASSWORD_MS, "--quiet")
            backends += (f'[[backend]]\nname = "mail{number}"\naddress = "127.0.0.1:{port}"\n'
                         f"max_logins_in_flight = {IN_FLIGHT}\n")
            self.wait(lambda port=port: self.listens(port), "a store does not start")
        names = ", ".join(f'"mail{number}"' for number in range(STORES))
        config = directory / "postern.toml"
        config.write_text(f"""
hostname = "localhost"
workers = 1
[[listener]]
address = "127.0.0.1:{self.port}"
tls = "off"
plaintext_logins = true
{backends}
[[pool]]
name = "mail"
failover = true
queue = {{ wait = "{WAIT_S}s", max = {QUEUE} }}
backends = [{names}]
[[route]]
users = "*"
pool = "mail"
[admin]
address = "unix:{self.admin}"
""")
        self.start("postern", "serve", "--config", config)
        self.wait(lambda: self.admin.exists() and self.listens(self.port), "postern does not start")

    def start(self, program, *arguments):
        process = subprocess.Popen(
            [str(self.bin / program), *map(str, arguments)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.running.callback(process.wait)
        self.running.callback(process.kill)

    @staticmethod
    def listens(port):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    @staticmethod
    def wait(what, why):
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            if time.monotonic() > deadline:
                raise SystemExit(f"herd.py: {why}")
            time.sleep(0.02)

    def logins(self):
        """{"accepted": 812, ...}: what clients have heard so far."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(self.admin))
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b""
            while piece := connection.recv(65536):
                text += piece
        counts = {}
        for result, count in re.findall(
                r'^postern_listener_logins_total\{.*result="(\w+)".*\} (\S+)$', text.decode(), re.M):
            counts[result] = counts.get(result, 0) + int(float(count))
        return counts

    def load(self, *arguments):
        """One run of clients that log in and say QUIT; the load generator's JSON."""
        done = subprocess.run(
            [str(self.bin / "postern-load"), "--json", "-", "--quiet", "--target",
             f"127.0.0.1:{self.port}", "--script", "login", "--population", "1000000000",
             "--source", "127.0.0.2-127.0.0.9", "--timeout-s", "30", *map(str, arguments)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if not done.stdout.strip():
            raise SystemExit("herd.py: postern-load failed")
        return json.loads(done.stdout)


def peak_of(farm, seconds):
    """Logins a second that the farm can do."""
    result = farm.load("--sessions", 2 * STORES * IN_FLIGHT, "--duration-s", seconds, "--total",
                       100_000)
    if result["good"] != result["sessions"]:
        raise SystemExit(f"herd.py: not even the peak is without failures: {result['failures']}")
    return result["good"] / result["seconds"]


def judge(row, failures, told):
    """What is not as promised. `told`: what the proxy says it has answered."""
    wrong = []
    if row["good_per_s"] < SHARE_MIN * row["peak_per_s"]:
        wrong.append(f"{row['good_per_s']:.0f} logins a second")
    for kind, entry in failures.items():
        if "[SYS/TEMP]" not in entry["example"]:
            wrong.append(f"{entry['count']} x {kind}: {entry['example']}")
    # The load generator keeps one example of each kind; the proxy counts them all.
    if told.get("accepted", 0) != row["good"] or told.get("unavailable", 0) != row["refused"]:
        wrong.append(f"the proxy counts {told}")
    if row["never_started"]:
        wrong.append(f"{row['never_started']} clients never came: the herd was too large for us")
    if row["slowest_s"] > SLOWEST_S:
        wrong.append(f"somebody waited {row['slowest_s']:.1f} s")
    return wrong


def herd(farm, peak, times, seconds):
    before = farm.logins()
    result = farm.load("--rate", max(1, round(times * peak)), "--duration-s", seconds)
    after = farm.logins()
    told = {name: count - before.get(name, 0) for name, count in after.items()
            if count > before.get(name, 0)}
    row = {"times": times, "seconds": seconds, "peak_per_s": peak, "sessions": result["sessions"],
           "good": result["good"], "refused": result["sessions"] - result["good"],
           # Until the last of those who waited had been let in.
           "good_per_s": result["good"] / result["seconds"],
           "median_s": result["latency_ms"]["session"]["p50"] / 1000,
           "slowest_s": result["latency_ms"]["session"]["max"] / 1000,
           "never_started": result["never_started"],
           "late_by_generator": result["started_late_by_generator"],
           "generator_busy": result["generator_busy_max"]}
    row["wrong"] = judge(row, result["failures"], told)
    return row


def table(rows):
    lines = ["| the herd | peak, logins/s | came | let in | per second | of the peak | heard [SYS/TEMP] "
             "| median, slowest of those let in | kept |", "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['times']:g} times the peak for {row['seconds']:g} s | {row['peak_per_s']:,.0f} | "
            f"{row['sessions']:,} | {row['good']:,} | {row['good_per_s']:,.0f} | "
            f"{row['good_per_s'] / row['peak_per_s']:.2f} | {row['refused']:,} | "
            f"{row['median_s']:.1f} s, {row['slowest_s']:.1f} s | "
            f"{'NO: ' + '; '.join(row['wrong']) if row['wrong'] else 'yes'} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=float, help="the herd's rate, in peaks")
    parser.add_argument("--seconds", type=float, help="how long it keeps coming")
    parser.add_argument("--peak-seconds", type=float, default=5, help="how long the peak is measured")
    parser.add_argument("--json", type=pathlib.Path, help="write the results to this file, too")
    parser.add_argument("--bin-dir", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    options = parser.parse_args()
    if (options.times is None) != (options.seconds is None):
        parser.error("--times and --seconds go together")
    herds = HERDS if options.times is None else ((options.times, options.seconds),)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    with contextlib.ExitStack() as running:
        directory = running.enter_context(tempfile.TemporaryDirectory(prefix="postern-herd-"))
        farm = Farm(options.bin_dir, pathlib.Path(directory), running)
        for times, seconds in herds:
            peak = peak_of(farm, options.peak_seconds)
            rows.append(herd(farm, peak, times, seconds))
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any(row["wrong"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
