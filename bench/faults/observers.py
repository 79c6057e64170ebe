"""Clients that watch: each logs a user in over and over and notes what came of it."""

import dataclasses
import re
import socket
import threading
import time

# Longer than any deadline of the proxy: a client that gives up first would hide it.
PATIENCE_S = 45
# Between two visits of one observer.
PAUSE_S = 0.05


@dataclasses.dataclass(frozen=True)
class Visit:
    started: float  # time.monotonic()
    took: float  # seconds until the verdict
    outcome: str  # "ok", the code of a refusal such as "[SYS/TEMP]", "reset", "closed", "silence"


class Lines:
    """A connection, line by line."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def line(self):
        return self.file.readline()

    def ask(self, text):
        self.socket.sendall(text.encode() + b"\r\n")
        return self.line()

    def log_in(self, user, password):
        """The line that answers the login, or that came instead of it."""
        for text in (None, f"USER {user}"):
            answer = self.line() if text is None else self.ask(text)
            if not answer.startswith(b"+OK"):
                return answer
        return self.ask(f"PASS {password}")


def verdict(line):
    if line.startswith(b"+OK"):
        return "ok"
    if not line.endswith(b"\n"):
        return "closed"
    code = re.match(rb"-ERR (\[[A-Z/-]+\])", line)
    return code.group(1).decode() if code else "-ERR"


def visit(port, user, password):
    started = time.monotonic()
    try:
        with Lines(port) as connection:
            outcome = verdict(connection.log_in(user, password))
            took = time.monotonic() - started
            if outcome == "ok" and verdict(connection.ask("STAT")) != "ok":
                outcome = "closed"
            if outcome == "ok":
                connection.ask("QUIT")
    except ConnectionError:
        outcome, took = "reset", time.monotonic() - started
    except TimeoutError:
        outcome, took = "silence", time.monotonic() - started
    return Visit(started, took, outcome)


class Group:
    """Observers of users who share a fate."""

    def __init__(self, port, users, password):
        self.visits = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(port, user, password), daemon=True)
            for user in users
        ]
        for thread in self._threads:
            thread.start()

    def _watch(self, port, user, password):
        while not self._over.is_set():
            self.visits.append(visit(port, user, password))
            self._over.wait(PAUSE_S)

    def stop(self):
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def between(self, begin, end):
        """Visits that met the time from `begin` to `end`."""
        return [v for v in self.visits if v.started < end and v.started + v.took >= begin]

    def recovered_after(self, moment):
        """Seconds from `moment` until the visits began that all went well to the end; None when
        they never did."""
        later = sorted((v for v in self.visits if v.started >= moment), key=lambda v: v.started)
        bad = [v.started for v in later if v.outcome != "ok"]
        good = [v.started for v in later if not bad or v.started > bad[-1]]
        return good[0] - moment if good else None


def outcomes(visits):
    """{"ok": 812, "[SYS/TEMP]": 3}, the most frequent first."""
    counts = {}
    for v in visits:
        counts[v.outcome] = counts.get(v.outcome, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
