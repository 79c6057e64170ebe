"""Measures one scenario: all peers, in interleaved rounds. `KINDS` has a function for each kind."""

import sessions
import standing
from lab import LabError, Stores
from peers import PEERS

KINDS = {"load": sessions.load, "idle": standing.idle, "busy": standing.busy,
         "storm": standing.storm}


class Row:
    """One line of a scenario: a peer with its setup, and what its rounds found."""

    def __init__(self, name, peer, title, setup, variant):
        self.name, self.peer, self.title, self.setup, self.variant = (
            name, peer, title, setup, variant)
        self.entries = []
        self.total = None  # sessions of one run, found out by the first
        self.broken = ""  # why it did not start

    def record(self):
        return {"peer": self.peer, "title": self.title, "variant": self.variant,
                "rounds": self.entries}


def rows_of(scenario, peer_names):
    setup = {"certificate": scenario.certificate, "port": "tls" if scenario.tls else "plain",
             **scenario.setup}
    if scenario.resume:
        setup["tickets"] = True
    rows = [] if scenario.variants_only else [
        Row(name, name, PEERS[name].title, {**setup, **scenario.peer_setup.get(name, {})}, False)
        for name in peer_names if name not in scenario.without]
    rows += [Row(name, peer, title, {**setup, **differs}, True)
             for name, peer, title, differs in scenario.variants if peer in peer_names]
    return rows


class Measurement:
    """`seconds` is how long one run should take."""

    def __init__(self, lab, networks, seconds, progress):
        self.lab, self.networks, self.seconds, self.progress = lab, networks, seconds, progress

    def scenario(self, scenario, peer_names, rounds, found):
        """found[key] becomes {"title", ..., "rows": {name: {"title", "rounds": [...]}}}; it grows
        round by round, so that an interruption loses none."""
        network = self.networks[scenario.network]
        mail = ["--messages", max(1, scenario.messages), "--size", scenario.size]
        passwords = ["--password", "secret"] if scenario.wrong_percent else []
        stores = Stores(self.lab, network, mail + passwords, urgent=scenario.kind == "storm")
        rows = rows_of(scenario, peer_names)
        peers = {}
        found[scenario.key] = {
            "title": scenario.title, "about": scenario.about, "note": scenario.note,
            "group": scenario.group or scenario.key, "rate": scenario.rate,
            "figures": list(scenario.figures), "rows": {row.name: row.record() for row in rows}}
        try:
            for row in rows:
                peers[row.name] = PEERS[row.peer](self.lab, network, stores, row.setup)
                self.start(row, peers[row.name])
            for number in range(rounds):
                # Who goes first changes, so that a drift of the machine hits everybody alike.
                shift = number % len(rows)
                for row in rows[shift:] + rows[:shift]:
                    entry = self.visit(scenario, row, peers[row.name], stores, number)
                    row.entries.append(entry)
                    self.progress.step(scenario, row, number, rounds, entry)
        finally:
            for peer in peers.values():
                peer.stop()

    def start(self, row, peer):
        """One that does not start voids its own rounds, not those of the others."""
        try:
            peer.start()
        except LabError as error:
            row.broken = str(error)
            self.progress.say(f"{row.title}: {error}")

    def visit(self, scenario, row, peer, stores, number):
        """One run with one peer."""
        if row.broken:
            return {"void": [row.broken]}
        try:
            stores.start()
            try:
                return KINDS[scenario.kind](self, scenario, row, peer, stores, number)
            finally:
                if stores.processes:
                    stores.stop()
        except LabError as error:
            return {"void": [str(error)]}
