"""Sessions that come and go: what each costs the proxy, and how long its client waits."""

import time

import checks
from accounting import cpu_ns

SOURCES = "127.0.0.2-127.0.0.9"
SETTLE_S = 0.3  # what a proxy still does after the last QUIT belongs to it
WARM = 40


def load_arguments(scenario, peer, script=None):
    arguments = ["--target", f"127.0.0.1:{peer.tls if scenario.tls else peer.plain}", "--script",
                 script or scenario.script, "--source", SOURCES, "--timeout-s", 60]
    if scenario.tls:
        version, cipher = scenario.tls.split()
        arguments += ["--tls", "implicit", "--tls-version", version.removeprefix("TLSv"),
                      "--tls-cipher", cipher, "--tls-groups", "X25519:P-256"]
    if scenario.resume:
        arguments.append("--resume")
    if scenario.messages:
        arguments += ["--fetch-max", scenario.messages]
    if scenario.population:
        arguments += ["--population", scenario.population]
    if scenario.wrong_percent:
        arguments += ["--wrong-passwords", scenario.wrong_percent]
    return arguments


def at_once_of(at, scenario, row):
    """How many sessions are under way at the same time."""
    count = scenario.sessions
    if scenario.kind == "load":
        count = row.setup.get("sessions", count)
    return count if at.seconds >= 1 else min(count, 200)


def amount(at, scenario, row, peer, arguments):
    """How many sessions one run has, and how many were needed to find that out. The same in every
    round of a row."""
    spent = 0
    if row.total is None and scenario.rate:
        row.total = max(10, int(scenario.rate * at.seconds * scenario.longer))
    if row.total is None and scenario.kind == "load" and "sessions" in row.setup:
        # All at once to begin with, then as one ends the next one begins.
        row.total = 2 * at_once_of(at, scenario, row) + int(700 * at.seconds)
    if row.total is None:
        at_once = at_once_of(at, scenario, row)
        spent = max(scenario.first, 2 * at_once)
        first = at.lab.load(peer.network, *arguments, "--total", spent, "--sessions", at_once)
        row.total = max(spent, int(first["sessions_per_second"] * at.seconds))
    return row.total, spent


def measured_run(at, peer, arguments):
    """(the load generator's JSON, CPU nanoseconds of the proxy, seconds)."""
    before, started = cpu_ns(peer.pid), time.monotonic()
    result = at.lab.load(peer.network, *arguments)
    elapsed = time.monotonic() - started
    time.sleep(SETTLE_S)
    return result, cpu_ns(peer.pid) - before, elapsed


def entry_of(result, used_ns, elapsed):
    entry = {
        "cpu_us": used_ns / 1000 / max(1, result["sessions"]),
        "per_second": result["sessions_per_second"],
        "proxy_busy": used_ns / 1e9 / elapsed,
        "load_busy": result["generator_busy_max"],
        "sessions": result["sessions"], "good": result["good"],
        "refused": result["refused_as_expected"],
        "resumed": result["tls_resumed"], "tls": result["tls_kinds"],
        "latency_ms": result["latency_ms"],
    }
    for span, name in (("session", ""), ("greeting", "greeting_"), ("quit", "quit_")):
        for percent in ("p50", "p90", "p99"):
            if span in result["latency_ms"]:
                entry[f"{name}{percent}_ms"] = result["latency_ms"][span][percent]
    if result["message_bytes"]:
        entry["mb_per_cpu_s"] = result["message_bytes"] / 1e6 / (used_ns / 1e9)
        entry["mb_per_s"] = result["message_bytes"] / 1e6 / result["seconds"]
    return entry


def expectations(scenario, sessions, others, seconds=0):
    """`seconds`: how long the stores were there for the proxy's own checks."""
    expected = {"sessions": sessions, "others": others,
                "checks_max": int(scenario.checks_each_s * seconds), "tls": scenario.tls,
                "resumed": scenario.resume, "messages": scenario.messages,
                "message_bytes_min": scenario.size, "wrong_percent": scenario.wrong_percent}
    if scenario.certificate == "rsa":
        expected["tls"] = expected["tls"].replace("ECDHE-ECDSA", "ECDHE-RSA")
    return expected


def load(at, scenario, row, peer, stores, number):
    """A run of the load generator, closed loop or at a rate. `at` is the Measurement."""
    arguments, began = load_arguments(scenario, peer), time.monotonic()
    warm = min(WARM, scenario.sessions)
    at.lab.load(peer.network, *arguments, "--total", warm, "--sessions", warm)
    total, spent = amount(at, scenario, row, peer, arguments)
    arguments += ["--total", total, "--seed", number + 1]
    if scenario.rate:
        arguments += ["--rate", scenario.rate, "--arrivals", scenario.arrivals]
    else:
        arguments += ["--sessions", at_once_of(at, scenario, row)]
    result, used, elapsed = measured_run(at, peer, arguments)
    entry = entry_of(result, used, elapsed)
    entry["served"] = stores.stop()
    # A second more for their start and their end.
    expected = expectations(scenario, total, warm + spent, time.monotonic() - began + 1)
    entry["void"] = checks.problems(result, entry["served"], expected)
    return entry
