"""Measures one scenario: all peers, in interleaved rounds."""

import time

import checks
from accounting import cpu_ns
from lab import LabError, Stores
from peers import PEERS

SOURCES = "127.0.0.2-127.0.0.9"
SETTLE_S = 0.3  # what a proxy still does after the last QUIT belongs to it
WARM = 40


class Row:
    """One line of a scenario: a peer with its setup, and what its rounds found."""

    def __init__(self, name, peer, title, setup, variant):
        self.name, self.peer, self.title, self.setup, self.variant = (
            name, peer, title, setup, variant)
        self.entries = []
        self.total = None  # sessions of one run, found out by the first

    def record(self):
        return {"peer": self.peer, "title": self.title, "variant": self.variant,
                "rounds": self.entries}


def rows_of(scenario, peer_names):
    setup = {"certificate": scenario.certificate, "port": "tls" if scenario.tls else "plain"}
    if scenario.resume:
        setup["tickets"] = True
    rows = [Row(name, name, PEERS[name].title, setup, False) for name in peer_names]
    rows += [Row(name, peer, title, {**setup, **differs}, True)
             for name, peer, title, differs in scenario.variants if peer in peer_names]
    return rows


def load_arguments(scenario, peer):
    arguments = ["--target", f"127.0.0.1:{peer.tls if scenario.tls else peer.plain}", "--script",
                 scenario.script, "--source", SOURCES]
    if scenario.tls:
        arguments += ["--tls", "implicit", "--tls-version",
                      "1.3" if scenario.tls.startswith("TLSv1.3") else "1.2"]
    if scenario.resume:
        arguments.append("--resume")
    if scenario.messages:
        arguments += ["--fetch-max", scenario.messages]
    if scenario.rate:
        arguments += ["--rate", scenario.rate]
    return arguments


class Measurement:
    """`seconds` is how long one run should take."""

    def __init__(self, lab, networks, seconds, progress):
        self.lab, self.networks, self.seconds, self.progress = lab, networks, seconds, progress

    def scenario(self, scenario, peer_names, rounds):
        """{"title", ..., "rows": {name: {"title", "rounds": [...]}}}."""
        network = self.networks[scenario.network]
        mail = ["--messages", max(1, scenario.messages), "--size", scenario.size]
        stores = Stores(self.lab, network, mail)
        rows = rows_of(scenario, peer_names)
        peers = {}
        try:
            for row in rows:
                peers[row.name] = PEERS[row.peer](self.lab, network, stores, row.setup)
                peers[row.name].start()
            for number in range(rounds):
                # Who goes first changes, so that a drift of the machine hits everybody alike.
                shift = number % len(rows)
                for row in rows[shift:] + rows[:shift]:
                    entry = self.visit(scenario, row, peers[row.name], stores, number)
                    row.entries.append(entry)
                    self.progress.step(scenario, row, number, rounds, entry)
        finally:
            for peer in peers.values():
                if peer.process:
                    peer.stop()
        return {"title": scenario.title, "about": scenario.about, "note": scenario.note,
                "figures": list(scenario.figures), "rows": {row.name: row.record() for row in rows}}

    def visit(self, scenario, row, peer, stores, number):
        """One run with one peer."""
        try:
            stores.start()
            try:
                return self.run(scenario, row, peer, stores, number)
            finally:
                if stores.processes:
                    stores.stop()
        except LabError as error:
            return {"void": [str(error)]}

    def run(self, scenario, row, peer, stores, number):
        arguments = load_arguments(scenario, peer)
        warm = min(WARM, scenario.sessions)
        self.lab.load(peer.network, *arguments, "--total", warm, "--sessions", warm)
        if row.total is None:
            first = self.lab.load(peer.network, *arguments, "--total", scenario.first, "--sessions",
                                  scenario.sessions)
            row.total = max(scenario.first, int(first["sessions_per_second"] * self.seconds))
            warm += scenario.first
        before, started = cpu_ns(peer.pid), time.monotonic()
        result = self.lab.load(peer.network, *arguments, "--total", row.total, "--sessions",
                               min(scenario.sessions, row.total), "--seed", number + 1)
        elapsed = time.monotonic() - started
        time.sleep(SETTLE_S)
        used = cpu_ns(peer.pid) - before
        expected = {"sessions": row.total, "warm": warm, "tls": scenario.tls,
                    "resumed": scenario.resume, "messages": scenario.messages,
                    "message_bytes_min": scenario.size}
        if scenario.certificate == "rsa":
            expected["tls"] = expected["tls"].replace("ECDHE-ECDSA", "ECDHE-RSA")
        served = stores.stop()
        entry = {
            "cpu_us": used / 1000 / max(1, result["sessions"]),
            "per_second": result["sessions_per_second"],
            "proxy_busy": used / 1e9 / elapsed,
            "load_busy": result["generator_cpu_seconds"] / elapsed,
            "sessions": result["sessions"], "good": result["good"], "served": served,
            "resumed": result["tls_resumed"], "tls": result["tls_kinds"],
            "latency_ms": result["latency_ms"],
        }
        if result["message_bytes"]:
            entry["mb_per_cpu_s"] = result["message_bytes"] / 1e6 / (used / 1e9)
            entry["mb_per_s"] = result["message_bytes"] / 1e6 / result["seconds"]
        void = checks.problems(result, served, expected)
        if void:
            entry["void"] = void
        return entry
